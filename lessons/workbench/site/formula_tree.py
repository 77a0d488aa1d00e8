"""What a formula says, as a tree that is both printed (`formula_latex`) and computed (`value`).

Every node is computed with NumPy alone, except `Apply`, which names an op or a function of the engine and calls it.
So a formula can be compared with a numerical derivative: what a page shows is what was tested.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

Values = Mapping[str, Any]  # what each name stands for: arrays, and the attributes of a call


@dataclass(frozen=True)
class Node:
    """A part of a formula."""

    def children(self) -> Iterator[Node]:
        """The parts that it is made of, from left to right."""
        for f in fields(self):
            part = getattr(self, f.name)
            for child in part if isinstance(part, tuple) else (part,):
                if isinstance(child, Node):
                    yield child
                elif isinstance(child, tuple):
                    yield from (c for c in child if isinstance(c, Node))

    def walk(self) -> Iterator[Node]:
        """The node and everything below it."""
        yield self
        for child in self.children():
            yield from child.walk()


@dataclass(frozen=True)
class Number(Node):
    """A constant; ``latex`` is how it is written where the digits say too little, such as pi."""

    number: float
    latex: str = ""


@dataclass(frozen=True)
class Symbol(Node):
    """A name; ``role`` is "cotangent", "output", "input" or "attribute"."""

    name: str
    role: str


@dataclass(frozen=True)
class Word(Node):
    """A value that is not a number: None, True, or a text such as "floor"."""

    word: Any


@dataclass(frozen=True)
class Binary(Node):
    """``sign`` is one of + - * / ** @."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Negative(Node):
    operand: Node


@dataclass(frozen=True)
class Function(Node):
    """A function of mathematics, applied to every element: one of `FUNCTIONS`."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Reduction(Node):
    """A sum, mean or product; ``dims`` and ``keepdim`` are Python expressions, or None for all and False."""

    name: str
    operand: Node
    dims: Code | None
    keepdim: Code | None


@dataclass(frozen=True)
class Transposed(Node):
    """With the last two dimensions exchanged."""

    operand: Node


@dataclass(frozen=True)
class Inverse(Node):
    """The inverse matrices."""

    operand: Node


@dataclass(frozen=True)
class Compared(Node):
    """``sign`` is one of == != < <= > >=, or "is" and "is not" for words."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Joined(Node):
    """Conditions that are joined by ``word``: "and", "or"."""

    word: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Not(Node):
    operand: Node


@dataclass(frozen=True)
class Indicator(Node):
    """1 where a condition holds, else 0."""

    condition: Node


@dataclass(frozen=True)
class Cases(Node):
    """The value beside the first condition that holds; the last one where none does."""

    branches: tuple[tuple[Node, Node], ...]  # (condition, value)
    otherwise: Node


@dataclass(frozen=True)
class Local(Node):
    """A name that the code gives to a part of the formula."""

    name: str
    meaning: Node


@dataclass(frozen=True)
class Output(Node):
    """One of several outputs, or the gradient of one, under the name that the code gives it."""

    name: str
    whole: Symbol
    index: int


@dataclass(frozen=True)
class Code(Node):
    """A Python expression that is no part of the mathematics: a shape, an index, an option."""

    text: str
    module: Mapping[str, Any] = field(compare=False, repr=False)
    renamed: tuple[tuple[str, Any], ...] = ()  # names in the text that stand for parts of the formula


@dataclass(frozen=True)
class Reshaped(Node):
    """The same numbers in another shape; ``shown`` says whether a reader should be told."""

    how: str
    operand: Node
    details: tuple[Code, ...]
    shown: bool = False


@dataclass(frozen=True)
class Item(Node):
    """One of several outputs, or a part of an array: ``index`` is Python."""

    operand: Node
    index: Code


@dataclass(frozen=True)
class Apply(Node):
    """An op or function of the engine, called with arrays; ``options`` are its keyword arguments, "**" for a dict."""

    name: str
    function: Callable[..., Any] = field(compare=False, repr=False)
    arguments: tuple[Node, ...] = ()
    options: tuple[tuple[str, Node], ...] = ()


