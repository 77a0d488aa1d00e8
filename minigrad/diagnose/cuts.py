"""The terms of a gradient, taken from the tape: which part of it flows through which intermediate values.

A gradient is a sum over all paths from the output back to the input. Run the forward pass with a set of named
intermediates cut (detached), and the backward pass gives the sum over the paths that avoid that set. Inclusion and
exclusion over the subsets then gives what flows through *exactly* a set; k intermediates cost 2^k passes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..dtypes import Array
from ..recording import enable_grad
from ..tape import grad
from ..tensor import Tensor, from_array
from .parts import DiagnoseError

Forward = Callable[..., Any]
MOST_CUTS = 5


class Named:
    """What a forward pass receives as its first argument: `mu = named("mu", x.mean(0))` gives a value its name.

    Cut values are detached; changed ones are replaced by a function of them. Split values go on as leaves of their own,
    so that a gradient which somebody else computed can be put in where they were: `before` holds the value as it was
    computed, `after` the leaf.
    """

    def __init__(
        self,
        cut: frozenset[str] = frozenset(),
        split: frozenset[str] = frozenset(),
        change: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    ) -> None:
        self.cut, self.split, self.change = cut, split, change or {}
        self.before: dict[str, Tensor] = {}
        self.after: dict[str, Tensor] = {}

    def __call__(self, name: str, value: Tensor) -> Tensor:
        if name in self.before:
            raise DiagnoseError(f"diagnose: the forward names two values {name!r}; give each a name of its own")
        if not isinstance(value, Tensor):
            raise DiagnoseError(
                f"diagnose: the forward names {name!r}, which is {type(value).__name__}; name Tensors, "
                "and compute them with minigrad's functions"
            )
        if name in self.change:
            value = self.change[name](value)
        self.before[name] = value
        if name in self.split:
            value = value.detach().requires_grad_()
        elif name in self.cut:
            value = value.detach()
        self.after[name] = value
        return value


def _leaves(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Float arrays as tensors that require a gradient; everything else (sizes, labels, eps) as it is."""
    return {
        name: from_array(value.copy()).requires_grad_()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
        else value
        for name, value in inputs.items()
    }


def _outputs(result: Any) -> tuple[Tensor, ...]:
    outputs = (result,) if isinstance(result, Tensor) else tuple(result) if isinstance(result, (tuple, list)) else ()
    if not outputs or not all(isinstance(o, Tensor) for o in outputs):
        raise DiagnoseError(
            f"diagnose: the forward must return a Tensor or a tuple of them, it returned {type(result).__name__}"
        )
    return outputs


def run_forward(
    forward: Forward, inputs: Mapping[str, Any], change: Mapping[str, Callable[[Tensor], Tensor]] | None = None
) -> tuple[tuple[Array, ...], dict[str, Array]]:
    """The outputs of the forward pass and its named values, as arrays."""
    named = Named(change=change)
    with enable_grad():
        outputs = _outputs(forward(named, **_leaves(inputs)))
    return tuple(o.detach().numpy() for o in outputs), {
        name: value.detach().numpy() for name, value in named.before.items()
    }


def gradients(
    forward: Forward,
    inputs: Mapping[str, Any],
    upstream: Sequence[Any],
    wrt: Sequence[str],
    change: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> dict[str, Array]:
    """The gradients with respect to inputs and named values, given one upstream array for each output.

    `change` maps named values to functions that replace them: the gradients are then those of another forward pass.
    """
    return _backward(forward, inputs, upstream, wrt, {}, frozenset(), change)


def _backward(
    forward: Forward,
    inputs: Mapping[str, Any],
    upstream: Sequence[Any],
    wrt: Sequence[str],
    given: Mapping[str, Array],
    cut: frozenset[str],
    change: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> dict[str, Array]:
    """One backward pass with some values cut, and with the gradients in `given` put in where they belong."""
    named, leaves = Named(cut, frozenset(given), change), _leaves(inputs)
    with enable_grad():
        outputs = _outputs(forward(named, **leaves))
    if len(outputs) != len(upstream):
        raise DiagnoseError(
            f"diagnose: the forward returns {len(outputs)} outputs, upstream names {len(upstream)} gradients"
        )
    known = {**leaves, **named.after}
    missing = [name for name in wrt if not isinstance(known.get(name), Tensor)]
    if missing:
        raise DiagnoseError(
            f"diagnose: no input or named value is called {missing[0]!r} and could have a gradient; there are "
            f"{', '.join(name for name, value in known.items() if isinstance(value, Tensor))}"
        )
    pairs = [(out, seed) for out, seed in zip(outputs, upstream, strict=True) if out.requires_grad]
    pairs += [(named.before[name], seed) for name, seed in given.items() if name not in cut]
    pairs = [(out, seed) for out, seed in pairs if out.requires_grad]
    targets = [name for name in wrt if known[name].requires_grad]
    found: dict[str, Array] = {name: np.zeros(known[name].shape) for name in wrt}
    if pairs and targets:
        seeds = [from_array(np.array(seed, np.float64).reshape(out.shape)) for out, seed in pairs]
        results = grad([out for out, _ in pairs], [known[name] for name in targets], seeds, allow_unused=True)
        found.update({n: g.numpy() for n, g in zip(targets, results, strict=True) if g is not None})
    return found


def paths(
    forward: Forward,
    inputs: Mapping[str, Any],
    upstream: Sequence[Any],
    wrt: str,
    intermediates: Sequence[str],
    given: Mapping[str, Array] | None = None,
    change: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> dict[frozenset[str], Array]:
    """The gradient with respect to `wrt`, split by the set of intermediates that it flows through.

    Args:
        forward: from (named, **inputs) to a Tensor or a tuple of them.
        inputs: float64 arrays that get gradients, and whatever else the forward needs.
        upstream: the gradient that arrives at each output, of its shape.
        wrt: an input, or a named value.
        intermediates: at most five named values.
        given: gradients with respect to named values, taken as they are instead of being computed.
        change: functions that replace named values.

    Returns:
        an array of the shape of `wrt` for each subset of `intermediates`; their sum is the whole gradient.

    Raises:
        DiagnoseError: too many intermediates, or one that the forward never names.
    """
    if len(intermediates) > MOST_CUTS:
        raise DiagnoseError(
            f"diagnose: terms go through {len(intermediates)} intermediates ({', '.join(intermediates)}), which takes "
            f"2^{len(intermediates)} backward passes; {MOST_CUTS} are the most"
        )
    subsets = [
        frozenset(chosen)
        for size in range(len(intermediates) + 1)
        for chosen in itertools.combinations(intermediates, size)
    ]
    whole = frozenset(intermediates)
    within = {
        subset: _backward(forward, inputs, upstream, (wrt,), given or {}, whole - subset, change)[wrt]
        for subset in subsets
    }  # the paths whose intermediates are all in the subset
    exactly: dict[frozenset[str], Array] = {}
    for subset in subsets:
        smaller = [part for other, part in exactly.items() if other < subset]
        exactly[subset] = within[subset] - sum(smaller) if smaller else within[subset]
    return exactly
