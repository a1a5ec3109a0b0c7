"""What every list of events is exported with: the panel that says what will be in the file, and asks why."""

from __future__ import annotations

from typing import Final

import links
import streamlit as st
import viewer
from formats import count, duration, esc
from roles import Action

from otel_audit.model import Filter

_BUNDLE: Final = "Evidence bundle"
_BUNDLE_ROWS_A_SECOND: Final = 3_000  # bench/bundle.py, on two cores, rounded down
_BUNDLE_SOON: Final = 10_000  # rows that nobody waits for long


def export_events(where: Filter, events: int, words: str, period: str, columns: tuple[str, ...] = ()) -> None:
    """A button that opens the panel, for whoever may export.

    ``words`` is what narrows the view, ``columns`` the chosen ones of a table, where one can choose.
    """
    if viewer.may(Action.EXPORT_EVENTS):
        with st.popover("Export", icon=":material/download:", type="primary", key="export"):
            _panel(where, events, words, period, columns)


def _panel(where: Filter, events: int, words: str, period: str, columns: tuple[str, ...]) -> None:
    st.html(
        f'<h2 class="h">Export exactly this view</h2><p class="sub" style="max-width:34rem">'
        f"{count(events, 'event')}{esc(words)}<br>{esc(period)}</p>"
    )
    why = st.text_input(
        "Why are you exporting?",
        key="why",
        placeholder="Q4 access review, ticket 4821",
        help="Recorded in the ledger with the export, by whom and when.",
    )
    formats = {label: (name, use) for name, (label, use) in links.FORMATS.items()}
    kinds = [*formats, *([_BUNDLE] if viewer.may(Action.BUNDLE) else [])]
    kind = st.segmented_control("Format", kinds, default=kinds[0], required=True, key="format") or kinds[0]
    reason = (why or "").strip()
    if kind == _BUNDLE:
        url = links.bundle_url(where, why=reason)
        wait = f", which takes about {duration(events / _BUNDLE_ROWS_A_SECOND)}" if events > _BUNDLE_SOON else ""
        use = (
            "for whoever has neither the ledger nor this software: rows, texts, their proofs, and a program that "
            f"checks them. It is made whole before it is sent{wait}"
        )
    else:
        name, use = formats[kind]
        if columns and not st.toggle("Only the columns of the table", value=True, key="only_columns"):
            columns = ()
        is_packed = st.toggle(
            "In a zip, with a manifest",
            key="packed",
            help="The manifest says the filter, the columns, how many entries were really written, who made it, when "
            "and why, and the file's SHA-256.",
        )
        url = links.export_url(name, where, rows=events, why=reason, columns=columns, is_packed=is_packed)
    st.link_button(
        f"Download {kind} ({count(events, 'row')})",
        url,
        disabled=not (reason and events),
        type="primary",
        width="stretch",
        key="download",
    )
    st.caption(f"{kind} {use}. Times in the file are UTC. Type the reason and press Enter.")
