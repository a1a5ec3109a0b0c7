"""The RFC 3161 anchor: a timestamp authority signs that a note existed, by its own clock.

    <anchor folder>/<ledger>/rfc3161/<size, 20 digits>-<name>.tsr    the authority's answer (TimeStampResp, DER)
    <anchor folder>/<ledger>/rfc3161/<size, 20 digits>-<name>.note   the signed note, the bytes that it is over

A digest over all ledgers has ``digest-`` before its number, in place of the size.

Both verify without a network: ``openssl ts -verify -data FILE.note -in FILE.tsr -CAfile roots.pem``.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Collection, Sequence
from typing import Final

import rfc3161_client
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from rfc3161_client.base import HashAlgorithm
from rfc3161_client.errors import VerificationError as TokenError
from rfc3161_client.tsp import PKIStatus, TimeStampResponse

from otel_audit.anchors import AnchorReading, Publication
from otel_audit.anchors._durable import make_durable_folder, replace_durably
from otel_audit.anchors.digests import missing_digest
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.settings import AnchorSettings
from otel_audit.errors import AnchorUnavailable, ConfigError, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.digest import StoredDigest, read_digest
from otel_audit.ledger.findings import Code
from otel_audit.model import Finding

_KIND: Final = "rfc3161"
_TIMEOUT_SECONDS: Final = 20.0
_MAX_ANSWER_BYTES: Final = 1_000_000
_QUERY_TYPE: Final = "application/timestamp-query"  # RFC 3161 §3.4
_GRANTED: Final = {PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS}
_LONGEST_CHAIN: Final = 10


class Rfc3161Anchor:
    """One timestamp authority. Its tokens lie beside the file anchor's records of the ledger."""

    kind: Final = _KIND

    def __init__(self, settings: AnchorSettings, records: FileAnchor) -> None:
        self.name = settings.name
        self._url = settings.url
        self._records = records

    def publish(self, publication: Publication) -> None:
        """Have the note timestamped, and keep the token. See ``ExternalAnchor``."""
        folder = self._records.folder_of(publication.origin) / _KIND
        start = "digest-" if publication.is_digest else ""
        token_file = folder / f"{start}{publication.size:020}-{self.name}.tsr"
        if token_file.exists():
            return
        note = publication.note.encode()
        request = rfc3161_client.TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
        answer = self._ask(request.as_bytes())
        try:
            token = rfc3161_client.decode_timestamp_response(answer)
            is_granted = PKIStatus(token.status) in _GRANTED
            held = token.tst_info.message_imprint.message if is_granted else b""
            nonce = token.tst_info.nonce if is_granted else None
        except ValueError as exc:
            raise AnchorUnavailable(f"anchor {self.name} ({self._url}): the answer is no timestamp: {exc}") from exc
        if not is_granted:
            raise AnchorUnavailable(
                f"anchor {self.name} ({self._url}): refused, status {token.status} {' '.join(token.status_string)}"
            )
        if held != hashlib.sha256(note).digest() or nonce != request.nonce:
            raise AnchorUnavailable(f"anchor {self.name} ({self._url}): the timestamp is not for what was asked")
        make_durable_folder(folder)
        # The token last: where it is, its note is.
        replace_durably(token_file.with_suffix(".note"), note)
        replace_durably(token_file, answer)

    def _ask(self, query: bytes) -> bytes:
        request = urllib.request.Request(self._url, query, {"Content-Type": _QUERY_TYPE})  # noqa: S310 - http(s) only
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                answer: bytes = response.read(_MAX_ANSWER_BYTES)
                return answer
        except (urllib.error.URLError, http.client.HTTPException, OSError) as exc:
            raise AnchorUnavailable(f"anchor {self.name} ({self._url}): {exc}") from exc


