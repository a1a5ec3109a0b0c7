"""The receiver's masking: no column is forgotten, retries stay equal, and the policy's label is told."""

from __future__ import annotations

import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_audit.ledger.schema import EVENT_COLUMNS, ColumnType
from otel_audit.model import AuditEvent
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import CapturePolicy, default_policy, load_policy
from otel_audit.receiver import masking as module
from otel_audit.receiver.decode import Decoder
from otel_audit.receiver.masking import HEX_IDS, IDS, JSON_COLUMNS, MAPS, NAMES, OWN_WORDS, Masking
from otel_audit.receiver.prepare import RETENTION_CLASSES, prepare

KEYS = PseudonymKeys((bytes(range(32)),))
MAIL = "jane.roe@example.com"
# Types that hold no text. A hash map's keys are the content's names, its values commitments.
NO_TEXT = {
    ColumnType.UINT16,
    ColumnType.UINT64,
    ColumnType.BOOL,
    ColumnType.TIME,
    ColumnType.HASH,
    ColumnType.OPTIONAL_FLOAT,
    ColumnType.OPTIONAL_COUNT,
}


def masking(policy: CapturePolicy | None = None) -> Masking:
    return Masking(policy or default_policy(), KEYS)


@pytest.mark.parametrize("column", EVENT_COLUMNS, ids=lambda column: column.name)
def test_every_column_is_masked_or_holds_no_text_of_a_producer(column):
    """An address in any column is masked, except where the receiver itself writes one of its own words."""
    kind = column.type
    if kind in NO_TEXT or column.name in OWN_WORDS:
        return
    values = {
        ColumnType.STRING: MAIL,
        ColumnType.NAME: MAIL,
        ColumnType.STRINGS: ["ok", MAIL],
        ColumnType.STRING_MAP: [(MAIL, f'"{MAIL}"'), ("body", f'{{"a":["{MAIL}"]}}'), ("k", MAIL)],
    }
    if kind is ColumnType.HASH_MAP:
        event = AuditEvent({}, {f"attributes.{MAIL}": MAIL, "raw": "YWJj", "input": f'["{MAIL}"]'})
    else:
        value = f'[{{"name":"{MAIL}","{MAIL}":"{MAIL}"}}]' if column.name in JSON_COLUMNS else values[kind]
        event = AuditEvent({column.name: f"record:{value}" if column.name == "event_id" else value}, {})  # type: ignore[misc]  # one column of the schema
    before = repr(event)
    masked = masking()(event)
    assert "jane.roe" not in repr(masked)
    assert "[email:" in repr(masked)
    assert repr(event) == before  # losses are put back from the event as it was
    prepare(masked)


def test_the_rules_name_every_column_once():
    """A column that is added to the schema has to be given a rule: the lists here are the schema."""
    textual = {column.name for column in EVENT_COLUMNS if column.type not in NO_TEXT} - {"content"}
    lists = (NAMES, IDS, set(OWN_WORDS), set(HEX_IDS), MAPS, JSON_COLUMNS)
    assert set.union(*map(set, lists)) == textual
    assert sum(map(len, lists)) == len(textual)


