"""Reviews by a real SDK tracer provider: time, tickets, timeouts, several reviewers, re-opened tasks, reasons."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

import otel_audit as audit
from otel_audit import semconv
from otel_audit.errors import UnknownRationaleCode
from otel_audit.instrumentation import Recorder, Ticket, _faults
from otel_audit.instrumentation.reviews import span as _review_span
from otel_audit.instrumentation.reviews.active_time import ActiveTime
from tests.unit.recording import SECOND, Recording, typed

ACTIVE, IDLE = semconv.AUDIT_REVIEW_ACTIVE_SECONDS, semconv.AUDIT_REVIEW_IDLE_SECONDS
REMARKS = semconv.AUDIT_REVIEW_REMARKS


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture(autouse=True)
def no_errors() -> Iterator[None]:
    """Each test starts with empty counters, and leaves the context as it found it."""
    _faults._counts.clear()
    _faults._logged.clear()
    before = context.get_current()
    yield
    assert context.get_current() == before


def reviews(recording: Recording) -> list[ReadableSpan]:
    return [span for span in recording.spans if span.name == "review"]


# --- active time


def test_silence_is_idle_from_the_last_sign_of_life(recording: Recording) -> None:
    """A silence longer than idle_after_seconds is idle from the last heartbeat on; a shorter one is active."""
    with recording.audit.review("t", reviewer="u", idle_after_seconds=60) as review:
        for silence in (30, 60, 61, 10):  # the third is too long
            recording.clock.advance(silence)
            review.heartbeat()
        recording.clock.advance(5)
        review.approve()
    attributes = typed(recording.one("review"))
    assert (attributes[ACTIVE], attributes[IDLE]) == (105.0, 61.0)


def test_heartbeats_in_a_pause_do_not_end_it(recording: Recording) -> None:
    """A page that goes on sending heartbeats while the reviewer paused adds no active time; pausing twice is once."""
    with recording.audit.review("t", reviewer="u") as review:
        recording.clock.advance(10)
        review.pause()
        recording.clock.advance(20)
        review.heartbeat()
        review.pause()
        recording.clock.advance(20)
        review.resume()
        review.resume()
        recording.clock.advance(3)
        review.approve()
    attributes = typed(recording.one("review"))
    assert (attributes[ACTIVE], attributes[IDLE]) == (13.0, 40.0)


def test_what_follows_a_decision_is_not_counted(recording: Recording) -> None:
    """Heartbeats and pauses after the last decision change neither its time nor its end."""
    with recording.audit.review("t", reviewer="u") as review:
        recording.clock.advance(10)
        review.approve()
        recording.clock.advance(50)
        review.pause()
        review.heartbeat()
    span = recording.one("review")
    assert (typed(span)[ACTIVE], typed(span)[IDLE]) == (10.0, 0.0)
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time == 10 * SECOND


@given(
    idle_after=st.none() | st.integers(0, 100),
    steps=st.lists(st.tuples(st.sampled_from(["beat", "pause", "resume"]), st.integers(-50, 200)), max_size=30),
)
def test_active_time_is_never_more_than_wall_time(idle_after: int | None, steps: list[tuple[str, int]]) -> None:
    """Whatever the signs and however the clock jumps, active time is at least 0 and at most the furthest wall time."""
    time = ActiveTime(idle_after)
    now = furthest = 1_000 * SECOND
    time.start(now)
    for sign, gap in steps:
        now += gap * SECOND
        furthest = max(furthest, now)
        getattr(time, sign)(now)
    assert 0 <= time.beat(now) <= furthest - 1_000 * SECOND


def test_heartbeats_of_many_threads_count_once(recording: Recording) -> None:
    """Heartbeats that arrive on several threads at once count each second once."""
    time = ActiveTime()
    time.start(0)
    threads = [threading.Thread(target=lambda: [time.beat(n * SECOND) for n in range(1, 2_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.beat(2_000 * SECOND) == 2_000 * SECOND


@pytest.mark.parametrize(
    ("reported", "active", "idle", "remarks"),
    [
        ({"active_seconds": 51}, 51.0, 49.0, ()),
        ({"active_seconds": "51.5", "idle_seconds": "12"}, 51.5, 12.0, ()),
        ({"active_seconds": 100.0004, "idle_seconds": 0.0004}, 100.0, 0.0, ()),  # rounding is no false report
        ({"active_seconds": 9000}, 100.0, 0.0, ("active_seconds_clamped:9000",)),
        ({"active_seconds": -5, "idle_seconds": 10}, 0.0, 10.0, ("active_seconds_clamped:-5",)),
        ({"active_seconds": 80, "idle_seconds": 30}, 80.0, 20.0, ("idle_seconds_clamped:30",)),
        ({"idle_seconds": 130}, None, 100.0, ("idle_seconds_clamped:130",)),
        ({"active_seconds": "", "idle_seconds": ""}, None, None, ()),
        ({"active_seconds": "NaN"}, None, None, ("active_seconds_unreadable",)),
        ({"active_seconds": "1e999"}, None, None, ("active_seconds_unreadable",)),
        ({"active_seconds": 10**400}, None, None, ("active_seconds_unreadable",)),
        ({"active_seconds": True}, None, None, ("active_seconds_unreadable",)),
        ({"active_seconds": "<b>"}, None, None, ("active_seconds_unreadable",)),
    ],
)
def test_reported_times_that_can_not_be_are_mended_and_remarked(
    recording: Recording, reported: dict[str, Any], active: float | None, idle: float | None, remarks: tuple[str, ...]
) -> None:
    """Of 100 seconds: active and idle together are never more, and what was reported instead is kept as a remark."""
    ticket = recording.audit.start_review("t", reviewer="u")
    recording.clock.advance(100)
    recording.audit.finish_review(ticket, decision="approved", **reported)
    attributes = typed(recording.one("review"))
    assert (attributes.get(ACTIVE), attributes.get(IDLE), attributes.get(REMARKS, ())) == (active, idle, remarks)
    assert audit.error_counts() == {}


def test_active_seconds_given_with_a_decision_are_clamped_too(recording: Recording) -> None:
    """A block's own report of active time is held against the block's wall time."""
    with recording.audit.review("t", reviewer="u", queue_wait_seconds=-3) as review:
        recording.clock.advance(10)
        review.approve(active_seconds=11)
    attributes = typed(recording.one("review"))
    assert (attributes[ACTIVE], attributes[IDLE]) == (10.0, 0.0)
    assert attributes[semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS] == 0.0
    assert attributes[REMARKS] == ("queue_wait_seconds_clamped:-3", "active_seconds_clamped:11")


@pytest.mark.parametrize("odd", ["often", float("inf"), True])
def test_settings_that_are_no_seconds_are_counted(recording: Recording, odd: Any) -> None:
    """A wait, timeout or idle time that is no number is left out and counted, and the ticket can be read again."""
    with recording.audit.review("t", reviewer="u", idle_after_seconds=odd, queue_wait_seconds=odd) as review:
        recording.clock.advance(10)
        review.approve()
    ticket = recording.audit.start_review("t", reviewer="u", timeout_seconds=odd)
    recording.audit.finish_review(str(ticket), decision="approved")
    assert typed(reviews(recording)[0])[ACTIVE] == 10.0
    assert semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS not in typed(reviews(recording)[0])
    assert audit.error_counts() == {"review": 3}


def test_a_review_by_nobody_is_counted(recording: Recording) -> None:
    """A review without a reviewer is recorded, and counted as a mistake, as one without a task is."""
    with recording.audit.review("t") as review:
        review.approve()
    assert typed(recording.one("review"))[semconv.AUDIT_REVIEW_DECISION] == "approved"
    assert audit.error_counts() == {"review": 1}


# --- tickets


def test_a_ticket_of_an_earlier_release_and_of_a_later_one_is_read(recording: Recording) -> None:
    """A rolling update loses no review: fields that are missing have their default, fields from the future are left."""
    new = recording.audit.start_review("t", reviewer="u", second_opinion_of="r0", ai_call="resp-1", timeout_seconds=60)
    earlier = {name: value for name, value in new.to_dict().items() if name in
               ("task_id", "reviewer", "review_id", "opened_unix_nano", "task_kind", "subject_ref",
                "queue_wait_seconds", "traceparent")}  # fmt: skip
    plain = recording.audit.start_review("t", reviewer="u")
    assert plain.to_dict().keys() == earlier.keys()  # so that an earlier release reads it
    assert Ticket.from_dict(earlier).review_id == new.review_id
    assert Ticket.parse(json.dumps({**new.to_dict(), "from_the_future": [1]})) == new
    assert Ticket.parse(str(new)) == new


@pytest.mark.parametrize(
    "bad",
    [
        "[" * 60_000,
        "9" * 10_000,
        '{"opened_unix_nano": true, "task_id": "t", "reviewer": "u", "review_id": "r"}',
        '{"opened_unix_nano": 1e300, "task_id": "t", "reviewer": "u", "review_id": "r"}',
        '{"opened_unix_nano": 1, "task_id": null, "reviewer": "u", "review_id": "r"}',
        None,
        17,
        "x" * 70_000,
    ],
)
def test_hostile_tickets_break_nothing(recording: Recording, bad: Any) -> None:
    """What a browser makes of a ticket never raises, and the decision is recorded and remarked."""
    recording.audit.finish_review(bad, decision="approved", reviewer="u_1")
    assert typed(recording.one("review"))[REMARKS] == ("ticket_unreadable",)
    assert audit.error_counts()["finish_review"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"opened_unix_nano": 10**30},
        {"opened_unix_nano": -1},
        {"opened_unix_nano": 1_900_000_000 * SECOND},
        {"opened_unix_nano": 10**30, "expires_unix_nano": -(10**30)},
    ],
)
def test_a_ticket_that_was_opened_at_no_time_ends_where_it_is_decided(
    recording: Recording, change: dict[str, Any]
) -> None:
    """A start that OTLP can not carry, or after the end, is replaced by the end and remarked: the batch is not lost."""
    ticket = {**recording.audit.start_review("t", reviewer="u").to_dict(), **change}
    recording.clock.advance(5)
    recording.audit.finish_review(ticket, decision="approved", active_seconds=3)
    recording.audit.abandon_review(ticket, reason="timeout")
    for span in reviews(recording):
        assert span.start_time == span.end_time == recording.clock.now
        assert "opened_refused" in typed(span)[REMARKS]
    assert typed(reviews(recording)[0])[ACTIVE] == 0.0


def test_texts_of_a_ticket_that_utf8_cannot_carry_are_replaced(recording: Recording) -> None:
    """A lone surrogate in a ticket becomes a question mark, wherever it stands."""
    values = recording.audit.start_review("t", reviewer="u").to_dict()
    ticket = json.dumps({**values, "review_id": "a\ud800", "task_kind": "b\ud800", "ai_call": "\ud800"})
    recording.audit.finish_review(ticket, decision="approved")
    attributes = typed(recording.one("review"))
    assert attributes[semconv.AUDIT_REVIEW_ID] == "a?"
    assert attributes[semconv.AUDIT_TASK_KIND] == "b?"
    assert attributes[semconv.AUDIT_REVIEW_AI_CALL] == "?"


def test_who_decides_is_told_apart_from_who_opened(recording: Recording) -> None:
    """The reviewer that the login knows is recorded, and the ticket's other one as who opened the review."""
    recording.audit.finish_review(
        recording.audit.start_review("t", reviewer="u_1"), decision="approved", reviewer="u_2"
    )
    recording.audit.finish_review(
        recording.audit.start_review("t", reviewer="u_1"), decision="approved", reviewer="u_1"
    )
    other, same = map(typed, reviews(recording))
    assert other[semconv.AUDIT_REVIEWER_ID] == other[semconv.AUDIT_ACTOR_ID] == "u_2"
    assert other[semconv.AUDIT_REVIEW_OPENED_BY] == "u_1"
    assert semconv.AUDIT_REVIEW_OPENED_BY not in same


