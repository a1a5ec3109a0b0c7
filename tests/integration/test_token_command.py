"""``otel-audit token`` as typed, and the file that it keeps."""

import json
import re
import threading

import pytest
from click.testing import CliRunner

from otel_audit.cli import cli
from otel_audit.errors import ConfigError
from otel_audit.model import Filter
from otel_audit.reports.access_tokens import Role, TokenFile

HOUR = 3600 * 10**9


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "access" / "tokens.json")


def token(file, *arguments):
    done = CliRunner().invoke(cli, ["token", arguments[0], "--tokens", str(file.path), *arguments[1:]])
    if isinstance(done.exception, Exception):
        raise done.exception
    return done


def test_a_secret_is_shown_once_and_never_kept(file):
    """What `create` prints signs in; the file, of mode 0600 in a folder of 0700, and `list` have no secret in them."""
    done = token(file, "create", "--name", "Ada", "--role", "auditor", "--service", "loans", "--since", "2026-07-01")
    secret = done.stdout.strip()
    assert re.fullmatch(r"oat_[\w-]{43}", secret)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    listed = json.loads(token(file, "list", "--json").stdout)
    assert [(each["name"], each["role"], each["state"]) for each in listed] == [("Ada", "auditor", "valid")]
    assert listed[0]["scope"] == {"service": ["loans"], "since": 1782864000 * 10**9}
    assert secret not in file.path.read_text() + token(file, "list").output
    found = file.of_secret(secret)
    assert found is not None
    assert found.scope == Filter(service=("loans",), since=1782864000 * 10**9)
    assert file.of_secret(secret + "x") is None
    assert file.of_secret("") is None


def test_a_token_ends_at_its_time_or_when_it_is_revoked(file):
    """A token is valid until it expires, and not a moment after it was revoked by another process."""
    secret, made = file.create("Ada", Role.ENGINEER, 10 * HOUR, Filter(), HOUR)
    assert file.of_secret(secret).is_valid(10 * HOUR - 1)
    assert not file.of_secret(secret).is_valid(10 * HOUR)
    assert file.by_id(made.id).is_valid(HOUR)
    token(file, "revoke", made.id)
    assert not file.by_id(made.id).is_valid(HOUR)
    assert not file.of_secret(secret).is_valid(HOUR)
    assert "revoked" in token(file, "list").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", " ", "--role", "auditor"], "name"),
        (["--name", "a\nb", "--role", "auditor"], "name"),
        (["--name", "a", "--role", "auditor", "--expires", "2020-01-01"], "future"),
        (["--name", "a", "--role", "auditor", "--expires", "soon"], "soon"),
        (["--name", "a", "--role", "auditor", "--text", "payslip"], "text"),
    ],
)
def test_a_token_that_can_not_be_is_not_made(file, arguments, said):
    """A name, a time or a scope that makes no sense is an error, and nothing is written."""
    with pytest.raises(ConfigError, match=said):
        token(file, "create", *arguments)
    assert not file.path.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"auditor"', '"emperor"'),
        lambda text: text.replace('"service"', '"servise"'),
        lambda text: text.replace('[\n          "loans"\n        ]', "[]"),
        lambda text: text.replace('"revoked_unix_nano": 0', '"revoked_unix_nano": null'),
    ],
)
def test_a_damaged_file_signs_nobody_in(file, damage):
    """What can not be read as it was written is an error; a scope that is not understood is never left out."""
    secret, _ = file.create("Ada", Role.AUDITOR, 10 * HOUR, Filter(service=("loans",)), HOUR)
    whole = file.path.read_text()
    file.path.write_text(damage(whole))
    assert file.path.read_text() != whole
    with pytest.raises(ConfigError, match=r"tokens\.json"):
        file.of_secret(secret)


def test_a_file_that_others_can_read_is_refused(file):
    """Tokens in a file that others can read sign nobody in."""
    secret, _ = file.create("Ada", Role.AUDITOR, 10 * HOUR, Filter(), HOUR)
    file.path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        file.of_secret(secret)


def test_tokens_made_at_once_are_all_there(file):
    """No token is lost when several are made at the same time."""
    threads = [
        threading.Thread(target=TokenFile(file.path).create, args=(f"p{number}", Role.PRODUCT, HOUR, Filter(), 1))
        for number in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(each.name for each in file.all()) == [f"p{number}" for number in range(8)]


def test_a_mistyped_folder_gets_no_tokens(tmp_path):
    """`token` makes no folder where no ledger is."""
    done = CliRunner().invoke(
        cli, ["token", "create", "--data", str(tmp_path / "dat"), "--name", "a", "--role", "product"]
    )
    assert isinstance(done.exception, ConfigError)
    assert not (tmp_path / "dat").exists()
