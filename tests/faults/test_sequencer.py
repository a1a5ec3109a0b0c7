"""The single writer under faults: each durable step fails in both ways, and the ledger stays whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.errors import LedgerConflict, StoreUnavailable
from otel_audit.ledger.checkpoint import open_checkpoint
from otel_audit.ledger.encoding import HASH_SIZE, encode_entry, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.note import Signer
from otel_audit.model import AuditEvent
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.prepare import prepare
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.testing import FixedClock, MemoryLedger

ORIGIN = "example.com/test"
SIGNER = Signer.generate(ORIGIN)


def event(number: int, retention_class: str = "standard", text: str = "") -> AuditEvent:
    content = {"input": text} if text else {}
    return AuditEvent(
        {"event_type": "span", "event_id": f"span:{number}", "name": f"n{number}", "retention_class": retention_class},
        content,
    )


class Ledger:
    """A sequencer over a memory ledger, and an oracle that walks the chain from the blocks alone."""

    def __init__(self, fault=lambda _step, _number: None, memory: MemoryLedger | None = None, anchors=(), **options):
        self.memory = memory or MemoryLedger(ORIGIN, fault)
        self.memory.fault = fault
        self.memory.split = self.walk
        self.stopped: list[LedgerConflict] = []
        checkpointer = Checkpointer(self.memory, SIGNER, list(anchors), interval_seconds=0.001)
        self.sequencer = Sequencer(self.memory, checkpointer, on_stop=self.stopped.append, **options)

    def walk(self, block: bytes) -> list[bytes]:
        """Cut a block into rows by following the chain: only sound rows can be cut."""
        hashes, start = [], 0
        prev = self.memory.hashes[-1] if self.memory.hashes else genesis_hash(ORIGIN)
        head = len(origin_prefix(ORIGIN)) + 8
        while start < len(block):
            assert block[start + head : start + head + HASH_SIZE] == prev, "the row does not link to the one before"
            end = start + head + HASH_SIZE + 8
            while leaf_hash(block[start:end]) != block[end : end + HASH_SIZE]:
                end += 1
                assert end <= len(block), "no row ends with the hash of its encoding"
            prev = block[end : end + HASH_SIZE]
            hashes.append(prev)
            start = end + HASH_SIZE
        return hashes

    def check(self) -> None:
        newest = self.memory.newest_checkpoint()
        if newest is not None:
            checkpoint = open_checkpoint(newest, [SIGNER.verifier_key], ORIGIN)
            assert checkpoint.root_hash == tree_root(self.memory.hashes[: checkpoint.size])


def test_an_acknowledged_event_is_in_the_store_and_sealed():
    """What submit's future promised is in the chain, and the last checkpoint covers it."""
    ledger = Ledger()
    ledger.sequencer.start()
    receipts = ledger.sequencer.submit([event(number, text="hello") for number in range(600)]).result(10)
    ledger.sequencer.close()
    assert [receipt.seq for receipt in receipts] == list(range(600))
    assert len(ledger.memory.hashes) == 600
    assert open_checkpoint(ledger.memory.notes[-1], [SIGNER.verifier_key], ORIGIN).size == 600
    assert set(ledger.memory.tiles) == {(0, 0), (0, 1)}
    ledger.check()


