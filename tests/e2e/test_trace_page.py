"""The page Traces in chromium, over a real ``otel-audit up`` that received a trace of 5,000 spans by OTLP."""

import random
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from otel_audit.store.database import open_for_reading
from otel_audit.store.reader import Reader
from tests.e2e import browsing, sample
from tests.e2e.test_dashboard import EVIL, go, wait_for
from tests.integration.running import running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not browsing.is_there(), reason=browsing.MISSING),
]
SPANS = 5000
SERVICES = ("crm-intake", "draft-writer", "model-gateway", "review-desk", "dispatch")
NAMES = ("POST /draft", "SELECT reviewer", "PUT /decision", "append event", "retrieve policy")


def send_large(endpoint, now, spans):
    """Send a trace of that many spans of five services, with AI calls, a review and errors. Returns its id."""
    rng, sender = random.Random(3), sample.Sender(endpoint)
    begun = now - timedelta(minutes=5)
    common = {"audit.task.id": "TSK-TRACE", "audit.task.kind": "refund reply"}
    root = sender.span(SERVICES[0], "task lifecycle", begun, 200, common)
    parents = [(root, begun, 200.0)]
    sender.span("model-gateway", "chat atlas-large-3", begun + timedelta(seconds=2), 40,
                common | sample.ai_call(rng, "atlas-large-3"), parent=root)  # fmt: skip
    review = {"audit.event.type": "review", "audit.reviewer.id": "ana.ruiz", "audit.review.decision": "approved"}
    sender.span("review-desk", "review", begun + timedelta(seconds=60), 100, common | review, parent=root)
    sender.span("dispatch", EVIL, begun + timedelta(seconds=170), 9, {"x": EVIL}, parent=root, error="Timeout")
    for number in range(spans - 4):
        parent, at, seconds = parents[min(len(parents) - 1, int(rng.random() ** 2 * 40))]
        start = at + timedelta(seconds=rng.random() * seconds * 0.8)
        length = rng.random() * seconds * 0.2
        error = "Timeout" if number % 500 == 77 else ""
        span = sender.span(rng.choice(SERVICES), rng.choice(NAMES), start, length, {}, parent=parent, error=error)
        parents.append((span, start, length))
    sender.close()
    return f"{root.get_span_context().trace_id:032x}"


@pytest.fixture(scope="module")
def up(tmp_path_factory, shared_engine):
    shared_engine.closed()
    with running(tmp_path_factory.mktemp("traces") / "data", "--dashboard-port", "0") as receiver:
        receiver.trace_id = send_large(receiver.endpoint, datetime.now(UTC), SPANS)
        with open_for_reading(receiver.data, None) as database:
            reader = Reader(database)
            wait_for(lambda: len(reader.trace_spans(receiver.trace_id)) == SPANS, "the trace arrives")
        receiver.url = f"http://127.0.0.1:{receiver.run['dashboard_port']}"
        yield receiver


@pytest.fixture(params=[(1440, "light"), (390, "dark")], ids=["desktop", "phone"])
def page(browser, up, request):
    """The trace on a desktop and on a phone; the test fails on a console error, a dialog, or a foreign request."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    opened = context.new_page()
    bad, hosts = [], set()
    opened.on("console", lambda message: bad.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: bad.append(str(error)))
    opened.on("dialog", lambda dialog: (bad.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    opened.on("request", lambda sent: hosts.add(urlsplit(sent.url).netloc))
    go(opened, f"{up.url}/trace?id={up.trace_id}")
    opened.wait_for_selector(".wf .row")
    yield opened
    context.close()
    assert not bad, bad
    assert hosts - {""} <= {urlsplit(up.url).netloc}, hosts


def test_five_thousand_spans_filter_and_fold(page):
    """Only rows in view are drawn; the filter counts all of them; folding hides what is inside."""
    said = page.locator(".wf .said")
    expect(said).to_have_text("5,000 of 5,000 spans shown")
    assert page.locator(".wf .row").count() < 60
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Filter spans by name or service").fill("retrieve")
    expect(said).to_have_text(re.compile(r"^\d,?\d\d\d of 5,000 spans match$|^\d{3} of 5,000 spans match$"))
    page.get_by_label("Filter spans by name or service").fill("")
    page.get_by_label("Errors only").check()
    expect(said).to_have_text("11 of 5,000 spans match")
    page.get_by_label("Errors only").uncheck()
    page.get_by_role("button", name="Collapse all").click()
    expect(said).to_have_text("1 of 5,000 spans shown")
    page.get_by_role("button", name="Expand all").click()
    expect(said).to_have_text("5,000 of 5,000 spans shown")


def test_the_keyboard_folds_and_opens(page):
    """Arrows move and fold, End goes to the last of thousands, Enter opens a span, whose URL is its own."""
    page.locator(".wf .row").first.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".wf .said")).to_have_text("1 of 5,000 spans shown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".wf .said")).to_have_text("5,000 of 5,000 spans shown")
    page.keyboard.press("End")
    expect(page.locator('.wf .row[data-at="4999"]')).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".st-key-span")
    browsing.ready(page)
    assert "span=" in page.url
    shown = page.locator(".st-key-span").inner_text()
    page.reload()
    browsing.ready(page)
    page.wait_for_selector(".st-key-span")
    assert page.locator(".st-key-span").inner_text() == shown


def test_markup_in_a_span_stays_text(page):
    """A hostile name and attribute run nothing and fetch nothing."""
    page.get_by_label("Filter spans by name or service").fill("evil.example")
    expect(page.locator(".wf .said")).to_have_text("1 of 5,000 spans match")
    page.locator(".wf .row", has_text="evil.example").click()
    page.wait_for_selector(".st-key-span")
    browsing.ready(page)
    assert page.locator("[data-testid=stHtml] img, .wf img").count() == 0
