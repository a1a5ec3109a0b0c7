"""A task's record as a story: the verdict, where the time went, and the timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from formats import NANO, count, day, duration, exact, local, sentence_case
from words import (
    TECHNICAL_TYPES,
    Row,
    gap_seconds,
    headline,
    instant,
    kind_of,
    model_of,
    seconds_spent,
    task_noun,
    who,
)

from otel_audit.model import EventType
from otel_audit.reports import reviews
from otel_audit.reports.linked_calls import also_reported, repeats, reported_again
from otel_audit.semconv import AUDIT_REVIEW_AI_CALL, AUDIT_REVIEW_ID, AUDIT_REVIEW_OF, AUDIT_REVIEW_REMARKS

_GAP_SECONDS: Final = 120.0
_NOT_THE_STORY: Final = frozenset({EventType.ACCESS, EventType.EVALUATION, *TECHNICAL_TYPES})
_VERDICTS: Final = {
    "approved": "approved it as written",
    "modified": "approved it with edits",
    "edited": "approved it with edits",
    "rejected": "rejected it",
    "escalated": "passed it on",
    "abandoned": "left it undecided",
}

Piece = tuple[str, bool]  # text, is strong


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Where a task's time went, in seconds. ``people`` + ``ai`` + ``waiting`` = ``total``."""

    total: float
    people: float
    ai: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the timeline: the entry, and what stands before it."""

    row: Row
    day: str  # a heading, when a new day begins
    round: str  # "Round 2", where the task was opened again
    gap: str  # "3 h 57 min later, waiting for ana.ruiz", when it was long
    time: str
    exact: str
    headline: str
    notes: tuple[str, ...]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Entries in the order of the story: a review when it was decided, all else when it began, then by seq."""
    return sorted(rows, key=lambda row: (instant(row), row["origin"], row["seq"]))


def is_technical(row: Row) -> bool:
    """Whether an entry is plumbing that only engineers look for."""
    return row["event_type"] in TECHNICAL_TYPES


def main_steps(rows: Sequence[Row]) -> list[Row]:
    """The entries without plumbing, and without those that tell an AI call again that another of them tells.

    A span that brought documents for an AI is no plumbing: they are the context of its answer.
    """
    again = repeats(rows)
    return [
        row
        for row in rows
        if (not is_technical(row) or "context" in row["content"]) and (row["origin"], row["seq"]) not in again
    ]


def verdict(rows: Sequence[Row]) -> list[Piece]:
    """The task in one or two sentences, from its entries in order."""
    pieces: list[Piece] = []
    calls = [row for row in main_steps(rows) if row["event_type"] == EventType.AI_CALL]
    decided = [row for row in rows if row["event_type"] == EventType.REVIEW and row["decision"]]
    handed_on = [row for row in rows if row["event_type"] == EventType.ESCALATION]
    current = reviews.since_reopened(rows)
    resolved = [row for row in current if row["event_type"] == EventType.RESOLUTION]
    if calls:
        pieces.append((_calls_sentence(calls), False))
    pieces += [(f" {headline(row)}.", False) for row in handed_on]
    left = ("escalated", reviews.ABANDONED)
    final = [row for row in decided if row["decision"] not in left] or decided
    if final:
        last = final[-1]
        decision = str(last["decision"])
        did = _VERDICTS.get(decision, f"decided: {sentence_case(decision)}")
        seconds = seconds_spent(last)
        after = "" if seconds is None else f" after {duration(seconds)}"
        standing = reviews.standing(last, final[:-1])
        rounds = f", {standing}" if standing else f" (round {len(final)})" if len(final) > 1 else ""
        again = [(f" {headline(current[0])}.", False)] if current is not rows else []
        is_since = instant(last) >= instant(current[0])  # the decision came after the task was opened again
        pieces += again if is_since else []
        pieces += [(f" {who(last)} {did}", True), (f"{after}{rounds}.", False)]
        pieces += again if not is_since else []
    elif calls or handed_on:
        pieces.append((" No reviewer has decided yet.", False))
    if resolved:
        outcome = sentence_case(str(resolved[-1]["resolution"] or resolved[-1]["decision"]))
        by = who(resolved[-1])
        pieces.append((f" Resolved{f' by {by}' if by else ''}{f': {outcome}' if outcome else ''}.", False))
    elif final or current is not rows:
        pieces.append((" The task is not resolved yet.", False))
    if not pieces and rows:
        pieces.append((f"{count(len(rows), 'event')} so far, and no AI call, review or decision among them.", False))
    return pieces


