"""Compliance reports, made for a page and for its download from the same filter."""

from __future__ import annotations

import shlex
from dataclasses import replace
from importlib.metadata import version

import deps
import settings
import viewer
from roles import Action

from otel_audit.errors import ConfigError
from otel_audit.ledger.note import Signer
from otel_audit.model import Filter
from otel_audit.reports.bundle.writer import Making
from otel_audit.reports.compliance.report import Compliance, build
from otel_audit.reports.compliance.sealed import write_report
from otel_audit.reports.compliance.sources import read_beside
from otel_audit.reports.compliance.standard import standard


def made(code: str, where: Filter, *, is_verified: bool = False) -> tuple[Compliance, tuple[str, ...]]:
    """The report, and what is wrong with the anchors. ``is_verified``: everything is recomputed first.

    Raises ConfigError for a filter that does not fit a report, StoreError and AnchorUnavailable.
    """
    viewer.need(Action.REPORT)
    beside, troubles = read_beside(settings.given().folder, settings.given().anchor_dir, deps.anchors_file())
    if is_verified:
        beside = replace(beside, verification=deps.verify(lambda _done, _total: None))
    return build(deps.database(), standard(code), where, deps.now_unix_nano(), beside), troubles


def sealed(code: str, where: Filter, purpose: str, *, is_verified: bool) -> tuple[Compliance, bytes]:
    """The report and its signed zip. Raises ConfigError without a key to sign with, else as ``made``."""
    signer = _signer()
    report, _ = made(code, where, is_verified=is_verified)
    making = Making(report.made_unix_nano, viewer.name(), purpose, version("otel-audit"))
    return report, write_report(report, making, signer)


def key_or_why() -> tuple[str, str]:
    """The name of the key that signs reports, or why there is none; one of them is empty."""
    try:
        signer = _signer()
    except ConfigError as exc:
        return "", str(exc)
    return f"{signer.name}+{signer.verifier_key.key_id.hex()}", ""


def _signer() -> Signer:
    folder = settings.given().folder
    if folder is None:
        raise ConfigError("this dashboard reads a server and knows no data folder, so it has no key to sign with")
    return folder.signer()


def check_commands(file: str) -> str:
    """How to check a report that was downloaded: get the public keys, then compare."""
    folder = settings.given().folder
    data = shlex.quote(str(folder.path)) if folder else "DIR"
    return f"otel-audit keys export --data {data} > trust.json\notel-audit report verify {file} --trust trust.json"
