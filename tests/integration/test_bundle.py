"""Evidence bundles: what is in them, and what a check says about whole ones. Altered ones: test_bundle_tampering."""

import ast
import io
import json
import re
import subprocess
import sys

import pytest

from otel_audit.errors import ConfigError
from otel_audit.ledger.findings import STATUS_CODES, Code
from otel_audit.ledger.note import Signer
from otel_audit.ledger.proof_file import parse_proof, verify_proof
from otel_audit.ledger.schema import COLUMNS
from otel_audit.ledger.statement import sign_statement
from otel_audit.ledger.trust import Trust, format_trust
from otel_audit.model import AuditEvent, Filter
from otel_audit.reports.bundle import verify_bundle as program
from otel_audit.reports.bundle.check import format_bundle_report, verify_bundle
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import Making, write_bundle
from otel_audit.reports.export import CSV_COLUMNS, chunks
from otel_audit.store.reader import Reader
from tests.attacks.ledger import KEYS, ORIGIN, SIGNER, START, Built, Store, event
from tests.integration.bundles import (
    ANCHOR,
    DIGEST,
    ERASED,
    OTHER,
    PROGRAM,
    SECOND,
    WHERE,
    alone,
    checked,
    codes,
    digest,
    fill,
    history,
    make,
    packed,
    reading,
    sealed_again,
    unpacked,
)


@pytest.fixture(scope="module")
def built():
    return history()


@pytest.fixture
def stored(database, built):
    fill(Store(database), built)
    return database


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


def test_a_whole_bundle_is_ok_by_both_verifiers(stored, built, tmp_path, trust):
    """What was not altered is OK, with the counts, and nothing to say about it."""
    made, raw = make(stored, built)
    path = tmp_path / "bundle.zip"
    path.write_bytes(raw)
    report = checked(path, trust)
    assert (report.status, report.findings) == ("ok", ())
    assert (made.entries, made.related, made.texts) == (7, 0, 4)
    assert report.counts == {"entries": 7, "related": 0, "texts": 4, "gone": 0, "proven": 7}
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


def test_an_erasure_of_others_stays_out(stored, built):
    """Who asked that something else be erased is no business of this bundle's reader: only what touches it is in it."""
    for first, last, related in ((5, 15, 0), (5, 16, 1), (15, 16, 1), (16, 20, 0)):
        where = Filter(since=START + first * SECOND, until=START + last * SECOND)
        made, raw = make(stored, built, where)
        assert made.related == related, (first, last)
        assert any(b"dpo_1" in each for each in unpacked(raw).values()) == bool(related)


def test_a_text_that_nobody_erased_is_missing(stored, built, tmp_path, trust):
    """A text that is gone without a statement is CONTENT_MISSING."""
    with stored.client() as client:
        client.command("ALTER TABLE audit_content DELETE WHERE seq = 10", settings={"mutations_sync": 1})
    report = checked(packed(tmp_path / "b.zip", unpacked(make(stored, built)[1])), trust)
    assert codes(report) == {(Code.CONTENT_MISSING, 10, "input"), (Code.CONTENT_MISSING, 10, "output")}


def test_any_filter_can_be_bundled(stored, built):
    """Numbers and several values are stated in the manifest, and on the cover."""
    where = Filter(confidence_from=0.5, event_type=("event_type-a", "event_type-b"), since=START)
    _, raw = make(stored, built, where)
    said = json.loads(unpacked(raw)["manifest.json"])["filter"]
    assert said == {"confidence_from": "0.5", "event_type": "event_type-a; event_type-b",
                    "since": "2026-02-02T02:40:00.000000000Z"}  # fmt: skip


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


def test_a_file_that_is_no_bundle_is_refused(tmp_path, trust):
    """What is no zip can not be checked: exit 2, with the reason."""
    path = tmp_path / "b.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(ConfigError, match=r"b\.zip"):
        verify_bundle(path, trust)
    assert alone(path, trust).returncode == 2


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
    ast.parse(source, feature_version=(3, 9))  # of which it says that it is enough
    assert {each.value for each in STATUS_CODES} >= program.STATUS
