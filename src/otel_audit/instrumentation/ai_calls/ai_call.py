"""AI calls that no instrumentation sees, and what an application knows of a call beside what instrumentations send."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import ContextScope, context_attributes, text, with_prompt
from otel_audit.instrumentation._decorate import Call, DecoratingScope
from otel_audit.instrumentation._emitter import Emitter
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.ai_calls.answers import (
    GIVEN,
    Token,
    checked_confidence,
    confidence_attributes,
    format_logprobs,
    tokens_of,
)
from otel_audit.instrumentation.delivery.losses import TRACER_NAME, package_version
from otel_audit.model import EventType
from otel_audit.semconv import (
    AUDIT_CONFIDENCE,
    AUDIT_CONFIDENCE_SOURCE,
    AUDIT_CONTEXT_REFS,
    AUDIT_EVENT_TYPE,
    AUDIT_LOGPROBS,
    AUDIT_PROVIDER_REQUEST_ID,
    AUDIT_RESPONSE_ID,
)

PATH_VARIABLE: Final = "OTEL_AUDIT_CONFIDENCE_PATH"
_REFS: Final = context.create_key("otel_audit.context_refs")
_PATH: Final = context.create_key("otel_audit.confidence_path")
_CALL: Final = context.create_key("otel_audit.ai_call")
# The newest AI call of a client that we watch, in this thread or task: what a confidence given afterwards is about.
last_call: ContextVar[tuple[SpanContext, str] | None] = ContextVar("otel_audit_last_call", default=None)

_configured: Final = [""]  # replaced as a whole: safe to read from any thread

Messages: TypeAlias = str | Iterable[Mapping[str, Any]] | Mapping[str, Any]
Ref: TypeAlias = str | Mapping[str, Any]
_REQUEST: Final = "gen_ai.request."
_USAGE: Final = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}


def confidence_path(ctx: Context | None = None) -> str:
    """Where structured answers have their confidence: as ``audit.prompt`` says, ``configure``, or the environment."""
    said = context.get_value(_PATH, ctx)
    return said if isinstance(said, str) and said else _configured[0] or os.environ.get(PATH_VARIABLE, "").strip()


def configure_confidence_path(path: str) -> None:
    """Set what counts in this process where no prompt says another; empty for the environment's."""
    _configured[0] = path


def with_confidence_path(path: str, ctx: Context | None = None) -> Context:
    """A context whose AI calls answer with their confidence at ``path``."""
    return context.set_value(_PATH, path, ctx)


def context_refs(ctx: Context | None = None) -> str:
    """The documents that AI calls of this context are given, as JSON; empty without any."""
    refs = context.get_value(_REFS, ctx)
    return _json(refs) if isinstance(refs, tuple) and refs else ""


def is_ai_call(attributes: Mapping[str, Any]) -> bool:
    """Whether a span with these attributes is a call to a model, and not an agent's or a tool's."""
    operation = attributes.get("gen_ai.operation.name")
    if operation is not None:
        told = attributes.get(AUDIT_EVENT_TYPE) == EventType.AI_CALL
        return told or operation in {"chat", "text_completion", "generate_content", "embeddings"}
    kind = attributes.get("openinference.span.kind")
    if kind is not None:
        return kind in {"LLM", "EMBEDDING"}
    return "llm.request.type" in attributes or "gen_ai.request.model" in attributes


def current_ai_span(ctx: Context | None = None) -> trace.Span | None:
    """The span of the AI call that is going on, whoever made it."""
    span = trace.get_current_span(ctx)
    attributes = getattr(span, "attributes", None)
    return span if span.is_recording() and attributes and is_ai_call(attributes) else None


