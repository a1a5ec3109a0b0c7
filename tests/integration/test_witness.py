"""Two receivers whose owners watch each other: what is cosigned, and what a witness makes impossible."""

import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from otel_audit.anchors.witness import WitnessState, witness_states
from otel_audit.ledger.cosignature import CosignatureSigner
from otel_audit.store.folder import DataFolder

from .running import run, running, verify
from .witnesses import post, witness


def key_of(data, origin):
    """Begin a ledger, and give its verifier key: what its owner hands to the witness's."""
    folder = DataFolder(data)
    folder.create(origin)
    return folder.signer().verifier_key.format()


def state_when(data, is_so, seconds=30) -> WitnessState:
    """The state of the only witness of a ledger, as soon as it is so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        states = witness_states(DataFolder(data).anchors)
        if states and is_so(states[0]):
            return states[0]
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {states}")


def trust_file(path, log_key, *witnesses, quorum):
    path.write_text(json.dumps({"verifier_keys": [log_key], "witnesses": list(witnesses), "witness_quorum": quorum}))
    return str(path)


def test_two_organisations_watch_each_other(tmp_path):
    """Each one's checkpoints, the last included, are cosigned by the other, and verify asks for exactly that."""
    a, b = tmp_path / "a", tmp_path / "b"
    a_key, b_key = key_of(a, "a.example/audit"), key_of(b, "b.example/audit")
    with (
        witness(tmp_path / "wa", b_key) as (wa_url, wa_key),
        witness(tmp_path / "wb", f"a.example/audit={a_key}") as (
            wb_url,
            wb_key,
        ),
    ):
        with (
            running(a, "--no-dashboard", "--witness", f"{wb_url}={wb_key}") as one,
            running(b, "--no-dashboard", "--witness", f"{wa_url}={wa_key}") as two,
        ):
            assert state_when(a, lambda state: state.cosigned_size > 0).witness == wb_key.split("+")[0]
            state_when(b, lambda state: state.cosigned_size > 0)
            one.stop()
            two.stop()
        assert post(wa_url, b"nonsense")[0] == 400
        for data, key, by in ((a, a_key, wb_key), (b, b_key, wa_key)):
            trust = trust_file(tmp_path / "trust.json", key, by, quorum=1)
            report = verify(data, "--trust", trust)
            assert [finding["code"] for finding in report["findings"]] == []
            size = report["ledgers"][0]["size"]
            assert state_when(data, lambda state, size=size: state.cosigned_size == size).trouble == ""
        # One cosignature is not two, and the other's witness is nobody here.
        two_of = trust_file(tmp_path / "trust.json", a_key, wa_key, wb_key, quorum=2)
        assert {finding["code"] for finding in verify(a, "--trust", two_of, code=1)["findings"]} == {
            "WITNESS_QUORUM_MISSING"
        }
    # What is sealed without the witness is not covered, and verify says from where on.
    run("checkpoint", "--data", str(a))
    trust = trust_file(tmp_path / "trust.json", a_key, wb_key, quorum=1)
    (finding,) = verify(a, "--trust", trust)["findings"]
    covered = witness_states(DataFolder(a).anchors)[0].cosigned_size
    assert (finding["code"], finding["seq"]) == ("WITNESS_PENDING", covered), "cosigned less than a minute ago"


def test_a_witness_that_comes_later_gets_everything(tmp_path):
    """A receiver runs on without its witness, tells that it is away, and is cosigned again once it is back."""
    data = tmp_path / "data"
    key = key_of(data, "a.example/audit")
    with witness(tmp_path / "w", key) as (url, witness_key):
        address = f"{url}={witness_key}"
    with running(data, "--no-dashboard", "--witness", address) as receiver:
        state = state_when(data, lambda state: state.trouble == "unavailable")
        assert state.cosigned_size == 0
        said = receiver.stop()
    assert url in said
    with (
        witness(tmp_path / "w", key) as (url, witness_key),
        running(data, "--no-dashboard", "--witness", f"{url}={witness_key}") as receiver,
    ):
        state_when(data, lambda state: state.trouble == "" and state.cosigned_size > 0)
        receiver.stop()
    report = verify(data, "--trust", trust_file(tmp_path / "trust.json", key, witness_key, quorum=1))
    assert report["status"] == "ok"


@pytest.mark.parametrize("grown", [False, True])
def test_a_restored_backup_is_refused_by_the_witness(tmp_path, grown):
    """A ledger put back to an older state, anchors and all, is not cosigned again, shorter or grown: verify tells."""
    data = tmp_path / "data"
    key = key_of(data, "a.example/audit")
    anchors = DataFolder(data).anchors
    with witness(tmp_path / "w", key) as (url, witness_key):
        options = ("--no-dashboard", "--witness", f"{url}={witness_key}")
        with running(data, *options) as receiver:
            receiver.stop()
        shutil.copytree(data, tmp_path / "kept", symlinks=True)
        shutil.copytree(anchors, tmp_path / "kept-anchors")
        with running(data, *options) as receiver:
            receiver.stop()
        run("checkpoint", "--data", str(data))
        with running(data, *options) as receiver:
            receiver.stop()
        seen = witness_states(anchors)[0].cosigned_size
        for place, kept in ((data, "kept"), (anchors, "kept-anchors")):
            shutil.rmtree(place)
            shutil.copytree(tmp_path / kept, place, symlinks=True)
        for _ in range(5 if grown else 0):  # the other history becomes longer than the one that was cosigned
            run("checkpoint", "--data", str(data))
        with running(data, *options) as receiver:
            state = state_when(data, lambda state: state.trouble == "contradicts")
            said = receiver.stop()
    assert state.cosigned_size < seen
    assert f"size {seen}" in state.problem
    assert state.problem in said
    assert bool(list((tmp_path / "w" / "refused").glob("*/*.json"))) == grown
    report = verify(data, code=1)
    codes = {finding["code"] for finding in report["findings"]}
    assert codes >= {"WITNESS_DISPUTES", "CHAIN_REBUILT" if grown else "ROLLBACK"}, "the claim, and what proves it"
    assert report["status"] == "tampered"


def test_a_refusal_that_nobody_proves_is_no_alarm(tmp_path):
    """Whoever is on the way to a witness can say 409 in its name: verify tells of it, and finds nothing wrong."""

    class Liar(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(409)
            self.send_header("Content-Type", "text/x.tlog.size")
            self.end_headers()
            self.wfile.write(b"99999\n")

        def do_GET(self):  # the checkpoint is real, but no witness cosigned it
            self.send_response(200)
            self.end_headers()
            self.wfile.write(next(DataFolder(data).anchors.glob("*.jsonl")).read_bytes().splitlines()[0])

        def log_message(self, *_):
            pass

    data = tmp_path / "data"
    key_of(data, "a.example/audit")
    nobody = CosignatureSigner.generate("witness.example/w1").verifier_key.format()
    with ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}={nobody}"
        with running(data, "--no-dashboard", "--witness", address) as receiver:
            state = state_when(data, lambda state: state.trouble == "contradicts")
            receiver.stop()
        server.shutdown()
    assert "gives no proof" in state.problem
    report = verify(data)
    assert (report["status"], [each["code"] for each in report["findings"]]) == ("ok", ["WITNESS_DISPUTES"])
