"""A ClickHouse server by URL: the receiver, verify and the takeover of a ledger, over the ClickHouse-HTTP front."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.integration.running import COMMAND, START_SECONDS, run
from tests.integration.test_up import spans_request

# A folder with all rights behind the front: what a test can have of "a ClickHouse server".
SERVER = """
import sys
from pathlib import Path
from otel_audit.store.database import Role, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.front import serve_front
database = open_embedded(DataFolder(Path(sys.argv[1])), Role.ADMIN)
front = serve_front(database, "reader-token", writer_token="writer-token")
print(front.port, flush=True)
sys.stdin.read()
front.close()
database.close()
"""


@pytest.fixture
def server(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "server")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    port = int(process.stdout.readline())
    yield f"127.0.0.1:{port}/audit"
    process.communicate(timeout=60)


@contextmanager
def serving(data, url):
    run_file = data / "otel-audit" / "run.json"
    run_file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*COMMAND, "serve", "--data", str(data), "--url", url, "--grpc-port", "0", "--http-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not run_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"otel-audit serve did not start: {process.communicate()[0]}")
            time.sleep(0.05)
        yield process, json.loads(run_file.read_text())
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def export(run_info, request) -> None:
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{run_info['grpc_port']}") as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        call(request.SerializeToString(), timeout=30)


def test_the_receiver_stores_on_a_server_and_verify_reads_it_there(server, tmp_path):
    """With --url the ledger is on the server; verify by URL, with the anchors, says ok."""
    data = tmp_path / "keys"
    with serving(data, f"http://writer:writer-token@{server}") as (_, run_info):
        export(run_info, spans_request(0, 300))
    report = json.loads(
        run(
            *("verify", "--url", f"http://reader:reader-token@{server}"),
            *("--anchor-dir", str(tmp_path / "keys-anchors"), "--json"),
        ).stdout
    )
    assert report["status"] == "ok"
    assert report["ledgers"][0]["size"] == 302


def test_a_second_writer_takes_over_and_the_first_stops(server, tmp_path):
    """Two receivers on one ledger: the newer claim stands, the older one stops with exit 1 instead of forking it."""
    url = f"http://writer:writer-token@{server}"
    first_data, second_data = tmp_path / "first", tmp_path / "second"
    with serving(first_data, url) as (first, run_info):
        export(run_info, spans_request(0, 10))
        shutil.copytree(first_data, second_data)
        shutil.copytree(tmp_path / "first-anchors", tmp_path / "second-anchors")
        with serving(second_data, url):
            assert first.wait(60) == 1
