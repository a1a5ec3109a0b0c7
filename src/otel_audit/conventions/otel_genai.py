"""OTel GenAI conventions: spans and log events of 1.36 and before, and of 1.37 and after.

Operations and events: https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

from typing import Final

from otel_audit.conventions import audit
from otel_audit.conventions.draft import Draft, Table, count, name, names, number
from otel_audit.conventions.messages import chat_message, format_messages, from_anything, is_messages, system_parts
from otel_audit.conventions.record import Record
from otel_audit.conventions.text import CLASSES, MARKER, PLAIN, is_long
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import EventType, RecordKind

NAME: Final = "otel_genai"

_OPERATION: Final = "gen_ai.operation.name"
_REQUEST: Final = "gen_ai.request."
_AI_CALLS: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
# Reading a member of an enum class costs as much as three dictionary look-ups: read once.
_AI_CALL: Final = EventType.AI_CALL
_EVALUATION: Final = EventType.EVALUATION
_LOG: Final = EventType.LOG
_SPAN: Final = EventType.SPAN
_TOOL_CALL: Final = EventType.TOOL_CALL
_SPAN_RECORD: Final = RecordKind.SPAN
_LOG_RECORD: Final = RecordKind.LOG
_DETAILS: Final = "gen_ai.client.inference.operation.details"
_EVALUATION_RESULT: Final = "gen_ai.evaluation.result"
_CHOICE: Final = "gen_ai.choice"
_ROLES: Final = {  # log events of <= 1.36
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_SAMPLED: Final = 1  # W3C trace flags

_TABLE: Final[Table] = {
    **audit.TABLE,
    _OPERATION: ("operation", name),
    "gen_ai.provider.name": ("provider", name),
    "gen_ai.request.model": ("request_model", name),
    "gen_ai.request.user": ("user_id", name),
    "gen_ai.response.model": ("response_model", name),
    "gen_ai.response.id": ("response_id", name),
    "gen_ai.response.finish_reasons": ("finish_reason", names),
    "openai.response.system_fingerprint": ("model_fingerprint", name),
    "gen_ai.openai.response.system_fingerprint": ("model_fingerprint", name),
    "anthropic.request.id": ("provider_request_id", name),
    "gen_ai.conversation.id": ("conversation_id", name),
    "gen_ai.agent.name": ("agent_name", name),
    "gen_ai.tool.name": ("tool_name", name),
    "gen_ai.tool.call.id": ("tool_call_id", name),
    "gen_ai.prompt.name": ("prompt_name", name),
    "gen_ai.prompt.version": ("prompt_version", name),
    "gen_ai.evaluation.name": ("evaluation_name", name),
    "gen_ai.evaluation.score.value": ("score", number),
    "gen_ai.evaluation.score.label": ("score_label", name),
    "error.type": ("error_type", name),
}
_SPARE: Final[Table] = {
    "gen_ai.system": ("provider", name),
    "session.id": ("conversation_id", name),
    "user.id": ("user_id", name),
    "enduser.id": ("user_id", name),
    "gen_ai.user": ("user_id", name),
}
# Only on the AI call itself: agents and log events repeat the usage of the calls they tell about.
_USAGE: Final[Table] = {
    "gen_ai.usage.input_tokens": ("input_tokens", count),
    "gen_ai.usage.output_tokens": ("output_tokens", count),
    "gen_ai.usage.cache_read.input_tokens": ("cache_read_tokens", count),
    "gen_ai.usage.cache_write.input_tokens": ("cache_write_tokens", count),
    "gen_ai.usage.cache_creation.input_tokens": ("cache_write_tokens", count),
    "gen_ai.usage.reasoning.output_tokens": ("reasoning_tokens", count),
}
_CALL_TABLE: Final[Table] = {**_TABLE, **_USAGE}


def detect(record: Record) -> bool:
    """A span with a GenAI operation, or a log event named by the convention."""
    if record.kind is _SPAN_RECORD:
        return _OPERATION in record.attributes
    return record.name.startswith("gen_ai.")


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of a GenAI span or log event."""
    attributes = record.attributes
    event_type = _event_type(record)
    draft.columns["event_type"] = event_type
    rest = draft.fill(_CALL_TABLE if event_type is _AI_CALL else _TABLE, _SPARE)
    settings = [
        (key[len(_REQUEST) :], _setting(key, attributes[key]))
        for key in rest
        if key.startswith(_REQUEST) and not is_long(key)
    ]
    if settings:
        draft.columns["configuration"] = settings
    _messages(draft, "input", "gen_ai.input.messages", "user")
    _messages(draft, "output", "gen_ai.output.messages", "assistant")
    if "gen_ai.system_instructions" in attributes:
        draft.take("system_instructions", "gen_ai.system_instructions")
    if "gen_ai.tool.definitions" in attributes:
        draft.take("tool_definitions", "gen_ai.tool.definitions")
    if event_type is _TOOL_CALL:
        draft.take("tool_arguments", "gen_ai.tool.call.arguments")
        draft.take("tool_result", "gen_ai.tool.call.result")
    elif event_type is _EVALUATION:
        draft.take("rationale", "gen_ai.evaluation.explanation")
    elif record.kind is _LOG_RECORD and record.body:
        _apply_body(record, draft)
    if "system_instructions" not in draft.content and "input" in draft.content:
        instructions = system_parts(draft.content["input"])
        if instructions is not None:
            draft.content["system_instructions"] = instructions


