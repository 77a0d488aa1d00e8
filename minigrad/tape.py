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

from .dtypes import Array
from .errors import (
    ArgumentTypeError,
    FreedGraphError,
    MinigradError,
    MutationError,
    NoGraphError,
    NotDifferentiableError,
    ShapeError,
    VjpError,
)
from .primitive import Node, Op, Vjp, op, select, unpack
from .recording import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .tensor import Tensor, from_array


def _tape_behind(outputs: Sequence[Tensor], wrt: Sequence[Tensor] | None) -> list[Tensor]:
    """All recorded tensors that the outputs depend on, oldest first: an explicit tape from a stack walk.

    What is older than every tensor in `wrt` cannot depend on them, so the walk stops there.
    """
    oldest = -1 if wrt is None else min([-1 if t._node is None else t._node.serial for t in wrt], default=-1)
    seen: dict[int, Tensor] = {}
    stack = [t for t in outputs if t._node is not None]
    while stack:
        tensor = stack.pop()
        node = tensor._node
        assert node is not None
        if node.serial in seen or node.serial < oldest:
            continue
        seen[node.serial] = tensor
        if node.inputs is None:
            raise FreedGraphError(
                f"{node.op.name}: the record of this op (output {_describe(tensor)}) was freed by an earlier backward "
                "pass; pass retain_graph=True to that backward() or grad(), or run the forward pass again"
            )
        stack.extend([t for t in node.inputs if t._node is not None])
    return [seen[serial] for serial in sorted(seen)]


def _input_gradients(out: Tensor, node: Node, g: Any, reach: set[int] | None) -> list[tuple[Tensor, Tensor]]:
    """The inputs of one recorded op that need a gradient (and lie in `reach`), each with its contribution."""
    op, inputs = node.op, node.inputs
    assert inputs is not None
    visible: Any = out
    for t in (out, *inputs):
        if t._storage is not None:
            _check_unmodified(out, node, inputs)
            break
    if type(out._array) is tuple:
        visible = unpack(out)
        g = tuple(from_array(np.zeros_like(o._array)) if p is None else p for p, o in zip(g, visible, strict=True))
    gradients = op.joint_vjp(g, visible, *inputs, **node.attrs) if op.joint_vjp is not None else None
    vjps = op.vjps
    if (len(gradients) != len(inputs)) if isinstance(gradients, tuple) else (len(vjps or ()) < len(inputs)):
        raise _missing_vjp(op, len(inputs))
    found = []
    for i, x in enumerate(inputs):
        if not x._requires_grad or (reach is not None and id(x) not in reach):
            continue
        if gradients is not None:
            contribution = gradients[i]
        else:
            vjp = vjps[i]  # type: ignore[index]
            contribution = None if vjp is None else vjp(g, visible, *inputs, **node.attrs)
        if contribution is not None:
            found.append((x, _checked(contribution, op, i, x)))
    return found


def _missing_vjp(op: Op, inputs: int) -> MinigradError:
    if op.joint_vjp is not None:
        return VjpError(f"{op.name}: its joint vjp must return a tuple of {inputs} gradients, one for each input")
    if op.vjps is None:
        return NotDifferentiableError(
            f"{op.name}: has no vjp, so no gradient can flow through it; define one with {op.name}.defvjp(...), or "
            "detach() its input"
        )
    return VjpError(f"{op.name}: {len(op.vjps)} vjps for {inputs} inputs; defvjp takes one for each input")


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
        from .ops.shape import sum_to

        contribution = sum_to(contribution, shape=want.shape)
    if have.dtype is not want.dtype:
        from .ops.convert import to_dtype

        contribution = to_dtype(contribution, dtype=want.dtype)
    return contribution


def _check_unmodified(out: Tensor, node: Node, inputs: tuple[Tensor, ...]) -> None:
    if node.op.saves_inputs:
        for i, x in enumerate(inputs):
            recorded = 0 if node.versions is None else node.versions[i]
            if x._storage is not None and x._storage.current_version() != recorded:
                raise MutationError(
                    f"{node.op.name}: its input {i} ({_describe(x)}) was changed in place after the op had recorded "
                    "it, so its gradient would be wrong; change a copy (x.clone()), or do it after backward()"
                )
    if (
        node.op.saves_output
        and out._storage is not None
        and out._storage.current_version() != 0
        and not node.op.is_view
    ):
        raise MutationError(
            f"{node.op.name}: its output ({_describe(out)}) was changed in place, and its gradient is computed from "
            "that output; change a copy (y.clone()), or do it after backward()"
        )


