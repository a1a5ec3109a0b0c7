"""A small real model provider on loopback: the OpenAI and the Anthropic HTTP API, with streams and log probabilities.

In a test::

    with FakeProvider() as provider:
        openai.OpenAI(base_url=provider.openai_url, api_key="test")  # .../v1
        anthropic.Anthropic(base_url=provider.base_url, api_key="test")

As a process of its own: ``python -m tests.integration.fake_provider --port 18080``; port 0 is any free one, and it
prints its URL.

It answers POST ``/v1/chat/completions``, ``/v1/responses``, ``/v1/embeddings``, ``/v1/messages`` and GET
``/v1/models``. Models that are named in ``FAILURES`` fail as the providers fail. Each answer has an id and a request
id of its own: ``provider.calls`` has what was asked, and the ids that were given.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

ANSWER = "Approve: the income of 4,100 EUR covers the instalment."
STRUCTURED = {"decision": "approve", "assessment": {"confidence": 0.87}}
LOGPROBS = (-0.01, -0.2, -0.05, -1.2, -0.003)  # repeated over the tokens
FAILURES = {  # model -> status, kind
    "model-does-not-exist": (404, "not_found_error"),
    "rate-limited": (429, "rate_limit_error"),
    "broken": (500, "api_error"),
}
Json = dict[str, Any]


def tokens(text: str) -> list[str]:
    """``text`` in pieces that join to it again."""
    words = text.split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def logprobs(text: str, alternatives: int = 0) -> list[Json]:
    """Token log probabilities as OpenAI gives them, the same for the same text."""
    listed = []
    for token, logprob in zip(tokens(text), itertools.cycle(LOGPROBS)):
        top = [{"token": token, "logprob": logprob, "bytes": list(token.encode())}]
        top += [{"token": f"other{n}", "logprob": logprob - n, "bytes": None} for n in range(1, alternatives)]
        listed.append({**top[0], "top_logprobs": top[:alternatives]})
    return listed


def expected_confidence(text: str) -> float:
    """exp of the mean log probability of ``text``'s tokens."""
    values = [item["logprob"] for item in logprobs(text)]
    return math.exp(sum(values) / len(values))


@dataclass
class Call:
    """One request as it came, and the ids of its answer."""

    path: str
    headers: dict[str, str]
    body: Json
    request_id: str
    response_id: str


