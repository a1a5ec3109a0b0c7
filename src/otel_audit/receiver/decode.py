"""OTLP export requests to audit events.

Damage stays where it is: an attribute, event or link that can not be read is remarked and its
record's bytes are kept; a record that can not be read at all becomes a ``loss`` event that holds its
bytes. Only a request whose outermost message is no OTLP is rejected.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_audit.conventions import normalise, wire
from otel_audit.conventions.record import Record, identity, read_log, read_span
from otel_audit.conventions.source import Source, read_resource, read_scope
from otel_audit.errors import RejectedBatch
from otel_audit.model import LOST_BYTES, AuditEvent, EventType, RecordKind

_read_request: Final = wire.shell_reader("Request")
_read_resource_block: Final = wire.shell_reader("ResourceBlock")
_read_scope_block: Final = wire.shell_reader("ScopeBlock")


@dataclass(frozen=True, slots=True)
class Loss:
    """A part of a request that could not be read. Its bytes are in a ``loss`` event.

    ``part`` is span, log, or the level above that failed: scope, resource, request. ``size`` is in bytes.
    """

    part: str
    reason: str
    size: int


@dataclass(slots=True)
class Decoded:
    """A request's events in the order of its records (derived ones after theirs), and what could not be read of it."""

    events: list[AuditEvent] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)


class Decoder:
    """Reads OTLP export requests (protobuf).

    ``identity_key`` keys the event ids of records that bring no id: a retried record gets the same id
    again, and nobody without the key can test a guess against one. Safe to share between threads.
    """

    def __init__(self, identity_key: bytes) -> None:
        self._key = identity_key

    def traces(self, body: bytes, received_unix_nano: int) -> Decoded:
        """Events of an ``ExportTraceServiceRequest``. Raises ``RejectedBatch`` for bytes that are none."""
        return _Request(self._key, received_unix_nano, RecordKind.SPAN).decode(body)

    def logs(self, body: bytes, received_unix_nano: int) -> Decoded:
        """Events of an ``ExportLogsServiceRequest``. Raises ``RejectedBatch`` for bytes that are none."""
        return _Request(self._key, received_unix_nano, RecordKind.LOG).decode(body)


_REQUEST_NAMES: Final = {
    RecordKind.SPAN: "ExportTraceServiceRequest",
    RecordKind.LOG: "ExportLogsServiceRequest",
}


class _Request:
    """One request while it is read."""

    def __init__(self, key: bytes, received_unix_nano: int, kind: RecordKind) -> None:
        self._key = key
        self._received = received_unix_nano
        self._kind = kind
        self._read: Callable[[Source, bytes], Record] = read_span if kind is RecordKind.SPAN else read_log
        self._decoded = Decoded()
        self._seen: dict[str, int] = {}

    def decode(self, body: bytes) -> Decoded:
        try:
            request = _read_request(body)
        except DecodeError as exc:
            raise self._rejected(body, "are not a protobuf message") from exc
        blocks = list(request.resource_blocks)
        leftover = _leftover(request)
        if leftover and not blocks:
            raise self._rejected(body, "are a protobuf message without any resource")
        for raw in blocks:
            self._resource_block(raw)
        if leftover:
            self._lose(Source(), "request", wire.UNKNOWN_FIELDS, leftover)
        return self._decoded

    def _rejected(self, body: bytes, problem: str) -> RejectedBatch:
        return RejectedBatch(
            f"{_REQUEST_NAMES[self._kind]}: {len(body)} bytes {problem}; nothing was stored. "
            "Send OTLP protobuf of this signal, complete and decompressed"
        )

    def _resource_block(self, raw: bytes) -> None:
        try:
            block = _read_resource_block(raw)
        except DecodeError:
            self._lose(Source(), "resource", wire.UNDECODABLE, raw)
            return
        resource = read_resource(block.resource, block.schema_url)
        for scope_raw in block.scope_blocks:
            self._scope_block(resource, scope_raw)
        if leftover := _leftover(block):
            self._lose(resource, "resource", wire.UNKNOWN_FIELDS, leftover)

    def _scope_block(self, resource: Source, raw: bytes) -> None:
        try:
            block = _read_scope_block(raw)
        except DecodeError:
            self._lose(resource, "scope", wire.UNDECODABLE, raw)
            return
        source = read_scope(resource, block.scope, block.schema_url)
        read, key, received, events = self._read, self._key, self._received, self._decoded.events
        for record_raw in block.records:
            try:
                record = read(source, record_raw)
            except DecodeError:
                self._lose(source, self._kind, wire.UNDECODABLE, record_raw)
                continue
            for event in normalise(record, identity_key=key, received_unix_nano=received):
                if record.anonymous:
                    self._number(event)
                events.append(event)
        if leftover := _leftover(block):
            self._lose(source, "scope", wire.UNKNOWN_FIELDS, leftover)

    def _number(self, event: AuditEvent) -> None:
        """Tell identical records of one request apart: the second becomes ``...#2``."""
        event_id = event.columns["event_id"]
        times = self._seen.get(event_id, 0) + 1
        self._seen[event_id] = times
        if times > 1:
            event.columns["event_id"] = f"{event_id}#{times}"

    def _lose(self, source: Source, part: str, reason: str, raw: bytes) -> None:
        """Record bytes that nobody can read as an event of their own. Its time is the time of receipt."""
        columns = source.columns.copy()
        columns["event_type"] = EventType.LOSS
        columns["record_kind"] = self._kind
        columns["event_id"] = f"{LOST_BYTES}{identity(self._key, source.identity, raw)}"
        columns["event_time"] = columns["end_time"] = self._received
        columns["name"] = f"{reason} {part}"
        columns["remarks"] = [*source.remarks, reason]
        columns["otlp"] = source.otlp.copy()
        event = AuditEvent(columns, {**source.content, "raw": base64.b64encode(raw).decode()})
        self._number(event)
        self._decoded.events.append(event)
        self._decoded.losses.append(Loss(part, reason, len(raw)))


def _leftover(message: Any) -> bytes:
    """The bytes of a shell's unknown fields. Where there are some, the known ones are cleared: call it last."""
    if not len(UnknownFieldSet(message)):
        return b""
    for descriptor, _ in message.ListFields():
        message.ClearField(descriptor.name)
    leftover: bytes = message.SerializeToString()
    return leftover
