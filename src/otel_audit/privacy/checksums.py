"""What tells a card, account, telephone or person's number from any other row of digits. Pure functions."""

from __future__ import annotations

from typing import Final

from otel_audit.privacy.hints import words

# Length of an IBAN by country, SWIFT IBAN registry release 99.
IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
# ITU-T E.164 country codes.
COUNTRY_CODES: Final = words(
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66"
    " 81 82 84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232"
    " 233 234 235 236 237 238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258"
    " 260 261 262 263 264 265 266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370"
    " 371 372 373 374 375 376 377 378 379 380 381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505"
    " 506 507 508 509 590 591 592 593 594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682"
    " 683 685 686 687 688 689 690 691 692 850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970"
    " 971 972 973 974 975 976 977 992 993 994 995 996 998"
)
_DNI_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_CF_ODD: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def iban(compact: str) -> bool:
    """ISO 13616: the length of its country, and 1 modulo 97. ``compact`` is upper-case without separators."""
    if IBAN_LENGTHS.get(compact[:2]) != len(compact) or not compact.isascii() or not compact[2:4].isdigit():
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def is_card_range(digits: str) -> bool:
    """Whether some card network issues numbers that begin so and are as long (ISO/IEC 7812, networks' own ranges)."""
    size, two, four = len(digits), int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return size in {13, 16, 18, 19}
    if two in {34, 37}:
        return size == 15
    if two in {36, 38, 39} or 300 <= int(digits[:3]) <= 305 or four == 3095:
        return 14 <= size <= 19
    if 51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204:
        return size == 16 or (two == 22 and size <= 19 and size >= 16)
    if two in {62, 35, 65} or 644 <= int(digits[:3]) <= 649 or four == 6011:
        return 16 <= size <= 19
    if two == 50 or 56 <= two <= 69:
        return 13 <= size <= 19
    return (two in {81, 82} and size == 16) or (four == 9792 and size == 16)


def _is_date(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def ssn(area: str, group: str, serial: str) -> bool:
    """US social security number: no area 000, 666 or 9xx, no group 00, no serial 0000 (SSA, 2011 and before)."""
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def pesel(digits: str) -> bool:
    """Poland: 11 digits, a birth date with the century in the month, weights 1 3 7 9."""
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    return _is_date(int(digits[2:4]) % 20, int(digits[4:6])) and (
        sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 10 == 0
    )


def steuer_id(digits: str) -> bool:
    """Germany: 11 digits; of the first ten one occurs twice or three times; ISO 7064 MOD 11,10."""
    if digits[0] == "0":
        return False
    counts = [digits[:10].count(digit) for digit in set(digits[:10])]
    if sorted(counts)[-1] not in {2, 3} or sum(count > 1 for count in counts) != 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def nir(text: str) -> bool:
    """France: 15 characters, sex, year, month, department (2A and 2B of Corsica too), key modulo 97."""
    month, body, key = text[3:5], text[:13], text[13:]
    if not (month.isdigit() and (1 <= int(month) <= 12 or 20 <= int(month) <= 42 or int(month) >= 50)):
        return False
    body = body.replace("2A", "19", 1).replace("2B", "18", 1) if "A" in body or "B" in body else body
    return body.isdigit() and key.isdigit() and text[0] in "123478" and 97 - int(body) % 97 == int(key)


def personnummer(digits: str) -> bool:
    """Sweden: 10 digits, a birth date (days of a coordination number + 60), Luhn."""
    return _is_date(int(digits[2:4]), int(digits[4:6]) % 60) and luhn(digits)


def bsn(digits: str) -> bool:
    """Netherlands: 9 digits, the eleven test (weights 9 to 2, then -1)."""
    return (
        sum(int(digit) * weight for digit, weight in zip(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True)) % 11 == 0
    )


def dni(digits: str, letter: str) -> bool:
    """Spain: the letter is the number modulo 23. A NIE's first letter stands for 0, 1 or 2."""
    return _DNI_LETTERS[int(digits) % 23] == letter


def codice_fiscale(text: str) -> bool:
    """Italy: 16 characters, the last of them a check character. ``text`` is upper-case."""
    total = 0
    for place, char in enumerate(text[:15]):
        total += _CF_ODD[char] if place % 2 == 0 else int(char) if char.isdigit() else ord(char) - ord("A")
    return chr(ord("A") + total % 26) == text[15]
