"""What a delivery tells of itself, as OpenTelemetry metrics."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Observation

if TYPE_CHECKING:
    from otel_audit.instrumentation.delivery.delivery import Delivery


def measure(delivery: Delivery) -> Histogram:
    """Have the counters and the depth of ``delivery`` observed; gives the histogram of its requests' seconds."""
    meter = metrics.get_meter("otel_audit")
    this = weakref.ref(delivery)

    def observe(read: Callable[[Delivery], int]) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
        def callback(_: CallbackOptions) -> Iterable[Observation]:
            found = this()
            return [Observation(read(found))] if found else []

        return [callback]

    for name, read, meaning in (
        ("audit.records.emitted", lambda d: d.emitted, "Records handed over for delivery"),
        ("audit.records.exported", lambda d: d.exported, "Records that the receiver acknowledged"),
        ("audit.records.dropped", lambda d: d.dropped, "Records that were lost"),
    ):
        meter.create_observable_counter(name, observe(read), "{record}", meaning)
    meter.create_observable_up_down_counter(
        "audit.queue.depth", observe(lambda d: d.depth), "{record}", "Records that wait"
    )
    return meter.create_histogram("audit.export.duration", "s", "Time of one acknowledged request")
