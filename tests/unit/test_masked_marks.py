"""Marks of masked personal data, as the dashboard words them."""

from __future__ import annotations

from pathlib import Path

import pytest
from masked import prose, said
from texts import Run, word_diff

from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import default_policy, load_policy
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


def test_what_is_masked_and_why_is_said() -> None:
    """The kinds are counted, one value once, with the policy; a text without marks says nothing."""
    text = REDACTOR.text("jane.roe@example.com and Jane.Roe@example.com, ann.poe@example.com, DE89370400440532013000")
    assert said([text, text], "redacted/1") == (
        "Masked here: 2 e-mail addresses, 1 bank account. The capture policy redacted/1 took them out before anything "
        "was stored."
    )
    assert said(["nothing"], "redacted/1") == ""


@pytest.mark.parametrize("mode", ["hash", "reference"])
def test_a_text_that_was_not_kept_says_so(mode: str, tmp_path: Path) -> None:
    """Instead of the text one reads that only its hash was kept, or where it lies."""
    policy = load_policy({"mode": mode, "reference_base": str(tmp_path)})
    mark = Redactor(policy, PseudonymKeys((bytes(32),))).text("write to jane.roe@example.com", "gen_ai.input.messages")
    shown = prose(mark)
    assert {"hash": "text not kept, only its hash (29 bytes)", "reference": "text kept elsewhere: file://"}[
        mode
    ] in shown
    assert said([mark], policy.label).startswith("Masked here: 1 whole text or file. The capture policy")
    blob = prose("[blob:image/png;12 bytes;k802b6d:f31507c0cf751baa155d]")
    assert ">image/png, 12 bytes, not kept</span>" in blob
