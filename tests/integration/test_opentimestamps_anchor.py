"""The OpenTimestamps anchor with a calendar over HTTP: proofs are completed later, and false ones are named."""

import struct
import threading
import time
from itertools import count

import pytest
from bitcoin.core import CBlockHeader
from opentimestamps.core.serialize import BytesDeserializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

from otel_audit.anchors import Publication
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.opened import read_anchors
from otel_audit.anchors.opentimestamps import OpenTimestampsAnchor
from otel_audit.anchors.proofs import header_of, note_of, read_proofs
from otel_audit.anchors.settings import load_anchors, parse_anchors
from otel_audit.anchors.tokens import stored_attestations
from otel_audit.errors import AnchorUnavailable, ConfigError
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.trust import Trust, format_trust, parse_trust
from otel_audit.model import Checkpoint
from otel_audit.receiver.anchoring import Anchoring
from otel_audit.store.anchor_states import read_states
from otel_audit.store.folder import DataFolder
from tests.integration.local_calendar import FIRST_HEIGHT, LocalCalendar, block_hash, mined, serving
from tests.integration.running import run, running, verify
from tests.integration.test_s3_anchor import ORIGIN, publication
from tests.integration.test_up import spans_request

AT = 1_800_000_000
MARGIN = 7200


@pytest.fixture
def calendar():
    calendar = LocalCalendar()
    with serving(calendar):
        yield calendar


@pytest.fixture
def records(tmp_path):
    return FileAnchor(tmp_path / "anchors")


def settings_for(calendar, **more):
    table = {"kind": "opentimestamps", "name": "ots", "calendars": [calendar.url]}
    (settings,) = parse_anchors([{**table, "headers": calendar.url + "/header/{height}", **more}], "test")
    return settings


@pytest.fixture
def anchor(calendar, records):
    return OpenTimestampsAnchor(settings_for(calendar), records)


def proof(records):
    (path,) = records.folder.glob("*/opentimestamps/*.note.ots")
    return path


@pytest.fixture
def complete(anchor, calendar, records):
    """A proof with its header, and the blocks that a verifier knows."""
    anchor.publish(publication(3))
    blocks = calendar.mine(AT)
    assert anchor.upgrade() == 0
    return proof(records), blocks


def codes(records, blocks=None):
    return [str(finding.code) for finding in read_proofs(records, blocks or {}).findings]


def test_a_proof_attests_when_the_note_existed(complete, records):
    """From files alone, and with the block's hash from the verifier: the block's time, and what that may be off."""
    _, blocks = complete
    reading = read_proofs(records, blocks)
    (anchored,) = reading.checkpoints
    assert (anchored.origin, anchored.note, anchored.kind) == (ORIGIN, publication(3).note, "opentimestamps")
    assert anchored.attested_unix_nano == (AT + MARGIN) * 10**9
    assert (reading.findings, reading.damaged) == ((), ())
    assert read_proofs(records, blocks, {"another ledger"}).checkpoints == ()


def test_the_public_library_reads_our_proof(complete):
    """Nobody needs us to check: the library comes from the note's hash to the block's Merkle root, as we do."""
    path, _ = complete
    stamp = DetachedTimestampFile.deserialize(BytesDeserializationContext(path.read_bytes()))
    with note_of(path).open("rb") as note:
        assert stamp.file_hash_op.hash_fd(note) == stamp.file_digest
    header = CBlockHeader.deserialize(header_of(path).read_bytes())
    ((message, attestation),) = [each for each in stamp.timestamp.all_attestations() if hasattr(each[1], "height")]
    assert attestation.height == FIRST_HEIGHT
    assert attestation.verify_against_blockheader(message, header) == AT


