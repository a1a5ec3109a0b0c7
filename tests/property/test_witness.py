"""Whatever a witness is asked, and in whatever order, it never cosigns two histories."""

import contextlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.anchors.witness_service import Witness, witness_key
from otel_audit.errors import AuditError, ConfigError, MalformedInput, StoreError, StoreLocked, VerificationError
from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.cosignature import verify_cosignatures
from otel_audit.ledger.encoding import leaf_hash
from otel_audit.ledger.merkle import consistency_proof, leaf_subtrees, tree_root, verify_consistency
from otel_audit.ledger.note import BadSignature, Signer, UnknownKey
from otel_audit.ledger.witnessing import SizeConflict, SplitView, UnknownOrigin, format_add_checkpoint
from otel_audit.model import Checkpoint

LOG = Signer("example.com/log", bytes(range(32)))
LOGS = {LOG.name: [LOG.verifier_key]}
SIZE, FORK_AT = 24, 9
TRUNK = [leaf_hash(f"entry {number}".encode()) for number in range(SIZE)]
FORK = TRUNK[:FORK_AT] + [leaf_hash(f"other {number}".encode()) for number in range(FORK_AT, SIZE)]


def note_of(leaves, size, signer=LOG, origin=LOG.name):
    return sign_checkpoint(Checkpoint(origin, size, tree_root(leaves[:size])), [signer])


def proof_of(leaves, old, size):
    return consistency_proof(old, size, leaf_subtrees(leaves)) if 0 < old <= size else []


def body(leaves, old, size):
    return format_add_checkpoint(old, proof_of(leaves, old, size), note_of(leaves, size)).encode()


@pytest.fixture
def witness(tmp_path):
    made = Witness(tmp_path, witness_key(tmp_path, "witness.example/w1"), LOGS, clock=lambda: 1_700_000_000 * 10**9)
    yield made
    made.close()


def assert_one_history(cosigned):
    """Each of these (leaves, size) continues every smaller one."""
    roots = {(size, tree_root(leaves[:size])): leaves for leaves, size in cosigned}
    ordered = sorted(roots, key=lambda each: each[0])
    for (size1, root1), (size2, root2) in itertools.pairwise(ordered):
        if size1:
            verify_consistency(size1, root1, size2, root2, proof_of(roots[size2, root2], size1, size2))


