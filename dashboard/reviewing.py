"""The page on reviewer activity in values: what is asked of the store, and the figures made of it. No Streamlit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from formats import duration
from measures import MIN_N, Figure, agreement, percentiles, rate, weeks_or_days
from words import decision_word

from otel_audit.model import EventType, Filter, Reviewed
from otel_audit.reports.statistics import cohen_kappa, krippendorff_alpha, percent_agreement, wilson

ABANDONED: Final = "abandoned"
WORDS_PER_TOKEN: Final = 0.75  # https://platform.openai.com/tokenizer; the same number is in figure_filters.sql
QUICK_SHOWN: Final = 20
GROUPS: Final = {"Kind of task": "kind", "AI model": "model", "Service": "service"}
EDGES: Final = {
    "active": (0.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
    "wait": (0.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0),
}
# (as stored, tone of the theme, icon); a word of the customer's own comes after these.
DECISIONS: Final = {
    "approved": ("resolution", "check_circle"),
    "modified": ("review", "edit"),
    "edited": ("review", "edit"),
    "rejected": ("problem", "cancel"),
    "escalated": ("escalation", "north_east"),
    "abandoned": ("access", "logout"),
    "": ("access", "visibility"),
}
OTHER: Final = ("tool", "label")


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures at the head of the page."""

    decided: Figure
    tasks: int
    people: int
    active: tuple[Figure, Figure]
    wait: tuple[Figure, Figure]
    throughput: Figure
    first_pass: Figure
    overrides: Figure
    together: Figure
    alpha: Figure
    kappa: Figure
    quick: Figure

    def all(self) -> list[Figure]:
        """Every figure, in the order of the page."""
        return [
            self.decided, *self.active, *self.wait, self.throughput, self.first_pass, self.overrides, self.together,
            self.alpha, self.kappa, self.quick,
        ]  # fmt: skip


def sets(where: Filter, quick_floor: int, words_per_minute: int) -> dict[str, Filter]:
    """The events behind each figure of the page, as filters; each narrows ``where``."""
    names = ("decided", "timed", "waited", "overrides", "first_decisions", "double_reviewed")
    found = {name: replace(where, figure=name) for name in names}
    found["quick"] = replace(where, figure="quick", quick_floor=quick_floor, words_per_minute=words_per_minute)
    found["escalations"] = replace(where, event_type=(EventType.ESCALATION,))
    return found


def overview(
    total: Reviewed,
    first: Reviewed,
    double: Mapping[tuple[str, ...], int],
    *,
    quick: int,
    behind: Mapping[str, Filter],
    days: int,
) -> Overview:
    """The head figures.

    ``total`` is all reviews, ``first`` first decisions, ``double`` tasks that several decided, ``quick`` the number of
    unusually quick ones, ``days`` the days on which something was decided.
    """
    section = "Overview"
    return Overview(
        decided=Figure(section, "Reviews decided", total.decided, "count", total.decided, behind["decided"]),
        tasks=total.tasks,
        people=total.people,
        active=percentiles(section, "Active time", total.active, total.timed, where=behind["timed"]),
        wait=percentiles(section, "Wait in the queue", total.wait, total.waited, where=behind["waited"]),
        throughput=Figure(
            section, "Decided per active day", total.decided / days if days else None, "number", days, behind["decided"]
        ),
        first_pass=rate(section, "First-pass rate", wilson(first.approved, first.decided), behind["first_decisions"]),
        overrides=rate(section, "Override rate", wilson(total.overrides, total.decided), behind["overrides"]),
        together=rate(section, "Same decision", percent_agreement(double), behind["double_reviewed"]),
        alpha=agreement(section, "Krippendorff's alpha", krippendorff_alpha(double), behind["double_reviewed"]),
        kappa=agreement(
            section, "Cohen's kappa, first and second person", cohen_kappa(double), behind["double_reviewed"]
        ),
        quick=Figure(section, "Unusually quick", quick, "count", total.decided, behind["quick"]),
    )


def narrowed(where: Filter, by: str, group: str) -> Filter:
    """``where`` for one group of reviews."""
    match by:
        case "kind":
            return replace(where, task_kind=(group,))
        case "model":
            return replace(where, task_asked_model=(group,))
        case _:
            return replace(where, service=(group,))


def grouped(
    reviews: Iterable[Reviewed], first: Iterable[Reviewed], by: str, where: Filter
) -> list[tuple[str, list[Figure]]]:
    """For each group: reviews decided, active time, first-pass and override rate. By name, no ranking."""
    firsts = {each.group: each for each in first}
    lines = []
    for each in reviews:
        if not each.decided:
            continue
        inside = narrowed(where, by, each.group)
        start = firsts.get(each.group)
        passed = wilson(start.approved, start.decided) if start else None
        figures = [
            Figure("Groups", "Reviews decided", each.decided, "count", each.decided,
                   replace(inside, figure="decided"), each.group),
            *percentiles("Groups", "Active time", each.active, each.timed,
                         where=replace(inside, figure="timed"), group=each.group),
            rate("Groups", "First-pass rate", passed, replace(inside, figure="first_decisions"), each.group),
            rate("Groups", "Override rate", wilson(each.overrides, each.decided),
                 replace(inside, figure="overrides"), each.group),
        ]  # fmt: skip
        lines.append((each.group, figures))
    return lines


