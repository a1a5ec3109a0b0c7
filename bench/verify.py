"""Verification: entries a second, recomputed here and in the engine, on one core and on all, beside SHA-256's limit.

    python bench/verify.py [ENTRIES]

The limit is SHA-256 alone over the same encodings, one core, in the same run.
"""

import hashlib
import os
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


def measure(path: Path) -> None:
    """One process, on the cores that it was given."""
    folder = DataFolder(path)
    trust = Trust().with_keys(VerifierKey.parse(text) for text in folder.verifier_keys())
    cores = len(os.sched_getaffinity(0))
    with open_embedded(folder, Role.READER) as database:
        encodings = [row for block in EvidenceReader(database).rows(ORIGIN, 0, 1 << 40) for row in block.encodings]
        size = sum(map(len, encodings)) / len(encodings)
        started = time.perf_counter()
        for encoding in encodings:
            hashlib.sha256(encoding).digest()
        limit = len(encodings) / (time.perf_counter() - started)
        count = len(encodings)
        del encodings
        print(
            f"{cores} core(s): {count:,} entries of {size:.0f} bytes; SHA-256 alone {limit / 1e3:,.0f} k/s (one core)"
        )
        for mode in ("recomputed", "engine"):
            best = 0.0
            for _ in range(3):
                started = time.perf_counter()
                report = verify_database(
                    database, trust=trust, anchors=FileAnchor(folder.anchors).read_all(), mode=mode
                )
                assert report.status == "ok", report.findings
                best = max(best, count / (time.perf_counter() - started))
            print(f"  {mode:<10} {best / 1e3:8,.0f} k entries/s   {best / limit:.2f} of the limit")


def main() -> None:
    if len(sys.argv) == 3:
        measure(Path(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "data"
        build(path, count)
        cores = sorted(os.sched_getaffinity(0))
        for chosen in {1: cores[:1], len(cores): cores}.values():
            command = [sys.executable, __file__, "--measure", str(path)]
            subprocess.run(command, check=True, preexec_fn=lambda chosen=chosen: os.sched_setaffinity(0, chosen))


if __name__ == "__main__":
    main()
