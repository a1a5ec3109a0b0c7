"""Proof files: what the format allows, and what a proof is refused for."""

import hashlib

import pytest

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import WrongOrigin, sign_checkpoint
from otel_audit.ledger.merkle import inclusion_proof, leaf_subtrees, tree_root
from otel_audit.ledger.note import Signer, UnknownKey
from otel_audit.ledger.proof_file import InclusionProof, format_proof, parse_proof, verify_proof
from otel_audit.model import Checkpoint

ORIGIN = "audit.example.com/receiver-0"
SIGNER = Signer(ORIGIN, b"s" * 32)
LEAVES = [hashlib.sha256(b"%d" % number).digest() for number in range(11)]
NOTE = sign_checkpoint(Checkpoint(ORIGIN, len(LEAVES), tree_root(LEAVES)), [SIGNER])


def proof_of(index, extra=b""):
    return InclusionProof(index, inclusion_proof(index, len(LEAVES), leaf_subtrees(LEAVES)), NOTE, extra)


@pytest.mark.parametrize("index", range(11))
def test_a_proof_file_says_where_its_entry_is(index):
    """Every entry's proof comes back from its file as it was, and leads to the signed root."""
    proof = proof_of(index)
    parsed = parse_proof(format_proof(proof))
    assert parsed == proof
    assert verify_proof(parsed, LEAVES[index], [SIGNER.verifier_key], ORIGIN).size == 11


def test_the_text_is_that_of_the_specification():
    """The lines come in the order of C2SP tlog-proof, with the extra data before the index."""
    lines = format_proof(proof_of(10, b"more")).split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra bW9yZQ==", "index 10"]
    assert lines[5:8] == ["", ORIGIN, "11"]
    assert parse_proof("\n".join(lines)).extra == b"more"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 7", "index 07"),
        ("index 7", "index"),
        ("index 7\n", "extra \nindex 7\n"),
        ("index 7\n", "index 7\nQUJD\n"),
        ("index 7\n", "index 7\n*\n"),
        ("\n\n", "\n"),
    ],
)
def test_a_malformed_file_is_refused(old, new):
    """One proof has one form."""
    with pytest.raises(VerificationError):
        verify_proof(parse_proof(format_proof(proof_of(7)).replace(old, new)), LEAVES[7], [SIGNER.verifier_key], ORIGIN)


def test_a_proof_of_another_entry_ledger_or_key_is_refused():
    """A proof speaks for one leaf of one ledger, and only under a trusted key."""
    keys = [SIGNER.verifier_key]
    with pytest.raises(VerificationError, match="does not lead"):
        verify_proof(proof_of(3), LEAVES[4], keys, ORIGIN)
    with pytest.raises(VerificationError, match="does not lead"):
        verify_proof(InclusionProof(4, proof_of(3).hashes, NOTE), LEAVES[3], keys, ORIGIN)
    with pytest.raises(WrongOrigin):
        verify_proof(proof_of(3), LEAVES[3], keys, "elsewhere")
    with pytest.raises(UnknownKey):
        verify_proof(proof_of(3), LEAVES[3], [Signer(ORIGIN, b"x" * 32).verifier_key], ORIGIN)
