"""What was altered in an evidence bundle is named: every kind of file, every field, by somebody without the key.

Most cases run in this process: the program is the same file. That it says so alone, too, test_bundle shows.
"""

import io
import json
import re
import stat
import struct
import zipfile
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_audit.anchors import AnchorReading
from otel_audit.errors import ConfigError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint, sign_checkpoint
from otel_audit.ledger.cosignature import CosignatureSigner
from otel_audit.ledger.findings import STATUS_CODES
from otel_audit.ledger.note import Signer
from otel_audit.ledger.statement import sign_statement
from otel_audit.ledger.trust import Trust, format_trust
from otel_audit.model import Filter
from otel_audit.reports.bundle import verify_bundle as program
from otel_audit.reports.bundle.check import format_bundle_report, verify_bundle
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import write_bundle
from tests.attacks.ledger import KEYS, ORIGIN, SIGNER, START, Built, Store, event
from tests.integration.bundles import (
    ANCHOR,
    DIGEST,
    ERASED,
    ERASURE,
    MAKING,
    SECOND,
    alone,
    codes,
    digest,
    fill,
    frames_of,
    history,
    lines_of,
    on,
    packed,
    replaced,
    sealed_again,
    unpacked,
    with_cell,
    with_field,
)
from tests.integration.local_calendar import LocalCalendar, sha256

WITNESS = CosignatureSigner("witness.example.org", b"w" * 32)
WHERE = Filter(since=START + 5 * SECOND, until=START + 16 * SECOND)  # 5, 10 and 15 have texts; one of 15 is erased
AT = 1_800_000_000


def tlv(tag, *parts):
    """DER: an element of several parts."""
    body = b"".join(parts)
    return bytes([tag, len(body)] if len(body) < 128 else [tag, 0x82, *len(body).to_bytes(2, "big")]) + body


def timestamp(note):
    """A TimeStampResp without a signature, as far as the program reads it."""
    algorithm = tlv(0x30, tlv(6, bytes.fromhex(program.SHA256)))
    imprint = tlv(0x30, algorithm, tlv(4, sha256(note.encode())))
    info = tlv(0x30, tlv(2, b"\1"), tlv(6, b"*"), imprint, tlv(2, b"\7"), tlv(24, b"20261124120000Z"))
    signed = tlv(0x30, tlv(2, b"\3"), tlv(0x31), tlv(0x30, tlv(6, b"*"), tlv(0xA0, tlv(4, info))))
    return tlv(0x30, tlv(0x30, tlv(2, b"\0")), tlv(0x30, tlv(6, b"*"), tlv(0xA0, signed)))


def bitcoin(note, calendar):
    """An OpenTimestamps proof that leads to a block, and its header."""
    submitted = sha256(note.encode())
    start = program.OTS_MAGIC + submitted + b"\xf0\x04salt\x08"
    calendar.submit(submitted)
    (commitment,) = calendar.submitted
    calendar.mine(AT)
    return start + calendar.answers[commitment.hex()], list(calendar.headers.values())[-1]


def all_anchors(built, calendar):
    """An anchor of each kind over 290 entries, and a copy of an older checkpoint."""
    note = built.note(290)
    proof, header = bitcoin(note, calendar)
    cosigned = note + WITNESS.cosign(note.rpartition("\n\n")[0] + "\n", AT)

    def anchored(source, kind="file", note=note, **more):
        return AnchoredCheckpoint(ORIGIN, note, source, kind=kind, **more)

    return (
        anchored("x/2026.jsonl line 100", note=built.note(100)),
        anchored("x/2026.jsonl line 290"),
        anchored("y/ots", "opentimestamps", evidence=proof, block_header=header),
        anchored("y/tsa", "rfc3161", evidence=timestamp(note)),
        anchored(
            "y/bucket",
            "s3",
            published_at="2026-11-24T09:30:00Z",
            evidence=b'{"object_lock_retain_until": "2030-01-01T00:00:00Z"}',
        ),
        anchored("y/witness", "witness", cosigned),
    )


CALENDAR = LocalCalendar()


@pytest.fixture(scope="module")
def made(shared_engine):
    """Two bundles: of a ledger, and of one that was forked from it at its first entry, with the same name and key."""
    bundles = []
    for built in (history(), Built().extend(replace(event(seq), content={"input": "x"}) for seq in range(1, 301))):
        database = shared_engine.opened()
        fill(Store(database), built)
        out = io.BytesIO()
        reading = AnchorReading(all_anchors(built, CALENDAR), digests=(digest(built, 100), digest(built, 290)))
        write_bundle(out, Collector(database, WHERE, reading), MAKING, signer=SIGNER)
        bundles.append((out.getvalue(), unpacked(out.getvalue())))
    return bundles


