"""OTLP/JSON gives the events that OTLP protobuf gives, and loses nothing that JSON can say beside it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from otel_audit.errors import RejectedBatch
from otel_audit.model import AuditEvent
from otel_audit.receiver.otlp_json import KEPT_FIELD, to_protobuf
from tests.conformance.captures import CAPTURES, decode, folders, requests
from tests.otlp_json import REQUESTS, as_json

ALL = [(folder, name) for folder in folders() for name, _, _ in requests(folder)]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def _span(**fields: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": "1795500000000000000", "endTimeUnixNano": 1795500000000000005}
    return {"traceId": TRACE, "spanId": SPAN, "name": "chat"} | times | fields


def _traces(*spans: Any, **beside: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(spans)}]}]} | beside).encode()


def _event(body: bytes) -> AuditEvent:
    (event,) = decode("traces", to_protobuf("traces", body)).events
    return event


def _kept(event: AuditEvent) -> str:
    """What the record's kept bytes hold, with base64 taken off."""
    return base64.b64decode(event.content["raw"]).decode(errors="replace")


@pytest.mark.parametrize("original_names", [False, True])
@pytest.mark.parametrize(("folder", "name"), ALL)
def test_a_capture_in_json_gives_the_same_events(folder: str, name: str, original_names: bool):
    """Every captured request, sent as JSON with either kind of names, gives the events of its protobuf."""
    kind = "logs" if ".logs." in name else "traces"
    # In protobuf's own order of fields, on which the ids of records without an id of their own depend.
    body = REQUESTS[kind].FromString((CAPTURES / folder / name).read_bytes()).SerializeToString(deterministic=True)
    translated = to_protobuf(kind, as_json(kind, body, original_names=original_names))
    assert decode(kind, translated).events == decode(kind, body).events
    assert decode(kind, translated).events


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": ""}, ("a", "")),
        ({"string_value": "x"}, ("a", "x")),
        ({"intValue": "9223372036854775807"}, ("a", "9223372036854775807")),
        ({"intValue": -5}, ("a", "-5")),
        ({"intValue": 1e3}, ("a", "1000")),
        ({"doubleValue": 0.25}, ("a", "0.25")),
        ({"doubleValue": "-Infinity"}, ("a", '{"$double":"-Infinity"}')),
        ({"doubleValue": "1.5"}, ("a", "1.5")),
        ({"boolValue": False}, ("a", "false")),
        ({"bytesValue": "-_8"}, ("a", '{"$bytes":"+/8="}')),
        ({"arrayValue": {"values": [{"intValue": 1}, {}]}}, ("a", "[1,null]")),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}, ("a", '{"k":true}')),
        ({}, ("a", "null")),
        (None, ("a", '{"$absent":true}')),
    ],
)
def test_each_kind_of_value_is_read(value: Any, expected: tuple[str, str]):
    """Each form in which JSON may write an attribute's value gives that value."""
    event = _event(_traces(_span(attributes=[{"key": "a", "value": value}])))
    assert [*event.columns["attributes"], *event.columns["attributes_json"]] == [expected]
    assert "remarks" not in event.columns


def test_enums_come_as_numbers_or_names():
    """Span kind and status code are the same as a number, a number in a string, and a name."""
    for kind, code in ((3, 2), ("3", "2"), ("SPAN_KIND_CLIENT", "STATUS_CODE_ERROR")):
        event = _event(_traces(_span(kind=kind, status={"code": code})))
        assert event.columns["status"] == "error"
        assert ("kind", "3") in event.columns["otlp"]


def test_ids_are_hex_of_either_case():
    """Trace and span ids are hex, upper or lower case, and never base64."""
    event = _event(_traces(_span(traceId=TRACE.upper())))
    assert event.columns["trace_id"] == TRACE
    event = _event(_traces(_span(traceId=base64.b64encode(bytes.fromhex(TRACE)).decode())))
    assert event.columns["remarks"] == ["invalid_trace_id", "unknown_fields"]
    assert base64.b64encode(bytes.fromhex(TRACE)).decode() in _kept(event)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"fromTheFuture": {"a": [1, None]}}, '["fromTheFuture",{"a":[1,null]}]'),
        ({"kind": "SPAN_KIND_UNHEARD_OF"}, '["kind","SPAN_KIND_UNHEARD_OF"]'),
        ({"attributes": {"a": 1}}, '["attributes",{"a":1}]'),
        ({"attributes": [7]}, '["attributes[0]",7]'),
        ({"endTimeUnixNano": -1}, '["endTimeUnixNano",-1]'),
        ({"flags": True}, '["flags",true]'),
        ({"status": {"code": 2, "colour": "red"}}, '["colour","red"]'),
        ({"attributes": [{"key": "a", "value": {"intValue": "many"}}]}, '["intValue","many"]'),
        ({"attributes": [{"key": "a", "value": {"intValue": 1, "stringValue": "s"}}]}, '["stringValue","s"]'),
        ({"attributes": [{"key": "a", "value": "plain"}]}, '["value","plain"]'),
        ({"events": [{"name": "e", "where": "here"}]}, '["where","here"]'),
        ({"links": [{"traceId": "nothex"}]}, '["traceId","nothex"]'),
        ({"trace_id": "11" * 16}, f'["trace_id","{"11" * 16}"]'),
    ],
)
def test_what_no_field_holds_is_kept_and_remarked(fields: dict[str, Any], kept: str):
    """A field nobody knows, or a value its field can't hold, is remarked; its JSON is in the record's kept bytes."""
    event = _event(_traces(_span(**fields)))
    assert "unknown_fields" in event.columns["remarks"]
    assert kept in _kept(event)
    assert event.columns["name"] == "chat"


