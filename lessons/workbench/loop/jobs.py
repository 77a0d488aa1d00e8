"""Work in the background of the loop: a thread that posts what it has, and can be called off."""

from __future__ import annotations

import contextlib
import queue
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any


class Bell:
    """Wakes somebody who waits in ``select``; a socket, because on Windows ``select`` takes nothing else."""

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)

    def ring(self) -> None:
        with contextlib.suppress(OSError):  # full: it rings already; closed: nobody waits any more
            self.writer.send(b"!")

    def wait(self, seconds: float) -> None:
        """Return when it rings, or after so long."""
        select.select([self.reader], [], [], seconds)
        self.hush()

    def hush(self) -> None:
        with contextlib.suppress(OSError):
            while self.reader.recv(4096):
                pass

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


@contextlib.contextmanager
def no_stops() -> Iterator[None]:
    """Hold back Ctrl-Z in this thread while it starts processes.

    Otherwise it can stop a new process between its birth and its first instruction, while the thread that started it
    waits, unstoppable, for just that (`vfork`); the shell then never learns that anybody was stopped.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Cancelled(Exception):
    """The job was called off."""


class Job:
    """``work(job)`` in a thread of its own.  It hands over values with `post`; an exception of its is the last one.

    `cancel` calls what `on_cancel` was given (such as killing the process that the work waits for), and lets whatever
    is still posted vanish.
    """

    def __init__(self, work: Callable[[Job], None], bell: Bell) -> None:
        self._work = work
        self._bell = bell
        self._posts: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._undo: Callable[[], None] | None = None
        self.cancelled = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- for the work

    def post(self, value: Any) -> None:
        """Hand over a value.  Raises `Cancelled` when nobody wants it any more."""
        if self.cancelled:
            raise Cancelled
        self._posts.put(value)
        self._bell.ring()

    @contextlib.contextmanager
    def on_cancel(self, undo: Callable[[], None]) -> Iterator[None]:
        """While the ``with`` block runs, `cancel` calls ``undo``.  Raises `Cancelled` when it is too late."""
        with self._guard:
            if self.cancelled:
                raise Cancelled
            self._undo = undo
        try:
            yield
        finally:
            with self._guard:
                self._undo = None

    # ---- for the loop

    def cancel(self) -> None:
        with self._guard:
            self.cancelled = True
            if self._undo is not None:
                self._undo()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def posts(self) -> Iterator[Any]:
        """What has been posted since, in order.  Raises what the work raised, for that is a bug of ours."""
        while not self.cancelled:
            try:
                value = self._posts.get_nowait()
            except queue.Empty:
                return
            if isinstance(value, BaseException):
                raise value
            yield value

    def _run(self) -> None:
        try:
            with no_stops():
                self._work(self)
        except Cancelled:
            pass
        except BaseException as error:
            if not self.cancelled:  # what breaks off because it was called off is no news
                self._posts.put(error)
        self._bell.ring()
