"""``python bench/application.py``: what an AI call's record costs the application's thread; memory of a full spool.

The peer is the plain SDK with its batch processor, which only puts a reference into a queue in memory; both
export to receivers that throw the bytes away, in the same run. Our figure includes masking personal data and
the record on disk.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

CALLS = 400
ROUNDS = 15
PAUSE = 0.004  # seconds between calls: an application waits for its model, and does not starve our thread
PROSE = "the applicant qualifies because the payslip shows a regular income and no open claims were found in the file "


def attributes(number: int) -> dict[str, str | int | float | list[str]]:
    """The attributes of one AI call: 17, about 1.5 KB, every text a new one."""
    question = [{"role": "user", "parts": [{"type": "text", "content": f"Case {number}: {PROSE * 6}"}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": f"{PROSE * 4} ({number})"}]}]
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": f"chatcmpl-{number}",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 57,
        "gen_ai.usage.output_tokens": 21,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.top_p": 0.9,
        "server.address": "api.openai.com",
        "server.port": 443,
        "gen_ai.conversation.id": f"conv-{number % 97}",
        "openai.response.system_fingerprint": "fp_44709d6fcb",
        "openai.response.service_tier": "default",
        "gen_ai.input.messages": json.dumps(question),
        "gen_ai.output.messages": json.dumps(answer),
    }


def per_call(tracer: Tracer, first: int) -> float:
    """Median microseconds of ``CALLS`` spans, from start to the return of end."""
    taken = []
    for number in range(first, first + CALLS):
        found = attributes(number)
        started = time.perf_counter()
        with tracer.start_as_current_span("chat gpt-4o-mini") as span:
            span.set_attributes(found)
        taken.append(time.perf_counter() - started)
        time.sleep(PAUSE)
    return statistics.median(taken) * 1e6


def bare() -> Tracer:
    """Spans that nobody takes."""
    return TracerProvider(resource=Resource.create({})).get_tracer("bench")


def batched(endpoint: str) -> Tracer:
    """The plain SDK with its batch processor."""
    provider = TracerProvider(resource=Resource.create({}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    return provider.get_tracer("bench")


def ours(endpoint: str) -> Tracer:
    """The audit pipeline alone: mask, spool, deliver."""
    from otel_audit.instrumentation.sdk.setup import prepare  # noqa: PLC0415 - after the environment is set

    provider = TracerProvider(resource=Resource.create({}))
    prepare(provider, service_name=None, service_version=None, environment=None, endpoint=endpoint)
    return provider.get_tracer("bench")


def full_spool() -> None:
    """Fill a spool of 256 MiB with nobody listening, and print the memory that it took."""
    tracer = ours("http://127.0.0.1:1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = attributes(1)
    from otel_audit.instrumentation import error_counts  # noqa: PLC0415

    count = 0
    while not error_counts().get("spool"):
        with tracer.start_as_current_span("chat gpt-4o-mini") as span:
            span.set_attributes(found)
        count += 1
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"full spool: {count:,} AI calls in 256 MiB on disk, {(after - before) / 1024:.1f} MiB of memory")


def main() -> None:
    """Print the figures of one run, interleaved."""
    from run import discarding_server  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, discarding_server() as port:
        os.environ["OTEL_AUDIT_SPOOL_DIR"] = folder
        os.environ["OTEL_AUDIT_EXIT_SECONDS"] = "0"
        endpoint = f"http://127.0.0.1:{port}"
        makers: dict[str, Callable[[], Tracer]] = {
            "bare SDK": bare,
            "SDK + batch processor": lambda: batched(endpoint),
            "otel-audit": lambda: ours(endpoint),
        }
        tracers = {name: make() for name, make in makers.items()}
        figures: dict[str, list[float]] = {name: [] for name in tracers}
        for round_number in range(ROUNDS):
            for name, tracer in tracers.items():
                figures[name].append(per_call(tracer, round_number * CALLS))
        medians = {name: statistics.median(values) for name, values in figures.items()}
        bare_cost = medians["bare SDK"]
        for name, value in medians.items():
            print(f"{name:24} {value:7.1f} us a call, {value - bare_cost:6.1f} added")
        added = {name: value - bare_cost for name, value in medians.items()}
        print(f"otel-audit : batch processor = {medians['otel-audit'] / medians['SDK + batch processor']:.2f} a call")
        print(f"added time: {added['otel-audit']:.1f} us, spool and masking included")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OTEL_AUDIT_SPOOL_DIR": folder}
        subprocess.run([sys.executable, __file__, "--full-spool"], check=True, env=environment)


if __name__ == "__main__":
    if "--full-spool" in sys.argv:
        full_spool()
    else:
        main()
