"""LangSmith's OTel exporter (python/langsmith/_internal/otel): spans with ``langsmith.span.kind``.

``gen_ai.operation.name`` says ``chat`` on prompt templates and ``embeddings`` on retrievers, too: the
kind decides. What was sent and answered is JSON in ``gen_ai.prompt`` and ``gen_ai.completion``.
"""

from __future__ import annotations

from typing import Any, Final

from otel_audit.conventions import audit, logprobs
from otel_audit.conventions.draft import Draft, Table, count, name
from otel_audit.conventions.messages import (
    Message,
    format_messages,
    from_anything,
    message_of,
    parsed_object,
    system_parts,
    text_part,
)
from otel_audit.conventions.record import Record
from otel_audit.conventions.spellings import provider, reasons
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import EventType

NAME: Final = "langsmith"

_KIND: Final = "langsmith.span.kind"
_REQUEST: Final = "gen_ai.request."
_EVENT_TYPES: Final = {"llm": EventType.AI_CALL, "embedding": EventType.AI_CALL, "tool": EventType.TOOL_CALL}
_OPERATIONS: Final = {
    "llm": "chat",
    "embedding": "embeddings",
    "tool": "execute_tool",
    "retriever": "retrieval",
    "agent": "invoke_agent",
}

_TABLE: Final[Table] = {
    **audit.TABLE,
    "gen_ai.tool.name": ("tool_name", name),
    "gen_ai.tool.call.id": ("tool_call_id", name),
    "langsmith.metadata.user_id": ("user_id", name),
    "langsmith.metadata.thread_id": ("conversation_id", name),
    "langsmith.metadata.lc_agent_name": ("agent_name", name),
    "langsmith.metadata.prompt_name": ("prompt_name", name),
    "langsmith.metadata.prompt_version": ("prompt_version", name),
    "error.type": ("error_type", name),
}
_SPARE: Final[Table] = {
    "langsmith.metadata.session_id": ("conversation_id", name),
    "langsmith.metadata.conversation_id": ("conversation_id", name),
    "langsmith.metadata.lc_hub_repo": ("prompt_name", name),
    "langsmith.metadata.lc_hub_commit_hash": ("prompt_version", name),
}
_CALL_TABLE: Final[Table] = {
    **_TABLE,
    "gen_ai.system": ("provider", provider),
    "gen_ai.request.model": ("request_model", name),
    "gen_ai.response.model": ("response_model", name),
    "gen_ai.response.id": ("response_id", name),
    "gen_ai.response.system_fingerprint": ("model_fingerprint", name),
    "gen_ai.response.finish_reasons": ("finish_reason", reasons),
    "gen_ai.usage.input_tokens": ("input_tokens", count),
    "gen_ai.usage.output_tokens": ("output_tokens", count),
}
# Parts of the request that are no settings: they have columns or content of their own.
_NO_SETTINGS: Final = frozenset(["model", "messages", "input", "prompt", "tools", "user"])
_MARKS_OF_A_REQUEST: Final = frozenset(["model"])


