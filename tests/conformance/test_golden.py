"""What a reader is told about captured AI calls."""

from __future__ import annotations

import json

import pytest

from tests.conformance.captures import events
from tests.regenerate_golden import FOLDERS, GOLDEN, golden


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
