"""A reviewer's decision, and the review that is decided inside a ``with`` block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from opentelemetry import trace
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import ContextScope, Task, text, with_task
from otel_audit.instrumentation._faults import guard
from otel_audit.model import EventType
from otel_audit.semconv import (
    AUDIT_CHANGE_AFTER,
    AUDIT_CHANGE_BEFORE,
    AUDIT_RATIONALE_CODE,
    AUDIT_RATIONALE_TEXT,
    AUDIT_REVIEW_ACTIVE_SECONDS,
    AUDIT_REVIEW_DECISION,
    AUDIT_REVIEW_IDLE_SECONDS,
    AUDIT_REVIEW_OVERRIDE,
)

if TYPE_CHECKING:
    from otel_audit.instrumentation._recorder import Recorder

APPROVED: Final = "approved"
REJECTED: Final = "rejected"
MODIFIED: Final = "modified"
ESCALATED: Final = "escalated"
ABANDONED: Final = "abandoned"

_OVERRIDE_UNLESS_SAID: Final = {APPROVED: False, REJECTED: True}


def rationale_codes(codes: str | Iterable[str]) -> list[str]:
    """The codes as a list, one given as a plain string too."""
    return [text(code) for code in ([codes] if isinstance(codes, str) else codes) if code]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer decided. Absent values are None and are not recorded."""

    decision: str
    rationale_code: str | Iterable[str] = ()
    rationale: str | None = None
    before: str | None = None
    after: str | None = None
    override: bool | None = None
    active_seconds: float | None = None
    idle_seconds: float | None = None

    def attributes(self, wall_seconds: float) -> dict[str, AttributeValue]:
        """The attributes of the review's span. ``wall_seconds`` is the time from opening to decision."""
        found: dict[str, AttributeValue] = {AUDIT_REVIEW_DECISION: text(self.decision)}
        override = _OVERRIDE_UNLESS_SAID.get(self.decision) if self.override is None else self.override
        if override is not None:
            found[AUDIT_REVIEW_OVERRIDE] = bool(override)
        if codes := rationale_codes(self.rationale_code):
            found[AUDIT_RATIONALE_CODE] = codes
        texts = {
            AUDIT_RATIONALE_TEXT: self.rationale,
            AUDIT_CHANGE_BEFORE: self.before,
            AUDIT_CHANGE_AFTER: self.after,
        }
        found.update({key: text(value) for key, value in texts.items() if value is not None})
        active, idle = self.active_seconds, self.idle_seconds
        if active is not None:
            found[AUDIT_REVIEW_ACTIVE_SECONDS] = float(active)
            if idle is None:  # open, and not active
                idle = max(0.0, wall_seconds - active)
        if idle is not None:
            found[AUDIT_REVIEW_IDLE_SECONDS] = float(idle)
        return found


class Review(ContextScope["Review"]):
    """A review in progress; ``otel_audit.review`` makes it.

    The last decision made in the block counts, and ends the review at the moment it was made. A block
    that is left without one is recorded as ``abandoned``. What the block raises goes on unmodified, and
    is recorded.
    """

    _operation = "review"

    def __init__(
        self, recorder: Recorder, task_id: str, reviewer: str, queue_wait_seconds: float | None, review_id: str
    ) -> None:
        self.task_id = text(task_id)
        self.reviewer = text(reviewer)
        self.review_id = review_id
        self._queue_wait_seconds = queue_wait_seconds
        self._recorder = recorder
        self._span: trace.Span = trace.INVALID_SPAN
        self._decision: Decision | None = None
        self._opened = self._decided = 0  # nanoseconds since 1970
        self._paused_at: int | None = None
        self._paused = 0  # nanoseconds

    def approve(
        self,
        *,
        rationale_code: str | Iterable[str] = (),
        rationale: str | None = None,
        override: bool | None = None,
        active_seconds: float | None = None,
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
        rationale_code: str | Iterable[str] = (),
        rationale: str | None = None,
        override: bool | None = None,
        active_seconds: float | None = None,
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
        before: str,
        after: str,
        *,
        rationale_code: str | Iterable[str] = (),
        rationale: str | None = None,
        override: bool | None = None,
        active_seconds: float | None = None,
    ) -> None:
        """Accept with changes: the text the AI proposed, and the text that replaces it.

        Say ``override=True`` when the change turns the AI's decision around.
        """
        self.decide(
            MODIFIED,
            rationale_code=rationale_code,
            rationale=rationale,
            before=before,
            after=after,
            override=override,
            active_seconds=active_seconds,
        )

    def escalate(
        self,
        *,
        rationale_code: str | Iterable[str] = (),
        rationale: str | None = None,
        active_seconds: float | None = None,
    ) -> None:
        """Leave the decision to somebody else. ``otel_audit.escalate`` then says to whom."""
        self.decide(ESCALATED, rationale_code=rationale_code, rationale=rationale, active_seconds=active_seconds)

    def decide(
        self,
        decision: str,
        *,
        rationale_code: str | Iterable[str] = (),
        rationale: str | None = None,
        before: str | None = None,
        after: str | None = None,
        override: bool | None = None,
        active_seconds: float | None = None,
    ) -> None:
        """Decide in a word of your own.

        ``rationale_code`` is one or several codes of your own list, ``rationale`` free text;
        ``active_seconds`` replaces the time that pause and resume measured.
        """
        with guard("review"):
            self._decided = self._recorder.now()
            self._decision = Decision(
                decision=text(decision),
                rationale_code=rationale_codes(rationale_code),
                rationale=rationale,
                before=before,
                after=after,
                override=override,
                active_seconds=active_seconds,
            )

    def pause(self) -> None:
        """The reviewer turned to something else: what follows is idle time. Pausing twice is pausing once."""
        with guard("review"):
            if self._paused_at is None:
                self._paused_at = self._recorder.now()

    def resume(self) -> None:
        """The reviewer is back."""
        with guard("review"):
            if self._paused_at is not None:
                self._paused += max(0, self._recorder.now() - self._paused_at)
                self._paused_at = None

    def _entered(self) -> Self:
        return self

    def _open(self) -> None:
        ctx = with_task(Task(self.task_id))
        self._opened = self._recorder.now()
        attributes = self._recorder.review_attributes(ctx, self.review_id, self.reviewer, self._queue_wait_seconds)
        self._span = self._recorder.start(EventType.REVIEW, attributes, ctx, at=self._opened)
        self._attach(trace.set_span_in_context(self._span, ctx))

    def _close(self, exc: BaseException | None) -> None:
        super()._close(exc)
        try:
            if exc is not None:
                self._span.record_exception(exc)
                self._span.set_attribute(ERROR_TYPE, type(exc).__qualname__)
                self._span.set_status(trace.Status(trace.StatusCode.ERROR, f"{type(exc).__name__}: {exc}"))
            if self._decision is None:
                self.decide(ABANDONED)
            self._span.set_attributes(self._final_attributes(self._decision or Decision(ABANDONED)))
        finally:
            self._span.end(end_time=self._decided or None)

    def _final_attributes(self, decision: Decision) -> dict[str, AttributeValue]:
        wall = max(0, self._decided - self._opened)
        still_paused = self._decided - self._paused_at if self._paused_at is not None else 0
        paused = min(wall, self._paused + max(0, still_paused))
        found = {
            AUDIT_REVIEW_ACTIVE_SECONDS: (wall - paused) / 1e9,
            AUDIT_REVIEW_IDLE_SECONDS: paused / 1e9,
        }
        return {**found, **decision.attributes(wall / 1e9)}
