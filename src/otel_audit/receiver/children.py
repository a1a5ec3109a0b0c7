"""Child processes that live no longer than this one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from typing import Final, Self

from otel_audit.errors import ConfigError

_PR_SET_PDEATHSIG: Final = 1  # <sys/prctl.h>: Linux ends the child when its parent is gone, however it went
_STOP_SECONDS: Final = 10.0
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class Children:
    """Starts and stops named child processes. A context manager: leaving it stops all of them."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str]) -> None:
        """Run ``command``; its output goes where ours goes."""
        self._running[name] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent if _LIBC else None,  # noqa: PLW1509 - before any thread of ours exists, or with exec at once
        )

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


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:  # the parent went before the call
            os._exit(1)
