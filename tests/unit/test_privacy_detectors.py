"""What each detector finds, what it leaves alone, and which ways to write a value get one token."""

from __future__ import annotations

import base64
import json
import re

import pytest

from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import default_policy, load_policy
from otel_audit.privacy.redactor import TOKEN, Redactor

KEYS = PseudonymKeys((bytes(range(32)),))


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor(default_policy(), KEYS)


FOUND = {
    "email": [
        "jane.roe@example.com",
        "Jane.Roe+tag@Sub.Example.CO.UK",
        "o'brien@example.ie",
        "jörg@müller.de",
        "δοκιμή@παράδειγμα.ελ",
        "jane@xn--mller-kva.de",
        "jane@[192.0.2.7]",
        "jane%40example.com",
        "jane%2540example.com",
        "jane\\u0040example.com",
        "jane\\\\u0040example.com",
        "jane&#64;example.com",
        "jane&#x40;example&period;com",
        "jane=40example.com",
        "jane\u200b@example.com",
        '"jane roe"@example.com',
    ],
    "phone": [
        "+49 30 1234567",
        "+493012345678",
        "0049-30-1234567",
        "+49 (0)30 1234567",
        "(+49) 30 1234567",
        "+1 (555) 123-4567",
        "+1-555-123-4567",
        "1-800-555-0199",
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "030 1234567",
        "030/1234567",
        "(030) 123 45 67",
        "06 12 34 56 78",
        "07700 900123",
        "+٤٩ ٣٠ ١٢٣٤٥٦٧",
    ],
    "card": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5500.0000.0000.0004",
        "340000000000009",
        "3400 000000 00009",
        "6011000000000004",
        "6304000000000000",
        "2221000000000009",
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00",
        "DE89370400440532013000",
        "de89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19",
        "MT84MALT011000012345MTLCAST001S",
        "NO93 8601 1117 947",
    ],
    "ssn": ["123-45-6789", "078-05-1120"],
    "national_id": [
        "AB 12 34 56 C",
        "AB123456C",
        "86095742719",
        "86 095 742 719",
        "255081416802538",
        "2 55 08 14 168 025 38",
        "12345678Z",
        "X1234567L",
        "RSSMRA85T10A562S",
        "44051401359",
        "811218-9876",
        "19811218-9876",
    ],
    "ip": ["192.0.2.44", "10.1.2.3", "22.1.53.37", "2001:db8::8a2e:370:7334",
           "fe80::1ff:fe23:4567:890a", "::ffff:192.0.2.44"],
    "userinfo": [],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_a_value_is_masked_whatever_stands_around_it(redactor, kind, text):
    """Each way to write a value is one token of its kind, at either end of a text and within one."""
    for before, after in (
        ("", ""),
        ("see ", "."),
        ("(", ")"),
        ('{"a": "', '"}'),
        ("x=", "&y=1"),
        ("ä ", "\nnext line"),
    ):
        masked = redactor.text(f"{before}{text}{after}")
        assert f"[{kind}:" in masked, masked
        assert re.sub(r"[^\w@]", "", text) not in re.sub(r"[^\w@]", "", masked)
        assert len(TOKEN.findall(masked)) == 1
        assert redactor.text(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "chatcmpl-9aBcDeFgHiJkLmNoPqRsT",
        "msg_01XFDUDYJgAACzvnptvVoYEL",
        "gpt-4o-2024-11-20",
        "claude-3-5-sonnet-20241022",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "550e8400-e29b-41d4-a716-446655440000",
        "41111111-1111-4111-8111-111111111111",
        "bac47b7b-7ac7-ee52-c043-d5ea31ff4e3e",
        "2024-11-20T12:34:56.789+01:00",
        "20.11.2024 08:30, 11/20/2024 and 01-02-2024",
        "1732399200 1732399200000 1732399200123456 1732399200123456789",
        "v1.2.3.4, version 1.2.3.4, release: 10.0.0.1",
        "Mozilla/5.0 (X11) Chrome/120.0.0.0 Safari/537.36",
        "$1,234,567.89 or 1.234.567,89 EUR",
        "1234 of 128000 tokens, 57 left",
        "3.14159265358979 and 0.12345678901234",
        "[0.123456789, 0.987654321, -0.555555555]",
        "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "std::vector<int> a[::2] Face::Cafe ::1 12:34:56",
        "react@18.2.0 @app.route git+https://host/x@main",
        "4111 1111 1111 1112",
        "DE88370400440532013000",
        "000-12-3456 and 666-12-3456",
        "127.0.0.1:4317 0.0.0.0 255.255.255.0",
        "99.999.999.999",
        "responsibilities/acknowledgements/counterrevolutionaries",
        "100%25 of 50%",
        "10.5281/zenodo.1234567 ISBN 978-3-16-148410-0",
        "Order 20241120-0001, invoice 2024/000123",
        "tel aviv, cell biology, call of duty 4",
    ],
)
def test_what_is_no_personal_data_survives(redactor, text):
    """Ids, hashes, times, versions, prices and measurements are left as they are, as texts and as ids."""
    assert redactor.text(text) is text or redactor.text(text) == text
    assert redactor.identifier(text) == text
    assert redactor.value("some.attribute", text) == text
    assert redactor.text(json.dumps({"a": [text]})) == json.dumps({"a": [text]})


