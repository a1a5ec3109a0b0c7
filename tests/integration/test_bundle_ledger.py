"""Evidence bundles of real ledgers: after an erasure, after a key rotation, with timestamps and witnesses."""

import json
import shlex
import subprocess

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_audit.anchors import Publication
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.opentimestamps import OpenTimestampsAnchor
from otel_audit.anchors.rfc3161 import Rfc3161Anchor
from otel_audit.anchors.settings import parse_anchors
from otel_audit.cli import cli
from otel_audit.ledger.checkpoint import read_checkpoint, sign_checkpoint
from otel_audit.ledger.findings import Code
from otel_audit.ledger.ots import ProofRefused, parse_proof
from otel_audit.ledger.statement import sign_statement
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.retention_commands import retention
from otel_audit.receiver.rotation import rotate_key
from otel_audit.reports.bundle import verify_bundle as program
from otel_audit.reports.bundle.check import verify_bundle
from tests.attacks.ledger import SIGNER
from tests.integration.bundles import alone, checked, codes, frames_of, packed, sealed_again, unpacked
from tests.integration.local_calendar import FIRST_HEIGHT, LocalCalendar, block_hash, mined
from tests.integration.local_calendar import serving as serving_calendar
from tests.integration.local_tsa import LocalTsa, serving
from tests.integration.test_erasure import REQUEST, event, receiver
from tests.integration.test_retention import folder as retained  # noqa: F401 - a fixture
from tests.integration.test_retention import run as retention_run
from tests.integration.test_retention import template  # noqa: F401 - a fixture

AT = 1_800_000_000


def seal(opened):
    opened.ledger.sequencer.perform(opened.ledger.checkpointer.seal).result()


def invoke(*arguments):
    done = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def bundled(data, out, *options):
    invoke("bundle", "--data", data, "--out", out, "--purpose", "test", *options)
    return unpacked(out.read_bytes())


@pytest.fixture
def trust(tmp_path):
    return tmp_path / "trust.json"


def export_trust(data, trust):
    trust.write_text(invoke("keys", "export", "--data", data))


def test_a_real_erasure_is_told_and_its_absence_named(data_folder, tmp_path, trust):
    """A bundle made after `erase` says who, why and when; without the erasure's entry the text is missing."""
    data = data_folder.path
    opened = receiver(data)
    events = [event(1, "plover one", subject_ref="case-88", task_id="t"), event(2, "heron", task_id="u")]
    opened.ledger.sequencer.submit(events).result()
    opened.ledger.eraser.erase(ErasureRequest(subject="case-88", **REQUEST))
    seal(opened)
    opened.stop()
    export_trust(data, trust)
    for options in (("--task", "t"), ()):  # the erasure's entry explains the others, or is one of them
        files = bundled(data, tmp_path / f"b{len(options)}.zip", *options)
        assert not any(b"plover" in raw for raw in files.values())
        report = checked(tmp_path / f"b{len(options)}.zip", trust)
        assert report.status == "ok", report
        (told,) = [each for each in report.findings if each.code is Code.ERASED]
        assert "because of GDPR Art. 17(1)(a); dpo_1 asked, legal_4 approved" in told.detail
        assert told.column == "input"
    files = unpacked((tmp_path / "b2.zip").read_bytes())
    files["related.bin"] = frames_of(files["related.bin"], lambda it: it.clear())
    assert (Code.CONTENT_MISSING, told.seq, "input") in codes(
        checked(packed(tmp_path / "removed.zip", sealed_again(files)), trust)
    )


def test_the_last_entry_of_a_range_is_erased_and_the_next_is_not():
    """The ranges of a statement take in both ends, of an entry alone, too."""
    fields = {"origin": "o", "seqs": [[3, 5], [7, 7]], "names": ["input"], "basis": "b", "requested_by": "x"}
    fields |= {"approved_by": "y", "at": 0, "scope": "seqs", "scope_ref": ""}
    note = sign_statement("erasure", fields, [SIGNER])
    erasure = program.Erasure(note, {"origin": "o", "seq": 9})
    assert [seq for seq in range(10) if erasure.covers(seq, "input")] == [3, 4, 5, 7]
    assert not erasure.covers(4, "output")
    for wrong in ({"seqs": [[5, 3]]}, {"seqs": [[3, 9]]}, {"approved_by": "x"}, {"origin": "p"}, {"seqs": []}):
        note = sign_statement("erasure", fields | wrong, [SIGNER])
        with pytest.raises(program.Broken):
            program.Erasure(note, {"origin": "o", "seq": 9})


