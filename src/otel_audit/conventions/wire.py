"""OTLP messages, read so that one bad byte costs as little as possible.

The generated OTLP classes refuse a whole request for one invalid UTF-8 byte or one value nested too
deep. These are the same messages on the wire, made three ways from one table: ``strict`` as
specified, ``lenient`` with bytes where the specification has text, and ``shell``, a message whose
parts are still unread bytes. Envelopes, spans and log records are read as shells, so that damage
stays inside the part that has it. Fields that are not in the table (``key_strindex`` and the like,
which belong to profiles) are unknown fields here: seen, kept, and remarked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError, Message

# opentelemetry-proto 1.9 (common, resource, trace, logs): message -> "name number type", * = repeated.
SCHEMA: Final = {
    # Traces and logs have the same envelope under other names (ResourceSpans, ResourceLogs ...): one here.
    "Request": "resource_blocks 1 *ResourceBlock",
    "ResourceBlock": "resource 1 Resource, scope_blocks 2 *ScopeBlock, schema_url 3 string",
    "ScopeBlock": "scope 1 Scope, records 2 *Span, schema_url 3 string",
    "Resource": "attributes 1 *KeyValue, dropped_attributes_count 2 uint32, entity_refs 3 *EntityRef",
    "EntityRef": "schema_url 1 string, type 2 string, id_keys 3 *string, description_keys 4 *string",
    "Scope": "name 1 string, version 2 string, attributes 3 *KeyValue, dropped_attributes_count 4 uint32",
    "KeyValue": "key 1 string, value 2 AnyValue",
    "KeyValueList": "values 1 *KeyValue",
    "ArrayValue": "values 1 *AnyValue",
    "AnyValue": (
        "string_value 1 string, bool_value 2 bool, int_value 3 int64, double_value 4 double, "
        "array_value 5 ArrayValue, kvlist_value 6 KeyValueList, bytes_value 7 bytes"
    ),
    "Span": (
        "trace_id 1 bytes, span_id 2 bytes, trace_state 3 string, parent_span_id 4 bytes, name 5 string, kind 6 int32, "
        "start_time_unix_nano 7 fixed64, end_time_unix_nano 8 fixed64, attributes 9 *KeyValue, "
        "dropped_attributes_count 10 uint32, events 11 *Event, dropped_events_count 12 uint32, links 13 *Link, "
        "dropped_links_count 14 uint32, status 15 Status, flags 16 fixed32"
    ),
    "Event": "time_unix_nano 1 fixed64, name 2 string, attributes 3 *KeyValue, dropped_attributes_count 4 uint32",
    "Link": (
        "trace_id 1 bytes, span_id 2 bytes, trace_state 3 string, attributes 4 *KeyValue, "
        "dropped_attributes_count 5 uint32, flags 6 fixed32"
    ),
    "Status": "message 2 string, code 3 int32",
    "LogRecord": (
        "time_unix_nano 1 fixed64, severity_number 2 int32, severity_text 3 string, body 5 AnyValue, "
        "attributes 6 *KeyValue, dropped_attributes_count 7 uint32, flags 8 fixed32, trace_id 9 bytes, "
        "span_id 10 bytes, observed_time_unix_nano 11 fixed64, event_name 12 string"
    ),
}
_ONEOF: Final = "AnyValue"

_F = FieldDescriptorProto
_SCALARS: Final = {
    "string": _F.TYPE_STRING,
    "bytes": _F.TYPE_BYTES,
    "bool": _F.TYPE_BOOL,
    "int32": _F.TYPE_INT32,  # enums too: the same varint, and open to numbers nobody knows yet
    "int64": _F.TYPE_INT64,
    "uint32": _F.TYPE_UINT32,
    "double": _F.TYPE_DOUBLE,
    "fixed32": _F.TYPE_FIXED32,
    "fixed64": _F.TYPE_FIXED64,
}


def _messages(variant: str) -> dict[str, type[Message]]:
    file = FileDescriptorProto(name=f"otel_audit/{variant}.proto", package=variant, syntax="proto3")
    for message_name, fields in SCHEMA.items():
        message = file.message_type.add(name=message_name)
        if message_name == _ONEOF and variant != "shell":
            message.oneof_decl.add(name="value")
        for field_text in fields.split(", "):
            name, number, kind = field_text.split(" ")
            field = message.field.add(name=name, number=int(number), label=_F.LABEL_OPTIONAL)
            if message_name == _ONEOF and variant != "shell":
                field.oneof_index = 0
            if kind[0] == "*":
                field.label = _F.LABEL_REPEATED
            scalar = _SCALARS.get(kind.lstrip("*"))
            if scalar is None and variant == "shell":
                # A singular message may come in pieces; joined they are the merged message.
                field.type, field.label = _F.TYPE_BYTES, _F.LABEL_REPEATED
            elif scalar is None:
                field.type, field.type_name = _F.TYPE_MESSAGE, f".{variant}.{kind.lstrip('*')}"
            else:
                field.type = _F.TYPE_BYTES if scalar == _F.TYPE_STRING and variant != "strict" else scalar
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{variant}.{name}")) for name in SCHEMA}


STRICT: Final = _messages("strict")
_LENIENT: Final = _messages("lenient")
_SHELL: Final = _messages("shell")

_TEXT_FIELDS: Final = {
    name: {field.split(" ")[0] for field in fields.split(", ") if field.endswith("string")}
    for name, fields in SCHEMA.items()
}

INVALID_UTF8: Final = "invalid_utf8"
UNKNOWN_FIELDS: Final = "unknown_fields"
UNDECODABLE: Final = "undecodable"


def shell_reader(name: str) -> Callable[[bytes], Any]:
    """A function from bytes to a shell message. It raises ``DecodeError`` for bytes that are no protobuf."""
    reader: Callable[[bytes], Any] = _SHELL[name].FromString
    return reader


def note(damage: list[str], remark: str) -> None:
    """Add a remark once."""
    if remark not in damage:
        damage.append(remark)


def text(raw: bytes, damage: list[str]) -> str:
    """A shell's text field. Invalid UTF-8 becomes backslash escapes and is noted in ``damage``."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        note(damage, INVALID_UTF8)
        return raw.decode(errors="backslashreplace")


