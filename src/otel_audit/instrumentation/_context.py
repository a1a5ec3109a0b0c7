"""The task (in baggage, so that downstream services inherit it) and the prompt (in this process only)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, TypeVar

from opentelemetry import baggage, context
from opentelemetry.context import Context

from otel_audit.instrumentation._faults import guard
from otel_audit.semconv import (
    AUDIT_PROMPT_NAME,
    AUDIT_PROMPT_VERSION,
    AUDIT_SUBJECT_REF,
    AUDIT_TASK_ID,
    AUDIT_TASK_KIND,
)

_PROMPT: Final = context.create_key("otel_audit.prompt")
_TASK_BAGGAGE: Final = (AUDIT_TASK_ID, AUDIT_TASK_KIND, AUDIT_SUBJECT_REF)

Entered_co = TypeVar("Entered_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Task:
    """The task in a context. Empty strings where nothing is known."""

    id: str = ""
    kind: str = ""
    subject_ref: str = ""


def text(value: object) -> str:
    """The value as text that OTLP can carry; empty for None, and (counted) for what has no text.

    A lone surrogate, which would make the exporter drop its whole batch, becomes a question mark.
    """
    with guard("text"):
        return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")
    return ""


def current_task(ctx: Context | None = None) -> Task:
    """The task that the context's baggage names."""
    return Task(*(str(baggage.get_baggage(key, ctx) or "") for key in _TASK_BAGGAGE))


def with_task(task: Task, ctx: Context | None = None) -> Context:
    """A context about ``task``: what it leaves empty is kept from the context if that is about the same task."""
    known = current_task(ctx)
    if known.id == task.id:
        task = Task(task.id, task.kind or known.kind, task.subject_ref or known.subject_ref)
    for key, value in zip(_TASK_BAGGAGE, (task.id, task.kind, task.subject_ref), strict=True):
        ctx = baggage.set_baggage(key, value, ctx) if value else baggage.remove_baggage(key, ctx)
    return ctx if ctx is not None else context.get_current()


def with_prompt(name: str, version: str, ctx: Context | None = None) -> Context:
    """A context in which AI calls are made from the named prompt template."""
    return context.set_value(_PROMPT, (name, version), ctx)


def context_attributes(ctx: Context | None = None) -> dict[str, str]:
    """What the context knows, as span attributes: the task's id, kind and subject, the prompt's name and version."""
    task = current_task(ctx)
    prompt = context.get_value(_PROMPT, ctx)
    prompt_name, prompt_version = prompt if isinstance(prompt, tuple) else ("", "")
    found = {
        AUDIT_TASK_ID: task.id,
        AUDIT_TASK_KIND: task.kind,
        AUDIT_SUBJECT_REF: task.subject_ref,
        AUDIT_PROMPT_NAME: prompt_name,
        AUDIT_PROMPT_VERSION: prompt_version,
    }
    return {key: value for key, value in found.items() if value}


class Scope(ABC, Generic[Entered_co]):
    """A ``with`` or ``async with`` block. A subclass says what happens at its two ends; neither breaks the block."""

    _operation: ClassVar[str]  # what error_counts() calls it

    @abstractmethod
    def _open(self) -> None:
        """Begin. Errors are noted, and the block runs all the same."""

    @abstractmethod
    def _close(self, exc: BaseException | None) -> None:
        """End; ``exc`` is what the block raised, which goes on unmodified."""

    @abstractmethod
    def _entered(self) -> Entered_co:
        """What ``as`` gets."""

    def __enter__(self) -> Entered_co:
        with guard(self._operation):
            self._open()
        return self._entered()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with guard(self._operation):
            self._close(exc)

    async def __aenter__(self) -> Entered_co:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)


class ContextScope(Scope[Entered_co]):
    """A block that runs in a context of its own, and leaves the one around it as it was."""

    _token: Token[Any] | None = None

    def _attach(self, ctx: Context) -> None:
        self._token = context.attach(ctx)

    def _close(self, exc: BaseException | None) -> None:  # noqa: ARG002 - a context ends the same way either way
        if self._token is not None:
            context.detach(self._token)
            self._token = None
