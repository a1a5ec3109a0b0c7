"""What verification reads from the store: rows with their exact encodings, tiles, checkpoints and texts.

Everything that grows with the ledger is a stream in constant memory. A stream borrows a client until it is read
to its end or closed, so that several can run side by side.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from urllib3.exceptions import HTTPError

from otel_audit.errors import MalformedInput, StoreUnavailable, VerificationError
from otel_audit.ledger.blocks import RowBlock
from otel_audit.ledger.diagnosis import split_encoding
from otel_audit.ledger.encoding import varint
from otel_audit.ledger.merkle import SubtreeGetter, node_hash
from otel_audit.ledger.schema import COLUMNS, Column, ColumnType
from otel_audit.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, tile_subtrees
from otel_audit.model import STATEMENTS, EventType
from otel_audit.store.database import Database
from otel_audit.store.sql_text import sql

_BYTES: Final = {"String": "bytes", "FixedString": "bytes"}
# Rows in memory at once. Texts may be megabytes each: a block of them is kept small.
_ROW_BLOCK: Final = {"max_block_size": 8192}
_TIME_BLOCK: Final = {"max_block_size": 65_536}
_TEXT_BLOCK: Final = {"max_block_size": 256, "preferred_block_size_bytes": 1 << 20}
_TABLE: Final = re.compile(r"^FROM (\w+)", re.MULTILINE)
_NAME_COLUMNS: Final = [each.name for each in COLUMNS if each.type is ColumnType.NAME and each.name != "origin"]
_NEAR: Final = 128  # rows whose values are candidates for an altered one among them
_BYTES_AT_ONCE: Final = 1 << 20
_TILES_KEPT: Final = 512  # 4 MB
_SUBTREES_KEPT: Final = 65_536  # 2 MB of hashes
_PICKED_AT_ONCE: Final = 2048  # seqs of a query: they travel in the request's URL, which servers limit


@dataclass(frozen=True, slots=True)
class Extent:
    """How far one ledger reaches: by its rows, its checkpoints and its tiles. Taken before anything else is read."""

    origin: str
    row_count: int = 0
    size: int = 0  # largest seq + 1
    checkpoint_size: int = 0
    tile_size: int = 0
    text_count: int = 0


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A stored checkpoint: the signed note, and what the columns beside it state."""

    size: int
    root_hash: bytes
    note: str


@dataclass(frozen=True, slots=True)
class StoredText:
    """A row of audit_content."""

    seq: int
    name: bytes
    commitment: bytes
    opening: bytes
    value: bytes


