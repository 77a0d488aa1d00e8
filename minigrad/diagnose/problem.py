"""The question: a forward pass, the results that are asked for, and random draws at two sizes of each dimension."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..dtypes import Array
from . import cuts
from .parts import DiagnoseError, Term

NEGLIGIBLE = 1e-12  # relative: a part of a gradient below this is rounding, not a path


@dataclass(frozen=True)
class Draw:
    """One random problem: `values` has the inputs, the named values and the upstream gradients by name."""

    sizes: dict[str, int]
    setting: int
    inputs: dict[str, Any]
    upstream: dict[str, Array]
    values: dict[str, Any]
    named: tuple[str, ...]
    want: dict[str, Array] = field(default_factory=dict)
    terms: dict[str, dict[str, Array]] = field(default_factory=dict)


class Problem:
    """A gradient (or a forward pass) that somebody is to write, with the terms that it is the sum of.

    Args:
        forward: from (named, **inputs) to a Tensor or a tuple of them; `named(name, tensor)` names an intermediate.
        inputs: from (rng, **sizes) to the dictionary of inputs; or that dictionary, for one fixed problem.
        terms: for each result, in the order in which they are returned, its terms. "dx" is the gradient with respect to
            the input or named value "x"; a result whose terms have `value` functions is the named value itself.
        sizes: two sizes, different ones, of each dimension: {"N": (4, 7), "D": (3, 2)}. They are varied one at a time.
        upstream: the names of the gradients that arrive at the outputs.
        factors: named functions of the values (a dictionary) to arrays, which mistakes may have multiplied terms with;
            inputs and named values are tried anyway.
        meanings: what a factor such as "N/(N-1)" says about the mistake, if not the usual: "it ..." goes on so.
        draws: random problems at each setting of the sizes.

    Raises:
        DiagnoseError: when a term goes through what the forward does not name, when terms do not add up to the
            result, when a term vanishes (a mistake in it could not be seen), or when names clash.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        inputs: Callable[..., dict[str, Any]] | Mapping[str, Any],
        terms: Mapping[str, Sequence[Term]],
        *,
        sizes: Mapping[str, tuple[int, int]] | None = None,
        upstream: Sequence[str] = ("dy",),
        factors: Mapping[str, Callable[[dict[str, Any]], Any]] | None = None,
        meanings: Mapping[str, str] | None = None,
        draws: int = 2,
        seed: int = 0,
    ) -> None:
        self.forward, self.inputs = forward, inputs
        self.terms = {result: tuple(parts) for result, parts in terms.items()}
        self.dims = {name: tuple(pair) for name, pair in (sizes or {}).items()}
        self.upstream = tuple(upstream)
        self.factors = dict(factors or {})
        self.meanings = dict(meanings or {})
        self.count, self.seed = draws, seed
        self.elsewhere: dict[tuple[int, str, str], dict[str, Array]] = {}  # results of other forward passes
        names = [term.name for parts in self.terms.values() for term in parts]
        twice = {name for name in names if names.count(name) > 1}
        if not names or twice:
            raise DiagnoseError(
                f"diagnose: two terms are called {min(twice)!r}; give each a name of its own"
                if twice
                else "diagnose: terms is empty; name at least one result with one term"
            )
        for name, pair in self.dims.items():
            if len(set(pair)) != 2:
                raise DiagnoseError(f"diagnose: sizes[{name!r}] must be two different sizes, got {pair}")
        if not callable(inputs) and self.dims:
            raise DiagnoseError("diagnose: sizes needs inputs to be a function (rng, **sizes) that draws them")

    @cached_property
    def settings(self) -> list[dict[str, int]]:
        """The first sizes of all dimensions, then one after the other changed to its second."""
        base = {name: pair[0] for name, pair in self.dims.items()}
        return [base, *({**base, name: pair[1]} for name, pair in self.dims.items())]

    @cached_property
    def draws(self) -> list[Draw]:
        """The random problems, with what is wanted and with the terms; made once."""
        rng = np.random.default_rng(self.seed)
        drawn = [self._draw(rng, i, sizes) for i, sizes in enumerate(self.settings) for _ in range(self.count)]
        for draw in drawn:
            for result in self.terms:
                draw.want[result] = self.whole(draw, result)
            for result, parts in self.terms.items():
                draw.terms[result] = found = self.split(draw, result, self._given(draw.want, result))
                whole, scale = draw.want[result], float(np.abs(draw.want[result]).max(initial=0.0))
                for term in parts:
                    if not np.abs(found[term.name]).max(initial=0.0) > 1e-9 * scale:
                        raise DiagnoseError(
                            f"diagnose: the term {term.name!r} of {result} vanishes at {draw.sizes}, so a mistake in "
                            "it could not be seen; draw other inputs, or leave it out"
                        )
                if np.abs(sum(found.values()) - whole).max(initial=0.0) > 1e-9 * scale:
                    raise DiagnoseError(f"diagnose: the terms of {result} do not add up to it at {draw.sizes}")
        return drawn

    def _draw(self, rng: np.random.Generator, setting: int, sizes: dict[str, int]) -> Draw:
        inputs = dict(self.inputs(rng, **sizes) if callable(self.inputs) else self.inputs)
        outputs, named = cuts.run_forward(self.forward, inputs)
        if len(outputs) < len(self.upstream):
            raise DiagnoseError(f"diagnose: the forward returns {len(outputs)} outputs for upstream={self.upstream}")
        upstream = {
            name: np.asarray(rng.standard_normal(out.shape)) for name, out in zip(self.upstream, outputs, strict=False)
        }
        clash = (set(inputs) & set(named)) | ((set(inputs) | set(named)) & set(upstream))
        if clash:
            raise DiagnoseError(f"diagnose: {min(clash)!r} is the name of two values; rename one of them")
        return Draw(sizes, setting, inputs, upstream, {**sizes, **inputs, **named, **upstream}, tuple(named))

    def is_gradient(self, result: str) -> bool:
        """Whether a result is the gradient of something, not the value of it."""
        return all(term.value is None for term in self.terms[result])

    def _given(self, results: Mapping[str, Array], result: str) -> dict[str, Array]:
        """The results that are gradients of named values, for the others to be computed from."""
        inputs = self.input_names
        return {
            name[1:]: array
            for name, array in results.items()
            if name != result and self.is_gradient(name) and name[1:] not in inputs
        }

    @cached_property
    def input_names(self) -> frozenset[str]:
        sizes = self.settings[0]
        drawn = self.inputs(np.random.default_rng(self.seed), **sizes) if callable(self.inputs) else self.inputs
        return frozenset(drawn)

    @cached_property
    def has_steps(self) -> bool:
        """Whether later results follow from earlier ones: gradients of intermediates, or several values."""
        gradients = [name for name in self.terms if self.is_gradient(name)]
        return any(name[1:] not in self.input_names for name in gradients) or len(self.terms) - len(gradients) > 1

    def whole(self, draw: Draw, result: str) -> Array:
        """What is wanted, from the whole graph."""
        if self.is_gradient(result):
            if not result.startswith("d"):
                raise DiagnoseError(
                    f"diagnose: a result that is a gradient is called 'd' and what it is the gradient of, "
                    f"not {result!r}; for a value, give its terms value="
                )
            upstream = [draw.upstream[name] for name in self.upstream]
            return cuts.gradients(self.forward, draw.inputs, upstream, (result[1:],))[result[1:]]
        if result not in draw.values:
            raise DiagnoseError(f"diagnose: the forward names no value {result!r}")
        return np.asarray(draw.values[result])

    def split(
        self,
        draw: Draw,
        result: str,
        given: Mapping[str, Array],
        change: Mapping[str, Callable[..., Any]] | None = None,
    ) -> dict[str, Array]:
        """The terms of a result, from the gradients in `given` and with named values replaced by `change`."""
        parts = self.terms[result]
        if not self.is_gradient(result):
            shape = draw.want[result].shape
            return {t.name: np.broadcast_to(t.value(draw.values) if t.value else 0.0, shape) for t in parts}
        intermediates = list(dict.fromkeys(name for term in parts for name in term.through))
        upstream = [draw.upstream[name] for name in self.upstream]
        found = cuts.paths(self.forward, draw.inputs, upstream, result[1:], intermediates, given, change)
        scale = max(float(np.abs(part).max(initial=0.0)) for part in found.values())
        terms = {term.name: np.zeros_like(next(iter(found.values()))) for term in parts}
        for through, part in found.items():
            if not np.abs(part).max(initial=0.0) > NEGLIGIBLE * scale:
                continue
            best = max((len(t.through) for t in parts if through >= set(t.through)), default=-1)
            owners = [t.name for t in parts if through >= set(t.through) and len(t.through) == best]
            if len(owners) != 1:
                route = ", ".join(sorted(through)) or "no named value"
                claim = "no term" if not owners else f"the terms {' and '.join(owners)} alike"
                raise DiagnoseError(f"diagnose: the part of {result} that flows through {route} belongs to {claim}")
            terms[owners[0]] = terms[owners[0]] + part
        return terms

    def split_given(self, draw: Draw, result: str, yours: Mapping[str, Array]) -> dict[str, Array]:
        """The terms of a result as they should be, given somebody's own results of the other steps."""
        if self.is_gradient(result):
            return self.split(draw, result, self._given(yours, result))
        shape, others = draw.want[result].shape, {name: array for name, array in yours.items() if name != result}
        values = {**draw.values, **others}
        return {t.name: np.broadcast_to(t.value(values) if t.value else 0.0, shape) for t in self.terms[result]}

    def arguments(self, draw: Draw, names: Sequence[str]) -> tuple[Any, ...]:
        """Values to call a candidate with, by the names of its parameters; arrays are copies."""
        missing = [name for name in names if name not in draw.values]
        if missing:
            raise DiagnoseError(
                f"diagnose: the candidate wants {missing[0]!r}; there are {', '.join(draw.values)}. Name it in the "
                "forward, or return it from inputs"
            )
        return tuple(v.copy() if isinstance(v := draw.values[name], np.ndarray) else v for name in names)


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's positional parameters."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(name for name, p in inspect.signature(function).parameters.items() if p.kind in kinds)
