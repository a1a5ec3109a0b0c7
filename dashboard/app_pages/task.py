"""Task record: the whole story of one task, and whether it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import deps
import links
import story
import streamlit as st
import trust
import viewer
from components import frame, integrity_view, story_view
from components.stepper import stepper
from formats import count, esc, moment, zone_label
from roles import Action
from words import Row, headline, kind_of

from otel_audit.model import EventType, Filter

zone: str = st.session_state["_zone"]


def _ask(wanted: str) -> None:
    """What is shown without a task: a way to one."""
    frame.title("Task record", sub="The whole story of one task, from its first AI call to its resolution.")
    if wanted:
        st.html(
            f'<div class="banner careful" role="status"><span class="ic" aria-hidden="true">search_off</span><div>'
            f"<b>No task has the number {esc(wanted)}.</b> Check it for a missing digit, or "
            f'<a href="{esc(links.search_url(q=wanted, period="All"))}" target="_self">search the record for it</a>.'
            f"{frame.or_outside()}</div></div>"
        )
    with st.form("find_task", border=False):
        row = st.container(horizontal=True, vertical_alignment="bottom")
        entered = row.text_input("Task number", key="task_number", placeholder="loan-4711", width=360)
        if row.form_submit_button("Open", type="primary") and entered.strip():
            st.query_params["id"] = entered.strip()
            st.rerun()


def _change(rows: Sequence[Row]) -> None:
    row = story.last_change(rows)
    if row is not None:
        frame.section(
            "What the reviewer changed",
            "Struck through: written by the AI and removed. Underlined: added by the reviewer.",
            story_view.diff(row["content"]["before"], row["content"]["after"]),
        )
        return
    answers = [row for row in rows if row["event_type"] == "ai_call" and "output" in row["content"]]
    if answers:
        answer = answers[-1]["content"]["output"]
        frame.section("What the AI answered", "No reviewer has recorded a change.", story_view.diff(answer, answer))


def _take_along(task_id: str, rows: Sequence[Row]) -> None:
    frame.section("Take it with you")
    with st.container(horizontal=True, gap="small"):
        if viewer.may(Action.EXPORT_EVENTS):
            with st.popover("Export", icon=":material/download:", type="primary"):
                _export(task_id)
        _links(links.task_url(task_id), rows)


def _links(url: str, rows: Sequence[Row]) -> None:
    """The record's own link to copy, and the way to its traces."""
    with st.popover("Copy link", icon=":material/link:"):
        here = urlsplit(st.context.url or "")
        frame.code(f"{here.scheme}://{here.netloc}{url}")
    rows = [row for row in rows if row["event_type"] != EventType.ACCESS]  # who looked is no part of the work
    traces = list(dict.fromkeys(row["trace_id"] for row in rows if row["trace_id"]))
    if not viewer.person().may_open("trace"):
        return
    if len(traces) == 1:
        st.link_button("Open trace", links.trace_url(traces[0]), icon=":material/account_tree:")
    elif traces:
        with st.popover(f"Open trace ({len(traces):,})", icon=":material/account_tree:"):
            st.html(f'<ul class="plain">{"".join(_trace(each, rows) for each in traces)}</ul>')


def _trace(trace_id: str, rows: Sequence[Row]) -> str:
    """One trace of several: its first step, and the services it ran through."""
    mine = [row for row in rows if row["trace_id"] == trace_id]
    services = ", ".join(dict.fromkeys(row["service"] for row in mine if row["service"]))
    return (
        f'<li><a href="{esc(links.trace_url(trace_id))}" target="_self">{esc(headline(mine[0]))}</a>'
        f'<br><span class="muted">{esc(moment(mine[0]["event_time"], zone))} · {esc(services)}</span></li>'
    )


def _export(task_id: str) -> None:
    reader = deps.reader()
    where = Filter(task_id=task_id, sizes=reader.sizes())
    events = reader.count(where).events
    st.html(f'<h2 class="h">Export this task</h2><p class="sub">{esc(_what_there_is(events))}</p>')
    why = (st.text_input("Why are you exporting?", key="task_why", placeholder="Complaint 4821") or "").strip()
    for name, (label, use) in links.FORMATS.items():
        url = links.export_url(name, where, rows=events, why=why)
        st.link_button(f"{label}, {use}", url, disabled=not why, width="stretch", key=f"task_{name}")
    if viewer.may(Action.BUNDLE):
        st.link_button(
            "Evidence bundle, with proofs to hand over",
            links.bundle_url(where, why=why),
            disabled=not why,
            width="stretch",
            key="task_bundle",
        )
    st.caption("The reason is recorded in the ledger with the export.")


def _what_there_is(events: int) -> str:
    what = "Everything recorded of it" if viewer.person().sees_whole else "What you may see of it"
    return f"{what}: {count(events, 'event')}."


def _one_event(row: Row) -> None:
    """The record of an event that belongs to no task."""
    viewer.record("VIEW", links.event_key(row["origin"], row["seq"]), "entry")
    stepper("", (row["origin"], row["seq"]))
    frame.title("One event", beside=kind_of(row["event_type"]).label, sub="It belongs to no task.")
    findings = integrity_view.check([row])
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        st.html(story_view.timeline([row], zone, None, [row], erased=trust.erased(findings)))
    with right:
        integrity_view.banner([row], findings, zone)
        frame.section("Take it with you")
        with st.container(horizontal=True, gap="small"):
            _links(links.task_url("", origin=row["origin"], seq=row["seq"]), [row])


def _page() -> None:
    task_id, marked = st.query_params.get("id", "").strip(), links.parse_event(st.query_params.get("event", ""))
    if not task_id and marked:
        row = deps.reader().entry(*marked)
        if row and not row["task_id"]:
            _one_event(row)
            return
        task_id = row["task_id"] if row else ""
    everything = story.in_order(deps.reader().task(task_id)) if task_id else []
    if not everything:
        _ask(task_id)
        return
    viewer.record("VIEW", task_id, "task", task_id=task_id)
    stepper(task_id, marked)
    rows = story.main_steps(everything)
    frame.title(task_id, beside=story.task_title(everything))
    said = story.verdict(rows or everything)
    if not viewer.person().sees_whole:  # what is outside may have resolved it
        said = [("Of the part that you see: ", False), *said]
    st.html(story_view.verdict(said))
    findings = integrity_view.check(everything)
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        first = everything[0]["event_time"]
        technical = len(everything) - len(rows)
        frame.section("Timeline", f"Oldest first, {zone_label(zone, first)}", story_view.time_bar(everything))
        is_marked_technical = marked not in {(row["origin"], row["seq"]) for row in rows} if marked else not rows
        shown: Sequence[Row] = rows
        if technical and st.toggle(
            f"Show technical steps ({technical:,})", value=is_marked_technical, key="show_technical"
        ):
            shown = everything
        st.html(story_view.timeline(shown, zone, marked, everything, erased=trust.erased(findings)))
    with right:
        integrity_view.banner(everything, findings, zone)
        _change(rows)
        _take_along(task_id, everything)


_page()
