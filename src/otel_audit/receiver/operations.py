"""Operations that only a ledger's writer can do, by the names that ``control`` and the commands know them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.ledger.checkpoint import read_checkpoint
from otel_audit.receiver.digests import make_digest
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.open_ledger import OpenLedger
from otel_audit.receiver.retention import hold_add, hold_list, hold_remove, retention
from otel_audit.receiver.rotation import rotate_key

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


OPERATIONS: Final[Mapping[str, Operation]] = {
    "checkpoint": checkpoint,
    "anchor": anchor,
    "erase": erase,
    "rotate-key": rotate_key,
    "retention": retention,
    "hold_add": hold_add,
    "hold_list": hold_list,
    "hold_remove": hold_remove,
}
