"""The 196 public Merkle cases of transparency-dev/merkle: each comes out as its ``wantErr`` says."""

import base64
import json
from pathlib import Path

import pytest

from otel_audit.errors import VerificationError
from otel_audit.ledger.merkle import verify_consistency, verify_inclusion

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors" / "merkle"
CASES = sorted(VECTORS.rglob("*.json"))

pytestmark = pytest.mark.skipif(not CASES, reason=f"the public Merkle vectors are not at {VECTORS}")


def decoded(value):
    return base64.b64decode(value) if isinstance(value, str) else [base64.b64decode(item) for item in value or ()]


def test_all_cases_are_there():
    """98 inclusion and 98 consistency cases run, not a part of them."""
    kinds = [path.relative_to(VECTORS).parts[0] for path in CASES]
    assert (kinds.count("inclusion"), kinds.count("consistency")) == (98, 98)


@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.relative_to(VECTORS)))
def test_case(path):
    """The proof is accepted or refused as the vector says."""
    case = json.loads(path.read_text())
    proof = decoded(case["proof"])
    root = decoded(case["root"] if "root" in case else case["root2"]) if case.get("root") or case.get("root2") else b""

    def verify():
        if "leafIdx" in case:
            leaf = decoded(case["leafHash"] or "")
            verify_inclusion(leaf, case["leafIdx"], case["treeSize"], root, proof)
        else:
            verify_consistency(case["size1"], decoded(case["root1"] or ""), case["size2"], root, proof)

    if case["wantErr"]:
        with pytest.raises(VerificationError):
            verify()
    else:
        verify()
