"""Sums of products over named or chosen dimensions: einsum, tensordot, kron.

All of them label the dimensions of their operands. Two operands are contracted by one batched matrix product: labels
that both have and that stay are its batches, labels that both have and that end are its inner size.
"""

from __future__ import annotations

import functools
import itertools
import math
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DimError, ShapeError
from ..tensor import Tensor, method
from .linear_algebra import _matmul, _need_one_dtype
from .shape import checked_dim, need_tensors

__all__ = ["einsum", "kron", "tensordot"]

Labels = tuple[Any, ...]  # one label for each dimension: a letter, or a negative number for one behind an ellipsis
Labelled = tuple[Any, Labels]  # a tensor and its labels

# --- labels -----------------------------------------------------------------------------------------------------


def _subscripts(text: str) -> list[Any]:
    """The letters of one term of an equation, with Ellipsis for `...`."""
    before, dots, after = text.partition("...")
    found: list[Any] = [*before.replace(" ", ""), *([Ellipsis] if dots else []), *after.replace(" ", "")]
    for s in found:
        if s is not Ellipsis and s not in string.ascii_letters:
            raise ArgumentError(
                f"einsum: {s!r} in the term {text!r} is not a subscript; write letters a to z or A to Z, and '...' at "
                "most once"
            )
    return found


def _spelled_out(subscripts: list[Any], covered: int) -> Labels:
    """The subscripts with the ellipsis as labels -covered to -1, so that they line up from the right."""
    spelled: list[Any] = []
    for s in subscripts:
        spelled += range(-covered, 0) if s is Ellipsis else [s]
    return tuple(spelled)


@functools.lru_cache(maxsize=512)
def _parsed(equation: str, ranks: tuple[int, ...]) -> tuple[tuple[Labels, ...], Labels]:
    """The labels of each operand and of the output."""
    left, arrow, right = equation.partition("->")
    terms = [_subscripts(term) for term in left.split(",")]
    if len(terms) != len(ranks):
        raise ArgumentError(f"einsum: the equation {equation!r} has {len(terms)} terms, but {len(ranks)} operands came")
    inputs, widest = [], 0
    for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        covered = rank - sum(s is not Ellipsis for s in term)
        if covered < 0 or (covered and Ellipsis not in term):
            raise ShapeError(
                f"einsum: operand {i} has {rank} dimensions, but its term in {equation!r} has {rank - covered} "
                "subscripts; write one for each, or '...' for the rest"
            )
        inputs.append(_spelled_out(term, covered))
        widest = max(widest, covered)
    counts = Counter(itertools.chain(*inputs))
    if not arrow:
        once = sorted(label for label, count in counts.items() if count == 1 and isinstance(label, str))
        return tuple(inputs), (*range(-widest, 0), *once)
    output = _spelled_out(_subscripts(right), widest)
    for label, count in Counter(output).items():
        if count > 1:
            raise ArgumentError(f"einsum: the output of {equation!r} has the subscript {label!r} more than once")
        if label not in counts:
            raise ArgumentError(f"einsum: the output subscript {label!r} of {equation!r} is not one of any operand")
    return tuple(inputs), output


def _check_sizes(equation: str, terms: Iterable[Labelled]) -> None:
    """The sizes of a label must be equal within an operand, and equal or 1 between operands."""
    sizes: dict[Any, int] = {}
    for i, (x, labels) in enumerate(terms):
        own: dict[Any, int] = {}
        for label, size in zip(labels, x.shape, strict=True):
            before = own.setdefault(label, size)
            if size == before and size != 1:
                before = sizes.setdefault(label, size)
            if size != before:
                what = f"subscript {label!r}" if isinstance(label, str) else f"dimension {label} of the ellipsis"
                raise ShapeError(f"einsum: {what} of {equation!r} has size {size} in operand {i}, but {before} before")


# --- contraction ------------------------------------------------------------------------------------------------


def _ordered(x: Any, labels: Labels, wanted: Labels) -> Any:
    return x if labels == wanted else x.permute([labels.index(label) for label in wanted])


def _without_repeats(x: Any, labels: Labels) -> Labelled:
    """The diagonal over every label that occurs more than once."""
    for label, count in Counter(labels).items():
        for _ in range(count - 1):
            first, second = [i for i, other in enumerate(labels) if other == label][:2]
            rest = [i for i in range(x.ndim) if i not in (first, second)]
            places = np.arange(x.shape[first])
            x = x.permute([first, second, *rest])[places, places]
            labels = (label, *[labels[i] for i in rest])
    return x, labels


def _summed(x: Any, labels: Labels, kept: Iterable[Any]) -> Labelled:
    """Summed over every label that is not kept."""
    gone = [i for i, label in enumerate(labels) if label not in kept]
    if not gone:
        return x, labels
    return x.sum(gone), tuple(label for label in labels if label in kept)


