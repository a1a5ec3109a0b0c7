"""Checkpoints: one canonical form, and each other form refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_audit.errors import MalformedInput, VerificationError
from otel_audit.ledger.checkpoint import (
    WrongOrigin,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    read_checkpoint,
    sign_checkpoint,
)
from otel_audit.ledger.note import BadSignature, Signer, UnknownKey, sign_note
from otel_audit.model import Checkpoint

ORIGIN = "audit.example.com/receiver-0"
SIGNER = Signer(ORIGIN, b"s" * 32)
KEY = SIGNER.verifier_key
ROOT = bytes(range(32))
TEXT = format_checkpoint(Checkpoint(ORIGIN, 20852163, ROOT))


@given(st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32))
def test_round_trip(size, root):
    """Any size and root are read back as they were written."""
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


def test_extension_lines_are_tolerated():
    """Lines after the third are allowed by the specification, and don't change what is read."""
    assert parse_checkpoint(TEXT + "extension\nanother\n") == parse_checkpoint(TEXT)


@pytest.mark.parametrize(
    "text",
    {
        "empty": "",
        "no_last_newline": TEXT.removesuffix("\n"),
        "two_lines": "\n".join(TEXT.split("\n")[:2]) + "\n",
        "blank_line_after": TEXT + "\n",
        "empty_origin": TEXT.replace(ORIGIN, ""),
        "leading_zero": TEXT.replace("20852163", "020852163"),
        "plus_sign": TEXT.replace("20852163", "+20852163"),
        "negative": TEXT.replace("20852163", "-1"),
        "space_around": TEXT.replace("20852163", " 20852163"),
        "hex": TEXT.replace("20852163", "0x10"),
        "arabic_digits": TEXT.replace("20852163", "٢"),
        "over_64_bits": TEXT.replace("20852163", str(2**64)),
        "root_31_bytes": TEXT.replace("Hh8=", "Hg=="),
        "root_not_base64": TEXT.replace("AAEC", "!AEC"),
        "root_url_base64": format_checkpoint(Checkpoint(ORIGIN, 1, b"\xff" * 32)).replace("/", "_"),
        "root_loose_bits": TEXT.replace("Hh8=", "Hh9="),
        "root_newline_inside": TEXT.replace("AAEC", "AAE C"),
    }.items(),
    ids=lambda case: case[0],
)
def test_other_forms_are_refused(text):
    """What format_checkpoint would not write is not read."""
    with pytest.raises(VerificationError):
        parse_checkpoint(text[1])


def test_what_can_not_be_written():
    """An origin that would add lines, a root of another length or a negative size is refused."""
    for checkpoint in (
        Checkpoint("evil\n999", 1, ROOT),
        Checkpoint("", 1, ROOT),
        Checkpoint(ORIGIN, -1, ROOT),
        Checkpoint(ORIGIN, 2**64, ROOT),
        Checkpoint(ORIGIN, 1, ROOT[:31]),
    ):
        with pytest.raises(MalformedInput):
            format_checkpoint(checkpoint)


def test_opening():
    """A checkpoint signed by its ledger's key opens; without the key it is only a claim."""
    checkpoint = Checkpoint(ORIGIN, 7, ROOT)
    note = sign_checkpoint(checkpoint, [SIGNER])
    assert open_checkpoint(note, [KEY], ORIGIN) == read_checkpoint(note) == checkpoint
    with pytest.raises(UnknownKey):
        open_checkpoint(note, [], ORIGIN)


def test_wrong_origin():
    """A checkpoint of one ledger is not evidence about another, though we trust both keys."""
    other = Signer("audit.example.com/receiver-1", b"o" * 32)
    keys = [KEY, other.verifier_key]
    note = sign_checkpoint(Checkpoint(other.name, 7, ROOT), [other])
    with pytest.raises(WrongOrigin, match="receiver-1"):
        open_checkpoint(note, keys, ORIGIN)


def test_a_key_speaks_for_its_own_ledger_only():
    """The holder of one ledger's key can't sign a checkpoint of another ledger."""
    other = Signer("audit.example.com/receiver-1", b"o" * 32)
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, ROOT), [other])
    with pytest.raises(UnknownKey, match="key of another ledger"):
        open_checkpoint(note, [KEY, other.verifier_key], ORIGIN)


def test_edited_size():
    """A larger size written into a signed checkpoint breaks its signature."""
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, ROOT), [SIGNER])
    with pytest.raises(BadSignature):
        open_checkpoint(note.replace("\n7\n", "\n8\n"), [KEY], ORIGIN)


def test_a_signed_text_that_is_no_checkpoint():
    """A valid signature over something else is not taken for a checkpoint."""
    with pytest.raises(VerificationError, match="three or more"):
        open_checkpoint(sign_note("hello\n", [SIGNER]), [KEY], ORIGIN)
