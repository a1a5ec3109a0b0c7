"""Whether a text can hold personal data at all, at the price of two passes by the C library.

Most texts hold none, and are told so here in a few microseconds for 2 KB.
"""

from __future__ import annotations

import re
from typing import Final

# All but digits and what encodings are written with is dropped: most texts have nothing left.
_SIGNS: Final = b"@%\\&=:"
_DROPPED: Final = bytes(set(range(256)) - set(b"0123456789" + _SIGNS))
_LEAST_DIGITS: Final = 4  # 1.1.1.1
# In front of digits or an @ that nobody sees until it is decoded.
_ENCODINGS: Final = (b"=40", b"\\u", b"\\x", b"&#", b"&co", b"::")
_TOKENS: Final = b"logprob"  # a text in pieces: see token_lists.py
_IPV6: Final = re.compile(rb":[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:")
_IPV6_COLONS: Final = 6
_PERCENT: Final = re.compile(rb"%[0-9A-Fa-f]{2}")
# Six digits close together, four parts of an address, or the middle of an Italian codice fiscale.
_NUMBER: Final = re.compile(
    r"\d(?:(?:[ \t\u00a0\u2007\u2009\u202f.\-/()+\u2010-\u2014\u2212]{0,3}\d){5}"
    r"|\d{0,2}\.\d{1,3}\.\d{1,3}\.\d|\d[A-Za-z]\d\d[A-Za-z]\d{3}[A-Za-z])"
)
_RUN: Final = 16  # characters of base64 that may hide an e-mail address or a number
_BASE64: Final = bytes(
    0x61 if chr(code).isascii() and (chr(code).isalnum() or chr(code) in "+/-_") else 0x20 for code in range(256)
)
_RUN_BYTES: Final = b"a" * _RUN
# Digits of other scripts (all of Unicode's category Nd, by the first of each ten), full-width @, invisible characters.
_WIDE: Final = re.compile(
    r"[\u0660-\u0669\u06f0-\u06f9\u07c0-\u07c9\u0966-\u096f\u09e6-\u09ef\u0a66-\u0a6f\u0ae6-\u0aef\u0b66-\u0b6f\u0be6-\u0bef"
    r"\u0c66-\u0c6f\u0ce6-\u0cef\u0d66-\u0d6f\u0e50-\u0e59\u0ed0-\u0ed9\u0f20-\u0f29\u1040-\u1049\u17e0-\u17e9\u1810-\u1819"
    r"\uff10-\uff19\uff20\u200b-\u200d\u2060\ufeff\u00ad\U0001d7ce-\U0001d7ff]"
)
_SHORTEST: Final = 5  # a@b.c
# Keys of JSON that promise a person's name or document: see hints.py.
_KEY_PARTS: Final = (b"ame", b"NAME", b"older", b"assport", b"icen", b"enefic", b"tax", b"Tax", b"national", b"social")
_KEY: Final = re.compile(
    r"(?:first|last|full|given|family|sur|middle|maiden|birth|user|customer|patient|applicant|borrower|client|contact"
    r"|person|vor|nach|employee)[_ .-]?name|card[_ -]?holder|account[_ -]?holder|beneficiary|passport|licen[cs]e|tax"
    r"|national|social",
    re.IGNORECASE,
)


SEARCH: Final = 1  # a detector may find something in the text, or in what it decodes to
RUN: Final = 2  # a row of characters is long enough to be base64


def suspicion(text: str) -> int:
    """``SEARCH``, ``RUN``, both, or 0 when nothing could find anything."""
    raw = text.encode(errors="replace")
    if len(raw) < _SHORTEST:
        return 0
    run = RUN if _RUN_BYTES in raw.translate(_BASE64) else 0
    skeleton = raw.translate(None, _DROPPED)
    if skeleton and _is_sign(text, raw, skeleton):
        return run | SEARCH
    if raw[:1] in b"{[":
        for part in _KEY_PARTS:
            if part in raw:
                if _KEY.search(text) is not None:
                    return run | SEARCH
                break
    return run | SEARCH if len(raw) != len(text) and _WIDE.search(text) is not None else run


def _is_sign(text: str, raw: bytes, skeleton: bytes) -> bool:
    if b"@" in skeleton:
        return True
    if len(skeleton.translate(None, _SIGNS)) >= _LEAST_DIGITS and _NUMBER.search(text) is not None:
        return True
    if _TOKENS in raw and raw[:1] in b"{[":
        return True
    for sign in _ENCODINGS:
        if sign[0] in skeleton and sign in raw:
            return True
    if b"%" in skeleton and _PERCENT.search(raw) is not None:
        return True
    return skeleton.count(b":") > _IPV6_COLONS and _IPV6.search(raw) is not None


def is_long_run(text: str) -> bool:
    """Whether there is a row of characters that base64 may be."""
    return _RUN_BYTES in text.encode(errors="replace").translate(_BASE64)
