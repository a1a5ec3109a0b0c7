"""OTLP messages rebuilt from audit events: the proof that normalising loses nothing.

Written from docs/design/normalising.md, with the generated OTLP classes, not with the code it checks
(but for ``parse_typed``, which has a property test of its own).
"""

from __future__ import annotations

import base64
import re
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_audit.conventions.values import ABSENT, Odd, Pairs, parse_typed
from otel_audit.model import AuditEvent

_MARKER = "content:"
_STATUS = {"unset": 0, "ok": 1, "error": 2}


class Rebuilt:
    """One event's resource, scope and record, with their schema URLs; None where the producer sent none."""

    def __init__(self, event: AuditEvent) -> None:
        self._columns: dict[str, Any] = dict(event.columns)
        self._content = event.content
        self._otlp = dict(self._columns.get("otlp", ()))
        self.resource = self._resource()
        self.resource_schema_url = self._text(self._otlp.get("resource_schema_url", ""))
        self.scope = self._scope()
        self.schema_url = self._text(self._otlp.get("schema_url", ""))
        if "raw" in self._content:
            kind = Span if self._columns["record_kind"] == "span" else LogRecord
            self.record: Any = kind.FromString(base64.b64decode(self._content["raw"]))
        else:
            self.record = self._span() if self._columns["record_kind"] == "span" else self._log()

    def _text(self, text: str) -> str:
        return self._content[text.removeprefix(_MARKER)] if text.startswith(_MARKER) else text

    def _column(self, name: str) -> str:
        return self._text(self._columns.get(name, ""))

    def _number(self, name: str) -> int:
        return int(self._otlp.get(name, 0))

    def _attributes(self, target: Any, place: str) -> None:
        strings = [(self._text(k), self._text(v)) for k, v in self._columns.get(place, ())]
        others = [(self._text(k), self._value(v)) for k, v in self._columns.get(f"{place}_json", ())]
        repeats = [
            (self._text(k), self._unsheltered(v)) for k, v in parse_typed(self._otlp.get(f"duplicate_{place}", "[]"))
        ]
        order = self._otlp.get(f"{place}_order", f"{len(strings)}s{len(others)}j")
        queues = {"s": iter(strings), "j": iter(others), "d": iter(repeats)}
        for count, letter in re.findall(r"(\d+)([sjd])", order):
            for _ in range(int(count)):
                add_pair(target, *next(queues[letter]))
        assert all(next(queue, None) is None for queue in queues.values())

    def _value(self, text: str) -> Any:
        value = parse_typed(text)
        return parse_typed(self._text(value)) if isinstance(value, str) else value

    def _unsheltered(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Odd) and value.kind == "$content":
            return parse_typed(self._content[str(value.argument)])
        return value

    def _sheltered_attributes(self, target: Any, attributes: Any) -> None:
        items = attributes.items if isinstance(attributes, Pairs) else attributes.items()
        for key, value in items:
            add_pair(target, self._text(key), self._unsheltered(value))

    def _resource(self) -> Resource | None:
        if "raw_resource" in self._content:
            return Resource.FromString(base64.b64decode(self._content["raw_resource"]))
        if "absent_resource" in self._otlp:
            return None
        resource = Resource(dropped_attributes_count=self._number("resource_dropped_attributes_count"))
        self._attributes(resource.attributes, "resource_attributes")
        for ref in parse_typed(self._text(self._otlp.get("entity_refs", "[]"))):
            resource.entity_refs.add(**ref)
        return resource

    def _scope(self) -> InstrumentationScope | None:
        if "raw_scope" in self._content:
            return InstrumentationScope.FromString(base64.b64decode(self._content["raw_scope"]))
        if "absent_scope" in self._otlp:
            return None
        scope = InstrumentationScope(
            name=self._column("scope_name"),
            version=self._column("scope_version"),
            dropped_attributes_count=self._number("scope_dropped_attributes_count"),
        )
        pairs = [(k, parse_typed(v)) for k, v in self._columns.get("scope_attributes_json", ())]
        self._sheltered_attributes(scope.attributes, dict(pairs))
        if "scope_attributes" in self._otlp:
            self._sheltered_attributes(scope.attributes, parse_typed(self._otlp["scope_attributes"]))
        return scope

    def _time(self, field: str, column: str) -> int:
        return int(self._otlp[field]) if field in self._otlp else self._columns[column]

    def _span(self) -> Span:
        columns = self._columns
        span = Span(
            trace_id=bytes.fromhex(self._column("trace_id")),
            span_id=bytes.fromhex(self._column("span_id")),
            parent_span_id=bytes.fromhex(self._column("parent_span_id")),
            trace_state=self._text(self._otlp.get("trace_state", "")),
            flags=self._number("flags"),
            name=self._column("name"),
            kind=self._number("kind"),
            start_time_unix_nano=self._time("start_time_unix_nano", "event_time"),
            end_time_unix_nano=self._time("end_time_unix_nano", "end_time"),
            dropped_attributes_count=self._number("dropped_attributes_count"),
            dropped_events_count=self._number("dropped_events_count"),
            dropped_links_count=self._number("dropped_links_count"),
        )
        self._attributes(span.attributes, "attributes")
        if "absent_status" not in self._otlp:
            span.status.SetInParent()
            span.status.code = int(self._otlp.get("status_code", _STATUS[columns["status"]]))
            span.status.message = self._content.get("status_message", "")
        for item in parse_typed(columns.get("span_events") or "[]"):
            event = span.events.add(
                name=self._text(item["name"]),
                time_unix_nano=item["time_unix_nano"],
                dropped_attributes_count=item.get("dropped_attributes_count", 0),
            )
            self._sheltered_attributes(event.attributes, item.get("attributes", {}))
        for item in parse_typed(columns.get("links") or "[]"):
            link = span.links.add(
                trace_id=bytes.fromhex(self._text(item["trace_id"])),
                span_id=bytes.fromhex(self._text(item["span_id"])),
                trace_state=self._text(item.get("trace_state", "")),
                dropped_attributes_count=item.get("dropped_attributes_count", 0),
                flags=item.get("flags", 0),
            )
            self._sheltered_attributes(link.attributes, item.get("attributes", {}))
        return span

    def _log(self) -> LogRecord:
        record = LogRecord(
            time_unix_nano=self._time("time_unix_nano", "event_time"),
            observed_time_unix_nano=self._number("observed_time_unix_nano"),
            severity_number=self._number("severity_number"),
            severity_text=self._text(self._otlp.get("severity_text", "")),
            dropped_attributes_count=self._number("dropped_attributes_count"),
            flags=self._number("flags"),
            trace_id=bytes.fromhex(self._column("trace_id")),
            span_id=bytes.fromhex(self._column("span_id")),
            event_name=self._otlp["event_name"] if "event_name" in self._otlp else self._column("name"),
        )
        self._attributes(record.attributes, "attributes")
        if "body" in self._otlp:
            body = self._otlp["body"]
            record.body.SetInParent()
            if body.startswith(_MARKER):
                set_value(record.body, self._text(body))
            else:
                value = parse_typed(body)
                set_value(record.body, parse_typed(self._text(value)) if isinstance(value, str) and value else value)
        return record


