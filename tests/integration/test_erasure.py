"""Erasure in a real ledger: what goes, what stays, what verify says, and what a crash in the middle leaves."""

import json
import os
import shutil
import sqlite3
from contextlib import closing

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_audit.errors import ConfigError
from otel_audit.model import AuditEvent
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.retention import hold_add, hold_remove
from otel_audit.receiver.rotation import rotate_key
from otel_audit.receiver.service import Receiver, ReceiverSettings
from otel_audit.store.folder import DataFolder
from tests.integration.running import alter, run, running, verify

WHO = ("--basis", "GDPR Art. 17(1)(a)", "--requested-by", "dpo_1", "--approved-by", "legal_4")
REQUEST = {"basis": "GDPR Art. 17(1)(a)", "requested_by": "dpo_1", "approved_by": "legal_4"}


def request(*spans):
    """An export of AI calls, each (number, text, subject, task)."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "loans"
    scope = resource.scope_spans.add()
    for number, text, subject, task in spans:
        span = scope.spans.add(
            trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), name="chat m",
            start_time_unix_nano=1_790_000_000_000_000_000, end_time_unix_nano=1_790_000_000_500_000_000,
        )  # fmt: skip
        messages = [{"role": "user", "parts": [{"type": "text", "content": text}]}]
        for key, value in {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.input.messages": json.dumps(messages),
            "audit.subject.ref": subject,
            "audit.task.id": task,
        }.items():
            if value:
                span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


EXPORT = request(
    (1, "plover one", "case-88", "loan-1"),
    (2, "plover two", "", "loan-1"),
    (3, "heron three", "case-99", "loan-2"),
    (4, "heron four", "", ""),
)


def uncompressed(data):
    """Begin a ledger whose texts lie in the files as they are, so that looking for them there means something."""
    opened = Receiver(ReceiverSettings(data))
    opened.start(serve=False)
    opened.stop()
    alter(data, "ALTER TABLE audit.audit_content MODIFY COLUMN value String CODEC(NONE)")


def found(folder, text):
    """Files below a folder that hold a text."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def codes(report):
    return {finding["code"] for finding in report["findings"]} - {"UNANCHORED_TAIL"}


def test_nobody_finds_what_was_erased(tmp_path, shared_engine):
    """After the command returns, no raw file holds the text; nor does, with all keys that are left, an older copy."""
    shared_engine.closed()  # this process opens the folder for a moment
    home = tmp_path / "home"
    home.mkdir()
    data = home / "data"
    uncompressed(data)
    with running(data, "--no-dashboard") as up:
        up.export(EXPORT)
        assert found(home, "plover"), "the texts are there to begin with"
        assert not found(data, "plover"), "and not in the folder that people copy"
        assert not found(data, "heron")
        shutil.copytree(data, tmp_path / "copy", symlinks=True)
        assert not found(tmp_path / "copy", "plover")
        with closing(sqlite3.connect(f"file:{data}-keys/data-keys.sqlite?immutable=1", uri=True)) as store:
            before = dict(store.execute("SELECT key_id, key FROM keys WHERE key IS NOT NULL"))
        would = json.loads(
            run("erase", "--data", str(data), "--subject", "case-88", *WHO, "--dry-run", "--json").stdout
        )
        assert (would["entries"], would["texts"], would["keys"], would["tasks"]) == (2, 2, 1, 1)
        assert not verify(data)["findings"] or "ERASED" not in codes(verify(data)), "a dry run changes nothing"

        done = json.loads(run("erase", "--data", str(data), "--subject", "case-88", *WHO, "--yes", "--json").stdout)

        assert done["seqs"] == [[3, 4]], "opened, closed, opened"
        assert not found(home, "plover")
        up.export(EXPORT)  # an application that was not answered sends all of it again
        assert not found(home, "plover"), "a retry does not bring a text back"
        report = verify(data)
        assert report["status"] == "ok"
        told = [finding for finding in report["findings"] if finding["code"] == "ERASED"]
        assert [finding["seq"] for finding in told] == [3, 4]
        assert "because of GDPR Art. 17(1)(a); dpo_1 asked, legal_4 approved" in told[0]["detail"]
        assert codes(verify(data, "--from", "0", "--to", "4")) == {"ERASED"}, "the statement lies beyond it"
        assert "heron" in run("export", "--data", str(data), "--format", "jsonl", "--out", "-").stdout
        up.stop()

    with closing(sqlite3.connect(f"{data}-keys/data-keys.sqlite")) as store:
        after = dict(store.execute("SELECT key_id, key FROM keys WHERE key IS NOT NULL"))
    (gone,) = set(before) - set(after)
    everywhere = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert before[gone] not in everywhere, "the key is in no file any more, the copy included"
    # The copy, put in the place of the folder, with all keys that are left: only what was not erased comes back.
    shutil.rmtree(data)
    shutil.rmtree(f"{data}-texts")
    shutil.rmtree(f"{data}-anchors")
    shutil.copytree(tmp_path / "copy", data, symlinks=True)
    with running(data, "--no-dashboard"):
        out = run("export", "--data", str(data), "--format", "jsonl", "--out", "-").stdout
    assert "heron three" in out
    assert "heron four" in out
    assert "plover" not in out