def test_words_of_the_receivers_own_can_not_be_given_by_a_producer():
    """The exempt columns hold one of a fixed list of words, whatever a producer sends."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"1" * 16, span_id=b"2" * 8)
    for key in ("audit.event.type", "audit.retention.class", "audit.capture_policy"):
        attribute = span.attributes.add(key=key)
        attribute.value.string_value = MAIL
    span.status.code = 77
    (event,) = Decoder(b"k" * 32).traces(request.SerializeToString(), time.time_ns()).events
    columns = prepare(event, masking()).event.columns
    assert columns["retention_class"] in RETENTION_CLASSES
    assert columns["capture_policy"] == "redacted/1"
    for name in OWN_WORDS:
        assert "jane" not in str(columns.get(name, ""))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("redacted/1", "redacted/1"),
        ("shop/7", "shop/7+redacted/1"),
        ("no label", "redacted/1"),
        (f"{MAIL}/1", "redacted/1"),
    ],
)
def test_the_label_of_the_application_stays_visible(sent, stored):
    """Both policies are named where they differ; what is no label is not repeated."""
    masked = masking()(AuditEvent({"attributes": [("audit.capture_policy", sent)]}, {}))
    assert masked.columns["capture_policy"] == stored


def test_masking_twice_gives_the_same():
    """A retry, and a text that the application already masked, come out equal: tokens are made by the value alone."""
    event = AuditEvent(
        {"attributes": [("user", MAIL)], "span_events": f'[{{"name":"{MAIL}"}}]', "name": MAIL},
        {"input": f'[{{"role":"user","parts":[{{"type":"text","content":"{MAIL} 4111 1111 1111 1111"}}]}}]'},
    )
    once = masking()(event)
    assert masking()(event) == once
    assert masking()(once) == once


def test_markers_follow_the_text_they_name():
    """Texts whose names are masked are still found by their markers, also when two names become one."""
    content = {"attributes.jane.roe@example.com": "one", "attributes.Jane.Roe@Example.com": "two"}
    event = AuditEvent(
        {
            "attributes": [(name.removeprefix("attributes."), f"content:{name}") for name in content],
            "span_events": '[{"attributes":{"a":"content:attributes.Jane.Roe@Example.com",'
            '"b":{"$content":"attributes.jane.roe@example.com"}}}]',
        },
        content,
    )
    masked = masking()(event)
    (first, first_marker), (second, second_marker) = masked.columns["attributes"]
    assert masked.content[first_marker.removeprefix("content:")] == "one"
    assert masked.content[second_marker.removeprefix("content:")] == "two"
    assert first != second
    assert f'"a":"{second_marker}"' in masked.columns["span_events"]
    assert f'{{"$content":"{first_marker.removeprefix("content:")}"}}' in masked.columns["span_events"]


def test_an_id_of_the_wrong_length_is_searched_as_text():
    """Hex ids are left alone; bytes that are no id but spell an address in hex are not."""
    good = {"trace_id": "ab" * 16, "span_id": "12" * 8}
    assert masking()(AuditEvent({**good}, {})).columns["trace_id"] == good["trace_id"]
    masked = masking()(AuditEvent({"trace_id": MAIL.encode().hex()}, {}))
    assert masked.columns["trace_id"].startswith("[blob:")


@pytest.mark.parametrize("mode", ["redacted", "hash"])
def test_bytes_that_nobody_can_read_leave_a_hash(mode):
    """Unreadable records may say anything: only a keyed hash and the size stay, unless the policy is full."""
    event = AuditEvent({"event_type": "loss"}, {"raw": "SmFuZQ==", "raw_resource": "Um9l"})
    masked = masking(default_policy(mode))(event)
    assert all(text.startswith("[hash:k") and text.endswith(" bytes]") for text in masked.content.values())
    assert masking(default_policy("full"))(event).content == event.content


def test_services_and_attributes_have_modes_of_their_own():
    """One service may be stricter, one attribute more open; assembled texts follow the attribute they come from."""
    policy = load_policy(
        {
            "attributes": {"gen_ai.output.messages": "hash", "app.debug.*": "full"},
            "services": {"billing": {"mode": "hash"}},
        }
    )
    content = {"input": f"in {MAIL}", "output": f"out {MAIL}", "attributes.app.debug.text": MAIL}
    masked = masking(policy)(AuditEvent({"service": "shop"}, dict(content))).content
    assert masked["input"].startswith("in [email:")
    assert masked["output"].startswith("[hash:")
    assert masked["attributes.app.debug.text"] == MAIL
    masked = masking(policy)(AuditEvent({"service": "billing"}, dict(content))).content
    assert masked["input"].startswith("[hash:")


def test_full_keeps_everything():
    """Only under ``full`` nothing is changed but the label."""
    event = AuditEvent({"attributes": [("user", MAIL)], "name": MAIL}, {"input": MAIL})
    masked = masking(default_policy("full"))(event)
    assert masked.columns == {**event.columns, "capture_policy": "full/1"}
    assert masked.content == event.content


def test_assembled_texts_have_an_attribute():
    """Each assembled text that a mode may be given for is named as conventions name it."""
    assert set(module._ALIASES) == {
        "input",
        "output",
        "system_instructions",
        "tool_definitions",
        "tool_arguments",
        "tool_result",
        "rationale",
        "before",
        "after",
    }
