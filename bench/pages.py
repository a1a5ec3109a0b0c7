"""What each page of the dashboard costs: its queries, what they read, and the time until it is there.

    python bench/pages.py [--data FOLDER | --events 100000] [--runs 5] [--browser] [--figures]

Runs the real pages over a data folder (bench/load_million.py makes one; without --data a small one is made and
removed), over its whole history, with Streamlit's caches emptied before each run. Prints medians of all runs after a
first one that warms the engine; CPU is of page and engine together, on all cores. Rows and bytes are what the engine
says it read for the same statement in format JSON. ``--browser`` adds the time in chromium from the request until the
page says that it is ready, on a dashboard of its own with its caches as they are, also with eight viewers at once, who
have never been there; ``--figures`` adds the export of every figure of the two pages that have one. Ends with 1 when
the median of a page is above the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import logging
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dashboard"), str(ROOT / "tests" / "e2e")]

import deps  # noqa: E402
import gather  # noqa: E402
import streamlit as st  # noqa: E402
import viewer  # noqa: E402
from load_million import load  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402

from otel_audit.model import Filter  # noqa: E402
from otel_audit.store.database import Database, open_for_reading  # noqa: E402
from otel_audit.store.reader import Reader  # noqa: E402

APP = str(ROOT / "dashboard" / "app.py")
LIMIT_SECONDS = 1.5
VIEWERS = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as it was asked, and how long it took."""

    text: str
    parameters: Mapping[str, Any] | None
    seconds: float


