"""The growing Merkle tree of a ledger under verification, held against every signed root and the upper tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import WrongOrigin, open_signed_checkpoint
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.keys import KeyHistory
from otel_audit.ledger.merkle import CompactRange, tree_root
from otel_audit.ledger.note import UnknownKey, VerifierKey
from otel_audit.ledger.tiles import TILE_HEIGHT, TILE_WIDTH

UpperTile = Callable[[int, int], Sequence[bytes]]
"""(level, index) -> the stored versions of that full tile: one, unless something is wrong."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A checkpoint with a verified signature: at ``size`` the root was ``root_hash``.

    ``anchored`` when it came from an anchor, ``remembered`` when from the verifier's last run; ``source`` says where a
    person finds it.
    """

    size: int
    root_hash: bytes
    source: str
    anchored: bool
    remembered: bool = False

    @property
    def is_outside(self) -> bool:
        """Whether it lies where whoever keeps the store can not change it."""
        return self.anchored or self.remembered


def open_seal(
    note: str,
    keys: Sequence[VerifierKey],
    source: str,
    findings: Findings,
    *,
    anchored: bool,
    history: KeyHistory | None = None,
) -> Seal | None:
    """Check one signed checkpoint; what is wrong with it becomes a finding.

    ``history`` says which of the ``keys`` speaks for which sizes; without it each speaks for all.
    """
    try:
        checkpoint, signatures = open_signed_checkpoint(note, keys, findings.origin)
    except UnknownKey as exc:
        findings.add(Code.UNKNOWN_KEY, f"{source}: {exc}")
    except WrongOrigin as exc:
        findings.add(Code.WRONG_ORIGIN, f"{source}: {exc}")
    except VerificationError as exc:
        findings.add(Code.BAD_SIGNATURE, f"{source}: {exc}")
    else:
        if history is not None and (problem := history.problem(checkpoint.size, signatures)):
            findings.add(Code.KEY_OUTSIDE_VALIDITY, f"{source}: {problem}")
            return None
        return Seal(checkpoint.size, checkpoint.root_hash, source, anchored)
    return None


@dataclass(slots=True)
class _Branch:
    """A tree over the tiles' hashes, beside the one over the rows since both parted at entry ``first``."""

    tree: CompactRange
    first: int
    count: int = 0


