"""JSON Patch (RFC 6902) from one JSON value to another: add, remove and replace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

Json = Any  # None | bool | int | float | str | list[Json] | dict[str, Json]

_DEPTH: Final = 50  # each level is compared once more, and in arrays at the cost of all that it holds


def json_patch(before: Json, after: Json) -> list[dict[str, Json]]:
    """The operations that turn ``before`` into ``after``, in the order in which they apply.

    Of an array, equal items at both ends stay, and the ones between are compared in pairs: short for a change in
    one place, and linear. What lies deeper than ``_DEPTH`` is replaced as a whole. Numbers that are spelled
    differently (1 and 1.0) differ.

    >>> json_patch({"limit": 5000, "notes": ["a"]}, {"limit": 4000, "notes": ["a", "b"]})
    [{'op': 'replace', 'path': '/limit', 'value': 4000}, {'op': 'add', 'path': '/notes/1', 'value': 'b'}]
    """
    return list(_changes(before, after, "", 0))


def _changes(before: Json, after: Json, path: str, depth: int) -> Iterator[dict[str, Json]]:
    if depth < _DEPTH and isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() - after.keys()):
            yield {"op": "remove", "path": f"{path}/{_token(key)}"}
        for key, value in after.items():
            here = f"{path}/{_token(key)}"
            if key in before:
                yield from _changes(before[key], value, here, depth + 1)
            else:
                yield {"op": "add", "path": here, "value": value}
    elif depth < _DEPTH and isinstance(before, list) and isinstance(after, list):
        yield from _array_changes(before, after, path, depth)
    elif _spelled(before) != _spelled(after):
        yield {"op": "replace", "path": path, "value": after}


def _array_changes(before: list[Json], after: list[Json], path: str, depth: int) -> Iterator[dict[str, Json]]:
    old, new = list(map(_spelled, before)), list(map(_spelled, after))
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old_end, new_end = len(old) - tail, len(new) - tail
    paired = min(old_end, new_end)
    for index in range(head, paired):
        yield from _changes(before[index], after[index], f"{path}/{index}", depth + 1)
    for index in reversed(range(paired, old_end)):  # from the end, so that no index moves before its turn
        yield {"op": "remove", "path": f"{path}/{index}"}
    for index in range(paired, new_end):
        yield {"op": "add", "path": f"{path}/{index}", "value": after[index]}


def _token(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")  # RFC 6901 §3


def _spelled(value: Json) -> str:
    return json.dumps(value, sort_keys=True)
