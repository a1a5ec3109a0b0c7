"""What a reviewer changed: before, after, and the difference as a unified diff or a JSON Patch."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._context import text
from otel_audit.instrumentation._faults import guard, note
from otel_audit.instrumentation.reviews.json_patch import json_patch
from otel_audit.semconv import (
    AUDIT_CHANGE_AFTER,
    AUDIT_CHANGE_BEFORE,
    AUDIT_CHANGE_DIFF,
    AUDIT_CHANGE_OMITTED,
    AUDIT_CHANGE_PATCH,
)

ChangeFormat: TypeAlias = Literal["auto", "diff", "patch", "none"]
_FORMATS: Final = get_args(ChangeFormat)

# difflib is quadratic in the lines that differ: this many take some 50 ms however they are made (measured).
DIFF_LINES: Final = 2_000
PATCH_CHARACTERS: Final = 200_000  # of both values as JSON
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")  # as diff and patch count lines; str.splitlines breaks at more
_CONTEXT: Final = 3  # equal lines around what differs, as diff -u has them
_NO_NEWLINE: Final = "\n\\ No newline at end of file\n"  # as diff writes it


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a change, as it was when it was given: later changes to the object are not seen."""

    text: str
    is_json: bool  # the text is JSON that we wrote

    @classmethod
    def of(cls, value: object) -> Side:
        """A text as it is, anything else as JSON; what JSON has no form for as its text."""
        if isinstance(value, str):
            return cls(text(value), is_json=False)
        try:
            return cls(text(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)), is_json=True)
        except (TypeError, ValueError, RecursionError):  # odd keys, NaN, a loop
            return cls(text(value), is_json=False)

    @property
    def json(self) -> str:
        """The side as JSON: a text is a JSON string."""
        return self.text if self.is_json else json.dumps(self.text)


@dataclass(frozen=True, slots=True)
class Change:
    """A change; None for a side that was not given. Without both there is no difference to record."""

    before: Side | None = None
    after: Side | None = None
    format: str = "auto"

    @classmethod
    def of(cls, before: object, after: object, change_format: str) -> Change:
        """The change from ``before`` to ``after``. A format that does not exist is counted, and "auto" in its place."""
        if change_format not in _FORMATS:
            note("change", f"the format is none of {', '.join(_FORMATS)}")
            change_format = "auto"
        return cls(
            None if before is None else Side.of(before), None if after is None else Side.of(after), change_format
        )

    def attributes(self) -> dict[str, AttributeValue]:
        """Both sides, and the difference. One that would take too long is left out, and that is said."""
        found: dict[str, AttributeValue] = {}
        if self.before is not None:
            found[AUDIT_CHANGE_BEFORE] = self.before.text
        if self.after is not None:
            found[AUDIT_CHANGE_AFTER] = self.after.text
        if self.before is None or self.after is None or self.format == "none":
            return found
        with guard("change"):  # the difference can be made again from the two sides, which are recorded in any case
            found |= self._difference(self.before, self.after)
        return found

    def _difference(self, before: Side, after: Side) -> dict[str, AttributeValue]:
        if self.format == "patch" or (self.format == "auto" and before.is_json and after.is_json):
            return _patch(before, after)
        return _diff(_readable(before), _readable(after))


def _patch(before: Side, after: Side) -> dict[str, AttributeValue]:
    size = len(before.text) + len(after.text)
    if size > PATCH_CHARACTERS:
        return {AUDIT_CHANGE_OMITTED: f"patch: {size} characters, limit {PATCH_CHARACTERS}"}
    patch = json_patch(json.loads(before.json), json.loads(after.json))
    return {AUDIT_CHANGE_PATCH: json.dumps(patch, ensure_ascii=False)}


def _readable(side: Side) -> str:
    """The text to compare by lines: JSON one value a line."""
    return json.dumps(json.loads(side.text), ensure_ascii=False, indent=1) if side.is_json else side.text


def _diff(before: str, after: str) -> dict[str, AttributeValue]:
    old, new = _LINE.findall(before), _LINE.findall(after)
    head, tail = _equal_ends(old, new)
    if (differing := len(old) + len(new) - 2 * (head + tail)) > DIFF_LINES:
        return {AUDIT_CHANGE_OMITTED: f"diff: {differing} lines differ, limit {DIFF_LINES}"}
    return {AUDIT_CHANGE_DIFF: "".join(_unified(old, new, head, tail))}


def _unified(old: list[str], new: list[str], head: int, tail: int) -> Iterator[str]:
    """The lines of ``diff -u``, where the first ``head`` and the last ``tail`` lines are known to be equal.

    difflib compares only what lies between: equal ends would cost it as much as differences. It is not left to
    difflib.unified_diff, because ``patch`` takes a hunk with less context than there is for the end of the file.
    """
    core = difflib.SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail])
    changes = [
        (i1 + head, i2 + head, j1 + head, j2 + head) for tag, i1, i2, j1, j2 in core.get_opcodes() if tag != "equal"
    ]
    if changes:
        yield "--- before\n+++ after\n"
    while changes:
        size = 1
        while size < len(changes) and changes[size][0] - changes[size - 1][1] <= 2 * _CONTEXT:
            size += 1
        hunk, changes = changes[:size], changes[size:]
        start, end = max(0, hunk[0][0] - _CONTEXT), min(len(old), hunk[-1][1] + _CONTEXT)
        new_start, new_end = hunk[0][2] - (hunk[0][0] - start), hunk[-1][3] + (end - hunk[-1][1])
        yield f"@@ -{_range(start, end)} +{_range(new_start, new_end)} @@\n"
        done = start
        for i1, i2, j1, j2 in hunk:
            yield from _marked(" ", old[done:i1])
            yield from _marked("-", old[i1:i2])
            yield from _marked("+", new[j1:j2])
            done = i2
        yield from _marked(" ", old[done:end])


def _range(start: int, end: int) -> str:
    """Lines as a hunk's header has them: the first from 1 and how many; of none, the line before."""
    length = end - start
    return str(start + 1) if length == 1 else f"{start + 1 if length else start},{length}"


def _marked(mark: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield mark + (line if line.endswith("\n") else line + _NO_NEWLINE)


def _equal_ends(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many lines are equal at the beginning, and of the rest at the end."""
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - head) if old[-1 - i] != new[-1 - i]), shorter - head)
    return head, tail
