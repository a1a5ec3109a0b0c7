"""LiteLLM's OTel callback (litellm/integrations/opentelemetry.py): scope ``litellm``.

A call is the span ``litellm_request`` or, where the proxy's own span stands for it, that one. Its child
``raw_gen_ai_request`` repeats the request in the provider's words and is no second call.
"""

from __future__ import annotations

import re
from typing import Final

from otel_audit.conventions import audit
from otel_audit.conventions.draft import Draft, Table, count, name
from otel_audit.conventions.indexed import write_indexed
from otel_audit.conventions.messages import from_anything, parsed_object, system_parts
from otel_audit.conventions.record import Record
from otel_audit.conventions.spellings import provider, reasons
from otel_audit.conventions.values import format_typed
from otel_audit.model import EventType, RecordKind

NAME: Final = "litellm"

SCOPES: Final = re.compile(r"litellm$")
_RAW: Final = "raw_gen_ai_request"
_TYPE: Final = "llm.request.type"
_REQUEST: Final = "gen_ai.request."
# LiteLLM's call types, ``a`` before them where asynchronous.
_OPERATIONS: Final = {
    "completion": "chat",
    "responses": "chat",
    "anthropic_messages": "chat",
    "chat": "chat",
    "text_completion": "text_completion",
    "generate_content": "generate_content",
    "embedding": "embeddings",
    "embeddings": "embeddings",
}

_TABLE: Final[Table] = {
    **audit.TABLE,
    "metadata.user_api_key_end_user_id": ("user_id", name),
    "metadata.user_api_key_user_id": ("actor_id", name),
    "error.type": ("error_type", name),
}
_SPARE: Final[Table] = {
    "session.id": ("conversation_id", name),
    "user.id": ("user_id", name),
}
_CALL_TABLE: Final[Table] = {
    **_TABLE,
    "gen_ai.system": ("provider", provider),
    "gen_ai.request.model": ("request_model", name),
    "gen_ai.response.model": ("response_model", name),
    "gen_ai.response.id": ("response_id", name),
    "gen_ai.response.finish_reasons": ("finish_reason", reasons),
    "gen_ai.request.id": ("request_id", name),
    "llm.user": ("user_id", name),
    "gen_ai.usage.input_tokens": ("input_tokens", count),
    "gen_ai.usage.output_tokens": ("output_tokens", count),
}
_CALL_SPARE: Final[Table] = {
    **_SPARE,
    "gen_ai.provider.name": ("provider", provider),
    "gen_ai.usage.prompt_tokens": ("input_tokens", count),
    "gen_ai.usage.completion_tokens": ("output_tokens", count),
}


def detect(record: Record) -> bool:
    """A span of LiteLLM's scope."""
    return record.kind is RecordKind.SPAN and SCOPES.match(record.source.scope_name) is not None


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of a span of LiteLLM."""
    attributes = record.attributes
    told = str(attributes.get(_TYPE, attributes.get("gen_ai.operation.name", "")))
    operation = _OPERATIONS.get(told) or _OPERATIONS.get(told.removeprefix("a"))
    columns = draft.columns
    if operation is None or record.name == _RAW or "gen_ai.request.model" not in attributes:
        columns["event_type"] = EventType.SPAN
        draft.fill(_TABLE, _SPARE)
        return
    columns["event_type"] = EventType.AI_CALL
    columns["operation"] = operation
    rest = draft.fill(_CALL_TABLE, _CALL_SPARE)
    settings = [(key[len(_REQUEST) :], format_typed(attributes[key])) for key in rest if key.startswith(_REQUEST)]
    if attributes.get("llm.is_streaming") in (True, "True", "true"):
        settings.append(("stream", "true"))
    draft.configure(settings)
    for content_name, key, role in (
        ("input", "gen_ai.input.messages", "user"),
        ("output", "gen_ai.output.messages", "assistant"),
    ):
        if attributes.get(key):
            draft.write(content_name, from_anything(attributes[key], role))
    if (words := reasons(write_indexed(draft))) is not None:
        columns.setdefault("finish_reason", words)
    instructions = attributes.get("gen_ai.system_instructions")
    if isinstance(instructions, str) and instructions:
        draft.write("system_instructions", format_typed(parsed_object(instructions)))
    elif "input" in draft.content and (parts := system_parts(draft.content["input"])) is not None:
        draft.write("system_instructions", parts)
