"""Numbers that name a person: cards, accounts, telephones, national ids, addresses of the Internet protocol.

A text is searched for clusters of digits; only around one with enough digits anything is tried.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from otel_audit.privacy import checksums

Span: TypeAlias = tuple[int, int, str, str]  # start, end, kind, normalised value
_Group: TypeAlias = tuple[int, int, str]  # start, end, digits

_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2212"
_BLANKS: Final = " \t\u00a0\u2007\u2009\u202f"
_CLUSTER: Final = re.compile(rf"\d(?:[{_BLANKS}.\-/()+{_DASHES}]{{0,3}}\d)*")
_DIGITS: Final = re.compile(r"\d+")
_SHORTEST: Final = 7  # characters of 1.1.1.1, and of a telephone number without its area
_CONTEXT: Final = 40  # characters before a number that may say what it is

_PHONE_WORD: Final = re.compile(
    r"(?:\b|_)(?:tel|phone|telephone|telefon\w*|t[eé]l[eé]phone|tel[eé]fono|mobile?|m[oó]vil|portable|handy|cell|cellphone|fax|call(?:ed|ing)?"
    r"|whatsapp|sms|text|contact|dial|ring|reach(?:ed)?|msisdn|rufnummer|nummer)\b(?:[^\d\n]|\bno\b){0,24}$",
    re.IGNORECASE,
)
_ID_WORD: Final = re.compile(
    r"(?:\b|_)(?:ssn|social[ _-]?security|tax[ _-]?(?:id|number|payer)|tin|bsn|burgerservicenummer|sofinummer"
    r"|personnummer|pesel|steuer-?(?:id|identifikationsnummer|nummer)|national[ _-]?(?:id|insurance)|nino|nir"
    r"|s[eé]curit[eé] sociale|insee)\b[^\d\n]{0,16}$",
    re.IGNORECASE,
)
# What stands before a version of four parts. A letter v has to touch it, and a slash to follow a product's name
# (Chrome/126.0.0.0) that is no part of a path: of anything else an address is the worse thing to miss.
_VERSION_WORD: Final = re.compile(
    r"(?:\bv|(?i:\bver\.?|version|release|build|firmware|\boid|semver)[\s\"':=#.]{0,3}|(?<![/\w.-])[A-Z][A-Za-z]+/)$"
)
_NINO: Final = re.compile(
    r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]([ -]?)\d{2}\1\d{2}\1\d{2}\1[A-D](?!\w)"
)
_NIE: Final = re.compile(r"([XYZ])-?(\d{7})-?([A-Z])(?!\w)")
_DNI: Final = re.compile(r"(\d{2}\.?\d{3}\.?\d{3})[ -]?([A-Z])(?!\w)")
_CF: Final = re.compile(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)", re.IGNORECASE)
_CORSICAN: Final = re.compile(r"[12] ?\d\d ?\d\d ?2[AB] ?\d{3} ?\d{3} ?\d\d(?!\w)")
_IBAN_CHARS: Final = re.compile(rf"[{_BLANKS}-]?[A-Za-z0-9]")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_DATE_TIME: Final = re.compile(
    r"(?:(?:19|20)\d\d([-./])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])|(?:0?[1-9]|[12]\d|3[01])([-./])(?:0?[1-9]|1[0-2])\2(?:19|20)?\d\d"
    r"|(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])/(?:19|20)?\d\d)(?!\d)"
)


def find_numbers(text: str, wanted: frozenset[str], phone_country: str, *, careful: bool) -> Iterator[Span]:
    """Personal numbers of a text, none overlapping another."""
    done = 0
    for cluster in _CLUSTER.finditer(text):
        start, end = cluster.span()
        start = max(start, done)
        before = text[start - 1 : start]
        lettered = before.isalpha() or (before in {" ", "-"} and text[start - 2 : start - 1].isupper())
        if lettered or end - start >= _SHORTEST:
            for span in _Search(text, start, end, wanted, phone_country, careful=careful).run(lettered=lettered):
                done = span[1]
                yield span


class _Search:
    """The search of one cluster of digits."""

    def __init__(
        self, text: str, start: int, end: int, wanted: frozenset[str], phone_country: str, *, careful: bool
    ) -> None:
        self.text, self.start, self.end = text, start, end
        self.wanted, self.careful, self.phone_country = wanted, careful, phone_country
        self.groups: list[_Group] = []

    def run(self, *, lettered: bool) -> Iterator[Span]:
        """The personal numbers of the cluster. ``lettered``: letters stand before it, and may belong to it."""
        text = self.text
        if lettered:
            span = self._lettered(self.start)
            if span is not None:
                yield span
                self.start = span[1]
        if self.end - self.start < _SHORTEST:
            return
        self.groups = [(m.start(), m.end(), _plain(m[0])) for m in _DIGITS.finditer(text, self.start, self.end)]
        at = 0
        while at < len(self.groups):
            span = self._at(at) if self._begins(self.groups[at][0]) else None
            if span is None:
                at += 1
                continue
            if span[2]:
                yield span
            while at < len(self.groups) and self.groups[at][0] < span[1]:
                at += 1

    # --- numbers that begin with letters

    def _lettered(self, start: int) -> Span | None:
        """An IBAN, NINO, NIE or codice fiscale whose first digit is at ``start``."""
        text = self.text
        if "iban" in self.wanted and start >= 2 and text[start - 2].isalpha() and self._word_begins(start - 2):
            compact = text[start - 2 : start].upper()
            length = checksums.IBAN_LENGTHS.get(compact, 0)
            end = start
            while len(compact) < length and (char := _IBAN_CHARS.match(text, end)):
                compact += char[0][-1].upper()
                end = char.end()
            if length and self._word_ends(end) and checksums.iban(compact) and not self._in_uuid(start - 2, end):
                return start - 2, end, "iban", compact
        if self.careful or "national_id" not in self.wanted:
            return None
        if start >= 6 and self._word_begins(start - 6) and (match := _CF.match(text, start - 6)):
            compact = match[0].upper()
            if checksums.codice_fiscale(compact):
                return *match.span(), "national_id", compact
        for begin in (start - 2, start - 3):
            if begin >= 0 and self._word_begins(begin) and (match := _NINO.match(text, begin)):
                return *match.span(), "national_id", re.sub(r"[ -]", "", match[0])
        if start >= 1 and self._word_begins(start - 1) and (match := _NIE.match(text, start - 1)):
            digits = _plain(match[2])
            if checksums.dni(f"{'XYZ'.index(match[1])}{digits}", match[3]):
                return *match.span(), "national_id", f"{match[1]}{digits}{match[3]}"
        return None

    # --- numbers that begin with a digit

    def _at(self, at: int) -> Span | None:
        """What begins at a group. A span of no kind is a date, a time or an address of no person: left, and passed."""
        start = self.groups[at][0]
        address = self._ip(at)  # before dates: 22.1.53.37 begins like one
        if address is not None:
            return address
        date = _DATE_TIME.match(self.text, start)
        if date is not None:
            return start, date.end(), "", ""
        for search in (self._national, self._card, self._phone):
            span = search(at)
            if span is not None:
                return span
        return None

    def _begins(self, start: int) -> bool:
        before = self.text[start - 1] if start else " "
        return not (before.isalnum() or before == "_")

    def _word_begins(self, start: int) -> bool:
        return start == 0 or (start > 0 and not (self.text[start - 1].isalnum() or self.text[start - 1] == "_"))

    def _word_ends(self, end: int) -> bool:
        after = self.text[end] if end < len(self.text) else " "
        return not (after.isalnum() or after == "_")

    def _before(self, start: int) -> str:
        return self.text[max(0, start - _CONTEXT) : start]

    def _separator(self, at: int) -> str:
        return self.text[self.groups[at][1] : self.groups[at + 1][0]]

    def _ip(self, at: int) -> Span | None:
        if "ip" not in self.wanted or self.careful or at + 3 >= len(self.groups):
            return None
        parts = [self.groups[at + number][2] for number in range(4)]
        if any(self._separator(at + number) != "." for number in range(3)):
            return None
        if any(len(part) > 3 or int(part) > 255 or (len(part) > 1 and part[0] == "0") for part in parts):
            return None
        start, end = self.groups[at][0], self.groups[at + 3][1]
        if not self._word_ends(end) or (
            self.text[end : end + 2].strip(" ")[:1] == "." and self.text[end + 1 : end + 2].isdigit()
        ):
            return None
        if (self.text[start - 1 : start] == "." and self.text[start - 2 : start - 1].isdigit()) or (
            self.text[start - 2 : start] != "//" and _VERSION_WORD.search(self._before(start))
        ):
            return start, end, "", ""
        if parts[0] in {"0", "127", "255"}:
            return start, end, "", ""  # no host's own: unspecified, loopback, mask
        return start, end, "ip", ".".join(parts)

    def _national(self, at: int) -> Span | None:
        if "national_id" not in self.wanted:
            return None
        start, end, digits = self.groups[at]
        shape = self._shape(at, 3)
        if (
            shape is not None
            and shape[0] == [3, 2, 4]
            and shape[1][0] == shape[1][1]
            and shape[1][0] in {"-", " ", ".", *_DASHES}
        ):
            dashed = shape[1][0] not in {" ", "."}
            if (dashed or (not self.careful and _ID_WORD.search(self._before(start)))) and checksums.ssn(*shape[2]):
                return start, shape[3], "ssn", "".join(shape[2])
        if self.careful:
            return None
        if len(digits) == 8 or (len(digits) == 2 and self._separator_is(at, ".")):
            match = _DNI.match(self.text, start)
            if match and checksums.dni(_plain(match[1].replace(".", "")), match[2]):
                return *match.span(), "national_id", _plain(match[1].replace(".", "")) + match[2]
        if len(digits) in {1, 5, 7} and (match := _CORSICAN.match(self.text, start)):
            compact = match[0].replace(" ", "")
            if checksums.nir(compact):
                return *match.span(), "national_id", compact
        for lengths, check in _NATIONAL:
            shape = self._shape(at, len(lengths))
            if shape is not None and shape[0] == list(lengths) and check("".join(shape[2]), shape[1]):
                compact = "".join(shape[2])
                return start, shape[3], "national_id", compact[-10:] if lengths in _SWEDISH else compact
        if 9 <= len(digits) <= 12 and self._word_ends(end) and _ID_WORD.search(self._before(start)):
            return (
                start,
                end,
                "ssn" if len(digits) == 9 else "national_id",
                digits[-10:] if len(digits) == 12 else digits,
            )
        return None

    def _separator_is(self, at: int, separator: str) -> bool:
        return at + 1 < len(self.groups) and self._separator(at) == separator

    def _shape(self, at: int, count: int) -> tuple[list[int], list[str], list[str], int] | None:
        """Lengths, separators and digits of ``count`` groups from here, and where they end; None if they do not end."""
        last = at + count - 1
        if last >= len(self.groups) or not self._word_ends(self.groups[last][1]):
            return None
        groups = self.groups[at : last + 1]
        separators = [self._separator(at + number) for number in range(count - 1)]
        end = groups[-1][1]
        after = self.text[end : end + 2]
        if len(after) == 2 and after[0] in "-." and after[1].isdigit() and count > 1:
            return None  # goes on: part of something longer
        return [len(group[2]) for group in groups], separators, [group[2] for group in groups], end

    def _card(self, at: int) -> Span | None:
        if "card" not in self.wanted:
            return None
        if self._is_fraction(at):
            return None
        digits, last, best, separators = "", at, None, set[str]()
        while last < len(self.groups):
            digits += self.groups[last][2]
            if len(digits) > 19 or (last > at and not self._are_card_groups(at, last)):
                break
            end = self.groups[last][1]
            if (
                len(digits) >= 13
                and self._word_ends(end)
                and checksums.is_card_range(digits)
                and checksums.luhn(digits)
            ):
                best = (self.groups[at][0], end, "card", digits)
            if last + 1 < len(self.groups):
                separators.add(self._separator(last))
                if len(self._separator(last)) > 1 or (self.careful and len(separators) > 1):
                    break
            last += 1
        if best is None or self._in_uuid(best[0], best[1]):
            return None
        start, end = best[0], best[1]
        if (
            self.text[start:end].isdigit()
            and self.text[end : end + 1] == "."
            and self.text[end + 1 : end + 2].isdigit()
        ):
            return None  # a measured number
        return best

    def _are_card_groups(self, at: int, last: int) -> bool:
        """Groups as people write them, 4-4-4-4 or 4-6-5: not a long number and its decimals."""
        return all(2 <= len(group[2]) <= 8 for group in (self.groups[at], self.groups[last]))

    def _is_fraction(self, at: int) -> bool:
        """Whether a group is what comes after a decimal point."""
        start = self.groups[at][0]
        return start >= 2 and self.text[start - 1] == "." and self.text[start - 2].isdigit()

    def _in_uuid(self, start: int, end: int) -> bool:
        return any(
            match.start() <= start and end <= match.end()
            for match in _UUID.finditer(self.text, max(0, start - 36), min(len(self.text), end + 36))
        )

    # --- telephone numbers

    def _phone(self, at: int) -> Span | None:
        if "phone" not in self.wanted:
            return None
        start = self.groups[at][0]
        opening = start - 1 if self.text[start - 1 : start] == "(" else start
        plus = self.text[opening - 1 : opening] == "+" if opening else False
        if plus and opening >= 2 and self.text[opening - 2].isalnum():
            plus = False  # a sum
        if plus:
            span = self._run(at, 7, 15)
            if span is not None and _country(span[1]):
                return opening - 1, span[0], "phone", _international(span[1])
            return None
        return None if self.careful else self._domestic(at, opening)

    def _domestic(self, at: int, opening: int) -> Span | None:
        """A telephone number that does not begin with +, by its shape or by the word before it."""
        start, _, first = self.groups[at]
        if first.startswith("00") and _country(first[2:] + "".join(g[2] for g in self.groups[at + 1 : at + 3])):
            span = self._run(at, 10, 17)
            if span is not None and not self._in_uuid(start, span[0]):
                return opening, span[0], "phone", _international(span[1][2:])
        if shape := self._shape(at, 3):
            lengths, separators, digits, end = shape
            if (
                lengths == [3, 3, 4]
                and separators[1] in {"-", ".", " ", *_DASHES}
                and separators[0].strip(") ") in {"", separators[1]}
                and not self._in_uuid(start, end)
            ):
                return opening, end, "phone", self._national_form("".join(digits), trunk="1")
        if shape := self._shape(at, 4):
            lengths, separators, digits, end = shape
            if (
                lengths == [1, 3, 3, 4]
                and digits[0] == "1"
                and set(separators) <= {"-", ".", " ", " (", ") ", "-(", ")-"}
            ):
                return opening, end, "phone", "+" + "".join(digits)
        if len(first) >= 2 and first[0] == "0" and first[1] != "0" and len(first) <= 6 and at + 1 < len(self.groups):
            span = self._run(at, 9, 13)
            if span is not None and span[0] > self.groups[at][1] and not self._in_uuid(start, span[0]):
                return opening, span[0], "phone", self._national_form(span[1])
        if _PHONE_WORD.search(self._before(opening)):
            span = self._run(at, 7, 15)
            if span is not None:
                return opening, span[0], "phone", self._national_form(span[1])
        return None

    def _run(self, at: int, least: int, most: int) -> tuple[int, str] | None:
        """The longest row of groups from here that a telephone number may be: where it ends, and its digits."""
        digits, end, result = "", 0, None
        for number in range(at, len(self.groups)):
            group_start, end, group = self.groups[number]
            if number > at and (
                (_DATE_TIME.match(self.text, group_start) and len(digits) >= least)
                or self._separator(number - 1).count("+")
            ):
                break
            if number > at and self._separator(number - 1).strip(_BLANKS) == "(" and len(digits) >= least:
                break
            digits += "" if self._is_trunk(number) else group
            if len(digits) > most:
                break
            if len(digits) >= least and (self._word_ends(end) or _is_extension(self.text, end)):
                result = (end, digits)
        return result

    def _is_trunk(self, number: int) -> bool:
        """The (0) of +49 (0)30, which is not dialled from abroad."""
        start, end, group = self.groups[number]
        return group == "0" and self.text[start - 1 : start] == "(" and self.text[end : end + 1] == ")"

    def _national_form(self, digits: str, trunk: str = "") -> str:
        country = self.phone_country or trunk
        return f"+{country}{digits.removeprefix('0')}" if country else digits


def _is_extension(text: str, end: int) -> bool:
    return text[end : end + 1] in {"x", "X"} and text[end + 1 : end + 2].isdigit()


def _country(digits: str) -> bool:
    return any(digits[:size] in checksums.COUNTRY_CODES for size in (1, 2, 3))


def _international(digits: str) -> str:
    return f"+{digits}"


def _plain(digits: str) -> str:
    """ASCII digits, whatever script they are written in."""
    return digits if digits.isascii() else "".join(str(unicodedata.decimal(char)) for char in digits)


def _spaced(separators: list[str]) -> bool:
    return all(separator in _BLANKS for separator in separators)


_SWEDISH: Final = ((6, 4), (8, 4))
_NATIONAL: Final[tuple[tuple[tuple[int, ...], Callable[[str, list[str]], bool]], ...]] = (
    ((11,), lambda digits, _: checksums.pesel(digits) or checksums.steuer_id(digits)),
    ((2, 3, 3, 3), lambda digits, separators: _spaced(separators) and checksums.steuer_id(digits)),
    ((15,), lambda digits, _: checksums.nir(digits)),
    ((1, 2, 2, 2, 3, 3, 2), lambda digits, separators: _spaced(separators) and checksums.nir(digits)),
    ((13, 2), lambda digits, separators: _spaced(separators) and checksums.nir(digits)),
    ((6, 4), lambda digits, separators: separators[0] in {"-", "+"} and checksums.personnummer(digits)),
    ((8, 4), lambda digits, separators: separators[0] in {"-", "+"} and checksums.personnummer(digits[2:])),
)
