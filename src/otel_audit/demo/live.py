"""Live traffic: customers bring cases to the gateway until they are told to stop."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import httpx2

from otel_audit.demo.cases import make_case
from otel_audit.demo.system import System

_FIRST_CASES: Final = 8  # at once, so that the dashboard is not empty


def run_live(
    endpoint: str,
    *,
    tasks_per_minute: float = 12.0,
    stop: threading.Event,
    seed: int | None = None,
    max_tasks: int | None = None,
    failure_rate: float = 0.05,
    speed: float = 10.0,
) -> int:
    """Run the demo's services against the OTLP/gRPC ``endpoint`` until ``stop`` is set; returns the tasks sent.

    A first handful of cases comes at once, then ``tasks_per_minute``. Reviews take a tenth of a person's
    time (``speed``), so that most stories end within a minute. ``max_tasks`` ends the customers' visits,
    not the services. Raises DemoFailed when a service ends by itself.
    """
    rng = random.Random(seed)  # noqa: S311 - made-up data
    service_seed = rng.getrandbits(31)
    sent: list[Future[None]] = []
    with (
        System(endpoint, seed=service_seed, failure_rate=failure_rate, speed=speed) as system,
        httpx2.Client(base_url=system.gateway_url, timeout=60) as gateway,
        ThreadPoolExecutor(8, thread_name_prefix="customer") as customers,
    ):

        def visit(case: dict[str, object]) -> None:
            gateway.post("/tasks", json=case).raise_for_status()

        due = time.monotonic()
        while not stop.is_set():
            system.check()
            if (max_tasks is None or len(sent) < max_tasks) and time.monotonic() >= due:
                sent.append(customers.submit(visit, make_case(rng).to_dict()))
                if len(sent) >= _FIRST_CASES:
                    # Customers come at random, on average as often as asked for.
                    due = time.monotonic() + rng.expovariate(tasks_per_minute / 60)
                continue
            stop.wait(0.2)
        for visited in sent:
            visited.cancel()
    return sum(1 for visited in sent if visited.done() and not visited.cancelled() and visited.exception() is None)
