"""Figures as HTML: each is a link to the events that it was made from. Everything that came from data is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import links
import streamlit as st
from formats import count, esc
from measures import Figure


def linked(figure: Figure, text: str | None = None) -> str:
    """The figure's value as a link to its events; plain text where there are none."""
    words = esc(figure.words if text is None else text)
    if figure.where is None or not figure.n or (figure.unit == "count" and not figure.value):
        return words
    said = f"{figure.name}{f' of {figure.group}' if figure.group.strip() else ''}: show the events"
    href = esc(links.events_url(figure.where))
    return f'<a class="fig" href="{href}" target="_self" title="{esc(said)}">{words}</a>'


def card(name: str, main: Figure, note: str, *, also: str = "") -> str:
    """One figure large, with what it means below."""
    return f'<div><span>{esc(name)}</span><b>{linked(main)}{also}</b><span class="note">{_kept(note)}</span></div>'


def _kept(text: str) -> str:
    """Text in HTML, in which no percent sign begins a line."""
    return esc(text).replace(" %", "&nbsp;%")


def cards(parts: Iterable[str]) -> None:
    """A row of figures."""
    st.html(f'<div class="figures tiles">{"".join(parts)}</div>')


def of_n(figure: Figure, noun: str) -> str:
    """What a figure was made from, and its interval: "of 812 reviews · 95 % interval 60 % to 66 %"."""
    said = f"of {count(figure.n, noun)}"
    return f"{said} · {figure.range_words}" if figure.range_words else said


def table(head: Sequence[str], lines: Iterable[Sequence[str]], label: str, *, words: Sequence[int] = ()) -> None:
    """A small table; the cells of ``lines`` are HTML, the first is the row's name. Columns in ``words`` are text."""
    left = [' class="left"' if place in words else "" for place in range(len(head))]
    top = "".join(f'<th scope="col"{place}>{esc(name)}</th>' for name, place in zip(head, left, strict=True))
    body = "".join(
        f'<tr><th scope="row">{cells[0]}</th>'
        + "".join(f"<td{place}>{cell}</td>" for cell, place in zip(cells[1:], left[1:], strict=True))
        + "</tr>"
        for cells in lines
    )
    st.html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{esc(label)}"><table class="grid">'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def chip(icon: str, tone: str, label: str, figure: Figure) -> str:
    """A kind of decision: colour, icon, word and count."""
    name = esc(label[:1].upper() + label[1:])
    return (
        f'<span class="t-{tone} chip"><span class="ic" aria-hidden="true">{icon}</span> {name} '
        f"<b>{linked(figure)}</b></span>"
    )


def chips(parts: Iterable[str]) -> None:
    """A legend of chips."""
    st.html(f'<div class="legend">{"".join(parts)}</div>')
