"""Verification: entries a second, recomputed here and in the engine, with one job and with two, beside SHA-256's limit.

    python bench/verify.py [ENTRIES]

The limit is SHA-256 alone over the same encodings, one core, in the same run. Beside the rate by the clock stands the
processor time of an entry, of all processes and threads: that one means something on a busy machine, too.
"""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from otel_audit.anchors.file import FileAnchor
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.trust import Trust
from otel_audit.model import AuditEvent
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.reports.verification import verify_database
from otel_audit.store.database import Role, open_embedded
from otel_audit.store.evidence import EvidenceReader
from otel_audit.store.folder import DataFolder
from otel_audit.store.writer import LedgerWriter

ORIGIN = "bench"
GROUP = 20_000
ROUNDS = 3


def build(path: Path, count: int) -> None:
    """A ledger of AI calls without texts."""
    folder = DataFolder(path)
    folder.create(ORIGIN)
    with open_embedded(folder, Role.WRITER) as database:
        writer = LedgerWriter(database, ORIGIN)
        sequencer = Sequencer(writer, Checkpointer(writer, folder.signer(), [FileAnchor(folder.anchors)]))
        sequencer.start()
        for first in range(0, count, GROUP):
            sequencer.submit([call(number) for number in range(first, min(first + GROUP, count))]).result()
        sequencer.close()


def call(number: int) -> AuditEvent:
    return AuditEvent(
        {
            "event_type": "ai_call",
            "event_id": f"span:{number:032x}",
            "record_kind": "span",
            "event_time": 1_770_000_000_000_000_000 + number,
            "task_id": f"loan-{number // 3}",
            "service": "loan-assistant",
            "provider": "openai",
            "request_model": "gpt-5",
            "input_tokens": number % 5000,
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "attributes": [("gen_ai.operation.name", "chat"), ("server.address", "api.example.com")],
        }
    )


def measure(path: Path, jobs: int) -> None:
    """One process and what it starts, on the cores that it was given."""
    folder = DataFolder(path)
    trust = Trust().with_keys(VerifierKey.parse(text) for text in folder.verifier_keys())
    with open_embedded(folder, Role.READER) as database:
        encodings = [row for block in EvidenceReader(database).rows(ORIGIN, 0, 1 << 40) for row in block.encodings]
        count, size = len(encodings), sum(map(len, encodings)) / len(encodings)
        started, before = time.perf_counter(), cpu_seconds()
        for encoding in encodings:
            hashlib.sha256(encoding).digest()
        limit, limit_cpu = count / (time.perf_counter() - started), (cpu_seconds() - before) / count
        del encodings
        print(f"{jobs} job(s) on {jobs} core(s): {count:,} entries of {size:.0f} bytes")
        print(f"  SHA-256    {limit / 1e3:8,.0f} k entries/s   {limit_cpu * 1e6:.2f} us of processor an entry")
        for mode in ("recomputed", "engine"):
            rate, cost = 0.0, 1.0
            for _ in range(ROUNDS):
                started, before = time.perf_counter(), cpu_seconds()
                anchors = FileAnchor(folder.anchors).read_all()
                report = verify_database(database, trust=trust, anchors=anchors, mode=mode, jobs=jobs)
                assert report.status == "ok", report.findings
                rate = max(rate, count / (time.perf_counter() - started))
                cost = min(cost, (cpu_seconds() - before) / count)
            print(
                f"  {mode:<10} {rate / 1e3:8,.0f} k entries/s   {cost * 1e6:.2f} us of processor an entry   "
                f"{rate / limit:.2f} of the limit, {cost / limit_cpu:.1f} times its processor time"
            )


def cpu_seconds() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    if len(sys.argv) == 4:
        measure(Path(sys.argv[2]), int(sys.argv[3]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "data"
        build(path, count)
        cores = sorted(os.sched_getaffinity(0))
        for jobs in (1, 2):
            command = [sys.executable, __file__, "--measure", str(path), str(jobs)]
            subprocess.run(command, check=True, preexec_fn=lambda jobs=jobs: os.sched_setaffinity(0, cores[:jobs]))


if __name__ == "__main__":
    main()
