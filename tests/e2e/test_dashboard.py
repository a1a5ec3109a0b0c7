"""The dashboard in chromium, over a real ``otel-audit up`` that received a small history by OTLP."""

import csv
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import expect

from otel_audit.errors import StoreError
from otel_audit.model import Filter
from otel_audit.store.database import open_for_reading
from otel_audit.store.reader import Reader
from tests.e2e import browsing, sample
from tests.integration.running import run, running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not browsing.is_there(), reason=browsing.MISSING),
]
NOW = datetime.now(UTC)  # the history ends now; nothing is compared with the clock
TASKS = 40
EVIL_TASK = 'EVIL"><img src="http://evil.example/task">'
EVIL = "<img src='http://evil.example/x' onerror='alert(1)'>![a](http://evil.example/md)<script>alert(2)</script>"


def wait_for(question, what, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = question()
        if found:
            return found
        time.sleep(0.1)  # a poll of a condition, bounded by the deadline
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture(scope="module")
def up(tmp_path_factory, shared_engine):
    shared_engine.closed()
    with running(tmp_path_factory.mktemp("dashboard") / "data", "--dashboard-port", "0") as receiver:
        receiver.tasks = sample.send_history(receiver.endpoint, now=NOW, tasks=TASKS)
        send_evil(receiver.endpoint)
        with open_for_reading(receiver.data, None) as database:
            receiver.reader = Reader(database)
            receiver.url = f"http://127.0.0.1:{receiver.run['dashboard_port']}"
            wait_for(lambda: receiver.reader.count(Filter(task_id=EVIL_TASK)).events, "the history arrives")
            yield receiver


def send_evil(endpoint):
    """Events with markup in every text a producer can choose."""
    sender = sample.Sender(endpoint)
    common = {"audit.task.id": EVIL_TASK, "audit.task.kind": EVIL, "audit.subject.ref": EVIL, "deployment": EVIL}
    texts = dict.fromkeys(("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"), EVIL)
    call = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": EVIL, "gen_ai.request.model": EVIL,
            "gen_ai.response.model": EVIL, "gen_ai.prompt.version": EVIL, "gen_ai.response.id": EVIL}  # fmt: skip
    sender.span(EVIL, EVIL, NOW, 2, common | call | texts, error=EVIL)
    review = {"audit.event.type": "review", "audit.reviewer.id": EVIL, "audit.review.decision": EVIL,
              "audit.rationale.text": EVIL, "audit.rationale.code": [EVIL], "audit.change.before": EVIL,
              "audit.change.after": EVIL + " x", "audit.actor.id": EVIL}  # fmt: skip
    sender.span(EVIL, EVIL, NOW, 3, common | review)
    sender.close()


def go(page, url):
    page.goto(url)
    browsing.ready(page)


def shown_count(page):
    return int(page.locator("#summary b").first.inner_text().replace(",", ""))


def exported(page, up):
    """(address, count on screen, rows of the file) of the CSV that the page exports for a reason."""
    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_role("textbox", name="Why are you exporting?").fill("ticket 4821")
    page.keyboard.press("Enter")
    link = page.get_by_role("link", name="Download CSV")
    expect(link).to_have_attribute("href", re.compile("why=ticket"))
    address, said = link.get_attribute("href"), link.inner_text()
    page.keyboard.press("Escape")
    answer = page.request.get(up.url + address)
    rows = list(csv.DictReader(io.StringIO(answer.body().decode("utf-8-sig"), newline="")))
    shown = int(re.search(r"\((\d+) rows?\)", said)[1])
    assert answer.headers["x-row-count"] == str(shown) == str(len(rows))
    return address, shown, rows


def test_search_open_read_export(page, up):
    """Search for a task, open it, read its story in order, and export exactly what was on screen."""
    task = up.tasks[3]
    go(page, up.url)
    page.get_by_label("Task, person or words").fill(task)
    page.keyboard.press("Enter")
    page.get_by_text(f"matching “{task}”").first.wait_for()
    browsing.ready(page)
    count = shown_count(page)

    address, shown, rows = exported(page, up)
    assert shown >= count  # the search itself is recorded meanwhile, and is an access to this task
    count = shown
    where = Filter(task_id=task, exclude_event_type=("span", "log"))
    stored = {
        (each["origin"], str(each["seq"])): each
        for block in up.reader.stream(where)
        for each in block
        if each["event_type"] != "access"
    }
    ours = [row for row in rows if row["event_type"] != "access"]
    assert {(row["origin"], row["seq"]) for row in ours} == set(stored)
    for row in ours:
        entry = stored[row["origin"], row["seq"]]
        assert (row["hash"], row["task_id"], row["decision"]) == (entry["hash"], task, entry["decision"])
        assert row["output"] == entry["content"].get("output", "")
    json_lines = page.request.get(up.url + address.replace("events.csv", "events.jsonl")).text().splitlines()
    assert [json.loads(line)["seq"] for line in json_lines] == [int(row["seq"]) for row in rows]

    browsing.click_row(page, count - 1)  # the oldest: the newest is the access just recorded
    page.get_by_role("link", name="Open full record").click()
    page.wait_for_url("**/task?**")
    browsing.ready(page)
    assert page.locator("h1").inner_text().startswith(task)
    assert page.locator(".banner").inner_text().startswith(("verified_user\nUnaltered", "shield\nUnaltered so far"))
    times = page.locator("ol.tl time").evaluate_all("all => all.map(each => each.dateTime)")
    assert len(times) >= 4
    assert times == sorted(times)


