"""Who may see what, in chromium: signed out, in the wrong role, with a part of the record, and after it has ended."""

import json
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, build_opener

import pytest
import roles
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from roles import Person

from otel_audit.model import Filter, Sight
from otel_audit.reports.access_tokens import Role, TokenFile
from otel_audit.store.database import open_for_reading
from otel_audit.store.folder import DataFolder
from otel_audit.store.reader import Reader
from tests.e2e import browsing, sample
from tests.e2e.test_accessibility import RULES
from tests.e2e.test_dashboard import wait_for
from tests.integration.running import running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not browsing.is_there(), reason=browsing.MISSING),
]
TASKS = 12
# The night in which Berlin's clocks go back: 02:30 comes twice.
NIGHT, TWICE = "TSK-NIGHT", (datetime(2025, 10, 26, 0, 30, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC))
EXPORTS = ("/export/events.csv?why=x", "/export/events.csv.zip?why=x", "/export/figures/usage.csv?why=x",
           "/export/evidence.zip?why=x", "/export/report/soc2.zip?why=x")  # fmt: skip
SCOPES = {"Writer": Filter(service=("draft-writer",)), "Desk": Filter(service=("review-desk",))}
LOOKS = Filter(event_type=("access",))


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_args):
        return None


def status(url):
    try:
        return build_opener(_Stay).open(url, timeout=30).status
    except HTTPError as answer:
        return answer.code


@pytest.fixture(scope="module")
def up(tmp_path_factory, shared_engine):
    shared_engine.closed()
    with running(tmp_path_factory.mktemp("door") / "data", "--dashboard-port", "0", "--sign-in", "token") as receiver:
        receiver.url = f"http://127.0.0.1:{receiver.run['dashboard_port']}"
        wait_for(lambda: answers(f"{receiver.url}/healthz"), "the dashboard starts")
        receiver.first = {path: status(receiver.url + path) for path in ("/access", "/_stcore/health", *EXPORTS)}
        now = datetime.now(UTC)
        receiver.tasks = sample.send_history(receiver.endpoint, now=now, tasks=TASKS)
        send_night(receiver.endpoint)
        receiver.file = TokenFile(DataFolder(receiver.data).tokens_file)
        with open_for_reading(receiver.data, None) as database:
            receiver.database, receiver.reader = database, Reader(database)
            wait_for(lambda: receiver.reader.count(Filter(task_id=NIGHT)).events == 2, "the history arrives")
            receiver.task = receiver.tasks[3]
            yield receiver


def send_night(endpoint):
    sender = sample.Sender(endpoint)
    for number, at in enumerate(TWICE):
        review = {"audit.event.type": "review", "audit.task.id": NIGHT, "audit.reviewer.id": f"night.{number}",
                  "audit.review.decision": "approved"}  # fmt: skip
        sender.span("night-desk", "review", at - timedelta(seconds=20), 20, review)
    sender.close()


def answers(url):
    try:
        return status(url) == 200
    except OSError:
        return False


@pytest.fixture
def viewer(browser, up):
    """Makes somebody with a token of their own, in a browser of their own, who has opened a page and signed in."""
    contexts, bad = [], []

    def made(name, role=Role.COMPLIANCE, scope=Filter(), *, path="/", **options):  # noqa: B008 - frozen
        secret, token = up.file.create(name, role, time.time_ns() + 10**15, scope, time.time_ns())
        context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: bad.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: bad.append(str(error)))
        sign_in(page, up.url + path, secret)
        return SimpleNamespace(page=page, context=context, token=token, secret=secret, name=name)

    yield made
    for context in contexts:
        context.close()
    # What is refused is an error in the browser's own words.
    assert not [each for each in bad if not re.search("status of 40[13]", each)], bad


def sign_in(page, url, secret):
    page.goto(url)
    expect(page).to_have_title(re.compile("Sign in"))
    page.get_by_label("Access token").fill(secret)
    page.keyboard.press("Enter")
    browsing.ready(page)


def go(page, url):
    page.goto(url)
    browsing.ready(page)


def shown(page):
    return int(page.locator("#summary b").first.inner_text().replace(",", ""))


def test_nothing_is_open_to_whoever_is_signed_out(browser, up):
    """Every page leads to the sign-in page, every route answers 401: from the first request after the start on."""
    assert up.first == {"/access": 303} | dict.fromkeys(("/_stcore/health", *EXPORTS), 401)
    page = browser.new_page()
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    for path in roles.PAGES:
        page.goto(f"{up.url}/{path}?id={up.task}")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert up.task not in page.locator("main").inner_text()
    assert sockets == []
    assert all(page.request.get(up.url + path).status == 401 for path in EXPORTS)
    page.close()


