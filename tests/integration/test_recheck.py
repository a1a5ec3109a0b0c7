"""The receiver verifies its own ledger: what it tells in the log, in the ledger and in its state file."""

import json
import time

import pytest

from tests.integration.otlp_collector import Collector
from tests.integration.running import alter, exported, running
from tests.integration.test_erasure import EXPORT

WAIT_SECONDS = 60


def checked(data, status, told_before=0):
    """The state file, as soon as it has this verdict and an entry tells of it."""
    path = data / "otel-audit" / "recheck.json"
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        state = json.loads(path.read_text()) if path.exists() else {}
        if state.get("status") == status and state["told_unix_nano"] > told_before:
            return state
        time.sleep(0.05)
    raise AssertionError(f"no verdict {status}: {path.read_text() if path.exists() else 'no state'}")


@pytest.fixture
def collector(monkeypatch):
    """A real collector that the receivers of a test send their own metrics to."""
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collector.endpoint)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        yield collector


LAG, LAG_ENTRIES = ("otel_audit.anchor.lag", "s", "away"), ("otel_audit.anchor.lag.entries", "{entry}", "away")
FINDINGS, LAST_OK = ("otel_audit.verify.findings", "{finding}", ""), ("otel_audit.verify.last_ok_time", "s", "")


def test_it_finds_what_was_altered_by_itself(tmp_path, collector):
    """A sound ledger is told as such; after an entry was altered the log is loud and an entry names the codes.

    Both verdicts, and how far an anchor that does not answer is behind, are metrics at a collector.
    """
    data, anchors = tmp_path / "data", tmp_path / "anchors.toml"
    anchors.write_text('[[anchors]]\nkind = "rfc3161"\nname = "away"\nurl = "http://127.0.0.1:9"\n')
    started = time.time()
    with running(data, "--no-dashboard", "--recheck-seconds", "0.2", "--anchors", str(anchors)) as up:
        up.export(EXPORT)
        state = checked(data, "ok")
        collector.wait_for_gauges(lambda told: told.get(LAG, 0) > 0 and told.get(LAG_ENTRIES, 0) > 0)
        collector.wait_for_gauges(lambda told: told.get(LAST_OK, 0) > started and told.get(FINDINGS) == 0)
        assert state["entry_count"] > 0
        up.stop()
    alter(data, "ALTER TABLE audit.audit_entries UPDATE request_model = 'x' WHERE seq = 1 SETTINGS mutations_sync = 1")
    recheck = data / "otel-audit" / "recheck.json"
    recheck.write_text(json.dumps({**json.loads(recheck.read_text()), "full_unix_nano": 0}))  # a day has passed
    with running(data, "--no-dashboard", "--recheck-seconds", "0.2") as up:
        state = checked(data, "tampered", told_before=state["told_unix_nano"])
        assert "ROW_MODIFIED" in state["codes"]
        collector.wait_for_gauges(lambda told: told[FINDINGS] > 0)
        out = up.stop()
    assert "CRITICAL" in out
    assert "ROW_MODIFIED" in out
    told = [row for row in exported(data) if row["event_type"] == "access"]
    assert [(row["actor_id"], row["error_type"]) for row in told][-1][0] == "otel-audit"
    assert "ROW_MODIFIED" in told[-1]["error_type"]
    assert told[0]["error_type"] == ""


def test_it_can_be_turned_off(tmp_path):
    """With --recheck-seconds 0 nothing is checked."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard", "--recheck-seconds", "0") as up:
        up.export(EXPORT)
        up.stop()
    assert not (data / "otel-audit" / "recheck.json").exists()
