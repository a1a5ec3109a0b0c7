"""What the browser tests share: one browser and one visitor's cache a module, and a page that tolerates nothing."""

from urllib.parse import urlsplit

import pytest

from tests.e2e import browsing


@pytest.fixture(scope="module")
def browser():
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def visitor(browser):
    """One cache for all pages of a module: what is compiled once need not be compiled for each page."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Asia/Tokyo")
    yield context
    context.close()


@pytest.fixture
def page(visitor, up):
    """A new page without cookies; the test fails on a console error, a dialog, or a request to anywhere else."""
    opened = visitor.new_page()
    bad, hosts = [], set()
    opened.on("console", lambda message: bad.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: bad.append(str(error)))
    opened.on("dialog", lambda dialog: (bad.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    opened.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    yield opened
    if opened.url.startswith("http"):
        opened.evaluate("localStorage.clear()")
    opened.close()
    visitor.clear_cookies()
    assert not bad, bad
    assert hosts - {""} <= {urlsplit(up.url).netloc}, hosts
