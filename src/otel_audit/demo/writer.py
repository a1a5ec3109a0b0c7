"""What the demo asks the AI, and what its fake AI answers: the live provider and the history share it. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_audit.demo.cases import Case, amount

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assignment:
    """How one kind of case is put to a model."""

    prompt_name: str
    prompt_version: str
    earlier_version: str  # of the prompt, in the first half of a history
    model: str
    snapshot: str  # what the provider says it was answered by
    temperature: float
    max_tokens: int
    system: str
    as_json: bool = False
    tool: Mapping[str, Any] | None = None


_CREDIT_FILE: Final = {
    "type": "function",
    "function": {
        "name": "get_credit_file",
        "description": "Open loans and late payments of an applicant",
        "parameters": {"type": "object", "properties": {"applicant": {"type": "string"}}, "required": ["applicant"]},
    },
}
ASSIGNMENTS: Final = {
    "credit_decision": Assignment(
        "credit-decision", "3.2", "3.1", "gpt-4.1", "gpt-4.1-2025-04-14", 0.0, 300,
        "You prepare credit decisions. Answer in JSON: decision (approve, decline or refer), confidence, reason.",
        as_json=True, tool=_CREDIT_FILE,
    ),
    "claim_summary": Assignment(
        "claim-summary", "1.4", "1.3", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", 0.2, 400,
        "You summarise insurance claims for an adjuster and recommend a payout.",
    ),
    "complaint_response": Assignment(
        "complaint-response", "2.0", "1.9", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", 0.4, 500,
        "You draft replies to complaints: factual, polite, with one next step.",
    ),
    "refund_reply": Assignment(
        "refund-reply", "5.1", "5.0", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", 0.3, 300,
        "You draft short replies to refund requests. Returns are accepted for 30 days.",
    ),
}  # fmt: skip
FINGERPRINTS: Final = {
    "gpt-4.1-2025-04-14": "fp_b3f1157249",
    "gpt-4.1-mini-2025-04-14": "fp_6f2eabb9a5",
    "gpt-4o-mini-2024-07-18": "fp_44709d6fcb",
}
_KIND_BY_SYSTEM: Final = {assignment.system: kind for kind, assignment in ASSIGNMENTS.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: text, or a call of a tool."""

    text: str
    tool_name: str = ""
    tool_arguments: str = ""

    @property
    def finish_reason(self) -> str:
        """OpenAI's word for why it stopped."""
        return "tool_calls" if self.tool_name else "stop"


def prompt_messages(case: Case) -> list[Message]:
    """The chat messages for a case, in OpenAI's form."""
    facts = "\n".join(f"{name}: {value}" for name, value in case.facts.items())
    return [
        {"role": "system", "content": ASSIGNMENTS[case.kind].system},
        {"role": "user", "content": facts},
    ]


def tools(case: Case) -> list[Mapping[str, Any]]:
    """The tools offered to the model."""
    tool = ASSIGNMENTS[case.kind].tool
    return [tool] if tool else []


def credit_file(applicant: str) -> dict[str, Any]:
    """The result of the tool: the same for the same applicant."""
    rng = random.Random(applicant)  # noqa: S311 - made-up data
    return {
        "applicant": applicant,
        "open_loans": rng.choice((0, 0, 1, 2)),
        "late_payments": rng.choice((0, 0, 0, 1, 3)),
    }


def answer(messages: Sequence[Message], *, may_call_tool: bool, rng: random.Random) -> Answer:
    """The model's answer to the messages. Large credits have the credit file fetched first."""
    system = next((str(message["content"]) for message in messages if message["role"] == "system"), "")
    asked = next((str(message["content"]) for message in messages if message["role"] == "user"), "")
    facts = dict(line.split(": ", 1) for line in asked.splitlines() if ": " in line)
    kind = _KIND_BY_SYSTEM.get(system, "")
    if not kind:
        return Answer("I can help with credit decisions, claims, complaints and refunds.")
    result = next((json.loads(message["content"]) for message in messages if message["role"] == "tool"), None)
    if kind == "credit_decision" and may_call_tool and result is None and amount(facts["Amount requested"]) >= 15_000:
        return Answer("", "get_credit_file", json.dumps({"applicant": facts["Customer"]}))
    return Answer(_WRITERS[kind](facts, result or {}, rng))


