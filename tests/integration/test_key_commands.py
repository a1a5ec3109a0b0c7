"""``otel-audit keys`` on real ledgers, with and without a running receiver."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from otel_audit.cli import cli
from otel_audit.errors import ConfigError
from otel_audit.ledger.checkpoint import open_checkpoint
from otel_audit.ledger.note import Signer, VerifierKey
from otel_audit.ledger.trust import Trust, format_trust, parse_trust
from otel_audit.store.folder import DataFolder
from tests.integration.running import run, running, verify
from tests.integration.test_up import spans_request

KEY = Signer("audit.example.com/receiver-0", b"1" * 32).verifier_key


def test_a_running_ledger_rotates_its_key(tmp_path):
    """Entries before and after verify for whoever has the first key; the checkpoint that tells of it has both."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard", "--checkpoint-seconds", "0.2") as up:
        up.export(spans_request(0, 5).SerializeToString())
        first = tmp_path / "first.json"
        first.write_text(run("keys", "export", "--data", str(data)).stdout)
        rotated = json.loads(run("keys", "rotate", "--data", str(data), "--json").stdout)
        note = run("checkpoint", "--data", str(data)).stdout
        both = [VerifierKey.parse(rotated[name]) for name in ("old_key", "new_key")]
        for key in both:
            assert open_checkpoint(note, [key], rotated["origin"]).size == rotated["seq"] + 1
        up.export(spans_request(5, 5).SerializeToString())
        later = run("checkpoint", "--data", str(data)).stdout
        assert open_checkpoint(later, both[1:], rotated["origin"]).size == 12
        assert both[0].key_id not in [each.key_id for each in signatures(later)], "the old key signs no more"
        shown = json.loads(run("keys", "show", "--data", str(data), "--json").stdout)["keys"]
        report = verify(data, "--trust", str(first))
    assert [(key["key"], key["signs"], key["from_size"], key["to_size"]) for key in shown] == [
        (rotated["old_key"], False, 0, rotated["seq"]),
        (rotated["new_key"], True, rotated["seq"] + 1, None),
    ]
    assert report["status"] == "ok"
    assert DataFolder(data).signer().verifier_key == both[1]
    # Masking leaves the statement as it was signed, and the anchor folder keeps it as the proof.
    (proof,) = data.with_name("data-anchors").glob("*/rotation-*.note")
    assert proof.name == f"rotation-{both[1].key_id.hex()}.note"


def signatures(note):
    from otel_audit.ledger.note import parse_note

    return parse_note(note)[1]


def invoke(*arguments):
    done = CliRunner().invoke(cli, ["keys", *map(str, arguments)])
    return done if done.exception is None or isinstance(done.exception, SystemExit) else done.exception


def test_a_trust_file_has_all_that_a_verifier_needs(tmp_path):
    """Keys, TSA roots, anchors and witnesses go out as one file, and come back as they were given."""
    DataFolder(tmp_path / "data").create("audit.example.com/receiver-0")
    root = tmp_path / "root.pem"
    root.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    done = invoke(
        *("export", "--data", tmp_path / "data", "--tsa-root", root, "--anchor", "kind=s3,bucket=b"),
        *("--witness", "w+00000000+AAAA", "--witness-quorum", "1"),
    )
    trust = parse_trust(done.output, "output")
    assert trust.verifier_keys == (DataFolder(tmp_path / "data").signer().verifier_key,)
    assert trust.tsa_roots == (root.read_text(),)
    assert (trust.anchors, trust.witnesses, trust.witness_quorum) == (
        ({"kind": "s3", "bucket": "b"},),
        ("w+00000000+AAAA",),
        1,
    )
    assert "PRIVATE" not in done.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--anchor", "s3"], "expected kind=KIND"),
        (["--witness-quorum", "2"], "there are 0 witnesses"),
        (["--tsa-root", "{file}"], "no PEM certificate"),
    ],
)
def test_what_can_not_go_into_a_trust_file(tmp_path, options, told):
    """A wrong option is named, and no file comes out."""
    DataFolder(tmp_path / "data").create()
    (tmp_path / "file").write_text("text")
    given = [option.replace("{file}", str(tmp_path / "file")) for option in options]
    error = invoke("export", "--data", tmp_path / "data", *given)
    assert isinstance(error, ConfigError)
    assert told in str(error)


@pytest.mark.parametrize("name", [KEY.key_id.hex(), f"{KEY.name}+{KEY.key_id.hex()}", KEY.format()])
def test_a_compromise_is_noted_in_the_trust_file(tmp_path, name):
    """By whatever name the key is called; of two dates the earlier one stays, and nothing else changes."""
    path = tmp_path / "trust.json"
    path.write_text(format_trust(Trust((KEY,), tsa_roots=("pem",))))
    for since in ("2026-11-20T08:00:00Z", "2026-11-21T08:00:00+00:00"):
        assert "keys rotate" in invoke("compromised", name, "--since", since, "--trust", path).output
    trust = parse_trust(path.read_text(), "file")
    assert trust.compromised_since(KEY) == 1_795_161_600 * 10**9
    assert (trust.verifier_keys, trust.tsa_roots) == ((KEY,), ("pem",))


@pytest.mark.parametrize(
    ("name", "since", "told"),
    [("00000000", "2026-11-20T08:00:00Z", "0 keys match"), (KEY.key_id.hex(), "2026-11-20T08:00:00", "no zone")],
)
def test_a_compromise_that_can_not_be_noted(tmp_path, name, since, told):
    """An unknown key or a time without a zone is an error, and the file stays as it was."""
    path = tmp_path / "trust.json"
    path.write_text(format_trust(Trust((KEY,))))
    assert told in str(invoke("compromised", name, "--since", since, "--trust", path))
    assert parse_trust(path.read_text(), "file") == Trust((KEY,))


def test_settings_reach_the_commands_of_a_group(tmp_path, monkeypatch):
    """The settings file's data folder is that of `keys export`, too."""
    DataFolder(tmp_path / "elsewhere").create("audit.example.com/configured")
    (tmp_path / "otel-audit.toml").write_text(f'data = "{tmp_path / "elsewhere"}"\n[keys]\nwitness-quorum = 0\n')
    monkeypatch.chdir(tmp_path)
    assert "audit.example.com/configured+" in invoke("export").output
