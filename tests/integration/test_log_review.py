"""Log reviews over a real store, and the command."""

from __future__ import annotations

import json
import time

import pytest

from otel_audit.errors import ConfigError
from otel_audit.ledger.erasure import Erasure
from otel_audit.ledger.statement import sign_statement
from otel_audit.model import Filter
from otel_audit.reports.log_review import Week, findings, late_entries, queue, refuse_unless_signable, who_acted
from otel_audit.semconv import AUDIT_ERASURE_STATEMENT
from otel_audit.store.database import Database
from otel_audit.store.folder import DataFolder
from otel_audit.store.reader import Reader
from tests.attacks.ledger import SIGNER
from tests.integration.ledger_rows import T0, LedgerRows, seeded
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


def _sign(ledger: LedgerRows, who: str, day: float, week: str = _WEEK.name, *heads: str, told: float = 8) -> int:
    """A sign-off that says it was made on day ``told``, and was recorded on ``day``."""
    ledgers = [(f"audit.log_review.ledger.{number}", head) for number, head in enumerate(heads, 1)]
    return ledger.add(
        "log_review", at=_at(told), recorded=_at(day), actor_id=who, attributes=[*ledgers, ("audit.target.id", week)],
        attributes_json=[("audit.log_review.seconds", "90.5"), ("audit.row_count", "4")],
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
        "failed_checks": [_access(ledger, "", 2.5, action="VERIFY", outcome="failure")],
        "erasures": [ledger.add("erasure", at=_at(2))],
        "losses": [ledger.add("loss", at=_at(3))],
        "id_conflicts": [ledger.add("span", at=_at(3), remarks=["id_conflict:7"])],
        "unrecognised": [ledger.add("span", at=_at(3), name="gen_ai.unheard_of")],
        "quick_reviews": [ledger.add("review", at=_at(3), decision="approved", task_id="t", duration_ms=9000.0)],
        "retention": [],
        "key_rotations": [],
    }
    quiet = [_access(ledger, "u_1", 1.0 + 7 / 24, action="EXPORT", row_count="9999", outcome="success")]
    ledger.add("review", at=_at(3), decision="approved", task_id="t", duration_ms=10_000.0)
    expected["failed_accesses"] += expected["failed_checks"]
    _access(ledger, "u_1", 7.5, action="EXPORT", row_count="99999", outcome="denied")  # the week after
    ledger.write(database)
    reader = Reader(database)
    found = {each.code: each for each in findings(reader, _WEEK)}
    seqs = {code: sorted(row["seq"] for row in reader.page(each.where)) for code, each in found.items()}
    accesses = [seq for code in ("large_exports", "off_hours", "failed_accesses") for seq in expected[code]] + quiet
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
    for other in ("no week", "9999-W52", "1969-W01"):
        _sign(more, "u_9", 8, week=other)
    more.write(database)
    assert _state(reader, 14) == "signed"
    (signed,) = next(each for each in queue(reader, _WEEK.until, 7) if each.week == _WEEK).sign_offs
    assert (signed.reviewer, signed.remark, signed.events, signed.seconds) == ("u_9", "all asked for", 4, 90.5)


def test_nobody_signs_off_their_own_accesses(database: Database) -> None:
    """Who is among a week's accesses is refused, and a sign-off of theirs that got in does not count.

    Signing in and opening a week of the log review are no accesses of that kind: else whoever reviews could never
    sign the week in which they do.
    """
    ledger = LedgerRows()
    _access(ledger, "u_1", 1.5)
    _access(ledger, "u_2", 1.5, **{"action": "VIEW", "target.type": "log_review"})
    _access(ledger, "u_2", 1.4, **{"action": "SIGN_IN", "target.type": "sign-in"})
    _access(ledger, "u_3", 1.5, **{"action": "EXPORT", "target.type": "log_review"})
    _access(ledger, "u_2", 7)
    _access(ledger, "u_2", -0.001)
    _sign(ledger, "u_1", 8)
    ledger.write(database)
    reader = Reader(database)
    assert _state(reader, 14) == "overdue"
    with pytest.raises(ConfigError, match="u_1 may not sign"):
        refuse_unless_signable(reader, _WEEK, "u_1", _WEEK.until)
    with pytest.raises(ConfigError, match="u_3 may not sign"):
        refuse_unless_signable(reader, _WEEK, "u_3", _WEEK.until)
    refuse_unless_signable(reader, _WEEK, "u_2", _WEEK.until)
    more = LedgerRows("test/second")
    _sign(more, "u_2", 8)
    more.write(database)
    assert _state(reader, 14) == "signed"


