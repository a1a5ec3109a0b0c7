"""Reviewer activity answers: is human review real."""

from __future__ import annotations

from dataclasses import replace

import deps
import gather
import links
import reviewing
import streamlit as st
import viewer
from components import figures_view as show
from components import first_run, frame, plots, scope_bar, story_view
from formats import count, duration, esc, moment, sentence_case
from measures import MIN_N, Figure, scope_words
from words import decision_word

from otel_audit.model import EventType, Filter, Sight
from otel_audit.reports.reviews import QUICK_FLOOR, WORDS_PER_MINUTE

zone: str = st.session_state["_zone"]
_FIELDS = (
    ("Kind of task", "task_kind", "kind", "task_kind"),
    ("AI model", "asked_model", "model", "task_asked_model"),
    ("Service", "service", "service", "service"),
    ("Environment", "environment", "env", "environment"),
    ("Reviewer", "reviewer_id", "reviewer", "reviewer_id"),
)


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def _reviews(sight: Sight, where: Filter, floor: int, wpm: int, zone_name: str) -> gather.Reviews:  # noqa: ARG001 - what may be seen is part of the key
    """Counted once a filter, which has the ledgers' sizes in it."""
    return gather.reviews(where, floor, wpm, zone_name)


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def _charts(
    sight: Sight,  # noqa: ARG001 - as above
    where: Filter,  # noqa: ARG001 - what the sets of _found are made from
    zone_name: str,
    _found: gather.Reviews,
) -> gather.ReviewCharts:
    return gather.review_charts(_found.behind, zone_name)


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def _groups_of(
    sight: Sight,  # noqa: ARG001 - what may be seen is part of the key
    where: Filter,
    by: str,
    _found: gather.Reviews,
) -> list[tuple[str, list[Figure]]]:
    return gather.review_groups(where, by, _found.first)  # what belongs to the filter is no part of the cache's key


def _rule() -> None:
    """What counts as unusually quick: set by whoever looks, and part of the URL."""
    with st.popover("Quick rule", icon=":material/speed:"):
        st.number_input(
            "Shortest plausible review, in seconds", 0, 600, QUICK_FLOOR, key="floor", bind="query-params", step=1
        )
        st.number_input(
            "Fastest plausible reading, in words a minute", 50, 2000, WORDS_PER_MINUTE, key="wpm", bind="query-params",
            step=50,
        )  # fmt: skip


def _purpose(people: tuple[str, ...]) -> bool:
    """Ask why single people are looked at, before their figures are read; whoever shares the URL is asked too."""
    if not people:
        return True
    why = st.text_input(
        "Why are you looking at one person's reviews?",
        key="person_why",
        placeholder="Complaint 4821, asked by the works council, training need",
        help="Recorded in the ledger with who you are. Without a reason nothing about the person is shown.",
    )
    if not (why or "").strip():
        st.html(
            '<p class="lead">Figures about a person are personal data. Say what they are for, then press Enter: the '
            "reason is recorded.</p>"
        )
        return False
    for person in people:
        viewer.record("VIEW", person, "reviewer", purpose=(why or "").strip())
    return True


def _head(head: reviewing.Overview) -> None:
    median, ninetieth = head.active
    wait, wait_ninetieth = head.wait
    show.cards(
        (
            show.card("Reviews decided", head.decided, f"in {count(head.tasks, 'task')}"),
            show.card("Active time, median", median, _ninetieth(ninetieth, "review")),
            show.card("Wait in the queue, median", wait, _ninetieth(wait_ninetieth, "review")),
            show.card(
                "Decided per active day", head.throughput, f"on {count(head.throughput.n, 'day')} with a decision"
            ),
            show.card("First-pass rate", head.first_pass, show.of_n(head.first_pass, "first decision")),
            show.card("Override rate", head.overrides, show.of_n(head.overrides, "review")),
            show.card("Same decision", head.together, show.of_n(head.together, "task")),
            show.card("Unusually quick", head.quick, "recorded, not blocked"),
        )
    )


def _ninetieth(figure: Figure, noun: str) -> str:
    said = f"of {count(figure.n, noun)}"
    return f"9 in 10 under {figure.words} · {said}" if figure.value is not None else said


