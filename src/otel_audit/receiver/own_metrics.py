"""The receiver's own metrics, by OTLP where the environment says where to.

OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, or OTEL_METRICS_EXPORTER=otlp with OTEL_EXPORTER_OTLP_ENDPOINT; protocol, headers,
and interval as OpenTelemetry has them: https://opentelemetry.io/docs/specs/otel/protocol/exporter/. An endpoint for all
signals alone is not taken: on this machine it often is that of this very receiver, which stores no metrics.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource

from otel_audit.errors import ConfigError

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
_EXPORTER: Final = "OTEL_METRICS_EXPORTER"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LAST_MILLIS: Final = 5_000


@contextmanager
def exported_metrics() -> Iterator[None]:
    """Export until the block ends; without a setting, or where `opentelemetry-instrument` exports already, do nothing.

    Raises ConfigError for a protocol that OTLP does not have.
    """
    chosen = os.environ.get(_EXPORTER, "").strip() or ("otlp" if os.environ.get(_ENDPOINT, "").strip() else "none")
    if chosen != "otlp" or isinstance(metrics.get_meter_provider(), MeterProvider):
        yield
        return
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "otel-audit-receiver"}
    provider = MeterProvider([PeriodicExportingMetricReader(_exporter())], resource=Resource.create(named))
    metrics.set_meter_provider(provider)
    try:
        yield
    finally:
        provider.shutdown(timeout_millis=_LAST_MILLIS)


def _exporter() -> MetricExporter:
    protocol = next((value for name in _PROTOCOLS if (value := os.environ.get(name, "").strip())), "grpc")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - one of the two
            OTLPMetricExporter,
        )

        return OTLPMetricExporter()
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http import metric_exporter as http  # noqa: PLC0415 - one of the two

        return http.OTLPMetricExporter()
    raise ConfigError(f"{_PROTOCOLS[0]}: there is grpc and http/protobuf, not {protocol!r}")
