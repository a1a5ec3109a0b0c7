"""OTLP/JSON over HTTP: the same guarantees as protobuf, answers in JSON, and no web page unless it is named."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request

import pytest

from otel_audit.errors import ConfigError
from otel_audit.receiver.http_server import http_app
from otel_audit.receiver.intake import MAX_REQUEST_BYTES
from tests.integration.test_otlp_servers import Served, one_span, serving
from tests.otlp_json import as_json

JSON = "application/json"
PAGE = "https://app.example.com"


def span(number: int = 0) -> bytes:
    return as_json("traces", one_span(number))


def test_a_stored_json_request_is_answered_in_json():
    """A span in JSON, plain or gzip, is durable when the empty JSON success is sent."""
    with serving() as served:
        for number, (body, headers) in enumerate(
            [(span(0), {}), (gzip.compress(span(1)), {"Content_Encoding": "gzip"}), (span(2), {})]
        ):
            status, found, answer = served.http(body, Content_Type="application/json; charset=utf-8", **headers)
            assert (status, found["content-type"], json.loads(answer)) == (200, JSON, {})
            assert len(served.ledger.hashes) == number + 1
        status, _, answer = served.http(
            json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]}).encode(),
            "/v1/logs",
            Content_Type=JSON,
        )
        assert (status, json.loads(answer), len(served.ledger.hashes)) == (200, {}, 4)


def test_a_store_that_is_down_is_503_in_json():
    """503 with Retry-After and a google.rpc.Status in JSON: the exporter keeps the data."""
    with serving(lambda step, _number: "not persisted" if step == "append_entries" else None) as served:
        status, headers, answer = served.http(span(), Content_Type=JSON)
        assert (status, headers["content-type"], int(headers["retry-after"]) > 0) == (503, JSON, True)
        assert "store" in json.loads(answer)["message"]
        assert served.ledger.hashes == []


def test_what_is_wrong_with_a_json_request_is_said_in_json():
    """Too large is 413, no OTLP is 400, both with a google.rpc.Status in JSON; the rejection is counted as a loss."""
    with serving() as served:
        status, headers, answer = served.http(
            gzip.compress(bytes(MAX_REQUEST_BYTES + 1)), Content_Type=JSON, Content_Encoding="gzip"
        )
        assert (status, headers["content-type"]) == (413, JSON)
        assert "64 MiB" in json.loads(answer)["message"]
        for body, path in ((b"{", "/v1/traces"), (span(), "/v1/logs"), (b"{", "/v1/metrics")):
            status, headers, answer = served.http(body, path, Content_Type=JSON)
            assert (status, headers["content-type"]) == (400, JSON)
            assert "nothing was stored" in json.loads(answer)["message"]
        assert served.intake.losses.totals == {"request rejected: not an OTLP message": 3}
        assert served.ledger.hashes == []


def test_metrics_in_json_are_refused_so_that_the_exporter_goes_on():
    """A metrics request in JSON is answered with a partial success that counts its points."""
    points = [{"asInt": "1", "timeUnixNano": "5"}, {"asDouble": 2}]
    metric = {"name": "m", "gauge": {"dataPoints": points}, "notYetKnown": 1}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    with serving() as served:
        status, _, answer = served.http(body, "/v1/metrics", Content_Type=JSON)
        assert (status, json.loads(answer)["partialSuccess"]["rejectedDataPoints"]) == (200, "2")


def preflight(served: Served, origin: str) -> tuple[int, dict[str, str]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.http_port}/v1/traces",
        method="OPTIONS",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-encoding,content-type",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers)


def allowed(headers: dict[str, str]) -> str | None:
    return {name.lower(): value for name, value in headers.items()}.get("access-control-allow-origin")


def test_no_web_page_may_send_by_default():
    """Without --cors-origin a preflight is refused and no answer carries a CORS header."""
    with serving() as served:
        status, headers = preflight(served, PAGE)
        assert (status, allowed(headers)) == (405, None)
        _, headers, _ = served.http(span(), Content_Type=JSON, Origin=PAGE)
        assert allowed(headers) is None


def test_pages_of_a_named_origin_may_send():
    """With --cors-origin the pages of that origin are let in, and those of any other are not."""
    with serving(cors_origins=[PAGE]) as served:
        status, headers = preflight(served, PAGE)
        assert (status, allowed(headers)) == (200, PAGE)
        status, headers, _ = served.http(span(), Content_Type=JSON, Origin=PAGE)
        assert (status, allowed(headers)) == (200, PAGE)
        status, headers = preflight(served, "https://evil.example")
        assert (status, allowed(headers)) == (400, None)


@pytest.mark.parametrize("origin", ["*", "app.example.com", "https://app.example.com/", "null", "https://a b"])
def test_what_is_no_origin_is_refused_at_start(origin: str):
    """An origin that a browser would never send is a mistake, and said so at start."""
    with serving() as served, pytest.raises(ConfigError, match="--cors-origin"):
        http_app(served.intake, lambda: True, [origin])