@pytest.mark.parametrize(
    "spellings",
    [
        ["Jane.Roe@Example.com", "jane.roe@example.com", "jane.roe%40example.com", "jane.roe\\u0040example.com"],
        ["jörg@müller.de", "jörg@xn--mller-kva.de"],
        ["+49 30 1234567", "0049-30-1234567", "+49 (0)30 1234567", "+49301234567", "0049 30 1234567"],
        ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111"],
        ["DE89 3704 0044 0532 0130 00", "de89370400440532013000"],
        ["2001:db8::1:2", "2001:0DB8:0:0:0:0:1:2"],
        ["(555) 123-4567", "555.123.4567", "+1 555 123 4567", "1-555-123-4567"],
        ["811218-9876", "19811218-9876"],
        ["AB123456C", "AB 12 34 56 C"],
    ],
)
def test_spellings_of_one_value_have_one_token(redactor, spellings):
    """A person can be followed from record to record, however each wrote the value."""
    assert len({redactor.text(f"x {text} y") for text in spellings}) == 1


def test_national_numbers_join_international_ones_where_the_country_is_known():
    """With ``phone_country`` a number without a country code has the token of the same number with it."""
    redactor = Redactor(load_policy({"phone_country": "49"}), KEYS)
    assert redactor.text("030 1234567") == redactor.text("+49 30 1234567")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://jane:secret@db.example.com/x?y=1", "@db.example.com/x?y=1"),
        ("https://shop.example/?phone=5551234567&size=12", "&size=12"),
        ("https://shop.example/?q=%2B49+30+1234567&size=12", "&size=12"),
        ("tel: 5551234567 (home)", " (home)"),
        ("my SSN is 123456789, thanks", ", thanks"),
        ("BSN 111222333 ok", " ok"),
    ],
)
def test_context_tells_what_digits_alone_do_not(redactor, text, kept):
    """User info, query values by their name, and a word before a number are enough; what stands around them stays."""
    masked = redactor.text(text)
    assert TOKEN.search(masked)
    assert kept in masked
    assert not re.search(r"\d{7}", TOKEN.sub("", masked))


def test_numbers_that_are_personal_data_become_tokens(redactor):
    """A card number as an int, and a telephone number under a key that says so, in attributes and in JSON."""
    assert redactor.value("n", 4111111111111111) == redactor.text("4111 1111 1111 1111")
    assert redactor.value("customer.phone", 5551234567).startswith("[phone:")
    assert redactor.value("gen_ai.usage.input_tokens", 5551234567) == 5551234567
    masked = json.loads(
        redactor.text('{"mobile": 5551234567, "pan": 4111111111111111, "n": 1.10, "at": 1732399200000}')
    )
    assert masked["mobile"].startswith("[phone:")
    assert masked["pan"].startswith("[card:")
    assert (masked["n"], masked["at"]) == (1.1, 1732399200000)


