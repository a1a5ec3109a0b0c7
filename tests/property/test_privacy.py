"""Generated persons in generated structures: nothing of them survives, everything else does."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import load_policy
from otel_audit.privacy.redactor import Redactor
from tests.persons import Person, Search, person

KEYS = PseudonymKeys((bytes(range(32)),))
SOMEBODY = [person(random.Random(seed), seed) for seed in range(200)]
SEARCH = Search(SOMEBODY)
REDACTOR = Redactor(
    load_policy({"names": [someone.name for someone in SOMEBODY], "patterns": {"customer": "(?i)KDNR-[0-9]{6}"}}), KEYS
)

people = st.sampled_from(SOMEBODY)
values = people.flatmap(lambda someone: st.sampled_from(someone.written()))
words = st.text(string.ascii_letters + "äßéЖ中 ,.;!?\n\t\"'()", max_size=20)


@st.composite
def sentences(draw: st.DrawFn) -> str:
    """A person's values among words, in one of the ways texts are encoded."""
    text = " ".join(part for _ in range(draw(st.integers(1, 3))) for part in (draw(words), draw(values), draw(words)))
    encode = draw(st.sampled_from(ENCODINGS))
    return f"{draw(words)} {encode(text)} {draw(words)}"


ENCODINGS = (
    str,
    str,
    lambda text: f"https://shop.example/a?q={quote(text, safe='')}&n=1",
    lambda text: json.dumps({"text": text}),
    lambda text: json.dumps(json.dumps([text])),
    lambda text: repr(text),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    lambda text: html.escape(text).replace("@", "&#64;"),
    lambda text: "".join(f"\\u{ord(char):04x}" if char in "@.0123456789" else char for char in text),
)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


scalars = st.one_of(st.none(), st.booleans(), st.integers(-999, 999), sentences(), values, values.map(str.encode))
structures = st.recursive(
    scalars,
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(st.one_of(words, values), children, max_size=3),
        children.filter(_is_json).map(json.dumps),
    ),
    max_leaves=6,
)


def _shown(value: Any) -> bytes:
    """All texts of a value as bytes."""
    if isinstance(value, bytes):
        return value + b"\n"
    if isinstance(value, dict):
        return b"".join(_shown(key) + _shown(item) for key, item in value.items())
    if isinstance(value, list):
        return b"".join(map(_shown, value))
    return f"{value}\n".encode()


@settings(max_examples=150, deadline=None)
@given(structures)
def test_nothing_of_a_person_survives_and_masking_again_changes_nothing(value):
    """Whatever structure and encoding a value is in, neither the output nor what it decodes to holds it."""
    masked = REDACTOR.value("some.attribute", value)
    assert SEARCH.survivors(_shown(masked)) == set()
    assert REDACTOR.value("some.attribute", masked) == masked


harmless = st.one_of(
    st.text(string.ascii_letters + "äßéЖ中 ,.;!?\n-()[]{}", max_size=200),
    st.uuids().map(str),
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(0, 10**6).map(str),
    st.integers(17 * 10**17, 19 * 10**17).map(str),
)


@settings(max_examples=200, deadline=None)
@given(st.recursive(harmless, lambda children: st.lists(children, max_size=4).map(json.dumps), max_leaves=8))
def test_harmless_text_is_not_changed(text):
    """Prose, ids, hashes, times and numbers come out as they went in."""
    assert REDACTOR.text(text) == text


@settings(max_examples=100, deadline=None)
@given(people, st.integers(0, 2))
def test_a_person_has_one_token(someone: Person, which):
    """All ways to write a person's card or account give the same token."""
    assert REDACTOR.text(someone.card[which % 3]) == REDACTOR.text(someone.card[0])
    assert REDACTOR.text(someone.iban[which % 2]) == REDACTOR.text(someone.iban[0])
    assert REDACTOR.text(someone.email[which]) == REDACTOR.text(someone.email[0])
