"""The search page in values: what is asked for, how it is said, and the rows of its table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from formats import NANO, count, local, moment, nano, zone_label
from words import (
    KNOWN_KINDS,
    TYPE_OF_LABEL,
    Row,
    decision_word,
    headline,
    instant,
    kind_of,
    spent_words,
    who,
)

PER_PAGE: Final = 50
PERIODS: Final = {"24 hours": timedelta(days=1), "7 days": timedelta(days=7), "30 days": timedelta(days=30)}
ALL_TIME: Final = "All"
CUSTOM: Final = "Custom"
_STEPS: Final = ((48, 3600), (8 * 24, 6 * 3600), (120 * 24, 86400), (3 * 366 * 24, 7 * 86400))  # (up to hours, seconds)
_LONGEST_STEP: Final = 30 * 86400


def period_bounds(
    period: str, now: datetime, custom: tuple[datetime, datetime] | None = None
) -> tuple[int | None, int | None]:
    """[since, until) of a period in nanoseconds, None where it is open. ``now`` carries its zone.

    A relative period has no end: what has just arrived belongs to it, also from a clock that runs ahead.
    """
    if period == CUSTOM and custom:
        return nano(custom[0]), nano(custom[1])
    length = PERIODS.get(period)
    return (nano(now - length), None) if length else (None, None)


def period_words(
    bounds: tuple[int | None, int | None], extent: tuple[int | None, int | None], now: int, zone: str
) -> str:
    """The period as said in the summary: "24 Oct 2026, 11:30 to 23 Nov 2026, 10:30 (UTC)".

    ``bounds`` is what was asked for, ``extent`` the first and last time of what there is.
    """
    (since, until), (first, last) = bounds, extent
    begin = since if since is not None else first
    end = until if until is not None else (now if since is not None else last)
    if begin is None or end is None:
        return f"all of the record ({zone_label(zone, now)})"
    return f"{moment(begin, zone)} to {moment(end, zone)} ({zone_label(zone, end)})"


def matching(words: Sequence[str]) -> str:
    """What narrows the view, ready to follow the count; empty without a filter."""
    return f" matching {', '.join(words)}" if words else ""


def summary(events: int, tasks: int) -> tuple[tuple[str, bool], ...]:
    """Count of events and tasks as (text, is strong) pieces."""
    number, noun = count(events, "event").split(" ", 1)
    pieces = ((number, True), (f" {noun}", False))
    if not tasks:
        return pieces
    task_number, task_noun = count(tasks, "task").split(" ", 1)
    return (*pieces, (" in ", False), (task_number, True), (f" {task_noun}", False))


def legend(counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """(label, tone, count) of each kind of event there is, in the usual order."""
    order = [TYPE_OF_LABEL[kind.label] for kind in KNOWN_KINDS]
    present = [name for name in order if counts.get(name)] + [name for name in counts if name not in order]
    return [(kind_of(name).label, kind_of(name).tone, counts[name]) for name in present]


def bar_step(since: int, until: int) -> int:
    """Seconds that one bar covers, so that a chart has some ten to a hundred bars."""
    hours = (until - since) / NANO / 3600
    return next((step for limit, step in _STEPS if hours <= limit), _LONGEST_STEP)


def bars(histogram: Iterable[tuple[int, str, int]], step_seconds: int, offset_seconds: int) -> list[dict[str, Any]]:
    """Pieces of the stacked bars: from ``t`` to ``until`` in wall-clock milliseconds, ``low`` to ``high`` events.

    The chart draws these times on a UTC scale, so that the browser's own zone never moves a bar.
    """
    totals: dict[tuple[int, str], int] = {}
    for start, event_type, number in histogram:
        key = (start, kind_of(event_type).label)
        totals[key] = totals.get(key, 0) + number
    order = {kind.label: place for place, kind in enumerate(KNOWN_KINDS)}
    pieces: list[dict[str, Any]] = []
    reached: dict[int, int] = {}
    # The first kind of the legend is on top, as in a list.
    for (start, kind), number in sorted(totals.items(), key=lambda each: -order.get(each[0][1], len(order))):
        low = reached.get(start, 0)
        reached[start] = low + number
        wall = (start + offset_seconds) * 1000
        pieces.append(
            {
                "t": wall,
                "until": wall + step_seconds * 1000,
                "kind": kind,
                "n": number,
                "low": low,
                "high": low + number,
            }
        )
    return pieces


def table(rows: Sequence[Row], zone: str, this_year: int) -> list[dict[str, Any]]:
    """One dict for each line of the table, in the words of its columns; the year is said when it is not this one."""
    return [
        {
            "time": table_time(instant(row), zone, this_year),
            "kind": [kind_of(row["event_type"]).label],
            "what": headline(row),
            "task": row["task_id"],
            "who": who(row),
            "decision": decision_word(row["decision"]) if row["decision"] else "",
            "spent": spent_words(row),
            "service": row["service"],
        }
        for row in rows
    ]


def table_time(unix_nano: int, zone: str, this_year: int) -> str:
    """A time for a table's cell; the year is said when it is not this one."""
    at = local(unix_nano, zone)
    return at.strftime("%a %-d %b  %H:%M:%S" if at.year == this_year else "%-d %b %Y  %H:%M:%S")


def shown_range(page: int, total: int, per_page: int = PER_PAGE) -> str:
    """Which rows a page shows: "51 to 100 of 2,564"."""
    return f"{(page - 1) * per_page + 1:,} to {min(page * per_page, total):,} of {total:,}"


def page_count(total: int, per_page: int = PER_PAGE) -> int:
    """How many pages a table of ``total`` rows has; at least one."""
    return max(1, -(-total // per_page))


def page_of(number: int, per_page: int = PER_PAGE) -> int:
    """The page of a table that has its row ``number``, both from 1."""
    return -(-number // per_page)
