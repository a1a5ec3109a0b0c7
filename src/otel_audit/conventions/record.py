"""One span or log record, read once from its bytes, with the resource and scope it came from."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_audit.conventions import wire
from otel_audit.conventions.content import Entry, entry_of, first_values
from otel_audit.conventions.source import Source
from otel_audit.conventions.values import Value, keyed, native, native_pair, unreadable
from otel_audit.model import RecordKind

_CACHED_LENGTH: Final = 128  # bytes; longer attributes rarely come twice
_CACHED_ATTRIBUTES: Final = 1 << 14

_read_span: Final = wire.shell_reader("Span")
_read_log: Final = wire.shell_reader("LogRecord")
_read_pair: Final = wire.shell_reader("KeyValue")

_SPAN: Final = RecordKind.SPAN  # reading a member of an enum class is slow: read once
_LOG: Final = RecordKind.LOG

_known: dict[bytes, Entry] = {}  # attributes seen before, by their bytes: most repeat from record to record


def read_attributes(raws: Sequence[bytes], damage: list[str]) -> list[Entry]:
    """Attributes in the order they came. One that can not be read keeps its key, and its value as bytes."""
    entries = []
    known = _known
    for raw in raws:
        if len(raw) > _CACHED_LENGTH:
            entries.append(_read_attribute(raw, damage))
            continue
        entry = known.get(raw)
        if entry is None:
            notes: list[str] = []
            entry = _read_attribute(raw, notes)
            if notes:
                for remark in notes:
                    wire.note(damage, remark)
            else:
                if len(known) >= _CACHED_ATTRIBUTES:
                    known.clear()
                known[raw] = entry
        entries.append(entry)
    return entries


def _read_string(raw: bytes) -> tuple[str, str] | None:
    """A string attribute in its canonical encoding, read here: half of what reading it by protobuf costs.

    ``0a <len> key 12 <len> 0a <len> text``, with a key below 128 bytes and a text below 16 KiB. None
    for anything else.
    """
    try:
        at = 2 + raw[1]
        if raw[0] != 0x0A or raw[1] > 0x7F or raw[at] != 0x12:
            return None
        key = raw[2:at]
        at += 1
        for tag in (0x0A, None):  # the length of the AnyValue, then that of its string_value
            length = raw[at]
            at += 1
            if length > 0x7F:
                if raw[at] > 0x7F:
                    return None
                length += (raw[at] << 7) - 0x80
                at += 1
            if at + length != len(raw):
                return None
            if tag is not None:
                if raw[at] != tag:
                    return None
                at += 1
        return key.decode(), raw[at:].decode()
    except (IndexError, UnicodeDecodeError):
        return None


def _read_attribute(raw: bytes, damage: list[str]) -> Entry:
    plain = _read_string(raw)
    if plain is not None:
        return entry_of(*plain)
    try:
        pair = wire.read("KeyValue", raw, damage)
    except DecodeError:
        wire.note(damage, wire.UNDECODABLE)
        try:
            shell = _read_pair(raw)
        except DecodeError:
            return entry_of("", unreadable(raw))
        return entry_of(wire.text(shell.key, damage), unreadable(b"".join(shell.value)))
    return entry_of(pair.key, native_pair(pair))


@dataclass(slots=True)
class Event:
    """A span event, as it came."""

    time_unix_nano: int
    name: str
    attributes: Value  # dict or Pairs
    dropped_attributes_count: int


@dataclass(slots=True)
class Link:
    """A span link, as it came. Ids in lower-case hex."""

    trace_id: str
    span_id: str
    trace_state: str
    attributes: Value
    dropped_attributes_count: int
    flags: int


@dataclass(slots=True)
class Record:
    """A span or a log record. Not frozen: making a frozen dataclass costs three times as much.

    ``attributes`` holds native values, the first of a repeated key; ``entries`` has all in order.
    ``start`` and ``end`` are the span's times, or a log's time and observed time, unsigned
    nanoseconds as they came. ``otlp`` is what no column and no other field of this class holds.
    ``damage`` says what could not be read as specified; the record's bytes are kept then.
    """

    kind: RecordKind
    source: Source
    raw: bytes
    entries: list[Entry]
    attributes: dict[str, Value]
    trace_id: str
    span_id: str
    name: str
    start: int
    end: int
    flags: int
    otlp: list[tuple[str, str]]
    damage: list[str]
    parent_span_id: str = ""
    state: str = ""  # a span's trace_state, a log's severity_text
    has_status: bool = False
    status_code: int = 0
    status_message: str = ""
    events: Sequence[Event] = ()
    links: Sequence[Link] = ()
    has_body: bool = False
    body: Value = None

    anonymous: bool = False  # its event id was made from its bytes

    def identity(self, key: bytes) -> str:
        """An id for a record that brings none."""
        self.anonymous = True
        return identity(key, self.source.identity, self.raw)


def identity(key: bytes, source_identity: bytes, raw: bytes) -> str:
    """32 hex digits that name a record among all: keyed, so that they tell nothing about its texts."""
    data = source_identity + len(raw).to_bytes(8, "big") + raw
    return hmac.digest(key, data, hashlib.sha256)[:16].hex()


def read_span(source: Source, raw: bytes) -> Record:
    """A span from its bytes. Raises ``DecodeError`` when they are no span at all."""
    span = _read_span(raw)
    damage: list[str] = []
    if len(UnknownFieldSet(span)):
        damage.append(wire.UNKNOWN_FIELDS)
    entries = read_attributes(span.attributes, damage)
    otlp: list[tuple[str, str]] = []
    flags = span.flags
    if number := span.kind:
        otlp.append(("kind", str(number)))
    if flags:
        otlp.append(("flags", str(flags)))
    if number := span.dropped_attributes_count:
        otlp.append(("dropped_attributes_count", str(number)))
    if number := span.dropped_events_count:
        otlp.append(("dropped_events_count", str(number)))
    if number := span.dropped_links_count:
        otlp.append(("dropped_links_count", str(number)))
    record = Record(
        _SPAN,
        source,
        raw,
        entries,
        first_values(entries),
        span.trace_id.hex(),
        span.span_id.hex(),
        wire.text(span.name, damage),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        flags,
        otlp,
        damage,
        span.parent_span_id.hex(),
        wire.text(span.trace_state, damage),
    )
    if status_parts := span.status:
        record.has_status = True
        if status_raw := b"".join(status_parts):
            for status in wire.read_all("Status", [status_raw], damage):
                record.status_code = status.code
                record.status_message = status.message
    if event_raws := span.events:
        record.events = [
            Event(event.time_unix_nano, event.name, keyed(event.attributes), event.dropped_attributes_count)
            for event in wire.read_all("Event", event_raws, damage)
        ]
    if link_raws := span.links:
        record.links = [
            Link(
                link.trace_id.hex(),
                link.span_id.hex(),
                link.trace_state,
                keyed(link.attributes),
                link.dropped_attributes_count,
                link.flags,
            )
            for link in wire.read_all("Link", link_raws, damage)
        ]
    return record


def read_log(source: Source, raw: bytes) -> Record:
    """A log record from its bytes. Raises ``DecodeError`` when they are no log record at all."""
    log = _read_log(raw)
    damage: list[str] = []
    if len(UnknownFieldSet(log)):
        damage.append(wire.UNKNOWN_FIELDS)
    entries = read_attributes(log.attributes, damage)
    otlp: list[tuple[str, str]] = []
    flags = log.flags
    if flags:
        otlp.append(("flags", str(flags)))
    if number := log.severity_number:
        otlp.append(("severity_number", str(number)))
    if number := log.dropped_attributes_count:
        otlp.append(("dropped_attributes_count", str(number)))
    record = Record(
        _LOG,
        source,
        raw,
        entries,
        first_values(entries),
        log.trace_id.hex(),
        log.span_id.hex(),
        wire.text(log.event_name, damage),
        log.time_unix_nano,
        log.observed_time_unix_nano,
        flags,
        otlp,
        damage,
        state=wire.text(log.severity_text, damage),
    )
    if not record.name and isinstance(event_name := record.attributes.get("event.name"), str) and event_name:
        # Some emitters know no event_name field yet, and give the name as an attribute.
        otlp.append(("event_name", ""))
        record.name = event_name
    if body_parts := log.body:
        record.has_body = True
        for body in wire.read_all("AnyValue", [b"".join(body_parts)], damage):
            record.body = native(body)
    return record
