"""Retention and legal holds, as the ledger's writer does them: what is due, what is proven, what is stated.

Removing is a step of its own (``remove_stated``), with rights that the writer does not have. The steps, each of
which may be the last before a crash, and is found done or undone by the next run:

0. Seal: everything that is committed has a checkpoint, and the file anchor has it.
1. Prove a due partition: its rows hash to the tiles' hashes, the tiles to the anchored root.
2. State it: signed ``retention`` entries, all of a partition in one insert, and a checkpoint over them.
3. Remove the partition's entries, then its texts. Tiles stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any, Final

from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import ConfigError, LedgerConflict, VerificationError
from otel_audit.ledger.checkpoint import open_checkpoint
from otel_audit.ledger.encoding import HASH_SIZE
from otel_audit.ledger.merkle import CompactRange, tree_root
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.retention import EXPIRY, HOLD, HOLD_END, Expiry, Hold, as_ranges
from otel_audit.ledger.statement import open_statement, sign_statement
from otel_audit.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, split_hashes
from otel_audit.model import AuditEvent, Checkpoint, EventType
from otel_audit.receiver.losses import internal_event
from otel_audit.receiver.open_ledger import OpenLedger
from otel_audit.receiver.prepare import RETENTION_CLASSES
from otel_audit.semconv import AUDIT_RETENTION_STATEMENT
from otel_audit.store.database import Database
from otel_audit.store.retention import Partition, RetentionStore

DAY_SECONDS: Final = 86_400
# Days are counted so that a period is never shorter than its months: EU AI Act Art. 19(1) and 26(6) ask for at least
# six months. SOC 2 and HIPAA name no period for logs; one and six years are what is asked for in practice.
DEFAULT_KEEP_DAYS: Final[Mapping[str, int]] = {"eu_ai_act": 186, "soc2": 366, "standard": 366, "hipaa": 2192}
_NANOS: Final = 1_000_000_000
_RANGES_A_STATEMENT: Final = 20_000  # about 300 KB of JSON


def retention(ledger: OpenLedger, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Tell every partition's state; with ``apply``, also state in the ledger which expire (steps 0 to 2).

    ``keep`` maps classes to seconds. States: kept, held, expired, not_proven, stated (and still to be removed).
    """
    keep = _periods(arguments.get("keep", {}))
    store = RetentionStore(ledger.database, ledger.writer.origin)
    apply = bool(arguments.get("apply"))
    if apply:
        ledger.sequencer.perform(ledger.checkpointer.seal).result()  # 0
    stated = {(each.retention_class, each.month) for _, each in store.expiries()}
    holds = store.holds()
    now = time.time_ns()
    told = []
    for partition in store.partitions():
        state, why = _judge(partition, keep, now, stated)
        held = [hold.hold_id for hold in holds if store.held_count(hold, partition=partition)]
        if state == "expired" and held:
            state, why = "held", f"by hold {', '.join(held)}"
        if state == "expired":
            try:
                proven = _prove(ledger, store, partition)  # 1
            except VerificationError as exc:
                state, why = "not_proven", str(exc)
            else:
                if apply:
                    expiries = _expiries(store.origin, partition, proven, keep[partition.retention_class], now)
                    with ledger.eraser.undisturbed():  # no other key may come between signing and the entry
                        events = [_statement(ledger, EXPIRY, each.to_fields()) for each in expiries]
                        ledger.sequencer.submit(events).result()  # 2
                    state, why = "stated", "in this run"
        told.append({**asdict(partition), "state": state, "why": why})
    if apply:
        ledger.sequencer.perform(ledger.checkpointer.seal).result()
    return {"origin": store.origin, "partitions": told}


