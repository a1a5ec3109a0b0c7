"""The file anchor: append-only, durable, and never silently overwritten."""

import json
import os

import pytest

from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import ConfigError, LedgerConflict
from otel_audit.ledger.checkpoint import open_checkpoint, sign_checkpoint
from otel_audit.ledger.note import Signer
from otel_audit.model import Checkpoint

ORIGIN = "audit.example.com/receiver-0"
SIGNER = Signer(ORIGIN, b"s" * 32)
DAY = 86_400 * 1_000_000_000
NOON = 20_000 * DAY + DAY // 2  # 2024-10-04T12:00:00Z


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def checkpoint(size, root=b"r", origin=ORIGIN):
    return Checkpoint(origin, size, root * 32)


def publish(anchor, *checkpoints):
    for each in checkpoints:
        anchor.publish(sign_checkpoint(each, [Signer(each.origin, b"s" * 32)]), each)


def opened(anchor, origin=ORIGIN):
    key = Signer(origin, b"s" * 32).verifier_key
    return [open_checkpoint(anchored.note, [key], origin) for anchored in anchor.read(origin).checkpoints]


@pytest.fixture
def anchor(tmp_path):
    return FileAnchor(tmp_path / "anchors", Clock(NOON))


def test_what_is_published_is_read_back(anchor):
    """Checkpoints come back in order, verifiable, with where they are and when they were published."""
    publish(anchor, checkpoint(3), checkpoint(5, b"s"))
    assert opened(anchor) == [checkpoint(3), checkpoint(5, b"s")]
    first, second = anchor.read(ORIGIN).checkpoints
    assert first.published_at == "2024-10-04T12:00:00Z"
    assert second.source.endswith("2024-10-04.jsonl line 2")
    assert anchor.read(ORIGIN).damaged == ()


def test_the_record_is_the_documented_one(anchor):
    """A line is a JSON object with the documented members, so that others can read the file."""
    publish(anchor, checkpoint(3))
    (path,) = anchor.folder.glob("*/*.jsonl")
    record = json.loads(path.read_bytes())
    assert list(record) == ["origin", "size", "root_hash", "published_at", "note"]
    assert (record["origin"], record["size"], len(record["root_hash"])) == (ORIGIN, 3, 44)


def test_a_file_a_day(anchor):
    """Each day has its file; reading goes over all of them, oldest first."""
    publish(anchor, checkpoint(3))
    anchor._clock.now += DAY
    publish(anchor, checkpoint(4))
    assert sorted(path.name for path in anchor.folder.glob("*/*")) == ["2024-10-04.jsonl", "2024-10-05.jsonl"]
    assert opened(anchor) == [checkpoint(3), checkpoint(4)]


@pytest.mark.parametrize("other", [checkpoint(4), checkpoint(5, b"x"), checkpoint(0)])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_contradiction_is_refused(anchor, other, restarted):
    """A smaller size, or the same size with another root, stops the writer, also after a restart."""
    publish(anchor, checkpoint(5))
    anchor = FileAnchor(anchor.folder, Clock(NOON + DAY)) if restarted else anchor
    with pytest.raises(LedgerConflict, match="contradicts"):
        publish(anchor, other)
    assert opened(anchor) == [checkpoint(5)]


def test_publishing_the_newest_again_is_harmless(anchor):
    """A retry after an uncertain publish neither fails nor adds a line."""
    publish(anchor, checkpoint(5), checkpoint(5))
    publish(FileAnchor(anchor.folder), checkpoint(5))
    assert opened(anchor) == [checkpoint(5)]


def test_origins_do_not_share_a_folder(anchor):
    """Two origins whose names look alike as folder names are kept apart."""
    names = ["a/b", "a-b", "../../evil", "日本", "a" * 500]
    publish(anchor, *[checkpoint(1, origin=name) for name in names])
    assert anchor.origins() == sorted(names)
    assert len(list(anchor.folder.iterdir())) == len(names)
    assert [opened(anchor, name) for name in names] == [[checkpoint(1, origin=name)] for name in names]
    assert len(anchor.read_all().checkpoints) == len(names)
    assert not (anchor.folder.parent.parent / "evil").exists()


