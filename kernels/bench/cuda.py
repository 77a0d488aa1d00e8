"""The CUDA kernels on a GPU: checked, then timed beside PyTorch's and beside what the GPU could do at best.

`minigrad bench cuda` runs everything in one process: each kernel against `kernels.reference` on small inputs, then, on
large ones, against PyTorch where it is installed (cuDNN, with TF32 off and on), in turns, timed by CUDA's events.
Beside each time stands the floor: the bytes that must move over the bandwidth that a copy reaches here, or the
multiplications over the rate that nothing but multiplications reaches. In the simulator, `--check` compares and
nothing is timed.
"""

import functools
import importlib
import importlib.util
import math
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

import kernels
from kernels.cuda import device, to_device, to_host
from kernels.cuda.array import empty
from kernels.reference import batchnorm, bilinear, convolution, xnor

Run = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One piece of work: ours, the specification, PyTorch's, and what it needs at least.

    The functions take the inputs: `ours` device arrays, `reference` NumPy arrays, `torch` PyTorch's tensors on the GPU.
    `moves` and `multiplies` count bytes and multiplications (of signs, for xnor) from the inputs' shapes.
    """

    kind: str
    size: str
    small: tuple[Any, ...]
    large: tuple[Any, ...]
    inputs: Callable[..., tuple[Any, ...]]
    ours: Callable[..., Any]
    reference: Callable[..., Any]
    torch: Callable[..., Any]
    moves: Callable[..., float]
    multiplies: Callable[..., float] = lambda *shape: 0.0
    signs: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind} {self.size}"


@dataclass(frozen=True)
class Result:
    """Medians in seconds; NaN where something was not measured."""

    name: str
    ours: float
    torch: float
    torch_tf32: float
    floor: float
    error: float


# --- the cases --------------------------------------------------------------------------------------------------------


def _draw(*shapes: tuple[int, ...]) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)


def _norm_inputs(*shape: int) -> tuple[Any, ...]:
    x, dy, weight, bias = _draw(shape, shape, (shape[1],), (shape[1],))
    return x + 3, dy, weight, bias


def _norm_backward_ours(x: Any, dy: Any, weight: Any, bias: Any) -> Any:
    return kernels.batch_norm_backward(dy, x, weight, *_statistics(x))


def _statistics(x: Any) -> Any:
    """mean and inv_std of x, computed once: they are the forward's results, and not part of the backward's time."""
    key = id(getattr(x, "handle", x))
    if key not in _kept:
        _kept[key] = x, *kernels.batch_norm_forward(x, None, None, 1e-5)[1:]
    return _kept[key][1:]


_kept: dict[Any, Any] = {}


def _torch_norm_backward(x: Any, dy: Any, weight: Any, bias: Any) -> Any:
    import torch

    key = "torch", x.data_ptr()
    if key not in _kept:
        _kept[key] = torch.ops.aten.native_batch_norm(x, weight, bias, None, None, True, 0.1, 1e-5)[1:]
    mean, inv_std = _kept[key]
    mask = [True, True, True]
    return torch.ops.aten.native_batch_norm_backward(dy, x, weight, None, None, mean, inv_std, True, 1e-5, mask)


def _conv(name: str, small: tuple[int, ...], large: tuple[int, ...], which: str) -> Case:
    """A convolution of shape (N, C, O, H, k): forward, dx or dw."""

    def inputs(n: int, c: int, o: int, h: int, k: int) -> tuple[Any, ...]:
        return _draw((n, c, h, h), (o, c, k, k), (n, o, h, h))

    def options(weight: Any) -> tuple[Any, ...]:
        pad = weight.shape[-1] // 2
        return (1, 1), ((pad, pad), (pad, pad)), (1, 1), 1

    def call(module: Any, names: tuple[str, str, str]) -> Callable[..., Any]:
        forward, backward_input, backward_weight = (getattr(module, each) for each in names)
        return {
            "forward": lambda x, w, dy: forward(x, w, *(() if module is convolution else (None,)), *options(w)),
            "dx": lambda x, w, dy: backward_input(dy, w, x.shape[2:], *options(w)),
            "dw": lambda x, w, dy: backward_weight(x, dy, w.shape[2:], *options(w)),
        }[which]

    def torch_call(x: Any, w: Any, dy: Any) -> Any:
        import torch

        pad = w.shape[-1] // 2
        if which == "forward":
            return torch.nn.functional.conv2d(x, w, padding=pad)
        mask = [which == "dx", which == "dw", False]
        got = torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], [pad, pad], [1, 1], False, [0, 0], 1, mask)
        return got[0] if which == "dx" else got[1]

    return Case(
        f"conv {which}", name, small, large, inputs,
        ours=call(kernels, ("conv_forward", "conv_backward_input", "conv_backward_weight")),
        reference=call(convolution, ("forward", "backward_input", "backward_weight")),
        torch=torch_call,
        moves=lambda n, c, o, h, k: 4 * (n * h * h * (c + o) + o * c * k * k),
        multiplies=lambda n, c, o, h, k: n * h * h * o * c * k * k,
    )  # fmt: skip


def _norm(name: str, large: tuple[int, ...], backward: bool) -> Case:
    small = (3, 2, *(3,) * (len(large) - 2)) if len(large) > 2 else (9, 5)
    if backward:
        return Case(
            "batch norm backward", name, small, large, _norm_inputs, _norm_backward_ours,
            lambda x, dy, w, b: batchnorm.backward_closed(dy, x, w, *batchnorm.forward(x, w, b, 1e-5)[1:]),
            _torch_norm_backward, moves=lambda *shape: 4 * 5 * math.prod(shape),
        )  # fmt: skip

    def torch_forward(x: Any, dy: Any, w: Any, b: Any) -> Any:
        import torch

        return torch.ops.aten.native_batch_norm(x, w, b, None, None, True, 0.1, 1e-5)

    return Case(
        "batch norm forward", name, small, large, _norm_inputs,
        lambda x, dy, w, b: kernels.batch_norm_forward(x, w, b, 1e-5),
        lambda x, dy, w, b: batchnorm.forward(x, w, b, 1e-5),
        torch_forward, moves=lambda *shape: 4 * 3 * math.prod(shape),
    )  # fmt: skip


def _sample(name: str, large: tuple[int, ...], backward: bool) -> Case:
    def inputs(n: int, c: int, h: int) -> tuple[Any, ...]:
        x, dy, noise = _draw((n, c, h, h), (n, c, h, h), (n, h, h, 2))
        line = np.linspace(-1, 1, h, dtype=np.float32)
        turned = np.stack(np.meshgrid(line, line), axis=-1) @ np.array([[0.8, 0.3], [-0.3, 0.8]], np.float32)
        return x, dy, np.ascontiguousarray(turned + noise / np.float32(4 * h))

    def torch_call(x: Any, dy: Any, grid: Any) -> Any:
        import torch

        if backward:
            return torch.ops.aten.grid_sampler_2d_backward(dy, x, grid, 0, 0, False, [True, True])
        return torch.ops.aten.grid_sampler_2d(x, grid, 0, 0, False)

    if backward:
        return Case(
            "grid_sample backward", name, (2, 2, 4), large, inputs,
            lambda x, dy, grid: kernels.grid_sample_backward(dy, x, grid),
            lambda x, dy, grid: bilinear.backward(dy, x, grid, "zeros", False),
            torch_call, moves=lambda n, c, h: 4 * n * h * h * (3 * c + 4),
        )  # fmt: skip
    return Case(
        "grid_sample forward", name, (2, 2, 4), large, inputs,
        lambda x, dy, grid: kernels.grid_sample_forward(x, grid),
        lambda x, dy, grid: bilinear.forward(x, grid, "zeros", False),
        torch_call, moves=lambda n, c, h: 4 * n * h * h * (2 * c + 2),
    )  # fmt: skip


def _xnor(name: str, large: tuple[int, ...]) -> Case:
    def inputs(n: int, c: int, o: int, h: int) -> tuple[Any, ...]:
        return _draw((n, c, h, h), (o, c, 3, 3))

    def ours(x: Any, w: Any) -> Any:
        return kernels.xnor_conv2d(x, _packed(w), padding=1)

    def torch_call(x: Any, w: Any) -> Any:
        import torch

        return torch.nn.functional.conv2d(x, w, padding=1)

    return Case(
        "xnor", name, (1, 66, 3, 2), large, inputs, ours,
        lambda x, w: xnor.forward(x, w, (1, 1), ((1, 1), (1, 1)), (1, 1), False),
        torch_call, moves=lambda n, c, o, h: 4 * n * h * h * (c + o),
        multiplies=lambda n, c, o, h: n * h * h * c * o * 9, signs=True,
    )  # fmt: skip


def _packed(weight: Any) -> Any:
    """Weights packed beforehand, as a trained network has them."""
    key = id(weight.handle)
    if key not in _kept:
        _kept[key] = weight, kernels.pack_weights(weight)
    return _kept[key][1]


NORMS = {"65536x256": (65536, 256), "64x64x112^2": (64, 64, 112, 112), "64x512x14^2": (64, 512, 14, 14)}
SAMPLES = {"64x3x224^2": (64, 3, 224), "64x64x56^2": (64, 64, 56)}
CONVOLUTIONS = {
    "3x3 64ch 56^2": (64, 64, 64, 56, 3),
    "3x3 256ch 14^2": (64, 256, 256, 14, 3),
    "1x1 256ch 28^2": (64, 256, 256, 28, 1),
}
SIGNS = {"256ch 28^2": (64, 256, 256, 28), "512ch 14^2": (64, 512, 512, 14)}
CASES = (
    *(_norm(name, shape, backward) for backward in (False, True) for name, shape in NORMS.items()),
    *(_sample(name, shape, backward) for backward in (False, True) for name, shape in SAMPLES.items()),
    *(_conv(name, (1, 2, 5, 3, shape[-1]), shape, which) for which in ("forward", "dx", "dw")
      for name, shape in CONVOLUTIONS.items()),
    *(_xnor(name, shape) for name, shape in SIGNS.items()),
)  # fmt: skip


# --- checking and timing ----------------------------------------------------------------------------------------------


def checked(case: Case, large: bool = False) -> float:
    """The largest error of ours over the largest result: against the specification, or PyTorch's results."""
    arrays = case.inputs(*(case.large if large else case.small))
    ours = _results(case.ours(*map(to_device, arrays)))
    if large:
        sides = [_signs(each) if case.signs else each for each in arrays]
        wanted = _results(case.torch(*map(_to_torch, sides)))
    else:
        wanted = _results(case.reference(*arrays))
    return max(
        float(np.abs(one - other).max(initial=0) / max(np.abs(other).max(initial=0), 1e-30))
        for one, other in zip(ours, wanted, strict=False)  # PyTorch's have more: the statistics of the batch
    )


