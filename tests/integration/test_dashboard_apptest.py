"""Every page over an empty ledger, one entry, many entries, and a store that is down."""

import re
from urllib.parse import parse_qsl, urlsplit

import deps
import links
import pytest
import settings
import streamlit as st
import theme
import viewer
from formats import esc
from streamlit.testing.v1 import AppTest

from otel_audit.errors import StoreUnavailable
from otel_audit.model import Filter
from otel_audit.reports.saved_views import ViewFile
from otel_audit.store.reader import Reader
from tests.integration.ledger_rows import T0, LedgerRows

APP = str(theme.HERE / "app.py")
PAGES = ("search", "task", "trace", "compare", "reviewers", "usage", "integrity", "reports", "log_review", "access")
TRACE = "ab" * 16


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """No cached values from another store; accesses are collected instead of sent."""
    st.cache_data.clear()
    found = []
    monkeypatch.setattr(viewer, "record", lambda *args, **kwargs: found.append((args, kwargs)))
    monkeypatch.setattr(deps, "now_unix_nano", lambda: T0 + 86400 * 10**9)
    return found


@pytest.fixture
def store(database, monkeypatch):
    """The dashboard over the shared engine."""
    monkeypatch.setattr(deps, "database", lambda: database)
    monkeypatch.setattr(deps, "reader", lambda: Reader(database))
    return database


def opened(page="search", **query):
    app = AppTest.from_file(APP, default_timeout=30)
    app.query_params.update({"period": "All", **query} if page == "search" else query)
    if page == "search":
        app.session_state["period"] = "All"
    app.run()
    if page != "search":
        app.session_state["period"] = "All"
        app.switch_page(f"app_pages/{page}.py")
        app.query_params.update(query)
        app.run()
    assert not app.exception
    return app


def text_of(app):
    return " ".join(str(each.proto.body) for each in app.get("html"))


def one(store):
    ledger = LedgerRows()
    ledger.add("review", task_id="loan-1", reviewer_id="u_1", decision="approved", duration_ms=5.0)
    ledger.write(store)


def many(store):
    ledger = LedgerRows()
    for number in range(60):
        ledger.add("ai_call", at=number * 600, ends=number * 600 + 3, task_id=f"loan-{number}", response_model="atlas")
        ledger.add("review", at=number * 600 + 9, task_id=f"loan-{number}", reviewer_id="u_1", decision="approved")
        ledger.add("span", at=number * 600, task_id=f"loan-{number}", name="GET /")
    ledger.write(store)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_ledger_has_a_first_step(store, page):
    """Every page works before the first event, and Search says how to send it."""
    app = opened(page)
    if page == "search":
        assert "Send your first event" in text_of(app)


def test_what_arrived_is_counted_at_once(store):
    """What was counted a moment ago is not shown for a ledger that has grown, with a view's own link or a figure's."""
    for number, origin in enumerate(("a", "b"), 1):
        ledger = LedgerRows(origin)
        ledger.add("review", task_id="loan-1", reviewer_id="u_1", decision="approved")
        ledger.write(store)
        for link in ({}, {"where": "event_type=review"}):
            assert f"<b>{number}</b> {'event' if number == 1 else 'events'} in" in text_of(opened(**link))


def test_the_trail_s_own_events_are_no_first_event(store, monkeypatch):
    """A ledger that was only opened and looked at still says how to send the first event, with its own addresses."""
    ledger = LedgerRows()
    ledger.add("ledger.opened")
    ledger.add("access", actor_id="u_1", attributes=[("audit.action", "VIEW")])
    ledger.write(store)
    monkeypatch.setattr(settings, "http_endpoint", lambda: "http://127.0.0.1:4999")
    app = opened()
    assert "Send your first event" in text_of(app)
    assert "curl http://127.0.0.1:4999/v1/traces" in text_of(app)
    ledger.add("log", at=9, name="said")
    ledger.write(store)
    assert "Send your first event" not in text_of(opened())


