"""Audit records over OTLP/gRPC: the metadata makes a log request an audit request, with the same promises."""

from __future__ import annotations

import json

import grpc
import pytest

from otel_audit.receiver.otlp_json import to_protobuf
from tests.integration.running import LOGS, running
from tests.integration.test_audit_signal import batch, call, record

MARKER = (("otel-audit-signal", "1"),)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("audit-grpc") / "data", "--no-dashboard") as up:
        yield up


def export(served, *records, metadata=MARKER):
    """The trailing metadata of an answer."""
    body = to_protobuf("logs", json.dumps(batch(*records)).encode())
    with served.channel() as channel:
        _, ended = channel.unary_unary(LOGS).with_call(body, timeout=30, metadata=metadata)
    return dict(ended.trailing_metadata())


def id_of(sent):
    return sent["attributes"][0]["value"]["stringValue"]


def test_receipts_come_in_the_trailing_metadata(served):
    """The same receipt as by HTTP, for a retry too; of many records only by GET, so that no client's limit is hit."""
    sent = record()
    answer = json.loads(export(served, sent)["otel-audit-receipts-bin"])
    (receipt,) = answer["record_status_map"].values()
    assert receipt["record_id"] == id_of(sent)
    assert call(served, sent)[1]["leaf_hash"] == receipt["leaf_hash"]
    many = [record() for _ in range(200)]
    assert "otel-audit-receipts-bin" not in export(served, *many)
    assert all(call(served, path=f"/v1/audit/receipts/{id_of(each)}")[0] == 200 for each in many[::50])


@pytest.mark.parametrize(("kind", "code"), [("bad", "INVALID_ARGUMENT"), ("conflict", "ALREADY_EXISTS")])
def test_one_record_refuses_the_batch_by_code(served, kind, code):
    """A bad record, and another payload under a known id: nothing of the batch is stored."""
    good, known = record(), record()
    export(served, known)
    wrong = record(audit_outcome="maybe") if kind == "bad" else record(id_of(known), audit_action="DELETE")
    with pytest.raises(grpc.RpcError) as refused:
        export(served, good, wrong)
    assert refused.value.code() is grpc.StatusCode[code]
    assert call(served, path=f"/v1/audit/receipts/{id_of(good)}")[0] == 404


def test_without_the_metadata_it_is_a_log_record(served):
    """Ordinary exporters lose nothing by the rules for audit records: what is no good audit record is still stored."""
    assert "otel-audit-receipts-bin" not in export(served, record(audit_outcome="maybe"), metadata=())
