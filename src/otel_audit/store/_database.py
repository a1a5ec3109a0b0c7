"""A database and the clients that are lent out of it: the same for the embedded engine and for a server."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Self

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error, OperationalError
from clickhouse_connect.driver.summary import QuerySummary

from otel_audit.errors import StoreError, StoreUnavailable

DATABASE_NAME: Final = "audit"
_MAX_IDLE: Final = 16  # more clients than this are closed when they come back, never refused


class Role(StrEnum):
    """What a process may do with the database."""

    ADMIN = "admin"  # everything: only for creating the database and migrating it
    WRITER = "writer"  # SELECT and INSERT, and of texts alone ALTER DELETE: no entry can be changed or removed
    READER = "reader"  # SELECT


class Database:
    """Lends clients; safe to use from several threads, each with a client of its own.

    >>> with open_embedded(folder, Role.READER) as database, database.client() as client:  # doctest: +SKIP
    ...     client.query("SELECT count() FROM audit_entries").first_item
    """

    def __init__(
        self,
        place: str,
        role: Role,
        connect: Callable[[Role], Client],
        close: Callable[[], None] = lambda: None,
        *,
        texts_policy: str = "default",
        has_texts: bool = True,
    ) -> None:
        """Use ``open_embedded`` or ``open_server``. ``place`` names the database in error messages, without secrets.

        ``texts_policy`` is the engine's storage policy for audit_content. Without ``has_texts`` that table is empty,
        because its texts are in another place.
        """
        self.place = place
        self.texts_policy = texts_policy
        self.has_texts = has_texts
        self.role = role
        self._connect = connect
        self._close = close
        self._lock = threading.Lock()  # guards _idle and _closed
        self._idle: list[Client] = []
        self._closed = False

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Lend a client whose database is ``audit``.

        Let exceptions leave the block: after any of them the client is closed and never lent again, because the
        embedded engine may answer its next query with rows of the one that failed. Read results inside the block
        (over HTTP they are read only when asked for), and a stream to its end, or close it there.

        The driver's errors come out as ours: StoreUnavailable when the database did not answer (retry), else
        StoreError with the engine's message; ``__cause__`` has the code.
        """
        lent = self._take()
        try:
            yield lent
        except BaseException as exc:  # also KeyboardInterrupt and GeneratorExit, which may cut a stream
            _close_quietly(lent)
            if isinstance(exc, Error):
                raise _explained(exc, self.place) from exc
            raise
        self._give_back(lent)

    def insert_rowbinary(
        self, table: str, columns: Sequence[str], rows: bytes, settings: Mapping[str, Any] | None = None
    ) -> QuerySummary:
        """Insert rows in RowBinary, at most once: the driver never sends them again by itself.

        After StoreUnavailable it is not known whether the rows are there: read the head back before going on.
        """
        with self.client() as client:
            # The driver repeats an insert of plain bytes when the connection closes on it, also after the server
            # has done it. It does not repeat one that reads from a file.
            return client.raw_insert(table, columns, io.BytesIO(rows), settings=dict(settings or {}), fmt="RowBinary")

    def reader(self) -> Database:
        """Return the same database for reading only: its clients run nothing that writes. Close it before this one."""
        return Database(self.place, Role.READER, self._connect, has_texts=self.has_texts)

    def close(self) -> None:
        """Close every client; one that is still lent is closed when it comes back."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle, self._idle = self._idle, []
        for client in idle:
            _close_quietly(client)
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> Client:
        with self._lock:
            if self._closed:
                raise StoreError(f"{self.place}: this database was closed. Open it again.")
            if self._idle:
                return self._idle.pop()
        try:
            return self._connect(self.role)
        except Error as exc:
            raise _explained(exc, self.place) from exc

    def _give_back(self, client: Client) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(client)
                return
        _close_quietly(client)


def _explained(exc: Error, place: str) -> StoreError:
    text = str(exc).strip()
    if isinstance(exc, OperationalError):
        return StoreUnavailable(f"{place}: the database did not answer: {text}. Check that it runs, then try again.")
    return StoreError(f"{place}: {text}")


def _close_quietly(client: Client) -> None:
    # Closing happens on the way out of an error, which is the one to report.
    with contextlib.suppress(Error, OSError, RuntimeError):
        client.close()
