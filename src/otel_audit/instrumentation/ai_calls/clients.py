"""What OpenAI-compatible and Anthropic clients are told and no instrumentation records.

Log probabilities, the provider's request id, and the confidence that follows from them. Both clients are made by one
generator, and this watches the methods that send a request, that are handed each HTTP response (while the
instrumentation's span of the call is current, wherever the instrumentation is), and that are handed the JSON of each
answer and of each event of a stream. Results, exceptions and streams pass through as they are. An HTTP response knows
the call it answers, so that a stream may be read anywhere.

Where a span of the call is current it gets the values. Where none is (an instrumentation that makes its span after the
call, or none at all), or where it has ended before the answer was read, they are recorded in a span of our own,
``ai_call.extras``, with the response id.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any, ClassVar, Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import context_attributes, text
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.ai_calls.ai_call import confidence_path, current_ai_span, last_call
from otel_audit.instrumentation.ai_calls.answers import GIVEN, Token, confidence_attributes, format_logprobs, tokens_of
from otel_audit.instrumentation.delivery.losses import TRACER_NAME, package_version
from otel_audit.instrumentation.sdk.processor import held_texts
from otel_audit.instrumentation.sdk.setup import is_installed
from otel_audit.semconv import (
    AUDIT_CONFIDENCE_SOURCE,
    AUDIT_LOGPROBS,
    AUDIT_PROVIDER_REQUEST_ID,
    AUDIT_RESPONSE_ID,
)

_MODULES: Final = ("openai._base_client", "anthropic._base_client")
_PATHS: Final = ("/chat/completions", "/completions", "/responses", "/messages", "/embeddings")
_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id")
_EXTENSION: Final = "otel_audit.call"
_ORIGINAL: Final = "__otel_audit_original__"
_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EXTRAS: Final = "ai_call.extras"


# The AI call's span when the request was sent. Anthropic's client may have made one of its own since.
_asking: Final[ContextVar[trace.Span | None]] = ContextVar("otel_audit_asking", default=None)


@dataclass(slots=True)
class _Answer:
    """A call while its answer is read. Owned by whatever thread or task reads it."""

    span: trace.Span | None
    ctx: Context
    request_id: str
    path: str
    response_id: str = ""
    texts: list[str] = field(default_factory=list)
    tokens: dict[int, list[Token]] = field(default_factory=dict)
    done: bool = False

    def add(self, data: Any) -> None:
        """The JSON of an answer, or of one event of a stream."""
        if self.done or not isinstance(data, Mapping):
            return
        kind = str(data.get("type") or data.get("object") or "")
        if kind == "message_start":  # Anthropic, as a stream
            self.response_id = str((data.get("message") or {}).get("id") or "")
        elif kind == "content_block_delta":
            self.texts.append(str((data.get("delta") or {}).get("text") or ""))
        elif kind in {"message_stop", "response.failed"}:
            self.finish()
        elif kind == "message":
            self._parts(data, data.get("content"))
        elif kind in {"response.completed", "response.incomplete"}:
            self._response(data.get("response") or {})
        elif kind == "response":
            self._response(data)
        elif isinstance(data.get("choices"), list):
            self._choices(data, data["choices"])
        elif kind == "list":  # embeddings
            self.finish()

    def _choices(self, data: Mapping[str, Any], choices: Sequence[Any]) -> None:
        self.response_id = str(data.get("id") or self.response_id)
        ended = False
        for choice in choices:
            index = choice.get("index") or 0
            said = choice.get("message") or choice.get("delta") or {}
            if index == 0:
                self.texts.append(str(said.get("content") or choice.get("text") or ""))
            if tokens := tokens_of(choice.get("logprobs") or {}):
                self.tokens.setdefault(index, []).extend(tokens)
            ended = ended or bool(choice.get("message") or choice.get("finish_reason"))
        if ended:
            # Of several choices in a stream each ends for itself: what is known is told with each.
            self.finish(last="message" in choices[0] or len(choices) > 1)

    def _response(self, data: Mapping[str, Any]) -> None:
        items = [item for item in data.get("output") or () if isinstance(item, Mapping)]
        self._parts(data, [part for item in items for part in item.get("content") or ()])

    def _parts(self, data: Mapping[str, Any], parts: Any) -> None:
        self.response_id = str(data.get("id") or "")
        for part in parts or ():
            if isinstance(part, Mapping):
                self.texts.append(str(part.get("text") or ""))
                if tokens := tokens_of(part.get("logprobs")):
                    self.tokens.setdefault(0, []).extend(tokens)
        self.finish()

    def finish(self, *, last: bool = True) -> None:
        """Record what is known now."""
        self.done = last
        tokens = self.tokens.get(0, [])
        found = confidence_attributes(text="".join(self.texts), path=self.path, tokens=tokens)
        listed = text(format_logprobs(self.tokens[index] for index in sorted(self.tokens)))
        if self.span is None or not self.span.is_recording():
            if self.span is None or found or listed:
                _record(
                    self.ctx, self.request_id, self.response_id, found | ({AUDIT_LOGPROBS: listed} if listed else {})
                )
            self.done = True
            return
        last_call.set((self.span.get_span_context(), self.response_id))
        attributes: Mapping[str, Any] = getattr(self.span, "attributes", None) or {}
        if attributes.get(AUDIT_CONFIDENCE_SOURCE) != GIVEN:
            self.span.set_attributes(found)
        if listed:
            _tell_text(self.span, {AUDIT_LOGPROBS: listed})


def _tell_text(span: trace.Span, attributes: Mapping[str, AttributeValue]) -> None:
    """Texts of the answer: in our copy of the span alone, or where the application has its own spans hold texts."""
    if is_installed():
        held_texts.hold(span.get_span_context().span_id, attributes)
    elif os.environ.get(_CAPTURE, "").upper() in {"SPAN_ONLY", "SPAN_AND_EVENT"}:
        span.set_attributes(attributes)


def _record(ctx: Context, request_id: str, response_id: str, attributes: Mapping[str, AttributeValue]) -> None:
    """A span of our own, beside the AI call's."""
    found: dict[str, AttributeValue] = {**context_attributes(ctx), **attributes}
    if request_id:
        found[AUDIT_PROVIDER_REQUEST_ID] = request_id
    if response_id:
        found[AUDIT_RESPONSE_ID] = response_id
    if not is_installed() and os.environ.get(_CAPTURE, "").upper() not in {"SPAN_ONLY", "SPAN_AND_EVENT"}:
        found.pop(AUDIT_LOGPROBS, None)
    tracer = trace.get_tracer(TRACER_NAME, package_version(), tracer_provider=ClientExtrasInstrumentor.tracer_provider)
    span = tracer.start_span(EXTRAS, ctx, attributes=found)
    last_call.set((span.get_span_context(), response_id))
    span.end()


