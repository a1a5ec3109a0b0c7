"""One span or log record, read once from its bytes, with the resource and scope it came from."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_audit.conventions import wire
from otel_audit.conventions.content import Content, Entry, entry_of, first_values, shelter_all, split
from otel_audit.conventions.text import is_long
from otel_audit.conventions.values import Value, format_typed, keyed, native, native_pair, unreadable
from otel_audit.model import EventColumns, RecordKind

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


def _read_entries(pairs: Sequence[Any]) -> list[Entry]:
    return [entry_of(pair.key, native_pair(pair)) for pair in pairs]


_RESOURCE_COLUMNS: Final = (
    ("service", ("service.name",)),
    ("service_version", ("service.version",)),
    ("environment", ("deployment.environment.name", "deployment.environment")),
)
_PRODUCER: Final = ("telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version")


@dataclass(slots=True)
class Source:
    """The resource and scope of a batch of records, and what each of its events has from them.

    ``columns``, ``content``, ``otlp`` and ``remarks`` are the same for every record of the batch.
    """

    scope_name: str = ""
    columns: EventColumns = field(default_factory=EventColumns)
    content: Content = field(default_factory=Content)
    otlp: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    identity: bytes = b""


def read_resource(parts: Sequence[bytes], schema_url: bytes) -> Source:
    """A source that knows its resource: its bytes (none when there is no resource at all)."""
    source = Source()
    damage: list[str] = []
    raw = b"".join(parts)
    _read_url(source, "resource_schema_url", schema_url)
    entries: list[Entry] = []
    if not parts:
        source.otlp.append(("absent_resource", "true"))
    try:
        resource = wire.read("Resource", raw, damage)
    except DecodeError:
        wire.note(damage, wire.UNDECODABLE)
    else:
        entries = _read_entries(resource.attributes)
        if resource.dropped_attributes_count:
            source.otlp.append(("resource_dropped_attributes_count", str(resource.dropped_attributes_count)))
        if resource.entity_refs:
            text = format_typed([_entity_ref(ref) for ref in resource.entity_refs])
            source.otlp.append(("entity_refs", source.content.short("entity_refs", text)))
    if damage:
        source.content["raw_resource"] = base64.b64encode(raw).decode()
        source.remarks += [f"resource_{remark}" for remark in damage]
    attributes = first_values(entries)
    columns = source.columns
    for column, keys in _RESOURCE_COLUMNS:
        value = next((attributes[key] for key in keys if attributes.get(key)), None)
        if isinstance(value, str) and not is_long(value):
            columns[column] = value  # type: ignore[literal-required]  # the three names above are columns
    producer = [attributes.get(key) for key in _PRODUCER]
    if any(producer):
        name = "/".join(part if isinstance(part, str) else "" for part in producer)
        columns["producer"] = name if not is_long(name) else ""
    columns["resource_attributes"], columns["resource_attributes_json"] = split(
        entries,
        repeated=len(attributes) != len(entries),
        place="resource_attributes",
        content=source.content,
        taken={},
        otlp=source.otlp,
    )
    source.identity = len(raw).to_bytes(8, "big") + raw
    return source


def _read_url(source: Source, name: str, raw: bytes) -> None:
    if not raw:
        return
    damage: list[str] = []
    url = wire.text(raw, damage)
    source.otlp.append((name, source.content.short(name, url)))
    if damage:
        source.content[f"raw_{name}"] = base64.b64encode(raw).decode()
        source.remarks += [f"{name}_{remark}" for remark in damage]


def _entity_ref(ref: Any) -> dict[str, Value]:
    return {
        "schema_url": ref.schema_url,
        "type": ref.type,
        "id_keys": list(ref.id_keys),
        "description_keys": list(ref.description_keys),
    }


def read_scope(resource: Source, parts: Sequence[bytes], schema_url: bytes) -> Source:
    """``resource`` with the scope added: its bytes (none when there is no scope at all)."""
    source = Source(
        columns=resource.columns.copy(),
        content=Content(resource.content),
        otlp=resource.otlp.copy(),
        remarks=resource.remarks.copy(),
    )
    damage: list[str] = []
    raw = b"".join(parts)
    _read_url(source, "schema_url", schema_url)
    if not parts:
        source.otlp.append(("absent_scope", "true"))
    try:
        scope = wire.read("Scope", raw, damage)
    except DecodeError:
        wire.note(damage, wire.UNDECODABLE)
    else:
        source.scope_name = scope.name
        _describe_scope(source, scope)
    if damage:
        source.content["raw_scope"] = base64.b64encode(raw).decode()
        source.remarks += [f"scope_{remark}" for remark in damage]
    source.identity = resource.identity + len(raw).to_bytes(8, "big") + raw
    return source


def _describe_scope(source: Source, scope: Any) -> None:
    if scope.name:
        source.columns["scope_name"] = source.content.short("scope_name", scope.name)
    if scope.version:
        source.columns["scope_version"] = source.content.short("scope_version", scope.version)
    if scope.dropped_attributes_count:
        source.otlp.append(("scope_dropped_attributes_count", str(scope.dropped_attributes_count)))
    if scope.attributes:
        attributes = keyed(scope.attributes)
        sheltered = shelter_all(attributes, "scope_attributes", source.content)
        if isinstance(sheltered, dict):
            pairs = [(key, format_typed(value)) for key, value in sheltered.items()]
            source.columns["scope_attributes_json"] = pairs
        else:  # a key twice: the map can not hold it
            source.otlp.append(("scope_attributes", format_typed(sheltered)))


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
