"""Producer chains (``audit.sequence.*``): each record of a stream follows the one before it, or a break is told.

A break never keeps a record out: it becomes a ``loss`` event, stored in one insert with the record that shows it. What
came last in a stream is known from the requests of this run, and for a stream that is new to it from the store.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from otel_audit import semconv
from otel_audit.conventions.audit_canonical import TextErased, integrity_hash, stored_form
from otel_audit.conventions.record import Record
from otel_audit.model import AuditEvent, EventType
from otel_audit.receiver.losses import internal_event
from otel_audit.store.receipts import ReceiptReader, record_id_of

MASKED: Final = (
    "chain_masked"  # remark: stored otherwise than sent, so that the next record's previous_hash is of no use
)
_STREAMS: Final = 10_000  # in memory; the state of others is read from the store when they come again
_NUMBERS: Final = 256  # of each stream, to tell a number that comes twice from one that comes late

Stream = tuple[str, str]  # stream id and, where there is none, the service


@dataclass(slots=True)
class _State:
    """What came last in a stream. ``hash_hex`` is None where it is not known."""

    number: int = 0
    record_id: str = ""
    hash_hex: str | None = None
    ended: bool = False
    recent: OrderedDict[int, str] = field(default_factory=OrderedDict)  # number -> record id

    def take(self, number: int, record_id: str, hash_hex: str | None, *, ended: bool) -> None:
        self.recent[number] = record_id
        if len(self.recent) > _NUMBERS:
            self.recent.popitem(last=False)
        self.ended = self.ended or ended
        if number > self.number:
            self.number, self.record_id, self.hash_hex = number, record_id, hash_hex


def stream_of(record: Record) -> Stream | None:
    """The stream that a record is of; None when it is in no chain."""
    if semconv.AUDIT_SEQUENCE_NUMBER not in record.attributes:
        return None
    stream = record.attributes.get(semconv.AUDIT_SEQUENCE_STREAM_ID)
    return (str(stream), "") if stream else ("", str(record.source.columns.get("service", "")))


class Chains:
    """The streams of one ledger. Hold ``lock`` from ``check`` until its records are handed to the sequencer."""

    def __init__(self, reader: ReceiptReader) -> None:
        self._reader = reader
        self.lock = threading.Lock()
        self._states: OrderedDict[Stream, _State] = OrderedDict()  # guarded by lock; the last used is last

    def check(self, records: Sequence[Record], forms: Sequence[bytes]) -> list[AuditEvent]:
        """Take the records as the next of their streams, and give an event per break. Raises StoreError.

        ``forms`` are their canonical bytes as sent. When they are not stored after all, call ``forget``.
        """
        breaks = []
        for record, form in zip(records, forms, strict=True):
            stream = stream_of(record)
            if stream is not None:
                breaks += self._follow(stream, record, form)
        return breaks

    def forget(self, records: Sequence[Record]) -> None:
        """It is not known which of these are stored: read the state of their streams when they come again."""
        with self.lock:
            self.forget_held(records)

    def forget_held(self, records: Sequence[Record]) -> None:
        """As ``forget``, for whoever holds ``lock``."""
        for record in records:
            if (stream := stream_of(record)) is not None:
                self._states.pop(stream, None)

    def _follow(self, stream: Stream, record: Record, form: bytes) -> list[AuditEvent]:
        attributes = record.attributes
        record_id, number = attributes[semconv.AUDIT_RECORD_ID], attributes[semconv.AUDIT_SEQUENCE_NUMBER]
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            return [_event(stream, record, "its number is not an integer from 1", 1)]
        state = self._state(stream)
        if state.recent.get(number) == record_id or (
            number <= state.number and self._reader.seq_of(record_id) is not None
        ):
            return []  # a retry
        found = _problem(state, attributes, number)
        ended = attributes.get(semconv.AUDIT_SEQUENCE_END) is True
        state.take(number, record_id, integrity_hash(form), ended=ended)
        return [_event(stream, record, *found)] if found else []

    def _state(self, stream: Stream) -> _State:
        state = self._states.get(stream)
        if state is None:
            state = self._states[stream] = self._stored(stream)
            if len(self._states) > _STREAMS:
                self._states.popitem(last=False)
        self._states.move_to_end(stream)
        return state

    def _stored(self, stream: Stream) -> _State:
        """What the store has of a stream: its record with the highest number."""
        state = _State()
        seq, ended = self._reader.newest_of_stream(*stream)
        if seq is not None:
            entry = self._reader.entries([seq])[seq]
            number = int(dict(entry.columns["attributes_json"])[semconv.AUDIT_SEQUENCE_NUMBER])
            try:
                known = None if MASKED in entry.columns["remarks"] else stored_form(entry.columns, entry.content)
            except TextErased:
                known = None
            state.take(number, record_id_of(entry), None if known is None else integrity_hash(known), ended=ended)
        return state


def _problem(state: _State, attributes: dict[str, Any], number: int) -> tuple[str, int] | None:
    """Why the record does not follow, and how many records that concerns; None when it does."""
    if state.ended:
        return "a record after the stream's end", 1
    if number in state.recent:
        return "its number is that of another record", 1
    if number <= state.number:
        return "its number is not after the last", 1
    if number > state.number + 1:
        return "records before it are missing", number - state.number - 1
    previous = attributes.get(semconv.AUDIT_SEQUENCE_PREVIOUS_RECORD_ID)
    if previous is not None and state.record_id and previous != state.record_id:
        return "it names another record before it", 1
    hashed = attributes.get(semconv.AUDIT_SEQUENCE_PREVIOUS_HASH)
    if hashed is not None and state.hash_hex is not None and str(hashed).lower() != state.hash_hex:
        return "its previous_hash is not that of the record before it", 1
    return None


def _event(stream: Stream, record: Record, reason: str, count: int) -> AuditEvent:
    """The event that tells of a break at ``record``: by ids and numbers, which are no texts of anybody."""
    said = {
        semconv.AUDIT_LOSS_REASON: f"producer chain broken: {reason}",
        semconv.AUDIT_SEQUENCE_STREAM_ID: stream[0],
        semconv.AUDIT_TARGET_ID: record.attributes[semconv.AUDIT_RECORD_ID],
    }
    event = internal_event(
        EventType.LOSS,
        record.end,
        name=said[semconv.AUDIT_LOSS_REASON],
        attributes=[(key, value) for key, value in said.items() if value],
        attributes_json=[(semconv.AUDIT_LOSS_COUNT, str(count))],
    )
    # The class of its record, so that both are in one insert; prepare() judges it as it does the record's.
    if retention := record.attributes.get(semconv.AUDIT_RETENTION_CLASS):
        event.columns["retention_class"] = str(retention)
    return event
