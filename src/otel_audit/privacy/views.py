"""A text as somebody who decodes it reads it: percent-encoding, backslash escapes and HTML entities undone.

Personal data is looked for in the decoded text and masked in the text as it was written, so that nothing
else of it changes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Final

_MAX_LAYERS: Final = 4  # encodings within encodings; each layer is another pass over the text
_ENCODED: Final = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|\\+u\{?(?P<unicode>[0-9A-Fa-f]{4})\}?"
    r"|\\+x(?P<hex>[0-9A-Fa-f]{2})"
    r"|\\+(?P<escape>[nrtbfv\"'/])"
    r"|(?P<entity>&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|commat|period|lowbar|plus|amp|quot|lt|gt|nbsp|apos);)"
    r"|(?P<quoted>=40|=2E|=2B|=\r?\n)"
    r"|(?P<invisible>[\u200b-\u200d\u2060\ufeff\u00ad]+)"
)
_TRIGGERS: Final = re.compile(r"[%\\&\u200b-\u200d\u2060\ufeff\u00ad]|=40|=2B|=2E")
_BAD_BYTE: Final = re.compile(r"\\x[89a-fA-F][0-9a-fA-F]")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " ", "v": " "}
_FORM: Final = re.compile(r"(?<=[?&;])[^\s?&;=]*=[^\s&;]*")


class View:
    """A decoded text and, for each of its characters, where it came from: ``starts[i]`` to ``ends[i]``."""

    __slots__ = ("ends", "starts", "text")

    def __init__(self, text: str, starts: Sequence[int], ends: Sequence[int]) -> None:
        self.text = text
        self.starts = starts
        self.ends = ends

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The part of the original that ``text[start:end]`` was decoded from."""
        return self.starts[start], self.ends[end - 1]


def views(text: str) -> list[View]:
    """The texts that a text decodes to, layer by layer; empty when nothing in it is encoded."""
    found: list[View] = []
    view = View(text, range(len(text)), range(1, len(text) + 1))
    if _TRIGGERS.search(text) is not None:
        for _ in range(_MAX_LAYERS):
            decoded = _decode(view)
            if decoded is None:
                break
            if _BAD_BYTE.search(view.text) is not None:  # text with a byte that is none: see it without that byte, too
                found.append(_decode(view, without_bytes=True) or view)
            view = decoded
            found.append(view)
    if "+" in view.text and "=" in view.text:
        plain = _FORM.sub(lambda match: match[0].replace("+", " "), view.text)
        if plain != view.text:
            found.append(View(plain, view.starts, view.ends))
            spaced = re.sub(r"(?<==) (?=\d)", "+", plain)  # a + that was not encoded, before a number
            if spaced != plain:
                found.append(View(spaced, view.starts, view.ends))
    return found


def _decode(view: View, *, without_bytes: bool = False) -> View | None:
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    text, done, changed = view.text, 0, False
    for match in _ENCODED.finditer(text):
        decoded = [] if without_bytes and _BAD_BYTE.fullmatch(match[0]) else _decoded(match)
        if decoded is None:
            continue
        changed = True
        _copy(view, done, match.start(), pieces, starts, ends)
        done = match.end()
        for char, start, end in decoded:
            pieces.append(char)
            starts.append(view.starts[match.start() + start])
            ends.append(view.ends[match.start() + end - 1])
    if not changed:
        return None
    _copy(view, done, len(text), pieces, starts, ends)
    return View("".join(pieces), starts, ends)


def _copy(view: View, start: int, end: int, pieces: list[str], starts: list[int], ends: list[int]) -> None:
    pieces.append(view.text[start:end])
    starts.extend(view.starts[start:end])
    ends.extend(view.ends[start:end])


def _decoded(match: re.Match[str]) -> list[tuple[str, int, int]] | None:
    """Characters with their place inside the match; None for what only looks encoded."""
    text, size = match[0], len(match[0])
    if match["percent"]:
        return _percent(text)
    if match["unicode"] or match["hex"]:
        code = int(match["unicode"] or match["hex"], 16)
        return None if 0xD800 <= code <= 0xDFFF else [(chr(code), 0, size)]
    if match["escape"]:
        return [(_ESCAPES.get(match["escape"], match["escape"]), 0, size)]
    if match["entity"]:
        char = html.unescape(text)
        return [(char, 0, size)] if len(char) == 1 else None
    if match["quoted"]:
        return [(chr(int(text[1:], 16)), 0, size)] if text[1:].isalnum() else []
    return []  # invisible characters


def _percent(text: str) -> list[tuple[str, int, int]]:
    """UTF-8 characters of a run of percent-encoded bytes; bytes that are none become Latin-1."""
    raw = bytes.fromhex(text.replace("%", ""))
    result: list[tuple[str, int, int]] = []
    at = 0
    while at < len(raw):
        size = 1 if raw[at] < 0xC2 else 2 if raw[at] < 0xE0 else 3 if raw[at] < 0xF0 else 4
        try:
            char = raw[at : at + size].decode()
        except UnicodeDecodeError:
            size, char = 1, chr(raw[at])
        result.append((char, at * 3, (at + size) * 3))
        at += size
    return result
