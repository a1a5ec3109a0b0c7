"""The review that is decided inside a ``with`` block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context, trace
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE

from otel_audit.instrumentation._context import text
from otel_audit.instrumentation._decorate import Call, DecoratingScope, Source
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.reviews.active_time import ActiveTime
from otel_audit.instrumentation.reviews.change import Change, ChangeFormat
from otel_audit.instrumentation.reviews.decision import (
    ABANDONED,
    APPROVED,
    ESCALATED,
    MODIFIED,
    REJECTED,
    Decision,
    Seconds,
)
from otel_audit.instrumentation.reviews.rationale import Codes, listed
from otel_audit.instrumentation.reviews.span import ReviewSpan
from otel_audit.instrumentation.reviews.ticket import Ticket

if TYPE_CHECKING:
    from otel_audit.instrumentation.reviews.recording import Opening, Reviews

_CURRENT: Final = context.create_key("otel_audit.review")


@dataclass(frozen=True, slots=True)
class FromCall:
    """What a decorated function's arguments and result tell of the review."""

    task_id: Source | None = None
    reviewer: Source | None = None
    decision: Callable[[Any], str] | None = None


def review_in(ctx: context.Context | None = None) -> Review | None:
    """The review that is open in the context."""
    found = context.get_value(_CURRENT, ctx)
    return found if isinstance(found, Review) else None


