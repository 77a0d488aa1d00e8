"""What tests of formulas share: calls of ops from the op tables, numerical gradients, and LaTeX read as numbers."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from lessons.workbench.site.engine_code import Derivative, derivatives
from lessons.workbench.site.formula import Formula, formula_of
from lessons.workbench.site.formula_scope import NoFormula
from lessons.workbench.site.formula_tree import value
from minigrad.primitive import Op

sys.path.append(str(Path(__file__).parents[1] / "minigrad"))

Array = np.ndarray

CALLS_PER_OP = 12
LARGEST = 400  # elements of the inputs together: every one is moved a little, four times
# Of symmetric matrices only one triangle is read; the gradient is that of moving both halves together.
SYMMETRIC = {"_cholesky", "_eigh"}
# How many outputs anybody sees; the others are returned to be saved, and get no gradient.
VISIBLE_OUTPUTS = {"_batch_norm": 1, "_standardise": 1, "_lstm": 2, "_gru": 1}


@dataclass(frozen=True)
class WithGradient:
    """An op whose vjps are written in the engine."""

    name: str
    op: Op
    module: Any
    derivative: Derivative

    def formula(self) -> Formula:
        return formula_of(self.op, self.module, self.derivative)


@dataclass(frozen=True)
class Call:
    """One call of an op: its inputs and attributes."""

    arrays: list[Array]
    attributes: dict[str, Any]


@functools.cache
def ops_with_gradients() -> dict[str, WithGradient]:
    """All of them, by file and name: "minigrad.ops.elementwise.exp"."""
    found = {}
    for info in pkgutil.walk_packages(minigrad.__path__, "minigrad."):
        module = importlib.import_module(info.name)
        for name, derivative in derivatives(module).items():
            found[f"{info.name}.{name}"] = WithGradient(name, module.__dict__[name], module, derivative)
    return found


def has_formula(op: WithGradient) -> bool:
    return not why_none(op)


def why_none(op: WithGradient) -> str:
    """Why an op has no formula, or ""."""
    try:
        op.formula()
    except NoFormula as reason:
        return str(reason)
    return ""


# --- calls ------------------------------------------------------------------------------------------------------------


@functools.cache
def recorded_calls() -> Mapping[int, list[Call]]:
    """Calls of every op, by its identity, as the smooth cases of the op tables make them: in float64, not too large."""
    import op_cases
    import op_harness

    wanted = {id(o.op) for o in ops_with_gradients().values()}
    calls: dict[int, list[Call]] = defaultdict(list)
    original = Op.__call__

    def recording(self: Op, *args: Any, **attributes: Any) -> Any:
        if id(self) in wanted and len(calls[id(self)]) < CALLS_PER_OP:
            call = _call(self, args, attributes)
            if call is not None:
                calls[id(self)].append(call)
        return original(self, *args, **attributes)

    tried: dict[str, int] = defaultdict(int)
    Op.__call__ = recording  # type: ignore[method-assign]
    try:
        for case in op_cases.CASES:
            tried[case.op] += case.smooth
            if case.smooth and tried[case.op] <= 2 * CALLS_PER_OP:
                op_harness.run(case, minigrad, "float64")
    finally:
        Op.__call__ = original  # type: ignore[method-assign]
    return calls


def _call(op: Op, args: tuple[Any, ...], attributes: dict[str, Any]) -> Call | None:
    given, options = (args, attributes) if len(args) >= op.least else op._by_name(args, attributes)
    tensors = op._as_tensors(given)
    if op.promotes and op._mixed([t._array for t in tensors]):
        tensors = op._promote(tensors)
    arrays = [np.array(t._array) for t in tensors]
    small = 0 < sum(a.size for a in arrays) <= LARGEST
    return Call(arrays, dict(options)) if small and any(a.dtype == np.float64 for a in arrays) else None


# --- what the formula says and what is so -----------------------------------------------------------------------------


def outputs(op: WithGradient, call: Call, arrays: list[Array]) -> tuple[Array, ...]:
    result = op.op.forward(*arrays, **call.attributes)
    return tuple(np.asarray(r) for r in result) if isinstance(result, tuple) else (np.asarray(result),)


def cotangents(op: WithGradient, call: Call, rng: np.random.Generator) -> list[Array]:
    """A random gradient for each output that anybody sees."""
    out = outputs(op, call, call.arrays)
    g = [rng.standard_normal(o.shape).astype(o.dtype if o.dtype.kind == "f" else float) for o in out]
    for hidden in g[VISIBLE_OUTPUTS.get(op.name, len(g)) :]:
        hidden[...] = 0
    if op.name == "_svd":  # further columns of full matrices are arbitrary, and have no gradient
        k = out[1].shape[-1]
        g[0][..., k:], g[2][..., k:, :] = 0, 0
    return g


def names_of(op: WithGradient, call: Call, formula: Formula, g: list[Array]) -> dict[str, Any]:
    """What every name in the formula stands for."""
    out, signature = outputs(op, call, call.arrays), formula.signature
    many = isinstance(op.op.forward(*call.arrays, **call.attributes), tuple)
    names: dict[str, Any] = {
        signature.cotangent: tuple(g) if many else g[0],
        signature.output: out if many else out[0],
        **dict(zip(signature.inputs, call.arrays, strict=False)),
    }
    if signature.many:
        names[signature.many] = call.arrays[len(signature.inputs) :]
    vjp = op.op.joint_vjp or next(v for v in op.op.vjps or () if v)
    parameters = inspect.signature(vjp).parameters
    for attribute in signature.attributes:
        parameter = parameters.get(attribute)
        if attribute in call.attributes:
            names[attribute] = call.attributes[attribute]
        elif parameter is not None and parameter.kind is parameter.VAR_KEYWORD:
            names[attribute] = {k: v for k, v in call.attributes.items() if k not in parameters}
        elif parameter is not None and parameter.default is not parameter.empty:
            names[attribute] = parameter.default
    return names


def from_engine(op: WithGradient, call: Call, g: list[Array]) -> dict[int, Array]:
    """The same from the vjps themselves, through the tape."""
    leaves = [minigrad.tensor(a) for a in call.arrays]
    for leaf in leaves:
        leaf.requires_grad_(leaf.dtype.kind == "f")
    out = op.op(*leaves, **call.attributes)
    results = list(out) if isinstance(out, tuple) else [out]
    pairs = [(r, minigrad.tensor(c)) for r, c in zip(results, g, strict=True) if r.requires_grad]
    wrt = {i: leaf for i, leaf in enumerate(leaves) if leaf.requires_grad and leaf.dtype == np.float64}
    found = minigrad.grad([r for r, _ in pairs], list(wrt.values()), [c for _, c in pairs], allow_unused=True)
    return {i: x.numpy() for i, x in zip(wrt, found, strict=True) if x is not None}


def from_formula(op: WithGradient, call: Call, formula: Formula, g: list[Array]) -> dict[int, Array]:
    """The gradient of each input, by its place, computed from the formula's tree."""
    names = names_of(op, call, formula, g)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if formula.joint is not None:
            whole = value(formula.joint, names)
            found = dict(enumerate(whole if isinstance(whole, tuple) else (whole,)))
        else:
            places = {name: i for i, name in enumerate(formula.signature.inputs)}
            found = {places[r.symbol.name]: value(r.meaning, names) for r in formula.results if r.symbol.name in names}
    return {
        i: _like(np.asarray(got), call.arrays[i])
        for i, got in found.items()
        if i < len(call.arrays) and call.arrays[i].dtype == np.float64
    }


