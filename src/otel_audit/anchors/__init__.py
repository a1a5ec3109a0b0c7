"""Anchors: copies and timestamps of checkpoints, kept where whoever can rewrite the store can not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from otel_audit.ledger.checkpoint import AnchoredCheckpoint
from otel_audit.model import Finding


@dataclass(frozen=True, slots=True)
class AnchorReading:
    """What an anchor gave back: the checkpoints, oldest first, and what of it could not be read.

    ``damaged`` says file and line of each record that is no record. A crash leaves at most a torn last line,
    but so does somebody who edits the file: it is always reported. ``findings`` is what is wrong with the anchor
    itself, such as a lock that is gone.
    """

    checkpoints: tuple[AnchoredCheckpoint, ...] = ()
    damaged: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def join_readings(readings: Iterable[AnchorReading]) -> AnchorReading:
    """What several anchors gave back, as one."""
    joined = list(readings)
    return AnchorReading(
        tuple(checkpoint for reading in joined for checkpoint in reading.checkpoints),
        tuple(damage for reading in joined for damage in reading.damaged),
        tuple(finding for reading in joined for finding in reading.findings),
    )
