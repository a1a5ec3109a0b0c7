"""Sealed texts, whatever they say and however long they are."""

import zlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from otel_audit.errors import VerificationError
from otel_audit.privacy.sealing import EntryTexts, SealedText, open_sealed, pack, seal

KEY = b"k" * 32
texts = st.builds(
    SealedText, st.text(), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.text()
)


@given(st.text(max_size=40), st.text(max_size=40), st.lists(texts, max_size=4), st.integers(0, 17))
def test_what_was_sealed_comes_back(trace_id, span_id, given_texts, doublings):
    """Texts of any length, below and above every size of the compressor's window, are read back as they were."""
    long = SealedText("long", bytes(32), bytes(32), "a fair answer é " * ((1 << doublings) // 16))
    entry = EntryTexts(trace_id, span_id, (*given_texts, long))
    packed = pack(trace_id, span_id, entry.texts)
    assert zlib.decompress(packed)  # as any zlib reads it
    sealed = seal(AESGCM(KEY), "o/1", 7, packed)
    assert open_sealed(KEY, "o/1", 7, sealed) == entry
    with pytest.raises(VerificationError):
        open_sealed(KEY, "o/1", 8, sealed)
