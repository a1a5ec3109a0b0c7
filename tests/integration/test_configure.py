"""configure() beside applications that set OpenTelemetry up themselves, before it or after it, or not at all."""

from __future__ import annotations

import pytest

from otel_audit import semconv
from tests.integration.otlp_collector import Collector
from tests.integration.test_delivery import run

OWN_PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased

theirs = InMemorySpanExporter()
def set_up(**facts):
    provider = TracerProvider(resource=Resource.create({"service.name": "theirs"}), **facts)
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    trace.set_tracer_provider(provider)
    return provider
def call(**attributes):
    found = {"gen_ai.operation.name": "chat", **attributes}
    with trace.get_tracer("genai").start_as_current_span("chat", attributes=found):
        pass
"""


def spans_of(collector: Collector, source: str) -> list[tuple[str, str, str]]:
    """(name, service, task) of what an application sends."""
    done = run(OWN_PROVIDER + source, OTEL_AUDIT_ENDPOINT=collector.endpoint)
    assert done.returncode == 0, done.stderr
    assert "otel-audit" not in done.stderr
    return [(s.name, s.service, s.attributes.get(semconv.AUDIT_TASK_ID, "")) for s in collector.spans]


@pytest.mark.parametrize("order", ["set_up()\naudit.configure()", "audit.configure()\nset_up()"])
def test_the_applications_provider_stays_its_own_before_and_after(order: str) -> None:
    """Whoever comes first, the application's provider is the global one, keeps its exporter, and feeds the audit."""
    source = f"""
import otel_audit as audit
{order}
audit.configure()  # again: nothing changes
assert trace.get_tracer_provider().resource.attributes["service.name"] == "theirs"
with audit.task("t"):
    call()
assert audit.flush(20), audit.error_counts()
assert [s.name for s in theirs.get_finished_spans()] == ["task.created", "chat"]
"""
    with Collector() as collector:
        assert spans_of(collector, source) == [("task.created", "theirs", "t"), ("chat", "theirs", "t")]


def test_tracers_that_were_made_before_are_covered() -> None:
    """An instrumentation that got its tracer before configure() is recorded all the same, whatever the sampler."""
    source = """
import otel_audit as audit
set_up(sampler=ALWAYS_OFF)
tracer = trace.get_tracer("genai")
audit.configure()
with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span:
    assert not span.get_span_context().trace_flags.sampled
assert audit.flush(20)
assert theirs.get_finished_spans() == ()
"""
    with Collector() as collector:
        assert [name for name, *_ in spans_of(collector, source)] == ["chat"]


def test_a_sampler_keeps_its_say_over_everything_else() -> None:
    """What a ratio sampler drops reaches no exporter of the application; the audit has every AI call, no plumbing."""
    source = """
import otel_audit as audit
set_up(sampler=ParentBased(TraceIdRatioBased(0.01)))
audit.configure()
tracer = trace.get_tracer("http")
for n in range(300):
    with tracer.start_as_current_span("GET", kind=trace.SpanKind.SERVER, attributes={"http.request.method": "GET"}):
        call()
sampled = [s for s in theirs.get_finished_spans() if s.name == "chat"]
assert len(sampled) < 30, len(sampled)
print(len(sampled))
assert audit.flush(30)
"""
    with Collector() as collector:
        names = [name for name, *_ in spans_of(collector, source)]
    assert names.count("chat") == 300
    assert names.count("GET") < 30


def test_spans_of_a_task_are_recorded_whatever_they_are() -> None:
    """Inside a task's block a dropped trace is followed through HTTP spans too."""
    source = """
import otel_audit as audit
set_up(sampler=ALWAYS_OFF)
audit.configure()
def request():
    with trace.get_tracer("http").start_as_current_span("GET", kind=trace.SpanKind.SERVER):
        pass
request()
with audit.task("t"):
    request()
assert audit.flush(20)
"""
    with Collector() as collector:
        assert spans_of(collector, source) == [("task.created", "theirs", "t"), ("GET", "theirs", "t")]


