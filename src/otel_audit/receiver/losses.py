"""Losses that the receiver knows of, recorded in the ledger without flooding it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Final

from otel_audit.model import AuditEvent, EventType, RecordKind
from otel_audit.semconv import AUDIT_LOSS_COUNT, AUDIT_LOSS_REASON

_REPEAT_SECONDS: Final = 300.0


class Losses:
    """Counts what was refused, by reason; each reason becomes a ``loss`` event at once, then every five minutes.

    Safe to use from any thread. ``clock`` gives nanoseconds since 1970.
    """

    def __init__(
        self, clock: Callable[[], int] = time.time_ns, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        # Guarded by _lock: what is not in the ledger yet, and when each reason was last recorded.
        self._lock = threading.Lock()
        self._unrecorded: dict[str, int] = {}
        self._recorded_at: dict[str, float] = {}
        self.totals: dict[str, int] = {}

    def add(self, reason: str, count: int = 1) -> None:
        """Count ``count`` lost records (or refused requests, as the reason says)."""
        with self._lock:
            self._unrecorded[reason] = self._unrecorded.get(reason, 0) + count
            self.totals[reason] = self.totals.get(reason, 0) + count

    def take_events(self, *, everything: bool = False) -> list[AuditEvent]:
        """The ``loss`` events that are due; with ``everything``, all that is not in the ledger yet."""
        now = self._monotonic()
        with self._lock:
            due = [
                reason
                for reason in self._unrecorded
                if everything or now - self._recorded_at.get(reason, -_REPEAT_SECONDS) >= _REPEAT_SECONDS
            ]
            taken = {reason: self._unrecorded.pop(reason) for reason in due}
            self._recorded_at.update(dict.fromkeys(due, now))
        return [self._event(reason, count) for reason, count in taken.items()]

    def put_back(self, events: list[AuditEvent]) -> None:
        """The store did not take these: count them as not recorded again."""
        with self._lock:
            for event in events:
                reason = dict(event.columns["attributes"])[AUDIT_LOSS_REASON]
                count = int(dict(event.columns["attributes_json"])[AUDIT_LOSS_COUNT])
                self._unrecorded[reason] = self._unrecorded.get(reason, 0) + count
                self._recorded_at.pop(reason, None)

    def _event(self, reason: str, count: int) -> AuditEvent:
        return internal_event(
            EventType.LOSS,
            self._clock(),
            name=reason,
            attributes=[(AUDIT_LOSS_REASON, reason)],
            attributes_json=[(AUDIT_LOSS_COUNT, str(count))],
        )


def internal_event(
    event_type: EventType,
    unix_nano: int,
    *,
    name: str,
    attributes: list[tuple[str, str]] | None = None,
    attributes_json: list[tuple[str, str]] | None = None,
) -> AuditEvent:
    """An event of the trail itself, by the receiver."""
    return AuditEvent(
        {
            "event_type": event_type,
            "event_id": f"internal:{uuid.uuid4().hex}",
            "record_kind": RecordKind.INTERNAL,
            "event_time": unix_nano,
            "end_time": unix_nano,
            "actor_id": "otel-audit",
            "actor_type": "system",
            "service": "otel-audit",
            "name": name,
            "attributes": attributes or [],
            "attributes_json": attributes_json or [],
        }
    )
