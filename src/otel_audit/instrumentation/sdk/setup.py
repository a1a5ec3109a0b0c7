"""Where the events go: the providers that ``configure`` found or made, and what is added to each once."""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from opentelemetry import _logs, trace
from opentelemetry._logs import _internal as _logs_internal
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv._incubating.attributes.deployment_attributes import DEPLOYMENT_ENVIRONMENT_NAME
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION
from opentelemetry.util._once import Once

from otel_audit.errors import AuditError, ConfigError
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.delivery.delivery import Delivery
from otel_audit.instrumentation.delivery.encoding import Encoder
from otel_audit.instrumentation.delivery.losses import LossItems
from otel_audit.instrumentation.delivery.settings import Settings, audit_destination, read_settings
from otel_audit.instrumentation.delivery.spool import Spool
from otel_audit.instrumentation.delivery.transport import Destination, connect
from otel_audit.instrumentation.sdk.processor import AuditLogProcessor, AuditSpanProcessor, Pipeline
from otel_audit.instrumentation.sdk.sampler import AuditSampler
from otel_audit.instrumentation.sdk.threads import carry_tasks_into_threads
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import POLICY_VARIABLE, CapturePolicy, default_policy, policy_from_environment
from otel_audit.privacy.redactor import Redactor

_COMPLETION_HOOK: Final = "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"
OUR_HOOK: Final = "otel_audit"

_lock = threading.RLock()
# Guarded by _lock: the pipeline of each destination, what each provider was given, and which providers are
# made here, so that no exporter but ours is on them.
_pipelines: dict[str, Pipeline] = {}
_audit_pipelines: dict[str, Pipeline] = {}
_span_processors: weakref.WeakKeyDictionary[Any, AuditSpanProcessor] = weakref.WeakKeyDictionary()
_log_pipelines: weakref.WeakKeyDictionary[Any, list[Pipeline]] = weakref.WeakKeyDictionary()
_ours: weakref.WeakSet[TracerProvider] = weakref.WeakSet()


def prepare(
    provider: TracerProvider | None,
    *,
    service_name: str | None,
    service_version: str | None,
    environment: str | None,
    endpoint: str | None,
) -> TracerProvider:
    """The provider to record with, ready: ``provider``, else the application's own, else a new global one.

    Each provider is given our processors once a destination. A global one that the application sets
    later takes the place of ours, and is given them too.

    Raises ConfigError when the application uses a tracer provider that is not the SDK's.
    """
    with _lock:
        os.environ.setdefault(_COMPLETION_HOOK, OUR_HOOK)  # read when a GenAI instrumentation begins
        carry_tasks_into_threads()
        found = provider or trace.get_tracer_provider()
        if isinstance(found, trace.ProxyTracerProvider):
            names = {
                SERVICE_NAME: service_name,
                SERVICE_VERSION: service_version,
                DEPLOYMENT_ENVIRONMENT_NAME: environment,
            }
            resource = Resource.create({key: name for key, name in names.items() if name})
            found = TracerProvider(resource=resource)
            _ours.add(found)
            _stand_in(trace, "_TRACER_PROVIDER", found, lambda later: _install_later(later, endpoint))
        if not isinstance(found, TracerProvider):
            raise ConfigError(
                f"the tracer provider is a {type(found).__name__}, which takes no span processors: "
                "use the OpenTelemetry SDK's TracerProvider"
            )
        pipeline = pipeline_for(found.resource, endpoint, standard=found in _ours)
        _install(found, pipeline)
        if provider is None:
            _find_logs(found.resource, pipeline)
        return found


def _stand_in(module: Any, name: str, ours: Any, adopt: Callable[[Any], None]) -> None:
    """Make ``ours`` the global provider until the application sets its own; then ``adopt`` that one.

    The API lets a global provider be set once. That one time stays the application's, and there is no
    public way to leave it to it: ``module`` keeps the provider in ``name``, and the one time beside it.
    """
    once = f"{name}_SET_ONCE"

    class _Once(Once):
        def do_once(self, func: Callable[[], None]) -> bool:
            done = super().do_once(func)
            if done:
                adopt(getattr(module, name))
            return done

    if not hasattr(module, name) or not hasattr(module, once):
        raise ConfigError(f"this release of opentelemetry-api has no {name}: set the SDK's providers, then configure")
    setattr(module, once, _Once())
    setattr(module, name, ours)


def _install_later(provider: Any, endpoint: str | None) -> None:
    with guard("configure"), _lock:
        if isinstance(provider, TracerProvider):
            _install(provider, pipeline_for(provider.resource, endpoint, standard=False))


def _install(provider: TracerProvider, pipeline: Pipeline) -> None:
    processor = _span_processors.get(provider)
    if processor is None:
        processor = _span_processors[provider] = AuditSpanProcessor(getattr(provider, "_span_limits", None))
        provider.add_span_processor(processor)
        _wrap_sampler(provider)
    if pipeline not in processor.pipelines:
        processor.pipelines.append(pipeline)


