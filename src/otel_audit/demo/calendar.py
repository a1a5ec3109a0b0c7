"""When things happen in the demo's history: customers at any time, reviewers in working hours. Pure."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Final

SECOND: Final = 1_000_000_000  # nanoseconds
DAY: Final = 86_400 * SECOND
_OPENS, _CLOSES = 8, 17  # o'clock, UTC, Monday to Friday
_WEEKEND_SHARE: Final = 0.2


def _moment(unix_nano: int) -> datetime:
    return datetime.fromtimestamp(unix_nano // SECOND, UTC)


def arrivals(rng: random.Random, *, since: int, until: int, count: int) -> list[int]:
    """When ``count`` customers come, in order: mostly by day, and less at the weekend. Nanoseconds since 1970."""
    found: list[int] = []
    while len(found) < count:
        at = since + int(rng.random() * (until - since))
        moment = _moment(at)
        liveliness = max(0.05, 1 - abs(moment.hour + moment.minute / 60 - 13) / 8)
        if moment.weekday() >= 5:
            liveliness *= _WEEKEND_SHARE
        if rng.random() < liveliness:
            found.append(at)
    return sorted(found)


def at_work(rng: random.Random, earliest: int) -> int:
    """The first time from ``earliest`` on when somebody works; shortly after opening when it has to wait."""
    moment = _moment(earliest)
    if moment.weekday() < 5 and _OPENS <= moment.hour < _CLOSES:
        return earliest
    opening = moment.replace(hour=_OPENS, minute=0, second=0)
    if moment.hour >= _OPENS:
        opening += timedelta(days=1)
    while opening.weekday() >= 5:
        opening += timedelta(days=1)
    return int(opening.timestamp()) * SECOND + int(rng.expovariate(1 / 2_400) * SECOND)
