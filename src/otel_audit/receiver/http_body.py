"""What every route of the receiver does with a request's body, and how it says what is wrong."""

from __future__ import annotations

import zlib
from typing import Final

from google.rpc.status_pb2 import Status
from starlette.requests import Request
from starlette.responses import Response

from otel_audit.errors import RejectedBatch
from otel_audit.receiver import otlp_json
from otel_audit.receiver.intake import MAX_REQUEST_BYTES, RETRY_DELAY_SECONDS

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"


class TooLarge(Exception):
    """The body is larger than MAX_REQUEST_BYTES. Send smaller batches."""


def content_type_of(request: Request) -> str:
    """The content type alone, in lower case."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_body(request: Request) -> bytes:
    """The request body, decompressed, never more than the limit in memory."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", ""}:
        raise RejectedBatch(f"content-encoding {encoding!r}: send gzip or none")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in request.stream():
        try:
            body += inflate.decompress(chunk, MAX_REQUEST_BYTES + 1 - len(body)) if inflate else chunk
        except zlib.error as exc:
            raise RejectedBatch(f"content-encoding is gzip, but the body is not: {exc}") from exc
        if len(body) > MAX_REQUEST_BYTES or (inflate and inflate.unconsumed_tail):
            raise TooLarge
    if inflate and not inflate.eof:
        raise RejectedBatch("the gzip body is incomplete")
    return bytes(body)


def error_answer(content_type: str, status: int, message: str) -> Response:
    """An error as OTLP/HTTP wants it: a google.rpc.Status, and when to come back."""
    headers = {"Retry-After": str(RETRY_DELAY_SECONDS)} if status == 503 else None
    error = Status(message=message)
    body = otlp_json.status_answer(error) if content_type == JSON else error.SerializeToString()
    return Response(body, status, headers, media_type=content_type)
