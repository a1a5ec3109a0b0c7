"""The marks that stand for masked personal data, as people read them. Pure.

``[email:k7c41d2:a3f9…e]`` in a text becomes "e-mail address · 3f9e": what it was, and enough of the mark to
see that two are the same person's. The whole mark is in the tooltip, and in every export.
"""

from __future__ import annotations

import re
from typing import Final

from formats import esc

from otel_audit.privacy.redactor import TOKEN

_KINDS: Final = {
    "email": "e-mail address",
    "phone": "telephone number",
    "card": "card number",
    "iban": "bank account",
    "ssn": "social security number",
    "national_id": "national id number",
    "ip": "network address",
    "name": "name",
    "birth_date": "date of birth",
    "userinfo": "user name and password",
}
_EXPLANATION: Final = "Personal data, masked when it was recorded. The same mark stands for the same value."


def prose(text: str) -> str:
    """A text as HTML, each mark of masked personal data in words."""
    parts: list[str] = []
    done = 0
    for match in TOKEN.finditer(text):
        parts += (esc(text[done : match.start()]), _mark(match))
        done = match.end()
    return "".join([*parts, esc(text[done:])])


def _mark(match: re.Match[str]) -> str:
    token = match[0]
    kind = token[1:].partition(":")[0]
    said = _KINDS.get(kind, kind.replace("_", " "))
    return f'<span class="masked" title="{esc(f"{_EXPLANATION} {token}")}">{esc(said)} · {esc(token[-6:-2])}</span>'
