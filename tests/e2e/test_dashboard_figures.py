"""The pages on reviewers and AI usage in chromium, over a real ``otel-audit up``."""

import csv
import io
import re

import pytest

from otel_audit.model import Filter
from otel_audit.store.database import open_for_reading
from otel_audit.store.reader import Reader
from tests.e2e import browsing, sample
from tests.e2e.test_dashboard import NOW, go, shown_count, wait_for
from tests.integration.running import running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not browsing.is_there(), reason=browsing.MISSING),
]
TASKS = 40


@pytest.fixture(scope="module")
def up(tmp_path_factory, shared_engine):
    shared_engine.closed()
    with running(tmp_path_factory.mktemp("figures") / "data", "--dashboard-port", "0") as receiver:
        sample.send_history(receiver.endpoint, now=NOW, tasks=TASKS)
        with open_for_reading(receiver.data, None) as database:
            reader = Reader(database)
            receiver.url = f"http://127.0.0.1:{receiver.run['dashboard_port']}"
            done = Filter(event_type=("resolution",))
            wait_for(lambda: reader.count(done).events == TASKS, "the history arrives")
            yield receiver


def tiles(page):
    return page.locator(".tiles").first.inner_text()


# A count and a list of one page, a rate of the other: tests/integration/test_dashboard_figures.py compares all.
@pytest.mark.parametrize(
    ("path", "name"),
    [("/reviewers", "Reviews decided"), ("/reviewers", "Unusually quick"), ("/usage", "Reject rate")],
)
def test_a_figure_leads_to_its_events(page, up, path, name):
    """Selecting a figure shows exactly the events it was counted from: as many as the link's own filter exports."""
    go(page, up.url + path)
    tile = page.locator(".tiles > div", has=page.get_by_text(name, exact=True))
    words = tile.locator("b a").inner_text()
    tile.locator("b a").click()
    page.get_by_role("heading", name="Events behind a figure").wait_for()
    browsing.ready(page)
    count = shown_count(page)
    assert count > 0
    if re.fullmatch(r"[\d,]+", words):
        assert count == int(words.replace(",", ""))
    page.get_by_role("button", name="Export").click()
    page.get_by_role("textbox", name="Why are you exporting?").fill("check")
    page.keyboard.press("Enter")
    link = page.get_by_role("link", name="Download CSV")
    page.wait_for_function("() => [...document.querySelectorAll('a')].some(a => a.href.includes('why=check'))")
    answer = page.request.get(up.url + link.get_attribute("href"))
    rows = list(csv.DictReader(io.StringIO(answer.body().decode("utf-8-sig"), newline="")))
    assert answer.headers["x-row-count"] == str(len(rows)) == str(count)


@pytest.mark.parametrize(("path", "by"), [("/reviewers", "AI model"), ("/usage", "Prompt version")])
def test_a_shared_link_shows_the_same_figures(page, browser, up, path, by):
    """A page's URL in a fresh browser shows the same figures, zone and comparison."""
    go(page, f"{up.url}{path}?period=All")
    page.get_by_text("UTC", exact=True).click()
    page.get_by_test_id("stButtonGroup").get_by_text(by, exact=True).first.click()
    page.wait_for_function("() => location.search.includes('by=')")
    browsing.ready(page)
    context = browser.new_context()
    other = context.new_page()
    go(other, page.url)
    assert tiles(other) == tiles(page)
    assert other.locator("table.grid").first.inner_text() == page.locator("table.grid").first.inner_text()
    assert "(UTC)" in other.locator("#summary").inner_text()
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1920, "dark")])
def test_pages_fit_their_screen(browser, up, width, scheme):
    """No page scrolls sideways; a table that is wider than the screen scrolls in itself."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for path in ("/reviewers", "/usage"):
        go(page, up.url + path)
        page.wait_for_selector(browsing.CHART)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        for tile in page.locator(".tiles > div").all():
            assert tile.evaluate("each => each.scrollWidth <= each.clientWidth + 1"), tile.inner_text()
    context.close()


def test_one_person_is_shown_after_a_purpose(page, up):
    """A link to one person's figures asks for a purpose first, and shows them after it."""
    go(page, f"{up.url}/reviewers?period=All&reviewer=ana.ruiz")
    assert page.locator(".tiles").count() == 0
    page.get_by_role("textbox", name="Why are you looking at one person's reviews?").fill("training need")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tiles")
    assert "reviewer ana.ruiz" in page.locator("#summary").inner_text()
