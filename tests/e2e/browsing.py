"""How the browser tests and the screenshots drive the dashboard."""

import contextlib
from pathlib import Path

# Debian's two: the one without windows of its own does the same at half the cost, and is taken where it is.
BROWSERS = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
MISSING = f"none of {', '.join(map(str, BROWSERS))} is here: apt-get install chromium-headless-shell"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = '[data-testid="stApp"][data-test-script-state="notRunning"]'

CHART = '[data-testid="stVegaLiteChart"] :is(canvas, svg)'


@contextlib.contextmanager
def chromium():
    """A headless browser: the system's chromium, which CI has too."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_browser(), headless=True, args=FLAGS)
        yield browser
        browser.close()


def is_there():
    return _browser() is not None


def _browser():
    return next((each for each in BROWSERS if each.exists()), None)


def ready(page):
    """Wait until the page has been drawn to its end."""
    page.wait_for_selector("#page-ready", state="attached", timeout=30_000)
    page.wait_for_selector(READY, timeout=30_000)
    page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton], [data-stale=true]')")
    assert page.locator('[data-testid="stException"]').count() == 0


def click_row(page, number):
    """Select a row of the table, counted from 0: the grid is a canvas, so by coordinates."""
    grid = page.locator('[data-testid="data-grid-canvas"]').first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + 36 + 36 * number + 18)
    page.wait_for_selector(".st-key-peek")
    ready(page)
