"""``POST /v1/audit`` and ``GET /v1/audit/receipts/<record id>``. docs/how-to/audit-signal.md has the answers."""

from __future__ import annotations

from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from otel_audit.errors import RecordConflict, RejectedBatch, StoreError
from otel_audit.receiver.audit_signal.intake import AuditIntake, batch_answer
from otel_audit.receiver.audit_signal.records import from_json
from otel_audit.receiver.http_body import JSON, PROTOBUF, TooLarge, content_type_of, error_answer, failed, read_body
from otel_audit.receiver.intake import MAX_REQUEST_BYTES, RETRY_DELAY_SECONDS

# The draft's words (specification/audit/collector.md, "Domain Status Values").
_STATUS: Final = {
    400: "rejected_schema_invalid",
    409: "rejected_schema_invalid",
    413: "rejected_schema_invalid",
    503: "failed_internal",
}


def audit_routes(audit: AuditIntake, limiter: CapacityLimiter) -> list[Route]:
    """The routes, whose work runs on at most as many threads as ``limiter`` allows."""

    async def export(request: Request) -> Response:
        content_type = content_type_of(request)
        if content_type not in {PROTOBUF, JSON}:
            return error_answer(PROTOBUF, 415, f"content-type {content_type!r}: send {PROTOBUF} or {JSON}")
        wants_json = content_type == JSON or JSON in request.headers.get("accept", "")
        try:
            body = await read_body(request)
            answer = await to_thread.run_sync(_store, audit, body, content_type, limiter=limiter)
        except TooLarge:
            return _refuse(wants_json, 413, f"larger than {MAX_REQUEST_BYTES >> 20} MiB: send smaller batches")
        except RejectedBatch as exc:
            return _refuse(wants_json, 400, str(exc))
        except RecordConflict as exc:
            return _refuse(wants_json, 409, str(exc))
        except StoreError as exc:
            return _refuse(wants_json, 503, str(exc))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except Exception as exc:  # noqa: BLE001 - whatever it is, the producer keeps its data
            return failed(content_type, exc)
        if wants_json:
            return JSONResponse(answer)
        return Response(b"", media_type=PROTOBUF)  # an empty ExportLogsServiceResponse, as stock exporters expect

    async def receipt(request: Request) -> Response:
        record_id = request.path_params["record_id"]
        try:
            found = await to_thread.run_sync(audit.receipt, record_id, limiter=limiter)
        except StoreError as exc:
            return _refuse(True, 503, str(exc))  # noqa: FBT003 - JSON is all this route speaks
        if found is None:
            return JSONResponse({"message": "no audit record is stored under this id"}, 404)
        return JSONResponse(found)

    return [
        Route("/v1/audit", export, methods=["POST"]),
        Route("/v1/audit/receipts/{record_id}", receipt, methods=["GET"]),
    ]


def _store(audit: AuditIntake, body: bytes, content_type: str) -> dict[str, Any]:
    is_one = False
    if content_type == JSON:
        try:
            body, is_one = from_json(body)
        except RejectedBatch:
            audit.losses.add("audit batch rejected")
            raise
    receipts = audit.store(body)
    return receipts[0] if is_one else batch_answer(receipts)


def _refuse(wants_json: bool, status: int, reason: str) -> Response:  # noqa: FBT001 - one of two forms
    if not wants_json:
        return error_answer(PROTOBUF, status, reason)
    retry = {"retry_after": RETRY_DELAY_SECONDS} if status == 503 else {}
    headers = {"Retry-After": str(RETRY_DELAY_SECONDS)} if status == 503 else None
    return JSONResponse({"status": _STATUS[status], "reason": reason, "message": reason, **retry}, status, headers)
