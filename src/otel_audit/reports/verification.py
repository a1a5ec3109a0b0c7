"""Verify what a database holds: every ledger, against its own tiles and checkpoints and against anchors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from textwrap import TextWrapper
from typing import Any, Final, Literal

from otel_audit.anchors import AnchorReading
from otel_audit.ledger.blocks import Row
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.digest import check_digests
from otel_audit.ledger.encoding import HASH_SIZE, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.erasure import Erasures, read_erasures
from otel_audit.ledger.examine import examine, name_suspects
from otel_audit.ledger.findings import STATUS_CODES, Code, Findings
from otel_audit.ledger.keys import Rotation, follow_rotations
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.quorum import check_quorum
from otel_audit.ledger.tiles import TILE_BYTES, TILE_WIDTH
from otel_audit.ledger.times import TimeRules
from otel_audit.ledger.trust import Trust
from otel_audit.model import EventType, Finding
from otel_audit.reports._content_check import check_contents
from otel_audit.reports._ledger_run import Asked, LedgerReport, LedgerRun, Status
from otel_audit.reports.verifier_state import Verified
from otel_audit.store.database import Database
from otel_audit.store.evidence import CandidateValues, EvidenceReader, Extent

__all__ = ["LedgerReport", "Progress", "Report", "check_entries", "format_report", "verify_database"]

Progress = Callable[[int, int], None]
"""Hears (done, total): how many rows and texts are read, and how many there are in all."""

Mode = Literal["recomputed", "engine"]
"""Who computes the leaf hashes: the verifier itself, or the engine of whoever keeps the store."""

_STRAY_ROWS: Final = 2000  # rows under an unknown origin that are compared with the known ledgers
_ENTRIES_AT_ONCE: Final = 600  # with their neighbours, what fits into a query


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a verification: a verdict for each ledger and over all, and every finding."""

    status: Status
    ledgers: tuple[LedgerReport, ...]
    findings: tuple[Finding, ...]
    anchors_compared: bool
    mode: Mode = "recomputed"

    def with_findings(self, more: Sequence[Finding]) -> Report:
        """The same report with findings about what it was compared with."""
        if not more:
            return self
        return replace(self, status=_overall(self.ledgers, [*self.findings, *more]), findings=(*self.findings, *more))

    def to_json(self) -> dict[str, Any]:
        """Return what ``otel-audit verify --json`` prints; a root hash is hex, or None when it can't be known."""
        return {
            "status": self.status,
            "mode": self.mode,
            "ledgers": [
                {
                    "origin": ledger.origin,
                    "size": ledger.size,
                    "root_hash": ledger.root_hash.hex() if ledger.root_hash is not None else None,
                    "last_checkpoint": ledger.last_checkpoint,
                    "unanchored_from": ledger.unanchored_from,
                    "read_from": ledger.read_from,
                }
                for ledger in self.ledgers
            ],
            "findings": [
                {
                    "code": str(finding.code),
                    "origin": finding.origin,
                    "seq": finding.seq,
                    "column": finding.column,
                    "detail": finding.detail,
                }
                for finding in self.findings
            ],
        }


