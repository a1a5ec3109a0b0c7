"""Bring a database to the schema of this version: numbered ``.sql`` files, applied once and recorded.

A file is recorded after its last statement. Every statement must therefore be harmless when it runs again
(``IF NOT EXISTS``): a crash in the middle of a file is mended by running the file once more.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from clickhouse_connect.driver.exceptions import Error

from otel_audit.errors import ConfigError, StoreError
from otel_audit.store._database import Database
from otel_audit.store._sql_tokens import statements
from otel_audit.store.sql_text import sql

_UNKNOWN_DATABASE: Final = 81  # ClickHouse error code
_FILE_NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: ``0001_ledger.sql`` has version 1 and name ``ledger``."""

    version: int
    name: str
    text: str

    @property
    def sha256_hex(self) -> str:
        """What tells whether the file is still the one that was applied."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return f"{self.version:04d}_{self.name}.sql"


@cache
def migrations() -> tuple[Migration, ...]:
    """Return the migrations of this version, in order."""
    folder = files("otel_audit.store").joinpath("migrations")
    found = sorted(
        (
            Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
            for file in folder.iterdir()
            if (match := _FILE_NAME.fullmatch(file.name))
        ),
        key=lambda migration: migration.version,
    )
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ConfigError("store/migrations is not numbered 0001, 0002, ... : install otel-audit again")
    return tuple(found)


def migrate(database: Database, known: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is missing and return it. ``database`` must be open as ADMIN; running it again is harmless.

    Raises ConfigError when the database is newer than this version or was made by other files than these.
    """
    if not _has_record(database):
        with database.client() as client:
            client.command(sql("engine_create_migrations"))
    missing = pending(database, known)
    for migration in missing:
        with database.client() as client:
            for statement in statements(migration.text):
                # Only where it is named: without a server-side parameter the driver would format the text itself.
                named = "{texts_policy:String}" in statement
                client.command(statement, parameters={"texts_policy": database.texts_policy} if named else None)
            record = {
                "version": migration.version,
                "name": migration.name,
                "sha256": migration.sha256_hex,
                "applied_unix_nano": time.time_ns(),
            }
            client.command(sql("engine_record_migration"), parameters=record)
    return missing


def pending(database: Database, known: Sequence[Migration] | None = None) -> list[Migration]:
    """Return the migrations that ``database`` lacks. Raises ConfigError like ``migrate``."""
    known = migrations() if known is None else known
    applied = _applied(database)
    newest = max(applied, default=0)
    if newest > len(known):
        raise ConfigError(
            f"{database.place}: its schema has version {newest}, this otel-audit knows up to {len(known)}. "
            "Use the newer otel-audit that it was migrated with."
        )
    for migration in known:
        if applied.get(migration.version, migration.sha256_hex) != migration.sha256_hex:
            raise ConfigError(
                f"{database.place}: was migrated with another {migration.file_name} than the one of this installation. "
                "Install the released otel-audit again; released migrations never change."
            )
    return [migration for migration in known if migration.version not in applied]


def require_current(database: Database) -> None:
    """Raise ConfigError unless every migration is applied."""
    if missing := pending(database):
        names = ", ".join(migration.file_name for migration in missing)
        raise ConfigError(
            f"{database.place}: its schema is not current (missing: {names}). Start `otel-audit up` (embedded) "
            "or `otel-audit serve --url` (server) once with rights to create tables: it migrates."
        )


def _has_record(database: Database) -> bool:
    try:
        with database.client() as client:
            return bool(client.query(sql("engine_has_migrations")).result_rows[0][0])
    except StoreError as exc:
        if isinstance(exc.__cause__, Error) and exc.__cause__.code == _UNKNOWN_DATABASE:
            return False
        raise


def _applied(database: Database) -> dict[int, str]:
    if not _has_record(database):
        return {}
    with database.client() as client:
        rows = client.query(sql("engine_applied_migrations")).result_rows
    return {version: sha256_hex for version, _, sha256_hex in rows}