@pytest.mark.parametrize("step", ["append_content", "append_entries", "append_tiles", "append_checkpoint"])
@pytest.mark.parametrize("way", ["not persisted", "persisted but errored"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_fault_at_a_durable_step_loses_nothing_that_was_acknowledged(step, way, at):
    """Whatever fails, in either way: acknowledged events are in the chain, and the chain goes on."""
    ledger = Ledger(lambda name, number: way if (name, number) == (step, at) else None)
    ledger.sequencer.start()
    acknowledged = []
    for first in range(0, 900, 300):
        events = [event(number, text="t") for number in range(first, first + 300)]
        try:
            acknowledged += ledger.sequencer.submit(events).result(10)
        except StoreUnavailable:
            continue
    ledger.sequencer.close()
    assert not ledger.stopped
    assert len(acknowledged) >= 600 if step.startswith("append_c") or step == "append_entries" else 900
    assert all(receipt.seq < len(ledger.memory.hashes) for receipt in acknowledged)
    ledger.check()


def test_a_crash_between_two_runs_loses_only_an_unacknowledged_suffix():
    """Two retention classes are two inserts; when the second fails, the first stays and nothing has a hole."""
    ledger = Ledger(lambda name, number: "not persisted" if (name, number) == ("append_entries", 1) else None)
    ledger.sequencer.start()
    with pytest.raises(StoreUnavailable):
        ledger.sequencer.submit([event(1, "soc2"), event(2, "hipaa"), event(3, "soc2")]).result(10)
    assert len(ledger.memory.hashes) == 2
    receipts = ledger.sequencer.submit([event(4)]).result(10)
    ledger.sequencer.close()
    assert receipts[0].seq == 2
    ledger.check()


def test_a_store_that_lost_entries_stops_the_writer():
    """When the store has less than was committed, nothing is written on top of it."""
    ledger = Ledger(lambda name, number: "not persisted" if (name, number) == ("append_entries", 1) else None)
    ledger.sequencer.start()
    ledger.sequencer.submit([event(1), event(2)]).result(10)
    del ledger.memory.hashes[-1]
    with pytest.raises(StoreUnavailable):
        ledger.sequencer.submit([event(3)]).result(10)
    ledger.sequencer.close()
    assert len(ledger.stopped) == 1
    with pytest.raises(StoreUnavailable, match="stopped"):
        ledger.sequencer.submit([event(4)])


def test_the_head_is_asked_again_until_the_store_answers():
    """While the store does not answer after a failed insert, nothing else is inserted; then the ledger goes on."""
    down = {"append_entries": [0], "head": [1, 2]}
    ledger = Ledger(lambda name, number: "not persisted" if number in down.get(name, []) else None)
    ledger.sequencer.start()
    with pytest.raises(StoreUnavailable):
        ledger.sequencer.submit([event(1)]).result(10)
    receipts = ledger.sequencer.submit([event(2)]).result(10)
    ledger.sequencer.close()
    assert receipts[0].seq == 0
    assert ledger.memory.calls["head"] == 4


def test_a_shorter_store_than_the_checkpoint_is_refused_at_start():
    """A ledger whose newest entries are gone is not continued."""
    ledger = Ledger()
    ledger.sequencer.start()
    ledger.sequencer.submit([event(number) for number in range(10)]).result(10)
    ledger.sequencer.close()
    del ledger.memory.hashes[5:]
    with pytest.raises(LedgerConflict, match="entries are missing"):
        Ledger(memory=ledger.memory).sequencer.start()


def test_rewritten_history_is_refused_at_start():
    """A ledger that was re-hashed below its checkpoint is not continued."""
    ledger = Ledger()
    ledger.sequencer.start()
    ledger.sequencer.submit([event(number) for number in range(10)]).result(10)
    ledger.sequencer.close()
    ledger.memory.hashes[3] = bytes(32)
    ledger.memory.hashes.append(bytes(32))
    with pytest.raises(LedgerConflict, match="not what"):
        Ledger(memory=ledger.memory).sequencer.start()


def test_missing_tiles_are_made_up_for_after_a_crash():
    """Tiles that a crash left out are written by the next process."""
    ledger = Ledger(lambda name, _number: "not persisted" if name == "append_tiles" else None)
    ledger.sequencer.start()
    ledger.sequencer.submit([event(number) for number in range(300)]).result(10)
    ledger.sequencer.close()
    assert not ledger.memory.tiles
    again = Ledger(memory=ledger.memory)
    again.sequencer.start()
    again.sequencer.submit([event(1000)]).result(10)
    again.sequencer.close()
    assert set(again.memory.tiles) == {(0, 0)}
    again.check()


def test_too_much_waiting_is_refused_and_not_kept():
    """Beyond the memory bound a submission is refused at once, so that the producer keeps it."""
    ledger = Ledger(max_pending_bytes=1)
    with ledger.sequencer._lock:  # nothing can be taken while we hold it
        pass
    first = ledger.sequencer.submit([event(1)])  # the writer is not started: it waits
    with pytest.raises(StoreUnavailable, match="wait for the store"):
        ledger.sequencer.submit([event(2)])
    ledger.sequencer.start()
    assert first.result(10)[0].seq == 0
    ledger.sequencer.close()


def test_twins_in_one_group_are_one_entry_and_conflicts_are_remarked():
    """The same record twice is stored once; another record under the same id is stored with a remark."""
    ledger = Ledger()
    other = event(1)
    other.columns["name"] = "another"
    futures = [ledger.sequencer.submit([one]) for one in (event(1), event(1), other)]
    ledger.sequencer.start()
    assert [future.result(10)[0].seq for future in futures] == [0, 0, 1]
    ledger.sequencer.close()
    assert b"id_conflict" in ledger.memory.blocks[0]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["standard", "hipaa"]), st.text(max_size=8)), max_size=60)
)
def test_any_events_make_a_sound_chain(rows):
    """Any mix of classes, texts and repeated ids gives contiguous entries that the oracle can walk."""
    ledger = Ledger(clock=FixedClock(1))
    ledger.sequencer.start()
    receipts = ledger.sequencer.submit([event(*row) for row in rows]).result(10)
    ledger.sequencer.close()
    assert {receipt.seq for receipt in receipts} == set(range(len(ledger.memory.hashes)))
    ledger.check()


def test_the_encoding_of_an_entry_is_position_then_event():
    """A row is exactly origin prefix, position and the event's encoding."""
    prepared = prepare(event(1))
    encoding = encode_entry(origin_prefix(ORIGIN), 0, genesis_hash(ORIGIN), 7, prepared.encoded)
    assert encoding.endswith(prepared.encoded)
    assert encoding.startswith(b"\x01\x00" + bytes([len(ORIGIN)]) + ORIGIN.encode())


def test_a_producer_does_not_make_partitions():
    """An unknown retention class is kept as standard, with a remark."""
    prepared = prepare(event(1, "forever"))
    assert prepared.retention_class == "standard"
    assert prepared.event.columns["remarks"] == ("unknown_retention_class",)
