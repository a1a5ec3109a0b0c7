"""Approvals by a person that a record tells beside what it is itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_audit.ledger.encoding import encode_event
from otel_audit.model import AuditEvent
from tests.conformance.captures import events
from tests.unit.convention_events import log, spans

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}


def resumed(resume: Any, **attributes: Any) -> list[AuditEvent]:
    """The events of a LangGraph run that was resumed with a value."""
    sent = {"graph": None, "update": None, "resume": resume, "goto": []}
    return spans({"openinference.span.kind": "CHAIN", "input.value": json.dumps(sent), **attributes}, name="graph")


def answered(*messages: dict[str, Any], **fields: Any) -> list[AuditEvent]:
    """The events of an AI call with these messages."""
    return spans({**CHAT, "gen_ai.input.messages": json.dumps(messages)}, **fields)


def response(**fields: Any) -> dict[str, Any]:
    """A message that answers a request for approval."""
    return {"role": "user", "parts": [{"type": "function_approval_response", **fields}]}


def test_an_approval_is_an_event_of_its_own() -> None:
    """The run stays a span; the decision is a review below it, in its trace, by a person whom nobody named."""
    run, review = resumed({"decisions": [{"type": "approve"}]}, **{"session.id": "t1", "audit.task.id": "loan-1"})
    assert run.columns["event_type"] == "span"
    assert "remarks" not in run.columns
    columns = review.columns
    assert columns["event_type"] == "review"
    assert columns["decision"] == "approved"
    assert columns["event_id"] == f"{run.columns['event_id']}/approval/0"
    assert (columns["trace_id"], columns["parent_span_id"]) == (run.columns["trace_id"], run.columns["span_id"])
    assert (columns["conversation_id"], columns["task_id"]) == ("t1", "loan-1")
    assert columns["remarks"] == ["derived", "reviewer_unknown"]
    assert not columns.keys() & {"reviewer_id", "actor_id", "actor_type", "span_id"}
    assert columns["event_time"] == run.columns["event_time"]
    encode_event(review, dict.fromkeys(review.content, bytes(32)))


@pytest.mark.parametrize(
    ("item", "decision", "content"),
    [
        ({"type": "approve"}, "approved", {}),
        ({"type": "accept"}, "approved", {}),
        ({"type": "reject", "message": "no income"}, "rejected", {"rationale": "no income"}),
        ({"type": "edit", "edited_action": {"name": "f", "args": {"a": 1}}}, "modified", {"after": True}),
        ({"type": "respond"}, "respond", {}),
        ({}, "undetermined", {}),
    ],
)
def test_langgraph_decisions(item: dict[str, Any], decision: str, content: dict[str, Any]) -> None:
    """Each kind of decision is told, with its reason and what was changed as content."""
    _, review = resumed({"decisions": [item]})
    assert review.columns["decision"] == decision
    assert review.content.keys() == content.keys()
    assert review.content.get("rationale") == content.get("rationale")
    assert ("decision_not_stated" in review.columns["remarks"]) == (decision == "undetermined")


def test_several_decisions_of_one_run() -> None:
    """Each decision of a run is an event, also where several interrupts were answered by their ids."""
    run, *reviews = resumed({"i1": {"decisions": [{"type": "approve"}, {"type": "reject"}]}, "i2": {"decisions": [{}]}})
    assert [review.columns["decision"] for review in reviews] == ["approved", "rejected", "undetermined"]
    assert len({event.columns["event_id"] for event in (run, *reviews)}) == 4


@pytest.mark.parametrize("resume", [None, True, "yes", {"answer": 5}, {"decisions": 5}, {"decisions": ["approve"]}])
def test_what_is_no_decision_is_none(resume: Any) -> None:
    """A run resumed with anything else tells no decision."""
    assert len(resumed(resume)) == 1


def test_a_text_about_decisions_is_none() -> None:
    """Words in a prompt, or JSON cut off, are no decision."""
    for text in ('say "resume" and "decisions"', '{"resume": {"decisions": [{"type": "app'):
        assert len(spans({"openinference.span.kind": "CHAIN", "input.value": text})) == 1


@pytest.mark.parametrize(
    ("approved", "decision"), [(True, "approved"), (False, "rejected"), ("true", "approved"), (None, "undetermined")]
)
def test_approval_responses_in_messages(approved: Any, decision: str) -> None:
    """An AI call whose input answers a request for approval is a call, and the answer a review."""
    call = {"call_id": "c1", "name": "pay_out", "arguments": {}}
    ai_call, review = answered(
        {"role": "assistant", "parts": [{"type": "function_approval_request", "id": "r1", "function_call": call}]},
        response(id="r1", approved=approved, function_call=call, reason="ok with me"),
    )
    assert ai_call.columns["event_type"] == "ai_call"
    columns = review.columns
    assert (columns["decision"], columns["tool_name"], columns["tool_call_id"]) == (decision, "pay_out", "c1")
    assert columns["event_id"].endswith("/approval/c1")
    assert review.content == {"rationale": "ok with me"}
    assert "ok with me" not in repr(columns)


def test_an_answer_is_told_once() -> None:
    """Answers before the model's last message were told by an earlier call; the same answer twice is one."""
    again = [response(id="r1", approved=True), {"role": "assistant", "parts": []}]
    assert len(answered(*again, {"role": "user", "parts": []})) == 1
    assert len(answered(response(id="r1", approved=True), response(id="r1", approved=True))) == 2
    assert len(answered(response(id="r1", approved=True), response(id="r2", approved=True))) == 3


