"""What the reading commands print: a table of entries, a task's story, a trace's tree. Pure: rows in, lines out."""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from otel_audit.model import EventType, RecordKind, Totals
from otel_audit.reports import narrate
from otel_audit.reports._times import NANO, clock, iso_nano
from otel_audit.reports.linked_calls import also_reported, repeats, reported_again

Row = dict[str, Any]

_GAP_SECONDS: Final = 60  # shorter pauses are part of the work
_UNLIMITED: Final = 1 << 20
_INDENT: Final = " " * 4


def printable(text: str) -> str:
    r"""``text`` without what could drive the terminal: control characters are shown as escapes.

    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def entry_table(rows: Sequence[Row], width: int | None = None) -> list[str]:
    """Return one line an entry: when, which task, what happened; the last column is cut to ``width``."""
    width = width or _terminal_width()
    task_width = max(4, *(min(36, len(row["task_id"])) for row in rows))
    lines = [f"{'TIME (UTC)':19}  {'TASK':{task_width}}  WHAT HAPPENED"]
    for row in rows:
        moment = clock(narrate.shown_time(row)).removesuffix(" UTC")
        what = "; ".join([narrate.headline(row), *(fact for fact in narrate.facts(row) if fact.startswith("because"))])
        lines.append(_cut(f"{moment}  {row['task_id'] or '-':{task_width}}  {what}", width))
    return lines


def shown_words(shown: int, totals: Totals) -> str:
    """How much of what there is was shown, and the period it covers."""
    much = f"{shown:,} of {totals.events:,} shown" if shown < totals.events else f"{_count(shown, 'entry', 'entries')}"
    tasks = f", {_count(totals.tasks, 'task', 'tasks')}" if totals.tasks else ""
    first, last = totals.first_unix_nano or 0, totals.last_unix_nano or 0
    more = ". --limit shows more, `otel-audit export` takes all" if shown < totals.events else ""
    return f"{much}{tasks}, {clock(first)} to {clock(last)}{more}."


def timeline_lines(task_id: str, rows: Sequence[Row], *, everything: bool, texts: bool) -> list[str]:
    """Return a task's story: one sentence, then each step with its exact time, its facts, and the gaps between."""
    again = reported_again(rows)
    repeated = repeats(rows)
    steps = [row for row in rows if everything or _is_step(row, repeated)]
    kind = next((row["task_kind"] for row in rows if row["task_kind"]), "")
    lines = [f"Task {task_id}{f' ({kind})' if kind else ''}", narrate.verdict(rows), "", "Times are UTC."]
    quiet_since: int | None = None
    for row in steps:
        pause = 0.0 if quiet_since is None else (row["event_time"] - quiet_since) / NANO
        if pause >= _GAP_SECONDS:
            lines.append(f"{_INDENT}... {narrate.duration_words(pause)} without an event ...")
        lines += _step_lines(row, again.get((row["origin"], row["seq"]), ()), texts=texts)
        quiet_since = max(quiet_since or row["event_time"], row["event_time"], row["end_time"])
    lines += ["", _where(rows)]
    if hidden := len(rows) - len(steps):
        lines.append(f"{_count(hidden, 'technical record', 'technical records')} not shown: --all shows them.")
    traces = list(dict.fromkeys(row["trace_id"] for row in rows if row["trace_id"]))
    lines += [f"otel-audit trace {trace}" for trace in traces[:3]]
    if len(traces) > 3:
        lines.append(f"... and {len(traces) - 3} more traces: --json names them.")
    return lines


