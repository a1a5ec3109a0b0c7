"""Verification of one ledger: hashes, chain, tree and every signed root, in one pass and constant memory.

Pure: rows, tiles and signed checkpoints come in as iterators, findings go out. The steps of a run:

0. Entries are taken 256 at a time, the width of a tile; ``examine`` looks closely where anything is wrong.
1. Each row's encoding is hashed anew, and must give the stored hash.
2. Each ``prev_hash`` must be the hash of the entry before; that of entry 0 is SHA-256(origin).
3. seq must be contiguous, each once.
4. The leaf hashes must be those of the stored tile, and every tile that a checkpoint covers must be there.
5. The Merkle tree grows over them, and each level above must be what its tiles hold.
6. Wherever a signed checkpoint was made, stored or anchored, the root must be the signed one.
7. No two signed roots for one size.
8. No signed checkpoint and no tile may reach beyond the last row.

Steps 5 to 8 are in ``roots``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import Final

from otel_audit.errors import StoreError
from otel_audit.ledger.blocks import HashedTile, RowBlock, chunks
from otel_audit.ledger.diagnosis import Candidates
from otel_audit.ledger.encoding import HASH_SIZE, LEAF_PREFIX, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.examine import Suspect, examine, name_suspects, report_holes
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.merkle import CompactRange
from otel_audit.ledger.retention import ExpiredEntries
from otel_audit.ledger.roots import RootChecker, Seal, UpperTile
from otel_audit.ledger.tiles import TILE_BYTES, TILE_WIDTH, split_hashes

_sha256 = hashlib.sha256
_KEPT_FOR_NAMING: Final = 2000  # suspects and holes; what is beyond is reported at once, with less said about it


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a ledger beside its rows.

    ``seals`` in order of size; ``tiles`` the full tiles of level 0 as (index, hashes) in order. ``declared_size``
    is the largest size that anything claims; tiles below ``tiled_size`` have to be there. ``elsewhere`` are seqs
    whose rows were found under another origin, and are reported there.

    ``expired`` are entries that may be gone; ``end`` is where the rows that are asked for end.

    ``load_rows`` loads the rows of the seqs [start, end) with their encodings, where only hashes were given and
    anything is wrong; without it all blocks must have encodings.
    """

    seals: Iterator[Seal]
    tiles: Iterator[tuple[int, bytes]]
    upper_tile: UpperTile
    candidates: Candidates
    declared_size: int = 0
    tiled_size: int = 0
    elsewhere: frozenset[int] = frozenset()
    load_rows: Callable[[int, int], RowBlock] | None = None
    expired: ExpiredEntries | None = None
    end: int = 1 << 64


