"""Times of entries against clocks that are not the receiver's."""

from __future__ import annotations

import pytest

from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.times import NANOS, Attestation, TimeChecker, TimeRules

HOUR = 3600 * NANOS
START = 1_770_000_000 * NANOS
RULES = TimeRules(tolerance_nanos=60 * NANOS)
DELAY = TimeRules(tolerance_nanos=60 * NANOS, max_delay_nanos=HOUR)
SEEN = (Attestation(10, START + 10 * HOUR, "tsa 1", "rfc3161"), Attestation(20, START + 20 * HOUR, "tsa 2", "rfc3161"))
LATE = (Attestation(10, START + 19 * HOUR, "block", "opentimestamps"),)


def check(changes=None, attestations=SEEN, rules=RULES, block=30):
    """One entry an hour, recorded half an hour before its hour ends; ``changes`` are {seq: (column, hours)}."""
    recorded = {seq: START + seq * HOUR + HOUR // 2 for seq in range(30)}
    begun = dict(recorded)
    for seq, (column, hours) in (changes or {}).items():
        (recorded if column == "recorded_at" else begun)[seq] = START + int(hours * HOUR)
    findings = Findings("origin")
    checker = TimeChecker(findings, attestations, rules)
    for first in range(0, 30, block):
        seqs = list(range(first, min(30, first + block)))
        checker.take(seqs, [recorded[seq] for seq in seqs], [begun[seq] for seq in seqs])
    return [(each.code, each.seq, each.column) for each in findings.list()]


@pytest.mark.parametrize("block", [1, 7, 30])
@pytest.mark.parametrize("attestations", [(), SEEN, LATE, (*SEEN, *LATE), SEEN[::-1]], ids=len)
def test_honest_times_are_no_finding(attestations, block):
    """However the rows are cut into blocks, and whatever attests, honest times pass."""
    assert check(attestations=attestations, block=block) == []


@pytest.mark.parametrize("hours", [-100_000, 0, 3])
def test_events_from_a_spool_are_no_finding(hours):
    """An event may have waited on a disk for as long as it likes; with a limit it is named beyond it."""
    assert check({25: ("event_time", hours)}) == []
    assert check({25: ("event_time", hours)}, rules=DELAY) == [("BACKDATED", 25, "event_time")]
    assert check({5: ("event_time", hours)}, rules=DELAY) == [], "nobody attests when entry 5 came at the earliest"


@pytest.mark.parametrize("block", [1, 7, 30])
def test_an_entry_that_claims_to_be_older_than_what_was_attested_before_it(block):
    """recorded_at before a prompt attestation of fewer entries: BACKDATED; the entry after it is then no surprise."""
    changes = {seq: ("recorded_at", 15 + seq / 100) for seq in range(20, 30)}
    found = check(changes, block=block)
    assert [each for each in found if each[0] == "BACKDATED"] == [
        ("BACKDATED", seq, "recorded_at") for seq in range(20, 30)
    ]
    assert [each for each in found if each[0] == "NON_MONOTONIC"] == [("NON_MONOTONIC", 20, "recorded_at")]


def test_a_late_attestation_dates_nothing_back():
    """A block of Bitcoin comes hours after the checkpoint: what was recorded meanwhile is honest."""
    assert check(attestations=LATE) == []
    prompt = [Attestation(10, LATE[0].unix_nano, "tsa", "rfc3161")]
    assert {each[0] for each in check(attestations=prompt)} == {"BACKDATED"}


@pytest.mark.parametrize(
    ("column", "hours", "expected"),
    [
        ("recorded_at", 10.01, []),
        ("recorded_at", 10.1, [("FUTURE_DATED", 9, "recorded_at")]),
        ("event_time", 10.1, [("FUTURE_DATED", 9, "event_time")]),
        ("event_time", 10.01, []),
    ],
)
def test_an_entry_that_claims_to_be_newer_than_the_attestation_that_has_it(column, hours, expected):
    """Within the tolerance clocks may differ; beyond it the claim is false: FUTURE_DATED with its column."""
    assert check({9: (column, hours)}) == expected


def test_an_attestation_far_ahead_is_enough():
    """Of several attestations that cover an entry the earliest one binds."""
    assert check({3: ("event_time", 12)}) == [("FUTURE_DATED", 3, "event_time")]
    assert check({3: ("event_time", 12)}, attestations=SEEN[1:]) == []


@pytest.mark.parametrize("block", [1, 5, 30])
def test_recorded_times_never_decrease(block):
    """An entry that was recorded before the one ahead of it is named, across blocks too."""
    assert check({5: ("recorded_at", 4)}, (), block=block) == [("NON_MONOTONIC", 5, "recorded_at")]


def test_altered_rows_are_not_named_again():
    """A row that is known to be altered says nothing about time."""
    findings = Findings("origin")
    findings.add(Code.ROW_MODIFIED, "changed", seq=1, column="recorded_at")
    TimeChecker(findings, SEEN, RULES).take([0, 1, 2], [START, 0, START], [START, 0, START])
    assert [each.code for each in findings.list()] == ["ROW_MODIFIED"]


def test_a_time_that_no_calendar_has():
    """Any 64-bit time is told, not an error."""
    findings = Findings("origin")
    TimeChecker(findings, SEEN, RULES).take([0], [(1 << 63) - 1], [-(1 << 63)])
    assert [each.code for each in findings.list()] == ["FUTURE_DATED"]
