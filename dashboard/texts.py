"""Texts of an entry for reading: messages by role, and a reviewer's changes as a word diff. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_audit.privacy.redactor import TOKEN
from otel_audit.reports import narrate

SHOWN_CHARACTERS: Final = 20_000  # more makes a page slow; what is left out is said, and exports have all of it
_DIFFED_WORDS: Final = 6_000
_WORDS: Final = re.compile(rf"{TOKEN.pattern}|\s+|\w+|[^\w\s]")  # a mark of masked data is one word
# What a document is called, and what it says: ours, OpenTelemetry's and those of other conventions.
_NAMES: Final = ("ref", "id", "document.id", "uri", "source", "name")
_SAYS: Final = ("content", "text", "document.content", "page_content")
_ROLES: Final = {
    "system": "Instructions",
    "user": "User",
    "assistant": "AI",
    "tool": "Tool",
    "developer": "Instructions",
}

# (content name, what it is called, who speaks when the text does not say)
READABLE: Final = (
    ("system_instructions", "Instructions", "Instructions"),
    ("context", "Context it was given", "Context"),
    ("input", "What the AI was asked", "User"),
    ("output", "What the AI answered", "AI"),
    ("tool_definitions", "Tools it was offered", "Tools"),
    ("tool_arguments", "What the tool was given", "Arguments"),
    ("tool_result", "What the tool returned", "Result"),
    ("body", "Text of the record", "Text"),
    ("status_message", "Error message", "Message"),
    ("filter", "What was looked for", "Filter"),
    ("patch", "What was changed, as a JSON Patch", "Patch"),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message as people read it: who speaks, and what."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a diff: ``removed`` and ``added`` differ, or both are the text that stayed."""

    removed: str
    added: str

    @property
    def changed(self) -> bool:
        """Whether something changed here."""
        return self.removed != self.added


def messages(text: str, speaker: str) -> list[Message]:
    """A stored text by speaker; ``speaker`` says a part that has no role of its own."""
    return [Message(_ROLES.get(role, role or speaker), said) for role, said in narrate.messages(text)]


def documents(text: str) -> list[Message]:
    """The documents an AI was given: what each is called, its score and its text; as messages where they are none."""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not items or not all(map(_is_document, items)):
        return messages(text, "Context")
    return [Message(*_document(item)) for item in items]


def _is_document(item: Any) -> bool:
    return isinstance(item, dict) and any(_of(item, names) for names in (_NAMES, _SAYS))


def _of(item: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of these that an item has and that is no structure of its own."""
    return next((str(item[name]) for name in names if isinstance(item.get(name), str | int | float)), "")


def _document(item: Mapping[str, Any]) -> tuple[str, str]:
    score, digest = _of(item, ("score", "document.score")), _of(item, ("hash",))
    named = [_of(item, _NAMES) or "Document", f"score {score}" if score else "", f"hash {digest}" if digest else ""]
    return " · ".join(filter(None, named)), _of(item, _SAYS) or "Only the reference was recorded, not the text."


def plain(text: str) -> str:
    """A stored text without roles, for quoting and comparing."""
    return "\n\n".join(message.text for message in messages(text, "")) if text[:1] in ("[", "{") else text


def shortened(text: str, limit: int = SHOWN_CHARACTERS) -> tuple[str, int]:
    """The text up to ``limit`` characters, and how many are left out."""
    return text[:limit], max(0, len(text) - limit)


def word_diff(before: str, after: str) -> list[Run]:
    """What changed, in words. Changes that only a space keeps apart are one, so that it reads as phrases.

    Very long texts are compared by lines.
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) + len(new) > _DIFFED_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    runs: list[Run] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        run = Run("".join(old[i:j]), "".join(new[k:m]))
        blank = tag == "equal" and not run.removed.strip() and "\n" not in run.removed
        if runs and runs[-1].changed and (blank or (run.changed and _joins(runs))):
            runs[-1] = Run(runs[-1].removed + run.removed, runs[-1].added + run.added)
        else:
            runs.append(run)
    return [piece for run in runs for piece in _trimmed(run)]


def _joins(runs: Sequence[Run]) -> bool:
    return runs[-1].removed[-1:].isspace() and runs[-1].added[-1:].isspace()


def _trimmed(run: Run) -> list[Run]:
    """Spaces at the end that both sides share are no change."""
    if not run.changed:
        return [run]
    tail = 0
    while tail < min(len(run.removed), len(run.added)) and run.removed[-1 - tail] == run.added[-1 - tail] == " ":
        tail += 1
    if not tail:
        return [run]
    return [Run(run.removed[:-tail], run.added[:-tail]), Run(" " * tail, " " * tail)]
