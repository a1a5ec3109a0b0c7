from __future__ import annotations

import contextlib
import gzip
import resource
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlencode

import clickhouse_connect
import pytest
import urllib3
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from otel_audit.errors import ConfigError, StoreLocked, StoreUnavailable
from otel_audit.store.database import Database, Role, open_embedded, open_for_reading, open_server
from otel_audit.store.folder import DataFolder, RunInfo
from otel_audit.store.front import MAX_QUERY_BYTES, serve_front
from otel_audit.store.migrate import migrate
from otel_audit.store.threaded_server import ThreadedServer

READ, WRITE = "read-token", "write-token"
WRITER_COLUMNS = ("origin", "epoch", "writer_id", "claimed_at")


@pytest.fixture
def front(database: Database) -> Iterator[ThreadedServer]:
    with serve_front(database, READ, writer_token=WRITE) as server:
        yield server


@pytest.fixture
def reader(front: ThreadedServer) -> Iterator[Client]:
    client = connect(front)
    yield client
    client.close()


def connect(front: ThreadedServer, token: str = READ, **options: object) -> Client:
    return clickhouse_connect.get_client(
        host="127.0.0.1", port=front.port, username="any", password=token, database="audit",
        autogenerate_session_id=False, **options,
    )  # fmt: skip


def url(front: ThreadedServer, token: str, database: str = "audit") -> str:
    return f"http://u:{token}@127.0.0.1:{front.port}/{database}"


def http(front: ThreadedServer, query: str = "", **options: object) -> urllib3.BaseHTTPResponse:
    headers = urllib3.make_headers(basic_auth=f"u:{READ}")
    headers.update(options.pop("headers", {}))
    method = str(options.pop("method", "GET"))
    fields = {"query": query} if query else {}
    return urllib3.request(
        method, f"http://127.0.0.1:{front.port}/?{urlencode(fields)}", headers=headers, retries=False, **options
    )


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        threading.Event().wait(0.02)


def test_ping_needs_no_token(front: ThreadedServer) -> None:
    """Anyone on the machine may ask whether the front is there, and nothing else."""
    answer = urllib3.request("GET", f"http://127.0.0.1:{front.port}/ping")
    assert (answer.status, answer.data) == (200, b"Ok.\n")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "194"),
        ({"Authorization": "Bearer " + READ}, 401, "194"),
        (urllib3.make_headers(basic_auth="u:wrong"), 403, "516"),
        (urllib3.make_headers(basic_auth=f"{READ}:"), 403, "516"),
        ({"Authorization": "Basic ***"}, 403, "516"),
        ({"X-ClickHouse-User": "u", "X-ClickHouse-Key": "wrong"}, 403, "516"),
        ({"X-ClickHouse-User": "u", "X-ClickHouse-Key": READ}, 200, None),
        (urllib3.make_headers(basic_auth=f"u:{READ}"), 200, None),
    ],
)
def test_authentication(front: ThreadedServer, headers: dict[str, str], status: int, code: str | None) -> None:
    """Without the token no query runs; the answers are the ones ClickHouse gives."""
    answer = urllib3.request("GET", f"http://127.0.0.1:{front.port}/?query=SELECT+1", headers=headers)
    assert answer.status == status
    assert answer.headers.get("X-ClickHouse-Exception-Code") == code
    assert (answer.data == b"1\n") == (status == 200)


def test_queries_and_parameters(reader: Client) -> None:
    """The driver's queries, bound values of every shape and column probes come out as from a server."""
    value = "it's \\ \t\n ` é %s \x01 {x:String} ; -- /*"
    rows = reader.query(
        "SELECT {s:String}, {n:Int64}, {l:Array(String)}, {o:Nullable(String)}",
        parameters={"s": value, "n": -5, "l": [value, ""], "o": None},
    ).result_rows
    assert rows == [(value, -5, [value, ""], None)]
    assert reader.query("SELECT {s:String} AS s", parameters={"s": value * 2000}).result_rows == [(value * 2000,)]
    assert reader.query("SELECT 1 AS a, 'x' AS b LIMIT 0").column_names == ("a", "b")
    assert reader.query("SELECT 1 WHERE 0").result_rows == []
    assert reader.command("SELECT 5") == 5
    assert reader.command("EXISTS audit_entries") == 1
    assert ("audit_entries",) in reader.query("SHOW TABLES").result_rows
    assert reader.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).result_rows[0][0] == 1
    assert reader.query("SELECT toDateTime64('2026-01-02 03:04:05.123456789', 9, 'UTC') AS t").result_rows
    assert reader.raw_query("SELECT 'a' AS x, 1 AS y", fmt="CSVWithNames") == b'"x","y"\n"a",1\n'


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_stream(front: ThreadedServer, compress: bool | str) -> None:
    """200,000 rows arrive complete and in order with each compression."""
    client = connect(front, compress=compress)
    query = "SELECT number, repeat(toString(number), 3) FROM numbers(200000) SETTINGS max_block_size = 20000"
    expected = 0
    with client.query_row_block_stream(query) as stream:
        for block in stream:
            for number, text in block:
                assert (number, text) == (expected, str(expected) * 3)
                expected += 1
    assert expected == 200_000
    client.close()


