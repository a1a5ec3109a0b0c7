#!/usr/bin/env python3
r"""Check an evidence bundle of otel-audit, with nothing of otel-audit: Python 3.9 or later, and `cryptography`.

    python verify_bundle.py bundle.zip --trust trust.json

`trust.json` has the public keys to believe. It never comes with the bundle: get it from whoever runs the ledger, by
another way (`otel-audit keys export`), or from your own files. Steps:

 1  The zip has nothing beside a bundle's files, they are those of the manifest, and that is the one that was signed.
 2  The keys to believe: those of the trust file, and those that a signed key rotation says follow them, each for the
    sizes at which it was in use.
 3  Each ledger's checkpoint is signed by such a key.
 4  Each anchored checkpoint is signed, too, and one of both continues the other. A timestamp is over its note, and
    so is an OpenTimestamps proof, which leads to the block beside it. What a daily digest over all ledgers says of
    them, which is signed itself, is of that history as well.
 5  Each entry's hash leads to the root of the checkpoint, by its proof. Its times do not contradict the entry before,
    nor, by more than an hour, what a witness, a checked timestamp or a known block attests.
 6  Each text is the one that its entry commits to, or a signed erasure says that it is gone.
 7  Each cell of the tables is what the entry says.
 8  Counts, period and ledgers of the manifest are those of the entries; where it states no filter, none is left out
    between.

In this file, top to bottom: how an entry is read; how a table's line is made of it; trees, keys and signatures;
timestamps; OpenTimestamps; the bundle, whose class Verification takes the steps; the command line.

Exit code 0: nothing was altered. 1: something was, or nothing could be proved. 2: it could not be checked.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import hmac
import io
import json
import math
import re
import struct
import sys
import zipfile
import zlib
from bisect import bisect_right
from collections import Counter
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from itertools import islice

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    sys.exit("verify_bundle: this needs one more package: pip install cryptography")

# What is a status, and no sign of tampering.
STATUS = {"UNANCHORED_TAIL", "ANCHOR_DAMAGED", "ERASED", "NOTHING_VERIFIED", "MANIFEST_UNSIGNED", "OTS_PENDING"}
SETS = ("entries", "related")
# Every file that a bundle may have; what is called otherwise has no place in it, whoever lists it.
LAYOUT = re.compile(
    r"index\.html|README\.txt|verify_bundle\.py|manifest\.(json|note)|(entries|related)\.(bin|csv|jsonl|texts\.jsonl)"
    r"|proofs/N/N\.tlog-proof|checkpoints/N\.note|anchors/N/N\.(json|evidence|tsr|note|note\.ots|header)"
    r"|digests/N\.json".replace("N", "(0|[1-9][0-9]*)")
)
ANCHOR_FILES = {"rfc3161": {".tsr", ".note"}, "opentimestamps": {".note.ots", ".note", ".header"}}  # else: .evidence
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError)  # what zipfile raises
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)
LARGEST_NOTE = 16 << 20  # bytes of a file that is read as a whole: proofs, notes, JSON
LARGEST_ENTRY = 256 << 20  # bytes of an entry, of a text and of a line: a receiver takes no request above 64 MiB
LARGEST_RATIO, WORTH_ASKING = 500, 1 << 30  # of what is unpacked to what is packed, when it is more than 1 GiB

COLUMNS = """
schema_version:uint16 origin:string seq:uint64 prev_hash:hash recorded_at:time retention_class:string
event_type:string event_id:string record_kind:string event_time:time end_time:time duration_ms:float? task_id:string
task_kind:string subject_ref:string actor_id:string actor_type:string reviewer_id:string decision:string
rationale_code:strings is_override:bool active_seconds:float? idle_seconds:float? queue_wait_seconds:float?
from_reviewer:string to_reviewer:string escalation_level:uint16 resolution:string service:string
service_version:string environment:string provider:string operation:string request_model:string response_model:string
model_fingerprint:string prompt_name:string prompt_version:string configuration:map request_id:string
provider_request_id:string response_id:string conversation_id:string user_id:string agent_name:string tool_name:string
tool_call_id:string finish_reason:strings confidence:float? confidence_source:string input_tokens:uint64?
output_tokens:uint64? cache_read_tokens:uint64? cache_write_tokens:uint64? reasoning_tokens:uint64?
evaluation_name:string score:float? score_label:string trace_id:string span_id:string parent_span_id:string
name:string status:string error_type:string scope_name:string scope_version:string convention:string
capture_policy:string producer:string duplicate_of:string remarks:strings attributes:map attributes_json:map
resource_attributes:map resource_attributes_json:map scope_attributes_json:map otlp:map span_events:string
links:string content:hashes
"""
CSV_COLUMNS = """
recorded_at event_time event_type task_id reviewer_id decision rationale_code rationale service environment provider
request_model response_model prompt_name prompt_version request_id response_id conversation_id trace_id span_id
confidence input_tokens output_tokens duration_ms active_seconds input output origin seq hash end_time task_kind
subject_ref actor_id actor_type user_id is_override idle_seconds queue_wait_seconds before after from_reviewer
to_reviewer escalation_level resolution operation configuration system_instructions context tool_definitions
agent_name tool_name tool_call_id tool_arguments tool_result finish_reason provider_request_id model_fingerprint
confidence_source cache_read_tokens cache_write_tokens reasoning_tokens evaluation_name score score_label name status
status_message error_type body filter parent_span_id service_version retention_class record_kind event_id convention
capture_policy producer duplicate_of remarks prev_hash
""".split()
TYPES = dict(column.split(":") for column in COLUMNS.split())
CELLS = [(name, TYPES.get(name, "hash" if name == "hash" else "text")) for name in CSV_COLUMNS]
FORMULA = re.compile("[\\s\ufeff\u200b\0]*[=+\\-@\uff1d\uff0b\uff0d\uff20\u2212]|[\t\r\n]")
LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
NANOS = 10**9
TOLERANCE = 3600 * NANOS  # for clocks that differ, and for the time an anchor takes to attest
SHA256 = "608648016503040201"  # its object identifier, 2.16.840.1.101.3.4.2.1
LISTED = 1000  # findings of one kind that are listed singly; the rest is counted


class Unreadable(Exception):
    """This is no bundle, or no trust file, that could be checked."""


class Broken(Exception):
    """Evidence that does not hold: (code, what is wrong)."""


# --- Entries: RowBinary, as the section "Entries" of the ledger's format says ---


def read_number(data, at):
    """Return the number of variable length at ``at``, and where it ends; so do all the readers."""
    value = shift = 0
    while True:
        byte = data[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return value, at


def read_text(data, at):
    """Read a text behind its length."""
    size = data[at]
    size, at = (size, at + 1) if size < 0x80 else read_number(data, at)
    return data[at : at + size].decode("utf-8"), at + size


def read_hash(data, at):
    """Read 32 bytes, as hex digits."""
    return data[at : at + 32].hex(), at + 32


def fixed(form, convert=None):
    """Make the reader of a value of fixed size."""
    unpack, size = struct.Struct(form).unpack_from, struct.calcsize(form)
    if convert:
        return lambda data, at: (convert(unpack(data, at)[0]), at + size)
    return lambda data, at: (unpack(data, at)[0], at + size)


def optional(read):
    """Make the reader of a value that may be missing."""
    return lambda data, at: (None, at + 1) if data[at] == 1 else read(data, at + 1)


def read_strings(data, at):
    """Read a list of texts."""
    count, at = read_number(data, at)
    values = []
    for _ in range(count):
        value, at = read_text(data, at)
        values.append(value)
    return values, at


def pairs(read):
    """Make the reader of a map from texts to what ``read`` reads."""

    def read_map(data, at):
        count, at = read_number(data, at)
        values = {}
        for _ in range(count):
            key, at = read_text(data, at)
            values[key], at = read(data, at)
        return values, at

    return read_map


READERS = {
    "string": read_text,
    "uint16": fixed("<H"),
    "uint64": fixed("<Q"),
    "time": fixed("<q"),
    "bool": fixed("<B", lambda byte: byte == 1),
    "hash": read_hash,
    "float?": optional(fixed("<d")),
    "uint64?": optional(fixed("<Q")),
    "strings": read_strings,
    "map": pairs(read_text),
    "hashes": pairs(read_hash),
}
COLUMN_READERS = [(name, READERS[kind]) for name, kind in TYPES.items()]


def decode(data):
    """Read an entry's encoding: its columns by name."""
    at, row = 0, {}
    version = int.from_bytes(data[:2], "little")
    if version != 1:
        raise Broken("NON_CANONICAL", "schema version %d is not known here" % version)
    try:
        for name, read in COLUMN_READERS:
            if read is read_text and data[at] == 0:  # most texts of an entry are empty
                row[name], at = "", at + 1
            else:
                row[name], at = read(data, at)
    except UnicodeDecodeError:
        raise Broken("NON_CANONICAL", "a text of the encoding is not UTF-8") from None
    except (IndexError, struct.error):
        at = len(data) + 1
    if at != len(data):
        where = "ends within a column" if at > len(data) else "has bytes after its last column"
        raise Broken("NON_CANONICAL", "the encoding %s" % where)
    row["hash"] = hashlib.sha256(b"\x00" + data).hexdigest()
    return row


