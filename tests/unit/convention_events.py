"""Events of records made by hand, as the receiver makes them."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_audit.model import AuditEvent
from otel_audit.receiver.decode import Decoder
from tests.conformance.rebuild import add_pair, set_value

NOW = 1_795_500_000_000_000_000
DECODER = Decoder(b"k" * 32)


def spans(
    attributes: dict[str, Any],
    *,
    scope: str = "",
    events: list[tuple[str, dict[str, Any]]] | None = None,
    **fields: Any,
) -> list[AuditEvent]:
    """The events of a span with these attributes and span events."""
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add().scope_spans.add()
    block.scope.name = scope
    record = block.spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=NOW, end_time_unix_nano=NOW, **fields
    )
    for key, value in attributes.items():
        add_pair(record.attributes, key, value)
    for name, told in events or ():
        event = record.events.add(name=name)
        for key, value in told.items():
            add_pair(event.attributes, key, value)
    return DECODER.traces(request.SerializeToString(), NOW).events


def span(attributes: dict[str, Any], **fields: Any) -> AuditEvent:
    """The event of a span that tells nothing beside itself."""
    (event,) = spans(attributes, **fields)
    return event


def log(name: str, attributes: dict[str, Any], body: Any = None, *, scope: str = "", **fields: Any) -> AuditEvent:
    """The event of a log record with these attributes and this body."""
    request = ExportLogsServiceRequest()
    block = request.resource_logs.add().scope_logs.add()
    block.scope.name = scope
    record = block.log_records.add(event_name=name, time_unix_nano=NOW, **fields)
    for key, value in attributes.items():
        add_pair(record.attributes, key, value)
    if body is not None:
        set_value(record.body, body)
    (event,) = DECODER.logs(request.SerializeToString(), NOW).events
    return event
