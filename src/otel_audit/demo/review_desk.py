"""The review desk: a queue, and simulated people who work on it with the review API."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI

import otel_audit as audit
from otel_audit.demo.cases import Case
from otel_audit.demo.people import REVIEWERS, SENIORS, Reviewer, Verdict, decide, outcome
from otel_audit.demo.settings import Settings

_ATTENTION_SECONDS = 20.0  # nobody's audience waits longer for one live review


@dataclass(frozen=True, slots=True)
class Waiting:
    """A case that waits for a person, with the AI's draft (empty when none came)."""

    case: Case
    draft: str
    since_unix_nano: int = field(default_factory=time.time_ns)


class Desk:
    """Two queues, the reviewers' and the seniors', and the people at them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._escalated: asyncio.Queue[Waiting] = asyncio.Queue()

    def put(self, waiting: Waiting) -> None:
        """Queue a case for the next free reviewer."""
        self._queue.put_nowait(waiting)

    async def reviewer_at_work(self, person: Reviewer) -> None:
        """One reviewer, until cancelled. Opens a case, works on it, and comes back to it with a ticket."""
        rng = self._character(person)
        while True:
            waiting = await self._queue.get()
            case = waiting.case
            with audit.task(case.task_id, kind=case.kind, subject_ref=case.subject_ref, join=True):
                verdict = decide(person, case, waiting.draft, rng)
                ticket = audit.start_review(case.task_id, reviewer=person.id, queue_wait_seconds=_waited(waiting))
                try:
                    await self._work(verdict.idle_seconds)
                    active = await self._work(verdict.active_seconds)
                except asyncio.CancelledError:
                    audit.finish_review(ticket, decision="abandoned")
                    raise
                audit.finish_review(
                    ticket,
                    decision=verdict.decision,
                    active_seconds=active,
                    rationale_code=verdict.rationale_code,
                    rationale=verdict.rationale,
                    before=verdict.before,
                    after=verdict.after,
                    override=verdict.override,
                )
                self._go_on(person, waiting, verdict, rng)

    async def senior_at_work(self, person: Reviewer) -> None:
        """One senior, until cancelled. Stays on a case until it is decided."""
        rng = self._character(person)
        while True:
            waiting = await self._escalated.get()
            case = waiting.case
            with audit.task(case.task_id, kind=case.kind, subject_ref=case.subject_ref, join=True):
                verdict = decide(person, case, waiting.draft, rng)
                async with audit.review(
                    case.task_id, reviewer=person.id, queue_wait_seconds=_waited(waiting)
                ) as review:
                    review.pause()
                    await self._work(verdict.idle_seconds)
                    review.resume()
                    await self._work(verdict.active_seconds)
                    if verdict.decision != "abandoned":
                        review.decide(
                            verdict.decision,
                            rationale_code=verdict.rationale_code,
                            rationale=verdict.rationale,
                            before=verdict.before,
                            after=verdict.after,
                            override=verdict.override,
                        )
                self._go_on(person, waiting, verdict, rng)

    def _go_on(self, person: Reviewer, waiting: Waiting, verdict: Verdict, rng: random.Random) -> None:
        case = waiting.case
        if ended := outcome(case, verdict, waiting.draft):
            audit.resolve(case.task_id, by=person.id, resolution=ended)
        elif verdict.decision == "escalated":
            senior = rng.choice(SENIORS)
            audit.escalate(
                case.task_id,
                from_reviewer=person.id,
                to_reviewer=senior.id,
                reason=verdict.rationale,
                rationale_code=verdict.rationale_code,
                level=senior.level,
            )
            self._escalated.put_nowait(Waiting(case, waiting.draft))
        else:  # abandoned: somebody else has to take it
            queue = self._queue if person.level == 1 else self._escalated
            queue.put_nowait(Waiting(case, waiting.draft))

    async def _work(self, seconds: float) -> float:
        """Let a person's time pass, faster than real; returns the seconds that really passed."""
        began = time.monotonic()
        await asyncio.sleep(min(seconds / self._settings.speed, _ATTENTION_SECONDS))
        return time.monotonic() - began

    def _character(self, person: Reviewer) -> random.Random:
        return random.Random(f"{self._settings.seed}/{person.id}")  # noqa: S311 - a simulation, not a secret


def _waited(waiting: Waiting) -> float:
    return max(0, time.time_ns() - waiting.since_unix_nano) / 1e9


@dataclass(frozen=True, slots=True)
class QueueRequest:
    """What the gateway sends."""

    case: Case
    draft: str


def make_app(settings: Settings) -> FastAPI:
    """The review desk as an ASGI application; its people work while it runs."""
    desk = Desk(settings)

    @asynccontextmanager
    async def people_at_work(_app: FastAPI) -> AsyncIterator[None]:
        people = [asyncio.create_task(desk.reviewer_at_work(person)) for person in REVIEWERS]
        people += [asyncio.create_task(desk.senior_at_work(person)) for person in SENIORS]
        yield
        for person in people:
            person.cancel()
        for end in await asyncio.gather(*people, return_exceptions=True):
            if isinstance(end, Exception):
                raise end

    app = FastAPI(title="review-desk", lifespan=people_at_work)

    @app.post("/queue")
    async def queue(request: QueueRequest) -> dict[str, bool]:
        desk.put(Waiting(request.case, request.draft))
        return {"queued": True}

    return app
