"""The RFC 3161 anchor with an authority made of ``openssl ts``: tokens verify offline, and false ones are named."""

import shutil
import subprocess
import time

import pytest

from otel_audit.anchors import Publication
from otel_audit.anchors.digests import keep_digest
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.rfc3161 import Rfc3161Anchor, read_tokens
from otel_audit.anchors.settings import parse_anchors
from otel_audit.errors import AnchorUnavailable, ConfigError
from otel_audit.ledger.digest import Digest, digest_hash, sign_digest
from otel_audit.ledger.note import Signer
from tests.integration.local_tsa import LocalTsa, serving
from tests.integration.test_s3_anchor import ORIGIN, publication


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return LocalTsa(tmp_path_factory.mktemp("authorities") / "ours")


@pytest.fixture(scope="module")
def url(tsa):
    with serving(tsa) as url:
        yield url


@pytest.fixture
def records(tmp_path):
    return FileAnchor(tmp_path / "anchors")


@pytest.fixture
def anchor(url, records):
    return opened(url, records)


def opened(url, records):
    (settings,) = parse_anchors([{"kind": "rfc3161", "name": "tsa", "url": url}], "test")
    return Rfc3161Anchor(settings, records)


def token(records):
    (path,) = records.folder.glob("*/rfc3161/*.tsr")
    return path


def codes(records, tsa):
    return [str(finding.code) for finding in read_tokens(records, [tsa.roots]).findings]


def test_a_token_attests_when_the_note_existed(anchor, records, tsa):
    """The authority's time comes back with the note, from files alone."""
    before = time.time_ns()
    anchor.publish(publication(3))
    reading = read_tokens(records, [tsa.roots])
    (anchored,) = reading.checkpoints
    assert (anchored.origin, anchored.note, anchored.kind) == (ORIGIN, publication(3).note, "rfc3161")
    assert before - 2_000_000_000 <= anchored.attested_unix_nano <= time.time_ns()
    assert (reading.findings, reading.damaged) == ((), ())


def test_the_newest_digest_is_missed_by_its_timestamp(anchor, records, tsa):
    """Nothing follows the newest digest; where it was timestamped, that it is gone is named all the same."""
    notes = []
    for number in (1, 2):
        digest = Digest(ORIGIN, number, digest_hash(notes[-1]) if notes else "", "2026-11-24T09:00:00Z", ())
        notes.append(sign_digest(digest, [Signer(ORIGIN, bytes(32))]))
        keep_digest(records, digest, notes[-1])
        anchor.publish(Publication(notes[-1], ORIGIN, number, is_digest=True))
    assert codes(records, tsa) == []
    (newest,) = records.folder.glob("*/digests/00000002-*")
    newest.unlink()
    assert codes(records, tsa) == ["ANCHOR_MISSING"]
    assert len(read_tokens(records, [tsa.roots]).digests) == 2, "what it said is still compared"


def test_openssl_accepts_our_tokens(anchor, records, tsa):
    """Nobody needs us to check: openssl takes the two files and the root."""
    anchor.publish(publication(3))
    path = token(records)
    command = ["openssl", "ts", "-verify", "-data", path.with_suffix(".note"), "-in", path]
    done = subprocess.run([*command, "-CAfile", tsa.folder / "ca.pem"], capture_output=True, text=True, check=False)
    assert "Verification: OK" in done.stdout, done.stderr


def test_a_token_for_another_note_is_named(anchor, records, tsa):
    """A token that was put beside another note does not speak for it."""
    anchor.publish(publication(3))
    token(records).with_suffix(".note").write_text(publication(3, b"x").note)
    assert codes(records, tsa) == ["IMPRINT_MISMATCH"]
    assert read_tokens(records, [tsa.roots]).checkpoints == ()


def test_a_token_of_an_authority_that_is_not_trusted_is_named(anchor, records, tmp_path):
    """Anybody can run an authority: only the roots of the trust file count."""
    anchor.publish(publication(3))
    assert codes(records, LocalTsa(tmp_path / "theirs")) == ["WRONG_TSA"]


def test_a_token_that_was_altered_is_named(anchor, records, tsa):
    """A flipped bit of the signature, and a file that is no token."""
    anchor.publish(publication(3))
    path = token(records)
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.chmod(0o600)
    path.write_bytes(raw)
    assert codes(records, tsa) == ["TSA_INVALID"]
    path.write_bytes(b"junk")
    assert codes(records, tsa) == ["TSA_INVALID"]


def test_a_token_by_an_expired_certificate_is_named(records, tmp_path):
    """The authority's certificate has to be valid when it signs."""
    past = ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
    try:
        expired = LocalTsa(tmp_path / "expired", past)
    except subprocess.CalledProcessError:
        expired = LocalTsa(tmp_path / "expired2", ("-days", "-1"))
    with serving(expired) as url:
        opened(url, records).publish(publication(3))
    assert codes(records, expired) == ["TSA_INVALID"]


def test_without_roots_no_time_is_believed_and_that_is_said(anchor, records):
    """No roots are trusted: no attested time, and one remark."""
    anchor.publish(publication(3))
    reading = read_tokens(records, [])
    assert (reading.checkpoints, reading.findings) == ((), ())
    assert "no tsa_roots" in reading.damaged[0]
    with pytest.raises(ConfigError, match="tsa_roots: number 1"):
        read_tokens(records, ["nonsense"])


def test_a_token_that_is_there_is_not_asked_for_again(anchor, records, tsa):
    """After a crash between token and state the authority is not troubled again."""
    anchor.publish(publication(3))
    tsa.asked.clear()
    anchor.publish(publication(3))
    assert not tsa.asked.is_set()


def test_an_authority_that_refuses_is_told(anchor, records, tsa):
    """The error names the anchor and what was answered; no file is left."""
    tsa.refuse = True
    try:
        with pytest.raises(AnchorUnavailable, match=r"anchor tsa .*503"):
            anchor.publish(publication(3))
    finally:
        tsa.refuse = False
    assert not list(records.folder.glob("**/*.tsr"))


def test_an_answer_to_another_question_is_refused(records, tmp_path, tsa):
    """A replayed answer has another nonce and imprint."""

    class Replaying(type(tsa)):
        def __init__(self, first):
            self.__dict__.update(first.__dict__)
            self._answers = []

        def reply(self, query):
            self._answers.append(super().reply(query))
            return self._answers[0]

    with serving(Replaying(tsa)) as url:
        anchor = opened(url, records)
        anchor.publish(publication(3))
        with pytest.raises(AnchorUnavailable, match="not for what was asked"):
            anchor.publish(publication(4))
    shutil.rmtree(records.folder)


def test_a_damaged_certificate_is_named(anchor, records, tsa):
    """A token whose certificate can not even be read does not hold; verify does not break off over it."""
    anchor.publish(publication(3))
    raw = token(records).read_bytes()
    seen = set()
    for at in range(0, len(raw), 3):
        token(records).write_bytes(raw[:at] + bytes([raw[at] ^ 0x80]) + raw[at + 1 :])
        seen |= set(codes(records, tsa))
    assert seen == {"TSA_INVALID", "WRONG_TSA", "IMPRINT_MISMATCH"}


def test_a_note_of_another_ledger_beside_a_token_is_named(anchor, records, tsa):
    """A token whose note is of another ledger than its folder is not passed over, whichever ledgers are asked for."""
    anchor.publish(publication(3))
    token(records).with_suffix(".note").write_text(publication(3, origin="elsewhere").note)
    assert [each.code for each in read_tokens(records, [tsa.roots], [ORIGIN]).findings] == ["ANCHOR_MOVED"]
