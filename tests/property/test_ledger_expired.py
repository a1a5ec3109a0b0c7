"""Properties of retention without a database: what valid statements cover may be gone, and nothing else."""

import hashlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.hashing import hash_tiles
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.retention import ExpiredEntries, Expiry, as_ranges
from otel_audit.ledger.verify import Evidence, LedgerVerifier
from tests.property.test_ledger_hashing import stored
from tests.property.test_ledger_verify import ORIGIN, SEALED, blocks

SIZE = 600
FULL = 512  # entries in full tiles: only these may expire
STATED = SIZE - 1  # the entry that states it


def expiry(seqs):
    leaves = b"".join(SEALED.rows[seq][2] for seq in seqs)
    return Expiry(
        origin=ORIGIN,
        retention_class="standard",
        month=202401,
        ranges=tuple(as_ranges(seqs)),
        first_recorded=0,
        last_recorded=1,
        keep_seconds=1,
        decided_at=10**12,
        leaf_digest=hashlib.sha256(leaves).hexdigest(),
        checkpoint="",
    )


def verify(rows, stated, cut, *, is_fast=False, end=SIZE):
    findings = Findings(ORIGIN)

    def load(first, last):
        (block,) = blocks([row for row in rows if first <= row[0] < last], SIZE)
        return block

    given = [(*row[:3], row[2]) for row in rows] if is_fast else rows
    evidence = Evidence(
        seals=iter(SEALED.seals),
        tiles=iter(sorted((index, hashes) for (level, index), hashes in SEALED.tiles.items() if level == 0)),
        upper_tile=lambda level, index: [],
        candidates=lambda column, seq: [],
        declared_size=SIZE,
        tiled_size=SIZE,
        expired=ExpiredEntries(stated, findings),
        end=end,
        load_rows=load if is_fast else None,
    )
    verifier = LedgerVerifier(findings, evidence)
    tiles = hash_tiles(ORIGIN, 0, SIZE, [stored(rows)]) if is_fast else None  # None as well where a whole tile is gone
    verifier.run(tiles or (block._replace(is_hashed=is_fast) for block in blocks(given, cut)))
    return findings, verifier.roots


expired = st.sets(st.integers(0, FULL - 1), min_size=1, max_size=FULL) | st.builds(
    lambda first, count: set(range(first, min(first + count, FULL))), st.integers(0, FULL - 1), st.integers(1, FULL)
)


@settings(max_examples=60, deadline=None)
@given(expired, st.integers(1, 700), st.booleans())
def test_what_is_stated_may_be_gone(gone, cut, is_fast):
    """Whatever entries expired, alone or whole tiles: the rest verifies to the signed root, and only that is told."""
    rows = [row for row in SEALED.rows if row[0] not in gone]
    findings, roots = verify(rows, [(STATED, expiry(sorted(gone)))], cut, is_fast=is_fast)
    assert [(each.code, each.seq) for each in findings.list()] == [(Code.EXPIRED, STATED)]
    assert (roots.size, roots.root) == (SIZE, tree_root([row[2] for row in SEALED.rows]))


@settings(max_examples=60, deadline=None)
@given(expired, st.integers(1, 700), st.booleans(), st.data())
def test_nothing_else_may_be_gone(gone, cut, is_fast, data):
    """One more entry that is missing is found, and so is one that was stated as gone and is there."""
    other = data.draw(st.sampled_from([seq for seq in range(SIZE - 1) if seq not in gone] or [0]))
    stated = [(STATED, expiry(sorted(gone)))]
    if other not in gone:
        rows = [row for row in SEALED.rows if row[0] not in gone | {other}]
        codes = {each.code for each in verify(rows, stated, cut, is_fast=is_fast)[0].list()}
        assert codes & {Code.ROW_DELETED, Code.PREFIX_REMOVED}
    kept = data.draw(st.sampled_from(sorted(gone)))
    rows = [row for row in SEALED.rows if row[0] not in gone - {kept}]
    assert verify(rows, stated, cut, is_fast=is_fast)[0].has(Code.FALSE_TOMBSTONE)


@settings(max_examples=30, deadline=None)
@given(expired, st.integers(0, 255))
def test_a_statement_about_other_entries_is_found(gone, bit):
    """A statement whose digest is not that of the tree is false."""
    stated = expiry(sorted(gone))
    digest = bytearray.fromhex(stated.leaf_digest)
    digest[bit // 8] ^= 1 << bit % 8
    rows = [row for row in SEALED.rows if row[0] not in gone]
    findings, _ = verify(rows, [(STATED, replace(stated, leaf_digest=digest.hex()))], 100)
    assert findings.has(Code.FALSE_TOMBSTONE)
    assert not findings.has(Code.EXPIRED)