def remove_stated(database: Database, origin: str, keys: Sequence[VerifierKey]) -> list[tuple[str, int, int]]:
    """Remove what signed statements say expired, and return (class, month, entries) of each partition removed (3).

    ``database`` is open as ADMIN. Raises LedgerConflict when a partition is not what was stated: nothing of it is
    removed then. Doing it again finishes what a crash left.
    """
    store = RetentionStore(database, origin)
    stated: dict[tuple[str, int], list[Expiry]] = {}
    for seq, note in store.statements():
        if note.startswith(f"otel-audit/{EXPIRY}/"):
            try:
                expiry = Expiry.from_fields(open_statement(note, keys, EXPIRY).fields)
            except VerificationError as exc:
                raise LedgerConflict(f"{origin}: retention entry {seq}: {exc}; run otel-audit verify") from exc
            stated.setdefault((expiry.retention_class, expiry.month), []).append(expiry)
    there = {(each.retention_class, each.month): each for each in store.partitions()}
    removed = []
    for key, expiries in stated.items():
        partition = there.get(key)
        if partition is not None:
            _require_as_stated(store, partition, expiries)
        if any(own for own, _ in store.stored_in(*key).values()):
            store.drop(*key)
            removed.append((*key, sum(each.count for each in expiries)))
    return removed