def test_after_a_real_rotation_the_first_key_is_enough(data_folder, tmp_path, trust):
    """A bundle of a ledger whose key was rotated verifies with a trust file of the first key alone."""
    data = data_folder.path
    opened = receiver(data)
    opened.ledger.sequencer.submit([event(1, "one", task_id="t")]).result()
    seal(opened)
    export_trust(data, trust)
    old = opened.ledger.folder.signer()
    rotate_key(opened.ledger, {})
    opened.ledger.sequencer.submit([event(2, "two", task_id="t")]).result()
    seal(opened)
    opened.stop()
    files = bundled(data, tmp_path / "b.zip", "--task", "t")
    report = checked(tmp_path / "b.zip", trust)
    assert (report.status, report.counts["proven"]) == ("ok", report.counts["entries"] + report.counts["related"])
    # Whoever still has the first key signs the newest checkpoint with it: that key was replaced before.
    checkpoint = read_checkpoint(files["checkpoints/0.note"].decode())
    forged = sign_checkpoint(checkpoint, [old]).encode()
    files = {
        name: raw.replace(files["checkpoints/0.note"], forged) if name.startswith(("proofs/", "checkpoints/")) else raw
        for name, raw in files.items()
        if not name.startswith("anchors/")
    }
    report = checked(packed(tmp_path / "forged.zip", sealed_again(files)), trust)
    assert Code.KEY_OUTSIDE_VALIDITY in {each.code for each in report.findings}, report


def test_what_expired_around_them_does_not_break_proofs(request, tmp_path, trust):
    """Entries whose neighbours expired are proven by the tiles, which stay."""
    folder = request.getfixturevalue("retained")
    retention_run(retention, folder, "--apply")
    export_trust(folder.path, trust)
    bundled(folder.path, tmp_path / "b.zip", "--task", "t-58")
    report = checked(tmp_path / "b.zip", trust)
    assert (report.status, report.findings) == ("ok", ())
    assert (report.counts["entries"], report.counts["related"]) == (1, 1)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return LocalTsa(tmp_path_factory.mktemp("authorities") / "ours")


@pytest.fixture(scope="module")
def made(shared_engine, tmp_path_factory, tsa):
    """A ledger with a timestamp and a Bitcoin block over its first checkpoint, and a promise of one over the second.

    (bundle, trust file with the authority's root and the block)
    """
    shared_engine.closed()
    data = tmp_path_factory.mktemp("stamped") / "data"
    opened = receiver(data)
    opened.ledger.sequencer.submit([event(1, "one", task_id="t")]).result()
    note = opened.ledger.sequencer.perform(opened.ledger.checkpointer.seal).result()
    with serving(tsa) as url:
        (settings,) = parse_anchors([{"kind": "rfc3161", "name": "tsa", "url": url}], "test")
        checkpoint = read_checkpoint(note)
        publication = Publication(note, checkpoint.origin, checkpoint.size)
        Rfc3161Anchor(settings, FileAnchor(opened.ledger.anchor_dir)).publish(publication)
    calendar = LocalCalendar()
    with serving_calendar(calendar) as url:
        table = {"kind": "opentimestamps", "name": "ots", "calendars": [url], "headers": url + "/header/{height}"}
        anchor = OpenTimestampsAnchor(parse_anchors([table], "test")[0], FileAnchor(opened.ledger.anchor_dir))
        anchor.publish(publication)
        blocks = calendar.mine(AT)
        assert anchor.upgrade() == 0
        opened.ledger.sequencer.submit([event(2, "two")]).result()
        promised = opened.ledger.sequencer.perform(opened.ledger.checkpointer.seal).result()
        anchor.publish(Publication(promised, checkpoint.origin, read_checkpoint(promised).size))
    opened.stop()
    export_trust(data, data.parent / "trust.json")
    trust_with(data.parent / "trust.json", tsa_roots=[tsa.roots], bitcoin_blocks=blocks)
    bundled(data, data.parent / "b.zip", "--task", "t")
    return (data.parent / "b.zip").read_bytes(), (data.parent / "trust.json").read_text()


@pytest.fixture
def stamped(made, tmp_path, trust):
    """The files of a bundle with a timestamp; beside it its trust file."""
    (tmp_path / "b.zip").write_bytes(made[0])
    trust.write_text(made[1])
    return unpacked(made[0])


def trust_with(trust, **fields):
    trust.write_text(json.dumps(json.loads(trust.read_text()) | fields))