def _describe(tensor: Tensor) -> str:
    if type(tensor._array) is tuple:
        return f"{len(tensor._array)} arrays"
    return f"shape {tensor.shape}, {tensor.dtype}"


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

    cotangents: dict[int, Any] = {}
    ends: dict[int, Tensor] = {}

    def accumulate(tensor: Tensor, g: Tensor) -> None:
        key = id(tensor)
        if key in cotangents:
            cotangents[key] = cotangents[key] + g
        else:
            cotangents[key] = g
            if tensor._node is None or key in targets:
                ends[key] = tensor

    for out, seed in zip(outputs, seeds, strict=True):
        if reach is None or id(out) in reach:
            accumulate(out, seed)
    with set_grad_enabled(create_graph):
        while tape:
            tensor = tape.pop()
            key, node = id(tensor), tensor._node
            if key not in cotangents:
                continue
            # A target in the middle of the graph keeps its cotangent; all others are dropped as they are used.
            g = cotangents[key] if key in targets else cotangents.pop(key)
            assert node is not None
            if node.op is select:
                (pack,) = node.inputs or ()
                parts = cotangents.setdefault(id(pack), [None] * len(pack._array))
                index = node.attrs["index"]
                parts[index] = g if parts[index] is None else parts[index] + g
            else:
                for x, contribution in _input_gradients(tensor, node, g, reach):
                    accumulate(x, contribution)
            if not retain_graph:
                node.inputs = None
    for key, tensor in ends.items():
        yield tensor, cotangents[key]


def _seeds_for(who: str, outputs: Sequence[Tensor], given: Sequence[Tensor | None], create_graph: bool) -> list[Tensor]:
    """The cotangents to start from: as given, or 1 for an output with a single element."""
    seeds = []
    for out, seed in zip(outputs, given, strict=True):
        if not out._requires_grad:
            raise NoGraphError(
                f"{who}: the output ({_describe(out)}) was not recorded: nothing it depends on has requires_grad=True, "
                "or it was computed under no_grad()"
            )
        if seed is None:
            if out._array.size != 1:
                raise ShapeError(
                    f"{who}: a gradient starts from a scalar, but the output has shape {out.shape}; reduce it, for "
                    "example with .sum(), or pass a vector to multiply with (gradient= or grad_outputs=)"
                )
            seeds.append(from_array(np.ones_like(out._array)))
            continue
        if seed.shape != out.shape:
            raise ShapeError(f"{who}: the given gradient has shape {seed.shape}, but the output has shape {out.shape}")
        if seed._array.dtype != out._array.dtype:
            from .ops.convert import to_dtype

            seed = to_dtype(seed, dtype=out._array.dtype)
        seeds.append(seed if create_graph else seed.detach())
    return seeds


def _as_sequence(who: str, value: Any) -> tuple[Tensor, ...]:
    try:
        values = (value,) if isinstance(value, Tensor) else tuple(value)
    except TypeError:
        values = (value,)
    for v in values:
        if not isinstance(v, Tensor):
            raise ArgumentTypeError(f"{who}: expected a Tensor or a sequence of Tensors, got {type(v).__name__}")
    return values


def _given(who: str, what: str, value: Any, count: int) -> tuple[Any, ...]:
    """One gradient (or None) for each output, from what the caller gave: nothing, a tensor or a sequence."""
    if value is None:
        return (None,) * count
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for v in values:
        if v is not None and not isinstance(v, Tensor):
            raise ArgumentTypeError(f"{who}: {what} must be Tensors or None, got {type(v).__name__}")
    if len(values) != count:
        raise ShapeError(f"{who}: {count} outputs but {len(values)} {what}; give one for each output")
    return values


def _check_inputs(who: str, wrt: Sequence[Tensor]) -> None:
    if not wrt:
        raise NoGraphError(f"{who}: inputs is empty; was the iterator from parameters() used up before?")
    for i, x in enumerate(wrt):
        if not x._requires_grad:
            raise NoGraphError(
                f"{who}: input {i} ({_describe(x)}) has requires_grad=False; set x.requires_grad_() before the forward "
                "pass"
            )


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
    outs, wrt = _as_sequence("grad", outputs), _as_sequence("grad", inputs)
    _check_inputs("grad", wrt)
    seeds = _seeds_for("grad", outs, _given("grad", "grad_outputs", grad_outputs, len(outs)), create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    found = {id(t): g for t, g in _run_tape(outs, seeds, wrt, create_graph, keep)}
    for i, x in enumerate(wrt):
        if id(x) not in found and not allow_unused:
            raise NoGraphError(
                f"grad: the outputs do not depend on input {i} ({_describe(x)}); allow_unused=True gives None for it"
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
    outs = _as_sequence("backward", tensors)
    seeds = _seeds_for("backward", outs, _given("backward", "gradients", grad_tensors, len(outs)), create_graph)
    wrt = None if inputs is None else _as_sequence("backward", inputs)
    if wrt is not None:
        _check_inputs("backward", wrt)
    keep = create_graph if retain_graph is None else retain_graph
    # Two leaves can receive one array (x + y passes g to both), or the caller's own: each keeps its own memory.
    handed_out = {id(s._array) for s in seeds}
    for leaf, g in list(_run_tape(outs, seeds, wrt, create_graph, keep)):
        previous = leaf._grad
        if create_graph:
            with enable_grad():
                leaf._grad = g.clone() if previous is None else previous + g
        elif previous is None or previous._requires_grad:
            array = g._array if previous is None else previous._array + g._array
            if id(array) in handed_out or not array.flags.owndata or not array.flags.writeable:
                array = array.copy()
            handed_out.add(id(array))
            leaf._grad = from_array(array)
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
