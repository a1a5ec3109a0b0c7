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
        # first word -> (all words, normal form), the longest first
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for name in names:
            words = tuple(_fold(match[0]) for match in _WORD.finditer(unicodedata.normalize("NFC", name)))
            if words:
                self._add(words, " ".join(words))
                if len(words) > 1:  # as registers write it: last name, first names
                    self._add((words[-1], *words[:-1]), " ".join(words))
        for found in self._by_first.values():
            found.sort(key=lambda item: len(item[0]), reverse=True)

    def _add(self, words: tuple[str, ...], normal: str) -> None:
        known = self._by_first.setdefault(words[0], [])
        if all(other != words for other, _ in known):
            known.append((words, normal))

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Start, end and normal form of each name in a text."""
        if self._by_first.keys().isdisjoint(_WORD.findall(_fold(text))):
            return
        words = [(match.start(), match.end(), _fold(match[0])) for match in _WORD.finditer(text)]
        at = 0
        while at < len(words):
            for wanted, normal in self._by_first.get(words[at][2], ()):
                last = at + len(wanted)
                if tuple(word for _, _, word in words[at:last]) == wanted and all(
                    _GAP.fullmatch(text, words[number][1], words[number + 1][0]) for number in range(at, last - 1)
                ):
                    yield words[at][0], words[last - 1][1], normal
                    at = last - 1
                    break
            at += 1
