"""The pages on reviewers and AI usage over a known ledger: their figures, the events behind each, and the export."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import deps
import gather
import links
import pytest
import reviewing
import streamlit as st
import theme
import using
import viewer
from roles import Action
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from otel_audit.errors import ConfigError
from otel_audit.model import Filter
from otel_audit.reports.prices import parse_prices
from otel_audit.store import analytics, filters
from otel_audit.store.analytics import Analytics
from otel_audit.store.reader import Reader
from tests.integration.ledger_rows import T0, LedgerRows

APP = str(theme.HERE / "app.py")
HOUR = 3600
PRICES = 'currency = "EUR"\n[[price]]\nmodel = "atlas-*"\ninput = 2.0\noutput = 10'


@pytest.fixture(autouse=True)
def recorded(monkeypatch, tmp_path):
    """No cached values from another store, no prices of this machine; accesses are collected instead of sent."""
    st.cache_data.clear()
    found = []
    monkeypatch.setattr(viewer, "record", lambda *args, **kwargs: found.append((args, kwargs)))
    monkeypatch.setattr(deps, "now_unix_nano", lambda: T0 + 86400 * 10**9)
    monkeypatch.setenv("OTEL_AUDIT_PRICES", str(tmp_path / "prices.toml"))
    return found


@pytest.fixture
def store(database, monkeypatch):
    monkeypatch.setattr(deps, "database", lambda: database)
    monkeypatch.setattr(deps, "reader", lambda: Reader(database))
    return database


def history(store):
    """Forty tasks: each drafted by one of two models, reviewed by u_1; each fourth by u_2 too, each tenth handed on."""
    ledger = LedgerRows()
    for number in range(40):
        at, model = number * HOUR, "atlas-1" if number % 2 else "atlas-2"
        task = {"task_id": f"loan-{number}", "task_kind": "loan" if number % 3 else "claim"}
        call = {**task, "request_model": model, "response_model": f"{model}-2026", "service": "scoring"}
        call |= {"prompt_name": "p", "prompt_version": "1" if number < 20 else "2", "provider": "acme"}
        if number % 8 == 0:
            ledger.add("ai_call", at=at, ends=at + 1, duration_ms=1000.0, status="error", error_type="Busy", **call)
        answer = {"input_tokens": 1000, "output_tokens": 200, "confidence": 0.85}
        ledger.add("ai_call", at=at + 2, ends=at + 5, duration_ms=3000.0, span_id=f"s{number}", **call, **answer)
        ledger.add("ai_call", at=at + 2, ends=at + 5, duration_ms=3000.0, duplicate_of=f"s{number}", **call, **answer)
        decision = "escalated" if number % 10 == 9 else ("approved", "modified", "approved", "rejected")[number % 4]
        seconds = 5 if number % 7 == 0 else 90
        review = {**task, "service": "desk", "queue_wait_seconds": 60.0}
        ledger.add("review", at=at + 60, ends=at + 60 + seconds, duration_ms=seconds * 1000.0, reviewer_id="u_1",
                   decision=decision, is_override=decision == "rejected", active_seconds=float(seconds),
                   **review)  # fmt: skip
        if decision == "escalated":
            ledger.add("escalation", at=at + 300, rationale_code=["limit"], from_reviewer="u_1", **task)
        if number % 4 == 0 or number == 9:
            ledger.add("review", at=at + 600, ends=at + 660, duration_ms=60000.0, reviewer_id="u_2",
                       decision="rejected" if number == 8 else "approved", active_seconds=60.0, **review)  # fmt: skip
    ledger.write(store)


def opened(page, **query):
    app = AppTest.from_file(APP, default_timeout=60)
    app.run()
    app.session_state["period"] = "All"
    app.switch_page(f"app_pages/{page}.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def text_of(app):
    return " ".join(str(each.proto.body) for each in app.get("html"))


def everything(store):
    return Filter(sizes=Reader(store).sizes())


def test_the_figures_of_reviewers(store):
    """Counts, times and rates are those of the ledger; what tells an AI call again changes none of them."""
    history(store)
    found = gather.reviews(everything(store), 10, 400, "UTC")
    head = found.head
    assert (head.decided.value, head.tasks) == (51, 40)
    assert head.active[0].value == 90
    assert (head.first_pass.value, head.first_pass.n) == (20 / 40, 40)
    assert head.overrides.n == 51
    assert head.together.n == 10  # number 9 was handed on first: that is no decision of two people
    assert head.together.value == pytest.approx(0.9)
    assert found.escalated == {("limit", ""): 3, ("limit", "approved"): 1}


def test_unusually_quick_is_what_the_rule_says(store):
    """150 words take 22.5 s at 400 a minute: 5 s are quick, 60 s are not; at 100 a minute they are."""
    history(store)
    where = everything(store)
    quick = gather.reviews(where, 10, 400, "UTC").head.quick
    fast = sum(1 for number in range(40) if number % 7 == 0 and number % 10 != 9)
    assert quick.value == fast
    assert gather.reviews(where, 10, 100, "UTC").head.quick.value == fast + 11
    total, shown = Analytics(store).quick(quick.where, 100)
    assert total == len(shown)
    assert len(shown) == fast
    assert {each.tokens for each in shown} == {200}  # of the last answer of each one's task
    assert all(each.seconds < reviewing.reading_seconds(each.tokens, 10, 400) for each in shown)


def test_the_figures_of_ai_usage(store):
    """Calls count once, failures are no drafts, and a price multiplies the tokens of exactly the calls that count."""
    history(store)
    found = gather.usage(everything(store), "UTC", parse_prices(PRICES, "here"))
    calls, errors, median, _, tokens_in, tokens_out = found.calls
    assert (calls.value, errors.n, errors.value) == (45, 45, 5 / 45)
    assert (median.value, tokens_in.value, tokens_out.value) == (3.0, 40_000, 8_000)
    assert found.cost.value == pytest.approx(40_000 * 2 / 1e6 + 8_000 * 10 / 1e6)
    assert found.cost.unit == "EUR"
    first, edited, rejected = found.humans
    assert (first.value, edited.value, rejected.value) == (40, 8 / 40, 8 / 40)
    assert [(each.number, each.reviews, each.kept) for each in found.bins] == [(8, 36, 28)]


@pytest.mark.parametrize("page", ["reviewers", "usage"])
def test_every_figure_leads_to_its_events(store, page):
    """For each figure with a link, the link's filter finds events, and a count finds as many as it says."""
    history(store)
    reader, figures = Reader(store), gather.FIGURES[page](everything(store), "UTC")
    assert len(figures) > 40
    for figure in figures:
        if figure.where is None:
            continue
        url = urlsplit(links.events_url(figure.where))
        where = links.parse_filter(parse_qsl(dict(parse_qsl(url.query))["where"], keep_blank_values=True))
        assert where == figure.where
        events = reader.count(where).events
        if figure.unit in ("count", "tokens") and figure.name not in ("Input tokens", "Output tokens"):
            assert events == figure.value, figure
        elif figure.unit == "share" and figure.name in ("First-pass rate", "Error rate", "Edit rate", "Reject rate"):
            assert events <= figure.n, figure
        elif figure.unit == "seconds":
            assert events >= figure.n, figure


