"""The embedded engine (chDB) on a data folder: one process at a time, with no more rights than it needs.

The engine gives every handle the rights that the first one was opened with. So the folder is opened with full
rights only to migrate it, all handles are closed, and it is opened again for SELECT and INSERT.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final
from xml.sax.saxutils import escape

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from otel_audit.errors import ConfigError, StoreError, StoreLocked
from otel_audit.store._database import DATABASE_NAME, Database, Role
from otel_audit.store.folder import DataFolder
from otel_audit.store.migrate import migrate, pending, require_current
from otel_audit.store.sql_text import sql

_GRANTS: Final = {
    Role.ADMIN: "GRANT ALL ON *.* WITH GRANT OPTION",
    Role.WRITER: (
        f"GRANT SELECT, INSERT ON {DATABASE_NAME}.*, ALTER DELETE ON {DATABASE_NAME}.audit_content, "
        f"ALTER DELETE ON {DATABASE_NAME}.audit_sealed"
    ),
    Role.READER: f"GRANT SELECT ON {DATABASE_NAME}.*",
}
# What the engine makes of them, a line for each table or set of tables.
_RIGHTS: Final = {
    Role.WRITER: {
        f"GRANT SELECT, INSERT ON {DATABASE_NAME}.*",
        f"GRANT ALTER DELETE ON {DATABASE_NAME}.audit_content",
        f"GRANT ALTER DELETE ON {DATABASE_NAME}.audit_sealed",
    },
    Role.READER: {_GRANTS[Role.READER]},
}
TEXTS_POLICY: Final = "texts"  # storage policy of audit_content: a disk of its own, outside of the data folder
_READER_SETTINGS: Final = {
    "max_execution_time": 3600,  # seconds: a whole ledger is verified within it; a query left behind ends
    "readonly": 2,  # nothing that writes; settings of a single query may be given
}
_MAX_QUERY_BYTES: Final = 4 << 30
_BREAKS_ENGINE_PATH: Final = frozenset("?&%#\0\n\r")  # the engine takes its path and options as one URL-like text
_RESTORED_SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_opening = threading.Lock()  # importing the engine changes the working directory of the whole process for a moment


def open_embedded(folder: DataFolder, role: Role, *, needs_texts: bool = True) -> Database:
    """Open the engine on ``folder``, making folder and ledger when ``role`` is not READER.

    WRITER migrates first when the schema is not current. Without ``needs_texts`` a READER gets a folder that has no
    texts beside it, too: with an empty audit_content. Raises StoreLocked when another process (or this one)
    has the folder open, ConfigError when the folder can not be used, StoreError when the engine does not start.
    """
    if role is Role.READER:
        folder.identity()
    else:
        folder.create()
    path = str(folder.path.resolve())
    if found := _BREAKS_ENGINE_PATH.intersection(path):
        raise ConfigError(
            f"data folder {path!r}: the engine can not use a path with {' '.join(map(repr, sorted(found)))}. "
            "Choose another folder."
        )
    if role is Role.ADMIN:
        return _open(folder, role)
    database = _open(folder, role, needs_texts=needs_texts)
    try:
        if role is Role.WRITER and pending(database):
            database.close()
            with _open(folder, Role.ADMIN) as admin:
                migrate(admin)
            database = _open(folder, role)
        require_current(database)
    except BaseException:
        database.close()
        raise
    return database


def is_locked(folder: DataFolder) -> bool:
    """Whether a process has the engine open on ``folder``: the engine holds a ``flock`` on its status file."""
    try:
        descriptor = os.open(folder.lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise ConfigError(
            f"{folder.path}: can not tell whether the data folder is open: {exc.strerror}, {exc.filename}. "
            "Run otel-audit as the folder's owner."
        ) from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def locked_error(folder: DataFolder) -> StoreLocked:
    """Describe a folder that is open elsewhere: which process has it, and what to do."""
    pid = _lock_holder(folder)
    if pid == os.getpid():
        return StoreLocked(f"{folder.path}: this process has the data folder open already. Close that database first.")
    run = folder.read_run()
    who = "another process" if pid is None else f"process {pid}"
    if run is not None and pid in {None, run.pid}:
        who = f"process {run.pid} (otel-audit up)"
        advice = "Reading commands work while it runs; to open the folder yourself, stop it first"
    else:
        advice = "Wait until it has finished, or stop it"
    return StoreLocked(f"{folder.path}: {who} has the data folder open, and only one can. {advice}, then try again.")


def _open(folder: DataFolder, role: Role, *, needs_texts: bool = True) -> Database:
    if is_locked(folder):
        raise locked_error(folder)
    if role is not Role.READER or folder.texts.is_dir():
        folder.make_texts()
        return _start(folder, role, folder.texts)
    if needs_texts:
        raise ConfigError(
            f"{folder.texts}: the texts of this data folder are not here; backups leave them out. Put its keys back as "
            f"{folder.data_keys} and start `otel-audit up --data {folder.path}` once: it makes the texts anew."
        )
    # Nothing may be made in their place: the next one who opens the folder has to see that they are not there.
    stand_in = tempfile.TemporaryDirectory(prefix="otel-audit-no-texts-")
    try:
        return _start(folder, role, Path(stand_in.name), stand_in.cleanup)
    except BaseException:
        stand_in.cleanup()
        raise


def _start(folder: DataFolder, role: Role, texts: Path, then: Callable[[], None] | None = None) -> Database:
    """Start the engine with its texts in ``texts``; ``then`` is done after it is closed: only where none are there."""
    config = _write_config(folder, role, texts)

    def connect(wanted: Role, database: str | None = DATABASE_NAME) -> Client:
        settings: dict[str, Any] = {}
        if wanted is Role.READER and role is not Role.READER:
            settings = dict(_READER_SETTINGS)
        return clickhouse_connect.get_client(
            interface="chdb",
            path=str(folder.path),
            database=database,
            settings=settings,
            chdb_options={"config-file": str(config)},
        )

    before = tempfile.tempdir
    try:
        with _opening, _process_state_kept():
            # Held until the end: without any handle the engine would shut down and give up the lock.
            keeper = connect(role, None)
    except (Error, RuntimeError) as exc:
        if is_locked(folder):
            raise locked_error(folder) from exc
        raise StoreError(
            f"{folder.path}: the embedded engine does not start: {exc}. One process can have one data folder open; "
            "close the other one, or check that the folder is whole."
        ) from exc
    if then is None:
        tempfile.tempdir = str(folder.tmp.resolve())  # every insert passes through a temporary file: keep it private

    def close() -> None:
        keeper.close()
        tempfile.tempdir = before
        if then is not None:
            then()

    try:
        if role is Role.ADMIN:
            keeper.command(sql("engine_create_database"), parameters={"database": DATABASE_NAME})
        else:
            _require_rights(keeper, folder, role)
    except BaseException:
        close()
        raise
    return Database(str(folder.path), role, connect, close, texts_policy=TEXTS_POLICY, has_texts=then is None)


def _require_rights(client: Client, folder: DataFolder, role: Role) -> None:
    rows = client.query(sql("engine_grants")).result_rows
    rights = {str(grant).removesuffix(" TO default") for (grant,) in rows}
    if rights != _RIGHTS[role]:
        raise StoreError(
            f"{folder.path}: the engine runs with the rights {sorted(rights)} instead of {_GRANTS[role]!r}: a handle "
            "of this process is still open with them. Close every database of this process first."
        )


def _write_config(folder: DataFolder, role: Role, texts: Path) -> Path:
    path = folder.home.resolve() / f"engine-{role}.xml"
    template = Template(files("otel_audit.store").joinpath("engine.xml").read_text(encoding="utf-8"))
    limits = _READER_SETTINGS if role is Role.READER else {"max_execution_time": 0, "readonly": 0}
    text = template.substitute(
        config_path=escape(str(path)),
        grant=_GRANTS[role],
        texts_path=escape(f"{texts.resolve()}/"),
        texts_policy=TEXTS_POLICY,
        max_memory_bytes=_MAX_QUERY_BYTES,
        max_execution_seconds=limits["max_execution_time"],
        readonly=limits["readonly"],
    )
    folder.write_private(path, text)
    return path


@contextlib.contextmanager
def _process_state_kept() -> Iterator[None]:
    """Undo what starting the engine does to the process: signal handlers and mask, and the working directory."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if threading.current_thread() is threading.main_thread():
            for number in _RESTORED_SIGNALS:
                handler = signal.getsignal(number)
                if handler is not None:  # None: not installed by Python, so not ours to put back
                    signal.signal(number, handler)


def _lock_holder(folder: DataFolder) -> int | None:
    """Find the process that holds the engine's lock, where the system tells (Linux)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        inode = folder.lock_file.stat().st_ino
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()  # 1: FLOCK ADVISORY WRITE 4711 fe:01:1234 0 EOF
            if fields[1] == "FLOCK" and int(fields[5].rpartition(":")[2]) == inode and int(fields[4]) > 0:
                return int(fields[4])
    return None
