"""Any one bit of what lies beside the store: it is found, or what is verified of the file is exactly what it was.

The second happens to what no verification believes: times by the publisher's own clock, the names of fields that are
not read, and the envelope of a timestamp token around what its authority signed. (Of S3 a flipped object is another
version: tests/integration/test_s3_anchor.py. Of a bundle: tests/integration/test_bundle.py.)
"""

import contextlib
import shutil
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from otel_audit.anchors import Publication, join_readings
from otel_audit.anchors.digests import keep_digest
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.opened import read_anchors
from otel_audit.anchors.rfc3161 import Rfc3161Anchor
from otel_audit.anchors.settings import parse_anchors
from otel_audit.anchors.witness import WitnessAddress, WitnessAnchor, read_witnessed
from otel_audit.anchors.witness_service import Witness, witness_key
from otel_audit.errors import AuditError
from otel_audit.ledger.checkpoint import open_checkpoint, sign_checkpoint
from otel_audit.ledger.cosignature import CosignatureKey, CosignatureSigner
from otel_audit.ledger.digest import Digest, Tip, check_digests, sign_digest
from otel_audit.ledger.findings import Findings
from otel_audit.ledger.keys import open_rotation, sign_rotation
from otel_audit.ledger.merkle import CompactRange, tree_root
from otel_audit.ledger.note import Signer, VerifierKey
from otel_audit.ledger.quorum import check_quorum
from otel_audit.ledger.trust import Trust
from otel_audit.model import Checkpoint
from otel_audit.receiver.witness_command import witness_app
from otel_audit.reports.verifier_state import Verified, VerifierState
from otel_audit.store.threaded_server import ThreadedServer
from tests.integration.local_tsa import LocalTsa, serving

LOG = Signer("example.com/log", bytes(range(32)))
WITNESS = CosignatureSigner("witness.example/w1", bytes(range(32)))
LEAVES = [bytes([number]) * 32 for number in range(9)]
BOUNDED = {"deadline": None, "derandomize": True, "phases": [Phase.generate]}
BOUNDED["suppress_health_check"] = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def flipped(raw: bytes, at: int, bit: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]


def note_of(size):
    return sign_checkpoint(checkpoint(size), [LOG])


