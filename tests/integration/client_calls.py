"""Calls of the real OpenAI client under one maker's instrumentation, in a process of its own.

Instrumentations do not all leave a client as they found it, so each runs alone: ``python -m
tests.integration.client_calls openinference`` prints one JSON object a call. ``none`` is without any,
``genai first`` has it instrument before we do.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import openai
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_audit.instrumentation.ai_calls.clients import EXTRAS, ClientExtrasInstrumentor
from tests.integration.fake_provider import FakeProvider

ASKED: list[Any] = [{"role": "user", "content": "Is the income enough?"}]
MODEL = "gpt-4o-mini"
LOGPROBS = "message.output_text.logprobs"


class Clients:
    """Both clients, of a provider on loopback."""

    def __init__(self, models: FakeProvider) -> None:
        self.openai = openai.OpenAI(base_url=models.openai_url, api_key="test", max_retries=0)
        self._url = models.openai_url

    @property
    def async_openai(self) -> openai.AsyncOpenAI:
        """A new one: its connections belong to an event loop."""
        return openai.AsyncOpenAI(base_url=self._url, api_key="test", max_retries=0)


def instrumentor(maker: str) -> Any:
    if maker == "genai":
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    elif maker == "openinference":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    return OpenAIInstrumentor()


def chat(clients: Clients) -> str:
    answer = clients.openai.chat.completions.create(model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2)
    return answer.choices[0].message.content or ""


def chat_stream(clients: Clients) -> str:
    stream = clients.openai.chat.completions.create(
        model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2, stream=True
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def async_chat(clients: Clients) -> str:
    async def call() -> str:
        answer = await clients.async_openai.chat.completions.create(
            model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2
        )
        return answer.choices[0].message.content or ""

    return asyncio.run(call())


def async_chat_stream(clients: Clients) -> str:
    async def call() -> str:
        stream = await clients.async_openai.chat.completions.create(
            model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    return asyncio.run(call())


def chat_raw(clients: Clients) -> str:
    raw = clients.openai.chat.completions.with_raw_response.create(
        model=MODEL, messages=ASKED, logprobs=True, top_logprobs=2
    )
    return raw.parse().choices[0].message.content or ""


def responses(clients: Clients) -> str:
    return clients.openai.responses.create(model=MODEL, input="?", include=[LOGPROBS], top_logprobs=2).output_text


def responses_stream(clients: Clients) -> str:
    events = clients.openai.responses.create(model=MODEL, input="?", include=[LOGPROBS], top_logprobs=2, stream=True)
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


CALLS = [chat, chat_stream, async_chat, async_chat_stream, chat_raw, responses, responses_stream]


def main(maker: str) -> None:
    maker, _, first = maker.partition(" ")
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    if first:
        instrumentor(maker).instrument(tracer_provider=provider)
    ClientExtrasInstrumentor().instrument(tracer_provider=provider)
    if not first and maker != "none":
        instrumentor(maker).instrument(tracer_provider=provider)
    with FakeProvider() as models:
        clients = Clients(models)
        for call in CALLS:
            kept.clear()
            answer = call(clients)
            spans = kept.get_finished_spans()
            done = {
                "call": call.__name__,
                "answer": answer,
                "request_id": models.calls[-1].request_id,
                "response_id": models.calls[-1].response_id,
                "told": [dict(span.attributes or {}) for span in spans if span.name != EXTRAS],
                "extras": [dict(span.attributes or {}) for span in spans if span.name == EXTRAS],
            }
            print(json.dumps(done))


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
