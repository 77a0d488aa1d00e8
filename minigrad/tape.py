"""The tape: reverse-mode differentiation over what ops have recorded.

Calling an op on tensors runs its forward and, if recording is on and an input needs a gradient, leaves a `Node` on the
output: which op, which inputs, and a serial number. Those nodes are the tape. `grad` walks back from the outputs
with a stack, sorts what it found by serial (an op is always newer than its inputs), and passes cotangents along that
list, newest first. Nothing recurses and nothing points forward, so depth is not limited and memory is freed without
the garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import ops
from .dtypes import Array, as_array
from .errors import (
    FreedGraphError,
    NoGraphError,
    VjpError,
)
from .primitive import Node, Op, Vjp, op, select, unpack
from .recording import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .tape_checks import as_sequence, check_inputs, check_unmodified, describe, given, missing_vjp, seeds_for
from .tensor import Tensor, from_array


def _tape_behind(outputs: Sequence[Tensor], wrt: Sequence[Tensor] | None) -> list[Tensor]:
    """All recorded tensors that the outputs depend on, oldest first: an explicit tape from a stack walk.

    What is older than every tensor in `wrt` cannot depend on them, so the walk stops there.
    """
    oldest = -1 if wrt is None else min([-1 if t._node is None else t._node.serial for t in wrt], default=-1)
    found: dict[int, Tensor] = {}
    stack = [t for t in outputs if t._node is not None]
    while stack:
        tensor = stack.pop()
        node: Any = tensor._node
        serial = node.serial
        if serial in found or serial < oldest:
            continue
        found[serial] = tensor
        if node.inputs is None:
            raise FreedGraphError(
                f"{node.op.name}: the record of this op (output {describe(tensor)}) was freed by an earlier backward "
                "pass; pass retain_graph=True to that backward() or grad(), or run the forward pass again"
            )
        for x in node.inputs:
            if x._node is not None:
                stack.append(x)  # noqa: PERF401  (for one or two inputs, a comprehension costs more)
    return [found[serial] for serial in sorted(found)]


def _gradients_on_arrays(out: Tensor, node: Any, g: Any, reach: set[int] | None) -> tuple[Any, Any]:
    """The contributions of a binary op whose vjps run on arrays, as arrays: the path of a loop over small tensors."""
    op = node.op
    x, y = node.inputs
    a, b, z = x._array, y._array, None
    if op.saves_inputs:  # NumPy computes faster with its scalars than with 0-dim arrays
        a, b = a if a.ndim else a[()], b if b.ndim else b[()]
    if op.saves_output:
        z = out._array if out._array.ndim else out._array[()]
    dx = dy = None
    if x._requires_grad and (reach is None or id(x) in reach):
        dx = op.vjps[0](g, z, a, b)
        if dx.shape != a.shape or dx.dtype is not a.dtype:
            dx = _checked(_as_cotangent(dx), op, 0, x)._array
    if y._requires_grad and (reach is None or id(y) in reach):
        dy = op.vjps[1](g, z, a, b)
        if dy.shape != b.shape or dy.dtype is not b.dtype:
            dy = _checked(_as_cotangent(dy), op, 1, y)._array
    return dx, dy


def _input_gradients(out: Tensor, node: Node, g: Any, reach: set[int] | None) -> list[Tensor | None]:
    """The contributions of one recorded op to its inputs; None to those without a gradient, or not in `reach`."""
    op, inputs, attrs = node.op, node.inputs, node.attrs
    assert inputs is not None
    g, visible = _as_vjps_see_it(out, g)
    vjps: Any = op.vjps or ()
    gradients = None
    if op.joint_vjp is not None:
        vjps = gradients = op.joint_vjp(g, visible, *inputs, **attrs)
    if not isinstance(vjps, tuple) or len(vjps) < len(inputs) or (gradients is not None and len(vjps) > len(inputs)):
        raise missing_vjp(op, len(inputs))
    found: list[Tensor | None] = []
    for x in inputs:
        contribution = None
        if x._requires_grad and (reach is None or id(x) in reach):
            contribution = vjps[len(found)]
            if gradients is None and contribution is not None:
                contribution = contribution(g, visible, *inputs, **attrs)
            if contribution is not None:
                contribution = _checked(contribution, op, len(found), x)
        found.append(contribution)
    return found


def _as_vjps_see_it(out: Tensor, g: Any) -> tuple[Any, Any]:
    """The cotangent and the output of an op as tensors, or as tuples of them for an op with several outputs."""
    if type(out._array) is not tuple:
        return _as_cotangent(g), out
    visible = unpack(out)
    parts = [np.zeros_like(o._array) if part is None else part for part, o in zip(g, visible, strict=True)]
    return tuple(map(_as_cotangent, parts)), visible


def _as_cotangent(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else from_array(as_array(g))


def _checked(contribution: Any, op: Op, i: int, x: Tensor) -> Tensor:
    """A vjp's result as the gradient of input i: summed to its shape if the op broadcasts, in its dtype."""
    if not isinstance(contribution, Tensor):
        raise VjpError(
            f"{op.name}: the vjp of input {i} returned {type(contribution).__name__}, expected a Tensor; write vjps "
            "with minigrad's ops, not with NumPy, so that they can be differentiated again"
        )
    have, want = contribution._array, x._array
    if have.shape != want.shape:
        if not op.broadcasts:
            raise VjpError(
                f"{op.name}: the vjp of input {i} returned shape {have.shape}, but the input has shape {want.shape}; "
                "a gradient has the shape of what it is the gradient of"
            )
        contribution = ops.shape.sum_to(contribution, shape=want.shape)
    if have.dtype is not want.dtype:
        contribution = ops.convert.to_dtype(contribution, dtype=want.dtype)
    return contribution


