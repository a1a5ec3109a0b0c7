"""Search answers: what happened to this task, by this person, in that week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import asking
import columns
import deps
import links
import measures
import pandas as pd
import presenters
import story
import streamlit as st
import viewer
from asking import Asked
from components import chart, export_panel, filter_bar, first_run, frame, story_view, views_menu
from formats import NANO, esc
from links import Within
from words import KNOWN_KINDS, Row, decision_word

from otel_audit.errors import ConfigError, MalformedInput
from otel_audit.model import Filter, Sight, Totals

zone: str = st.session_state["_zone"]
# To the minute, as the period is said: what was counted for a filter is kept for a while.
now = datetime.now(ZoneInfo(zone)).replace(second=0, microsecond=0)
_TABLE_HEIGHT = 470


@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def _counted(sight: Sight, where: Filter) -> tuple[Totals, dict[str, int]]:  # noqa: ARG001 - what may be seen is part of the key
    """How much there is, and of which kinds: counted once a filter, which has the ledgers' sizes in it."""
    return deps.reader().count(where), deps.reader().counts_by_type(where)


@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def _by_time(sight: Sight, where: Filter, step: int, offset: int) -> list[tuple[int, str, int]]:  # noqa: ARG001 - as above
    return deps.reader().histogram(where, step_seconds=step, utc_offset_seconds=offset)


def _export(where: Filter, totals: Totals, words: str, period: str) -> None:
    columns_of_file = tuple(columns.exported(filter_bar.chosen_columns()))
    export_panel.export_events(where, totals.events, words, period, columns_of_file)


def _nothing_found() -> None:
    with st.container(border=True):
        st.html(
            '<h2 class="h">Nothing matches this search</h2><p class="sub" style="margin:0;max-width:70ch">Try a longer '
            f"period, fewer filters, or check the number for a missing digit. {frame.nothing_hidden()}</p>"
        )
        with st.container(horizontal=True):
            st.button("Clear filters", on_click=filter_bar.clear, key="clear_filters", icon=":material/filter_alt_off:")
            st.button(
                "Search all of the record",
                on_click=filter_bar.search_all,
                key="search_all",
                icon=":material/all_inclusive:",
            )


