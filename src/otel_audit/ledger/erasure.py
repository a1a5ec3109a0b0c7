"""Erasures: what an erasure entry states, and which missing texts the valid ones explain. Pure.

The statement's fields (docs/design/ledger-format.md): ``origin``, ``seqs`` ([first, last] pairs, ascending),
``names`` ("all" or a list of content names), ``basis``, ``requested_by``, ``approved_by``, ``at`` (nanoseconds since
1970), ``scope`` (subject, task or seqs) and ``scope_ref`` (keyed hash, hex; empty for seqs).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from otel_audit.errors import VerificationError
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.keys import KeyHistory
from otel_audit.ledger.statement import read_statement

KIND: Final = "erasure"
ALL: Final = "all"
_WORDS: Final = ("origin", "basis", "requested_by", "approved_by", "scope", "scope_ref")


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased, and who, why and when. ``ranges`` are (first, last) seqs; ``names`` None = all texts."""

    origin: str
    ranges: tuple[tuple[int, int], ...]
    basis: str
    requested_by: str
    approved_by: str
    at_unix_nano: int
    scope: str
    scope_ref: str = ""
    names: frozenset[str] | None = None

    def covers(self, seq: int) -> bool:
        """Whether the entry at ``seq`` is among the erased."""
        index = bisect_right(self.ranges, (seq, 1 << 64)) - 1
        return index >= 0 and self.ranges[index][0] <= seq <= self.ranges[index][1]

    def count(self, first: int, end: int) -> int:
        """How many erased entries lie in [first, end)."""
        return sum(max(0, min(last, end - 1) - max(start, first) + 1) for start, last in self.ranges)

    def fields(self) -> dict[str, Any]:
        """The fields of its statement."""
        return {
            "origin": self.origin,
            "seqs": [list(pair) for pair in self.ranges],
            "names": ALL if self.names is None else sorted(self.names),
            "basis": self.basis,
            "requested_by": self.requested_by,
            "approved_by": self.approved_by,
            "at": self.at_unix_nano,
            "scope": self.scope,
            "scope_ref": self.scope_ref,
        }

    def told(self) -> str:
        """When, why, who asked and who approved, as a sentence."""
        when = datetime.fromtimestamp(self.at_unix_nano // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"erased on {when} because of {self.basis}; {self.requested_by} asked, {self.approved_by} approved"


def seq_ranges(seqs: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending (first, last) pairs of what may come in any order.

    >>> seq_ranges([7, 3, 4, 5])
    ((3, 5), (7, 7))
    """
    ranges: list[tuple[int, int]] = []
    for seq in sorted(set(seqs)):
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return tuple(ranges)


def parse_erasure(fields: Mapping[str, Any]) -> Erasure:
    """Read a statement's fields. Raises VerificationError for anything that our writer does not make."""
    words = {name: fields.get(name) for name in _WORDS}
    seqs, names, at = fields.get("seqs"), fields.get("names"), fields.get("at")
    is_right = (
        all(isinstance(word, str) for word in words.values())
        and type(at) is int
        and isinstance(seqs, list)
        and bool(seqs)
        and all(isinstance(pair, list) and [type(end) for end in pair] == [int, int] for pair in seqs)
        and (names == ALL or (isinstance(names, list) and all(isinstance(name, str) for name in names)))
    )
    if not is_right or any(word == "" for name, word in words.items() if name != "scope_ref"):
        raise VerificationError("erasure: a field is missing or has another type")
    ranges = tuple((first, last) for first, last in seqs or ())
    ends = [end for pair in ranges for end in pair]
    if ends[0] < 0 or ends != sorted(ends) or any(b[0] <= a[1] for a, b in pairwise(ranges)):
        raise VerificationError("erasure: its seqs are not ascending ranges")
    if words["requested_by"] == words["approved_by"]:
        raise VerificationError("erasure: who asked for it and who approved it are the same")
    return Erasure(
        ranges=ranges,
        at_unix_nano=at or 0,
        names=None if names == ALL else frozenset(names or ()),
        **{name: str(word) for name, word in words.items()},
    )


@dataclass(slots=True)
class Erasures:
    """The valid erasures of one ledger, by the seq of their entry."""

    valid: dict[int, Erasure] = field(default_factory=dict)
    _named: dict[int, set[int]] = field(default_factory=dict)  # erasure entry -> erased seqs that had a text
    _firsts: list[int] = field(default_factory=list)  # of all ranges, ascending
    _lasts: list[int] = field(default_factory=list)  # the largest end of the ranges up to each

    def __post_init__(self) -> None:
        largest = 0
        for first, last in sorted(pair for erasure in self.valid.values() for pair in erasure.ranges):
            largest = max(largest, last)
            self._firsts.append(first)
            self._lasts.append(largest)

    def of(self, seq: int, name: str) -> tuple[int, Erasure] | None:
        """The erasure of a text, with the seq of its entry."""
        index = bisect_right(self._firsts, seq) - 1
        if index < 0 or self._lasts[index] < seq:
            return None
        found = None
        for entry, erasure in self.valid.items():  # all of them: one that was stated twice names what it names
            if erasure.covers(seq):
                self._named.setdefault(entry, set()).add(seq)
                if found is None and (erasure.names is None or name in erasure.names):
                    found = entry, erasure
        return found

    def cover(self, seq: int) -> bool:
        """Whether all texts of an entry were erased."""
        return any(erasure.names is None and erasure.covers(seq) for erasure in self.valid.values())

    def check_named(self, first: int, end: int, findings: Findings, expired: Sequence[range] = ()) -> None:
        """After every commitment in [first, end) was asked for by ``of``: find erasures of what never had a text.

        Of entries that ``expired`` nobody knows that any more.
        """
        for entry, erasure in self.valid.items():
            named = sorted(self._named.get(entry, ()))
            unknown = erasure.count(first, end) - len(named)
            for gone in expired if unknown else ():
                known = bisect_left(named, gone.stop) - bisect_left(named, gone.start)
                unknown -= erasure.count(gone.start, gone.stop) - known
            if unknown:
                detail = f"it says that texts of {unknown} entries were erased which never had any"
                findings.add(Code.FALSE_TOMBSTONE, detail, seq=entry)


def read_erasures(entries: Iterable[tuple[int, str]], history: KeyHistory | None, findings: Findings) -> Erasures:
    """Judge the erasure entries of a ledger, each (seq, signed statement); what does not hold becomes a finding.

    ``history`` are the ledger's keys: one of them must have been in use at the entry, so that a key that was retired
    explains nothing. None takes statements at their word, for a look at single entries.
    """
    valid: dict[int, Erasure] = {}
    for seq, note in entries:
        try:
            statement = read_statement(note, KIND) if history is None else history.open(note, KIND, seq)
            erasure = parse_erasure(statement.fields)
            if erasure.origin != findings.origin:
                raise VerificationError(f"erasure: is about the ledger {erasure.origin}")  # noqa: TRY301 - one way out
            if erasure.ranges[-1][1] >= seq:
                raise VerificationError("erasure: names entries that came after it")  # noqa: TRY301 - one way out
        except VerificationError as exc:
            findings.add(Code.FALSE_TOMBSTONE, f"this erasure explains nothing: {exc}", seq=seq)
        else:
            valid[seq] = erasure
    return Erasures(valid)
