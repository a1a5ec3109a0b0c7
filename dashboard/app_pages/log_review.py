"""Log review answers: what must I sign this week, what stands out in it, and who signed the others."""

from __future__ import annotations

from urllib.parse import urlsplit

import deps
import links
import signoff
import streamlit as st
import viewer
import weeks
from components import first_run, frame, week_view
from formats import count, esc, zone_label
from roles import Action
from signoff import Opened, Review

from otel_audit.errors import ConfigError, StoreUnavailable
from otel_audit.model import EventType, Filter
from otel_audit.reports.log_review import Standing, Week

zone: str = st.session_state["_zone"]
_SIGNED_SHOWN = 12


def _queue(standings: list[Standing]) -> None:
    """Every week: first what waits, then what is signed."""
    frame.banner(weeks.banner(standings, zone), large=True)
    left = weeks.waiting(standings)
    if left:
        frame.section(
            "To review",
            "Oldest first. A week is due seven days after its end, in UTC.",
            week_view.listed([(each, None, None) for each in reversed(left)], zone),
        )
    running = [each for each in standings if each.state == "running"]
    if running:
        frame.section("Not over yet", "", week_view.listed([(each, None, None) for each in running], zone))
    signed = [each for each in standings if each.state == "signed"]
    if signed:
        place = st.container()
        is_long = len(signed) > _SIGNED_SHOWN
        if is_long and not st.toggle(f"Show all {len(signed):,} signed weeks", key="all_signed"):
            signed = signed[:_SIGNED_SHOWN]
        with place:
            frame.section(
                "Signed",
                f"Newest first. A signature is an entry of the ledger. {_times()}",
                week_view.listed([(each, *signoff.late(each)) for each in signed], zone),
            )
    st.html(
        '<p class="foot">A week runs from Monday to Sunday in UTC, and holds what happened in it. Nobody signs off '
        "their own accesses. The same on the command line: <code>otel-audit review-logs</code>.</p>"
    )


def _times() -> str:
    return f"Times are {zone_label(zone, deps.now_unix_nano())}."


def _nowhere(text: str) -> None:
    frame.title("Log review")
    st.html(
        f'<p class="lead">{esc(text)} <a href="/log-review" target="_self">See all weeks</a>, or write a week like '
        "<code>/log-review?week=2026-W47</code>.</p>"
    )


def _opened(week: Week) -> tuple[Opened, int]:
    """The week as it was when it was opened here, and when that was."""
    is_still_open = st.session_state["_before"] == st.session_state["_shown"]
    known: Opened | None = st.session_state.get("_week")
    if known is None or known.week != week or not is_still_open:
        known = Opened(week, tuple(deps.reader().ledgers()))
        st.session_state["_week"] = known
    return known, signoff.began(week, is_still_open=is_still_open)


def _week(name: str, standings: list[Standing]) -> None:
    try:
        week = Week.parse(name)
    except ConfigError:
        _nowhere(f"No week has the name {name}.")
        return
    standing = next((each for each in standings if each.week == week), None)
    if standing is None:
        _nowhere(f"{weeks.title(week)} has nothing to review: nothing was recorded then.")
        return
    viewer.record("VIEW", week.name, signoff.TARGET_TYPE)
    opened, began = _opened(week)
    found = signoff.review(opened, standing)
    frame.title(weeks.title(week), beside="Log review")
    _steps(week, standings)
    looks, nothing = weeks.split(found.found)
    kinds = f"<b>{len(looks)}</b> {'kind' if len(looks) == 1 else 'kinds'} of event to look at"
    st.html(
        f'<div class="sum" id="summary">{week_view.chip(standing.state)}<b>{found.events:,}</b> '
        f"{'event' if found.events == 1 else 'events'}, {kinds if looks else 'nothing that stands out'} "
        f'<span class="muted">· {esc(weeks.days(week))} (UTC)</span></div>'
    )
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        frame.section(
            "What stands out",
            "Each number leads to exactly these events. What you open there is recorded, as an access of today.",
            week_view.findings(looks),
        )
        if nothing:
            st.html(f'<p class="sub">There were none of these: {esc(", ".join(nothing))}.</p>')
    with right:
        _signature(found, standings, opened, began)


def _steps(week: Week, standings: list[Standing]) -> None:
    """The way to the weeks before and after, and back to all of them."""
    known = {each.week for each in standings}
    parts = ['<a href="/log-review" target="_self">All weeks</a>']
    for text, other in (("← {}", week.previous()), ("{} →", week.next())):
        if other in known:
            url = links.week_url(other.name)
            parts.append(f'<a href="{esc(url)}" target="_self">{esc(text.format(weeks.title(other)))}</a>')
    st.html(f'<nav class="steps" aria-label="Weeks">{"".join(parts)}</nav>')


