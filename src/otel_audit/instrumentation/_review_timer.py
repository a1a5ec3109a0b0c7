"""The script that measures, in a reviewer's browser, how long a page was visible and in use."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def review_timer_js() -> str:
    """The script's source, to be served as ``text/javascript``; docs/how-to/browser-timing.md has the page around it.

    It fills a review form's ``active_seconds`` and ``idle_seconds``, which ``finish_review`` takes as they are.
    """
    return (files(__package__) / "browser" / "review_timer.js").read_text(encoding="utf-8")
