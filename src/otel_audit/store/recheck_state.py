"""What the receiver's check of its own ledger last found: a small file in the data folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self

from otel_audit.errors import ConfigError
from otel_audit.store.folder import DataFolder


@dataclass(frozen=True, slots=True)
class RecheckState:
    """The last verdict: ``status`` as of ``otel-audit verify``, empty before the first.

    Times are nanoseconds since 1970, 0 = never. ``full_unix_nano`` is when everything was last read and
    found right, ``told_unix_nano`` when an entry told of it.
    ``problem`` says why the last attempt could not check; the verdict is then an older one.
    """

    status: str = ""
    codes: tuple[str, ...] = ()
    finding_count: int = 0
    entry_count: int = 0
    checked_unix_nano: int = 0
    ok_unix_nano: int = 0
    full_unix_nano: int = 0
    told_unix_nano: int = 0
    problem: str = ""

    @classmethod
    def read(cls, folder: DataFolder) -> Self:
        """The state that was written, or that of before. Raises ConfigError when the file is damaged."""
        try:
            fields = json.loads(folder.recheck_file.read_text(encoding="utf-8"))
            return cls(**{**fields, "codes": tuple(fields["codes"])})
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise ConfigError(f"{folder.recheck_file}: is damaged ({exc}). Delete it: it is made anew") from exc

    def write(self, folder: DataFolder) -> None:
        """Write it down, durably."""
        folder.write_private(folder.recheck_file, json.dumps(asdict(self), indent=2) + "\n")
