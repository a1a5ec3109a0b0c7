"""What differs between two entries, and how it is said."""

import comparing

from tests.unit.dashboard_rows import row


def call(**columns):
    texts = {"input": "Write a reply.", "output": "Dear Ms Lind"}
    common = {"event_type": "ai_call", "request_model": "atlas", "response_model": "atlas-1", "seq": 1, "span_id": "a"}
    return row(at=0, ends=2, **(common | {"content": texts} | columns))


def said(left, right):
    return "".join(text for text, _ in comparing.sentence(left, right, comparing.compare(left, right)))


def test_the_sentence_names_what_differs():
    """Two calls differ in what people ask for first; when, where and which ids they are is no difference."""
    other = call(response_model="atlas-2", content={"input": "Write a reply.", "output": "Hello"}, seq=9, span_id="b")
    assert said(call(), other) == "These two AI calls differ in model version and answer."
    assert said(call(), call(seq=2)) == "These two AI calls are the same in all that can be compared."
    review = row(event_type="review", decision="approved")
    assert said(call(), review).startswith("These two events (AI call, Review) differ in kind of event, ")


def test_many_differences_are_counted_and_measures_named_last():
    """The sentence names five differences, what was measured only after all others, and counts the rest."""
    other = call(response_model="b", prompt_version="2", configuration={"seed": "7"}, input_tokens=4, status="error")
    expected = "These two AI calls differ in model version, prompt version, setting seed, status and input tokens."
    assert said(call(), other) == expected
    other |= {"service": "x", "environment": "y"}
    assert said(call(), other).endswith("setting seed, status, service and 2 more.")


def test_attributes_alone():
    """Entries that differ in attributes that no column tells say so."""
    assert said(call(attributes={"a": "1"}), call(attributes={"b": "1"})).endswith(
        "differ in 2 of their other attributes only."
    )


def test_every_stored_value_is_compared_once():
    """No column is forgotten: each one that has a value is in exactly one of the lists, settings by name."""
    from otel_audit.ledger.schema import STORED_COLUMNS, ColumnType

    numbers = (ColumnType.UINT16, ColumnType.UINT64, ColumnType.OPTIONAL_COUNT, ColumnType.OPTIONAL_FLOAT)
    left, right = row(), row()
    for column in STORED_COLUMNS:
        if column.name == "content":
            continue
        if column.type in numbers:
            left[column.name], right[column.name] = 1, 2
        elif column.type is ColumnType.STRING_MAP:
            left[column.name], right[column.name] = {column.name: "1"}, {column.name: "2"}
        elif column.type is ColumnType.STRINGS:
            left[column.name], right[column.name] = ["1"], ["2"]
        elif column.type is ColumnType.BOOL:
            left[column.name] = True
        elif column.type is ColumnType.TIME:
            right[column.name] += 1_000_000
        else:
            left[column.name], right[column.name] = "1", "2"
    found = comparing.compare(left, right)
    pairs = [*found.values, *found.attributes, *found.own]
    assert len(pairs) == len(STORED_COLUMNS) - 1
    assert all(pair.differs for pair in pairs)
    assert len({pair.label for pair in pairs}) == len(pairs)


def test_a_text_that_is_gone_is_no_difference():
    """Where a text was erased nothing is claimed; one that an entry never had is a difference."""
    erased = call(content={"input": "Write a reply."}, content_commitments={"input": "00", "output": "00"})
    answer = next(each for each in comparing.compare(call(), erased).texts if each.noun == "answer")
    assert (answer.gone, answer.differs) == (True, False)
    never = call(content={"input": "Write a reply."})
    assert said(call(), never) == "These two AI calls differ in answer."
    assert not comparing.Texts("", "", '[{"role":"user","content":"a"}]', "b", gone=False).same_words
    assert comparing.Texts("", "", '[{"role":"user","content":"a"}]', "a", gone=False).same_words
