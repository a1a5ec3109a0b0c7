"""An auditor's copy of a data folder: what verify says without the texts, and what removing them can not hide."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_audit.errors import ConfigError
from otel_audit.model import AuditEvent
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.service import Receiver, ReceiverSettings
from otel_audit.reports.verify_command import verify
from otel_audit.store.database import Role, open_embedded, open_for_reading
from otel_audit.store.folder import DataFolder


@pytest.fixture(scope="module")
def template(shared_engine, tmp_path_factory):
    """A ledger of 300 entries with a text each, of which three were erased."""
    shared_engine.closed()
    data = tmp_path_factory.mktemp("copied") / "data"
    receiver = Receiver(ReceiverSettings(data, capture_policy="full"))
    receiver.start(serve=False)
    sent = [AuditEvent({"event_type": "span", "event_id": f"e{n}"}, {"input": f"plover {n}"}) for n in range(300)]
    receiver.ledger.sequencer.submit(sent).result(60)
    asked = ErasureRequest(seqs=((10, 12),), basis="GDPR", requested_by="dpo_1", approved_by="legal_4")
    receiver.ledger.eraser.erase(asked)
    receiver.stop()
    return DataFolder(data)


@pytest.fixture
def copy(template, shared_engine, tmp_path):
    """The data folder and its anchors; its texts and keys stayed where they were."""
    shared_engine.closed()
    shutil.copytree(template.path, tmp_path / "data", symlinks=True)
    shutil.copytree(template.anchors, tmp_path / "data-anchors")
    return DataFolder(tmp_path / "data")


def run(folder, *options, code=0):
    done = CliRunner().invoke(verify, ["--data", str(folder.path), "--json", *options])
    assert done.exit_code == code, (done.output, done.exception)
    report = json.loads(done.output)
    return report, [(each["code"], each["seq"]) for each in report["findings"] if each["code"] != "ERASED"]


def alter(folder, *statements):
    """Somebody with the files: done in a copy of the texts that is thrown away, as they have none."""
    with closing(open_embedded(folder, Role.ADMIN)) as database, database.client() as client:
        for statement in statements:
            client.command(statement, settings={"mutations_sync": 2})
    shutil.rmtree(folder.texts)


def test_a_copy_of_the_data_folder_alone(copy, tmp_path):
    """Everything but the texts is checked; how many those are is told, and nothing is made in their place."""
    state = tmp_path / "verifier" / "state.json"
    for options, status, code in (((), "unverifiable", 1), (("--without-texts",), "ok", 0), ((), "unverifiable", 1)):
        report, found = run(copy, *options, "--state", str(state), code=code)
        assert (report["status"], found) == (status, [("TEXTS_NOT_CHECKED", None)])
        assert report["ledgers"][0]["last_checkpoint"] == report["ledgers"][0]["size"]
        (told,) = [each["detail"] for each in report["findings"] if each["code"] == "TEXTS_NOT_CHECKED"]
        assert told.startswith("297 texts were not there to check"), "the three that were erased are explained"
        assert not copy.texts.exists(), "else the next run would take them for removed"
        assert not state.exists(), "what was not looked at is nothing to build on"
    with pytest.raises(ConfigError, match="are not here"):
        open_for_reading(copy.path, None)  # who wants to read texts is still told


def test_a_part_without_texts_is_checked_whole(copy):
    """In a range that has no texts nothing is left unchecked."""
    (entry,) = [each["seq"] for each in run(copy, code=1)[0]["findings"] if each["code"] == "ERASED"][:1]
    assert entry is not None
    report, found = run(copy, "--from", str(entry), "--to", str(entry))
    assert (report["status"], found) == ("ok", [])


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("ALTER TABLE audit_sealed DELETE WHERE seq = 150", ("CONTENT_MISSING", 150)),
        ("ALTER TABLE audit_entries UPDATE service = 'other' WHERE seq = 150", ("ROW_MODIFIED", 150)),
    ],
)
def test_an_altered_copy(copy, statement, finding):
    """That the texts are elsewhere hides nothing else: a text that is not even sealed is missing."""
    alter(copy, statement)
    report, found = run(copy, "--without-texts", code=1)
    assert report["status"] == "tampered"
    assert finding in found


def test_texts_that_were_removed_from_their_folder(copy):
    """A folder of texts that is there and empty is no copy: every text is missing, whatever is asked for."""
    Path(copy.texts).mkdir()
    report, found = run(copy, "--without-texts", code=1)
    assert report["status"] == "tampered"
    assert [code for code, _ in found].count("CONTENT_MISSING") == 297
    assert "TEXTS_NOT_CHECKED" not in dict(found)
