"""What the pages need from outside: the store, verification, anchors and the operator's own files.

Pages call ``deps.reader()`` and its neighbours through this module, so that a test can replace them.
All functions may be called from any thread. ``configure`` is called once, before the first page runs.
"""

from __future__ import annotations

import os
import shlex
import tempfile
import threading
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import IO

import settings
import viewer
from roles import Action
from settings import Settings

from otel_audit.anchors import AnchorReading, join_readings
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.witness import WitnessState, read_witnessed, witness_states
from otel_audit.errors import StoreUnavailable
from otel_audit.ledger.times import TimeRules
from otel_audit.model import Filter, Finding
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import Made, Making, write_bundle
from otel_audit.reports.evidence_sources import evidence_to_hand_over, read_evidence
from otel_audit.reports.price_file import PriceFile
from otel_audit.reports.saved_views import ViewFile
from otel_audit.reports.verification import Progress, Report, check_entries, verify_database
from otel_audit.store.analytics import Analytics
from otel_audit.store.anchor_states import AnchorState, read_states
from otel_audit.store.database import Database, open_for_reading
from otel_audit.store.embedded import is_locked
from otel_audit.store.folder import RunInfo
from otel_audit.store.reader import Reader
from otel_audit.store.recheck_state import RecheckState

__all__ = ["AnchorState"]  # what pages may name of the store

_lock = threading.Lock()  # guards both below
_database: Database | None = None
_opened_run: RunInfo | None = None  # the receiver that _database reads through


def configure(given: Settings) -> None:
    """Set where the store is, and forget what was open before."""
    reset()
    settings.use(given)
    viewer.forget()


def reset() -> None:
    """Close the store, so that the next call opens it anew."""
    global _database  # noqa: PLW0603 - one store a process
    with _lock:
        if _database is not None:
            _database.close()
            _database = None


def database() -> Database:
    """The store, opened at the first call and again after its receiver has restarted.

    Raises StoreError or ConfigError, with a text for people, when it can not be opened.
    """
    global _database, _opened_run  # noqa: PLW0603 - one store a process
    with _lock:
        given = settings.given()
        run = given.folder.read_run() if given.folder else None
        if _database is not None and run == _opened_run:
            return _database
        if _database is not None:
            _database.close()
            _database = None
        if given.folder and given.wait_for_receiver and (run is None or not is_locked(given.folder)):
            raise StoreUnavailable("The receiver is not running, or still starting.")
        _database, _opened_run = open_for_reading(given.data, given.url), run
        return _database


def reader() -> Reader:
    """A reader over what the viewer may see of the store. Raises like ``database``, and NotSignedIn."""
    return Reader(database(), viewer.sight())


def analytics() -> Analytics:
    """Figures over the store. Raises like ``reader``, and ConfigError for whoever sees a part of the record only."""
    return Analytics(database(), viewer.sight())


def price_file() -> PriceFile | None:
    """The operator's own prices: OTEL_AUDIT_PRICES, else ``prices.toml`` in the data folder; None without either."""
    given = os.environ.get("OTEL_AUDIT_PRICES", "").strip()
    if given:
        return PriceFile(Path(given))
    data = settings.given().data
    return PriceFile(data / "prices.toml") if data else None


def anchors_file() -> Path | None:
    """The file of ``[[anchors]]`` that a bundle takes from, OTEL_AUDIT_ANCHORS_FROM, as `otel-audit bundle` does."""
    given = os.environ.get("OTEL_AUDIT_ANCHORS_FROM", "").strip()
    return Path(given) if given else None


def view_file() -> ViewFile | None:
    """The saved views: OTEL_AUDIT_VIEWS, else in the data folder; None where there is neither."""
    given = os.environ.get("OTEL_AUDIT_VIEWS", "").strip()
    if given:
        return ViewFile(Path(given))
    folder = settings.given().folder
    return ViewFile(folder.views_file) if folder else None


