"""Attacks on a real ledger in many variations: what somebody with full rights does, and what verify calls it.

``tests/attacks`` has one attack of each class; here are the edges of tiles, ranges and tables.
"""

import base64
import re
import struct

import pytest

from otel_audit.anchors import AnchorReading
from otel_audit.anchors.file import FileAnchor
from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.diagnosis import split_encoding
from otel_audit.ledger.encoding import genesis_hash, leaf_hash
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.note import Signer
from otel_audit.ledger.schema import COLUMN_NAMES, COLUMNS, STORED_COLUMNS, ColumnType
from otel_audit.ledger.trust import Trust
from otel_audit.model import Checkpoint
from otel_audit.privacy.commitments import commit
from otel_audit.reports import _row_hashes
from otel_audit.reports.verification import check_entries, format_report, verify_database
from otel_audit.store.sql_text import sql
from tests.attacks.ledger import KEYS, ORIGIN, SIZE, TABLES, Built, event

_T = ColumnType


def verify(store, anchors=None, trust=KEYS, **options):
    """What the verifier finds by itself; with the engine's hashes, read in small parts, it must find the same."""
    trust = Trust(tuple(trust))
    report = verify_database(store.database, trust=trust, anchors=anchors, **options)
    options |= {"progress": None, "mode": "engine"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_row_hashes, "_ROWS_AT_ONCE", 256)
        fast = verify_database(store.database, trust=trust, anchors=anchors, **options)
    assert fast.to_json() == {**report.to_json(), "mode": "engine"}
    return report


def found(report):
    """The findings that are evidence, as (code, seq, column)."""
    return [(each.code, each.seq, each.column) for each in report.findings if each.code != "UNANCHORED_TAIL"]


# --- a healthy ledger ---------------------------------------------------------------------------------------------


def test_a_healthy_ledger(store, anchors, built):
    """An untouched ledger is ok: all entries and texts verified, with the root of its last checkpoint."""
    told = []
    report = verify(store, anchors, progress=lambda done, total: told.append((done, total)))
    assert found(report) == []
    (ledger,) = report.to_json()["ledgers"]
    assert report.to_json()["status"] == "ok"
    assert ledger == {
        "origin": ORIGIN,
        "size": SIZE,
        "root_hash": tree_root(built.leaves).hex(),
        "last_checkpoint": 700,
        "unanchored_from": 600,
        "read_from": 0,
    }
    assert report.ledgers[0].text_count == 280
    assert told[0] == (0, 980)
    assert told[-1] == (980, 980)
    assert told == sorted(told)


def test_the_unanchored_tail_is_told(store, anchors):
    """What no anchor covers is a status with its range, in entries and seconds, and no tampering."""
    (tail,) = verify(store, anchors).findings
    assert (tail.code, tail.seq) == ("UNANCHORED_TAIL", 600)
    assert "entries 600 to 699 (100, recorded over 99 s)" in tail.detail
    (tail,) = verify(store, None).findings
    assert (tail.code, tail.seq) == ("UNANCHORED_TAIL", 0)
    assert "no anchor was compared" in tail.detail


def test_the_report_for_people(store, anchors):
    """The text says the verdict, the numbers, each finding, and what can't be known."""
    text = format_report(verify(store, anchors))
    assert text.startswith("OK:")
    assert "under an anchor    600" in text
    assert "What this can not tell" in text
    assert "not compared" in format_report(verify(store))
    store.run("ALTER TABLE audit_entries UPDATE service = 'other' WHERE seq = 5")
    text = format_report(verify(store, anchors))
    assert text.startswith("TAMPERED:")
    assert "ROW_MODIFIED  audit.example.com/receiver-0, entry 5, column service" in text


def test_the_column_list_of_the_queries_is_the_schema():
    """The static lists in the SQL are the columns of schema version 1, in order."""
    statements = ("verify_rows", "verify_picked_rows", "verify_digests", "verify_row_bytes", "retention_leaves")
    for name in ("entry_encoding", *statements):
        text = re.sub(r"--.*", "", sql(name))
        inside = re.search(r"schema_version, origin,.*?(?=\)|FROM|$)", text, re.DOTALL)
        assert inside is not None, name
        expected = (*COLUMN_NAMES, "hash") if name == "verify_row_bytes" else COLUMN_NAMES
        assert tuple(column.strip() for column in inside[0].split(",")) == expected, name
    listed = re.findall(r"groupUniqArray\(200\)\((\w+)\) AS (\w+)", sql("verify_column_values"))
    names = [column.name for column in COLUMNS if column.type is ColumnType.NAME and column.name != "origin"]
    assert listed == [(name, name) for name in names]


