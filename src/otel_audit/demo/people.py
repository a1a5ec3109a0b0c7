"""The simulated reviewers: how long they take, what they decide, what they change and what they say. Pure."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otel_audit.demo.cases import Case

_REFUSED: Final = "Our return period is 30 days, so we cannot offer a refund."


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A made-up person. ``habits`` weigh approving, modifying and rejecting."""

    id: str
    median_seconds: float
    spread: float  # of the logarithm of the time
    habits: tuple[float, float, float]
    caution: float  # how readily they hand a hard case on, 0 to 1
    talkative: float  # how often an approval comes with a sentence, 0 to 1
    level: int = 1


REVIEWERS: Final = (
    Reviewer("u_102", 95, 0.6, (0.62, 0.28, 0.10), caution=0.30, talkative=0.5),
    Reviewer("u_117", 140, 0.7, (0.48, 0.40, 0.12), caution=0.40, talkative=0.8),
    Reviewer("u_124", 60, 0.5, (0.70, 0.20, 0.10), caution=0.20, talkative=0.2),
    Reviewer("u_131", 110, 0.8, (0.55, 0.30, 0.15), caution=0.35, talkative=0.4),
    Reviewer("u_138", 9, 0.5, (0.95, 0.03, 0.02), caution=0.05, talkative=0.05),  # barely reads
)
SENIORS: Final = (
    Reviewer("u_7", 180, 0.6, (0.45, 0.40, 0.15), caution=0.0, talkative=0.9, level=2),
    Reviewer("u_9", 150, 0.5, (0.50, 0.30, 0.20), caution=0.0, talkative=0.7, level=2),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reviewer does with a case."""

    decision: str
    active_seconds: float
    idle_seconds: float
    rationale_code: tuple[str, ...] = ()
    rationale: str | None = None
    before: str | None = None
    after: str | None = None
    override: bool | None = None


_APPROVED: Final = {
    "credit_decision": ("policy.criteria_met", "Income and score are within policy, payslip checked."),
    "claim_summary": ("claim.covered", "Cause is covered and the photos match the description."),
    "complaint_response": ("tone.appropriate", "Factual and polite, next step is right."),
    "refund_reply": ("policy.return_period", "Return period applied correctly."),
}
_CREDIT_APPROVED: Final = {
    "approve": _APPROVED["credit_decision"],
    "decline": ("policy.criteria_not_met", "Agreed, the burden would be too high."),
    "refer": ("policy.needs_branch", "Agreed, the branch should talk to the customer."),
}
_REJECTED: Final = {
    "credit_decision": (
        ("policy.income_missing", "The payslip is too old, a newer one has to come first."),
        ("risk.debt_ratio", "The existing debt is higher than stated."),
        ("data.identity_mismatch", "Name on the payslip differs from the application."),
    ),
    "claim_summary": (
        ("claim.documents_missing", "The invoice is not legible, nothing to base a payout on."),
        ("claim.not_covered", "Wear and tear, which this policy excludes."),
    ),
    "complaint_response": (
        ("tone.dismissive", "Reads as if we did not take it seriously."),
        ("fact.wrong_product", "The customer has another contract than the draft says."),
    ),
    "refund_reply": (
        ("fact.wrong_order", "Order number does not belong to this customer."),
        ("policy.goodwill", "Long-standing customer, a refusal is not what we want here."),
    ),
}
_ESCALATED: Final = {
    "credit_decision": ("limit.amount", "Amount is over my limit."),
    "claim_summary": ("limit.payout", "Payout is over my limit."),
    "complaint_response": ("risk.legal", "Customer mentioned a lawyer on the phone."),
    "refund_reply": ("policy.exception", "Just outside the return period, needs an exception."),
}


def decide(reviewer: Reviewer, case: Case, draft: str, rng: random.Random) -> Verdict:
    """What the reviewer does with the AI's draft; an empty draft is written by hand."""
    active = min(1_800.0, rng.lognormvariate(0, reviewer.spread) * reviewer.median_seconds * (0.6 + case.difficulty))
    idle = rng.expovariate(1 / 90) if rng.random() < 0.25 else 0.0
    active, idle = round(active, 1), round(idle, 1)
    if not draft:
        return Verdict(
            "handled_manually", active * 2, idle, ("ai.unavailable",), "No draft came, wrote it myself.",
            after=f"Dear {case.facts['Customer']}, we are looking into this and will call you today.",
        )  # fmt: skip
    if rng.random() < 0.015:
        return Verdict("abandoned", round(active / 3, 1), idle)
    if rng.random() < reviewer.caution * case.difficulty:
        code, why = _ESCALATED[case.kind]
        return Verdict("escalated", round(active / 2, 1), idle, (code,), why)
    action = rng.choices(("approved", "modified", "rejected"), reviewer.habits)[0]
    if action == "modified":
        after, code, why, override = _EDITS[case.kind](draft, rng)
        return Verdict("modified", active, idle, (code,), why, before=draft, after=after, override=override)
    if action == "rejected":
        fitting = [reason for reason in _REJECTED[case.kind] if reason[0] != "policy.goodwill" or _REFUSED in draft]
        first, *others = rng.sample(fitting, k=len(fitting))
        codes = (first[0], others[0][0]) if others and rng.random() < 0.15 else (first[0],)
        return Verdict("rejected", active, idle, codes, first[1])
    agreed = _CREDIT_APPROVED[json.loads(draft)["decision"]] if case.kind == "credit_decision" else None
    code, why = agreed or _APPROVED[case.kind]
    return Verdict("approved", active, idle, (code,), why if rng.random() < reviewer.talkative else None)


Edit = tuple[str, str, str, bool]  # text after the change, rationale code, rationale, override of the AI's decision


def _edit_credit(draft: str, rng: random.Random) -> Edit:
    stated = json.loads(draft)
    if stated["decision"] == "refer" or rng.random() < 0.25:
        turned = {"approve": "refer", "refer": "approve", "decline": "refer"}[stated["decision"]]
        stated["reason"] += " Employer confirmed by phone." if turned == "approve" else " Needs a second income check."
        why = "Spoke to the employer." if turned == "approve" else "Contract ends next spring, the model missed it."
        return json.dumps({**stated, "decision": turned}), "judgement.context", why, True
    stated["reason"] = stated["reason"].replace("Debt-to-income", "Debt-to-income ratio").replace(
        ".", f". Condition: {rng.choice(('direct debit', 'payment protection', 'a newer payslip'))}.", 1
    )  # fmt: skip
    return json.dumps(stated), "policy.condition_added", "Same decision, with a condition.", False


def _edit_claim(draft: str, rng: random.Random) -> Edit:
    paid = re.search(r"payout: ([\d,]+) EUR", draft)
    if paid is None:
        return draft + " Checked by hand.", "claim.checked", "Added a note.", False
    sum_eur = int(paid[1].replace(",", ""))
    less = max(50, int(sum_eur * rng.choice((0.8, 0.9)) / 10) * 10)
    after = draft.replace(f"payout: {paid[1]} EUR", f"payout: {less:,} EUR, less the agreed excess")
    return after, "claim.excess_applied", "Excess was not deducted.", False


def _edit_complaint(draft: str, rng: random.Random) -> Edit:
    after = draft.replace("We regret the inconvenience.", "We are sorry, this should not have happened.")
    if rng.random() < 0.4:
        after = after.replace("Kind regards", "You can reach me directly under +1-555-0199.\n\nKind regards")
    return after, "tone.empathy", "Warmer, and says sorry.", False


def _edit_refund(draft: str, rng: random.Random) -> Edit:
    if _REFUSED in draft:
        offer = rng.choice(("a voucher over the full price", "a refund, once, as an exception"))
        return draft.replace(_REFUSED, f"As an exception we offer you {offer}."), "policy.goodwill", "Goodwill.", True
    return (
        re.sub(r"within \d+ days", "within 3 days", draft).replace(
            "Best wishes", "Sorry for the trouble.\n\nBest wishes"
        ),
        "fact.corrected",
        "Refunds take 3 days since June.",
        False,
    )


_EDITS: Final[dict[str, Callable[[str, random.Random], Edit]]] = {
    "credit_decision": _edit_credit,
    "claim_summary": _edit_claim,
    "complaint_response": _edit_complaint,
    "refund_reply": _edit_refund,
}

_CREDIT_OUTCOMES: Final = {"approve": "approved", "decline": "declined", "refer": "referred_to_branch"}


def outcome(case: Case, verdict: Verdict, draft: str) -> str | None:
    """How the task ends after the verdict; None when the verdict does not end it."""
    if verdict.decision in {"abandoned", "escalated"}:
        return None
    if verdict.decision == "handled_manually":
        return "answered_manually"
    if verdict.decision == "rejected":
        return "declined" if case.kind in {"credit_decision", "claim_summary"} else "rewritten"
    if case.kind == "credit_decision":
        ended = _CREDIT_OUTCOMES[json.loads(verdict.after or draft)["decision"]]
    else:
        ended = "paid" if case.kind == "claim_summary" else "sent"
    return f"{ended}_with_changes" if verdict.decision == "modified" else ended
