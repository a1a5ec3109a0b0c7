"""Consecutive rows of a ledger under verification, and how they are cut into tiles."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from otel_audit.ledger.tiles import TILE_WIDTH


class Row(NamedTuple):
    """One stored row; ``encoding`` is what its hash should be over."""

    seq: int
    prev_hash: bytes
    hash: bytes
    encoding: bytes


class RowBlock(NamedTuple):
    """Consecutive rows ordered by seq, as columns of equal length.

    With ``is_hashed`` the encodings are not there: each is replaced by its leaf hash, as the engine or a process of
    ours computed it.
    """

    seqs: list[int]
    prev_hashes: list[bytes]
    hashes: list[bytes]
    encodings: list[bytes]
    is_hashed: bool = False

    @property
    def first_seq(self) -> int:
        """The seq of the first row."""
        return self.seqs[0]

    @property
    def first_prev(self) -> bytes:
        """What the first row links to."""
        return self.prev_hashes[0]

    def part(self, start: int, end: int) -> RowBlock:
        """Return the rows at [start, end) of this block."""
        cut = slice(start, end)
        return RowBlock(self.seqs[cut], self.prev_hashes[cut], self.hashes[cut], self.encodings[cut], self.is_hashed)

    def joined(self, other: RowBlock) -> RowBlock:
        """Return these rows followed by those of ``other``, which has encodings where this one has."""
        return RowBlock(
            self.seqs + other.seqs,
            self.prev_hashes + other.prev_hashes,
            self.hashes + other.hashes,
            self.encodings + other.encodings,
            self.is_hashed,
        )

    def rows(self) -> list[Row]:
        """Return the rows one by one."""
        return [Row(*values) for values in zip(*self[:4], strict=True)]


class HashedTile(NamedTuple):
    """The 256 rows of a tile, all there, each with the hash of its encoding and linked to the one before.

    ``leaves`` are their hashes back to back, ``root`` the root over them; the first row links to ``first_prev``.
    """

    first_seq: int
    first_prev: bytes
    leaves: bytes
    root: bytes


def chunks(blocks: Iterable[RowBlock | HashedTile]) -> Iterator[RowBlock | HashedTile]:
    """Regroup rows by tile, that is, by seq // 256."""
    held: RowBlock | None = None
    for block in blocks:
        if isinstance(block, HashedTile):
            if held is not None:
                yield held
                held = None
            yield block
            continue
        position, size = 0, len(block.seqs)
        while position < size:
            index = block.seqs[position] // TILE_WIDTH
            # A store that does not keep the order must not keep us here.
            end = max(position + 1, bisect_left(block.seqs, (index + 1) * TILE_WIDTH, position))
            part = block.part(position, end)
            if held is not None and held.first_seq // TILE_WIDTH == index:
                held = held.joined(part)
            else:
                if held is not None:
                    yield held
                held = part
            position = end
    if held is not None:
        yield held
