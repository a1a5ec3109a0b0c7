"""Log reviews over a real store, and the command."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from otel_audit.errors import ConfigError
from otel_audit.model import Filter
from otel_audit.reports.log_review import Week, findings, queue, refuse_unless_signable
from otel_audit.store.database import Database
from otel_audit.store.reader import Reader
from tests.integration.ledger_rows import T0, LedgerRows
from tests.integration.running import run, running

_DAY = 86_400
_WEEK = Week.of(T0)


def _at(days: float) -> float:
    """Seconds after T0 of a moment so many days after the week's Monday 00:00."""
    return days * _DAY - (T0 - _WEEK.since) / 1e9


def _access(ledger: LedgerRows, who: str, day: float, **attributes: str) -> int:
    rows = attributes.pop("row_count", None)
    said = sorted((f"audit.{name}", value) for name, value in attributes.items())
    numbers = [("audit.row_count", rows)] if rows else []
    return ledger.add("access", at=_at(day), actor_id=who, attributes=said, attributes_json=numbers)


def _sign(ledger: LedgerRows, who: str, day: float, week: str = _WEEK.name) -> int:
    return ledger.add(
        "log_review", at=_at(day), actor_id=who, attributes=[("audit.target.id", week)],
        attributes_json=[("audit.row_count", "4")],
        content={"rationale": "all asked for"},
    )  # fmt: skip


def _state(reader: Reader, day: float) -> str:
    return {each.week: each.state for each in queue(reader, _WEEK.since + int(day * _DAY * 1e9), 7)}[_WEEK]


def test_findings_are_exactly_the_events_that_their_filters_find(database: Database) -> None:
    """Each kind counts its own events of that week, and its filter finds these and no others."""
    ledger = LedgerRows()
    expected = {
        "large_exports": [_access(ledger, "u_1", 1.5, action="EXPORT", row_count="10000")],
        "off_hours": [_access(ledger, "u_1", 1.0 + 6.99 / 24), _access(ledger, "u_1", 5.5)],
        "failed_accesses": [_access(ledger, "u_2", 2.5, outcome="denied")],
        "erasures": [ledger.add("erasure", at=_at(2))],
        "losses": [ledger.add("loss", at=_at(3))],
        "id_conflicts": [ledger.add("span", at=_at(3), remarks=["id_conflict:7"])],
        "retention": [],
        "key_rotations": [],
    }
    quiet = [_access(ledger, "u_1", 1.0 + 7 / 24, action="EXPORT", row_count="9999", outcome="success")]
    _access(ledger, "u_1", 7.5, action="EXPORT", row_count="99999", outcome="denied")  # the week after
    ledger.write(database)
    reader = Reader(database)
    found = {each.code: each for each in findings(reader, _WEEK)}
    seqs = {code: sorted(row["seq"] for row in reader.page(each.where)) for code, each in found.items()}
    accesses = [*expected["large_exports"], *expected["off_hours"], *expected["failed_accesses"], *quiet]
    assert seqs == expected | {"accesses": sorted(accesses)}
    assert {code: each.events for code, each in found.items()} == {code: len(each) for code, each in seqs.items()}


def test_a_week_is_running_then_open_then_overdue_until_somebody_signs(database: Database) -> None:
    """What nobody signed becomes overdue, and a sign-off after the week's end settles it."""
    ledger = LedgerRows()
    _access(ledger, "u_1", 1.5)
    ledger.write(database)
    reader = Reader(database)
    assert [_state(reader, day) for day in (6.9, 7, 13.9, 14)] == ["running", "open", "open", "overdue"]
    more = LedgerRows("test/second")
    _sign(more, "u_9", 8)
    _sign(more, "u_9", 8, week="no week")
    more.write(database)
    assert _state(reader, 14) == "signed"
    (signed,) = next(each for each in queue(reader, _WEEK.until, 7) if each.week == _WEEK).sign_offs
    assert (signed.reviewer, signed.remark, signed.events) == ("u_9", "all asked for", 4)


def test_nobody_signs_off_their_own_accesses(database: Database) -> None:
    """Who is among a week's accesses is refused, and a sign-off of theirs that got in does not count."""
    ledger = LedgerRows()
    _access(ledger, "u_1", 1.5)
    _sign(ledger, "u_1", 8)
    ledger.write(database)
    reader = Reader(database)
    assert _state(reader, 14) == "overdue"
    with pytest.raises(ConfigError, match="u_1 may not sign"):
        refuse_unless_signable(reader, _WEEK, "u_1", _WEEK.until)
    refuse_unless_signable(reader, _WEEK, "u_2", _WEEK.until)


def test_a_week_is_not_signed_before_it_is_over(database: Database) -> None:
    """A sign-off made while events still arrive settles nothing, and the command refuses it."""
    ledger = LedgerRows()
    _sign(ledger, "u_9", 6.9)
    ledger.write(database)
    reader = Reader(database)
    assert _state(reader, 14) == "overdue"
    with pytest.raises(ConfigError, match="is not over"):
        refuse_unless_signable(reader, _WEEK, "u_9", _WEEK.until - 1)
    with pytest.raises(ConfigError, match="before the first entry"):
        refuse_unless_signable(reader, Week.of(_WEEK.since - 1), "u_9", _WEEK.until)


_SEND = """
import sys
from otel_audit.reports.log_review_command import _send
from otel_audit.reports.log_review import Week
_send(sys.argv[1], Week.parse(sys.argv[2]), "u_9", remark="all asked for", events=3, seen={"findings": {"losses": 0}})
"""


def test_a_sign_off_travels_through_the_receiver_and_is_shown(tmp_path: Path) -> None:
    """What was signed is acknowledged and in the queue; an unfinished week is refused by the command."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard") as receiver:
        now = Week.of(time.time_ns()).name
        subprocess.run([sys.executable, "-c", _SEND, receiver.endpoint, now], check=True, timeout=60)
        shown = json.loads(run("review-logs", "--data", str(data), "--week", now, "--json").stdout)
        (week,) = shown["weeks"]
        (signed,) = week["sign_offs"]
        assert (week["state"], signed["reviewer"], signed["remark"], signed["entries"], signed["independent"]) == (
            "running", "u_9", "all asked for", 3, True,
        )  # fmt: skip
        refused = run("review-logs", "--data", str(data), "--week", now, "--sign", "--reviewer", "u_9", code=2)
        assert "is not over" in refused.stderr
    assert run("verify", "--data", str(data), code=[0]).returncode == 0


def test_an_empty_store_has_nothing_to_review(database: Database) -> None:
    """An empty store has no weeks and nothing that stands out."""
    reader = Reader(database)
    assert queue(reader, T0, 7) == []
    assert {each.events for each in findings(reader, _WEEK)} == {0}
    assert reader.count(Filter()).events == 0
