"""``python -m otel_audit.doctor`` in environments in which a trap is real: each is named, with what mends it.

The environments have the base install only (no click, no receiver's packages), the clients that a test names, and
the instrumentations that it names.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import stale
from tests.integration.instrumented import PYTHON, ROOT, environment, make_environment
from tests.integration.otlp_collector import Collector

GENAI_OPENAI = "opentelemetry-instrumentation-genai-openai"
GENAI_ANTHROPIC = "opentelemetry-instrumentation-genai-anthropic"
OPENINFERENCE = "openinference-instrumentation-openai"
TRACELOOP = "opentelemetry-instrumentation-openai"
CLIENTS = ("openai", "anthropic", "langchain", "pydantic_ai", "pydantic_graph")
# Nothing of these belongs to an application's install.
OTHERS = ("click", "chdb", "clickhouse", "numpy", "pyarrow", "cryptography", "starlette", "uvicorn", "streamlit")
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sites")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        collector.clock = None
        yield collector


class Doctor:
    """Runs it in an environment of these instrumentations and clients; ``env`` is what the operator set."""

    def __init__(self, sites: Path, spool: Path, collector: Collector) -> None:
        self.sites, self.spool, self.collector = sites, spool, collector
        self.said = ""

    def site(self, *instrumentations: str, clients: tuple[str, ...]) -> Path:
        site = make_environment(self.sites / "+".join(clients), *instrumentations)
        hidden = (*OTHERS, *(name for name in CLIENTS if name not in clients))
        for link in site.iterdir():
            if link.name.lower().startswith(hidden):
                link.unlink()
        return site

    def run(
        self,
        *instrumentations: str,
        clients: tuple[str, ...] = ("openai",),
        options: tuple[str, ...] = (),
        site: Path | None = None,
        code: int | None = None,
        **env: str,
    ) -> dict[str, dict[str, Any]]:
        """Findings by name (those that are fine have none), after checking the exit code against the levels."""
        site = site or self.site(*instrumentations, clients=clients)
        variables = {**environment("loans", self.collector.endpoint, site), **env}
        done = subprocess.run(
            [PYTHON, "-m", "otel_audit.doctor", "--json", *options],
            env=variables, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        self.said = done.stdout + done.stderr
        assert done.returncode in (0, 1), self.said
        report = json.loads(done.stdout)
        problems = [each for each in report["findings"] if each["level"] == "problem"]
        assert report["ok"] == (not problems)
        assert done.returncode == bool(problems)
        self.lines = [each["what"] for each in report["findings"]]
        return {each["name"]: each for each in report["findings"] if each["name"]}


@pytest.fixture
def doctor(sites: Path, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.setenv("OTEL_AUDIT_SPOOL_DIR", str(tmp_path / "spool"))
    return Doctor(sites, tmp_path / "spool", collector)


def levels(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: each["level"] for name, each in found.items()}


def test_a_healthy_environment_has_no_problem(doctor: Doctor) -> None:
    """The base install with one client and one instrumentation: both APIs arrive, and only the probe leaves."""
    found = doctor.run(GENAI_OPENAI)
    assert "problem" not in levels(found).values(), doctor.said
    scope = "opentelemetry.instrumentation.genai.openai"
    assert f"openai chat.completions.create arrived, reported by {scope}" in doctor.lines
    assert f"openai responses.create arrived, reported by {scope}" in doctor.lines
    assert [(span.service, span.name) for span in doctor.collector.spans] == [("loans", "otel-audit doctor")]
    assert doctor.collector.logs == []
    assert [path for path in doctor.spool.rglob("*") if path.is_file()] == []


def test_no_real_provider_is_asked_and_no_secret_is_shown(doctor: Doctor) -> None:
    """The application's base URLs, keys and proxies are not used, and none of their values is printed."""
    with socket.create_server(("127.0.0.1", 0)) as real:
        url = f"http://127.0.0.1:{real.getsockname()[1]}"
        found = doctor.run(
            GENAI_OPENAI,
            options=("--no-send",),
            OPENAI_BASE_URL=f"{url}/v1",
            OPENAI_API_KEY="sk-very-secret-1",
            HTTP_PROXY=url,
            http_proxy=url,
            NO_PROXY="",
            no_proxy="",
            OTEL_EXPORTER_OTLP_ENDPOINT=url,
            OTEL_AUDIT_HEADERS="authorization=Bearer%20very-secret-2",
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="very-secret-3",
        )
        real.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody connected
            real.accept()
    assert "capture-content-invalid" in found
    assert any("openai chat.completions.create arrived" in line for line in doctor.lines)
    assert "very-secret" not in doctor.said


