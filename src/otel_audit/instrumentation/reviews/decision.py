"""A reviewer's decision as attributes, with the time that it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Final, TypeAlias

from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import text
from otel_audit.instrumentation.reviews.change import Change
from otel_audit.instrumentation.reviews.rationale import RationaleCodes
from otel_audit.semconv import (
    AUDIT_REVIEW_ABANDON_REASON,
    AUDIT_REVIEW_ACTIVE_SECONDS,
    AUDIT_REVIEW_DECISION,
    AUDIT_REVIEW_IDLE_SECONDS,
    AUDIT_REVIEW_OVERRIDE,
)

APPROVED: Final = "approved"
REJECTED: Final = "rejected"
MODIFIED: Final = "modified"
ESCALATED: Final = "escalated"
ABANDONED: Final = "abandoned"

Seconds: TypeAlias = float | str | None  # a number, as a form field too; None and "" are "not measured"

_OVERRIDE_UNLESS_SAID: Final = {APPROVED: False, REJECTED: True}
_ROUNDING: Final = 0.001  # seconds; clients measure in milliseconds, so that much more is no false report


def seconds(value: Seconds, name: str, remarks: list[str]) -> float | None:
    """A reported time; None when nothing was measured, or when it is no number, which ``remarks`` then says."""
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if isfinite(number) and not isinstance(value, bool):
        return number
    remarks.append(f"{name}_unreadable")
    return None


def clamped(value: float, most: float, name: str, remarks: list[str]) -> float:
    """``value`` within 0 and ``most``; when it is not, ``remarks`` keeps what was reported."""
    within = min(max(0.0, value), max(0.0, most))
    if abs(within - value) > _ROUNDING:
        remarks.append(f"{name}_clamped:{value:.10g}")
    return within


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer decided. Absent values are None and are not recorded."""

    decision: str
    codes: list[str] = field(default_factory=list)
    rationale: str | None = None
    change: Change = field(default_factory=Change)
    override: bool | None = None
    active_seconds: Seconds = None
    idle_seconds: Seconds = None
    abandon_reason: str | None = None

    def attributes(
        self, rationale: RationaleCodes, wall_seconds: float, measured: float | None, remarks: list[str]
    ) -> dict[str, AttributeValue]:
        """The attributes of the review's span.

        ``wall_seconds`` is the time from opening to decision, ``measured`` what our own clock counted as active in
        it, where it did. What is wrong with the reported times is mended and appended to ``remarks``.
        """
        found: dict[str, AttributeValue] = {AUDIT_REVIEW_DECISION: text(self.decision)}
        override = _OVERRIDE_UNLESS_SAID.get(self.decision) if self.override is None else self.override
        if override is not None:
            found[AUDIT_REVIEW_OVERRIDE] = bool(override)
        if self.abandon_reason:
            found[AUDIT_REVIEW_ABANDON_REASON] = text(self.abandon_reason)
        found |= rationale.attributes(self.codes, self.rationale)
        found |= self.change.attributes()
        found |= self._times(wall_seconds, measured, remarks)
        return found

    def _times(self, wall: float, measured: float | None, remarks: list[str]) -> dict[str, AttributeValue]:
        """Active and idle seconds, together never more than ``wall``. What nobody measured is not guessed."""
        found: dict[str, AttributeValue] = {}
        reported = seconds(self.active_seconds, "active_seconds", remarks)
        active = measured if reported is None else reported
        if active is not None:
            active = clamped(active, wall, "active_seconds", remarks)
            found[AUDIT_REVIEW_ACTIVE_SECONDS] = active
        idle = seconds(self.idle_seconds, "idle_seconds", remarks)
        if idle is not None:
            idle = clamped(idle, wall - (active or 0.0), "idle_seconds", remarks)
        elif active is not None:  # open, and not active
            idle = wall - active
        if idle is not None:
            found[AUDIT_REVIEW_IDLE_SECONDS] = idle
        return found
