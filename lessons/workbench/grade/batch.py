"""Has everything judged: some judges side by side, each of which may fall over without taking the batch along."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lessons.workbench.grade.students import Student
from lessons.workbench.sandbox import Limits

GRADER_ERROR = "grader error"  # the status where not the submission but the grader failed
_PATIENCE = 300.0  # seconds on top of what the submission may take: for children to start and checks to compute
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Task:
    """One exercise of one student; ``lesson`` is what `catalogue.find` takes, ``lesson_name`` the lesson's name."""

    student: Student
    lesson: str
    lesson_name: str
    exercise: str
    path: Path


def run(tasks: Iterable[Task], limits: Limits, jobs: int) -> Generator[tuple[Task, dict[str, Any]], None, None]:
    """Yield each task with its result as soon as it is known, in no particular order.

    When the generator is closed, or an exception passes through it, all judges and their children end.
    """
    waiting: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    count = 0
    for task in tasks:
        waiting.put(task)
        count += 1
    done: queue.SimpleQueue[tuple[Task, dict[str, Any]]] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="minigrad-grade-", ignore_cleanup_errors=True) as scratch:
        judges = [_Judge(scratch, limits, waiting, done) for _ in range(min(jobs, count))]
        try:
            for judge in judges:
                judge.start()
            for _ in range(count):
                yield done.get()
        finally:
            for judge in judges:
                waiting.put(None)
                judge.stop()
            for judge in judges:
                judge.join()


class _Judge(threading.Thread):
    """A thread that takes tasks and has one process after the other judge them."""

    def __init__(self, scratch: str, limits: Limits, waiting: Any, done: Any) -> None:
        super().__init__(daemon=True)
        self.scratch, self.limits, self.waiting, self.done_tasks = scratch, limits, waiting, done
        self.process: subprocess.Popen[str] | None = None
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            while not self.stopped.is_set() and (task := self.waiting.get()) is not None:
                result = self._result(task)
                if not self.stopped.is_set():
                    self.done_tasks.put((task, result))
        finally:
            self._kill()

    def stop(self) -> None:
        self.stopped.set()
        self._kill()

    def _result(self, task: Task) -> dict[str, Any]:
        try:
            return self._ask(task)
        except Exception as error:
            self._kill()
            return {
                "lesson": task.lesson_name,
                "exercise": task.exercise,
                "status": GRADER_ERROR,
                "passed": False,
                "lines": [f"not the submission but the grader failed: {type(error).__name__}: {error}"],
                "seconds": 0.0,
                "printed": "",
                "diagnosis": None,
                "isolation": None,
            }

    def _ask(self, task: Task) -> dict[str, Any]:
        if self.stopped.is_set():
            raise RuntimeError("the batch was stopped")
        process = self.process = self.process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        request = {
            "lesson": task.lesson,
            "exercise": task.exercise,
            "path": str(task.path.absolute()),
            "readable": task.student.readable,
            "limits": asdict(self.limits),
        }
        timer = threading.Timer(3 * self.limits.seconds + _PATIENCE, self._kill_process, [process])
        timer.start()
        try:
            print(json.dumps(request), file=process.stdin, flush=True)
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            code = process.wait()
            raise RuntimeError(f"its process ended with code {code}, or took too long and was ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lessons.workbench.grade.judge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            env={**os.environ, "TMPDIR": self.scratch, "PYTHONUTF8": "1"},
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the batch, which then ends its judges
        )

    def _kill(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            self._kill_process(process)
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError, ValueError):
                    if stream is not None:
                        stream.close()

    @staticmethod
    def _kill_process(process: subprocess.Popen[str]) -> None:
        """End a judge; its child ends when it notices that nobody holds the other end of its pipes."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
