"""Approvals by a person that a record tells beside what it is itself.

A span that carries a person's answer (an agent's run that was resumed with decisions, an AI call
whose input answers a request for approval) stays what it is. Each answer becomes a ``review`` of its
own: ``<event id>/approval/<key>``, a child of the span, remarked ``derived``. No convention says who
answered: the reviewer stays empty, remarked ``reviewer_unknown``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from otel_audit.conventions.draft import Draft, flag, name
from otel_audit.conventions.text import MARKER
from otel_audit.conventions.values import Value, format_typed, parse_json
from otel_audit.model import AuditEvent, EventColumns, EventType

DERIVED: Final = "derived"
REVIEWER_UNKNOWN: Final = "reviewer_unknown"
APPROVAL_REQUESTED: Final = "approval_requested"
_NOT_STATED: Final = "decision_not_stated"
_UNDETERMINED: Final = "undetermined"

_DECISIONS: Final = {
    **dict.fromkeys(("approve", "approved", "approved_for_session", "accept", "accepted", "allow", "yes"), "approved"),
    **dict.fromkeys(("reject", "rejected", "deny", "denied", "decline", "declined", "no"), "rejected"),
    **dict.fromkeys(("edit", "edited", "modify", "modified"), "modified"),
}
# What a derived event shares with the event it was derived from: where and for what it happened.
_SHARED: Final = (
    "retention_class",
    "record_kind",
    "task_id",
    "task_kind",
    "subject_ref",
    "service",
    "service_version",
    "environment",
    "conversation_id",
    "user_id",
    "agent_name",
    "request_id",
    "trace_id",
    "scope_name",
    "scope_version",
    "convention",
    "producer",
)


@dataclass(slots=True)
class Approval:
    """A person's answer. ``key`` tells the answers of one record apart: the tool call's id, or a number."""

    key: str
    decision: str
    tool_name: str = ""
    tool_call_id: str = ""
    content: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def decision(value: Value) -> str | None:
    """approved, rejected or modified for a word or a boolean that says so; another word in lower case."""
    if isinstance(value, bool):
        return "approved" if value else "rejected"
    text = name(value)
    return None if text is None else _DECISIONS.get(text.lower(), text.lower())


def events(draft: Draft, event: AuditEvent) -> list[AuditEvent]:
    """The reviews that ``draft`` noticed, as events beside ``event``, which was made of it."""
    return [_event(event, approval) for approval in draft.approvals]


def _event(event: AuditEvent, approval: Approval) -> AuditEvent:
    told: Any = event.columns
    columns: Any = EventColumns(
        event_type=EventType.REVIEW,
        event_id=f"{told['event_id']}/approval/{approval.key}",
        event_time=told["event_time"],  # the answer was there when the span began
        end_time=told["event_time"],
        name="approval",
        decision=approval.decision,
        tool_name=approval.tool_name,
        tool_call_id=approval.tool_call_id,
        remarks=[DERIVED, REVIEWER_UNKNOWN, *approval.remarks],
        attributes=[],
        attributes_json=[],
        resource_attributes=[],
        resource_attributes_json=[],
    )
    columns.update((column, told[column]) for column in _SHARED if column in told)
    columns["parent_span_id"] = told.get("span_id", "")
    markers = (text.removeprefix(MARKER) for text in columns.values() if isinstance(text, str) and text[:8] == MARKER)
    kept = {place: event.content[place] for place in markers if place in event.content}
    return AuditEvent(columns, {**kept, **approval.content})


# --- LangGraph: a run resumed with `Command(resume={"decisions": [...]})`


def notice_resumed(draft: Draft, text: Value) -> None:
    """Note the decisions in the input of a LangGraph run that was resumed with them."""
    if not isinstance(text, str) or '"resume"' not in text or '"decisions"' not in text:
        return
    document = _parsed(text)
    if isinstance(document, dict) and isinstance(document.get("inputs"), dict):  # Traceloop's envelope
        document = document["inputs"]
    if not isinstance(document, dict):
        return
    for number, item in enumerate(_decisions(document.get("resume"))):
        word = decision(item.get("type"))
        content = {}
        if isinstance(item.get("message"), str) and item["message"]:
            content["rationale"] = item["message"]
        edited = item.get("edited_action", item.get("args"))
        if edited is not None:
            content["after"] = format_typed(edited)
        remarks = () if word else (_NOT_STATED,)
        draft.add(Approval(str(number), word or _UNDETERMINED, content=content, remarks=remarks))


def _decisions(resume: Value) -> Iterator[dict[str, Value]]:
    """The decisions of a resume value: of one interrupt, or of several by their ids."""
    if not isinstance(resume, dict):
        return
    found = resume.get("decisions")
    if isinstance(found, list):
        yield from (item for item in found if isinstance(item, dict))
    else:
        for part in resume.values():
            yield from _decisions(part)


# --- message parts: function_approval_request and function_approval_response


def notice_parts(draft: Draft) -> None:
    """Note approvals that are parts of an AI call's messages."""
    answered = draft.content.get("input", "")
    if '"function_approval_response"' in answered:
        for part in newest_parts(answered):
            if part.get("type") == "function_approval_response":
                draft.add(_answer(part))
    if '"function_approval_request"' in draft.content.get("output", ""):
        draft.remark(APPROVAL_REQUESTED)


def _answer(part: dict[str, Value]) -> Approval:
    call = part.get("function_call")
    call = call if isinstance(call, dict) else part
    identity = next(
        (text for key in ("call_id", "tool_call_id", "id") if (text := name(call.get(key))) is not None), ""
    )
    approved = flag(part.get("approved"))
    reason = part.get("reason", part.get("message"))
    return Approval(
        identity or name(part.get("id")) or "0",
        _UNDETERMINED if approved is None else "approved" if approved else "rejected",
        name(call.get("name")) or "",
        identity,
        {"rationale": reason} if isinstance(reason, str) and reason else {},
        (_NOT_STATED,) if approved is None else (),
    )


def notice_answered(draft: Draft, tools: Iterable[str]) -> None:
    """Note that calls of ``tools``, which run only with a person's approval, were answered in an AI call's input.

    The answer is the tool's result where the person approved, and words of refusal where not: the record
    alone does not tell which, so the decision is ``undetermined`` and the answer is kept. An execution of
    the tool with the same tool call id tells that it was approved.
    """
    guarded = frozenset(tools)
    for part in newest_parts(draft.content.get("input", "")):
        tool = part.get("name")
        if part.get("type") != "tool_call_response" or tool not in guarded:
            continue
        answer = part.get("response", part.get("result", ""))
        text = answer if isinstance(answer, str) else format_typed(answer)
        identity = name(part.get("id")) or ""
        content = {"tool_result": text} if text else {}
        draft.add(Approval(identity or "0", _UNDETERMINED, str(tool), identity, content, (_NOT_STATED,)))


def newest_parts(messages: str) -> list[dict[str, Value]]:
    """The parts of the messages after the last answer of the model: earlier ones were told by earlier calls."""
    parts: list[dict[str, Value]] = []
    items = _parsed(messages)
    for message in reversed(items if isinstance(items, list) else []):
        if not isinstance(message, dict) or message.get("role") == "assistant":
            break
        found = message.get("parts")
        parts = [part for part in found if isinstance(part, dict)] + parts if isinstance(found, list) else parts
    return parts


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:  # cut off by the producer's length limit
        return None
