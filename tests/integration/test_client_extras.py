"""Log probabilities, request ids and confidence from the real clients, beside the instrumentations of all makers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_audit as audit
from otel_audit import semconv
from otel_audit.instrumentation import Recorder
from otel_audit.instrumentation._clients import EXTRAS, ClientExtrasInstrumentor
from otel_audit.instrumentation._processor import TaskSpanProcessor
from tests.integration.fake_provider import ANSWER, FakeProvider, expected_confidence, logprobs, tokens

ASKED: list[Any] = [{"role": "user", "content": "Is the income enough?"}]
MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-5"
LOGPROBS = "message.output_text.logprobs"


class Watched:
    """A provider of spans whose spans are kept, and the model provider."""

    def __init__(self, models: FakeProvider) -> None:
        self.models = models
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(TaskSpanProcessor())
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.recorder = Recorder(self.provider)
        self.openai = openai.OpenAI(base_url=models.openai_url, api_key="test", max_retries=0)
        self.async_openai = openai.AsyncOpenAI(base_url=models.openai_url, api_key="test", max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=models.base_url, api_key="test", max_retries=0)

    def spans(self, scope: str = "") -> list[ReadableSpan]:
        return [span for span in self._kept.get_finished_spans() if scope in span.instrumentation_scope.name]

    def the_span(self, scope: str) -> dict[str, Any]:
        (span,) = self.spans(scope)
        return dict(span.attributes or {})

    @property
    def request_id(self) -> str:
        return self.models.calls[-1].request_id


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    with FakeProvider() as models:
        found = Watched(models)
        clients = ClientExtrasInstrumentor()
        clients.instrument(tracer_provider=found.provider)
        yield found
        clients.uninstrument()


def instrumentor(maker: str) -> Any:
    if maker == "genai":
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    elif maker == "openinference":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    return OpenAIInstrumentor()


SCOPES = {
    "genai": "opentelemetry.instrumentation.genai.openai",
    "openinference": "openinference.instrumentation.openai",
    "traceloop": "opentelemetry.instrumentation.openai.v1",
}


@pytest.fixture(params=[*SCOPES, "genai first"])
def scope(request: pytest.FixtureRequest, watched: Watched) -> Iterator[str]:
    """The scope of an instrumentation that is on, whichever of us was there first."""
    maker, _, first = request.param.partition(" ")
    clients = ClientExtrasInstrumentor()
    if first:
        clients.uninstrument()
    other = instrumentor(maker)
    other.instrument(tracer_provider=watched.provider)
    if first:
        clients.instrument(tracer_provider=watched.provider)
    yield SCOPES[maker]
    other.uninstrument()


def chat(watched: Watched) -> str:
    answer = watched.openai.chat.completions.create(model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2)
    return answer.choices[0].message.content or ""


def chat_stream(watched: Watched) -> str:
    stream = watched.openai.chat.completions.create(
        model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2, stream=True
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def async_chat(watched: Watched) -> str:
    async def call() -> str:
        answer = await watched.async_openai.chat.completions.create(
            model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2
        )
        return answer.choices[0].message.content or ""

    return asyncio.run(call())


def async_chat_stream(watched: Watched) -> str:
    async def call() -> str:
        stream = await watched.async_openai.chat.completions.create(
            model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    return asyncio.run(call())


def chat_raw(watched: Watched) -> str:
    raw = watched.openai.chat.completions.with_raw_response.create(
        model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2
    )
    return raw.parse().choices[0].message.content or ""


def responses(watched: Watched) -> str:
    return watched.openai.responses.create(model=MODEL, input="?", include=[LOGPROBS], top_logprobs=2).output_text


def responses_stream(watched: Watched) -> str:
    events = watched.openai.responses.create(model=MODEL, input="?", include=[LOGPROBS], top_logprobs=2, stream=True)
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


OPENAI = [chat, chat_stream, async_chat, async_chat_stream, chat_raw, responses, responses_stream]


def check_logprobs(attributes: dict[str, Any]) -> None:
    (choice,) = json.loads(attributes[semconv.AUDIT_LOGPROBS])
    assert "".join(item["token"] for item in choice["content"]) == ANSWER
    assert [item["logprob"] for item in choice["content"]] == [item["logprob"] for item in logprobs(ANSWER)]
    assert all(len(item["top_logprobs"]) == 2 for item in choice["content"])
    assert "bytes" not in attributes[semconv.AUDIT_LOGPROBS]


@pytest.mark.parametrize("call", OPENAI)
def test_openai_calls_have_log_probabilities_and_request_ids(
    watched: Watched, scope: str, call: Callable[[Watched], str]
):
    """Whoever instruments the client, a call's record, or ours beside it, has both, and a confidence from them."""
    assert call(watched) == ANSWER
    extras = [dict(span.attributes or {}) for span in watched.spans() if span.name == EXTRAS]
    told = watched.the_span(scope)
    attributes = extras[0] if semconv.AUDIT_LOGPROBS not in told else told
    if call is not chat_raw or scope == SCOPES["genai"]:
        assert len(extras) == (semconv.AUDIT_LOGPROBS not in told)
    assert attributes[semconv.AUDIT_PROVIDER_REQUEST_ID] == watched.request_id
    check_logprobs(attributes)
    assert attributes[semconv.AUDIT_CONFIDENCE] == pytest.approx(expected_confidence(ANSWER))
    assert attributes[semconv.AUDIT_CONFIDENCE_SOURCE] == "logprobs"
    if extras:
        assert extras[0][semconv.AUDIT_RESPONSE_ID] == watched.models.calls[-1].response_id


@pytest.mark.parametrize("call", OPENAI)
def test_without_an_instrumentation_a_record_of_ours_has_them(watched: Watched, call: Callable[[Watched], str]):
    """A call that nothing instruments leaves a record with response id, request id and log probabilities."""
    with watched.recorder.task("loan-1"):
        assert call(watched) == ANSWER
    attributes = watched.the_span("otel_audit") if False else dict(watched.spans()[-1].attributes or {})
    assert [span.name for span in watched.spans()] == ["task.created", EXTRAS]
    assert attributes[semconv.AUDIT_TASK_ID] == "loan-1"
    assert attributes[semconv.AUDIT_PROVIDER_REQUEST_ID] == watched.request_id
    assert attributes[semconv.AUDIT_RESPONSE_ID] == watched.models.calls[-1].response_id
    check_logprobs(attributes)
