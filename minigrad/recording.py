"""Whether ops are recorded: a setting of each thread and each async task."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_recording: ContextVar[bool] = ContextVar("minigrad_recording", default=True)
_suspended: ContextVar[Any] = ContextVar("minigrad_suspended", default=None)  # (the outer ones, mode), innermost first


def is_grad_enabled() -> bool:
    """Whether ops are being recorded in this thread or task."""
    return _recording.get()


class _Mode:
    """A recording mode, as a context manager or a decorator.

    What to go back to is kept per thread and task, like the mode itself, and not on this object; so one object can be
    entered twice, and in several threads at once.
    """

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        _suspended.set((_suspended.get(), _recording.get()))
        _recording.set(self.mode)

    def __exit__(self, *exc: object) -> None:
        suspended = _suspended.get()
        assert suspended is not None, "left more often than entered"
        outer, mode = suspended
        _suspended.set(outer)
        _recording.set(mode)

    def __call__(self, function: Function) -> Function:
        """Decorate `function` so that its body runs in this mode.

        Raises:
            NotImplementedError: for generator and async functions, whose bodies run after the call has returned.
        """
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise NotImplementedError(
                f"{type(self).__name__}: cannot decorate {function.__name__}, a generator or async function; write a "
                "`with` statement around the lines inside it"
            )

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _Mode(self.mode):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(_Mode):
    """Do not record: `with no_grad(): ...` or `@no_grad()`."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_Mode):
    """Record, also inside `no_grad`: `with enable_grad(): ...` or `@enable_grad()`."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_Mode):
    """Record ops (`mode=True`) or not: as a call, from now on; as a context manager or decorator, for its body."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._before = _recording.get()
        _recording.set(self.mode)

    def __enter__(self) -> None:
        _suspended.set((_suspended.get(), self._before))
        _recording.set(self.mode)

    def __call__(self, function: Function) -> Function:
        _recording.set(self._before)  # the call that made the decorator was not meant to last
        return super().__call__(function)
