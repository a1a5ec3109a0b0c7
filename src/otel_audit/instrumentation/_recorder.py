"""Audit events as spans of the tracer ``otel_audit``: start = opened, end = decided."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import (
    ContextScope,
    Task,
    context_attributes,
    current_task,
    text,
    with_prompt,
    with_task,
)
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation._review import Decision, Review, rationale_codes
from otel_audit.instrumentation._setup import prepare
from otel_audit.instrumentation._ticket import Ticket
from otel_audit.model import EventType
from otel_audit.semconv import (
    AUDIT_ACTION,
    AUDIT_ACTOR_ID,
    AUDIT_ACTOR_TYPE,
    AUDIT_ESCALATION_FROM,
    AUDIT_ESCALATION_LEVEL,
    AUDIT_ESCALATION_TO,
    AUDIT_EVENT_TYPE,
    AUDIT_FILTER,
    AUDIT_OUTCOME,
    AUDIT_PURPOSE,
    AUDIT_RATIONALE_CODE,
    AUDIT_RATIONALE_TEXT,
    AUDIT_RESOLUTION_OUTCOME,
    AUDIT_REVIEW_ID,
    AUDIT_REVIEW_QUEUE_WAIT_SECONDS,
    AUDIT_REVIEWER_ID,
    AUDIT_ROW_COUNT,
    AUDIT_TARGET_ID,
    AUDIT_TARGET_TYPE,
    AUDIT_TASK_ID,
)

TRACER_NAME: Final = "otel_audit"
_USER: Final = "user"
_W3C: Final = TraceContextTextMapPropagator()


def _package_version() -> str:
    try:
        return version("otel-audit")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


class TaskScope(ContextScope[Task]):
    """A block that belongs to a task; ``otel_audit.task`` makes it."""

    _operation = "task"

    def __init__(self, recorder: Recorder, task: Task, *, join: bool) -> None:
        self._recorder = recorder
        self._task = task
        self._join = join

    def _open(self) -> None:
        is_new = not self._join and current_task().id != self._task.id
        ctx = with_task(self._task)
        self._attach(ctx)
        if is_new:
            self._recorder.emit(EventType.TASK_CREATED, {}, ctx)

    def _entered(self) -> Task:
        return self._task


class PromptScope(ContextScope[None]):
    """A block whose AI calls use one prompt template; ``otel_audit.prompt`` makes it."""

    _operation = "prompt"

    def __init__(self, name: str, prompt_version: str) -> None:
        self._prompt = (name, prompt_version)

    def _open(self) -> None:
        self._attach(with_prompt(*self._prompt))

    def _entered(self) -> None:
        return None


class Recorder:
    """Records audit events of one service. The functions of ``otel_audit`` are methods of one such object.

    ``clock`` gives nanoseconds since 1970 and ``ids`` an identity for each review. Without a tracer
    provider the global one is used, also when it is set later.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
        ids: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._use(tracer_provider)

    def _use(self, provider: trace.TracerProvider | None) -> None:
        self._provider = provider
        self._tracer = trace.get_tracer(TRACER_NAME, _package_version(), tracer_provider=provider)

    def now(self) -> int:
        """The clock's time in nanoseconds since 1970; the system's (counted) when the clock fails."""
        with guard("clock"):
            return self._clock()
        return time.time_ns()

    def configure(
        self,
        service_name: str | None = None,
        *,
        endpoint: str | None = None,
        environment: str | None = None,
        service_version: str | None = None,
        tracer_provider: Any = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Make the process ready to record. Call it once at start; calling it again changes nothing.

        Where the application has set an OpenTelemetry SDK tracer provider already, only a span processor
        is added to it, which puts the task onto every span; the provider keeps its resource, sampler and
        exporters, and gets one more exporter only if ``endpoint`` is given. Where there is none, one is
        made that sends by OTLP over gRPC to ``endpoint``, else to ``OTEL_EXPORTER_OTLP_ENDPOINT``, else
        to ``http://localhost:4317``, in the name of ``service_name``, ``service_version`` and
        ``environment`` (else of the ``OTEL_*`` variables).

        ``tracer_provider`` names the provider to use in place of the global one, and ``clock`` gives the
        time in nanoseconds since 1970.
        """
        with guard("configure"):
            if clock is not None:
                self._clock = clock
            self._use(
                prepare(
                    tracer_provider,
                    service_name=service_name,
                    service_version=service_version,
                    environment=environment,
                    endpoint=endpoint,
                )
            )

    def flush(self, timeout: float = 10.0) -> bool:
        """Send what is waiting, for at most ``timeout`` seconds.

        True when nothing waits any more. (The SDK does not say whether its exporter delivered it: one that
        cannot reach its endpoint logs that and gives up.)
        """
        with guard("flush"):
            force_flush = getattr(self._provider or trace.get_tracer_provider(), "force_flush", None)
            return bool(force_flush(int(timeout * 1000))) if force_flush else False
        return False

    def task(self, task_id: str, *, kind: str = "", subject_ref: str = "", join: bool = False) -> TaskScope:
        """Everything in the block belongs to the task, also in the services that it calls (by baggage).

        The first block about a task records ``task.created``. A service that was called from inside one
        does not record it again; ``join=True`` says so where baggage does not arrive (a queue, a cron job).

        ``kind`` is the kind of task, and ``subject_ref`` a reference to the person or case concerned,
        never a name: both travel in HTTP headers to every host the block calls.
        """
        return TaskScope(self, Task(text(task_id), text(kind or ""), text(subject_ref or "")), join=join)

    def prompt(self, name: str, version: str = "") -> PromptScope:
        """AI calls in the block are made from this prompt template. Stays in this process."""
        return PromptScope(text(name), text(version))

    def review(self, task_id: str, *, reviewer: str, queue_wait_seconds: float | None = None) -> Review:
        """A person's review, open as long as the block runs.

        ``reviewer`` is a pseudonym. ``queue_wait_seconds`` is how long the task waited for the reviewer.
        """
        return Review(self, task_id, reviewer, queue_wait_seconds, self._ids())

    def start_review(
        self, task_id: str, *, reviewer: str, queue_wait_seconds: float | None = None, at: int | None = None
    ) -> Ticket:
        """Open a review that is finished in another request or process, with the ticket.

        Nothing is sent until then. ``at`` is when it was opened, in nanoseconds since 1970; now by default.
        """
        carrier: dict[str, str] = {}
        task = Task(text(task_id))
        with guard("start_review"):
            task = current_task(with_task(task))
            _W3C.inject(carrier)
        return Ticket(
            task_id=text(task_id),
            reviewer=text(reviewer),
            review_id=self._ids(),
            opened_unix_nano=self.now() if at is None else at,
            task_kind=task.kind,
            subject_ref=task.subject_ref,
            queue_wait_seconds=queue_wait_seconds,
            traceparent=carrier.get("traceparent", ""),
        )

    def finish_review(
        self,
        ticket: Ticket | Mapping[str, Any] | str,
        *,
        decision: str,
        active_seconds: float | None = None,
        idle_seconds: float | None = None,
        rationale_code: str | Iterable[str] = (),
        rationale: str | None = None,
        before: str | None = None,
        after: str | None = None,
        override: bool | None = None,
        at: int | None = None,
    ) -> None:
        """Record the decision of a review that ``start_review`` opened.

        The review's span belongs to the trace it was opened in, where there was one, and links to where it
        was finished. ``decision`` is approved, rejected, modified, escalated, abandoned or a word of your
        own; the seconds are what your user interface measured; ``at`` is when it was decided, in
        nanoseconds since 1970; now by default.
        """
        with guard("finish_review"):
            opened = Ticket.of(ticket)
            ctx = with_task(Task(opened.task_id, opened.task_kind, opened.subject_ref))
            links: list[trace.Link] = []
            if opened.traceparent:
                here = trace.get_current_span(ctx).get_span_context()
                ctx = _W3C.extract({"traceparent": opened.traceparent}, ctx)
                there = trace.get_current_span(ctx).get_span_context()
                if here.is_valid and here.span_id != there.span_id:
                    links.append(trace.Link(here))
            decided = self.now() if at is None else at
            attributes = self.review_attributes(ctx, opened.review_id, opened.reviewer, opened.queue_wait_seconds)
            attributes |= Decision(
                decision, rationale_code, rationale, before, after, override, active_seconds, idle_seconds
            ).attributes(max(0, decided - opened.opened_unix_nano) / 1e9)
            self.start(EventType.REVIEW, attributes, ctx, at=opened.opened_unix_nano, links=links).end(end_time=decided)

    def escalate(
        self,
        task_id: str,
        *,
        from_reviewer: str,
        to_reviewer: str,
        reason: str | None = None,
        rationale_code: str | Iterable[str] = (),
        level: int = 1,
        at: int | None = None,
    ) -> None:
        """Record that one reviewer handed the task to another.

        ``reason`` is free text, ``level`` the level it went to, from 1; ``at`` as in ``finish_review``.
        """
        with guard("escalate"):
            found: dict[str, AttributeValue] = {
                **_person(from_reviewer),
                AUDIT_ESCALATION_FROM: text(from_reviewer),
                AUDIT_ESCALATION_TO: text(to_reviewer),
                AUDIT_ESCALATION_LEVEL: int(level),
                **_rationale(reason, rationale_code),
            }
            self.emit(EventType.ESCALATION, found, with_task(Task(text(task_id))), at=at)

    def resolve(
        self,
        task_id: str,
        *,
        by: str,
        resolution: str,
        note: str | None = None,
        rationale_code: str | Iterable[str] = (),
        by_type: str = _USER,
        at: int | None = None,
    ) -> None:
        """Record how the task ended, and by whom: a person's pseudonym, or a service with ``by_type="service"``.

        ``note`` is free text; ``at`` as in ``finish_review``.
        """
        with guard("resolve"):
            found: dict[str, AttributeValue] = {
                **(_person(by) if by_type == _USER else {AUDIT_ACTOR_ID: text(by), AUDIT_ACTOR_TYPE: text(by_type)}),
                AUDIT_RESOLUTION_OUTCOME: text(resolution),
                **_rationale(note, rationale_code),
            }
            self.emit(EventType.RESOLUTION, found, with_task(Task(text(task_id))), at=at)

    def record_access(
        self,
        action: str,
        *,
        actor: str,
        actor_type: str = _USER,
        target: str | None = None,
        target_type: str | None = None,
        purpose: str | None = None,
        filter: str | Mapping[str, Any] | None = None,  # noqa: A002 - the vocabulary's word for it
        row_count: int | None = None,
        outcome: str = "success",
        at: int | None = None,
    ) -> None:
        """Record that somebody looked at, searched or exported what the trail holds.

        ``action`` is a verb such as VIEW, SEARCH or EXPORT, ``target`` what it was done to (a task, a
        file), ``purpose`` why, ``filter`` what was asked for, ``row_count`` how many rows were shown.
        """
        with guard("record_access"):
            asked = filter if isinstance(filter, str | None) else json.dumps(filter, ensure_ascii=False, default=str)
            texts = {
                AUDIT_ACTION: action.upper(),
                AUDIT_ACTOR_ID: actor,
                AUDIT_ACTOR_TYPE: actor_type,
                AUDIT_TARGET_ID: target,
                AUDIT_TARGET_TYPE: target_type,
                AUDIT_PURPOSE: purpose,
                AUDIT_FILTER: asked,
                AUDIT_OUTCOME: outcome,
            }
            found: dict[str, AttributeValue] = {key: text(value) for key, value in texts.items() if value}
            if row_count is not None:
                found[AUDIT_ROW_COUNT] = int(row_count)
            self.emit(EventType.ACCESS, found, None, at=at)

    def review_attributes(
        self, ctx: Context, review_id: str, reviewer: str, queue_wait_seconds: float | None
    ) -> dict[str, AttributeValue]:
        """What is known of a review when it is opened."""
        found: dict[str, AttributeValue] = {**context_attributes(ctx), **_person(reviewer), AUDIT_REVIEW_ID: review_id}
        if queue_wait_seconds is not None:
            found[AUDIT_REVIEW_QUEUE_WAIT_SECONDS] = float(queue_wait_seconds)
        return found

    def start(
        self,
        event_type: EventType,
        attributes: Mapping[str, AttributeValue],
        ctx: Context | None,
        *,
        at: int,
        links: Sequence[trace.Link] = (),
    ) -> trace.Span:
        """Start the span of an event at ``at``. The caller ends it."""
        found = {**context_attributes(ctx), **attributes, AUDIT_EVENT_TYPE: event_type.value}
        if AUDIT_TASK_ID not in found and event_type is not EventType.ACCESS:
            note(event_type, "recorded without a task id, because none was given")
        span = self._tracer.start_span(event_type.value, ctx, attributes=found, links=links, start_time=at)
        if not span.is_recording():
            note(
                event_type,
                "not recorded: no OpenTelemetry SDK is set up (call otel_audit.configure()), or the sampler dropped it",
            )
        return span

    def emit(
        self,
        event_type: EventType,
        attributes: Mapping[str, AttributeValue],
        ctx: Context | None,
        *,
        at: int | None = None,
    ) -> None:
        """Record an event that is a point in time."""
        moment = self.now() if at is None else at
        self.start(event_type, attributes, ctx, at=moment).end(end_time=moment)


def _person(reviewer: str) -> dict[str, AttributeValue]:
    return {AUDIT_REVIEWER_ID: text(reviewer), AUDIT_ACTOR_ID: text(reviewer), AUDIT_ACTOR_TYPE: _USER}


def _rationale(reason: str | None, codes: str | Iterable[str]) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {}
    if listed := rationale_codes(codes):
        found[AUDIT_RATIONALE_CODE] = listed
    if reason is not None:
        found[AUDIT_RATIONALE_TEXT] = text(reason)
    return found
