"""A recorder with a real SDK tracer provider, a clock that moves only when told, and what it recorded."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_audit.instrumentation import Recorder

SECOND = 1_000_000_000


class Clock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class Recording:
    """A recorder, its clock and what it recorded."""

    def __init__(self, **configured: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.clock = Clock()
        self.audit = Recorder()
        self.audit.configure(tracer_provider=self.provider, clock=self.clock, **configured)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span


def typed(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
