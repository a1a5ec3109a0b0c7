"""A witness for ledgers of others: it cosigns a checkpoint only if that continues all it cosigned before.

    <folder>/witness.key                      its private key, 0600
    <folder>/cosigned/<slug>-<12 hex>.json    the newest checkpoint that was cosigned, one file a ledger
    <folder>/refused/<slug>-<12 hex>/         signed checkpoints that did not continue it: evidence
    <folder>/lock                             held while a process serves the folder

The newest checkpoint is durable before its cosignature leaves. Whoever deletes ``cosigned`` makes the witness forget,
and a witness that forgot can be shown another history: then it must get a new key.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from otel_audit.errors import ConfigError, StoreError, StoreLocked, VerificationError
from otel_audit.ledger.checkpoint import read_checkpoint
from otel_audit.ledger.cosignature import CosignatureKey, CosignatureSigner
from otel_audit.ledger.note import VerifierKey, parse_note
from otel_audit.ledger.witnessing import (
    AddCheckpoint,
    SplitView,
    UnknownOrigin,
    check_continues,
    check_signed,
    parse_add_checkpoint,
)
from otel_audit.model import Checkpoint

_UNSAFE: Final = re.compile(r"[^a-zA-Z0-9.]+")
_SLUG_SIZE: Final = 40
_NANOS: Final = 1_000_000_000


def witness_key(folder: Path, name: str | None) -> CosignatureSigner:
    """The witness's own key, made on first use as ``name`` (default ``otel-audit-witness/`` + 12 random hex digits).

    Raises ConfigError when the key can be read by others or has another name, or when its memory is gone.
    """
    path, memory = folder / "witness.key", folder / "cosigned"
    try:
        if not path.exists():
            # The memory is made first: a key without it is then always a key whose memory was lost.
            memory.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            made = CosignatureSigner.generate(name or f"otel-audit-witness/{secrets.token_hex(6)}")
            _write_durably(path, made.format() + "\n")
        mode = path.stat().st_mode
        signer = CosignatureSigner.parse(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{folder}: can not be used as the witness's folder: {exc.strerror}") from exc
    if mode & 0o077:
        raise ConfigError(f"{path}: holds a secret and can be read by others. Run: chmod 600 {path}")
    if name is not None and signer.name != name:
        raise ConfigError(f"{path}: is the key of {signer.name!r}, not of {name!r}. Leave the name out")
    if not memory.is_dir():
        raise ConfigError(
            f"{memory}: is missing, so this witness no longer knows what it cosigned. Restore it from a backup, or "
            f"retire the key: move {path} away, start anew, and give the new key to everybody who trusts the old one"
        )
    return signer


class Witness:
    """Answers requests for cosignatures. Safe to use from any thread; one process at a time serves a folder.

    ``logs`` are the known origins with their keys; ``clock`` gives nanoseconds since 1970.
    Raises StoreLocked when another process serves the folder.
    """

    def __init__(
        self,
        folder: Path,
        signer: CosignatureSigner,
        logs: Mapping[str, Sequence[VerifierKey]],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folder = folder
        self._signer = signer
        self._logs = logs
        self._clock = clock
        # One lock an origin: its state is read, compared and written by one request at a time.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        for origin in logs:
            self._locks[origin] = threading.Lock()
        self._lock_file = _locked(folder / "lock")

    @property
    def key(self) -> CosignatureKey:
        """What others verify its cosignatures with."""
        return self._signer.verifier_key

    def close(self) -> None:
        """Let another process serve the folder."""
        self._lock_file.close()

    def add_checkpoint(self, body: bytes) -> str:
        """Answer one request with a cosignature line, after what it says is durable.

        Raises MalformedInput (400), UnknownOrigin (404), BadSignature or UnknownKey (403), SizeConflict (409), another
        VerificationError (422), or StoreError when its memory can't be read or written.
        """
        request = parse_add_checkpoint(body)
        check_signed(request, self._logs)
        origin = request.checkpoint.origin
        with self._locks[origin]:
            newest_note, _ = self._newest(origin)
            newest = read_checkpoint(newest_note) if newest_note else None
            try:
                check_continues(request, newest)
            except (SplitView, VerificationError):
                self._keep_evidence(request, newest_note)
                raise
            seconds = self._clock() // _NANOS
            self._remember(request, seconds)
            return self._signer.cosign(request.text, seconds)

    def cosigned(self, origin: str) -> str:
        """The newest checkpoint that was cosigned, with the cosignature of then: what a refusal is proved with.

        "" when none was. Raises UnknownOrigin, or StoreError when its memory can't be read.
        """
        if origin not in self._logs:
            raise UnknownOrigin(f"no ledger {origin!r} is known here")
        with self._locks[origin]:
            note, seconds = self._newest(origin)
        return note and note + self._signer.cosign(parse_note(note)[0], seconds)

    def newest(self, origin: str) -> Checkpoint | None:
        """The newest checkpoint of a ledger that was cosigned, None if none was."""
        note, _ = self._newest(origin)
        return read_checkpoint(note) if note else None

    def _newest(self, origin: str) -> tuple[str, int]:
        """The newest note that was cosigned, and when (seconds since 1970; 0 where it was not noted)."""
        path = self._state_file(origin)
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            note, seconds = str(state["note"]), int(state.get("cosigned_at", 0))
            if state["origin"] != origin or read_checkpoint(note).origin != origin:
                raise ValueError(f"it is of {state['origin']!r}")  # noqa: TRY301 - one message for all damage
        except FileNotFoundError:
            return "", 0
        except (OSError, ValueError, KeyError, TypeError, VerificationError) as exc:
            # Never taken for "nothing cosigned yet": that would let another history in.
            raise StoreError(f"{path}: can not be read ({exc}). Restore it from a backup") from exc
        return note, seconds

    def _remember(self, request: AddCheckpoint, seconds: int) -> None:
        path = self._state_file(request.checkpoint.origin)
        checkpoint = request.checkpoint
        state = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "cosigned_at": seconds,
            "note": request.note,
        }
        try:
            _write_durably(path, json.dumps(state, indent=2, ensure_ascii=False) + "\n")
        except OSError as exc:
            raise StoreError(f"{path}: can not be written: {exc.strerror}; nothing was cosigned") from exc

    def _keep_evidence(self, request: AddCheckpoint, newest_note: str) -> None:
        """Keep a checkpoint that the ledger signed and that did not continue: once, however often it is sent."""
        checkpoint = request.checkpoint
        folder = self._folder / "refused" / _file_name(checkpoint.origin)
        path = folder / f"{checkpoint.size:020}-{checkpoint.root_hash.hex()[:16]}.json"
        kept = {
            "old_size": request.old_size,
            "proof": [each.hex() for each in request.proof],
            "refused": request.note,
            "cosigned": newest_note,
        }
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                _write_durably(path, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
        except OSError as exc:
            raise StoreError(f"{path}: can not be written: {exc.strerror}; the checkpoint was refused") from exc

    def _state_file(self, origin: str) -> Path:
        return self._folder / "cosigned" / f"{_file_name(origin)}.json"


def _file_name(origin: str) -> str:
    """A safe name for people, and a hash so that two origins never share a file."""
    slug = _UNSAFE.sub("-", origin).strip("-.")[:_SLUG_SIZE] or "ledger"
    return f"{slug}-{hashlib.sha256(origin.encode()).hexdigest()[:12]}"


def _locked(path: Path) -> IO[str]:
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        file.close()
        raise StoreLocked(f"{path.parent}: another witness serves this folder. Stop it first") from exc
    return file


def _write_durably(path: Path, text: str) -> None:
    """Put a private file in its place, whole or not at all, and return once it is on the disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