class AiCall:
    """One call to a model; ``audit.ai_call`` makes it."""

    def __init__(self, span: trace.Span, path: str) -> None:
        self._span = span
        self._path = path
        self._given: float | None = None
        self._text = ""
        self._tokens: list[Token] = []
        self._refs: tuple[dict[str, Any], ...] = ()
        self.has_output = False

    def output(
        self,
        output: Messages | None,
        *,
        finish_reason: str | Iterable[str] = (),
        usage: Mapping[str, int] | None = None,
        response_id: str = "",
        response_model: str = "",
        provider_request_id: str = "",
        confidence: float | None = None,
        logprobs: Iterable[Any] | None = None,
    ) -> None:
        """What the model answered: its text, or messages as ``{"role": ..., "content": ...}``.

        ``usage`` counts tokens: input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens.
        ``logprobs`` are numbers, or ``{"token": ..., "logprob": ...}``, one a token of the first choice.
        ``confidence`` is from 0 to 1; without it one is taken from the structured answer (``confidence_path``) or
        from the log probabilities.
        """
        with guard("ai_call"):
            reasons = (
                [text(finish_reason)] if isinstance(finish_reason, str) else [text(each) for each in finish_reason]
            )
            found: dict[str, AttributeValue] = {"gen_ai.response.finish_reasons": [each for each in reasons if each]}
            if output is not None:
                self.has_output = True
                messages = as_messages(output, "assistant", *reasons[:1])
                self._text = _text_of(messages)
                found["gen_ai.output.messages"] = _json(messages)
            for name, value in (usage or {}).items():
                if name not in _USAGE:
                    note("ai_call", f"usage {name!r} is not known; known are {', '.join(_USAGE)}")
                elif value is not None:
                    found[_USAGE[name]] = int(value)
            for key, word in (
                ("gen_ai.response.id", response_id),
                ("gen_ai.response.model", response_model),
                (AUDIT_PROVIDER_REQUEST_ID, provider_request_id),
            ):
                if word:
                    found[key] = text(word)
            if logprobs is not None:
                self._tokens = tokens_of(list(logprobs))
                if listed := format_logprobs([self._tokens]):
                    found[AUDIT_LOGPROBS] = text(listed)
            if confidence is not None:
                self._given = checked_confidence(confidence, "the confidence given")
            self._span.set_attributes({key: value for key, value in found.items() if value != []})
            self._tell_confidence()

    def confidence(self, value: float) -> None:
        """How sure the answer is, from 0 to 1, by your own measure."""
        with guard("ai_call"):
            self._given = checked_confidence(value, "the confidence given")
            self._tell_confidence()

    def context(self, *refs: Ref) -> None:
        """Documents that the model was given, as ``audit.context`` takes them."""
        with guard("ai_call"):
            self._refs += checked_refs(refs)
            self._span.set_attribute(AUDIT_CONTEXT_REFS, _json(self._refs))

    def failed(self, exc: BaseException) -> None:
        """The application's code raised ``exc``."""
        self._span.set_attribute("error.type", type(exc).__qualname__)
        self._span.record_exception(exc)
        self._span.set_status(Status(StatusCode.ERROR, type(exc).__qualname__))

    def _tell_confidence(self) -> None:
        self._span.set_attributes(
            confidence_attributes(given=self._given, text=self._text, path=self._path, tokens=self._tokens)
        )


class AiCallScope(DecoratingScope[AiCall]):
    """A block, or a decorated function, that calls a model; ``otel_audit.ai_call`` makes it."""

    _operation = "ai_call"

    def __init__(
        self, emitter: AiCalls, name: str, attributes: Mapping[str, AttributeValue], prompt: tuple[str, str]
    ) -> None:
        self._emitter = emitter
        self._made = (name, attributes, prompt)
        self._span: trace.Span = trace.INVALID_SPAN
        self._call = AiCall(self._span, "")

    def _open(self) -> None:
        name, attributes, prompt = self._made
        ctx = with_prompt(*prompt) if prompt[0] else context.get_current()
        self._span = self._emitter.start_call(name, {**context_attributes(ctx), **attributes}, ctx)
        self._call = AiCall(self._span, confidence_path(ctx))
        self._attach(context.set_value(_CALL, self._call, trace.set_span_in_context(self._span, ctx)))

    def _close(self, exc: BaseException | None) -> None:
        try:
            if exc is not None:
                self._call.failed(exc)
        finally:
            super()._close(exc)
            self._span.end(self._emitter.now())

    def _entered(self) -> AiCall:
        return self._call

    def _for_call(self, call: Call) -> AiCallScope:  # noqa: ARG002 - every call is made the same way
        return AiCallScope(self._emitter, *self._made)

    def _returned(self, result: object) -> None:
        with guard(self._operation):
            if not self._call.has_output and isinstance(result, str | Mapping | list | tuple):
                self._call.output(result)


class RefsScope(ContextScope[None]):
    """A block whose AI calls are given documents; ``otel_audit.context`` makes it."""

    _operation = "context"
    _opened = False

    def __init__(self, refs: tuple[dict[str, Any], ...]) -> None:
        self._refs = refs

    def _open(self) -> None:
        self._opened = True
        before = context.get_value(_REFS)
        self._attach(context.set_value(_REFS, (*(before if isinstance(before, tuple) else ()), *self._refs)))

    def _entered(self) -> None:
        return None

    def __del__(self) -> None:
        if not self._opened:
            note(self._operation, "audit.context(...) without a with block records nothing")