def test_a_pending_proof_is_a_state(anchor, calendar, records):
    """No block yet: no failure, no attested time, and it is said; the promise is on disk, without the note's hash."""
    anchor.publish(publication(3))
    assert anchor.upgrade() == 1
    reading = read_proofs(records, {})
    assert [str(finding.code) for finding in reading.findings] == ["OTS_PENDING"]
    assert "is pending" in reading.findings[0].detail
    assert [each.attested_unix_nano for each in reading.checkpoints] == [None]
    calendar.asked.clear()
    anchor.publish(publication(3))
    assert not calendar.asked.is_set(), "after a crash between proof and state nobody is asked again"


def test_a_block_that_nobody_vouches_for_attests_nothing(complete, records):
    """Anybody makes a header with easy bits: without a hash that the verifier knows no time is believed; it is said."""
    _, blocks = complete
    reading = read_proofs(records, {})
    assert [str(finding.code) for finding in reading.findings] == ["OTS_PENDING"]
    assert "Bitcoin's chain was not checked" in reading.findings[0].detail
    assert blocks[FIRST_HEIGHT] in reading.findings[0].detail
    assert [each.attested_unix_nano for each in reading.checkpoints] == [None]


def test_a_proof_that_does_not_hold_is_named(complete, records):
    """A forged block, a header without work, an altered path, junk, a proof of nothing: OTS_INVALID each."""
    path, blocks = complete
    header, raw = header_of(path).read_bytes(), path.read_bytes()

    def found(told, *, header=header, raw=raw, blocks=blocks):
        for file, content in ((path, raw), (header_of(path), header)):
            file.unlink()
            file.write_bytes(content)
        reading = read_proofs(records, blocks)
        assert [str(finding.code) for finding in reading.findings] == ["OTS_INVALID"], told
        assert told in reading.findings[0].detail
        assert reading.checkpoints == ()

    backdated = mined(header[36:68], AT - 10**6)
    found("not the one of Bitcoin's block 840,000", header=backdated)
    found("does not lead to the block header", header=mined(bytes(32), AT))
    lazy = next(each for n in range(99) if block_hash(each := header[:76] + struct.pack("<I", n)) > "8")
    found("no valid proof of work", header=lazy)
    for bits in (0, 0x04800000, 0x2300FFFF, 0x217FFFFF):
        found("no valid proof of work", header=header[:72] + struct.pack("<I", bits) + header[76:])
    found("has 79 bytes", header=header[:79])
    found("does not lead to the block header", raw=raw.replace(b"before", b"beFore"))
    found("is cut off", raw=raw[:-1])
    found("goes on after its end", raw=raw + b"\0")
    found("is no OpenTimestamps proof", raw=b"junk" * 20)
    found("not known, 0x42", raw=raw[:65] + b"\x42")
    header_of(path).unlink()
    path.unlink()
    path.write_bytes(raw[:65] + b"\x00" + b"8 bytes." + b"\x00")
    assert codes(records, blocks) == ["OTS_INVALID"], "neither calendar nor block"


def test_a_proof_for_another_note_is_named(complete, records):
    """A proof that was put beside another note does not speak for it, complete or pending."""
    path, blocks = complete
    note_of(path).unlink()
    note_of(path).write_text(publication(3, b"x").note)
    assert codes(records, blocks) == ["IMPRINT_MISMATCH"]
    header_of(path).unlink()
    assert codes(records, blocks) == ["IMPRINT_MISMATCH"]


def test_what_is_over_digests_is_not_taken_for_damaged(complete, anchor, records):
    """For a bundle the proofs of checkpoints are taken, with their headers; those of digests stay where they are."""
    path, _ = complete
    anchor.publish(Publication("a digest", ORIGIN, 1, is_digest=True))
    reading = stored_attestations(records)
    assert reading.damaged == ()
    (taken,) = reading.checkpoints
    assert (taken.evidence, taken.block_header) == (path.read_bytes(), header_of(path).read_bytes())


def test_a_header_that_does_not_fit_is_not_kept(anchor, calendar, records):
    """The source of headers gives another block's, or junk: told, and asked again until it is right."""
    anchor.publish(publication(3))
    calendar.mine(AT)
    right = calendar.headers[FIRST_HEIGHT]
    for wrong, told in ((mined(bytes(32), AT), "does not lead to"), (b"junk", "expected a block header of 80 bytes")):
        calendar.headers[FIRST_HEIGHT] = wrong
        with pytest.raises(AnchorUnavailable, match=told):
            anchor.upgrade()
        assert not header_of(proof(records)).exists()
    calendar.headers[FIRST_HEIGHT] = right
    assert anchor.upgrade() == 0


