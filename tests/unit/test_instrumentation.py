"""The instrumentation API, recorded by a real SDK tracer provider."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import otel_audit as audit
from otel_audit import semconv
from otel_audit.errors import MalformedInput
from otel_audit.instrumentation import Recorder, _faults
from tests.unit.recording import SECOND, Recording, typed


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture(autouse=True)
def no_errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts with empty counters, and leaves the context as it found it."""
    _faults._counts.clear()
    _faults._logged.clear()
    before = context.get_current()
    yield
    assert context.get_current() == before


def test_task_created_once_and_every_span_carries_the_task(recording: Recording) -> None:
    """The first block records task.created; a nested one does not; every span inside carries the task."""
    tracer = recording.provider.get_tracer("app")
    with recording.audit.task("loan-1", kind="credit_decision", subject_ref="case-88") as task:
        assert task.id == "loan-1"
        with recording.audit.task("loan-1"), tracer.start_as_current_span("work"):
            pass
    with tracer.start_as_current_span("outside"):
        pass
    created = recording.one("task.created")
    task_attributes = {
        semconv.AUDIT_TASK_ID: "loan-1",
        semconv.AUDIT_TASK_KIND: "credit_decision",
        semconv.AUDIT_SUBJECT_REF: "case-88",
    }
    assert typed(created) == {semconv.AUDIT_EVENT_TYPE: "task.created", **task_attributes}
    assert created.start_time == created.end_time == recording.clock.now
    assert typed(recording.one("work")) == task_attributes
    assert typed(recording.one("outside")) == {}
    assert recording.one("task.created").instrumentation_scope.name == "otel_audit"


def test_another_task_inherits_nothing(recording: Recording) -> None:
    """A task inside another has neither its kind nor its subject."""
    with recording.audit.task("a", kind="k", subject_ref="s"), recording.audit.task("b"):
        assert baggage.get_all() == {semconv.AUDIT_TASK_ID: "b"}


def test_joined_task_is_not_created_again(recording: Recording) -> None:
    """A task that baggage brought, or that is joined explicitly, records no second task.created."""
    token = context.attach(baggage.set_baggage(semconv.AUDIT_TASK_ID, "loan-1"))
    with recording.audit.task("loan-1"):
        pass
    context.detach(token)
    with recording.audit.task("loan-2", join=True):
        pass
    assert recording.spans == ()


def test_review_modified_has_typed_attributes(recording: Recording) -> None:
    """A review's span runs from opening to decision and carries every fact in its own type."""
    opened = recording.clock.now
    with recording.audit.task("loan-1", kind="credit_decision"):  # noqa: SIM117 - one block each, as in use
        with recording.audit.review("loan-1", reviewer="u_102", queue_wait_seconds=30) as review:
            recording.clock.advance(40)
            review.pause()
            recording.clock.advance(15)
            review.resume()
            recording.clock.advance(5)
            review.modify("before", "after", rationale_code=["a", "b"], rationale="why", override=True)
            recording.clock.advance(100)  # saving, after the decision
    span = recording.one("review")
    attributes = typed(span)
    assert attributes.pop(semconv.AUDIT_REVIEW_ID) == review.review_id
    assert attributes == {
        semconv.AUDIT_EVENT_TYPE: "review",
        semconv.AUDIT_TASK_ID: "loan-1",
        semconv.AUDIT_TASK_KIND: "credit_decision",
        semconv.AUDIT_REVIEWER_ID: "u_102",
        semconv.AUDIT_ACTOR_ID: "u_102",
        semconv.AUDIT_ACTOR_TYPE: "user",
        semconv.AUDIT_REVIEW_DECISION: "modified",
        semconv.AUDIT_REVIEW_OVERRIDE: True,
        semconv.AUDIT_REVIEW_ACTIVE_SECONDS: 45.0,
        semconv.AUDIT_REVIEW_IDLE_SECONDS: 15.0,
        semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS: 30.0,
        semconv.AUDIT_RATIONALE_CODE: ("a", "b"),
        semconv.AUDIT_RATIONALE_TEXT: "why",
        semconv.AUDIT_CHANGE_BEFORE: "before",
        semconv.AUDIT_CHANGE_AFTER: "after",
        semconv.AUDIT_CHANGE_DIFF: "--- before\n+++ after\n@@ -1 +1 @@\n-before\n\\ No newline at end of file\n"
        "+after\n\\ No newline at end of file\n",
    }
    assert type(attributes[semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS]) is float
    assert (span.start_time, span.end_time) == (opened, opened + 60 * SECOND)


