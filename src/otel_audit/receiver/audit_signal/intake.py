"""One audit request: read, check proofs, store all or nothing, and a receipt per record."""

from __future__ import annotations

import concurrent.futures
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from otel_audit import semconv
from otel_audit.conventions import normalise
from otel_audit.conventions.audit_canonical import integrity_hash, sent_form, stored_form
from otel_audit.conventions.record import Record
from otel_audit.conventions.text import MARKER
from otel_audit.errors import AuditError, MalformedInput, RejectedBatch, StoreUnavailable
from otel_audit.model import AuditEvent
from otel_audit.receiver.audit_signal.chains import MASKED, Chains, stream_of
from otel_audit.receiver.audit_signal.producer_keys import ProducerKeys, Verdict
from otel_audit.receiver.audit_signal.records import read_records
from otel_audit.receiver.intake import MAX_WAIT_SECONDS
from otel_audit.receiver.losses import Losses
from otel_audit.receiver.sequencer import Receipt, Sequencer
from otel_audit.store.receipts import DELIVERED, UNVERIFIED, VERIFIED, ReceiptReader

WITHHELD: Final = "signature_withheld"  # remark: the proof is over texts that the capture policy masked


@dataclass(frozen=True, slots=True)
class AuditIntake:
    """What ``/v1/audit`` does with a request.

    ``mask`` is the capture policy that the sequencer applies: here it tells whether the record is stored as it was
    sent. ``identity_key`` is the decoder's.
    """

    sequencer: Sequencer
    reader: ReceiptReader
    losses: Losses
    identity_key: bytes
    keys: ProducerKeys = field(default_factory=ProducerKeys)
    mask: Callable[[AuditEvent], AuditEvent] | None = None
    clock: Callable[[], int] = time.time_ns
    chains: Chains = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chains", Chains(self.reader))  # frozen, and made of another field

    def store(self, body: bytes, wait_seconds: float = MAX_WAIT_SECONDS) -> list[dict[str, Any]]:
        """Store the records of an ``ExportLogsServiceRequest`` and give their receipts, in order.

        Raises RejectedBatch (400) or RecordConflict (409) when nothing was stored and a retry would not help,
        StoreUnavailable (503) when it would: a retry of what was stored meanwhile gets the same receipts.
        """
        try:
            records = read_records(body)
            forms = [sent_form(record) for record in records]
            verdicts = [
                self.keys.check(record, form, f"record {index}")
                for index, (record, form) in enumerate(zip(records, forms, strict=True))
            ]
            received = self.clock()
            events = [
                self._event(record, form, verdict, received)
                for record, form, verdict in zip(records, forms, verdicts, strict=True)
            ]
            submitted = self._submit(records, forms, events)
        except MalformedInput as exc:
            self.losses.add("audit batch rejected")
            raise exc if isinstance(exc, RejectedBatch) else RejectedBatch(str(exc)) from exc
        try:
            seqs = [receipt.seq for receipt in submitted.result(timeout=wait_seconds)][: len(records)]
        except AuditError:
            self.chains.forget(records)
            raise
        except concurrent.futures.TimeoutError as exc:
            self.chains.forget(records)
            raise StoreUnavailable(f"the store did not take the request within {wait_seconds:.0f} s") from exc
        receipts = self.reader.receipts(seqs)
        for receipt, form in zip(receipts, forms, strict=True):
            receipt["received_hash"] = integrity_hash(form)
        return receipts

    def _submit(
        self, records: Sequence[Record], forms: Sequence[bytes], events: list[AuditEvent]
    ) -> concurrent.futures.Future[list[Receipt]]:
        """Hand over events, and with them one for each break of a producer chain: both are there or none."""
        if not any(stream_of(record) for record in records):
            return self.sequencer.submit(events, exclusive=True)
        with self.chains.lock:
            try:
                breaks = self.chains.check(records, forms)
                return self.sequencer.submit([*events, *breaks], exclusive=True)
            except AuditError:
                self.chains.forget_held(records)
                raise

    def receipt(self, record_id: str) -> dict[str, Any] | None:
        """The receipt of a stored record as it is now; None when there is none under this id."""
        seq = self.reader.seq_of(record_id)
        return None if seq is None else self.reader.receipts([seq])[0]

    def _event(self, record: Record, form: bytes, verdict: Verdict, received: int) -> AuditEvent:
        event = normalise(record, identity_key=self.identity_key, received_unix_nano=received)[0]
        remarks = [*event.columns.get("remarks", ())]
        if verdict is not Verdict.NONE:
            remarks.append(VERIFIED if verdict is Verdict.PASSED else UNVERIFIED)
            if self.mask is not None and not _is_kept_as_sent(self.mask(event), form):
                _withhold(event)
                remarks.append(WITHHELD)
        if stream_of(record) and self.mask is not None and not _is_kept_as_sent(self.mask(event), form):
            remarks.append(MASKED)
        if remarks:
            event.columns["remarks"] = remarks
        return event


def batch_answer(receipts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The draft's answer to a batch. The batch's id follows from its records: a retry gets the same."""
    ids = "\n".join(receipt["record_id"] for receipt in receipts)
    return {
        "batch_id": hashlib.sha256(ids.encode()).hexdigest()[:32],
        "status": DELIVERED,
        "record_status_map": {receipt["record_id"]: receipt for receipt in receipts},
        "sink_status_aggregate": "success",
    }


def _is_kept_as_sent(masked: AuditEvent, form: bytes) -> bool:
    try:
        return stored_form(masked.columns, masked.content) == form
    except (MalformedInput, ValueError):
        return False


def _withhold(event: AuditEvent) -> None:
    """Leave a proof out: whoever has it and the key could test guesses at what the policy masked."""
    pairs = []
    for key, text in event.columns.get("attributes", ()):
        if key == semconv.AUDIT_INTEGRITY_VALUE and text.startswith(MARKER):
            event.content[text.removeprefix(MARKER)] = "withheld"
        pairs.append((key, "withheld" if key == semconv.AUDIT_INTEGRITY_VALUE else text))
    event.columns["attributes"] = pairs
