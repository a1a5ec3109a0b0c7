"""Entry points by which OpenTelemetry's own tools find this package; an application need not import it.

``opentelemetry-instrument python app.py`` calls ``pre_instrument`` when the SDK is set up and before any
library is instrumented. Where a declarative configuration builds the SDK, the exporters named ``audit``
and the sampler named ``otel_audit`` are the way in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, Final

from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import Span

from otel_audit.errors import ConfigError, SpoolFull
from otel_audit.instrumentation import configure
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.sdk.processor import Pipeline, held_texts, is_relevant
from otel_audit.instrumentation.sdk.sampler import AuditSampler
from otel_audit.instrumentation.sdk.setup import is_installed, pipeline_for

_SAMPLERS: Final = {
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "parentbased_always_on": DEFAULT_ON,
    "parentbased_always_off": DEFAULT_OFF,
}
_RATIOS: Final = ("traceidratio", "parentbased_traceidratio")
_TEXTS: Final = {
    "inputs": "gen_ai.input.messages",
    "outputs": "gen_ai.output.messages",
    "system_instruction": "gen_ai.system_instructions",
    "tool_definitions": "gen_ai.tool.definitions",
}


def pre_instrument() -> None:
    """Entry point ``opentelemetry_pre_instrument``: put the audit pipeline beside what the application has."""
    configure()


class CompletionHook:
    """Entry point ``opentelemetry_genai_completion_hook``: the texts of AI calls, for our copy of the span only.

    The official instrumentations call it also where the application has them capture no content, so that
    the application's own spans stay as they are.
    """

    def on_completion(self, *, span: Span | None = None, **texts: Any) -> None:
        """Hold the texts until the call's span ends. The arguments are those of util-genai's ``CompletionHook``."""
        with guard("completion_hook"):
            if span is None or not span.is_recording():
                return
            attributes = {
                _TEXTS[name]: json.dumps(_native(texts[name]), ensure_ascii=False, default=str)
                for name in _TEXTS
                if texts.get(name)
            }
            if attributes:
                held_texts.hold(span.get_span_context().span_id, attributes)


def _native(value: Any) -> Any:
    """Messages (dataclasses of util-genai) as JSON values, in the form of the GenAI message schema."""
    if is_dataclass(value) and not isinstance(value, type):
        return _native(asdict(value))
    if isinstance(value, dict):
        return {str(key): _native(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_native(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return getattr(value, "value", value)  # members of enum classes


class _Exporting:
    """The pipeline of whatever resource the first record has; settings as everywhere."""

    _pipeline: Pipeline | None = None

    def _open(self, resource: Resource | None) -> Pipeline:
        if self._pipeline is None:
            self._pipeline = pipeline_for(resource or Resource.get_empty(), standard=False)
        return self._pipeline

    def shutdown(self) -> None:
        """Deliver what can be delivered."""
        if self._pipeline is not None:
            self._pipeline.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whether everything was acknowledged within the time."""
        return self._pipeline is None or self._pipeline.flush(timeout_millis)


class AuditSpanExporter(_Exporting, SpanExporter):
    """Entry point ``opentelemetry_traces_exporter``, named ``audit``: spools what the SDK's processor hands on."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """FAILURE when not all could be spooled; what could not is counted."""
        if is_installed():  # our span processor spooled them already
            return SpanExportResult.SUCCESS
        try:
            for span in spans:
                pipeline = self._open(span.resource)
                pipeline.delivery.put(pipeline.encoder.span(span, held_texts.take(span.context.span_id)))
        except SpoolFull:
            return SpanExportResult.FAILURE
        except Exception as exc:  # noqa: BLE001 - ours never reach the application
            note("exporter", "spans could not be spooled", exc)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class AuditLogExporter(_Exporting, LogRecordExporter):
    """Entry point ``opentelemetry_logs_exporter``, named ``audit``: spools GenAI and audit log records."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """FAILURE when not all could be spooled; what could not is counted."""
        try:
            for each in batch:
                if is_relevant((each.log_record.event_name or "", *(each.log_record.attributes or ()))):
                    pipeline = self._open(each.resource)
                    record = ReadWriteLogRecord(each.log_record, each.resource, each.instrumentation_scope)
                    pipeline.delivery.put(pipeline.encoder.log(record, {}))
        except SpoolFull:
            return LogRecordExportResult.FAILURE
        except Exception as exc:  # noqa: BLE001 - ours never reach the application
            note("exporter", "log records could not be spooled", exc)
            return LogRecordExportResult.FAILURE
        return LogRecordExportResult.SUCCESS


def make_sampler(argument: str | None) -> Sampler:
    """Entry point ``opentelemetry_traces_sampler``, named ``otel_audit``: our sampler around one of the SDK's.

    ``argument`` (``OTEL_TRACES_SAMPLER_ARG``) names that one, as in ``parentbased_traceidratio=0.01``.
    """
    name, _, ratio = (argument or "parentbased_always_on").partition("=")
    if name in _SAMPLERS:
        return AuditSampler(_SAMPLERS[name])
    if name not in _RATIOS:
        known = ", ".join((*_SAMPLERS, *(f"{each}=RATIO" for each in _RATIOS)))
        raise ConfigError(f"OTEL_TRACES_SAMPLER_ARG names no sampler: expected one of {known}")
    try:
        inner: Sampler = TraceIdRatioBased(float(ratio))
    except ValueError as exc:
        raise ConfigError(f"OTEL_TRACES_SAMPLER_ARG: {name} needs a ratio from 0 to 1, as in {name}=0.01") from exc
    return AuditSampler(ParentBased(inner) if name.startswith("parentbased") else inner)
