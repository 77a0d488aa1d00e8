"""The engine: ops, the tape that records them, and reverse-mode differentiation over it.

An op is a pure function of arrays together with its vjps (vector-Jacobian products): given the gradient `g` of
some scalar with respect to the op's output, each vjp returns the gradient with respect to one input. A vjp is
written with ordinary recorded ops, so a gradient can be differentiated again with no further code.

Calling an op on tensors runs the forward and, if recording is on and an input needs a gradient, leaves a `Node` on
the output: which op, which inputs, and a serial number. Those nodes are the tape. `grad` walks back from the
outputs with a stack, sorts what it found by serial (an op is always newer than its inputs), and passes cotangents
along that list, newest first. Nothing recurses and nothing points forward, so depth is not limited and memory is
freed without the garbage collector.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, Token
from itertools import count
from typing import Any, TypeVar, overload

import numpy as np

from .dtypes import Array, result_type, scalar_dtype
from .errors import (
    ArgumentTypeError,
    DtypeError,
    FreedGraphError,
    MinigradError,
    MutationError,
    NoGraphError,
    NotDifferentiableError,
    ShapeError,
    VjpError,
)
from .tensor import Tensor, as_tensor, from_array

Vjp = Callable[..., Any]
Function = TypeVar("Function", bound=Callable[..., Any])

# --- recording ------------------------------------------------------------------------------------------------

_recording: ContextVar[bool] = ContextVar("minigrad_recording", default=True)  # per thread and per async task
_serials = count()


def is_grad_enabled() -> bool:
    """Whether ops are being recorded in this thread or task."""
    return _recording.get()


class set_grad_enabled:
    """Record ops (`mode=True`) or not, as a context manager or a decorator."""

    mode: bool

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._tokens.append(_recording.set(self.mode))

    def __exit__(self, *exc: object) -> None:
        _recording.reset(self._tokens.pop())

    def __call__(self, function: Function) -> Function:
        """Decorate `function` so that its body runs in this mode."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(self.mode):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(set_grad_enabled):
    """Do not record: `with no_grad(): ...` or `@no_grad()`."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):
    """Record, also inside `no_grad`: `with enable_grad(): ...` or `@enable_grad()`."""

    def __init__(self) -> None:
        super().__init__(True)


# --- ops ------------------------------------------------------------------------------------------------------


class Node:
    """One line of the tape: `op(*inputs, **attrs)`; it lives on the output tensor and never points to it."""

    __slots__ = ("attrs", "inputs", "op", "serial", "versions")

    def __init__(self, op: Op, inputs: tuple[Tensor, ...], attrs: dict[str, Any]) -> None:
        self.op = op
        self.inputs: tuple[Tensor, ...] | None = inputs  # None once the graph has been freed
        self.attrs = attrs
        self.serial = next(_serials)
        self.versions: list[int] | None = None  # None: no input had ever been changed in place or exposed
        for t in inputs:
            if t._storage is not None:
                self.versions = [0 if t._storage is None else t._storage.current_version() for t in inputs]
                break


class Op:
    """A differentiable function: a forward on arrays, and its vjps on tensors. Made with the decorator `op`."""

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        broadcasts: bool = False,
        floating: bool = False,
        differentiable: bool = True,
        is_view: bool = False,
        saves: str = "inputs output",
    ) -> None:
        functools.update_wrapper(self, forward)
        self.name = forward.__name__.strip("_")
        self.forward = forward
        self.broadcasts = broadcasts
        self.floating = floating
        self.differentiable = differentiable
        self.is_view = is_view
        self.saves_inputs = "inputs" in saves
        self.saves_output = "output" in saves
        self.vjps: tuple[Vjp | None, ...] | None = None
        self.joint_vjp: Vjp | None = None

    def defvjp(self, *vjps: Vjp | None, joint: Vjp | None = None) -> None:
        """Define the derivative: one vjp `(g, out, *inputs, **attrs) -> gradient` for each input, in their order.

        Only the vjps of inputs that need a gradient are called. `None` marks an input that has none (an index, a
        mask). When the gradients share most of their work, `joint` returns them all as one tuple.
        """
        self.vjps, self.joint_vjp = vjps or None, joint

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        for arg in args:
            if not isinstance(arg, Tensor):
                args = self._as_tensors(args)
                break
        if self.broadcasts:
            dtype = args[0]._array.dtype
            for arg in args:
                if arg._array.dtype is not dtype:
                    args = self._promote(args)
                    break
        if self.floating and args[0]._array.dtype.kind in "biu":
            from .ops.convert import to_dtype

            args = tuple(to_dtype(a, dtype=scalar_dtype(0.0)) for a in args)
        try:
            result = self.forward(*[t._array for t in args], **attrs)
        except MinigradError:
            raise
        except (ValueError, IndexError, TypeError, np.linalg.LinAlgError) as error:
            raise self._explain(error, args, attrs) from error
        if type(result) is not np.ndarray:
            if type(result) is tuple:
                return self._record_many(result, args, attrs)
            result = np.asarray(result)
        out = from_array(result)
        if self.is_view and result.base is not None:
            out._storage = args[0]._shared_storage()
        if self.differentiable and _recording.get():
            for t in args:
                if t._requires_grad:
                    out._requires_grad = True
                    out._node = Node(self, args, attrs)
                    break
        return out

    def _record_many(self, results: tuple[Any, ...], args: tuple[Tensor, ...], attrs: dict[str, Any]) -> Any:
        """Several outputs: the node sits on a hidden tensor that packs them, and each output selects its part."""
        arrays = tuple(np.asarray(r) for r in results)
        if not (self.differentiable and _recording.get() and any(t._requires_grad for t in args)):
            return tuple(from_array(a) for a in arrays)
        pack = from_array(arrays)  # type: ignore[arg-type]
        pack._requires_grad, pack._node = True, Node(self, args, attrs)
        return _unpack(pack)

    def _as_tensors(self, args: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """Make every argument a tensor; a Python number takes the dtype that the tensors around it decide."""
        operands: list[tuple[Any, Any]] = []
        for a in args:
            if isinstance(a, Tensor):
                operands.append((a._array.dtype, "dims" if a._array.ndim else "zero"))
            elif isinstance(a, np.ndarray):
                operands.append((a.dtype, "dims" if a.ndim else "zero"))
            else:
                try:
                    operands.append((scalar_dtype(a), "scalar"))
                except ArgumentTypeError as error:
                    raise ArgumentTypeError(f"{self.name}: {error}") from None
        dtype = result_type(operands)
        return tuple(
            a
            if isinstance(a, Tensor)
            else as_tensor(a)
            if isinstance(a, np.ndarray)
            else from_array(np.array(a, dtype))
            for a in args
        )

    def _promote(self, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Cast all inputs to their common dtype, as recorded ops, so that gradients are cast back."""
        from .ops.convert import to_dtype

        dtype = result_type([(t._array.dtype, "dims" if t._array.ndim else "zero") for t in args])
        return tuple(t if t._array.dtype == dtype else to_dtype(t, dtype=dtype) for t in args)

    def _explain(self, error: Exception, args: tuple[Tensor, ...], attrs: dict[str, Any]) -> MinigradError:
        """NumPy's complaint as one of ours, with the op, the shapes and the dtypes."""
        shapes = " and ".join(f"{t.shape} {t.dtype}" for t in args)
        given = "".join(f", {k}={v!r}" for k, v in attrs.items())
        if self.broadcasts and "broadcast" in str(error):
            return ShapeError(
                f"{self.name}: shapes {shapes} do not broadcast: aligned from the right, each pair of sizes must "
                "be equal or one of them 1"
            )
        kind = DtypeError if isinstance(error, TypeError) and "ufunc" in str(error) else ShapeError
        return kind(f"{self.name}: cannot be applied to {shapes}{given}: {error}")

    def __repr__(self) -> str:
        return f"<op {self.name}>"