class AiCalls(Emitter):
    """What an application says about its AI calls."""

    def ai_call(
        self,
        *,
        model: str,
        provider: str = "",
        operation: str = "chat",
        input: Messages | None = None,  # noqa: A002 - the vocabulary's word for it
        system_instructions: str | None = None,
        configuration: Mapping[str, Any] | None = None,
        prompt: str | tuple[str, str] = "",
    ) -> AiCallScope:
        """A call to a model that no instrumentation sees, as a block or a decorator.

        ``operation`` is chat, text_completion, generate_content, embeddings or a word of your own. ``input`` is the
        prompt or messages, ``configuration`` what was set for the call (temperature, seed ...), ``prompt`` the
        template's name, or name and version. An exception of the block is recorded and goes on unmodified. A
        decorated function's result is its output, unless the function records one itself.
        """
        found: dict[str, AttributeValue] = {
            AUDIT_EVENT_TYPE: EventType.AI_CALL.value,
            "gen_ai.operation.name": text(operation),
            "gen_ai.request.model": text(model),
        }
        if provider:
            found["gen_ai.provider.name"] = text(provider)
        with guard("ai_call"):
            if input is not None:
                found["gen_ai.input.messages"] = _json(as_messages(input, "user"))
            if system_instructions:
                parts = [{"type": "text", "content": text(system_instructions)}]
                found["gen_ai.system_instructions"] = _json(parts)
            for name, value in (configuration or {}).items():
                found[f"{_REQUEST}{name}"] = value if isinstance(value, bool | int | float | str) else _json(value)
        named = (text(prompt), "") if isinstance(prompt, str) else (text(prompt[0]), text(prompt[1]))
        return AiCallScope(self, f"{operation} {model}", found, named)

    def start_call(self, name: str, attributes: Mapping[str, AttributeValue], ctx: Context) -> trace.Span:
        """Start the span of an AI call. The caller ends it."""
        tracer = trace.get_tracer(TRACER_NAME, package_version(), tracer_provider=self._provider)
        span = tracer.start_span(text(name), ctx, kind=SpanKind.CLIENT, attributes=attributes, start_time=self.now())
        if not span.is_recording():
            note(
                "ai_call",
                "not recorded: no OpenTelemetry SDK is set up (call otel_audit.configure()), or the sampler dropped it",
            )
        return span

    def confidence(self, value: float) -> None:
        """How sure the AI's answer is, from 0 to 1, by your own measure.

        Inside of an AI call it is recorded on it. After one (of a client that otel-audit watches, in the same thread or
        task) it is recorded as an evaluation that belongs to it.
        """
        with guard("confidence"):
            found = checked_confidence(value, "the confidence given")
            if found is None:
                return
            call = context.get_value(_CALL)
            attributes: dict[str, AttributeValue] = {AUDIT_CONFIDENCE: found, AUDIT_CONFIDENCE_SOURCE: GIVEN}
            if isinstance(call, AiCall):
                call.confidence(found)
            elif (span := current_ai_span()) is not None:
                span.set_attributes(attributes)
            elif (before := last_call.get()) is not None:
                span_context, response_id = before
                ctx = trace.set_span_in_context(trace.NonRecordingSpan(span_context))
                if response_id:
                    attributes[AUDIT_RESPONSE_ID] = response_id
                self.emit(EventType.EVALUATION, attributes, ctx)
            else:
                note("confidence", "there is no AI call that it could belong to")

    def context(self, *refs: Ref) -> RefsScope:
        """Documents that the AI calls in the block are given: what a search in your own documents found.

        Each is an id or a URI, or a mapping with ``ref``, and ``score`` and ``hash`` where they are known. Stays in
        this process.
        """
        with guard("context"):
            return RefsScope(checked_refs(refs))
        return RefsScope(())


def checked_refs(refs: Iterable[Ref]) -> tuple[dict[str, Any], ...]:
    """References in one form. One that names nothing is noted."""
    found = []
    for ref in refs:
        item = dict(ref) if isinstance(ref, Mapping) else {"ref": ref}
        item["ref"] = text(item.get("ref"))
        if item["ref"]:
            found.append(item)
        else:
            note("context", "a reference without ref names nothing")
    return tuple(found)


def as_messages(value: Messages, role: str, finish_reason: str = "") -> list[dict[str, Any]]:
    """Messages in the form of the GenAI message schema."""
    listed = [value] if isinstance(value, str | Mapping) else list(value)
    messages = []
    for item in listed:
        if not isinstance(item, Mapping):
            item = {"content": item if isinstance(item, str) else _json(item)}  # noqa: PLW2901 - in one form
        elif "content" not in item and "parts" not in item:
            item = {"content": _json(item)}  # noqa: PLW2901 - a structured answer
        parts = item.get("parts")
        if parts is None:
            content = item["content"]
            parts = [{"type": "text", "content": content if isinstance(content, str) else _json(content)}]
        rest = {key: each for key, each in item.items() if key not in {"role", "content", "parts"}}
        messages.append({"role": item.get("role", role), "parts": parts, **rest})
    if finish_reason and messages:
        messages[-1].setdefault("finish_reason", finish_reason)
    return messages


def _text_of(messages: Iterable[Mapping[str, Any]]) -> str:
    parts = [part for message in messages for part in message["parts"] if isinstance(part, Mapping)]
    return "".join(part["content"] for part in parts if isinstance(part.get("content"), str))


def _json(value: Any) -> str:
    return text(json.dumps(value, ensure_ascii=False, default=str))
