"""Compares what the libraries compute, then times them in turns: the rows of the table.

For each setting (a number of threads and an allocator), each library gets a process of its own, and keeps it from case
to case. Rounds are as in `kernels.benchmark`: every library has its turn in each of them, and times are compared
within rounds, so that a disturbance that lasts hits both sides.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from kernels.bench.case import OURS, TORCH, Array, Case, Goal, disagreement
from kernels.bench.peaks import Floor, Peaks
from kernels.bench.worker import Worker, WorkerFailed, environment
from kernels.benchmark import Timing, quartiles

OPTIONAL = (TORCH, "mygrad", "autograd")
SLOW = 0.05  # seconds; what takes longer has no more than three turns
# Seconds between turns of several threads: OpenBLAS's and OpenMP's go on looking for work for up to 30 ms after their
# last call, on the cores that the next library should have for itself.
PAUSE = 0.05
Start = Callable[[str, Mapping[str, str]], Worker]


@dataclass(frozen=True)
class Setting:
    """What every process of a comparison starts with."""

    threads: int = 1
    allocator: str = "default"

    def __str__(self) -> str:
        return f"{self.threads} thread{'s' if self.threads > 1 else ''}, {self.allocator} malloc"


@dataclass(frozen=True)
class Ratio:
    """Our time over theirs, compared round by round: median and quartiles; below 1 is faster."""

    median: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Row:
    """One case in one setting: the times of each library, and the floor that no library can go below."""

    case: Case
    setting: Setting
    timings: Mapping[str, Timing]
    peaks: Peaks | None = None

    @property
    def floor(self) -> Floor | None:
        return self.peaks.floor(self.case.work) if self.peaks and self.case.work else None

    @property
    def reached(self) -> float | None:
        """The floor over our time: 1 is as fast as this machine can."""
        return self.floor.seconds / self.timings[OURS].median if self.floor else None

    def ratio(self, of: str = TORCH) -> Ratio | None:
        """None if the other library was not measured. A slow one has fewer rounds: those that both have count."""
        if of not in self.timings:
            return None
        both = self.timings[OURS], self.timings[of]
        rounds = min(len(timing.seconds) for timing in both)
        ours, theirs = (Timing(timing.name, timing.seconds[:rounds]) for timing in both)
        ratios = ours.ratios(theirs)
        return Ratio(median(ratios), *quartiles(ratios))

    def towards(self, goal: Goal) -> float | None:
        """What was measured of a goal; None if it could not be."""
        if goal.of == "peak":
            work = self.case.work
            return self.peaks.share(work, self.timings[OURS].median) if self.peaks and work else None
        ratio = self.ratio(goal.of)
        return None if ratio is None else ratio.median


@dataclass(frozen=True)
class Problem:
    """A library that computed something else, or failed: it was not timed on this case."""

    case: str
    setting: Setting
    library: str
    message: str

    def __str__(self) -> str:
        return f"{self.case} ({self.setting}): {self.library}: {self.message}"


@dataclass
class Report:
    """Everything that was measured."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    peaks: dict[int, Peaks] = field(default_factory=dict)


def installed(library: str) -> bool:
    """Whether a library can be measured here; ours and NumPy always can."""
    return library not in OPTIONAL or importlib.util.find_spec(library) is not None


def measure(
    cases: Sequence[tuple[str, Case]],
    settings: Sequence[Setting],
    rounds: int = 9,
    min_time: float = 0.02,
    with_peaks: bool = True,
    start: Start = Worker,
) -> Iterator[Row | Problem | Peaks]:
    """Measures every case in every setting, and yields peaks, rows and problems as they come.

    A case is given with the name of the module whose `CASES` lists it. Nothing is timed before its results agree with
    those of the case's `truth`, and none of a case is if ours do not. `min_time` is the length of a turn in seconds.

    All processes are gone when the iterator is exhausted, closed, or leaves by an exception.
    """
    known: dict[int, Peaks] = {}
    for setting in settings:
        with ExitStack() as stack:
            workers = _Workers(setting, stack, start)
            threads = setting.threads
            if with_peaks and threads not in known and any(case.work for _, case in cases):
                known[threads] = workers.of(OURS).call("kernels.bench.limits", "measure")
                yield known[threads]
            for module, case in cases:
                problems, agreeing = _compared(workers, module, case)
                for library, message in problems.items():
                    yield Problem(case.name, setting, library, message)
                if OURS not in agreeing:
                    continue
                try:
                    timings = _timed(workers, agreeing, rounds, min_time, PAUSE if threads > 1 else 0.0)
                except _Failed as failure:
                    yield Problem(case.name, setting, failure.library, str(failure))
                    continue
                yield Row(case, setting, timings, known.get(threads))


class _Failed(Exception):
    def __init__(self, library: str, message: str):
        super().__init__(message)
        self.library = library


class _Workers:
    """The processes of one setting, each started when it is first needed, and again if it has ended."""

    def __init__(self, setting: Setting, stack: ExitStack, start: Start):
        self._setting, self._stack, self._start = setting, stack, start
        self._running: dict[str, Worker] = {}

    def of(self, library: str) -> Worker:
        worker = self._running.get(library)
        if worker is None or not worker.alive:
            variables = environment(self._setting.threads, self._setting.allocator)
            worker = self._stack.enter_context(self._start(library, variables))
            self._running[library] = worker
        return worker

    def computed(self, library: str, module: str, case: str) -> list[Array] | str:
        """What a library computes, which makes it ready to be timed, or what went wrong."""
        try:
            worker = self.of(library)
            worker.prepare(module, case, library)
            return worker.result()
        except WorkerFailed as failure:
            return str(failure)


def _compared(workers: _Workers, module: str, case: Case) -> tuple[dict[str, str], list[str]]:
    """What was wrong, by library, and the libraries that are ready to be timed: those that agree with the truth."""
    problems: dict[str, str] = {}
    found: dict[str, list[Array]] = {}
    for library in filter(installed, case.make):
        outcome = workers.computed(library, module, case.name)
        if isinstance(outcome, str):
            problems[library] = outcome
        else:
            found[library] = outcome
    expected = found.get(case.truth)
    if expected is None:
        problems.setdefault(case.truth, "is not there to compare with")
        return problems, []
    for library in list(found):
        wrong = disagreement(found[library], expected, case.tolerance)
        if wrong:
            problems[library] = f"computes something else than {case.truth}: {wrong}; not timed"
            del found[library]
    return problems, list(found)


def _timed(
    workers: _Workers, libraries: Sequence[str], rounds: int, min_time: float, pause: float
) -> dict[str, Timing]:
    """All libraries in turns, in the opposite order in every other round."""

    def turn(library: str, calls: int) -> float:
        time.sleep(pause)
        try:
            return workers.of(library).time(calls, min_time / 4)
        except WorkerFailed as failure:
            raise _Failed(library, str(failure)) from None

    once = {library: turn(library, 1) for library in libraries}
    calls = {library: max(1, round(min_time / max(seconds, 1e-9))) for library, seconds in once.items()}
    seconds: dict[str, list[float]] = {library: [] for library in libraries}
    for number in range(rounds):
        for library in libraries if number % 2 == 0 else reversed(libraries):
            if number < 3 or once[library] < SLOW:
                seconds[library].append(turn(library, calls[library]))
    return {library: Timing(library, tuple(taken)) for library, taken in seconds.items()}
