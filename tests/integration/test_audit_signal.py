"""``POST /v1/audit`` of a real ``otel-audit up``: receipts, conflicts, all or nothing, and what survives kill -9."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from otel_audit.anchors.file import FileAnchor
from otel_audit.ledger.checkpoint import open_checkpoint
from otel_audit.ledger.merkle import verify_inclusion
from tests.integration.running import running

NOW = time.time_ns()


def attribute(key, text):
    return {"key": key, "value": {"stringValue": text}}


def record(record_id=None, **changes):
    said = {
        "audit.record.id": record_id or str(uuid.uuid4()),
        "audit.actor.id": "u_102",
        "audit.actor.type": "user",
        "audit.action": "EXPORT",
        "audit.outcome": "success",
    } | {key.replace("_", "."): value for key, value in changes.items()}
    return {
        "timeUnixNano": str(NOW),
        "observedTimeUnixNano": str(NOW + 5),
        "eventName": "report.export",
        "body": {"stringValue": "quarterly report"},
        "attributes": [attribute(key, value) for key, value in said.items() if value is not None],
    }


def batch(*records, resource=()):
    return {"resourceLogs": [{"resource": {"attributes": list(resource)}, "scopeLogs": [{"logRecords": records}]}]}


def canonical(sent):
    """The draft's canonical form, written here once more from its text."""
    return rfc8785.dumps(
        {
            "Timestamp": sent["timeUnixNano"],
            "ObservedTimestamp": sent["observedTimeUnixNano"],
            "EventName": sent["eventName"],
            "Body": sent["body"],
            "Attributes": {
                each["key"]: each["value"]
                for each in sent["attributes"]
                if not each["key"].startswith("audit.integrity.")
            },
        }
    )


def call(served, document=None, path="/v1/audit", **headers):
    body = None if document is None else json.dumps(document).encode()
    if headers.get("Content_Encoding") == "gzip":
        body = gzip.compress(body)
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.run['http_port']}{path}",
        data=body,
        headers={"Content-Type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("audit") / "data", "--no-dashboard", "--checkpoint-seconds", "0.1") as up:
        yield up


def receipt_with_proof(served, record_id):
    deadline = time.monotonic() + 30
    while True:
        status, receipt = call(served, path=f"/v1/audit/receipts/{record_id}")
        assert status == 200
        if receipt["inclusion_proof"] is not None or time.monotonic() > deadline:
            return receipt


def test_a_receipt_is_provable_without_us(served):
    """The hash is SHA-256 of the RFC 8785 form, and the proof leads to the signed checkpoint."""
    sent = record()
    status, receipt = call(served, sent)
    assert (status, receipt["status"]) == (200, "delivered_all_sinks")
    assert receipt["integrity_hash"] == receipt["received_hash"] == hashlib.sha256(canonical(sent)).hexdigest()
    proven = receipt_with_proof(served, receipt["record_id"])
    assert (proven["seq"], proven["leaf_hash"]) == (receipt["seq"], receipt["leaf_hash"])
    keys = list(FileAnchor(served.data.parent / f"{served.data.name}-anchors").trusted_keys())
    checkpoint = open_checkpoint(proven["checkpoint"], keys, proven["origin"])
    path = [bytes.fromhex(each) for each in proven["inclusion_proof"]]
    verify_inclusion(bytes.fromhex(proven["leaf_hash"]), proven["seq"], checkpoint.size, checkpoint.root_hash, path)


def test_a_retry_gets_the_receipt_of_the_stored_record(served):
    """The same record again, alone or in a batch, plain or gzip: the same place, hash and time."""
    sent = record()
    _, first = call(served, sent)
    _, again = call(served, sent, Content_Encoding="gzip")
    _, answer = call(served, batch(sent))
    in_batch = answer["record_status_map"][first["record_id"]]
    stable = ("record_id", "seq", "leaf_hash", "integrity_hash", "sink_timestamp")
    assert [first[key] for key in stable] == [again[key] for key in stable] == [in_batch[key] for key in stable]


def test_another_payload_under_a_known_id_refuses_the_batch(served):
    """409, and the records beside it are not stored either; also for two in one batch."""
    known, other = record(), record()
    call(served, known)
    changed = record(known["attributes"][0]["value"]["stringValue"], audit_action="DELETE")
    status, answer = call(served, batch(other, changed))
    assert status == 409, answer
    assert call(served, path=f"/v1/audit/receipts/{other['attributes'][0]['value']['stringValue']}")[0] == 404
    twin = str(uuid.uuid4())
    assert call(served, batch(record(twin), record(twin, audit_action="DELETE")))[0] == 409
    assert call(served, path=f"/v1/audit/receipts/{twin}")[0] == 404


def test_concurrent_duplicates_are_one_entry(served):
    """Eight producers send one record at once: one entry, eight receipts of it."""
    sent, seqs = record(), []

    def send():
        seqs.append(call(served, sent)[1]["seq"])

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seqs) == 8
    assert len(set(seqs)) == 1


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (record("not-a-uuid"), "audit.record.id"),
        (record(audit_actor_id=None), "audit.actor.id"),
        (record(audit_actor_type="robot"), "audit.actor.type"),
        (record(audit_action="export"), "audit.action"),
        (record(audit_outcome="maybe"), "audit.outcome"),
        (record() | {"eventName": ""}, "EventName"),
        (record() | {"timeUnixNano": "0"}, "Timestamp"),
        (record() | {"observedTimeUnixNano": "1"}, "ObservedTimestamp"),
        (record() | {"severityNumber": 9}, "Severity"),
    ],
)
def test_one_bad_record_rejects_the_batch_by_index_and_field(served, bad, field):
    """400 names the record and what is wrong with it; the good one before it is not stored."""
    good = record()
    status, answer = call(served, batch(good, bad))
    assert status == 400
    assert "record 1: " in answer["reason"]
    assert field in answer["reason"]
    assert call(served, path=f"/v1/audit/receipts/{good['attributes'][0]['value']['stringValue']}")[0] == 404


