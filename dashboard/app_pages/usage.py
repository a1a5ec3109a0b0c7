"""AI usage answers: which models, how often, how wrong."""

from __future__ import annotations

from collections.abc import Mapping

import deps
import gather
import streamlit as st
import using
import viewer
from components import figures_view as show
from components import first_run, frame, plots, prices_panel, scope_bar, story_view
from formats import count, esc
from measures import MIN_N, Figure, scope_words
from using import Cost

from otel_audit.errors import ConfigError
from otel_audit.model import Called, Filter, Sight
from otel_audit.reports.prices import PriceTable

zone: str = st.session_state["_zone"]
_FIELDS = (
    ("AI model", "asked_model", "model", "asked_model"),
    ("Model version", "answering_model", "version", "answering_model"),
    ("Prompt", "prompt_name", "promptname", "prompt_name"),
    ("Prompt version", "prompt_version", "prompt", "prompt_version"),
    ("Service", "service", "service", "service"),
    ("Kind of task", "task_kind", "kind", "task_kind"),
    ("Environment", "environment", "env", "environment"),
)


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def _usage(sight: Sight, where: Filter, zone_name: str, prices: PriceTable | None) -> gather.Usage:  # noqa: ARG001 - what may be seen is part of the key
    """Counted once a filter, which has the ledgers' sizes in it, and once a price table."""
    return gather.usage(where, zone_name, prices)


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def _groups_of(
    sight: Sight,  # noqa: ARG001 - what may be seen is part of the key
    where: Filter,
    by: str,
    prices: PriceTable | None,  # noqa: ARG001 - a part of the cache's key
    _found: gather.Usage,  # no part of it: belongs to the filter and the prices
) -> list[tuple[Called, list[Figure]]]:
    return gather.usage_groups(where, by, _found)


def _prices() -> PriceTable | None:
    """The operator's prices; a file that can not be read is told, and the page goes on without."""
    try:
        return gather.prices()
    except ConfigError as exc:
        st.html(
            '<div class="banner careful" role="status"><span class="ic" aria-hidden="true">warning</span>'
            f"<div><b>The prices can not be read.</b> {esc(exc)}</div></div>"
        )
        return None


def _head(found: gather.Usage) -> None:
    calls, errors, median, ninetieth, tokens_in, tokens_out = found.calls
    _, edited, rejected = found.humans
    slow = f"9 in 10 under {ninetieth.words} · " if ninetieth.value is not None else ""
    show.cards(
        (
            show.card("AI calls", calls, f"in {count(found.called.tasks, 'task')}, each counted once"),
            show.card("Error rate", errors, show.of_n(errors, "call")),
            show.card("Latency, median", median, f"{slow}of {count(median.n, 'call')}"),
            show.card("Tokens read", tokens_in, f"input, of {count(tokens_in.n, 'call')}"),
            show.card("Tokens written", tokens_out, f"output, of {count(tokens_out.n, 'call')}"),
            show.card("Cost", found.cost, _cost_note(found.costs, found.prices)),
            show.card("Edit rate", edited, show.of_n(edited, "first decision")),
            show.card("Reject rate", rejected, show.of_n(rejected, "first decision")),
        )
    )


def _cost_note(costs: Mapping[str, Cost], prices: PriceTable | None) -> str:
    if prices is None:
        return "no prices yet: see below"
    unpriced = sum(each.unpriced for each in costs.values())
    return f"{unpriced:,} tokens have no price" if unpriced else "every token has a price"


def _days(found: gather.Usage) -> None:
    pieces, step = using.days(found.by_day)
    unit = "day" if step == 1 else "week"
    frame.section("How much it is used", f"AI calls by {unit}. {count(found.called.calls, 'call')}.")
    failed = Figure("Days", "Failed", found.called.failed, "count", found.called.failed, found.calls[1].where)
    answered = found.called.calls - found.called.failed
    show.chips(
        (
            show.chip("auto_awesome", "ai", "Answered", Figure("Days", "Answered", answered, "count", answered)),
            show.chip("error", "problem", "Failed", failed),
        )
    )
    plots.stacked_days(pieces, ["Answered", "Failed"], ["ai", "problem"], "calls", f"AI calls by {unit}")


def _groups(where: Filter, found: gather.Usage) -> None:
    frame.section(
        "Compare",
        "In alphabetical order. Edited and rejected are shares of the first decisions on the drafts; a task that two "
        "of a list answered counts for both.",
    )
    chosen = st.segmented_control(
        "Compare by",
        list(using.GROUPS),
        default="AI model",
        required=True,
        key="by",
        bind="query-params",
        label_visibility="collapsed",
    )
    lines = _groups_of(viewer.sight(), where, using.GROUPS[chosen or "AI model"], found.prices, found)
    show.table(
        [
            chosen or "", "Calls", "Errors", "Latency, median", "90th percentile", "Tokens in", "Tokens out", "Cost",
            "Reviewed", "Edited", "Rejected",
        ],
        ([esc(using.group_words(calls.group)), *(_cell(each) for each in figures)] for calls, figures in lines),
        f"AI usage by {chosen}",
    )  # fmt: skip


def _cell(figure: Figure) -> str:
    if figure.name == "Cost" and figure.value is None:
        return "no price"
    small = f"<br><small>n = {figure.n:,}</small>" if figure.unit == "share" and figure.value is not None else ""
    return show.linked(figure) + small


