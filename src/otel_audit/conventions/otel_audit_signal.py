"""Records of the proposed OpenTelemetry Audit Logging signal (OTEP 0267): who did what, with what outcome."""

from __future__ import annotations

from typing import Final

from otel_audit import semconv
from otel_audit.conventions.audit import TABLE
from otel_audit.conventions.draft import Draft, Table, name
from otel_audit.conventions.record import Record
from otel_audit.model import RecordKind

NAME: Final = "otel_audit_signal"
MANDATORY: Final = (
    semconv.AUDIT_RECORD_ID,
    semconv.AUDIT_ACTOR_ID,
    semconv.AUDIT_ACTOR_TYPE,
    semconv.AUDIT_ACTION,
    semconv.AUDIT_OUTCOME,
)
_TABLE: Final[Table] = {
    **TABLE,
    "session.id": ("conversation_id", name),
    "user.id": ("user_id", name),
    "error.type": ("error_type", name),
}
_STATUS: Final = {"success": "ok", "failure": "error", "unknown": "unset"}


def detect(record: Record) -> bool:
    """A log record with the five mandatory attributes that tells no event of ours by its own word."""
    return (
        record.kind is RecordKind.LOG
        and semconv.AUDIT_OUTCOME in record.attributes
        and semconv.AUDIT_EVENT_TYPE not in record.attributes
        and all(key in record.attributes for key in MANDATORY)
    )


def apply(record: Record, draft: Draft) -> None:
    """Actor, and the outcome as the status: searches and tables have them like those of any other record."""
    draft.fill(_TABLE)
    outcome = record.attributes[semconv.AUDIT_OUTCOME]
    if isinstance(outcome, str) and outcome in _STATUS:
        draft.columns["status"] = _STATUS[outcome]