def read(name: str, raw: bytes, damage: list[str]) -> Any:
    """A strict message from its bytes; what had to be mended or is not known is noted in ``damage``.

    Raises ``DecodeError`` for bytes that are not this message, or are nested deeper than protobuf reads.
    """
    try:
        message = STRICT[name].FromString(raw)
    except DecodeError:
        lenient = _LENIENT[name].FromString(raw)
        _mend(lenient)
        raw = lenient.SerializeToString()
        message = STRICT[name].FromString(raw)
        note(damage, INVALID_UTF8)
    message.DiscardUnknownFields()
    size = message.ByteSize()
    # Shorter than it came: it had fields we do not know, or only a wordy encoding. Reading it once more tells.
    if size != len(raw) and STRICT[name].FromString(raw).ByteSize() != size:
        note(damage, UNKNOWN_FIELDS)
    return message


def read_all(name: str, raws: Sequence[bytes], damage: list[str]) -> list[Any]:
    """``read`` each; one that can not be read is left out, and noted as undecodable."""
    messages = []
    for raw in raws:
        try:
            messages.append(read(name, raw, damage))
        except DecodeError:
            note(damage, UNDECODABLE)
    return messages


def _mend(message: Message) -> None:
    texts = _TEXT_FIELDS[message.DESCRIPTOR.name]
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if field.is_repeated else [value]:
                _mend(item)
        elif field.name in texts:
            if field.is_repeated:
                value[:] = [_mended(item) for item in value]
            else:
                setattr(message, field.name, _mended(value))


def _mended(raw: bytes) -> bytes:
    return raw.decode(errors="backslashreplace").encode()