@pytest.mark.parametrize("key", ["customer.first_name", "patientName", "user.full_name", "cardholder_name"])
def test_a_name_is_known_by_its_key(redactor, key):
    """A value whose key says that it is a person's name is masked, in an attribute and in JSON."""
    assert TOKEN.fullmatch(redactor.value(key, "Jane Roe"))
    assert "Jane" not in redactor.text(json.dumps({key: "Jane Roe"}))
    assert redactor.value("model.name", "Jane Roe") == "Jane Roe"


def test_json_in_json_is_masked_and_otherwise_the_same(redactor):
    """A value three levels of JSON deep is masked; numbers, order and repeated keys stay as written."""
    inner = '{"mail":"jane@example.com","n":1.10,"big":12345678901234567890123,"n":2e5}'
    text = json.dumps({"a": json.dumps({"b": inner}, separators=(",", ":")), "ok": [None, True]}, separators=(",", ":"))
    masked = redactor.text(text)
    assert masked == text.replace("jane@example.com", redactor.text("jane@example.com"))


def test_cut_off_json_is_masked_as_text(redactor):
    """JSON that ends too early can't be parsed, and is searched with its escapes undone."""
    masked = redactor.text('{"a": "x\\n4111111111111111\\nmail jane\\u0040example.com", "b": "cut o')
    assert "[card:" in masked
    assert "[email:" in masked
    assert "1111" not in masked


def test_base64_is_masked_where_it_hides_text(redactor):
    """Text in base64 (base64url, in lines) stays base64 with its personal data masked; what is no text stays."""
    text = "please write to jane.roe@example.com today, or ring somebody else tomorrow morning"
    for encoded in (
        base64.b64encode(text.encode()),
        base64.urlsafe_b64encode(text.encode()).rstrip(b"="),
        base64.encodebytes(text.encode()),
    ):
        masked = redactor.text(f"data {encoded.decode()}")
        compact = masked.removeprefix("data ").strip()
        assert "jane" not in base64.urlsafe_b64decode(compact.replace("+", "-").replace("/", "_") + "==").decode()
    assert redactor.text("id " + base64.b64encode(bytes(range(120, 150))).decode()).startswith("id eHl6")


def test_pictures_are_replaced_as_a_whole(redactor):
    """Nobody can see what is in a picture: it leaves its kind, its size and a keyed hash."""
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256))).decode()
    size = 264
    for text in (f"data:image/png;base64,{picture}", picture, json.dumps({"type": "blob", "content": picture})):
        masked = redactor.text(text)
        assert re.search(rf"\[blob:image/png;{size} bytes;k[0-9a-f]{{6}}:[0-9a-f]{{20}}\]", masked), masked
        assert picture[:30] not in masked
        assert redactor.text(masked) == masked
    assert redactor.value("image", base64.b64decode(picture)).startswith("[blob:application/octet-stream;264 bytes;")


def test_bytes_are_masked_by_what_they_say(redactor):
    """Bytes that are text are masked as text, short binary stays, binary with personal data in it does not."""
    assert b"jane" not in redactor.value("b", b"mail jane@example.com")
    digest = bytes(range(200, 216))
    assert redactor.value("b", digest) is digest
    assert "blob" in redactor.value("b", b"\xff jane@example.com")


def test_typed_json_is_masked(redactor):
    """The forms of typed JSON that hold bytes, pairs and unreadable values are looked into."""
    mail = base64.b64encode(b"mail jane@example.com").decode()
    for text in (
        f'{{"$bytes":"{mail}"}}',
        f'{{"$raw":"{mail}"}}',
        '{"$pairs":[["jane@example.com",1],["k","jane@example.com"]]}',
    ):
        masked = redactor.typed("k", text, {})
        assert "jane" not in masked
        assert mail not in masked
    assert redactor.typed("k", '{"$double":"NaN"}', {}) == '{"$double":"NaN"}'


def test_dict_keys_are_masked_and_none_is_lost(redactor):
    """Two spellings of one address as keys get one token, and both entries stay."""
    masked = redactor.value("k", {"jane@example.com": 1, "Jane@Example.com": 2, "other": [True, None, 1.5]})
    assert list(masked.values()) == [1, 2, [True, None, 1.5]]
    assert "example" not in json.dumps(masked)


