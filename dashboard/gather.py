"""The figures of a page, asked of the store: the page draws them, and the export writes the same ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import deps
import reviewing
import using
from measures import Figure
from reviewing import Overview
from using import Cost

from otel_audit.errors import ConfigError
from otel_audit.model import Called, ConfidenceBin, Filter, QuickReview
from otel_audit.reports.prices import PriceTable
from otel_audit.reports.reviews import QUICK_FLOOR, WORDS_PER_MINUTE
from otel_audit.store.analytics import FirstDecisions


@dataclass(frozen=True, slots=True)
class Reviews:
    """All that the page on reviewer activity shows of one filter."""

    head: Overview
    behind: Mapping[str, Filter]
    decisions: list[tuple[str, str, int]]
    double: Mapping[tuple[str, ...], int]
    escalated: Mapping[tuple[str, str], int]
    first: FirstDecisions
    quick: list[QuickReview]

    def counts(self) -> dict[str, int]:
        """Reviews by decision."""
        found: dict[str, int] = {}
        for _, decision, number in self.decisions:
            found[decision] = found.get(decision, 0) + number
        return found


def reviews(where: Filter, quick_floor: int, words_per_minute: int, zone: str) -> Reviews:
    """Ask for the figures of the page on reviewer activity, but for its charts and groups."""
    store, behind = deps.analytics(), reviewing.sets(where, quick_floor, words_per_minute)
    first = store.first_decisions(where, zone, by_call=False)
    double, decisions = store.double_reviewed(where), store.decisions_by_day(where, zone)
    quick, newest = store.quick(behind["quick"], reviewing.QUICK_SHOWN)
    head = reviewing.overview(
        store.reviews(where),
        first.total,
        double,
        quick=quick,
        behind=behind,
        days=len({day for day, decision, _ in decisions if decision not in {"", reviewing.ABANDONED}}),
    )
    return Reviews(head, behind, decisions, double, store.escalations(where), first, newest)


@dataclass(frozen=True, slots=True)
class ReviewCharts:
    """What the charts of the page on reviewer activity are drawn from: reviews by bin, and by weekday and hour."""

    active: Mapping[float, int]
    wait: Mapping[float, int]
    hours: list[tuple[int, int, int]]
    escalations: int


def review_charts(behind: Mapping[str, Filter], zone: str) -> ReviewCharts:
    """Ask for what the charts show; ``behind`` are the sets of ``reviewing.sets``."""
    store = deps.analytics()
    return ReviewCharts(
        active=store.spread(behind["timed"], "active", reviewing.EDGES["active"]),
        wait=store.spread(behind["waited"], "wait", reviewing.EDGES["wait"]),
        hours=store.hours(behind["decided"], zone),
        escalations=deps.reader().count(behind["escalations"]).events,
    )


def review_groups(where: Filter, by: str, first: FirstDecisions) -> list[tuple[str, list[Figure]]]:
    """The table of the page on reviewer activity: figures of each group."""
    store = deps.analytics()
    decided = store.reviews_by(replace(where, figure="decided"), by)
    if by == "model":
        first = store.first_decisions(where, "UTC", by_call=True)
    return reviewing.grouped(decided, first.by.get("reviewing" if by == "service" else by, []), by, where)


def review_figures(where: Filter, zone: str) -> list[Figure]:
    """Every figure of the page on reviewer activity, as the export writes them. The filter carries the quick rule."""
    quick_floor = QUICK_FLOOR if where.quick_floor is None else where.quick_floor
    words_per_minute = where.words_per_minute or WORDS_PER_MINUTE
    where = replace(where, figure="", quick_floor=None, words_per_minute=None)
    found = reviews(where, quick_floor, words_per_minute, zone)
    figures = [*found.head.all(), *reviewing.decision_figures(found.counts(), where)]
    for by in reviewing.GROUPS.values():
        figures += [
            replace(each, section=f"By {by}") for _, line in review_groups(where, by, found.first) for each in line
        ]
    _, lines = reviewing.outcomes(found.escalated, where)
    return [*figures, *(each for _, line in lines for each in line if each.n)]


@dataclass(frozen=True, slots=True)
class Usage:
    """All that the page on AI usage shows of one filter, but for its groups."""

    called: Called
    calls: list[Figure]
    humans: list[Figure]
    prices: PriceTable | None
    costs: Mapping[str, Cost]
    cost: Figure
    by_day: list[dict[str, Any]]
    bins: list[ConfidenceBin]
    calibration: Figure
    decisions: list[tuple[str, str, int]]
    first: FirstDecisions


def prices() -> PriceTable | None:
    """The operator's prices; None when there is no such file. Raises ConfigError for one that can not be read."""
    file = deps.price_file()
    return file.read() if file else None


def prices_or_none() -> PriceTable | None:
    """The operator's prices; None also when they can not be read, which the page tells in its own place."""
    try:
        return prices()
    except ConfigError:
        return None


def usage(where: Filter, zone: str, table: PriceTable | None) -> Usage:
    """Ask for the figures of the page on AI usage, but for its groups."""
    store = deps.analytics()
    called, behind = store.calls(where), using.reviews_where(where)
    by_model = using.costs(store.tokens(where, "model"), table)
    total = Cost(
        sum((each.amount for each in by_model.values()), Decimal(0)),
        sum(each.priced for each in by_model.values()),
        sum(each.unpriced for each in by_model.values()),
    )
    first = store.first_decisions(behind, zone, by_call=True)
    return Usage(
        called=called,
        calls=using.call_figures("Overview", called, where),
        humans=using.human_figures("Overview", first.total, where),
        prices=table,
        costs=by_model,
        cost=using.cost_figure("Overview", total, table, using.calls_where(where)),
        by_day=store.calls_by_day(where, zone),
        bins=first.bins,
        calibration=using.calibration(first.bins, where),
        decisions=first.days,
        first=first,
    )


def usage_groups(where: Filter, by: str, found: Usage) -> list[tuple[Called, list[Figure]]]:
    """The table of the page on AI usage: calls and figures of each group, by name. ``found`` is of ``where``."""
    store, table = deps.analytics(), found.prices
    costs = found.costs if by == "model" else using.costs(store.tokens(where, by), table)
    reviewed = {each.group: each for each in found.first.by.get(by, [])}
    lines = []
    for called in store.calls_by(where, by):
        inside, section = using.of_group(where, by, called.group), f"By {by}"
        name = using.group_words(called.group)
        figures = [
            *using.call_figures(section, called, inside, name),
            using.cost_figure(section, costs.get(called.group), table, using.calls_where(inside), name),
            *using.human_figures(section, reviewed.get(called.group), inside, name),
        ]
        lines.append((called, figures))
    return lines


def usage_figures(where: Filter, zone: str) -> list[Figure]:
    """Every figure of the page on AI usage, as the export writes them."""
    found = usage(where, zone, prices_or_none())
    figures = [*found.calls, found.cost, *found.humans, found.calibration]
    for each in using.curve(found.bins):
        right = each.right
        figures.append(
            Figure(
                "Calibration",
                "Kept by people",
                right.value,
                "share",
                right.n,
                group=f"stated {each.stated:.2f}",
                low=right.low,
                high=right.high,
            )
        )
    for by in using.GROUPS.values():
        figures += [each for _, line in usage_groups(where, by, found) for each in line]
    return figures


FIGURES: Final[Mapping[str, Callable[[Filter, str], list[Figure]]]] = {
    "reviewers": review_figures,
    "usage": usage_figures,
}
