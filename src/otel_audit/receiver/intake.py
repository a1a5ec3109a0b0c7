"""One export request, whatever carried it: decode, hand to the sequencer, wait until it is durable."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from otel_audit.errors import RejectedBatch, StoreUnavailable
from otel_audit.receiver.decode import Decoded, Decoder
from otel_audit.receiver.losses import Losses
from otel_audit.receiver.references import References
from otel_audit.receiver.sequencer import Sequencer

MAX_REQUEST_BYTES: Final = 64 << 20  # documented limit of one export request, after decompression
MAX_WAIT_SECONDS: Final = 30.0
RETRY_DELAY_SECONDS: Final = 2


class _Decode(Protocol):
    def __call__(self, body: bytes, received_unix_nano: int) -> Decoded: ...


@dataclass(frozen=True, slots=True)
class Intake:
    """What both OTLP servers do with a request body. Raises RejectedBatch (do not retry) or StoreUnavailable (do)."""

    decoder: Decoder
    sequencer: Sequencer
    losses: Losses
    clock: Callable[[], int] = time.time_ns
    references: References = field(default_factory=lambda: References(()))

    def traces(self, body: bytes, wait_seconds: float = MAX_WAIT_SECONDS) -> bytes:
        """Store an ``ExportTraceServiceRequest``; returns the response once every span is durable."""
        self._store(self.decoder.traces, body, wait_seconds)
        return b""  # an empty ExportTraceServiceResponse: nothing was rejected

    def logs(self, body: bytes, wait_seconds: float = MAX_WAIT_SECONDS) -> bytes:
        """Store an ``ExportLogsServiceRequest``; returns the response once every log record is durable."""
        self._store(self.decoder.logs, body, wait_seconds)
        return b""

    def metrics(self, body: bytes, wait_seconds: float = MAX_WAIT_SECONDS) -> bytes:
        """Refuse metrics so that the exporter goes on: they are no audit events. Counted, and recorded as a loss."""
        del wait_seconds
        try:
            request = ExportMetricsServiceRequest.FromString(body)
        except DecodeError as exc:
            self.losses.add("metrics request unreadable")
            raise RejectedBatch(f"ExportMetricsServiceRequest: {len(body)} bytes are not an OTLP message") from exc
        points = sum(
            len(getattr(metric, metric.WhichOneof("data") or "gauge").data_points)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        self.losses.add("metrics refused: an audit trail stores no metrics", points)
        response = ExportMetricsServiceResponse()
        response.partial_success.rejected_data_points = points
        response.partial_success.error_message = "otel-audit stores traces and logs; send metrics elsewhere"
        answer: bytes = response.SerializeToString()
        return answer

    def _store(self, decode: _Decode, body: bytes, wait_seconds: float) -> None:
        try:
            decoded = decode(body, self.clock())
        except RejectedBatch:
            self.losses.add("request rejected: not an OTLP message")
            raise
        self.references.check(decoded.events)
        submitted = self.sequencer.submit(decoded.events)
        try:
            submitted.result(timeout=wait_seconds)
        except concurrent.futures.TimeoutError as exc:
            raise StoreUnavailable(f"the store did not take the request within {wait_seconds:.0f} s") from exc
