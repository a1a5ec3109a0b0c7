"""Properties of the verifier without a database: no single change of the evidence goes unnoticed."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.errors import MalformedInput
from otel_audit.ledger.blocks import RowBlock
from otel_audit.ledger.diagnosis import split_encoding
from otel_audit.ledger.encoding import encode_entry, encode_event, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.roots import Seal
from otel_audit.ledger.tiles import TileBuilder
from otel_audit.ledger.verify import Evidence, LedgerVerifier
from otel_audit.model import AuditEvent

ORIGIN = "o/1"
DECISIONS = ("approved", "rejected", "modified")


@dataclass
class Ledger:
    """Rows as (seq, prev_hash, hash, encoding), with the tiles and seals made over them."""

    rows: list = field(default_factory=list)
    tiles: dict = field(default_factory=dict)
    seals: list = field(default_factory=list)


def make(size, seals=(), changed=None, prefix=None):
    builder, ledger, prev = TileBuilder(), Ledger(), genesis_hash(ORIGIN)
    for seq in range(size):
        decision = "escalated" if seq == changed else DECISIONS[seq % 3]
        event = AuditEvent({"event_type": "review", "task_id": f"t-{seq}", "decision": decision})
        encoding = encode_entry(prefix or origin_prefix(ORIGIN), seq, prev, 1_000 + seq, encode_event(event, {}))
        ledger.rows.append((seq, prev, leaf_hash(encoding), encoding))
        prev = leaf_hash(encoding)
        builder.append(prev)
    leaves = [row[2] for row in ledger.rows]
    ledger.tiles = {(tile.level, tile.index): tile.hashes for tile in builder.take_full_tiles()}
    ledger.seals = [Seal(each, tree_root(leaves[:each]), f"checkpoint {each}", anchored=False) for each in seals]
    return ledger


def blocks(rows, cut):
    rows = sorted(rows, key=lambda row: row[0])
    for start in range(0, len(rows), cut):
        part = rows[start : start + cut]
        yield RowBlock(*(list(column) for column in zip(*part, strict=True)))


def verify(ledger, cut=100, seals=None):
    findings = Findings(ORIGIN)
    seals = ledger.seals if seals is None else seals
    evidence = Evidence(
        seals=iter(sorted(seals, key=lambda seal: seal.size)),
        tiles=iter(sorted((index, hashes) for (level, index), hashes in ledger.tiles.items() if level == 0)),
        upper_tile=lambda level, index: [ledger.tiles[level, index]] if (level, index) in ledger.tiles else [],
        candidates=lambda column, seq: [],
        declared_size=max([seal.size for seal in seals], default=0),
        tiled_size=max([seal.size for seal in seals], default=0),
    )
    verifier = LedgerVerifier(findings, evidence)
    verifier.run(blocks(ledger.rows, cut))
    return findings, verifier.roots


SEALED = make(600, seals=(1, 100, 256, 300, 600))
FORGED = make(600, changed=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 600), st.integers(1, 700), st.data())
def test_a_whole_ledger_has_no_findings(size, cut, data):
    """A ledger of any size, in blocks of any size, with seals at any sizes, is sound, and its root the signed one."""
    seals = data.draw(st.sets(st.integers(1, size), max_size=8))
    ledger = make(size, seals)
    findings, roots = verify(ledger, cut)
    assert findings.list() == []
    assert (roots.size, roots.sealed_size) == (size, max(seals, default=0))
    assert roots.root == tree_root([row[2] for row in ledger.rows])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_of_a_row(data):
    """One bit of a row's prev_hash, hash or encoding flipped is found at that seq, and nothing else is."""
    seq = data.draw(st.integers(0, 599))
    part = data.draw(st.sampled_from([1, 2, 3]))
    rows = list(SEALED.rows)
    raw = bytearray(rows[seq][part])
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    rows[seq] = (*rows[seq][:part], bytes(raw), *rows[seq][part + 1 :])
    if part == 1:
        # The column prev_hash is part of the encoding, as the engine gives it.
        at = len(origin_prefix(ORIGIN)) + 8
        encoding = rows[seq][3][:at] + bytes(raw) + rows[seq][3][at + 32 :]
        rows[seq] = (*rows[seq][:3], encoding)
    findings, _ = verify(Ledger(rows, SEALED.tiles, SEALED.seals))
    assert [(each.code, each.seq) for each in findings.list()] == [(Code.ROW_MODIFIED, seq)]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_set_of_missing_rows(data):
    """Whatever rows are missing, as many as are missing are reported, and nothing else."""
    gone = data.draw(st.sets(st.integers(0, 599), min_size=1, max_size=300))
    if data.draw(st.booleans()):
        start = data.draw(st.integers(0, 599))
        gone |= set(range(start, data.draw(st.integers(start, 599)) + 1))
    left = [row for row in SEALED.rows if row[0] not in gone]
    findings, _ = verify(Ledger(left, SEALED.tiles, SEALED.seals), data.draw(st.integers(1, 700)))
    holes = [seq for seq in sorted(gone) if seq - 1 not in gone]
    expected = []
    for seq in holes:
        is_tail = all(later in gone for later in range(seq, 600))
        code = Code.TAIL_TRUNCATED if is_tail else Code.ROW_DELETED
        expected.append((code if seq or is_tail else Code.PREFIX_REMOVED, seq))
    if not left:
        expected = [(Code.LEDGER_EMPTIED, None)]
    assert [(each.code, each.seq) for each in findings.list()] == expected


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_from_a_forged_history(data):
    """Any rows replaced by those of another, self-consistent history are noticed."""
    replaced = data.draw(st.sets(st.integers(0, 599), min_size=1, max_size=20))
    rows = [(FORGED if row[0] in replaced else SEALED).rows[row[0]] for row in SEALED.rows]
    findings, _ = verify(Ledger(rows, SEALED.tiles, SEALED.seals))
    assert findings.altered()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 599), st.data())
