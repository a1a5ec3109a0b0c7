"""Operations that only a ledger's writer can do, by the names that ``control`` and the commands know them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_audit.ledger.checkpoint import read_checkpoint
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.erasure import Eraser, ErasureRequest
from otel_audit.receiver.rotation import rotate_key
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
    eraser: Eraser


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


OPERATIONS: Final[Mapping[str, Operation]] = {"checkpoint": checkpoint, "erase": erase, "rotate-key": rotate_key}
