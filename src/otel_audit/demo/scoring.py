"""The scoring service: asks the model for a draft, with the real OpenAI client and its official instrumentation."""

from __future__ import annotations

import json
from typing import Any

import openai
from fastapi import FastAPI, HTTPException
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.trace import Span
from opentelemetry.util.genai.handler import TelemetryHandler

import otel_audit as audit
from otel_audit.demo.cases import Case
from otel_audit.demo.settings import Settings
from otel_audit.demo.writer import ASSIGNMENTS, Assignment, Message, confidence, credit_file, prompt_messages, tools
from otel_audit.semconv import AUDIT_CONFIDENCE, AUDIT_CONFIDENCE_SOURCE


class StatedConfidence:
    """Puts the confidence that a structured answer states onto the AI call's span (the GenAI completion hook)."""

    def on_completion(self, *, outputs: list[Any], span: Span | None = None, **_: Any) -> None:
        """Called by the instrumentation when an AI call is complete."""
        for text in (getattr(part, "content", None) for message in outputs for part in message.parts):
            stated = confidence(text) if isinstance(text, str) else None
            if stated is not None and span is not None:
                span.set_attributes({AUDIT_CONFIDENCE: stated, AUDIT_CONFIDENCE_SOURCE: "parsed"})


def make_app(settings: Settings) -> FastAPI:
    """The scoring service as an ASGI application."""
    OpenAIInstrumentor().instrument(completion_hook=StatedConfidence())
    # No retries inside the client: each attempt is an AI call of its own in the trail.
    client = openai.AsyncOpenAI(base_url=f"{settings.provider_url}/v1", api_key="demo", max_retries=0)
    telemetry = TelemetryHandler()
    app = FastAPI(title="scoring")

    async def ask(how: Assignment, messages: list[Message], case: Case) -> Any:
        options: dict[str, Any] = {"tools": tools(case)} if how.tool else {}
        if how.as_json:
            options["response_format"] = {"type": "json_object"}
        answered: Any = await client.chat.completions.create(
            model=how.model,
            messages=messages,  # type: ignore[arg-type]  # plain dicts in OpenAI's form
            temperature=how.temperature,
            max_tokens=how.max_tokens,
            seed=settings.seed,
            **options,
        )
        return answered.choices[0].message

    @app.post("/drafts")
    async def draft(case: Case) -> dict[str, str]:
        how = ASSIGNMENTS[case.kind]
        messages = prompt_messages(case)
        try:
            with audit.prompt(how.prompt_name, how.prompt_version):
                said = await ask(how, messages, case)
                for call in said.tool_calls or ():
                    with telemetry.tool(call.function.name, tool_type="function") as tool:
                        tool.tool_call_id = call.id
                        tool.arguments = call.function.arguments
                        found = json.dumps(credit_file(json.loads(call.function.arguments)["applicant"]))
                        tool.tool_result = found
                    messages += [said.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": found}]
                if said.tool_calls:
                    said = await ask(how, messages, case)
        except openai.APIError as exc:
            raise HTTPException(503, f"the model is not available: {type(exc).__name__}") from exc
        return {"draft": said.content}

    return app
