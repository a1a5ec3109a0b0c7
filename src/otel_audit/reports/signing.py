"""Signing a week of the trail: the sign-off is an entry like others, recorded through the receiver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otel_audit.errors import ConfigError, StoreUnavailable
from otel_audit.instrumentation import Recorder
from otel_audit.model import EventType, Filter
from otel_audit.reports.log_review import SignOff, Standing, Week, findings, late_entries, queue, refuse_unless_signable
from otel_audit.semconv import (
    AUDIT_ACTION,
    AUDIT_ACTOR_ID,
    AUDIT_ACTOR_TYPE,
    AUDIT_LOG_REVIEW_FINDING,
    AUDIT_LOG_REVIEW_INDEPENDENT,
    AUDIT_LOG_REVIEW_LEDGER,
    AUDIT_LOG_REVIEW_SECONDS,
    AUDIT_PURPOSE,
    AUDIT_ROW_COUNT,
    AUDIT_TARGET_ID,
    AUDIT_TARGET_TYPE,
)
from otel_audit.store.reader import LedgerState, Reader

TARGET_TYPE: Final = "log_review"
_FLUSH_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs which week, and what they say. ``seconds`` is how long the week was open; None when nobody saw.

    ``ledgers`` are the ledgers as the reviewer saw them, which is what is signed; empty: as they are now.
    """

    week: Week
    reviewer: str
    remark: str = ""
    seconds: float | None = None
    ledgers: Sequence[LedgerState] = ()


class SignedAlready(ConfigError):
    """This person's signature counts, and nothing arrived in the week since: there is nothing more to sign."""


class NotAcknowledged(StoreUnavailable):
    """The sign-off was sent, and the receiver has not acknowledged it yet: it waits in the spool."""


def settled_by(reader: Reader, standing: Standing, person: str) -> SignOff | None:
    """The signature of this person that still says everything about the week; None when there is none."""
    own = [each for each in standing.sign_offs if each.reviewer == person and not each.without_effect(standing.week)]
    late = late_entries(standing)
    return own[-1] if own and late and not reader.count(late).events else None


def sign(reader: Reader, recorder: Recorder, signing: Signing, now_unix_nano: int) -> int:
    """Record a sign-off, and return how many entries the week has. ``recorder`` is set up already.

    The entry says what was there to see: how far each ledger was with its last hash, and what stood out. These are
    attributes, which neither the capture policy nor an erasure takes away.
    Raises ConfigError when this person may not sign this week (SignedAlready: when they have), and NotAcknowledged
    when the receiver did not acknowledge it in time.
    """
    week = signing.week
    ledgers = signing.ledgers or reader.ledgers()
    sizes = tuple((each.origin, each.size) for each in ledgers)
    refuse_unless_signable(reader, week, signing.reviewer, now_unix_nano)
    standing = next((each for each in queue(reader, now_unix_nano) if each.week == week), None)
    if standing and (settled := settled_by(reader, standing, signing.reviewer)):
        raise SignedAlready(
            f"{signing.reviewer} has signed {week.name} already (entry {settled.seq} of {settled.origin}), and nothing "
            "arrived in it since"
        )
    events = reader.count(week.filter(Filter(sizes=sizes))).events
    heads = {
        f"{AUDIT_LOG_REVIEW_LEDGER}.{number}": f"{each.size} {each.last_hash_hex} {each.origin}"
        for number, each in enumerate(ledgers, 1)
    }
    counts = {f"{AUDIT_LOG_REVIEW_FINDING}.{each.code}": each.events for each in findings(reader, week, sizes)}
    said: dict[str, str | int | float | bool] = {
        AUDIT_ACTION: "SIGN",
        AUDIT_ACTOR_ID: signing.reviewer,
        AUDIT_ACTOR_TYPE: "user",
        AUDIT_TARGET_ID: week.name,
        AUDIT_TARGET_TYPE: TARGET_TYPE,
        AUDIT_ROW_COUNT: events,
        AUDIT_LOG_REVIEW_INDEPENDENT: True,  # anything else was refused
        **heads,
        **counts,
    }
    if signing.remark.strip():
        said[AUDIT_PURPOSE] = signing.remark.strip()
    if signing.seconds is not None:
        said[AUDIT_LOG_REVIEW_SECONDS] = round(signing.seconds, 1)
    recorder.emit(EventType.LOG_REVIEW, said, None)
    if not recorder.flush(_FLUSH_SECONDS):
        raise NotAcknowledged(
            "the receiver has not acknowledged the sign-off. It waits in the spool, and is sent as soon as it can be: "
            f"see whether {week.name} is signed before you sign again"
        )
    return events
