"""Options that the reading commands share: which store, and which entries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from otel_audit.errors import ConfigError
from otel_audit.model import Filter
from otel_audit.reports._times import parse_instant
from otel_audit.store.database import Database, open_for_reading
from otel_audit.store.reader import Reader

_Command = TypeVar("_Command", bound=Callable[..., Any])

_STORE: Final = (
    click.option(
        "--data", type=click.Path(file_okay=False, path_type=Path), envvar="OTEL_AUDIT_DATA", help="Data folder."
    ),
    click.option(
        "--url", envvar="OTEL_AUDIT_URL", help="ClickHouse server, http(s)://user:password@host:port/database."
    ),
)
_FILTERS: Final = (
    click.option("--task", "task_id", metavar="ID", default="", help="This task."),
    click.option("--reviewer", "reviewer_id", metavar="ID", multiple=True, help="This reviewer; may be repeated."),
    click.option(
        "--event-type", metavar="TYPE", multiple=True, help="ai_call, review, escalation ...; may be repeated."
    ),
    click.option(
        "--decision", metavar="WORD", multiple=True, help="approved, rejected, modified ...; may be repeated."
    ),
    click.option("--model", metavar="NAME", multiple=True, help="Model asked for or answering; may be repeated."),
    click.option("--service", metavar="NAME", multiple=True, help="Service that sent it; may be repeated."),
    click.option("--actor", "actor_id", metavar="ID", multiple=True, help="Who or what did it; may be repeated."),
    click.option(
        "--action", metavar="WORD", multiple=True, help="Access to the trail: VIEW, EXPORT ...; may be repeated."
    ),
    click.option("--status", metavar="WORD", multiple=True, help="Span status: ok, error or unset; may be repeated."),
    click.option("--producer", metavar="NAME", multiple=True, help="Telemetry SDK that sent it; may be repeated."),
    click.option("--rationale-code", metavar="CODE", multiple=True, help="Reason by its code; may be repeated."),
    click.option("--task-kind", metavar="WORD", multiple=True, help="Kind of task; may be repeated."),
    click.option("--prompt-version", metavar="NAME", multiple=True, help="Version of the prompt; may be repeated."),
    click.option("--confidence-from", type=click.FloatRange(0, 1), help="Confidence of at least this, 0 to 1."),
    click.option("--confidence-to", type=click.FloatRange(0, 1), help="Confidence of at most this, 0 to 1."),
    click.option("--environment", metavar="NAME", multiple=True, help="Such as production; may be repeated."),
    click.option(
        "--since", metavar="TIME", help="From then on: 2026-11-20, 2026-11-20T14:30:00Z or 7d (UTC unless stated)."
    ),
    click.option("--until", metavar="TIME", help="Before then; of a date, that whole day is included."),
    click.option(
        "--text", metavar="WORDS", default="", help='Every word must occur, in a text or an id. "A phrase" in quotes.'
    ),
    click.option("--trace", "trace_id", metavar="ID", default="", help="This trace (32 hex digits)."),
    click.option(
        "--request", "request_id", metavar="ID", default="", help="This request id, yours or the AI provider's."
    ),
    click.option("--response", "response_id", metavar="ID", default="", help="This response id of the AI provider."),
    click.option("--conversation", "conversation_id", metavar="ID", default="", help="This conversation."),
)


def store_options(command: _Command) -> _Command:
    """Add ``--data`` and ``--url``: parameters ``data`` and ``url`` for ``open_reader``."""
    return _add(_STORE, command)


def filter_options(command: _Command) -> _Command:
    """Add the filters: keyword parameters for ``filter_from``."""
    return _add(_FILTERS, command)


def filter_from(options: dict[str, Any]) -> Filter:
    """Make the filter that the options of ``filter_options`` ask for. Raises ConfigError for a bad time."""
    now = time.time_ns()
    since, until = options.pop("since"), options.pop("until")
    begin = None if since is None else parse_instant(since, now_unix_nano=now)
    end = None if until is None else parse_instant(until, now_unix_nano=now, whole_day=True)
    if begin is not None and end is not None and begin >= end:
        raise ConfigError(f"--since {since} is not before --until {until}: nothing can match")
    options["trace_id"] = options["trace_id"].lower()
    return Filter(**options, since=begin, until=end)


def chosen_store(data: Path | None, url: str | None) -> tuple[Path | None, str | None]:
    """``--data`` and ``--url`` without the one that was not meant.

    What was typed beats what the environment or the settings file says.
    """
    if data is not None and url is not None:
        context = click.get_current_context()
        typed = {name: context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ("data", "url")}
        if typed["data"] != typed["url"]:
            return (data, None) if typed["data"] else (None, url)
    return data, url


@contextmanager
def open_store(data: Path | None, url: str | None) -> Iterator[Database]:
    """Open the store that ``--data`` or ``--url`` names, as ``chosen_store`` says.

    Raises ConfigError when neither is there, StoreError when it can not be opened.
    """
    with open_for_reading(*chosen_store(data, url)) as database:
        yield database


@contextmanager
def open_reader(data: Path | None, url: str | None) -> Iterator[Reader]:
    """Open the store as ``open_store`` does, and read from it."""
    with open_store(data, url) as database:
        yield Reader(database)


def _add(options: tuple[Callable[[_Command], _Command], ...], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command
