"""Verification again and again: a line a round, and an end at the first alarm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Protocol

from otel_audit.errors import StoreError, VerificationBroken
from otel_audit.reports.verification import Report, format_report


class Check(Protocol):
    """One verification; all but the first may go on from the one before."""

    def __call__(self, *, is_first: bool) -> Report:
        """Verify. Raises StoreError when the store does not answer, VerificationBroken when a process of it ended."""


def watch_ledgers(
    check: Check,
    *,
    every: float,
    is_kept_going: bool,
    tell: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
    rounds: Iterator[int] | None = None,
) -> None:
    """Verify every ``every`` seconds and ``tell`` a line; return after an alarm, unless ``is_kept_going``.

    The first round reads everything, later ones what is new; after an alarm everything is read again. That a store
    does not answer is told, and tried again: it is no proof of anything, and no alarm.
    """
    is_first = True
    for number in rounds or count():
        if number:
            sleep(every)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        try:
            report = check(is_first=is_first)
        except (StoreError, VerificationBroken) as exc:
            tell(f"{now} NOT CHECKED {exc}")
            continue
        is_first = report.status != "ok"
        for ledger in report.ledgers:
            anchored = ledger.size if ledger.unanchored_from is None else ledger.unanchored_from
            tell(
                f"{now} {report.status.upper()} {ledger.origin}: {ledger.size:,} entries, "
                f"read from {ledger.read_from:,}, {ledger.sealed_size:,} signed, {anchored:,} anchored"
            )
        if report.status != "ok":
            tell(format_report(report))
            if not is_kept_going:
                return
