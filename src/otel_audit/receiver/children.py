"""Child processes that live no longer than this one."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from otel_audit.errors import ConfigError

WITH_PARENT: Final = Path(__file__).with_name("_with_parent.py")
_STOP_SECONDS: Final = 10.0


class Children:
    """Starts and stops named child processes. A context manager: leaving it stops all of them."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], variables: Mapping[str, str] | None = None) -> None:
        """Run ``command`` (its first word a path) with ``variables`` besides ours; its output goes where ours goes."""
        self._running[name] = subprocess.Popen(
            [sys.executable, "-I", str(WITH_PARENT), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(variables or {})},
        )

    def runs(self, name: str) -> bool:
        """Whether this child was started, and was not seen to have ended."""
        return name in self._running

    def ended(self) -> list[tuple[str, int]]:
        """Children that ended by themselves since the last call, with their exit codes."""
        over = [(name, code) for name, child in self._running.items() if (code := child.poll()) is not None]
        for name, _ in over:
            del self._running[name]
        return over

    def stop(self, name: str) -> None:
        """End a child in order, or by force when it takes too long."""
        child = self._running.pop(name, None)
        if child is None or child.poll() is not None:
            return
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_SECONDS)
            return
        child.kill()
        child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.stop(name)


def answers(host: str, port: int) -> bool:
    """Whether a connection to this port is accepted."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def free_port(host: str, port: int, option: str) -> int:
    """``port`` if it is free, any free one for 0. Raises ConfigError naming the option when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise ConfigError(f"{host}:{port} is taken ({exc.strerror}). Choose another with {option}") from exc
        taken: int = probe.getsockname()[1]
        return taken
