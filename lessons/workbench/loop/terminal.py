"""The terminal: single keys in, a log with a footer below it out, and everything as it was when we leave.

The log is printed once and scrolls like the output of any program.  The footer is drawn below it, and the cursor,
hidden, goes back to the footer's first column; so "erase from here to the end of the screen" removes the footer
however the window was resized meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from lessons.anatomy.text import PLAIN, Style, width_of
from lessons.workbench import screen
from lessons.workbench.loop.jobs import Bell

try:
    import termios
except ImportError:  # Windows: keys come with Enter, a line at a time
    termios = None  # type: ignore[assignment]

HIDE, SHOW, ERASE_BELOW = "\x1b[?25l", "\x1b[?25h", "\r\x1b[J"
END_OF_INPUT = "\x04"
PASTED = 16  # as many characters at once were not typed
# What a terminal sends for arrows, function keys and the like, and what it wraps pasted text in.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O]|$)")


class Terminal:
    """A context in which `wait` gives keys and `show` and `footer` write; leaving it restores the terminal.

    ``plain``: no colours, no cursor movements, no footer.  Without a terminal on standard input, keys are read from
    it as characters, so that a script or an editor can press them.  SIGTERM and SIGHUP end the ``with`` block with
    `SystemExit`; Ctrl-C with `KeyboardInterrupt`; Ctrl-Z gives the terminal back until the shell continues us.
    """

    def __init__(self, plain: bool = False) -> None:
        self.bell = Bell()
        self.style: Style = PLAIN if plain else screen.style()
        self.keys_work = sys.stdin is not None and not sys.stdin.closed
        self.moving = not plain and screen.is_terminal(sys.stdout) and not screen.is_dumb()
        self._reads_terminal = termios is not None and screen.is_terminal(sys.stdin)
        self.scripted = self.keys_work and not self._reads_terminal
        self._typed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._footer: list[str] = []
        self._drawn = False
        self._saved: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._wakeup = -1
        self._stopping = self._resizing = False

    # ---- in and out

    def __enter__(self) -> Terminal:
        try:
            self._install_handlers()
            self._take()
            if self.keys_work and not self._reads_terminal:
                threading.Thread(target=self._read_characters, daemon=True).start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        # From here on nothing may come in between, and a terminal that is gone must not hide why we leave.
        self._ignore_ends()
        with contextlib.suppress(OSError, ValueError):
            self._erase()
        self._give_back()
        if self._handlers:
            signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        self.bell.close()

    def wait(self, seconds: float) -> list[str]:
        """The keys pressed so far; waits for one, for the bell, or for so long."""
        self._after_signals()
        waits_for: list[Any] = [self.bell.reader]
        if self._saved is not None and self.keys_work:
            waits_for.append(sys.stdin)
        if self._typed.empty():
            found, _, _ = select.select(waits_for, [], [], seconds)
            if self.bell.reader in found:
                self.bell.hush()
            self._after_signals()
            if sys.stdin in found and self._saved is not None:
                return self._read_terminal()
        keys = []
        with contextlib.suppress(queue.Empty):
            while True:
                keys.append(self._typed.get_nowait())
        return keys

    def show(self, lines: Sequence[str]) -> None:
        """Print lines into the log, above the footer."""
        self._erase()
        for line in lines:
            print(line)
        self._draw()
        _flush()

    def footer(self, lines: list[str]) -> None:
        """Let these lines stand at the bottom, where the terminal can do that."""
        if lines != self._footer:
            self._footer = lines
            if self.moving:
                self._erase()
                self._draw()
                sys.stdout.flush()

    # ---- the footer

    def _erase(self) -> None:
        if self._drawn:
            sys.stdout.write(ERASE_BELOW + SHOW)
            sys.stdout.flush()
            self._drawn = False

    def _draw(self) -> None:
        if not self.moving or not self._footer or not self._in_front():
            return
        columns, rows = self._size()
        lines = [self._cut(line, columns - 1) for line in self._footer][-max(1, rows - 1) :]
        up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
        self._drawn = True  # before it is: a signal in between must find something to erase
        sys.stdout.write(HIDE + "\r\n".join(self.style.dim(line) for line in lines) + up + "\r")

    def _size(self) -> tuple[int, int]:
        with contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(sys.stdout.fileno())
            return max(2, size.columns or 80), max(2, size.lines or 24)
        return 80, 24

    @staticmethod
    def _cut(line: str, columns: int) -> str:
        while width_of(line) > columns:
            line = line[:-1]
        return line

    # ---- keys

    def _read_terminal(self) -> list[str]:
        try:
            content = os.read(sys.stdin.fileno(), 1024)
        except OSError:  # the terminal is gone, or we are no longer in front
            content = b""
        if not content:
            self.keys_work = False
            return [END_OF_INPUT]
        text = _SEQUENCE.sub("", content.decode("utf-8", "ignore"))
        return [] if len(text) > PASTED else list(text)

    def _read_characters(self) -> None:
        """Read standard input that is no terminal; in a thread, because not everything can be waited for."""
        while True:
            try:
                content = os.read(sys.stdin.fileno(), 1)
            except (OSError, ValueError):
                content = b""
            self._typed.put(content.decode("ascii", "ignore") if content else END_OF_INPUT)
            self.bell.ring()
            if not content:
                self.keys_work = False
                return

    # ---- modes

    def _take(self) -> None:
        """Switch the terminal to single keys without echo, if we are in front."""
        if not self._reads_terminal or self._saved is not None or not self._in_front():
            return
        saved = termios.tcgetattr(sys.stdin)
        modes = termios.tcgetattr(sys.stdin)
        modes[3] &= ~(termios.ECHO | termios.ICANON)
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        self._saved = saved  # before the change: whatever happens between the two is undone
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, modes)
        self._draw()
        _flush()

    def _give_back(self) -> None:
        if self._saved is not None:
            with contextlib.suppress(termios.error, ValueError, OSError):
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)
            self._saved = None

    def _in_front(self) -> bool:
        """Whether this is the job that the terminal listens to; a job in the background leaves the modes alone."""
        if not self._reads_terminal:
            return True
        try:
            return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        except OSError:
            return False

    # ---- signals

    def _install_handlers(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._wakeup = signal.set_wakeup_fd(self.bell.writer.fileno(), warn_on_full_buffer=False)
        wanted: dict[str, Callable[[int, FrameType | None], None]] = {"SIGTERM": self._end, "SIGHUP": self._end}
        if self._reads_terminal:
            wanted |= {"SIGTSTP": self._note_stop, "SIGWINCH": self._note_resize}
        for name, handler in wanted.items():
            number = getattr(signal, name, None)
            # What is ignored stays so: nohup ignores SIGHUP, a shell without job control SIGTSTP.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, handler)
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            self._handlers[signal.SIGINT] = signal.getsignal(signal.SIGINT)

    def _ignore_ends(self) -> None:
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)

    def _end(self, number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # Drawing in a handler could interrupt drawing elsewhere; the bell rings, and `wait` does it.

    def _note_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _note_resize(self, number: int, frame: FrameType | None) -> None:
        self._resizing = True

    def _after_signals(self) -> None:
        if self._stopping:
            self._stopping = False
            self._stop()
        if self._resizing:
            self._resizing = False
            self._erase()
            self._draw()
            _flush()
        if self._reads_terminal and self._saved is None:
            self._take()  # we were in the background, and may be back

    def _stop(self) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when we are continued in front."""
        self._erase()
        self._give_back()
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # stops here
        signal.signal(signal.SIGTSTP, before)


def _flush() -> None:
    if sys.stdout is not None:  # it is None when the program was started with it closed
        sys.stdout.flush()
