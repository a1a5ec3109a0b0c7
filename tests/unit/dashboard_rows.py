"""Rows as the reader gives them, for tests of what the dashboard makes of them."""

from otel_audit.ledger.schema import STORED_COLUMNS, ColumnType

T0 = 1_794_000_000_000_000_000  # 2026-11-06T21:20:00Z
_EMPTY = {
    ColumnType.STRINGS: [],
    ColumnType.STRING_MAP: {},
    ColumnType.HASH_MAP: {},
    ColumnType.OPTIONAL_FLOAT: None,
    ColumnType.OPTIONAL_COUNT: None,
    ColumnType.UINT16: 0,
    ColumnType.UINT64: 0,
    ColumnType.TIME: T0,
    ColumnType.BOOL: False,
    ColumnType.HASH: "00" * 32,
}


def row(*, at=None, ends=None, **columns):
    """A row with every column. ``at`` and ``ends`` are seconds after T0."""
    found = {column.name: _EMPTY.get(column.type, "") for column in STORED_COLUMNS}
    found |= {"content": {}, "content_commitments": {}, "content_from": {}, "origin": "o"}
    if at is not None:
        found["event_time"] = found["end_time"] = T0 + round(at * 1e9)
    if ends is not None:
        found["end_time"] = T0 + round(ends * 1e9)
        found["duration_ms"] = (found["end_time"] - found["event_time"]) / 1e6
    return found | columns
