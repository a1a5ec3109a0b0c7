"""Any one bit of what is stored, flipped by whoever owns the files, is found: every column of every table.

``UNREAD`` names each column that a verification does not read, with the reason; all others must be found.
"""

import struct

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from otel_audit.ledger.diagnosis import split_encoding
from otel_audit.ledger.encoding import varint
from otel_audit.ledger.findings import STATUS_CODES
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.schema import STORED_COLUMNS, ColumnType
from otel_audit.ledger.trust import Trust
from otel_audit.reports.verification import verify_database
from tests.attacks.ledger import CHECKPOINTS, KEYS, ORIGIN, SIZE

UNREAD = {
    ("audit_content", "retention_class"): "a copy for partitions of the entry's column, which is hashed: a text that "
    "is dropped with another class's is CONTENT_MISSING",
    ("audit_content", "recorded_at"): "a copy for partitions, as retention_class",
    ("audit_content", "trace_id"): "a copy for searching of the entry's column, which is hashed",
    ("audit_content", "span_id"): "a copy for searching, as trace_id",
    ("audit_sealed", "origin"): "bound to the second, encrypted copy of texts: under another one it does not open",
    ("audit_sealed", "seq"): "as origin",
    ("audit_sealed", "key_id"): "names the key of the second, encrypted copy of texts: another key does not open it",
    ("audit_sealed", "sealed"): "authenticated encryption: tests/property/test_sealed_texts.py flips it",
    ("audit_sealed", "retention_class"): "a copy for partitions",
    ("audit_sealed", "recorded_at"): "a copy for partitions",
    ("audit_checkpoints", "created_at"): "the receiver's word, which nobody signed: STALE goes by it only where no "
    "anchor is compared, and says whose clock that is",
    ("audit_writers", "origin"): "says who writes now, and holds no evidence",
    ("audit_writers", "epoch"): "as origin",
    ("audit_writers", "writer_id"): "as origin",
    ("audit_writers", "claimed_at"): "as origin",
}
BOUNDED = {"deadline": None, "derandomize": True, "phases": [Phase.generate]}
BOUNDED["suppress_health_check"] = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
SPACE = SIZE // len(STORED_COLUMNS)  # rows between two that are flipped in one ledger
_T = ColumnType
SEQ_AT = [column.name for column in STORED_COLUMNS].index("seq")


def flipped(value: bytes, at: int, bit: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1 << bit]) + value[at + 1 :]


def evidence(store, anchors):
    report = verify_database(store.database, trust=Trust(tuple(KEYS)), anchors=anchors)
    return report, [each for each in report.findings if each.code not in STATUS_CODES]


def spot(kind, value, choice):
    """A place in the encoding of a column's value that is neither a length nor a flag: (byte, bit)."""
    first = {_T.STRING: 1, _T.NAME: 1, _T.OPTIONAL_FLOAT: 1, _T.OPTIONAL_COUNT: 1, _T.STRINGS: 2}.get(kind, 0)
    if kind is _T.BOOL:
        return 0, 0
    if kind is _T.STRING_MAP:
        first = 2 if choice % 2 else 3 + value[1]
        return first + choice % (value[1] if choice % 2 else len(value) - first), choice % 8
    if kind is _T.HASH_MAP:
        return len(value) - 1 - choice % 32, choice % 8
    return first + choice % (len(value) - first), choice % 8


@settings(max_examples=2, **BOUNDED)
@given(choices=st.lists(st.integers(0, 2**20), min_size=len(STORED_COLUMNS), max_size=len(STORED_COLUMNS)))
def test_a_bit_of_any_column_of_an_entry(store, built, anchors, choices):
    """Every column of the entries, each flipped in an entry of its own, is found at that entry."""
    rows = [a + b for a, b in zip(built.encodings, built.leaves, strict=True)]
    expected = {}
    for number, (column, choice) in enumerate(zip(STORED_COLUMNS, choices, strict=True)):
        if column.name == "seq":
            continue  # moves the row away: the next test
        seq = number * SPACE - number * SPACE % 5  # one with texts
        values = [*split_encoding(built.encodings[seq]), built.leaves[seq]]
        at, bit = spot(column.type, values[number], choice)
        values[number] = flipped(values[number], at, bit)
        rows[seq] = b"".join(values)
        expected[seq] = column.name
    store.truncate("audit_entries")
    with store.database.client() as client:
        client.raw_insert("audit_entries", insert_block=b"".join(rows), fmt="RowBinary")
    found = {each.seq for each in evidence(store, anchors)[1]}
    assert {name for seq, name in expected.items() if seq not in found} == set()


