"""The dashboard: registers the pages and draws what surrounds them. Run it with ``server.py``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlencode

import deps
import streamlit as st
import theme
import viewer
from components import frame
from components.shortcuts_view import shortcuts
from formats import esc, moment
from roles import ROLE_WORDS, Action, Person
from sessions import NotSignedIn
from sign_in import where_to

from otel_audit.errors import AuditError, ConfigError, MalformedInput
from otel_audit.model import Filter
from otel_audit.reports.access_tokens import scope_values

MY_TIME: Final = "My time"


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the navigation. To add one, write its file, put it into ``PAGES``, and a line into ``roles``."""

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
        Entry("reports.py", "Reports", "description", "reports", "e"),
        Entry("log_review.py", "Log review", "fact_check", "log-review", "l"),
        Entry("access.py", "Who looked", "visibility", "access", "w"),
    ),
}


def _navigation(person: Person) -> st.Page:
    """The pages that this person may open; the address of another one answers with why not."""
    pages = {section: [_page(entry, person) for entry in entries] for section, entries in PAGES.items()}
    return st.navigation(pages, expanded=True)


def _page(entry: Entry, person: Person) -> st.Page:
    allowed = person.may_open(entry.path)
    return st.Page(
        theme.HERE / "app_pages" / entry.file if allowed else partial(_not_yours, entry, person),
        title=entry.title,
        icon=f":material/{entry.icon}:",
        url_path=entry.path or None,
        default=not entry.path,
        visibility="visible" if allowed and entry.key else "hidden",
    )


def _not_yours(entry: Entry, person: Person) -> None:
    viewer.record("OPEN", entry.path, "page", outcome="failure")
    frame.title(f"{entry.title} is not open to you")
    st.html(
        f'<p class="lead">{esc(person.why_not(entry.path))}</p><p class="sub">Ask whoever runs this dashboard for '
        "another access token. That you tried is recorded.</p>"
    )


def _sidebar(person: Person) -> None:
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
            if viewer.recording()
            else ("What you open is not recorded: no receiver is known (--otlp-endpoint).")
        )
        who = ROLE_WORDS[person.role] if person.role else "signed in on this computer"
        zone: str = st.session_state["_zone"]
        part = "" if person.sees_whole else f"<br>You see a part of the record: {esc(_part(person.scope, zone))}."
        texts = "" if person.may(Action.READ_TEXTS) else "<br>Texts are not shown to your role."
        st.html(f'<div class="foot"><b>{esc(person.name)}</b> · {esc(who)}{part}{texts}<br>{said}</div>')
        if viewer.has_sign_in():
            st.button("Sign out", icon=":material/logout:", on_click=viewer.sign_out, key="sign_out")


def _draw() -> None:
    try:
        person = viewer.person()
    except ConfigError as exc:  # the tokens can not be read: nobody is let in, and the middleware says why
        raise NotSignedIn(str(exc)) from exc
    if st.session_state.setdefault("_sign_in", person.sign_in) != person.sign_in:
        # The connection was taken up again by somebody else: what the one before looked at is not theirs.
        st.session_state.clear()
        st.session_state["_sign_in"] = person.sign_in
    logo = "logo_dark.svg" if theme.is_dark() else "logo.svg"
    st.logo(str(theme.HERE / "static" / logo), size="large", icon_image=str(theme.HERE / "static" / "icon.png"))
    page = _navigation(person)
    _sidebar(person)
    shortcuts(
        (entry.key, entry.title, f"/{entry.path}")
        for entries in PAGES.values()
        for entry in entries
        if entry.key and person.may_open(entry.path)
    )
    # A page can tell whether it was on the screen all the time, or is opened again.
    st.session_state["_before"], st.session_state["_shown"] = st.session_state.get("_shown"), page.url_path
    try:
        with frame.reading():
            page.run()
    except NotSignedIn:
        raise
    except (ConfigError, MalformedInput) as exc:
        frame.refused(str(exc))
    except AuditError as exc:
        deps.reset()
        frame.unreachable(str(exc))


def _signed_out() -> None:
    """What is left when nobody is signed in (any more): the way in, and back to this very view."""
    st.session_state.clear()
    entries = [entry for section in PAGES.values() for entry in section]
    # Every address stays known, or Streamlit would call the page unknown before it can say what is the matter.
    page = st.navigation(
        [
            st.Page(lambda: None, title=entry.title, url_path=entry.path or None, default=not entry.path)
            for entry in entries
        ],
        position="hidden",
    )
    asked = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    here = f"/{page.url_path}" + (f"?{urlencode(asked)}" if asked else "")
    frame.title("You are signed out")
    st.html(
        '<p class="lead">You signed out, you were away for an hour, or your access token has ended.</p>'
        f'<p><a href="{esc(where_to(here))}" target="_self">Sign in</a> to go on where you were.</p>'
    )


def _part(scope: Filter, zone: str) -> str:
    """A scope in words."""
    words = []
    for name, value in scope_values(scope).items():
        said = moment(value, zone) if name in {"since", "until"} else value
        words.append(f"{name.replace('_', ' ')} {', '.join(said) if isinstance(said, list) else said}")
    return "; ".join(words)


st.set_page_config(page_title="AI audit trail", page_icon=str(theme.HERE / "static" / "icon.png"), layout="wide")
theme.apply()
try:
    _draw()
except NotSignedIn:
    _signed_out()
st.html('<span id="page-ready"></span>')
