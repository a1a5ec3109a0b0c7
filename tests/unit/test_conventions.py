"""What records of each convention become."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_audit import conventions, semconv
from otel_audit.conventions import audit, otel_genai, text
from otel_audit.ledger.schema import EVENT_COLUMNS
from otel_audit.model import AuditEvent
from otel_audit.receiver.decode import Decoder
from tests.conformance.captures import events
from tests.conformance.rebuild import add_pair, set_value

NOW = 1_795_500_000_000_000_000
DECODER = Decoder(b"k" * 32)


def span(attributes: dict[str, Any], **fields: Any) -> AuditEvent:
    """The event of a span with these attributes."""
    request = ExportTraceServiceRequest()
    record = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=NOW, end_time_unix_nano=NOW, **fields)
    )
    for key, value in attributes.items():
        add_pair(record.attributes, key, value)
    return DECODER.traces(request.SerializeToString(), NOW).events[0]


def log(name: str, attributes: dict[str, Any], body: Any = None, **fields: Any) -> AuditEvent:
    """The event of a log record with these attributes and this body."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(event_name=name, time_unix_nano=NOW, **fields)
    for key, value in attributes.items():
        add_pair(record.attributes, key, value)
    if body is not None:
        set_value(record.body, body)
    return DECODER.logs(request.SerializeToString(), NOW).events[0]


SAMPLED = {"trace_id": b"t" * 16, "span_id": b"s" * 8, "flags": 1}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}
MESSAGES = '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]'

# --- OTel GenAI


@pytest.mark.parametrize(
    ("operation", "event_type"),
    [
        *((name, "ai_call") for name in ("chat", "text_completion", "generate_content", "embeddings")),
        ("execute_tool", "tool_call"),
        *((name, "span") for name in ("invoke_agent", "create_agent", "invoke_workflow", "unheard_of")),
    ],
)
def test_genai_operations(operation: str, event_type: str) -> None:
    """A model call is an AI call, a tool's execution a tool call, and an agent's run a span."""
    event = span({**CHAT, "gen_ai.operation.name": operation, "gen_ai.usage.input_tokens": 5})
    assert event.columns["event_type"] == event_type
    assert event.columns["convention"] == "otel_genai"
    assert event.columns.get("input_tokens") == (5 if event_type == "ai_call" else None)  # agents repeat their calls'


def test_a_prompt_template_that_calls_itself_chat_is_no_call() -> None:
    """A span with operation chat that names no model and no provider is not an AI call."""
    assert span({"gen_ai.operation.name": "chat"}).columns["event_type"] == "span"


def test_the_schema_url_kind_and_status_decide_nothing() -> None:
    """A GenAI span is recognised by its attributes alone."""
    for fields in ({"kind": 1}, {"kind": 3}, {"kind": 0}):
        assert span(CHAT, **fields).columns["event_type"] == "ai_call"


@pytest.mark.parametrize("order", [1, -1])
def test_the_newer_attribute_counts(order: int) -> None:
    """Where an old and a new attribute tell the same, the new one counts, whichever came first."""
    attributes = [*CHAT.items(), ("gen_ai.system", "az.ai"), ("gen_ai.conversation.id", "c1"), ("session.id", "s1")]
    columns = span(dict(attributes[::order])).columns
    assert (columns["provider"], columns["conversation_id"]) == ("openai", "c1")


def test_configuration_keeps_types() -> None:
    """Stated settings are JSON values: an int stays an int, a string has quotes. The model is not among them."""
    event = span({**CHAT, "gen_ai.request.temperature": 0, "gen_ai.request.top_p": 1.0, "gen_ai.request.seed": "7"})
    assert dict(event.columns["configuration"]) == {"temperature": "0", "top_p": "1.0", "seed": '"7"'}


def test_a_long_setting_is_not_in_the_ledger() -> None:
    """A setting longer than the limit is the marker of its attribute's content."""
    event = span({**CHAT, "gen_ai.request.structured_output_schema": "x" * 300})
    assert dict(event.columns["configuration"]) == {
        "structured_output_schema": '"content:attributes.gen_ai.request.structured_output_schema"'
    }
    assert event.content["attributes.gen_ai.request.structured_output_schema"] == "x" * 300


def test_messages_in_the_common_form_are_kept_as_they_came() -> None:
    """Messages that are the common form already are stored once, letter for letter."""
    event = span({**CHAT, "gen_ai.input.messages": MESSAGES})
    assert event.content == {"input": MESSAGES}
    assert ("gen_ai.input.messages", "content:input") in event.columns["attributes"]


