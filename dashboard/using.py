"""The page on AI usage in values: its filters, and the figures made of what the store counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from measures import MIN_N, Figure, percent, percentiles, rate, weeks_or_days

from otel_audit.model import Called, ConfidenceBin, EventType, Filter, Reviewed
from otel_audit.reports.prices import PriceTable
from otel_audit.reports.statistics import (
    Estimate,
    Reliability,
    calibration_error,
    difference,
    reliability_curve,
    wilson,
)

GROUPS: Final = {
    "AI model": "model",
    "Model version": "model_version",
    "Prompt version": "prompt",
    "Service": "service",
    "Kind of task": "kind",
}
_SEPARATOR: Final = "\n"  # between a prompt's name and its version, as analytics_groups.sql joins them


def calls_where(where: Filter) -> Filter:
    """AI calls, each once."""
    return replace(where, figure="counted_calls")


def reviews_where(where: Filter) -> Filter:
    """The reviews that belong to the calls asked for: their filters apply to the tasks that such a call answered."""
    return replace(
        where,
        asked_model=(),
        answering_model=(),
        prompt_name=(),
        prompt_version=(),
        service=(),
        task_asked_model=where.asked_model,
        task_answering_model=where.answering_model,
        task_prompt_name=where.prompt_name,
        task_prompt_version=where.prompt_version,
        task_service=where.service,
        figure="first_decisions",
    )


def of_group(where: Filter, by: str, group: str) -> Filter:
    """``where``, of calls, for one group."""
    match by:
        case "model":
            return replace(where, asked_model=(group,))
        case "model_version":
            return replace(where, answering_model=(group,))
        case "prompt":
            name, _, version = group.partition(_SEPARATOR)
            return replace(where, prompt_name=(name,), prompt_version=(version,))
        case "service":
            return replace(where, service=(group,))
        case _:
            return replace(where, task_kind=(group,))


def group_words(group: str) -> str:
    """The name of a group: "credit-decision 3.2" of a prompt and its version."""
    return group.replace(_SEPARATOR, " ").strip() or "not said"


@dataclass(frozen=True, slots=True)
class Cost:
    """What tokens cost: the sum over all with a price, and the tokens that have none."""

    amount: Decimal
    priced: int
    unpriced: int


def costs(rows: Iterable[Mapping[str, Any]], table: PriceTable | None) -> dict[str, Cost]:
    """Cost by group of the rows that ``Analytics.tokens`` gives."""
    found: dict[str, Cost] = {}
    for row in rows:
        tokens = row["input_tokens"] + row["output_tokens"]
        paid = table.cost(row) if table else None
        so_far = found.get(row["grp"], Cost(Decimal(0), 0, 0))
        found[row["grp"]] = (
            Cost(so_far.amount, so_far.priced, so_far.unpriced + tokens)
            if paid is None
            else Cost(so_far.amount + paid, so_far.priced + tokens, so_far.unpriced)
        )
    return found


def cost_figure(section: str, cost: Cost | None, table: PriceTable | None, where: Filter, group: str = "") -> Figure:
    """Cost as a figure; without a value where no tokens have a price."""
    priced = cost.priced if cost else 0
    if table is None or cost is None or not priced:
        return Figure(section, "Cost", None, table.currency if table else "cost", 0, where, group)
    return Figure(section, "Cost", float(cost.amount), table.currency, priced, where, group)


def call_figures(section: str, called: Called, where: Filter, group: str = "") -> list[Figure]:
    """Calls, error rate, latency and tokens."""
    counted = replace(where, figure="counted_calls")
    return [
        Figure(section, "AI calls", called.calls, "count", called.calls, counted, group),
        rate(section, "Error rate", wilson(called.failed, called.calls), replace(where, figure="failed_calls"), group),
        *percentiles(section, "Latency", called.latency, called.timed, where=counted, group=group),
        Figure(section, "Input tokens", called.input_tokens, "tokens", called.counted, counted, group),
        Figure(section, "Output tokens", called.output_tokens, "tokens", called.counted, counted, group),
    ]


def human_figures(section: str, reviewed: Reviewed | None, where: Filter, group: str = "") -> list[Figure]:
    """What people did with the drafts: how many first decisions, and the share edited and rejected."""
    n = reviewed.decided if reviewed else 0
    modified, rejected = (reviewed.modified, reviewed.rejected) if reviewed else (0, 0)
    behind = reviews_where(where)
    return [
        Figure(section, "First decisions", n, "count", n, behind, group),
        rate(section, "Edit rate", wilson(modified, n), replace(behind, decision=("modified", "edited")), group),
        rate(section, "Reject rate", wilson(rejected, n), replace(behind, decision=("rejected",)), group),
    ]


def days(rows: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, object]], int]:
    """Stacked bars of calls that answered and that failed, by day or week, and how many days a bar covers."""
    found = list(rows)
    step = weeks_or_days([row["day"] for row in found])
    totals: dict[date, list[int]] = {}
    for row in found:
        entry = totals.setdefault(bucket(row["day"], step), [0, 0])
        entry[0] += row["failed"]
        entry[1] += row["calls"] - row["failed"]
    pieces: list[dict[str, object]] = []
    for begin, (failed, answered) in sorted(totals.items()):
        low = 0
        for kind, number in (("Failed", failed), ("Answered", answered)):
            if number:
                pieces.append(
                    {
                        "t": begin.isoformat(),
                        "until": (begin + timedelta(days=step)).isoformat(),
                        "kind": kind,
                        "n": number,
                        "low": low,
                        "high": low + number,
                    }
                )
                low += number
    return pieces, step


def bucket(day: str, step: int) -> date:
    """The day, or the Monday of its week."""
    at = date.fromisoformat(day)
    return at - timedelta(days=at.weekday()) if step == 7 else at


def weekly_change(rows: Iterable[tuple[str, str, int]]) -> list[dict[str, object]]:
    """By week of the decision: the share of drafts that people changed or rejected, with its interval.

    A week of fewer than MIN_N first decisions is left out.
    """
    totals: dict[date, list[int]] = {}
    for day, decision, number in rows:
        entry = totals.setdefault(bucket(day, 7), [0, 0])
        entry[0] += number if decision in {"modified", "edited", "rejected"} else 0
        entry[1] += number
    line: list[dict[str, object]] = []
    for begin, (changed, n) in sorted(totals.items()):
        share = wilson(changed, n)
        if share is not None and n >= MIN_N:
            line.append({"t": begin.isoformat(), "value": share.value, "low": share.low, "high": share.high, "n": n})
    return line


def weekly_confidence(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, object]]:
    """By week of the call: the mean stated confidence; a week of fewer than MIN_N is left out."""
    totals: dict[date, list[float]] = {}
    for row in rows:
        entry = totals.setdefault(bucket(row["day"], 7), [0.0, 0.0])
        entry[0] += row["confidence"]
        entry[1] += row["stated"]
    return [
        {"t": begin.isoformat(), "value": total / n, "n": int(n)}
        for begin, (total, n) in sorted(totals.items())
        if n >= MIN_N
    ]


def curve(bins: Sequence[ConfidenceBin]) -> list[Reliability]:
    """The reliability curve; a bin of fewer than MIN_N is left out."""
    return reliability_curve((each.reviews, each.confidence, each.kept) for each in bins if each.reviews >= MIN_N)


def points(line: Sequence[Reliability]) -> list[dict[str, object]]:
    """The curve as rows of a chart."""
    return [
        {
            "stated": each.stated,
            "kept": each.right.value,
            "low": each.right.low,
            "high": each.right.high,
            "n": each.right.n,
        }
        for each in line
    ]


def calibration(bins: Sequence[ConfidenceBin], where: Filter) -> Figure:
    """How far stated confidence lies from what people kept, on average."""
    found = reliability_curve((each.reviews, each.confidence, each.kept) for each in bins)
    n = sum(each.reviews for each in bins)
    error = calibration_error(found) if n >= MIN_N else None
    behind = replace(reviews_where(where), figure="calibrated")
    return Figure("Calibration", "Calibration error", error, "share", n, behind)


def calibration_words(bins: Sequence[ConfidenceBin]) -> str:
    """What the curve says, in a sentence."""
    n = sum(each.reviews for each in bins)
    if n < MIN_N:
        return "Too few reviewed answers state a confidence."
    stated = sum(each.reviews * each.confidence for each in bins) / n
    kept = sum(each.kept for each in bins) / n
    distance = stated - kept
    verdict = (
        "about as sure as it should be"
        if abs(distance) < 0.05
        else "surer than people find it right"
        if distance > 0
        else "less sure than it could be"
    )
    return f"The AI stated {percent(stated)} on average, people kept {percent(kept)}: it is {verdict}."


def default_pair(groups: Sequence[Called]) -> tuple[str, str] | None:
    """Which two to compare at first: of the most used prompt its two newest versions, else the two newest groups."""
    by_name: dict[str, list[Called]] = {}
    for each in groups:
        if each.group.strip():
            by_name.setdefault(each.group.partition(_SEPARATOR)[0] if _SEPARATOR in each.group else "", []).append(each)
    several = [line for line in by_name.values() if len(line) > 1]
    if not several:
        return None
    line = sorted(max(several, key=lambda each: sum(one.calls for one in each)), key=lambda one: one.first_unix_nano)
    return line[-2].group, line[-1].group


def change_words(before: Figure, after: Figure) -> str:
    """How a share changed, and whether that may be chance; empty where there is nothing to compare."""
    if before.value is None or after.value is None or before.unit != "share":
        return ""
    found = difference(_estimate(before), _estimate(after))
    if found.low is None or found.high is None:
        return ""
    unit = "point" if abs(round(found.value * 100)) == 1 else "points"
    points_words = f"{_signed(found.value)} {unit} ({_signed(found.low)} to {_signed(found.high)})"
    return f"{points_words}, may be chance" if found.low <= 0 <= found.high else f"{points_words}, a real change"


def _signed(share: float) -> str:
    points_of_percent = round(share * 100)
    return f"{points_of_percent:+d}" if points_of_percent else "0"


def _estimate(figure: Figure) -> Estimate:
    return Estimate(figure.value or 0.0, figure.low, figure.high, figure.n)


def lead(called: Called, humans: Sequence[Figure]) -> list[tuple[str, bool]]:
    """The page in one sentence, as (text, is strong) pieces."""
    pieces: list[tuple[str, bool]] = [
        (f"{called.calls:,}", True),
        (f" AI {'call' if called.calls == 1 else 'calls'} in {called.tasks:,} tasks", False),
        (f", {called.failed:,} of them failed", False),
    ]
    edited, rejected = humans[1], humans[2]
    if edited.value is not None and rejected.value is not None:
        pieces += [
            ("; people edited ", False), (edited.words, True),
            (" and rejected ", False), (rejected.words, True), (" of the drafts", False),
        ]  # fmt: skip
    return [*pieces, (".", False)]


TYPES: Final = (EventType.AI_CALL,)
