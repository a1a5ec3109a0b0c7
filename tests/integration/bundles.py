"""Evidence bundles to test with: a ledger that is made, and what somebody without its key could do to the files."""

import csv
import hashlib
import io
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import cryptography

from otel_audit.anchors import AnchorReading
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, sign_checkpoint
from otel_audit.ledger.digest import Digest, StoredDigest, Tip, sign_digest
from otel_audit.ledger.erasure import Erasure
from otel_audit.ledger.note import Signer
from otel_audit.ledger.statement import sign_statement
from otel_audit.model import AuditEvent, Checkpoint, Filter
from otel_audit.reports.bundle import verify_bundle as program
from otel_audit.reports.bundle.check import verify_bundle
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import Making, write_bundle
from tests.attacks.ledger import ORIGIN, SIGNER, START, TABLES, Built, event

MAKING = Making(START, "u_9", "complaint 4821", "0.1.0")
PROGRAM = Path(program.__file__)
SECOND = 1_000_000_000
WHERE = Filter(since=START + 5 * SECOND, until=START + 12 * SECOND)  # entries 5 to 11; 5 and 10 have texts
ERASED, ERASURE = 15, 20
OTHER = Signer("audit.example.com/other", b"o" * 32)
ANCHOR, DIGEST = "anchors/0/0.json", "digests/0.json"
OTHERS = Checkpoint(OTHER.verifier_key.name, 7, b"r" * 32)


def history():
    """300 entries; entry 20 says that the input of entry 15 was erased, and entry 21 that another key follows."""
    events = [event(seq) for seq in range(300)]
    events[2] = AuditEvent({**events[2].columns, "name": "=cmd()|x", "score": float("nan"), "task_id": 'a "b"\r\nc'})
    erasure = Erasure(ORIGIN, ((15, 15),), "art. 17", "dpo_1", "legal_4", START, "seqs", names=frozenset({"input"}))
    note = sign_statement("erasure", erasure.fields(), [SIGNER])
    events[ERASURE] = AuditEvent(
        {"event_type": "erasure", "record_kind": "internal", "attributes": [("audit.erasure.statement", note)]}
    )
    return Built().extend(events)


def anchors(built, *sizes):
    return [AnchoredCheckpoint(ORIGIN, built.note(size), f"/home/jane/x/2026.jsonl line {size}") for size in sizes]


def digest(built, *sizes, signer=SIGNER, number=1):
    """A daily digest of this ledger and another one."""
    tips = tuple(Tip(note, 0) for note in (*map(built.note, sizes), sign_checkpoint(OTHERS, [OTHER])))
    made = Digest(signer.verifier_key.name, number, "", "2026-11-25T00:00:00Z", tips)
    return StoredDigest(sign_digest(made, [signer]), f"/home/jane/x/digests/{number}.note", "x")


def reading(built, *sizes, digests=()):
    return AnchorReading(tuple(anchors(built, *sizes)), digests=tuple(digests))


def fill(store, built):
    """The ledger in the store, the newest ten entries under no checkpoint yet, and one text erased."""
    store.truncate(*TABLES)
    store.insert_entries(built, 0, 300)
    store.insert_contents(built)
    store.insert_tiles(built)
    store.insert_checkpoints(built, (100, 256, 290))
    store.run(f"ALTER TABLE audit_content DELETE WHERE seq = {ERASED} AND name = 'input'")


def make(database, built, where=WHERE, anchored=(100, 290), signer=SIGNER, digests=()):
    out = io.BytesIO()
    collector = Collector(database, where, reading(built, *anchored, digests=digests))
    made = write_bundle(out, collector, MAKING, signer=signer)
    return made, out.getvalue()


def unpacked(raw):
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def alone(path, trust, *, keys=True):
    """Run the program of the bundle with nothing but the standard library and cryptography to import."""
    site = Path(cryptography.__file__).parents[1]
    folder = path.parent / "only"
    folder.mkdir(exist_ok=True)
    for name in ("cryptography", "_cffi_backend*.so", "cffi"):
        for found in site.glob(name):
            if not (folder / found.name).exists():
                (folder / found.name).symlink_to(found)
    code = "import sys, runpy; sys.path.append(sys.argv.pop(1)); runpy.run_path(sys.argv[0], run_name='__main__')"
    start = f"import sys; sys.argv = sys.argv[1:]; {code}"
    options = ["--trust", str(trust)] if keys else []
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start, str(PROGRAM), str(folder), str(path), "--json", *options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def checked(path, trust):
    """The report, which is the same from both verifiers."""
    ours = verify_bundle(path, trust)
    theirs = alone(path, trust)
    assert theirs.returncode == {"ok": 0, "tampered": 1, "unverifiable": 1}[ours.status], theirs.stderr
    assert json.loads(theirs.stdout) == json.loads(json.dumps(ours.to_json()))
    return ours


def codes(report):
    return {(each.code, each.seq, each.column) for each in report.findings}


def sealed_again(files, signer=None):
    """What somebody who can change every file but has no key makes of it: hashes and counts of the manifest fit."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: hashlib.sha256(raw).hexdigest()
        for name, raw in files.items()
        if not name.startswith(("manifest.", "proofs/"))
    }
    for number, ledger in enumerate(manifest["ledgers"]):
        ledger["anchors"] = sum(name.startswith(f"anchors/{number}/") and name.endswith(".json") for name in files)
    manifest["digests"] = sum(name.startswith("digests/") for name in files)
    files["manifest.json"] = json.dumps(manifest).encode()
    stated = {"manifest_sha256": hashlib.sha256(files["manifest.json"]).hexdigest()}
    files["manifest.note"] = (
        sign_statement("bundle", stated, [signer]).encode()
        if signer
        else f"otel-audit/bundle/v1\n{json.dumps(stated, separators=(',', ':'))}\n".encode()
    )
    return files


def with_cell(raw, seq, column, value):
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    at = rows[0].index("seq")
    row = next(each for each in rows[1:] if each[at] == str(seq))
    row[rows[0].index(column)] = value
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def with_field(raw, seq, column, value):
    lines = [json.loads(line) for line in raw.splitlines()]
    next(each for each in lines if each["seq"] == seq)[column] = value
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in lines).encode()


def lines_of(raw, change):
    lines = raw.splitlines(keepends=True)
    change(lines)
    return b"".join(lines)


def frames_of(raw, change):
    frames = list(program.frames(io.BytesIO(raw)))
    change(frames)
    return b"".join(struct.pack(">I", len(each)) + each for each in frames)


def replaced(raw, old, new):
    assert old in raw
    return raw.replace(old, new)


def on(name, change):
    def tamper(files):
        files[name] = change(files[name])

    return tamper