def _unstretched(x: Any, labels: Labels, others: Labels) -> Labelled:
    """Without the sizes of 1 whose label another operand has, too: those broadcast, so its size counts."""
    stays = [size != 1 or label not in others for size, label in zip(x.shape, labels, strict=True)]
    if all(stays):
        return x, labels
    shape = tuple(itertools.compress(x.shape, stays))
    return x.reshape(shape), tuple(itertools.compress(labels, stays))


def _contract(name: str, first: Labelled, second: Labelled, kept: Iterable[Any]) -> Labelled:
    """The sum of the products of two operands over all labels that are not kept."""
    x, x_labels = _unstretched(*first, second[1])
    y, y_labels = _unstretched(*second, x_labels)
    x, x_labels = _summed(x, x_labels, {*kept, *y_labels})
    y, y_labels = _summed(y, y_labels, {*kept, *x_labels})
    batch = tuple(label for label in x_labels if label in y_labels and label in kept)
    inner = tuple(label for label in x_labels if label in y_labels and label not in kept)
    rows = tuple(label for label in x_labels if label not in y_labels)
    columns = tuple(label for label in y_labels if label not in x_labels)
    if inner:
        _need_one_dtype(name, x, y)
    x = _ordered(x, x_labels, batch + rows + inner)
    y = _ordered(y, y_labels, batch + inner + columns)
    shared, row_sizes = x.shape[: len(batch)], x.shape[len(batch) : len(batch) + len(rows)]
    column_sizes = y.shape[len(batch) + len(inner) :]
    count, height, width = math.prod(shared), math.prod(row_sizes), math.prod(column_sizes)
    depth = math.prod(y.shape[len(batch) : len(batch) + len(inner)])
    x, y = _as_shape(x, (count, height, depth)), _as_shape(y, (count, depth, width))
    product = _matmul(x, y) if inner else x * y
    return _as_shape(product, shared + row_sizes + column_sizes), batch + rows + columns


def _as_shape(x: Any, shape: tuple[int, ...]) -> Any:
    return x if x.shape == shape else x.reshape(shape)


def _next_pair(terms: Sequence[Labelled], output: Labels) -> tuple[int, int]:
    """Which two operands to contract first: those whose product is smallest against what it replaces."""
    if len(terms) == 2:
        return 0, 1
    sizes: dict[Any, int] = {}
    for x, labels in terms:
        for label, size in zip(labels, x.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))

    def growth(pair: tuple[int, int]) -> int:
        (x, x_labels), (y, y_labels) = (terms[i] for i in pair)
        product = {*x_labels, *y_labels} & _labels_outside(terms, pair, output)
        return int(math.prod(sizes[label] for label in product)) - int(x.numel()) - int(y.numel())

    return min(itertools.combinations(range(len(terms)), 2), key=growth)


def _labels_outside(terms: Sequence[Labelled], pair: tuple[int, int], output: Labels) -> set[Any]:
    """The labels of the output and of all operands but two: those that must outlive the product of the two."""
    return set(output).union(*[labels for i, (_, labels) in enumerate(terms) if i not in pair])


# --- the functions ----------------------------------------------------------------------------------------------


def einsum(equation: Any, *operands: Any) -> Any:
    """The sum of products that an equation such as "ij,jk->ik" describes (Einstein's summation convention).

    Each letter names a dimension. A letter that repeats in one term takes a diagonal; a letter that the output lacks
    is summed over; sizes of 1 broadcast. `...` stands for all further dimensions, which broadcast from the right.
    Without `->` the output has the dimensions of the ellipsis, then the letters that occur once, in alphabetical
    order (capitals first). The subscripts can also be lists, einsum(x, [0, 1], y, [1, 2], [0, 2]). More than two
    operands are contracted pair by pair, the pair with the smallest result first.

    Raises:
        ArgumentError: for an equation that is not one, or of another number of terms than operands.
        ShapeError: if an operand has another number of dimensions than its term, or the sizes of a letter differ.
        DtypeError: if dtypes differ or are boolean where there is a sum of products.
    """
    equation, tensors = _equation_and_operands(equation, operands)
    inputs, output = _parsed(equation, tuple(x.ndim for x in tensors))
    _check_sizes(equation, zip(tensors, inputs, strict=True))
    terms = [_without_repeats(x, labels) for x, labels in zip(tensors, inputs, strict=True)]
    while len(terms) > 1:
        i, j = _next_pair(terms, output)
        product = _contract("einsum", terms[i], terms[j], _labels_outside(terms, (i, j), output))
        terms = [product, *[term for k, term in enumerate(terms) if k not in (i, j)]]
    x, labels = _summed(*terms[0], output)
    x = _ordered(x, labels, output)
    return x.clone() if any(x is operand for operand in tensors) else x