@pytest.mark.parametrize(
    ("decide", "decision", "override"),
    [
        (lambda review: review.approve(), "approved", False),
        (lambda review: review.reject(rationale_code="risk"), "rejected", True),
        (lambda review: review.reject(override=False), "rejected", False),
        (lambda review: review.modify("a", "b"), "modified", None),
        (lambda review: review.escalate(rationale="too much"), "escalated", None),
        (lambda review: review.decide("second_opinion"), "second_opinion", None),
        (lambda review: (review.approve(), review.reject()), "rejected", True),
        (lambda review: None, "abandoned", None),
    ],
)
def test_decisions(recording: Recording, decide: Any, decision: str, override: bool | None) -> None:
    """Each way to decide is recorded in its word; the last one counts; none is abandoned."""
    with recording.audit.review("loan-1", reviewer="u_1") as review:
        decide(review)
    attributes = typed(recording.one("review"))
    assert attributes[semconv.AUDIT_REVIEW_DECISION] == decision
    assert attributes.get(semconv.AUDIT_REVIEW_OVERRIDE) is override


def test_spans_inside_a_review_are_its_children(recording: Recording) -> None:
    """What is called during a review belongs to it and to its task."""
    with recording.audit.review("loan-1", reviewer="u_1") as review:
        with recording.provider.get_tracer("app").start_as_current_span("save"):
            pass
        review.approve()
    parent = recording.one("save").parent
    assert parent is not None
    assert parent.span_id == recording.one("review").context.span_id
    assert typed(recording.one("save")) == {semconv.AUDIT_TASK_ID: "loan-1"}


def test_the_applications_exception_goes_on_and_is_recorded(recording: Recording) -> None:
    """An exception in a review or task reaches the caller as the same object, and the review tells it."""
    boom = KeyError("mine")
    task, review = recording.audit.task("loan-1"), recording.audit.review("loan-1", reviewer="u_1")
    with pytest.raises(KeyError) as caught, task, review:
        raise boom
    assert caught.value is boom
    span = recording.one("review")
    assert typed(span)[semconv.AUDIT_REVIEW_DECISION] == "abandoned"
    assert typed(span)["error.type"] == "KeyError"
    assert span.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_a_decision_survives_a_later_exception(recording: Recording) -> None:
    """A decision that was made before the application failed is still the decision."""
    with pytest.raises(OSError), recording.audit.review("loan-1", reviewer="u_1") as review:  # noqa: PT012
        review.approve()
        raise OSError("disk")
    assert typed(recording.one("review"))[semconv.AUDIT_REVIEW_DECISION] == "approved"