def test_headers_come_by_hash_or_from_a_folder(calendar, records, tmp_path):
    """As explorers give them: the hash of the height, then its header; or files of a node's own."""
    hashes = calendar.url + "/hash/{height}"
    by_hash = OpenTimestampsAnchor(
        settings_for(calendar, headers=calendar.url + "/header/{hash}", hashes=hashes), records
    )
    by_hash.publish(publication(3))
    blocks = calendar.mine(AT)
    assert by_hash.upgrade() == 0
    from_folder = OpenTimestampsAnchor(settings_for(calendar, name="folder", headers=str(tmp_path)), records)
    from_folder.publish(publication(4))
    blocks = calendar.mine(AT)
    with pytest.raises(AnchorUnavailable, match="the header of block 840001"):
        from_folder.upgrade()
    (tmp_path / "840001.header").write_bytes(calendar.headers[840_001])
    assert from_folder.upgrade() == 0
    assert len(read_proofs(records, blocks).checkpoints) == 2


def test_one_calendar_is_enough_and_none_is_told(calendar, records):
    """A proof does without the calendars that are away; when all are, no file is left."""
    away = LocalCalendar()
    with serving(away) as url:
        away.refuse = True
        both = OpenTimestampsAnchor(settings_for(calendar, calendars=[url, calendar.url]), records)
        both.publish(publication(3))
        assert codes(records) == ["OTS_PENDING"]
        calendar.refuse = True
        with pytest.raises(AnchorUnavailable, match=r"no calendar answered: .*503"):
            both.publish(publication(4))
        with pytest.raises(AnchorUnavailable, match=r"503"):
            both.upgrade()
    assert len(list(records.folder.glob("**/*.note.ots"))) == 1


def test_a_proof_does_not_choose_whom_we_call(anchor, calendar, records):
    """A promise in the name of a server that was not configured is told, and nobody calls it."""
    stranger = LocalCalendar()
    with serving(stranger) as url:
        real, calendar.url = calendar.url, url
        anchor.publish(publication(3))
        calendar.url = real
        with pytest.raises(AnchorUnavailable, match="not one of calendars"):
            anchor.upgrade()
        assert not stranger.asked.is_set()


def test_the_background_completes_what_was_promised(calendar, anchor, tmp_path):
    """Nobody has to ask: less and less often while no block comes, and at once after a restart."""
    folder = DataFolder(tmp_path / "data")
    folder.create(ORIGIN)
    asked, completed = [], threading.Event()

    class Watched(OpenTimestampsAnchor):
        def upgrade(self):
            asked.append(self)
            if len(asked) == 6:
                calendar.mine(AT)
            left = super().upgrade()
            if len(asked) >= 6:
                completed.set()
            return left

    hours = count(10**18, 5 * 3600 * 10**9)  # each look at the clock is five hours later: nobody has to wait
    watched = Watched(settings_for(calendar), FileAnchor(tmp_path / "anchors"))
    anchoring = Anchoring([(watched.settings, watched)], folder, lambda: next(hours))
    anchoring.start()
    anchoring.publish(publication(3).note, Checkpoint(ORIGIN, 3, b"r" * 32))
    assert completed.wait(60)
    anchoring.stop()
    (state,) = read_states(folder)
    assert (state.pending, state.published_size, state.last_error) == (0, 3, "")


