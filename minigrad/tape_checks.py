"""What can be wrong with a backward pass, said in words: the checks and messages of `tape`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import ops
from .errors import (
    ArgumentTypeError,
    MinigradError,
    MutationError,
    NoGraphError,
    NotDifferentiableError,
    ShapeError,
    VjpError,
)
from .primitive import Node, Op
from .tensor import Tensor, from_array


def missing_vjp(op: Op, inputs: int) -> MinigradError:
    """Why an op gives no gradient to one of its `inputs`."""
    if op.joint_vjp is not None:
        return VjpError(f"{op.name}: its joint vjp must return a tuple of {inputs} gradients, one for each input")
    if op.vjps is None:
        return NotDifferentiableError(
            f"{op.name}: has no vjp, so no gradient can flow through it; define one with {op.name}.defvjp(...), or "
            "detach() its input"
        )
    return VjpError(f"{op.name}: {len(op.vjps)} vjps for {inputs} inputs; defvjp takes one for each input")


def check_unmodified(out: Tensor, node: Node, inputs: tuple[Tensor, ...]) -> None:
    """Raise MutationError if what the vjps of a recorded op will read has changed since."""
    if node.op.saves_inputs:
        for i, x in enumerate(inputs):
            recorded = 0 if node.versions is None else node.versions[i]
            if x._storage is not None and x._storage.current_version() != recorded:
                raise MutationError(
                    f"{node.op.name}: its input {i} ({describe(x)}) was changed in place after the op had recorded "
                    "it, so its gradient would be wrong; change a copy (x.clone()), or do it after backward()"
                )
    if (
        node.op.saves_output
        and out._storage is not None
        and out._storage.current_version() != 0
        and not node.op.is_view
    ):
        raise MutationError(
            f"{node.op.name}: its output ({describe(out)}) was changed in place, and its gradient is computed from "
            "that output; change a copy (y.clone()), or do it after backward()"
        )


def describe(tensor: Tensor) -> str:
    """Shape and dtype, for messages."""
    if type(tensor._array) is tuple:
        return f"{len(tensor._array)} arrays"
    return f"shape {tensor.shape}, {tensor.dtype}"


def seeds_for(who: str, outputs: Sequence[Tensor], given: Sequence[Tensor | None], create_graph: bool) -> list[Tensor]:
    """The cotangents to start from: as given, or 1 for an output with a single element."""
    seeds = []
    for out, seed in zip(outputs, given, strict=True):
        if not out._requires_grad:
            raise NoGraphError(
                f"{who}: the output ({describe(out)}) was not recorded: nothing it depends on has requires_grad=True, "
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
            seed = ops.convert.to_dtype(seed, dtype=out._array.dtype)
        seeds.append(seed if create_graph else seed.detach())
    return seeds


def as_sequence(who: str, value: Any) -> tuple[Tensor, ...]:
    """One tensor, or several, as a tuple."""
    try:
        values = (value,) if isinstance(value, Tensor) else tuple(value)
    except TypeError:
        values = (value,)
    for v in values:
        if not isinstance(v, Tensor):
            raise ArgumentTypeError(f"{who}: expected a Tensor or a sequence of Tensors, got {type(v).__name__}")
    return values


def given(who: str, what: str, value: Any, count: int) -> tuple[Any, ...]:
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


def check_inputs(who: str, wrt: Sequence[Tensor]) -> None:
    """Raise NoGraphError for nothing to differentiate by, or for tensors that need no gradient."""
    if not wrt:
        raise NoGraphError(f"{who}: inputs is empty; was the iterator from parameters() used up before?")
    for i, x in enumerate(wrt):
        if not x._requires_grad:
            raise NoGraphError(
                f"{who}: input {i} ({describe(x)}) has requires_grad=False; set x.requires_grad_() before the forward "
                "pass"
            )
