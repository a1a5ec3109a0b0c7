"""``otel-audit dashboard`` as a process of its own."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_who_ends_the_command_ends_the_dashboard(tmp_path):
    """After SIGTERM, as supervisors send it, nothing serves the record any more."""
    health = f"http://127.0.0.1:{(port := free_port())}/_stcore/health"
    command = [sys.executable, "-m", "otel_audit", "dashboard", "--data", str(tmp_path / "data")]
    with subprocess.Popen([*command, "--dashboard-port", str(port)]) as process:
        deadline = time.monotonic() + 60
        while not _answers(health):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)  # a poll of a condition, bounded by the deadline
        process.terminate()
        process.wait(60)
    with pytest.raises(URLError):
        urlopen(health, timeout=5)


def test_the_address_is_told_once_it_can_be_opened(tmp_path):
    """Whoever follows the link that ``up`` prints, at once, gets the dashboard, which masks as the receiver does."""
    command = [sys.executable, "-m", "otel_audit", "up", "--data", str(tmp_path / "data"), "--capture-policy", "hash"]
    ports = ["--grpc-port", "0", "--http-port", "0", "--dashboard-port", "0"]
    with subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline()
            assert _answers(f"{said.split()[-1]}/healthz"), said
            if sys.platform == "linux":
                (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                assert b"OTEL_AUDIT_CAPTURE_POLICY=hash" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        finally:
            process.terminate()


def _answers(url):
    try:
        return urlopen(url, timeout=5).status == 200
    except OSError:
        return False
