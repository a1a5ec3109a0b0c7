"""Times as people and files write them. An instant is an int, nanoseconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from otel_audit.errors import ConfigError

NANO: Final = 1_000_000_000
_LIMIT: Final = 2**63  # DateTime64(9) holds an Int64

_UNIT_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(\d+)([mhdw])")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_FRACTION: Final = re.compile(r"[.,](\d{1,9})(?=$|[Zz+-])")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso_nano(unix_nano: int) -> str:
    """ISO 8601 in UTC with nanoseconds.

    >>> iso_nano(1_794_000_000_000_000_007)
    '2026-11-06T21:20:00.000000007Z'
    """
    minute, rest = divmod(unix_nano, 60 * NANO)
    digits = f"{rest:011}"  # two of the second, nine of its nanoseconds
    return f"{_iso_minute(minute)}:{digits[:2]}.{digits[2:]}Z"


@lru_cache(maxsize=1024)  # exports format millions of times, most of them near one another
def _iso_minute(unix_minute: int) -> str:
    return (_EPOCH + timedelta(minutes=unix_minute)).isoformat()[:16]


def clock(unix_nano: int, zone: tzinfo = UTC) -> str:
    """Date, time to the second and zone, for people.

    >>> clock(1_794_000_000_000_000_007)
    '2026-11-06 21:20:00 UTC'
    """
    moment = (_EPOCH + timedelta(seconds=unix_nano // NANO)).astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()}"


def parse_instant(text: str, *, now_unix_nano: int, whole_day: bool = False) -> int:
    """Nanoseconds since 1970 of a date, an ISO 8601 time, or an age such as 7d, 24h, 30m or 2w.

    Without a zone UTC is meant. A date is its midnight; with ``whole_day`` the midnight after it, so
    that an end bound includes the day. Raises ConfigError for anything else.

    >>> parse_instant("2026-11-06", now_unix_nano=0)
    1793923200000000000
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return now_unix_nano - int(ago[1]) * _UNIT_SECONDS[ago[2]] * NANO
    fraction = _FRACTION.search(text)
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    try:
        moment = datetime.fromisoformat(whole)
        if whole_day and _DATE.fullmatch(text):
            moment += timedelta(days=1)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since_epoch = moment - _EPOCH
    except (ValueError, OverflowError) as exc:
        raise ConfigError(
            f"{text!r} is no time. Give a date (2026-11-20), a time (2026-11-20T14:30:00Z) or an age (7d, 24h)"
        ) from exc
    nano = (since_epoch.days * 86_400 + since_epoch.seconds) * NANO + since_epoch.microseconds * 1000
    nano += int(fraction[1].ljust(9, "0")) if fraction else 0
    if not -_LIMIT <= nano < _LIMIT:
        raise ConfigError(f"{text!r} is outside of what the ledger can hold (1677 to 2262)")
    return nano
