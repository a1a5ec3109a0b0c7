"""What the pages on reviewers and AI usage have in common: period and filters in the URL, the summary, the export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

import deps
import links
import measures
import presenters
import streamlit as st
import viewer
from components import frame
from formats import count, esc
from presenters import ALL_TIME, CUSTOM, PERIODS
from roles import Action

from otel_audit.model import Filter, Sight

Sizes = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the page looks at: the period asked for, the filter, and the times as said."""

    where: Filter
    bounds: tuple[int | None, int | None]

    def period(self, first: int | None, last: int | None, zone: str) -> str:
        """The period in words; ``first`` and ``last`` are the times of what there is."""
        return presenters.period_words(self.bounds, (first, last), deps.now_unix_nano(), zone)


@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def _values(sight: Sight, column: str, sizes: Sizes) -> list[str]:  # noqa: ARG001 - what may be seen is part of the key
    return sorted(value for value, _ in deps.reader().facet(Filter(sizes=sizes), column, 500) if value)


def values(column: str, sizes: Sizes) -> list[str]:
    """Values to choose from, kept by the ledgers' sizes too, so that another store never answers for this one."""
    return _values(viewer.sight(), column, sizes)


def choices(column: str, key: str, sizes: Sizes | None) -> list[str]:
    """What a filter offers: what is in the store (None: not looked up), and what is asked for even if it is not."""
    stored = [] if sizes is None else values(column, sizes)
    return list(dict.fromkeys([*stored, *(st.session_state.get(key) or []), *st.query_params.get_all(key)]))


def ask(
    sizes: Sizes, zone: str, fields: Sequence[tuple[str, str, str, str]], extra: Callable[[], None] | None = None
) -> Scope:
    """The filter bar. ``fields`` are (label, column of the facet, key in the URL, field of the filter)."""
    # To the minute: what was counted for a filter is kept for a while, and clicks within a minute are one filter.
    now = datetime.now(ZoneInfo(zone)).replace(second=0, microsecond=0)
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small", key="scopebar")
    period = bar.segmented_control(
        "Period",
        [*PERIODS, ALL_TIME, CUSTOM],
        default="30 days",
        required=True,
        key="period",
        bind="query-params",
        label_visibility="collapsed",
    )
    chosen: dict[str, tuple[str, ...]] = {}
    drawer = bar.popover("Filters", icon=":material/tune:", key="scope_filters", on_change="rerun")
    with drawer:
        for label, column, key, field in fields:
            offered = choices(column, key, sizes if drawer.open else None)  # looked up when somebody can see it
            picked = st.multiselect(label, offered, key=key, bind="query-params")
            chosen[field] = tuple(picked)
    if extra:
        with bar:
            extra()
    custom = _custom(now.date(), zone) if period == CUSTOM else None
    bounds = presenters.period_bounds(period or "", now, custom)
    return Scope(Filter(since=bounds[0], until=bounds[1], sizes=sizes, **chosen), bounds)  # type: ignore[arg-type]


def _custom(today: date, zone: str) -> tuple[datetime, datetime]:
    columns = st.columns([2, 2, 6])
    begin = columns[0].date_input("From", today - timedelta(days=14), key="from", bind="query-params")
    last = columns[1].date_input("To (included)", today, key="to", bind="query-params")
    midnight = clock_time(tzinfo=ZoneInfo(zone))
    return datetime.combine(begin, midnight), datetime.combine(last + timedelta(days=1), midnight)


def export(*, page: str, where: Filter, events: Filter, rows: int, said: str, period: str, zone: str) -> None:
    """The panel that downloads the figures, or the events behind them; it says what is in the file, and asks why."""
    st.html(
        f'<h2 class="h">Export this view</h2><p class="sub" style="max-width:34rem">{esc(said or "Everything")}<br>'
        f"{esc(period)}</p>"
    )
    kind = st.segmented_control(
        "What",
        ["Figures", "Events behind them"] if viewer.may(Action.EXPORT_EVENTS) else ["Figures"],
        default="Figures",
        required=True,
        key="export_what",
    )
    why = st.text_input(
        "Why are you exporting?",
        key="export_why",
        placeholder="Q4 access review, ticket 4821",
        help="Recorded in the ledger with the export, by whom and when.",
    )
    reason = (why or "").strip()
    if kind == "Figures":
        url, label, number = links.figures_url(page, where, why=reason, zone=zone), "figures (CSV)", None
    else:
        formats = [label for label, _ in links.FORMATS.values()]
        label = st.segmented_control("Format", formats, default="CSV", required=True, key="export_format") or "CSV"
        name = next(name for name, (each, _) in links.FORMATS.items() if each == label)
        url, number = links.export_url(name, events, rows=rows, why=reason), rows
    st.link_button(
        f"Download {label}" if number is None else f"Download {label} ({count(number, 'row')})",
        url,
        disabled=not reason or number == 0,
        type="primary",
        width="stretch",
        key="download",
    )
    st.caption("Times in the file are UTC. Type the reason and press Enter.")


def nothing(what: str) -> None:
    """The state of a page when the filter matches nothing."""
    with st.container(border=True):
        st.html(
            f'<h2 class="h">No {esc(what)} here</h2><p class="sub" style="margin:0;max-width:70ch">Try a longer period '
            f"or fewer filters. {frame.nothing_hidden()}</p>"
        )
        st.button("Look at all of the record", on_click=_everything, icon=":material/all_inclusive:", key="everything")


def _everything() -> None:
    st.session_state["period"] = ALL_TIME


def matching(where: Filter) -> str:
    """What narrows the figures, ready to follow a count; empty without a filter."""
    return presenters.matching(measures.scope_words(where))
