"""What an application imports. ``otel_audit`` re-exports all of it.

Each audit event is a span of the tracer ``otel_audit``. Nothing here raises into the application: our
own errors are caught, counted (``error_counts``) and logged once a kind.
"""

from __future__ import annotations

from typing import Final

from otel_audit.instrumentation._faults import error_counts
from otel_audit.instrumentation._recorder import Recorder
from otel_audit.instrumentation._review import Review
from otel_audit.instrumentation._ticket import Ticket

_default: Final = Recorder()

configure = _default.configure
task = _default.task
prompt = _default.prompt
review = _default.review
start_review = _default.start_review
finish_review = _default.finish_review
escalate = _default.escalate
resolve = _default.resolve
record_access = _default.record_access
flush = _default.flush

__all__ = [
    "Recorder",
    "Review",
    "Ticket",
    "configure",
    "error_counts",
    "escalate",
    "finish_review",
    "flush",
    "prompt",
    "record_access",
    "resolve",
    "review",
    "start_review",
    "task",
]
