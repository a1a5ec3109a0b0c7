"""The search page's filters: widgets whose state is the URL, and what is set as chips that clear it one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from datetime import time as clock_time
from typing import Any, cast
from zoneinfo import ZoneInfo

import asking
import columns
import deps
import presenters
import streamlit as st
from asking import FIELDS, Asked, Field
from components import scope_bar
from components.scope_bar import Sizes
from formats import esc
from masked import prose
from presenters import ALL_TIME, CUSTOM, PERIODS
from words import MAIN_TYPES, OTHER_TYPES, TECHNICAL_TYPES, kind_of

from otel_audit.model import Filter


def first_page() -> None:
    """Go back to the first page, because the view has changed."""
    st.session_state["page"] = 1


_MOST = 8  # values of a filter with their counts
_BOUND: dict[str, Any] = {"bind": "query-params", "on_change": first_page}


def clear() -> None:
    """Take every filter back but the period."""
    for key in asking.LISTS:
        st.session_state[key] = []
    for key in ("q", "trace"):
        st.session_state[key] = ""
    for key in ("conf_from", "conf_to"):
        st.session_state[key] = None
    st.session_state["technical"] = False
    first_page()


def search_all() -> None:
    """Look at all of the record."""
    st.session_state["period"] = ALL_TIME


def ask(sizes: Sizes, zone: str, now: datetime) -> Asked:
    """Draw the filters, and return what is asked for."""
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small", key="filterbar")
    text = bar.text_input(
        "Task, person or words",
        key="q",
        type="search",
        icon=":material/search:",
        placeholder="Task number, person or any words, then Enter",
        label_visibility="collapsed",
        **_BOUND,
    )
    period = bar.segmented_control(
        "Period",
        [*PERIODS, ALL_TIME, CUSTOM],
        default=asking.DEFAULT_PERIOD,
        required=True,
        key="period",
        label_visibility="collapsed",
        **_BOUND,
    )
    drawer = bar.popover("More filters", icon=":material/tune:", width="content", key="more_filters", on_change="rerun")
    with drawer:
        more = _more(sizes, is_open=bool(drawer.open))
    with bar:
        choose_columns()
    kinds = st.pills(
        "Event type",
        [kind_of(name).label for name in MAIN_TYPES],
        selection_mode="multi",
        key="type",
        label_visibility="collapsed",
        **_BOUND,
    )
    custom = _custom_period(zone, now) if period == CUSTOM else None
    since, until = presenters.period_bounds(period or "", now, custom)
    _chips()
    others = more.pop("others")
    return Asked(text=(text or "").strip(), kinds=[*kinds, *others], since=since, until=until, **more)


def choose_columns() -> None:
    """Which columns the table has, in the URL as the filters are."""
    with st.popover("Columns", icon=":material/view_column:", width="content"):
        with st.container(horizontal=True, gap="xsmall"):
            for name, labels in columns.PRESETS.items():
                st.button(name, on_click=_show_columns, args=(labels,), key=f"columns_{name}", type="tertiary")
        st.multiselect(
            "Columns of the table, in this order",
            columns.LABELS,
            default=list(columns.USUAL),
            key="cols",
            bind="query-params",
            help="Any field that is recorded. An export can have exactly these.",
        )


def chosen_columns() -> list[str]:
    """The columns that are chosen; the usual ones when none is."""
    return list(st.session_state.get("cols") or columns.USUAL)


def _show_columns(labels: Sequence[str]) -> None:
    st.session_state["cols"] = list(labels)


def known(asked: Asked, sizes: Sizes) -> Mapping[str, Sequence[str]]:
    """The stored values of the filters that are set and whose values are shown in other words."""
    return {
        each.key: scope_bar.values(each.column, sizes)
        for each in FIELDS
        if asked.picked.get(each.key) and each.word is not str
    }


def _more(sizes: Sizes, *, is_open: bool) -> dict[str, Any]:
    """The filters that are needed less often. What they offer is asked for when somebody can see it."""
    left, right = st.columns(2)
    picked: dict[str, Sequence[str]] = {}
    for place, each in enumerate(FIELDS):
        with (left, right)[place % 2]:
            picked[each.key] = st.multiselect(
                each.label, _choices(each, sizes if is_open else None), key=each.key, **_BOUND
            )
    lowest = left.number_input("Confidence from, %", 0, 100, None, 1, key="conf_from", **_BOUND)
    highest = right.number_input("Confidence to, %", 0, 100, None, 1, key="conf_to", **_BOUND)
    trace = st.text_input("Trace id", key="trace", placeholder="32 hex digits", **_BOUND)
    labels = [kind_of(name).label for name in (*OTHER_TYPES, *TECHNICAL_TYPES)]
    others = st.multiselect("Other kinds of event", labels, key="other", **_BOUND)
    technical = st.toggle(
        "Also technical spans and logs",
        key="technical",
        help="Spans and log records that are not AI calls, reviews or decisions. They are always in the ledger.",
        **_BOUND,
    )
    return {
        "picked": picked,
        "confidence": (lowest, highest),
        "trace_id": trace or "",
        "others": others,
        "technical": technical,
    }


def _choices(what: Field, sizes: Sizes | None) -> list[str]:
    """What a filter offers, in words: what is in the store (None: not looked up), and what is asked for anyway."""
    stored = [] if sizes is None else [what.word(raw) for raw in scope_bar.values(what.column, sizes)]
    chosen = st.session_state.get(what.key) or []
    return list(dict.fromkeys([*stored, *chosen, *st.query_params.get_all(what.key)]))


def _custom_period(zone: str, now: datetime) -> tuple[datetime, datetime]:
    columns = st.columns([2, 2, 6])
    begin = columns[0].date_input("From", now.date() - timedelta(days=14), key="from", **_BOUND)
    last = columns[1].date_input("To (included)", now.date(), key="to", **_BOUND)
    midnight = clock_time(tzinfo=ZoneInfo(zone))
    return datetime.combine(begin, midnight), datetime.combine(last + timedelta(days=1), midnight)


def view() -> asking.Pairs:
    """What is set, as query parameters. The filters must have been drawn."""
    return [*kept(), *(("compare", each) for each in st.query_params.get_all("compare")[:1])]


def kept() -> asking.Pairs:
    """The same, as a saved view keeps it: without what is only of this moment."""
    return asking.query({key: st.session_state.get(key) for key in asking.KEYS})


def narrowed(key: str, value: str) -> str:
    """The link to this view with a value of a filter added; empty where it is set already."""
    return "" if (key, value) in view() else asking.toggled(view(), key, value)


def facets(where: Filter) -> None:
    """The values of each filter with how many events of this view have them, each a link that adds or removes it.

    Counted when opened. A filter that is set is left out of its own count, so that its other values can be added.
    """
    drawer = st.popover("Narrow down", icon=":material/filter_list:", key="facets", on_change="rerun")
    if not drawer.open:
        return
    reader, pairs = deps.reader(), view()
    parts = []
    for each in FIELDS:
        others = replace(where, **cast("dict[str, Any]", {each.name: ()}))
        counted = reader.facet(others, each.column, _MOST + 1)
        lines = "".join(
            f'<li><a href="{esc(asking.toggled(pairs, each.key, word))}" target="_self"'
            f"{' aria-current=true' if (each.key, word) in pairs else ''}>"
            f"{prose(word)}</a> <span>{events:,}</span></li>"
            for word, events in asking.facet(each, counted[:_MOST])
        )
        more = (
            f"<li><span>the {_MOST} most frequent; all under More filters</span></li>" if len(counted) > _MOST else ""
        )
        if lines:
            parts.append(f'<section><h3 class="h">{esc(each.label)}</h3><ul class="plain">{lines}{more}</ul></section>')
    found = "".join(parts) or '<p class="sub">No event of this view has a value to filter by.</p>'
    drawer.html(f'<div class="facets">{found}</div>')


def _chips() -> None:
    """What is set, each as a link to the view without it."""
    chips = "".join(
        f'<a class="chosen" href="{esc(url)}" target="_self" title="Clear this filter">{esc(label)}'
        f'{f": <b>{esc(value)}</b>" if value else ""} <span class="ic" aria-hidden="true">close</span></a>'
        for label, value, url in asking.chips(view())
    )
    if chips:
        st.html(f'<nav class="chosens" aria-label="Filters that are set; each link clears one">{chips}</nav>')
