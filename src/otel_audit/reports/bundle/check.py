"""``otel-audit verify BUNDLE.zip``: the same checks as by the program in the bundle, but by the one installed here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_audit.errors import ConfigError
from otel_audit.ledger.findings import Code
from otel_audit.model import Finding
from otel_audit.reports.bundle import verify_bundle as program


@dataclass(frozen=True, slots=True)
class BundleReport:
    """The verdict on a bundle (``ok``, ``tampered`` or ``unverifiable``), and every finding."""

    status: str
    counts: dict[str, int]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints, which is what the program in the bundle prints."""
        findings = [
            {
                "code": str(each.code),
                "origin": each.origin,
                "seq": each.seq,
                "column": each.column,
                "detail": each.detail,
            }
            for each in self.findings
        ]
        return {"status": self.status, "counts": self.counts, "findings": findings}


def verify_bundle(path: Path, trust: Path | None) -> BundleReport:
    """Verify a bundle against a trust file. Raises ConfigError when it can not be checked."""
    if trust is None:
        raise ConfigError(program.NO_TRUST)
    try:
        report = program.verify_bundle(str(path), trust.read_text(encoding="utf-8"))
    except (program.Unreadable, OSError, UnicodeDecodeError) as exc:
        raise ConfigError(str(exc)) from exc
    findings = tuple(Finding(Code(each.pop("code")), **each) for each in report["findings"])
    return BundleReport(report["status"], report["counts"], findings)


def format_bundle_report(report: BundleReport) -> str:
    """Return the report in the words of the program in the bundle."""
    text: str = program.format_report(report.to_json())
    return text
