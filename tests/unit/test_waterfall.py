"""A trace as a tree in time: order, self time, critical path, errors, and what faulty producers send."""

import itertools

import pytest
import waterfall
from hypothesis import given, settings
from hypothesis import strategies as st
from links import trace_url, trace_viewers

from otel_audit.errors import ConfigError
from tests.unit.dashboard_rows import T0, row


def span(name, at, ends, parent="", service="web", **columns):
    columns = {"record_kind": "span", "event_type": "span", "parent_span_id": parent, **columns}
    return row(at=at, ends=ends, name=name, span_id=name, service=service, seq=round(at * 1000), **columns)


def drawn(*rows):
    trace = waterfall.build(rows)
    return trace, {step.row["name"]: step for step in trace.steps}


def seconds(stretches):
    return [((begin - T0) / 1e9, (end - T0) / 1e9) for begin, end in stretches]


def test_spans_are_in_order_each_before_what_it_contains():
    """Children follow their parent by start, with their depth and the size of their subtree."""
    trace, found = drawn(span("b", 3, 4, "root"), span("root", 0, 9), span("a", 1, 2, "root"), span("a1", 1, 2, "a"))
    assert [step.row["name"] for step in trace.steps] == ["root", "a", "a1", "b"]
    assert [step.depth for step in trace.steps] == [0, 1, 2, 1]
    assert [step.size for step in trace.steps] == [4, 2, 1, 1]
    assert trace.length == 9e9
    assert found["root"].self_time == 7e9


def test_the_critical_path_is_what_the_end_waited_for():
    """Of two calls at once the one that ends last is critical, and the caller where it waits for none."""
    _, found = drawn(
        span("root", 0, 10), span("short", 1, 4, "root"), span("long", 1, 6, "root"), span("last", 7, 9, "root")
    )
    assert seconds(found["root"].critical) == [(0, 1), (6, 7), (9, 10)]
    assert seconds(found["long"].critical) == [(1, 6)]
    assert seconds(found["last"].critical) == [(7, 9)]
    assert found["short"].critical == ()


def test_work_after_its_caller_carries_the_critical_path_on():
    """A review that begins hours after the request ended is critical, and the time between is waiting."""
    trace, found = drawn(span("request", 0, 2), span("review", 100, 160, "request"))
    assert seconds(found["request"].critical) == [(0, 2)]
    assert seconds(found["review"].critical) == [(100, 160)]
    assert trace.waiting == 98e9


def test_errors_mark_the_way_to_them():
    """What contains a failed span leads to it; its neighbours do not."""
    _, found = drawn(
        span("root", 0, 9), span("a", 1, 5, "root"), span("bad", 2, 3, "a", status="error"), span("b", 6, 7, "root")
    )
    assert [name for name, step in found.items() if step.on_error_path] == ["root", "a", "bad"]
    assert [name for name, step in found.items() if step.failed] == ["bad"]


def test_an_orphan_stands_at_the_top_and_says_why():
    """A span whose parent is not in the ledger is shown as such, and so is a circle of parents."""
    _, found = drawn(span("lost", 0, 1, "gone"), span("x", 2, 3, "y"), span("y", 2, 3, "x"), span("self", 4, 5, "self"))
    assert (found["lost"].depth, found["lost"].orphan) == (0, "parent not recorded")
    assert sorted(found) == ["lost", "self", "x", "y"]
    assert [name for name, step in found.items() if "circle" in step.orphan] == ["x", "self"]


def test_a_clock_that_is_behind_is_moved_with_what_it_calls():
    """A span can not begin before its caller: it is drawn at the caller's start, its own calls with it."""
    _, found = drawn(
        span("root", 10, 20),
        span("behind", 4, 6, "root", "other"),
        span("inner", 5, 6, "behind", "other"),
        span("fine", 17, 18, "behind"),
    )
    assert (found["behind"].begin, found["behind"].end) == (T0 + 10e9, T0 + 12e9)
    assert found["behind"].skew == found["inner"].skew == 6e9
    assert found["inner"].begin == T0 + 11e9
    assert found["fine"].skew == 0