class LedgerVerifier:
    """One run over one ledger. ``roots`` holds what it established."""

    def __init__(
        self, findings: Findings, evidence: Evidence, tree: CompactRange | None = None, prev_leaf: bytes | None = None
    ) -> None:
        """Begin at entry 0; or, with the ``tree`` of the 256 * n entries before and the last leaf hash, after them."""
        self.roots = RootChecker(findings, evidence.seals, evidence.upper_tile, tree)
        self._findings = findings
        self._evidence = evidence
        self._prefix = origin_prefix(findings.origin)
        self._has_prefix = methodcaller("startswith", self._prefix)
        self._prev_leaf = prev_leaf if tree else genesis_hash(findings.origin)
        self._expired = evidence.expired or ExpiredEntries([], findings)
        self._tiles = _TileReader(evidence.tiles, findings, evidence.tiled_size)
        self._suspects: list[Suspect] = []
        self._holes: list[tuple[int, int]] = []

    def run(self, blocks: Iterable[RowBlock | HashedTile], progress: Callable[[int], None] | None = None) -> None:
        """Verify the rows that ``blocks`` give; ``progress`` hears up to which seq they are done."""
        waiting: RowBlock | HashedTile | None = None
        for chunk in chunks(blocks):  # 0
            if waiting is not None:
                self._take(waiting, chunk)
                if progress is not None:
                    progress(self.roots.size)
            waiting = chunk
        if waiting is not None:
            self._take(waiting, None)
        self._pass_expired()
        if progress is not None:
            progress(self.roots.size)
        self._finish()

    def _take(self, given: RowBlock | HashedTile, following: RowBlock | HashedTile | None) -> None:
        start = given.first_seq - given.first_seq % TILE_WIDTH
        if start != self.roots.size and not self._close_hole(self._loaded(given), start):
            return
        tile = self._tiles.read(start // TILE_WIDTH)
        said_gone = self._expired.within(start, start + TILE_WIDTH)
        if isinstance(given, HashedTile):
            is_next = given.first_prev == self._prev_leaf and tile in {None, given.leaves}  # 2, 4; the rest was checked
            if is_next and not said_gone:
                self.roots.advance(split_hashes(given.leaves), root=given.root)
                self._prev_leaf = given.leaves[-HASH_SIZE:]
                return
            given = self._loaded(given)
        chunk = given
        if chunk.is_hashed:
            computed = chunk.encodings
        else:
            computed = [_sha256(LEAF_PREFIX + encoding).digest() for encoding in chunk.encodings]  # leaf_hash, inlined
        if said_gone:
            if not self._is_sound_but_expired(chunk, computed, start, tile):
                self._take_closely(self._loaded(chunk), following, start, tile)
        elif self._is_sound(chunk, computed, start, tile, is_last=following is None):
            self.roots.advance(computed)
            self._prev_leaf = computed[-1]
        else:
            self._take_closely(self._loaded(chunk), following, start, tile)

    def _loaded(self, chunk: RowBlock | HashedTile) -> RowBlock:
        """The rows of a chunk with their encodings."""
        if isinstance(chunk, RowBlock) and not chunk.is_hashed:
            return chunk
        assert self._evidence.load_rows is not None  # noqa: S101 - see Evidence
        start = chunk.first_seq - chunk.first_seq % TILE_WIDTH
        loaded = self._evidence.load_rows(start, start + TILE_WIDTH)
        if not loaded.seqs:
            raise StoreError(f"entries from {start} on went away while they were read; verify again")
        return loaded

    def _is_sound(
        self, chunk: RowBlock, computed: list[bytes], start: int, tile: bytes | None, *, is_last: bool
    ) -> bool:
        """Tell whether nothing is wrong with a chunk, with as little work a row as Python allows."""
        return (
            computed == chunk.hashes  # 1
            and chunk.prev_hashes[0] == self._prev_leaf  # 2
            and chunk.prev_hashes[1:] == computed[:-1]
            and (is_last or len(computed) == TILE_WIDTH)  # 3
            and chunk.seqs == list(range(start, start + len(computed)))
            and (tile is None or tile == b"".join(computed))  # 4
            and (chunk.is_hashed or all(map(self._has_prefix, chunk.encodings)))
        )

    def _is_sound_but_expired(self, chunk: RowBlock, computed: list[bytes], start: int, tile: bytes | None) -> bool:
        """Take a chunk of which entries expired, if nothing else is wrong with it: the tile has their hashes."""
        if tile is None or computed != chunk.hashes:
            return False
        leaves = split_hashes(tile)[: self._evidence.end - start]
        end = start + len(leaves)
        gone = [seq for part in self._expired.within(start, end) for seq in part]
        before = [self._prev_leaf, *leaves]
        is_sound = (
            sorted([*gone, *chunk.seqs]) == list(range(start, end))
            and computed == [leaves[seq - start] for seq in chunk.seqs]
            and chunk.prev_hashes == [before[seq - start] for seq in chunk.seqs]
            and (chunk.is_hashed or all(map(self._has_prefix, chunk.encodings)))
        )
        if is_sound:
            self._expired.meet(start, leaves)
            self.roots.advance(leaves)
            self._prev_leaf = leaves[-1]
        return is_sound

    def _pass_expired(self) -> None:
        """Go on over entries that expired, after the last row that is there."""
        while (start := self.roots.size) < self._evidence.end:
            tile = self._tiles.read(start // TILE_WIDTH)
            end = min(self._evidence.end, start - start % TILE_WIDTH + TILE_WIDTH)
            gone = self._expired.within(start, end)
            if tile is None or not gone or gone[0].start != start:
                return
            leaves = split_hashes(tile)[start % TILE_WIDTH : start % TILE_WIDTH + len(gone[0])]
            self._expired.meet(start, leaves)
            self.roots.advance(leaves)
            self._prev_leaf = leaves[-1]

    def _take_closely(
        self, chunk: RowBlock, following: RowBlock | HashedTile | None, start: int, tile: bytes | None
    ) -> None:
        rows = chunk.rows()
        end = start + TILE_WIDTH if following else chunk.seqs[-1] + 1
        next_prev = following.first_prev if following and following.first_seq == end else None
        hashes = split_hashes(tile) if tile else None
        found = examine(rows, start, end, prev_leaf=self._prev_leaf, next_prev=next_prev, tile=hashes)
        # What is missing at the end is only missing if an entry follows: if none does, the tail was cut off.
        gone = {seq for part in self._expired.within(start, end) for seq in part}
        end = max(found.present | gone, default=start - 1) + 1
        missing = [seq for seq in range(start, end) if seq not in found.present and seq not in gone]
        for seq in missing:
            self._hole(seq, seq + 1)
        for row in rows:
            if not row.encoding.startswith(self._prefix) and leaf_hash(row.encoding) == row.hash:
                detail = (
                    "the entry is of a schema version that this verifier does not know: its columns are not checked"
                )
                self._findings.add(Code.NON_CANONICAL, detail, seq=row.seq, column="schema_version")
        leaves = found.leaves[: end - start]
        confirmed = self.roots.advance(leaves, hashes, [seq for seq in found.diverged if seq < end], found.doubts)
        self._expired.meet(start, leaves, found.present)
        if leaves:
            self._prev_leaf = confirmed.get(end - 1, leaves[-1])
        for suspect in found.suspects:
            if suspect.row is None and (suspect.seq >= end or suspect.seq in gone):
                continue
            if suspect.code is Code.ROW_MODIFIED and suspect.seq in confirmed:
                # The entry has the signed hash, so it is the column ``hash`` that was altered.
                self._suspect(replace(suspect, sealed=confirmed[suspect.seq], column="hash"))
            else:
                self._suspect(suspect)

    def _close_hole(self, chunk: RowBlock, start: int) -> bool:
        """Account for the entries missing before ``chunk``. Returns False when its rows are no entries at all."""
        intact = [
            prev_hash
            for prev_hash, stored, encoding in zip(chunk.prev_hashes, chunk.hashes, chunk.encodings, strict=True)
            if leaf_hash(encoding) == stored
        ]
        declared = self._evidence.declared_size
        if start >= declared and (not intact or intact[0] == self._prev_leaf):
            # Nothing sealed reaches here: rows with a seq too high, that do not follow a missing entry.
            for row in chunk.rows():
                self._suspect(Suspect(Code.ROW_INSERTED, row.seq, row, None, None))
            return False
        rest = self.roots.size
        for part in self._expired.within(rest, start):
            if rest < part.start:
                self._hole(rest, part.start)
            rest = part.stop
        if rest < start:
            self._hole(rest, start)
        while self.roots.size < start:
            position = self.roots.size
            tile = self._tiles.read(position // TILE_WIDTH)
            if tile is None:
                self._prev_leaf = None
                self.roots.skip_to(min(start, self._tiles.next_start))
                continue
            leaves = split_hashes(tile)[position % TILE_WIDTH :]
            gone = {seq for part in self._expired.within(position, position + len(leaves)) for seq in part}
            for seq, sealed in enumerate(leaves, position):
                if seq not in gone and len(self._suspects) < _KEPT_FOR_NAMING:
                    self._suspects.append(Suspect(Code.ROW_DELETED, seq, None, sealed, self._prev_leaf))
                self._prev_leaf = sealed
            self._expired.meet(position, leaves)
            self.roots.advance(leaves)
        return True

    def _suspect(self, suspect: Suspect) -> None:
        self._suspects.append(suspect)
        if len(self._suspects) > _KEPT_FOR_NAMING:
            name_suspects([self._suspects.pop()], [], self._findings, None)

    def _hole(self, start: int, end: int) -> None:
        if self._holes and self._holes[-1][1] == start:
            self._holes[-1] = (self._holes[-1][0], end)
        else:
            self._holes.append((start, end))
            if len(self._holes) > _KEPT_FOR_NAMING:
                report_holes([self._holes.pop(-2)], self._findings)

    def _finish(self) -> None:
        name_suspects(self._suspects, self._holes, self._findings, self._evidence.candidates, self._evidence.elsewhere)
        self._expired.finish()
        size = self.roots.size
        self.roots.finish()
        claimed = self._tiles.finish()
        if claimed <= size or self._findings.has(Code.TAIL_TRUNCATED) or self._findings.has(Code.LEDGER_EMPTIED):
            return
        if size == 0:
            self._findings.add(Code.LEDGER_EMPTIED, f"no entry is left, but tiles hold the hashes of {claimed}")
        else:
            detail = f"the newest entry is {size - 1}, but stored tiles hold the hashes of {claimed} entries"
            self._findings.add(Code.TAIL_TRUNCATED, detail, seq=size)


class _TileReader:
    """Reads the stored tiles of level 0 along with the rows."""

    def __init__(self, tiles: Iterator[tuple[int, bytes]], findings: Findings, tiled_size: int) -> None:
        self._tiles = tiles
        self._findings = findings
        self._required = tiled_size // TILE_WIDTH
        self._ahead = next(tiles, None)
        self._current: tuple[int, bytes | None] = (-1, None)
        self._missing: list[int] = []  # [first, last] of the run of missing tiles that is not yet reported
        self._claimed = 0

    def read(self, index: int) -> bytes | None:
        """The tile ``index``, or None when there is none that can be used. Indexes must not decrease."""
        if self._current[0] == index:
            return self._current[1]
        versions = set()
        while self._ahead is not None and self._ahead[0] <= index:
            if self._ahead[0] == index:
                versions.add(self._ahead[1])
            self._ahead = next(self._tiles, None)
        self._current = (index, self._choose(index, versions))
        return self._current[1]

    @property
    def next_start(self) -> int:
        """The first seq of the next tile that is there; beyond all seqs when there is none."""
        return self._ahead[0] * TILE_WIDTH if self._ahead else 1 << 64

    def _choose(self, index: int, versions: set[bytes]) -> bytes | None:
        seq = index * TILE_WIDTH
        if not versions:
            if index < self._required:
                if self._missing and self._missing[1] != index - 1:
                    self._report_missing()
                self._missing = [self._missing[0] if self._missing else index, index]
            return None
        self._claimed = seq + TILE_WIDTH
        tile = versions.pop()
        if versions:
            self._findings.add(Code.TREE_DIVERGED, f"tile {index} is stored more than once, differently", seq=seq)
            return None
        if len(tile) != TILE_BYTES:
            self._findings.add(Code.TREE_DIVERGED, f"tile {index} has {len(tile)} bytes, not {TILE_BYTES}", seq=seq)
            return None
        return tile

    def finish(self) -> int:
        """Report what is missing, and return up to which size tiles claim entries."""
        if self._missing:
            self._report_missing()
        while self._ahead is not None:
            self._claimed = (self._ahead[0] + 1) * TILE_WIDTH
            self._ahead = next(self._tiles, None)
        return self._claimed

    def _report_missing(self) -> None:
        first, last = self._missing
        self._missing = []
        detail = f"the stored tiles {first} to {last} are missing: a checkpoint covers them, so they were there"
        self._findings.add(Code.TREE_DIVERGED, detail, seq=first * TILE_WIDTH)
