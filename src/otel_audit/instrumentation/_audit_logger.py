"""The producer's side of the OpenTelemetry Audit Logging signal: a record is queued on disk, and gets a receipt."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_audit.errors import SpoolFailed, SpoolFull
from otel_audit.instrumentation._context import context_attributes, text
from otel_audit.instrumentation._faults import note
from otel_audit.instrumentation.delivery.encoding import AUDIT
from otel_audit.instrumentation.delivery.losses import TRACER_NAME, package_version
from otel_audit.instrumentation.delivery.segment import Item
from otel_audit.instrumentation.delivery.transport import Refused
from otel_audit.instrumentation.sdk.processor import Pipeline
from otel_audit.semconv import (
    AUDIT_ACTION,
    AUDIT_ACTOR_ID,
    AUDIT_ACTOR_TYPE,
    AUDIT_OUTCOME,
    AUDIT_RECORD_ID,
    AUDIT_SOURCE_ID,
    AUDIT_SOURCE_TYPE,
    AUDIT_TARGET_ID,
    AUDIT_TARGET_TYPE,
)

_OPERATION: Final = "audit_logger"
_ACTOR_TYPES: Final = ("user", "service", "system")
_OUTCOMES: Final = ("success", "failure", "unknown")
_NO_VERB: Final = re.compile(r"[^A-Z0-9]+")
_SCOPE: Final = InstrumentationScope(TRACER_NAME, package_version())


@dataclass(frozen=True, slots=True)
class Emitted:
    """What became of a record.

    ``receipt`` is the receiver's (docs/how-to/audit-signal.md). Without one, and where ``refused`` is empty, the record
    is queued on disk and will be sent until it is acknowledged, by this process or the next; its receipt is then at
    ``GET /v1/audit/receipts/<record_id>``. ``refused`` says why no receiver will ever have it: a loss is counted then,
    and the record is kept in a ``.rejected`` file of the spool where it got that far.
    """

    record_id: str
    receipt: Mapping[str, Any] | None = None
    refused: str = ""


class AuditLogger:
    """Emits audit records. Safe to use from any thread.

    ``pipeline`` gives where they go, ``provider`` what has their resource, and ``clock`` nanoseconds since 1970.
    """

    def __init__(
        self, pipeline: Callable[[], Pipeline | None], provider: Callable[[], Any], clock: Callable[[], int]
    ) -> None:
        self._pipeline = pipeline
        self._provider = provider
        self._clock = clock

    def emit(
        self,
        *,
        action: str,
        actor_id: str,
        actor_type: str = "user",
        outcome: str = "success",
        target_id: str | None = None,
        target_type: str | None = None,
        source_id: str | None = None,
        source_type: str | None = None,
        event_name: str | None = None,
        body: Any = None,
        attributes: Mapping[str, Any] | None = None,
        timeout: float = 2.0,
    ) -> Emitted:
        """Record that ``actor_id`` did ``action`` with ``outcome``, and wait ``timeout`` seconds for the receipt.

        The record is on the disk before anything is sent. When the receiver is away, slow or refuses for now, the
        call returns after ``timeout`` with no receipt, and the record goes out later under the same id: do not emit it
        again. With ``timeout=0`` it does not wait at all. It blocks its thread: in async code call it in another.

        ``actor_type`` is user, service or system, ``outcome`` success, failure or unknown; a word that is neither is
        noted, and recorded as system or unknown. ``event_name`` is the action in lower case unless given. The capture
        policy masks the record like any other.

        Raises SpoolFull when the spool had no room within ``timeout``, whatever OTEL_AUDIT_ON_FULL says, and
        SpoolFailed when the disk does not take the record. Then it is kept nowhere: the caller decides whether what it
        tells of may go on. Nothing else is raised.
        """
        record_id = str(uuid.uuid4())
        pipeline = None
        try:
            pipeline = self._pipeline()
            said = {
                **context_attributes(),
                **{text(key): value for key, value in (attributes or {}).items()},
                **_said(action, actor_id, actor_type, outcome),
                AUDIT_RECORD_ID: record_id,
            }
            optional = {
                AUDIT_TARGET_ID: target_id,
                AUDIT_TARGET_TYPE: target_type,
                AUDIT_SOURCE_ID: source_id,
                AUDIT_SOURCE_TYPE: source_type,
            }
            said.update({key: text(value) for key, value in optional.items() if value})
            if pipeline is None:
                raise SpoolFailed("there is no spool")  # noqa: TRY301 - handled like a spool that can not be made
            item = self._item(pipeline, text(event_name) or said[AUDIT_ACTION].lower(), said, body)
        except (OSError, SpoolFailed) as exc:
            note(_OPERATION, "the spool of audit records can not be made", exc)
            raise SpoolFailed(f"the spool of audit records can not be made ({type(exc).__name__})") from exc
        except Exception as exc:  # noqa: BLE001 - ours never reach the application
            if pipeline is not None:
                pipeline.delivery.lose("audit record could not be encoded")
            note(_OPERATION, "a record could not be encoded", exc)
            return Emitted(record_id, refused="the record could not be encoded")
        try:
            return Emitted(record_id, pipeline.delivery.put_and_wait(item, record_id, timeout))
        except Refused as exc:
            return Emitted(record_id, refused=str(exc))
        except (SpoolFull, SpoolFailed):
            raise
        except Exception as exc:  # noqa: BLE001 - as above; whether it was kept is not known, so it is told as refused
            note(_OPERATION, "a record could not be queued", exc)
            return Emitted(record_id, refused="the record could not be queued")

    def _item(self, pipeline: Pipeline, event_name: str, said: Mapping[str, Any], body: Any) -> Item:
        now = self._clock()
        log = LogRecord(timestamp=now, observed_timestamp=now, event_name=event_name, body=body, attributes=dict(said))
        here = trace.get_current_span().get_span_context()
        log.trace_id, log.span_id, log.trace_flags = here.trace_id, here.span_id, here.trace_flags
        resource = getattr(self._provider(), "resource", None) or Resource.create()
        return pipeline.encoder.log(ReadWriteLogRecord(log, resource, _SCOPE), {}, AUDIT)


def _said(action: str, actor_id: str, actor_type: str, outcome: str) -> dict[str, str]:
    """The mandatory attributes, in words that the signal has. What had to be put right is noted."""
    verb = _NO_VERB.sub("_", text(action).upper()).strip("_")
    if not verb or not verb[0].isalpha():
        note(_OPERATION, "an action that is no verb; ACTION_ is put before it")
        verb = f"ACTION_{verb}".rstrip("_")
    who = text(actor_id)
    if not who.strip():
        note(_OPERATION, "a record without actor; `unknown` is recorded")
        who = "unknown"
    if actor_type not in _ACTOR_TYPES:
        note(_OPERATION, f"an actor type that is none of {', '.join(_ACTOR_TYPES)}; `system` is recorded")
        actor_type = "system"
    if outcome not in _OUTCOMES:
        note(_OPERATION, f"an outcome that is none of {', '.join(_OUTCOMES)}; `unknown` is recorded")
        outcome = "unknown"
    return {AUDIT_ACTION: verb, AUDIT_ACTOR_ID: who, AUDIT_ACTOR_TYPE: actor_type, AUDIT_OUTCOME: outcome}
