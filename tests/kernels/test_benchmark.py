"""The stop-watch: turns, counts, ratios. Nothing here depends on how fast the machine is."""

from __future__ import annotations

import gc

import pytest

from kernels.benchmark import Timing, interleaved


def test_candidates_take_turns():
    calls = []
    timings = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, min_time=0)
    assert "".join(calls) == "aabb" + 3 * "aabb"  # twice to prepare; each turn once unmeasured and once measured
    assert list(timings) == ["a", "b"]
    assert all(len(timing.seconds) == 3 for timing in timings.values())


def test_a_short_function_is_repeated_until_min_time():
    calls = []
    interleaved({"a": lambda: calls.append(1)}, 1, min_time=0.001)
    assert len(calls) > 10


def test_numbers_of_a_timing():
    slow, fast = Timing("slow", (4.0, 8.0, 2.0, 6.0, 10.0)), Timing("fast", (1.0, 4.0, 0.5, 2.0, 1.0))
    assert slow.median == 6.0
    assert slow.quartiles == (4.0, 8.0)
    assert Timing("once", (3.0,)).quartiles == (3.0, 3.0)
    assert slow.ratio(fast) == 4.0  # the median of 4, 2, 4, 3, 10
    assert fast.ratio(slow) == 0.25
    assert slow.ratios(fast) == (4.0, 2.0, 4.0, 3.0, 10.0)
    with pytest.raises(ValueError, match="'slow' has 5 rounds and 'once' has 1"):
        slow.ratio(Timing("once", (3.0,)))


def test_garbage_collection_waits_and_comes_back():
    seen = []
    interleaved({"a": lambda: seen.append(gc.isenabled())}, 1, min_time=0)
    assert seen == [True, True, False, False]
    assert gc.isenabled()

    def fails():
        if len(seen) > 5:
            raise KeyboardInterrupt
        seen.append(1)

    with pytest.raises(KeyboardInterrupt):
        interleaved({"a": fails}, 5, min_time=0)
    assert gc.isenabled()


@pytest.mark.parametrize(("rounds", "min_time"), [(0, 0.1), (3, -1.0), (3, float("nan"))])
def test_senseless_arguments(rounds, min_time):
    with pytest.raises(ValueError, match="interleaved: "):
        interleaved({}, rounds, min_time)
