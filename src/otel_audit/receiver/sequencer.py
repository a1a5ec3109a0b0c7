"""The single writer of a ledger: gives sequence numbers, chains, inserts, acknowledges, checkpoints.

States of an event here: submitted -> sequenced -> committed. A submission is acknowledged when every
event of it is committed, that is, durable in the store under its place in the ledger.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from otel_audit.errors import AuditError, LedgerConflict, MalformedInput, StoreUnavailable
from otel_audit.ledger.encoding import encode_bytes, encode_entry, leaf_hash, origin_prefix
from otel_audit.model import AuditEvent
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.prepare import (
    PreparedEvent,
    content_rows,
    prepare,
)
from otel_audit.receiver.recognising import Group, Receipt, Recogniser, Submission
from otel_audit.receiver.sealer import Sealer
from otel_audit.store.writer import Head, LedgerWriter

__all__ = ["Receipt", "Sequencer"]

_LOG: Final = logging.getLogger(__name__)
_MAX_GROUP_EVENTS: Final = 40_000  # past this an insert's fixed cost no longer matters
_MAX_GROUP_BYTES: Final = 64 << 20
_RECONCILE_DELAYS: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds; the last one repeats
_Result = TypeVar("_Result")


class Sequencer:
    """Group commit into one ledger by one thread. ``submit`` may be called from any thread.

    ``max_pending_bytes`` bounds the memory of what waits: beyond it ``submit`` raises StoreUnavailable and the
    producer keeps the data. ``clock`` gives nanoseconds since 1970. ``on_stop`` is told when the writer had to
    stop because the ledger in the store is not the one it continued. ``mask`` applies the capture policy,
    ``sealer`` keeps texts under keys, so that destroying a key erases them.
    """

    def __init__(
        self,
        writer: LedgerWriter,
        checkpointer: Checkpointer,
        *,
        clock: Callable[[], int] = time.time_ns,
        max_pending_bytes: int = 256 << 20,
        on_stop: Callable[[LedgerConflict], None] | None = None,
        mask: Callable[[AuditEvent], AuditEvent] | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        self._writer = writer
        self._sealer = sealer
        self._checkpointer = checkpointer
        self._clock = clock
        self._max_pending_bytes = max_pending_bytes
        self._on_stop = on_stop
        self._mask = mask
        self.origin = writer.origin
        self._prefix = origin_prefix(self.origin)
        self._content_origin = encode_bytes(self.origin.encode())
        # Owned by the writer thread.
        self._head = Head(0, b"")
        self._recogniser = Recogniser(writer, self._fail)
        self._last_recorded = 0
        # Guarded by _lock: what waits, and why nothing may wait any more.
        self._lock = threading.Condition()
        self._waiting: deque[Submission] = deque()
        self._pending_bytes = 0
        self._actions: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._closing = False
        self._stopped_by: AuditError | None = None
        self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)

    @property
    def size(self) -> int:
        """Entries committed so far."""
        return self._head.size

    def start(self) -> None:
        """Read where the ledger ends, check it against the newest checkpoint, and begin.

        Raises LedgerConflict when the store is not what was checkpointed, StoreError when it can't be read.
        """
        self._head = self._writer.head()
        self._checkpointer.resume(self._head.size)
        self._last_recorded = self._writer.newest_recorded()  # the clock may have been set back since
        self._recogniser.start(self._head.size)
        self._thread.start()

    def submit(self, events: Sequence[AuditEvent], *, exclusive: bool = False) -> Future[list[Receipt]]:
        """Hand over events. The future gives a receipt per event once all of them are durable.

        An event under a known id that says something else is stored with a remark. With ``exclusive`` nothing of
        the submission is stored then, and the future fails with RecordConflict; and its events, which must have one
        retention class, go into the store in one insert: all are there or none, also after a crash.

        Raises MalformedInput when an event can't be encoded, StoreUnavailable when too much waits already
        or the writer has stopped. The future fails with StoreUnavailable when the store refuses the group.
        """
        prepared = [prepare(event, self._mask) for event in events]
        submission = Submission(prepared, sum(event.size for event in prepared), seqs=[-1] * len(prepared))
        submission.exclusive = exclusive
        if exclusive and len({event.retention_class for event in prepared}) > 1:
            raise MalformedInput("the records of one batch have several retention classes: send a batch a class")
        if not prepared:
            submission.done.set_result([])
            return submission.done
        with self._lock:
            if self._stopped_by is not None:
                raise StoreUnavailable(f"the ledger's writer has stopped: {self._stopped_by}")
            if self._closing:
                raise StoreUnavailable("the receiver is shutting down; retry against the next one")
            if self._pending_bytes and self._pending_bytes + submission.size > self._max_pending_bytes:
                raise StoreUnavailable(
                    f"{self._pending_bytes >> 20} MiB wait for the store already; retry in a few seconds"
                )
            self._waiting.append(submission)
            self._pending_bytes += submission.size
            self._lock.notify()
        return submission.done

    def perform(self, action: Callable[[], _Result]) -> Future[_Result]:
        """Run ``action`` on the writer's thread, between two groups; the future gives what it returns or raises.

        While it runs nothing is committed, so that it sees the ledger at rest. A LedgerConflict that it raises
        stops the writer. Raises StoreUnavailable when the writer has stopped.
        """
        done: Future[_Result] = Future()
        with self._lock:
            if self._stopped_by is not None or self._closing:
                raise StoreUnavailable(f"the ledger's writer has stopped: {self._stopped_by or 'shutting down'}")
            self._actions.append((done, action))
            self._lock.notify()
        return done

    def close(self) -> None:
        """Commit what was accepted, write a last checkpoint, and stop."""
        with self._lock:
            self._closing = True
            self._lock.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while (submissions := self._take()) is not None:
                if submissions:
                    self._commit(submissions)
                self._checkpoint(due_only=True)
                self._perform_actions()
            self._checkpoint(due_only=False)
        except LedgerConflict as exc:
            self._stop(exc)
        except Exception as exc:  # noqa: BLE001 - see below
            # A defect of ours: whatever waits stays with its producer, and nobody is told "stored".
            _LOG.exception("the writer failed")
            self._stop(LedgerConflict(f"the writer failed: {exc!r}; restart the receiver and report this"))

    def _perform_actions(self) -> None:
        while self._actions:
            done, action = self._actions.popleft()
            try:
                done.set_result(action())
            except Exception as exc:
                done.set_exception(exc)
                if isinstance(exc, LedgerConflict):
                    raise

    def _stop(self, cause: LedgerConflict) -> None:
        _LOG.critical("the writer of %s stopped: %s", self.origin, cause)
        with self._lock:
            self._stopped_by = cause
            waiting = list(self._waiting)
            self._waiting.clear()
            actions, self._actions = self._actions, deque()
        for submission in waiting:
            self._fail(submission, StoreUnavailable(f"the ledger's writer has stopped: {cause}"))
        for done, _ in actions:
            done.set_exception(StoreUnavailable(f"the ledger's writer has stopped: {cause}"))
        if self._on_stop is not None:
            self._on_stop(cause)

    def _take(self) -> list[Submission] | None:
        """Everything that queued up while the last group was committed; None when closing and empty."""
        with self._lock:
            while not self._waiting and not self._actions and not self._closing:
                if not self._lock.wait(self._checkpointer.seconds_until_due()):
                    return []
            if not self._waiting:
                return [] if self._actions else None
            group: list[Submission] = []
            events = size = 0
            while self._waiting and (not group or (events < _MAX_GROUP_EVENTS and size < _MAX_GROUP_BYTES)):
                submission = self._waiting.popleft()
                group.append(submission)
                events += len(submission.events)
                size += submission.size
            return group

    def _commit(self, submissions: list[Submission]) -> None:
        group = Group(submissions)
        try:
            self._recogniser.sort(group)
            self._insert(group)
        except LedgerConflict:
            for submission in submissions:
                self._fail(submission, StoreUnavailable("the ledger's writer has stopped"))
            raise
        except Exception as exc:  # noqa: BLE001 - whatever the driver raises, the producers keep their data
            _LOG.warning("the store did not take a group of %d submissions: %s", len(submissions), exc)
            for submission in submissions:
                self._fail(
                    submission, StoreUnavailable(f"the store did not take the events ({type(exc).__name__}); retry")
                )
            self._reconcile()
            self._recogniser.remember(group, self._head.size)
        else:
            self._recogniser.remember(group, self._head.size)
            for submission in submissions:
                self._acknowledge(submission)

    def _insert(self, group: Group) -> None:
        """Sequence, hash and insert: texts first, then one insert a retention class (= one partition)."""
        recorded = self._last_recorded = max(self._clock(), self._last_recorded + 1)
        seq, prev = self._head.size, self._head.last_hash
        runs: list[tuple[bytes, list[bytes]]] = []
        texts: list[bytes] = []
        event_ids: list[bytes] = []
        placed: list[tuple[int, PreparedEvent]] = []
        for events in group.fresh.values():
            rows: list[bytes] = []
            leaves: list[bytes] = []
            for event, places in events:
                encoding = encode_entry(self._prefix, seq, prev, recorded, event.encoded)
                prev = leaf_hash(encoding)
                rows += (encoding, prev)
                leaves.append(prev)
                texts.append(content_rows(event, self._content_origin, seq, recorded))
                event_ids.append(event.event_id.encode())
                placed.append((seq, event))
                for submission, index in places:
                    submission.seqs[index] = seq
                seq += 1
            runs.append((b"".join(rows), leaves))
        if not runs:
            return
        # Keys, then what they seal, then the texts to read: no text is ever there that no key's end can take along.
        if self._sealer is not None and (sealed := self._sealer.rows(placed, recorded)):
            self._writer.append_sealed(sealed)
        if content := b"".join(texts):
            self._writer.append_content(content)  # before the entries that commit to it; orphans are harmless
        self._recogniser.expect(event_ids)
        for block, leaves in runs:
            self._writer.append_entries(block)
            self._head = Head(self._head.size + len(leaves), leaves[-1])
            self._checkpointer.add(leaves)

    def _reconcile(self) -> None:
        """After an insert whose outcome is unknown: go on from what the store really holds.

        The store's head must be ours, or ours plus entries of the failed group (their producers were told to
        retry, and will be recognised). Anything shorter, or a chain that does not lead on from ours, stops
        the writer. Until the store answers nothing else is inserted.
        """
        attempt = 0
        while True:
            try:
                found = self._writer.head()
                if found.size < self._head.size:
                    raise LedgerConflict(  # noqa: TRY301 - the loop is left by it
                        f"ledger {self.origin}: {self._head.size} entries were committed, the store has {found.size}; "
                        "run otel-audit verify"
                    )
                leaves = self._writer.leaf_hashes(max(0, self._head.size - 1), found.size)
                if self._head.size and leaves.pop(0) != self._head.last_hash:
                    raise LedgerConflict(  # noqa: TRY301 - the loop is left by it
                        f"ledger {self.origin}: entry {self._head.size - 1} is not the one that was committed; "
                        "run otel-audit verify"
                    )
            except LedgerConflict:
                raise
            except Exception as exc:
                delay = _RECONCILE_DELAYS[min(attempt, len(_RECONCILE_DELAYS) - 1)]
                attempt += 1
                _LOG.warning("the store does not answer (%s); asking again in %s s", exc, delay)
                with self._lock:
                    if self._closing:
                        raise LedgerConflict(
                            "shut down while the store did not answer; what was not acknowledged is with its producers"
                        ) from exc
                    self._lock.wait_for(lambda: self._closing, delay)
                continue
            self._head = found
            self._checkpointer.add(leaves)
            return

    def _checkpoint(self, *, due_only: bool) -> None:
        try:
            if not due_only or self._checkpointer.seconds_until_due() == 0:
                self._checkpointer.publish()
        except LedgerConflict:
            raise
        except Exception as exc:  # noqa: BLE001 - entries stay durable without it; it is due again
            _LOG.warning("no checkpoint could be written: %s", exc)
            self._checkpointer.postpone()

    def _acknowledge(self, submission: Submission) -> None:
        self._release(submission)
        submission.done.set_result([Receipt(self.origin, seq) for seq in submission.seqs])

    def _fail(self, submission: Submission, error: AuditError) -> None:
        self._release(submission)
        submission.done.set_exception(error)

    def _release(self, submission: Submission) -> None:
        with self._lock:
            self._pending_bytes -= submission.size