@pytest.mark.parametrize("bit", [0, 9, 40, 63])
def test_a_bit_of_a_sequence_number(store, built, anchors, bit):
    """An entry that a flipped bit moves to another number, also to one far away, is missed where it was."""
    seq = 333
    values = split_encoding(built.encodings[seq])
    values[SEQ_AT] = struct.pack("<Q", seq ^ 1 << bit)
    store.run(f"ALTER TABLE audit_entries DELETE WHERE seq = {seq}")
    with store.database.client() as client:
        block = b"".join(values) + built.leaves[seq]
        client.raw_insert("audit_entries", insert_block=block, fmt="RowBinary")
    report, found = evidence(store, anchors)
    assert report.status == "tampered"
    assert seq in {each.seq for each in found}


class Table:
    """A table's rows as the bytes of each column's value; ``texts`` are columns that RowBinary gives a length."""

    def __init__(self, name, columns, texts, rows):
        self.name, self.columns, self.texts, self.rows = name, columns, texts, rows

    def put(self, store, rows):
        store.truncate(self.name)
        block = b"".join(
            (varint(len(value)) if column in self.texts else b"") + value
            for row in rows
            for column, value in zip(self.columns, row, strict=True)
        )
        with store.database.client() as client:
            client.raw_insert(self.name, list(self.columns), insert_block=block, fmt="RowBinary")


def u64(number):
    return struct.pack("<Q", number)


@pytest.fixture(scope="module")
def tables(built):
    name = ORIGIN.encode()
    contents = [[name, u64(seq), key.encode(), *hashes, value.encode()] for seq, key, *hashes, value in built.contents]
    tiles = [[name, bytes([each.level]), u64(each.index), each.hashes] for each in built.tiles()]
    notes = [[name, u64(size), tree_root(built.leaves[:size]), built.note(size).encode()] for size in CHECKPOINTS]
    return [
        Table(
            "audit_content",
            ("origin", "seq", "name", "commitment", "opening", "value"),
            {"origin", "name", "value"},
            contents,
        ),
        Table("audit_tiles", ("origin", "level", "tile_index", "hashes"), {"origin", "hashes"}, tiles),
        Table("audit_checkpoints", ("origin", "size", "root_hash", "note"), {"origin", "note"}, notes),
    ]


@settings(max_examples=2, **BOUNDED)
@given(data=st.data())
def test_a_bit_of_any_column_beside_the_entries(store, anchors, tables, data):
    """Every column of texts, tiles and checkpoints: one flipped bit anywhere in them is found."""
    for table in tables:
        for number, column in enumerate(table.columns):
            row = data.draw(st.integers(0, len(table.rows) - 1), label=f"{table.name} row")
            value = table.rows[row][number]
            at = data.draw(st.integers(0, len(value) - 1), label=f"{column} byte")
            bit = data.draw(st.integers(0, 7), label=f"{column} bit")
            changed = [*table.rows[row]]
            changed[number] = flipped(value, at, bit)
            table.put(store, [*table.rows[:row], changed, *table.rows[row + 1 :]])
            assert evidence(store, anchors)[1], f"{table.name}.{column} row {row}, bit {bit} of byte {at}: not found"
        table.put(store, table.rows)


def test_every_column_is_accounted_for(store, tables):
    """A column of any table of the ledger is flipped by a test here, or named with the reason why it need not be."""
    of_ours = "database = currentDatabase() AND table LIKE 'audit_%' AND table != 'audit_migrations'"  # the schema's
    kinds = {
        (table, name): kind
        for table, name, kind in store.query(f"SELECT table, name, default_kind FROM system.columns WHERE {of_ours}")
    }
    stored = {column for column, kind in kinds.items() if kind not in ("ALIAS", "MATERIALIZED")}
    tested = {(table.name, column) for table in tables for column in table.columns}
    tested |= {("audit_entries", column.name) for column in STORED_COLUMNS}
    assert stored == tested | set(UNREAD)
    assert not tested & set(UNREAD)