def test_a_request_for_approval_is_remarked() -> None:
    """A call that asks for approval is remarked: nobody has decided anything yet."""
    output = [{"role": "assistant", "parts": [{"type": "function_approval_request", "id": "r1"}]}]
    (event,) = spans({**CHAT, "gen_ai.output.messages": json.dumps(output)})
    assert event.columns["remarks"] == ["approval_requested"]


def test_a_resource_with_odd_names_is_told_with_the_approval() -> None:
    """An approval has its span's service, and texts that its columns only point to."""
    long_scope = "s" * 300
    _, review = spans(
        {"openinference.span.kind": "CHAIN", "input.value": '{"resume": {"decisions": [{"type": "approve"}]}}'},
        scope=long_scope,
    )
    assert review.columns["scope_name"] == "content:scope_name"
    assert review.content == {"scope_name": long_scope}


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("openinference-langchain", ["approved"]),
        ("traceloop-langchain", ["approved"]),
        ("pydantic-ai", ["undetermined"] * 6),
        ("logfire", ["undetermined"] * 2),
        ("genai-langchain", []),  # it does not send what the run was resumed with
        ("genai-openai-agents", []),
    ],
)
def test_captured_approvals(folder: str, told: list[str]) -> None:
    """The captured approvals are told; a decision that no record states is not made up."""
    reviews = [event for event in events(folder) if event.columns["event_type"] == "review"]
    assert [review.columns["decision"] for review in reviews] == told
    for review in reviews:
        assert "reviewer_id" not in review.columns
        assert "derived" in review.columns["remarks"]


def test_an_undetermined_answer_keeps_the_words_and_the_call() -> None:
    """Where only the answer to a guarded tool call is known, it is kept, and the call's id finds its execution."""
    found = list(events("pydantic-ai"))
    reviews = [event for event in found if event.columns["event_type"] == "review"]
    assert [review.content["tool_result"] for review in reviews[:2]] == [
        "Reviewer Ann Poe: income not verified",
        "paid",
    ]
    executed = {event.columns["tool_call_id"] for event in found if event.columns["event_type"] == "tool_call"}
    assert reviews[1].columns["tool_call_id"] in executed


# --- log events of coding agents


@pytest.mark.parametrize(
    ("decision", "source", "event_type", "told"),
    [
        ("accept", "user_temporary", "review", "approved"),
        ("reject", "user_reject", "review", "rejected"),
        ("approved_for_session", "user", "review", "approved"),
        ("accept", "config", "log", None),
        ("accept", "hook", "log", None),
        ("accept", "", "log", None),
        (None, "user_reject", "log", None),
    ],
)
def test_tool_decisions(decision: Any, source: str, event_type: str, told: str | None) -> None:
    """A person's decision is a review; one by a setting or a rule, or without a source, is none."""
    attributes = {"tool_name": "Bash", "source": source, "session.id": "s1", "tool_use_id": "c1", "user.id": "u1"}
    if decision is not None:
        attributes["decision"] = decision
    event = log("claude_code.tool_decision", attributes)
    assert event.columns["event_type"] == event_type
    assert event.columns.get("decision") == told
    assert (event.columns["tool_name"], event.columns["tool_call_id"], event.columns["user_id"]) == ("Bash", "c1", "u1")
    assert "reviewer_id" not in event.columns
    assert event.columns.get("remarks", []) == (["reviewer_unknown"] if told else [])


def test_an_agents_other_events() -> None:
    """A request is an AI call with numbers that came as strings, a result a tool call with its arguments."""
    request = log("api_request", {"model": "m", "input_tokens": "57", "output_tokens": "21", "cache_read_tokens": "16"})
    assert request.columns["event_type"] == "ai_call"
    assert (request.columns["input_tokens"], request.columns["cache_read_tokens"]) == (57, 16)
    failed = log("claude_code.api_error", {"model": "m", "status_code": "529"})
    assert (failed.columns["status"], failed.columns["error_type"]) == ("error", "529")
    result = log("claude_code.tool_result", {"tool_name": "Bash", "tool_parameters": '{"command":"ls"}'})
    assert result.columns["event_type"] == "tool_call"
    assert result.content["tool_arguments"] == '{"command":"ls"}'
