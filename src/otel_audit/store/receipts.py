"""What a receipt is made of: entries as they are stored, and the proof that a checkpoint covers one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from otel_audit.errors import StoreError
from otel_audit.ledger.merkle import inclusion_proof
from otel_audit.ledger.tiles import TILE_WIDTH, tile_subtrees
from otel_audit.store.database import Database
from otel_audit.store.sql_text import sql

_SEQS_AT_ONCE = 1000  # they travel in the request's URL, which servers limit


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry. ``columns`` are those that a record's canonical form is made of, ``content`` its texts by name."""

    seq: int
    event_id: str
    leaf_hash: bytes
    recorded_unix_nano: int
    columns: dict[str, Any]
    content: dict[str, str]


class ReceiptReader:
    """Reads one ledger for receipts. Safe to share between threads: each call borrows a client."""

    def __init__(self, database: Database, origin: str) -> None:
        self._database = database
        self.origin = origin

    def entries(self, seqs: Sequence[int]) -> dict[int, StoredEntry]:
        """The entries at ``seqs``. Raises StoreError when one is missing."""
        found: dict[int, StoredEntry] = {}
        wanted = sorted(set(seqs))
        for first in range(0, len(wanted), _SEQS_AT_ONCE):
            picked = wanted[first : first + _SEQS_AT_ONCE]
            contents: dict[int, dict[str, str]] = {}
            for row in self._rows("receipt_content", seqs=picked):
                contents.setdefault(row["seq"], {})[row["name"]] = row["value"]
            for row in self._rows("receipt_entries", seqs=picked):
                columns = dict(row)
                for name in ("attributes", "attributes_json", "otlp"):
                    columns[name] = list(row[name].items())
                found[row["seq"]] = StoredEntry(
                    row["seq"],
                    row["event_id"],
                    bytes(row["leaf_hash"]),
                    row["recorded_at"],
                    columns,
                    contents.get(row["seq"], {}),
                )
        if len(found) != len(wanted):
            raise StoreError(f"ledger {self.origin}: {len(wanted) - len(found)} of {len(wanted)} entries are missing")
        return found

    def seq_of(self, event_id: str) -> int | None:
        """Where the audit record with this event id lies; None when there is none."""
        rows = self._rows("receipt_seq", event_id=event_id)
        return int(rows[0]["seq"]) if rows else None

    def newest_checkpoint(self) -> str:
        """The newest signed checkpoint; empty when there is none yet."""
        rows = self._rows("writer_newest_checkpoint")
        return _string(rows[0]["note"]) if rows else ""

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """The proof that entry ``seq`` is in the tree of ``size`` entries (RFC 6962). Raises StoreError."""
        first = size - size % TILE_WIDTH
        tail = [bytes(row["hash"]) for row in self._rows("writer_leaf_hashes", start=first, end=size)]
        if len(tail) != size - first:
            raise StoreError(f"ledger {self.origin}: entries below {size} are missing; run otel-audit verify")
        return inclusion_proof(seq, size, tile_subtrees(size, self._tile, tail))

    def _tile(self, level: int, index: int) -> bytes:
        rows = self._rows("writer_tile", level=level, tile_index=index)
        if not rows:
            raise StoreError(f"ledger {self.origin}: tile ({level}, {index}) is missing; run otel-audit verify")
        return bytes(rows[0]["hashes"])

    def _rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        formats = {"FixedString": "bytes"} | ({"String": "bytes"} if name == "writer_tile" else {})
        with self._database.client() as client:
            result = client.query(sql(name), parameters={"origin": self.origin, **parameters}, query_formats=formats)
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def _string(text: Any) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)
