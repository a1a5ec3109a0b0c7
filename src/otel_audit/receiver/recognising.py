"""What a group of submissions brings: new events, retries of stored ones, and what other records tell already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from otel_audit.errors import AuditError, LedgerConflict, RecordConflict
from otel_audit.receiver.duplicates import CAPACITY, Call, Duplicates, call_of
from otel_audit.receiver.exclusive import conflicts
from otel_audit.receiver.known_ids import KnownIds
from otel_audit.receiver.prepare import (
    PreparedEvent,
    is_same_event,
    is_same_record,
    with_duplicate,
    with_remark,
)
from otel_audit.store.writer import KnownEvent, LedgerWriter

DEDUPLICATION_WINDOW: Final = 5_000_000  # event ids remembered exactly enough to recognise a retry
_CALLS_WINDOW: Final = 1_000_000  # entries at the end of the ledger that are looked through for AI calls at start
_ID_LOOKUP_SIZE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an event lies: a retry of a stored event gets the receipt of the stored one."""

    origin: str
    seq: int


@dataclass(slots=True)
class Submission:
    """Events that were handed over together. ``seqs`` are their places in the ledger, -1 where there is none yet."""

    events: list[PreparedEvent]
    size: int
    done: Future[list[Receipt]] = field(default_factory=Future)
    seqs: list[int] = field(default_factory=list)
    exclusive: bool = False  # a known event id with another payload refuses the whole submission


@dataclass(slots=True)
class Group:
    """What goes into the store at once."""

    submissions: list[Submission]
    # retention class -> new events; dict order is the order of the runs
    fresh: dict[str, list[tuple[PreparedEvent, list[tuple[Submission, int]]]]] = field(default_factory=dict)
    # The AI calls among them, each with the first of its event's places.
    calls: list[tuple[tuple[Submission, int], Call]] = field(default_factory=list)


class Recogniser:
    """Knows which events are stored already. Owned by the sequencer's thread.

    ``refuse`` is told of each submission that gets no place, and why.
    """

    def __init__(self, writer: LedgerWriter, refuse: Callable[[Submission, AuditError], None]) -> None:
        self._writer = writer
        self._refuse = refuse
        self._known = KnownIds(DEDUPLICATION_WINDOW)
        self._duplicates = Duplicates()

    def start(self, size: int) -> None:
        """Read what the newest of the ledger's ``size`` entries were."""
        for event_ids in self._writer.recent_event_ids(max(0, size - DEDUPLICATION_WINDOW)):
            self._known.add(event_ids)
        recent = self._writer.recent_calls(max(0, size - _CALLS_WINDOW), CAPACITY)
        self._duplicates.remember(call for columns in recent if (call := call_of(columns)) is not None)

    def sort(self, group: Group) -> None:
        """Find the events of the group that are new, and give those that are stored already their places."""
        self._recognise(group)
        self._link(group)

    def expect(self, event_ids: Sequence[bytes]) -> None:
        """From here on these events may be in the store, whatever happens to their insert."""
        self._known.add(event_ids)

    def remember(self, group: Group, size: int) -> None:
        """Keep the group's AI calls in mind, as far as they are among the ``size`` entries in the store.

        Later ones may tell them again.
        """
        self._duplicates.remember(
            call for (submission, index), call in group.calls if 0 <= submission.seqs[index] < size
        )

    def _recognise(self, group: Group) -> None:
        """Tell new events from retries of stored ones, and from others under a known id (conflicts)."""
        flat = [(s, i, event) for s in group.submissions for i, event in enumerate(s.events)]
        maybe = self._known.maybe_known([event.event_id.encode() for _, _, event in flat])
        suspects = sorted({event.event_id for (_, _, event), known in zip(flat, maybe, strict=True) if known})
        stored: dict[str, list[KnownEvent]] = {}
        for first in range(0, len(suspects), _ID_LOOKUP_SIZE):
            for known in self._writer.known_events(suspects[first : first + _ID_LOOKUP_SIZE]):
                stored.setdefault(known.event_id, []).append(known)
        openings = (
            self._writer.openings([known.seq for events in stored.values() for known in events]) if stored else {}
        )
        refused = conflicts([(each.exclusive, each.events) for each in group.submissions], stored, openings)
        for place in sorted(refused, reverse=True):
            submission = group.submissions.pop(place)  # not in the group any more: nothing of it gets a place
            self._refuse(submission, RecordConflict(f"{refused[place]} is known with another payload"))
        if refused:
            flat = [(s, i, event) for s in group.submissions for i, event in enumerate(s.events)]
        in_group: dict[str, list[tuple[PreparedEvent, list[tuple[Submission, int]]]]] = {}
        for submission, index, event in flat:
            if not event.event_id:
                raise LedgerConflict("an event without event_id reached the sequencer: a defect of the receiver")
            known_here = stored.get(event.event_id, ())
            same = next((k for k in known_here if is_same_record(event, k, openings)), None)
            if same is not None:
                submission.seqs[index] = same.seq
                continue
            twins = in_group.setdefault(event.event_id, [])
            twin = next((places for other, places in twins if is_same_event(other, event)), None)
            if twin is not None:
                twin.append((submission, index))
                continue
            fresh = event
            if known_here:
                fresh = with_remark(event, f"id_conflict:{known_here[0].seq}")
            elif twins:
                fresh = with_remark(event, "id_conflict")
            places = [(submission, index)]
            twins.append((event, places))
            group.fresh.setdefault(fresh.retention_class, []).append((fresh, places))

    def _link(self, group: Group) -> None:
        """Mark the AI calls that are told already, or that another of the group tells better."""
        runs = group.fresh.values()
        calls = iter(self._duplicates.link(event.event for events in runs for event, _ in events))
        for events in runs:
            for index, (event, places) in enumerate(events):
                call = next(calls)
                if call is None:
                    continue
                group.calls.append((places[0], call))
                if call.duplicate_of:
                    events[index] = (with_duplicate(event, call.duplicate_of), places)