def _chart(where: Filter, asked: Asked, first: int, last: int) -> None:
    begin = asked.since if asked.since is not None else first
    end = max(min(asked.until, last + 1) if asked.until is not None else last, begin + NANO)
    if asked.since is not None:
        end = max(end, deps.now_unix_nano())
    step = presenters.bar_step(begin, end)
    offset = int((now.utcoffset() or timedelta()).total_seconds())
    histogram = _by_time(viewer.sight(), where, step, offset)
    period = ((begin // NANO + offset) * 1000, (end // NANO + offset) * 1000)
    chart.event_bars(presenters.bars(histogram, step, offset), step, period)


def _selected(rows: Sequence[Row]) -> Row | None:
    state = st.session_state.get("rows") or {}
    chosen = state.get("selection", {}).get("rows", [])
    return rows[chosen[0]] if chosen and chosen[0] < len(rows) else None


def _table(rows: Sequence[Row], label: str, *, narrow: bool) -> None:
    chosen = filter_bar.chosen_columns()
    shown: Sequence[Row] = rows
    if rows and columns.needs_entries(chosen, rows[0]):
        whole = {_key(each): each for each in deps.reader().entries(map(_key, rows))}
        shown = [whole.get(_key(row), row) for row in rows]
    config: dict[str, Any] = {each: st.column_config.TextColumn(each, width=columns.width(each)) for each in chosen}
    if "Event" in chosen:
        config["Event"] = st.column_config.MultiselectColumn(
            "Event",
            options=[kind.label for kind in KNOWN_KINDS],
            color=[kind.chip for kind in KNOWN_KINDS],
            width=columns.width("Event"),
        )
    st.dataframe(
        pd.DataFrame(columns.cells(chosen, shown, zone, now.year)),
        key="rows",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=min(_TABLE_HEIGHT, 36 * (len(rows) + 1) + 3) if not narrow else _TABLE_HEIGHT,
        row_height=36,
        column_order=chosen[:5] if narrow else chosen,
        alt=label,
        lazy=False,
        column_config=config,
    )


def _peek(row: Row, narrowed: story_view.Narrowed, within: Within) -> None:
    """The story of the selected row's task, beside the table."""
    reader, key = deps.reader(), (row["origin"], row["seq"])
    url = links.task_url(row["task_id"], origin=row["origin"], seq=row["seq"], within=within)
    if row["task_id"]:
        everything = story.in_order(reader.task(row["task_id"]))
        main = {_key(each) for each in story.main_steps(everything)} | {key}
        rows = [each for each in everything if _key(each) in main]
        viewer.record("VIEW", row["task_id"], "task", task_id=row["task_id"])
        head = f'<h2 class="h">{esc(row["task_id"])}</h2>'
    else:
        entry = reader.entry(*key)
        everything = rows = [entry] if entry else []
        viewer.record("VIEW", links.event_key(*key), "entry")
        head = '<h2 class="h">One event, of no task</h2>'
    head += f'<a href="{esc(url)}" target="_self">Open full record</a>'
    other = links.parse_event(st.query_params.get("compare", ""))
    if other and other != key:
        url = links.compare_url({"origin": other[0], "seq": other[1]}, row)
        head += f'<a href="{esc(url)}" target="_self">Compare with entry {other[1]:,}</a>'
    with st.container(border=True, height=_TABLE_HEIGHT, key="peek"):
        st.html(
            f'<div class="peekhead">{head}</div>{story_view.time_bar(rows)}<div class="spaced"></div>'
            + story_view.timeline(rows, zone, key, everything, with_texts=False, narrowed=narrowed)
        )


def _key(row: Row) -> tuple[str, int]:
    return row["origin"], row["seq"]


def _summary(totals: Totals, kinds: Mapping[str, int], matching: str, period: str) -> None:
    """One sentence before any chart, and how many of each kind."""
    chips = "".join(
        f'<span class="t-{tone}"><i></i>{esc(label)} <b>{number:,}</b></span>'
        for label, tone, number in presenters.legend(kinds)
    )
    st.html(
        f'<div class="sum" id="summary">{story_view.strong(presenters.summary(totals.events, totals.tasks))}'
        f'{esc(matching)} <span class="muted">· {esc(period)}</span></div><div class="legend">{chips}</div>'
    )


def _results(total: int, narrowed: story_view.Narrowed, within: Within) -> None:
    """The table, its pager, and beside it the story of the row that is selected."""
    # The pager is called first, because the table needs its page, and drawn below the table.
    table_slot, foot = st.container(), st.container()
    pages = presenters.page_count(total)
    pager, shown = foot.columns([3, 1.3], vertical_alignment="center")
    with pager:
        wanted = st.pagination(pages, key="page", bind="query-params")
    current = min(max(1, wanted), pages)
    shown.html(f'<div class="muted right">{presenters.shown_range(current, total)}</div>')
    rows = deps.reader().page(within.where, page=current, per_page=presenters.PER_PAGE)
    selected = _selected(rows)
    label = f"Events, page {current} of {pages}, newest first"
    if selected is None:
        with table_slot:
            _table(rows, label, narrow=False)
        foot.caption("Select a row to see the whole story of its task here.")
        return
    left, right = table_slot.columns([1.72, 1], gap="medium")
    with left:
        _table(rows, label, narrow=True)
    with right:
        _peek(selected, narrowed, within)


def _behind(asked: str) -> None:
    """The events behind a figure of another page: exactly its filter, which the URL carries."""
    frame.title("Events behind a figure", sub="Exactly the events that the figure was counted from.")
    try:
        where = deps.reader().frozen(links.parse_filter(parse_qsl(asked, keep_blank_values=True)))
        totals, kinds = _counted(viewer.sight(), where)
    except (MalformedInput, ConfigError) as exc:
        st.html(
            f'<p class="lead">This link is not complete: {esc(exc)}. '
            '<a href="/" target="_self">Search the record</a> instead.</p>'
        )
        return
    said = presenters.matching(measures.behind_words(where, [decision_word(raw) for raw in where.decision]))
    extent = (totals.first_unix_nano, totals.last_unix_nano)
    period = presenters.period_words((where.since, where.until), extent, deps.now_unix_nano(), zone)
    with st.container(horizontal=True, vertical_alignment="center"):
        _export(where, totals, said, period)
        st.html('<a href="/" target="_self">Search all of the record</a>')
    _summary(totals, kinds, said, period)
    if totals.events:
        _results(totals.events, asking.alone, Within(where))


def _page() -> None:
    reader = deps.reader()
    if "where" in st.query_params:
        _behind(st.query_params["where"])
        return
    sizes = reader.sizes()
    head, actions = st.columns([3, 2], vertical_alignment="bottom")
    with head:
        frame.title("Search the record", sub="Find any AI call, review, escalation or access by task, person or words.")
    if first_run.is_now(sizes):
        first_run.show()
        return
    asked = filter_bar.ask(sizes, zone, now)
    where = asking.to_filter(asked, filter_bar.known(asked, sizes), sizes)
    totals, kinds = _counted(viewer.sight(), where)
    active = asked.words()
    matching = presenters.matching(active)
    extent = (totals.first_unix_nano, totals.last_unix_nano)
    period = presenters.period_words((asked.since, asked.until), extent, deps.now_unix_nano(), zone)
    if active:
        said = "; ".join(active)
        viewer.record("SEARCH", "", "search", key=said, filter_text=said, row_count=totals.events)
    with actions.container(horizontal=True, horizontal_alignment="right", gap="xsmall"):
        is_clear = not active and not asked.technical
        st.button(
            "Clear", on_click=filter_bar.clear, disabled=is_clear, type="tertiary", icon=":material/close:", key="clear"
        )
        views_menu.menu(filter_bar.kept(), "; ".join(active))
        _export(where, totals, matching, period)
    with st.container(horizontal=True, vertical_alignment="bottom", key="summary_row"):
        _summary(totals, kinds, matching, period)
        if totals.events:
            filter_bar.facets(where)
    if totals.first_unix_nano is None or totals.last_unix_nano is None:
        _nothing_found()
        return
    _chart(where, asked, totals.first_unix_nano, totals.last_unix_nano)
    _results(totals.events, filter_bar.narrowed, Within(where, filter_bar.view()))


_page()
