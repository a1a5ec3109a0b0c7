"""A data folder with a long history, made once: what the pages are measured on.

    python bench/load_million.py FOLDER [--events 1000000]

Every entry goes through the receiver's own sequencer (encoding, chain, tiles, checkpoints, file anchor), so that
``otel-audit verify`` passes on it. It is synthetic in four ways: the stories are drawn from a seed and not told by
applications, ``recorded_at`` is the time of the story and not of the load, no entry has a text, and the parts of each
month are merged at the end, as the engine does by itself in the course of months.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from otel_audit.anchors.file import FileAnchor
from otel_audit.model import AuditEvent
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.store.database import Role, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.writer import LedgerWriter

ORIGIN = "bench"
GROUP = 20_000
SECOND = 1_000_000_000
START = 1_780_000_000 * SECOND  # 2026-05-28T20:26:40Z
SPAN_SECONDS = 170 * 86400  # the history reaches over this time, whatever its number of events
MODELS = ("gpt-5", "claude-sonnet-4-5", "mistral-large")
KINDS = ("loan", "claim", "complaint", "onboarding")
DECISIONS = ("approved",) * 6 + ("modified",) * 3 + ("rejected",) * 2 + ("escalated", "abandoned")


class Stories:
    """Tasks, each with one to four AI calls, the span around them, and one or two reviews: four events on average."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._number = 0

    def task(self, number: int, at: int) -> Iterator[AuditEvent]:
        """The story of one task that begins at ``at`` nanoseconds since 1970."""
        rng = self._rng
        task = {"task_id": f"task-{number:07d}", "task_kind": KINDS[number % 4], "environment": "production"}
        trace_id, model = f"{rng.getrandbits(128):032x}", rng.choice(MODELS)
        drafting = {**task, "service": "scoring" if number % 5 else "intake", "trace_id": trace_id}
        call = {**drafting, "provider": model.partition("-")[0], "operation": "chat", "request_model": model,
                "response_model": f"{model}-2026", "prompt_name": "draft",
                "prompt_version": str(1 + number // 50_000)}  # fmt: skip
        if rng.random() < 0.5:
            yield self._event("span", at, 2 * SECOND, name="POST /drafts", **drafting)
        if rng.random() < 0.06:
            yield self._event("ai_call", at, SECOND, status="error", error_type="rate_limit", **call)
        for _ in range(1 if rng.random() < 0.85 else 2):
            at += 3 * SECOND
            yield self._answer(at, call)
        if rng.random() < 0.1:  # told again by a gateway
            yield self._answer(at, {**call, "duplicate_of": f"{rng.getrandbits(64):016x}"})
        first, people = rng.choice(DECISIONS), rng.sample(range(40), 2)
        yield self._review(at + 60 * SECOND, first, people[0], task)
        if first == "escalated":
            code = rng.choice(("limit", "missing_evidence", "policy"))
            yield self._event("escalation", at + 500 * SECOND, 0, rationale_code=[code], **task)
        if first in {"escalated", "abandoned"} or rng.random() < 0.15:
            yield self._review(at + 3600 * SECOND, rng.choice(DECISIONS[:10]), people[1], task)
        if rng.random() < 0.7:
            yield self._event("resolution", at + 7200 * SECOND, 0, resolution="closed", **task)

    def _answer(self, at: int, call: dict[str, Any]) -> AuditEvent:
        rng = self._rng
        milliseconds = round(rng.lognormvariate(7.5, 0.5), 3)
        return self._event(
            "ai_call", at, int(milliseconds * 1e6), duration_ms=milliseconds, input_tokens=rng.randint(200, 4000),
            output_tokens=rng.randint(20, 900), confidence=round(rng.betavariate(6, 2), 3),
            attributes=[("gen_ai.operation.name", "chat"), ("server.address", "api.example.com")], **call,
        )  # fmt: skip

    def _review(self, at: int, decision: str, person: int, task: dict[str, Any]) -> AuditEvent:
        rng = self._rng
        seconds = round(rng.lognormvariate(4, 0.9), 3)
        return self._event(
            "review", at, int(seconds * 1e9), duration_ms=seconds * 1000, service="desk", decision=decision,
            reviewer_id=f"u_{person:02d}", active_seconds=round(seconds * 0.9, 3), is_override=decision == "rejected",
            queue_wait_seconds=round(rng.expovariate(1 / 900), 3), **task,
        )  # fmt: skip

    def _event(self, event_type: str, at: int, length: int, **columns: Any) -> AuditEvent:
        self._number += 1
        return AuditEvent({
            "event_type": event_type, "event_id": f"span:{self._number:032x}", "record_kind": "span",
            "retention_class": "default", "event_time": at, "end_time": at + length,
            "span_id": f"{self._number:016x}", **columns,
        })  # fmt: skip


def events(count: int, seed: int = 7) -> Iterator[AuditEvent]:
    """``count`` events of stories, spread evenly over the history."""
    stories = Stories(seed)
    step = SPAN_SECONDS * SECOND * 4 // count
    number = 0
    while count:
        for event in islice(stories.task(number, START + number * step), count):
            count -= 1
            yield event
        number += 1


def load(path: Path, count: int) -> None:
    """Make the data folder with ``count`` events."""
    folder = DataFolder(path)
    folder.create(ORIGIN)
    with open_embedded(folder, Role.WRITER) as database:
        writer = LedgerWriter(database, ORIGIN)
        now = [START]
        sequencer = Sequencer(
            writer, Checkpointer(writer, folder.signer(), [FileAnchor(folder.anchors)]), clock=lambda: now[0]
        )
        sequencer.start()
        stream = events(count)
        started, done = time.perf_counter(), 0
        while group := list(islice(stream, GROUP)):
            now[0] = max(event.columns["event_time"] for event in group)
            sequencer.submit(group).result()
            done += len(group)
            if done % 100_000 == 0:
                print(f"  {done:,} of {count:,} events, {done / (time.perf_counter() - started):,.0f}/s", flush=True)
        sequencer.close()
    with open_embedded(folder, Role.ADMIN) as database, database.client() as client:
        client.command("OPTIMIZE TABLE audit_entries FINAL")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.folder.exists():
        parser.error(f"{options.folder} is there already: name a new folder")
    load(options.folder, options.events)
    return 0


if __name__ == "__main__":
    sys.exit(main())
