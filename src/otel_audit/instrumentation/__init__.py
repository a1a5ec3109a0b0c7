"""What an application imports. ``otel_audit`` re-exports all of it.

Each audit event is a span of the tracer ``otel_audit``. Nothing here raises into the application: our
own errors are caught, counted (``error_counts``) and logged once a kind.
"""

from __future__ import annotations

from typing import Final

from otel_audit.instrumentation._faults import error_counts
from otel_audit.instrumentation._recorder import Recorder
from otel_audit.instrumentation.reviews.review import Review
from otel_audit.instrumentation.reviews.ticket import Ticket
from otel_audit.instrumentation.reviews.timer import review_timer_js

_default: Final = Recorder()

configure = _default.configure
task = _default.task
prompt = _default.prompt
ai_call = _default.ai_call
confidence = _default.confidence
context = _default.context
review = _default.review
current_review = _default.current_review
start_review = _default.start_review
finish_review = _default.finish_review
abandon_review = _default.abandon_review
escalate = _default.escalate
resolve = _default.resolve
reopen = _default.reopen
record_access = _default.record_access
flush = _default.flush
logger = _default.logger

__all__ = [
    "Recorder",
    "Review",
    "Ticket",
    "abandon_review",
    "ai_call",
    "confidence",
    "configure",
    "context",
    "current_review",
    "error_counts",
    "escalate",
    "finish_review",
    "flush",
    "logger",
    "prompt",
    "record_access",
    "reopen",
    "resolve",
    "review",
    "review_timer_js",
    "start_review",
    "task",
]
