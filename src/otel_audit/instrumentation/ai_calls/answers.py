"""What an AI's answer tells beside its text: log probabilities, and how confident it is. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.util.types import AttributeValue

from otel_audit.instrumentation._faults import note
from otel_audit.semconv import AUDIT_CONFIDENCE, AUDIT_CONFIDENCE_SOURCE

GIVEN: Final = "given"
PARSED: Final = "parsed"
LOGPROBS: Final = "logprobs"
_FENCED: Final = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)

Token = dict[str, Any]  # {"token": str, "logprob": float, "top_logprobs": [...]}


def tokens_of(said: Any) -> list[Token]:
    """Log probabilities of one choice in one form.

    ``said`` is a list of numbers, a list of ``{"token", "logprob", ...}``, or an object with such a list as
    ``content``. Bytes of tokens are left out: they say the same again, in a form that no masking would recognise.
    """
    if isinstance(said, Mapping):
        said = said.get("content")
    elif not isinstance(said, list | tuple):
        said = getattr(said, "content", said)
    found: list[Token] = []
    for item in said if isinstance(said, list | tuple) else ():
        if isinstance(item, int | float):
            found.append({"logprob": float(item)})
            continue
        fields: Any = item if isinstance(item, Mapping) else getattr(item, "__dict__", {})
        token = {name: fields[name] for name in ("token", "logprob") if fields.get(name) is not None}
        if top := tokens_of(fields.get("top_logprobs")):
            token["top_logprobs"] = top
        if token:
            found.append(token)
    return found


def format_logprobs(choices: Iterable[Sequence[Token]]) -> str:
    """JSON of the choices' log probabilities, as OpenAI's chat completions write it; empty without any."""
    listed = [{"content": list(tokens)} for tokens in choices if tokens]
    return json.dumps(listed, ensure_ascii=False, separators=(",", ":"), default=str) if listed else ""


def confidence_of_logprobs(tokens: Sequence[Token]) -> float | None:
    """The geometric mean of the tokens' probabilities: exp of the mean log probability."""
    values = [token["logprob"] for token in tokens if isinstance(token.get("logprob"), int | float)]
    return math.exp(min(0.0, math.fsum(values) / len(values))) if values else None


def parsed_confidence(text: str, path: str) -> float | None:
    """The number that a structured answer has at ``path``, a JSON pointer (``/a/0/b``) or dotted (``a.0.b``)."""
    fenced = _FENCED.fullmatch(text)
    try:
        value = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return None  # this answer is no structured one
    steps = path[1:].split("/") if path.startswith("/") else path.split(".")
    for step in steps:
        if path.startswith("/"):
            step = step.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - RFC 6901 §4
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return checked_confidence(value, f"the answer's {path}") if value is not None else None


def checked_confidence(value: Any, what: str) -> float | None:
    """A confidence from 0 to 1; anything else is noted."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not 0.0 <= found <= 1.0:
        note("confidence", f"{what} is no number from 0 to 1")
        return None
    return found


def confidence_attributes(
    *, given: float | None = None, text: str = "", path: str = "", tokens: Sequence[Token] = ()
) -> dict[str, AttributeValue]:
    """The confidence and where it comes from: given comes before parsed, and parsed before log probabilities."""
    value, source = given, GIVEN
    if value is None and path and text:
        value, source = parsed_confidence(text, path), PARSED
    if value is None:
        value, source = confidence_of_logprobs(tokens), LOGPROBS
    return {} if value is None else {AUDIT_CONFIDENCE: value, AUDIT_CONFIDENCE_SOURCE: source}