@overload
def op(forward: Callable[..., Any]) -> Op: ...
@overload
def op(**properties: Any) -> Callable[[Callable[..., Any]], Op]: ...


def op(forward: Callable[..., Any] | None = None, **properties: Any) -> Any:
    """Make an op of a function from arrays to an array (or to a tuple of arrays).

    Positional parameters are the inputs, keyword-only parameters are static attributes, passed on to the vjps.
    A custom op is three lines:

        @minigrad.op
        def cube(x): return x ** 3
        cube.defvjp(lambda g, out, x: g * 3 * x ** 2)

    Args:
        broadcasts: inputs broadcast against each other and are promoted to a common dtype; the gradient of each
            input is summed back to its shape, here and nowhere else.
        floating: integer and boolean inputs are first converted to the default floating dtype.
        differentiable: `False` for ops whose output is never differentiated (comparisons, argmax).
        is_view: the output may share the memory of the first input.
        saves: which values the vjps read, a subset of "inputs output"; others may be changed before backward.
    """
    if forward is None:
        return lambda f: Op(f, **properties)
    return Op(forward, **properties)


@op(is_view=True, saves="")
def _select(pack: tuple[Array, ...], *, index: int) -> Array:
    return pack[index]


def _unpack(pack: Tensor) -> tuple[Tensor, ...]:
    """The visible outputs of a packed result; integer outputs (indices) carry no gradient."""
    arrays: tuple[Array, ...] = pack._array  # type: ignore[assignment]
    outputs = tuple(from_array(a) for a in arrays)
    if pack._requires_grad and _recording.get():
        for index, out in enumerate(outputs):
            if out._array.dtype.kind in "fc":
                out._requires_grad, out._node = True, Node(_select, (pack,), {"index": index})
    return outputs


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
            found = iter(
                grad(
                    [r for r, _ in pairs],
                    wrt,
                    [c for _, c in pairs],
                    retain_graph=True,
                    create_graph=recording,
                    allow_unused=True,
                )
            )
        return tuple(next(found) if x._requires_grad else None for x in inputs)

    return joint


