from __future__ import annotations

import json
from typing import Any

import pytest

from otel_audit.model import EventType
from otel_audit.reports._tables import entry_table, printable, timeline_lines, trace_lines
from otel_audit.reports.narrate import duration_words, facts, headline, messages, plain_text, verdict
from otel_audit.semconv import AUDIT_ACTION, AUDIT_LOSS_COUNT, AUDIT_LOSS_REASON, AUDIT_TARGET_ID
from tests.unit.test_export import row_of

SECOND = 1_000_000_000


def event(event_type: str, at: float = 0, ends: float | None = None, **values: Any) -> dict[str, Any]:
    begun = round(at * SECOND)
    end = begun if ends is None else round(ends * SECOND)
    return row_of(event_type=event_type, event_time=begun, end_time=end, record_kind="span", **values)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"event_type": "review", "reviewer_id": "u_102", "decision": "approved"}, "u_102 approved the AI draft"),
        ({"event_type": "review", "reviewer_id": "u_102", "decision": "modified"}, "u_102 changed the AI draft"),
        ({"event_type": "review", "reviewer_id": "u_1", "decision": "needs_docs"}, "u_1 decided “needs_docs”"),
        (
            {"event_type": "review", "reviewer_id": "u_1", "decision": "approved", "is_override": True},
            "u_1 approved the AI draft, against the AI's proposal",
        ),
        ({"event_type": "review"}, "somebody reviewed the AI draft"),
        (
            {"event_type": "ai_call", "request_model": "gpt-4o-mini", "operation": "chat", "duration_ms": 7000.0},
            "gpt-4o-mini answered (chat, 7 s)",
        ),
        (
            {"event_type": "ai_call", "response_model": "m-2", "request_model": "m", "error_type": "rate_limit"},
            "m-2 failed: rate_limit",
        ),
        ({"event_type": "ai_call", "status": "error"}, "an AI model failed: an error"),
        (
            {"event_type": "escalation", "from_reviewer": "u_102", "to_reviewer": "u_7", "escalation_level": 2},
            "u_102 escalated to u_7 (level 2)",
        ),
        ({"event_type": "escalation", "reviewer_id": "u_102"}, "u_102 escalated"),
        (
            {"event_type": "resolution", "reviewer_id": "u_7", "resolution": "approved_with_changes"},
            "u_7 resolved the task: approved with changes",
        ),
        (
            {"event_type": "evaluation", "evaluation_name": "tone", "score": 0.5, "score_label": "ok"},
            "evaluation tone: 0.5 (ok)",
        ),
        ({"event_type": "tool_call", "tool_name": "lookup", "duration_ms": 120.0}, "tool lookup ran (120 ms)"),
        (
            {"event_type": "task.created", "task_id": "t", "task_kind": "credit_decision"},
            "task t was created (credit decision)",
        ),
        (
            {
                "event_type": "access",
                "actor_id": "a",
                "attributes": {AUDIT_ACTION: "EXPORT", AUDIT_TARGET_ID: "reviews"},
            },
            "a exported reviews",
        ),
        (
            {
                "event_type": "loss",
                "attributes": {AUDIT_LOSS_REASON: "queue_full"},
                "attributes_json": {AUDIT_LOSS_COUNT: "9"},
            },
            "9 records were lost: queue full",
        ),
        ({"event_type": "span", "service": "gw", "name": "POST /x", "status": "error"}, "gw: POST /x failed: an error"),
        ({"event_type": "log", "service": "gw", "name": "started"}, "gw logged started"),
        ({"event_type": "brand_new", "actor_id": "bot"}, "bot: brand new"),
        ({}, "something: an event without a type"),
    ],
)
def test_headlines(row: dict[str, Any], sentence: str) -> None:
    """An entry is told in one sentence, with its own words where it has some, and without what it lacks."""
    assert headline(row) == sentence


