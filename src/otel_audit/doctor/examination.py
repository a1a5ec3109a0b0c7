"""The whole examination of an application's environment."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from otel_audit.doctor import clients, delivery, settings, spool, trial
from otel_audit.doctor.findings import Finding
from otel_audit.instrumentation.delivery.losses import package_version


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at. ``endpoint`` is what the application gives ``configure``; ``clients`` empty = all installed."""

    endpoint: str | None = None
    clients: Collection[str] = ()
    call: bool = True
    send: bool = True


def examine(wanted: Wanted, env: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Findings, part by part, as they are made."""
    env = os.environ if env is None else env
    found, nonsense = settings.settings_of(env, wanted.endpoint)
    yield from nonsense
    yield from settings.examine(env, found)
    installed = clients.installed_clients(env, wanted.clients)
    yield from clients.examine(installed, wanted.clients)
    if wanted.call:
        yield from trial.examine(env, installed)
    yield from spool.examine(found)
    if wanted.send:
        yield from delivery.examine(found.destination)


def about() -> str:
    """What this is run with, in a line."""
    try:
        sdk = version("opentelemetry-sdk")
    except PackageNotFoundError:
        sdk = "unknown"
    return f"otel-audit {package_version()}, opentelemetry-sdk {sdk}, Python {platform.python_version()}"
