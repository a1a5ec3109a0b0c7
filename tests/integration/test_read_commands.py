from __future__ import annotations

import csv
import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from otel_audit import cli
from otel_audit.model import Filter
from otel_audit.reports import options
from otel_audit.store.database import Database, Role, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.migrate import migrate
from otel_audit.store.reader import Reader
from tests.integration.ledger_rows import LedgerRows

Run = Callable[..., tuple[int, str, str]]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def _story() -> LedgerRows:
    ledger = LedgerRows()
    ledger.add(
        "span", at=0, ends=20, task_id="loan-1", service="gateway", name="POST /loans", trace_id=TRACE, span_id="a"
    )
    ledger.add(
        "ai_call", at=1, ends=8, duration_ms=7000.0, task_id="loan-1", service="scoring", environment="production",
        request_model="gpt-4o", response_model="gpt-4o-mini", trace_id=TRACE, span_id="b", parent_span_id="a",
        content={"input": "=cmd()|payslip", "output": "approve"},
    )  # fmt: skip
    ledger.add(
        "review", at=600, ends=651, task_id="loan-1", reviewer_id="u_102", decision="modified", active_seconds=51.0,
        rationale_code=["policy.income_missing"], content={"rationale": "payslip is 4 months old"},
    )  # fmt: skip
    ledger.add("resolution", at=700, task_id="loan-1", reviewer_id="u_7", resolution="approved")
    ledger.add("review", at=90_000, task_id="loan-2", reviewer_id="u_7", decision="approved")
    return ledger


@pytest.fixture
def run(
    database: Database, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Run]:
    """Run a command on the test's database: (exit code, stdout, stderr). Opening a folder is tested below."""
    monkeypatch.setattr(options, "open_for_reading", lambda _data, _url: database.reader())
    thresholds = gc.get_threshold()

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["otel-audit", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return int(left.value.code or 0), out.decode(), err.decode()

    yield run_command
    gc.set_threshold(*thresholds)


def test_search_shows_the_newest_and_says_how_many_there_are(database: Database, run: Run) -> None:
    """A search is newest first, and never hides that there is more."""
    _story().write(database)
    code, out, _ = run("search", "--limit", "2")
    lines = out.splitlines()
    assert code == 0
    assert "loan-2" in lines[1]
    assert "u_7 approved the AI draft" in lines[1]
    assert "resolved the task" in lines[2]
    assert lines[-1].startswith("2 of 5 shown, 2 tasks, 2026-11-06 21:20:00 UTC to 2026-11-07 22:20:00 UTC.")
    code, out, _ = run("search", "--task", "loan-1", "--event-type", "review", "--event-type", "resolution")
    assert out.splitlines()[-1].startswith("2 entries, 1 task,")


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        (["--task", "loan-2"], [4]),
        (["--reviewer", "u_102"], [2]),
        (["--event-type", "ai_call", "--event-type", "span"], [1, 0]),
        (["--decision", "modified"], [2]),
        (["--model", "gpt-4o-mini"], [1]),
        (["--model", "gpt-4o"], [1]),
        (["--service", "scoring", "--environment", "production"], [1]),
        (["--since", "2026-11-07"], [4]),
        (["--until", "2026-11-06"], [3, 2, 1, 0]),
        (["--since", "2026-11-06T21:20:01Z", "--until", "2026-11-06T21:30:00Z"], [1]),
        (["--text", "PAYSLIP"], [2, 1]),
        (["--text", '"4 months"', "--reviewer", "u_102"], [2]),
        (["--trace", TRACE.upper()], [1, 0]),
    ],
)
def test_search_and_export_take_the_same_filters(
    database: Database, run: Run, arguments: list[str], seqs: list[int]
) -> None:
    """Each filter finds the same entries in a search and in an export."""
    _story().write(database)
    code, out, _ = run("search", "--json", *arguments)
    found = json.loads(out)
    assert (code, found["events"], [entry["seq"] for entry in found["entries"]]) == (0, len(seqs), seqs)
    code, out, _ = run("export", "--format", "jsonl", "--out", "-", *arguments)
    assert (code, [json.loads(line)["seq"] for line in out.splitlines()]) == (0, sorted(seqs))


def test_search_without_a_match_says_what_to_try(database: Database, run: Run) -> None:
    """Nothing found is no failure, and comes with what to try; an empty ledger says so."""
    code, out, _ = run("search")
    assert (code, "The ledger is empty" in out) == (0, True)
    _story().write(database)
    code, out, _ = run("search", "--text", "zebra", "--since", "2026-11-01")
    assert (code, "Nothing matches. Try a longer period or fewer words" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--since", "soon"], "'soon' is no time"),
        (["search", "--since", "2026-11-07", "--until", "2026-11-01"], "nothing can match"),
        (["search", "--limit", "0"], "0 is not in the range"),
        (["timeline", "loan-3"], "Similar ones: loan-1, loan-2"),
        (["timeline", 'x"y'], "no task"),
        (["trace", "abc"], "32 hex digits"),
        (["export", "--format", "xml", "--out", "-"], "'xml' is not one of"),
        (["export", "--format", "csv"], "--out"),
        (["export", "--format", "jsonl", "--out", "-", "--bom"], "--bom is for"),
        (
            ["export", "--format", "csv", "--out", "-", "--columns", "task"],
            "unknown column 'task'; possible: recorded_at",
        ),
        (["export", "--format", "csv", "--out", "/nowhere/at/all.csv"], "/nowhere/at/all.csv"),
    ],
)
def test_what_can_not_be_done_exits_2_and_says_why(
    database: Database, run: Run, arguments: list[str], said: str
) -> None:
    """A request that can not be met exits 2 with a message that says what to do, and prints nothing else."""
    _story().write(database)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_timeline_tells_the_story(database: Database, run: Run) -> None:
    """A timeline has one sentence, exact times, reasons, and the gaps."""
    _story().write(database)
    code, out, _ = run("timeline", "loan-1")
    assert code == 0
    assert "gpt-4o-mini answered, u_102 changed the AI draft after 51 s, and u_7 resolved it as approved." in out
    assert "2026-11-06T21:30:51.000000000Z  u_102 changed the AI draft" in out
    assert "because policy.income_missing" in out
    assert "9 min 52 s without an event" in out
    assert "“payslip is 4 months old”" in out
    code, out, _ = run("timeline", "loan-1", "--json")
    rows = json.loads(out)
    assert [row["event_type"] for row in rows] == ["span", "ai_call", "review", "resolution"]
    assert rows[2]["content"] == {"rationale": "payslip is 4 months old"}


