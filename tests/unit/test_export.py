from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pyarrow.parquet as pq
import pytest

from otel_audit.errors import ConfigError
from otel_audit.ledger.schema import STORED_COLUMNS, ColumnType
from otel_audit.reports.export import (
    COLUMNS,
    CSV_COLUMNS,
    FIELDS,
    Format,
    chunks,
    needs_payload,
    needs_texts,
    parse_columns,
    write_csv,
    write_jsonl,
    write_parquet,
)
from otel_audit.reports.packed import Counted, packed

REQUIRED_HEADER = (
    "recorded_at,event_time,event_type,task_id,reviewer_id,decision,rationale_code,rationale,service,environment,provider,"
    "request_model,response_model,prompt_name,prompt_version,request_id,response_id,conversation_id,trace_id,span_id,"
    "confidence,input_tokens,output_tokens,duration_ms,active_seconds,input,output,origin,seq,hash"
)
_EMPTY: dict[ColumnType, Any] = {
    ColumnType.UINT16: 0,
    ColumnType.UINT64: 0,
    ColumnType.BOOL: False,
    ColumnType.TIME: 0,
    ColumnType.HASH: "00" * 32,
    ColumnType.OPTIONAL_FLOAT: None,
    ColumnType.OPTIONAL_COUNT: None,
    ColumnType.STRINGS: [],
    ColumnType.STRING_MAP: {},
    ColumnType.HASH_MAP: {},
}


def row_of(**values: Any) -> dict[str, Any]:
    """A row as the reader returns it."""
    row = {column.name: _EMPTY.get(column.type, "") for column in STORED_COLUMNS}
    return {**row, "content": {}, "content_commitments": {}, "content_from": {}, **values}


def _csv(*rows: dict[str, Any], bom: bool = False) -> bytes:
    out = io.BytesIO()
    assert write_csv([list(rows)], out, bom=bom) == len(rows)
    return out.getvalue()


def _cells(*rows: dict[str, Any]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_csv(*rows).decode(), newline="")))


def test_csv_header_begins_with_the_promised_columns() -> None:
    """The CSV header begins with the columns that scripts rely on, in their order, and names no column twice."""
    header = _csv().decode().rstrip("\r\n")
    assert header.startswith(REQUIRED_HEADER + ",")
    assert len(set(CSV_COLUMNS)) == len(CSV_COLUMNS)


def test_csv_keeps_every_text_exactly() -> None:
    """Quotes, commas, line breaks and any script come back from a CSV reader exactly as they were."""
    hostile = 'a "quoted", text\r\nwith\nlines; ünïcödé 你好 😀 \x85\u2028 and a "'
    (cells,) = _cells(row_of(task_id=hostile, content={"input": hostile}, rationale_code=["a", "b,c"]))
    assert cells["task_id"] == cells["input"] == hostile
    assert cells["rationale_code"] == "a; b,c"


def test_csv_lines_end_as_rfc_4180_says() -> None:
    """Records end with CRLF, the file ends with one, and every record has all columns."""
    data = _csv(row_of(), row_of())
    assert data.endswith(b"\r\n")
    assert [line.count(b",") for line in data.split(b"\r\n")[:-1]] == [len(CSV_COLUMNS) - 1] * 3


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "  =1",
        "\u00a0=1",
        "\ufeff=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20x",
        "\u22121",
    ],
)
def test_csv_cells_are_never_formulas(text: str) -> None:
    """A text that a spreadsheet would take for a formula begins with an apostrophe, in columns, lists and texts."""
    (cells,) = _cells(
        row_of(task_id=text, service=text, rationale_code=[text], content={"output": text}, configuration={})
    )
    assert [cells[name] for name in ("task_id", "service", "rationale_code", "output")] == [f"'{text}"] * 4


@pytest.mark.parametrize("text", ["", "ok", "a=1", "'=1", "1-2", '"x"', "[1]", "ä=", "(1)"])
def test_csv_leaves_other_texts_alone(text: str) -> None:
    """A text that is no formula gets no apostrophe."""
    assert _cells(row_of(task_id=text))[0]["task_id"] == text


