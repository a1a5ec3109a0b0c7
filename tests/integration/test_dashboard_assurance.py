"""The pages Log review and Reports over a real store, and a sign-off through a real receiver."""

import time

import deps
import pytest
import settings
import signoff
import streamlit as st
import viewer

from otel_audit.errors import StoreUnavailable
from otel_audit.instrumentation import Recorder
from otel_audit.ledger.erasure import Erasure
from otel_audit.ledger.statement import sign_statement
from otel_audit.model import Filter
from otel_audit.reports.log_review import Week
from otel_audit.semconv import AUDIT_ERASURE_STATEMENT
from otel_audit.store.reader import Reader
from tests.attacks.ledger import SIGNER
from tests.integration.ledger_rows import T0, LedgerRows, earlier_weeks
from tests.integration.running import running, verify
from tests.integration.test_dashboard_apptest import opened, text_of

DAY = 86_400
NANO = 10**9
WEEK = Week.of(T0)  # 2026-W45; the next one begins on 9 November


def at(days):
    """Seconds after T0 of a moment so many days after the week's Monday 00:00 UTC."""
    return days * DAY - (T0 - WEEK.since) / NANO


@pytest.fixture
def store(database, monkeypatch, tmp_path):
    """The dashboard over the shared engine, 17 days after the week began: one week is overdue, and one is open."""
    st.cache_data.clear()
    database.recorded = []
    signoff._opened.clear()
    monkeypatch.setattr(deps, "database", lambda: database)
    monkeypatch.setattr(deps, "reader", lambda: Reader(database))
    monkeypatch.setattr(viewer, "name", lambda: "u_9")
    monkeypatch.setattr(viewer, "record", lambda *args, **kwargs: database.recorded.append(args))
    monkeypatch.setattr(deps, "now_unix_nano", lambda: WEEK.since + 17 * DAY * NANO)
    return database


@pytest.fixture
def week(store):
    """A ledger with accesses of u_1 and u_2, an erasure and a late key change in that week."""
    ledger = LedgerRows()
    for who, day in (("u_1", 1.5), ("u_2", 1.6), ("u_1", 5.5)):
        ledger.add("access", at=at(day), recorded=at(day), actor_id=who, attributes=[("audit.action", "VIEW")])
    ledger.add("erasure", at=at(2), recorded=at(2))
    ledger.write(store)
    return ledger


def answering(monkeypatch):
    """A receiver that would answer; nothing is sent to it."""
    monkeypatch.setattr(signoff, "receiver", lambda: "http://127.0.0.1:4317")


def test_the_queue_says_what_waits_and_since_when(week):
    """One sentence first, then each week by its state, with the way to its review."""
    page = text_of(opened("log_review"))
    assert "<b>2 weeks wait for review,</b> the oldest since 9 Nov 2026. 1 is overdue." in page
    assert "was due by 15 Nov 2026" in page
    assert "can be signed from 23 Nov 2026 on" in page
    assert page.index("2026-W45") < page.index("2026-W46") < page.index("2026-W47")


def test_signatures_are_listed_with_what_arrived_after_them(store, week):
    """Who signed, for how long it was open, and exactly the events that came later; one without effect says why."""
    other = LedgerRows("test/second")
    heads = [("audit.log_review.ledger.1", f"4 {'ab' * 32} test/reading"),
             ("audit.log_review.ledger.2", f"0 {'ab' * 32} test/second")]  # fmt: skip
    for who, day in (("u_1", 8), ("u_7", 8.5)):
        other.add("log_review", at=at(day), recorded=at(day), actor_id=who, content={"rationale": "all <b>asked for"},
                  attributes=[*heads, ("audit.target.id", WEEK.name)],
                  attributes_json=[("audit.log_review.seconds", "90.5"), ("audit.row_count", "4")])  # fmt: skip
    other.write(store)
    week.add("access", at=at(3), recorded=at(9), actor_id="u_3", attributes=[("audit.action", "VIEW")])
    week.add("loss", at=at(3), recorded=at(9))
    late = LedgerRows("test/third")
    late.add("key_rotation", at=at(4), recorded=at(9))
    late.write(store)
    page = text_of(opened("log_review"))
    assert "<b>u_7</b>, 10 Nov 2026, 12:00 · open for 1 min 30 s · 4 events." in page
    assert "Does not count: the signer has actions of their own in this week." in page
    assert ">1 event</a> arrived after the signature" in page
    one = text_of(opened("log_review", week=WEEK.name))
    assert "all &lt;b&gt;asked for" in one
    assert "Entry 1 of test/second" in one
    assert "sizes%3Dtest%252Fsecond%253A2%26beyond%3Dtest%252Fsecond%253A1" in one


