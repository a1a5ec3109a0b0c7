"""Days of history of the demo's system, as spans with past times.

The real client can only call at its own clock, so these AI calls are written with the attributes that the
instrumentation gives them (a test compares the two); tasks, reviews, escalations and resolutions go through
the same API as everywhere, with a clock that is set.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.version import __version__ as sdk_version
from opentelemetry.semconv._incubating.attributes.deployment_attributes import DEPLOYMENT_ENVIRONMENT_NAME
from opentelemetry.semconv.attributes import http_attributes as http
from opentelemetry.semconv.attributes import url_attributes as url
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION
from opentelemetry.semconv.attributes.telemetry_attributes import (
    TELEMETRY_SDK_LANGUAGE,
    TELEMETRY_SDK_NAME,
    TELEMETRY_SDK_VERSION,
)

from otel_audit.demo.ai_call import AiCalls
from otel_audit.demo.calendar import DAY, SECOND, arrivals, at_work
from otel_audit.demo.cases import Case, make_case
from otel_audit.demo.people import REVIEWERS, SENIORS, Reviewer, Verdict, decide, outcome
from otel_audit.demo.sending import Delivery, Outbox
from otel_audit.errors import ConfigError
from otel_audit.instrumentation import Recorder, Ticket
from otel_audit.instrumentation.sdk.processor import AuditSpanProcessor

SCOPE: Final = "otel_audit.demo.history"
ENVIRONMENT: Final = "demo"
_SECOND_OPINIONS: Final = 0.1  # share of decided cases that a colleague looks at again
_HOUR: Final = 3600 * SECOND
_RELEASES: Final = ("1.4.1", "1.5.0")  # the second one went live in the middle of the history


@dataclass(frozen=True, slots=True)
class History:
    """What ``backfill`` did."""

    tasks: int
    delivery: Delivery


class _Ids(IdGenerator):
    """Trace and span ids from the seed, so that sending the same history again adds nothing to the ledger."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def generate_span_id(self) -> int:
        return self._rng.randrange(1, 2**64)

    def generate_trace_id(self) -> int:
        return self._rng.randrange(1, 2**128)


class _Clock:
    """The recorders' clock: whatever time the story has reached."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class _Release:
    """The three services in one version, each with a tracer provider of its own."""

    def __init__(
        self, service_version: str, ids: _Ids, outbox: Outbox, clock: _Clock, review_ids: random.Random
    ) -> None:
        self._service_version = service_version
        self._ids = ids
        self._outbox = outbox
        self._clock = clock
        self._review_ids = review_ids
        self.gateway, gateway_provider = self._service("gateway")
        self.desk, _ = self._service("review-desk")
        self.scoring, scoring_provider = self._service("scoring")
        self.gateway_tracer = gateway_provider.get_tracer(SCOPE)
        self.scoring_tracer = scoring_provider.get_tracer(SCOPE)

    def _service(self, name: str) -> tuple[Recorder, TracerProvider]:
        provider = TracerProvider(
            # Not Resource.create: the process that writes the history is not the one the history is about.
            resource=Resource(
                {
                    SERVICE_NAME: name,
                    SERVICE_VERSION: self._service_version,
                    DEPLOYMENT_ENVIRONMENT_NAME: ENVIRONMENT,
                    TELEMETRY_SDK_NAME: "opentelemetry",
                    TELEMETRY_SDK_LANGUAGE: "python",
                    TELEMETRY_SDK_VERSION: sdk_version,
                }
            ),
            id_generator=self._ids,
            sampler=ALWAYS_ON,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(AuditSpanProcessor(None))  # writes the task onto each span, and delivers to nobody
        provider.add_span_processor(self._outbox)
        # Not configure(), which would spool the same spans for the application's own endpoint.
        review_ids = self._review_ids
        return Recorder(provider, clock=self._clock, ids=lambda: f"{review_ids.getrandbits(128):032x}"), provider


class _Storyteller:
    """Tells the stories of cases, one after the other."""

    def __init__(self, rng: random.Random, clock: _Clock) -> None:
        self._rng = rng
        self._clock = clock
        self._ai_calls = AiCalls(rng)

    def tell(self, case: Case, at: int, release: _Release, *, is_recent: bool) -> None:
        """Everything that happens to a case that arrives at ``at``, however late it ends."""
        draft, drafted = self._drafting(case, at, release, is_recent=is_recent)
        self._clock.now = drafted
        with release.desk.task(case.task_id, kind=case.kind, subject_ref=case.subject_ref, join=True):
            self._reviews(case, draft, drafted, release)

    def _drafting(self, case: Case, at: int, release: _Release, *, is_recent: bool) -> tuple[str, int]:
        """The gateway's request and the AI calls below it; returns the draft and when it was there."""
        request = _server_span(release.gateway_tracer, "/tasks", at)
        self._clock.now = at + 3_000_000
        with (
            trace.use_span(request, end_on_exit=False),
            release.gateway.task(case.task_id, kind=case.kind, subject_ref=case.subject_ref),
        ):
            scoring = _server_span(release.scoring_tracer, "/drafts", at + 9_000_000)
            with trace.use_span(scoring, end_on_exit=False):
                draft, done = self._ai_calls.make(
                    case, at + 14_000_000, release.scoring_tracer, release.scoring, is_recent=is_recent
                )
            _end(scoring, 200 if draft else 503, done + 2_000_000)
        drafted = done + 8_000_000
        _end(request, 200, drafted)
        return draft, drafted

    def _reviews(self, case: Case, draft: str, drafted: int, release: _Release) -> None:
        """Reviews until one of them ends the task."""
        rng, desk = self._rng, release.desk
        queued, person = drafted, rng.choice(REVIEWERS)
        ended = None
        while ended is None:
            opened = at_work(rng, queued + int(rng.expovariate(1 / _typical_wait(person)) * SECOND))
            verdict = decide(person, case, draft, rng)
            ticket = desk.start_review(
                case.task_id, reviewer=person.id, queue_wait_seconds=(opened - queued) / SECOND, at=opened
            )
            decided = opened + int((verdict.active_seconds + verdict.idle_seconds) * SECOND)
            desk.finish_review(
                ticket,
                decision=verdict.decision,
                active_seconds=verdict.active_seconds,
                idle_seconds=verdict.idle_seconds,
                rationale_code=verdict.rationale_code,
                rationale=verdict.rationale,
                before=verdict.before,
                after=verdict.after,
                override=verdict.override,
                at=decided,
            )
            queued = decided + int(rng.uniform(1, 6) * SECOND)
            ended = outcome(case, verdict, draft)
            if ended is not None and draft and rng.random() < _SECOND_OPINIONS:
                queued = self._second_opinion(case, draft, ticket, verdict, queued=queued, release=release)
            if ended is not None:
                desk.resolve(case.task_id, by=person.id, resolution=ended, at=queued)
            elif verdict.decision == "escalated":
                senior = rng.choice(SENIORS)
                desk.escalate(
                    case.task_id,
                    from_reviewer=person.id,
                    to_reviewer=senior.id,
                    reason=verdict.rationale,
                    rationale_code=verdict.rationale_code,
                    level=senior.level,
                    at=queued,
                )
                person = senior
            else:  # abandoned: somebody of the same level takes it
                person = rng.choice(REVIEWERS if person.level == 1 else SENIORS)

    def _second_opinion(
        self, case: Case, draft: str, first: Ticket, verdict: Verdict, *, queued: int, release: _Release
    ) -> int:
        """A colleague looks at the same draft without knowing the first decision; returns when the task goes on."""
        rng, desk = self._rng, release.desk
        person = rng.choice([each for each in REVIEWERS if each.id != first.reviewer])
        for _ in range(4):  # people look at the same case: they agree more often than chance has it
            again = decide(person, case, draft, rng)
            if again.decision == verdict.decision or rng.random() < 0.25:
                break
        if again.decision in {"abandoned", "escalated"}:
            return queued
        opened = at_work(rng, queued + int(rng.expovariate(1 / _typical_wait(person)) * SECOND))
        ticket = desk.start_review(
            case.task_id,
            reviewer=person.id,
            second_opinion_of=first,
            queue_wait_seconds=(opened - queued) / SECOND,
            at=opened,
        )
        decided = opened + int((again.active_seconds + again.idle_seconds) * SECOND)
        desk.finish_review(
            ticket,
            decision=again.decision,
            active_seconds=again.active_seconds,
            idle_seconds=again.idle_seconds,
            rationale_code=again.rationale_code,
            rationale=again.rationale,
            before=again.before,
            after=again.after,
            override=again.override,
            at=decided,
        )
        return decided + int(rng.uniform(1, 6) * SECOND)