@dataclass(frozen=True)
class Several(Node):
    """A tuple, or with keys a dict."""

    parts: tuple[Node, ...]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spread(Node):
    """All inputs of an op that takes any number of them, as arguments of a call."""

    operand: Node


@dataclass(frozen=True)
class Blocks(Node):
    """A matrix of matrices, by rows."""

    rows: tuple[tuple[Node, ...], ...]


CONDITIONS = (Compared, Joined, Not)
_TRUTH = {"isnan", "isfinite", "isinf", "any"}  # functions whose values are true or false


def is_condition(node: Node) -> bool:
    """Whether a node says where something holds."""
    if isinstance(node, Local):
        return is_condition(node.meaning)
    if isinstance(node, Reshaped):
        return is_condition(node.operand)
    if isinstance(node, Cases):
        return all(is_condition(part) for part in (node.otherwise, *(v for _, v in node.branches)))
    return isinstance(node, CONDITIONS) or (isinstance(node, Function) and node.name in _TRUTH)


def words(text: str) -> str:
    r"""Text in a formula: \text{...}, with what LaTeX reads as commands escaped."""
    for sign in "\\{}$&#%_^~":
        text = text.replace(sign, {"\\": "", "^": " ", "~": "not "}.get(sign, f"\\{sign}"))
    return rf"\text{{{text}}}"


# --- what it is worth ---------------------------------------------------------------------------------------------


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "reciprocal": lambda x: 1 / x,
    "square": np.square, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "abs": np.abs, "sign": np.sign, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x), "logit": lambda x: np.log(x / (1 - x)),
    "erfc": np.vectorize(math.erfc, otypes=[float]), "isnan": np.isnan, "isfinite": np.isfinite, "isinf": np.isinf,
    "floor_divide": np.floor_divide, "truncated_divide": lambda x, y: np.trunc(x / y), "xlogy": lambda x, y: np.where(
        x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, y))
    ), "at_least": np.maximum, "any": np.any,
}  # fmt: skip

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "@": np.matmul,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "is": lambda a, b: a is b,
    "is not": lambda a, b: a is not b,
}
_REDUCTIONS: dict[str, Callable[..., Any]] = {"sum": np.sum, "mean": np.mean, "prod": np.prod}


def value(node: Node, values: Values) -> Any:
    """What the node is worth where names stand for `values`: a NumPy array, a word, or a tuple of them."""
    match node:
        case Number(number):
            return number
        case Symbol(name):
            return values[name]
        case Word(word):
            return word
        case Binary(sign, left, right) | Compared(sign, left, right):
            return _SIGNS[sign](value(left, values), value(right, values))
        case Negative(operand):
            return -value(operand, values)
        case Function(name, arguments):
            return FUNCTIONS[name](*(value(a, values) for a in arguments))
        case Reduction(name, operand, dims, keepdim):
            over = None if dims is None else value(dims, values)
            kept = False if keepdim is None else value(keepdim, values)
            return _REDUCTIONS[name](
                value(operand, values), axis=tuple(over) if isinstance(over, list) else over, keepdims=kept
            )
        case Transposed(operand):
            return np.swapaxes(value(operand, values), -1, -2)
        case Inverse(operand):
            return np.linalg.inv(value(operand, values))
        case Joined(word, left, right):
            return _joined(word, value(left, values), right, values)
        case Not(operand):
            return np.logical_not(value(operand, values))
        case Indicator(condition):
            return np.asarray(value(condition, values)).astype(float)
        case Cases(branches, otherwise):
            return _chosen(branches, otherwise, values)
        case Local(_, meaning):
            return value(meaning, values)
        case Output(_, whole, index):
            return value(whole, values)[index]
        case Code():
            return _evaluated(node, values)
        case Reshaped(how, operand, details):
            form = "np.s_[{}]" if how == "index" else "{}"
            return _RESHAPES[how](value(operand, values), *(_evaluated(d, values, form) for d in details))
        case Item(operand, index):
            return value(operand, values)[_evaluated(index, values, "np.s_[{}]")]
        case Apply():
            return _applied(node, values)
        case Spread(operand):
            return value(operand, values)
        case Several(parts):
            return tuple(value(part, values) for part in parts)
        case Blocks(rows):
            return np.block([[value(block, values) for block in row] for row in rows])
    raise AssertionError(f"a node without a value: {node}")