@dataclass
class FakeProvider:
    """The provider as a context manager.

    ``before_chunk(number)`` is called on the serving thread before each chunk of a stream is sent: a test can hold
    a stream there. ``answer`` is what the model says.
    """

    port: int = 0
    answer: str = ANSWER
    before_chunk: Callable[[int], None] = lambda _number: None
    calls: list[Call] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._numbers = itertools.count(1)  # next() of it is atomic in CPython
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="fake provider", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """For the Anthropic client."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """For OpenAI-compatible clients."""
        return f"{self.base_url}/v1"

    def new_id(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers):024x}"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler(provider: FakeProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        owner = provider

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FakeProvider

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [{"id": "gpt-4o-mini", "object": "model", "created": 1_700_000_000, "owned_by": "fake"}]
        self._json(200, {"object": "list", "data": models}, {})

    def do_POST(self) -> None:
        asked: Json = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        routes = {
            "/v1/chat/completions": ("chatcmpl-", "x-request-id", _chat, _chat_chunks),
            "/v1/responses": ("resp_", "x-request-id", _response, _response_events),
            "/v1/embeddings": ("", "x-request-id", _embedding, None),
            "/v1/messages": ("msg_", "request-id", _message, _message_events),
        }
        if path not in routes:
            self._json(404, {"error": {"message": f"no {path} here", "type": "not_found_error"}}, {})
            return
        prefix, header, whole, chunks = routes[path]
        response_id, request_id = self.owner.new_id(prefix) if prefix else "", self.owner.new_id("req_")
        self.owner.calls.append(Call(path, dict(self.headers), asked, request_id, response_id))
        headers = {header: request_id}
        if asked.get("model") in FAILURES:
            status, kind = FAILURES[asked["model"]]
            error = {"message": f"The model {asked['model']!r} answers {status}.", "type": kind, "code": kind}
            self._json(status, {"type": "error", "error": error}, headers | {"retry-after": "0"})
        elif asked.get("stream") and chunks is not None:
            self._events(chunks(asked, self.owner.answer, response_id), headers, named=path != "/v1/chat/completions")
        else:
            self._json(200, whole(asked, self.owner.answer, response_id), headers)

    def _json(self, status: int, answer: Json, headers: dict[str, str]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (headers | {"content-type": "application/json", "content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _events(self, events: Iterator[Json], headers: dict[str, str], *, named: bool) -> None:
        self.send_response(200)
        for name, value in (headers | {"content-type": "text/event-stream", "transfer-encoding": "chunked"}).items():
            self.send_header(name, value)
        self.end_headers()
        for number, event in enumerate(events):
            self.owner.before_chunk(number)
            name = f"event: {event['type']}\n" if named else ""
            self._chunk(f"{name}data: {json.dumps(event)}\n\n")
        if not named:
            self._chunk("data: [DONE]\n\n")
        self._chunk("")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def _said(asked: Json, answer: str) -> str:
    form = asked.get("response_format") or (asked.get("text") or {}).get("format") or {}
    return json.dumps(STRUCTURED) if str(form.get("type", "text")).startswith("json") else answer


# OpenAI: chat completions.
def _usage(text: str) -> Json:
    out = len(tokens(text))
    return {
        "prompt_tokens": 57,
        "completion_tokens": out,
        "total_tokens": 57 + out,
        "prompt_tokens_details": {"cached_tokens": 16},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _chat_base(asked: Json, response_id: str, kind: str) -> Json:
    return {
        "id": response_id,
        "object": kind,
        "created": 1_700_000_000,
        "model": f"{asked['model']}-2024-07-18",
        "system_fingerprint": "fp_44709d6fcb",
        "service_tier": "default",
    }


def _chat_logprobs(asked: Json, text: str) -> Json | None:
    if not asked.get("logprobs"):
        return None
    return {"content": logprobs(text, asked.get("top_logprobs") or 0), "refusal": None}


def _chat(asked: Json, answer: str, response_id: str) -> Json:
    text = _said(asked, answer)
    message: Json = {"role": "assistant", "content": text, "refusal": None}
    finish = "stop"
    if asked.get("tools") and asked["messages"][-1]["role"] != "tool":
        function = {"name": asked["tools"][0]["function"]["name"], "arguments": "{}"}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
        finish = "tool_calls"
    said = _chat_logprobs(asked, text) if finish == "stop" else None
    choices = [
        {"index": n, "message": message, "logprobs": said, "finish_reason": finish} for n in range(asked.get("n") or 1)
    ]
    return {**_chat_base(asked, response_id, "chat.completion"), "choices": choices, "usage": _usage(text)}


def _chat_chunks(asked: Json, answer: str, response_id: str) -> Iterator[Json]:
    text = _said(asked, answer)
    base = _chat_base(asked, response_id, "chat.completion.chunk")

    def chunk(delta: Json, finish: str | None = None, said: Json | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": said, "finish_reason": finish}
        return {**base, "choices": [choice], "usage": None}

    yield chunk({"role": "assistant", "content": ""})
    for token, item in zip(tokens(text), logprobs(text, asked.get("top_logprobs") or 0), strict=True):
        yield chunk({"content": token}, said={"content": [item], "refusal": None} if asked.get("logprobs") else None)
    yield chunk({}, "stop")
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield {**base, "choices": [], "usage": _usage(text)}


# OpenAI: responses.
def _wants_logprobs(asked: Json) -> bool:
    return "message.output_text.logprobs" in (asked.get("include") or ())


def _response(asked: Json, answer: str, response_id: str) -> Json:
    text = _said(asked, answer)
    said = logprobs(text, asked.get("top_logprobs") or 0) if _wants_logprobs(asked) else []
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": said}
    message = {"type": "message", "id": "item_1", "status": "completed", "role": "assistant", "content": [part]}
    out = len(tokens(text))
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": {},
        "model": f"{asked['model']}-2024-07-18",
        "output": [message],
        "parallel_tool_calls": True,
        "temperature": asked.get("temperature", 1.0),
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 57,
            "input_tokens_details": {"cached_tokens": 16},
            "output_tokens": out,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 57 + out,
        },
    }


def _response_events(asked: Json, answer: str, response_id: str) -> Iterator[Json]:
    numbers = itertools.count()
    whole = _response(asked, answer, response_id)
    (item,) = whole["output"]
    (part,) = item["content"]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}

    def event(kind: str, **rest: object) -> Json:
        return {"type": kind, "sequence_number": next(numbers), **rest}

    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    yield event("response.created", response=begun)
    yield event("response.output_item.added", output_index=0, item={**item, "content": [], "status": "in_progress"})
    yield event("response.content_part.added", **place, part={**part, "text": "", "logprobs": []})
    said = part["logprobs"] or itertools.repeat(None)
    for token, logprob in zip(tokens(part["text"]), said, strict=False):
        yield event("response.output_text.delta", **place, delta=token, logprobs=[logprob] if logprob else [])
    yield event("response.output_text.done", **place, text=part["text"], logprobs=part["logprobs"])
    yield event("response.content_part.done", **place, part=part)
    yield event("response.output_item.done", output_index=0, item=item)
    yield event("response.completed", response=whole)


def _embedding(asked: Json, _answer: str, _response_id: str) -> Json:
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    data = [{"object": "embedding", "index": n, "embedding": [0.5, -0.25]} for n in range(len(inputs))]
    return {
        "object": "list",
        "data": data,
        "model": asked["model"],
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }


# Anthropic: messages.
def _message(asked: Json, answer: str, response_id: str) -> Json:
    return {
        "id": response_id,
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [{"type": "text", "text": answer, "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 41,
            "cache_creation_input_tokens": 7,
            "cache_read_input_tokens": 16,
            "output_tokens": len(tokens(answer)),
            "service_tier": "standard",
        },
    }


def _message_events(asked: Json, answer: str, response_id: str) -> Iterator[Json]:
    whole = _message(asked, answer, response_id)
    usage = {**whole["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": usage}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for token in tokens(answer):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": token}}
    yield {"type": "content_block_stop", "index": 0}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": len(tokens(answer))}}
    yield {"type": "message_stop"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fake model provider on loopback.")
    parser.add_argument("--port", type=int, default=18080)
    with FakeProvider(parser.parse_args().port) as started:
        print(started.base_url, flush=True)
        threading.Event().wait()
