"""One entry in words: what kind it is, who did it, what happened. Pure.

A *row* is what the reader returns: every stored column by name, times as int nanoseconds, maps as
dicts, and ``content`` {name: text} where texts were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from formats import NANO, duration, sentence_case

from otel_audit.model import EventType
from otel_audit.reports import reviews
from otel_audit.reports.narrate import ACCESS_VERBS, target_words
from otel_audit.semconv import AUDIT_ACTION, AUDIT_TARGET_ID, AUDIT_TARGET_TYPE

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How an event type is named, drawn and coloured. Colour never stands alone."""

    label: str
    icon: str  # Material Symbols name
    tone: str  # a colour pair of the theme
    chip: str  # the nearest named colour of Streamlit's table chips


_KINDS: Final[dict[str, Kind]] = {
    EventType.TASK_CREATED: Kind("Created", "add_task", "created", "gray"),
    EventType.AI_CALL: Kind("AI call", "auto_awesome", "ai", "violet"),
    EventType.REVIEW: Kind("Review", "rate_review", "review", "blue"),
    EventType.ESCALATION: Kind("Escalation", "north_east", "escalation", "orange"),
    EventType.RESOLUTION: Kind("Resolution", "task_alt", "resolution", "green"),
    EventType.ACCESS: Kind("Access", "visibility", "access", "gray"),
    EventType.TOOL_CALL: Kind("Tool call", "build", "tool", "violet"),
    EventType.EVALUATION: Kind("Evaluation", "grading", "ai", "violet"),
    EventType.LOG_REVIEW: Kind("Log review", "fact_check", "review", "blue"),
    EventType.LOSS: Kind("Loss", "warning", "problem", "red"),
    EventType.ERASURE: Kind("Erasure", "ink_eraser", "escalation", "orange"),
    EventType.RETENTION: Kind("Retention", "auto_delete", "created", "gray"),
    EventType.KEY_ROTATION: Kind("Key change", "key", "created", "gray"),
    EventType.LEDGER_OPENED: Kind("Ledger opened", "lock_open", "created", "gray"),
    EventType.LEDGER_CLOSED: Kind("Ledger closed", "lock", "created", "gray"),
    EventType.SPAN: Kind("Technical span", "account_tree", "created", "gray"),
    EventType.LOG: Kind("Log record", "notes", "created", "gray"),
    "reported_again": Kind("Reported again", "content_copy", "created", "gray"),  # a duplicate; see reader's counts
}

MAIN_TYPES: Final = (
    EventType.TASK_CREATED,
    EventType.AI_CALL,
    EventType.REVIEW,
    EventType.ESCALATION,
    EventType.RESOLUTION,
    EventType.ACCESS,
)
TECHNICAL_TYPES: Final = (EventType.SPAN, EventType.LOG, EventType.LEDGER_OPENED, EventType.LEDGER_CLOSED)
OTHER_TYPES: Final = tuple(t for t in EventType if t not in MAIN_TYPES and t not in TECHNICAL_TYPES)
TYPE_OF_LABEL: Final = {kind.label: str(name) for name, kind in _KINDS.items()}
KNOWN_KINDS: Final = tuple(_KINDS.values())

_DECISIONS: Final = {
    "approved": ("Approved", "approved", "the AI draft"),
    "modified": ("Edited", "edited", "the AI draft"),
    "edited": ("Edited", "edited", "the AI draft"),
    "rejected": ("Rejected", "rejected", "the AI draft"),
    "escalated": ("Escalated", "escalated", "the review"),
    "abandoned": ("Abandoned", "left without deciding on", "the AI draft"),
}


def kind_of(event_type: str) -> Kind:
    """How to show an event type; one that this version does not know keeps its own name."""
    return _KINDS.get(event_type) or Kind(sentence_case(event_type) or "Unknown", "help", "created", "gray")


def decision_word(decision: str) -> str:
    """A decision for a table cell: "modified" reads "Edited"; the customer's own words stay."""
    known = _DECISIONS.get(decision)
    return known[0] if known else sentence_case(decision)


def instant(row: Row) -> int:
    """When it counts on a timeline, nanoseconds: a review when it was decided, all else when it began."""
    return int(row["end_time"] if row["event_type"] == EventType.REVIEW else row["event_time"])


def model_of(row: Row) -> str:
    """The model that answered, or the one asked for."""
    return str(row["response_model"] or row["request_model"])


def who(row: Row) -> str:
    """The person, model or service that acted."""
    if row["event_type"] == EventType.AI_CALL:
        return model_of(row) or str(row["service"])
    if row["event_type"] == EventType.TOOL_CALL:
        return str(row["tool_name"] or row["service"])
    if row["event_type"] == EventType.ESCALATION:
        return str(row["from_reviewer"] or row["reviewer_id"] or row["actor_id"])
    return str(row["reviewer_id"] or row["actor_id"] or row["service"] or row.get("producer", ""))


