"""From what the API records, over OTLP, to the sentences that people read: timeline, verdict and dashboard."""

from __future__ import annotations

import json
from typing import Any

import story
import words
from components import story_view
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_audit import semconv
from otel_audit.receiver.decode import Decoder
from otel_audit.reports import narrate, reviews
from otel_audit.reports._tables import timeline_lines
from tests.unit.dashboard_rows import row
from tests.unit.recording import Recording


def rows(recording: Recording) -> list[dict[str, Any]]:
    """The recorded events as the reader gives them, in the order of the story."""
    request = encode_spans(recording.spans).SerializeToString()
    events = Decoder(b"k" * 32).traces(request, recording.clock.now).events
    found = [
        row(seq=seq, **{name: dict(value) if name.startswith("attributes") else value  # maps come back as dicts
                        for name, value in event.columns.items()}) | {"content": event.content}
        for seq, event in enumerate(events)
    ]  # fmt: skip
    return story.in_order(found)


def said(found: list[dict[str, Any]]) -> str:
    return "".join(text for text, _ in story.verdict(found)).strip()


def test_a_second_opinion_is_told_with_its_agreement() -> None:
    """Both readers tell that a review was a second opinion, and whether it agrees with the one it is about."""
    recording = Recording()
    with recording.audit.review("t", reviewer="u_1") as first:
        recording.clock.advance(10)
        first.approve()
    with recording.audit.review("t", reviewer="u_2", second_opinion_of=first, ai_call="resp-1") as second:
        recording.clock.advance(20)
        second.reject()
    found = rows(recording)
    assert narrate.headline(found[1]) == "u_2 rejected the AI draft (second opinion)"
    assert "u_2 rejected the AI draft as a second opinion that disagrees with u_1 after 20 s" in narrate.verdict(found)
    assert "u_2 rejected it after 20 s, as a second opinion that disagrees with u_1." in said(found)
    assert "second opinion" in story.timeline(found, "UTC")[1].notes
    assert ("Reviewed AI call", "resp-1", True) in story.details(found[1])
    assert ("Second opinion on", first.review_id, True) in story.details(found[1])
    agreeing = [found[0], found[1] | {"decision": "approved"}]
    assert "as a second opinion that agrees with u_1" in narrate.verdict(agreeing)
    assert "as a second opinion after" in narrate.verdict(found[1:])  # the first is not there to compare


def test_an_abandoned_review_is_told_with_its_reason() -> None:
    """Why a review ended without a decision is part of its sentence, and a decision before it stays the decision."""
    recording = Recording()
    desk = recording.audit
    with desk.review("t", reviewer="u_1") as review:
        review.approve()
    recording.clock.advance(60)
    desk.abandon_review(desk.start_review("t", reviewer="u_2"), reason="timeout")
    recording.clock.advance(60)
    desk.abandon_review(desk.start_review("t", reviewer="u_3"), reason="shift_ended")
    recording.clock.advance(60)
    with desk.review("t", reviewer="u_4"):
        pass
    found = rows(recording)
    assert [narrate.headline(each) for each in found[1:]] == [
        "u_2 left the review without a decision (timed out)",
        "u_3 left the review without a decision (shift ended)",
        "u_4 left the review without a decision",
    ]
    assert words.headline(found[1]) == "u_2 left without deciding on the AI draft (timed out)"
    assert words.headline(found[3]) == "u_4 left without deciding on the AI draft"
    assert "u_1 approved it as written" in said(found)


def test_a_ticket_decided_twice_is_told_as_that() -> None:
    """A repeated decision is told as one, also when another process made it and only the identity tells."""
    recording = Recording()
    ticket = recording.audit.start_review("t", reviewer="u_1", timeout_seconds=5)
    recording.audit.finish_review(ticket, decision="approved")
    recording.clock.advance(9)
    recording.audit.finish_review(ticket, decision="rejected", active_seconds=100, rationale_code="x")
    found = rows(recording)
    assert narrate.headline(found[1]) == (
        "u_1 rejected the AI draft (decision 2 of the same review, decided after its time was over, "
        "reported times were mended)"
    )
    assert ("Mended", "active_seconds_clamped:100", False) in story.details(found[1])
    for each in found:
        each["attributes_json"] = {}  # as another process would have recorded it
    assert "u_1 rejected the AI draft deciding the same review again" in narrate.verdict(found)
    assert ", deciding the same review again." in said(found)