@pytest.fixture
def files(made):
    return dict(made[0][1])


@pytest.fixture
def other(made):
    return made[1][1]


@pytest.fixture
def trust(tmp_path):
    path = tmp_path / "trust.json"
    blocks = CALENDAR.mine(AT)
    path.write_text(format_trust(Trust(tuple(KEYS), witnesses=(WITNESS.verifier_key.format(),), bitcoin_blocks=blocks)))
    return path


@pytest.fixture
def report(tmp_path, trust):
    """Verifies files as a zip."""
    return lambda files: verify_bundle(packed(tmp_path / "b.zip", files), trust)


def names(found):
    return {str(each.code) for each in found.findings}


def test_the_bundle_to_tamper_with_is_whole(files, report):
    """Nothing is wrong with it, and each kind of evidence is in it."""
    whole = report(files)
    assert (whole.status, names(whole)) == ("ok", {"ERASED"})
    kinds = {json.loads(raw)["kind"] for name, raw in files.items() if re.fullmatch(r"anchors/.*\.json", name)}
    assert kinds == {"file", "opentimestamps", "rfc3161", "s3", "witness"}
    assert {kind_of(name) for name in files} == set(EXTRA) | {"index.html", "README.txt", "verify_bundle.py"} | MANIFEST


MANIFEST = {"manifest.json", "manifest.note"}
EXTRA = {  # a file more of each kind, by a name that one of its kind could have
    "entries.bin": "entries2.bin",
    "entries.csv": "entries/entries.csv",
    "entries.jsonl": "./entries.jsonl",
    "entries.texts.jsonl": "entries.texts.JSONL",
    "related.bin": "related.bin/",
    "related.csv": "../related.csv",
    "related.jsonl": "/related.jsonl",
    "related.texts.jsonl": "related.texts.jsonl\0.exe",
    "proofs/0/N.tlog-proof": "proofs/0/299.tlog-proof",
    "checkpoints/0.note": "checkpoints/1.note",
    "anchors/0/N.json": "anchors/0/99.json",
    "anchors/0/N.tsr": "anchors/0/0.tsr",
    "anchors/0/N.note": "anchors/0/0.note",
    "anchors/0/N.note.ots": "anchors/0/0.note.ots",
    "anchors/0/N.header": "anchors/0/0.header",
    "anchors/0/N.evidence": "anchors/0/99.evidence",
    "digests/N.json": "digests/99.json",
}


def kind_of(name):
    numbered = re.sub(r"(?<=/)[0-9]+(?=\.)", "N", name)
    return name if name.startswith("checkpoints/") else numbered


def one_of_each(files):
    return {kind_of(name): name for name in files}.values()


def test_a_file_that_was_changed_is_named(files, report):
    """A byte more in any kind of file; the proofs are bound by what they lead to, the others by the manifest."""
    for name in one_of_each(files):
        found = names(report({**files, name: files[name] + b"\n"}))
        assert found & {"FILE_MODIFIED", "BAD_SIGNATURE", "TREE_DIVERGED"}, (name, found)


def test_a_file_that_was_removed_is_named(files, report):
    """Any kind of file, in an order that nothing stands on."""
    for name in one_of_each(files):
        found = names(report({kept: raw for kept, raw in files.items() if kept != name}))
        assert "FILE_MISSING" in found, (name, found)


def test_a_file_of_another_bundle_is_named(files, other, report):
    """The same file of a forked ledger's bundle, each alone: though that one is signed by the same key."""
    for name in one_of_each(files):
        if name in other and other[name] != files[name]:
            found = names(report({**files, name: other[name]}))
            assert found - STATUS_CODES, (name, found)


# Nobody can tell without a signed manifest: words for people, what is said of an anchor beside its note, and how the
# bundle came to be. A text is no evidence, and one more copy of what is true proves nothing false.
ONLY_SAID = {"index.html", "README.txt", "verify_bundle.py", "anchors/0/N.evidence"}


