"""What a person asks for on the search page: filters, their URL, and how they are said. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

import accesses
import columns
from formats import percent_range, sentence_case
from words import TECHNICAL_TYPES, TYPE_OF_LABEL, decision_word

from otel_audit.model import Filter

Sizes = Sequence[tuple[str, int]]
Pairs = list[tuple[str, str]]
DEFAULT_PERIOD: Final = "30 days"
MY_TIME: Final = "My time"


@dataclass(frozen=True, slots=True)
class Field:
    """A filter by values: its key in the URL, its label, the facet that counts its values, and its field of ``Filter``.

    ``said`` is how the summary says a value, ``word`` how a stored value is shown; several may share a word.
    """

    key: str
    label: str
    column: str
    name: str
    said: str = "{}"
    word: Callable[[str], str] = str


_STATUS: Final = {"ok": "OK", "error": "Error", "unset": "Not set"}
FIELDS: Final = (
    Field("decision", "Decision", "decision", "decision", word=decision_word),
    Field("reviewer", "Reviewer", "reviewer_id", "reviewer_id"),
    Field("reason", "Rationale code", "rationale_code", "rationale_code", "reason {}"),
    Field("kind", "Kind of task", "task_kind", "task_kind", word=sentence_case),
    Field("model", "AI model", "model", "model"),
    Field("prompt", "Prompt version", "prompt_version", "prompt_version", "prompt version {}"),
    Field("service", "Service", "service", "service"),
    Field("env", "Environment", "environment", "environment"),
    Field("actor", "Actor", "actor_id", "actor_id", "done by {}"),
    Field("action", "Access to the trail", "action", "action", word=accesses.action_word),
    Field("status", "Status", "status", "status", "status {}", word=lambda raw: _STATUS.get(raw, raw)),
    Field("producer", "Producer", "producer", "producer", "sent by {}"),
)
# Every key of the search page's URL, but for its page number: a view is these.
LISTS: Final = ("type", *(each.key for each in FIELDS), "other")
KEYS: Final = ("q", "period", "from", "to", *LISTS, "conf_from", "conf_to", "trace", "technical", "cols", "tz")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, in the words of the widgets: ``picked`` by the key of a Field, confidences in percent.

    Times are nanoseconds since 1970.
    """

    text: str = ""
    kinds: Sequence[str] = ()
    technical: bool = False
    picked: Mapping[str, Sequence[str]] = field(default_factory=dict)
    confidence: tuple[int | None, int | None] = (None, None)
    trace_id: str = ""
    since: int | None = None
    until: int | None = None

    def words(self) -> list[str]:
        """Everything that narrows the view besides its period, as said in the summary."""
        return [
            *([f"“{self.text}”"] if self.text else []),
            *self.kinds,
            *(each.said.format(value) for each in FIELDS for value in self.picked.get(each.key, ())),
            *([percent_range("confidence", *self.confidence)] if self.confidence != (None, None) else []),
            *([f"trace {self.trace_id[:12]}"] if self.trace_id else []),
        ]


def to_filter(asked: Asked, known: Mapping[str, Iterable[str]], sizes: Sizes) -> Filter:
    """The reader's filter for what was asked, frozen at ``sizes``. ``known`` are stored values by key of a Field.

    Without a chosen kind of event, technical records are left out unless asked for; they are excluded by
    name, so that a kind this version does not know is shown.
    """
    narrowed = bool(asked.kinds or asked.technical or asked.trace_id)
    lowest, highest = (None if bound is None else bound / 100 for bound in asked.confidence)
    values: Mapping[str, Any] = {
        each.name: stored_values(each, asked.picked.get(each.key, ()), known.get(each.key, ())) for each in FIELDS
    }
    return Filter(
        event_type=tuple(TYPE_OF_LABEL.get(kind, kind) for kind in asked.kinds),
        exclude_event_type=() if narrowed else tuple(str(kind) for kind in TECHNICAL_TYPES),
        text=asked.text,
        trace_id=asked.trace_id.strip().lower(),
        confidence_from=lowest,
        confidence_to=highest,
        since=asked.since,
        until=asked.until,
        sizes=tuple(sizes),
        **values,
    )


def stored_values(what: Field, chosen: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """The stored values behind chosen words; a word that nothing stored has stays, and matches nothing."""
    raw = [value for value in known if what.word(value) in chosen]
    said = {what.word(value) for value in raw}
    return (*raw, *(word for word in chosen if word not in said))


def query(state: Mapping[str, Any]) -> Pairs:
    """The view as query parameters, from the state of its widgets; what is as usual is left out."""
    pairs: Pairs = []
    is_custom = state.get("period") == "Custom"
    for key in KEYS:
        value = state.get(key)
        usual = {"period": DEFAULT_PERIOD, "tz": MY_TIME, "cols": list(columns.USUAL)}.get(key)
        if value is None or value is False or value in ("", usual) or (key in {"from", "to"} and not is_custom):
            continue
        if isinstance(value, (list, tuple)):
            pairs += [(key, str(each)) for each in value]
        else:
            pairs.append((key, _as_text(value)))
    return pairs


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def url(pairs: Iterable[tuple[str, str]]) -> str:
    """The search page with this view."""
    return "/?" + urlencode(list(pairs))


def toggled(pairs: Pairs, key: str, value: str) -> str:
    """The view with a value of a filter added, or removed where it is set already."""
    pair = (key, value)
    return url([each for each in pairs if each != pair] if pair in pairs else [*pairs, pair])


def alone(key: str, value: str) -> str:
    """All of the record with this value of a filter."""
    return url([("period", "All"), (key, value)])


def facet(what: Field, counted: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """(word, events) of the values of a filter; values that share a word count together, most frequent first."""
    totals: dict[str, int] = {}
    for raw, events in counted:
        totals[what.word(raw)] = totals.get(what.word(raw), 0) + events
    return sorted(totals.items(), key=lambda each: (-each[1], each[0]))


def of_row(row: Mapping[str, Any]) -> list[tuple[Field, str]]:
    """(filter, word) for each value of an entry that one can filter by."""
    found: dict[tuple[str, str], tuple[Field, str]] = {}
    for each in FIELDS:
        for raw in _raw_values(each, row):
            if raw:
                found[each.key, each.word(raw)] = each, each.word(raw)
    return list(found.values())


def _raw_values(what: Field, row: Mapping[str, Any]) -> list[str]:
    if what.key == "model":
        return [row["request_model"], row["response_model"]]
    value = row.get(what.name, "")
    return [value] if isinstance(value, str) else list(value)


def chips(pairs: Pairs) -> list[tuple[str, str, str]]:
    """(label, value, view without it) for each filter of a view, so that each can be cleared alone.

    Not for the words and the usual kinds of event, whose own widgets are in sight and clear them.
    """
    labels = {each.key: each.label for each in FIELDS} | {
        "other": "Event", "trace": "Trace", "conf_from": "Confidence from, %",
        "conf_to": "Confidence to, %", "technical": "Technical spans and logs", "compare": "To compare with",
    }  # fmt: skip
    return [
        (labels[key], "" if key == "technical" else value, toggled(pairs, key, value))
        for key, value in pairs
        if key in labels
    ]
