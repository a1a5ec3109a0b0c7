"""What a verifier remembers between its runs, signed by a key of its own and kept out of the store's reach.

The file is JSON: ``{"key": "<verifier key>", "ledgers": {"<origin>": "<signed statement>"}}``. The private key lies
beside it, mode 0600. Whoever can write both can make the verifier believe anything about the past: keep them on
another machine, or under another user, than the ledger. ``verify`` without --incremental needs neither.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.findings import Code
from otel_audit.ledger.merkle import CompactRange
from otel_audit.ledger.note import Signer
from otel_audit.ledger.statement import open_statement, sign_statement
from otel_audit.model import Finding

_KIND: Final = "verified"
_KEY_NAME: Final = "otel-audit-verifier"


@dataclass(frozen=True, slots=True)
class Verified:
    """Up to where a ledger was verified: ``hashes`` are the compact range of its first ``size`` leaves, in hex.

    ``anchored_size`` of them were under an anchor that was compared; ``when`` is in nanoseconds since 1970.
    """

    origin: str
    size: int
    root_hash: str
    hashes: tuple[str, ...]
    anchored_size: int
    when: int

    def tree(self) -> CompactRange:
        """The tree over the verified entries."""
        return CompactRange(self.size, map(bytes.fromhex, self.hashes))

    @classmethod
    def of(cls, origin: str, tree: CompactRange, anchored_size: int) -> Verified:
        """What is remembered of a ledger whose first entries were verified just now."""
        hashes = tuple(each.hex() for each in tree.hashes)
        return cls(origin, tree.size, tree.root().hex(), hashes, min(anchored_size, tree.size), time.time_ns())


class VerifierState:
    """The state file of one verifier."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key_path = path.with_name(path.name + ".key")

    def load(self) -> tuple[dict[str, Verified], list[Finding]]:
        """Return what is remembered, by origin, and what is wrong with the file: that part is not believed."""
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            notes: dict[str, str] = dict(document["ledgers"])
        except FileNotFoundError:
            return {}, []
        except (OSError, ValueError, KeyError, TypeError) as exc:
            return {}, [Finding(Code.BAD_SIGNATURE, "", f"{self.path}: the verifier's state is damaged: {exc!r}")]
        known: dict[str, Verified] = {}
        findings: list[Finding] = []
        for origin, note in notes.items():
            try:
                verified = self._open(note)
            except (VerificationError, TypeError, ValueError) as exc:
                detail = f"{self.path}: the verifier did not write this state itself: {exc}"
                findings.append(Finding(Code.BAD_SIGNATURE, origin, detail))
                continue
            if verified.origin != origin:
                detail = f"{self.path}: the state filed under this ledger is of {verified.origin!r}"
                findings.append(Finding(Code.WRONG_ORIGIN, origin, detail))
                continue
            known[origin] = verified
        return known, findings

    def save(self, known: Mapping[str, Verified]) -> None:
        """Remember these ledgers."""
        signer = self._signer()
        notes = {origin: sign_statement(_KIND, asdict(each), [signer]) for origin, each in known.items()}
        text = json.dumps({"key": signer.verifier_key.format(), "ledgers": notes}, indent=2) + "\n"
        _write_private(self.path, text)

    def _open(self, note: str) -> Verified:
        fields: dict[str, Any] = dict(open_statement(note, [self._signer().verifier_key], _KIND).fields)
        verified = Verified(**{**fields, "hashes": tuple(fields["hashes"])})
        if verified.tree().root().hex() != verified.root_hash:
            raise VerificationError("its hashes do not have its root")
        return verified

    def _signer(self) -> Signer:
        if not self._key_path.exists():
            _write_private(self._key_path, Signer.generate(_KEY_NAME).format() + "\n")
        if self._key_path.stat().st_mode & 0o077:
            raise ConfigError(
                f"{self._key_path}: the verifier's key can be read by others. Run: chmod 600 {self._key_path}"
            )
        return Signer.parse(self._key_path.read_text(encoding="utf-8").strip())


def default_state_path(ledger: str) -> Path:
    """Where a verifier of this user remembers a ledger, named by its origin or the address of its store."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return home / "otel-audit" / f"{hashlib.sha256(ledger.encode()).hexdigest()[:32]}.json"


def _write_private(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as exc:
        raise ConfigError(
            f"{path}: the verifier's state can not be written: {exc.strerror}. Choose --state FILE"
        ) from exc
