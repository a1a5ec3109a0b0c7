"""``loss`` events of the application's side, made as finished spans: no sampler or limit stands in their way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from otel_audit.instrumentation.delivery.encoding import Encoder
from otel_audit.instrumentation.delivery.segment import Item
from otel_audit.model import EventType
from otel_audit.semconv import AUDIT_EVENT_TYPE, AUDIT_LOSS_COUNT, AUDIT_LOSS_REASON, AUDIT_TASK_ID

TRACER_NAME: Final = "otel_audit"


def package_version() -> str:
    """The version of this package."""
    try:
        return version("otel-audit")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


class LossItems:
    """Makes spool records of ``loss`` events. ``clock`` gives nanoseconds since 1970."""

    def __init__(self, encoder: Encoder, resource: Resource, clock: Callable[[], int] = time.time_ns) -> None:
        self._encoder = encoder
        self._resource = resource
        self._clock = clock
        self._ids = RandomIdGenerator()
        self._scope = InstrumentationScope(TRACER_NAME, package_version())

    def of(self, reason: str, count: int) -> Item:
        """``count`` records were lost."""
        return self._item(reason, count, None, {})

    def of_limits(self, span: ReadableSpan, limits: SpanLimits | None, extra: Mapping[str, Any]) -> Iterator[Item]:
        """What the application's span limits took from a span that is delivered with ``extra`` attributes."""
        dropped = {
            "attributes dropped by span limits": span.dropped_attributes,
            "span events dropped by span limits": span.dropped_events,
            "span links dropped by span limits": span.dropped_links,
        }
        if limits is not None and limits.max_span_attribute_length is not None:
            cut = _at_length(span.attributes, limits.max_span_attribute_length)
            dropped[f"attribute values cut at {limits.max_span_attribute_length} characters"] = cut
        if limits is not None and limits.max_attribute_length is not None:
            cut = sum(_at_length(event.attributes, limits.max_attribute_length) for event in span.events)
            dropped[f"span event values cut at {limits.max_attribute_length} characters"] = cut
        for reason, count in dropped.items():
            if count:
                yield self._item(reason, count, span, extra)

    def _item(self, reason: str, count: int, about: ReadableSpan | None, extra: Mapping[str, Any]) -> Item:
        now = self._clock()
        parent = about.context if about else None
        trace_id = parent.trace_id if parent else self._ids.generate_trace_id()
        attributes: dict[str, Any] = {
            AUDIT_EVENT_TYPE: EventType.LOSS.value,
            AUDIT_LOSS_REASON: reason,
            AUDIT_LOSS_COUNT: count,
        }
        if task_id := extra.get(AUDIT_TASK_ID):
            attributes[AUDIT_TASK_ID] = task_id
        span = ReadableSpan(
            name=EventType.LOSS.value,
            context=SpanContext(trace_id, self._ids.generate_span_id(), is_remote=False, trace_flags=TraceFlags(0)),
            parent=parent,
            resource=about.resource if about else self._resource,
            attributes=attributes,
            start_time=now,
            end_time=now,
            instrumentation_scope=self._scope,
        )
        return self._encoder.span(span, {})


def _at_length(attributes: Mapping[str, Any] | None, length: int) -> int:
    """How many texts are as long as the limit: they were cut, or happen to fit exactly."""
    return sum(type(value) is str and len(value) == length for value in (attributes or {}).values())