def test_what_span_limits_cut_off_is_told() -> None:
    """Texts that the application's limits cut, and parts that they drop, become loss events of that trace."""
    source = """
import otel_audit as audit
set_up(span_limits=SpanLimits(max_span_attribute_length=20, max_span_attributes=6, max_events=1))
audit.configure()
with audit.task("t"):
    with trace.get_tracer("genai").start_as_current_span("chat") as span:
        for key in ("gen_ai.operation.name", "a", "b", "c", "d", "e", "f", "gen_ai.input.messages"):
            span.set_attribute(key, "x" * 50)
        span.add_event("one"); span.add_event("two"); span.add_event("three")
assert audit.flush(20)
"""
    with Collector() as collector:
        spans_of(collector, source)
        spans = collector.spans
    (call,) = [span for span in spans if span.name == "chat"]
    assert call.attributes[semconv.AUDIT_TASK_ID] == "t"  # set first, so the first to be dropped; kept all the same
    losses = [span for span in spans if span.name == "loss"]
    assert {
        span.attributes[semconv.AUDIT_LOSS_REASON]: span.attributes[semconv.AUDIT_LOSS_COUNT] for span in losses
    } == {
        "attributes dropped by span limits": 3,
        "span events dropped by span limits": 2,
        "attribute values cut at 20 characters": 6,
    }
    assert {(span.trace_id, span.parent_span_id) for span in losses} == {(call.trace_id, call.span_id)}
    assert {span.attributes[semconv.AUDIT_TASK_ID] for span in losses} == {"t"}


def test_texts_in_log_events_are_delivered_and_ordinary_logs_are_not() -> None:
    """GenAI log events go along, marked as of a span that is delivered; the application's logs stay its own."""
    source = """
import logging
from opentelemetry import _logs
from opentelemetry._logs import LogRecord
import otel_audit as audit
audit.configure(service_name="app")
logger = _logs.get_logger("genai")
with trace.get_tracer("genai").start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
    logger.emit(LogRecord(event_name="gen_ai.choice", body={"message": {"content": "yes"}}))
logger.emit(LogRecord(body="user jane logged in", attributes={"code.file": "x.py"}))
assert audit.flush(20), audit.error_counts()
"""
    with Collector() as collector:
        spans_of(collector, source)
        (log,) = collector.logs
    assert log.event_name == "gen_ai.choice"
    assert any(a.key == semconv.AUDIT_SPAN_RECORDED and a.value.bool_value for a in log.attributes)


def test_only_audit_spans_where_that_was_asked_for() -> None:
    """OTEL_AUDIT_SPANS=audit leaves out sampled spans that are no audit event, AI call or part of a task."""
    source = """
import otel_audit as audit
set_up()
audit.configure()
with trace.get_tracer("x").start_as_current_span("plain"):
    call()
assert audit.flush(20)
"""
    with Collector() as collector:
        assert {name for name, *_ in spans_of(collector, source)} == {"plain", "chat"}
    with Collector() as collector:
        names = [name for name, *_ in spans_of(collector, "import os\nos.environ['OTEL_AUDIT_SPANS']='audit'" + source)]
    assert names == ["chat"]


def test_a_bad_setting_is_named_and_the_rest_works() -> None:
    """A setting that makes no sense costs nothing but itself."""
    source = """
import os
os.environ |= {"OTEL_AUDIT_SPOOL_MAX_MIB": "lots", "OTEL_AUDIT_ON_FULL": "panic", "OTEL_AUDIT_CAPTURE_POLICY": "none"}
import otel_audit as audit
audit.configure(service_name="app")
audit.resolve("t", by="u", resolution="write to jane.roe@example.com")
assert audit.flush(20)
print(audit.error_counts())
"""
    with Collector() as collector:
        done = run(source, OTEL_AUDIT_ENDPOINT=collector.endpoint)
        assert done.returncode == 0, done.stderr
        (span,) = collector.spans
    assert done.stdout.strip() == "{'configure': 5}"  # settings of spools are read for both of them
    for name in ("OTEL_AUDIT_SPOOL_MAX_MIB", "OTEL_AUDIT_ON_FULL", "OTEL_AUDIT_CAPTURE_POLICY"):
        assert name in done.stderr
    assert "jane" not in str(span)


def test_declarative_exporters_spool_too() -> None:
    """OTEL_TRACES_EXPORTER=audit, the way in where a configuration file builds the SDK, delivers through the spool."""
    source = """
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otel_audit.instrumentation.zero_code import AuditSpanExporter, make_sampler
provider = set_up(sampler=make_sampler("always_off"))
provider.add_span_processor(BatchSpanProcessor(AuditSpanExporter()))
sampled = set_up_again = TracerProvider()
sampled.add_span_processor(BatchSpanProcessor(AuditSpanExporter()))
with sampled.get_tracer("genai").start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
    pass
sampled.shutdown()
"""
    with Collector() as collector:
        assert [name for name, *_ in spans_of(collector, source)] == ["chat"]
