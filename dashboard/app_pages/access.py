"""Who looked answers: who opened or exported what, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import accesses
import deps
import links
import pandas as pd
import presenters
import streamlit as st
import viewer
from components import chart, export_panel, first_run, frame
from formats import NANO, count, esc, moment
from presenters import ALL_TIME, PERIODS
from words import Row

from otel_audit.model import EventType, Filter, Sight

zone: str = st.session_state["_zone"]
now = datetime.now(ZoneInfo(zone))
_TABLE_HEIGHT = 470


def _first_page() -> None:
    st.session_state["page"] = 1


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def _people(sight: Sight, sizes: tuple[tuple[str, int], ...]) -> list[str]:  # noqa: ARG001 - what may be seen is part of the key
    found = deps.reader().facet(Filter(event_type=(EventType.ACCESS,), sizes=sizes), "actor_id", 500)
    return sorted(value for value, _ in found if value)


def _ask(sizes: tuple[tuple[str, int], ...]) -> Filter:
    """The filter bar, as a filter."""
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small", key="filterbar")
    task = bar.text_input(
        "Task",
        key="task",
        bind="query-params",
        type="search",
        icon=":material/search:",
        placeholder="Task number, then Enter",
        label_visibility="collapsed",
        on_change=_first_page,
    )
    period = bar.segmented_control(
        "Period",
        [*PERIODS, ALL_TIME],
        default="30 days",
        required=True,
        key="period",
        bind="query-params",
        label_visibility="collapsed",
        on_change=_first_page,
    )
    with bar.popover("More filters", icon=":material/tune:"):
        choices = list(dict.fromkeys([*_people(viewer.sight(), sizes), *st.query_params.get_all("who")]))
        people = st.multiselect("Person", choices, key="who", bind="query-params", on_change=_first_page)
    did = st.pills(
        "What they did",
        list(accesses.ACTIONS),
        selection_mode="multi",
        key="did",
        bind="query-params",
        label_visibility="collapsed",
        on_change=_first_page,
    )
    since, _ = presenters.period_bounds(period or "", now)
    return Filter(
        event_type=(EventType.ACCESS,),
        action=tuple(accesses.ACTIONS[label] for label in did),
        actor_id=tuple(people),
        task_id=(task or "").strip(),
        since=since,
        sizes=sizes,
    )


def _narrowed(where: Filter) -> list[str]:
    """What narrows the view besides its period, as the export says it."""
    labels = [label for label, action in accesses.ACTIONS.items() if action in where.action]
    return [
        *([f"“{where.task_id}”"] if where.task_id else []),
        *labels,
        *where.actor_id,
    ]


def _chart(where: Filter, first: int, last: int) -> None:
    begin, end = where.since if where.since is not None else first, max(last, deps.now_unix_nano())
    step = presenters.bar_step(begin, end)
    offset = round((now.utcoffset() or now - now).total_seconds())
    histogram = deps.reader().histogram(where, step_seconds=step, utc_offset_seconds=offset)
    period = ((begin // NANO + offset) * 1000, (end // NANO + offset) * 1000)
    chart.event_bars(presenters.bars(histogram, step, offset), step, period)


def _table(rows: Sequence[Row]) -> None:
    column = st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame(accesses.table(rows, zone, now.year)),
        key="rows",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=min(_TABLE_HEIGHT, 36 * (len(rows) + 1) + 3),
        row_height=36,
        alt="Accesses, newest first",
        lazy=False,
        column_config={
            "time": column("Time", width=150),
            "who": column("Who", width=140),
            "did": column("Did", width=110),
            "what": column("To what", width=420),
            "service": column("With", width=170),
        },
    )


def _details(row: Row) -> None:
    """One access in full: what was asked for, how many rows, and the reason that was given."""
    entry = deps.reader().entry(row["origin"], row["seq"])
    if entry is None:
        return
    facts = "".join(f"<div>{esc(name)}<b>{esc(value)}</b></div>" for name, value in accesses.facts(entry, zone))
    link = f'<a href="{esc(links.task_url(row["task_id"]))}" target="_self">Open the task</a>' if row["task_id"] else ""
    with st.container(border=True, key="peek"):
        st.html(f'<div class="peekhead"><h2 class="h">One access</h2>{link}</div><div class="figures">{facts}</div>')


def _page() -> None:
    reader = deps.reader()
    sizes = reader.sizes()
    head, actions = st.columns([3, 2], vertical_alignment="bottom")
    with head:
        frame.title("Who looked", sub="Who opened, searched or exported what, when, and why they said they did.")
    if not sizes:
        first_run.show()
        return
    where = _ask(sizes)
    totals = reader.count(where)
    extent = (totals.first_unix_nano, totals.last_unix_nano)
    period = presenters.period_words((where.since, where.until), extent, deps.now_unix_nano(), zone)
    people = len([value for value, _ in reader.facet(where, "actor_id", 10_000) if value])
    persons = count(people, "person", "people")
    with actions.container(horizontal=True, horizontal_alignment="right"):
        export_panel.export_events(where, totals.events, presenters.matching(_narrowed(where)), period)
    st.html(
        f'<div class="sum" id="summary"><b>{totals.events:,}</b> {"access" if totals.events == 1 else "accesses"} by '
        f'<b>{esc(persons)}</b> <span class="muted">· {esc(period)}</span></div>'
    )
    viewer.record("VIEW", "accesses", "accesses", row_count=totals.events)
    if totals.first_unix_nano is None or totals.last_unix_nano is None:
        st.html(
            '<p class="sub" style="max-width:70ch">Nobody looked, as far as this record knows. What is opened on this '
            "dashboard is recorded; what is read with the command line or by SQL is not yet.</p>"
        )
        return
    _chart(where, totals.first_unix_nano, totals.last_unix_nano)
    pages = presenters.page_count(totals.events)
    slot, foot = st.container(), st.container()
    pager, shown = foot.columns([3, 1.3], vertical_alignment="center")
    with pager:
        wanted = st.pagination(pages, key="page", bind="query-params")
    current = min(max(1, wanted), pages)
    shown.html(f'<div class="muted right">{presenters.shown_range(current, totals.events)}</div>')
    rows = reader.page(where, page=current, per_page=presenters.PER_PAGE)
    with slot:
        _table(rows)
        chosen = (st.session_state.get("rows") or {}).get("selection", {}).get("rows", [])
        if chosen and chosen[0] < len(rows):
            _details(rows[chosen[0]])
    newest = moment(totals.last_unix_nano, zone)
    foot.caption(
        f"Newest: {newest}. Select a row to see what was asked for, and the reason. Who looks here is recorded."
    )


_page()
