"""Integrity answers: can I trust this record."""

from __future__ import annotations

from collections.abc import Sequence

import deps
import links
import streamlit as st
import trust
import viewer
from components import frame
from formats import count, duration, esc, moment, short_hash, zone_label
from roles import Action

from otel_audit.errors import ConfigError
from otel_audit.model import EventType, Filter, Finding

zone: str = st.session_state["_zone"]
_SHOWN_FINDINGS = 50


def _verify() -> None:
    """Recompute everything, with a bar that moves with the rows read."""
    bar = st.progress(0.0, text="Reading the ledger")

    def tell(done: int, total: int) -> None:
        share = min(1.0, done / total) if total else 1.0
        bar.progress(share, text=f"Recomputed {done:,} of {total:,} entries and texts")

    report = deps.verify(tell)
    bar.empty()
    st.session_state["_report"] = (report, deps.now_unix_nano())
    entries = sum(ledger.size for ledger in report.ledgers)
    outcome = "success" if report.status == "ok" else "failure"
    viewer.record("VERIFY", "ledger", "ledger", row_count=entries, outcome=outcome, always=True)


def _standing() -> None:
    ledgers = deps.reader().ledgers()
    newest = [ledger.checkpoint.created_unix_nano for ledger in ledgers if ledger.checkpoint]
    at = f"{moment(max(newest), zone)} ({zone_label(zone, max(newest))})" if newest else ""
    slot = st.empty()
    if viewer.may(Action.VERIFY) and st.button(
        "Verify now", type="primary", icon=":material/fact_check:", key="verify"
    ):
        _verify()
    kept = st.session_state.get("_report")
    with slot.container():
        if kept is None:
            frame.banner(trust.standing_banner(ledgers, at), large=True)
            return
        report, verified_at = kept
        frame.banner(
            trust.report_banner(report.status, sum(each.size for each in report.ledgers), report.findings), large=True
        )
        against = "and the anchors" if report.anchors_compared else "without anchors: none are known here"
        st.html(
            f'<p class="sub" style="margin:0">Verified {esc(moment(verified_at, zone))} '
            f"({esc(zone_label(zone, verified_at))}) against the ledger's own checkpoints {against}.</p>"
        )


def _findings() -> None:
    kept = st.session_state.get("_report")
    findings: Sequence[Finding] = kept[0].findings if kept else ()
    if not findings:
        return
    items = "".join(_finding(finding) for finding in findings[:_SHOWN_FINDINGS])
    more = len(findings) - _SHOWN_FINDINGS
    rest = f'<p class="sub">{count(more, "more finding")}: run the command below to list all.</p>' if more > 0 else ""
    sub = "Keep everything as it is until somebody has looked at it." if any(map(trust.is_alarm, findings)) else ""
    frame.section("What was found", sub, f'<ol class="findings">{items}</ol>{rest}')


def _finding(finding: Finding) -> str:
    link, detail = "", finding.detail
    if finding.seq is not None:
        entry = deps.reader().entry(finding.origin, finding.seq)
        if entry is None and not viewer.person().sees_whole:
            detail = "It is outside of the part of the record that you see."
        if entry and entry["task_id"]:
            url = links.task_url(entry["task_id"], origin=finding.origin, seq=finding.seq)
            link = f' <a href="{esc(url)}" target="_self">Open task {esc(entry["task_id"])}</a>'
    where = f"entry {finding.seq:,}" if finding.seq is not None else "the whole ledger"
    where += f", column {finding.column}" if finding.column else ""
    tone = "problem" if trust.is_alarm(finding) else "escalation"
    return (
        f'<li class="t-{tone}"><b>{esc(trust.meaning(finding.code))}</b>{link}<br>'
        f'<span class="muted">{esc(finding.code)} · {esc(where)} · {esc(finding.origin)}<br>'
        f"{esc(detail)}</span></li>"
    )


def _ledgers() -> None:
    reading = deps.anchored()
    cards = []
    for ledger in deps.reader().ledgers():
        newest = ledger.checkpoint
        sizes = (
            [trust.claimed_size(each.note) for each in reading.checkpoints if each.origin == ledger.origin]
            if reading
            else []
        )
        figures = [("Entries", f"{ledger.size:,}", f"newest {moment(ledger.last_recorded_unix_nano, zone)}")]
        if newest:
            made = f"{moment(newest.created_unix_nano, zone)}, root {short_hash(newest.root_hash_hex)}"
            figures.append(("Under a signed checkpoint", f"{newest.size:,}", made))
        else:
            figures.append(("Under a signed checkpoint", "0", "none was made yet"))
        if sizes:
            open_tail = max(0, ledger.size - max(sizes))
            figures.append(("Under an anchor", f"{max(sizes):,}", deps.anchor_place()))
            note = _tail_words(ledger.origin, max(sizes)) if open_tail > 0 else "everything is anchored"
            figures.append(("Not anchored yet", f"{open_tail:,}", note))
        else:
            figures.append(("Under an anchor", "0", "no anchor folder is known here"))
        for state in deps.witnesses():
            if state.origin == ledger.origin:
                how = f"{state.trouble} since {state.since}: {state.problem}" if state.trouble else state.cosigned_at
                figures.append((f"Cosigned by {state.witness}", f"{state.cosigned_size:,}", how))
        body = "".join(f"<div>{esc(name)}<b>{esc(value)}</b>{esc(note)}</div>" for name, value, note in figures)
        cards.append(f'<div class="card"><code>{esc(ledger.origin)}</code><div class="figures">{body}</div></div>')
    body = "".join(cards) or '<p class="sub">There is no ledger yet.</p>'
    frame.section("Ledgers", "A ledger is a sequence of entries, each bound to all before it by a hash.", body)