def test_a_timestamp_goes_along_and_is_checked(stamped, tmp_path, trust, tsa):
    """`verify` checks it with its signature; the program alone what it is over, and names the command for the rest."""
    ours = verify_bundle(tmp_path / "b.zip", trust)
    assert (ours.status, [each["checked"] for each in ours.timestamps]) == ("ok", [True, True])
    theirs = json.loads(alone(tmp_path / "b.zip", trust).stdout)
    (told,) = [each for each in theirs["timestamps"] if each["file"].endswith(".tsr")]
    assert (theirs["status"], told["checked"]) == ("ok", False)
    assert told["time"] in {each["time"] for each in ours.timestamps}
    for name, raw in stamped.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(raw)
    (tmp_path / "out" / "roots.pem").write_text(tsa.roots)
    done = subprocess.run(
        shlex.split(told["command"]), cwd=tmp_path / "out", capture_output=True, text=True, check=False
    )
    assert "Verification: OK" in done.stdout, done.stderr


def test_false_timestamps_in_a_bundle_are_named(stamped, tmp_path, trust):
    """One over another note, one whose signature was altered, one of an authority that is not trusted, no timestamp."""
    (token,) = (name for name in stamped if name.endswith(".tsr"))
    note, record = token.replace(".tsr", ".note"), token.replace(".tsr", ".json")

    def report(**changed):
        names = {"token": token, "note": note, "record": record}
        files = dict(stamped) | {names[name]: raw for name, raw in changed.items()}
        path = packed(tmp_path / "false.zip", sealed_again(files))
        both = [verify_bundle(path, trust), alone(path, trust)]
        return {each.code for each in both[0].findings}, {
            each["code"] for each in json.loads(both[1].stdout)["findings"]
        }

    for found in report(note=stamped["checkpoints/0.note"]):
        assert Code.IMPRINT_MISMATCH in found
    other_note = stamped["checkpoints/0.note"]
    moved = json.dumps(json.loads(stamped[record]) | {"note": other_note.decode(), "consistency": []}).encode()
    for found in report(note=other_note, record=moved):
        assert Code.IMPRINT_MISMATCH in found
    for found in report(token=b"junk"):
        assert Code.TSA_INVALID in found
    flipped = bytearray(stamped[token])
    flipped[-5] ^= 1
    assert Code.TSA_INVALID in report(token=bytes(flipped))[0]
    other = LocalTsa(tmp_path / "theirs")
    trust_with(trust, tsa_roots=[other.roots])
    assert Code.WRONG_TSA in report()[0]


def test_what_a_timestamp_proves_outlives_its_key(stamped, tmp_path, trust):
    """Entries under a checkpoint with a time before the key was lost count; later ones, or without the time, do not."""
    key = "+".join(json.loads(trust.read_text())["verifier_keys"][0].split("+", 2)[:2])
    trust_with(trust, compromised_keys={key: "2100-01-01T00:00:00Z"}, bitcoin_blocks={})
    assert verify_bundle(tmp_path / "b.zip", trust).status == "ok"
    refused = {each["code"] for each in json.loads(alone(tmp_path / "b.zip", trust).stdout)["findings"]}
    assert Code.KEY_OUTSIDE_VALIDITY in refused, "it did not check who signed the timestamp"
    trust_with(trust, compromised_keys={key: "2020-01-01T00:00:00Z"})
    late = verify_bundle(tmp_path / "b.zip", trust)
    assert Code.KEY_OUTSIDE_VALIDITY in {each.code for each in late.findings}


def ots_report(files, tmp_path, trust, **changed):
    """What both verifiers say, who agree, when files of the OpenTimestamps proof were changed; None: removed."""
    (proof,) = (name for name in files if name.endswith(".ots"))
    names = {kind: proof.replace(".note.ots", "." + kind) for kind in ("json", "note", "note.ots", "header")}
    altered = {**files, **{names[kind.replace("_", ".")]: raw for kind, raw in changed.items()}}
    (token,) = (name.replace("tsr", "") for name in files if name.endswith(".tsr"))
    altered = {name: raw for name, raw in altered.items() if raw is not None and not name.startswith(token)}
    return checked(packed(tmp_path / "ots.zip", sealed_again(altered)), trust)


def kinds(report):
    return {str(each.code) for each in report.findings if each.code.startswith(("OTS", "IMPRINT", "KEY"))}


def test_a_bitcoin_block_goes_along_and_is_checked(stamped, tmp_path, trust):
    """Proof and header are in the bundle; with the block's hash from the trust file both verifiers believe its time."""
    report = ots_report(stamped, tmp_path, trust)
    assert kinds(report) == set()
    (told,) = report.timestamps
    assert (told["checked"], told["time"][:13]) == (True, "2027-01-15T10")  # two hours after the block's own time