def test_pages_show_their_figures(store, recorded):
    """Both pages state count, period and zone before any chart; single people are not named, nothing is recorded."""
    history(store)
    page = text_of(opened("reviewers"))
    assert "<b>51</b> reviews were decided in 40 tasks" in page
    assert "(UTC)" in page
    assert "recorded, not blocked" in page
    assert "u_1" not in page
    page = text_of(opened("usage"))
    assert "<b>45</b> AI calls in 40 tasks, 5 of them failed" in page
    assert "no prices yet" in page
    assert recorded == []


def test_one_person_needs_a_purpose(store, recorded):
    """A reviewer's figures are shown after a purpose was given, which is recorded with whose they are."""
    history(store)
    app = opened("reviewers")
    app.multiselect(key="reviewer").set_value(["u_2"]).run()
    assert "personal data" in text_of(app)
    assert "reviews were decided" not in text_of(app)
    app.text_input(key="person_why").set_value("training need").run()
    assert "<b>11</b> reviews were decided" in text_of(app)
    assert (("VIEW", "u_2", "reviewer"), {"purpose": "training need"}) in recorded


def test_few_reviews_have_no_percentile(store):
    """Fewer than five reviews are counted, but have no median and no rate."""
    ledger = LedgerRows()
    for number in range(4):
        ledger.add("review", at=number, task_id=f"t{number}", reviewer_id="u", decision="approved", active_seconds=5.0)
    ledger.write(store)
    page = text_of(opened("reviewers"))
    assert "<b>4</b> reviews were decided" in page
    assert "too few (4)" in page
    assert "half of them" not in page