def _equation_and_operands(equation: Any, operands: tuple[Any, ...]) -> tuple[str, Sequence[Tensor]]:
    """The three ways of calling einsum as one: (equation, x, y), (equation, [x, y]) and (x, [0, 1], y, [1, 2])."""
    if isinstance(equation, Tensor):
        return _from_sublists((equation, *operands))
    if not isinstance(equation, str):
        raise ArgumentTypeError(f"einsum: the equation must be a string, got {type(equation).__name__}")
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ArgumentError(f"einsum: the equation {equation!r} came without operands; write einsum(equation, x, y)")
    need_tensors("einsum", *operands)
    return equation, operands


def _from_sublists(arguments: tuple[Any, ...]) -> tuple[str, Sequence[Tensor]]:
    tensors, sublists = arguments[: len(arguments) // 2 * 2 : 2], arguments[1::2]
    need_tensors("einsum", *tensors)
    equation = ",".join(map(_letters, sublists))
    if len(arguments) % 2:
        equation += "->" + _letters(arguments[-1])
    return equation, tensors


def _letters(sublist: Any) -> str:
    """A list of subscripts as letters, in the order of their numbers."""
    letters = string.ascii_uppercase + string.ascii_lowercase
    if not isinstance(sublist, (list, tuple)):
        raise ArgumentTypeError(
            f"einsum: expected a list of subscripts after each operand, got {type(sublist).__name__}"
        )
    for s in sublist:
        if s is not Ellipsis and not (isinstance(s, int) and 0 <= s < len(letters)):
            raise ArgumentError(f"einsum: subscripts in lists are integers from 0 to 51 or ..., got {s!r}")
    return "".join("..." if s is Ellipsis else letters[s] for s in sublist)


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Any:
    """The sum of products over chosen dimensions; the output has the other ones of `a`, then those of `b`.

    `dims` is the number of last dimensions of `a` and of first ones of `b`, or two lists, of those of `a` and of `b`.

    Raises:
        ShapeError: if contracted sizes differ.
        DimError: for a dim out of range, or named twice.
        ArgumentError: for a negative number of dimensions, or more than there are.
        DtypeError: if the dtypes differ, or are boolean.
    """
    need_tensors("tensordot", a, b)
    _need_one_dtype("tensordot", a, b)
    dims_a, dims_b = _paired_dims(a, b, dims)
    a_labels: list[Any] = list(range(a.ndim))
    b_labels: list[Any] = list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip(dims_a, dims_b, strict=True):
        if a.shape[i] != b.shape[j] and 1 not in (a.shape[i], b.shape[j]):
            raise ShapeError(
                f"tensordot: contracted sizes must be equal: dim {i} of shape {a.shape} has size {a.shape[i]}, dim {j} "
                f"of shape {b.shape} has size {b.shape[j]}"
            )
        b_labels[j] = a_labels[i]
    output = [label for i, label in enumerate(a_labels) if i not in dims_a]
    output += [label for j, label in enumerate(b_labels) if j not in dims_b]
    return _contract("tensordot", (a, tuple(a_labels)), (b, tuple(b_labels)), output)[0]


def _paired_dims(a: Tensor, b: Tensor, dims: Any) -> tuple[list[int], list[int]]:
    """Which dimensions of a and of b are contracted with each other."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ArgumentError(f"tensordot: dims={dims} of the shapes {a.shape} and {b.shape} cannot be contracted")
        return list(range(a.ndim - dims, a.ndim)), list(range(dims))
    try:
        dims_a, dims_b = ([checked_dim("tensordot", d, x.ndim) for d in ds] for ds, x in zip(dims, (a, b), strict=True))
    except (TypeError, ValueError) as error:
        if isinstance(error, ArgumentTypeError):
            raise
        raise ArgumentTypeError(f"tensordot: dims must be a number or two lists of dims, got {dims!r}") from None
    if len(dims_a) != len(dims_b):
        raise ArgumentError(f"tensordot: as many dims of a as of b are needed, got {dims!r}")
    if len(set(dims_a)) < len(dims_a) or len(set(dims_b)) < len(dims_b):
        raise DimError(f"tensordot: a dimension is named twice in dims={dims!r}")
    return dims_a, dims_b


@method
def kron(input: Tensor, other: Tensor) -> Any:
    """The Kronecker product: every element of `input` times all of `other`, laid out as blocks.

    The shape is the product of both shapes, the shorter one padded with ones in front.

    Raises:
        ArgumentTypeError: if `other` is not a tensor.
    """
    need_tensors("kron", input, other)
    rank = max(input.ndim, other.ndim)
    outer = (1,) * (rank - input.ndim) + input.shape
    within = (1,) * (rank - other.ndim) + other.shape
    product = input.reshape([n for size in outer for n in (size, 1)]) * other.reshape(
        [n for size in within for n in (1, size)]
    )
    return product.reshape([n * m for n, m in zip(outer, within, strict=True)])
