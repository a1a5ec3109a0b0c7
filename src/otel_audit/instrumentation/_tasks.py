"""Tasks: the block about one, how it is handed on, how it ends, and that it is opened again."""

from __future__ import annotations

from typing import Final

from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import Task, current_task, text, with_prompt, with_task
from otel_audit.instrumentation._decorate import Call, DecoratingScope, Source
from otel_audit.instrumentation._emitter import USER, Emitter, actor
from otel_audit.instrumentation._faults import guard
from otel_audit.instrumentation.ai_calls.ai_call import with_confidence_path
from otel_audit.instrumentation.reviews.rationale import Codes, listed
from otel_audit.model import EventType
from otel_audit.semconv import (
    AUDIT_ESCALATION_FROM,
    AUDIT_ESCALATION_LEVEL,
    AUDIT_ESCALATION_TO,
    AUDIT_RESOLUTION_OUTCOME,
    AUDIT_TASK_REOPENED,
)

_REOPENED: Final = "task.reopened"  # the span's name, by which tables know it, which have no attributes


class TaskScope(DecoratingScope[Task]):
    """A block, or a decorated function, that belongs to a task; ``otel_audit.task`` makes it."""

    _operation = "task"

    def __init__(self, emitter: Emitter, task: Task, *, join: bool, id_from: Source | None = None) -> None:
        self._emitter = emitter
        self._task = task
        self._join = join
        self._id_from = id_from

    def _open(self) -> None:
        is_new = not self._join and current_task().id != self._task.id
        ctx = with_task(self._task)
        self._attach(ctx)
        if is_new:
            self._emitter.emit(EventType.TASK_CREATED, {}, ctx)

    def _entered(self) -> Task:
        return self._task

    def _for_call(self, call: Call) -> TaskScope:
        task = self._task
        if self._id_from is not None:
            task = Task(call.text(self._id_from, self._operation), task.kind, task.subject_ref)
        return TaskScope(self._emitter, task, join=self._join)


class PromptScope(DecoratingScope[None]):
    """A block, or a decorated function, whose AI calls use one prompt template; ``otel_audit.prompt`` makes it."""

    _operation = "prompt"

    def __init__(self, name: str, prompt_version: str, confidence_path: str = "") -> None:
        self._prompt = (name, prompt_version)
        self._confidence_path = confidence_path

    def _open(self) -> None:
        ctx = with_prompt(*self._prompt)
        self._attach(with_confidence_path(self._confidence_path, ctx) if self._confidence_path else ctx)

    def _entered(self) -> None:
        return None

    def _for_call(self, call: Call) -> PromptScope:  # noqa: ARG002 - the same prompt for every call
        return PromptScope(*self._prompt, self._confidence_path)


class Tasks(Emitter):
    """What an application says about a task as a whole."""

    def task(
        self,
        task_id: str = "",
        *,
        id_from: Source | None = None,
        kind: str = "",
        subject_ref: str = "",
        join: bool = False,
    ) -> TaskScope:
        """Everything in the block belongs to the task, also in the services that it calls (by baggage).

        The first block about a task records ``task.created``. A service that was called from inside one
        does not record it again; ``join=True`` says so where baggage does not arrive (a queue, a cron job).

        ``kind`` is the kind of task, and ``subject_ref`` a reference to the person or case concerned,
        never a name: both travel in HTTP headers to every host the block calls.

        As a decorator of a function or a coroutine function, ``id_from`` tells the task of each call: the name of
        an argument, or a function of all arguments.
        """
        return TaskScope(
            self, Task(text(task_id), text(kind or ""), text(subject_ref or "")), join=join, id_from=id_from
        )

    def prompt(self, name: str, version: str = "", *, confidence_path: str = "") -> PromptScope:
        """AI calls in the block, or in the decorated function, are made from this prompt template.

        Its answers have their confidence at ``confidence_path``, as in ``configure``. Stays in this process.
        """
        return PromptScope(text(name), text(version), confidence_path)

    def escalate(
        self,
        task_id: str,
        *,
        from_reviewer: str,
        to_reviewer: str,
        reason: str | None = None,
        rationale_code: Codes = (),
        level: int = 1,
        at: int | None = None,
    ) -> None:
        """Record that one reviewer handed the task to another.

        ``reason`` is free text, ``level`` the level it went to, from 1; ``at`` as in ``finish_review``.
        """
        codes = listed(rationale_code)
        self.codes.check(codes)
        with guard("escalate"):
            found: dict[str, AttributeValue] = {
                **actor(from_reviewer),
                AUDIT_ESCALATION_FROM: text(from_reviewer),
                AUDIT_ESCALATION_TO: text(to_reviewer),
                AUDIT_ESCALATION_LEVEL: int(level),
                **self.codes.attributes(codes, reason),
            }
            self.emit(EventType.ESCALATION, found, with_task(Task(text(task_id))), at=at)

    def resolve(
        self,
        task_id: str,
        *,
        by: str,
        resolution: str,
        note: str | None = None,
        rationale_code: Codes = (),
        by_type: str = USER,
        at: int | None = None,
    ) -> None:
        """Record how the task ended, and by whom: a person's pseudonym, or a service with ``by_type="service"``.

        ``note`` is free text; ``at`` as in ``finish_review``.
        """
        codes = listed(rationale_code)
        self.codes.check(codes)
        with guard("resolve"):
            found: dict[str, AttributeValue] = {
                **actor(by, by_type),
                AUDIT_RESOLUTION_OUTCOME: text(resolution),
                **self.codes.attributes(codes, note),
            }
            self.emit(EventType.RESOLUTION, found, with_task(Task(text(task_id))), at=at)

    def reopen(
        self,
        task_id: str,
        *,
        by: str,
        reason: str | None = None,
        rationale_code: Codes = (),
        by_type: str = USER,
        at: int | None = None,
    ) -> None:
        """Record that a resolved task is worked on again: a complaint, new evidence, an error that was found.

        It is a ``task.created`` that says that it opens the task again, so that a task's life reads created,
        resolved, created again, resolved. Parameters as in ``resolve``; ``reason`` is free text.
        """
        codes = listed(rationale_code)
        self.codes.check(codes)
        with guard("reopen"):
            found: dict[str, AttributeValue] = {
                **actor(by, by_type),
                AUDIT_TASK_REOPENED: True,
                **self.codes.attributes(codes, reason),
            }
            self.emit(EventType.TASK_CREATED, found, with_task(Task(text(task_id))), at=at, name=_REOPENED)