def _between(tape: list[Tensor], targets: set[int]) -> tuple[list[Tensor], set[int]]:
    """The part of the tape that depends on the targets, and the ids of it and the targets together."""
    part, reach = [], set(targets)
    for tensor in tape:
        if any(id(t) in reach for t in tensor._node.inputs):  # type: ignore[union-attr]
            reach.add(id(tensor))
            part.append(tensor)
    return part, reach


def _run_tape(
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor],
    wrt: Sequence[Tensor] | None,
    create_graph: bool,
    retain_graph: bool,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pass cotangents from `outputs` back along the tape; yield (tensor, gradient) for `wrt`, or for every leaf."""
    tape = _tape_behind(outputs, wrt)  # oldest first, so that pop() gives the newest and lets go of it
    targets = {id(t) for t in wrt or ()}
    reach: set[int] | None = None  # the targets and what depends on them; the rest is not computed. None: everything
    if wrt is not None:
        tape, reach = _between(tape, targets)

    cotangents: dict[int, Any] = {}  # tensors if the pass is recorded itself, arrays (which cost less) otherwise
    ends: dict[int, Tensor] = {}

    def receive(tensor: Tensor, g: Any) -> None:
        key = id(tensor)
        previous = cotangents.get(key)
        if previous is not None:
            cotangents[key] = previous + g
        else:
            cotangents[key] = g
            if tensor._node is None or key in targets:
                ends[key] = tensor

    for out, seed in zip(outputs, seeds, strict=True):
        if reach is None or id(out) in reach:
            receive(out, seed if create_graph else seed._array)
    with set_grad_enabled(create_graph):
        while tape:
            tensor = tape.pop()
            key = id(tensor)
            g = cotangents.pop(key, None)
            if g is None:
                continue
            if key in targets:  # a target in the middle of the graph keeps its cotangent; others are dropped here
                cotangents[key] = g
            node: Any = tensor._node
            op, inputs = node.op, node.inputs
            if op.on_arrays and not create_graph and not node.attrs:
                x, y = inputs
                if x._storage is not None or y._storage is not None or tensor._storage is not None:
                    check_unmodified(tensor, node, inputs)
                dx, dy = _gradients_on_arrays(tensor, node, g, reach)
                if dx is not None:
                    receive(x, dx)
                if dy is not None:
                    receive(y, dy)
            elif op is select:
                parts = cotangents.setdefault(id(inputs[0]), [None] * len(inputs[0]._array))
                index = node.attrs["index"]
                parts[index] = g if parts[index] is None else parts[index] + g
            else:
                for t in (tensor, *inputs):
                    if t._storage is not None:
                        check_unmodified(tensor, node, inputs)
                        break
                for x, contribution in zip(inputs, _input_gradients(tensor, node, g, reach), strict=True):
                    if contribution is not None:
                        receive(x, contribution if create_graph else contribution._array)
            if not retain_graph:
                node.inputs = None
    # Two of them can receive one array (x + y passes g to both), or the caller's own: each gets memory of its own.
    handed_out = {id(seed._array) for seed in seeds}
    for key, tensor in ends.items():
        g = cotangents[key]
        if not create_graph:
            array = as_array(g)
            if id(array) in handed_out or array is tensor._array or not array.flags.owndata:
                array = array.copy()
            handed_out.add(id(array))
            g = from_array(array)
        yield tensor, g


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of `outputs` with respect to `inputs` (`torch.autograd.grad`); touches no `.grad`.

    Args:
        outputs: tensors to differentiate; scalars, unless `grad_outputs` gives a vector of the same shape for each.
        inputs: tensors with requires_grad=True, leaves or intermediate results.
        grad_outputs: the vectors of the vector-Jacobian product.
        retain_graph: keep the records for another pass; defaults to `create_graph`.
        create_graph: record the backward pass itself, so that the result can be differentiated.
        allow_unused: return None for inputs that the outputs do not depend on, instead of raising.

    Returns:
        a tuple with one gradient for each input, of the input's shape.

    Raises:
        NoGraphError: an output was not recorded, or (without `allow_unused`) does not depend on an input.
        ShapeError: a non-scalar output without a vector, or a vector of another shape.
        FreedGraphError: the records were freed by an earlier pass.
        MutationError: a value that is needed was changed in place.
    """
    outs, wrt = as_sequence("grad", outputs), as_sequence("grad", inputs)
    check_inputs("grad", wrt)
    seeds = seeds_for("grad", outs, given("grad", "grad_outputs", grad_outputs, len(outs)), create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    found = {id(t): g for t, g in _run_tape(outs, seeds, wrt, create_graph, keep)}
    for i, x in enumerate(wrt):
        if id(x) not in found and not allow_unused:
            raise NoGraphError(
                f"grad: the outputs do not depend on input {i} ({describe(x)}); allow_unused=True gives None for it"
            )
    return tuple(found.get(id(x)) for x in wrt)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves (or of `inputs`): the same walk as `grad`."""
    outs = as_sequence("backward", tensors)
    seeds = seeds_for("backward", outs, given("backward", "gradients", grad_tensors, len(outs)), create_graph)
    wrt = None if inputs is None else as_sequence("backward", inputs)
    if wrt is not None:
        check_inputs("backward", wrt)
    keep = create_graph if retain_graph is None else retain_graph
    for leaf, g in list(_run_tape(outs, seeds, wrt, create_graph, keep)):
        previous = leaf._grad
        if create_graph:
            with enable_grad():
                leaf._grad = g.clone() if previous is None else previous + g
        elif previous is None:
            leaf._grad = g
        elif previous._requires_grad:
            leaf._grad = from_array(as_array(previous._array + g._array))
        else:
            previous.add_(g)


def vjp_of(formula: Callable[..., Any]) -> Vjp:
    """The joint vjp of an op, from a formula in differentiable ops that computes the same as its fused forward.

    The formula is traced on the inputs and differentiated by the tape; so a kernel needs one readable formula, and
    gradients of every order follow.
    """

    def joint(g: Any, out: Any, *inputs: Tensor, **attrs: Any) -> tuple[Any, ...]:
        recording = is_grad_enabled()
        with enable_grad():
            # Aliases are newer than everything upstream, so the walk below stops at them.
            aliases = [
                (_alias(x) if recording else x.detach().requires_grad_()) if x._requires_grad else x for x in inputs
            ]
            results, cotangents = formula(*aliases, **attrs), g
            if isinstance(results, Tensor):
                results, cotangents = (results,), (g,)
            # An output that does not depend on the inputs that need a gradient (a bias) has nothing to pass on.
            pairs = [(r, c) for r, c in zip(results, cotangents, strict=True) if r._requires_grad]
            wrt = [a for a, x in zip(aliases, inputs, strict=True) if x._requires_grad]
            outputs, seeds = [r for r, _ in pairs], [c for _, c in pairs]
            found = iter(grad(outputs, wrt, seeds, retain_graph=True, create_graph=recording, allow_unused=True))
        return tuple(next(found) if x._requires_grad else None for x in inputs)

    return joint


@op(is_view=True, saves="")
def _alias(x: Array) -> Array:
    return x.view()


_alias.defvjp(lambda g, out, x: g)


__all__ = [
    "Node", "Op", "backward", "enable_grad", "grad", "is_grad_enabled", "no_grad", "op", "set_grad_enabled", "vjp_of",
]  # fmt: skip
