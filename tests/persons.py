"""Made-up persons with every kind of personal data, and a search for what is left of them."""

from __future__ import annotations

import base64
import html
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

_FIRST = ("Jane", "Ümit", "Søren", "Marie-Claire", "Ann", "José", "Petra", "Kofi", "Li", "Oksana")
_DOMAINS = ("beispielmail.example", "beispielmail.co.uk", "post.beispielmail.de", "bücherwurm-beispielmail.de")
_IBAN_BODY = {"DE": 18, "ES": 20, "PL": 24}


def luhn_complete(digits: str) -> str:
    """``digits`` and the check digit that makes them pass."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char)
        if place % 2 == 0:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return digits + str(-total % 10)


def iban(country: str, body: str) -> str:
    number = int("".join(str(int(char, 36)) for char in f"{body}{country}00"))
    return f"{country}{98 - number % 97:02d}{body}"


def pesel(rng: random.Random) -> str:
    digits = f"{rng.randrange(30, 99)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}{rng.randrange(10**4):04d}"
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
    return digits + str(-sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 10)


@dataclass(frozen=True)
class Person:
    """One person; each value in the ways people write it."""

    name: str
    email: tuple[str, ...]
    phone: tuple[str, ...]
    card: tuple[str, ...]
    iban: tuple[str, ...]
    ssn: str
    national_id: str
    ip: str
    customer: str
    values: tuple[str, ...] = field(default=())

    def written(self) -> tuple[str, ...]:
        """Every value in every way it is written."""
        return (
            self.name,
            *self.email,
            *self.phone,
            *self.card,
            *self.iban,
            self.ssn,
            self.national_id,
            self.ip,
            self.customer,
        )

    def sentence(self, rng: random.Random) -> str:
        """A text that names one of each."""
        return (
            f"{self.name} <{rng.choice(self.email)}> called from {rng.choice(self.phone)}, paid with "
            f"{rng.choice(self.card)}; account {rng.choice(self.iban)}, SSN {self.ssn}, id {self.national_id} "
            f"({self.ip}), customer {self.customer}."
        )


def person(rng: random.Random, number: int) -> Person:
    letters = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(6))
    first, last = rng.choice(_FIRST), f"Quandtmeyer{letters}"
    email = f"{first.lower()}.{last.lower()}{number}@{rng.choice(_DOMAINS)}"
    area, line = rng.randrange(151, 180), f"{rng.randrange(10**9):09d}"
    visa = luhn_complete(f"4{rng.randrange(10**14):014d}")
    country = rng.choice(tuple(_IBAN_BODY))
    account = iban(country, f"{rng.randrange(10 ** _IBAN_BODY[country]):0{_IBAN_BODY[country]}d}")
    return Person(
        name=f"{first} {last}",
        email=(email, email.title(), email.upper()),
        phone=(
            f"+49{area}{line}",
            f"+49 {area} {line[:4]} {line[4:]}",
            f"0049-{area}-{line}",
            f"0{area}/{line}",
            f"(+49) {area} {line}",
        ),
        card=(visa, f"{visa[:4]} {visa[4:8]} {visa[8:12]} {visa[12:]}", "-".join(re.findall("....", visa))),
        iban=(account, " ".join(account[at : at + 4] for at in range(0, len(account), 4))),
        ssn=f"{rng.randrange(1, 665):03d}-{rng.randrange(1, 99):02d}-{rng.randrange(1, 9999):04d}",
        national_id=pesel(rng),
        ip=f"{rng.randrange(11, 126)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}",
        customer=f"KDNR-{rng.randrange(10**6):06d}",
    )


_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")
_ESCAPE = re.compile(rb"\\+u([0-9a-fA-F]{4})")
_SEPARATORS = re.compile(rb"(?<=\d)(?:[ ./()-]|\xc2\xa0){1,2}(?=\d)")
_STEMS = re.compile(rb"quandtmeyer|beispielmail|kdnr-\d", re.IGNORECASE)


class Search:
    """Looks for the persons' values in bytes, as they are and decoded."""

    def __init__(self, persons: Iterable[Person]) -> None:
        persons = list(persons)
        self._literal = {value.encode() for p in persons for value in (p.ssn, p.ip, p.national_id)}
        # A telephone number without its country code: what all ways to write it have in common.
        numbers = {value.encode() for p in persons for value in (p.phone[0][3:], p.card[0], p.iban[0][2:])}
        self._numbers = {size: {n for n in numbers if len(n) == size} for size in {len(n) for n in numbers}}

    def survivors(self, raw: bytes) -> set[bytes]:
        """What is found of anybody."""
        found = self._plain(raw)
        for decoded in self._decoded(raw):
            found |= self._plain(decoded)
        return found

    def _plain(self, raw: bytes) -> set[bytes]:
        found = set(_STEMS.findall(raw))
        found |= self._literal & set(re.findall(rb"(?<!\d)\d{3}-\d\d-\d{4}(?!\d)", raw))
        found |= self._literal & set(re.findall(rb"(?<!\d)\d{11}(?!\d)", raw))
        found |= self._literal & set(re.findall(rb"(?<![\d.])\d+\.\d+\.\d+\.\d+(?![\d.])", raw))
        for text in (raw, _SEPARATORS.sub(b"", raw)):
            for run in set(re.findall(rb"\d{11,}", text)):
                for size, numbers in self._numbers.items():
                    found |= {run[at : at + size] for at in range(len(run) - size + 1)} & numbers
        return found

    @staticmethod
    def _decoded(raw: bytes) -> Iterable[bytes]:
        if b"%" in raw:
            yield unquote_to_bytes(raw)
        if b"\\u" in raw:
            yield _ESCAPE.sub(lambda m: chr(int(m[1], 16)).encode(errors="replace"), raw)
        if b"&" in raw:
            yield html.unescape(raw.decode(errors="replace")).encode()
        pieces = []
        for run in _BASE64.findall(raw):
            compact = run.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
            if len(compact) % 4 != 1:
                pieces.append(base64.b64decode(compact + b"=" * (-len(compact) % 4)))
        yield b"\n".join(pieces)
