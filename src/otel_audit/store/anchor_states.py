"""How far each external anchor is: a small file for each in the data folder, written by the receiver."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self

from otel_audit.errors import ConfigError
from otel_audit.store.folder import DataFolder


@dataclass(frozen=True, slots=True)
class AnchorState:
    """One anchor. Times are nanoseconds since 1970, 0 = never.

    ``newest_size`` is the newest checkpoint's, ``published_size`` that of the newest that the anchor has.
    ``published_digest`` is the number of the newest digest over all ledgers that it has.
    ``pending`` are proofs that were promised and are still to come (OpenTimestamps).
    ``behind_since_unix_nano`` is when the first checkpoint was made that it lacks (0: it lacks none).
    """

    name: str
    kind: str
    place: str = ""
    published_size: int = 0
    newest_size: int = 0
    last_success_unix_nano: int = 0
    behind_since_unix_nano: int = 0
    last_error: str = ""
    last_error_unix_nano: int = 0
    published_digest: int = 0
    pending: int = 0

    @property
    def lag_entries(self) -> int:
        """Entries under a checkpoint that the anchor does not have."""
        return max(0, self.newest_size - self.published_size)

    def lag_seconds(self, now_unix_nano: int) -> float:
        """How long the anchor has been behind, 0 when it is not."""
        behind = self.behind_since_unix_nano
        return max(0.0, (now_unix_nano - behind) / 1e9) if behind else 0.0

    @classmethod
    def read(cls, folder: DataFolder, name: str) -> Self | None:
        """The state that was written, or None. Raises ConfigError when the file is damaged."""
        path = folder.anchor_states / f"{name}.json"
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as exc:
            raise ConfigError(f"{path}: is damaged ({exc}). Delete it: publishing again is harmless") from exc

    def write(self, folder: DataFolder) -> None:
        """Write it down, durably."""
        folder.write_private(folder.anchor_states / f"{self.name}.json", json.dumps(asdict(self), indent=2) + "\n")


def read_states(folder: DataFolder) -> list[AnchorState]:
    """All states of a data folder, by name. Raises ConfigError when a file is damaged."""
    names = sorted(path.stem for path in folder.anchor_states.glob("*.json"))
    return [state for name in names if (state := AnchorState.read(folder, name)) is not None]