def test_csv_numbers_and_times_are_exact() -> None:
    """Numbers come without guard or rounding, also negative ones; times in UTC with nanoseconds; null is empty."""
    (cells,) = _cells(
        row_of(
            seq=2**64 - 1,
            confidence=-0.1,
            duration_ms=math.nan,
            score=math.inf,
            input_tokens=7,
            event_time=-1,
            recorded_at=1_794_000_000_000_000_007,
            is_override=True,
            configuration={"temperature": "0.5"},
        )
    )
    assert (cells["seq"], cells["confidence"], cells["duration_ms"], cells["score"]) == (
        "18446744073709551615",
        "-0.1",
        "NaN",
        "Infinity",
    )
    assert cells["recorded_at"] == "2026-11-06T21:20:00.000000007Z"
    assert cells["event_time"] == "1969-12-31T23:59:59.999999999Z"
    assert (cells["input_tokens"], cells["output_tokens"], cells["is_override"]) == ("7", "", "true")
    assert json.loads(cells["configuration"]) == {"temperature": "0.5"}


def test_csv_bom_only_when_asked() -> None:
    """A byte order mark begins the file when asked for, and only then."""
    assert _csv(bom=True) == b"\xef\xbb\xbf" + _csv()


def test_jsonl_has_every_field_in_order() -> None:
    """Each line is an object with every stored column, in order, then the commitments; times are ISO 8601."""
    out = io.BytesIO()
    row = row_of(
        attributes={"a": "1"},
        attributes_json={"n": "5"},
        content={"input": "x\u2028y\x85z\nend ü"},
        content_commitments={"input": "ab"},
        confidence=math.nan,
        score=-math.inf,
        event_time=1,
    )
    assert write_jsonl([[row, row], [row]], out) == 3
    lines = out.getvalue().decode().splitlines()
    assert len(lines) == 3
    value = json.loads(lines[0])
    assert tuple(value) == FIELDS
    assert FIELDS[: len(STORED_COLUMNS)] == tuple(column.name for column in STORED_COLUMNS)
    assert value["content"] == row["content"]
    assert value["content_commitments"] == {"input": "ab"}
    assert (value["attributes"], value["attributes_json"]) == ({"a": "1"}, {"n": "5"})
    assert value["event_time"] == "1970-01-01T00:00:00.000000001Z"
    assert (value["confidence"], value["score"], value["active_seconds"]) == ("NaN", "-Infinity", None)


def test_parquet_has_typed_columns() -> None:
    """Parquet has every field with its type, times to the nanosecond, and as many rows as were given."""
    out = io.BytesIO()
    row = row_of(
        event_time=1_794_000_000_000_000_007,
        rationale_code=["a", "b"],
        attributes={"k": "v"},
        content={"input": "x", "output": "y"},
        content_from={"input": "o#1"},
        confidence=0.5,
        seq=2**64 - 1,
    )
    assert write_parquet([[row, row_of()], [row]], out) == 3
    table = pq.read_table(io.BytesIO(out.getvalue()))
    assert tuple(table.column_names) == FIELDS
    assert table["event_time"].cast("int64").to_pylist() == [1_794_000_000_000_000_007, 0, 1_794_000_000_000_000_007]
    assert str(table.schema.field("event_time").type) == "timestamp[ns, tz=UTC]"
    assert table["content"].to_pylist() == [[("input", "x"), ("output", "y")], [], [("input", "x"), ("output", "y")]]
    assert table["content_from"].to_pylist()[0] == [("input", "o#1")]
    assert table["rationale_code"].to_pylist()[:2] == [["a", "b"], []]
    assert table["confidence"].to_pylist() == [0.5, None, 0.5]
    assert table["seq"].to_pylist()[0] == 2**64 - 1


