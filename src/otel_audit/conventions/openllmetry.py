"""OpenLLMetry (Traceloop), https://github.com/traceloop/openllmetry: its SDK, and its instrumentations by themselves.

Up to about 0.50 with indexed ``gen_ai.prompt.0.content`` and ``llm.request.type``; since then the OTel
GenAI conventions with additions (``traceloop.*``, ``gen_ai.task.*``).
"""

from __future__ import annotations

import re
from typing import Any, Final

from otel_audit.conventions import audit, otel_genai
from otel_audit.conventions.derived import APPROVAL_REQUESTED, notice_resumed
from otel_audit.conventions.draft import Draft, Table, count, name
from otel_audit.conventions.indexed import write_indexed
from otel_audit.conventions.messages import parsed_object, system_parts
from otel_audit.conventions.record import Record
from otel_audit.conventions.spellings import provider, reasons
from otel_audit.conventions.text import CLASSES, PLAIN, is_long
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import EventType, RecordKind

NAME: Final = "openllmetry"

# The instrumentations' scopes. Others of this prefix (genai.*, openai_v2, httpx ...) are OpenTelemetry's own.
SCOPES: Final = re.compile(
    r"traceloop\.|opentelemetry\.instrumentation\.(openai\.v[01]|langchain|anthropic|bedrock|cohere|crewai|"
    r"google_generativeai|groq|haystack|llamaindex|mistralai|ollama|replicate|sagemaker|together|transformers|"
    r"watsonx|alephalpha|agno|openai_agents|mcp|writer|voyageai)\b"
)
_KIND: Final = "traceloop.span.kind"
_TYPE: Final = "llm.request.type"
_OPERATION: Final = "gen_ai.operation.name"
_REQUEST: Final = "gen_ai.request."
_ASSOCIATED: Final = "traceloop.association.properties."
_OPERATIONS: Final = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}

_TABLE: Final[Table] = {
    **audit.TABLE,
    "traceloop.prompt.key": ("prompt_name", name),
    "traceloop.prompt.version": ("prompt_version", name),
    "gen_ai.agent.name": ("agent_name", name),
    "error.type": ("error_type", name),
}
_SPARE: Final[Table] = {
    "traceloop.prompt.version_hash": ("prompt_version", name),
    f"{_ASSOCIATED}prompt_version": ("prompt_version", name),
    f"{_ASSOCIATED}prompt_name": ("prompt_name", name),
    f"{_ASSOCIATED}user_id": ("user_id", name),
    f"{_ASSOCIATED}session_id": ("conversation_id", name),
    f"{_ASSOCIATED}conversation_id": ("conversation_id", name),
    f"{_ASSOCIATED}thread_id": ("conversation_id", name),
    f"{_ASSOCIATED}lc_agent_name": ("agent_name", name),
    "llm.user": ("user_id", name),
    "gen_ai.user": ("user_id", name),
    "user.id": ("user_id", name),
    "session.id": ("conversation_id", name),
}
_NO_TABLE: Final[Table] = {}
_ADDED: Final[Table] = {**_SPARE, **_TABLE}
_CALL_TABLE: Final[Table] = {
    **_TABLE,
    "gen_ai.system": ("provider", provider),
    "gen_ai.request.model": ("request_model", name),
    "gen_ai.response.model": ("response_model", name),
    "gen_ai.response.id": ("response_id", name),
    "gen_ai.openai.system_fingerprint": ("model_fingerprint", name),
    "gen_ai.usage.prompt_tokens": ("input_tokens", count),
    "gen_ai.usage.completion_tokens": ("output_tokens", count),
    "gen_ai.usage.cache_read_input_tokens": ("cache_read_tokens", count),
    "gen_ai.usage.cache_creation_input_tokens": ("cache_write_tokens", count),
    "gen_ai.usage.reasoning_tokens": ("reasoning_tokens", count),
}
_CALL_SPARE: Final[Table] = {
    **_SPARE,
    "gen_ai.usage.input_tokens": ("input_tokens", count),
    "gen_ai.usage.output_tokens": ("output_tokens", count),
    "gen_ai.response.finish_reason": ("finish_reason", reasons),
    "llm.response.finish_reason": ("finish_reason", reasons),
    "llm.response.stop_reason": ("finish_reason", reasons),
}
_SETTINGS: Final = {
    "llm.top_k": "top_k",
    "llm.frequency_penalty": "frequency_penalty",
    "llm.presence_penalty": "presence_penalty",
    "llm.chat.stop_sequences": "stop_sequences",
    "llm.request.repetition_penalty": "repetition_penalty",
    "llm.request.structured_output_schema": "structured_output_schema",
}
_AGENTS: Final = frozenset({"workflow", "agent"})


