"""The script that measures a reviewer's time, in chromium, against a real HTTP server that records the decision.

The browser's clock is Playwright's and stands still unless a test moves it, together with the server's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

import otel_audit as audit
from otel_audit import semconv
from tests.e2e import browsing
from tests.unit.recording import Recording, typed

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not browsing.is_there(), reason=browsing.MISSING),
]

ACTIVE, IDLE = semconv.AUDIT_REVIEW_ACTIVE_SECONDS, semconv.AUDIT_REVIEW_IDLE_SECONDS
PAGE = """<!doctype html><title>Review</title><script src="/review_timer.js" defer></script>
<form method="post" action="/decide" data-audit-review data-idle-after="60" data-abandon-url="/abandon">
<input type="hidden" name="ticket" value='{ticket}'>
<textarea name="rationale"></textarea><button name="decision" value="approved">Approve</button>
</form><pre>{draft}</pre>"""
FETCH_PAGE = """<!doctype html><title>Review</title><script src="/review_timer.js"></script>
<button>Approve</button><script>
const ticket = {ticket_json};
const timer = otelAuditReview.start({{ticket: ticket, idleAfter: 60, abandonUrl: "/abandon"}});
document.querySelector("button").onclick = () => fetch("/decide", {{method: "POST", body: new URLSearchParams(
  {{...timer.decided(), ticket: ticket, decision: "approved"}})}}).then(() => document.title = "Done");
</script>"""


class Desk:
    """A review desk: it opens a ticket for each page, and records what is posted."""

    def __init__(self) -> None:
        self.recording = Recording()
        self.posted = threading.Condition()  # notified after each post is recorded
        self.csp = "default-src 'self'"
        self.ticket = ""
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/review_timer.js":
                    self.answer(audit.review_timer_js(), "text/javascript")
                elif self.path in ("/review", "/fetch"):
                    if not desk.ticket:
                        desk.ticket = str(desk.recording.audit.start_review("loan-1", reviewer="u_1"))
                    page = PAGE if self.path == "/review" else FETCH_PAGE
                    self.answer(
                        page.format(ticket=desk.ticket, ticket_json=repr(desk.ticket), draft="a long draft\n" * 400),
                        "text/html",
                    )
                else:
                    self.answer("<title>Elsewhere</title>", "text/html")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                times = {name: form.get(name) for name in ("active_seconds", "idle_seconds")}
                with desk.posted:
                    if self.path == "/decide":
                        desk.recording.audit.finish_review(form["ticket"], decision=form["decision"], **times)
                    else:
                        desk.recording.audit.abandon_review(form["ticket"], reason=form["reason"], **times)
                    desk.posted.notify_all()
                self.answer("<title>Done</title>", "text/html")

            def answer(self, text: str, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                if self.path == "/review":
                    self.send_header("Content-Security-Policy", desk.csp)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: Any) -> None:
                """Nothing: the test's output is its own."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def recorded(self, count: int = 1) -> list[dict[str, Any]]:
        """The attributes of the reviews, when ``count`` have been recorded."""
        with self.posted:
            assert self.posted.wait_for(lambda: len(self.recording.spans) >= count, timeout=20)
        return [typed(span) for span in self.recording.spans]


@pytest.fixture
def desk() -> Iterator[Desk]:
    opened = Desk()
    yield opened
    opened.server.shutdown()
    opened.server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context()
    opened.clock.install(time=1_800_000_000)
    opened.clock.pause_at(1_800_000_001)
    yield opened
    opened.close()


Passing = Callable[[Page, float], None]


@pytest.fixture
def passing(desk: Desk) -> Passing:
    """Let seconds pass, for the page and for the server."""

    def pass_by(page: Page, seconds: float) -> None:
        page.clock.run_for(int(seconds * 1000))
        desk.recording.clock.advance(seconds)

    return pass_by


def opened(context: BrowserContext, desk: Desk, path: str = "/review") -> Page:
    page = context.new_page()
    page.problems = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
    page.on("console", lambda said: page.problems.append(said.text) if said.type == "error" else None)  # type: ignore[attr-defined]
    page.goto(desk.url + path)
    return page


def done(page: Page) -> None:
    page.wait_for_function("() => document.title === 'Done'", polling=50)


