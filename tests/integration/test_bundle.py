"""Evidence bundles: what is in them, what a check says about a whole one, and what it calls each kind of tampering."""

import csv
import hashlib
import io
import json
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import cryptography
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_audit.anchors import AnchorReading
from otel_audit.errors import ConfigError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, sign_checkpoint
from otel_audit.ledger.digest import Digest, StoredDigest, Tip, sign_digest
from otel_audit.ledger.erasure import Erasure
from otel_audit.ledger.findings import STATUS_CODES, Code
from otel_audit.ledger.note import Signer
from otel_audit.ledger.proof_file import parse_proof, verify_proof
from otel_audit.ledger.schema import COLUMNS
from otel_audit.ledger.statement import sign_statement
from otel_audit.ledger.trust import Trust, format_trust
from otel_audit.model import AuditEvent, Checkpoint, Filter
from otel_audit.reports.bundle import verify_bundle as program
from otel_audit.reports.bundle.check import format_bundle_report, verify_bundle
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import Making, write_bundle
from otel_audit.reports.export import CSV_COLUMNS, chunks
from otel_audit.store.reader import Reader
from tests.attacks.ledger import KEYS, ORIGIN, SIGNER, START, Built, Store, event

MAKING = Making(START, "u_9", "complaint 4821", "0.1.0")
PROGRAM = Path(program.__file__)
SECOND = 1_000_000_000
WHERE = Filter(since=START + 5 * SECOND, until=START + 12 * SECOND)  # entries 5 to 11; 5 and 10 have texts
ERASED, ERASURE = 15, 20
OTHER = Signer("audit.example.com/other", b"o" * 32)
OTHERS = Checkpoint(OTHER.verifier_key.name, 7, b"r" * 32)


def history():
    """300 entries; entry 20 says that the input of entry 15 was erased, and entry 21 that another key follows."""
    events = [event(seq) for seq in range(300)]
    events[2] = AuditEvent({**events[2].columns, "name": "=cmd()|x", "score": float("nan"), "task_id": 'a "b"\r\nc'})
    erasure = Erasure(ORIGIN, ((15, 15),), "art. 17", "dpo_1", "legal_4", START, "seqs", names=frozenset({"input"}))
    note = sign_statement("erasure", erasure.fields(), [SIGNER])
    events[ERASURE] = AuditEvent({"event_type": "erasure", "attributes": [("audit.erasure.statement", note)]})
    return Built().extend(events)


@pytest.fixture(scope="module")
def built():
    return history()


@pytest.fixture
def stored(database, built):
    store = Store(database)
    store.insert_entries(built, 0, 300)
    store.insert_contents(built)
    store.insert_tiles(built)
    store.insert_checkpoints(built, (100, 256, 290))
    store.run(f"ALTER TABLE audit_content DELETE WHERE seq = {ERASED} AND name = 'input'")
    return database


def anchors(built, *sizes):
    return [AnchoredCheckpoint(ORIGIN, built.note(size), f"/home/jane/x/2026.jsonl line {size}") for size in sizes]


def digest(built, *sizes, signer=SIGNER, number=1):
    """A daily digest of this ledger and another one."""
    tips = tuple(Tip(note, 0) for note in (*map(built.note, sizes), sign_checkpoint(OTHERS, [OTHER])))
    made = Digest(signer.verifier_key.name, number, "", "2026-11-25T00:00:00Z", tips)
    return StoredDigest(sign_digest(made, [signer]), f"/home/jane/x/digests/{number}.note", "x")


def reading(built, *sizes, digests=()):
    return AnchorReading(tuple(anchors(built, *sizes)), digests=tuple(digests))


def make(database, built, where=WHERE, anchored=(100, 290), signer=SIGNER, digests=()):
    out = io.BytesIO()
    collector = Collector(database, where, reading(built, *anchored, digests=digests))
    made = write_bundle(out, collector, MAKING, signer=signer)
    return made, out.getvalue()


def unpacked(raw):
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