class RootChecker:
    """Grows the tree leaf by leaf and compares it with the seals on the way.

    ``seals`` come in order of size. A run that starts inside a ledger gives the ``tree`` before its start.
    """

    def __init__(
        self, findings: Findings, seals: Iterable[Seal], upper_tile: UpperTile, tree: CompactRange | None = None
    ) -> None:
        self._findings = findings
        self._groups = groupby(seals, key=lambda seal: seal.size)
        self._group: list[Seal] = []
        self._upper_tile = upper_tile
        self._tree: CompactRange | None = tree or CompactRange()  # None once a leaf hash is not known
        self._branch: _Branch | None = None
        # Per tile level from 1: the hashes of the tile being filled. None where a part of them was not seen.
        self._uppers: list[list[bytes]] | None = None if tree else []
        self._contradicted: set[bool] = set()  # kinds of seals (outside of the store or not) that the rows contradict
        self.size = self._tree.size if self._tree else 0
        self.sealed_size = 0  # the largest size whose signed root the rows have
        self.anchored_size = 0  # the same, for anchored roots
        self.sealed_tree: CompactRange | None = None  # the tree at sealed_size
        self.newest_stored: Seal | None = None
        self.newest_anchored: Seal | None = None
        self._next_group()

    @property
    def root(self) -> bytes | None:
        """Root over all leaves so far; None when one of them is not known."""
        return self._tree.root() if self._tree else None

    def advance(
        self,
        leaves: Sequence[bytes | None],
        tile: Sequence[bytes] | None = None,
        parted: Sequence[int] = (),
        doubts: Mapping[int, bytes] | None = None,
        root: bytes | None = None,
    ) -> dict[int, bytes]:
        """Add the next leaf hashes; None stands for one that nobody knows.

        ``tile`` are the stored tile's hashes for the same entries, where rows and tile parted at the seqs ``parted``.
        ``doubts`` are other hashes that single entries may have had: those that a signed root confirms are returned.
        ``root`` is the root over ``leaves`` where they are a whole tile and it is known already.
        """
        confirmed: dict[int, bytes] = {}
        if parted and self._tree is not None and not self._contradicted:
            if self._branch is None:
                self._branch = _Branch(self._tree.copy(), parted[0])
            self._branch.count += len(parted)
        start = done = self.size
        before = self._tree.copy() if doubts and self._tree else None
        end = start + len(leaves)
        while self._group and self._group[0].size <= end:
            upto = max(done, self._group[0].size)
            self._grow(leaves[done - start : upto - start], tile[done - start : upto - start] if tile else None)
            done = upto
            if doubts and before is not None and not confirmed:
                leaves, confirmed = self._settle(before, leaves, start, doubts)
            self._compare()
            self._next_group()
        known = [leaf for leaf in leaves if leaf is not None]
        is_full = len(known) == len(leaves) == TILE_WIDTH and not start % TILE_WIDTH
        if is_full and (root is None or confirmed):
            root = tree_root(known)
        self._grow(leaves[done - start :], tile[done - start : len(leaves)] if tile else None, root)
        if root is not None:
            self._check_uppers(root, start)
        elif len(leaves) < TILE_WIDTH:
            self._uppers = None  # Only the last entries, or those around a hole, come in smaller numbers.
        return confirmed

    def _settle(
        self, before: CompactRange, leaves: Sequence[bytes | None], start: int, doubts: Mapping[int, bytes]
    ) -> tuple[Sequence[bytes | None], dict[int, bytes]]:
        """Find out whether the next signed root has the hashes of ``doubts`` in place of those taken first."""
        signed = {seal.root_hash for seal in self._group}
        for others in (doubts, *({seq: leaf} for seq, leaf in doubts.items())):
            replaced = [others.get(seq, leaf) for seq, leaf in enumerate(leaves, start)]
            known = [leaf for leaf in replaced[: self.size - start] if leaf is not None]
            tree = before.copy()
            tree.extend(known)
            if tree.size == self.size and self.root not in signed and tree.root() in signed:
                self._tree = tree
                return replaced, dict(others)
        return leaves, {}

    def skip_to(self, size: int) -> None:
        """Go on after leaves that nobody knows: no root can be computed from here on."""
        self._tree = self._branch = self._uppers = None
        self.size = size
        while self._group and self._group[0].size <= size:
            self._next_group()

    def finish(self) -> None:
        """Judge what is still open, and what the seals say about entries that are not there (8)."""
        if self._branch is not None:
            self._tree_diverged("which of the two was altered is not known: no signed root follows")
        beyond = [seal for seal in self._remaining() if seal.size > self.size]
        if not beyond:
            return
        largest = max(beyond, key=lambda seal: seal.size)
        missing = f"{largest.source} holds {largest.size} entries"
        if self.size == 0:
            self._findings.add(Code.LEDGER_EMPTIED, f"no entry is left, but {missing}")
            return
        self._findings.add(
            Code.TAIL_TRUNCATED,
            f"the newest entry is {self.size - 1}, but {missing}: the last {largest.size - self.size} are missing",
            seq=self.size,
        )
        if all(seal.is_outside for seal in beyond):
            detail = (
                f"all of the store ends at size {self.size}: it was put back to an older state than {largest.source}"
            )
            self._findings.add(Code.ROLLBACK, detail, seq=self.size)

    def _remaining(self) -> Iterator[Seal]:
        while self._group:
            yield from self._group
            self._next_group()

    def _next_group(self) -> None:
        self._group = list(next(self._groups, (0, iter(())))[1])
        for seal in self._group:
            if seal.root_hash != self._group[0].root_hash:  # 7
                self._findings.add(
                    Code.SPLIT_VIEW,
                    f"two roots were signed for size {seal.size}: {self._group[0].source} and {seal.source}",
                )
            if seal.anchored:
                self.newest_anchored = seal
            elif not seal.remembered:
                self.newest_stored = seal

    def _grow(self, leaves: Sequence[bytes | None], tile: Sequence[bytes] | None, root: bytes | None = None) -> None:
        """Let the trees grow by ``leaves``; ``root`` is the root over them if they are a whole tile."""
        known = [leaf for leaf in leaves if leaf is not None]
        if len(known) < len(leaves):
            self._tree = self._branch = None
        if self._tree is not None and len(known) == TILE_WIDTH and root is not None:
            self._tree.append_subtree(root, TILE_HEIGHT)
        elif self._tree is not None:
            self._tree.extend(known)
        if self._branch is not None:
            self._branch.tree.extend(tile or known)
        self.size += len(leaves)

    def _compare(self) -> None:  # 6
        root = self.root
        if root is None:
            return
        branch_root = self._branch.tree.root() if self._branch else None
        is_sealed = False
        for seal in self._group:
            if seal.root_hash == root:
                is_sealed = True
                self.sealed_size = seal.size
                self.sealed_tree = self._tree.copy() if self._tree else None
                if seal.anchored:
                    self.anchored_size = seal.size
            elif seal.is_outside not in self._contradicted:
                self._contradicted.add(seal.is_outside)
                self._contradict(seal, branch_root)
        if is_sealed and self._branch is not None and self.size > self._branch.first:
            self._tree_diverged("the signed root is that of the entries: the tile was altered")
        if self._contradicted:
            self._branch = self._uppers = None

    def _contradict(self, seal: Seal, branch_root: bytes | None) -> None:
        """Name a signed root that the rows, though they agree among themselves, do not have."""
        first, count = (self.anchored_size if seal.anchored else self.sealed_size), 0
        if self._branch is not None and branch_root == seal.root_hash:
            first, count = self._branch.first, self._branch.count
        elif seal.size - first == 1:
            count = 1
        when = f"{seal.source} (size {seal.size})"
        if count == 1:
            detail = f"the row and its hash were changed after {when} was signed"
            self._findings.add(Code.ROW_MODIFIED, detail, seq=first)
        else:
            detail = (
                f"history was rewritten from entry {first} on or later, and hashed anew: it is not what {when} holds"
            )
            self._findings.add(Code.CHAIN_REBUILT, detail, seq=first)

    def _tree_diverged(self, why: str) -> None:
        branch, self._branch = self._branch, None
        if branch is not None:
            which = f"the stored tile of entry {branch.first} ({branch.count} hashes) is not that of the entries; {why}"
            self._findings.add(Code.TREE_DIVERGED, which, seq=branch.first)

    def _check_uppers(self, value: bytes, start: int) -> None:  # 5
        """Add the root over the tile at ``start`` to the tiles above, and compare each that becomes full."""
        if self._uppers is None:
            return
        for level in range(1, 64):
            if level > len(self._uppers):
                self._uppers.append([])
            hashes = self._uppers[level - 1]
            hashes.append(value)
            if len(hashes) < TILE_WIDTH:
                return
            span = TILE_WIDTH ** (level + 1)
            index = start // span
            for stored in self._upper_tile(level, index):
                if stored != b"".join(hashes):
                    detail = f"tile {index} of level {level} does not follow from the tiles below it"
                    self._findings.add(Code.TREE_DIVERGED, detail, seq=index * span)
            value = tree_root(hashes)
            hashes.clear()