# --- rows ---------------------------------------------------------------------------------------------------------

CHANGED = {
    _T.STRING: "'tampered'",
    _T.NAME: "'tampered'",
    _T.UINT16: "{c} + 1",
    _T.UINT64: "{c} + 1",
    _T.BOOL: "NOT {c}",
    _T.TIME: "{c} - toIntervalHour(1)",
    _T.HASH: "toFixedString(reverse({c}), 32)",
    _T.OPTIONAL_FLOAT: "{c} + 0.5",
    _T.OPTIONAL_COUNT: "{c} + 1",
    _T.STRINGS: "['tampered']",
    _T.STRING_MAP: "map('tampered', 'yes')",
    _T.HASH_MAP: "CAST(map('tampered', 'x'), 'Map(LowCardinality(String), FixedString(32))')",
}
KEY_COLUMNS = ("origin", "seq", "retention_class", "recorded_at")  # the engine refuses to update these
COLUMNS_TO_UPDATE = [column for column in STORED_COLUMNS if column.name not in KEY_COLUMNS]
# What can't be put back from values seen elsewhere: texts, lists and maps that were unique to the entry.
UNNAMEABLE = {"content", *(c.name for c in COLUMNS if c.type in (_T.STRING, _T.STRING_MAP, _T.OPTIONAL_FLOAT))}


@pytest.mark.parametrize("columns", [COLUMNS_TO_UPDATE[::2], COLUMNS_TO_UPDATE[1::2]], ids=["one_half", "other_half"])
@pytest.mark.parametrize("first", [5, 610], ids=["in_tiles", "in_the_tail"])
def test_every_column_modified(store, anchors, first, columns):
    """Any column of any row, changed by an UPDATE: ROW_MODIFIED at its seq, and mostly which column."""
    columns = {first + 2 * at: column for at, column in enumerate(columns)}
    updates = [
        f"{column.name} = if(seq = {seq}, {CHANGED[column.type].replace('{c}', column.name)}, {column.name})"
        for seq, column in columns.items()
    ]
    store.run(f"ALTER TABLE audit_entries UPDATE {', '.join(updates)} WHERE 1")
    report = verify(store, anchors)
    codes = {code[1]: code for code in found(report) if not code[0].startswith("CONTENT")}
    assert [code[:2] for code in codes.values()] == [("ROW_MODIFIED", seq) for seq in columns]
    for seq, column in columns.items():
        assert codes[seq][2] == column.name or (codes[seq][2] is None and column.name in UNNAMEABLE), column.name


@pytest.mark.parametrize("column", ["prev_hash", "hash", "event_id", "decision", "is_override", "content"])
@pytest.mark.parametrize("seq", [0, 255, 650, 699])
def test_a_modified_column(store, anchors, column, seq):
    """One column of one row changed, at the edges of tiles and ledger: that finding and no other."""
    (kind,) = (each.type for each in STORED_COLUMNS if each.name == column)
    store.run(f"ALTER TABLE audit_entries UPDATE {column} = {CHANGED[kind].replace('{c}', column)} WHERE seq = {seq}")
    report = verify(store, anchors)
    codes = [code for code in found(report) if not code[0].startswith("CONTENT")]
    assert [code[:2] for code in codes] == [("ROW_MODIFIED", seq)]
    assert codes[0][2] == column or (codes[0][2] is None and column in UNNAMEABLE)
    assert report.status == "tampered"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("origin", "'somebody-else'"),
        ("seq", "10000"),
        ("seq", "18446744073709551615"),
        ("seq", "151"),
        ("retention_class", "'short'"),
        ("recorded_at", "recorded_at - toIntervalHour(1)"),
    ],
)
def test_a_modified_key_column(store, anchors, column, value):
    """The columns that the engine doesn't let be updated, replaced by delete and insert: named as well."""
    store.run("CREATE OR REPLACE TABLE saved ENGINE = Memory AS SELECT * FROM audit_entries WHERE seq = 150")
    store.run("ALTER TABLE audit_entries DELETE WHERE seq = 150")
    store.run(f"INSERT INTO audit_entries SELECT * REPLACE(({value}) AS {column}) FROM saved")
    codes = [code for code in found(verify(store, anchors)) if not code[0].startswith("CONTENT")]
    assert codes == [("ROW_MODIFIED", 150, column)]