def _signature(found: Review, standings: list[Standing], opened: Opened, began: int) -> None:
    """Who signed, and the way to sign: or why not, and who may."""
    standing, week = found.standing, opened.week
    frame.section("Signatures" if standing.sign_offs else "Sign-off", _times())
    if standing.sign_offs:
        st.html(week_view.sign_offs(standing, zone))
    if found.late:
        st.html(f'<p class="sub">{week_view.arrived(found.late, found.late_where)}. Signing again covers them.</p>')
    if signoff.settled(standing):
        signoff.arrived(week)
        st.html('<p class="sub">You signed this week. Nothing arrived in it since.</p>')
        return
    if not viewer.may(Action.SIGN_LOG_REVIEW):
        _say("person_off", "Your role reads log reviews, and does not sign them.")
        return
    if deps.now_unix_nano() < week.until:
        _say("schedule", f"This week is not over. It can be signed from {weeks.begins(week.until)} on, in UTC.")
        return
    if found.own or found.erased:
        _refusal(found, standings)
        return
    if signoff.is_under_way(week):
        _say(
            "outbox",
            "Your signature was sent, and the receiver has not acknowledged it yet. It is not lost: it waits on this "
            "machine, and is sent as soon as the receiver answers.",
        )
        st.button("Look again", icon=":material/refresh:", key="look_again")
        return
    try:
        signoff.receiver()
    except StoreUnavailable as exc:
        _without_receiver(str(exc))
        return
    if found.arrived:
        _say("update", f"{count(found.arrived, 'event')} of this week arrived since you opened it.")
        st.button("Look at them, too", icon=":material/refresh:", key="refresh", on_click=_forget)
    if standing.state == "signed" and not found.late:
        with st.expander("Sign it as well", icon=":material/signature:"):
            _form(opened, began)
    else:
        _form(opened, began)


def _forget() -> None:
    st.session_state.pop("_week", None)


def _say(icon: str, text: str, more: str = "") -> None:
    """One state in a sentence; ``more`` is HTML."""
    st.html(
        f'<div class="banner careful" role="status"><span class="ic" aria-hidden="true">{icon}</span>'
        f"<div>{esc(text)}{more}</div></div>"
    )


def _refusal(found: Review, standings: list[Standing]) -> None:
    """Why this person may not sign, and who may."""
    week = found.standing.week
    said = []
    if found.own:
        words = count(found.own, "access", "accesses")
        said.append(week_view.number("Your own accesses", found.own, found.own_where, words))
    if found.erased:
        erasures, words = week.filter(Filter(event_type=(EventType.ERASURE,))), count(found.erased, "erasure")
        said.append(week_view.number("Erasures of this week", found.erased, erasures, words))
    _say(
        "person_off",
        f"You may not sign this week, {viewer.name()}: ",
        f"{' and '.join(said)} of it {'is' if found.own + found.erased == 1 else 'are'} your own, and nobody signs off "
        "their own actions.",
    )
    may = weeks.who_may(standings, found.acted, viewer.name())
    known = f"{', '.join(may)}, who signed before; and anybody else" if may else "Anybody"
    st.html(
        f'<dl class="kv"><dt>May sign</dt><dd>{esc(known)} without an action of their own in this week</dd>'
        f"<dt>May not</dt><dd>{esc(weeks.people(found.acted))}, by their own actions</dd></dl>"
        '<p class="sub" style="margin-top:10px">Send a second person the way to this page:</p>'
    )
    here = urlsplit(st.context.url or "")
    frame.code(f"{here.scheme}://{here.netloc}{links.week_url(week.name)}")


def _without_receiver(reason: str) -> None:
    _say("cloud_off", "Nobody can sign just now: a signature is recorded through the receiver, and it does not answer.")
    st.html(
        f'<p class="sub">{esc(reason)}. Start it on this folder, then look again. Nothing was recorded, and what you '
        "see here stays as it is.</p>"
    )
    frame.code(deps.up_command())
    st.button("Look again", icon=":material/refresh:", key="look_again")


def _form(opened: Opened, began: int) -> None:
    now = deps.now_unix_nano()
    with st.form("sign", border=True):
        st.html(
            f'<h3 class="h">Sign as {esc(viewer.name())}</h3><p class="sub">You have this week '
            f"{esc(weeks.open_words(began, now, zone))}, and none of its accesses and erasures is yours. Both are "
            "recorded.</p>"
        )
        conclusion = st.text_area(
            "What do you conclude?",
            key="conclusion",
            placeholder="The exports were asked for by the works council. The loss was a restart, ticket 4821.",
            max_chars=4000,
            height=120,
        )
        is_sent = st.form_submit_button("Sign this week", type="primary", icon=":material/signature:", key="sign_now")
    if is_sent and not (conclusion or "").strip():
        st.error("Say what you conclude: a signature without words proves little.")
    elif is_sent:
        try:
            with st.spinner("Waiting until the receiver has it on disk"):
                signoff.sign(opened, conclusion)
        except (ConfigError, StoreUnavailable) as exc:
            st.error(str(exc))
        else:
            st.session_state.pop("_week", None)
            st.rerun()
    _holds(opened)


def _holds(opened: Opened) -> None:
    """What a signature is over, so that everybody can check it later."""
    heads = "".join(
        f"<dt>{esc(each.origin)}</dt><dd>{count(each.size, 'entry', 'entries')}, the last with hash "
        f"<code>{esc(each.last_hash_hex)}</code></dd>"
        for each in opened.ledgers
    )
    st.html(
        '<details><summary>What your signature holds</summary><p class="sub">An entry of the ledger with your name, '
        "the week, its findings in numbers, how long you had it open, your words, and the state of each ledger that "
        f'you saw here:</p><dl class="kv">{heads}</dl></details>'
    )


def _page() -> None:
    name = st.query_params.get("week", "").strip()
    standings = signoff.queue()
    if name:
        _week(name, standings)
        return
    st.session_state.pop("_week", None)
    frame.title("Log review", sub="Who looked over the trail itself, week by week, and signed for it.")
    if not standings:
        first_run.show()
        return
    _queue(standings)


_page()
