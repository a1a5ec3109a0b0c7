"""The sampler around the application's own: what the audit needs is recorded, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from otel_audit.instrumentation._context import current_task

# A span that says at its start that it is one of these is no AI call.
_PLUMBING: Final = ("http.", "url.", "db.", "rpc.", "messaging.", "faas.", "asgi.", "net.")
_ENTRANCES: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER, SpanKind.PRODUCER})


class AuditSampler(Sampler):
    """Asks ``sampler``; a span it would drop is recorded all the same, unless it can not be an AI call.

    The sampled flag is the application's sampler's own: other exporters, and services that are called,
    see what they would have seen. Spans of a task are recorded whatever they are.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def should_sample(  # noqa: PLR0917 - the SDK's interface
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """The application's decision, with DROP turned into RECORD_ONLY for what the audit may need."""
        result = self.sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not Decision.DROP:
            return result
        if _is_plumbing(kind, attributes) and not current_task(parent_context).id:
            return result
        # A dropped span has no attributes; a recorded one has those it was started with.
        return SamplingResult(Decision.RECORD_ONLY, result.attributes or attributes, result.trace_state)

    def get_description(self) -> str:
        """The application's sampler, and that it is wrapped."""
        return f"AuditSampler{{{self.sampler.get_description()}}}"


def _is_plumbing(kind: SpanKind | None, attributes: Attributes) -> bool:
    return kind in _ENTRANCES or any(key.startswith(_PLUMBING) for key in attributes or ())
