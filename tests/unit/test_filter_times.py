from __future__ import annotations

import datetime

import pytest

from otel_audit.errors import ConfigError
from otel_audit.reports._times import NANO, clock, iso_nano, parse_instant

NOW = 1_794_000_000 * NANO
DAY = 86_400 * NANO


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", NOW - 7 * DAY),
        ("24h", NOW - DAY),
        ("30m", NOW - 1800 * NANO),
        ("2w", NOW - 14 * DAY),
        ("2026-11-06", 1_793_923_200 * NANO),
        ("2026-11-06T21:20", NOW),
        ("2026-11-06T21:20:00Z", NOW),
        ("2026-11-06 22:20:00+01:00", NOW),
        ("2026-11-06T21:20:00.000000007Z", NOW + 7),
        ("2026-11-06T21:20:00.5+00:00", NOW + NANO // 2),
        ("1969-12-31T23:59:59.999999999Z", -1),
        (" 2200-01-01 ", 7_258_118_400 * NANO),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, expected: int) -> None:
    """A date, a time in any zone, or an age becomes the exact instant; without a zone UTC is meant."""
    assert parse_instant(text, now_unix_nano=NOW) == expected


def test_an_end_date_includes_its_day() -> None:
    """As an end, a date is the midnight after it; a time of day stays that time."""
    assert parse_instant("2026-11-06", now_unix_nano=NOW, whole_day=True) == 1_793_923_200 * NANO + DAY
    assert parse_instant("2026-11-06T00:00", now_unix_nano=NOW, whole_day=True) == 1_793_923_200 * NANO


@pytest.mark.parametrize(
    "text", ["", "yesterday", "7 d", "2026-13-01", "-7d", "2026-11-06T25:00", "3000-01-01", "1500-01-01", "7y"]
)
def test_what_is_no_time_says_what_to_give(text: str) -> None:
    """Anything else is an error that names the text; what the ledger can not hold is one too."""
    with pytest.raises(ConfigError) as raised:
        parse_instant(text, now_unix_nano=NOW)
    assert repr(text.strip()) in str(raised.value)


def test_times_are_written_as_they_are_read() -> None:
    """An instant written as ISO 8601 is read back as itself, and clocks show their zone."""
    for instant in (0, -1, NOW + 7, 7_258_118_400 * NANO + 999_999_999):
        assert parse_instant(iso_nano(instant), now_unix_nano=0) == instant
    assert clock(NOW + 1, datetime.timezone(datetime.timedelta(hours=1), "CET")) == "2026-11-06 22:20:00 CET"