def test_ticket_round_trip_between_processes(recording: Recording) -> None:
    """A ticket survives as text and as JSON values, and finishes the review in the trace it was opened in."""
    tracer = recording.provider.get_tracer("app")
    with recording.audit.task("loan-1", kind="credit_decision", subject_ref="case-88"):  # noqa: SIM117 - as in use
        with tracer.start_as_current_span("open") as opening:
            ticket = recording.audit.start_review("loan-1", reviewer="u_102", queue_wait_seconds=2)
    assert audit.Ticket.parse(str(ticket)) == ticket
    assert audit.Ticket.from_dict(json.loads(json.dumps(ticket.to_dict()))) == ticket
    recording.clock.advance(90)
    with tracer.start_as_current_span("submit") as submit:
        recording.audit.finish_review(
            str(ticket), decision="approved", active_seconds=51, rationale_code="ok", rationale="fine"
        )
    span = recording.one("review")
    attributes = typed(span)
    assert span.context.trace_id == opening.get_span_context().trace_id
    assert span.parent is not None
    assert span.parent.span_id == opening.get_span_context().span_id
    assert [link.context.span_id for link in span.links] == [submit.get_span_context().span_id]
    assert (span.start_time, span.end_time) == (ticket.opened_unix_nano, recording.clock.now)
    assert attributes[semconv.AUDIT_TASK_KIND] == "credit_decision"
    assert attributes[semconv.AUDIT_SUBJECT_REF] == "case-88"
    assert attributes[semconv.AUDIT_REVIEW_ID] == ticket.review_id
    assert attributes[semconv.AUDIT_REVIEW_ACTIVE_SECONDS] == 51.0
    assert type(attributes[semconv.AUDIT_REVIEW_ACTIVE_SECONDS]) is float
    assert attributes[semconv.AUDIT_REVIEW_IDLE_SECONDS] == 39.0
    assert attributes[semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS] == 2.0
    assert attributes[semconv.AUDIT_RATIONALE_CODE] == ("ok",)


def test_unmeasured_time_is_not_claimed(recording: Recording) -> None:
    """A ticket finished without active seconds records neither active nor idle time."""
    recording.audit.finish_review(recording.audit.start_review("loan-1", reviewer="u_1"), decision="approved")
    assert semconv.AUDIT_REVIEW_ACTIVE_SECONDS not in typed(recording.one("review"))
    assert semconv.AUDIT_REVIEW_IDLE_SECONDS not in typed(recording.one("review"))


@pytest.mark.parametrize(
    "bad", ["", "[]", "{}", '{"task_id": 1}', '{"nonsense": "x"}', '{"task_id":"a","reviewer":"b","review_id":"c"}']
)
def test_bad_ticket_is_named_and_the_decision_is_kept(recording: Recording, bad: str) -> None:
    """Text that is no ticket raises MalformedInput on parsing; finish_review counts it and records the decision."""
    with pytest.raises(MalformedInput, match="ticket"):
        audit.Ticket.parse(bad)
    with recording.audit.task("loan-1", join=True):
        recording.audit.finish_review(bad, decision="approved", reviewer="u_1", rationale="fine")
    assert audit.error_counts() == {"finish_review": 1}
    attributes = typed(recording.one("review"))
    assert attributes[semconv.AUDIT_TASK_ID] == "loan-1"
    assert attributes[semconv.AUDIT_REVIEWER_ID] == "u_1"
    assert attributes[semconv.AUDIT_REVIEW_DECISION] == "approved"
    assert attributes[semconv.AUDIT_RATIONALE_TEXT] == "fine"
    assert attributes[semconv.AUDIT_REVIEW_REMARKS] == ("ticket_unreadable",)


def test_escalation_and_resolution(recording: Recording) -> None:
    """Escalation and resolution are points in time with typed attributes; a service can resolve."""
    recording.audit.escalate(
        "loan-1", from_reviewer="u_102", to_reviewer="u_7", reason="amount over limit", level=2, at=5 * SECOND
    )
    recording.audit.resolve("loan-1", by="u_7", resolution="approved_with_changes", note="ok", rationale_code="x")
    recording.audit.resolve("loan-2", by="dispatch", by_type="service", resolution="sent")
    escalation, resolution, by_service = recording.spans
    assert typed(escalation) == {
        semconv.AUDIT_EVENT_TYPE: "escalation",
        semconv.AUDIT_TASK_ID: "loan-1",
        semconv.AUDIT_REVIEWER_ID: "u_102",
        semconv.AUDIT_ACTOR_ID: "u_102",
        semconv.AUDIT_ACTOR_TYPE: "user",
        semconv.AUDIT_ESCALATION_FROM: "u_102",
        semconv.AUDIT_ESCALATION_TO: "u_7",
        semconv.AUDIT_ESCALATION_LEVEL: 2,
        semconv.AUDIT_RATIONALE_TEXT: "amount over limit",
    }
    assert escalation.start_time == escalation.end_time == 5 * SECOND
    assert typed(resolution)[semconv.AUDIT_RESOLUTION_OUTCOME] == "approved_with_changes"
    assert typed(resolution)[semconv.AUDIT_RATIONALE_CODE] == ("x",)
    assert typed(by_service)[semconv.AUDIT_ACTOR_TYPE] == "service"
    assert semconv.AUDIT_REVIEWER_ID not in typed(by_service)


