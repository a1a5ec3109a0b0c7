from __future__ import annotations

import pytest

from otel_audit.errors import ConfigError, StoreError
from otel_audit.store.database import Database, Role, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.migrate import Migration, migrate, migrations, pending

FIRST = Migration(1, "first", "-- one; two\nCREATE TABLE IF NOT EXISTS a (x String DEFAULT ';') ENGINE = Memory;")
CRASHING = Migration(
    2,
    "second",
    "CREATE TABLE IF NOT EXISTS b (x UInt8) ENGINE = Memory;\nCREATE TABLE IF NOT EXISTS c AS b ENGINE = Missing;",
)
SECOND = Migration(2, "second", CRASHING.text.replace("Missing", "Memory"))


def tables(database: Database) -> set[str]:
    with database.client() as client:
        return {name for (name,) in client.query("SHOW TABLES").result_rows}


def recorded(database: Database) -> list[tuple[int, str, str]]:
    with database.client() as client:
        return [tuple(row) for row in client.query("SELECT version, name, sha256 FROM audit_migrations").result_rows]


def test_migrations_in_steps(data_folder: DataFolder) -> None:
    """Each file is applied once and recorded; a crash in the middle of one is mended by running it again; a file
    that changed since, or that this version does not know, is refused."""
    with open_embedded(data_folder, Role.ADMIN) as database:
        assert migrate(database, [FIRST]) == [FIRST]
        assert migrate(database, [FIRST]) == []
        assert recorded(database) == [(1, "first", FIRST.sha256_hex)]

        with pytest.raises(StoreError, match="Missing"):
            migrate(database, [FIRST, CRASHING])
        assert tables(database) == {"a", "b", "audit_migrations"}
        assert [migration.version for migration, *_ in [(m,) for m in pending(database, [FIRST, SECOND])]] == [2]
        assert migrate(database, [FIRST, SECOND]) == [SECOND]
        assert tables(database) == {"a", "b", "c", "audit_migrations"}

        changed = Migration(1, "first", FIRST.text + " ")
        with pytest.raises(ConfigError, match=r"another 0001_first\.sql"):
            migrate(database, [changed, SECOND])
        with pytest.raises(ConfigError, match="has version 2, this otel-audit knows up to 1"):
            migrate(database, [FIRST])


def test_opening_to_write_migrates(data_folder: DataFolder) -> None:
    """A new folder opened as WRITER has the current schema, and a WRITER whose schema is newer is refused."""
    with open_embedded(data_folder, Role.WRITER) as database:
        assert recorded(database) == [(m.version, m.name, m.sha256_hex) for m in migrations()]
        database.insert_rowbinary(
            "audit_migrations",
            ("version", "name", "sha256", "applied_at"),
            (99).to_bytes(4, "little") + b"\x06future" + b"\x01x" + bytes(8),
        )
    for role in (Role.WRITER, Role.READER):
        with pytest.raises(ConfigError, match="schema has version 99"):
            open_embedded(data_folder, role)


def test_a_reader_does_not_migrate(data_folder: DataFolder) -> None:
    """A READER of a folder without the current schema is told who migrates."""
    open_embedded(data_folder, Role.ADMIN).close()
    with pytest.raises(ConfigError, match=r"missing: 0001_ledger\.sql.*otel-audit up"):
        open_embedded(data_folder, Role.READER)