def test_a_torn_last_line_is_reported_and_survived(anchor):
    """A line that a crash cut short doesn't hide the others, is reported, and doesn't spoil the next one."""
    publish(anchor, checkpoint(3), checkpoint(4))
    (path,) = anchor.folder.glob("*/*.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    reading = anchor.read(ORIGIN)
    assert (opened(anchor), len(reading.damaged)) == ([checkpoint(3)], 1)
    assert "line 2" in reading.damaged[0]
    assert "torn" in reading.damaged[0]

    restarted = FileAnchor(anchor.folder, Clock(NOON))
    publish(restarted, checkpoint(4), checkpoint(9))
    assert opened(restarted) == [checkpoint(3), checkpoint(4), checkpoint(9)]
    assert len(restarted.read_all().damaged) == 1


@pytest.mark.parametrize(
    "line", [b"{}\n", b"\xff\xfe\n", b"[1]\n", b"nonsense\n", b'{"origin":"x","size":1,"root_hash":"","note":"x"}\n']
)
def test_an_edited_line_is_reported(anchor, line):
    """A line that is no record is named with its file and number, wherever it stands."""
    publish(anchor, checkpoint(3))
    (path,) = anchor.folder.glob("*/*.jsonl")
    path.write_bytes(line + path.read_bytes())
    reading = anchor.read(ORIGIN)
    assert [damage.startswith(f"{path} line 1") for damage in reading.damaged] == [True]
    assert opened(anchor) == [checkpoint(3)]


def test_a_size_that_is_not_the_notes(anchor):
    """The readable members of a line can't say something else than the signed note in it."""
    publish(anchor, checkpoint(3))
    (path,) = anchor.folder.glob("*/*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"size":3', b'"size":4'))
    assert "not what its note says" in anchor.read(ORIGIN).damaged[0]


def test_nothing_there(anchor):
    """A folder that doesn't exist yet is an anchor without checkpoints, and isn't made by reading."""
    assert anchor.read(ORIGIN).checkpoints == ()
    assert (anchor.origins(), anchor.trusted_keys()) == ([], [])
    assert not anchor.folder.exists()


def test_the_first_key_is_remembered(anchor):
    """A key is written down once per name, and another key for the same name is refused."""
    other_ledger = Signer("audit.example.com/receiver-1", b"o" * 32).verifier_key
    for key in (SIGNER.verifier_key, other_ledger, SIGNER.verifier_key):
        anchor.remember_key(key)
    assert anchor.trusted_keys() == [SIGNER.verifier_key, other_ledger]
    with pytest.raises(LedgerConflict, match="another key"):
        anchor.remember_key(Signer(ORIGIN, b"x" * 32).verifier_key)
    assert FileAnchor(anchor.folder).trusted_keys() == [SIGNER.verifier_key, other_ledger]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"verifier_keys": [3]}', '{"verifier_keys": ["a+b"]}'])
def test_a_broken_trust_file(anchor, text):
    """A damaged trust file is an error: it must not look like "no key is known"."""
    anchor.folder.mkdir()
    (anchor.folder / "trust.json").write_text(text)
    with pytest.raises(ConfigError):
        anchor.trusted_keys()


def test_published_means_synced(anchor, monkeypatch):
    """When publish returns, file and folders have been fsynced."""
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(os.fstat(descriptor).st_ino), real(descriptor)))
    publish(anchor, checkpoint(3))
    (path,) = anchor.folder.glob("*/*.jsonl")
    assert {path.stat().st_ino, path.parent.stat().st_ino, anchor.folder.stat().st_ino} <= set(synced)


def test_a_failed_write_is_not_remembered(anchor, monkeypatch):
    """When the disk refuses the checkpoint, publishing it again really writes it."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        publish(anchor, checkpoint(3))
    monkeypatch.undo()
    publish(anchor, checkpoint(3), checkpoint(4))
    assert opened(anchor)[-1] == checkpoint(4)