def test_access(recording: Recording) -> None:
    """Who looked at what, why and with which filter is recorded, the filter as JSON."""
    recording.audit.record_access(
        "export", actor="u_9", target="search", target_type="page", purpose="audit", filter={"task": "ä"}, row_count=3
    )
    assert typed(recording.one("access")) == {
        semconv.AUDIT_EVENT_TYPE: "access",
        semconv.AUDIT_ACTION: "EXPORT",
        semconv.AUDIT_ACTOR_ID: "u_9",
        semconv.AUDIT_ACTOR_TYPE: "user",
        semconv.AUDIT_TARGET_ID: "search",
        semconv.AUDIT_TARGET_TYPE: "page",
        semconv.AUDIT_PURPOSE: "audit",
        semconv.AUDIT_FILTER: '{"task": "ä"}',
        semconv.AUDIT_ROW_COUNT: 3,
        semconv.AUDIT_OUTCOME: "success",
    }
    assert audit.error_counts() == {}


def test_prompt_is_on_spans_here_and_not_in_baggage(recording: Recording) -> None:
    """Spans inside a prompt block carry its name and version; baggage, which leaves the process, does not."""
    with recording.audit.prompt("credit-summary", "3.2"):  # noqa: SIM117 - as in use
        with recording.provider.get_tracer("app").start_as_current_span("call"):
            assert baggage.get_all() == {}
    assert typed(recording.one("call")) == {
        semconv.AUDIT_PROMPT_NAME: "credit-summary",
        semconv.AUDIT_PROMPT_VERSION: "3.2",
    }


def test_async_blocks_keep_tasks_apart(recording: Recording) -> None:
    """Concurrent async tasks and reviews each keep their own task."""
    tracer = recording.provider.get_tracer("app")

    async def one(name: str, turn: asyncio.Event, other: asyncio.Event) -> None:
        async with recording.audit.task(name, kind=f"kind-{name}"):
            turn.set()
            await other.wait()
            async with recording.audit.review(name, reviewer="u_1") as review:
                with tracer.start_as_current_span(f"work-{name}"):
                    await asyncio.sleep(0)
                review.approve()

    async def both() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        await asyncio.gather(one("a", first, second), one("b", second, first))

    asyncio.run(both())
    assert {typed(s)[semconv.AUDIT_TASK_ID] for s in recording.spans if s.name == "review"} == {"a", "b"}
    for name in ("a", "b"):
        assert typed(recording.one(f"work-{name}"))[semconv.AUDIT_TASK_KIND] == f"kind-{name}"


def test_a_cancelled_review_is_abandoned(recording: Recording) -> None:
    """A review whose coroutine is cancelled is recorded as abandoned, and the cancellation goes on."""

    async def review_forever() -> None:
        async with recording.audit.review("loan-1", reviewer="u_1"):
            await asyncio.Event().wait()

    async def cancel() -> None:
        task = asyncio.create_task(review_forever())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert typed(recording.one("review"))[semconv.AUDIT_REVIEW_DECISION] == "abandoned"


