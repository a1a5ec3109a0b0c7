"""From what producers send to audit events: one small module a convention.

A convention module has ``NAME``, ``detect(record)`` and ``apply(record, draft)``. The first that
detects a record applies; audit attributes are honoured on all of them. See docs/design/normalising.md.
"""

from __future__ import annotations

import logging
import re
from pathlib import PurePath
from types import TracebackType
from typing import Final, Protocol

from otel_audit.conventions import (
    agent_logs,
    audit,
    derived,
    http,
    langfuse,
    langsmith,
    litellm,
    openinference,
    openlit,
    openllmetry,
    otel_audit_signal,
    otel_genai,
    pydantic_ai,
    vercel,
)
from otel_audit.conventions.base import begin, finish
from otel_audit.conventions.draft import Draft, Table, name
from otel_audit.conventions.record import Record
from otel_audit.model import AuditEvent

__all__ = ["normalise"]


class Convention(Protocol):
    """What a convention module offers."""

    NAME: str

    def detect(self, record: Record) -> bool:
        """Whether the record follows the convention, by its scope and attributes alone."""

    def apply(self, record: Record, draft: Draft) -> None:
        """Set columns and content that the convention has words for."""


_LOG: Final = logging.getLogger(__name__)

# In this order: the more particular first, as most of them use some gen_ai.* attributes too.
CONVENTIONS: Final[tuple[Convention, ...]] = (
    openinference,
    vercel,
    langfuse,
    langsmith,
    litellm,
    pydantic_ai,
    openlit,
    openllmetry,
    agent_logs,
    otel_audit_signal,
    otel_genai,
)

_ANY: Final[Table] = {
    **audit.TABLE,
    "session.id": ("conversation_id", name),
    "user.id": ("user_id", name),
    "error.type": ("error_type", name),
}


def normalise(record: Record, *, identity_key: bytes, received_unix_nano: int) -> list[AuditEvent]:
    """The audit events of a record: columns, and the texts that the entries will only commit to.

    The first is the record itself; nothing the producer sent is lost: what has no column is in the
    attribute maps and ``otlp``. Others, if any, are what it tells beside that (``derived.py``).
    ``identity_key`` keys the ids of records that bring none of their own. ``received_unix_nano`` is
    only compared with the producer's clock.
    """
    draft = Draft(record)
    begin(draft, identity_key, received_unix_nano)
    convention = recognise(record)
    if convention is not None:
        try:
            convention.apply(record, draft)
            draft.columns["convention"] = convention.NAME
        except Exception as exc:  # noqa: BLE001 - what a producer sends must never stop the receiver: keep it as any record
            # Never the exception's text: it may hold a value that the producer sent.
            _LOG.error(
                "convention %s can not read a record: %s at %s", convention.NAME, type(exc).__name__, _place(exc)
            )
            draft = Draft(record)
            begin(draft, identity_key, received_unix_nano)
            draft.remarks.append(f"convention_failed:{convention.NAME}")
            convention = None
    if convention is None:
        draft.fill(_ANY)
        http.apply(record, draft)
    if audit.detect(record):
        draft.columns.setdefault("convention", audit.NAME)
        audit.apply(record, draft)
    audit.complete(draft)
    event = finish(draft)
    return [event, *derived.events(draft, event)] if draft.approvals else [event]


def recognise(record: Record) -> Convention | None:
    """The convention that a record follows, None when none is known."""
    candidates = _BY_SCOPE[record.source.scope_name] if record.attributes.keys().isdisjoint(_SIGNS) else CONVENTIONS
    for candidate in candidates:
        if candidate.detect(record):
            return candidate
    return None


# Attributes that only one convention has. A record without any of them is of a convention by its scope, or general.
_SIGNS: Final = {
    "openinference.span.kind",
    "ai.operationId",
    "langfuse.observation.type",
    "langsmith.span.kind",
    "traceloop.span.kind",
    "llm.request.type",
}
_BY_SIGN: Final[tuple[Convention, ...]] = (openinference, vercel, langfuse, langsmith)
_SCOPES: Final[dict[Convention, re.Pattern[str]]] = {
    litellm: litellm.SCOPES,
    pydantic_ai: pydantic_ai.SCOPES,
    openlit: openlit.SCOPES,
    openllmetry: openllmetry.SCOPES,
}
_REMEMBERED: Final = 1 << 12


class _Candidates(dict[str, tuple[Convention, ...]]):
    """Conventions that a record of a scope may follow when it has no sign of another, remembered by scope name."""

    def __missing__(self, scope_name: str) -> tuple[Convention, ...]:
        found = tuple(
            candidate
            for candidate in CONVENTIONS
            if candidate not in _BY_SIGN and (candidate not in _SCOPES or _SCOPES[candidate].match(scope_name))
        )
        if len(self) >= _REMEMBERED:
            self.clear()
        self[scope_name] = found
        return found


_BY_SCOPE: Final = _Candidates()


def _place(exc: BaseException) -> str:
    """Where in the code an exception was raised: ``file.py:line``."""
    last: TracebackType | None = exc.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return "nowhere" if last is None else f"{PurePath(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"
