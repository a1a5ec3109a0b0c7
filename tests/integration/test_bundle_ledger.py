"""Evidence bundles of real ledgers: after an erasure, after a key rotation, with timestamps and witnesses."""

import json
import shlex
import subprocess

import pytest
from click.testing import CliRunner

from otel_audit.anchors import Publication
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.rfc3161 import Rfc3161Anchor
from otel_audit.anchors.settings import parse_anchors
from otel_audit.cli import cli
from otel_audit.ledger.checkpoint import read_checkpoint, sign_checkpoint
from otel_audit.ledger.findings import Code
from otel_audit.ledger.statement import sign_statement
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.retention_commands import retention
from otel_audit.receiver.rotation import rotate_key
from otel_audit.reports.bundle import verify_bundle as program
from otel_audit.reports.bundle.check import verify_bundle
from tests.attacks.ledger import SIGNER
from tests.integration.local_tsa import LocalTsa, serving
from tests.integration.test_bundle import alone, checked, codes, frames_of, packed, sealed_again, unpacked
from tests.integration.test_erasure import REQUEST, event, receiver
from tests.integration.test_retention import folder as retained  # noqa: F401 - a fixture
from tests.integration.test_retention import run as retention_run
from tests.integration.test_retention import template  # noqa: F401 - a fixture


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
    """A ledger with a timestamp over its first checkpoint: (bundle, trust file with the authority's root)."""
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
    opened.ledger.sequencer.submit([event(2, "two")]).result()
    seal(opened)
    opened.stop()
    export_trust(data, data.parent / "trust.json")
    trust_with(data.parent / "trust.json", tsa_roots=[tsa.roots])
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
    assert (ours.status, [each["signature_checked"] for each in ours.timestamps]) == ("ok", [True])
    theirs = json.loads(alone(tmp_path / "b.zip", trust).stdout)
    (told,) = theirs["timestamps"]
    assert (theirs["status"], told["signature_checked"], told["time"]) == ("ok", False, ours.timestamps[0]["time"])
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
    trust_with(trust, compromised_keys={key: "2100-01-01T00:00:00Z"})
    assert verify_bundle(tmp_path / "b.zip", trust).status == "ok"
    refused = {each["code"] for each in json.loads(alone(tmp_path / "b.zip", trust).stdout)["findings"]}
    assert Code.KEY_OUTSIDE_VALIDITY in refused, "it did not check who signed the timestamp"
    trust_with(trust, compromised_keys={key: "2020-01-01T00:00:00Z"})
    late = verify_bundle(tmp_path / "b.zip", trust)
    assert Code.KEY_OUTSIDE_VALIDITY in {each.code for each in late.findings}
