"""Takes records on the application's threads, keeps them in the spool, and sends them until they are acknowledged.

One thread delivers. It retries for as long as it takes, splits what the receiver refuses until the one
record that it refuses is found, and sets that aside. Nothing is dropped without being counted and, once
there is room, recorded as a ``loss`` event.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

from opentelemetry import context

from otel_audit.errors import SpoolDamaged, SpoolFailed, SpoolFull
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.delivery.encoding import AUDIT, Decoder, record_id_of
from otel_audit.instrumentation.delivery.figures import measure
from otel_audit.instrumentation.delivery.forks import survive_forks
from otel_audit.instrumentation.delivery.segment import Item
from otel_audit.instrumentation.delivery.spool import Batch, Spool
from otel_audit.instrumentation.delivery.transport import Refused, Transport, Unavailable

# The key by which instrumentations leave our own requests alone, as the SDK's exporters set it.
_SUPPRESS: Final = "suppress_instrumentation"
_LINGER_SECONDS: Final = 0.2  # records that follow within it go into the same request
_LOOK_SECONDS: Final = 5.0  # how often an idle process looks for segments of processes that are gone
_FIRST_DELAY_SECONDS: Final = 0.5
_LAST_DELAY_SECONDS: Final = 60.0
_FLUSH_DELAY_SECONDS: Final = 0.25  # between tries while somebody waits for them
_FORK_SECONDS: Final = 1.0
_BATCH_RECORDS: Final = 512
_BATCH_BYTES: Final = 2 << 20  # half of what OTLP receivers take by default
_MEMORY_BYTES: Final = 32 << 20  # of records that the disk did not take

LossItem = Callable[[str, int], Item]  # the record that tells of a loss, from its reason and count


class OnFull(StrEnum):
    """What a full spool does to the application: nothing (records are counted as lost), make it wait, or raise."""

    DROP = "drop"
    BLOCK = "block"
    RAISE = "raise"


class Delivery:
    """From the application to the receiver.

    ``connect`` opens a connection, in the delivering thread. ``put``, ``lose``, ``flush`` and ``close`` may
    be called from any thread; after ``close`` a record that is put begins anew.
    """

    def __init__(self, spool: Spool, connect: Callable[[], Transport], loss_item: LossItem, on_full: OnFull) -> None:
        self._spool = spool
        self._connect = connect
        self._loss_item = loss_item
        self._on_full = on_full
        self.exported = self.dropped = 0
        self._start_afresh()
        self._duration = measure(self)
        survive_forks(self)

    def _start_afresh(self) -> None:
        """The state of a process that has put nothing yet; in a forked child, too."""
        self._thread: threading.Thread | None = None
        self._in_request = threading.Lock()  # held by the delivering thread while it uses the transport
        self._awake = threading.Event()  # something was put, or somebody waits
        self._hurry = threading.Event()  # somebody waits: no delays
        # Guarded by _state: everything below, but for the transport, which the delivering thread owns.
        self._state = threading.Condition()
        self._memory: deque[Item] = deque()
        self._memory_bytes = 0
        self._lost: Counter[str] = Counter()
        self._kept_in_memory = 0
        self._waiting = 0
        self._expected: dict[str, Future[Mapping[str, Any]]] = {}  # receipts that a caller waits for, by record id
        self._closing = False
        self._transport: Transport | None = None

    def put(self, item: Item) -> None:
        """Keep a record until it is delivered. Raises SpoolFull if the application asked for that."""
        while True:
            try:
                self._spool.put(item)
            except SpoolFull as exc:
                if not self._wait_for_room(exc):
                    break
                continue
            except OSError as exc:
                note("spool", f"the spool {self._spool.folder} can not be written, records wait in memory", exc)
                self._keep_in_memory(item)
            break
        if self._thread is None:
            self.begin()
        if not self._awake.is_set():
            self._awake.set()

    def put_and_wait(self, item: Item, record_id: str, timeout: float) -> Mapping[str, Any] | None:
        """Keep an audit record on the disk, and give its receipt; None when there is none in ``timeout`` seconds.

        Raises SpoolFull when there was no room in that time, and SpoolFailed when the disk does not take it: then the
        record is counted as lost, and the caller has it still. Raises Refused when the receiver will never take it.
        """
        deadline = time.monotonic() + timeout
        receipt: Future[Mapping[str, Any]] = Future()
        with self._state:
            self._expected[record_id] = receipt
            self._waiting += timeout > 0
        try:
            self._put_whatever_it_takes(item, deadline)
            self.begin()
            if timeout > 0:
                self._hurry.set()
            self._awake.set()
            return receipt.result(max(0.0, deadline - time.monotonic()))
        except NotYet:
            return None
        finally:
            with self._state:
                self._expected.pop(record_id, None)
                self._waiting -= timeout > 0

    def _put_whatever_it_takes(self, item: Item, deadline: float) -> None:
        """Wait for room until ``deadline``, whatever is chosen for other records: an audit record is never dropped."""
        while True:
            try:
                self._spool.put(item, sync=True)
            except SpoolFull:
                left = deadline - time.monotonic()
                if left <= 0:
                    self.lose("audit record refused: spool full")
                    raise
                self.begin()
                self._hurry.set()
                with self._state:
                    self._state.wait(min(left, _FLUSH_DELAY_SECONDS))
            except OSError as exc:
                self.lose("audit record refused: spool not writable")
                raise SpoolFailed(f"the spool {self._spool.folder} can not be written ({type(exc).__name__})") from exc
            else:
                return

    def _answer(self, receipts: Mapping[str, Any]) -> None:
        """Give callers the receipts that they wait for."""
        with self._state:
            found = [(self._expected.pop(key, None), receipt) for key, receipt in receipts.items()]
        for waiting, receipt in found:
            if waiting is not None:
                waiting.set_result(receipt)

    def lose(self, reason: str, count: int = 1) -> None:
        """Count records as lost; a ``loss`` event tells of them."""
        with self._state:
            self._lost[reason] += count
            self.dropped += count
        note("spool", reason)

    @property
    def depth(self) -> int:
        """Records of this process that wait."""
        return self._spool.depth + len(self._memory)

    def _wait_for_room(self, exc: SpoolFull) -> bool:
        """Whether to try again. Raises SpoolFull, or counts the record as lost, as the application chose."""
        if self._on_full is OnFull.BLOCK and not self._closing and threading.current_thread() is not self._thread:
            if self._thread is None:
                self.begin()
            self._hurry.set()
            with self._state:
                self._state.wait(_FLUSH_DELAY_SECONDS)
            return True
        self.lose("spool full")
        if self._on_full is OnFull.RAISE:
            raise exc
        return False

    def _keep_in_memory(self, item: Item) -> None:
        with self._state:
            if self._memory_bytes + len(item.payload) <= _MEMORY_BYTES:
                self._memory.append(item)
                self._memory_bytes += len(item.payload)
                self._kept_in_memory += 1
                return
        self.lose("spool not writable")

    def begin(self) -> None:
        """Start delivering, also what earlier processes left behind."""
        with self._state:
            if self._thread is not None or self._closing:
                return
            thread = threading.Thread(target=self._run, name="otel-audit-delivery", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # the interpreter is about to end: the next process delivers
                note("delivery", "no thread can be started", exc)
            else:
                self._thread = thread

    def flush(self, timeout: float) -> bool:
        """Whether everything put before was acknowledged within ``timeout`` seconds."""
        self.begin()
        deadline = time.monotonic() + timeout
        with self._state:
            self._waiting += 1
            self._hurry.set()
            self._awake.set()
            try:
                return self._state.wait_for(lambda: not self.depth, max(0.0, deadline - time.monotonic()))
            finally:
                self._waiting -= 1

    def close(self, timeout: float) -> None:
        """Deliver what waits, if the receiver answers within ``timeout`` seconds. The rest stays in the spool."""
        with self._state:
            self._closing = True
            thread = self._thread
        if thread is not None and thread.is_alive():
            self._hurry.set()
            self._awake.set()
            thread.join(timeout)
            if thread.is_alive():
                return  # in a request that nobody answers; the process's end lets go of the files
        self._spool.close()
        with self._state:
            self._thread = None
            self._closing = False

    # -- the delivering thread ---------------------------------------------------------------------

    def _run(self) -> None:
        context.attach(context.set_value(_SUPPRESS, value=True))
        self._decoder = Decoder()
        while True:
            try:
                if self._step():
                    break
            except Exception as exc:  # noqa: BLE001 - whatever it is, records wait and must be tried again
                note("delivery", "an unexpected error", exc)
                if self._closing:
                    break
                self._hurry.wait(_LOOK_SECONDS)
                self._hurry.clear()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _step(self) -> bool:
        """Deliver one batch, or wait for one. True at the end."""
        self._record_losses()
        if self._memory:
            return self._deliver_memory()
        try:
            batch = self._spool.take(_BATCH_RECORDS, _BATCH_BYTES)
        except SpoolDamaged as exc:
            lost = self._spool.set_aside()
            note("spool", f"{exc}; the file is kept with the ending .damaged")
            self.lose(f"spool damaged: {lost} bytes")
            return False
        if batch is None:
            return self._idle()
        if not self._deliver(batch.items):
            return True
        self._forget(batch)
        return False

    def _forget(self, batch: Batch) -> None:
        self._spool.delivered(batch)
        with self._state:
            self._state.notify_all()

    def _deliver_memory(self) -> bool:
        with self._state:
            items = [self._memory[n] for n in range(min(len(self._memory), _BATCH_RECORDS))]
        if not self._deliver(items):
            return True
        with self._state:
            for item in items:
                self._memory.popleft()
                self._memory_bytes -= len(item.payload)
            self._state.notify_all()
        return False

    def _idle(self) -> bool:
        if self._spool.adopt():
            return False
        with self._state:
            self._state.notify_all()
        if self._closing:
            return True
        self._hurry.clear()
        if self._awake.wait(_LOOK_SECONDS):
            self._awake.clear()
            self._hurry.wait(0 if self._waiting else _LINGER_SECONDS)
        return False

    def _deliver(self, items: Sequence[Item]) -> bool:
        """False when the process ends before all are acknowledged."""
        return all(self._send(list(group)) for _, group in groupby(items, key=lambda item: item.kind))

    def _send(self, items: Sequence[Item]) -> bool:
        try:
            request = self._decoder.request(items)
        except ValueError as exc:
            return self._divide(items, str(exc))
        delay = _FIRST_DELAY_SECONDS
        while True:
            started = time.perf_counter()
            is_last = self._closing
            try:
                with self._in_request:
                    if self._transport is None:
                        self._transport = self._connect()
                    self._transport.send(items[0].kind, request)
                    receipts = self._transport.receipts
            except Refused as exc:
                return self._divide(items, str(exc))
            except Unavailable as exc:
                note("export", f"{exc}; records wait in {self._spool.folder}")
                # The next try is a real one: gRPC's own back-off would answer it without asking the receiver.
                self._disconnect()
                if is_last:
                    return False
                self._spool.sync()
                self._record_losses()
                self._pause(max(exc.delay or 0.0, delay * random.uniform(0.5, 1.0)))  # noqa: S311 - only jitter
                delay = min(2 * delay, _LAST_DELAY_SECONDS)
            else:
                self._duration.record(time.perf_counter() - started)
                self.exported += len(items)
                if items[0].kind == AUDIT:
                    self._answer(receipts)
                return True

    def _pause(self, seconds: float) -> None:
        with self._state:
            if self._waiting:
                seconds = min(seconds, _FLUSH_DELAY_SECONDS)
        if self._hurry.wait(seconds) and not self._closing:
            self._hurry.clear()
            if self._waiting:
                threading.Event().wait(_FLUSH_DELAY_SECONDS)

    def _divide(self, items: Sequence[Item], problem: str) -> bool:
        if len(items) > 1:
            middle = len(items) // 2
            return self._send(items[:middle]) and self._send(items[middle:])
        self._spool.reject(items[0])
        if items[0].kind == AUDIT:
            with guard("export"), self._state:
                waiting = self._expected.pop(record_id_of(items[0]), None)
                if waiting is not None:
                    waiting.set_exception(Refused(problem))
        self.lose(f"refused for good: {problem}")
        return True

    def _record_losses(self) -> None:
        with self._state:
            lost, self._lost = self._lost, Counter()
        for reason, count in lost.items():
            with guard("loss"):
                item = self._loss_item(reason, count)
                try:
                    self._spool.put(item, beyond_limit=True)
                except OSError:
                    self._keep_in_memory(item)

    @property
    def emitted(self) -> int:
        """Records that this process handed over, whatever became of them."""
        return self._spool.records_put + self._kept_in_memory + self.dropped

    def before_fork(self) -> bool:
        """Wait a moment until no request is under way: gRPC can not be forked in the middle of one."""
        return self._in_request.acquire(timeout=_FORK_SECONDS)

    def after_fork_in_parent(self, *, was_waited_for: bool) -> None:
        """Go on."""
        if was_waited_for:
            self._in_request.release()

    def after_fork_in_child(self) -> None:
        """Begin afresh: what the parent holds stays the parent's."""
        self._spool.forget_after_fork()
        self.exported = self.dropped = 0
        self._start_afresh()