def checkpoint(size):
    return Checkpoint(LOG.name, size, tree_root(LEAVES[:size]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An anchor folder with everything that is ever in one, made by what makes it; and whom to trust."""
    place = tmp_path_factory.mktemp("beside")
    records = FileAnchor(place / "anchors")
    tsa = LocalTsa(place / "authority")
    keeper = Witness(place / "w", witness_key(place / "w", "witness.example/w1"), {LOG.name: [LOG.verifier_key]})
    with serving(tsa) as tsa_url, ThreadedServer(witness_app(keeper)) as server:
        (authority,) = parse_anchors([{"kind": "rfc3161", "name": "tsa", "url": tsa_url}], "test")
        address = WitnessAddress.parse(f"http://127.0.0.1:{server.port}={keeper.key.format()}")
        for size in (3, 9):
            records.publish(note_of(size), checkpoint(size))
        Rfc3161Anchor(authority, records).publish(Publication(note_of(9), LOG.name, 9))
        WitnessAnchor(records.folder, address, lambda old, new: [], time.time_ns).publish(note_of(9), checkpoint(9))
    keeper.close()
    records.remember_key(LOG.verifier_key)
    newer = Signer(LOG.name, b"n" * 32)
    records.remember_key(newer.verifier_key, [sign_rotation(LOG, newer)])
    digest = Digest(LOG.name, 1, "", "2026-11-24T09:00:00Z", (Tip(note_of(9), 9),))
    keep_digest(records, digest, sign_digest(digest, [LOG]))
    trust = Trust((LOG.verifier_key,), tsa_roots=(tsa.roots,), witnesses=(keeper.key.format(),), witness_quorum=1)
    return records.folder, trust


def verified(folder, trust):
    """What a verification believes of an anchor folder, and whether it finds anything wrong."""
    records = FileAnchor(folder)
    reading = join_readings(
        [
            read_anchors([records], (), trust, [LOG.name]),
            read_witnessed(folder, [CosignatureKey.parse(text) for text in trust.witnesses]),
        ]
    )
    findings = Findings(LOG.name)
    named, doubtful = check_digests(reading.digests, lambda _: trust.verifier_keys)
    check_quorum(reading.checkpoints, trust, findings)
    believed = {
        (each.origin, each.kind, each.attested_unix_nano, open_checkpoint(each.note, trust.verifier_keys, each.origin))
        for each in (*reading.checkpoints, *named)
    }
    for path in folder.glob("*/rotation-*.note"):
        believed.add(open_rotation(path.read_text()))
    is_wrong = bool(reading.damaged or reading.findings or doubtful or findings.list())
    return (believed, records.trust(), len(reading.digests)), is_wrong


KINDS = {  # every kind of file; None: no verification believes it
    "trust.json": 12,
    "*/*.jsonl": 40,
    "*/rotation-*.note": 20,
    "*/rfc3161/*.tsr": 150,
    "*/rfc3161/*.note": 20,
    "*/digests/*.note": 30,
    "*/witness/*.jsonl": 40,
    "*/witness/*.state": None,  # how the last attempt went: a status for people, and never evidence
}


def test_every_kind_of_file_is_there(folder):
    """The folder holds each kind of file that is flipped here, and no other."""
    files = {path for path in folder[0].rglob("*") if path.is_file()}
    assert {path for kind in KINDS for path in folder[0].glob(kind)} == files
    assert all(list(folder[0].glob(kind)) for kind in KINDS)
    assert not verified(*folder)[1]


@pytest.mark.parametrize("kind", [kind for kind, count in KINDS.items() if count])
def test_a_bit_of_an_anchor(folder, tmp_path, kind):
    """Whatever bit of whatever file of an anchor folder: an error, a finding, or nothing that is believed changes."""
    copy = tmp_path / "copy"
    shutil.copytree(folder[0], copy)
    believed = verified(*folder)[0]
    (path,) = copy.glob(kind)
    raw = path.read_bytes()

    @settings(max_examples=KINDS[kind], **BOUNDED)
    @given(at=st.integers(0, len(raw) - 1), bit=st.integers(0, 7))
    def flip(at, bit):
        path.write_bytes(flipped(raw, at, bit))
        try:
            now, is_wrong = verified(copy, folder[1])
        except (AuditError, UnicodeDecodeError):
            return
        assert is_wrong or now == believed, (path, at, bit)

    flip()


@pytest.mark.parametrize(
    ("text", "parse"),
    [
        (LOG.format(), Signer.parse),
        (LOG.verifier_key.format(), VerifierKey.parse),
        (WITNESS.format(), CosignatureSigner.parse),
        (WITNESS.verifier_key.format(), CosignatureKey.parse),
    ],
    ids=["ledger's key", "ledger's verifier key", "witness's key", "witness's verifier key"],
)
def test_a_bit_of_a_key_file(text, parse):
    """No key is another key by one bit: each that is flipped is refused."""
    raw = text.encode()
    for at in range(len(raw)):
        for bit in range(8):
            with contextlib.suppress(AuditError, UnicodeDecodeError):
                assert parse(flipped(raw, at, bit).decode()) == parse(text), (at, bit)


def test_a_bit_of_what_a_verifier_remembers(tmp_path):
    """A flipped bit of a verifier's state, or of its key: said, or the state is what it was."""
    tree = CompactRange()
    tree.extend(LEAVES)
    state = VerifierState(tmp_path / "state.json")
    state.save({LOG.name: replace(Verified.of(LOG.name, tree, 9), when=1)})
    known, wrong = state.load()
    assert known[LOG.name].size == 9
    assert not wrong
    for path in (state.path, tmp_path / "state.json.key"):
        raw = path.read_bytes()
        for at in range(len(raw)):
            path.write_bytes(flipped(raw, at, at * 7 % 8))
            with contextlib.suppress(AuditError, UnicodeDecodeError):
                now, wrong = state.load()
                assert wrong or now == known, (path, at)
        path.write_bytes(raw)
