"""The script that measures, in a reviewer's browser, how long a page was visible and in use."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from otel_audit.instrumentation._faults import guard


def review_timer_js() -> str:
    """The script's source, to be served as ``text/javascript``; docs/how-to/browser-timing.md has the page around it.

    It fills a review form's ``active_seconds`` and ``idle_seconds``, which ``finish_review`` takes as they are. Empty
    (and counted) when the installed package lacks it.
    """
    with guard("review_timer_js"):
        return _source()
    return ""


@cache
def _source() -> str:
    return (files(__package__) / "browser" / "review_timer.js").read_text(encoding="utf-8")
