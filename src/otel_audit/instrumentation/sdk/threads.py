"""The task goes along into threads that a block about it starts.

asyncio does this by itself; for web frameworks and queues their OpenTelemetry instrumentations do.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from opentelemetry import context
from opentelemetry.context import Context

from otel_audit.instrumentation._context import current_task

_MARK: Final = "_otel_audit_carries_tasks"


def carry_tasks_into_threads() -> None:
    """Have ``threading.Thread`` and ``ThreadPoolExecutor`` carry a task's context. Calling it again changes nothing.

    Daemon threads are left alone: they are mostly a library's own, live longer than the task that happened
    to start them, and would be taken for part of it. Without a task nothing is carried.
    """
    if hasattr(threading.Thread.start, _MARK):
        return
    start = threading.Thread.start
    submit: Callable[..., Future[Any]] = ThreadPoolExecutor.submit

    @functools.wraps(start)
    def carrying_start(self: threading.Thread) -> None:
        if not self.daemon and current_task().id and not hasattr(self, _MARK):
            setattr(self, _MARK, True)
            self.run = _in(context.get_current(), self.run)  # type: ignore[method-assign]  # of this thread alone
        start(self)

    @functools.wraps(submit)
    def carrying_submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        # Also without a task: a worker that a task's block started must not keep that task for the next call.
        return submit(self, _in(context.get_current(), fn), *args, **kwargs)

    setattr(carrying_start, _MARK, True)
    threading.Thread.start = carrying_start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = carrying_submit  # type: ignore[assignment,method-assign]


def _in(ctx: Context, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, to be run in ``ctx``."""

    @functools.wraps(function)
    def carried(*args: Any, **kwargs: Any) -> Any:
        token = context.attach(ctx)
        try:
            return function(*args, **kwargs)
        finally:
            context.detach(token)

    return carried
