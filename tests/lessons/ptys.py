"""A program in a terminal of its own, driven by a test; and a screen that shows what a person would see."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

CODE = r"\x1b\[[0-9;?]*[A-Za-z]"
PATIENCE = 60.0  # seconds until a test gives up waiting; no test passes by being quick


class Screen:
    """The little of a terminal that the loop uses: lines, carriage return, cursor up, erase below, colours."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = self.column = 0
        self.cursor_hidden = False

    def feed(self, text: str) -> None:
        for sequence, plain in re.findall(rf"({CODE})|([^\x1b])", text):
            if sequence:
                self._control(sequence)
            elif plain == "\r":
                self.column = 0
            elif plain == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            else:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + plain + line[self.column + 1 :]
                self.column += 1

    def _control(self, sequence: str) -> None:
        kind, number = sequence[-1], sequence[2:-1]
        if kind == "A":
            self.row = max(0, self.row - int(number or 1))
        elif kind == "J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        elif sequence in ("\x1b[?25l", "\x1b[?25h"):
            self.cursor_hidden = kind == "l"
        else:
            assert kind == "m", f"an unexpected {sequence!r}"

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


def _in_a_new_terminal() -> None:
    """Where a login begins: the terminal is this session's, and no signal is ignored, as they are under nohup."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """A pseudo-terminal with a program in it; a context manager that ends the program."""

    def __init__(self, command: Sequence[str], size: tuple[int, int] = (30, 100), **variables: str) -> None:
        self.leader, self.follower = os.openpty()
        self.resize(*size, tell=False)
        self.modes = termios.tcgetattr(self.follower)
        self.said = ""  # all that was written, without the terminal's codes; it only grows
        self.codes: list[str] = []  # these codes
        self.screen = Screen()
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        environment |= {"TERM": "xterm", "PYTHONIOENCODING": "utf-8", **variables}
        self.process = subprocess.Popen(
            command,
            stdin=self.follower,
            stdout=self.follower,
            stderr=self.follower,
            env=environment,
            start_new_session=True,
            preexec_fn=_in_a_new_terminal,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.leader)
        os.close(self.follower)

    def press(self, keys: str) -> None:
        os.write(self.leader, keys.encode())

    def resize(self, rows: int, columns: int, tell: bool = True) -> None:
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            os.killpg(self.process.pid, signal.SIGWINCH)

    def read(self, seconds: float = 0.05) -> bool:
        """Take in what the program has written, waiting for so long; returns whether there was anything."""
        ready, _, _ = select.select([self.leader], [], [], seconds)
        if ready:
            with contextlib.suppress(OSError):  # Linux reports the end of a terminal as an error
                text = self._rest + self._decoder.decode(os.read(self.leader, 65536))
                cut = re.search(r"\x1b(\[[0-9;?]*)?$", text)  # a code of which only half has come
                self._rest = "" if cut is None else cut[0]
                text = text.removesuffix(self._rest)
                self.screen.feed(text)
                self.codes += re.findall(CODE, text)
                self.said += re.sub(rf"{CODE}|\r", "", text)
        return bool(ready)

    def until(self, wanted: str | Callable[[], bool], after: int = 0) -> int:
        """Wait for a pattern in what is said beyond position ``after``, or a condition; returns where it ended."""
        deadline = time.monotonic() + PATIENCE
        over = False
        while True:
            if callable(wanted):
                if wanted():
                    return after
            elif found := re.compile(wanted, re.S).search(self.said, after):
                return found.end()
            if over or time.monotonic() > deadline:
                raise AssertionError(f"{wanted!r} did not come; the screen shows:\n{self.screen.text}")
            over = self.process.poll() is not None
            self.read()

    def ended(self) -> int:
        """Wait for the end of the program and return its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        while self.read(0):
            pass
        assert self.process.returncode is not None, f"it goes on; the screen shows:\n{self.screen.text}"
        return self.process.returncode

    @property
    def restored(self) -> bool:
        """Whether the modes are those from before the program began, and the cursor can be seen."""
        return termios.tcgetattr(self.follower) == self.modes and not self.screen.cursor_hidden


def loop(*arguments: str, **more: str) -> Terminal:
    """The loop in a terminal, in the current folder."""
    return Terminal([sys.executable, "-m", "lessons", *arguments], **more)


def save(path: Path, old: str, new: str) -> None:
    """Save a change as most editors do: a second file, renamed over the first."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    beside = path.with_suffix(".tmp")
    beside.write_text(text.replace(old, new), encoding="utf-8")
    os.replace(beside, path)
