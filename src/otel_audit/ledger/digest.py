"""The digest over all ledgers of a store: which there are, how large each is, and its newest signed checkpoint.

A ledger that vanishes as a whole, with its own anchors, is missed because the digests of another one name it. A digest
is a signed statement (``ledger.statement``) of kind ``digest``; each names the hash of the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from otel_audit.errors import MalformedInput, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.findings import Code
from otel_audit.ledger.note import Signer, UnknownKey, VerifierKey
from otel_audit.ledger.statement import Statement, open_statement, read_statement, sign_statement
from otel_audit.model import Finding

_KIND: Final = "digest"
_MAX_NOTE: Final = 1_000_000  # what a reader of signed notes accepts: ``note.parse_note``


@dataclass(frozen=True, slots=True)
class Tip:
    """One ledger in a digest: its newest checkpoint, and how many rows were stored (fewer once some expired)."""

    note: str
    entry_count: int


@dataclass(frozen=True, slots=True)
class Digest:
    """``origin`` is the ledger that signs; ``number`` counts its digests from 1; ``made_at`` is RFC 3339, UTC.

    ``previous`` is the SHA-256 (hex) of the signed note of the digest before, empty for the first.
    """

    origin: str
    number: int
    previous: str
    made_at: str
    tips: tuple[Tip, ...]


@dataclass(frozen=True, slots=True)
class StoredDigest:
    """A digest as an anchor gives it back: ``place`` is the anchor, ``source`` where a person finds the note.

    ``attested_unix_nano`` is as in ``AnchoredCheckpoint``.
    """

    note: str
    source: str
    place: str
    attested_unix_nano: int | None = None


def sign_digest(digest: Digest, signers: Iterable[Signer]) -> str:
    """The signed note of a digest. Raises MalformedInput when it holds more ledgers than fit into a note."""
    tips = []
    for tip in digest.tips:
        claimed = read_checkpoint(tip.note)
        tips.append(
            {
                "origin": claimed.origin,
                "size": claimed.size,
                "root_hash": claimed.root_hash.hex(),
                "entry_count": tip.entry_count,
                "checkpoint": tip.note,
            }
        )
    fields = {
        "origin": digest.origin,
        "number": digest.number,
        "previous": digest.previous,
        "made_at": digest.made_at,
        "ledgers": tips,
    }
    note = sign_statement(_KIND, fields, signers)
    if len(note) > _MAX_NOTE:
        raise MalformedInput(f"digest: {len(tips)} ledgers take {len(note):,} characters, more than {_MAX_NOTE:,}")
    return note


def read_digest(note: str) -> Digest:
    """What a digest *claims*, its signatures unchecked. Raises VerificationError for anything else."""
    return _parse(read_statement(note, _KIND))


def open_digest(note: str, keys: Sequence[VerifierKey]) -> Digest:
    """Check a digest: one of the ledger's own ``keys`` signed it. Raises BadSignature, UnknownKey or VerificationError.

    The checkpoints in it are what the signer saw in the store: their own signatures are not looked at.
    """
    origin = read_digest(note).origin
    return _parse(open_statement(note, [key for key in keys if key.name == origin], _KIND))


def digest_hash(note: str) -> str:
    """What the next digest names: SHA-256 of the signed note, hex."""
    return hashlib.sha256(note.encode()).hexdigest()


def _parse(statement: Statement) -> Digest:
    fields = statement.fields
    try:
        tips = []
        for each in fields["ledgers"]:
            tip = Tip(str(each["checkpoint"]), int(each["entry_count"]))
            claimed = read_checkpoint(tip.note)
            if (each["origin"], each["size"], each["root_hash"]) != (
                claimed.origin,
                claimed.size,
                claimed.root_hash.hex(),
            ):
                raise VerificationError(f"digest: what it says of {each['origin']!r} is not what the checkpoint says")
            tips.append(tip)
        number = fields["number"]
        if type(number) is not int or number < 1:
            raise VerificationError(f"digest: number {number!r} is none from 1 on")
        return Digest(str(fields["origin"]), number, str(fields["previous"]), str(fields["made_at"]), tuple(tips))
    except (KeyError, TypeError, ValueError) as exc:
        raise VerificationError(f"digest: a field is missing or of the wrong type ({exc})") from exc


def check_digests(
    stored: Iterable[StoredDigest], keys_of: Callable[[str], Sequence[VerifierKey]]
) -> tuple[list[AnchoredCheckpoint], list[Finding]]:
    """The checkpoints that validly signed digests hold, and what is wrong with the digests.

    ``keys_of`` gives the keys that are believed for an origin. Every place must have the digests of a ledger from
    number 1 on without a gap, each naming the one before it.
    """
    checkpoints: list[AnchoredCheckpoint] = []
    findings: list[Finding] = []
    opened: list[tuple[str, str, int, StoredDigest, Digest]] = []
    for each in stored:
        origin = ""
        try:
            origin = read_digest(each.note).origin
            if not (keys := keys_of(origin)):
                detail = f"digest {each.source}: no verifier key of its ledger is trusted; it can not be compared"
                findings.append(Finding(Code.ANCHOR_DAMAGED, origin, detail))
                continue
            digest = open_digest(each.note, keys)
        except UnknownKey as exc:
            findings.append(Finding(Code.UNKNOWN_KEY, origin, f"digest {each.source}: {exc}"))
        except VerificationError as exc:
            findings.append(Finding(Code.BAD_SIGNATURE, origin, f"digest {each.source}: {exc}"))
        else:
            opened.append((origin, each.place, digest.number, each, digest))
            checkpoints += _tips(digest, each)
    opened.sort(key=lambda each: each[:3])
    for (origin, _), group in groupby(opened, key=lambda each: each[:2]):
        findings += _check_chain(origin, [(each, digest) for *_, each, digest in group])
    findings += _check_one_history([(each, digest) for *_, each, digest in opened])
    return checkpoints, findings


def _tips(digest: Digest, stored: StoredDigest) -> Iterator[AnchoredCheckpoint]:
    source = f"digest {digest.number} of {digest.origin} ({stored.source})"
    for tip in digest.tips:
        origin = read_checkpoint(tip.note).origin
        yield AnchoredCheckpoint(origin, tip.note, source, digest.made_at, _KIND, stored.attested_unix_nano)


def _check_chain(origin: str, chain: Sequence[tuple[StoredDigest, Digest]]) -> Iterator[Finding]:
    """One ledger's digests of one place, in order of number."""
    expected, before = 1, ""
    for stored, digest in chain:
        if digest.number > expected:
            gone = f"{expected}" if digest.number == expected + 1 else f"{expected} to {digest.number - 1}"
            yield Finding(Code.ANCHOR_MISSING, origin, f"digest {gone} is missing before {stored.source}")
        elif digest.number == expected and digest.previous != before:
            detail = f"digest {stored.source} does not follow the one before it, which was replaced or removed"
            yield Finding(Code.ANCHOR_MISSING, origin, detail)
        expected, before = digest.number + 1, digest_hash(stored.note)


def _check_one_history(opened: Sequence[tuple[StoredDigest, Digest]]) -> Iterator[Finding]:
    """No ledger signs two digests of one number."""
    first: dict[tuple[str, int], tuple[StoredDigest, Digest]] = {}
    for stored, digest in opened:
        other, known = first.setdefault((digest.origin, digest.number), (stored, digest))
        if known != digest:
            detail = f"two digests of number {digest.number} were signed: {other.source} and {stored.source}"
            yield Finding(Code.SPLIT_VIEW, digest.origin, detail)
