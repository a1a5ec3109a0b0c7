"""The captured OTLP requests of tests/fixtures/otlp, decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_audit.conventions.record import Record, read_log, read_span
from otel_audit.conventions.source import read_resource, read_scope
from otel_audit.model import AuditEvent
from otel_audit.receiver.decode import Decoded, Decoder

FIXTURES = Path(__file__).parents[1] / "fixtures"
CAPTURES = FIXTURES / "otlp"
RECEIVED = 1_795_500_000_000_000_000  # 2026-11-24: a day after the captures
DECODER = Decoder(b"conformance" * 3)


def folders() -> list[str]:
    """Names of the capture folders: one a package."""
    return sorted(path.name for path in CAPTURES.iterdir() if path.is_dir())


def requests(folder: str) -> list[tuple[str, str, bytes]]:
    """(file name, ``traces`` or ``logs``, body) of a folder's captures, in the order they were sent."""

    def position(path: Path) -> tuple[str, int]:
        prefix, number = re.fullmatch(r"(.*?)-?(\d+)\..*", path.name).groups()
        return prefix, int(number)

    paths = sorted((CAPTURES / folder).glob("*.pb"), key=position)
    return [(path.name, "logs" if ".logs." in path.name else "traces", path.read_bytes()) for path in paths]


def decode(kind: str, body: bytes) -> Decoded:
    """A capture as the receiver decodes it."""
    return (DECODER.traces if kind == "traces" else DECODER.logs)(body, RECEIVED)


def events(folder: str) -> Iterator[AuditEvent]:
    """Every event of a folder's captures."""
    for _, kind, body in requests(folder):
        yield from decode(kind, body).events


def records(folder: str) -> Iterator[Record]:
    """Every record of a folder's captures, before a convention has read it."""
    for _, kind, body in requests(folder):
        request = ExportTraceServiceRequest if kind == "traces" else ExportLogsServiceRequest
        message = request.FromString(body)
        for block in message.resource_spans if kind == "traces" else message.resource_logs:
            resource = read_resource([block.resource.SerializeToString()], block.schema_url.encode())
            for part in block.scope_spans if kind == "traces" else block.scope_logs:
                source = read_scope(resource, [part.scope.SerializeToString()], part.schema_url.encode())
                read = read_span if kind == "traces" else read_log
                for record in part.spans if kind == "traces" else part.log_records:
                    yield read(source, record.SerializeToString())
