"""A witness that is killed between persisting and answering, or before: it never cosigns another history."""

import os
import signal
import subprocess
import sys

import pytest

from otel_audit.anchors.witness_service import Witness, witness_key
from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.encoding import leaf_hash
from otel_audit.ledger.merkle import consistency_proof, leaf_subtrees, tree_root
from otel_audit.ledger.note import Signer
from otel_audit.ledger.witnessing import SizeConflict, SplitView, format_add_checkpoint
from otel_audit.model import Checkpoint

LOG = Signer("example.com/log", bytes(range(32)))
LOGS = {LOG.name: [LOG.verifier_key]}
TRUNK = [leaf_hash(str(number).encode()) for number in range(20)]
FORK = [*TRUNK[:5], *(leaf_hash(f"other {number}".encode()) for number in range(5, 20))]

# The real witness, which dies when it is about to sign (its memory is durable), or at the n-th fsync before that.
CHILD = """
import os, signal, sys
from pathlib import Path
from otel_audit.anchors import witness_service
from otel_audit.ledger.cosignature import CosignatureSigner
from otel_audit.ledger.note import VerifierKey

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

folder, key, when = Path(sys.argv[1]), VerifierKey.parse(sys.argv[2]), sys.argv[3]
signer = witness_service.witness_key(folder, None)
witness = witness_service.Witness(folder, signer, {key.name: [key]})
if when == "signing":
    CosignatureSigner.cosign = die
else:
    os.fsync = die
witness.add_checkpoint(sys.stdin.buffer.read())
"""


def body(leaves, old, size):
    proof = consistency_proof(old, size, leaf_subtrees(leaves)) if old else []
    note = sign_checkpoint(Checkpoint(LOG.name, size, tree_root(leaves[:size])), [LOG])
    return format_add_checkpoint(old, proof, note).encode()


def killed(folder, when, request):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), LOG.verifier_key.format(), when],
        input=request,
        check=False,
        timeout=60,
        env=dict(os.environ),
    )
    assert done.returncode == -signal.SIGKILL


def test_killed_between_persisting_and_answering_twice(tmp_path):
    """What was persisted counts as cosigned, though nobody got the line: a fork is refused, the same is cosigned."""
    witness_key(tmp_path, "witness.example/w1")
    killed(tmp_path, "signing", body(TRUNK, 0, 7))
    killed(tmp_path, "signing", body(TRUNK, 7, 12))
    witness = Witness(tmp_path, witness_key(tmp_path, None), LOGS)
    assert witness.newest(LOG.name).size == 12
    with pytest.raises(SplitView):
        witness.add_checkpoint(body(FORK, 7, 12))
    with pytest.raises(VerificationError):
        witness.add_checkpoint(body(FORK, 12, 15))
    with pytest.raises(SizeConflict) as told:
        witness.add_checkpoint(body(TRUNK, 7, 15))
    assert told.value.size == 12
    assert witness.add_checkpoint(body(TRUNK, 12, 12))
    assert witness.add_checkpoint(body(TRUNK, 12, 15))
    witness.close()


def test_killed_before_persisting_twice(tmp_path):
    """What was not persisted was not cosigned either: the witness stands where it stood, whole."""
    witness = Witness(tmp_path, witness_key(tmp_path, "witness.example/w1"), LOGS)
    witness.add_checkpoint(body(TRUNK, 0, 7))
    witness.close()
    killed(tmp_path, "writing", body(TRUNK, 7, 12))
    killed(tmp_path, "writing", body(TRUNK, 7, 12))
    witness = Witness(tmp_path, witness_key(tmp_path, None), LOGS)
    assert witness.newest(LOG.name).size == 7
    assert witness.add_checkpoint(body(FORK[:5] + TRUNK[5:], 7, 12))
    witness.close()
