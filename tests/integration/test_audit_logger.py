"""``audit.logger()`` in applications of their own, with a real receiver: receipts, outages, kill -9, full spools."""

from __future__ import annotations

import json

import pytest

from tests.integration.running import exported, running
from tests.integration.test_audit_signal import call
from tests.integration.test_instrumentation_delivery import run_app

EMIT = """
    import json, os, signal
    import otel_audit as audit
    from otel_audit.errors import SpoolFailed, SpoolFull

    audit.configure(service_name="reports")
    log = audit.logger()

    def emit(**changes):
        said = {"action": "export", "actor_id": "u_102", "target_id": "report-7", "timeout": 15} | changes
        return log.emit(**said)
"""


def app(source, tmp_path, endpoint, **environment):
    done = run_app(
        EMIT + source,
        OTEL_AUDIT_ENDPOINT=endpoint,
        OTEL_AUDIT_PROTOCOL="http/protobuf",
        OTEL_AUDIT_SPOOL_DIR=str(tmp_path / "spool"),
        **environment,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("logger") / "data", "--no-dashboard") as up:
        up.http = f"http://127.0.0.1:{up.run['http_port']}"
        yield up


def test_emit_gives_the_receipt_and_what_is_refused_says_why(served, tmp_path):
    """The receipt is the one the receiver gives again; a person's address does not leave the process."""
    code, lines, errors = app(
        """
    with audit.task("loan-1"):
        first = emit(body="sent to jane.doe@example.com", attributes={"rows": 3, "audit.retention.class": "long"})
    second = emit(actor_type="robot", outcome="maybe", action="look at", attributes={"audit.actor.id": "x"})
    print(json.dumps([first.record_id, dict(first.receipt), dict(second.receipt)]))
    audit.configure(clock=lambda: 0)  # a record without a time is one that no receiver takes
    refused = emit()
    assert refused.receipt is None and "400" in refused.refused, refused
    assert audit.flush()
    for spool in os.scandir(os.environ["OTEL_AUDIT_SPOOL_DIR"]):
        if spool.is_dir():
            for each in os.scandir(spool):
                assert b"jane.doe" not in open(each, "rb").read()
    """,
        tmp_path,
        served.http,
    )
    assert code == 0, errors
    record_id, first, second = json.loads(lines[-1])
    status, again = call(served, path=f"/v1/audit/receipts/{record_id}")
    assert status == 200
    assert {key: again[key] for key in ("seq", "leaf_hash", "integrity_hash")} == {
        key: first[key] for key in ("seq", "leaf_hash", "integrity_hash")
    }
    rows = {row["seq"]: row for row in exported(served.data)}
    assert (rows[first["seq"]]["task_id"], rows[first["seq"]]["actor_id"]) == ("loan-1", "u_102")
    assert (rows[second["seq"]]["actor_id"], rows[second["seq"]]["status"]) == ("u_102", "unset")
    assert rows[second["seq"]]["actor_type"] == "system"


def test_a_killed_application_delivers_when_it_is_back(served, tmp_path):
    """No receiver: emit returns without receipt. kill -9. The next process sends the same records under their ids."""
    code, lines, errors = app(
        """
    ids = [emit(timeout=0.1 * n, attributes={"audit.retention.class": str(n)}).record_id for n in range(3)]
    print(json.dumps(ids), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """,
        tmp_path,
        "http://127.0.0.1:4317",
        OTEL_AUDIT_HTTP_ENDPOINT="http://127.0.0.1:9",
    )
    assert code == -9, errors
    ids = json.loads(lines[-1])
    (spool,) = (each for each in (tmp_path / "spool").iterdir() if any(each.glob("*.spool")))
    # The same destination as before, from now on served: the spool is named after it.
    code, lines, errors = app(
        """
    from otel_audit.instrumentation.delivery import transport
    connect = transport.HttpTransport.__init__
    def elsewhere(self, destination):
        from dataclasses import replace
        connect(self, replace(destination, endpoint=os.environ["SERVED"]))
    transport.HttpTransport.__init__ = elsewhere
    audit.configure()
    assert audit.flush(30)
    from otel_audit.instrumentation.sdk.setup import audit_pipelines
    (pipeline,) = audit_pipelines()
    pipeline.delivery.close(30)
    """,
        tmp_path,
        "http://127.0.0.1:4317",
        OTEL_AUDIT_HTTP_ENDPOINT="http://127.0.0.1:9",
        SERVED=served.http,
    )
    assert code == 0, errors
    assert [call(served, path=f"/v1/audit/receipts/{each}")[0] for each in ids] == [200, 200, 200], errors
    assert not any(spool.glob("*.spool"))


def test_a_queue_that_fails_is_a_hard_error(tmp_path):
    """A full spool raises SpoolFull whatever OTEL_AUDIT_ON_FULL says, a disk that takes nothing SpoolFailed."""
    code, lines, errors = app(
        """
    try:
        for _ in range(40):
            emit(timeout=0, body="x" * 60_000)
    except SpoolFull:
        print("full")
    from otel_audit.instrumentation.delivery.segment import Segment
    def broken(self, record):
        raise OSError(28, "No space left on device")
    Segment.append = broken
    os.environ["OTEL_AUDIT_HTTP_ENDPOINT"] = "http://127.0.0.1:10"
    try:
        emit(timeout=0)
    except SpoolFailed:
        print("failed")
    """,
        tmp_path,
        "http://127.0.0.1:9",
        OTEL_AUDIT_SPOOL_MAX_MIB="1",
        OTEL_AUDIT_EXIT_SECONDS="0.1",
        OTEL_AUDIT_HTTP_ENDPOINT="http://127.0.0.1:9",
    )
    assert (code, lines) == (0, ["full", "failed"]), errors
