"""``otel-audit demo``."""

from __future__ import annotations

import signal
import threading

import click

from otel_audit.demo.sending import require_reachable
from otel_audit.errors import ConfigError

_DEFAULT_TASKS = 1000


@click.command(epilog="\b\nExamples: otel-audit demo\n          otel-audit demo --days 30 --tasks 5000")
@click.option(
    "--endpoint",
    default="http://localhost:4317",
    show_default=True,
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    help="OTLP/gRPC endpoint to send to: a running `otel-audit up`, or any collector.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Send this many days of history, then end.")
@click.option("--tasks", type=click.IntRange(1), help=f"Tasks in the history.  [default: {_DEFAULT_TASKS}]")
@click.option("--seed", type=int, help="Same seed, same cases.  [default: 7 for a history, none live]")
@click.option(
    "--tasks-per-minute",
    type=click.FloatRange(0.1, 600),
    default=12.0,
    show_default=True,
    help="How often live customers come.",
)
def demo(*, endpoint: str, days: int | None, tasks: int | None, seed: int | None, tasks_per_minute: float) -> None:
    """A small example system to look at: live traffic until Ctrl-C, or days of history.

    Three services (gateway, scoring with a real OpenAI client and a fake provider, review desk) and seven
    simulated reviewers send OTLP like any application. All persons are made up.

    Exit code 0: everything was sent. 2: it was not.
    """
    if days is None and tasks is not None:
        raise click.UsageError("--tasks says how many tasks a history has: give --days too")
    require_reachable(endpoint)
    if days is None:
        _live(endpoint, seed, tasks_per_minute)
    else:
        _history(endpoint, days, tasks or _DEFAULT_TASKS, 7 if seed is None else seed)


def _live(endpoint: str, seed: int | None, tasks_per_minute: float) -> None:
    try:
        from otel_audit.demo.live import run_live  # noqa: PLC0415 - needs the demo extra, which a history does not
    except ModuleNotFoundError as exc:
        raise ConfigError(f"the live demo needs {exc.name}: pip install 'otel-audit[demo]'") from exc
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"Sending to {endpoint}: a few cases at once, then about {tasks_per_minute:g} a minute. Ctrl-C ends it.")
    done = run_live(endpoint, tasks_per_minute=tasks_per_minute, stop=stop, seed=seed)
    click.echo(f"Ended. {done} cases came in; reviews that were still open are recorded as abandoned.")


def _history(endpoint: str, days: int, tasks: int, seed: int) -> None:
    try:
        from otel_audit.demo.history import backfill  # noqa: PLC0415 - half a second that --help does not need
    except ModuleNotFoundError as exc:
        raise ConfigError(f"the demo needs {exc.name}: pip install 'otel-audit[demo]'") from exc
    click.echo(f"Sending {days} days of history with {tasks:,} tasks to {endpoint} (seed {seed}).")
    with click.progressbar(length=tasks, label="Tasks", show_pos=True) as bar:
        done = backfill(endpoint, days=days, tasks=tasks, seed=seed, progress=bar.update)
    click.echo(f"Done: {done.delivery.acknowledged:,} spans sent, every one acknowledged.")
