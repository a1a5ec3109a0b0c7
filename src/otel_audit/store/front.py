"""ClickHouse over HTTP for the other processes of the machine, from the one process that has the engine open.

It speaks as much of ClickHouse's HTTP interface as clickhouse-connect needs: ``GET /ping``, ``GET`` and ``POST /``
with the query in the URL, the body or a form, bound parameters, settings, compression, streamed results, and errors
as ClickHouse sends them, also in the middle of a result. One statement a request; see ``_front_sql`` for what is
refused. Readers authenticate with a token as password, under any user name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Generator
from functools import partial
from io import BytesIO
from typing import Any, Final, TypeVar

import anyio
from clickhouse_connect.driver._backend.models import QueryRuntime
from clickhouse_connect.driver.exceptions import Error
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from otel_audit.errors import StoreError
from otel_audit.store._database import DATABASE_NAME, Database
from otel_audit.store._front_http import (
    AUTHENTICATION_FAILED,
    REQUIRED_PASSWORD,
    TOO_MANY_QUERIES,
    UNKNOWN,
    Call,
    error_status,
    error_text,
    exception_block,
    presented_token,
    query_text,
    read_call,
    same_token,
)
from otel_audit.store._front_sql import (
    ALLOWED_TABLE_FUNCTIONS,
    Insert,
    Refused,
    Statement,
    read_insert,
    read_statement,
)
from otel_audit.store.sql_text import sql
from otel_audit.store.threaded_server import ThreadedServer

MAX_QUERY_BYTES: Final = 1 << 20
MAX_INSERT_BYTES: Final = 256 << 20
_CHUNK_BYTES: Final = 128 << 10  # the engine's stream hands out no less, so this is also how late a row may be
_MAX_RUNNING: Final = 16
_MAX_WAIT_SECONDS: Final = 30.0
_CANCEL_AGAIN_SECONDS: Final = 0.5
_STREAMED: Final = {name.lower() for name in ("Native", "RowBinary", "JSONEachRow", "CSV", "TSV", "TabSeparated")}
_TELLS_ERRORS: Final = "native"  # the driver looks for the exception block in this format
# Other formats have a frame around the whole result, and SHOW and the like are small: made in memory.
_WHOLE_RESULT_LIMITS: Final = {"max_result_bytes": str(64 << 20), "result_overflow_mode": "throw"}
_UNKNOWN_DATABASE: Final = 81

_T = TypeVar("_T")
_logger: Final = logging.getLogger(__name__)


def front_app(database: Database, token: str, *, writer_token: str | None = None) -> Starlette:
    """Make the ASGI app. ``token`` admits readers.

    ``writer_token`` admits a caller who may run any single statement that ``database`` has rights for, and insert
    rows (Native and RowBinary): with it the front stands for a ClickHouse server. Serve the app on loopback only.
    """
    front = _Front(database, token, writer_token)
    return Starlette(
        routes=[
            Route("/ping", _ping, methods=["GET"]),
            Route("/", front, methods=["GET", "POST"]),
        ],
        lifespan=front.lifespan,
    )


def serve_front(database: Database, token: str, *, writer_token: str | None = None, port: int = 0) -> ThreadedServer:
    """Serve the front on 127.0.0.1 from a thread of its own; ``port`` 0 takes any free one. Close it when done."""
    app = front_app(database, token, writer_token=writer_token)
    # An answer that fails half-way is cut off, which uvicorn would report as our fault.
    return ThreadedServer(app, port=port, log_level="critical").start()


async def _ping(_: Request) -> PlainTextResponse:
    return PlainTextResponse("Ok.\n")


class _CutOff(Exception):
    """Ends an answer without its last chunk, so that those who read it as bytes notice the error, too."""


class _Front:
    """The endpoint. Runs on one event loop; the engine runs in threads, each query with a client of its own."""

    def __init__(self, database: Database, token: str, writer_token: str | None) -> None:
        self._database = database
        self._readers = database.reader()
        self._token = token
        self._writer_token = writer_token
        self._running = asyncio.Semaphore(_MAX_RUNNING)
        self._threads = anyio.CapacityLimiter(2 * _MAX_RUNNING)  # a second thread each, to cancel
        self._refused: frozenset[str] = frozenset()
        self._timezone = "UTC"

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> Any:
        await self._in_thread(self._learn)
        try:
            yield
        finally:
            await self._in_thread(self._readers.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = _Answer(send, self._timezone)
        try:
            may_write = self._admitted(request)
            max_bytes = MAX_INSERT_BYTES if may_write else MAX_QUERY_BYTES
            call = await read_call(request, max_bytes, may_write=may_write)
            if not call.query and not call.body.strip():
                await answer.whole(200, b"Ok.\n")
                return
            await self._run(call, receive, answer)
        except Refused as exc:
            await answer.error(exc.code, error_text(exc.code, str(exc)))
        except StoreError as exc:
            code = _code(exc)
            await answer.error(code, error_text(code, str(exc.__cause__ or exc)))
        except _CutOff:
            raise
        except Exception:
            _logger.exception("the front failed on a request")
            raise

    def _learn(self) -> None:
        with self._readers.client() as client:
            rows = client.query(sql("front_refused_functions")).result_rows
            self._timezone = str(client.server_tz)
        self._refused = frozenset(str(name) for (name,) in rows) - ALLOWED_TABLE_FUNCTIONS

    def _admitted(self, request: Request) -> bool:
        """Whether the caller may write. Raises Refused for who may do nothing."""
        token = presented_token(request)
        if token is None:
            raise Refused(
                "Authentication failed: send the token as password (Basic, X-ClickHouse-Key)", REQUIRED_PASSWORD
            )
        writer = self._writer_token is not None and same_token(token, self._writer_token)
        if not writer and not same_token(token, self._token):
            raise Refused("Authentication failed: wrong token", AUTHENTICATION_FAILED)
        return writer

    async def _run(self, call: Call, receive: Receive, answer: _Answer) -> None:
        """Run the call, and stop it in the engine when the client goes away."""
        mark = f"/* front {secrets.token_hex(8)} */"
        answer.query_id = mark[3:-3]
        work = self._work(call, mark, answer)
        try:
            async with asyncio.timeout(_MAX_WAIT_SECONDS):
                await self._running.acquire()
        except TimeoutError as exc:
            work.close()
            raise Refused("Too many simultaneous queries. Try again in a moment", TOO_MANY_QUERIES) from exc
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            answer.gone = not working.done()
            while not working.done():
                await self._in_thread(partial(self._cancel, mark))
                await asyncio.wait({working}, timeout=_CANCEL_AGAIN_SECONDS)
            if answer.gone:
                working.exception()  # nobody is there to hear it
            else:
                working.result()
        finally:
            leaving.cancel()
            self._running.release()
            if not working.done():  # the server stops
                working.cancel()
                await self._in_thread(partial(self._cancel, mark))

    async def _work(self, call: Call, mark: str, answer: _Answer) -> None:
        if call.may_write and (insert := _insert_of(call)) is not None:
            summary = await self._in_thread(partial(self._insert, call, insert))
            await answer.whole(200, b"", {"X-ClickHouse-Summary": summary})
            return
        statement = read_statement(query_text(call), self._refused, may_write=call.may_write)
        database = call.database or DATABASE_NAME
        if not call.may_write and database != DATABASE_NAME:
            raise Refused(f"Database {database[:40]} does not exist", _UNKNOWN_DATABASE)
        if statement.reads:
            chunks = self._rows(statement, call, mark)
            await answer.stream(_Pieces(chunks), statement.format or _default_format(call), call, self._in_thread)
            return
        fmt, body = await self._in_thread(partial(self._command, f"{mark} {statement.text}", call))
        await answer.whole(200, body, {"X-ClickHouse-Format": fmt} if fmt else {})

    def _rows(self, statement: Statement, call: Call, mark: str) -> Generator[bytes]:
        fmt = statement.format or _default_format(call)
        settings = dict(call.settings)
        streamed = statement.streams and fmt.lower() in _STREAMED
        if not streamed:
            settings |= _WHOLE_RESULT_LIMITS
        text = f"{mark} {statement.with_settings(settings, fmt)}"
        runtime = QueryRuntime(database=call.database or DATABASE_NAME, settings={})
        with (self._database if call.may_write else self._readers).client() as client:
            # The bindings are as the driver at the other end wrote them; its public calls would escape them again.
            backend: Any = client._backend  # type: ignore[attr-defined]  # noqa: SLF001
            if not streamed:
                yield backend.execute_raw_query(text, call.bindings, None, runtime, None)
                return
            with backend.execute_raw_stream(text, call.bindings, None, runtime, None) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    yield chunk

    def _command(self, text: str, call: Call) -> tuple[str | None, bytes]:
        runtime = QueryRuntime(database=call.database or DATABASE_NAME, settings=call.settings)
        with self._database.client() as client:
            backend: Any = client._backend  # type: ignore[attr-defined]  # noqa: SLF001 - as in _rows
            done = backend.execute_command(text, call.bindings, None, None, runtime, None)
            return done.result_format, done.body

    def _insert(self, call: Call, insert: Insert) -> str:
        rows = memoryview(call.body)[0 if call.query else insert.offset :]
        with self._database.client() as client:
            client.database = call.database or DATABASE_NAME
            try:
                done = client.raw_insert(
                    insert.table, insert.columns, BytesIO(rows), settings=call.settings, fmt=insert.format
                )
            finally:
                client.database = DATABASE_NAME
        return f'{{"written_rows":"{done.written_rows}"}}'

    def _cancel(self, mark: str) -> None:
        with self._database.client() as client:
            client.command(sql("front_cancel"), parameters={"mark": mark})

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await anyio.to_thread.run_sync(call, limiter=self._threads)


class _Pieces:
    """A result, made piece by piece in whatever thread asks. Closing waits for a piece that is being made."""

    def __init__(self, pieces: Generator[bytes]) -> None:
        self._pieces = pieces
        self._lock = threading.Lock()

    def next(self) -> bytes:
        """Return the next piece, or nothing at the end."""
        with self._lock:
            return next(self._pieces, b"")

    def close(self) -> None:
        """Give the client back; in the middle of the result, discard it."""
        with self._lock:
            self._pieces.close()


class _Answer:
    """One HTTP answer. ``gone`` is set when the client has left: the rest is not made any more."""

    def __init__(self, send: Send, timezone: str) -> None:
        self._send = send
        self._timezone = timezone
        self.query_id = ""
        self.gone = False

    async def whole(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        await self._start(status, (headers or {}) | {"Content-Length": str(len(body))})
        await self._send({"type": "http.response.body", "body": body})

    async def error(self, code: int, text: str) -> None:
        headers = {"X-ClickHouse-Exception-Code": str(code), "Content-Type": "text/plain; charset=UTF-8"}
        status = error_status(code)
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="otel-audit"'
        await self.whole(status, text.encode(), headers)

    async def stream(
        self,
        pieces: _Pieces,
        fmt: str,
        call: Call,
        in_thread: Callable[[Callable[[], Any]], Any],
    ) -> None:
        """Send ``pieces``. An error before the first becomes an error answer, a later one the exception block."""
        try:
            chunk = await in_thread(pieces.next)
            tag = secrets.token_hex(8)
            compressor = call.compressor()
            headers = {"X-ClickHouse-Format": fmt, "X-ClickHouse-Exception-Tag": tag}
            if call.encoding:
                headers["Content-Encoding"] = call.encoding
            await self._start(200, headers)
            failed: StoreError | None = None
            while chunk and not self.gone:
                await self._more(compressor.compress(chunk) if compressor else chunk)
                try:
                    chunk = await in_thread(pieces.next)
                except StoreError as exc:
                    failed, chunk = exc, exception_block(tag, error_text(_code(exc), str(exc.__cause__ or exc)))
                    await self._more(compressor.compress(chunk) if compressor else chunk)
                    break
            if compressor:
                await self._more(compressor.flush())
            if failed is not None and fmt.lower() != _TELLS_ERRORS:
                raise _CutOff from failed
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            await in_thread(pieces.close)

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        common = {
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Timezone": self._timezone,
            "X-ClickHouse-Server-Display-Name": "otel-audit",
        }
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in (common | headers).items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def _more(self, data: bytes) -> None:
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})


def _insert_of(call: Call) -> Insert | None:
    """The INSERT of a call that carries rows; the driver puts it into the URL or before the rows."""
    if call.query:
        return read_insert(call.query)
    head = call.body[:MAX_QUERY_BYTES].split(b"\n", 1)[0]
    return read_insert(head.decode("utf-8", errors="replace") + "\n")


def _default_format(call: Call) -> str:
    return call.default_format or "TabSeparated"


def _code(exc: StoreError) -> int:
    cause = exc.__cause__
    return cause.code or UNKNOWN if isinstance(cause, Error) else UNKNOWN


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
