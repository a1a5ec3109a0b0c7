"""The zip of a report: report.html, report.json, and report.note, a signed note over the SHA-256 of both."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.note import Signer
from otel_audit.ledger.statement import open_statement, sign_statement
from otel_audit.ledger.trust import Trust
from otel_audit.reports._times import iso_nano
from otel_audit.reports.bundle.writer import Making, zip_member
from otel_audit.reports.compliance.page import page
from otel_audit.reports.compliance.report import Compliance, as_json

FORMAT: Final = "otel-audit-report/1"
_KIND: Final = "report"
_NOTE: Final = "report.note"
_SIGNED: Final = ("report.html", "report.json")
_MAX_FILE: Final = 64 << 20  # far above what a report is, far below what would fill memory


def write_report(report: Compliance, making: Making, signer: Signer) -> bytes:
    """The zip, signed with the ledger's key. The same report and ``Making`` give the same bytes."""
    document = {
        "format": FORMAT,
        "made_at": iso_nano(making.made_unix_nano),
        "made_by": making.made_by,
        "made_with": f"otel-audit {making.version}",
        "purpose": making.purpose,
        **as_json(report),
    }
    files = {
        "report.html": page(report, making).encode(),
        "report.json": (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode(),
    }
    stated = {
        "standard": report.standard.code,
        "made_at": document["made_at"],
        "files": {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in {**files, _NOTE: sign_statement(_KIND, stated, [signer]).encode()}.items():
            archive.writestr(zip_member(name), raw)
    return out.getvalue()


def verify_report(path: Path, trust: Trust) -> dict[str, Any]:
    """Check a report's zip against the keys that are trusted, and return report.json.

    Raises ConfigError when it can not be read as such a zip, VerificationError when it is not what was signed.
    """
    if not trust.verifier_keys:
        raise ConfigError("the trust file has no verifier key: get one from whoever runs the ledger")
    files = _read(path)
    statement = open_statement(files[_NOTE].decode("utf-8", "backslashreplace"), trust.verifier_keys, _KIND)
    signed_by = {(each.name, each.key_id) for each in statement.signatures}
    keys = [key for key in trust.verifier_keys if (key.name, key.key_id) in signed_by]
    if all(trust.compromised_since(key) is not None for key in keys):
        raise VerificationError(
            f"{_NOTE}: is signed with a key that somebody else may have had ({keys[0].name}+{keys[0].key_id.hex()}): "
            "whether it was signed before that, nothing in the report can show"
        )
    stated = statement.fields.get("files")
    if not isinstance(stated, dict) or sorted(stated) != sorted(_SIGNED):
        raise VerificationError(f"{_NOTE}: names other files than {' and '.join(_SIGNED)}")
    for name in _SIGNED:
        if hashlib.sha256(files[name]).hexdigest() != stated[name]:
            raise VerificationError(f"{name}: is not the file that was signed")
    document: dict[str, Any] = json.loads(files["report.json"])
    if document.get("format") != FORMAT:
        raise ConfigError(f"report.json: format {document.get('format')!r}, expected {FORMAT}")
    return document


def _read(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [each.filename for each in members]
            if sorted(names) != sorted((*_SIGNED, _NOTE)):
                raise VerificationError(
                    f"{path}: holds {', '.join(names) or 'nothing'}; expected {', '.join(_SIGNED)} and {_NOTE}"
                )
            if large := [each.filename for each in members if each.file_size > _MAX_FILE]:
                raise ConfigError(f"{path}: {large[0]} is larger than {_MAX_FILE >> 20} MiB, which no report is")
            return {name: archive.read(name) for name in names}
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, zipfile.BadZipFile) as exc:
        raise ConfigError(f"{path}: can not be read as the zip of a report: {exc}") from exc
