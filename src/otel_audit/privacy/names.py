"""People from a list, found wherever they are named: whole words, whatever their case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")
_GAP: Final = re.compile(r"(?:[^\S\n]|[,._+'\u2019-]|\n){1,3}")


def _fold(word: str) -> str:
    return unicodedata.normalize("NFC", word).casefold()


class NameList:
    """Thousands of names as one look-up by first word.

    >>> [text[2] for text in NameList(["Jane Roe"]).find("spoke to JANE  ROE's lawyer; Roe, Jane agreed")]
    ['jane roe', 'jane roe']
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._normal: dict[tuple[str, ...], str] = {}
        sizes: dict[str, set[int]] = {}
        for name in names:
            words = tuple(_fold(match[0]) for match in _WORD.finditer(unicodedata.normalize("NFC", name)))
            if not words:
                continue
            for order in (words, (words[-1], *words[:-1])):  # the second as registers write it: last name first
                self._normal.setdefault(order, " ".join(words))
                sizes.setdefault(order[0], set()).add(len(words))
        # How many words the names have that begin with a word, the longest first.
        self._sizes = {first: sorted(found, reverse=True) for first, found in sizes.items()}

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Start, end and normal form of each name in a text."""
        if self._sizes.keys().isdisjoint(_WORD.findall(_fold(text))):
            return
        words = [(match.start(), match.end(), _fold(match[0])) for match in _WORD.finditer(text)]
        at = 0
        while at < len(words):
            for size in self._sizes.get(words[at][2], ()):
                last = at + size - 1
                normal = self._normal.get(tuple(word for _, _, word in words[at : last + 1]))
                if normal is not None and all(
                    _GAP.fullmatch(text, words[number][1], words[number + 1][0]) for number in range(at, last)
                ):
                    yield words[at][0], words[last][1], normal
                    at = last
                    break
            at += 1
