"""Blocks that are decorators too: each call of the function runs in a block of its own."""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, Self, TypeAlias, TypeVar, cast

from otel_audit.instrumentation._context import ContextScope, Entered_co, text
from otel_audit.instrumentation._faults import guard, note

P = ParamSpec("P")
R = TypeVar("R")

Source: TypeAlias = str | Callable[..., object]  # the name of an argument, or a function of all of them


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a decorated function."""

    signature: inspect.Signature
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def text(self, source: Source, operation: str) -> str:
        """The argument that ``source`` names, or what it makes of the arguments; empty (and counted) without one."""
        with guard(operation):
            if callable(source):
                return text(source(*self.args, **self.kwargs))
            bound = self.signature.bind(*self.args, **self.kwargs)
            bound.apply_defaults()
            if source in bound.arguments:
                return text(bound.arguments[source])
            if source in self.kwargs:  # it went into **kwargs
                return text(self.kwargs[source])
            note(operation, f"the decorated function has no argument {source!r}")
        return ""


class DecoratingScope(ContextScope[Entered_co]):
    """A block that decorates functions and coroutine functions, whose signature stays as it is."""

    @abstractmethod
    def _for_call(self, call: Call) -> Self:
        """A new block, for one call."""

    def _returned(self, result: object) -> None:
        """The decorated function's result, before the block ends."""

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Run each call of ``func`` in a block of its own.

        A generator function is left as it is, and counted: its caller's code would run inside the block.
        """
        wrapped: object = func  # inspect's functions would narrow the type to what it is not
        if inspect.isgeneratorfunction(wrapped) or inspect.isasyncgenfunction(wrapped):
            note(self._operation, "a generator function can not be decorated: use a with block inside it")
            return func
        signature = inspect.Signature()
        with guard(self._operation):
            signature = inspect.signature(func)
        if inspect.iscoroutinefunction(wrapped):
            awaited = wrapped

            @functools.wraps(func)
            async def in_async_block(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with (scope := self._for_call(Call(signature, args, kwargs))):
                    result = await awaited(*args, **kwargs)
                    scope._returned(result)  # noqa: SLF001 - of this class
                    return result

            return cast("Callable[P, R]", in_async_block)

        @functools.wraps(func)
        def in_block(*args: P.args, **kwargs: P.kwargs) -> R:
            with (scope := self._for_call(Call(signature, args, kwargs))):
                result = func(*args, **kwargs)
                scope._returned(result)  # noqa: SLF001 - of this class
                return result

        return in_block
