"""What is known about the integrity of the record, in plain words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from formats import count

from otel_audit.ledger.findings import STATUS_CODES, Code
from otel_audit.model import Finding


class _Checkpoint(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def created_unix_nano(self) -> int: ...


class _Ledger(Protocol):
    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def checkpoint(self) -> _Checkpoint | None: ...


@dataclass(frozen=True, slots=True)
class Banner:
    """One sentence with a traffic light: ``tone`` is good, careful or bad."""

    tone: str
    strong: str
    text: str


_WHICH_TEXT: Final = re.compile(r"^the text '[^']*' was ")
MEANINGS: Final[Mapping[str, str]] = {
    "ROW_MODIFIED": "A stored value is not the one that was recorded.",
    "ROW_DELETED": "An entry that was recorded is gone.",
    "ROW_INSERTED": "There is an entry that was never recorded.",
    "ROW_REORDERED": "Entries were put into another order.",
    "ROW_DUPLICATED": "An entry is there more than once.",
    "CONTENT_MISMATCH": "A stored text is not the one that was recorded.",
    "CONTENT_MISSING": "A text is gone, and nothing says that it was erased.",
    "FALSE_TOMBSTONE": "Something says that a text was erased, but that is not true or not signed.",
    "NON_CANONICAL": "An entry is stored in a form that the receiver never writes.",
    "TAIL_TRUNCATED": "The newest entries were cut off.",
    "PREFIX_REMOVED": "The oldest entries are gone, and nothing says that their retention had ended.",
    "LEDGER_EMPTIED": "The ledger had entries, and is empty now.",
    "ROLLBACK": "The ledger was set back to an earlier state.",
    "CHAIN_REBUILT": "History was rewritten: what is stored contradicts a checkpoint that was kept elsewhere.",
    "TREE_DIVERGED": "The entries and the hash tree that was kept of them disagree.",
    "SPLIT_VIEW": "There are two signed histories that contradict each other.",
    "LEDGER_MISSING": "A ledger that must be here is not.",
    "BAD_SIGNATURE": "A checkpoint's signature does not hold.",
    "UNKNOWN_KEY": "A checkpoint is signed with a key that is not trusted.",
    "WRONG_ORIGIN": "A checkpoint belongs to another ledger.",
    "KEY_OUTSIDE_VALIDITY": "A checkpoint is signed with a key that was not, or no longer, in use at that time.",
    "WITNESS_QUORUM_MISSING": "Too few of the trusted witnesses have confirmed the record.",
    "WITNESS_PENDING": "Witnesses confirmed the record less than a minute ago; the newest part of it is still to come.",
    "WITNESS_DISPUTES": "A witness, or somebody in its name, says that it was shown another history. That alone is no "
    "proof.",
    "BACKDATED": "An event claims to be older than the record of it can be.",
    "FUTURE_DATED": "An event claims a time after the record of it was sealed.",
    "NON_MONOTONIC": "Entries were recorded in an order that their times contradict.",
    "STALE": "Nothing was sealed for longer than it should be.",
    "ANCHOR_MISSING": "An anchor that must be there is gone.",
    "ANCHOR_OVERWRITTEN": "An anchored checkpoint was replaced.",
    "ANCHOR_UNLOCKED": "An anchored checkpoint is no longer protected from being replaced.",
    "ANCHOR_MOVED": "An anchored checkpoint was found in another place than where it belongs.",
    "TSA_INVALID": "A timestamp does not hold.",
    "WRONG_TSA": "A timestamp is from an authority that is not trusted.",
    "IMPRINT_MISMATCH": "A timestamp belongs to something else.",
    "OTS_PENDING": "An OpenTimestamps proof attests no time yet, or none that somebody here could vouch for.",
    "OTS_INVALID": "An OpenTimestamps proof does not hold.",
    "ERASED": "A text was erased on request. The signed record of that is in the ledger.",
    "EXPIRED": "Entries were removed because their retention had ended. The signed record of that is in the ledger.",
    "UNANCHORED_TAIL": "The newest entries are not covered by an anchor yet. This is normal for some seconds.",
    "ANCHOR_DAMAGED": "A record in the anchor folder can not be read.",
    "TEXTS_NOT_CHECKED": "Texts were not there to be checked.",
    "NOTHING_VERIFIED": "There was nothing that could be verified.",
    "FILE_MODIFIED": "A file of the bundle is not the one that was put into it.",
    "FILE_MISSING": "A file of the bundle is gone.",
    "FILE_ADDED": "There is a file in the bundle that does not belong to it.",
    "MANIFEST_UNSIGNED": "Nobody signed for the bundle being whole.",
}


def meaning(code: str) -> str:
    """A finding's code in plain words."""
    return MEANINGS.get(code, "Something does not match.")


