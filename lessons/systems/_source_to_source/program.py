"""All passes in a row: from a function to the function of its gradient, as source, as Python, and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lessons.systems._source_to_source.adjoint import adjoint_name, adjoint_of, place_tapes
from lessons.systems._source_to_source.emit import listing_of, source_of
from lessons.systems._source_to_source.ir import Call, Function, assigned_twice, copied, walk
from lessons.systems._source_to_source.optimise import optimise
from lessons.systems._source_to_source.reading import read
from lessons.systems._source_to_source.ssa import program_in_ssa


@dataclass(frozen=True)
class Derivative:
    """The adjoint program of `name`, called like a function: derivative(seed, *arguments) -> tuple of adjoints.

    `forward` has the functions in SSA form, `derived` their adjoints as the pullbacks give them, and `optimised` both
    after the optimiser; all by name.
    """

    name: str
    forward: dict[str, Function]
    derived: dict[str, Function]
    optimised: dict[str, Function]

    def __call__(self, *arguments: Any) -> tuple[float, ...]:
        return self.python(*arguments)

    @property
    def ssa(self) -> str:
        """The SSA listing of the function."""
        return listing_of(self.forward[self.name])

    @property
    def source_as_derived(self) -> str:
        """The whole program before the optimiser, ready to run."""
        return _program({**self.forward, **self.derived}, adjoint_name(self.name))

    @property
    def source(self) -> str:
        """The whole program, ready to run: the adjoint, and what it calls."""
        return _program(self.optimised, adjoint_name(self.name))

    @cached_property
    def python(self) -> Callable[..., tuple[float, ...]]:
        return run(self.source)[adjoint_name(self.name)]

    @cached_property
    def primal(self) -> Callable[..., Any]:
        """The function itself, rebuilt from its SSA form."""
        return run(_program(self.optimised, self.name))[self.name]

    def compiled(self) -> Callable[..., tuple[float, ...]]:
        """The adjoint program, compiled by Numba when it is first called with arguments of some types."""
        return compiled(self.source, adjoint_name(self.name))


def differentiate(function: Callable[..., Any] | str, entry: str | None = None) -> Derivative:
    """Transform a function, given itself or as source text, into the program of its gradient.

    Raises:
        UnsupportedSyntax: the function is outside the subset; the message has the line and what to write instead.
        SourceNotFound: Python has not kept the source.
    """
    definition = read(function, entry)
    forward = program_in_ssa(definition)
    for each in forward.values():
        assert not assigned_twice(each), each.name
    derived = {adjoint_name(key): adjoint_of(each) for key, each in forward.items()}
    for key in forward:
        d = adjoint_name(key)
        # An adjoint that was transformed before may come in again; it has the parameters of the one that is made here.
        if d in forward and forward[d].parameters != derived[d].parameters:
            raise definition.refuse(
                definition.tree, f"a function called {d}, as the adjoint of {key} is", f"Rename {d}."
            )
    optimised = {key: copied(each) for key, each in {**forward, **derived}.items()}
    for each in optimised.values():
        optimise(each)
    for each in (*derived.values(), *(optimised[key] for key in derived)):
        place_tapes(each)
    return Derivative(definition.tree.name, forward, derived, optimised)


def gradient(function: Callable[..., Any] | str, *arguments: float) -> tuple[float, ...]:
    """The gradient of a function that returns one number: gradient(F, 5) is the tuple of its one derivative at 5."""
    derivative = differentiate(function)
    if derivative.forward[derivative.name].shape is not None:
        raise ValueError(f"{derivative.name} returns a tuple; call differentiate(...) with a seed for each result")
    return derivative(1.0, *arguments)


def diff_prog(source: str, **at: float) -> tuple[Any, str]:
    """The post's interface: the value at a point, and source text that defines dF(seed) there.

    The inputs are default values of dF, so that it can be called with the seed alone, or with other inputs too.
    """
    derivative = differentiate(source)
    parameters = derivative.forward[derivative.name].parameters
    if set(at) != set(parameters):
        raise TypeError(f"diff_prog: {derivative.name} takes {', '.join(parameters)}; got {', '.join(at) or 'nothing'}")
    head, rest = derivative.source.rsplit("def ", 1)
    plain = ", ".join(parameters)
    with_defaults = ", ".join(f"{parameter}={at[parameter]!r}" for parameter in parameters)
    first, body = rest.split("\n", 1)
    value = derivative.primal(*(at[parameter] for parameter in parameters))
    return value, f"{head}def {first.replace(plain + '):', with_defaults + '):')}\n{body}"


def run(source: str, **names: Any) -> dict[str, Any]:
    """Execute emitted source and return what it defines; `names` are there beforehand."""
    namespace: dict[str, Any] = {"math": math, **names}
    exec(compile(source, "<source to source>", "exec"), namespace)
    return namespace


def compiled(source: str, entry: str) -> Callable[..., Any]:
    """Execute emitted source and compile every function in it with Numba."""
    import numba

    namespace = run(source)
    for key, value in list(namespace.items()):
        if callable(value) and getattr(value, "__module__", None) != "math" and key != "__builtins__":
            namespace[key] = numba.njit(value)
    return namespace[entry]


def _program(functions: dict[str, Function], entry: str) -> str:
    """The source of a function and of all that it calls, callees first."""
    parts = [source_of(functions[key]) for key in _reachable(functions, entry)]
    head = "import math\n\n\n" if any("math." in part for part in parts) else ""
    return head + "\n\n".join(parts)


def _reachable(functions: dict[str, Function], entry: str) -> list[str]:
    order: list[str] = []
    seen: set[str] = set()

    def visit(key: str) -> None:
        if key in seen:
            return
        seen.add(key)
        for statement in walk(functions[key].body):
            if isinstance(statement, Call):
                visit(statement.function)
        order.append(key)

    visit(entry)
    return order
