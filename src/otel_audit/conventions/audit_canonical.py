"""The canonical form of an audit record (draft data model of the OpenTelemetry Audit Logging signal, RFC 8785).

    {"Attributes": {key: AnyValue}, "Body": AnyValue, "EventName": text, "ObservedTimestamp": "nanos",
     "SpanId": hex, "Timestamp": "nanos", "TraceId": hex}

An AnyValue is an object of its type's name and the value, as in OTLP/JSON. Nanoseconds and integers beyond 2^53 are
decimal strings. ``audit.integrity.*`` attributes and severity are left out, and so is what is not set. The resource is
no part: in the draft it stands beside the record. JSON writes 0.0 and -0.0 alike; all else has a form of its own.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final

import rfc8785

from otel_audit.conventions.record import Record
from otel_audit.conventions.text import MARKER
from otel_audit.conventions.values import Odd, Pairs, Value, parse_typed
from otel_audit.errors import MalformedInput

INTEGRITY_PREFIX: Final = "audit.integrity."  # left out: it carries the proof over the rest
_EXACT: Final = 1 << 53  # integers beyond it are no exact JSON numbers (RFC 8785 §3.2.2.3)


class TextErased(MalformedInput):
    """A text of the record is no longer stored, so that its canonical form can not be made again."""


def sent_form(record: Record) -> bytes:
    """The canonical bytes of a log record as it was sent. Raises MalformedInput for one that has no such form."""
    return canonical_form(
        record.start,
        record.end,
        record.name,
        record.attributes,
        record.trace_id,
        record.span_id,
        (record.body,) if record.has_body else (),
    )


def stored_form(columns: Mapping[str, Any], content: Mapping[str, str]) -> bytes:
    """The canonical bytes of an audit record as it is stored: an entry's columns, and its texts by content name.

    Times are in nanoseconds since 1970. Raises TextErased when a text is gone, MalformedInput for what is no record.
    """
    otlp = dict(columns["otlp"])
    attributes: dict[str, Value] = {}
    for key, text in columns["attributes"]:
        attributes[_text(key, content)] = _text(text, content)
    for key, text in columns["attributes_json"]:
        attributes[_text(key, content)] = _typed(text, content)
    body: tuple[Value, ...] = ()
    if (stored := otlp.get("body")) is not None:
        body = (_text(stored, content) if stored.startswith(MARKER) else _typed(stored, content),)
    return canonical_form(
        columns["event_time"],
        int(otlp.get("observed_time_unix_nano", "0")),
        _text(columns["name"], content),
        attributes,
        columns.get("trace_id", ""),
        columns.get("span_id", ""),
        body,
    )


def integrity_hash(form: bytes) -> str:
    """SHA-256 of a canonical form, in hex: the IntegrityHash of the draft's receipt."""
    return hashlib.sha256(form).hexdigest()


def wrap(value: Value) -> dict[str, Any]:
    """An attribute value as a JSON object of its type's name and the value. Raises MalformedInput for what is none."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": value if abs(value) < _EXACT else float(value) if abs(value) == _EXACT else str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _NO_NUMBER.get(value, "NaN")}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return {"arrayValue": {"values": [wrap(item) for item in value]}}
    if isinstance(value, dict | Pairs):
        items = value.items if isinstance(value, Pairs) else value.items()
        return {"kvlistValue": {"values": [{"key": key, "value": wrap(item)} for key, item in items]}}
    if isinstance(value, Odd) and value.kind == "$absent":
        return {}
    raise MalformedInput("an attribute value that can not be read has no canonical form")


_NO_NUMBER: Final = {math.inf: "Infinity", -math.inf: "-Infinity"}  # as ProtoJSON writes them


def canonical_form(  # noqa: PLR0917 - the fields of a record
    time: int,
    observed: int,
    name: str,
    attributes: Mapping[str, Value],
    trace_id: str,
    span_id: str,
    body: tuple[Value, ...],
) -> bytes:
    """The canonical bytes of these fields. Times are in nanoseconds since 1970; ``body`` is empty where none is set.

    Raises MalformedInput for what has no such form.
    """
    record: dict[str, Any] = {
        "Timestamp": str(time),
        "ObservedTimestamp": str(observed),
        "EventName": name,
        "Attributes": {key: wrap(value) for key, value in attributes.items() if not key.startswith(INTEGRITY_PREFIX)},
    }
    if body:
        record["Body"] = wrap(body[0])
    if trace_id:
        record["TraceId"] = trace_id
    if span_id:
        record["SpanId"] = span_id
    try:
        return rfc8785.dumps(record)
    except (rfc8785.CanonicalizationError, RecursionError) as exc:
        raise MalformedInput(f"the record has no RFC 8785 form: {type(exc).__name__}") from exc


def _text(text: str, content: Mapping[str, str]) -> str:
    if not text.startswith(MARKER):
        return text
    name = text.removeprefix(MARKER)
    if name not in content:
        raise TextErased("a text of the record is no longer stored: its integrity hash can not be made again")
    return content[name]


def _typed(text: str, content: Mapping[str, str]) -> Value:
    value = parse_typed(text)
    return parse_typed(_text(value, content)) if isinstance(value, str) and value.startswith(MARKER) else value