def test_who_looked_is_exported_as_it_is_shown(page, up):
    """The list of accesses gives exactly the accesses that are on screen, with what was searched for."""
    go(page, f"{up.url}/?period=All&q=never-said")
    searched = Filter(event_type=("access",), action=("SEARCH",))
    wait_for(lambda: up.reader.count(searched).events, "the search is recorded")
    go(page, f"{up.url}/access?did=Searched&period=All")
    count = shown_count(page)
    _, shown, rows = exported(page, up)
    assert shown == count
    stored = up.reader.page(searched, per_page=500)
    assert {(row["origin"], int(row["seq"])) for row in rows} == {(row["origin"], row["seq"]) for row in stored}


def test_a_shared_link_shows_the_same_view(page, browser, up):
    """A view's URL in a fresh browser shows the same filter, count, zone and page."""
    go(page, up.url)
    page.get_by_test_id("stButtonGroup").get_by_text("Escalation", exact=True).click()
    page.get_by_text("UTC", exact=True).click()
    page.get_by_text("matching Escalation").first.wait_for()
    browsing.ready(page)
    count = shown_count(page)
    assert dict(parse_qsl(urlsplit(page.url).query)) == {"type": "Escalation", "tz": "UTC"}
    context = browser.new_context()
    other = context.new_page()
    go(other, page.url)
    assert shown_count(other) == count
    assert "(UTC)" in other.locator("#summary").inner_text()
    context.close()


def test_keys_lead_along_the_list_and_back(page, up):
    """From a result, j, k and J lead along exactly that list, its filter stays in the URL, and u leads back to it."""
    where = Filter(event_type=("review",), sizes=up.reader.sizes())
    listed = up.reader.page(where, per_page=100)
    tasks = list(dict.fromkeys(row["task_id"] for row in listed))
    go(page, f"{up.url}/?period=All&type=Review")
    browsing.click_row(page, 1)
    page.set_viewport_size({"width": 1024, "height": 420})  # the event is below what is seen at first
    page.get_by_role("link", name="Open full record").click()

    def stands_at(number):
        page.wait_for_url(re.compile(rf"event=[^&]*%3A{listed[number]['seq']}&"))
        expect(page.locator(".stepper")).to_contain_text(f"Event {number + 1} of {len(listed)}")
        browsing.ready(page)
        task = listed[number]["task_id"]
        expect(page.locator(".stepper")).to_contain_text(f"Task {tasks.index(task) + 1} of {len(tasks)}")
        expect(page.locator("li.marked b").first).to_be_in_viewport()

    stands_at(1)
    for key, number in (("j", 2), ("k", 1), ("k", 0), ("k", 0), ("J", 1), ("j", 2)):
        page.keyboard.press(key)
        stands_at(number)
    page.keyboard.press("u")
    page.wait_for_url(re.compile(r"/\?period=All&type=Review$"))
    browsing.ready(page)
    assert shown_count(page) == len(listed)


