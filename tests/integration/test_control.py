"""Operations that commands ask of a ledger's writer, whether a receiver is running or not."""

import http.client
import json

from otel_audit.ledger.checkpoint import open_checkpoint
from otel_audit.ledger.note import VerifierKey
from otel_audit.store.folder import DataFolder
from tests.integration.running import run, running
from tests.integration.test_up import spans_request


def _trusted(data):
    return [VerifierKey.parse(text) for text in DataFolder(data).verifier_keys()]


def test_a_checkpoint_seals_what_a_running_receiver_has(tmp_path):
    """The printed note covers every entry that was acknowledged before it was asked for."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard", "--checkpoint-seconds", "10") as up:
        up.export(spans_request(0, 7).SerializeToString())
        note = run("checkpoint", "--data", str(data)).stdout
        sealed = open_checkpoint(note, _trusted(data), DataFolder(data).identity().origin)
        assert sealed.size == 8
        assert run("checkpoint", "--data", str(data)).stdout == note, "nothing is new: the newest one stands"


def test_a_checkpoint_of_a_ledger_that_nobody_runs(tmp_path):
    """The command opens the ledger itself, and closes it in order."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard") as up:
        up.export(spans_request(0, 3).SerializeToString())
        up.kill()
    answer = json.loads(run("checkpoint", "--data", str(data), "--json").stdout)
    assert answer["size"] == 5, "opened, 3 spans, opened again"
    assert run("verify", "--data", str(data)).returncode == 0


def test_operations_need_the_token(tmp_path):
    """Who can not read the run file can not operate the ledger."""
    with running(tmp_path / "data", "--no-dashboard") as up:
        connection = http.client.HTTPConnection("127.0.0.1", up.run["control_port"])
        connection.request("POST", "/checkpoint", "{}", {"Authorization": "Bearer guess"})
        assert connection.getresponse().status == 401


def test_a_folder_without_a_ledger_is_named(tmp_path):
    """No ledger is begun by asking for a checkpoint of one."""
    done = run("checkpoint", "--data", str(tmp_path / "none"), code=2)
    assert "there is no ledger in this folder" in done.stderr
    assert not (tmp_path / "none").exists()
