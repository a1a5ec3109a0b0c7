"""Properties of erasure statements, without a database: tests/property/test_any_sequence.py has them in a ledger."""

import json

from hypothesis import given
from hypothesis import strategies as st

from otel_audit.ledger.erasure import Erasure, Erasures, parse_erasure, seq_ranges
from otel_audit.ledger.findings import Findings

SEQS = st.sets(st.integers(0, 200), min_size=1)


def erasure_of(seqs):
    return Erasure("o", seq_ranges(seqs), "basis", "one", "two", 1, "seqs")


@given(SEQS)
def test_ranges_cover_exactly_what_they_were_made_of(seqs):
    """A statement names every erased entry and no other, and reads back as it was written."""
    erasure = erasure_of(seqs)
    assert {seq for seq in range(-1, 203) if erasure.covers(seq)} == seqs
    assert erasure.count(10, 150) == len([seq for seq in seqs if 10 <= seq < 150])
    assert parse_erasure(json.loads(json.dumps(erasure.fields()))) == erasure


@given(SEQS, SEQS, st.sets(st.integers(0, 20)))
def test_only_what_never_had_a_text_is_a_false_tombstone(first, second, months):
    """Erased entries that expired later are no reason to doubt, nor those that two erasures name; any other is."""
    expired = [range(10 * month, 10 * month + 10) for month in sorted(months)]
    gone = {seq for each in expired for seq in each}
    with_text = {seq for seq in first | second if seq % 3}
    erasures = Erasures({300: erasure_of(first), 301: erasure_of(second)})
    for seq in sorted(with_text - gone):
        assert erasures.of(seq, "input") is not None
    findings = Findings("o")
    erasures.check_named(0, 250, findings, expired)
    doubtful = {entry for entry, named in ((300, first), (301, second)) if named - with_text - gone}
    assert {each.seq for each in findings.list()} == doubtful
