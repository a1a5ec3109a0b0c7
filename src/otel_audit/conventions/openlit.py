"""OpenLIT, https://github.com/openlit/openlit: the OTel GenAI conventions, and defaults that nobody set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from otel_audit.conventions import otel_genai
from otel_audit.conventions.draft import Draft
from otel_audit.conventions.record import Record
from otel_audit.conventions.spellings import provider
from otel_audit.conventions.values import Value
from otel_audit.model import EventType

NAME: Final = "openlit"

SCOPES: Final = re.compile(r"openlit(\.|$)")
_CLIENTS: Final = "openlit.instrumentation"
# What it writes where the application said nothing. An int says that somebody did: `temperature=0` stays.
_DEFAULTS: Final[Mapping[str, Value]] = {
    "gen_ai.request.temperature": 1.0,
    "gen_ai.request.top_p": 1.0,
    "gen_ai.request.top_k": 1.0,
    "gen_ai.request.frequency_penalty": 0.0,
    "gen_ai.request.presence_penalty": 0.0,
    "gen_ai.request.seed": 0,
    "gen_ai.request.stream": False,
    "gen_ai.request.is_stream": False,
}


def detect(record: Record) -> bool:
    """A GenAI record of one of the package's scopes."""
    return SCOPES.match(record.source.scope_name) is not None and otel_genai.detect(record)


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of a record of OpenLIT."""
    otel_genai.tell(record, draft, _DEFAULTS)
    if draft.columns["event_type"] == EventType.AI_CALL and not draft.columns.get("provider"):
        # Its log events do not name the provider; the scope is named for the client that was instrumented.
        package, _, client_name = record.source.scope_name.rpartition(".")
        client = provider(client_name)
        if client and package == _CLIENTS:
            draft.columns["provider"] = client
