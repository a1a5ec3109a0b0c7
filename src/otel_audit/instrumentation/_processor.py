"""The span processor that puts the task onto every span, whoever made it."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_audit.instrumentation._context import context_attributes
from otel_audit.instrumentation._faults import guard


class TaskSpanProcessor(SpanProcessor):
    """Copies the task from baggage, and the prompt from the context, onto spans as they start.

    An attribute that the span already has is left alone.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set what the context knows and the span does not say itself."""
        with guard("span_processor"):
            present = span.attributes or {}
            for key, value in context_attributes(parent_context).items():
                if key not in present:
                    span.set_attribute(key, value)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing: exporting is another processor's work."""

    def shutdown(self) -> None:
        """Nothing to release."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's interface
        """Nothing is held back here."""
        return True
