"""Seals the texts of events under the data key of whom they concern: the sequencer's last step before the insert.

The scope of an event is its subject; else the subject that its task is known to belong to; else its task; else the
UTC day that it is recorded on. Owned by the sequencer's thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otel_audit.ledger.encoding import encode_bytes, encode_uint64
from otel_audit.model import EventColumns
from otel_audit.privacy.sealing import seal
from otel_audit.receiver.prepare import PreparedEvent
from otel_audit.store.key_store import KeyStore

_REMEMBERED: Final = 20_000  # scopes and keys in memory, some 300 bytes each
_NANOS: Final = 1_000_000_000
SUBJECT: Final = "subject"
TASK: Final = "task"
DAY: Final = "day"


class Sealer:
    """Makes the rows of audit_sealed. Raises StoreError when a new key can not be made durable."""

    def __init__(self, keys: KeyStore, origin: str) -> None:
        self._keys = keys
        self._origin = origin
        self._prefix = encode_bytes(origin.encode())
        self._scopes: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._ciphers: OrderedDict[bytes, tuple[bytes, AESGCM]] = OrderedDict()
        self._subjects: dict[bytes, bytes | None] = {}  # by task

    def rows(self, events: Sequence[tuple[int, PreparedEvent]], recorded_unix_nano: int) -> bytes:
        """RowBinary of audit_sealed for these (seq, event); their keys are durable when it returns."""
        self._learn([event.event.columns for _, event in events])
        with_texts = [(seq, event) for seq, event in events if event.packed]
        if not with_texts:
            return b""
        scopes = [self._scope_of(event.event.columns, recorded_unix_nano) for _, event in with_texts]
        ciphers = self._ciphers_of(scopes)
        tails: dict[str, bytes] = {}
        rows: list[bytes] = []
        for (seq, event), scope in zip(with_texts, scopes, strict=True):
            key_id, cipher = ciphers[scope]
            tail = tails.get(event.retention_class)
            if tail is None:
                tail = encode_bytes(event.retention_class.encode()) + encode_uint64(recorded_unix_nano)
                tails[event.retention_class] = tail
            sealed = encode_bytes(seal(cipher, self._origin, seq, event.packed))
            rows += (self._prefix, encode_uint64(seq), key_id, sealed, tail)
        return b"".join(rows)

    def forget(self) -> None:
        """Drop every key from memory: some were destroyed."""
        self._ciphers.clear()

    def _learn(self, events: Sequence[EventColumns]) -> None:
        """Remember which subject the tasks of these events belong to, where it is news."""
        if len(self._subjects) > _REMEMBERED:
            self._subjects.clear()
        tasks = dict.fromkeys(self._scope(TASK, task) for columns in events if (task := columns.get("task_id", "")))
        if unknown := [task for task in tasks if task not in self._subjects]:
            self._subjects.update(self._keys.subjects_of(unknown))
        news: list[tuple[bytes, bytes]] = []
        seen: set[tuple[str, str]] = set()
        for columns in events:
            subject, task = columns.get("subject_ref", ""), columns.get("task_id", "")
            if not subject or not task or (task, subject) in seen:
                continue
            seen.add((task, subject))
            task_scope, subject_scope = self._scope(TASK, task), self._scope(SUBJECT, subject)
            if self._subjects[task_scope] != subject_scope:
                news.append((task_scope, subject_scope))
        if news:
            self._keys.learn_tasks(news)
            for task_scope, subject_scope in news:
                self._subjects[task_scope] = self._subjects[task_scope] or subject_scope

    def _scope_of(self, columns: EventColumns, recorded_unix_nano: int) -> bytes:
        if subject := columns.get("subject_ref", ""):
            return self._scope(SUBJECT, subject)
        if task := columns.get("task_id", ""):
            scope = self._scope(TASK, task)
            return self._subjects[scope] or scope
        day = datetime.fromtimestamp(recorded_unix_nano // _NANOS, UTC).date()
        return self._scope(DAY, day.isoformat())

    def _scope(self, kind: str, reference: str) -> bytes:
        scope = self._scopes.get((kind, reference))
        if scope is None:
            scope = self._scopes[kind, reference] = self._keys.scope(kind, reference)
            _bound(self._scopes)
        return scope

    def _ciphers_of(self, scopes: Sequence[bytes]) -> dict[bytes, tuple[bytes, AESGCM]]:
        wanted = dict.fromkeys(scopes)
        missing = [scope for scope in wanted if scope not in self._ciphers]
        fresh = {
            scope: (key.key_id, AESGCM(key.key))
            for scope, key in (self._keys.keys_for(missing) if missing else {}).items()
        }
        found = {scope: fresh[scope] if scope in fresh else self._ciphers[scope] for scope in wanted}
        self._ciphers.update(fresh)
        _bound(self._ciphers)
        return found


def _bound(remembered: OrderedDict[Any, Any]) -> None:
    """Forget the oldest."""
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)
