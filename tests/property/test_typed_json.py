"""Typed JSON is lossless."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from otel_audit.conventions.values import ABSENT, Pairs, format_typed, parse_typed

KEYS = st.text(max_size=8) | st.sampled_from(["$bytes", "$double", "$", "a"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.just(ABSENT)
)


def _kvlist(items: list[tuple[str, Any]]) -> Any:
    """What the reader of protobuf makes of a kvlist: a dict where a dict is enough."""
    keys = [key for key, _ in items]
    regular = len(set(keys)) == len(keys) and not any(key.startswith("$") for key in keys)
    return dict(items) if regular else Pairs(items)


VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(KEYS, inner), max_size=4).map(_kvlist)
)


def same(left: Any, right: Any) -> bool:
    """Equal in value and type, down to the bits of a double."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack(">d", left) == struct.pack(">d", right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, Pairs):
        return same([list(item) for item in left.items], [list(item) for item in right.items])
    return bool(left == right)


@given(VALUES)
@example(math.nan)
@example([-0.0, 1e22, 5.0, 5, True, "5", struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0]])
def test_typed_json_gives_the_same_value_back(value: Any) -> None:
    """Parsing what was formatted gives the same value with the same types."""
    text = format_typed(value)
    json.loads(text, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))  # standard JSON, no NaN
    assert same(parse_typed(text), value)
