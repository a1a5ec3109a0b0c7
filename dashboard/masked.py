"""The marks that stand for what was masked, as people read them. Pure.

``[email:k7c41d2:a3f9…e]`` in a text becomes "e-mail address · 3f9e": what it was, and enough of the mark to
see that two are the same person's. The whole mark is in the tooltip, and in every export. A text that was not kept at
all has one mark: its keyed hash, or where it lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from formats import count, esc

from otel_audit.privacy.redactor import TOKEN, WHOLE

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
_MANY: Final = {
    "e-mail address": "e-mail addresses",
    "network address": "network addresses",
    "date of birth": "dates of birth",
    "user name and password": "user names and passwords",
}
_EXPLANATION: Final = "Personal data, masked when it was recorded. The same mark stands for the same value."


_MARK: Final = re.compile(f"(?P<token>{TOKEN.pattern})|{WHOLE.pattern}")


def prose(text: str) -> str:
    """A text as HTML, each mark in words."""
    parts: list[str] = []
    done = 0
    for match in _MARK.finditer(text):
        parts += (esc(text[done : match.start()]), _token(match[0]) if match["token"] else _whole(match[0]))
        done = match.end()
    return "".join([*parts, esc(text[done:])])


def said(texts: Iterable[str], policy: str) -> str:
    """What is masked in these texts, and why, in sentences; empty when nothing is. ``policy`` is the entry's own label.

    >>> said(["from [email:k802b6d:f31507c0cf751baa155d]"], "redacted/1")
    'Masked here: 1 e-mail address. The capture policy redacted/1 took it out before anything was stored.'
    """
    marks = list(dict.fromkeys(match for text in texts for match in _MARK.finditer(text)))
    kinds: dict[str, set[str]] = {}
    for match in marks:
        if match["token"]:
            kinds.setdefault(_kind(match[0]), set()).add(match[0])
    whole = {match[0] for match in marks if not match["token"]}
    listed = [count(len(found), kind, _MANY.get(kind)) for kind, found in kinds.items()]
    listed += [count(len(whole), "whole text or file")] if whole else []
    if not listed:
        return ""
    number = sum(map(len, kinds.values())) + len(whole)
    by = f"The capture policy {policy}" if policy else "A capture policy"
    return (
        f"Masked here: {', '.join(listed)}. {by} took {'it' if number == 1 else 'them'} out before anything was stored."
    )


def _kind(token: str) -> str:
    raw = token[1:].partition(":")[0]
    return _KINDS.get(raw, raw.replace("_", " "))


def _token(token: str) -> str:
    title = esc(f"{_EXPLANATION} {token}")
    return f'<span class="masked" title="{title}">{esc(_kind(token))} · {esc(token[-6:-2])}</span>'


def _whole(mark: str) -> str:
    kind, _, rest = mark[1:-1].partition(":")
    if kind == "hash":
        words = f"text not kept, only its hash ({rest.partition(';')[2]})"
    elif kind == "ref":
        words = f"text kept elsewhere: {rest.rpartition(';')[0]}"
    else:
        words = f"{', '.join(rest.split(';')[:2])}, not kept"
    return f'<span class="masked" title="{esc(mark)}">{esc(words)}</span>'
