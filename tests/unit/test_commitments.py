"""Commitments to texts."""

from __future__ import annotations

import doctest
import hashlib
import hmac

import pytest

from otel_audit.errors import VerificationError
from otel_audit.privacy import commitments
from otel_audit.privacy.commitments import commit, new_opening, verify_commitment

OPENING = bytes(range(32))


def test_commitment_is_the_specified_hmac() -> None:
    """The commitment is HMAC-SHA256 over name and value, each after its length in 8 bytes, keyed by the opening."""
    message = b"\0\0\0\0\0\0\0\x05input\0\0\0\0\0\0\0\x03\xc3\xa9!"
    assert commit("input", "é!", OPENING) == hmac.new(OPENING, message, hashlib.sha256).digest()


def test_a_right_text_passes() -> None:
    """The text that was committed to verifies."""
    verify_commitment("input", "hello", OPENING, commit("input", "hello", OPENING))


@pytest.mark.parametrize(
    ("name", "value", "opening"),
    [
        ("input", "hellO", OPENING),
        ("output", "hello", OPENING),
        ("inputh", "ello", OPENING),
        ("input", "hello", bytes(32)),
    ],
)
def test_anything_else_fails(name: str, value: str, opening: bytes) -> None:
    """Another text, another name, a letter moved from one to the other, another opening: each fails."""
    with pytest.raises(VerificationError, match="does not match"):
        verify_commitment(name, value, opening, commit("input", "hello", OPENING))


def test_a_short_opening_fails() -> None:
    """An opening that is not 32 bytes is refused, with its size."""
    with pytest.raises(VerificationError, match="31 bytes"):
        verify_commitment("input", "hello", bytes(31), commit("input", "hello", bytes(31)))


def test_openings_differ() -> None:
    """Two openings are 32 bytes each, and not the same."""
    assert len(new_opening()) == 32
    assert new_opening() != new_opening()


def test_the_example_in_the_docstring_runs() -> None:
    """The documented example is true."""
    assert doctest.testmod(commitments).attempted == 1
    assert doctest.testmod(commitments).failed == 0
