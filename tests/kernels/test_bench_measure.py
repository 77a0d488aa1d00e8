"""The bench's processes and rounds, on cases that are right, wrong, failing and crashing. Nothing depends on speed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import bench_cases_fake as fake
import numpy as np
import pytest

from kernels.bench.case import Case, Goal, Work, disagreement, results
from kernels.bench.measure import Problem, Row, Setting, measure
from kernels.bench.peaks import Floor, Peaks
from kernels.bench.worker import Worker, WorkerFailed, environment
from kernels.benchmark import Timing

MODULE = "bench_cases_fake"


@pytest.fixture(autouse=True)
def workers_find_the_fake_cases(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def measured(*names, rounds=2):
    cases = [(MODULE, case) for case in fake.CASES if case.name in names]
    return list(measure(cases, [Setting()], rounds, min_time=0.0, with_peaks=False))


# ---- processes


def test_a_right_case_is_timed_in_every_round_and_chatter_does_no_harm(capfd):
    (row,) = measured("right", rounds=4)
    assert isinstance(row, Row)
    assert {name: len(timing.seconds) for name, timing in row.timings.items()} == {
        "ours": 4,
        "reference": 4,
        "other": 4,
    }
    assert "prints to standard output" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "error"), [("wrong", "result 1 is off by 1.7e-01"), ("nan", "result 1 is off by nan")]
)
def test_a_wrong_result_is_reported_and_nothing_of_the_case_timed(name, error):
    (problem,) = measured(name)
    assert isinstance(problem, Problem)
    assert (problem.library, problem.case) == ("ours", name)
    assert error in problem.message
    assert "not timed" in problem.message


def test_another_library_that_is_wrong_is_left_out():
    problem, row = measured("other wrong")
    assert problem.library == "other"
    assert set(row.timings) == {"ours", "reference"}


def test_an_error_is_one_line_and_the_process_goes_on():
    problem, row = measured("raises", "right")[::-1]
    assert problem.message == "ValueError: no such kernel"
    assert row.case.name == "right"


def test_a_crash_is_reported_and_the_process_started_again():
    found = measured("dies", "dies when timed", "environment")
    assert [type(one) for one in found] == [Problem, Problem, Row]
    assert found[0].message == "its process ended by signal 9 (SIGKILL)"
    assert (found[1].case, found[1].library) == ("dies when timed", "other")


def test_every_setting_has_its_own_environment():
    for setting, expected in ((Setting(1, "default"), [1, 7]), (Setting(2, "tuned"), [2, 0])):
        with Worker("ours", environment(setting.threads, setting.allocator)) as worker:
            worker.prepare(MODULE, "environment", "ours")
            (seen,) = worker.result()
        assert seen.tolist() == expected


def test_no_process_is_left_whatever_happens():
    started = []

    def start(name, variables):
        started.append(Worker(name, variables))
        return started[-1]

    cases = [(MODULE, case) for case in fake.CASES if case.name == "right"]
    rows = measure(cases * 2, [Setting()], 1, 0.0, with_peaks=False, start=start)
    next(rows)
    assert all(worker.alive for worker in started)
    rows.close()
    assert len(started) == 3
    assert not any(worker.alive for worker in started)


def test_a_request_without_a_case_and_an_unknown_case_fail():
    with Worker("ours", environment(1, "default")) as worker:
        with pytest.raises(WorkerFailed, match="no case was prepared"):
            worker.time(1)
        with pytest.raises(WorkerFailed, match="KeyError: 'no such case'"):
            worker.prepare(MODULE, "no such case", "ours")


INTERRUPTED = """
import sys
from kernels.bench.measure import Setting, measure
from kernels.bench.worker import Worker
import bench_cases_fake as fake

def start(name, variables):
    worker = Worker(name, variables)
    print(worker._process.pid, flush=True)
    return worker

cases = [("bench_cases_fake", case) for case in fake.CASES if case.name == "sleeps"]
try:
    list(measure(cases, [Setting()], 1, 0.0, with_peaks=False, start=start))
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a process group")
def test_ctrl_c_leaves_no_process():
    # The handler is set anew: a shell that runs tests in the background makes its children ignore SIGINT.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)" + INTERRUPTED
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
        start_new_session=True,
        text=True,
    ) as program:
        worker = int(program.stdout.readline())
        assert program.stderr.readline() == "sleeping\n"
        os.killpg(program.pid, signal.SIGINT)
        output, errors = program.communicate()
    assert (output, errors) == ("interrupted\n", "")
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_worker_ends_when_nobody_can_ask_it_any_more():
    worker = Worker("ours")
    worker._process.stdin.close()
    assert worker._process.wait(timeout=60) == 0
    worker.close()


# ---- numbers