def _times(found: gather.Reviews, charts: gather.ReviewCharts) -> None:
    left_right = st.columns(2, gap="large")
    for slot, of, counted, tone, figure, title, sub in (
        (left_right[0], "active", charts.active, "review", found.head.active[0], "How long people look",
         "Active time from opening to decision, without pauses."),
        (left_right[1], "wait", charts.wait, "escalation", found.head.wait[0], "How long work waits",
         "From being ready for a person until somebody opened it."),
    ):  # fmt: skip
        with slot:
            frame.section(title, f"{sub} {count(figure.n, 'review')}.")
            bars = reviewing.spread(counted, of)
            if figure.n < MIN_N:
                st.html(f'<p class="sub">{count(figure.n, "review")} with a time: too few for a distribution.</p>')
            else:
                plots.distribution(bars, tone, f"{of}_spread", "Reviews", f"{title}: {figure.n:,} reviews by length")


def _decisions(where: Filter, found: gather.Reviews, hours: list[tuple[int, int, int]]) -> None:
    left, right = st.columns([1.25, 1], gap="large")
    counts = found.counts()
    pieces, step = reviewing.per_day(found.decisions)
    with left:
        unit = "day" if step == 1 else "week"
        frame.section(
            "What was decided", f"Reviews by {unit} of the decision. {count(sum(counts.values()), 'review')}."
        )
        names = [name for name in dict.fromkeys((*reviewing.DECISIONS, *counts)) if counts.get(name)]
        labels = [decision_word(name) if name else "No decision" for name in names]
        tones = [reviewing.tone(name)[0] for name in names]
        show.chips(
            show.chip(reviewing.tone(each.group)[1], reviewing.tone(each.group)[0], each.name, each)
            for each in reviewing.decision_figures(counts, where)
        )
        plots.stacked_days(pieces, labels, tones, "decisions", f"Reviews by {unit} and decision")
    with right:
        number = sum(each for _, _, each in hours)
        frame.section("When people decide", f"By weekday and hour, {_zone_words()}. {count(number, 'review')}.")
        plots.hours(hours, "hours", f"{number:,} reviews by weekday and hour")


def _zone_words() -> str:
    return "UTC" if zone == "UTC" else f"{zone.rsplit('/', maxsplit=1)[-1].replace('_', ' ')} time"


def _groups(where: Filter, found: gather.Reviews) -> None:
    frame.section("Compare", "In alphabetical order. Groups differ in what they are given, so this ranks nobody.")
    chosen = st.segmented_control(
        "Compare by",
        list(reviewing.GROUPS),
        default="Kind of task",
        required=True,
        key="by",
        bind="query-params",
        label_visibility="collapsed",
    )
    lines = _groups_of(viewer.sight(), where, reviewing.GROUPS[chosen or "Kind of task"], found)
    if not lines:
        st.html('<p class="sub">Nothing to compare.</p>')
        return
    show.table(
        [chosen or "", "Reviews", "Active time, median", "90th percentile", "First-pass rate", "Override rate"],
        ([esc(sentence_case(name) or "not said"), *(_cell(each) for each in figures)] for name, figures in lines),
        f"Reviews by {chosen}",
    )


def _cell(figure: Figure) -> str:
    small = f"<br><small>n = {figure.n:,}</small>" if figure.unit != "count" and figure.value is not None else ""
    return show.linked(figure) + small


def _agreement(found: gather.Reviews) -> None:
    head = found.head
    frame.section(
        "Do people agree?",
        f"{count(head.together.n, 'task')} that two or more people decided on. Handing on is no decision here.",
    )
    if not head.together.n:
        st.html(
            '<p class="sub">No task was decided by two people. Give some of them to a second person '
            "(<code>second_opinion_of</code>), and this says how far decisions depend on who makes them.</p>"
        )
        return
    show.cards(
        (
            show.card("Same decision", head.together, show.of_n(head.together, "task")),
            show.card("Krippendorff's alpha", head.alpha, show.of_n(head.alpha, "task")),
            show.card("Cohen's kappa", head.kappa, show.of_n(head.kappa, "task")),
        )
    )
    st.html(f'<p class="sub">{esc(reviewing.agreement_words(head.alpha))} 1 is full agreement, 0 is chance.</p>')
    names, table = reviewing.pairs(found.double)
    show.table(
        ["First person, then second", *map(decision_word, names)],
        ([esc(decision_word(one)), *(f"{table.get((one, other), 0):,}" for other in names)] for one in names),
        "First against second person's decision, in tasks",
    )


