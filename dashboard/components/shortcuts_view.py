"""The keys of every page, and the sheet that ``?`` opens (``components/shortcuts``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from components.packaged import packaged

_ANYWHERE: Final = (("?", "This sheet"), ("/", "Search"), ("Esc", "Close what is open"))
_TABLE: Final = (("↑ ↓", "Move in a table"), ("Space", "Select the row, and show its story"))
_RECORD: Final = (
    ("j k", "Next and previous event of the list that it was opened from"),
    ("J K", "Next and previous task of it"),
    ("u", "Back to the list"),
)
_TRACE: Final = (
    ("↑ ↓", "Move between spans"),
    ("← →", "Fold, unfold"),
    ("Enter", "Open the span"),
    ("+ - 0", "Zoom in, out, whole"),
)


def shortcuts(pages: Iterable[tuple[str, str, str]]) -> None:
    """Listen for keys. ``pages`` are (letter after ``g``, title, path)."""
    listed = list(pages)
    groups = (
        ("Anywhere", _ANYWHERE),
        ("Go to", tuple((f"g {letter}", title) for letter, title, _ in listed)),
        ("In a table", _TABLE),
        ("In a record", _RECORD),
        ("In a trace", _TRACE),
    )
    packaged("shortcuts", '<dialog aria-labelledby="keys-title"></dialog>')(
        key="shortcuts",
        data={
            "pages": {letter: path for letter, _, path in listed},
            "groups": [{"title": title, "keys": [list(pair) for pair in keys]} for title, keys in groups],
        },
    )