def test_a_file_of_another_bundle_is_named_when_all_hashes_were_made_to_fit(files, other, report):
    """The same by somebody who makes the manifest anew: what is evidence contradicts the rest."""
    for name in one_of_each(files):
        if name in other and other[name] != files[name] and name not in MANIFEST and kind_of(name) not in ONLY_SAID:
            found = names(report(sealed_again({**files, name: other[name]})))
            assert found - STATUS_CODES, (name, found)


def test_a_file_more_is_named(files, report):
    """A file more of each kind, in the manifest or not; names that would leave the folder are among them."""
    for kind, name in EXTRA.items():
        like = next(each for each in files if kind_of(each) == kind)
        for added in ({**files, name: files[like]}, sealed_again({**files, name: files[like]})):
            found = names(report(added))
            is_fitted = added["manifest.json"] != files["manifest.json"]
            if not (is_fitted and name in {"anchors/0/99.json", "digests/99.json"}):  # a true checkpoint hides nothing
                assert "FILE_ADDED" in found, (name, found)


def record_of(files, kind):
    return next(name for name, raw in files.items() if f'"kind": "{kind}"'.encode() in raw)


def field(name, **values):
    """Change fields of a JSON file."""
    return on(name, lambda raw: json.dumps({**json.loads(raw), **values}, ensure_ascii=False).encode())


def in_manifest(*path, value):
    """Change one value of the manifest."""

    def tamper(files):
        manifest = json.loads(files["manifest.json"])
        *way, last = path
        place = manifest
        for step in way:
            place = place[step]
        place[last] = value
        files["manifest.json"] = json.dumps(manifest).encode()

    return tamper


def anchor(kind, suffix, change):
    """Change a file of the anchor of a kind."""

    def tamper(files):
        name = record_of(files, kind).replace(".json", suffix)
        files[name] = change(files[name])

    return tamper


def rotated(signers):
    """A key rotation among the entries that explain, with these signatures."""

    def tamper(files):
        fields = {"old_key": SIGNER.verifier_key.format(), "new_key": NEXT.verifier_key.format()}
        note = sign_statement("key_rotation", fields, signers)
        row = {"event_type": "key_rotation", "attributes": [("audit.key_rotation.statement", note)]}
        built = Built().extend([*(event(seq) for seq in range(30)), replace(event(0), columns=row, content={})])
        files["related.bin"] += struct.pack(">I", len(built.encodings[30])) + built.encodings[30]

    return tamper


def signed_by_a_stranger(files):
    """The checkpoint, and every proof into it, by somebody else's key."""
    note = files[CHECKPOINT]
    forged = sign_checkpoint(read_checkpoint(note.decode()), [NEXT]).encode()
    for name in files:
        if name.startswith(("checkpoints/", "proofs/")):
            files[name] = replaced(files[name], note, forged)


def without(*starts):
    return lambda files: [files.pop(name) for name in list(files) if name.startswith(starts)]


def both(*tampers):
    return lambda files: [tamper(files) for tamper in tampers]