def hold_add(ledger: OpenLedger, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Keep entries of a task, a reviewer, a time beyond their retention, until ``hold_remove``; returns the hold."""
    hold = Hold(
        hold_id=secrets.token_hex(6),
        task_id=str(arguments.get("task", "")),
        reviewer_id=str(arguments.get("reviewer", "")),
        start=int(arguments.get("start", 0)),
        end=int(arguments.get("end", 0)),
        since=time.time_ns(),
    )
    if not (hold.task_id or hold.reviewer_id or hold.start or hold.end):
        raise ConfigError("a hold needs a task, a reviewer or a time: without any it would keep everything")
    event = _statement(ledger, HOLD, asdict(hold), reason=str(arguments.get("reason", "")))
    ledger.sequencer.submit([event]).result()
    return asdict(hold)


def hold_remove(ledger: OpenLedger, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """End a hold. Raises ConfigError when there is none of this id."""
    wanted = str(arguments.get("hold_id", ""))
    holds = {hold.hold_id: hold for hold in RetentionStore(ledger.database, ledger.writer.origin).holds()}
    if wanted not in holds:
        raise ConfigError(f"there is no hold {wanted!r}; in force: {', '.join(sorted(holds)) or 'none'}")
    fields = {"hold_id": wanted, "since": time.time_ns()}
    ledger.sequencer.submit([_statement(ledger, HOLD_END, fields, reason=str(arguments.get("reason", "")))]).result()
    return asdict(holds[wanted])


def hold_list(ledger: OpenLedger, _: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The holds in force, each with how many entries it keeps."""
    store = RetentionStore(ledger.database, ledger.writer.origin)
    return [{**asdict(hold), "entries": store.held_count(hold)} for hold in store.holds()]


def _periods(given: Mapping[str, Any]) -> dict[str, int]:
    if unknown := sorted(given.keys() - RETENTION_CLASSES):
        raise ConfigError(f"retention class {unknown[0]!r}: there are {', '.join(sorted(RETENTION_CLASSES))}")
    keep = {name: days * DAY_SECONDS for name, days in DEFAULT_KEEP_DAYS.items()}
    return {**keep, **{name: int(seconds) for name, seconds in given.items()}}


def _judge(partition: Partition, keep: Mapping[str, int], now: int, stated: set[tuple[str, int]]) -> tuple[str, str]:
    seconds = keep.get(partition.retention_class)
    if (partition.retention_class, partition.month) in stated:
        return "stated", "in an earlier run"
    if seconds is None:
        return "kept", "for ever"
    due = partition.last_recorded + seconds * _NANOS
    month = time.gmtime(now // _NANOS)
    if due > now or partition.month >= month.tm_year * 100 + month.tm_mon:
        return "kept", f"until {time.strftime('%Y-%m-%d', time.gmtime(due // _NANOS))}"
    return "expired", ""


def _prove(ledger: OpenLedger, store: RetentionStore, partition: Partition) -> tuple[list[tuple[int, bytes]], str]:
    """Return (seq, leaf hash) of a partition and the anchored checkpoint over them; VerificationError if it fails."""
    keys = [VerifierKey.parse(text) for text in ledger.folder.verifier_keys()]
    newest: tuple[Checkpoint, str] | None = None
    for anchored in FileAnchor(ledger.anchor_dir).read(store.origin).checkpoints:
        with contextlib.suppress(VerificationError):  # what is wrong in the anchor is for ``verify`` to name
            checkpoint = open_checkpoint(anchored.note, keys, store.origin)
            if newest is None or checkpoint.size > newest[0].size:
                newest = checkpoint, anchored.note
    if newest is None or newest[0].size <= partition.last_seq:
        raise VerificationError(f"entry {partition.last_seq} is not anchored yet")
    checkpoint, note = newest
    rows = store.leaves(partition)
    tree = CompactRange()
    proven: list[tuple[int, bytes]] = []
    row = next(rows, None)
    full = checkpoint.size // TILE_WIDTH
    for index, tile in store.tiles(full):
        if index * TILE_WIDTH != tree.size:
            raise VerificationError(f"tile {tree.size // TILE_WIDTH} is missing or there twice")
        hashes = split_hashes(tile)
        while row is not None and row[0] < (index + 1) * TILE_WIDTH:
            seq, stored, computed = row
            if not stored == computed == hashes[seq - index * TILE_WIDTH]:
                raise VerificationError(f"entry {seq} is not what the tree holds: run otel-audit verify")
            proven.append((seq, stored))
            row = next(rows, None)
        tree.append_subtree(tree_root(hashes), TILE_HEIGHT)
    if row is not None:
        raise VerificationError(f"entry {row[0]} does not lie within a full tile yet")
    tree.extend(ledger.sequencer.perform(lambda: ledger.writer.leaf_hashes(tree.size, checkpoint.size)).result())
    if tree.root() != checkpoint.root_hash:
        raise VerificationError("the tiles do not have the anchored root: run otel-audit verify")
    if len(proven) != partition.entry_count or len({seq for seq, _ in proven}) != len(proven):
        raise VerificationError("an entry is there twice: run otel-audit verify")
    return proven, note


def _expiries(
    origin: str, partition: Partition, proven: tuple[list[tuple[int, bytes]], str], keep: int, now: int
) -> Iterator[Expiry]:
    entries, note = proven
    leaves = dict(entries)
    ranges = as_ranges(seq for seq, _ in entries)
    for first in range(0, len(ranges), _RANGES_A_STATEMENT):
        part = ranges[first : first + _RANGES_A_STATEMENT]
        covered = b"".join(leaves[seq] for start, count in part for seq in range(start, start + count))
        yield Expiry(
            origin=origin,
            retention_class=partition.retention_class,
            month=partition.month,
            ranges=tuple(part),
            first_recorded=partition.first_recorded,
            last_recorded=partition.last_recorded,
            keep_seconds=keep,
            decided_at=now,
            leaf_digest=hashlib.sha256(covered).hexdigest(),
            checkpoint=note,
        )


def _require_as_stated(store: RetentionStore, partition: Partition, expiries: Sequence[Expiry]) -> None:
    where = f"{store.origin}: partition {partition.retention_class} {partition.month}"
    rows = {seq: stored for seq, stored, _ in store.leaves(partition)}
    covered = [range(start, start + count) for each in expiries for start, count in each.ranges]
    if sorted(rows) != sorted(chain.from_iterable(covered)) or len(rows) != partition.entry_count:
        raise LedgerConflict(f"{where} does not hold the entries that were stated as expired; run otel-audit verify")
    for each in expiries:
        leaves = b"".join(rows[seq] for start, count in each.ranges for seq in range(start, start + count))
        if len(leaves) != each.count * HASH_SIZE or hashlib.sha256(leaves).hexdigest() != each.leaf_digest:
            raise LedgerConflict(f"{where} was changed since it was stated as expired; run otel-audit verify")


def _statement(ledger: OpenLedger, kind: str, fields: Mapping[str, Any], reason: str = "") -> AuditEvent:
    note = sign_statement(kind, fields, ledger.checkpointer.signers)
    event = internal_event(
        EventType.RETENTION, time.time_ns(), name=kind, attributes=[(AUDIT_RETENTION_STATEMENT, note)]
    )
    return AuditEvent(event.columns, {"rationale": reason} if reason else {})
