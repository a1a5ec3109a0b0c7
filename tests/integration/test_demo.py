"""The demo, run as users run it, against a real OTLP receiver."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from otel_audit import semconv
from otel_audit.demo.calendar import DAY, SECOND, at_work
from otel_audit.demo.cases import make_case
from otel_audit.demo.history import backfill
from otel_audit.demo.live import run_live
from otel_audit.demo.people import REVIEWERS, decide
from otel_audit.demo.sending import NotDelivered, require_reachable
from otel_audit.demo.system import DemoFailed, System
from otel_audit.demo.writer import answer, prompt_messages
from otel_audit.errors import ConfigError
from tests.integration.otlp_collector import Collector, Received

UNTIL = int(datetime(2026, 11, 20, 16, tzinfo=UTC).timestamp()) * SECOND
LIVE_TASKS = 24

# Every attribute that the review API may send, and the type it has on the wire.
TYPES: dict[str, type] = {
    semconv.AUDIT_EVENT_TYPE: str,
    semconv.AUDIT_TASK_ID: str,
    semconv.AUDIT_TASK_KIND: str,
    semconv.AUDIT_SUBJECT_REF: str,
    semconv.AUDIT_CAPTURE_POLICY: str,
    semconv.AUDIT_ACTOR_ID: str,
    semconv.AUDIT_ACTOR_TYPE: str,
    semconv.AUDIT_REVIEWER_ID: str,
    semconv.AUDIT_REVIEW_ID: str,
    semconv.AUDIT_REVIEW_DECISION: str,
    semconv.AUDIT_REVIEW_KIND: str,
    semconv.AUDIT_REVIEW_OF: str,
    semconv.AUDIT_REVIEW_OVERRIDE: bool,
    semconv.AUDIT_REVIEW_ACTIVE_SECONDS: float,
    semconv.AUDIT_REVIEW_IDLE_SECONDS: float,
    semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS: float,
    semconv.AUDIT_RATIONALE_CODE: list,
    semconv.AUDIT_RATIONALE_TEXT: str,
    semconv.AUDIT_CHANGE_BEFORE: str,
    semconv.AUDIT_CHANGE_AFTER: str,
    semconv.AUDIT_CHANGE_DIFF: str,
    semconv.AUDIT_REVIEW_ABANDON_REASON: str,
    semconv.AUDIT_ESCALATION_FROM: str,
    semconv.AUDIT_ESCALATION_TO: str,
    semconv.AUDIT_ESCALATION_LEVEL: int,
    semconv.AUDIT_RESOLUTION_OUTCOME: str,
}
NEEDED = {
    "task.created": set(),
    "review": {
        semconv.AUDIT_REVIEWER_ID,
        semconv.AUDIT_REVIEW_ID,
        semconv.AUDIT_REVIEW_DECISION,
        semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS,
    },
    "escalation": {
        semconv.AUDIT_ESCALATION_FROM,
        semconv.AUDIT_ESCALATION_TO,
        semconv.AUDIT_ESCALATION_LEVEL,
        semconv.AUDIT_RATIONALE_TEXT,
    },
    "resolution": {semconv.AUDIT_RESOLUTION_OUTCOME, semconv.AUDIT_ACTOR_ID},
}


def named(spans: list[Received], name: str) -> list[Received]:
    return [span for span in spans if span.name == name]


def ai_calls(spans: list[Received]) -> list[Received]:
    return [span for span in spans if span.attributes.get("gen_ai.operation.name") == "chat"]


def assert_audit_events_are_well_formed(spans: list[Received]) -> None:
    for span in (span for span in spans if span.scope == "otel_audit"):
        assert span.attributes[semconv.AUDIT_EVENT_TYPE] == span.name
        needed = NEEDED[span.name] | {semconv.AUDIT_TASK_ID, semconv.AUDIT_TASK_KIND, semconv.AUDIT_SUBJECT_REF}
        assert needed <= span.attributes.keys(), span
        for key, value in span.attributes.items():
            assert type(value) is TYPES[key], (span.name, key, value)
        assert span.start <= span.end
        if span.attributes.get(semconv.AUDIT_REVIEW_DECISION) == "modified":
            assert span.attributes[semconv.AUDIT_CHANGE_BEFORE] != span.attributes[semconv.AUDIT_CHANGE_AFTER]


@pytest.fixture(scope="module")
def live_spans() -> Iterator[list[Received]]:
    """What the live demo sends for a few cases, with a provider that often fails and people in a hurry."""
    with Collector() as collector:
        stop, done = threading.Event(), []
        run = threading.Thread(
            target=lambda: done.append(
                run_live(
                    collector.endpoint,
                    tasks_per_minute=600,
                    stop=stop,
                    seed=5,
                    max_tasks=LIVE_TASKS,
                    failure_rate=0.2,
                    speed=200,
                )
            )
        )
        run.start()
        try:
            collector.wait_for(lambda spans: len(named(spans, "resolution")) >= LIVE_TASKS, 120)
        finally:
            stop.set()
            run.join(60)
        assert done == [LIVE_TASKS]
        yield collector.spans


@pytest.fixture(scope="module")
def history_spans() -> list[Received]:
    with Collector() as collector:
        backfill(collector.endpoint, days=10, tasks=120, seed=1, until=UNTIL)
        return collector.spans


def test_live_traces_cross_all_three_services(live_spans: list[Received]) -> None:
    """One trace leads from the gateway over the AI call to the review desk, for each case."""
    services = defaultdict(set)
    for span in live_spans:
        services[span.trace_id].add(span.service)
    for created in named(live_spans, "task.created"):
        assert services[created.trace_id] == {"gateway", "scoring", "review-desk"}


def test_live_ai_calls_carry_the_task_from_baggage(live_spans: list[Received]) -> None:
    """The AI call, made by another service than the one that created the task, carries its id, kind and subject."""
    created = {span.trace_id: span.attributes for span in named(live_spans, "task.created")}
    assert len(created) == LIVE_TASKS
    calls = ai_calls(live_spans)
    assert len(calls) >= LIVE_TASKS
    for call in calls:
        assert call.service == "scoring"
        for key in (semconv.AUDIT_TASK_ID, semconv.AUDIT_TASK_KIND, semconv.AUDIT_SUBJECT_REF):
            assert call.attributes[key] == created[call.trace_id][key]
        assert call.attributes[semconv.AUDIT_PROMPT_NAME]
        assert "[email:" in call.attributes["gen_ai.input.messages"]  # the customer's address, masked at the source


def test_live_tasks_are_created_once_and_resolved_once(live_spans: list[Received]) -> None:
    """Each case has one task.created and one resolution, with a review before it."""
    for name in ("task.created", "resolution"):
        found = [span.attributes[semconv.AUDIT_TASK_ID] for span in named(live_spans, name)]
        assert len(found) == len(set(found)) == LIVE_TASKS
    reviewed = {span.attributes[semconv.AUDIT_TASK_ID] for span in named(live_spans, "review")}
    assert len(reviewed) == LIVE_TASKS


def test_live_audit_events_are_well_formed(live_spans: list[Received]) -> None:
    """Every audit event of the live system has what its kind needs, each attribute in its own type."""
    assert_audit_events_are_well_formed(live_spans)


def test_live_failures_are_ai_calls_of_their_own(live_spans: list[Received]) -> None:
    """An attempt that the provider refused is an AI call with its error, beside the one that worked."""
    failed = [call for call in ai_calls(live_spans) if "error.type" in call.attributes]
    assert failed
    assert {call.attributes["error.type"] for call in failed} <= {
        "openai.RateLimitError",
        "openai.InternalServerError",
    }


_ADDED = {semconv.AUDIT_CAPTURE_POLICY, semconv.AUDIT_PROVIDER_REQUEST_ID}  # by otel-audit, to what live calls send


def shape(call: Received) -> tuple[str, dict[str, type]]:
    """What kind of call it is, and the names and types of its attributes."""
    kind = str(call.attributes.get("gen_ai.response.finish_reasons", "error"))
    return f"{call.name} {kind}", {key: type(value) for key, value in call.attributes.items() if key not in _ADDED}


def test_history_has_the_shape_of_live_ai_calls(live_spans: list[Received], history_spans: list[Received]) -> None:
    """For each kind of AI call that both made, history has the attribute names and types of the instrumentation."""
    live, past = dict(map(shape, ai_calls(live_spans))), dict(map(shape, ai_calls(history_spans)))
    both = live.keys() & past.keys()
    assert len(both) >= 3
    for kind in both:
        assert past[kind] == live[kind], kind
    tools = [next(s for s in spans if s.name.startswith("execute_tool")) for spans in (live_spans, history_spans)]
    assert shape(tools[0]) == shape(tools[1])


def test_history_messages_have_the_instrumentations_form(
    live_spans: list[Received], history_spans: list[Received]
) -> None:
    """Message JSON of history and live calls has the same structure, tool calls and results included."""

    def skeleton(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: type(item) if name == "arguments" else skeleton(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [skeleton(item) for item in value]
        return value if key in {"type", "role", "finish_reason"} else type(value).__name__

    def skeletons(spans: list[Received]) -> dict[str, Any]:
        return {
            f"{call.name} {call.attributes.get('gen_ai.response.finish_reasons')} {len(messages)} {key}": skeleton(
                messages
            )
            for call in ai_calls(spans)
            for key in ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions")
            if key in call.attributes
            for messages in [json.loads(call.attributes[key])]
        }

    live, past = skeletons(live_spans), skeletons(history_spans)
    both = live.keys() & past.keys()
    assert any("tool_calls" in key for key in both)
    assert {key: past[key] for key in both} == {key: live[key] for key in both}


def test_history_is_made_of_the_whole_story(history_spans: list[Received]) -> None:
    """History has all kinds of events, well formed, with escalations and their second reviews."""
    assert_audit_events_are_well_formed(history_spans)
    escalated = {span.attributes[semconv.AUDIT_TASK_ID] for span in named(history_spans, "escalation")}
    assert escalated
    by_senior = {
        span.attributes[semconv.AUDIT_TASK_ID]
        for span in named(history_spans, "review")
        if span.attributes[semconv.AUDIT_REVIEWER_ID] in {"u_7", "u_9"}
    }
    assert by_senior <= escalated
    assert by_senior
    decisions = {span.attributes[semconv.AUDIT_REVIEW_DECISION] for span in named(history_spans, "review")}
    assert {"approved", "modified", "rejected", "escalated"} <= decisions
    assert len(history_spans) >= 5 * 120


def test_history_has_second_opinions(history_spans: list[Received]) -> None:
    """Some decisions are looked at again by a colleague, who names the review it is about and often agrees."""
    reviews = {span.attributes[semconv.AUDIT_REVIEW_ID]: span.attributes for span in named(history_spans, "review")}
    second = [each for each in reviews.values() if semconv.AUDIT_REVIEW_OF in each]
    assert len(second) >= 5
    for each in second:
        first = reviews[each[semconv.AUDIT_REVIEW_OF]]
        assert first[semconv.AUDIT_TASK_ID] == each[semconv.AUDIT_TASK_ID]
        assert first[semconv.AUDIT_REVIEWER_ID] != each[semconv.AUDIT_REVIEWER_ID]


def test_history_keeps_working_hours_and_ends_in_time(history_spans: list[Received]) -> None:
    """Reviews open on weekdays in working hours or shortly after opening; nothing happens outside the period."""
    for review in named(history_spans, "review"):
        opened = datetime.fromtimestamp(review.start // SECOND, UTC)
        assert opened.weekday() < 5
        assert 8 <= opened.hour < 17 or opened.hour < 20  # those that waited overnight are taken up within hours
    assert all(UNTIL - 10 * DAY <= span.start <= span.end <= UNTIL for span in history_spans)


def test_history_is_the_same_for_the_same_seed() -> None:
    """Fifty tasks of one seed are the same spans to the byte each time, and others for another seed."""
    runs = []
    for seed in (3, 3, 4):
        with Collector() as collector:
            done = backfill(collector.endpoint, days=5, tasks=50, seed=seed, until=UNTIL)
            assert done.delivery.sent == done.delivery.acknowledged == len(collector.spans)
            runs.append(collector.spans)
    assert runs[0] == runs[1]
    assert not {span.span_id for span in runs[0]} & {span.span_id for span in runs[2]}
    assert len({span.span_id for span in runs[0]}) == len(runs[0])


def test_history_survives_a_receiver_that_is_away() -> None:
    """A receiver that answers UNAVAILABLE first still gets every span once."""
    with Collector() as collector:
        collector.refuse_next = 1
        done = backfill(collector.endpoint, days=2, tasks=30, seed=1, until=UNTIL)
        assert done.delivery.acknowledged == len(collector.spans) == len({span.span_id for span in collector.spans})
        assert collector.refuse_next == 0


def test_history_that_is_refused_raises() -> None:
    """A receiver that refuses for good makes the backfill fail, and say how much was acknowledged."""
    with Collector() as collector:
        collector.reject_all = True
        with pytest.raises(NotDelivered, match=r"0 of [0-9]+ spans were acknowledged"):
            backfill(collector.endpoint, days=1, tasks=5, until=UNTIL)


def test_the_progress_adds_up() -> None:
    """Progress is told once for each task."""
    steps: list[int] = []
    with Collector() as collector:
        backfill(collector.endpoint, days=1, tasks=7, until=UNTIL, progress=steps.append)
    assert sum(steps) == 7


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "otel_audit", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_the_command_sends_history() -> None:
    """`otel-audit demo --days` sends it, says so and exits 0; refused, it exits 2 and says why."""
    with Collector() as collector:
        sent = run_cli("--endpoint", collector.endpoint, "--days", "2", "--tasks", "20")
        assert sent.returncode == 0, sent.stderr
        assert f"{len(collector.spans):,} spans sent, every one acknowledged" in sent.stdout
        spooled = list(Path(os.environ["OTEL_AUDIT_SPOOL_DIR"]).rglob("*.spool"))
        assert not spooled, "nothing waits for another receiver"
        collector.reject_all = True
        refused = run_cli("--endpoint", collector.endpoint, "--days", "1", "--tasks", "3")
    assert refused.returncode == 2
    assert "check that it runs" in refused.stderr
    assert run_cli("--tasks", "3").returncode == 2


def test_an_endpoint_where_nothing_listens_is_named() -> None:
    """An endpoint that does not answer, or is none, is an error that says what to do."""
    with Collector() as collector:
        endpoint = collector.endpoint
        require_reachable(endpoint, seconds=0)
    with pytest.raises(NotDelivered, match="otel-audit up"):
        require_reachable(endpoint, seconds=0)
    for bad in ("http://", "http://host:port"):
        with pytest.raises(ConfigError, match="4317"):
            require_reachable(bad, seconds=0)
    with pytest.raises(ConfigError, match="at least 1"):
        backfill(endpoint, days=0, tasks=5)


def wait_until_closed(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx2.get(f"{url}/docs", timeout=1)
        except httpx2.ConnectError:
            return
        except httpx2.HTTPError:
            continue
    raise AssertionError(f"{url} still answers")


def test_no_process_outlives_the_demo() -> None:
    """When the process that started the services is killed without a chance to clean up, they end by themselves."""
    with Collector() as collector:
        source = f"""
            import time
            from otel_audit.demo.system import System
            with System({collector.endpoint!r}, seed=1) as system:
                print(system.gateway_url, flush=True)
                time.sleep(600)
            """
        parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(source)], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert httpx2.get(f"{url}/docs", timeout=120).is_success
        parent.kill()
        parent.wait()
        parent.stdout.close()
        wait_until_closed(url)


def test_a_service_that_ends_is_noticed() -> None:
    """A service that ends by itself is an error that names it, not a demo that silently shows less."""
    with Collector() as collector, System(collector.endpoint, seed=1) as system:
        system.check()
        system._processes["scoring"].kill()
        system._processes["scoring"].wait()
        with pytest.raises(DemoFailed, match="scoring"):
            system.check()


def test_reviewers_differ() -> None:
    """Reviewers have their own pace and habits: the hasty one is far faster and approves nearly all."""
    rng = random.Random(1)
    cases = [make_case(rng) for _ in range(400)]
    drafts = [answer(prompt_messages(case), may_call_tool=False, rng=rng).text for case in cases]
    pace, approves = {}, {}
    for person in REVIEWERS:
        verdicts = [decide(person, case, draft, rng) for case, draft in zip(cases, drafts, strict=True)]
        seconds = sorted(verdict.active_seconds for verdict in verdicts)
        pace[person.id] = seconds[len(seconds) // 2]
        approves[person.id] = sum(verdict.decision == "approved" for verdict in verdicts) / len(verdicts)
        assert seconds[-1] > 5 * pace[person.id]  # a long tail, as people have
    assert pace["u_138"] < min(value for key, value in pace.items() if key != "u_138") / 3
    assert approves["u_138"] > 0.85 > max(value for key, value in approves.items() if key != "u_138")


def test_nobody_works_at_night_or_at_the_weekend() -> None:
    """Work that comes at any hour is taken up at that time in working hours, else after the next opening."""
    rng = random.Random(1)
    for hour, day in itertools.product(range(24), range(1, 8)):  # 2 November 2026 is a Monday
        asked = int(datetime(2026, 11, day + 1, hour, 30, tzinfo=UTC).timestamp()) * SECOND
        taken = datetime.fromtimestamp(at_work(rng, asked) // SECOND, UTC)
        assert taken.weekday() < 5
        assert taken.hour >= 8
        assert at_work(rng, asked) >= asked
