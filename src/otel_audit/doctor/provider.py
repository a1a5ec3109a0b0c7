"""A model provider on loopback for the test calls: of the APIs of OpenAI and Anthropic, what they need."""

from __future__ import annotations

import itertools
import json
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from otel_audit.doctor.loopback import Loopback

ANSWER: Final = "This answer comes from the doctor of otel-audit."
_Json = dict[str, Any]


class Provider(Loopback):
    """Answers POST ``/v1/chat/completions``, ``/v1/responses`` and ``/v1/messages``; a context manager."""

    def __init__(self) -> None:
        self.paths: list[str] = []  # that were asked; appended on the serving threads
        self._numbers = itertools.count(1)
        super().__init__()

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """One answer, with ids of its own."""
        path = request.path.partition("?")[0]
        self.paths.append(path)
        number = next(self._numbers)
        answers = {"/v1/chat/completions": _chat, "/v1/responses": _response, "/v1/messages": _message}
        try:
            found = answers[path](str(json.loads(body)["model"]), f"doctor{number:08d}")
        except (KeyError, ValueError, TypeError):
            self.reply(request, 404, b'{"error": {"message": "no such API here", "type": "not_found_error"}}')
            return
        request_id = f"req_doctor{number:08d}"
        self.reply(request, 200, json.dumps(found).encode(), {"x-request-id": request_id, "request-id": request_id})


def _chat(model: str, number: str) -> _Json:
    message = {"role": "assistant", "content": ANSWER, "refusal": None}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": f"{model}-2024-07-18",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30},
    }


def _response(model: str, number: str) -> _Json:
    part = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": f"{model}-2024-07-18",
        "output": [{"type": "message", "id": "item_1", "status": "completed", "role": "assistant", "content": [part]}],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 21,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 30,
        },
    }


def _message(model: str, number: str) -> _Json:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": ANSWER, "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 21,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 9,
            "service_tier": "standard",
        },
    }
