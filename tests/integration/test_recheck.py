"""The receiver verifies its own ledger: what it tells in the log, in the ledger and in its state file."""

import json
import time

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


def test_it_finds_what_was_altered_by_itself(tmp_path):
    """A sound ledger is told as such; after an entry was altered the log is loud and an entry names the codes."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard", "--recheck-seconds", "0.2") as up:
        up.export(EXPORT)
        state = checked(data, "ok")
        assert state["entry_count"] > 0
        up.stop()
    alter(data, "ALTER TABLE audit.audit_entries UPDATE request_model = 'x' WHERE seq = 1 SETTINGS mutations_sync = 1")
    recheck = data / "otel-audit" / "recheck.json"
    recheck.write_text(json.dumps({**json.loads(recheck.read_text()), "full_unix_nano": 0}))  # a day has passed
    with running(data, "--no-dashboard", "--recheck-seconds", "0.2") as up:
        state = checked(data, "tampered", told_before=state["told_unix_nano"])
        assert "ROW_MODIFIED" in state["codes"]
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