def row(ours, torch=None, work=None, goals=(), peaks=None, **others):
    seconds = {"ours": ours, **({} if torch is None else {"torch": torch}), **others}
    timings = {name: Timing(name, tuple(taken)) for name, taken in seconds.items()}
    return Row(Case("fake", "made up", {}, work, goals), Setting(), timings, peaks)


def test_ratios_are_taken_round_by_round():
    found = row([1.0, 4.0, 9.0], [2.0, 4.0, 3.0]).ratio()
    assert (found.median, found.lower, found.upper) == (1.0, 0.75, 2.0)  # of 0.5, 1, 3; of the medians it were 4 / 3
    assert row([1.0]).ratio() is None


def test_a_slow_library_has_fewer_rounds():
    found = row([1.0, 2.0, 100.0], reference=[10.0, 10.0]).ratio("reference")
    assert found.median == pytest.approx(0.15)


PEAKS = Peaks(threads=1, flops=1e9, words=1e8, bandwidths=((1000, 1e10), (4000, 1e9), (16000, 2e9), (64000, 5e8)))


@pytest.mark.parametrize(
    ("size", "speed"), [(1, 1e10), (1000, 1e10), (1001, 2e9), (16000, 2e9), (16001, 5e8), (10**9, 5e8)]
)
def test_bandwidth_is_that_of_the_memory_that_holds_the_data(size, speed):
    assert PEAKS.bandwidth(size) == speed


@pytest.mark.parametrize(
    ("work", "floor"),
    [
        (Work(1000, flops=10), Floor(1e-7, "memory")),
        (Work(1000, flops=1000), Floor(1e-6, "flops")),
        (Work(1000, words=1000), Floor(1e-5, "popcounts")),
        (Work(1e6, flops=1e6), Floor(2e-3, "memory")),
    ],
)
def test_the_floor_is_the_longest_of_three_times(work, floor):
    found = PEAKS.floor(work)
    assert found.limit == floor.limit
    assert found.seconds == pytest.approx(floor.seconds)
    assert row([floor.seconds * 4], work=work, peaks=PEAKS).reached == pytest.approx(0.25)


def test_goals():
    work = Work(1000, words=1000)
    found = row([2e-5], [1e-4], work, peaks=PEAKS, naive=[2e-2])
    torch, naive, peak = Goal(0.25), Goal(1e-4, "naive"), Goal(0.75, "peak")
    assert [found.towards(goal) for goal in (torch, naive, peak)] == pytest.approx([0.2, 1e-3, 0.5])
    assert torch.met(0.2)
    assert not naive.met(1e-3)
    assert not peak.met(0.5)
    assert (torch.missed_by(0.2), naive.missed_by(1e-3), peak.missed_by(0.5)) == pytest.approx((0, 9, 1 / 3))
    assert row([1.0]).towards(torch) is None
    assert row([1.0]).towards(peak) is None


# ---- comparing results


def test_results_are_arrays_whatever_a_run_returns():
    assert [a.tolist() for a in results((np.ones(2), None, 3.0))] == [[1.0, 1.0], 3.0]
    assert [a.tolist() for a in results(2.5)] == [2.5]


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ([np.array([1.0, 200.0])], ""),
        ([np.array([1.01, 200.0])], ""),  # within 1e-4 of the largest
        ([np.array([1.05, 200.0])], "result 1 is off by 2.5e-04"),
        ([np.array([np.nan, 200.0])], "result 1 is off by nan"),
        ([np.array([np.inf, 200.0])], "result 1 is off by inf"),
        ([np.array([[1.0, 200.0]])], "result 1 has shape (1, 2) instead of (2,)"),
        ([np.array([1.0, 200.0]), np.array([3, 5])], "result 2 differs in 1 of 2 integers"),
        ([np.array([1.0, 200.0]), np.array([3, 4])], ""),
        ([], "0 results instead of 2"),
        ([np.ones(2)] * 3, "3 results instead of 2"),
    ],
)
def test_disagreement_is_said_in_words(found, wrong):
    said = disagreement(found, [np.array([1.0, 200.0]), np.array([3, 4])], 1e-4)
    assert said.startswith(wrong) if wrong else said == ""


# ---- the machine's limits


def test_threads_are_awake_whenever_a_limit_is_timed(monkeypatch):
    from kernels.bench import limits

    events = []
    monkeypatch.setattr(limits, "AT_LEAST", 0.0)
    monkeypatch.setattr(limits, "get_num_threads", lambda: events.append("awake"))
    limits._steady(lambda: events.append("work"), turns=3)
    assert events == ["awake", "work"] * 4


def test_the_limits_are_positive_and_complete(monkeypatch):
    from kernels.bench import limits

    monkeypatch.setattr(limits, "AT_LEAST", 0.0)
    found = limits.measure(largest=1 << 20, turns=2)
    assert found.flops > 0
    assert found.words > 0
    assert [size for size, _ in found.bandwidths] == [1 << 18, 1 << 20]
    assert all(speed > 0 for _, speed in found.bandwidths)
