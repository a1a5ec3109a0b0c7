"""Anchors: copies and timestamps of checkpoints, kept where whoever can rewrite the store can not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from otel_audit.ledger.checkpoint import AnchoredCheckpoint
from otel_audit.ledger.digest import StoredDigest
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
    digests: tuple[StoredDigest, ...] = ()


@dataclass(frozen=True, slots=True)
class Publication:
    """A signed checkpoint on its way to an anchor: the note, and the ledger and size that it states.

    With ``is_digest`` the note is a digest over all ledgers: ``origin`` signed it, and ``size`` is its number.
    """

    note: str
    origin: str
    size: int
    is_digest: bool = False


class ExternalAnchor(Protocol):
    """An anchor that is reached over a network, and may be away for a while."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    @property
    def kind(self) -> str:
        """The kind of anchor, such as ``s3``."""

    def publish(self, publication: Publication) -> None:
        """Keep a note; publishing it again is harmless.

        Raises AnchorUnavailable when it has to be tried again, AnchorConflict when the anchor holds something else.
        """


@runtime_checkable
class UpgradedAnchor(ExternalAnchor, Protocol):
    """An anchor that promises first, and proves hours later."""

    def upgrade(self) -> int:
        """Complete what can be completed by now, and return how many promises are still open.

        Raises AnchorUnavailable when it has to be tried again because something failed. Open promises are no failure.
        """


def join_readings(readings: Iterable[AnchorReading]) -> AnchorReading:
    """What several anchors gave back, as one."""
    kept = list(readings)
    return AnchorReading(
        tuple(each for reading in kept for each in reading.checkpoints),
        tuple(each for reading in kept for each in reading.damaged),
        tuple(each for reading in kept for each in reading.findings),
        tuple(each for reading in kept for each in reading.digests),
    )
