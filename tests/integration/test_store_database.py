from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from otel_audit.errors import ConfigError, StoreError, StoreUnavailable
from otel_audit.store.database import Database, Role, open_server


def lent(database: Database) -> Client:
    with database.client() as client:
        return client


def test_a_client_is_lent_again(database: Database) -> None:
    """After a block that went well the same client is lent to the next."""
    assert lent(database) is lent(database)


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt, SystemExit, OperationalError])
def test_a_client_is_not_lent_after_an_exception(database: Database, problem: type[BaseException]) -> None:
    """Whatever exception leaves the block, also one that is no Exception, the client is closed for good."""

    def fail() -> Client:
        with database.client() as client:
            seen.append(client)
            raise problem

    seen: list[Client] = []
    with pytest.raises(StoreUnavailable if problem is OperationalError else problem):
        fail()
    assert lent(database) is not seen[0]
    with pytest.raises(Exception, match="closed"):
        seen[0].query("SELECT 1")


def test_a_client_is_not_lent_after_an_abandoned_generator(database: Database) -> None:
    """A reader that stops in the middle of a stream (GeneratorExit) takes its client with it."""

    def rows() -> Iterator[Client]:
        with database.client() as client, client.query_row_block_stream("SELECT * FROM numbers(1000000)") as stream:
            for _ in stream:
                yield client

    generator = rows()
    abandoned = next(generator)
    generator.close()
    assert lent(database) is not abandoned


def test_two_blocks_have_two_clients(database: Database) -> None:
    """A client serves one block at a time, also on the same thread."""
    with database.client() as first, database.client() as second:
        assert first is not second


def test_threads_have_clients_of_their_own(database: Database) -> None:
    """Many threads at once each get their own answer."""
    answers: dict[int, int] = {}

    def ask(number: int) -> None:
        for _ in range(5):
            with database.client() as client:
                answers[number] = client.query("SELECT {n:UInt32}", parameters={"n": number}).result_rows[0][0]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: number for number in range(24)}


def test_engine_errors_are_ours(database: Database) -> None:
    """An error of the engine comes out as StoreError, with its code as the cause's."""
    with pytest.raises(StoreError, match="nothing_here") as caught, database.client() as client:
        client.query("SELECT * FROM nothing_here")
    assert getattr(caught.value.__cause__, "code", None) == 60


def test_closed_database_lends_nothing() -> None:
    """After close, and after a second close, asking for a client is an error of ours."""
    database = Database("here", Role.READER, lambda _: pytest.fail("must not connect"))
    database.close()
    database.close()
    with pytest.raises(StoreError, match="here: this database was closed"), database.client():
        pass


@pytest.mark.parametrize(
    "url", ["", "clickhouse://x", "http://", "http://host:99999", "localhost:8123", "http://host/db?x=1"]
)
def test_url_that_is_none(url: str) -> None:
    """A malformed URL is explained without repeating what may be a password in it."""
    with pytest.raises(ConfigError, match=r"[Ee]xpected http"):
        open_server(url, Role.READER)


@pytest.mark.parametrize("role", list(Role))
def test_server_that_is_not_there(role: Role) -> None:
    """A server that does not answer is StoreUnavailable, and the message does not tell the password."""
    with pytest.raises(StoreUnavailable) as caught:
        open_server("http://u:geheim@127.0.0.1:1/audit", role)
    assert "geheim" not in str(caught.value)