def _begin(response: Any) -> None:
    """A response has come: note whose it is, while that is known."""
    path = response.request.url.path
    if not path.endswith(_PATHS):
        return
    request_id = next((text(response.headers[name]) for name in _REQUEST_IDS if name in response.headers), "")
    span = _asking.get() or current_ai_span()
    if span is not None:
        if request_id:
            span.set_attribute(AUDIT_PROVIDER_REQUEST_ID, request_id)
        last_call.set((span.get_span_context(), ""))
    ctx = context.get_current()
    if response.is_error:
        if span is None and request_id:
            _record(ctx, request_id, "", {"error.type": str(response.status_code)})
        return
    response.extensions[_EXTENSION] = _Answer(span, ctx, request_id, confidence_path(ctx))


def _patched(cls: type, name: str, replacement: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = cls.__dict__.get(name)
    if original is None or not callable(original):
        note("clients", f"{cls.__module__}.{cls.__name__} has no {name}: this release of the client is not watched")
        return
    if hasattr(original, _ORIGINAL):
        return
    wrapper = functools.wraps(original)(replacement(original))
    setattr(wrapper, _ORIGINAL, original)
    setattr(cls, name, wrapper)


def _request(original: Callable[..., Any]) -> Callable[..., Any]:
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = _asking.set(_current())
        try:
            return original(self, *args, **kwargs)
        finally:
            _asking.reset(token)

    return request


def _async_request(original: Callable[..., Any]) -> Callable[..., Any]:
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = _asking.set(_current())
        try:
            return await original(self, *args, **kwargs)
        finally:
            _asking.reset(token)

    return request


def _current() -> trace.Span | None:
    with guard("clients"):
        return current_ai_span()
    return None


def _sync(original: Callable[..., Any]) -> Callable[..., Any]:
    def process_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        with guard("clients"):
            _begin(kwargs["response"])
        return original(self, *args, **kwargs)

    return process_response


def _async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def process_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        with guard("clients"):
            _begin(kwargs["response"])
        return await original(self, *args, **kwargs)

    return process_response


def _data(original: Callable[..., Any]) -> Callable[..., Any]:
    def process_response_data(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        with guard("clients"):
            answer = kwargs["response"].extensions.get(_EXTENSION)
            if answer is not None:
                answer.add(kwargs["data"])
        return result

    return process_response_data


def _error(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_status_error_from_response(self: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        with guard("clients"):
            _begin(response)
        return original(self, response, *args, **kwargs)

    return make_status_error_from_response


_WATCHED: Final = (
    ("SyncAPIClient", "request", _request),
    ("AsyncAPIClient", "request", _async_request),
    ("SyncAPIClient", "_process_response", _sync),
    ("AsyncAPIClient", "_process_response", _async),
    ("BaseClient", "_process_response_data", _data),
    ("BaseClient", "_make_status_error_from_response", _error),
)


def _patch(module: ModuleType) -> None:
    for class_name, method, replacement in _WATCHED:
        _patched(getattr(module, class_name), method, replacement)


class _PatchOnImport(MetaPathFinder):
    """Watches a client when it is imported: one that an application never uses is not loaded for us."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                with guard("clients"):
                    _patch(module)

            loader.exec_module = exec_module
        return spec


_finder: Final = _PatchOnImport()


class ClientExtrasInstrumentor:
    """Entry point ``opentelemetry_instrumentor``, named ``otel_audit_clients``; ``configure`` uses it too.

    It has the methods that OpenTelemetry's tools call, and does not need their package.
    """

    tracer_provider: ClassVar[trace.TracerProvider | None] = None  # the global one, unless instrument was given one

    def instrument(self, *, tracer_provider: trace.TracerProvider | None = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Watch the clients, now or when they are imported. Calling it again changes only the provider, if given."""
        with guard("clients"):
            if tracer_provider is not None:
                ClientExtrasInstrumentor.tracer_provider = tracer_provider
            if _finder not in sys.meta_path:
                sys.meta_path.insert(0, _finder)
            for name in _MODULES:
                if name in sys.modules:
                    _patch(sys.modules[name])

    def uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002 - as above
        """Leave the clients as they were."""
        with guard("clients"):
            ClientExtrasInstrumentor.tracer_provider = None
            if _finder in sys.meta_path:
                sys.meta_path.remove(_finder)
            for module in [sys.modules[name] for name in _MODULES if name in sys.modules]:
                for class_name, method, _ in _WATCHED:
                    cls = getattr(module, class_name)
                    original = getattr(cls.__dict__.get(method), _ORIGINAL, None)
                    if original is not None:
                        setattr(cls, method, original)

    def instrumentation_dependencies(self) -> list[str]:
        """None: what is not there is not watched."""
        return []
