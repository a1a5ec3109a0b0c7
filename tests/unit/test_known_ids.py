"""The duplicate filter."""

from __future__ import annotations

from otel_audit.receiver.known_ids import KnownIds


def ids(start: int, end: int) -> list[bytes]:
    return [b"span:%d" % number for number in range(start, end)]


def test_what_was_added_is_always_known():
    """No id of the window is ever called new: a retry can't slip through."""
    known = KnownIds(10_000)
    for start in range(0, 15_000, 1_000):
        known.add(ids(start, start + 1_000))
    assert all(known.maybe_known(ids(5_000, 15_000)))


def test_new_ids_are_nearly_always_new():
    """False alarms stay below one in a hundred, so that they cost few lookups."""
    known = KnownIds(10_000)
    known.add(ids(0, 10_000))
    assert sum(known.maybe_known(ids(20_000, 30_000))) < 100


def test_memory_is_bounded():
    """Ids older than two windows are forgotten instead of growing the filter."""
    known = KnownIds(1_000)
    for start in range(0, 100_000, 1_000):
        known.add(ids(start, start + 1_000))
    assert sum(known.maybe_known(ids(0, 1_000))) < 100
    assert known.maybe_known([]) == []
