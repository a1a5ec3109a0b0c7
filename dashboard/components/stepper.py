"""Along the list that a record was opened from: back to it, where this one stands, and the next and previous one."""

from __future__ import annotations

from typing import Protocol

import deps
import links
import presenters
import streamlit as st
import viewer
from formats import esc
from links import Within

from otel_audit.errors import ConfigError, MalformedInput
from otel_audit.model import Filter, Sight


class _Beside(Protocol):
    @property
    def origin(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def task_id(self) -> str: ...


class _Place(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def newer(self) -> _Beside | None: ...
    @property
    def older(self) -> _Beside | None: ...


def stepper(task_id: str, marked: tuple[str, int] | None) -> None:
    """Draw the way along the list that the URL names; nothing where it names none. ``marked`` is (origin, seq)."""
    try:
        within = links.parse_within(st.query_params.to_dict())
    except MalformedInput as exc:
        st.html(f'<p class="sub">The list that this link names can not be read: {esc(exc)}.</p>')
        return
    if within is None:
        return
    try:
        place, of_task = _places(viewer.sight(), within.where, task_id, marked)
    except ConfigError as exc:
        st.html(f'<p class="sub">The list that this link names can not be shown: {esc(exc)}.</p>')
        return
    page = presenters.page_of(place.number) if place else 1
    parts = [f'<a href="{esc(within.url(page))}" target="_self" title="u" data-step="u">Back to the list</a>']
    parts += [_steps("event", "kj", place, within)] if place else []
    parts += [_steps("task", "KJ", of_task, within)] if of_task else []
    parts += [] if place or of_task else ["<span>It is not in that list.</span>"]
    st.html(f'<nav class="stepper" aria-label="The list that this was opened from">{"".join(parts)}</nav>')


@st.cache_data(ttl=60, max_entries=256, show_spinner=False)
def _places(
    sight: Sight,  # noqa: ARG001 - what may be seen is part of the key
    where: Filter,
    task_id: str,
    marked: tuple[str, int] | None,
) -> tuple[_Place | None, _Place | None]:
    """Where the event and the task stand in the list, counted once for all clicks on the page."""
    reader = deps.reader()
    place = reader.place(where, *marked) if marked else None
    return place, reader.place_of_task(where, task_id) if task_id else None


def _steps(noun: str, keys: str, place: _Place, within: Within) -> str:
    """Where it stands, and a link to each neighbour: "Event 7 of 312"."""
    up = _step(f"Previous {noun}", keys[0], "keyboard_arrow_up", place.newer, within)
    down = _step(f"Next {noun}", keys[1], "keyboard_arrow_down", place.older, within)
    said = f"{noun.capitalize()} <b>{place.number:,}</b> of <b>{place.total:,}</b>"
    return f"<span>{said} {up}{down}</span>"


def _step(said: str, key: str, icon: str, beside: _Beside | None, within: Within) -> str:
    drawn = f'<span class="ic" aria-hidden="true">{icon}</span>'
    if beside is None:
        return f'<a role="link" aria-disabled="true" aria-label="{said}: there is none">{drawn}</a>'
    url = links.task_url(beside.task_id, origin=beside.origin, seq=beside.seq, within=within)
    return (
        f'<a href="{esc(url)}" target="_self" aria-label="{said}" title="{said} ({key})" data-step="{key}">{drawn}</a>'
    )
