"""Reports answers: what evidence is there for SOC 2, HIPAA, the GDPR and the EU AI Act, and what it does not show."""

from __future__ import annotations

from datetime import date, timedelta

import controls
import deps
import links
import reporting
import streamlit as st
import viewer
from components import control_view, first_run, frame, scope_bar
from components.scope_bar import Sizes
from formats import count, esc, local
from presenters import CUSTOM

from otel_audit.model import Filter, Sight
from otel_audit.reports.compliance.page import LIMITS, sentence
from otel_audit.reports.compliance.report import Compliance

_PLACEHOLDER = "SOC 2 audit 2026, asked by the auditor"


@st.cache_data(ttl=60, max_entries=16, show_spinner="Counting what there is")
def _made(sight: Sight, code: str, where: Filter) -> tuple[Compliance, tuple[str, ...]]:  # noqa: ARG001 - of the key
    """Counted once a filter, which has the ledgers' sizes in it."""
    return reporting.made(code, where)


def _ask(sizes: Sizes) -> tuple[str, Filter]:
    """The standard and the filter, both in the URL. A report's days are days in UTC."""
    name = st.segmented_control(
        "Standard", list(controls.NAMES), default="SOC 2", required=True, key="standard", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small", key="scopebar")
    period = bar.segmented_control(
        "Period", list(controls.PERIODS), default=controls.USUAL_PERIOD, required=True, key="period",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    with bar.popover("Filters", icon=":material/tune:"):
        services = st.multiselect(
            "Service", scope_bar.choices("service", "service", sizes), key="service", bind="query-params"
        )
        environments = st.multiselect(
            "Environment", scope_bar.choices("environment", "env", sizes), key="env", bind="query-params"
        )
    today = local(deps.now_unix_nano(), "UTC").date()
    custom = _custom(today) if period == CUSTOM else None
    since, until = controls.bounds(period or controls.USUAL_PERIOD, today, custom)
    where = Filter(service=tuple(services), environment=tuple(environments), since=since, until=until, sizes=sizes)
    return controls.NAMES[name or "SOC 2"], where


def _custom(today: date) -> tuple[date, date]:
    columns = st.columns([2, 2, 6])
    first = columns[0].date_input("From (UTC)", today - timedelta(days=90), key="from", bind="query-params")
    last = columns[1].date_input("To (included, UTC)", today, key="to", bind="query-params")
    return first, last


def _period(report: Compliance) -> str:
    """The period in words, in UTC, for every reader of the report is the same."""
    begin = report.where.since if report.where.since is not None else report.first_unix_nano
    since = local(begin, "UTC").strftime("%-d %b %Y") if begin is not None else "the beginning"
    return f"{since} to {local(report.where.until or 0, 'UTC').strftime('%-d %b %Y, %H:%M')} (UTC)"


def _download(report: Compliance) -> None:
    """The panel that says what will be in the file, asks why, and links to it."""
    code, name = report.standard.code, report.standard.name
    st.html(
        f'<h2 class="h">Signed report for {esc(name)}</h2><p class="sub" style="max-width:34rem">'
        f"{count(report.events, 'event')}{esc(controls.narrow(report.where))}<br>{esc(_period(report))}</p>"
    )
    why = st.text_input(
        "Why are you making this report?",
        key="report_why",
        placeholder=_PLACEHOLDER,
        help="Stated in the report, and recorded in the ledger with who took it and when.",
    )
    is_verified = st.toggle(
        "Recompute everything first, and state what was found",
        key="report_verified",
        help="Takes as long as Verify now on Integrity. Else the report states what the receiver's own check found.",
    )
    reason, (key, _) = (why or "").strip(), reporting.key_or_why()
    st.link_button(
        "Download the signed report",
        links.report_url(code, report.where, why=reason, verified=is_verified),
        disabled=not (reason and key),
        type="primary",
        width="stretch",
        key="download",
    )
    st.caption(
        "A zip with a page to read and print, the same as JSON with the filter of each number, and a signature over "
        "both. Type the reason and press Enter."
    )


def _beside(report: Compliance, troubles: tuple[str, ...]) -> None:
    """What is missing, how to check the report, and what no report can say."""
    key, why_not = reporting.key_or_why()
    missing = controls.gaps(report, is_recording=viewer.recording(), why_no_key=why_not, weeks_url="/log-review")
    if missing:
        frame.section("Not set up here", "The report says so too.", control_view.gaps(missing))
    if troubles:
        frame.section("Anchors that can not be read", "", control_view.plain(troubles))
    frame.section(
        "Check it without this page",
        "Get the public keys from whoever runs the ledger, by another way than the report.",
    )
    frame.code(reporting.check_commands(controls.file_name(report.standard.code)))
    if key:
        st.html(
            f'<p class="sub">Signed with the key <code>{esc(key)}</code>. '
            "docs/how-to/reports.md has the same check in Python, without this program.</p>"
        )
    frame.section("What no report says", "", control_view.plain(LIMITS))


def _page() -> None:
    sizes = deps.reader().sizes()
    head, actions = st.columns([3, 2], vertical_alignment="bottom")
    with head:
        frame.title(
            "Reports", sub="What a standard asks, what evidence the trail holds for it, and what it does not show."
        )
    if not sizes:
        first_run.show()
        return
    code, where = _ask(sizes)
    if where.since is not None and where.until is not None and where.since >= where.until:
        st.html('<p class="lead">This period ends before it begins. Choose another.</p>')
        return
    report, troubles = _made(viewer.sight(), code, where)
    with actions.container(horizontal=True, horizontal_alignment="right"):  # noqa: SIM117 - as the layout nests
        with st.popover("Download", icon=":material/download:", type="primary"):
            _download(report)
    st.html(
        f'<div class="sum" id="summary">{esc(sentence(report))} <span class="muted">· {count(report.events, "event")}'
        f"{esc(controls.narrow(report.where))} · {esc(_period(report))}</span></div>{control_view.states(report)}"
    )
    left, right = st.columns([1.6, 1], gap="large")
    with left:
        frame.section(
            "What is asked, and what there is",
            f"{report.standard.source}, in our words and as short as they can be. Each number leads to its events.",
            control_view.answers(report),
        )
    with right:
        _beside(report, troubles)


_page()
