"""What a key says about its value: ``{"phone": 5551234567}`` needs no sign that it is a telephone number."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_PHONE: Final = frozenset(
    {"phone", "telephone", "mobile", "msisdn", "fax", "cellphone", "telefon", "handy", "whatsapp", "tel"}
)
_SSN: Final = frozenset({"ssn", "pesel", "bsn", "nino", "personnummer", "nir", "passport", "dni", "nie", "cpf"})
_NAMES: Final = frozenset(
    [
        "firstname",
        "first_name",
        "lastname",
        "last_name",
        "fullname",
        "full_name",
        "givenname",
        "given_name",
        "familyname",
        "family_name",
        "surname",
        "middlename",
        "middle_name",
        "maidenname",
        "maiden_name",
        "maiden_surname",
        "birthname",
        "birth_name",
        "user_name",
        "enduser_name",
        "customer_name",
        "patient_name",
        "applicant_name",
        "borrower_name",
        "client_name",
        "contact_name",
        "person_name",
        "cardholder",
        "cardholder_name",
        "account_holder",
        "account_holder_name",
        "beneficiary_name",
        "employee_name",
        "vorname",
        "nachname",
    ]
)
_BIRTH: Final = frozenset(
    ["dob", "date_of_birth", "dateofbirth", "birthdate", "birth_date", "birthday", "birth_day", "geburtsdatum"]
)
_NATIONAL: Final = frozenset(
    [
        "social_security",
        "social_security_number",
        "national_id",
        "national_id_number",
        "national_insurance_number",
        "tax_id",
        "taxid",
        "tax_number",
        "passport_number",
        "passport_no",
        "id_card_number",
        "drivers_license",
        "driver_license_number",
        "license_number",
    ]
)
_CARD: Final = frozenset(
    ["card_number", "cardnumber", "credit_card", "creditcard", "credit_card_number", "pan", "debit_card"]
)
_MAIL: Final = frozenset(["email", "e_mail", "mail_address", "email_address", "emailaddress"])
_REMEMBERED: Final = 1 << 12
_known: dict[str, str] = {}
_ID_WORDS: Final = frozenset(
    [
        "id",
        "ids",
        "uuid",
        "guid",
        "sha",
        "hash",
        "digest",
        "fingerprint",
        "etag",
        "version",
        "model",
        "revision",
        "commit",
        "checksum",
        "signature",
        "token",
        "tokens",
        "nano",
        "time",
        "timestamp",
        "created",
        "at",
        "count",
        "size",
        "port",
        "duration",
        "seconds",
        "ms",
    ]
)


def hint(key: str) -> str:
    """The kind that a key promises: phone, card, national_id, name, birth_date, ``id`` for what joins records, or none."""
    kind = _known.get(key)
    if kind is None:
        kind = _hint(key)
        if len(_known) >= _REMEMBERED:
            _known.clear()
        if len(key) <= 256:
            _known[key] = kind
    return kind


def _hint(key: str) -> str:
    words = [word.lower() for word in _WORD.findall(key)]
    if not words:
        return ""
    last = words[-1]
    tails = {"_".join(words[-size:]) for size in (1, 2, 3, 4)}
    if last in {"number", "no", "nr"} and len(words) > 1:
        last = words[-2]
    if tails & _NAMES:
        return "name"
    if tails & _BIRTH:
        return "birth_date"
    if tails & _NATIONAL or last in _SSN:
        return "national_id"
    if tails & _CARD:
        return "card"
    if last in _PHONE:
        return "phone"
    if tails & _MAIL:
        return "email"
    return "id" if words[-1] in _ID_WORDS else ""


_DIGIT: Final = re.compile(r"\d")


def fits(kind: str, text: str) -> bool:
    """Whether a value is what its key promises, and not a flag, a placeholder or a token."""
    digits = len(_DIGIT.findall(text))
    if kind == "phone":
        return 6 <= digits <= 17 and len(text) <= 40
    if kind == "card":
        return 12 <= digits <= 19 and len(text) <= 40
    if kind == "national_id":
        return digits >= 4 and len(text) <= 40
    if kind == "birth_date":
        return digits >= 4 and len(text) <= 40
    if kind == "name":
        return (
            2 <= len(text) <= 100
            and not any(char in "/{}[]<>=@\\" for char in text)
            and any(map(str.isalpha, text))
            and text.lower() not in _PLACEHOLDERS
        )
    return False


_PLACEHOLDERS: Final = frozenset({"true", "false", "null", "none", "unknown", "n/a", "string"})
