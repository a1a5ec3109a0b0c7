"""What happens to each span and log record of the application: the task is written onto it, and a copy is delivered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor
from opentelemetry.trace import get_current_span

from otel_audit.errors import SpoolFull
from otel_audit.instrumentation._context import context_attributes
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.ai_calls.ai_call import context_refs
from otel_audit.instrumentation.delivery.delivery import Delivery
from otel_audit.instrumentation.delivery.encoding import Encoder
from otel_audit.instrumentation.delivery.losses import LossItems
from otel_audit.semconv import AUDIT_CONTEXT_REFS, AUDIT_SPAN_RECORDED

# Names by which GenAI conventions are known: see the receiver's conventions.
_PREFIXES: Final = (
    "audit.",
    "gen_ai.",
    "llm.",
    "openinference.",
    "ai.",
    "traceloop.",
    "langsmith.",
    "langfuse.",
    "pydantic_ai.",
    "logfire.",
    "tool_decision",
)


def is_relevant(names: Iterable[str]) -> bool:
    """Whether attribute names make a record one that the audit needs."""
    return any(name.startswith(_PREFIXES) for name in names)


class Held:
    """Attributes that wait for the end of a span, by its id; the oldest are given up beyond ``capacity``."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._held: OrderedDict[int, Mapping[str, Any]] = OrderedDict()  # guarded by _lock

    def hold(self, span_id: int, attributes: Mapping[str, Any]) -> None:
        """Keep attributes for the span, besides what is kept for it already."""
        with self._lock:
            self._held[span_id] = {**self._held.get(span_id, {}), **attributes}
            if len(self._held) > self._capacity:
                self._held.popitem(last=False)

    def take(self, span_id: int) -> Mapping[str, Any]:
        """What is kept for the span, once."""
        if not self._held:
            return {}
        with self._lock:
            return self._held.pop(span_id, {})


# The task of each open span, in case its attribute limit drops it; and what the completion hook was given.
held_tasks: Final = Held(1 << 16)
held_texts: Final = Held(1 << 10)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the processors of one destination share. ``exit_seconds`` bounds what shutting down may take."""

    delivery: Delivery
    encoder: Encoder
    losses: LossItems
    every_span: bool
    exit_seconds: float

    def shutdown(self) -> None:
        """Deliver what can be delivered; the rest waits in the spool for the next process."""
        with guard("shutdown"):
            self.delivery.close(self.exit_seconds)

    def flush(self, timeout_millis: int) -> bool:
        """Whether everything was acknowledged within the time."""
        with guard("flush"):
            return self.delivery.flush(timeout_millis / 1000)
        return False


class AuditSpanProcessor(SpanProcessor):
    """Writes the task onto spans as they start, and spools those that the audit needs as they end.

    The task comes from baggage, the prompt from the context; an attribute that a span already has is left
    alone. ``pipelines`` may grow.
    """

    def __init__(self, limits: SpanLimits | None) -> None:
        self.pipelines: list[Pipeline] = []
        self._limits = limits

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set what the context knows and the span does not say itself."""
        with guard("span_processor"):
            found = context_attributes(parent_context)
            present = span.attributes or {}
            if (refs := context_refs(parent_context)) and not any(key.startswith("http.") for key in present):
                found[AUDIT_CONTEXT_REFS] = refs  # on whatever may be the AI call's span
            if found:
                for key, value in found.items():
                    if key not in present:
                        span.set_attribute(key, value)
                held_tasks.hold(span.get_span_context().span_id, found)

    def on_end(self, span: ReadableSpan) -> None:
        """Spool the span. Raises SpoolFull only, and only where the application asked for it."""
        try:
            attributes = span.attributes or {}
            span_id, sampled = span.context.span_id, span.context.trace_flags.sampled
            extra = {**held_tasks.take(span_id), **held_texts.take(span_id)}
            is_ours = bool(extra) or is_relevant(attributes)
            for pipeline in self.pipelines:
                if is_ours or (sampled and pipeline.every_span):
                    pipeline.delivery.put(pipeline.encoder.span(span, extra))
                    for item in pipeline.losses.of_limits(span, self._limits, extra):
                        pipeline.delivery.put(item)
        except SpoolFull:
            raise
        except Exception as exc:  # noqa: BLE001 - ours never reach the application
            for pipeline in self.pipelines:
                pipeline.delivery.lose("span could not be encoded")
            note("span_processor", "a span could not be spooled", exc)

    def shutdown(self) -> None:
        """As Pipeline."""
        for pipeline in self.pipelines:
            pipeline.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As Pipeline."""
        flushed = [pipeline.flush(timeout_millis) for pipeline in self.pipelines]
        return all(flushed)


class AuditLogProcessor(LogRecordProcessor):
    """Spools GenAI and audit log records; the application's ordinary logs are none of ours."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Spool the record. Raises SpoolFull only, and only where the application asked for it."""
        pipeline = self._pipeline
        try:
            record = log_record.log_record
            attributes = record.attributes or {}
            names = (record.event_name or "", str(attributes.get("event.name", "")), *attributes)
            if not is_relevant(names):
                return
            extra: dict[str, Any] = dict(context_attributes(record.context))
            here = get_current_span(record.context)
            if here.is_recording() and here.get_span_context().span_id == record.span_id:
                extra[AUDIT_SPAN_RECORDED] = True
            pipeline.delivery.put(pipeline.encoder.log(log_record, extra))
        except SpoolFull:
            raise
        except Exception as exc:  # noqa: BLE001 - ours never reach the application
            pipeline.delivery.lose("log record could not be encoded")
            note("log_processor", "a log record could not be spooled", exc)

    def shutdown(self) -> None:
        """As Pipeline."""
        self._pipeline.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As Pipeline."""
        return self._pipeline.flush(timeout_millis)
