"""Verification of one ledger of a database: rows, tree, signed roots and texts, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Literal

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint
from otel_audit.ledger.encoding import HASH_SIZE
from otel_audit.ledger.erasure import read_erasures
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.keys import KeyHistory, Rotation, follow_rotations
from otel_audit.ledger.merkle import CompactRange, tree_root
from otel_audit.ledger.retention import ExpiredEntries, Expiry
from otel_audit.ledger.roots import RootChecker, Seal
from otel_audit.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, split_hashes, tile_subtrees
from otel_audit.ledger.times import TimeChecker, TimeRules
from otel_audit.ledger.trust import Trust
from otel_audit.ledger.verify import Evidence, LedgerVerifier
from otel_audit.model import EventType
from otel_audit.reports._content_check import check_contents, pass_contents
from otel_audit.reports._expired import read_expiries
from otel_audit.reports._row_hashes import RowHashes
from otel_audit.reports._signed_roots import SignedRoots
from otel_audit.reports.verifier_state import Verified
from otel_audit.store.evidence import CandidateValues, EvidenceReader, Extent

Status = Literal["ok", "tampered", "unverifiable"]
_MAX_SIZE: Final = (1 << 64) - 1
_NANOS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What was established about one ledger.

    ``size`` counts its entries, ``root_hash`` is theirs (None when a leaf hash is not known), ``last_checkpoint``
    the size of the newest stored checkpoint with a valid signature, ``unanchored_from`` the first seq that no
    compared anchor covers (None: all are covered). The first ``sealed_size`` entries have a root that was signed;
    ``text_count`` texts were compared. ``read_from`` is the first entry that was read; ``sealed_tree`` the tree over
    the first ``sealed_size``.
    """

    origin: str
    status: Status
    size: int
    root_hash: bytes | None
    last_checkpoint: int | None
    unanchored_from: int | None
    sealed_size: int
    text_count: int
    sealed_tree: CompactRange | None = None
    read_from: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verification compares with: trust roots, anchored checkpoints (None: not compared), range of seqs.

    ``without_texts``: that a copy of the data folder has no readable texts beside it is no reason to doubt it.
    ``is_fast``: the engine computes the leaf hashes. ``remembered`` is what an earlier run established; with
    ``is_incremental`` only what came after it is read. ``times`` says how far times may be apart.
    ``jobs``: in how many processes hashes are computed.
    """

    trust: Trust
    anchored: Sequence[AnchoredCheckpoint] | None
    seq_from: int = 0
    seq_to: int | None = None
    is_fast: bool = False
    times: TimeRules = field(default_factory=TimeRules)
    remembered: Verified | None = None
    is_incremental: bool = False
    without_texts: bool = False
    jobs: int = 1


class LedgerRun:
    """Verifies one ledger and puts what is wrong into ``findings``."""

    def __init__(self, reader: EvidenceReader, extent: Extent, asked: Asked, findings: Findings) -> None:
        self._reader = reader
        self._extent = extent
        self._asked = asked
        self._findings = findings
        self._origin = extent.origin
        self._history = self._follow_keys()
        self._keys = self._history.keys
        self._expiries: list[tuple[int, Expiry]] = []
        self._retention_seals: list[Seal] = []
        self._signed = SignedRoots(
            reader, extent, anchored=asked.anchored, trust=asked.trust, history=self._history, findings=findings
        )

    def verify(self, elsewhere: frozenset[int], *, is_expected: bool, progress: Callable[[int], None]) -> LedgerReport:
        """Verify, and report. ``elsewhere`` are seqs whose rows are known to be filed under another origin.

        ``is_expected`` says that this ledger must be there. ``progress`` hears how many rows and texts are done.
        """
        self._expiries, self._retention_seals = read_expiries(
            self._statements(EventType.RETENTION), self._history, self._findings
        )
        start, end = self._range()
        roots = self._check_rows(start, end, elsewhere, progress)
        if start and (
            self._findings.has(Code.CHAIN_REBUILT) or (self._asked.is_incremental and self._findings.altered())
        ):
            # Something before the range may be to blame: only a run from entry 0 can name it.
            start = 0
            roots = self._check_rows(start, end, elsewhere, progress)
        self._check_times(start, roots.size)
        rows_done = max(0, end - start)
        text_count = self._check_texts(start, roots.size, lambda count: progress(rows_done + count))
        if self._extent.row_count == 0:
            self._report_empty(is_expected=is_expected)
        return self._conclude(roots, start, text_count)

    def _statements(self, event_type: EventType) -> list[tuple[int, str]]:
        return [each for each in self._reader.statements(self._origin, event_type) if each[0] < self._extent.size]

    def _follow_keys(self) -> KeyHistory:
        rotations = [Rotation(*each) for each in self._statements(EventType.KEY_ROTATION)]
        return follow_rotations(self._asked.trust, rotations, self._asked.anchored or (), self._findings)

    def _range(self) -> tuple[int, int]:
        """Widen the asked range to whole tiles, and on to the next signed root: only that can confirm it."""
        size = self._extent.size
        known = self._asked.remembered
        if self._asked.is_incremental and known is not None and 0 < known.size <= size:
            start = (known.size - 1) // TILE_WIDTH * TILE_WIDTH  # at least one entry, so that its root is met
            if self._continues(start):
                return start, size
        start = min(self._asked.seq_from, size)
        start -= start % TILE_WIDTH
        if self._asked.seq_to is None:
            return start, size
        end = self._signed.next_size(self._asked.seq_to + 1) or size
        expired = ExpiredEntries(self._expiries, Findings(self._origin))
        # Of the last tile, if it is not a full one there, nobody has the hashes of what expired.
        while end < size and (rest := end % TILE_WIDTH) and expired.within(end - rest, end):
            end = self._signed.next_size(end - rest + TILE_WIDTH) or size
        return start, end

    def _continues(self, start: int) -> bool:
        """Tell whether the tiles before ``start`` agree; if not, everything is read, and what was altered is named.

        Whether they are those of the entries verified before is shown by the root that is remembered.
        """
        if not start:
            return True
        try:
            tree, _ = self._tree_before(start)
            before = self._tree_before(start - TILE_WIDTH)[0] if start > TILE_WIDTH else CompactRange()
            tile = self._reader.tile(self._origin, 0, start // TILE_WIDTH - 1)
        except VerificationError:
            return False
        # The next entry links to the last hash of this tile: it must be the tile that the tree is over.
        before.append_subtree(tree_root(split_hashes(tile)), TILE_HEIGHT)
        return before.hashes == tree.hashes

    def _check_rows(
        self, start: int, end: int, elsewhere: frozenset[int], progress: Callable[[int], None]
    ) -> RootChecker:
        origin, reader = self._origin, self._reader
        tree, prev_leaf = None, None
        if start:
            try:
                tree, prev_leaf = self._tree_before(start)
            except VerificationError as exc:
                self._findings.add(Code.TREE_DIVERGED, f"{exc}; the range is verified from entry 0 on instead")
                start = 0
        is_whole = self._asked.seq_to is None
        tiles_end = self._extent.tile_size if is_whole else end
        tiles = reader.tiles(origin, start // TILE_WIDTH, tiles_end // TILE_WIDTH)
        known = self._asked.remembered
        remembered = (
            [
                Seal(
                    known.size,
                    bytes.fromhex(known.root_hash),
                    "what this verifier saw before",
                    anchored=False,
                    remembered=True,
                )
            ]
            if known is not None
            else []
        )
        # Of a whole ledger also what reaches beyond the rows is compared: that is how a cut tail shows.
        seals = self._signed.between(start, _MAX_SIZE if is_whole else end, [*self._retention_seals, *remembered])
        last = min(end, self._extent.size)
        blocks = RowHashes(reader, self._asked.jobs, is_fast=self._asked.is_fast).blocks(origin, start, last)
        evidence = Evidence(
            seals=seals,
            tiles=tiles,
            upper_tile=lambda level, index: reader.tile_versions(origin, level, index),
            candidates=CandidateValues(reader, origin),
            declared_size=max(self._extent.checkpoint_size, self._extent.tile_size, self._signed.anchored_size),
            tiled_size=min(self._extent.checkpoint_size, end),
            elsewhere=elsewhere,
            load_rows=lambda first, end: reader.loaded_rows(origin, first, min(end, last)),
            expired=ExpiredEntries(self._expiries, self._findings),
            end=last,
        )
        first = start
        with closing(tiles), closing(seals), closing(blocks):
            verifier = LedgerVerifier(self._findings, evidence, tree, prev_leaf)
            if start and known is not None:
                verifier.roots.anchored_size = known.anchored_size
            verifier.run(blocks, lambda size: progress(size - first))
        return verifier.roots

    def _tree_before(self, start: int) -> tuple[CompactRange, bytes]:
        """Return the tree over the entries before ``start``, and the last leaf hash of it, from stored tiles alone."""

        def tile(level: int, index: int) -> bytes:
            return self._reader.tile(self._origin, level, index)

        tree = CompactRange.from_subtrees(start, tile_subtrees(start, tile, []))
        return tree, tile(0, start // TILE_WIDTH - 1)[-HASH_SIZE:]

    def _check_texts(self, start: int, end: int, progress: Callable[[int], None]) -> int:
        first = max(start, self._asked.seq_from)
        last = end if self._asked.seq_to is None else min(end, self._asked.seq_to + 1)
        commitments = self._reader.commitments(self._origin, first, last)
        texts = self._reader.texts(self._origin, first, last)
        # Wherever they are: an erasure comes after what it explains, often beyond a range.
        statements = self._reader.statements(self._origin, EventType.ERASURE)
        erasures = read_erasures(statements, self._history, self._findings)
        with closing(commitments), closing(texts):
            if self._reader.has_texts:
                count = check_contents(commitments, texts, self._findings, progress, erasures)
            else:
                sealed = self._reader.sealed_seqs(self._origin, first, last)
                count = pass_contents(commitments, sealed, self._findings, erasures)
        expired = ExpiredEntries(self._expiries, Findings(self._origin))
        erasures.check_named(first, last, self._findings, expired.within(first, last))
        if erasures.valid:
            sealed = self._reader.sealed_seqs(self._origin, first, last)
            with closing(sealed):
                for seq in sealed:
                    if erasures.cover(seq):
                        detail = "an erasure says that its texts are gone, but they are still there, sealed"
                        self._findings.add(Code.FALSE_TOMBSTONE, detail, seq=seq, column="content")
        return count

    def _check_times(self, start: int, end: int) -> None:
        rules, findings = self._asked.times, self._findings
        checker = TimeChecker(findings, self._signed.attestations, rules)
        blocks = self._reader.times(self._origin, start, end)
        with closing(blocks):
            for seqs, recorded, begun in blocks:
                checker.take(seqs, recorded, begun)
        if rules.max_age_nanos is None:
            return
        newest, by = self._signed.newest()
        if rules.now_unix_nano - newest > rules.max_age_nanos:
            age = f"{(rules.now_unix_nano - newest) / _NANOS:,.0f} s old" if newest else "not there"
            asked = f"more than the {rules.max_age_nanos / _NANOS:,.0f} s that were asked for"
            findings.add(Code.STALE, f"{by} is {age}: {asked}")

    def _report_empty(self, *, is_expected: bool) -> None:
        extent, findings = self._extent, self._findings
        seen = self._asked.remembered.size if self._asked.remembered else 0
        claimed = max(extent.checkpoint_size, extent.tile_size, self._signed.anchored_size, seen)
        if (claimed or is_expected) and not findings.has(Code.LEDGER_EMPTIED):
            was = f"it once held {claimed}" if claimed else "the data folder was made for it"
            findings.add(Code.LEDGER_EMPTIED, f"no entry is left, but {was}")
        if self._signed.anchored_size and not extent.checkpoint_size and not extent.tile_size:
            findings.add(
                Code.LEDGER_MISSING, f"an anchor knows it with {self._signed.anchored_size} entries; the store does not"
            )

    def _conclude(self, roots: RootChecker, start: int, text_count: int) -> LedgerReport:
        findings = self._findings
        status: Status = "ok"
        if findings.altered():
            status = "tampered"
        elif roots.sealed_size <= max(start, self._asked.seq_from):
            status = "unverifiable"
            findings.add(Code.NOTHING_VERIFIED, self._why_nothing(roots))
        elif findings.has(Code.TEXTS_NOT_CHECKED) and not self._asked.without_texts:
            status = "unverifiable"
        unanchored_from = roots.anchored_size if roots.anchored_size < roots.size else None
        if unanchored_from is not None and self._extent.row_count:
            self._report_unanchored(unanchored_from, roots.size)
        return LedgerReport(
            origin=self._origin,
            status=status,
            size=roots.size,
            root_hash=roots.root,
            last_checkpoint=roots.newest_stored.size if roots.newest_stored else None,
            unanchored_from=unanchored_from,
            sealed_size=roots.sealed_size,
            text_count=text_count,
            sealed_tree=roots.sealed_tree,
            read_from=start,
        )

    def _why_nothing(self, roots: RootChecker) -> str:
        if not self._extent.row_count:
            return "the ledger has no entries"
        if not self._keys:
            return "no verifier key of this ledger is trusted, so that no signature could be checked"
        if roots.size <= self._asked.seq_from:
            return f"the range begins at {self._asked.seq_from}, but the ledger has {roots.size} entries"
        return "no signed checkpoint covers any entry: hashes and chain hold, but anybody could have made them"

    def _report_unanchored(self, unanchored_from: int, size: int) -> None:
        first, last = self._reader.recorded(self._origin, unanchored_from, size)
        count, seconds = size - unanchored_from, (last - first) / _NANOS
        which = f"entries {unanchored_from} to {size - 1} ({count}, recorded over {seconds:.0f} s)"
        why = "no anchor was compared" if self._asked.anchored is None else "no anchor covers them yet"
        detail = f"{which}: {why}; whoever holds the signing key and the store could have rewritten them"
        self._findings.add(Code.UNANCHORED_TAIL, detail, seq=unanchored_from)