_FILES: dict[str, bytes] = {}  # of the bundle of WHERE, once it was made


@pytest.fixture
def files(request, built):
    """The files of the bundle of WHERE, to tamper with: the engine is asked once."""
    if not _FILES:
        digests = [digest(built, 100)]
        _FILES.update(unpacked(make(request.getfixturevalue("stored"), built, digests=digests)[1]))
    return dict(_FILES)


@pytest.fixture
def trust(tmp_path):
    path = tmp_path / "trust.json"
    path.write_text(format_trust(Trust(tuple(KEYS))))
    return path


def alone(path, trust, *, keys=True):
    """Run the program of the bundle with nothing but the standard library and cryptography to import."""
    site = Path(cryptography.__file__).parents[1]
    folder = path.parent / "only"
    folder.mkdir(exist_ok=True)
    for name in ("cryptography", "_cffi_backend*.so", "cffi"):
        for found in site.glob(name):
            if not (folder / found.name).exists():
                (folder / found.name).symlink_to(found)
    code = "import sys, runpy; sys.path.append(sys.argv.pop(1)); runpy.run_path(sys.argv[0], run_name='__main__')"
    start = f"import sys; sys.argv = sys.argv[1:]; {code}"
    options = ["--trust", str(trust)] if keys else []
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start, str(PROGRAM), str(folder), str(path), "--json", *options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def checked(path, trust):
    """The report, which is the same from both verifiers."""
    ours = verify_bundle(path, trust)
    theirs = alone(path, trust)
    assert theirs.returncode == {"ok": 0, "tampered": 1, "unverifiable": 1}[ours.status], theirs.stderr
    assert json.loads(theirs.stdout) == json.loads(json.dumps(ours.to_json()))
    return ours


def codes(report):
    return {(each.code, each.seq, each.column) for each in report.findings}


def test_a_whole_bundle_is_ok_by_both_verifiers(stored, built, tmp_path, trust):
    """What was not altered is OK, with the counts, and nothing to say about it."""
    made, raw = make(stored, built)
    path = tmp_path / "bundle.zip"
    path.write_bytes(raw)
    report = checked(path, trust)
    assert (report.status, report.findings) == ("ok", ())
    assert (made.entries, made.related, made.texts) == (7, 1, 4)
    assert report.counts == {"entries": 7, "related": 1, "texts": 4, "gone": 0, "proven": 8}
    assert format_bundle_report(report).startswith("OK")


def test_the_tables_are_those_of_an_export(stored, built):
    """CSV and JSON Lines are the bytes that `export` writes for the same entries."""
    where = Filter(sizes=((ORIGIN, 290),))
    files = unpacked(make(stored, built, where)[1])
    rows = list(Reader(stored).stream(where))
    assert files["entries.csv"] == b"".join(chunks("csv", rows, bom=True))
    assert files["entries.jsonl"] == b"".join(chunks("jsonl", rows))
    assert "'=cmd()|x" in files["entries.csv"].decode()


def test_what_a_filter_asks_for_is_stated(stored, built):
    """Each kind of a filter's value is in the manifest in words: numbers, several values, times."""
    where = Filter(service=("service-a", "service-b"), confidence_from=0.5, since=START, words_per_minute=250)
    stated = json.loads(unpacked(make(stored, built, where)[1])["manifest.json"])["filter"]
    assert (stated["service"], stated["confidence_from"], stated["words_per_minute"]) == (
        "service-a; service-b",
        "0.5",
        "250",
    )
    assert stated["since"].endswith("Z")


def test_an_erased_text_is_listed_with_its_statement(stored, built, tmp_path, trust):
    """A text that is gone is ERASED where a signed entry says so, and the bundle brings that entry with its proof."""
    where = Filter(since=START + ERASED * SECOND, until=START + (ERASED + 1) * SECOND)
    made, raw = make(stored, built, where)
    assert (made.erased, made.related) == (1, 1)
    path = packed(tmp_path / "b.zip", unpacked(raw))
    report = checked(path, trust)
    assert report.status == "ok"
    assert codes(report) == {(Code.ERASED, ERASED, "input")}
    assert "art. 17" in report.findings[0].detail