class Timed:
    """A database that keeps what it is asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked: list[Statement] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """Lend a client whose queries are timed."""
        with self._database.client() as client:
            yield _TimedClient(client, self.asked)

    def read(self, statement: Statement) -> tuple[int, int]:
        """(rows, bytes) that the engine reads for it."""
        with self._database.client() as client:
            answer = client.raw_query(statement.text, parameters=statement.parameters, fmt="JSON")
        said = json.loads(answer)["statistics"]
        return said["rows_read"], said["bytes_read"]


class _TimedClient:
    def __init__(self, client: Any, asked: list[Statement]) -> None:
        self._client = client
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, text: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> Any:
        started = time.perf_counter()
        result = self._client.query(text, parameters=parameters, **more)
        self._asked.append(Statement(text, parameters, time.perf_counter() - started))
        return result


@contextlib.contextmanager
def stopwatch(into: list[tuple[float, float]]) -> Iterator[None]:
    """Add the seconds of the block, and the CPU seconds of the process meanwhile."""
    before, cpu = time.perf_counter(), time.process_time()
    yield
    into.append((time.perf_counter() - before, time.process_time() - cpu))


def shown(timed: Timed, page: str, query: Mapping[str, str], into: list[tuple[float, float]]) -> None:
    """Run a page to its end."""
    app = AppTest.from_file(APP, default_timeout=300)
    app.session_state["period"] = "All"
    if page != "search":
        app.run()  # a page is entered from the first one
        app.switch_page(f"app_pages/{page}.py")
    app.query_params.update(query)
    st.cache_data.clear()
    timed.asked.clear()
    with stopwatch(into):
        app.run()
    if app.exception:
        raise SystemExit(f"{page}: {app.exception[0].message}")


def measure(
    timed: Timed, run: Callable[[list[tuple[float, float]]], None], runs: int, name: str, *, detail: bool
) -> float:
    """Print what ``run`` costs; the median of its seconds."""
    run([])
    taken: list[tuple[float, float]] = []
    sql, asked = [], []
    for _ in range(runs):
        timed.asked.clear()
        run(taken)
        sql.append(sum(each.seconds for each in timed.asked))
        asked = list(timed.asked)
    seconds, cpu = (statistics.median(each) for each in zip(*taken, strict=True))
    read = [timed.read(each) for each in asked]
    rows, size = sum(each[0] for each in read), sum(each[1] for each in read)
    print(
        f"  {name:<22} {len(asked):>3} queries {statistics.median(sql) * 1e3:>7,.0f} ms SQL "
        f"{seconds:>6.2f} s page {cpu:>6.2f} s CPU {rows:>13,} rows {size / 1e6:>8,.1f} MB",
        flush=True,
    )
    if detail:
        for each, (number, many) in sorted(zip(asked, read, strict=True), key=lambda pair: -pair[0].seconds):
            words = " ".join(each.text.split())[:100]
            print(f"      {each.seconds * 1e3:7.0f} ms {number:>12,} rows {many / 1e6:8.1f} MB  {words}")
    return seconds


def pages(reader: Reader) -> dict[str, dict[str, str]]:
    """Each page with its query; the task is the one of the last review."""
    task = reader.page(Filter(event_type=("review",)), per_page=1)[0]["task_id"]
    others = ("reviewers", "usage", "integrity", "reports", "log_review", "access")
    return {"search": {}, "task": {"id": task}, **{name: {} for name in others}}


def in_browser(data: Path, which: Mapping[str, Mapping[str, str]], runs: int) -> dict[str, float]:
    """Median seconds from the request to the page's own sign that it is drawn.

    Of the second and later times that somebody opens it: their browser then has Streamlit's scripts.
    """
    import browsing  # noqa: PLC0415 - playwright is needed by this option alone

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "otel_audit", "dashboard", "--data", str(data), "--dashboard-port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    medians = {}
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/_stcore/health")
        with browsing.chromium() as browser:
            urls = {name: f"{url}{_address(name, query)}" for name, query in which.items()}
            for name, address in urls.items():
                taken = []
                viewer = browser.new_context(viewport={"width": 1440, "height": 900})
                for _ in range(runs + 1):
                    page = viewer.new_page()
                    before = time.perf_counter()
                    page.goto(address)
                    browsing.ready(page)
                    taken.append(time.perf_counter() - before)
                    page.close()
                viewer.close()
                medians[name] = statistics.median(taken[1:])
                print(f"  {name:<22} {medians[name]:.2f} s until ready, first {taken[0]:.2f} s")
            opened = [browser.new_page() for _ in range(VIEWERS)]
            before = time.perf_counter()
            for page, address in zip(opened, itertools.cycle(urls.values()), strict=False):
                page.goto(address, wait_until="commit")
            for page in opened:
                browsing.ready(page)
            print(f"  {VIEWERS} viewers at once      {time.perf_counter() - before:.2f} s until all are ready")
    finally:
        process.terminate()
        process.wait(30)
    return medians


def _missing() -> str:
    """What there has to be for ``--browser`` and is not; empty when all is there."""
    try:
        import browsing  # noqa: PLC0415 - playwright is needed by this option alone
    except ModuleNotFoundError as exc:
        return f"{exc.name} is not installed"
    return "" if browsing.is_there() else browsing.MISSING


def _address(name: str, query: Mapping[str, str]) -> str:
    path = "/" if name == "search" else f"/{name.replace('_', '-')}"
    return f"{path}?{urllib.parse.urlencode({'period': 'All', **query})}"


def _wait_for(url: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a data folder that no process has open")
    parser.add_argument("--events", type=int, default=100_000, help="how many to make when there is no --data")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", help="one page")
    parser.add_argument("--detail", action="store_true", help="each query of a page, slowest first")
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--figures", action="store_true", help="also the export of every figure")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the dashboard is ended, too
    for name in [each for each in logging.root.manager.loggerDict if each.startswith("streamlit")]:
        logging.getLogger(name).setLevel(logging.ERROR)  # it says that there is no browser
    with tempfile.TemporaryDirectory() as scratch:
        data = options.data or Path(scratch) / "data"
        if options.data is None:
            load(data, options.events)
        with open_for_reading(data, None) as database:
            timed = Timed(database)
            deps.database = lambda: timed  # type: ignore[assignment, return-value]
            viewer.record = lambda *_, **__: None
            reader = Reader(database)
            total = reader.count(Filter())
            which = {name: query for name, query in pages(reader).items() if options.only in (None, name)}
            print(f"pages over {total.events:,} events of {total.tasks:,} tasks (limit {LIMIT_SECONDS} s)")
            slow = set()
            for name, query in which.items():
                run = functools.partial(shown, timed, name, query)
                if measure(timed, run, options.runs, name, detail=options.detail) > LIMIT_SECONDS:
                    slow.add(name)
            where = Filter(sizes=reader.sizes())
            for name, figures in gather.FIGURES.items() if options.figures else ():

                def export(
                    into: list[tuple[float, float]], figures: Callable[[Filter, str], list[Any]] = figures
                ) -> None:
                    with stopwatch(into):
                        figures(where, "UTC")

                measure(timed, export, options.runs, f"figures of {name}", detail=options.detail)
        if options.browser and (missing := _missing()):
            print(f"not in a browser: {missing}")
        elif options.browser:
            print("in chromium")
            taken = in_browser(data, which, options.runs)
            slow |= {name for name, seconds in taken.items() if seconds > LIMIT_SECONDS}
    for name in sorted(slow):
        print(f"{name} takes more than {LIMIT_SECONDS} s", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
