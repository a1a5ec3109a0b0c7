"""Asking witnesses (C2SP tlog-witness) to cosign checkpoints, and the notes they cosigned.

<anchor folder>/<origin folder>/witness/<slug>-<12 hex>.jsonl    one cosigned checkpoint a line, a file a witness
<anchor folder>/<origin folder>/witness/<slug>-<12 hex>.state    how the last attempt went, for people and verify
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlencode, urlsplit

from otel_audit.anchors import AnchorReading
from otel_audit.anchors._durable import append_durably, make_durable_folder, replace_durably
from otel_audit.anchors.file import origin_folder
from otel_audit.errors import AuditError, ConfigError, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.cosignature import CosignatureKey, add_cosignatures, verify_cosignatures
from otel_audit.ledger.findings import Code
from otel_audit.ledger.merkle import verify_consistency
from otel_audit.ledger.witnessing import format_add_checkpoint
from otel_audit.model import Checkpoint, Finding

_SIZE_TYPE: Final = "text/x.tlog.size"  # tlog-witness
_TIMEOUT_SECONDS: Final = 10.0
_MAX_ANSWER: Final = 64 << 10
_NANOS: Final = 1_000_000_000
_UNSAFE: Final = re.compile(r"[^a-zA-Z0-9.]+")
_SLUG_SIZE: Final = 40

Proof = Callable[[int, int], Sequence[bytes]]
"""(old size, new size) -> the consistency proof between them."""


class WitnessUnavailable(AuditError):
    """The witness did not answer, or its answer is no cosignature. Try again later."""


class WitnessRefused(AuditError):
    """The witness does not cosign for this ledger: it does not know it, or its key. Its operator has to add it."""


class WitnessContradicts(AuditError):
    """The witness says that it cosigned another history of this ledger than ours.

    tlog-witness lets it say so in an answer that nobody signed. What proves it is a checkpoint with its cosignature:
    one that our witnesses give is kept beside the others. Run verify, and ask the witness's operator.
    """


@dataclass(frozen=True, slots=True)
class WitnessAddress:
    """Where a witness takes checkpoints (its submission prefix, without ``/add-checkpoint``), and its key."""

    url: str
    key: CosignatureKey

    @classmethod
    def parse(cls, text: str) -> WitnessAddress:
        """Read ``URL=KEY``. Raises ConfigError with what is wrong."""
        url, equals, key = text.rpartition("=")
        parts = urlsplit(url)
        if not equals or parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ConfigError(f"witness {text!r}: write URL=KEY; the key is what otel-audit witness --show-key prints")
        return cls(url.rstrip("/"), CosignatureKey.parse(key))


@dataclass(frozen=True, slots=True)
class WitnessState:
    """How it stands with one witness: the newest size it cosigned, what is wrong, and since when (RFC 3339).

    ``trouble`` is "contradicts" when it says that it cosigned another history: a claim, whose proof (if it gave any)
    is among the cosigned notes.
    """

    origin: str
    witness: str
    url: str
    cosigned_size: int = 0
    cosigned_at: str = ""
    trouble: Literal["", "unavailable", "refused", "contradicts"] = ""
    problem: str = ""
    since: str = ""


class WitnessAnchor:
    """One witness of one ledger's checkpoints. Owned by one thread; ``publish`` blocks on the network."""

    def __init__(self, folder: Path, address: WitnessAddress, proof: Proof, clock: Callable[[], int]) -> None:
        """``folder`` is the anchor folder; ``clock`` gives nanoseconds since 1970."""
        self.address = address
        self._folder = folder
        self._proof = proof
        self._clock = clock
        self._known_size: int | None = None

    def publish(self, note: str, checkpoint: Checkpoint) -> None:
        """Get a checkpoint cosigned, and keep the cosigned note. Returns when it is durable.

        Raises WitnessUnavailable, WitnessRefused or WitnessContradicts; the state file tells, too.
        """
        before = self.state(checkpoint.origin)
        try:
            line, seconds = self._ask(note, checkpoint, before.cosigned_size)
        except WitnessUnavailable as exc:
            self._tell(before, "unavailable", exc)
            raise
        except WitnessRefused as exc:
            self._tell(before, "refused", exc)
            raise
        except WitnessContradicts as exc:
            told = WitnessContradicts(f"{exc}. {self._prove(checkpoint)}")
            self._tell(before, "contradicts", told)
            raise told from exc
        self._keep(line, checkpoint)
        self._known_size = checkpoint.size
        self._write(
            WitnessState(checkpoint.origin, self.address.key.name, self.address.url, checkpoint.size, _rfc3339(seconds))
        )

    def state(self, origin: str) -> WitnessState:
        """How it stands; a state file that is gone or damaged counts as one that was never written."""
        try:
            return _parse_state(self._file(origin, ".state"))
        except (OSError, ValueError, TypeError):
            return WitnessState(origin, self.address.key.name, self.address.url)

    def _keep(self, note: str, checkpoint: Checkpoint) -> Path:
        """Append a cosigned note to the file of its witness."""
        path = self._file(checkpoint.origin, ".jsonl")
        record = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "witness": self.address.key.name,
            "published_at": _rfc3339(self._clock() // _NANOS),
            "note": note,
        }
        make_durable_folder(path.parent.parent)
        make_durable_folder(path.parent)
        append_durably(path, (json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n").encode())
        return path

    def _prove(self, ours: Checkpoint) -> str:
        """Ask for the checkpoint that the witness cosigned, keep it if it contradicts ours, and say what came of it.

        ``GET /cosigned`` is of our witnesses alone; another one has an operator, who can be asked for it.
        """
        try:
            status, _, note = self._send(f"/cosigned?{urlencode({'origin': ours.origin})}", None)
            if status != HTTPStatus.OK:
                return "It gives no proof of that"
            theirs = read_checkpoint(note)
            if theirs.origin != ours.origin or not verify_cosignatures(note, [self.address.key]):
                return "What it gives as proof is nothing that it cosigned of this ledger"
            if self._continues(theirs, ours):
                return "But what it cosigned last is of our history"
        except AuditError as exc:  # also a store of ours that can give no consistency proof
            return f"It gives no proof of that ({exc})"
        path = self._file(ours.origin, ".jsonl")
        kept = [each.note for each in _read_file(path, ()) if isinstance(each, AnchoredCheckpoint)]
        if note not in kept:
            self._keep(note, theirs)
        return f"What it cosigned, size {theirs.size}, is kept as proof in {path}"

    def _continues(self, old: Checkpoint, new: Checkpoint) -> bool:
        if old.size > new.size:
            return False
        if old.size in {0, new.size}:
            return old.size == 0 or old.root_hash == new.root_hash
        try:
            verify_consistency(old.size, old.root_hash, new.size, new.root_hash, self._proof(old.size, new.size))
        except VerificationError:
            return False
        return True

    def _ask(self, note: str, checkpoint: Checkpoint, believed: int) -> tuple[str, int]:
        """The cosigned note, and the cosignature's time (seconds since 1970)."""
        old = min(believed if self._known_size is None else self._known_size, checkpoint.size)
        who, size = f"witness {self.address.key.name}", checkpoint.size
        for _ in range(3):  # Its size may move between two requests, when two processes of ours overlap.
            proof = self._proof(old, size) if 0 < old < size else ()
            status, kind, answer = self._send("/add-checkpoint", format_add_checkpoint(old, proof, note))
            if status == HTTPStatus.OK:
                return self._cosigned(note, answer)
            if status != HTTPStatus.CONFLICT or kind != _SIZE_TYPE:
                break
            theirs = _size(answer, who)
            if theirs > size:
                raise WitnessContradicts(
                    f"{who} says that it cosigned {checkpoint.origin} at size {theirs}; ours has {size}: entries are "
                    "missing here, or somebody else signs with its key"
                )
            if theirs == old:
                break
            old = theirs
        said = answer[:200].strip()
        if status in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise WitnessContradicts(
                f"{who} refuses the checkpoint of size {size} ({status}): it does not continue what it cosigned at "
                f"size {old}. It says: {said}"
            )
        if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise WitnessRefused(f"{who} refuses ({status}): {said}")
        raise WitnessUnavailable(f"{who} answers {status}: {said}")

    def _cosigned(self, note: str, answer: str) -> tuple[str, int]:
        who = f"witness {self.address.key.name}"
        try:
            cosigned, cosignatures = add_cosignatures(note, answer, [self.address.key])
        except VerificationError as exc:
            raise WitnessUnavailable(f"{who} answers with what is no cosignature of it: {exc}") from exc
        if not cosignatures:
            raise WitnessUnavailable(f"{who} answers, but not with the key that it is known by. Is the key outdated?")
        return cosigned, cosignatures[0].unix_seconds

    def _send(self, path: str, body: str | None) -> tuple[int, str, str]:
        """(status, content type, start of the body) of the answer to a POST, or to a GET where ``body`` is None.

        Raises WitnessUnavailable without one.
        """
        request = urllib.request.Request(  # noqa: S310 - WitnessAddress allows http and https alone
            f"{self.address.url}{path}",
            None if body is None else body.encode(),
            {} if body is None else {"Content-Type": "text/plain; charset=utf-8"},
        )
        try:
            try:
                response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310 - as above
            except urllib.error.HTTPError as exc:
                response = exc
            with response:
                text = response.read(_MAX_ANSWER).decode("utf-8", "replace")
                return response.status, response.headers.get_content_type(), text
        except (
            OSError,
            http.client.HTTPException,
        ) as exc:  # also what urllib raises for a name, a connection or a certificate
            raise WitnessUnavailable(f"witness {self.address.key.name} at {self.address.url}: {exc}") from exc

    def _tell(
        self, before: WitnessState, trouble: Literal["unavailable", "refused", "contradicts"], exc: AuditError
    ) -> None:
        since = before.since if before.trouble == trouble else _rfc3339(self._clock() // _NANOS)
        self._write(
            WitnessState(
                before.origin,
                self.address.key.name,
                self.address.url,
                before.cosigned_size,
                before.cosigned_at,
                trouble,
                str(exc),
                since,
            )
        )

    def _write(self, state: WitnessState) -> None:
        path = self._file(state.origin, ".state")
        make_durable_folder(path.parent.parent)
        make_durable_folder(path.parent)
        replace_durably(path, json.dumps(asdict(state), indent=2, ensure_ascii=False).encode() + b"\n")

    def _file(self, origin: str, suffix: str) -> Path:
        name = self.address.key.name
        slug = _UNSAFE.sub("-", name).strip("-.")[:_SLUG_SIZE] or "witness"
        digest = hashlib.sha256(self.address.key.format().encode()).hexdigest()[:12]
        return origin_folder(self._folder, origin) / "witness" / f"{slug}-{digest}{suffix}"


def read_witnessed(folder: Path, keys: Sequence[CosignatureKey]) -> AnchorReading:
    """All cosigned checkpoints below an anchor folder, and what witnesses dispute.

    A cosignature by one of ``keys`` attests the time in it; others count as copies. A witness whose last word is
    that it cosigned another history is WITNESS_DISPUTES, a status: nobody signed that word, and whoever is on the way
    to the witness can say it. Checkpoints that prove it are among the others, and contradict the ledger by themselves.
    """
    records = [record for path in sorted(folder.glob("*/witness/*.jsonl")) for record in _read_file(path, keys)]
    disputes: list[Finding] = []
    damaged = [record for record in records if isinstance(record, str)]
    for path in sorted(folder.glob("*/witness/*.state")):
        try:
            state = _parse_state(path)
        except (ValueError, TypeError) as exc:
            damaged.append(f"{path}: {exc}")
            continue
        if state.trouble == "contradicts":
            detail = f"{state.problem} (since {state.since}, {path})"
            disputes.append(Finding(Code.WITNESS_DISPUTES, state.origin, detail))
    return AnchorReading(
        tuple(record for record in records if isinstance(record, AnchoredCheckpoint)), tuple(damaged), tuple(disputes)
    )


def witness_states(folder: Path) -> list[WitnessState]:
    """How it stands with every witness of every ledger; state files that are damaged are left out: verify tells."""
    states = []
    for path in sorted(folder.glob("*/witness/*.state")):
        try:
            states.append(_parse_state(path))
        except (ValueError, TypeError):
            continue
    return states


def _parse_state(path: Path) -> WitnessState:
    return WitnessState(**json.loads(path.read_text(encoding="utf-8")))


def _read_file(path: Path, keys: Sequence[CosignatureKey]) -> Iterator[AnchoredCheckpoint | str]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path} line {number}"
            if not line.strip():
                continue
            try:
                yield _parse_record(line, where, keys)
            except (ValueError, KeyError, TypeError, VerificationError) as exc:
                problem = str(exc) if line.endswith(b"\n") else "torn: it has no line end"
                yield f"{where}: {problem}"


def _parse_record(line: bytes, where: str, keys: Sequence[CosignatureKey]) -> AnchoredCheckpoint:
    record = json.loads(line)
    note = record["note"]
    if record["size"] != read_checkpoint(note).size:
        raise ValueError("its size is not what its note says")
    cosignatures = verify_cosignatures(note, keys)
    attested = min((each.unix_seconds for each in cosignatures), default=None)
    return AnchoredCheckpoint(
        str(record["origin"]),
        note,
        where,
        str(record["published_at"]),
        kind="witness",
        attested_unix_nano=None if attested is None else attested * _NANOS,
    )


def _size(answer: str, who: str) -> int:
    text = answer.removesuffix("\n")
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise WitnessUnavailable(f"{who} answers 409 with {answer[:40]!r}, which is no size")
    return int(text)


def _rfc3339(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
