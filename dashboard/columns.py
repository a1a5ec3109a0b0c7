"""The columns of the search table: which there are, what they are called, and their cells. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from formats import exact
from presenters import table
from words import Row

from otel_audit.reports.export import COLUMNS, needs_texts

# Those made for reading: label -> (key of ``presenters.table``, the columns of an export that tell the same, width).
_MADE: Final[Mapping[str, tuple[str, tuple[str, ...], int]]] = {
    "Time": ("time", ("event_time", "end_time"), 150),
    "Event": ("kind", ("event_type",), 112),
    "What happened": ("what", (), 270),
    "Task": ("task", ("task_id",), 130),
    "Who": ("who", ("reviewer_id", "actor_id"), 120),
    "Decision": ("decision", ("decision",), 90),
    "Time spent": ("spent", ("active_seconds", "duration_ms"), 95),
    "Service": ("service", ("service",), 110),
}
USUAL: Final = tuple(_MADE)


def label_of(name: str) -> str:
    """A column's name as a label."""
    return name.replace("_", " ").capitalize()


# Every other column of the vocabulary, by its label.
_STORED: Final = {label_of(name): name for name in COLUMNS if label_of(name) not in _MADE}
LABELS: Final = (*USUAL, *_STORED)
_LONGEST: Final = 500  # characters of a cell: the task's page has the whole text
_TIMES: Final = frozenset(("event_time", "end_time", "recorded_at"))

PRESETS: Final[Mapping[str, tuple[str, ...]]] = {
    "Usual": USUAL,
    "Reviews": (
        "Time", "Task", "Reviewer id", "Decision", "Rationale code", "Rationale", "Active seconds", "Idle seconds",
        "Queue wait seconds", "Is override",
    ),
    "AI calls": (
        "Time", "Task", "Request model", "Response model", "Prompt name", "Prompt version", "Confidence",
        "Input tokens", "Output tokens", "Duration ms", "Status", "Error type",
    ),
    "Ids and proof": (
        "Time", "Event", "Task", "Request id", "Response id", "Trace id", "Span id", "Origin", "Seq", "Hash",
        "Capture policy", "Producer",
    ),
}  # fmt: skip


def exported(labels: Sequence[str]) -> tuple[str, ...]:
    """The columns of an export that tell what these columns of the table tell; none, which means all, for the usual."""
    if tuple(labels) == USUAL:
        return ()
    found = [name for label in labels for name in (_MADE[label][1] if label in _MADE else (_STORED[label],))]
    return tuple(dict.fromkeys(found))


def width(label: str) -> int:
    """Pixels that a column is wide at first."""
    if label in _MADE:
        return _MADE[label][2]
    return 270 if needs_texts((_STORED[label],)) else 140


def needs_entries(labels: Sequence[str], row: Row) -> bool:
    """Whether the table needs more of its entries than this row of a page has."""
    return any(_STORED[label] not in row for label in labels if label in _STORED)


def cells(labels: Sequence[str], rows: Sequence[Row], zone: str, this_year: int) -> list[dict[str, Any]]:
    """One dict for each line of the table, by label."""
    return [
        {label: made[_MADE[label][0]] if label in _MADE else cell(_STORED[label], row) for label in labels}
        for made, row in zip(table(rows, zone, this_year), rows, strict=True)
    ]


def cell(name: str, row: Row) -> str:
    """A stored value as people read it; empty for none."""
    value = row[name] if name in row else row.get("content", {}).get(name)
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else ""
        case int() if name in _TIMES:
            text = exact(value)
        case float():
            text = f"{value:g}"
        case Mapping():
            text = "; ".join(f"{key}: {each}" for key, each in value.items())
        case list() | tuple():
            text = "; ".join(map(str, value))
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
