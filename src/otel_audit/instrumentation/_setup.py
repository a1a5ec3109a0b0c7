"""Where the events go: the tracer provider that ``configure`` found or made."""

from __future__ import annotations

import threading
import weakref

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes.deployment_attributes import DEPLOYMENT_ENVIRONMENT_NAME
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION

from otel_audit.errors import ConfigError
from otel_audit.instrumentation._processor import TaskSpanProcessor

_lock = threading.Lock()
# Guarded by _lock: the endpoints that each provider sends to because of us. A provider in here has our processor.
_prepared: weakref.WeakKeyDictionary[TracerProvider, set[str]] = weakref.WeakKeyDictionary()


def prepare(
    provider: TracerProvider | None,
    *,
    service_name: str | None,
    service_version: str | None,
    environment: str | None,
    endpoint: str | None,
) -> TracerProvider:
    """The provider to record with, ready: ``provider``, else the application's own, else a new global one.

    Our span processor is added once to each provider. An exporter is added to a provider that is not
    ours only when ``endpoint`` asks for it, and once an endpoint.

    Raises ConfigError when the application uses a tracer provider that is not the SDK's.
    """
    with _lock:
        found = provider or trace.get_tracer_provider()
        exports = endpoint is not None
        if isinstance(found, trace.ProxyTracerProvider):
            names = {
                SERVICE_NAME: service_name,
                SERVICE_VERSION: service_version,
                DEPLOYMENT_ENVIRONMENT_NAME: environment,
            }
            found = TracerProvider(resource=Resource.create({key: name for key, name in names.items() if name}))
            trace.set_tracer_provider(found)
            exports = True
        if not isinstance(found, TracerProvider):
            raise ConfigError(
                f"the tracer provider is a {type(found).__name__}, which takes no span processors: "
                "use the OpenTelemetry SDK's TracerProvider"
            )
        if found not in _prepared:
            # Ahead of the exporter, in case the exporter's processor looks at a span when it starts.
            found.add_span_processor(TaskSpanProcessor())
            _prepared[found] = set()
        if exports and (endpoint or "") not in _prepared[found]:
            # Without an endpoint of ours the exporter reads OTEL_EXPORTER_OTLP_*, and else takes localhost:4317.
            found.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
            _prepared[found].add(endpoint or "")
        return found
