"""What an erasure does to the store, and how texts are made anew from what is sealed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from otel_audit.errors import StoreError
from otel_audit.store.database import Database
from otel_audit.store.sql_text import sql

_BYTES: Final = {"String": "bytes", "FixedString": "bytes"}
_AT_ONCE: Final = 2048  # seqs of a query: they travel in the request's URL, which servers limit
_SEALED_BLOCK: Final = {"max_block_size": 1024, "preferred_block_size_bytes": 4 << 20}
_SEQS_COMPARED: Final = 1_000_000  # entries whose seqs are held in memory to find those without texts
_GONE_SECONDS: Final = 120.0  # the engine removes old parts after about two seconds
_WAIT_SECONDS: Final = 0.1
_Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Picked:
    """An entry whose texts are to go."""

    seq: int
    task_id: str
    commitments: tuple[bytes, ...]


class SealedRow(NamedTuple):
    """A row of audit_sealed."""

    seq: int
    key_id: bytes
    sealed: bytes
    retention_class: str = ""
    recorded_unix_nano: int = 0


class ErasingStore:
    """One ledger's texts, for whoever may delete them."""

    def __init__(
        self,
        database: Database,
        origin: str,
        *,
        monotonic: _Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._origin = origin
        self._monotonic = monotonic
        self._sleep = sleep

    def pick(
        self, *, subjects: Sequence[str] = (), tasks: Sequence[str] = (), ranges: Sequence[tuple[int, int]] = ()
    ) -> list[Picked]:
        """Entries that commit to texts and are of these subjects or tasks, or at these seqs (both ends included)."""
        rows = self._rows("erase_select", subjects=list(subjects), tasks=list(tasks), ranges=list(ranges))
        return [Picked(seq, task.decode(), tuple(map(bytes, commitments))) for seq, task, commitments in rows]

    def texts(self, seqs: Sequence[int]) -> dict[int, tuple[int, int]]:
        """{seq: (number of texts, bytes)} of those entries that have any to read."""
        return {seq: (count, size) for seq, count, size in self._in_pieces("erase_texts", seqs)}

    def sealed(self, seqs: Sequence[int]) -> list[tuple[int, bytes, int]]:
        """(seq, key id, bytes) of what is sealed of these entries."""
        return [(seq, bytes(key_id), size) for seq, key_id, size in self._in_pieces("erase_sealed", seqs)]

    def under_keys(self, key_ids: Sequence[bytes]) -> list[SealedRow]:
        """Everything that is sealed under these keys."""
        rows = self._rows("erase_under_keys", key_ids=[key_id.hex() for key_id in key_ids]) if key_ids else []
        return [SealedRow(seq, bytes(key_id), bytes(sealed)) for seq, key_id, sealed in rows]

    def commitments(self, seqs: Sequence[int]) -> dict[int, set[bytes]]:
        """What these entries commit to."""
        return {seq: set(map(bytes, found)) for seq, found in self._in_pieces("erase_commitments", seqs)}

    def require_rights(self) -> None:
        """Delete nothing, to see that it could be: before a key is destroyed. Raises StoreError."""
        try:
            self._alter("erase_delete_texts", seqs=[])
            self._alter("erase_delete_sealed", seqs=[])
        except StoreError as exc:
            raise StoreError(
                f"texts can not be erased: {exc}. On a server, grant the receiver's user the role audit_eraser "
                "(docs/how-to/operate.md). Nothing was changed."
            ) from exc

    def delete(self, seqs: Sequence[int], key_ids: Sequence[str], orphans: Sequence[str]) -> None:
        """Delete the texts of these entries, what these keys sealed, and texts by their commitments (hex).

        When it returns, they are gone from the disk as well. Raises StoreError when the rights for it are missing.
        """
        for piece in _pieces(seqs):
            self._alter("erase_delete_texts", seqs=piece)
            self._alter("erase_delete_sealed", seqs=piece)
        if key_ids:
            self._alter("erase_delete_under_keys", key_ids=list(key_ids))
        if orphans:
            self._alter("erase_delete_orphans", commitments=list(orphans))
        self._wait_until_gone()

    def missing(self, size: int) -> Generator[list[SealedRow], None, None]:
        """Yield what is sealed of entries below ``size`` that have no text to read, in blocks."""
        for first in range(0, size, _SEQS_COMPARED):
            yield from self._missing_from(first, min(first + _SEQS_COMPARED, size))

    def _missing_from(self, first: int, end: int) -> Iterator[list[SealedRow]]:
        parameters = {"origin": self._origin, "first": first, "end": end}
        with (
            self._database.client() as client,
            client.query_column_block_stream(
                sql("restore_missing"), parameters=parameters, settings=_SEALED_BLOCK, query_formats=_BYTES
            ) as blocks,
        ):
            for block in blocks:
                yield [
                    SealedRow(seq, bytes(key_id), bytes(sealed), kind.decode(), recorded)
                    for seq, key_id, sealed, kind, recorded in zip(*block, strict=True)
                ]

    def _wait_until_gone(self) -> None:
        deadline = self._monotonic() + _GONE_SECONDS
        while left := self._rows("erase_old_parts")[0][0]:
            if self._monotonic() > deadline:
                raise StoreError(
                    f"{self._database.place}: the texts are deleted, but {left} old files with them are still on the "
                    "disk: something reads them. The erasure goes on when the receiver starts again."
                )
            self._sleep(_WAIT_SECONDS)

    def _alter(self, name: str, **parameters: Any) -> None:
        with self._database.client() as client:
            client.command(sql(name), parameters={"origin": self._origin, **parameters}, settings={"mutations_sync": 2})

    def _in_pieces(self, name: str, seqs: Sequence[int]) -> Iterator[Sequence[Any]]:
        for piece in _pieces(seqs):
            yield from self._rows(name, seqs=piece)

    def _rows(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        asked: Mapping[str, Any] = {"origin": self._origin, **parameters}
        with self._database.client() as client:
            rows: Sequence[Sequence[Any]] = client.query(
                sql(name), parameters=dict(asked), query_formats=_BYTES
            ).result_rows
            return rows


def _pieces(seqs: Sequence[int]) -> Iterator[list[int]]:
    for first in range(0, len(seqs), _AT_ONCE):
        yield list(seqs[first : first + _AT_ONCE])