def test_a_history_rebuilt_from_anywhere(first, data):
    """A consistent history that differs from entry ``first`` on contradicts the first signed root after it."""
    forged = make(600, changed=first)
    tiles = data.draw(st.sampled_from([SEALED.tiles, forged.tiles, {}]))
    findings, roots = verify(Ledger(forged.rows, tiles, SEALED.seals))
    last_sound = max([seal.size for seal in SEALED.seals if seal.size <= first], default=0)
    assert roots.sealed_size == last_sound
    assert findings.has(Code.CHAIN_REBUILT) or findings.has(Code.ROW_MODIFIED)
    assert min(each.seq for each in findings.list() if each.code != Code.TREE_DIVERGED) in (last_sound, first)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 600), st.integers(0, 32 * 8 - 1))
def test_a_flipped_bit_of_a_root(index, bit):
    """A signed root that differs in one bit from the rows' is a contradiction, whatever its size."""
    seal = SEALED.seals[index % len(SEALED.seals)]
    raw = bytearray(seal.root_hash)
    raw[bit // 8] ^= 1 << bit % 8
    findings, _ = verify(SEALED, seals=[Seal(seal.size, bytes(raw), "forged", anchored=True)])
    assert findings.altered()


def test_tiles_above_the_first_level():
    """70,000 entries have a tile at level 1: it must follow from level 0, and an altered one is found."""
    ledger = make(70_000, seals=(70_000,))
    assert (1, 0) in ledger.tiles
    assert verify(ledger, 8192)[0].list() == []
    altered = dict(ledger.tiles)
    altered[1, 0] = altered[1, 0][:-1] + bytes((altered[1, 0][-1] ^ 1,))
    findings, _ = verify(Ledger(ledger.rows, altered, ledger.seals), 8192)
    assert [(each.code, each.seq) for each in findings.list()] == [(Code.TREE_DIVERGED, 0)]


def test_findings_are_counted_beyond_the_list():
    """Of 5,000 findings of a kind 1,000 are listed, and the number of the others is told."""
    findings = Findings(ORIGIN)
    for seq in range(5_000):
        findings.add(Code.ROW_MODIFIED, "x", seq=seq)
    listed = findings.list()
    assert len(listed) == 1_001
    assert "4000 more" in listed[-1].detail


def test_every_row_altered_in_a_large_ledger():
    """A ledger altered from end to end is reported with all its rows, in bounded memory and time."""
    ledger = make(5_000, seals=(5_000,))
    rows = [(seq, prev, bytes(32), encoding) for seq, prev, _, encoding in ledger.rows]
    findings, _ = verify(Ledger(rows, ledger.tiles, ledger.seals), 1000)
    assert {each.code for each in findings.list()} == {Code.ROW_MODIFIED}
    assert "4000 more" in findings.list()[-1].detail


@pytest.mark.parametrize("cut", [-1, -40, 3])
def test_splitting_what_is_no_encoding(cut):
    """Bytes that are not a whole encoding of schema version 1 are refused, not misread."""
    encoding = SEALED.rows[0][3]
    with pytest.raises(MalformedInput):
        split_encoding(encoding[:cut])
    with pytest.raises(MalformedInput):
        split_encoding(encoding + b"\x00")
    assert b"".join(split_encoding(encoding)) == encoding


@pytest.mark.parametrize("first", [1, 255, 256, 300, 512, 599])
def test_two_histories_joined(first):
    """Rows of two histories joined anywhere don't link, though each row is intact and nothing was signed."""
    findings, _ = verify(Ledger(SEALED.rows[:first] + FORGED.rows[first:]))
    assert [each.seq for each in findings.list()] in ([first - 1], [first])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 511), st.integers(0, 255), st.booleans())
def test_a_flipped_bit_of_a_tile(seq, bit, sealed):
    """One bit of a stored tile flipped is TREE_DIVERGED at its entry, whether or not a signed root can tell."""
    tiles = dict(SEALED.tiles)
    raw = bytearray(tiles[0, seq // 256])
    raw[seq % 256 * 32 + bit // 8] ^= 1 << bit % 8
    tiles[0, seq // 256] = bytes(raw)
    findings, _ = verify(Ledger(SEALED.rows, tiles, SEALED.seals if sealed else []))
    assert [(each.code, each.seq) for each in findings.list()] == [(Code.TREE_DIVERGED, seq)]
