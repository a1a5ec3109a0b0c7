from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from otel_audit.errors import ConfigError, StoreError, StoreLocked
from otel_audit.ledger.schema import STORED_COLUMNS
from otel_audit.store.database import Database, Role, open_embedded, open_for_reading
from otel_audit.store.embedded import is_locked
from otel_audit.store.folder import DataFolder, RunInfo

WRITER_COLUMNS = ("origin", "epoch", "writer_id", "claimed_at")
REFUSED = """
    ALTER TABLE audit_entries DELETE WHERE 1
    ALTER TABLE audit_entries UPDATE task_id = '' WHERE 1
    ALTER TABLE audit_entries DROP PARTITION ID 'all'
    ALTER TABLE audit_entries DETACH PARTITION ID 'all'
    ALTER TABLE audit_entries DROP COLUMN task_id
    ALTER TABLE audit_entries MODIFY TTL recorded_at + INTERVAL 1 SECOND
    ALTER TABLE audit_entries MODIFY SETTING fsync_after_insert = 0
    ALTER TABLE audit_entries FREEZE
    DELETE FROM audit_entries WHERE 1
    UPDATE audit_entries SET task_id = '' WHERE 1
    TRUNCATE TABLE audit_entries
    TRUNCATE DATABASE audit
    DROP TABLE audit_entries
    DROP DATABASE audit
    DETACH TABLE audit_entries
    RENAME TABLE audit_entries TO gone
    EXCHANGE TABLES audit_entries AND audit_content
    CREATE OR REPLACE TABLE audit_entries (x UInt8) ENGINE = Memory
    CREATE TABLE other (x UInt8) ENGINE = Memory
    CREATE VIEW seen AS SELECT 1
    OPTIMIZE TABLE audit_entries FINAL
    SYSTEM STOP MERGES audit.audit_entries
    GRANT ALL ON *.* TO default
    SELECT * FROM file('/etc/hostname', 'LineAsString')
    SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')
    SELECT * FROM remote('127.0.0.1', system.one)
    SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'CSV', 'a String')
    INSERT INTO FUNCTION file('/tmp/otel-audit-test', 'CSV', 'a UInt8') SELECT 1
    BACKUP TABLE audit_entries TO Disk('default', 'x')
"""
HOLD = """
    import sys
    from otel_audit.store.database import Role, open_embedded
    from otel_audit.store.folder import DataFolder
    database = open_embedded(DataFolder(sys.argv[1]), Role.WRITER)
    print("open", flush=True)
    sys.stdin.read()
    database.close()
"""
WRITE_FOR_EVER = """
    import sys
    from otel_audit.store.database import Role, open_embedded
    from otel_audit.store.folder import DataFolder
    database = open_embedded(DataFolder(sys.argv[1]), Role.WRITER)
    for epoch in range(1_000_000):
        row = b"\\x01a" + epoch.to_bytes(8, "little") + b"\\x00" + bytes(8)
        database.insert_rowbinary("audit_writers", ("origin", "epoch", "writer_id", "claimed_at"), row)
        print(epoch, flush=True)
"""


