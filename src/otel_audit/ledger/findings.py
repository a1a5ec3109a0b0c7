"""What a verification can find, and how findings are collected without a limit on what they cover.

A code is either evidence that something was altered, or a status: something a reader must know, but that is
no sign of tampering. No code is ever left out of a report.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final

from otel_audit.model import Finding


class Code(StrEnum):
    """The codes of docs/design/threat-model.md that this version can find."""

    ROW_MODIFIED = "ROW_MODIFIED"
    ROW_DELETED = "ROW_DELETED"
    ROW_INSERTED = "ROW_INSERTED"
    ROW_REORDERED = "ROW_REORDERED"
    ROW_DUPLICATED = "ROW_DUPLICATED"
    CONTENT_MISMATCH = "CONTENT_MISMATCH"
    CONTENT_MISSING = "CONTENT_MISSING"
    FALSE_TOMBSTONE = "FALSE_TOMBSTONE"
    NON_CANONICAL = "NON_CANONICAL"
    TAIL_TRUNCATED = "TAIL_TRUNCATED"
    PREFIX_REMOVED = "PREFIX_REMOVED"
    LEDGER_EMPTIED = "LEDGER_EMPTIED"
    ROLLBACK = "ROLLBACK"
    CHAIN_REBUILT = "CHAIN_REBUILT"
    TREE_DIVERGED = "TREE_DIVERGED"
    SPLIT_VIEW = "SPLIT_VIEW"
    LEDGER_MISSING = "LEDGER_MISSING"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    WRONG_ORIGIN = "WRONG_ORIGIN"
    KEY_OUTSIDE_VALIDITY = "KEY_OUTSIDE_VALIDITY"
    WITNESS_QUORUM_MISSING = "WITNESS_QUORUM_MISSING"
    WITNESS_PENDING = "WITNESS_PENDING"
    WITNESS_DISPUTES = "WITNESS_DISPUTES"
    BACKDATED = "BACKDATED"
    FUTURE_DATED = "FUTURE_DATED"
    NON_MONOTONIC = "NON_MONOTONIC"
    STALE = "STALE"
    ANCHOR_MISSING = "ANCHOR_MISSING"
    ANCHOR_OVERWRITTEN = "ANCHOR_OVERWRITTEN"
    ANCHOR_UNLOCKED = "ANCHOR_UNLOCKED"
    ANCHOR_MOVED = "ANCHOR_MOVED"
    TSA_INVALID = "TSA_INVALID"
    WRONG_TSA = "WRONG_TSA"
    IMPRINT_MISMATCH = "IMPRINT_MISMATCH"
    OTS_PENDING = "OTS_PENDING"
    OTS_INVALID = "OTS_INVALID"
    UNANCHORED_TAIL = "UNANCHORED_TAIL"
    TEXTS_NOT_CHECKED = "TEXTS_NOT_CHECKED"
    ERASED = "ERASED"
    EXPIRED = "EXPIRED"
    ANCHOR_DAMAGED = "ANCHOR_DAMAGED"
    NOTHING_VERIFIED = "NOTHING_VERIFIED"
    FILE_MODIFIED = "FILE_MODIFIED"
    FILE_MISSING = "FILE_MISSING"
    FILE_ADDED = "FILE_ADDED"
    MANIFEST_UNSIGNED = "MANIFEST_UNSIGNED"


STATUS_CODES: Final = frozenset(
    {
        Code.UNANCHORED_TAIL,
        Code.WITNESS_PENDING,
        Code.WITNESS_DISPUTES,
        Code.TEXTS_NOT_CHECKED,
        Code.ERASED,
        Code.EXPIRED,
        Code.ANCHOR_DAMAGED,
        Code.OTS_PENDING,
        Code.NOTHING_VERIFIED,
        Code.MANIFEST_UNSIGNED,
    }
)

_LISTED_PER_KIND: Final = 1000


class Findings:
    """The findings of one ledger: the first 1000 of each code and column singly, all others counted."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._listed: list[Finding] = []
        self._seen: set[Finding] = set()
        self._counts: Counter[tuple[Code, str | None]] = Counter()

    def add(self, code: Code, detail: str, *, seq: int | None = None, column: str | None = None) -> None:
        """Record one finding; the same one twice counts once."""
        finding = Finding(code, self.origin, detail, seq, column)
        if finding in self._seen:
            return
        self._counts[code, column] += 1
        if self._counts[code, column] <= _LISTED_PER_KIND:
            self._listed.append(finding)
            self._seen.add(finding)

    def has(self, code: Code) -> bool:
        """Whether anything of this code was found."""
        return any(found == code for found, _ in self._counts)

    def altered(self) -> bool:
        """Whether anything was found that is evidence of tampering, not a status."""
        return any(code not in STATUS_CODES for code, _ in self._counts)

    def list(self) -> list[Finding]:
        """All findings by seq, those about the whole ledger last, then how many more there are of each kind."""
        listed = sorted(self._listed, key=lambda finding: (finding.seq is None, finding.seq or 0))
        for (code, column), count in self._counts.items():
            if count > _LISTED_PER_KIND:
                more = f"and {count - _LISTED_PER_KIND} more of this kind, not listed singly"
                listed.append(Finding(code, self.origin, more, None, column))
        return listed