def test_structured_messages_are_the_same_form() -> None:
    """Messages that came as a structured value are the same JSON."""
    event = span({**CHAT, "gen_ai.input.messages": json.loads(MESSAGES)})
    assert event.content == {"input": MESSAGES}
    assert event.columns["attributes_json"] == [("gen_ai.input.messages", '"content:input"')]


@pytest.mark.parametrize(
    ("raw", "content"),
    [("just a prompt", "just a prompt"), ('[{"role":"user","con', '[{"role":"user","con'), ('{"a":1}', '{"a":1}')],
)
def test_what_is_no_list_of_messages_becomes_one_message(raw: str, content: str) -> None:
    """Plain text, cut-off JSON or other JSON becomes one message; the raw text is kept too."""
    event = span({**CHAT, "gen_ai.input.messages": raw})
    assert json.loads(event.content["input"]) == [{"role": "user", "parts": [{"type": "text", "content": content}]}]
    assert event.content["attributes.gen_ai.input.messages"] == raw


def test_chat_style_messages_are_converted() -> None:
    """Messages of the chat-completions style (role and content) are put into the common form."""
    raw = json.dumps(
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "u"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ]
    )
    assert json.loads(span({**CHAT, "gen_ai.input.messages": raw}).content["input"]) == [
        {
            "role": "user",
            "parts": [{"type": "text", "content": "hi"}, {"type": "uri", "modality": "image", "uri": "u"}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "done"}]},
    ]


@pytest.mark.parametrize("gap", ["", " "])
def test_system_instructions_are_found_among_the_messages(gap: str) -> None:
    """A system message in the input is told as system instructions, however the producer spaces its JSON."""
    system = [{"type": "text", "content": 'say },{"role": in quotes'}]
    messages = [{"role": "system", "parts": system}, {"role": "user", "parts": []}]
    raw = json.dumps(messages, separators=("," + gap, ":" + gap))
    for _ in range(2):  # the second time from memory
        event = span({**CHAT, "gen_ai.input.messages": raw})
        assert json.loads(event.content["system_instructions"]) == system
    late = json.dumps([*messages[::-1], {"role": "system", "parts": system}], separators=("," + gap, ":" + gap))
    assert json.loads(span({**CHAT, "gen_ai.input.messages": late}).content["system_instructions"]) == [
        *system,
        *system,
    ]


def test_tool_execution() -> None:
    """A tool's name, call id, arguments and result have their places."""
    event = span(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "lookup",
            "gen_ai.tool.call.id": "c1",
            "gen_ai.tool.call.arguments": {"email": "a@b"},
            "gen_ai.tool.call.result": "found",
        }
    )
    assert (event.columns["tool_name"], event.columns["tool_call_id"]) == ("lookup", "c1")
    assert event.content == {"tool_arguments": '{"email":"a@b"}', "tool_result": "found"}


def test_a_log_event_with_a_sampled_span_is_a_log() -> None:
    """The details event of a sampled span has the call's content, and leaves the call and its usage to the span."""
    attributes = {**CHAT, "gen_ai.input.messages": json.loads(MESSAGES), "gen_ai.usage.input_tokens": 5}
    event = log("gen_ai.client.inference.operation.details", attributes, **SAMPLED)
    assert event.columns["event_type"] == "log"
    assert event.content["input"] == MESSAGES
    assert "input_tokens" not in event.columns


@pytest.mark.parametrize("context", [{}, {**SAMPLED, "flags": 0}])
def test_a_log_event_without_a_span_is_the_call(context: dict[str, Any]) -> None:
    """Without a span context, or with one that was not sampled, the log event is the only one to tell the call."""
    attributes = {**CHAT, "gen_ai.usage.input_tokens": 5}
    event = log("gen_ai.client.inference.operation.details", attributes, **context)
    assert event.columns["event_type"] == "ai_call"
    assert event.columns["input_tokens"] == 5
    assert log("gen_ai.user.message", {}, {"content": "hi"}, **context).columns["event_type"] == "log"


def test_details_in_a_body() -> None:
    """Content that lies in the body of a details event is found there."""
    body = {"gen_ai.input.messages": MESSAGES, "gen_ai.output.messages": json.loads(MESSAGES)}
    event = log("gen_ai.client.inference.operation.details", CHAT, body, **SAMPLED)
    assert event.content["input"] == event.content["output"] == MESSAGES
    assert json.loads(event.content["body"])["gen_ai.input.messages"] == MESSAGES


