"""Every signed root that speaks of a ledger: in the store, from anchors, and from what the verifier remembers."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import datetime

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.keys import KeyHistory
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.roots import Seal, open_seal
from otel_audit.ledger.times import NANOS, Attestation
from otel_audit.ledger.trust import Trust
from otel_audit.store.evidence import EvidenceReader, Extent


class SignedRoots:
    """Opens the signed roots of one ledger; what is wrong with one becomes a finding.

    ``anchored`` is what anchors gave back (None: they are not compared), ``history`` the keys of the ledger.
    ``attestations`` are what third parties said about the time of those opened so far. ``anchored_size`` is the
    largest size that an anchor states, before signatures are checked.
    """

    def __init__(
        self,
        reader: EvidenceReader,
        extent: Extent,
        *,
        anchored: Sequence[AnchoredCheckpoint] | None,
        trust: Trust,
        history: KeyHistory,
        findings: Findings,
    ) -> None:
        self._reader = reader
        self._checkpoint_size = extent.checkpoint_size
        self._anchored = anchored
        self._trust = trust
        self._history = history
        self._findings = findings
        self.attestations: dict[Attestation, None] = {}
        self.anchored_size = max((_claimed_size(each) for each in anchored or ()), default=0)

    def between(self, smallest: int, largest: int, others: Sequence[Seal] = ()) -> Generator[Seal, None, None]:
        """Yield what was validly signed for these sizes, by size; what is not valid becomes a finding."""
        if not self._history.keys:
            return  # Then nothing signed can be judged: the conclusion says so.
        anchored = [seal for seal in others if smallest <= seal.size <= largest]
        for each in self._anchored or ():
            seal = self._open(each.note, f"anchor {each.source}", anchored=True)
            if seal is not None and each.attested_unix_nano is not None:
                self.attestations[Attestation(seal.size, each.attested_unix_nano, each.source, each.kind)] = None
            if seal is not None and smallest <= seal.size <= largest:
                anchored.append(seal)
        stored = self._stored_seals(smallest, largest)
        with closing(stored):
            yield from heapq.merge(stored, sorted(anchored, key=_size), key=_size)

    def _stored_seals(self, smallest: int, largest: int) -> Generator[Seal, None, None]:
        # What a writer signed since the start of the verification is not of interest.
        largest = min(largest, self._checkpoint_size)
        checkpoints = self._reader.checkpoints(self._findings.origin, smallest, largest)
        with closing(checkpoints):
            for stored in checkpoints:
                source = f"stored checkpoint of size {stored.size}"
                seal = self._open(stored.note, source, anchored=False)
                if seal is None:
                    continue
                for column, states, signed in (
                    ("size", stored.size, seal.size),
                    ("root_hash", stored.root_hash.hex(), seal.root_hash.hex()),
                ):
                    if states != signed:
                        detail = f"{source}: its column {column} holds {states}, but what was signed says {signed}"
                        self._findings.add(Code.TREE_DIVERGED, detail, column=column)
                if stored.size == seal.size:  # Else it is out of order, and comes from somewhere else.
                    yield seal

    def _open(self, note: str, source: str, *, anchored: bool) -> Seal | None:
        keys = self._keys_for(note)
        return open_seal(note, keys, source, self._findings, anchored=anchored, history=self._history)

    def _keys_for(self, note: str) -> Sequence[VerifierKey]:
        """Choose all keys for a note that speaks of another ledger, so that it is told apart from a forged one."""
        try:
            is_own = read_checkpoint(note).origin == self._findings.origin
        except VerificationError:
            is_own = True
        return self._history.keys if is_own else self._trust.verifier_keys

    def next_size(self, wanted: int) -> int | None:
        """Return the smallest signed size that covers ``wanted`` entries, signatures unchecked; None: there is none."""
        covering = [claimed for anchored in self._anchored or () if (claimed := _claimed_size(anchored)) >= wanted]
        stored = self._reader.next_checkpoint_size(self._findings.origin, wanted)
        return min([*covering, *([stored] if stored else [])], default=None)

    def newest(self) -> tuple[int, str]:
        """Return when the newest checkpoint was made, and who says so: an attested time where there is one."""
        if self.attestations:
            newest = max(self.attestations, key=lambda each: each.unix_nano)
            return newest.unix_nano, f"the newest attested checkpoint ({newest.source})"
        if self._anchored is None:
            created = self._reader.newest_created(self._findings.origin)
            return created, "the newest stored checkpoint, by the receiver's clock,"
        published = [_published(each) for each in self._anchored]
        return max(published, default=0), "the newest anchored checkpoint, by the publisher's clock,"


def _size(seal: Seal) -> int:
    return seal.size


def _published(anchored: AnchoredCheckpoint) -> int:
    """Return when an anchor says it published a checkpoint, in nanoseconds since 1970; 0 when it does not say."""
    try:
        moment = datetime.fromisoformat(anchored.published_at)
    except ValueError:
        return 0
    return int(moment.timestamp()) * NANOS if moment.tzinfo else 0


def _claimed_size(anchored: AnchoredCheckpoint) -> int:
    """Return the size a note states, before its signature is checked; 0 for what is no checkpoint."""
    try:
        return read_checkpoint(anchored.note).size
    except VerificationError:
        return 0
