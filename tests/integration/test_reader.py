from __future__ import annotations

import json

import pytest

from otel_audit.errors import ConfigError
from otel_audit.ledger.schema import STORED_COLUMNS
from otel_audit.model import Filter
from otel_audit.store import reader as reader_module
from otel_audit.store.database import Database, Role, open_server
from otel_audit.store.filters import content_condition
from otel_audit.store.front import serve_front
from otel_audit.store.reader import FACETS, SUMMARY_COLUMNS, Reader
from otel_audit.store.sql_text import sql, sql_blocks
from tests.integration.ledger_rows import SECOND, T0, LedgerRows

HOSTILE = "'; DROP TABLE audit_entries; -- \\' \\\\ {x:String} %_\n\t\x01 ü 😀"


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database)


ACCESSED = {"action", "outcome", "target_id", "target_type"}  # of an access, taken out of its attributes for tables


def _seqs(rows: list[dict[str, object]]) -> list[object]:
    return [row["seq"] for row in rows]


def _streamed(reader: Reader, where: Filter, **options: object) -> list[dict[str, object]]:
    return [row for block in reader.stream(where, **options) for row in block]


def test_a_row_has_every_column_of_the_schema(database: Database, reader: Reader) -> None:
    """A row has every stored column of the schema, in time as nanoseconds and in hashes as hex, and nothing unknown."""
    ledger = LedgerRows()
    ledger.add("review", at=1.000000007, ends=2.5, rationale_code=["a", "b"], attributes=[("k", "v")], confidence=0.25)
    ledger.write(database)
    row = reader.entry(ledger.origin, 0)
    assert row is not None
    assert row.keys() == {column.name for column in STORED_COLUMNS} | {"content_commitments", "content_from"}
    assert row["event_time"] == T0 + SECOND + 7
    assert row["end_time"] == T0 + 2 * SECOND + SECOND // 2
    assert row["hash"] == ledger.hashes[0].hex()
    assert row["rationale_code"] == ["a", "b"]
    assert row["attributes"] == {"k": "v"}
    assert row["confidence"] == 0.25
    assert row["is_override"] is False
    assert row["input_tokens"] is None
    assert set(SUMMARY_COLUMNS) - ACCESSED <= row.keys()


def test_select_lists_follow_the_schema() -> None:
    """The select lists together name each column of the schema once, so a new column can not be forgotten."""
    blocks = sql_blocks("reader_columns")
    listed = [name for block in ("core", "payload") for name in reader_module.columns_of(blocks[block])]
    assert sorted(listed) == sorted(column.name for column in STORED_COLUMNS)
    assert set(SUMMARY_COLUMNS) - ACCESSED < set(listed)


def test_times_outside_of_the_usual_are_exact(database: Database, reader: Reader) -> None:
    """Event times before 1970 and in 2200 come out to the nanosecond, and fall into their own day."""
    ledger = LedgerRows()
    ledger.add(event_time=-1, end_time=-1)
    ledger.add(event_time=7_258_118_400 * SECOND + 123, end_time=7_258_118_400 * SECOND + 123)
    ledger.write(database)
    assert [row["event_time"] for row in _streamed(reader, Filter())] == [-1, 7_258_118_400 * SECOND + 123]
    assert reader.histogram(Filter(), step_seconds=86_400) == [(-86_400, "span", 1), (7_258_118_400, "span", 1)]
    totals = reader.count(Filter())
    assert (totals.first_unix_nano, totals.last_unix_nano) == (-1, 7_258_118_400 * SECOND + 123)


def test_an_empty_ledger_answers_everything(reader: Reader) -> None:
    """Every question about an empty store has an empty answer."""
    totals = reader.count(Filter())
    assert (totals.events, totals.tasks, totals.first_unix_nano) == (0, 0, None)
    assert reader.counts_by_type(Filter()) == {}
    assert reader.histogram(Filter(), step_seconds=60) == []
    assert reader.page(Filter()) == reader.task("t") == reader.trace("t") == []
    assert reader.entry("none", 0) is None
    assert _streamed(reader, Filter()) == []
    assert reader.ledgers() == reader.checkpoints("none") == []
    assert reader.facet(Filter(), "service") == []
    assert reader.unrecognised() == {}