@pytest.mark.parametrize("value", ["plain", 5, 1.5, True, None, b"x", ["a", 1], ("a",), {"a": {"b": [1]}}])
def test_what_is_not_changed_is_the_same_object(redactor, value):
    """A value without personal data comes back as itself, so that a caller can tell by ``is``."""
    assert redactor.value("key", value) is value


def test_names_of_a_list_are_found_however_they_are_written():
    """Whole words in any case, in either order, across encodings; never within other words."""
    redactor = Redactor(load_policy({"names": ["Jane Roe", "Møller", "Ann-Marie O'Neil"]}), KEYS)
    token = redactor.text("Jane Roe")
    for text in ("JANE  ROE", "Roe, Jane", "jane_roe", "jane.roe", "Jane%20Roe", "?n=Jane+Roe", "Jane\\u0020Roe"):
        assert token in redactor.text(text), text
    assert "[name:" in redactor.text("the møllers said M\u00f8ller")
    assert "[name:" in redactor.text("M%C3%B8ller")
    assert "[name:" in redactor.identifier("user-jane-roe")
    assert "[name:" in redactor.text("ann marie o'neil")
    for text in ("Roebuck and Janet Roe", "the møllers", "jane (the roe)"):
        assert redactor.text(text) == text


def test_ids_are_masked_only_where_they_plainly_name_somebody(redactor):
    """An address, a number with its country code or an account as an id is masked; digits alone and dashes are not."""
    for text in ("jane@example.com", "+493012345678", "user:DE89370400440532013000", "4111111111111111", "123-45-6789"):
        assert TOKEN.search(redactor.identifier(text)), text
        assert TOKEN.search(redactor.value("user.id", text)), text
    for text in ("030-1234567", "86095742719", "10.0.0.1", "case-555-123-4567", "AB123456C", "12345678Z"):
        assert redactor.identifier(text) == text
    assert TOKEN.search(redactor.value("note.id", "ring 030 1234567 please"))  # a sentence is no id


def test_customer_patterns_are_masked_everywhere():
    """A pattern of the policy is masked in texts, ids, keys and JSON numbers, under the customer's own kind."""
    redactor = Redactor(load_policy({"patterns": {"customer": r"KD-\d{6}", "member": r"\b77\d{6}\b"}}), KEYS)
    for text in ("see KD-123456!", "KD%2D123456"):
        assert "[customer:" in redactor.text(text)
        assert "[customer:" in redactor.identifier(text)
    assert json.loads(redactor.text('{"id": 77123456}'))["id"].startswith("[member:")


def test_text_of_two_kilobytes_is_let_through_by_the_prefilter():
    """Harmless prose never reaches a detector: the policy's cost for it is the prefilter's."""
    prose = "The committee read the report and asked for a second opinion before it went on. " * 26
    calls = []

    class Watched(Redactor):
        def _mask(self, text: str, *, careful: bool = False) -> str:
            calls.append(text)
            return super()._mask(text, careful=careful)

    redactor = Watched(default_policy(), KEYS)
    assert redactor.text(prose) is prose
    assert calls == []
    redactor.text(prose + "jane@example.com")
    assert len(calls) == 1


def test_long_texts_that_invite_false_starts_are_searched_to_their_end():
    """Of a text that begins a pattern 20,000 times no part is given up: what comes last is still found."""
    redactor = Redactor(default_policy(), KEYS)
    for piece in ("a.", "@", "1 ", "%4", "\\u00", "00", "1:", "+1", "(", "=4", "://", "AB12", "&#6"):
        masked = redactor.text(f"{piece * 20_000} jane@example.com, 4111-1111-1111-1111")
        assert masked.endswith(f" {redactor.text('jane@example.com')}, {redactor.text('4111111111111111')}"), piece


@pytest.mark.parametrize(
    "text",
    [
        " V 79.75.158.26 ",
        "GET /clients/79.75.158.26",
        "from a/79.75.158.26",
        "it was sent.79.75.158.26",
        "v 79.75.158.26",
    ],
)
def test_an_address_is_no_version_because_of_a_letter_before_it(redactor, text):
    """What may be an address and may be a version is masked, unless the word before it says version."""
    assert "79.75.158.26" not in redactor.text(text)