class Crash(Exception):
    """The process ended here."""


def receiver(data, crash_at=0):
    def step(number):
        if number == crash_at:
            raise Crash

    opened = Receiver(ReceiverSettings(data, capture_policy="full"))
    opened.start(serve=False)
    opened.ledger.eraser._step = step
    return opened


def event(number, text="", **columns):
    fields = {"event_type": "ai_call", "event_id": f"e{number}", "record_kind": "span", **columns}
    return AuditEvent({"event_time": 10**18, "end_time": 10**18, **fields}, {"input": text} if text else {})


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_an_interrupted_erasure_is_finished_at_the_next_start(data_folder, step):
    """Whatever step it ended at: before it was intended nothing is gone, after it everything goes, told once."""
    data = data_folder.path
    uncompressed(data)
    opened = receiver(data, crash_at=step)
    events = [event(1, "plover one", subject_ref="case-88"), event(2, "heron two", subject_ref="case-99")]
    opened.ledger.sequencer.submit(events).result()
    with pytest.raises(Crash):
        opened.ledger.eraser.erase(ErasureRequest(subject="case-88", **REQUEST))
    opened.stop()

    opened = receiver(data)
    with opened.ledger.database.client() as client:
        told = client.query("SELECT count() FROM audit_entries WHERE event_type = 'erasure'").first_item
        texts = client.query("SELECT value FROM audit_content").result_columns[0]
    opened.stop()
    begun = step > 1
    assert set(told.values()) == {int(begun)}
    assert list(texts) == (["heron two"] if begun else ["plover one", "heron two"])
    assert bool(found(data.parent, "plover")) is not begun
    report = verify(data)
    assert report["status"] == "ok"
    assert ("ERASED" in codes(report)) is begun


def test_whose_texts_go(data_folder):
    """A subject's own, those of its tasks told before or after, and log records of the same spans; nobody else's."""
    opened = receiver(data_folder.path)
    span = {"trace_id": "ab" * 16, "span_id": "cd" * 8}
    try:
        opened.ledger.sequencer.submit([event(1, "early", task_id="t1")]).result()  # nobody knows yet whose it is
        later = [
            event(2, "own", task_id="t1", subject_ref="me", **span),
            event(3, "of the task", task_id="t1"),
            event(4, "of the span", **span),
            event(5, "of another in the task", task_id="t1", subject_ref="you"),
            event(6, "of nobody"),
        ]
        opened.ledger.sequencer.submit(later).result()
        eraser = opened.ledger.eraser
        plan = eraser.plan(ErasureRequest(subject="me", **REQUEST))
        assert plan.seqs == (1, 2, 3, 4)
        assert plan.shared == 1, "the log record lies under the key of the day"
        assert len(plan.key_ids) == 2, "the task had a key of its own before its subject was known"
        eraser.erase(ErasureRequest(subject="me", **REQUEST))
        with pytest.raises(ConfigError, match="no such texts"):
            eraser.erase(ErasureRequest(subject="me", **REQUEST))
        eraser.erase(ErasureRequest(seqs=((6, 6),), **REQUEST))
        opened.ledger.sequencer.submit([event(7, "new", subject_ref="me")]).result()  # under a new key
        with opened.ledger.database.client() as client:
            left = set(client.query("SELECT value FROM audit_content").result_columns[0])
        assert left == {"of another in the task", "new"}
        twice = [event(8, "composed", subject_ref="ren\u00e9"), event(9, "decomposed", subject_ref="rene\u0301")]
        opened.ledger.sequencer.submit(twice).result()
        assert eraser.erase(ErasureRequest(subject="ren\u00e9", **REQUEST))["texts"] == 2
    finally:
        opened.stop()
    shutil.rmtree(data_folder.texts)
    opened = receiver(data_folder.path)
    with opened.ledger.database.client() as client:
        assert set(client.query("SELECT value FROM audit_content").result_columns[0]) == left
    opened.stop()


