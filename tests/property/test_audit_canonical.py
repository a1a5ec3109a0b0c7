"""The canonical form of an audit record: the stored entry gives that of what was sent, and no two values share one."""

from __future__ import annotations

import json

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_audit.conventions import normalise
from otel_audit.conventions.audit_canonical import sent_form, stored_form, wrap
from otel_audit.conventions.record import read_log
from otel_audit.conventions.source import Source
from otel_audit.conventions.values import native

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["content:x", "$raw", "x" * 3000])
scalars = st.one_of(
    st.builds(AnyValue),
    texts.map(lambda text: AnyValue(string_value=text)),
    st.booleans().map(lambda flag: AnyValue(bool_value=flag)),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: AnyValue(int_value=number)),
    st.sampled_from([1 << 53, (1 << 53) + 1, -(1 << 53)]).map(lambda number: AnyValue(int_value=number)),
    st.floats().filter(lambda number: number != 0).map(lambda number: AnyValue(double_value=number)),
    st.binary(max_size=8).map(lambda raw: AnyValue(bytes_value=raw)),
)


def trees(inner):
    array = st.lists(inner, max_size=3).map(lambda items: AnyValue(array_value={"values": items}))
    pairs = st.lists(st.builds(KeyValue, key=texts, value=inner), max_size=3)
    return array | pairs.map(lambda items: AnyValue(kvlist_value={"values": items}))


values = st.recursive(scalars, trees, max_leaves=6)


@settings(deadline=None)
@given(values, values, st.dictionaries(texts, values, max_size=4))
def test_the_stored_entry_gives_the_form_of_what_was_sent(body, value, more):
    """Whatever the values are and wherever their texts went, the form from the store is the form from the wire."""
    attributes = {"a": value, **more}
    log = LogRecord(
        time_unix_nano=5,
        observed_time_unix_nano=6,
        event_name="e",
        body=body,
        attributes=[KeyValue(key=key, value=item) for key, item in attributes.items()],
    )
    record = read_log(Source(), log.SerializeToString())
    event = normalise(record, identity_key=bytes(32), received_unix_nano=7)[0]
    form = sent_form(record)
    assert stored_form(event.columns, event.content) == form
    assert rfc8785.dumps(json.loads(form, parse_int=float)) == form


@given(values, values)
def test_two_values_never_share_a_form(one, other):
    """Values that differ in type or content differ in their canonical bytes (NaN payloads aside)."""
    same = rfc8785.dumps(wrap(native(one))) == rfc8785.dumps(wrap(native(other)))
    assert same == (repr(native(one)) == repr(native(other)))
