"""OTel GenAI conventions: spans and log events of 1.36 and before, and of 1.37 and after.

Operations and events: https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otel_audit.conventions import audit
from otel_audit.conventions.derived import notice_parts
from otel_audit.conventions.draft import Draft, Table, count, name, number
from otel_audit.conventions.messages import (
    Message,
    chat_message,
    format_messages,
    from_anything,
    is_messages,
    parsed_object,
    system_parts,
    text_part,
)
from otel_audit.conventions.record import Record
from otel_audit.conventions.spellings import provider, reason, reasons
from otel_audit.conventions.text import CLASSES, MARKER, PLAIN, is_long
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import EventType, RecordKind
from otel_audit.semconv import AUDIT_SPAN_RECORDED

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
_IN_EVENTS: Final = (  # attributes of span events that hold all messages
    ("input", "gen_ai.input.messages", "user"),
    ("output", "gen_ai.output.messages", "assistant"),
    ("input", "gen_ai.prompt", "user"),
    ("output", "gen_ai.completion", "assistant"),
)
_SAMPLED: Final = 1  # W3C trace flags

_TABLE: Final[Table] = {
    **audit.TABLE,
    _OPERATION: ("operation", name),
    "gen_ai.provider.name": ("provider", provider),
    "gen_ai.request.model": ("request_model", name),
    "gen_ai.request.user": ("user_id", name),
    "gen_ai.response.model": ("response_model", name),
    "gen_ai.response.id": ("response_id", name),
    "gen_ai.response.finish_reasons": ("finish_reason", reasons),
    "openai.response.system_fingerprint": ("model_fingerprint", name),
    "gen_ai.openai.response.system_fingerprint": ("model_fingerprint", name),
    "anthropic.request.id": ("provider_request_id", name),
    "gen_ai.conversation.id": ("conversation_id", name),
    "gen_ai.agent.name": ("agent_name", name),
    "gen_ai.prompt.name": ("prompt_name", name),
    "gen_ai.prompt.version": ("prompt_version", name),
    "gen_ai.evaluation.name": ("evaluation_name", name),
    "gen_ai.evaluation.score.value": ("score", number),
    "gen_ai.evaluation.score.label": ("score_label", name),
    "error.type": ("error_type", name),
}
# Some name the tool that the model asked for on the AI call; that is no tool call yet.
_TOOL_TABLE: Final[Table] = {
    **_TABLE,
    "gen_ai.tool.name": ("tool_name", name),
    "gen_ai.tool.call.id": ("tool_call_id", name),
}
_SPARE: Final[Table] = {
    "gen_ai.system": ("provider", provider),
    "anthropic.message.stop_reason": ("finish_reason", reasons),
    "gen_ai.openai.system_fingerprint": ("model_fingerprint", name),
    "gen_ai.response.system_fingerprint": ("model_fingerprint", name),
    "gen_ai.thread.id": ("conversation_id", name),
    "conversation.id": ("conversation_id", name),
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
_CALL_SPARE: Final[Table] = {
    **_SPARE,
    "gen_ai.usage.prompt_tokens": ("input_tokens", count),
    "gen_ai.usage.completion_tokens": ("output_tokens", count),
    "gen_ai.usage.cache_read_input_tokens": ("cache_read_tokens", count),
    "gen_ai.usage.cache_creation_input_tokens": ("cache_write_tokens", count),
    "gen_ai.usage.reasoning_tokens": ("reasoning_tokens", count),
    "gen_ai.usage.details.reasoning_tokens": ("reasoning_tokens", count),
}
# Where the official upload hook put content elsewhere: its URI.
_REFERENCES: Final = frozenset(
    f"gen_ai.{what}_ref" for what in ("input.messages", "output.messages", "system_instructions", "tool.definitions")
)
_EMPTY: Final = (str, list)  # of these types an empty value states nothing
BY_REFERENCE: Final = "content_by_reference"
_NO_DEFAULTS: Final[Mapping[str, Value]] = {}


def detect(record: Record) -> bool:
    """A span with a GenAI operation, or a log event named by the convention."""
    if record.kind is _SPAN_RECORD:
        return isinstance(record.attributes.get(_OPERATION), str)
    return record.name.startswith("gen_ai.")


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of a GenAI span or log event."""
    tell(record, draft)


def tell(record: Record, draft: Draft, defaults: Mapping[str, Value] = _NO_DEFAULTS) -> None:
    """What ``apply`` does, for dialects that are this convention and something more.

    ``defaults`` are settings that the emitter writes when nobody set them: with that value they are no
    stated configuration.
    """
    attributes = record.attributes
    event_type = _event_type(record)
    draft.columns["event_type"] = event_type
    if event_type is _AI_CALL:
        rest = draft.fill(_CALL_TABLE, _CALL_SPARE)
    else:
        rest = draft.fill(_TOOL_TABLE if event_type is _TOOL_CALL else _TABLE, _SPARE)
    _settle_rest(draft, rest, defaults)
    _messages(draft, "input", "gen_ai.input.messages", "user")
    _messages(draft, "output", "gen_ai.output.messages", "assistant")
    if "gen_ai.system_instructions" in attributes:
        _instructions(draft, attributes["gen_ai.system_instructions"])
    if "gen_ai.tool.definitions" in attributes:
        draft.take("tool_definitions", "gen_ai.tool.definitions")
    if event_type is _TOOL_CALL:
        draft.take("tool_arguments", "gen_ai.tool.call.arguments")
        draft.take("tool_result", "gen_ai.tool.call.result")
    elif event_type is _EVALUATION:
        draft.take("rationale", "gen_ai.evaluation.explanation")
    elif record.kind is _LOG_RECORD and record.body:
        _apply_body(record, draft)
    elif event_type is _AI_CALL and record.events and "input" not in draft.content:
        _apply_span_events(record, draft)
    if "system_instructions" not in draft.content and "input" in draft.content:
        instructions = system_parts(draft.content["input"])
        if instructions is not None:
            draft.content["system_instructions"] = instructions
    if event_type is _AI_CALL:
        notice_parts(draft)


