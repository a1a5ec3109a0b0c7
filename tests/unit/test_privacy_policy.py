"""Policies and keys: what a setting means, and what is said about one that is wrong."""

from __future__ import annotations

import base64
import multiprocessing
import os
import re
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest

from otel_audit.errors import ConfigError, StoreUnavailable
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import Mode, choose_policy, default_policy, load_policy, policy_from_environment
from otel_audit.privacy.redactor import TOKEN, Redactor

KEYS = PseudonymKeys((bytes(range(32)),))
MAIL = "jane.roe@example.com"


def test_the_default_is_redacted():
    """Without any setting texts are redacted, and the label says so."""
    assert policy_from_environment({}).label == "redacted/1"
    assert default_policy().rules.mode is Mode.REDACTED
    assert policy_from_environment({"OTEL_AUDIT_CAPTURE_POLICY": "full"}).label == "full/1"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "ful"}, "mode: 'ful' is no mode; there are reference, hash, redacted, full"),
        ({"modus": "full"}, "modus: is no setting"),
        ({"mode": 3}, "mode: a text in quotes is expected"),
        ({"mode": "reference"}, "reference_base: the mode reference needs the folder"),
        ({"attributes": {"a.*.b": "full"}}, "a * is allowed at the end only"),
        ({"attributes": {"a": "none"}}, "attributes.a: 'none' is no mode"),
        ({"services": {"x": {"mod": "full"}}}, "services.x.mod: is no setting"),
        ({"services": {"x": "full"}}, "services.x: a table is expected"),
        ({"services": {"x": {"mode": "reference"}}}, "reference_base"),
        ({"detectors": ["mail"]}, "detectors: 'mail' is none"),
        ({"detectors": [1]}, "detectors: a list of texts is expected"),
        ({"patterns": {"Bad Name": "x"}}, "patterns.Bad Name: its name is what tokens show"),
        ({"patterns": {"a": "("}}, "patterns.a: is no regular expression"),
        ({"patterns": {"a": "(a+)+b"}}, "patterns.a: repeats a repetition"),
        ({"patterns": {"a": r"(\w*,)*x"}}, "patterns.a: repeats a repetition"),
        ({"patterns": {"a": "x*"}}, "patterns.a: matches the empty text"),
        ({"patterns": {"a": "x" * 513}}, "at most 512 characters"),
        ({"names": ["J"]}, "names: a name has at least two letters"),
        ({"names_file": "/nowhere/names.txt"}, "names_file: /nowhere/names.txt can not be read"),
        ({"reference_base": "s3://b/x"}, "reference_base: a folder or a file:// URI is expected"),
        ({"phone_country": "Germany"}, "phone_country: a calling code"),
        ({"fetch_references": ["http://x/"]}, "begins with none of file://, https://, s3://"),
        ({"fetch_references": ["https://x"]}, "ends with no /"),
        ({"name": "a/b"}, "name: letters, digits"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    """What is wrong, where, and what is expected, before anything starts."""
    with pytest.raises(ConfigError) as error:
        load_policy(settings)
    assert message in str(error.value)


def test_a_choice_is_a_mode_or_a_file(tmp_path):
    """A path that is no file, or a file that is no TOML, is said to be that."""
    with pytest.raises(ConfigError, match="neither one of reference, hash, redacted, full nor the path"):
        choose_policy("redact")
    (tmp_path / "p.toml").write_text("mode = ")
    with pytest.raises(ConfigError, match=r"p\.toml: the capture policy is no TOML"):
        choose_policy(str(tmp_path / "p.toml"))
    (tmp_path / "p.toml").write_text('name = "x"\nversion = "2"\n[attributes]\n"a.*" = "full"\n"a.b.*" = "hash"\n')
    policy = choose_policy(str(tmp_path / "p.toml"))
    assert policy.label == "x/2"
    assert [policy.rules.mode_of(key) for key in ("a.x", "a.b.c", "a.b", "ab", "")] == [
        "full", "hash", "full", "redacted", "redacted",
    ]  # fmt: skip
    assert choose_policy("reference", {"OTEL_AUDIT_REFERENCE_BASE": str(tmp_path)}).reference_base == tmp_path


def test_hash_leaves_a_keyed_hash_and_the_size():
    """A whole text becomes one token; short attributes that are no text are redacted, so that ids go on to join."""
    redactor = Redactor(default_policy("hash"), KEYS)
    hashed = redactor.text("hällo")
    assert hashed.startswith(f"[hash:{KEYS.current_id}:")
    assert hashed.endswith(";6 bytes]")
    assert redactor.text(hashed) == hashed
    assert redactor.text("other") != redactor.text("another")
    assert redactor.value("gen_ai.input.messages", "hi").startswith("[hash:")
    assert redactor.value("gen_ai.input.messages", [{"role": "user"}]).startswith("[hash:")
    assert redactor.value("anything", "x" * 257).startswith("[hash:")
    assert redactor.value("gen_ai.response.id", "chatcmpl-1") == "chatcmpl-1"
    assert TOKEN.fullmatch(redactor.value("user", MAIL))


def test_a_made_up_reference_does_not_smuggle_a_text_through():
    """What only looks like a reference or a hash of ours is hashed like any other text."""
    redactor = Redactor(default_policy("hash"), KEYS)
    forged = f"[ref:https://x/{MAIL};k000000:a000000000000000000a]"
    assert MAIL not in redactor.text(forged)
    assert redactor.text("[hash:k000000:abc;jane]").startswith("[hash:" + KEYS.current_id)


def test_reference_puts_the_text_where_the_customer_says(tmp_path):
    """The text lies in a private file under a keyed name, once; the trail holds its URI and keyed hash."""
    base = tmp_path / "texts"
    redactor = Redactor(load_policy({"mode": "reference", "reference_base": base.as_uri()}), KEYS)
    reference = redactor.text("A secret.\r\n")
    (file,) = base.iterdir()
    assert file.read_bytes() == b"A secret.\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.as_uri() in reference
    assert "secret" not in reference
    assert redactor.text("A secret.\r\n") == reference
    assert redactor.text(reference) == reference
    assert len(list(base.iterdir())) == 1


def test_a_reference_that_can_not_be_written_is_an_error_and_never_the_text(tmp_path):
    """When the folder can't be written the caller hears of it."""
    (tmp_path / "file").write_text("")
    redactor = Redactor(load_policy({"mode": "reference", "reference_base": str(tmp_path / "file" / "x")}), KEYS)
    with pytest.raises(StoreUnavailable, match="a text can not be written"):
        redactor.text("A secret.")


# --- keys


def test_keys_of_the_environment_are_hex_or_base64():
    """Both forms are one key; several are the current one and older ones."""
    key = bytes(range(32))
    for text in (key.hex(), base64.b64encode(key).decode()):
        assert PseudonymKeys.from_environment({"OTEL_AUDIT_PRIVACY_KEY": text}).keys == (key,)
    pair = PseudonymKeys.from_environment({"OTEL_AUDIT_PRIVACY_KEY": f"{key.hex()}, {'ab' * 16}"})
    assert pair.keys == (key, b"\xab" * 16)


@pytest.mark.parametrize("text", ["short", "c2hvcnQ=", "zz" * 20 + "!", "ab"])
def test_a_bad_key_is_refused_and_not_repeated(text):
    """The message says what is wrong and how to make one, never the key."""
    with pytest.raises(ConfigError, match="openssl rand -hex 32") as error:
        PseudonymKeys.from_environment({"OTEL_AUDIT_PRIVACY_KEY": text})
    assert text not in str(error.value).replace("openssl rand -hex 32", "")
    assert "ab" * 16 not in repr(PseudonymKeys((b"\xab" * 16,)))


def test_tokens_join_across_a_rotation(tmp_path):
    """After a rotation new tokens differ, and all that a value ever had can still be looked up."""
    path = tmp_path / "privacy.key"
    before = PseudonymKeys.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    old = Redactor(default_policy(), before).text(MAIL)
    after = PseudonymKeys.rotate(path)
    assert after == PseudonymKeys.load(path)
    new = Redactor(default_policy(), after).text(MAIL)
    assert new != old
    assert after.tokens("email", MAIL) == [new, old]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_others_can_read_is_refused(tmp_path):
    """A secret with the wrong mode is named with the command that mends it."""
    path = tmp_path / "privacy.key"
    PseudonymKeys.load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        PseudonymKeys.from_environment({"OTEL_AUDIT_PRIVACY_KEY_FILE": str(path)})


def _create(path: str, barrier, queue) -> None:
    barrier.wait()
    queue.put(PseudonymKeys.load_or_create(Path(path)).keys)


def test_processes_that_begin_at_once_share_one_key(tmp_path, monkeypatch):
    """Of several processes that find no key, one makes it and all use that one."""
    # Streamlit's AppTest leaves its script there, which each of the processes would run first.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=_create, args=(str(tmp_path / "keys" / "privacy.key"), barrier, queue)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    keys = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(keys) == 1
    assert os.listdir(tmp_path / "keys") == ["privacy.key"]


def test_two_installations_are_told_apart():
    """Different keys have different ids and tokens, so that nobody joins what was made apart."""
    other = PseudonymKeys((bytes(32),))
    assert other.current_id != KEYS.current_id
    assert other.digest("email", MAIL) != KEYS.digest("email", MAIL)


def test_presidio_is_named_when_it_is_missing():
    """A policy that asks for an extra which is not installed does not start without it."""
    try:
        import presidio_analyzer  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match="pip install 'otel-audit\\[presidio\\]'"):
            Redactor(load_policy({"detectors": ["email", "presidio"]}), KEYS)


