"""The content rule: texts leave the attribute maps, and a marker says where each went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, TypeAlias

from otel_audit.conventions.text import CLASSES, MARKER, TEXT, TEXT_LIMIT, UNFIT, is_long
from otel_audit.conventions.values import Odd, Pairs, Value, format_typed

# Where an attribute goes. An `Entry` is (key, value, (key, text), where); text is the value itself
# for a string and its typed JSON for anything else.
STRING: Final = 0  # the string map
JSON: Final = 1  # the JSON map
MOVED_STRING: Final = 2  # content, with a marker in the string map
MOVED_JSON: Final = 3  # content, with a marker in the JSON map
BAD_KEY: Final = 4  # added to one of the above: the key is content too
Entry: TypeAlias = tuple[str, Value, tuple[str, str], int]

_SCALARS: Final = frozenset({int, bool, float, type(None)})


class Content(dict[str, str]):
    """Texts of one event by content name."""

    __slots__ = ("_repeats",)
    _repeats: dict[str, int]

    def put(self, name: str, text: str) -> str:
        """Add a text and return its marker. A name that is taken already gets ``#2``, ``#3`` ..."""
        if name in self:
            if not hasattr(self, "_repeats"):
                self._repeats = {}
            base, count = name, self._repeats.get(name, 1)
            while name in self:
                count += 1
                name = f"{base}#{count}"
            self._repeats[base] = count
        self[name] = text
        return MARKER + name

    def short(self, name: str, text: str) -> str:
        """``text`` itself when it may stay in the ledger by its length, else its marker."""
        return self.put(name, text) if is_long(text) or text.startswith(MARKER) else text


def entry_of(key: str, value: Value) -> Entry:
    """Decide, once, where an attribute goes."""
    kind = CLASSES[key]
    if type(value) is str:
        moved = value and (kind == TEXT or is_long(value) or value.startswith(MARKER))
        text, where = value, MOVED_STRING if moved else STRING
    else:
        text = format_typed(value)
        moved = is_long(text) or (kind == TEXT and type(value) not in _SCALARS)
        where = MOVED_JSON if moved else JSON
    return key, value, (key, text), where | BAD_KEY if kind == UNFIT else where


def first_values(entries: Sequence[Entry]) -> dict[str, Value]:
    """Attributes as a dict. Of a repeated key the first counts."""
    attributes = {entry[0]: entry[1] for entry in entries}
    if len(attributes) != len(entries):
        attributes = {entry[0]: entry[1] for entry in reversed(entries)}
        attributes = {key: attributes[key] for key in dict.fromkeys(entry[0] for entry in entries)}
    return attributes


def split(
    entries: Sequence[Entry],
    *,
    repeated: bool,
    place: str,
    content: Content,
    taken: Mapping[str, str],
    otlp: list[tuple[str, str]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The string map and the JSON map of ``entries``, texts replaced by markers.

    ``place`` is the column (``attributes``, ``resource_attributes``), ``taken`` says which attributes
    a convention already made content of that name. What two maps can not tell goes to ``otlp``:
    ``<place>_order`` is the runs in which strings (s), others (j) and duplicates (d) alternated, and
    ``duplicate_<place>`` holds all but the first of each repeated key.
    """
    duplicates: list[Entry] = []
    letters = ""
    if repeated:
        entries, duplicates, letters = _without_repeats(entries)
    strings: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    order: list[int] = []
    for entry in entries:
        where = entry[3]
        if where == STRING:
            strings.append(entry[2])
            continue
        if where == JSON:
            order.append(len(strings))
            others.append(entry[2])
            continue
        key, text = entry[2]
        if where & BAD_KEY:
            key = content.put(f"{place}_keys", key)
            where &= ~BAD_KEY
        if where in (STRING, JSON):
            marker = text
        elif key in taken:
            marker = MARKER + taken[key]
        else:
            marker = content.put(f"{place}.{key.removeprefix(MARKER)}", text)
        if where in (STRING, MOVED_STRING):
            strings.append((key, marker))
        else:
            order.append(len(strings))
            others.append((key, f'"{_escaped(marker)}"' if where == MOVED_JSON else text))
    if letters or (order and order[0] != len(strings)):
        runs = _runs(letters) if letters else _ORDERS[(len(strings), *order)]
        otlp.append((f"{place}_order", runs))
    if duplicates:
        items = [
            [key, shelter(key, value, f"duplicate_{place}.{number}", content)]
            for number, (key, value, _, _) in enumerate(duplicates)
        ]
        otlp.append((f"duplicate_{place}", format_typed([[_fit(k, place, content), v] for k, v in items])))
    return strings, others


def _escaped(marker: str) -> str:
    return format_typed(marker)[1:-1]


def _fit(key: str, place: str, content: Content) -> str:
    return content.put(f"{place}_keys", key) if CLASSES[key] == UNFIT else key


def shelter(key: str, value: Value, name: str, content: Content) -> Value:
    """A value inside JSON (span events, links, scope): itself, or a stand-in for the text that moved.

    A moved string is the string ``content:<name>``, anything else is ``{"$content": "<name>"}``.
    """
    _, _, (_, text), where = entry_of(key, value)
    where &= ~BAD_KEY
    if where == MOVED_STRING:
        return content.put(name, text)
    if where == MOVED_JSON:
        return Odd("$content", content.put(name, text).removeprefix(MARKER))
    return value


def shelter_all(attributes: Value, place: str, content: Content) -> dict[str, Value] | Pairs:
    """``shelter`` every attribute of a span event, link or scope (a dict or ``Pairs``)."""
    items = attributes.items if isinstance(attributes, Pairs) else attributes.items()
    result = []
    for key, value in items:
        fit = _fit(key, place, content)
        result.append((fit, shelter(key, value, f"{place}.{fit.removeprefix(MARKER)}", content)))
    return Pairs(result) if isinstance(attributes, Pairs) else dict(result)


def _without_repeats(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry], str]:
    seen: set[str] = set()
    first: list[Entry] = []
    repeats: list[Entry] = []
    letters = []
    for entry in entries:
        if entry[0] in seen:
            repeats.append(entry)
            letters.append("d")
        else:
            seen.add(entry[0])
            first.append(entry)
            letters.append("s" if entry[3] & ~BAD_KEY in (STRING, MOVED_STRING) else "j")
    return first, repeats, "".join(letters)


def _runs(letters: str) -> str:
    return "".join(f"{len(list(run))}{letter}" for letter, run in groupby(letters))


class _Orders(dict[tuple[int, ...], str]):
    """Runs by (number of strings, strings before each other value ...), remembered: producers repeat themselves."""

    def __missing__(self, counts: tuple[int, ...]) -> str:
        total, *before = counts
        letters, done = [], 0
        for count in before:
            letters.append("s" * (count - done) + "j")
            done = count
        runs = _runs("".join(letters) + "s" * (total - done))
        if len(before) <= TEXT_LIMIT:
            if len(self) >= 1 << 12:
                self.clear()
            self[counts] = runs
        return runs


_ORDERS: Final = _Orders()