def test_a_block_that_nobody_vouches_for_is_a_state(stamped, tmp_path, trust):
    """Without the block's hash, or without its header, no time is believed: OTS_PENDING, and what to look up."""
    (block,) = json.loads(trust.read_text())["bitcoin_blocks"].values()
    headerless = ots_report(stamped, tmp_path, trust, header=None)
    assert kinds(headerless) == {"OTS_PENDING"}
    assert f"the header of block {FIRST_HEIGHT} is not here" in str(headerless.findings)
    trust_with(trust, bitcoin_blocks={})
    unknown = ots_report(stamped, tmp_path, trust)
    assert (unknown.status, kinds(unknown)) == ("ok", {"OTS_PENDING"})
    assert block in str(unknown.findings)
    assert [each["checked"] for each in unknown.timestamps] == [False]
    raw = next(raw for name, raw in stamped.items() if name.endswith(".ots"))
    promise = raw[:65] + b"\x00" + program.OTS_CALENDAR + b"\x03\x02ab"
    pending = ots_report(stamped, tmp_path, trust, header=None, note_ots=promise)
    assert kinds(pending) == {"OTS_PENDING"}
    assert "leads to no block yet" in str(pending.findings)


def test_false_proofs_in_a_bundle_are_named(stamped, tmp_path, trust):
    """A header of another block, without work or cut, an altered path, junk, another note: never a silent pass."""
    raw = next(raw for name, raw in stamped.items() if name.endswith(".ots"))
    header = next(raw for name, raw in stamped.items() if name.endswith(".header"))
    lazy = next(each for n in range(99) if block_hash(each := header[:76] + n.to_bytes(4, "little")) > "8")
    for wrong in (mined(header[36:68], AT - 10**6), mined(bytes(32), AT), lazy, header[:79], header + b"x", b""):
        assert kinds(ots_report(stamped, tmp_path, trust, header=wrong)) == {"OTS_INVALID"}, wrong
    nothing = raw[:65] + b"\x00" + b"8 bytes." + b"\x00"
    for wrong in (raw.replace(b"before", b"beFore"), raw[:-1], raw + b"x", b"junk", raw[:65] + b"\x42"):
        assert kinds(ots_report(stamped, tmp_path, trust, note_ots=wrong)) == {"OTS_INVALID"}, wrong
    assert kinds(ots_report(stamped, tmp_path, trust, note_ots=nothing, header=None)) == {"OTS_INVALID"}
    other = stamped["checkpoints/0.note"]
    assert kinds(ots_report(stamped, tmp_path, trust, note=other)) == {"IMPRINT_MISMATCH"}
    record = next(json.loads(raw) for raw in stamped.values() if b'"kind": "opentimestamps"' in raw)
    moved = json.dumps(record | {"note": other.decode(), "consistency": []}).encode()
    assert kinds(ots_report(stamped, tmp_path, trust, note=other, json=moved)) == {"IMPRINT_MISMATCH"}


def test_a_block_proves_what_is_older_than_a_lost_key(stamped, tmp_path, trust):
    """A time from the block chain holds where a key was lost later, by both verifiers; an unknown block proves none."""
    key = "+".join(json.loads(trust.read_text())["verifier_keys"][0].split("+", 2)[:2])
    trust_with(trust, compromised_keys={key: "2100-01-01T00:00:00Z"})
    assert kinds(ots_report(stamped, tmp_path, trust)) == set()
    trust_with(trust, bitcoin_blocks={})
    assert kinds(ots_report(stamped, tmp_path, trust)) == {"OTS_PENDING", "KEY_OUTSIDE_VALIDITY"}


@pytest.fixture
def proof(stamped):
    return next(raw for name, raw in stamped.items() if name.endswith(".ots"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_readers_of_proofs_agree(proof, data):
    """The program reads a proof as the ledger's own code does, altered ones, too: the same, or refused by both."""
    raw = bytearray(proof)
    for _ in range(data.draw(st.integers(0, 2))):
        raw[data.draw(st.integers(60, len(raw) - 1))] = data.draw(st.sampled_from([0, 2, 8, 0xF0, 0xF1, 0xFF, 33]))
    raw = bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw), len(raw) - 3]))])

    def said(read):
        try:
            return read(raw)
        except (ProofRefused, program.Broken) as exc:
            return exc.code if isinstance(exc, ProofRefused) else exc.args[0]

    assert said(program.read_ots) == said(lambda raw: (each := parse_proof(raw)).digest and (
        each.digest, list(each.pending), list(each.blocks)))  # fmt: skip
