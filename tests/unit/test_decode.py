"""Bad input: a clear error or a recorded event, and nothing else of the request is lost."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_audit.conventions.values import parse_typed
from otel_audit.errors import RejectedBatch
from otel_audit.ledger.encoding import encode_event
from otel_audit.model import AuditEvent
from otel_audit.receiver.decode import Decoded, Decoder

NOW = 1_795_500_000_000_000_000
DAY = 86_400 * 10**9
DECODER = Decoder(b"k" * 32)


def good_span(name: str = "good") -> Span:
    return Span(
        name=name, trace_id=random.Random(name).randbytes(16), span_id=b"12345678",
        start_time_unix_nano=NOW, end_time_unix_nano=NOW + 1_500_000,
    )  # fmt: skip


def field(number: int, body: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def request(*spans: bytes | Span) -> bytes:
    """A trace request of spans, some of them perhaps broken bytes."""
    raws = [span.SerializeToString() if isinstance(span, Span) else span for span in spans]
    return field(1, field(2, b"".join(field(2, raw) for raw in raws)))


def traces(*spans: bytes | Span) -> Decoded:
    decoded = DECODER.traces(request(*spans), NOW)
    for event in decoded.events:
        encode_event(event, dict.fromkeys(event.content, bytes(32)))
    return decoded


def one(span: bytes | Span) -> AuditEvent:
    (event,) = traces(span).events
    return event


def remarks(event: AuditEvent) -> list[str]:
    return list(event.columns.get("remarks", ()))


@pytest.mark.parametrize("body", [b"garbage", b"\xff" * 100, b"<html>", b'{"resourceSpans": []}', b"\x08\x01"])
def test_garbage_is_rejected_with_advice(body: bytes) -> None:
    """Bytes that are no OTLP request are rejected, saying what it was and what to do."""
    with pytest.raises(RejectedBatch, match=rf"ExportTraceServiceRequest: {len(body)} bytes .* nothing was stored"):
        DECODER.traces(body, NOW)
    with pytest.raises(RejectedBatch, match="ExportLogsServiceRequest"):
        DECODER.logs(body, NOW)


def test_a_request_cut_off_is_rejected() -> None:
    """A request cut off anywhere is rejected as a whole, or read as the complete empty request it then is."""
    body = request(good_span())
    for end in range(1, len(body)):
        with pytest.raises(RejectedBatch):
            DECODER.traces(body[:end], NOW)


def test_an_empty_request_is_no_event() -> None:
    """An empty request is valid and tells nothing."""
    assert DECODER.traces(b"", NOW).events == []
    assert DECODER.logs(b"", NOW).events == []


def test_random_damage_never_raises_anything_but_rejected() -> None:
    """Flipped bytes give events, a loss event or RejectedBatch: never another error, and the good span stays."""
    random_ = random.Random(7)
    span = good_span("victim")
    span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    span.events.add(name="exception").attributes.add(key="exception.message").value.string_value = "no"
    span.status.message = "oh"
    raw = span.SerializeToString()
    for _ in range(2000):
        broken = bytearray(raw)
        for _ in range(random_.randrange(1, 4)):
            broken[random_.randrange(len(broken))] = random_.randrange(256)
        decoded = traces(bytes(broken), good_span())
        assert len(decoded.events) == 2
        assert decoded.events[1].columns["name"] == "good"
        assert not any(remark.startswith("convention_failed") for remark in remarks(decoded.events[0]))


def test_an_unreadable_record_becomes_a_loss_event() -> None:
    """A record that is no protobuf is kept as bytes in a loss event; its neighbours are untouched."""
    decoded = traces(good_span("a"), b"\x0a\xff\xff", good_span("b"))
    assert [event.columns["name"] for event in decoded.events] == ["a", "undecodable span", "b"]
    loss = decoded.events[1]
    assert loss.columns["event_type"] == "loss"
    assert loss.columns["event_time"] == NOW
    assert base64.b64decode(loss.content["raw"]) == b"\x0a\xff\xff"
    (told,) = decoded.losses
    assert (told.part, told.reason, told.size) == ("span", "undecodable", 3)


def test_an_unreadable_scope_or_resource_loses_only_itself() -> None:
    """Broken bytes at a level become a loss event; the other resources and scopes of the request are read."""
    good = field(2, field(2, good_span().SerializeToString()))
    body = field(1, good + field(2, b"\x12\xff")) + field(1, b"\x0a\xff") + field(1, good)
    decoded = DECODER.traces(body, NOW)
    assert [event.columns["event_type"] for event in decoded.events] == ["span", "loss", "loss", "span"]
    assert [loss.part for loss in decoded.losses] == ["scope", "resource"]


@pytest.mark.parametrize(("trace_size", "span_size"), [(15, 8), (0, 8), (16, 7), (17, 9), (16, 0), (400, 8)])
def test_ids_of_a_wrong_length_are_kept_and_remarked(trace_size: int, span_size: int) -> None:
    """Ids of a wrong length stay as they came; the event gets an id of its own, the same when it comes again."""
    span = good_span()
    span.trace_id, span.span_id = b"\x01" * trace_size, b"\x02" * span_size
    event = one(span)
    assert ("invalid_trace_id" in remarks(event)) == (trace_size != 16)
    assert ("invalid_span_id" in remarks(event)) == (span_size != 8)
    if trace_size < 100:
        assert event.columns.get("trace_id", "") == "01" * trace_size
    assert event.columns.get("span_id", "") == "02" * span_size
    assert event.columns["event_id"] == one(span).columns["event_id"]
    assert event.columns["event_id"] != Decoder(b"other").traces(request(span), NOW).events[0].columns["event_id"]


def test_all_zero_ids_are_no_ids() -> None:
    """W3C says that all-zero ids are invalid."""
    span = good_span()
    span.trace_id, span.span_id = bytes(16), bytes(8)
    assert remarks(one(span)) == ["invalid_trace_id", "invalid_span_id"]


def test_identical_records_of_one_request_stay_apart() -> None:
    """Records without an id that are the same, byte for byte, get numbered ids."""
    log = ExportLogsServiceRequest()
    logs = log.resource_logs.add().scope_logs.add().log_records
    for text in ("same", "same", "other", "same"):
        logs.add(time_unix_nano=NOW).body.string_value = text
    ids = [event.columns["event_id"] for event in DECODER.logs(log.SerializeToString(), NOW).events]
    assert ids == [ids[0], f"{ids[0]}#2", ids[2], f"{ids[0]}#3"]
    assert ids[0].startswith("log:")
    assert ids[2] != ids[0]


def test_invalid_utf8_is_readable_and_not_lost() -> None:
    """Invalid UTF-8 anywhere in a span is shown with escapes, remarked, and kept as it came beside it."""
    raw = (
        good_span("ok").SerializeToString()
        + field(5, b"na\xffme")
        + field(9, field(1, b"k\xfe") + field(2, field(1, b"v")))
        + field(9, field(1, b"key") + field(2, field(1, b"v\xfd")))
        + field(9, field(1, b"list") + field(2, field(5, field(1, field(1, b"x\xfc")))))
        + field(15, field(2, b"st\xfbatus"))
        + field(11, field(2, b"ev\xfaent"))
    )
    event = one(raw)
    assert event.columns["name"] == r"na\xffme"
    assert dict(event.columns["attributes"]) == {r"k\xfe": "v", "key": r"v\xfd"}
    assert dict(event.columns["attributes_json"]) == {"list": r'["x\\xfc"]'}
    assert event.content["status_message"] == r"st\xfbatus"
    assert parse_typed(event.columns["span_events"])[0]["name"] == r"ev\xfaent"
    assert remarks(event) == ["invalid_utf8"]
    assert base64.b64decode(event.content["raw"]) == raw


def test_an_attribute_nested_too_deep_loses_nothing_else() -> None:
    """A value nested 1000 deep keeps its key, its bytes and the rest of its span."""
    value = AnyValue(string_value="deep").SerializeToString()
    for _ in range(1000):
        value = field(5, field(1, value))
    raw = good_span().SerializeToString() + field(9, field(1, b"deep") + field(2, value))
    raw += field(9, KeyValue(key="flat", value=AnyValue(string_value="here")).SerializeToString())
    event = one(raw)
    assert event.columns["name"] == "good"
    assert dict(event.columns["attributes"]) == {"flat": "here"}
    assert dict(event.columns["attributes_json"]) == {"deep": '"content:attributes.deep"'}
    assert base64.b64decode(parse_typed(event.content["attributes.deep"]).argument) == value
    assert remarks(event) == ["undecodable"]
    assert base64.b64decode(event.content["raw"]) == raw


def test_unknown_fields_are_kept() -> None:
    """Fields that OTLP does not have today are remarked, and kept with the bytes of their record."""
    in_span = good_span().SerializeToString() + field(99, b"new")
    in_value = good_span().SerializeToString() + field(9, field(1, b"k") + field(2, field(1, b"v")) + field(77, b"new"))
    in_status = good_span().SerializeToString() + field(15, field(9, b"new"))
    for raw in (in_span, in_value, in_status):
        event = one(raw)
        assert event.columns["name"] == "good"
        assert remarks(event) == ["unknown_fields"]
        assert base64.b64decode(event.content["raw"]) == raw
    body = request(good_span()) + field(50, b"new")
    events = DECODER.traces(body, NOW).events
    assert [event.columns["event_type"] for event in events] == ["span", "loss"]
    assert base64.b64decode(events[1].content["raw"]) == field(50, b"new")


def test_key_indexes_of_profiles_are_kept() -> None:
    """An attribute that names its key by number (profiles do) is kept and remarked, not read as an empty key."""
    pair = varint(3 << 3) + varint(7) + field(2, field(1, b"v"))
    event = one(good_span().SerializeToString() + field(9, pair))
    assert "unknown_fields" in remarks(event)
    assert "raw" in event.content


def test_a_large_attribute_is_content() -> None:
    """An attribute of 10 MB is kept, as content, with a marker in the map."""
    span = good_span()
    span.attributes.add(key="big").value.string_value = "x" * 10_000_000
    event = one(span)
    assert dict(event.columns["attributes"]) == {"big": "content:attributes.big"}
    assert len(event.content["attributes.big"]) == 10_000_000


def test_a_hundred_thousand_attributes_are_kept() -> None:
    """100,000 attributes are kept in order, also when all have the same key and are texts."""
    span = good_span()
    for number in range(100_000):
        span.attributes.add(key=f"key.{number}").value.int_value = number
    event = one(span)
    assert [int(text) for _, text in event.columns["attributes_json"]] == list(range(100_000))
    span = good_span()
    for number in range(100_000):
        span.attributes.add(key="input.value").value.string_value = f"text {number}"
    event = one(span)
    assert len(event.content) == 100_000


@pytest.mark.parametrize(
    ("start", "remark"),
    [
        (0, "clock_far_past"),
        (1_000, "clock_far_past"),
        (7_258_118_400 * 10**9, "clock_future"),
        (NOW + 2 * DAY, "clock_future"),
    ],
)
def test_clocks_far_off_are_kept_and_remarked(start: int, remark: str) -> None:
    """A clock in 1970 or 2200 is stored as it came, with a remark."""
    span = good_span()
    span.start_time_unix_nano = span.end_time_unix_nano = start
    event = one(span)
    assert event.columns["event_time"] == start
    assert remark in remarks(event)


@pytest.mark.parametrize("start", [NOW, NOW - 9 * 365 * DAY, NOW + DAY // 2])
def test_clocks_a_little_off_are_not_remarked(start: int) -> None:
    """Old data and a small skew are nothing to remark."""
    span = good_span()
    span.start_time_unix_nano = span.end_time_unix_nano = start
    assert remarks(one(span)) == []


def test_a_time_out_of_range_is_clamped_and_kept() -> None:
    """A time that a signed 64-bit column can not hold is clamped; the raw number stays beside it."""
    span = good_span()
    span.start_time_unix_nano = span.end_time_unix_nano = 2**64 - 1
    event = one(span)
    assert event.columns["event_time"] == 2**63 - 1
    assert dict(event.columns["otlp"])["start_time_unix_nano"] == str(2**64 - 1)
    assert "clock_out_of_range" in remarks(event)


def test_durations() -> None:
    """A duration is end minus start; an end before the start, or none, gives no duration and a remark."""
    span = good_span()
    assert one(span).columns["duration_ms"] == 1.5
    span.end_time_unix_nano = NOW - 1
    assert "duration_ms" not in one(span).columns
    assert remarks(one(span)) == ["negative_duration"]
    span.end_time_unix_nano = 0
    assert one(span).columns["end_time"] == NOW
    assert remarks(one(span)) == ["end_time_missing"]


def log_event(**fields: Any) -> AuditEvent:
    body = ExportLogsServiceRequest()
    body.resource_logs.add().scope_logs.add().log_records.add(**fields)
    (event,) = DECODER.logs(body.SerializeToString(), NOW).events
    return event


def test_a_log_without_time_has_its_observed_time() -> None:
    """Log time 0 means unknown: the observed time is used."""
    assert log_event(observed_time_unix_nano=NOW).columns["event_time"] == NOW
    assert log_event(observed_time_unix_nano=NOW, time_unix_nano=NOW - 5).columns["event_time"] == NOW - 5


def test_concatenated_requests_are_one_request() -> None:
    """Several requests, one after the other, are read as one: protobuf says so."""
    assert len(DECODER.traces(request(good_span("a")) + request(good_span("b")), NOW).events) == 2


def test_the_generated_classes_and_ours_agree() -> None:
    """Every field that the installed OTLP package has is one that we know, but for those of profiles."""
    from opentelemetry.proto.common.v1 import common_pb2
    from opentelemetry.proto.logs.v1 import logs_pb2
    from opentelemetry.proto.resource.v1 import resource_pb2
    from opentelemetry.proto.trace.v1 import trace_pb2

    from otel_audit.conventions import wire

    ours = {"Event": "Span.Event", "Link": "Span.Link", "Scope": "InstrumentationScope"}
    for name in ("Resource", "EntityRef", "Scope", "KeyValue", "KeyValueList", "ArrayValue", "AnyValue", "Span"):
        check_fields(wire, ours, name, (common_pb2, logs_pb2, resource_pb2, trace_pb2))
    for name in ("Event", "Link", "Status", "LogRecord"):
        check_fields(wire, ours, name, (common_pb2, logs_pb2, resource_pb2, trace_pb2))
    numbers = {field.name: field.number for field in ExportTraceServiceRequest.DESCRIPTOR.fields}
    assert numbers == {"resource_spans": 1}


def check_fields(wire: Any, ours: dict[str, str], name: str, modules: tuple[Any, ...]) -> None:
    theirs: Any = None
    for module in modules:
        for path in [ours.get(name, name).split(".")]:
            found: Any = module
            for part in path:
                found = getattr(found, part, None)
            theirs = theirs or found
    expected = {f.name: f.number for f in theirs.DESCRIPTOR.fields if not f.name.endswith("strindex")}
    assert {f.name: f.number for f in wire.STRICT[name].DESCRIPTOR.fields} == expected


@pytest.mark.parametrize("key_length", [0, 1, 127, 128, 200])
def test_the_short_way_to_read_a_string_agrees_with_protobuf(key_length: int) -> None:
    """A string attribute is read the same whether by our own reader or by protobuf, at every length of length."""
    from otel_audit.conventions.record import read_attributes

    for length in (0, 1, 118, 119, 120, 124, 125, 126, 127, 128, 129, 255, 256, 16_379, 16_380, 16_383, 16_384, 70_000):
        pair = KeyValue(key="k" * key_length, value=AnyValue(string_value="é" * (length // 2) + "x" * (length % 2)))
        damage: list[str] = []
        (entry,) = read_attributes([pair.SerializeToString()], damage)
        assert entry[:2] == (pair.key, pair.value.string_value)
        assert damage == []
