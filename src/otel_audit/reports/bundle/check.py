"""``otel-audit verify BUNDLE.zip``: the same checks as by the program in the bundle, but by the one installed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_audit.errors import ConfigError
from otel_audit.ledger.findings import Code
from otel_audit.ledger.trust import parse_trust
from otel_audit.model import Finding
from otel_audit.reports.bundle import verify_bundle as program


@dataclass(frozen=True, slots=True)
class BundleReport:
    """The verdict on a bundle (``ok``, ``tampered`` or ``unverifiable``), its timestamps, and every finding."""

    status: str
    counts: dict[str, int]
    timestamps: tuple[dict[str, Any], ...]
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
        timestamps = list(self.timestamps)
        return {"status": self.status, "counts": self.counts, "timestamps": timestamps, "findings": findings}


def verify_bundle(path: Path, trust: Path | None) -> BundleReport:
    """Verify a bundle against a trust file, with the signatures of timestamps if the file has ``tsa_roots``.

    Raises ConfigError when it can not be checked.
    """
    if trust is None:
        raise ConfigError(program.NO_TRUST)
    try:
        text = trust.read_text(encoding="utf-8")
        report = program.verify_bundle(str(path), text, _attest(parse_trust(text, str(trust)).tsa_roots))
    except (program.Unreadable, OSError, UnicodeDecodeError) as exc:
        raise ConfigError(str(exc)) from exc
    findings = tuple(Finding(Code(each.pop("code")), **each) for each in report["findings"])
    return BundleReport(report["status"], report["counts"], tuple(report["timestamps"]), findings)


def _attest(roots: Sequence[str]) -> Callable[[bytes, bytes], int] | None:
    """Return what checks a timestamp against ``roots``; None without any."""
    if not roots:
        return None
    try:
        from otel_audit.anchors.rfc3161 import TokenRefused, load_roots, verify_token  # noqa: PLC0415 - optional
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"the trust file has tsa_roots, and to check timestamps needs {exc.name}: pip install 'otel-audit[anchors]'"
        ) from exc
    trusted = load_roots(roots)

    def attest(answer: bytes, note: bytes) -> int:
        try:
            return verify_token(answer, note, trusted)
        except TokenRefused as exc:
            raise program.Broken(str(exc.code), str(exc)) from exc

    return attest


def format_bundle_report(report: BundleReport) -> str:
    """Return the report in the words of the program in the bundle."""
    text: str = program.format_report(report.to_json())
    return text
