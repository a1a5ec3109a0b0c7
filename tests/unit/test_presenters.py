from datetime import UTC, datetime, timedelta

import asking
import formats
import links
import presenters
import pytest
import theme
import words

from otel_audit.errors import MalformedInput
from otel_audit.model import EventType, Filter
from tests.unit.dashboard_rows import T0, row

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.04, "0.1 s"), (6.6, "6.6 s"), (7.0, "7 s"), (59.6, "1 min 00 s"), (154, "2 min 34 s"),
     (14_220, "3 h 57 min"), (187_200, "2 d 4 h")],
)  # fmt: skip
def test_durations_read_as_people_say_them(seconds, said):
    """A length of time has at most two units, and small ones keep their tenths."""
    assert formats.duration(seconds) == said


def test_times_keep_their_day_in_each_zone():
    """The same moment is on another day in Tokyo than in UTC, and its label says how far away the zone is."""
    late = formats.nano(datetime(2026, 11, 22, 23, 30, tzinfo=UTC))
    assert formats.day(late, "UTC") == "Sunday 22 November 2026"
    assert formats.day(late, "Asia/Tokyo") == "Monday 23 November 2026"
    assert formats.zone_label("Asia/Tokyo", late) == "Tokyo time, UTC+9"
    assert formats.zone_label("Asia/Kolkata", late) == "Kolkata time, UTC+5.5"


