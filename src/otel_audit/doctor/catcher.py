"""An OTLP/HTTP receiver on loopback that reads what test calls send exactly as the real receiver would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Final

from google.protobuf.message import DecodeError

from otel_audit.conventions import normalise, wire
from otel_audit.conventions.record import read_log, read_span
from otel_audit.conventions.source import read_resource, read_scope
from otel_audit.doctor.loopback import Loopback
from otel_audit.model import AuditEvent

_READERS: Final = {"/v1/traces": read_span, "/v1/logs": read_log}
_read_request: Final = wire.shell_reader("Request")
_read_resource_block: Final = wire.shell_reader("ResourceBlock")
_read_scope_block: Final = wire.shell_reader("ScopeBlock")
_KEY: Final = bytes(32)  # of event ids, which nobody compares here


class Catcher(Loopback):
    """``events`` are what was received, as audit events."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []  # extended on the serving threads
        super().__init__()

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Keep the events of an export request; other paths are the application's own exporters', and go nowhere."""
        if request.path in _READERS:
            try:
                self.events += list(_events(request.path, body))
            except DecodeError:
                self.reply(request, 400, b"", content_type="application/x-protobuf")
                return
        self.reply(request, 200, b"", content_type="application/x-protobuf")


def _events(path: str, body: bytes) -> Iterator[AuditEvent]:
    now = time.time_ns()
    for raw_resource in _read_request(body).resource_blocks:
        resource_block = _read_resource_block(raw_resource)
        resource = read_resource(resource_block.resource, resource_block.schema_url)
        for raw_scope in resource_block.scope_blocks:
            scope_block = _read_scope_block(raw_scope)
            source = read_scope(resource, scope_block.scope, scope_block.schema_url)
            for raw in scope_block.records:
                yield from normalise(_READERS[path](source, raw), identity_key=_KEY, received_unix_nano=now)
