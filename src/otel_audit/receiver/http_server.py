"""OTLP/HTTP (protobuf) and the receiver's health page, as an ASGI application."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from anyio import CapacityLimiter, to_thread
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from otel_audit.errors import RejectedBatch, StoreUnavailable
from otel_audit.receiver.intake import MAX_REQUEST_BYTES, RETRY_DELAY_SECONDS, Intake

_PROTOBUF: Final = "application/x-protobuf"
_WORKERS: Final = 32


class _TooLarge(Exception):
    pass


def http_app(intake: Intake, is_healthy: Callable[[], bool]) -> Starlette:
    """``POST /v1/traces``, ``/v1/logs``, ``/v1/metrics`` and ``GET /healthz``; the guarantees of OTLP/gRPC."""
    limiter = CapacityLimiter(_WORKERS)

    def endpoint(store: Callable[[bytes], bytes]) -> Callable[[Request], object]:
        async def export(request: Request) -> Response:
            content_type = request.headers.get("content-type", "").split(";")[0].strip()
            if content_type != _PROTOBUF:
                return _answer(415, f"content-type {content_type!r}: send {_PROTOBUF}")
            try:
                body = await _read(request)
                return Response(await to_thread.run_sync(store, body, limiter=limiter), media_type=_PROTOBUF)
            except _TooLarge:
                return _answer(413, f"larger than {MAX_REQUEST_BYTES >> 20} MiB: send smaller batches")
            except RejectedBatch as exc:
                return _answer(400, str(exc))
            except StoreUnavailable as exc:
                return _answer(503, str(exc))

        return export

    async def healthz(_: Request) -> Response:
        healthy = is_healthy()
        return JSONResponse({"status": "ok" if healthy else "not storing"}, status_code=200 if healthy else 503)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/v1/traces", endpoint(intake.traces), methods=["POST"]),
            Route("/v1/logs", endpoint(intake.logs), methods=["POST"]),
            Route("/v1/metrics", endpoint(intake.metrics), methods=["POST"]),
        ]
    )


async def _read(request: Request) -> bytes:
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
            raise _TooLarge
    if inflate and not inflate.eof:
        raise RejectedBatch("the gzip body is incomplete")
    return bytes(body)


def _answer(status: int, message: str) -> Response:
    """An error as OTLP/HTTP wants it: a google.rpc.Status, and when to come back."""
    headers = {"Retry-After": str(RETRY_DELAY_SECONDS)} if status == 503 else None
    return Response(Status(message=message).SerializeToString(), status, headers, media_type=_PROTOBUF)
