"""What the single writer does to the store: append blocks, and read back what is really there.

No method retries: after an error the sequencer reads the head and reconciles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_audit.errors import LedgerConflict, StoreError
from otel_audit.ledger.encoding import encode_bytes, encode_uint64, genesis_hash
from otel_audit.ledger.keys import Rotation
from otel_audit.ledger.schema import STORED_COLUMNS
from otel_audit.ledger.tiles import Tile
from otel_audit.model import STATEMENTS, EventType
from otel_audit.store.database import Database
from otel_audit.store.retention import RetentionStore
from otel_audit.store.sql_text import sql

_BYTES: Final = {"String": "bytes", "FixedString": "bytes"}
_CLAIM_ATTEMPTS: Final = 8
# Columns of each table in the order that the rows are encoded in.
_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "audit_entries": tuple(column.name for column in STORED_COLUMNS),
    "audit_content": (
        *("origin", "seq", "name", "commitment", "opening", "value"),
        *("retention_class", "recorded_at", "trace_id", "span_id"),
    ),
    "audit_sealed": ("origin", "seq", "key_id", "sealed", "retention_class", "recorded_at"),
    "audit_tiles": ("origin", "level", "tile_index", "hashes"),
    "audit_checkpoints": ("origin", "size", "root_hash", "created_at", "note"),
    "audit_writers": ("origin", "epoch", "writer_id", "claimed_at"),
}


@dataclass(frozen=True, slots=True)
class Head:
    """Where a ledger ends: its size (the newest seq + 1: older entries may have expired), and its last hash."""

    size: int
    last_hash: bytes


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """An entry already stored under an event id, as far as comparing needs it.

    ``identity`` is the RowBinary of the columns that make two records the same record; ``commitments``
    maps content names to commitments.
    """

    event_id: str
    seq: int
    identity: bytes
    commitments: dict[str, bytes]


class LedgerWriter:
    """Appends to one ledger. Used by one thread, the sequencer's."""

    def __init__(self, database: Database, origin: str) -> None:
        self._database = database
        self.origin = origin
        self._origin = encode_bytes(origin.encode())

    def append_content(self, block: bytes) -> None:
        """Insert RowBinary rows of audit_content. Durable when it returns."""
        self._insert("audit_content", block)

    def append_sealed(self, block: bytes) -> None:
        """Insert RowBinary rows of audit_sealed. Durable when it returns."""
        self._insert("audit_sealed", block)

    def append_entries(self, block: bytes) -> None:
        """Insert RowBinary rows of audit_entries, all of one partition: all or none is there afterwards."""
        self._insert("audit_entries", block)

    def append_tiles(self, tiles: Sequence[Tile]) -> None:
        """Insert full hash tiles in one block."""
        rows = [
            self._origin + bytes((tile.level,)) + encode_uint64(tile.index) + encode_bytes(tile.hashes)
            for tile in tiles
        ]
        self._insert("audit_tiles", b"".join(rows))

    def append_checkpoint(self, size: int, root_hash: bytes, created_unix_nano: int, note: str) -> None:
        """Insert one signed checkpoint."""
        row = (
            self._origin,
            encode_uint64(size),
            root_hash,
            encode_uint64(created_unix_nano),
            encode_bytes(note.encode()),
        )
        self._insert("audit_checkpoints", b"".join(row))

    def head(self) -> Head:
        """Read where the ledger ends. Raises LedgerConflict when rows are missing or there twice."""
        row_count, newest_seq, newest_hash = self._rows("writer_head")[0]
        if row_count == 0:
            return Head(0, genesis_hash(self.origin))
        if row_count != newest_seq + 1 and row_count + self._expired_count() != newest_seq + 1:
            raise LedgerConflict(
                f"ledger {self.origin} has {row_count} rows but its newest entry is {newest_seq}: "
                "entries are missing or there twice; run otel-audit verify"
            )
        return Head(newest_seq + 1, bytes(newest_hash))

    def _expired_count(self) -> int:
        """How many entries retention statements explain: those of partitions that are gone. ``verify`` proves them."""
        store = RetentionStore(self._database, self.origin)
        there = {(each.retention_class, each.month) for each in store.partitions()}
        stated = [expiry for _, expiry in store.expiries()]
        return sum(each.count for each in stated if (each.retention_class, each.month) not in there)

    def newest_recorded(self) -> int:
        """The latest ``recorded_at`` in the ledger, in nanoseconds since 1970; 0 when it has no entry."""
        return int(self._rows("writer_newest_recorded")[0][0])

    def leaf_hashes(self, start: int, end: int) -> list[bytes]:
        """Hashes of entries [start, end) in order. Raises LedgerConflict when one is missing."""
        hashes = [bytes(row[0]) for row in self._rows("writer_leaf_hashes", start=start, end=end)]
        if len(hashes) != end - start:
            raise LedgerConflict(
                f"ledger {self.origin}: expected {end - start} entries in [{start}, {end}), found {len(hashes)}; "
                "run otel-audit verify"
            )
        return hashes

    def full_tile_count(self) -> int:
        """How many full level-0 tiles are stored. Raises LedgerConflict when there is a gap."""
        count, newest = self._rows("writer_tile_count")[0]
        if count and count != newest + 1:
            raise LedgerConflict(f"ledger {self.origin}: a tile is missing or there twice; run otel-audit verify")
        return int(count)

    def full_tile(self, level: int, index: int) -> bytes:
        """The 8,192 bytes of one full tile."""
        rows = self._rows("writer_tile", level=level, tile_index=index)
        if not rows:
            raise LedgerConflict(f"ledger {self.origin}: tile ({level}, {index}) is missing; run otel-audit verify")
        return bytes(rows[0][0])

    def newest_checkpoint(self) -> str | None:
        """The newest signed checkpoint in the store, unverified."""
        rows = self._rows("writer_newest_checkpoint")
        return bytes(rows[0][0]).decode() if rows else None

    def tips(self) -> list[tuple[str, int]]:
        """The newest signed checkpoint of every ledger in the store, unverified, and the number of its rows."""
        return [
            (bytes(note).decode("utf-8", "backslashreplace"), count) for _, note, count in self._rows("digest_tips")
        ]

    def rotations(self) -> list[Rotation]:
        """The entries that rotate the ledger's key, in order of seq; their statements unverified."""
        kind = EventType.KEY_ROTATION
        rows = self._rows("statements", event_type=str(kind), attribute=STATEMENTS[kind])
        return [Rotation(seq, bytes(note).decode("utf-8", "backslashreplace")) for seq, note in rows]

    def recent_event_ids(self, start: int) -> Iterator[list[bytes]]:
        """Event ids of entries from ``start`` on, in blocks, in no order."""
        with (
            self._database.client() as client,
            client.query_column_block_stream(
                sql("writer_recent_event_ids"),
                parameters={"origin": self.origin, "start": start},
                query_formats=_BYTES,
            ) as blocks,
        ):
            for block in blocks:
                yield list(block[0])

    def recent_calls(self, start: int, limit: int) -> list[dict[str, Any]]:
        """Columns of the newest ``limit`` AI calls from entry ``start`` on, oldest first: what tells them apart."""
        with self._database.client() as client:
            result = client.query(
                sql("writer_recent_calls"), parameters={"origin": self.origin, "start": start, "limit": limit}
            )
        rows = [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]
        return rows[::-1]

    def known_events(self, event_ids: Sequence[str]) -> list[KnownEvent]:
        """Entries that carry one of these event ids."""
        return [
            KnownEvent(
                bytes(event_id).decode(),
                seq,
                bytes(identity),
                {bytes(name).decode(): bytes(value) for name, value in zip(names, commitments, strict=True)},
            )
            for event_id, seq, identity, names, commitments in self._rows(
                "writer_known_events", event_ids=list(event_ids)
            )
        ]

    def openings(self, seqs: Sequence[int]) -> dict[tuple[int, str, bytes], bytes]:
        """Openings of the texts of these entries, by (seq, content name, commitment); erased ones are absent."""
        return {
            (seq, bytes(name).decode(), bytes(commitment)): bytes(opening)
            for seq, name, commitment, opening in self._rows("writer_openings", seqs=list(seqs))
        }

    def claim(self, writer_id: str, claimed_unix_nano: int) -> int:
        """Take the ledger over for this writer and return the epoch.

        The insert carries a deduplication token per epoch, so that of two writers who claim the same
        epoch one is dropped by the engine; reading it back tells whose claim stands.
        """
        for _ in range(_CLAIM_ATTEMPTS):
            epoch = self._newest_claim()[0] + 1
            row = (
                self._origin,
                encode_uint64(epoch),
                encode_bytes(writer_id.encode()),
                encode_uint64(claimed_unix_nano),
            )
            token = {"insert_deduplication_token": f"claim/{self.origin}/{epoch}"}
            self._insert("audit_writers", b"".join(row), token)
            if self._newest_claim() == (epoch, writer_id):
                return epoch
        raise StoreError(f"ledger {self.origin}: another writer claims it again and again; run one writer per ledger")

    def check_claim(self, epoch: int, writer_id: str) -> None:
        """Raises LedgerConflict when another writer has taken the ledger over."""
        newest, holder = self._newest_claim()
        if (newest, holder) != (epoch, writer_id):
            raise LedgerConflict(
                f"ledger {self.origin}: another receiver (writer {holder}) took it over. One ledger has one writer: "
                "stop one of the two, or give it an origin of its own"
            )

    def _newest_claim(self) -> tuple[int, str]:
        rows = self._rows("writer_claims")
        return (rows[0][0], bytes(rows[0][1]).decode()) if rows else (0, "")

    def _insert(self, table: str, block: bytes, settings: dict[str, Any] | None = None) -> None:
        self._database.insert_rowbinary(table, _COLUMNS[table], block, settings)

    def _rows(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        with self._database.client() as client:
            result = client.query(sql(name), parameters={"origin": self.origin, **parameters}, query_formats=_BYTES)
            rows: Sequence[Sequence[Any]] = result.result_rows
            return rows
