"""OTLP/HTTP (protobuf and JSON) and the receiver's health page, as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from otel_audit.errors import ConfigError, RejectedBatch, StoreUnavailable
from otel_audit.receiver import otlp_json
from otel_audit.receiver.audit_signal.http import audit_routes
from otel_audit.receiver.audit_signal.intake import AuditIntake
from otel_audit.receiver.http_body import JSON, PROTOBUF, TooLarge, content_type_of, error_answer, failed, read_body
from otel_audit.receiver.intake import MAX_REQUEST_BYTES, Intake

_WORKERS: Final = 32
_CORS_HEADERS: Final = ("Content-Encoding", "Content-Type")  # what a browser's exporter needs to send
_Store = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class _Signal:
    """How the bodies of one path are stored: a function a content type, from request to response."""

    protobuf: _Store
    json: _Store


def http_app(
    intake: Intake,
    is_healthy: Callable[[], bool],
    cors_origins: Sequence[str] = (),
    audit: AuditIntake | None = None,
) -> Starlette:
    """``POST /v1/traces``, ``/v1/logs``, ``/v1/metrics`` and ``GET /healthz``; the guarantees of OTLP/gRPC.

    With ``audit`` also ``POST /v1/audit`` and ``GET /v1/audit/receipts/<record id>``.

    Answers have the request's content type. Pages of ``cors_origins`` (``https://app.example.com``) may send from a
    browser; without any there are no CORS headers, and a browser's preflight is refused. Raises ConfigError for an
    origin that is none.
    """
    limiter = CapacityLimiter(_WORKERS)

    def endpoint(signal: _Signal) -> Callable[[Request], object]:
        async def export(request: Request) -> Response:
            content_type = content_type_of(request)
            if content_type not in {PROTOBUF, JSON}:
                return error_answer(PROTOBUF, 415, f"content-type {content_type!r}: send {PROTOBUF} or {JSON}")
            store = signal.json if content_type == JSON else signal.protobuf
            try:
                body = await read_body(request)
                return Response(await to_thread.run_sync(store, body, limiter=limiter), media_type=content_type)
            except TooLarge:
                return error_answer(
                    content_type, 413, f"larger than {MAX_REQUEST_BYTES >> 20} MiB: send smaller batches"
                )
            except RejectedBatch as exc:
                return error_answer(content_type, 400, str(exc))
            except StoreUnavailable as exc:
                return error_answer(content_type, 503, str(exc))
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read it
            except Exception as exc:  # noqa: BLE001 - whatever it is, the producer keeps its data
                return failed(content_type, exc)

        return export

    async def healthz(_: Request) -> Response:
        healthy = is_healthy()
        return JSONResponse({"status": "ok" if healthy else "not storing"}, status_code=200 if healthy else 503)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            *(Route(f"/v1/{name}", endpoint(signal), methods=["POST"]) for name, signal in _signals(intake).items()),
            *(audit_routes(audit, limiter) if audit is not None else ()),
        ],
        middleware=_cors(cors_origins),
    )


def _signals(intake: Intake) -> dict[str, _Signal]:
    """JSON becomes protobuf first, so that both take one path and give the same events."""

    def from_json(translate: Callable[[bytes], bytes], store: _Store, answer: Callable[[bytes], bytes]) -> _Store:
        def store_json(body: bytes) -> bytes:
            try:
                translated = translate(body)
            except RejectedBatch:
                intake.losses.add("request rejected: not an OTLP message")
                raise
            return answer(store(translated))

        return store_json

    def traces(body: bytes) -> bytes:
        return otlp_json.to_protobuf("traces", body)

    def logs(body: bytes) -> bytes:
        return otlp_json.to_protobuf("logs", body)

    def stored(_: bytes) -> bytes:
        return b"{}"  # an empty response: nothing was rejected

    return {
        "traces": _Signal(intake.traces, from_json(traces, intake.traces, stored)),
        "logs": _Signal(intake.logs, from_json(logs, intake.logs, stored)),
        "metrics": _Signal(
            intake.metrics, from_json(otlp_json.metrics_to_protobuf, intake.metrics, otlp_json.metrics_answer)
        ),
    }


def _cors(origins: Sequence[str]) -> list[Middleware]:
    for origin in origins:
        parts = urlsplit(origin)
        whole = f"{parts.scheme}://{parts.netloc}"
        if parts.scheme not in {"http", "https"} or not parts.netloc or origin != whole or " " in origin:
            raise ConfigError(
                f"--cors-origin {origin!r} is no origin: write scheme, host and port alone, as in "
                "https://app.example.com. Every page of a named origin may write to the trail, so name each"
            )
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["POST"],
            allow_headers=_CORS_HEADERS,
            expose_headers=["Retry-After"],
        )
    ]
