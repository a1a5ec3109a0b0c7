"""What a report takes from beside the store: the same for the command and for the dashboard."""

from __future__ import annotations

from pathlib import Path

from otel_audit.reports.compliance.report import Beside
from otel_audit.reports.evidence_sources import evidence_to_hand_over
from otel_audit.store.anchor_states import read_states
from otel_audit.store.folder import DataFolder
from otel_audit.store.recheck_state import RecheckState


def read_beside(
    folder: DataFolder | None, anchor_dir: Path | None, anchors_from: Path | None
) -> tuple[Beside, tuple[str, ...]]:
    """What anchors hold and how they and the receiver's own check stand, and what is wrong with the anchors.

    Arguments and errors are those of ``evidence_to_hand_over``; without a folder only the anchors are known.
    """
    anchors = evidence_to_hand_over(folder, anchor_dir, anchors_from)
    trouble = (*anchors.damaged, *(f"{each.code}: {each.detail}" for each in anchors.findings))
    if folder is None:
        return Beside(anchors.checkpoints), trouble
    return Beside(anchors.checkpoints, read_states(folder), RecheckState.read(folder)), trouble
