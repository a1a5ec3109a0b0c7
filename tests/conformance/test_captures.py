"""Every captured request is kept complete."""

from __future__ import annotations

import pytest

from otel_audit.ledger.encoding import encode_event
from otel_audit.model import AuditEvent
from tests.conformance.captures import CAPTURES, decode, events, folders, requests
from tests.conformance.rebuild import rebuilt, sent

ALL = [(folder, name) for folder in folders() for name, _, _ in requests(folder)]


def _request(folder: str, name: str) -> tuple[str, bytes]:
    return "logs" if ".logs." in name else "traces", (CAPTURES / folder / name).read_bytes()


@pytest.mark.parametrize(("folder", "name"), ALL)
def test_capture_can_be_rebuilt_from_its_events(folder: str, name: str) -> None:
    """Each span and log record of a capture is rebuilt, byte for byte, from the columns and content of one event."""
    kind, body = _request(folder, name)
    decoded = decode(kind, body)
    records = [event for event in decoded.events if "derived" not in event.columns.get("remarks", ())]
    assert [rebuilt(event) for event in records] == sent(body, kind)
    assert not decoded.losses
    assert not any("raw" in event.content for event in decoded.events)  # rebuilt from columns, not from a copy


@pytest.mark.parametrize("folder", folders())
def test_events_of_a_capture_fit_the_ledger(folder: str) -> None:
    """Each event of a capture encodes as an entry, with an id that no other event of the folder has."""
    found = list(events(folder))
    for event in found:
        encode_event(event, dict.fromkeys(event.content, bytes(32)))
    ids = [event.columns["event_id"] for event in found]
    assert len(set(ids)) == len(ids)


def _texts(event: AuditEvent) -> str:
    return repr(event.columns)


@pytest.mark.parametrize("folder", folders())
def test_prompts_and_answers_are_not_in_the_columns(folder: str) -> None:
    """Nothing of the captures' prompts, answers or made-up persons is in what the ledger holds."""
    for event in events(folder):
        columns = _texts(event)
        for words in ("Jane Roe", "jane.roe@", "John Doe", "loan underwriting assistant", "Debt-to-income"):
            assert words not in columns, (words, event.columns["name"])


def test_nothing_longer_than_the_limit_is_in_a_map() -> None:
    """No value of an attribute map, and no key, is longer than 256 bytes."""
    for folder in folders():
        for event in events(folder):
            for column in ("attributes", "attributes_json", "resource_attributes", "resource_attributes_json"):
                for key, value in event.columns[column]:
                    assert len(key.encode()) <= 256
                    assert len(value.encode()) <= 256