def frames(file):
    """Yield the encodings of a .bin file: each behind its length, 4 bytes, big-endian."""
    while True:
        head = file.read(4)
        if not head:
            return
        size = int.from_bytes(head, "big")
        if size > LARGEST_ENTRY:
            raise Broken("FILE_MODIFIED", "it states an entry of %d bytes, more than any has" % size)
        data = file.read(size)
        if len(head) < 4 or len(data) < size:
            raise Broken("FILE_MODIFIED", "it ends within an entry")
        yield data


# --- Tables: what a cell of the CSV, and a line of the JSON Lines, must be ---


@lru_cache(1024)
def minute_text(minute):
    """Write a minute, counted from 1970: entries that follow each other share it."""
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=minute)).isoformat()[:16]


def iso(nanos):
    """ISO 8601 in UTC with nanoseconds."""
    minute, rest = divmod(nanos, 60 * NANOS)
    return "%s:%02d.%09dZ" % (minute_text(minute), rest // NANOS, rest % NANOS)


def number_text(value):
    """Write a number that is not finite by its name."""
    return (
        repr(value) if math.isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    )


def cell(name, kind, row, texts):
    """Return a cell's value, before quotes: what a CSV reader gives back."""
    value = texts.get(name, "") if kind == "text" else row[name]
    if value is None or value == "":
        return ""
    if kind == "time":
        return iso(value)
    if kind == "bool":
        return "true" if value else "false"
    if kind == "float?":
        return number_text(value)
    if kind in ("hash", "uint16", "uint64", "uint64?"):
        return str(value)
    if kind == "strings":
        value = "; ".join(value)
    elif kind == "map":
        value = json.dumps(value, ensure_ascii=False) if value else ""
    return "'" + value if FORMULA.match(value) else value  # so that a spreadsheet does not take it for a formula


def csv_line(row, texts):
    """Return the CSV record of an entry: every text that is not empty is in quotes."""
    cells = []
    for name, kind in CELLS:
        value = "" if kind == "string" and not row[name] else cell(name, kind, row, texts)  # most are empty
        is_text = value and kind in ("string", "strings", "map", "text")
        cells.append('"%s"' % value.replace('"', '""') if is_text else value)
    return (",".join(cells) + "\r\n").encode()


def one_line(value):
    """Write JSON in its one form, on one line for every program."""
    line = compact(value)
    return ((line if line.isascii() else line.translate(LINE_BREAKS)) + "\n").encode()


compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def json_object(row, texts):
    """Return the JSON object of an entry: every column, the texts, and the commitments to them."""
    out = {}
    for name, kind in TYPES.items():
        value = row[name]
        if kind == "time":
            value = iso(value)
        elif kind == "float?" and value is not None and not math.isfinite(value):
            value = number_text(value)
        out[name] = value
    out["content"] = {name: texts[name] for name in row["content"] if name in texts}
    out.update(hash=row["hash"], content_commitments=row["content"], content_from={})
    return out


def json_line(row, texts):
    """Return the line of an entry in the JSON Lines."""
    return one_line(json_object(row, texts))


# --- Trees and signatures: RFC 6962, C2SP signed-note, tlog-checkpoint, tlog-proof, tlog-cosignature ---


def node(left, right):
    """Hash two neighbours of the tree."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_inclusion(leaf, index, size, hashes):
    """Return the root that an inclusion proof leads to (RFC 9162, 2.1.3.2); None if it has a wrong length."""
    position, last, root = index, size - 1, leaf
    for sibling in hashes:
        if last == 0:
            return None
        if position & 1 or position == last:
            root = node(sibling, root)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            root = node(root, sibling)
        position, last = position >> 1, last >> 1
    return root if last == 0 and index < size else None


def is_consistent(size1, root1, size2, root2, hashes):
    """Tell whether the tree of ``size2`` continues the one of ``size1`` (RFC 9162, 2.1.4.2)."""
    if size1 == size2:
        return root1 == root2 and not hashes
    path = ([root1] if size1 & (size1 - 1) == 0 else []) + list(hashes)
    if not 0 < size1 < size2 or not path:
        return False
    position, last = size1 - 1, size2 - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node(sibling, old), node(sibling, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node(new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and (old, new) == (root1, root2)


@lru_cache(4096)  # neighbours share most of their proofs
def unbase64(text):
    """Decode base64 that is written in its one form."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if base64.b64encode(raw).decode() != text:
        raise Broken("NON_CANONICAL", "%r is not base64" % text[:60])
    return raw


class Key:
    """A verifier key, as text ``name+key id+base64(type || public key)``."""

    def __init__(self, text):
        try:
            self.name, self.id, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
            self.type, self.public = raw[0], Ed25519PublicKey.from_public_bytes(raw[1:])
        except (ValueError, IndexError):
            raise Unreadable("%r is no verifier key" % text[:80]) from None
        if hashlib.sha256(self.name.encode() + b"\n" + raw).hexdigest()[:8] != self.id:
            raise Unreadable("the key %s states another key id than it has" % text[:80])
        self.raw = raw

    def __eq__(self, other):
        """Compare whole keys: an id has 32 bits, which somebody could find another key for."""
        return (self.name, self.raw) == (other.name, other.raw)

    def __hash__(self):
        """Agree with ``__eq__``."""
        return hash((self.name, self.raw))

    def signed(self, message, signature):
        """Tell whether this key made the signature."""
        try:
            self.public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def split_note(note):
    """Return a signed note's text, and its signatures as (name, key id, signature)."""
    text, blank, block = note.rpartition("\n\n")
    signatures = []
    for line in block.split("\n")[:-1]:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = unbase64(encoded)
        if dash != "\u2014" or len(raw) < 5:
            raise Broken("BAD_SIGNATURE", "there is a line that is no signature")
        signatures.append((name, raw[:4].hex(), raw[4:]))
    if not blank or not block.endswith("\n"):
        raise Broken("BAD_SIGNATURE", "it is no signed note")
    return text + "\n", signatures


def open_note(note, keys, name):
    """Check a note's signatures: one has to be by a believed key called ``name``, and none by one may fail."""
    text, signatures = split_note(note)
    verified = []
    for signer, key_id, signature in signatures:
        for key in keys:
            if (key.name, key.id, key.type) == (signer, key_id, 1):
                if not key.signed(text.encode(), signature):
                    raise Broken("BAD_SIGNATURE", "the signature by %s does not hold" % signer)
                verified.append(key)
    if not any(key.name == name for key in verified):
        known = ", ".join("%s+%s" % (key.name, key.id) for key in keys)
        raise Broken(
            "UNKNOWN_KEY", "no key of %r that the trust file leads to signed it; these are: %s" % (name, known)
        )
    return text, verified


def open_checkpoint(note, keys, origin):
    """Check a signed checkpoint: (size, root hash, the keys that signed it)."""
    lines = note.split("\n")
    if lines[0] != origin:
        raise Broken("WRONG_ORIGIN", "it is of ledger %r, not of %r" % (lines[0], origin))
    text, verified = open_note(note, keys, origin)
    fields = text.split("\n")
    if len(fields) < 4 or not re.fullmatch("0|[1-9][0-9]{0,19}", fields[1]):
        raise Broken("BAD_SIGNATURE", "it is no checkpoint")
    return int(fields[1]), unbase64(fields[2]), verified


def cosigners(note, witnesses):
    """Return the witnesses that cosigned a checkpoint (C2SP tlog-cosignature v1): name -> nanoseconds since 1970."""
    text, signatures = split_note(note)
    found = {}
    for name, key_id, raw in signatures:
        for key in witnesses:
            seconds = int.from_bytes(raw[:8], "big")
            message = b"cosignature/v1\ntime %d\n" % seconds + text.encode()
            if (key.name, key.id, key.type) == (name, key_id, 4) and key.signed(message, raw[8:]):
                found[name] = seconds * NANOS
    return found


def statement(note, kind):
    """Return what a statement says, its signatures unchecked."""
    lines = split_note(note)[0].split("\n")
    if lines[0] != "otel-audit/%s/v1" % kind or len(lines) != 3:
        raise Broken("BAD_SIGNATURE", "it is no statement of kind %s" % kind)
    return json.loads(lines[1])


class Erasure:
    """What an erasure's statement says. ``entry`` is the entry that has it."""

    def __init__(self, note, entry):
        fields = statement(note, "erasure")
        words = [fields[name] for name in ("basis", "requested_by", "approved_by", "scope")]
        self.names, self.at, self.seq = fields["names"], fields["at"], entry["seq"]
        self.ends = [end for first, last in fields["seqs"] for end in (first, last)]
        rising = all(a <= b for a, b in zip(self.ends[::2], self.ends[1::2]))
        rising = rising and all(a < b for a, b in zip(self.ends[1::2], self.ends[2::2]))
        if not (self.ends and rising and self.ends[0] >= 0 and all(type(end) is int for end in [*self.ends, self.at])):
            raise Broken("FALSE_TOMBSTONE", "its seqs are not rising ranges, or it states no time")
        if fields["origin"] != entry["origin"] or self.ends[-1] >= entry["seq"]:
            raise Broken("FALSE_TOMBSTONE", "it is about another ledger, or about entries that came after it")
        if not all(isinstance(word, str) and word for word in words) or words[1] == words[2]:
            raise Broken("FALSE_TOMBSTONE", "it does not say why, who asked for it, and who else approved it")
        if self.names != "all" and not isinstance(self.names, list):
            raise Broken("FALSE_TOMBSTONE", "it does not say which texts")
        told = (iso(self.at)[:16].replace("T", " "), words[0], words[1], words[2], self.seq)
        self.told = "erased on %s UTC because of %s; %s asked, %s approved (entry %d)" % told

    def covers(self, seq, name):
        """Tell whether a text of an entry was erased."""
        index = bisect_right(self.ends, seq)  # odd: after the start of a range, before its end
        within = index % 2 or (index and self.ends[index - 1] == seq)
        return bool(within) and (self.names == "all" or name in self.names)


# --- Timestamps: RFC 3161, without the signature, which openssl checks ---


def der(data):
    """Split DER (X.690) into its elements: [(tag, contents)]."""
    at, elements = 0, []
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        elements.append((tag, data[at : at + size]))
        at += size
    if at != len(data):
        raise ValueError("it is cut off")
    return elements


def read_timestamp(answer):
    """Return (hash algorithm's id, hash, time in nanoseconds since 1970) of a TimeStampResp."""
    try:
        response = der(der(answer)[0][1])  # status, token
        signed = der(der(der(response[1][1])[1][1])[0][1])  # version, digests, contents, ...
        info = der(der(der(der(signed[2][1])[1][1])[0][1])[0][1])  # version, policy, imprint, serial, time, ...
        algorithm, imprint = (element[1] for element in der(info[2][1]))
        time = re.fullmatch(r"(\d{14})(?:\.(\d{1,9}))?Z", info[4][1].decode("ascii"))
        moment = datetime.strptime(time[1] + "+0000", "%Y%m%d%H%M%S%z")
        nanos = round(moment.timestamp()) * NANOS + int((time[2] or "").ljust(9, "0"))
        return der(algorithm)[0][1].hex(), imprint, nanos
    except (ValueError, IndexError, TypeError) as exc:
        raise Broken("TSA_INVALID", "it is no timestamp: %s" % exc) from None


# --- OpenTimestamps: how to come from SHA-256 of a note to the Merkle root of a Bitcoin block ---

OTS_MAGIC = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08"  # version 1, of a SHA-256
OTS_BITCOIN, OTS_CALENDAR = bytes.fromhex("0588960d73d71901"), bytes.fromhex("83dfe30d2ef90c8e")
OTS_MARGIN = 7200 * NANOS  # a miner may write a time that is some two hours off


def read_bytes(data, at):
    """Read bytes behind their length."""
    size, at = read_number(data, at)
    if at + size > len(data):
        raise IndexError
    return data[at : at + size], at + size


def read_ots(raw):
    """Return what a proof is over, the calendars that promise more, and the blocks: [(height, Merkle root)].

    Paths by other operations than append, prepend and SHA-256 are passed over: calendars do not use them for Bitcoin.
    """
    at = len(OTS_MAGIC) + 32
    if not raw.startswith(OTS_MAGIC) or len(raw) < at:
        raise Broken("OTS_INVALID", "it is no OpenTimestamps proof over a SHA-256")
    digest = raw[at - 32 : at]
    calendars, blocks, paths = [], [], [digest]  # of each path to follow the message so far; None: not ours to follow
    try:
        while paths:
            message, tag, at = paths.pop(), raw[at], at + 1
            if tag == 0xFF:  # two ways go on from here
                paths.append(message)
                tag, at = raw[at], at + 1
            if tag == 0x08:
                paths.append(message and hashlib.sha256(message).digest())
            elif tag in (0x02, 0x03, 0x67, 0xF2, 0xF3):
                paths.append(None)
            elif tag in (0x00, 0xF0, 0xF1):
                kind, at = (raw[at : at + 8], at + 8) if tag == 0x00 else (b"", at)
                piece, at = read_bytes(raw, at)
                if kind == OTS_CALENDAR:
                    calendars.append(read_bytes(piece, 0)[0].decode("ascii", "backslashreplace"))
                elif kind == OTS_BITCOIN and message:
                    blocks.append((read_number(piece, 0)[0], message))
                elif tag:
                    paths.append(message and (message + piece if tag == 0xF0 else piece + message))
                    if len(paths[-1] or b"") > 4096:
                        raise Broken("OTS_INVALID", "it has a message that is too long")
            else:
                raise Broken("OTS_INVALID", "it has an operation that is not known, 0x%02x" % tag)
    except IndexError:
        at = len(raw) + 1
    if at != len(raw):
        raise Broken("OTS_INVALID", "it is cut off" if at > len(raw) else "it goes on after its end")
    return digest, calendars, blocks


def read_block(header, blocks):
    """Return (height, hash, time in nanoseconds since 1970) of the block whose header (80 bytes) a proof leads to.

    The header's hash is as small as its own bits ask for. That shows what it cost to make, not that it is Bitcoin's.
    """
    digest = hashlib.sha256(hashlib.sha256(header).digest()).digest()
    bits = int.from_bytes(header[72:76], "little")
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    target = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    valid = exponent <= 34 and not bits & 0x800000 and target < 1 << 256
    if len(header) != 80 or not valid or int.from_bytes(digest, "little") > target:
        raise Broken("OTS_INVALID", "its block header has no valid proof of work")
    heights = [height for height, root in blocks if root == header[36:68]]
    if not heights:
        raise Broken("OTS_INVALID", "it does not lead to the block header beside it")
    nanos = int.from_bytes(header[68:72], "little") * NANOS + OTS_MARGIN
    return min(heights), digest[::-1].hex(), nanos


# --- The bundle ---


class Verification:
    """One bundle's verification: its findings, and what was established."""

    def __init__(self, archive, trust, attest=None):
        self.zip, self.trust, self.attest = archive, trust, attest
        self.names = set()  # of files that can be read
        self.findings, self.counts = [], {}
        self.keys = list(trust["keys"])
        self.rows = dict.fromkeys(("entries", "related", "texts", "gone", "proven"), 0)
        self.statements, self.erasures, self.checkpoints, self.anchored = [], {}, {}, {}
        self.anchors, self.attested, self.windows, self.timestamps = {}, {}, {}, []
        self.moments = {}  # of a ledger: (size, when somebody else saw that many entries, whether that was at once)
        self.gaps, self.expired = {}, set()  # of a ledger: the first seq that is not there; those that have a retention
        self.doubts, self.last, self.per_ledger = {}, {}, Counter()
        self.period = [None, None]
        self.manifest = {}

    def add(self, code, detail, origin="", seq=None, column=None):
        """Record a finding."""
        kind = (code, column)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= LISTED:
            found = {"code": code, "origin": origin, "seq": seq, "column": column, "detail": detail}
            if found not in self.findings[-100:]:
                self.findings.append(found)

    def run(self):
        """Take all steps."""
        try:
            self.check_zip()
            self.check_files()
            self.read_anchors()
            self.read_statements()
            self.check_checkpoints()
            self.check_digests()
            for name in SETS:
                self.check_set(name)
            self.check_counts()
        except Broken as exc:
            self.add(*exc.args)
        except MALFORMED as exc:
            self.add("FILE_MODIFIED", "manifest.json or a statement has another form than it should: %r" % exc)
        for (code, column), count in self.counts.items():
            if count > LISTED:
                more = "and %d more of this kind, not listed singly" % (count - LISTED)
                self.findings.append({"code": code, "origin": "", "seq": None, "column": column, "detail": more})
        return self.report()

    def read(self, name):
        """Return a file's bytes: of one that is small."""
        if name not in self.names:
            raise Broken("FILE_MISSING", "the file %s is not there" % name)
        try:
            if self.zip.getinfo(name).file_size > LARGEST_NOTE:
                raise Broken("FILE_MODIFIED", "the file %s is larger than such a file ever is" % name)
            return self.zip.read(name)
        except DAMAGED:
            raise Broken("FILE_MODIFIED", "the file %s is damaged" % name) from None

    def open(self, name):
        """Open a file to read it piece by piece; one that is not there, or damaged, is empty (step 1 has told)."""
        return io.BufferedReader(self.zip.open(name), 1 << 18) if name in self.names else io.BytesIO()

    # 1
    def check_files(self):
        """Compare the files with the manifest, and the manifest with the note that was signed."""
        raw, note = self.read("manifest.json"), self.read("manifest.note").decode("utf-8")
        self.manifest = json.loads(raw)
        if self.manifest["format"] != "otel-audit-bundle/1":
            raise Unreadable("format %r is not known here" % self.manifest["format"])
        if "\n\n" in note:
            self.manifest_note = note
            signed = statement(note, "bundle")["manifest_sha256"]
        else:
            self.manifest_note = ""
            detail = "nobody signed the manifest: that nothing was left out rests on whoever gave you the bundle"
            self.add("MANIFEST_UNSIGNED", detail)
            signed = note.split('"')[3] if note.count('"') == 4 else ""
        if signed != hashlib.sha256(raw).hexdigest():
            self.add("FILE_MODIFIED", "manifest.json is not the one whose hash is in manifest.note")
        listed = self.manifest["files"]
        proofs = {name for name in self.names if name.startswith("proofs/")}
        for name in sorted(self.names - set(listed) - proofs - {"manifest.json", "manifest.note"}):
            self.add("FILE_ADDED", "the file %s is not one of the manifest" % name)
        for name in sorted(filter(self.is_stray, self.names)):
            self.add("FILE_ADDED", "the file %s belongs to no ledger, or no anchor, of the manifest" % name)
        for name in sorted(set(listed) | self.names - proofs):
            if name not in self.names:
                self.add("FILE_MISSING", "the file %s is not there" % name)
            elif self.digest(name) != listed.get(name) and name in listed:
                self.add("FILE_MODIFIED", "the file %s is not the one of the manifest" % name)

    def is_stray(self, name):
        """Tell whether a file is of a ledger that the manifest does not name, or beside an anchor that is not there."""
        folder, *rest = re.split("[/.]", name)
        if folder == "anchors" and "anchors/%s/%s.json" % tuple(rest[:2]) not in self.names:
            return True
        return folder in ("anchors", "checkpoints", "proofs") and int(rest[0]) >= len(self.manifest["ledgers"])

    def check_zip(self):
        """Tell of what a zip can have beside files that are part of a bundle; only those are read."""
        files, infos = Counter(self.zip.namelist()), self.zip.infolist()
        unpacked, packed = (sum(getattr(each, size) for each in infos) for size in ("file_size", "compress_size"))
        if unpacked > max(WORTH_ASKING, LARGEST_RATIO * packed):
            raise Unreadable(
                "it would unpack to %d bytes, %d times its size: no bundle" % (unpacked, unpacked // max(packed, 1))
            )
        for info in infos:
            name, mode = info.filename, info.external_attr >> 16
            if not LAYOUT.fullmatch(name) or info.orig_filename != name or mode & 0o170000 not in (0, 0o100000):
                what = "is not part of a bundle; do not unpack this zip"
            elif files[name] > 1:
                what = "is there more than once"
            elif info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                what = "is encrypted, or packed in a way that a bundle never is"
            else:
                self.names.add(name)
                continue
            self.add("FILE_ADDED", "the file %r %s" % (info.orig_filename[:200], what))
        if self.zip.comment or min((info.header_offset for info in infos), default=0):
            self.add("FILE_ADDED", "there are bytes in front of the zip, or a comment behind it")

    def digest(self, name):
        """Return the SHA-256 of a file; one that is damaged is not read again."""
        digest = hashlib.sha256()
        try:
            with self.zip.open(name) as file:
                for piece in iter(lambda: file.read(1 << 18), b""):
                    digest.update(piece)
        except DAMAGED:
            self.names.discard(name)
            self.add("FILE_MODIFIED", "the file %s is damaged" % name)
            return None
        return digest.hexdigest()

    def read_anchors(self):
        """Read the anchored checkpoints of each ledger, and what attests when they existed."""
        for number, ledger in enumerate(self.manifest["ledgers"]):
            self.anchors[ledger["origin"]] = []
            for name in sorted(self.manifest["files"]):
                if re.fullmatch(r"anchors/%d/[0-9]+\.json" % number, name):
                    self.guard(name, ledger["origin"], self.read_anchor, name, ledger["origin"])

    def read_anchor(self, name, origin):
        """Read one anchored checkpoint; its signature is checked later, when the keys are known."""
        record, stem = json.loads(self.read(name)), name[: -len(".json")]
        self.anchors[origin].append((name, record))
        own = {stem + suffix for suffix in (".json", *ANCHOR_FILES.get(record["kind"], {".evidence"}))}
        for other in sorted(each for each in self.manifest["files"] if each.startswith(stem + ".") and each not in own):
            self.add("FILE_ADDED", "the file %s does not belong to an anchor of kind %s" % (other, record["kind"]))
        times = list(cosigners(record["note"], self.trust["witnesses"]).values())
        check = {"rfc3161": self.check_timestamp, "opentimestamps": self.check_ots}.get(record["kind"])
        if check:
            times += self.guard(name, origin, check, stem, record["note"], origin) or []
        if times:
            self.attested[name] = min(times)

    def check_timestamp(self, name, note, _):
        """Check that a timestamp is over its note; return its time if somebody checks the signature, too."""
        answer, data = self.read(name + ".tsr"), self.read(name + ".note")
        algorithm, imprint, nanos = read_timestamp(answer)
        if data != note.encode() or (algorithm, imprint) != (SHA256, hashlib.sha256(data).digest()):
            raise Broken("IMPRINT_MISMATCH", "the timestamp is not over the note beside it")
        times = [self.attest(answer, data)] if self.attest else []
        command = "openssl ts -verify -data %s.note -in %s.tsr -CAfile roots.pem" % (name, name)
        stated = {"file": name + ".tsr", "time": iso(nanos), "checked": bool(times), "command": command}
        self.timestamps.append(stated)
        return times

    def check_ots(self, name, note, origin):
        """Check an OpenTimestamps proof; return the time of its block if the trust file names that block."""
        proof, data = self.read(name + ".note.ots"), self.read(name + ".note")
        digest, calendars, blocks = read_ots(proof)
        if data != note.encode() or digest != hashlib.sha256(data).digest():
            raise Broken("IMPRINT_MISMATCH", "the OpenTimestamps proof is not over the note beside it")
        if not calendars and not blocks:
            raise Broken("OTS_INVALID", "the OpenTimestamps proof leads neither to a calendar nor to a block")
        if name + ".header" not in self.names:
            heights = ", ".join("%d" % height for height, _ in blocks)
            why = "the header of block %s is not here" % heights if blocks else "it leads to no block yet"
            return self.add("OTS_PENDING", "%s.note.ots: %s, so it attests no time" % (name, why), origin)
        height, block, nanos = read_block(self.read(name + ".header"), blocks)
        known = self.trust["blocks"].get(height)
        if known not in (None, block):
            detail = "its block header is not the one of Bitcoin's block %d: that is %s" % (height, known)
            raise Broken("OTS_INVALID", detail)
        self.timestamps.append({
            "file": name + ".note.ots", "time": iso(nanos), "checked": bool(known),
            "command": "" if known else "look up block %d, %s, and name it in bitcoin_blocks" % (height, block),
        })  # fmt: skip
        if known:
            return [nanos]
        detail = "it leads to block %d, %s; whether that is in Bitcoin's chain is for bitcoin_blocks of the trust file"
        return self.add("OTS_PENDING", "%s.note.ots: " % name + detail % (height, block), origin)

    # 2
    def read_statements(self):
        """Read signed statements: key rotations add keys, erasures explain texts that are gone."""
        rotations = {origin: [] for origin in self.anchors}
        erasures = []
        for name in SETS:
            for row in self.decoded(name, having=b".statement"):
                note = row["attributes"].get("audit.%s.statement" % row["event_type"])
                if row["event_type"] == "key_rotation" and note and row["origin"] in rotations:
                    rotations[row["origin"]].append((row["seq"], note))
                elif row["event_type"] == "erasure" and note:
                    erasures.append((row, note))
        for origin, found in rotations.items():
            self.windows[origin] = self.follow_rotations(origin, sorted(found))
            self.keys += [key for key in self.windows[origin] if key not in self.keys]
        for row, note in erasures:
            try:
                open_note(note, self.keys, row["origin"])
                self.erasures.setdefault(row["origin"], []).append(Erasure(note, row))
            except (Broken, ValueError, KeyError, TypeError) as exc:
                detail = exc.args[1] if isinstance(exc, Broken) else "a field is missing or wrong: %s" % exc
                self.add("FALSE_TOMBSTONE", "this erasure explains nothing: %s" % detail, *place_of(row))
        if self.manifest_note:
            self.guard("manifest.note", "", self.check_signer, self.manifest_note)

    def follow_rotations(self, origin, rotations):
        """Return a ledger's keys, each with the sizes it speaks for: {key: (first, last or None, proven or None)}.

        A rotation that is entry R ends the old key's time at size R, and begins the new one's at R + 1. It counts
        when both signed it, the old key is believed and in use, and the new one never was.
        """
        trusted = [key for key in self.trust["keys"] if key.name == origin]
        sound = []
        for seq, note in rotations:
            try:
                fields = statement(note, "key_rotation")
                old, new = Key(fields["old_key"]), Key(fields["new_key"])
                for key in (old, new):
                    open_note(note, [key], origin)
                if old == new:
                    raise Broken("BAD_SIGNATURE", "it is from a key to itself")
                sound.append((seq, old, new))
            except (Broken, Unreadable, ValueError, KeyError, TypeError) as exc:
                self.add("BAD_SIGNATURE", "the key rotation does not hold: %s" % exc.args[-1], origin, seq,
                         "attributes")  # fmt: skip
        known = set(trusted)
        for _, old, new in reversed(sound):
            if new in known:
                known.add(old)
        windows = {key: (0, None, self.proven(origin, key)) for key in trusted}
        replaced, introduced = set(), set()
        for seq, old, new in sound:
            if old not in known:
                detail = "a key rotation is signed by key %s, which the trust file does not lead to" % old.id
                self.add("UNKNOWN_KEY", detail, origin, seq)
                continue
            first, _, proven = windows.get(old) or (0, None, self.proven(origin, old))
            stolen = proven is not None and proven <= seq and new not in trusted
            if old in replaced or seq < first or new in introduced or stolen:
                why = "may have been in other hands then" if stolen else "was not in use, or the new one was before"
                detail = "a key rotation to key %s does not count: key %s %s" % (new.id, old.id, why)
                self.add("KEY_OUTSIDE_VALIDITY", detail, origin, seq)
                continue
            windows[old] = (first, seq, proven)
            windows[new] = (seq + 1, None, self.proven(origin, new))
            replaced.add(old)
            introduced |= {old, new}
            known.add(new)
        return windows

    def proven(self, origin, key):
        """Return up to which size a lost key's checkpoints are proven to be older than that; None: it is not lost."""
        since = self.trust["compromised"].get("%s+%s" % (key.name, key.id))
        if since is None:
            return None
        sizes = [0]
        for name, record in self.anchors[origin]:
            try:
                if self.attested.get(name, since) < since:
                    sizes.append(open_checkpoint(record["note"], [key], origin)[0])
            except Broken:
                continue  # of another key, or wrong: step 4 tells
        return max(sizes)

    def check_signer(self, note):
        """Check that a key of one of the bundle's ledgers signed the manifest."""
        origins = [ledger["origin"] for ledger in self.manifest["ledgers"]]
        signers = [name for name, _, _ in split_note(note)[1] if name in origins]
        open_note(note, self.keys, signers[0] if signers else "a ledger of this bundle")

    # 3 and 4
    def check_checkpoints(self):
        """Open each ledger's checkpoint and its anchors."""
        for number, ledger in enumerate(self.manifest["ledgers"]):
            origin, name = ledger["origin"], "checkpoints/%d.note" % number
            if not self.guard(name, origin, self.open_base, number, name, origin):
                continue
            note = self.checkpoints[origin][3]
            witnesses = set(cosigners(note, self.trust["witnesses"]))
            for anchor, record in self.anchors[origin]:
                witnesses |= self.guard(anchor, origin, self.check_anchor, record, origin, anchor) or set()
            if len(witnesses) < self.trust["quorum"]:
                detail = "%d of the trusted witnesses cosigned, %d are needed" % (len(witnesses), self.trust["quorum"])
                self.add("WITNESS_QUORUM_MISSING", detail, origin)

    def open_base(self, number, name, origin):
        """Open the checkpoint that the proofs lead to."""
        note = self.read(name).decode("utf-8")
        size, root, keys = open_checkpoint(note, self.keys, origin)
        self.doubts[origin] = self.doubt_about(origin, keys, size)  # anchors may settle it: see check_counts
        self.checkpoints[origin] = (number, size, root, note)
        return True

    def check_anchor(self, record, origin, name=""):
        """Check an anchored checkpoint, and that it and the ledger's checkpoint are of one history."""
        size, root, keys = open_checkpoint(record["note"], self.keys, origin)
        doubt = self.doubt_about(origin, keys, size)
        _, base_size, base_root, _ = self.checkpoints[origin]
        hashes = [unbase64(each) for each in record["consistency"]]
        if size > base_size and not hashes:
            raise Broken("ROLLBACK", "it has seen %d entries, but the newest checkpoint here is of %d: the ledger was "
                         "put back to an older state" % (size, base_size))  # fmt: skip
        first, second = sorted([(size, root), (base_size, base_root)])
        if not is_consistent(*first, *second, hashes):
            code = "SPLIT_VIEW" if size == base_size else "CHAIN_REBUILT"
            raise Broken(code, "the anchored checkpoint of size %d and that of size %d are not of one history"
                         % (size, base_size))  # fmt: skip
        if not doubt:
            self.anchored[origin] = max(self.anchored.get(origin, 0), size)
            if name in self.attested:
                is_prompt = record["kind"] != "opentimestamps"  # a block comes hours later
                self.moments.setdefault(origin, []).append((size, self.attested[name], is_prompt))
        return set(cosigners(record["note"], self.trust["witnesses"]))

    def check_digests(self):
        """Check the digests, each of which holds the newest checkpoint of every ledger of a store."""
        for name in sorted(name for name in self.manifest["files"] if re.fullmatch(r"digests/[0-9]+\.json", name)):
            self.guard(name, "", self.check_digest, name)
        stated = self.manifest.get("digests", 0)
        found = sum(name.startswith("digests/") for name in self.manifest["files"])
        if stated != found:
            self.add("FILE_MODIFIED", "manifest.json states %s digests, but lists %d" % (stated, found))

    def check_digest(self, name):
        """Check one digest: who signed it, and that each checkpoint in it is of the history shown here."""
        record = json.loads(self.read(name))
        signer = statement(record["note"], "digest")["origin"]
        if not any(key.name == signer for key in self.keys):
            detail = "%s: the trust file names no key of the ledger that signed it; it was not compared" % name
            return self.add("ANCHOR_DAMAGED", detail, signer)
        open_note(record["note"], self.keys, signer)
        for tip in statement(record["note"], "digest")["ledgers"]:
            origin, lines = tip["origin"], tip["checkpoint"].split("\n")
            if [origin, str(tip["size"]), bytes.fromhex(tip["root_hash"])] != [*lines[:2], unbase64(lines[2])]:
                raise Broken("BAD_SIGNATURE", "what it says of %s is not what the checkpoint in it says" % origin)
            if origin in self.checkpoints:
                anchored = {"note": tip["checkpoint"], "consistency": record["consistency"][origin]}
                self.guard(name, origin, self.check_anchor, anchored, origin)
        return None

    def doubt_about(self, origin, keys, size):
        """Raise if none of the keys that signed a checkpoint was in use at its size.

        Return what is doubtful if only keys signed it that somebody else may have had then; "" if nothing is.
        """
        wrong = doubtful = ""
        for key in keys:
            first, last, proven = self.windows[origin].get(key, (0, None, None))
            if size < first:
                wrong = "key %s was first used after entry %d" % (key.id, first - 1)
            elif last is not None and size > last:
                wrong = "key %s was replaced by entry %d" % (key.id, last)
            elif proven is not None and size > proven:
                what = "may have been in other hands, and nothing checked here proves the checkpoint to be older"
                doubtful = "key %s %s" % (key.id, what)
            else:
                return ""
        if not doubtful:
            raise Broken("KEY_OUTSIDE_VALIDITY", wrong)
        return doubtful

    def guard(self, name, origin, check, *arguments):
        """Do a check of a file; what does not hold becomes a finding."""
        try:
            return check(*arguments)
        except Broken as exc:
            self.add(exc.args[0], "%s: %s" % (name, exc.args[1]), origin)
        except MALFORMED as exc:
            self.add("FILE_MODIFIED", "%s has another form than it should: %s" % (name, exc), origin)
        return None

    # 5 to 7
    def decoded(self, name, *, tell=False, having=b""):
        """Yield the entries of a set, decoded: those whose encoding has ``having`` in it."""
        with self.open(name + ".bin") as file:
            try:
                for data in frames(file):
                    if having in data:
                        yield decode(data)
            except Broken as exc:
                if tell:
                    self.add(exc.args[0], "%s.bin: %s" % (name, exc.args[1]))

    def check_set(self, name):
        """Check the entries of a set one by one, beside their texts and their lines in the tables."""
        texts, last, recorded, bad_tables = Texts(self, name), None, 0, set()
        with self.open(name + ".csv") as as_csv, self.open(name + ".jsonl") as as_json:
            header = ("\ufeff" + ",".join(CSV_COLUMNS) + "\r\n").encode()
            if as_csv.read(len(header)) != header:
                bad_tables.add("csv")
            for row in self.decoded(name, tell=True):
                place = (row["origin"], row["seq"])
                if last is not None and place <= last:
                    code = "ROW_DUPLICATED" if place == last else "ROW_REORDERED"
                    self.add(code, "%s.bin: entry %d follows entry %d" % (name, place[1], last[1]), *place)
                elif last is not None and last[0] == place[0] and row["recorded_at"] < recorded:
                    detail = "by its time it was recorded before entry %d" % last[1]
                    self.add("NON_MONOTONIC", detail, *place, "recorded_at")
                if name == "entries" and place[1] > self.last.get(place[0], -1) + 1:
                    self.gaps.setdefault(place[0], self.last.get(place[0], -1) + 1)
                if row["event_type"] == "retention":
                    self.expired.add(place[0])
                last, recorded = place, row["recorded_at"]
                self.check_times(row)
                found = texts.of(row)
                self.check_proof(row)
                for kind, file, line in (("csv", as_csv, csv_line), ("jsonl", as_json, json_line)):
                    wanted = line(row, found)
                    if kind not in bad_tables and file.read(len(wanted)) != wanted:
                        bad_tables.add(kind)
                self.rows[name] += 1
                self.per_ledger[place[0]] += 1
                self.last[place[0]] = max(place[1], self.last.get(place[0], 0))
                if name == "entries":
                    self.period = [min(self.period[0] or row["event_time"], row["event_time"]),
                                   max(self.period[1] or row["event_time"], row["event_time"])]  # fmt: skip
            bad_tables |= {kind for kind, file in (("csv", as_csv), ("jsonl", as_json)) if file.read(1)}
        texts.finish()
        for kind in sorted(bad_tables):
            self.compare_table(name, kind)

    def check_proof(self, row):
        """Follow an entry's proof to the root of its ledger's checkpoint."""
        origin, seq = row["origin"], row["seq"]
        if origin not in self.checkpoints:
            return self.add("NOTHING_VERIFIED", "no checkpoint of this ledger holds", origin, seq)
        number, size, root, note = self.checkpoints[origin]
        try:
            text = self.read("proofs/%d/%d.tlog-proof" % (number, seq)).decode("utf-8", "replace")
            head, _, own_note = text.partition("\n\n")
            lines = head.split("\n")
            if lines[:2] != ["c2sp.org/tlog-proof@v1", "index %d" % seq] or own_note != note:
                raise Broken("TREE_DIVERGED", "its proof is of another entry or another checkpoint")
            hashes = [unbase64(line) for line in lines[2:]]
            if root_of_inclusion(bytes.fromhex(row["hash"]), seq, size, hashes) != root:
                raise Broken("ROW_MODIFIED", "the entry with its proof does not lead to the signed root")
        except Broken as exc:
            return self.add(exc.args[0], exc.args[1], origin, seq)
        self.rows["proven"] += 1
        return None

    def check_times(self, row):
        """Compare an entry's times with those at which somebody else saw its ledger."""
        for size, moment, is_prompt in self.moments.get(row["origin"], ()):
            for column in ("recorded_at", "event_time"):
                if row["seq"] < size and row[column] > moment + TOLERANCE:
                    code, seen = "FUTURE_DATED", "was there already"
                elif is_prompt and row["seq"] >= size and column == "recorded_at" and row[column] < moment - TOLERANCE:
                    code, seen = "BACKDATED", "came after that"
                else:
                    continue
                detail = "it says %s, but %d entries were seen at %s, and it %s"
                return self.add(code, detail % (iso(row[column]), size, iso(moment), seen), *place_of(row), column)
        return None

    def compare_table(self, name, kind):
        """Find the rows and columns in which a table differs from the entries; few rows are in memory at once."""
        file, before = "%s.%s" % (name, kind), sum(self.counts.values())
        expected = {place: fingerprint(line) for place, line in self.lines_due(name, kind)}
        try:
            actual = [(place, fingerprint(line)) for place, line in self.lines_there(file, kind)]
        except (*MALFORMED, csv.Error) as exc:
            return self.add("FILE_MODIFIED", "%s can not be read: %s" % (file, exc))
        places, order = Counter(place for place, _ in actual), list(expected)
        if len(actual) != len(expected):
            for place in expected:
                if place not in places:
                    self.add("ROW_DELETED", "%s lacks the entry" % file, *place)
        for place, count in places.items():
            if place not in expected and len(actual) != len(expected):
                self.add("ROW_INSERTED", "%s has an entry that is not in %s.bin" % (file, name), *place)
            elif count > 1:
                self.add("ROW_DUPLICATED", "%s has the entry more than once" % file, *place)
        # As many rows as entries, but other ones: somebody changed where a row says that it belongs.
        by_position = len(actual) == len(expected) and places.keys() != expected.keys()
        if len(actual) == len(expected) and not by_position and [place for place, _ in actual] != order:
            first = next(place for (place, _), right in zip(actual, order) if place != right)
            self.add("ROW_REORDERED", "%s has its entries in another order" % file, *first)
        wrong = {}  # which line of the table differs from which entry
        for index, (place, stated) in enumerate(actual):
            due = order[index] if by_position else place
            if expected.get(due, stated) != stated:
                wrong[index] = due
        listed = dict(islice(wrong.items(), LISTED))
        due = {place: line for place, line in self.lines_due(name, kind) if place in set(listed.values())}
        for index, (_, row) in enumerate(self.lines_there(file, kind) if listed else ()):
            if index in listed:
                right = due[listed[index]]
                for column in sorted({*right, *row}, key=str):
                    if (column not in row or column not in right) or row[column] != right[column]:
                        detail = "%s states another value than the entry" % file
                        self.add("ROW_MODIFIED", detail, *listed[index], column)
        if len(wrong) > len(listed):
            self.add("ROW_MODIFIED", "%s has %d more such rows" % (file, len(wrong) - len(listed)))
        if sum(self.counts.values()) == before:
            self.add("NON_CANONICAL", "%s says the same as the entries, but is not written as it should be" % file)
        return None

    def lines_due(self, name, kind):
        """Yield what a table must have: (place, values by column) of each entry."""
        texts = Texts(self, name, silent=True)
        for row in self.decoded(name):
            found = texts.of(row)
            line = json_object(row, found) if kind == "jsonl" else {key: cell(key, of, row, found) for key, of in CELLS}
            yield place_of(row), line

    def lines_there(self, file, kind):
        """Yield what a table has, in the same form."""
        with self.open(file) as raw, io.TextIOWrapper(raw, "utf-8-sig", "replace", newline="") as text:
            lines = iter(lambda: text.readline(LARGEST_ENTRY), "")
            for row in map(json.loads, lines) if kind == "jsonl" else csv.DictReader(lines):
                yield (str(row["origin"]), int(row["seq"])), row

    # 8
    def check_counts(self):
        """Compare what the manifest counts with what is there."""
        stated = self.manifest["counts"]
        period = [None if each is None else iso(each) for each in self.period]
        pairs = [(name, stated[name], self.rows[name]) for name in ("entries", "related", "texts", "gone")]
        for name, says, found in [*pairs, ("period", self.manifest["period"], period)]:
            if says != found:
                self.add("FILE_MODIFIED", "manifest.json states %s %s, but it is %s" % (name, says, found))
        rows = self.rows["entries"] + self.rows["related"]
        proofs = sum(name.startswith("proofs/") for name in self.names)
        if proofs > rows:
            self.add("FILE_ADDED", "there are %d proofs, but %d entries" % (proofs, rows))
        for ledger in self.manifest["ledgers"]:
            origin, last = ledger["origin"], self.last.get(ledger["origin"], -1)
            if not self.manifest["filter"] and origin in self.gaps and origin not in self.expired:
                self.add("ROW_DELETED", "no filter is stated, but the entry is not there", origin, self.gaps[origin])
            _, size, root, _ = self.checkpoints.get(origin, (0, ledger["size"], bytes.fromhex(ledger["root_hash"]), ""))
            found = {"size": size, "root_hash": root.hex(), "last_seq": last}
            found.update(entries=self.per_ledger[origin], anchors=len(self.anchors[origin]))
            for name, value in found.items():
                if ledger[name] != value:
                    self.add("FILE_MODIFIED", "manifest.json states another %s than %s" % (name, value), origin)
            size = self.anchored.get(origin, 0)
            if self.doubts.get(origin) and size <= last:
                # Else an anchored checkpoint whose key is in order covers all entries, and this one continues it.
                self.add("KEY_OUTSIDE_VALIDITY", "the checkpoint: %s" % self.doubts[origin], origin)
            if origin in self.checkpoints and size <= last:
                why = "no anchor in this bundle covers them; whoever holds the signing key could have rewritten them"
                detail = "entries %d to %d: %s" % (size, last, why)
                self.add("UNANCHORED_TAIL", detail, origin, size)
        if not self.rows["proven"]:
            self.add("NOTHING_VERIFIED", "no entry leads to a checkpoint that a trusted key signed")

    def report(self):
        """Return the verdict with the findings."""
        altered = any(each["code"] not in STATUS for each in self.findings)
        status = "tampered" if altered else "ok" if self.rows["proven"] else "unverifiable"
        return {
            "status": status, "counts": self.rows, "timestamps": self.timestamps, "findings": self.findings
        }  # fmt: skip


class Texts:
    """The texts of a set, in the order of its entries."""

    def __init__(self, verification, name, silent=False):
        self.verification, self.name, self.silent = verification, name + ".texts.jsonl", silent
        self.file, self.next = verification.open(self.name), None
        self.advance()

    def advance(self):
        """Read the next line: (place, name, value, opening)."""
        line, before, self.next = self.file.readline(LARGEST_ENTRY), self.next, None
        if not line:
            return None
        try:
            fields = json.loads(line)
            place, name, value = (str(fields["origin"]), int(fields["seq"])), fields["name"], fields["value"]
            self.next = place, name, (name.encode(), value.encode()), bytes.fromhex(fields["opening"])
            wanted = dict(zip(("origin", "seq", "name", "opening", "value"), (*place, name, self.next[3].hex(), value)))
        except MALFORMED:
            return self.tell("FILE_MODIFIED", "%s has a line that is no text; what follows was not read" % self.name)
        if line != one_line(wanted) or (before and before[:2] >= self.next[:2]):
            self.tell("NON_CANONICAL", "%s: a line is not written as it should be, or not in its place" % self.name)
        return None

    def tell(self, code, detail, *where):
        """Add a finding, the first time the texts are read."""
        if not self.silent:
            self.verification.add(code, detail, *where)

    def of(self, row):
        """Return the texts of an entry that are what it commits to; tell of all that is not right."""
        place, found = place_of(row), {}
        while self.next and self.next[0] <= place:
            own, name, parts, opening = self.next
            message = b"".join(len(each).to_bytes(8, "big") + each for each in parts)
            made = hmac.new(opening, message, hashlib.sha256).hexdigest()
            if own != place or row["content"].get(name) != made or name in found:
                self.tell("CONTENT_MISMATCH", "the text %r is not what the entry commits to" % name, *own, name)
            elif self.erased(row, name):
                detail = "the text %r was erased, it says, but it is still there" % name
                self.tell("FALSE_TOMBSTONE", detail, *own, name)
            found[name] = parts[1].decode()
            self.advance()
        for name in row["content"]:
            if name not in found:
                self.explain(row, name)
        if not self.silent:
            self.verification.rows["texts"] += len(found)
        return found

    def erased(self, row, name):
        """Return the valid erasure of a text, or None."""
        erasures = self.verification.erasures.get(row["origin"], ())
        return next((each for each in erasures if each.covers(row["seq"], name)), None)

    def explain(self, row, name):
        """Say why a text is gone, if a signed erasure does."""
        self.verification.rows["gone"] += not self.silent
        erasure = self.erased(row, name)
        code = "ERASED" if erasure else "CONTENT_MISSING"
        told = "was %s" % erasure.told if erasure else "is gone, and no valid erasure was recorded for it"
        self.tell(code, "the text %r %s" % (name, told), *place_of(row), name)

    def finish(self):
        """Tell of texts after the last entry."""
        while self.next:
            self.tell("CONTENT_MISMATCH", "there is a text of no entry", *self.next[0])
            self.advance()


def fingerprint(line):
    """Return a short stand-in for a line of a table."""
    return hashlib.sha256(json.dumps(line, sort_keys=True).encode()).digest()


def place_of(row):
    """Return where an entry stands."""
    return row["origin"], row["seq"]


def nanos_of(instant):
    """Return an RFC 3339 time in nanoseconds since 1970."""
    moment = datetime.fromisoformat(instant.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError("time %r has no zone" % instant)
    return round(moment.timestamp() * 10**6) * 1000


def read_trust(text):
    """Read a trust file: JSON with `verifier_keys`, or one key a line."""
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else {"verifier_keys": text.split()}
        keys = [Key(each) for each in document["verifier_keys"]]
        witnesses = [Key(each) for each in document.get("witnesses", [])]
        quorum = int(document.get("witness_quorum", 0))
        lost = {key: nanos_of(since) for key, since in document.get("compromised_keys", {}).items()}
        blocks = {
            int(height): bytes.fromhex(block).hex() for height, block in document.get("bitcoin_blocks", {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise Unreadable('the trust file is not {"verifier_keys": [...]} or one key a line') from exc
    if not keys:
        raise Unreadable("the trust file names no key, so that no signature could be checked")
    return {"keys": keys, "witnesses": witnesses, "quorum": quorum, "compromised": lost, "blocks": blocks}


def verify_bundle(path, trust_text, attest=None):
    """Verify the bundle at ``path`` against a trust file's text, and return the report. Raises Unreadable.

    ``attest`` checks a timestamp with its signature: (token, note) -> nanoseconds since 1970, or Broken. Without it the
    time of a timestamp proves nothing here.
    """
    trust = read_trust(trust_text)
    try:
        with zipfile.ZipFile(path) as archive:
            return Verification(archive, trust, attest).run()
    except (OSError, *DAMAGED) as exc:
        raise Unreadable("%s: %s" % (path, exc)) from exc


def format_report(report):
    """Return the report for people."""
    codes = {each["code"] for each in report["findings"]}
    unknown = "UNKNOWN_KEY" in codes and not report["counts"]["proven"]
    lines = [VERDICTS["unknown" if unknown else report["status"]], ""]
    lines += ["  %-10s %d" % pair for pair in report["counts"].items()]
    for each in report["findings"]:
        where = [each["origin"]] if each["origin"] else []
        where += ["entry %d" % each["seq"]] if each["seq"] is not None else []
        where += ["column %s" % each["column"]] if each["column"] else []
        lines += ["  %s  %s" % (each["code"], ", ".join(where)), "      " + each["detail"]]
    for each in report["timestamps"]:
        checked = "and that was checked" if each["checked"] else "and who says so was not checked; to do that:"
        lines += ["  timestamp %s is over its note, states %s," % (each["file"], each["time"]), "      " + checked]
        lines += [] if each["checked"] else ["      " + each["command"]]
    return "\n".join([*lines, "", LIMITS]) + "\n"


VERDICTS = {
    "ok": "OK: what is in this bundle is what was recorded.",
    "tampered": "TAMPERED: this is not what was recorded. Keep it as it is, and see the findings.",
    "unknown": "NOT PROVEN: nobody whom the trust file names signed this. It is forged, or of another ledger.",
    "unverifiable": "UNVERIFIABLE: nothing was found wrong, but nothing proves that it is right either.",
}
LIMITS = """What this can not tell: whether an event was true; whether one was never sent; what somebody who held the
signing key did before the first anchor. Of a timestamp this program checks what it is over, and not who signed it."""
NO_TRUST = """No --trust: a bundle can not vouch for itself. Get the ledger's public keys from whoever runs it, by
another way than this bundle came (there: otel-audit keys export > trust.json), and pass them as --trust trust.json"""


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description="Check an evidence bundle. Exit code: 0 fine, 1 altered, 2 not checked."
    )
    parser.add_argument("bundle", help="the zip file")
    parser.add_argument("--trust", help="file with the public keys to believe")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args()
    try:
        if not given.trust:
            raise Unreadable(NO_TRUST)
        with open(given.trust, encoding="utf-8") as file:
            report = verify_bundle(given.bundle, file.read())
    except (Unreadable, OSError, UnicodeDecodeError) as exc:
        print("verify_bundle: %s" % exc, file=sys.stderr)
        return 2
    print(json.dumps(report, indent=2) if given.json else format_report(report), end="")
    return 0 if report["status"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
