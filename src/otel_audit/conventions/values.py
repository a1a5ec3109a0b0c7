"""Attribute values: from protobuf to native Python, and to typed JSON and back.

Typed JSON keeps what JSON alone would lose: an int is ``5`` and a double ``5.0``; what JSON has no
word for is an object with one key that begins with ``$`` (docs/design/normalising.md has the list).
``parse_typed(format_typed(value))`` is the same value with the same types.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Value = Any  # str | bool | int | float | bytes | None | list[Value] | dict[str, Value] | Pairs | Odd

_CANONICAL_NAN: Final = struct.pack(">d", math.nan)


class Pairs:
    """A kvlist that no dict can hold: a key is there twice, or begins with ``$``."""

    __slots__ = ("items",)

    def __init__(self, items: Sequence[tuple[str, Value]]) -> None:
        self.items = [tuple(item) for item in items]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pairs) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]  # holds lists and dicts: not hashable

    def __repr__(self) -> str:
        return f"Pairs({self.items!r})"


class Odd:
    """A value that is not one, as the JSON object ``{kind: argument}``.

    ``$absent`` is a key without value, ``$raw`` bytes that nobody can read, ``$content`` a non-string
    value that was moved to content of that name.
    """

    __slots__ = ("argument", "kind")

    def __init__(self, kind: str, argument: str | bool) -> None:  # noqa: FBT001 - it is JSON's `true`, not a flag
        self.kind = kind
        self.argument = argument

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd) and (self.kind, self.argument) == (other.kind, other.argument)

    def __hash__(self) -> int:
        return hash((self.kind, self.argument))

    def __repr__(self) -> str:
        return f"Odd({self.kind!r}, {self.argument!r})"


ABSENT: Final = Odd("$absent", True)  # noqa: FBT003 - JSON's `true`


def unreadable(raw: bytes) -> Odd:
    """Stand-in for an AnyValue that can not be parsed: its bytes."""
    return Odd("$raw", base64.b64encode(raw).decode())


# --- protobuf -> native


def native(value: AnyValue) -> Value:
    """The Python value of an AnyValue; None when it is empty."""
    which = value.WhichOneof("value")
    if which == "string_value":
        return value.string_value
    if which == "int_value":
        return value.int_value
    if which == "double_value":
        return value.double_value
    if which == "bool_value":
        return value.bool_value
    if which == "array_value":
        return [native(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return keyed(value.kvlist_value.values)
    if which == "bytes_value":
        return value.bytes_value
    return None


def native_pair(pair: KeyValue) -> Value:
    """The value of a KeyValue; ``ABSENT`` when it carries none at all."""
    value = native(pair.value)
    return ABSENT if value is None and not pair.HasField("value") else value


def keyed(pairs: Sequence[KeyValue]) -> dict[str, Value] | Pairs:
    """Key-value pairs as a dict, or as ``Pairs`` when a dict would lose or confuse something."""
    result = {pair.key: native_pair(pair) for pair in pairs}
    if len(result) != len(pairs) or any(key[:1] == "$" for key in result):
        return Pairs([(pair.key, native_pair(pair)) for pair in pairs])
    return result


# --- native -> typed JSON


def _unusual(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, Pairs):
        return {"$pairs": value.items}
    if isinstance(value, Odd):
        return {value.kind: value.argument}
    raise TypeError(f"{type(value).__name__} is no attribute value")


_encode: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_unusual, check_circular=False
).encode


def _no_number(value: float) -> dict[str, str]:
    raw = struct.pack(">d", value)
    if math.isnan(value) and raw != _CANONICAL_NAN:
        return {"$double": raw.hex()}  # a NaN with a payload: its 8 bytes, big-endian
    return {"$double": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}


def _finite(value: Value) -> Value:
    """``value`` with every NaN and infinity replaced by its ``$double`` object."""
    if isinstance(value, float) and not math.isfinite(value):
        return _no_number(value)
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Pairs):
        return Pairs([(key, _finite(item)) for key, item in value.items])
    return value


def format_typed(value: Value) -> str:
    """Typed JSON of a native value, compact."""
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float and math.isfinite(value):
        return repr(value)
    try:
        return _encode(value)
    except ValueError:  # a NaN or an infinity somewhere in it
        return _encode(_finite(value))


# --- typed JSON -> native


def _parse_double(argument: str) -> float:
    if argument in ("NaN", "Infinity", "-Infinity"):
        return float(argument)
    return float(struct.unpack(">d", bytes.fromhex(argument))[0])


_UNUSUAL: Final[dict[str, Callable[[Any], Value]]] = {
    "$bytes": base64.b64decode,
    "$double": _parse_double,
    "$pairs": Pairs,
    "$absent": lambda _: ABSENT,
    "$raw": lambda argument: Odd("$raw", argument),
    "$content": lambda argument: Odd("$content", argument),
}


def _object(value: dict[str, Any]) -> Value:
    if len(value) == 1:
        (key,) = value
        if key in _UNUSUAL:
            return _UNUSUAL[key](value[key])
    return value


_decode: Final = json.JSONDecoder(object_hook=_object).decode


def parse_typed(text: str) -> Value:
    """The value that ``format_typed`` was given. Raises ValueError for text that is not JSON."""
    return _decode(text)


# --- JSON that a producer wrote into a string

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str) -> Value:
    """The value of JSON text that a producer sent. Raises ValueError for what is none, or is nested too deep to read.

    Half of a surrogate pair, which JSON can write and no text can hold, becomes U+FFFD.
    """
    try:
        value = json.loads(text)
        return _whole(value) if _SURROGATE.search(text) else value
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def whole(text: str) -> str:
    """``text`` with U+FFFD for each half of a surrogate pair that stands alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _whole(value: Value) -> Value:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {whole(key): _whole(item) for key, item in value.items()}
    return value