def test_the_sealed_value_is_told(store, anchors):
    """For a column with few values the report says what it is now and what it was when it was sealed."""
    store.run("ALTER TABLE audit_entries UPDATE decision = 'decision-b' WHERE seq = 150")
    (finding, _) = verify(store, anchors).findings
    assert "decision is 'decision-b', was sealed as 'decision-a'" in finding.detail


def test_many_modified_rows(store, anchors):
    """An update of nearly every row reports each of them, with the column."""
    store.run("ALTER TABLE audit_entries UPDATE environment = 'x' WHERE seq >= 10")
    assert found(verify(store, anchors)) == [("ROW_MODIFIED", seq, "environment") for seq in range(10, SIZE)]


@pytest.mark.parametrize("seq", [0, 150, 255, 256, 300, 650])
def test_a_modified_row_with_its_hash_made_anew(store, anchors, built, seq):
    """A row whose hash fits what it now holds is found by what follows it: ROW_MODIFIED."""
    forged = built.rewritten_from(seq, lambda columns: columns.update(decision="decision-x"))
    store.run(f"ALTER TABLE audit_entries DELETE WHERE seq = {seq}")
    store.insert_entries(forged, seq, seq + 1)
    assert [code[:2] for code in found(verify(store, anchors))] == [("ROW_MODIFIED", seq)]


def test_the_newest_row_with_its_hash_made_anew(store, anchors, built):
    """Of the last entry nothing follows but the checkpoint: it is named all the same."""
    store.run("ALTER TABLE audit_checkpoints DELETE WHERE size = 700")
    store.insert_checkpoints(built, (699, 700))
    forged = built.rewritten_from(699, lambda columns: columns.update(decision="decision-x"))
    store.run("ALTER TABLE audit_entries DELETE WHERE seq = 699")
    store.insert_entries(forged, 699)
    assert found(verify(store, anchors)) == [("ROW_MODIFIED", 699, None)]


@pytest.mark.parametrize(
    ("condition", "first"),
    [
        ("seq = 150", 150),
        ("seq = 650", 650),
        ("seq BETWEEN 200 AND 290", 200),
        ("seq >= 256 AND seq < 512", 256),
        ("seq = 512", 512),
    ],
)
def test_deleted_rows(store, anchors, condition, first):
    """Missing entries are one finding with the first seq, whether tiles still know them or not."""
    store.run(f"ALTER TABLE audit_entries DELETE WHERE {condition}")
    store.run(f"ALTER TABLE audit_content DELETE WHERE {condition}")
    assert found(verify(store, anchors)) == [("ROW_DELETED", first, None)]


def test_deleted_rows_that_nothing_sealed(store):
    """A hole in a tail that no checkpoint covers yet shows in the chain."""
    store.run("ALTER TABLE audit_checkpoints DELETE WHERE size > 600")
    store.run("ALTER TABLE audit_entries DELETE WHERE seq = 650")
    assert found(verify(store)) == [("ROW_DELETED", 650, None)]


@pytest.mark.parametrize("count", [1, 10, 256, 650])
def test_a_removed_prefix(store, anchors, count):
    """The oldest entries gone without a retention entry: PREFIX_REMOVED."""
    store.run(f"ALTER TABLE audit_entries DELETE WHERE seq < {count}")
    assert found(verify(store, anchors)) == [("PREFIX_REMOVED", 0, None)]


@pytest.mark.parametrize(
    ("replaced", "expected"),
    [
        ({"event_id": "'forged'"}, ("ROW_INSERTED", 150, None)),
        ({"seq": "700", "event_id": "'forged'"}, ("ROW_INSERTED", 700, None)),
        ({"seq": "700"}, ("ROW_INSERTED", 700, None)),
        ({"seq": "900", "event_id": "'forged'"}, ("ROW_INSERTED", 900, None)),
        ({"seq": "18446744073709551615", "event_id": "'forged'"}, ("ROW_INSERTED", 18446744073709551615, None)),
        ({"seq": "300"}, ("ROW_INSERTED", 300, None)),
    ],
    ids=["same_seq", "at_the_end", "copy_at_the_end", "beyond_the_end", "at_the_largest_seq", "copied_elsewhere"],
)
def test_an_inserted_row(store, anchors, replaced, expected):
    """A row that was never sealed is ROW_INSERTED, wherever it is put."""
    store.copy_row(150, **replaced)
    assert [code for code in found(verify(store, anchors)) if not code[0].startswith("CONTENT")] == [expected]


