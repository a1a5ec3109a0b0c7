"""Figures: values with how many they were made from, in words and as CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import links
from formats import duration, exact

from otel_audit.model import Filter
from otel_audit.reports._csv import guarded
from otel_audit.reports.statistics import Estimate

MIN_N: Final = 5  # of fewer, a percentile or a rate says more about chance and single people than about the work
COLUMNS: Final = ("section", "figure", "group", "value", "unit", "n", "low_95", "high_95", "from", "to", "filter")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``value`` is None where there are too few to tell; ``where`` are the events that it was made from."""

    section: str
    name: str
    value: float | None
    unit: str  # count, number, seconds, share, index, tokens, or a currency
    n: int
    where: Filter | None = None
    group: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def words(self) -> str:
        """The value as people read it."""
        if self.value is None:
            return "none" if not self.n else f"too few ({self.n})"
        match self.unit:
            case "count" | "tokens":
                return f"{self.value:,.0f}"
            case "seconds":
                return duration(self.value)
            case "share":
                return percent(self.value)
            case "number":
                return f"{self.value:,.1f}"
            case "index":
                return f"{self.value:.2f}"
            case _:
                # A few calls cost less than a cent, and are not free.
                return f"{self.value:,.{4 if 0 < self.value < 1 else 2}f} {self.unit}"

    @property
    def range_words(self) -> str:
        """The 95 % interval in words, empty where there is none."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        if self.unit == "share":
            return f"95 % interval {percent(self.low)} to {percent(self.high)}"
        return f"95 % interval {self.low:.2f} to {self.high:.2f}"


def percent(share: float) -> str:
    """A share as a whole percentage; "under 1 %" and "over 99 %" where rounding would say none or all.

    >>> percent(0.284), percent(0.001)
    ('28 %', 'under 1 %')
    """
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %".replace("-0 %", "0 %")


def rate(section: str, name: str, share: Estimate | None, where: Filter | None, group: str = "") -> Figure:
    """A share with its interval; without a value where there are fewer than MIN_N."""
    if share is None or share.n < MIN_N:
        return Figure(section, name, None, "share", share.n if share else 0, where, group)
    return Figure(section, name, share.value, "share", share.n, where, group, share.low, share.high)


def percentiles(
    section: str, name: str, pair: tuple[float, float] | None, n: int, *, where: Filter | None, group: str = ""
) -> tuple[Figure, Figure]:
    """Median and 90th percentile in seconds; without a value where there are fewer than MIN_N."""
    shown = pair if n >= MIN_N else None
    median, ninetieth = shown or (None, None)
    return (
        Figure(section, f"{name}, median", median, "seconds", n, where, group),
        Figure(section, f"{name}, 90th percentile", ninetieth, "seconds", n, where, group),
    )


def agreement(section: str, name: str, found: Estimate | None, where: Filter | None) -> Figure:
    """An index of agreement with its interval; without a value where there are fewer than MIN_N tasks."""
    if found is None or found.n < MIN_N:
        return Figure(section, name, None, "index", found.n if found else 0, where)
    return Figure(section, name, found.value, "index", found.n, where, "", found.low, found.high)


def as_csv(figures: Iterable[Figure], where: Filter, said: str) -> bytes:
    """The figures as CSV (UTF-8 with a mark for spreadsheets, RFC 4180); ``said`` is the filter in words."""
    out = io.StringIO(newline="")
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(COLUMNS)
    begin = exact(where.since) if where.since is not None else ""
    end = exact(where.until) if where.until is not None else ""
    for each in figures:
        value = "" if each.value is None else f"{each.value:.6g}" if each.value % 1 else f"{each.value:.0f}"
        low, high = ("" if bound is None else f"{bound:.6g}" for bound in (each.low, each.high))
        row = (each.section, each.name, each.group, value, each.unit, each.n, low, high, begin, end, said)
        table.writerow([guarded(cell) if isinstance(cell, str) and cell[:1] != "-" else cell for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "backslashreplace")


def scope_words(where: Filter) -> list[str]:
    """Everything that narrows the figures besides their period."""
    return [
        *(f"reviewer {each}" for each in where.reviewer_id),
        *where.task_kind,
        *(f"model {each}" for each in (*where.model, *where.asked_model, *where.task_asked_model)),
        *(f"model version {each}" for each in (*where.answering_model, *where.task_answering_model)),
        *(f"prompt {each}" for each in where.task_prompt_name or where.prompt_name),
        *(f"prompt version {each}" for each in (*where.prompt_version, *where.task_prompt_version)),
        *where.service,
        *(f"AI calls of {each}" for each in where.task_service),
        *where.environment,
    ]


def weeks_or_days(days: Sequence[str]) -> int:
    """How many days one bar covers: one, or seven when there would be more than 120 bars."""
    return 1 if len(set(days)) <= 120 else 7


SETS: Final = {
    "decided": "decided reviews",
    "timed": "decided reviews whose active time is known",
    "waited": "reviews whose wait in the queue is known",
    "overrides": "reviews that overrode the AI",
    "first_decisions": "first decisions on an AI draft",
    "double_reviewed": "decisions in tasks that two or more people decided",
    "quick": "unusually quick reviews",
    "counted_calls": "AI calls",
    "failed_calls": "AI calls that failed",
    "calibrated": "first decisions on answers with a stated confidence",
    "large_exports": "exports of 10,000 rows or more",
    "off_hours": "accesses at night or at the weekend (UTC)",
    "failed_accesses": "accesses that were denied or failed",
    "failed_checks": "checks of the ledger that found something",
    "looks": "accesses other than a look at the log review",
    "id_conflicts": "records under an id that was taken",
    "unrecognised": "records of a convention that is not known",
}


def behind_words(where: Filter, decision_words: Sequence[str]) -> list[str]:
    """What a figure's events have in common, in words, for the search page that lists them."""
    kinds = [str(kind).replace("_", " ") for kind in where.event_type]
    quick = f"under {where.quick_floor} s or {where.words_per_minute} words a minute" if where.figure == "quick" else ""
    follow = [f"next decision: {each or 'none yet'}" for each in where.next_decision]
    named = [SETS.get(where.figure, where.figure)] if where.figure else kinds
    people = [f"done by {each}" for each in where.actor_id]
    late = "arrived after the signature" if where.beyond else ""
    if entry := links.only_entry(where):
        late = f"entry {entry[1]:,} of {entry[0]}"
    rest = (*decision_words, *where.rationale_code, *follow, *people, late, *scope_words(where))
    return [each for each in (*named, quick, *rest) if each]
