"""What the pages need from outside: the store, verification, who is looking, and the record of access.

Pages call ``deps.reader()`` and its neighbours through this module, so that a test can replace them.
All functions may be called from any thread. ``configure`` is called once, before the first page runs.
"""

from __future__ import annotations

import getpass
import os
import shlex
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final

import streamlit as st
from roles import Action, Person
from sessions import NotSignedIn, Sessions, session_id
from streamlit.runtime.scriptrunner import get_script_run_ctx

import otel_audit
from otel_audit.anchors import AnchorReading, join_readings
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.witness import WitnessState, read_witnessed, witness_states
from otel_audit.errors import ConfigError, StoreUnavailable
from otel_audit.ledger.times import TimeRules
from otel_audit.model import Filter, Finding, Sight
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import Made, Making, write_bundle
from otel_audit.reports.evidence_sources import evidence_to_hand_over, read_evidence
from otel_audit.reports.saved_views import ViewFile
from otel_audit.reports.verification import Progress, Report, check_entries, verify_database
from otel_audit.store.analytics import Analytics
from otel_audit.store.anchor_states import AnchorState, read_states
from otel_audit.store.database import Database, open_for_reading
from otel_audit.store.embedded import is_locked
from otel_audit.store.folder import DataFolder, RunInfo
from otel_audit.store.reader import Reader
from otel_audit.store.recheck_state import RecheckState

__all__ = ["AnchorState"]  # what pages may name of the store

SERVICE_NAME: Final = "otel-audit-dashboard"
_SAME_VIEW_SECONDS: Final = 600.0  # Streamlit runs a page again at each click: one look is one event


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


_settings = Settings()
_lock = threading.Lock()  # guards everything below
_database: Database | None = None
_opened_run: RunInfo | None = None  # the receiver that _database reads through
_recording_to: str | None = None
_recorded: dict[tuple[str, ...], float] = {}
_looking: ContextVar[Person | None] = ContextVar("looking", default=None)  # who sent the request that is answered


def configure(settings: Settings) -> None:
    """Set where the store is, and forget what was open before."""
    global _settings, _recording_to  # noqa: PLW0603 - one dashboard a process
    reset()
    with _lock:
        _settings = settings
        _recording_to = None
        _recorded.clear()


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
        run = _folder().read_run() if _settings.data else None
        if _database is not None and run == _opened_run:
            return _database
        if _database is not None:
            _database.close()
            _database = None
        if _settings.wait_for_receiver and (run is None or not is_locked(_folder())):
            raise StoreUnavailable("The receiver is not running, or still starting.")
        _database, _opened_run = open_for_reading(_settings.data, _settings.url), run
        return _database


def reader() -> Reader:
    """A reader over what the viewer may see of the store. Raises like ``database``, and NotSignedIn."""
    return Reader(database(), sight())


def analytics() -> Analytics:
    """Figures over the store. Raises like ``reader``, and ConfigError for whoever sees a part of the record only."""
    return Analytics(database(), sight())


def price_file() -> Path | None:
    """The operator's own prices: OTEL_AUDIT_PRICES, else ``prices.toml`` in the data folder; it need not exist."""
    given = os.environ.get("OTEL_AUDIT_PRICES", "").strip()
    if given:
        return Path(given)
    return _settings.data / "prices.toml" if _settings.data else None


def anchors_file() -> Path | None:
    """The file of ``[[anchors]]`` that a bundle takes from, OTEL_AUDIT_ANCHORS_FROM, as `otel-audit bundle` does."""
    given = os.environ.get("OTEL_AUDIT_ANCHORS_FROM", "").strip()
    return Path(given) if given else None


def view_file() -> ViewFile | None:
    """The saved views: OTEL_AUDIT_VIEWS, else in the data folder; None where there is neither."""
    given = os.environ.get("OTEL_AUDIT_VIEWS", "").strip()
    if given:
        return ViewFile(Path(given))
    return ViewFile(_folder().views_file) if _settings.data else None


def trace_link_templates() -> str:
    """The operator's links to trace viewers, OTEL_AUDIT_TRACE_LINK; empty when there are none."""
    return os.environ.get("OTEL_AUDIT_TRACE_LINK", "").strip()


def check(keys: Iterable[tuple[str, int]]) -> list[Finding]:
    """Recompute these entries, given as (origin, seq), and return what is wrong with them."""
    return check_entries(database(), keys)


def verify(progress: Progress) -> Report:
    """Recompute everything, and compare it with all anchors that there are, as `otel-audit verify` does."""
    need(Action.VERIFY)
    folder = _folder() if _settings.data else None
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
    need(Action.BUNDLE)
    folder = _folder() if _settings.data else None
    anchors = evidence_to_hand_over(folder, _settings.anchor_dir, anchors_file())
    collector = Collector(database(), where, anchors)
    making = Making(now_unix_nano(), viewer(), purpose, version("otel-audit"))
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
    return read_states(_folder()) if _settings.data else []


def recheck_state() -> RecheckState:
    """What the receiver's check of its own ledger last found. Raises ConfigError when the file is damaged."""
    return RecheckState.read(_folder()) if _settings.data else RecheckState()


def what_to_do() -> str:
    """What somebody does when the store does not answer."""
    if _settings.url:
        return "Check that the ClickHouse server that this dashboard was given runs, and that this machine reaches it."
    return f"Check that the receiver runs on this machine: otel-audit up --data {shlex.quote(str(_settings.data))}"


