"""Parquet, in its own module: pyarrow takes longer to load than most commands take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from otel_audit.ledger.schema import ColumnType
from otel_audit.reports.export import COLUMN_TYPES, EXTRA, Blocks, Pieces, Row, value_of

_GROUP_ROWS: Final = 50_000
_GROUP_BYTES: Final = 32 << 20

_ARROW_TYPES: Final = {
    ColumnType.STRING: pa.string(),
    ColumnType.NAME: pa.string(),
    ColumnType.UINT16: pa.uint16(),
    ColumnType.UINT64: pa.uint64(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.TIME: pa.timestamp("ns", tz="UTC"),
    ColumnType.HASH: pa.string(),  # lower-case hex, as everywhere
    ColumnType.OPTIONAL_FLOAT: pa.float64(),
    ColumnType.OPTIONAL_COUNT: pa.uint64(),
    ColumnType.STRINGS: pa.list_(pa.string()),
    ColumnType.STRING_MAP: pa.map_(pa.string(), pa.string()),
}
_SCHEMA: Final = pa.schema(
    [
        *((name, _ARROW_TYPES[kind]) for name, kind in COLUMN_TYPES.items()),
        *((name, _ARROW_TYPES[ColumnType.STRING_MAP]) for name in EXTRA),
    ]
)


def _schema(columns: Sequence[str]) -> pa.Schema:
    """The schema of these columns, of all of them for none; a text is a string."""
    known = set(_SCHEMA.names)
    chosen = [_SCHEMA.field(name) if name in known else pa.field(name, pa.string()) for name in columns]
    return pa.schema(chosen) if columns else _SCHEMA


def parquet_chunks(blocks: Blocks, columns: Sequence[str]) -> Iterator[bytes]:
    """The file piece by piece; all fields without ``columns``."""
    out, schema = Pieces(), _schema(columns)
    with parquet.ParquetWriter(pa.PythonFile(out, mode="w"), schema, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for rows in blocks:
            waiting.append(_record_batch(rows, schema))
            if sum(b.num_rows for b in waiting) >= _GROUP_ROWS or sum(b.nbytes for b in waiting) >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting.clear()
                yield out.take()
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
    yield out.take()


def _record_batch(rows: list[Row], schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        values = [value_of(row, field.name) for row in rows]
        arrays.append(_map_array(values, field.type) if pa.types.is_map(field.type) else pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _map_array(values: list[dict[str, Any]], kind: pa.MapType) -> pa.MapArray:
    offsets = [0, *accumulate(map(len, values))]
    keys = pa.array([key for value in values for key in value], kind.key_type)
    items = pa.array([item for value in values for item in value.values()], kind.item_type)
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items)