@pytest.mark.parametrize("fmt", ["RowBinary", "JSONEachRow", "CSV", "TSV"])
def test_raw_stream(reader: Client, fmt: str) -> None:
    """The formats that exports and verification read as bytes arrive as the engine makes them."""
    query = "SELECT number, toString(number) FROM numbers(50000) SETTINGS max_block_size = 5000"
    with reader.raw_stream(query, fmt=fmt) as stream:
        streamed = stream.read()
    assert streamed == reader.raw_query(query, fmt=fmt)
    assert len(streamed) > 300_000


def test_streams_take_constant_memory(front: ThreadedServer) -> None:
    """A result of 800 MB passes through without being held."""
    client = connect(front, compress=False)
    size = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    query = "SELECT repeat('x', 1000) FROM numbers(800000) SETTINGS max_block_size = 1000"
    with client.raw_stream(query, fmt="RowBinary") as stream:
        while chunk := stream.read(1 << 20):
            size += len(chunk)
    assert size == 800_000 * 1002
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 300 << 20
    client.close()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT nothing", 47),
        ("SELECT * FROM nothing", 60),
        ("SELECT FROM WHERE", 62),
        ("SELECT throwIf(1)", 395),
        ("SELECT sleep(3), sleep(3) SETTINGS max_execution_time = 1", 159),
        ("SHOW CREATE TABLE nothing", 390),
        ("SELECT 1; SELECT 2", 62),
        ("DROP TABLE audit_entries", 164),
        ("SELECT file('/etc/hostname')", 497),
        ("SELECT * FROM file('/etc/hostname', 'LineAsString')", 497),
        ("SELECT 1 INTO OUTFILE '/tmp/otel-audit-outfile'", 497),
        ("SELECT 1 SETTINGS readonly = 0", 164),
        ("WITH 1 AS x INSERT INTO audit_writers SELECT 'a', 1, 'b', now64(9)", None),
    ],
)
def test_errors(reader: Client, query: str, code: int | None) -> None:
    """Errors arrive with the engine's code and message, and the next query is answered as if nothing had been."""
    with pytest.raises(DatabaseError) as caught:
        reader.query(query)
    assert code is None or caught.value.code == code
    assert reader.query("SELECT 42").result_rows == [(42,)]
    assert reader.query("SELECT count() FROM audit_writers").result_rows == [(0,)]


def test_error_in_the_middle(reader: Client) -> None:
    """A failure after thousands of rows reaches the reader of rows, and the reader of raw bytes, as a failure."""
    query = (
        "SELECT repeat('x', 100), throwIf(number = 150000, 'broken here') FROM numbers(200000) "
        "SETTINGS max_block_size = 1000"
    )
    seen: list[int] = []
    with pytest.raises(StreamFailureError, match="broken here"), reader.query_row_block_stream(query) as stream:
        seen.extend(len(block) for block in stream)
    assert 0 < sum(seen) <= 150_000
    with pytest.raises(urllib3.exceptions.ProtocolError), reader.raw_stream(query, fmt="RowBinary") as raw:
        raw.read()
    assert reader.query("SELECT 42").result_rows == [(42,)]


