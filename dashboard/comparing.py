"""Two entries side by side: which of their values and texts differ, and that in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import columns
import story
import texts
from words import Row, kind_of

from otel_audit.ledger.schema import STORED_COLUMNS
from otel_audit.model import EventType

# What two entries never share, or what says where and when they are: shown, but it is no difference to speak of.
_OWN: Final = frozenset(
    (
        "origin", "seq", "prev_hash", "hash", "recorded_at", "event_id", "event_time", "end_time", "trace_id",
        "span_id", "parent_span_id", "request_id", "provider_request_id", "response_id", "tool_call_id", "links",
        "otlp", "span_events", "schema_version",
    )
)  # fmt: skip
_MEASURES: Final = (
    "duration_ms", "active_seconds", "idle_seconds", "queue_wait_seconds", "confidence", "input_tokens",
    "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "score",
)  # fmt: skip
_PLACE: Final = ("task_kind", "task_id", "subject_ref", "name")  # what it belongs to: rarely what one asks for
_ATTRIBUTES: Final = (
    "attributes", "attributes_json", "resource_attributes", "resource_attributes_json", "scope_attributes_json",
)  # fmt: skip
_FIRST: Final = (
    "event_type", "request_model", "response_model", "prompt_name", "prompt_version", "configuration", "decision",
    "reviewer_id", "rationale_code", "is_override", "resolution", "status", "error_type",
)  # fmt: skip
_LABELS: Final = {
    "event_type": "Kind of event", "request_model": "Model asked for", "response_model": "Model version",
    "reviewer_id": "Reviewer", "actor_id": "Actor", "task_id": "Task", "task_kind": "Kind of task",
    "is_override": "Against the AI's proposal", "duration_ms": "Duration, ms", "user_id": "User",
    "rationale_code": "Reasons", "subject_ref": "Subject",
}  # fmt: skip
_NOUNS: Final = {
    "system_instructions": "instructions", "input": "question", "output": "answer", "tool_definitions": "tools offered",
    "before": "draft", "after": "edit", "rationale": "reason given", "body": "text",
}  # fmt: skip
_TITLES: Final = {name: title for name, title, _ in texts.READABLE} | {
    "rationale": "Reason given", "before": "Draft before the review", "after": "Text after the review",
}  # fmt: skip
_KINDS: Final = {
    EventType.AI_CALL: "AI calls", EventType.REVIEW: "reviews", EventType.ESCALATION: "escalations",
    EventType.RESOLUTION: "resolutions", EventType.TOOL_CALL: "tool calls", EventType.ACCESS: "accesses",
    EventType.EVALUATION: "evaluations",
}  # fmt: skip
_NAMED: Final = 5  # differences that the sentence names


@dataclass(frozen=True, slots=True)
class Pair:
    """One value of both entries, as people read it; empty for none."""

    label: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return self.left != self.right


@dataclass(frozen=True, slots=True)
class Texts:
    """One text of both entries: None where an entry never had it, ``gone`` where one had it and it is not here."""

    label: str
    noun: str
    left: str | None
    right: str | None
    gone: bool

    @property
    def differs(self) -> bool:
        """Whether the two are not the same; not known, so not said, where one is gone."""
        return not self.gone and self.left != self.right

    @property
    def same_words(self) -> bool:
        """Whether they differ in their form alone."""
        return texts.plain(self.left or "") == texts.plain(self.right or "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two entries beside one another. Only what at least one of them has."""

    values: Sequence[Pair]
    attributes: Sequence[Pair]
    own: Sequence[Pair]
    texts: Sequence[Texts]


def compare(left: Row, right: Row) -> Comparison:
    """Every stored value and text of two whole entries. What people ask for first comes first, measures last."""
    names = [column.name for column in STORED_COLUMNS if column.name not in (*_ATTRIBUTES, "content")]
    last = (*_PLACE, *_MEASURES)
    order = [*_FIRST, *(name for name in names if name not in (*_FIRST, *last)), *last]
    return Comparison(
        values=_pairs(left, right, [name for name in order if name not in _OWN]),
        attributes=[pair for name in _ATTRIBUTES for pair in _of_map("", left[name], right[name])],
        own=_pairs(left, right, [name for name in names if name in _OWN]),
        texts=_texts(left, right),
    )


def _pairs(left: Row, right: Row, names: Iterable[str]) -> list[Pair]:
    found: list[Pair] = []
    for name in names:
        if name == "configuration":
            found += _of_map("Setting ", left[name], right[name])
            continue
        cells = (columns.cell(name, left), columns.cell(name, right))
        if name == "escalation_level":
            cells = (cells[0].strip("0"), cells[1].strip("0"))  # 0 is none
        if name == "event_type":
            cells = (kind_of(left[name]).label, kind_of(right[name]).label)
        if any(cells):
            found.append(Pair(_LABELS.get(name, columns.label_of(name)), *cells))
    return found


def _of_map(prefix: str, left: Mapping[str, str], right: Mapping[str, str]) -> list[Pair]:
    return [Pair(prefix + key, left.get(key, ""), right.get(key, "")) for key in sorted({*left, *right})]


def _texts(left: Row, right: Row) -> list[Texts]:
    held = [{*row["content"], *row["content_commitments"]} for row in (left, right)]
    order = dict.fromkeys((*_TITLES, *sorted(held[0] | held[1])))
    return [
        Texts(
            _TITLES.get(name, columns.label_of(name)),
            _NOUNS.get(name, columns.label_of(name).lower()),
            left["content"].get(name),
            right["content"].get(name),
            any(name in row["content_commitments"] and name not in row["content"] for row in (left, right)),
        )
        for name in order
        if name in held[0] | held[1]
    ]


def sentence(left: Row, right: Row, found: Comparison) -> list[story.Piece]:
    """The comparison in a sentence: "These two AI calls differ in model version and answer"."""
    if left["event_type"] == right["event_type"]:
        who = f"These two {_KINDS.get(left['event_type'], 'events')} "
    else:
        who = f"These two events ({kind_of(left['event_type']).label}, {kind_of(right['event_type']).label}) "
    last = {_LABELS.get(name, columns.label_of(name)) for name in (*_PLACE, *_MEASURES)}
    values = [pair for pair in found.values if pair.differs]
    named = [
        *(_said(pair.label) for pair in values if pair.label not in last),
        *(each.noun for each in found.texts if each.differs),
        *(_said(pair.label) for pair in values if pair.label in last),
    ]
    attributes = sum(pair.differs for pair in found.attributes)
    more = max(0, len(named) - _NAMED)  # without attributes: most of them tell a value again
    if not named and not attributes:
        return [(who, False), ("are the same", True), (" in all that can be compared.", False)]
    if not named:
        return [(who, False), (f"differ in {attributes:,} of their other attributes", True), (" only.", False)]
    listed = named[:_NAMED] + ([f"{more:,} more"] if more else [])
    joined = ", ".join(listed[:-1]) + (" and " if len(listed) > 1 else "") + listed[-1]
    return [(who, False), (f"differ in {joined}", True), (".", False)]


def _said(label: str) -> str:
    """A label within a sentence."""
    return label if label.startswith("AI ") else label[:1].lower() + label[1:]
