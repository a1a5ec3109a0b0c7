"""``otel-audit receipt``: get the receipt of an audit record, and prove one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from otel_audit.conventions.audit_canonical import integrity_hash
from otel_audit.conventions.audit_json import audit_records
from otel_audit.errors import ConfigError, MalformedInput, VerificationError
from otel_audit.ledger.receipt import NotCovered, RecordReceipt, parse_receipt, verify_receipt, verify_record
from otel_audit.ledger.trust import Trust, parse_trust
from otel_audit.reports.options import store_options
from otel_audit.store.database import open_for_reading
from otel_audit.store.receipts import ReceiptReader, origins_of

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    epilog="\b\nExamples:\n  otel-audit receipt get 3c1d0a52-6f0e-4d5c-9a51-0b7c5f2d9e10 --data audit-data\n"
    "  otel-audit receipt verify receipt.json --trust trust.json"
)
def receipt() -> None:
    """Get the receipt of an audit record, and prove one without whoever gave it."""


@receipt.command(
    epilog="\b\nExample: otel-audit receipt get 3c1d0a52-6f0e-4d5c-9a51-0b7c5f2d9e10 --data audit-data > receipt.json"
)
@click.argument("record_id", metavar="RECORD_ID")
@click.option("--origin", help="Ledger to look in, where a server has several that know the record.")
@store_options
def get(*, record_id: str, origin: str | None, data: Path | None, url: str | None) -> None:
    """Print the receipt of a record as JSON. Exit code 1: no such record is stored."""
    with open_for_reading(data, url) as database:
        origins = [found for found in origins_of(database, record_id) if origin in {None, found}]
        if len(origins) > 1:
            raise ConfigError(f"{len(origins)} ledgers have this record: name one with --origin, {', '.join(origins)}")
        receipts = []
        if origins:
            reader = ReceiptReader(database, origins[0])
            seq = reader.seq_of(record_id)
            receipts = [] if seq is None else reader.receipts([seq])
    if not receipts:
        click.echo("no audit record is stored under this id", err=True)
        raise click.exceptions.Exit(1)
    click.echo(json.dumps(receipts[0], indent=2))


@receipt.command(epilog="\b\nExample: otel-audit receipt verify receipt.json --trust trust.json --record record.json")
@click.argument("file", metavar="RECEIPT.json", type=_FILE)
@click.option(
    "--trust",
    "trust_file",
    required=True,
    type=_FILE,
    help='File with the verifier keys to trust: {"verifier_keys": [...]} or one key a line.',
)
@click.option("--record", "record_file", type=_FILE, help="The record in OTLP/JSON, alone or in its request.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def verify(*, file: Path, trust_file: Path, record_file: Path | None, as_json: bool) -> None:
    """Prove that a ledger has a record's entry, from the receipt alone. Reads no store and asks nobody.

    Exit code 0: proved. 1: something does not fit, or no checkpoint covers the entry yet. 2: it could not be checked.
    """
    try:
        held = parse_receipt(_json(file), str(file))
    except MalformedInput as exc:
        raise ConfigError(str(exc)) from exc
    found = [_inclusion(held, parse_trust(_read(trust_file), str(trust_file)))]
    if record_file is not None:
        found.append(_record(held, record_file))
    status = next((each["result"] for each in found if each["result"] != "ok"), "ok")
    if as_json:
        report = {"status": status, "record_id": held.record_id, "origin": held.origin, "seq": held.seq}
        click.echo(json.dumps({**report, "checks": found}, indent=2))
    else:
        for each in found:
            click.echo(f"{each['check']}: {each['result']}. {each['detail']}")
    raise click.exceptions.Exit(0 if status == "ok" else 1)


def _inclusion(held: RecordReceipt, trust: Trust) -> dict[str, str]:
    try:
        checkpoint = verify_receipt(held, trust)
    except NotCovered as exc:
        return _check("inclusion", "not proved", str(exc))
    except VerificationError as exc:
        return _check("inclusion", "failed", str(exc))
    return _check(
        "inclusion", "ok", f"entry {held.seq} is in the signed checkpoint of {checkpoint.size} entries of {held.origin}"
    )


def _record(held: RecordReceipt, path: Path) -> dict[str, str]:
    try:
        records = audit_records(_json(path), str(path))
    except MalformedInput as exc:
        raise ConfigError(str(exc)) from exc
    # A record of another id is compared, too: then the answer says that it is another.
    record_id = held.record_id if held.record_id in records else next(iter(records), "")
    try:
        which = verify_record(held, record_id, integrity_hash(records.get(record_id, b"")))
    except VerificationError as exc:
        return _check("record", "failed", str(exc))
    told = (
        "as it is stored" if which == "integrity_hash" else "as it was sent: the capture policy masked the stored one"
    )
    return _check("record", "ok", f"the record has the receipt's {which}, {told}")


def _check(check: str, result: str, detail: str) -> dict[str, str]:
    return {"check": check, "result": result, "detail": detail}


def _json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{path}: is no JSON") from exc


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: can not be read: {type(exc).__name__}") from exc
