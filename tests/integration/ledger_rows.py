"""Ledgers for tests of the readers: entries and texts written as the receiver writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from otel_audit.ledger.encoding import encode_entry, encode_event, genesis_hash, leaf_hash, origin_prefix, varint
from otel_audit.model import AuditEvent
from otel_audit.store.database import Database, Role, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.migrate import migrate

SECOND = 1_000_000_000
T0 = 1_794_000_000 * SECOND  # 2026-11-06T21:20:00Z


def commitment_of(text: str, opening: bytes = b"\7" * 32) -> bytes:
    """Any 32 bytes that belong to the text: readers compare commitments, `verify` recomputes them."""
    return hashlib.sha256(opening + text.encode()).digest()


class LedgerRows:
    """Collects events of one ledger, then writes them. ``add`` returns the event's seq."""

    def __init__(self, origin: str = "test/reading") -> None:
        self.origin = origin
        self.hashes: list[bytes] = []
        self._entries = bytearray()
        self._content = bytearray()

    def add(
        self,
        event_type: str = "span",
        *,
        at: float = 0.0,
        ends: float | None = None,
        recorded: float | None = None,
        content: Mapping[str, str] | None = None,
        erased: Mapping[str, str] | None = None,
        **columns: Any,
    ) -> int:
        """``at``, ``ends`` and ``recorded`` (by default ``seq``) are seconds after T0.

        The entry commits to the ``erased`` texts, which are not kept.
        """
        seq = len(self.hashes)
        begun = T0 + round(at * SECOND)
        columns = {
            "retention_class": "default",
            "event_id": f"event-{seq}",
            "record_kind": "span",
            "event_time": begun,
            "end_time": begun if ends is None else T0 + round(ends * SECOND),
            **columns,
        }
        commitments = {name: commitment_of(text) for name, text in {**(erased or {}), **(content or {})}.items()}
        event = AuditEvent({"event_type": event_type, **columns})  # type: ignore[typeddict-item]
        previous = self.hashes[-1] if self.hashes else genesis_hash(self.origin)
        encoding = encode_entry(
            origin_prefix(self.origin),
            seq,
            previous,
            T0 + round((seq if recorded is None else recorded) * SECOND),
            encode_event(event, commitments),
        )
        self.hashes.append(leaf_hash(encoding))
        self._entries += encoding + self.hashes[-1]
        for name, text in (content or {}).items():
            self.add_content(seq, name, text, columns.get("trace_id", ""), columns.get("span_id", ""))
        return seq

    def add_content(
        self, seq: int, name: str, text: str, trace_id: str = "", span_id: str = "", opening: bytes = b"\7" * 32
    ) -> None:
        """A row of audit_content; with another opening than ``add`` uses, it is an orphan."""
        self._content += (
            _string(self.origin)
            + seq.to_bytes(8, "little")
            + _string(name)
            + commitment_of(text, opening)
            + opening
            + _string(text)
            + _string("default")
            + T0.to_bytes(8, "little", signed=True)
            + _string(trace_id)
            + _string(span_id)
        )

    def write(self, database: Database) -> None:
        """Insert what was added."""
        with database.client() as client:
            if self._content:
                client.raw_insert("audit_content", insert_block=bytes(self._content), fmt="RowBinary")
            if self._entries:
                client.raw_insert("audit_entries", insert_block=bytes(self._entries), fmt="RowBinary")


def _string(text: str) -> bytes:
    raw = text.encode()
    return varint(len(raw)) + raw


def seeded(folder: DataFolder, monday_unix_nano: int, who: str = "u_1") -> str:
    """A data folder with a ledger of an earlier week: an access of ``who``, and a span. Returns the last hash."""
    ledger, monday = LedgerRows(), (monday_unix_nano - T0) / SECOND
    viewed = [("audit.action", "VIEW"), ("audit.target.id", "loan-1"), ("audit.target.type", "task")]
    at = monday + 36 * 3600
    ledger.add("access", at=at, recorded=at, actor_id=who, attributes=viewed, content={"rationale": "ticket 4821"})
    ledger.add("span", at=at + 60, recorded=at + 60, name="GET /")
    with open_embedded(folder, Role.ADMIN) as database:
        migrate(database)
        ledger.write(database)
    return ledger.hashes[-1].hex()


def earlier_weeks(folder: DataFolder, people: Mapping[int, Iterable[str]]) -> None:
    """A data folder whose own ledger began in earlier weeks. ``people`` by Monday: the first exports much, others look.

    A receiver goes on with it, and it verifies: there are no texts, which ``commitment_of`` would be wrong for.
    """
    ledger = LedgerRows(folder.create().origin)
    for monday, persons in people.items():
        for number, person in enumerate(persons):
            at = (monday - T0) / SECOND + (34 + 5 * number) * 3600
            said = {"audit.action": "VIEW", "audit.target.id": f"loan-{number}", "audit.target.type": "task"}
            if not number:
                said |= {"audit.action": "EXPORT", "audit.target.id": "events.csv", "audit.target.type": "events"}
            ledger.add(
                "access", at=at, recorded=at, actor_id=person, name=said["audit.action"],
                attributes=list(said.items()), attributes_json=[] if number else [("audit.row_count", "12000")],
            )  # fmt: skip
    with open_embedded(folder, Role.ADMIN) as database:
        migrate(database)
        ledger.write(database)
