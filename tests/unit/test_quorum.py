"""Which lack of cosignatures is one, and which is only the moment before they come."""

import pytest

from otel_audit.ledger.checkpoint import AnchoredCheckpoint, sign_checkpoint
from otel_audit.ledger.cosignature import CosignatureSigner
from otel_audit.ledger.encoding import leaf_hash
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.note import Signer, parse_note
from otel_audit.ledger.quorum import check_quorum
from otel_audit.ledger.trust import Trust
from otel_audit.model import Checkpoint

LOG = Signer("example.com/log", bytes(range(32)))
ONE, TWO = (CosignatureSigner.generate(f"witness.example/w{number}") for number in (1, 2))
TRUST = Trust((LOG.verifier_key,), witnesses=(ONE.verifier_key.format(), TWO.verifier_key.format()), witness_quorum=2)
NOW = 1_800_000_000


def anchored(size, **cosigned_at):
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    note = sign_checkpoint(Checkpoint(LOG.name, size, tree_root(leaves)), [LOG])
    text, _ = parse_note(note)
    cosignatures = [{"one": ONE, "two": TWO}[name].cosign(text, seconds) for name, seconds in cosigned_at.items()]
    return AnchoredCheckpoint(LOG.name, note + "".join(cosignatures), "here")


@pytest.mark.parametrize(
    ("checkpoints", "expected"),
    [
        ([anchored(9, one=NOW - 5000, two=NOW - 4000)], []),
        ([anchored(9, one=NOW - 59, two=NOW), anchored(12)], [(Code.WITNESS_PENDING, 9)]),
        ([anchored(9, one=NOW - 1, two=NOW - 1), anchored(12, one=NOW)], [(Code.WITNESS_PENDING, 9)]),
        ([anchored(9, one=NOW - 61, two=NOW), anchored(12)], [(Code.WITNESS_QUORUM_MISSING, 9)]),
        ([anchored(9, one=NOW + 900, two=NOW + 900), anchored(12)], [(Code.WITNESS_QUORUM_MISSING, 9)]),
        ([anchored(9, one=NOW), anchored(12, one=NOW)], [(Code.WITNESS_QUORUM_MISSING, 0)]),
        ([anchored(12)], [(Code.WITNESS_QUORUM_MISSING, 0)]),
        ([], [(Code.WITNESS_QUORUM_MISSING, None)]),
    ],
)
def test_only_what_witnesses_just_confirmed_is_pending(checkpoints, expected):
    """A newest checkpoint without its cosignatures is pending for a minute after enough witnesses cosigned another."""
    findings = Findings(LOG.name)
    check_quorum(checkpoints, TRUST, findings, NOW * 10**9)
    assert [(each.code, each.seq) for each in findings.list()] == expected


def test_without_a_clock_nothing_is_pending():
    """Who does not say what time it is gets no minute of grace."""
    findings = Findings(LOG.name)
    check_quorum([anchored(9, one=NOW, two=NOW), anchored(12)], TRUST, findings)
    assert findings.has(Code.WITNESS_QUORUM_MISSING)
