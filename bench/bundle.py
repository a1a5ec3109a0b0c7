"""``python bench/bundle.py [rows]``: an evidence bundle made and checked, beside SHA-256 of the same bytes.

Also how much memory it takes: a bundle is made in pieces, so that only its table of contents grows with it.
"""

from __future__ import annotations

import hashlib
import io
import resource
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.encoding import encode_entry, encode_event, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.note import Signer
from otel_audit.ledger.tiles import TileBuilder
from otel_audit.model import AuditEvent, Checkpoint, Filter
from otel_audit.privacy.commitments import commit, new_opening
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.verify_bundle import verify_bundle
from otel_audit.reports.bundle.writer import Making, write_bundle
from otel_audit.store.database import Database, Role, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.migrate import migrate

ORIGIN = "bench/bundle"
SIGNER = Signer(ORIGIN, b"b" * 32)
WORDS = "the applicant qualifies because the payslip shows a regular income and no open claims were found in the file "


def fill(database: Database, rows: int) -> None:
    leaves: list[bytes] = []
    entries, contents = bytearray(), []
    for seq in range(rows):
        texts = {"input": f"Case {seq}: {WORDS * 5}", "output": f"{WORDS * 3} ({seq})"}
        openings = {name: new_opening() for name in texts}
        commitments = {name: commit(name, value, openings[name]) for name, value in texts.items()}
        attributes = [(f"bench.attribute.{number}", f"value {seq}") for number in range(10)]
        event = AuditEvent(
            {
                "event_type": "ai_call",
                "event_time": 10**18 + seq,
                "end_time": 10**18 + seq,
                "task_id": f"task-{seq // 5}",
                "attributes": attributes,
            }
        )
        previous = leaves[-1] if leaves else genesis_hash(ORIGIN)
        encoding = encode_entry(origin_prefix(ORIGIN), seq, previous, 10**18, encode_event(event, commitments))
        leaves.append(leaf_hash(encoding))
        entries += encoding + leaves[-1]
        contents += [[ORIGIN, seq, name, commitments[name], openings[name], value] for name, value in texts.items()]
    root = tree_root(leaves)
    note = sign_checkpoint(Checkpoint(ORIGIN, rows, root), [SIGNER])
    builder = TileBuilder()
    builder.extend(leaves)
    tiles = [[ORIGIN, tile.level, tile.index, tile.hashes] for tile in builder.take_full_tiles()]
    with database.client() as client:
        client.raw_insert("audit_entries", insert_block=bytes(entries), fmt="RowBinary")
        names = ["origin", "seq", "name", "commitment", "opening", "value"]
        client.insert("audit_content", contents, names)
        client.insert("audit_tiles", tiles, ["origin", "level", "tile_index", "hashes"])
        types = ["String", "UInt64", "FixedString(32)", "DateTime64(9, 'UTC')", "String"]
        names = ["origin", "size", "root_hash", "created_at", "note"]
        client.insert("audit_checkpoints", [[ORIGIN, rows, root, 10**18, note]], names, column_type_names=types)


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as scratch:
        folder = DataFolder(Path(scratch) / "data")
        folder.create(ORIGIN)
        database = open_embedded(folder, Role.ADMIN)
        migrate(database)
        fill(database, rows)
        write_bundle(io.BytesIO(), Collector(database, Filter(task_id="task-0")), Making(0, "", "", ""))  # warm
        before = memory_mb()
        path = Path(scratch) / "bundle.zip"
        begun = time.perf_counter()
        with path.open("wb") as out:
            write_bundle(out, Collector(database, Filter()), Making(0, "", "", ""), signer=SIGNER)
        making = time.perf_counter() - begun
        grown = memory_mb() - before
        begun = time.perf_counter()
        report = verify_bundle(str(path), SIGNER.verifier_key.format())
        checking = time.perf_counter() - begun
        assert report["status"] == "ok", report
        with zipfile.ZipFile(path) as archive:
            parts = [archive.read(name) for name in archive.namelist()]
        begun = time.perf_counter()
        for part in parts:
            hashlib.sha256(part).digest()
        limit = time.perf_counter() - begun
        size = sum(map(len, parts))
        database.close()
    print(f"bundle of {rows:,} rows: {size / 1e6:.1f} MB in {len(parts):,} files")
    print(f"  making    {rows / making:8,.0f} rows/s   {making / limit:6.0f} times SHA-256 of the same bytes")
    print(f"  checking  {rows / checking:8,.0f} rows/s   {checking / limit:6.0f} times SHA-256 of the same bytes")
    print(f"  memory    {grown:8,.0f} MB more at the peak than before")


if __name__ == "__main__":
    main()
