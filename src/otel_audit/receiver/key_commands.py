"""``otel-audit keys``: the life of a ledger's signing key, and the trust file that verifiers get."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from otel_audit.anchors.settings import load_anchors
from otel_audit.errors import ConfigError
from otel_audit.ledger.findings import Findings
from otel_audit.ledger.keys import Rotation, follow_rotations
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.trust import Trust, format_trust, parse_trust
from otel_audit.model import EventType
from otel_audit.receiver.ledger_commands import ledger_options, operate
from otel_audit.store.database import open_for_reading
from otel_audit.store.evidence import EvidenceReader
from otel_audit.store.folder import DataFolder


@click.group(epilog="\b\nExample: otel-audit keys export --data audit-data > trust.json")
def keys() -> None:
    """Show, export and rotate the keys that sign checkpoints."""


@keys.command(epilog="\b\nExample: otel-audit keys show --data audit-data")
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def show(*, data: Path, url: str, anchor_dir: Path | None, anchors: Path | None, as_json: bool) -> None:
    """Show the ledger's keys, past and present, and which checkpoints each speaks for."""
    del anchor_dir, anchors
    folder = DataFolder(data)
    origin = folder.identity().origin
    current = folder.signer().verifier_key
    with open_for_reading(None if url else data, url or None) as database:
        rotations = [Rotation(*each) for each in EvidenceReader(database).statements(origin, EventType.KEY_ROTATION)]
    findings = Findings(origin)
    history = follow_rotations(_own(folder), rotations, (), findings)
    rows = [
        {
            "key": key.format(),
            "id": key.key_id.hex(),
            "signs": key == current,
            "from_size": window.first,
            "to_size": window.last,
        }
        for key, window in sorted(history.windows.items(), key=lambda item: item[1].first)
    ]
    if as_json:
        click.echo(json.dumps({"origin": origin, "keys": rows}, indent=2))
    for row in () if as_json else rows:
        until = "on" if row["to_size"] is None else f"to {row['to_size']:,}"
        state = "signs now" if row["signs"] else "retired"
        click.echo(f"{row['key']}\n    {state}; speaks for checkpoints of size {row['from_size']:,} {until}")
    for finding in findings.list():
        click.echo(f"otel-audit: entry {finding.seq}: {finding.code}: {finding.detail}", err=True)
    raise click.exceptions.Exit(1 if findings.altered() else 0)


@keys.command(epilog="\b\nExample: otel-audit keys export --data audit-data --tsa-root freetsa.pem > trust.json")
@ledger_options
@click.option(
    "--tsa-root",
    "tsa_roots",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="PEM file with the root certificate of a timestamp authority. Repeatable.",
)
@click.option(
    "--anchor",
    "required",
    multiple=True,
    help="An anchor that the ledger must have, such as kind=s3,bucket=my-anchors. Repeatable, beside --anchors.",
)
@click.option("--witness", "witnesses", multiple=True, help="Verifier key of a witness. Repeatable.")
@click.option("--witness-quorum", type=click.IntRange(0), default=0, help="How many witnesses must have cosigned.")
def export(
    *,
    data: Path,
    url: str,
    anchor_dir: Path | None,
    anchors: Path | None,
    tsa_roots: tuple[Path, ...],
    required: tuple[str, ...],
    witnesses: tuple[str, ...],
    witness_quorum: int,
) -> None:
    """Print a trust file: what a verifier needs to know, and should get by a way of its own.

    It holds no secret. Give it to auditors at the beginning, not together with what they check.
    """
    del url, anchor_dir
    folder = DataFolder(data)
    folder.identity()
    folder.signer()
    if witness_quorum > len(witnesses):
        raise ConfigError(f"--witness-quorum {witness_quorum}: there are {len(witnesses)} witnesses. Give --witness")
    trust = replace(
        _own(folder),
        tsa_roots=tuple(_certificate(path) for path in tsa_roots),
        anchors=(*(_table(text) for text in required), *_configured(anchors)),
        witnesses=witnesses,
        witness_quorum=witness_quorum,
    )
    click.echo(format_trust(trust), nl=False)


