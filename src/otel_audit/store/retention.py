"""What retention reads of one ledger, and the only place that removes entries: whole partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_audit.errors import VerificationError
from otel_audit.ledger.retention import EXPIRY, HOLD, HOLD_END, Expiry, Hold
from otel_audit.ledger.statement import read_statement
from otel_audit.model import STATEMENTS, EventType
from otel_audit.store._database import Database
from otel_audit.store.sql_text import sql

_BYTES: Final = {"String": "bytes", "FixedString": "bytes"}
_FOR_EVER: Final = (1 << 63) - 1
_AT_ONCE: Final = 2048  # seqs of a query: they travel in the request's URL, which servers limit


@dataclass(frozen=True, slots=True)
class Partition:
    """Entries of one class and month (year * 100 + month, UTC). Times are nanoseconds since 1970."""

    retention_class: str
    month: int
    entry_count: int
    first_seq: int
    last_seq: int
    first_recorded: int
    last_recorded: int


class RetentionStore:
    """One ledger's partitions, its retention statements, and its holds."""

    def __init__(self, database: Database, origin: str) -> None:
        self._database = database
        self.origin = origin

    def partitions(self) -> list[Partition]:
        """Every partition that holds entries of this ledger."""
        return [Partition(bytes(name).decode(), *rest) for name, *rest in self._rows("retention_partitions")]

    def leaves(self, partition: Partition) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (seq, stored hash, leaf hash as the engine computes it) of a partition's entries, in order of seq."""
        with (
            self._database.client() as client,
            client.query_column_block_stream(
                sql("retention_leaves"), parameters=self._key(partition), query_formats=_BYTES
            ) as blocks,
        ):
            for seqs, hashes, computed in blocks:
                yield from zip(seqs, hashes, computed, strict=True)

    def tiles(self, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield the full tiles of level 0 with an index below ``end``, in order."""
        with (
            self._database.client() as client,
            client.query_column_block_stream(
                sql("verify_tiles"),
                parameters={"origin": self.origin, "first": 0, "end": end},
                query_formats=_BYTES,
            ) as blocks,
        ):
            for indexes, hashes in blocks:
                yield from zip(indexes, hashes, strict=True)

    def statements(self) -> list[tuple[int, str]]:
        """(seq, signed note) of every statement about retention: what expired, and holds."""
        kind = EventType.RETENTION
        rows = self._rows("statements", event_type=str(kind), attribute=STATEMENTS[kind])
        return [(seq, bytes(note).decode("utf-8", "backslashreplace")) for seq, note in rows]

    def expiries(self) -> list[tuple[int, Expiry]]:
        """What the ledger states as expired, its signatures unchecked. Raises VerificationError for a broken one."""
        return [
            (seq, Expiry.from_fields(read_statement(note, EXPIRY).fields))
            for seq, note in self.statements()
            if note.startswith(f"otel-audit/{EXPIRY}/")
        ]

    def holds(self) -> list[Hold]:
        """The legal holds that are in force, oldest first. Raises VerificationError for a broken statement."""
        holds: dict[str, Hold] = {}
        for _, note in self.statements():
            try:
                if note.startswith(f"otel-audit/{HOLD}/"):
                    hold = Hold(**read_statement(note, HOLD).fields)
                    holds[hold.hold_id] = hold
                elif note.startswith(f"otel-audit/{HOLD_END}/"):
                    holds.pop(read_statement(note, HOLD_END).fields["hold_id"], None)
            except (TypeError, KeyError) as exc:
                raise VerificationError(
                    f"{self.origin}: a statement of a hold is damaged; run otel-audit verify"
                ) from exc
        return list(holds.values())

    def held_count(self, hold: Hold, *, partition: Partition | None = None, seqs: Sequence[int] = ()) -> int:
        """How many entries a hold keeps: of a partition, or among ``seqs``, or (neither given) of the whole ledger."""
        parameters = {
            "task_id": hold.task_id,
            "reviewer_id": hold.reviewer_id,
            "start": hold.start,
            "end": hold.end or _FOR_EVER,
            "retention_class": partition.retention_class if partition else "",
            "month": partition.month if partition else 0,
            "seqs": list(seqs),
        }
        return int(self._rows("retention_held", **parameters)[0][0])

    def stored_in(self, retention_class: str, month: int) -> dict[str, tuple[int, int]]:
        """Per table with this partition: how many rows of this ledger are in it, and how many of others."""
        key = {"retention_class": retention_class, "month": month}
        counts = {}
        for (table,) in self._rows("retention_tables"):
            name = bytes(table).decode()
            own, others = self._rows("retention_stored", table=name, **key)[0]
            counts[name] = (own, others)
        return counts

    def drop(self, retention_class: str, month: int) -> None:
        """Remove a partition's rows of this ledger, entries first. Needs Role.ADMIN. Doing it again does nothing.

        Texts of entries that are gone are orphans: harmless, and removed by the next attempt.
        """
        stored = self.stored_in(retention_class, month)
        parameters = {"retention_class": retention_class, "month": month, "origin": self.origin}
        for table in sorted(stored, key=lambda name: name != "audit_entries"):
            own, others = stored[table]
            if not own:
                continue
            statement = "retention_delete" if others else "retention_drop"
            with self._database.client() as client:
                client.command(
                    sql(statement), parameters={**parameters, "table": table}, settings={"mutations_sync": 2}
                )

    def _key(self, partition: Partition) -> dict[str, Any]:
        return {"origin": self.origin, "retention_class": partition.retention_class, "month": partition.month}

    def _rows(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        with self._database.client() as client:
            result = client.query(sql(name), parameters={"origin": self.origin, **parameters}, query_formats=_BYTES)
            rows: Sequence[Sequence[Any]] = result.result_rows
            return rows


def holds_on(database: Database, origin: str, seqs: Sequence[int]) -> list[Hold]:
    """The legal holds in force that keep at least one of these entries: what an erasure must ask first."""
    store = RetentionStore(database, origin)
    pieces = [seqs[first : first + _AT_ONCE] for first in range(0, len(seqs), _AT_ONCE)]
    return [hold for hold in store.holds() if any(store.held_count(hold, seqs=piece) for piece in pieces)]
