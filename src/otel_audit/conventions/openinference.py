"""OpenInference, https://github.com/Arize-ai/openinference (spec/semantic_conventions.md)."""

from __future__ import annotations

import re
from typing import Any, Final

from otel_audit.conventions import audit, logprobs
from otel_audit.conventions.derived import notice_interrupted, notice_resumed
from otel_audit.conventions.draft import Draft, Table, count, name
from otel_audit.conventions.messages import (
    Message,
    content_parts,
    format_messages,
    from_anything,
    image_part,
    parsed_object,
    system_parts,
    text_part,
    tool_call,
)
from otel_audit.conventions.record import Record
from otel_audit.conventions.spellings import provider, reasons
from otel_audit.conventions.text import SHORT, is_long
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import EventType

NAME: Final = "openinference"

_KIND: Final = "openinference.span.kind"
_EVENT_TYPES: Final = {"LLM": EventType.AI_CALL, "EMBEDDING": EventType.AI_CALL, "TOOL": EventType.TOOL_CALL}
# In the words of the OTel GenAI conventions, so that one search finds both.
_OPERATIONS: Final = {"LLM": "chat", "EMBEDDING": "embeddings", "TOOL": "execute_tool", "AGENT": "invoke_agent"}

_TABLE: Final[Table] = {
    **audit.TABLE,
    "llm.provider": ("provider", provider),
    "llm.model_name": ("response_model", name),
    "embedding.model_name": ("response_model", name),
    "session.id": ("conversation_id", name),
    "user.id": ("user_id", name),
    "agent.name": ("agent_name", name),
    "tool.name": ("tool_name", name),
    "prompt.id": ("prompt_name", name),
    "llm.prompt_template.version": ("prompt_version", name),
    "llm.finish_reason": ("finish_reason", reasons),
    "error.type": ("error_type", name),
}
_SPARE: Final[Table] = {"llm.system": ("provider", provider)}
_CALL_TABLE: Final[Table] = {
    **_TABLE,
    "llm.token_count.prompt": ("input_tokens", count),
    "llm.token_count.completion": ("output_tokens", count),
    "llm.token_count.prompt_details.cache_read": ("cache_read_tokens", count),
    "llm.token_count.prompt_details.cache_write": ("cache_write_tokens", count),
    "llm.token_count.completion_details.reasoning": ("reasoning_tokens", count),
}
_IN_METADATA: Final = (
    ("prompt_name", "prompt_name"),
    ("prompt_version", "prompt_version"),
    ("agent_name", "lc_agent_name"),
    ("conversation_id", "thread_id"),
)
# Parts of the request that are no settings: they have columns or content of their own.
_NO_SETTINGS: Final = frozenset(
    {"model", "messages", "input", "prompt", "instructions", "tools", "user", "conversation"}
    | {"model_name", "_type"}  # LangChain's own
)


def detect(record: Record) -> bool:
    """A span with an OpenInference kind."""
    return isinstance(record.attributes.get(_KIND), str)


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of an OpenInference span."""
    attributes = record.attributes
    kind = str(attributes[_KIND]).upper()
    event_type = _EVENT_TYPES.get(kind, EventType.SPAN)
    draft.columns["event_type"] = event_type
    operation = _OPERATIONS.get(kind, kind.lower())
    if not is_long(operation):
        draft.columns["operation"] = operation
    draft.fill(_CALL_TABLE if event_type is EventType.AI_CALL else _TABLE, _SPARE)
    _apply_metadata(draft, attributes.get("metadata"))
    if event_type is EventType.AI_CALL:
        indexed = _indexed(attributes)
        _apply_parameters(draft, attributes)
        _apply_answer(draft, attributes)
        _apply_messages(draft, attributes, indexed)
    elif event_type is EventType.TOOL_CALL:
        draft.fall_back("tool_call_id", ("tool_call.id", "tool.id"))
        _unwrap_tool(draft, attributes)
        draft.take("tool_arguments", "input.value" if "input.value" in attributes else "tool.parameters")
        draft.take("tool_result", "output.value")
    elif kind == "RETRIEVER":
        documents = [_leaf(item, "document") for item in _list(_indexed(attributes), "retrieval", "documents")]
        if documents:
            draft.write("context", format_typed(documents))
    elif kind in ("AGENT", "CHAIN"):
        notice_resumed(draft, attributes.get("input.value"))
        notice_interrupted(draft)
        if kind == "AGENT" and (agent := name(record.name)) is not None:
            draft.columns.setdefault("agent_name", agent)


def _apply_metadata(draft: Draft, metadata: Value) -> None:
    """Names in the application's own metadata, as LangChain passes it on."""
    if not isinstance(metadata, str) or not any(f'"{key}"' in metadata for _, key in _IN_METADATA):
        return
    told = parsed_object(metadata)
    if isinstance(told, dict):
        columns: Any = draft.columns
        for column, key in _IN_METADATA:
            if (text := name(told.get(key))) is not None:
                columns.setdefault(column, text)