def read_tokens(records: FileAnchor, roots: Sequence[str], origins: Collection[str] | None = None) -> AnchorReading:
    """Read and check all tokens beside a file anchor's records, without a network.

    ``roots`` are the trusted roots as PEM texts; without any nobody's time can be believed, and that is said once.
    ``origins`` are the ledgers to read (None: all). Raises ConfigError for a root that is no certificate.
    """
    trusted = load_roots(roots)
    files = sorted(records.folder.glob(f"*/{_KIND}/*.tsr"))
    if files and not trusted:
        return AnchorReading(
            damaged=(f"{records.folder}: {len(files)} timestamps, but no tsa_roots in the trust file to judge them by",)
        )
    wanted = None if origins is None else {records.folder_of(origin) for origin in origins}
    checkpoints, digests, findings, damaged = [], [], [], []
    for path in files:
        try:
            note = path.with_suffix(".note").read_text(encoding="utf-8")
            is_digest = path.name.startswith("digest-")
            origin = read_digest(note).origin if is_digest else read_checkpoint(note).origin
        except (OSError, UnicodeDecodeError, VerificationError) as exc:
            damaged.append(f"{path}: its note can not be read: {exc}")
            continue
        if wanted is not None and path.parent.parent not in wanted:
            continue
        if records.folder_of(origin) != path.parent.parent:
            findings.append(Finding(Code.ANCHOR_MOVED, origin, f"timestamp {path}: its note is of {origin!r}"))
            continue
        try:
            attested = verify_token(path.read_bytes(), note.encode(), trusted)
        except TokenRefused as exc:
            findings.append(Finding(exc.code, origin, f"timestamp {path}: {exc}"))
            continue
        if is_digest:
            number = read_digest(note).number
            findings += [gone] if (gone := missing_digest(records, origin, number, f"timestamp {path}")) else []
            digests.append(StoredDigest(note, str(path), f"{records.folder} {path.stem.split('-', 2)[2]}", attested))
        else:
            checkpoints.append(AnchoredCheckpoint(origin, note, str(path), "", _KIND, attested, path.read_bytes()))
    return AnchorReading(tuple(checkpoints), tuple(damaged), tuple(findings), tuple(digests))


class TokenRefused(VerificationError):
    """A timestamp does not hold. ``code`` says in which way."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def verify_token(answer: bytes, note: bytes, roots: Sequence[x509.Certificate]) -> int:
    """Check a token over ``note``; return its genTime in nanoseconds since 1970. Raises TokenRefused.

    Certificates have to be valid at genTime, not today: RFC 3161 §4 (a later compromise is told by the trust file).
    """
    try:
        token = rfc3161_client.decode_timestamp_response(answer)
        info = token.tst_info
        imprint = info.message_imprint.message
        generated = info.gen_time
    except ValueError as exc:
        raise TokenRefused(Code.TSA_INVALID, f"is no timestamp: {exc}") from exc
    if imprint != hashlib.sha256(note).digest():
        raise TokenRefused(Code.IMPRINT_MISMATCH, "is not over the note beside it")
    builder = rfc3161_client.VerifierBuilder()
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        builder.build().verify_message(token, note)
    except (TokenError, ValueError) as exc:
        try:
            is_theirs = not _leads_to(token, roots)
        except (ValueError, KeyError, UnsupportedAlgorithm, x509.InvalidVersion):  # a certificate in it is damaged
            is_theirs = False
        if is_theirs:
            raise TokenRefused(Code.WRONG_TSA, f"its authority is none of tsa_roots: {exc}") from exc
        raise TokenRefused(Code.TSA_INVALID, f"its signature or certificate does not hold: {exc}") from exc
    return round(generated.timestamp() * 1_000_000) * 1000


def _leads_to(token: TimeStampResponse, roots: Sequence[x509.Certificate]) -> bool:
    """Whether the signer's certificate was issued, over those in the token, by one of the roots.

    Raises what cryptography does when one of them is damaged.
    """
    inside = [x509.load_der_x509_certificate(each) for each in token.signed_data.certificates]
    signers = {(each.issuer, each.serial_number) for each in token.signed_data.signer_infos}
    current = [each for each in inside if (each.issuer, each.serial_number) in signers]
    for _ in range(_LONGEST_CHAIN):
        if any(each == root or _issued(root, each) for each in current for root in roots):
            return True
        current = [issuer for each in current for issuer in inside if issuer != each and _issued(issuer, each)]
    return False


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def load_roots(roots: Sequence[str]) -> list[x509.Certificate]:
    """The certificates of a trust file's ``tsa_roots``. Raises ConfigError for a text that is none."""
    loaded = []
    for number, pem in enumerate(roots, 1):
        try:
            loaded += x509.load_pem_x509_certificates(pem.encode())
        except ValueError as exc:
            raise ConfigError(f"tsa_roots: number {number} is no certificate in PEM form: {exc}") from exc
    return loaded
