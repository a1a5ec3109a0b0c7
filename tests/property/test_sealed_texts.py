"""Properties of sealed texts: what was sealed comes back, and one flipped bit anywhere opens nothing at all."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from otel_audit.errors import MalformedInput, VerificationError
from otel_audit.privacy.commitments import commit
from otel_audit.privacy.sealing import KEY_SIZE, EntryTexts, SealedText, open_sealed, pack, seal, unpack

KEY, ORIGIN, SEQ = bytes(range(KEY_SIZE)), "audit.example.com/receiver-0", 7
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
TEXTS = st.dictionaries(TEXT, TEXT, max_size=4)


def entry_of(texts):
    openings = {name: bytes([number]) * 32 for number, name in enumerate(texts)}
    made = (SealedText(name, commit(name, text, openings[name]), openings[name], text) for name, text in texts.items())
    return EntryTexts("ab" * 16, "cd" * 8, tuple(made))


def sealed(entry):
    return seal(AESGCM(KEY), ORIGIN, SEQ, pack(entry.trace_id, entry.span_id, entry.texts))


@given(TEXTS)
def test_what_was_sealed_comes_back(texts):
    """All texts with their openings, whatever is in them; sealed twice it is two values."""
    entry = entry_of(texts)
    assert open_sealed(KEY, ORIGIN, SEQ, sealed(entry)) == entry
    assert sealed(entry) != sealed(entry)


@given(st.integers(0, 17), st.integers(0, 20))
def test_texts_of_any_length_come_back(doublings, more):
    """Texts shorter and longer than every window of the compressor are read back as they were."""
    entry = entry_of({"input": "a fair answer, é" * (2**doublings // 16) + "x" * more})
    assert open_sealed(KEY, ORIGIN, SEQ, sealed(entry)) == entry


@given(TEXTS, st.sampled_from(["sealed", "key", "origin", "seq"]), st.data())
def test_a_flipped_bit_opens_nothing(texts, what, data):
    """Of the value, its key, or the place that it was sealed for: the backup that it is fails aloud."""
    values = {"sealed": sealed(entry_of(texts)), "key": KEY, "origin": ORIGIN.encode(), "seq": SEQ.to_bytes(8, "big")}
    at = data.draw(st.integers(0, len(values[what]) - 1))
    flipped = bytearray(values[what])
    flipped[at] ^= 1 << data.draw(st.integers(0, 6 if what == "origin" else 7))  # an origin stays text
    values[what] = bytes(flipped)
    with pytest.raises(VerificationError, match="sealed texts of entry"):
        open_sealed(values["key"], values["origin"].decode(), int.from_bytes(values["seq"], "big"), values["sealed"])


@given(st.binary(max_size=200), TEXTS)
def test_whatever_is_there_instead_is_refused(junk, texts):
    """Bytes that nobody sealed, and a value that was cut, are errors of ours and nothing else."""
    with pytest.raises(VerificationError):
        open_sealed(KEY, ORIGIN, SEQ, junk)
    whole = sealed(entry_of(texts))
    for size in range(len(whole)):
        with pytest.raises(VerificationError):
            open_sealed(KEY, ORIGIN, SEQ, whole[:size])
    with pytest.raises(MalformedInput):
        unpack(junk)