def verify_database(
    database: Database,
    *,
    trust: Trust,
    anchors: AnchorReading | None,
    expected: Sequence[str] = (),
    seq_from: int | None = None,
    seq_to: int | None = None,
    progress: Progress | None = None,
    mode: Mode = "recomputed",
    times: TimeRules | None = None,
    remembered: Mapping[str, Verified] | None = None,
    incremental: bool = False,
    without_texts: bool = False,
    jobs: int = 1,
) -> Report:
    """Verify every ledger of a database, also while a writer goes on.

    ``trust`` is what we believe in; it should not come from whoever could have altered the store.
    ``anchors`` is what the anchors gave back, read before this is called; None leaves them out, and then only
    the store's own checkpoints speak. ``expected`` are origins that must be there. ``seq_from`` and ``seq_to``
    (both included) restrict the check to a range of every ledger. ``times`` says how far times may be apart.

    In ``mode`` engine the store's engine computes the leaf hashes, which is faster, and believes the engine.

    ``remembered`` is what an earlier run established, by origin: it is compared like an anchor. With ``incremental``
    of such a ledger only the entries after that are read, and their texts: see docs/how-to/verify.md.

    Where a database has no readable texts (``has_texts``) their number is a finding, and the status is ok only
    ``without_texts``: whoever asks knows that they are elsewhere.

    With ``jobs`` > 1 hashes are computed in that many processes, tile by tile; the findings are the same.

    Entries that are appended after the start are not looked at. Raises StoreError when the store doesn't answer,
    VerificationError when one of the processes ends.
    """
    reader = EvidenceReader(database)
    extents = reader.extents()
    anchored: dict[str, list[AnchoredCheckpoint]] = {}
    named, doubtful = _read_digests(reader, trust, anchors)
    for each in (*anchors.checkpoints, *named) if anchors else ():
        anchored.setdefault(each.origin, []).append(each)
    known = {*expected, *anchored, *(key.name for key in trust.verifier_keys)}
    known |= {extent.origin for extent in extents.values() if extent.checkpoint_size or extent.tile_size}
    elsewhere, explained = _find_strays(reader, [each for each in extents.values() if each.origin not in known], known)

    known_before = remembered or {}
    ledgers: list[LedgerReport] = []
    findings: list[Finding] = []
    total = sum(extent.row_count + extent.text_count for extent in extents.values())
    before = 0

    def tell(done: int) -> None:
        if progress is not None:
            progress(min(before + done, total), total)

    tell(0)
    for origin in sorted({*extents, *expected, *anchored, *known_before} - explained):
        extent = extents.get(origin, Extent(origin))
        found = Findings(origin)
        for seq, stored_under in elsewhere.get(origin, {}).items():
            found.add(Code.ROW_MODIFIED, f"entry {seq} is stored under {stored_under!r}", seq=seq, column="origin")
        if anchors is not None:
            witnessed = [each for each in anchored.get(origin, []) if each.kind != "digest"]
            check_quorum(witnessed, trust, found, times.now_unix_nano if times else 0)
            if not any(key.name == origin for key in trust.verifier_keys):
                _compare_with_digests(extent, named, found)
        asked = Asked(
            trust,
            anchored.get(origin, []) if anchors else None,
            seq_from or 0,
            seq_to,
            mode == "engine",
            times or TimeRules(),
            known_before.get(origin),
            incremental,
            without_texts,
            jobs,
        )
        run = LedgerRun(reader, extent, asked, found)
        ledgers.append(run.verify(frozenset(elsewhere.get(origin, ())), is_expected=origin in expected, progress=tell))
        findings += found.list()
        before += extent.row_count + extent.text_count
    for damage in anchors.damaged if anchors else ():
        findings.append(Finding(Code.ANCHOR_DAMAGED, "", f"{damage}; what this record held can not be compared"))
    findings += [*anchors.findings, *doubtful] if anchors else ()
    if not ledgers:
        findings.append(
            Finding(Code.NOTHING_VERIFIED, "", "there is no ledger here, and nothing says that there was one")
        )
    before = total
    tell(0)
    return Report(
        _overall(ledgers, findings), tuple(ledgers), tuple(findings), anchors_compared=anchors is not None, mode=mode
    )


def check_entries(database: Database, keys: Iterable[tuple[str, int]]) -> list[Finding]:
    """Check single entries, each given as (origin, seq), and return what is wrong with them.

    An entry's hash is computed anew and compared with its stored hash, the tile, and its neighbours; its texts
    are compared with its commitments. Signatures are not looked at, neither of roots nor of erasures: an entry that
    is found in order here still has to be covered by ``verify_database``.
    """
    reader = EvidenceReader(database)
    by_origin: dict[str, set[int]] = {}
    for origin, seq in keys:
        by_origin.setdefault(origin, set()).add(seq)
    findings: list[Finding] = []
    for origin, seqs in by_origin.items():
        found = Findings(origin)
        ordered = sorted(seqs)
        erasures = read_erasures(reader.statements(origin, EventType.ERASURE), None, found)
        for first in range(0, len(ordered), _ENTRIES_AT_ONCE):
            _check_picked(reader, ordered[first : first + _ENTRIES_AT_ONCE], found, erasures)
        findings += found.list()
    return findings


