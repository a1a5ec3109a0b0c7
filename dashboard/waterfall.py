"""A trace as a tree in time: what contains what, where the time went, what failed. Pure.

All times are nanoseconds. A span that began before its parent can not have: its clock is behind. It is drawn at
its parent's start, with what it calls, and ``skew`` says by how much it was moved; the recorded times stay as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from words import Row

from otel_audit.model import EventType

ROOT: Final = -1  # the parent index of a span that nothing contains here


@dataclass(frozen=True, slots=True)
class Step:
    """One span in the order it is drawn in (each before what it contains).

    ``parent`` is an index in that order or ROOT, ``size`` how many spans its subtree has with itself,
    ``begin`` and ``end`` are where it is drawn, ``self_time`` what none of its children covers,
    ``critical`` its own stretches of the critical path. ``orphan`` says why it has no parent although it names one.
    """

    row: Row
    parent: int
    depth: int
    size: int
    begin: int
    end: int
    skew: int
    self_time: int
    critical: tuple[tuple[int, int], ...]
    failed: bool
    on_error_path: bool
    orphan: str = ""


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """What one service did in a trace: spans, failed ones, and nanoseconds in total, by itself and critical."""

    service: str
    spans: int
    errors: int
    total: int
    self_time: int
    critical: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace ready to draw. ``waiting`` is the time of the critical path in which no span ran."""

    steps: tuple[Step, ...]
    begin: int
    end: int
    waiting: int

    @property
    def length(self) -> int:
        """From the first start to the last end, nanoseconds."""
        return self.end - self.begin


def is_failed(row: Row) -> bool:
    """Whether the record says that it failed."""
    return bool(row["status"] == "error" or row["error_type"])


def build(rows: Iterable[Row]) -> Trace:
    """Arrange the spans of one trace. Rows of other kinds than spans must not be among them."""
    spans = sorted(rows, key=lambda row: (row["event_time"], row["origin"], row["seq"]))
    parents, orphans = _parents(spans)
    children: dict[int, list[int]] = defaultdict(list)
    for index, parent in enumerate(parents):
        children[parent].append(index)
    order = _preorder(children)
    begin, end, skew = _placed(spans, parents, order)
    for siblings in children.values():
        siblings.sort(key=lambda index: (begin[index], spans[index]["origin"], spans[index]["seq"]))
    order = _preorder(children)
    place = {index: position for position, index in enumerate(order)}
    depth, size, last = [0] * len(spans), [1] * len(spans), list(end)
    failing = [is_failed(row) for row in spans]
    for index in order:
        depth[index] = 0 if parents[index] == ROOT else depth[parents[index]] + 1
    for index in reversed(order):
        parent = parents[index]
        if parent != ROOT:
            size[parent] += size[index]
            last[parent] = max(last[parent], last[index])
            failing[parent] = failing[parent] or failing[index]
    path, waiting = _critical_path(children, begin, end, last)
    steps = tuple(
        Step(
            row=spans[index],
            parent=ROOT if parents[index] == ROOT else place[parents[index]],
            depth=depth[index],
            size=size[index],
            begin=begin[index],
            end=end[index],
            skew=skew[index],
            self_time=_uncovered(begin[index], end[index], [(begin[c], end[c]) for c in children.get(index, ())]),
            critical=tuple(path.get(index, ())),
            failed=is_failed(spans[index]),
            on_error_path=failing[index],
            orphan=orphans.get(index, ""),
        )
        for index in order
    )
    return Trace(steps, min(begin, default=0), max(last, default=0), waiting)


def by_service(trace: Trace) -> list[ServiceTimes]:
    """What each service did, most time of its own first. A second report of a span is not counted again."""
    found: dict[str, list[Step]] = defaultdict(list)
    for step in trace.steps:
        if not step.row["duplicate_of"]:
            found[str(step.row["service"])].append(step)
    times = [
        ServiceTimes(
            service,
            len(steps),
            sum(step.failed for step in steps),
            sum(step.end - step.begin for step in steps),
            sum(step.self_time for step in steps),
            sum(end - begin for step in steps for begin, end in step.critical),
        )
        for service, steps in found.items()
    ]
    return sorted(times, key=lambda each: (-each.self_time, each.service))


def is_other_record(row: Row) -> bool:
    """Whether the entry is no span: a log record, or another record that names the trace."""
    return bool(row["record_kind"] != "span")


