"""Operations that only a ledger's writer can do, by the names that ``control`` and the commands know them by."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.ledger.checkpoint import read_checkpoint
from otel_audit.model import EventType
from otel_audit.receiver.digests import make_digest
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.losses import internal_event
from otel_audit.receiver.open_ledger import OpenLedger
from otel_audit.receiver.retention import hold_add, hold_list, hold_remove, retention
from otel_audit.receiver.rotation import rotate_key
from otel_audit.semconv import AUDIT_ACTION, AUDIT_OUTCOME, AUDIT_ROW_COUNT, AUDIT_TARGET_ID, AUDIT_TARGET_TYPE

__all__ = ["OPERATIONS", "OpenLedger", "Operation"]


Operation = Callable[[OpenLedger, Mapping[str, Any]], Any]
"""(ledger, arguments) -> result; both are JSON. Raises ConfigError for arguments that are wrong."""


def checkpoint(ledger: OpenLedger, _: Mapping[str, Any]) -> dict[str, Any]:
    """Seal what is committed now; where nothing is new, the newest checkpoint stands."""
    note = ledger.sequencer.perform(ledger.checkpointer.seal).result()
    sealed = read_checkpoint(note)
    return {"origin": sealed.origin, "size": sealed.size, "root_hash": sealed.root_hash.hex(), "note": note}


def erase(ledger: OpenLedger, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Erase texts; with ``dry_run``, only tell what would go. The other arguments are those of ErasureRequest."""
    wanted = {**arguments, "seqs": tuple((first, last) for first, last in arguments.get("seqs", ()))}
    dry_run = wanted.pop("dry_run", False)
    request = ErasureRequest(**wanted)
    return ledger.eraser.plan(request).told() if dry_run else ledger.eraser.erase(request)


def anchor(ledger: OpenLedger, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Seal what is committed, and publish it now to the external anchors (those of one ``kind``).

    A digest over all ledgers is made, too; with ``kind`` file nothing else is done.
    """
    carriers = ledger.anchoring.carriers
    kind = str(arguments.get("kind", ""))
    if not carriers and kind != "file":
        raise ConfigError("no external anchors are set up: give `up` or `serve` an --anchors FILE")
    if kind not in {"", "file"} and kind not in {carrier.settings.kind for carrier in carriers}:
        raise ConfigError(f"no anchor of kind {kind!r} is set up")
    sealed = checkpoint(ledger, {})
    digest = make_digest(ledger)
    return {
        "origin": sealed["origin"],
        "size": sealed["size"],
        "digest": digest.number if digest else 0,
        "anchors": ledger.anchoring.carry_now(kind),
    }


def access(ledger: OpenLedger, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Record that somebody takes entries out: who, what (type, name), by which filter, how many ``rows``, and why.

    Why may be left out. Raises ConfigError without the others.
    """
    words = {name: str(arguments.get(name, "")) for name in ("actor", "target_type", "target", "purpose", "filter")}
    if not (words["actor"] and words["target_type"]):
        raise ConfigError("an access needs actor and target_type")
    named = [
        (AUDIT_ACTION, "EXPORT"),
        (AUDIT_OUTCOME, "success"),
        (AUDIT_TARGET_TYPE, words["target_type"]),
        *([(AUDIT_TARGET_ID, words["target"])] if words["target"] else []),
    ]
    event = internal_event(
        EventType.ACCESS,
        time.time_ns(),
        name="EXPORT",
        attributes=named,
        attributes_json=[(AUDIT_ROW_COUNT, str(int(arguments.get("rows", 0))))],
    )
    event.columns["actor_id"], event.columns["actor_type"] = words["actor"], "user"
    event.content["filter"] = words["filter"] or "everything"
    if words["purpose"]:
        event.content["rationale"] = words["purpose"]
    (receipt,) = ledger.sequencer.submit([event]).result()
    return {"seq": receipt.seq}


OPERATIONS: Final[Mapping[str, Operation]] = {
    "access": access,
    "checkpoint": checkpoint,
    "anchor": anchor,
    "erase": erase,
    "rotate-key": rotate_key,
    "retention": retention,
    "hold_add": hold_add,
    "hold_list": hold_list,
    "hold_remove": hold_remove,
}
