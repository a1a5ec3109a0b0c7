"""``make screenshots``: docs/screenshots anew, every page of the dashboard over the demo's history in a real receiver.

Each page in light and dark, and both 390 pixels wide too. ``python -m tests.e2e.screenshots --url URL`` takes them of a
dashboard that runs already, ``--out`` puts them elsewhere, ``--only`` takes the pages that are named.
"""

import argparse
import contextlib
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from otel_audit.demo.history import backfill
from otel_audit.model import Filter
from otel_audit.reports.log_review import Week
from otel_audit.store.database import open_for_reading
from otel_audit.store.folder import DataFolder
from otel_audit.store.reader import Reader
from tests.e2e import browsing, sample
from tests.integration.ledger_rows import earlier_weeks
from tests.integration.running import run, running

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "screenshots"
TASKS = 400
# Invented ones: what a model costs is a matter of the reader's own contract.
PRICES = """currency = "EUR"
price = [
  { model = "gpt-4.1*", input = 2.0, output = 8.0 },
  { model = "gpt-4.1-mini*", input = 0.5, output = 2.0 },
  { model = "gpt-4o-mini*", input = 0.2, output = 0.8 },
]
"""
DRAWN = {"search", "reviewers", "usage"}  # pages with charts, which are drawn last
SIZES = {"": {"width": 1440, "height": 900}, "_390": {"width": 390, "height": 844}}
WHOLE = {"reviewers", "usage", "task", "compare", "reports"}  # shown to their end


@contextlib.contextmanager
def a_dashboard():
    """The URL of a dashboard over a history, with the paths of its pages."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        data = Path(folder) / "audit-data"
        weeks = [Week.of(time.time_ns() - ago * 7 * 86_400 * 10**9) for ago in (4, 3, 2, 1)]
        earlier_weeks(DataFolder(data), {week.since: sample.PEOPLE[:3] for week in weeks})
        (data / "prices.toml").write_text(PRICES, encoding="utf-8")
        up = stack.enter_context(running(data, "--dashboard-port", "0"))
        backfill(up.endpoint, days=30, tasks=TASKS)
        reader = Reader(stack.enter_context(open_for_reading(up.data, None)))
        for week, lead in zip(weeks, sample.LEADS, strict=False):
            said = ("--sign", "--reviewer", lead, "--remark", "Every export was asked for.")
            run("review-logs", "--data", str(data), "--week", week.name, *said)
        yield f"http://127.0.0.1:{up.run['dashboard_port']}", pages_of(reader)


def pages_of(reader):
    """Name -> path of every page; task and trace are those of the last edited draft."""
    review = reader.page(Filter(event_type=("review",), decision=("modified",)), per_page=1)[0]
    call = reader.page(Filter(event_type=("ai_call",), task_id=review["task_id"]), per_page=1)[0]
    like = Filter(event_type=("ai_call",), prompt_name=(call["prompt_name"],))
    other = next(each for each in reader.page(like) if each["task_id"] != review["task_id"])
    a, b, event = (f"{each['origin']}:{each['seq']}" for each in (call, other, review))
    within = {"within": urlencode({"event_type": "review"}), "view": "type=Review"}
    return {
        "search": "/",
        "task": "/task?" + urlencode({"id": review["task_id"], "event": event} | within),
        "compare": "/compare?" + urlencode({"a": a, "b": b}),
        "trace": f"/trace?id={call['trace_id']}",
        "reviewers": "/reviewers",
        "usage": "/usage",
        "integrity": "/integrity",
        "reports": "/reports",
        "log-review": "/log-review",
        "week": f"/log-review?week={Week.of(time.time_ns() - 7 * 86_400 * 10**9).name}",
        "access": "/access",
    }


def take(page, url, name, path, place):
    """One page, when it has come to rest."""
    page.goto(url + path)
    browsing.ready(page)
    if name in DRAWN:
        page.locator(browsing.CHART).first.wait_for()
    if name == "integrity":
        page.get_by_role("button", name="Verify now").click()
        page.get_by_text("Nothing was altered").wait_for(timeout=60_000)
        browsing.ready(page)
    page.wait_for_load_state("networkidle")
    shot(page, place, whole=name in WHOLE)


def shot(page, place, *, whole=False):
    """Save what is seen; with ``whole``, down to the page's end, which lies in a part that scrolls."""
    seen = page.viewport_size
    if whole:
        height = page.locator('[data-testid="stMain"]').evaluate("element => element.scrollHeight")
        page.set_viewport_size({"width": seen["width"], "height": min(height, 4000)})
        browsing.ready(page)
        page.wait_for_load_state("networkidle")
    page.screenshot(path=place)
    page.set_viewport_size(seen)


def take_panels(page, url, folder, scheme):
    """What opens on the search page: the story beside the table, and the export."""
    page.goto(url + "/?type=Review")
    browsing.ready(page)
    browsing.click_row(page, 1)
    page.wait_for_load_state("networkidle")
    shot(page, folder / f"peek_{scheme}.png")
    page.get_by_role("button", name="Export").click()
    page.get_by_role("textbox", name="Why are you exporting?").fill("Q4 access review")
    page.keyboard.press("Enter")
    browsing.ready(page)
    page.wait_for_load_state("networkidle")
    shot(page, folder / f"export_{scheme}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a dashboard that runs (default: one is started, with a history)")
    parser.add_argument("--data", type=Path, help="the data folder of that dashboard")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--only", nargs="*")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if given.url:
            url, pages = given.url, pages_of(Reader(stack.enter_context(open_for_reading(given.data, None))))
        else:
            url, pages = stack.enter_context(a_dashboard())
        browser = stack.enter_context(browsing.chromium())
        for scheme in ("light", "dark"):
            for suffix, size in SIZES.items():
                context = browser.new_context(viewport=size, color_scheme=scheme, timezone_id="Europe/Berlin")
                page = context.new_page()
                for name, path in pages.items():
                    if given.only is None or name in given.only:
                        take(page, url, name, path, given.out / f"{name}_{scheme}{suffix}.png")
                if not suffix and given.only is None:
                    take_panels(page, url, given.out, scheme)
                context.close()


if __name__ == "__main__":
    main()