def _unwrap_tool(draft: Draft, attributes: dict[str, Value]) -> None:
    """A tool's arguments and result out of the envelopes of smolagents and LangChain."""
    sent = parsed_object(attributes.get("input.value"))
    if isinstance(sent, dict) and sent.get("args") == [] and isinstance(sent.get("kwargs"), dict):
        draft.write("tool_arguments", format_typed(sent["kwargs"]))
    given = parsed_object(attributes.get("output.value"))
    message = given.get("data") if isinstance(given, dict) and given.get("type") == "tool" else None
    if isinstance(message, dict):
        if (identity := name(message.get("tool_call_id"))) is not None:
            draft.columns.setdefault("tool_call_id", identity)
        if message.get("content"):
            result = message["content"]
            draft.write("tool_result", result if isinstance(result, str) else format_typed(result))


def _apply_parameters(draft: Draft, attributes: dict[str, Value]) -> None:
    raw = attributes.get("llm.invocation_parameters", attributes.get("embedding.invocation_parameters"))
    parameters = parsed_object(raw)
    if not isinstance(parameters, dict):
        return
    columns = draft.columns
    model = name(parameters.get("model"))
    if model is not None:
        columns["request_model"] = model
    user = name(parameters.get("user"))
    if user is not None:
        columns.setdefault("user_id", user)
    conversation = parameters.get("conversation")
    conversation_id = name(conversation.get("id") if isinstance(conversation, dict) else conversation)
    if conversation_id is not None:
        columns.setdefault("conversation_id", conversation_id)
    langchain = "_type" in parameters  # it says `"stream": false` whatever happened
    draft.configure(
        [
            (key, format_typed(value))
            for key, value in parameters.items()
            if value is not None and key not in _NO_SETTINGS and not (langchain and key == "stream" and value is False)
        ]
    )


def _apply_answer(draft: Draft, attributes: dict[str, Value]) -> None:
    """What only the provider's or framework's raw answer, in ``output.value``, tells."""
    answer = parsed_object(attributes.get("output.value"))
    if not isinstance(answer, dict):
        return
    logprobs.write(draft, answer)
    if isinstance(answer.get("generations"), list):
        _apply_generations(draft, answer)
    elif isinstance(answer.get("raw"), str) and answer["raw"].startswith("ChatCompletion("):
        _apply_repr(draft, answer["raw"])
    else:
        _name_answer(draft, answer)
        choices = answer.get("choices")
        if isinstance(choices, list):
            found = reasons([choice.get("finish_reason") for choice in choices if isinstance(choice, dict)])
            if found is not None:
                draft.columns["finish_reason"] = found


def _name_answer(draft: Draft, answer: Value) -> None:
    for column, key in (
        ("response_id", "id"),
        ("model_fingerprint", "system_fingerprint"),
        ("response_model", "model_name"),
    ):
        text = name(answer.get(key)) if isinstance(answer, dict) else None
        if text is not None:
            draft.columns[column] = text  # type: ignore[literal-required]  # all are columns


def _apply_generations(draft: Draft, answer: dict[str, Value]) -> None:
    """LangChain: the provider's words are in ``llm_output``; with streaming, in the generation."""
    found = logprobs.generations(answer)
    for generation in found[:1]:
        _name_answer(draft, generation.get("generation_info"))
    _name_answer(draft, answer.get("llm_output"))
    told = [_leaf(generation, "generation_info").get("finish_reason") for generation in found]
    if (words := reasons(told)) is not None:
        draft.columns["finish_reason"] = words


# smolagents keeps the provider's answer as the Python repr of the client's object.
_REPR_ID: Final = re.compile(r"^ChatCompletion\(id='([^'\\]{1,256})'")
_REPR_REASON: Final = re.compile(r"\bChoice\(finish_reason='(\w{1,64})'")
_REPR_TAIL: Final = {
    "response_model": re.compile(r".*, model='([^'\\]{1,256})', object='chat\.completion'", re.DOTALL),
    "model_fingerprint": re.compile(r".*, system_fingerprint='([^'\\]{1,256})'", re.DOTALL),
}


