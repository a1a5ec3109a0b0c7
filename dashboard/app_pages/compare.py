"""Compare: two events side by side, what differs in a sentence, their texts as a diff."""

from __future__ import annotations

import comparing
import deps
import links
import streamlit as st
import viewer
from components import compare_view, frame, integrity_view, story_view
from formats import esc, moment
from words import MAIN_TYPES, Row, headline, instant, kind_of

from otel_audit.model import Filter

zone: str = st.session_state["_zone"]
_OFFERED = 20


def _event(name: str) -> Row | None:
    """The entry that a parameter of the URL names."""
    key = links.parse_event(st.query_params.get(name, ""))
    return deps.reader().entry(*key) if key else None


def _url(row: Row) -> str:
    return links.task_url(row["task_id"], origin=row["origin"], seq=row["seq"])


def _linked(row: Row, url: str) -> str:
    """An event in a line, as a link."""
    kind, task = kind_of(row["event_type"]), f" · {row['task_id']}" if row["task_id"] else ""
    return (
        f'<span class="t-{kind.tone} chip"><span class="ic" aria-hidden="true">{kind.icon}</span> '
        f'<a href="{esc(url)}" target="_self">{esc(headline(row))}</a></span>'
        f'<br><span class="muted">{esc(kind.label)} · {esc(moment(instant(row), zone))}{esc(task)}</span>'
    )


def _not_found() -> None:
    st.html(
        '<div class="banner careful" role="status"><span class="ic" aria-hidden="true">search_off</span><div>'
        "<b>There is no such event.</b> A link to this page names one or two events; choose the first one in "
        '<a href="/" target="_self">Search</a>, and there <i>Compare</i> under its details.</div></div>'
    )


def _choose(row: Row) -> None:
    """The events that one may want to compare this one with."""
    kind = kind_of(row["event_type"])
    st.html(f'<p class="lead">Choose the event to compare with:</p><p>{_linked(row, _url(row))}</p>')
    key = ("type" if row["event_type"] in MAIN_TYPES else "other", kind.label)
    search = links.search_url(
        **{"period": "All", key[0]: key[1], "compare": links.event_key(row["origin"], row["seq"])}
    )
    of_kind = (row["event_type"],)
    same_task = deps.reader().page(Filter(task_id=row["task_id"], event_type=of_kind)) if row["task_id"] else []
    latest = deps.reader().page(Filter(event_type=of_kind), per_page=_OFFERED)
    elsewhere = [each for each in latest if not row["task_id"] or each["task_id"] != row["task_id"]]
    for title, rows in (("Of the same task", same_task), ("The newest of its kind", elsewhere)):
        others = [each for each in rows if (each["origin"], each["seq"]) != (row["origin"], row["seq"])]
        lines = "".join(f"<li>{_linked(each, links.compare_url(row, each))}</li>" for each in others)
        nothing = '<li class="muted">There is none.</li>'
        frame.section(title, body=f'<ul class="plain">{lines or nothing}</ul>')
    frame.section("Any other", body=f'<p><a href="{esc(search)}" target="_self">Choose it in Search</a></p>')


def _side_by_side(left: Row, right: Row) -> None:
    for row in (left, right):
        viewer.record("VIEW", links.event_key(row["origin"], row["seq"]), "entry", task_id=row["task_id"])
    found = comparing.compare(left, right)
    st.html(story_view.verdict(comparing.sentence(left, right, found)))
    for place, name, row in zip(st.columns(2), ("First", "Second"), (left, right), strict=True):
        place.html(f'<div class="card"><span class="muted">{name}</span><br>{_linked(row, _url(row))}</div>')
    integrity_view.banner((left, right), integrity_view.check((left, right)), zone)
    st.html(
        '<p class="legend">'
        f'<span><a href="{esc(links.compare_url(right, left))}" target="_self">The other way round</a></span>'
        f'<span><a href="{esc(links.compare_url(left))}" target="_self">Compare the first with another</a></span></p>'
    )
    st.html("".join(map(compare_view.text, found.texts)))
    frame.section("Values", body=compare_view.differing(found, ("First", "Second")))


def _page() -> None:
    frame.title("Compare two events", sub="What differs between them, and what is the same.")
    left, right = _event("a"), _event("b")
    if left is None or ("b" in st.query_params and right is None):
        _not_found()
    elif right is None:
        _choose(left)
    else:
        _side_by_side(left, right)


_page()
