"""Run one case in minigrad or in PyTorch and compare what comes out: values, gradients, second gradients.

A case calls an op with arguments drawn from a seed by NumPy alone, so both libraries, and a machine without PyTorch,
see the same numbers. `run` returns everything that the call produced as named arrays; `differences` lists in words
where two such results differ.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

import minigrad

Array = np.ndarray
Parts = dict[str, Array]  # "output 0", "gradient 1", "second gradient 0", ... -> array

COMPARED: Counter[str] = Counter()  # arrays compared so far, by kind; printed at the end of the test run

# --- arguments --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """A tensor argument: how its values are drawn, and how they lie in memory."""

    shape: tuple[int, ...]
    kind: str = "signed"
    dtype: str | None = None  # None: the floating dtype of the run
    layout: str = "plain"
    differentiate: bool = True
    high: int = 0
    values: Any = None

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape)) or "()"
        words = str(self.values).replace(" ", "") if self.kind == "given" else shape
        words += "" if self.kind in ("signed", "given", "integers", "booleans") else f" {self.kind}"
        words += "" if self.dtype is None else f" {self.dtype}"
        words += "" if self.layout == "plain" else f" {self.layout}"
        return words + ("" if self.differentiate or not self.floating else " fixed")

    @property
    def floating(self) -> bool:
        return self.dtype is None or self.dtype.startswith("float")

    @property
    def strided(self) -> Draw:
        """The same, lying in memory with gaps: every second element of a larger array."""
        return replace(self, layout="strided")

    @property
    def transposed(self) -> Draw:
        """The same, lying in memory in Fortran order."""
        return replace(self, layout="transposed")

    @property
    def fixed(self) -> Draw:
        """The same, without a gradient."""
        return replace(self, differentiate=False)

    def draw(self, rng: np.random.Generator, dtype: str) -> Array:
        array = self._values(rng).astype(self.dtype or dtype)
        if self.layout == "transposed":
            return np.asfortranarray(array)
        if self.layout == "strided":
            spread = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
            spread[..., ::2] = array
            return spread[..., ::2]
        return array

    def _values(self, rng: np.random.Generator) -> Array:
        if self.kind == "given":
            return np.array(self.values)
        if self.kind == "integers":
            return rng.integers(min(self.high, 0), abs(self.high), self.shape)
        if self.kind == "booleans":
            return rng.random(self.shape) < 0.6
        if self.kind == "distinct":  # well apart, so that no maximum is nearly a tie
            count = math.prod(self.shape)
            return (rng.permutation(count).reshape(self.shape) - (count - 1) / 2) / 8
        # Away from 0, where some functions have a kink or a pole; in float32, so that both dtypes see one value.
        values = rng.uniform(0.2, 2.0, self.shape).astype(np.float32)
        if self.kind == "signed":
            values = values * rng.choice([-1.0, 1.0], self.shape)
        if self.kind == "probabilities":
            values = values / values.sum(axis=1 if values.ndim > 1 else 0, keepdims=True)
        return np.asarray(values)


def x(*shape: int, dtype: str | None = None) -> Draw:
    """Floating values of both signs, away from 0."""
    return Draw(shape, dtype=dtype)


def positive(*shape: int, dtype: str | None = None) -> Draw:
    return Draw(shape, "positive", dtype)


def distinct(*shape: int, dtype: str | None = None) -> Draw:
    return Draw(shape, "distinct", dtype)


def probabilities(*shape: int) -> Draw:
    """Positive, with sum 1 over the class dimension."""
    return Draw(shape, "probabilities")


def integers(*shape: int, high: int, dtype: str = "int64") -> Draw:
    """Integers from 0 to high - 1; a negative `high` draws both signs, up to its absolute value."""
    return Draw(shape, "integers", dtype, high=high)


def booleans(*shape: int) -> Draw:
    return Draw(shape, "booleans", "bool")


def given(values: Any, dtype: str | None = None) -> Draw:
    """These values."""
    return Draw(np.array(values).shape, "given", dtype, values=values)


@dataclass(frozen=True)
class Dtype:
    """A dtype argument, which each library has under the same name."""

    name: str

    def __repr__(self) -> str:
        return self.name


# --- cases ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One call of one op. `call(library, *args, **kwargs)` replaces the plain call of the function named `op`."""

    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    call: Callable[..., Any] | None = None
    note: str = ""
    smooth: bool = True  # numerical gradients exist at these inputs, to every order
    twice: bool = True  # PyTorch has second gradients here, too
    loose: float = 1.0  # tolerance, as a multiple of the usual one, where the problem itself is ill-conditioned

    @property
    def name(self) -> str:
        words = [_words(a) for a in self.args if not isinstance(a, dict)] + [
            f"{k}={_words(v)}" for k, v in self.kwargs.items()
        ]
        return f"{self.op}({', '.join(words)})" + (f" {self.note}" if self.note else "")

    @property
    def draws(self) -> list[Draw]:
        return [d for d in _leaves((self.args, self.kwargs)) if isinstance(d, Draw)]

    @property
    def dtypes(self) -> tuple[str, ...]:
        return ("float64", "float32") if any(d.dtype is None for d in self.draws) else ("float64",)

    @property
    def differentiated(self) -> bool:
        return any(d.floating and d.differentiate for d in self.draws)

    def seed(self, variant: int = 0) -> list[int]:
        return [zlib.crc32(self.name.encode()), variant]


