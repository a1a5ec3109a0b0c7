"""Capture policies: what happens to a text before it leaves the process, and again before it is stored."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from otel_audit.errors import ConfigError

POLICY_VARIABLE: Final = "OTEL_AUDIT_CAPTURE_POLICY"
REFERENCE_VARIABLE: Final = "OTEL_AUDIT_REFERENCE_BASE"
_PATTERN_LENGTH: Final = 512
_LABEL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
# A repeated group that itself repeats without end, such as (a+)+ or (\w*,)*: time grows without bound.
_NESTED: Final = re.compile(r"(?<!\\)\((?:\\.|[^()\\])*(?<!\\)[*+](?:\\.|[^()\\])*\)(?:[*+]|\{\d*,\})")


class Mode(StrEnum):
    """What a policy does with a text."""

    REFERENCE = "reference"
    HASH = "hash"
    REDACTED = "redacted"
    FULL = "full"


_STRICTNESS: Final = (Mode.FULL, Mode.REDACTED, Mode.HASH, Mode.REFERENCE)
DETECTORS: Final = ("email", "phone", "card", "iban", "national_id", "ip", "url", "field", "base64")


@dataclass(frozen=True, slots=True)
class Rules:
    """A mode, and modes of single attributes: exact names, or ``prefix.*``."""

    mode: Mode
    attributes: Mapping[str, Mode] = field(default_factory=dict)

    def mode_of(self, key: str) -> Mode:
        """The mode of an attribute: by its exact name, else the longest prefix, else the default."""
        if not self.attributes or not key:
            return self.mode
        mode = self.attributes.get(key)
        if mode is not None:
            return mode
        at = len(key)
        while (at := key.rfind(".", 0, at)) >= 0:
            mode = self.attributes.get(f"{key[:at]}.*")
            if mode is not None:
                return mode
        return self.mode


@dataclass(frozen=True, slots=True)
class CapturePolicy:
    """A policy, whole. ``label`` is what each entry says about it.

    ``detectors`` are names of ``DETECTORS`` (and ``presidio``); ``patterns`` the customer's own regular
    expressions by kind; ``names`` people to mask wherever they are named; ``reference_base`` the folder that
    texts go to under ``reference``; ``phone_country`` the calling code of numbers written without one;
    ``fetch_references`` prefixes of URIs that the receiver may read to check them.
    """

    name: str
    version: str
    rules: Rules
    services: Mapping[str, Rules] = field(default_factory=dict)
    detectors: frozenset[str] = frozenset(DETECTORS)
    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    reference_base: Path | None = None
    phone_country: str = ""
    fetch_references: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name and version, such as ``redacted/1``."""
        return f"{self.name}/{self.version}"

    def rules_for(self, service: str) -> Rules:
        """The rules of one service."""
        return self.services.get(service, self.rules)


def stricter(one: Mode, other: Mode) -> Mode:
    """The mode that keeps less of a text."""
    return max(one, other, key=_STRICTNESS.index)


def default_policy(mode: str = "redacted") -> CapturePolicy:
    """The policy that a mode's name alone stands for. Raises ConfigError for an unknown mode.

    >>> default_policy().label
    'redacted/1'
    """
    return load_policy({"mode": mode})


def policy_from_environment(environ: Mapping[str, str] | None = None) -> CapturePolicy:
    """The policy of OTEL_AUDIT_CAPTURE_POLICY: a mode, or the path of a TOML file. Unset is ``redacted``."""
    environ = os.environ if environ is None else environ
    return choose_policy(environ.get(POLICY_VARIABLE, "").strip() or Mode.REDACTED, environ)


def choose_policy(choice: str, environ: Mapping[str, str] | None = None) -> CapturePolicy:
    """The policy of a setting: a mode's name, or the path of a TOML file."""
    environ = os.environ if environ is None else environ
    if choice in set(Mode):
        base = environ.get(REFERENCE_VARIABLE, "").strip()
        return load_policy({"mode": choice, **({"reference_base": base} if base else {})})
    path = Path(choice)
    if not path.is_file():
        raise ConfigError(
            f"capture policy {choice!r}: is neither one of {', '.join(Mode)} nor the path of a file that exists"
        )
    return load_policy(path)


def load_policy(source: Mapping[str, Any] | str | os.PathLike[str]) -> CapturePolicy:
    """A policy from a mapping or a TOML file (docs/how-to/privacy.md). Raises ConfigError: what, where, what to do."""
    if isinstance(source, Mapping):
        return _Loader("capture policy", Path()).load(source)
    path = Path(source)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: the capture policy can not be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: the capture policy is no TOML: {exc}") from exc
    return _Loader(str(path), path.parent).load(settings)


_KEYS: Final[dict[str, Any]] = {
    "name": str,
    "version": str,
    "mode": str,
    "attributes": Mapping,
    "services": Mapping,
    "detectors": list,
    "patterns": Mapping,
    "names": list,
    "names_file": str,
    "reference_base": str,
    "phone_country": str,
    "fetch_references": list,
}


