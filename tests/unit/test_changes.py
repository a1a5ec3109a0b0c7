"""What a reviewer changed: both sides, a diff that patch(1) applies, a JSON Patch that gives the other side."""

from __future__ import annotations

import difflib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import otel_audit as audit
from otel_audit import semconv
from otel_audit.instrumentation import _faults
from otel_audit.instrumentation.reviews.change import DIFF_LINES, PATCH_CHARACTERS, Change
from otel_audit.instrumentation.reviews.json_patch import json_patch
from tests.unit.recording import Recording, typed

BEFORE, AFTER = semconv.AUDIT_CHANGE_BEFORE, semconv.AUDIT_CHANGE_AFTER
DIFF, PATCH, OMITTED = semconv.AUDIT_CHANGE_DIFF, semconv.AUDIT_CHANGE_PATCH, semconv.AUDIT_CHANGE_OMITTED

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2, width=16) | st.sampled_from(["", "a", "~/", "b"]),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["", "a", "b/c", "~", "~1"]), inner, max_size=4)
    ),
    max_leaves=20,
)
LINES = st.lists(
    st.sampled_from(["a\n", "b\n", "\n", "c", "\u2028x\n", "\r\n", "@@ -1 +1 @@\n", "-1\n"]), max_size=12
).map("".join)


@pytest.fixture(autouse=True)
def no_errors() -> None:
    _faults._counts.clear()
    _faults._logged.clear()


def applied(document: Any, patch: list[dict[str, Any]]) -> Any:
    """RFC 6902 for add, remove and replace, strictly: what is not there can be neither removed nor replaced."""
    document = json.loads(json.dumps(document))
    for operation in patch:
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in operation["path"].split("/")[1:]]
        if not tokens:
            assert operation["op"] == "replace"
            document = operation["value"]
            continue
        parent = document
        for token in tokens[:-1]:
            parent = parent[int(token)] if isinstance(parent, list) else parent[token]
        place: Any = int(tokens[-1]) if isinstance(parent, list) else tokens[-1]
        match operation["op"], isinstance(parent, list):
            case "add", True:
                assert 0 <= place <= len(parent)
                parent.insert(place, operation["value"])
            case "add", False:
                assert place not in parent
                parent[place] = operation["value"]
            case "remove", _:
                del parent[place]
            case "replace", _:
                parent[place]  # has to be there
                parent[place] = operation["value"]
            case _:
                raise AssertionError(operation)
    return document


@given(JSON, JSON)
def test_a_patch_applied_to_before_gives_after(before: Any, after: Any) -> None:
    """For any two JSON values the patch turns one into the other, to the type of each number; equal ones need none."""
    patch = json.loads(json.dumps(json_patch(before, after)))
    assert json.dumps(applied(before, patch), sort_keys=True) == json.dumps(after, sort_keys=True)
    assert json_patch(before, before) == []


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1}, {"a": 2}, [{"op": "replace", "path": "/a", "value": 2}]),
        ({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}]),
        (
            {"a/b": 1, "~": 2},
            {"~": 3},
            [{"op": "remove", "path": "/a~1b"}, {"op": "replace", "path": "/~0", "value": 3}],
        ),
        ([1, 2, 3, 4], [1, 3, 4], [{"op": "remove", "path": "/1"}]),
        ([1, 3], [1, 2, 3], [{"op": "add", "path": "/1", "value": 2}]),
        ([{"a": 1}, 2], [{"a": 1, "b": None}, 2], [{"op": "add", "path": "/0/b", "value": None}]),
        ("a", ["a"], [{"op": "replace", "path": "", "value": ["a"]}]),
    ],
)
def test_patches_say_what_changed_and_no_more(before: Any, after: Any, patch: list[dict[str, Any]]) -> None:
    """A change in one place is one operation, with the path as RFC 6901 escapes it."""
    assert json_patch(before, after) == patch


def test_what_lies_deep_is_replaced_as_a_whole() -> None:
    """A hundred levels down the patch replaces one value, and is right."""
    before, after = 1, 2
    for _ in range(100):
        before, after = [before], {"k": after} if isinstance(after, list) else [after]  # type: ignore[assignment]
    patch = json_patch(before, after)
    assert len(patch) == 1
    assert applied(before, patch) == after


def diff_of(before: str, after: str) -> dict[str, Any]:
    return Change.of(before, after, "auto").attributes()


@given(LINES, LINES)
def test_patch_applies_the_diff(tmp_path_factory: pytest.TempPathFactory, before: str, after: str) -> None:
    """patch(1) turns the one text into the other by the recorded diff, to the last byte; equal texts have none."""
    diff = diff_of(before, after)[DIFF]
    assert (diff == "") == (before == after)
    if not diff or not before:  # patch(1) takes an empty side for a file that is created or deleted
        return
    folder = tmp_path_factory.getbasetemp()
    (folder / "text").write_bytes(before.encode())
    done = subprocess.run(
        ["patch", "--binary", "--force", "--fuzz=0", "-o", "new", "text"],
        input=diff.encode(), cwd=folder, capture_output=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, diff)
    made = (folder / "new").read_bytes() if (folder / "new").exists() else b""
    (folder / "new").unlink(missing_ok=True)
    assert made == after.encode()


