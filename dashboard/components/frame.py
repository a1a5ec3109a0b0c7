"""Parts that every page uses: titles, banners, and what is shown when there is nothing to show."""

from __future__ import annotations

from contextlib import AbstractContextManager

import deps
import streamlit as st
import viewer
from formats import esc
from trust import Banner

_ICONS = {"good": "verified_user", "careful": "shield", "bad": "gpp_bad"}


def title(text: str, beside: str = "", sub: str = "") -> None:
    """The heading of a page."""
    extra = f" <span>{esc(beside)}</span>" if beside else ""
    below = f'<p class="sub" style="margin:2px 0 0">{esc(sub)}</p>' if sub else ""
    st.html(f'<h1 class="title">{esc(text)}{extra}</h1>{below}')


def section(text: str, sub: str = "", body: str = "") -> None:
    """A part of a page: its heading, what it shows in a line, and ``body``, which is HTML."""
    below = f'<p class="sub">{esc(sub)}</p>' if sub else '<div style="height:4px"></div>'
    st.html(f'<h2 class="h later">{esc(text)}</h2>{below}{body}')


def banner(what: Banner, *, large: bool = False) -> None:
    """A traffic light in one sentence: colour, icon and words."""
    st.html(
        f'<div class="banner {what.tone}{" large" if large else ""}" role="status">'
        f'<span class="ic" aria-hidden="true">{_ICONS[what.tone]}</span>'
        f"<div><b>{esc(what.strong)}</b> {esc(what.text)}</div></div>"
    )


def code(text: str) -> None:
    """Text to copy, such as a command or a link, with a button that does it (``components/shortcuts``)."""
    # Not st.code: its highlighter is 1.5 MB of script, which a page would wait for.
    st.html(f'<div class="copy"><pre tabindex="0">{esc(text)}</pre><button type="button">Copy</button></div>')


def nothing_hidden() -> str:
    """What can be said about what is not shown: ends the text of an empty result."""
    if viewer.person().sees_whole:
        return "Nothing is hidden from you: were an event missing from the ledger, Integrity would say so."
    return "You see a part of the record: what is outside of it is not shown here."


def or_outside() -> str:
    """What else it can mean that something was not found, for whoever sees a part of the record; as a sentence."""
    return "" if viewer.person().sees_whole else " Or it is outside of the part of the record that you see."


def reading() -> AbstractContextManager[None]:
    """While this lasts, a note over the page says that it is being drawn; a page that is quick shows none."""
    return st.spinner("Reading the record …")


def refused(reason: str) -> None:
    """The state of a page that was asked for what can not be."""
    title("This can not be shown")
    st.html(f'<p class="lead">{esc(reason)}</p><p class="sub"><a href="/" target="_self">Search the record</a></p>')


def unreachable(reason: str) -> None:
    """The state of a page when the store does not answer."""
    title("The store is not reachable")
    st.html(
        '<p class="lead">Your data is safe: nothing was changed, and what the receiver has acknowledged is on disk. '
        f"{esc(deps.what_to_do())} This page works again as soon as it answers.</p>"
    )
    st.button("Try again", icon=":material/refresh:", type="primary", key="try_again")
    with st.expander("What the store said"):
        code(reason)
