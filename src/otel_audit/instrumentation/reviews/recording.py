"""Reviews of a recorder: opened and decided in one block, or by tickets in several processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_audit.errors import MalformedInput
from otel_audit.instrumentation._context import Task, current_task, text, with_task
from otel_audit.instrumentation._decorate import Source
from otel_audit.instrumentation._emitter import Emitter, is_time
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.reviews.change import Change, ChangeFormat
from otel_audit.instrumentation.reviews.decision import ABANDONED, Decision, Seconds, seconds
from otel_audit.instrumentation.reviews.rationale import Codes, listed
from otel_audit.instrumentation.reviews.review import FromCall, Review, review_in
from otel_audit.instrumentation.reviews.span import Decided, ReviewSpan, ai_call_text
from otel_audit.instrumentation.reviews.ticket import Ticket

TIMEOUT: Final = "timeout"
_W3C: Final = TraceContextTextMapPropagator()
_NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Opening:
    """What is said of a review before it is opened."""

    task_id: str
    reviewer: str
    review_id: str
    queue_wait_seconds: float | None = None
    second_opinion_of: str = ""
    ai_call: str = ""
    timeout_seconds: float | None = None
    idle_after_seconds: float | None = None


class Reviews(Emitter):
    """What people decide about what an AI proposed."""

    def __init__(
        self, tracer_provider: trace.TracerProvider | None, clock: Callable[[], int], ids: Callable[[], str]
    ) -> None:
        super().__init__(tracer_provider, clock, ids)
        self.decided: Final = Decided()

    def review(
        self,
        task_id: str = "",
        *,
        reviewer: str = "",
        queue_wait_seconds: float | None = None,
        second_opinion_of: Review | Ticket | str | None = None,
        ai_call: str | trace.Span | trace.SpanContext | None = None,
        idle_after_seconds: float | None = None,
        id_from: Source | None = None,
        reviewer_from: Source | None = None,
        decision_from: Callable[[Any], str] | None = None,
    ) -> Review:
        """A person's review, open as long as the block runs.

        ``reviewer`` is a pseudonym. ``queue_wait_seconds`` is how long the task waited for the reviewer.
        ``second_opinion_of`` is the review (or its id) that this one looks at again, ``ai_call`` what is reviewed:
        the response id, or the span, of an AI call. With ``idle_after_seconds`` a longer time without a
        ``heartbeat`` is idle time.

        As a decorator of a function or a coroutine function, ``id_from`` and ``reviewer_from`` tell task and
        reviewer of each call: the name of an argument, or a function of all arguments. The function decides on
        ``otel_audit.current_review()``; where it does not, ``decision_from`` makes the decision's word of its result.
        """
        opening = self._opening(
            task_id,
            reviewer,
            queue_wait_seconds=queue_wait_seconds,
            second_opinion_of=second_opinion_of,
            ai_call=ai_call,
            idle_after_seconds=idle_after_seconds,
        )
        return Review(self, opening, FromCall(id_from, reviewer_from, decision_from))

    def current_review(self) -> Review:
        """The review whose block or decorated function runs; outside of one (counted) a review of nothing."""
        found = review_in()
        if found is None:
            note("review", "current_review() was called where no review is open")
            return self.review()
        return found

    def start_review(
        self,
        task_id: str,
        *,
        reviewer: str,
        queue_wait_seconds: float | None = None,
        second_opinion_of: Review | Ticket | str | None = None,
        ai_call: str | trace.Span | trace.SpanContext | None = None,
        timeout_seconds: float | None = None,
        at: int | None = None,
    ) -> Ticket:
        """Open a review that is finished in another request or process, with the ticket.

        Nothing is sent until then. ``at`` is when it was opened, in nanoseconds since 1970; now by default. A
        decision later than ``timeout_seconds`` after that is recorded as late. The other parameters are those of
        ``review``.
        """
        opening = self._opening(
            task_id,
            reviewer,
            queue_wait_seconds=queue_wait_seconds,
            second_opinion_of=second_opinion_of,
            ai_call=ai_call,
            timeout_seconds=timeout_seconds,
        )
        return self.opened(opening, at)[0]

    def finish_review(
        self,
        ticket: Ticket | Mapping[str, Any] | str,
        *,
        decision: str,
        reviewer: str = "",
        active_seconds: Seconds = None,
        idle_seconds: Seconds = None,
        rationale_code: Codes = (),
        rationale: str | None = None,
        before: object = None,
        after: object = None,
        format: ChangeFormat = "auto",  # noqa: A002 - the word for it
        override: bool | None = None,
        at: int | None = None,
    ) -> None:
        """Record the decision of a review that ``start_review`` opened.

        The review's span belongs to the trace it was opened in, where there was one, and links to where it
        was finished. ``decision`` is approved, rejected, modified, escalated, abandoned or a word of your
        own; ``reviewer`` is who decided, where your login knows better than the ticket. The seconds are what
        your user interface measured, also as the text of a form field: what can not be is mended, and remarked.
        ``before``, ``after`` and ``format`` are those of ``Review.modify``; ``at`` is when it was decided, in
        nanoseconds since 1970; now by default.

        A ticket that is decided twice gives two events, the second marked and linked to the first. What is no
        ticket is counted, and the decision recorded for the task of the block around. Raises UnknownRationaleCode,
        and records nothing, where the list of codes is strict and does not have the code.
        """
        codes = listed(rationale_code)
        self.codes.check(codes)
        with guard("finish_review"):
            change = Change.of(before, after, format)
            made = Decision(text(decision), codes, rationale, change, override, active_seconds, idle_seconds)
            self._finish("finish_review", ticket, made, reviewer=text(reviewer), at=at)

    def abandon_review(
        self,
        ticket: Ticket | Mapping[str, Any] | str,
        *,
        reason: str,
        active_seconds: Seconds = None,
        idle_seconds: Seconds = None,
        at: int | None = None,
    ) -> None:
        """Record that a review ended without a decision: timed out, closed, released, or left by a process that died.

        ``reason`` is ``timeout``, ``closed``, ``released``, or a word of your own. A timeout happened when the
        ticket's time was over, whenever that is noticed; everything else ends at ``at``, by default now.
        """
        with guard("abandon_review"):
            made = Decision(
                ABANDONED, active_seconds=active_seconds, idle_seconds=idle_seconds, abandon_reason=text(reason)
            )
            self._finish("abandon_review", ticket, made, at=at)

    def new_id(self) -> str:
        """An identity for a review."""
        with guard("ids"):
            return text(self._ids())
        return ""

    def opened(self, opening: Opening, at: int | None) -> tuple[Ticket, Context]:
        """The ticket of a review that is opened now, or at ``at``, and the context of its task."""
        carrier: dict[str, str] = {}
        task, ctx = Task(opening.task_id), Context()
        with guard("review"):
            ctx = with_task(task)
            task = current_task(ctx)
            _W3C.inject(carrier)
        moment = self.moment(at)
        timeout = opening.timeout_seconds
        ticket = Ticket(
            task_id=opening.task_id,
            reviewer=opening.reviewer,
            review_id=opening.review_id,
            opened_unix_nano=moment,
            task_kind=task.kind,
            subject_ref=task.subject_ref,
            queue_wait_seconds=opening.queue_wait_seconds,
            traceparent=carrier.get("traceparent", ""),
            second_opinion_of=opening.second_opinion_of,
            ai_call=opening.ai_call,
            expires_unix_nano=None if timeout is None else moment + int(timeout * _NANO),
        )
        return ticket, ctx

    def _opening(
        self,
        task_id: str,
        reviewer: str,
        *,
        queue_wait_seconds: float | None,
        second_opinion_of: Review | Ticket | str | None,
        ai_call: str | trace.Span | trace.SpanContext | None,
        timeout_seconds: float | None = None,
        idle_after_seconds: float | None = None,
    ) -> Opening:
        """The same, with what can not be read left out and counted, so that the ticket can be read again."""
        remarks: list[str] = []
        of = second_opinion_of.review_id if isinstance(second_opinion_of, Review | Ticket) else text(second_opinion_of)
        opening = Opening(
            task_id=text(task_id),
            reviewer=text(reviewer),
            review_id=self.new_id(),
            queue_wait_seconds=seconds(queue_wait_seconds, "queue_wait_seconds", remarks),
            second_opinion_of=of,
            ai_call=ai_call_text(ai_call),
            timeout_seconds=seconds(timeout_seconds, "timeout_seconds", remarks),
            idle_after_seconds=seconds(idle_after_seconds, "idle_after_seconds", remarks),
        )
        for remark in remarks:
            note("review", remark)
        return opening

    def _finish(
        self,
        operation: str,
        given: Ticket | Mapping[str, Any] | str,
        decision: Decision,
        *,
        reviewer: str = "",
        at: int | None,
    ) -> None:
        decided = self.moment(at)
        problems: list[str] = []
        try:
            ticket = Ticket.of(given)
        except MalformedInput as exc:  # what was decided is worth more than the ticket
            note(operation, str(exc), exc)
            problems.append("ticket_unreadable")
            task = current_task()
            ticket = Ticket(task.id, reviewer, self.new_id(), decided, task.kind, task.subject_ref)
        if at is None and decision.abandon_reason == TIMEOUT and ticket.is_expired(decided):
            over = max(ticket.expires_unix_nano or 0, ticket.opened_unix_nano)
            decided = over if is_time(over) else decided
        ctx = with_task(Task(ticket.task_id, ticket.task_kind, ticket.subject_ref))
        links: list[trace.Link] = []
        if ticket.traceparent:
            here = trace.get_current_span(ctx).get_span_context()
            ctx = _W3C.extract({"traceparent": ticket.traceparent}, ctx)
            there = trace.get_current_span(ctx).get_span_context()
            if here.is_valid and here.span_id != there.span_id:
                links.append(trace.Link(here))
        span = ReviewSpan(self, ticket, ctx, not_after=decided, reviewer=reviewer, links=links)
        span.remarks += problems
        span.end(decision, decided, None, self.decided)
