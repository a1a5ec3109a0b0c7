"""Open the database: embedded in a data folder, or on a ClickHouse server by URL."""

from __future__ import annotations

from pathlib import Path

from otel_audit.errors import ConfigError, StoreError
from otel_audit.store._database import DATABASE_NAME, Database, Role
from otel_audit.store.embedded import is_locked, locked_error, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.server import open_server

__all__ = ["DATABASE_NAME", "Database", "Role", "is_locked", "open_embedded", "open_for_reading", "open_server"]


def open_for_reading(data: Path | None, url: str | None, *, needs_texts: bool = True) -> Database:
    """Open a ledger to read it, also while ``otel-audit up`` has its folder open.

    Give either ``data`` (a data folder) or ``url`` (a ClickHouse server). A folder that is open in a running
    ``otel-audit up`` is read through that process. Without ``needs_texts`` a folder whose readable texts are not
    beside it, like a backup, is opened all the same: ``has_texts`` of the database tells.

    Raises ConfigError when there is nothing to read there, StoreLocked when the folder is open in a process that does
    not serve readers.
    """
    if (data is None) == (url is None):
        raise ConfigError("give either --data DIR (a data folder) or --url URL (a ClickHouse server)")
    if url is not None:
        return open_server(url, Role.READER)
    assert data is not None  # noqa: S101 - exactly one of the two is given, checked above
    folder = DataFolder(data)
    folder.identity()
    if not is_locked(folder):
        return open_embedded(folder, Role.READER, needs_texts=needs_texts)
    run = folder.read_run()
    if run is None:
        raise locked_error(folder)
    try:
        return open_server(f"http://reader:{run.token}@127.0.0.1:{run.front_port}/{DATABASE_NAME}", Role.READER)
    except StoreError as exc:
        # Left over from a process that was killed: somebody else has the folder now.
        raise locked_error(folder) from exc