def test_two_events_are_compared_and_a_view_is_kept(page, browser, up):
    """Two results of Search stand side by side at a URL of their own; a saved view is there for the next visit."""
    go(page, f"{up.url}/?period=All&type=AI+call&service=draft-writer")
    browsing.click_row(page, 0)
    page.locator(".st-key-peek .marked summary").click()
    page.get_by_role("link", name="Compare with another").locator("visible=true").click()
    page.get_by_role("link", name="Choose it in Search").click()
    page.wait_for_url("**/?period=All&type=AI+call&compare=*")
    browsing.ready(page)
    browsing.click_row(page, 3)
    page.get_by_role("link", name="Compare with entry").click()
    page.wait_for_url("**/compare?a=*&b=*")
    browsing.ready(page)
    expect(page.locator(".lead")).to_contain_text("These two AI calls differ in")
    expect(page.locator(".mark.differs").first).to_have_text("≠ differs")
    assert page.locator(".banner").inner_text().split("\n")[1].startswith("Unaltered")

    go(page, f"{up.url}/?type=Escalation&period=All&cols=Task&cols=Who")
    count, address = shown_count(page), page.url
    page.get_by_role("button", name="Views").click()
    page.get_by_label("Save this view as").fill("Escalations")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved as “Escalations”").wait_for()
    context = browser.new_context()
    other = context.new_page()
    go(other, up.url)
    other.get_by_role("button", name="Views").click()
    other.get_by_role("link", name="Escalations").click()
    other.wait_for_url("**/?*type=Escalation*")
    browsing.ready(other)
    assert sorted(parse_qsl(urlsplit(other.url).query)) == sorted(parse_qsl(urlsplit(address).query))
    assert shown_count(other) == count
    other.get_by_role("button", name="Views").click()
    other.get_by_role("button", name="Delete").click()
    other.get_by_text("“Escalations” is deleted").wait_for()
    context.close()


def test_looking_and_exporting_are_recorded(page, up):
    """One look at a task is one access event however often it is clicked; an export says who, what and why."""
    task = up.tasks[5]
    go(page, f"{up.url}/task?id={task}")
    page.get_by_text("UTC", exact=True).click()
    browsing.ready(page)
    page.get_by_text("My time", exact=True).click()
    browsing.ready(page)
    where = Filter(task_id=task, event_type=("access",))
    assert page.request.get(f"{up.url}/export/events.csv?task_id={task}&why=").status == 400
    assert page.request.get(f"{up.url}/export/events.csv?task=x&why=y").status == 400
    assert page.request.get(f"{up.url}/export/events.csv?task_id={task}&why=complaint+7").ok
    wait_for(lambda: up.reader.count(where).events == 2, "view and export are in the ledger")
    found = {
        each["attributes"]["audit.action"]: each for each in up.reader.task(task) if each["event_type"] == "access"
    }
    assert set(found) == {"VIEW", "EXPORT"}
    assert found["EXPORT"]["content"]["rationale"] == "complaint 7"
    assert found["EXPORT"]["actor_id"] == found["VIEW"]["actor_id"] != ""


@pytest.mark.parametrize("path", ["/?q=EVIL&technical=true", f"/task?id={EVIL_TASK}", f"/?type={EVIL}&model={EVIL}"])
def test_hostile_content_stays_text(page, up, path):
    """Markup in every field runs nothing, opens nothing and fetches nothing."""
    go(page, up.url + path.replace("#", "%23"))
    if path.startswith("/?q"):
        browsing.click_row(page, 0)
    for summary in page.locator("[data-testid=stHtml] summary").all():
        summary.click()
    if path.startswith("/task"):
        assert page.get_by_text("<script>alert(2)</script>").count() > 5
    assert page.locator("[data-testid=stHtml] img").count() == 0


def test_verify_now_says_that_nothing_was_altered(page, up):
    """Verify now recomputes everything and says the result in a sentence."""
    go(page, f"{up.url}/integrity")
    page.get_by_role("button", name="Verify now").click()
    page.get_by_text("Nothing was altered:").wait_for(timeout=60_000)
    browsing.ready(page)
    assert "entries match their hashes" in page.locator(".banner").inner_text()
    assert page.get_by_text("otel-audit verify --data").count() == 1


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1024, "dark"), (1440, "dark")])
def test_pages_fit_their_screen(browser, up, width, scheme):
    """No page scrolls sideways on a phone, a tablet or a desktop."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for path in ("/", f"/task?id={up.tasks[3]}", "/integrity"):
        go(page, up.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        if path == "/":
            page.wait_for_selector(browsing.CHART)
            background = page.evaluate(
                "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
            )
            assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(16, 20, 27)")
    context.close()


def test_the_keyboard_alone_opens_a_story(page, up):
    """Tab reaches the table, and its keys select a row and show that task's story."""
    go(page, f"{up.url}/?q={up.tasks[7]}")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.testid") == "data-grid-canvas":
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Space")
    page.wait_for_selector(".st-key-peek")
    browsing.ready(page)
    assert page.locator(".st-key-peek ol.tl time").count() >= 4


def test_other_hosts_and_pages_are_refused(page, up):
    """A name that only resolves to this machine, or a page elsewhere, can read nothing from here."""
    path = f"{up.url}/export/events.csv?why=x"
    assert page.request.get(path, headers={"Host": "evil.example"}).status == 400
    assert page.request.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    policy = page.request.get(f"{up.url}/healthz").headers["content-security-policy"]
    assert "script-src 'self' 'sha256-" in policy
    assert "unsafe-eval" not in policy


