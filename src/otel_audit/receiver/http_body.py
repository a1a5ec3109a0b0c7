"""What every route of the receiver does with a request's body, and how it says what is wrong."""

from __future__ import annotations

import logging
import zlib
from typing import Final

from anyio import fail_after
from google.rpc.status_pb2 import Status
from starlette.requests import Request
from starlette.responses import Response

from otel_audit.errors import RejectedBatch, StoreUnavailable
from otel_audit.receiver import otlp_json
from otel_audit.receiver.intake import MAX_REQUEST_BYTES, RETRY_DELAY_SECONDS

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_LOG: Final = logging.getLogger(__name__)
_STALLED_SECONDS: Final = 30.0
_MOST_MEMBERS: Final = 4096  # bgzip makes one of each 64 KiB; empty ones would cost time and no memory


class TooLarge(Exception):
    """The body is larger than MAX_REQUEST_BYTES. Send smaller batches."""


def content_type_of(request: Request) -> str:
    """The content type alone, in lower case."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_body(request: Request) -> bytes:
    """The request body, decompressed, never more than the limit in memory.

    Raises TooLarge, RejectedBatch, or StoreUnavailable when the body stops coming.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", ""}:
        raise RejectedBatch(f"content-encoding {encoding!r}: send gzip or none")
    inflate = _Gzip() if encoding == "gzip" else None
    body = bytearray()
    received = 0
    chunks = aiter(request.stream())
    while True:
        try:
            with fail_after(_STALLED_SECONDS):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except TimeoutError as exc:
            raise StoreUnavailable(f"nothing of the body came for {_STALLED_SECONDS:.0f} s; send it again") from exc
        received += len(chunk)
        if inflate:
            inflate.take(chunk, body)
        else:
            body += chunk
        if max(received, len(body)) > MAX_REQUEST_BYTES:
            raise TooLarge
    if inflate and not inflate.is_whole:
        raise RejectedBatch("the gzip body is incomplete")
    return bytes(body)


class _Gzip:
    """Decompresses a stream of gzip members, which follow one another without anything between (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._members = 1

    @property
    def is_whole(self) -> bool:
        return self._member.eof

    def take(self, chunk: bytes, body: bytearray) -> None:
        """Put what ``chunk`` holds behind ``body``, to one byte beyond the limit at most."""
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise TooLarge
            try:
                body += self._member.decompress(chunk, MAX_REQUEST_BYTES + 1 - len(body))
            except zlib.error as exc:
                raise RejectedBatch(f"content-encoding is gzip, but the body is not: {exc}") from exc
            if len(body) > MAX_REQUEST_BYTES or self._member.unconsumed_tail:
                raise TooLarge
            chunk = self._member.unused_data


def failed(content_type: str, exc: Exception) -> Response:
    """The answer where the receiver itself failed: exporters drop data on 500, and a defect of ours must cost none."""
    _LOG.error("an export request failed", exc_info=exc)
    return error_answer(content_type, 503, f"the receiver failed ({type(exc).__name__}); its log says where. Retry")


def error_answer(content_type: str, status: int, message: str) -> Response:
    """An error as OTLP/HTTP wants it: a google.rpc.Status, and when to come back."""
    headers = {"Retry-After": str(RETRY_DELAY_SECONDS)} if status == 503 else None
    error = Status(message=message)
    body = otlp_json.status_answer(error) if content_type == JSON else error.SerializeToString()
    return Response(body, status, headers, media_type=content_type)
