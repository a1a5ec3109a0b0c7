"""Numbers, times and text as people read them. Pure."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

NANO = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def esc(value: object) -> str:
    """Text for HTML. Everything that came from data goes through here."""
    return html.escape(str(value), quote=True)


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``count(1, "event")`` is "1 event", ``count(2000, "event")`` "2,000 events"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """A length of time in at most two units: "0.4 s", "51 s", "2 min 05 s", "3 h 57 min", "2 d 4 h".

    >>> duration(154)
    '2 min 34 s'
    """
    if 0 < seconds < 9.95:
        tenths = f"{max(seconds, 0.1):.1f}"
        return f"{tenths.removesuffix('.0')} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def local(unix_nano: int, zone: str) -> datetime:
    """The moment ``unix_nano`` in ``zone`` (an IANA name), to the microsecond."""
    return (_EPOCH + timedelta(microseconds=unix_nano // 1000)).astimezone(ZoneInfo(zone))


def nano(moment: datetime) -> int:
    """Nanoseconds since 1970 of a moment that carries its zone."""
    delta = moment - _EPOCH
    return (delta.days * 86400 + delta.seconds) * NANO + delta.microseconds * 1000


def exact(unix_nano: int) -> str:
    """The exact time in UTC, ISO 8601 with milliseconds: "2026-11-23T09:07:28.123Z"."""
    return local(unix_nano, "UTC").isoformat(timespec="milliseconds").replace("+00:00", "Z")


def day(unix_nano: int, zone: str) -> str:
    """The day in full: "Monday 23 November 2026"."""
    return local(unix_nano, zone).strftime("%A %-d %B %Y")


def moment(unix_nano: int, zone: str) -> str:
    """Day and minute: "23 Nov 2026, 10:07"."""
    return local(unix_nano, zone).strftime("%-d %b %Y, %H:%M")


def zone_label(zone: str, unix_nano: int) -> str:
    """The zone in words, with its distance to UTC at that time: "Berlin time, UTC+1"."""
    if zone == "UTC":
        return "UTC"
    offset = local(unix_nano, zone).utcoffset() or timedelta()
    hours = f"{offset.total_seconds() / 3600:+g}"
    return f"{zone.rsplit('/', maxsplit=1)[-1].replace('_', ' ')} time, UTC{hours}"


def short_hash(hex_or_bytes: Any, length: int = 16) -> str:
    """The first hex digits of a hash, marked as shortened."""
    text = hex_or_bytes.hex() if isinstance(hex_or_bytes, bytes) else str(hex_or_bytes)
    return text if len(text) <= length else text[:length] + "…"


def sentence_case(text: str) -> str:
    """A code as words: "credit_decision" becomes "credit decision". Only what looks like a code is changed."""
    return text.replace("_", " ") if text.isascii() and " " not in text and not any(map(str.isdigit, text)) else text


def percent_range(what: str, lowest: int | None, highest: int | None) -> str:
    """A range of percentages, open at an end that is None: "confidence 20 % to 60 %", "confidence at most 60 %"."""
    if lowest is None:
        return f"{what} at most {highest} %"
    return f"{what} at least {lowest} %" if highest is None else f"{what} {lowest} % to {highest} %"