def _like(got: Array, x: Array) -> Array:
    """Summed over what broadcasting had repeated, as the engine does behind every vjp."""
    got = np.broadcast_to(got, np.broadcast_shapes(got.shape, x.shape))
    got = got.sum(axis=tuple(range(got.ndim - x.ndim)))
    return got.sum(axis=tuple(i for i, n in enumerate(x.shape) if n == 1 and got.shape[i] != 1), keepdims=True)


def numerical(op: WithGradient, call: Call, place: int, g: list[Array]) -> tuple[Array, Array]:
    """The gradient of one input from differences of the forward alone, and where it can be trusted."""
    x = call.arrays[place]

    def total(moved: Array) -> float:
        arrays = [*call.arrays[:place], moved, *call.arrays[place + 1 :]]
        return math.fsum(float(np.sum(o * c)) for o, c in zip(outputs(op, call, arrays), g, strict=True))

    slopes = np.zeros((2, *x.shape))
    with np.errstate(all="ignore"):
        for index in np.ndindex(x.shape):
            for k, h in enumerate((2e-4, 1e-4)):
                step = np.zeros(x.shape)
                step[index] += h
                if op.name in SYMMETRIC:
                    step = (step + np.swapaxes(step, -1, -2)) / 2
                slopes[(k, *index)] = (total(x + step) - total(x - step)) / (2 * h)
        best = (4 * slopes[1] - slopes[0]) / 3
        smooth = np.abs(slopes[1] - slopes[0]) < 1e-4 * (1 + np.abs(best))  # not across a kink or beside a pole
    return best, smooth


