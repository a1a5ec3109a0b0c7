"""The resource and scope that a batch of records came from, read once from their bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError

from otel_audit.conventions import wire
from otel_audit.conventions.content import Content, Entry, entry_of, first_values, shelter_all, split
from otel_audit.conventions.text import is_long
from otel_audit.conventions.values import Value, format_typed, keyed, native_pair
from otel_audit.model import EventColumns


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
    key: tuple[Any, ...] = ()  # what the resource was read from


_REMEMBERED_LENGTH: Final = 1 << 13  # bytes
_REMEMBERED_SOURCES: Final = 1 << 9
# Resources and scopes by their bytes: a producer sends the same ones with each request. Nothing changes a source.
_resources: dict[tuple[bool, bytes, bytes], Source] = {}
_scopes: dict[tuple[tuple[Any, ...], bool, bytes, bytes], Source] = {}


def read_resource(parts: Sequence[bytes], schema_url: bytes) -> Source:
    """A source that knows its resource: its bytes (none when there is no resource at all)."""
    raw = b"".join(parts)
    key = (bool(parts), raw, schema_url)
    source = _resources.get(key)
    if source is None:
        source = _read_resource(parts, raw, schema_url)
        source.key = key
        _remember(_resources, key, len(raw) + len(schema_url), source)
    return source


def _remember(sources: dict[Any, Source], key: Any, length: int, source: Source) -> None:
    if length <= _REMEMBERED_LENGTH:
        if len(sources) >= _REMEMBERED_SOURCES:
            sources.clear()
        sources[key] = source


def _read_resource(parts: Sequence[bytes], raw: bytes, schema_url: bytes) -> Source:
    source = Source()
    damage: list[str] = []
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
    raw = b"".join(parts)
    key = (resource.key, bool(parts), raw, schema_url)
    source = _scopes.get(key)
    if source is None:
        source = _read_scope(resource, parts, raw, schema_url)
        _remember(_scopes, key, len(resource.identity) + len(raw) + len(schema_url), source)
    return source


def _read_scope(resource: Source, parts: Sequence[bytes], raw: bytes, schema_url: bytes) -> Source:
    source = Source(
        columns=resource.columns.copy(),
        content=Content(resource.content),
        otlp=resource.otlp.copy(),
        remarks=resource.remarks.copy(),
    )
    damage: list[str] = []
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
