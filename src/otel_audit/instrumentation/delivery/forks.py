"""A delivery in processes that fork."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_audit.instrumentation.delivery.delivery import Delivery


def survive_forks(delivery: Delivery) -> None:
    """A forked child spools and sends for itself."""
    if not hasattr(os, "register_at_fork"):
        return
    this = weakref.ref(delivery)
    waited: list[bool] = []

    def before() -> None:
        if found := this():
            waited.append(found.before_fork())

    def in_parent() -> None:
        if (found := this()) and waited:
            found.after_fork_in_parent(was_waited_for=waited.pop())

    def in_child() -> None:
        if found := this():
            waited.clear()
            found.after_fork_in_child()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
