"""Key histories: which key speaks for which sizes, followed along signed rotations."""

from __future__ import annotations

import pytest

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, open_signed_checkpoint, sign_checkpoint
from otel_audit.ledger.erasure import KIND, Erasure, read_erasures
from otel_audit.ledger.findings import Findings
from otel_audit.ledger.keys import KeyWindow, Rotation, follow_rotations, open_rotation, sign_rotation
from otel_audit.ledger.note import BadSignature, Signer
from otel_audit.ledger.statement import sign_statement
from otel_audit.ledger.trust import Trust, format_trust, join_trust, parse_trust
from otel_audit.model import Checkpoint

ORIGIN = "audit.example.com/receiver-0"
ONE, TWO, THREE, THIEF = (Signer(ORIGIN, letter * 32) for letter in (b"1", b"2", b"3", b"x"))
TO_TWO, TO_THREE = Rotation(10, sign_rotation(ONE, TWO)), Rotation(20, sign_rotation(TWO, THREE))


def follow(trusted, rotations, anchored=(), compromised=None):
    findings = Findings(ORIGIN)
    named = {f"{ORIGIN}+{key.verifier_key.key_id.hex()}": since for key, since in (compromised or {}).items()}
    trust = Trust(tuple(key.verifier_key for key in trusted), named)
    history = follow_rotations(trust, rotations, anchored, findings)
    return history, [(each.code, each.seq) for each in findings.list()]


def counts(history, size, *signers):
    note = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), signers)
    return not history.problem(size, open_signed_checkpoint(note, history.keys, ORIGIN)[1])


@pytest.mark.parametrize("trusted", [[ONE], [TWO], [THREE], [ONE, THREE], [ONE, TWO, THREE]], ids=str)
def test_any_key_leads_to_all(trusted):
    """Whoever trusts one key of the chain gets all of them, each for its own sizes."""
    history, found = follow(trusted, [TO_TWO, TO_THREE])
    assert found == []
    assert history.windows == {
        ONE.verifier_key: KeyWindow(0, 10),
        TWO.verifier_key: KeyWindow(11, 20),
        THREE.verifier_key: KeyWindow(21, None),
    }


@pytest.mark.parametrize(
    ("size", "signers", "expected"),
    [
        (10, [ONE], True),
        (11, [ONE], False),
        (11, [ONE, TWO], True),
        (11, [TWO], True),
        (10, [TWO], False),
        (10, [ONE, TWO], True),
        (20, [TWO], True),
        (21, [TWO], False),
        (21, [THREE], True),
        (1_000_000, [ONE], False),
    ],
)
def test_a_key_speaks_for_its_sizes_only(size, signers, expected):
    """The old key up to the rotation's entry, the new one from there on; of two signatures one is enough."""
    history, _ = follow([ONE], [TO_TWO, TO_THREE])
    assert counts(history, size, *signers) is expected


@pytest.mark.parametrize(
    ("seq", "signer", "counts"),
    [(9, ONE, True), (10, ONE, False), (15, ONE, False), (9, TWO, False), (10, TWO, True), (20, TWO, False)],
)
def test_a_retired_key_signs_no_erasure(seq, signer, counts):
    """An erasure counts only when its key was in use at its entry, also one that a stolen retired key signed."""
    history, _ = follow([THREE], [TO_TWO, TO_THREE])
    erasure = Erasure(ORIGIN, ((3, 3),), "basis", "one", "two", 1, "seqs")
    findings = Findings(ORIGIN)
    erasures = read_erasures([(seq, sign_statement(KIND, erasure.fields(), [signer]))], history, findings)
    assert list(erasures.valid) == ([seq] if counts else [])
    assert [each.code for each in findings.list()] == ([] if counts else ["FALSE_TOMBSTONE"])


def test_without_rotations_each_trusted_key_speaks_for_all():
    """What somebody trusts by hand needs no statement."""
    history, found = follow([ONE, TWO], [])
    assert (counts(history, 5, ONE), counts(history, 5, TWO), found) == (True, True, [])


def test_nobody_is_trusted():
    """Rotations among strangers introduce nobody, and are no finding of their own: nothing can be judged."""
    history, found = follow([], [TO_TWO])
    assert (history.keys, found) == ([], [])


