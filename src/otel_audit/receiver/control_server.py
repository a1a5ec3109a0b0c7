"""Operations on the ledger of a running receiver, for commands on the same machine."""

from __future__ import annotations

import hmac
import json
import logging
from typing import Final

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from otel_audit.errors import AuditError, ConfigError
from otel_audit.receiver.operations import OPERATIONS, OpenLedger

_LOG: Final = logging.getLogger(__name__)


def control_app(ledger: OpenLedger, token: str) -> Starlette:
    """``POST /<operation>``, arguments and result as JSON; ``token`` is the bearer token. Serve it on loopback only.

    Answers 422 with ``{"error": ...}`` for arguments that are wrong, 503 when the operation failed.
    """

    async def operate(request: Request) -> JSONResponse:
        presented = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(presented.encode(), token.encode()):
            return JSONResponse({"error": "the token is not that of this receiver"}, status_code=401)
        name = request.path_params["operation"]
        if name not in OPERATIONS:
            return JSONResponse({"error": f"the receiver that is running knows no operation {name}"}, status_code=404)
        arguments = json.loads(await request.body() or b"{}")
        try:
            return JSONResponse(await to_thread.run_sync(OPERATIONS[name], ledger, arguments))
        except ConfigError as exc:
            return JSONResponse({"error": str(exc)}, status_code=422)
        except AuditError as exc:
            _LOG.warning("operation %s failed: %s", name, exc)
            return JSONResponse({"error": str(exc)}, status_code=503)

    return Starlette(routes=[Route("/{operation}", operate, methods=["POST"])])
