"""otel-audit: an audit trail for AI systems that people query, understand and trust.

What an application needs. AI calls are captured by whatever OpenTelemetry GenAI instrumentation is
installed; this adds the task they belong to, and what people decided about them:

>>> import otel_audit as audit
>>> audit.configure(service_name="loan-assistant")
>>> with audit.task("loan-4711", kind="credit_decision", subject_ref="case-88"):
...     draft = "Declined."  # an AI call, here or in a service that is called from here
>>> with audit.review("loan-4711", reviewer="u_102") as review:
...     review.modify(
...         before=draft,
...         after="Approved, up to 5,000 EUR.",
...         rationale_code="policy.income_missing",
...         rationale="The payslip was in the attachment.",
...     )
>>> audit.resolve("loan-4711", by="u_102", resolution="approved_with_changes")
>>> audit.flush()
True

None of these functions raises into the application unless it was asked to (a strict list of rationale codes):
``error_counts`` tells how often one failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_audit.instrumentation import (
        Ticket,
        abandon_review,
        ai_call,
        confidence,
        configure,
        context,
        current_review,
        error_counts,
        escalate,
        finish_review,
        flush,
        logger,
        prompt,
        record_access,
        reopen,
        resolve,
        review,
        review_timer_js,
        start_review,
        task,
    )

__all__ = [
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


def __getattr__(name: str) -> Any:
    """Load what applications use when it is used: the commands share the package, and need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from otel_audit import instrumentation  # noqa: PLC0415 - as said above

    globals().update({each: getattr(instrumentation, each) for each in __all__})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
