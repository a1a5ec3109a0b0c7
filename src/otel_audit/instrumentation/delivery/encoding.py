"""SDK spans and log records to what lies in the spool, and from there to OTLP.

Encoding runs on the application's thread and is therefore cheap: personal data is masked, and the
rest is JSON. The official OTLP encoder, ten times as slow, runs on the delivering thread.

A spooled record is two lines of JSON: resource and scope, which repeat and are made once; and the record.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_audit.errors import StoreError
from otel_audit.instrumentation._faults import note
from otel_audit.instrumentation.delivery.segment import Item
from otel_audit.privacy.redactor import Redactor
from otel_audit.semconv import AUDIT_CAPTURE_POLICY, AUDIT_RECORD_ID

SPAN: Final = b"S"
LOG: Final = b"L"
AUDIT: Final = b"A"  # a record of the Audit Logging signal: a log record that gets a receipt
_REMEMBERED: Final = 1 << 8  # resources and scopes of one process; a flood of new ones starts it afresh
_BYTES: Final = "\0bytes"
_INT64: Final = 1 << 63
_PLAIN: Final = frozenset({str, bool, float})


def _spare(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    return str(value)


dump: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False, default=_spare).encode


def _bytes(text: str) -> bytes:
    """UTF-8. A lone surrogate, for which the exporter would drop the whole batch, becomes a question mark."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