def detect(record: Record) -> bool:
    """A span with a kind of LangSmith run."""
    return isinstance(record.attributes.get(_KIND), str)


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of a LangSmith run."""
    attributes = record.attributes
    kind = str(attributes[_KIND]).lower()
    event_type = _EVENT_TYPES.get(kind, EventType.SPAN)
    columns = draft.columns
    columns["event_type"] = event_type
    if (operation := name(_OPERATIONS.get(kind, kind))) is not None:
        columns["operation"] = operation
    if event_type is EventType.AI_CALL:
        rest = draft.fill(_CALL_TABLE, _SPARE)
        request = parsed_object(attributes.get("gen_ai.prompt"))
        answer = parsed_object(attributes.get("gen_ai.completion"))
        _apply_settings(draft, rest, request)
        _apply_request(draft, request)
        _apply_answer(draft, answer)
        return
    draft.fill(_TABLE, _SPARE)
    if event_type is EventType.TOOL_CALL:
        if (tool := name(record.name)) is not None:
            columns.setdefault("tool_name", tool)
        draft.take("tool_arguments", "gen_ai.prompt")
        draft.take("tool_result", "gen_ai.completion")
    elif kind == "retriever":
        draft.take("context", "gen_ai.completion")


def _apply_settings(draft: Draft, rest: list[str], request: Value) -> None:
    attributes = draft.record.attributes
    settings = {key[len(_REQUEST) :]: format_typed(attributes[key]) for key in rest if key.startswith(_REQUEST)}
    if isinstance(request, dict) and request.keys() >= _MARKS_OF_A_REQUEST:  # a provider client's, with its settings
        for key, value in request.items():
            if key not in _NO_SETTINGS and value is not None:
                settings.setdefault(key, format_typed(value))
        if (user := name(request.get("user"))) is not None:
            draft.columns.setdefault("user_id", user)
    draft.configure(list(settings.items()))


def _apply_request(draft: Draft, request: Value) -> None:
    if not request:
        return
    draft.write("input", from_anything(request, "user"))
    if (instructions := system_parts(draft.content["input"])) is not None:
        draft.write("system_instructions", instructions)
    if isinstance(request, dict) and request.get("tools"):
        draft.write("tool_definitions", format_typed(request["tools"]))


def _apply_answer(draft: Draft, answer: Value) -> None:
    if not answer:
        return
    found, told = _messages(answer)
    if (words := reasons(told)) is not None:
        draft.columns.setdefault("finish_reason", words)
    if found:
        draft.write("output", format_messages(found))
    else:
        draft.write("output", from_anything(answer, "assistant"))
    logprobs.write(draft, answer)
    if isinstance(answer, dict):
        _apply_identity(draft, answer)


def _messages(answer: Value) -> tuple[list[Message], list[Value]]:
    """The answer's messages and finish reasons: chat completions, or LangChain's generations."""
    messages: list[Message] = []
    told: list[Value] = []
    if not isinstance(answer, dict):
        return messages, told
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else logprobs.generations(answer):
        if not isinstance(choice, dict):
            continue
        information = choice.get("generation_info")
        place = information if isinstance(information, dict) else choice
        reason = place.get("finish_reason")
        message = message_of(choice.get("message"), "assistant")
        if message is None and isinstance(choice.get("text"), str):
            message = {"role": "assistant", "parts": [text_part(choice["text"])]}
        if message is not None:
            messages.append({**message, "finish_reason": reason} if reason else message)
        told.append(reason)
    return messages, told


def _apply_identity(draft: Draft, answer: dict[str, Any]) -> None:
    output = answer.get("llm_output")
    columns: Any = draft.columns
    for place in (answer, output if isinstance(output, dict) else {}):
        for column, keys in (
            ("response_id", ("id",)),
            ("response_model", ("model", "model_name")),
            ("model_fingerprint", ("system_fingerprint",)),
        ):
            for key in keys:
                if (text := name(place.get(key))) is not None:
                    columns.setdefault(column, text)
    for metadata in (answer.get("usage_metadata"), *map(_usage, logprobs.generations(answer))):
        if isinstance(metadata, dict):
            for column, place_name, key in (
                ("cache_read_tokens", "input_token_details", "cache_read"),
                ("cache_write_tokens", "input_token_details", "cache_creation"),
                ("reasoning_tokens", "output_token_details", "reasoning"),
            ):
                details = metadata.get(place_name)
                if isinstance(details, dict) and (amount := count(details.get(key))) is not None:
                    columns.setdefault(column, amount)


def _usage(generation: dict[str, Any]) -> Value:
    message = generation.get("message")
    fields = message.get("kwargs", message) if isinstance(message, dict) else None
    return fields.get("usage_metadata") if isinstance(fields, dict) else None