def format_report(report: Report) -> str:
    """Return the report as text for people, with what a verification can not know."""
    lines = [_VERDICTS[report.status], "", *(_ENGINE_MODE if report.mode == "engine" else ())]
    for ledger in report.ledgers:
        anchored = ledger.size if ledger.unanchored_from is None else ledger.unanchored_from
        lines += [
            f"Ledger {ledger.origin}: {ledger.status.upper()}",
            f"  entries            {ledger.size:,}",
            *([f"  read again from     entry {ledger.read_from:,} on; not before"] if ledger.read_from else []),
            f"  under a signature  {ledger.sealed_size:,}",
            f"  under an anchor    {anchored:,}" if report.anchors_compared else "  under an anchor    not compared",
            f"  texts compared     {ledger.text_count:,}",
            f"  root hash          {ledger.root_hash.hex() if ledger.root_hash is not None else 'not known'}",
            "",
        ]
    lines += _told("Findings:", [each for each in report.findings if each.code not in STATUS_CODES])
    lines += _told("To know (no sign of tampering):", [each for each in report.findings if each.code in STATUS_CODES])
    return "\n".join([*lines, *_LIMITS]) + "\n"


def _told(heading: str, findings: Sequence[Finding]) -> list[str]:
    lines = [heading] if findings else []
    for finding in findings:
        where = [finding.origin] if finding.origin else []
        where += [f"entry {finding.seq}"] if finding.seq is not None else []
        where += [f"column {finding.column}"] if finding.column else []
        lines.append(f"  {finding.code}  {', '.join(where)}")
        lines += _WRAP.wrap(finding.detail)
    return [*lines, ""] if findings else []


_VERDICTS: Final[dict[Status, str]] = {
    "ok": "OK: what is stored is what was recorded.",
    "tampered": "TAMPERED: what is stored is not what was recorded. Keep everything as it is, and see the findings.",
    "unverifiable": "UNVERIFIABLE: nothing was found wrong, but something could not be proven. See the findings.",
}
_ENGINE_MODE: Final = (
    "The hashes of the entries were computed by the engine that stores them (--fast): this believes the engine. Links,",
    "tree, signatures, anchors and texts were checked here. Leave --fast out to believe nobody.",
    "",
)
_WRAP: Final = TextWrapper(
    100, initial_indent=" " * 6, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False
)
_LIMITS: Final = (
    "What this can not tell: whether an event was true; whether an event was never sent; what somebody",
    "who held the signing key did to entries before they were anchored outside of that person's reach;",
    "and whether the store and every anchor that was compared were put back together to an older state.",
)


def _overall(ledgers: Sequence[LedgerReport], findings: Iterable[Finding]) -> Status:
    statuses = {ledger.status for ledger in ledgers}
    if "tampered" in statuses or any(finding.code not in STATUS_CODES for finding in findings):
        return "tampered"
    return "ok" if statuses == {"ok"} else "unverifiable"


def _read_digests(
    reader: EvidenceReader, trust: Trust, anchors: AnchorReading | None
) -> tuple[list[AnchoredCheckpoint], list[Finding]]:
    """The checkpoints of all ledgers that digests name, and what is wrong with the digests."""
    known: dict[str, list[VerifierKey]] = {}

    def keys_of(origin: str) -> list[VerifierKey]:
        if origin not in known:  # what is wrong with a rotation is told where the ledger itself is verified
            anchored = [each for each in anchors.checkpoints if each.origin == origin] if anchors else []
            rotations = [Rotation(*each) for each in reader.statements(origin, EventType.KEY_ROTATION)]
            known[origin] = follow_rotations(trust, rotations, anchored, Findings(origin)).keys
        return known[origin]

    return check_digests(anchors.digests if anchors else (), keys_of)