def set_value(target: Any, value: Any) -> None:
    """Set an AnyValue to a native value; None leaves it empty."""
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            set_value(target.array_value.values.add(), item)
    elif isinstance(value, dict | Pairs):
        target.kvlist_value.SetInParent()
        for key, item in value.items if isinstance(value, Pairs) else value.items():
            add_pair(target.kvlist_value.values, key, item)
    else:
        assert value is None


def add_pair(target: Any, key: str, value: Any) -> None:
    """Add a KeyValue with a native value."""
    pair: KeyValue = target.add(key=key)
    if value != ABSENT:
        pair.value.SetInParent()
        set_value(pair.value, value)


def serialised(message: Any) -> bytes | None:
    """A message's deterministic bytes; None stays None."""
    return None if message is None else message.SerializeToString(deterministic=True)


def sent(body: bytes, kind: str) -> list[tuple[bytes | None, str, bytes | None, str, bytes]]:
    """(resource, its schema URL, scope, its schema URL, record) of each record of a request, serialised."""
    rows = []
    if kind == "traces":
        blocks: Any = ExportTraceServiceRequest.FromString(body).resource_spans
    else:
        blocks = ExportLogsServiceRequest.FromString(body).resource_logs
    for block in blocks:
        resource = block.resource if block.HasField("resource") else None
        for scope_block in block.scope_spans if kind == "traces" else block.scope_logs:
            scope = scope_block.scope if scope_block.HasField("scope") else None
            records = scope_block.spans if kind == "traces" else scope_block.log_records
            rows += [
                (
                    serialised(resource),
                    block.schema_url,
                    serialised(scope),
                    scope_block.schema_url,
                    record.SerializeToString(deterministic=True),
                )
                for record in records
            ]
    return rows


def rebuilt(event: AuditEvent) -> tuple[bytes | None, str, bytes | None, str, bytes]:
    """The same five of one event."""
    message = Rebuilt(event)
    return (
        serialised(message.resource),
        message.resource_schema_url,
        serialised(message.scope),
        message.schema_url,
        message.record.SerializeToString(deterministic=True),
    )