def _apply_repr(draft: Draft, text: str) -> None:
    columns: dict[str, Any] = draft.columns  # type: ignore[assignment]  # the names below are columns
    if (match := _REPR_ID.match(text)) is not None:
        columns["response_id"] = match[1]
    for column, pattern in _REPR_TAIL.items():
        if (match := pattern.match(text)) is not None:  # greedy: the last one, which is the client's and no text
            columns[column] = match[1]
    if (words := reasons(_REPR_REASON.findall(text))) is not None:
        columns["finish_reason"] = words
    logprobs.write_repr(draft, text)


def _apply_messages(draft: Draft, attributes: dict[str, Value], indexed: dict[str, Any]) -> None:
    inputs = [_message(item, "user") for item in _list(indexed, "llm", "input_messages")]
    outputs = [_message(item, "assistant") for item in _list(indexed, "llm", "output_messages")]
    texts = [_leaf(item, "embedding").get("text") for item in _list(indexed, "embedding", "embeddings")]
    if not inputs and texts:
        inputs = [{"role": "user", "parts": [text_part(text) for text in texts if isinstance(text, str)]}]
    if inputs:
        draft.write("input", format_messages(inputs))
    elif attributes.get("input.value"):
        draft.write("input", from_anything(attributes["input.value"], "user"))
    if outputs:
        for message, reason in zip(outputs, draft.columns.get("finish_reason", ()), strict=False):
            message["finish_reason"] = reason
        draft.write("output", format_messages(outputs))
    elif attributes.get("output.value") and not texts:
        draft.write("output", from_anything(attributes["output.value"], "assistant"))
    if "input" in draft.content and (instructions := system_parts(draft.content["input"])) is not None:
        draft.write("system_instructions", instructions)
    tools = [_leaf(item, "tool").get("json_schema") for item in _list(indexed, "llm", "tools")]
    if tools:
        draft.write("tool_definitions", format_typed([parsed_object(tool) for tool in tools]))


def _message(item: dict[str, Any], role: str) -> Message:
    """A message from its attributes, ``message.role``, ``message.contents.0.message_content.text`` and so on."""
    message = _leaf(item, "message")
    role = message["role"] if isinstance(message.get("role"), str) else role
    content = message.get("content")
    if role == "tool":
        response = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": role, "parts": [response]}
    parts = content_parts(content)
    for piece in _list(message, "contents"):
        parts.append(_content(_leaf(piece, "message_content")))
    for call in _list(message, "tool_calls"):
        leaf = _leaf(call, "tool_call")
        function = _leaf(leaf, "function")
        parts.append(tool_call(leaf.get("id"), function.get("name"), function.get("arguments")))
    return {"role": role, "parts": parts}


def _content(piece: dict[str, Any]) -> Message:
    text = piece.get("text")
    if isinstance(text, str):
        return text_part(text)
    url = _leaf(_leaf(piece, "image"), "image").get("url")
    return image_part(url) if isinstance(url, str) else {**piece, "type": piece.get("type", "unknown")}


# Attributes such as llm.input_messages.0.message.role, as a tree by the words between the dots.

_ROOTS: Final = ("llm.input_messages.", "llm.output_messages.", "llm.tools.", "embedding.embeddings.", "retrieval.")


class _Paths(dict[str, tuple[str, ...]]):
    """The words of an attribute's key, none for a key of another root. Keys repeat from record to record."""

    def __missing__(self, key: str) -> tuple[str, ...]:
        words = tuple(key.split(".")) if key.startswith(_ROOTS) else ()
        if len(key) <= SHORT:
            if len(self) >= 1 << 13:
                self.clear()
            self[key] = words
        return words


_PATHS: Final = _Paths()


class _Node(dict[str, Any]):
    """A branch of the tree; a plain dict is an attribute's own value, and is not changed."""


def _indexed(attributes: dict[str, Value]) -> dict[str, Any]:
    tree = _Node()
    for key, value in attributes.items():
        words = _PATHS[key]
        if not words:
            continue
        node = tree
        for word in words[:-1]:
            below = node.get(word)
            if below is None:
                below = node[word] = _Node()
            elif type(below) is not _Node:  # a.b and a.b.c at once: the longer one stays in the attribute map only
                break
            node = below
        else:
            node.setdefault(words[-1], value)
    return tree


def _leaf(node: dict[str, Any], word: str) -> dict[str, Any]:
    below = node.get(word)
    return below if isinstance(below, dict) else {}


def _list(node: dict[str, Any], *words: str) -> list[dict[str, Any]]:
    """The children named 0, 1, 2 ... in the order of their numbers."""
    for word in words:
        below = node.get(word)
        if not isinstance(below, dict):
            return []
        node = below
    numbers = [(int(word), word) for word in node if word.isdecimal() and len(word) < 10]
    if len(numbers) > 1:
        numbers.sort()
    return [node[word] for _, word in numbers if isinstance(node[word], dict)]
