"""AI calls of the past, with the attributes that opentelemetry-instrumentation-genai-openai gives to live ones."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as genai
from opentelemetry.semconv._incubating.attributes import openai_attributes as openai
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.util.types import AttributeValue

from otel_audit.demo.calendar import SECOND
from otel_audit.demo.cases import Case
from otel_audit.demo.provider import completion
from otel_audit.demo.writer import (
    ASSIGNMENTS,
    Answer,
    Assignment,
    Message,
    answer,
    confidence,
    credit_file,
    prompt_messages,
    tools,
)
from otel_audit.instrumentation import Recorder
from otel_audit.semconv import AUDIT_CONFIDENCE, AUDIT_CONFIDENCE_SOURCE, AUDIT_PROVIDER_REQUEST_ID

_FAILURES: Final = (
    ("openai.RateLimitError", "Error code: 429 - Rate limit reached, try again."),
    ("openai.InternalServerError", "Error code: 500 - The server had an error while processing your request."),
)
_FAILURE_RATE: Final = 0.04
_ATTEMPTS: Final = 3
_OUTAGE_RATE: Final = 0.003  # all attempts fail, and a person has to write the answer
# The words of the GenAI conventions where they differ from OpenAI's.
_FINISH_REASON: Final = {"tool_calls": "tool_call"}


class AiCalls:
    """The AI calls that draft an answer to a case."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seed = rng.getrandbits(31)  # the request's, the same for all calls as in the live service

    def make(
        self, case: Case, at: int, tracer: trace.Tracer, recorder: Recorder, *, is_recent: bool
    ) -> tuple[str, int]:
        """Make the calls below the current span. Returns the draft, empty if none came, and when they ended."""
        how = ASSIGNMENTS[case.kind]
        with recorder.prompt(how.prompt_name, how.prompt_version if is_recent else how.earlier_version):
            outage = self._rng.random() < _OUTAGE_RATE
            for attempt in range(_ATTEMPTS):
                if not outage and self._rng.random() >= _FAILURE_RATE:
                    return self._conversation(case, how, at, tracer)
                at = self._failed(case, how, at, tracer) + int(0.2 * 2**attempt * SECOND)
        return "", at

    def _conversation(self, case: Case, how: Assignment, at: int, tracer: trace.Tracer) -> tuple[str, int]:
        messages = prompt_messages(case)
        said, reply, at = self._call(case, how, messages, at, tracer)
        if said.tool_name:
            call = reply["choices"][0]["message"]["tool_calls"][0]
            found = json.dumps(credit_file(json.loads(said.tool_arguments)["applicant"]))
            at = self._tool(call["id"], said, found, at, tracer)
            messages += [
                reply["choices"][0]["message"],
                {"role": "tool", "tool_call_id": call["id"], "content": found},
            ]
            said, _, at = self._call(case, how, messages, at, tracer)
        return said.text, at

    def _call(
        self, case: Case, how: Assignment, messages: Sequence[Message], at: int, tracer: trace.Tracer
    ) -> tuple[Answer, dict[str, Any], int]:
        said = answer(messages, may_call_tool=bool(how.tool), rng=self._rng)
        reply = completion(how.model, messages, said, self._rng)
        attributes = self._request_attributes(case, how, messages) | _response_attributes(said, reply)
        end = at + int(self._rng.lognormvariate(0.3, 0.5) * SECOND)
        span = tracer.start_span(f"chat {how.model}", kind=trace.SpanKind.CLIENT, attributes=attributes, start_time=at)
        span.end(end_time=end)
        return said, reply, end

    def _failed(self, case: Case, how: Assignment, at: int, tracer: trace.Tracer) -> int:
        error_type, message = self._rng.choice(_FAILURES)
        attributes = self._request_attributes(case, how, prompt_messages(case)) | {ERROR_TYPE: error_type}
        span = tracer.start_span(f"chat {how.model}", kind=trace.SpanKind.CLIENT, attributes=attributes, start_time=at)
        span.set_status(trace.Status(trace.StatusCode.ERROR, message))
        end = at + int(self._rng.uniform(0.1, 0.6) * SECOND)
        span.end(end_time=end)
        return end

    def _tool(self, call_id: str, said: Answer, result: str, at: int, tracer: trace.Tracer) -> int:
        span = tracer.start_span(
            f"execute_tool {said.tool_name}",
            attributes={
                genai.GEN_AI_OPERATION_NAME: "execute_tool",
                genai.GEN_AI_TOOL_NAME: said.tool_name,
                genai.GEN_AI_TOOL_TYPE: "function",
                genai.GEN_AI_TOOL_CALL_ID: call_id,
                genai.GEN_AI_TOOL_CALL_ARGUMENTS: said.tool_arguments,
                genai.GEN_AI_TOOL_CALL_RESULT: result,
            },
            start_time=at,
        )
        end = at + int(self._rng.uniform(0.02, 0.2) * SECOND)
        span.end(end_time=end)
        return end

    def _request_attributes(
        self, case: Case, how: Assignment, messages: Sequence[Message]
    ) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {
            genai.GEN_AI_OPERATION_NAME: "chat",
            genai.GEN_AI_PROVIDER_NAME: "openai",
            genai.GEN_AI_REQUEST_MODEL: how.model,
            SERVER_ADDRESS: "127.0.0.1",
            SERVER_PORT: 8080,
            genai.GEN_AI_REQUEST_TEMPERATURE: how.temperature,
            genai.GEN_AI_REQUEST_MAX_TOKENS: how.max_tokens,
            genai.GEN_AI_REQUEST_SEED: self._seed,
            genai.GEN_AI_INPUT_MESSAGES: _json([_as_parts(message) for message in messages]),
        }
        if how.tool:
            definitions = [{**tool["function"], "type": "function"} for tool in tools(case)]
            found[genai.GEN_AI_TOOL_DEFINITIONS] = _json(definitions)
        if how.as_json:
            found[genai.GEN_AI_OUTPUT_TYPE] = "json"
        return found


