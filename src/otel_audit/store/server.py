"""A ClickHouse server by URL: ``http(s)://user:password@host:port/database``."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from otel_audit.errors import ConfigError, StoreUnavailable
from otel_audit.store._database import DATABASE_NAME, Database, Role
from otel_audit.store.migrate import require_current
from otel_audit.store.sql_text import sql

_PORTS: Final = {"http": 8123, "https": 8443}
_CONNECT_SECONDS: Final = 10
_ANSWER_SECONDS: Final = 300
# An acknowledged insert is on disk: never queued in the server's memory.
_WRITER_SETTINGS: Final = {"async_insert": 0}


def open_server(url: str, role: Role) -> Database:
    """Open the database on a ClickHouse server.

    The rights are those of the user in the URL (EMBEDDED in the design notes lists the roles to create). ADMIN
    creates the database when it is missing; the others need its schema to be current. Raises ConfigError for a
    URL that can not be used or a schema that is not current, StoreUnavailable when the server does not answer.
    """
    parts = _parse(url)
    place = f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"
    name = parts.path.strip("/") or DATABASE_NAME

    def connect(role: Role, database: str = name) -> Client:
        settings: dict[str, Any] = {} if role is Role.READER else dict(_WRITER_SETTINGS)
        return clickhouse_connect.get_client(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            interface=parts.scheme,
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=database,
            settings=settings,
            autogenerate_session_id=False,  # sessions serialise; the clients keep no state on the server
            query_retries=1 if role is Role.READER else 0,
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=_ANSWER_SECONDS,
        )

    if role is Role.ADMIN:
        try:
            client = connect(role, "default")
            try:
                client.command(sql("engine_create_database"), parameters={"database": name})
            finally:
                client.close()
        except Error as exc:
            raise StoreUnavailable(f"{place}: can not create the database {name}: {exc}") from exc
        return Database(place, role, connect)
    database = Database(place, role, connect)
    try:
        require_current(database)
    except BaseException:
        database.close()
        raise
    return database


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        raise ConfigError(f"store URL: {exc}. Expected http(s)://user:password@host:port/database") from exc
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(
            f"store URL with scheme {parts.scheme!r} and host {parts.hostname!r}: expected "
            "http(s)://user:password@host:port/database"
        )
    return parts