steps = st.lists(
    st.tuples(st.sampled_from([TRUNK, FORK]), st.integers(0, SIZE), st.integers(0, SIZE), st.booleans()), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_no_sequence_of_requests_gets_two_histories_cosigned(tmp_path_factory, steps):
    """Right and wrong old sizes, forks, replays and restarts: all that was cosigned is one history."""
    folder = tmp_path_factory.mktemp("witness")
    witness = Witness(folder, witness_key(folder, None), LOGS)
    cosigned = []
    for leaves, guess, size, ask_first in steps:
        old = guess
        if ask_first:  # as a client does that was told the right size
            newest = witness.newest(LOG.name)
            old = newest.size if newest else 0
        with contextlib.suppress(AuditError):
            witness.add_checkpoint(body(leaves, old, size))
            cosigned.append((leaves, size))
        if size % 5 == 0:
            witness.close()
            witness = Witness(folder, witness_key(folder, None), LOGS)
    witness.close()
    assert_one_history(cosigned)
    assert [size for _, size in cosigned] == sorted(size for _, size in cosigned)


def test_concurrent_requests_get_one_history_cosigned(witness):
    """Of a trunk and a fork that many threads send at once, one is cosigned, and it never gets smaller."""
    witness.add_checkpoint(body(TRUNK, 0, FORK_AT))
    cosigned, ready = [], threading.Barrier(8)

    def send(number):
        leaves = (TRUNK, FORK)[number % 2]
        ready.wait()
        for size in range(FORK_AT, SIZE + 1):
            for old in range(FORK_AT, size + 1):
                with contextlib.suppress(AuditError):
                    witness.add_checkpoint(body(leaves, old, size))
                    cosigned.append((leaves, size))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    assert_one_history(cosigned)
    assert witness.newest(LOG.name).size == max(size for _, size in cosigned)


def test_each_refusal_has_its_reason(witness):
    """Each rule of the specification has its own error, and none of the refused requests is remembered."""
    line = witness.add_checkpoint(body(TRUNK, 0, 7))
    assert verify_cosignatures(note_of(TRUNK, 7) + line, [witness.key])[0].unix_seconds == 1_700_000_000
    assert witness.add_checkpoint(body(TRUNK, 7, 7)) == line  # again: the same, with the time of now
    stranger = Signer(LOG.name, bytes(32))
    for request, error in (
        (body(TRUNK, 0, 12), SizeConflict),
        (body(TRUNK, 5, 6), SizeConflict),
        (format_add_checkpoint(7, [], note_of(FORK[1:], 7)).encode(), SplitView),
        (format_add_checkpoint(7, [], note_of(TRUNK, 12)).encode(), VerificationError),
        (format_add_checkpoint(7, proof_of(FORK[1:], 7, 12), note_of(FORK[1:], 12)).encode(), VerificationError),
        (format_add_checkpoint(7, [], note_of(TRUNK, 7, stranger)).encode(), UnknownKey),
        (format_add_checkpoint(7, [], note_of(TRUNK, 7).replace("\n7\n", "\n8\n")).encode(), BadSignature),
        (format_add_checkpoint(7, [], note_of(TRUNK, 7, origin="example.com/x")).encode(), UnknownOrigin),
        (format_add_checkpoint(8, [], note_of(TRUNK, 7)).encode(), MalformedInput),
        (b"old 07\n\n" + note_of(TRUNK, 7).encode(), MalformedInput),
        (b"old 7\nAAAA\n\n" + note_of(TRUNK, 7).encode(), MalformedInput),
        (format_add_checkpoint(7, [bytes(32)] * 64, note_of(TRUNK, 12)).encode(), MalformedInput),
        (note_of(TRUNK, 7).encode(), MalformedInput),
        (b"", MalformedInput),
        (b"\xff\n\n", MalformedInput),
    ):
        with pytest.raises(error):
            witness.add_checkpoint(request)
        assert witness.newest(LOG.name) == Checkpoint(LOG.name, 7, tree_root(TRUNK[:7]))


def test_a_first_checkpoint_has_no_proof(witness):
    """From size 0 a proof must be empty, and size 0 has the root of the empty tree."""
    with pytest.raises(VerificationError, match="empty"):
        witness.add_checkpoint(format_add_checkpoint(0, [bytes(32)], note_of(TRUNK, 7)).encode())
    forged = sign_checkpoint(Checkpoint(LOG.name, 0, bytes(32)), [LOG])
    with pytest.raises(VerificationError, match="empty tree"):
        witness.add_checkpoint(format_add_checkpoint(0, [], forged).encode())


def test_a_fork_is_kept_as_evidence_once(witness, tmp_path):
    """What a ledger signed beside what was cosigned is kept with it, in one file, however often it is sent."""
    witness.add_checkpoint(body(TRUNK, 0, 12))
    for _ in range(3):
        with pytest.raises(SplitView):
            witness.add_checkpoint(body(FORK, 12, 12))
    (kept,) = (tmp_path / "refused").glob("*/*.json")
    assert '"refused"' in kept.read_text()
    assert '"cosigned"' in kept.read_text()


def test_a_damaged_memory_is_not_taken_for_none(witness, tmp_path):
    """A state file that can't be read stops cosigning for its ledger: it never counts as 'nothing cosigned yet'."""
    witness.add_checkpoint(body(TRUNK, 0, 12))
    (state,) = (tmp_path / "cosigned").glob("*.json")
    state.write_text("{}")
    with pytest.raises(StoreError, match="Restore it"):
        witness.add_checkpoint(body(FORK, 0, 12))


def test_a_key_without_its_memory_is_refused(witness, tmp_path):
    """A witness whose folder of cosigned checkpoints is gone does not start."""
    (tmp_path / "cosigned").rmdir()
    with pytest.raises(ConfigError, match="retire the key"):
        witness_key(tmp_path, None)


def test_the_key_is_private_and_stays(tmp_path):
    """The key is made once, readable by its owner alone, and a key that others can read is refused."""
    first = witness_key(tmp_path / "w", None)
    assert witness_key(tmp_path / "w", None) == first
    path = tmp_path / "w" / "witness.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        witness_key(tmp_path / "w", None)


def test_one_process_serves_a_folder(witness, tmp_path):
    """A second witness on the same folder is refused: two memories would be two histories."""
    with pytest.raises(StoreLocked):
        Witness(tmp_path, witness_key(tmp_path, None), LOGS)