def backfill(
    endpoint: str,
    *,
    days: int,
    tasks: int,
    seed: int = 7,
    until: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> History:
    """Send ``days`` days of history with ``tasks`` tasks to the OTLP/gRPC ``endpoint``.

    The history ends at ``until``, in nanoseconds since 1970, by default at the last full hour; stories that are not
    over by then stay open. The same arguments give the same spans, byte for byte, so that sending them again adds
    nothing. ``progress`` is called with the number of tasks done since it was called last.

    Every span was acknowledged when this returns. Raises NotDelivered otherwise, ConfigError for a number below 1.
    """
    if days < 1 or tasks < 1:
        raise ConfigError(f"demo: --days {days} --tasks {tasks}: both have to be at least 1")
    end = time.time_ns() // _HOUR * _HOUR if until is None else until
    rng = random.Random(f"{seed}/{end}/{days}/{tasks}")  # noqa: S311 - made-up data that can be made again
    start = end - days * DAY
    outbox = Outbox(endpoint, until=end)
    clock = _Clock()
    ids = _Ids(random.Random(rng.random()))  # noqa: S311 - as above
    review_ids = random.Random(rng.random())  # noqa: S311 - as above
    older, newer = (_Release(version, ids, outbox, clock, review_ids) for version in _RELEASES)
    storyteller = _Storyteller(rng, clock)
    for at in arrivals(rng, since=start, until=end, count=tasks):
        outbox.release(at)
        is_recent = at >= start + (end - start) // 2
        storyteller.tell(make_case(rng), at, newer if is_recent else older, is_recent=is_recent)
        progress(1)
    return History(tasks, outbox.finish())


def _typical_wait(person: Reviewer) -> float:
    """Seconds a case waits for this person in working hours, on average."""
    return 1_500 if person.level == 1 else 4_500


def _server_span(tracer: trace.Tracer, path: str, at: int) -> trace.Span:
    return tracer.start_span(
        f"POST {path}",
        kind=trace.SpanKind.SERVER,
        attributes={
            http.HTTP_REQUEST_METHOD: "POST",
            http.HTTP_ROUTE: path,
            url.URL_PATH: path,
            url.URL_SCHEME: "http",
        },
        start_time=at,
    )


def _end(span: trace.Span, status: int, at: int) -> None:
    span.set_attribute(http.HTTP_RESPONSE_STATUS_CODE, status)
    if status >= 500:
        span.set_status(trace.StatusCode.ERROR)
    span.end(end_time=at)
