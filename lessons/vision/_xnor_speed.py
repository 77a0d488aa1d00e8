"""The race of the XNOR lesson: the same convolution of signs by bits and by floats, in turns and on one thread."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lessons.lab.threads import one_thread

IMAGES, SIDE, NAIVE_FILTERS = 4, 14, 8


def convolutions(rng: np.random.Generator, channels: int, filters: int, side: int) -> dict[str, Callable[[], Any]]:
    """Return the same convolution of signs in several ways; "naive" computes the first few filters only."""
    import kernels
    from kernels.bench import naive

    pad = side // 2
    x = rng.normal(size=(IMAGES, channels, SIDE, SIDE)).astype(np.float32)
    weight = rng.normal(size=(filters, channels, side, side)).astype(np.float32)
    packed = kernels.pack_weights(weight)
    signs = np.where(x < 0, -1, 1).astype(np.float32)
    binary = packed.signs() * packed.alpha[:, None, None, None]
    few = np.ascontiguousarray(binary[:NAIVE_FILTERS])

    def float32(allowed: bool) -> Any:
        with kernels.winograd(allowed):
            return kernels.conv_forward(signs, binary, None, (1, 1), ((pad, pad), (pad, pad)), (1, 1), 1)

    candidates: dict[str, Callable[[], Any]] = {
        "xnor": lambda: kernels.xnor_conv2d(x, packed, padding=pad),
        "naive": lambda: naive.convolution(signs, few, pad),
        "ours": lambda: float32(True),
        "ours, plain": lambda: float32(False),
    }
    if importlib.util.find_spec("torch") is not None:
        import torch

        t_signs, t_binary = torch.from_numpy(signs), torch.from_numpy(binary)
        candidates["torch"] = lambda: torch.nn.functional.conv2d(t_signs, t_binary, None, 1, pad).numpy()
    return candidates


class Race(NamedTuple):
    """How often the binary convolution fits into the time of others, and how fast it is by itself."""

    speed_ups: dict[str, float]  # over "naive", "ours" and, where installed, "torch": the median of the rounds
    quartiles: dict[str, tuple[float, float]]  # of the same
    words: float  # of 64 products, a second
    disagreement: float


def race(rng: np.random.Generator, channels: int, filters: int, side: int, rounds: int, skip: tuple[str, ...]) -> Race:
    """Time the candidates except `skip` in turns."""
    from kernels.benchmark import interleaved

    candidates = {name: call for name, call in convolutions(rng, channels, filters, side).items() if name not in skip}
    want = candidates["xnor"]()
    found = {name: call() for name, call in candidates.items()}
    worst = max(float(np.abs(y - want[:, : y.shape[1]]).max()) for y in found.values()) / float(np.abs(want).max())
    with one_thread():  # PyTorch has been imported by now, and is told so, too
        timings = interleaved(candidates, rounds=rounds, min_time=0.004)
    base = timings["xnor"]
    ratios = {name: np.array(timing.ratios(base)) for name, timing in timings.items() if name != "xnor"}
    ratios["naive"] *= filters / NAIVE_FILTERS
    if "ours, plain" in ratios:
        ratios["ours"] = min(ratios["ours"], ratios.pop("ours, plain"), key=np.median)
    medians = {name: float(np.median(rounds)) for name, rounds in ratios.items()}
    quartiles = {name: (float(np.quantile(r, 0.25)), float(np.quantile(r, 0.75))) for name, r in ratios.items()}
    words = IMAGES * SIDE**2 * filters * side**2 * -(-channels // 64) / base.median
    return Race(medians, quartiles, words, worst)
