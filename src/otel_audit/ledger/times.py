"""What can be proven about the times in a ledger, against clocks that are not the receiver's.

An attested checkpoint of size s says: at time T, somebody else saw a ledger of s entries. From that follows

- an entry below s existed at T, so it can not have been recorded, or have begun, later: ``FUTURE_DATED``;
- an entry from s on came after the checkpoint was signed. Where anchors attest promptly (a timestamp authority or a
  witness, asked within minutes), it can not have been recorded much before T: ``BACKDATED``. A late attestation (a
  block of Bitcoin) says nothing of that.

``event_time`` may honestly lie long before ``recorded_at``: applications keep events on disk while the receiver is
away. So an early ``event_time`` is reported only against ``max_delay_nanos``, by who knows how long that may be.

``recorded_at`` never decreases: the writer sees to it, also when its clock is set back. ``NON_MONOTONIC`` else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from operator import gt
from typing import Final, NamedTuple

from otel_audit.ledger.findings import Code, Findings

NANOS: Final = 1_000_000_000
_LATE_KINDS: Final = frozenset({"opentimestamps", "digest"})  # attest hours after the checkpoint was made
_NEVER: Final = -(1 << 63)  # before any DateTime64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimeRules:
    """How far times may honestly be apart, in nanoseconds.

    ``tolerance_nanos`` is for clocks that differ, and for the time an anchor takes to attest. ``max_delay_nanos`` is
    the longest that an event may take to arrive; None: any time. ``max_age_nanos`` is the longest since the newest
    checkpoint, as of ``now_unix_nano``; None: any time.
    """

    tolerance_nanos: int = 3600 * NANOS
    max_delay_nanos: int | None = None
    max_age_nanos: int | None = None
    now_unix_nano: int = 0


class Attestation(NamedTuple):
    """Somebody else's clock said ``unix_nano`` when it saw the first ``size`` entries. ``kind`` is the anchor's."""

    size: int
    unix_nano: int
    source: str
    kind: str


class TimeChecker:
    """Takes the times of entries in order of seq; what they contradict becomes a finding."""

    def __init__(self, findings: Findings, attestations: Iterable[Attestation], rules: TimeRules) -> None:
        self._findings = findings
        self._rules = rules
        ordered = sorted(attestations)
        self._sizes = [each.size for each in ordered]
        # By position among the sizes: the first attestation after it, and the last prompt one before it.
        self._until: list[Attestation | None] = [None]
        for each in reversed(ordered):
            earliest = self._until[-1]
            self._until.append(each if earliest is None or each.unix_nano < earliest.unix_nano else earliest)
        self._until.reverse()
        self._since: list[Attestation | None] = [None]
        for each in ordered:
            latest = self._since[-1]
            is_later = each.kind not in _LATE_KINDS and (latest is None or each.unix_nano > latest.unix_nano)
            self._since.append(each if is_later else latest)
        self._reported = {finding.seq for finding in findings.list()}  # altered rows: their times mean nothing
        self._last: tuple[int, int] | None = None  # seq and recorded_at of the entry before

    def take(self, seqs: Sequence[int], recorded: Sequence[int], begun: Sequence[int]) -> None:
        """Check entries; times are nanoseconds since 1970."""
        if not seqs:
            return
        self._check_order(seqs, recorded)
        place = 0
        while place < len(seqs):
            covered = bisect_right(self._sizes, seqs[place])  # sizes up to this seq do not cover it
            end = bisect_left(seqs, self._sizes[covered], place) if covered < len(self._sizes) else len(seqs)
            self._check_bracket(seqs[place:end], recorded[place:end], begun[place:end], covered)
            place = end

    def _check_order(self, seqs: Sequence[int], recorded: Sequence[int]) -> None:
        if (self._last is not None and self._last[1] > recorded[0]) or any(map(gt, recorded, recorded[1:])):
            rows = [*([self._last] if self._last else []), *zip(seqs, recorded, strict=True)]
            for (before, earlier), (seq, later) in pairwise(rows):
                if earlier > later and not {before, seq} & self._reported:
                    detail = f"recorded_at is {_shown(later)}, but entry {before} was recorded at {_shown(earlier)}"
                    self._findings.add(Code.NON_MONOTONIC, detail, seq=seq, column="recorded_at")
        self._last = (seqs[-1], recorded[-1])

    def _check_bracket(self, seqs: Sequence[int], recorded: Sequence[int], begun: Sequence[int], place: int) -> None:
        until, since, rules = self._until[place], self._since[place], self._rules
        if until is not None:
            latest = until.unix_nano + rules.tolerance_nanos
            if max(recorded) > latest or max(begun) > latest:
                for seq, at, began in zip(seqs, recorded, begun, strict=True):
                    if at > latest or began > latest:
                        self._name(Code.FUTURE_DATED, seq, (at, began), until, by_event=at <= latest)
        if since is not None:
            earliest = since.unix_nano - rules.tolerance_nanos
            begun_since = _NEVER if rules.max_delay_nanos is None else earliest - rules.max_delay_nanos
            if min(recorded) < earliest or min(begun) < begun_since:
                for seq, at, began in zip(seqs, recorded, begun, strict=True):
                    if at < earliest or began < begun_since:
                        self._name(Code.BACKDATED, seq, (at, began), since, by_event=at >= earliest)

    def _name(self, code: Code, seq: int, times: tuple[int, int], attestation: Attestation, *, by_event: bool) -> None:
        if seq in self._reported:
            return
        column = "event_time" if by_event else "recorded_at"
        before = code is Code.FUTURE_DATED
        seen = "was there already" if before else f"came after the first {attestation.size} entries"
        clock = f"which {attestation.source} attests for {_shown(attestation.unix_nano)}"
        detail = f"{column} is {_shown(times[by_event])}, but the entry {seen}, {clock}"
        self._findings.add(code, detail, seq=seq, column=column)


def _shown(unix_nano: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=unix_nano // 1000)).isoformat(timespec="seconds").replace("+00:00", "Z")
    except OverflowError:
        return f"{unix_nano} ns since 1970"
