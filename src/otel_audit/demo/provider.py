"""A fake OpenAI-compatible provider for loopback: chat completions with plausible answers, sometimes an error."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from otel_audit.demo.settings import Settings
from otel_audit.demo.writer import ASSIGNMENTS, FINGERPRINTS, Answer, Message, answer, tokens

_SNAPSHOTS = {assignment.model: assignment.snapshot for assignment in ASSIGNMENTS.values()}


def make_app(settings: Settings) -> Starlette:
    """The provider as an ASGI application."""
    rng = random.Random(settings.seed)  # noqa: S311 - a simulation, not a secret

    async def chat_completions(request: Request) -> JSONResponse:
        asked = await request.json()
        headers = {"x-request-id": f"req_{rng.getrandbits(96):024x}"}
        await asyncio.sleep(settings.provider_seconds * (0.25 + 0.75 * rng.random()))
        if rng.random() < settings.failure_rate:
            return _failure(rng, headers)
        said = answer(asked["messages"], may_call_tool=bool(asked.get("tools")), rng=rng)
        return JSONResponse(completion(asked["model"], asked["messages"], said, rng), headers=headers)

    async def models(_request: Request) -> JSONResponse:
        listed = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "demo"} for name in _SNAPSHOTS]
        return JSONResponse({"object": "list", "data": listed})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat_completions, methods=["POST"]),
            Route("/v1/models", models),
        ]
    )


def completion(model: str, messages: Sequence[Message], said: Answer, rng: random.Random) -> dict[str, Any]:
    """A chat.completion object as OpenAI's API gives it."""
    snapshot = _SNAPSHOTS.get(model, model)
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
    if said.tool_name:
        function = {"name": said.tool_name, "arguments": said.tool_arguments}
        message["tool_calls"] = [{"id": f"call_{rng.getrandbits(96):024x}", "type": "function", "function": function}]
    tokens_in = sum(tokens(str(part.get("content") or "")) + 4 for part in messages)
    tokens_out = tokens(said.text or said.tool_arguments)
    return {
        "id": f"chatcmpl-{rng.getrandbits(96):024x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": snapshot,
        "system_fingerprint": FINGERPRINTS.get(snapshot),
        "service_tier": "default",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish_reason}],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    }


def _failure(rng: random.Random, headers: dict[str, str]) -> JSONResponse:
    if rng.random() < 0.6:
        error = {"message": "Rate limit reached, try again.", "type": "requests", "code": "rate_limit_exceeded"}
        return JSONResponse({"error": error}, 429, {**headers, "retry-after": "1"})
    error = {"message": "The server had an error while processing your request.", "type": "server_error", "code": ""}
    return JSONResponse({"error": error}, 500, headers)
