"""The demo's processes: one a service, started together and ended together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

from otel_audit.demo.serve import SERVICES
from otel_audit.demo.settings import Settings
from otel_audit.errors import AuditError

_STOP_SECONDS: Final = 15.0
# What the instrumentations read. Content on the spans, the current names of HTTP attributes, the provider's
# request id, and spans sent each second, so that the dashboard is never far behind.
_TELEMETRY: Final = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": "x-request-id",
    "OTEL_BSP_SCHEDULE_DELAY": "1000",
}
_KEPT: Final = "OTEL_EXPORTER_OTLP_"  # certificates and tokens for the receiver; nothing else of the caller's OTEL_*


class DemoFailed(AuditError):
    """A process of the demo ended by itself. Its last words are on standard error; start the demo again."""


class System:
    """``with System(endpoint, seed=7) as system:`` runs provider, gateway, scoring and review desk on loopback."""

    def __init__(self, endpoint: str, *, seed: int, failure_rate: float = 0.05, speed: float = 10.0) -> None:
        # Listening before the services exist: every address is known at once, all start at the same time,
        # and a request that comes too early waits in the socket's queue.
        self._sockets = {service: _listening() for service in SERVICES}
        self._settings = Settings(
            otlp_endpoint=endpoint,
            provider_url=self._url("provider"),
            scoring_url=self._url("scoring"),
            desk_url=self._url("review-desk"),
            seed=seed,
            failure_rate=failure_rate,
            speed=speed,
        )
        self.gateway_url = self._url("gateway")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def _url(self, service: str) -> str:
        return f"http://127.0.0.1:{self._sockets[service].getsockname()[1]}"

    def __enter__(self) -> Self:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("OTEL_") or key.startswith(_KEPT)
        }
        for service, listening in self._sockets.items():
            command = [sys.executable, "-m", "otel_audit.demo.serve", service, str(listening.fileno())]
            self._processes[service] = subprocess.Popen(
                [*command, self._settings.to_json()],
                stdin=subprocess.PIPE,
                pass_fds=(listening.fileno(),),
                env=environment | _TELEMETRY,
            )
            listening.close()  # the service has its own handle
        return self

    def check(self) -> None:
        """Raise DemoFailed when a service has ended."""
        for service, process in self._processes.items():
            if process.poll() is not None:
                raise DemoFailed(f"demo: the {service} ended with exit code {process.returncode}")

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            if process.stdin:
                process.stdin.close()
        for process in self._processes.values():
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listening() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    listening.set_inheritable(True)
    return listening