def _compare_with_digests(extent: Extent, named: Sequence[AnchoredCheckpoint], findings: Findings) -> None:
    """Compare the size of a ledger whose own key nobody trusts here with what the signer of a digest saw."""
    sizes = {each.source: read_checkpoint(each.note).size for each in named if each.origin == extent.origin}
    source = max(sizes, key=sizes.__getitem__, default="")
    if extent.size and extent.size < sizes.get(source, 0):
        detail = f"the newest entry is {extent.size - 1}, but {source} saw {sizes[source]} entries"
        findings.add(Code.TAIL_TRUNCATED, detail, seq=extent.size)


def _find_strays(
    reader: EvidenceReader, strangers: Sequence[Extent], known: set[str]
) -> tuple[dict[str, dict[int, str]], set[str]]:
    """Look for rows whose origin was altered, among ledgers that nothing else knows.

    Returns {ledger: {seq: the origin it is stored under}}, and the origins that are nothing but such rows.
    """
    elsewhere: dict[str, dict[int, str]] = {}
    explained: set[str] = set()
    for extent in strangers:
        own, found = origin_prefix(extent.origin), 0
        blocks = reader.rows(extent.origin, 0, extent.size)
        with closing(blocks):
            rows = (row for block in blocks for row in block.rows())
            for row in (row for row, _ in zip(rows, range(_STRAY_ROWS), strict=False)):
                for origin in known:
                    if leaf_hash(origin_prefix(origin) + row.encoding.removeprefix(own)) == row.hash:
                        elsewhere.setdefault(origin, {})[row.seq] = extent.origin
                        found += 1
        if found == extent.row_count:
            explained.add(extent.origin)
    return elsewhere, explained


def _check_picked(reader: EvidenceReader, seqs: Sequence[int], findings: Findings, erasures: Erasures) -> None:
    origin = findings.origin
    wanted = {near for seq in seqs for near in (seq - 1, seq, seq + 1) if near >= 0}
    rows: dict[int, list[Row]] = {}
    for block in reader.picked_rows(origin, sorted(wanted)):
        for row in block.rows():
            rows.setdefault(row.seq, []).append(row)
    tiles: dict[int, bytes | None] = {}
    candidates = CandidateValues(reader, origin)

    def in_tile(seq: int) -> bytes | None:
        index, offset = divmod(seq, TILE_WIDTH)
        if index not in tiles:
            versions = reader.tile_versions(origin, 0, index)
            tiles[index] = versions[0] if len(versions) == 1 and len(versions[0]) == TILE_BYTES else None
        tile = tiles[index]
        return tile[offset * HASH_SIZE : (offset + 1) * HASH_SIZE] if tile else None

    for seq in seqs:
        sealed = in_tile(seq)
        before = rows.get(seq - 1, [])
        prev_leaf = in_tile(seq - 1) or (before[0].hash if before else None) if seq else genesis_hash(origin)
        after = [row for row in rows.get(seq + 1, []) if leaf_hash(row.encoding) == row.hash]
        found = examine(
            rows.get(seq, []),
            seq,
            seq + 1,
            prev_leaf=prev_leaf,
            next_prev=after[0].prev_hash if after else None,
            tile=[sealed] if sealed else None,
        )
        holes = [(seq, seq + 1)] if seq not in found.present else []
        name_suspects(found.suspects, holes, findings, candidates)
        if found.diverged:
            findings.add(Code.TREE_DIVERGED, "the stored tile does not hold the hash of the entry", seq=seq)
    commitments, texts = reader.picked_commitments(origin, seqs), reader.picked_texts(origin, seqs)
    with closing(commitments), closing(texts):
        check_contents(commitments, texts, findings, erasures=erasures)
