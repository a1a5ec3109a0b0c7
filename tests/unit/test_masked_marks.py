"""Marks of masked personal data, as the dashboard words them."""

from __future__ import annotations

from masked import prose
from texts import Run, word_diff

from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import default_policy
from otel_audit.privacy.redactor import Redactor

REDACTOR = Redactor(default_policy(), PseudonymKeys((bytes(32),)))


def test_a_mark_reads_as_what_it_stands_for() -> None:
    """A compliance officer reads "e-mail address", and the whole mark is in the tooltip."""
    masked = REDACTOR.text("write to jane.roe@example.com <now>")
    token = masked[len("write to ") : masked.index("]") + 1]
    shown = prose(masked)
    assert shown.startswith('write to <span class="masked" title="Personal data, masked')
    assert f">e-mail address · {token[-6:-2]}</span> &lt;now&gt;" in shown
    assert shown.count(token) == 1


def test_the_same_person_has_the_same_mark() -> None:
    """Two spellings of one address read alike, another address does not."""
    texts = ["Jane.Roe@example.com", "jane.roe@example.com", "ann.poe@example.com"]
    first, second, other = (prose(REDACTOR.text(text)) for text in texts)
    assert first == second != other


def test_text_that_only_looks_like_a_mark_stays_text() -> None:
    """What a producer wrote is escaped, not taken for a mark."""
    assert prose("[email:<script>]") == "[email:&lt;script&gt;]"


def test_a_difference_never_cuts_a_mark() -> None:
    """Another masked value is one changed word."""
    before, after = (REDACTOR.text(f"call {number} now") for number in ("+49 30 1234567", "+49 30 7654321"))
    changed = [run for run in word_diff(before, after) if run.changed]
    assert changed == [Run(before[5:-4], after[5:-4])]
