"""The data keys of sealed texts, outside of the data folder, and the erasures that are under way.

One SQLite file in a folder of its own, owner only. A key belongs to a scope: a subject, a task, or a day. Scopes are
stored as a keyed hash, so that the file names nobody. Destroying a key overwrites it: in the file (secure_delete),
and in the journal that SQLite took its former page into.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_audit.errors import ConfigError, StoreError
from otel_audit.privacy.sealing import KEY_ID_SIZE, KEY_SIZE
from otel_audit.store.sql_text import sql, sql_blocks

_FILE: Final = "data-keys.sqlite"
_SCOPE_SIZE: Final = 16
_WIPE_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key that texts are sealed under."""

    key_id: bytes
    key: bytes


class KeyStore:
    """Data keys by scope. Safe to use from several threads; one process at a time (it holds the data folder).

    ``clock`` gives nanoseconds since 1970, ``randomness`` that many random bytes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], int] = time.time_ns,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._path = folder / _FILE
        self._clock = clock
        self._randomness = randomness
        self._lock = threading.Lock()  # one transaction at a time
        self._sql = sql_blocks("keys")
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            # PERSIST: the journal stays the same file, so that what it held can be overwritten.
            for pragma in (
                "locking_mode = EXCLUSIVE",
                "journal_mode = PERSIST",
                "synchronous = FULL",
                "secure_delete = ON",
            ):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.executescript(sql("keys_schema"))
            with self._transaction() as run:
                run(self._sql["add_secret"], {"value": randomness(KEY_SIZE)})
                self._secret: bytes = run(self._sql["secret"], {}).fetchone()[0]
            self._wipe_journal()  # of a run that ended between destroying a key and this
        except (OSError, sqlite3.Error) as exc:
            raise ConfigError(
                f"{self._path}: the data keys can not be used: {exc}. Without them no text can be stored; check the "
                "folder's owner and free space, or put it back from where you keep copies of it."
            ) from exc

    def scope(self, kind: str, reference: str) -> bytes:
        """What stands for a subject, task or day (``kind``): nobody can test a guess without this store."""
        return hmac.digest(self._secret, f"{kind}:{reference}".encode(), hashlib.sha256)[:_SCOPE_SIZE]

    def keys_for(self, scopes: Iterable[bytes]) -> dict[bytes, DataKey]:
        """The key in use for each scope; new ones are durable when this returns."""
        found: dict[bytes, DataKey] = {}
        with self._transaction() as run:
            for scope in scopes:
                row = run(self._sql["key_of_scope"], {"scope": scope}).fetchone()
                if row is None:
                    row = (self._randomness(KEY_ID_SIZE), self._randomness(KEY_SIZE))
                    values = {"key_id": row[0], "scope": scope, "key": row[1], "created": self._clock()}
                    run(self._sql["add_key"], values)
                found[scope] = DataKey(*row)
        return found

    def key(self, key_id: bytes) -> bytes | None:
        """A key; None when it was destroyed, or never in this store."""
        with self._transaction() as run:
            row = run(self._sql["key"], {"key_id": key_id}).fetchone()
        return row[0] if row else None

    def keys_in_use(self, scopes: Iterable[bytes]) -> list[bytes]:
        """Ids of those keys of these scopes that were not destroyed."""
        with self._transaction() as run:
            rows = [run(self._sql["key_of_scope"], {"scope": scope}).fetchone() for scope in scopes]
        return [row[0] for row in rows if row is not None]

    def learn_tasks(self, subjects: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember which subjects tasks belong to: (scope of the task, scope of the subject)."""
        with self._transaction() as run:
            for task, subject in subjects:
                run(self._sql["add_task"], {"task": task, "subject": subject})

    def subjects_of(self, tasks: Iterable[bytes]) -> dict[bytes, bytes | None]:
        """The subject that each task was first known to belong to; None where none is known."""
        with self._transaction() as run:
            rows = {task: run(self._sql["subject_of_task"], {"task": task}).fetchone() for task in tasks}
        return {task: row[0] if row else None for task, row in rows.items()}

    def tasks_of(self, subject: bytes) -> list[bytes]:
        """The tasks of a subject."""
        with self._transaction() as run:
            return [row[0] for row in run(self._sql["tasks_of_subject"], {"subject": subject})]

    def begin_erasure(self, name: str, plan: Mapping[str, Any]) -> None:
        """Keep what an erasure intends, before it does any of it. Again under the same name changes nothing."""
        with self._transaction() as run:
            run(self._sql["add_erasure"], {"name": name, "plan": json.dumps(plan), "begun": self._clock()})

    def destroy(self, key_ids: Sequence[bytes]) -> None:
        """Overwrite these keys. What they sealed can not be read any more, in any copy, by anybody."""
        with self._transaction() as run:
            for key_id in key_ids:
                run(self._sql["destroy_key"], {"key_id": key_id, "now": self._clock()})
        self._wipe_journal()

    def finish_erasure(self, name: str) -> None:
        """Note that everything of an erasure is done."""
        with self._transaction() as run:
            run(self._sql["finish_erasure"], {"name": name, "now": self._clock()})

    def erasures(self, *, unfinished: bool = False) -> dict[str, Any]:
        """Plans by name, oldest first: of all erasures, or of those that were not finished."""
        with self._transaction() as run:
            rows = run(self._sql["erasures"], {}).fetchall()
        return {name: json.loads(plan) for name, plan, done in rows if not (unfinished and done)}

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[Callable[[str, Mapping[str, Any]], sqlite3.Cursor]]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database.execute
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.Error as exc:
                raise StoreError(f"{self._path}: {exc}. Check the folder's free space and owner, then retry.") from exc

    def _wipe_journal(self) -> None:
        """Overwrite what the journal held; a journal of zeros is no journal. No transaction may be open."""
        journal = self._path.with_name(f"{_FILE}-journal")
        with self._lock:
            if not journal.exists():
                return
            with journal.open("r+b", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                for start in range(0, size, _WIPE_BLOCK):
                    file.write(bytes(min(_WIPE_BLOCK, size - start)))
                os.fsync(file.fileno())