def _calibration(found: gather.Usage) -> None:
    n = found.calibration.n
    frame.section(
        "Does its confidence mean anything?",
        f"Stated confidence against what people decided first. {count(n, 'reviewed answer')} with a confidence.",
    )
    st.html(f'<p class="lead">{esc(using.calibration_words(found.bins))}</p>')
    line = using.curve(found.bins)
    if line:
        plots.reliability(using.points(line), "calibration", f"Reliability curve of {n:,} reviewed answers")
    st.html(
        '<p class="sub">On the dashed line it would be exactly as sure as it is right. Dots are tenths of confidence '
        f"with at least {MIN_N} answers, larger for more; lines are 95 % intervals. Kept means neither rejected nor "
        f"overridden. Distance from the line, on average: <b>{show.linked(found.calibration)}</b>.</p>"
    )


def _drift(found: gather.Usage) -> None:
    changed, sure = using.weekly_change(found.decisions), using.weekly_confidence(found.by_day)
    n = sum(number for _, _, number in found.decisions)
    frame.section("Does it change over time?", f"By week. Edited or rejected: {count(n, 'first decision')}.")
    if changed:
        plots.trend(changed, "review", "drift_changed", "Share edited or rejected by week", form=".0%", title="Changed")
    else:
        st.html(f'<p class="sub">No week has {MIN_N} first decisions.</p>')
    stated = int(sum(row["stated"] for row in found.by_day))
    st.html(f'<p class="sub">Mean confidence that the AI stated: {count(stated, "call")} with a confidence.</p>')
    if sure:
        plots.trend(sure, "ai", "drift_confidence", "Mean stated confidence by week", form=".0%", title="Confidence")


def _compare(where: Filter, found: gather.Usage) -> None:
    frame.section("Before and after", "Two versions of a prompt, or two models, side by side with what people did.")
    left, middle, right = st.columns([1, 1, 1])
    with left:
        kind = st.segmented_control(
            "What changed",
            ["Prompt version", "Model version"],
            default="Prompt version",
            required=True,
            key="change",
            bind="query-params",
        )
    by = using.GROUPS[kind or "Prompt version"]
    lines = _groups_of(viewer.sight(), where, by, found.prices, found)
    groups = [calls for calls, _ in lines]
    words = {using.group_words(each.group): each.group for each in groups if each.group.strip()}
    pair = using.default_pair(groups)
    if pair is None or len(words) < 2:
        st.html('<p class="sub">There is only one in this period, so there is nothing to compare.</p>')
        return
    names = list(words)
    # A choice of the other kind may still be in the session: it is not among these names.
    for key, default in (("before", pair[0]), ("after", pair[1])):
        if st.session_state.get(key) not in words and key not in st.query_params:
            st.session_state[key] = using.group_words(default)
    with middle:
        one = st.selectbox("Before", names, key="before", bind="query-params")
    with right:
        two = st.selectbox("After", names, key="after", bind="query-params")
    figures = {calls.group: line for calls, line in lines}
    before, after = figures[words[one or names[0]]], figures[words[two or names[-1]]]
    show.table(
        ["", "Before", "After", "Change"],
        (
            [esc(old.name), _cell(old), _cell(new), esc(using.change_words(old, new))]
            for old, new in zip(before, after, strict=True)
        ),
        f"{one} and {two}",
    )


def _page() -> None:
    sizes = deps.reader().sizes()
    head, actions = st.columns([3, 2], vertical_alignment="bottom")
    with head:
        frame.title("AI usage", sub="Which models and prompts work here, how well, and what people make of the drafts.")
    if not sizes:
        first_run.show()
        return
    scope = scope_bar.ask(sizes, zone, _FIELDS)
    where = scope.where
    events, first, last = deps.analytics().extent(where, using.TYPES)
    period = scope.period(first, last, zone)
    if not events:
        st.html(f'<div class="sum" id="summary"><b>0</b> AI calls{esc(scope_bar.matching(where))} '
                f'<span class="muted">· {esc(period)}</span></div>')  # fmt: skip
        scope_bar.nothing("AI calls")
        return
    found = _usage(viewer.sight(), where, zone, _prices())
    with actions.container(horizontal=True, horizontal_alignment="right"):  # noqa: SIM117 - as the layout nests
        with st.popover("Export", icon=":material/download:", type="primary"):
            scope_bar.export(
                page="usage",
                where=where,
                events=using.calls_where(where),
                rows=found.called.calls,
                said="; ".join(scope_words(where)),
                period=period,
                zone=zone,
            )
    st.html(
        f'<div class="sum" id="summary">{story_view.strong(using.lead(found.called, found.humans))}'
        f'{esc(scope_bar.matching(where))} <span class="muted">· {esc(period)}</span></div>'
    )
    _head(found)
    _days(found)
    _groups(where, found)
    left, right = st.columns(2, gap="large")
    with left:
        _calibration(found)
    with right:
        _drift(found)
    _compare(where, found)
    models = sorted(filter(None, found.costs), key=lambda name: (not found.costs[name].unpriced, name))
    prices_panel.show_prices(found.prices, models)
    st.html(
        f'<p class="foot">A rate or percentile needs at least {MIN_N}. Each number links to its events. A '
        "call that several reported counts once.</p>"
    )


_page()
