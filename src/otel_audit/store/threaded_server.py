"""An ASGI app served on loopback from a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any, Final, Self

import uvicorn
from starlette.types import ASGIApp

from otel_audit.errors import ConfigError, StoreError

_GRACE_SECONDS: Final = 5  # what running requests are given when the server stops
_START_SECONDS: Final = 30


class _Server(uvicorn.Server):
    """Tells when it is serving, and leaves the process's signal handlers alone (it never runs in the main thread)."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()


class ThreadedServer:
    """Serves ``app`` until closed. The port is bound at once (0: any free one), so that an error is told here.

    Raises ConfigError when the port is taken. Closing waits for running requests a few seconds.
    """

    def __init__(self, app: ASGIApp, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        self._socket = _bound(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            **options,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name=f"http-{self.port}", daemon=True)

    def start(self) -> Self:
        """Begin to serve; returns when requests are answered."""
        if self._thread.ident is None:  # a second call just waits until it serves
            self._thread.start()
        if not self._server.settled.wait(_START_SECONDS) or not self._server.started:
            self.close()
            raise StoreError(f"the HTTP server on {self.host}:{self.port} did not start. See the log above for why.")
        return self

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._server.settled.set()  # also when it could not start: start() looks whether it did


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off: without it each small answer waits 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as exc:
        bound.close()
        raise ConfigError(f"{host}:{port}: can not listen there: {exc.strerror}. Choose another port.") from exc
    return bound
