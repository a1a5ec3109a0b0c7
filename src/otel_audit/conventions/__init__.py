"""From what producers send to audit events: one small module a convention.

A convention module has ``NAME``, ``detect(record)`` and ``apply(record, draft)``. The first that
detects a record applies; audit attributes are honoured on all of them. See docs/design/normalising.md.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

from otel_audit.conventions import audit, openinference, otel_genai
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
CONVENTIONS: Final[tuple[Convention, ...]] = (openinference, otel_genai)

_ANY: Final[Table] = {
    **audit.TABLE,
    "session.id": ("conversation_id", name),
    "user.id": ("user_id", name),
    "error.type": ("error_type", name),
}


def normalise(record: Record, *, identity_key: bytes, received_unix_nano: int) -> AuditEvent:
    """The audit event of a record: columns, and the texts that the entry will only commit to.

    ``identity_key`` keys the ids of records that bring none of their own. ``received_unix_nano`` is
    only compared with the producer's clock. Nothing the producer sent is lost: what has no column is
    in the attribute maps and ``otlp``.
    """
    draft = Draft(record)
    begin(draft, identity_key, received_unix_nano)
    convention = next((candidate for candidate in CONVENTIONS if candidate.detect(record)), None)
    if convention is not None:
        try:
            convention.apply(record, draft)
            draft.columns["convention"] = convention.NAME
        except Exception:  # noqa: BLE001 - what a producer sends must never stop the receiver: keep it as any record
            _LOG.exception("convention %s can not read a record of %s", convention.NAME, record.source.scope_name)
            draft = Draft(record)
            begin(draft, identity_key, received_unix_nano)
            draft.remarks.append(f"convention_failed:{convention.NAME}")
            convention = None
    if convention is None:
        draft.fill(_ANY)
    if audit.detect(record):
        draft.columns.setdefault("convention", audit.NAME)
        audit.apply(record, draft)
    audit.complete(draft)
    return finish(draft)
