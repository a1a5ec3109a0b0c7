"""The instrumentation API in applications of their own, sending to a real OTLP receiver over gRPC."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from otel_audit import semconv
from tests.integration.otlp_collector import Collector


def run_app(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an application in its own process, as a user would."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_documented_example_runs_and_arrives() -> None:
    """The example in the package's docstring runs as written, and its events reach the receiver."""
    with Collector() as collector:
        done = run_app(
            "import doctest, otel_audit as a, sys; failed = doctest.testmod(a).failed; a.flush(50); sys.exit(failed)",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        spans = collector.spans
    assert [span.name for span in spans] == ["task.created", "review", "resolution"]
    assert {span.service for span in spans} == {"loan-assistant"}
    assert {span.attributes[semconv.AUDIT_TASK_ID] for span in spans} == {"loan-4711"}
    review = spans[1]
    assert review.attributes[semconv.AUDIT_RATIONALE_CODE] == ["policy.income_missing"]
    assert isinstance(review.attributes[semconv.AUDIT_REVIEW_ACTIVE_SECONDS], float)


def test_an_application_with_its_own_provider_keeps_it() -> None:
    """configure() leaves the application's provider, resource and exporter alone, and only adds the task."""
    with Collector() as collector:
        done = run_app(
            """
            import sys
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            import otel_audit as audit

            mine = TracerProvider(resource=Resource.create({"service.name": "mine"}))
            mine.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(mine)
            audit.configure(service_name="not-mine")
            audit.configure(service_name="not-mine")
            assert trace.get_tracer_provider() is mine
            with audit.task("t-1"), trace.get_tracer("app").start_as_current_span("work"):
                pass
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        )
        assert done.returncode == 0, done.stderr
        spans = collector.spans
    assert sorted(span.name for span in spans) == ["task.created", "work"]
    assert {span.service for span in spans} == {"mine"}
    assert {span.attributes[semconv.AUDIT_TASK_ID] for span in spans} == {"t-1"}


def test_an_endpoint_adds_an_exporter_beside_the_applications() -> None:
    """With an endpoint of its own, configure() sends once to it, and the application's exporter goes on."""
    with Collector() as theirs, Collector() as ours:
        done = run_app(
            f"""
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            import otel_audit as audit

            mine = TracerProvider()
            mine.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(mine)
            audit.configure(endpoint={ours.endpoint!r})
            audit.configure(endpoint={ours.endpoint!r})
            audit.resolve("t-1", by="u_1", resolution="done")
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=theirs.endpoint,
        )
        assert done.returncode == 0, done.stderr
        assert [span.name for span in theirs.spans] == [span.name for span in ours.spans] == ["resolution"]


def test_a_broken_exporter_does_not_break_the_application() -> None:
    """An exporter that raises, and a receiver that refuses, leave the application's result and exit code alone."""
    with Collector() as collector:
        collector.reject_all = True
        done = run_app(
            """
            from opentelemetry import trace
            from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
            import otel_audit as audit

            class Broken(SpanExporter):
                def export(self, spans):
                    raise RuntimeError("broken exporter")

            audit.configure(service_name="app")
            trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(Broken()))
            with audit.task("t-1"), audit.review("t-1", reviewer="u_1") as review:
                review.approve()
            audit.resolve("t-1", by="u_1", resolution="done")
            audit.flush(5)
            print("the application's result")
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        )
    assert (done.returncode, done.stdout) == (0, "the application's result\n"), done.stderr


def test_without_configure_nothing_breaks_and_the_loss_is_said() -> None:
    """An application that never configured anything runs, and is told once that nothing is recorded."""
    done = run_app(
        """
        import otel_audit as audit
        for _ in range(3):
            audit.resolve("t-1", by="u_1", resolution="done")
        assert audit.error_counts() == {"resolution": 3}, audit.error_counts()
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("not recorded") == 1


def test_the_base_install_is_enough() -> None:
    """Importing the package loads neither the ledger, the store, the receiver nor their dependencies."""
    done = run_app(
        """
        import sys
        import otel_audit
        heavy = ("otel_audit.ledger", "otel_audit.store", "otel_audit.receiver", "otel_audit.demo", "chdb", "click",
                 "clickhouse_connect", "numpy", "pyarrow", "starlette", "fastapi", "cryptography")
        assert not [name for name in heavy if name in sys.modules]
        """
    )
    assert done.returncode == 0, done.stderr


def examples(page: str) -> str:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / page).read_text()
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def test_the_how_to_runs_as_written() -> None:
    """The Python examples of docs/how-to/instrument.md run one after the other, and their events arrive."""
    with Collector() as collector:
        done = run_app(
            examples("instrument.md") + "\naudit.flush(50)\n", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint
        )
        assert done.returncode == 0, done.stderr
        spans = collector.spans
    names = [span.name for span in spans]
    assert [name for name in names if name != "review"] == [
        "task.created",
        "escalation",
        "resolution",
        "task.reopened",
        "chat risk-7b",
        "classify spam-filter",
        "access",
    ]
    decisions = [span.attributes[semconv.AUDIT_REVIEW_DECISION] for span in spans if span.name == "review"]
    assert decisions == [
        "modified",
        "approved",
        "approved",
        "abandoned",
        "approved",
        "modified",
        "rejected",
        "approved",
    ]


def test_the_browser_how_to_runs_as_written() -> None:
    """The handlers of docs/how-to/browser-timing.md record what the documented form posts."""
    form = {"decision": "rejected", "rationale": "no", "active_seconds": "0.000", "idle_seconds": "0.000"}
    with Collector() as collector:
        done = run_app(
            examples("browser-timing.md")
            + f"""
assert "data-audit-review" in script
audit.configure(service_name="desk")
decide({{**{form!r}, "ticket": str(audit.start_review("t", reviewer="u_1"))}}, "u_1")
abandon({{"reason": "closed", "ticket": str(audit.start_review("t", reviewer="u_1"))}})
assert audit.flush(50)
assert audit.error_counts() == {{}}
""",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        )
        assert done.returncode == 0, done.stderr
        decided, left = collector.spans
    assert decided.attributes[semconv.AUDIT_REVIEW_DECISION] == "rejected"
    assert decided.attributes[semconv.AUDIT_REVIEW_ACTIVE_SECONDS] == 0.0
    assert left.attributes[semconv.AUDIT_REVIEW_ABANDON_REASON] == "closed"
