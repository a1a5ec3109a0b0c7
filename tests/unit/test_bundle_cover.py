"""The page that goes with a bundle: what it says in each case, and that nothing in it can do anything."""

import re
from dataclasses import replace

from otel_audit.anchors.proofs import KIND as OPENTIMESTAMPS
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, sign_checkpoint
from otel_audit.ledger.note import Signer
from otel_audit.model import Checkpoint
from otel_audit.reports.bundle.anchor_facts import anchor_fact
from otel_audit.reports.bundle.cover import AnchorFact, Facts, cover_page

AT = "2026-11-24T09:30:00.000000000Z"
EVIL = "<script>alert('x')</script>"
COPY = AnchorFact("Copy in a folder", 9, "kept elsewhere")
ASKED = (("task_id", "t-1"), ("since", AT))
FACTS = Facts(AT, "u_9", "complaint", "otel-audit 0.1.0", ASKED, AT, AT, 12, 2, 19, 0, 0, True, {"o": (COPY,)})
LEDGER = {"origin": "o", "size": 20, "root_hash": "ab" * 32, "entries": 14, "last_seq": 8}


def text_of(facts=FACTS, ledger=LEDGER):
    return re.sub(r"<[^>]+>", " ", cover_page(facts, [ledger]).partition("</style>")[2])


def test_it_says_what_was_asked_when_by_whom_and_how_to_check():
    """Task, period, zone, purpose, maker, and the three commands."""
    text = text_of()
    for said in ("Evidence for task t-1", "2026-11-24 09:30:00 UTC by u_9", "complaint", "All times are UTC"):
        assert said in text
    for command in (
        "otel-audit keys export",
        "pip install cryptography",
        "python verify_bundle.py evidence.zip --trust",
    ):
        assert command in text


def test_it_says_how_far_it_is_anchored():
    """All of it, a part, nothing; a promise of a block anchors nothing."""
    assert "Anchored. Every" in re.sub(" +", " ", text_of())
    for anchors, said in (
        ((AnchorFact("x", 8, ""),), "Partly anchored."),
        ((AnchorFact("x", 9, "", is_pending=True),), "Not anchored."),
        ((), "Not anchored."),
    ):
        assert said in text_of(replace(FACTS, anchors={"o": anchors}))


def test_it_says_what_is_missing():
    """What was erased, what came after the checkpoint, and that nobody signed: in the words of that bundle alone."""
    plain, poor = text_of(), text_of(replace(FACTS, erased=1, not_sealed=3, signed=False))
    for said in ("who asked for it, who approved it", "Anything of 3 matching entries", "nobody signed for that"):
        assert said in poor
        assert said not in plain


def test_nothing_in_it_can_do_anything():
    """Whatever a purpose, name or filter holds is text; no script, and nothing from elsewhere."""
    facts = replace(FACTS, made_by=EVIL, purpose=EVIL, made_with=EVIL, asked=((EVIL, EVIL), ("task_id", EVIL)),
                    anchors={EVIL: (AnchorFact(EVIL, 9, EVIL),)})  # fmt: skip
    page = cover_page(facts, [{**LEDGER, "origin": EVIL}])
    assert "<script" not in page
    assert not re.search(r"(src|href)=|@import|url\(|https?://(?!www.w3.org)", page)


def test_what_an_anchor_states_is_in_words():
    """A lock's end, a pending promise, a copy's time; what can not be read says so."""
    note = sign_checkpoint(Checkpoint("o", 9, b"r" * 32), [Signer("o", b"s" * 32)])
    anchored = AnchoredCheckpoint(
        "o", note, "x", AT, "s3", None, b'{"object_lock_retain_until": "2030-01-01T00:00:00Z"}'
    )
    assert anchor_fact(anchored) == AnchorFact("Locked object in S3", 9, "locked until 2030-01-01 00:00:00 UTC")
    assert anchor_fact(replace(anchored, kind="file")).state == "of 2026-11-24 09:30:00 UTC"
    pending = anchor_fact(replace(anchored, kind=OPENTIMESTAMPS, evidence=b"junk"))
    assert (pending.is_pending, pending.state.partition(":")[0]) == (True, "pending")
    for kind in (OPENTIMESTAMPS, "rfc3161", "s3"):
        broken = anchor_fact(replace(anchored, kind=kind, evidence=b"junk", block_header=b"x"))
        assert (broken.is_pending, broken.state.partition(":")[0]) == (True, "can not be read")
