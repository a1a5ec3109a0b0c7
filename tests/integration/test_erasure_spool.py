"""Erasure in the spool of an application."""

import json

import pytest

from otel_audit.errors import ConfigError
from otel_audit.instrumentation.delivery.encoding import LOG, SPAN, Decoder
from otel_audit.instrumentation.delivery.erasing import erase_from_spool
from otel_audit.instrumentation.delivery.segment import Item, Segment, frame

HEADER = {"resource": {}, "resource_schema_url": "", "scope": None}
SUBJECT, TASK = "audit.subject.ref", "audit.task.id"


def record(kind, attributes, number=1, **more):
    place = {"context": [number, number, 1, False, ""], "parent": None, "name": "chat", "kind": 0, "start": 1, "end": 2}
    if kind == LOG:
        place = {"trace": number, "span": number, "flags": 1, "severity": None, "severity_text": None, "event": "e",
                 "time": 1, "observed": 1, "dropped": 0, "body": None}  # fmt: skip
    body = {**place, "attributes": attributes, **more}
    return Item(kind, f"{json.dumps(HEADER)}\n{json.dumps(body)}".encode())


RECORDS = [
    record(SPAN, {TASK: "t1", "gen_ai.input.messages": "plover early"}, 1),
    record(
        SPAN, {TASK: "t1", SUBJECT: "case-88", "gen_ai.input.messages": "plover", "gen_ai.usage.input_tokens": 7}, 2
    ),
    record(LOG, {"gen_ai.output.messages": "plover in a log"}, 2, body="plover in a body"),
    record(SPAN, {TASK: "t1", SUBJECT: "case-99", "gen_ai.input.messages": "heron"}, 3, status=[2, "heron failed"]),
    record(SPAN, {"gen_ai.input.messages": "heron too"}, 4, events=[["e", 1, {"note": "heron"}, 0]]),
]


def spool(folder, delivered=0):
    segment = Segment.create(folder)
    for number, item in enumerate(RECORDS, 1):
        segment.append(frame(item))
        if number == delivered:
            segment.mark_delivered(segment.size, number)
    return segment


def test_texts_of_one_subject_go(tmp_path):
    """Also from records that were delivered already, in the same file; what is left can still be delivered."""
    spool(tmp_path, delivered=1).close()
    done = erase_from_spool(tmp_path, subject="case-88")
    assert (done.records, done.not_done) == (3, {})
    (path,) = tmp_path.iterdir()
    raw = path.read_bytes()
    assert b"plover" not in raw
    assert raw.count(b"heron") == 4
    segment = Segment.adopt(path)
    items, _ = segment.read(segment.size, 10, 1 << 20)
    assert len(items) == 4, "how far it was delivered is kept"
    assert b"[erased]" in Decoder().request(items[:1])
    assert b'"gen_ai.usage.input_tokens":7' in items[0].payload
    segment.close()
    assert erase_from_spool(tmp_path, task="t1").records == 4, "three calls, and the log record of one"


def test_what_is_held_or_damaged_is_named(tmp_path):
    """A file that its application has open, and one that can not be read, are not passed over in silence."""
    held = spool(tmp_path)
    damaged = spool(tmp_path)
    damaged.close()
    damaged.path.write_bytes(damaged.path.read_bytes()[:-3])
    (tmp_path / "x.damaged").write_bytes(b"plover")
    done = erase_from_spool(tmp_path, subject="case-88")
    assert done.records == 0
    assert set(done.not_done) == {str(held.path), str(damaged.path), str(tmp_path / "x.damaged")}
    held.close()
    with pytest.raises(ConfigError, match="is no folder"):
        erase_from_spool(tmp_path / "none", task="t1")