def _settle_rest(draft: Draft, rest: list[str], defaults: Mapping[str, Value]) -> None:
    """What is neither column nor content: settings, and references to content that is elsewhere."""
    attributes = draft.record.attributes
    settings = []
    for key in rest:
        if key.startswith(_REQUEST):
            value = attributes[key]
            if (not value and type(value) in _EMPTY) or is_long(key):
                continue
            if key in defaults and defaults[key] == value and type(defaults[key]) is type(value):
                continue
            settings.append((key[len(_REQUEST) :], _setting(key, value)))
        elif key in _REFERENCES and draft.columns["event_type"] is _AI_CALL:
            draft.remark(BY_REFERENCE)
    if settings:
        draft.columns["configuration"] = settings


def _instructions(draft: Draft, value: Value) -> None:
    """System instructions: parts as they came; plain text becomes one part."""
    if isinstance(value, str) and value and value[:1] != "[":
        draft.write("system_instructions", format_typed([text_part(value)]))
    else:
        draft.take("system_instructions", "gen_ai.system_instructions")


def _event_type(record: Record) -> EventType:
    if record.kind is _SPAN_RECORD:
        operation = record.attributes[_OPERATION]
        if _is_call(operation) and _has_call(record):
            return _AI_CALL
        return _TOOL_CALL if operation == "execute_tool" else _SPAN
    if record.name == _EVALUATION_RESULT:
        return _EVALUATION
    if record.span_id and (record.flags & _SAMPLED or AUDIT_SPAN_RECORDED in record.attributes):
        return _LOG  # its span is the AI call
    if record.name == _DETAILS and _is_call(record.attributes.get(_OPERATION, "chat")):
        return _AI_CALL
    if record.name == _CHOICE and (not isinstance(record.body, dict) or not record.body.get("index")):
        return _AI_CALL  # further choices (index 1, 2 ...) belong to the same call
    return _LOG


def _is_call(operation: Value) -> bool:
    return isinstance(operation, str) and operation in _AI_CALLS


def _has_call(record: Record) -> bool:
    """A prompt template that calls itself ``chat`` names no model, and no provider but a framework."""
    attributes = record.attributes
    return (
        "gen_ai.request.model" in attributes
        or "gen_ai.response.model" in attributes
        or bool(provider(attributes.get("gen_ai.provider.name")))
    )


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
    if record.name == _DETAILS and isinstance(body, dict):
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
    elif (prompt := _prompt(record.name, body)) is not None:
        draft.write("input", format_messages([prompt]))
    elif record.name == _CHOICE and isinstance(body, dict):
        answer = _choice(body)
        if answer.get("finish_reason"):
            draft.columns.setdefault("finish_reason", reasons(answer["finish_reason"]) or [])
        draft.write("output", format_messages([answer]))


def _prompt(event_name: str, body: Value) -> Message | None:
    """The message of an event of the conventions up to 1.36, None for any other event."""
    role = _ROLES.get(event_name)
    if role is None:
        return None
    return chat_message(role, body if isinstance(body, dict) else {"content": body})


def _choice(body: dict[str, Value]) -> Message:
    """The answer in a ``gen_ai.choice``; some put the tool calls beside the message."""
    message = parsed_object(body.get("message"))
    fields = dict(message) if isinstance(message, dict) else {"content": message}
    if "tool_calls" in body:
        fields.setdefault("tool_calls", parsed_object(body["tool_calls"]))
    answer = chat_message("assistant", fields)
    told = name(body.get("finish_reason"))
    if told is not None:
        answer["finish_reason"] = told
    return answer


def _apply_span_events(record: Record, draft: Draft) -> None:
    """Content in span events: messages and choices as in logs, or all of it in one event's attributes."""
    prompts: list[Message] = []
    answers: list[Message] = []
    for event in record.events:
        told = event.attributes
        if not isinstance(told, dict):
            continue
        if event.name == _CHOICE:
            answers.append(_choice(told))
        elif event.name in _ROLES:
            content = {key: parsed_object(value) for key, value in told.items()}
            if (prompt := _prompt(event.name, content)) is not None:
                prompts.append(prompt)
        else:
            for content_name, key, role in _IN_EVENTS:
                if told.get(key):
                    draft.write(content_name, from_anything(told[key], role))
    if prompts:
        draft.write("input", format_messages(prompts))
    if answers:
        draft.write("output", format_messages(answers))
        found = [word for answer in answers if (word := reason(answer.get("finish_reason"))) is not None]
        if found:
            draft.columns.setdefault("finish_reason", found)
