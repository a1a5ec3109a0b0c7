"""Cosignatures: the specification's example, key texts, and each way in which one is refused."""

import base64

import pytest

from otel_audit.errors import ConfigError
from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.cosignature import (
    Cosignature,
    CosignatureKey,
    CosignatureSigner,
    add_cosignatures,
    verify_cosignatures,
)
from otel_audit.ledger.note import BadSignature, Signer, VerifierKey, parse_note
from otel_audit.model import Checkpoint

LOG = Signer("example.com/log", bytes(range(32)))
WITNESS = CosignatureSigner("witness.example/w1", bytes(32))
NOTE = sign_checkpoint(Checkpoint("example.com/log", 7, bytes(32)), [LOG])
TEXT = parse_note(NOTE)[0]


def test_a_cosignature_is_read_back():
    """What a witness signs verifies with its key, and gives the time that it signed."""
    cosigned = NOTE + WITNESS.cosign(TEXT, 1679315147)
    assert verify_cosignatures(cosigned, [WITNESS.verifier_key]) == [Cosignature("witness.example/w1", 1679315147)]


def test_the_signed_message_is_that_of_the_specification():
    """The Ed25519 signature is over the header line, the time line and the note's text, and nothing else."""
    line = WITNESS.cosign(TEXT, 1679315147)
    raw = base64.b64decode(line.split()[2])
    as_log = VerifierKey("witness.example/w1", WITNESS.verifier_key.public_key)
    as_log.verify(f"cosignature/v1\ntime 1679315147\n{TEXT}".encode(), raw[12:])
    assert raw[:12] == WITNESS.verifier_key.key_id + (1679315147).to_bytes(8, "big")


def test_key_texts_keep_their_form():
    """Both key texts are read back as they were written."""
    assert CosignatureSigner.parse(WITNESS.format()) == WITNESS
    assert CosignatureKey.parse(WITNESS.verifier_key.format()) == WITNESS.verifier_key


def test_a_log_key_is_no_witness_key():
    """A key of type 0x01 is refused as a witness's, and a witness's (0x04) as a log's."""
    with pytest.raises(ConfigError, match="0x04"):
        CosignatureKey.parse(LOG.verifier_key.format())
    with pytest.raises(ConfigError, match="0x01"):
        VerifierKey.parse(WITNESS.verifier_key.format())


def test_a_private_key_is_not_printed():
    """The secret does not show up in a repr."""
    assert WITNESS.seed.hex() not in repr(WITNESS)
    assert repr(WITNESS.seed) not in repr(WITNESS)


@pytest.mark.parametrize("position", [4, 11, 12, 75])
def test_a_changed_time_or_signature_fails(position):
    """A flipped bit in the time or in the signature fails the note."""
    raw = bytearray(base64.b64decode(WITNESS.cosign(TEXT, 1679315147).split()[2]))
    raw[position] ^= 1
    line = f"— witness.example/w1 {base64.b64encode(raw).decode()}\n"
    with pytest.raises(BadSignature):
        verify_cosignatures(NOTE + line, [WITNESS.verifier_key])


def test_a_time_beyond_the_limit_fails():
    """A time of 2**63 is refused, although the signature is over it."""
    with pytest.raises(ConfigError):
        WITNESS.cosign(TEXT, 1 << 63)


def test_strangers_are_ignored():
    """A line by a witness that we do not know counts for nothing, and spoils nothing."""
    stranger = CosignatureSigner("witness.example/w2", bytes(31) + b"\x01")
    cosigned = NOTE + stranger.cosign(TEXT, 5) + WITNESS.cosign(TEXT, 6)
    assert verify_cosignatures(cosigned, [WITNESS.verifier_key]) == [Cosignature("witness.example/w1", 6)]
    note, added = add_cosignatures(NOTE, stranger.cosign(TEXT, 5) + WITNESS.cosign(TEXT, 6), [WITNESS.verifier_key])
    assert (note, len(added)) == (NOTE + WITNESS.cosign(TEXT, 6), 1)


@pytest.mark.parametrize("answer", ["", "ok", "ok\n", "— witness.example/w1 AAAA\n", "<html>\n"])
def test_an_answer_that_is_no_cosignature_fails(answer):
    """An answer that holds anything but signature lines is refused as a whole."""
    with pytest.raises(BadSignature):
        add_cosignatures(NOTE, answer, [WITNESS.verifier_key])
