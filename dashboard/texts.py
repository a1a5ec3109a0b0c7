"""Texts of an entry for reading: messages by role, and a reviewer's changes as a word diff. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

SHOWN_CHARACTERS: Final = 20_000  # more makes a page slow; what is left out is said, and exports have all of it
_DIFFED_WORDS: Final = 6_000
_WORDS: Final = re.compile(r"\s+|\w+|[^\w\s]")
_ROLES: Final = {
    "system": "Instructions",
    "user": "User",
    "assistant": "AI",
    "tool": "Tool",
    "developer": "Instructions",
}


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
    """A stored text as messages: the OTel GenAI form, a list of parts, or plain text of ``speaker``."""
    try:
        value = json.loads(text) if text[:1] in "[{" else text
    except ValueError:
        value = text
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return [Message(speaker, text)]
    found: list[Message] = []
    for item in value:
        if isinstance(item, dict) and "role" in item:
            role = str(item["role"])
            body = item.get("parts", item.get("content"))
            found.append(Message(_ROLES.get(role, role or speaker), _parts(body)))
        else:
            found.append(Message(speaker, _part(item)))
    return found


def _parts(body: Any) -> str:
    pieces = body if isinstance(body, list) else [body]
    return "\n\n".join(text for text in map(_part, pieces) if text)


def _part(part: Any) -> str:
    """One part of a message as text; of a form that is not known, its JSON, so that nothing is hidden."""
    if part is None:
        return ""
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        kind, content = part.get("type"), part.get("content", part.get("text"))
        if kind in {None, "text", "input_text", "output_text"} and isinstance(content, str):
            return content
        if kind == "reasoning" and isinstance(content, str):
            return f"(thinking) {content}"
        if kind == "tool_call":
            return f"Asks for tool {part.get('name', '')}: {_compact(part.get('arguments'))}"
        if kind == "tool_call_response":
            answer = part.get("response", part.get("result"))
            return f"Tool answered: {answer if isinstance(answer, str) else _compact(answer)}"
        if kind == "blob":
            size = len(str(content or "")) * 3 // 4
            return f"({part.get('modality', 'file')}, {part.get('mime_type', 'unknown type')}, about {size:,} bytes)"
        if kind == "uri":
            return f"({part.get('modality', 'file')}: {part.get('uri', '')})"
    return _compact(part)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=None)


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