def seconds_spent(row: Row) -> float | None:
    """Seconds somebody or something worked on it; None where that means nothing or is not known."""
    if row["event_type"] == EventType.REVIEW:
        if row["active_seconds"] is not None:
            return float(row["active_seconds"])
        return None if row["duration_ms"] is None else row["duration_ms"] / 1000
    if row["event_type"] == EventType.ESCALATION:
        return None if row["active_seconds"] is None else float(row["active_seconds"])
    if row["event_type"] in (EventType.AI_CALL, EventType.TOOL_CALL, EventType.SPAN):
        return None if row["duration_ms"] is None else row["duration_ms"] / 1000
    return None


def task_noun(row: Row) -> str:
    """The kind of task as words, "task" when it has none."""
    return sentence_case(str(row["task_kind"])) or "task"


def headline(row: Row) -> str:
    """One entry as one plain sentence, without a full stop."""
    teller = _HEADLINES.get(row["event_type"])
    if teller is not None:
        return teller(row)
    if row["operation"] == "retrieval":
        return "Documents were looked up"
    label, name = kind_of(row["event_type"]).label, str(row["name"])
    return f"{label}: {name}" if name else label


def _created(row: Row) -> str:
    if reviews.is_reopening(row):
        return f"{who(row) or 'Somebody'} opened the task again"
    return f"New task: {task_noun(row)}" if row["task_kind"] else "New task"


def _ai_call(row: Row) -> str:
    model = model_of(row) or "An AI model"
    if row["status"] == "error" or row["error_type"]:
        return f"The call to {model} failed" + (f": {row['error_type']}" if row["error_type"] else "")
    operation = row["operation"]
    if operation == "embeddings":
        return f"{model} computed embeddings"
    if operation == "invoke_agent" or row["agent_name"]:
        return f"Agent {row['agent_name'] or model} worked on it"
    return f"{model} answered" + (f" ({row['prompt_name']})" if row["prompt_name"] else "")


def _tool_call(row: Row) -> str:
    failed = row["status"] == "error" or row["error_type"]
    return f"Tool {row['tool_name'] or row['name']} {'failed' if failed else 'was called'}"


def _review(row: Row) -> str:
    person, decision = who(row) or "Somebody", str(row["decision"])
    if decision in _DECISIONS:
        _, verb, thing = _DECISIONS[decision]
        why = reviews.abandon_reason(row)
        return f"{person} {verb} {thing}" + (f" ({why})" if why else "")
    if not decision:
        return f"{person} opened a review"
    return f"{person} decided: {sentence_case(decision)}"


def _escalation(row: Row) -> str:
    person = who(row) or "Somebody"
    return f"{person} escalated to {row['to_reviewer']}" if row["to_reviewer"] else f"{person} escalated"


def _resolution(row: Row) -> str:
    outcome = sentence_case(str(row["resolution"] or row["decision"]))
    return f"Resolved: {outcome}" if outcome else "Resolved"


def _evaluation(row: Row) -> str:
    verdict = row["score_label"] or ("" if row["score"] is None else f"{row['score']:g}")
    return f"Evaluated {row['evaluation_name'] or 'the answer'}" + (f": {verdict}" if verdict else "")


def accessed(row: Row) -> tuple[str, str, str]:
    """What was done to the trail (VIEW, EXPORT, ...), to what, and its type; a table's rows have them as columns."""
    attributes = row.get("attributes", {})
    action = row.get("action") or attributes.get(AUDIT_ACTION, "")
    target = row.get("target_id") or attributes.get(AUDIT_TARGET_ID, "")
    kind = row.get("target_type") or attributes.get(AUDIT_TARGET_TYPE, "")
    return str(action), str(target), str(kind)


def _access(row: Row) -> str:
    action, target, kind = accessed(row)
    verb = ACCESS_VERBS.get(action, "looked at")
    thing = "this record" if row["task_id"] else kind or "the record"
    if target and target != row["task_id"]:
        thing = target_words(target, kind)
    origin, _, seq = target.rpartition(":")
    if origin and seq.isdigit():  # one event, as links name it
        thing = f"entry {int(seq):,}"
    return f"{who(row) or 'Somebody'} {verb} {thing}"


def _log_review(row: Row) -> str:
    _, target, _ = accessed(row)
    return f"{who(row) or 'Somebody'} signed the log review" + (f" of {target}" if target else "")


def _loss(row: Row) -> str:
    return f"Records were lost: {row['name']}" if row["name"] else "Records were lost"


_HEADLINES: Final = {
    EventType.TASK_CREATED: _created,
    EventType.AI_CALL: _ai_call,
    EventType.TOOL_CALL: _tool_call,
    EventType.REVIEW: _review,
    EventType.ESCALATION: _escalation,
    EventType.RESOLUTION: _resolution,
    EventType.EVALUATION: _evaluation,
    EventType.ACCESS: _access,
    EventType.LOG_REVIEW: _log_review,
    EventType.LOSS: _loss,
}


def spent_words(row: Row) -> str:
    """How long it took, in words; empty where that means nothing."""
    seconds = seconds_spent(row)
    return "" if seconds is None else duration(seconds)


def gap_seconds(earlier: Row, later: Row) -> float:
    """Seconds from one entry's moment to the next one's."""
    return (instant(later) - instant(earlier)) / NANO
