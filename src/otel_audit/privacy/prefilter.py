"""Whether a text can hold personal data at all, at the price of two passes by the C library.

Most texts hold none, and are told so here in a few microseconds for 2 KB.
"""

from __future__ import annotations

import re
from typing import Final

# Everything but digits, @ and what introduces an encoding is dropped; what is left is the text's skeleton.
_KEPT: Final = b"0123456789@%\\&"
_DROPPED: Final = bytes(set(range(256)) - set(_KEPT))
_LEAST_DIGITS: Final = 4  # 1.1.1.1
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
_IPV6: Final = b"::"
# Keys of JSON that promise a person's name: see hints.py.
_NAME_KEY: Final = re.compile(
    r"(?:first|last|full|given|family|sur|middle|maiden|birth|user|customer|patient|applicant|borrower|client|contact"
    r"|person|vor|nach|employee)[_ .-]?name|card[_ -]?holder|account[_ -]?holder|beneficiary",
    re.IGNORECASE,
)


def is_suspicious(text: str) -> bool:
    """False only when no detector could find anything, in the text or in what it decodes to."""
    raw = text.encode(errors="replace")
    if len(raw) < 5:
        return False
    skeleton = raw.translate(None, _DROPPED)
    if len(skeleton) >= _LEAST_DIGITS or any(sign in skeleton for sign in (b"@", b"%", b"\\", b"&")):
        return True
    if _IPV6 in raw or b"=40" in raw or _RUN_BYTES in raw.translate(_BASE64):
        return True
    if raw[:1] in b"{[" and (b"ame" in raw or b"NAME" in raw or b"older" in raw) and _NAME_KEY.search(text):
        return True
    return len(raw) != len(text) and _WIDE.search(text) is not None


def is_long_run(text: str) -> bool:
    """Whether there is a row of characters that base64 may be."""
    return _RUN_BYTES in text.encode(errors="replace").translate(_BASE64)
