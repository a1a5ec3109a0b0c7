"""Where personal data is in a text: spans with their kind and their normalised value. Pure functions.

A value is normalised so that all ways to write it get the same token. ``careful`` is for names and ids,
where a false alarm would cut what joins records: only what can hardly be anything else is found then.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from otel_audit.privacy.numbers import find_numbers

_SPACES: Final = "\u00a0\u2007\u2009\u202f"


class Found(NamedTuple):
    """Personal data at ``text[start:end]``; ``value`` is its normal form."""

    start: int
    end: int
    kind: str
    value: str


# The class in the lookbehind is the class of the local part: each run is tried once, so time is linear.
_EMAIL: Final = re.compile(
    r"(?<![\w.+'~!#$*^`{|}-])[\w.+'~!#$*^`{|}-]++[@\uff20]"
    r"(?:\[?(?:\d{1,3}\.){3}\d{1,3}\]?|(?:[^\W_](?:[\w-]{0,62}[^\W_])?[.\u3002\uff0e])+(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24}))",
    re.IGNORECASE,
)
_QUOTED_EMAIL: Final = re.compile(r'"[^"\s@]{1,64}(?: [^"\s@]{1,64}){0,3}"@(?:[\w-]+\.)+[^\W\d_]{2,24}')
_USERINFO: Final = re.compile(r"(?<=://)[^\s/@\[\]\"'<>]+(?=@)")
_IPV6: Final = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}|::(?:[0-9A-Fa-f]{1,4}:?){2,7})(?:\.\d{1,3}){0,3}(?![\w:])"
)


def find(text: str, wanted: frozenset[str], phone_country: str, *, careful: bool) -> list[Found]:
    """All that the ``wanted`` detectors see in a text. Spans may overlap."""
    found: list[Found] = []
    if "@" in text or "\uff20" in text:
        if "url" in wanted and "://" in text:
            found += [Found(m.start(), m.end(), "userinfo", m[0]) for m in _USERINFO.finditer(text)]
        if "email" in wanted:
            ends = {span.end for span in found}  # what looks like an address there is a user and a host
            found += [email for email in _emails(text) if not any(email.start < end < email.end for end in ends)]
    if "ip" in wanted and not careful and (text.count(":") >= 7 or "::" in text):
        found += _ipv6(text)
    found += [Found(*number) for number in find_numbers(text, wanted, phone_country, careful=careful)]
    return found


def _emails(text: str) -> Iterator[Found]:
    for match in _EMAIL.finditer(text):
        written = match[0]
        stripped = written.lstrip(".'+~!#$*^`{|}-")
        if stripped[0] in "@\uff20":
            continue
        yield Found(match.end() - len(stripped), match.end(), "email", normal_email(stripped))
    if '"@' in text:
        for match in _QUOTED_EMAIL.finditer(text):
            yield Found(match.start(), match.end(), "email", normal_email(match[0]))


def normal_email(text: str) -> str:
    """Lower case, the domain in its Unicode form."""
    local, _, domain = (
        text.replace("\uff20", "@").replace("\u3002", ".").replace("\uff0e", ".").casefold().rpartition("@")
    )
    if "xn--" in domain:
        with contextlib.suppress(UnicodeError):  # no name that IDNA knows: as it is written
            domain = domain.encode("ascii").decode("idna")
    return f"{local}@{domain}"


def _ipv6(text: str) -> Iterator[Found]:
    for match in _IPV6.finditer(text):
        groups = [group for group in match[0].split(":") if group]
        if len(groups) < 3 and not (groups and len(groups[0]) >= 3):
            continue  # a slice [::2], a loopback ::1
        if not any(char.isdigit() for char in match[0]):
            continue  # Face::Cafe is a name in a program
        try:
            address = ipaddress.IPv6Address(match[0].rstrip(":") if not match[0].endswith("::") else match[0])
        except ValueError:
            continue
        yield Found(match.start(), match.end(), "ip", str(address.ipv4_mapped or address))
