"""What goes into the spool comes out as the OTLP that the SDK itself would have sent."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_audit.instrumentation.delivery.encoding import Decoder, Encoder
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import default_policy
from otel_audit.privacy.redactor import Redactor
from otel_audit.semconv import AUDIT_CAPTURE_POLICY

RESOURCE = Resource.create({"service.name": "loan-assistant", "numbers": [1, 2]})
SCOPE = InstrumentationScope("a.scope", "1.2", "https://opentelemetry.io/schemas/1.37.0", {"kind": "x"})
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_SCALAR = st.one_of(_TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
_ATTRIBUTES = st.dictionaries(
    # Our own label is ours alone: see test_nobody_else_says_which_policy_was_applied.
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(AUDIT_CAPTURE_POLICY.__ne__),
    st.one_of(_SCALAR, st.lists(_TEXT, max_size=3), st.lists(st.integers(-9, 9), max_size=3)),
    max_size=8,
)
_VALUE = st.recursive(
    st.one_of(_SCALAR, st.none(), st.binary(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=8,
)


def encoder(mode: str = "full") -> Encoder:
    return Encoder(Redactor(default_policy(mode), PseudonymKeys.ephemeral()))


class _Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def ended(name: str = "s", limits: SpanLimits | None = None, **facts: Any) -> ReadableSpan:
    kept = _Kept()
    provider = TracerProvider(resource=RESOURCE, span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(kept)
    tracer = provider.get_tracer("a.scope", "1.2", SCOPE.schema_url, {"kind": "x"})
    events, status = facts.pop("events", ()), facts.pop("status", None)
    span = tracer.start_span(name, **facts)
    for each in events:
        span.add_event(*each)
    if status is not None:
        span.set_status(status)
    span.end()
    return kept.spans[0]


def delivered(span: ReadableSpan, mode: str = "full") -> ExportTraceServiceRequest:
    """The request that is sent for a span, without our own label."""
    request = ExportTraceServiceRequest.FromString(Decoder().request([encoder(mode).span(span, {})]))
    sent = request.resource_spans[0].scope_spans[0].spans[0]
    assert sent.attributes[-1].key == AUDIT_CAPTURE_POLICY
    del sent.attributes[-1]
    return request


@settings(max_examples=100, deadline=None)
@given(attributes=_ATTRIBUTES, event=_ATTRIBUTES, link=_ATTRIBUTES, name=_TEXT)
def test_a_span_is_sent_as_the_sdk_would(
    attributes: dict[str, Any], event: dict[str, Any], link: dict[str, Any], name: str
) -> None:
    """Every field of a span survives the spool."""
    there = SpanContext(7, 9, True, TraceFlags(1), TraceState([("vendor", "x")]))
    span = ended(
        name,
        kind=SpanKind.CLIENT,
        attributes=attributes,
        links=[Link(there, link)],
        events=[("happened", event, 17)],
        status=Status(StatusCode.ERROR, "it broke"),
    )
    assert delivered(span) == encode_spans([span])


def test_nobody_else_says_which_policy_was_applied() -> None:
    """An application's attribute of the name of our label does not stand."""
    sent = Decoder().request([encoder().span(ended(attributes={AUDIT_CAPTURE_POLICY: "none/9", "a": 1}), {})])
    (span,) = ExportTraceServiceRequest.FromString(sent).resource_spans[0].scope_spans[0].spans
    labels = [each.value.string_value for each in span.attributes if each.key == AUDIT_CAPTURE_POLICY]
    assert labels == ["full/1"]


def test_a_span_without_anything_is_sent_as_the_sdk_would() -> None:
    """Absent parts stay absent."""
    span = ended()
    assert delivered(span) == encode_spans([span])


def test_dropped_counts_are_sent() -> None:
    """What the application's limits dropped is told to the receiver."""
    limits = SpanLimits(max_span_attributes=2, max_events=1, max_links=1)
    context = SpanContext(7, 9, False, TraceFlags(1))
    span = ended(
        limits=limits,
        attributes={"a": 1, "b": 2, "c": 3},
        events=[("one",), ("two",)],
        links=[Link(context), Link(context), Link(context)],
    )
    sent = delivered(span)
    assert sent == encode_spans([span])
    record = sent.resource_spans[0].scope_spans[0].spans[0]
    assert (record.dropped_attributes_count, record.dropped_events_count, record.dropped_links_count) == (1, 1, 2)


@settings(max_examples=100, deadline=None)
@given(body=_VALUE, attributes=_ATTRIBUTES, structured=_VALUE)
def test_a_log_record_is_sent_as_the_sdk_would(body: Any, attributes: dict[str, Any], structured: Any) -> None:
    """Every field of a log record survives the spool, bytes and nested values too."""
    log = LogRecord(
        timestamp=5,
        observed_timestamp=6,
        severity_text="INFO",
        severity_number=SeverityNumber.INFO,
        body=body,
        attributes={**attributes, "structured": structured},
        event_name="gen_ai.choice",
    )
    log.trace_id, log.span_id, log.trace_flags = 3, 4, TraceFlags(1)
    record = ReadWriteLogRecord(log, RESOURCE, SCOPE)
    request = ExportLogsServiceRequest.FromString(Decoder().request([encoder().log(record, {})]))
    sent = request.resource_logs[0].scope_logs[0].log_records[0]
    assert sent.attributes[-1].key == AUDIT_CAPTURE_POLICY
    del sent.attributes[-1]
    assert request == encode_logs([ReadableLogRecord(log, RESOURCE, SCOPE)])


def test_what_otlp_can_not_hold_is_sent_as_text() -> None:
    """An integer beyond 64 bits and a lone surrogate are kept as well as can be, and cost no other attribute."""
    span = ended(attributes={"big": 2**70, "half": "a\ud800b", "list": [2**70], "fine": "x"})
    sent = {a.key: a.value for a in delivered(span).resource_spans[0].scope_spans[0].spans[0].attributes}
    assert sent["big"].string_value == str(2**70)
    assert sent["half"].string_value == "a?b"
    assert sent["list"].array_value.values[0].string_value == str(2**70)
    assert sent["fine"].string_value == "x"


def test_records_of_one_resource_and_scope_are_sent_together() -> None:
    """A request names a resource and a scope once, not once a span."""
    spans = [ended(f"s{number}") for number in range(5)]
    encode = encoder()
    request = ExportTraceServiceRequest.FromString(Decoder().request([encode.span(span, {}) for span in spans]))
    assert [len(scope.spans) for block in request.resource_spans for scope in block.scope_spans] == [5]


def test_personal_data_is_masked_before_it_is_spooled() -> None:
    """Under the default policy nothing of a person is in the record's bytes, wherever the span carried it."""
    person = "jane.roe@example.com"
    span = ended(
        f"call {person}",
        attributes={"gen_ai.input.messages": f'[{{"content":"{person}"}}]', person: "x"},
        events=[("exception", {"exception.message": f"no such user {person}"})],
        links=[Link(SpanContext(7, 9, False, TraceFlags(1)), {"why": person})],
        status=Status(StatusCode.ERROR, person),
    )
    item = encoder("redacted").span(span, {"gen_ai.output.messages": person})
    assert b"jane" not in item.payload.lower()
    assert b"example.com" not in item.payload
    assert b"[email:" in item.payload