def erased(findings: Sequence[Finding]) -> dict[tuple[str, int], str]:
    """What is said in the place of texts that were erased, by (origin, seq): when, why, and by whom."""
    found = {}
    for finding in findings:
        if finding.code == Code.ERASED and finding.seq is not None:
            found[finding.origin, finding.seq] = _WHICH_TEXT.sub("", finding.detail)
    return found


def is_alarm(finding: Finding) -> bool:
    """Whether a finding is evidence of tampering, not a status."""
    return finding.code not in STATUS_CODES


def task_banner(
    rows: Sequence[Mapping[str, Any]], findings: Sequence[Finding], ledgers: Sequence[_Ledger], last_checkpoint: str
) -> Banner:
    """The integrity of exactly these entries. ``last_checkpoint`` is the time of the newest one, in words."""
    alarms = [finding for finding in findings if is_alarm(finding)]
    if alarms:
        first = alarms[0]
        where = f" (entry {first.seq:,})" if first.seq is not None else ""
        return Banner("bad", "Altered.", f"{meaning(first.code)}{where} Open Integrity, and keep everything as it is.")
    sealed = {ledger.origin: ledger.checkpoint.size if ledger.checkpoint else 0 for ledger in ledgers}
    open_ones = sum(row["seq"] >= sealed.get(row["origin"], 0) for row in rows)
    few = {1: "The one event matches", 2: "Both events match"}
    every = few.get(len(rows), f"All {len(rows):,} events match")
    if open_ones:
        return Banner(
            "careful",
            "Unaltered so far.",
            f"{every} the ledger; {count(open_ones, 'event')} not under a signed checkpoint yet. "
            "That follows within seconds while the receiver runs.",
        )
    return Banner("good", "Unaltered.", f"{every} the ledger, under a signed checkpoint of {last_checkpoint}.")


def report_banner(status: str, entries: int, findings: Sequence[Finding]) -> Banner:
    """The verdict of a whole verification, ``status`` as in ``otel-audit verify --json``."""
    alarms = [finding for finding in findings if is_alarm(finding)]
    if status == "tampered" or alarms:
        seqs = [finding.seq for finding in alarms if finding.seq is not None]
        where = f" It begins at entry {min(seqs):,}." if seqs else ""
        return Banner("bad", "Something was altered.", f"{count(len(alarms), 'finding')}, listed below.{where}")
    if status == "ok":
        match = "the one entry matches its" if entries == 1 else f"all {entries:,} entries match their"
        return Banner("good", "Nothing was altered:", f"{match} hashes, the hash tree and the signed checkpoints.")
    return Banner("careful", "Nothing was found wrong,", "but nothing signed proves yet that it is right either.")


def standing_banner(ledgers: Sequence[_Ledger], last_checkpoint: str) -> Banner:
    """What is known before anything was verified here."""
    entries = sum(ledger.size for ledger in ledgers)
    if not ledgers:
        return Banner("careful", "The ledger is empty.", "There is nothing to verify yet.")
    tail = sum(ledger.size - (ledger.checkpoint.size if ledger.checkpoint else 0) for ledger in ledgers)
    sealed = f"{count(entries - tail, 'entry', 'entries')} of {entries:,} are under a signed checkpoint" + (
        f", the newest of {last_checkpoint}." if last_checkpoint else "."
    )
    return Banner("careful", "Not verified in this session yet.", f"{sealed} Press Verify now to recompute everything.")


def claimed_size(note: str) -> int:
    """The size that an anchored checkpoint states, 0 for a text that is none. Verify now checks that it is true."""
    lines = note.split("\n", 2)
    return int(lines[1]) if len(lines) > 2 and lines[1].isascii() and lines[1].isdigit() else 0
