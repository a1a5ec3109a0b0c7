"""What the dashboard's downloads send, over the shared engine."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import deps
import exporting
import pytest
import settings
import viewer
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.testclient import TestClient

from otel_audit.cli import cli
from otel_audit.errors import StoreUnavailable
from otel_audit.model import Filter
from otel_audit.store.folder import DataFolder
from otel_audit.store.reader import Reader
from tests.integration.ledger_rows import LedgerRows

STATM: Final = Path("/proc/self/statm")


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
    monkeypatch.setattr(viewer, "name", lambda: "u_9")
    monkeypatch.setattr(viewer, "record", lambda *args, **kwargs: found.append((args, kwargs)))
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


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not STATM.exists(), reason="how much memory is held is read from /proc, which only Linux has")
def test_three_hundred_thousand_rows_are_sent_in_constant_memory(client, database):
    """All rows of a large export are in the file, and it is never in memory as a whole."""
    with database.client() as engine:
        engine.command(
            "INSERT INTO audit_entries SELECT first.* REPLACE (more.number + 4 AS seq, repeat('x', 500) AS name) "
            "FROM (SELECT * FROM audit_entries WHERE seq = 0) AS first CROSS JOIN numbers(299996) AS more"
        )
    (events,) = [each for each in exporting.DOWNLOADS if each.path == "/export/events.{file_format}"]
    sending = events.make(exporting.Asked(Filter(), "memory", {"file_format": "csv"}, QueryParams()))
    before = most = resident()
    lines = size = 0
    for piece in sending.body:
        lines, size = lines + piece.count(b"\n"), size + len(piece)
        most = max(most, resident())
    assert (sending.rows, lines) == (300_000, 300_001)
    assert most - before < size // 2  # of which most are the engine's own buffers


@pytest.fixture
def reports(client, database, tmp_path, monkeypatch):
    """The same downloads, with a data folder whose key signs reports."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    monkeypatch.setattr(deps, "database", lambda: database)
    monkeypatch.setattr(settings, "_given", settings.Settings(data=folder.path))
    client.folder = folder
    return client


def test_a_report_is_signed_recorded_and_can_be_checked_without_us(reports, tmp_path):
    """The zip has the page's counts and purpose, its taking is recorded, and both ways to check it say OK, then not."""
    answer = reports.get("/export/report/hipaa.zip?why=audit+2026&service=x&verified=true")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="audit-hipaa.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        document = json.loads(archive.read("report.json"))
    assert (document["purpose"], document["made_by"]) == ("audit 2026", "u_9")
    assert document["filter"]["service"] == ["x"]
    assert document["verification"]["status"] == "tampered"  # these entries were never signed
    ((action, target, kind), told) = reports.recorded[0]
    assert (action, target, kind) == ("EXPORT", "hipaa.zip", "report")
    assert told["purpose"] == "audit 2026"
    assert told["row_count"] == document["events"] == int(answer.headers["x-row-count"])

    keys = CliRunner().invoke(cli, ["keys", "export", "--data", str(reports.folder.path)]).stdout
    (tmp_path / "trust.json").write_text(keys)
    file = tmp_path / "audit-hipaa.zip"
    script = documented_check()
    for raw, ours, theirs in ((answer.content, 0, 0), (altered(answer.content), 1, 1)):
        file.write_bytes(raw)
        done = CliRunner().invoke(cli, ["report", "verify", str(file), "--trust", str(tmp_path / "trust.json")])
        assert done.exit_code == ours, done.output
        alone = subprocess.run([sys.executable, "-I", "-c", script, file, tmp_path / "trust.json"],
                               capture_output=True, text=True, check=False)  # fmt: skip
        assert (alone.returncode, alone.stdout.startswith("OK")) == (theirs, not theirs), alone.stderr


def documented_check():
    """The program of docs/how-to/reports.md."""
    page = (Path(__file__).parents[2] / "docs/how-to/reports.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return script


def altered(raw):
    """The same zip with one count changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            new.writestr(name, body.replace(b'"events": 0', b'"events": 7', 1) if name == "report.json" else body)
    return out.getvalue()


def test_a_report_that_can_not_be_made_is_refused_and_not_recorded(reports, monkeypatch):
    """No purpose, no such standard, a filter of another kind, a wrong word, and no key: each is explained."""
    for query, status, words in (
        ("soc2.zip", 400, "Say why"),
        ("iso.zip?why=x", 404, "eu-ai-act"),
        ("soc2.zip?why=x&decision=approved", 400, "not by decision"),
        ("soc2.zip?why=x&verified=yes", 400, "say true, or leave it out"),
        ("soc2.zip?why=x&nothing=1", 400, "unknown filter"),
    ):
        answer = reports.get(f"/export/report/{query}")
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
    monkeypatch.setattr(settings, "_given", settings.Settings(url="http://127.0.0.1:9"))
    assert "no key to sign with" in reports.get("/export/report/soc2.zip?why=x").text
    assert reports.recorded == []


@pytest.mark.parametrize("path", ["events.csv", "events.jsonl.zip", "figures/usage.csv", "evidence.zip"])
def test_a_store_that_is_down_answers_no_download(client, monkeypatch, path):
    """A download without a store sends no file: it says that the data is safe, and what to do."""

    def down():
        raise StoreUnavailable("nobody listens at port 1")

    for name in ("reader", "analytics", "database"):
        monkeypatch.setattr(deps, name, down)
    answer = client.get(f"/export/{path}?why=x")
    assert answer.status_code == 503
    assert "your data is safe. nobody listens at port 1" in answer.text
    assert "Check that the receiver runs on this machine: otel-audit up" in answer.text
    assert "content-disposition" not in answer.headers