def test_message_events_of_1_36() -> None:
    """The message events of 1.36 have input and output in their bodies, tool calls parsed."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"a": 1}'}}]
    cases = [
        ("gen_ai.system.message", {"content": "be kind"}, "input", "system", [{"type": "text", "content": "be kind"}]),
        ("gen_ai.user.message", {"content": "hi"}, "input", "user", [{"type": "text", "content": "hi"}]),
        (
            "gen_ai.assistant.message",
            {"tool_calls": calls},
            "input",
            "assistant",
            [{"type": "tool_call", "id": "c1", "name": "lookup", "arguments": {"a": 1}}],
        ),
        (
            "gen_ai.tool.message",
            {"id": "c1", "content": "found"},
            "input",
            "tool",
            [{"type": "tool_call_response", "id": "c1", "response": "found"}],
        ),
    ]
    for name, body, place, role, parts in cases:
        event = log(name, {"gen_ai.system": "openai"}, body, **SAMPLED)
        assert json.loads(event.content[place]) == [{"role": role, "parts": parts}]
        assert event.columns["provider"] == "openai"
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}
    event = log("gen_ai.choice", {"gen_ai.system": "openai"}, choice, **SAMPLED)
    assert json.loads(event.content["output"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "ok"}], "finish_reason": "stop"}
    ]
    assert event.columns["finish_reason"] == ["stop"]


def test_the_captured_1_36_call_can_be_read() -> None:
    """The logs of the captured 1.36 package tell prompt and answer."""
    found = [event for event in events("openai-v2") if event.columns.get("name") == "gen_ai.choice"]
    assert len(found) > 3
    assert all(json.loads(event.content["output"])[0]["role"] == "assistant" for event in found)


def test_evaluation() -> None:
    """An evaluation has its name, score, label, and its explanation as rationale."""
    event = log(
        "gen_ai.evaluation.result",
        {
            "gen_ai.evaluation.name": "Groundedness",
            "gen_ai.evaluation.score.value": 1,
            "gen_ai.evaluation.score.label": "pass",
            "gen_ai.evaluation.explanation": "ok",
            "gen_ai.response.id": "r1",
        },
    )
    columns = event.columns
    assert columns["event_type"] == "evaluation"
    assert (columns["evaluation_name"], columns["score"], columns["score_label"]) == ("Groundedness", 1.0, "pass")
    assert columns["response_id"] == "r1"
    assert event.content == {"rationale": "ok"}


# --- OpenInference


def test_openinference_tool_and_retriever() -> None:
    """A tool span tells arguments and result, a retriever the documents it found."""
    tool = span(
        {"openinference.span.kind": "TOOL", "tool.name": "lookup", "input.value": "{}", "output.value": "found"}
    )
    assert tool.columns["event_type"] == "tool_call"
    assert tool.content == {"tool_arguments": "{}", "tool_result": "found"}
    documents = {f"retrieval.documents.{n}.document.content": f"text {n}" for n in range(11)}
    retriever = span({"openinference.span.kind": "RETRIEVER", **documents})
    assert retriever.columns["event_type"] == "span"
    assert json.loads(retriever.content["context"])[10] == {"content": "text 10"}


def test_openinference_agents_have_no_usage() -> None:
    """An agent or chain repeats its calls' usage: it is a span, without token counts."""
    event = span({"openinference.span.kind": "AGENT", "llm.token_count.prompt": 5})
    assert event.columns["event_type"] == "span"
    assert "input_tokens" not in event.columns


def test_openinference_settings_leave_texts_out() -> None:
    """Of the invocation parameters only settings are told: no messages, tools, user or free text."""
    parameters = {"model": "m", "temperature": 0, "messages": [], "instructions": "be kind", "user": "u1", "n": 2}
    event = span({"openinference.span.kind": "LLM", "llm.invocation_parameters": json.dumps(parameters)})
    assert dict(event.columns["configuration"]) == {"temperature": "0", "n": "2"}
    assert (event.columns["request_model"], event.columns["user_id"]) == ("m", "u1")


# --- our own


