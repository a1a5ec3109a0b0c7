"""Whatever a producer writes into the attributes that conventions read, the record becomes an entry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_audit.ledger.encoding import encode_event
from otel_audit.model import AuditEvent
from tests.unit.convention_events import spans

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}
HALF = "\\ud800"  # in JSON: half of a surrogate pair
DEEP = "[" * 100_000
REPR = json.dumps(
    {
        "raw": "ChatCompletion(id='\\ud800', x=ChoiceLogprobs(content=[ChatCompletionTokenLogprob("
        "token='\\ud800', bytes=None, logprob=-0.1)]))"
    }
)
ODD_JSON = [
    f'{{"id": "{HALF}", "model": "{HALF}", "role": "{HALF}", "{HALF}": 1}}',
    f'[{{"role": "user", "content": "{HALF}"}}]',
    f'{{"choices": [{{"finish_reason": "{HALF}", "logprobs": {{"content": ["{HALF}"]}}}}]}}',
    f'{{"resume": {{"decisions": [{{"type": "{HALF}", "message": "{HALF}"}}]}}}}',
    f'{{"inputs": "{HALF}", "kwargs": {{"tool_call_id": "{HALF}"}}, "output": {{"kwargs": {{"content": "{HALF}"}}}}}}',
    REPR,
    DEEP,
    '{"a":' * 100_000,
    '{"messages": ' + "[" * 900 + "]" * 900 + "}",
    '{"messages": [null, 5, "x", [], {"role": 5}, {"role": "user", "content": {"a": [1]}, "tool_calls": 5}]}',
    '{"generations": [5, [5], [{"message": 5, "generation_info": 5}]], "llm_output": 5, "choices": "x"}',
    '{"input": -1, "output": 1e400, "prompt_tokens_details": 5}',
    "NaN",
    '"x',
    "[]",
    "{}",
]
READ = {
    "openinference": (
        {"openinference.span.kind": "LLM"},
        ["input.value", "output.value", "metadata", "llm.invocation_parameters", "llm.tools.0.tool.json_schema"],
    ),
    "openinference tool": ({"openinference.span.kind": "TOOL"}, ["input.value", "output.value"]),
    "openinference chain": ({"openinference.span.kind": "CHAIN"}, ["input.value", "output.value"]),
    "vercel": (
        {"ai.operationId": "ai.generateText.doGenerate"},
        ["ai.prompt.messages", "ai.response.toolCalls", "ai.response.providerMetadata", "ai.prompt.toolChoice"],
    ),
    "langfuse": (
        {"langfuse.observation.type": "generation"},
        [
            "langfuse.observation.input",
            "langfuse.observation.output",
            "langfuse.observation.usage_details",
            "langfuse.observation.model.parameters",
        ],
    ),
    "langsmith": ({"langsmith.span.kind": "llm"}, ["gen_ai.prompt", "gen_ai.completion"]),
    "openllmetry": ({"llm.request.type": "chat"}, ["gen_ai.prompt.0.content", "llm.request.functions.0.parameters"]),
    "openllmetry tool": ({"traceloop.span.kind": "tool"}, ["traceloop.entity.input", "traceloop.entity.output"]),
    "openllmetry workflow": (
        {"traceloop.span.kind": "workflow"},
        ["traceloop.entity.input", "traceloop.entity.output"],
    ),
    "otel_genai": (
        CHAT,
        [
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.response.finish_reasons",
            "gen_ai.system_instructions",
        ],
    ),
}


def _become_entries(found: list[AuditEvent]) -> None:
    for event in found:
        for text in event.content.values():
            text.encode()
        encode_event(event, dict.fromkeys(event.content, bytes(32)))


@pytest.mark.parametrize("text", ODD_JSON, ids=lambda text: text[:24])
@pytest.mark.parametrize("dialect", READ)
def test_odd_json_in_an_attribute_becomes_an_entry(dialect: str, text: str) -> None:
    """JSON that no text can hold, that is nested too deep, or of another form, is read or kept, and breaks nothing."""
    base, keys = READ[dialect]
    found = spans({**base, **dict.fromkeys(keys, text)})
    _become_entries(found)
    assert all("remarks" not in event.columns or "convention_failed" not in repr(event.columns) for event in found)


@pytest.mark.parametrize("value", [5, 1.5, True, None, b"\xff", [], [{"a": 1}], {"a": {"b": [None]}}, "", "x" * 300])
@pytest.mark.parametrize("dialect", READ)
def test_values_of_any_type_become_an_entry(dialect: str, value: Any) -> None:
    """A value of another type than its attribute should have is read or kept, and breaks nothing."""
    base, keys = READ[dialect]
    found = spans({**base, **dict.fromkeys(keys, value)})
    _become_entries(found)
    assert "convention_failed" not in json.dumps([event.columns.get("remarks", []) for event in found])
