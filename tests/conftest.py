"""Fixtures shared by all tests.

A process can have one data folder open at a time, and opening one costs a second. So tests share an engine
(``database``: emptied before each test), and a test that needs a folder of its own (``data_folder``) has the
shared one closed first; it is opened again for the next test that wants it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # the engine is loaded by the tests that use it, and by no others
    from otel_audit.store.database import Database
    from otel_audit.store.folder import DataFolder

_EMPTIED = ("audit_entries", "audit_content", "audit_sealed", "audit_tiles", "audit_checkpoints", "audit_writers")


@pytest.fixture(autouse=True)
def spool_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The spool of this test, and of the processes it starts: never the user's own.

    What a test leaves behind is not delivered while the next ones run: its failures would be counted in theirs.
    """
    folder = tmp_path_factory.mktemp("spool")
    monkeypatch.setenv("OTEL_AUDIT_SPOOL_DIR", str(folder))
    yield folder
    if setup := sys.modules.get("otel_audit.instrumentation.sdk.setup"):
        for pipeline in [*setup._pipelines.values(), *setup.audit_pipelines()]:
            pipeline.shutdown()
    if faults := sys.modules.get("otel_audit.instrumentation._faults"):
        faults._counts.clear()  # of the last try, too


class SharedEngine:
    """The one engine of this test process, open as ADMIN so that tests can tamper."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: Database | None = None

    def opened(self) -> Database:
        from otel_audit.store.database import Role, open_embedded
        from otel_audit.store.folder import DataFolder
        from otel_audit.store.migrate import migrate

        if self._database is None:
            self._database = open_embedded(DataFolder(self._path), Role.ADMIN)
            migrate(self._database)
        return self._database

    def closed(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedEngine]:
    engine = SharedEngine(tmp_path_factory.mktemp("engine") / "data")
    yield engine
    engine.closed()


@pytest.fixture
def database(shared_engine: SharedEngine) -> Database:
    """An empty, migrated database with full rights. Use it alone, or with nothing else that opens an engine."""
    opened = shared_engine.opened()
    with opened.client() as client:
        for table in _EMPTIED:
            client.command(f"TRUNCATE TABLE {table}")
    return opened


@pytest.fixture
def data_folder(shared_engine: SharedEngine, tmp_path: Path) -> DataFolder:
    """A data folder that does not exist yet, for the test to create and open; close what you open."""
    from otel_audit.store.folder import DataFolder

    shared_engine.closed()
    return DataFolder(tmp_path / "data")