def test_trace_shows_the_tree(database: Database, run: Run) -> None:
    """A trace shows each service's part below what called it."""
    _story().write(database)
    code, out, _ = run("trace", TRACE)
    assert code == 0
    assert "2 entries from gateway, scoring; 20 s, no errors." in out
    assert "  gateway: POST /loans\n" in out
    assert "    scoring: gpt-4o-mini answered (7 s)\n" in out
    assert [row["seq"] for row in json.loads(run("trace", TRACE, "--json")[1])] == [0, 1]


def test_an_export_file_is_whole_or_not_there(
    database: Database, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file gets its name when it is whole; after a failure the old one stays and nothing else is left."""
    _story().write(database)
    target = tmp_path / "out.csv"
    target.write_text("old")

    def broken(reader: Reader, where: Filter, **settings: object) -> Iterator[list[dict[str, object]]]:
        yield from blocks(reader, where, **settings)
        assert target.read_text() == "old"
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        blocks = Reader.stream
        patch.setattr(Reader, "stream", broken)
        code, _, err = run("export", "--format", "csv", "--out", str(target))
    assert (code, "No space left" in err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert target.read_text() == "old"
    code, out, err = run("export", "--format", "csv", "--out", str(target))
    unrecorded = "That this export was taken is not in the ledger: no receiver is running on it here\n"
    assert (code, out, err) == (0, "", f"{unrecorded}5 entries written to {target}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_exports_agree_with_one_another(database: Database, run: Run, tmp_path: Path) -> None:
    """CSV, JSON Lines and Parquet hold the same entries with the same hashes and texts."""
    ledger = _story()
    ledger.write(database)
    files = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "jsonl", "parquet")}
    for kind, path in files.items():
        assert run("export", "--format", kind, "--out", str(path))[0] == 0
    cells = list(csv.DictReader(io.StringIO(files["csv"].read_text(encoding="utf-8"), newline="")))
    lines = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    table = pq.read_table(files["parquet"]).to_pylist()
    hashes = [entry_hash.hex() for entry_hash in ledger.hashes]
    assert (
        [cell["hash"] for cell in cells] == [line["hash"] for line in lines] == [row["hash"] for row in table] == hashes
    )
    assert cells[1]["input"] == "'=cmd()|payslip"
    assert lines[1]["content"]["input"] == dict(table[1]["content"])["input"] == "=cmd()|payslip"
    assert cells[2]["end_time"] == lines[2]["end_time"]
    without = run("export", "--format", "jsonl", "--out", "-", "--no-content", "--limit", "2")[1].splitlines()
    assert [json.loads(line)["content"] for line in without] == [{}, {}]
    chosen = run("export", "--format", "csv", "--out", "-", "--columns", "seq,input,attributes", "--limit", "2")[1]
    header, _, second = csv.reader(io.StringIO(chosen, newline=""))
    assert header == ["seq", "input", "attributes"]
    assert second[:2] == ["1", "'=cmd()|payslip"]


def test_an_export_to_a_device_does_not_replace_it(database: Database, run: Run, tmp_path: Path) -> None:
    """A pipe named as --out is written to, not replaced by a file."""
    _story().write(database)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("export", "--format", "csv", "--out", str(pipe), "--task", "loan-2")[0] == 0
        assert b"loan-2" in os.read(reader, 1 << 16)
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_commands_read_a_data_folder(data_folder: DataFolder, tmp_path: Path) -> None:
    """The installed command reads a data folder named by --data or by the environment, and a pipe may close early."""
    data_folder.create()
    with open_embedded(data_folder, Role.ADMIN) as database:
        migrate(database)
        _story().write(database)
    command = [sys.executable, "-m", "otel_audit"]
    env = {**os.environ, "OTEL_AUDIT_DATA": str(data_folder.path)}
    done = subprocess.run([*command, "search", "--json"], env=env, capture_output=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout)["events"] == 5
    out = tmp_path / "all.jsonl"
    subprocess.run(
        [*command, "export", "--data", str(data_folder.path), "--format", "jsonl", "--out", str(out)],
        env={**env, "OTEL_AUDIT_DATA": "/nowhere"},
        check=True,
        cwd=tmp_path,
    )
    assert len(out.read_text().splitlines()) == 5
    unread = subprocess.Popen(
        [*command, "export", "--format", "csv", "--out", "-"],
        env=env,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert unread.stdout is not None
    assert unread.stderr is not None
    unread.stdout.close()
    assert unread.stderr.read().count(b"\n") == 1  # that nobody recorded it, and no error of the pipe
    assert unread.wait(60) == 0