def test_who_asked_for_an_erasure_or_approved_it_does_not_sign_its_week(database: Database) -> None:
    """An erasure is an action of both people whom its statement names, in its own week and in no other."""
    ledger = LedgerRows()
    said = Erasure("test/reading", ((0, 0),), "request", "u_1", "u_2", T0, "task").fields()
    ledger.add("erasure", at=_at(2), attributes=[(AUDIT_ERASURE_STATEMENT, sign_statement("erasure", said, [SIGNER]))])
    ledger.add("erasure", at=_at(2), attributes=[(AUDIT_ERASURE_STATEMENT, "no statement")])
    ledger.add("erasure", at=_at(9))
    for who in ("u_1", "u_2"):
        _sign(ledger, who, 8)
    ledger.write(database)
    reader = Reader(database)
    assert _state(reader, 14) == "overdue"
    assert sorted(who_acted(reader, _WEEK)) == [("u_1", 1), ("u_2", 1)]
    for who in ("u_1", "u_2"):
        with pytest.raises(ConfigError, match="1 erasure of it is their own"):
            refuse_unless_signable(reader, _WEEK, who, _WEEK.until)
        refuse_unless_signable(reader, _WEEK.next(), who, _WEEK.next().until)
    refuse_unless_signable(reader, _WEEK, "u_3", _WEEK.until)


def test_a_week_is_not_signed_before_it_is_over(database: Database) -> None:
    """A sign-off made while events still arrive settles nothing, whatever time it states, and signing is refused."""
    ledger = LedgerRows()
    _sign(ledger, "u_9", 6.9, told=8)
    ledger.write(database)
    reader = Reader(database)
    assert _state(reader, 14) == "overdue"
    with pytest.raises(ConfigError, match="is not over"):
        refuse_unless_signable(reader, _WEEK, "u_9", _WEEK.until - 1)
    with pytest.raises(ConfigError, match="before the first entry"):
        refuse_unless_signable(reader, Week.of(_WEEK.since - 1), "u_9", _WEEK.until)


def test_what_arrives_after_the_signature_is_found(database: Database) -> None:
    """What a signed week gets later is told, as exactly these entries; what nobody stated is not guessed."""
    ledger = LedgerRows()
    _access(ledger, "u_1", 1.5)
    other = LedgerRows("test/second")
    _sign(other, "u_9", 8, _WEEK.name, f"1 {'ab' * 32} test/reading", f"0 {'ab' * 32} test/second")
    late = [_access(ledger, "u_1", 2.5), _access(ledger, "u_1", 3.5)]
    _access(ledger, "u_1", 7.5)
    for each in (ledger, other):
        each.write(database)
    reader = Reader(database)
    (standing,) = [each for each in queue(reader, _WEEK.until, 7) if each.week == _WEEK]
    where = late_entries(standing)
    assert where is not None
    assert [(row["origin"], row["seq"]) for row in reader.page(where)] == [("test/reading", seq) for seq in late[::-1]]
    third = LedgerRows("test/third")
    _sign(third, "u_9", 9, _WEEK.name, "not how a head is written")
    third.write(database)
    (standing,) = [each for each in queue(reader, _WEEK.until, 7) if each.week == _WEEK]
    assert standing.state == "signed"
    assert late_entries(standing) is None


def test_a_sign_off_travels_through_the_receiver_and_is_shown(data_folder: DataFolder) -> None:
    """What was signed is acknowledged and shows the week as signed; what was seen survives the capture policy."""
    weeks_ago = Week.of(time.time_ns() - 14 * _DAY * 10**9)
    signed_last = seeded(data_folder, weeks_ago.since)
    data = data_folder.path
    with running(data, "--no-dashboard"):
        arguments = ("review-logs", "--data", str(data), "--week", weeks_ago.name)
        refused = run(*arguments, "--sign", "--reviewer", "u_1", code=2)
        assert "Let a second person review and sign the week" in refused.stderr
        assert json.loads(run(*arguments, "--json", "--due-days", "0", code=1).stdout)["weeks"][0]["state"] == "overdue"
        remark = "all asked for, by Ana <ana@example.com>"
        (week,) = json.loads(run(*arguments, "--sign", "--reviewer", "u_9", "--remark", remark, "--json").stdout)[
            "weeks"
        ]
        (signed,) = week["sign_offs"]
        assert (week["state"], signed["reviewer"], signed["entries"], signed["counts"]) == ("signed", "u_9", 2, True)
        assert week["arrived_after_signing"] == 0
        assert "ana@example.com" not in signed["remark"]
        running_week = Week.of(time.time_ns()).name
        refused = run("review-logs", "--data", str(data), "--week", running_week, "--sign", "--reviewer", "u_9", code=2)
        assert "is not over" in refused.stderr
        out = data.parent / "reviews.jsonl"
        run("export", "--data", str(data), "--event-type", "log_review", "--format", "jsonl", "--out", str(out))
        (row,) = [json.loads(line) for line in out.read_text().splitlines()]
        heads = [value for key, value in row["attributes"].items() if key.startswith("audit.log_review.ledger.")]
        assert any(head == f"2 {signed_last} test/reading" for head in heads)
        assert row["attributes_json"]["audit.log_review.finding.accesses"] == "1"
        assert row["attributes_json"]["audit.log_review.independent"] == "true"


def test_an_empty_store_has_nothing_to_review(database: Database) -> None:
    """An empty store has no weeks and nothing that stands out."""
    reader = Reader(database)
    assert queue(reader, T0, 7) == []
    assert {each.events for each in findings(reader, _WEEK)} == {0}
    assert reader.count(Filter()).events == 0
