"""The data folder: the engine's path, and beside its files our own under ``DATA/otel-audit/``.

Everything of ours is readable by its owner alone (directories 0700, files 0600), and a file is there
whole or not at all: it is written beside its place, synced, and only then given its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from otel_audit.errors import ConfigError
from otel_audit.ledger.note import Signer
from otel_audit.privacy.keys import PseudonymKeys

_HOME: Final = "otel-audit"
_PRIVATE_DIR: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_ORIGIN: Final = re.compile(r"[^\s+\x00-\x1f]+")  # an origin is also a key name: C2SP signed-note


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """Which ledger the folder holds: its origin, and when it was begun (nanoseconds since 1970)."""

    origin: str
    created_unix_nano: int


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How other processes reach the process that has the folder open. Ports are on 127.0.0.1; 0 = not served."""

    pid: int
    front_port: int
    token: str
    grpc_port: int
    http_port: int
    dashboard_port: int
    control_port: int = 0


_Value = TypeVar("_Value", LedgerIdentity, RunInfo)


class DataFolder:
    """One data folder: where its parts are, and the small files that are ours.

    >>> DataFolder("audit-data").anchors
    PosixPath('audit-data-anchors')
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def home(self) -> Path:
        """Our own files; everything else in ``path`` belongs to the engine."""
        return self.path / _HOME

    @property
    def anchors(self) -> Path:
        """Default place of the file anchors: beside the folder, so that losing the folder does not lose them."""
        return self._beside("anchors")

    @property
    def texts(self) -> Path:
        """Where the embedded engine keeps texts to read and search: made from the sealed ones, never backed up."""
        return self._beside("texts")

    @property
    def data_keys(self) -> Path:
        """Where the keys of the sealed texts are: a copy of the data folder alone opens none of them."""
        return self._beside("keys")

    def _beside(self, what: str) -> Path:
        path = self.path if self.path.name not in {"", ".."} else self.path.resolve()
        return path.with_name(f"{path.name}-{what}")

    @property
    def run_file(self) -> Path:
        """Where a running ``otel-audit up`` says how to reach it."""
        return self.home / "run.json"

    @property
    def tmp(self) -> Path:
        """Directory for temporary files: every insert passes through one, so it is private and where texts may be."""
        return self.texts / "tmp"

    @property
    def keys(self) -> Path:
        """Directory of the signing key and of the public keys that checkpoints were ever signed with."""
        return self.home / "keys"

    @property
    def anchor_states(self) -> Path:
        """Directory where the receiver writes down how far each external anchor is."""
        return self.home / "anchors"

    @property
    def recheck_file(self) -> Path:
        """Where the receiver writes down what its check of the ledger found."""
        return self.home / "recheck.json"

    @property
    def recheck_memory(self) -> Path:
        """What that check remembers of what it saw: beside the data folder, not in it."""
        return self._beside("recheck") / "state.json"

    @property
    def tokens_file(self) -> Path:
        """Where ``otel-audit token`` keeps what it knows of the dashboard's access tokens."""
        return self.home / "access" / "tokens.json"

    @property
    def views_file(self) -> Path:
        """Where the dashboard keeps the views that people saved."""
        return self.home / "views" / "views.json"

    @property
    def lock_file(self) -> Path:
        """The file that the engine holds a ``flock`` on while the folder is open."""
        return self.path / "status"

    def exists(self) -> bool:
        """Whether a ledger was begun here."""
        return self._identity_file.is_file()

    def create(self, origin: str | None = None) -> LedgerIdentity:
        """Make the folder and begin a ledger in it, or find the one that is there.

        ``origin`` names a new ledger (default ``otel-audit/`` + 12 random hex digits). Raises ConfigError
        when the folder can not be used, or already holds a ledger of another origin.
        """
        if origin is not None and not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"origin {origin!r}: must not be empty or contain spaces or +. Example: example.com/audit"
            )
        with self._explained("create"):
            self.path.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
            for folder in (self.home, self.keys, self.anchor_states):
                folder.mkdir(mode=_PRIVATE_DIR, exist_ok=True)
                folder.chmod(_PRIVATE_DIR)
            if not self.exists():
                begun = LedgerIdentity(origin or f"otel-audit/{secrets.token_hex(6)}", time.time_ns())
                write_whole(self._identity_file, _json(asdict(begun)), replace=False)
        identity = self.identity()
        if origin is not None and origin != identity.origin:
            raise ConfigError(
                f"{self.path}: holds the ledger {identity.origin!r}, not {origin!r}. Choose another folder, or leave "
                "the origin out to go on with the ledger that is there."
            )
        return identity

    def make_texts(self) -> None:
        """Make the folder of the embedded engine's texts, and remove what an insert that was killed left in it."""
        with self._explained("create"):
            for folder in (self.texts, self.tmp):
                folder.mkdir(mode=_PRIVATE_DIR, exist_ok=True)
                folder.chmod(_PRIVATE_DIR)
            for left in self.tmp.iterdir():
                left.unlink()

    def identity(self) -> LedgerIdentity:
        """Which ledger the folder holds. Raises ConfigError when it holds none."""
        with self._explained("read"):
            try:
                text = self._identity_file.read_text(encoding="utf-8")
            except (FileNotFoundError, NotADirectoryError) as exc:
                raise ConfigError(
                    f"{self.path}: there is no ledger in this folder. Check the path given as --data, or begin a "
                    f"ledger with: otel-audit up --data {self.path}"
                ) from exc
        return _parse(LedgerIdentity, text, self._identity_file)

    def signer(self) -> Signer:
        """Return the key that signs this ledger's checkpoints, made on first use. Its name is the origin."""
        with self._explained("use the signing key in"):
            if not self._key_file.exists():
                write_whole(self._key_file, Signer.generate(self.identity().origin).format() + "\n", replace=False)
            signer = Signer.parse(private_text(self._key_file).strip())
            self._publish_key(signer)
        return signer

    def next_signer(self) -> Signer:
        """Return the key that is to follow, made when none waits. It signs nothing alone until ``switch_signer``."""
        with self._explained("make a signing key in"):
            if not self._next_key_file.exists():
                write_whole(self._next_key_file, Signer.generate(self.identity().origin).format() + "\n", replace=False)
            return Signer.parse(private_text(self._next_key_file).strip())

    def waiting_signer(self) -> Signer | None:
        """Return the key that ``next_signer`` made and nobody switched to yet; None when there is none."""
        with self._explained("use the signing key in"):
            return Signer.parse(private_text(self._next_key_file).strip()) if self._next_key_file.exists() else None

    def switch_signer(self) -> None:
        """Let the key that waits take the place of the one in use, whose secret half is then gone for good."""
        with self._explained("use the signing key in"):
            self._publish_key(Signer.parse(private_text(self._next_key_file).strip()))
            self._next_key_file.replace(self._key_file)
            _sync(self.keys)

    def _publish_key(self, signer: Signer) -> None:
        public = self.keys / f"{signer.verifier_key.key_id.hex()}.pub"
        if not public.exists():
            write_whole(public, signer.verifier_key.format() + "\n", replace=False)

    def identity_key(self) -> bytes:
        """32 secret bytes that key the ids of records which bring none, made on first use."""
        path = self.keys / "identity.key"
        with self._explained("use the identity key in"):
            if not path.exists():
                write_whole(path, secrets.token_hex(32) + "\n", replace=False)
            return bytes.fromhex(private_text(path))

    def pseudonym_keys(self) -> PseudonymKeys:
        """Keys of the tokens that take the place of personal data: of the environment, else the folder's own."""
        with self._explained("use the privacy keys in"):
            return PseudonymKeys.from_environment(fallback=self.keys / "privacy.key")

    def verifier_keys(self) -> list[str]:
        """Public keys (C2SP verifier keys) of this ledger's signing keys, past and present."""
        with self._explained("read the public keys in"):
            return [file.read_text(encoding="utf-8").strip() for file in sorted(self.keys.glob("*.pub"))]

    def write_run(self, run: RunInfo) -> None:
        """Tell other processes how to reach this one."""
        self.write_private(self.run_file, _json(asdict(run)))

    def read_run(self) -> RunInfo | None:
        """Return what the process that has the folder open told, or None. That process may be gone since."""
        with self._explained("read"):
            try:
                text = private_text(self.run_file)
            except FileNotFoundError:
                return None
        return _parse(RunInfo, text, self.run_file)

    def clear_run(self) -> None:
        """Take back what ``write_run`` told."""
        with self._explained("write"):
            self.run_file.unlink(missing_ok=True)

    def write_private(self, path: Path, text: str) -> None:
        """Put a file of mode 0600 at ``path`` inside ``home``, whole or not at all."""
        with self._explained("write"):
            write_whole(path, text, replace=True)

    @property
    def _identity_file(self) -> Path:
        return self.home / "ledger.json"

    @property
    def _key_file(self) -> Path:
        return self.keys / "signing.key"

    @property
    def _next_key_file(self) -> Path:
        return self.keys / "next.key"

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except NotADirectoryError as exc:
            raise ConfigError(f"{exc.filename}: is not a folder. Give the path of a folder as --data.") from exc
        except FileExistsError as exc:
            raise ConfigError(f"{exc.filename}: is a file, not a folder. Give the path of a folder as --data.") from exc
        except PermissionError as exc:
            raise ConfigError(
                f"{self.path}: this user (uid {os.geteuid()}) may not {doing} the data folder: {exc.strerror}, "
                f"{exc.filename}{_owner(exc.filename)}. Run otel-audit as the folder's owner, or choose another folder."
            ) from exc
        except OSError as exc:
            raise ConfigError(f"{self.path}: can not {doing} the data folder: {exc.strerror}, {exc.filename}.") from exc


