"""A key rotation that is killed at each of its steps: the ledger verifies for whoever trusts the first key."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from otel_audit.store.folder import DataFolder
from tests.integration.running import run, verify

CRASH = """
import os, sys
from pathlib import Path
from otel_audit.anchors.file import FileAnchor
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.control_client import request_operation
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.receiver.service import ReceiverSettings
from otel_audit.store.folder import DataFolder

data, target, method, at = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
owner = globals()[target]
calls = []

def killed(self, *arguments, real=getattr(owner, method), **options):
    if DataFolder(data).waiting_signer() is not None or calls:
        calls.append(method)
    if len(calls) == at:
        os._exit(9)
    return real(self, *arguments, **options)

DataFolder(data).create("audit.example.com/rotated")
DataFolder(data).signer()
Path(sys.argv[5]).write_text("\\n".join(DataFolder(data).verifier_keys()))
setattr(owner, method, killed)
request_operation(ReceiverSettings(data), "rotate-key", {})
"""
STEPS = {
    "key_written": ("Sequencer", "submit", 1, False),
    "entry_committed": ("FileAnchor", "remember_key", 1, True),
    "anchor_knows": ("Checkpointer", "seal", 1, True),
    "sealed_by_both": ("DataFolder", "switch_signer", 1, True),
    "switched": ("Checkpointer", "sign_with", 2, True),
}


def killed_at(data, target, method, at, first):
    """A process that rotates the key and is gone at once when that method is called; ``first`` gets the first key."""
    arguments = [str(data), target, method, str(at), str(first)]
    done = subprocess.run(
        [sys.executable, "-c", CRASH, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 9, done.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_rotation_that_is_killed(tmp_path, step):
    """Before the entry nothing has happened; after it the next start finishes. The first key's verifier follows."""
    target, method, at, is_rotated = STEPS[step]
    data, first = tmp_path / "data", tmp_path / "first.txt"
    killed_at(data, target, method, at, first)
    old = DataFolder(data).signer() if step != "switched" else None
    waiting = DataFolder(data).waiting_signer()
    run("checkpoint", "--data", str(data))
    folder = DataFolder(data)
    assert (folder.signer() != old) is is_rotated
    assert (folder.waiting_signer() is None) is is_rotated, "finished, or waiting for the next rotation"
    if not is_rotated:  # asked for again, it takes the key that was made before the crash
        rotated = json.loads(run("keys", "rotate", "--data", str(data), "--json").stdout)
        assert rotated["new_key"] == waiting.verifier_key.format()
    report = verify(data, "--trust", str(first))
    assert (report["status"], report["findings"]) == ("ok", [])