def measured(case: Case, peaks: "Peaks", rounds: int) -> Result:
    """Times of ours and of PyTorch's, in turns, after comparing their results."""
    arrays = case.inputs(*case.large)
    ours = [to_device(array) for array in arrays]
    runs: dict[str, Run] = {"ours": lambda: case.ours(*ours)}
    error = math.nan
    if importlib.util.find_spec("torch") is not None:
        theirs = [_to_torch(_signs(array) if case.signs else array) for array in arrays]
        runs["torch"] = _with_tf32(False, lambda: case.torch(*theirs))
        runs["torch_tf32"] = _with_tf32(True, lambda: case.torch(*theirs))
        error = checked(case, large=True)
    times = interleaved(runs, rounds)
    floor = max(
        case.moves(*case.large) / peaks.bandwidth,
        case.multiplies(*case.large) / (peaks.signs if case.signs else peaks.multiplications),
    )
    return Result(
        case.name, times["ours"], times.get("torch", math.nan), times.get("torch_tf32", math.nan), floor, error
    )


def interleaved(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """The median over rounds of each one's seconds for a call, taking turns; timed by events on the default stream."""
    cuda = device.toolkit()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():  # compiles, and fills caches
        run()
        run()
    device.synchronize()
    for _ in range(rounds):
        for name, run in runs.items():
            start, end = cuda.event(), cuda.event()
            run()
            start.record()
            for _ in range(CALLS):
                run()
            end.record()
            end.synchronize()
            taken[name].append(cuda.event_elapsed_time(start, end) / 1000 / CALLS)
    return {name: median(times) for name, times in taken.items()}


CALLS = 10


def _results(values: Any) -> list[Any]:
    values = values if isinstance(values, tuple) else (values,)
    return [each.detach().cpu().numpy() if hasattr(each, "detach") else to_host(each) for each in values]


def _to_torch(array: Any) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).cuda()


