"""Sends finished spans by OTLP over gRPC, in the order in which they ended, and knows that each was acknowledged."""

from __future__ import annotations

import heapq
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_audit.errors import AuditError, ConfigError

_BATCH: Final = 1000  # spans a request: about 1.5 MB, well below every receiver's limit
_PATIENCE_SECONDS: Final = 60.0  # how long the exporter retries one request, with back-off, while the receiver is down


class NotDelivered(AuditError):
    """The receiver did not acknowledge some spans. Start it, then send again: what it has already is recognised."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How many spans were sent, and how many of them the receiver acknowledged."""

    sent: int
    acknowledged: int


class Outbox(SpanProcessor):
    """Collects the spans of any number of tracer providers; ``release`` sends those that ended before a time.

    Spans that end after ``until`` (nanoseconds since 1970) have not happened yet, and are left out.
    """

    def __init__(self, endpoint: str, *, until: int) -> None:
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_PATIENCE_SECONDS)
        self._until = until
        self._waiting: list[tuple[int, int, ReadableSpan]] = []  # a heap: end, order of arrival, span
        self._arrived = 0
        self._ready: list[ReadableSpan] = []
        self._sent = 0
        self._acknowledged = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span until it is its turn."""
        end = span.end_time or 0
        if end <= self._until:
            heapq.heappush(self._waiting, (end, self._arrived, span))
            self._arrived += 1

    def release(self, before: int) -> None:
        """Send what ended before this time, in full batches. Raises NotDelivered."""
        while self._waiting and self._waiting[0][0] < before:
            self._ready.append(heapq.heappop(self._waiting)[2])
            if len(self._ready) == _BATCH:
                self._send()

    def finish(self) -> Delivery:
        """Send the rest, and close the connection. Raises NotDelivered."""
        try:
            self.release(self._until + 1)
            self._send()
        finally:
            self._exporter.shutdown()
        return Delivery(self._sent, self._acknowledged)

    def _send(self) -> None:
        batch: Sequence[ReadableSpan] = self._ready
        if not batch:
            return
        self._sent += len(batch)
        # The exporter itself retries UNAVAILABLE and the like, and has given up when it says FAILURE.
        if self._exporter.export(batch) is not SpanExportResult.SUCCESS:
            raise NotDelivered(
                f"demo: {self._acknowledged} of {self._sent} spans were acknowledged, then the receiver refused or "
                "did not answer: check that it runs, and send again"
            )
        self._acknowledged += len(batch)
        self._ready = []


def require_reachable(endpoint: str, *, seconds: float = 10.0) -> None:
    """Wait until something listens at the OTLP/gRPC endpoint.

    Raises NotDelivered after ``seconds``, and ConfigError for an endpoint that is none.
    """
    try:
        parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        host, port = parts.hostname, parts.port or 4317
    except ValueError as exc:
        raise ConfigError(f"--endpoint {endpoint}: {exc}; expected something like http://localhost:4317") from exc
    if not host:
        raise ConfigError(f"--endpoint {endpoint}: no host in it; expected something like http://localhost:4317")
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=2).close()
        except OSError as exc:
            if time.monotonic() >= deadline:
                raise NotDelivered(
                    f"nothing answers at {endpoint} ({exc}): start `otel-audit up` first, or give --endpoint"
                ) from exc
            time.sleep(0.2)
        else:
            return