def test_a_text_that_nobody_erased_is_missing(stored, built, tmp_path, trust):
    """A text that is gone without a statement is CONTENT_MISSING."""
    with stored.client() as client:
        client.command("ALTER TABLE audit_content DELETE WHERE seq = 10", settings={"mutations_sync": 1})
    report = checked(packed(tmp_path / "b.zip", unpacked(make(stored, built)[1])), trust)
    assert codes(report) == {(Code.CONTENT_MISSING, 10, "input"), (Code.CONTENT_MISSING, 10, "output")}


def test_what_is_not_under_a_checkpoint_is_left_out_and_counted(stored, built):
    """Ten entries came after the newest checkpoint: they are counted, never proven by nothing."""
    made, _ = make(stored, built, Filter())
    assert (made.entries, made.not_sealed) == (290, 10)
    with pytest.raises(ConfigError, match="under no checkpoint yet"):
        make(stored, built, Filter(since=START + 295 * SECOND))


def test_what_no_anchor_covers_is_said(stored, built, tmp_path, trust):
    """Without an anchor beyond them, entries are an unanchored tail; it is no sign of tampering."""
    where = Filter(since=START + 120 * SECOND, until=START + 125 * SECOND)
    report = checked(packed(tmp_path / "b.zip", unpacked(make(stored, built, where, (100,))[1])), trust)
    assert (report.status, codes(report)) == ("ok", {(Code.UNANCHORED_TAIL, 100, None)})


def test_the_same_rows_give_the_same_bytes(stored, built):
    """Who, when and why change the manifest and the cover alone."""
    first, again = make(stored, built)[1], make(stored, built)[1]
    assert first == again
    out = io.BytesIO()
    write_bundle(out, Collector(stored, WHERE, reading(built, 100, 290)), Making(0, "u_1", "", "1"), signer=SIGNER)
    one, other = unpacked(first), unpacked(out.getvalue())
    assert {name for name in one if one[name] != other[name]} == {"manifest.json", "manifest.note", "index.html"}


def test_proofs_are_tlog_proofs(stored, built):
    """Each .tlog-proof holds by itself for any tool that knows the format."""
    files = unpacked(make(stored, built)[1])
    for seq in range(5, 12):
        proof = parse_proof(files[f"proofs/0/{seq}.tlog-proof"].decode())
        assert verify_proof(proof, built.leaves[seq], KEYS, ORIGIN).size == 290


def test_no_path_of_a_person_gets_out(stored, built):
    """An anchor's folder may name somebody: only its file is told."""
    files = unpacked(make(stored, built)[1])
    assert json.loads(files["anchors/0/0.json"])["source"] == "x/2026.jsonl line 100"