def _signs(array: Any) -> Any:
    """What a float32 convolution computes the binary one from: signs, and those of weights times their scale."""
    scale = xnor.filter_scale(array).reshape(-1, 1, 1, 1) if array.shape[-1] == 3 and array.ndim == 4 else 1
    return xnor.sign(array) * scale


def _with_tf32(allowed: bool, run: Run) -> Run:
    def switched() -> Any:
        import torch

        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
        return run()

    return switched


# --- what the GPU could do at best ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peaks:
    """Bytes, multiplications of float32, and multiplications of signs in a second."""

    bandwidth: float
    multiplications: float
    signs: float


def peaks(rounds: int = 5) -> Peaks:
    """Measured on this GPU, by copying, by multiplying in registers, and by counting bits in registers."""
    x = empty((1 << 26,), np.float32)
    copied = interleaved({"copy": lambda: x.astype(np.float32)}, rounds)["copy"]
    blocks, threads, loops = 16 * device.multiprocessors(), 256, 512
    out = empty((blocks * threads,), np.float32)
    multiply, count = _peak_kernels(loops)
    times = interleaved(
        {
            "multiply": lambda: device.launch(multiply, blocks, threads, out.handle, np.float32(0.5)),
            "count": lambda: device.launch(count, blocks, threads, out.handle, np.uint64(3)),
        },
        rounds,
    )
    done = blocks * threads * loops * CHAINS
    return Peaks(2 * x.nbytes / copied, done / times["multiply"], 64 * done / times["count"])


