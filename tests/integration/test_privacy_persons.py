"""Ten thousand made-up persons through a real receiver, in every path at once: nothing of them is anywhere."""

from __future__ import annotations

import base64
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import urlencode

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from tests.integration.running import LOGS, TRACES, run, running, verify
from tests.persons import Person, Search, person

PERSONS = 10_000
RECORDS = 500  # of each signal; every path of each record names somebody else
BATCH = 125
_DUMP = """
import json, sys, chdb
connection = chdb.connect(f"{sys.argv[1]}?config-file={sys.argv[1]}/otel-audit/engine-admin.xml")
tables = "SELECT database, name FROM system.tables WHERE name LIKE 'audit%' AND engine LIKE '%MergeTree'"
for database, table in map(json.loads, connection.query(tables, "JSONCompactEachRow").bytes().splitlines()):
    sys.stdout.buffer.write(connection.query(f"SELECT * FROM `{database}`.`{table}`", "JSONEachRow").bytes())
connection.close()
"""


def attribute(key: str, value: object) -> KeyValue:
    return KeyValue(key=key, value=any_value(value))


def any_value(value: object) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    assert isinstance(value, dict)
    return AnyValue(kvlist_value=KeyValueList(values=[attribute(key, item) for key, item in value.items()]))


def attributes_of(draw: Callable[[], Person], rng: random.Random) -> list[KeyValue]:
    """Every path of an attribute's value."""
    someone = draw()
    nested = {"person": {"note": someone.sentence(rng), "card": int(someone.card[0]), "phone": someone.phone[0]}}
    message = {"role": "user", "parts": [{"type": "text", "content": json.dumps(nested)}]}
    query = urlencode(
        {"m": rng.choice(someone.email), "n": someone.name, "tel": someone.phone[1], "c": someone.card[2]}
    )
    stacked = draw()
    stack = f'Traceback (most recent call last):\n  File "app.py", line 7\nValueError: {stacked.sentence(rng)}'
    return [
        attribute("gen_ai.operation.name", rng.choice(["chat", "execute_tool"])),
        attribute("gen_ai.request.model", "gpt-4o-2024-11-20"),
        attribute("gen_ai.response.id", f"chatcmpl-{rng.getrandbits(96):024x}"),
        attribute("gen_ai.input.messages", json.dumps([message])),
        attribute("gen_ai.tool.call.arguments", json.dumps({"q": json.dumps(json.dumps(nested))})),
        attribute("user.id", rng.choice(draw().email)),
        attribute("audit.reviewer.id", rng.choice(draw().email)),
        attribute("audit.task.id", f"task-{draw().customer}"),
        attribute("url.full", f"https://u:p@shop.example/?{query}"),
        attribute("unknown.dialect.field", draw().sentence(rng)),
        attribute("payload", base64.b64encode(draw().sentence(rng).encode()).decode()),
        attribute("exception.stacktrace", stack),
        attribute("blob", draw().sentence(rng).encode()),
        attribute("binary", b"\xff\xfe" + draw().email[0].encode() + bytes(100)),
        attribute("tree", nested),
        attribute("list", [draw().card[1], int(draw().card[0]), {"mail": draw().email[2]}]),
        attribute(draw().email[1], "in the key"),
        attribute("client.address", draw().ip),
        attribute("audit.rationale.text", f"Rang {draw().phone[2]} for {draw().name.upper()}"),
    ]  # fmt: skip