def test_a_week_shows_what_stands_out_with_its_events(week, monkeypatch, store):
    """Each finding is a number with the link to its events, what there is none of is named, and opening is recorded."""
    answering(monkeypatch)
    app = opened("log_review", week=WEEK.name)
    page = text_of(app)
    assert "<b>4</b> events, <b>3</b> kinds of event to look at" in page
    assert "Accesses to the trail" in page
    assert "There were none of these: exports of 10,000 rows or more, accesses that were denied" in page
    assert "Sign as u_9" in page
    assert ("VIEW", WEEK.name, "log_review") in store.recorded
    app.button(key="sign_now").click().run()
    assert "Say what you conclude" in app.error[0].value
    assert not Reader(store).count(Filter(event_type=("log_review",))).events


def test_who_approved_an_erasure_is_refused_with_it(week, store, monkeypatch):
    """The page names the erasure that somebody had part in as their own action, with the way to it."""
    answering(monkeypatch)
    said = Erasure("test/second", ((0, 0),), "request", "u_8", "u_9", T0, "task").fields()
    other = LedgerRows("test/second")
    other.add("erasure", at=at(3), recorded=at(3),
              attributes=[(AUDIT_ERASURE_STATEMENT, sign_statement("erasure", said, [SIGNER]))])  # fmt: skip
    other.write(store)
    app = opened("log_review", week=WEEK.name)
    assert ">1 erasure</a> of it is your own" in text_of(app)
    assert not app.text_area


def test_nobody_signs_their_own_accesses_and_the_page_says_who_may(week, monkeypatch):
    """Who had accesses in the week gets no form, but the reason with its events, and who may sign."""
    answering(monkeypatch)
    monkeypatch.setattr(viewer, "name", lambda: "u_1")
    app = opened("log_review", week=WEEK.name)
    page = text_of(app)
    assert "You may not sign this week, u_1: " in page
    assert ">2 accesses</a> of it are your own" in page
    assert "u_1 (2), u_2 (1), by their own actions" in page
    assert not app.text_area


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("2026-W47", "This week is not over. It can be signed from 23 Nov 2026 on"),
        ("2026-W44", "has nothing to review"),
        ("2026-W99", "No week has the name 2026-W99"),
        ("<b>", "No week has the name &lt;b&gt;"),
    ],
)
def test_a_week_that_can_not_be_signed_says_why(week, name, told):
    """A running week, one before the ledger, and no week at all are explained, without a form."""
    app = opened("log_review", week=name)
    assert told in text_of(app)
    assert not app.text_area


def test_without_a_receiver_the_page_says_what_to_do(week, monkeypatch):
    """Nobody can sign while no receiver answers; the page has the command that starts it, and the week to read."""
    monkeypatch.setattr(settings, "endpoint", lambda: "http://127.0.0.1:9")
    monkeypatch.setattr(settings, "_given", settings.Settings(url="http://127.0.0.1:9"))
    app = opened("log_review", week=WEEK.name)
    page = text_of(app)
    assert "Nobody can sign just now" in page
    assert "does not answer" in page
    assert "Accesses to the trail" in page
    assert "otel-audit serve" in page
    assert not app.text_area


def test_what_arrives_while_somebody_looks_is_told_and_not_mixed_in(week, store, monkeypatch):
    """The week stays as it was opened, until the reviewer asks for what came since."""
    answering(monkeypatch)
    app = opened("log_review", week=WEEK.name)
    week.add("loss", at=at(3), recorded=at(16))
    more = LedgerRows("test/second")
    more.add("loss", at=at(3), recorded=at(16))
    more.write(store)
    app.run()
    assert "<b>4</b> events" in text_of(app)
    assert "1 event of this week arrived since you opened it" in text_of(app)
    app.button(key="refresh").click().run()
    assert "<b>5</b> events" in text_of(app)
    assert "arrived since" not in text_of(app)


def test_a_signature_that_waits_is_not_given_twice(week, store, monkeypatch):
    """What the receiver did not acknowledge is said to be on its way, and no second one is sent after it."""
    answering(monkeypatch)
    sent = []
    monkeypatch.setattr(Recorder, "configure", lambda *_args, **_named: None)
    monkeypatch.setattr(Recorder, "emit", lambda _self, *said, **_named: sent.append(said))
    monkeypatch.setattr(Recorder, "flush", lambda _self, _seconds: False)
    monkeypatch.setattr(signoff, "_unacknowledged", set())
    app = opened("log_review", week=WEEK.name)
    app.text_area(key="conclusion").set_value("fine")
    app.button(key="sign_now").click().run()
    assert "has not acknowledged the sign-off" in app.error[0].value
    app.run()
    assert "Your signature was sent, and the receiver has not acknowledged it yet." in text_of(app)
    assert not app.text_area
    with pytest.raises(StoreUnavailable, match="was sent"):
        signoff.sign(app.session_state["_week"], "fine")
    assert len(sent) == 1