@op(is_view=True, saves="")
def _alias(x: Array) -> Array:
    return x.view()


_alias.defvjp(lambda g, out, x: g)


# --- reverse mode ---------------------------------------------------------------------------------------------


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
                f"{node.op.name}: the record of this op was freed by an earlier backward pass (output "
                f"{_describe(tensor)}); "
                "pass retain_graph=True to the earlier backward() or grad(), or run the forward pass again"
            )
        stack.extend([t for t in node.inputs if t._node is not None])
    return [seen[serial] for serial in sorted(seen)]


def _vjp_contributions(out: Tensor, node: Node, g: Any, wanted: list[bool]) -> Iterator[tuple[Tensor, Any]]:
    """The gradient with respect to each wanted input of one recorded op, checked and summed to the input's shape."""
    op, inputs = node.op, node.inputs
    assert inputs is not None
    _check_unmodified(out, node, inputs)
    visible: Any = out
    if type(out._array) is tuple:
        visible = _unpack(out)
        g = tuple(from_array(np.zeros_like(o._array)) if p is None else p for p, o in zip(g, visible, strict=True))
    if op.joint_vjp is not None:
        gradients = op.joint_vjp(g, visible, *inputs, **node.attrs)
        if not isinstance(gradients, tuple) or len(gradients) != len(inputs):
            raise VjpError(
                f"{op.name}: its joint vjp must return a tuple of {len(inputs)} gradients, one for each input"
            )
    elif op.vjps is None:
        raise NotDifferentiableError(
            f"{op.name}: has no vjp, so no gradient can flow through it; define one with {op.name}.defvjp(...), "
            "or detach() its input"
        )
    else:
        gradients = None
    for i, x in enumerate(inputs):
        if not wanted[i]:
            continue
        if gradients is not None:
            contribution = gradients[i]
        elif op.vjps is None or i >= len(op.vjps):
            raise VjpError(
                f"{op.name}: {len(op.vjps or ())} vjps for {len(inputs)} inputs; defvjp takes one for each input"
            )
        else:
            vjp = op.vjps[i]
            contribution = None if vjp is None else vjp(g, visible, *inputs, **node.attrs)
        if contribution is None:
            continue
        if not isinstance(contribution, Tensor):
            raise VjpError(
                f"{op.name}: the vjp of input {i} returned {type(contribution).__name__}, expected a Tensor; write "
                "vjps "
                "with minigrad's ops, not with NumPy, so that they can be differentiated again"
            )
        if type(x._array) is not tuple and contribution._array.shape != x._array.shape:
            if op.broadcasts:
                from .ops.shape import sum_to

                contribution = sum_to(contribution, shape=x._array.shape)
            else:
                raise VjpError(
                    f"{op.name}: the vjp of input {i} returned shape {contribution.shape}, "
                    f"but the input has shape {x.shape}; a gradient has the shape of what it is the gradient of"
                )
        if contribution._array.dtype is not x._array.dtype and type(x._array) is not tuple:
            from .ops.convert import to_dtype

            contribution = to_dtype(contribution, dtype=x._array.dtype)
        yield x, contribution


