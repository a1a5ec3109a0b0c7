"""Weeks of the log review as HTML. Everything that came from data goes through ``esc``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import links
import weeks
from components.figures_view import linked
from formats import count, esc
from masked import prose
from measures import Figure

from otel_audit.model import Filter
from otel_audit.reports.log_review import Found, SignOff, Standing, Week


def number(name: str, events: int, where: Filter | None, text: str | None = None) -> str:
    """A count as a link to exactly its events."""
    return linked(Figure("Log review", name, events, "count", events, where), text)


def chip(state: str) -> str:
    """The state of a week: colour, icon and word."""
    look = weeks.STATES[state]
    return (
        f'<span class="pill t-{look.tone}"><span class="ic" aria-hidden="true">{look.icon}</span> '
        f"{esc(look.label)}</span>"
    )


def listed(rows: Iterable[tuple[Standing, int | None, Filter | None]], zone: str) -> str:
    """Weeks as a list, each a link to its review; with a row goes what arrived after its signature."""
    return f'<ol class="weeks">{"".join(_row(*row, zone) for row in rows)}</ol>'


def _row(standing: Standing, late: int | None, late_where: Filter | None, zone: str) -> str:
    week = standing.week
    lines = [_line(by, week, zone) for by in standing.sign_offs]
    if due := weeks.due(standing):
        lines.append(f"<div>{esc(due)}</div>")
    if late:
        lines.append(f"<div>{arrived(late, late_where)}</div>")
    return (
        f'<li>{chip(standing.state)}<div><a href="{esc(links.week_url(week.name))}" target="_self">'
        f'{esc(weeks.title(week))}</a> <span class="muted">{esc(weeks.days(week))}</span></div>'
        f'<div class="muted by">{"".join(lines)}</div></li>'
    )


def _line(by: SignOff, week: Week, zone: str) -> str:
    without = by.without_effect(week)
    note = f" Does not count: {esc(without)}." if without else ""
    return f"<div><b>{esc(by.reviewer or 'Nobody named')}</b>, {esc(weeks.signature(by, zone))}.{note}</div>"


def arrived(late: int, where: Filter | None) -> str:
    """What came after a signature, as a link to exactly these events."""
    return f"{number('Arrived after the signature', late, where, count(late, 'event'))} arrived after the signature"


def findings(found: Sequence[Found]) -> str:
    """What there is to look at, each with a link to its events and what to ask about them."""
    items = "".join(
        f'<li><b class="n">{number(each.title, each.events, each.where)}</b><div><b>{esc(_sentence(each.title))}</b>'
        f'<br><span class="muted">{esc(weeks.HINTS[each.code])}</span></div></li>'
        for each in found
    )
    return f'<ul class="looks">{items}</ul>' if items else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def sign_offs(standing: Standing, zone: str) -> str:
    """Who signed, each with the way to the entry in the ledger and what they concluded."""
    return "".join(_signed(by, standing.week, zone) for by in reversed(standing.sign_offs))


def _signed(by: SignOff, week: Week, zone: str) -> str:
    without = by.without_effect(week)
    tone, icon = ("escalation", "block") if without else ("resolution", "task_alt")
    said = f'<blockquote class="why t-review">{prose(by.remark)}</blockquote>' if by.remark else ""
    note = f"Does not count: {without}." if without else "No access and no erasure of the week was their own."
    return (
        f'<div class="card signed t-{tone}"><span class="ic tone" aria-hidden="true">{icon}</span> '
        f"<b>{esc(by.reviewer or 'Nobody named')}</b> signed<br>"
        f'<span class="muted">{esc(weeks.signature(by, zone))}<br>{esc(note)}</span>{said}'
        f'<div><a href="{esc(links.entry_url(by.origin, by.seq))}" target="_self">'
        f"Entry {by.seq:,} of {esc(by.origin)}</a></div></div>"
    )
