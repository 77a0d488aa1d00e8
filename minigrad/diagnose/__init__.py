"""Which term of a derivation is wrong.

A gradient check says that a gradient is wrong; this says where. The right gradient is split into the terms of its
derivation, by the intermediate values that it flows through (`cuts`). Somebody's result is then fitted by these terms,
on several random problems at two sizes of each dimension: an error in a derivation usually leaves the terms standing
and a wrong factor on one of them, and how the factor changes with the sizes tells 1/4 from 1/N and N/(N-1) from 4/3.

    from minigrad.diagnose import Term, diagnose

    def layer(named, x, gamma, eps):                      # minigrad's functions; `named` gives values their names
        mu = named("mu", x.mean(0))
        var = named("var", ((x - mu) ** 2).mean(0))
        inv_std = named("inv_std", (var + eps) ** -0.5)
        return gamma * named("x_hat", (x - mu) * inv_std)

    def draw(rng, N, D):
        return {"x": rng.normal(size=(N, D)), "gamma": rng.uniform(1, 2, D), "eps": 0.1}

    def dx(dy, x_hat, gamma, inv_std):                    # plain NumPy; divides by N - 1 in the last term
        n = len(dy)
        g = gamma * dy
        return inv_std * (g - g.mean(0) - x_hat * (g * x_hat).sum(0) / (n - 1))

    terms = {"dx": [Term("direct"), Term("mean", through=("mu",)), Term("var", through=("var",))]}
    found = diagnose(dx, layer, draw, terms, sizes={"N": (4, 7), "D": (3, 2)})
    found.terms, found.cause       # ("var",), "The factor on `var` is N/(N-1): it was divided by N-1, the forward ..."

It names only what fits exactly. Constant factors are tried first, then right numbers in a wrong arrangement, a factor
that is one of the inputs or named values, mistakes that were declared, and other forward passes. The gradients of
intermediates are each judged from the candidate's own gradients of the steps before it. If nothing fits, it says that
it cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .cuts import Named, gradients, paths
from .parts import DiagnoseError, Diagnosis, Term
from .problem import Draw, Problem
from .reading import KnownMistake, diagnose_problem


def diagnose(
    candidate: Callable[..., Any],
    forward: Callable[..., Any],
    inputs: Callable[..., dict[str, Any]] | Mapping[str, Any],
    terms: Mapping[str, Sequence[Term]],
    *,
    arguments: Sequence[str] | None = None,
    mistakes: Mapping[str, KnownMistake] | None = None,
    **question: Any,
) -> Diagnosis:
    """What is wrong with `candidate`, which should return the gradients (or values) that are the keys of `terms`.

    Args:
        candidate: called with plain arrays and numbers, the values named by `arguments`; returns one array, or a tuple
            of them in the order of `terms`. Whatever it raises passes through.
        forward: from (named, **inputs) to a Tensor or a tuple of them.
        inputs: from (rng, **sizes) to a dictionary of inputs, or one such dictionary.
        terms: for each result its `Term`s.
        arguments: names of inputs, named values, upstream gradients or sizes; the candidate's parameters by default.
        mistakes: wrong versions that are known, by name.
        question: sizes, upstream, factors, meanings, draws and seed, as `Problem` takes them.

    Raises:
        DiagnoseError: if the question is put wrongly, as `Problem` says.
    """
    return diagnose_problem(Problem(forward, inputs, terms, **question), candidate, arguments, mistakes)


__all__ = [
    "DiagnoseError",
    "Diagnosis",
    "Draw",
    "KnownMistake",
    "Named",
    "Problem",
    "Term",
    "diagnose",
    "diagnose_problem",
    "gradients",
    "paths",
]
