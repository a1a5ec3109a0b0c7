"""Records on disk until the receiver has acknowledged them. One folder, many processes.

Each process appends to segments of its own and holds a lock on each, so that a segment that nobody
holds is one whose process is gone: the next process takes it over and delivers what is left. A record
is in the operating system's hands when ``put`` returns, so it survives the process, however that ends;
``fsync`` decides whether it survives the machine.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from otel_audit.errors import SpoolFull
from otel_audit.instrumentation.delivery.segment import SUFFIX, Item, Segment, frame

REJECTED_SUFFIX: Final = ".rejected"
_SEGMENT_BYTES: Final = 4 << 20


class Fsync(StrEnum):
    """When records reach the disk itself: each one, those that had to wait, or when the system likes."""

    ALWAYS = "always"
    INTERVAL = "interval"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one segment in order, and the offset behind the last."""

    segment: Segment
    items: Sequence[Item]
    end: int


class Spool:
    """A folder of segments, at most ``max_bytes`` in all.

    ``put`` may be called from any thread; ``take``, ``delivered``, ``adopt`` and the rest belong to the
    one thread that delivers. Other processes' files count towards the limit as they were when ``adopt``
    last looked.
    """

    def __init__(self, folder: Path, *, max_bytes: int, fsync: Fsync = Fsync.INTERVAL) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = max(1 << 16, min(_SEGMENT_BYTES, max_bytes // 4))
        self._fsync = fsync
        # Guarded by _lock: our segments, oldest first (the last is written to), and their total size.
        self._lock = threading.Lock()
        self._segments: deque[Segment] = deque()
        self._bytes = 0
        self._unsynced = False
        # Owned by the delivering thread; read by put, where a stale number does no harm.
        self._adopted: Segment | None = None
        self._rejected: Segment | None = None
        self._others_bytes = 0
        self.records_put = self.records_delivered = 0  # of this process, since it began

    def put(self, item: Item, *, beyond_limit: bool = False, sync: bool = False) -> None:
        """Keep a record; with ``sync`` on the disk itself, unless the policy is ``never``.

        Raises SpoolFull, or OSError when the disk does not take it; then it was not kept.
        """
        record = frame(item)
        with self._lock:
            if not beyond_limit and self._bytes + self._others_bytes + len(record) > self._max_bytes:
                raise SpoolFull(
                    f"the spool {self.folder} holds {self._bytes + self._others_bytes} bytes, its limit is "
                    f"{self._max_bytes}: see that the receiver answers, or raise OTEL_AUDIT_SPOOL_MAX_MIB"
                )
            if not self._segments or self._segments[-1].size >= self._segment_bytes:
                self._segments.append(Segment.create(self.folder))
                self._bytes += self._segments[-1].size
            segment = self._segments[-1]
            segment.append(record)
            if self._fsync is Fsync.ALWAYS or (sync and self._fsync is not Fsync.NEVER):
                segment.sync()
            self._unsynced = True
            self._bytes += len(record)
            self.records_put += 1

    @property
    def depth(self) -> int:
        """Records of this process that wait."""
        return self.records_put - self.records_delivered

    def take(self, max_records: int, max_bytes: int) -> Batch | None:
        """The oldest records that wait, this process's first. Raises SpoolDamaged (then call ``set_aside``)."""
        segment = self._current()
        if segment is None:
            return None
        with self._lock:
            size = segment.size
        items, end = segment.read(size, max_records, max_bytes)
        return Batch(segment, items, end)

    def _current(self) -> Segment | None:
        with self._lock:
            for segment in self._segments:
                if not segment.is_drained:
                    return segment
        return self._adopted

    def delivered(self, batch: Batch) -> None:
        """The receiver has these: forget them."""
        segment = batch.segment
        if segment is self._adopted:
            segment.mark_delivered(batch.end, len(batch.items))
            if segment.is_drained:
                segment.remove()
                self._adopted = None
            return
        with self._lock:
            segment.mark_delivered(batch.end, len(batch.items))
            self.records_delivered += len(batch.items)
            if not segment.is_drained:
                return
            self._bytes -= segment.size
            if segment is self._segments[-1]:
                segment.empty()
                self._bytes += segment.size
            else:
                self._segments.remove(segment)
                segment.remove()

    def set_aside(self) -> int:
        """Put away the segment that ``take`` could not read on; gives the number of bytes that are lost with it."""
        segment = self._current()
        if segment is None:
            return 0
        lost = segment.size - segment.delivered
        if segment is self._adopted:
            self._adopted = None
        else:
            with self._lock:
                self._segments.remove(segment)
                self._bytes -= segment.size
                self.records_delivered += segment.records
        segment.set_aside()
        return lost

    def adopt(self) -> bool:
        """Take over a segment whose process is gone, if there is one; True when one is in hand.

        Also counts what the other files hold.
        """
        with self._lock:
            ours = {segment.path for segment in self._segments}
        others = 0
        for path in sorted(self.folder.iterdir()):
            if path in ours or path.suffix not in (SUFFIX, REJECTED_SUFFIX):
                continue
            with contextlib.suppress(FileNotFoundError):  # its process, or another that adopted it, was faster
                others += path.stat().st_size
            if self._adopted is None and path.suffix == SUFFIX:
                self._adopted = Segment.adopt(path)
                if self._adopted is not None and self._adopted.is_drained:
                    self._adopted.remove()
                    self._adopted = None
        self._others_bytes = others
        return self._adopted is not None

    def reject(self, item: Item) -> None:
        """Keep a record that the receiver will never take, where nobody sends it again.

        Renaming the file to ``*.spool``, once its process has ended, has its records sent once more.
        """
        if self._rejected is None or self._rejected.size >= self._segment_bytes:
            if self._rejected is not None:
                self._rejected.close()
            self._rejected = Segment.create(self.folder)
            self._rejected.rename(REJECTED_SUFFIX)
        self._rejected.append(frame(item))

    def sync(self) -> None:
        """Have what waits reach the disk itself, if the policy is ``interval``."""
        with self._lock:
            if self._fsync is not Fsync.INTERVAL or not self._unsynced or not self._segments:
                return
            segment = self._segments[-1]
            self._unsynced = False
        segment.sync()  # the delivering thread alone removes segments, so this one stays open

    def close(self) -> None:
        """Let go of every file; the empty ones are deleted."""
        with self._lock:
            for segment in self._segments:
                segment.remove() if segment.is_drained else segment.close()
            self._segments.clear()
            self._bytes = 0
        for held in (self._adopted, self._rejected):
            if held is not None:
                held.close()
        self._adopted = self._rejected = None

    def forget_after_fork(self) -> None:
        """In a forked child: the segments are the parent's. Closing our copies leaves its locks alone."""
        self._lock = threading.Lock()
        for segment in (*self._segments, self._adopted, self._rejected):
            if segment is not None:
                segment.close()
        self._segments = deque()
        self._adopted = self._rejected = None
        self._bytes = 0
        self._unsynced = False
        self.records_put = self.records_delivered = 0
