"""The saved views of the search page: open one, save this one, delete one's own."""

from __future__ import annotations

from collections.abc import Sequence

import asking
import deps
import streamlit as st
import viewer
from formats import esc

from otel_audit.errors import ConfigError
from otel_audit.reports.saved_views import MAX_NAME, SavedView, ViewFile

_SAID = "_view_said"  # what the last change came to, shown once


def menu(pairs: asking.Pairs, said: str) -> None:
    """The menu; ``pairs`` is the view on screen, ``said`` the same in words, for the record."""
    kept = deps.view_file()
    if kept is None:
        return
    drawer = st.popover("Views", icon=":material/bookmark:", key="views", on_change="rerun")
    if not drawer.open:
        return
    with drawer:
        try:
            views = kept.seen_by(viewer.name())
            if not viewer.person().sees_whole:  # what others ask for may tell of what is outside of their part
                views = [each for each in views if each.owner == viewer.name()]
        except ConfigError as exc:
            st.html(f'<p class="sub">{esc(exc)}</p>')
            return
        _listed(kept, views, pairs)
        _form(kept, pairs, said)


def _listed(kept: ViewFile, views: Sequence[SavedView], pairs: asking.Pairs) -> None:
    st.html('<h2 class="h">Saved views</h2>')
    if not views:
        st.html('<p class="sub">None yet. A view is a name for what is asked for here: its filters and columns.</p>')
    for view in views:
        is_own = view.owner == viewer.name()
        whose = ("shared" if view.is_shared else "yours") if is_own else f"shared by {view.owner}"
        current = ' aria-current="true"' if sorted(view.query) == sorted(pairs) else ""
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"view_{view.id}"):
            st.html(
                f'<a href="{esc(asking.url(view.query))}" target="_self"{current}>{esc(view.name)}</a> '
                f'<span class="muted">· {esc(whose)}</span>'
            )
            if is_own:
                st.button(
                    "Delete",  # a label is Markdown: a name has no place in it
                    icon=":material/delete:",
                    key=f"delete_{view.id}",
                    type="tertiary",
                    on_click=_delete,
                    args=(kept, view),
                )


def _form(kept: ViewFile, pairs: asking.Pairs, said: str) -> None:
    with st.form("save_view", clear_on_submit=False, border=False):
        st.text_input("Save this view as", key="view_name", max_chars=MAX_NAME, placeholder="Rejected this week")
        if viewer.person().sees_whole:
            st.checkbox("Share it with everybody who may open this dashboard", key="view_shared")
        st.form_submit_button("Save", on_click=_save, args=(kept, pairs, said), icon=":material/bookmark_add:")
    if outcome := st.session_state.pop(_SAID, ""):
        st.html(f'<p class="sub" role="status">{esc(outcome)}</p>')
    st.caption("One of your views with the same name is replaced. Sharing is recorded in the ledger.")


def _save(kept: ViewFile, pairs: asking.Pairs, said: str) -> None:
    name, is_shared = st.session_state.get("view_name", ""), bool(st.session_state.get("view_shared"))
    try:
        before = [each for each in kept.seen_by(viewer.name()) if each.owner == viewer.name()]
        view = kept.save(viewer.name(), name, pairs, is_shared=is_shared, now_unix_nano=deps.now_unix_nano())
    except ConfigError as exc:
        st.session_state[_SAID] = str(exc)
        return
    if view.is_shared:
        viewer.record("SHARE", view.name, "view", filter_text=said or "everything", always=True)
    elif any(each.name == view.name and each.is_shared for each in before):
        viewer.record("UNSHARE", view.name, "view", always=True)
    st.session_state[_SAID] = f"Saved as “{view.name}”."


def _delete(kept: ViewFile, view: SavedView) -> None:
    try:
        gone = kept.delete(viewer.name(), view.id)
    except ConfigError as exc:
        st.session_state[_SAID] = str(exc)
        return
    if gone and gone.is_shared:
        viewer.record("UNSHARE", gone.name, "view", always=True)
    st.session_state[_SAID] = f"“{view.name}” is deleted."