def _check_unmodified(out: Tensor, node: Node, inputs: tuple[Tensor, ...]) -> None:
    if node.op.saves_inputs:
        for i, x in enumerate(inputs):
            recorded = 0 if node.versions is None else node.versions[i]
            if x._storage is not None and x._storage.current_version() != recorded:
                raise MutationError(
                    f"{node.op.name}: its input {i} ({_describe(x)}) was changed in place after the op had recorded "
                    "it, so its "
                    "gradient would be wrong; change a copy (x.clone()), or do it after backward()"
                )
    if (
        node.op.saves_output
        and out._storage is not None
        and out._storage.current_version() != 0
        and not node.op.is_view
    ):
        raise MutationError(
            f"{node.op.name}: its output ({_describe(out)}) was changed in place, and its gradient is computed from "
            "that "
            "output; change a copy (y.clone()), or do it after backward()"
        )


def _describe(tensor: Tensor) -> str:
    if type(tensor._array) is tuple:
        return f"{len(tensor._array)} arrays"
    return f"shape {tensor.shape}, {tensor.dtype}"


def _run_tape(
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor],
    wrt: Sequence[Tensor] | None,
    create_graph: bool,
    retain_graph: bool,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pass cotangents from `outputs` back along the tape; yield (tensor, gradient) for `wrt`, or for every leaf."""
    tape = _tape_behind(outputs, wrt)  # oldest first, so that pop() gives the newest and lets go of it
    targets = None if wrt is None else {id(t) for t in wrt}
    needed: set[int] = set()  # what lies between the outputs and the targets; the rest is not computed
    for tensor in tape:
        node = tensor._node
        assert node is not None
        assert node.inputs is not None
        if targets is None or any(id(t) in targets or id(t) in needed for t in node.inputs):
            needed.add(id(tensor))

    cotangents: dict[int, Any] = {}
    leaves: dict[int, Tensor] = {}

    def accumulate(tensor: Tensor, g: Tensor) -> None:
        key = id(tensor)
        if key in cotangents:
            cotangents[key] = cotangents[key] + g
        else:
            cotangents[key] = g
            if tensor._node is None or (targets is not None and key in targets):
                leaves[key] = tensor

    for out, seed in zip(outputs, seeds, strict=True):
        if targets is None or id(out) in targets or id(out) in needed:
            accumulate(out, seed)
    with set_grad_enabled(create_graph):
        while tape:
            tensor = tape.pop()
            key, node = id(tensor), tensor._node
            assert node is not None
            if key not in needed or key not in cotangents:
                continue
            # A target in the middle of the graph keeps its cotangent; all others are dropped as they are used.
            g = cotangents[key] if targets is not None and key in targets else cotangents.pop(key)
            inputs = node.inputs
            assert inputs is not None
            if node.op is _select:
                pack = inputs[0]
                parts = cotangents.setdefault(id(pack), [None] * len(pack._array))
                index = node.attrs["index"]
                parts[index] = g if parts[index] is None else parts[index] + g
            else:
                wanted = [t._requires_grad and (targets is None or id(t) in targets or id(t) in needed) for t in inputs]
                for x, contribution in _vjp_contributions(tensor, node, g, wanted):
                    accumulate(x, contribution)
            if not retain_graph:
                node.inputs = None
    for key, tensor in leaves.items():
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
                    "example "
                    "with .sum(), or pass the vector to multiply with (gradient= in backward, grad_outputs= in grad)"
                )
            seeds.append(from_array(np.ones_like(out._array)))
            continue
        seed = as_tensor(seed)
        if seed.shape != out.shape:
            raise ShapeError(f"{who}: the given gradient has shape {seed.shape}, but the output has shape {out.shape}")
        if seed._array.dtype != out._array.dtype:
            from .ops.convert import to_dtype

            seed = to_dtype(seed, dtype=out._array.dtype)
        seeds.append(seed if create_graph else seed.detach())
    return seeds


def _as_sequence(who: str, value: Any) -> tuple[Tensor, ...]:
    values = (value,) if isinstance(value, Tensor) else tuple(value)
    for v in values:
        if not isinstance(v, Tensor):
            raise ArgumentTypeError(f"{who}: expected a Tensor or a sequence of Tensors, got {type(v).__name__}")
    return values


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
    if grad_outputs is None:
        given: tuple[Any, ...] = (None,) * len(outs)
    else:
        given = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    if len(given) != len(outs):
        raise ShapeError(f"grad: {len(outs)} outputs but {len(given)} grad_outputs; give one for each output")
    for i, x in enumerate(wrt):
        if not x._requires_grad:
            raise NoGraphError(
                f"grad: input {i} ({_describe(x)}) has requires_grad=False; set x.requires_grad_() before the "
                "forward pass"
            )
    seeds = _seeds_for("grad", outs, given, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    found = {id(t): g for t, g in _run_tape(outs, seeds, wrt, create_graph, keep)}
    for i, x in enumerate(wrt):
        if id(x) not in found and not allow_unused:
            raise NoGraphError(
                f"grad: the outputs do not depend on input {i} ({_describe(x)}); pass allow_unused=True to get None "
                "for it"
            )
    return tuple(found.get(id(x)) for x in wrt)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves (or of `inputs`): sugar over the same walk as "
    "`grad`."""
    outs = _as_sequence("backward", tensors)
    given = (grad_tensors,) if grad_tensors is None or isinstance(grad_tensors, Tensor) else tuple(grad_tensors)
    if len(given) != len(outs):
        raise ShapeError(f"backward: {len(outs)} tensors but {len(given)} gradients; give one for each tensor")
    seeds = _seeds_for("backward", outs, given, create_graph)
    wrt = None if inputs is None else _as_sequence("backward", inputs)
    keep = create_graph if retain_graph is None else retain_graph
    # Two leaves can receive one array (x + y passes g to both), or the caller's own: each keeps its own memory.
    handed_out = {id(s._array) for s in seeds}
    for leaf, g in list(_run_tape(outs, seeds, wrt, create_graph, keep)):
        previous = leaf._grad
        if create_graph:
            leaf._grad = g if previous is None else previous + g
        elif previous is None or previous._requires_grad:
            array = g._array if previous is None else previous._array + g._array
            if id(array) in handed_out or not array.flags.owndata or not array.flags.writeable:
                array = array.copy()
            handed_out.add(id(array))
            leaf._grad = from_array(array)
        else:
            previous.add_(g)
