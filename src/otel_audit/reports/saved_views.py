"""Saved views of the search page: a name for a filter and its columns, one's own or shared. Preferences, no evidence.

They lie in a file outside of the ledger, where no erasure reaches them. So what the capture policy would mask is
refused, and a view that is deleted is gone. The file is written whole or not at all, readable by its owner alone, and
one writer at a time holds its lock: several dashboards may share it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import policy_from_environment
from otel_audit.privacy.redactor import TOKEN, Redactor
from otel_audit.store.folder import only_writer, private_text, write_whole

MAX_NAME: Final = 80
MAX_VIEWS: Final = 200  # of one person; more than anybody finds something in
_MAX_QUERY: Final = 8_000  # characters: browsers and proxies limit a URL


@dataclass(frozen=True, slots=True)
class SavedView:
    """One view: ``query`` is that of the search page's URL. Times are nanoseconds since 1970."""

    id: str
    name: str
    owner: str
    is_shared: bool
    query: tuple[tuple[str, str], ...]
    created_unix_nano: int


class ViewFile:
    """The saved views of one file. Safe to share between threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def seen_by(self, who: str) -> list[SavedView]:
        """One's own views, then those that others share, each by name. Raises ConfigError when the file is damaged."""
        found = [each for each in self._all() if each.owner == who or each.is_shared]
        return sorted(found, key=lambda each: (each.owner != who, each.name.casefold(), each.owner))

    def save(
        self, owner: str, name: str, query: Iterable[tuple[str, str]], *, is_shared: bool, now_unix_nano: int
    ) -> SavedView:
        """Keep a view; one of this owner and name that is there already is replaced.

        Raises ConfigError, with a text for people, for a name or a filter that can not be kept.
        """
        name, pairs = name.strip(), tuple(query)
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise ConfigError(f"Give the view a name of 1 to {MAX_NAME} characters.")
        if sum(len(key) + len(value) for key, value in pairs) > _MAX_QUERY:
            raise ConfigError("This filter is too long to be saved: choose fewer values.")
        if found := personal_data([name, *(value for _, value in pairs)]):
            raise ConfigError(
                f"This has what looks like personal data in it ({', '.join(found)}), and a saved view lies outside of "
                "the ledger, where no erasure reaches it. Leave it out, or keep the link to this page instead."
            )
        view = SavedView(secrets.token_hex(4), name, owner, is_shared, pairs, now_unix_nano)
        with self._changing():
            others = [each for each in self._all() if (each.owner, each.name) != (owner, name)]
            if sum(each.owner == owner for each in others) >= MAX_VIEWS:
                raise ConfigError(f"You have {MAX_VIEWS} views already: delete one first.")
            self._write([*others, view])
        return view

    def delete(self, owner: str, view_id: str) -> SavedView | None:
        """Delete one's own view for good, and return it; None when there is no such view of this owner."""
        with self._changing():
            views = self._all()
            found = next((each for each in views if (each.owner, each.id) == (owner, view_id)), None)
            if found is not None:
                self._write([each for each in views if each is not found])
        return found

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with only_writer(self.path.parent):
                yield
        except OSError as exc:
            raise ConfigError(f"{self.path}: saved views can not be written: {exc.strerror}") from exc

    def _write(self, views: list[SavedView]) -> None:
        text = json.dumps({"views": [asdict(each) for each in views]}, indent=2, ensure_ascii=False)
        write_whole(self.path, text + "\n", replace=True)

    def _all(self) -> list[SavedView]:
        try:
            return [_view(each) for each in json.loads(private_text(self.path))["views"]]
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise ConfigError(f"{self.path}: saved views can not be read: {exc.strerror}") from exc
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise ConfigError(f"{self.path}: is no file of saved views ({exc}). Mend it, or move it away") from exc


def personal_data(texts: Iterable[str]) -> list[str]:
    """Kinds of what the capture policy in force (OTEL_AUDIT_CAPTURE_POLICY) finds in these texts and would mask.

    Marks of what is masked already are none. A person's name is found only where the policy lists it.
    """
    redactor = Redactor(policy_from_environment(), PseudonymKeys((bytes(32),)))  # its tokens are thrown away
    found: dict[str, None] = {}
    for text in texts:
        before = set(TOKEN.findall(text))
        found |= {
            mark[1:].partition(":")[0]: None for mark in TOKEN.findall(redactor.string(text, "")) if mark not in before
        }
    return list(found)


def _view(values: Mapping[str, Any]) -> SavedView:
    texts = {name: values[name] for name in ("id", "name", "owner")}
    query = tuple((key, value) for key, value in values["query"])
    made = values["created_unix_nano"]
    fits = all(isinstance(each, str) for each in (*texts.values(), *(text for pair in query for text in pair)))
    if not fits or type(made) is not int or type(values["is_shared"]) is not bool:
        raise ValueError("a field has another type than expected")
    return SavedView(is_shared=values["is_shared"], query=query, created_unix_nano=made, **texts)