def test_a_reopened_task_is_told_as_open_until_it_is_resolved_again() -> None:
    """The resolution from before a re-opening is told, but it is not how the task ended."""
    recording = Recording()
    desk = recording.audit
    with desk.task("t", kind="credit_decision"), desk.review("t", reviewer="u_1") as review:
        recording.clock.advance(5)
        review.approve()
    desk.resolve("t", by="u_1", resolution="sent")
    recording.clock.advance(3600)
    desk.reopen("t", by="u_2", reason="The customer complained.", rationale_code="complaint")
    reopened = rows(recording)
    assert words.headline(reopened[-1]) == narrate.headline(reopened[-1]) == "u_2 opened the task again"
    assert reopened[-1]["content"] == {"rationale": "The customer complained."}
    assert narrate.facts(reopened[-1])[0] == "because complaint"
    assert narrate.verdict(reopened) == (
        "u_1 approved the AI draft after 5 s, u_1 resolved it as sent, u_2 opened the task again, "
        "and no resolution is recorded since. 1 h from first to last event."
    )
    assert said(reopened) == (
        "u_1 approved it as written after 5 s. u_2 opened the task again. The task is not resolved yet."
    )
    lines = "\n".join(timeline_lines("t", reopened, everything=False, texts=False))
    assert "task t was created (credit decision)" in lines
    assert "u_2 opened the task again" in lines
    with desk.review("t", reviewer="u_3") as review:
        recording.clock.advance(7)
        review.reject()
    desk.resolve("t", by="u_3", resolution="refused")
    again = rows(recording)
    assert "u_2 opened the task again, u_3 rejected the AI draft after 7 s, and u_3 resolved it as refused." in (
        narrate.verdict(again)
    )
    assert said(again) == ("u_2 opened the task again. u_3 rejected it after 7 s (round 2). Resolved by u_3: refused.")


def test_changes_arrive_as_content() -> None:
    """Diff and patch are erasable texts: stored as content, with a marker in their place in the ledger."""
    recording = Recording()
    with recording.audit.review("t", reviewer="u") as review:
        review.modify({"limit": 5}, {"limit": 4})
    with recording.audit.review("t", reviewer="u") as review:
        review.modify("a", "b")
    patched, diffed = rows(recording)
    assert json.loads(patched["content"]["patch"]) == [{"op": "replace", "path": "/limit", "value": 4}]
    assert patched["attributes"][semconv.AUDIT_CHANGE_PATCH] == "content:patch"
    assert diffed["content"]["diff"].startswith("--- before\n+++ after\n")
    assert diffed["attributes"][semconv.AUDIT_CHANGE_DIFF] == "content:diff"
    assert "as a JSON Patch" in story_view.timeline([patched], "UTC", None)


def test_rows_without_attributes_are_told() -> None:
    """A table's rows, which come without attributes, and attributes that are no JSON, are told without notes."""
    bare = {"event_type": "review", "reviewer_id": "u", "decision": "abandoned"}
    assert reviews.notes(bare) == []
    assert narrate.headline(bare) == "u left the review without a decision"
    odd = bare | {"attributes": {semconv.AUDIT_REVIEW_ABANDON_REASON: ""}, "attributes_json":
                  {semconv.AUDIT_REVIEW_REPEAT: "[", semconv.AUDIT_REVIEW_REMARKS: '"content:x"',
                   semconv.AUDIT_RATIONALE_UNKNOWN_CODE: '"content:y"'}}  # fmt: skip
    assert reviews.notes(odd) == ["reported times were mended", "not in the list of codes: content:y"]
    assert ("Mended", "content:x", False) in story.details(row(event_type="review") | odd)