def detect(record: Record) -> bool:
    """A span with attributes of OpenLLMetry, or a GenAI record of one of its scopes."""
    attributes = record.attributes
    if isinstance(attributes.get(_KIND), str) or isinstance(attributes.get(_TYPE), str):
        return True
    return SCOPES.match(record.source.scope_name) is not None and otel_genai.detect(record)


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of an OpenLLMetry span or log event."""
    attributes = record.attributes
    kind = attributes.get(_KIND)
    if kind == "tool":
        _unwrap_tool(draft)
    if record.kind is RecordKind.LOG:
        otel_genai.apply(record, draft)
        _settle_log(record, draft)
    elif _TYPE in attributes:
        _apply_call(record, draft)
    elif _OPERATION in attributes:
        otel_genai.apply(record, draft)
        draft.fill(_NO_TABLE, _ADDED)
        if attributes.get("gen_ai.is_streaming") is True:
            _add_setting(draft, "stream", "true")
    else:
        draft.columns["event_type"] = EventType.TOOL_CALL if kind == "tool" else EventType.SPAN
        draft.fill(_TABLE, _SPARE)
        if (operation := "execute_tool" if kind == "tool" else name(kind)) is not None:
            draft.columns["operation"] = operation
    if kind == "tool":
        draft.fall_back("tool_name", ("gen_ai.tool.name", "traceloop.entity.name"))
        draft.take("tool_arguments", "traceloop.entity.input")
        draft.take("tool_result", "traceloop.entity.output")
    elif kind in _AGENTS:
        draft.fall_back("agent_name", ("traceloop.entity.name",))
        notice_resumed(draft, attributes.get("traceloop.entity.input"))
        if '"__interrupt__"' in str(attributes.get("traceloop.entity.output", "")):
            draft.remark(APPROVAL_REQUESTED)
    draft.fall_back("agent_name", ("traceloop.workflow.name",))


def _settle_log(record: Record, draft: Draft) -> None:
    """After a stream has ended, these logs come without their span, which is there all the same."""
    if not record.trace_id and draft.columns["event_type"] is EventType.AI_CALL:
        draft.columns["event_type"] = EventType.LOG
        draft.remark("span_unknown")


def _apply_call(record: Record, draft: Draft) -> None:
    """A call in the conventions of before: ``llm.request.type``."""
    attributes = record.attributes
    operation = _OPERATIONS.get(str(attributes[_TYPE]).lower())
    draft.columns["event_type"] = EventType.AI_CALL if operation else EventType.SPAN
    rest = draft.fill(_CALL_TABLE if operation else _TABLE, _CALL_SPARE if operation else _SPARE)
    if (told := operation or name(attributes[_TYPE])) is not None:
        draft.columns["operation"] = told
    for key in rest:
        setting = key[len(_REQUEST) :] if key.startswith(_REQUEST) else _SETTINGS.get(key)
        text = format_typed(attributes[key]) if setting else ""
        if setting and CLASSES[key] == PLAIN and not is_long(text) and not is_long(key):
            _add_setting(draft, setting, text)
    if attributes.get("llm.is_streaming") in (True, "True", "true"):
        _add_setting(draft, "stream", "true")
    found = reasons(write_indexed(draft))
    if found is not None:
        draft.columns["finish_reason"] = found
    if "input" in draft.content and (instructions := system_parts(draft.content["input"])) is not None:
        draft.write("system_instructions", instructions)


def _add_setting(draft: Draft, setting: str, text: str) -> None:
    draft.columns["configuration"] = [*draft.columns.get("configuration", ()), (setting, text)]


def _unwrap_tool(draft: Draft) -> None:
    """What a tool was called with and what it gave, out of LangChain's envelope where there is one."""
    attributes = draft.record.attributes
    sent = _object(attributes.get("traceloop.entity.input"))
    options = sent.get("kwargs")
    if "inputs" in sent and isinstance(options, dict):
        if (identity := name(options.get("tool_call_id"))) is not None:
            draft.columns["tool_call_id"] = identity
        draft.write("tool_arguments", _text(sent["inputs"]))
    message = _object(attributes.get("traceloop.entity.output")).get("output")
    fields = message.get("kwargs") if isinstance(message, dict) else None
    if isinstance(fields, dict) and fields.get("content"):
        draft.write("tool_result", _text(fields["content"]))


def _object(value: Value) -> dict[str, Any]:
    parsed = parsed_object(value)
    return parsed if isinstance(parsed, dict) else {}


def _text(value: Value) -> str:
    return value if isinstance(value, str) else format_typed(value)
