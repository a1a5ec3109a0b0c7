"""Erasure: texts go everywhere, and a signed entry says who wanted it and why.

1. What is intended, with the signed statement, is durable in the key store.
2. The data keys are destroyed: from here on no copy of the data folder can be read.
3. The rows are deleted, and what the engine replaced is gone from the disk.
4. The signed ``erasure`` entry is appended.
5. The intention is marked as done.

Each step may run again: after a crash the receiver's next start begins with what was not done.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

from otel_audit.errors import ConfigError, MalformedInput, StoreError, VerificationError
from otel_audit.ledger.encoding import encode_bytes
from otel_audit.ledger.erasure import KIND, Erasure, seq_ranges
from otel_audit.ledger.note import Signer
from otel_audit.ledger.retention import Hold
from otel_audit.ledger.statement import read_statement, sign_statement
from otel_audit.model import AuditEvent, EventType
from otel_audit.privacy.sealing import open_sealed
from otel_audit.receiver.losses import internal_event
from otel_audit.receiver.prepare import text_rows
from otel_audit.receiver.sealer import SUBJECT, TASK, Sealer
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.semconv import AUDIT_ERASURE_STATEMENT
from otel_audit.store.erasing import ErasingStore
from otel_audit.store.key_store import KeyStore
from otel_audit.store.writer import LedgerWriter

_LOG: Final = logging.getLogger(__name__)
SEQS: Final = "seqs"


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """What somebody asks for: all texts of one subject, of one task, or of entries at (first, last) seqs."""

    basis: str
    requested_by: str
    approved_by: str
    subject: str = ""
    task: str = ""
    seqs: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if sum(map(bool, (self.subject, self.task, self.seqs))) != 1:
            raise ConfigError("erase: say what to erase with exactly one of --subject, --task and --seq")
        for name in ("basis", "requested_by", "approved_by"):
            if not str(getattr(self, name)).strip():
                raise ConfigError(f"erase: --{name.replace('_', '-')} is missing; the ledger keeps it for ever")
        if self.requested_by.strip() == self.approved_by.strip():
            raise ConfigError("erase: who asks and who approves must be two people (--requested-by, --approved-by)")
        named = self.subject or self.task
        whole = re.compile(rf"(?<!\w){re.escape(named)}(?!\w)")
        if named and any(whole.search(text) for text in (self.basis, self.requested_by, self.approved_by)):
            raise ConfigError("erase: do not name the subject or task in --basis or beside: that is never erased")

    @property
    def scope(self) -> str:
        """In one word, what it is about."""
        return SUBJECT if self.subject else TASK if self.task else SEQS


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What an erasure is going to do. ``shared`` of its entries lie under keys that other entries need, too."""

    seqs: tuple[int, ...] = ()
    text_count: int = 0
    text_bytes: int = 0
    sealed_bytes: int = 0
    task_count: int = 0
    key_ids: tuple[str, ...] = ()
    shared: int = 0
    holds: tuple[str, ...] = ()  # ids of the legal holds that forbid it
    orphans: tuple[str, ...] = field(default=(), repr=False)  # commitments of texts that no entry has

    def told(self) -> dict[str, Any]:
        """For people and programs; nothing in it is personal."""
        return {
            "entries": len(self.seqs),
            "texts": self.text_count,
            "bytes": self.text_bytes + self.sealed_bytes,
            "tasks": self.task_count,
            "keys": len(self.key_ids),
            "entries_under_shared_keys": self.shared,
            "seqs": [list(pair) for pair in seq_ranges(self.seqs)],
            "holds": list(self.holds),
        }


