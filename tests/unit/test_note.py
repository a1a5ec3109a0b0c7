"""Signed notes: the Go reference's key, text and note, and each way in which a note is refused."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.errors import ConfigError, MalformedInput
from otel_audit.ledger.note import BadSignature, Signer, UnknownKey, VerifierKey, open_note, sign_note

# golang.org/x/mod/sumdb/note, note_test.go
VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
NOTE = TEXT + "\n" + SIGNATURE

PETER = Signer.parse(PRIVATE)
KEY = VerifierKey.parse(VERIFIER)
STRANGER = Signer("example.com/stranger", bytes(32))


def test_the_reference_note_is_reproduced():
    """The reference's key and text give the reference's note, and its public key opens it."""
    assert PETER.verifier_key == KEY
    assert sign_note(TEXT, [PETER]) == NOTE
    text, signatures = open_note(NOTE, [KEY])
    assert text == TEXT
    assert [signature.name for signature in signatures] == ["PeterNeumann"]


def test_keys_keep_their_text_form():
    """Parsing a key and formatting it gives the same text."""
    assert (PETER.format(), KEY.format()) == (PRIVATE, VERIFIER)
    assert VerifierKey.parse(VERIFIER + "\n") == KEY


def test_a_generated_key_signs():
    """A new key signs as its name, and two new keys are different."""
    one, two = Signer.generate("example.com/one"), Signer.generate("example.com/one")
    assert one.seed != two.seed
    assert open_note(sign_note("x\n", [one]), [one.verifier_key])[1][0].name == "example.com/one"


def test_a_private_key_is_not_printed():
    """The secret does not show up in a repr, which ends in logs and tracebacks."""
    assert PETER.seed.hex() not in repr(PETER)
    assert repr(PETER.seed) not in repr(PETER)


def test_unknown_signatures_are_ignored():
    """A note by a stranger and a known key opens with the known key's signature alone."""
    note = sign_note(TEXT, [STRANGER, PETER])
    _, signatures = open_note(note, [KEY])
    assert [signature.name for signature in signatures] == ["PeterNeumann"]


def test_only_unknown_signatures():
    """A note by strangers alone is UnknownKey, and says by whom it is signed."""
    with pytest.raises(UnknownKey, match="/stranger"):
        open_note(sign_note(TEXT, [STRANGER]), [KEY])
    with pytest.raises(UnknownKey):
        open_note(NOTE, [])


def test_the_same_name_with_another_key_is_unknown():
    """Name and key id together identify a key: somebody else's key of that name is not it."""
    with pytest.raises(UnknownKey):
        open_note(sign_note(TEXT, [Signer("PeterNeumann", bytes(32))]), [KEY])


def test_one_failing_known_key_rejects_the_note():
    """A known key's broken signature rejects the note, though another known signature holds."""
    note = sign_note(TEXT, [PETER, STRANGER])
    broken = note.replace(SIGNATURE, SIGNATURE.replace("ZJkuBS", "ZJkuBT"))
    with pytest.raises(BadSignature, match="PeterNeumann"):
        open_note(broken, [KEY, STRANGER.verifier_key])


@settings(max_examples=60)
@given(st.integers(0, len(TEXT) - 2), st.sampled_from("abcXYZ ."))
def test_an_edited_text_is_refused(position, letter):
    """Changing any character of the text breaks the signature."""
    edited = TEXT[:position] + letter + TEXT[position + 1 :]
    if edited != TEXT:
        with pytest.raises(BadSignature):
            open_note(edited + "\n" + SIGNATURE, [KEY])


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        TEXT + SIGNATURE,
        NOTE.removesuffix("\n"),
        NOTE + "\n",
        NOTE + "not a signature\n",
        TEXT + "\n" + SIGNATURE.replace("— ", "- "),
        TEXT + "\n" + SIGNATURE.replace("PeterNeumann ", "Peter+Neumann "),
        TEXT + "\n" + SIGNATURE.replace("=", ""),
        TEXT + "\n" + SIGNATURE.replace("AM=", "AN="),
        TEXT + "\n— PeterNeumann x08gow==\n",
        TEXT.replace("\n", "\r\n") + "\n" + SIGNATURE,
        "bell\a\n\n" + SIGNATURE,
        TEXT + "\n" + SIGNATURE * 101,
        "x" * 1_000_001 + "\n\n" + SIGNATURE,
    ],
    ids=lambda note: repr(note[-30:]),
)
def test_what_is_not_a_note_is_refused(note):
    """Malformed notes are BadSignature, whatever key is trusted."""
    with pytest.raises(BadSignature):
        open_note(note, [KEY])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        VERIFIER.replace("c74f20a3", "c74f20a4"),
        VERIFIER.replace("+ARpc", "+AhPc"),
        VERIFIER[:-4],
        VERIFIER + "é",
        VERIFIER.replace("PeterNeumann", "Peter Neumann"),
        VERIFIER.replace("PeterNeumann", ""),
    ],
)
def test_what_is_not_a_verifier_key_is_refused(text):
    """A mistyped verifier key is a ConfigError, not a key that never matches."""
    with pytest.raises(ConfigError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("text", [VERIFIER, PRIVATE.replace("c74f20a3", "c74f20a4"), PRIVATE[:-5], "PRIVATE+KEY+x"])
def test_what_is_not_a_signing_key_is_refused(text):
    """A damaged signing key is a ConfigError whose message does not hold the key."""
    with pytest.raises(ConfigError) as caught:
        Signer.parse(text)
    assert PRIVATE.rsplit("+", 1)[1][:20] not in str(caught.value)


def test_what_can_not_be_signed():
    """A text without its last newline or with control characters, and a note without signers, are refused."""
    for text in ("x", "x\r\n", "\0\n"):
        with pytest.raises(MalformedInput):
            sign_note(text, [PETER])
    with pytest.raises(ConfigError):
        sign_note("x\n", [])


def test_bad_keys_are_refused():
    """Keys of another length or with a name that would break the line format can't be made."""
    for name in ("", "a b", "a+b", "a\nb", "a\u00a0b"):
        with pytest.raises(ConfigError):
            VerifierKey(name, bytes(32))
    with pytest.raises(ConfigError):
        VerifierKey("a", bytes(31))
    with pytest.raises(ConfigError):
        Signer("a", bytes(33))


def test_a_signature_of_the_wrong_length():
    """A known key's signature that is cut short is BadSignature."""
    short = base64.b64encode(KEY.key_id + bytes(63)).decode()
    with pytest.raises(BadSignature):
        open_note(f"{TEXT}\n— PeterNeumann {short}\n", [KEY])