def python(script: str, folder: DataFolder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def claim(database: Database, epoch: int, writer: bytes = b"w") -> None:
    row = b"\x01a" + epoch.to_bytes(8, "little") + bytes([len(writer)]) + writer + bytes(8)
    database.insert_rowbinary("audit_writers", WRITER_COLUMNS, row)


def epochs(database: Database) -> list[int]:
    with database.client() as client:
        return [epoch for (epoch,) in client.query("SELECT epoch FROM audit_writers ORDER BY epoch").result_rows]


def test_a_writer_can_only_read_and_append(data_folder: DataFolder) -> None:
    """A WRITER database selects and inserts; everything that changes or removes is refused by the engine itself."""
    with open_embedded(data_folder, Role.WRITER) as database:
        claim(database, 1)
        assert epochs(database) == [1]
        for statement in filter(None, map(str.strip, REFUSED.splitlines())):
            with pytest.raises(StoreError, match="ACCESS_DENIED"), database.client() as client:
                client.command(statement)
        with database.client() as client:
            encoded = client.query(
                "SELECT formatRow('RowBinary', origin, epoch, writer_id, claimed_at) FROM audit_writers",
                query_formats={"String": "bytes"},
            ).result_rows
    assert encoded == [(b"\x01a" + (1).to_bytes(8, "little") + b"\x01w" + bytes(8),)]


def test_a_reader_can_only_read(data_folder: DataFolder) -> None:
    """Neither a READER database nor the readers of a WRITER database can insert or lift their own limits."""
    with open_embedded(data_folder, Role.WRITER) as database, database.reader() as readers:
        with pytest.raises(StoreError, match="READONLY"):
            claim(readers, 1)
        with pytest.raises(StoreError, match="READONLY"), readers.client() as client:
            client.command("SET readonly = 0")
        assert epochs(readers) == []
    with open_embedded(data_folder, Role.READER) as database:
        with pytest.raises(StoreError, match=r"ACCESS_DENIED|READONLY"):
            claim(database, 1)
        assert epochs(database) == []


def test_one_process_at_a_time(data_folder: DataFolder) -> None:
    """A second process is told who has the folder open and what to do; when that process ends, the folder is free."""
    holder = python(HOLD, data_folder)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "open\n"
        assert is_locked(data_folder)
        with pytest.raises(StoreLocked, match=rf"process {holder.pid} .*Wait until"):
            open_embedded(data_folder, Role.WRITER)
        with pytest.raises(StoreLocked, match="Wait until"):
            open_for_reading(data_folder.path, None)
        data_folder.write_run(RunInfo(holder.pid, 1, "t", 0, 0, 0))
        with pytest.raises(StoreLocked, match=rf"process {holder.pid} \(otel-audit up\)"):
            open_embedded(data_folder, Role.READER)
    finally:
        holder.communicate()
    assert not is_locked(data_folder)
    with open_for_reading(data_folder.path, None) as database:  # the run file that was left behind is ignored
        assert epochs(database) == []


def test_the_same_process_twice(data_folder: DataFolder) -> None:
    """Opening a folder that this process has open says so."""
    with (
        open_embedded(data_folder, Role.WRITER),
        pytest.raises(StoreLocked, match="this process has the data folder open already"),
    ):
        open_embedded(data_folder, Role.WRITER)


def test_another_folder_in_the_same_process(data_folder: DataFolder, tmp_path: Path) -> None:
    """The engine's limit of one folder a process comes out as our error, and the open folder goes on working."""
    with open_embedded(data_folder, Role.WRITER) as database:
        with pytest.raises(StoreError, match="One process can have one data folder open"):
            open_embedded(DataFolder(tmp_path / "other"), Role.WRITER)
        claim(database, 3)
        assert epochs(database) == [3]


def test_killed_while_writing(data_folder: DataFolder) -> None:
    """After kill -9 in the middle of inserts the lock is gone, and every acknowledged row is there, without a gap."""
    writer = python(WRITE_FOR_EVER, data_folder)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 5:
            break
    writer.kill()
    acknowledged = [int(line) for line in writer.stdout]
    writer.wait()
    with open_embedded(data_folder, Role.WRITER) as database:
        found = epochs(database)
    assert found == list(range(len(found)))
    assert len(found) > max(acknowledged, default=5)


def test_rows_with_blank_lines_arrive_whole(database: Database) -> None:
    """Bytes that end inline data (0A 0A) or look like SQL are only data."""
    texts = [b"\n\n", b"\n\nTRUNCATE TABLE audit_writers", b"';\n\n-- \x00\xff", b"\\N", b""]
    for epoch, text in enumerate(texts):
        claim(database, epoch, text)
    with database.client() as client:
        rows = client.query(
            "SELECT writer_id FROM audit_writers ORDER BY epoch", query_formats={"String": "bytes"}
        ).result_rows
    assert [text for (text,) in rows] == texts


def test_temporary_files_stay_in_the_folder(data_folder: DataFolder) -> None:
    """Rows on their way to the engine lie in a private directory of the folder, and only while it is open."""
    before = tempfile.tempdir
    with open_embedded(data_folder, Role.WRITER):
        assert tempfile.gettempdir() == str(data_folder.tmp.resolve())
    assert tempfile.tempdir == before


def test_opening_leaves_the_process_as_it_was(data_folder: DataFolder) -> None:
    """Signal handlers, signal mask and working directory are those of before."""
    script = """
        import os, signal, sys
        from pathlib import Path
        def caught():
            lines = Path("/proc/self/status").read_text().splitlines()
            values = {line[:6]: int(line.split()[1], 16) for line in lines if line[:6] in ("SigBlk", "SigCgt")}
            ours = sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTSTP, signal.SIGHUP))
            return values["SigBlk"], values["SigCgt"] & ours, os.getcwd()
        handler = lambda *_: print("told", flush=True)
        signal.signal(signal.SIGTERM, handler)
        before = caught()
        from otel_audit.store.database import Role, open_embedded
        from otel_audit.store.folder import DataFolder
        with open_embedded(DataFolder(sys.argv[1]), Role.WRITER):
            assert caught() == before, (caught(), before)
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                print("interrupted")
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("reads /proc, which this system has not")
    done = python(script, data_folder)
    out, _ = done.communicate()
    assert (out, done.returncode) == ("told\ninterrupted\n", 0)


def test_path_that_would_lose_its_configuration(data_folder: DataFolder) -> None:
    """A path that the engine would misread (and then open with full rights) is refused."""
    with pytest.raises(ConfigError, match="can not use a path with '&'"):
        open_embedded(DataFolder(data_folder.path.with_name("r&d")), Role.WRITER)


def test_path_with_spaces_and_accents(data_folder: DataFolder) -> None:
    """Other unusual paths work, with the restriction in force."""
    folder = DataFolder(data_folder.path.with_name("prüf daten <1>"))
    with open_embedded(folder, Role.WRITER) as database:
        claim(database, 1)
        with pytest.raises(StoreError, match="ACCESS_DENIED"), database.client() as client:
            client.command("TRUNCATE TABLE audit_writers")


def test_rights_are_checked_after_opening(data_folder: DataFolder) -> None:
    """A leftover handle with more rights is noticed: the engine would give them to every later handle."""
    import clickhouse_connect

    open_embedded(data_folder, Role.WRITER).close()
    leftover = clickhouse_connect.get_client(
        interface="chdb",
        path=str(data_folder.path),
        chdb_options={"config-file": str(data_folder.home.resolve() / "engine-admin.xml")},
    )
    try:
        data_folder.lock_file.unlink()  # else the lock tells first
        with pytest.raises(StoreError, match="engine runs with the rights"):
            open_embedded(data_folder, Role.WRITER)
    finally:
        leftover.close()


def test_reading_a_folder_without_a_ledger(data_folder: DataFolder) -> None:
    """Readers never begin a ledger."""
    with pytest.raises(ConfigError, match="no ledger in this folder"):
        open_for_reading(data_folder.path, None)
    assert not data_folder.path.exists()


@pytest.mark.parametrize("arguments", [(None, None), (Path("x"), "http://x")])
def test_reading_needs_one_place(arguments: tuple[Path | None, str | None]) -> None:
    """Either a folder or a URL."""
    with pytest.raises(ConfigError, match="give either"):
        open_for_reading(*arguments)


def test_stored_columns_are_the_schema(database: Database) -> None:
    """audit_entries has exactly the columns that the hash binds, in order and type, then hash."""
    with database.client() as client:
        rows = client.query(
            "SELECT name, type FROM system.columns "
            "WHERE database = 'audit' AND table = 'audit_entries' ORDER BY position"
        ).result_rows
    assert rows == [(column.name, str(column.type)) for column in STORED_COLUMNS]


def test_nothing_forks() -> None:
    """The engine hangs in a forked child, so nothing in the package forks (subprocess and spawn are fine)."""
    import otel_audit

    sources = Path(otel_audit.__file__).parent.rglob("*.py")
    pattern = re.compile(r"os\.fork|forkserver|(get_context|set_start_method)\(.fork")
    assert [path.name for path in sources if pattern.search(path.read_text())] == []


def test_interrupted_while_reading(database: Database) -> None:
    """A SIGINT between two chunks of a stream discards the client, and the next query sees only its own rows."""

    def interrupted() -> None:
        with (
            database.client() as client,
            client.query_row_block_stream("SELECT * FROM numbers(3000000)") as stream,
        ):
            for _ in stream:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with database.client() as client:
        assert client.query("SELECT 42").result_rows == [(42,)]
