"""Each checkpoint to each witness, off the writer's thread: witnesses may be slow, away or wrong."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Final

from otel_audit.anchors.witness import (
    WitnessAddress,
    WitnessAnchor,
    WitnessContradicts,
    WitnessRefused,
    WitnessUnavailable,
)
from otel_audit.errors import AuditError
from otel_audit.model import Checkpoint

_LOG: Final = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS: Final = 1.0
_LAST_RETRY_SECONDS: Final = 300.0

Prove = Callable[[int, int], Sequence[bytes]]


class Witnessing:
    """Hands the newest checkpoint to every witness, each on a thread of its own.

    ``publish`` returns at once: a checkpoint that a newer one overtakes is left out, for a cosignature of the newer
    one covers it. What failed is tried again after 1 s, then twice as long each time, up to 5 minutes.
    ``prove`` gives consistency proofs of this ledger; it may be called from any of these threads.
    """

    def __init__(
        self,
        folder: Path,
        addresses: Sequence[WitnessAddress],
        prove: Prove,
        *,
        clock: Callable[[], int] = time.time_ns,
        first_retry_seconds: float = _FIRST_RETRY_SECONDS,
    ) -> None:
        self._first_retry = first_retry_seconds
        # Guards _newest and _is_stopping; the threads wait on it.
        self._changed = threading.Condition()
        self._newest: tuple[str, Checkpoint] | None = None
        self._is_stopping = False
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(WitnessAnchor(folder, address, prove, clock),),
                name=f"witness-{address.key.name}",
                daemon=True,
            )
            for address in addresses
        ]
        for thread in self._threads:
            thread.start()

    def publish(self, note: str, checkpoint: Checkpoint) -> None:
        """Have a checkpoint cosigned soon."""
        with self._changed:
            self._newest = note, checkpoint
            self._changed.notify_all()

    def close(self) -> None:
        """Have the last checkpoint cosigned by each witness that is not in trouble, trying once, and stop.

        What was not cosigned then is after the next start.
        """
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self, anchor: WitnessAnchor) -> None:
        done: Checkpoint | None = None
        told = ""  # the trouble that the log knows of
        delay = self._first_retry
        while (newest := self._next(done)) is not None:
            is_last = self._is_stopping
            if is_last and told:
                return
            try:
                anchor.publish(*newest)
            except (WitnessContradicts, WitnessRefused, WitnessUnavailable) as exc:
                if type(exc).__name__ != told:
                    told = type(exc).__name__
                    level = logging.ERROR if isinstance(exc, WitnessContradicts) else logging.WARNING
                    _LOG.log(level, "%s; trying again", exc)
                if is_last:
                    return
                self._pause(delay)
                delay = min(delay * 2, _LAST_RETRY_SECONDS)
            except (AuditError, OSError, CancelledError) as exc:  # our own store or disk, or the writer has stopped
                _LOG.warning("no cosignature of %s: %s", anchor.address.key.name, exc)
                if is_last:
                    return
                self._pause(delay)
                delay = min(delay * 2, _LAST_RETRY_SECONDS)
            else:
                if told:
                    _LOG.warning("witness %s cosigns again", anchor.address.key.name)
                done, told, delay = newest[1], "", self._first_retry

    def _next(self, done: Checkpoint | None) -> tuple[str, Checkpoint] | None:
        """Wait for a checkpoint that is not ``done`` yet; None when it is time to stop and there is none."""
        with self._changed:
            while True:
                if self._newest is not None and self._newest[1] != done:
                    return self._newest
                if self._is_stopping:
                    return None
                self._changed.wait()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, seconds)
