"""Where the store is, and where access is recorded: what the command line said, once a process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sessions import Sessions

from otel_audit.errors import ConfigError
from otel_audit.store.folder import DataFolder, RunInfo


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the store is, and where access is recorded. Either ``data`` or ``url``.

    ``wait_for_receiver``: the folder belongs to a receiver, which serves it; never open it here. ``sessions`` knows who
    is signed in; without it nobody has to, and whoever uses this computer sees everything.
    """

    data: Path | None = None
    url: str | None = None
    otlp_endpoint: str | None = None
    anchor_dir: Path | None = None
    wait_for_receiver: bool = False
    sessions: Sessions | None = None

    @property
    def folder(self) -> DataFolder | None:
        """The data folder; None for a dashboard over a server."""
        return DataFolder(self.data) if self.data else None


_given = Settings()


def use(settings: Settings) -> None:
    """Take these from now on."""
    global _given  # noqa: PLW0603 - one dashboard a process
    _given = settings


def given() -> Settings:
    """What holds now."""
    return _given


def endpoint() -> str | None:
    """The receiver that access is recorded at, as a URL; None when none is known."""
    if _given.otlp_endpoint:
        return _given.otlp_endpoint
    run = _run()
    return f"http://127.0.0.1:{run.grpc_port}" if run and run.grpc_port else None


def http_endpoint() -> str | None:
    """The receiver's OTLP/HTTP address, as a URL; None when none is known."""
    run = _run()
    return f"http://127.0.0.1:{run.http_port}" if run and run.http_port else None


def _run() -> RunInfo | None:
    """The receiver of the data folder, as far as it can be read who that is."""
    try:
        return _given.folder.read_run() if _given.folder else None
    except ConfigError:
        return None