def logs(rows: Iterable[Row]) -> list[Row]:
    """The entries of a trace that are not spans, in time order."""
    return sorted(filter(is_other_record, rows), key=lambda row: (row["event_time"], row["origin"], row["seq"]))


def is_technical(row: Row) -> bool:
    """Whether the span is no event of the audit story."""
    return bool(row["event_type"] == EventType.SPAN)


def _parents(spans: Sequence[Row]) -> tuple[list[int], dict[int, str]]:
    """The index of each span's parent, and why a span that names one has none."""
    known: dict[str, int] = {}
    for index, row in enumerate(spans):
        if row["span_id"] and (row["span_id"] not in known or spans[known[row["span_id"]]]["duplicate_of"]):
            known[row["span_id"]] = index
    parents, orphans = [], {}
    for index, row in enumerate(spans):
        parent = known.get(row["parent_span_id"], ROOT) if row["parent_span_id"] else ROOT
        if parent == ROOT and row["parent_span_id"]:
            orphans[index] = "parent not recorded"
        parents.append(parent)
    for index in _first_of_circles(parents):
        parents[index] = ROOT
        orphans[index] = "its parents lead in a circle"
    return parents, orphans


def _first_of_circles(parents: Sequence[int]) -> list[int]:
    """One span of each circle of parents, which only a faulty or hostile producer sends."""
    seen_in = [0] * len(parents)
    found = []
    for start in range(len(parents)):
        index = start
        while index != ROOT and not seen_in[index]:
            seen_in[index] = start + 1
            index = parents[index]
        if index != ROOT and seen_in[index] == start + 1:
            found.append(index)
    return found


def _preorder(children: dict[int, list[int]]) -> list[int]:
    order: list[int] = []
    stack = list(reversed(children.get(ROOT, ())))
    while stack:
        index = stack.pop()
        order.append(index)
        stack.extend(reversed(children.get(index, ())))
    return order


def _placed(
    spans: Sequence[Row], parents: Sequence[int], order: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """Where each span is drawn: its begin, its end, and by how much it was moved."""
    begin, end, skew = [0] * len(spans), [0] * len(spans), [0] * len(spans)
    for index in order:
        row, parent = spans[index], parents[index]
        if parent != ROOT:
            same_clock = row["service"] == spans[parent]["service"]
            inherited = skew[parent] if same_clock else 0
            skew[index] = max(inherited, begin[parent] - int(row["event_time"]))
        begin[index] = int(row["event_time"]) + skew[index]
        end[index] = max(begin[index], int(row["end_time"]) + skew[index])
    return begin, end, skew


def _uncovered(begin: int, end: int, intervals: Iterable[tuple[int, int]]) -> int:
    """Nanoseconds between ``begin`` and ``end`` that no interval covers."""
    left, reached = 0, begin
    for first, last in sorted(intervals):
        if first >= end:
            break
        left += max(0, first - reached)
        reached = max(reached, last)
    return left + max(0, end - reached)


def _critical_path(
    children: dict[int, list[int]], begin: Sequence[int], end: Sequence[int], last: Sequence[int]
) -> tuple[dict[int, list[tuple[int, int]]], int]:
    """What the end of the trace waited for, backwards: at each moment the span that finished last.

    Returns each span's own stretches, in order, and the time in which none ran. Together they are the trace's
    length exactly. A call that outlives its caller (a queue, a review) carries the path on. As in Eaton et al.,
    "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures", USENIX ATC 2022.
    """
    path: dict[int, list[tuple[int, int]]] = defaultdict(list)
    waiting = 0
    if not begin:
        return path, waiting
    stack = [(ROOT, min(begin), max(last))]
    while stack:
        index, first, cursor = stack.pop()
        stretches = []
        for child in sorted(children.get(index, ()), key=lambda each: (last[each], begin[each]), reverse=True):
            if last[child] > cursor or last[child] == begin[child]:
                continue
            stretches.append((last[child], cursor))
            stack.append((child, begin[child], last[child]))
            cursor = begin[child]
        stretches.append((first, cursor))
        for since, until in reversed(stretches):
            stop = since if index == ROOT else min(until, max(since, end[index]))
            if stop > since:
                path[index].append((since, stop))
            waiting += until - stop
    return path, waiting