def test_the_zone_label_follows_daylight_saving():
    """In the two nights of a clock change the label names the offset of that very hour."""
    before = formats.nano(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert formats.zone_label("Europe/Berlin", before) == "Berlin time, UTC+2"
    assert formats.zone_label("Europe/Berlin", before + 3600 * formats.NANO) == "Berlin time, UTC+1"


def test_extreme_times_are_shown():
    """Clocks in 1970 and 2200 are shown as they are."""
    assert formats.exact(0) == "1970-01-01T00:00:00.000Z"
    assert formats.local(7_258_118_400 * formats.NANO, "UTC").year == 2200


def test_a_filter_survives_its_url():
    """What a filter says is what the export's URL says, character for character."""
    where = Filter(
        task_id="a&b=c#d e",
        reviewer_id=("u_1", "ü|,"),
        event_type=("review",),
        exclude_event_type=("span",),
        since=-5,
        until=7,
        text='50% "off" +1',
        sizes=(("audit.example.com:8080/x", 12), ("b", 0)),
    )
    assert links.parse_filter(links.filter_query(where)) == where
    assert links.parse_filter(links.filter_query(Filter())) == Filter()


def test_an_unknown_filter_is_refused():
    """A parameter that is not understood stops an export: leaving it out would export more than was asked for."""
    with pytest.raises(MalformedInput, match="reviewer"):
        links.parse_filter([("reviewer", "u_1")])
    with pytest.raises(MalformedInput, match="since"):
        links.parse_filter([("since", "yesterday")])


def test_without_a_kind_technical_records_are_left_out_by_name():
    """The usual search leaves out spans, logs and the ledger's own events, and shows kinds it does not know."""
    where = asking.to_filter(asking.Asked(), {}, [("o", 3)])
    assert set(where.exclude_event_type) == {"span", "log", "ledger.opened", "ledger.closed"}
    assert where.event_type == ()
    assert where.sizes == (("o", 3),)


@pytest.mark.parametrize("asked", [{"technical": True}, {"kinds": ["Loss"]}, {"trace_id": "ab"}])
def test_asking_for_more_shows_it(asked):
    """Asking for technical records, a kind or a trace leaves nothing out."""
    assert asking.to_filter(asking.Asked(**asked), {}, []).exclude_event_type == ()


def test_a_decision_finds_every_stored_word_for_it():
    """ "Edited" finds what producers call modified and edited; a word of the customer's own finds itself."""
    asked = asking.Asked(picked={"decision": ["Edited", "needs 2nd look"]})
    assert set(asking.to_filter(asked, {"decision": ["modified", "edited", "approved"]}, []).decision) == {
        "modified",
        "edited",
        "needs 2nd look",
    }


def test_every_filter_is_said_and_asked_for():
    """Each filter by values and the range of confidence is in the summary's words and in the reader's filter."""
    picked = {each.key: [f"v_{each.key}"] for each in asking.FIELDS}
    asked = asking.Asked(picked=picked, confidence=(20, None))
    where = asking.to_filter(asked, {}, [])
    said = ", ".join(asked.words())
    for each in asking.FIELDS:
        assert getattr(where, each.name) == (f"v_{each.key}",)
        assert f"v_{each.key}" in said
    assert (where.confidence_from, where.confidence_to) == (0.2, None)
    assert "confidence at least 20 %" in said


def test_each_chip_clears_its_filter_alone():
    """A chip's link is the view without that one value; the period, the zone and the other filters stay.

    What stands above it, words and kinds of event, needs no chip.
    """
    state = {"q": "a&b", "period": "All", "decision": ["Edited", "Rejected"], "conf_to": 0, "technical": False}
    state |= {"tz": "UTC", "from": NOW.date(), "trace": "", "type": ["Review"], "other": ["Erasure"]}
    view = asking.query(state)
    found = {(label, value): url for label, value, url in asking.chips(view)}
    assert set(found) == {
        ("Event", "Erasure"), ("Decision", "Edited"), ("Decision", "Rejected"), ("Confidence to, %", "0"),
    }  # fmt: skip
    left = "q=a%26b&period=All&type=Review&decision=Rejected&other=Erasure&conf_to=0&tz=UTC"
    assert found["Decision", "Edited"] == f"/?{left}"
    assert asking.toggled(view, "status", "OK").endswith("&tz=UTC&status=OK")


def test_periods_are_open_where_nothing_bounds_them():
    """A relative period has a beginning only, all has neither, a custom one both."""
    assert presenters.period_bounds("7 days", NOW) == (formats.nano(NOW - timedelta(days=7)), None)
    assert presenters.period_bounds("All", NOW) == (None, None)
    custom = (NOW - timedelta(days=1), NOW)
    assert presenters.period_bounds("Custom", NOW, custom) == (formats.nano(custom[0]), formats.nano(NOW))


def test_the_summary_counts_in_words():
    """One event is not "1 events", and events without a task name none."""
    assert "".join(text for text, _ in presenters.summary(1, 1)) == "1 event in 1 task"
    assert "".join(text for text, _ in presenters.summary(2564, 598)) == "2,564 events in 598 tasks"
    assert "".join(text for text, _ in presenters.summary(3, 0)) == "3 events"


def test_bars_stand_on_each_other():
    """The pieces of a bar touch, add up to its count, and stand at the wall clock's time."""
    pieces = presenters.bars([(0, "review", 3), (0, "ai_call", 4), (86400, "review", 1)], 86400, 3600)
    first = [piece for piece in pieces if piece["t"] == 3600_000]
    assert sorted((piece["low"], piece["high"]) for piece in first) == [(0, 3), (3, 7)]
    assert {piece["until"] for piece in first} == {90_000_000}
    assert sum(piece["n"] for piece in pieces) == 8


def test_pages_are_counted():
    """The last page is short, and nothing has one empty page."""
    assert [presenters.page_count(n) for n in (0, 1, 50, 51)] == [1, 1, 1, 2]
    assert presenters.shown_range(2, 51) == "51 to 51 of 51"


def test_every_event_type_has_a_look_and_a_sentence():
    """No event type of the model is without label, icon and headline, nor is one from the future."""
    for name in [*EventType, "something.new"]:
        kind = words.kind_of(name)
        assert {kind.tone, f"{kind.tone}-soft"} <= theme.LIGHT.keys() & theme.DARK.keys()
        assert kind.label
        assert kind.icon
        assert words.headline(row(event_type=name))
    assert len({words.kind_of(name).label for name in EventType}) == len(EventType)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"event_type": "review", "reviewer_id": "u_1", "decision": "modified"}, "u_1 edited the AI draft"),
        ({"event_type": "review", "reviewer_id": "u_1", "decision": "send_back"}, "u_1 decided: send back"),
        ({"event_type": "escalation", "from_reviewer": "u_1", "to_reviewer": "u_7"}, "u_1 escalated to u_7"),
        ({"event_type": "ai_call", "request_model": "m", "error_type": "429"}, "The call to m failed: 429"),
        ({"event_type": "resolution", "resolution": "sent_to_customer"}, "Resolved: sent to customer"),
        ({"event_type": "task.created", "task_kind": "credit_decision"}, "New task: credit decision"),
    ],
)
def test_headlines_are_plain_sentences(columns, said):
    """An entry is told in a sentence, not in codes."""
    assert words.headline(row(**columns)) == said


def test_the_table_says_the_year_of_other_years():
    """A row of this year shows its weekday; one of another year shows its year."""
    assert presenters.table([row(event_time=T0, end_time=T0)], "UTC", 2026)[0]["time"] == "Fri 6 Nov  21:20:00"
    assert presenters.table([row(event_time=T0, end_time=T0)], "UTC", 2027)[0]["time"] == "6 Nov 2026  21:20:00"
