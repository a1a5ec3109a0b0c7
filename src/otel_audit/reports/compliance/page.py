"""A report as one page of HTML: for reading and printing, without scripts or anything from elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from otel_audit.reports._times import clock
from otel_audit.reports.bundle.cover import STYLE
from otel_audit.reports.bundle.writer import Making
from otel_audit.reports.compliance.notes import Note
from otel_audit.reports.compliance.report import Answer, Compliance, Figure, State, filter_fields

ICONS: Final = {State.EVIDENCE: "✓", State.NONE: "○", State.NOT_RECORDED: "–"}  # noqa: RUF001 - a dash as an icon
LIMITS: Final = (
    "It does not say that a standard is met: whoever assesses that decides what is sufficient.",
    "That what was recorded is true, or that a person meant it, is not proved.",
    "What was never sent to the receiver is not in the trail.",
    "The signature proves that the holder of the ledger's key made this report, and that nobody changed it since.",
    "Whether its figures are those of the ledger shows when they are counted again, or in an evidence bundle.",
)
_STYLE: Final = """
.state{font-weight:600;white-space:nowrap}.evidence{color:#04694e}.none{color:#9a4a00}.not_recorded{color:#555b63}
section{border:1px solid #d9dce1;border-radius:8px;padding:.9rem 1.1rem;margin:.8rem 0;break-inside:avoid}
section h3{margin:0;font-size:1.02rem}section p{margin:.35rem 0}.asks{color:#555b63}
section ul{margin:.35rem 0}.warning{color:#b3261e;font-weight:600}.small{font-size:.875rem;color:#555b63}
.head{display:flex;justify-content:space-between;gap:.25rem 1rem;flex-wrap:wrap}
"""


def page(report: Compliance, making: Making) -> str:
    """Return report.html."""
    standard = report.standard
    title = f"Evidence for {standard.name}"
    facts = [
        ("Standard", f"{standard.name}: {standard.source}"),
        ("Period", report.period),
        *([("Narrowed to", f"{report.narrowed} (what the trail records of itself is never narrowed)")]
          if report.narrowed else []),
        ("Events", f"{report.events:,}"),
        ("Made", f"{clock(making.made_unix_nano)} by {making.made_by}, with otel-audit {making.version}"),
        ("Purpose", making.purpose),
    ]  # fmt: skip
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class='sub'>{escape(sentence(report))}</p>{_table(facts)}"
        f"<h2>What was asked, and what there is</h2>{''.join(map(_answer, report.answers))}"
        f"<h2>The ledgers</h2>{_ledgers(report)}"
        f"<h2>What this report does not say</h2>{_list(LIMITS)}"
        "<h2>How each number was counted</h2><p class='small'>The dashboard finds exactly these events with these "
        f"filters. Times are nanoseconds since 1970, UTC.</p>{_filters(report)}"
        "<footer>report.note in the same zip signs this page: <code>otel-audit report verify</code> checks it.</footer>"
        "</main></body></html>\n"
    )


def sentence(report: Compliance) -> str:
    """The whole report in a sentence: how many controls have evidence, have none, and can have none."""
    unit = report.standard.unit
    total, evidence = len(report.answers), report.count(State.EVIDENCE)
    none, never = report.count(State.NONE), report.count(State.NOT_RECORDED)
    said = f"{report.standard.name}: there is evidence for {evidence} of {total} {_plural(unit)}"
    rest = [f"none in this period for {none}"] if none else []
    rest += [f"{never} {'asks' if never == 1 else 'ask'} for what is not recorded here"] if never else []
    return f"{said}{'; ' if rest else ''}{', and '.join(rest)}."


def _plural(unit: str) -> str:
    return "criteria" if unit == "criterion" else f"{unit}s"


def _answer(answer: Answer) -> str:
    control = answer.control
    state = f"<span class='state {answer.state.name.lower()}'>{ICONS[answer.state]} {escape(answer.state)}</span>"
    figures = _list_html(_figure(each) for each in answer.figures)
    notes = _list_html(map(_note, answer.notes))
    limits = _list_html(escape(each) for each in control.limits)
    return (
        f"<section><div class='head'><h3>{escape(control.reference)} {escape(control.title)}</h3>{state}</div>"
        f"<p class='asks'>{escape(control.asks)}</p>{figures}{notes}<div class='small'>Limits{limits}</div></section>"
    )


def _figure(figure: Figure) -> str:
    return f"<b>{figure.events:,}</b> {escape(figure.title)}"


def _note(note: Note) -> str:
    return f"<span class='warning'>! {escape(note.text)}</span>" if note.is_warning else escape(note.text)


def _ledgers(report: Compliance) -> str:
    if not report.ledgers:
        return "<p>There is no ledger yet.</p>"
    rows = []
    for each in report.ledgers:
        state, newest = each.state, each.state.checkpoint
        rows += [
            ("Ledger", state.origin),
            ("Entries", f"{state.size:,}, the newest recorded {clock(state.last_recorded_unix_nano)}"),
            ("Hash of the newest", state.last_hash_hex),
            ("Checkpoint", f"{newest.size:,} entries, {clock(newest.created_unix_nano)}" if newest else "none"),
            *([("Root hash", newest.root_hash_hex)] if newest else []),
        ]
    return _table(rows)


def _filters(report: Compliance) -> str:
    figures = {each.code: each for answer in report.answers for each in answer.figures}
    frozen = "; ".join(f"{origin} below {size}" for origin, size in report.where.sizes) or "no ledger"
    rows = []
    for each in figures.values():
        asked = {
            name: value for name, value in filter_fields(each.where).items() if name != "sizes" or each.code == "sealed"
        }
        rows.append((each.title, "; ".join(f"{name}={_plain(value)}" for name, value in asked.items())))
    return _table([*rows, ("All of them", f"entries of {frozen}")])


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{body}</table>"


def _list(items: Sequence[str]) -> str:
    return _list_html(map(escape, items))


def _list_html(items: Iterable[str]) -> str:
    body = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{body}</ul>" if body else ""