def tokens(text: str) -> int:
    """Roughly how many tokens a text has."""
    return max(1, round(len(text) / 4.2))


def confidence(text: str) -> float | None:
    """The confidence that a structured answer states, from 0 to 1; None when it states none."""
    try:
        stated = json.loads(text)["confidence"]
    except (ValueError, KeyError, TypeError):
        return None
    return float(stated) if isinstance(stated, int | float) and 0 <= stated <= 1 else None


def _write_credit(facts: Mapping[str, str], credit: Mapping[str, Any], rng: random.Random) -> str:
    income = amount(facts["Monthly net income"])
    rate = amount(facts["Amount requested"]) / int(facts["Term"].split()[0])
    burden = (amount(facts["Existing monthly debt"]) + rate) / income
    score, late = int(facts["Credit score"]), int(credit.get("late_payments", 0))
    if score < 580 or burden > 0.5:
        decision, sure = "decline", 0.9
    elif score < 640 or burden > 0.38 or late > 1 or int(facts["Payslip age"].split()[0]) > 3:
        decision, sure = "refer", 0.62
    else:
        decision, sure = "approve", 0.88
    reason = f"Debt-to-income {burden:.0%}, score {score}, payslip {facts['Payslip age']} old"
    if credit:
        reason += f", {credit['open_loans']} open loans, {late} late payments"
    stated = round(min(0.99, max(0.3, rng.gauss(sure, 0.06))), 2)
    return json.dumps({"decision": decision, "confidence": stated, "reason": reason + "."})


def _write_claim(facts: Mapping[str, str], _credit: Mapping[str, Any], rng: random.Random) -> str:
    damage = amount(facts["Estimated damage"])
    payout = int(damage * rng.choice((0.7, 0.8, 0.9, 1.0)) / 10) * 10
    history = "No earlier claims are known." if facts["Claims in the last 3 years"] == "0" else (
        f"Claims in the last three years: {facts['Claims in the last 3 years']}."
    )  # fmt: skip
    return (
        f"{facts['Customer']} reports a {facts['Cause of loss']} under policy "
        f"{facts['Policy']}, {facts['Reported']}. The damage is estimated at {facts['Estimated damage']}; "
        f"documents on file: {facts['Documents']}. {history} The cause is covered. Recommended payout: {payout:,} EUR."
    )


def _write_complaint(facts: Mapping[str, str], _credit: Mapping[str, Any], rng: random.Random) -> str:
    opening = rng.choice(("Thank you for telling us about this.", "We understand that this was frustrating."))
    step = rng.choice(
        (
            "We are checking your account and will come back to you within five working days.",
            "We have corrected this today, and you will see it on your next statement.",
            "As a gesture of goodwill we will credit 25 EUR to your account.",
        )
    )
    return (
        f"Dear {facts['Customer']},\n\n{opening} You wrote about your {facts['Product']}: "
        f"{facts['Complaint']}. We regret the inconvenience. {step}\n\nKind regards\nCustomer care"
    )


def _write_refund(facts: Mapping[str, str], _credit: Mapping[str, Any], rng: random.Random) -> str:
    late = int(facts["Days since delivery"]) > 30
    body = f"order {facts['Order']} ({facts['Item']}) was delivered {facts['Days since delivery']} days ago. " + (
        "Our return period is 30 days, so we cannot offer a refund."
        if late and facts["Reason"] != "arrived damaged"
        else f"We will refund {facts['Price']} within {rng.choice((3, 5, 7))} days of receiving the item."
    )
    return f"Hello {facts['Customer']},\n\n{body}\n\nBest wishes\nThe returns team"


_WRITERS: Final[Mapping[str, Callable[[Mapping[str, str], Mapping[str, Any], random.Random], str]]] = {
    "credit_decision": _write_credit,
    "claim_summary": _write_claim,
    "complaint_response": _write_complaint,
    "refund_reply": _write_refund,
}