def test_a_restarted_receiver_is_found_again(browser, tmp_path, shared_engine):
    """While the receiver is away the page says that the data is safe; afterwards the same page works again."""
    shared_engine.closed()
    import subprocess
    import sys

    import theme

    data, port = tmp_path / "data", free_port()
    command = [sys.executable, str(theme.HERE / "server.py"), "--data", str(data), "--port", str(port)]
    process = subprocess.Popen([*command, "--wait-for-receiver"])
    try:
        with running(data, "--no-dashboard") as receiver:
            sample.send_history(receiver.endpoint, now=NOW, tasks=1)
            with open_for_reading(data, None) as database:
                wait_for(lambda: Reader(database).count(Filter()).events > 4, "the history arrives")
            page = browser.new_context().new_page()
            wait_for(lambda: answers(page, f"http://127.0.0.1:{port}/healthz"), "the dashboard starts")
            go(page, f"http://127.0.0.1:{port}/?period=All")
            count = shown_count(page)
            receiver.stop()
        page.get_by_text("UTC", exact=True).click()
        page.get_by_text("Your data is safe").wait_for()
        with running(data, "--no-dashboard"):
            page.get_by_role("button", name="Try again").click()
            page.wait_for_selector("#summary")
            assert shown_count(page) >= count
    finally:
        process.terminate()
        process.wait()


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(page, url):
    from playwright.sync_api import Error

    try:
        return page.request.get(url).ok
    except (Error, StoreError):
        return False


def test_the_first_event_turns_the_empty_page_into_data(browser, tmp_path, shared_engine):
    """The command that an empty page copies is taken by the receiver as it is, and the page then shows the event."""
    shared_engine.closed()
    with running(tmp_path / "data", "--dashboard-port", "0") as receiver:
        opened = browser.new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()
        opened.goto(f"http://127.0.0.1:{receiver.run['dashboard_port']}/")
        opened.locator("#keys-title").wait_for(state="attached")  # the script that copies is there
        command = opened.locator(".copy", has_text="/v1/traces")
        command.get_by_role("button", name="Copy").click(timeout=30_000)
        expect(command.get_by_role("button")).to_have_text("Copied")
        copied = opened.evaluate("navigator.clipboard.readText()")
        subprocess.run(["/bin/sh", "-c", copied], check=True, capture_output=True)
        opened.get_by_text("1 event in 1 task").wait_for(timeout=30_000)
        opened.context.close()


def test_a_link_with_every_kind_of_filter_and_chips_that_clear(page, up):
    """A link brings its filters in words; a chip clears one of them alone, and Back brings it back."""
    go(page, f"{up.url}/?period=All&status=Not+set&conf_from=1&reason=none&tz=UTC")
    expect(page.locator("#summary")).to_contain_text("reason none, status Not set, confidence at least 1 %")
    assert shown_count(page) == 0
    page.get_by_role("link", name="Rationale code: none").click()
    expect(page.locator("#summary")).not_to_contain_text("reason none")
    browsing.ready(page)
    assert shown_count(page) == up.reader.count(Filter(status=("unset",), confidence_from=0.01)).events > 0
    page.go_back()
    expect(page.locator("#summary")).to_contain_text("reason none")


@pytest.mark.parametrize("is_list", [False, True], ids=["task", "list"])
def test_an_evidence_bundle_is_downloaded_and_checks(page, up, tmp_path, is_list):
    """A task and a list give an evidence bundle that the program in it finds in order, and that is recorded."""
    task = up.tasks[5]
    run("checkpoint", "--data", str(up.data))
    go(page, f"{up.url}/?period=All&q={task}" if is_list else f"{up.url}/task?id={task}")
    page.get_by_role("button", name="Export").click()
    page.get_by_role("textbox", name="Why are you exporting?").fill("complaint 77")
    page.keyboard.press("Enter")
    if is_list:
        page.get_by_role("radio", name="Evidence bundle").click()
    link = page.get_by_role("link", name="Evidence bundle")
    expect(link).to_have_attribute("href", re.compile("why=complaint"))
    address = up.url + link.get_attribute("href")
    answer = page.request.get(address)
    assert answer.status == 200, answer.text()
    path = tmp_path / "evidence.zip"
    path.write_bytes(answer.body())
    with zipfile.ZipFile(path) as bundle:
        bundle.extract("verify_bundle.py", tmp_path)
    trust = up.data.parent / f"{up.data.name}-anchors" / "trust.json"
    command = [sys.executable, str(tmp_path / "verify_bundle.py"), str(path), "--trust", str(trust)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    where = Filter(task_id=task, event_type=("access",))
    wait_for(lambda: up.reader.count(where).events, "the access is recorded")
    assert page.request.get(address.replace("why=complaint", "was=")).status == 400