def test_a_ticket_decided_twice_gives_two_linked_events(recording: Recording) -> None:
    """The second decision of a ticket is recorded, numbered and linked to the first; so is the third to the second."""
    ticket = str(recording.audit.start_review("t", reviewer="u"))
    for decision in ("approved", "rejected", "approved"):
        recording.audit.finish_review(ticket, decision=decision)
    first, second, third = reviews(recording)
    assert semconv.AUDIT_REVIEW_REPEAT not in typed(first)
    assert typed(second)[semconv.AUDIT_REVIEW_REPEAT] == 2
    assert typed(third)[semconv.AUDIT_REVIEW_REPEAT] == 3
    assert [link.context.span_id for link in second.links] == [first.context.span_id]
    assert [link.context.span_id for link in third.links] == [second.context.span_id]
    assert len({typed(span)[semconv.AUDIT_REVIEW_ID] for span in reviews(recording)}) == 1


def test_only_so_many_reviews_are_remembered(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: the review decided longest ago is forgotten first, and deciding again renews it."""
    monkeypatch.setattr(_review_span, "_REMEMBERED", 2)
    a, b, c = (recording.audit.start_review(name, reviewer="u") for name in "abc")
    for ticket in (a, b, a, c, b, a):  # when c comes, b is forgotten; when b comes again, a is
        recording.audit.finish_review(ticket, decision="approved")
    assert [typed(span).get(semconv.AUDIT_REVIEW_REPEAT) for span in reviews(recording)] == [
        None,
        None,
        2,
        None,
        None,
        None,
    ]


class Full(SpanProcessor):
    """A processor that refuses the spans it is told to."""

    is_full = True

    def on_end(self, span: ReadableSpan) -> None:
        if self.is_full:
            raise RuntimeError("full")


def test_a_decision_that_could_not_be_recorded_is_no_repeat(recording: Recording) -> None:
    """When recording fails, the second attempt with the ticket counts as the first."""
    full = Full()
    provider = Recording().provider
    provider.add_span_processor(full)
    recorder = Recorder()
    recorder.configure(tracer_provider=provider)
    provider.add_span_processor(recording.provider._active_span_processor)
    ticket = recorder.start_review("t", reviewer="u")
    recorder.finish_review(ticket, decision="approved")
    assert audit.error_counts() == {"finish_review": 1}
    full.is_full = False
    recorder.finish_review(ticket, decision="approved")
    assert semconv.AUDIT_REVIEW_REPEAT not in typed(reviews(recording)[-1])


# --- timeouts and abandonment


@pytest.mark.parametrize("reason", ["timeout", "closed", "released", "my own"])
def test_an_abandoned_review_says_why(recording: Recording, reason: str) -> None:
    """A ticket given up and a block given up record the decision abandoned and the reason."""
    ticket = recording.audit.start_review("t", reviewer="u")
    recording.clock.advance(7)
    recording.audit.abandon_review(str(ticket), reason=reason, active_seconds=2)
    with recording.audit.review("t", reviewer="u") as review:
        recording.clock.advance(7)
        review.abandon(reason, active_seconds=2)
    for span in reviews(recording):
        attributes = typed(span)
        assert attributes[semconv.AUDIT_REVIEW_DECISION] == "abandoned"
        assert attributes[semconv.AUDIT_REVIEW_ABANDON_REASON] == reason
        assert (attributes[ACTIVE], attributes[IDLE]) == (2.0, 5.0)
        assert semconv.AUDIT_REVIEW_OVERRIDE not in attributes


def test_a_block_left_without_decision_says_how(recording: Recording) -> None:
    """A block that ends undecided is told apart from one that failed."""
    with recording.audit.review("t", reviewer="u"):
        pass
    with pytest.raises(OSError), recording.audit.review("t", reviewer="u"):
        raise OSError
    assert [typed(span)[semconv.AUDIT_REVIEW_ABANDON_REASON] for span in reviews(recording)] == ["undecided", "error"]


def test_a_timeout_ends_when_the_time_was_over(recording: Recording) -> None:
    """However late a timeout is noticed, the review ends when its ticket's time was over."""
    ticket = recording.audit.start_review("t", reviewer="u", timeout_seconds=600)
    assert not ticket.is_expired(recording.clock.now + 599 * SECOND)
    recording.clock.advance(5_000)
    assert ticket.is_expired(recording.clock.now)
    recording.audit.abandon_review(ticket, reason="timeout")
    recording.audit.abandon_review(ticket, reason="closed")
    timeout, closed = reviews(recording)
    assert timeout.end_time == ticket.opened_unix_nano + 600 * SECOND
    assert closed.end_time == recording.clock.now
    assert semconv.AUDIT_REVIEW_LATE not in typed(timeout)


def test_a_late_decision_is_recorded_as_late(recording: Recording) -> None:
    """A decision after the ticket's time is kept and marked; one in time is not marked."""
    ticket = recording.audit.start_review("t", reviewer="u", timeout_seconds=600)
    recording.clock.advance(599)
    recording.audit.finish_review(ticket, decision="approved")
    recording.clock.advance(1)
    recording.audit.finish_review(ticket, decision="rejected")
    assert [typed(span).get(semconv.AUDIT_REVIEW_LATE) for span in reviews(recording)] == [None, True]


def test_a_review_whose_process_died_is_abandoned_by_another(recording: Recording) -> None:
    """A block's ticket that was stored lets another process end the review in its trace, with its identity."""
    tracer = recording.provider.get_tracer("app")
    with tracer.start_as_current_span("request") as request, recording.audit.task("t", kind="k", join=True):
        review = recording.audit.review("t", reviewer="u").__enter__()
        stored = str(review.ticket)
        context.detach(review._token)  # the process is gone: nothing ends the block
        review._token = None
    other = Recording()
    other.clock.now = recording.clock.now + 60 * SECOND
    other.audit.abandon_review(stored, reason="process_died")
    (span,) = other.spans
    assert span.context.trace_id == request.get_span_context().trace_id
    assert typed(span)[semconv.AUDIT_REVIEW_ID] == review.review_id
    assert typed(span)[semconv.AUDIT_TASK_KIND] == "k"
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time == 60 * SECOND


def test_a_decision_outside_of_its_block_is_counted(recording: Recording) -> None:
    """Deciding before the block or after it is recorded nowhere, and said."""
    review = recording.audit.review("t", reviewer="u")
    review.approve()
    with review:
        pass
    review.reject()
    assert [typed(span)[semconv.AUDIT_REVIEW_DECISION] for span in reviews(recording)] == ["abandoned"]
    assert audit.error_counts() == {"review": 2}


# --- several reviewers


def test_parallel_reviews_each_have_their_own_record(recording: Recording) -> None:
    """Two people review one task at once: two events with two identities, each with its own time."""
    first = recording.audit.start_review("t", reviewer="u_1")
    recording.clock.advance(10)
    second = recording.audit.start_review("t", reviewer="u_2")
    recording.clock.advance(10)
    recording.audit.finish_review(second, decision="rejected", active_seconds=10)
    recording.clock.advance(10)
    recording.audit.finish_review(first, decision="approved", active_seconds=30)
    by_person = {typed(span)[semconv.AUDIT_REVIEWER_ID]: typed(span) for span in reviews(recording)}
    assert by_person["u_1"][ACTIVE] == 30.0
    assert by_person["u_2"][ACTIVE] == 10.0
    assert by_person["u_1"][semconv.AUDIT_REVIEW_ID] != by_person["u_2"][semconv.AUDIT_REVIEW_ID]
    assert all(semconv.AUDIT_REVIEW_REPEAT not in attributes for attributes in by_person.values())


def test_a_second_opinion_names_the_first(recording: Recording) -> None:
    """A second opinion on a review, a ticket or an id carries its kind and that identity, by block and by ticket."""
    with recording.audit.review("t", reviewer="u_1") as first:
        first.approve()
    with recording.audit.review("t", reviewer="u_2", second_opinion_of=first) as second:
        second.reject()
    ticket = recording.audit.start_review("t", reviewer="u_3", second_opinion_of=first.ticket)
    recording.audit.finish_review(str(ticket), decision="approved")
    alone, *opinions = map(typed, reviews(recording))
    assert semconv.AUDIT_REVIEW_KIND not in alone
    for opinion in opinions:
        assert opinion[semconv.AUDIT_REVIEW_KIND] == "second_opinion"
        assert opinion[semconv.AUDIT_REVIEW_OF] == first.review_id


@pytest.mark.parametrize("travels", [False, True])
def test_the_ai_call_that_was_overridden_is_linked(recording: Recording, travels: bool) -> None:
    """A review names the AI call it is about, by response id or by span; a span is linked, through a ticket too."""
    call = recording.provider.get_tracer("app").start_span("chat")
    call.end()
    for named in ("chatcmpl-1", call, call.get_span_context()):
        if travels:
            ticket = recording.audit.start_review("t", reviewer="u", ai_call=named)
            recording.audit.finish_review(str(ticket), decision="rejected")
        else:
            with recording.audit.review("t", reviewer="u", ai_call=named) as review:
                review.reject()
    by_id, *by_span = reviews(recording)
    spoken = call.get_span_context()
    assert typed(by_id)[semconv.AUDIT_REVIEW_AI_CALL] == "chatcmpl-1"
    assert by_id.links == ()
    for span in by_span:
        assert typed(span)[semconv.AUDIT_REVIEW_AI_CALL] == (
            f"{trace.format_trace_id(spoken.trace_id)}-{trace.format_span_id(spoken.span_id)}"
        )
        assert typed(span)[semconv.AUDIT_REVIEW_OVERRIDE] is True
        assert [link.context.span_id for link in span.links] == [spoken.span_id]


def test_a_reopened_task_is_created_again(recording: Recording) -> None:
    """Re-opening is a task.created that says so, by whom and why."""
    recording.audit.resolve("t", by="u_1", resolution="sent")
    recording.audit.reopen("t", by="u_2", reason="customer complained", rationale_code="complaint", at=7 * SECOND)
    recording.audit.reopen("t", by="watchdog", by_type="service")
    _, by_person, by_service = recording.spans
    assert by_person.start_time == by_person.end_time == 7 * SECOND
    assert typed(by_person) == {
        semconv.AUDIT_EVENT_TYPE: "task.created",
        semconv.AUDIT_TASK_REOPENED: True,
        semconv.AUDIT_TASK_ID: "t",
        semconv.AUDIT_REVIEWER_ID: "u_2",
        semconv.AUDIT_ACTOR_ID: "u_2",
        semconv.AUDIT_ACTOR_TYPE: "user",
        semconv.AUDIT_RATIONALE_CODE: ("complaint",),
        semconv.AUDIT_RATIONALE_TEXT: "customer complained",
    }
    assert typed(by_service)[semconv.AUDIT_ACTOR_ID] == "watchdog"


@pytest.mark.parametrize("at", [-1, 10**30, "soon"])
def test_a_moment_that_is_none_is_replaced_by_now(recording: Recording, at: Any) -> None:
    """A time that OTLP can not carry is counted, and the present is recorded."""
    recording.audit.resolve("t", by="u", resolution="x", at=at)
    assert recording.one("resolution").start_time == recording.clock.now
    assert audit.error_counts() == {"time": 1}


# --- rationale codes

CODES = {"policy.income.missing": "No proof of income", "limit.ok": ""}


def listed_in(tmp_path: Path, form: str) -> Any:
    if form == "mapping":
        return CODES
    if form == "list":
        return list(CODES)
    path = tmp_path / f"codes.{form.split('-', maxsplit=1)[0]}"
    path.write_text(
        {
            "toml-flat": '"policy.income.missing" = "No proof of income"\n"limit.ok" = ""\n',
            "toml-tables": '[policy.income]\nmissing = "No proof of income"\n[limit]\nok = ""\n',
            "json-object": json.dumps(CODES),
            "json-list": json.dumps(list(CODES)),
        }[form]
    )
    return path if form == "json-object" else str(path)


@pytest.mark.parametrize("form", ["mapping", "list", "toml-flat", "toml-tables", "json-object", "json-list"])
def test_codes_are_held_against_the_customers_list(tmp_path: Path, form: str) -> None:
    """In each form of the list known codes pass with their meaning; an unknown one is recorded, marked and counted."""
    recording = Recording(rationale_codes=listed_in(tmp_path, form))
    recording.audit.resolve("t", by="u", resolution="x", rationale_code=["limit.ok", "policy.income.missing"])
    assert audit.error_counts() == {}
    with recording.audit.review("t", reviewer="u") as review:
        review.reject(rationale_code=["limit.ok", "polcy.income"])
    recording.audit.finish_review(
        recording.audit.start_review("t", reviewer="u"), decision="approved", rationale_code="oops"
    )
    resolution, by_block, by_ticket = map(typed, recording.spans)
    has_meanings = form not in ("list", "json-list")
    assert resolution.get(semconv.AUDIT_RATIONALE_MEANING) == (("", "No proof of income") if has_meanings else None)
    assert semconv.AUDIT_RATIONALE_UNKNOWN_CODE not in resolution
    assert by_block[semconv.AUDIT_RATIONALE_CODE] == ("limit.ok", "polcy.income")
    assert by_block[semconv.AUDIT_RATIONALE_UNKNOWN_CODE] == ("polcy.income",)
    assert by_ticket[semconv.AUDIT_RATIONALE_UNKNOWN_CODE] == ("oops",)
    assert audit.error_counts() == {"rationale_code": 2}


def test_an_unknown_code_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What somebody typed into the field for codes stays out of the application's log."""
    recording = Recording(rationale_codes=["a"])
    recording.audit.resolve("t", by="u", resolution="x", rationale_code="Erika Mustermann")
    assert caplog.records
    assert "Erika" not in caplog.text


def test_a_strict_list_refuses_before_anything_is_recorded() -> None:
    """With a strict list each function raises on an unknown code, records nothing, and a second try succeeds."""
    recording = Recording(rationale_codes=["a"], strict_rationale_codes=True)
    desk = recording.audit
    ticket = desk.start_review("t", reviewer="u")
    for refused in (
        lambda code: desk.finish_review(ticket, decision="approved", rationale_code=code),
        lambda code: desk.resolve("t", by="u", resolution="x", rationale_code=code),
        lambda code: desk.reopen("t", by="u", rationale_code=code),
        lambda code: desk.escalate("t", from_reviewer="u", to_reviewer="v", rationale_code=code),
    ):
        recording.exporter.clear()
        with pytest.raises(UnknownRationaleCode, match="'b' is not among the 1"):
            refused("b")
        assert recording.spans == ()
        refused("a")
        assert len(recording.spans) == 1
    with desk.review("t", reviewer="u") as review:
        with pytest.raises(UnknownRationaleCode):
            review.reject(rationale_code=["a", "b"])
        review.reject(rationale_code="a")
    assert typed(recording.one("review"))[semconv.AUDIT_RATIONALE_CODE] == ("a",)
    assert audit.error_counts() == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.toml", "a = "),
        ("c.json", "{"),
        ("c.json", "[1]"),
        ("c.json", '{"a": 1}'),
        ("c.yaml", "a: b"),
        ("none.toml", None),
    ],
)
def test_a_list_that_can_not_be_read_is_counted_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, content: str | None
) -> None:
    """A broken list of codes is named in the log, and the rest of the configuration holds: events are recorded."""
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("OTEL_AUDIT_RATIONALE_CODES", str(path))
    recording = Recording()
    recording.audit.resolve("t", by="u", resolution="x", rationale_code="anything")
    assert audit.error_counts() == {"rationale_codes": 1}
    assert f"ConfigError: rationale codes: {path}" in caplog.text
    assert typed(recording.one("resolution"))[semconv.AUDIT_RATIONALE_CODE] == ("anything",)


def test_the_environment_names_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_AUDIT_RATIONALE_CODES is the path of the list; what configure() is given comes first."""
    path = tmp_path / "codes.toml"
    path.write_text('a = "A"')
    monkeypatch.setenv("OTEL_AUDIT_RATIONALE_CODES", str(path))
    assert Recording().audit.codes.meanings == {"a": "A"}
    assert Recording(rationale_codes=["b"]).audit.codes.meanings == {"b": ""}


def test_codes_that_are_no_codes_are_counted(recording: Recording) -> None:
    """A number for a code loses the code, not the decision, and is counted."""
    recording.audit.finish_review(
        recording.audit.start_review("t", reviewer="u"),
        decision="approved",
        rationale_code=5,  # type: ignore[arg-type]
    )
    assert typed(recording.one("review"))[semconv.AUDIT_REVIEW_DECISION] == "approved"
    assert audit.error_counts() == {"rationale_code": 1}
