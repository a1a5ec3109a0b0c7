"""Operations that only a ledger's writer can do, by the names that ``control`` and the commands know them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.ledger.checkpoint import read_checkpoint
from otel_audit.receiver.anchoring import Anchoring
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.store.database import Database
from otel_audit.store.folder import DataFolder
from otel_audit.store.writer import LedgerWriter


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """A ledger that this process writes.

    ``writer`` and ``checkpointer`` belong to the sequencer's thread: use them in ``sequencer.perform`` alone.
    """

    folder: DataFolder
    anchor_dir: Path
    database: Database
    writer: LedgerWriter
    checkpointer: Checkpointer
    sequencer: Sequencer
    anchoring: Anchoring


Operation = Callable[[OpenLedger, Mapping[str, Any]], Any]
"""(ledger, arguments) -> result; both are JSON. Raises ConfigError for arguments that are wrong."""


def checkpoint(ledger: OpenLedger, _: Mapping[str, Any]) -> dict[str, Any]:
    """Seal what is committed now; where nothing is new, the newest checkpoint stands."""
    note = ledger.sequencer.perform(ledger.checkpointer.seal).result()
    sealed = read_checkpoint(note)
    return {"origin": sealed.origin, "size": sealed.size, "root_hash": sealed.root_hash.hex(), "note": note}


def anchor(ledger: OpenLedger, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Seal what is committed, and publish it now to the external anchors (those of one ``kind``)."""
    carriers = ledger.anchoring.carriers
    kind = str(arguments.get("kind", ""))
    if not carriers:
        raise ConfigError("no external anchors are set up: give `up` or `serve` an --anchors FILE")
    if kind and kind not in {carrier.settings.kind for carrier in carriers}:
        raise ConfigError(f"no anchor of kind {kind!r} is set up")
    sealed = checkpoint(ledger, {})
    return {"origin": sealed["origin"], "size": sealed["size"], "anchors": ledger.anchoring.carry_now(kind)}


OPERATIONS: Final[Mapping[str, Operation]] = {"checkpoint": checkpoint, "anchor": anchor}
