"""Exports: the entries of a filter as CSV, JSON Lines or Parquet, in constant memory.

``blocks`` is what ``Reader.stream`` gives. ``chunks`` makes the file piece by piece (an HTTP response
sends them as they come), ``write_csv`` / ``write_jsonl`` / ``write_parquet`` write it and return how
many entries they wrote.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from math import isfinite
from typing import Any, BinaryIO, Final

from otel_audit.errors import ConfigError
from otel_audit.ledger.schema import STORED_COLUMNS, ColumnType
from otel_audit.reports._csv import CSV_COLUMNS, csv_chunks, non_finite
from otel_audit.reports._times import iso_nano

__all__ = [
    "COLUMNS",
    "CSV_COLUMNS",
    "FIELDS",
    "Format",
    "chunks",
    "json_ready",
    "needs_payload",
    "needs_texts",
    "parse_columns",
    "write_csv",
    "write_jsonl",
    "write_parquet",
]

Row = dict[str, Any]
Blocks = Iterable[list[Row]]

COLUMN_TYPES: Final = {column.name: column.type for column in STORED_COLUMNS}
COLUMN_TYPES["content"] = ColumnType.STRING_MAP  # of a row: the texts; the commitments have a key of their own
_TIMES: Final = tuple(name for name, kind in COLUMN_TYPES.items() if kind is ColumnType.TIME)
_FLOATS: Final = tuple(name for name, kind in COLUMN_TYPES.items() if kind is ColumnType.OPTIONAL_FLOAT)
# After the columns of the ledger: the commitments to the texts, and where texts joined from log records stand.
EXTRA: Final = ("content_commitments", "content_from")
FIELDS: Final = (*COLUMN_TYPES, *EXTRA)
# What may be chosen, of any format: the columns of a CSV, where each text is one, and every field beside them.
COLUMNS: Final = tuple(dict.fromkeys((*CSV_COLUMNS, *FIELDS)))
_TEXTS: Final = frozenset(CSV_COLUMNS) - frozenset(FIELDS)

# JSON allows them raw, but programs that split lines the Unicode way would break an object in two.
_LINE_BREAKS: Final = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class Format(StrEnum):
    """File formats of an export."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def parse_columns(text: str) -> tuple[str, ...]:
    """Names of ``COLUMNS``, separated by commas, each once. Raises ConfigError for a name that is none of them.

    >>> parse_columns("task_id, decision")
    ('task_id', 'decision')
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in COLUMNS]:
        raise ConfigError(f"unknown column {', '.join(map(repr, unknown))}; possible: {', '.join(COLUMNS)}")
    return names


def needs_payload(kind: Format, columns: Sequence[str] = ()) -> bool:
    """Whether the file has columns that ``Reader.stream`` reads only with its payload."""
    return not set(columns) <= set(CSV_COLUMNS) if columns else kind != Format.CSV


def needs_texts(columns: Sequence[str] = ()) -> bool:
    """Whether the file has texts in it."""
    return not columns or not {*_TEXTS, "content", "content_from"}.isdisjoint(columns)


def chunks(kind: Format, blocks: Blocks, columns: Sequence[str] = (), *, bom: bool = False) -> Iterator[bytes]:
    """The file in pieces, as they are made, with ``columns`` in their order (none: all). ``bom`` is for CSV alone."""
    match kind:
        case Format.CSV:
            return csv_chunks(blocks, columns or CSV_COLUMNS, bom=bom)
        case Format.JSONL:
            return _jsonl_chunks(blocks, columns or FIELDS)
        case Format.PARQUET:
            from otel_audit.reports._parquet import parquet_chunks  # noqa: PLC0415 - pyarrow is slow to load

            return parquet_chunks(blocks, columns)


def write_csv(blocks: Blocks, out: BinaryIO, columns: Sequence[str] = (), *, bom: bool = False) -> int:
    """Write CSV (UTF-8, RFC 4180) and return the number of entries.

    Times are ISO 8601 in UTC with nanoseconds, several codes in one cell are joined by "; ", texts are
    as stored, and a text cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    return _write(Format.CSV, blocks, out, columns, bom=bom)


def write_jsonl(blocks: Blocks, out: BinaryIO, columns: Sequence[str] = ()) -> int:
    """Write JSON Lines with every field of every entry, one object a line, and return the number of entries.

    Numbers that JSON does not know are the strings "NaN", "Infinity" and "-Infinity".
    """
    return _write(Format.JSONL, blocks, out, columns)


def write_parquet(blocks: Blocks, out: BinaryIO, columns: Sequence[str] = ()) -> int:
    """Write Parquet with every field, typed (times are timestamps in nanoseconds), and return the number of entries."""
    return _write(Format.PARQUET, blocks, out, columns)


def _write(kind: Format, blocks: Blocks, out: BinaryIO, columns: Sequence[str], *, bom: bool = False) -> int:
    entries = 0

    def counted() -> Iterator[list[Row]]:
        nonlocal entries
        for rows in blocks:
            entries += len(rows)
            yield rows

    for piece in chunks(kind, counted(), columns, bom=bom):
        out.write(piece)
    return entries


def json_ready(row: Row, names: Iterable[str] = FIELDS) -> Row:
    """The fields ``names`` of ``row`` as JSON has them: in order, times ISO 8601, and no NaN."""
    ready = {name: value_of(row, name) for name in names}
    for name in _TIMES:
        if name in ready:
            ready[name] = iso_nano(ready[name])
    for name in _FLOATS:
        value = ready.get(name)
        if value is not None and not isfinite(value):
            ready[name] = non_finite(value)
    return ready


def value_of(row: Row, name: str) -> Any:
    """A column of a row; a text that it does not have is None."""
    return row["content"].get(name) if name in _TEXTS else row[name]


def json_line(row: Row, names: Iterable[str] = FIELDS) -> str:
    """One entry as a line of JSON, without the line's end."""
    text = _encode(json_ready(row, names))
    return text if text.isascii() else text.translate(_LINE_BREAKS)


_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _jsonl_chunks(blocks: Blocks, names: Sequence[str]) -> Iterator[bytes]:
    for rows in blocks:
        yield "".join(f"{json_line(row, names)}\n" for row in rows).encode("utf-8", "backslashreplace")


class Pieces(io.RawIOBase):
    """A file that is only ever appended to, and that forgets what was taken out of it."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        self._position += len(data)
        return len(data)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
