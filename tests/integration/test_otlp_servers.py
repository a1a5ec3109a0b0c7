"""What a producer hears over OTLP/gRPC and OTLP/HTTP when the store is well, down, or full."""

from __future__ import annotations

import gzip
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from otel_audit.ledger.note import Signer
from otel_audit.receiver import http_body
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.decode import Decoder
from otel_audit.receiver.grpc_server import LOGS_SERVICE, TRACE_SERVICE, GrpcServer
from otel_audit.receiver.http_server import http_app
from otel_audit.receiver.intake import MAX_REQUEST_BYTES, Intake
from otel_audit.receiver.losses import Losses
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.store.threaded_server import ThreadedServer
from otel_audit.testing import MemoryLedger
from tests.integration.running import TRACES
from tests.integration.test_up import spans_request

ORIGIN = "example.com/otlp"


class Served:
    """Both OTLP servers over one ledger in memory."""

    def __init__(self, ledger: MemoryLedger, intake: Intake, grpc_server: GrpcServer, http_port: int) -> None:
        self.ledger, self.intake, self.grpc_server, self.http_port = ledger, intake, grpc_server, http_port

    def grpc(self, body: bytes, method: str = TRACES, **options) -> bytes:
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_server.port}") as channel:
            return channel.unary_unary(method)(body, timeout=20, **options)

    def http(self, body: bytes, path: str = "/v1/traces", **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}",
            data=body,
            headers={"Content-Type": "application/x-protobuf"} | {k.replace("_", "-"): v for k, v in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, dict(refused.headers), refused.read()


@contextmanager
def serving(fault=lambda _step, _number: None, cors_origins=(), **options):
    ledger = MemoryLedger(ORIGIN, fault)
    ledger.split = lambda block: [block[-32:]]  # one event a request in these tests
    sequencer = Sequencer(ledger, Checkpointer(ledger, Signer.generate(ORIGIN), []), **options)
    sequencer.start()
    intake = Intake(Decoder(bytes(32)), sequencer, Losses())
    grpc_server = GrpcServer(intake, "127.0.0.1", 0)
    grpc_server.start()
    with ThreadedServer(http_app(intake, lambda: True, cors_origins)) as http_server:
        yield Served(ledger, intake, grpc_server, http_server.port)
    grpc_server.stop()
    sequencer.close()


def one_span(number: int = 0) -> bytes:
    return spans_request(number, 1).SerializeToString()


def test_a_stored_request_is_answered_with_success():
    """Over gRPC (plain and gzip) and HTTP (plain and gzip) a stored span is acknowledged with an empty success."""
    with serving() as served:
        assert served.grpc(one_span(0)) == b""
        assert served.grpc(one_span(1), compression=grpc.Compression.Gzip) == b""
        assert served.http(one_span(2))[0] == 200
        assert served.http(gzip.compress(one_span(3)), Content_Encoding="gzip")[0] == 200
        assert len(served.ledger.hashes) == 4


def test_a_store_that_is_down_is_unavailable_with_a_retry_delay():
    """UNAVAILABLE with RetryInfo, 503 with Retry-After: the exporter keeps the data and knows when to come back."""
    with serving(lambda step, _number: "not persisted" if step == "append_entries" else None) as served:
        with pytest.raises(grpc.RpcError) as refused:
            served.grpc(one_span())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        details = Status.FromString(dict(refused.value.trailing_metadata())["grpc-status-details-bin"])
        (detail,) = details.details
        assert isinstance(detail, AnyMessage)
        retry = RetryInfo()
        assert detail.Unpack(retry)
        assert retry.retry_delay.seconds > 0
        status, headers, _ = served.http(one_span())
        assert (status, int(headers["retry-after"]) > 0) == (503, True)
        assert served.ledger.hashes == []


def test_when_too_much_waits_producers_are_told_to_retry():
    """Beyond the memory bound a request is refused with UNAVAILABLE at once instead of being kept."""
    holding, entered = threading.Event(), threading.Event()

    def slow(step: str, _number: int) -> None:
        if step == "append_entries":
            entered.set()
            holding.wait(20)

    with serving(slow, max_pending_bytes=1) as served:
        first = threading.Thread(target=served.grpc, args=(one_span(0),))
        first.start()
        assert entered.wait(20)
        with pytest.raises(grpc.RpcError) as refused:
            served.grpc(one_span(1))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "wait for the store" in refused.value.details()
        holding.set()
        first.join(20)
        assert len(served.ledger.hashes) == 1


def test_health_is_told_for_the_server_and_each_service():
    """The standard gRPC health service says SERVING, and NOT_SERVING once nothing can be stored."""
    with serving() as served, grpc.insecure_channel(f"127.0.0.1:{served.grpc_server.port}") as channel:
        ask = health_pb2_grpc.HealthStub(channel)
        for expected, serves in ((health_pb2.HealthCheckResponse.SERVING, True), (2, False)):
            served.grpc_server.set_serving(serving=serves)
            for service in ("", TRACE_SERVICE, LOGS_SERVICE):
                assert ask.Check(health_pb2.HealthCheckRequest(service=service)).status == expected


def test_every_member_of_a_gzip_body_is_stored():
    """A body of several gzip members, which RFC 1952 allows, is acknowledged only with all that is in them."""
    with serving() as served:
        whole = b"".join(gzip.compress(one_span(number)) for number in (1, 2))
        assert served.http(whole, Content_Encoding="gzip")[0] == 200
        stored = b"".join(served.ledger.blocks)
        assert b"span 1" in stored
        assert b"span 2" in stored


def test_a_body_that_stops_coming_is_given_up(monkeypatch):
    """Whoever stops in the middle of a body gets a retryable answer, and holds nothing for longer."""
    monkeypatch.setattr(http_body, "_STALLED_SECONDS", 0.05)
    with serving() as served, socket.create_connection(("127.0.0.1", served.http_port), timeout=20) as sender:
        head = (
            "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\n"
        )
        sender.sendall(head.encode() + b"half")
        assert sender.recv(1000).startswith(b"HTTP/1.1 503 ")


def test_a_defect_of_ours_costs_a_producer_nothing(monkeypatch):
    """An error that nobody foresaw is UNAVAILABLE and 503, over both, which make an exporter keep its data."""
    with serving() as served:
        monkeypatch.setattr(served.intake.sequencer, "submit", lambda events: 1 / 0)
        status, headers, body = served.http(one_span())
        assert (status, "Retry-After".lower() in {name.lower() for name in headers}) == (503, True)
        assert "ZeroDivisionError" in Status.FromString(body).message
        with pytest.raises(grpc.RpcError) as refused:
            served.grpc(one_span())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_http_says_what_is_wrong_with_a_request():
    """Wrong type, wrong encoding, broken gzip, a bomb: 415, 400, 400, 413, and nothing stored."""
    with serving() as served:
        assert served.http(b"{}", Content_Type="text/plain")[0] == 415
        assert served.http(one_span(), Content_Encoding="br")[0] == 400
        assert served.http(one_span(), Content_Encoding="gzip")[0] == 400
        assert served.http(gzip.compress(one_span())[:-4], Content_Encoding="gzip")[0] == 400
        assert served.http(gzip.compress(bytes(MAX_REQUEST_BYTES + 1)), Content_Encoding="gzip")[0] == 413
        assert served.http(gzip.compress(one_span()) + b"rest", Content_Encoding="gzip")[0] == 400
        assert served.http(gzip.compress(b"") * 5000, Content_Encoding="gzip")[0] == 413
        status, _, body = served.http(b"\xff garbage")
        assert status == 400
        assert "nothing was stored" in Status.FromString(body).message
        assert served.ledger.hashes == []
