"""Langfuse SDKs, https://langfuse.com/integrations/native/opentelemetry: spans with ``langfuse.observation.type``."""

from __future__ import annotations

from typing import Any, Final

from otel_audit.conventions import audit, logprobs
from otel_audit.conventions.draft import Draft, Table, count, name
from otel_audit.conventions.messages import from_anything, parsed_object, system_parts
from otel_audit.conventions.record import Record
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import EventType

NAME: Final = "langfuse"

_TYPE: Final = "langfuse.observation.type"
_INPUT: Final = "langfuse.observation.input"
_OUTPUT: Final = "langfuse.observation.output"
_EVENT_TYPES: Final = {
    "generation": EventType.AI_CALL,
    "embedding": EventType.AI_CALL,
    "tool": EventType.TOOL_CALL,
}
_OPERATIONS: Final = {
    "generation": "chat",
    "embedding": "embeddings",
    "tool": "execute_tool",
    "agent": "invoke_agent",
    "retriever": "retrieval",
}

_TABLE: Final[Table] = {
    **audit.TABLE,
    "user.id": ("user_id", name),
    "session.id": ("conversation_id", name),
    "langfuse.observation.prompt.name": ("prompt_name", name),
    "langfuse.observation.prompt.version": ("prompt_version", name),
    "error.type": ("error_type", name),
}
_SPARE: Final[Table] = {
    "langfuse.user.id": ("user_id", name),
    "langfuse.session.id": ("conversation_id", name),
}
_CALL_TABLE: Final[Table] = {**_TABLE, "langfuse.observation.model.name": ("response_model", name)}
# usage_details: Langfuse's own words, and a provider's as the client wrappers pass them on.
_USAGE: Final = (
    ("input_tokens", ("input", "prompt_tokens", "input_tokens")),
    ("output_tokens", ("output", "completion_tokens", "output_tokens")),
    ("cache_read_tokens", ("input_cached_tokens", "cache_read_input_tokens")),
    ("cache_write_tokens", ("cache_creation_input_tokens", "input_cache_creation")),
    ("reasoning_tokens", ("output_reasoning_tokens",)),
)
_DETAILS: Final = (
    ("cache_read_tokens", ("prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
    ("reasoning_tokens", ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens"),
)
# The client wrapper writes these five on each call, and so when nobody set them.
_WRAPPER: Final = {
    "temperature": 1,
    "max_tokens": "Infinity",
    "top_p": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
}


def detect(record: Record) -> bool:
    """A span with a type of observation."""
    return isinstance(record.attributes.get(_TYPE), str)


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of a Langfuse observation."""
    attributes = record.attributes
    kind = str(attributes[_TYPE]).lower()
    event_type = _EVENT_TYPES.get(kind, EventType.SPAN)
    columns = draft.columns
    columns["event_type"] = event_type
    if (operation := name(_OPERATIONS.get(kind, kind))) is not None:
        columns["operation"] = operation
    draft.fill(_CALL_TABLE if event_type is EventType.AI_CALL else _TABLE, _SPARE)
    own_name = name(record.name)
    if event_type is EventType.AI_CALL:
        _apply_parameters(draft, parsed_object(attributes.get("langfuse.observation.model.parameters")))
        _apply_usage(draft, parsed_object(attributes.get("langfuse.observation.usage_details")))
        _apply_content(draft, attributes)
    elif event_type is EventType.TOOL_CALL:
        if own_name is not None:
            columns.setdefault("tool_name", own_name)
        draft.take("tool_arguments", _INPUT)
        draft.take("tool_result", _OUTPUT)
    elif kind == "retriever":
        draft.take("context", _OUTPUT)
    elif kind == "agent" and own_name is not None:
        columns.setdefault("agent_name", own_name)


def _apply_parameters(draft: Draft, parameters: Value) -> None:
    if not isinstance(parameters, dict):
        return
    wrapped = parameters.keys() >= _WRAPPER.keys()
    settings = [
        (key, format_typed(value))
        for key, value in parameters.items()
        if value is not None and not (wrapped and key in _WRAPPER and _WRAPPER[key] == value)
    ]
    draft.configure(settings)


def _apply_usage(draft: Draft, usage: Value) -> None:
    if not isinstance(usage, dict):
        return
    columns: dict[str, Any] = draft.columns  # type: ignore[assignment]  # the tables above name columns
    for column, keys in _USAGE:
        for key in keys:
            if (amount := count(usage.get(key))) is not None:
                columns.setdefault(column, amount)
    for column, places, key in _DETAILS:
        for place in places:
            details = usage.get(place)
            if isinstance(details, dict) and (amount := count(details.get(key))) is not None:
                columns.setdefault(column, amount)


def _apply_content(draft: Draft, attributes: dict[str, Value]) -> None:
    sent = attributes.get(_INPUT)
    if sent:
        draft.write("input", from_anything(sent, "user"))
        if (instructions := system_parts(draft.content["input"])) is not None:
            draft.write("system_instructions", instructions)
        request = parsed_object(sent)
        if isinstance(request, dict) and request.get("tools"):
            draft.write("tool_definitions", format_typed(request["tools"]))
    if attributes.get(_OUTPUT):
        draft.write("output", from_anything(attributes[_OUTPUT], "assistant"))
        logprobs.write(draft, parsed_object(attributes[_OUTPUT]))