def test_two_clients_at_once(front: ThreadedServer) -> None:
    """Streams and queries of several clients go on side by side, each with its own rows."""
    wrong: list[object] = []

    def work(number: int) -> None:
        client = connect(front)
        for _ in range(4):
            query = f"SELECT {number}, number FROM numbers(30000) SETTINGS max_block_size = 3000"
            with client.query_row_block_stream(query) as stream:
                rows = [row for block in stream for row in block]
            if rows != [(number, n) for n in range(30000)]:
                wrong.append(rows[:3])
        client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT repeat('x', 9999), sleepEachRow(0.001) FROM numbers(100000000) SETTINGS max_block_size = 100",
        "SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1",
    ],
    ids=["streaming", "before the first row"],
)
def test_client_that_goes_away(front: ThreadedServer, database: Database, query: str) -> None:
    """When a client hangs up, its query stops in the engine."""
    mark = "gone_away_test"

    def running() -> int:
        with database.client() as client:
            count = client.query(
                "SELECT count() FROM system.processes WHERE position(query, {m:String}) > 0 "
                "AND query NOT LIKE '%system.processes%'",
                parameters={"m": mark},
            ).result_rows[0][0]
        return int(count)

    head = f"GET /?query={quote(f'{query} /* x */'.replace('SELECT', f'SELECT 1 AS {mark},', 1))} HTTP/1.1\r\n"
    auth = urllib3.make_headers(basic_auth=f"u:{READ}")["authorization"]
    with socket.create_connection(("127.0.0.1", front.port)) as connection:
        connection.sendall(f"{head}Host: x\r\nAuthorization: {auth}\r\n\r\n".encode())
        until(lambda: running() == 1)
    until(lambda: running() == 0)


