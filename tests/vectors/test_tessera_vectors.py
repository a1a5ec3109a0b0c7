"""transparency-dev/tessera's test log: 15 entries, 16 signed checkpoints, tiles and entry bundles."""

from pathlib import Path

import pytest

from otel_audit.ledger.checkpoint import open_checkpoint, sign_checkpoint
from otel_audit.ledger.encoding import leaf_hash
from otel_audit.ledger.merkle import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_subtrees,
    verify_consistency,
    verify_inclusion,
)
from otel_audit.ledger.note import Signer
from otel_audit.ledger.tiles import TileBuilder, tile_subtrees
from otel_audit.model import Checkpoint

LOG = Path(__file__).parents[2].parent / "shared" / "vectors" / "tessera-log"
ORIGIN = "example.com/log/testdata"
# Published for tests by its owners; it signs nothing else.
SIGNER = Signer.parse("PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg")
ENTRIES = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eit",
    "nain",
    "ten",
    "ileven",
    "twelf",
    "threeten",
    "fourten",
    "fivten",
]
LEAVES = [leaf_hash(entry.encode()) for entry in ENTRIES]

pytestmark = pytest.mark.skipif(not LOG.is_dir(), reason=f"the public tessera log is not at {LOG}")


def root_of(size):
    tree = CompactRange()
    tree.extend(LEAVES[:size])
    return tree.root()


@pytest.mark.parametrize("size", range(16))
def test_checkpoint_is_reproduced_byte_for_byte(size):
    """Hashing the entries and signing the root gives exactly tessera's checkpoint file."""
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root_of(size)), [SIGNER])
    assert note.encode() == (LOG / f"checkpoint.{size}").read_bytes()


@pytest.mark.parametrize("size", range(16))
def test_checkpoint_opens(size):
    """Tessera's checkpoint verifies with its public key and says its size and root."""
    note = (LOG / f"checkpoint.{size}").read_text(encoding="utf-8")
    assert open_checkpoint(note, [SIGNER.verifier_key], ORIGIN) == Checkpoint(ORIGIN, size, root_of(size))


@pytest.mark.parametrize("width", range(1, 16))
def test_partial_tile_holds_our_leaf_hashes(width):
    """The leaf hashes are those of tessera's partial tiles, in the same order."""
    if not (path := LOG / "tile" / "0" / "000.p" / str(width)).is_file():
        pytest.skip(f"the log has no partial tile of width {width}")
    assert path.read_bytes() == b"".join(LEAVES[:width])


def test_entry_bundle_holds_the_entries():
    """The 15 names above are the entries of the log, not something we made up."""
    bundle = (LOG / "tile" / "entries" / "000.p" / "15").read_bytes()
    entries = []
    while bundle:
        size = int.from_bytes(bundle[:2], "big")
        entries.append(bundle[2 : 2 + size].decode())
        bundle = bundle[2 + size :]
    assert entries == ENTRIES


def test_proofs_between_all_checkpoints():
    """Every inclusion and consistency proof over the log verifies, from leaves and from tiles alike."""
    for size in range(1, 16):
        assert TileBuilder.resume(size, lambda level, index: b"", LEAVES[:size]).root() == root_of(size)
        from_leaves = leaf_subtrees(LEAVES[:size])
        from_tiles = tile_subtrees(size, lambda level, index: b"", LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(index, size, from_leaves)
            assert proof == inclusion_proof(index, size, from_tiles)
            verify_inclusion(LEAVES[index], index, size, root_of(size), proof)
        for older in range(1, size + 1):
            proof = consistency_proof(older, size, from_tiles)
            verify_consistency(older, root_of(older), size, root_of(size), proof)
