"""Refusals of the tile functions."""

import pytest

from otel_audit.errors import VerificationError
from otel_audit.ledger.tiles import TILE_BYTES, TileBuilder, tile_root, tile_subtrees


def test_a_short_tile_is_refused():
    """A tile of another length than 8192 bytes is not a full tile."""
    with pytest.raises(VerificationError, match="8191 bytes"):
        tile_root(bytes(TILE_BYTES - 1))
    with pytest.raises(VerificationError, match="31 bytes"):
        tile_subtrees(256, lambda level, index: bytes(31), [])(0, 3)


def test_resuming_with_a_missing_tail_leaf_is_refused():
    """A tail that doesn't match the size stops the writer before it signs a wrong root."""
    with pytest.raises(VerificationError, match="expected 3 leaf hashes"):
        TileBuilder.resume(259, lambda level, index: bytes(TILE_BYTES), [bytes(32)] * 2)


def test_a_subtree_beyond_the_size_is_refused():
    """Hashes of leaves that the tree doesn't have are not made up."""
    with pytest.raises(VerificationError, match="beyond size"):
        tile_subtrees(3, lambda level, index: b"", [bytes(32)] * 3)(1, 1)
