"""Audit records over OTLP/gRPC: ``LogsService/Export`` with the request metadata ``otel-audit-signal: 1``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from otel_audit.receiver.audit_signal.intake import AuditIntake, batch_answer

MARKER_METADATA: Final = "otel-audit-signal"
RECEIPTS_METADATA: Final = "otel-audit-receipts-bin"
# gRPC clients take 8 KiB of metadata by default and fail the whole call beyond it, although everything is stored.
_MAX_RECEIPTS_BYTES: Final = 4 << 10


def is_audit(metadata: Iterable[tuple[str, str | bytes]]) -> bool:
    """Whether a request's metadata says that its log records are audit records."""
    return any(key == MARKER_METADATA and value == "1" for key, value in metadata)


def store_audit(audit: AuditIntake, body: bytes, wait_seconds: float) -> list[tuple[str, bytes]]:
    """Store all of an ``ExportLogsServiceRequest`` or nothing; gives the trailing metadata with the receipts.

    It is the JSON answer of ``POST /v1/audit``, and left out where it is too large for metadata: the receipts are then
    had by ``GET``. Raises what ``AuditIntake.store`` does.
    """
    answer = json.dumps(batch_answer(audit.store(body, wait_seconds)), separators=(",", ":")).encode()
    return [(RECEIPTS_METADATA, answer)] if len(answer) <= _MAX_RECEIPTS_BYTES else []
