"""Verification in several processes: the same findings, and nothing concluded or left behind when one ends."""

import pytest

from otel_audit.errors import VerificationError
from otel_audit.ledger.trust import Trust
from otel_audit.reports import _row_hashes
from otel_audit.reports.verification import verify_database
from tests.attacks.ledger import KEYS


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_row_hashes, "_ROWS_AT_ONCE", 256)


@pytest.fixture
def workers(monkeypatch):
    """The processes that hash, in the order of their start."""
    started = []
    enter = _row_hashes._Worker.__enter__

    def noted(worker):
        started.append(worker._process)
        return enter(worker)

    monkeypatch.setattr(_row_hashes._Worker, "__enter__", noted)
    return started


def verify(store, anchors, jobs, **options):
    return verify_database(store.database, trust=Trust(tuple(KEYS)), anchors=anchors, jobs=jobs, **options)


def test_several_processes_find_the_same(store, anchors, workers):
    """The report is that of one process, for a sound ledger and for one with an altered row, a hole and a cut."""
    assert verify(store, anchors, 2, mode="engine").status == verify(store, anchors, 2).status == "ok"
    store.run("ALTER TABLE audit_entries UPDATE service = 'other' WHERE seq = 300")
    store.run("ALTER TABLE audit_entries DELETE WHERE seq IN (3, 4) OR seq >= 690")
    alone, together = (verify(store, anchors, jobs) for jobs in (1, 2))
    assert together == alone
    assert {"ROW_MODIFIED", "ROW_DELETED", "TAIL_TRUNCATED"} <= {each.code for each in alone.findings}
    assert len(workers) == 6
    assert all(process.returncode is not None for process in workers)


def test_a_process_that_ends_is_an_error(store, anchors, workers, monkeypatch):
    """Nothing is concluded when a process that hashes was killed: not that the rest is sound, not that it is not."""
    give = _row_hashes._Worker.hash

    def killed(worker, *args, **options):
        worker._process.kill()
        return give(worker, *args, **options)

    monkeypatch.setattr(_row_hashes._Worker, "hash", killed)
    with pytest.raises(VerificationError, match=r"ended \(code -9\), so that nothing was concluded"):
        verify(store, anchors, 2)
    assert all(process.returncode is not None for process in workers)


def test_who_stops_in_the_middle_leaves_nothing(store, anchors, workers):
    """After Ctrl-C no process is left, and the store answers."""

    def interrupt(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(store, anchors, 2, progress=interrupt)
    assert len(workers) == 2
    assert all(process.returncode is not None for process in workers)
    assert verify(store, anchors, 1).status == "ok"