def test_a_deep_link_survives_signing_in_and_the_record_names_the_person(viewer, up):
    """Path and filters are there after signing in; the token is in no URL, and looks carry the name that signed in."""
    addresses = []
    ada = viewer("Ada Park", path="/?q=refund&period=All&tz=UTC")
    ada.page.on("request", lambda request: addresses.append(request.url))
    assert ada.page.url == f"{up.url}/?q=refund&period=All&tz=UTC"
    expect(ada.page.locator("#summary")).to_contain_text("matching “refund”")
    side = ada.page.get_by_test_id("stSidebar")
    expect(side).to_contain_text("Ada Park · compliance")
    expect(side).to_contain_text("What you open and export is recorded.")
    go(ada.page, f"{up.url}/task?id={up.task}")
    assert ada.page.request.get(f"{up.url}/export/events.csv?task_id={up.task}&why=complaint+7").ok
    where = Filter(event_type=("access",), actor_id=("Ada Park",))
    wait_for(lambda: up.reader.count(where).events >= 4, "sign-in, search, view and export are in the ledger")
    found = [row for block in up.reader.stream(where) for row in block]
    assert {"SIGN_IN", "SEARCH", "VIEW", "EXPORT"} <= {row["attributes"]["audit.action"] for row in found}
    assert ada.secret not in repr(found) + repr(addresses)
    assert not any("sign-in" in each or "oat_" in each for each in addresses)