def _joined(word: str, left: Any, right: Node, values: Values) -> Any:
    if np.ndim(left) == 0 and not isinstance(left, np.ndarray):  # words and flags, as Python joins them
        return (left and value(right, values)) if word == "and" else (left or value(right, values))
    return (np.logical_and if word == "and" else np.logical_or)(left, value(right, values))


def _chosen(branches: tuple[tuple[Node, Node], ...], otherwise: Node, values: Values) -> Any:
    if not branches:
        return value(otherwise, values)
    (condition, result), rest = branches[0], branches[1:]
    holds = value(condition, values)
    if not isinstance(holds, np.ndarray):  # a flag: the other branch may have no meaning
        return value(result, values) if holds else _chosen(rest, otherwise, values)
    with np.errstate(all="ignore"):  # what is not chosen may be 0 / 0
        return np.where(holds, value(result, values), _chosen(rest, otherwise, values))


class _Plain(ast.NodeTransformer):
    """`x._array` is `x` where names stand for arrays already, and every input needs a gradient."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr == "requires_grad":
            return ast.Constant(True)
        return node.value if node.attr == "_array" else node


def _evaluated(node: Code, values: Values, form: str = "{}") -> Any:
    tree = ast.fix_missing_locations(_Plain().visit(ast.parse(form.format(node.text), mode="eval")))
    names = {**values, **{name: value(meaning, values) for name, meaning in node.renamed}}
    return eval(compile(tree, "<formula>", "eval"), {**node.module, "np": np, **names})  # our own source, not input


def _applied(node: Apply, values: Values) -> Any:
    """The engine's own function: arrays go in as tensors, and tensors come out as arrays."""
    import minigrad

    arguments: list[Any] = []
    for a in node.arguments:
        given = value(a, values)
        arguments += given if isinstance(a, Spread) else [given]
    options: dict[str, Any] = {}
    for key, option in node.options:
        options |= value(option, values) if key == "**" else {key: value(option, values)}
    with minigrad.no_grad():
        tensors = [minigrad.as_tensor(a) if isinstance(a, (np.ndarray, np.generic)) else a for a in arguments]
        ours = node.function.__module__.startswith("minigrad.")
        return _arrays(node.function(*(tensors if ours else arguments), **options))


def _arrays(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return tuple(_arrays(r) for r in result)
    return np.array(result._array) if hasattr(result, "_array") else result


def _kept(x: Any, dims: Any, keepdim: Any) -> Any:
    return x if keepdim else np.expand_dims(x, tuple(dims))


_RESHAPES: dict[str, Callable[..., Any]] = {
    "kept": _kept,
    "same": lambda x: x,
    "zeros": np.zeros_like,
    "ones": np.ones_like,
    "unsqueeze": np.expand_dims,
    "index": lambda x, index: x[index],
    "expand": lambda x, *shape: np.broadcast_to(x, shape[0] if isinstance(shape[0], (tuple, list)) else shape),
    "reshape": lambda x, *shape: np.reshape(x, shape[0] if isinstance(shape[0], (tuple, list)) else shape),
    "flip": lambda x, *dims: np.flip(x, dims),
    "sum_to": lambda x, shape: _summed(x, shape),
}


def _summed(x: Any, shape: tuple[int, ...]) -> Any:
    """Summed over what broadcasting to the shape of `x` had repeated."""
    x = np.sum(x, axis=tuple(range(np.ndim(x) - len(shape))))
    return np.sum(x, axis=tuple(i for i, n in enumerate(shape) if n == 1 and x.shape[i] != 1), keepdims=True)
