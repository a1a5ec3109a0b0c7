"""A ledger that this process writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from otel_audit.receiver.anchoring import Anchoring
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.erasure import Eraser
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
    anchoring: Anchoring
