"""Receipts of audit records, made of entries as they are stored and the proof that a checkpoint covers one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_audit.conventions.audit_canonical import TextErased, integrity_hash, stored_form
from otel_audit.errors import StoreError
from otel_audit.ledger.checkpoint import read_checkpoint
from otel_audit.ledger.merkle import inclusion_proof
from otel_audit.ledger.tiles import TILE_WIDTH, tile_subtrees
from otel_audit.store.database import Database
from otel_audit.store.sql_text import sql

UNVERIFIED: Final = "signature_unverified"  # remark: there is a proof, by a key that the receiver does not know
VERIFIED: Final = "signature_verified"
DELIVERED: Final = "delivered_all_sinks"  # the draft's word for a record that every required sink has
_PATH: Final = "/v1/audit/receipts/"
_ID: Final = "record:"  # conventions.base: the event id of a record that brings its id
_SEQS_AT_ONCE: Final = 1000  # they travel in the request's URL, which servers limit


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

    def receipts(self, seqs: Sequence[int]) -> list[dict[str, Any]]:
        """The receipts of the audit records at ``seqs``, ready for JSON, as docs/how-to/audit-signal.md lists them.

        Made of what is in the store now. Raises StoreError when an entry is missing.
        """
        entries = self.entries(seqs)
        note = self.newest_checkpoint()
        size = read_checkpoint(note).size if note else 0
        return [self._receipt(entries[seq], note, size) for seq in seqs]

    def _receipt(self, entry: StoredEntry, note: str, size: int) -> dict[str, Any]:
        record_id = record_id_of(entry)
        try:
            stored_hash: str | None = integrity_hash(stored_form(entry.columns, entry.content))
        except TextErased:
            stored_hash = None
        remarks = entry.columns["remarks"]
        proof = [each.hex() for each in self.inclusion(entry.seq, size)] if entry.seq < size else None
        return {
            "record_id": record_id,
            "status": DELIVERED,
            "integrity_hash": stored_hash,
            "sink_timestamp": str(entry.recorded_unix_nano),
            "verify_status": "passed" if VERIFIED in remarks else "unverified" if UNVERIFIED in remarks else "none",
            "origin": self.origin,
            "seq": entry.seq,
            "leaf_hash": entry.leaf_hash.hex(),
            "checkpoint": note,
            "inclusion_proof": proof,
            "receipt_path": _PATH + record_id,
        }

    def seq_of(self, record_id: str) -> int | None:
        """Where the audit record with this id lies; None when there is none."""
        rows = self._rows("receipt_seq", event_id=_ID + record_id)
        return int(rows[0]["seq"]) if rows else None

    def newest_of_stream(self, stream_id: str, service: str) -> tuple[int | None, bool]:
        """Where the record with the highest number of a producer's stream lies, and whether the stream has ended.

        A stream without id is told by the service that it is of.
        """
        rows = self._rows("receipt_stream", stream=stream_id, service=service)
        return (int(rows[0]["seq"]), bool(rows[0]["ended"])) if rows else (None, False)

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


def record_id_of(entry: StoredEntry) -> str:
    """The ``audit.record.id`` of an audit record's entry."""
    return entry.event_id.removeprefix(_ID)


def origins_of(database: Database, record_id: str) -> list[str]:
    """The ledgers of a database that have the audit record ``record_id``."""
    with database.client() as client:
        rows = client.query(sql("receipt_origins"), parameters={"event_id": _ID + record_id}).result_rows
    return [_string(row[0]) for row in rows]
