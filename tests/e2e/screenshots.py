"""Make docs/screenshots from a running dashboard: python tests/e2e/screenshots.py URL TASK [FOLDER]."""

import sys
from pathlib import Path

import browsing

HERE = Path(__file__).resolve().parent


def main(url, task, folder):
    folder.mkdir(parents=True, exist_ok=True)
    with browsing.chromium() as browser:
        for scheme in ("light", "dark"):
            for width in (1440, 390):
                context = browser.new_context(
                    viewport={"width": width, "height": 900 if width > 400 else 844},
                    color_scheme=scheme,
                    timezone_id="Europe/Berlin",
                )
                page = context.new_page()
                pages = (("search", "/"), ("task", f"/task?id={task}"), ("integrity", "/integrity"))
                for name, path in (*pages, ("reviewers", "/reviewers"), ("usage", "/usage")):
                    page.goto(url + path)
                    browsing.ready(page)
                    if name in {"search", "reviewers", "usage"}:
                        page.locator(browsing.CHART).first.wait_for()
                    if name == "integrity":
                        page.get_by_role("button", name="Verify now").click()
                        page.get_by_text("Nothing was altered").wait_for(timeout=60_000)
                        browsing.ready(page)
                    page.wait_for_load_state("networkidle")
                    page.screenshot(path=folder / f"{name}_{scheme}{'' if width > 400 else '_390'}.png")
                if width > 400:
                    page.goto(url + "/")
                    browsing.ready(page)
                    browsing.click_row(page, 1)
                    page.wait_for_load_state("networkidle")
                    page.screenshot(path=folder / f"peek_{scheme}.png")
                    page.get_by_role("button", name="Export").click()
                    page.get_by_role("textbox", name="Why are you exporting?").fill("Q4 access review")
                    page.keyboard.press("Enter")
                    browsing.ready(page)
                    page.wait_for_load_state("networkidle")
                    page.screenshot(path=folder / f"export_{scheme}.png")
                context.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]) if len(sys.argv) > 3 else HERE.parents[1] / "docs" / "screenshots")
