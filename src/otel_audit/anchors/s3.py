"""The S3 anchor: each note is an object that nobody can replace or delete before a date (Object Lock, COMPLIANCE).

    <prefix><SHA-256(origin), hex>/<size, 20 digits>             a checkpoint
    <prefix>digest/<SHA-256(origin), hex>/<number, 20 digits>    a digest over all ledgers, signed by that one

What was published is also written down beside the file anchor's records (``s3/<name>.jsonl``), so that an object
that is missing is missed. Nothing but hashes, sizes and the ledgers' names ever leaves: it could not be erased.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from otel_audit.anchors import AnchorReading, Publication
from otel_audit.anchors._durable import append_durably, make_durable_folder
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.settings import AnchorSettings
from otel_audit.errors import AnchorConflict, AnchorUnavailable, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.digest import StoredDigest, read_digest
from otel_audit.ledger.findings import Code
from otel_audit.ledger.note import parse_note
from otel_audit.model import Finding

_PRECONDITION_FAILED: Final = 412
_KEY: Final = re.compile(r"(?P<digest>digest/)?(?P<origin>[0-9a-f]{64})/(?P<size>[0-9]{20})")
_MAX_NOTE_BYTES: Final = 1_000_000  # signed-note: what a reader has to accept
_CLOCK_TOLERANCE: Final = timedelta(hours=1)  # between our clock, which sets the date, and that of S3
_READERS: Final = 16
_CONFIG: Final = Config(connect_timeout=10, read_timeout=20, retries={"total_max_attempts": 1})


@dataclass(frozen=True, slots=True)
class _Version:
    key: str
    version_id: str
    body: bytes
    modified: datetime
    lock_mode: str
    retain_until: datetime | None


class S3Anchor:
    """One bucket.

    ``records`` is the file anchor beside whose records it writes down what it published (None: it is only read).
    ``clock`` gives nanoseconds since 1970: retention is counted from it.
    """

    kind: Final = "s3"

    def __init__(
        self, settings: AnchorSettings, records: FileAnchor | None, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._records = records
        self._clock = clock
        self._client: Any = None

    def publish(self, publication: Publication) -> None:
        """Put the note under its key, locked, and write down that it is there. See ``ExternalAnchor``."""
        key = self._key(publication)
        now = datetime.fromtimestamp(self._clock() // 1_000_000_000, UTC)
        until = now + timedelta(days=self._settings.retain_days)
        body = publication.note.encode()
        with _explained(self._settings):
            try:
                self._s3().put_object(
                    Bucket=self._settings.bucket,
                    Key=key,
                    Body=body,
                    ContentType="text/plain; charset=utf-8",
                    ChecksumAlgorithm="SHA256",  # Object Lock refuses an upload without a checksum
                    IfNoneMatch="*",
                    ObjectLockMode="COMPLIANCE",
                    ObjectLockRetainUntilDate=until,
                )
            except ClientError as exc:
                if _status(exc) != _PRECONDITION_FAILED:
                    raise
                # It is there already: ours, when we crashed before we wrote it down, or somebody else's.
                body = self._s3().get_object(Bucket=self._settings.bucket, Key=key)["Body"].read(_MAX_NOTE_BYTES)
        if not _says_the_same(body, publication.note):
            raise AnchorConflict(
                f"anchor {self.name}: {self._settings.bucket}/{key} holds another note than ours; "
                "run otel-audit verify --anchors-from"
            )
        self._write_down(publication, key, body, now)

    def read(self, origins: Collection[str] | None = None, records: Sequence[FileAnchor] = ()) -> AnchorReading:
        """All notes of these ledgers (None: of all), and what is wrong with the bucket.

        ``records`` are the file anchors that say what was published. Raises AnchorUnavailable.
        """
        prefix, bucket = self._settings.prefix, self._settings.bucket
        hashes = None if origins is None else {_hash(origin) for origin in origins}
        findings: list[Finding] = []
        listed: dict[str, list[str]] = {}
        hidden: set[str] = set()
        with _explained(self._settings):
            for page in self._s3().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
                for each in page.get("Versions", ()):
                    listed.setdefault(each["Key"], []).append(each["VersionId"])
                hidden |= {each["Key"] for each in page.get("DeleteMarkers", ())}
            wanted = []
            for key, versions in listed.items():
                match = _KEY.fullmatch(key.removeprefix(prefix))
                if match and (hashes is None or match["origin"] in hashes):
                    wanted += [(key, version) for version in versions]
            with ThreadPoolExecutor(_READERS) as pool:
                read = list(pool.map(lambda each: self._get(*each), wanted))
        names = {_hash(origin): origin for origin in origins or ()}
        checkpoints: list[AnchoredCheckpoint] = []
        digests: list[StoredDigest] = []
        for version in read:
            anchored = self._examine(version, names, findings)
            if isinstance(anchored, StoredDigest):
                digests.append(anchored)
            elif anchored is not None:
                checkpoints.append(anchored)
        by_key: dict[str, list[_Version]] = {}
        for version in read:
            by_key.setdefault(version.key, []).append(version)
        for key, several in by_key.items():
            if len(several) > 1:
                differ = "with different contents" if len({each.body for each in several}) > 1 else "of the same note"
                findings.append(
                    self._finding(Code.ANCHOR_OVERWRITTEN, key, f"has {len(several)} versions {differ}", several[0])
                )
            if key in hidden:
                findings.append(
                    self._finding(Code.ANCHOR_MISSING, key, "is hidden by a delete marker; its version is still there")
                )
        findings += self._compare_records(by_key, hashes, records)
        checkpoints.sort(key=lambda anchored: anchored.published_at)
        return AnchorReading(tuple(checkpoints), (), tuple(findings), tuple(digests))

    def _examine(
        self, version: _Version, names: dict[str, str], findings: list[Finding]
    ) -> AnchoredCheckpoint | StoredDigest | None:
        match = _KEY.fullmatch(version.key.removeprefix(self._settings.prefix))
        assert match is not None  # noqa: S101 - only such keys were read
        try:
            note = version.body.decode()
            stated, size = _stated(note, is_digest=bool(match["digest"]))
        except (UnicodeDecodeError, VerificationError) as exc:
            findings.append(self._finding(Code.ANCHOR_OVERWRITTEN, version.key, f"holds no note of ours: {exc}"))
            return None
        if (_hash(stated), size) != (match["origin"], int(match["size"])):
            detail = f"holds the note of {stated!r}, size {size}: it was moved or copied here"
            owner = names.get(match["origin"], stated)
            findings.append(self._finding(Code.ANCHOR_MOVED, version.key, detail, origin=owner))
            return None
        promised = version.modified + timedelta(days=self._settings.retain_days) - _CLOCK_TOLERANCE
        held = version.lock_mode == "COMPLIANCE" and version.retain_until is not None
        if not held:
            detail = f"is not locked in COMPLIANCE mode (it says {version.lock_mode or 'no lock'})"
            findings.append(self._finding(Code.ANCHOR_UNLOCKED, version.key, detail, version))
        elif version.retain_until is not None and version.retain_until < promised:
            held = False
            detail = (
                f"is locked until {_utc(version.retain_until)} only: "
                f"less than {self._settings.retain_days} days after it was put there at {_utc(version.modified)}"
            )
            findings.append(self._finding(Code.ANCHOR_UNLOCKED, version.key, detail, version))
        source = f"s3://{self._settings.bucket}/{version.key}"
        attested = round(version.modified.timestamp()) * 1_000_000_000 if held else None
        if match["digest"]:
            return StoredDigest(note, source, self.name, attested)
        return AnchoredCheckpoint(
            stated,
            note,
            source,
            _utc(version.modified),
            self.kind,
            attested,
            self._listing(version),
        )

    def _listing(self, version: _Version) -> bytes:
        """What the bucket says of an object, for who has to ask it again: which version, and its lock. JSON."""
        until = version.retain_until
        said = {
            "bucket": self._settings.bucket,
            "key": version.key,
            "version_id": version.version_id,
            "last_modified": _utc(version.modified),
            "object_lock_mode": version.lock_mode,
            "object_lock_retain_until": None if until is None else _utc(until),
        }
        return (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode()

    def _compare_records(
        self, found: dict[str, list[_Version]], hashes: set[str] | None, records: Sequence[FileAnchor]
    ) -> Iterator[Finding]:
        """Compare with our own records of what we put there: is it all still there, and the same."""
        paths = [path for each in records for path in sorted(each.folder.glob(f"**/s3/{self.name}.jsonl"))]
        for path in paths:
            for line in path.read_bytes().splitlines():
                try:
                    record = json.loads(line)
                    key, digest, origin = record["key"], record["sha256"], record["origin"]
                except (ValueError, KeyError, TypeError):
                    if line.strip():
                        yield Finding(Code.ANCHOR_DAMAGED, "", f"{path}: a line of it is no record")
                    continue
                if hashes is not None and _hash(origin) not in hashes:
                    continue
                if key not in found:
                    yield self._finding(
                        Code.ANCHOR_MISSING, key, f"was published at {record.get('published_at')}", origin=origin
                    )
                elif digest not in {hashlib.sha256(each.body).hexdigest() for each in found[key]}:
                    yield self._finding(
                        Code.ANCHOR_OVERWRITTEN, key, "does not hold what was published there", origin=origin
                    )

    def _get(self, key: str, version_id: str) -> _Version:
        answer = self._s3().get_object(Bucket=self._settings.bucket, Key=key, VersionId=version_id)
        return _Version(
            key,
            version_id,
            answer["Body"].read(_MAX_NOTE_BYTES + 1),
            answer["LastModified"],
            answer.get("ObjectLockMode", ""),
            answer.get("ObjectLockRetainUntilDate"),
        )

    def _write_down(self, publication: Publication, key: str, body: bytes, now: datetime) -> None:
        if self._records is None:
            return
        folder = self._records.folder_of(publication.origin) / self.kind
        path = folder / f"{self.name}.jsonl"
        record = {
            "origin": publication.origin,
            "size": publication.size,
            "key": key,
            "sha256": hashlib.sha256(body).hexdigest(),
            "published_at": _utc(now),
        }
        make_durable_folder(folder)
        append_durably(path, json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def _key(self, publication: Publication) -> str:
        folder = "digest/" if publication.is_digest else ""
        return f"{self._settings.prefix}{folder}{_hash(publication.origin)}/{publication.size:020}"

    def _finding(self, code: Code, key: str, detail: str, version: _Version | None = None, origin: str = "") -> Finding:
        if version is not None and not origin:
            try:
                origin = _stated(version.body.decode(), is_digest="digest/" in version.key)[0]
            except (UnicodeDecodeError, VerificationError):
                origin = ""
        return Finding(code, origin, f"anchor {self.name}: s3://{self._settings.bucket}/{key} {detail}")

    def _s3(self) -> Any:
        if self._client is None:
            self._client = boto3.session.Session().client(
                "s3",
                endpoint_url=self._settings.endpoint or None,
                region_name=self._settings.region or None,
                config=_CONFIG,
            )
        return self._client


class _explained:  # noqa: N801 - a context manager
    """Turns what boto3 raises into an AnchorUnavailable that names the bucket. Credentials are in no message."""

    def __init__(self, settings: AnchorSettings) -> None:
        self._where = f"anchor {settings.name} ({settings.place})"

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ClientError):
            told = error.response.get("Error", {})
            what = f"{told.get('Code', '?')}: {told.get('Message', '')}"
            raise AnchorUnavailable(f"{self._where}: {error.operation_name} was refused, {what}") from error
        if isinstance(error, BotoCoreError | OSError):
            raise AnchorUnavailable(f"{self._where}: {error}") from error


def _stated(note: str, *, is_digest: bool) -> tuple[str, int]:
    if is_digest:
        digest = read_digest(note)
        return digest.origin, digest.number
    checkpoint = read_checkpoint(note)
    return checkpoint.origin, checkpoint.size


def _says_the_same(body: bytes, note: str) -> bool:
    """Whether both sign the same text: a note may have got more cosignatures since."""
    try:
        return parse_note(body.decode())[0] == parse_note(note)[0]
    except (UnicodeDecodeError, VerificationError):
        return False


def _status(error: ClientError) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status


def _hash(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
