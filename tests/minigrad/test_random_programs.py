"""Random chains of ops: values and gradients agree with PyTorch, and with numerical gradients where it is missing.

A program starts from a few tensors and applies up to twelve instructions, each to results that are already there, so
that expressions are shared, broadcast, reduced, indexed and multiplied as matrices. It is drawn with minigrad at hand,
which tells the shapes, and then run in either library. Values stay bounded, and logarithms and roots get positive
arguments, so that both libraries compute what is well conditioned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from op_harness import COMPARED, collect, differences, tensor

import minigrad

DEPTH = 12
# A few in the profile dev, 10,000 in ci, many more in intense.
PROGRAMS = 100 if settings().max_examples <= 30 else 67 * settings().max_examples
LIMIT = 20.0  # larger results are squashed with tanh

# Smooth everywhere, bounded by what they are given, and the same by name in both libraries.
UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "sin": lambda m, a: m.sin(a),
    "cos": lambda m, a: a.cos(),
    "tanh": lambda m, a: m.tanh(a),
    "sigmoid": lambda m, a: a.sigmoid(),
    "neg": lambda m, a: -a,
    "square": lambda m, a: m.square(a),
    "exp of tanh": lambda m, a: a.tanh().exp(),
    "expm1 of sin": lambda m, a: a.sin().expm1(),
    "log of 1 + square": lambda m, a: (a * a + 1).log(),
    "log1p of square": lambda m, a: m.log1p(a**2),
    "sqrt of 1 + square": lambda m, a: (1 + a.square()).sqrt(),
    "rsqrt of 1 + square": lambda m, a: (a * a + 1.0).rsqrt(),
    "reciprocal of 2 + sin": lambda m, a: (a.sin() + 2).reciprocal(),
    "cube": lambda m, a: a**3,
    "half minus": lambda m, a: 0.5 - a,
    "clone": lambda m, a: a.clone(),
    "erf": lambda m, a: m.erf(a),
    "atan": lambda m, a: a.atan(),
    "asinh": lambda m, a: a.asinh(),
    "lgamma of 1 + square": lambda m, a: (a.square() + 1).lgamma(),
    "gelu": lambda m, a: m.nn.functional.gelu(a),
    "silu": lambda m, a: m.nn.functional.silu(a),
    "softplus": lambda m, a: m.nn.functional.softplus(a),
    "elu": lambda m, a: m.nn.functional.elu(a + 3),  # away from the jump of its second derivative
    "repeat": lambda m, a: a.repeat(*[1] * max(a.ndim - 1, 0), 2),
    "norm": lambda m, a: (a * a + 0.1).norm(),
}
BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda m, a, b: a + b,
    "sub": lambda m, a, b: a - b,
    "mul": lambda m, a, b: a * b,
    "div by 1 + square": lambda m, a, b: a / (b * b + 1),
    "pow": lambda m, a, b: (a * a + 0.5) ** b.tanh(),
    "logaddexp": lambda m, a, b: m.logaddexp(a, b),
    "hypot": lambda m, a, b: m.hypot(a, b * b + 0.2),
    "atan2": lambda m, a, b: m.atan2(a, b * b + 0.3),
    "lerp": lambda m, a, b: m.lerp(a, b, 0.3),
    "xlogy": lambda m, a, b: m.xlogy(a, b * b + 0.4),
    "addcmul": lambda m, a, b: m.addcmul(a, a, b, value=0.5),
    "outer": lambda m, a, b: m.outer(a.flatten()[:3], b.flatten()[:3]),
}
KINKED: dict[str, Callable[..., Any]] = {
    "relu": lambda m, a: a.relu(),
    "abs": lambda m, a: abs(a),
    "clamp": lambda m, a: a.clamp(-0.7, 0.9),
    "where": lambda m, a: m.where(a > 0.25, a, a * a),
    "masked_fill": lambda m, a: a.masked_fill(a < -0.5, 0.1),
    "amax": lambda m, a: a.amax(),
    "leaky_relu": lambda m, a: m.nn.functional.leaky_relu(a, 0.1),
    "huber": lambda m, a: m.nn.functional.huber_loss(a, a.detach() * 0 + 0.3, reduction="none"),
    "masked_select": lambda m, a: m.cat([a.flatten()[:1], m.masked_select(a, a > 0.3)]),
    "tril": lambda m, a: a.tril() if a.ndim > 1 else a.relu(),
    "fmod": lambda m, a: m.fmod(a, 0.77),
    "cumulated maximum": lambda m, a: m.maximum(a, a.detach() * 0 + 0.3),
}
REDUCTIONS = ("sum", "mean", "logsumexp", "var")
ALONG: dict[str, Callable[[Any, Any, int], Any]] = {
    "cumsum": lambda m, a, dim: a.cumsum(dim),
    "cumprod": lambda m, a, dim: a.tanh().cumprod(dim),
    "prod": lambda m, a, dim: a.tanh().prod(dim),
    "flip": lambda m, a, dim: a.flip(dim),
    "roll": lambda m, a, dim: a.roll(2, dim),
    "diff": lambda m, a, dim: m.diff(m.cat([a, a * a], dim), dim=dim),
    "unfold": lambda m, a, dim: a.unfold(dim, 1, 1),
    "chunk": lambda m, a, dim: a.chunk(2, dim)[-1],
    "narrow": lambda m, a, dim: a.narrow(dim, a.shape[dim] - 1, 1),
    "normalize": lambda m, a, dim: m.nn.functional.normalize(a * a + 0.1, dim=dim),
    "gather": lambda m, a, dim: a.gather(dim, m.zeros_like(a).long()),
    "index_select": lambda m, a, dim: a.index_select(dim, m.tensor([0, 0, a.shape[dim] - 1])),
    "scatter_add": lambda m, a, dim: (a * 2).scatter_add(dim, m.zeros_like(a).long(), a.sin()),
    "index_add": lambda m, a, dim: a.index_add(dim, m.zeros(a.shape[dim]).long(), a * a),
    "repeat_interleave": lambda m, a, dim: a.repeat_interleave(2, dim),
    "movedim": lambda m, a, dim: a.movedim(dim, 0),
    "pad": lambda m, a, dim: m.nn.functional.pad(a, (0, 0) * (a.ndim - 1 - dim) + (1, 2), value=0.5),
    "norm over": lambda m, a, dim: (a + 4).norm(dim=dim),
    "softmin": lambda m, a, dim: m.nn.functional.softmin(a, dim),
    "einsum": lambda m, a, dim: m.einsum("...i,...i->...", a.movedim(dim, -1), a.movedim(dim, -1).cos()),
}


@dataclass(frozen=True)
class Step:
    """One instruction: apply `run(library, *results)` to the results of the given numbers."""

    words: str
    operands: tuple[int, ...]
    run: Callable[..., Any]

    def __repr__(self) -> str:
        return f"{self.words}{self.operands}"


@dataclass(frozen=True)
class Program:
    arrays: tuple[np.ndarray, ...]
    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        return f"Program(shapes={[a.shape for a in self.arrays]}, steps={list(self.steps)})"

    def __call__(self, library: Any, *leaves: Any) -> list[Any]:
        """The last results: those that no other instruction has used."""
        results = list(leaves)
        for step in self.steps:
            results.append(step.run(library, *[results[i] for i in step.operands]))
        used = {i for step in self.steps for i in step.operands}
        return [r for i, r in enumerate(results) if i not in used and i >= len(leaves)]


def indices(shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """An index into a tensor of this shape: integers, slices, arrays with repetitions, None and Ellipsis."""

    def part(n: int) -> st.SearchStrategy[Any]:
        return st.one_of(
            st.integers(-n, n - 1),
            st.builds(slice, st.none() | st.integers(-n, n - 1), st.none(), st.none() | st.integers(1, 2)),
            st.lists(st.integers(-n, n - 1), min_size=2, max_size=2),
        )

    full = st.tuples(*[part(n) for n in shape])
    return st.one_of(full, full.map(lambda index: (None, *index)), full.map(lambda index: (*index[:1], ...)))


@st.composite
def programs(draw: Callable[[st.SearchStrategy[Any]], Any], smooth: bool, depth: int = DEPTH) -> Program:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = st.sampled_from((1, 2, 3))
    shapes = draw(st.lists(st.lists(size, max_size=3).map(tuple), min_size=1, max_size=3))
    arrays = tuple(np.asarray(rng.uniform(0.2, 1.5, s) * rng.choice([-1.0, 1.0], s)) for s in shapes)
    results = [minigrad.tensor(a) for a in arrays]
    steps: list[Step] = []

    def append(words: str, operands: tuple[int, ...], run: Callable[..., Any]) -> None:
        steps.append(Step(words, operands, run))
        results.append(run(minigrad, *[results[i] for i in operands]))

    def unary(i: int) -> None:
        table = UNARY if smooth else {**UNARY, **KINKED}
        name = draw(st.sampled_from(sorted(table)))
        append(name, (i,), table[name])

    def binary(i: int) -> None:
        fitting = [j for j, r in enumerate(results) if broadcasts(results[i].shape, r.shape)]
        name = draw(st.sampled_from(sorted(BINARY)))
        append(name, (i, draw(st.sampled_from(fitting))), BINARY[name])

    def reduction(i: int) -> None:
        name = draw(st.sampled_from(REDUCTIONS))
        dims = draw(st.lists(st.integers(0, results[i].ndim - 1), min_size=1, unique=True).map(tuple))
        keepdim = draw(st.booleans())
        options = {"correction": 0} if name == "var" else {}
        words = f"{name} over {dims}{' kept' if keepdim else ''}"
        append(words, (i,), lambda m, a: getattr(a, name)(dim=dims, keepdim=keepdim, **options))

    def softmax(i: int) -> None:
        dim = draw(st.integers(-results[i].ndim, results[i].ndim - 1))
        name = draw(st.sampled_from(("softmax", "log_softmax")))
        append(f"{name} over {dim}", (i,), lambda m, a: getattr(a, name)(dim))

    def along(i: int) -> None:
        name, dim = draw(st.sampled_from(sorted(ALONG))), draw(st.integers(0, results[i].ndim - 1))
        append(f"{name} along {dim}", (i,), lambda m, a: ALONG[name](m, a, dim))

    def index(i: int) -> None:
        at = draw(indices(results[i].shape))
        append(f"index {at}", (i,), lambda m, a: a[at])

    def rearrange(i: int) -> None:
        n = results[i].ndim
        order = tuple(draw(st.permutations(range(n))))
        append(f"permute {order}", (i,), lambda m, a: a.permute(order))
        if draw(st.booleans()):
            append("reshape", (len(results) - 1,), lambda m, a: a.reshape(-1, a.shape[-1]))

    def stack(i: int) -> None:
        twins = [j for j, r in enumerate(results) if r.shape == results[i].shape]
        j, dim = draw(st.sampled_from(twins)), draw(st.integers(0, results[i].ndim))
        append(f"stack {dim}", (i, j), lambda m, a, b: m.stack([a, b], dim))

    def cat(i: int) -> None:
        dim = draw(st.integers(0, results[i].ndim - 1))
        append(f"cat {dim}", (i, i), lambda m, a, b: m.cat([a, b * 2], dim))

    def matmul(i: int) -> None:
        fitting = [
            j
            for j, r in enumerate(results)
            if r.ndim and r.shape[-2 if r.ndim > 1 else 0] == results[i].shape[-1]
            and broadcasts(results[i].shape[:-2], r.shape[:-2])
        ]  # fmt: skip
        if fitting:
            append("matmul", (i, draw(st.sampled_from(fitting))), lambda m, a, b: a @ b)
        else:
            append("gram", (i,), lambda m, a: a @ a.transpose(-1, -2) if a.ndim > 1 else a @ a)

    everywhere = [unary, unary, binary, binary, stack]
    with_dims = [reduction, softmax, along, along, index, rearrange, cat, matmul]
    for _ in range(draw(st.integers(2, depth))):
        # Mostly the newest result, so that chains grow deep; sometimes an older one, so that they share.
        i = draw(st.one_of(st.just(len(results) - 1), st.integers(0, len(results) - 1)))
        possible = everywhere + (with_dims if results[i].ndim else [])
        draw(st.sampled_from(possible))(i)
        newest = results[-1]._array
        if newest.size > 60:
            append("mean", (len(results) - 1,), lambda m, a: a.mean(0))
        elif newest.size and np.abs(newest).max() > LIMIT:
            append("tanh", (len(results) - 1,), UNARY["tanh"])
    return Program(arrays, tuple(steps))


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


def run_in(library: Any, program: Program, dtype: str) -> dict[str, np.ndarray]:
    leaves = [tensor(library, a.astype(dtype), requires_grad=True) for a in program.arrays]
    return collect(library, program(library, *leaves), leaves, np.random.default_rng(len(program.steps)))


@pytest.mark.torch
@settings(max_examples=PROGRAMS)
@given(programs(smooth=False))
def test_programs_as_torch(program: Program) -> None:
    torch = pytest.importorskip("torch", reason="the comparison of random programs needs PyTorch")
    assert differences(run_in(minigrad, program, "float64"), run_in(torch, program, "float64"), tolerance=1e-8) == []
    COMPARED["random programs"] += 1


@given(programs(smooth=True, depth=6))
def test_programs_numerically(program: Program) -> None:
    leaves = [minigrad.tensor(a, requires_grad=True) for a in program.arrays]
    outputs = program(minigrad, *leaves)
    used = minigrad.grad(
        outputs, leaves, [minigrad.ones_like(o) for o in outputs], allow_unused=True, retain_graph=True
    )
    # gradcheck refuses gradients that vanish: the variance of one element, the softmax over one.
    for leaf, g in zip(leaves, used, strict=True):
        leaf.requires_grad_(g is not None and bool((abs(g) > 1e-5).any()))
    assume(any(leaf.requires_grad for leaf in leaves))
    try:
        minigrad.gradcheck(lambda *xs: program(minigrad, *xs), leaves, atol=1e-6)
    except minigrad.errors.GradcheckError as error:
        assume("refused" not in str(error))
        raise
    COMPARED["random programs numerically"] += 1


def test_programs_are_rich() -> None:
    """The strategy reaches what it promises: deep chains, shared results, indexing, matrices and broadcasting."""
    seen: set[str] = set()
    longest = 0

    @settings(max_examples=500, database=None, derandomize=True)
    @given(programs(smooth=False))
    def look(program: Program) -> None:
        nonlocal longest
        longest = max(longest, len(program.steps))
        operands = [i for step in program.steps for i in step.operands]
        seen.update(step.words.split()[0] for step in program.steps)
        if len(set(operands)) < len(operands):
            seen.add("shared")

    look()
    assert longest >= DEPTH
    assert {
        "shared", "cumsum", "scatter_add", "einsum", "index", "matmul", "cat", "stack", "permute", "sum", "softmax",
        "mul", "relu",
    } <= seen  # fmt: skip


def test_a_wrong_vjp_in_a_program_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (
        Step("mul", (0, 1), BINARY["mul"]),
        Step("index", (2,), lambda m, a: a[[0, 0]]),
        Step("sum", (3,), lambda m, a: a.sum(dim=(0,), keepdim=False)),
    )
    program = Program((np.array([[0.5], [1.5]]), np.array([2.0, -1.0, 0.25])), steps)
    right = run_in(minigrad, program, "float64")
    monkeypatch.setattr(minigrad.ops.mul, "vjps", (lambda g, out, x, y: g, lambda g, out, x, y: g * x))
    report = "; ".join(differences(run_in(minigrad, program, "float64"), right, tolerance=1e-8))
    assert "gradient 0" in report
    leaves = [minigrad.tensor(a, requires_grad=True) for a in program.arrays]
    with pytest.raises(minigrad.errors.GradcheckError, match="input 0"):
        minigrad.gradcheck(lambda *xs: program(minigrad, *xs), leaves)
