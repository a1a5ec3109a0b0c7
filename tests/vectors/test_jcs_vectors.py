"""cyberphone/json-canonicalization's test data: what RFC 8785 makes of JSON, and of an audit record around it."""

import json
from pathlib import Path

import pytest
import rfc8785

from otel_audit.conventions.audit_canonical import canonical_form
from otel_audit.conventions.values import Pairs

FOLDER = Path(__file__).parents[2].parent / "shared" / "vectors" / "jcs"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the public RFC 8785 vectors are not at {FOLDER}")
NAMES = sorted(path.name for path in (FOLDER / "input").glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_text_becomes_the_published_bytes(name):
    """Each input becomes the published output, by the library that canonical forms of records are made with."""
    made = rfc8785.dumps(json.loads((FOLDER / "input" / name).read_text(encoding="utf-8")))
    assert made == (FOLDER / "output" / name).read_bytes().rstrip(b"\n")
    assert made == bytes.fromhex((FOLDER / "outhex" / name.replace(".json", ".txt")).read_text())


def leaves(value):
    """Every scalar of a JSON value."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    else:
        yield value


@pytest.mark.parametrize("name", NAMES)
def test_what_the_vectors_hold_keeps_its_bytes_inside_a_record(name):
    """A text or number of the vectors, and every key, stands in a record's form in its published bytes."""
    value = json.loads((FOLDER / "input" / name).read_text(encoding="utf-8"))
    for each in leaves(value):
        if isinstance(each, str | float):
            form = canonical_form(1, 2, "vector", {"key": each}, "", "", ())
            assert rfc8785.dumps(each) in form
    if isinstance(value, dict):
        form = canonical_form(1, 2, "vector", dict.fromkeys(value, "x"), "", "", (Pairs([("a", "b")]),))
        assert rfc8785.dumps({key: {"stringValue": "x"} for key in value}) in form
