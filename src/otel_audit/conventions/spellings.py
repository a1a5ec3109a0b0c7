"""One spelling for what producers spell in many ways: finish reasons and providers.

What was sent stays in the attributes; these are the words of the columns, so that one search finds all.
"""

from __future__ import annotations

from typing import Final

from otel_audit.conventions.draft import name
from otel_audit.conventions.values import Value, parse_json

# In the words of the OTel GenAI message schema: stop, length, tool_call, content_filter, error.
_REASONS: Final = {
    **dict.fromkeys(
        ("stop", "end_turn", "stop_sequence", "completed", "complete", "finished", "eos", "eos_token", "eos_found"),
        "stop",
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded", "token_limit"),
        "length",
    ),
    **dict.fromkeys(("tool_call", "tool_calls", "tool_use", "function_call", "function_calls"), "tool_call"),
    **dict.fromkeys(
        (
            "content_filter",
            "content_filtered",
            "safety",
            "refusal",
            "guardrail_intervened",
            "blocklist",
            "prohibited_content",
            "recitation",
            "spii",
        ),
        "content_filter",
    ),
    **dict.fromkeys(("error", "failed"), "error"),
}
# Instrumentations that give their own name, or their framework's, where the provider belongs.
_FRAMEWORKS: Final = frozenset(
    [
        "agno",
        "autogen",
        "crewai",
        "haystack",
        "langchain",
        "langgraph",
        "llama_index",
        "llamaindex",
        "openai_agents",
        "pydantic_ai",
        "semantic_kernel",
        "smolagents",
        "strands_agents",
        "traceloop",
        "unknown",
    ]
)
_PARTS_OF_AN_API: Final = frozenset(["chat", "completion", "embedding", "generative-ai", "messages", "responses"])
_LIMIT: Final = 1 << 10
_providers: dict[str, str] = {}


def reason(value: Value) -> str | None:
    """A finish reason in the one spelling; one nobody knows in lower case. None for what is no name."""
    text = name(value)
    if text is None:
        return None
    word = text.rsplit(".", 1)[-1].lower().replace("-", "_")  # FinishReason.STOP, tool-calls
    return _REASONS.get(word, word)


def reasons(value: Value) -> list[str] | None:
    """Finish reasons, one per choice: a list, a JSON list as a string, or names with commas between them."""
    if type(value) is list and len(value) == 1 and type(value[0]) is str and value[0] in _REASONS:
        return [_REASONS[value[0]]]  # by far the most frequent
    if isinstance(value, str):
        value = _listed(value)
    items = value if isinstance(value, list) else [value]
    result = [word for word in map(reason, items) if word is not None]
    return result or None


def _listed(text: str) -> list[Value]:
    if text[:1] in ("[", '"'):
        try:
            parsed = parse_json(text)
        except ValueError:
            parsed = text
        return parsed if isinstance(parsed, list) else [parsed]
    return text.split(", ")


def provider(value: Value) -> str | None:
    """A provider's name in lower case, ``openai`` for ``OpenAI`` and ``openai.chat``; "" for a framework's name."""
    if type(value) is str and value in _providers:
        return _providers[value]
    text = name(value)
    if text is None:
        return None
    known = _providers.get(text)
    if known is None:
        if len(_providers) >= _LIMIT:
            _providers.clear()
        known = _providers[text] = _provider(text.lower())
    return known


def _provider(text: str) -> str:
    head, _, tail = text.rpartition(".")
    if head and tail in _PARTS_OF_AN_API:
        text = head
    return "" if text.replace("-", "_") in _FRAMEWORKS else text
