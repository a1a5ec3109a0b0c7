"""Audit events as spans of the tracer ``otel_audit``: start = opened, end = decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import context_attributes, text
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.delivery.losses import TRACER_NAME, package_version
from otel_audit.instrumentation.reviews.rationale import RationaleCodes
from otel_audit.model import EventType
from otel_audit.semconv import AUDIT_ACTOR_ID, AUDIT_ACTOR_TYPE, AUDIT_EVENT_TYPE, AUDIT_REVIEWER_ID, AUDIT_TASK_ID

USER: Final = "user"
_TIME_LIMIT: Final = 1 << 63  # OTLP's times are 64 bits, and nobody lives past 2262


def actor(who: str, actor_type: str = USER) -> dict[str, AttributeValue]:
    """Who did it; a person is named as reviewer too."""
    found: dict[str, AttributeValue] = {AUDIT_ACTOR_ID: text(who), AUDIT_ACTOR_TYPE: text(actor_type)}
    return {AUDIT_REVIEWER_ID: text(who), **found} if actor_type == USER else found


def is_time(unix_nano: object) -> bool:
    """Whether it can stand in a record as nanoseconds since 1970."""
    return isinstance(unix_nano, int) and 0 <= unix_nano < _TIME_LIMIT


class Emitter:
    """The clock, the tracer, the ids and the list of codes of a recorder, and how an event becomes a span."""

    def __init__(
        self, tracer_provider: trace.TracerProvider | None, clock: Callable[[], int], ids: Callable[[], str]
    ) -> None:
        self._clock = clock
        self._ids = ids
        self.codes = RationaleCodes()
        self._use(tracer_provider)

    def _use(self, provider: trace.TracerProvider | None) -> None:
        """Record with ``provider``; with None, with whatever is the global one when an event happens."""
        self._provider = provider

    def now(self) -> int:
        """The clock's time in nanoseconds since 1970; the system's (counted) when the clock fails."""
        with guard("clock"):
            return self._clock()
        return time.time_ns()

    def moment(self, at: int | None) -> int:
        """``at``, or now where it is None or (counted) no time."""
        if at is not None:
            with guard("time"):
                if is_time(int(at)):
                    return int(at)
                note("time", "a moment that is not in nanoseconds since 1970; the present is recorded")
        return self.now()

    def start(
        self,
        event_type: EventType,
        attributes: Mapping[str, AttributeValue],
        ctx: Context | None,
        *,
        at: int,
        links: Sequence[trace.Link] = (),
        name: str = "",
    ) -> trace.Span:
        """Start the span of an event at ``at``, named after its type or ``name``. The caller ends it."""
        found = {**context_attributes(ctx), **attributes, AUDIT_EVENT_TYPE: event_type.value}
        if AUDIT_TASK_ID not in found and event_type not in {EventType.ACCESS, EventType.LOG_REVIEW}:
            note(event_type, "recorded without a task id, because none was given")
        tracer = trace.get_tracer(TRACER_NAME, package_version(), tracer_provider=self._provider)
        span = tracer.start_span(name or event_type.value, ctx, attributes=found, links=links, start_time=at)
        if not span.is_recording():
            note(
                event_type,
                "not recorded: no OpenTelemetry SDK is set up (call otel_audit.configure()), or the sampler dropped it",
            )
        return span

    def emit(
        self,
        event_type: EventType,
        attributes: Mapping[str, AttributeValue],
        ctx: Context | None,
        *,
        at: int | None = None,
        name: str = "",
    ) -> None:
        """Record an event that is a point in time."""
        moment = self.moment(at)
        self.start(event_type, attributes, ctx, at=moment, name=name).end(end_time=moment)
