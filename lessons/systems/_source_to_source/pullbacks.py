"""The pullback of each primitive: from the adjoint of its result to the adjoints of its arguments.

In the formulas x and y are the arguments, `r` is the result and `bar` its adjoint. They are source code, because
source code is what the transformation writes.
"""

from __future__ import annotations

import ast
import builtins
import functools
import math
from types import ModuleType
from typing import Any

from lessons.systems._source_to_source.ir import parts, rebuilt

PULLBACKS: dict[str, tuple[str, ...]] = {
    "x + y": ("bar", "bar"),
    "x - y": ("bar", "-bar"),
    "x * y": ("bar * y", "bar * x"),
    "x / y": ("bar / y", "-bar * r / y"),
    # 0 ** 0 is 1 for any base nearby, and 0 ** -1 would be an error.
    "x ** y": ("bar * (y * x ** (y - 1) if y != 0 else 0.0)", "bar * (r * math.log(x) if x > 0 else 0.0)"),
    "x % y": ("bar", "-bar * (x // y)"),
    "x // y": ("0.0", "0.0"),
    "-x": ("-bar",),
    "+x": ("bar",),
    "abs(x)": ("bar if x > 0 else -bar if x < 0 else 0.0",),
    # Of two equal arguments, Python returns the first.
    "max(x, y)": ("0.0 if y > x else bar", "bar if y > x else 0.0"),
    "min(x, y)": ("0.0 if y < x else bar", "bar if y < x else 0.0"),
    "float(x)": ("bar",),
    "int(x)": ("0.0",),
    "math.floor(x)": ("0.0",),
    "math.ceil(x)": ("0.0",),
    "math.exp(x)": ("bar * r",),
    "math.expm1(x)": ("bar * (r + 1)",),
    "math.log(x)": ("bar / x",),
    "math.log1p(x)": ("bar / (1 + x)",),
    "math.log2(x)": (f"bar / ({math.log(2)!r} * x)",),
    "math.log10(x)": (f"bar / ({math.log(10)!r} * x)",),
    "math.sqrt(x)": ("bar / (2 * r)",),
    "math.sin(x)": ("bar * math.cos(x)",),
    "math.cos(x)": ("-bar * math.sin(x)",),
    "math.tan(x)": ("bar * (1 + r * r)",),
    "math.asin(x)": ("bar / math.sqrt(1 - x * x)",),
    "math.acos(x)": ("-bar / math.sqrt(1 - x * x)",),
    "math.atan(x)": ("bar / (1 + x * x)",),
    "math.sinh(x)": ("bar * math.cosh(x)",),
    "math.cosh(x)": ("bar * math.sinh(x)",),
    "math.tanh(x)": ("bar * (1 - r * r)",),
    "math.atan2(x, y)": ("bar * y / (x * x + y * y)", "-bar * x / (x * x + y * y)"),
    "math.hypot(x, y)": ("bar * x / r", "bar * y / r"),
    "math.erf(x)": (f"bar * {2 / math.sqrt(math.pi)!r} * math.exp(-x * x)",),
}

# NumPy's names for the same functions of a number.
NUMPY_NAMES = {
    "abs": "abs", "absolute": "abs", "fabs": "abs", "maximum": "max", "minimum": "min",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "power": "pow",
}  # fmt: skip


def key_of(expression: ast.expr) -> str | None:
    """The entry of the table that an operation belongs to, or None: `a * b` belongs to "x * y"."""
    return _KEYS.get(_signature(expression))


def pullback(expression: ast.expr, result: ast.expr, bar: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Each argument of an operation with what it receives."""
    key = key_of(expression)
    assert key is not None
    arguments = parts(expression)
    meaning = dict(zip(("x", "y"), arguments, strict=False)) | {"r": result, "bar": bar}
    return [
        (argument, substituted(_parsed(formula), meaning))
        for argument, formula in zip(arguments, PULLBACKS[key], strict=True)
    ]


def differentiable(expression: ast.expr) -> list[ast.expr]:
    """The arguments that an operation has a derivative with respect to: both of x + y, none of x // y."""
    key = key_of(expression)
    if key is None:
        return []
    pairs = zip(parts(expression), PULLBACKS[key], strict=True)
    return [argument for argument, formula in pairs if formula != "0.0"]


def substituted(expression: ast.expr, meaning: dict[str, ast.expr]) -> ast.expr:
    """An expression with expressions in the place of names."""
    if isinstance(expression, ast.Name):
        return meaning.get(expression.id, expression)
    return rebuilt(expression, lambda part: substituted(part, meaning))


def primitive_named(value: Any) -> str | None:
    """The name in the emitted source of a function that Python code calls: math.sin and np.sin are "math.sin"."""
    for known in ("abs", "max", "min", "float", "int", "pow"):
        if value is getattr(builtins, known):
            return known
    called = getattr(value, "__name__", "")
    if isinstance(value, type) or not callable(value):
        return None
    if value is getattr(math, called, None):
        short = {"fabs": "abs"}.get(called, called)
    elif type(value).__name__ == "ufunc":
        short = NUMPY_NAMES.get(called, called)
    else:
        return None
    if short in ("abs", "max", "min", "pow"):
        return short
    return f"math.{short}" if any(key.startswith(f"math.{short}(") for key in PULLBACKS) else None


def is_number_module(value: Any) -> bool:
    return isinstance(value, ModuleType) and value.__name__ in ("math", "numpy")


@functools.cache
def _parsed(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


def _signature(expression: ast.expr) -> tuple[str, int]:
    """The operator or the function, and the number of operands."""
    if isinstance(expression, (ast.BinOp, ast.UnaryOp)):
        return type(expression.op).__name__, len(parts(expression))
    if isinstance(expression, ast.Call):
        return ast.unparse(expression.func), len(expression.args)
    return "", 0


_KEYS = {_signature(_parsed(key)): key for key in PULLBACKS}
