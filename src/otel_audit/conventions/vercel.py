"""Vercel AI SDK, https://ai-sdk.dev/docs/ai-sdk-core/telemetry: spans with ``ai.operationId``."""

from __future__ import annotations

import re
from typing import Any, Final

from otel_audit.conventions import audit
from otel_audit.conventions.draft import Draft, Table, count, name
from otel_audit.conventions.logprobs import write_provider_metadata
from otel_audit.conventions.messages import (
    Message,
    format_messages,
    from_anything,
    parsed_object,
    system_parts,
    text_part,
    tool_call,
)
from otel_audit.conventions.record import Record
from otel_audit.conventions.spellings import provider, reasons
from otel_audit.conventions.text import CLASSES, PLAIN, is_long
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import EventType

NAME: Final = "vercel"

_OPERATION: Final = "ai.operationId"
_SETTINGS: Final = "ai.settings."
_METADATA: Final = "ai.telemetry.metadata."
# What is one request to a provider; the span around it repeats its usage.
_CALLS: Final = {"doGenerate": "chat", "doStream": "chat", "doEmbed": "embeddings"}

_TABLE: Final[Table] = {
    **audit.TABLE,
    "ai.model.id": ("request_model", name),
    "ai.model.provider": ("provider", provider),
    "ai.telemetry.functionId": ("agent_name", name),
    "ai.toolCall.name": ("tool_name", name),
    "ai.toolCall.id": ("tool_call_id", name),
    f"{_METADATA}userId": ("user_id", name),
    f"{_METADATA}sessionId": ("conversation_id", name),
    f"{_METADATA}prompt_name": ("prompt_name", name),
    f"{_METADATA}prompt_version": ("prompt_version", name),
    "error.type": ("error_type", name),
}
_SPARE: Final[Table] = {
    f"{_METADATA}user_id": ("user_id", name),
    f"{_METADATA}session_id": ("conversation_id", name),
    f"{_METADATA}conversationId": ("conversation_id", name),
    f"{_METADATA}threadId": ("conversation_id", name),
    f"{_METADATA}promptName": ("prompt_name", name),
    f"{_METADATA}promptVersion": ("prompt_version", name),
}
_CALL_TABLE: Final[Table] = {
    **_TABLE,
    "ai.response.id": ("response_id", name),
    "ai.response.model": ("response_model", name),
    "ai.response.finishReason": ("finish_reason", reasons),
    "ai.usage.inputTokens": ("input_tokens", count),
    "ai.usage.outputTokens": ("output_tokens", count),
    "ai.usage.inputTokenDetails.cacheReadTokens": ("cache_read_tokens", count),
    "ai.usage.inputTokenDetails.cacheWriteTokens": ("cache_write_tokens", count),
    "ai.usage.outputTokenDetails.reasoningTokens": ("reasoning_tokens", count),
}
_CALL_SPARE: Final[Table] = {
    **_SPARE,
    "ai.usage.promptTokens": ("input_tokens", count),
    "ai.usage.completionTokens": ("output_tokens", count),
    "ai.usage.tokens": ("input_tokens", count),
    "ai.usage.cachedInputTokens": ("cache_read_tokens", count),
    "ai.usage.reasoningTokens": ("reasoning_tokens", count),
    "gen_ai.response.id": ("response_id", name),
    "gen_ai.response.model": ("response_model", name),
    "gen_ai.response.finish_reasons": ("finish_reason", reasons),
    "gen_ai.usage.input_tokens": ("input_tokens", count),
    "gen_ai.usage.output_tokens": ("output_tokens", count),
}
_NAMES: Final = {"maxOutputTokens": "max_tokens", "maxTokens": "max_tokens"}  # the rest: in snake case
_RETRIES_NOBODY_SET: Final = 2  # the SDK's default for maxRetries, written on every span
_CAPITAL: Final = re.compile(r"(?<=[a-z])[A-Z]")