NEXT = Signer(ORIGIN, b"n" * 32)
BIN, CSV, JSONL, TEXTS = "entries.bin", "entries.csv", "entries.jsonl", "entries.texts.jsonl"
PROOF, NEXT_PROOF, CHECKPOINT = "proofs/0/7.tlog-proof", "proofs/0/8.tlog-proof", "checkpoints/0.note"
LOST = {f"{ORIGIN}+{SIGNER.verifier_key.key_id.hex()}": "2020-01-01T00:00:00Z"}
# What somebody does, what is said of it (code, entry, column), and what the trust file has besides.
TAMPERINGS = {
    "csv text": (on(CSV, lambda raw: with_cell(raw, 10, "input", "x")), ("ROW_MODIFIED", 10, "input")),
    "csv seq": (on(CSV, lambda raw: with_cell(raw, 7, "seq", "77")), ("ROW_MODIFIED", 7, "seq")),
    "csv quotes": (on(CSV, lambda raw: replaced(raw, b'"actor_id-7"', b"actor_id-7")), ("NON_CANONICAL", None, None)),
    "csv header": (on(CSV, lambda raw: replaced(raw, b"task_kind", b"task_kinds")), ("ROW_MODIFIED", 5, "task_kind")),
    "csv row removed": (on(CSV, lambda raw: lines_of(raw, lambda it: it.pop(3))), ("ROW_DELETED", 7, None)),
    "csv row added": (on(CSV, lambda raw: lines_of(raw, lambda it: it.append(
        it[1].replace(b",5,", b",99,")))), ("ROW_INSERTED", 99, None)),
    "csv row twice": (on(CSV, lambda raw: lines_of(raw, lambda it: it.append(it[1]))), ("ROW_DUPLICATED", 5, None)),
    "csv reordered": (on(CSV, lambda raw: lines_of(raw, lambda it: it.insert(1, it.pop(2)))),
                      ("ROW_REORDERED", 6, None)),
    "csv not text": (on(CSV, lambda raw: b"\xff" + raw), ("ROW_MODIFIED", 5, "recorded_at")),
    "csv is junk": (on(CSV, lambda _: b"junk"), ("ROW_DELETED", 5, None)),
    "json row removed": (on(JSONL, lambda raw: lines_of(raw, lambda it: it.pop())), ("ROW_DELETED", 15, None)),
    "json reordered": (on(JSONL, lambda raw: lines_of(raw, lambda it: it.reverse())), ("ROW_REORDERED", 15, None)),
    "json key added": (on(JSONL, lambda raw: with_field(raw, 9, "more", 1)), ("ROW_MODIFIED", 9, "more")),
    "json is junk": (on(JSONL, lambda _: b"junk"), ("FILE_MODIFIED", None, None)),
    "encoding": (on(BIN, lambda raw: replaced(raw, b"actor_id-8", b"actor_id-X")), ("ROW_MODIFIED", 8, None)),
    "encoding removed": (on(BIN, lambda raw: frames_of(raw, lambda it: it.pop(2))), ("ROW_INSERTED", 7, None)),
    "encoding twice": (on(BIN, lambda raw: frames_of(raw, lambda it: it.insert(2, it[2]))),
                       ("ROW_DUPLICATED", 7, None)),
    "encodings reordered": (on(BIN, lambda raw: frames_of(raw, lambda it: it.reverse())), ("ROW_REORDERED", 14, None)),
    "encodings cut": (on(BIN, lambda raw: raw[:-3]), ("FILE_MODIFIED", None, None)),
    "a huge encoding": (on(BIN, lambda raw: b"\xff\xff\xff\xff" + raw), ("FILE_MODIFIED", None, None)),
    "schema version": (on(BIN, lambda raw: raw[:4] + b"\x02" + raw[5:]), ("NON_CANONICAL", None, None)),
    "text": (on(TEXTS, lambda raw: replaced(raw, b"question 10", b"question 11")), ("CONTENT_MISMATCH", 10, "input")),
    "opening": (on(TEXTS, lambda raw: re.sub(rb'"opening":"..', b'"opening":"00', raw, count=1)),
                ("CONTENT_MISMATCH", 5, "input")),
    "text's name": (on(TEXTS, lambda raw: raw.replace(b'"input"', b'"rationale"', 1)),
                    ("CONTENT_MISMATCH", 5, "rationale")),
    "text's entry": (on(TEXTS, lambda raw: raw.replace(b'"seq":5', b'"seq":6', 1)), ("CONTENT_MISMATCH", 6, "input")),
    "text's ledger": (on(TEXTS, lambda raw: raw.replace(ORIGIN.encode(), b"audit.example.com/a", 1)),
                      ("CONTENT_MISMATCH", 5, "input")),
    "texts swapped": (on(TEXTS, lambda raw: lines_of(raw, lambda it: it.insert(0, it.pop(1)))),
                      ("NON_CANONICAL", None, None)),
    "text with a space": (on(TEXTS, lambda raw: raw.replace(b":", b": ", 1)), ("NON_CANONICAL", None, None)),
    "text is junk": (on(TEXTS, lambda raw: b"junk\n" + raw), ("FILE_MODIFIED", None, None)),
    "opening is no hash": (on(TEXTS, lambda raw: replaced(raw, b'"opening":"', b'"opening":"x')),
                           ("FILE_MODIFIED", None, None)),
    "text removed": (on(TEXTS, lambda raw: lines_of(raw, lambda it: it.pop(0))), ("CONTENT_MISSING", 5, "input")),
    "text added": (on(TEXTS, lambda raw: lines_of(raw, lambda it: it.append(
        it[-1].replace(b'"seq":15', b'"seq":99')))), ("CONTENT_MISMATCH", 99, None)),
    "an erased text is back": (on(TEXTS, lambda raw: raw + erased_text()), ("FALSE_TOMBSTONE", ERASED, "input")),
    "proof of another entry": (lambda files: files.update({PROOF: files[NEXT_PROOF]}), ("TREE_DIVERGED", 7, None)),
    "proof hash": (on(PROOF, lambda raw: lines_of(raw, lambda it: it.__setitem__(2, it[3]))),
                   ("ROW_MODIFIED", 7, None)),
    "proof's index": (on(PROOF, lambda raw: replaced(raw, b"index 7", b"index 07")), ("TREE_DIVERGED", 7, None)),
    "proof's kind": (on(PROOF, lambda raw: replaced(raw, b"@v1", b"@v2")), ("TREE_DIVERGED", 7, None)),
    "proof's checkpoint": (on(PROOF, lambda raw: replaced(raw, b"\n290\n", b"\n291\n")), ("TREE_DIVERGED", 7, None)),
    "proof not base64": (on(PROOF, lambda raw: raw.replace(b"=\n", b"\n", 1)), ("NON_CANONICAL", 7, None)),
    "proof removed": (lambda files: files.pop(PROOF), ("FILE_MISSING", 7, None)),
    "proof is huge": (on(PROOF, lambda raw: raw + bytes(program.LARGEST_NOTE)), ("FILE_MODIFIED", 7, None)),
    "proofs swapped": (lambda files: files.update({PROOF: files[NEXT_PROOF], NEXT_PROOF: files[PROOF]}),
                       ("TREE_DIVERGED", 8, None)),
    "checkpoint root": (on(CHECKPOINT, lambda raw: lines_of(raw, lambda it: it.__setitem__(
        2, b"A" * 43 + b"=\n"))), ("BAD_SIGNATURE", None, None)),
    "checkpoint's size": (on(CHECKPOINT, lambda raw: replaced(raw, b"\n290\n", b"\n291\n")),
                          ("BAD_SIGNATURE", None, None)),
    "checkpoint of another ledger": (on(CHECKPOINT, lambda raw: replaced(raw, b"receiver-0\n", b"receiver-1\n")),
                                     ("WRONG_ORIGIN", None, None)),
    "checkpoint unsigned": (on(CHECKPOINT, lambda raw: raw.partition(b"\n\n")[0] + b"\n"),
                            ("BAD_SIGNATURE", None, None)),
    "checkpoint by a stranger": (signed_by_a_stranger, ("UNKNOWN_KEY", None, None)),
    "checkpoint removed": (lambda files: files.pop(CHECKPOINT), ("FILE_MISSING", None, None)),
    "anchor's note": (on(ANCHOR, lambda raw: replaced(raw, b"\\n100\\n", b"\\n101\\n")), ("BAD_SIGNATURE", None, None)),
    "anchor's proof": (field(ANCHOR, consistency=[]), ("CHAIN_REBUILT", None, None)),
    "anchor's proof is junk": (field(ANCHOR, consistency=["x"]), ("NON_CANONICAL", None, None)),
    "anchor's kind": (anchor("rfc3161", ".json", lambda raw: replaced(raw, b'"rfc3161"', b'"file"')),
                      ("FILE_ADDED", None, None)),
    "anchor of another history": (field(ANCHOR, note=Built().extend(map(event, range(1, 101))).note(100)),
                                  ("CHAIN_REBUILT", None, None)),
    "anchor of a split view": (anchor("s3", ".json", lambda raw: json.dumps({
        **json.loads(raw), "note": Built().extend(map(event, range(1, 291))).note(290)}).encode()),
        ("SPLIT_VIEW", None, None)),
    "timestamp": (anchor("rfc3161", ".tsr", lambda raw: raw[:-1]), ("TSA_INVALID", None, None)),
    "timestamp over something else": (anchor("rfc3161", ".tsr", lambda _: timestamp("x")),
                                      ("IMPRINT_MISMATCH", None, None)),
    "timestamp's note": (anchor("rfc3161", ".note", lambda raw: raw + b"x"), ("IMPRINT_MISMATCH", None, None)),
    "block proof": (anchor("opentimestamps", ".note.ots", lambda raw: replaced(raw, b"before", b"beFore")),
                    ("OTS_INVALID", None, None)),
    "block proof's note": (anchor("opentimestamps", ".note", lambda raw: raw + b"x"), ("IMPRINT_MISMATCH", None, None)),
    "block header": (anchor("opentimestamps", ".header", lambda raw: raw[:-1] + b"x"), ("OTS_INVALID", None, None)),
    "block header removed": (lambda files: files.pop(record_of(files, "opentimestamps").replace(".json", ".header")),
                             ("OTS_PENDING", None, None)),
    "block that is not Bitcoin's": (lambda _: None, ("OTS_INVALID", None, None),
                                    {"bitcoin_blocks": {"840000": "0" * 64}}),
    "cosignature": (anchor("witness", ".json", lambda raw: re.sub(rb"(witness.example.org \w+)\w", rb"\1A", raw)),
                    ("WITNESS_QUORUM_MISSING", None, None), {"witness_quorum": 1}),
    "cosignature removed": (lambda files: files.pop(record_of(files, "witness")),
                            ("WITNESS_QUORUM_MISSING", None, None), {"witness_quorum": 1}),
    "lost key": (lambda _: None, ("KEY_OUTSIDE_VALIDITY", None, None), {"compromised_keys": LOST}),
    "digest": (on(DIGEST, lambda raw: replaced(raw, b"2026-11-25", b"2026-11-24")), ("BAD_SIGNATURE", None, None)),
    "digest's proof": (on(DIGEST, lambda raw: replaced(raw, b'"consistency": {', b'"consistency": {}, "was": {')),
                       ("FILE_MODIFIED", None, None)),
    "removed file": (lambda files: files.pop(TEXTS), ("CONTENT_MISSING", 5, "input")),
    "removed rows everywhere": (without("entries."), ("FILE_MODIFIED", None, None)),
    "removed all": (without("entries.", "related.", "proofs/"), ("NOTHING_VERIFIED", None, None)),
    "anchors removed": (without("anchors/", "digests/"), ("UNANCHORED_TAIL", 0, None)),
    "erasure removed": (on("related.bin", lambda raw: frames_of(raw, lambda it: it.clear())),
                        ("CONTENT_MISSING", ERASED, "input")),
    "erasure's basis": (on("related.bin", lambda raw: replaced(raw, b"art. 17", b"art. 18")),
                        ("FALSE_TOMBSTONE", ERASURE, None)),
    "erasure": (on("related.bin", lambda raw: replaced(raw, b"art. 17", b"art. 18")), ("ROW_MODIFIED", ERASURE, None)),
    "rotation by one key": (rotated([SIGNER]), ("BAD_SIGNATURE", 30, "attributes")),
    "rotation that was never recorded": (rotated([SIGNER, NEXT]), ("KEY_OUTSIDE_VALIDITY", None, None)),
    "a digest by a stranger": (on(DIGEST, lambda _: json.dumps({
        "source": "x", "note": digest(history(), 100, signer=OTHER_KEY).note, "consistency": {}}).encode()),
        ("ANCHOR_DAMAGED", None, None)),
    "another trust": (lambda _: None, ("UNKNOWN_KEY", None, None), {"verifier_keys": [NEXT.verifier_key.format()]}),
    "manifest unsigned": (lambda _: None, ("MANIFEST_UNSIGNED", None, None)),
    "nothing at all": (lambda _: None, ("ERASED", ERASED, "input")),
    **{f"manifest's {'.'.join(map(str, path))}": (in_manifest(*path, value=value), ("FILE_MODIFIED", None, None))
       for path, value in {
           ("counts", "entries"): 8, ("counts", "related"): 2, ("counts", "texts"): 6, ("counts", "gone"): 0,
           ("counts",): None, ("period",): ["2025-01-01T00:00:00.000000000Z"] * 2,
           ("ledgers", 0, "root_hash"): "00" * 32, ("ledgers", 0, "entries"): 1, ("ledgers", 0, "last_seq"): 16,
           ("ledgers", 0, "size"): "x", ("ledgers", 0, "origin"): "audit.example.com/x",
       }.items()},
    "manifest without ledgers": (in_manifest("ledgers", value=[]), ("FILE_ADDED", None, None)),
}  # fmt: skip
# What somebody without the key can do unnoticed but for MANIFEST_UNSIGNED (docs/design/bundle-format.md says it), and
# what only a state tells of.
STATES = {
    "anchors removed", "block header removed", "manifest unsigned", "nothing at all",
    "a digest by a stranger",
}  # fmt: skip
OTHER_KEY = Signer("audit.example.com/other", b"o" * 32)


