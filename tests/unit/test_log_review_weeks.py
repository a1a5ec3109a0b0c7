"""Weeks of log reviews."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_audit.errors import ConfigError
from otel_audit.reports.log_review import Week


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_every_instant_is_in_the_week_that_is_named_for_it(instant: int) -> None:
    """No instant is in no week or in two, and the name of a week leads back to it."""
    week = Week.of(instant)
    assert week.since <= instant < week.until == week.next().since
    assert Week.parse(week.name) == week


def test_weeks_at_the_end_of_a_year_have_their_iso_names() -> None:
    """The days around new year belong to the week that ISO 8601 says."""
    assert Week(date(2026, 12, 28)).name == "2026-W53"
    assert Week(date(2026, 12, 28)).next().name == "2027-W01"
    assert Week.parse("2025-W01").monday == date(2024, 12, 30)


@pytest.mark.parametrize("text", ["2025-W53", "2026-W00", "2026-47", "W47", "", "0000-W01", "2026-W47 "])
def test_what_is_no_week_is_refused_with_an_example(text: str) -> None:
    """A week that does not exist is never taken for another."""
    with pytest.raises(ConfigError, match="2026-W47"):
        Week.parse(text)
