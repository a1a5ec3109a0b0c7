"""Log probabilities cut an answer into tokens: personal data is masked all the same."""

from __future__ import annotations

import json

import pytest

from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import default_policy
from otel_audit.privacy.redactor import Redactor

_TOKENS = ["Write", " to", " jane", ".", "roe", "@", "example", ".com", ", card ", "4111", "1111", "1111", "1111"]


def _logprobs(tokens: list[str]) -> list[dict[str, object]]:
    return [
        {
            "token": token,
            "logprob": -0.5 - number,
            "bytes": list(token.encode()),
            "top_logprobs": [{"token": token, "logprob": -0.5 - number, "bytes": None}, {"token": "x", "logprob": -9}],
        }
        for number, token in enumerate(tokens)
    ]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_personal_data_in_pieces_is_masked(depth: int) -> None:
    """An address or a card's number that an answer's tokens only spell together is masked; the numbers stay."""
    redactor = Redactor(default_policy(), PseudonymKeys((bytes(32),)))
    value: object = [{"content": _logprobs(_TOKENS)}]
    for _ in range(depth):
        value = json.dumps(value) if depth == 1 else {"output": json.dumps(value)}
    masked = json.dumps(redactor.value("audit.logprobs", value))
    for piece in ("jane", "roe", "4111", "1111", "106, 97"):
        assert piece not in masked
    assert "[email:" in masked
    assert "[card:" in masked
    for number in range(len(_TOKENS)):
        assert f"{-0.5 - number}" in masked


def test_tokens_without_personal_data_stay() -> None:
    """Log probabilities of a harmless answer are the same object as before."""
    redactor = Redactor(default_policy(), PseudonymKeys((bytes(32),)))
    value = [{"content": _logprobs(["Ap", "prove", "."])}]
    assert redactor.value("audit.logprobs", value) is value
    assert redactor.value("audit.logprobs", json.dumps(value)) == json.dumps(value)
