"""The recorder: everything that an application can say, and how it is set up."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._audit_logger import AuditLogger
from otel_audit.instrumentation._context import text
from otel_audit.instrumentation._emitter import USER
from otel_audit.instrumentation._faults import guard
from otel_audit.instrumentation._tasks import Tasks
from otel_audit.instrumentation.ai_calls.ai_call import AiCalls, configure_confidence_path
from otel_audit.instrumentation.ai_calls.clients import ClientExtrasInstrumentor
from otel_audit.instrumentation.reviews.rationale import CODES_VARIABLE, CodeList, RationaleCodes
from otel_audit.instrumentation.reviews.recording import Reviews
from otel_audit.instrumentation.sdk.setup import audit_pipeline, audit_pipelines, prepare
from otel_audit.model import EventType
from otel_audit.semconv import (
    AUDIT_ACTION,
    AUDIT_ACTOR_ID,
    AUDIT_ACTOR_TYPE,
    AUDIT_FILTER,
    AUDIT_OUTCOME,
    AUDIT_PURPOSE,
    AUDIT_ROW_COUNT,
    AUDIT_TARGET_ID,
    AUDIT_TARGET_TYPE,
)


class Recorder(Tasks, Reviews, AiCalls):
    """Records audit events of one service. The functions of ``otel_audit`` are methods of one such object.

    ``clock`` gives nanoseconds since 1970 and ``ids`` an identity for each review. Without a tracer
    provider the global one is used, also when it is set later.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
        ids: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        super().__init__(tracer_provider, clock, ids)
        self._endpoint: str | None = None

    def configure(
        self,
        service_name: str | None = None,
        *,
        endpoint: str | None = None,
        environment: str | None = None,
        service_version: str | None = None,
        tracer_provider: Any = None,
        clock: Callable[[], int] | None = None,
        rationale_codes: CodeList | None = None,
        strict_rationale_codes: bool = False,
        confidence_path: str | None = None,
    ) -> None:
        """Make the process ready to record. Call it once at start; calling it again changes only what is given.

        Where the application has an OpenTelemetry SDK tracer provider, now or later, it keeps its resource,
        its exporters and what its sampler decides; ours is added beside them: the task is written onto every
        span, and audit events, AI calls and sampled spans are spooled and sent to ``endpoint``, else to
        ``OTEL_AUDIT_ENDPOINT``, else to ``http://localhost:4317``. Where there is none, one is made, in the
        name of ``service_name``, ``service_version`` and ``environment`` (else of the ``OTEL_*`` variables),
        and ``OTEL_EXPORTER_OTLP_ENDPOINT`` counts too. docs/how-to/instrument.md has every setting.

        ``tracer_provider`` names the provider to use in place of the global one, and ``clock`` gives the
        time in nanoseconds since 1970.

        ``rationale_codes`` is your own list of reasons: codes, code and meaning, or the path of a TOML or JSON file;
        by default the file that ``OTEL_AUDIT_RATIONALE_CODES`` names, where it does. A code that is not in it is
        recorded, marked and counted; with ``strict_rationale_codes`` it raises UnknownRationaleCode instead.

        ``confidence_path`` is where structured answers of your AI calls have their confidence, a JSON pointer
        (``/assessment/confidence``) or dotted; by default what ``OTEL_AUDIT_CONFIDENCE_PATH`` says.
        """
        with guard("rationale_codes"):
            given = rationale_codes or os.environ.get(CODES_VARIABLE) or None
            if given is not None:
                self.codes = RationaleCodes.of(given, strict=strict_rationale_codes)
        if confidence_path is not None:
            configure_confidence_path(text(confidence_path))
        ClientExtrasInstrumentor().instrument(tracer_provider=tracer_provider)
        with guard("configure"):
            if clock is not None:
                self._clock = clock
            prepare(
                tracer_provider,
                service_name=service_name,
                service_version=service_version,
                environment=environment,
                endpoint=endpoint,
            )
            self._use(tracer_provider)
        with guard("configure"):
            self._endpoint = endpoint or self._endpoint
            audit_pipeline(self._sdk_provider(), self._endpoint, resume_only=True)

    def logger(self) -> AuditLogger:
        """A logger of the OpenTelemetry Audit Logging signal: each record gets a receipt.

        >>> import otel_audit as audit
        >>> emitted = audit.logger().emit(action="EXPORT", actor_id="u_102", target_id="report-7", timeout=0)
        >>> emitted.receipt is None  # it is on the disk, and nobody waited for the receiver
        True
        """
        return AuditLogger(lambda: audit_pipeline(self._sdk_provider(), self._endpoint), self._sdk_provider, self.now)

    def _sdk_provider(self) -> Any:
        return self._provider or trace.get_tracer_provider()

    def flush(self, timeout: float = 10.0) -> bool:
        """Send what is waiting, for at most ``timeout`` seconds.

        True when the receiver has acknowledged everything. What it has not stays in the spool, and is sent
        as soon as it can be, by this process or the next.
        """
        with guard("flush"):
            millis = int(timeout * 1000)
            force_flush = getattr(self._sdk_provider(), "force_flush", None)
            others = [pipeline.flush(millis) for pipeline in audit_pipelines()]
            return bool(force_flush(millis)) and all(others) if force_flush else False
        return False

    def record_access(
        self,
        action: str,
        *,
        actor: str,
        actor_type: str = USER,
        target: str | None = None,
        target_type: str | None = None,
        purpose: str | None = None,
        filter: str | Mapping[str, Any] | None = None,  # noqa: A002 - the vocabulary's word for it
        row_count: int | None = None,
        outcome: str = "success",
        at: int | None = None,
    ) -> None:
        """Record that somebody looked at, searched or exported what the trail holds.

        ``action`` is a verb such as VIEW, SEARCH or EXPORT, ``target`` what it was done to (a task, a
        file), ``purpose`` why, ``filter`` what was asked for, ``row_count`` how many rows were shown.
        """
        with guard("record_access"):
            asked = filter if isinstance(filter, str | None) else json.dumps(filter, ensure_ascii=False, default=str)
            texts = {
                AUDIT_ACTION: action.upper(),
                AUDIT_ACTOR_ID: actor,
                AUDIT_ACTOR_TYPE: actor_type,
                AUDIT_TARGET_ID: target,
                AUDIT_TARGET_TYPE: target_type,
                AUDIT_PURPOSE: purpose,
                AUDIT_FILTER: asked,
                AUDIT_OUTCOME: outcome,
            }
            found: dict[str, AttributeValue] = {key: text(value) for key, value in texts.items() if value}
            if row_count is not None:
                found[AUDIT_ROW_COUNT] = int(row_count)
            self.emit(EventType.ACCESS, found, None, at=at)
