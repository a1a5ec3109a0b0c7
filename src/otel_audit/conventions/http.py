"""Request ids in HTTP spans: what ties an AI call to the provider's own records, and a service's to its caller's.

An AI call's own span rarely has the provider's request id; its HTTP child has, where headers are captured
(``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE``). It is found through the trace.
"""

from __future__ import annotations

import re
from typing import Final

from otel_audit.conventions.draft import Draft, names
from otel_audit.conventions.record import Record
from otel_audit.conventions.values import Value

_ANSWERED: Final = (
    "http.response.header.x_request_id",
    "http.response.header.x-request-id",
    "http.response.header.request_id",  # Anthropic
    "http.response.header.request-id",
)
_ASKED: Final = ("http.request.header.x_request_id", "http.request.header.x-request-id")
_KEYS: Final = frozenset((*_ANSWERED, *_ASKED))
# The path of a request to a model's API: of OpenAI and those like it, Anthropic, Google, AWS.
_MODEL_API: Final = re.compile(
    r"/(chat/completions|completions|responses|embeddings|messages)$|:(stream)?generateContent$|"
    r"/model/[^/]+/(converse|invoke)(-stream|-with-response-stream)?$",
    re.IGNORECASE,
)


def apply(record: Record, draft: Draft) -> None:
    """Set ``provider_request_id`` of a request to a model's API, and ``request_id`` of one that brought its own."""
    attributes = record.attributes
    if attributes.keys().isdisjoint(_KEYS):
        return
    url = attributes.get("url.full", attributes.get("http.url"))
    if isinstance(url, str) and _MODEL_API.search(url.partition("?")[0]):
        if (identity := _first(attributes, _ANSWERED)) is not None:
            draft.columns.setdefault("provider_request_id", identity)
    elif (identity := _first(attributes, _ASKED)) is not None:
        draft.columns.setdefault("request_id", identity)


def _first(attributes: dict[str, Value], keys: tuple[str, ...]) -> str | None:
    """The header's value; it came as a list, as a header may be there twice."""
    for key in keys:
        found = names(attributes.get(key)) if key in attributes else None
        if found is not None:
            return found[0]
    return None