def test_the_receivers_address_is_shown_without_its_password(doctor: Doctor) -> None:
    """What stands before the @ is nobody's business."""
    address = doctor.collector.endpoint.replace("http://", "http://user:very-secret@")
    doctor.run(GENAI_OPENAI, options=("--no-call",), OTEL_AUDIT_ENDPOINT=address)
    assert any("stored the test record" in line for line in doctor.lines)
    assert "very-secret" not in doctor.said


def test_the_old_value_of_content_capture_is_named(doctor: Doctor) -> None:
    """CAPTURE_MESSAGE_CONTENT=true is a problem, and the line that mends it is there."""
    found = doctor.run(GENAI_OPENAI, options=("--no-call",), **{CONTENT: "true"})
    assert levels(found)["capture-content-invalid"] == "problem"
    assert f"{CONTENT}=true" in found["capture-content-invalid"]["what"]
    assert found["capture-content-invalid"]["mend"] == [f"export {CONTENT}=SPAN_ONLY"]
    assert (
        doctor.run(GENAI_OPENAI, options=("--no-call",), **{CONTENT: "span_and_event"})
        .keys()
        .isdisjoint({"capture-content-invalid"})
    )


def test_no_content_capture_is_seen_in_the_call(doctor: Doctor) -> None:
    """With another completion hook and content capture off, the test call arrives without texts, and that is named."""
    found = doctor.run(GENAI_OPENAI, OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK="upload")
    assert levels(found)["no-content"] == levels(found)["completion-hook-other"] == "problem"
    assert "the prompt and the answer" in found["no-content"]["what"]
    assert found["no-content"]["mend"] == [f"export {CONTENT}=SPAN_ONLY"]
    mended = doctor.run(GENAI_OPENAI, **{"OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK": "upload", CONTENT: "SPAN_ONLY"})
    assert "no-content" not in mended
    assert levels(mended)["completion-hook-other"] == "note"


@pytest.mark.parametrize(
    ("instrumentation", "switch", "mend"),
    [
        (OPENINFERENCE, {"OPENINFERENCE_HIDE_INPUTS": "true"}, "unset OPENINFERENCE_HIDE_INPUTS"),
        (TRACELOOP, {"TRACELOOP_TRACE_CONTENT": "false"}, "export TRACELOOP_TRACE_CONTENT=true"),
    ],
)
def test_an_instrumentation_s_own_switch_is_named(
    doctor: Doctor, instrumentation: str, switch: dict[str, str], mend: str
) -> None:
    """Each maker's own variable hides texts, and is what the doctor has you change."""
    found = doctor.run(instrumentation, **switch)
    assert found["no-content"]["mend"] == [mend]
    assert "no-content" not in doctor.run(instrumentation)


def test_two_instrumentations_at_once_are_named(doctor: Doctor) -> None:
    """Both are named with what uninstalls one, and the call shows that both report it."""
    found = doctor.run(GENAI_OPENAI, OPENINFERENCE)
    twice = found["instrumented-twice"]
    assert twice["level"] == "problem"
    assert GENAI_OPENAI in twice["what"]
    assert OPENINFERENCE in twice["what"]
    assert twice["mend"] == [f"Keep one: pip uninstall {OPENINFERENCE}"]
    assert any("openinference.instrumentation.openai and opentelemetry.i" in line for line in doctor.lines)


