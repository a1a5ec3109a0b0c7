"""What the dashboard's downloads send, over the shared engine."""

import csv
import hashlib
import io
import json
import zipfile

import deps
import exporting
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from otel_audit.store.reader import Reader
from tests.integration.ledger_rows import LedgerRows


@pytest.fixture
def client(database, monkeypatch):
    """The downloads over a ledger of four entries; accesses are collected instead of sent."""
    ledger = LedgerRows()
    for number in range(3):
        ledger.add("review", at=number, task_id="loan-1", reviewer_id=f"u_{number}", decision="approved",
                   content={"rationale": f"because {number}"})  # fmt: skip
    ledger.add("ai_call", at=9, task_id="loan-2")
    ledger.write(database)
    found = []
    monkeypatch.setattr(deps, "reader", lambda: Reader(database))
    monkeypatch.setattr(deps, "viewer", lambda: "u_9")
    monkeypatch.setattr(deps, "record", lambda *args, **kwargs: found.append((args, kwargs)))
    opened = TestClient(Starlette(routes=[download.route() for download in exporting.DOWNLOADS]))
    opened.recorded = found
    return opened


def test_the_chosen_columns_are_in_the_file(client):
    """An export has exactly the columns it was asked for; one that is unknown is refused, and nothing is recorded."""
    answer = client.get("/export/events.csv?event_type=review&columns=seq,rationale&why=x")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert rows == [["seq", "rationale"], ["0", "because 0"], ["1", "because 1"], ["2", "because 2"]]
    client.recorded.clear()
    refused = client.get("/export/events.csv?columns=reason&why=x")
    assert (refused.status_code, refused.text[:40]) == (400, "unknown column 'reason'; possible: recor")
    assert client.recorded == []


def test_the_manifest_says_what_the_file_is(client):
    """The zip's manifest has filter, columns, entries written, who, why and the file's hash; and it is one export."""
    answer = client.get("/export/events.jsonl.zip?task_id=loan-1&columns=seq,decision&why=ticket+7")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        file, manifest = archive.read("audit-events.jsonl"), json.loads(archive.read("manifest.json"))
    assert [json.loads(line)["seq"] for line in file.splitlines()] == [0, 1, 2]
    assert manifest.pop("made_at")[-1] == "Z"
    assert manifest == {
        "file": "audit-events.jsonl", "bytes": len(file), "sha256": hashlib.sha256(file).hexdigest(), "entries": 3,
        "format": "jsonl", "columns": ["seq", "decision"], "filter": [["task_id", "loan-1"]], "made_by": "u_9",
        "purpose": "ticket 7",
    }  # fmt: skip
    assert answer.headers["content-disposition"] == 'attachment; filename="audit-events.jsonl.zip"'
    ((action, target, _), told) = client.recorded[0]
    assert (action, target, told["purpose"], told["row_count"]) == ("EXPORT", "loan-1", "ticket 7", 3)
    assert client.get("/export/events.xml.zip?why=x").status_code == 404