class Encoder:
    """Makes spool records, with personal data masked by ``redactor``. Safe to use from any thread."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._label = redactor.label
        # (resource, scope) by their ids; the value holds on to both, so that the ids stay theirs.
        self._headers: dict[tuple[int, int], tuple[Any, Any, bytes]] = {}

    def span(self, span: ReadableSpan, extra: Mapping[str, Any]) -> Item:
        """An ended span, with ``extra`` attributes where it has none of that name."""
        context = span.context
        parent = span.parent
        status = span.status
        body: dict[str, Any] = {
            "name": self._redactor.name(span.name),
            "kind": span.kind.value,
            "context": self._context(context),
            "parent": None if parent is None else self._context(parent),
            "start": span.start_time,
            "end": span.end_time,
            "attributes": self._attributes({**extra, **(span.attributes or {})}, label=True),
        }
        if status.status_code is not StatusCode.UNSET or status.description:
            description = status.description
            body["status"] = (status.status_code.value, description and self._value("status_message", description))
        if span.events:
            body["events"] = [
                (self._redactor.name(each.name), each.timestamp, self._attributes(each.attributes), _dropped(each))
                for each in span.events
            ]
        if span.links:
            body["links"] = [
                (self._context(each.context), self._attributes(each.attributes), _dropped(each)) for each in span.links
            ]
        dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)
        if any(dropped):
            body["dropped"] = dropped
        return Item(SPAN, self._header(span.resource, span.instrumentation_scope) + _bytes(dump(body)))

    def log(self, record: ReadWriteLogRecord, extra: Mapping[str, Any], kind: bytes = LOG) -> Item:
        """An emitted log record, with ``extra`` attributes; with ``kind`` AUDIT, one of the Audit Logging signal."""
        log = record.log_record
        body = {
            "time": log.timestamp,
            "observed": log.observed_timestamp,
            "trace": log.trace_id or 0,
            "span": log.span_id or 0,
            "flags": int(log.trace_flags or 0),
            "severity": log.severity_number.value if log.severity_number else None,
            "severity_text": log.severity_text and self._redactor.name(log.severity_text),
            "event": log.event_name and self._redactor.name(log.event_name),
            "body": self._value("body", log.body),
            "attributes": self._attributes({**extra, **(log.attributes or {})}, label=True),
            "dropped": record.dropped_attributes,
        }
        return Item(kind, self._header(record.resource, record.instrumentation_scope) + _bytes(dump(body)))

    def _attributes(self, attributes: Mapping[str, Any] | None, *, label: bool = False) -> dict[str, Any]:
        name, masked = self._redactor.name, self._value
        found = {name(key): masked(key, value) for key, value in attributes.items()} if attributes else {}
        if label:
            found[AUDIT_CAPTURE_POLICY] = self._label
        return found

    def _context(self, context: SpanContext) -> tuple[Any, ...]:
        state = self._redactor.name(context.trace_state.to_header()) if context.trace_state else ""
        return context.trace_id, context.span_id, int(context.trace_flags), context.is_remote, state

    def _value(self, key: str, value: Any) -> Any:
        kind = type(value)
        if kind is int and not -_INT64 <= value < _INT64:
            value = str(value)  # OTLP has no word for it
        elif kind is not int and kind not in _PLAIN:
            value = _spelled(value)
        try:
            return self._redactor.value(key, value)
        except StoreError as exc:  # under the policy `reference`: the text can not be put where it should be
            note("reference", "a text is kept as its keyed hash alone", exc)
            return self._redactor.digest_of(value if isinstance(value, str) else dump(value))

    def _header(self, resource: Resource | None, scope: InstrumentationScope | None) -> bytes:
        known = self._headers.get((id(resource), id(scope)))
        if known is None:
            name = self._redactor.name
            header = {
                "resource": self._attributes(resource.attributes if resource else None),
                "resource_schema_url": name(resource.schema_url) if resource else "",
                "scope": None
                if scope is None
                else (
                    name(scope.name),
                    name(scope.version or ""),
                    name(scope.schema_url or ""),
                    self._attributes(scope.attributes),
                ),
            }
            known = (resource, scope, _bytes(dump(header)) + b"\n")
            if len(self._headers) >= _REMEMBERED:
                self._headers.clear()
            self._headers[(id(resource), id(scope))] = known
        return known[2]


def _spelled(value: Any) -> Any:
    """A structured value in JSON's types, apart from bytes; integers that OTLP can not hold as text."""
    if isinstance(value, Mapping):
        return {str(key): _spelled(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(each) for each in value]
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return str(value)
    return value if value is None or isinstance(value, str | bool | int | float | bytes) else str(value)


def _dropped(part: Event | Link) -> int:
    return part.dropped_attributes


def _read(value: dict[str, Any]) -> Any:
    return base64.b64decode(value[_BYTES]) if len(value) == 1 and _BYTES in value else value


parse: Final = json.JSONDecoder(object_hook=_read).decode


class _Span(ReadableSpan):
    """A span from the spool, which knows what its original had dropped."""

    dropped: Sequence[int] = (0, 0, 0)

    @property
    def dropped_attributes(self) -> int:
        return self.dropped[0]

    @property
    def dropped_events(self) -> int:
        return self.dropped[1]

    @property
    def dropped_links(self) -> int:
        return self.dropped[2]


class Decoder:
    """Makes OTLP export requests of spool records. For one thread."""

    def __init__(self) -> None:
        self._headers: dict[str, tuple[Resource, InstrumentationScope | None]] = {}

    def request(self, items: Sequence[Item]) -> bytes:
        """The export request of records of one kind. Raises ValueError for a record that is none of ours."""
        try:
            if items[0].kind == SPAN:
                request: bytes = encode_spans([self._span(item) for item in items]).SerializeToString()
            else:
                request = encode_logs([self._log(item) for item in items]).SerializeToString()
        except (KeyError, TypeError, IndexError) as exc:
            raise ValueError(f"a spooled record can not be read: {type(exc).__name__}") from exc
        return request

    def _split(self, item: Item) -> tuple[Resource, InstrumentationScope | None, dict[str, Any]]:
        header, _, body = item.payload.decode().partition("\n")
        known = self._headers.get(header)
        if known is None:
            parts = parse(header)
            scope = parts["scope"]
            known = (
                Resource(parts["resource"], parts["resource_schema_url"]),
                None if scope is None else InstrumentationScope(*scope),
            )
            if len(self._headers) >= _REMEMBERED:
                self._headers.clear()
            self._headers[header] = known
        return *known, parse(body)

    def _span(self, item: Item) -> ReadableSpan:
        resource, scope, body = self._split(item)
        code, description = body.get("status", (0, None))
        span = _Span(
            name=body["name"],
            context=_span_context(body["context"]),
            parent=None if body["parent"] is None else _span_context(body["parent"]),
            resource=resource,
            attributes=body["attributes"],
            events=[
                Event(name, _bounded(attributes, dropped), timestamp)
                for name, timestamp, attributes, dropped in body.get("events", ())
            ],
            links=[
                Link(_span_context(context), _bounded(attributes, dropped))
                for context, attributes, dropped in body.get("links", ())
            ],
            kind=SpanKind(body["kind"]),
            status=Status(StatusCode(code), description if code == StatusCode.ERROR.value else None),
            start_time=body["start"],
            end_time=body["end"],
            instrumentation_scope=scope,
        )
        span.dropped = body.get("dropped", span.dropped)
        return span

    def _log(self, item: Item) -> ReadableLogRecord:
        resource, scope, body = self._split(item)
        log = LogRecord(
            timestamp=body["time"],
            observed_timestamp=body["observed"],
            severity_text=body["severity_text"],
            severity_number=None if body["severity"] is None else SeverityNumber(body["severity"]),
            body=body["body"],
            attributes=_bounded(body["attributes"], body["dropped"]),
            event_name=body["event"],
        )
        log.trace_id, log.span_id, log.trace_flags = body["trace"], body["span"], TraceFlags(body["flags"])
        return ReadableLogRecord(log, resource or Resource.get_empty(), scope)


def record_id_of(item: Item) -> str:
    """The id of a spooled audit record. Raises ValueError for a record that is none of ours."""
    try:
        return str(parse(item.payload.decode().partition("\n")[2])["attributes"][AUDIT_RECORD_ID])
    except (KeyError, TypeError) as exc:
        raise ValueError("a spooled audit record has no id") from exc


def _span_context(parts: Sequence[Any]) -> SpanContext:
    trace_id, span_id, flags, is_remote, state = parts
    trace_state = TraceState.from_header([state]) if state else None
    return SpanContext(trace_id, span_id, is_remote, TraceFlags(flags), trace_state)


def _bounded(attributes: Mapping[str, Any], dropped: int) -> BoundedAttributes:
    bounded = BoundedAttributes(attributes=attributes, extended_attributes=True)
    bounded.dropped = dropped
    return bounded