def test_a_client_that_nothing_instruments_is_named(doctor: Doctor) -> None:
    """Two clients, one instrumentation: the other client is the problem, with what to install."""
    found = doctor.run(GENAI_OPENAI, clients=("openai", "anthropic"))
    assert levels(found)["not-instrumented"] == "problem"
    assert "anthropic" in found["not-instrumented"]["what"]
    assert found["not-instrumented"]["mend"] == [f"pip install {GENAI_ANTHROPIC}"]
    # This client reports its calls itself, without texts: seen in the call.
    assert "anthropic messages.create" in found["no-content"]["what"]
    assert "not-instrumented" not in doctor.run(
        GENAI_OPENAI, clients=("openai", "anthropic"), options=("--client", "openai", "--no-call")
    )


def test_a_client_and_its_instrumentation_that_report_both(doctor: Doctor) -> None:
    """The anthropic client reports its calls itself as well: a note, as the trail counts one."""
    found = doctor.run(GENAI_ANTHROPIC, clients=("anthropic",))
    assert levels(found)["reported-twice"] == "note"
    assert "problem" not in levels(found).values(), doctor.said


def test_langchain_is_called_through_its_own_interface(doctor: Doctor) -> None:
    """A chat model is invoked, and the instrumentation of LangChain reports it."""
    found = doctor.run("openinference-instrumentation-langchain", clients=("openai", "langchain"))
    assert "langchain chat model invoke arrived, reported by openinference.instrumentation.langchain" in doctor.lines
    assert levels(found)["not-instrumented"] == "note"  # openai: recorded where langchain calls it


@pytest.fixture
def stale_site(doctor: Doctor) -> Iterator[Path]:
    site = doctor.site("opentelemetry-instrumentation-httpx", clients=("openai",))  # its spans are no AI calls
    own = site.with_name(f"{site.name}-stale")
    shutil.copytree(site, own, symlinks=True)
    stale.install(own)
    yield own
    shutil.rmtree(own)


def test_an_instrumentation_that_patches_nothing_is_named(doctor: Doctor, stale_site: Path) -> None:
    """It loads without an error, the calls are answered, and nothing arrives."""
    found = doctor.run(site=stale_site, STALE="old")
    nothing = found["patches-nothing"]
    assert nothing["level"] == "problem"
    assert f"{stale.DISTRIBUTION} 0.1 patches nothing of openai" in nothing["what"]
    assert nothing["mend"][0] == f"pip install --upgrade {stale.DISTRIBUTION}"
    assert GENAI_OPENAI in nothing["mend"][1]


def test_what_an_instrumentation_leaves_out_is_named(doctor: Doctor, stale_site: Path) -> None:
    """Texts, model, response id and usage of the call, and an API that it does not patch."""
    found = doctor.run(site=stale_site, STALE="chat")
    assert levels(found).items() >= {
        ("no-content", "problem"),
        ("no-model", "note"),
        ("no-response-id", "note"),
        ("no-usage", "note"),
        ("api-not-patched", "note"),
    }
    assert "openai responses.create is not reported" in found["api-not-patched"]["what"]
    assert "no-provider-request-id" not in found, "our own instrumentor of the client brings it"
    assert "no-task" not in found


def test_a_call_outside_of_its_task_is_named(doctor: Doctor, stale_site: Path) -> None:
    """An instrumentation that starts its spans elsewhere loses the task."""
    assert levels(doctor.run(site=stale_site, STALE="apart"))["no-task"] == "problem"


def test_spans_that_no_convention_knows_are_named(doctor: Doctor, stale_site: Path) -> None:
    """They arrive, and are no AI calls."""
    found = doctor.run(site=stale_site, STALE="plain")
    assert "stale_openai" in found["not-recognised"]["why"]
    assert "patches-nothing" not in found


def test_an_instrumentation_that_raises_is_named(doctor: Doctor, stale_site: Path) -> None:
    """What OpenTelemetry's loader logs is in the report, without the exception's text."""
    found = doctor.run(site=stale_site, STALE="raises")
    assert found["instrumentation-fails"]["level"] == "problem"
    assert "openai failed: AttributeError" in doctor.said
    assert "has no attribute" not in doctor.said


