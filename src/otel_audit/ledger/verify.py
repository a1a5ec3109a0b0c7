"""Verification of one ledger: hashes, chain, tree, and every signed root, in one pass and constant memory.

Pure: rows, tiles and signed checkpoints come in as iterators, findings go out. ``LedgerVerifier.run``:

0. Entries are taken 256 at a time, the width of a tile; ``examine`` looks closely where anything is wrong.
1. Each row's encoding is hashed anew, and must give the stored hash.
2. Each ``prev_hash`` must be the hash of the entry before; that of entry 0 is SHA-256(origin).
3. seq must be contiguous, each once.
4. The leaf hashes must be those of the stored tile.
5. The Merkle tree grows over them, and each level above must be what its tiles hold.
6. Wherever a signed checkpoint was made, stored or anchored, the root must be the signed one.
7. No two signed roots for one size.
8. No signed checkpoint and no tile may reach beyond the last row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import WrongOrigin, open_checkpoint
from otel_audit.ledger.diagnosis import Candidates
from otel_audit.ledger.encoding import HASH_SIZE, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.examine import Row, Suspect, examine, name_suspects, report_hole
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.merkle import EMPTY_ROOT, CompactRange, tree_root
from otel_audit.ledger.note import BadSignature, UnknownKey, VerifierKey
from otel_audit.ledger.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, split_hashes
from otel_audit.model import Checkpoint

_SUSPECTS_KEPT: Final = 2000  # for naming; all beyond are reported with what is known of them at once


class RowBlock(NamedTuple):
    """Consecutive rows, ordered by seq, as columns of equal length."""

    seqs: Sequence[int]
    prev_hashes: Sequence[bytes]
    hashes: Sequence[bytes]
    encodings: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Seal:
    """A checkpoint with a verified signature: at ``size`` the root was ``root_hash``.

    ``anchored`` when it came from an anchor, ``source`` says where a person finds it.
    """

    size: int
    root_hash: bytes
    source: str
    anchored: bool


@dataclass(slots=True)
class Outcome:
    """What a run established. ``size`` and ``root_hash`` are of the rows; sizes are 0 when there was none."""

    size: int = 0
    root_hash: bytes = EMPTY_ROOT
    sealed_size: int = 0  # the largest size whose signed root the rows have
    anchored_size: int = 0  # the same, from an anchor
    checkpoint: Checkpoint | None = None  # the largest stored checkpoint with a valid signature
    anchors_seen: int = 0


def open_seal(
    note: str, keys: Sequence[VerifierKey], source: str, findings: Findings, *, anchored: bool
) -> Seal | None:
    """Check one signed checkpoint; what is wrong with it becomes a finding."""
    try:
        checkpoint = open_checkpoint(note, keys, findings.origin)
    except BadSignature as exc:
        findings.add(Code.BAD_SIGNATURE, f"{source}: {exc}")
    except UnknownKey as exc:
        findings.add(Code.UNKNOWN_KEY, f"{source}: {exc}")
    except WrongOrigin as exc:
        findings.add(Code.WRONG_ORIGIN, f"{source}: {exc}")
    except VerificationError as exc:
        findings.add(Code.BAD_SIGNATURE, f"{source}: {exc}")
    else:
        return Seal(checkpoint.size, checkpoint.root_hash, source, anchored)
    return None


@dataclass(slots=True)
class _Branch:
    """A tree over the tiles' hashes, kept beside the tree over the rows since they parted at ``seqs``."""

    tree: CompactRange
    seqs: list[int]


@dataclass(slots=True)
class LedgerVerifier:
    """One run over one ledger.

    ``seals`` come in order of size. ``tiles`` are the full tiles of level 0 as (index, hashes) in order;
    ``upper_tile(level, index)`` gives the stored versions of a tile above. ``declared_size`` is the largest size
    that anything in the store or an anchor claims; tiles below ``tiled_size`` have to be there. A run that does
    not begin at entry 0 gets ``start`` (a multiple of 256), the tree before it and the leaf hash before it.
    """

    findings: Findings
    seals: Iterator[Seal]
    tiles: Iterator[tuple[int, bytes]]
    upper_tile: Callable[[int, int], Sequence[bytes]]
    candidates: Candidates
    declared_size: int = 0
    tiled_size: int = 0
    start: int = 0
    tree: CompactRange | None = field(default_factory=CompactRange)
    prev_leaf: bytes | None = None
    outcome: Outcome = field(default_factory=Outcome)
    _suspects: list[Suspect] = field(default_factory=list)
    _branch: _Branch | None = None
    _rebuilt: bool = False
    _contradicted: set[bool] = field(default_factory=set)  # kinds of seals (anchored or not) the rows contradict
    _group: list[Seal] = field(default_factory=list)  # the next seals, all of one size
    _ahead: Seal | None = None
    _next_tile: tuple[int, bytes] | None = None
    _uppers: list[list[bytes]] | None = field(default_factory=list)  # per level: hashes of the tile being filled
    _next: int = 0  # the next seq that is expected
    _prefix: bytes = b""

    def run(self, blocks: Iterable[RowBlock], progress: Callable[[int], None] | None = None) -> Outcome:
        """Verify the rows that ``blocks`` give; ``progress`` hears how many seqs are done."""
        origin = self.findings.origin
        self._prefix = origin_prefix(origin)
        self._next = self.start
        if self.start == 0:
            self.prev_leaf = genesis_hash(origin)
        else:
            self._uppers = None  # Their first part lies before the start.
        self._next_group()
        self._next_tile = next(self.tiles, None)
        waiting: RowBlock | None = None
        for chunk in _chunks(blocks):  # 0
            if waiting is not None:
                self._take(waiting, chunk)
                if progress is not None:
                    progress(self._next - self.start)
            waiting = chunk
        if waiting is not None:
            self._take(waiting, None)
        self._finish()
        return self.outcome

    def _take(self, chunk: RowBlock, following: RowBlock | None) -> None:
        start = chunk.seqs[0] - chunk.seqs[0] % TILE_WIDTH
        next_prev = following.prev_hashes[0] if following and following.seqs[0] == start + TILE_WIDTH else None
        if start != self._next and not self._close_hole(chunk, start):
            return
        tile = self._tile(start // TILE_WIDTH)
        computed = [leaf_hash(encoding) for encoding in chunk.encodings]
        if self._is_sound(chunk, computed, start, tile, is_last=following is None):
            self._advance(start, computed, None, tile is not None and len(computed) == TILE_WIDTH)
            self.prev_leaf = computed[-1]
            self._next = start + len(computed)
        else:
            self._take_closely(chunk, start, tile, next_prev, is_last=following is None)

    def _is_sound(
        self, chunk: RowBlock, computed: list[bytes], start: int, tile: bytes | None, *, is_last: bool
    ) -> bool:
        """The common case, with as little work per row as Python allows."""
        width = len(computed)
        return (
            computed == chunk.hashes  # 1
            and chunk.prev_hashes[0] == self.prev_leaf  # 2
            and computed[:-1] == chunk.prev_hashes[1:]
            and (width == TILE_WIDTH or is_last)  # 3
            and chunk.seqs == list(range(start, start + width))
            and (tile is None or (b"".join(computed) == tile if width == TILE_WIDTH else width + start < self.declared_size))  # 4
            and all(encoding.startswith(self._prefix) for encoding in chunk.encodings)
        )
