"""Presidio beside the detectors of this package: ``pip install 'otel-audit[presidio]'`` and a spaCy model.

It finds what needs a language model, such as names nobody listed, at milliseconds a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from otel_audit.errors import ConfigError

_LEAST_SCORE: Final = 0.5
_KIND: Final = re.compile(r"[^a-z0-9_]")


def analyzer(engine: Any = None, language: str = "en") -> Callable[[str], Iterable[tuple[int, int, str]]]:
    """A function from a text to (start, end, kind). ``engine`` is an ``AnalyzerEngine``, made when not given.

    Raises ConfigError when Presidio or its language model is not installed.
    """
    if engine is None:
        try:
            from presidio_analyzer import AnalyzerEngine  # noqa: PLC0415 - an optional extra

            engine = AnalyzerEngine(supported_languages=[language])
        except (ImportError, OSError, SystemExit) as exc:
            raise ConfigError(
                "capture policy: the detector presidio is not installed: pip install 'otel-audit[presidio]' and "
                "python -m spacy download en_core_web_lg, or leave it out of `detectors`"
            ) from exc

    def analyze(text: str) -> Iterable[tuple[int, int, str]]:
        results = engine.analyze(text=text, language=language, score_threshold=_LEAST_SCORE)
        return [(found.start, found.end, _KIND.sub("_", found.entity_type.lower())) for found in results]

    return analyze