@pytest.mark.parametrize(("since", "until"), [(0, None), (9, None), (None, 9), (4, 13), (12, 31), (38, 60), (50, 60)])
@pytest.mark.parametrize("narrowed", [{}, {"task_kind": ("claim",)}, {"reviewer_id": ("u_2",)}], ids=str)
def test_a_period_only_narrows_what_is_read(store, monkeypatch, since, until, narrowed):
    """Figures of a period and the events behind them are the same, whether its limits are in the subqueries or not."""
    history(store)
    nano = HOUR * 10**9
    bounds = {"since": since and T0 + since * nano + 30, "until": until and T0 + until * nano + 601 * 10**9}
    where = replace(everything(store), **bounds, **narrowed)

    def asked():
        figures = Analytics(store)
        sets = {name: replace(where, figure=name) for name in ("first_decisions", "double_reviewed", "calibrated")}
        sets["quick"] = replace(where, figure="quick", quick_floor=10, words_per_minute=400)
        listed = {name: {(row["origin"], row["seq"]) for row in Reader(store).page(behind, per_page=500)}
                  for name, behind in sets.items()}  # fmt: skip
        return (listed, figures.first_decisions(where, "UTC", by_call=True), figures.double_reviewed(where),
                figures.quick(sets["quick"], 500), figures.escalations(where))  # fmt: skip

    narrow = asked()
    for module in (filters, analytics):
        monkeypatch.setattr(
            module, "in_period", lambda text, *_: text.replace("/*period*/", "").replace("/*tasks*/", "")
        )
    assert asked() == narrow
    assert any(narrow[0].values()) or (since or 0) >= 38


def set_price(app, model, price_in, price_out):
    """Fill in the form and send it."""
    app.selectbox(key="price_model").set_value(model)
    if price_in is not None:
        app.number_input(key="price_input").set_value(price_in)
    if price_out is not None:
        app.number_input(key="price_output").set_value(price_out)
    next(each for each in app.button if each.label == "Set price").click().run()
    return text_of(app)


def test_prices_are_set_on_the_page(store, recorded, tmp_path):
    """Who may set prices does it on the page: it counts at once, is recorded, replaced by another, and removed."""
    history(store)
    app = opened("usage")
    app.session_state["prices"] = True
    app.run()
    assert app.selectbox(key="price_model").options == ["atlas-1", "atlas-2"]
    assert "Give a model, and what its input and its output cost." in set_price(app, "atlas-1", 2.0, None)
    assert not (tmp_path / "prices.toml").exists()
    for output, cost in ((10.0, "0.0800"), (20.0, "0.1200")):  # of 20 answers, with 20,000 and 4,000 tokens
        page = set_price(app, "atlas-1", 2.0, output)
        assert "Set the price of “atlas-1”." in page
        assert f"{cost} EUR" in page
    (price,) = parse_prices((tmp_path / "prices.toml").read_text(), "here").prices
    assert (price.model, price.output) == ("atlas-1", 20)
    assert app.selectbox(key="price_model").options == ["atlas-2", "atlas-1"]  # what has no price comes first
    app.selectbox(key="price_gone").select_index(0).run()
    app.button(key="remove_price").click().run()
    assert "Removed the price of “atlas-1”." in text_of(app)
    assert [args for args, _ in recorded] == [
        ("SET_PRICE", "atlas-1", "price"), ("SET_PRICE", "atlas-1", "price"), ("REMOVE_PRICE", "atlas-1", "price"),
    ]  # fmt: skip
    assert "output = 20" in recorded[1][1]["filter_text"]


def test_a_role_that_reads_prices_does_not_set_them(store, monkeypatch):
    """Without the right to, the panel shows the prices and no form."""
    history(store)
    monkeypatch.setattr(viewer, "may", lambda action: action is not Action.SET_PRICES)
    app = opened("usage")
    app.session_state["prices"] = True
    app.run()
    assert "does not set them" in text_of(app)
    assert not [each for each in app.button if each.label == "Set price"]


def test_a_bad_price_file_is_told(store, tmp_path):
    """A price file that can not be read is named with its fault, and the page goes on without prices."""
    history(store)
    (tmp_path / "prices.toml").write_text("currency = 'EUR'\n[[price]]\nmodel = 'x'\ninput = 1")
    app = opened("usage")
    app.session_state["prices"] = True
    app.run()
    assert "price 1: output is missing" in text_of(app)
    assert "<b>45</b> AI calls" in text_of(app)
    assert "Set the price of" not in set_price(app, "atlas-1", 2.0, 2.0)
    assert (tmp_path / "prices.toml").read_text().endswith("input = 1")  # whoever wrote it mends it


