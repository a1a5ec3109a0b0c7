"""The one form of messages in ``input`` and ``output``: the OTel GenAI message schema.

``[{"role": ..., "parts": [{"type": "text", "content": ...}, {"type": "tool_call", "id", "name",
"arguments"}, {"type": "tool_call_response", "id", "response"}, ...], "finish_reason"?}]`` as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from otel_audit.conventions.values import Value, format_typed

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
            return json.loads(value)
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


def _piece(piece: Value) -> Message:
    if isinstance(piece, str):
        return text_part(piece)
    if not isinstance(piece, dict):
        return text_part(format_typed(piece))
    if isinstance(piece.get("text"), str) and str(piece.get("type")) in ("text", "input_text", "output_text", "None"):
        return text_part(piece["text"])
    image = piece.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if isinstance(url, str):
        return image_part(url)
    return piece if "type" in piece else {"type": "text", "content": format_typed(piece)}


def chat_message(role: str, message: dict[str, Value]) -> Message:
    """A message of the chat-completions style (role, content, tool_calls, tool_call_id) in the common form."""
    role = message["role"] if isinstance(message.get("role"), str) else role
    content = message.get("content")
    if role == "tool":
        identity = message.get("tool_call_id", message.get("id"))
        return {"role": role, "parts": [{"type": "tool_call_response", "id": identity, "response": content}]}
    parts = content_parts(content)
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
            document = json.loads(value)
        except ValueError:
            document = None
    items = document if isinstance(document, list) else [document]
    if items and all(isinstance(item, dict) and "role" in item for item in items):
        return format_messages(item if "parts" in item else chat_message(role, item) for item in items)
    text = value if isinstance(value, str) else format_typed(value)
    return format_messages([{"role": role, "parts": [text_part(text)]}])


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
        items = json.loads(messages)
    except ValueError:  # cut off by the producer's length limit
        return None
    parts: list[Value] = []
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and item.get("role") == "system" and isinstance(item.get("parts"), list):
            parts += item["parts"]
    return format_typed(parts) if parts else None