def _event_type(record: Record) -> EventType:
    if record.kind is _SPAN_RECORD:
        operation = record.attributes[_OPERATION]
        if _is_call(operation) and _has_call(record):
            return _AI_CALL
        return _TOOL_CALL if operation == "execute_tool" else _SPAN
    if record.name == _EVALUATION_RESULT:
        return _EVALUATION
    if record.span_id and record.flags & _SAMPLED:
        return _LOG  # its span is the AI call
    if record.name == _DETAILS and _is_call(record.attributes.get(_OPERATION, "chat")):
        return _AI_CALL
    if record.name == _CHOICE and (not isinstance(record.body, dict) or not record.body.get("index")):
        return _AI_CALL  # further choices (index 1, 2 ...) belong to the same call
    return _LOG


def _is_call(operation: Value) -> bool:
    return isinstance(operation, str) and operation in _AI_CALLS


def _has_call(record: Record) -> bool:
    """A prompt template that calls itself ``chat`` names neither a model nor a provider."""
    attributes = record.attributes
    return "gen_ai.request.model" in attributes or "gen_ai.provider.name" in attributes


def _setting(key: str, value: Value) -> str:
    """A setting as a JSON value; where it is text, the marker of the attribute that was moved."""
    text = format_typed(value)
    if isinstance(value, int | float):
        return text
    if is_long(text) or CLASSES[key] != PLAIN:
        return format_typed(f"{MARKER}attributes.{key}")
    return text


def _messages(draft: Draft, content_name: str, key: str, role: str) -> None:
    value = draft.record.attributes.get(key)
    if value is None or value == "":
        return
    text = value if isinstance(value, str) else format_typed(value)
    if is_messages(text):
        draft.take(content_name, key)
    else:
        draft.write(content_name, from_anything(value, role))


def _apply_body(record: Record, draft: Draft) -> None:
    """Content that lies in a log's body; the body itself is kept as well."""
    body = record.body
    if record.name in _ROLES:
        prompt = body if isinstance(body, dict) else {"content": body}
        draft.write("input", format_messages([chat_message(_ROLES[record.name], prompt)]))
    elif record.name == _CHOICE and isinstance(body, dict):
        message = body.get("message")
        answer = chat_message("assistant", message if isinstance(message, dict) else {"content": message})
        reason = name(body.get("finish_reason"))
        if reason is not None:
            answer["finish_reason"] = reason
            draft.columns.setdefault("finish_reason", [reason])
        draft.write("output", format_messages([answer]))
    elif record.name == _DETAILS and isinstance(body, dict):
        for content_name, key, role in (
            ("input", "gen_ai.input.messages", "user"),
            ("output", "gen_ai.output.messages", "assistant"),
        ):
            if body.get(key):
                draft.write(content_name, from_anything(body[key], role))
        for content_name, key in (
            ("system_instructions", "gen_ai.system_instructions"),
            ("tool_definitions", "gen_ai.tool.definitions"),
        ):
            if body.get(key):
                draft.write(content_name, body[key] if isinstance(body[key], str) else format_typed(body[key]))
