"""Log probabilities of the answer's tokens, as content ``logprobs``.

In the form of OpenAI's chat completions, a JSON list with one object per choice:
``[{"content": [{"token": "Yes", "logprob": -0.01, "top_logprobs": [...]}, ...]}]``.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Final

from otel_audit.conventions.draft import Draft
from otel_audit.conventions.values import Value, format_typed, whole


def write(draft: Draft, answer: Value) -> None:
    """Set the content ``logprobs`` where a provider's or framework's answer (parsed JSON) holds some."""
    if isinstance(answer, dict):
        found = _of_answer(answer)
        if found:
            draft.write("logprobs", format_typed(found))


def _of_answer(answer: dict[str, Any]) -> list[Any]:
    choices = answer.get("choices")
    if isinstance(choices, list):  # chat completions
        return [c["logprobs"] for c in choices if isinstance(c, dict) and c.get("logprobs")]
    if isinstance(answer.get("generations"), list):  # LangChain
        return [info["logprobs"] for info in map(_information, generations(answer)) if info.get("logprobs")]
    return [  # Responses API
        {"content": part["logprobs"]}
        for item in _dicts(answer.get("output"))
        for part in _dicts(item.get("content"))
        if part.get("logprobs")
    ]


def generations(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The generations of a LangChain answer; it nests them by prompt."""
    found = answer.get("generations")
    flat: list[Any] = []
    for item in found if isinstance(found, list) else []:
        flat += item if isinstance(item, list) else [item]
    return [item for item in flat if isinstance(item, dict)]


def _information(generation: dict[str, Any]) -> dict[str, Any]:
    found = generation.get("generation_info")
    return found if isinstance(found, dict) else {}


def _dicts(value: Value) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def write_provider_metadata(draft: Draft, metadata: Value) -> None:
    """The same for metadata by provider, ``{"openai": {"logprobs": [...]}}`` (Vercel)."""
    for told in metadata.values() if isinstance(metadata, dict) else ():
        if isinstance(told, dict) and isinstance(told.get("logprobs"), list) and told["logprobs"]:
            items = told["logprobs"]
            nested = isinstance(items[0], list)  # the Responses API: one list per part
            draft.write("logprobs", format_typed([{"content": part} for part in (items if nested else [items])]))
            return


_STRING: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_TOKEN: Final = re.compile(
    rf"(?P<kind>ChatCompletionTokenLogprob|TopLogprob)\(token=(?P<token>{_STRING}), bytes=(?:None|\[[\d, ]*\]), "
    r"logprob=(?P<logprob>-?[\d.]+(?:e[+-]?\d+)?)"
)


def write_repr(draft: Draft, text: str) -> None:
    """The same for the Python ``repr`` of a ``ChatCompletion`` (smolagents)."""
    choices = [found for part in text.split("ChoiceLogprobs(")[1:] if (found := _tokens(part))]
    if choices:
        draft.write("logprobs", format_typed([{"content": content} for content in choices]))


def _tokens(text: str) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    for match in _TOKEN.finditer(text):
        item = {"token": whole(ast.literal_eval(match["token"])), "logprob": float(match["logprob"])}
        if match["kind"] == "TopLogprob" and content:
            content[-1].setdefault("top_logprobs", []).append(item)
        else:
            content.append(item)
    return content
