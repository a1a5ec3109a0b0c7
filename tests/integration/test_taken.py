"""What leaves the ledger by a command is in the ledger: who took it, which entries, why."""

import getpass
import json
import os
import signal

import pytest

from otel_audit.errors import StoreError
from otel_audit.model import Filter
from otel_audit.receiver import control_client
from otel_audit.taken import record_taken
from tests.integration.running import exported, run, running
from tests.integration.test_erasure import EXPORT


@pytest.fixture(scope="module")
def up(shared_engine, tmp_path_factory):
    """A receiver with two entries of task loan-1 under a checkpoint."""
    shared_engine.closed()
    with running(tmp_path_factory.mktemp("taken") / "data", "--no-dashboard", "--checkpoint-seconds", "0.2") as up:
        up.export(EXPORT)
        run("checkpoint", "--data", str(up.data))
        yield up


def test_who_takes_a_bundle_is_recorded(up, tmp_path):
    """The receiver that runs records who took which entries, and why, before the file has its name."""
    out = str(tmp_path / "b.zip")
    run("bundle", "--data", str(up.data), "--out", out, "--task", "loan-1", "--purpose", "complaint 4821")
    taken = exported(up.data, "--event-type", "access")[-1]
    assert (taken["actor_id"], taken["attributes"]["audit.action"]) == (getpass.getuser(), "EXPORT")
    assert taken["attributes"]["audit.target.type"] == "bundle"
    assert taken["content"] == {"filter": "task_id=loan-1", "rationale": "complaint 4821"}
    assert taken["attributes_json"]["audit.row_count"] == "2"


@pytest.mark.parametrize("to", ["file", "-"])
def test_who_exports_is_recorded(up, tmp_path, to):
    """An export is an access of its user, with filter, rows and purpose; its own record is not among its rows."""
    out = "-" if to == "-" else str(tmp_path / "e.jsonl")
    options = ("--format", "jsonl", "--out", out, "--since", "2020-01-01", "--limit", "3", "--purpose", f"why {to}")
    done = run("export", "--data", str(up.data), *options)
    assert "not in the ledger" not in done.stderr
    lines = (done.stdout if to == "-" else (tmp_path / "e.jsonl").read_text()).splitlines()
    assert len(lines) == 3
    (taken,) = [each for each in everything(up) if each["content"].get("rationale") == f"why {to}"]
    assert (taken["actor_id"], taken["event_type"], taken["attributes"]["audit.action"]) == (
        getpass.getuser(),
        "access",
        "EXPORT",
    )
    assert taken["attributes"]["audit.target.type"] == "export"
    assert taken["attributes_json"]["audit.row_count"] == "3"
    assert taken["content"]["filter"] == "since=1577836800000000000"


def everything(up):
    """All entries, with the records of exports: the last is not that of this one."""
    lines = run("export", "--data", str(up.data), "--format", "jsonl", "--out", "-").stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_an_export_without_a_purpose_says_who(up):
    """A purpose may be left out: the ledger then says who took what, and no reason is made up."""
    everything(up)
    taken = everything(up)[-1]
    assert (taken["actor_id"], taken["content"]) == (getpass.getuser(), {"filter": "everything"})


def test_what_can_not_be_recorded_is_not_handed_out(up, monkeypatch):
    """A receiver that hangs holds a command up for seconds, not for ever; what was asked for is not handed out then."""
    monkeypatch.setattr(control_client, "_ACCESS_SECONDS", 0.2)
    os.kill(up.run["pid"], signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match="nothing was handed out"):
            record_taken(up.data, "export", Filter(), rows=1, purpose="")
    finally:
        os.kill(up.run["pid"], signal.SIGCONT)
