"""By which names, and which types of value, each convention is recognised."""

from __future__ import annotations

from typing import Any

import pytest

from otel_audit.conventions import CONVENTIONS, recognise
from otel_audit.conventions.record import Record
from otel_audit.model import RecordKind
from tests.conformance.captures import folders, records
from tests.unit.convention_events import log, span

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}
LEGACY = {"llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "m"}

# Convention, scope and attributes of each.
RECOGNISED = [
    ("openinference", "any", {"openinference.span.kind": "LLM"}),
    ("vercel", "ai", {"ai.operationId": "ai.generateText.doGenerate"}),
    ("langfuse", "langfuse-sdk", {"langfuse.observation.type": "generation"}),
    ("langsmith", "langsmith", {**CHAT, "langsmith.span.kind": "llm"}),
    ("litellm", "litellm", LEGACY),
    ("pydantic_ai", "pydantic-ai", CHAT),
    ("openlit", "openlit.instrumentation.openai", CHAT),
    ("openllmetry", "any", LEGACY),
    ("openllmetry", "traceloop.tracer", {"traceloop.span.kind": "tool"}),
    ("openllmetry", "opentelemetry.instrumentation.openai.v1", CHAT),
    ("openllmetry", "opentelemetry.instrumentation.langchain", {"gen_ai.operation.name": "execute_task"}),
    ("otel_genai", "opentelemetry.instrumentation.genai.openai", CHAT),
    ("otel_genai", "opentelemetry.instrumentation.openai_v2", CHAT),
    ("otel_genai", "", {"gen_ai.operation.name": "chat", "gen_ai.system": "openai"}),
    ("otel_genai", "com.anthropic.sdk.python", CHAT),
]
SIGNS = [
    "openinference.span.kind",
    "ai.operationId",
    "langfuse.observation.type",
    "langsmith.span.kind",
    "traceloop.span.kind",
    "llm.request.type",
    "gen_ai.operation.name",
]
OF_FOLDER = {
    "double-instrumented": {"openinference", "otel_genai", ""},
    "genai-anthropic": {"otel_genai"},
    "genai-langchain": {"otel_genai"},
    "genai-openai": {"otel_genai"},
    "genai-openai-agents": {"otel_genai"},
    "handmade-semconv": {"otel_genai"},
    "langfuse": {"langfuse"},
    "logfire": {"pydantic_ai"},
    "multi-service": {"otel_genai", ""},
    "openai-v2": {"otel_genai"},
    "openinference-langchain": {"openinference"},
    "openinference-openai": {"openinference"},
    "openinference-smolagents": {"openinference"},
    "openlit": {"openlit", ""},
    "pydantic-ai": {"pydantic_ai"},
    "traceloop-langchain": {"openllmetry"},
    "traceloop-legacy-0.40": {"openllmetry"},
    "traceloop-openai": {"openllmetry"},
    "vercel-ai-sdk": {"vercel"},
}


@pytest.mark.parametrize(("convention", "scope", "attributes"), RECOGNISED)
def test_a_span_is_recognised_by_scope_and_attributes(convention: str, scope: str, attributes: dict[str, Any]) -> None:
    """Each convention is recognised by its scope's name and attributes, in whatever order these come."""
    assert span(attributes, scope=scope).columns["convention"] == convention
    assert span(dict(reversed(attributes.items())), scope=scope).columns["convention"] == convention


@pytest.mark.parametrize(("convention", "scope", "attributes"), RECOGNISED)
def test_schema_url_kind_and_status_recognise_nothing(convention: str, scope: str, attributes: dict[str, Any]) -> None:
    """Span kind and status make no difference to what a span is recognised as."""
    kinds = {span(attributes, scope=scope, kind=kind).columns["event_type"] for kind in range(6)}
    assert len(kinds) == 1
    failed = span(attributes, scope=scope, status={"code": 2})
    assert failed.columns["convention"] == convention


@pytest.mark.parametrize("value", [5, True, ["LLM"], {"a": "LLM"}, b"LLM"])
@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_of_another_type_is_no_sign(sign: str, value: Any) -> None:
    """An attribute that names a convention but is no string recognises nothing, and is kept."""
    event = span({sign: value})
    assert "convention" not in event.columns
    assert event.columns["event_type"] == "span"
    assert any(key == sign for key, _ in event.columns["attributes_json"])


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        ("openinference.instrumentation.openai", {"input.value": "x"}),
        ("pydantic-ai", {"tools": "x"}),
        ("openlit.instrumentation.openai", {"db.system": "chroma"}),
        ("opentelemetry.instrumentation.openai.v1", {"http.route": "/"}),
        ("opentelemetry.instrumentation.langchain_x", {"gen_ai.new": "x"}),
        ("ai", {"ai.operationId": "email.send"}),
        ("", {"gen_ai.system": "openai"}),
        ("", {"http.request.method": "GET", "url.full": "http://a/"}),
    ],
)
def test_what_only_resembles_a_convention_is_not_recognised(scope: str, attributes: dict[str, Any]) -> None:
    """A known scope without the convention's attributes, and half a sign, recognise nothing."""
    event = span(attributes, scope=scope)
    assert "convention" not in event.columns
    assert event.columns["event_type"] == "span"


@pytest.mark.parametrize(
    ("name", "scope", "attributes", "body", "convention"),
    [
        ("gen_ai.choice", "opentelemetry.instrumentation.openai_v2", {}, {"index": 0}, "otel_genai"),
        ("gen_ai.user.message", "opentelemetry.instrumentation.openai.v1", {}, {"content": "x"}, "openllmetry"),
        ("gen_ai.client.inference.operation.details", "openlit.instrumentation.openai", {}, None, "openlit"),
        ("claude_code.tool_decision", "com.anthropic.claude_code.events", {"tool_name": "Bash"}, None, "agent_logs"),
        ("", "", {"tool_name": "Bash", "event.name": "tool_decision"}, "claude_code.tool_decision", "agent_logs"),
        ("claude_code.tool_decision", "", {"tool_name": 5}, None, None),
        ("claude_code.tool_decision", "", {}, None, None),
        ("claude_code.api_request", "", {"model": "m"}, None, "agent_logs"),
        ("app.message", "", {"message": "gen_ai.choice"}, "x", None),
    ],
)
def test_log_events(name: str, scope: str, attributes: dict[str, Any], body: Any, convention: str | None) -> None:
    """A log record is recognised by its event's name, with the scope and attributes that belong to it."""
    assert log(name, attributes, body, scope=scope).columns.get("convention") == convention


@pytest.mark.parametrize("folder", folders())
def test_every_capture_is_recognised(folder: str) -> None:
    """Each record of a capture is of its package's convention; only technical spans are of none."""
    found = list(records(folder))
    assert {_name(record) for record in found} == OF_FOLDER[folder]
    for record in found:
        if not _name(record):
            assert any(key.startswith(("http", "asgi")) for key in record.attributes) or not record.attributes, (
                record.name
            )


@pytest.mark.parametrize("folder", folders())
def test_remembering_by_scope_changes_nothing(folder: str) -> None:
    """What is recognised quickly, by what is remembered of a scope, is what trying each convention in turn gives."""
    for record in records(folder):
        slow = next((convention for convention in CONVENTIONS if convention.detect(record)), None)
        assert recognise(record) is slow
        assert record.kind in (RecordKind.SPAN, RecordKind.LOG)


def _name(record: Record) -> str:
    convention = recognise(record)
    return convention.NAME if convention else ""