def test_a_legal_hold_forbids_it(data_folder):
    """What a hold keeps is not erased: the refusal names the hold, and after its end the erasure goes through."""
    opened = receiver(data_folder.path)
    try:
        opened.ledger.sequencer.submit([event(1, "held", task_id="t1", subject_ref="me"), event(2, "free")]).result()
        held = hold_add(opened.ledger, {"task": "t1", "reason": "claim 88"})["hold_id"]
        eraser, wanted = opened.ledger.eraser, ErasureRequest(subject="me", **REQUEST)
        assert eraser.plan(wanted).told()["holds"] == [held]
        with pytest.raises(ConfigError, match=f"legal hold {held}"):
            eraser.erase(wanted)
        assert eraser.erase(ErasureRequest(seqs=((2, 2),), **REQUEST))["texts"] == 1, "no hold is on this one"
        with opened.ledger.database.client() as client:
            assert "held" in client.query("SELECT value FROM audit_content").result_columns[0]
        hold_remove(opened.ledger, {"hold_id": held, "reason": "settled"})
        assert eraser.erase(wanted)["texts"] == 1
    finally:
        opened.stop()


def test_an_erasure_that_is_finished_after_a_key_rotation_counts(data_folder):
    """It is entered under the key in use then, so that verify believes it."""
    opened = receiver(data_folder.path, crash_at=4)
    opened.ledger.sequencer.submit([event(1, "plover", subject_ref="me")]).result()
    with pytest.raises(Crash):
        opened.ledger.eraser.erase(ErasureRequest(subject="me", **REQUEST))
    rotate_key(opened.ledger, {})
    opened.stop()
    receiver(data_folder.path).stop()
    assert codes(verify(data_folder.path)) == {"ERASED"}


@pytest.mark.parametrize(
    "change", [{"approved_by": "dpo_1"}, {"basis": " "}, {"basis": "asked by case-88"}, {"task": "t1"}, {"subject": ""}]
)
def test_what_is_refused(change):
    """Nobody approves alone, a basis is given, and the ledger keeps no name of who was erased."""
    with pytest.raises(ConfigError, match="erase: "):
        ErasureRequest(**{**REQUEST, "subject": "case-88", **change})


def test_what_a_hostile_operator_tries(tmp_path):
    """Texts deleted without the command are missing; an erasure that somebody wrote explains nothing."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard") as up:
        up.export(EXPORT)
        run("erase", "--data", str(data), "--subject", "case-88", *WHO, "--yes")
        up.stop()
    alter(data, "ALTER TABLE audit.audit_content DELETE WHERE seq = 3 SETTINGS mutations_sync = 1")
    report = verify(data, code=1)
    assert [(f["code"], f["seq"]) for f in report["findings"] if f["code"] == "CONTENT_MISSING"] == [
        ("CONTENT_MISSING", 3)
    ]

    alter(
        data,
        "INSERT INTO audit.audit_sealed SELECT origin, 1, key_id, sealed, retention_class, recorded_at "
        "FROM audit.audit_sealed WHERE seq = 3",
    )
    report = verify(data, code=1)
    assert ("FALSE_TOMBSTONE", 1) in {(f["code"], f["seq"]) for f in report["findings"]}, (
        "said to be erased, still there"
    )

    alter(
        data,
        "INSERT INTO audit.audit_entries SELECT * REPLACE (seq + 1 AS seq, "
        "mapUpdate(attributes, map('audit.erasure.statement', "
        "replaceAll(attributes['audit.erasure.statement'], '[[1,2]]', '[[1,3]]'))) AS attributes) "
        "FROM audit.audit_entries WHERE event_type = 'erasure'",
    )
    found_codes = codes(verify(data, code=1))
    assert {"FALSE_TOMBSTONE", "CONTENT_MISSING"} <= found_codes


def test_the_older_copy_is_not_readable_without_keys(tmp_path):
    """A data folder alone, without DATA-keys, holds no readable text; who reads it is told what is missing."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard") as up:
        up.export(EXPORT)
        up.stop()
    copy = tmp_path / "elsewhere" / "data"
    shutil.copytree(data, copy, symlinks=True)
    done = run("verify", "--data", str(copy), code=1)
    assert "TEXTS_NOT_CHECKED" in done.stdout
    assert "4 texts were not there to check" in done.stdout
    with running(copy, "--no-dashboard") as up:
        out = run("export", "--data", str(copy), "--format", "jsonl", "--out", "-").stdout
        assert "heron" not in out
        log = up.stop()
    assert "the texts of 4 entries can not be made anew" in log
    assert os.stat(DataFolder(copy).data_keys).st_mode & 0o777 == 0o700
