"""``otel-audit erase``: texts of a subject, a task or single entries go; the ledger keeps that they went, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from otel_audit.errors import ConfigError
from otel_audit.instrumentation.delivery.erasing import erase_from_spool
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.ledger_commands import ledger_options, operate


class _Seqs(click.ParamType[tuple[int, int]]):
    """``7`` or ``7-12``."""

    name = "SEQ or FIRST-LAST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        first, _, last = str(value).partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
            self.fail(f"{value!r}: expected an entry such as 7 or a range such as 7-12", param, ctx)
        return int(first), int(last or first)


@click.command(
    epilog='\b\nExample: otel-audit erase --subject case-88 --basis "GDPR Art. 17(1)(a)" '
    "--requested-by dpo_1 --approved-by legal_4 --dry-run"
)
@ledger_options
@click.option("--subject", default="", help="All texts of this subject, and of its tasks.")
@click.option("--task", default="", help="All texts of this task.")
@click.option("--seq", "seqs", multiple=True, type=_Seqs(), help="All texts of these entries. Can be repeated.")
@click.option("--basis", required=True, help="Why: the legal basis. Kept for ever, so name no person in it.")
@click.option("--requested-by", required=True, help="Who asks for it; a pseudonym.")
@click.option("--approved-by", required=True, help="Who approved it: somebody else; a pseudonym.")
@click.option(
    "--spool",
    type=click.Path(file_okay=False, path_type=Path),
    help="Erase in this spool of an application (OTEL_AUDIT_SPOOL_DIR) instead of the ledger.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def erase(
    *,
    subject: str,
    task: str,
    seqs: tuple[tuple[int, int], ...],
    basis: str,
    requested_by: str,
    approved_by: str,
    spool: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **ledger: Any,
) -> None:
    """Erase texts for good, wherever they are, and record who wanted it and why in a signed entry.

    Their entries stay, so that nothing else in the ledger is touched; `otel-audit verify` calls the texts ERASED.
    The data keys of a subject or task are destroyed: copies of the data folder can not be read any more either.
    """
    arguments = {
        "subject": subject,
        "task": task,
        "seqs": seqs,
        "basis": basis,
        "requested_by": requested_by,
        "approved_by": approved_by,
    }
    ErasureRequest(**arguments)  # type: ignore[arg-type]  # checked here, before a ledger is opened for it
    if spool is not None:
        _erase_spool(spool, subject, task, dry_run=dry_run, as_json=as_json)
        return
    if as_json and not (dry_run or yes):
        raise ConfigError("erase --json asks nobody: add --dry-run or --yes")
    if dry_run or not yes:
        plan = operate("erase", {**arguments, "dry_run": True}, ledger)
        if dry_run:
            click.echo(json.dumps(plan, indent=2) if as_json else _table(plan, "Would be erased"))
            return
        click.echo(_table(plan, "To be erased"))
        if not plan["entries"]:
            raise ConfigError("erase: there are no such texts in this ledger; nothing was changed")
        if plan["holds"]:
            raise ConfigError("erase: under legal hold; end it first (`otel-audit hold remove`). Nothing was changed")
        click.confirm("This can not be undone. Erase?", abort=True)
    done = operate("erase", arguments, ledger)
    click.echo(json.dumps(done, indent=2) if as_json else _table(done, "Erased"))


def _erase_spool(spool: Path, subject: str, task: str, *, dry_run: bool, as_json: bool) -> None:
    """Erase in a spool. Exits with 1 when a file could not be done."""
    if dry_run or not (subject or task):
        raise ConfigError("erase --spool: needs --subject or --task, and has no --dry-run")
    erased = erase_from_spool(spool, subject=subject, task=task)
    if as_json:
        click.echo(json.dumps({"records": erased.records, "not_done": dict(erased.not_done)}, indent=2))
    else:
        click.echo(f"Erased the texts of {erased.records:,} records in {spool}")
        for path, why in erased.not_done.items():
            click.echo(f"  not done: {path}: {why}")
    if erased.not_done:
        raise SystemExit(1)


def _table(plan: Mapping[str, Any], title: str) -> str:
    rows = (
        ("entries with texts", plan["entries"]),
        ("texts", plan["texts"]),
        ("bytes", plan["bytes"]),
        ("tasks", plan["tasks"]),
        ("data keys destroyed" if "entry" in plan else "data keys to destroy", plan["keys"]),
    )
    lines = [title, *(f"  {name:<22}{count:>14,}" for name, count in rows)]
    if plan["entries_under_shared_keys"]:
        lines.append(
            f"  {plan['entries_under_shared_keys']:,} of the entries share their key with entries that stay: copies\n"
            "  of the data folder still hold their texts, for who has the keys. Delete those copies."
        )
    if plan["holds"]:
        lines.append(f"  REFUSED: under legal hold {', '.join(plan['holds'])}; see `otel-audit hold list`")
    if "entry" in plan:
        lines.append(f"  recorded as entry     {plan['entry']:>14,}")
    return "\n".join(lines)
