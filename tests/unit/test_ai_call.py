"""AI calls that an application records itself, by a real SDK tracer provider, and what the receiver makes of them."""

from __future__ import annotations

import asyncio
import gc
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_audit.instrumentation import Recorder, _faults
from otel_audit.instrumentation.sdk.processor import AuditSpanProcessor
from otel_audit.model import AuditEvent
from tests.conformance.captures import decode


class Recorded:
    """A recorder, and the audit events that the receiver makes of its spans."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(AuditSpanProcessor(None))
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.audit = Recorder(self.provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._kept.get_finished_spans()

    @property
    def events(self) -> list[AuditEvent]:
        return decode("traces", encode_spans(self.spans).SerializeToString()).events

    @property
    def event(self) -> AuditEvent:
        (event,) = self.events
        return event


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    monkeypatch.setattr(_faults, "_counts", type(_faults._counts)())
    monkeypatch.delenv("OTEL_AUDIT_CONFIDENCE_PATH", raising=False)
    return Recorded()


def test_a_call_has_everything_that_was_said(recorded: Recorded):
    """Input, configuration, prompt, output, usage, ids, documents and log probabilities arrive in their columns."""
    with (
        recorded.audit.task("loan-1", kind="credit_decision"),
        recorded.audit.ai_call(
            model="risk-7b",
            provider="in_house",
            input="Assess.",
            system_instructions="Be fair.",
            configuration={"temperature": 0.2, "seed": 7, "stop": ["END"]},
            prompt=("credit", "3.2"),
        ) as call,
    ):
        call.context("doc:4711", {"ref": "https://kb.example/a", "score": 0.8, "hash": "sha256:ab"})
        call.output(
            "Approve.",
            finish_reason="stop",
            usage={"input_tokens": 57, "completion_tokens": 2, "cache_read_tokens": 16},
            response_id="resp-1",
            response_model="risk-7b-2026",
            provider_request_id="req-1",
            logprobs=[{"token": "App", "logprob": -0.1, "bytes": [65]}, {"token": "rove.", "logprob": -0.3}],
        )
    event = recorded.events[-1]
    expected = {
        "event_type": "ai_call",
        "convention": "otel_genai",
        "operation": "chat",
        "provider": "in_house",
        "request_model": "risk-7b",
        "response_model": "risk-7b-2026",
        "response_id": "resp-1",
        "provider_request_id": "req-1",
        "prompt_name": "credit",
        "prompt_version": "3.2",
        "task_id": "loan-1",
        "task_kind": "credit_decision",
        "input_tokens": 57,
        "output_tokens": 2,
        "cache_read_tokens": 16,
        "finish_reason": ["stop"],
        "confidence": pytest.approx(math.exp(-0.2)),
        "confidence_source": "logprobs",
        "scope_name": "otel_audit",
    }
    assert {name: event.columns.get(name) for name in expected} == expected
    assert ("temperature", "0.2") in event.columns["configuration"]
    assert ("seed", "7") in event.columns["configuration"]
    assert json.loads(event.content["input"])[0]["parts"][0]["content"] == "Assess."
    assert json.loads(event.content["output"])[0]["parts"][0]["content"] == "Approve."
    assert json.loads(event.content["system_instructions"])[0]["content"] == "Be fair."
    assert json.loads(event.content["logprobs"]) == [
        {"content": [{"token": "App", "logprob": -0.1}, {"token": "rove.", "logprob": -0.3}]}
    ]
    refs = [{"ref": "doc:4711"}, {"ref": "https://kb.example/a", "score": 0.8, "hash": "sha256:ab"}]
    assert json.loads(event.content["context"]) == refs
    assert _faults.error_counts() == {}


def test_messages_are_taken_as_they_are(recorded: Recorded):
    """Roles, parts and structured answers keep their form; a structured answer is JSON text."""
    asked = [{"role": "system", "content": "Be fair."}, {"role": "user", "parts": [{"type": "text", "content": "?"}]}]
    with recorded.audit.ai_call(model="m", input=asked) as call:
        call.output({"decision": "approve"})
    event = recorded.event
    assert [message["role"] for message in json.loads(event.content["input"])] == ["system", "user"]
    (answer,) = json.loads(event.content["output"])
    assert json.loads(answer["parts"][0]["content"]) == {"decision": "approve"}


def test_an_exception_is_recorded_and_goes_on(recorded: Recorded):
    """What the application's code raises is on the record, and reaches the application as it was."""
    mine = KeyError("mine")
    with pytest.raises(KeyError) as raised, recorded.audit.ai_call(model="m"):
        raise mine
    assert raised.value is mine
    assert recorded.event.columns["status"] == "error"
    assert recorded.event.columns["error_type"] == "KeyError"


def test_functions_can_be_decorated(recorded: Recorded):
    """A decorated function, or coroutine function, is a call each time, and its result is the output."""

    @recorded.audit.ai_call(model="m")
    def plain(text: str) -> str:
        return f"answer to {text}"

    @recorded.audit.ai_call(model="m")
    async def awaited() -> list[dict[str, Any]]:
        return [{"role": "assistant", "content": "awaited"}]

    assert plain("a") == "answer to a"
    assert plain("b") == "answer to b"
    assert asyncio.run(awaited()) == [{"role": "assistant", "content": "awaited"}]
    outputs = [json.loads(event.content["output"])[0]["parts"][0]["content"] for event in recorded.events]
    assert outputs == ["answer to a", "answer to b", "awaited"]