class Eraser:
    """Erases texts of one ledger. ``stored_forms`` gives what a reference may be stored as: masked, by any key.

    ``signers`` gives the keys in use, which may be rotated; ``holds`` the legal holds on entries; ``clock`` nanoseconds
    since 1970. ``step`` hears the number of each step before it begins.
    """

    def __init__(
        self,
        keys: KeyStore,
        sealer: Sealer,
        store: ErasingStore,
        sequencer: Sequencer,
        signers: Callable[[], Sequence[Signer]],
        *,
        holds: Callable[[Sequence[int]], Sequence[Hold]],
        stored_forms: Callable[[str, str], Sequence[str]] = lambda _, reference: [reference],
        clock: Callable[[], int] = time.time_ns,
        step: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._keys = keys
        self._sealer = sealer
        self._store = store
        self._sequencer = sequencer
        self._signers = signers
        self._holds = holds
        self._stored_forms = stored_forms
        self._clock = clock
        self._step = step
        self._one = threading.Lock()  # one erasure at a time

    def plan(self, request: ErasureRequest) -> ErasurePlan:
        """What would go. Changes nothing."""
        return self._sequencer.perform(lambda: self._plan(request)).result()

    def erase(self, request: ErasureRequest) -> dict[str, Any]:
        """Erase, and say what was erased.

        Raises ConfigError when there is nothing to erase, StoreError when it could not be finished: then it goes on
        when the receiver starts again, or with the next erasure.
        """
        with self._one:
            self._store.require_rights()
            self._complete()
            name = secrets.token_hex(8)
            # On the writer's thread: no event of this subject can come between what is planned and the end of its key.
            plan = self._sequencer.perform(lambda: self._begin(name, request)).result()
            entry = self._carry_on(name, self._keys.erasures(unfinished=True)[name])
            return {**plan.told(), "erased": True, "entry": entry}

    def complete(self) -> None:
        """Finish what was begun and not finished. Where the store refuses it, that is told: recording goes on."""
        with self._one:
            try:
                self._complete()
            except StoreError as exc:
                _LOG.error("an erasure that was interrupted is still not finished: %s", exc)

    def undisturbed(self) -> AbstractContextManager[object]:
        """Hold this where the signing key must not change between a statement and its entry, and where it changes."""
        return self._one

    def _complete(self) -> None:
        for name, stored in self._keys.erasures(unfinished=True).items():
            self._sequencer.perform(partial(self._destroy, stored)).result()
            entry = self._carry_on(name, stored)
            _LOG.warning("an erasure that was interrupted is finished now: entry %d", entry)

    def _plan(self, request: ErasureRequest) -> ErasurePlan:
        subjects, tasks = self._forms("subject_ref", request.subject), self._forms("task_id", request.task)
        picked = self._store.pick(subjects=subjects, tasks=tasks, ranges=request.seqs)
        seqs = [entry.seq for entry in picked]
        texts, sealed = self._store.texts(seqs), self._store.sealed(seqs)
        there = {*texts, *(seq for seq, _, _ in sealed)}
        key_ids = self._keys_of(subjects, tasks)
        orphans: set[str] = set()
        strangers = [row for row in self._store.under_keys(key_ids) if row.seq not in there]
        commitments = self._store.commitments(sorted({row.seq for row in strangers}))
        for row in strangers:
            key = self._keys.key(row.key_id)
            if key is None:
                continue
            try:
                found = open_sealed(key, self._sequencer.origin, row.seq, row.sealed).texts
            except (VerificationError, MalformedInput) as exc:
                _LOG.warning("%s; it goes with its key", exc)
                continue
            if commitments.get(row.seq, set()) & {text.commitment for text in found}:
                there.add(row.seq)  # of a task whose subject was told only later
            else:
                orphans |= {text.commitment.hex() for text in found}
        more = sorted(there - set(seqs))
        texts.update(self._store.texts(more))
        sealed += self._store.sealed(more)
        return ErasurePlan(
            seqs=tuple(sorted(there)),
            text_count=sum(count for count, _ in texts.values()),
            text_bytes=sum(size for _, size in texts.values()),
            sealed_bytes=sum(size for _, _, size in sealed),
            task_count=len({entry.task_id for entry in picked if entry.task_id and entry.seq in there}),
            key_ids=tuple(key_id.hex() for key_id in key_ids),
            shared=len({seq for seq, key_id, _ in sealed if key_id not in set(key_ids)}),
            holds=tuple(hold.hold_id for hold in self._holds(sorted(there))),
            orphans=tuple(sorted(orphans)),
        )

    def _forms(self, column: str, reference: str) -> list[str]:
        """What may stand in a column for a reference: it, and the other ways in which Unicode writes the same text."""
        spellings = (
            [reference, *(unicodedata.normalize(form, reference) for form in ("NFC", "NFD"))] if reference else []
        )
        return list(dict.fromkeys(stored for each in spellings for stored in self._stored_forms(column, each)))

    def _keys_of(self, subjects: Sequence[str], tasks: Sequence[str]) -> list[bytes]:
        """Keys in use that open texts of these subjects or tasks and nothing else."""
        scopes = [self._keys.scope(SUBJECT, subject) for subject in subjects]
        scopes += [task for subject in scopes for task in self._keys.tasks_of(subject)]
        scopes += [self._keys.scope(TASK, task) for task in tasks]
        return self._keys.keys_in_use(dict.fromkeys(scopes))

    def _begin(self, name: str, request: ErasureRequest) -> ErasurePlan:
        plan = self._plan(request)
        if not plan.seqs:
            raise ConfigError("erase: there are no such texts in this ledger; nothing was changed")
        if plan.holds:
            raise ConfigError(
                f"erase: under legal hold {', '.join(plan.holds)}; nothing was changed. See `otel-audit hold list`: "
                "who set a hold has to end it first (`otel-audit hold remove`)"
            )
        at = self._clock()
        reference = request.subject or request.task
        erasure = Erasure(
            origin=self._sequencer.origin,
            ranges=seq_ranges(plan.seqs),
            basis=request.basis,
            requested_by=request.requested_by,
            approved_by=request.approved_by,
            at_unix_nano=at,
            scope=request.scope,
            scope_ref=self._keys.scope(request.scope, reference).hex() if reference else "",
        )
        self._step(1)
        note = sign_statement(KIND, erasure.fields(), self._signers())
        self._keys.begin_erasure(name, {**asdict(plan), "note": note, "at": at})
        self._destroy(self._keys.erasures(unfinished=True)[name])
        return plan

    def _destroy(self, stored: Mapping[str, Any]) -> None:
        self._step(2)
        self._keys.destroy([bytes.fromhex(key_id) for key_id in stored["key_ids"]])
        self._sealer.forget()

    def _carry_on(self, name: str, stored: Mapping[str, Any]) -> int:
        self._step(3)
        self._store.delete(stored["seqs"], stored["key_ids"], stored["orphans"])
        self._step(4)
        # Signed anew: the key may have been replaced since, and then it explains nothing any more.
        note = sign_statement(KIND, read_statement(stored["note"], KIND).fields, self._signers())
        seq = self._sequencer.submit([_entry(name, {**stored, "note": note})]).result()[0].seq
        self._step(5)
        self._keys.finish_erasure(name)
        return seq

    def make_texts(self, writer: LedgerWriter) -> None:
        """Make texts to read of what is sealed and lacks them: after a data folder was put back from a copy.

        Called before anything is served. What can not be opened is counted in the log; ``verify`` names each.
        """
        origin = self._sequencer.origin
        erased = [
            Erasure(origin, seq_ranges(stored["seqs"]), "", "", "", 0, "") for stored in self._keys.erasures().values()
        ]
        made = locked = damaged = 0
        prefix = encode_bytes(origin.encode())
        for block in self._store.missing(self._sequencer.size):
            rows: list[bytes] = []
            for row in block:
                if any(erasure.covers(row.seq) for erasure in erased):
                    continue
                key = self._keys.key(row.key_id)
                if key is None:
                    locked += 1
                    continue
                try:
                    texts = open_sealed(key, origin, row.seq, row.sealed)
                except (VerificationError, MalformedInput) as exc:
                    _LOG.error("%s", exc)
                    damaged += 1
                    continue
                rows.append(text_rows(texts, row.retention_class, prefix, row.seq, row.recorded_unix_nano))
                made += 1
            if rows:
                writer.append_content(b"".join(rows))
        if made:
            _LOG.warning("the texts of %d entries were made anew from their sealed form", made)
        if locked or damaged:
            _LOG.error(
                "the texts of %d entries can not be made anew: %d without their key (put DATA-keys back), %d altered",
                locked + damaged,
                locked,
                damaged,
            )


def _entry(name: str, stored: Mapping[str, Any]) -> AuditEvent:
    """The entry of an erasure; the same each time, so that it is recognised when it comes again."""
    event = internal_event(
        EventType.ERASURE, stored["at"], name="erasure", attributes=[(AUDIT_ERASURE_STATEMENT, stored["note"])]
    )
    event.columns["event_id"] = f"internal:erasure:{name}"
    return event
