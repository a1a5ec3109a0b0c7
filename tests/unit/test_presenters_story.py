import json
from dataclasses import dataclass

import pytest
import story
import texts
import trust
from components import story_view

from otel_audit.model import Finding
from otel_audit.semconv import AUDIT_TASK_REOPENED
from tests.unit.dashboard_rows import row


def loan():
    """A task with an escalation, an edit and a resolution: 100 s from start to finish."""
    return [
        row(seq=0, event_type="task.created", at=0, task_kind="credit_decision"),
        row(seq=1, event_type="ai_call", at=1, ends=8, response_model="atlas"),
        row(seq=2, event_type="escalation", at=20, from_reviewer="u_1", to_reviewer="u_7"),
        row(seq=3, event_type="review", at=30, ends=90, reviewer_id="u_7", decision="modified", active_seconds=51.0),
        row(seq=4, event_type="resolution", at=100, reviewer_id="u_7", resolution="sent"),
    ]


def said(rows):
    return "".join(text for text, _ in story.verdict(rows)).strip()


def test_the_verdict_tells_the_whole_task():
    """Who drafted, who escalated, who decided what after how long, and how it ended, in this order."""
    assert said(loan()) == (
        "atlas wrote the draft in 7 s. u_1 escalated to u_7. u_7 approved it with edits after 51 s. "
        "Resolved by u_7: sent."
    )


def test_the_verdict_says_what_is_still_open():
    """A task without decision or resolution says so, and an unsuccessful call is no draft."""
    assert said(loan()[:2]).endswith("No reviewer has decided yet.")
    assert said(loan()[:4]).endswith("The task is not resolved yet.")
    assert said([row(event_type="ai_call", response_model="atlas", error_type="429")]).startswith(
        "1 call to atlas failed"
    )
    assert "no AI call" in said([row(event_type="access")])


def test_a_second_round_is_counted():
    """Of two decisions the last one counts, and the reader learns that there were two."""
    rows = loan()
    rows.insert(4, row(seq=9, event_type="review", at=91, ends=95, reviewer_id="u_9", decision="rejected"))
    assert "u_9 rejected it after 4 s (round 2)" in said(rows)


def test_a_review_stands_where_it_was_decided():
    """A review that was opened before an escalation, and decided after it, comes after it."""
    rows = [loan()[3] | {"event_time": loan()[0]["event_time"]}, loan()[2]]
    assert [each["seq"] for each in story.in_order(rows)] == [2, 3]


def test_the_time_bar_divides_the_whole_time_once():
    """People, AI and waiting add up to the total; an agent's call and the model's call inside count once."""
    rows = [*loan(), row(event_type="ai_call", at=2, ends=7)]
    split = story.time_split(rows)
    assert (split.total, split.people, split.ai) == (100, 51, 7)
    assert split.waiting == pytest.approx(42)


def test_looking_at_a_task_later_does_not_make_it_longer():
    """Access and technical records are no part of the time that a task took."""
    late = [row(event_type="access", at=9000), row(event_type="span", at=0, ends=9000)]
    assert story.time_split([*loan(), *late]).total == 100
    assert story.time_split(late) is None


def test_the_timeline_has_days_and_gaps():
    """The first line has its day, the next day is announced, and only long pauses are named."""
    lines = story.timeline([row(at=0, event_type="review"), row(at=60), row(at=86_460)], "UTC")
    assert [line.day for line in lines] == ["Friday 6 November 2026", "", "Saturday 7 November 2026"]
    assert [line.gap for line in lines] == ["", "", "1 d 0 h later"]


def test_details_leave_out_what_is_not_known():
    """Folded details list what an entry has, with its exact time, hash and position."""
    found = {label: value for label, value, _ in story.details(loan()[1] | {"configuration": {"seed": "7"}})}
    assert found["Began"] == "2026-11-06T21:20:01.000Z"
    assert found["Settings"] == "seed 7"
    assert "Trace" not in found


def test_a_diff_reads_as_phrases():
    """Changed words that only spaces separate are one change, and unchanged text stays."""
    runs = texts.word_diff("We guarantee that it will not happen again.", "We are sorry for the delay.")
    assert [run.added for run in runs if not run.changed] == ["We ", "."]
    assert "".join(run.removed for run in runs) == "We guarantee that it will not happen again."
    assert "".join(run.added for run in runs) == "We are sorry for the delay."


@pytest.mark.parametrize("size", [0, 5000])
def test_a_diff_loses_nothing(size):
    """Both texts can be read back from a diff, also where long texts are compared by lines."""
    before, after = "a b\n" * size + "tail x", "c b\n" * size + "tail y\n"
    runs = texts.word_diff(before, after)
    assert "".join(run.removed for run in runs) == before
    assert "".join(run.added for run in runs) == after


def test_messages_have_speakers():
    """Messages show who said what; plain text is its producer's."""
    stored = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "APPROVE"}]}])
    assert texts.messages(stored, "?") == [texts.Message("AI", "APPROVE")]
    assert texts.messages("just text", "User") == [texts.Message("User", "just text")]
    assert texts.messages("[1, 2", "User") == [texts.Message("User", "[1, 2")]


def test_nothing_from_data_becomes_markup():
    """Markup in any column or text is shown as text."""
    evil = "<img src=x onerror=alert(1)>\"'&"
    columns = {name: evil for name, value in row().items() if value == "" and name not in {"event_type"}}
    for event_type in ("review", "ai_call", "escalation", "something.new", evil):
        rows = [
            row(**columns)
            | {"event_type": event_type, "rationale_code": [evil], "finish_reason": [evil], "remarks": [evil]}
            | {"configuration": {evil: evil}, "origin": evil}
            | {"content": dict.fromkeys(("input", "output", "rationale", "before", "after", "body"), evil)}
        ]  # fmt: skip
        page = story_view.timeline(rows, "UTC", None) + story_view.verdict(story.verdict(rows))
        assert "<img" not in page
        assert 'onerror=alert(1)>"' not in page