def decision_figures(counts: Mapping[str, int], where: Filter) -> list[Figure]:
    """How often each decision was made, the usual ones first."""
    order = [name for name in DECISIONS if counts.get(name)] + sorted(set(counts) - set(DECISIONS))
    return [
        Figure("Decisions", decision_word(name) if name else "No decision", counts[name], "count", counts[name],
               replace(where, event_type=(EventType.REVIEW,), decision=(name,)), name)
        for name in order
    ]  # fmt: skip


def tone(decision: str) -> tuple[str, str]:
    """(tone, icon) of a decision."""
    return DECISIONS.get(decision, OTHER)


def per_day(rows: Iterable[tuple[str, str, int]]) -> tuple[list[dict[str, object]], int]:
    """Pieces of stacked bars by day (or week, when there are many), and how many days one bar covers."""
    found = list(rows)
    step = weeks_or_days([day for day, _, _ in found])
    totals: dict[tuple[date, str], int] = {}
    for day, decision, number in found:
        begin = date.fromisoformat(day)
        begin -= timedelta(days=begin.weekday() if step == 7 else 0)
        totals[begin, decision] = totals.get((begin, decision), 0) + number
    order = {name: place for place, name in enumerate(DECISIONS)}
    reached: dict[date, int] = {}
    pieces: list[dict[str, object]] = []
    for (begin, decision), number in sorted(totals.items(), key=lambda each: -order.get(each[0][1], len(order))):
        low = reached.get(begin, 0)
        reached[begin] = low + number
        pieces.append(
            {
                "t": begin.isoformat(),
                "until": (begin + timedelta(days=step)).isoformat(),
                "kind": decision_word(decision) if decision else "No decision",
                "decision": decision,
                "n": number,
                "low": low,
                "high": low + number,
            }
        )
    return pieces, step


def spread(found: Mapping[float, int], of: str) -> list[dict[str, object]]:
    """Bars of a distribution: every bin up to the last that has something, so that gaps are seen."""
    edges = EDGES[of]
    last = max((place for place, edge in enumerate(edges) if found.get(edge)), default=-1)
    bars: list[dict[str, object]] = []
    for place, edge in enumerate(edges[: last + 1]):
        label = f"{_short(edge)} to {_short(edges[place + 1])}" if place + 1 < len(edges) else f"{_short(edge)} +"
        bars.append({"bin": label, "place": place, "n": found.get(edge, 0)})
    return bars


def _short(seconds: float) -> str:
    words = duration(seconds)
    return words.replace(" 00 s", "").replace(" 00 min", "").replace(" 0 h", "") if seconds else "0"


def outcomes(found: Mapping[tuple[str, str], int], where: Filter) -> tuple[list[str], list[tuple[str, list[Figure]]]]:
    """The escalation matrix: the columns (next decisions), and of each reason its cells."""
    order = [name for name in DECISIONS if name and any(each == name for _, each in found)]
    columns = [*order, *sorted({each for _, each in found if each} - set(order))]
    columns += [""] if any(not each for _, each in found) else []
    lines = []
    for code in sorted({code for code, _ in found}):
        inside = replace(where, event_type=(EventType.ESCALATION,), rationale_code=(code,) if code else ())
        cells = [
            Figure("Escalations", f"{code or 'no reason'}, then {decision_word(each) if each else 'not decided'}",
                   found.get((code, each), 0), "count", found.get((code, each), 0),
                   replace(inside, next_decision=(each,)) if code else None, code)
            for each in columns
        ]  # fmt: skip
        lines.append((code, cells))
    return columns, lines


def pairs(double: Mapping[tuple[str, ...], int]) -> tuple[list[str], dict[tuple[str, str], int]]:
    """The first against the second person's decision: the decisions there are, and how many tasks had each pair."""
    table: dict[tuple[str, str], int] = {}
    for said, number in double.items():
        table[said[0], said[1]] = table.get((said[0], said[1]), 0) + number
    there = {each for pair in table for each in pair}
    return [*(name for name in DECISIONS if name in there), *sorted(there - set(DECISIONS))], table


def lead(head: Overview) -> list[tuple[str, bool]]:
    """The page in one sentence, as (text, is strong) pieces."""
    pieces: list[tuple[str, bool]] = [
        (f"{head.decided.n:,}", True),
        (" review was decided" if head.decided.n == 1 else " reviews were decided", False),
        (f" in {head.tasks:,} {'task' if head.tasks == 1 else 'tasks'}", False),
    ]
    median = head.active[0]
    if median.value is not None:
        pieces += [("; half of them took less than ", False), (median.words, True), (" of active time", False)]
    if head.first_pass.value is not None:
        pieces += [(", and ", False), (head.first_pass.words, True), (" of AI drafts went through unchanged", False)]
    return [*pieces, (".", False)]


def reading_seconds(tokens: int, quick_floor: int, words_per_minute: int) -> float:
    """What the rule expects a review of an answer of ``tokens`` to take at least."""
    return max(float(quick_floor), WORDS_PER_TOKEN * tokens * 60 / words_per_minute)


def agreement_words(found: Figure) -> str:
    """What an index of agreement says, after Krippendorff (2004): 0.8 is reliable, 0.667 the least to conclude from."""
    if found.value is None:
        return f"At least {MIN_N} tasks that two people decided are needed."
    if found.value >= 0.8:
        return "People agree reliably (0.80 or more)."
    if found.value >= 0.667:
        return "Enough agreement for tentative conclusions (0.67 to 0.80)."
    return "Too little agreement to rely on a single person's decision (below 0.67)."
