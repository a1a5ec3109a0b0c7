"""An ASGI application served from a thread."""

from __future__ import annotations

import socket
import threading
from typing import Any, Final

import uvicorn

from otel_audit.errors import ConfigError

_START_SECONDS: Final = 20.0
_SHUTDOWN_SECONDS: Final = 10


class AsgiServer:
    """Serves ``app`` on ``host:port`` (port 0 = any free one; ``port`` tells which) until ``stop``."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as exc:
            self._socket.close()
            raise ConfigError(f"can not listen on {host}:{port}: {exc.strerror}. Choose another port") from exc
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # signals are the CLI's
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name=f"http-{self.port}", daemon=True
        )

    def start(self) -> None:
        """Serve, and return once requests are answered."""
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_START_SECONDS / 0.02)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waited.wait(0.02)
        raise ConfigError(f"the HTTP server on port {self.port} did not start")

    def stop(self) -> None:
        """Finish running requests and stop."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
