"""What a ledger states about its own retention: which entries were removed because their time was over, and holds.

An ``Expiry`` names exactly the entries it covers, with a digest of their leaf hashes and a signed checkpoint that
covers them: what is gone can be told from what was taken, and was in the ledger until then.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from otel_audit.errors import VerificationError
from otel_audit.ledger.findings import Code, Findings

EXPIRY: Final = "retention"
HOLD: Final = "hold"
HOLD_END: Final = "hold_end"
_NANOS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Expiry:
    """Entries of one retention class and month that were removed. Times are nanoseconds since 1970.

    ``ranges`` are (first seq, count), in order. ``leaf_digest`` is the SHA-256, in hex, of their leaf hashes in
    order. ``checkpoint`` is a signed note that covers them, and that an anchor had. ``keep_seconds`` is how long the
    class is kept, ``month`` is year * 100 + month in UTC.
    """

    origin: str
    retention_class: str
    month: int
    ranges: tuple[tuple[int, int], ...]
    first_recorded: int
    last_recorded: int
    keep_seconds: int
    decided_at: int
    leaf_digest: str
    checkpoint: str

    @property
    def count(self) -> int:
        """How many entries it covers."""
        return sum(count for _, count in self.ranges)

    @property
    def end(self) -> int:
        """The seq after the last entry it covers."""
        return sum(self.ranges[-1])

    def to_fields(self) -> dict[str, Any]:
        """The fields of its signed statement."""
        return asdict(self)

    @classmethod
    def from_fields(cls, values: Mapping[str, Any]) -> Expiry:
        """Read the fields of a statement. Raises VerificationError when they are none of a retention."""
        expected = {each.name for each in fields(cls)}
        if values.keys() != expected:
            raise VerificationError(f"retention statement: expected the fields {', '.join(sorted(expected))}")
        try:
            ranges = tuple((int(start), int(count)) for start, count in values["ranges"])
            expiry = cls(**{**values, "ranges": ranges})
        except (TypeError, ValueError) as exc:
            raise VerificationError("retention statement: its ranges are not pairs of numbers") from exc
        numbers = (expiry.month, expiry.first_recorded, expiry.last_recorded, expiry.keep_seconds, expiry.decided_at)
        if not all(isinstance(number, int) for number in numbers):
            raise VerificationError("retention statement: a time is not a whole number")
        end = 0
        for start, count in ranges:
            if start < end or count < 1:
                raise VerificationError("retention statement: its ranges are not in order")
            end = start + count
        if not ranges:
            raise VerificationError("retention statement: it covers no entry")
        if expiry.last_recorded + expiry.keep_seconds * _NANOS > expiry.decided_at:
            raise VerificationError("retention statement: by its own times these entries were not due yet")
        return expiry


@dataclass(frozen=True, slots=True)
class Hold:
    """Entries that must be kept whatever their class says: of a task, a reviewer, a time; all that is set must hold.

    ``start`` and ``end`` are recorded times in nanoseconds since 1970 (end excluded; 0: open).
    """

    hold_id: str
    task_id: str = ""
    reviewer_id: str = ""
    start: int = 0
    end: int = 0
    since: int = 0


def as_ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Ordered seqs as (first, count).

    >>> as_ranges([3, 4, 5, 9])
    [(3, 3), (9, 1)]
    """
    ranges: list[tuple[int, int]] = []
    for seq in seqs:
        if ranges and sum(ranges[-1]) == seq:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        else:
            ranges.append((seq, 1))
    return ranges


class ExpiredEntries:
    """The entries that valid statements say are gone, held against what a verification meets.

    ``stated`` are (seq of the stating entry, what it states).
    """

    def __init__(self, stated: Sequence[tuple[int, Expiry]], findings: Findings) -> None:
        self._stated = dict(stated)
        self._findings = findings
        self._digests = {seq: hashlib.sha256() for seq, _ in stated}
        self._met = dict.fromkeys(self._digests, 0)
        ranges = sorted((start, start + count, by) for by, each in stated for start, count in each.ranges)
        self._ranges: list[tuple[int, int, int]] = []
        for start, end, by in ranges:
            if self._ranges and start < self._ranges[-1][1]:
                findings.add(Code.FALSE_TOMBSTONE, f"entry {start} was stated as expired already", seq=by)
            else:
                self._ranges.append((start, end, by))
        self._starts = [start for start, _, _ in self._ranges]

    def within(self, start: int, end: int) -> list[range]:
        """The parts of [start, end) that are gone, in order."""
        first = max(0, bisect_right(self._starts, start) - 1)
        parts = []
        for begun, ended, _ in self._ranges[first:]:
            if begun >= end:
                break
            if ended > start:
                parts.append(range(max(begun, start), min(ended, end)))
        return parts

    def meet(self, start: int, leaves: Sequence[bytes | None], present: Iterable[int] = ()) -> None:
        """Hear the leaf hashes from ``start`` on, as the tree has them, and which of these rows are there after all."""
        there = set(present)
        first = max(0, bisect_right(self._starts, start) - 1)
        for begun, ended, by in self._ranges[first:]:
            if begun >= start + len(leaves):
                break
            for seq in range(max(begun, start), min(ended, start + len(leaves))):
                self._digests[by].update(leaves[seq - start] or b"")
                self._met[by] += 1
                if seq in there:
                    detail = f"says that entry {seq} expired, but it is there: finish with otel-audit retention --apply"
                    self._findings.add(Code.FALSE_TOMBSTONE, detail, seq=by)

    def finish(self) -> None:
        """Report what expired, and what was stated wrongly."""
        for by, expiry in self._stated.items():
            if not self._met[by]:
                continue
            if self._met[by] == expiry.count and self._digests[by].hexdigest() != expiry.leaf_digest:
                detail = "the entries it says expired are not those that the tree has: their leaf hashes differ"
                self._findings.add(Code.FALSE_TOMBSTONE, detail, seq=by)
                continue
            first, last = expiry.ranges[0][0], expiry.end - 1
            detail = (
                f"{expiry.count} entries of class {expiry.retention_class} between {first} and {last}, kept for "
                f"{expiry.keep_seconds // 86400} days, were removed: entry {by} states it, their hashes are in the tree"
            )
            self._findings.add(Code.EXPIRED, detail, seq=by)