def differences(op: WithGradient, call: Call, formula: Formula) -> tuple[list[str], int]:
    """Where the formula and the numerical gradient differ, in words; and how many elements were compared."""
    g = cotangents(op, call, np.random.default_rng(17))
    said, compared = [], 0
    for place, got in from_formula(op, call, formula, g).items():
        want, smooth = numerical(op, call, place, g)
        smooth &= np.isfinite(got)
        error = np.abs(np.where(smooth, got - want, 0)) / (1 + np.abs(want))
        if got.shape != want.shape:
            said.append(f"input {place}: shape {got.shape}, and not {want.shape}")
        elif error.max(initial=0) > 1e-5:
            said.append(f"input {place}: off by {error.max():.2g}, attributes {sorted(call.attributes)}")
        compared += int(smooth.sum())
    return said, compared


# --- LaTeX as numbers -------------------------------------------------------------------------------------------------


class Unreadable(Exception):
    """LaTeX that is more than arithmetic on elements."""


_TOKEN = re.compile(r"\\begin\{cases\}|\\end\{cases\}|\\text\{[^{}]*\}|\\[A-Za-z]+|\\\\|\\,|\d+(?:\.\d+)?|\S")
_CALLED: dict[str, Callable[..., Any]] = {
    r"\sin": np.sin, r"\cos": np.cos, r"\tan": np.tan, r"\sinh": np.sinh, r"\cosh": np.cosh, r"\tanh": np.tanh,
    r"\ln": np.log, r"\sigma": lambda x: 1 / (1 + np.exp(-x)), r"\max": np.maximum, "sign": np.sign,
    "logit": lambda x: np.log(x / (1 - x)), "softplus": lambda x: np.logaddexp(0, x),
    "erfc": np.vectorize(math.erfc, otypes=[float]), "trunc": np.trunc,
}  # fmt: skip
_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal, r"\ne": np.not_equal, "<": np.less, r"\le": np.less_equal, ">": np.greater,
    r"\ge": np.greater_equal,
}  # fmt: skip


