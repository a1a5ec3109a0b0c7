"""Properties of hashing rows from plain bytes: however they are cut, and whatever somebody wrote into them."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.ledger.blocks import HashedTile
from otel_audit.ledger.encoding import encode_entry, encode_event, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.findings import Findings
from otel_audit.ledger.hashing import hash_tiles
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.verify import Evidence, LedgerVerifier
from otel_audit.model import AuditEvent
from tests.property.test_ledger_verify import ORIGIN, SEALED, blocks

BEGIN = origin_prefix(ORIGIN)


def stored(rows):
    return b"".join(encoding + stored_hash for _, _, stored_hash, encoding in rows)


def digests(rows):
    return b"".join(seq.to_bytes(8, "little") + prev + leaf + leaf for seq, prev, leaf, _ in rows)


def cut(data, sizes):
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


cuts = st.lists(st.integers(1, 40_000), max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 600), cuts, st.booleans())
def test_tiles_come_out_of_bytes_cut_anywhere(size, sizes, is_fast):
    """Full tiles have the hashes and the root that were recorded, the rest its rows; no cut makes a difference."""
    rows = SEALED.rows[:size]
    tiles = hash_tiles(ORIGIN, 0, size, cut((digests if is_fast else stored)(rows), sizes), is_fast=is_fast)
    leaves = [row[2] for row in rows]
    full = size // 256
    assert tiles[:full] == [
        HashedTile(at, rows[at][1], b"".join(leaves[at : at + 256]), tree_root(leaves[at : at + 256]))
        for at in range(0, full * 256, 256)
    ]
    assert [row[:3] for block in tiles[full:] for row in block.rows()] == [row[:3] for row in rows[full * 256 :]]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_flipped_bit_sends_the_reader_back(data):
    """No tile is given where one bit of the rows is another: they are read again, and looked at."""
    altered = bytearray(stored(SEALED.rows[:300]))
    bit = data.draw(st.integers(0, 8 * len(altered) - 1))
    altered[bit // 8] ^= 1 << bit % 8
    assert hash_tiles(ORIGIN, 0, 300, [bytes(altered)]) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 599), min_size=600, max_size=600) | st.permutations(range(600)), st.integers(0, 600))
def test_rows_out_of_place_are_no_tiles(order, size):
    """Rows that are missing, there twice or in another order never make a full tile that is not the recorded one."""
    rows = [SEALED.rows[seq] for seq in order[:size]]
    recorded = hash_tiles(ORIGIN, 0, 600, [stored(SEALED.rows)])
    for is_fast, data in ((False, stored(rows)), (True, digests(rows))):
        tiles = hash_tiles(ORIGIN, 0, 600, [data], is_fast=is_fast) or []
        assert all(tile in recorded for tile in tiles if isinstance(tile, HashedTile))


def test_bytes_that_look_like_rows_cost_time_alone():
    """A text may hold a whole row with its hash: the rows are then read again, and never taken for others."""
    inner = stored(SEALED.rows[1:2])
    prev, rows = genesis_hash(ORIGIN), []
    for seq in range(2):
        event = encode_event(AuditEvent({"task_id": f"{seq}"}), {})
        encoding = encode_entry(BEGIN, seq, prev, 1_000, event + inner)
        prev = leaf_hash(encoding)
        rows.append((seq, prev, prev, encoding))
    assert hash_tiles(ORIGIN, 0, 2, [stored(rows)]) is None
    # A piece that is too short for a row, and has its hash.
    short = BEGIN + hashlib.sha256(b"\x00" + BEGIN).digest()
    assert hash_tiles(ORIGIN, 0, 2, [short * 2]) is None
    assert hash_tiles(ORIGIN, 0, 2, [b"x" + stored(SEALED.rows[:2])]) is None
    assert hash_tiles(ORIGIN, 0, 2, [digests(SEALED.rows[:2]) + b"x"], is_fast=True) is None
    assert hash_tiles(ORIGIN, 0, 600, [stored(SEALED.rows[:256])]) is None  # a whole tile is not there
    assert hash_tiles(ORIGIN, 0, 600, []) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1), st.integers(0, 255), st.sampled_from(["tile", "link"]))
def test_a_sound_tile_of_another_history_is_found(index, at, what):
    """A tile that is right in itself is held against the stored tile and the entry before it."""
    findings = Findings(ORIGIN)
    tiles = {at: hashes for (level, at), hashes in SEALED.tiles.items() if level == 0}
    given = hash_tiles(ORIGIN, 0, 600, [stored(SEALED.rows)])
    if what == "tile":
        other = bytearray(tiles[index])
        other[at * 32] ^= 1
        tiles[index] = bytes(other)
    else:
        given[index] = given[index]._replace(first_prev=bytes(32))

    def load(first, last):
        loaded = [row for row in SEALED.rows if first <= row[0] < last]
        if what == "link":
            loaded = [row if row[0] % 256 else (row[0], bytes(32), *row[2:]) for row in loaded]
        (block,) = blocks(loaded, 600)
        return block

    evidence = Evidence(
        seals=iter(SEALED.seals),
        tiles=iter(sorted(tiles.items())),
        upper_tile=lambda level, index: [],
        candidates=lambda column, seq: [],
        declared_size=600,
        tiled_size=600,
        load_rows=load,
    )
    LedgerVerifier(findings, evidence).run(given)
    assert findings.list()
