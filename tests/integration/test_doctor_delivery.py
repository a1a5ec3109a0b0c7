"""The doctor's record on its way: real receivers that take it, refuse it, are elsewhere, or live in another time."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from otel_audit.doctor import delivery
from otel_audit.doctor.findings import Finding
from otel_audit.instrumentation.delivery.transport import Destination, Protocol
from tests.integration.otlp_collector import Collector

HOUR = 3600 * 10**9


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        collector.clock = time.time_ns
        yield collector


def sent(
    endpoint: str, protocol: Protocol = Protocol.GRPC, seconds: float = 10.0, **more: str
) -> tuple[dict[str, Finding], list[str]]:
    found = list(delivery.examine(Destination(endpoint, protocol, **more), seconds=seconds))
    return {each.name: each for each in found if each.name}, [each.what for each in found if not each.name]


@contextmanager
def http_receiver(status: int, date: float | None = None, certificate: Path | None = None) -> Iterator[str]:
    """A real HTTP(S) server that answers every POST with ``status``; ``date`` is what it says the time is."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(timestamp or date, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_receiver_that_stores(collector: Collector) -> None:
    """One record, marked as what it is, and clocks that agree."""
    problems, fine = sent(collector.endpoint)
    assert problems == {}
    assert len(fine) == 2
    (span,) = collector.spans
    assert span.name == "otel-audit doctor"
    assert span.attributes["audit.action"] == "CHECK_DELIVERY"
    assert "audit.event.type" not in span.attributes


@pytest.mark.parametrize(
    ("offset", "level", "words"),
    [
        (HOUR, "problem", "3,600 seconds behind"),
        (-HOUR, "problem", "3,600 seconds ahead of"),
        (20 * 10**9, "note", "20 seconds behind"),
        (-20 * 10**9, "note", "20 seconds ahead of"),
    ],
)
def test_clock_skew_is_measured_over_grpc(collector: Collector, offset: int, level: str, words: str) -> None:
    """Two seconds are a note, a minute is a problem, and the direction is right."""
    collector.clock = lambda: time.time_ns() + offset
    problems, _ = sent(collector.endpoint)
    assert problems["clock-skew"].level == level
    assert words in problems["clock-skew"].what


def test_less_than_two_seconds_are_no_skew(collector: Collector) -> None:
    """Clocks that are off by a second agree well enough."""
    collector.clock = lambda: time.time_ns() + 10**9
    assert sent(collector.endpoint)[0] == {}


def test_clock_skew_is_measured_over_http() -> None:
    """By the Date of the answer, and its rounding is no skew."""
    with http_receiver(200) as url:
        assert sent(url, Protocol.HTTP)[0] == {}
    with http_receiver(200, date=time.time() + 7200) as url:
        found, _ = sent(url, Protocol.HTTP)
    assert found["clock-skew"].level == "problem"
    assert "behind" in found["clock-skew"].what


def test_a_receiver_that_tells_no_time(collector: Collector) -> None:
    """It is said that clocks were not compared."""
    collector.clock = None
    assert list(sent(collector.endpoint)[0]) == ["clock-unknown"]


def test_nothing_listens() -> None:
    """The address is named, and that nothing is lost."""
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        found, fine = sent(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert fine == []
    assert found["receiver-down"].level == "problem"
    assert "spool" in found["receiver-down"].why


def test_a_host_that_nobody_knows() -> None:
    """A name that never resolves (RFC 2606)."""
    assert list(sent("http://receiver.invalid:4317")[0]) == ["receiver-unknown-host"]


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_receiver_that_does_not_answer(protocol: Protocol) -> None:
    """It takes the connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found, _ = sent(f"http://127.0.0.1:{silent.getsockname()[1]}", protocol, seconds=0.5)
    assert list(found) == ["receiver-timeout"]


@pytest.mark.parametrize(("status", "name"), [(401, "receiver-unauthorised"), (403, "receiver-unauthorised"),
                                              (404, "receiver-not-otlp"), (503, "receiver-not-storing"),
                                              (400, "receiver-not-otlp")])  # fmt: skip
def test_what_an_answer_over_http_means(status: int, name: str) -> None:
    """Each status in plain words."""
    with http_receiver(status) as url:
        found, _ = sent(url, Protocol.HTTP)
    assert list(found) == [name]
    assert found[name].level == "problem"


def test_credentials_that_are_not_accepted(collector: Collector) -> None:
    """UNAUTHENTICATED is about the headers."""
    collector.refuse_unauthenticated = True
    found, _ = sent(collector.endpoint)
    assert "None are configured here" in found["receiver-unauthorised"].why
    assert "OTEL_AUDIT_HEADERS" in found["receiver-unauthorised"].mend[0]


def test_the_other_protocol_is_recognised(collector: Collector) -> None:
    """HTTP sent to a gRPC receiver, and the other way round, end with the line that mends it."""
    found, _ = sent(collector.endpoint, Protocol.HTTP)
    assert found["receiver-other-protocol"].mend == ("$ export OTEL_AUDIT_PROTOCOL=grpc",)
    with http_receiver(200) as url:
        found, _ = sent(url, Protocol.GRPC)
    assert found["receiver-other-protocol"].mend == ("$ export OTEL_AUDIT_PROTOCOL=http/protobuf",)


def test_tls_that_is_not_there(collector: Collector) -> None:
    """https to a receiver without TLS."""
    found, _ = sent(collector.endpoint.replace("http:", "https:"))
    assert "http://" in found["receiver-tls"].mend[0]


def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    """Self-signed: a problem until it is named, and fine then."""
    certificate = _self_signed(tmp_path)
    with http_receiver(200, certificate=certificate) as url:
        found, _ = sent(url, Protocol.HTTP)
        assert "OTEL_AUDIT_CERTIFICATE" in found["receiver-tls"].mend[0]
        assert sent(url, Protocol.HTTP, certificate=str(certificate))[0] == {}
        found, _ = sent(url, Protocol.HTTP, certificate=str(tmp_path / "missing.pem"))
        assert "can not be read" in found["receiver-tls"].why


def test_an_address_that_is_none() -> None:
    """What is no URL can not be sent to."""
    assert sent("ftp://receiver")[0]["setting-invalid"].level == "problem"


def _self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "receiver.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
