"""The made-up cases that the demo's customers bring. Pure: the same random numbers give the same cases."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

# All persons are made up; example.com (RFC 2606) and the 555-01xx numbers belong to nobody.
_PERSONS: Final = (
    "Jane Roe", "Max Muster", "Aiko Tan", "Luis Prado", "Fatima Noor", "Pieter Vos", "Ines Duarte", "Tom Hale",
    "Greta Lund", "Omar Idris", "Ruth Amsel", "Nadia Petrov", "Karl Benn", "Mei Chow", "Paula Rossi", "Ivan Horak",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """What a customer asks for. ``facts`` are the lines that the AI and the reviewer read."""

    task_id: str
    kind: str
    subject_ref: str
    facts: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The case as JSON values."""
        return asdict(self)

    @property
    def difficulty(self) -> float:
        """How much judgement the case needs, from 0 to 1: large sums and unusual facts go up the ladder."""
        return _DIFFICULTY[self.kind](self.facts)


def amount(text: str) -> float:
    """The number in a fact such as ``12,500 EUR``."""
    return float(text.split(maxsplit=1)[0].replace(",", ""))


def _credit(rng: random.Random) -> dict[str, str]:
    income = rng.randrange(1_800, 7_200, 50)
    return {
        "Amount requested": f"{rng.choice((3, 5, 8, 10, 12, 15, 20, 25, 40)) * 1000:,} EUR",
        "Term": f"{rng.choice((24, 36, 48, 60, 72))} months",
        "Monthly net income": f"{income:,} EUR",
        "Existing monthly debt": f"{int(income * rng.choice((0, 0.05, 0.1, 0.15, 0.25))):,} EUR",
        "Credit score": str(int(rng.triangular(520, 840, 705))),
        "Payslip age": f"{rng.choice((0, 1, 1, 2, 2, 3, 4, 5))} months",
        "Purpose": rng.choice(("car", "kitchen renovation", "debt consolidation", "medical bill", "solar panels")),
    }


def _claim(rng: random.Random) -> dict[str, str]:
    return {
        "Policy": f"HH-{rng.randrange(100_000, 999_999)}",
        "Cause of loss": rng.choice(
            ("burst water pipe", "storm damage to the roof", "bicycle theft", "kitchen fire", "broken glass door")
        ),
        "Reported": f"{rng.randrange(1, 15)} days after the loss",
        "Estimated damage": f"{int(rng.lognormvariate(7.3, 0.9)) // 10 * 10 + 100:,} EUR",
        "Documents": rng.choice(("photos, invoice", "photos", "invoice, police report", "none yet")),
        "Claims in the last 3 years": str(rng.choice((0, 0, 0, 1, 1, 2, 3))),
    }


def _complaint(rng: random.Random) -> dict[str, str]:
    return {
        "Product": rng.choice(("current account", "mobile contract", "home insurance", "credit card")),
        "Complaint": rng.choice(
            (
                "I was charged twice for the same month",
                "I waited 40 minutes on the phone, then the call dropped",
                "the cancellation was confirmed, but the contract went on",
                "the card was blocked during a holiday without notice",
                "the advertised rate was not applied",
            )
        ),
        "Earlier contacts": str(rng.choice((0, 1, 1, 2, 3, 5))),
        "Wanted outcome": rng.choice(("a refund", "an apology", "compensation", "an explanation in writing")),
    }


def _refund(rng: random.Random) -> dict[str, str]:
    return {
        "Order": f"O-{rng.randrange(1_000_000, 9_999_999)}",
        "Item": rng.choice(("running shoes", "coffee grinder", "office chair", "headphones", "winter coat", "lamp")),
        "Price": f"{rng.choice((24, 39, 59, 79, 119, 189, 249, 420))} EUR",
        "Days since delivery": str(int(rng.triangular(1, 75, 14))),
        "Reason": rng.choice(("does not fit", "arrived damaged", "not as described", "changed my mind")),
    }


_FACTS: Final[Mapping[str, Callable[[random.Random], dict[str, str]]]] = {
    "credit_decision": _credit,
    "claim_summary": _claim,
    "complaint_response": _complaint,
    "refund_reply": _refund,
}
KINDS: Final = tuple(_FACTS)
_WEIGHTS: Final = (35, 25, 20, 20)
_PREFIX: Final = {
    "credit_decision": "loan",
    "claim_summary": "claim",
    "complaint_response": "cmp",
    "refund_reply": "ref",
}
_DIFFICULTY: Final[Mapping[str, Callable[[Mapping[str, str]], float]]] = {
    "credit_decision": lambda facts: min(1.0, amount(facts["Amount requested"]) / 30_000),
    "claim_summary": lambda facts: min(1.0, amount(facts["Estimated damage"]) / 6_000),
    "complaint_response": lambda facts: min(1.0, int(facts["Earlier contacts"]) / 4),
    "refund_reply": lambda facts: 0.8 if 30 < int(facts["Days since delivery"]) < 40 else 0.15,
}


def make_case(rng: random.Random) -> Case:
    """A new case, with ids of its own."""
    kind = rng.choices(KINDS, _WEIGHTS)[0]
    person = rng.choice(_PERSONS)
    mail = f"{person.lower().replace(' ', '.')}{rng.randrange(1, 99)}@example.com"
    customer = {"Customer": person, "Contact": f"{mail}, +1-555-01{rng.randrange(0, 99):02d}"}
    return Case(
        task_id=f"{_PREFIX[kind]}-{rng.getrandbits(32):08x}",
        kind=kind,
        subject_ref=f"cust-{rng.randrange(10_000, 99_999)}",
        facts={**customer, **_FACTS[kind](rng)},
    )
