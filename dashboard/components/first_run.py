"""The search page before the first event: how to send one, and the page turns into data by itself when it arrives."""

from __future__ import annotations

import json
from collections.abc import Sequence

import deps
import settings
import streamlit as st
import viewer
from components import frame

from otel_audit.errors import AuditError
from otel_audit.model import EventType, Filter
from otel_audit.semconv import (
    AUDIT_EVENT_TYPE,
    AUDIT_RATIONALE_TEXT,
    AUDIT_REVIEW_DECISION,
    AUDIT_REVIEWER_ID,
    AUDIT_TASK_ID,
)

_LOOK_SECONDS = 2
_FEW = 1000  # a ledger of more entries is not new; counting what they are would cost each page something
# What the trail writes of itself and of who looks at it is no event of anybody's yet.
_OWN = (EventType.LEDGER_OPENED, EventType.LEDGER_CLOSED, EventType.ACCESS)


def is_now(sizes: Sequence[tuple[str, int]]) -> bool:
    """Whether nobody has sent an event yet."""
    if sum(size for _, size in sizes) > _FEW or not viewer.person().sees_whole:
        return False
    return not deps.reader().count(Filter(exclude_event_type=tuple(map(str, _OWN)))).events


def show() -> None:
    """Say how to send the first event, with this receiver's own addresses, and watch for it."""
    grpc = settings.endpoint() or "http://localhost:4317"
    http = settings.http_endpoint() or "http://localhost:4318"
    st.html(
        '<p class="lead">Nothing has been recorded yet. Send your first event in one of these ways: this page shows it '
        "by itself, a moment later.</p>"
    )
    with st.container(border=True):
        st.html(
            '<h2 class="h">An application, without changing it</h2><p class="sub">Its calls to an AI are recorded, '
            "with personal data masked before it leaves the application.</p>"
        )
        frame.code(
            "pip install opentelemetry-instrumentation-genai-openai otel-audit\n"
            f"OTEL_AUDIT_ENDPOINT={grpc} opentelemetry-instrument python app.py",
        )
        st.html('<h2 class="h later">What people decide, in Python</h2><p class="sub">Runs as it is.</p>')
        frame.code(
            "import otel_audit as audit\n\n"
            f'audit.configure(service_name="my-service", endpoint="{grpc}")\n'
            'with audit.review("task-1", reviewer="me") as review:\n'
            '    review.approve(rationale="looks right")',
        )
        st.html('<h2 class="h later">One event from the command line</h2><p class="sub">Nothing to install.</p>')
        frame.code(curl(http))
        st.html('<h2 class="h later">Or watch an example system</h2><p class="sub">A month of invented work.</p>')
        frame.code("otel-audit demo --days 30 --tasks 500")
    _watch()


def curl(http: str) -> str:
    """A command that sends one review to the receiver at ``http``."""
    said = {
        AUDIT_EVENT_TYPE: "review",
        AUDIT_TASK_ID: "task-1",
        AUDIT_REVIEWER_ID: "me",
        AUDIT_REVIEW_DECISION: "approved",
        AUDIT_RATIONALE_TEXT: "looks right",
    }
    attributes = [{"key": name, "value": {"stringValue": value}} for name, value in said.items()]
    now = deps.now_unix_nano()
    span = {
        "traceId": f"{now:032x}",
        "spanId": f"{now:016x}"[-16:],
        "name": "review",
        "kind": 1,
        "startTimeUnixNano": str(now - 60 * 10**9),
        "endTimeUnixNano": str(now),
        "attributes": attributes,
    }
    service = [{"key": "service.name", "value": {"stringValue": "my-service"}}]
    body = {"resourceSpans": [{"resource": {"attributes": service}, "scopeSpans": [{"spans": [span]}]}]}
    return f"curl {http}/v1/traces -H 'Content-Type: application/json' -d '{json.dumps(body)}'"


@st.fragment(run_every=_LOOK_SECONDS)
def _watch() -> None:
    """Look again and again, and draw the whole page anew once there is something."""
    try:
        is_over = not is_now(deps.reader().sizes())
    except AuditError:
        is_over = True  # nobody is signed in, or the store is away: the whole page says so
    if is_over:
        st.rerun()
    st.caption("Waiting for the first event …")
