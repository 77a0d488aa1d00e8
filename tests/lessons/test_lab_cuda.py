"""The kernels' executor: the same numbers as a GPU where a GPU has one answer, and a fault where it has none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lessons.lab import cuda, evidence
from lessons.lab.cuda.faults import Watch

ROOT = Path(__file__).resolve().parents[2]
ORDERS = ("ascending", "descending", 0, 1)


# ---- where a thread stands


@pytest.mark.parametrize(("grid", "block"), [(3, 4), ((2, 3), (4, 2)), ((2, 1, 3), (1, 2, 2)), ([2], [3])])
def test_every_thread_has_a_place_of_its_own(grid, block):
    @cuda.jit
    def places(count):
        x, y, z = cuda.grid(3)
        assert cuda.grid(1) == x
        assert cuda.grid(2) == (x, y)
        assert x == cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        width, height, depth = cuda.gridsize(3)
        assert cuda.gridsize(1) == width
        assert width * height * depth == count.size
        count[(z * height + y) * width + x] += 1

    threads = int(np.prod(grid)) * int(np.prod(block))
    count = np.zeros(threads, int)
    places[grid, block](count)
    assert np.array_equal(count, np.ones(threads))


def test_threads_are_numbered_along_x_first():
    @cuda.jit
    def write(out):
        out[cuda.threadIdx.y, cuda.threadIdx.x] = 1

    with cuda.recording() as launches:
        write[1, (3, 2)](np.zeros((2, 3)))
    assert [(a.thread, a.element) for a in launches[0].accesses] == [(k, k) for k in range(6)]
    assert launches[0].name_of(4) == "thread (1, 1)"
    assert launches[0].name_of(4, 0) == "thread (1, 1)"


# ---- barriers


@cuda.jit
def rotate(x, out, turns):
    """Hands each number on to the right neighbour, `turns` times."""
    shared = cuda.shared.array(8, np.float64)
    t = cuda.threadIdx.x
    shared[t] = x[t]
    for _ in range(turns):
        cuda.syncthreads()
        value = shared[(t + 7) % 8]
        cuda.syncthreads()
        shared[t] = value
    out[t] = shared[t]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("turns", [0, 1, 5])
def test_what_waits_gives_the_same_in_every_order(order, turns):
    x, out = np.arange(8.0), np.zeros(8)
    with cuda.schedule(order):
        rotate[1, 8](x, out, turns)
    assert np.array_equal(out, np.roll(x, turns))


def test_device_functions_may_wait_and_have_their_own_loops():
    @cuda.jit(device=True)
    def gather(shared, t, reach):
        while reach:
            if t < reach:
                shared[t] += shared[t + reach]
            cuda.syncthreads()
            reach //= 2

    @cuda.jit
    def add_up(x, out):
        shared = cuda.shared.array(shape=16, dtype=np.float64)
        t = cuda.threadIdx.x
        shared[t] = x[t]
        cuda.syncthreads()
        gather(shared, t, 8)
        if t == 0:
            out[0] = shared[0]

    x, out = np.random.default_rng(0).normal(size=16), np.zeros(1)
    add_up[1, 16](x, out)
    assert abs(out[0] - x.sum()) < 1e-14


def test_each_block_has_shared_memory_of_its_own():
    @cuda.jit
    def stale(out):
        shared = cuda.shared.array(4, np.float64)
        if cuda.blockIdx.x == 0:
            shared[cuda.threadIdx.x] = 1
        cuda.syncthreads()
        out[cuda.grid(1)] = shared[cuda.threadIdx.x]

    with pytest.raises(cuda.Uninitialised, match=r"shared\[0\] is read by thread 0"):
        stale[2, 4](np.zeros(8))


@pytest.mark.parametrize("order", ORDERS)
def test_barriers_that_some_threads_miss(order):
    @cuda.jit
    def ends_early(out):
        if cuda.threadIdx.x == 3:
            return
        cuda.syncthreads()
        out[cuda.threadIdx.x] = 1

    @cuda.jit
    def parts(out):
        if cuda.threadIdx.x < 2:
            cuda.syncthreads()
        else:
            cuda.syncthreads()

    @cuda.jit
    def one_more(out):
        for _ in range(2 + cuda.threadIdx.x // 3):
            cuda.syncthreads()

    with cuda.schedule(order):
        with pytest.raises(cuda.BarrierDivergence, match="thread 3 has ended without reaching it"):
            ends_early[1, 4](np.zeros(4))
        with pytest.raises(cuda.BarrierDivergence, match="waits at another"):
            parts[1, 4](np.zeros(4))
        with pytest.raises(cuda.BarrierDivergence, match="has ended"):
            one_more[1, 4](np.zeros(4))


def test_a_whole_block_may_skip_a_barrier():
    @cuda.jit
    def half(out):
        if cuda.blockIdx.x == 0:
            cuda.syncthreads()
        out[cuda.grid(1)] = 1

    out = np.zeros(8)
    half[2, 4](out)
    assert out.all()


# ---- races


def the_fault(body, blocks=1, threads=2, size=4):
    """The fault of a kernel on one global and one shared array, the same in every order; "" where there is none."""

    @cuda.jit
    def kernel(x):
        s = cuda.shared.array(4, np.float64)
        body(x, s, cuda.threadIdx.x, cuda.blockIdx.x)

    def fault_of(order):
        try:
            with cuda.schedule(order):
                kernel[blocks, threads](np.zeros(size))
        except cuda.Fault as fault:
            return type(fault).__name__
        return ""

    (found,) = {fault_of(order) for order in ORDERS}
    return found


def assign(array, index, value):
    array[index] = value


def read_after_wait(x, s, t, b):
    s[t] = t
    cuda.syncthreads()
    x[t] = s[1 - t]


def read_without_wait(x, s, t, b):
    s[t] = t
    x[t] = s[1 - t]


def write_after_read(x, s, t, b):
    s[t] = t
    cuda.syncthreads()
    x[t] = s[1 - t]
    s[t] = 5


def all_write_the_same(x, s, t, b):
    s[0] = 1


def reads_only(x, s, t, b):
    assert x[0] == x[1]


def one_adds_the_others_read(x, s, t, b):
    if t:
        cuda.atomic.add(x, 0, 1)
    else:
        assign(x, 1, x[0])


def the_last_reads_what_all_have_added(x, s, t, b):
    cuda.atomic.add(x, 0, 1)
    assign(x, 1 + t, x[0])


RULES = {
    "atomics and then a read": (the_last_reads_what_all_have_added, 1, "Race"),
    "own elements": (lambda x, s, t, b: assign(s, t, 1), 1, ""),
    "a write, a barrier, a read": (read_after_wait, 1, ""),
    "a write and a read": (read_without_wait, 1, "Race"),
    "a read and a write": (write_after_read, 1, "Race"),
    "two writes of one value": (all_write_the_same, 1, "Race"),
    "reads": (reads_only, 3, ""),
    "two blocks, shared": (lambda x, s, t, b: assign(s, t, b), 2, ""),
    "two blocks, global, own": (lambda x, s, t, b: assign(x, 2 * b + t, b), 2, ""),
    "two blocks write": (lambda x, s, t, b: assign(x, t, b), 2, "Race"),
    "one block reads what another writes": (lambda x, s, t, b: assign(x, t, 1) if b else assign(s, t, x[t]), 2, "Race"),
    "atomics": (lambda x, s, t, b: cuda.atomic.add(x, 0, 1), 2, ""),
    "an atomic and a read": (one_adds_the_others_read, 1, "Race"),
    "the same thread again": (lambda x, s, t, b: (assign(s, t, 1), assign(s, t, s[t] + 1)), 1, ""),
    "adding to what was not written": (lambda x, s, t, b: assign(s, t, s[t] + 1), 1, "Uninitialised"),
    "beyond the end": (lambda x, s, t, b: assign(x, t + 3, 1), 1, "OutOfBounds"),
    "before the beginning": (lambda x, s, t, b: assign(x, t - 1, 1), 1, "OutOfBounds"),
    "reading beyond shared memory": (lambda x, s, t, b: assign(x, t, s[4]), 1, "OutOfBounds"),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_does_not_depend_on_the_order(rule):
    body, blocks, fault = RULES[rule]
    assert the_fault(body, blocks) == fault


@pytest.mark.parametrize("seed", range(400))
def test_the_watch_finds_a_conflict_exactly_where_the_rule_says_so(seed):
    """Up to the first conflict, in any order of accesses, also in one that the executor would not run."""
    rng = np.random.default_rng(seed)
    watch, before = Watch(1), []
    interval = {0: 0, 1: 100}
    for _ in range(8):
        block, thread, kind = int(rng.integers(2) * (rng.random() < 0.3)), int(rng.integers(3)), int(rng.integers(3))
        interval[block] += rng.random() < 0.2
        now = (interval[block], thread, block, 0 if rng.random() < 0.6 else kind, None)
        clash = [
            one
            for one in before
            if (one[2] != now[2] or (one[1] != now[1] and one[0] == now[0]))
            and {one[3], now[3]} not in ({cuda.READ}, {cuda.ATOMIC})
        ]
        found = watch.conflict(0, now)
        assert (found is not None) == bool(clash)
        if clash:
            assert found in clash
            return
        before.append(now)


def test_a_barrier_orders_a_block_also_in_global_memory():
    @cuda.jit
    def kernel(x):
        x[cuda.threadIdx.x] = 1
        cuda.syncthreads()
        x[cuda.threadIdx.x] += x[7 - cuda.threadIdx.x] * (cuda.threadIdx.x < 4)

    # Thread 0 writes x[0] in the interval in which thread 7 reads it.
    with pytest.raises(cuda.Race, match="wait"):
        kernel[1, 8](np.zeros(8))


def test_the_message_says_who_where_and_what_to_do():
    @cuda.jit
    def add_up(x, out):
        i = cuda.grid(1)
        out[0] += x[i]

    with pytest.raises(cuda.Race) as caught:
        add_up[2, 1](np.zeros(2), np.zeros(1))
    text = str(caught.value)
    assert "out[0]: thread 0 of block 0 writes it (line " in text
    assert "out[0] += x[i])" in text
    assert "thread 0 of block 1" in text
    assert "cuda.atomic.add" in text

    @cuda.jit
    def copy(x, out):
        out[cuda.grid(1)] = x[cuda.grid(1)]

    with pytest.raises(cuda.OutOfBounds, match=r"x\[2\] does not exist, x has shape \(2,\): thread 0 of block 2 reads"):
        copy[3, 1](np.zeros(2), np.zeros(3))


def test_the_same_array_twice_is_the_same_memory():
    @cuda.jit
    def shift(x, y):
        y[cuda.threadIdx.x] = x[cuda.threadIdx.x + 1]

    x = np.arange(5.0)
    with pytest.raises(cuda.Race):
        shift[1, 4](x, x)
    shift[1, 4](x, np.zeros(4))


def test_faults_can_be_collected_while_the_kernel_goes_on():
    @cuda.jit
    def add_up(x, out):
        out[0] += x[cuda.threadIdx.x]

    out = np.zeros(1)
    with cuda.recording(stop=False) as launches:
        add_up[1, 4](np.ones(4), out)
    assert out[0] == 4  # right, by luck
    assert [type(fault) for fault in launches[0].faults] == [cuda.Race]


def test_a_fault_leaves_nothing_behind():
    @cuda.jit
    def outside(x):
        x[9] = 1

    with pytest.raises(cuda.OutOfBounds):
        outside[1, 1](np.zeros(1))
    with pytest.raises(RuntimeError, match="in a kernel only"):
        cuda.grid(1)
    test_what_waits_gives_the_same_in_every_order("ascending", 1)


# ---- what is refused


def test_wrong_launches_are_refused():
    @cuda.jit
    def nothing(x):
        pass

    @cuda.jit
    def launches(x):
        nothing[1, 1](x)

    x = np.zeros(1)
    for grid, block, said in ((0, 1, "grid of size 0"), (1, 0, "block of size 0"), (1, 2048, "1024"),
                              (1, (32, 64), "1024"), ((1, 1, 1, 1), 1, "one to three")):  # fmt: skip
        with pytest.raises(cuda.LaunchError, match=said):
            nothing[grid, block](x)
    with pytest.raises(TypeError, match="launch it"):
        nothing(x)
    with pytest.raises(ValueError, match=r"\[blocks, threads\]"):
        nothing[3]
    with pytest.raises(RuntimeError, match="only the host launches"):
        launches[1, 1](x)


def test_kernels_touch_single_elements():
    @cuda.jit
    def kernel(x, index):
        x[index] = 1

    for index, said in ((slice(0, 1), "by integers"), (0.5, "by integers"), ((0, 0), "1 dimensions")):
        with pytest.raises(TypeError, match=said):
            kernel[1, 1](np.zeros(2), index)


def test_more_shared_memory_than_there_is():
    @cuda.jit
    def large(x):
        cuda.shared.array((100, 100), np.float64)

    with pytest.raises(cuda.LaunchError, match="80000 bytes"):
        large[1, 1](np.zeros(1))


# ---- arithmetic and memory


def test_float32_stays_float32():
    @cuda.jit
    def third(x):
        s = cuda.shared.array(1, np.float32)
        local = cuda.local.array(1, np.float32)
        s[0] = 1
        local[0] = s[0] / 3
        x[0] = local[0]

    x = np.zeros(1)
    third[1, 1](x)
    assert x[0] == np.float32(1) / np.float32(3)


def test_device_arrays():
    @cuda.jit
    def double(x, out):
        i = cuda.grid(1)
        if i < len(out):
            out[i] = 2 * x[i]

    x = np.arange(5.0)
    there, out = cuda.to_device(x), cuda.device_array(5)
    assert np.isnan(out.copy_to_host()).all()
    double[1, 8](there, out)
    assert np.array_equal(out.copy_to_host(), 2 * x)
    assert np.array_equal(there.copy_to_host(), x)
    like = cuda.device_array_like(there)
    assert (like.shape, like.dtype, len(like)) == ((5,), x.dtype, 5)


def test_strided_arrays_are_read_where_they_lie():
    @cuda.jit
    def copy(x, out):
        out[cuda.threadIdx.x] = x[cuda.threadIdx.x]

    with cuda.recording() as launches:
        out = np.zeros(4)
        copy[1, 4](np.arange(8.0)[::2], out)
    assert np.array_equal(out, [0, 2, 4, 6])
    assert [a.address for a in launches[0].on("x")] == [0, 16, 32, 48]


# ---- counts


def reads(addresses, dtype=np.float32, threads=32):
    """The traffic of a launch in which thread t reads element addresses[t]."""
    places = np.asarray(addresses)

    @cuda.jit
    def read(x, out):
        out[cuda.threadIdx.x] = x[int(places[cuda.threadIdx.x])]

    with cuda.recording() as launches:
        read[1, threads](np.zeros(2048, dtype), np.zeros(threads, dtype))
    return cuda.traffic(launches[0], "x")


LANES = np.arange(32)


@pytest.mark.parametrize(
    ("addresses", "dtype", "sectors", "lines", "least"),
    [
        (LANES, np.float32, 4, 1, 4),
        (LANES[::-1], np.float32, 4, 1, 4),
        (LANES + 1, np.float32, 5, 2, 4),
        (2 * LANES, np.float32, 8, 2, 4),
        (32 * LANES, np.float32, 32, 32, 4),
        (0 * LANES, np.float32, 1, 1, 1),
        (LANES, np.float64, 8, 2, 8),
        (LANES // 16 * 1000, np.float32, 2, 2, 1),
    ],
)
def test_sectors_and_lines_of_one_request(addresses, dtype, sectors, lines, least):
    found = reads(addresses, dtype)
    assert (found.loads, found.requests, found.stores) == (32, 1, 0)
    assert (found.sectors, found.lines, found.least) == (sectors, lines, least)
    assert found.per_request == sectors


def test_two_warps_are_two_requests_and_each_turn_of_a_loop_is_one():
    assert reads(np.arange(64), threads=64).requests == 2

    @cuda.jit
    def loop(x):
        for _ in range(200):  # Python specialises the instruction on the way
            x[cuda.threadIdx.x]

    with cuda.recording() as launches:
        loop[2, 32](np.zeros(32, np.float32))
    found = cuda.traffic(launches[0])
    assert (found.requests, found.sectors) == (2 * 200, 2 * 200 * 4)


def test_two_reads_in_one_line_are_two_instructions():
    @cuda.jit
    def both(x):
        assert x[cuda.threadIdx.x] == x[31 - cuda.threadIdx.x]

    with cuda.recording() as launches:
        both[1, 32](np.zeros(32, np.float32))
    assert cuda.traffic(launches[0]).requests == 2


def test_a_launch_without_traffic():
    @cuda.jit
    def nothing(x):
        pass

    with cuda.recording() as launches:
        nothing[1, 32](np.zeros(1))
    assert cuda.traffic(launches[0]) == cuda.Traffic(0, 0, 0, 0, 0, 0)
    assert cuda.traffic(launches[0]).per_request == 0
    assert cuda.bank_conflicts(launches[0]) == (0, 0)


@pytest.mark.parametrize(
    ("stride", "dtype", "turns"),
    [(1, np.float32, 1), (2, np.float32, 2), (3, np.float32, 1), (4, np.float32, 4), (32, np.float32, 32),
     (33, np.float32, 1), (0, np.float32, 1), (1, np.float64, 2), (16, np.float64, 32)],
)  # fmt: skip
def test_bank_conflicts_of_strides(stride, dtype, turns):
    @cuda.jit
    def kernel(x):
        shared = cuda.shared.array(33 * 32, dtype)
        t = cuda.threadIdx.x
        if t == 0:
            for k in range(33 * 32):
                shared[k] = 0
        cuda.syncthreads()
        shared[t * stride]

    with cuda.recording() as launches:
        kernel[1, 32](np.zeros(1))
    with_reads = cuda.bank_conflicts(launches[0], "shared", cuda.READ)
    assert with_reads == (1 if dtype == np.float32 else 2, turns)


def test_shared_arrays_are_called_what_the_kernel_calls_them():
    @cuda.jit
    def kernel(x):
        first = cuda.shared.array(1, np.float32)
        second_one = cuda.shared.array((1, 2), np.int64)
        first[0], second_one[0, 1] = 1, 2

    with cuda.recording() as launches:
        kernel[1, 1](np.zeros(1))
    assert [a.array for a in launches[0].accesses] == ["first", "second_one"]
    assert launches[0].arrays["second_one"].element(1) == "second_one[0, 1]"


# ---- what crosses over


def test_a_launch_is_evidence():
    with evidence.collected() as told:
        rotate[1, 8](np.arange(8.0), np.zeros(8), 1)
    assert told == evidence.plain(told)
    (launch,) = told
    assert launch["kernel"] == "rotate"
    assert (launch["blocks"], launch["threads"], launch["loads"], launch["stores"]) == (1, 8, 8, 8)
    assert launch["shared"] == 8 + 8 + 8 + 8
    rotate[1, 8](np.arange(8.0), np.zeros(8), 1)  # to nobody


def test_faults_are_known_by_name_from_another_process():
    class Foreign(Exception):
        lines = ("Race: x[0]: ...", "hw.py, line 3")

    assert cuda.faults_of(Foreign()) == Foreign.lines
    assert cuda.faults_of(cuda.Race("x[0]")) == ("Race: x[0]",)
    assert cuda.faults_of(ValueError("Race: no")) == ()
    Foreign.lines = ("ValueError: no",)
    assert cuda.faults_of(Foreign()) == ()


def test_the_child_of_a_sandbox_pays_for_numpy_only():
    heavy = ("numba", "matplotlib", "minigrad", "kernels", "lessons.anatomy")
    code = f"import sys, lessons.lab.cuda; print(*(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""