@pytest.mark.parametrize("seq", [150, 650])
def test_an_inserted_row_with_a_right_hash(store, anchors, built, seq):
    """A second row for a seq, chained and hashed as it should be, is told from the sealed one."""
    forged = built.rewritten_from(seq, lambda columns: columns.update(decision="decision-x"))
    store.insert_entries(forged, seq, seq + 1)
    assert found(verify(store, anchors)) == [("ROW_INSERTED", seq, None)]


def test_a_duplicated_row(store, anchors):
    """The same row twice is ROW_DUPLICATED, once per entry."""
    store.copy_row(150, service="service")
    store.copy_row(650, service="service")
    assert found(verify(store, anchors)) == [("ROW_DUPLICATED", 150, None), ("ROW_DUPLICATED", 650, None)]


@pytest.mark.parametrize(("one", "other"), [(150, 151), (150, 420), (420, 650)])
@pytest.mark.parametrize("kept", [(), ("prev_hash", "hash")], ids=["whole_rows", "events_only"])
def test_reordered_rows(store, anchors, one, other, kept):
    """Two entries that changed places are ROW_REORDERED at both seqs."""
    store.run(
        f"CREATE OR REPLACE TABLE saved ENGINE = Memory AS SELECT * FROM audit_entries WHERE seq IN ({one}, {other})"
    )
    store.run(f"ALTER TABLE audit_entries DELETE WHERE seq IN ({one}, {other})")
    for source, place in ((one, other), (other, one)):
        stay = "".join(f", (SELECT {name} FROM saved WHERE seq = {place}) AS {name}" for name in kept)
        row = f"(SELECT * FROM saved WHERE seq = {source})"
        store.run(f"INSERT INTO audit_entries SELECT * REPLACE(toUInt64({place}) AS seq{stay}) FROM {row}")
    codes = [code for code in found(verify(store, anchors)) if not code[0].startswith("CONTENT")]
    assert codes == [("ROW_REORDERED", one, None), ("ROW_REORDERED", other, None)]


def test_another_schema_version(store, anchors, built):
    """A well-sealed entry of a schema version we don't know is NON_CANONICAL: its columns can't be vouched for."""
    encoding = struct.pack("<H", 2) + built.encodings[-1][2:]
    forged = Built(ORIGIN, [*built.leaves[:-1], leaf_hash(encoding)], [*built.encodings[:-1], encoding])
    store.run("ALTER TABLE audit_entries DELETE WHERE seq = 699")
    store.insert_entries(forged, 699)
    store.run("ALTER TABLE audit_checkpoints DELETE WHERE size = 700")
    store.insert_checkpoints(forged, (700,))
    assert found(verify(store, anchors)) == [("NON_CANONICAL", 699, "schema_version")]


# --- history ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [690, 650, 512, 511, 300, 1])
def test_a_truncated_tail(store, anchors, left):
    """The newest entries deleted: TAIL_TRUNCATED at the first that is missing, with or without anchors."""
    store.run(f"ALTER TABLE audit_entries DELETE WHERE seq >= {left}")
    assert found(verify(store, None)) == [("TAIL_TRUNCATED", left, None)]
    assert found(verify(store, anchors)) == [("TAIL_TRUNCATED", left, None)]


def test_a_truncated_tail_that_only_a_tile_knows(store):
    """Checkpoints cut off together with the rows: the stored tile still tells."""
    store.run("ALTER TABLE audit_entries DELETE WHERE seq >= 400")
    store.run("ALTER TABLE audit_checkpoints DELETE WHERE size > 400")
    assert found(verify(store)) == [("TAIL_TRUNCATED", 400, None)]


def test_a_rollback(store, anchors):
    """The whole store put back to an older state: only the anchor tells, as TAIL_TRUNCATED and ROLLBACK."""
    store.run("ALTER TABLE audit_entries DELETE WHERE seq >= 400")
    store.run("ALTER TABLE audit_checkpoints DELETE WHERE size > 400")
    store.run("ALTER TABLE audit_tiles DELETE WHERE tile_index >= 1")
    assert {code[:2] for code in found(verify(store, anchors))} == {("TAIL_TRUNCATED", 400), ("ROLLBACK", 400)}
    assert verify(store).status == "ok"


