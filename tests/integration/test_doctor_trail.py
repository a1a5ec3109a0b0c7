"""``otel-audit doctor --data`` beside a real ``otel-audit up`` that was sent every capture."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel_audit.doctor.delivery import PROBE_NAME
from tests.integration.running import COMMAND, LOGS, Running, exported, run, running

CAPTURES = Path(__file__).parents[1] / "fixtures" / "otlp"
SECOND = 10**9
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 1,
    "gen_ai.usage.output_tokens": 1,
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"?"}]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"!"}],"finish_reason":"stop"}]',
    "audit.task.id": "loan-1",
}


def span(service: str, attributes: dict[str, Any], *, scope: str = "made", ended_ago: int = 0) -> bytes:
    """An export request with one span that ended so many nanoseconds ago."""
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add()
    block.resource.attributes.append(_pair("service.name", service))
    scoped = block.scope_spans.add()
    scoped.scope.name = scope
    made = scoped.spans.add(name="made", trace_id=os.urandom(16), span_id=os.urandom(8))
    made.end_time_unix_nano = time.time_ns() - ended_ago
    made.start_time_unix_nano = made.end_time_unix_nano - SECOND
    made.attributes.extend(_pair(key, value) for key, value in attributes.items())
    return request.SerializeToString()


def _pair(key: str, value: str | int) -> KeyValue:
    return KeyValue(
        key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    )


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("doctor") / "data"
    with running(data, "--no-dashboard") as up:
        for path in sorted(CAPTURES.rglob("*.pb")):
            up.export(path.read_bytes(), *([LOGS] if ".logs." in path.name else []))
        up.export(span("whole", CALL))
        up.export(span("fast-clock", {**CALL, "gen_ai.response.id": "2"}, ended_ago=-3600 * SECOND))
        up.export(span("lossy", {"audit.event.type": "loss", "audit.loss.reason": "spool full", "audit.loss.count": 7}))
        up.export(span("strange", {"llm.vendor.thing": "x"}, scope="nobody.knows"))
        yield up


def doctor(trail: Running, *options: str, code: int = 1) -> dict[tuple[str, str], dict[str, Any]]:
    """Findings on the trail by service and name."""
    done = run("doctor", "--data", str(trail.data), "--trail-only", "--json", *options, code=code)
    report = json.loads(done.stdout)
    assert report["ok"] == (code == 0)
    return {(each["what"].partition(":")[0], each["name"]): each for each in report["findings"]}


def test_the_numbers_are_those_of_the_entries(trail: Running) -> None:
    """For every service: calls without texts, fields or task, repeats, by what an export of the same trail has."""
    expected: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    rows = [row for row in exported(trail.data) if row["record_kind"] != "internal"]
    spoken = {
        (row["trace_id"], row["span_id"], name)
        for row in rows
        for name in row["content_commitments"]
        if row["event_type"] == "log" and row["convention"]
    }
    for row in rows:
        counts = expected[row["service"]]
        if row["event_type"] != "ai_call":
            continue
        if row["duplicate_of"]:
            counts["reported again"] += 1
            continue
        counts["calls"] += 1
        embeds = row["operation"] == "embeddings"
        answered = row["status"] != "error" and not embeds
        span_of = (row["trace_id"], row["span_id"])

        def lacks(name: str, row: Any = row, span_of: Any = span_of) -> bool:
            return name not in row["content_commitments"] and (*span_of, name) not in spoken

        counts["the prompt"] += lacks("input") and not embeds
        counts["the answer"] += lacks("output") and answered
        counts["the model that answered"] += answered and not row["response_model"]
        counts["a response id"] += answered and not row["response_id"]
        counts["token counts"] += answered and row["input_tokens"] is None and row["output_tokens"] is None
        counts["a task"] += not row["task_id"]
    assert sum(counts["calls"] for counts in expected.values()) > 50
    assert sum(counts["reported again"] for counts in expected.values()) > 0
    found = doctor(trail)
    for service, counts in expected.items():
        said = " ".join(each["what"] for (name, _), each in found.items() if name == service).replace(",", "")
        for what in ("the prompt", "the answer", "the model that answered", "a response id", "token counts", "a task"):
            assert (f" {counts[what]} without {what}" in said) == (counts[what] > 0), (service, what, said)
        again = f"{counts['reported again']} AI calls were reported again"
        assert (again in said) == (counts["reported again"] > 0), (service, said)


def test_a_complete_service_is_fine(trail: Running) -> None:
    """All that the doctor looks for is there."""
    found = [each for (service, _), each in doctor(trail).items() if service == "whole"]
    assert [each["what"] for each in found] == ["whole: 1 AI call, complete (capture policy redacted/1)"]


def test_a_clock_that_is_ahead_is_a_problem(trail: Running) -> None:
    """Records that ended after they were recorded, with how far."""
    clock = doctor(trail)["fast-clock", "trail-clock"]
    assert clock["level"] == "problem"
    assert "up to 3,600 seconds after they were received" in clock["what"] or "3,599 seconds" in clock["what"]


def test_losses_and_strangers_are_named(trail: Running) -> None:
    """With the reason, and the command that shows each; with the scope that nobody knows."""
    found = doctor(trail)
    losses = found["lossy", "trail-losses"]
    assert losses["what"] == "lossy: 7 records were lost (spool full)"
    command = shlex.split(losses["mend"][0].partition(": ")[2])
    said = subprocess.run([*COMMAND, *command[1:]], capture_output=True, text=True, check=True, timeout=60)
    assert "some records were lost" in said.stdout
    (silent,) = [each["what"] for (_, name), each in found.items() if name == "trail-no-calls"]
    assert "lossy" in silent
    assert "whole" not in silent
    assert any(name == "trail-not-recognised" and "nobody.knows" in each["what"] for (_, name), each in found.items())


def test_a_period_without_records_is_a_problem(trail: Running) -> None:
    """Nothing was recorded since a moment to come, and that there are older entries is said."""
    found = doctor(trail, "--since", "2100-01-01T00:00:00Z")
    ((_, name),) = found
    assert name == "trail-empty"
    assert "entries in all" in str(found)


def test_it_looks_at_environment_and_trail_at_once(trail: Running, tmp_path: Path) -> None:
    """Settings, receiver and trail; the record that it sends is in the trail as a span, and no AI call."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "OTEL_AUDIT_SPOOL_DIR": str(tmp_path / "spool"),
        "OTEL_AUDIT_ENDPOINT": trail.endpoint,
        "OTEL_SERVICE_NAME": "visited",
        "OTEL_TRACES_EXPORTER": "none",
    }
    done = subprocess.run(
        [*COMMAND, "doctor", "--no-call", "--json", "--data", str(trail.data)],
        env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert {"Settings", "AI clients", "Spool", "Receiver", "Trail"} == {each["part"] for each in findings}
    receiver = [each for each in findings if each["part"] == "Receiver"]
    assert [each["level"] for each in receiver] == ["ok", "ok"]  # stored, and the receiver told its time
    (probe,) = [row for row in exported(trail.data) if row["service"] == "visited"]
    assert (probe["event_type"], probe["name"]) == ("span", PROBE_NAME)
    assert probe["remarks"] == []


def test_full_texts_and_many_services_are_named(tmp_path: Path) -> None:
    """Who masks nothing is named; of many services those with AI calls come first, and none is hidden."""
    with running(tmp_path / "data", "--no-dashboard", "--capture-policy", "full") as up:
        up.export(span("open", {**CALL, "audit.capture_policy": "full/1"}))
        assert doctor(up, code=0)["open", "trail-policy-full"]["level"] == "note"
        for number in range(60):
            up.export(span(f"service-{number}", {}))
        found = doctor(up, code=0)
        (left_out,) = [each["what"] for (_, name), each in found.items() if name == "not-tried"]
        assert left_out.startswith("11 services")
        assert ("open", "trail-policy-full") in found


def test_what_can_not_be_looked_at_is_exit_code_2(tmp_path: Path) -> None:
    """No data folder, or no trail named."""
    assert "data" in run("doctor", "--trail-only", code=2).stderr
    run("doctor", "--trail-only", "--data", str(tmp_path / "nothing"), code=2)
