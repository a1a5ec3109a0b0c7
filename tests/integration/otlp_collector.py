"""A tiny real OTLP/gRPC receiver: it keeps what it acknowledges, and refuses when told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"
_LOGS = "opentelemetry.proto.collector.logs.v1.LogsService"
_METRICS = "opentelemetry.proto.collector.metrics.v1.MetricsService"


@dataclass(frozen=True)
class Received:
    """One span as it came over the wire, with Python values of the types that OTLP carried."""

    service: str
    scope: str
    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    start: int
    end: int
    attributes: dict[str, Any]
    status: int
    links: list[str]
    events: list[str] = field(default_factory=list)


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


class Collector:
    """``with Collector() as collector:`` then export to ``collector.endpoint`` and look at ``collector.spans``.

    ``port`` 0 is any free one; ``max_bytes`` is the largest request it takes.
    """

    def __init__(self, port: int = 0, max_bytes: int = 4 << 20) -> None:
        self._changed = threading.Condition()
        self._spans: list[Received] = []
        self.logs: list[Any] = []  # LogRecord messages
        # (metric, unit, value of the attribute ``anchor``) -> the newest value of a gauge
        self.gauges: dict[tuple[str, str, str], float] = {}
        options = [("grpc.max_receive_message_length", max_bytes), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(4), options=options)
        for service, export, request, response in (
            (_TRACES, self._export, ExportTraceServiceRequest, ExportTraceServiceResponse),
            (_LOGS, self._export_logs, ExportLogsServiceRequest, ExportLogsServiceResponse),
            (_METRICS, self._export_metrics, ExportMetricsServiceRequest, ExportMetricsServiceResponse),
        ):
            handler = grpc.unary_unary_rpc_method_handler(export, request.FromString, response.SerializeToString)
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.refuse_next = 0  # requests to answer with UNAVAILABLE
        self.reject_all = False  # answer INVALID_ARGUMENT, which no exporter retries
        self.reject_names: set[str] = set()  # answer INVALID_ARGUMENT to requests with such a span
        self.partial_names: set[str] = set()  # answer with partial success to requests with such a span
        self.refuse_unauthenticated = False  # answer UNAUTHENTICATED
        self.clock: Callable[[], int] | None = None  # tell this time with each answer, as our receiver does
        self.metadata: list[dict[str, str]] = []
        self.batch_sizes: list[int] = []

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stop(None).wait()

    def _export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        names = {span.name for rs in request.resource_spans for ss in rs.scope_spans for span in ss.spans}
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        if self.refuse_unauthenticated:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        if self.clock is not None:
            context.set_trailing_metadata((("audit-received-unix-nano", str(self.clock())),))
        if names & self.partial_names:
            answer = ExportTraceServiceResponse()
            answer.partial_success.rejected_spans = len(names & self.partial_names)
            return answer
        if self.reject_all or names & self.reject_names:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "rejected by the test")
        with self._changed:
            if self.refuse_next:
                self.refuse_next -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "refused by the test")
            found = [
                Received(
                    service=next((a.value.string_value for a in rs.resource.attributes if a.key == "service.name"), ""),
                    scope=ss.scope.name,
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_span_id=span.parent_span_id.hex(),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    attributes={a.key: _value(a.value) for a in span.attributes},
                    status=span.status.code,
                    links=[link.span_id.hex() for link in span.links],
                    events=[event.name for event in span.events],
                )
                for rs in request.resource_spans
                for ss in rs.scope_spans
                for span in ss.spans
            ]
            self._spans += found
            self.batch_sizes.append(len(found))
            self._changed.notify_all()
        return ExportTraceServiceResponse()

    def _export_logs(self, request: ExportLogsServiceRequest, _: grpc.ServicerContext) -> ExportLogsServiceResponse:
        with self._changed:
            self.logs += [log for rl in request.resource_logs for sl in rl.scope_logs for log in sl.log_records]
            self._changed.notify_all()
        return ExportLogsServiceResponse()

    def _export_metrics(self, request: ExportMetricsServiceRequest, _: grpc.ServicerContext) -> Any:
        with self._changed:
            for rm in request.resource_metrics:
                for metric in (metric for sm in rm.scope_metrics for metric in sm.metrics):
                    for point in metric.gauge.data_points:
                        anchor = {each.key: each.value.string_value for each in point.attributes}.get("anchor", "")
                        value = point.as_double if point.HasField("as_double") else point.as_int
                        self.gauges[metric.name, metric.unit, anchor] = value
            self._changed.notify_all()
        return ExportMetricsServiceResponse()

    def wait_for_gauges(self, condition: Callable[[dict[tuple[str, str, str], float]], bool]) -> None:
        """Return once ``condition`` holds for the newest values."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.gauges), 60), self.gauges

    @property
    def spans(self) -> list[Received]:
        """Everything acknowledged so far."""
        with self._changed:
            return list(self._spans)

    def wait_for(self, condition: Callable[[list[Received]], bool], seconds: float = 60.0) -> list[Received]:
        """The spans, once ``condition`` holds for them; fails after ``seconds``."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition(self._spans):
                left = deadline - time.monotonic()
                if left <= 0:
                    names = sorted({(span.service, span.name) for span in self._spans})
                    raise AssertionError(f"not received within {seconds} s; received {names}")
                self._changed.wait(left)
            return list(self._spans)
