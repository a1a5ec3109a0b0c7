"""How long a reviewer was active: the time between signs of life, without the pauses and without the silences."""

from __future__ import annotations

import threading

_NANO = 1_000_000_000


class ActiveTime:
    """Active time of one review. Every moment is given, in nanoseconds since 1970; nothing here reads a clock.

    Each call but ``pause`` is a sign of life. Time from one to the next is active, unless the review was paused in
    it or it is longer than ``idle_after_seconds``: then the reviewer has been idle since the last sign. Safe to
    call from any thread, as heartbeats come from where they come. A clock that steps back adds nothing.
    """

    def __init__(self, idle_after_seconds: float | None = None) -> None:
        self._idle_after = None if idle_after_seconds is None else idle_after_seconds * _NANO
        self._lock = threading.Lock()  # guards the following
        self._last: int | None = None  # the latest sign of life; None before the start
        self._is_paused = False
        self._active = 0  # nanoseconds

    def start(self, now: int) -> None:
        """The review was opened."""
        with self._lock:
            self._last, self._is_paused, self._active = now, False, 0

    def beat(self, now: int) -> int:
        """The reviewer does something. Gives the active time so far, in nanoseconds. A pause goes on."""
        with self._lock:
            self._count(now)
            return self._active

    def pause(self, now: int) -> None:
        """The reviewer turns to something else. Pausing twice is pausing once."""
        with self._lock:
            self._count(now)
            self._is_paused = True

    def resume(self, now: int) -> None:
        """The reviewer is back."""
        with self._lock:
            self._count(now)
            self._is_paused = False

    def _count(self, now: int) -> None:
        if self._last is None:
            self._last = now
        gap = now - self._last
        if gap <= 0:
            return
        if not self._is_paused and (self._idle_after is None or gap <= self._idle_after):
            self._active += gap
        self._last = now