CHAINS = 8  # independent sums of a thread: as many as hide the latency of one


@functools.cache
def _peak_kernels(loops: int) -> tuple[Any, Any]:
    from numba import cuda

    @cuda.jit
    def multiply(out, factor):
        i = cuda.grid(1)
        a = b = c = d = e = f = g = h = out[i]
        for _ in range(loops):
            a, b, c, d = a * factor + a, b * factor + b, c * factor + c, d * factor + d
            e, f, g, h = e * factor + e, f * factor + f, g * factor + g, h * factor + h
        out[i] = a + b + c + d + e + f + g + h

    @cuda.jit
    def count(out, word):
        i = cuda.grid(1)
        a = b = c = d = e = f = g = h = 0
        w = word + i
        for k in range(loops):
            w ^= k
            a, b, c, d = a + cuda.popc(w ^ a), b + cuda.popc(w ^ b), c + cuda.popc(w ^ c), d + cuda.popc(w ^ d)
            e, f, g, h = e + cuda.popc(w ^ e), f + cuda.popc(w ^ f), g + cuda.popc(w ^ g), h + cuda.popc(w ^ h)
        out[i] = a + b + c + d + e + f + g + h

    return multiply, count


# --- the report -------------------------------------------------------------------------------------------------------

TOLERANCE = 2e-5


def check() -> Iterator[tuple[Case, float]]:
    """Each kernel on small inputs, with the largest error against the specification."""
    for case in {(case.kind, case.small): case for case in CASES}.values():
        yield case, checked(case)
        _kept.clear()


def bench(rounds: int = 7) -> Iterator[Result]:
    """Every case on large inputs, timed."""
    found = peaks()
    for case in CASES:
        yield measured(case, found, rounds)
        _kept.clear()


def machine() -> str:
    """The GPU, and the versions of what matters, in a line."""
    cuda = device.toolkit()
    names = [f"Python {platform.python_version()}", f"NumPy {np.__version__}"]
    found = [name for name in ("numba", "numba_cuda", "torch") if importlib.util.find_spec(name) is not None]
    names += [f"{name} {importlib.import_module(name).__version__}" for name in found]
    if device.SIMULATED:
        return f"simulator; {', '.join(names)}"
    gpu = cuda.get_current_device()
    return f"{gpu.name.decode() if isinstance(gpu.name, bytes) else gpu.name}; {', '.join(names)}"


def row(result: Result) -> tuple[str, ...]:
    """A result for a table: microseconds, ratios, the share of what is possible."""

    def micro(seconds: float) -> str:
        return "-" if math.isnan(seconds) else f"{seconds * 1e6:.1f}"

    def ratio(seconds: float) -> str:
        return "-" if math.isnan(seconds) else f"{result.ours / seconds:.2f}"

    error = "-" if math.isnan(result.error) else f"{result.error:.0e}"
    share = f"{result.floor / result.ours:.0%}"
    times = micro(result.ours), micro(result.torch), ratio(result.torch), ratio(result.torch_tf32)
    return result.name, *times, micro(result.floor), share, error


HEADERS = ("case", "ours, us", "torch, us", "ours/torch", "ours/TF32", "floor, us", "of the floor", "error")
