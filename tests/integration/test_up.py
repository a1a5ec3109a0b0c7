"""The main job, as a user does it: ``up``, a stock OpenTelemetry SDK, ``export``, ``verify``, and a kill -9."""

from __future__ import annotations

import shutil
import threading
import time

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.integration.running import LOGS, alter, exported, run, running, verify


def spans_request(first: int, count: int, trace: int = 1) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    now = time.time_ns()
    for number in range(first, first + count):
        span = scope.spans.add(
            trace_id=trace.to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name=f"span {number}",
            start_time_unix_nano=now,
            end_time_unix_nano=now + 1000,
        )
        attribute = span.attributes.add(key="number")
        attribute.value.int_value = number
    return request


def stored_names(data) -> list[str]:
    return [row["name"] for row in exported(data, "--event-type", "span")]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A data folder with 120 spans of a stock SDK, written by a receiver that was stopped in order."""
    data = tmp_path_factory.mktemp("recorded") / "data"
    with running(data, "--no-dashboard", "--checkpoint-seconds", "0.5") as up:
        provider = TracerProvider(resource=Resource.create({"service.name": "stock"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=up.endpoint)))
        tracer = provider.get_tracer("stock")
        for number in range(120):
            with tracer.start_as_current_span(f"work {number}", attributes={"number": number, "text": "x" * 300}):
                pass
        provider.shutdown()
        # From a second terminal, while `up` runs:
        names = stored_names(data)
        assert sorted(names) == sorted(f"work {number}" for number in range(120))
        assert verify(data)["status"] == "ok"
        printed = up.stop()
    assert "OTLP/gRPC" in printed
    return data


def copy(data, tmp_path):
    """A copy to tamper with, with its anchors, texts and keys."""
    for part in ("data", "data-anchors", "data-texts", "data-keys"):
        shutil.copytree(data.with_name(part), tmp_path / part, symlinks=True)
    return tmp_path / "data"


def codes(report) -> set[str]:
    return {finding["code"] for finding in report["findings"]}


def test_spans_of_a_stock_sdk_are_exported_once_and_verify(recorded):
    """After a stop in order everything is sealed and anchored: nothing of the ledger is unanchored."""
    report = verify(recorded)
    assert report["status"] == "ok"
    (ledger,) = report["ledgers"]
    assert ledger["size"] == 123  # 120 spans, ledger.opened, the access of the export, ledger.closed
    assert ledger["unanchored_from"] is None
    assert len(stored_names(recorded)) == 120


def test_one_changed_value_is_found(recorded, tmp_path):
    """One value of one column of one row, changed behind its back: verify names the entry and says ROW_MODIFIED."""
    data = copy(recorded, tmp_path)
    alter(data, "ALTER TABLE audit.audit_entries UPDATE service = 'innocent' WHERE seq = 7 SETTINGS mutations_sync = 1")
    report = verify(data, code=1)
    assert report["status"] == "tampered"
    assert [(finding["code"], finding["seq"]) for finding in report["findings"]] == [("ROW_MODIFIED", 7)]


def test_a_cut_tail_is_found(recorded, tmp_path):
    """The newest 10 rows deleted: TAIL_TRUNCATED."""
    data = copy(recorded, tmp_path)
    alter(data, "ALTER TABLE audit.audit_entries DELETE WHERE seq >= 112 SETTINGS mutations_sync = 1")
    assert "TAIL_TRUNCATED" in codes(verify(data, code=1))


def test_an_emptied_ledger_is_found(recorded, tmp_path):
    """All rows gone: LEDGER_EMPTIED, also when tiles and checkpoints went with them."""
    data = copy(recorded, tmp_path)
    alter(data, "TRUNCATE TABLE audit.audit_entries")
    assert "LEDGER_EMPTIED" in codes(verify(data, code=1))
    alter(data, *(f"TRUNCATE TABLE audit.audit_{table}" for table in ("tiles", "checkpoints", "content")))
    assert "LEDGER_EMPTIED" in codes(verify(data, code=1))


def test_a_cut_ledger_is_not_continued(recorded, tmp_path):
    """A receiver does not write on top of a ledger that is shorter than its checkpoint: exit 2 and what to do."""
    data = copy(recorded, tmp_path)
    alter(data, "ALTER TABLE audit.audit_entries DELETE WHERE seq >= 112 SETTINGS mutations_sync = 1")
    refused = run("up", "--data", str(data), "--grpc-port", "0", "--http-port", "0", "--no-dashboard", code=2)
    assert "otel-audit verify" in refused.stderr


def test_kill_9_under_load_loses_nothing_acknowledged(tmp_path):
    """kill -9 of the whole group during load: after a restart every acknowledged span is there once, verify is ok."""
    data = tmp_path / "data"
    acknowledged: list[int] = []
    for round_number in range(2):
        with running(data, "--no-dashboard", "--checkpoint-seconds", "0.2") as up:
            enough = threading.Event()

            def load(first: int, up=up, enough=enough, target=3_000 * (round_number + 1)) -> None:
                with up.channel() as channel:
                    call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
                    for start in range(first, first + 100_000, 10):
                        try:
                            call(spans_request(start, 10).SerializeToString(), timeout=10)
                        except grpc.RpcError:
                            return
                        acknowledged.extend(range(start, start + 10))
                        if len(acknowledged) > target:
                            enough.set()

            threads = [
                threading.Thread(target=load, args=((round_number * 4 + n) * 1_000_000,), daemon=True) for n in range(4)
            ]
            for thread in threads:
                thread.start()
            assert enough.wait(60)
            up.kill()
            for thread in threads:
                thread.join(30)
    with running(data, "--no-dashboard") as up:
        up.stop()
    assert verify(data)["status"] == "ok"
    stored = stored_names(data)
    assert len(stored) == len(set(stored))
    assert {f"span {number}" for number in acknowledged} <= set(stored)


def test_a_retried_batch_is_stored_once_and_a_conflict_is_remarked(tmp_path):
    """The same request again adds nothing, also after a restart; another span under a known id is kept and remarked."""
    data = tmp_path / "data"
    request = spans_request(0, 5)
    with running(data, "--no-dashboard") as up:
        for _ in range(2):
            up.export(request.SerializeToString())
        up.stop()
    with running(data, "--no-dashboard") as up:
        up.export(request.SerializeToString())
        request.resource_spans[0].scope_spans[0].spans[2].name = "another story"
        up.export(request.SerializeToString())
        up.export(request.SerializeToString())
        up.stop()
    rows = exported(data, "--event-type", "span")
    assert len(rows) == 6
    (conflict,) = [row for row in rows if row["remarks"]]
    assert conflict["name"] == "another story"
    assert conflict["remarks"][0].startswith("id_conflict:")
    assert verify(data)["status"] == "ok"


def test_bad_input_is_told_or_recorded_and_the_server_goes_on(tmp_path):
    """Garbage is refused with words; everything that is OTLP is stored, however odd; nothing else is lost."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard") as up:
        for method in (LOGS, "/opentelemetry.proto.collector.trace.v1.TraceService/Export"):
            with pytest.raises(grpc.RpcError) as refused:
                up.export(b"\xff\xfe garbage", method)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "nothing was stored" in refused.value.details()
        request = spans_request(0, 7)
        spans = request.resource_spans[0].scope_spans[0].spans
        spans[0].trace_id = b"short"
        spans[1].attributes.add(key="large").value.string_value = "é" * 5_000_000
        for number in range(100_000):
            spans[2].attributes.add(key=f"key.{number}").value.int_value = number
        value = spans[3].attributes.add(key="deep").value
        for _ in range(45):
            value = value.array_value.values.add()
        value.string_value = "bottom"
        spans[4].start_time_unix_nano = spans[4].end_time_unix_nano = 1
        spans[5].start_time_unix_nano = spans[5].end_time_unix_nano = 7_258_118_400 * 10**9
        body = request.SerializeToString().replace(b"span 6", b"span \xff")
        up.export(body, timeout=60)
        metrics = ExportMetricsServiceRequest()
        metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points.add(as_int=1)
        answer = up.export(
            metrics.SerializeToString(), "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
        )
        assert ExportMetricsServiceResponse.FromString(answer).partial_success.rejected_data_points == 1
        up.export(spans_request(100, 1).SerializeToString())
        up.stop()
    rows = exported(data)
    spans_stored = [row for row in rows if row["event_type"] == "span"]
    assert len(spans_stored) == 8
    losses = {row["name"] for row in rows if row["event_type"] == "loss"}
    assert any("rejected" in name for name in losses)
    assert any("metrics" in name for name in losses)
    assert verify(data)["status"] == "ok"
