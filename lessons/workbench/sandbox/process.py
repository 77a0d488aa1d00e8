"""The child process as the parent holds it: started, asked, watched by the clock, killed with all that it started."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from lessons.workbench.sandbox import codec
from lessons.workbench.sandbox.errors import SubmissionError

START = 120.0  # seconds to start Python and import NumPy: generous, since it is no fault of the learner's if it is slow
_CHUNK = 2**16
_ROOT = Path(__file__).resolve().parents[3]  # where `lessons` is imported from

# One thread each: many children run side by side, and threads of OpenBLAS occupy address space.
_ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
# What Python itself may need to start; a confined child gets nothing else of the parent's environment.
_KEPT = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT", "VIRTUAL_ENV")


class Child:
    """One child.  ``confined`` as in `Limits`; such a child has a folder to write to, which ends with it."""

    def __init__(self, confined: bool) -> None:
        self.confined = confined
        self.scratch = tempfile.mkdtemp(prefix="minigrad-") if confined else None
        self.printed = bytearray()
        self._ready = False
        self.ended = False
        command = [sys.executable, "-m", "lessons.workbench.sandbox.child", *([self.scratch] if self.scratch else [])]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=_ROOT,
            env=_environment(self.scratch),
            start_new_session=True,  # so it leads a process group, which can be killed as a whole
        )
        wire = _PollWire if os.name == "posix" else _ThreadWire
        self._wire = wire(self.process, self.printed)

    def wait_until_ready(self) -> None:
        """Raises `SubmissionError` ("no sandbox") when the child does not start."""
        if self._ready:
            return
        try:
            self.ask(None, START, codec.PREFIX + 2**20, 2**20)
        except SubmissionError as error:
            said = self.printed.decode("utf-8", "replace").strip().splitlines()
            raise SubmissionError(
                "no sandbox", ("the child process did not start", *error.lines, *said[-3:])
            ) from error
        self._ready = True

    def ask(self, frame: bytes | None, seconds: float, longest: int, output: int) -> tuple[dict[str, Any], Any]:
        """Send a frame and return the head and value of the reply, of at most ``longest`` bytes.

        Raises `SubmissionError`, after killing the process group, when no reply comes in ``seconds``, when what was
        printed so far exceeds ``output`` bytes, or when the child ends or sends something that is no frame.
        """
        if self.ended:
            raise SubmissionError("crash", ("its process has ended already",))
        try:
            content = self._wire.exchange(frame or b"", time.monotonic() + seconds, longest, output)
            return codec.unpack(content)
        except _Late:
            self.kill()
            raise SubmissionError(
                "timeout", (f"it ran for more than {seconds:.3g} s: killed, with all it started",)
            ) from None
        except _Flood:
            self.kill()
            said = f"it printed more than {output} bytes: killed, with all it started"
            raise SubmissionError("output", (said,)) from None
        except codec.FrameError as error:
            self.kill()
            raise SubmissionError("crash", (f"its process sent a reply that makes no sense: {error}",)) from None
        except (_Gone, OSError):
            code = self.kill()
            status = "timeout" if code == -getattr(signal, "SIGXCPU", 0) else "crash"
            raise SubmissionError(status, (_ending(code),)) from None
        except BaseException:
            self.kill()
            raise

    def kill(self) -> int | None:
        """Kill the process group and return how the child ended: None when it was alive until now."""
        if self.ended:
            return self.process.returncode
        self.ended = True
        own_end = self._own_end()
        if os.name == "posix":
            # Before the child is waited for: until then, nobody else can have got its number.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(self.process.pid)], capture_output=True, check=False)
            self.process.kill()
        code = self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        if self.scratch is not None:
            with contextlib.suppress(RecursionError):  # a tree of folders may be deeper than we can go
                shutil.rmtree(self.scratch, ignore_errors=True)
        return code if own_end else None

    def _own_end(self) -> bool:
        """Whether the child has ended by itself, or is about to: its pipes close a moment before."""
        if not hasattr(os, "waitid"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.2 if self._wire.ended else 0)
            return self.process.returncode is not None
        for _ in range(100):
            with contextlib.suppress(ChildProcessError):
                if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    return True
            if not self._wire.ended:
                return False
            time.sleep(0.002)
        return False


class _Late(Exception):
    """The time is over."""


class _Flood(Exception):
    """Too much was printed."""


class _Gone(Exception):
    """The child closed its end."""


class _PollWire:
    """The three pipes of a child, none of which can block the parent."""

    def __init__(self, process: subprocess.Popen[bytes], printed: bytearray) -> None:
        import select

        self.printed = printed
        self.ended = False
        self.select = select
        self.requests, self.replies, self.output = (
            _descriptor(stream) for stream in (process.stdin, process.stdout, process.stderr)
        )
        for descriptor in (self.requests, self.replies, self.output):
            os.set_blocking(descriptor, False)
        self.poll = select.poll()
        self.poll.register(self.replies, select.POLLIN)
        self.poll.register(self.output, select.POLLIN)

    def exchange(self, frame: bytes, deadline: float, longest: int, output: int) -> bytearray:
        left = memoryview(frame)
        incoming = bytearray()
        length: int | None = None
        if left:
            self.poll.register(self.requests, self.select.POLLOUT)
        while length is None or len(incoming) < length:
            wait = deadline - time.monotonic()
            events = self.poll.poll(wait * 1000) if wait > 0 else []
            if not events:
                if time.monotonic() < deadline:
                    continue
                raise _Late
            for descriptor, _ in events:
                if descriptor == self.requests:
                    left = left[os.write(self.requests, left[: 16 * _CHUNK]) :]
                    if not left:
                        self.poll.unregister(self.requests)
                elif descriptor == self.output:
                    self._print(output)
                else:
                    missing = codec.PREFIX - len(incoming) if length is None else length - len(incoming)
                    piece = os.read(self.replies, min(missing, 16 * _CHUNK))
                    if not piece:
                        self._drain(output)
                        self.ended = True
                        raise _Gone
                    incoming += piece
                    if length is None and len(incoming) == codec.PREFIX:
                        length = codec.frame_length(bytes(incoming), longest)
                        incoming = bytearray()
        self._drain(output)
        return incoming

    def _print(self, output: int) -> bool:
        try:
            piece = os.read(self.output, _CHUNK)
        except BlockingIOError:
            return False
        if not piece:
            with contextlib.suppress(KeyError):
                self.poll.unregister(self.output)
            return False
        self.printed += piece
        if len(self.printed) > output:
            del self.printed[output:]
            raise _Flood
        return True

    def _drain(self, output: int) -> None:
        """Read what was printed before the reply was sent; it is in the pipe already."""
        while self._print(output):
            pass


class _ThreadWire:
    """The same where pipes cannot be polled (Windows): a thread reads what is printed, a timer watches the clock."""

    def __init__(self, process: subprocess.Popen[bytes], printed: bytearray) -> None:
        self.process = process
        self.printed = printed
        self.ended = False
        self.most = sys.maxsize
        threading.Thread(target=self._read_output, daemon=True).start()

    def exchange(self, frame: bytes, deadline: float, longest: int, output: int) -> bytearray:
        assert self.process.stdin is not None
        self.most = output
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), self.process.kill)
        timer.start()
        try:
            if frame:
                self.process.stdin.write(frame)
            length = codec.frame_length(bytes(self._read(codec.PREFIX)), longest)
            return self._read(length)
        except (_Gone, OSError):
            self.ended = True
            if len(self.printed) > output:
                raise _Flood from None
            if time.monotonic() >= deadline:
                raise _Late from None
            raise _Gone from None
        finally:
            timer.cancel()

    def _read(self, length: int) -> bytearray:
        assert self.process.stdout is not None
        content = bytearray()
        while len(content) < length:
            piece = self.process.stdout.read(min(length - len(content), 16 * _CHUNK))
            if not piece:
                raise _Gone
            content += piece
        return content

    def _read_output(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            while piece := self.process.stderr.read(_CHUNK):
                self.printed += piece
                if len(self.printed) > self.most:
                    self.process.kill()
                    return


class Nursery:
    """Children that have started and imported NumPy before anybody needs them.

    ``size`` is how many are kept ready.  Use it as a context manager; the children end with it.
    """

    def __init__(self, confined: bool = False, size: int = 1) -> None:
        self.confined = confined
        self.size = size
        self._children: collections.deque[Child] = collections.deque()

    def __enter__(self) -> Nursery:
        self.refill()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def refill(self) -> None:
        """Start what is missing, without waiting for it."""
        while len(self._children) < self.size:
            self._children.append(Child(self.confined))

    def take(self) -> Child:
        """A child: the one that has been ready longest, or a new one when there is none."""
        while self._children:
            child = self._children.popleft()
            if child.process.poll() is None:
                return child
            child.kill()  # it has ended while it waited, as when the system was short of memory
        return Child(self.confined)

    def close(self) -> None:
        """End the children that were not taken."""
        while self._children:
            self._children.pop().kill()


def _environment(scratch: str | None) -> dict[str, str]:
    """The parent's environment; with ``scratch``, for a confined child, almost nothing of it."""
    always = {**_ONE_THREAD, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if scratch is None:
        return {**os.environ, **always}
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    places = dict.fromkeys(("HOME", "TMPDIR", "NUMBA_CACHE_DIR", "MPLCONFIGDIR"), scratch)
    return {**kept, **always, **places, "LANG": "C.UTF-8", "PATH": os.defpath, "MPLBACKEND": "agg"}


def _descriptor(stream: IO[bytes] | None) -> int:
    assert stream is not None
    return stream.fileno()


def _ending(code: int | None) -> str:
    if code is None:
        return "its process closed the connection before it answered: killed, with all it started"
    if code >= 0:
        return f"its process ended with exit code {code} before it answered, as os._exit({code}) does"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    meaning = {
        "SIGSEGV": ": it touched memory that is not its own",
        "SIGABRT": ": it aborted, as native code does when it finds itself broken or out of memory",
        "SIGKILL": ": killed from outside, perhaps by the system for lack of memory",
    }
    return f"its process ended by {name} before it answered{meaning.get(name, '')}"
