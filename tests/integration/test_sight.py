"""Whoever may see a part of the record only gets that part, whatever is asked for."""

import random
from dataclasses import fields, replace

import pytest

from otel_audit.errors import ConfigError
from otel_audit.model import Filter, Sight
from otel_audit.store.filters import LOOKS_BEYOND, NO_SCOPE
from otel_audit.store.reader import FACETS, Reader
from tests.integration.ledger_rows import SECOND, T0, LedgerRows

SECRET = "diabetes"
TRACES = [f"{number:032x}" for number in range(1, 4)]


@pytest.fixture
def store(database):
    """A hundred entries whose columns vary independently of each other."""
    ledger, chance = LedgerRows(), random.Random(7)
    for number in range(100):
        ledger.add(
            chance.choice(["ai_call", "review", "log", "span"]),
            at=number * 60,
            task_id=chance.choice(["loan-1", "loan-2", ""]),
            service=chance.choice(["a", "b"]),
            environment=chance.choice(["prod", "test"]),
            reviewer_id=chance.choice(["u_1", "u_2", ""]),
            request_model=chance.choice(["m", "n", ""]),
            response_model=chance.choice(["m", "n", ""]),
            rationale_code=chance.sample(["x", "y", "z"], 2),
            trace_id=chance.choice(TRACES),
            attributes=[("note", SECRET)],
            content={"input": chance.choice([SECRET, "nothing to tell"])},
        )
    ledger.write(database)
    return database


PIECES = (
    {"service": ("a",)},
    {"service": ("a", "b")},
    {"service": ("nobody",)},
    {"environment": ("prod",)},
    {"model": ("m",)},
    {"model": ("n", "other")},
    {"rationale_code": ("x",)},
    {"rationale_code": ("y", "z")},
    {"task_id": "loan-1"},
    {"task_id": "loan-2"},
    {"reviewer_id": ("u_1",)},
    {"event_type": ("review", "ai_call")},
    {"exclude_event_type": ("log",)},
    {"since": T0 + 1000 * SECOND},
    {"until": T0 + 4000 * SECOND},
    {"trace_id": TRACES[0]},
)


def some_filter(chance):
    asked = {}
    for piece in chance.sample(PIECES, chance.randint(1, 3)):
        asked |= piece
    return Filter(**asked)


def keys(reader, where):
    return {(row["origin"], row["seq"]) for block in reader.stream(where) for row in block}


@pytest.mark.parametrize("seed", range(25))
def test_what_is_seen_is_what_is_asked_for_within_the_scope(store, seed):
    """For any scope and any filter, the entries are exactly those that both match: never more, and none is lost."""
    chance = random.Random(seed)
    scope, asked = some_filter(chance), some_filter(chance)
    whole, part = Reader(store), Reader(store, Sight(scope))
    wanted = keys(whole, scope) & keys(whole, asked)
    assert keys(part, asked) == wanted
    assert part.count(asked).events == len(wanted)
    assert {(row["origin"], row["seq"]) for row in part.page(asked, per_page=200)} == wanted
    assert sum(number for _, _, number in part.histogram(asked, step_seconds=60)) == len(wanted)
    assert sum(part.counts_by_type(asked).values()) == len(wanted)


def test_no_lookup_leads_out_of_the_scope(store):
    """A task, a trace, a list of traces, single entries and values to choose from have only what the scope has."""
    scope = Filter(service=("a",), since=T0 + 1000 * SECOND)
    whole, part = Reader(store), Reader(store, Sight(scope))
    inside, everything = keys(whole, scope), keys(whole, Filter())
    assert 0 < len(inside) < len(everything)

    def found(rows):
        return {(row["origin"], row["seq"]) for row in rows}

    for lookup, name in (("task", "loan-1"), ("trace", TRACES[0]), ("trace_spans", TRACES[0])):
        assert found(getattr(part, lookup)(name)) == found(getattr(whole, lookup)(name)) & inside
    assert sum(row["spans"] + row["logs"] for row in part.traces()) == len(inside)
    assert {name for row in part.traces() for name in row["services"]} == {"a"}
    assert found(part.entries(everything)) == inside
    assert {key for key in everything if part.entry(*key)} == inside
    assert part.facet(Filter(), "service") == [("a", len(inside))]
    assert set(dict(part.facet(Filter(), "environment"))) <= {"prod", "test"}


@pytest.mark.parametrize("lookup", ["unrecognised", "service_health", "receiver_losses"])
def test_what_is_about_everything_is_refused_within_a_scope(store, lookup):
    """What can not be narrowed is refused to whoever sees a part only, never answered in whole."""
    asked = () if lookup == "unrecognised" else (0,)
    getattr(Reader(store), lookup)(*asked)
    with pytest.raises(ConfigError, match=r"a part of (it|the record) only"):
        getattr(Reader(store, Sight(Filter(service=("a",)))), lookup)(*asked)


@pytest.mark.parametrize("name", LOOKS_BEYOND)
def test_a_filter_that_would_tell_of_other_entries_is_refused(store, name):
    """Which other entries a task has can not be found out by filtering for it."""
    asked = Filter(**{name: "reviews" if name == "figure" else ("approved",)})
    with pytest.raises(ConfigError, match=name):
        Reader(store, Sight(Filter(service=("a",)))).count(asked)


def test_every_field_of_a_filter_is_in_a_scope_or_refused(store):
    """A scope of any field narrows, or is an error: none is skipped."""
    values = {
        "text": "word", "sizes": (("test/reading", 3),), "figure": "reviews", "since": T0 + SECOND, "until": T0,
        "quick_floor": 1, "words_per_minute": 1, "confidence_from": 0.5, "confidence_to": 0.5,
    }  # fmt: skip
    for field in fields(Filter):
        value = values.get(field.name, "nowhere" if getattr(Filter(), field.name) == "" else ("nowhere",))
        part = Reader(store, Sight(replace(Filter(), **{field.name: value})))
        if field.name in NO_SCOPE:
            with pytest.raises(ConfigError, match=field.name):
                part.count(Filter())
        elif field.name != "exclude_event_type":
            assert part.count(Filter()).events < 100, field.name


def test_without_the_right_to_texts_no_text_comes_out(store):
    """Without texts, entries come without them and without their OTLP record, and no search finds by them."""
    shut = Reader(store, Sight(texts=False))
    for rows in (
        shut.task("loan-1"),
        shut.trace(TRACES[0]),
        [shut.entry("test/reading", 0)],
        shut.entries([("test/reading", 1)]),
        [row for block in shut.stream(Filter()) for row in block],
    ):
        assert rows
        assert SECRET not in repr(rows)
        assert all(not row["content"] and not row["content_commitments"] for row in rows)
    assert Reader(store).count(Filter(text=SECRET)).events
    assert not shut.count(Filter(text=SECRET)).events
    assert shut.count(Filter(text="loan-1")).events == Reader(store).count(Filter(task_id="loan-1")).events


def test_every_facet_is_narrowed(store):
    """The values of every facet are those within the scope."""
    nothing = Reader(store, Sight(Filter(service=("nobody",))))
    assert [name for name in FACETS if nothing.facet(Filter(), name)] == []
