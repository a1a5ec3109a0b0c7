"""Log probabilities, request ids and confidence from the real clients, beside the instrumentations of all makers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_audit import semconv
from otel_audit.instrumentation import Recorder, _faults
from otel_audit.instrumentation.ai_calls.clients import EXTRAS, ClientExtrasInstrumentor
from otel_audit.instrumentation.sdk.processor import AuditSpanProcessor
from tests.integration.client_calls import ASKED, CALLS, MODEL
from tests.integration.fake_provider import ANSWER, FakeProvider, expected_confidence, logprobs, tokens
from tests.integration.otlp_collector import Collector

CLAUDE = "claude-sonnet-5"
ROOT = Path(__file__).parents[2]


def check_logprobs(attributes: dict[str, Any]) -> None:
    (choice,) = json.loads(attributes[semconv.AUDIT_LOGPROBS])
    assert "".join(item["token"] for item in choice["content"]) == ANSWER
    assert [item["logprob"] for item in choice["content"]] == [item["logprob"] for item in logprobs(ANSWER)]
    assert all(len(item["top_logprobs"]) == 2 for item in choice["content"])
    assert "bytes" not in attributes[semconv.AUDIT_LOGPROBS]


@pytest.mark.parametrize("maker", ["genai", "genai first", "openinference", "traceloop", "none"])
def test_openai_calls_have_log_probabilities_and_request_ids(maker: str):
    """Whoever instruments the client, before or after us, each call's record, or ours beside it, has all of them."""
    command = [sys.executable, "-m", "tests.integration.client_calls", *maker.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    calls = [json.loads(line) for line in done.stdout.splitlines()]
    assert [call["call"] for call in calls] == [call.__name__ for call in CALLS]
    for call in calls:
        assert call["answer"] == ANSWER
        assert len(call["told"]) == (maker != "none")
        on_call = call["told"] and semconv.AUDIT_LOGPROBS in call["told"][0]
        assert len(call["extras"]) == (0 if on_call else 1), call
        attributes = call["told"][0] if on_call else call["extras"][0]
        assert attributes[semconv.AUDIT_PROVIDER_REQUEST_ID] == call["request_id"]
        check_logprobs(attributes)
        assert attributes[semconv.AUDIT_CONFIDENCE] == pytest.approx(expected_confidence(ANSWER))
        assert attributes[semconv.AUDIT_CONFIDENCE_SOURCE] == "logprobs"
        if not on_call:
            assert attributes[semconv.AUDIT_RESPONSE_ID] == call["response_id"]
    beside = {call["call"] for call in calls if call["extras"]}
    assert (
        beside
        == {
            "genai": set(),
            "genai first": set(),
            "openinference": set(),
            "traceloop": {"responses", "responses_stream"},  # it makes that span after the call
            "none": {call.__name__ for call in CALLS},
        }[maker]
    )


class Watched:
    """Clients that we watch, the spans that are made, and the model provider."""

    def __init__(self, models: FakeProvider) -> None:
        self.models = models
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(AuditSpanProcessor(None))
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.recorder = Recorder(self.provider)
        self.openai = openai.OpenAI(base_url=models.openai_url, api_key="test", max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=models.base_url, api_key="test", max_retries=0)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        return [span for span in self._kept.get_finished_spans() if span.name.startswith(name)]

    def the_span(self, name: str) -> dict[str, Any]:
        (span,) = self.spans(name)
        return dict(span.attributes or {})

    @property
    def request_id(self) -> str:
        return self.models.calls[-1].request_id


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    monkeypatch.setattr(_faults, "_counts", type(_faults._counts)())
    with FakeProvider() as models:
        found = Watched(models)
        clients = ClientExtrasInstrumentor()
        clients.instrument(tracer_provider=found.provider)
        yield found
        clients.uninstrument()


@pytest.fixture
def genai(watched: Watched) -> Iterator[Watched]:
    """With the official instrumentations of both clients."""
    from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    others = (OpenAIInstrumentor(), AnthropicInstrumentor())
    for other in others:
        other.instrument(tracer_provider=watched.provider)
    yield watched
    for other in others:
        other.uninstrument()


def test_anthropic_calls_have_request_ids(genai: Watched):
    """Plain, as a stream of events and with the stream helper: the provider's request id is on the call's record."""
    asked: dict[str, Any] = {"model": CLAUDE, "max_tokens": 9, "messages": ASKED}
    ids = []
    genai.anthropic.messages.create(**asked)
    ids.append(genai.request_id)
    list(genai.anthropic.messages.create(**asked, stream=True))
    ids.append(genai.request_id)
    with genai.anthropic.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == ANSWER
    ids.append(genai.request_id)
    assert [(span.attributes or {}).get(semconv.AUDIT_PROVIDER_REQUEST_ID) for span in genai.spans("chat ")] == ids


def test_a_failed_call_has_its_request_id(genai: Watched):
    """The provider's request id of a refused call is recorded, and the client's exception is what it was."""
    with pytest.raises(openai.RateLimitError) as refused:
        genai.openai.chat.completions.create(model="rate-limited", messages=ASKED)
    with pytest.raises(anthropic.RateLimitError):
        genai.anthropic.messages.create(model="rate-limited", max_tokens=9, messages=ASKED)
    ids = [call.request_id for call in genai.models.calls]
    assert refused.value.request_id == ids[0]
    told = [dict(span.attributes or {}) for span in genai.spans("chat ")]
    assert [attributes[semconv.AUDIT_PROVIDER_REQUEST_ID] for attributes in told] == ids


def test_without_an_instrumentation_a_record_of_ours_belongs_to_the_task(watched: Watched):
    """What a call that nothing instruments leaves belongs to the task, and a refused one says why."""
    with watched.recorder.task("loan-1"):
        watched.anthropic.messages.create(model=CLAUDE, max_tokens=9, messages=ASKED)
        with pytest.raises(openai.InternalServerError):
            watched.openai.chat.completions.create(model="broken", messages=ASKED)
    first, second = (dict(span.attributes or {}) for span in watched.spans(EXTRAS))
    assert first[semconv.AUDIT_RESPONSE_ID] == watched.models.calls[0].response_id
    assert {each[semconv.AUDIT_TASK_ID] for each in (first, second)} == {"loan-1"}
    assert second[semconv.AUDIT_PROVIDER_REQUEST_ID] == watched.request_id
    assert second["error.type"] == "500"


def test_a_stream_passes_chunk_by_chunk(watched: Watched):
    """Each chunk reaches the application before the provider sends the next one."""
    seen = threading.Semaphore(1)
    waited: list[bool] = []
    watched.models.before_chunk = lambda _number: waited.append(seen.acquire(timeout=20))
    stream = watched.openai.chat.completions.create(model=MODEL, messages=ASKED, stream=True, logprobs=True)
    texts = []
    for chunk in stream:
        texts.append(chunk.choices[0].delta.content or "")
        seen.release()
    assert "".join(texts) == ANSWER
    assert len(texts) == len(tokens(ANSWER)) + 2
    assert all(waited)


def test_results_are_what_they_were(watched: Watched):
    """Answers and chunks with us are equal to those without us."""

    def answers() -> list[Any]:
        asked: dict[str, Any] = {"model": MODEL, "messages": ASKED, "logprobs": True, "top_logprobs": 2}
        found = [
            watched.openai.chat.completions.create(**asked),
            *watched.openai.chat.completions.create(**asked, stream=True),
            watched.openai.embeddings.create(model="e", input="x", encoding_format="float"),
            watched.anthropic.messages.create(model=CLAUDE, max_tokens=9, messages=ASKED),
        ]
        return [(type(each), each.model_dump(exclude={"id"})) for each in found]

    with_us = answers()
    ClientExtrasInstrumentor().uninstrument()
    assert answers() == with_us


def test_a_client_of_another_shape_is_left_alone(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    """A release of the client without the methods that we know works on, and is counted."""
    from openai import _base_client

    ClientExtrasInstrumentor().uninstrument()
    whole = _base_client.SyncAPIClient._process_response
    monkeypatch.delattr(_base_client.SyncAPIClient, "_process_response")
    ClientExtrasInstrumentor().instrument()
    assert _faults.error_counts()["clients"] == 1
    monkeypatch.setattr(_base_client.SyncAPIClient, "_process_response", whole, raising=False)
    assert watched.openai.chat.completions.create(model=MODEL, messages=ASKED).choices[0].message.content == ANSWER


def test_an_answer_that_we_can_not_read_reaches_the_application(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    """An error of ours while an answer is read is counted, and the application has its answer."""
    from otel_audit.instrumentation.ai_calls import clients as _clients

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(_clients._Answer, "add", broken)
    assert watched.openai.chat.completions.create(model=MODEL, messages=ASKED).choices[0].message.content == ANSWER
    assert _faults.error_counts() == {"clients": 1}


def test_a_client_that_is_not_used_is_not_loaded():
    """Watching begins when the application imports a client, and not before."""
    code = (
        "import sys, otel_audit.instrumentation.ai_calls.clients as c; c.ClientExtrasInstrumentor().instrument();"
        "assert not {'openai', 'anthropic'} & sys.modules.keys(); import openai._base_client as b;"
        "assert hasattr(b.SyncAPIClient._process_response, c._ORIGINAL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_confidence_is_parsed_from_a_structured_answer(genai: Watched, monkeypatch: pytest.MonkeyPatch):
    """A configured path gives the confidence of structured answers, before log probabilities do."""
    form: dict[str, Any] = {"type": "json_object"}
    asked: dict[str, Any] = {"model": MODEL, "messages": ASKED, "response_format": form, "logprobs": True}
    with genai.recorder.prompt("credit", "3.2", confidence_path="/assessment/confidence"):
        genai.openai.chat.completions.create(**asked)
        list(genai.openai.chat.completions.create(**asked, stream=True))
    monkeypatch.setenv("OTEL_AUDIT_CONFIDENCE_PATH", "assessment.confidence")
    genai.openai.chat.completions.create(**asked)
    genai.openai.chat.completions.create(model=MODEL, messages=ASKED, logprobs=True)  # no structured answer
    monkeypatch.delenv("OTEL_AUDIT_CONFIDENCE_PATH")
    genai.recorder.configure(tracer_provider=genai.provider, confidence_path="assessment.confidence")
    genai.openai.chat.completions.create(**asked)
    genai.recorder.configure(tracer_provider=genai.provider, confidence_path="")
    told = [dict(span.attributes or {}) for span in genai.spans("chat ")]
    found = [(each[semconv.AUDIT_CONFIDENCE], each[semconv.AUDIT_CONFIDENCE_SOURCE]) for each in told]
    assert found[:3] == [(0.87, "parsed")] * 3
    assert found[4] == (0.87, "parsed")
    assert found[3] == (pytest.approx(expected_confidence(ANSWER)), "logprobs")


def test_confidence_given_after_the_call_belongs_to_it(genai: Watched):
    """A confidence that the application gives after a call is an evaluation in the call's trace, under its span."""
    genai.openai.chat.completions.create(model=MODEL, messages=ASKED)
    genai.recorder.confidence(0.5)
    (call,), (evaluation,) = genai.spans("chat "), genai.spans("evaluation")
    attributes = dict(evaluation.attributes or {})
    assert attributes[semconv.AUDIT_CONFIDENCE] == 0.5
    assert attributes[semconv.AUDIT_CONFIDENCE_SOURCE] == "given"
    assert attributes[semconv.AUDIT_RESPONSE_ID] == genai.models.calls[-1].response_id
    assert evaluation.parent is not None
    assert call.context is not None
    assert (evaluation.parent.trace_id, evaluation.parent.span_id) == (call.context.trace_id, call.context.span_id)


def test_texts_stay_out_of_spans_that_shall_hold_none(genai: Watched, monkeypatch: pytest.MonkeyPatch):
    """Where the application has its spans hold no texts, tokens do not get into them either."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "NO_CONTENT")
    genai.openai.chat.completions.create(model=MODEL, messages=ASKED, logprobs=True)
    told = genai.the_span("chat ")
    assert semconv.AUDIT_LOGPROBS not in told
    assert told[semconv.AUDIT_CONFIDENCE] == pytest.approx(expected_confidence(ANSWER))


def test_documents_given_to_a_call_are_on_its_record(genai: Watched):
    """Inside of audit.context an instrumented call's record names the documents."""
    with genai.recorder.context("doc:4711", {"ref": "https://kb.example/a#p3", "score": 0.8}):
        genai.openai.chat.completions.create(model=MODEL, messages=ASKED)
    genai.openai.chat.completions.create(model=MODEL, messages=ASKED)
    first, second = (dict(span.attributes or {}) for span in genai.spans("chat "))
    refs = json.loads(first[semconv.AUDIT_CONTEXT_REFS])
    assert refs == [{"ref": "doc:4711"}, {"ref": "https://kb.example/a#p3", "score": 0.8}]
    assert semconv.AUDIT_CONTEXT_REFS not in second


APP = """
import json, os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
mine, kept = TracerProvider(), InMemorySpanExporter()
mine.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(mine)
import otel_audit as audit
audit.configure(endpoint=sys.argv[1])
import openai
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument()
client = openai.OpenAI(base_url=sys.argv[2], api_key="test")
with audit.task("loan-1"), audit.context("doc:1"):
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}], logprobs=True)
    audit.confidence(0.5)
assert audit.flush(20), audit.error_counts()
print(json.dumps([sorted(span.attributes) for span in kept.get_finished_spans() if span.name.startswith("chat")]))
"""


def test_tokens_travel_in_our_copy_alone():
    """With configure() and no content captured, our copy of the call has its tokens, and the application's has none."""
    with Collector() as collector, FakeProvider(answer="Write to jane.roe@example.com today") as models:
        done = subprocess.run(
            [sys.executable, "-c", APP, collector.endpoint, models.openai_url],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "NO_CONTENT"},
        )
        assert done.returncode == 0, done.stderr
        spans = {span.name.partition(" ")[0]: span for span in collector.spans}
    (own,) = json.loads(done.stdout)
    assert semconv.AUDIT_LOGPROBS not in own
    told = spans["chat"].attributes
    assert told[semconv.AUDIT_PROVIDER_REQUEST_ID] == models.calls[0].request_id
    assert json.loads(told[semconv.AUDIT_CONTEXT_REFS]) == [{"ref": "doc:1"}]
    (choice,) = json.loads(told[semconv.AUDIT_LOGPROBS])
    assert [item["logprob"] for item in choice["content"]] == [
        item["logprob"] for item in logprobs("Write to jane.roe@example.com today")
    ]
    assert "jane.roe" not in told[semconv.AUDIT_LOGPROBS]
    evaluation = spans["evaluation"]
    assert evaluation.attributes[semconv.AUDIT_CONFIDENCE] == 0.5
    assert evaluation.attributes[semconv.AUDIT_TASK_ID] == "loan-1"
    assert evaluation.parent_span_id == spans["chat"].span_id


def test_opentelemetrys_own_tools_can_load_it(watched: Watched):
    """The entry point that the package declares loads as opentelemetry-instrument loads instrumentors."""
    import tomllib
    from importlib.metadata import EntryPoint

    from opentelemetry.instrumentation.distro import DefaultDistro

    ClientExtrasInstrumentor().uninstrument()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    ((name, value),) = declared["opentelemetry_instrumentor"].items()
    DefaultDistro().load_instrumentor(EntryPoint(name, value, "opentelemetry_instrumentor"), skip_dep_check=True)
    from openai import _base_client

    assert hasattr(_base_client.SyncAPIClient._process_response, "__otel_audit_original__")
