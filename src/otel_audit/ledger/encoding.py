"""The encoding of an entry: ClickHouse ``RowBinary``, and the hash over it.

The bytes made here are the bytes that are hashed *and* the bytes that are inserted: what the
engine stores is what was signed for. ``formatRow('RowBinary', ...)`` gives them back.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from otel_audit.errors import MalformedInput
from otel_audit.ledger.schema import EVENT_COLUMNS, SCHEMA_VERSION, Column, ColumnType
from otel_audit.model import AuditEvent

HASH_SIZE: Final = 32
LEAF_PREFIX: Final = b"\x00"  # RFC 6962 §2.1

_UINT16 = struct.Struct("<H").pack
_UINT64 = struct.Struct("<Q").pack
_INT64 = struct.Struct("<q").pack
_FLOAT64 = struct.Struct("<d").pack
_POSITION_TAIL = struct.Struct("<Q32sq").pack
_SMALL_VARINTS: Final = tuple(bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(1 << 14))


def varint(number: int) -> bytes:
    """Unsigned LEB128, as RowBinary writes lengths."""
    if number < 1 << 14:
        return _SMALL_VARINTS[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_bytes(raw: bytes) -> bytes:
    """RowBinary of a String: its length, then its bytes."""
    return varint(len(raw)) + raw


def encode_uint64(number: int) -> bytes:
    """RowBinary of a UInt64 (and of a time after 1970, in nanoseconds)."""
    return _UINT64(number)


def _string(value: str) -> bytes:
    raw = value.encode()
    return varint(len(raw)) + raw


class _Names(dict[str, bytes]):
    """Encoded names, which repeat from event to event: attribute keys, services, models. Bounded."""

    def __missing__(self, name: str) -> bytes:
        encoded = _string(name)
        if len(self) < _REMEMBERED_NAMES and len(encoded) <= _LONGEST_NAME:
            self[name] = encoded
        return encoded


_REMEMBERED_NAMES: Final = 20_000
_LONGEST_NAME: Final = 128
_name = _Names().__getitem__


def _bool(value: bool) -> bytes:  # noqa: FBT001 - an encoder takes the value it encodes
    return b"\x01" if value else b"\x00"


def _hash(value: bytes) -> bytes:
    if len(value) != HASH_SIZE:
        raise MalformedInput(f"hash has {len(value)} bytes, expected {HASH_SIZE}")
    return value


def _optional_float(value: float | None) -> bytes:
    return b"\x01" if value is None else b"\x00" + _FLOAT64(value)


def _optional_count(value: int | None) -> bytes:
    return b"\x01" if value is None else b"\x00" + _UINT64(value)


def _strings(values: Iterable[str]) -> bytes:
    parts = [_string(value) for value in values]
    return varint(len(parts)) + b"".join(parts)


def _string_map(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    parts = [_name(key) + _string(value) for key, value in items]
    return varint(len(parts)) + b"".join(parts)


def _hash_map(pairs: Mapping[str, bytes]) -> bytes:
    return varint(len(pairs)) + b"".join([_name(key) + _hash(value) for key, value in pairs.items()])


_ENCODERS: Final[dict[ColumnType, Callable[[Any], bytes]]] = {
    ColumnType.STRING: _string,
    ColumnType.NAME: _name,
    ColumnType.UINT16: _UINT16,
    ColumnType.UINT64: _UINT64,
    ColumnType.BOOL: _bool,
    ColumnType.TIME: _INT64,
    ColumnType.HASH: _hash,
    ColumnType.OPTIONAL_FLOAT: _optional_float,
    ColumnType.OPTIONAL_COUNT: _optional_count,
    ColumnType.STRINGS: _strings,
    ColumnType.STRING_MAP: _string_map,
    ColumnType.HASH_MAP: _hash_map,
}


_BAD_VALUE: Final = (struct.error, AttributeError, KeyError, TypeError, UnicodeEncodeError)


def encode_value(column: Column, value: Any) -> bytes:
    """RowBinary of one value of ``column``."""
    try:
        return _ENCODERS[column.type](value)
    except _BAD_VALUE as exc:
        raise MalformedInput(f"column {column.name} ({column.type}) can not hold a {type(value).__name__}") from exc


_EVENT_DEFAULTS: Final = [encode_value(column, column.default) for column in EVENT_COLUMNS]
_EVENT_INDEX: Final = {column.name: (index, _ENCODERS[column.type]) for index, column in enumerate(EVENT_COLUMNS)}


def encode_event(event: AuditEvent, commitments: Mapping[str, bytes]) -> bytes:
    """Encode the columns that do not depend on the position in the ledger.

    ``commitments`` maps each content name to its 32-byte commitment. Columns the event does not set
    get their type's default (empty, 0, null).
    """
    parts = _EVENT_DEFAULTS.copy()
    name = ""
    try:
        for name, value in event.columns.items():
            index, encode = _EVENT_INDEX[name]
            parts[index] = encode(value)
    except _BAD_VALUE as exc:
        raise MalformedInput(f"column {name} can not hold this {type(event.columns.get(name)).__name__}") from exc
    parts[-1] = _hash_map(commitments)
    return b"".join(parts)


def origin_prefix(origin: str) -> bytes:
    """The encoding of ``schema_version`` and ``origin``, the same for every entry of a ledger."""
    return _UINT16(SCHEMA_VERSION) + _string(origin)


def encode_entry(prefix: bytes, seq: int, prev_hash: bytes, recorded_unix_nano: int, event: bytes) -> bytes:
    """The complete encoding of an entry: ``origin_prefix`` + position + ``encode_event``."""
    return prefix + _POSITION_TAIL(seq, prev_hash, recorded_unix_nano) + event


def leaf_hash(encoding: bytes) -> bytes:
    """``SHA-256(0x00 || encoding)``: RFC 6962 leaf hash, the entry's hash, the next ``prev_hash``."""
    return hashlib.sha256(LEAF_PREFIX + encoding).digest()


def genesis_hash(origin: str) -> bytes:
    """``prev_hash`` of entry 0."""
    return hashlib.sha256(origin.encode()).digest()
