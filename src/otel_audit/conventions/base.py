"""The columns every record has, whatever its convention: identity, times, status, and all that was sent."""

from __future__ import annotations

import base64
from typing import Final

from otel_audit.conventions.content import shelter_all, split
from otel_audit.conventions.draft import Draft
from otel_audit.conventions.record import Event, Link
from otel_audit.conventions.text import TEXT_LIMIT, is_long
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import AuditEvent, RecordKind
from otel_audit.semconv import AUDIT_RECORD_ID

_SPAN: Final = RecordKind.SPAN  # reading a member of an enum class is slow: read once
_LAST_TIME: Final = (1 << 63) - 1  # DateTime64(9) is a signed 64-bit number of nanoseconds
_DAY: Final = 86_400 * 10**9
_TEN_YEARS: Final = 3_653 * _DAY
_STATUS: Final = {0: "unset", 1: "ok", 2: "error"}
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


def begin(draft: Draft, identity_key: bytes, received_unix_nano: int) -> None:
    """Set what does not depend on the convention."""
    record = draft.record
    columns = draft.columns
    columns["record_kind"] = record.kind
    if record.trace_id:
        columns["trace_id"] = _fit_id(draft, "trace_id", record.trace_id)
    if record.span_id:
        columns["span_id"] = _fit_id(draft, "span_id", record.span_id)
    if record.kind is _SPAN:
        _begin_span(draft, identity_key)
    else:
        _begin_log(draft, identity_key)
    _check_clock(draft, received_unix_nano)
    if record.name:
        columns["name"] = draft.content.short("name", record.name)


def _fit_id(draft: Draft, column: str, text: str) -> str:
    return draft.content.put(column, text) if len(text) > TEXT_LIMIT else text


def _begin_span(draft: Draft, identity_key: bytes) -> None:
    record = draft.record
    columns = draft.columns
    columns["event_type"] = "span"
    trace_id, span_id = record.trace_id, record.span_id
    valid = True
    if len(trace_id) != 32 or trace_id == _NO_TRACE:
        draft.remarks.append("invalid_trace_id")
        valid = False
    if len(span_id) != 16 or span_id == _NO_SPAN:
        draft.remarks.append("invalid_span_id")
        valid = False
    columns["event_id"] = f"span:{trace_id}/{span_id}" if valid else f"span:{record.identity(identity_key)}"
    if record.parent_span_id:
        columns["parent_span_id"] = _fit_id(draft, "parent_span_id", record.parent_span_id)
        if len(record.parent_span_id) != 16:
            draft.remarks.append("invalid_parent_span_id")
    start, end = record.start, record.end
    columns["event_time"] = _clamped(draft, "start_time_unix_nano", start)
    if end:
        columns["end_time"] = _clamped(draft, "end_time_unix_nano", end)
        if end >= start:
            columns["duration_ms"] = (end - start) / 1e6
        else:
            draft.remarks.append("negative_duration")
    else:  # 0 means unknown
        columns["end_time"] = columns["event_time"]
        draft.otlp.append(("end_time_unix_nano", "0"))
        draft.remarks.append("end_time_missing")
    columns["status"] = _STATUS.get(record.status_code, "unset")
    if record.status_code not in _STATUS:
        draft.otlp.append(("status_code", str(record.status_code)))
    if not record.has_status:
        draft.otlp.append(("absent_status", "true"))
    if record.status_message:
        draft.content["status_message"] = record.status_message
    if record.state:
        draft.otlp.append(("trace_state", draft.content.short("trace_state", record.state)))
    if record.events:
        if columns["status"] == "error":
            _add_exception(draft)
        columns["span_events"] = format_typed([_event(draft, n, event) for n, event in enumerate(record.events)])
    if record.links:
        columns["links"] = format_typed([_link(draft, n, link) for n, link in enumerate(record.links)])


