"""Which attributes are text: kept as erasable content, never in the ledger.

Text is decided by the key, whatever the value's length, and anything longer than ``TEXT_LIMIT`` is
text whatever its key. The key's last word decides for dialects nobody has written a module for, so
that nothing personal is stuck in the ledger because its producer was unknown.
"""

from __future__ import annotations

import re
from typing import Final

from otel_audit.semconv import (
    AUDIT_CHANGE_AFTER,
    AUDIT_CHANGE_BEFORE,
    AUDIT_CHANGE_DIFF,
    AUDIT_CHANGE_PATCH,
    AUDIT_CONTEXT_REFS,
    AUDIT_FILTER,
    AUDIT_LOGPROBS,
    AUDIT_PURPOSE,
    AUDIT_RATIONALE_TEXT,
)

TEXT_LIMIT: Final = 256  # bytes of UTF-8; longer values are content (DESIGN, "Never full PII")
SHORT: Final = TEXT_LIMIT // 4  # characters that are within the limit whatever they are
MARKER: Final = "content:"

PLAIN: Final = 0
TEXT: Final = 1
UNFIT: Final = 2  # the key itself is too long, or looks like a marker

_KEYS: Final = frozenset(
    {
        AUDIT_RATIONALE_TEXT,
        AUDIT_CHANGE_BEFORE,
        AUDIT_CHANGE_AFTER,
        AUDIT_LOGPROBS,
        AUDIT_CONTEXT_REFS,
        AUDIT_CHANGE_DIFF,
        AUDIT_CHANGE_PATCH,
        AUDIT_PURPOSE,
        AUDIT_FILTER,
        "db.query.text",
        "db.statement",
        "http.target",
        "url.full",
        "url.path",
        "url.query",
        "user.email",
        "user.full_name",
        "user.name",
        "client.address",
        "http.client_ip",
        "process.command_line",
        "process.command_args",
        "llm.prompt_template.template",
        "llm.prompt_template.variables",
        "tool.parameters",
        "tool_parameters",
    }
)
_PREFIXES: Final = (
    "gen_ai.prompt.variable.",
    "db.query.parameter.",
    "http.request.header.",
    "http.response.header.",
    "ai.telemetry.metadata.",
    "traceloop.association.properties.",
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
    "langsmith.metadata.",
    "metadata.",
)
_HARMLESS_SUFFIXES: Final = ("request_id", "request-id", "version")  # ids that join records, under the prefixes above
_LAST_WORDS: Final = frozenset(
    [
        "answer",
        "args",
        "argument",
        "arguments",
        "body",
        "calls",
        "comment",
        "completion",
        "completions",
        "content",
        "contents",
        "definitions",
        "description",
        "document",
        "documents",
        "explanation",
        "input",
        "inputs",
        "instruction",
        "instructions",
        "message",
        "messages",
        "metadata",
        "msg",
        "object",
        "output",
        "outputs",
        "prompt",
        "prompts",
        "query",
        "question",
        "reasoning",
        "response",
        "result",
        "results",
        "stacktrace",
        "summary",
        "text",
        "texts",
        "tools",
        "transcript",
        "uri",
        "url",
        "value",
        "values",
    ]
)
_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+$|[A-Z]+$")


def classify(key: str) -> int:
    """``PLAIN``, ``TEXT`` or ``UNFIT`` for an attribute key."""
    if key.startswith(MARKER) or (len(key) > SHORT and len(key.encode()) > TEXT_LIMIT):
        return UNFIT
    if key in _KEYS:
        return TEXT
    if key.startswith(_PREFIXES):
        return PLAIN if key.endswith(_HARMLESS_SUFFIXES) else TEXT
    word = _WORD.search(key)
    return TEXT if word is not None and word[0].lower() in _LAST_WORDS else PLAIN


def is_long(text: str) -> bool:
    """Longer than ``TEXT_LIMIT`` bytes of UTF-8."""
    length = len(text)
    return length > SHORT and (length > TEXT_LIMIT or (not text.isascii() and len(text.encode()) > TEXT_LIMIT))


class _Classes(dict[str, int]):
    """``classify``, remembered. Keys repeat from record to record; a flood of new ones starts it afresh."""

    def __missing__(self, key: str) -> int:
        kind = classify(key)
        if kind != UNFIT:
            if len(self) >= 1 << 14:
                self.clear()
            self[key] = kind
        return kind


CLASSES: Final = _Classes()