def test_calendars_are_asked_less_and_less_often(calendar, anchor, tmp_path):
    """Ten minutes after the promise, then twice as long, up to four hours; what failed is told, and asked again."""
    folder = DataFolder(tmp_path / "data")
    folder.create(ORIGIN)
    (carrier,) = Anchoring([(anchor.settings, anchor)], folder, lambda: 10**18).carriers
    carrier.offer(publication(3))
    waits = []
    for _ in range(7):
        assert (carrier.carry_now().pending, carrier.state.last_error) == (1, "")
        waits.append(carrier._seconds_until_upgrade())
    assert waits == [600, 1200, 2400, 4800, 9600, 14_400, 14_400]
    calendar.refuse = True
    state = carrier.carry_now()
    assert state.pending == 1
    assert "503" in state.last_error
    calendar.refuse = False
    calendar.mine(AT)
    state = carrier.carry_now()
    assert (state.pending, state.last_error, carrier._seconds_until_upgrade()) == (0, "", None)
    assert read_states(folder) == [state]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"calendars": []}, "calendars [] is no list of URLs"),
        ({"calendars": ["ftp://c"]}, "no http or https URL"),
        ({"headers": "http://h/header"}, "needs {height}"),
        ({"headers": "http://h/{hash}"}, "as hashes"),
        ({"headers": "/var/{height}"}, "is no folder"),
        ({"headers": "http://me:hunter2@h/{height}"}, "credentials by the environment"),
    ],
)
def test_settings_that_are_wrong_are_named(more, said):
    """What is wrong, and never a secret."""
    table = {"kind": "opentimestamps", "calendars": "http://c", "headers": "http://h/{height}"}
    with pytest.raises(ConfigError) as raised:
        parse_anchors([{**table, **more}], "test")
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_blocks_of_a_trust_file():
    """Heights with hashes; anything else is an error that says which."""
    trust = Trust(bitcoin_blocks={840_000: "0" * 64})
    assert parse_trust(format_trust(trust), "t") == trust
    for wrong in ('{"x": "00"}', '{"1": "00"}', '{"1": 3}', '["1"]'):
        with pytest.raises(ConfigError, match="t: "):
            parse_trust(f'{{"verifier_keys": [], "bitcoin_blocks": {wrong}}}', "t")


def test_a_receiver_anchors_in_bitcoin(tmp_path, calendar):
    """`anchor --now` says what is pending; once the block is there, verify compares with it."""
    data, file = tmp_path / "data", tmp_path / "anchors.toml"
    file.write_text(
        f'[[anchors]]\nkind = "opentimestamps"\nname = "ots"\ncalendars = ["{calendar.url}"]\n'
        f'headers = "{calendar.url}/header/{{height}}"\n'
    )
    with running(data, "--no-dashboard", "--anchors", str(file)) as up:
        up.export(spans_request(0, 7).SerializeToString())
        shown = run("anchor", "--now", "--data", str(data)).stdout
        assert "has 8 entries" in shown
        assert "pending" in shown
        up.stop()
    blocks = calendar.mine(int(time.time()))
    OpenTimestampsAnchor(load_anchors(file)[0], FileAnchor(tmp_path / "data-anchors")).upgrade()
    keys = tuple(VerifierKey.parse(text) for text in DataFolder(data).verifier_keys())
    trust = tmp_path / "trust.json"
    trust.write_text(format_trust(Trust(keys, bitcoin_blocks=blocks)))
    report = verify(data, "--anchors-from", str(file), "--trust", str(trust))
    assert (report["status"], report["findings"]) == ("ok", [])


def test_an_anchor_that_has_nothing_is_named(complete, records, calendar):
    """A proof must be there for whoever asks for one; a pending one counts, one of other calendars does not."""
    path, blocks = complete

    def found(settings):
        reading = read_anchors([records], [settings], Trust(bitcoin_blocks=blocks), {ORIGIN})
        return [str(finding.code) for finding in reading.findings]

    assert found(settings_for(calendar)) == []
    assert found(settings_for(calendar, name="other")) == ["ANCHOR_MISSING"]
    header_of(path).unlink()
    assert found(settings_for(calendar)) == ["OTS_PENDING"]
    assert found(settings_for(calendar, name="other")) == ["OTS_PENDING", "ANCHOR_MISSING"], "a state hides nothing"
