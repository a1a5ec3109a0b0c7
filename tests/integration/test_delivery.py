"""Delivery over real gRPC and HTTP, with receivers that are late, refuse, or take only small requests."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_audit import error_counts
from otel_audit.errors import SpoolFull
from otel_audit.instrumentation.delivery.delivery import Delivery, OnFull
from otel_audit.instrumentation.delivery.encoding import Encoder
from otel_audit.instrumentation.delivery.losses import LossItems
from otel_audit.instrumentation.delivery.segment import Item
from otel_audit.instrumentation.delivery.spool import Spool
from otel_audit.instrumentation.delivery.transport import Destination, Protocol, connect
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import default_policy
from otel_audit.privacy.redactor import Redactor
from otel_audit.semconv import AUDIT_LOSS_COUNT, AUDIT_LOSS_REASON
from tests.integration.otlp_collector import Collector

ENCODER = Encoder(Redactor(default_policy("full"), PseudonymKeys.ephemeral()))
RESOURCE = Resource.create({"service.name": "app"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def items(count: int, *, name: str = "s", size: int = 10) -> list[Item]:
    """Spool records of ``count`` spans: s0, s1 ..."""
    kept = _Kept()
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(kept)
    tracer = provider.get_tracer("test")
    for number in range(count):
        tracer.start_span(f"{name}{number}", attributes={"text": "x" * size}).end()
    return [ENCODER.span(span, {}) for span in kept.spans]


Make = Callable[..., Delivery]


@pytest.fixture
def deliver(tmp_path: Path) -> Iterator[Make]:
    """Makes deliveries to an endpoint; all are closed at the end."""
    made: list[Delivery] = []

    def make(endpoint: str, *, on_full: OnFull = OnFull.DROP, max_bytes: int = 64 << 20, **facts: Any) -> Delivery:
        destination = Destination(endpoint, **{"timeout": 10.0, **facts})
        spool = Spool(tmp_path / "spool", max_bytes=max_bytes)
        delivery = Delivery(spool, lambda: connect(destination), LossItems(ENCODER, RESOURCE).of, on_full)
        made.append(delivery)
        return delivery

    yield make
    for delivery in made:
        delivery.close(5)


def names(collector: Collector) -> list[str]:
    return sorted(span.name for span in collector.spans)


def test_a_receiver_that_starts_late_gets_everything(deliver: Make) -> None:
    """Records that were put while nobody listened arrive once somebody does."""
    port = free_port()
    delivery = deliver(f"http://127.0.0.1:{port}")
    for item in items(50):
        delivery.put(item)
    assert not delivery.flush(0.3)
    assert (delivery.depth, delivery.exported) == (50, 0)
    with Collector(port) as collector:
        assert delivery.flush(30)
        assert names(collector) == sorted(f"s{n}" for n in range(50))
    assert (delivery.emitted, delivery.exported, delivery.dropped, delivery.depth) == (50, 50, 0, 0)


def test_a_receiver_that_is_busy_is_asked_again(deliver: Make) -> None:
    """UNAVAILABLE is no reason to give up, and is counted as what it is."""
    before = error_counts().get("export", 0)
    with Collector() as collector:
        collector.refuse_next = 3
        delivery = deliver(collector.endpoint)
        for item in items(5):
            delivery.put(item)
        assert delivery.flush(30)
        assert names(collector) == ["s0", "s1", "s2", "s3", "s4"]
    assert error_counts()["export"] - before == 3


def test_one_record_that_is_refused_costs_no_other(deliver: Make, tmp_path: Path) -> None:
    """A request that the receiver refuses is divided until the one record is found; that one is kept, and told of."""
    with Collector() as collector:
        collector.reject_names = {"s7"}
        delivery = deliver(collector.endpoint)
        for item in items(20):
            delivery.put(item)
        spans = collector.wait_for(lambda spans: any(span.name == "loss" for span in spans))
        assert sorted(s.name for s in spans if s.name != "loss") == sorted(f"s{n}" for n in range(20) if n != 7)
        (loss,) = [span for span in spans if span.name == "loss"]
        assert "INVALID_ARGUMENT" in loss.attributes[AUDIT_LOSS_REASON]
        assert loss.attributes[AUDIT_LOSS_COUNT] == 1
        assert delivery.flush(30)
    assert delivery.dropped == 1
    assert len(list(tmp_path.glob("spool/*.rejected"))) == 1


def test_a_partial_success_is_no_success(deliver: Make, tmp_path: Path) -> None:
    """Records that the receiver says it left out are not taken for delivered."""
    with Collector() as collector:
        collector.partial_names = {"s1"}
        delivery = deliver(collector.endpoint)
        for item in items(3):
            delivery.put(item)
        collector.wait_for(lambda spans: any(span.name == "loss" for span in spans))
        assert {"s0", "s2"} <= set(names(collector))
        assert delivery.dropped == 1


def test_requests_are_cut_to_what_the_receiver_takes(deliver: Make) -> None:
    """A receiver with a small limit gets smaller requests, and everything."""
    with Collector(max_bytes=20_000) as collector:
        delivery = deliver(collector.endpoint)
        for item in items(100, size=2000):
            delivery.put(item)
        assert delivery.flush(60)
        assert len(names(collector)) == 100
        assert max(collector.batch_sizes) <= 10
    assert delivery.dropped == 0


def test_a_full_spool_drops_counts_and_tells(deliver: Make) -> None:
    """By default the application goes on; what had no room is counted, and recorded as lost once there is room."""
    port = free_port()
    delivery = deliver(f"http://127.0.0.1:{port}", max_bytes=1 << 20)
    for item in items(400, size=5000):
        delivery.put(item)
    assert delivery.dropped > 100
    kept = 400 - delivery.dropped
    with Collector(port) as collector:
        spans = collector.wait_for(lambda spans: any(span.name == "loss" for span in spans))
        assert delivery.flush(30)
        spans = collector.spans
    losses = [span for span in spans if span.name == "loss"]
    assert sum(span.attributes[AUDIT_LOSS_COUNT] for span in losses) == delivery.dropped
    assert {span.attributes[AUDIT_LOSS_REASON] for span in losses} == {"spool full"}
    assert len(spans) - len(losses) == kept


def test_a_full_spool_raises_where_that_was_asked_for(deliver: Make) -> None:
    """on_full=raise tells the application."""
    delivery = deliver(f"http://127.0.0.1:{free_port()}", max_bytes=1 << 20, on_full=OnFull.RAISE)
    for item in items(150, size=5000):
        delivery.put(item)
    with pytest.raises(SpoolFull, match="see that the receiver answers"):
        [delivery.put(item) for item in items(100, size=5000)]


def test_a_full_spool_makes_the_application_wait_where_that_was_asked_for(deliver: Make) -> None:
    """on_full=block loses nothing: whoever puts waits until there is room."""
    port = free_port()
    delivery = deliver(f"http://127.0.0.1:{port}", max_bytes=1 << 20, on_full=OnFull.BLOCK)
    waiting = items(400, size=5000)
    thread = threading.Thread(target=lambda: [delivery.put(item) for item in waiting])
    thread.start()
    while delivery.depth < 150:  # it fills up, and then nothing moves
        thread.join(0.01)
    assert thread.is_alive()
    with Collector(port) as collector:
        thread.join(60)
        assert not thread.is_alive()
        assert delivery.flush(30)
        assert len(collector.spans) == 400
    assert delivery.dropped == 0


def test_a_disk_that_takes_nothing_is_bridged_by_memory(deliver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the spool can not be written, records wait in memory, and arrive."""
    with Collector() as collector:
        delivery = deliver(collector.endpoint)

        def refuse(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", refuse)
        for item in items(5):
            delivery.put(item)
        assert delivery.flush(30)
        assert len(names(collector)) == 5
    assert delivery.dropped == 0


def test_headers_go_with_every_request(deliver: Make) -> None:
    """A token for the receiver is sent."""
    with Collector() as collector:
        delivery = deliver(collector.endpoint, headers=(("Authorization", "Bearer abc"),), compress=True)
        delivery.put(items(1)[0])
        assert delivery.flush(30)
        assert collector.metadata[0]["authorization"] == "Bearer abc"


class _HttpReceiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: list[tuple[int, dict[str, str]]]
    limit = 1 << 20
    received: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if len(body) > self.limit:
            status = 413
        if status == 200:
            self.received.append((self.path, dict(self.headers), body))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def http_receiver() -> Iterator[tuple[str, type[_HttpReceiver]]]:
    handler = type("Handler", (_HttpReceiver,), {"answers": [], "received": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/otlp", handler
        server.shutdown()


def test_http_is_retried_divided_and_keeps_its_path(
    deliver: Make, http_receiver: tuple[str, type[_HttpReceiver]]
) -> None:
    """OTLP/HTTP: 503 and a lost connection are tried again, 413 is answered with smaller requests."""
    url, receiver = http_receiver
    receiver.answers += [(503, {"Retry-After": "0"}), (502, {"Connection": "close"})]
    receiver.limit = 20_000
    delivery = deliver(url, protocol=Protocol.HTTP)
    for item in items(40, size=2000):
        delivery.put(item)
    assert delivery.flush(60)
    assert {path for path, _, _ in receiver.received} == {"/otlp/v1/traces"}
    assert {headers["Content-Type"] for _, headers, _ in receiver.received} == {"application/x-protobuf"}
    sent = [
        span.name
        for _, _, body in receiver.received
        for block in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in block.scope_spans
        for span in scope.spans
    ]
    assert sorted(sent) == sorted(f"s{n}" for n in range(40))


def test_the_end_of_a_process_does_not_wait_for_a_receiver_that_is_away(deliver: Make) -> None:
    """close() tries once and leaves the rest in the spool; the next delivery in line sends it."""
    port = free_port()
    first = deliver(f"http://127.0.0.1:{port}")
    for item in items(5):
        first.put(item)
    first.close(60)  # returns at once: a refused connection is an answer
    with Collector(port) as collector:
        second = deliver(collector.endpoint)
        second.begin()
        assert len(collector.wait_for(lambda spans: len(spans) == 5)) == 5


def test_the_end_of_a_process_delivers_to_a_receiver_that_has_just_come(deliver: Make) -> None:
    """Tries that failed before are no reason to take a receiver for away that is there now."""
    port = free_port()
    delivery = deliver(f"http://127.0.0.1:{port}")
    for item in items(5):
        delivery.put(item)
    assert not delivery.flush(2)  # long enough for gRPC to begin a back-off of its own
    with Collector(port) as collector:
        delivery.close(60)
        assert names(collector) == [f"s{n}" for n in range(5)]


def test_delivery_goes_on_after_it_was_closed(deliver: Make) -> None:
    """A provider that is shut down early does not end delivery for another one."""
    with Collector() as collector:
        delivery = deliver(collector.endpoint)
        first, second = items(2)
        delivery.put(first)
        delivery.close(30)
        delivery.put(second)
        assert delivery.flush(30)
        assert names(collector) == ["s0", "s1"]


def run(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_forked_children_deliver_their_own_and_the_parent_its_own() -> None:
    """A process that forks while it delivers over gRPC, and its children, each deliver what they recorded."""
    with Collector() as collector:
        done = run(
            """
            import os
            import otel_audit as audit
            audit.configure(service_name="forker")
            audit.resolve("before", by="u", resolution="x")
            assert audit.flush(20)
            for number in range(4):
                if os.fork() == 0:
                    audit.resolve(f"child-{number}", by="u", resolution="x")
                    os._exit(0 if audit.flush(40) else 3)
            audit.resolve("after", by="u", resolution="x")
            codes = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(4)]
            assert codes == [0] * 4, codes
            assert audit.flush(20)
            """,
            OTEL_AUDIT_ENDPOINT=collector.endpoint,
        )
        assert done.returncode == 0, done.stderr
        tasks = sorted(span.attributes["audit.task.id"] for span in collector.spans)
    assert tasks == ["after", "before", "child-0", "child-1", "child-2", "child-3"]


def test_the_figures_are_otel_metrics() -> None:
    """What was emitted, exported, dropped and waits, and how long exports take, is in the application's metrics."""
    with Collector() as collector:
        done = run(
            """
            from opentelemetry import metrics
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import InMemoryMetricReader
            reader = InMemoryMetricReader()
            metrics.set_meter_provider(MeterProvider([reader]))
            import otel_audit as audit
            audit.configure(service_name="app")
            for n in range(3):
                audit.resolve(f"t{n}", by="u", resolution="x")
            assert audit.flush(20)
            data = reader.get_metrics_data()
            for rm in data.resource_metrics:
                for sm in rm.scope_metrics:
                    for m in sm.metrics:
                        point = m.data.data_points[0]
                        value = getattr(point, "value", None) or getattr(point, "count", 0)
                        print(sm.scope.name, m.name, m.unit, value)
            """,
            OTEL_AUDIT_ENDPOINT=collector.endpoint,
        )
    assert done.returncode == 0, done.stderr
    found = {line.split()[1]: line.split() for line in done.stdout.splitlines() if line.startswith("otel_audit ")}
    assert found["audit.records.emitted"][2:] == ["{record}", "3"]
    assert found["audit.records.exported"][2:] == ["{record}", "3"]
    assert found["audit.records.dropped"][2:] == ["{record}", "0"]
    assert found["audit.queue.depth"][2:] == ["{record}", "0"]
    assert int(found["audit.export.duration"][3]) >= 1


def test_a_process_killed_while_the_receiver_is_away_loses_nothing(spool_folder: Path) -> None:
    """Every event that the application's call returned from is delivered by the next process."""
    port = free_port()
    killed = run(
        """
        import os, signal
        import otel_audit as audit
        audit.configure(service_name="app")
        for n in range(10):
            audit.resolve(f"t{n}", by="u", resolution="x")
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        OTEL_AUDIT_ENDPOINT=f"http://127.0.0.1:{port}",
    )
    assert killed.returncode == -signal.SIGKILL
    assert list(spool_folder.glob("*/*.spool"))
    with Collector(port) as collector:
        done = run(
            """
            import otel_audit as audit
            audit.configure(service_name="app")
            audit.resolve("next", by="u", resolution="x")
            audit.flush(5)
            """,
            OTEL_AUDIT_ENDPOINT=collector.endpoint,
        )
        assert done.returncode == 0, done.stderr
        collector.wait_for(lambda spans: len(spans) == 11)