def _rechecked() -> None:
    try:
        state = deps.recheck_state()
    except ConfigError as exc:
        st.warning(str(exc))
        return
    if not state.checked_unix_nano:
        return
    at = moment(state.checked_unix_nano, zone)
    if state.status == "ok":
        st.caption(f"Checked by itself at {at}: nothing was altered in {count(state.entry_count, 'entry', 'entries')}.")
    else:
        st.error(f"Checked by itself at {at}: {state.status}. {', '.join(state.codes)}")


def _anchors() -> None:
    try:
        states = deps.anchor_states()
    except ConfigError as exc:
        frame.section("Anchors out of reach", str(exc))
        return
    if not states:
        return
    now = deps.now_unix_nano()
    rows = "".join(_anchor_row(state, now) for state in states)
    head = "".join(
        f'<th style="text-align:left">{name}</th>' for name in ("Anchor", "Last success", "Behind", "Problem")
    )
    body = f'<div class="card" style="overflow-x:auto"><table><tr>{head}</tr>{rows}</table></div>'
    frame.section("Anchors out of reach", "Copies and timestamps of checkpoints that nobody here can rewrite.", body)


def _anchor_row(state: deps.AnchorState, now: int) -> str:
    success = moment(state.last_success_unix_nano, zone) if state.last_success_unix_nano else "never"
    behind = "no"
    if state.lag_entries:
        behind = f"{count(state.lag_entries, 'entry', 'entries')}, for {duration(state.lag_seconds(now))}"
    if state.pending:
        success += f"; {count(state.pending, 'proof')} pending until a block has them"
    cells = (f"{state.name} ({state.kind})", success, behind, state.last_error or "none")
    return "<tr>" + "".join(f"<td>{esc(cell)}</td>" for cell in cells) + "</tr>"


def _tail_words(origin: str, anchored: int) -> str:
    """Since when entries wait for an anchor: until then they could be rewritten unnoticed."""
    entry = deps.reader().entry(origin, anchored)
    if entry is None and not viewer.person().sees_whole:
        return "could be rewritten unnoticed until anchored"
    if entry is None:
        return "the first of them is missing: press Verify now"
    return f"since {moment(entry['recorded_at'], zone)}; could be rewritten unnoticed until anchored"


def _known_gaps() -> None:
    if not viewer.person().sees_whole:
        frame.section("Known gaps", "What is missing can only be told to those who see all of the record.")
        return
    reader = deps.reader()
    losses = reader.count(Filter(event_type=(EventType.LOSS,))).events
    unknown = reader.unrecognised()
    loss_link = f'<a href="{esc(links.search_url(other="Loss", period="All"))}" target="_self">Show them</a>'
    lost = (
        f"{count(losses, 'loss')} recorded. {loss_link}" if losses == 1 else f"{losses:,} losses recorded. {loss_link}"
    )
    items = [lost if losses else "No losses recorded."]
    if unknown:
        scopes = ", ".join(f"{scope or 'no name'} ({number:,})" for scope, number in unknown.items())
        number = sum(unknown.values())
        verb = "looks like an AI call" if number == 1 else "look like AI calls"
        items.append(
            f"{count(number, 'record')} {verb} of a convention this version does not know: "
            f"{esc(scopes)}. They are stored and searchable as technical spans."
        )
    else:
        items.append("Every record that looks like an AI call was recognised.")
    body = f'<ul class="proof">{"".join(f"<li>{item}</li>" for item in items)}</ul>'
    frame.section("Known gaps", "What the receiver knows that it did not get, or did not understand.", body)


def _offline() -> None:
    frame.section("Verify without this page", "The same check on the command line; it works while the receiver runs.")
    frame.code(deps.verify_command())
    st.caption("For others: a task's evidence bundle brings the proofs, and a program that checks them.")
    frame.section(
        "What this proves",
        "",
        '<ul class="proof"><li>No entry that is under a checkpoint was changed, removed, added or moved since.</li>'
        "<li>Every text that is shown is the text that was recorded.</li>"
        "<li>With an anchor out of the operator's reach, nobody could rewrite history up to it, whoever they are.</li>"
        "</ul>",
    )
    frame.section(
        "What it can not prove",
        "",
        '<ul class="proof"><li>That an event was true, or that a person meant what they recorded.</li>'
        "<li>That an event which was never sent is missing.</li>"
        "<li>What somebody with the signing key did before the first anchor outside of their reach.</li></ul>",
    )


frame.title("Integrity", sub="Whether what is stored is what was recorded.")
_standing()
left, right = st.columns([1.25, 1], gap="large")
with left:
    _findings()
    _ledgers()
    _rechecked()
    _anchors()
with right:
    _known_gaps()
    _offline()
