"""An audit request, read strictly: one record that is not as the draft says rejects all of them, by index and field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_audit import semconv
from otel_audit.conventions import wire
from otel_audit.conventions.record import Record, read_log
from otel_audit.conventions.source import read_resource, read_scope
from otel_audit.errors import RejectedBatch
from otel_audit.receiver import otlp_json

_read_request: Final = wire.shell_reader("Request")
_read_resource_block: Final = wire.shell_reader("ResourceBlock")
_read_scope_block: Final = wire.shell_reader("ScopeBlock")

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")  # RFC 9562 §4
_ACTION: Final = re.compile(r"[A-Z][A-Z0-9]*(?:[ _.:-][A-Z0-9]+)*")
_WORDS: Final = {
    semconv.AUDIT_ACTOR_TYPE: ("user", "service", "system"),
    semconv.AUDIT_OUTCOME: ("success", "failure", "unknown"),
}
_LAST_TIME: Final = (1 << 63) - 1  # what the ledger's columns hold: nanoseconds until 2262
_ENVELOPE: Final = "resourceLogs"


def from_json(body: bytes) -> tuple[bytes, bool]:
    """The request in protobuf, and whether it is one bare record. Raises RejectedBatch.

    A bare record is a LogRecord in OTLP/JSON, with its ``resource`` beside the other fields if it has one.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None  # the translation below says what is wrong
    if not isinstance(value, dict) or _ENVELOPE in value or "attributes" not in value:
        return otlp_json.to_protobuf("logs", body), False
    resource = value.pop("resource", {})  # there even when it says nothing: a retry in a batch is the same record
    block = {"resource": resource, "scopeLogs": [{"logRecords": [value]}]}
    return otlp_json.to_protobuf("logs", json.dumps({_ENVELOPE: [block]}).encode()), True


def read_records(body: bytes) -> list[Record]:
    """The records of an ``ExportLogsServiceRequest``, each as the draft's data model wants it. Raises RejectedBatch."""
    try:
        records = list(_records(body))
    except DecodeError as exc:
        raise RejectedBatch("the request is no ExportLogsServiceRequest; nothing was stored") from exc
    if not records:
        raise RejectedBatch("the request has no record; nothing was stored")
    for index, record in enumerate(records):
        if problem := _problem(record):
            raise RejectedBatch(f"record {index}: {problem}; nothing of the batch was stored")
    return records


def _records(body: bytes) -> Iterator[Record]:
    for raw in _whole(_read_request(body)).resource_blocks:
        block = _whole(_read_resource_block(raw))
        resource = read_resource(block.resource, block.schema_url)
        for scope_raw in block.scope_blocks:
            scope = _whole(_read_scope_block(scope_raw))
            source = read_scope(resource, scope.scope, scope.schema_url)
            for record_raw in scope.records:
                yield read_log(source, record_raw)


def _whole(shell: Any) -> Any:
    if len(UnknownFieldSet(shell)):
        raise DecodeError("fields that OTLP does not have")
    return shell


def _problem(record: Record) -> str:
    """What is wrong with a record, by field; empty when nothing is. Never a value: it may be personal data."""
    if damage := [*record.source.remarks, *record.damage]:
        return f"can not be read ({', '.join(damage)})"
    if not 0 < record.start <= _LAST_TIME:
        return "Timestamp is not set, or beyond the year 2262"
    if not record.start <= record.end <= _LAST_TIME:
        return "ObservedTimestamp is not set, or before Timestamp"
    if not record.name or ("event_name", "") in record.otlp:
        return "EventName is not set"
    if record.state or any(key == "severity_number" for key, _ in record.otlp):
        return "SeverityNumber or SeverityText is set, which audit records do not have"
    if len(record.trace_id) not in {0, 32} or len(record.span_id) not in {0, 16}:
        return "TraceId is not of 16 bytes, or SpanId not of 8"
    if len(record.attributes) != len(record.entries):
        return "an attribute is there twice"
    return _attribute_problem(record.attributes)


def _attribute_problem(attributes: dict[str, Any]) -> str:
    record_id = attributes.get(semconv.AUDIT_RECORD_ID)
    if not isinstance(record_id, str) or not _UUID.fullmatch(record_id):
        return f"{semconv.AUDIT_RECORD_ID} must be a UUID in lower case"
    actor = attributes.get(semconv.AUDIT_ACTOR_ID)
    if not isinstance(actor, str) or not actor.strip():
        return f"{semconv.AUDIT_ACTOR_ID} must be a text that is not empty"
    action = attributes.get(semconv.AUDIT_ACTION)
    if not isinstance(action, str) or not _ACTION.fullmatch(action):
        return f"{semconv.AUDIT_ACTION} must be an upper-case verb"
    for key, words in _WORDS.items():
        if attributes.get(key) not in words:
            return f"{key} must be one of {', '.join(words)}"
    return ""
