"""The OpenTimestamps anchor: calendars put the hash of many files into a Bitcoin block, hours later.

    <anchor folder>/<ledger>/opentimestamps/<size, 20 digits>-<name>.note       the signed note
    <anchor folder>/<ledger>/opentimestamps/<size, 20 digits>-<name>.note.ots   its proof; pending at first
    <anchor folder>/<ledger>/opentimestamps/<size, 20 digits>-<name>.header     the block's header, 80 bytes

A digest over all ledgers has ``digest-`` before its number, in place of the size. A proof without a header is pending.
``ots verify FILE.note.ots`` reads the same files; ``proofs`` reads them without the library.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import re
import secrets
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from opentimestamps.calendar import DEFAULT_CALENDAR_WHITELIST, CommitmentNotFoundError, RemoteCalendar
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation
from opentimestamps.core.op import OpAppend, OpSHA256
from opentimestamps.core.serialize import (
    BytesDeserializationContext,
    BytesSerializationContext,
    DeserializationError,
)
from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

from otel_audit.anchors import Publication
from otel_audit.anchors._durable import make_durable_folder, replace_durably
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.proofs import KIND, header_of, note_of
from otel_audit.anchors.settings import AnchorSettings
from otel_audit.errors import AnchorUnavailable, VerificationError
from otel_audit.ledger.ots import HEADER_BYTES, parse_proof, verify_proof

_LOG: Final = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 20.0
_NONCE_BYTES: Final = 16  # as the ots client: a calendar learns nothing of what is in the file
_HEX_HASH: Final = re.compile(rb"[0-9a-f]{64}")
_MAX_ANSWER_BYTES: Final = 1000


class OpenTimestampsAnchor:
    """Some calendars. Their proofs lie beside the file anchor's records of the ledger."""

    kind: Final = KIND

    def __init__(self, settings: AnchorSettings, records: FileAnchor) -> None:
        self.name = settings.name
        self.settings = settings
        self._records = records
        self._calendars = {url.rstrip("/") for url in settings.calendars}

    def publish(self, publication: Publication) -> None:
        """Submit the note's hash, and keep what the calendars promise. See ``ExternalAnchor``.

        One calendar that answers is enough; of the others the receiver's messages tell.
        """
        folder = self._records.folder_of(publication.origin) / KIND
        start = "digest-" if publication.is_digest else ""
        proof_file = folder / f"{start}{publication.size:020}-{self.name}.note.ots"
        if proof_file.exists():
            return
        note = publication.note.encode()
        stamp = DetachedTimestampFile(OpSHA256(), Timestamp(hashlib.sha256(note).digest()))
        submitted = stamp.timestamp.ops.add(OpAppend(secrets.token_bytes(_NONCE_BYTES))).ops.add(OpSHA256())
        problems = []
        for url in self.settings.calendars:
            try:
                submitted.merge(_calendar(url).submit(submitted.msg, timeout=_TIMEOUT_SECONDS))
            except Exception as exc:  # noqa: BLE001 - the library raises plain Exception for an odd answer
                problems.append(f"{url}: {exc}")
        if len(problems) == len(self.settings.calendars):
            raise AnchorUnavailable(f"anchor {self.name}: no calendar answered: {'; '.join(problems)}")
        for problem in problems:
            _LOG.warning("anchor %s: the proof does without a calendar: %s", self.name, problem)
        make_durable_folder(folder)
        # The proof last: where it is, its note is.
        replace_durably(note_of(proof_file), note)
        replace_durably(proof_file, _serialised(stamp))

    def upgrade(self) -> int:
        """Ask what became of pending proofs, complete those that can be, and return how many are still pending.

        Raises AnchorUnavailable when a calendar or the source of headers failed; the others were asked nevertheless.
        """
        pending, problems = 0, []
        for path in sorted(self._records.folder.glob(f"*/{KIND}/*-{self.name}.note.ots")):
            if header_of(path).exists():
                continue
            try:
                done = self._complete(path)
            except (AnchorUnavailable, OSError) as exc:
                problems.append(f"{path.name}: {exc}")
                done = False
            pending += not done
        if problems:
            raise AnchorUnavailable(f"anchor {self.name}: {'; '.join(problems)}")
        return pending

    def _complete(self, path: Path) -> bool:
        try:
            stamp = DetachedTimestampFile.deserialize(BytesDeserializationContext(path.read_bytes()))
        except (DeserializationError, ValueError) as exc:
            raise AnchorUnavailable(f"is no proof any more ({exc}); run otel-audit verify") from exc
        problems = []
        if not _heights(stamp.timestamp):
            problems = self._ask_calendars(stamp.timestamp)
        heights = _heights(stamp.timestamp)
        if not heights and problems:
            raise AnchorUnavailable("; ".join(problems))
        if not heights:
            return False
        raw = _serialised(stamp)
        if raw != path.read_bytes():
            replace_durably(path, raw)
        for height in heights:
            try:
                header = self._header(height)
                # What does not fit is not kept: a source that is wrong now may be right later.
                verify_proof(parse_proof(raw), note_of(path).read_bytes(), header, {})
            except (AnchorUnavailable, VerificationError) as exc:
                problems.append(f"block {height}: {exc}")
                continue
            replace_durably(header_of(path), header)
            return True
        raise AnchorUnavailable("; ".join(problems))

    def _ask_calendars(self, stamp: Timestamp) -> list[str]:
        """Merge what calendars know by now into the proof; return what went wrong. Not yet is not wrong."""
        problems = []
        for node in list(_nodes(stamp)):
            for promise in [each for each in node.attestations if isinstance(each, PendingAttestation)]:
                if promise.uri not in DEFAULT_CALENDAR_WHITELIST and promise.uri.rstrip("/") not in self._calendars:
                    # Whoever wrote the proof must not choose whom we call.
                    problems.append(f"the calendar {promise.uri} is not one of calendars; add it to them")
                    continue
                try:
                    with contextlib.suppress(CommitmentNotFoundError):
                        node.merge(_calendar(promise.uri).get_timestamp(node.msg, timeout=_TIMEOUT_SECONDS))
                except Exception as exc:  # noqa: BLE001 - the library raises plain Exception for an odd answer
                    problems.append(f"{promise.uri}: {exc}")
        return problems

    def _header(self, height: int) -> bytes:
        template = self.settings.headers
        if not template.startswith(("http://", "https://")):
            path = Path(template) / f"{height}.header"
            try:
                return _raw_header(path.read_bytes(), str(path))
            except OSError as exc:
                raise AnchorUnavailable(f"the header of block {height}: {exc}") from exc
        filled = {"height": str(height)}
        if self.settings.hashes:
            place = self.settings.hashes.replace("{height}", filled["height"])
            found = _fetch(place).strip()
            if not _HEX_HASH.fullmatch(found):
                raise AnchorUnavailable(f"{place}: expected a block's hash in hex")
            filled["hash"] = found.decode()
        for field, value in filled.items():
            template = template.replace(f"{{{field}}}", value)
        return _raw_header(_fetch(template), template)


