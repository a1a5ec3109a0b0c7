"""Checkpoints of a growing ledger: full tiles, a signed note in the store, a copy in each anchor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from otel_audit.errors import LedgerConflict, VerificationError
from otel_audit.ledger.checkpoint import open_checkpoint, sign_checkpoint
from otel_audit.ledger.merkle import SubtreeGetter, consistency_proof, verify_consistency
from otel_audit.ledger.note import Signer, VerifierKey
from otel_audit.ledger.tiles import TILE_WIDTH, Tile, TileBuilder
from otel_audit.model import Checkpoint
from otel_audit.store.writer import LedgerWriter

DEFAULT_INTERVAL_SECONDS: Final = 5.0  # TRUST: at most 10 s after new entries


class Anchor(Protocol):
    """Where checkpoints are kept out of the store's reach."""

    def publish(self, note: str, checkpoint: Checkpoint) -> None:
        """Keep a signed checkpoint. Raises LedgerConflict when it contradicts an earlier one."""


class Checkpointer:
    """Follows the ledger's leaves and seals them. Owned by the sequencer's thread.

    ``interval_seconds`` is the longest that a committed entry waits for its checkpoint. ``earlier_keys`` are the
    ledger's keys before ``signer``: what they signed is continued too.
    """

    def __init__(
        self,
        writer: LedgerWriter,
        signer: Signer,
        anchors: Sequence[Anchor],
        *,
        earlier_keys: Sequence[VerifierKey] = (),
        interval_seconds: float = DEFAULT_INTERVAL_SECONDS,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        last_anchored: Checkpoint | None = None,
    ) -> None:
        self._writer = writer
        self._signers = [signer]
        self._keys = list(dict.fromkeys([signer.verifier_key, *earlier_keys]))
        self._anchors = anchors
        self._interval = interval_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._last_anchored = last_anchored
        self._builder = TileBuilder()
        self._sealed = Checkpoint(writer.origin, 0, self._builder.root())
        self._note = ""
        self._unstored: list[Tile] = []  # full, but not in the store yet
        self._recent: list[Tile] = []  # full since the last checkpoint
        self._due_at: float | None = None
        self._published_at = float("-inf")

    def resume(self, size: int) -> None:
        """Rebuild the tree's right edge from the store, and prove that it continues what was sealed.

        Raises LedgerConflict when the store is shorter than, or differs from, the newest checkpoint.
        """
        tiles = self._writer.full_tile_count()
        if tiles * TILE_WIDTH > size:
            raise LedgerConflict(
                f"ledger {self._writer.origin}: the store has {size} entries, its tiles cover {tiles * TILE_WIDTH}: "
                "entries are missing; run otel-audit verify"
            )
        self._builder = TileBuilder.resume(tiles * TILE_WIDTH, self._writer.full_tile, [])
        self._builder.extend(self._writer.leaf_hashes(tiles * TILE_WIDTH, size))
        self._unstored = self._recent = (
            self._builder.take_full_tiles()
        )  # a crash between entries and tiles left these out
        note = self._writer.newest_checkpoint()
        if note is not None:
            stored = open_checkpoint(note, self._keys, self._writer.origin)
            self._check_continues(stored, "the newest checkpoint in the store")
            self._sealed, self._note = stored, note
        if self._last_anchored is not None:
            self._check_continues(self._last_anchored, "the newest anchored checkpoint")
        if size > self._sealed.size:
            self._due_at = self._monotonic()

    @property
    def signers(self) -> Sequence[Signer]:
        """The keys that sign now."""
        return self._signers

    def sign_with(self, signers: Sequence[Signer]) -> None:
        """Sign the next checkpoints with these keys instead: both, while one takes over from the other."""
        self._signers = list(signers)

    def add(self, leaves: Sequence[bytes]) -> None:
        """Take committed entries into the tree."""
        if leaves:
            self._builder.extend(leaves)
            if self._due_at is None:
                # At once after a quiet time, else an interval after the last one.
                self._due_at = max(self._monotonic(), self._published_at + self._interval)

    def seconds_until_due(self) -> float | None:
        """Seconds until a checkpoint is due, 0 when it is; None when nothing is new."""
        return None if self._due_at is None else max(0.0, self._due_at - self._monotonic())

    def postpone(self) -> None:
        """Try again after the interval."""
        self._due_at = self._monotonic() + self._interval

    def publish(self) -> None:
        """Store new full tiles, then sign, store and anchor a checkpoint. Does nothing when nothing is new."""
        full = self._builder.take_full_tiles()
        self._unstored = [*self._unstored, *full]
        self._recent = [*self._recent, *full]
        if self._unstored:
            self._writer.append_tiles(self._unstored)
            self._unstored = []
        if self._builder.size == self._sealed.size:
            self._due_at = None
            return
        checkpoint = Checkpoint(self._writer.origin, self._builder.size, self._builder.root())
        self._check_continues(self._sealed, "the last checkpoint")
        note = sign_checkpoint(checkpoint, self._signers)
        self._writer.append_checkpoint(checkpoint.size, checkpoint.root_hash, self._clock(), note)
        self._sealed, self._note, self._recent = checkpoint, note, []
        for anchor in self._anchors:
            anchor.publish(note, checkpoint)
        self._due_at = None
        self._published_at = self._monotonic()

    def seal(self) -> str:
        """Seal what is committed now, without waiting until it is due, and return the newest signed checkpoint."""
        self.publish()
        return self._note

    def _check_continues(self, older: Checkpoint, what: str) -> None:
        """Prove, from stored tiles, that the tree we are about to seal contains the older one unchanged."""
        size, root = self._builder.size, self._builder.root()
        if older.size > size:
            raise LedgerConflict(
                f"ledger {self._writer.origin}: {what} has {older.size} entries, the store has {size}: "
                "entries are missing; run otel-audit verify"
            )
        if older.size in {0, size}:
            contradicts = older.size == size and older.root_hash != root
        else:
            contradicts = not self._is_consistent(older, size, root)
        if contradicts:
            raise LedgerConflict(
                f"ledger {self._writer.origin}: the entries below {older.size} are not what {what} sealed; "
                "run otel-audit verify"
            )

    def prove_consistency(self, size1: int, size2: int) -> list[bytes]:
        """The consistency proof between two sizes of this ledger, 0 < size1 <= size2 <= its size, from stored tiles.

        Raises VerificationError for other sizes.
        """
        if size2 > self._builder.size:
            raise VerificationError(f"consistency proof: the ledger has {self._builder.size} entries, not {size2}")
        return consistency_proof(size1, size2, self._subtree())

    def _subtree(self) -> SubtreeGetter:
        cached = {(tile.level, tile.index): tile.hashes for tile in self._recent}

        def full_tile(level: int, index: int) -> bytes:
            if (level, index) not in cached:
                cached[level, index] = self._writer.full_tile(level, index)
            return cached[level, index]

        return self._builder.subtrees(full_tile)

    def _is_consistent(self, older: Checkpoint, size: int, root: bytes) -> bool:
        try:
            proof = self.prove_consistency(older.size, size)
            verify_consistency(older.size, older.root_hash, size, root, proof)
        except VerificationError:
            return False
        return True
