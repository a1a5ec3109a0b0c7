"""What the front lets through: one statement, of a kind that fits the caller, that touches no file and no network.

The engine's grants and ``readonly`` refuse most of this as well. They do not cover what its client side does by
itself: several statements in one query, ``INTO OUTFILE``, ``FROM INFILE`` and the scalar ``file()``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from otel_audit.errors import MalformedInput
from otel_audit.store._sql_tokens import Token, TokenKind, tokens

# Table functions that read nothing from outside; every other one the engine knows is refused.
ALLOWED_TABLE_FUNCTIONS: Final = frozenset(
    {"format", "generateseries", "generate_series", "merge", "null", "numbers", "numbers_mt", "values", "view"}
    | {"zeros", "zeros_mt"}
)
_STREAMING: Final = frozenset({"SELECT", "WITH"})
_READING: Final = _STREAMING | frozenset({"SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"})
_SETTING_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NAME: Final = r"(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.|``)*`)"
_INSERT: Final = re.compile(
    rf"\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?P<table>{_NAME}(?:\.{_NAME})?)\s*"
    rf"(?:\(\s*(?P<columns>{_NAME}(?:\s*,\s*{_NAME})*)\s*\)\s*)?"
    r"FORMAT\s+(?P<format>Native|RowBinary)(?:[ \t]*\r?\n|\s*$)",
    re.IGNORECASE | re.ASCII,
)


class Refused(MalformedInput):
    """The front does not run this; ``code`` is the ClickHouse error code that says so to the driver."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


SYNTAX_ERROR: Final = 62
READONLY: Final = 164
ACCESS_DENIED: Final = 497


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its ``FORMAT`` clause, and the format it asked for (None: not said)."""

    text: str
    format: str | None
    reads: bool
    streams: bool  # the engine can give the result piece by piece

    def with_settings(self, settings: Mapping[str, str], fmt: str) -> str:
        """The text to run: the statement, then the settings, then the format."""
        clause = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items())
        return f"{self.text}\n{f'SETTINGS {clause}' if clause else ''}\nFORMAT {fmt}"


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose rows follow as data: ``offset`` is where they begin in the body that held the statement."""

    table: str
    columns: tuple[str, ...] | None
    format: str
    offset: int


def read_statement(text: str, refused_functions: Collection[str], *, may_write: bool) -> Statement:
    """Check a statement. Raises Refused. ``refused_functions`` are names in small letters."""
    try:
        found = list(tokens(text))
    except MalformedInput as exc:
        raise Refused(str(exc), SYNTAX_ERROR) from exc
    while found and found[-1].kind is TokenKind.END:
        found.pop()
    if not found:
        raise Refused("Empty query", SYNTAX_ERROR)
    if any(token.kind is TokenKind.END for token in found):
        raise Refused("Only one statement can be sent at a time", SYNTAX_ERROR)
    _check_outside_access(found, refused_functions)
    first = next((token for token in found if token.text != "("), found[0])
    streams = first.upper in _STREAMING
    reads = first.kind is TokenKind.WORD and first.upper in _READING
    if not reads and not may_write:
        raise Refused(f"{first.text[:40]}: only {', '.join(sorted(_READING))} may be run here", READONLY)
    _check_no_inline_rows(found)
    fmt = None
    if len(found) > 2 and found[-2].upper == "FORMAT" and found[-1].kind is TokenKind.WORD:
        fmt = found[-1].text
        found = found[:-2]
    last = found[-1]
    return Statement(text[found[0].start : last.start + len(last.text)], fmt, reads, streams)


def read_insert(text: str) -> Insert | None:
    """Recognise ``INSERT INTO table (columns) FORMAT Native|RowBinary`` at the start of ``text``."""
    match = _INSERT.match(text)
    if match is None:
        return None
    columns = match["columns"]
    names = None if columns is None else tuple(_unquoted(name) for name in re.findall(_NAME, columns))
    return Insert(match["table"], names, match["format"], match.end())


def check_setting_name(name: str) -> None:
    """Raise Refused for what is not a setting name."""
    if not _SETTING_NAME.fullmatch(name):
        raise Refused(f"Invalid setting name {name[:40]!r}", SYNTAX_ERROR)


def _check_no_inline_rows(found: list[Token]) -> None:
    """Refuse rows inside the text: the engine takes what follows a blank line in them for SQL."""
    inserts = [at for at, token in enumerate(found) if token.upper == "INSERT" and token.kind is TokenKind.WORD]
    if not inserts:
        return
    rest = [token for token in found[inserts[0] + 1 :] if token.upper not in {"INTO", "TABLE"}]
    while len(rest) > 2 and rest[1].text == ".":
        del rest[:2]
    del rest[:1]  # the table's name
    if rest and rest[0].text == "(":
        closing = next((at for at, token in enumerate(rest) if token.text == ")"), len(rest))
        del rest[: closing + 1]
    if inserts != [0] or not rest or rest[0].upper not in _STREAMING:
        raise Refused("Rows can be inserted from a SELECT, or sent as Native or RowBinary data", SYNTAX_ERROR)


def _check_outside_access(found: list[Token], refused_functions: Collection[str]) -> None:
    for token, after in pairwise(found):
        if token.kind is TokenKind.STRING:
            continue
        if (token.upper, after.upper) in {("INTO", "OUTFILE"), ("FROM", "INFILE")}:
            raise Refused(f"{token.upper} {after.upper} is not allowed here", ACCESS_DENIED)
        if after.text == "(" and (token.name in refused_functions or token.text == "}"):
            raise Refused(f"The function {token.text[:40]} is not allowed here", ACCESS_DENIED)


def _unquoted(name: str) -> str:
    if not name.startswith("`"):
        return name
    return re.sub(r"\\(.)", r"\1", name[1:-1].replace("``", "`"), flags=re.DOTALL)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