@pytest.mark.parametrize("tables", [TABLES[:1], TABLES[:2], TABLES[:3]])
def test_an_emptied_ledger(store, anchors, tables):
    """No row left: LEDGER_EMPTIED, by anything that still knows the ledger."""
    store.truncate(*tables)
    assert found(verify(store)) == [("LEDGER_EMPTIED", None, None)]
    assert found(verify(store, anchors)) == [("LEDGER_EMPTIED", None, None)]


def test_an_emptied_database(store, anchors):
    """All tables empty: the anchor, or the data folder, knows that there was a ledger. Without both, nothing is ok."""
    store.truncate(*TABLES)
    assert {code[0] for code in found(verify(store, anchors))} == {"LEDGER_EMPTIED", "LEDGER_MISSING"}
    assert found(verify(store, expected=[ORIGIN])) == [("LEDGER_EMPTIED", None, None)]
    report = verify(store)
    assert (report.status, found(report)) == ("unverifiable", [("NOTHING_VERIFIED", None, None)])


def test_a_dropped_table(store, anchors):
    """A table that is gone counts as empty: the verdict is tampering, not an error."""
    definition = store.query("SHOW CREATE TABLE audit_entries")[0][0]
    store.run("DROP TABLE audit_entries SYNC")
    try:
        assert found(verify(store, anchors)) == [("LEDGER_EMPTIED", None, None)]
    finally:
        store.run(definition)


def test_a_missing_ledger(store, anchors, built):
    """One ledger of several gone altogether: LEDGER_MISSING, though all others are fine."""
    other = Signer("audit.example.com/receiver-1", b"o" * 32)
    note = sign_checkpoint(Checkpoint(other.name, 3, bytes(32)), [other])
    gone = FileAnchor(anchors_folder(anchors) / "more")
    gone.publish(note, Checkpoint(other.name, 3, bytes(32)))
    both = AnchorReading((*anchors.checkpoints, *gone.read_all().checkpoints))
    report = verify(store, both, trust=[*KEYS, other.verifier_key])
    assert {(each.code, each.origin) for each in report.findings if each.code != "UNANCHORED_TAIL"} == {
        ("LEDGER_EMPTIED", other.name),
        ("LEDGER_MISSING", other.name),
    }
    assert [ledger.status for ledger in report.ledgers] == ["ok", "tampered"]


def anchors_folder(anchors):
    from pathlib import Path

    return Path(anchors.checkpoints[0].source).parents[1]


@pytest.mark.parametrize("first", [50, 256, 310, 620])
def test_a_history_chained_anew(store, anchors, built, first):
    """Rows rewritten and re-chained to the end, tiles left alone: CHAIN_REBUILT, from stored checkpoints alone."""
    store.truncate("audit_entries")
    store.insert_entries(built.rewritten_from(first, lambda columns: columns.update(decision="decision-x")))
    for compared in (anchors, None):
        codes = found(verify(store, compared))
        assert {code[0] for code in codes} == {"CHAIN_REBUILT"}
        assert all(code[1] <= first for code in codes)
    # The tile knows the very entry; without one the last signed root before it is known.
    assert codes[0][1] == (first if first < 512 else 600)


@pytest.mark.parametrize("first", [50, 310, 599])
def test_a_history_rebuilt_by_the_key_holder(store, anchors, built, first):
    """Rows, tiles and checkpoints all made anew with the real key: only the anchor kept elsewhere tells."""
    forged = built.rewritten_from(first, lambda columns: columns.update(decision="decision-x"))
    store.truncate(*TABLES)
    store.insert_all(forged)
    assert verify(store).status == "ok"
    codes = {code[0] for code in found(verify(store, anchors))}
    assert codes == {"CHAIN_REBUILT", "SPLIT_VIEW"}


def test_rebuilt_after_the_last_anchor(store, anchors, built):
    """What was rebuilt after the last anchor can't be told: it is the range that UNANCHORED_TAIL names."""
    store.truncate(*TABLES)
    store.insert_all(built.rewritten_from(650, lambda columns: columns.update(decision="decision-x")))
    report = verify(store, anchors)
    assert (report.status, found(report)) == ("ok", [])
    assert [(each.code, each.seq) for each in report.findings] == [("UNANCHORED_TAIL", 600)]


def test_a_split_view(store, built):
    """Two validly signed roots for one size are SPLIT_VIEW, whichever the rows have."""
    forged = built.rewritten_from(310, lambda columns: columns.update(decision="decision-x"))
    store.insert_checkpoints(forged, (512,))
    assert {code[0] for code in found(verify(store))} == {"SPLIT_VIEW", "CHAIN_REBUILT"}