class _Loader:
    """Reads one policy; ``where`` begins every message, ``folder`` is what relative paths are relative to."""

    def __init__(self, where: str, folder: Path) -> None:
        self._where = where
        self._folder = folder

    def load(self, settings: Mapping[str, Any]) -> CapturePolicy:
        self._check_keys(settings, _KEYS, "")
        rules = self._rules(settings, "", Rules(Mode.REDACTED))
        services = {}
        for service, given in settings.get("services", {}).items():
            place = f"services.{service}"
            self._check_keys(self._mapping(given, place), {"mode": str, "attributes": Mapping}, f"{place}.")
            services[service] = self._rules(given, f"{place}.", rules)
        name = settings.get("name", rules.mode.value)
        version = settings.get("version", "1")
        for key, text in (("name", name), ("version", version)):
            if not _LABEL.fullmatch(text):
                raise self._error(key, "letters, digits, - _ and . only, at most 64")
        country = settings.get("phone_country", "").lstrip("+")
        if country and not re.fullmatch(r"[1-9][0-9]{0,2}", country):
            raise self._error("phone_country", 'a calling code such as "49"')
        policy = CapturePolicy(
            name=name,
            version=version,
            rules=rules,
            services=services,
            detectors=self._detectors(settings),
            patterns=self._patterns(settings.get("patterns", {})),
            names=self._names(settings),
            reference_base=self._base(settings.get("reference_base")),
            phone_country=country,
            fetch_references=tuple(self._prefixes(settings.get("fetch_references", []))),
        )
        if policy.reference_base is None and any(
            Mode.REFERENCE in (some.mode, *some.attributes.values()) for some in (rules, *services.values())
        ):
            raise self._error(
                "reference_base",
                f"the mode reference needs the folder that texts go to; set it, or {REFERENCE_VARIABLE}",
            )
        return policy

    def _error(self, key: str, expected: str) -> ConfigError:
        return ConfigError(f"{self._where}: {key}: {expected}")

    def _mapping(self, value: Any, place: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._error(place, "a table is expected")
        return value

    def _check_keys(self, settings: Mapping[str, Any], known: Mapping[str, Any], place: str) -> None:
        for key, value in settings.items():
            if key not in known:
                raise self._error(f"{place}{key}", f"is no setting; there are {', '.join(known)}")
            if not isinstance(value, known[key]):
                words: dict[Any, str] = {str: "a text in quotes", list: "a list of texts", Mapping: "a table"}
                raise self._error(f"{place}{key}", f"{words[known[key]]} is expected")
            if known[key] is list and not all(isinstance(item, str) for item in value):
                raise self._error(f"{place}{key}", "a list of texts is expected")

    def _rules(self, settings: Mapping[str, Any], place: str, default: Rules) -> Rules:
        mode = self._mode(settings["mode"], f"{place}mode") if "mode" in settings else default.mode
        attributes = dict(default.attributes)
        for key, text in settings.get("attributes", {}).items():
            if "*" in key.removesuffix(".*"):
                raise self._error(f"{place}attributes.{key}", "a * is allowed at the end only, as in prefix.*")
            attributes[key] = self._mode(text, f"{place}attributes.{key}")
        return Rules(mode, attributes)

    def _mode(self, text: Any, place: str) -> Mode:
        try:
            return Mode(text)
        except ValueError as exc:
            raise self._error(place, f"{text!r} is no mode; there are {', '.join(Mode)}") from exc

    def _detectors(self, settings: Mapping[str, Any]) -> frozenset[str]:
        chosen = frozenset(settings.get("detectors", DETECTORS))
        if unknown := sorted(chosen - {*DETECTORS, "presidio"}):
            raise self._error("detectors", f"{unknown[0]!r} is none; there are {', '.join(DETECTORS)} and presidio")
        return chosen

    def _patterns(self, settings: Mapping[str, Any]) -> dict[str, re.Pattern[str]]:
        patterns = {}
        for kind, text in settings.items():
            place = f"patterns.{kind}"
            if not _KIND.fullmatch(kind):
                raise self._error(place, "its name is what tokens show: lower-case letters, digits and _, at most 32")
            if not isinstance(text, str) or len(text) > _PATTERN_LENGTH:
                raise self._error(place, f"a regular expression of at most {_PATTERN_LENGTH} characters is expected")
            if _NESTED.search(text):
                raise self._error(place, "repeats a repetition, such as (a+)+, and may never end; write it without")
            try:
                pattern = re.compile(text)
            except re.error as exc:
                raise self._error(place, f"is no regular expression: {exc}") from exc
            if pattern.match(""):
                raise self._error(place, "matches the empty text, and so everywhere")
            patterns[kind] = pattern
        return patterns

    def _names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        names = list(settings.get("names", []))
        if file := settings.get("names_file"):
            path = self._folder / file
            try:
                names += path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as exc:
                raise self._error("names_file", f"{path} can not be read as UTF-8 text") from exc
        names = [" ".join(name.split()) for name in names]
        if any(name and len(re.sub(r"[\W_]", "", name)) < 2 for name in names):
            raise self._error("names", "a name has at least two letters")
        return tuple(dict.fromkeys(name for name in names if name and not name.startswith("#")))

    def _base(self, text: str | None) -> Path | None:
        if text is None:
            return None
        path = self._folder / text
        if "://" in text:
            parts = urlsplit(text)
            if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
                raise self._error("reference_base", "a folder or a file:// URI is expected")
            path = Path(unquote(parts.path))
        if path.exists() and not path.is_dir():
            raise self._error("reference_base", f"{path} is no folder")
        return path.absolute()

    def _prefixes(self, prefixes: Iterable[str]) -> Iterable[str]:
        for prefix in prefixes:
            parts = urlsplit(prefix)
            if parts.scheme not in {"file", "https", "s3"}:
                raise self._error("fetch_references", f"{prefix!r}: begins with none of file://, https://, s3://")
            if not prefix.endswith("/"):
                raise self._error("fetch_references", f"{prefix!r}: ends with no /, so that it is no folder")
            if parts.scheme != "file" and not parts.netloc:
                raise self._error("fetch_references", f"{prefix!r}: names no host or bucket")
            yield prefix
