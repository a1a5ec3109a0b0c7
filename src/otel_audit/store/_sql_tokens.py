"""ClickHouse SQL cut into tokens: enough to find the end of a statement and the words that matter.

Stricter than the engine on purpose. Outside quotes only printable ASCII and plain white space is taken, so that
what this reader calls a word, a string or a comment is what the engine calls it (the engine also takes curly
quotes, Unicode spaces and more).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from otel_audit.errors import MalformedInput


class TokenKind(Enum):
    """What a token is; comments and white space are not tokens."""

    WORD = auto()  # keyword, name or function, without quotes
    QUOTED_NAME = auto()  # `name` or "name"
    STRING = auto()  # 'text' or a heredoc
    NUMBER = auto()
    END = auto()  # ; between statements
    SYMBOL = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where it begins in the text."""

    kind: TokenKind
    text: str
    start: int

    @property
    def upper(self) -> str:
        """The token in capitals, to compare with keywords."""
        return self.text.upper()

    @property
    def name(self) -> str:
        """The name that a word or quoted name stands for, in small letters."""
        if self.kind is not TokenKind.QUOTED_NAME:
            return self.text.lower()
        quote = self.text[0]
        inner = self.text[1:-1].replace(quote * 2, quote)
        return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL).lower()


# Longest first where one begins like another. A backslash or a doubled quote keeps a quoted text open.
_TOKEN: Final = re.compile(
    r"""
    (?P<space>[ \t\r\n]+ | --[^\n]* | //[^\n]*)
  | (?P<comment>/\*)
  | (?P<heredoc>\$\w*\$)
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<name>`(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*")
  | (?P<number>[0-9](?:[\w.]|(?<=[eEpP])[+-])*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<end>;)
  | (?P<symbol>[-+*/%=<>!()\[\]{},.:?|^@~&])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_KINDS: Final = {
    "string": TokenKind.STRING,
    "name": TokenKind.QUOTED_NAME,
    "number": TokenKind.NUMBER,
    "word": TokenKind.WORD,
    "end": TokenKind.END,
    "symbol": TokenKind.SYMBOL,
}


def tokens(text: str) -> Iterator[Token]:
    """Cut ``text`` into tokens. Raises MalformedInput at what is not closed or not understood."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise MalformedInput(f"SQL: {text[position : position + 20]!r} at character {position} is not understood")
        start, position = position, match.end()
        group = match.lastgroup
        if group == "comment":
            position = _end_of_comment(text, start)
        elif group == "heredoc":
            position = _end_of_heredoc(text, start, match.group())
            yield Token(TokenKind.STRING, text[start:position], start)
        elif group != "space" and group is not None:
            yield Token(_KINDS[group], match.group(), start)


def statements(text: str) -> list[str]:
    """Split into the statements of ``text``, without the ``;`` between them and without comments around them."""
    found: list[str] = []
    begin = end = None
    for token in (*tokens(text), Token(TokenKind.END, ";", len(text))):
        if token.kind is not TokenKind.END:
            begin = token.start if begin is None else begin
            end = token.start + len(token.text)
        elif begin is not None:
            found.append(text[begin:end])
            begin = None
    return found


def _end_of_comment(text: str, start: int) -> int:
    """Comments nest in ClickHouse."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    raise MalformedInput(f"SQL: the comment at character {start} is not closed")


def _end_of_heredoc(text: str, start: int, tag: str) -> int:
    end = text.find(tag, start + len(tag))
    if end < 0:
        raise MalformedInput(f"SQL: the text {tag} at character {start} is not closed")
    return end + len(tag)