class EvidenceReader:
    """Reads the evidence of all ledgers of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.has_texts = database.has_texts
        with database.client() as client:
            self._tables = {name for (name,) in client.query(sql("verify_tables")).result_rows}

    def extents(self) -> dict[str, Extent]:
        """How far each ledger reaches that any of the tables knows.

        Checkpoints and tiles are asked before the rows: a writer that goes on meanwhile makes rows first, so
        what is stated here never lies beyond the rows of an intact ledger.
        """
        checkpoints = {_text(origin): size for origin, size in self._rows("verify_checkpoint_extents")}
        tiles: dict[str, int] = {}
        for origin, level, last in self._rows("verify_tile_extents"):
            name = _text(origin)
            tiles[name] = max(tiles.get(name, 0), (last + 1) * TILE_WIDTH ** (level + 1))
        texts = {_text(origin): count for origin, count in self._rows("verify_content_extents")}
        entries = {_text(origin): (count, newest + 1) for origin, count, newest in self._rows("verify_entry_extents")}
        return {
            origin: Extent(
                origin,
                *entries.get(origin, (0, 0)),
                checkpoint_size=checkpoints.get(origin, 0),
                tile_size=tiles.get(origin, 0),
                text_count=texts.get(origin, 0),
            )
            for origin in sorted({*checkpoints, *tiles, *entries})
        }

    def rows(self, origin: str, start: int, end: int) -> Generator[RowBlock, None, None]:
        """Yield the rows with seq in [start, end), in order of seq."""
        if start >= end:
            return
        blocks = self._stream("verify_rows", _ROW_BLOCK, origin=origin, first=start, last=end - 1)
        with closing(blocks):
            for block in blocks:
                yield _row_block(block)

    def row_bytes(self, origin: str, start: int, end: int, *, is_fast: bool) -> Generator[bytes, None, None]:
        """Yield the same rows as RowBinary of all columns and ``hash``, cut anywhere: for ``ledger.hashing``.

        With ``is_fast``: of seq, prev_hash, hash and the leaf hash as the *engine* computes it.
        """
        name = "verify_digests" if is_fast else "verify_row_bytes"
        if start >= end or not self._is_there(name):
            return
        parameters = {"origin": origin, "first": start, "last": end - 1}
        with (
            self._database.client() as client,
            client.raw_stream(sql(name), parameters=parameters, fmt="RowBinary") as stream,
        ):
            try:
                while data := stream.read(_BYTES_AT_ONCE):
                    yield data
            except HTTPError as exc:  # of a plain stream the driver does not make one of its own errors
                raise StoreUnavailable(f"{self._database.place}: the answer broke off: {exc}. Try again.") from exc

    def parts(self, origin: str, start: int, end: int, width: int) -> Generator[int, None, None]:
        """Yield those n, in order, for which there is a row in [start, end) with seq // ``width`` = n."""
        if start < end:
            for (number,) in self._records(
                "verify_parts", _ROW_BLOCK, origin=origin, first=start, last=end - 1, width=width
            ):
                yield number

    def loaded_rows(self, origin: str, start: int, end: int) -> RowBlock:
        """Return the rows with seq in [start, end) at once, in order of seq: few."""
        loaded = RowBlock([], [], [], [])
        for block in self.rows(origin, start, end):
            loaded = loaded.joined(block)
        return loaded

    def picked_rows(self, origin: str, seqs: Sequence[int]) -> Generator[RowBlock, None, None]:
        """Yield the rows at these seqs, in order of seq."""
        ordered = sorted(set(seqs))
        for first in range(0, len(ordered), _PICKED_AT_ONCE):
            picked = ordered[first : first + _PICKED_AT_ONCE]
            for block in self._stream("verify_picked_rows", _ROW_BLOCK, origin=origin, seqs=picked):
                yield _row_block(block)

    def tiles(self, origin: str, first: int, end: int) -> Generator[tuple[int, bytes], None, None]:
        """Yield the full tiles of level 0 with index in [first, end), in order."""
        blocks = self._stream("verify_tiles", _TEXT_BLOCK, origin=origin, first=first, end=end)
        with closing(blocks):
            for indexes, hashes in blocks:
                yield from zip(indexes, hashes, strict=True)

    def tile_versions(self, origin: str, level: int, index: int) -> list[bytes]:
        """Return every stored version of one tile: none when it is missing, several when something is wrong."""
        return [hashes for (hashes,) in self._rows("verify_tile", origin=origin, level=level, tile_index=index)]

    def tile(self, origin: str, level: int, index: int) -> bytes:
        """Return a tile. Raises VerificationError when it is missing, or there in several versions."""
        versions = self.tile_versions(origin, level, index)
        if len(versions) != 1:
            raise VerificationError(
                f"{origin}: tile {index} of level {level} is stored {len(versions)} times, expected once"
            )
        return versions[0]

    def subtrees(self, origin: str, size: int, tail_leaves: Sequence[bytes]) -> SubtreeGetter:
        """Return a getter of perfect subtrees of the tree of ``size``, for proofs, which remembers what it read.

        ``tail_leaves`` are the leaf hashes from ``size - size % 256`` on. The at most 255 tiles a level that are not
        in a full tile of the level above are needed for every proof, and read at once.
        """
        edges: dict[int, dict[int, bytes]] = {}

        @lru_cache(_TILES_KEPT)
        def tile(level: int, index: int) -> bytes:
            count = size >> (TILE_HEIGHT * (level + 1))  # full tiles of this level
            first = count - count % TILE_WIDTH
            if index < first:
                return self.tile(origin, level, index)
            if level not in edges:
                rows = self._rows("verify_level_tiles", origin=origin, level=level, first=first, end=count)
                edges[level] = {int(row[0]): row[1] for row in rows}
                if len(set(map(tuple, rows))) != len(edges[level]):  # stored in several versions
                    edges[level].clear()
            found = edges[level].get(index)
            return self.tile(origin, level, index) if found is None else found  # which says what is wrong with it

        stored = tile_subtrees(size, tile, tail_leaves)

        @lru_cache(_SUBTREES_KEPT)
        def subtree(level: int, index: int) -> bytes:
            if level % TILE_HEIGHT == 0:
                return stored(level, index)
            # From its halves, which the proofs of neighbours need as well: each node of a tile is hashed once.
            return node_hash(subtree(level - 1, 2 * index), subtree(level - 1, 2 * index + 1))

        return subtree

    def checkpoints(self, origin: str, smallest: int, largest: int) -> Generator[StoredNote, None, None]:
        """Yield the stored checkpoints of these sizes (both included), in order of size."""
        blocks = self._stream("verify_checkpoints", _ROW_BLOCK, origin=origin, smallest=smallest, largest=largest)
        with closing(blocks):
            for sizes, roots, notes in blocks:
                for size, root_hash, note in zip(sizes, roots, notes, strict=True):
                    yield StoredNote(size, root_hash, _text(note))

    def next_checkpoint_size(self, origin: str, size: int) -> int | None:
        """Return the size of the first stored checkpoint that covers ``size`` entries."""
        rows = self._rows("verify_next_checkpoint", origin=origin, size=size)
        return int(rows[0][0]) or None if rows else None

    def commitments(self, origin: str, start: int, end: int) -> Generator[tuple[int, bytes, bytes], None, None]:
        """Yield (seq, content name, commitment) of the entries in [start, end), in that order."""
        if start < end:
            yield from self._records("verify_commitments", _ROW_BLOCK, origin=origin, first=start, last=end - 1)

    def texts(self, origin: str, start: int, end: int) -> Generator[StoredText, None, None]:
        """Yield the stored texts of the entries in [start, end), by seq and name."""
        if start < end:
            for record in self._records("verify_texts", _TEXT_BLOCK, origin=origin, first=start, last=end - 1):
                yield StoredText(*record)

    def picked_commitments(self, origin: str, seqs: Sequence[int]) -> Generator[tuple[int, bytes, bytes], None, None]:
        """Yield (seq, content name, commitment) of single entries; at most 2048 seqs."""
        yield from self._records("verify_picked_commitments", _ROW_BLOCK, origin=origin, seqs=list(seqs))

    def picked_texts(self, origin: str, seqs: Sequence[int]) -> Generator[StoredText, None, None]:
        """Yield the stored texts of single entries, by seq and name; at most 2048 seqs."""
        for record in self._records("verify_picked_texts", _TEXT_BLOCK, origin=origin, seqs=list(seqs)):
            yield StoredText(*record)

    def sealed_seqs(self, origin: str, start: int, end: int) -> Generator[int, None, None]:
        """Yield the seqs in [start, end) that have sealed texts, in order."""
        if start < end:
            for (seq,) in self._records("verify_sealed", _ROW_BLOCK, origin=origin, first=start, last=end - 1):
                yield seq

    def statements(self, origin: str, event_type: EventType) -> list[tuple[int, str]]:
        """Return (seq, signed note) of the trail's own entries of a type in ``STATEMENTS``; the notes are unchecked."""
        rows = self._rows("statements", origin=origin, event_type=str(event_type), attribute=STATEMENTS[event_type])
        return [(seq, _text(note)) for seq, note in rows]

    def column_values(self, origin: str) -> dict[str, list[bytes]]:
        """Return up to 200 values of each column that has few, by column name."""
        rows = self._rows("verify_column_values", origin=origin)
        return dict(zip(_NAME_COLUMNS, rows[0], strict=True)) if rows else {}

    def times(self, origin: str, start: int, end: int) -> Generator[Sequence[Sequence[int]], None, None]:
        """Yield blocks of (seqs, recorded_at, event_time) of the entries in [start, end), in order of seq."""
        if start < end:
            yield from self._stream("verify_times", _TIME_BLOCK, origin=origin, first=start, last=end - 1)

    def newest_created(self, origin: str) -> int:
        """Return when the newest stored checkpoint was made, in nanoseconds since 1970; 0 when there is none."""
        rows = self._rows("verify_newest_created", origin=origin)
        return int(rows[0][0]) if rows else 0

    def recorded(self, origin: str, start: int, end: int) -> tuple[int, int]:
        """Return when the first and last of these entries were recorded, in nanoseconds since 1970."""
        first, last = self._rows("verify_recorded", origin=origin, first=start, last=end - 1)[0]
        return first, last

    def _records(
        self, name: str, settings: dict[str, int], **parameters: Any
    ) -> Generator[tuple[Any, ...], None, None]:
        blocks = self._stream(name, settings, **parameters)
        with closing(blocks):
            for block in blocks:
                yield from zip(*block, strict=True)

    def _stream(
        self, name: str, settings: dict[str, int], **parameters: Any
    ) -> Generator[Sequence[Sequence[Any]], None, None]:
        if not self._is_there(name):
            return
        with (
            self._database.client() as client,
            client.query_column_block_stream(
                sql(name), parameters=parameters, settings=settings, query_formats=_BYTES
            ) as blocks,
        ):
            yield from blocks

    def _rows(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        if not self._is_there(name):
            return []
        with self._database.client() as client:
            rows: Sequence[Sequence[Any]] = client.query(
                sql(name), parameters=parameters, query_formats=_BYTES
            ).result_rows
            return rows

    def _is_there(self, name: str) -> bool:
        """Tell whether the table that a query reads exists: somebody may have dropped it."""
        table = _TABLE.search(sql(name))
        return table is not None and table[1] in self._tables


class CandidateValues:
    """What a column of an altered entry may have held: what the entries around it hold, then any of the ledger."""

    def __init__(self, reader: EvidenceReader, origin: str) -> None:
        self._reader = reader
        self._origin = origin
        self._near: tuple[int, list[dict[bytes, None]]] = (-1, [])  # the last window of rows, values by column
        self._few: dict[str, list[bytes]] | None = None

    def __call__(self, column: Column, seq: int) -> Iterator[bytes]:
        """Yield RowBinary values of a column, likelier ones first."""
        yield from self._near_values(seq)[COLUMNS.index(column)]
        if self._few is None:
            self._few = self._reader.column_values(self._origin)
        for value in self._few.get(column.name, ()):
            yield varint(len(value)) + value

    def _near_values(self, seq: int) -> list[dict[bytes, None]]:
        window = seq // _NEAR
        if self._near[0] != window:
            values: list[dict[bytes, None]] = [{} for _ in COLUMNS]
            blocks = self._reader.rows(self._origin, max(0, window - 1) * _NEAR, (window + 2) * _NEAR)
            with closing(blocks):
                for row in (row for block in blocks for row in block.rows()):
                    for seen, value in zip(values, _split(row.encoding), strict=False):
                        seen[value] = None
            self._near = (window, values)
        return self._near[1]


def _row_block(columns: Sequence[Sequence[Any]]) -> RowBlock:
    seqs, prev_hashes, hashes, encodings = map(list, columns)
    return RowBlock(seqs, prev_hashes, hashes, encodings)


def _split(encoding: bytes) -> list[bytes]:
    try:
        return split_encoding(encoding)
    except MalformedInput:
        return []  # Of another schema version: no source of values.


def _text(raw: bytes) -> str:
    """Text from a column, whatever bytes somebody put there: what is no UTF-8 never matches a signed text."""
    return raw.decode("utf-8", "backslashreplace")