def erased_text():
    """The line of the text that was erased, by somebody who kept a copy."""
    built = history()
    _, name, _, opening, value = next(each for each in built.contents if each[:2] == (ERASED, "input"))
    fields = {"origin": ORIGIN, "seq": ERASED, "name": name, "opening": opening.hex(), "value": value}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_named(files, report, trust, tampering):
    """Each change is named, though all hashes and counts were made to fit; as it is, it contradicts the manifest."""
    tamper, expected, *more = TAMPERINGS[tampering]
    if more:
        trust.write_text(json.dumps(json.loads(trust.read_text()) | more[0]))
    tamper(files)
    plain, sealed = report(files), report(sealed_again(dict(files)))
    assert expected in codes(sealed), codes(sealed)
    assert (sealed.status == "tampered") == (tampering not in STATES), codes(sealed)
    assert plain.status == "tampered" or tampering in {"manifest unsigned", "nothing at all"}


def test_anchors_that_the_manifest_counts_and_are_not_there_are_missed(files, report):
    """Whoever removes an anchor has to change the count, too, which only the signature guards."""
    without(record_of(files, "s3"), record_of(files, "s3").replace(".json", ".evidence"))(files)
    sealed = sealed_again(dict(files))
    assert report(sealed).status == "ok"
    sealed["manifest.json"] = replaced(sealed["manifest.json"], b'"anchors": 5', b'"anchors": 6')
    assert "FILE_MODIFIED" in names(report(sealed))