def test_a_review() -> None:
    """A review span has its reviewer, decision and measures in columns, and its texts as content."""
    event = span(
        {
            semconv.AUDIT_EVENT_TYPE: "review",
            semconv.AUDIT_TASK_ID: "loan-1",
            semconv.AUDIT_REVIEWER_ID: "u1",
            semconv.AUDIT_REVIEW_DECISION: "modified",
            semconv.AUDIT_REVIEW_OVERRIDE: True,
            semconv.AUDIT_REVIEW_ACTIVE_SECONDS: 51,
            semconv.AUDIT_RATIONALE_CODE: ["policy.income_missing"],
            semconv.AUDIT_RATIONALE_TEXT: "payslip is old",
            semconv.AUDIT_CHANGE_BEFORE: "draft",
            semconv.AUDIT_CHANGE_AFTER: "text",
        }
    )
    expected = {
        "event_type": "review",
        "convention": "audit",
        "task_id": "loan-1",
        "reviewer_id": "u1",
        "actor_id": "u1",
        "actor_type": "user",
        "decision": "modified",
        "is_override": True,
        "active_seconds": 51.0,
        "rationale_code": ["policy.income_missing"],
    }
    assert {name: event.columns.get(name) for name in expected} == expected
    assert event.content == {"rationale": "payslip is old", "before": "draft", "after": "text"}


def test_an_escalation_is_by_the_one_who_escalated() -> None:
    """The reviewer of an escalation is the one it came from."""
    event = span(
        {
            semconv.AUDIT_EVENT_TYPE: "escalation",
            semconv.AUDIT_ESCALATION_FROM: "u1",
            semconv.AUDIT_ESCALATION_TO: "u7",
            semconv.AUDIT_ESCALATION_LEVEL: 2,
        }
    )
    columns = event.columns
    assert (columns["reviewer_id"], columns["from_reviewer"], columns["to_reviewer"]) == ("u1", "u1", "u7")
    assert columns["escalation_level"] == 2


@pytest.mark.parametrize("base", [CHAT, {"openinference.span.kind": "LLM"}, {"http.request.method": "GET"}])
def test_audit_attributes_count_on_any_record(base: dict[str, Any]) -> None:
    """Task, request id, prompt and confidence are honoured whatever else a span is."""
    event = span(
        {
            **base,
            semconv.AUDIT_TASK_ID: "t1",
            semconv.AUDIT_CONFIDENCE: 0.9,
            semconv.AUDIT_REQUEST_ID: "r1",
            semconv.AUDIT_PROMPT_VERSION: 3,
            semconv.AUDIT_RATIONALE_TEXT: "because",
        }
    )
    columns = event.columns
    assert (columns["task_id"], columns["request_id"], columns["prompt_version"]) == ("t1", "r1", "3")
    assert (columns["confidence"], columns["confidence_source"]) == (0.9, "given")
    assert event.content["rationale"] == "because"


@pytest.mark.parametrize("told", ["ledger.opened", "erasure", "retention", "nonsense", 5])
def test_a_producer_can_not_speak_for_the_trail(told: Any) -> None:
    """The trail's own event types, and unknown ones, are refused; the record stays what it is."""
    event = span({semconv.AUDIT_EVENT_TYPE: told})
    assert event.columns["event_type"] == "span"
    assert event.columns["remarks"] == ["event_type_refused"]


def test_a_log_with_a_record_id() -> None:
    """A record id of the producer's is the event's identity."""
    assert log("x", {semconv.AUDIT_RECORD_ID: "abc"}).columns["event_id"] == "record:abc"


# --- the rest


def test_an_unknown_record_is_complete() -> None:
    """A span of no known convention keeps all its attributes, typed, and names no convention."""
    event = span({"a": "x", "b": 5, "c": 5.0, "d": True, "e": [1, "2"], "f": {"g": b"\x00"}})
    assert "convention" not in event.columns
    assert event.columns["attributes"] == [("a", "x")]
    assert dict(event.columns["attributes_json"]) == {
        "b": "5",
        "c": "5.0",
        "d": "true",
        "e": '[1,"2"]',
        "f": '{"g":{"$bytes":"AA=="}}',
    }


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.input.messages",
        "gen_ai.system_instructions",
        "input.value",
        "llm.input_messages.3.message.content",
        "exception.message",
        "exception.stacktrace",
        "db.query.text",
        "db.statement",
        "anything.content",
        "some.unknown.text",
        "url.full",
        "http.url",
        "http.target",
        "ai.prompt.messages",
        "ai.response.toolCalls",
        "traceloop.entity.input",
        "langfuse.observation.output",
        "gen_ai.prompt.0.content",
        "gen_ai.prompt.variable.name",
        "http.request.header.cookie",
        "tool_arguments",
        "final_result",
        "user.email",
        "logfire.msg",
    ],
)
def test_text_by_key_is_content_whatever_its_length(key: str) -> None:
    """A short value under a key that means text is content."""
    event = span({key: "x"})
    assert event.content == {f"attributes.{key}": "x"}
    assert event.columns["attributes"] == [(key, f"content:attributes.{key}")]


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.request.model",
        "gen_ai.output.type",
        "http.route",
        "url.scheme",
        "url.template",
        "server.address",
        "error.type",
        "service.name",
        "http.response.header.x_request_id",
        "gen_ai.input.messages_ref",
        "llm.model_name",
        "input.mime_type",
        "code.function.name",
        "gen_ai.response.id",
        "llm.input_messages.0.message.role",
    ],
)
def test_names_and_ids_stay_searchable(key: str) -> None:
    """A short value under any other key stays in the attribute map."""
    assert span({key: "x"}).columns["attributes"] == [(key, "x")]


