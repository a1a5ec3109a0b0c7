"""The one form of messages in ``input`` and ``output``: the OTel GenAI message schema.

``[{"role": ..., "parts": [{"type": "text", "content": ...}, {"type": "tool_call", "id", "name",
"arguments"}, {"type": "tool_call_response", "id", "response"}, ...], "finish_reason"?}]`` as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from otel_audit.conventions.values import Value, format_typed, parse_json

Message: TypeAlias = dict[str, Value]

_FORM: Final = '"parts"'


def is_messages(text: str) -> bool:
    """Whether a text is messages in the common form already, without parsing all of it."""
    return text[:1] == "[" and (_FORM in text or text == "[]")


def text_part(content: str) -> Message:
    """A part that is text."""
    return {"type": "text", "content": content}


def tool_call(identity: Value, name: Value, arguments: Value) -> Message:
    """A part that asks for a tool. Arguments that are a JSON object as a string become the object."""
    return {"type": "tool_call", "id": identity, "name": name, "arguments": parsed_object(arguments)}


def parsed_object(value: Value) -> Value:
    """A JSON object or array that came as a string, parsed; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return parse_json(value)
        except ValueError:
            return value
    return value


def image_part(url: str) -> Message:
    """A part that is an image: its bytes when the URL holds them, else the URL."""
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime_type = head.removeprefix("data:").removesuffix(";base64")
        return {"type": "blob", "modality": "image", "mime_type": mime_type, "content": data}
    return {"type": "uri", "modality": "image", "uri": url}


def content_parts(content: Value) -> list[Message]:
    """Parts of a provider-style ``content``: a string, or a list of typed pieces."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [text_part(content)]
    pieces = content if isinstance(content, list) else [content]
    return [_piece(piece) for piece in pieces]


def tool_response(identity: Value, response: Value) -> Message:
    """A part that is a tool's answer."""
    return {"type": "tool_call_response", "id": identity, "response": response}


def _piece(piece: Value) -> Message:
    if isinstance(piece, str):
        return text_part(piece)
    if not isinstance(piece, dict):
        return text_part(format_typed(piece))
    kind = str(piece.get("type"))
    if isinstance(piece.get("text"), str):
        if kind in ("text", "input_text", "output_text", "None"):
            return text_part(piece["text"])
        if kind in ("reasoning", "thinking"):
            return {"type": "reasoning", "content": piece["text"]}
    image = piece.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if isinstance(url, str):
        return image_part(url)
    tool = _tool_piece(kind, piece)
    if tool is not None:
        return tool
    return piece if "type" in piece else {"type": "text", "content": format_typed(piece)}


def _tool_piece(kind: str, piece: dict[str, Value]) -> Message | None:
    """A tool call or answer as Anthropic (tool_use), Vercel (tool-call) and Bedrock (toolUse) write them."""
    if kind == "tool_use":
        return tool_call(piece.get("id"), piece.get("name"), piece.get("input"))
    if kind == "tool_result":
        return tool_response(piece.get("tool_use_id"), piece.get("content"))
    if kind == "tool-call":
        arguments = piece.get("input", piece.get("args"))
        return tool_call(piece.get("toolCallId"), piece.get("toolName"), arguments)
    if kind == "tool-result":
        output = piece.get("output", piece.get("result"))
        if isinstance(output, dict) and output.keys() == {"type", "value"}:
            output = output["value"]
        return tool_response(piece.get("toolCallId"), output)
    use, result = piece.get("toolUse"), piece.get("toolResult")
    if isinstance(use, dict):
        return tool_call(use.get("toolUseId"), use.get("name"), use.get("input"))
    if isinstance(result, dict):
        return tool_response(result.get("toolUseId"), result.get("content"))
    return None


def chat_message(role: str, message: dict[str, Value]) -> Message:
    """A message of the chat-completions style (role, content, tool_calls, tool_call_id) in the common form."""
    role = message["role"] if isinstance(message.get("role"), str) else role
    content = message.get("content")
    parts = content_parts(content)
    if role == "tool" and not any(part.get("type") == "tool_call_response" for part in parts):
        return {"role": role, "parts": [tool_response(message.get("tool_call_id", message.get("id")), content)]}
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            parts.append(tool_call(call.get("id"), function.get("name"), function.get("arguments")))
        else:
            parts.append({"type": "tool_call", "arguments": call})
    return {"role": role, "parts": parts}


def format_messages(messages: Iterable[Message]) -> str:
    """Messages as the JSON text that is stored."""
    return format_typed(list(messages))


def from_anything(value: Value, role: str) -> str:
    """Messages as JSON text from whatever a producer put there; plain text becomes one message of ``role``."""
    document: Any = value
    if isinstance(value, str):
        try:
            document = parse_json(value)
        except ValueError:
            document = None
    if isinstance(document, dict) and "role" not in document and isinstance(document.get("messages"), list):
        document = document["messages"]  # the provider's request, or a framework's state
    items = document if isinstance(document, list) else [document]
    found = [message_of(item, role) for item in _flat(items)]
    if found and all(found):
        return format_messages(message for message in found if message is not None)
    text = value if isinstance(value, str) else format_typed(value)
    return format_messages([{"role": role, "parts": [text_part(text)]}])


def _flat(items: list[Any]) -> list[Any]:
    """LangChain sends a list of one conversation."""
    return items[0] if len(items) == 1 and isinstance(items[0], list) else items


def message_of(item: Value, role: str) -> Message | None:
    """A message in the common form from one of any form known, None for what is none."""
    if not isinstance(item, dict):
        return None
    if "role" in item:
        return item if "parts" in item else chat_message(role, item)
    fields = item.get("kwargs") if item.get("lc") == 1 else item.get("data", item)  # LangChain's two forms
    if not isinstance(fields, dict) or not {"content", "type"} <= fields.keys() | item.keys():
        return None
    word = fields.get("type", item.get("type"))
    told = _LANGCHAIN_ROLES.get(word) if isinstance(word, str) else None
    if told is None:
        return None
    message = chat_message(told, {key: value for key, value in fields.items() if key != "role"} | {"tool_calls": ()})
    for call in fields.get("tool_calls") or ():
        if isinstance(call, dict):
            message["parts"].append(tool_call(call.get("id"), call.get("name"), call.get("args")))
    return message


_LANGCHAIN_ROLES: Final = {
    "system": "system",
    "human": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "tool": "tool",
}
_SYSTEM: Final = '"system"'
_NEXT_MESSAGE: Final = '},{"role":'  # between quotes it would be escaped, so this is never inside a text
_REMEMBERED_LENGTH: Final = 1 << 13
_remembered: dict[str, str | None] = {}  # first message -> its system parts: instructions repeat from call to call


def system_parts(messages: str) -> str | None:
    """The system's instructions among messages in the common form: their parts as JSON text, or None."""
    if _SYSTEM not in messages:
        return None
    end = messages.find(_NEXT_MESSAGE, 0, _REMEMBERED_LENGTH)
    if end < 0 or messages.find(_SYSTEM, end) >= 0:
        return _system_parts(messages)
    first = messages[:end]
    if first not in _remembered:
        if len(_remembered) >= 1 << 8:
            _remembered.clear()
        _remembered[first] = _system_parts(first + "}]")
    return _remembered[first]


def _system_parts(messages: str) -> str | None:
    try:
        items = parse_json(messages)
    except ValueError:  # cut off by the producer's length limit
        return None
    parts: list[Value] = []
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and item.get("role") == "system" and isinstance(item.get("parts"), list):
            parts += item["parts"]
    return format_typed(parts) if parts else None
