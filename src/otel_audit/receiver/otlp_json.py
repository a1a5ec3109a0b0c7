"""OTLP/JSON requests as OTLP protobuf, so that both take one path and give the same events.

The encoding: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, which is proto3 JSON
(https://protobuf.dev/programming-guides/json/) but for trace and span ids, which are hex. The generated classes'
own JSON parser is no help here: it takes ids for base64, and drops or refuses what it does not know.

Nothing is lost. A field that is not in the schema, that comes again, or whose value its field can not hold, is written
into its message as protobuf field ``KEPT_FIELD``: there it is an unknown field like any other, so the record gets the
remark ``unknown_fields`` and its bytes are kept, with ``[["name", value], ...]`` in JSON in them.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus

from otel_audit.conventions.wire import SCHEMA
from otel_audit.errors import RejectedBatch

KEPT_FIELD: Final = (1 << 29) - 1  # the highest number a protobuf field can have: no OTLP message will use it
_MAX_DEPTH: Final = 200  # messages; protobuf reads 100, and what is deeper than this would exhaust Python's stack
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_HEX_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_ENUMS: Final[dict[tuple[str, str], Iterable[tuple[str, int]]]] = {
    ("Span", "kind"): Span.SpanKind.items(),
    ("Status", "code"): SpanStatus.StatusCode.items(),
    ("LogRecord", "severity_number"): SeverityNumber.items(),
}
# Traces and logs have one envelope in SCHEMA; in JSON its parts have the signal's own names.
_ENVELOPE: Final = {
    "traces": {"resource_blocks": "resource_spans", "scope_blocks": "scope_spans", "records": "spans"},
    "logs": {"resource_blocks": "resource_logs", "scope_blocks": "scope_logs", "records": "log_records"},
}
_RECORDS: Final = {"traces": "Span", "logs": "LogRecord"}


class _Unfit(Exception):
    """A JSON value that its field can not hold."""


@dataclass(frozen=True, slots=True)
class _Again:
    """A JSON object in which a name comes twice."""

    pairs: list[tuple[str, Any]]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Again:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Again(pairs)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


# One function a scalar type, from a JSON value to its encoding on the wire.
def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _Unfit
    return _sized(_utf8(value))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode(errors="surrogateescape")  # bytes of the request that were no UTF-8, as they came
        except UnicodeEncodeError:
            return text.encode(errors="surrogatepass")  # half of a pair, which JSON can write and UTF-8 can not


def _hex(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _Unfit
    try:
        return _sized(binascii.unhexlify(value))
    except ValueError as exc:
        raise _Unfit from exc


def _base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _Unfit
    try:  # both alphabets, with or without padding, as proto3 JSON says
        standard = value.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
        return _sized(base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True))
    except ValueError as exc:
        raise _Unfit from exc


def _bool(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise _Unfit
    return b"\x01" if value else b"\x00"


def _whole(value: Any, lowest: int, highest: int) -> int:
    """An integer, also as a decimal string, also written as ``1e3``."""
    if isinstance(value, str):
        try:
            value = int(value) if value.lstrip("-").isdecimal() else float(value)
        except ValueError as exc:
            raise _Unfit from exc
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise _Unfit
    return value


def _signed(bits: int) -> Callable[[Any], bytes]:
    limit = 1 << (bits - 1)
    return lambda value: _varint(_whole(value, -limit, limit - 1) & ((1 << 64) - 1))


def _unsigned32(value: Any) -> bytes:
    return _varint(_whole(value, 0, (1 << 32) - 1))


def _fixed32(value: Any) -> bytes:
    return _whole(value, 0, (1 << 32) - 1).to_bytes(4, "little")


def _fixed64(value: Any) -> bytes:
    return _whole(value, 0, (1 << 64) - 1).to_bytes(8, "little")


def _double(value: Any) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _Unfit
    try:
        return struct.pack("<d", float(value))  # float reads "NaN", "Infinity" and "-Infinity" too
    except (ValueError, OverflowError) as exc:
        raise _Unfit from exc


def _enum(names: Iterable[tuple[str, int]]) -> Callable[[Any], bytes]:
    numbers = dict(names)
    number = _signed(32)
    return lambda value: number(numbers.get(value, value) if isinstance(value, str) else value)


_SCALARS: Final[dict[str, tuple[int, Callable[[Any], bytes], bytes]]] = {  # wire type, encoding, its default
    "string": (_BYTES, _text, b"\x00"),
    "bytes": (_BYTES, _base64, b"\x00"),
    "bool": (_VARINT, _bool, b"\x00"),
    "int32": (_VARINT, _signed(32), b"\x00"),
    "int64": (_VARINT, _signed(64), b"\x00"),
    "uint32": (_VARINT, _unsigned32, b"\x00"),
    "double": (_FIXED64, _double, bytes(8)),
    "fixed32": (_FIXED32, _fixed32, bytes(4)),
    "fixed64": (_FIXED64, _fixed64, bytes(8)),
}


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    tag: bytes
    repeated: bool
    scalar: Callable[[Any], bytes] | None
    message: str
    default: bytes | None  # what need not be written; None in a oneof, where presence tells


class _Signal:
    """The messages of one signal, by their JSON names."""

    def __init__(self, signal: str) -> None:
        names = _ENVELOPE[signal]
        self._fields: dict[str, dict[str, _Field]] = {}
        self.top = _camel(names["resource_blocks"])
        for message, listed in SCHEMA.items():
            fields = self._fields[message] = {}
            for described in listed.split(", "):
                name, number, kind = described.split(" ")
                bare = kind.lstrip("*")
                if name == "records":
                    bare = _RECORDS[signal]
                wire_type, scalar, default = _SCALARS.get(bare, (_BYTES, None, None))
                if name in _HEX_FIELDS:
                    scalar = _hex
                if (message, name) in _ENUMS:
                    scalar = _enum(_ENUMS[message, name])
                field = _Field(
                    int(number),
                    _varint(int(number) << 3 | wire_type),
                    kind.startswith("*"),
                    scalar,
                    "" if scalar else bare,
                    None if message == "AnyValue" else default,
                )
                written = names.get(name, name)
                fields[written] = fields[_camel(written)] = field

    def encode(self, message: str, value: Any, depth: int = 0) -> bytes:
        """A message from its JSON object. Raises ``_Unfit`` when it is none, or lies too deep."""
        pairs = value.items() if isinstance(value, dict) else value.pairs if isinstance(value, _Again) else None
        if pairs is None or depth > _MAX_DEPTH:
            raise _Unfit
        fields = self._fields[message]
        written: dict[int, bytes] = {}
        kept: list[tuple[str, Any]] = []
        for name, item in pairs:
            field = fields.get(name)
            if field is None or field.number in written or (message == "AnyValue" and written and item is not None):
                kept.append((name, item))
            elif item is not None:  # null is the same as leaving it out
                try:
                    written[field.number] = self._field(field, name, item, depth, kept)
                except _Unfit:
                    kept.append((name, item))
        parts = [written[number] for number in sorted(written)]
        if kept:
            text = json.dumps(kept, default=lambda again: {"$pairs": again.pairs}, separators=(",", ":"))
            parts.append(_varint(KEPT_FIELD << 3 | _BYTES) + _sized(text.encode()))
        return b"".join(parts)

    def _field(self, field: _Field, name: str, item: Any, depth: int, kept: list[tuple[str, Any]]) -> bytes:
        if not field.repeated:
            encoded = self._one(field, item, depth)
            return b"" if encoded == field.default else field.tag + encoded
        if not isinstance(item, list):
            raise _Unfit
        parts = []
        for index, element in enumerate(item):
            try:
                parts.append(field.tag + self._one(field, element, depth))
            except _Unfit:
                kept.append((f"{name}[{index}]", element))
        return b"".join(parts)

    def _one(self, field: _Field, item: Any, depth: int) -> bytes:
        if field.scalar is not None:
            return field.scalar(item)
        return _sized(self.encode(field.message, item, depth + 1))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_SIGNALS: Final = {signal: _Signal(signal) for signal in _ENVELOPE}


def to_protobuf(signal: str, body: bytes) -> bytes:
    """An export request of ``signal`` (traces, logs) in protobuf, from its JSON.

    Raises ``RejectedBatch`` for a body that is no JSON object, or one without any resource.
    """
    messages = _SIGNALS[signal]
    try:
        # Bytes that are no UTF-8 cost the text they are in, and not the request.
        value = json.loads(body.decode("utf-8-sig", "surrogateescape"), object_pairs_hook=_object)
        encoded = messages.encode("Request", value)
    except _Unfit:
        raise _rejected(signal, body, "are JSON, but no object") from None
    except RecursionError:
        raise _rejected(signal, body, "are JSON that is nested too deep to read") from None
    except ValueError as exc:
        raise _rejected(signal, body, f"are not JSON ({exc})") from exc
    if encoded and encoded[0] != 0x0A:  # the tag of the first resource
        raise _rejected(signal, body, f"are JSON without any {messages.top}")
    return encoded


def _rejected(signal: str, body: bytes, problem: str) -> RejectedBatch:
    return RejectedBatch(
        f"OTLP/JSON {signal}: {len(body)} bytes {problem}; nothing was stored. "
        "Send the signal's export request in OTLP/JSON, complete and decompressed"
    )


def metrics_to_protobuf(body: bytes) -> bytes:
    """An ``ExportMetricsServiceRequest`` in protobuf, from its JSON: good enough to count its points."""
    try:
        request = json_format.Parse(body, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as exc:
        raise _rejected("metrics", body, f"are not an ExportMetricsServiceRequest ({exc})") from exc
    encoded: bytes = request.SerializeToString()
    return encoded


def metrics_answer(answer: bytes) -> bytes:
    """An ``ExportMetricsServiceResponse`` in JSON."""
    return json_format.MessageToJson(ExportMetricsServiceResponse.FromString(answer), indent=None).encode()


def status_answer(status: Status) -> bytes:
    """A ``google.rpc.Status`` in JSON."""
    return json_format.MessageToJson(status, indent=None).encode()
