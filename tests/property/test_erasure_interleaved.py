"""Property: whatever is appended and erased, in any order, verifies; what was erased says so, nothing else is gone."""

import json

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from otel_audit.anchors.file import FileAnchor
from otel_audit.ledger.erasure import Erasure, parse_erasure, seq_ranges
from otel_audit.ledger.trust import Trust
from otel_audit.model import AuditEvent
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.service import Receiver, ReceiverSettings
from otel_audit.reports.verification import verify_database

SUBJECTS = ("", "case-a", "case-b", "case-c")
TASKS = ("", "t1", "t2")
APPEND = st.tuples(st.just("append"), st.sampled_from(SUBJECTS), st.sampled_from(TASKS))
ERASE = st.tuples(st.just("erase"), st.sampled_from(("subject", "task")), st.integers(0, 2))


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(APPEND, min_size=3, max_size=6).flatmap(
        lambda first: st.lists(st.one_of(APPEND, APPEND, ERASE), min_size=6, max_size=9).map(lambda then: first + then)
    )
)
def test_any_interleaving_verifies(tmp_path_factory, shared_engine, steps):
    """Every text is there and right, or erased with a valid statement."""
    shared_engine.closed()
    folder = tmp_path_factory.mktemp("erasing") / "data"
    opened = Receiver(ReceiverSettings(folder, capture_policy="full"))
    opened.start(serve=False)
    try:
        ledger = opened.ledger
        expected: dict[int, str] = {}  # texts that must be there
        owners: dict[int, tuple[str, str]] = {}
        erased: set[int] = set()
        for number, (kind, first, second) in enumerate(steps):
            if kind == "append":
                columns = {"event_type": "ai_call", "event_id": f"e{number}", "event_time": 10**18, "end_time": 10**18}
                columns |= {"record_kind": "span", "subject_ref": first, "task_id": second}
                (receipt,) = ledger.sequencer.submit([AuditEvent(columns, {"input": f"text {number}"})]).result()
                expected[receipt.seq], owners[receipt.seq] = f"text {number}", (first, second)
                continue
            who = SUBJECTS[1 + second] if first == "subject" else TASKS[1 + second % 2]
            tasks = {task for subject, task in owners.values() if subject == who and task}
            gone = {
                seq
                for seq, (subject, task) in owners.items()
                if seq in expected
                and ((subject == who or (not subject and task in tasks)) if first == "subject" else task == who)
            }
            request = ErasureRequest("GDPR Art. 17", "dpo_1", "legal_4", **{first: who})
            assert set(ledger.eraser.plan(request).seqs) == gone
            if gone:
                ledger.eraser.erase(request)
                erased |= gone
                expected = {seq: text for seq, text in expected.items() if seq not in gone}
        ledger.sequencer.perform(ledger.checkpointer.seal).result()
        with ledger.database.client() as client:
            assert dict(client.query("SELECT seq, value FROM audit_content").result_rows) == expected
            assert {seq for (seq,) in client.query("SELECT seq FROM audit_sealed").result_rows} == set(expected)
        anchor = FileAnchor(opened.anchor_dir)
        keys = [opened.folder.signer().verifier_key]
        report = verify_database(ledger.database, trust=Trust(tuple(keys)), anchors=anchor.read_all())
        assert report.status == "ok"
        assert {finding.seq for finding in report.findings if finding.code == "ERASED"} == erased
    finally:
        opened.stop()


@given(st.sets(st.integers(0, 200), min_size=1))
def test_ranges_cover_exactly_what_they_were_made_of(seqs):
    """A statement names every erased entry and no other, and reads back as it was written."""
    erasure = Erasure("o", seq_ranges(seqs), "basis", "one", "two", 1, "seqs")
    assert {seq for seq in range(-1, 203) if erasure.covers(seq)} == seqs
    assert erasure.count(10, 150) == len([seq for seq in seqs if 10 <= seq < 150])
    assert parse_erasure(json.loads(json.dumps(erasure.fields()))) == erasure