@pytest.mark.parametrize(
    ("value", "moved"), [("a" * 256, False), ("a" * 257, True), ("é" * 128, False), ("é" * 129, True)]
)
def test_the_limit_is_256_bytes(value: str, moved: bool) -> None:
    """A value of more than 256 bytes of UTF-8 is content whatever its key."""
    assert ("attributes.note_id" in span({"note_id": value}).content) is moved
    assert text.is_long(value) is moved


def test_a_value_that_looks_like_a_marker_is_content() -> None:
    """So a marker is never ambiguous."""
    event = span({"a": "content:input"})
    assert event.columns["attributes"] == [("a", "content:attributes.a")]
    assert event.content == {"attributes.a": "content:input"}


def test_long_names_and_ids_stay_out_of_the_ledger() -> None:
    """A name longer than the limit is content; a column that it would not fit is left empty, with a remark."""
    event = span({**CHAT, "gen_ai.response.model": "m" * 300}, name="n" * 300)
    assert event.columns["name"] == "content:name"
    assert event.content["name"] == "n" * 300
    assert "response_model" not in event.columns
    assert event.columns["remarks"] == ["unfit:response_model"]


def test_numbers_that_came_as_strings() -> None:
    """Counts and scores are read from strings; what is no number leaves the column null."""
    event = span(
        {**CHAT, "gen_ai.usage.input_tokens": "57", "gen_ai.usage.output_tokens": -1, semconv.AUDIT_CONFIDENCE: "0.5"}
    )
    assert event.columns["input_tokens"] == 57
    assert "output_tokens" not in event.columns
    assert event.columns["confidence"] == 0.5


def test_an_exception_is_the_error_of_a_failed_span_only() -> None:
    """A recorded exception names the error where the span failed; a handled one does not."""
    for code, expected in ((2, "ValueError"), (0, None)):
        request = ExportTraceServiceRequest()
        record = request.resource_spans.add().scope_spans.add().spans.add(name="x", status={"code": code})
        add_pair(record.events.add(name="exception").attributes, "exception.type", "ValueError")
        event = DECODER.traces(request.SerializeToString(), NOW).events[0]
        assert event.columns.get("error_type") == expected


def test_a_failing_convention_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convention that fails on a record leaves it a complete span, with a remark."""

    def fail(record: Any, draft: Any) -> None:
        draft.columns["provider"] = "half done"
        raise KeyError("bug")

    monkeypatch.setattr(otel_genai, "apply", fail)
    event = span({**CHAT, semconv.AUDIT_TASK_ID: "t1"})
    assert event.columns["event_type"] == "span"
    assert event.columns["task_id"] == "t1"
    assert "provider" not in event.columns
    assert event.columns["remarks"] == ["convention_failed:otel_genai"]
    assert len(event.columns["attributes"]) == 4


def test_what_is_logged_of_a_failing_convention_holds_no_value(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the convention, the exception's type and the place in the code, and nothing that was sent."""

    def fail(record: Any, draft: Any) -> None:
        raise ValueError(f"can not read {record.attributes!r} of {record.source.scope_name}")

    monkeypatch.setattr(otel_genai, "apply", fail)
    span({**CHAT, "user.name": "Jane Roe"}, name="Jane Roe's loan")
    (entry,) = caplog.records
    told = caplog.text + entry.getMessage() + repr(entry.args)
    assert re.search(r"otel_genai can not read a record: ValueError at test_conventions\.py:\d+", told)
    assert "Jane" not in told
    assert "openai" not in told
    assert entry.exc_info is None


def test_tables_name_columns() -> None:
    """Every column that a convention's table sets is a column of an entry."""
    names = {column.name for column in EVENT_COLUMNS}
    rules = 0
    for module in (audit, conventions, *conventions.CONVENTIONS):
        for table in (value for value in vars(module).values() if isinstance(value, dict)):
            for rule in table.values():
                if isinstance(rule, tuple) and callable(rule[-1]):
                    assert rule[0] in names
                    rules += 1
    assert rules > 200
