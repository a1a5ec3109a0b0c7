"""What a verifier trusts, and gets from somewhere else than from whoever it checks.

    {
      "verifier_keys": ["<name>+<hash>+<key>", ...],           checkpoints, C2SP signed-note verifier keys
      "compromised_keys": {"<name>+<hash>": "<RFC 3339>"},      since when somebody else may have had that key
      "tsa_roots": ["-----BEGIN CERTIFICATE-----...", ...],     roots of timestamp authorities, PEM
      "anchors": [{"kind": "s3", "bucket": ...}, ...],          where anchors must be
      "witnesses": ["<name>+<hash>+<key>", ...],                C2SP tlog-cosignature verifier keys
      "witness_quorum": 2,                                      how many of them must have cosigned
      "bitcoin_blocks": {"840000": "<hash, hex>", ...}          blocks that are known to be Bitcoin's, by height
    }

Only ``verifier_keys`` is needed. A file of one key a line is a trust file, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.ledger.note import VerifierKey

_FIELDS: Final = (
    "verifier_keys",
    "compromised_keys",
    "tsa_roots",
    "anchors",
    "witnesses",
    "witness_quorum",
    "bitcoin_blocks",
)
_BLOCK_HASH: Final = re.compile(r"[0-9a-f]{64}")
_EXPECTED: Final = 'expected {"verifier_keys": [...]} or one key a line'


@dataclass(frozen=True, slots=True)
class Trust:
    """Trust roots. ``compromised_keys`` maps ``name+hash`` to nanoseconds since 1970; ``tsa_roots`` are PEM texts.

    ``anchors`` are what anchors the ledger must have, as the tables that configure them; ``witnesses`` are the
    texts of cosignature verifier keys. ``bitcoin_blocks`` maps heights to hashes of blocks, as explorers show them.
    """

    verifier_keys: tuple[VerifierKey, ...] = ()
    compromised_keys: Mapping[str, int] = field(default_factory=dict)
    tsa_roots: tuple[str, ...] = ()
    anchors: tuple[Mapping[str, Any], ...] = ()
    witnesses: tuple[str, ...] = ()
    witness_quorum: int = 0
    bitcoin_blocks: Mapping[int, str] = field(default_factory=dict)

    def with_keys(self, keys: Iterable[VerifierKey]) -> Trust:
        """The same trust with more verifier keys."""
        return replace(self, verifier_keys=tuple(dict.fromkeys((*self.verifier_keys, *keys))))

    def compromised_since(self, key: VerifierKey) -> int | None:
        """Since when a key must be taken for somebody else's too, in nanoseconds since 1970; None if never."""
        return self.compromised_keys.get(f"{key.name}+{key.key_id.hex()}")


def join_trust(trusts: Iterable[Trust]) -> Trust:
    """What several files trust together; of two dates of a compromise the earlier one counts, of quorums the larger."""
    joined = Trust()
    for each in trusts:
        since = dict(joined.compromised_keys)
        for key, nanos in each.compromised_keys.items():
            since[key] = min(nanos, since.get(key, nanos))
        joined = Trust(
            tuple(dict.fromkeys((*joined.verifier_keys, *each.verifier_keys))),
            since,
            tuple(dict.fromkeys((*joined.tsa_roots, *each.tsa_roots))),
            (*joined.anchors, *(anchor for anchor in each.anchors if anchor not in joined.anchors)),
            tuple(dict.fromkeys((*joined.witnesses, *each.witnesses))),
            max(joined.witness_quorum, each.witness_quorum),
            {**joined.bitcoin_blocks, **each.bitcoin_blocks},
        )
    return joined


def format_trust(trust: Trust) -> str:
    """The JSON form, with what is empty left out."""
    document: dict[str, Any] = {
        "verifier_keys": [key.format() for key in trust.verifier_keys],
        "compromised_keys": {
            key: datetime.fromtimestamp(nanos / 1e9, UTC).isoformat().replace("+00:00", "Z")
            for key, nanos in trust.compromised_keys.items()
        },
        "tsa_roots": list(trust.tsa_roots),
        "anchors": [dict(anchor) for anchor in trust.anchors],
        "witnesses": list(trust.witnesses),
        "witness_quorum": trust.witness_quorum,
        "bitcoin_blocks": {str(height): block for height, block in trust.bitcoin_blocks.items()},
    }
    kept = {name: value for name, value in document.items() if value or name == "verifier_keys"}
    return json.dumps(kept, indent=2, ensure_ascii=False) + "\n"


def parse_trust(text: str, where: str) -> Trust:
    """Read a trust file. Raises ConfigError that begins with ``where`` and says what is wrong."""
    if not text.lstrip().startswith("{"):
        return Trust(tuple(VerifierKey.parse(line) for line in text.split()))
    try:
        document = json.loads(text)
        keys = tuple(VerifierKey.parse(line) for line in document.pop("verifier_keys"))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(f"{where}: {_EXPECTED}") from exc
    if unknown := sorted(document.keys() - set(_FIELDS)):
        raise ConfigError(f"{where}: unknown field {unknown[0]!r}; there are {', '.join(_FIELDS)}")
    quorum = document.get("witness_quorum", 0)
    if not isinstance(quorum, int) or quorum < 0:
        raise ConfigError(f"{where}: witness_quorum {quorum!r} is no count")
    try:
        return Trust(
            keys,
            {str(key): _nanos(since) for key, since in document.get("compromised_keys", {}).items()},
            tuple(map(str, document.get("tsa_roots", ()))),
            tuple(dict(anchor) for anchor in document.get("anchors", ())),
            tuple(map(str, document.get("witnesses", ()))),
            quorum,
            dict(_block(*each) for each in document.get("bitcoin_blocks", {}).items()),
        )
    except (ValueError, TypeError, AttributeError) as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _block(height: str, block_hash: str) -> tuple[int, str]:
    if not height.isascii() or not height.isdecimal() or not _BLOCK_HASH.fullmatch(block_hash):
        raise ValueError(
            f"bitcoin_blocks: {height!r}: {block_hash!r} is not a height with a hash, 64 digits of lower-case hex"
        )
    return int(height), block_hash


def _nanos(instant: str) -> int:
    moment = datetime.fromisoformat(instant)
    if moment.tzinfo is None:
        raise ValueError(f"time {instant!r} has no zone; write it as 2026-11-24T09:30:00Z")
    return round(moment.timestamp() * 1_000_000) * 1000
