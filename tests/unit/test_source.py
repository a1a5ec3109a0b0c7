"""Resources and scopes are remembered by their bytes."""

from __future__ import annotations

from itertools import product

from otel_audit.conventions.source import read_resource, read_scope
from tests.conformance.rebuild import rebuilt, sent
from tests.unit.convention_events import DECODER, NOW


def test_a_remembered_resource_or_scope_is_never_anothers() -> None:
    """Equal bytes under another schema URL, and an absent one beside an empty one, stay what each was."""
    parts = {
        "a": [b"\x0a\x03\x0a\x01a"],
        "b": [b"\x0a\x03\x0a\x01b"],
        "empty": [b""],
        "absent": [],
    }
    for _ in range(2):  # the second time from memory
        told = {}
        for (name, raw), url in product(parts.items(), (b"", b"http://x/1", b"http://x/2")):
            source = read_resource(raw, url)
            told[name, url] = (dict(source.otlp), [key for key, _ in source.columns["resource_attributes_json"]])
        for (name, url), (otlp, keys) in told.items():
            assert otlp.get("resource_schema_url", "") == url.decode()
            assert ("absent_resource" in otlp) == (name == "absent")
            assert keys == ([name] if len(name) == 1 else [])


def test_a_scope_remembered_under_one_resource_is_not_anothers() -> None:
    """The same scope of two services has each service's columns."""
    scope = [b"\x0a\x01s"]
    for service in (b"one", b"two", b"one"):
        value = b"\x0a" + bytes([len(service)]) + service
        pair = b"\x0a\x0cservice.name\x12" + bytes([len(value)]) + value
        resource = read_resource([b"\x0a" + bytes([len(pair)]) + pair], b"")
        source = read_scope(resource, scope, b"")
        assert source.columns["service"] == service.decode()
        assert source.scope_name == "s"


def test_what_is_remembered_is_not_changed_by_its_events() -> None:
    """Decoding the same request again gives the same events, rebuilt byte for byte."""
    scope = b"\x0a\x01s"
    span = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + b"\x2a\x02hi"
    block = b"\x0a" + bytes([len(scope)]) + scope + b"\x12" + bytes([len(span)]) + span
    resource_block = b"\x0a\x00\x12" + bytes([len(block)]) + block
    body = b"\x0a" + bytes([len(resource_block)]) + resource_block
    first = DECODER.traces(body, NOW).events
    first[0].columns["service"] = "changed"
    first[0].content["changed"] = "x"
    again = DECODER.traces(body, NOW).events
    assert "service" not in again[0].columns
    assert "changed" not in again[0].content
    assert [rebuilt(event) for event in again] == sent(body, "traces")
