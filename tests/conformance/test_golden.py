"""What a reader is told about captured AI calls."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.conformance.captures import events
from tests.regenerate_golden import FOLDERS, GOLDEN, golden

# What a person counts in a folder's README and JSON: calls to a model, records that tell of them (more than calls where
# two instrumentations, or a span and a log record without context, tell of one), tool calls, approvals, evaluations.
COUNTED = {
    "double-instrumented": (5, 10, 0, 0, 0),
    "genai-anthropic": (10, 20, 0, 0, 0),
    "genai-langchain": (5, 5, 1, 0, 0),
    "genai-openai": (19, 19, 0, 0, 0),
    "genai-openai-agents": (4, 4, 3, 0, 0),
    "handmade-semconv": (1, 1, 0, 0, 2),
    "langfuse": (2, 2, 0, 0, 0),
    "logfire": (6, 6, 2, 2, 0),
    "multi-service": (4, 4, 0, 0, 0),
    "openai-v2": (10, 10, 0, 0, 0),
    "openinference-langchain": (4, 4, 1, 1, 0),
    "openinference-openai": (12, 12, 0, 0, 0),
    "openinference-smolagents": (2, 2, 2, 0, 0),
    "openlit": (12, 14, 0, 0, 0),
    "pydantic-ai": (18, 18, 6, 6, 0),
    "traceloop-langchain": (4, 4, 1, 1, 0),
    "traceloop-legacy-0.40": (3, 3, 1, 0, 0),
    "traceloop-openai": (16, 16, 0, 0, 0),
    "vercel-ai-sdk": (7, 7, 1, 0, 0),
}
USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_a_person_counts(folder: str) -> None:
    """As many calls, tool calls, approvals and evaluations are told as a person counts."""
    told = json.loads((GOLDEN / f"{folder}.json").read_text())
    kinds = Counter(event["event_type"] for event in told)
    calls = [event for event in told if event["event_type"] == "ai_call"]
    distinct = {call.get("response_id") or (call["trace_id"], call["span_id"]) for call in calls}
    assert COUNTED[folder] == (
        len(distinct), kinds["ai_call"], kinds["tool_call"], kinds["review"], kinds["evaluation"]
    )  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_usage_is_on_calls_only(folder: str) -> None:
    """No event but an AI call has usage, whatever its span or log record repeats."""
    for event in events(folder):
        if event.columns["event_type"] != "ai_call":
            assert not event.columns.keys() & set(USAGE), event.columns["name"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_golden(folder: str) -> None:
    """The AI calls, tool calls and evaluations of a capture are what the golden file (read by a person) says."""
    expected = (GOLDEN / f"{folder}.json").read_text()
    assert golden(list(events(folder))) == expected, "run `python -m tests.regenerate_golden` and read the diff"


@pytest.mark.parametrize("folder", FOLDERS)
def test_order_of_arrival_is_no_matter(folder: str) -> None:
    """Logs before spans or spans before logs: what is told is the same."""
    assert golden(list(events(folder))[::-1]) == golden(list(events(folder)))


def test_content_that_arrived_in_logs_is_told_with_its_call() -> None:
    """With EVENT_ONLY the span has no content; its log record, of the same trace and span, has it."""
    calls = json.loads((GOLDEN / "genai-openai.json").read_text())
    call = next(call for call in calls if call.get("response_id") == "chatcmpl-624b60c58c9d8bfb6ff1886c")
    assert call["content"]["input"][1]["parts"][0]["content"].startswith("Assess the loan application of Jane Roe")
    span = next(e for e in events("genai-openai") if e.columns.get("span_id") == call["span_id"])
    assert span.columns["event_type"] == "ai_call"
    assert "input" not in span.content