def trace_link_templates() -> str:
    """The operator's links to trace viewers, OTEL_AUDIT_TRACE_LINK; empty when there are none."""
    return os.environ.get("OTEL_AUDIT_TRACE_LINK", "").strip()


def check(keys: Iterable[tuple[str, int]]) -> list[Finding]:
    """Recompute these entries, given as (origin, seq), and return what is wrong with them."""
    return check_entries(database(), keys)


def verify(progress: Progress) -> Report:
    """Recompute everything, and compare it with all anchors that there are, as `otel-audit verify` does."""
    viewer.need(Action.VERIFY)
    folder = settings.given().folder
    folders = (anchor.folder,) if (anchor := _anchor()) else ()
    trust, anchors = read_evidence(
        folders, anchors_file(), folder, None, is_left_out=not folders and not anchors_file()
    )
    return verify_database(
        database(),
        trust=trust,
        anchors=anchors,
        expected=[folder.identity().origin] if folder else [],
        progress=progress,
        times=TimeRules(now_unix_nano=now_unix_nano()),
    )


def anchored() -> AnchorReading | None:
    """What the anchor folder holds; None when there is no such folder here."""
    anchor = _anchor()
    return join_readings([anchor.read_all(), read_witnessed(anchor.folder, [])]) if anchor else None


def witnesses() -> list[WitnessState]:
    """How it stands with each witness of the ledgers in the anchor folder."""
    anchor = _anchor()
    return witness_states(anchor.folder) if anchor else []


def bundle(where: Filter, purpose: str) -> tuple[IO[bytes], Made]:
    """Make the evidence bundle of a filter in a file without a name, and return it at its start."""
    viewer.need(Action.BUNDLE)
    folder = settings.given().folder
    anchors = evidence_to_hand_over(folder, settings.given().anchor_dir, anchors_file())
    collector = Collector(database(), where, anchors)
    making = Making(now_unix_nano(), viewer.name(), purpose, version("otel-audit"))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    try:
        made = write_bundle(file, collector, making, signer=folder.signer() if folder else None)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file, made


def anchor_place() -> str:
    """The anchor folder as a path; empty when there is none."""
    anchor = _anchor()
    return str(anchor.folder) if anchor else ""


def anchor_states() -> list[AnchorState]:
    """How far each anchor out of reach is, by the receiver's own account; none where no data folder is known.

    Raises ConfigError when a file is damaged.
    """
    folder = settings.given().folder
    return read_states(folder) if folder else []


def recheck_state() -> RecheckState:
    """What the receiver's check of its own ledger last found. Raises ConfigError when the file is damaged."""
    folder = settings.given().folder
    return RecheckState.read(folder) if folder else RecheckState()


def what_to_do() -> str:
    """What somebody does when the store does not answer."""
    given = settings.given()
    if given.url:
        return "Check that the ClickHouse server that this dashboard was given runs, and that this machine reaches it."
    return f"Check that the receiver runs on this machine: otel-audit up --data {shlex.quote(str(given.data))}"


def verify_command() -> str:
    """The command that verifies this store without the dashboard."""
    given = settings.given()
    if not given.data:
        return "otel-audit verify --url http://USER:PASSWORD@HOST:PORT/audit"
    anchors = ["--anchor-dir", str(given.anchor_dir)] if given.anchor_dir else []
    return shlex.join(["otel-audit", "verify", "--data", str(given.data), *anchors])


def up_command() -> str:
    """The command that starts the receiver of this store."""
    data = settings.given().data
    return shlex.join(["otel-audit", "up", "--data", str(data)] if data else ["otel-audit", "serve"])


def now_unix_nano() -> int:
    """The time, in nanoseconds since 1970."""
    return time.time_ns()


def _anchor() -> FileAnchor | None:
    given = settings.given()
    place = given.anchor_dir or (given.folder.anchors if given.folder else None)
    return FileAnchor(place) if place and place.is_dir() else None
