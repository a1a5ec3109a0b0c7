"""Messages and tools that came as one attribute per field: ``gen_ai.prompt.0.role``, ``gen_ai.prompt.0.content`` ..."""

from __future__ import annotations

from typing import Any, Final

from otel_audit.conventions.draft import Draft
from otel_audit.conventions.messages import Message, chat_message, format_messages, parsed_object, tool_call
from otel_audit.conventions.values import Value, format_typed

_ROOTS: Final = {
    "gen_ai.prompt.": "prompts",
    "gen_ai.completion.": "completions",
    "llm.prompts.": "prompts",
    "llm.completions.": "completions",
    "llm.request.functions.": "functions",
}
_PREFIXES: Final = tuple(_ROOTS)
_NUMBER_LENGTH: Final = 9


def write_indexed(draft: Draft) -> list[Value]:
    """Set input, output and tool_definitions from indexed attributes; gives the finish reasons that were among them."""
    found: dict[str, dict[int, dict[str, Value]]] = {"prompts": {}, "completions": {}, "functions": {}}
    for key, value in draft.record.attributes.items():
        if key.startswith(_PREFIXES):
            root = next(prefix for prefix in _PREFIXES if key.startswith(prefix))
            index, _, rest = key[len(root) :].partition(".")
            if rest and index.isdecimal() and len(index) <= _NUMBER_LENGTH:
                found[_ROOTS[root]].setdefault(int(index), {}).setdefault(rest, value)
    prompts, completions, functions = (
        [fields for _, fields in sorted(found[what].items())] for what in ("prompts", "completions", "functions")
    )
    if prompts:
        draft.write("input", format_messages(_message(fields, "user") for fields in prompts))
    reasons = [fields["finish_reason"] for fields in completions if fields.get("finish_reason")]
    if completions:
        draft.write("output", format_messages(_message(fields, "assistant") for fields in completions))
    if functions:
        tools = [{"type": "function", **fields} for fields in functions]
        for tool in tools:
            if "parameters" in tool:
                tool["parameters"] = parsed_object(tool["parameters"])
        draft.write("tool_definitions", format_typed(tools))
    return reasons


def _message(fields: dict[str, Value], role: str) -> Message:
    plain = {key: value for key, value in fields.items() if "." not in key}
    content = parsed_object(plain.get("content"))
    if isinstance(content, list) and all(isinstance(piece, dict) and "type" in piece for piece in content):
        plain["content"] = content  # pieces; any other JSON is what was said
    message = chat_message(role, plain)
    for call in _calls(fields):
        message["parts"].append(tool_call(call.get("id"), call.get("name"), call.get("arguments")))
    if fields.get("finish_reason"):
        message["finish_reason"] = fields["finish_reason"]
    return message


def _calls(fields: dict[str, Value]) -> list[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for key, value in fields.items():
        root, _, rest = key.partition(".")
        if root == "tool_calls":
            index, _, field = rest.partition(".")
            if field and index.isdecimal() and len(index) <= _NUMBER_LENGTH:
                calls.setdefault(int(index), {})[field.removeprefix("function.")] = value
        elif root == "function_call" and rest:
            calls.setdefault(0, {})[rest] = value
    return [call for _, call in sorted(calls.items())]
