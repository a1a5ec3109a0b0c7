"""How the browser tests and the screenshots drive the dashboard."""

import contextlib
from pathlib import Path

CHROMIUM = "/usr/bin/chromium"
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
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


def is_there():
    return Path(CHROMIUM).exists()


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