def _calls_sentence(calls: Sequence[Row]) -> str:
    seconds = sum(seconds_spent(call) or 0 for call in calls)
    failed = [call for call in calls if call["status"] == "error" or call["error_type"]]
    models = list(dict.fromkeys(model_of(call) for call in calls if model_of(call))) or ["An AI model"]
    if len(failed) == len(calls):
        return f"{count(len(calls), 'call')} to {', '.join(models)} failed."
    took = f" in {duration(seconds)}" if seconds else ""
    if len(calls) == 1:
        return f"{models[0]} wrote the draft{took}."
    trouble = f", {len(failed)} of them failed" if failed else ""
    return f"{', '.join(models)} worked on it in {len(calls)} calls{took}{trouble}."


def time_split(rows: Sequence[Row]) -> TimeSplit | None:
    """Where the time went, from entries in order; None when there is nothing to divide."""
    core = [row for row in rows if row["event_type"] not in _NOT_THE_STORY]
    if not core:
        return None
    begin = min(row["event_time"] for row in core)
    end = max(max(row["end_time"], row["event_time"]) for row in core)
    total = (end - begin) / NANO
    ai = min(_covered(row for row in core if row["event_type"] in (EventType.AI_CALL, EventType.TOOL_CALL)), total)
    people = sum(seconds_spent(row) or 0 for row in core if row["event_type"] == EventType.REVIEW)
    people = min(people, total - ai)
    return TimeSplit(total, people, ai, max(0.0, total - ai - people))


def _covered(rows: Iterable[Row]) -> float:
    """Seconds covered by at least one of the rows: an agent's call contains the model's."""
    covered, reached = 0, 0
    for start, end in sorted((row["event_time"], row["end_time"]) for row in rows):
        covered += max(0, end - max(start, reached)) if reached else max(0, end - start)
        reached = max(reached, end)
    return covered / NANO


def timeline(rows: Sequence[Row], zone: str, everything: Sequence[Row] = ()) -> list[Happening]:
    """The lines of the timeline, oldest first, from entries in order.

    ``everything`` are all entries of the task, also those that are not shown: who else reported an AI call is said.
    """
    found: list[Happening] = []
    again = reported_again(everything or rows)
    rounds = 1
    for index, row in enumerate(rows):
        rounds += reviews.is_reopening(row)
        previous = rows[index - 1] if index else None
        at = instant(row)
        today = day(at, zone)
        gap = gap_seconds(previous, row) if previous is not None else 0.0
        found.append(
            Happening(
                row=row,
                day=today if previous is None or day(instant(previous), zone) != today else "",
                round=f"Round {rounds}" if reviews.is_reopening(row) else "",
                gap=f"{duration(gap)} later{_waited_for(previous, row)}" if gap > _GAP_SECONDS else "",
                time=local(at, zone).strftime("%H:%M:%S"),
                exact=exact(at),
                headline=headline(row),
                notes=(*_notes(row), *_linked(row, again)),
            )
        )
    return found


def _waited_for(previous: Row | None, row: Row) -> str:
    """What a gap was spent on, where the next entry tells it."""
    if row["event_type"] not in (EventType.REVIEW, EventType.ESCALATION):
        return ""
    asked = previous["to_reviewer"] if previous is not None and previous["event_type"] == EventType.ESCALATION else ""
    return f", waiting for {asked or 'a person'}"


def configuration(row: Row) -> list[tuple[str, str]]:
    """What an AI call ran with: models, prompt and settings, as (label, value)."""
    prompt = f"{row['prompt_name']} {row['prompt_version']}".strip()
    found = [
        ("Model asked for", row["request_model"]),
        ("Model that answered", row["response_model"]),
        ("Provider", row["provider"]),
        ("Model fingerprint", row["model_fingerprint"]),
        ("Prompt template", prompt),
        *row["configuration"].items(),
    ]
    return [(label, value) for label, value in found if value]


