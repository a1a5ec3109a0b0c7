"""``otel-audit verify``."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from otel_audit.errors import ConfigError
from otel_audit.ledger.findings import Code
from otel_audit.ledger.times import NANOS, TimeRules
from otel_audit.reports._row_hashes import usable_cores
from otel_audit.reports.bundle.check import format_bundle_report, verify_bundle
from otel_audit.reports.evidence_sources import read_evidence
from otel_audit.reports.verification import LedgerReport, Progress, Report, format_report, verify_database
from otel_audit.reports.verifier_state import Verified, VerifierState, default_state_path
from otel_audit.reports.watch import watch_ledgers
from otel_audit.store.database import open_for_reading
from otel_audit.store.folder import DataFolder

_EXIT_CODES: Final = {"ok": 0, "tampered": 1, "unverifiable": 1}
_BAR_STEPS: Final = 1000
_MOST_JOBS: Final = 12  # a running receiver answers 16 queries at once, and a verification has a few beside these


@click.command(
    epilog="\b\nExamples:\n  otel-audit verify --data audit-data\n  otel-audit verify loan-4711.zip --trust trust.json"
)
@click.argument("bundle", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="OTEL_AUDIT_DATA", help="Data folder.")
@click.option("--url", envvar="OTEL_AUDIT_URL", help="ClickHouse server, http(s)://user:password@host:port/database.")
@click.option(
    "--anchor-dir",
    "--anchors",
    "anchor_dirs",
    type=click.Path(file_okay=False, path_type=Path),
    multiple=True,
    envvar="OTEL_AUDIT_ANCHOR_DIR",
    help="Folder with anchored checkpoints; may be given more than once.  [default: DATA-anchors]",
)
@click.option(
    "--anchors-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="OTEL_AUDIT_ANCHORS_FROM",
    help="TOML file of [[anchors]] to fetch and check, too: S3 buckets, and timestamps that there must be.",
)
@click.option(
    "--no-anchors", is_flag=True, help="Do not compare with anchors. What was rewritten as a whole then passes."
)
@click.option(
    "--trust",
    "trust_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='File with the verifier keys to trust: {"verifier_keys": [...]} or one key a line.',
)
@click.option(
    "--checkpoint",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="File with a signed checkpoint that you kept: the ledger must continue it. Repeatable.",
)
@click.option(
    "--time-tolerance",
    type=click.FloatRange(0),
    default=3600.0,
    show_default=True,
    help="Seconds that recorded times may differ from those that anchors of third parties attest.",
)
@click.option(
    "--max-delay",
    type=click.FloatRange(0),
    help="Seconds that an event may take to arrive; one that is older is BACKDATED.  [default: any time]",
)
@click.option(
    "--max-age",
    type=click.FloatRange(0),
    help="Seconds since the newest anchored checkpoint; STALE if it is older.  [default: any time]",
)
@click.option("--from", "seq_from", type=click.IntRange(0), help="First entry to check.")
@click.option("--to", "seq_to", type=click.IntRange(0), help="Last entry to check.")
@click.option(
    "--without-texts",
    is_flag=True,
    help="DATA is a copy that has no texts beside it: exit with 0 if the rest is right.",
)
@click.option(
    "--fast", is_flag=True, help="Let the engine compute the hashes: a server sends no rows. Believes the engine."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, _MOST_JOBS),
    default=lambda: min(usable_cores(), _MOST_JOBS),
    help=f"Processes that compute hashes.  [default: one a core, at most {_MOST_JOBS}]",
)
@click.option("--incremental", is_flag=True, help="Read only what came after the last run that found nothing wrong.")
@click.option(
    "--state",
    "state_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that this verifier remembers in, signed with its own key.  [default: ~/.local/state/otel-audit/...]",
)
@click.option("--watch", is_flag=True, help="Verify again and again, a line a round; exit with 1 at the first alarm.")
@click.option("--every", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds between rounds.")
@click.option("--keep-going", is_flag=True, help="Let --watch go on after an alarm.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify(
    *,
    bundle: Path | None,
    data: Path | None,
    url: str | None,
    anchor_dirs: tuple[Path, ...],
    anchors_from: Path | None,
    no_anchors: bool,
    trust_file: Path | None,
    kept: tuple[Path, ...],
    time_tolerance: float,
    max_delay: float | None,
    max_age: float | None,
    seq_from: int | None,
    seq_to: int | None,
    without_texts: bool,
    fast: bool,
    jobs: int,
    incremental: bool,
    state_file: Path | None,
    watch: bool,
    every: float,
    keep_going: bool,
    as_json: bool,
) -> None:
    """Recompute everything and say whether anything was altered. Works while `up` runs.

    With BUNDLE, an evidence bundle is checked instead of a store; --trust then has to say which keys to believe.

    Exit code 0: nothing was. 1: something was, or nothing could be proved. 2: it could not be checked.
    """
    if bundle is not None:
        if kept:
            raise ConfigError("--checkpoint is compared with a store: give it as --data or --url, in place of a bundle")
        found = verify_bundle(bundle, trust_file)
        click.echo(json.dumps(found.to_json(), indent=2) if as_json else format_bundle_report(found), nl=as_json)
        raise click.exceptions.Exit(_EXIT_CODES[found.status])
    if (incremental or watch or state_file) and (seq_from is not None or seq_to is not None):
        raise ConfigError("--from and --to choose the range themselves: leave out --incremental, --watch and --state")
    folder = DataFolder(data) if data else None
    state = _state(state_file, folder, url) if state_file or incremental or watch else None

    def check(*, is_first: bool = True) -> Report:
        remembered, wrong = state.load() if state else ({}, [])
        trust, anchors = read_evidence(anchor_dirs, anchors_from, folder, trust_file, is_left_out=no_anchors, kept=kept)
        hidden = as_json or watch or not sys.stderr.isatty()
        with open_for_reading(data, url, needs_texts=False) as database, _progress(hidden=hidden) as progress:
            report = verify_database(
                database,
                trust=trust,
                anchors=anchors,
                expected=[folder.identity().origin] if folder else [],
                seq_from=seq_from,
                seq_to=seq_to,
                progress=progress,
                mode="engine" if fast else "recomputed",
                times=TimeRules(
                    round(time_tolerance * NANOS), _nanos(max_delay), _nanos(max_age), now_unix_nano=time.time_ns()
                ),
                remembered=remembered,
                incremental=incremental or not is_first,
                without_texts=without_texts,
                jobs=jobs,
            ).with_findings(wrong)
        # What the engine computed, or a part alone, is nothing to build on.
        is_whole = all(finding.code != Code.TEXTS_NOT_CHECKED for finding in report.findings)
        if state is not None and report.status == "ok" and is_whole and not fast:
            trees = {each.origin: each for each in report.ledgers if each.sealed_tree is not None}
            state.save({**remembered, **{origin: _remember(each) for origin, each in trees.items()}})
        return report

    if watch:
        watch_ledgers(check, every=every, is_kept_going=keep_going, tell=click.echo)
        raise click.exceptions.Exit(1)
    report = check()
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else format_report(report), nl=as_json)
    raise click.exceptions.Exit(_EXIT_CODES[report.status])


def _state(state_file: Path | None, folder: DataFolder | None, url: str | None) -> VerifierState:
    path = state_file or default_state_path(folder.identity().origin if folder else str(url))
    if folder is not None and path.resolve().is_relative_to(folder.path.resolve()):
        raise ConfigError(
            f"--state {path}: lies in the data folder, where whoever alters the ledger could alter it too"
        )
    return VerifierState(path)


def _remember(ledger: LedgerReport) -> Verified:
    assert ledger.sealed_tree is not None  # noqa: S101 - the caller chose those that have one
    anchored = ledger.size if ledger.unanchored_from is None else ledger.unanchored_from
    return Verified.of(ledger.origin, ledger.sealed_tree, anchored)


def _nanos(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * NANOS)


@contextlib.contextmanager
def _progress(*, hidden: bool) -> Iterator[Progress | None]:
    if hidden:
        yield None
        return
    with click.progressbar(length=_BAR_STEPS, label="Recomputing", file=sys.stderr) as bar:

        def tell(done: int, total: int) -> None:
            bar.update(done * _BAR_STEPS // max(total, 1) - bar.pos)

        yield tell