def _response_attributes(said: Answer, reply: Mapping[str, Any]) -> dict[str, AttributeValue]:
    choice = reply["choices"][0]
    reason = choice["finish_reason"]
    output = {**_as_parts(choice["message"]), "finish_reason": _FINISH_REASON.get(reason, reason)}
    found: dict[str, AttributeValue] = {
        genai.GEN_AI_RESPONSE_FINISH_REASONS: [reason],
        genai.GEN_AI_RESPONSE_MODEL: reply["model"],
        genai.GEN_AI_RESPONSE_ID: reply["id"],
        AUDIT_PROVIDER_REQUEST_ID: reply["id"].replace("chatcmpl-", "req_"),
        genai.GEN_AI_USAGE_INPUT_TOKENS: reply["usage"]["prompt_tokens"],
        genai.GEN_AI_USAGE_OUTPUT_TOKENS: reply["usage"]["completion_tokens"],
        genai.GEN_AI_OUTPUT_MESSAGES: _json([output]),
        openai.OPENAI_RESPONSE_SERVICE_TIER: reply["service_tier"],
        openai.OPENAI_RESPONSE_SYSTEM_FINGERPRINT: reply["system_fingerprint"],
    }
    stated = confidence(said.text)
    if stated is not None:
        found |= {AUDIT_CONFIDENCE: stated, AUDIT_CONFIDENCE_SOURCE: "parsed"}
    return found


def _as_parts(message: Mapping[str, Any]) -> dict[str, Any]:
    """An OpenAI message as the GenAI conventions' message with parts."""
    parts: list[dict[str, Any]]
    if message["role"] == "tool":
        parts = [{"response": message["content"], "id": message["tool_call_id"], "type": "tool_call_response"}]
    elif message.get("tool_calls"):
        parts = [
            {
                "arguments": json.loads(call["function"]["arguments"]),
                "name": call["function"]["name"],
                "id": call["id"],
                "type": "tool_call",
            }
            for call in message["tool_calls"]
        ]
    else:
        parts = [{"content": message["content"], "type": "text"}]
    return {"role": message["role"], "parts": parts, "name": None}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