def test_every_code_of_the_program_is_produced():
    """No code is without a case above, but what a ledger itself can lie about: tests/attacks makes bundles of those."""
    source = program.__loader__.get_source(program.__name__)
    every = set(re.findall(r'"([A-Z]+_[A-Z_]+|ERASED)"', source)) - {"CONTENT", "FULL"}
    recorded = {"BACKDATED", "FUTURE_DATED", "NON_MONOTONIC"}
    assert every - recorded == {expected[0] for _, (_, expected, *_) in TAMPERINGS.items()}


def test_every_cell_of_both_tables_is_bound(files, report):
    """Another value in any column of the CSV, or in any field of the JSON Lines, is named with entry and column."""
    for table, change, columns in (
        (CSV, lambda raw, column: with_cell(raw, 10, column, "77"), program.CSV_COLUMNS),
        (JSONL, lambda raw, column: with_field(raw, 10, column, "77"), json.loads(files[JSONL].splitlines()[5])),
    ):
        for column in columns:
            altered = {**files, table: change(files[table], column)}
            found = {each[::2] for each in codes(report(sealed_again(altered)))}
            assert ("ROW_MODIFIED", column) in found, (table, column, found)


def test_any_flipped_bit_is_found(files, tmp_path, trust):
    """One bit changed in any byte of a sample from every file is found; no file is without matter."""
    path = tmp_path / "b.zip"
    for name, raw in files.items():
        for at in sorted({*range(0, len(raw), max(1, len(raw) // 3)), *([len(raw) - 1] if raw else [])}):
            flipped = bytearray(raw)
            flipped[at] ^= 1 << at % 8
            packed(path, {**files, name: bytes(flipped)})
            try:
                assert verify_bundle(path, trust).status == "tampered", (name, at)
            except ConfigError:
                assert name == "manifest.json", (name, at)  # of an unknown format: not checked, and not OK


EVIDENCE = {"entries", "related", "proofs", "checkpoints"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_random_bit_matters(made, tmp_path, trust, data):
    """One random bit of a random file of evidence is found, though somebody without a key made all hashes fit.

    Anchors are left out here: their kind, source and times are what the maker says, and only their notes are proven.
    """
    files = made[0][1]
    names = [name for name, raw in files.items() if raw and name.split("/")[0].split(".")[0] in EVIDENCE]
    name = data.draw(st.sampled_from(sorted(names)))
    raw = bytearray(files[name])
    raw[data.draw(st.integers(0, len(raw) - 1), label=name)] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path = packed(tmp_path / "bit.zip", sealed_again({**files, name: bytes(raw)}))
    assert verify_bundle(path, trust).status == "tampered", name


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 0.999999), bit=st.integers(0, 7))
def test_a_flipped_bit_of_the_zip_never_passes(made, tmp_path, trust, at, bit):
    """Anywhere in the zip itself: it is found, or refused, or what is unpacked is what was packed."""
    raw, files = made[0]
    flipped = bytearray(raw)
    flipped[int(at * len(raw))] ^= 1 << bit
    path = tmp_path / "flipped.zip"
    path.write_bytes(flipped)
    try:
        found = verify_bundle(path, trust)
    except ConfigError:
        return  # not to be read: exit code 2
    assert found.status == "tampered" or unpacked(bytes(flipped)) == files


def with_info(files, change):
    """The files as a zip whose members somebody wrote on their own terms."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            info = zipfile.ZipInfo(name)
            change(info)
            archive.writestr(info, raw)
    return out.getvalue()


def as_link(info):
    if info.filename == CSV:
        info.external_attr = (stat.S_IFLNK | 0o777) << 16


def packed_otherwise(info):
    info.compress_type = zipfile.ZIP_BZIP2 if info.filename == CSV else zipfile.ZIP_DEFLATED


def encrypted(raw):
    """Say of the first file in the table of contents that it is encrypted."""
    at = raw.index(b"PK\1\2")
    return raw[: at + 8] + b"\1" + raw[at + 9 :]


ZIPS = {
    "link": lambda files: with_info(files, as_link),
    "another compression": lambda files: with_info(files, packed_otherwise),
    "encrypted": lambda files: encrypted(with_info(files, lambda _: None)),
    "bytes in front": lambda files: b"MZ" * 40 + with_info(files, lambda _: None),
    "comment": lambda files: with_info(files, lambda _: None)[:-2] + b"\x05\0hello",
}


@pytest.mark.parametrize("odd", ZIPS)
def test_odd_zips_are_named(files, tmp_path, trust, odd):
    """What other programs would unpack in another way than this one reads it is no bundle."""
    path = tmp_path / "b.zip"
    path.write_bytes(ZIPS[odd](files))
    assert "FILE_ADDED" in names(verify_bundle(path, trust))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_named(files, tmp_path, trust):
    """Which of two files of one name is unpacked depends on the program: neither is read."""
    path = packed(tmp_path / "b.zip", files)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CSV, files[CSV])
    found = verify_bundle(path, trust)
    assert "entries.csv' is there more than once" in str(found.findings)


def test_a_bomb_is_refused(files, tmp_path, trust):
    """What would unpack to gigabytes of nothing is not read, and that is said: exit code 2."""
    path = tmp_path / "b.zip"
    path.write_bytes(with_info(files, lambda _: None))
    raw = path.read_bytes()
    entry = raw.index(CSV.encode(), raw.index(b"PK\1\2")) - 46  # in the table of contents
    path.write_bytes(raw[: entry + 24] + b"\0\0\0\xfe" + raw[entry + 28 :])
    with pytest.raises(ConfigError, match="it would unpack to 426"):
        verify_bundle(path, trust)


def test_a_truncated_zip_is_refused(files, tmp_path, trust):
    """A zip that was cut off has no table of contents: exit 2, and never OK; one with a damaged file is tampered."""
    path = packed(tmp_path / "b.zip", files)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 100):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=r"b\.zip"):
            verify_bundle(path, trust)
    refused = alone(path, trust)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Traceback" not in refused.stderr
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        at = archive.getinfo(CSV).header_offset + 200
    path.write_bytes(whole[:at] + b"XXXX" + whole[at + 4 :])
    assert "FILE_MODIFIED" in names(verify_bundle(path, trust))


def test_another_trust_is_told_from_tampering(files, report, trust):
    """Keys of another ledger prove nothing: the words say so, name the keys, and do not cry wolf. Exit code 1."""
    trust.write_text(NEXT.verifier_key.format())
    found = report(files)
    text = format_bundle_report(found)
    assert found.status == "tampered"
    assert text.startswith("NOT PROVEN: nobody whom the trust file names signed this.")
    assert f"these are: {ORIGIN}+{NEXT.verifier_key.key_id.hex()}" in text


def test_a_changed_cell_among_many_is_found_quickly(tmp_path, monkeypatch):
    """Comparing a table takes time in proportion to it, and names at most 1000 rows singly."""
    rows = 20_000
    due = {(ORIGIN, seq): {"origin": ORIGIN, "seq": str(seq), "x": "a"} for seq in range(rows)}
    there = [(place, {**line, "x": "b"}) for place, line in due.items()]
    monkeypatch.setattr(program.Verification, "lines_due", lambda *_: due.items())
    monkeypatch.setattr(program.Verification, "lines_there", lambda *_: there)
    with zipfile.ZipFile(packed(tmp_path / "b.zip", {})) as archive:
        verification = program.Verification(archive, program.read_trust(SIGNER.verifier_key.format()))
        verification.compare_table("entries", "csv")
    assert len([each for each in verification.findings if each["seq"] is not None]) == program.LISTED
    assert "19000 more such rows" in verification.findings[-1]["detail"]
