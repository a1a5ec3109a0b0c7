"""The pages Log review and Reports in chromium, over a real ``otel-audit up`` whose ledger began in earlier weeks."""

import getpass
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect

from otel_audit.model import Filter
from otel_audit.reports.log_review import Week
from otel_audit.store.database import open_for_reading
from otel_audit.store.folder import DataFolder
from otel_audit.store.reader import Reader
from tests.e2e import browsing
from tests.e2e.test_accessibility import NAVIGATION, violations
from tests.e2e.test_dashboard import go, shown_count, wait_for
from tests.integration.ledger_rows import earlier_weeks
from tests.integration.running import running, verify

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not browsing.is_there(), reason=browsing.MISSING),
]
DAY = 86_400 * 10**9
ALREADY = Week.of(time.time_ns() - 14 * DAY)  # a week in which the viewer had accesses
FREE = ALREADY.next()  # the last week that is over, in which they had none


@pytest.fixture(scope="module")
def up(tmp_path_factory, shared_engine):
    shared_engine.closed()
    data = tmp_path_factory.mktemp("assurance") / "data"
    people = {ALREADY.since: ("ana.ruiz", getpass.getuser()), FREE.since: ("ana.ruiz", "ben.okafor")}
    earlier_weeks(DataFolder(data), people)
    with running(data, "--dashboard-port", "0") as receiver, open_for_reading(data, None) as database:
        receiver.reader = Reader(database)
        receiver.url = f"http://127.0.0.1:{receiver.run['dashboard_port']}"
        wait_for(lambda: answers(receiver.url + "/healthz"), "the dashboard starts", seconds=60)
        yield receiver


def answers(url):
    try:
        return urlopen(url, timeout=5).status == 200
    except OSError:
        return False


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_and_read_them(browser, up, scheme):
    """A week to sign, one that may not be signed, the queue and a report: axe finds nothing, nothing is cut off."""
    paths = ("/log-review", f"/log-review?week={FREE.name}", f"/log-review?week={ALREADY.name}", "/reports")
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for path in paths:
        page.set_viewport_size({"width": 1440, "height": 900})
        go(page, up.url + path)
        assert violations(page, exclude=[[NAVIGATION]]) == {}, path
        page.set_viewport_size({"width": 390, "height": 844})
        browsing.ready(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        for part in page.locator(".card, .weeks li, .looks li, .gaps li").all():
            assert part.evaluate("each => each.scrollWidth <= each.clientWidth + 1"), (path, part.inner_text())
    context.close()


def test_a_week_is_reviewed_and_signed_with_the_keyboard(page, up):
    """From the sentence to a week, to the events behind a number and back, and to a signature that is in the ledger."""
    go(page, up.url + "/log-review")
    expect(page.get_by_role("status")).to_contain_text("2 weeks wait for review,")
    week = page.get_by_role("link", name=f"Week {int(FREE.name[-2:])}")
    week.focus()
    page.keyboard.press("Enter")
    page.get_by_text("What stands out").wait_for()
    browsing.ready(page)
    number = page.locator(".looks a").first
    events = int(number.inner_text())
    number.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Events behind a figure").wait_for()
    browsing.ready(page)
    assert shown_count(page) == events == 2
    page.go_back()
    browsing.ready(page)

    page.get_by_role("textbox", name="What do you conclude?").focus()
    page.keyboard.type("Both were asked for.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # once more, while it is on its way
    page.get_by_text("You signed this week.").wait_for(timeout=60_000)
    browsing.ready(page)
    expect(page.locator(".signed")).to_contain_text("Both were asked for.")
    expect(page.locator(".signed")).to_contain_text("open for")
    page.locator(".signed a").click()
    page.get_by_role("heading", name="Events behind a figure").wait_for()
    browsing.ready(page)
    assert shown_count(page) == 1
    ((row,),) = up.reader.stream(Filter(event_type=("log_review",)))
    assert (row["actor_id"], row["attributes"]["audit.target.id"]) == (getpass.getuser(), FREE.name)
    assert verify(up.data)["status"] == "ok"


def test_a_person_with_accesses_is_refused_and_told_who_may(page, up):
    """In a week of one's own accesses there is no form, but the reason and the way on."""
    go(page, f"{up.url}/log-review?week={ALREADY.name}")
    expect(page.get_by_role("status")).to_contain_text(f"You may not sign this week, {getpass.getuser()}: 1 access")
    assert page.get_by_role("textbox", name="What do you conclude?").count() == 0
    expect(page.locator(".kv")).to_contain_text("May not")


def test_a_report_is_read_downloaded_and_checked_as_the_page_says(page, up, tmp_path):
    """A number leads to its events; the zip comes after a purpose, is recorded, and the commands on the page say OK."""
    go(page, f"{up.url}/reports?standard=HIPAA&period=All")
    figure = page.locator(".counts a[title^='accesses to the trail']").first
    number = int(figure.inner_text())
    figure.click()
    page.get_by_role("heading", name="Events behind a figure").wait_for()
    browsing.ready(page)
    assert shown_count(page) == number >= 4
    page.go_back()
    browsing.ready(page)
    commands = page.locator(".copy pre", has_text="report verify").inner_text()
    page.get_by_role("button", name="Download").click()
    page.get_by_role("textbox", name="Why are you making this report?").fill("audit 2026")
    page.keyboard.press("Enter")
    page.wait_for_function("() => [...document.querySelectorAll('a')].some(a => a.href.includes('why=audit'))")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the signed report").click()
    download.value.save_as(tmp_path / download.value.suggested_filename)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["/bin/sh", "-ec", commands], cwd=tmp_path, env={**os.environ, "PATH": path},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stdout.startswith("OK: the report on HIPAA is as it was signed"), done.stdout + done.stderr
    taken = Filter(action=("EXPORT",), actor_id=(getpass.getuser(),), since=FREE.until)
    wait_for(lambda: up.reader.count(taken).events == 1, "the download is recorded")
    ((row,),) = up.reader.stream(taken)
    assert (row["attributes"]["audit.target.id"], row["content"]["rationale"]) == ("hipaa.zip", "audit 2026")
