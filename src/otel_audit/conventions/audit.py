"""Our own ``audit.*`` attributes: an event of their own, or additions to a record of any other convention."""

from __future__ import annotations

from typing import Final

from otel_audit import semconv
from otel_audit.conventions.draft import Draft, Table, flag, level, name, names, number
from otel_audit.conventions.record import Record
from otel_audit.model import EventType

NAME: Final = "audit"

TABLE: Final[Table] = {
    semconv.AUDIT_TASK_ID: ("task_id", name),
    semconv.AUDIT_TASK_KIND: ("task_kind", name),
    semconv.AUDIT_SUBJECT_REF: ("subject_ref", name),
    semconv.AUDIT_ACTOR_ID: ("actor_id", name),
    semconv.AUDIT_ACTOR_TYPE: ("actor_type", name),
    semconv.AUDIT_REVIEWER_ID: ("reviewer_id", name),
    semconv.AUDIT_REVIEW_DECISION: ("decision", name),
    semconv.AUDIT_REVIEW_OVERRIDE: ("is_override", flag),
    semconv.AUDIT_REVIEW_ACTIVE_SECONDS: ("active_seconds", number),
    semconv.AUDIT_REVIEW_IDLE_SECONDS: ("idle_seconds", number),
    semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS: ("queue_wait_seconds", number),
    semconv.AUDIT_RATIONALE_CODE: ("rationale_code", names),
    semconv.AUDIT_ESCALATION_FROM: ("from_reviewer", name),
    semconv.AUDIT_ESCALATION_TO: ("to_reviewer", name),
    semconv.AUDIT_ESCALATION_LEVEL: ("escalation_level", level),
    semconv.AUDIT_RESOLUTION_OUTCOME: ("resolution", name),
    semconv.AUDIT_CONFIDENCE: ("confidence", number),
    semconv.AUDIT_CONFIDENCE_SOURCE: ("confidence_source", name),
    semconv.AUDIT_PROMPT_NAME: ("prompt_name", name),
    semconv.AUDIT_PROMPT_VERSION: ("prompt_version", name),
    semconv.AUDIT_REQUEST_ID: ("request_id", name),
    semconv.AUDIT_PROVIDER_REQUEST_ID: ("provider_request_id", name),
    semconv.AUDIT_RESPONSE_ID: ("response_id", name),
    semconv.AUDIT_RETENTION_CLASS: ("retention_class", name),
}

_CONTENT: Final = (
    ("rationale", semconv.AUDIT_RATIONALE_TEXT),
    ("rationale", semconv.AUDIT_PURPOSE),
    ("before", semconv.AUDIT_CHANGE_BEFORE),
    ("after", semconv.AUDIT_CHANGE_AFTER),
    ("diff", semconv.AUDIT_CHANGE_DIFF),
    ("patch", semconv.AUDIT_CHANGE_PATCH),
    ("filter", semconv.AUDIT_FILTER),
    ("logprobs", semconv.AUDIT_LOGPROBS),
    ("context", semconv.AUDIT_CONTEXT_REFS),
)

_CONTENT_KEYS: Final = frozenset(key for _, key in _CONTENT)

# What a producer may tell. The trail's own events (ledger.opened, erasure, ...) are written by the trail only.
_TOLD: Final = frozenset(
    {
        EventType.TASK_CREATED,
        EventType.AI_CALL,
        EventType.TOOL_CALL,
        EventType.REVIEW,
        EventType.ESCALATION,
        EventType.RESOLUTION,
        EventType.EVALUATION,
        EventType.ACCESS,
        EventType.LOG_REVIEW,
        EventType.LOSS,
    }
)
_BY_PERSON: Final = frozenset({EventType.REVIEW, EventType.ESCALATION, EventType.RESOLUTION})


def detect(record: Record) -> bool:
    """A record that is an audit event by its own word."""
    return semconv.AUDIT_EVENT_TYPE in record.attributes


def apply(record: Record, draft: Draft) -> None:
    """The audit event that the record tells. Columns of ``TABLE`` are set for every record already."""
    told = record.attributes[semconv.AUDIT_EVENT_TYPE]
    if not isinstance(told, str) or told not in _TOLD:
        draft.remarks.append("event_type_refused")
        return
    columns = draft.columns
    columns["event_type"] = told
    if told in _BY_PERSON:
        person = (semconv.AUDIT_ACTOR_ID,) if columns.get("actor_type", "user") == "user" else ()
        draft.fall_back("reviewer_id", (semconv.AUDIT_ESCALATION_FROM, *person))
        if "actor_id" not in columns and "reviewer_id" in columns:
            columns["actor_id"] = columns["reviewer_id"]
            columns.setdefault("actor_type", "user")


def complete(draft: Draft) -> None:
    """What audit attributes add to a record of any convention, after it."""
    attributes = draft.record.attributes
    if not attributes.keys().isdisjoint(_CONTENT_KEYS):
        for content_name, key in _CONTENT:
            draft.take(content_name, key)
    if "confidence" in draft.columns:
        draft.columns.setdefault("confidence_source", "given")