def verify_command() -> str:
    """The command that verifies this store without the dashboard."""
    if _settings.data:
        command = ["otel-audit", "verify", "--data", str(_settings.data)]
        return shlex.join([*command, "--anchor-dir", str(_settings.anchor_dir)] if _settings.anchor_dir else command)
    return "otel-audit verify --url http://USER:PASSWORD@HOST:PORT/audit"


def up_command() -> str:
    """The command that starts the receiver of this store."""
    return shlex.join(
        ["otel-audit", "up", "--data", str(_settings.data)] if _settings.data else ["otel-audit", "serve"]
    )


def data_folder() -> DataFolder | None:
    """The data folder, None for a dashboard over a server."""
    return _folder() if _settings.data else None


def anchor_folder() -> Path | None:
    """The anchor folder that was named; None for the data folder's own."""
    return _settings.anchor_dir


def now_unix_nano() -> int:
    """The time, in nanoseconds since 1970."""
    return time.time_ns()


@contextmanager
def looking(person: Person) -> Iterator[None]:
    """What runs within is done by this person, whom the middleware has found signed in."""
    token = _looking.set(person)
    try:
        yield
    finally:
        _looking.reset(token)


def person() -> Person:
    """Who is looking, asked anew each time: a session may have ended since. Raises NotSignedIn.

    Without a sign-in it is the user of this machine's account.
    """
    if _settings.sessions is None:
        return Person(_account())
    # A page runs for as long as its connection lasts, so that it is asked by what the connection began with.
    is_page = get_script_run_ctx(suppress_warning=True) is not None
    found = _settings.sessions.person(session_id(st.context.headers)) if is_page else _looking.get()
    if found is None:
        raise NotSignedIn("Nobody is signed in, or not any more.")
    return found


def has_sign_in() -> bool:
    """Whether people have to sign in here."""
    return _settings.sessions is not None


def sign_out() -> None:
    """End the session of whoever looks at this page, on every tab."""
    if _settings.sessions is not None:
        record("SIGN_OUT", "dashboard", "sign-in", always=True)
        _settings.sessions.sign_out(session_id(st.context.headers))


def viewer() -> str:
    """The name of whoever is looking, as it is recorded. Raises NotSignedIn."""
    return person().name


def sight() -> Sight:
    """What the viewer may see: part of the key of whatever is kept between runs. Raises NotSignedIn."""
    return person().sight


def may(action: Action) -> bool:
    """Whether the viewer may do this. Raises NotSignedIn."""
    return person().may(action)


def need(action: Action) -> None:
    """Refuse with ConfigError what the viewer may not do."""
    if not may(action):
        raise ConfigError(f"your access token does not let you {action}")


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no account of that number, as in some containers
        return "unknown"


def recording() -> bool:
    """Whether access is recorded: whether a receiver is known that takes the events."""
    return endpoint() is not None


def record(
    action: str,
    target: str,
    target_type: str,
    *,
    task_id: str = "",
    filter_text: str | Mapping[str, Any] | None = None,
    purpose: str = "",
    row_count: int | None = None,
    outcome: str = "success",
    key: str = "",
    actor: str = "",
    always: bool = False,
) -> None:
    """Record that the viewer did ``action`` to ``target``, once in ten minutes unless ``always``.

    ``key`` tells apart what has no target, such as two searches. ``actor`` is for whoever is not signed in (yet).
    """
    global _recording_to  # noqa: PLW0603 - the exporter is set up once a process
    receiver = endpoint()
    if receiver is None:
        return
    actor, now = actor or viewer(), time.monotonic()
    with _lock:
        for old in [old for old, then in _recorded.items() if now - then > _SAME_VIEW_SECONDS]:
            del _recorded[old]
        same = (actor, action, target_type, target, key, outcome)
        if same in _recorded and not always:
            return
        _recorded[same] = now
        if _recording_to is None:
            otel_audit.configure(service_name=SERVICE_NAME, endpoint=receiver)
            _recording_to = receiver
    # With the task's id the access is part of the task's own story; joining one does not begin it.
    arguments: dict[str, Any] = {
        "actor": actor,
        "target": target or None,
        "target_type": target_type,
        "purpose": purpose or None,
        "filter": filter_text or None,
        "row_count": row_count,
        "outcome": outcome,
    }
    if task_id:
        with otel_audit.task(task_id, join=True):
            otel_audit.record_access(action, **arguments)
    else:
        otel_audit.record_access(action, **arguments)


def endpoint() -> str | None:
    """The receiver that access is recorded at, as a URL; None when none is known."""
    if _settings.otlp_endpoint:
        return _settings.otlp_endpoint
    if _settings.data is None:
        return None
    try:
        run = _folder().read_run()
    except ConfigError:
        return None
    return f"http://127.0.0.1:{run.grpc_port}" if run and run.grpc_port else None


def http_endpoint() -> str | None:
    """The receiver's OTLP/HTTP address, as a URL; None when none is known."""
    if _settings.data is None:
        return None
    try:
        run = _folder().read_run()
    except ConfigError:
        return None
    return f"http://127.0.0.1:{run.http_port}" if run and run.http_port else None


def _folder() -> DataFolder:
    if _settings.data is None:
        raise ConfigError("give --data DIR (a data folder)")
    return DataFolder(_settings.data)


def _anchor() -> FileAnchor | None:
    place = _settings.anchor_dir or (_folder().anchors if _settings.data else None)
    return FileAnchor(place) if place and place.is_dir() else None