def test_presidio_finds_what_no_list_names():
    """With the extra installed a recogniser of Presidio masks beside the detectors of this package."""
    presidio = pytest.importorskip("presidio_analyzer", reason="the extra presidio is not installed")
    from otel_audit.privacy.presidio import analyzer

    registry = presidio.RecognizerRegistry(
        [presidio.PatternRecognizer("BADGE", patterns=[presidio.Pattern("badge", r"B-\d{4}", 0.9)])]
    )
    engine = presidio.AnalyzerEngine(registry=registry, supported_languages=["en"])
    assert list(analyzer(engine)("badge B-1234")) == [(6, 12, "badge")]


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    """The policy file of docs/how-to/privacy.md loads, and its Python examples run in their order."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "privacy.md").read_text(encoding="utf-8")
    blocks = dict.fromkeys(("toml", "python"), "")
    for language, code in re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL):
        blocks[language] = blocks.get(language, "") + code
    (tmp_path / "policy.toml").write_text(blocks["toml"], encoding="utf-8")
    (tmp_path / "staff.txt").write_text("Jane Roe\n", encoding="utf-8")
    policy = load_policy(tmp_path / "policy.toml")
    assert (policy.label, policy.names) == ("shop/7", ("Erika Mustermann", "Jane Roe"))
    assert policy.rules_for("billing").mode_of("anything") is Mode.HASH
    monkeypatch.setenv("OTEL_AUDIT_PRIVACY_KEY", "5a" * 32)
    exec(compile(blocks["python"], "privacy.md", "exec"), {})  # a page of this repository
    assert blocks["python"].count("assert") >= 5
