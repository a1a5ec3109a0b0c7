"""Losses become few, exact entries."""

from __future__ import annotations

from otel_audit.receiver.losses import Losses


def counts(events):
    return [(event.columns["name"], dict(event.columns["attributes_json"])["audit.loss.count"]) for event in events]


def test_a_reason_is_recorded_at_once_and_then_every_five_minutes():
    """A flood of refusals makes one entry now and one per five minutes, with the exact count."""
    now = [1000.0]
    losses = Losses(clock=lambda: 5, monotonic=lambda: now[0])
    losses.add("metrics", 3)
    assert counts(losses.take_events()) == [("metrics", "3")]
    losses.add("metrics", 2)
    losses.add("metrics")
    assert losses.take_events() == []
    now[0] += 300
    assert counts(losses.take_events()) == [("metrics", "3")]
    assert losses.totals == {"metrics": 6}


def test_what_the_store_did_not_take_is_counted_again():
    """Nothing is forgotten when the loss event itself could not be stored."""
    losses = Losses(clock=lambda: 5, monotonic=lambda: 0.0)
    losses.add("rejected", 4)
    losses.put_back(losses.take_events())
    losses.add("rejected")
    assert counts(losses.take_events(everything=True)) == [("rejected", "5")]
