"""Log probabilities: an answer cut into tokens, in which no detector sees what only the whole text shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def mask_tokens(
    items: Sequence[Any], fields_of: Callable[[Any], Mapping[str, Any] | None], mask: Callable[[str], str]
) -> list[dict[str, Any]] | None:
    """A list of ``{"token": ..., "logprob": ...}`` whose tokens together hold personal data, masked; else None.

    The masked text is the first item's token, and the others have none: where masking changed the text, its pieces,
    their bytes and the alternatives to them would tell what was there. All numbers stay, in order. ``fields_of`` gives
    an item's fields, None when it is no object; ``mask`` masks a text.
    """
    fields = [fields_of(item) for item in items]
    found = [each for each in fields if each is not None and "logprob" in each and isinstance(each.get("token"), str)]
    if len(found) < 2 or len(found) != len(items):
        return None
    text = "".join(each["token"] for each in found)
    masked = mask(text)
    if masked == text:
        return None
    numbers: list[dict[str, Any]] = [{"logprob": each["logprob"]} for each in found]
    for number, each in zip(numbers, found, strict=True):
        top = each.get("top_logprobs")
        alternatives = [fields_of(item) for item in top] if isinstance(top, list | tuple) else []
        if alternatives:
            number["top_logprobs"] = [
                {"logprob": item["logprob"]} for item in alternatives if item and "logprob" in item
            ]
    return [{"token": masked, **numbers[0]}, *numbers[1:]]
