"""What all unit tests share: a receiver that takes what a recorder under test sends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.otlp_collector import Collector


@pytest.fixture(scope="session")
def somebody_listens() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(autouse=True)
def endpoint(somebody_listens: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a recorder without an endpoint of its own sends to: a failed export would be counted among the errors."""
    monkeypatch.setenv("OTEL_AUDIT_ENDPOINT", somebody_listens.endpoint)
