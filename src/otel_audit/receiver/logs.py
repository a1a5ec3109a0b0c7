"""The receiver's own log, which must never repeat what a producer sent."""

from __future__ import annotations

import logging
import traceback
from types import TracebackType
from typing import Final

from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import default_policy
from otel_audit.privacy.redactor import Redactor

_LONGEST: Final = 2_000  # characters of a message; drivers quote whole statements


class MaskingFormatter(logging.Formatter):
    """Formats as usual, but of an exception tells type and place only, and masks what detectors find in the rest.

    An exception's text may be a value (``KeyError: 'jane@example.com'``), and no detector knows every value.
    """

    def __init__(self, fmt: str) -> None:
        super().__init__(fmt)
        # A key of its own: a log is no place to join records by.
        self._redactor = Redactor(default_policy(), PseudonymKeys.ephemeral())

    def format(self, record: logging.LogRecord) -> str:
        """One masked line, and the frames of an exception."""
        record.exc_text = None  # another handler's formatter may have left its own
        text = self._redactor.name(super().format(record)[:_LONGEST])
        record.exc_text = None
        return text

    def formatException(  # noqa: N802 - the standard library's name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """Type and frames, without the exception's text and without the lines of source."""
        kind, exception, trace = ei
        if kind is None or exception is None:
            return ""
        frames = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(trace)]
        causes: list[str] = []
        cause = exception.__cause__ or exception.__context__
        while cause is not None and len(causes) < len(frames):
            causes.append(type(cause).__name__)
            cause = cause.__cause__ or cause.__context__
        return "\n".join([*frames, " from ".join([kind.__name__, *causes])])