def test_the_clock_of_a_review_stops_after_an_hour_away(monkeypatch):
    """A look at an event goes on with the same review, an hour elsewhere ends it, and an open page never does."""
    now = [T0]
    signoff._opened.clear()
    monkeypatch.setattr(viewer, "name", lambda: "u_9")
    monkeypatch.setattr(deps, "now_unix_nano", lambda: now[0])
    assert signoff.began(WEEK, is_still_open=False) == T0
    now[0] += 3600 * NANO
    assert signoff.began(WEEK, is_still_open=False) == T0
    now[0] += 7200 * NANO
    assert signoff.began(WEEK, is_still_open=True) == T0
    now[0] += 3601 * NANO
    assert signoff.began(WEEK, is_still_open=False) == now[0]
    monkeypatch.setattr(viewer, "name", lambda: "u_8")
    now[0] += NANO
    assert signoff.began(WEEK, is_still_open=True) == now[0]


def test_a_sign_off_is_in_the_ledger_once_and_it_still_verifies(data_folder, monkeypatch):
    """The page signs through the receiver: who, how long, what was seen; a second click adds nothing; it verifies."""
    st.cache_data.clear()
    signoff._opened.clear()
    weeks_ago = Week.of(time.time_ns() - 14 * DAY * NANO)
    earlier_weeks(data_folder, {weeks_ago.since: ("u_1", "u_2")})
    data = data_folder.path
    monkeypatch.setattr(viewer, "name", lambda: "u_9")
    with running(data, "--no-dashboard"):
        deps.configure(settings.Settings(data=data, wait_for_receiver=True))
        try:
            app = opened("log_review", week=weeks_ago.name)
            seen = app.session_state["_week"]
            app.text_area(key="conclusion").set_value("asked for by Ana <ana@example.com>")
            app.button(key="sign_now").click().run()
            assert not app.exception
            page = text_of(app)
            assert "You signed this week. Nothing arrived in it since." in page
            assert "ana@example.com" not in page
            assert not app.text_area
            signoff.sign(seen, "again")  # a click that was on its way
            reader = deps.reader()
            ((row,),) = reader.stream(Filter(event_type=("log_review",)))
            assert (row["actor_id"], row["attributes"]["audit.target.id"]) == ("u_9", weeks_ago.name)
            assert 0 < float(row["attributes_json"]["audit.log_review.seconds"]) < 120
            assert row["attributes_json"]["audit.row_count"] == "2"
            (head,) = [each for each in seen.ledgers if each.size]
            assert row["attributes"]["audit.log_review.ledger.1"] == f"{head.size} {head.last_hash_hex} {head.origin}"
            monkeypatch.setattr(viewer, "name", lambda: "u_1")
            with pytest.raises(Exception, match="u_1 may not sign"):
                signoff.sign(seen, "mine")
        finally:
            deps.configure(settings.Settings())
        assert verify(data)["status"] == "ok"
    deps.configure(settings.Settings(data=data))
    with pytest.raises(StoreUnavailable):
        signoff.receiver()
    deps.configure(settings.Settings())


def reported(store):
    ledger = LedgerRows()
    ledger.add("ai_call", at=1, service="loans", task_id="loan-1", response_model="atlas")
    ledger.add("review", at=2, service="loans", task_id="loan-1", reviewer_id="u_1", decision="rejected")
    ledger.add("access", at=3, actor_id="u_1", attributes=[("audit.action", "EXPORT")])
    ledger.write(store)


def test_a_report_says_what_is_asked_what_there_is_and_what_is_missing(store):
    """Controls with counts that link to their events and stated limits; what is not set up is named, with how to."""
    reported(store)
    page = text_of(opened("reports"))
    assert "SOC 2: there is evidence for 2 of 3 criteria; none in this period for 1." in page
    assert "CC6.1 Access" in page
    assert "What this does not show" in page
    assert "figure%3Doff_hours" in page
    assert "No checkpoint was signed of test/reading" in page
    assert "No anchor is known here" in page
    assert "No week of this period was reviewed and signed." in page
    assert "No report can be signed here" in page
    assert "Who looks at this dashboard is not recorded" in page
    assert "says how long somebody looked" in page


def test_the_standard_the_period_and_the_service_are_chosen(store):
    """Another standard has its own articles; a period without events has no evidence, and that is said."""
    reported(store)
    app = opened("reports")
    app.segmented_control(key="standard").set_value("EU AI Act").run()
    page = text_of(app)
    assert "Art. 14 Human oversight" in page
    assert "Not recorded by this system <b>2</b>" in page
    app.segmented_control(key="period").set_value("Last quarter").run()
    page = text_of(app)
    assert "1 Jul 2026 to 1 Oct 2026" in page
    assert "Nothing was recorded in this period." in page
    app.segmented_control(key="period").set_value("All").run()
    app.multiselect(key="service").set_value(["loans"]).run()
    assert "for loans (what the trail records of itself is never narrowed)" in text_of(app)
