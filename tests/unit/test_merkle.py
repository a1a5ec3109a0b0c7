"""Refusals of the Merkle functions: what can't be proved is an error, never a quiet result."""

import pytest

from otel_audit.errors import VerificationError
from otel_audit.ledger.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_subtrees,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [bytes((number,)) * 32 for number in range(8)]


def test_consistency_with_the_empty_tree_is_refused():
    """Every tree continues the empty one: a proof of it proves nothing, so none is accepted."""
    with pytest.raises(VerificationError, match="0 < size1"):
        verify_consistency(0, EMPTY_ROOT, 4, LEAVES[0], [])
    with pytest.raises(VerificationError, match="0 < size1"):
        consistency_proof(0, 4, leaf_subtrees(LEAVES))


def test_a_leaf_outside_the_tree_is_refused():
    """There is no proof for entry n of a ledger of size n."""
    with pytest.raises(VerificationError, match="not in a tree"):
        inclusion_proof(8, 8, leaf_subtrees(LEAVES))
    with pytest.raises(VerificationError, match="no such leaf"):
        verify_inclusion(LEAVES[0], 8, 8, LEAVES[0], [])


def test_a_subtree_beyond_the_leaves_is_refused():
    """A proof is never made from hashes that are not there."""
    with pytest.raises(VerificationError, match="8 leaves"):
        inclusion_proof(0, 9, leaf_subtrees(LEAVES))


def test_a_range_of_the_wrong_shape_is_refused():
    """Seven leaves are three subtrees; a subtree of four can't follow two leaves."""
    with pytest.raises(VerificationError, match="need 3 hashes"):
        CompactRange(7, LEAVES[:2])
    with pytest.raises(VerificationError, match="can not follow"):
        CompactRange(2, LEAVES[:1]).append_subtree(LEAVES[0], 2)
