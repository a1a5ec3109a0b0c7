"""Which AI calls are the same call, and which of them counts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from otel_audit.model import AuditEvent
from otel_audit.receiver.duplicates import Duplicates
from tests.conformance.captures import decode, events, folders, requests

TRACE, OTHER_TRACE = "a" * 32, "b" * 32
SECOND = 10**9


def call(span: str, scope: str, **columns: Any) -> AuditEvent:
    """An AI call of a second. ``span`` is two hex digits; so is ``parent``."""
    parent = columns.pop("parent", "")
    start, seconds = columns.pop("start", 10), columns.pop("seconds", 1.0)
    texts = columns.pop("texts", ())
    found = {
        "event_type": "ai_call",
        "record_kind": "span",
        "operation": "chat",
        "request_model": "m",
        "service": "app",
        "trace_id": TRACE,
        "span_id": span * 8,
        "parent_span_id": parent * 8,
        "scope_name": scope,
        "event_time": round(start * SECOND),
        "end_time": round((start + seconds) * SECOND),
    }
    return AuditEvent(found | columns, dict.fromkeys(texts, "text"))  # type: ignore[arg-type]


def linked(*requests: Iterable[AuditEvent]) -> dict[str, str]:
    """What is stored of requests that are sequenced one after another: span -> span that counts, two digits each."""
    duplicates, found = Duplicates(), {}
    for request in requests:
        calls = [each for each in duplicates.link(request) if each is not None]
        duplicates.remember(calls)
        found |= {each.span_id[:2]: each.duplicate_of[:2] for each in calls if each.duplicate_of}
    return found


OUTER = call("01", "outer", response_id="r1", input_tokens=5, output_tokens=2)
INNER = call("02", "inner", parent="01", response_id="r1", input_tokens=5, output_tokens=2, start=10.1, seconds=0.5)


def test_in_one_request_the_inner_one_counts():
    """Whatever their order in it, the call nearer to the provider counts of two that tell as much."""
    assert linked([OUTER, INNER]) == linked([INNER, OUTER]) == {"01": "02"}


def test_what_is_in_the_ledger_counts():
    """Of calls that arrive in different requests the one that was recorded first counts."""
    assert linked([OUTER], [INNER]) == {"02": "01"}
    assert linked([INNER], [OUTER]) == {"01": "02"}


def test_in_one_request_the_one_that_tells_more_counts():
    """Token counts come before an answer, an answer before being the inner one, a span before a log record."""
    bare = call("02", "inner", parent="01", response_id="r1")
    assert linked([OUTER, bare]) == {"02": "01"}
    texts = call("01", "outer", response_id="r1", input_tokens=5, output_tokens=2, texts=["output"])
    assert linked([INNER, texts]) == {"02": "01"}
    log = call("03", "inner", record_kind="log", response_id="r1", input_tokens=5, texts=["input", "output"])
    assert linked([log, OUTER]) == {"03": "01"}


def test_three_reports_count_as_one():
    """Three instrumentations of one call link to one of them, in any order, together or apart."""
    third = call("03", "third", parent="02", response_id="r1", input_tokens=5, start=10.2, seconds=0.1)
    for order in itertools.permutations([OUTER, INNER, third]):
        assert linked(order) == {"01": "03", "02": "03"}
        first = order[0].columns["span_id"][:2]
        assert linked(*([each] for each in order)) == {
            each.columns["span_id"][:2]: first for each in order if each is not order[0]
        }


def test_another_response_is_another_call():
    """Different response ids are different calls, parent and child or not."""
    assert linked([OUTER, call("02", "inner", parent="01", response_id="r2")]) == {}


def test_one_instrumentation_does_not_tell_twice():
    """Two spans of one scope are two calls: an answer from a cache is one."""
    assert linked([OUTER, call("02", "outer", response_id="r1")]) == {}


def test_two_traces_of_one_call_are_one():
    """Two instrumentations that start two traces tell one call when one's time lies in the other's, in one service."""
    inside = {"response_id": "r1", "trace_id": OTHER_TRACE, "start": 10.2, "seconds": 0.2}
    assert linked([OUTER], [call("02", "inner", **inside)]) == {"02": "01"}
    assert linked([OUTER], [call("02", "inner", **inside | {"start": 11.5})]) == {}
    assert linked([OUTER], [call("02", "inner", **inside | {"seconds": 5})]) == {}
    assert linked([OUTER], [call("02", "inner", **inside, service="another")]) == {}


PARENT = call("01", "framework")
CHILD = call("02", "client", parent="01", response_id="r1", input_tokens=5, output_tokens=2)


def test_parent_and_child_without_an_id_are_one():
    """A framework's call without a response id is the same as its child's, whichever comes first."""
    assert linked([PARENT, CHILD]) == linked([CHILD], [PARENT]) == {"01": "02"}
    assert linked([PARENT], [CHILD]) == {"02": "01"}


@pytest.mark.parametrize(
    "other",
    [
        {"request_model": "another"},
        {"input_tokens": 6, "output_tokens": 2},
        {"operation": "embeddings"},
        {"trace_id": OTHER_TRACE},
        {"scope_name": "framework"},
        {"parent_span_id": "03" * 8},
    ],
)
def test_what_contradicts_is_another_call(other: dict[str, Any]):
    """Another model, other token counts, another operation, trace, parent, or the same scope: two calls."""
    parent = call("01", "framework", input_tokens=5, output_tokens=2)
    child = call("02", "client", parent="01", response_id="r1", input_tokens=5, output_tokens=2)
    assert linked([parent], [child]) == {"02": "01"}
    child.columns.update(other)  # type: ignore[typeddict-item]
    assert linked([parent], [child]) == linked([parent, child]) == {}


def test_only_one_child_is_the_parents_call():
    """A parent that makes two calls is the duplicate of one of them at most."""
    second = call("03", "client", parent="01", response_id="r2", input_tokens=9)
    assert linked([PARENT, CHILD, second]) == {"01": "02"}
    assert linked([PARENT], [CHILD], [second]) == {"02": "01"}
    assert linked([CHILD], [second], [PARENT]) == {"01": "02"}


def test_a_log_record_of_an_unsampled_span_is_no_second_call():
    """A span that was kept though not sampled, and its log record, have one span id and count once."""
    span, log = call("01", "s"), call("01", "s", record_kind="log")
    assert linked([span], [log]) == linked([log, span]) == {"01": "01"}
    duplicates = Duplicates()
    kinds = [(each.is_log, each.duplicate_of) for each in duplicates.link([log, span]) if each]
    assert kinds == [(True, "01" * 8), (False, "")]


def test_a_retry_after_half_a_group_was_stored():
    """When only the duplicate reached the store, the call it waits for counts once it comes again."""
    duplicates = Duplicates()
    outer, inner = (each for each in duplicates.link([OUTER, INNER]) if each)
    assert (outer.duplicate_of, inner.duplicate_of) == ("02" * 8, "")
    duplicates.remember([outer])
    (again,) = duplicates.link([INNER])
    assert again is not None
    assert again.duplicate_of == ""


def test_what_was_not_stored_is_judged_afresh():
    """A group that did not reach the store leaves no trace: its events are linked the same way again."""
    duplicates = Duplicates()
    first = [each and each.duplicate_of for each in duplicates.link([OUTER, INNER])]
    assert [each and each.duplicate_of for each in duplicates.link([OUTER, INNER])] == first
    assert [each and each.duplicate_of for each in duplicates.link([INNER])] == [""]


def test_memory_is_bounded():
    """The oldest calls are forgotten, in every way they could be found by."""
    duplicates = Duplicates(capacity=2)
    for number, each in enumerate([OUTER, call("05", "x", response_id="r5"), call("06", "x", response_id="r5")]):
        duplicates.remember([found for found in duplicates.link([each]) if found])
        assert len(duplicates) == min(number + 1, 2)
    assert [each and each.duplicate_of for each in duplicates.link([INNER])] == [""]
    assert [each and each.duplicate_of for each in duplicates.link([call("07", "y", response_id="r5")])] == ["05" * 8]


def test_other_events_are_left_alone():
    """A log of a sampled span, a tool call and a record without ids are never linked."""
    log = call("01", "s", record_kind="log", event_type="log", response_id="r1")
    tool = call("02", "t", event_type="tool_call", parent="01")
    assert Duplicates().link([log, tool, AuditEvent({"event_type": "span"})]) == [None, None, None]
    assert linked([AuditEvent({"event_type": "ai_call", "trace_id": "no hex" * 6, "span_id": "x" * 16})]) == {}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("folder", folders())
def test_a_response_counts_once_in_each_capture(folder: str, apart: bool):
    """In every captured session the calls that count have response ids of their own, in one request or in many."""
    bodies = [decode(kind, body).events for _, kind, body in requests(folder)]
    duplicates, counted = Duplicates(), []
    for body in [[event] for together in bodies for event in together] if apart else bodies:
        found = duplicates.link(body)
        duplicates.remember(each for each in found if each is not None)
        counted += [each for each in found if each is not None and not each.duplicate_of]
    # A log record without a span id can be linked, but nothing can be linked to it.
    ids = [each.response_id for each in counted if each.response_id and each.span]
    assert len(ids) == len(set(ids))
    assert set(ids) == {
        event.columns["response_id"]
        for event in events(folder)
        if event.columns["event_type"] == "ai_call" and "response_id" in event.columns and "span_id" in event.columns
    }


def test_the_double_instrumented_capture_has_four_calls_told_twice():
    """What a person reading the capture would say: two instrumentations told each of four calls."""
    bodies = [decode(kind, body).events for name, kind, body in requests("double-instrumented") if name[0].isdecimal()]
    assert len(linked(*bodies)) == 4
    calls = [event for body in bodies for event in body if event.columns["event_type"] == "ai_call"]
    assert len(calls) == 8