def test_too_many_bytes(front: ThreadedServer) -> None:
    """A request larger than the limit is refused, also when it is small while compressed."""
    body = b"SELECT 1 -- " + b"x" * MAX_QUERY_BYTES
    assert http(front, method="POST", body=body).status == 413
    packed = http(front, method="POST", body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert packed.status == 413
    broken = http(front, method="POST", body=b"no gzip", headers={"Content-Encoding": "gzip"})
    assert broken.status == 400


def test_form(front: ThreadedServer) -> None:
    """Query and parameters may come as a form, as the driver sends long ones; files may not."""
    fields = {"query": "SELECT {p:String}", "param_p": "it''s\\n\u00e9"}
    answer = http(front, method="POST", fields=fields)
    assert (answer.status, answer.data.decode()) == (200, "it\\'\\'s\\né\n")
    external = http(front, method="POST", fields={"query": "SELECT 1", "t": ("t.csv", b"1")})
    assert external.status == 400


@pytest.mark.parametrize("body", [b"\xff", b"SELECT 1\x00", b"SELECT '\xc3"])
def test_garbage(front: ThreadedServer, body: bytes) -> None:
    """Bytes that are no query are a 400, and the front goes on."""
    assert http(front, method="POST", body=body).status == 400
    assert http(front, "SELECT 1").data == b"1\n"


def test_as_a_server(front: ThreadedServer, database: Database) -> None:
    """With the writer's token it is a ClickHouse server: migrate, insert, read back, through open_server."""
    with open_server(url(front, WRITE), Role.ADMIN) as admin:
        assert migrate(admin) == []

    def row(epoch: int) -> bytes:
        return b"\x01a" + epoch.to_bytes(8, "little") + b"\x0a\n\nDROP x;;" + bytes(8)

    with open_server(url(front, WRITE), Role.WRITER) as writer:
        writer.insert_rowbinary("audit_writers", WRITER_COLUMNS, row(0) + row(1) + row(2))
        with writer.client() as client:
            for epoch, compression in enumerate(("gzip", "lz4", "zstd"), start=3):
                packed = clickhouse_connect.driver.compression.get_compressor(compression)
                block = packed.compress_block(row(epoch))
                block += packed.flush() or b""
                client.raw_insert("audit_writers", WRITER_COLUMNS, block, fmt="RowBinary", compression=compression)
            client.raw_insert("`audit`.`audit_writers`", WRITER_COLUMNS, row(6), fmt="RowBinary")
            client.insert(
                "audit_writers",
                [["a", 7, "\n\nDROP x;;", 0]],
                column_names=WRITER_COLUMNS,
                column_type_names=("String", "UInt64", "String", "DateTime64(9, 'UTC')"),
            )
    with open_server(url(front, READ), Role.READER) as reader, reader.client() as client:
        rows = client.query("SELECT origin, epoch, writer_id FROM audit_writers ORDER BY epoch").result_rows
    assert rows == [("a", epoch, "\n\nDROP x;;") for epoch in range(8)]


def test_a_new_database(front: ThreadedServer) -> None:
    """ADMIN makes the database that the URL names; others are told that it has no schema."""
    with pytest.raises(ConfigError, match="schema is not current"):
        open_server(url(front, WRITE, "fresh"), Role.WRITER)
    with open_server(url(front, WRITE, "fresh"), Role.ADMIN) as admin:
        try:
            assert [migration.version for migration in migrate(admin)][:1] == [1]
            open_server(url(front, WRITE, "fresh"), Role.WRITER).close()
        finally:
            with admin.client() as client:
                client.command("DROP DATABASE fresh")


def test_an_insert_is_sent_once(front: ThreadedServer) -> None:
    """An insert whose connection breaks after the server did it is not repeated by the driver behind our back."""
    inserts: list[str] = []

    class Relay(BaseHTTPRequestHandler):
        """Passes requests on, but hangs up on inserts without an answer."""

        def do_POST(self) -> None:
            if "INSERT" in self.path:
                inserts.append(self.path)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
                self.connection.close()
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            target = f"http://127.0.0.1:{front.port}{self.path}"
            answer = urllib3.request("POST", target, body=body, headers=dict(self.headers), decode_content=False)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in {"transfer-encoding", "content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError):  # of the connection that it has cut itself
                super().handle()

    relay = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=relay.serve_forever)
    thread.start()
    try:
        address = f"http://u:{WRITE}@127.0.0.1:{relay.server_port}/audit"
        with open_server(address, Role.WRITER) as writer, pytest.raises(StoreUnavailable):
            writer.insert_rowbinary("audit_writers", WRITER_COLUMNS, b"\x01a" + bytes(8) + b"\x00" + bytes(8))
    finally:
        relay.shutdown()
        thread.join()
        relay.server_close()
    assert len(inserts) == 1


def test_reading_while_the_folder_is_open(data_folder: DataFolder) -> None:
    """Readers of a locked folder come in over the front that its run file names; a stale one is told as locked."""
    with (
        open_embedded(data_folder, Role.WRITER) as database,
        serve_front(database, READ) as front,
    ):
        data_folder.write_run(RunInfo(1, front.port, READ, 0, 0, 0))
        with open_for_reading(data_folder.path, None) as reader, reader.client() as client:
            assert client.query("SELECT count() FROM audit_entries").result_rows == [(0,)]
            assert reader.place == f"http://127.0.0.1:{front.port}"
        data_folder.write_run(RunInfo(1, front.port, "old-token", 0, 0, 0))
        with pytest.raises(StoreLocked):
            open_for_reading(data_folder.path, None)


def test_functions_are_sorted(front: ThreadedServer, reader: Client) -> None:
    """Every table function that the front lets through reads nothing from outside; a new one in the engine is not let
    through before someone has looked at it."""
    names = [name for (name,) in reader.query("SELECT name FROM system.table_functions").result_rows]
    assert "eval" in names
    passed = set()
    for name in names:
        answer = http(front, f"EXPLAIN SELECT * FROM {name}()")
        if answer.headers.get("X-ClickHouse-Exception-Code") != "497" or b"is not allowed here" not in answer.data:
            passed.add(name.lower())
    assert passed == {
        "format", "generateseries", "generate_series", "merge", "null", "numbers", "numbers_mt", "values", "view",
        "zeros", "zeros_mt",
    }  # fmt: skip


def test_stops_with_streams_open(database: Database) -> None:
    """Closing the front while a stream is read ends in seconds and leaves no query behind."""
    server = serve_front(database, READ)
    client = connect(server, send_receive_timeout=20)
    query = "SELECT repeat('x', 9999), sleepEachRow(0.001) FROM numbers(100000000) SETTINGS max_block_size = 100"
    began = threading.Event()

    def read() -> None:
        try:
            with client.query_row_block_stream(query) as stream:
                for _ in stream:
                    began.set()
        except (DatabaseError, StreamFailureError, clickhouse_connect.driver.exceptions.OperationalError):
            pass  # the stream is cut, which is what happens to it here

    thread = threading.Thread(target=read)
    thread.start()
    assert began.wait(20)
    server.close()
    thread.join(20)
    assert not thread.is_alive()

    def processes() -> int:
        with database.client() as asking:
            return int(asking.query("SELECT count() FROM system.processes").result_rows[0][0])

    until(lambda: processes() == 1)