def shown(page: Page, *, visible: bool) -> None:
    """Hide the page as if another tab was opened, or show it again."""
    page.evaluate(
        """visible => {
            Object.defineProperty(document, "hidden", {get: () => !visible, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        visible,
    )


def test_active_seconds_arrive_with_the_decision(context: BrowserContext, desk: Desk, passing: Passing) -> None:
    """Reading, moving and typing within the idle time is active, and arrives to the second in the record."""
    page = opened(context, desk)
    passing(page, 50)
    page.mouse.move(30, 30)
    passing(page, 40)
    page.locator("textarea").press("a")
    passing(page, 10)
    page.get_by_role("button").click()
    page.wait_for_url("**/decide")
    (attributes,) = desk.recorded()
    assert (attributes[ACTIVE], attributes[IDLE]) == (100.0, 0.0)
    assert attributes[semconv.AUDIT_REVIEW_DECISION] == "approved"
    assert semconv.AUDIT_REVIEW_REMARKS not in attributes
    assert page.problems == []  # type: ignore[attr-defined]  # also none with a strict Content-Security-Policy
    opened(context, desk).close(run_before_unload=True)
    decisions = [each[semconv.AUDIT_REVIEW_DECISION] for each in desk.recorded(2)]
    assert decisions == ["approved", "abandoned"]  # the second page was left, the first was decided


def test_silence_is_idle(context: BrowserContext, desk: Desk, passing: Passing) -> None:
    """A silence longer than the idle time counts as idle from the last sign of life; scrolling is a sign."""
    page = opened(context, desk)
    passing(page, 20)
    page.mouse.move(20, 20)
    passing(page, 61)
    page.mouse.wheel(0, 300)
    page.wait_for_function("() => window.scrollY > 0", polling=50)
    passing(page, 9)
    page.get_by_role("button").click()
    page.wait_for_url("**/decide")
    (attributes,) = desk.recorded()
    assert (attributes[ACTIVE], attributes[IDLE]) == (29.0, 61.0)


def test_a_hidden_page_is_idle(context: BrowserContext, desk: Desk, passing: Passing) -> None:
    """Time in another tab does not count, whatever moves there."""
    page = opened(context, desk)
    passing(page, 10)
    shown(page, visible=False)
    for _ in range(3):
        passing(page, 10)
        page.evaluate("window.dispatchEvent(new Event('scroll'))")
    shown(page, visible=True)
    passing(page, 5)
    page.get_by_role("button").click()
    page.wait_for_url("**/decide")
    (attributes,) = desk.recorded()
    assert (attributes[ACTIVE], attributes[IDLE]) == (15.0, 30.0)


def test_of_two_tabs_only_the_one_in_use_counts(context: BrowserContext, desk: Desk, passing: Passing) -> None:
    """The same ticket in two windows side by side is counted in one of them at a time."""
    # Ours hears after the script's, which was made before, and hears the script of its own page too.
    listen = """ticket => { window.heard = 0;
        new BroadcastChannel("otel-audit-review " + ticket).onmessage = () => { window.heard += 1; }; }"""
    first = opened(context, desk)
    first.evaluate(listen, desk.ticket)
    passing(first, 10)
    second = opened(context, desk)
    second.evaluate(listen, desk.ticket)
    first.wait_for_function("() => window.heard === 1", polling=50)
    first.mouse.move(10, 10)
    second.wait_for_function("() => window.heard === 1", polling=50)
    passing(first, 5)  # the clock is one for all pages
    second.mouse.move(20, 20)
    first.wait_for_function("() => window.heard === 3", polling=50)
    passing(second, 30)
    seconds = "document.querySelector('form').otelAuditReview.seconds().active_seconds"
    assert (first.evaluate(seconds), second.evaluate(seconds)) == (15.0, 30.0)
    second.get_by_role("button").click()
    second.wait_for_url("**/decide")
    (attributes,) = desk.recorded()
    assert attributes[ACTIVE] == 30.0


def test_asking_for_the_seconds_is_no_sign_of_life(context: BrowserContext, desk: Desk, passing: Passing) -> None:
    """A page that shows its timer every second is idle all the same."""
    page = opened(context, desk)
    for _ in range(7):
        passing(page, 10)
        page.evaluate("document.querySelector('form').otelAuditReview.seconds()")
    page.get_by_role("button").click()
    page.wait_for_url("**/decide")
    (attributes,) = desk.recorded()
    assert (attributes[ACTIVE], attributes[IDLE]) == (0.0, 70.0)


def test_a_page_that_is_left_is_abandoned(context: BrowserContext, desk: Desk, passing: Passing) -> None:
    """Leaving without a decision records that the page was closed, with the time until then; a decision does not."""
    page = opened(context, desk)
    passing(page, 12)
    page.close(run_before_unload=True)
    (attributes,) = desk.recorded()
    assert attributes[semconv.AUDIT_REVIEW_DECISION] == "abandoned"
    assert attributes[semconv.AUDIT_REVIEW_ABANDON_REASON] == "closed"
    assert (attributes[ACTIVE], attributes[IDLE]) == (12.0, 0.0)


def test_a_page_without_a_form_asks_for_the_seconds(context: BrowserContext, desk: Desk, passing: Passing) -> None:
    """The script's own interface gives the seconds, and no page is abandoned that was decided."""
    page = opened(context, desk, "/fetch")
    passing(page, 33.5)
    page.get_by_role("button").click()
    done(page)
    page.goto(desk.url + "/elsewhere")
    page.close(run_before_unload=True)
    other = opened(context, desk)
    other.close(run_before_unload=True)
    decided, left = desk.recorded(2)
    assert (decided[ACTIVE], decided[IDLE]) == (33.5, 0.0)
    assert decided[semconv.AUDIT_REVIEW_DECISION] == "approved"
    assert left[semconv.AUDIT_REVIEW_DECISION] == "abandoned"  # by the second page, and nothing by the first


def test_a_page_that_comes_back_goes_on(context: BrowserContext, desk: Desk, passing: Passing) -> None:
    """A page from the back-forward cache is not abandoned, and the time away from it is idle."""
    page = opened(context, desk)
    passing(page, 10)
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    passing(page, 40)
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    passing(page, 7)
    page.get_by_role("button").click()
    page.wait_for_url("**/decide")
    (attributes,) = desk.recorded()
    assert (attributes[ACTIVE], attributes[IDLE]) == (17.0, 40.0)
    assert attributes[semconv.AUDIT_REVIEW_DECISION] == "approved"


def test_the_script_is_small_and_stands_alone() -> None:
    """The script has less than 150 lines and asks for nothing from anywhere."""
    script = audit.review_timer_js()
    assert len(script.splitlines()) < 150
    assert "import" not in script
    assert "http" not in script
