"""The OTLP/gRPC server: TraceService, LogsService, MetricsService and the standard health service."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from otel_audit.errors import ConfigError, RecordConflict, RejectedBatch, StoreUnavailable
from otel_audit.receiver.audit_signal.grpc import is_audit, store_audit
from otel_audit.receiver.audit_signal.intake import AuditIntake
from otel_audit.receiver.intake import MAX_REQUEST_BYTES, MAX_WAIT_SECONDS, RETRY_DELAY_SECONDS, Intake

_LOG: Final = logging.getLogger(__name__)
_WORKERS: Final = 64  # each waits for a commit most of its time; more of them make bigger groups
_SHUTDOWN_SECONDS: Final = 10
_PACKAGE: Final = "opentelemetry.proto.collector"
TRACE_SERVICE: Final = f"{_PACKAGE}.trace.v1.TraceService"
LOGS_SERVICE: Final = f"{_PACKAGE}.logs.v1.LogsService"
# Trailing metadata of an acknowledgement: this machine's clock, by which a producer sees how far its own is off.
RECEIVED_METADATA: Final = "audit-received-unix-nano"
METRICS_SERVICE: Final = f"{_PACKAGE}.metrics.v1.MetricsService"


class GrpcServer:
    """Serves OTLP/gRPC on ``host:port`` (port 0 = any free one; ``port`` tells which).

    Stored -> OK. Not OTLP -> INVALID_ARGUMENT, nothing stored. Store down, slow or full ->
    UNAVAILABLE with a retry delay, so that the exporter keeps the data. Audit records (``audit_signal.grpc``) go to
    ``audit``; one under a known id with another payload -> ALREADY_EXISTS.
    """

    def __init__(self, intake: Intake, host: str, port: int, audit: AuditIntake | None = None) -> None:
        self._executor = ThreadPoolExecutor(_WORKERS, thread_name_prefix="otlp")
        self._server = grpc.server(
            self._executor,
            options=[
                ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
                ("grpc.max_metadata_size", 64 << 10),
                ("grpc.so_reuseport", 0),
            ],
        )
        self.health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        for service, method in (
            (TRACE_SERVICE, intake.traces),
            (LOGS_SERVICE, intake.logs),
            (METRICS_SERVICE, intake.metrics),
        ):
            self._server.add_generic_rpc_handlers(
                (
                    grpc.method_handlers_generic_handler(
                        service, {"Export": _unary(method, intake.clock, audit if service == LOGS_SERVICE else None)}
                    ),
                )
            )
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as exc:
            raise ConfigError(
                f"OTLP/gRPC can not listen on {host}:{port}: the port is taken or the address is not of this machine. "
                "Choose another with --grpc-port"
            ) from exc

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()
        self.set_serving(serving=True)

    def set_serving(self, *, serving: bool) -> None:
        """What the health service answers, for the whole server and for each OTLP service."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", TRACE_SERVICE, LOGS_SERVICE, METRICS_SERVICE):
            self.health.set(service, status)

    def stop(self) -> None:
        """Take no new request, finish those that were accepted, stop."""
        self.health.enter_graceful_shutdown()
        self._server.stop(_SHUTDOWN_SECONDS).wait()
        self._executor.shutdown()


def _unary(
    method: Callable[[bytes, float], bytes], clock: Callable[[], int], audit: AuditIntake | None
) -> grpc.RpcMethodHandler[bytes, bytes]:
    """Bytes in, bytes out: decoding is ours, so that a damaged message gets our answer and loses nothing else."""

    def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
        remaining = context.time_remaining()
        wait = MAX_WAIT_SECONDS if remaining is None else min(remaining, MAX_WAIT_SECONDS)
        received = clock()
        receipts: list[tuple[str, bytes]] = []
        try:
            if audit is not None and is_audit(context.invocation_metadata()):
                receipts, answer = store_audit(audit, body, wait), b""
            else:
                answer = method(body, wait)
        except RejectedBatch as exc:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(exc))
        except RecordConflict as exc:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, str(exc))
        except StoreUnavailable as exc:
            _abort_retryable(context, str(exc))
        except Exception as exc:  # noqa: BLE001 - see below
            # Exporters drop data on INTERNAL: a defect of ours must not cost the producer its spans.
            _LOG.exception("an export request failed")
            _abort_retryable(context, f"the receiver failed ({type(exc).__name__}); its log says where. Retry")
        context.set_trailing_metadata(((RECEIVED_METADATA, str(received)), *receipts))
        return answer

    return grpc.unary_unary_rpc_method_handler(handle)


def _abort_retryable(context: grpc.ServicerContext, message: str) -> None:
    retry = AnyMessage()
    retry.Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_DELAY_SECONDS)))
    status = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message=message, details=[retry])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNAVAILABLE, message)
