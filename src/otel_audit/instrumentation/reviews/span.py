"""A review's span: what is known when it is opened, what is added when it is decided, and its links."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import context_attributes, text
from otel_audit.instrumentation._emitter import Emitter, actor, is_time
from otel_audit.instrumentation._faults import note
from otel_audit.instrumentation.reviews.decision import Decision, clamped, seconds
from otel_audit.instrumentation.reviews.ticket import Ticket
from otel_audit.model import EventType
from otel_audit.semconv import (
    AUDIT_REVIEW_AI_CALL,
    AUDIT_REVIEW_ID,
    AUDIT_REVIEW_KIND,
    AUDIT_REVIEW_LATE,
    AUDIT_REVIEW_OF,
    AUDIT_REVIEW_OPENED_BY,
    AUDIT_REVIEW_QUEUE_WAIT_SECONDS,
    AUDIT_REVIEW_REMARKS,
    AUDIT_REVIEW_REPEAT,
)

SECOND_OPINION: Final = "second_opinion"
_NANO: Final = 1_000_000_000
_CENTURY: Final = 100 * 366 * 86_400.0  # seconds; nothing waits longer
_SPAN: Final = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})")
_REMEMBERED: Final = 10_000  # reviews; some 5 MB


class Decided:
    """The reviews that this process has recorded a decision of, the newest of them.

    A ticket that is decided twice is noticed here. In another process it is not: there the two events have the same
    ``audit.review.id``, by which readers notice it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the following
        self._last: OrderedDict[str, tuple[int, trace.SpanContext]] = OrderedDict()

    def end(self, review_id: str, span: trace.Span, decided: int) -> None:
        """End the span; when it is not the review's first decision, mark it and link it to the one before."""
        with self._lock:
            before = self._last.pop(review_id, None) if review_id else None
            count = before[0] + 1 if before else 1
            if review_id:
                self._last[review_id] = (count, span.get_span_context())
            if len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)
        if before is not None:
            span.set_attribute(AUDIT_REVIEW_REPEAT, count)
            span.add_link(before[1])
        try:
            span.end(end_time=decided)
        except BaseException:  # it was refused, so that the next attempt is no repeat of it
            with self._lock:
                self._last.pop(review_id, None)
                if before is not None:
                    self._last[review_id] = before
            raise


def ai_call_text(ai_call: str | trace.Span | trace.SpanContext | None) -> str:
    """A response id as it is, a span as "<trace id>-<span id>" in hex."""
    context = ai_call.get_span_context() if isinstance(ai_call, trace.Span) else ai_call
    if isinstance(context, trace.SpanContext):
        return f"{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}"
    return text(context)


def _link(ai_call: str) -> list[trace.Link]:
    found = _SPAN.fullmatch(ai_call)
    if not found:
        return []
    context = trace.SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True)
    return [trace.Link(context)] if context.is_valid else []


class ReviewSpan:
    """The span of one review, from opening to decision."""

    def __init__(
        self,
        emitter: Emitter,
        ticket: Ticket,
        ctx: Context,
        *,
        not_after: int | None = None,
        reviewer: str = "",
        links: list[trace.Link] | None = None,
    ) -> None:
        """Start it at the time of the ticket, or (remarked) at ``not_after``, its end, where that comes first.

        ``reviewer`` is who decides, where that is known better than from the ticket.
        """
        self._ticket = ticket
        self._rationale = emitter.codes
        self.remarks: list[str] = []
        self.opened = ticket.opened_unix_nano
        if not is_time(self.opened) or (not_after is not None and self.opened > not_after):
            self.remarks.append("opened_refused")
            self.opened = emitter.now() if not_after is None else not_after
        if not (reviewer or ticket.reviewer):
            note("review", "recorded without a reviewer, because none was given")
        found: dict[str, AttributeValue] = {**context_attributes(ctx), **actor(reviewer or ticket.reviewer)}
        if reviewer and reviewer != ticket.reviewer:
            found[AUDIT_REVIEW_OPENED_BY] = ticket.reviewer
        known = {
            AUDIT_REVIEW_ID: ticket.review_id,
            AUDIT_REVIEW_KIND: SECOND_OPINION if ticket.second_opinion_of else "",
            AUDIT_REVIEW_OF: ticket.second_opinion_of,
            AUDIT_REVIEW_AI_CALL: ticket.ai_call,
        }
        found |= {key: value for key, value in known.items() if value}
        waited = seconds(ticket.queue_wait_seconds, "queue_wait_seconds", self.remarks)
        if waited is not None:
            found[AUDIT_REVIEW_QUEUE_WAIT_SECONDS] = clamped(waited, _CENTURY, "queue_wait_seconds", self.remarks)
        self.span = emitter.start(
            EventType.REVIEW, found, ctx, at=self.opened, links=[*(links or ()), *_link(ticket.ai_call)]
        )

    def end(self, decision: Decision, decided: int, active_nano: int | None, others: Decided) -> None:
        """End it with what was decided, at ``decided``. ``active_nano`` is what our own clock counted as active."""
        try:
            wall = max(0, decided - self.opened) / _NANO
            measured = None if active_nano is None else min(active_nano / _NANO, wall)
            self.span.set_attributes(decision.attributes(self._rationale, wall, measured, self.remarks))
            if self._ticket.is_expired(decided) and not decision.abandon_reason:
                self.span.set_attribute(AUDIT_REVIEW_LATE, True)  # noqa: FBT003 - the attribute's value
            if self.remarks:
                self.span.set_attribute(AUDIT_REVIEW_REMARKS, self.remarks)
        finally:
            others.end(self._ticket.review_id, self.span, max(decided, self.opened))
