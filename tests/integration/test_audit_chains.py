"""Producer chains over ``POST /v1/audit``: a break is an event, across requests and kill -9; no record is refused."""

from __future__ import annotations

import uuid

import pytest

from tests.integration.running import exported, running
from tests.integration.test_audit_signal import attribute, batch, call, record


class Producer:
    """One stream, as a producer numbers it."""

    def __init__(self, stream):
        self.stream, self.number, self.previous = stream, 0, None

    def next(self, step=1, **changes):
        self.number += step
        sent = record() | {key: changes.pop(key) for key in ("body",) if key in changes}
        said = {"stream_id": self.stream, "previous_record_id": self.previous and self.previous["record_id"]}
        said["previous_hash"] = self.previous and self.previous["received_hash"]
        sent["attributes"] += [
            attribute(f"audit.sequence.{key}", text) for key, text in (said | changes).items() if text
        ]
        sent["attributes"].append({"key": "audit.sequence.number", "value": {"intValue": str(self.number)}})
        return sent

    def take(self, receipt):
        self.previous = receipt
        return receipt


def send(served, sent):
    status, receipt = call(served, sent)
    assert status == 200, receipt
    return receipt


def breaks(served):
    """(stream, reason, count) of each break, in order."""
    rows = [row for row in exported(served.data) if row["name"].startswith("producer chain broken: ")]
    return [
        (
            dict(row["attributes"]).get("audit.sequence.stream_id"),
            row["name"].removeprefix("producer chain broken: "),
            int(dict(row["attributes_json"])["audit.loss.count"]),
        )
        for row in rows
    ]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def test_every_kind_of_break_is_an_event_and_survives_kill(data):
    """Gap, repeated number, wrong hash, wrong record, after the end: told once each, also after a killed run."""
    whole, other, altered = Producer("whole"), Producer("other"), Producer("altered")
    with running(data, "--no-dashboard") as up:
        altered.take(send(up, altered.next()))
        for _ in range(2):
            whole.take(send(up, whole.next()))
        first = other.next()
        other.take(send(up, first))
        send(up, first)  # a retry is no break
        forked = Producer("other")
        send(up, forked.next())
        up.kill()
    with running(data, "--no-dashboard") as up:
        whole.take(send(up, whole.next()))  # follows what the run before stored
        send(up, altered.next(previous_hash="00" * 32))  # does not, though the run that stored it is gone
        send(up, first)
        masked = other.next(body={"stringValue": "to jane.doe@example.com"})
        other.take(send(up, masked))
        other.take(send(up, other.next(step=3)))
        other.take(send(up, other.next(previous_hash="00" * 32)))
        other.take(send(up, other.next(previous_record_id=str(uuid.uuid4()))))
        assert call(up, batch(whole.next(), other.next()))[0] == 200
        up.kill()
    with running(data, "--no-dashboard") as up:
        last = Producer("ending")
        sent = last.next()
        sent["attributes"].append({"key": "audit.sequence.end", "value": {"boolValue": True}})
        last.take(send(up, sent))
        up.kill()
    with running(data, "--no-dashboard") as up:
        send(up, last.next())
        assert breaks(up) == [
            ("other", "its number is that of another record", 1),
            ("altered", "its previous_hash is not that of the record before it", 1),
            ("other", "records before it are missing", 2),
            ("other", "its previous_hash is not that of the record before it", 1),
            ("other", "it names another record before it", 1),
            ("ending", "a record after the stream's end", 1),
        ]


def test_a_masked_record_breaks_no_chain_after_a_restart(data):
    """The hash of what was sent is not stored; the record after a masked one still follows it when we come back."""
    producer = Producer("masked")
    with running(data, "--no-dashboard") as up:
        producer.take(send(up, producer.next(body={"stringValue": "to jane.doe@example.com"})))
        producer.take(send(up, producer.next(body={"stringValue": "to jane.doe@example.com"})))
        up.kill()
    with running(data, "--no-dashboard") as up:
        send(up, producer.next())
        assert breaks(up) == []