def _wrap_sampler(provider: TracerProvider) -> None:
    if isinstance(provider.sampler, AuditSampler):
        return
    provider.sampler = AuditSampler(provider.sampler)
    made = getattr(provider, "_tracers", None)
    if made is None:
        note("configure", "tracers that were made before configure() keep their sampler: call it earlier")
        return
    for tracer in list(made.values() if isinstance(made, dict) else made):
        if not isinstance(tracer.sampler, AuditSampler):
            tracer.sampler = AuditSampler(tracer.sampler)


def _find_logs(resource: Resource, pipeline: Pipeline) -> None:
    """Some instrumentations send the texts of AI calls as log events: take those too."""
    found = _logs.get_logger_provider()
    if isinstance(found, _logs_internal.ProxyLoggerProvider):
        found = LoggerProvider(resource=resource)
        _stand_in(_logs_internal, "_LOGGER_PROVIDER", found, lambda later: _install_logs(later, pipeline))
    _install_logs(found, pipeline)


def _install_logs(provider: Any, pipeline: Pipeline) -> None:
    with _lock:
        if isinstance(provider, LoggerProvider):
            given = _log_pipelines.setdefault(provider, [])
            if pipeline not in given:
                given.append(pipeline)
                provider.add_log_record_processor(AuditLogProcessor(pipeline))


def pipeline_for(resource: Resource, endpoint: str | None = None, *, standard: bool) -> Pipeline:
    """The one pipeline of this process to a destination. ``endpoint`` and ``standard`` as in ``read_settings``."""
    settings = read_settings(endpoint, standard=standard)
    destination = settings.destination
    with _lock:
        known = _pipelines.get(destination.endpoint)
        if known is not None:
            return known
        pipeline = _make_pipeline(settings, destination, _spool_path(settings, destination), resource)
        _pipelines[destination.endpoint] = pipeline
    pipeline.delivery.begin()
    return pipeline


def audit_pipeline(provider: Any, endpoint: str | None, *, resume_only: bool = False) -> Pipeline | None:
    """The pipeline of audit records, with a spool of its own: they wait for their receiver, and nothing else does.

    With ``resume_only``, None where no earlier process left a spool behind.
    """
    resource = getattr(provider, "resource", None) or Resource.create()
    settings = read_settings(endpoint, standard=provider in _ours)
    destination = audit_destination(settings)
    path = _spool_path(settings, destination, "audit ")
    with _lock:
        if (known := _audit_pipelines.get(destination.endpoint)) is not None:
            return known
        if resume_only and not path.is_dir():
            return None
        pipeline = _audit_pipelines[destination.endpoint] = _make_pipeline(settings, destination, path, resource)
        atexit.register(pipeline.shutdown)  # no provider knows of it
    pipeline.delivery.begin()
    return pipeline


def audit_pipelines() -> list[Pipeline]:
    """The pipelines of audit records that there are."""
    with _lock:
        return list(_audit_pipelines.values())


def _spool_path(settings: Settings, destination: Destination, use: str = "") -> Path:
    """A spool for each destination: what one service leaves behind, another must not send elsewhere."""
    name = hashlib.sha256(f"{use}{destination.protocol} {destination.endpoint}".encode()).hexdigest()[:12]
    return settings.spool / name


def _make_pipeline(settings: Settings, destination: Destination, spool_path: Path, resource: Resource) -> Pipeline:
    spool = Spool(spool_path, max_bytes=settings.max_bytes, fsync=settings.fsync)
    service = str(resource.attributes.get(SERVICE_NAME, ""))
    encoder = Encoder(Redactor(_policy(), _keys(settings.spool), service=service))
    losses = LossItems(encoder, resource)
    delivery = Delivery(spool, lambda: connect(destination), losses.of, settings.on_full)
    return Pipeline(delivery, encoder, losses, settings.every_span, settings.exit_seconds)


def is_installed() -> bool:
    """Whether the global tracer provider has our processors."""
    return trace.get_tracer_provider() in _span_processors


def _policy() -> CapturePolicy:
    """The policy that the environment names. One that can not be used is noted, and masking stays on."""
    try:
        return policy_from_environment()
    except AuditError as exc:
        note("configure", f"{POLICY_VARIABLE}: personal data is redacted by the default policy", exc)
        return default_policy()


def _keys(folder: Path) -> PseudonymKeys:
    try:
        return PseudonymKeys.from_environment(fallback=folder / "pseudonym.key")
    except (AuditError, OSError) as exc:
        note("configure", "the pseudonym keys can not be used; tokens of this process join with no others", exc)
        return PseudonymKeys.ephemeral()
