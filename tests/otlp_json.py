"""OTLP/JSON as a producer writes it, from the protobuf of the same request."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {"traces": ExportTraceServiceRequest, "logs": ExportLogsServiceRequest}
_IDS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}


def as_dict(kind: str, body: bytes, *, original_names: bool = False) -> dict[str, Any]:
    """The request as an exporter gives it to its JSON encoder: ids in hex, 64-bit integers as strings.

    With ``original_names`` fields and enums have the names of the .proto files, else fields are lowerCamelCase and
    enums numbers.
    """
    found = json_format.MessageToDict(
        REQUESTS[kind].FromString(body),
        preserving_proto_field_name=original_names,
        use_integers_for_enums=not original_names,
    )
    _hex_ids(found)
    return found


def as_json(kind: str, body: bytes, **options: bool) -> bytes:
    """``as_dict`` in UTF-8."""
    return json.dumps(as_dict(kind, body, **options), ensure_ascii=False).encode()


def _hex_ids(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _hex_ids(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _IDS:
                value[key] = base64.b64decode(item).hex()
            else:
                _hex_ids(item)
