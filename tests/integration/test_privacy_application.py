"""Ten thousand made-up persons through an application's own pipeline: nothing of them is in spool, log or request."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from tests.integration.otlp_collector import Collector
from tests.integration.test_delivery import free_port
from tests.persons import Search, person

PERSONS = 10_000
ROOT = Path(__file__).parents[2]

APP = """
import base64, itertools, json, random, sys
from urllib.parse import quote
from opentelemetry import _logs, trace
from opentelemetry._logs import LogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState
import otel_audit as audit
from tests.persons import person

persons = itertools.cycle([person(rng, n) for rng in [random.Random(20)] for n in range(int(sys.argv[1]))])
rng = random.Random(3)
def draw():
    return next(persons)
def text():
    return draw().sentence(rng)

who = draw()
owner = Resource.create({"service.name": f"svc {draw().email[0]}", "owner": text(), "host.name": f"pc-{draw().ip}"})
trace.set_tracer_provider(TracerProvider(resource=owner))
audit.configure()
tracer = trace.get_tracer(f"scope of {draw().email[0]}")
logger = _logs.get_logger("genai")
for number in range(500):
    some = draw()
    nested = {"person": {"note": some.sentence(rng), "card": int(some.card[0]), "phone": some.phone[0]}}
    address = draw().email[0].encode("ascii", "ignore").decode()
    there = SpanContext(1, 2, False, TraceFlags(1), TraceState([("who", f"{number}{address}")]))
    with audit.task(f"task-{draw().customer}", kind="credit", subject_ref=draw().email[1]):
        span = tracer.start_span(f"mail {draw().email[0]} {draw().phone[1]}", links=[Link(there, {"why": text()})])
        span.set_attributes({
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"content": json.dumps(nested)}]}]),
            "url.full": f"https://x.example/?m={quote(some.email[0])}&t={quote(some.phone[1], safe='')}"
            f"&n={quote(some.name)}",
            "payload": base64.b64encode(text().encode()).decode(),
            "blob": text().encode(),
            "list": [draw().card[1], draw().email[2]],
            "card": int(draw().card[0]),
            "client.address": draw().ip,
            draw().email[1]: "in the key",
        })
        span.add_event(f"to {draw().email[0]}", {"note": text()})
        try:
            raise ValueError(text())
        except ValueError as exc:
            span.record_exception(exc)
        span.set_status(Status(StatusCode.ERROR, text()))
        span.end()
        logger.emit(LogRecord(event_name="gen_ai.choice", body={"text": text(), "card": int(draw().card[0])},
                              attributes={"note": text(), "deep": {"mail": draw().email[0]}}))
        with audit.review(f"task-{draw().customer}", reviewer=draw().email[0]) as review:
            review.modify(text(), text(), rationale=text(), rationale_code=f"called {draw().phone[0]}")
        to = draw().email[1]
        audit.escalate(f"task-{draw().customer}", from_reviewer=draw().email[0], to_reviewer=to, reason=text())
        audit.record_access("search", actor=draw().email[0], filter={"text": text()}, purpose=text())
        audit.finish_review(text(), decision="approved")  # no ticket at all: its text must not be logged
        audit.resolve(f"task-{draw().customer}", by=draw().email[0], resolution="paid", note=text())
print(json.dumps(audit.error_counts()))
"""


def test_nothing_of_ten_thousand_persons_leaves_the_application(tmp_path: Path, spool_folder: Path) -> None:
    """Whatever path personal data takes into a span, a log record or an audit event, it is masked before the disk."""
    rng = random.Random(20)
    persons = [person(rng, number) for number in range(PERSONS)]
    search = Search(persons)
    (tmp_path / "names.txt").write_text("\n".join(each.name for each in persons), encoding="utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'name = "shop"\nversion = "7"\nnames_file = "names.txt"\n[patterns]\ncustomer = "(?i)KDNR-[0-9]{6}"\n'
    )
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OTEL_AUDIT_CAPTURE_POLICY": str(policy),
        "OTEL_AUDIT_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_AUDIT_EXIT_SECONDS": "0.1",
    }
    app = [sys.executable, "-c", APP]
    done = subprocess.run(
        [*app, str(PERSONS)], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert search.survivors((done.stdout + done.stderr).encode()) == set()
    spooled = b"".join(path.read_bytes() for path in spool_folder.rglob("*") if path.is_file())
    assert spooled.count(b"[email:") > 5000
    assert search.survivors(spooled) == set()
    plain = {**environment, "OTEL_AUDIT_CAPTURE_POLICY": "full", "OTEL_AUDIT_SPOOL_DIR": str(tmp_path / "plain")}
    seen = subprocess.run([*app, "50"], env=plain, capture_output=True, timeout=100, check=True)
    bare = b"".join(path.read_bytes() for path in (tmp_path / "plain").rglob("*.spool"))
    assert len(search.survivors(bare)) > 200, seen.stderr  # the search sees what is there
    with Collector(port) as collector:  # and what is sent reads as records
        subprocess.run(
            [
                sys.executable,
                "-c",
                "import otel_audit as a; a.configure(); a.record_access('x', actor='y'); a.flush(60)",
            ],
            env={**environment, "OTEL_AUDIT_EXIT_SECONDS": "60"},
            check=True,
            timeout=200,
        )
        assert {span.attributes["audit.capture_policy"] for span in collector.spans} == {"shop/7"}
        assert len(collector.spans) > 3000
        assert len(collector.logs) == 500