def test_a_change_far_down_has_its_line_numbers(tmp_path: Path) -> None:
    """Long equal beginnings and ends are not compared, and the hunk's line numbers are those of the whole text."""
    lines = [f"line {n}\n" for n in range(1, 50_001)]
    changed = [*lines]
    changed[30_000:30_002] = ["new\n"]
    diff = diff_of("".join(lines), "".join(changed))[DIFF]
    assert "@@ -29998,8 +29998,7 @@" in diff
    (tmp_path / "text").write_text("".join(lines))
    subprocess.run(["patch", "--fuzz=0", "text"], input=diff, text=True, cwd=tmp_path, check=True, timeout=20)
    assert (tmp_path / "text").read_text() == "".join(changed)


@pytest.mark.parametrize("apart", range(1, 10))
def test_changes_share_a_hunk_as_in_diff(apart: int) -> None:
    """Changes that are six equal lines or fewer apart are one hunk, as diff -u writes it, and else two."""
    old = [f"line {n}\n" for n in range(40)]
    new = [*old]
    new[20] = "new\n"
    del new[20 + apart + 1]
    expected = "".join(difflib.unified_diff(old, new, "before", "after"))
    assert diff_of("".join(old), "".join(new))[DIFF] == expected
    assert expected.count("\n@@") == (1 if apart <= 6 else 2)


@pytest.mark.parametrize(("before", "after"), [("", "a\nb\n"), ("a\nb\n", ""), ("a\n", "b\na\n"), ("b\na\n", "a\n")])
def test_ranges_are_written_as_in_diff(before: str, after: str) -> None:
    """Empty sides and sides of one line have the ranges that diff -u gives them."""
    lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), "before", "after")
    assert diff_of(before, after)[DIFF] == "".join(lines)


def test_a_difference_that_would_take_long_is_left_out_and_said() -> None:
    """Above the limits both sides are recorded whole, and an attribute says why there is no difference."""
    old, new = "a\n" * (DIFF_LINES + 1), "b\n"
    attributes = diff_of(old, new)
    assert attributes == {BEFORE: old, AFTER: new, OMITTED: f"diff: {DIFF_LINES + 2} lines differ, limit {DIFF_LINES}"}
    big = ["x" * PATCH_CHARACTERS]
    attributes = Change.of(big, [], "auto").attributes()
    assert attributes[OMITTED] == f"patch: {PATCH_CHARACTERS + 6} characters, limit {PATCH_CHARACTERS}"
    assert json.loads(attributes[BEFORE]) == big  # type: ignore[arg-type]


def changed_by(recording: Recording, *sides: Any, **more: Any) -> dict[str, Any]:
    with recording.audit.review("t", reviewer="u") as review:
        review.modify(*sides, **more)
        for side in sides:  # what happens to the objects later is not the change
            if isinstance(side, dict):
                side.clear()
    return typed(recording.one("review"))


@pytest.mark.parametrize(
    ("change_format", "keys"),
    [("auto", {PATCH}), ("patch", {PATCH}), ("diff", {DIFF}), ("none", set())],
)
def test_values_are_recorded_in_the_format_asked_for(change_format: Any, keys: set[str]) -> None:
    """Values are recorded as JSON as they were when they were given, with the difference that was asked for."""
    attributes = changed_by(Recording(), {"limit": 5, "to": "ä"}, {"limit": 4, "to": "ä"}, format=change_format)
    assert json.loads(attributes[BEFORE]) == {"limit": 5, "to": "ä"}
    assert json.loads(attributes[AFTER]) == {"limit": 4, "to": "ä"}
    assert attributes.keys() & {DIFF, PATCH, OMITTED} == keys
    if PATCH in keys:
        assert json.loads(attributes[PATCH]) == [{"op": "replace", "path": "/limit", "value": 4}]
    if DIFF in keys:
        assert '\n- "limit": 5,\n+ "limit": 4,\n' in attributes[DIFF]


def test_a_ticket_records_changes_alike() -> None:
    """finish_review takes values and format as a block's modify does; a text as patch is a JSON string."""
    recording = Recording()
    ticket = recording.audit.start_review("t", reviewer="u")
    recording.audit.finish_review(ticket, decision="modified", before="a", after="b", format="patch")
    attributes = typed(recording.one("review"))
    assert (attributes[BEFORE], attributes[AFTER]) == ("a", "b")
    assert json.loads(attributes[PATCH]) == [{"op": "replace", "path": "", "value": "b"}]
    assert semconv.AUDIT_REVIEW_OVERRIDE not in attributes  # a change is an override only when it is said


def looped() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "odd",
    [float("nan"), {("a", "b"): 1}, looped(), {1, 2}, object(), 10**5000, b"\xff"],
    ids=["nan", "keys", "loop", "set", "object", "digits", "bytes"],
)
def test_what_json_has_no_form_for_is_recorded_as_text(odd: Any) -> None:
    """A side that is no JSON value is recorded as its text, or counted where it has none; the decision is kept."""
    attributes = changed_by(Recording(), odd, "after")
    assert attributes[semconv.AUDIT_REVIEW_DECISION] == "modified"
    assert attributes[AFTER] == "after"
    assert BEFORE in attributes


def test_a_format_that_does_not_exist_is_counted() -> None:
    """A misspelled format is counted, and the difference recorded as if none had been asked for."""
    attributes = changed_by(Recording(), "a", "b", format="pathc")
    assert DIFF in attributes
    assert audit.error_counts() == {"change": 1}