def test_a_wrong_token_is_told_and_recorded(browser, up):
    """The page says that it is no valid token, keeps the way back, and the try is in the ledger without the token."""
    page = browser.new_page()
    page.goto(f"{up.url}/task?id={up.task}")
    page.get_by_label("Access token").fill("oat_wrong-one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("no valid access token")
    assert page.get_by_label("Access token").input_value() == ""
    assert page.locator("input[name=next]").input_value() == f"/task?id={up.task}"
    where = Filter(event_type=("access",), actor_id=("unknown",), action=("SIGN_IN",))
    wait_for(lambda: up.reader.count(where).events, "the try is in the ledger")
    found = [row for block in up.reader.stream(where) for row in block]
    assert found[0]["attributes"]["audit.outcome"] == "failure"
    assert "wrong-one" not in repr(found)
    page.close()


@pytest.mark.parametrize(
    ("name", "role", "scope"),
    [("Pia", Role.PRODUCT, Filter()), ("Ernst", Role.AUDITOR, Filter(service=("review-desk",)))],
)
def test_a_direct_url_to_another_roles_page_says_so(viewer, up, name, role, scope):
    """The navigation has only what the role may open; another page's URL says why not, shows nothing, is recorded."""
    one, person = viewer(name, role, scope), Person(name, role, scope)
    pages = {"": "Search", "task": "Task record", "trace": "Traces", "reviewers": "Reviewer activity",
             "usage": "AI usage", "integrity": "Integrity", "access": "Who looked", "reports": "Reports",
             "log-review": "Log review"}  # fmt: skip
    links = set(one.page.get_by_test_id("stSidebarNavLink").all_inner_texts())
    assert {title for path, title in pages.items() if person.may_open(path)} == {
        title for title in pages.values() if any(title in each for each in links)
    }
    refused_pages = [path for path in pages if not person.may_open(path)]
    for path in refused_pages:
        go(one.page, f"{up.url}/{path}?id={up.task}")
        expect(one.page.get_by_role("heading", name=f"{pages[path]} is not open to you")).to_be_visible()
        assert up.task not in one.page.get_by_test_id("stMain").inner_text()
    routes = {path: one.page.request.get(up.url + path).status for path in EXPORTS}
    figures = 200 if role == Role.PRODUCT else 403
    assert routes == {EXPORTS[0]: 403 if role == Role.PRODUCT else 200, EXPORTS[1]: routes[EXPORTS[0]],
                      EXPORTS[2]: figures, EXPORTS[3]: 403, EXPORTS[4]: 403}  # fmt: skip
    where = Filter(event_type=("access",), actor_id=(name,), action=("OPEN",))
    wait_for(lambda: up.reader.count(where).events >= len(refused_pages) + 3, "the attempts are in the ledger")


def test_two_viewers_at_once_never_see_each_others_rows(viewer, up):
    """Two scopes, two zones, turn by turn: counts, values to choose, task, trace and export are each one's own."""
    both = [viewer(name, Role.ENGINEER, scope, timezone_id=zone) for (name, scope), zone in
            zip(SCOPES.items(), ("Asia/Tokyo", "America/New_York"), strict=True)]  # fmt: skip
    alone = {name: Reader(up.database, Sight(scope)) for name, scope in SCOPES.items()}
    foreign = {"Writer": "review-desk", "Desk": "draft-writer"}
    for one in (*both, both[0]):  # what is kept for one is asked for by the other, and then again by the first
        go(one.page, f"{up.url}/?period=All&technical=true")
        assert shown(one.page) == alone[one.name].count(Filter()).events > 0
        one.page.get_by_role("button", name="Narrow down").click()
        expect(one.page.locator(".facets")).to_contain_text(SCOPES[one.name].service[0])
        one.page.get_by_role("button", name="More filters").click()
        one.page.get_by_role("combobox", name="Service").first.click()
        options = one.page.get_by_role("option")
        expect(options.first).to_have_text(SCOPES[one.name].service[0])
        assert options.all_inner_texts() == list(SCOPES[one.name].service)
        assert foreign[one.name] not in one.page.get_by_test_id("stMain").inner_text()
    trace = up.reader.page(Filter(task_id=up.task, event_type=("ai_call",)))[0]["trace_id"]
    for one in both:
        go(one.page, f"{up.url}/task?id={up.task}")
        times = one.page.locator("ol.tl time").count()
        expect(one.page.locator(".lead").first).to_contain_text("Of the part that you see:")
        assert 0 < times == len([row for row in alone[one.name].task(up.task) if row["event_type"] != "span"])
        assert foreign[one.name] not in one.page.get_by_test_id("stMain").inner_text()
        rows = one.page.request.get(f"{up.url}/export/events.jsonl?why=x").text().splitlines()
        assert {json.loads(line)["service"] for line in rows} == set(SCOPES[one.name].service)
        go(one.page, f"{up.url}/trace?id={trace}")
        told = one.page.get_by_test_id("stMain").inner_text()
        assert foreign[one.name] not in told
        assert ("No trace has the id" in told) == (one.name == "Desk")
        expect(one.page.get_by_test_id("stSidebar")).to_contain_text("You see a part of the record: service")


def test_the_night_in_which_an_hour_comes_twice(viewer, up):
    """The same two events in two zones: in Berlin both at 02:30, in order; in New York the day before."""
    berlin, new_york = (viewer(zone, path=f"/task?id={NIGHT}", timezone_id=zone)
                        for zone in ("Europe/Berlin", "America/New_York"))  # fmt: skip
    exact = [f"{at:%Y-%m-%dT%H:%M}" for at in TWICE]
    for one, clock in ((berlin, ["02:30", "02:30"]), (new_york, ["20:30", "21:30"])):
        times = one.page.locator("ol.tl time")
        expect(times.nth(1)).to_be_visible()  # after them: who looks at it here
        assert [text[:5] for text in times.all_inner_texts()[:2]] == clock
        assert [each[:16] for each in times.evaluate_all("all => all.map(each => each.dateTime)")[:2]] == exact
    said = [one.page.locator("ol.tl").inner_text() for one in (berlin, new_york)]
    assert "26 Oct" in said[0]
    assert "25 Oct" in said[1]
    gap = berlin.page.locator("ol.tl .gap").first.inner_text()
    assert re.search(r"59 min|1 h", gap), gap  # time passed though the clock says the same


def test_a_role_without_texts_sees_none(viewer, up):
    """A product team sees what was decided, and neither prompts, answers and reasons nor a way to find by them."""
    pia = viewer("Pia", Role.PRODUCT, path=f"/task?id={up.task}")
    story = pia.page.locator("ol.tl")
    for summary in pia.page.locator("[data-testid=stHtml] summary").all():
        summary.click()
    text = pia.page.get_by_test_id("stMain").inner_text()
    assert "Dear Ms Lind" not in text
    assert "customer waits" not in text
    expect(story.get_by_text("What the AI answered")).to_have_count(0)
    expect(pia.page.get_by_test_id("stSidebar")).to_contain_text("Texts are not shown to your role.")
    go(pia.page, f"{up.url}/?q=customer&period=All")
    assert "Nothing matches" in pia.page.get_by_test_id("stMain").inner_text()
    expect(pia.page.get_by_role("button", name="Export")).to_have_count(0)


def test_signing_out_ends_it_and_a_replayed_cookie_opens_nothing(viewer, browser, up):
    """After signing out nothing is shown, Back brings nothing back, and the old cookie is worth nothing."""
    ada = viewer("Ada Out", path=f"/task?id={up.task}")
    cookies = ada.context.cookies()
    (cookie,) = [each for each in cookies if each["name"] == "otel_audit_session"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    ada.page.get_by_role("button", name="Sign out").click()
    expect(ada.page.get_by_role("heading", name="You are signed out")).to_be_visible()
    browsing.ready(ada.page)
    assert ada.page.get_by_test_id("stSidebarNavLink").count() == 0
    assert up.task not in ada.page.locator("body").inner_text()
    ada.page.get_by_role("link", name="Sign in").click()
    expect(ada.page).to_have_url(f"{up.url}/sign-in?next={quote(f'/task?id={up.task}', safe='')}")
    ada.page.go_back()
    expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    thief = browser.new_context()
    thief.add_cookies(cookies)
    page = thief.new_page()
    page.goto(f"{up.url}/task?id={up.task}")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.request.get(up.url + EXPORTS[0]).status == 401
    thief.close()
    where = Filter(event_type=("access",), actor_id=("Ada Out",), action=("SIGN_OUT",))
    wait_for(lambda: up.reader.count(where).events, "signing out is in the ledger")


@pytest.mark.parametrize("ends", ["revoked", "expired"])
def test_a_token_that_ends_while_a_page_is_open(viewer, up, ends):
    """At the next click whoever's token was revoked or has expired sees nothing more; a new one goes on there."""
    eve = viewer(f"Eve {ends}", path="/?q=refund")
    shown(eve.page)
    if ends == "revoked":
        up.file.revoke(eve.token.id, time.time_ns())
    else:
        tokens = json.loads(up.file.path.read_text())
        for each in tokens["tokens"]:
            each["expires_unix_nano"] = time.time_ns() if each["id"] == eve.token.id else each["expires_unix_nano"]
        up.file.path.write_text(json.dumps(tokens))
    eve.page.get_by_text("UTC", exact=True).click()
    expect(eve.page.get_by_role("heading", name="You are signed out")).to_be_visible()
    browsing.ready(eve.page)
    expect(eve.page.locator("#summary")).to_have_count(0)
    expect(eve.page.get_by_test_id("stDataFrame")).to_have_count(0)
    assert eve.page.request.get(up.url + EXPORTS[0]).status == 401
    secret, _ = up.file.create("Eve", Role.COMPLIANCE, time.time_ns() + 10**15, Filter(), time.time_ns())
    eve.page.get_by_role("link", name="Sign in").click()
    eve.page.get_by_label("Access token").fill(secret)
    eve.page.keyboard.press("Enter")
    browsing.ready(eve.page)
    expect(eve.page.locator("#summary")).to_contain_text("matching “refund”")


def test_a_connection_that_is_lost_with_the_session_leads_to_the_sign_in_page(viewer, up):
    """After sleep or a restart a page of an ended session does not wait for ever: it leads to the way in, and back."""
    eve, opened = viewer("Eve lost"), []

    def passed_on(socket):
        socket.connect_to_server()
        opened.append(socket)

    eve.page.route_web_socket("**/_stcore/stream", passed_on)
    go(eve.page, f"{up.url}/?q=refund")
    up.file.revoke(eve.token.id, time.time_ns())
    opened[-1].close()
    expect(eve.page).to_have_url(f"{up.url}/sign-in?next=%2F%3Fq%3Drefund", timeout=20_000)
    expect(eve.page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sign_in_page_is_for_everybody(browser, up, scheme):
    """axe finds nothing on the sign-in page, also with a problem told, and it fits a phone."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
    page = context.new_page()
    foreign = []
    page.on("request", lambda request: foreign.append(request.url) if not request.url.startswith(up.url) else None)
    page.goto(f"{up.url}/usage")
    assert Axe().run(page, options=RULES).response["violations"] == []
    assert page.evaluate("document.activeElement.id") == "token"
    page.keyboard.type("oat_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert Axe().run(page, options=RULES).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [each for each in foreign if not each.startswith("data:")] == []
    if shots := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(shots) / f"sign_in_{scheme}_390.png")
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(f"{up.url}/usage")
        page.screenshot(path=Path(shots) / f"sign_in_{scheme}.png")
    context.close()