@pytest.mark.parametrize("byte", [0, 32 * 100, 8191])
def test_an_altered_tile(store, anchors, byte):
    """A tile that isn't the entries' any more: TREE_DIVERGED at the entry whose hash was altered."""
    store.run(
        "ALTER TABLE audit_tiles UPDATE hashes = concat(substring(hashes, 1, {byte:UInt32}), "
        "char(bitXor(reinterpretAsUInt8(substring(hashes, {byte:UInt32} + 1, 1)), 1)), "
        "substring(hashes, {byte:UInt32} + 2)) WHERE tile_index = 1",
        byte=byte,
    )
    assert found(verify(store, anchors)) == [("TREE_DIVERGED", 256 + byte // 32, None)]


@pytest.mark.parametrize(
    "attack",
    [
        "ALTER TABLE audit_tiles DELETE WHERE tile_index = 1",
        "ALTER TABLE audit_tiles UPDATE hashes = substring(hashes, 1, 8191) WHERE tile_index = 1",
        "INSERT INTO audit_tiles SELECT * REPLACE(reverse(hashes) AS hashes) FROM audit_tiles WHERE tile_index = 1",
    ],
    ids=["missing", "short", "twice"],
)
def test_a_spoiled_tile(store, anchors, attack):
    """A tile that is missing, has another length, or is there in two versions is TREE_DIVERGED."""
    store.run(attack)
    assert found(verify(store, anchors)) == [("TREE_DIVERGED", 256, None)]


# --- keys ---------------------------------------------------------------------------------------------------------


def edited(note, old, new):
    assert old in note
    return note.replace(old, new)


def test_a_bad_signature(store, anchors, built):
    """A stored checkpoint whose text was edited: BAD_SIGNATURE."""
    note = edited(built.note(512), "\n512\n", "\n513\n")
    store.run("ALTER TABLE audit_checkpoints UPDATE note = {note:String} WHERE size = 512", note=note)
    assert found(verify(store, anchors)) == [("BAD_SIGNATURE", None, None)]


@pytest.mark.parametrize("note", ["", "nonsense", "x\n\n— x AAAA\n"])
def test_a_checkpoint_that_is_none(store, note):
    """A note replaced by something else is BAD_SIGNATURE, not an exception."""
    store.run("ALTER TABLE audit_checkpoints UPDATE note = {note:String} WHERE size = 512", note=note)
    assert found(verify(store)) == [("BAD_SIGNATURE", None, None)]


def test_an_unknown_key(store, anchors, built):
    """A checkpoint signed by somebody else's key of the same name: UNKNOWN_KEY."""
    store.run("ALTER TABLE audit_checkpoints DELETE WHERE size = 512")
    store.insert_checkpoints(built, (512,), Signer(ORIGIN, b"x" * 32))
    assert found(verify(store, anchors)) == [("UNKNOWN_KEY", None, None)]


def test_a_wrong_origin(store, built):
    """Another ledger's checkpoint among ours: WRONG_ORIGIN, though we trust that ledger's key."""
    other = Signer("audit.example.com/receiver-1", b"o" * 32)
    note = built.note(512, other, other.name)
    store.run("ALTER TABLE audit_checkpoints UPDATE note = {note:String} WHERE size = 512", note=note)
    assert found(verify(store, trust=[*KEYS, other.verifier_key])) == [("WRONG_ORIGIN", None, None)]


def test_a_bad_signature_in_the_anchor(store, anchors, built):
    """An edited anchor is evidence too: BAD_SIGNATURE with the file and line."""
    first = anchors.checkpoints[0]
    from dataclasses import replace

    forged = replace(first, note=edited(first.note, "\n100\n", "\n101\n"))
    report = verify(store, AnchorReading((forged, *anchors.checkpoints[1:])))
    assert found(report) == [("BAD_SIGNATURE", None, None)]
    assert first.source in report.findings[-1].detail


def test_the_columns_of_a_checkpoint(store):
    """The columns beside a signed note can't say something else than the note."""
    store.run("ALTER TABLE audit_checkpoints UPDATE root_hash = toFixedString('x', 32) WHERE size = 512")
    assert found(verify(store)) == [("TREE_DIVERGED", None, "root_hash")]


def test_no_key_is_trusted(store, anchors):
    """Without any trusted key nothing is proved: unverifiable, never ok."""
    report = verify(store, anchors, trust=[])
    assert (report.status, found(report)) == ("unverifiable", [("NOTHING_VERIFIED", None, None)])
    assert "no verifier key" in report.findings[0].detail or "no verifier key" in report.findings[-1].detail


def test_no_checkpoint_at_all(store, anchors):
    """Rows and tiles alone are unverifiable; with the anchored checkpoints they verify."""
    store.truncate("audit_checkpoints")
    report = verify(store)
    assert (report.status, found(report)) == ("unverifiable", [("NOTHING_VERIFIED", None, None)])
    assert verify(store, anchors).status == "ok"


def test_damaged_anchor_lines_are_told(store, anchors):
    """A record of the anchor that can't be read is told, and is no tampering by itself."""
    report = verify(store, AnchorReading(anchors.checkpoints, ("file line 4: torn",)))
    assert (report.status, [each.code for each in report.findings]) == ("ok", ["UNANCHORED_TAIL", "ANCHOR_DAMAGED"])


# --- texts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [150, 650])
@pytest.mark.parametrize(
    "change",
    [
        "value = 'another'",
        "value = ''",
        "value = char(255)",
        "opening = toFixedString('x', 32)",
        "commitment = toFixedString('x', 32)",
    ],
)
def test_a_changed_text(store, anchors, seq, change):
    """A text, its opening or its commitment changed: CONTENT_MISMATCH at the entry."""
    store.run(f"ALTER TABLE audit_content UPDATE {change} WHERE seq = {seq} AND name = 'input'")
    assert found(verify(store, anchors)) == [("CONTENT_MISMATCH", seq, "content")]


@pytest.mark.parametrize(
    "condition", ["seq = 150 AND name = 'input'", "seq = 695 AND name = 'output'", "seq = 0 AND name = 'input'"]
)
def test_a_missing_text(store, anchors, condition):
    """A text gone without an erasure entry: CONTENT_MISSING."""
    store.run(f"ALTER TABLE audit_content DELETE WHERE {condition}")
    assert found(verify(store, anchors)) == [("CONTENT_MISSING", int(condition.split()[2]), "content")]


def test_all_texts_missing(store, anchors):
    """Each of the 280 texts is reported when the table is emptied."""
    store.truncate("audit_content")
    codes = found(verify(store, anchors))
    assert (len(codes), {code[0] for code in codes}) == (280, {"CONTENT_MISSING"})


def test_a_second_text_under_the_same_commitment(store, anchors):
    """A forged text beside the right one is found: a reader could show either."""
    store.run(
        "INSERT INTO audit_content SELECT * REPLACE('forged' AS value) FROM audit_content "
        "WHERE seq = 150 AND name = 'input'"
    )
    assert found(verify(store, anchors)) == [("CONTENT_MISMATCH", 150, "content")]


def test_orphan_texts_are_harmless(store, anchors, built):
    """What a failed insert left behind (other openings, seqs without texts, seqs beyond the end) is no finding."""
    orphans = Built()
    for seq in (0, 150, 151, 699, 5000):
        for name in ("before", "input", "zzz"):
            orphans.contents.append((seq, name, commit(name, "orphan", b"o" * 32), b"o" * 32, "orphan"))
    store.insert_contents(orphans)
    assert found(verify(store, anchors)) == []


# --- ranges, single entries, running writers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last"), [(0, 10), (0, None), (300, 310), (300, None), (512, 520), (699, 699), (256, 511)]
)
def test_a_range(store, anchors, first, last):
    """A range verifies with the tiles before it and the next signed root after it."""
    report = verify(store, anchors, seq_from=first, seq_to=last)
    assert (report.status, found(report)) == ("ok", [])
    store.run("ALTER TABLE audit_entries UPDATE service = 'x' WHERE seq = {seq:UInt64}", seq=first)
    assert found(verify(store, anchors, seq_from=first, seq_to=last)) == [("ROW_MODIFIED", first, "service")]


def test_a_range_does_not_look_elsewhere(store, anchors):
    """What is wrong outside the range, and outside its tiles, is not looked at."""
    store.run("ALTER TABLE audit_entries UPDATE service = 'x' WHERE seq IN (100, 650)")
    assert found(verify(store, anchors, seq_from=300, seq_to=400)) == []


def test_a_range_after_a_rewritten_part(store, anchors, built):
    """A range in a history that was rewritten before it is not ok: the roots don't fit."""
    store.truncate("audit_entries", "audit_tiles")
    forged = built.rewritten_from(50, lambda columns: columns.update(decision="decision-x"))
    store.insert_entries(forged)
    store.insert_tiles(forged)
    codes = found(verify(store, anchors, seq_from=300, seq_to=400))
    assert {code[0] for code in codes} == {"CHAIN_REBUILT"}


def test_a_range_without_its_tiles(store, anchors):
    """With a tile before the range gone, the range is verified from entry 0 on, and the tile is named."""
    store.run("ALTER TABLE audit_tiles DELETE WHERE tile_index = 0")
    codes = found(verify(store, anchors, seq_from=300, seq_to=400))
    assert {code[0] for code in codes} == {"TREE_DIVERGED"}


def test_a_range_beyond_the_end(store, anchors):
    """A range that has no entries verifies nothing, and says so."""
    report = verify(store, anchors, seq_from=5000)
    assert (report.status, found(report)) == ("unverifiable", [("NOTHING_VERIFIED", None, None)])


def test_a_range_with_its_tail_cut(store, anchors):
    """Entries missing inside the range are found, also when nothing is left after them."""
    store.run("ALTER TABLE audit_entries DELETE WHERE seq >= 350")
    assert ("TAIL_TRUNCATED", 350, None) in found(verify(store, anchors, seq_from=300, seq_to=400))


def test_a_writer_that_goes_on(store, anchors, built):
    """Entries, tiles and checkpoints that appear while verifying are no findings."""
    more = Built(ORIGIN, list(built.leaves), list(built.encodings)).extend(event(seq) for seq in range(SIZE, 800))

    def progress(done, total):
        if done == 0:
            store.insert_entries(more, SIZE, 800)
            store.insert_tiles_of = store.insert_tiles(Built(ORIGIN, more.leaves[:0]))
            store.insert_checkpoints(more, (750, 800))

    report = verify_database(store.database, trust=Trust(tuple(KEYS)), anchors=anchors, progress=progress)
    assert (report.status, found(report), report.ledgers[0].size) == ("ok", [], SIZE)


def test_checking_single_entries(store):
    """Entries in order give no finding; altered, missing and doubtful ones are named."""
    keys = [(ORIGIN, seq) for seq in (0, 1, 150, 255, 256, 400, 511, 512, 650, 699)]
    assert check_entries(store.database, keys) == []
    store.run("ALTER TABLE audit_entries UPDATE service = 'x' WHERE seq IN (150, 650)")
    store.run("ALTER TABLE audit_entries DELETE WHERE seq = 400")
    store.run("ALTER TABLE audit_content UPDATE value = 'x' WHERE seq = 0")
    codes = {(each.code, each.seq, each.column) for each in check_entries(store.database, keys)}
    assert codes == {
        ("ROW_MODIFIED", 150, "service"),
        ("ROW_MODIFIED", 650, "service"),
        ("ROW_DELETED", 400, None),
        ("CONTENT_MISMATCH", 0, "content"),
    }


def test_checking_an_entry_with_its_hash_made_anew(store, built):
    """A row rewritten together with its hash is found by its neighbours or its tile."""
    for seq in (150, 650):
        forged = built.rewritten_from(seq, lambda columns: columns.update(decision="decision-x"))
        store.run(f"ALTER TABLE audit_entries DELETE WHERE seq = {seq}")
        store.insert_entries(forged, seq, seq + 1)
    found_here = check_entries(store.database, [(ORIGIN, 150), (ORIGIN, 650), ("nobody", 3)])
    assert {(each.code, each.origin, each.seq) for each in found_here} == {
        ("ROW_MODIFIED", ORIGIN, 150),
        ("ROW_MODIFIED", ORIGIN, 650),
        ("ROW_DELETED", "nobody", 3),
    }


def test_the_engine_gives_back_the_encoding(store, built):
    """formatRow in the engine gives the very bytes that were hashed and inserted."""
    from otel_audit.store.evidence import EvidenceReader

    rows = [row for block in EvidenceReader(store.database).rows(ORIGIN, 0, SIZE) for row in block.rows()]
    assert [row.encoding for row in rows] == built.encodings
    assert all(b"".join(split_encoding(row.encoding)) == row.encoding for row in rows[:5])
    assert base64.b64encode(rows[0].prev_hash) == base64.b64encode(genesis_hash(ORIGIN))