def test_async_blocks_work(recorded: Recorded):
    """``async with`` records a call too."""

    async def call() -> None:
        async with recorded.audit.ai_call(model="m") as made:
            await asyncio.sleep(0)
            made.output("yes")

    asyncio.run(call())
    assert "output" in recorded.event.content


STRUCTURED = '```json\n{"assessment": {"confidence": 0.87}, "list": [{"a/b": 0.5}]}\n```'


@pytest.mark.parametrize(
    ("path", "given", "logprobs", "expected"),
    [
        ("assessment.confidence", 0.2, [-0.5], (0.2, "given")),
        ("assessment.confidence", None, [-0.5], (0.87, "parsed")),
        ("/list/0/a~1b", None, [-0.5], (0.5, "parsed")),
        ("list.0.missing", None, [-0.5], (pytest.approx(math.exp(-0.5)), "logprobs")),
        ("", None, [-0.5, -0.7], (pytest.approx(math.exp(-0.6)), "logprobs")),
        ("", None, None, (None, None)),
    ],
)
def test_where_a_confidence_comes_from(
    recorded: Recorded, path: str, given: float | None, logprobs: list[float] | None, expected: tuple[Any, Any]
):
    """Given comes before parsed, parsed before log probabilities, and the record says which it was."""
    with recorded.audit.prompt("p", confidence_path=path), recorded.audit.ai_call(model="m") as call:
        call.output(STRUCTURED, confidence=given, logprobs=logprobs)
    columns = recorded.event.columns
    assert (columns.get("confidence"), columns.get("confidence_source")) == expected


def test_a_confidence_given_in_the_block_counts(recorded: Recorded):
    """Given before or after the output, by the call or by audit.confidence, it is the call's."""
    with recorded.audit.ai_call(model="m") as call:
        call.confidence(0.3)
        call.output("x", logprobs=[-0.5])
    with recorded.audit.ai_call(model="m") as call:
        call.output("x", logprobs=[-0.5])
        recorded.audit.confidence(0.4)
    assert [event.columns["confidence"] for event in recorded.events] == [0.3, 0.4]
    assert [event.columns["confidence_source"] for event in recorded.events] == ["given", "given"]


@pytest.mark.parametrize("value", [1.5, -0.1, math.nan, "high", True, None])
def test_what_is_no_confidence_is_counted(recorded: Recorded, value: Any):
    """A confidence that is no number from 0 to 1 is not recorded, and counted."""
    with recorded.audit.ai_call(model="m"):
        recorded.audit.confidence(value)
    assert "confidence" not in recorded.event.columns
    assert _faults.error_counts() == {"confidence": 1}


def test_mistakes_cost_nothing_but_themselves(recorded: Recorded):
    """A wrong usage name, a reference without ref, an unreadable value: counted, and the rest is recorded."""

    class Unreadable:
        def __str__(self) -> str:
            raise RuntimeError

    with recorded.audit.ai_call(model="m", input="in", configuration={"odd": Unreadable()}) as call:
        call.context({"score": 1}, "doc:1")
        call.output("out", usage={"tokens": 3, "output_tokens": 2})
    event = recorded.event
    assert event.columns["output_tokens"] == 2
    assert json.loads(event.content["context"]) == [{"ref": "doc:1"}]
    assert {"output", "input"} <= event.content.keys()
    assert _faults.error_counts() == {"ai_call": 2, "context": 1}


def test_documents_without_a_block_are_counted(recorded: Recorded):
    """audit.context(...) that is never entered records nothing, and says so."""
    recorded.audit.context("doc:1")
    gc.collect()
    assert _faults.error_counts() == {"context": 1}


def test_documents_of_nested_blocks_add_up(recorded: Recorded):
    """A call in nested blocks has the documents of all of them."""
    tracer = recorded.provider.get_tracer("instrumentation")
    with recorded.audit.context("doc:1"), recorded.audit.context("doc:2"):
        tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}).end()
        tracer.start_span("GET", attributes={"http.request.method": "GET"}).end()
    chat, get = recorded.events
    assert [each["ref"] for each in json.loads(chat.content["context"])] == ["doc:1", "doc:2"]
    assert "context" not in get.content


def test_an_own_word_for_the_operation_is_an_ai_call(recorded: Recorded):
    """An operation that no convention knows is an AI call by our own word."""
    with recorded.audit.ai_call(model="m", operation="classify") as call:
        call.output("spam", usage={"input_tokens": 3})
    columns = recorded.event.columns
    assert (columns["event_type"], columns["operation"]) == ("ai_call", "classify")


def test_without_a_provider_nothing_breaks(monkeypatch: pytest.MonkeyPatch):
    """Where no SDK is set up the block runs, and it is counted that nothing was recorded."""
    monkeypatch.setattr(_faults, "_counts", type(_faults._counts)())
    from opentelemetry.trace import NoOpTracerProvider

    with Recorder(NoOpTracerProvider()).ai_call(model="m") as call:
        call.output("x")
    assert _faults.error_counts() == {"ai_call": 1}
