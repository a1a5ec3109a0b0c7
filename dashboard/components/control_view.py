"""A report's controls as HTML. Everything that came from data goes through ``esc``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import controls
from components.figures_view import linked
from controls import Gap
from formats import esc
from measures import Figure as Measure

from otel_audit.reports.compliance.notes import Note
from otel_audit.reports.compliance.report import Answer, Compliance, Figure


def answers(report: Compliance) -> str:
    """Every control: what it asks, how it stands, the counts behind that, and what these do not show."""
    return "".join(map(_answer, report.answers))


def _answer(answer: Answer) -> str:
    control, look = answer.control, controls.STATES[answer.state]
    counts = _list("counts", (_figure(each) for each in answer.figures))
    notes = _list("notes", map(_note, answer.notes))
    limits = _list("proof", map(esc, control.limits))
    return (
        f'<section class="card control t-{look.tone}"><div class="peekhead"><h3 class="h">{esc(control.reference)} '
        f'{esc(control.title)}</h3><span class="state"><span class="ic" aria-hidden="true">{look.icon}</span> '
        f'{esc(look.label)}</span></div><p class="asks"><span class="muted">It asks:</span> {esc(control.asks)}</p>'
        f'{counts}{notes}<div class="limits"><b>What this does not show</b>{limits}</div></section>'
    )


def _figure(figure: Figure) -> str:
    measure = Measure("Report", figure.title, figure.events, "count", figure.events, figure.where)
    return (
        f'<b class="{"n" if figure.is_evidence else "n also"}">{linked(measure)}</b> <span>{esc(figure.title)}</span>'
    )


def _note(note: Note) -> str:
    if not note.is_warning:
        return esc(note.text)
    return f'<span class="t-escalation"><span class="ic tone" aria-hidden="true">warning</span></span> {esc(note.text)}'


def states(report: Compliance) -> str:
    """How many controls are in which state, as a legend."""
    parts = (
        f'<span class="t-{look.tone} chip"><span class="ic" aria-hidden="true">{look.icon}</span> {esc(look.label)} '
        f"<b>{report.count(state)}</b></span>"
        for state, look in controls.STATES.items()
        if report.count(state)
    )
    return f'<div class="legend">{"".join(parts)}</div>'


def gap(each: Gap) -> str:
    """One thing that is not set up, and how to have it."""
    link = f' <a href="{esc(each.link)}" target="_self">Open the log review</a>' if each.link else ""
    command = f"<pre><code>{esc(each.command)}</code></pre>" if each.command else ""
    return f"<b>{esc(each.text)}</b><br>{esc(each.how)}{link}{command}"


def gaps(found: Sequence[Gap]) -> str:
    """What is not set up, as a list."""
    return _list("gaps", map(gap, found))


def plain(items: Iterable[str]) -> str:
    """Sentences as a list."""
    return _list("proof", map(esc, items))


def _list(name: str, items: Iterable[str]) -> str:
    body = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="{name}">{body}</ul>' if body else ""
