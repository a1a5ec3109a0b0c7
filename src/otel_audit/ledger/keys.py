"""Which key may sign a ledger's checkpoints at which size: the keys we trust, and what signed rotations make of them.

A rotation is an entry of type ``key_rotation`` with a statement that the old key and the new key both signed. If it
is entry R, the old key speaks for checkpoints of at most R entries, and the new one for those of more. So whoever
trusts the first key gets to the newest one by reading the ledger, and a key that nobody introduced stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, open_checkpoint
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.note import BadSignature, NoteSignature, Signer, UnknownKey, VerifierKey
from otel_audit.ledger.statement import Statement, open_statement, read_statement, sign_statement
from otel_audit.ledger.trust import Trust

_KIND: Final = "key_rotation"


class Rotation(NamedTuple):
    """An entry that rotates the key: its seq, and the signed statement in it."""

    seq: int
    note: str


@dataclass(frozen=True, slots=True)
class KeyWindow:
    """The checkpoint sizes a key speaks for: from ``first`` to ``last``, both included; ``last`` None: still in use.

    ``proven`` is set for a key that may be in other hands, and then limits it further: the largest size that is
    proven to be older than that.
    """

    first: int = 0
    last: int | None = None
    proven: int | None = None

    def problem(self, size: int) -> str:
        """Why the key does not speak for a checkpoint of this size; empty if it does."""
        if size < self.first:
            return f"was first used after entry {self.first - 1}"
        if self.last is not None and size > self.last:
            return f"was replaced by entry {self.last}"
        if self.proven is not None and size > self.proven:
            return "may have been in other hands, and no anchor proves that the checkpoint is older than that"
        return ""


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """The keys of one ledger, first to last, each with its window."""

    windows: dict[VerifierKey, KeyWindow]

    @property
    def keys(self) -> list[VerifierKey]:
        """All keys that are believed at some size."""
        return list(self.windows)

    def problem(self, size: int, signatures: Iterable[NoteSignature]) -> str:
        """Why none of these verified signatures counts on a checkpoint of this size; empty if one does."""
        problems = []
        by_id = {(key.name, key.key_id): key for key in self.windows}
        for signature in signatures:
            key = by_id.get((signature.name, signature.key_id))
            if key is None:
                continue
            problem = self.windows[key].problem(size)
            if not problem:
                return ""
            problems.append(f"key {key.key_id.hex()} {problem}")
        return "; ".join(problems)

    def open(self, note: str, kind: str, seq: int) -> Statement:
        """The statement that the entry at ``seq`` carries, signed by a key in use there.

        Raises BadSignature or UnknownKey, and VerificationError for anything else that is wrong with it.
        """
        statement = open_statement(note, self.keys, kind)
        if problem := self.problem(seq + 1, statement.signatures):  # the smallest checkpoint over the entry
            raise VerificationError(f"statement {kind}: {problem}")
        return statement


def sign_rotation(old: Signer, new: Signer) -> str:
    """The statement by which ``new`` follows ``old``, signed by both."""
    fields = {"new_key": new.verifier_key.format(), "old_key": old.verifier_key.format()}
    return sign_statement(_KIND, fields, [old, new])


def open_rotation(note: str) -> tuple[VerifierKey, VerifierKey]:
    """(old key, new key) of a statement that both really signed, and that are keys of one ledger.

    Raises BadSignature when a signature is missing or does not hold, VerificationError for anything else.
    """
    fields = read_statement(note, _KIND).fields
    try:
        old, new = VerifierKey.parse(str(fields["old_key"])), VerifierKey.parse(str(fields["new_key"]))
    except (KeyError, ConfigError) as exc:
        raise VerificationError(f"statement {_KIND}: old_key and new_key are not two verifier keys ({exc})") from exc
    if old.name != new.name or old == new:
        raise VerificationError(f"statement {_KIND}: {old.name!r} and {new.name!r} are not two keys of one ledger")
    try:
        signatures = open_statement(note, [old, new], _KIND).signatures
    except UnknownKey as exc:
        raise BadSignature(f"statement {_KIND}: neither of its keys signed it") from exc
    if {(each.name, each.key_id) for each in signatures} != {(key.name, key.key_id) for key in (old, new)}:
        raise BadSignature(f"statement {_KIND}: only one of its two keys signed it")
    return old, new


def follow_rotations(
    trust: Trust,
    rotations: Sequence[Rotation],
    anchored: Sequence[AnchoredCheckpoint],
    findings: Findings,
) -> KeyHistory:
    """The keys of the ledger of ``findings``, from those we trust along its ``rotations`` (in order of seq).

    1. A statement that does not hold introduces nobody.
    2. A trusted key vouches for the one before it, too: both signed.
    3. In order: the old key must be in use at that entry, and the new one must never have been.
    4. A rotation by a key that may have been in other hands counts only when an anchor proves that it is older,
       or when we trust the new key anyway.

    ``anchored`` are this ledger's anchored checkpoints: those with an attested time prove what is older.
    """
    origin = findings.origin
    trusted = [key for key in trust.verifier_keys if key.name == origin]
    if not trusted:
        return KeyHistory({})  # then nothing signed can be judged, rotations neither
    sound = list(_sound(rotations, findings))  # 1
    known = set(trusted)
    for _, old, new in reversed(sound):  # 2
        if new in known:
            known.add(old)
    windows = {key: KeyWindow(proven=_proven(trust, key, anchored, origin)) for key in dict.fromkeys(trusted)}
    replaced: set[VerifierKey] = set()
    introduced: set[VerifierKey] = set()
    for seq, old, new in sound:
        if old not in known:
            detail = f"a key rotation to {_name(new)} is signed by {_name(old)}: not by a key we trust"
            findings.add(Code.UNKNOWN_KEY, detail, seq=seq)
            continue
        before = windows.get(old) or KeyWindow(proven=_proven(trust, old, anchored, origin))
        problem = ""
        if old in replaced or seq < before.first:  # 3
            problem = f"was not in use at entry {seq}"
        elif new in introduced or new in replaced:
            problem = "is followed by a key that was in use before"
        elif before.proven is not None and before.proven <= seq and new not in trusted:  # 4
            problem = "may have been in other hands, and no anchor proves that the rotation is older than that"
        if problem:
            detail = f"a key rotation to {_name(new)} does not count: {_name(old)} {problem}"
            findings.add(Code.KEY_OUTSIDE_VALIDITY, detail, seq=seq)
            continue
        windows[old] = KeyWindow(before.first, seq, before.proven)
        windows[new] = KeyWindow(seq + 1, None, _proven(trust, new, anchored, origin))
        replaced.add(old)
        introduced |= {old, new}
        known.add(new)
    return KeyHistory(windows)


def _sound(rotations: Sequence[Rotation], findings: Findings) -> Iterable[tuple[int, VerifierKey, VerifierKey]]:
    for seq, note in rotations:
        try:
            old, new = open_rotation(note)
        except VerificationError as exc:
            findings.add(Code.BAD_SIGNATURE, f"the key rotation does not hold: {exc}", seq=seq, column="attributes")
            continue
        if old.name == findings.origin:
            yield seq, old, new
        else:
            findings.add(Code.WRONG_ORIGIN, f"a key rotation of ledger {old.name!r}", seq=seq, column="attributes")


def _proven(trust: Trust, key: VerifierKey, anchored: Sequence[AnchoredCheckpoint], origin: str) -> int | None:
    """Up to which size a key's checkpoints are proven to be older than its compromise; None: it is not compromised."""
    since = trust.compromised_since(key)
    if since is None:
        return None
    proven = 0
    for each in anchored:
        if each.attested_unix_nano is not None and each.attested_unix_nano < since:
            try:
                proven = max(proven, open_checkpoint(each.note, [key], origin).size)
            except VerificationError:
                continue  # of another key, or not right: reported where checkpoints are judged
    return proven


def _name(key: VerifierKey) -> str:
    return f"key {key.key_id.hex()}"
