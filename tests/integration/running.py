"""A real ``otel-audit up`` in a process group of its own, and the commands a user types beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from otel_audit.receiver.children import answers
from otel_audit.semconv import AUDIT_TARGET_TYPE

START_SECONDS = 60
COMMAND = [sys.executable, "-m", "otel_audit"]
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


class Running:
    """A receiver that runs."""

    def __init__(self, data: Path, process: subprocess.Popen[str]) -> None:
        self.data = data
        self.process = process
        self.run = json.loads((data / "otel-audit" / "run.json").read_text())

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.run['grpc_port']}"

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(
            f"127.0.0.1:{self.run['grpc_port']}", options=[("grpc.max_send_message_length", 128 << 20)]
        )

    def export(self, body: bytes, method: str = TRACES, timeout: float = 30) -> bytes:
        with self.channel() as channel:
            return channel.unary_unary(method)(body, timeout=timeout)

    def kill(self) -> None:
        """kill -9 of the whole process group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> str:
        """Ctrl-C, and what it printed."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=60)[0]


@contextmanager
def running(data: Path, *options: str) -> Iterator[Running]:
    """``otel-audit up`` on free ports, until the block ends."""
    run_file = data / "otel-audit" / "run.json"
    run_file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*COMMAND, "up", "--data", str(data), "--grpc-port", "0", "--http-port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not run_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"otel-audit up did not start: {process.communicate()[0]}")
            time.sleep(0.05)
        receiver = Running(data, process)
        while (port := receiver.run["dashboard_port"]) and not answers("127.0.0.1", port):
            assert time.monotonic() < deadline, "the dashboard did not start"
            time.sleep(0.05)
        yield receiver
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def run(*arguments: str, code: int | Sequence[int] = 0) -> subprocess.CompletedProcess[str]:
    """One command; asserts its exit code."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False)
    codes = [code] if isinstance(code, int) else code
    assert done.returncode in codes, f"exit {done.returncode}: {done.stdout}\n{done.stderr}"
    return done


def verify(data: Path, *options: str, code: int = 0) -> dict[str, Any]:
    """The report of ``otel-audit verify --json``."""
    report: dict[str, Any] = json.loads(run("verify", "--data", str(data), "--json", *options, code=code).stdout)
    return report


def exported(data: Path, *options: str) -> list[dict[str, Any]]:
    """The rows of ``otel-audit export --format jsonl``, without those that earlier calls of this left."""
    out = data.parent / "export.jsonl"
    run("export", "--data", str(data), "--format", "jsonl", "--out", str(out), *options)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return [row for row in rows if row["attributes"].get(AUDIT_TARGET_TYPE) != "export"]


def alter(data: Path, *statements: str) -> None:
    """What somebody with the files can do: open the folder with chDB and full rights, and run SQL."""
    config = data.resolve() / "otel-audit" / "engine-admin.xml"
    code = (
        "import sys, chdb\n"
        f"connection = chdb.connect(sys.argv[1] + '?config-file={config}')\n"
        "for statement in sys.argv[2:]: connection.query(statement)\n"
        "connection.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(data), *statements], check=True, timeout=120, capture_output=True)
