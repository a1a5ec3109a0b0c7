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
from otel_audit.instrumentation._ai_call import context_refs
from otel_audit.instrumentation._context import context_attributes
from otel_audit.instrumentation._delivery import Delivery
from otel_audit.instrumentation._encoding import Encoder
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation._losses import LossItems
from otel_audit.semconv import AUDIT_CONTEXT_REFS, AUDIT_SPAN_RECORDED

_HELD: Final = 1 << 10  # texts of AI calls whose spans have not ended yet

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


class TaskSpanProcessor(SpanProcessor):
    """Copies the task from baggage, and the prompt from the context, onto spans as they start.

    An attribute that the span already has is left alone.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set what the context knows and the span does not say itself."""
        with guard("span_processor"):
            found = context_attributes(parent_context)
            present = span.attributes or {}
            if (refs := context_refs(parent_context)) and not any(key.startswith("http.") for key in present):
                found[AUDIT_CONTEXT_REFS] = refs
            if found:
                for key, value in found.items():
                    if key not in present:
                        span.set_attribute(key, value)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing: delivery is another processor's work."""


class HeldTexts:
    """Texts of AI calls that the completion hook was given, until the call's span ends. Bounded; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[int, Mapping[str, Any]] = OrderedDict()

    def hold(self, span_id: int, attributes: Mapping[str, Any]) -> None:
        """Keep attributes for the span."""
        with self._lock:
            self._held[span_id] = {**self._held.get(span_id, {}), **attributes}
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
                note("completion_hook", "an AI call's span never ended; its texts are given up")

    def take(self, span_id: int) -> Mapping[str, Any]:
        """The attributes for the span, once."""
        if not self._held:
            return {}
        with self._lock:
            return self._held.pop(span_id, {})


held_texts: Final = HeldTexts()


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


class SpoolSpanProcessor(SpanProcessor):
    """Spools every span that the audit needs, and with ``every_span`` every sampled one, as it ends."""

    def __init__(self, pipeline: Pipeline, limits: SpanLimits | None) -> None:
        self._pipeline = pipeline
        self._limits = limits

    def on_end(self, span: ReadableSpan) -> None:
        """Spool the span. Raises SpoolFull only, and only where the application asked for it."""
        pipeline = self._pipeline
        try:
            attributes = span.attributes or {}
            sampled = span.context.trace_flags.sampled
            if (sampled and pipeline.every_span) or is_relevant(attributes):
                pipeline.delivery.put(pipeline.encoder.span(span, held_texts.take(span.context.span_id)))
                for item in pipeline.losses.of_limits(span, self._limits):
                    pipeline.delivery.put(item)
        except SpoolFull:
            raise
        except Exception as exc:  # noqa: BLE001 - ours never reach the application
            pipeline.delivery.lose("span could not be encoded")
            note("span_processor", "a span could not be spooled", exc)

    def shutdown(self) -> None:
        """As Pipeline."""
        self._pipeline.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As Pipeline."""
        return self._pipeline.flush(timeout_millis)


class SpoolLogProcessor(LogRecordProcessor):
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
