"""``POST /v1/audit`` when things fail: killed between commit and answer, store down, requests beyond the limit."""

from __future__ import annotations

import gzip
import http.client
import json
import sys
import urllib.error
import urllib.request

import pytest

from otel_audit.ledger.note import Signer
from otel_audit.receiver.audit_signal.intake import AuditIntake
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.decode import Decoder
from otel_audit.receiver.http_server import http_app
from otel_audit.receiver.intake import MAX_REQUEST_BYTES, Intake
from otel_audit.receiver.losses import Losses
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.store.receipts import ReceiptReader
from otel_audit.store.threaded_server import ThreadedServer
from otel_audit.testing import MemoryLedger
from tests.integration import running as processes
from tests.integration.test_audit_signal import batch, call, record

ORIGIN = "test.example/audit"
# The receipt is made after the commit and before the answer: there the process is killed.
KILLED_BEFORE_THE_ANSWER = """
import os, signal, sys
from otel_audit.store.receipts import ReceiptReader
ReceiptReader.receipts = lambda self, seqs: os.kill(os.getpid(), signal.SIGKILL)
from otel_audit.cli import main
main()
"""


def test_killed_between_commit_and_answer(tmp_path, monkeypatch):
    """The producer got no answer; its retry gets the receipt of the entry that was committed, and there is only one."""
    known, sent = record(), record()
    with monkeypatch.context() as patched:
        patched.setattr(processes, "COMMAND", [sys.executable, "-c", KILLED_BEFORE_THE_ANSWER])
        with processes.running(tmp_path / "data", "--no-dashboard") as up:
            with pytest.raises((http.client.RemoteDisconnected, ConnectionError, urllib.error.URLError)):
                call(up, batch(known, sent))
            up.process.wait(30)
    with processes.running(tmp_path / "data", "--no-dashboard") as up:
        record_id = sent["attributes"][0]["value"]["stringValue"]
        status, stored = call(up, path=f"/v1/audit/receipts/{record_id}")
        assert status == 200
        again = call(up, batch(known, sent))[1]["record_status_map"][record_id]
        stable = ("record_id", "seq", "leaf_hash", "integrity_hash", "sink_timestamp")
        assert [stored[name] for name in stable] == [again[name] for name in stable]
        rows = [row for row in processes.exported(up.data) if row["event_id"] == f"record:{record_id}"]
        assert len(rows) == 1


def post(port, body, **headers):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/audit",
        data=body,
        headers={"Content-Type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    return refused.value.code, dict(refused.value.headers), json.loads(refused.value.read())


def test_a_store_that_is_down_is_503_and_a_request_beyond_the_limit_413(database):
    """503 says when to come back, 413 what to do; nothing is stored by either."""
    ledger = MemoryLedger(ORIGIN, lambda step, _number: "not persisted" if step == "append_entries" else None)
    sequencer = Sequencer(ledger, Checkpointer(ledger, Signer.generate(ORIGIN), []))
    sequencer.start()
    losses = Losses()
    audit = AuditIntake(sequencer, ReceiptReader(database, ORIGIN), losses, bytes(32))
    app = http_app(Intake(Decoder(bytes(32)), sequencer, losses), lambda: True, (), audit)
    with ThreadedServer(app) as server:
        status, headers, answer = post(server.port, json.dumps(batch(record())).encode())
        assert (status, int(headers["retry-after"]) > 0) == (503, True)
        assert answer["retry_after"] > 0
        bomb = gzip.compress(b" " * (MAX_REQUEST_BYTES + 1), 1)
        status, _, answer = post(server.port, bomb, Content_Encoding="gzip")
        assert status == 413
        assert "smaller batches" in answer["reason"]
    sequencer.close()
    assert ledger.hashes == []