@pytest.mark.parametrize("event_type", [*EventType, "unknown"])
def test_every_type_can_be_told_from_an_empty_row(event_type: str) -> None:
    """Each event type has a sentence even when all else is empty."""
    assert headline(row_of(event_type=event_type))
    assert headline({"event_type": event_type})
    assert facts(row_of(event_type=event_type)) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (float("nan"), ""),
        (float("inf"), ""),
        (0, "0 ms"),
        (0.9996, "1 s"),
        (1.44, "1.4 s"),
        (2.96, "3 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (86_400 * 3, "3 d"),
        (-5, "-5 s"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    """A duration is told in at most two units; what is unknown is not told."""
    assert duration_words(seconds) == words


def test_verdict_tells_the_whole_story_in_a_sentence() -> None:
    """A task's sentence names the models, what each person decided, how it ended and how long it took."""
    rows = [
        event("span", 0),
        event("ai_call", 1, 8, response_model="gpt-4o-mini", span_id="x", seq=1),
        event("ai_call", 9, 10, response_model="gpt-4o-mini", duplicate_of="x", seq=2),
        event("review", 20, 80, reviewer_id="u_102", decision="modified", active_seconds=51.0),
        event("escalation", 90, from_reviewer="u_102", to_reviewer="u_7", escalation_level=2),
        event("resolution", 840, reviewer_id="u_7", resolution="approved_with_changes"),
    ]
    assert verdict(rows) == (
        "gpt-4o-mini answered, u_102 changed the AI draft after 51 s, u_102 escalated to u_7 (level 2), "
        "and u_7 resolved it as approved with changes. 14 min from first to last event."
    )
    assert verdict([rows[1], event("ai_call", 2, 3, request_model="b", status="error")]) == (
        "gpt-4o-mini and b answered 2 times (1 of 2 calls failed), and no review is recorded. "
        "7 s from first to last event."
    )
    assert verdict([event("review", reviewer_id="u")]) == "u reviewed the AI draft, and no resolution is recorded."
    assert verdict([event("span")]) == "No review is recorded."
    assert verdict([]) == "Nothing is recorded for this task."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("[not json", "[not json"),
        ("[1, 2]", "[1, 2]"),
        ('{"a": 1}', '{"a": 1}'),
        ("[" * 100_000, "[" * 100_000),
        ('[{"type": "text", "content": "be kind"}]', "be kind"),
        ('[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null}]', "user: Hi\nassistant: "),
        (
            json.dumps(
                [
                    {
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [{"function": {"name": "f", "arguments": '{"x":1}'}}],
                    }
                ]
            ),
            'assistant: [calls f({"x":1})]',
        ),
        (
            json.dumps(
                [
                    {
                        "role": "user",
                        "parts": [{"type": "text", "content": "a"}, {"type": "uri", "modality": "image", "uri": "u"}],
                    },
                    {"role": "tool", "parts": [{"type": "tool_call_response", "response": {"ok": True}}]},
                ]
            ),
            'user: a\n[image: u]\ntool: [tool answered: {"ok": true}]',
        ),
        ('[{"role": "user", "content": [{"type": "text", "text": "hey"}]}]', "user: hey"),
    ],
)
def test_texts_of_messages(content: str, text: str) -> None:
    """Messages in either form become their words; any other text stays exactly as it is."""
    assert plain_text(content) == text


def test_messages_keep_their_roles() -> None:
    """Each message comes with who said it."""
    assert messages('[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]') == [
        ("user", "q"),
        ("assistant", "a"),
    ]


def test_timeline_shows_gaps_and_hides_technical_records() -> None:
    """A timeline has each step at its exact time, says where nothing happened, and how many records it leaves out."""
    rows = [
        event("ai_call", 0, 5, response_model="m", trace_id="a" * 32, span_id="x", origin="o", seq=3),
        event("span", 4, 5, service="s", origin="o", seq=4),
        event(
            "review",
            3605,
            3660,
            reviewer_id="u",
            decision="approved",
            content={"rationale": "all\ngood"},
            origin="o",
            seq=5,
        ),
        event("ai_call", 3700, 3701, response_model="m", duplicate_of="x", origin="o", seq=6),
    ]
    text = "\n".join(timeline_lines("t", rows, everything=False, texts=False))
    assert "1970-01-01T01:01:00.000000000Z  u approved the AI draft" in text
    assert "... 1 h without an event ..." in text
    assert "“all good”" in text
    assert "2 technical records not shown" in text
    assert "4 entries in the ledger: o #3 to #6." in text
    assert f"otel-audit trace {'a' * 32}" in text
    everything = "\n".join(timeline_lines("t", rows, everything=True, texts=True))
    assert "not shown" not in everything
    assert "    rationale:\n        all\n        good" in everything


def test_timeline_says_what_was_erased() -> None:
    """A text that the entry commits to but that is gone is shown as erased."""
    rows = [event("review", reviewer_id="u", content_commitments={"rationale": "ab"})]
    assert "(erased)" in "\n".join(timeline_lines("t", rows, everything=False, texts=True))


def test_trace_is_a_tree_with_every_entry_once() -> None:
    """A trace shows each entry once below its parent, marks errors, and survives loops, orphans and repeated ids."""
    rows = [
        event("span", 0, 2, span_id="a", service="gw", name="root"),
        event("ai_call", 0.5, 1, span_id="b", parent_span_id="a", response_model="m", status="error", service="ai"),
        event("span", 0.6, span_id="b", parent_span_id="a", name="same id"),
        {**event("log", 0.7, span_id="b", name="noted"), "record_kind": "log"},
        event("span", 0.8, span_id="x", parent_span_id="y", name="loop"),
        event("span", 0.9, span_id="y", parent_span_id="x", name="loop too"),
        event("span", 1, span_id="o", parent_span_id="missing", name="orphan"),
    ]
    lines = trace_lines("f" * 32, rows)
    assert lines[1].startswith("7 entries from gw, ai, (no service name); 2 s, 1 error.")
    tree = [line[15:] for line in lines[3:10]]
    assert tree == [
        "gw: root",
        "  ai: m failed: an error",
        "    a service logged noted",
        "  a service: same id",
        "a service: orphan",
        "a service: loop",
        "  a service: loop too",
    ]
    assert [line[13] for line in lines[3:10]] == [" ", "!", " ", " ", " ", " ", " "]


def test_a_deep_trace_is_shown() -> None:
    """A chain of very many spans is shown without running out of stack."""
    rows = [event("span", n, span_id=str(n + 1), parent_span_id=str(n)) for n in range(5000)]
    assert len(trace_lines("f" * 32, rows)) > 5000


def test_a_table_fits_and_can_not_drive_the_terminal() -> None:
    """Lines of the table fit the width, and control characters of the data never reach the terminal."""
    lines = entry_table([event("review", task_id="t" * 99, reviewer_id="u" * 200), event("span")], width=80)
    assert max(map(len, lines)) <= 80
    assert printable("a\x1b]0;x\x07\x9b\u202eb\n") == "a\\x1b]0;x\\x07\\x9b\\u202eb\\n"