def _configured(path: Path | None) -> list[dict[str, Any]]:
    """The tables of a file of anchors, once it is known to be one. It holds no credentials."""
    if path is None:
        return []
    load_anchors(path)
    tables: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["anchors"]
    return tables


@keys.command(epilog="\b\nExample: otel-audit keys rotate --data audit-data")
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def rotate(*, as_json: bool, **ledger: Any) -> None:
    """Make a new signing key. Whoever trusts the old one follows to the new one by reading the ledger.

    Works while the receiver runs, and without. After a failure run it again: it goes on where it was.
    """
    rotated = operate("rotate-key", {}, ledger)
    if as_json:
        click.echo(json.dumps(rotated, indent=2))
        return
    click.echo(f"Old key   {rotated['old_key']}\nNew key   {rotated['new_key']}\nEntry     {rotated['seq']}")


@keys.command(epilog="\b\nExample: otel-audit keys compromised 3f9c2d11 --since 2026-11-20T08:00Z --trust trust.json")
@click.argument("key")
@click.option("--since", required=True, help="Since when somebody else may have had the key, RFC 3339.")
@click.option(
    "--trust",
    "trust_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust file to note it in: your auditors', or trust.json of the anchor folder.",
)
def compromised(*, key: str, since: str, trust_file: Path) -> None:
    """Note in a trust file that a key was stolen. KEY is its id (8 hex digits), NAME+ID, or the whole verifier key.

    A checkpoint by that key then counts only if an anchor of a third party proves that it is older than --since.
    """
    trust = parse_trust(trust_file.read_text(encoding="utf-8"), str(trust_file))
    matching = [each for each in trust.verifier_keys if key in _names(each)]
    if len(matching) != 1:
        known = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in trust.verifier_keys)
        raise ConfigError(f"{trust_file}: {len(matching)} keys match {key!r}; it has {known or 'none'}")
    try:
        moment = datetime.fromisoformat(since)
    except ValueError as exc:
        raise ConfigError(f"--since {since!r} is no time; write it as 2026-11-24T09:30:00Z") from exc
    if moment.tzinfo is None:
        raise ConfigError(f"--since {since!r} has no zone; write it as 2026-11-24T09:30:00Z")
    name = f"{matching[0].name}+{matching[0].key_id.hex()}"
    nanos = round(moment.timestamp()) * 1_000_000_000
    earliest = min(nanos, trust.compromised_keys.get(name, nanos))
    _rewrite(trust_file, format_trust(replace(trust, compromised_keys={**trust.compromised_keys, name: earliest})))
    told = datetime.fromtimestamp(earliest // 1_000_000_000, UTC).isoformat()
    click.echo(f"{name} is compromised since {told}. If it still signs: otel-audit keys rotate")


def _own(folder: DataFolder) -> Trust:
    return Trust().with_keys(VerifierKey.parse(text) for text in folder.verifier_keys())


def _names(key: VerifierKey) -> set[str]:
    return {key.key_id.hex(), f"{key.name}+{key.key_id.hex()}", key.format()}


def _certificate(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigError(f"{path}: holds no PEM certificate. Convert it: openssl x509 -inform der -in {path}")
    if "PRIVATE KEY-----" in text:
        raise ConfigError(f"{path}: holds a private key. Give the certificate alone")
    return text


def _table(text: str) -> dict[str, str]:
    pairs = dict(part.partition("=")[::2] for part in text.split(","))
    if not pairs.get("kind") or not all(pairs.values()):
        raise ConfigError(f"--anchor {text!r}: expected kind=KIND,NAME=VALUE, such as kind=s3,bucket=my-anchors")
    return pairs


def _rewrite(path: Path, text: str) -> None:
    """Put the new text in place as a whole: a trust file that is cut off would trust nobody."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(path.stat().st_mode & 0o777)
    Path(file.name).replace(path)