def test_services_count_a_second_report_once():
    """Total, self and critical time by service; a span that two instrumentations reported counts once."""
    trace, _ = drawn(
        span("root", 0, 10),
        span("call", 1, 4, "root", "model", status="error"),
        span("again", 1, 4, "root", "model", duplicate_of="o:1"),
    )
    web, model = waterfall.by_service(trace)
    assert (web.service, web.spans, web.total, web.self_time) == ("web", 1, 10e9, 7e9)
    assert (model.service, model.spans, model.errors, model.total) == ("model", 1, 1, 3e9)


def test_five_thousand_spans_one_inside_the_other():
    """A chain of thousands of calls is arranged without recursion."""
    rows = [span(str(n), n / 1000, 20 - n / 1000, str(n - 1) if n else "") for n in range(5000)]
    trace = waterfall.build(rows)
    assert trace.steps[-1].depth == 4999
    assert sum(step.self_time for step in trace.steps) == trace.length


def test_nothing_is_an_empty_trace():
    """A trace of log records only has no steps."""
    assert waterfall.build([]).steps == ()


@st.composite
def traces(draw):
    rows = []
    for number in range(draw(st.integers(1, 14))):
        at = draw(st.integers(0, 50)) / 10
        ends = at + draw(st.integers(-3, 40)) / 10
        parent = draw(st.sampled_from(["", "gone", *(str(each) for each in range(14))]))
        service = draw(st.sampled_from(["a", "b"]))
        rows.append(span(str(number), at, ends, parent, service) | {"seq": number})
    return rows


@settings(max_examples=300, deadline=None)
@given(traces())
def test_sums_are_consistent(rows):
    """Every span is drawn once; critical time and waiting are the trace's length; self time is within the span."""
    trace = waterfall.build(rows)
    assert sorted(step.row["seq"] for step in trace.steps) == [each["seq"] for each in rows]
    critical = sorted(stretch for step in trace.steps for stretch in step.critical)
    assert sum(end - begin for begin, end in critical) + trace.waiting == trace.length
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(critical))
    for index, step in enumerate(trace.steps):
        assert 0 <= step.self_time <= step.end - step.begin
        assert all(step.begin <= begin < end <= step.end for begin, end in step.critical)
        inside = trace.steps[index + 1 : index + step.size]
        assert all(each.depth > step.depth for each in inside)
        if step.parent != waterfall.ROOT:
            assert trace.steps[step.parent].depth == step.depth - 1
            assert step.begin >= trace.steps[step.parent].begin
        if step.size == 1:
            assert step.self_time == step.end - step.begin
    times = waterfall.by_service(trace)
    assert sum(each.self_time for each in times) == sum(step.self_time for step in trace.steps)
    assert sum(each.critical for each in times) + trace.waiting == trace.length


def test_links_to_trace_viewers():
    """Several templates, with a name or the host's; braces that are not ours stay."""
    found = trace_viewers('Jaeger=https://j/trace/{trace_id} http://t:3000/x?a=1&q={"t":"{trace_id}"}', "ab")
    assert found == [("Jaeger", "https://j/trace/ab"), ("t:3000", 'http://t:3000/x?a=1&q={"t":"ab"}')]
    assert trace_viewers("", "ab") == []
    assert trace_url("ab", span="cd") == "/trace?id=ab&span=cd"


@pytest.mark.parametrize(
    "bad", ["javascript:alert({trace_id})", "https://jaeger/trace", "Jaeger", "https:///{trace_id}"]
)
def test_a_template_that_is_none_is_refused(bad):
    """Only http and https links that name the trace are links, and the error says what to write."""
    with pytest.raises(ConfigError, match="OTEL_AUDIT_TRACE_LINK"):
        trace_viewers(bad, "ab")
