"""The digest over all ledgers of a store: made by each receiver, and what verify learns from it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.digest import Digest, StoredDigest, Tip, check_digests, open_digest, sign_digest
from otel_audit.ledger.note import Signer
from otel_audit.model import Checkpoint
from otel_audit.store.folder import DataFolder
from tests.integration.running import alter, run
from tests.integration.test_server_store import SERVER, export, serving
from tests.integration.test_up import spans_request

OURS, OTHER = Signer.generate("ours"), Signer.generate("other")


def tip(size, signer=OTHER, root=b"\1" * 32):
    return Tip(sign_checkpoint(Checkpoint(signer.name, size, root), [signer]), size)


def chain(count, signer=OURS):
    notes = []
    for number in range(1, count + 1):
        previous = "" if not notes else hashlib.sha256(notes[-1].encode()).hexdigest()
        digest = Digest(signer.name, number, previous, "2026-11-24T09:00:00Z", (tip(number),))
        notes.append(sign_digest(digest, [signer]))
    return notes


def check(notes):
    stored = [StoredDigest(note, f"file {number}", "folder") for number, note in enumerate(notes, 1)]
    checkpoints, findings = check_digests(stored, lambda origin: [OURS.verifier_key] if origin == "ours" else [])
    return checkpoints, [found.code for found in findings]


def test_an_intact_chain_gives_every_checkpoint_it_holds():
    """Each digest opens, follows the one before, and hands its checkpoints over."""
    notes = chain(3)
    checkpoints, codes = check(notes)
    assert (codes, [each.origin for each in checkpoints]) == ([], ["other"] * 3)
    assert open_digest(notes[2], [OURS.verifier_key]).number == 3


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (lambda notes: [notes[0], notes[2]], "ANCHOR_MISSING"),
        (lambda notes: notes[1:], "ANCHOR_MISSING"),
        (lambda notes: [notes[0], chain(3)[1].replace("09:00", "09:01"), notes[2]], "BAD_SIGNATURE"),
        (lambda notes: [*notes[:2], sign_digest(Digest("ours", 3, "0" * 64, "x", ()), [OURS])], "ANCHOR_MISSING"),
        (lambda notes: [*notes, sign_digest(Digest("ours", 3, "0" * 64, "x", ()), [OURS])], "SPLIT_VIEW"),
        (lambda notes: [*notes, sign_digest(Digest("ours", 4, "", "x", ()), [OTHER])], "UNKNOWN_KEY"),
        (lambda notes: [*notes, sign_digest(Digest("other", 1, "", "x", ()), [OTHER])], "ANCHOR_DAMAGED"),
        (lambda notes: [*notes, "nonsense"], "BAD_SIGNATURE"),
    ],
)
def test_a_digest_that_is_missing_or_forged_is_found(attack, code):
    """Whoever removes, alters, replaces or adds a digest leaves a finding."""
    assert code in check(attack(chain(3)))[1]


@contextmanager
def store(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}/audit"
    finally:
        process.communicate(timeout=60)


def verify(folder, anchors, origin, code=1):
    with store(folder) as address:
        url = f"http://reader:reader-token@{address}"
        report = json.loads(run("verify", "--url", url, "--anchor-dir", str(anchors), "--json", code=code).stdout)
    return {finding["code"] for finding in report["findings"] if finding["origin"] == origin}


def test_a_ledger_that_shrank_or_vanished_is_missed_by_the_digest_of_another_one(tmp_path):
    """Of two ledgers on one store one loses its end, then everything and its anchors: the other's digest names it."""
    folder, first, second = tmp_path / "store", tmp_path / "first", tmp_path / "second"
    with store(folder) as address:
        url = f"http://writer:writer-token@{address}"
        with serving(first, url) as (_, run_info):
            export(run_info, spans_request(0, 300))
        origin = DataFolder(first).identity().origin
        with serving(second, url) as (_, run_info):
            export(run_info, spans_request(0, 5))
            for _ in range(2):
                done = run("anchor", "--now", "--kind", "file", "--data", str(second), "--url", url, "--json").stdout
            assert json.loads(done)["digest"] >= 2
    shutil.rmtree(tmp_path / "first-anchors")
    anchors = tmp_path / "second-anchors"
    assert not verify(folder, anchors, origin) & {"LEDGER_MISSING", "TAIL_TRUNCATED", "CHAIN_REBUILT"}
    keep = "seq < 290"
    alter(
        folder,
        f"ALTER TABLE audit.audit_entries DELETE WHERE origin = '{origin}' AND NOT {keep}",
        f"ALTER TABLE audit.audit_checkpoints DELETE WHERE origin = '{origin}' AND size > 290",
    )
    assert "TAIL_TRUNCATED" in verify(folder, anchors, origin)
    tables = ("audit_entries", "audit_content", "audit_checkpoints", "audit_tiles", "audit_sealed", "audit_writers")
    alter(folder, *(f"ALTER TABLE audit.{table} DELETE WHERE origin = '{origin}'" for table in tables))
    assert "LEDGER_MISSING" in verify(folder, anchors, origin)