def _calendar(url: str) -> RemoteCalendar:
    # The library joins paths to it as to a folder.
    return RemoteCalendar(url.rstrip("/") + "/", user_agent="otel-audit")


def _nodes(stamp: Timestamp) -> list[Timestamp]:
    found = [stamp]
    for node in found:
        found += node.ops.values()
    return found


def _heights(stamp: Timestamp) -> list[int]:
    kept = (each for _, each in stamp.all_attestations())
    return sorted(each.height for each in kept if isinstance(each, BitcoinBlockHeaderAttestation))


def _serialised(stamp: DetachedTimestampFile) -> bytes:
    context = BytesSerializationContext()
    stamp.serialize(context)
    raw: bytes = context.getbytes()
    return raw


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - http(s) only
            answer: bytes = response.read(_MAX_ANSWER_BYTES)
            return answer
    except (urllib.error.URLError, http.client.HTTPException, OSError) as exc:
        raise AnchorUnavailable(f"{url}: {exc}") from exc


def _raw_header(answer: bytes, where: str) -> bytes:
    """A header, given as 80 bytes or in hex."""
    if len(answer) != HEADER_BYTES:
        with contextlib.suppress(ValueError):
            answer = bytes.fromhex(answer.decode("ascii", "replace").strip())
    if len(answer) != HEADER_BYTES:
        raise AnchorUnavailable(f"{where}: expected a block header of {HEADER_BYTES} bytes, or that in hex")
    return answer
