"""How a command asks a ledger's writer for an operation, whether a receiver is running or not.

A running receiver answers ``POST /<operation>`` with JSON on loopback, to whoever has the token of its run file.
When none is running, the command opens the ledger itself, does the operation, and closes it in order.
"""

from __future__ import annotations

import hmac
import http.client
import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from otel_audit.errors import AuditError, ConfigError, StoreError
from otel_audit.receiver.operations import OPERATIONS, OpenLedger
from otel_audit.receiver.service import Receiver, ReceiverSettings
from otel_audit.store.embedded import is_locked, locked_error
from otel_audit.store.folder import DataFolder, RunInfo

_LOG: Final = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 3600.0  # an erasure of much rewrites much


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


def request_operation(settings: ReceiverSettings, name: str, arguments: Mapping[str, Any]) -> Any:
    """Have the ledger of ``settings.data`` do an operation, and return its result.

    ``settings`` matter when no receiver is running. Raises ConfigError when the arguments are wrong or there is no
    such ledger, StoreError when the operation failed; then it may be tried again.
    """
    folder = DataFolder(settings.data)
    folder.identity()
    run = folder.read_run()
    if run is not None and run.control_port and (settings.url or is_locked(folder)):
        try:
            return _ask(run, name, arguments)
        except (ConnectionRefusedError, ConnectionResetError) as exc:
            if not settings.url:
                raise locked_error(folder) from exc  # left over from a receiver that was killed
    elif not settings.url and is_locked(folder):
        raise locked_error(folder)
    receiver = Receiver(settings)
    receiver.start(serve=False)
    try:
        return OPERATIONS[name](receiver.ledger, arguments)
    finally:
        receiver.stop()


def _ask(run: RunInfo, name: str, arguments: Mapping[str, Any]) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", run.control_port, timeout=_TIMEOUT_SECONDS)
    try:
        headers = {"Authorization": f"Bearer {run.token}", "Content-Type": "application/json"}
        connection.request("POST", f"/{name}", json.dumps(arguments), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    if response.status == 200:
        return answer
    error = ConfigError if response.status == 422 else StoreError
    raise error(answer["error"])
