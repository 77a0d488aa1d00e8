"""Products with Jacobians and Hessians of a function (`torch.autograd.functional`).

All of them follow from `grad`. A vjp is one backward pass. A jvp is two: the vjp is linear in its vector u, so
differentiating u -> J^T u in the direction v gives J v, whatever u is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..creation import zeros_like
from ..errors import ArgumentTypeError, NoGraphError, ShapeError
from ..ops import stack
from ..recording import enable_grad
from ..tape import grad
from ..tensor import Tensor, from_array


def _tuple(who: str, what: str, value: Any) -> tuple[Tensor, ...]:
    values = (value,) if isinstance(value, Tensor) else tuple(value) if isinstance(value, (tuple, list)) else (value,)
    for v in values:
        if not isinstance(v, Tensor):
            raise ArgumentTypeError(f"{who}: {what} must be a Tensor or a tuple of Tensors, got {type(v).__name__}")
    return values


def _like(value: Any, results: tuple[Any, ...]) -> Any:
    """A tuple where the caller gave a tuple, a single result where he gave a tensor."""
    return results[0] if isinstance(value, Tensor) else results


def _fresh(who: str, inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """Inputs to differentiate by: connected to the caller's graph only if that graph is wanted."""
    tensors = _tuple(who, "inputs", inputs)
    return tuple(
        (x * 1 if x.requires_grad else x.detach().requires_grad_()) if create_graph else x.detach().requires_grad_()
        for x in tensors
    )


def _vectors(who: str, given: Any, like: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if given is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise ShapeError(
                f"{who}: v may be left out only for a single element, here it must match shapes "
                f"{[t.shape for t in like]}"
            )
        return (from_array(np.ones_like(like[0]._array)),)
    vectors = _tuple(who, "v", given)
    if [v.shape for v in vectors] != [t.shape for t in like]:
        raise ShapeError(f"{who}: v has shapes {[v.shape for v in vectors]}, expected {[t.shape for t in like]}")
    return vectors


def _gradients(
    outputs: Any, inputs: Any, vectors: Any, create_graph: bool, strict: bool, who: str
) -> tuple[Tensor, ...]:
    """grad, with zeros where nothing depends: a product with a Jacobian that is zero is zero, not an error."""
    recorded = [(o, v) for o, v in zip(outputs, vectors, strict=True) if o.requires_grad]
    found: tuple[Any, ...] = (None,) * len(inputs)
    if recorded:
        found = grad(
            [o for o, _ in recorded],
            inputs,
            [v for _, v in recorded],
            create_graph=create_graph,
            retain_graph=True,
            allow_unused=True,
        )
    if strict and any(g is None for g in found):
        raise NoGraphError(f"{who}: an output does not depend on an input; pass strict=False to get zeros for it")
    return tuple(zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True))


def _finish(tensors: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    return tensors if create_graph else tuple(t.detach() for t in tensors)


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), v^T J): the gradient of v . func."""
    with enable_grad():
        xs = _fresh("vjp", inputs, create_graph)
        result = func(*xs)
        outputs = _tuple("vjp", "the result of func", result)
        products = _gradients(outputs, xs, _vectors("vjp", v, outputs), create_graph, strict, "vjp")
    return _like(result, _finish(outputs, create_graph)), _like(inputs, _finish(products, create_graph))


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), J v): the derivative in the direction v, by differentiating the vjp twice."""
    with enable_grad():
        xs = _fresh("jvp", inputs, create_graph)
        result = func(*xs)
        outputs = _tuple("jvp", "the result of func", result)
        dummies = tuple(zeros_like(o).requires_grad_() for o in outputs)
        pulled = _gradients(outputs, xs, dummies, True, strict, "jvp")
        products = _gradients(pulled, dummies, _vectors("jvp", v, xs), create_graph, strict, "jvp")
    return _like(result, _finish(outputs, create_graph)), _like(result, _finish(products, create_graph))


def _scalar_gradient(who: str, func: Callable[..., Any], xs: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    outputs = _tuple(who, "the result of func", func(*xs))
    if len(outputs) != 1 or outputs[0].numel() != 1:
        raise ShapeError(f"{who}: func must return a single element, got shapes {[o.shape for o in outputs]}")
    (out,) = outputs
    return out, _gradients((out,), xs, (from_array(np.ones_like(out._array)),), True, False, who)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), v^T H) for a scalar function."""
    with enable_grad():
        xs = _fresh("vhp", inputs, create_graph)
        out, gradients = _scalar_gradient("vhp", func, xs)
        products = _gradients(gradients, xs, _vectors("vhp", v, xs), create_graph, strict, "vhp")
    return _finish((out,), create_graph)[0], _like(inputs, _finish(products, create_graph))


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), H v) for a scalar function; H is symmetric, so this is `vhp`."""
    return vhp(func, inputs, v, create_graph, strict)


def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """The Jacobian, of shape (*output shape, *input shape); nested tuples for several outputs or inputs."""
    with enable_grad():
        xs = _fresh("jacobian", inputs, create_graph)
        result = func(*xs)
        rows = []
        for out in _tuple("jacobian", "the result of func", result):
            columns: list[list[Tensor]] = [[] for _ in xs]
            for i in range(out.numel()):
                unit = np.zeros(out.shape, out.dtype)
                unit.reshape(-1)[i] = 1
                for column, g in zip(
                    columns,
                    _gradients((out,), xs, (from_array(unit),), create_graph, strict, "jacobian"),
                    strict=True,
                ):
                    column.append(g)
            rows.append(tuple(
                stack(c).reshape(out.shape + x.shape) if c else from_array(np.zeros(out.shape + x.shape, x.dtype))
                for c, x in zip(columns, xs, strict=True)
            ))  # fmt: skip
        finished = tuple(_like(inputs, _finish(row, create_graph)) for row in rows)
    return _like(result, finished)


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """The Hessian of a scalar function: for one input of shape S, a tensor of shape (*S, *S)."""

    def gradient(*xs: Tensor) -> Any:
        _, gradients = _scalar_gradient("hessian", func, xs)
        return _like(inputs, gradients)

    return jacobian(gradient, inputs, create_graph, strict)
