"""transparency-dev's witness, its client and its note library, and ours: each accepts what the other makes."""

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from otel_audit.anchors.witness import WitnessAddress, WitnessAnchor, WitnessContradicts, WitnessRefused, read_witnessed
from otel_audit.anchors.witness_service import Witness, witness_key
from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.cosignature import CosignatureKey, CosignatureSigner
from otel_audit.ledger.encoding import leaf_hash
from otel_audit.ledger.merkle import consistency_proof, inclusion_proof, leaf_subtrees, tree_root
from otel_audit.ledger.note import Signer, parse_note
from otel_audit.ledger.proof_file import InclusionProof, format_proof
from otel_audit.model import Checkpoint
from otel_audit.receiver.witness_command import witness_app
from otel_audit.store.threaded_server import ThreadedServer

SOURCE = Path(__file__).parent / "witness"
LOG = Signer("example.com/log", bytes(range(32)))
LEAVES = [leaf_hash(str(number).encode()) for number in range(40)]
FORK = [*LEAVES[:5], *(leaf_hash(f"other {number}".encode()) for number in range(5, 40))]


@pytest.fixture(scope="module")
def go_witness(tmp_path_factory):
    """The Go program, built from modules of the public proxy."""
    if shutil.which("go") is None:
        pytest.skip("the Go toolchain is not installed: the other implementation can not be built")
    program = tmp_path_factory.mktemp("go") / "witness"
    built = subprocess.run(
        ["go", "build", "-o", str(program), "."], cwd=SOURCE, capture_output=True, text=True, timeout=570, check=False
    )
    if built.returncode and ("proxy.golang.org" in built.stderr or "dial tcp" in built.stderr):
        pytest.skip(f"the Go modules can not be had here: {built.stderr.strip().splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    return str(program)


def checkpoint(size, leaves=LEAVES):
    return Checkpoint(LOG.name, size, tree_root(leaves[:size]))


def note_of(size, leaves=LEAVES):
    return sign_checkpoint(checkpoint(size, leaves), [LOG])


def proof_of(old, size, leaves=LEAVES):
    return consistency_proof(old, size, leaf_subtrees(leaves))


def ask(program, *arguments, note):
    done = subprocess.run([program, *arguments], input=note, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_go_opens_what_our_witness_cosigned(go_witness):
    """A checkpoint and a cosignature of ours are opened by the other's note library, with size and time."""
    ours = CosignatureSigner("witness.example/w1", bytes(32))
    note = note_of(7)
    cosigned = note + ours.cosign(parse_note(note)[0], 1679315147)
    keys = LOG.verifier_key.format(), ours.verifier_key.format()
    assert ask(go_witness, "open", LOG.name, *keys, note=cosigned) == {"size": 7, "time": 1679315147}


@pytest.mark.parametrize("index", [0, 6, 31, 32, 39])
def test_go_checks_our_inclusion_proofs(go_witness, index):
    """A tlog-proof of ours leads, by the other's tree and note libraries, to the root; another entry's does not."""
    hashes = inclusion_proof(index, 40, leaf_subtrees(LEAVES))
    proof = format_proof(InclusionProof(index, hashes, note_of(40)))
    key, leaves = LOG.verifier_key.format(), [base64.b64encode(each).decode() for each in LEAVES]
    assert ask(go_witness, "prove", LOG.name, key, leaves[index], note=proof) == {"index": index, "size": 40}
    with pytest.raises(AssertionError, match=r"does not match|invalid"):
        ask(go_witness, "prove", LOG.name, key, leaves[index - 1], note=proof)


def test_our_client_is_served_by_their_witness(go_witness, tmp_path):
    """Their witness cosigns our checkpoints, tells us its size, and refuses a fork; we keep what it signs."""
    server = subprocess.Popen(
        [go_witness, "serve", LOG.name, LOG.verifier_key.format()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        told = json.loads(server.stdout.readline())
        address = WitnessAddress.parse(f"{told['url']}={told['vkey']}")
        WitnessAnchor(tmp_path / "a", address, proof_of, time.time_ns).publish(note_of(7), checkpoint(7))
        client = WitnessAnchor(tmp_path / "b", address, proof_of, time.time_ns)  # it knows no size: 409 tells it
        for size in (12, 12, 40):
            client.publish(note_of(size), checkpoint(size))
        reading = read_witnessed(tmp_path / "b", [address.key])
        assert [parse_note(each.note)[0].split("\n")[1] for each in reading.checkpoints] == ["12", "12", "40"]
        assert all(each.attested_unix_nano for each in reading.checkpoints)
        with pytest.raises(WitnessContradicts):
            client.publish(note_of(40, FORK), checkpoint(40, FORK))
        with pytest.raises(WitnessContradicts, match="entries are missing"):
            client.publish(note_of(12), checkpoint(12))
        stranger = Signer("example.com/other", bytes(32))
        other = Checkpoint(stranger.name, 7, tree_root(LEAVES[:7]))
        with pytest.raises(WitnessRefused, match="404"):
            client.publish(sign_checkpoint(other, [stranger]), other)
        assert (client.state(LOG.name).trouble, client.state(stranger.name).trouble) == ("contradicts", "refused")
    finally:
        server.communicate("")


def test_their_client_is_served_by_our_witness(go_witness, tmp_path):
    """Their client gets cosignatures that their library opens, and reads each refusal of ours as what it is."""
    witness = Witness(tmp_path, witness_key(tmp_path, "witness.example/w1"), {LOG.name: [LOG.verifier_key]})
    with ThreadedServer(witness_app(witness)) as server:
        url = f"http://127.0.0.1:{server.port}"

        def add(old, note, proof=()):
            return ask(
                go_witness, "add", url, str(old), *(base64.b64encode(each).decode() for each in proof), note=note
            )

        first = add(0, note_of(7))
        assert first["error"] == ""
        keys = LOG.verifier_key.format(), witness.key.format()
        assert ask(go_witness, "open", LOG.name, *keys, note=note_of(7) + first["answer"])["size"] == 7
        assert CosignatureKey.parse(witness.key.format()) == witness.key
        assert (stale := add(0, note_of(12)))["error"] == "stale"
        assert stale["size"] == 7
        assert add(7, note_of(12), proof_of(7, 12))["error"] == ""
        assert add(12, note_of(12, FORK))["error"] == "root mismatch"
        assert add(12, note_of(40, FORK), proof_of(12, 40, FORK))["error"] == "invalid proof"
        assert add(13, note_of(12))["error"] == "old size invalid"
        stranger = Signer(LOG.name, bytes(32))
        assert add(12, sign_checkpoint(checkpoint(40), [stranger]))["error"] == "no valid signature"
        other = Signer("example.com/other", bytes(32))
        foreign = sign_checkpoint(Checkpoint(other.name, 7, bytes(32)), [other])
        assert add(0, foreign)["error"] == "unknown log"
    witness.close()
