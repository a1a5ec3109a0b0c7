"""Our own errors: caught, counted and logged once, so that they never reach the application."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import Counter
from types import TracebackType

from otel_audit.errors import AuditError, SpoolFull

_logger = logging.getLogger("otel_audit")
_lock = threading.Lock()  # guards both of the following; written from any thread of the application
_counts: Counter[str] = Counter()
_logged: set[tuple[str, str]] = set()


def error_counts() -> dict[str, int]:
    """How often each operation of this package failed in this process, by operation; empty when all is well.

    An application puts it on its health page: a number that grows means that audit events are missing.
    """
    with _lock:
        return dict(_counts)


def note(operation: str, problem: str, exc: BaseException | None = None) -> None:
    """Count a failure of ``operation``, and log it when this kind of problem is new.

    Of a foreign exception only the type and the place are logged: its text may hold a person's data.
    """
    if exc is not None:
        what = f"{type(exc).__name__}: {exc}" if isinstance(exc, AuditError) else _place(exc)
        problem = f"{problem}: {what}" if problem else what
    kind = (operation, problem)
    with _lock:
        _counts[operation] += 1
        is_new = kind not in _logged
        _logged.add(kind)
    if is_new:
        _logger.warning(
            "otel-audit: %s failed (%s). The application goes on; further failures of this kind are only counted.",
            operation,
            problem,
        )


def _place(exc: BaseException) -> str:
    """The exception's type, and the line that raised it."""
    frames = traceback.extract_tb(exc.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(exc).__name__}{where}"


class guard:  # noqa: N801 - used like contextlib.suppress, and named like it
    """Context manager around our own work: an Exception inside is noted and goes no further, but for SpoolFull.

    The application's code never runs inside a guard, so that its exceptions are never caught here.
    """

    __slots__ = ("_operation",)

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if isinstance(exc, SpoolFull):  # raised only where the application asked for it
            return False
        if isinstance(exc, Exception):
            note(self._operation, "", exc)
            return True
        return False
