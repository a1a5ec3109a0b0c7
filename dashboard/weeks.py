"""Log reviews in words: how it stands with the weeks, what to look for, who may sign. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from formats import NANO, count, duration, local, moment
from trust import Banner

from otel_audit.reports.log_review import DUE_DAYS, Found, SignOff, Standing, Week


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is named and drawn. Colour never stands alone."""

    label: str
    icon: str
    tone: str


STATES: Final[Mapping[str, Look]] = {
    "overdue": Look("Overdue", "notification_important", "problem"),
    "open": Look("To review", "pending_actions", "escalation"),
    "signed": Look("Signed", "task_alt", "resolution"),
    "running": Look("Still running", "schedule", "created"),
}
HINTS: Final[Mapping[str, str]] = {
    "accesses": "Who looked, and why. Does each reason fit the work of the person?",
    "large_exports": "Data that left the trail in bulk: who asked for it, and where is it now?",
    "off_hours": "Before 07:00, from 19:00 on, or on a Saturday or Sunday, in UTC. People elsewhere work then.",
    "failed_accesses": "Somebody tried what they may not do, or something was broken.",
    "failed_checks": "Something was altered or missing. Integrity says what.",
    "erasures": "Texts that were removed for good. Each says who asked and who approved.",
    "retention": "Months that were dropped because their time had ended, and holds that were set or ended.",
    "key_rotations": "A new signing key. Was it planned?",
    "losses": "Records that did not arrive whole. Is the cause mended?",
    "id_conflicts": "Two different records under one id: a fault, or somebody who tries to replace one.",
    "unrecognised": "They are stored and searchable, but count as no AI call.",
    "quick_reviews": "It may have good reasons. Do the decisions hold?",
}
_NAMES_SHOWN: Final = 12


def waiting(standings: Sequence[Standing]) -> list[Standing]:
    """The weeks that are over and that nobody who may has signed, newest first."""
    return [each for each in standings if each.state in {"open", "overdue"}]


def begins(unix_nano: int) -> str:
    """The day that begins at this instant, in UTC as weeks are: "9 Nov 2026"."""
    return local(unix_nano, "UTC").strftime("%-d %b %Y")


def due(standing: Standing) -> str:
    """Until when, or from when on, a week can or must be signed; empty for one that is."""
    if standing.state == "running":
        return f"can be signed from {begins(standing.week.until)} on"
    last = begins(standing.week.until + (DUE_DAYS - 1) * 86_400 * NANO)
    return {"overdue": f"was due by {last}", "open": f"due by {last}"}.get(standing.state, "")


def banner(standings: Sequence[Standing], zone: str) -> Banner:
    """How it stands, in one sentence."""
    left = waiting(standings)
    if left:
        oldest, overdue = left[-1].week, sum(each.state == "overdue" for each in left)
        verb = "waits" if len(left) == 1 else "wait"
        since = f"{'' if len(left) == 1 else 'the oldest '}since {begins(oldest.until)}"
        late = f" {count(overdue, 'is', 'are').capitalize()} overdue." if overdue else ""
        return Banner("careful", f"{count(len(left), 'week')} {verb} for review,", f"{since}.{late}")
    signed = [by for each in standings for by in each.sign_offs if not by.without_effect(each.week)]
    if signed:
        newest = max(signed, key=lambda each: each.at_unix_nano)
        text = f"The newest signature is of {newest.reviewer}, {moment(newest.at_unix_nano, zone)}."
        return Banner("good", "No week waits for review.", text)
    first = standings[0].week if standings else None
    text = f"The first one can be reviewed from {begins(first.until)} on." if first else "Nothing was recorded yet."
    return Banner("good", "No week waits for review.", text)


def title(week: Week) -> str:
    """A week as a heading: "Week 47, 2026"."""
    year, _, number = week.name.partition("-W")
    return f"Week {int(number)}, {year}"


def days(week: Week) -> str:
    """Its days, which are in UTC: "16 to 22 Nov 2026"."""
    first, last = week.monday, week.monday + timedelta(days=6)
    shown = "%-d" if first.month == last.month else "%-d %b" if first.year == last.year else "%-d %b %Y"
    return f"{first.strftime(shown)} to {last.strftime('%-d %b %Y')}"


def split(found: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """What there is to look at, and the names of what there is none of."""
    return [each for each in found if each.events], [each.title for each in found if not each.events]


def signature(by: SignOff, zone: str) -> str:
    """When somebody signed, how long they had the week open, and over how much."""
    parts = [moment(by.at_unix_nano, zone)]
    if by.seconds is not None:
        parts.append(f"open for {duration(by.seconds)}")
    if by.events is not None:
        parts.append(count(by.events, "event"))
    return " · ".join(parts)


def open_words(began: int, now: int, zone: str) -> str:
    """Since when the week is open, and how long that is once it says something: "open since 10:07 (12 min 05 s)"."""
    seconds = max(0, now - began) / NANO
    long = f" ({duration(seconds)})" if seconds >= 60 else ""
    return f"open since {moment(began, zone)}{long}"


def people(counted: Sequence[tuple[str, int]]) -> str:
    """Who had actions of their own, and how many: "ana.ruiz (12), ben.okafor (3)"."""
    shown = ", ".join(f"{who} ({number:,})" for who, number in counted[:_NAMES_SHOWN])
    more = len(counted) - _NAMES_SHOWN
    return f"{shown} and {count(more, 'more person', 'more people')}" if more > 0 else shown


def who_may(standings: Sequence[Standing], counted: Sequence[tuple[str, int]], viewer: str) -> list[str]:
    """Who signed a week before and has no action of their own in this one."""
    barred = {who for who, _ in counted} | {viewer, ""}
    return sorted({by.reviewer for each in standings for by in each.sign_offs} - barred)
