"""How a command asks for an operation on a ledger, whether its receiver is running or not."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from otel_audit.errors import ConfigError, StoreError
from otel_audit.receiver.operations import OPERATIONS
from otel_audit.receiver.service import Receiver, ReceiverSettings
from otel_audit.store.embedded import is_locked, locked_error
from otel_audit.store.folder import DataFolder, RunInfo

_TIMEOUT_SECONDS: Final = 3600.0  # an erasure of much rewrites much
_ACCESS_SECONDS: Final = 15.0  # one entry; a person waits for what they asked for


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


def record_access(data: Path, arguments: Mapping[str, Any]) -> bool:
    """Have the receiver that runs on this ledger record an access; False when none is running here.

    Raises as ``request_operation`` does, and StoreError when the receiver does not answer in time: then the access must
    not take place.
    """
    folder = DataFolder(data)
    run = folder.read_run()
    if run is None or not run.control_port or not is_locked(folder):
        return False
    try:
        _ask(run, "access", arguments, _ACCESS_SECONDS)
    except TimeoutError as exc:
        raise StoreError(
            f"the receiver did not record this access within {_ACCESS_SECONDS:.0f} s, so nothing was handed out; "
            "see that it can reach its store, and try again"
        ) from exc
    except (ConnectionRefusedError, ConnectionResetError) as exc:
        raise locked_error(folder) from exc  # left over from a receiver that was killed
    return True


def _ask(run: RunInfo, name: str, arguments: Mapping[str, Any], timeout: float = _TIMEOUT_SECONDS) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", run.control_port, timeout=timeout)
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