@pytest.mark.parametrize(
    ("rotations", "expected"),
    [
        ([Rotation(10, sign_rotation(THIEF, TWO))], [("UNKNOWN_KEY", 10)]),
        ([TO_TWO, Rotation(15, sign_rotation(ONE, THIEF))], [("KEY_OUTSIDE_VALIDITY", 15)]),
        ([TO_TWO, Rotation(15, sign_rotation(TWO, ONE))], [("KEY_OUTSIDE_VALIDITY", 15)]),
        ([TO_TWO, Rotation(15, sign_rotation(ONE, TWO))], [("KEY_OUTSIDE_VALIDITY", 15)]),
        ([Rotation(10, "nonsense")], [("BAD_SIGNATURE", 10)]),
        ([Rotation(10, TO_TWO.note.replace("key_rotation", "erasure"))], [("BAD_SIGNATURE", 10)]),
    ],
    ids=["by_a_stranger", "by_a_retired_key", "back_to_an_old_key", "twice", "nonsense", "another_kind"],
)
def test_rotations_that_do_not_count(rotations, expected):
    """A rotation by a key that is not in use, or to one that was, changes nothing and is named with its entry."""
    history, found = follow([ONE], rotations)
    assert found == expected
    assert THIEF.verifier_key not in history.keys


@pytest.mark.parametrize("signers", [[ONE], [TWO], [THIEF]], ids=["old_only", "new_only", "neither"])
def test_both_keys_must_sign(signers):
    """A statement that only one of its keys signed is forged."""
    fields = {"new_key": TWO.verifier_key.format(), "old_key": ONE.verifier_key.format()}
    with pytest.raises(BadSignature):
        open_rotation(sign_statement("key_rotation", fields, signers))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"new_key": "x", "old_key": "y"},
        {"new_key": ONE.verifier_key.format(), "old_key": ONE.verifier_key.format()},
        {"new_key": Signer("other", b"o" * 32).verifier_key.format(), "old_key": ONE.verifier_key.format()},
    ],
)
def test_a_statement_must_name_two_keys_of_one_ledger(fields):
    """Anything else is refused before its signatures are looked at."""
    with pytest.raises(VerificationError):
        open_rotation(sign_statement("key_rotation", fields, [ONE, Signer("other", b"o" * 32)]))


def attested(size, signer, nanos):
    note = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), [signer])
    return AnchoredCheckpoint(ORIGIN, note, "tsa", kind="rfc3161", attested_unix_nano=nanos)


def test_a_compromised_key_speaks_up_to_what_an_anchor_proves():
    """Only what a third party saw before the theft counts; what it saw later, or in the file anchor, does not."""
    anchored = [attested(5, ONE, 99), attested(8, ONE, 100), attested(9, ONE, None), attested(50, THIEF, 1)]
    history, found = follow([ONE], [], anchored, {ONE: 100})
    assert [counts(history, size, ONE) for size in (5, 6, 8, 9)] == [True, False, False, False]
    assert found == []


def test_a_rotation_by_a_stolen_key_needs_proof_too():
    """A thief can not rotate to a key of their own; a key that is trusted anyway, or a proven rotation, counts."""
    assert follow([ONE], [TO_TWO], [], {ONE: 100})[1] == [("KEY_OUTSIDE_VALIDITY", 10)]
    assert follow([ONE], [TO_TWO], [attested(11, ONE, 99)], {ONE: 100})[1] == []
    history, found = follow([ONE, TWO], [TO_TWO], [], {ONE: 100})
    assert (found, counts(history, 11, TWO), counts(history, 10, ONE)) == ([], True, False)


def test_trust_files_together():
    """Of several files all keys count, and the earlier date of a compromise."""
    one = Trust((ONE.verifier_key,), {"k": 5}, witness_quorum=1, anchors=({"kind": "s3"},))
    other = Trust((TWO.verifier_key, ONE.verifier_key), {"k": 3, "l": 9}, anchors=({"kind": "s3"},))
    both = join_trust([one, other])
    assert both.verifier_keys == (ONE.verifier_key, TWO.verifier_key)
    assert (both.compromised_keys, both.witness_quorum, len(both.anchors)) == ({"k": 3, "l": 9}, 1, 1)
    second = Trust(one.verifier_keys, {"k": 1_700_000_000_000_000_000})
    assert parse_trust(format_trust(second), "file") == second
