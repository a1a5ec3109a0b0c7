"""Merkle trees of RFC 6962 §2.1 (= RFC 9162 §2.1): hashing, incremental roots, proofs and their verification.

    leaf hash  = SHA-256(0x00 || entry)          (``ledger.encoding.leaf_hash``)
    node hash  = SHA-256(0x01 || left || right)
    empty tree = SHA-256("")

A *perfect subtree* (level, index) spans the 2**level leaves from ``index * 2**level``; level 0 is a leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from otel_audit.errors import VerificationError
from otel_audit.ledger.encoding import HASH_SIZE

NODE_PREFIX: Final = b"\x01"  # RFC 6962 §2.1
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()  # RFC 6962 §2.1

SubtreeGetter = Callable[[int, int], bytes]
"""(level, index) -> hash of that perfect subtree."""

_sha256 = hashlib.sha256
_PAIR_SIZE: Final = 2 * HASH_SIZE


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)``: the parent of two neighbours."""
    return _sha256(NODE_PREFIX + left + right).digest()


def tree_root(hashes: Sequence[bytes]) -> bytes:
    """Root over ``hashes``, which are leaves or the roots of equally large perfect subtrees.

    Only the last of them may be a smaller tree's root. No hashes at all give the empty tree's root.
    """
    if not hashes:
        return EMPTY_ROOT
    row = b"".join(hashes)
    while len(row) > HASH_SIZE:
        even = len(row) - len(row) % _PAIR_SIZE
        parents = [_sha256(NODE_PREFIX + row[at : at + _PAIR_SIZE]).digest() for at in range(0, even, _PAIR_SIZE)]
        # The last one of an odd row goes up as it is: RFC 6962's split at the largest power of two.
        row = b"".join([*parents, row[even:]])
    return row


