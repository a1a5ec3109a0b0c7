"""Starts applications under ``opentelemetry-instrument``, as their operators would.

Instrumentations of one client by different makers share a name there, so that the environment variable
that turns some off can not choose between them. Each application therefore runs in an environment of its
own, in which just the instrumentations that it names are installed: a folder of links to this environment's
packages, without the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from typing import IO, Self

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parents[2]
_RUN = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
_OURS = "otel-audit"
PYTHON = getattr(sys, "_base_executable", sys.executable)  # without this environment's own packages


def make_environment(folder: Path, *instrumentations: str) -> Path:
    """A folder of packages in which only these distributions instrument anything. Reused when it is there."""
    site = folder / ("+".join(sorted(instrumentations)) or "none")
    if site.exists():
        return site
    site.mkdir(parents=True)
    installed = {
        distribution.name: Path(str(distribution.locate_file(""))) / distribution._path.name  # type: ignore[attr-defined]
        for distribution in distributions()
        if any(entry.group == "opentelemetry_instrumentor" for entry in distribution.entry_points)
    }
    assert installed.keys() >= set(instrumentations), sorted(installed)
    hidden = {path.name for name, path in installed.items() if name not in {*instrumentations, _OURS}}
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name not in hidden and path.suffix != ".pth":
            (site / path.name).symlink_to(path)
    return site


def environment(service: str, endpoint: str, site: Path, **more: str) -> dict[str, str]:
    """Environment variables of an instrumented application whose own exporters are off."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON"))}
    return {
        **kept,
        "OTEL_AUDIT_SPOOL_DIR": os.environ["OTEL_AUDIT_SPOOL_DIR"],
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(site), str(ROOT)]),
        "OTEL_SERVICE_NAME": service,
        "OTEL_AUDIT_ENDPOINT": endpoint,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        **more,
    }


class App:
    """An application that runs under ``opentelemetry-instrument``; a context manager that ends it."""

    def __init__(self, arguments: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [PYTHON, "-c", _RUN, *arguments],
            env=env,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @classmethod
    def script(cls, name: str, env: dict[str, str]) -> App:
        """One of ``apps/``."""
        return cls([PYTHON, str(APPS / f"{name}.py")], env)

    def wait_for(self, word: str) -> str:
        """Read output until a line has ``word``; fails with the output when the application ends before."""
        out: IO[str] | None = self.process.stdout
        assert out is not None
        said = []
        for line in out:
            said.append(line)
            if word in line:
                return "".join(said)
        raise AssertionError(f"the application ended without saying {word!r}:\n{''.join(said)}")

    def end(self) -> str:
        """Close its standard input, wait for its end, and give what it said."""
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
