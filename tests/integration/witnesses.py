"""A real ``otel-audit witness`` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .running import COMMAND


@contextmanager
def witness(data: Path, *logs: str) -> Iterator[tuple[str, str]]:
    """A witness on a free port: its URL and its verifier key."""
    options = [option for log in logs for option in ("--log", log)]
    process = subprocess.Popen(
        [*COMMAND, "witness", "--data", str(data), "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout
        told = dict(process.stdout.readline().split(None, 1) for _ in range(2))
        yield told["Witness"].strip(), told["Key"].strip()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def post(url: str, body: bytes) -> tuple[int, str, str]:
    """(status, content type, text) of one add-checkpoint."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/add-checkpoint", body), timeout=30) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.headers.get_content_type(), exc.read().decode()