class CompactRange:
    """The leaves [0, size) as the roots of the perfect subtrees that make them up.

    It holds one hash per 1 in the binary form of ``size``. Appending costs one hash on average, the root
    O(log size) hashes.

    >>> tree = CompactRange()
    >>> tree.root().hex()[:8]
    'e3b0c442'
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Start empty, or from the ``hashes`` (largest subtree first) of a range of ``size`` leaves."""
        self.size = size
        self._hashes = list(hashes)
        if len(self._hashes) != size.bit_count():
            raise VerificationError(
                f"compact range: {size} leaves need {size.bit_count()} hashes, got {len(self._hashes)}"
            )

    @classmethod
    def from_subtrees(cls, size: int, subtree: SubtreeGetter) -> CompactRange:
        """The range [0, size), with its O(log size) hashes asked from ``subtree``."""
        hashes = [
            subtree(level, (size >> level) - 1) for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1
        ]
        return cls(size, hashes)

    @property
    def hashes(self) -> list[bytes]:
        """The roots of the perfect subtrees, the largest first."""
        return list(self._hashes)

    def copy(self) -> CompactRange:
        """An independent range over the same leaves."""
        return CompactRange(self.size, self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.append_subtree(leaf, 0)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf in leaves:
            self.append_subtree(leaf, 0)

    def append_subtree(self, root: bytes, level: int) -> None:
        """Add 2**level leaves by the root over them. ``size`` must be a multiple of 2**level."""
        if self.size & ((1 << level) - 1):
            raise VerificationError(f"compact range: a subtree of 2**{level} leaves can not follow {self.size} leaves")
        units, hashes = self.size >> level, self._hashes
        while units & 1:
            root = _sha256(NODE_PREFIX + hashes.pop() + root).digest()
            units >>= 1
        hashes.append(root)
        self.size += 1 << level

    def root(self) -> bytes:
        """Root hash over all leaves so far."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for left in self._hashes[-2::-1]:
            root = node_hash(left, root)
        return root


def leaf_subtrees(leaves: Sequence[bytes]) -> SubtreeGetter:
    """A getter of perfect subtrees over a list of leaf hashes."""

    def subtree(level: int, index: int) -> bytes:
        start, end = index << level, (index + 1) << level
        if end > len(leaves):
            raise VerificationError(
                f"subtree ({level}, {index}) ends at leaf {end}, but there are {len(leaves)} leaves"
            )
        return tree_root(leaves[start:end])

    return subtree


def range_root(start: int, end: int, subtree: SubtreeGetter) -> bytes:
    """Root over the leaves [start, end), as a node of an RFC 6962 tree; [0, n) is the root of size n."""
    size = end - start
    if size == 0:
        return EMPTY_ROOT
    if size.bit_count() == 1:
        level = size.bit_length() - 1
        return subtree(level, start >> level)
    middle = start + _split(size)
    return node_hash(range_root(start, middle, subtree), range_root(middle, end, subtree))


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (RFC 6962 §2.1), for size > 1."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, subtree: SubtreeGetter) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 §2.1.1: the hashes that lead from leaf ``index`` to the root of ``size``."""
    if not 0 <= index < size:
        raise VerificationError(f"inclusion proof: leaf {index} is not in a tree of size {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(range_root(middle, end, subtree))
            end = middle
        else:
            proof.append(range_root(start, middle, subtree))
            start = middle
    return proof[::-1]


def consistency_proof(size1: int, size2: int, subtree: SubtreeGetter) -> list[bytes]:
    """PROOF(size1, D[size2]) of RFC 6962 §2.1.2: that the tree of ``size1`` leaves is a prefix of ``size2``."""
    if not 0 < size1 <= size2:
        raise VerificationError(f"consistency proof: sizes {size1} and {size2}, expected 0 < size1 <= size2")
    proof: list[bytes] = []
    start, end = 0, size2
    whole = True  # The subtree [start, end) still is a root the verifier has.
    while size1 != end:
        middle = start + _split(end - start)
        if size1 <= middle:
            proof.append(range_root(middle, end, subtree))
            end = middle
        else:
            proof.append(range_root(start, middle, subtree))
            start = middle
            whole = False
    if not whole:
        proof.append(range_root(start, end, subtree))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that ``leaf`` is entry ``index`` of the tree with ``size`` entries and ``root`` (RFC 9162 §2.1.3.2).

    Raises VerificationError when it is not.
    """
    where = f"inclusion proof of leaf {index} in size {size}"
    if not 0 <= index < size:
        raise VerificationError(f"{where}: there is no such leaf")
    if len(leaf) != HASH_SIZE:
        raise VerificationError(f"{where}: the leaf hash is {len(leaf)} bytes, expected {HASH_SIZE}")
    computed = leaf
    for sibling, on_the_left in zip(proof, _sides(index, size - 1, len(proof), where), strict=True):
        computed = node_hash(sibling, computed) if on_the_left else node_hash(computed, sibling)
    if computed != root:
        raise VerificationError(f"{where}: does not lead to the root")


def verify_consistency(size1: int, root1: bytes, size2: int, root2: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of ``size2`` entries continues the one of ``size1`` (RFC 9162 §2.1.4.2).

    ``size1`` = 0 is refused: every tree continues the empty one, so such a proof would prove nothing.
    Raises VerificationError when it does not hold.
    """
    where = f"consistency proof from size {size1} to {size2}"
    if not 0 < size1 <= size2:
        raise VerificationError(f"{where}: expected 0 < size1 <= size2")
    if size1 == size2:
        if proof or root1 != root2:
            raise VerificationError(f"{where}: equal sizes need equal roots and no hashes")
        return
    path = list(proof)
    if size1.bit_count() == 1:  # Then the old root itself is a node of the new tree.
        path.insert(0, root1)
    if not path:
        raise VerificationError(f"{where}: too few hashes")
    position, last = size1 - 1, size2 - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling, on_the_left in zip(path[1:], _sides(position, last, len(path) - 1, where), strict=True):
        if on_the_left:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if (old, new) != (root1, root2):
        raise VerificationError(f"{where}: does not lead to the {'old' if old != root1 else 'new'} root")


def _sides(position: int, last: int, count: int, where: str) -> list[bool]:
    """For each hash of a proof, whether it stands on the left: the walk from a node up to the root.

    ``last`` is the position of the last node in the node's row. Raises VerificationError unless a walk of
    ``count`` hashes ends at the root.
    """
    sides = []
    for _ in range(count):
        if last == 0:
            raise VerificationError(f"{where}: too many hashes")
        on_the_left = bool(position & 1) or position == last
        if on_the_left:
            while position and not position & 1:  # A last node without a partner goes up as it is.
                position, last = position >> 1, last >> 1
        sides.append(on_the_left)
        position, last = position >> 1, last >> 1
    if last:
        raise VerificationError(f"{where}: too few hashes")
    return sides