@pytest.mark.parametrize("page", PAGES)
def test_pages_with_one_entry(store, page):
    """Every page works with a single entry."""
    one(store)
    app = opened(page, **({"id": "loan-1"} if page == "task" else {}))
    told = {
        "search": "<b>1</b> event in <b>1</b> task",
        "task": "u_1 approved it as written",
        "trace": "No trace in this period",
        "compare": "There is no such event",
        "integrity": ">1<",
        "access": "Nobody looked",
        "reports": "SOC 2: there is evidence for 1 of 3 criteria",
        "log_review": "No week waits for review.",
        "reviewers": "<b>1</b> review was decided in 1 task",
        "usage": "<b>0</b> AI calls",
    }
    assert told[page] in text_of(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_store_that_is_down_is_told(monkeypatch, page):
    """Every page says that the store is not reachable and the data safe, and comes back by itself when it is."""

    def down():
        raise StoreUnavailable("nobody listens at port 1")

    monkeypatch.setattr(deps, "reader", down)
    monkeypatch.setattr(deps, "database", down)
    app = opened(page, **{"task": {"id": "loan-1"}, "compare": {"a": "o:1"}}.get(page, {}))
    assert "Your data is safe" in text_of(app)


def test_what_can_not_be_asked_is_not_a_store_that_is_down(store):
    """Too many words are told as that, with the limit and a way on."""
    many(store)
    page = text_of(opened(q=" ".join("abcdefghijklmn")))
    assert "text filter has 14 words, at most 12 are possible" in page
    assert "not reachable" not in page


def test_search_counts_and_pages(store):
    """Technical spans are left out until asked for; the table has 50 rows of the newest events."""
    many(store)
    app = opened()
    assert "<b>120</b> events in <b>60</b> tasks" in text_of(app)
    assert len(app.dataframe[0].value) == 50
    assert list(app.dataframe[0].value["Task"][:2]) == ["loan-59", "loan-59"]
    app.toggle(key="technical").set_value(True).run()
    assert "<b>180</b> events" in text_of(app)


def test_search_narrows_and_clears(store, recorded):
    """A filter narrows count and words, is recorded once as a search, and Clear removes it."""
    many(store)
    app = opened()
    app.text_input(key="q").set_value("loan-7").run()
    assert "<b>2</b> events in <b>1</b> task matching “loan-7”" in text_of(app)
    assert [args[0] for args, _ in recorded] == ["SEARCH"]
    app.button(key="clear").click().run()
    assert "<b>120</b> events" in text_of(app)


def test_any_column_can_be_shown(store):
    """Chosen columns, also texts, are in the table in their order; a preset has its own; Usual brings them back."""
    ledger = LedgerRows()
    ledger.add("ai_call", task_id="loan-1", input_tokens=7, content={"output": "Dear <b>customer"})
    ledger.add("review", at=5, task_id="loan-1", reviewer_id="u_1", decision="approved", rationale_code=["a", "b"])
    ledger.write(store)
    app = opened(cols=["Task", "Output", "Rationale code", "Input tokens"])
    table = app.dataframe[0].value
    assert list(table.columns) == ["Task", "Output", "Rationale code", "Input tokens"]
    assert table.to_numpy().tolist() == [["loan-1", "", "a; b", ""], ["loan-1", "Dear <b>customer", "", "7"]]
    app.button(key="columns_Ids and proof").click().run()
    assert len(app.dataframe[0].value["Hash"][0]) == 64
    app.button(key="columns_Usual").click().run()
    assert app.dataframe[0].value["What happened"][0] == "u_1 approved the AI draft"
    assert not app.exception


def test_values_are_counted_in_this_view_and_only_when_opened(store, monkeypatch):
    """Filters are looked up when they are opened; each value has its count in this view, and a link that sets it."""
    many(store)
    asked = []
    facet = Reader.facet

    def counted(self, where, column, limit=20):
        asked.append(column)
        return facet(self, where, column, limit)

    monkeypatch.setattr(Reader, "facet", counted)
    app = opened(decision=["Approved"])
    assert set(asked) == {"decision"}  # the words of the one that is set
    app.session_state["facets"] = True
    app.run()
    page = text_of(app)
    assert "reviewer_id" in asked
    assert (
        '<a href="/?period=All&amp;decision=Approved&amp;reviewer=u_1" target="_self">u_1</a> <span>60</span>' in page
    )
    assert '<a href="/?period=All" target="_self" aria-current=true>Approved</a> <span>60</span>' in page
    assert ">atlas</a>" not in page  # no approved event has a model


def test_a_value_of_an_event_is_a_filter(store):
    """In a task's record each value that one can filter by leads to the events that share it."""
    one(store)
    page = text_of(opened("task", id="loan-1"))
    assert 'href="/?period=All&amp;reviewer=u_1"' in page
    assert 'href="/?period=All&amp;decision=Approved"' in page


def test_a_view_is_saved_shared_and_deleted(store, recorded, monkeypatch, tmp_path):
    """A view keeps filter and columns under a name; sharing and its end are recorded; only one's own can be deleted."""
    many(store)
    kept = ViewFile(tmp_path / "views.json")
    monkeypatch.setattr(deps, "view_file", lambda: kept)
    monkeypatch.setattr(viewer, "name", lambda: "ana")
    kept.save("ben", "<b>Theirs", [("q", "x")], is_shared=True, now_unix_nano=1)
    kept.save("ben", "Private", [("q", "y")], is_shared=False, now_unix_nano=1)
    app = opened(decision=["Approved"], cols=["Task", "Decision"])
    app.session_state["views"] = True
    app.run()
    assert "&lt;b&gt;Theirs" in text_of(app)
    assert "Private" not in text_of(app)
    app.text_input(key="view_name").set_value("Approved ones")
    app.checkbox(key="view_shared").set_value(True)
    save = next(each for each in app.button if each.label == "Save")
    save.click().run()
    page = text_of(app)
    assert "Saved as “Approved ones”." in page
    url = "/?period=All&amp;decision=Approved&amp;cols=Task&amp;cols=Decision"
    assert f'<a href="{url}" target="_self" aria-current="true">Approved ones</a>' in page
    assert [(args, kwargs["filter_text"]) for args, kwargs in recorded if args[0] == "SHARE"] == [
        (("SHARE", "Approved ones", "view"), "Approved")
    ]
    (delete,) = [each for each in app.button if each.label == "Delete"]
    delete.click().run()
    assert "is deleted" in text_of(app)
    assert ("UNSHARE", "Approved ones", "view") in [args for args, _ in recorded]
    assert [each.name for each in kept.seen_by("ana")] == ["<b>Theirs"]
    app.text_input(key="view_name").set_value("jane.roe@example.com")
    next(each for each in app.button if each.label == "Save").click().run()
    assert "looks like personal data" in text_of(app)


def test_no_match_says_what_to_try(store):
    """A search without a match offers to clear filters and to search all of the record."""
    many(store)
    app = opened()
    app.text_input(key="q").set_value("no such thing").run()
    assert "Nothing matches this search" in text_of(app)
    app.button(key="clear_filters").click().run()
    assert "<b>120</b> events" in text_of(app)


def test_opening_a_task_is_recorded(store, recorded):
    """Opening a task records who viewed it, in that task's own story."""
    many(store)
    opened("task", id="loan-3")
    assert (("VIEW", "loan-3", "task"), {"task_id": "loan-3"}) in recorded


def test_a_record_leads_along_the_list_it_was_opened_from(store, recorded):
    """The next and previous event and task are those of the list; an event of no task has a record of its own."""
    ledger = LedgerRows()
    for number in range(3):
        ledger.add("review", at=number, task_id=f"loan-{number}", reviewer_id="u_1", decision="approved")
    ledger.add("log_review", at=9, actor_id="u_2")
    ledger.add("review", at=20, task_id="loan-9", reviewer_id="u_1", decision="rejected")
    ledger.write(store)
    within = links.Within(Filter(sizes=((ledger.origin, 4),)), [("period", "All"), ("reviewer", "u_1")])
    there = links.parse_within(dict(within.pairs()))
    page = text_of(opened("task", id="loan-1", event=f"{ledger.origin}:1", **dict(within.pairs())))
    assert "Event <b>3</b> of <b>4</b>" in page
    assert "Task <b>2</b> of <b>3</b>" in page
    assert f'href="{esc(links.task_url("loan-0", origin=ledger.origin, seq=0, within=there))}"' in page
    assert 'href="/?period=All&amp;reviewer=u_1"' in page
    page = text_of(opened("task", event=f"{ledger.origin}:3", **dict(within.pairs())))
    assert "It belongs to no task." in page
    assert "Event <b>1</b> of <b>4</b>" in page
    assert "Previous event: there is none" in page
    assert (("VIEW", f"{ledger.origin}:3", "entry"), {}) in recorded
    assert "It is not in that list." in text_of(opened("task", id="loan-9", **dict(within.pairs())))
    assert "can not be read: unknown filter" in text_of(opened("task", id="loan-1", within="nonsense=1"))
    assert "can not be shown" in text_of(opened("task", id="loan-1", within="figure=none"))


@pytest.fixture
def checked(monkeypatch):
    """The keys of the entries that pages have had recomputed."""
    asked = []
    monkeypatch.setattr(deps, "check", lambda keys: asked.append(list(keys)) or [])
    return asked


def test_two_events_are_compared(store, recorded, checked):
    """What differs is said in a sentence and marked with a word, texts are a diff, and both looks are recorded."""
    ledger = LedgerRows()
    for number, answer in enumerate(("Dear Ms Lind <b>", "Dear Mr Lind <b>")):
        ledger.add("ai_call", at=number, task_id=f"loan-{number}", response_model="atlas", content={"output": answer})
    ledger.write(store)
    first, second = ({"origin": ledger.origin, "seq": seq} for seq in (0, 1))
    page = text_of(opened("compare", **dict(parse_qsl(urlsplit(links.compare_url(first, second)).query))))
    assert "These two AI calls <b>differ in answer and task</b>." in page
    assert "<del>Ms</del> <ins>Mr</ins>" in page
    assert "Lind &lt;b&gt;" in page
    assert checked[-1] == [(ledger.origin, 0), (ledger.origin, 1)]
    looks = [(args, kwargs) for args, kwargs in recorded if args[0] == "VIEW"]
    assert looks == [
        (("VIEW", f"{ledger.origin}:{seq}", "entry"), {"task_id": f"loan-{seq}"}) for seq in (0, 1)
    ]  # fmt: skip
    choice = text_of(opened("compare", a=f"{ledger.origin}:0"))
    assert f'href="{esc(links.compare_url(first, second))}"' in choice
    assert "compare=" in choice
    assert "There is no such event" in text_of(opened("compare", a=f"{ledger.origin}:0", b="x:<b>"))


def test_texts_of_log_records_are_checked_with_their_task(store, checked):
    """A call whose texts came in a log record is shown with them, and the record that commits to them is checked."""
    ledger = LedgerRows()
    span = {"trace_id": TRACE, "span_id": "b" * 16, "convention": "otel_genai"}
    ledger.add("ai_call", task_id="loan-1", **span)
    ledger.add("log", record_kind="log", content={"output": "from the log"}, **span)
    ledger.write(store)
    assert "from the log" in text_of(opened("task", id="loan-1"))
    assert checked[-1] == [(ledger.origin, 0), (ledger.origin, 1)]


def test_an_unknown_task_is_explained(store):
    """A number that no task has leads back to the search, with the number shown as text."""
    many(store)
    page = text_of(opened("task", id="<b>x"))
    assert "No task has the number &lt;b&gt;x." in page


def test_integrity_tells_how_far_each_anchor_is_behind(store, monkeypatch):
    """An anchor that has everything is not behind; one that refuses is, by entries and time, with its words."""
    one(store)
    since = deps.now_unix_nano() - 90 * 10**9
    states = [
        deps.AnchorState("bucket", "s3", published_size=10, newest_size=10, last_success_unix_nano=since),
        deps.AnchorState(
            "tsa", "rfc3161", published_size=3, newest_size=10, behind_since_unix_nano=since, last_error="<b>no</b>"
        ),
    ]
    monkeypatch.setattr(deps, "anchor_states", lambda: states)
    shown = text_of(opened("integrity"))
    assert re.search(r"bucket \(s3\)</td><td>[^<]+</td><td>no</td><td>none</td>", shown)
    assert re.search(r"tsa \(rfc3161\)</td><td>never</td><td>7 entries, for 1[^<]*30[^<]*</td>", shown)
    assert "&lt;b&gt;no" in shown


def test_an_altered_entry_turns_its_task_and_integrity_red(store, monkeypatch):
    """One changed value turns the task's banner red, and Verify now names the entry."""
    many(store)
    with store.client() as client:
        client.command(
            "ALTER TABLE audit_entries UPDATE decision = 'rejected' WHERE seq = 10 SETTINGS mutations_sync=2"
        )
    assert "<b>Altered.</b>" in text_of(opened("task", id="loan-3"))
    app = opened("integrity")
    app.button(key="verify").click().run()
    page = text_of(app)
    assert "Something was altered." in page
    assert "ROW_MODIFIED · entry 10" in page
    assert "Open task loan-3" in page


def test_who_looked_names_people_actions_and_reasons(store, recorded):
    """Accesses are listed by who did what to which task, and a look at the list is itself recorded."""
    ledger = LedgerRows()
    ledger.add("access", task_id="loan-1", actor_id="u_9", attributes=[("audit.action", "VIEW")])
    ledger.add("access", at=5, actor_id="u_8", attributes=[("audit.action", "EXPORT"), ("audit.target.type", "events")])
    ledger.add("review", task_id="loan-1", reviewer_id="u_1", decision="approved")
    ledger.write(store)
    app = opened("access", period="All")
    app.segmented_control(key="period").set_value("All").run()
    assert "<b>2</b> accesses by <b>2 people</b>" in text_of(app)
    table = app.dataframe[0].value
    assert list(table["did"]) == ["Exported", "Opened"]
    assert list(table["who"]) == ["u_8", "u_9"]
    assert list(table["what"]) == ["events", "loan-1"]
    assert ("VIEW", "accesses", "accesses") in [arguments for arguments, _ in recorded]


def traced(store):
    """A trace of two services with a failure, an orphan, a link and a log record; and a log-only trace."""
    ledger = LedgerRows()
    common = {"trace_id": TRACE, "task_id": "loan-1"}
    ledger.add("span", at=0, ends=9, name="POST /", span_id="a1", service="web", **common)
    ledger.add("ai_call", at=1, ends=5, name="chat atlas", span_id="b1", parent_span_id="a1", service="writer",
               response_model="atlas", status="error", content={"output": "Dear [email:k7c41d2:a3f9012345678901234e]"},
               attributes=[("x.note", "<img src=x>")],
               links='[{"trace_id":"' + "cd" * 16 + '","span_id":"c1"}]', **common)  # fmt: skip
    ledger.add("span", at=2, ends=3, name="lost", span_id="d1", parent_span_id="gone", service="web", **common)
    ledger.add("log", at=4, name="said", record_kind="log", service="writer", content={"body": "retry <b>2"}, **common)
    ledger.add("log", at=5, name="alone", record_kind="log", service="x", trace_id="cd" * 16)
    ledger.write(store)


def test_a_trace_tells_what_failed_and_where_the_time_went(store, recorded, monkeypatch):
    """A trace has its sentence, services, log records in words, and the way to its task and the operator's viewer."""
    traced(store)
    monkeypatch.setenv("OTEL_AUDIT_TRACE_LINK", "Jaeger=https://jaeger.example/trace/{trace_id}")
    page = text_of(opened("trace", id=TRACE))
    assert "<b>3 spans</b> and 1 log record" in page
    assert "1 span failed" in page
    assert "1 span whose parent is not recorded" in page
    assert f'href="https://jaeger.example/trace/{TRACE}"' in page
    assert 'href="/task?id=loan-1"' in page
    assert "retry &lt;b&gt;2" in page
    assert (("VIEW", TRACE, "trace"), {}) in recorded


def test_a_chosen_span_shows_attributes_texts_and_links(store):
    """The URL opens a span by its id: kind in words, masked marks, attributes as text, links to other traces."""
    traced(store)
    page = text_of(opened("trace", id=TRACE, span="b1"))
    assert "The call to atlas failed" in page
    assert 'class="masked"' in page
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page
    assert f'href="/trace?id={"cd" * 16}&amp;span=c1"' in page


def test_recent_traces_have_errors_first(store):
    """Without an id the page lists traces, failed ones first; an id that nothing names says so."""
    traced(store)
    app = opened("trace", period="All")
    app.segmented_control(key="period").set_value("All").run()
    page = text_of(app)
    assert "<b>2</b> traces, <b>1</b> with errors" in page
    assert page.index(TRACE) < page.index("cd" * 16)
    assert "No trace has the id" in text_of(opened("trace", id="ef" * 16))
    assert "32 hexadecimal digits" in text_of(opened("trace", id="<b>"))


def test_a_trace_of_log_records_only(store):
    """A trace without a span still shows its log records."""
    traced(store)
    page = text_of(opened("trace", id="cd" * 16))
    assert "<b>0 spans</b> and 1 log record" in page