@pytest.mark.parametrize(
    ("text", "fault"),
    [("currency", "not TOML"), ("", "currency"), ('currency = "EUR"\nx = 1', "only"),
     ('currency = "EUR"\n[[price]]\ninput = 1\noutput = 1', "which model"),
     ('currency = "EUR"\n[[price]]\nmodel = "m"\ninput = "1"\noutput = 1', "input has to be a number"),
     ('currency = "EUR"\n[[price]]\nmodel = "m"\ninput = -1\noutput = 1', "0 or more"),
     ('currency = "EUR"\n[[price]]\nmodel = "m"\ninput = nan\noutput = 1', "0 or more"),
     ('currency = "EUR"\n[[price]]\nmodel = "m"\nsince = "2026"\ninput = 1\noutput = 1', "since"),
     ('currency = "EUR"\n[[price]]\nmodel = "m"\nprice = 1\ninput = 1\noutput = 1', "price is not known")],
)  # fmt: skip
def test_faults_of_a_price_file(text, fault):
    """Each fault says what is wrong."""
    with pytest.raises(ConfigError, match=fault):
        parse_prices(text, "prices.toml")


def test_prices_change_and_caches_have_their_own():
    """The newest price that has begun holds, and cached input costs what the file says."""
    table = parse_prices(
        'currency = "EUR"\n[[price]]\nmodel = "m"\ninput = 1\noutput = 1\n'
        '[[price]]\nmodel = "m"\nsince = 2026-06-01\ninput = 4\noutput = 10\ncache_read = 1',
        "prices.toml",
    )
    row = {"provider": "p", "model": "m", "asked_model": "", "input_tokens": 1_000_000, "output_tokens": 0,
           "cache_read_tokens": 500_000, "cache_write_tokens": 0}  # fmt: skip
    assert table.cost({**row, "day": "2026-05-31"}) == 1
    assert table.cost({**row, "day": "2026-06-01"}) == 2.5
    assert table.cost({**row, "day": "2026-06-01", "model": "other"}) is None
    assert table.cost({**row, "day": "2026-06-01", "model": "m-2026-04-14", "asked_model": "m"}) == 2.5


def test_the_shipped_example_names_no_price():
    """The example is a valid file without a single price."""
    example = Path(gather.__file__).with_name("prices.example.toml")
    assert parse_prices(example.read_text(encoding="utf-8"), "example").prices == ()


def test_the_events_behind_a_figure_are_shown(store):
    """The search page shows exactly the events of a figure's link, and explains a broken one."""
    history(store)
    where = gather.reviews(everything(store), 10, 400, "UTC").head.overrides.where
    events = Reader(store).count(where).events
    for asked, said in (
        (dict(parse_qsl(urlsplit(links.events_url(where)).query))["where"], f"<b>{events}</b> events"),
        ("figure=<b>", "This link is not complete: filter figure: there is no &#x27;&lt;b&gt;&#x27;"),
        ("x=1", "unknown filter"),
    ):
        app = AppTest.from_file(APP, default_timeout=60)
        app.query_params["where"] = asked
        app.run()
        assert not app.exception
        assert said in text_of(app)


def test_figures_are_exported_and_recorded(store, recorded):
    """The export holds every figure of the page and its filter, counts its rows, and is recorded with its reason."""
    import server

    history(store)
    where = everything(store)
    client = TestClient(server.build_app(("testserver",)))
    url = links.figures_url("usage", where, why="review", zone="UTC")
    assert client.get(url.replace("why=review", "why=")).status_code == 400
    assert client.get(url.replace("zone=UTC", "zone=../x")).status_code == 400
    assert client.get(url.replace("usage.csv", "nothing.csv")).status_code == 404
    assert client.get(url + "&figure=nothing").status_code == 400
    assert client.head(url).status_code == 200
    assert not recorded  # a HEAD takes nothing out
    answer = client.get(url)
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert answer.headers["x-row-count"] == str(len(rows)) == str(len(gather.usage_figures(where, "UTC")))
    assert rows[0]["figure"] == "AI calls"
    assert rows[0]["value"] == "45"
    assert "sizes=" in rows[0]["filter"]
    [(args, said)] = recorded
    assert args == ("EXPORT", "usage.csv", "figures")
    assert (said["purpose"], said["row_count"]) == ("review", len(rows))


def test_before_and_after_says_what_may_be_chance(store):
    """Two versions of a prompt are compared; equal shares are no change."""
    history(store)
    groups = Analytics(store).calls_by(everything(store), "prompt")
    assert using.default_pair(groups) == ("p\n1", "p\n2")
    found = gather.usage(everything(store), "UTC", None)
    figures = {called.group: line for called, line in gather.usage_groups(everything(store), "prompt", found)}
    before, after = figures["p\n1"], figures["p\n2"]
    assert (before[0].value, after[0].value) == (23, 22)
    words = using.change_words(before[-1], after[-1])
    assert words.endswith("may be chance")
