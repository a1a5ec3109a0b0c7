"""Submissions that are stored whole or not at all: which of a group would put another payload under a known id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otel_audit.receiver.prepare import PreparedEvent, is_same_event, is_same_record
from otel_audit.store.writer import KnownEvent


def conflicts(
    submissions: Sequence[tuple[bool, Sequence[PreparedEvent]]],
    stored: Mapping[str, Sequence[KnownEvent]],
    openings: dict[tuple[int, str, bytes], bytes],
) -> dict[int, str]:
    """The event id in conflict of each exclusive submission that has one, by its place in ``submissions``.

    ``submissions`` are (exclusive, events) in order: of two that contradict each other the first stands. ``stored``
    and ``openings`` are the entries known under their ids, as ``LedgerWriter`` gives them.
    """
    found: dict[int, str] = {}
    accepted: dict[str, list[PreparedEvent]] = {}
    for place, (exclusive, events) in enumerate(submissions):
        own: dict[str, list[PreparedEvent]] = {}
        for event in events:
            twins = own.setdefault(event.event_id, [])
            if exclusive and _contradicts(event, [*accepted.get(event.event_id, ()), *twins], stored, openings):
                found[place] = event.event_id
                break
            twins.append(event)
        else:
            for event_id, twins in own.items():
                accepted.setdefault(event_id, []).extend(twins)
    return found


def _contradicts(
    event: PreparedEvent,
    twins: Sequence[PreparedEvent],
    stored: Mapping[str, Sequence[KnownEvent]],
    openings: dict[tuple[int, str, bytes], bytes],
) -> bool:
    if known := stored.get(event.event_id):
        return not any(is_same_record(event, each, openings) for each in known)
    return bool(twins) and not any(is_same_event(each, event) for each in twins)
