"""Everything about an event that can be done before it has a place in the ledger.

Runs on the threads that answer requests, so that the single writer has little left to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from otel_audit.ledger.encoding import encode_bytes, encode_event, encode_uint64, encode_value
from otel_audit.ledger.schema import EVENT_COLUMNS
from otel_audit.model import LOST_BYTES, STATEMENTS, AuditEvent, EventColumns, EventType, RecordKind
from otel_audit.privacy.commitments import commit
from otel_audit.privacy.sealing import EntryTexts, SealedText, pack
from otel_audit.receiver.references import without_hashes
from otel_audit.store.writer import KnownEvent

CAPTURE_POLICY: Final = "full/1"  # of an event that no policy was applied to
DEFAULT_RETENTION_CLASS: Final = "standard"
# A class is a partition of the store: producers choose among these, they do not make new ones.
RETENTION_CLASSES: Final = frozenset({DEFAULT_RETENTION_CLASS, "eu_ai_act", "soc2", "hipaa"})
PERMANENT_CLASS: Final = "permanent"  # of model.STATEMENTS; producers can not choose it
_OPENING_SIZE: Final = 32
# What the receiver adds is not part of a record's identity: a retry may get other remarks.
_RECEIVER_COLUMNS: Final = frozenset({"remarks", "capture_policy", "duplicate_of", "convention", "content"})
_IDENTITY_COLUMNS: Final = tuple(column for column in EVENT_COLUMNS if column.name not in _RECEIVER_COLUMNS)


@dataclass(slots=True)
class PreparedEvent:
    """An event whose columns are encoded and whose texts are committed to; ``packed`` is what is sealed of them."""

    event: AuditEvent
    event_id: str
    retention_class: str
    encoded: bytes
    texts: list[SealedText]
    packed: bytes

    @property
    def size(self) -> int:
        """Bytes it occupies while it waits."""
        return len(self.encoded) + len(self.packed) + sum(len(text.value) for text in self.texts) + 512


def prepare(event: AuditEvent, mask: Callable[[AuditEvent], AuditEvent] | None = None) -> PreparedEvent:
    """Mask the event's texts, commit to them, and encode it. Raises MalformedInput for a value its column can't hold.

    ``mask`` applies the receiver's capture policy (``masking.Masking``); from here on only what it gives is known.
    """
    given = event.columns
    is_statement = given.get("record_kind") == RecordKind.INTERNAL and given.get("event_type") in STATEMENTS
    if mask is not None:
        event = mask(event)
    columns = event.columns
    if is_statement:
        # What is signed must stay as it is; whoever makes a statement puts no text of a person into it.
        columns["attributes"] = given.get("attributes", [])
        columns["retention_class"] = PERMANENT_CLASS
    elif columns.setdefault("retention_class", DEFAULT_RETENTION_CLASS) not in RETENTION_CLASSES:
        columns["retention_class"] = DEFAULT_RETENTION_CLASS
        columns["remarks"] = (*columns.get("remarks", ()), "unknown_retention_class")
    columns.setdefault("capture_policy", CAPTURE_POLICY)
    texts = []
    for name, value in event.content.items():
        opening = os.urandom(_OPENING_SIZE)
        texts.append(SealedText(name, commit(name, value, opening), opening, value))
    encoded = encode_event(event, {text.name: text.commitment for text in texts})
    packed = pack(columns.get("trace_id", ""), columns.get("span_id", ""), texts) if texts else b""
    return PreparedEvent(event, columns.get("event_id", ""), columns["retention_class"], encoded, texts, packed)


def with_remark(prepared: PreparedEvent, remark: str) -> PreparedEvent:
    """The same event with one more remark of the receiver."""
    return _changed(prepared, {"remarks": (*prepared.event.columns.get("remarks", ()), remark)})


def with_duplicate(prepared: PreparedEvent, duplicate_of: str) -> PreparedEvent:
    """The same event as one that tells again what the record with this span id tells."""
    return _changed(prepared, {"duplicate_of": duplicate_of})


def _changed(prepared: PreparedEvent, columns: EventColumns) -> PreparedEvent:
    event = AuditEvent({**prepared.event.columns, **columns}, prepared.event.content)
    encoded = encode_event(event, {text.name: text.commitment for text in prepared.texts})
    return replace(prepared, event=event, encoded=encoded)


def content_rows(prepared: PreparedEvent, origin: bytes, seq: int, recorded_unix_nano: int) -> bytes:
    """RowBinary rows of audit_content for the event's texts. ``origin`` is encoded already."""
    columns = prepared.event.columns
    texts = EntryTexts(columns.get("trace_id", ""), columns.get("span_id", ""), tuple(prepared.texts))
    return text_rows(texts, prepared.retention_class, origin, seq, recorded_unix_nano)


def text_rows(entry: EntryTexts, retention_class: str, origin: bytes, seq: int, recorded_unix_nano: int) -> bytes:
    """RowBinary rows of audit_content for the texts of an entry. ``origin`` is encoded already."""
    if not entry.texts:
        return b""
    tail = (
        encode_bytes(retention_class.encode())
        + encode_uint64(recorded_unix_nano)
        + encode_bytes(entry.trace_id.encode())
        + encode_bytes(entry.span_id.encode())
    )
    return b"".join(
        [
            origin
            + encode_uint64(seq)
            + encode_bytes(text.name.encode())
            + text.commitment
            + text.opening
            + encode_bytes(text.value.encode())
            + tail
            for text in entry.texts
        ]
    )


def is_same_event(one: PreparedEvent, other: PreparedEvent) -> bool:
    """Whether two events that are not stored yet say the same."""
    return one.event.columns == other.event.columns and one.event.content == other.event.content


def is_same_record(prepared: PreparedEvent, known: KnownEvent, openings: dict[tuple[int, str, bytes], bytes]) -> bool:
    """Whether a record that came again says the same as the entry that is stored under its id.

    Columns are compared as encoded; texts through the stored commitments, so that the texts themselves
    are not read back. A text that was erased can't be compared and counts as the same.
    """
    if prepared.event.columns.get("event_type") == EventType.LOSS and prepared.event_id.startswith(LOST_BYTES):
        return True  # the id is made from the bytes that nobody could read; the time is that of receipt
    if _identity(prepared) != known.identity:
        return False
    commitments = without_hashes(known.commitments)
    if without_hashes(prepared.event.content).keys() != commitments.keys():
        return False
    for name, commitment in commitments.items():
        opening = openings.get((known.seq, name, commitment))
        if opening is not None and commit(name, prepared.event.content[name], opening) != commitment:
            return False
    return True


def _identity(prepared: PreparedEvent) -> bytes:
    columns = prepared.event.columns
    return b"".join([encode_value(column, columns.get(column.name, column.default)) for column in _IDENTITY_COLUMNS])