def test_masked_text_gives_two_hashes(served):
    """The stored hash is over the masked record, the other over what was sent; the person's address is in neither."""
    sent = record() | {"body": {"stringValue": "sent to jane.doe@example.com"}}
    _, receipt = call(served, sent)
    assert receipt["received_hash"] == hashlib.sha256(canonical(sent)).hexdigest()
    assert receipt["integrity_hash"] != receipt["received_hash"]
    assert "received_hash" not in call(served, path=f"/v1/audit/receipts/{receipt['record_id']}")[1]
    assert call(served, sent)[1]["seq"] == receipt["seq"]


def test_a_stock_exporter_can_be_pointed_at_it(served):
    """The OpenTelemetry SDK's own OTLP/HTTP log exporter delivers a record, and takes the answer as success."""
    from opentelemetry._logs import LogRecord
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

    record_id = str(uuid.uuid4())
    provider = LoggerProvider()
    exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{served.run['http_port']}/v1/audit")
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    said = {each["key"]: each["value"]["stringValue"] for each in record(record_id)["attributes"]}
    provider.get_logger("").emit(
        LogRecord(timestamp=NOW, observed_timestamp=NOW, event_name="report.export", attributes=said)
    )
    provider.shutdown()
    assert call(served, path=f"/v1/audit/receipts/{record_id}")[1]["record_id"] == record_id


def test_proofs_and_kill(tmp_path):
    """A good proof passes, a bad or missing one is 400; after kill -9 a retry gets the same receipt."""
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{"id": "key-1", "algorithm": "EdDSA", "public_key": pem}]}))
    resource = [attribute("audit.integrity.algorithm", "EdDSA"), attribute("audit.integrity.certificate", "key-1")]
    options = ("--no-dashboard", "--audit-producer-keys", str(keys), "--audit-signatures-required")
    sent, forged = record(), record()
    for each in (sent, forged):
        proof = base64.b64encode(key.sign(canonical(each))).decode()
        each["attributes"].append(attribute("audit.integrity.value", proof))
    forged["body"] = {"stringValue": "another report"}
    with running(tmp_path / "data", *options) as up:
        status, answer = call(up, batch(sent, resource=resource))
        assert status == 200, answer
        (first,) = answer["record_status_map"].values()
        assert first["verify_status"] == "passed"
        assert call(up, batch(forged, resource=resource))[0] == 400
        assert call(up, record())[0] == 400
        up.kill()
    with running(tmp_path / "data", *options) as up:
        (again,) = call(up, batch(sent, resource=resource))[1]["record_status_map"].values()
    stable = ("record_id", "seq", "leaf_hash", "integrity_hash", "sink_timestamp")
    assert [first[name] for name in stable] == [again[name] for name in stable]
