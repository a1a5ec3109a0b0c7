"""The dashboard: registers the pages and draws what surrounds them. Run it with ``server.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import deps
import streamlit as st
import theme
from components import frame
from components.shortcuts_view import shortcuts
from formats import esc

from otel_audit.errors import AuditError

MY_TIME: Final = "My time"


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the navigation. To add one, write its file and put it into ``PAGES``."""

    file: str
    title: str
    icon: str
    path: str
    key: str  # with "g" before it, this letter leads there; empty for a page that needs a link and is in no menu


PAGES: Final = {
    "Investigate": (
        Entry("search.py", "Search", "search", "", "s"),
        Entry("task.py", "Task record", "timeline", "task", "t"),
        Entry("trace.py", "Traces", "account_tree", "trace", "r"),
        Entry("compare.py", "Compare two events", "compare_arrows", "compare", ""),
    ),
    "People and AI": (
        Entry("reviewers.py", "Reviewer activity", "groups", "reviewers", "p"),
        Entry("usage.py", "AI usage", "auto_awesome", "usage", "u"),
    ),
    "Assurance": (
        Entry("integrity.py", "Integrity", "verified_user", "integrity", "i"),
        Entry("access.py", "Who looked", "visibility", "access", "w"),
    ),
}


def _navigation() -> st.Page:
    pages = {
        section: [
            st.Page(
                theme.HERE / "app_pages" / entry.file,
                title=entry.title,
                icon=f":material/{entry.icon}:",
                url_path=entry.path or None,
                default=not entry.path,
                visibility="visible" if entry.key else "hidden",
            )
            for entry in entries
        ]
        for section, entries in PAGES.items()
    }
    return st.navigation(pages, expanded=True)


def _sidebar() -> None:
    with st.sidebar:
        st.segmented_control(
            "Show times in",
            [MY_TIME, "UTC"],
            default=MY_TIME,
            required=True,
            key="tz",
            bind="query-params",
            width="stretch",
        )
        st.session_state["_zone"] = "UTC" if st.session_state.get("tz") == "UTC" else st.context.timezone or "UTC"
        said = (
            "What you open and export is recorded."
            if deps.recording()
            else ("What you open is not recorded: no receiver is known (--otlp-endpoint).")
        )
        st.html(f'<div class="foot"><b>{esc(deps.viewer())}</b> · signed in on this computer<br>{said}</div>')


st.set_page_config(page_title="AI audit trail", page_icon=str(theme.HERE / "static" / "icon.png"), layout="wide")
theme.apply()
logo = "logo_dark.svg" if theme.is_dark() else "logo.svg"
st.logo(str(theme.HERE / "static" / logo), size="large", icon_image=str(theme.HERE / "static" / "icon.png"))
page = _navigation()
_sidebar()
shortcuts((entry.key, entry.title, f"/{entry.path}") for entries in PAGES.values() for entry in entries if entry.key)
try:
    page.run()
except AuditError as exc:
    deps.reset()
    frame.unreachable(str(exc))
st.html('<span id="page-ready"></span>')
