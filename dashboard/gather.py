"""The figures of a page, asked of the store: the page draws them, and the export writes the same ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import deps
import reviewing
from measures import Figure
from reviewing import Overview

from otel_audit.model import Filter


@dataclass(frozen=True, slots=True)
class Reviews:
    """All that the page on reviewer activity shows of one filter."""

    head: Overview
    behind: Mapping[str, Filter]
    decisions: list[tuple[str, str, int]]
    double: Mapping[tuple[str, ...], int]
    escalated: Mapping[tuple[str, str], int]

    def counts(self) -> dict[str, int]:
        """Reviews by decision."""
        found: dict[str, int] = {}
        for _, decision, number in self.decisions:
            found[decision] = found.get(decision, 0) + number
        return found


def reviews(where: Filter, quick_floor: int, words_per_minute: int, zone: str) -> Reviews:
    """Ask for the figures of the page on reviewer activity, but for its charts and groups."""
    store, behind = deps.analytics(), reviewing.sets(where, quick_floor, words_per_minute)
    double = store.double_reviewed(where)
    head = reviewing.overview(
        store.reviews(where),
        store.reviews(behind["first_decisions"]),
        double,
        deps.reader().count(behind["quick"]).events,
        behind,
    )
    return Reviews(head, behind, store.decisions_by_day(where, zone), double, store.escalations(where))


def review_groups(where: Filter, by: str) -> list[tuple[str, list[Figure]]]:
    """The table of the page on reviewer activity: figures of each group."""
    store = deps.analytics()
    decided, first = replace(where, figure="decided"), replace(where, figure="first_decisions")
    return reviewing.grouped(store.reviews_by(decided, by), store.reviews_by(first, by), by, where)


def review_figures(where: Filter, zone: str) -> list[Figure]:
    """Every figure of the page on reviewer activity, as the export writes them. The filter carries the quick rule."""
    quick_floor = reviewing.QUICK_FLOOR if where.quick_floor is None else where.quick_floor
    words_per_minute = where.words_per_minute or reviewing.WORDS_PER_MINUTE
    where = replace(where, figure="", quick_floor=None, words_per_minute=None)
    found = reviews(where, quick_floor, words_per_minute, zone)
    figures = [*found.head.all(), *reviewing.decision_figures(found.counts(), where)]
    for by in reviewing.GROUPS.values():
        figures += [replace(each, section=f"By {by}") for _, line in review_groups(where, by) for each in line]
    _, lines = reviewing.outcomes(found.escalated, where)
    return [*figures, *(each for _, line in lines for each in line if each.n)]


FIGURES: Final[Mapping[str, Callable[[Filter, str], list[Figure]]]] = {"reviewers": review_figures}