def test_pages_are_newest_first_and_complete(database: Database, reader: Reader) -> None:
    """Pages follow one another from newest to oldest without gap or repetition, a review at its decision."""
    ledger = LedgerRows()
    for index in range(5):
        ledger.add("ai_call", at=index)
    ledger.add("review", at=0.5, ends=100)
    ledger.write(database)
    pages = [_seqs(reader.page(Filter(), page=number, per_page=4)) for number in (1, 2, 3)]
    assert pages == [[5, 4, 3, 2], [1, 0], []]
    assert tuple(reader.page(Filter())[0]) == SUMMARY_COLUMNS


def test_a_place_is_that_of_the_list_and_leads_along_it(database: Database, reader: Reader) -> None:
    """An entry's number and neighbours are those of the page, at equal times and in two ledgers too; so are tasks'."""
    for number, origin in enumerate(("test/a", "test/b")):
        ledger = LedgerRows(origin)
        for index in range(5):
            ledger.add("ai_call", at=index // 2, task_id=f"t{(index + number) % 3}")
        ledger.add("review", at=0.5, ends=100 + number, task_id="t0")
        ledger.add("access", at=7)
        ledger.write(database)
    where = Filter(event_type=("ai_call", "review"), sizes=(("test/a", 6), ("test/b", 7)))
    listed = [(row["origin"], row["seq"], row["task_id"]) for row in reader.page(where)]
    assert len(listed) == 12
    tasks = list(dict.fromkeys(task for _, _, task in listed))
    for number, (origin, seq, _) in enumerate(listed):
        place = reader.place(where, origin, seq)
        assert place is not None
        assert (place.number, place.total) == (number + 1, 12)
        beside = [(each.origin, each.seq, each.task_id) if each else None for each in (place.newer, place.older)]
        assert beside == [listed[number - 1] if number else None, listed[number + 1] if number < 11 else None]
    for number, task in enumerate(tasks):
        place = reader.place_of_task(where, task)
        assert place is not None
        assert (place.number, place.total) == (number + 1, 3)
        assert [each.task_id if each else "" for each in (place.newer, place.older)] == [
            *([""] if not number else [tasks[number - 1]]), *([""] if number == 2 else [tasks[number + 1]])
        ]  # fmt: skip
    assert reader.place(where, "test/b", 6) is None  # an access
    assert reader.place(where, "test/none", 0) is None
    assert reader.place_of_task(where, "none") is None
    assert reader.place(Filter(text="nothing has this"), "test/a", 0) is None


def test_each_filter_narrows_to_what_it_says(database: Database, reader: Reader) -> None:
    """Each field of Filter alone finds its one entry among two, and a hostile value is only a value."""
    ledger = LedgerRows()
    ledger.add("span", at=0)
    lists = ("reviewer_id", "decision", "service", "environment", "prompt_version")
    texts = ("task_id", "trace_id", "request_id", "response_id", "conversation_id")
    mine = dict.fromkeys((*lists, *texts, "request_model"), HOSTILE)
    ledger.add("review", at=10, **mine)
    ledger.write(database)
    filters = [Filter(**{name: [HOSTILE]}) for name in (*lists, "model")] + [
        Filter(**{name: HOSTILE}) for name in texts
    ]
    filters += [Filter(event_type=["review", "none"]), Filter(exclude_event_type=["span"]), Filter(since=T0 + 1)]
    for where in filters:
        assert reader.count(where).events == 1, where
        assert _seqs(reader.page(where)) == _seqs(_streamed(reader, where)) == [1], where
    assert _seqs(reader.page(Filter(until=T0 + 10 * SECOND))) == [0]
    assert _seqs(reader.page(Filter(since=T0, until=T0))) == []
    assert _seqs(reader.page(Filter(sizes=[(ledger.origin, 1)]))) == [0]
    assert reader.count(Filter(task_id=HOSTILE, event_type=["span"])).events == 0


def test_text_finds_whole_words_phrases_and_ids(database: Database, reader: Reader) -> None:
    """Every word of a text filter must occur, ignoring case, in a text or an identifying column."""
    ledger = LedgerRows()
    ledger.add(
        "ai_call",
        task_id="TSK-20261105-0001",
        content={
            "input": json.dumps([{"role": "user", "content": "The payslip\nHello is 4 months old. Größe ÄRGER\nnow"}])
        },
    )
    ledger.add(
        "review", reviewer_id="u_7", task_id="TSK-20261106-0002", content={"rationale": "100% policy_x ärger 你好世界"}
    )
    ledger.add("span", request_model="gpt-4o-mini", rationale_code=["policy.income_missing"])
    ledger.write(database)
    expected = {
        "payslip": [0],
        "PAYSLIP": [0],
        "payslip old": [0],
        "payslip policy_x": [],
        "hello": [0],  # behind \n in JSON
        "old": [0],
        "now": [0],  # short, and behind \n in JSON
        "lo": [],  # a short word is a whole word
        "TSK-2026110": [1, 0],
        "tsk-20261105": [0],
        '"4 months old"': [0],
        '"months 4 old"': [],
        "grösse": [],
        "größe": [0],  # escaped in JSON
        "GRÖßE": [0],
        "ärger": [1, 0],
        "世界": [1],
        "100%": [1],
        "1_0": [],  # LIKE wildcards mean themselves
        "policyyx": [],
        "u_7": [1],
        "income_missing": [2],
        "4o-mini": [2],
        "u_7 ärger": [1],
        "u_7 payslip": [],
        "zz": [],
        "  ": [2, 1, 0],
    }
    found = {text: sorted(_seqs(reader.page(Filter(text=text))), reverse=True) for text in expected}
    assert found == expected
    assert {text: reader.count(Filter(text=text)).events for text in expected} == {
        k: len(v) for k, v in expected.items()
    }


@pytest.mark.parametrize("is_escaped", [False, True])
@pytest.mark.parametrize(
    "word", ["Überweisung", "größe", "ÄRGER", "Straße", "naïve", "журнал", "ΟΔΟΣ", "Øre", "50 %_Çay", "日本", "\\d"]
)
def test_case_does_not_matter_beyond_ascii(database: Database, reader: Reader, word: str, is_escaped: bool) -> None:
    """A word is found in any case of its letters, as text and as JSON escapes it, and nothing that is like it."""
    ledger = LedgerRows()
    mixed = "".join(letter.upper() if n % 2 else letter.lower() for n, letter in enumerate(word) if letter != "ß")
    same = [word, word.lower(), word.upper().replace("SS", "ß"), word.title(), mixed if "ß" not in word else word]
    for text in (*same, word[:-1] + "x", "\\u00fc"):
        said = json.dumps([{"role": "user", "content": f"vor{text}nach"}], ensure_ascii=is_escaped)
        ledger.add("ai_call", content={"input": said})
    ledger.write(database)
    for wanted in (f'"{text}"' for text in same):
        assert _seqs(_streamed(reader, Filter(text=wanted))) == [0, 1, 2, 3, 4], wanted


def test_text_filters_of_too_many_words_are_refused(reader: Reader) -> None:
    """A text of very many words is a clear error, not a slow query."""
    with pytest.raises(ConfigError, match="40 words"):
        reader.count(Filter(text=" ".join(["word"] * 40)))


def test_a_word_is_looked_up_in_the_text_index(database: Database) -> None:
    """A search for a word reads the text index, not every text."""
    ledger = LedgerRows()
    ledger.add("ai_call", content={"input": "payslip"})
    ledger.write(database)
    for term in ("payslip", "old", "payslip is old", "Überweisung", "für payslip"):
        condition, parameters = content_condition(term)
        with database.client() as client:
            plan = client.query(
                f"EXPLAIN SELECT c.seq FROM audit_content AS c WHERE {condition}", parameters=parameters
            )
        assert "__text_index_words" in "\n".join(line for (line,) in plan.result_rows), term


def test_texts_are_those_the_entry_commits_to(database: Database, reader: Reader) -> None:
    """A row has the texts that its entry commits to: no orphan of a failed insert, and nothing erased."""
    ledger = LedgerRows()
    seq = ledger.add("review", task_id="t", content={"rationale": "good", "before": "a"}, erased={"after": "gone"})
    ledger.add_content(seq, "rationale", "orphan", opening=b"\1" * 32)
    ledger.add_content(seq, "notes", "orphan without a name in the entry")
    ledger.add_content(99, "input", "orphan of an entry that never came")
    ledger.write(database)
    for row in (*reader.task("t"), *_streamed(reader, Filter())):
        assert row["content"] == {"rationale": "good", "before": "a"}
        assert row["content_commitments"].keys() == {"after", "rationale", "before"}
        assert row["content_from"] == {}
    without = _streamed(reader, Filter(), with_content=False)[0]
    assert without["content"] == {}
    assert without["content_commitments"].keys() == {"after", "rationale", "before"}


def test_what_only_the_log_record_has_is_shown_though_the_call_has_its_messages(
    database: Database, reader: Reader
) -> None:
    """OpenLIT tells the tools offered in the log record alone: the AI call shows them beside its own messages."""
    ledger = LedgerRows()
    span = {"trace_id": "a" * 32, "span_id": "b" * 16, "convention": "openlit"}
    ledger.add("ai_call", task_id="t", content={"input": "own", "output": "own"}, **span)
    ledger.add("log", record_kind="log", content={"input": "told again", "tool_definitions": "[1]"}, **span)
    ledger.write(database)
    (call,) = reader.task("t")
    assert call["content"] == {"input": "own", "output": "own", "tool_definitions": "[1]"}


def test_an_ai_call_takes_texts_from_the_log_records_of_its_span(database: Database, reader: Reader) -> None:
    """Texts that came in GenAI log records reach the AI call of their span, which is found by them too."""
    ledger = LedgerRows()
    span = {"trace_id": "a" * 32, "span_id": "b" * 16}
    log = {**span, "record_kind": "log", "convention": "otel_genai"}
    ledger.add("log", at=1, content={"input": '[{"role":"user","content":"zebra"}]', "output": "from the log"}, **log)
    ledger.add("ai_call", at=0, content={"output": "own"}, task_id="t", **span)
    ledger.add("log", at=2, content={"input": '[{"role":"user","content":"second"}]'}, **log)
    ledger.add("log", at=2, content={"input": "other span"}, **{**log, "span_id": "c" * 16})
    ledger.add("log", at=2, content={"input": "no convention"}, **{**log, "convention": ""})
    ledger.add("ai_call", at=3, erased={"input": "x", "output": "y"}, trace_id="d" * 32, span_id="b" * 16)
    ledger.write(database)
    (call,) = reader.task("t")
    assert json.loads(call["content"]["input"]) == [
        {"role": "user", "content": "zebra"},
        {"role": "user", "content": "second"},
    ]
    assert call["content"]["output"] == "own"
    assert call["content_commitments"].keys() == {"output"}
    assert call["content_from"] == {"input": "test/reading#0 test/reading#2"}
    streamed = {row["seq"]: row for row in _streamed(reader, Filter())}
    assert streamed[1] == call
    assert streamed[5]["content"] == {}
    assert _seqs(reader.page(Filter(text="zebra", event_type=["ai_call"]))) == [1]
    assert _seqs(_streamed(reader, Filter(text="zebra"))) == [0, 1]
    assert _seqs(reader.page(Filter(text='"no convention"'))) == [4]


def test_a_task_is_told_in_order(database: Database, reader: Reader) -> None:
    """A task's rows are in the order of the story: a review when it was decided, all else when it began."""
    ledger = LedgerRows()
    ledger.add("resolution", at=50, task_id="t")
    ledger.add("review", at=1, ends=40, task_id="t")
    ledger.add("ai_call", at=2, ends=60, task_id="t")
    ledger.add("ai_call", at=3, task_id="other")
    ledger.write(database)
    assert [row["event_type"] for row in reader.task("t")] == ["ai_call", "review", "resolution"]


def test_a_stream_is_every_match_once_in_ledger_order(
    database: Database, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream has each match once, by origin and seq, whatever the sizes of its blocks, with its own texts."""
    ledgers = [LedgerRows("b"), LedgerRows("a")]
    for ledger in ledgers:
        for index in range(50):
            kind = "review" if index % 3 else "span"
            ledger.add(kind, at=-index, content={"rationale": f"{ledger.origin} {index}"})
        ledger.write(database)
    monkeypatch.setattr(reader_module, "_KEYS_AT_ONCE", 7)
    monkeypatch.setattr(reader_module, "_RANGE_ROWS", 5)
    monkeypatch.setattr(reader_module, "_PICKED_ROWS", 3)
    everything = _streamed(reader, Filter())
    assert [(row["origin"], row["seq"]) for row in everything] == [(o, s) for o in "ab" for s in range(50)]
    assert all(row["content"]["rationale"] == f"{row['origin']} {row['seq']}" for row in everything)
    reviews = _streamed(reader, Filter(event_type=["review"]))
    assert [(r["origin"], r["seq"]) for r in reviews] == [(o, s) for o in "ab" for s in range(50) if s % 3]
    assert _seqs(_streamed(reader, Filter(event_type=["review"]), limit=10)) == _seqs(reviews)[:10]
    assert max(len(block) for block in reader.stream(Filter())) <= 5


def test_a_stream_ends_where_the_ledger_ended_when_it_began(
    database: Database, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries appended while a stream is read are no part of it, so that an export has an end."""
    monkeypatch.setattr(reader_module, "_KEYS_AT_ONCE", 2)
    first, later = LedgerRows("a"), LedgerRows("b")
    for _ in range(5):
        first.add()
        later.add()
    first.write(database)
    stream = reader.stream(Filter())
    seen = _seqs(next(stream))
    later.write(database)
    assert seen + [row["seq"] for block in stream for row in block] == [0, 1, 2, 3, 4]


def test_facets_count_values(database: Database, reader: Reader) -> None:
    """A facet counts the non-empty values among the matches, most frequent first, each code of a list for itself."""
    ledger = LedgerRows()
    ledger.add("review", rationale_code=["a", "b"], request_model="m1", response_model="m2")
    ledger.add("review", rationale_code=["b"], request_model="m2", response_model="m2")
    ledger.add("span", rationale_code=["b"])
    ledger.write(database)
    reviews = Filter(event_type=["review"])
    assert reader.facet(reviews, "rationale_code") == [("b", 2), ("a", 1)]
    assert reader.facet(reviews, "model") == [("m2", 2), ("m1", 1)]
    assert reader.facet(reviews, "model", 1) == [("m2", 2)]
    assert [reader.facet(Filter(), name) for name in FACETS if name == "decision"] == [[]]
    with pytest.raises(ConfigError, match="can not be counted"):
        reader.facet(Filter(), "1); DROP TABLE audit_entries")


def test_buckets_begin_at_local_midnight(database: Database, reader: Reader) -> None:
    """With the clock's offset, daily buckets begin at local midnight and their counts add up to the total."""
    ledger = LedgerRows()
    for hours in (0, 1, 2.5, 3, 26, 30):  # T0 is 21:20 UTC, 22:20 at +1 h
        ledger.add("ai_call" if hours < 3 else "review", at=hours * 3600)
    ledger.write(database)
    buckets = reader.histogram(Filter(), step_seconds=86_400, utc_offset_seconds=3600)
    midnight = 1_793_923_200 - 3600  # 2026-11-06T00:00:00+01:00
    assert buckets == [
        (midnight, "ai_call", 2),
        (midnight + 86_400, "ai_call", 1),
        (midnight + 86_400, "review", 1),
        (midnight + 2 * 86_400, "review", 2),
    ]


def test_ledgers_tell_their_extent(database: Database, reader: Reader) -> None:
    """A ledger counts what retention dropped in its size; last hash and checkpoint are the newest."""
    ledger = LedgerRows("a")
    for _ in range(3):
        ledger.add()
    ledger.write(database)
    rows = [["a", size, bytes([size]) * 32, f"note {size}"] for size in (1, 3, 2)]
    with database.client() as client:
        client.insert("audit_checkpoints", rows, ["origin", "size", "root_hash", "note"])
        client.command("ALTER TABLE audit_entries DELETE WHERE seq = 0 SETTINGS mutations_sync = 2")
    (state,) = reader.ledgers()
    assert (state.origin, state.size, state.first_seq, state.entries) == ("a", 3, 1, 2)
    assert reader.sizes() == (("a", 3),)
    assert state.last_hash_hex == ledger.hashes[2].hex()
    assert (state.first_recorded_unix_nano, state.last_recorded_unix_nano) == (T0 + SECOND, T0 + 2 * SECOND)
    assert state.checkpoint is not None
    assert (state.checkpoint.size, state.checkpoint.root_hash_hex, state.checkpoint.note) == (3, "03" * 32, "note 3")
    assert [checkpoint.size for checkpoint in reader.checkpoints("a", limit=2)] == [3, 2]


def test_genai_that_no_convention_knew_is_counted(database: Database, reader: Reader) -> None:
    """Records that look like GenAI by an attribute, their scope or their name, and were not recognised, are counted."""
    ledger = LedgerRows()
    ledger.add("span", scope_name="new.dialect", attributes=[("gen_ai.new", "x")])
    ledger.add("span", scope_name="new.dialect", attributes_json=[("llm.new", "1")])
    ledger.add("span", scope_name="new.dialect", attributes=[("ai.new", "x")])
    ledger.add("log", scope_name="logs", name="gen_ai.new", record_kind="log")
    ledger.add("span", scope_name="openinference.instrumentation.new", attributes=[("input", "x")])
    ledger.add("span", scope_name="odd", remarks=["convention_failed:vercel"])
    ledger.write(database)
    counted = {"new.dialect": 3, "logs": 1, "odd": 1, "openinference.instrumentation.new": 1}
    assert list(reader.unrecognised().items()) == sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    assert reader.unrecognised(limit=2) == {"new.dialect": 3, "logs": 1, "other scopes": 2}


def test_what_is_recognised_or_no_genai_is_not_counted(database: Database, reader: Reader) -> None:
    """Calls, spans of a known convention, and technical spans are not counted as not recognised."""
    ledger = LedgerRows()
    ledger.add("span", scope_name="http", attributes=[("http.route", "/"), ("email.ai", "x"), ("aim.x", "x")])
    ledger.add("ai_call", scope_name="known", convention="otel_genai", attributes=[("gen_ai.system", "x")])
    ledger.add("span", scope_name="openlit.x", convention="openlit", attributes=[("gen_ai.operation.name", "agent")])
    ledger.add("review", scope_name="own", convention="audit", attributes=[("gen_ai.system", "x")])
    ledger.write(database)
    assert reader.unrecognised() == {}


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        ("reader_task", {"task_id": "t"}, "by_task"),
        ("reader_trace", {"trace_id": "t"}, "by_trace"),
        ("reader_genai_logs", {"trace_ids": ["t", "u"]}, "by_trace"),
        ("reader_entry", {"origin": "o", "seq": 1}, "PrimaryKey"),
        ("reader_picked", {"origin": "o", "first": 1, "last": 9, "seqs": [1, 9]}, "PrimaryKey"),
        ("reader_content_picked", {"origin": "o", "first": 1, "last": 9, "seqs": [1, 9]}, "PrimaryKey"),
        ("reader_keys", {"after_origin": "o", "after_seq": 1, "limit": 5}, "PrimaryKey"),
    ],
)
def test_look_ups_use_an_index(database: Database, statement: str, parameters: dict[str, object], index: str) -> None:
    """Looking up a task, trace or entry reads an index, not the whole ledger."""
    ledger = LedgerRows()
    ledger.add("review", task_id="t", trace_id="t", content={"rationale": "x"})
    ledger.write(database)
    text = sql(statement).replace("/*columns*/", "e.seq")
    with database.client() as client:
        plan = client.query(f"EXPLAIN indexes = 1 {text}", parameters=parameters)
    assert index in "\n".join(line for (line,) in plan.result_rows)


