"""Which column of an altered entry was altered: found by putting back what the sealed hash demands.

A hash says only *that* an encoding changed. Here single columns are replaced by values they may have had, until
the hash is the sealed one; then that column, and the value it had when it was sealed, is known for certain.
Where nothing fits (several columns changed, or a value seen nowhere else), nothing is claimed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from otel_audit.errors import MalformedInput
from otel_audit.ledger.encoding import HASH_SIZE, encode_value, leaf_hash
from otel_audit.ledger.schema import COLUMNS, Column, ColumnType

Candidates = Callable[[Column, int], Iterable[bytes]]
"""(column, seq) -> RowBinary values of that column that occur elsewhere in the ledger, likelier ones first."""

_T = ColumnType
_BY_NAME: Final = {column.name: index for index, column in enumerate(COLUMNS)}
_SEQ, _PREV_HASH = _BY_NAME["seq"], _BY_NAME["prev_hash"]
_FIXED_SIZES: Final = {_T.UINT16: 2, _T.UINT64: 8, _T.BOOL: 1, _T.TIME: 8, _T.HASH: HASH_SIZE}
_TEXT_TYPES: Final = frozenset({_T.STRING, _T.NAME})


@dataclass(frozen=True, slots=True)
class AlteredColumn:
    """The column that was altered, what it holds now and what it held when it was sealed, for people to read."""

    name: str
    stored: str
    sealed: str


def split_encoding(encoding: bytes) -> list[bytes]:
    """The RowBinary value of each column of an entry (schema version 1). Raises MalformedInput for other bytes."""
    values = []
    offset = 0
    try:
        for column in COLUMNS:
            end = _end_of_value(encoding, offset, column.type)
            values.append(encoding[offset:end])
            offset = end
    except IndexError as exc:
        raise MalformedInput(f"encoding: {len(encoding)} bytes end within a column") from exc
    if offset != len(encoding):
        raise MalformedInput(f"encoding: the columns take {offset} bytes of {len(encoding)}")
    return values


class Movable:
    """An entry whose position can be replaced. Raises MalformedInput for an encoding of another schema version."""

    def __init__(self, encoding: bytes) -> None:
        values = split_encoding(encoding)
        self._before = b"".join(values[:_SEQ])
        self._prev_hash = values[_PREV_HASH]
        self._after = b"".join(values[_PREV_HASH + 1 :])

    def hash_at(self, seq: int, prev_hash: bytes | None) -> bytes:
        """Return the leaf hash it would have at ``seq``, after ``prev_hash`` if that is known."""
        return leaf_hash(b"".join((self._before, struct.pack("<Q", seq), prev_hash or self._prev_hash, self._after)))


def find_altered_column(
    encoding: bytes,
    seq: int,
    sealed_hashes: Iterable[bytes],
    prev_hash: bytes | None,
    candidates: Candidates,
    *,
    among: Container[str] | None = None,
) -> AlteredColumn | None:
    """The one column whose replacement gives one of ``sealed_hashes``, or None.

    ``prev_hash`` is what the entry's ``prev_hash`` should be, if known. Tries what costs least first: the
    position, then values of the same row and of the type, then ``candidates``. Only the columns ``among`` these
    names are tried, if given.
    """
    sealed = frozenset(sealed_hashes)
    try:
        values = split_encoding(encoding)
    except MalformedInput:
        return None
    own = _own_texts(values)
    sources: tuple[Callable[[Column], Iterable[bytes]], ...] = (
        lambda column: _position_values(column, seq, prev_hash),
        lambda column: _plausible_values(column, values, own),
        lambda column: candidates(column, seq),
    )
    for source in sources:
        for index, column in enumerate(COLUMNS):
            if among is not None and column.name not in among:
                continue
            before, after = b"".join(values[:index]), b"".join(values[index + 1 :])
            for value in source(column):
                if value != values[index] and leaf_hash(before + value + after) in sealed:
                    return AlteredColumn(column.name, describe(column, values[index]), describe(column, value))
    return None


def describe(column: Column, value: bytes) -> str:
    """A RowBinary value in a form for people."""
    if column.type in _TEXT_TYPES:
        _, start = _varint(value, 0)
        return repr(value[start:].decode("utf-8", "replace"))
    if column.type in (_T.UINT16, _T.UINT64):
        return str(int.from_bytes(value, "little"))
    if column.type is _T.TIME:
        return f"{int.from_bytes(value, 'little', signed=True)} ns"
    if column.type is _T.BOOL:
        return "false" if value == b"\x00" else "true"
    if column.type is _T.OPTIONAL_FLOAT:
        return "null" if value[0] else repr(struct.unpack("<d", value[1:])[0])
    if column.type is _T.OPTIONAL_COUNT:
        return "null" if value[0] else str(int.from_bytes(value[1:], "little"))
    if column.type is _T.HASH:
        return value.hex()
    return f"{len(value)} bytes of {column.type}"


def _varint(raw: bytes, offset: int) -> tuple[int, int]:
    """(number, offset after it) of an unsigned LEB128."""
    number = shift = 0
    while True:
        byte = raw[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, offset
        shift += 7


def _end_of_value(raw: bytes, offset: int, kind: ColumnType) -> int:
    if kind in _FIXED_SIZES:
        return offset + _FIXED_SIZES[kind]
    if kind in (_T.OPTIONAL_FLOAT, _T.OPTIONAL_COUNT):
        return offset + (1 if raw[offset] else 9)
    if kind in _TEXT_TYPES:
        size, offset = _varint(raw, offset)
        return offset + size
    count, offset = _varint(raw, offset)
    strings = {_T.STRINGS: 1, _T.STRING_MAP: 2, _T.HASH_MAP: 1}[kind]
    for _ in range(count):
        for _ in range(strings):
            size, offset = _varint(raw, offset)
            offset += size
        if kind is _T.HASH_MAP:
            offset += HASH_SIZE
    return offset


def _own_texts(values: list[bytes]) -> list[bytes]:
    """Every string of the row, in its columns and its maps: an attribute often holds what a column held."""
    texts: dict[bytes, None] = {}
    for column, value in zip(COLUMNS, values, strict=True):
        if column.type in _TEXT_TYPES:
            texts[value] = None
        elif column.type in (_T.STRINGS, _T.STRING_MAP):
            _, offset = _varint(value, 0)
            while offset < len(value):
                size, start = _varint(value, offset)
                texts[value[offset : start + size]] = None
                offset = start + size
    return list(texts)


def _position_values(column: Column, seq: int, prev_hash: bytes | None) -> Iterator[bytes]:
    if column.name == "prev_hash" and prev_hash is not None:
        yield prev_hash
    if column.name == "seq":
        for near in range(max(0, seq - 16), seq + 17):
            yield struct.pack("<Q", near)


def _plausible_values(column: Column, values: list[bytes], own_texts: list[bytes]) -> Iterator[bytes]:
    """Type defaults, values of sibling columns, and the neighbours of a number."""
    kind = column.type
    stored = values[_BY_NAME[column.name]]
    if kind in _TEXT_TYPES:
        yield b"\x00"
        yield from own_texts
    elif kind in (_T.STRINGS, _T.STRING_MAP, _T.HASH_MAP):
        yield b"\x00"
    elif kind is _T.BOOL:
        yield from (b"\x00", b"\x01")
    elif kind is _T.UINT16:
        for number in range(65):
            yield struct.pack("<H", number)
    elif kind is _T.TIME:
        yield from (value for other, value in zip(COLUMNS, values, strict=True) if other.type is kind)
        yield from _shifted_times(int.from_bytes(stored, "little", signed=True))
    elif kind is _T.OPTIONAL_COUNT:
        yield b"\x01"
        number = 0 if stored[0] else int.from_bytes(stored[1:], "little")
        for near in {0, *range(max(0, number - 100), number + 101)}:
            yield b"\x00" + struct.pack("<Q", near)
    elif kind is _T.OPTIONAL_FLOAT:
        yield b"\x01"
        yield from (encode_value(column, step / 100) for step in range(101))
        start, end = (
            int.from_bytes(values[_BY_NAME[name]], "little", signed=True) for name in ("event_time", "end_time")
        )
        yield encode_value(column, (end - start) / 1_000_000)


def _shifted_times(nanos: int) -> Iterator[bytes]:
    """The same time in the seconds, minutes, hours and days around it: how people backdate."""
    for unit in (1, 1_000, 1_000_000, 10**9, 60 * 10**9, 3_600 * 10**9, 86_400 * 10**9):
        for count in (*range(1, 61), 90, 180, 365):
            for shifted in (nanos - count * unit, nanos + count * unit):
                if -(1 << 63) <= shifted < 1 << 63:
                    yield struct.pack("<q", shifted)