def _notes(row: Row) -> Iterable[str]:
    seconds = seconds_spent(row)
    if seconds is not None:
        yield f"{who(row) or 'It'} took {duration(seconds)}" if _is_machine(row) else f"spent {duration(seconds)} on it"
    if row["event_type"] == EventType.REVIEW and row["queue_wait_seconds"]:
        yield f"waited {duration(row['queue_wait_seconds'])} in the queue"
    yield from reviews.notes(row)
    if row["is_override"]:
        yield "against the AI's proposal"
    if row["rationale_code"]:
        yield "reason: " + ", ".join(row["rationale_code"])
    if row["escalation_level"]:
        yield f"level {row['escalation_level']}"
    if row["confidence"] is not None:
        yield f"confidence {row['confidence']:.0%}"
    by = row["reviewer_id"] or row["actor_id"]
    if by and row["event_type"] in (EventType.RESOLUTION, EventType.TASK_CREATED, EventType.EVALUATION):
        yield f"by {by}"
    if row["service"]:
        yield f"in {row['service']}"


def _linked(row: Row, again: Mapping[tuple[str, int], Sequence[Row]]) -> Iterable[str]:
    if others := again.get((row["origin"], row["seq"])):
        yield also_reported(others)
    elif row["duplicate_of"]:
        yield f"the same call as span {row['duplicate_of']}"


def _is_machine(row: Row) -> bool:
    return row["event_type"] in (EventType.AI_CALL, EventType.TOOL_CALL, EventType.SPAN)


def details(row: Row) -> list[tuple[str, str, bool]]:
    """The folded details of an entry: (label, value, is code). Only what it has."""
    tokens = [
        f"{row[name]:,} {label}"
        for name, label in (
            ("input_tokens", "in"),
            ("output_tokens", "out"),
            ("cache_read_tokens", "read from cache"),
            ("reasoning_tokens", "for reasoning"),
        )
        if row[name] is not None
    ]
    where = ", ".join(
        part for part in (f"{row['service']} {row['service_version']}".strip(), row["environment"]) if part
    )
    asked, answered = row["request_model"], row["response_model"]
    model = answered if not asked or asked == answered else f"{answered or 'no answer'} (asked for {asked})"
    found = [
        ("Event", f"{kind_of(row['event_type']).label}, entry {row['seq']:,} of {row['origin']}", False),
        ("Began", exact(row["event_time"]), False),
        ("Ended", exact(row["end_time"]) if row["end_time"] != row["event_time"] else "", False),
        ("Recorded", exact(row["recorded_at"]), False),
        ("Who", row["reviewer_id"] or row["actor_id"], True),
        ("Where", where, False),
        ("Model", f"{row['provider']} · {model}" if model and row["provider"] else model, False),
        ("Prompt", f"{row['prompt_name']} {row['prompt_version']}".strip(), False),
        ("Settings", ", ".join(f"{name} {value}" for name, value in row["configuration"].items()), False),
        ("Tokens", ", ".join(tokens), False),
        ("Finish reason", ", ".join(row["finish_reason"]), False),
        ("Idle", "" if row["idle_seconds"] is None else duration(row["idle_seconds"]), False),
        ("Problem", row["error_type"] or ("error" if row["status"] == "error" else ""), False),
        ("Subject", row["subject_ref"], True),
        ("Review", str(reviews.told(row, AUDIT_REVIEW_ID) or ""), True),
        ("Second opinion on", str(reviews.told(row, AUDIT_REVIEW_OF) or ""), True),
        ("Reviewed AI call", str(reviews.told(row, AUDIT_REVIEW_AI_CALL) or ""), True),
        ("Mended", ", ".join(reviews.listed(row, AUDIT_REVIEW_REMARKS)), False),
        ("Request", row["request_id"], True),
        ("Provider's request", row["provider_request_id"], True),
        ("Response", row["response_id"], True),
        ("Conversation", row["conversation_id"], True),
        ("Trace", f"{row['trace_id']} / {row['span_id']}" if row["trace_id"] else "", True),
        ("Convention", row["convention"], False),
        ("Capture policy", row["capture_policy"], False),
        ("Producer", row["producer"], False),
        ("Remarks", ", ".join(row["remarks"]), False),
        ("Hash", row["hash"], True),
    ]
    return [(label, str(value), is_code) for label, value, is_code in found if value]


def last_change(rows: Sequence[Row]) -> Row | None:
    """The newest entry, of those in order, that holds a reviewer's draft and edit."""
    changed = [row for row in rows if "before" in row["content"] and "after" in row["content"]]
    return changed[-1] if changed else None


def task_title(rows: Sequence[Row]) -> str:
    """The kind of a task in words, empty when no entry tells it."""
    return next((task_noun(row) for row in rows if row["task_kind"]), "")
