"""Applies a capture policy to texts and attribute values: one engine for applications and for the receiver."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from otel_audit.privacy import hints
from otel_audit.privacy.detectors import Found, find
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.names import NameList
from otel_audit.privacy.policy import CapturePolicy, Mode
from otel_audit.privacy.prefilter import RUN, SEARCH, is_long_run, suspicion
from otel_audit.privacy.references import write_reference
from otel_audit.privacy.structure import Blobs, walk_json
from otel_audit.privacy.token_lists import mask_tokens
from otel_audit.privacy.views import views

TOKEN: Final = re.compile(r"\[[a-z][a-z0-9_]{0,31}:k[0-9a-f]{6}:[a-f][0-9a-f]{18}[a-f]\]")
WHOLE: Final = re.compile(  # what stands for a text that was not kept at all
    r"\[(?:hash:k[0-9a-f]{6}:[a-f][0-9a-f]{18}[a-f];\d+ bytes|ref:[^\s\"\\]+;k[0-9a-f]{6}:[a-f][0-9a-f]{18}[a-f]"
    r"|blob:[a-z0-9.+/-]+;\d+ bytes;k[0-9a-f]{6}:[a-f][0-9a-f]{18}[a-f])\]"
)
_QUERY: Final = re.compile(r"(?:(?<=[?&;])|^)([A-Za-z_][\w.-]{0,63})=([^\s&#;\"'<>]+)")
_SHORT: Final = 128
_REMEMBERED: Final = 1 << 14
_LONG: Final = 256  # bytes; longer texts are text whatever their key: conventions/text.py


class Redactor:
    """One policy, applied for one service. Safe to share between threads.

    >>> from otel_audit.privacy.policy import default_policy
    >>> Redactor(default_policy(), PseudonymKeys((bytes(32),))).text("write to jane.roe@example.com")
    'write to [email:k802b6d:f31507c0cf751baa155d]'
    """

    def __init__(self, policy: CapturePolicy, keys: PseudonymKeys, *, service: str = "") -> None:
        self.policy = policy
        self.label = policy.label
        self._keys = keys
        self._rules = policy.rules_for(service)
        self._is_full = self._rules.mode is Mode.FULL and not self._rules.attributes
        self._names = NameList(policy.names) if policy.names else None
        self._patterns = list(policy.patterns.items())
        self._custom = bool(self._names or self._patterns or "presidio" in policy.detectors)
        self._analyze: Callable[[str], Iterable[tuple[int, int, str]]] | None = None
        if "presidio" in policy.detectors:
            from otel_audit.privacy.presidio import analyzer  # noqa: PLC0415 - an optional extra

            self._analyze = analyzer()
        self._blobs = Blobs(self.blob, self._redact)
        # Results by text, "" for unchanged: one for texts, one for ids. Dictionary operations are atomic; a lost
        # update costs a repeat.
        self.known_names: dict[str, str] = {}
        self.known_ids: dict[str, str] = {}

    # --- the interface

    def text(self, text: str, key: str = "") -> str:
        """``text`` as the policy wants it kept. ``key`` is the attribute it is the value of."""
        mode = self._rules.mode_of(key)
        if mode is Mode.FULL or not text:
            return text
        if mode is Mode.REDACTED:
            return self.string(text, key)
        return self._replaced(text, mode)

    def value(self, key: str, value: Any) -> Any:
        """An attribute's value: str, bool, int, float, bytes, None, or lists and dicts of these.

        The same object when nothing changed. A number that is personal data becomes a token.
        """
        mode = self._rules.mode_of(key)
        if mode is Mode.FULL or value is None or isinstance(value, bool):
            return value
        if mode is not Mode.REDACTED:
            if isinstance(value, str):
                if value and (self._is_text(key) or len(value.encode(errors="replace")) > _LONG):
                    return self._replaced(value, mode)
            elif not isinstance(value, int | float):
                text = json.dumps(value, ensure_ascii=False, default=repr)
                if self._is_text(key) or len(text.encode(errors="replace")) > _LONG:
                    return self._replaced(text, mode)
        return self._walk(key, value)

    def name(self, text: str) -> str:
        """The name of a thing (a span, an event, an attribute's key, a scope), which has no key of its own."""
        return text if self._is_full or not text else self._redact(text)

    def identifier(self, text: str) -> str:
        """An id or a version: only what can hardly be anything else is masked, so that ids go on to join records.

        A text with spaces is no id, whatever it is called.
        """
        if self._is_full:
            return text
        known = self.known_ids.get(text)
        if known is None:
            if " " in text or len(text) > _SHORT:
                known = self._redact(text)
            else:
                known = self._mask(text, careful=True) if self._custom or suspicion(text) & SEARCH else text
            self._remember(self.known_ids, text, known)
        return known or text

    def typed(self, key: str, text: str, markers: Mapping[str, str]) -> str:
        """Typed JSON (docs/design/normalising.md) with its texts masked; ``markers`` gives content its new names."""
        mode = self._rules.mode_of(key)
        if mode is Mode.FULL:
            return text
        walked = walk_json(text, self, key, markers)
        return walked if walked is not None else self._redact(text)

    def mode_of(self, key: str) -> Mode:
        """The policy's mode for an attribute of this service."""
        return self._rules.mode_of(key)

    def tokens(self, kind: str, value: str) -> list[str]:
        """All tokens that a normalised value may have had under the keys that are known."""
        return self._keys.tokens(kind, value)

    def digest_of(self, text: str) -> str:
        """What ``hash`` leaves of a text: keyed hash and size in bytes."""
        return f"[hash:{self._keys.digest('hash', text)};{len(text.encode(errors='replace'))} bytes]"

    # --- modes

    def _replaced(self, text: str, mode: Mode) -> str:
        if WHOLE.fullmatch(text) and self._redact(text) == text:
            return text
        if mode is Mode.REFERENCE and self.policy.reference_base is not None:
            digest = self._keys.digest("ref", text)
            return f"[ref:{write_reference(self.policy.reference_base, digest, text)};{digest}]"
        return self.digest_of(text)

    @staticmethod
    def _is_text(key: str) -> bool:
        from otel_audit.conventions.text import CLASSES, PLAIN  # noqa: PLC0415 - only these modes need it

        return CLASSES[key] != PLAIN

    # --- redaction

    def _walk(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return self.string(value, key) if value else value
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return self._number(key, value)
        if isinstance(value, bytes):
            return self.octets(value)
        if isinstance(value, Mapping):
            items = [
                (self._key(name), self._walk(name if isinstance(name, str) else "", item))
                for name, item in value.items()
            ]
            if all(new is old for (new, _), old in zip(items, value, strict=True)) and all(
                new is old for (_, new), old in zip(items, value.values(), strict=True)
            ):
                return value
            return dict(_distinct(items))
        if isinstance(value, list | tuple):
            tokens = mask_tokens(value, lambda item: item if isinstance(item, Mapping) else None, self._redact)
            if tokens is not None:
                return tokens
            parts = [self._walk(key, item) for item in value]
            if all(new is old for new, old in zip(parts, value, strict=True)):
                return value
            return type(value)(parts) if type(value) in (list, tuple) else parts
        return value

    def _key(self, key: Any) -> Any:
        return self.name(key) if isinstance(key, str) else key

    def _number(self, key: str, value: float) -> Any:
        text = str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e20 else str(value)
        return self.number(key, text) or value

    def number(self, key: str, text: str) -> str | None:
        """The token for a number that is personal data, or None."""
        size = len(text)
        if size < 5:
            return None
        kind = hints.hint(key) if "field" in self.policy.detectors else ""
        if kind and kind != "id" and hints.fits(kind, text) and text.isdigit():
            return self._token(kind, text)
        if self._custom or (13 <= size <= 19 and text[0] in "2345689"):  # no card's number begins with another digit
            masked = self._mask(text, careful=True)
            return masked if masked != text else None
        return None

    def octets(self, value: bytes) -> Any:
        """Bytes, masked by what they say: the same object when nothing was found, a token where nobody can look."""
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
            return (
                self.blob("application/octet-stream", value) if len(value) > 64 or self._redact(text) != text else value
            )
        if "\0" in text and len(value) > 64:
            return self.blob("application/octet-stream", value)
        masked = self._redact(text)
        return value if masked == text else masked.encode(errors="replace")

    def string(self, text: str, key: str) -> str:
        """A string under a key, which may say what it is."""
        kind = hints.hint(key) if key else ""
        if kind == "id":
            return self.identifier(text)
        if kind and "field" in self.policy.detectors and hints.fits(kind, text) and not TOKEN.search(text):
            masked = self._redact(text)
            return masked if TOKEN.fullmatch(masked) else self._token(kind, text)
        return self._redact(text)

    def _redact(self, text: str) -> str:
        if len(text) > _SHORT:
            return self._looked_into(text)
        known = self.known_names.get(text)
        if known is None:
            known = self._looked_into(text)
            self._remember(self.known_names, text, known)
        return known or text

    def _looked_into(self, text: str) -> str:
        why = SEARCH | RUN if self._custom else suspicion(text)
        if why & SEARCH or (why and "\\" in text):  # base64 in lines, within JSON
            return self._mask(text)
        if not why or "base64" not in self.policy.detectors:
            return text
        masked = self._blobs.mask(text)
        return text if masked == text else masked  # the same object: a caller may ask by `is`

    @staticmethod
    def _remember(cache: dict[str, str], text: str, result: str) -> None:
        if len(text) <= _SHORT:
            if len(cache) >= _REMEMBERED:
                cache.clear()
            cache[text] = "" if result == text else result

    def _mask(self, text: str, *, careful: bool = False) -> str:
        """Replace all that is found in a text, in what it decodes to, and in what it holds as JSON or base64."""
        if not careful and text.lstrip()[:1] in {"{", "[", '"'}:
            walked = walk_json(text, self)
            if walked is not None:
                return walked
        spans = self._spans(text, careful=careful)
        for view in views(text):
            spans += [
                Found(*view.source(start, end), kind, value)
                for start, end, kind, value in self._spans(view.text, careful=careful)
                if end > start
            ]
        masked = self._replace(text, spans) if spans else text
        if not careful and "base64" in self.policy.detectors and is_long_run(masked):
            masked = self._blobs.mask(masked)
        return text if masked == text else masked

    def _spans(self, text: str, *, careful: bool) -> list[Found]:
        found = find(text, self.policy.detectors, self.policy.phone_country, careful=careful)
        if self._names is not None:
            found += [Found(start, end, "name", normal) for start, end, normal in self._names.find(text)]
        for kind, pattern in self._patterns:
            found += [Found(*match.span(), kind, match[0]) for match in pattern.finditer(text) if match[0]]
        if not careful and "field" in self.policy.detectors and "=" in text:
            for match in _QUERY.finditer(text):
                kind = hints.hint(match[1])
                if kind and kind != "id" and hints.fits(kind, match[2]) and not TOKEN.search(match[2]):
                    found.append(Found(*match.span(2), kind, match[2]))
        if self._analyze is not None and not careful:
            found += [Found(start, end, kind, text[start:end]) for start, end, kind in self._analyze(text)]
        return found

    def _replace(self, text: str, spans: list[Found]) -> str:
        tokens = [match.span() for match in TOKEN.finditer(text)] if "[" in text else []
        spans.sort(key=lambda span: (span.start, -span.end))
        pieces: list[str] = []
        done = 0
        group: list[Found] = []
        for span in [*spans, Found(len(text) + 1, len(text) + 1, "", "")]:
            if tokens and any(start <= span.start and span.end <= end for start, end in tokens):
                continue
            if group and span.start >= max(item.end for item in group):
                end = max(item.end for item in group)
                best = max(group, key=lambda item: item.end - item.start)
                pieces += (text[done : group[0].start], self._token(best.kind, best.value))
                done = end
                group = []
            group.append(span)
        pieces.append(text[done:])
        return "".join(pieces)

    def _token(self, kind: str, value: str) -> str:
        if TOKEN.fullmatch(value):
            return value
        return self._keys.token(kind, normal_form(kind, value))

    def blob(self, mime: str, raw: bytes) -> str:
        """The token for bytes that nobody can look into."""
        return f"[blob:{mime};{len(raw)} bytes;{self._keys.digest('blob', raw.hex())}]"


def normal_form(kind: str, value: str) -> str:
    """What different ways to write a value have in common."""
    if kind in {"card", "national_id", "ssn"}:
        return re.sub(r"[\W_]", "", value).upper()
    if kind == "phone":
        digits = re.sub(r"[^\d+]", "", value.replace("(0)", ""))
        return f"+{digits[2:]}" if digits.startswith("00") else digits
    return " ".join(value.split()).casefold() if kind == "name" else value


def _distinct(items: Iterable[tuple[Any, Any]]) -> Iterable[tuple[Any, Any]]:
    """Pairs whose keys differ: two spellings of one value have one token, and both entries stay."""
    seen: dict[Any, int] = {}
    for key, item in items:
        seen[key] = seen.get(key, 0) + 1
        yield (key if seen[key] == 1 else f"{key}#{seen[key]}"), item