def write_whole(path: Path, text: str, *, replace: bool) -> None:
    """Put a whole file at ``path``, durably. Without ``replace``, the file that is already there wins."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            # Two processes may begin the same ledger at once: a link never takes the place of a file.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder of small files, made where it is missing: nobody else who asks so changes them meanwhile."""
    folder.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable: a file's own sync does not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_text(path: Path) -> str:
    """Read a file that holds a secret. Raises ConfigError when others may read it too."""
    with path.open(encoding="utf-8") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise ConfigError(
                f"{path}: holds a secret and can be read by others (mode {mode & 0o777:04o}). Run: chmod 600 {path}; "
                "if somebody may have read it, replace the secret."
            )
        return file.read()


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def _owner(path: str) -> str:
    try:
        return f" (owned by uid {Path(path).stat().st_uid})"
    except OSError:
        return ""


def _parse(kind: type[_Value], text: str, path: Path) -> _Value:
    expected = {field.name: str if field.type == "str" else int for field in fields(kind)}
    try:
        values = json.loads(text)
        if {name: type(value) for name, value in values.items()} != expected:
            raise ValueError(f"expected the fields {', '.join(expected)}")  # noqa: TRY301 - one message for all damage
        return kind(**values)
    except (ValueError, AttributeError) as exc:
        raise ConfigError(
            f"{path}: is damaged ({exc}). Restore it from a backup; a damaged run.json may just be deleted."
        ) from exc