def detect(record: Record) -> bool:
    """A span with an operation of the SDK."""
    operation = record.attributes.get(_OPERATION)
    return isinstance(operation, str) and operation.startswith("ai.")


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of a span of the SDK."""
    attributes = record.attributes
    operation = str(attributes[_OPERATION])
    call = _CALLS.get(operation.rsplit(".", 1)[-1])
    columns = draft.columns
    if call is not None:
        columns["event_type"] = EventType.AI_CALL
        columns["operation"] = call
        _apply_settings(draft, draft.fill(_CALL_TABLE, _CALL_SPARE))
        _apply_content(draft)
    elif operation == "ai.toolCall":
        columns["event_type"] = EventType.TOOL_CALL
        columns["operation"] = "execute_tool"
        draft.fill(_TABLE, _SPARE)
        draft.take("tool_arguments", "ai.toolCall.args")
        draft.take("tool_result", "ai.toolCall.result")
    else:
        columns["event_type"] = EventType.SPAN
        draft.fill(_TABLE, _SPARE)
        if not is_long(operation):
            columns["operation"] = operation


def _apply_settings(draft: Draft, rest: list[str]) -> None:
    attributes = draft.record.attributes
    settings = []
    for key in rest:
        if not key.startswith(_SETTINGS):
            continue
        setting, value = key[len(_SETTINGS) :], attributes[key]
        text = format_typed(value)
        if (setting == "maxRetries" and value == _RETRIES_NOBODY_SET) or CLASSES[key] != PLAIN or is_long(text):
            continue
        settings.append((_NAMES.get(setting) or _CAPITAL.sub(lambda m: "_" + m[0].lower(), setting), text))
    choice = attributes.get("ai.prompt.toolChoice")
    if isinstance(choice, str) and choice and choice != '{"type":"auto"}' and not is_long(choice):
        settings.append(("tool_choice", format_typed(parsed_object(choice))))
    if settings:
        draft.columns["configuration"] = settings


def _apply_content(draft: Draft) -> None:
    attributes = draft.record.attributes
    if attributes.get("ai.prompt.messages"):
        draft.write("input", from_anything(attributes["ai.prompt.messages"], "user"))
        if (instructions := system_parts(draft.content["input"])) is not None:
            draft.write("system_instructions", instructions)
    elif isinstance(attributes.get("ai.values"), list):
        texts = [_unquoted(value) for value in attributes["ai.values"]]
        draft.write("input", format_messages([{"role": "user", "parts": [text_part(text) for text in texts]}]))
    parts = _answer(attributes)
    if parts:
        answer: Message = {"role": "assistant", "parts": parts}
        if (reason := name(attributes.get("ai.response.finishReason"))) is not None:
            answer["finish_reason"] = reason
        draft.write("output", format_messages([answer]))
    tools = attributes.get("ai.prompt.tools")
    if isinstance(tools, list) and tools:
        draft.write("tool_definitions", format_typed([_tool(parsed_object(tool)) for tool in tools]))
    write_provider_metadata(draft, parsed_object(attributes.get("ai.response.providerMetadata")))


def _answer(attributes: dict[str, Value]) -> list[Message]:
    parts: list[Message] = []
    thoughts = attributes.get("ai.response.reasoning")
    if isinstance(thoughts, str) and thoughts:
        parts.append({"type": "reasoning", "content": thoughts})
    for key in ("ai.response.text", "ai.response.object"):
        text = attributes.get(key)
        if isinstance(text, str) and text:
            parts.append(text_part(text))
    calls = parsed_object(attributes.get("ai.response.toolCalls"))
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict):
            arguments = call.get("input", call.get("args"))
            parts.append(tool_call(call.get("toolCallId"), call.get("toolName"), arguments))
    return parts


def _unquoted(value: Value) -> str:
    """Each of ``ai.values`` is a JSON string."""
    text = value if isinstance(value, str) else format_typed(value)
    if text[:1] == '"':
        parsed = parsed_object(f"[{text}]")
        if isinstance(parsed, list) and isinstance(parsed[0], str):
            return parsed[0]
    return text


def _tool(tool: Any) -> Any:
    """A tool's definition with the name that the other conventions have for its schema."""
    if isinstance(tool, dict) and "inputSchema" in tool:
        return {("parameters" if key == "inputSchema" else key): value for key, value in tool.items()}
    return tool
