"""What a trail has received, service by service: what is lacking, and how to mend it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from otel_audit.doctor.findings import Finding, Name, Part, listed, note, ok, problem
from otel_audit.doctor.verdict import content_switches
from otel_audit.model import Filter
from otel_audit.store.reader import Reader

_SERVICES: Final = 50
_SECOND: Final = 1_000_000_000
_LATE_NANO: Final = 60 * _SECOND
_P: Final = Part.TRAIL
_MISSING: Final = (
    ("without_model", "the model that answered"),
    ("without_response_id", "a response id"),
    ("without_usage", "token counts"),
)
_TEXTS: Final = (("without_input", "the prompt"), ("without_output", "the answer"))
_TRIAL: Final = "With the Python and the variables of that service: $ python -m otel_audit.doctor"


def examine(
    reader: Reader, since_unix_nano: int, *, store: str, clock: Callable[[], int] = time.time_ns
) -> Iterator[Finding]:
    """Findings on everything that was recorded since then.

    ``store`` are the options that name this store in a command; ``clock`` gives nanoseconds since 1970.
    """
    services = reader.service_health(since_unix_nano, _SERVICES)
    if not services:
        yield from _empty(reader, since_unix_nano, clock())
        return
    for row in services:
        yield from _of_service(row, store)
    if services[0]["all_services"] > len(services):
        yield note(
            _P,
            Name.NOT_TRIED,
            f"{services[0]['all_services'] - len(services)} services with fewer AI calls were not looked at",
            "",
            "A shorter period shows others: --since 1d",
        )
    if silent := [_named(row) for row in services if not row["calls"]]:
        yield note(
            _P,
            Name.TRAIL_NO_CALLS,
            f"{listed(silent)}: records, and no AI call among them",
            "Right for a service that calls no model.",
            f"Otherwise, {_TRIAL[0].lower()}{_TRIAL[1:]}",
        )
    yield from _whole(reader, since_unix_nano, store)


def _empty(reader: Reader, since_unix_nano: int, now: int) -> Iterator[Finding]:
    before = reader.count(Filter()).events
    hours = (now - since_unix_nano) / _SECOND / 3600
    yield problem(
        _P,
        Name.TRAIL_EMPTY,
        f"no application's record arrived in the last {hours:,.0f} hours"
        + (f" ({before:,} entries in all, the trail's own included)" if before else ""),
        "Either nothing ran, or nothing reaches this receiver.",
        "In the application's environment: $ python -m otel_audit.doctor",
    )


def _named(row: dict[str, Any]) -> str:
    return row["service"] or "(a service without a name)"


def _of_service(row: dict[str, Any], store: str) -> Iterator[Finding]:
    service, calls = _named(row), row["calls"]
    policies = listed(sorted(filter(None, row["policies"])))
    counted = f"{calls:,} AI call{'' if calls == 1 else 's'}"
    found = [*_calls(service, row), *_circumstances(service, row, store)]
    if calls and not found:
        yield ok(_P, f"{service}: {counted}, complete (capture policy {policies})")
    yield from found


def _calls(service: str, row: dict[str, Any]) -> Iterator[Finding]:
    calls, scopes = row["calls"], listed(sorted(row["scopes"]))
    if not calls:
        return
    counted = f"{service}: {calls:,} AI call{'' if calls == 1 else 's'}, of which"
    texts = [f"{row[column]:,} without {what}" for column, what in _TEXTS if row[column]]
    if texts:
        yield problem(
            _P,
            Name.TRAIL_CONTENT_MISSING,
            f"{counted} {listed(texts)}",
            f"They came from {scopes}. The trail shows that there was a call, not what was said.",
            *(f"In that service: {step}" for step in content_switches(sorted(row["scopes"]))),
            _TRIAL,
        )
    fields = [f"{row[column]:,} without {what}" for column, what in _MISSING if row[column]]
    if fields:
        yield note(
            _P,
            Name.TRAIL_FIELDS_MISSING,
            f"{counted} {listed(fields)}",
            f"They came from {scopes}. A streamed call often has no token counts unless it asks for them.",
            _TRIAL,
        )
    if row["without_task"]:
        yield note(
            _P,
            Name.TRAIL_NO_TASKS,
            f"{counted} {row['without_task']:,} without a task",
            "Reviews and resolutions can not be found beside them.",
            'In the code around the call: with otel_audit.task("loan-4711"): ... (docs/how-to/instrument.md)',
            "If a service that calls this one begins the task, both need the propagator: "
            "$ export OTEL_PROPAGATORS=tracecontext,baggage",
        )
    if row["repeats"]:
        yield note(
            _P,
            Name.TRAIL_DUPLICATES,
            f"{service}: {row['repeats']:,} AI calls were reported again, by {listed(sorted(row['repeat_scopes']))}",
            f"Each is linked and counted once (the other report is by {scopes}), and takes space twice.",
            "If both instrument the same client, uninstall one of them.",
        )


def _circumstances(service: str, row: dict[str, Any], store: str) -> Iterator[Finding]:
    if row["losses"]:
        yield problem(
            _P,
            Name.TRAIL_LOSSES,
            f"{service}: {row['losses']:,} records were lost ({', '.join(sorted(row['loss_reasons']))})",
            "The application, or the receiver, recorded that they are missing.",
            f"To see each: $ otel-audit search {store} --event-type loss --service {shlex.quote(row['service'])}",
        )
    if row["from_the_future"] or row["clock_remarks"]:
        ahead = -row["least_lag_nano"] / _SECOND
        yield problem(
            _P,
            Name.TRAIL_CLOCK,
            f"{service}: {max(row['from_the_future'], row['clock_remarks']):,} records have a time that can not be"
            + (f", up to {ahead:,.0f} seconds after they were received" if ahead > 0 else ""),
            "The clock of a host that runs it is wrong, or the receiver's is.",
            "On both hosts: $ timedatectl set-ntp true",
        )
    elif row["least_lag_nano"] > _LATE_NANO:
        yield note(
            _P,
            Name.TRAIL_CLOCK,
            f"{service}: every record came {row['least_lag_nano'] / _SECOND:,.0f} seconds or more after it happened",
            "Its clock is behind, or its records waited in a spool or a queue.",
            f"{_TRIAL}",
        )
    if full := sorted(each for each in row["policies"] if each.startswith("full/")):
        yield note(
            _P,
            Name.TRAIL_POLICY_FULL,
            f"{service}: texts are kept in full (capture policy {listed(full)})",
            "Personal data in them is not masked.",
            "In that service and for the receiver: $ export OTEL_AUDIT_CAPTURE_POLICY=redacted",
        )


def _whole(reader: Reader, since_unix_nano: int, store: str) -> Iterator[Finding]:
    if strange := reader.unrecognised(10):
        scopes = listed([f"{scope or '(none)'} ({count:,})" for scope, count in strange.items()])
        yield note(
            _P,
            Name.TRAIL_NOT_RECOGNISED,
            f"{sum(strange.values()):,} records look like AI and follow no convention that is known: {scopes}",
            "They are kept whole, without model, usage and texts in columns.",
            "Upgrade otel-audit, or tell us about the instrumentation.",
        )
    if lost := reader.receiver_losses(since_unix_nano):
        yield problem(
            _P,
            Name.TRAIL_LOSSES,
            f"the receiver refused or lost records: {listed([f'{reason} ({n:,})' for reason, n in lost.items()])}",
            "What was refused is in no entry but these.",
            f"$ otel-audit search {store} --event-type loss",
        )