@dataclass
class Sealed:
    size: int
    created_unix_nano: int = 0


@dataclass
class Ledger:
    origin: str
    size: int
    checkpoint: Sealed | None


def test_the_banner_is_green_only_under_a_checkpoint():
    """Entries that match are green under a signed checkpoint and amber before; one that does not match is red."""
    rows = loan()
    assert trust.task_banner(rows, [], [Ledger("o", 5, Sealed(5))], "now").tone == "good"
    assert trust.task_banner(rows, [], [Ledger("o", 5, Sealed(4))], "now").tone == "careful"
    assert trust.task_banner(rows, [], [Ledger("o", 5, None)], "").tone == "careful"
    red = trust.task_banner(rows, [Finding("ROW_MODIFIED", "o", "d", 3)], [Ledger("o", 5, Sealed(5))], "now")
    assert (red.tone, red.strong) == ("bad", "Altered.")


def test_a_status_is_no_alarm():
    """A tail that waits for its anchor does not turn a good report red; a finding does, whatever the status says."""
    tail = Finding("UNANCHORED_TAIL", "o", "d")
    assert trust.report_banner("ok", 9, [tail]).tone == "good"
    assert trust.report_banner("ok", 9, [Finding("ROW_DELETED", "o", "d", 2)]).tone == "bad"
    assert trust.report_banner("tampered", 9, []).tone == "bad"
    assert trust.report_banner("unverifiable", 9, []).tone == "careful"


def test_every_code_has_plain_words():
    """No finding that verify can report is left without an explanation."""
    from otel_audit.ledger.findings import Code

    assert set(trust.MEANINGS) >= {str(code) for code in Code}


def reported_twice():
    """One call that two instrumentations told, and a log record of one of them."""
    call = {"event_type": "ai_call", "response_model": "atlas"}
    return [
        row(seq=0, at=1, ends=8, span_id="01", scope_name="outer", **call),
        row(seq=1, at=2, ends=7, span_id="02", scope_name="inner", duplicate_of="01", **call),
        row(seq=2, at=3, span_id="", scope_name="outer", record_kind="log", duplicate_of="01", **call),
    ]


def test_a_call_that_is_told_twice_is_one_step():
    """The story counts it once; its line names who else reported it, and shows the others among the technical steps."""
    rows = reported_twice()
    assert said(rows).startswith("atlas wrote the draft in 7 s.")
    assert story.main_steps(rows) == rows[:1]
    (line,) = story.timeline(story.main_steps(rows), "UTC", rows)
    assert "also reported by inner, outer (log)" in line.notes
    assert [line.notes[-1] for line in story.timeline(rows, "UTC")][1] == "the same call as span 01"
    assert "also reported by inner" in story_view.timeline(rows[:1], "UTC", None, rows)


def test_a_second_report_alone_is_a_step():
    """Where the record that counts belongs to another task, its second report still tells this task's call."""
    rows = reported_twice()[1:2]
    assert story.main_steps(rows) == rows
    assert said(rows).startswith("atlas wrote the draft")


def test_rounds_and_what_a_gap_waited_for():
    """A task that is opened again has a numbered round, and a long gap says for whom it waited."""
    rows = [
        row(event_type="task.created", at=0),
        row(event_type="escalation", at=10, from_reviewer="ana", to_reviewer="ben"),
        row(event_type="review", at=5000, ends=5100, reviewer_id="ben", decision="approved"),
        row(event_type="task.created", at=9000, attributes={}, attributes_json={AUDIT_TASK_REOPENED: "true"}),
        row(event_type="review", at=19000, ends=19100, reviewer_id="ben", decision="approved"),
        row(event_type="resolution", at=29000),
    ]
    lines = story.timeline(rows, "UTC")
    assert [line.round for line in lines] == ["", "", "", "Round 2", "", ""]
    assert [line.gap.partition(" later")[2] for line in lines] == [
        "",
        "",
        ", waiting for ben",
        "",
        ", waiting for a person",
        "",
    ]


def test_what_a_call_ran_with():
    """Models, prompt and each setting are told; what is not recorded is left out."""
    call = row(event_type="ai_call", request_model="atlas", prompt_name="reply", prompt_version="3",
               configuration={"seed": "7"})  # fmt: skip
    assert story.configuration(call) == [("Model asked for", "atlas"), ("Prompt template", "reply 3"), ("seed", "7")]


def test_documents_for_an_ai_are_part_of_the_story():
    """A span that looked documents up stays when technical steps are left out, and is told in words."""
    found = row(event_type="span", operation="retrieval", content={"context": "[]"})
    assert story.main_steps([found, row(event_type="span", seq=1)]) == [found]
    assert story.timeline([found], "UTC")[0].headline == "Documents were looked up"


def test_documents_are_named():
    """Documents of our own and of other conventions are read by name, score and text; anything else stays as it is."""
    said = texts.documents(
        '[{"ref": "policy-7", "score": 0.9, "hash": "ab"}, {"document.content": "Refunds", "document.id": "d"}]'
    )
    assert said == [
        texts.Message("policy-7 · score 0.9 · hash ab", "Only the reference was recorded, not the text."),
        texts.Message("d", "Refunds"),
    ]
    assert texts.documents("plain") == [texts.Message("Context", "plain")]
    assert texts.documents('[{"x": {"y": 1}}]')[0].text == '[{"x": {"y": 1}}]'
    assert texts.documents('["a"]')[0].text == '["a"]'