def _words(value: Any) -> str:
    if isinstance(value, slice):
        parts = ["" if v is None else str(v) for v in (value.start, value.stop, value.step)]
        return ":".join(parts if parts[2] else parts[:2])
    if isinstance(value, (tuple, list)):
        return ("[{}]" if isinstance(value, list) else "({})").format(",".join(map(_words, value)))
    return "..." if value is Ellipsis else repr(value)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        for v in value:
            yield from _leaves(v)
    else:
        yield value


def filled(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same nested arguments with every leaf changed."""
    if isinstance(value, dict):
        return {k: filled(v, change) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(filled(v, change) for v in value)
    return change(value)


@dataclass(frozen=True)
class Mistake:
    """A wrong call: the class of the error, and fragments that its message contains, the name of the op first.

    `torch_allows` is None where PyTorch may or may not notice, because it reads memory that is not its own.
    """

    error: type[minigrad.MinigradError]
    call: Callable[[Any], Any]
    says: tuple[str, ...]
    torch_allows: bool | None = False

    @property
    def name(self) -> str:
        return f"{self.says[0]} {self.error.__name__} {', '.join(self.says[1:])}"


@dataclass
class Table:
    """The cases and the wrong calls of one family of ops; one file of `op_tables`.

    Args:
        not_differentiable: ops whose results have no gradients.
        once: ops without second gradients that do not vanish, and why.
        flat: ops whose gradients vanish wherever they exist, so that no numerical check can tell a wrong one.
        other_names: ops whose parameters are not named as in PyTorch, and why.
        never_wrong: ops that accept every call, and why.
    """

    name: str
    not_differentiable: set[str] = field(default_factory=set)
    once: dict[str, str] = field(default_factory=dict)
    flat: set[str] = field(default_factory=set)
    other_names: dict[str, str] = field(default_factory=dict)
    never_wrong: dict[str, str] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    strategies: list[tuple[str, SearchStrategy[Case]]] = field(default_factory=list)

    def case(
        self,
        op: str,
        *args: Any,
        call: Callable[..., Any] | None = None,
        note: str = "",
        smooth: bool = True,
        twice: bool = True,
        loose: float = 1.0,
        **kwargs: Any,
    ) -> None:
        """One call of `op`; see `Case`."""
        self.cases.append(Case(op, args, kwargs, call, note, smooth, twice, loose))

    def drawn(
        self,
        op: str,
        arguments: SearchStrategy[tuple[tuple[Any, ...], dict[str, Any]]],
        call: Callable[..., Any] | None = None,
        twice: bool = True,
        loose: float = 1.0,
    ) -> None:
        """Calls of `op` whose arguments hypothesis draws; see op_strategies.py. PyTorch must refuse what we refuse."""
        cases = arguments.map(lambda drawn: Case(op, *drawn, call, twice=twice, loose=loose))
        self.strategies.append((op, cases))

    def layer(
        self,
        name: str,
        *inputs: Any,
        build: tuple[Any, ...] = (),
        call: Callable[..., Any] | None = None,
        note: str = "",
        smooth: bool = True,
        twice: bool = True,
        loose: float = 1.0,
        training: bool = True,
        **options: Any,
    ) -> None:
        """One call of the module `nn.name(*build, **options)`, with its parameters and buffers drawn like the inputs.

        `call(module, *inputs)` replaces the plain call `module(*inputs)`.
        """
        made = Layer(name, build, options, training, call)
        module = made.module(minigrad)
        state = {
            key: x(*value.shape) if value.dtype.kind == "f" else given(value.tolist(), value.dtype.name)
            for key, value in module.named_parameters()
        }
        state |= {
            key: positive(*value.shape).fixed if value.dtype.kind == "f" else given(value.tolist(), value.dtype.name)
            for key, value in module.named_buffers()
        }
        words = [_words(a) for a in build] + [f"{k}={_words(v)}" for k, v in options.items()]
        note = f"with ({', '.join(words)})" + ("" if training else " in eval()") + (f" {note}" if note else "")
        self.cases.append(Case(name, (state, *inputs), {}, made, note, smooth, twice, loose))

    def wrong(
        self,
        error: type[minigrad.MinigradError],
        call: Callable[[Any], Any],
        *says: str,
        torch_allows: bool | None = False,
    ) -> None:
        """A call that must be refused; see `Mistake`."""
        self.mistakes.append(Mistake(error, call, says, torch_allows))


@dataclass(frozen=True)
class Layer:
    """A module of `nn`, called with given values of its parameters and buffers."""

    name: str
    build: tuple[Any, ...]
    options: dict[str, Any]
    training: bool = True
    call: Callable[..., Any] | None = None

    def module(self, library: ModuleType) -> Any:
        built = getattr(library.nn, self.name)(*self.build, **self.options)
        return built.train(self.training)

    def __call__(self, library: ModuleType, state: dict[str, Any], *inputs: Any) -> Any:
        """What the module returns; with buffers, also what it has made of them."""
        module = self.module(library)
        names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
        if names != list(state):
            raise LookupError(f"{library.__name__}.nn.{self.name}: parameters and buffers {names}, given {list(state)}")
        for name, value in state.items():
            *path, last = name.split(".")
            owner = module
            for part in path:
                owner = owner._modules[part]
            registry = owner._parameters if last in owner._parameters else owner._buffers
            registry[last] = value
        called = self.call or (lambda module, *inputs: module(*inputs))
        result = called(module, *inputs)
        buffers = [state[name] for name, _ in module.named_buffers() if name in state]
        if not buffers:
            return result
        return [*result, *buffers] if isinstance(result, (tuple, list)) else [result, *buffers]


# --- the two libraries ------------------------------------------------------------------------------------------


def find(library: ModuleType, op: str) -> Callable[..., Any]:
    """The function of that name, which PyTorch may have in one place only: nn.functional, torch, or as a method."""
    for place in (library.nn.functional, library, library.Tensor):
        if hasattr(place, op):
            return getattr(place, op)
    raise LookupError(f"{library.__name__} has no {op}")


def tensor(library: ModuleType, array: Array, requires_grad: bool = False) -> Any:
    """A leaf; an array that is not contiguous is shared, so that the op meets its strides."""
    made = library.tensor(array) if array.flags.c_contiguous else library.from_numpy(array)
    return made.requires_grad_() if requires_grad else made


def to_array(value: Any) -> Array:
    value = value.detach()
    if not isinstance(value, minigrad.Tensor) and value._is_zerotensor():
        # PyTorch keeps some gradients of zeros as a promise without memory; torch 2.13 crashes converting 0-dim ones.
        return np.zeros(tuple(value.shape), str(value.dtype).removeprefix("torch."))
    return value.numpy().copy()


def call(case: Case, library: ModuleType, args: Any, kwargs: Any) -> Any:
    return case.call(library, *args, **kwargs) if case.call else find(library, case.op)(*args, **kwargs)


def run(case: Case, library: ModuleType, dtype: str, variant: int = 0) -> Parts:
    """Everything that the case produces in one library, from the inputs of `case.seed(variant)`.

    The first gradients have a random upstream; the second gradients are those of sum(random * first gradient), by the
    inputs and by the upstream, so that an op linear in its input has one too.
    """
    rng = np.random.default_rng(case.seed(variant))
    leaves: list[Any] = []

    def made(value: Any) -> Any:
        if isinstance(value, Dtype):
            return getattr(library, value.name)
        if not isinstance(value, Draw):
            return value
        wanted = value.floating and value.differentiate
        leaf = tensor(library, value.draw(rng, dtype), wanted)
        if wanted:
            leaves.append(leaf)
        return leaf

    args, kwargs = filled(case.args, made), filled(case.kwargs, made)
    with warnings.catch_warnings():
        if library is not minigrad:  # PyTorch warns where it returns nan; we only return it
            warnings.simplefilter("ignore")
        return collect(library, call(case, library, args, kwargs), leaves, rng, case.twice)


def collect(library: ModuleType, result: Any, leaves: list[Any], rng: np.random.Generator, twice: bool = True) -> Parts:
    """Outputs, gradients and second gradients of a result that was computed from `leaves`."""
    parts: Parts = {}
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    upstream: list[Any] = []
    recorded: list[Any] = []
    for i, out in enumerate(outputs):
        if not isinstance(out, library.Tensor):
            parts[f"output {i} ({type(out).__name__})"] = np.asarray(out)
            continue
        parts[f"output {i}"] = to_array(out)
        if out.requires_grad:
            weights = rng.standard_normal(tuple(out.shape)).astype(np.float32)
            upstream.append(tensor(library, np.asarray(weights, to_array(out).dtype), requires_grad=True))
            recorded.append(out)
    if not recorded:
        return parts
    first = library.autograd.grad(recorded, leaves, upstream, create_graph=True, allow_unused=True)
    differentiable, random = [], []
    if library is minigrad:
        _check_unrecorded(recorded, leaves, upstream, first)
    for i, (g, leaf) in enumerate(zip(first, leaves, strict=True)):
        parts[f"gradient {i}"] = np.zeros_like(to_array(leaf)) if g is None else to_array(g)
        if g is not None and g.requires_grad:
            weights = rng.standard_normal(tuple(g.shape)).astype(np.float32)
            differentiable.append(g)
            random.append(tensor(library, np.asarray(weights, to_array(g).dtype)))
    if not twice:
        return parts
    wrt = [*leaves, *upstream]
    second: Any = [None] * len(wrt)  # a first gradient that depends on nothing has second gradients of zero
    if differentiable:
        second = library.autograd.grad(differentiable, wrt, random, allow_unused=True)
    for i, (g, by) in enumerate(zip(second, wrt, strict=True)):
        parts[f"second gradient {i}"] = np.zeros_like(to_array(by)) if g is None else to_array(g)
    return parts


def _check_unrecorded(outputs: list[Any], leaves: list[Any], upstream: list[Any], recorded: Any) -> None:
    """A backward pass that is not recorded may take another way (on arrays), but arrives at the same gradients."""
    plain = minigrad.grad(outputs, leaves, upstream, retain_graph=True, allow_unused=True)
    for g, want in zip(plain, recorded, strict=True):
        assert (g is None) == (want is None)
        if g is not None:
            assert not g.requires_grad
            assert (g.dtype, g.shape) == (want.dtype, want.shape)
            coarse = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-13}[g.dtype.name]
            np.testing.assert_allclose(to_array(g), to_array(want), rtol=coarse, atol=coarse)


# --- comparison -------------------------------------------------------------------------------------------------

TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "float16": 5e-3}


def tolerance_of(case: Case, dtype: str, parts: Parts) -> float:
    """Relative tolerance: that of the coarsest dtype which takes part."""
    names = {d.dtype or dtype for d in case.draws if d.floating} | {a.dtype.name for a in parts.values()}
    return case.loose * max((TOLERANCE[n] for n in names if n in TOLERANCE), default=TOLERANCE["float64"])


def differences(got: Parts, want: Parts, tolerance: float, dtypes: dict[str, str] | None = None) -> list[str]:
    """Where `got` differs from `want`, in words; nothing if all parts, dtypes, shapes and values agree.

    Values agree if their distance is at most `tolerance` times the largest finite magnitude in the wanted array, or 1.
    `dtypes` replaces the dtypes of `want`, where these were recorded from a run in another dtype.
    """
    if set(got) != set(want):
        return [f"got {sorted(got)}, wanted {sorted(want)}"]
    found = []
    for part, reference in want.items():
        value = got[part]
        COMPARED["values" if part.startswith("output") else part.rsplit(" ", 1)[0] + "s"] += 1
        dtype = reference.dtype.name if dtypes is None else dtypes[part]
        if value.dtype.name != dtype:
            found.append(f"{part}: dtype {value.dtype.name}, wanted {dtype}")
        if value.shape != reference.shape:
            found.append(f"{part}: shape {value.shape}, wanted {reference.shape}")
            continue
        a, b = value.astype(np.float64), reference.astype(np.float64)
        finite = np.abs(b[np.isfinite(b)])
        scale = max(1.0, finite.max()) if finite.size else 1.0
        with np.errstate(invalid="ignore"):
            agree = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= tolerance * scale)
        if not agree.all():
            place = tuple(int(i) for i in np.argwhere(~agree)[0])
            found.append(
                f"{part}{list(place) if place else ''}: {a[place]:.12g}, wanted {b[place]:.12g} "
                f"({int((~agree).sum())} of {agree.size} differ)"
            )
    return found


def of_case(case: Case, dtype: str = "float64", variant: int = 0) -> Parts:
    """What minigrad produces."""
    return run(case, minigrad, dtype, variant)


def as_function(case: Case) -> tuple[Callable[..., list[Any]], list[Any]]:
    """The case as a function of its differentiable inputs, and these, in float64: what gradcheck wants.

    The function returns a list of its outputs. Fixed arguments are made anew for every call, because a call may change
    them (running statistics), and are left out of the list.
    """
    rng = np.random.default_rng(case.seed())
    arrays = {id(d): d.draw(rng, "float64") for d in case.draws}
    wanted = [d for d in case.draws if d.floating and d.differentiate]

    def function(*tensors: Any) -> list[Any]:
        made = {id(d): tensor(minigrad, a) for d, a in zip(case.draws, arrays.values(), strict=True)}
        fixed = list(made.values())
        made.update(zip(map(id, wanted), tensors, strict=True))

        def actual(value: Any) -> Any:
            if isinstance(value, Draw):
                return made[id(value)]
            return getattr(minigrad, value.name) if isinstance(value, Dtype) else value

        result = call(case, minigrad, filled(case.args, actual), filled(case.kwargs, actual))
        outputs = [result] if isinstance(result, minigrad.Tensor) else list(result)
        return [o for o in outputs if not any(o is f for f in fixed)]

    return function, [tensor(minigrad, arrays[id(d)], requires_grad=True) for d in wanted]
