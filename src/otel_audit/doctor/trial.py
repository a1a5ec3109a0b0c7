"""Test calls in a process like the application's: what becomes of them, and what they lack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from otel_audit.doctor.catcher import Catcher
from otel_audit.doctor.child import TRIED, Call, Results
from otel_audit.doctor.clients import Installed
from otel_audit.doctor.findings import Finding, Name, Part, note, problem
from otel_audit.doctor.provider import Provider
from otel_audit.doctor.settings import has_zero_code
from otel_audit.doctor.verdict import judge
from otel_audit.instrumentation.delivery.transport import Protocol
from otel_audit.model import AuditEvent

_SECONDS: Final = 120  # importing clients and instrumentations takes most of it
_CHILD: Final = "otel_audit.doctor.child"
# Taken from the child: where it could send something to, and with whose credentials.
_TAKEN: Final = re.compile(
    r"OTEL_AUDIT_(ENDPOINT|PROTOCOL|HEADERS|CERTIFICATE|COMPRESSION|SPOOL_DIR|SPOOL_MAX_MIB|ON_FULL|PRIVACY_KEY.*"
    r"|REFERENCE_BASE)|OTEL_EXPORTER_.*|OTEL_(EXPERIMENTAL_)?CONFIG_FILE|(OPENAI|ANTHROPIC|AZURE|AWS|GOOGLE|LANGSMITH"
    r"|LANGCHAIN|LANGFUSE)_.*|TRACELOOP_(?!TRACE_CONTENT$).*|.*_PROXY|.*(API_?KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL).*",
    re.IGNORECASE,
)
_P: Final = Part.CALLS


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of the test calls: their results, and the events that arrived."""

    results: Results
    events: Sequence[AuditEvent]


def examine(env: Mapping[str, str], clients: Sequence[Installed]) -> Iterator[Finding]:
    """Make the calls, and judge them. Nothing leaves the machine, and nothing stays on it."""
    named = [each.client.name for each in clients if each.client.name in TRIED]
    for each in clients:
        if each.client.name not in TRIED and each.active:
            yield note(
                _P,
                Name.NOT_TRIED,
                f"no test call can be made with {each.client.name}",
                "The doctor makes calls with openai, anthropic and langchain only.",
                "Make a call in the application, and look at the trail: $ otel-audit doctor --data audit-data",
            )
    if any(env.get(name, "").strip() for name in ("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE")):
        yield note(
            _P,
            Name.CONFIG_FILE_NOT_TRIED,
            "the test calls are made without the file that OTEL_CONFIG_FILE names",
            "It may name exporters that send elsewhere, which test calls must not reach.",
        )
    if not named:
        return
    try:
        trial = run(env, named)
    except (OSError, subprocess.SubprocessError, ValueError) as exc:
        yield problem(
            _P,
            Name.TRIAL_IMPOSSIBLE,
            "the test calls could not be made",
            _words(exc),
            "See what the application says when it starts, or leave them out: $ python -m otel_audit.doctor --no-call",
        )
        return
    yield from judge(trial.results, trial.events, clients, env)


def run(env: Mapping[str, str], clients: Sequence[str]) -> Trial:
    """Calls of ``clients`` in a process of this interpreter. Raises OSError, SubprocessError or ValueError."""
    with (
        tempfile.TemporaryDirectory(prefix="otel-audit-doctor-") as folder,
        Provider() as provider,
        Catcher() as catcher,
    ):
        results_file = Path(folder) / "results.json"
        command = [sys.executable, "-m", _CHILD, provider.url, str(results_file), *clients]
        child_env = child_environment(env, catcher.url, Path(folder))
        done = subprocess.run(
            command, env=child_env, timeout=_SECONDS, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if not results_file.exists():
            last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0]
            raise ValueError(f"the process that makes them ended with code {done.returncode} ({last[:80]})")
        said = json.loads(results_file.read_text(encoding="utf-8"))
    return Trial(Results([Call(**each) for each in said["calls"]], said["loader"], said["delivered"]), catcher.events)


def child_environment(env: Mapping[str, str], catcher_url: str, folder: Path) -> dict[str, str]:
    """``env`` without what leads elsewhere: records go to the catcher, files to ``folder``."""
    kept = {name: value for name, value in env.items() if not _TAKEN.fullmatch(name)}
    if path := _without_sitecustomize(env.get("PYTHONPATH", "")):
        kept["PYTHONPATH"] = path
    else:
        kept.pop("PYTHONPATH", None)
    return {
        **kept,
        "OTEL_AUDIT_ENDPOINT": catcher_url,
        "OTEL_AUDIT_PROTOCOL": Protocol.HTTP.value,
        "OTEL_AUDIT_SPOOL_DIR": str(folder / "spool"),
        "OTEL_AUDIT_REFERENCE_BASE": str(folder / "texts"),
        "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH": str(folder / "upload"),
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        # For what sets up an exporter all the same, such as another distro.
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{catcher_url}/application",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "LANGSMITH_TRACING": "false",
        "LANGCHAIN_TRACING_V2": "false",
        "TRACELOOP_TELEMETRY": "false",
        "NO_PROXY": "*",
    }


def _without_sitecustomize(path: str) -> str:
    """``PYTHONPATH`` without the folder by which ``opentelemetry-instrument`` starts: the child starts it itself."""
    found = find_spec("opentelemetry.instrumentation.auto_instrumentation") if path and has_zero_code() else None
    own = os.path.dirname(found.origin) if found and found.origin else None  # noqa: PTH120 - compared as text
    return os.pathsep.join(part for part in path.split(os.pathsep) if part and part != own)


def _words(exc: BaseException) -> str:
    if isinstance(exc, subprocess.TimeoutExpired):
        return f"They took longer than {_SECONDS} seconds."
    return f"{exc}." if isinstance(exc, ValueError) else f"{type(exc).__name__}."