class Hostile:
    """A value whose text form fails."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_our_errors_are_counted_and_logged_once(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    """A failure of ours never reaches the application: it is counted each time and logged once a kind."""
    with caplog.at_level(logging.WARNING, logger="otel_audit"):
        for _ in range(3):
            recording.audit.escalate("t", from_reviewer="a", to_reviewer="b", level="high")  # type: ignore[arg-type]
        recording.audit.record_access("VIEW", actor="u", row_count="many")  # type: ignore[arg-type]
    assert audit.error_counts() == {"escalate": 3, "record_access": 1}
    assert len(caplog.records) == 2
    assert recording.spans == ()


def test_hostile_ids_do_not_break_the_block(recording: Recording) -> None:
    """Even identities that cannot be turned into text leave the application's code running."""
    ran = []
    with recording.audit.task(Hostile()):  # type: ignore[arg-type]
        ran.append("task")
    with recording.audit.review("t", reviewer=Hostile()) as review:  # type: ignore[arg-type]
        review.approve()
        ran.append("review")
    ticket = recording.audit.start_review(Hostile(), reviewer="u")  # type: ignore[arg-type]
    with recording.audit.prompt(Hostile()):  # type: ignore[arg-type]
        ran.append("prompt")
    assert ran == ["task", "review", "prompt"]
    assert ticket.reviewer == "u"
    assert audit.error_counts()["text"] >= 4


def test_a_broken_clock_breaks_nothing(recording: Recording) -> None:
    """A clock that fails is replaced by the system's: block, context and record are whole."""

    def broken() -> int:
        raise OSError("no clock")

    recording.audit.configure(tracer_provider=recording.provider, clock=broken)
    ran = []
    with recording.audit.task("t"), recording.audit.review("t", reviewer="u") as review:
        review.pause()
        review.approve()
        ran.append(1)
    recording.audit.finish_review(recording.audit.start_review("t", reviewer="u"), decision="approved")
    assert ran == [1]
    assert audit.error_counts().keys() == {"clock"}
    assert [span.name for span in recording.spans] == ["task.created", "review", "review"]


def test_text_that_utf8_cannot_carry_is_replaced(recording: Recording) -> None:
    """A lone surrogate, which would make the exporter drop its whole batch, becomes a question mark."""
    recording.audit.resolve("t", by="u", resolution="x", note="a\ud800b")
    assert typed(recording.one("resolution"))[semconv.AUDIT_RATIONALE_TEXT] == "a?b"


def test_an_event_that_the_sampler_drops_is_recorded_all_the_same() -> None:
    """A sampler that drops everything does not drop audit events; the trace stays unsampled."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    recorder = Recorder()
    recorder.configure(tracer_provider=provider)
    with recorder.review("t", reviewer="u"):
        context = trace.get_current_span().get_span_context()
        assert trace.get_current_span().is_recording()
    assert not context.trace_flags.sampled
    assert kept.get_finished_spans() == ()  # an ordinary exporter sees what the application sampled
    assert audit.error_counts() == {}


def test_an_event_without_a_task_is_recorded_and_counted(recording: Recording) -> None:
    """A review of no task is still recorded, and counted as a mistake."""
    recording.audit.resolve("", by="u", resolution="x")
    assert semconv.AUDIT_TASK_ID not in typed(recording.one("resolution"))
    assert audit.error_counts() == {"resolution": 1}


def test_configure_is_idempotent(recording: Recording) -> None:
    """Configuring twice adds one processor: the provider's processors are the same as after once."""
    before = recording.provider._active_span_processor._span_processors
    recording.audit.configure(tracer_provider=recording.provider)
    Recorder().configure(tracer_provider=recording.provider)
    assert recording.provider._active_span_processor._span_processors == before


def test_a_provider_that_is_not_the_sdks_is_refused_softly() -> None:
    """A provider without span processors is counted and named, and nothing raises."""
    Recorder().configure(tracer_provider=trace.NoOpTracerProvider())
    assert audit.error_counts() == {"configure": 1}


def test_a_span_keeps_the_task_it_was_given(recording: Recording) -> None:
    """The processor leaves an attribute alone that the span already has."""
    with recording.audit.task("a"):
        recording.audit.resolve("b", by="u", resolution="x")
        recording.provider.get_tracer("app").start_span("s", attributes={semconv.AUDIT_TASK_ID: "c"}).end()
    assert typed(recording.one("resolution"))[semconv.AUDIT_TASK_ID] == "b"
    assert typed(recording.one("s"))[semconv.AUDIT_TASK_ID] == "c"


def test_the_face_is_small() -> None:
    """The package offers few names, and each is documented."""
    assert len(audit.__all__) <= 20
    for name in audit.__all__:
        assert getattr(audit, name).__doc__
