"""The integrity of exactly the entries that a page shows, recomputed when it is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import deps
import trust
from components import frame
from formats import moment, zone_label
from words import Row

from otel_audit.model import Finding


def check(rows: Sequence[Row]) -> list[Finding]:
    """What is wrong with these entries, and with those whose texts they show."""
    keys = {(row["origin"], row["seq"]) for row in rows}
    for row in rows:  # a text that came in a log record is that entry's, which is checked too
        named = (each.rpartition("#") for places in row["content_from"].values() for each in places.split())
        keys |= {(origin, int(seq)) for origin, _, seq in named}
    return deps.check(sorted(keys))


def banner(rows: Sequence[Row], findings: Sequence[Finding], zone: str) -> None:
    """The verdict, in a sentence."""
    ledgers = deps.reader().ledgers()
    newest = [ledger.checkpoint.created_unix_nano for ledger in ledgers if ledger.checkpoint]
    at = f"{moment(max(newest), zone)} ({zone_label(zone, max(newest))})" if newest else ""
    frame.banner(trust.task_banner(rows, findings, ledgers, at))