class Reader:
    """Computes a printed formula: an independent reading of what a person would read.

    It knows nothing of trees.  A letter, a letter with a bar, a Greek letter or a \\text is a name; side by side is
    times; everything else is what it is in a book.
    """

    def __init__(self, latex: str, names: Mapping[str, Any]) -> None:
        self.tokens = [t for t in _TOKEN.findall(latex) if t not in (r"\,", r"\left", r"\right", r"\odot")]
        self.names = names
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise Unreadable(f"expected {expected or 'more'} at {self.tokens[self.at :][:6]}")
        self.at += 1
        return token

    def read(self) -> Any:
        result = self.sum()
        if self.peek():
            raise Unreadable(f"more than a formula: {self.tokens[self.at :][:6]}")
        return result

    def sum(self) -> Any:
        negative = self.peek() == "-"
        if negative:
            self.take()
        result = -self.product() if negative else self.product()
        while self.peek() in ("+", "-"):
            result = result + self.product() if self.take() == "+" else result - self.product()
        return result

    def product(self) -> Any:
        result = self.power()
        while self.starts_a_factor():
            if self.peek() == r"\cdot":
                self.take()
            result = result * self.power()
        return result

    def starts_a_factor(self) -> bool:
        token = self.peek()
        if token.startswith(r"\text"):
            return _bare(token) in self.names
        stops = {"", "+", "-", ")", "]", "}", "&", ",", r"\\", r"\end{cases}", r"\rfloor", *_COMPARED}
        return token not in stops and not (token == "|" and self.open_bars)

    open_bars = 0

    def power(self) -> Any:
        base = self.atom()
        if self.peek() == "^":
            self.take()
            return base ** self.group()
        return base

    def group(self) -> Any:
        self.take("{")
        result = self.sum()
        self.take("}")
        return result

    def atom(self) -> Any:
        token = self.take()
        if token == "e" and self.peek() == "^":
            self.take()
            return np.exp(self.group())
        if token[0].isdigit():
            return float(token)
        if token == "(":
            result = self.sum()
            self.take(")")
            return result
        if token == "[":
            result = np.asarray(self.condition()).astype(float)
            self.take("]")
            return result
        if token == "|":
            self.open_bars += 1
            result = np.abs(self.sum())
            self.open_bars -= 1
            self.take("|")
            return result
        return self.command(token)

    def command(self, token: str) -> Any:
        match token:
            case r"\frac":
                return self.group() / self.group()
            case r"\sqrt":
                return np.sqrt(self.group())
            case r"\lfloor":
                result = np.floor(self.sum())
                self.take(r"\rfloor")
                return result
            case r"\pi":
                return math.pi
            case r"\infty":
                return math.inf
            case r"\begin{cases}":
                return self.cases()
            case r"\bar" | r"\overline":
                self.take("{")
                name = self.take()
                self.take("}")
                return self.names[f"bar {_bare(name)}"]
            case r"\operatorname":
                self.take("{")
                letters = ""
                while self.peek() != "}":
                    letters += self.take()
                self.take("}")
                return self.called(letters)
        if token in _CALLED:
            return self.called(token)
        name = _bare(token)
        if token in (r"\text{None}", r"\text{nan}"):
            return None if "None" in token else math.nan
        if name not in self.names:
            raise Unreadable(f"what is {token}?")
        return self.names[name]

    def called(self, name: str) -> Any:
        if name not in _CALLED:
            raise Unreadable(f"what is {name}?")
        self.take("(")
        arguments = [self.sum()]
        while self.peek() == ",":
            self.take()
            arguments.append(self.sum())
        self.take(")")
        return _CALLED[name](*arguments)

    def cases(self) -> Any:
        rows: list[tuple[Any, Any]] = []
        while True:
            result = self.sum()
            self.take("&")
            word = self.take()
            if word == r"\text{otherwise}":
                self.take(r"\end{cases}")
                break
            if word != r"\text{if }":
                raise Unreadable(word)
            rows.append((self.condition(), result))
            self.take(r"\\")
        for condition, chosen in reversed(rows):
            result = np.where(condition, chosen, result)
        return result

    def condition(self) -> Any:
        result = self.comparison()
        while self.peek() in (r"\text{ and }", r"\text{ or }"):
            word = self.take()
            other = self.comparison()
            result = np.logical_and(result, other) if "and" in word else np.logical_or(result, other)
        return result

    def comparison(self) -> Any:
        if self.peek() == r"\text{not }":
            self.take()
            self.take("(")
            result = np.logical_not(self.condition())
            self.take(")")
            return result
        left = self.sum()
        if self.peek() == r"\text{ is nan}":
            self.take()
            return np.isnan(left)
        if self.peek() == r"\text{ is finite}":
            self.take()
            return np.isfinite(left)
        if self.peek() not in _COMPARED:  # a name that is a condition itself
            return left
        return _COMPARED[self.take()](left, self.sum())


def _bare(token: str) -> str:
    """The name that a letter, a Greek letter or a word in \\text stands for."""
    greek = {r"\lambda": "lambd", r"\varepsilon": "eps"}
    return greek.get(token, token.removeprefix(r"\text{").removesuffix("}").replace(r"\_", "_").lstrip("\\"))


def read_lines(latex: str, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The lines of a printed formula, each computed after those before it: (what stands on the left, its value)."""
    body = latex.removeprefix(r"\begin{align*}").removesuffix(r"\end{align*}")
    known = dict(names)
    for line in _split_lines(body):
        left, _, right = line.replace("&=", "=", 1).partition("=")
        result = Reader(right, known).read()
        left = left.strip()
        if left.startswith((r"\bar", r"\overline")):
            key = "bar " + _bare(left.partition("{")[2].removesuffix("}"))
        else:
            key = _bare(left)
        known[key] = result
        yield key, result


def _split_lines(body: str) -> Iterator[str]:
    """Lines of an align*, whose cases have lines of their own."""
    depth, line = 0, ""
    for piece in re.split(r"(\\begin\{cases\}|\\end\{cases\}|\\\\)", body):
        depth += (piece == r"\begin{cases}") - (piece == r"\end{cases}")
        if piece == r"\\" and not depth:
            yield line
            line = ""
        else:
            line += piece
    yield line
