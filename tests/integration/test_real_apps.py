"""Real applications, unmodified, under opentelemetry-instrument: samplers that drop, a receiver that is late.

All scripts make their calls before anybody listens; then a real ``otel-audit up`` starts, and they end.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fake_provider import ANSWER, FakeProvider
from tests.integration.instrumented import App, environment, make_environment
from tests.integration.running import exported, running

ALWAYS_OFF = {"OTEL_TRACES_SAMPLER": "always_off"}
ONE_PERCENT = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
GENAI_OPENAI = "opentelemetry-instrumentation-genai-openai"
# service -> application, the instrumentations that are installed, the sampler that the operator set
SCRIPTS: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "openai-off": ("openai_app", (GENAI_OPENAI,), ALWAYS_OFF),
    "openai-1pct": ("openai_app", (GENAI_OPENAI,), ONE_PERCENT),
    "openinference": ("openai_app", ("openinference-instrumentation-openai",), ALWAYS_OFF),
    "traceloop": ("openai_app", ("opentelemetry-instrumentation-openai",), ONE_PERCENT),
    "anthropic": ("anthropic_app", ("opentelemetry-instrumentation-genai-anthropic",), ALWAYS_OFF),
    "langchain-openinference": ("langchain_app", ("openinference-instrumentation-langchain",), ONE_PERCENT),
    "langchain-traceloop": ("langchain_app", ("opentelemetry-instrumentation-langchain",), ALWAYS_OFF),
    "pydantic-ai": ("pydantic_ai_app", (), ONE_PERCENT),
    "twice": ("openai_app", (GENAI_OPENAI, "openinference-instrumentation-openai"), ALWAYS_OFF),
}
PERSON = "jane.roe"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory, sites: Path) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Entries by service, after every script made its calls, the receiver started, and the scripts ended."""
    port = free_port()
    data, spool = tmp_path_factory.mktemp("late") / "data", tmp_path_factory.mktemp("spool")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_AUDIT_SPOOL_DIR", str(spool))
        provider = stack.enter_context(FakeProvider())
        apps = []
        for service, (script, instrumentations, sampler) in SCRIPTS.items():
            site = make_environment(sites, *instrumentations)
            # They all end at once, on a machine with other work: the default of 5 seconds may not do.
            patient = {**sampler, "OTEL_AUDIT_EXIT_SECONDS": "60"}
            env = environment(service, f"http://127.0.0.1:{port}", site, PROVIDER=provider.base_url, **patient)
            apps.append(stack.enter_context(App.script(script, env)))
        for app in apps:
            app.wait_for("called")
        with running(data, "--grpc-port", str(port), "--no-dashboard"):
            for app in apps:
                app.end()
            rows = exported(data)
        waiting = [path.read_bytes() for path in spool.rglob("*.spool")]
        assert waiting == []
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            found.setdefault(row["service"], []).append(row)
        yield found


def calls(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["event_type"] == "ai_call"]


@pytest.mark.parametrize("service", SCRIPTS)
def test_every_call_is_in_the_trail_once_with_its_texts(trail: dict[str, list[dict[str, Any]]], service: str) -> None:
    """Prompt, answer, model, settings and usage of a call arrive, though nobody listened and the sampler dropped it."""
    found = [call for call in calls(trail[service]) if not call["duplicate_of"]]
    answered = [call for call in found if call["status"] != "error"]
    assert len(answered) == (2 if SCRIPTS[service][0] == "openai_app" else 1), [c["name"] for c in found]
    first = min(answered, key=lambda call: str(call["event_time"]))
    text = json.dumps(first)
    assert ANSWER in first["content"]["output"]
    assert "Is the income of" in first["content"]["input"]
    assert "gpt-4o-mini" in text or "claude" in text
    assert first["input_tokens"]
    assert first["output_tokens"]
    assert first["operation"] in {"chat", "generate_content"}


@pytest.mark.parametrize("service", SCRIPTS)
def test_nothing_of_the_person_is_kept(trail: dict[str, list[dict[str, Any]]], service: str) -> None:
    """The e-mail address in the prompt is a token wherever an instrumentation copied it to."""
    text = json.dumps(trail[service])
    assert PERSON not in text
    assert "[email:" in text


@pytest.mark.parametrize("service", [name for name, (script, *_) in SCRIPTS.items() if script == "openai_app"])
def test_a_call_that_failed_is_in_the_trail_too(trail: dict[str, list[dict[str, Any]]], service: str) -> None:
    """The provider's error is an AI call with an error."""
    failed = [c for c in calls(trail[service]) if c["status"] == "error" and not c["duplicate_of"]]
    assert len(failed) == 1
    assert "500" in failed[0]["error_type"] or "InternalServerError" in failed[0]["error_type"]


def test_the_sampled_flag_is_left_alone(trail: dict[str, list[dict[str, Any]]]) -> None:
    """What the sampler dropped is recorded, and not sampled for anybody else: see the sampler's own test."""
    assert all(call["capture_policy"] for entries in trail.values() for call in calls(entries))


def test_two_instrumentations_of_one_client_are_linked(trail: dict[str, list[dict[str, Any]]]) -> None:
    """Both reports of a call are kept; one says which it repeats."""
    found = calls(trail["twice"])
    ids = {call["span_id"] for call in found}
    repeated = [call for call in found if call["duplicate_of"]]
    assert len(repeated) >= 2
    assert {call["duplicate_of"] for call in repeated} <= ids
