"""What a report says beside its figures, in sentences: integrity, retention, log reviews, oversight. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_audit.model import Reviewed
from otel_audit.reports._times import clock
from otel_audit.reports.compliance.standard import Standard
from otel_audit.reports.log_review import Standing
from otel_audit.reports.narrate import duration_words

if TYPE_CHECKING:
    from otel_audit.reports.compliance.report import Beside, Kept, Ledger

_KINDS = {
    "file": "a folder",
    "s3": "S3",
    "rfc3161": "a timestamp authority",
    "witness": "a witness",
    "digest": "a digest",
}


@dataclass(frozen=True, slots=True)
class Note:
    """One sentence; ``is_warning`` when somebody should look at it."""

    text: str
    is_warning: bool = False


def integrity(ledgers: Sequence[Ledger], beside: Beside) -> tuple[Note, ...]:
    """Checkpoints and anchors of each ledger, and what checks of them found."""
    found = []
    for each in ledgers:
        newest = each.state.checkpoint
        if newest is None:
            found.append(Note(f"{each.state.origin}: no checkpoint was signed yet.", is_warning=True))
            continue
        at = clock(newest.created_unix_nano)
        text = f"{each.state.origin}: {newest.size:,} of {each.state.size:,} entries are under the checkpoint of {at}."
        found.append(Note(text))
        kept = ", ".join(f"{_KINDS.get(kind, kind)} ({size:,} entries)" for kind, _, size in each.anchors)
        found.append(
            Note(f"Copies of its checkpoints are in {kept}.")
            if kept
            else Note("No anchor is known here.", is_warning=True)
        )
    for anchor in beside.anchors:
        text = f"Anchor {anchor.name} ({anchor.kind}) has a checkpoint over {anchor.published_size:,} entries"
        behind = f", and lacks {anchor.lag_entries:,}: {anchor.last_error or 'no error was told'}"
        found.append(Note(f"{text}{behind if anchor.lag_entries else ''}.", is_warning=bool(anchor.lag_entries)))
    return (*found, self_check(beside), *verification(beside))


def self_check(beside: Beside) -> Note:
    """What the receiver's check of its own ledger last found."""
    state = beside.self_check
    if state is None or not state.checked_unix_nano:
        return Note("No result of the receiver's check of its own ledger is known here.")
    at = clock(state.checked_unix_nano)
    if state.status == "ok":
        return Note(f"The receiver checked its ledger at {at}: nothing was altered in {state.entry_count:,} entries.")
    return Note(f"The receiver checked its ledger at {at}: {state.status}. {', '.join(state.codes)}", is_warning=True)


def verification(beside: Beside) -> tuple[Note, ...]:
    """What the verification found that was made for the report, if one was."""
    report = beside.verification
    if report is None:
        return ()
    entries = sum(each.size for each in report.ledgers)
    against = "with the anchors" if report.anchors_compared else "without anchors"
    if report.status == "ok":
        return (Note(f"Verified for this report, {against}: nothing was altered in {entries:,} entries."),)
    codes = ", ".join(sorted({str(each.code) for each in report.findings}))
    return (Note(f"Verified for this report, {against}: {report.status}. {codes}", is_warning=True),)


def retention(kept: Sequence[Kept], problem: str, standard: Standard) -> tuple[Note, ...]:
    """Each retention class against the minimum that the text names."""
    found = [Note(f"The text names: {standard.keep_words}.")]
    for each in kept:
        there = f"Class {each.name}: {each.entries:,} entries"
        there += f", the oldest of {clock(each.first_recorded)}" if each.entries else ""
        if each.removed_after_days is None:
            found.append(Note(f"{there}; nothing of it was removed."))
            continue
        text = f"{there}; {each.removed:,} were removed, after {each.removed_after_days:,} days at the least"
        short = each.removed_after_days < standard.keep_days
        found.append(Note(f"{text}{', which is shorter than the text names' if short else ''}.", is_warning=short))
    if problem:
        found.append(Note(f"What was removed can not be read: {problem}", is_warning=True))
    return tuple(found)


def log_reviews(weeks: Sequence[Standing]) -> tuple[Note, ...]:
    """How many weeks of the period were reviewed, and which are overdue."""
    if not weeks:
        return (Note("No week of this period has an entry to review."),)
    states = [each.state for each in weeks]
    said = ", ".join(f"{states.count(state)} {state}" for state in ("signed", "open", "overdue", "running"))
    overdue = [each.week.name for each in weeks if each.state == "overdue"]
    late = (Note(f"Overdue: {', '.join(sorted(overdue))}.", is_warning=True),) if overdue else ()
    return (Note(f"Weeks to review: {said}."), *late)


def oversight(reviews: Reviewed) -> tuple[Note, ...]:
    """How long people looked: median and number, or that no time is known."""
    if reviews.active is None:
        return (Note("No review of this period has a measured active time."),)
    median, ninetieth = map(duration_words, reviews.active)
    text = f"Active time: median {median}, 9 in 10 at most {ninetieth} (n = {reviews.timed:,})."
    return (Note(text),)