def _escalations(where: Filter, found: gather.Reviews, total: int) -> None:
    columns, lines = reviewing.outcomes(found.escalated, where)
    figure = Figure("Escalations", "Escalations", total, "count", total, found.behind["escalations"])
    frame.section("What escalation leads to", "The reason it was handed on, and what the next person decided.")
    if not lines:
        st.html('<p class="sub">Nothing was handed on.</p>')
        return
    noun = "escalation" if total == 1 else "escalations"
    st.html(f'<p class="sub"><b>{show.linked(figure)}</b> {noun}. One with two reasons stands in both lines.</p>')
    show.table(
        ["Reason", *(decision_word(each) if each else "Not decided yet" for each in columns)],
        ([esc(code or "no reason given"), *(show.linked(each) for each in cells)] for code, cells in lines),
        "Escalations by reason and next decision",
    )


def _quick(found: gather.Reviews, floor: int, wpm: int) -> None:
    figure = found.head.quick
    frame.section(
        "Unusually quick",
        f"Decided in less than {floor} s, or faster than its text can be read at {wpm} words a minute, whichever is "
        "longer. It may have good reasons: this is recorded, not blocked, and names nobody.",
    )
    if not figure.value:
        st.html('<p class="sub">None in this period.</p>')
        return
    st.html(
        f'<p class="sub"><b>{show.linked(figure)}</b> of {count(figure.n, "decided review")}; the newest '
        "are below. Select the number to see and export all.</p>"
    )
    lines = []
    for each in found.quick:
        url = links.task_url(each.task_id, origin=each.origin, seq=each.seq)
        name = f'<a href="{esc(url)}" target="_self">{esc(each.task_id)}</a>' if each.task_id else "no task"
        needs = reviewing.reading_seconds(each.tokens, floor, wpm)
        words = round(each.tokens * reviewing.WORDS_PER_TOKEN)
        lines.append(
            [
                name,
                esc(moment(each.end_time, zone)),
                esc(sentence_case(each.task_kind) or "not said"),
                esc(decision_word(each.decision)),
                f"{words:,}" if each.tokens else "not known",
                duration(needs),
                f"<b>{duration(each.seconds)}</b>",
            ]
        )
    show.table(
        ["Task", "Decided", "Kind", "Decision", "Words, about", "Expected at least", "Took"],
        lines,
        "Unusually quick reviews, newest first",
        words=(1, 2, 3),
    )


def _page() -> None:
    reader = deps.reader()
    sizes = reader.sizes()
    head, actions = st.columns([3, 2], vertical_alignment="bottom")
    with head:
        frame.title("Reviewer activity", sub="Whether people really look before they decide, as a whole and over time.")
    if not sizes:
        first_run.show()
        return
    scope = scope_bar.ask(sizes, zone, _FIELDS, _rule)
    where = scope.where
    floor, wpm = int(st.session_state["floor"]), int(st.session_state["wpm"])
    if not _purpose(tuple(where.reviewer_id)):
        return
    events, first, last = deps.analytics().extent(where, (EventType.REVIEW,))
    period = scope.period(first, last, zone)
    if not events:
        st.html(f'<div class="sum" id="summary"><b>0</b> reviews{esc(scope_bar.matching(where))} '
                f'<span class="muted">· {esc(period)}</span></div>')  # fmt: skip
        scope_bar.nothing("reviews")
        return
    found = _reviews(viewer.sight(), where, floor, wpm, zone)
    charts = _charts(viewer.sight(), where, zone, found)
    with actions.container(horizontal=True, horizontal_alignment="right"):
        drawer = st.popover("Export", icon=":material/download:", type="primary", key="export", on_change="rerun")
        if drawer.open:
            behind = replace(where, event_type=(EventType.REVIEW, EventType.ESCALATION))
            with drawer:
                scope_bar.export(
                    page="reviewers",
                    where=found.behind["quick"],
                    events=behind,
                    rows=reader.count(behind).events,
                    said="; ".join(scope_words(where)),
                    period=period,
                    zone=zone,
                )
    st.html(
        f'<div class="sum" id="summary">{story_view.strong(reviewing.lead(found.head))}'
        f'{esc(scope_bar.matching(where))} <span class="muted">· {esc(period)}</span></div>'
    )
    _head(found.head)
    _times(found, charts)
    _decisions(where, found, charts.hours)
    _groups(where, found)
    _agreement(found)
    _escalations(where, found, charts.escalations)
    _quick(found, floor, wpm)
    st.html(
        f'<p class="foot">A figure needs at least {MIN_N} reviews. Each number is a link to the events behind it. '
        "Reviews count by when they were opened, in tasks and services as recorded; none counts twice.</p>"
    )


_page()
