"""The commands that read: ``otel-audit search``, ``timeline``, ``trace`` and ``export``."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from otel_audit.errors import ConfigError
from otel_audit.model import Filter
from otel_audit.reports import _tables
from otel_audit.reports.export import (
    Format,
    json_ready,
    needs_payload,
    needs_texts,
    parse_columns,
    write_csv,
    write_jsonl,
    write_parquet,
)
from otel_audit.reports.options import filter_from, filter_options, open_reader, store_options
from otel_audit.store.reader import SUMMARY_COLUMNS

_PARTIAL_SUFFIX: Final = ".partial"
# An export makes millions of rows that die young: looking for garbage less often makes it 1.4 times as fast.
_GC_THRESHOLD: Final = 50_000


@click.command(
    epilog="\b\nExamples:\n  otel-audit search --data audit-data --text payslip --since 7d\n"
    "  otel-audit search --task loan-4711"
)
@filter_options
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Newest entries to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@store_options
def search(*, data: Path | None, url: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """Find entries, newest first."""
    where = filter_from(filters)
    with open_reader(data, url) as reader:
        totals = reader.count(where)
        rows = reader.page(where, per_page=limit)
    if as_json:
        found = [json_ready(row, SUMMARY_COLUMNS) for row in rows]
        _print_json({"events": totals.events, "tasks": totals.tasks, "shown": len(rows), "entries": found})
    elif not rows:
        click.echo(_nothing_found(where))
    else:
        _print_lines(_tables.entry_table(rows))
        _print_lines(["", _tables.shown_words(len(rows), totals)])


@click.command(epilog="\b\nExample:\n  otel-audit timeline loan-4711 --data audit-data")
@click.argument("task_id", metavar="TASK")
@click.option("--all", "everything", is_flag=True, help="Also technical spans and log records.")
@click.option("--texts", is_flag=True, help="Also the texts: prompts, answers, reasons, changes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: every field of every entry.")
@store_options
def timeline(*, task_id: str, data: Path | None, url: str | None, everything: bool, texts: bool, as_json: bool) -> None:
    """Tell the story of a task: who and what did what, when, why, and how long nothing happened."""
    with open_reader(data, url) as reader:
        rows = reader.task(task_id)
        near = [] if rows else reader.facet(Filter(text=_one_term(task_id)), "task_id", 5)
    if not rows:
        known = f" Similar ones: {', '.join(name for name, _ in near)}." if near else ""
        raise ConfigError(f"no task {task_id!r} is recorded.{known} `otel-audit search --text WORDS` finds tasks.")
    if as_json:
        _print_json([json_ready(row) for row in rows])
    else:
        _print_lines(_tables.timeline_lines(task_id, rows, everything=everything, texts=texts))


@click.command(epilog="\b\nExample:\n  otel-audit trace 4bf92f3577b34da6a3ce929d0e0e4736 --data audit-data")
@click.argument("trace_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: every field of every entry.")
@store_options
def trace(*, trace_id: str, data: Path | None, url: str | None, as_json: bool) -> None:
    """Show a trace across services as a tree, with durations and errors."""
    with open_reader(data, url) as reader:
        rows = reader.trace(trace_id.lower())
    if not rows:
        raise ConfigError(
            f"no trace {trace_id!r} is recorded. A trace id has 32 hex digits; "
            "`otel-audit timeline TASK` names those of a task."
        )
    if as_json:
        _print_json([json_ready(row) for row in rows])
    else:
        _print_lines(_tables.trace_lines(trace_id.lower(), rows))


@click.command(
    epilog="\b\nExample:\n  otel-audit export --data audit-data --format csv --out reviews.csv "
    "--event-type review --since 2026-11-01"
)
@click.option(
    "--format", "kind", type=click.Choice([each.value for each in Format]), required=True, help="File format."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="File; - is standard output.",
)
@filter_options
@click.option("--limit", type=click.IntRange(1), help="At most so many, the oldest.  [default: all]")
@click.option("--columns", default="", metavar="NAMES", help="Only these columns, in this order: task_id,decision,...")
@click.option("--no-content", is_flag=True, help="Without the texts.")
@click.option("--bom", is_flag=True, help="Begin a CSV with a byte order mark, for spreadsheets that guess encodings.")
@store_options
def export(
    *,
    data: Path | None,
    url: str | None,
    kind: Format,
    out: Path,
    limit: int | None,
    columns: str,
    no_content: bool,
    bom: bool,
    **filters: Any,
) -> None:
    """Write every matching entry to a file, in the order of the ledger.

    The file has its name only once it is whole. Cells of a CSV that a spreadsheet would take for a
    formula begin with an apostrophe.
    """
    if bom and kind != Format.CSV:
        raise ConfigError("--bom is for --format csv")
    where, names = filter_from(filters), parse_columns(columns)
    gc.set_threshold(_GC_THRESHOLD)
    with open_reader(data, url) as reader, whole_file(out) as file:
        with_content = needs_texts(names) and not no_content
        payload = needs_payload(Format(kind), names)
        blocks = reader.stream(where, with_content=with_content, limit=limit, payload=payload)
        match Format(kind):
            case Format.CSV:
                entries = write_csv(blocks, file, names, bom=bom)
            case Format.JSONL:
                entries = write_jsonl(blocks, file, names)
            case Format.PARQUET:
                entries = write_parquet(blocks, file, names)
    if not _is_stdout(out):
        click.echo(f"{entries:,} entries written to {out}", err=True)


@contextlib.contextmanager
def whole_file(out: Path) -> Iterator[BinaryIO]:
    """The file to write to. It gets its name when it is whole: before, it is a hidden file beside it."""
    if _is_stdout(out):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(os.path.realpath(out))
    try:
        if target.exists() and not target.is_file():  # a pipe or a device: written to, never replaced
            with target.open("wb") as file:
                yield file
            return
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_PARTIAL_SUFFIX, dir=target.parent)
        partial = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as exc:
        raise ConfigError(f"--out {out}: {exc.strerror or exc}. Nothing was written under this name") from exc


def _is_stdout(out: Path) -> bool:
    return str(out) == "-"


def _print_lines(lines: Sequence[str]) -> None:
    click.echo("\n".join(map(_tables.printable, lines)))


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def _one_term(text: str) -> str:
    """``text`` as one phrase of a text filter: the longest part that may be a prefix of a task id."""
    return f'"{text.replace(chr(34), " ")[: max(3, len(text) * 2 // 3)]}"'


def _nothing_found(where: Filter) -> str:
    if where == Filter():
        return "The ledger is empty. Send it something: `otel-audit up --demo` shows how."
    tips = []
    if where.since is not None or where.until is not None:
        tips.append("a longer period")
    if where.text:
        tips.append("fewer words, or the beginning of a word")
    tips.append("fewer filters")
    return f"Nothing matches. Try {' or '.join(tips)}."