def _begin_log(draft: Draft, identity_key: bytes) -> None:
    record = draft.record
    columns = draft.columns
    columns["event_type"] = "log"
    if record.trace_id and (len(record.trace_id) != 32 or record.trace_id == _NO_TRACE):
        draft.remarks.append("invalid_trace_id")
    if record.span_id and (len(record.span_id) != 16 or record.span_id == _NO_SPAN):
        draft.remarks.append("invalid_span_id")
    given = record.attributes.get(AUDIT_RECORD_ID)
    if isinstance(given, str) and given and not is_long(given):
        columns["event_id"] = f"record:{given}"
    else:
        columns["event_id"] = f"log:{record.identity(identity_key)}"
    if record.start:
        columns["event_time"] = _clamped(draft, "time_unix_nano", record.start)
    else:  # 0 means unknown: the observed time is the best there is
        columns["event_time"] = _clamped(draft, "", record.end)
        draft.otlp.append(("time_unix_nano", "0"))
    columns["end_time"] = columns["event_time"]
    if record.end:
        draft.otlp.append(("observed_time_unix_nano", str(record.end)))
    if record.state:
        draft.otlp.append(("severity_text", draft.content.short("severity_text", record.state)))
    if record.has_body:
        draft.otlp.append(("body", _body(draft, record.body)))


def _body(draft: Draft, body: Value) -> str:
    """The ``otlp`` entry of a log body: a marker as in the attribute maps, or typed JSON of what is no text."""
    if body is None or body == "" or isinstance(body, bool | int | float):
        return format_typed(body)
    if isinstance(body, str):
        return draft.content.put("body", body)
    return format_typed(draft.content.put("body", format_typed(body)))


def _clamped(draft: Draft, field: str, time: int) -> int:
    """A time that fits the column. One that does not is kept as it came in ``otlp``."""
    if time <= _LAST_TIME:
        return time
    draft.remarks.append("clock_out_of_range")
    if field:
        draft.otlp.append((field, str(time)))
    return _LAST_TIME


def _check_clock(draft: Draft, received_unix_nano: int) -> None:
    time = draft.columns["event_time"]
    if time < received_unix_nano - _TEN_YEARS:
        draft.remarks.append("clock_far_past")
    elif time > received_unix_nano + _DAY:
        draft.remarks.append("clock_future")


def _add_exception(draft: Draft) -> None:
    for event in draft.record.events:
        if event.name == "exception" and isinstance(event.attributes, dict):
            kind = event.attributes.get("exception.type")
            if isinstance(kind, str) and kind and not is_long(kind):
                draft.columns["error_type"] = kind
                return


def _event(draft: Draft, number: int, event: Event) -> dict[str, Value]:
    place = f"span_events.{number}"
    item: dict[str, Value] = {
        "name": draft.content.short(f"{place}.name", event.name),
        "time_unix_nano": event.time_unix_nano,
    }
    if event.attributes != {}:
        item["attributes"] = shelter_all(event.attributes, place, draft.content)
    if event.dropped_attributes_count:
        item["dropped_attributes_count"] = event.dropped_attributes_count
    return item


def _link(draft: Draft, number: int, link: Link) -> dict[str, Value]:
    place = f"links.{number}"
    item: dict[str, Value] = {
        "trace_id": draft.content.short(f"{place}.trace_id", link.trace_id),
        "span_id": draft.content.short(f"{place}.span_id", link.span_id),
    }
    if link.trace_state:
        item["trace_state"] = draft.content.short(f"{place}.trace_state", link.trace_state)
    if link.attributes != {}:
        item["attributes"] = shelter_all(link.attributes, place, draft.content)
    if link.dropped_attributes_count:
        item["dropped_attributes_count"] = link.dropped_attributes_count
    if link.flags:
        item["flags"] = link.flags
    return item


def finish(draft: Draft) -> AuditEvent:
    """Apply the content rule, and give the event with all that was sent."""
    record = draft.record
    columns = draft.columns
    columns["attributes"], columns["attributes_json"] = split(
        record.entries,
        repeated=len(record.attributes) != len(record.entries),
        place="attributes",
        content=draft.content,
        taken=draft.taken,
        otlp=draft.otlp,
    )
    columns["otlp"] = draft.otlp
    if record.damage:
        draft.remarks += record.damage
        draft.content["raw"] = base64.b64encode(record.raw).decode()
    if draft.remarks:
        columns["remarks"] = draft.remarks
    return AuditEvent(columns, draft.content)