def test_a_name_that_comes_twice_is_kept():
    """Of a repeated name the first counts, and the others are kept."""
    event = _event(_traces(_span()).replace(b'"name": "chat"', b'"name": "first", "name": "second"'))
    assert event.columns["name"] == "first"
    assert '["name","second"]' in _kept(event)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (_traces(_span(), extra=1), "request"),
        (json.dumps({"resourceSpans": [{"extra": 1, "scopeSpans": [{"spans": [_span()]}]}]}).encode(), "resource"),
        (json.dumps({"resourceSpans": [{"scopeSpans": [{"extra": 1, "spans": [_span()]}]}]}).encode(), "scope"),
        (_traces(_span(), "no span"), "scope"),
    ],
)
def test_what_the_envelope_does_not_know_is_an_event_of_its_own(body: bytes, part: str):
    """Unknown fields around the records become a loss event that holds them, beside the records."""
    decoded = decode("traces", to_protobuf("traces", body))
    assert [event.columns["event_type"] for event in decoded.events] == ["span", "loss"]
    assert [loss.part for loss in decoded.losses] == [part]
    assert "extra" in _kept(decoded.events[1]) or "no span" in _kept(decoded.events[1])


def test_damaged_text_stays_in_its_record():
    """Bytes that are no UTF-8, and half of a surrogate pair, cost no more than in protobuf."""
    good = _traces(_span(name="NAME"), _span(spanId="1" * 16))
    for written in (b"\xff", b"\\ud83d"):
        decoded = decode("traces", to_protobuf("traces", good.replace(b"NAME", b"caf" + written)))
        damaged, whole = decoded.events
        assert damaged.columns["remarks"] == ["invalid_utf8"]
        assert damaged.columns["name"].startswith("caf\\x")
        assert "remarks" not in whole.columns


def test_deep_values_are_kept():
    """A value nested deeper than protobuf reads is remarked and kept, as it is in protobuf."""

    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {"stringValue": "core"}
        for _ in range(levels):
            value = {"arrayValue": {"values": [value]}}
        return value

    for levels, remark in ((20, None), (60, "undecodable"), (150, None)):
        event = _event(_traces(_span(attributes=[{"key": "a", "value": nested(levels)}])))
        if remark:
            assert remark in event.columns["remarks"]
        assert any("core" in text for text in [*dict(event.columns["attributes_json"]).values(), _kept_or_empty(event)])


def _kept_or_empty(event: AuditEvent) -> str:
    return _kept(event) if "raw" in event.content else ""


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "are not JSON"),
        (b'{"resourceSpans": [', "are not JSON"),
        (b"[]", "no object"),
        (b'{"resourceLogs": []}', "without any resourceSpans"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"resourceSpans": 5}', "without any resourceSpans"),
    ],
)
def test_what_is_no_request_is_rejected_as_a_whole(body: bytes, problem: str):
    """A body that is no request of the signal is refused with what it is and what to send."""
    with pytest.raises(RejectedBatch, match=problem) as refused:
        to_protobuf("traces", body)
    assert f"{len(body)} bytes" in str(refused.value)


def test_an_empty_request_is_one():
    """A request without resources is stored as nothing, as in protobuf."""
    assert to_protobuf("logs", b'{"resourceLogs": null}') == b""
    assert decode("logs", to_protobuf("logs", b"\xef\xbb\xbf{}")).events == []


def test_numbers_that_json_can_write_and_otlp_can_not():
    """A bare NaN is read; an integer beyond 64 bits is kept as it came."""
    event = _event(_traces(_span(attributes=[{"key": "a", "value": {"doubleValue": math.nan}}])))
    assert dict(event.columns["attributes_json"]) == {"a": '{"$double":"NaN"}'}
    event = _event(_traces(_span(attributes=[{"key": "a", "value": {"intValue": str(1 << 63)}}])))
    assert str(1 << 63) in _kept(event)


def test_the_kept_field_is_no_field_of_otlp():
    """The number that kept JSON goes under is none that a message of OTLP has."""
    seen: list[Callable[..., Any]] = list(REQUESTS.values())
    names = set()
    while seen:
        message = seen.pop().DESCRIPTOR
        if message.full_name not in names:
            names.add(message.full_name)
            assert KEPT_FIELD not in message.fields_by_number
            seen += [field.message_type._concrete_class for field in message.fields if field.message_type]
    assert len(names) > 10
