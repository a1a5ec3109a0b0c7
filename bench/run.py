"""``make bench``: what receiving and verifying cost, beside limits measured in the same run.

Absolute figures drift with the machine; the ratios are what to compare between versions.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_audit.anchors.file import FileAnchor
from otel_audit.ledger.trust import Trust
from otel_audit.receiver.service import Receiver, ReceiverSettings
from otel_audit.reports.verification import verify_database
from otel_audit.store.database import Role, open_server

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
WORDS = "the applicant qualifies because the payslip shows a regular income and no open claims were found in the file "
LONG = WORDS * 4


def request(first: int, count: int) -> bytes:
    """One export request of GenAI spans of about 1.5 KB and 17 attributes."""
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    for key, value in (("service.name", "bench"), ("service.version", "1"), ("deployment.environment.name", "test")):
        resource_spans.resource.attributes.add(key=key).value.string_value = value
    scope = resource_spans.scope_spans.add()
    scope.scope.name = "opentelemetry.instrumentation.genai.openai"
    now = time.time_ns()
    for number in range(first, first + count):
        span = scope.spans.add(
            trace_id=os.urandom(16),
            span_id=(number + 1).to_bytes(8, "big"),
            name="chat gpt-4o-mini",
            start_time_unix_nano=now,
            end_time_unix_nano=now + 1_000_000,
        )
        strings = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": f"chatcmpl-{number}",
            "server.address": "127.0.0.1",
            "audit.task.id": f"task-{number // 5}",
            "gen_ai.conversation.id": f"conv-{number % 97}",
            "openai.response.system_fingerprint": "fp_44709d6fcb",
            "gen_ai.input.messages": f'[{{"role":"user","parts":[{{"type":"text","content":"{number} {LONG}"}}]}}]',
            "gen_ai.output.messages": f'[{{"role":"assistant","parts":[{{"type":"text","content":"{WORDS * 3}"}}]}}]',
        }
        for key, value in strings.items():
            span.attributes.add(key=key).value.string_value = value
        for key, value in {
            "gen_ai.usage.input_tokens": 57,
            "gen_ai.usage.output_tokens": 21,
            "server.port": 443,
        }.items():
            span.attributes.add(key=key).value.int_value = value
        for key in ("gen_ai.request.temperature", "gen_ai.request.top_p"):
            span.attributes.add(key=key).value.double_value = 0.2
    return message.SerializeToString()


@contextmanager
def discarding_server() -> Iterator[int]:
    """The limit: the same gRPC server settings, the bytes thrown away."""
    server = grpc.server(ThreadPoolExecutor(64), options=[("grpc.max_receive_message_length", 64 << 20)])
    handler = grpc.unary_unary_rpc_method_handler(lambda _body, _context: b"")
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(0).wait()


def send(port: int, bodies: list[bytes], senders: int) -> float:
    """Seconds until every body is acknowledged."""
    position = iter(bodies)
    lock = threading.Lock()

    def work() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(METHOD)
            while True:
                with lock:
                    body = next(position, None)
                if body is None:
                    return
                call(body, timeout=120)

    threads = [threading.Thread(target=work) for _ in range(senders)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def median_of(runs: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(runs))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=30_000, help="spans for each batch size")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, discarding_server() as limit_port:
        receiver = Receiver(ReceiverSettings(Path(folder) / "data", grpc_port=0, http_port=0))
        receiver.start()
        number = 0
        print("receive (durable, chained, searchable; client, server and store in this process)")
        for batch, senders, spans in ((1, 64, options.spans // 10), (100, 8, options.spans), (1000, 4, options.spans)):
            rates, limits, costs = [], [], []
            for _ in range(options.runs):
                bodies = [request(number + first, batch) for first in range(0, spans, batch)]
                number += spans
                limits.append(spans / send(limit_port, bodies, senders))
                before = cpu_seconds()
                rates.append(spans / send(receiver.grpc_port, bodies, senders))
                costs.append((cpu_seconds() - before) / spans * 1e6)
            rate, limit = statistics.median(rates), statistics.median(limits)
            print(
                f"  {batch:>5} spans/request {rate:>10,.0f} spans/s   limit {limit:>10,.0f}   ratio {rate / limit:.3f}"
                f"   {statistics.median(costs):.0f} µs CPU/span"
            )
        database = open_server(f"http://reader:{receiver.token}@127.0.0.1:{receiver.front_port}/audit", Role.READER)
        anchor = FileAnchor(receiver.anchor_dir)
        time.sleep(receiver.settings.checkpoint_seconds)

        def verify() -> float:
            started = time.perf_counter()
            trust = Trust().with_keys(anchor.trusted_keys())
            report = verify_database(database, trust=trust, anchors=anchor.read_all())
            if report.status != "ok":
                raise SystemExit(f"verify: {report.to_json()}")
            return sum(ledger.size for ledger in report.ledgers) / (time.perf_counter() - started)

        block = os.urandom(1 << 10)

        def sha256() -> float:
            started = time.perf_counter()
            for _ in range(50_000):
                hashlib.sha256(block).digest()
            return 50_000 / (time.perf_counter() - started)

        rate, limit = median_of(options.runs, verify), median_of(options.runs, sha256)
        print(f"verify  {rate:,.0f} entries/s with texts   limit (SHA-256 of 1 KB) {limit:,.0f}   {rate / limit:.3f}")
        database.close()
        receiver.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
