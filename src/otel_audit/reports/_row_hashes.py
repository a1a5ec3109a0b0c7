"""The rows of a ledger with their hashes, computed tile by tile, in as many processes as were asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from multiprocessing import Pipe
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Self

from otel_audit.errors import VerificationError
from otel_audit.ledger.blocks import HashedTile, RowBlock
from otel_audit.ledger.hashing import hash_tiles
from otel_audit.ledger.tiles import TILE_WIDTH
from otel_audit.store.evidence import EvidenceReader

_WORKER: Final = Path(__file__).with_name("_hash_worker.py")
_ROWS_AT_ONCE: Final = 256 * TILE_WIDTH  # of one query: its hashes take 2 MB, and the query's fixed cost is small

_Tiles = list[HashedTile | RowBlock] | None
_Hashed = tuple[range, _Tiles]


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class RowHashes:
    """Hashes what ``reader`` reads: here, or with ``jobs`` > 1 in that many processes.

    With ``is_fast`` the engine computes the hashes, and what is left is checked in the same way.
    """

    def __init__(self, reader: EvidenceReader, jobs: int, *, is_fast: bool) -> None:
        self._reader = reader
        self._jobs = jobs
        self._is_fast = is_fast

    def blocks(self, origin: str, start: int, end: int) -> Generator[HashedTile | RowBlock, None, None]:
        """Yield the tiles with rows in [start, end), in order; ``start`` begins a tile.

        Where anything is wrong with a row of a part of the ledger, all rows of the part are given as they are stored.
        Raises StoreError when the store does not answer, VerificationError when a process that hashes ends.
        """
        with closing(self._parts(origin, start, end)) as parts:
            if self._jobs > 1 and end - start > _ROWS_AT_ONCE:
                hashed = self._in_processes(origin, parts)
            else:
                hashed = self._here(origin, parts)
            with closing(hashed):
                for part, tiles in hashed:
                    if tiles is None:
                        yield from self._reader.rows(origin, part.start, part.stop)
                    else:
                        yield from tiles

    def _parts(self, origin: str, start: int, end: int) -> Generator[range, None, None]:
        """Cut [start, end) into parts that have rows: somebody may have given a row the largest seq there is."""
        with closing(self._reader.parts(origin, start, end, _ROWS_AT_ONCE)) as numbers:
            for number in numbers:
                first = number * _ROWS_AT_ONCE
                yield range(max(start, first), min(end, first + _ROWS_AT_ONCE))

    def _here(self, origin: str, parts: Iterable[range]) -> Generator[_Hashed, None, None]:
        for part in parts:
            with closing(self._bytes(origin, part)) as data:
                yield part, hash_tiles(origin, part.start, part.stop, data, is_fast=self._is_fast)

    def _in_processes(self, origin: str, parts: Iterable[range]) -> Generator[_Hashed, None, None]:
        idle: SimpleQueue[_Worker] = SimpleQueue()  # as many as threads: none ever waits

        def take(part: range) -> _Hashed:
            worker = idle.get()
            try:
                with closing(self._bytes(origin, part)) as data:
                    return part, worker.hash(origin, part, data, is_fast=self._is_fast)
            finally:
                idle.put(worker)

        pending: deque[Future[_Hashed]] = deque()
        with ExitStack() as stack:
            threads = stack.enter_context(ThreadPoolExecutor(self._jobs, "verify"))
            stack.callback(lambda: [each.cancel() for each in pending])
            for _ in range(self._jobs):  # They end before the threads, which may wait for them.
                idle.put(stack.enter_context(_Worker()))
            for part in parts:
                pending.append(threads.submit(take, part))
                if len(pending) > 2 * self._jobs:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _bytes(self, origin: str, part: range) -> Generator[bytes, None, None]:
        return self._reader.row_bytes(origin, part.start, part.stop, is_fast=self._is_fast)


class _Worker:
    """A process that hashes. It gets no signal of the terminal, and ends when this end of its pipe is closed."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_WORKER), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )

    def hash(self, origin: str, part: range, data: Iterator[bytes], *, is_fast: bool) -> _Tiles:
        """Return what ``hash_tiles`` gives."""
        try:
            self._connection.send((origin, part.start, part.stop, is_fast))
            for each in data:
                self._connection.send_bytes(each)
            self._connection.send_bytes(b"")
            tiles: _Tiles = self._connection.recv()
        except (OSError, EOFError) as exc:
            self._process.kill()
            raise VerificationError(
                f"a process that hashes for this verification ended (code {self._process.wait()}), so that nothing was "
                "concluded. Verify again; with --jobs 1 there are no such processes"
            ) from exc
        return tiles

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # it has nothing to finish
        self._process.wait()
        self._connection.close()