@pytest.mark.parametrize("kind", list(Format))
def test_a_file_comes_in_pieces(kind: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export asks for the next block only when the piece before it was taken, so memory does not grow with it."""
    monkeypatch.setattr("otel_audit.reports._parquet._GROUP_ROWS", 2)
    asked = 0

    def blocks() -> Any:
        nonlocal asked
        for _ in range(4):
            asked += 1
            yield [row_of(), row_of()]

    pieces = []
    for piece in chunks(kind, blocks()):
        pieces.append(piece)
        assert len(pieces) >= asked
    assert asked == 4
    assert all(pieces)


@pytest.mark.parametrize("kind", list(Format))
def test_an_empty_export_is_a_valid_file(kind: Format) -> None:
    """An export without entries is a valid file without rows."""
    data = b"".join(chunks(kind, []))
    if kind is Format.CSV:
        assert data.decode() == ",".join(CSV_COLUMNS) + "\r\n"
    elif kind is Format.JSONL:
        assert data == b""
    else:
        assert pq.read_table(io.BytesIO(data)).num_rows == 0


def test_chosen_columns_are_exactly_those_of_the_file() -> None:
    """Every format has the chosen columns alone, in their order, texts and maps among them; what is absent is empty."""
    names = ("seq", "output", "content_commitments", "task_id")
    rows = [row_of(seq=3, task_id="t", content={"output": "hi"}, content_commitments={"output": "ab"}), row_of(seq=4)]
    table = list(csv.reader(io.StringIO(b"".join(chunks(Format.CSV, [rows], names)).decode(), newline="")))
    assert table == [list(names), ["3", "hi", '{"output": "ab"}', "t"], ["4", "", "", ""]]
    lines = [json.loads(line) for line in b"".join(chunks(Format.JSONL, [rows], names)).splitlines()]
    assert [list(line) for line in lines] == [list(names)] * 2
    assert [line["output"] for line in lines] == ["hi", None]
    parquet = pq.read_table(io.BytesIO(b"".join(chunks(Format.PARQUET, [rows], names))))
    assert tuple(parquet.column_names) == names
    assert parquet["output"].to_pylist() == ["hi", None]


def test_every_column_can_be_chosen() -> None:
    """Each name of the vocabulary is a column of each format, and none is called unknown."""
    assert parse_columns(",".join(COLUMNS)) == COLUMNS
    for kind in Format:
        assert b"".join(chunks(kind, [[row_of()]], COLUMNS))


def test_an_unknown_column_is_refused() -> None:
    """A name that is no column is refused and named, with those there are."""
    with pytest.raises(ConfigError, match=r"unknown column 'desicion'; possible: recorded_at, .*decision"):
        parse_columns("task_id, desicion")


def test_only_what_the_columns_need_is_read() -> None:
    """Texts and the wide payload are read for the columns that have them, and for no others."""
    assert needs_texts()
    assert needs_texts(("seq", "input"))
    assert not needs_texts(("seq", "decision"))
    assert needs_payload(Format.JSONL)
    assert not needs_payload(Format.CSV)
    assert needs_payload(Format.CSV, ("seq", "attributes"))
    assert not needs_payload(Format.JSONL, ("seq", "input"))


def test_a_manifest_counts_what_was_really_written() -> None:
    """The zip has the file and its manifest, made after it: the number of entries, bytes, and the file's SHA-256."""
    counted = Counted([[row_of(), row_of()], [row_of()]])
    pieces = packed(
        "a.csv", chunks(Format.CSV, counted), lambda: {"entries": counted.entries, "purpose": "zuverlässig"}
    )
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        file, manifest = archive.read("a.csv"), json.loads(archive.read("manifest.json"))
    assert file == b"".join(chunks(Format.CSV, [[row_of()] * 3]))
    assert manifest == {"file": "a.csv", "bytes": len(file), "sha256": sha256(file).hexdigest(), "entries": 3,
                        "purpose": "zuverlässig"}  # fmt: skip


def test_a_zip_that_was_cut_off_does_not_open() -> None:
    """When reading fails on the way, what was sent is no zip: nobody takes half an export for a whole one."""

    def failing() -> Iterator[bytes]:
        yield b"first"
        raise OSError("the store went away")

    sent: list[bytes] = []
    with pytest.raises(OSError, match="went away"):
        sent.extend(packed("a.csv", failing(), dict))
    assert sent
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(sent)))
