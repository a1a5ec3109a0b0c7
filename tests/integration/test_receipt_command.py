"""``otel-audit receipt``: a receipt is got from a running receiver and proved with the trust file alone."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from otel_audit.anchors.file import FileAnchor
from otel_audit.cli import cli
from otel_audit.errors import ConfigError
from tests.integration.running import run, running
from tests.integration.test_audit_signal import batch, call, receipt_with_proof, record


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A receipt with proof, its record, and the trust file, in a folder; and the receiver, which still runs."""
    folder = tmp_path_factory.mktemp("receipt")
    with running(folder / "data", "--no-dashboard", "--checkpoint-seconds", "0.1") as up:
        sent = record() | {
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "body": {"kvlistValue": {"values": [{"key": "rows", "value": {"doubleValue": 3}}, {"key": "none"}]}},
        }
        status, early = call(up, sent)
        assert status == 200, early
        receipt_with_proof(up, early["record_id"])
        got = run("receipt", "get", early["record_id"], "--data", str(up.data)).stdout
        (folder / "receipt.json").write_text(got)
        (folder / "record.json").write_text(json.dumps(batch(record(), sent)))
        keys = FileAnchor(folder / "data-anchors").trusted_keys()
        (folder / "trust.json").write_text(json.dumps({"verifier_keys": [key.format() for key in keys]}))
        up.early = early
        yield folder, up


def prove(folder, receipt=None, code=0, **changes):
    """The report on the receipt, with fields of it changed."""
    document = receipt or json.loads((folder / "receipt.json").read_text())
    altered = folder / "altered.json"
    altered.write_text(json.dumps(document | changes))
    options = ("--trust", str(folder / "trust.json"), "--record", str(folder / "record.json"), "--json")
    done = CliRunner().invoke(cli, ["receipt", "verify", str(altered), *options])
    assert done.exit_code == code, done.output
    return json.loads(done.output)


def test_a_receipt_proves_the_record_without_the_store(held):
    """Inclusion under the trusted key and the integrity hash of the record at hand: both are proved."""
    report = prove(held[0])
    assert [(each["check"], each["result"]) for each in report["checks"]] == [("inclusion", "ok"), ("record", "ok")]


def test_every_altered_part_is_found(held):
    """Another place, leaf, ledger, checkpoint or hash, and a proof that is left out: exit code 1 says which check."""
    folder, _ = held
    document = json.loads((folder / "receipt.json").read_text())
    other = "00" * 32
    assert prove(folder, code=1, seq=document["seq"] + 1)["status"] == "failed"
    assert prove(folder, code=1, leaf_hash=other)["status"] == "failed"
    assert prove(folder, code=1, origin="another.example/ledger")["status"] == "failed"
    lines = document["checkpoint"].split("\n")
    forged = "\n".join([lines[0], str(int(lines[1]) + 1), *lines[2:]])
    assert prove(folder, code=1, checkpoint=forged)["status"] == "failed"
    assert prove(folder, code=1, inclusion_proof=None)["status"] == "not proved"
    report = prove(folder, code=1, integrity_hash=other)
    assert [each["result"] for each in report["checks"]] == ["ok", "failed"]
    report = prove(folder, code=1, record_id="3c1d0a52-6f0e-4d5c-9a51-0b7c5f2d9e10")
    assert [each["result"] for each in report["checks"]] == ["ok", "failed"]


def test_a_compromised_key_proves_nothing(held, tmp_path):
    """A receipt has no time that the thief of a key could not write: such a key does not count."""
    folder, _ = held
    trust = json.loads((folder / "trust.json").read_text())
    (name,) = ("+".join(key.split("+")[:2]) for key in trust["verifier_keys"])
    stolen = tmp_path / "trust.json"
    stolen.write_text(json.dumps({**trust, "compromised_keys": {name: "2026-11-24T09:30:00Z"}}))
    done = run("receipt", "verify", str(folder / "receipt.json"), "--trust", str(stolen), code=1)
    assert "compromised" in done.stdout


def test_what_can_not_be_checked_is_exit_code_2(held, tmp_path):
    """No receipt, no JSON, the answer to a batch: said by file and field."""
    folder, up = held
    bad = tmp_path / "bad.json"
    for text, told in (
        ("{", "is no JSON"),
        ("[]", "expected a receipt"),
        (json.dumps(up.early | {"seq": True}), "seq"),
        (json.dumps({"record_status_map": {}}), "record_status_map"),
    ):
        bad.write_text(text)
        done = CliRunner().invoke(cli, ["receipt", "verify", str(bad), "--trust", str(folder / "trust.json")])
        assert isinstance(done.exception, ConfigError)  # which main() makes exit code 2
        assert told in str(done.exception)
    run("receipt", "verify", str(bad), "--trust", str(folder / "trust.json"), code=2)


def test_an_unknown_record_is_exit_code_1(held):
    """`receipt get` of an id that nobody stored."""
    _, up = held
    run("receipt", "get", "00000000-0000-4000-8000-000000000000", "--data", str(up.data), code=1)
