"""One process of the demo: ``python -m otel_audit.demo.serve SERVICE FD SETTINGS``.

It serves on the listening socket that it inherited, and ends when its standard input does: so it never
outlives the process that started it, however that one ended.
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from importlib.metadata import version
from typing import Any

import uvicorn

import otel_audit as audit
from otel_audit.demo.settings import Settings

PROVIDER = "provider"
SERVICES = {
    PROVIDER: "otel_audit.demo.provider",
    "scoring": "otel_audit.demo.scoring",
    "gateway": "otel_audit.demo.gateway",
    "review-desk": "otel_audit.demo.review_desk",
}
ENVIRONMENT = "demo"


def instrumented(service: str, settings: Settings) -> Any:
    """The service's application, observed. The provider stands for somebody else's system and is not."""
    if service != PROVIDER:
        from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor  # noqa: PLC0415 - the provider has none

        audit.configure(
            service,
            endpoint=settings.otlp_endpoint,
            environment=ENVIRONMENT,
            service_version=version("otel-audit"),
        )
        HTTPX2ClientInstrumentor().instrument()  # openai and our own clients use httpx2
    app = importlib.import_module(SERVICES[service]).make_app(settings)
    if service != PROVIDER:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415 - the provider has none

        FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    return app


def main() -> None:
    """Serve until standard input ends."""
    # Ctrl-C reaches every process of the terminal; the one that started us ends us in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    service, fd, settings = sys.argv[1:]
    app = instrumented(service, Settings.from_json(settings))
    server = uvicorn.Server(uvicorn.Config(app, fd=int(fd), log_level="warning", timeout_graceful_shutdown=3))
    # uvicorn takes over the signals when it runs in the main thread, so it runs in another one.
    thread = threading.Thread(target=server.run, name=service)
    thread.start()
    sys.stdin.buffer.read()
    server.should_exit = True
    thread.join()
    if service != PROVIDER:
        audit.flush()


if __name__ == "__main__":
    main()