def test_reading_through_the_front_is_the_same(database: Database, reader: Reader) -> None:
    """Read over HTTP, as while `up` runs, a ledger is the same, also for thousands of picked entries."""
    ledger = LedgerRows()
    for index in range(9000):
        ledger.add("review" if index % 2 else "span", task_id=HOSTILE, decision="approved" if index % 3 else "rejected")
    ledger.write(database)
    where = Filter(event_type=["review"], text="drop")
    with serve_front(database, "token") as front:
        remote_database = open_server(f"http://reader:token@127.0.0.1:{front.port}/audit", Role.READER)
        with remote_database:
            remote = Reader(remote_database)
            assert remote.count(where) == reader.count(where)
            assert remote.page(where) == reader.page(where)
            blocks = list(remote.stream(where))
    assert [len(block) for block in blocks] == [2048, 2048, 404]
    assert [row for block in blocks for row in block] == _streamed(reader, where)


def test_accesses_are_found_by_who_and_what(database: Database, reader: Reader) -> None:
    """Who looked, what they did and to what are filters, facets and columns of a table."""
    ledger = LedgerRows()
    looked = [("audit.action", "VIEW"), ("audit.target.id", "loan-1"), ("audit.target.type", "task")]
    ledger.add("access", actor_id="u_9", attributes=looked)
    ledger.add("access", actor_id="u_8", attributes=[("audit.action", "EXPORT"), ("audit.target.type", "events")])
    ledger.add("span", actor_id="u_9", attributes=[("audit.action", "VIEW")])
    ledger.write(database)
    assert reader.facet(Filter(event_type=["access"]), "action") == [("EXPORT", 1), ("VIEW", 1)]
    assert [row["seq"] for row in reader.page(Filter(action=["VIEW"]))] == [0], "a span's attribute is no access"
    row = reader.page(Filter(actor_id=["u_9"], event_type=["access"]))[0]
    assert (row["action"], row["target_id"], row["target_type"]) == ("VIEW", "loan-1", "task")


def test_confidence_and_status_narrow(database: Database, reader: Reader) -> None:
    """Confidence is a range with both ends included; an entry without any is in none."""
    ledger = LedgerRows()
    for confidence in (None, 0.0, 0.5, 0.9):
        ledger.add("ai_call", confidence=confidence, status="ok", producer="sdk/a")
    ledger.add("ai_call", confidence=1.0, status="error", producer="sdk/b")
    ledger.write(database)
    assert reader.count(Filter(confidence_to=0.5)).events == 2
    assert reader.count(Filter(confidence_from=0.5, confidence_to=0.9)).events == 2
    assert reader.count(Filter(confidence_from=0.0)).events == 4
    assert reader.count(Filter(status=["error"], producer=["sdk/b"])).events == 1
