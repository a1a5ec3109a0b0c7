"""Properties of the tree: whatever its size, roots, proofs and tiles agree, and nothing altered passes."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.errors import VerificationError
from otel_audit.ledger.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_subtrees,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from otel_audit.ledger.tiles import TILE_BYTES, TILE_WIDTH, TileBuilder, tile_root, tile_subtrees

LEAVES = [hashlib.sha256(b"\x00" + str(number).encode()).digest() for number in range(70_000)]


def mth(leaves):
    """RFC 6962 §2.1, word for word: the slow oracle."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


def flipped(value, bit):
    raw = bytearray(value)
    raw[bit // 8] ^= 1 << bit % 8
    return bytes(raw)


def test_the_empty_tree():
    """No leaves have the root SHA-256("")."""
    assert CompactRange().root() == TileBuilder().root() == tree_root([]) == mth([]) == EMPTY_ROOT


@given(st.integers(1, 700))
def test_every_way_to_a_root_agrees(size):
    """Appending, folding and the definition of RFC 6962 give one root."""
    leaves = LEAVES[:size]
    tree = CompactRange()
    tree.extend(leaves)
    assert tree.root() == tree_root(leaves) == mth(leaves)
    assert CompactRange.from_subtrees(size, leaf_subtrees(leaves)).root() == mth(leaves)


@given(st.integers(0, 700), st.integers(0, 700))
def test_a_copy_grows_alone(size, more):
    """A copied range continues on its own, and leaves the first as it was."""
    tree = CompactRange()
    tree.extend(LEAVES[:size])
    other = tree.copy()
    other.extend(LEAVES[size : size + more])
    assert (tree.size, tree.root()) == (size, mth(LEAVES[:size]))
    assert (other.size, other.root()) == (size + more, mth(LEAVES[: size + more]))


@given(st.data())
def test_inclusion(data):
    """The proof of any leaf in any tree verifies, and with any one bit flipped it does not."""
    size = data.draw(st.integers(1, 400))
    index = data.draw(st.integers(0, size - 1))
    root = mth(LEAVES[:size])
    proof = inclusion_proof(index, size, leaf_subtrees(LEAVES[:size]))
    verify_inclusion(LEAVES[index], index, size, root, proof)

    parts = [LEAVES[index], root, *proof]
    part, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    leaf, root, *proof = [flipped(value, bit) if at == part else value for at, value in enumerate(parts)]
    with pytest.raises(VerificationError):
        verify_inclusion(leaf, index, size, root, proof)


@given(st.data())
def test_inclusion_elsewhere(data):
    """A leaf's proof does not hold for another place, nor with a hash more or less."""
    size = data.draw(st.integers(2, 400))
    index = data.draw(st.integers(0, size - 1))
    root = mth(LEAVES[:size])
    proof = inclusion_proof(index, size, leaf_subtrees(LEAVES[:size]))
    other = data.draw(st.integers(0, size - 1).filter(lambda value: value != index))
    for wrong in ((other, proof), (index, proof[:-1]), (index, [*proof, root])):
        with pytest.raises(VerificationError):
            verify_inclusion(LEAVES[index], wrong[0], size, root, wrong[1])


@given(st.data())
def test_consistency(data):
    """The proof between any two sizes verifies, and with any one bit flipped it does not."""
    size2 = data.draw(st.integers(1, 400))
    size1 = data.draw(st.integers(1, size2))
    root1, root2 = mth(LEAVES[:size1]), mth(LEAVES[:size2])
    proof = consistency_proof(size1, size2, leaf_subtrees(LEAVES[:size2]))
    verify_consistency(size1, root1, size2, root2, proof)

    parts = [root1, root2, *proof]
    part, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    root1, root2, *proof = [flipped(value, bit) if at == part else value for at, value in enumerate(parts)]
    with pytest.raises(VerificationError):
        verify_consistency(size1, root1, size2, root2, proof)


def stored(builder, tiles):
    for tile in builder.take_full_tiles():
        assert len(tile.hashes) == TILE_BYTES
        assert (tile.level, tile.index) not in tiles, "a tile is handed out once"
        tiles[tile.level, tile.index] = tile.hashes
    return tiles


@pytest.fixture(scope="module")
def whole():
    """A tree of 70,000 leaves, the example of tlog-tiles, and its full tiles."""
    builder = TileBuilder()
    builder.extend(LEAVES)
    return builder, stored(builder, {})


def test_the_tiles_of_70000_leaves(whole):
    """70,000 leaves have 273 full tiles at level 0 and one at level 1, as tlog-tiles says."""
    builder, tiles = whole
    assert builder.root() == tree_root(LEAVES)
    assert sorted(tiles) == [(0, index) for index in range(273)] + [(1, 0)]
    for (level, index), hashes in tiles.items():
        span = TILE_WIDTH ** (level + 1)
        assert tile_root(hashes) == tree_root(LEAVES[index * span : (index + 1) * span])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 69_000) | st.sampled_from([255, 256, 257, 65_535, 65_536, 65_537, 65_792]), st.integers(0, 600))
def test_resuming_is_continuing(whole, size, more):
    """A builder resumed at any size, from the tiles it left and its tail, goes on as if never stopped."""
    _, tiles = whole
    asked = []

    def full_tile(level, index):
        asked.append((level, index))
        assert (index + 1) * TILE_WIDTH ** (level + 1) <= size, "only tiles that exist at this size are read"
        return tiles[level, index]

    builder = TileBuilder.resume(size, full_tile, LEAVES[size - size % TILE_WIDTH : size])
    assert len(asked) <= 2 * (TILE_WIDTH - 1), "only the right edge is read"
    assert (builder.size, builder.root()) == (size, tree_root(LEAVES[:size]))
    builder.extend(LEAVES[size : size + more])
    assert builder.root() == tree_root(LEAVES[: size + more])
    for key, hashes in stored(builder, {}).items():
        assert tiles[key] == hashes


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_proofs_from_tiles(whole, data):
    """Proofs made from stored tiles and the tail verify, in trees of one, two and three tile levels."""
    _, tiles = whole
    size = data.draw(st.integers(1, 70_000))
    index = data.draw(st.integers(0, size - 1))
    older = data.draw(st.integers(1, size))
    subtree = tile_subtrees(size, lambda level, number: tiles[level, number], LEAVES[size - size % TILE_WIDTH : size])
    root = tree_root(LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, root, inclusion_proof(index, size, subtree))
    verify_consistency(older, tree_root(LEAVES[:older]), size, root, consistency_proof(older, size, subtree))
    assert CompactRange.from_subtrees(size, subtree).root() == root