def traces(draw: Callable[[], Person], rng: random.Random, first: int, count: int) -> bytes:
    """A request with ``count`` spans, and two records that can not be read."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(
        [
            attribute("service.name", f"svc {draw().email[0]}"),
            attribute("host.name", f"pc-{draw().ip}"),
            attribute("owner", draw().sentence(rng)),
        ]
    )
    scope = resource.scope_spans.add()
    scope.scope.name = f"scope of {draw().email[0]}"
    scope.scope.attributes.append(attribute("author", draw().sentence(rng)))
    now = time.time_ns()
    for number in range(first, first + count):
        span = scope.spans.add(
            trace_id=(number + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name=f"mail {rng.choice(draw().email)} {draw().phone[1]}",
            trace_state=f"who={draw().email[0]}",
            start_time_unix_nano=now,
            end_time_unix_nano=now + 10**6,
        )
        span.attributes.extend(attributes_of(draw, rng))
        span.status.code = 2
        span.status.message = f"failed for {draw().sentence(rng)}"
        event = span.events.add(name=f"to {draw().email[0]}", time_unix_nano=now)
        event.attributes.extend([attribute("exception.message", draw().sentence(rng)), attribute("n", draw().name)])
        link = span.links.add(trace_id=b"1" * 16, span_id=b"2" * 8, trace_state=f"w={draw().email[0]}")
        link.attributes.append(attribute("why", draw().sentence(rng)))
    latin = draw().sentence(rng).encode().replace(b" ", b"\xff ", 1)
    ids = b"\x0a\x10" + bytes(15) + b"\x09\x12\x08" + (first + 10**6).to_bytes(8, "big")
    no_utf8 = ids + b"\x2a" + _length(latin) + latin
    no_span = b"\x0b" + draw().sentence(rng).encode()
    return request.SerializeToString() + b"".join(
        _nested(0x0A, _nested(0x12, _nested(0x12, record))) for record in (no_utf8, no_span)
    )


def _length(raw: bytes) -> bytes:
    size, out = len(raw), b""
    while size > 0x7F:
        out += bytes([size & 0x7F | 0x80])
        size >>= 7
    return out + bytes([size])


def _nested(tag: int, raw: bytes) -> bytes:
    return bytes([tag]) + _length(raw) + raw


def logs(draw: Callable[[], Person], rng: random.Random, count: int) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    now = time.time_ns()
    for _ in range(count):
        record = scope.log_records.add(time_unix_nano=now, severity_text=f"INFO {draw().email[0]}")
        record.event_name = f"mail.{draw().email[0]}"
        body = rng.choice([draw().sentence(rng), {"text": draw().sentence(rng), "card": int(draw().card[0])}])
        record.body.CopyFrom(any_value(body))
        record.attributes.extend(
            [
                attribute("note", draw().sentence(rng)),
                attribute("ssn", draw().ssn.replace("-", "")),
                attribute("audit.record.id", f"{rng.getrandbits(64):x} {draw().email[0]}"),
            ]
        )
    return request.SerializeToString()


def test_ten_thousand_persons_are_nowhere(tmp_path):
    """Under ``redacted``, what names somebody is in no file, row or log of a receiver, whatever path it came by."""
    rng = random.Random(20)
    persons = [person(rng, number) for number in range(PERSONS)]
    search = Search(persons)
    queue = itertools.cycle(persons)
    drawn: set[str] = set()

    def draw() -> Person:
        someone = next(queue)
        drawn.add(someone.name)
        return someone

    (tmp_path / "names.txt").write_text("\n".join(someone.name for someone in persons), encoding="utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'name = "shop"\nversion = "7"\nnames_file = "names.txt"\n[patterns]\ncustomer = "(?i)KDNR-[0-9]{6}"\n'
    )
    data = tmp_path / "data"
    with running(data, "--no-dashboard", "--capture-policy", str(policy)) as up:
        for first in range(0, RECORDS, BATCH):
            body = traces(draw, rng, first, BATCH)
            assert len(search.survivors(body)) > BATCH  # the search sees what is sent
            up.export(body, TRACES)
            up.export(logs(draw, rng, BATCH), LOGS)
        up.export(body, TRACES)  # sent again: recognised, though what is stored is not what was sent
        printed = up.stop()
    assert len(drawn) == PERSONS
    assert search.survivors(printed.encode()) == set()
    dump = subprocess.run([sys.executable, "-c", _DUMP, str(data)], check=True, capture_output=True, timeout=120).stdout
    stored = [
        row
        for row in map(json.loads, dump.decode(errors="replace").split("\n")[:-1])
        if row.get("record_kind") in {"span", "log"}
    ]
    events = [row for row in stored if row["event_type"] != "loss"]
    assert len(events) == 2 * RECORDS + RECORDS // BATCH
    assert not any("id_conflict" in remark for row in events for remark in row["remarks"])
    assert len(stored) - len(events) >= RECORDS // BATCH
    assert {row["capture_policy"] for row in stored} == {"shop/7"}
    assert search.survivors(dump) == set()
    for file in data.rglob("*"):
        if file.is_file():
            assert search.survivors(file.read_bytes()) == set(), file
    # What joins records is still there.
    assert sum(row["response_id"].startswith("chatcmpl-") for row in stored) == RECORDS
    assert {row["request_model"] for row in stored} == {"", "gpt-4o-2024-11-20"}
    assert len({row["user_id"] for row in stored if row["user_id"]}) == RECORDS
    assert verify(data)["status"] == "ok"


def test_a_policy_that_is_wrong_stops_the_start(tmp_path):
    """Nothing is received under a policy that nobody meant."""
    for choice, message in (
        ("redact", "neither one of reference, hash, redacted, full"),
        ("reference", "reference_base"),
    ):
        done = run("serve", "--data", str(tmp_path / "data"), "--grpc-port", "0", "--capture-policy", choice, code=2)
        assert message in done.stderr
