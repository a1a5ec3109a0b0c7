"""One OTLP export request to the receiver, by gRPC or HTTP, and what its answer means for the records."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_audit.errors import ConfigError
from otel_audit.instrumentation.delivery.encoding import AUDIT, LOG, SPAN

_GRPC_METHODS: Final = {
    True: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    False: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_HTTP_PATHS: Final = {SPAN: "/v1/traces", LOG: "/v1/logs", AUDIT: "/v1/audit"}
_HTTP_PORT: Final = 4318
RECEIVED_METADATA: Final = "audit-received-unix-nano"  # as in receiver/grpc_server.py
_SECOND: Final = 1_000_000_000
_TOO_LARGE: Final = "larger than max"  # what gRPC's own limit says, in every language


class Protocol(StrEnum):
    """The ways OTLP is carried; the names are those of ``OTEL_EXPORTER_OTLP_PROTOCOL``."""

    GRPC = "grpc"
    HTTP = "http/protobuf"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where records go. ``timeout`` is seconds for one request; ``certificate`` a PEM file of trusted roots."""

    endpoint: str
    protocol: Protocol = Protocol.GRPC
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    certificate: str = ""
    compress: bool = False
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class ReceiverTime:
    """What the receiver's clock said, in nanoseconds since 1970, and how coarse that is."""

    unix_nano: int
    resolution_nano: int


class Unavailable(Exception):
    """The receiver did not take the request; it may later. ``delay`` is what it asked for, in seconds."""

    def __init__(self, problem: str, delay: float | None = None) -> None:
        super().__init__(problem)
        self.delay = delay


class Refused(Exception):
    """The receiver will not take this request, however often it comes: smaller ones perhaps."""


class Transport(ABC):
    """A connection to the receiver. For one thread.

    ``told`` is when the last acknowledgement was made by the receiver's clock, where it said so; ``receipts`` what the
    last acknowledgement of audit records gave, by record id.
    """

    told: ReceiverTime | None = None
    receipts: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def send(self, kind: bytes, request: bytes) -> None:
        """Returns when the receiver has acknowledged all of it. Raises Unavailable or Refused."""

    @abstractmethod
    def close(self) -> None:
        """Give up the connection."""


def connect(destination: Destination) -> Transport:
    """The transport for a destination; nothing is sent yet. Raises ConfigError for a URL that is none."""
    parts = urlsplit(destination.endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"endpoint {destination.endpoint!r}: expected a URL such as http://localhost:4317")
    return (GrpcTransport if destination.protocol is Protocol.GRPC else HttpTransport)(destination)


class GrpcTransport(Transport):
    """OTLP/gRPC."""

    def __init__(self, destination: Destination) -> None:
        parts = urlsplit(destination.endpoint)
        # Channels to one target share their connection, and its back-off, unless told not to.
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        target = parts.netloc.rpartition("@")[2]
        if parts.scheme == "https":
            credentials = grpc.ssl_channel_credentials(_roots(destination))
            self._channel: Any = grpc.secure_channel(target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        self._calls = {is_span: self._channel.unary_unary(method) for is_span, method in _GRPC_METHODS.items()}
        self._metadata = [(name.lower(), value) for name, value in destination.headers]
        self._timeout = destination.timeout
        self._compression = grpc.Compression.Gzip if destination.compress else grpc.Compression.NoCompression

    def send(self, kind: bytes, request: bytes) -> None:
        """As in Transport."""
        call = self._calls[kind == SPAN]
        try:
            answer, ended = call.with_call(
                request, timeout=self._timeout, metadata=self._metadata, compression=self._compression
            )
        except grpc.RpcError as exc:
            code, details = exc.code(), exc.details() or ""
            problem = f"the receiver answered {code.name}"
            if code is grpc.StatusCode.INVALID_ARGUMENT or (
                code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in details
            ):
                raise Refused(problem) from None
            raise Unavailable(problem) from None  # whatever it is, somebody can mend it
        self.told = _metadata_time(ended.trailing_metadata())
        _check_answer(kind, answer)

    def close(self) -> None:
        """As in Transport."""
        self._channel.close()


class HttpTransport(Transport):
    """OTLP/HTTP with protobuf bodies, one connection kept open."""

    def __init__(self, destination: Destination) -> None:
        parts = urlsplit(destination.endpoint)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=destination.certificate or None)
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port or 443, timeout=destination.timeout, context=context
            )
        else:
            port = parts.port or _HTTP_PORT
            self._connection = http.client.HTTPConnection(host, port, timeout=destination.timeout)
        self._path = parts.path.rstrip("/")
        self._compress = destination.compress
        self._headers = {"Content-Type": "application/x-protobuf", **dict(destination.headers)}
        if destination.compress:
            self._headers["Content-Encoding"] = "gzip"

    def send(self, kind: bytes, request: bytes) -> None:
        """As in Transport."""
        body = gzip.compress(request, 1) if self._compress else request
        try:
            headers = self._headers | ({"Accept": "application/json"} if kind == AUDIT else {})
            self._connection.request("POST", self._path + _HTTP_PATHS[kind], body, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as exc:
            self._connection.close()  # the next request opens it again
            raise Unavailable(f"the receiver can not be reached ({type(exc).__name__})") from None
        problem = f"the receiver answered {response.status}"
        if response.status in (400, 409, 413, 422):  # 409: only /v1/audit says it, to another payload under a known id
            raise Refused(problem)
        if response.status != 200:
            raise Unavailable(problem, _seconds(response.headers.get("Retry-After")))
        self.told = _date(response.headers.get("Date"))
        if kind == AUDIT:
            self.receipts = _receipts(answer)
            return
        _check_answer(kind, answer)

    def close(self) -> None:
        """As in Transport."""
        self._connection.close()


def _roots(destination: Destination) -> bytes | None:
    if not destination.certificate:
        return None
    with open(destination.certificate, "rb") as file:  # noqa: PTH123 - one read
        return file.read()


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None


def _metadata_time(metadata: Iterable[tuple[str, str | bytes]] | None) -> ReceiverTime | None:
    for key, value in metadata or ():
        if key == RECEIVED_METADATA and isinstance(value, str) and value.isdecimal():
            return ReceiverTime(int(value), 0)
    return None


def _date(text: str | None) -> ReceiverTime | None:
    try:
        seconds = parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
    return None if seconds is None else ReceiverTime(int(seconds) * _SECOND, _SECOND)


def _receipts(answer: bytes) -> Mapping[str, Any]:
    """The receipts of an answer, by record id. Raises Unavailable where there are none: then nothing is proved."""
    try:
        found = json.loads(answer)["record_status_map"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, dict):
        raise Unavailable("the answer has no receipts: the endpoint is no receiver of audit records")
    return found


def _check_answer(kind: bytes, answer: bytes) -> None:
    """A partial success is a refusal of some of the records. Raises Refused."""
    if not answer:
        return
    try:
        if kind == SPAN:
            rejected = ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
        else:
            rejected = ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records
    except DecodeError:
        raise Unavailable("the answer is not one of an OTLP receiver") from None
    if rejected:
        raise Refused(f"the receiver refused {rejected} records of a request")