def test_system_instructions_that_are_left_out_are_named(doctor: Doctor, stale_site: Path) -> None:
    """Prompt and answer arrive, and what the model was told to be does not."""
    found = doctor.run(site=stale_site, STALE="texts")
    assert levels(found)["no-system-text"] == "note"
    assert "no-content" not in found


def test_an_instrumentation_that_breaks_calls_is_named(doctor: Doctor, stale_site: Path) -> None:
    """The client raises under it, and the type and place of the exception are shown."""
    found = doctor.run(site=stale_site, STALE="breaks")
    assert levels(found)["call-failed"] == "problem"
    assert "TypeError at " in found["call-failed"]["why"]


def test_a_process_that_can_not_start_is_named(doctor: Doctor, stale_site: Path) -> None:
    """Whatever ends it, the rest of the examination goes on."""
    found = doctor.run(site=stale_site, STALE="exits")
    assert levels(found)["trial-impossible"] == "problem"
    assert "code 3" in found["trial-impossible"]["why"]
    assert any("stored the test record" in line for line in doctor.lines)


def test_a_checkout_that_is_not_installed_is_named(doctor: Doctor) -> None:
    """Without its entry points opentelemetry-instrument passes otel-audit by; calls are tried by configure()."""
    site = doctor.site(GENAI_OPENAI, clients=("openai",))
    own = site.with_name("not-installed")
    shutil.copytree(site, own, symlinks=True)
    for link in own.glob("otel_audit-*.dist-info"):
        link.unlink()
    found = doctor.run(site=own)
    assert levels(found)["entry-point-missing"] == "problem"
    assert any("openai chat.completions.create arrived" in line for line in doctor.lines)


def test_an_application_that_sets_up_everything_itself(doctor: Doctor) -> None:
    """Without opentelemetry-instrument the calls are tried by configure() alone."""
    site = doctor.site(clients=("anthropic",))
    own = site.with_name("by-hand")
    shutil.copytree(site, own, symlinks=True)
    packages = (own / "opentelemetry").resolve()
    (own / "opentelemetry").unlink()
    (own / "opentelemetry").mkdir()
    for package in packages.iterdir():
        if package.name not in {"instrumentation", "distro"}:
            (own / "opentelemetry" / package.name).symlink_to(package)
    for link in [*own.glob("opentelemetry_distro-*"), *own.glob("opentelemetry_instrumentation*")]:
        link.unlink()
    found = doctor.run(site=own)
    assert levels(found)["no-zero-code"] == "note"
    assert "anthropic messages.create arrived, reported by com.anthropic.sdk.python" in doctor.lines
    assert f"pip install {GENAI_ANTHROPIC}" in found["no-content"]["mend"]


def test_clients_that_are_not_there_or_not_tried(doctor: Doctor) -> None:
    """No client; one that instruments itself; one that lacks a package for a call; a file that is left out."""
    assert levels(doctor.run(clients=("none",)))["no-client"] == "note"
    found = doctor.run(GENAI_OPENAI, clients=("openai", "pydantic_ai"), options=("--no-call",))
    assert "Agent.instrument_all()" in found["self-instrumented"]["mend"][0]
    site = doctor.site("openinference-instrumentation-langchain", clients=("langchain",))
    for link in [*site.glob("langchain_openai*"), *site.glob("langchain_anthropic*")]:
        link.unlink()
    found = doctor.run(site=site, OTEL_CONFIG_FILE="/nowhere/otel.yaml")
    assert "langchain_anthropic is not installed" in found["not-tried"]["what"]
    assert levels(found)["config-file-not-tried"] == "note"


def test_a_sampler_that_drops_everything_changes_nothing(doctor: Doctor) -> None:
    """The calls arrive all the same: the audit does not depend on sampling."""
    found = doctor.run(GENAI_OPENAI, OTEL_TRACES_SAMPLER="always_off")
    assert "problem" not in levels(found).values(), doctor.said
    assert any("chat.completions.create arrived" in line for line in doctor.lines)


