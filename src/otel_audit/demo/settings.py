"""What the demo's processes are told when they are started."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is, and how the demo behaves. ``seed`` makes the people and the provider repeatable."""

    otlp_endpoint: str
    provider_url: str
    scoring_url: str
    desk_url: str
    seed: int = 0
    # How much faster than people the live reviewers are: a story should be told within a minute or so.
    speed: float = 10.0
    # Share of the provider's answers that are an error (429 or 500), as real providers give them.
    failure_rate: float = 0.05
    # Seconds the provider thinks, at most.
    provider_seconds: float = 1.2

    def to_json(self) -> str:
        """The settings as one command-line argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The settings that ``to_json`` gave."""
        return cls(**json.loads(text))
