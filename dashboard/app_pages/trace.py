"""Traces, for engineers: where the time went, and what failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import deps
import links
import presenters
import streamlit as st
import viewer
from components import figures_view, frame, span_view, story_view, waterfall_view
from formats import NANO, count, duration, esc, local, moment, zone_label
from presenters import ALL_TIME, PERIODS
from waterfall import Step, Trace, build, by_service, is_other_record, logs
from words import Row

from otel_audit.errors import ConfigError

zone: str = st.session_state["_zone"]
_LISTED = 100
_LOGS_PER_PAGE = 50
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def _short(nanoseconds: int) -> str:
    """A length of time that may be far below a second."""
    if nanoseconds < 10_000_000:
        return f"{nanoseconds / 1e6:.2g} ms" if nanoseconds else "0"
    return f"{nanoseconds / 1e6:,.0f} ms" if nanoseconds < NANO else duration(nanoseconds / NANO)


def _not_found(wanted: str) -> None:
    if _TRACE_ID.fullmatch(wanted):
        said = "Nothing recorded names it. It may not have arrived yet, or belongs to another ledger."
    else:
        said = "A trace id has 32 hexadecimal digits."
    st.html(
        f'<div class="banner careful" role="status"><span class="ic" aria-hidden="true">search_off</span><div>'
        f'<b>No trace has the id {esc(wanted)}.</b> {said} <a href="/trace" target="_self">Recent traces</a>, or '
        f'<a href="{esc(links.search_url(q=wanted, period="All"))}" target="_self">search the record for it</a>.'
        f"{frame.or_outside()}</div></div>"
    )


def _listing(wanted: str) -> None:
    """What is shown without a trace: a way to one."""
    frame.title("Traces", sub="Where did the time go, and what failed? Spans of all services, with their log records.")
    if wanted:
        _not_found(wanted)
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    entered = bar.text_input(
        "Trace id", key="trace_wanted", placeholder="Trace id, then Enter", label_visibility="collapsed", width=380
    )
    if entered and entered.strip().lower() != wanted:
        st.query_params["id"] = entered.strip().lower()
        st.rerun()
    period = bar.segmented_control(
        "Period",
        [*PERIODS, ALL_TIME],
        default="7 days",
        required=True,
        key="period",
        bind="query-params",
        label_visibility="collapsed",
    )
    since, _ = presenters.period_bounds(period or "", datetime.now(ZoneInfo(zone)))
    found = deps.reader().traces(since or 0, _LISTED)
    if not found:
        st.html(
            '<p class="lead" id="summary">No trace in this period.</p><p class="sub">Choose a longer period, or send '
            "spans: every OpenTelemetry instrumentation gives them a trace.</p>"
        )
        return
    total, failed = found[0]["all_traces"], found[0]["all_failed"]
    some = f" The first {len(found):,} are listed." if total > len(found) else ""
    said = "all time" if since is None else f"since {moment(since, zone)}"
    st.html(
        f'<div class="sum" id="summary"><b>{total:,}</b> {"trace" if total == 1 else "traces"}, '
        f'<b>{failed:,}</b> with errors <span class="muted">· {esc(said)} · '
        f"{esc(zone_label(zone, deps.now_unix_nano()))} · errors first, then the longest.{some}</span></div>"
    )
    figures_view.table(
        ("Trace", "Began", "Took", "Spans", "Log records", "Errors", "Services", "Task"), map(_listed, found), "Traces"
    )


def _more(left_out: int) -> str:
    return f" <small>and {left_out:,} more</small>" if left_out > 0 else ""


def _listed(row: Row) -> list[str]:
    bad = f'<b class="t-problem tone">⚠ {row["errors"]:,}</b>' if row["errors"] else "0"
    tasks = ", ".join(f'<a href="{esc(links.task_url(each))}" target="_self">{esc(each)}</a>' for each in row["tasks"])
    name, href = row["name"] or row["trace_id"][:12], links.trace_url(row["trace_id"])
    return [
        f'<a href="{esc(href)}" target="_self">{esc(name)}</a>',
        esc(moment(row["event_time"], zone)),
        esc(_short(row["end_time"] - row["event_time"])),
        f"{row['spans']:,}",
        f"{row['logs']:,}",
        bad,
        esc(", ".join(row["services"])) + _more(row["all_services"] - len(row["services"])),
        tasks + _more(row["all_tasks"] - len(row["tasks"])),
    ]


def _summary(trace: Trace, rows: Sequence[Row], others: Sequence[Row]) -> None:
    first = min(row["event_time"] for row in rows)
    services = len({row["service"] for row in rows})
    failed = sum(step.failed for step in trace.steps)
    orphans = sum(bool(step.orphan) for step in trace.steps)
    shown_at = local(first, zone).strftime("%-d %b %Y, %H:%M:%S")
    parts = [
        f"<b>{count(len(trace.steps), 'span')}</b> and {count(len(others), 'log record')}",
        f"{count(services, 'service')}",
        f"took <b>{esc(_short(trace.length))}</b>",
        f'<b class="t-problem tone">⚠ {count(failed, "span")} failed</b>' if failed else "nothing failed",
    ]
    if trace.waiting > trace.length // 100:
        parts.append(f"for {esc(_short(trace.waiting))} nothing ran")
    if orphans:
        parts.append(f"{count(orphans, 'span')} whose parent is not recorded")
    st.html(
        f'<p class="lead" id="summary">{", ".join(parts)}. <span class="muted">Began {esc(shown_at)} '
        f"({esc(zone_label(zone, first))}).</span></p>"
    )


def _ways_out(trace_id: str, rows: Sequence[Row]) -> None:
    tasks = list(dict.fromkeys(row["task_id"] for row in rows if row["task_id"]))
    parts = [f'<a href="{esc(links.task_url(each))}" target="_self">Task {esc(each)}</a>' for each in tasks[:5]]
    if len(tasks) > 5:
        parts.append(f"and {count(len(tasks) - 5, 'more task')}")
    search = esc(links.search_url(trace=trace_id, period="All"))
    parts.append(f'<a href="{search}" target="_self">All its events in Search, to export</a>')
    parts.append('<a href="/trace" target="_self">Other traces</a>')
    try:
        for name, url in links.trace_viewers(deps.trace_link_templates(), trace_id):
            parts.append(f'<a href="{esc(url)}" target="_blank" rel="noopener noreferrer">Open in {esc(name)}</a>')
    except ConfigError as exc:
        parts.append(f'<span class="t-problem tone">⚠ {esc(exc)}</span>')
    st.html(f'<div class="legend" id="ways">{"".join(f"<span>{part}</span>" for part in parts)}</div>')


def _services(trace: Trace) -> None:
    length = max(1, trace.length)
    lines = [
        [
            esc(each.service or "(no name)"),
            f"{each.spans:,}",
            f'<b class="t-problem tone">⚠ {each.errors:,}</b>' if each.errors else "0",
            esc(_short(each.total)),
            esc(_short(each.self_time)),
            f"{esc(_short(each.critical))} <small>{100 * each.critical / length:.0f} %</small>",
        ]
        for each in by_service(trace)
    ]
    frame.section(
        "By service",
        "Total adds up its spans, self is what its spans did not pass on, critical is its share of the way to the end.",
    )
    figures_view.table(("Service", "Spans", "Errors", "Total", "Self", "Critical"), lines, "Times by service")


def _wanted_span(trace: Trace) -> str:
    """The span that the URL names: by origin:seq, or by its OpenTelemetry id."""
    named = st.query_params.get("span", "")
    for step in trace.steps:
        if named and named in (waterfall_view.key_of(step), step.row["span_id"]):
            return waterfall_view.key_of(step)
    return ""


def _details(step: Step, trace_id: str) -> None:
    row = deps.reader().entry(step.row["origin"], step.row["seq"])
    if row is None:
        st.html('<p class="sub">This entry is not in the record any more.</p>')
        return
    said = [f"took {_short(step.end - step.begin)}", f"{_short(step.self_time)} of it by itself"]
    said += [waterfall_view.note(step)] if waterfall_view.note(step) else []
    frame.section(str(row["name"]) or "(no name)", f"{row['service']} · " + " · ".join(said))
    with st.container(border=True, key="span"):
        st.html(story_view.timeline([row], zone, None, [row]))
        st.html(span_view.attributes_of(row) + span_view.span_events(row, zone) + span_view.raw(row))
        st.html(span_view.span_links(row, trace_id) or '<span class="muted right">No linked spans.</span>')


def _logs(others: Sequence[Row]) -> None:
    frame.section(f"Log records ({len(others):,})", "What the services wrote in this trace, in time order.")
    if not others:
        st.html('<p class="sub">No log record names this trace.</p>')
        return
    pages = -(-len(others) // _LOGS_PER_PAGE)
    current = st.pagination(pages, key="logs_page") if pages > 1 else 1
    part = others[(current - 1) * _LOGS_PER_PAGE : current * _LOGS_PER_PAGE]
    full = logs(deps.reader().entries((row["origin"], row["seq"]) for row in part))
    st.html(span_view.logs(full, zone))


def _page() -> None:
    wanted = st.query_params.get("id", "").strip().lower()
    rows = deps.reader().trace_spans(wanted) if _TRACE_ID.fullmatch(wanted) else []
    if not rows:
        _listing(wanted)
        return
    viewer.record("VIEW", wanted, "trace")
    trace, others = build(row for row in rows if not is_other_record(row)), logs(rows)
    frame.title("Trace", beside=wanted)
    _summary(trace, rows, others)
    _ways_out(wanted, rows)
    if trace.steps:
        selected = waterfall_view.waterfall(trace, wanted, _wanted_span(trace))
        if selected and selected != _wanted_span(trace):
            st.query_params["span"] = selected
        chosen = next((step for step in trace.steps if waterfall_view.key_of(step) == selected), None)
        if chosen is None:
            st.html('<p class="sub">Choose a span to see its attributes, texts and links.</p>')
        else:
            _details(chosen, wanted)
        _services(trace)
    _logs(others)


_page()