class Review(DecoratingScope["Review"]):
    """A review in progress; ``otel_audit.review`` makes it.

    The last decision made in the block counts, and ends the review at the moment it was made. A block
    that is left without one is recorded as ``abandoned``. What the block raises goes on unmodified, and
    is recorded.
    """

    _operation = "review"

    def __init__(self, desk: Reviews, opening: Opening, from_call: FromCall | None = None) -> None:
        self._desk = desk
        self._opening = opening
        self._from_call = from_call or FromCall()
        self._time = ActiveTime(opening.idle_after_seconds)
        self._ticket: Ticket | None = None
        self._span: ReviewSpan | None = None
        self._decision: Decision | None = None
        self._decided = 0  # nanoseconds since 1970
        self._active = 0  # nanoseconds, until the decision

    @property
    def task_id(self) -> str:
        """The task that is reviewed."""
        return self._opening.task_id

    @property
    def reviewer(self) -> str:
        """Pseudonym of the reviewer."""
        return self._opening.reviewer

    @property
    def review_id(self) -> str:
        """Identity of the review; a second opinion names it."""
        return self._opening.review_id

    @property
    def ticket(self) -> Ticket:
        """The review as a ticket. Store it, and another process can abandon the review when this one dies."""
        if self._ticket is None:
            self._ticket, _ = self._desk.opened(self._opening, None)
        return self._ticket

    def approve(
        self,
        *,
        rationale_code: Codes = (),
        rationale: str | None = None,
        override: bool | None = None,
        active_seconds: Seconds = None,
    ) -> None:
        """Accept what the AI proposed, as it is."""
        self.decide(
            APPROVED,
            rationale_code=rationale_code,
            rationale=rationale,
            override=override,
            active_seconds=active_seconds,
        )

    def reject(
        self,
        *,
        rationale_code: Codes = (),
        rationale: str | None = None,
        override: bool | None = None,
        active_seconds: Seconds = None,
    ) -> None:
        """Refuse what the AI proposed. Counts as an override unless ``override=False`` says otherwise."""
        self.decide(
            REJECTED,
            rationale_code=rationale_code,
            rationale=rationale,
            override=override,
            active_seconds=active_seconds,
        )

    def modify(
        self,
        before: object,
        after: object,
        *,
        format: ChangeFormat = "auto",  # noqa: A002 - the word for it
        rationale_code: Codes = (),
        rationale: str | None = None,
        override: bool | None = None,
        active_seconds: Seconds = None,
    ) -> None:
        """Accept with changes: what the AI proposed, and what replaces it, each a text or a value that JSON has.

        Both are recorded, and by ``format`` the difference: "diff" a unified diff, "patch" a JSON Patch
        (RFC 6902), "none" neither, and "auto" a patch of values and a diff of texts.
        Say ``override=True`` when the change turns the AI's decision around.
        """
        self.decide(
            MODIFIED,
            rationale_code=rationale_code,
            rationale=rationale,
            before=before,
            after=after,
            format=format,
            override=override,
            active_seconds=active_seconds,
        )

    def escalate(
        self,
        *,
        rationale_code: Codes = (),
        rationale: str | None = None,
        active_seconds: Seconds = None,
    ) -> None:
        """Leave the decision to somebody else. ``otel_audit.escalate`` then says to whom."""
        self.decide(ESCALATED, rationale_code=rationale_code, rationale=rationale, active_seconds=active_seconds)

    def abandon(self, reason: str, *, active_seconds: Seconds = None) -> None:
        """End without a decision, and say why: ``timeout``, ``closed``, ``released``, or a word of your own."""
        with guard("review"):
            self._conclude(Decision(ABANDONED, active_seconds=active_seconds, abandon_reason=text(reason)))

    def decide(
        self,
        decision: str,
        *,
        rationale_code: Codes = (),
        rationale: str | None = None,
        before: object = None,
        after: object = None,
        format: ChangeFormat = "auto",  # noqa: A002 - the word for it
        override: bool | None = None,
        active_seconds: Seconds = None,
    ) -> None:
        """Decide in a word of your own.

        ``rationale_code`` is one or several codes of your own list, ``rationale`` free text;
        ``active_seconds`` replaces the time that was measured here. Raises UnknownRationaleCode, and decides
        nothing, where the list is strict and does not have the code.
        """
        codes = listed(rationale_code)
        self._desk.codes.check(codes)
        with guard("review"):
            change = Change.of(before, after, format)
            self._conclude(Decision(text(decision), codes, rationale, change, override, active_seconds=active_seconds))

    def pause(self) -> None:
        """The reviewer turned to something else: what follows is idle time. Pausing twice is pausing once."""
        with guard("review"):
            self._time.pause(self._desk.now())

    def resume(self) -> None:
        """The reviewer is back."""
        with guard("review"):
            self._time.resume(self._desk.now())

    def heartbeat(self) -> None:
        """The reviewer did something just now. With ``idle_after_seconds`` a longer silence counts as idle time."""
        with guard("review"):
            self._time.beat(self._desk.now())

    def _conclude(self, decision: Decision) -> None:
        if self._span is None:
            note("review", "decided outside of its block, and not recorded: decide inside `with audit.review(...)`")
        self._decided = self._desk.now()
        self._active = self._time.beat(self._decided)
        self._decision = decision

    def _for_call(self, call: Call) -> Review:
        task_id, reviewer = self._from_call.task_id, self._from_call.reviewer
        opening = replace(self._opening, review_id=self._desk.new_id())
        if task_id is not None:
            opening = replace(opening, task_id=call.text(task_id, self._operation))
        if reviewer is not None:
            opening = replace(opening, reviewer=call.text(reviewer, self._operation))
        return Review(self._desk, opening, self._from_call)

    def _returned(self, result: object) -> None:
        if self._decision is None and self._from_call.decision is not None:
            with guard("review"):
                self._conclude(Decision(text(self._from_call.decision(result))))

    def _entered(self) -> Self:
        return self

    def _open(self) -> None:
        self._decision = None
        self._ticket, ctx = self._desk.opened(self._opening, None)
        self._time.start(self._ticket.opened_unix_nano)
        self._span = ReviewSpan(self._desk, self._ticket, ctx)
        self._attach(context.set_value(_CURRENT, self, trace.set_span_in_context(self._span.span, ctx)))

    def _close(self, exc: BaseException | None) -> None:
        super()._close(exc)
        if self._span is None:  # it could not be opened, which is counted
            return
        record, span = self._span, self._span.span
        with guard("review"):
            if exc is not None:
                span.record_exception(exc)
                span.set_attribute(ERROR_TYPE, type(exc).__qualname__)
                span.set_status(trace.Status(trace.StatusCode.ERROR, f"{type(exc).__name__}: {exc}"))
        if self._decision is None:
            self._conclude(Decision(ABANDONED, abandon_reason=_why_left(exc)))
        self._span = None  # a decision that is made from here on is too late
        record.end(self._decision or Decision(ABANDONED), self._decided, self._active, self._desk.decided)


def _why_left(exc: BaseException | None) -> str:
    if exc is None:
        return "undecided"
    return "cancelled" if isinstance(exc, asyncio.CancelledError) else "error"
