"""The reader of encodings in ``verify_bundle.py``: it reads what the ledger writes, and nothing that is damaged."""

import hashlib

import pytest

from otel_audit.ledger.encoding import encode_entry, encode_event, genesis_hash, origin_prefix
from otel_audit.model import AuditEvent
from otel_audit.reports.bundle.verify_bundle import Broken, decode

EVENT = AuditEvent(
    {
        "event_type": "ai_call",
        "event_time": 10**18 + 7,
        "task_id": "t" * 300,
        "confidence": 0.25,
        "input_tokens": 12,
        "is_override": True,
        "rationale_code": ["a", "ü"],
        "attributes": [("k", "v")],
    }
)
ENCODING = encode_entry(
    origin_prefix("unit/decode"), 5, genesis_hash("unit/decode"), 10**18, encode_event(EVENT, {"input": b"\x07" * 32})
)


def test_an_encoding_is_read_back():
    """Every kind of column comes back as it was written, with the entry's hash."""
    row = decode(ENCODING)
    expected = {"origin": "unit/decode", "seq": 5, "event_time": 10**18 + 7, "task_id": "t" * 300, "confidence": 0.25}
    expected |= {"score": None, "input_tokens": 12, "is_override": True, "rationale_code": ["a", "ü"]}
    expected |= {"attributes": {"k": "v"}, "content": {"input": "07" * 32}}
    expected |= {"hash": hashlib.sha256(b"\x00" + ENCODING).hexdigest()}
    assert {name: row[name] for name in expected} == expected


def test_an_encoding_that_was_cut_off_or_extended_is_refused():
    """Whatever is missing at the end, or added to it, is said to be no encoding: nothing else is raised."""
    for damaged in (*(ENCODING[:end] for end in range(len(ENCODING))), ENCODING + b"\x00"):
        with pytest.raises(Broken) as refused:
            decode(damaged)
        assert refused.value.args[0] == "NON_CANONICAL"