def trace_lines(trace_id: str, rows: Sequence[Row]) -> list[str]:
    """Return a trace as a tree: when each part began after the first, where, what, how long, and what failed."""
    begin = min(row["event_time"] for row in rows)
    took = narrate.duration_words((max(row["end_time"] for row in rows) - begin) / NANO)
    errors = sum(1 for row in rows if row["status"] == "error")
    services = list(dict.fromkeys(row["service"] or "(no service name)" for row in rows))
    size = f"{_count(len(rows), 'entry', 'entries')} from {', '.join(services)}"
    outcome = _count(errors, "error", "errors") if errors else "no errors"
    lines = [f"Trace {trace_id}", f"{size}; {took}, {outcome}. Begun {iso_nano(begin)}.", ""]
    for depth, row in _tree(rows):
        offset = f"+{(row['event_time'] - begin) / NANO:.3f} s"
        mark = "!" if row["status"] == "error" else " "
        service = f"{row['service']}: " if row["service"] and row["event_type"] not in narrate.TECHNICAL_TYPES else ""
        lines.append(f"{offset:>12} {mark} {'  ' * depth}{service}{narrate.headline(row)}")
    lines += ["", _where(rows)]
    tasks = list(dict.fromkeys(row["task_id"] for row in rows if row["task_id"]))
    return lines + [f"otel-audit timeline {task}" for task in tasks]


def _tree(rows: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    """(depth, row), parents before children, by time. A log record hangs under its span; loops come out flat."""
    spans = {row["span_id"] for row in rows if row["record_kind"] != RecordKind.LOG and row["span_id"]}
    children: dict[str, list[int]] = defaultdict(list)
    roots: list[int] = []
    for index, row in enumerate(rows):
        parent = row["span_id"] if row["record_kind"] == RecordKind.LOG else row["parent_span_id"]
        (children[parent] if parent in spans else roots).append(index)
    seen: set[int] = set()
    told: set[str] = set()
    # Whoever is left after the roots hangs on a loop of parents: shown from wherever it begins.
    for start in [*roots, *range(len(rows))]:
        waiting = [(0, start)]
        while waiting:
            depth, index = waiting.pop()
            if index in seen:
                continue
            seen.add(index)
            row = rows[index]
            yield depth, row
            if row["record_kind"] != RecordKind.LOG and row["span_id"] not in told:
                told.add(row["span_id"])
                waiting += [(depth + 1, child) for child in reversed(children[row["span_id"]])]


def _is_step(row: Row, repeated: Collection[tuple[str, int]]) -> bool:
    if (row["origin"], row["seq"]) in repeated:
        return False
    return row["event_type"] not in narrate.TECHNICAL_TYPES or row["status"] == "error"


def _step_lines(row: Row, again: Sequence[Mapping[str, Any]], *, texts: bool) -> Iterator[str]:
    yield f"{iso_nano(narrate.shown_time(row))}  {narrate.headline(row)}"
    if again:
        yield f"{_INDENT}{also_reported(again)}"
    if row["event_type"] == EventType.REVIEW and row["event_time"] < row["end_time"]:
        yield f"{_INDENT}opened {iso_nano(row['event_time'])}"
    if facts := narrate.facts(row):
        yield f"{_INDENT}{'; '.join(facts)}"
    rationale = row["content"].get("rationale", "")
    if rationale and not texts:
        yield f"{_INDENT}“{' '.join(rationale.split())}”"
    if texts:
        for name in dict.fromkeys([*row["content_commitments"], *row["content"]]):
            yield f"{_INDENT}{name}:"
            text = row["content"].get(name)
            lines = ["(erased)"] if text is None else narrate.plain_text(text).splitlines()
            yield from (f"{_INDENT * 2}{line}" for line in lines)


def _where(rows: Sequence[Row]) -> str:
    """Where in the ledger the entries stand, so that they can be checked."""
    seqs: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        seqs[row["origin"]].append(row["seq"])
    places = [
        f"{origin} #{min(found)}" + (f" to #{max(found)}" if len(found) > 1 else "") for origin, found in seqs.items()
    ]
    return f"{_count(len(rows), 'entry', 'entries')} in the ledger: {'; '.join(places)}."


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _terminal_width() -> int:
    """Columns of the terminal; no limit where the output goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED
