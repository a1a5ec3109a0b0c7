"""A tiny real OTLP/gRPC trace receiver: it keeps what it acknowledges, and refuses when told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


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
    """``with Collector() as collector:`` then export to ``collector.endpoint`` and look at ``collector.spans``."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spans: list[Received] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=ExportTraceServiceRequest.FromString,
            response_serializer=ExportTraceServiceResponse.SerializeToString,
        )
        service, method = _METHOD.strip("/").split("/")
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.refuse_next = 0  # requests to answer with UNAVAILABLE
        self.reject_all = False  # answer INVALID_ARGUMENT, which no exporter retries
        self.batch_sizes: list[int] = []

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stop(None).wait()

    def _export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        if self.reject_all:
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
