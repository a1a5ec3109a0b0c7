"""Log events of coding agents: ``<agent>.tool_decision``, ``.tool_result``, ``.api_request`` and ``.api_error``."""

from __future__ import annotations

from typing import Final

from otel_audit.conventions import audit
from otel_audit.conventions.derived import REVIEWER_UNKNOWN, decision
from otel_audit.conventions.draft import Draft, Table, count, name
from otel_audit.conventions.record import Record
from otel_audit.conventions.values import Value
from otel_audit.model import EventType, RecordKind

NAME: Final = "agent_logs"

_DECISION: Final = "tool_decision"
_RESULT: Final = "tool_result"
_REQUEST: Final = "api_request"
_ERROR: Final = "api_error"
_NAMES: Final = frozenset([_DECISION, _RESULT, _REQUEST, _ERROR])
# Sources of a decision that are no person: settings, hooks, and modes that decide by rule.
_NO_PERSON: Final = frozenset(["config", "hook", "auto", "automatic", "policy", "classifier"])

_TABLE: Final[Table] = {
    **audit.TABLE,
    "session.id": ("conversation_id", name),
    "conversation.id": ("conversation_id", name),
    "user.id": ("user_id", name),
    "tool_name": ("tool_name", name),
    "tool_use_id": ("tool_call_id", name),
    "call_id": ("tool_call_id", name),
    "error.type": ("error_type", name),
    "error_type": ("error_type", name),
}
_SPARE: Final[Table] = {"user.account_uuid": ("user_id", name)}
_CALL_TABLE: Final[Table] = {
    **_TABLE,
    "model": ("request_model", name),
    "request_id": ("provider_request_id", name),
    "input_tokens": ("input_tokens", count),
    "output_tokens": ("output_tokens", count),
    "cache_read_tokens": ("cache_read_tokens", count),
    "cache_creation_tokens": ("cache_write_tokens", count),
}


def _event(record: Record) -> str:
    """The last word of the event's name: ``event_name`` or ``event.name``, where there is none the body."""
    told: Value = record.name or record.body
    return told.rsplit(".", 1)[-1] if isinstance(told, str) else ""


def detect(record: Record) -> bool:
    """A log event named for one of the agents' events, with the attribute that such an event has."""
    if record.kind is not RecordKind.LOG:
        return False
    event = _event(record)
    if event not in _NAMES:
        return False
    if event in (_REQUEST, _ERROR):
        return isinstance(record.attributes.get("model"), str)
    return isinstance(record.attributes.get("tool_name"), str)


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of an agent's log event."""
    attributes = record.attributes
    columns = draft.columns
    event = _event(record)
    if event in (_REQUEST, _ERROR):
        columns["event_type"] = EventType.AI_CALL
        columns["operation"] = "chat"
        draft.fill(_CALL_TABLE, _SPARE)
        if event == _ERROR:
            columns["status"] = "error"
            draft.fall_back("error_type", ("status_code",))
        return
    draft.fill(_TABLE, _SPARE)
    if event == _RESULT:
        columns["event_type"] = EventType.TOOL_CALL
        columns["operation"] = "execute_tool"
        draft.take("tool_arguments", "tool_input" if "tool_input" in attributes else "tool_parameters")
        draft.take("tool_result", "tool_output")
        return
    source = attributes.get("source", "")
    if not isinstance(source, str) or not source or source.lower() in _NO_PERSON:
        columns["event_type"] = EventType.LOG  # decided by a setting or a rule, not by a person
        return
    word = decision(attributes.get("decision"))
    if word is None:
        columns["event_type"] = EventType.LOG
        return
    columns["event_type"] = EventType.REVIEW
    columns["decision"] = word
    draft.remark(REVIEWER_UNKNOWN)
