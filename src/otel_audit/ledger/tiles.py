"""Hash tiles of the C2SP tlog-tiles layout: the skeleton of a ledger's Merkle tree.

Tile (level l, index n) holds the 256 hashes MTH(D[(n*256 + i) * 256**l : (n*256 + i + 1) * 256**l]), i = 0..255:
level 0 holds leaf hashes, each hash above is the root over a full tile below. Only full tiles are kept; the
incomplete ones follow from them and from the at most 255 leaf hashes after the last full tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from otel_audit.errors import VerificationError
from otel_audit.ledger.encoding import HASH_SIZE
from otel_audit.ledger.merkle import EMPTY_ROOT, SubtreeGetter, tree_root

TILE_HEIGHT: Final = 8  # C2SP tlog-tiles
TILE_WIDTH: Final = 1 << TILE_HEIGHT
TILE_BYTES: Final = TILE_WIDTH * HASH_SIZE

TileGetter = Callable[[int, int], bytes]
"""(level, index) -> the 8192 bytes of that full tile."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile: ``hashes`` is 256 hashes of 32 bytes, concatenated."""

    level: int
    index: int
    hashes: bytes


def split_hashes(hashes: bytes) -> list[bytes]:
    """The single hashes of a full tile. Raises VerificationError unless it has exactly 8192 bytes."""
    if len(hashes) != TILE_BYTES:
        raise VerificationError(f"tile has {len(hashes)} bytes, expected {TILE_BYTES}")
    return [hashes[offset : offset + HASH_SIZE] for offset in range(0, TILE_BYTES, HASH_SIZE)]


def tile_root(hashes: bytes) -> bytes:
    """Root over a full tile: one hash of the level above."""
    return tree_root(split_hashes(hashes))


class TileBuilder:
    """Grows a ledger's tree leaf by leaf, and hands out each tile once it is full.

    It remembers at most 255 hashes a level. ``take_full_tiles`` gives a tile once: what it returned must be
    stored before a checkpoint of that size is signed.
    """

    def __init__(self) -> None:
        self._open: list[list[bytes]] = []  # per level: the hashes after its last full tile
        self._full: list[Tile] = []
        self.size = 0

    @classmethod
    def resume(cls, size: int, full_tile: TileGetter, tail_leaves: Sequence[bytes]) -> TileBuilder:
        """Continue a ledger of ``size`` entries from its stored full tiles and the leaf hashes after them.

        ``tail_leaves`` are the leaf hashes from ``size - size % 256`` on. Reads only the right edge: at most
        255 tiles a level. Raises VerificationError when the tail has another length. The caller compares
        ``root()`` with the checkpoint it trusts.
        """
        if len(tail_leaves) != size % TILE_WIDTH:
            raise VerificationError(
                f"tree of size {size}: expected {size % TILE_WIDTH} leaf hashes after the last full tile, "
                f"got {len(tail_leaves)}"
            )
        builder = cls()
        builder.size = size
        builder._open.append(list(tail_leaves))
        level, count = 1, size >> TILE_HEIGHT  # count: hashes at this level
        while count:
            first_open = count - count % TILE_WIDTH
            builder._open.append([tile_root(full_tile(level - 1, index)) for index in range(first_open, count)])
            level, count = level + 1, count >> TILE_HEIGHT
        return builder

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self._append(0, leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf in leaves:
            self.append(leaf)

    def _append(self, level: int, value: bytes) -> None:
        if level == len(self._open):
            self._open.append([])
        hashes = self._open[level]
        hashes.append(value)
        if len(hashes) == TILE_WIDTH:
            index = self.size >> (TILE_HEIGHT * (level + 1))
            self._full.append(Tile(level, index, b"".join(hashes)))
            root = tree_root(hashes)
            hashes.clear()
            self._append(level + 1, root)

    def take_full_tiles(self) -> list[Tile]:
        """The tiles that became full since the last call, lower levels first."""
        full, self._full = self._full, []
        return full

    def subtrees(self, full_tile: TileGetter) -> SubtreeGetter:
        """A getter of perfect subtrees of the tree so far, for proofs: the right edge comes from memory."""

        def unit(level: int, index: int) -> bytes:
            first_open = (self.size >> (TILE_HEIGHT * (level + 1))) << TILE_HEIGHT
            if index >= first_open:
                return self._open[level][index - first_open]
            tile, offset = divmod(index, TILE_WIDTH)
            return full_tile(level, tile)[offset * HASH_SIZE : (offset + 1) * HASH_SIZE]

        def subtree(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, TILE_HEIGHT)
            return tree_root([unit(tile_level, position) for position in range(index << height, (index + 1) << height)])

        return subtree

    def root(self) -> bytes:
        """Root hash over all leaves so far (at most 256 hashes a level)."""
        partial: list[bytes] = []
        for hashes in self._open:
            units = hashes + partial
            partial = [tree_root(units)] if units else []
        return partial[0] if partial else EMPTY_ROOT


def tile_subtrees(size: int, full_tile: TileGetter, tail_leaves: Sequence[bytes]) -> SubtreeGetter:
    """A getter of perfect subtrees within [0, size), for proofs in O(log size) tile reads.

    ``tail_leaves`` are the leaf hashes from ``size - size % 256`` on (needed only for what reaches into them).
    """
    tail_start = size - size % TILE_WIDTH

    def unit(level: int, index: int) -> bytes:
        """Hash ``index`` of tile level ``level``."""
        tile, offset = divmod(index, TILE_WIDTH)
        if (tile + 1) << (TILE_HEIGHT * (level + 1)) <= size:
            hashes = full_tile(level, tile)
            if len(hashes) != TILE_BYTES:
                raise VerificationError(f"tile ({level}, {tile}) has {len(hashes)} bytes, expected {TILE_BYTES}")
            return hashes[offset * HASH_SIZE : (offset + 1) * HASH_SIZE]
        if level:
            return tile_root(full_tile(level - 1, index))
        return tail_leaves[index - tail_start]

    def subtree(level: int, index: int) -> bytes:
        if (index + 1) << level > size:
            raise VerificationError(f"subtree ({level}, {index}) reaches beyond size {size}")
        tile_level, height = divmod(level, TILE_HEIGHT)
        return tree_root([unit(tile_level, position) for position in range(index << height, (index + 1) << height)])

    return subtree
