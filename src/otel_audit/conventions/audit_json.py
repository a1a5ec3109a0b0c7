"""Audit records in OTLP/JSON, for whoever holds one as a file: which record it is, and its canonical form.

Made straight from the JSON, and not by way of protobuf as the receiver does it: so the two can be compared.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_audit import semconv
from otel_audit.conventions.audit_canonical import canonical_form
from otel_audit.conventions.values import Pairs, Value
from otel_audit.errors import MalformedInput

_NUMBERS: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}  # as in ProtoJSON


def audit_records(document: Any, where: str) -> dict[str, bytes]:
    """Canonical forms by record id of one bare record, or of the records of an export request, in OTLP/JSON.

    Raises MalformedInput that begins with ``where``, and tells no value of the record.
    """
    try:
        return {_record_id(record): _form(record) for record in _records(document)}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        raise MalformedInput(f"{where}: is no audit record in OTLP/JSON ({type(exc).__name__})") from exc


def _records(document: Any) -> Iterator[Mapping[str, Any]]:
    if "resourceLogs" not in document:
        yield document
        return
    for block in document["resourceLogs"]:
        for scope in block.get("scopeLogs", ()):
            yield from scope.get("logRecords", ())


def _attributes(record: Mapping[str, Any]) -> dict[str, Value]:
    return {pair["key"]: _value(pair.get("value")) for pair in record["attributes"]}


def _record_id(record: Mapping[str, Any]) -> str:
    return str(_attributes(record)[semconv.AUDIT_RECORD_ID])


def _form(record: Mapping[str, Any]) -> bytes:
    body = record.get("body")
    return canonical_form(
        int(record["timeUnixNano"]),
        int(record["observedTimeUnixNano"]),
        record["eventName"],
        _attributes(record),
        record.get("traceId", "").lower(),
        record.get("spanId", "").lower(),
        () if body is None else (_value(body),),
    )


def _value(value: Any) -> Value:
    """An AnyValue of OTLP/JSON as a native value."""
    if not value:
        return None
    ((kind, held),) = value.items()
    match kind:
        case "stringValue" | "boolValue":
            return held
        case "intValue":
            return int(held)
        case "doubleValue":
            return _NUMBERS[held] if held in _NUMBERS else float(held)
        case "bytesValue":
            return base64.b64decode(held)
        case "arrayValue":
            return [_value(each) for each in held.get("values", ())]
        case "kvlistValue":
            return Pairs([(pair["key"], _value(pair.get("value"))) for pair in held.get("values", ())])
        case _:
            raise ValueError("an attribute value of no kind that OTLP has")