def test_a_bundle_does_not_vouch_for_itself(stored, built, tmp_path, trust):
    """Without trust, or with another key, nothing is said to be OK."""
    path = packed(tmp_path / "b.zip", unpacked(make(stored, built)[1]))
    with pytest.raises(ConfigError, match="keys export"):
        verify_bundle(path, None)
    refused = alone(path, trust, keys=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "keys export" in refused.stderr
    trust.write_text(Signer(ORIGIN, b"x" * 32).verifier_key.format())
    report = checked(path, trust)
    assert report.status == "tampered"
    assert {Code.UNKNOWN_KEY, Code.NOTHING_VERIFIED} <= {each.code for each in report.findings}


def test_a_rotated_key_is_followed(database, tmp_path, trust):
    """The trust file has the first key; a statement that both keys signed introduces the one that signs now."""
    new = Signer(ORIGIN, b"n" * 32)
    fields = {"old_key": SIGNER.verifier_key.format(), "new_key": new.verifier_key.format()}
    for signers, status in (([SIGNER, new], "ok"), ([SIGNER], "tampered"), ([new], "tampered")):
        note = sign_statement("key_rotation", fields, signers)
        rotation = AuditEvent({"event_type": "key_rotation", "attributes": [("audit.key_rotation.statement", note)]})
        built = Built().extend([*(event(seq) for seq in range(12)), rotation])
        store = Store(database)
        with database.client() as client:
            for table in ("audit_entries", "audit_content", "audit_checkpoints"):
                client.command(f"TRUNCATE TABLE {table}")
        store.insert_entries(built, 0, 13)
        store.insert_contents(built)
        store.insert_checkpoints(built, (13,), new)
        _, raw = make(database, built, WHERE, (), new)
        assert checked(packed(tmp_path / "b.zip", unpacked(raw)), trust).status == status


def sealed_again(files, signer=None):
    """What somebody who can change every file but has no key makes of it: hashes and counts of the manifest fit."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: hashlib.sha256(raw).hexdigest()
        for name, raw in files.items()
        if not name.startswith(("manifest.", "proofs/"))
    }
    files["manifest.json"] = json.dumps(manifest).encode()
    stated = {"manifest_sha256": hashlib.sha256(files["manifest.json"]).hexdigest()}
    files["manifest.note"] = (
        sign_statement("bundle", stated, [signer]).encode()
        if signer
        else f"otel-audit/bundle/v1\n{json.dumps(stated, separators=(',', ':'))}\n".encode()
    )
    return files


def with_cell(raw, seq, column, value):
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    at = rows[0].index("seq")
    row = next(each for each in rows[1:] if each[at] == str(seq))
    row[rows[0].index(column)] = value
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def with_field(raw, seq, column, value):
    lines = [json.loads(line) for line in raw.splitlines()]
    next(each for each in lines if each["seq"] == seq)[column] = value
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in lines).encode()


def lines_of(raw, change):
    lines = raw.splitlines(keepends=True)
    change(lines)
    return b"".join(lines)


def frames_of(raw, change):
    frames = list(program.frames(io.BytesIO(raw)))
    change(frames)
    return b"".join(struct.pack(">I", len(each)) + each for each in frames)


def replaced(raw, old, new):
    assert old in raw
    return raw.replace(old, new)


def on(name, change):
    def tamper(files):
        files[name] = change(files[name])

    return tamper


BIN, CSV, JSONL, TEXTS = "entries.bin", "entries.csv", "entries.jsonl", "entries.texts.jsonl"
EVIDENCE = {"entries", "related", "proofs", "checkpoints"}
ANCHOR, PROOF = "anchors/0/0.json", "proofs/0/7.tlog-proof"
DIGEST, NEXT_PROOF = "digests/0.json", "proofs/0/8.tlog-proof"
TAMPERINGS = {
    "csv cell": (on(CSV, lambda raw: with_cell(raw, 7, "decision", "approved")), ("ROW_MODIFIED", 7, "decision")),
    "csv text": (on(CSV, lambda raw: with_cell(raw, 10, "input", "x")), ("ROW_MODIFIED", 10, "input")),
    "csv seq": (on(CSV, lambda raw: with_cell(raw, 7, "seq", "77")), ("ROW_MODIFIED", 7, "seq")),
    "csv quotes": (on(CSV, lambda raw: replaced(raw, b'"actor_id-7"', b"actor_id-7")), ("NON_CANONICAL", None, None)),
    "csv row removed": (on(CSV, lambda raw: lines_of(raw, lambda it: it.pop(3))), ("ROW_DELETED", 7, None)),
    "csv row added": (on(CSV, lambda raw: lines_of(raw, lambda it: it.append(
        it[1].replace(b",5,", b",99,")))), ("ROW_INSERTED", 99, None)),
    "csv row twice": (on(CSV, lambda raw: lines_of(raw, lambda it: it.append(it[1]))), ("ROW_DUPLICATED", 5, None)),
    "csv reordered": (on(CSV, lambda raw: lines_of(raw, lambda it: it.insert(1, it.pop(2)))),
                      ("ROW_REORDERED", 6, None)),
    "csv not text": (on(CSV, lambda raw: b"\xff" + raw), ("ROW_MODIFIED", 5, "recorded_at")),
    "json field": (on(JSONL, lambda raw: with_field(raw, 9, "actor_id", "x")), ("ROW_MODIFIED", 9, "actor_id")),
    "json attributes": (on(JSONL, lambda raw: with_field(raw, 9, "attributes", {})), ("ROW_MODIFIED", 9, "attributes")),
    "json row removed": (on(JSONL, lambda raw: lines_of(raw, lambda it: it.pop())), ("ROW_DELETED", 11, None)),
    "json reordered": (on(JSONL, lambda raw: lines_of(raw, lambda it: it.reverse())), ("ROW_REORDERED", 11, None)),
    "encoding": (on(BIN, lambda raw: replaced(raw, b"actor_id-8", b"actor_id-X")), ("ROW_MODIFIED", 8, None)),
    "encoding removed": (on(BIN, lambda raw: frames_of(raw, lambda it: it.pop(2))), ("ROW_INSERTED", 7, None)),
    "encoding twice": (on(BIN, lambda raw: frames_of(raw, lambda it: it.insert(2, it[2]))),
                       ("ROW_DUPLICATED", 7, None)),
    "encodings reordered": (on(BIN, lambda raw: frames_of(raw, lambda it: it.reverse())), ("ROW_REORDERED", 10, None)),
    "encodings cut": (on(BIN, lambda raw: raw[:-3]), ("FILE_MODIFIED", None, None)),
    "schema version": (on(BIN, lambda raw: raw[:4] + b"\x02" + raw[5:]), ("NON_CANONICAL", None, None)),
    "text": (on(TEXTS, lambda raw: replaced(raw, b"question 10", b"question 11")), ("CONTENT_MISMATCH", 10, "input")),
    "opening": (on(TEXTS, lambda raw: re.sub(rb'"opening":"..', b'"opening":"00', raw, count=1)),
                ("CONTENT_MISMATCH", 5, "input")),
    "text removed": (on(TEXTS, lambda raw: lines_of(raw, lambda it: it.pop(0))), ("CONTENT_MISSING", 5, "input")),
    "text added": (on(TEXTS, lambda raw: lines_of(raw, lambda it: it.append(
        it[-1].replace(b'"seq":10', b'"seq":99')))), ("CONTENT_MISMATCH", 99, None)),
    "proof of another entry": (lambda files: files.update({PROOF: files["proofs/0/8.tlog-proof"]}),
                               ("TREE_DIVERGED", 7, None)),
    "proof hash": (on(PROOF, lambda raw: lines_of(raw, lambda it: it.__setitem__(2, it[3]))),
                   ("ROW_MODIFIED", 7, None)),
    "proof removed": (lambda files: files.pop(PROOF), ("FILE_MISSING", 7, None)),
    "checkpoint root": (on("checkpoints/0.note", lambda raw: lines_of(raw, lambda it: it.__setitem__(
        2, b"A" * 43 + b"=\n"))), ("BAD_SIGNATURE", None, None)),
    "checkpoint removed": (lambda files: files.pop("checkpoints/0.note"), ("FILE_MISSING", None, None)),
    "anchor's note": (on(ANCHOR, lambda raw: replaced(raw, b"\\n100\\n", b"\\n101\\n")), ("BAD_SIGNATURE", None, None)),
    "digest": (on(DIGEST, lambda raw: replaced(raw, b"2026-11-25", b"2026-11-24")), ("BAD_SIGNATURE", None, None)),
    "digest's proof": (on(DIGEST, lambda raw: replaced(raw, b'"consistency": {', b'"consistency": {}, "was": {')),
                       ("FILE_MODIFIED", None, None)),
    "digest removed": (lambda files: files.pop(DIGEST), ("FILE_MODIFIED", None, None)),
    "proofs swapped": (lambda files: files.update({PROOF: files[NEXT_PROOF], NEXT_PROOF: files[PROOF]}),
                       ("TREE_DIVERGED", 8, None)),
    "removed file": (lambda files: files.pop(TEXTS), ("CONTENT_MISSING", 5, "input")),
    "removed rows everywhere": (lambda files: [files.pop(name) for name in list(files) if name.startswith("entries.")],
                                ("FILE_MODIFIED", None, None)),
    "added file": (lambda files: files.update({"more.txt": b"x"}), ("MANIFEST_UNSIGNED", None, None)),
    "statement": (on("related.bin", lambda raw: replaced(raw, b"art. 17", b"art. 18")),
                  ("ROW_MODIFIED", ERASURE, None)),
    "counts": (on("manifest.json", lambda raw: replaced(raw, b'"entries": 7', b'"entries": 8')),
               ("FILE_MODIFIED", None, None)),
    "period": (on("manifest.json", lambda raw: replaced(raw, b'"period": [\n  "2026', b'"period": [\n  "2025')),
               ("FILE_MODIFIED", None, None)),
}  # fmt: skip


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_named(files, tmp_path, trust, tampering):
    """Each change is named by both verifiers, though all hashes and counts were made to fit; unresealed, it is too."""
    tamper, expected = TAMPERINGS[tampering]
    tamper(files)
    plain = verify_bundle(packed(tmp_path / "plain.zip", files), trust)
    assert plain.status == "tampered", plain
    report = checked(packed(tmp_path / "resealed.zip", sealed_again(files)), trust)
    assert expected in codes(report), codes(report)
    assert any(each.code not in STATUS_CODES for each in report.findings) or tampering in {"added file"}


def test_an_anchor_of_another_history_is_found(files, tmp_path, trust):
    """A checkpoint of another history, validly signed, contradicts the ledger's, whatever its size."""
    other = Built().extend(event(seq + 1) for seq in range(290))
    for size, code in ((290, "SPLIT_VIEW"), (100, "CHAIN_REBUILT")):
        record = json.loads(files[ANCHOR])
        record["note"] = other.note(size)
        files[ANCHOR] = json.dumps(record).encode()
        assert (code, None, None) in codes(checked(packed(tmp_path / "b.zip", sealed_again(files)), trust))


def test_a_digest_goes_along_and_counts_as_an_anchor(stored, built, tmp_path, trust):
    """What a daily digest covers is anchored; of all digests the first that does goes along, and the newest usable."""
    digests = [digest(built, size, number=number) for number, size in enumerate((3, 100, 256, 290), 1)]
    digests.append(digest(built, 300, number=5))  # newer than the checkpoint: no proof leads to it yet
    raw = make(stored, built, anchored=(), digests=digests)[1]
    files = unpacked(raw)
    told = [json.loads(files[f"digests/{index}.json"])["source"] for index in range(2)]
    assert told == ["digests/2.note", "digests/4.note"]
    assert json.loads(files["manifest.json"])["digests"] == 2
    report = checked(packed(tmp_path / "b.zip", files), trust)
    assert (report.status, report.findings) == ("ok", ())


def test_a_digest_by_an_unknown_ledger_is_said(stored, built, tmp_path, trust):
    """A digest that another ledger of the store signed counts for who trusts its key, and is named for who does not."""
    raw = make(stored, built, anchored=(), digests=[digest(built, 290, signer=OTHER)])[1]
    path = packed(tmp_path / "b.zip", unpacked(raw))
    report = checked(path, trust)
    assert (report.status, codes(report)) == (
        "ok",
        {(Code.ANCHOR_DAMAGED, None, None), (Code.UNANCHORED_TAIL, 0, None)},
    )
    trust.write_text(format_trust(Trust((*KEYS, OTHER.verifier_key))))
    assert checked(path, trust).findings == ()


def test_a_digest_of_another_history_is_found(files, built, tmp_path, trust):
    """A validly signed digest over a rewritten ledger contradicts the bundle's checkpoint."""
    other = Built().extend(event(seq + 1) for seq in range(290))
    for size, code in ((290, Code.SPLIT_VIEW), (100, Code.CHAIN_REBUILT)):
        record = json.loads(files[DIGEST]) | {"note": digest(other, size).note}
        files[DIGEST] = json.dumps(record).encode()
        assert (code, None, None) in codes(checked(packed(tmp_path / "b.zip", sealed_again(files)), trust))


def test_a_forged_manifest_is_found(files, tmp_path, trust):
    """Only the ledger's key signs a manifest: another one's signature counts for nothing."""
    files = sealed_again(files, Signer(ORIGIN, b"x" * 32))
    assert (Code.UNKNOWN_KEY, None, None) in codes(checked(packed(tmp_path / "b.zip", files), trust))


def test_any_flipped_bit_is_found(files, tmp_path, trust):
    """One bit changed in any byte of a sample from every file is found; no file is without matter."""
    path = tmp_path / "b.zip"
    for name, raw in files.items():
        for at in sorted({*range(0, len(raw), max(1, len(raw) // 5)), *([len(raw) - 1] if raw else [])}):
            flipped = bytearray(raw)
            flipped[at] ^= 1 << at % 8
            packed(path, {**files, name: bytes(flipped)})
            try:
                assert verify_bundle(path, trust).status == "tampered", (name, at)
            except ConfigError:
                assert name == "manifest.json", (name, at)  # of an unknown format: not checked, and not OK


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_random_bit_matters(files, tmp_path, trust, data):
    """One random bit of a random file of evidence is found, though somebody without a key made all hashes fit.

    Anchors are left out here: their kind, source and times are what the maker says, and only their notes are proven.
    """
    names = [name for name, raw in files.items() if raw and name.split("/")[0].split(".")[0] in EVIDENCE]
    name = data.draw(st.sampled_from(sorted(names)))
    raw = bytearray(files[name])
    raw[data.draw(st.integers(0, len(raw) - 1), label=name)] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path = packed(tmp_path / "bit.zip", sealed_again({**files, name: bytes(raw)}))
    report = verify_bundle(path, trust)
    assert report.status == "tampered", (name, report)


def test_a_file_that_is_no_bundle_is_refused(tmp_path, trust):
    """What is no zip can not be checked: exit 2, with the reason."""
    path = tmp_path / "b.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(ConfigError, match=r"b\.zip"):
        verify_bundle(path, trust)
    assert alone(path, trust).returncode == 2


def test_a_truncated_zip_is_refused(files, tmp_path, trust):
    """A zip that was cut off has no table of contents: exit 2, and never OK; one with a damaged file is tampered."""
    path = packed(tmp_path / "b.zip", files)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 100):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=r"b\.zip"):
            verify_bundle(path, trust)
        refused = alone(path, trust)
        assert (refused.returncode, refused.stdout) == (2, ""), size
        assert "Traceback" not in refused.stderr
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        at = archive.getinfo(CSV).header_offset + 200
    path.write_bytes(whole[:at] + b"XXXX" + whole[at + 4 :])
    assert (Code.FILE_MODIFIED, None, None) in codes(checked(path, trust))


def test_nothing_of_ours_can_be_imported_by_the_program():
    """Where the program runs alone in these tests, otel_audit is really not there to import."""
    code = "import sys, importlib.util; sys.exit(importlib.util.find_spec('otel_audit') is not None)"
    assert subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False).returncode == 0
    text = PROGRAM.read_text()
    imported = set(re.findall(r"^\s*(?:from|import) ([a-z_0-9]+)", text, re.MULTILINE))
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_program_is_short_and_knows_the_schema():
    """The stand-alone program has the columns of schema version 1, and imports nothing of ours."""
    source = PROGRAM.read_text()
    names = [column.split(":")[0] for column in program.COLUMNS.split()]
    assert names == [column.name for column in COLUMNS]
    assert tuple(program.CSV_COLUMNS) == CSV_COLUMNS
    assert "otel_audit" not in source
    assert {each.value for each in STATUS_CODES} >= program.STATUS
