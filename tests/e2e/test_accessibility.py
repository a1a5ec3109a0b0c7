"""Everybody can use it: axe finds nothing against WCAG A and AA on any page, and the keys are listed and work."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from otel_audit.model import Filter
from otel_audit.store.database import open_for_reading
from otel_audit.store.reader import Reader
from tests.e2e import browsing, sample, screenshots
from tests.integration.running import running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not browsing.is_there(), reason=browsing.MISSING),
]
TASKS = 12
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
# Streamlit's own navigation puts a <div> between <ul> and <li>, which a page can not change: it is looked at apart.
NAVIGATION = '[data-testid="stSidebarNavItems"]'
# Reports and Log review need other data: test_dashboard_assurance.py.
PAGES = ("search", "task", "compare", "trace", "reviewers", "usage", "integrity", "access")


@pytest.fixture(scope="module")
def up(tmp_path_factory, shared_engine):
    shared_engine.closed()
    with running(tmp_path_factory.mktemp("axe") / "data", "--dashboard-port", "0") as receiver:
        sample.send_history(receiver.endpoint, now=datetime.now(UTC), tasks=TASKS)
        with open_for_reading(receiver.data, None) as database:
            reader = Reader(database)
            while reader.count(Filter(event_type=("resolution",))).events < TASKS:  # they are acknowledged already
                os.sched_yield()
            receiver.pages = screenshots.pages_of(reader)
        receiver.url = f"http://127.0.0.1:{receiver.run['dashboard_port']}"
        yield receiver


@pytest.fixture(scope="module", params=["light", "dark"])
def page(browser, request):
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


def violations(page, **context):
    """What axe finds, by rule, with the places."""
    return {
        each["id"]: [f"{node['html'][:200]}: {node['failureSummary'][:300]}" for node in each["nodes"][:3]]
        for each in Axe().run(page, context=context, options=RULES).response["violations"]
    }


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(page, up, name):
    """Names, roles, contrast and order are right, in light and dark, but for one known defect of the navigation."""
    page.goto(up.url + up.pages[name])
    browsing.ready(page)
    page.wait_for_load_state("networkidle")
    assert violations(page, exclude=[[NAVIGATION]]) == {}
    assert violations(page, include=[[NAVIGATION]]).keys() == {
        "list",
        "listitem",
    }  # or else no longer apart


def test_the_keys_are_listed_and_lead_to_pages(page, up):
    """`?` opens the sheet, Esc closes it, `/` searches, `g` and a letter go to a page; not while typing."""
    page.goto(up.url + "/")
    browsing.ready(page)
    sheet = page.get_by_role("dialog", name="Keys")
    page.locator("h1").first.click()
    page.keyboard.press("?")
    expect(sheet).to_be_visible()
    expect(sheet.get_by_text("Task record")).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("gi?")
    expect(page.locator(".st-key-q input")).to_have_value("gi?")
    expect(sheet).to_be_hidden()
    page.keyboard.press("Escape")
    page.locator("h1").first.click()
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/integrity*")
    browsing.ready(page)
    page.keyboard.press("?")
    expect(sheet).to_be_visible()
    shots = os.environ.get("SCREENSHOTS")
    if shots:
        page.screenshot(path=Path(shots) / "keys.png")