@pytest.mark.parametrize("policy", ["hash", "reference", "full"])
def test_texts_that_the_policy_replaces_are_not_missing(doctor: Doctor, policy: str) -> None:
    """Under every capture policy the texts are there in the policy's form, and no file of a test call stays."""
    texts = doctor.spool.parent / "texts"
    texts.mkdir()
    found = doctor.run(GENAI_OPENAI, OTEL_AUDIT_CAPTURE_POLICY=policy, OTEL_AUDIT_REFERENCE_BASE=str(texts))
    assert "problem" not in levels(found).values(), doctor.said
    assert list(texts.iterdir()) == []


def test_an_instrumentation_for_another_release_is_named(doctor: Doctor) -> None:
    """Its own requirement rules the installed client out, so OpenTelemetry does not load it."""
    site = doctor.site(clients=("openai",))
    own = site.with_name("old-requirement")
    shutil.copytree(site, own, symlinks=True)
    stale.install(own, "openai<1")
    found = doctor.run(site=own, STALE="old", options=("--no-send",))
    assert levels(found)["instrumentation-version"] == "problem"
    assert "openai<1" in found["instrumentation-version"]["why"]


def test_a_disabled_instrumentation_is_named(doctor: Doctor) -> None:
    """OTEL_PYTHON_DISABLED_INSTRUMENTATIONS hides the only one of an installed client."""
    found = doctor.run(GENAI_OPENAI, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="flask, openai")
    assert levels(found)["instrumentation-disabled"] == "problem"
    assert "'openai'" in found["instrumentation-disabled"]["mend"][0]


def test_a_switched_off_sdk_is_named(doctor: Doctor) -> None:
    """OTEL_SDK_DISABLED=true records nothing."""
    found = doctor.run(GENAI_OPENAI, OTEL_SDK_DISABLED="true")
    assert levels(found)["sdk-disabled"] == "problem"


def test_it_runs_below_opentelemetry_instrument(doctor: Doctor) -> None:
    """Started as the application is, it finds the same: its test process is set up once."""
    site = doctor.site(GENAI_OPENAI, clients=("openai",))
    code = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    done = subprocess.run(
        [PYTHON, "-c", code, PYTHON, "-m", "otel_audit.doctor", "--json"],
        env=environment("loans", doctor.collector.endpoint, site), cwd=ROOT,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arrived, reported by opentelemetry.instrumentation.genai.openai" in done.stdout


def test_what_can_not_be_asked_for_is_exit_code_2(doctor: Doctor) -> None:
    """An unknown client is a usage error, not a finding."""
    site = doctor.site(GENAI_OPENAI, clients=("openai",))
    done = subprocess.run(
        [PYTHON, "-m", "otel_audit.doctor", "--client", "nobody"],
        env=environment("loans", doctor.collector.endpoint, site), cwd=ROOT,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "invalid choice" in done.stderr


def test_the_base_install_says_how_to_call_it(doctor: Doctor) -> None:
    """``otel-audit doctor`` needs more than an application has, and names what does not."""
    site = doctor.site(GENAI_OPENAI, clients=("openai",))
    done = subprocess.run(
        [PYTHON, "-S", "-m", "otel_audit", "doctor"],  # -S: without what is installed beside the interpreter
        env=environment("loans", doctor.collector.endpoint, site), cwd=ROOT,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "python -m otel_audit.doctor" in done.stderr
    done = subprocess.run(
        [PYTHON, "-S", "-m", "otel_audit.doctor", "--no-call", "--json"],
        env=environment("loans", doctor.collector.endpoint, site), cwd=ROOT,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_people_read_signs_names_and_commands(doctor: Doctor) -> None:
    """The terminal's report has a sign a line, the name of each finding, whole commands, and a summary at the end."""
    site = doctor.site(GENAI_OPENAI, clients=("openai",))
    variables = {**environment("loans", doctor.collector.endpoint, site), CONTENT: "true", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [PYTHON, "-m", "otel_audit.doctor", "--no-call"],
        env=variables, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "  ✗ OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true" in done.stdout
    assert "[capture-content-invalid]" in done.stdout
    assert f"\n        export {CONTENT}=SPAN_ONLY\n" in done.stdout
    assert "  ✓ " in done.stdout
    assert done.stdout.strip().splitlines()[-1].startswith("1 problem")
    assert "\x1b" not in done.stdout
