"""A log review as it happens: since when a week is open, what the reviewer sees of it, and the signature.

All functions may be called from any thread.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import deps
import settings
import viewer
from formats import NANO
from roles import Action

from otel_audit.errors import StoreUnavailable
from otel_audit.instrumentation import Recorder
from otel_audit.model import Filter
from otel_audit.reports import log_review, signing
from otel_audit.reports.log_review import Found, SignOff, Standing, Week
from otel_audit.reports.signing import Signing
from otel_audit.store.reader import LedgerState

TARGET_TYPE: Final = signing.TARGET_TYPE
_AWAY_SECONDS: Final = 3600  # who comes back later than this begins anew: the time between was no review
_ANSWER_SECONDS: Final = 2.0

_lock = threading.Lock()  # guards the two below
_opened: dict[tuple[str, str], tuple[int, int]] = {}  # (viewer, week) -> opened, last seen
_unacknowledged: set[tuple[str, str]] = set()  # signatures of a viewer that wait in the spool
_one = threading.Lock()  # one signature at a time: a second click finds the first in the ledger


@dataclass(frozen=True, slots=True)
class Opened:
    """A week as its reviewer sees it: frozen where the ledgers were when it was opened."""

    week: Week
    ledgers: Sequence[LedgerState]

    @property
    def sizes(self) -> tuple[tuple[str, int], ...]:
        """How far each ledger was."""
        return tuple((each.origin, each.size) for each in self.ledgers)


@dataclass(frozen=True, slots=True)
class Review:
    """What a page shows of one week. ``own`` are the viewer's accesses, ``erased`` the erasures that they had part in.

    ``acted`` is everybody who may not sign, and how many actions of theirs the week has.
    """

    standing: Standing
    events: int
    found: list[Found]
    own: int
    own_where: Filter
    erased: int
    acted: list[tuple[str, int]]
    late: int | None
    late_where: Filter | None
    arrived: int


def began(week: Week, *, is_still_open: bool) -> int:
    """When the viewer opened this week, in nanoseconds since 1970; also says that they see it now.

    ``is_still_open``: nothing else was on their screen since. Else an hour away is the end of that review.
    """
    key, now = (viewer.name(), week.name), deps.now_unix_nano()
    with _lock:
        first, last = _opened.get(key, (now, now))
        if not is_still_open and now - last > _AWAY_SECONDS * NANO:
            first = now
        _opened[key] = first, now
        return first


def queue() -> list[Standing]:
    """Every week, newest first. Raises StoreError."""
    return log_review.queue(deps.reader(), deps.now_unix_nano())


def late(standing: Standing) -> tuple[int | None, Filter | None]:
    """How many events of a signed week arrived after its signature, and which; None when that is not known."""
    where = log_review.late_entries(standing)
    return (deps.reader().count(where).events, where) if where else (None, None)


def review(opened: Opened, standing: Standing) -> Review:
    """Look up what there is to see of a week."""
    reader, week = deps.reader(), opened.week
    own_where = log_review.own_accesses(week, viewer.name())
    arrived, arrived_where = late(standing)
    return Review(
        standing=standing,
        events=reader.count(week.filter(Filter(sizes=opened.sizes))).events,
        found=log_review.findings(reader, week, opened.sizes),
        own=reader.count(own_where).events,
        own_where=own_where,
        erased=log_review.erasers(reader, week.filter())[viewer.name(), week.since],
        acted=log_review.who_acted(reader, week),
        late=arrived,
        late_where=arrived_where,
        arrived=reader.count(week.filter(Filter(beyond=opened.sizes))).events if opened.sizes else 0,
    )


def settled(standing: Standing) -> SignOff | None:
    """The viewer's own signature that still says everything about the week."""
    return signing.settled_by(deps.reader(), standing, viewer.name())


def is_under_way(week: Week) -> bool:
    """Whether a signature of the viewer was sent, and the receiver has not acknowledged it."""
    with _lock:
        return (viewer.name(), week.name) in _unacknowledged


def arrived(week: Week) -> None:
    """The viewer's signature is in the ledger: the next review of this week begins anew."""
    key = viewer.name(), week.name
    with _lock:
        _unacknowledged.discard(key)
        _opened.pop(key, None)


def receiver() -> str:
    """The receiver that records a signature. Raises StoreUnavailable when there is none, or it does not answer."""
    url = settings.endpoint()
    if url is None:
        raise StoreUnavailable("no receiver is known here")
    address = urlsplit(url if "//" in url else f"//{url}")
    try:
        socket.create_connection((address.hostname or "", address.port or 4317), _ANSWER_SECONDS).close()
    except (OSError, ValueError) as exc:
        raise StoreUnavailable(f"the receiver at {url} does not answer: {exc}") from exc
    return url


def sign(opened: Opened, conclusion: str) -> None:
    """Sign the week in the viewer's name, as `otel-audit review-logs --sign` does; twice is once.

    Raises ConfigError when the viewer may not sign, StoreUnavailable when the receiver did not acknowledge it.
    """
    name, week = viewer.name(), opened.week
    viewer.need(Action.SIGN_LOG_REVIEW)
    with _one:
        recorder = Recorder()
        recorder.configure(viewer.SERVICE_NAME, endpoint=receiver())
        if is_under_way(week) and not any(each.week == week and settled(each) for each in queue()):
            raise StoreUnavailable("your signature was sent, and the receiver has not acknowledged it yet")
        first, now = began(week, is_still_open=True), deps.now_unix_nano()
        signed = Signing(week, name, conclusion, max(0, now - first) / NANO, opened.ledgers)
        try:
            signing.sign(deps.reader(), recorder, signed, now)
        except signing.SignedAlready:
            pass  # the second click
        except signing.NotAcknowledged:
            with _lock:
                _unacknowledged.add((name, week.name))
            raise
        arrived(week)
