"""Wrong calls: for every family of ops what must be refused, and what the message must say.

Each line is the class of the error, the call, and fragments that its message contains: the name of the op, what was
got, and what is expected or to be written instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DimError,
    DtypeError,
    InPlaceError,
    ItemAssignmentError,
    MinigradError,
    ShapeError,
)


@dataclass(frozen=True)
class Mistake:
    error: type[MinigradError]
    call: Callable[[Any], Any]
    says: tuple[str, ...]
    torch_allows: bool = False

    @property
    def name(self) -> str:
        return f"{self.says[0]} {self.error.__name__} {', '.join(self.says[1:])}"


MISTAKES: list[Mistake] = []


def wrong(error: type[MinigradError], call: Callable[[Any], Any], *says: str, torch_allows: bool = False) -> None:
    MISTAKES.append(Mistake(error, call, says, torch_allows))


# Arithmetic and comparisons.
wrong(ShapeError, lambda m: m.ones(2, 3) + m.ones(4), "add:", "(2, 3)", "(4,)", "do not broadcast")
wrong(ShapeError, lambda m: m.ones(2, 1, 3) * m.ones(2, 2), "mul:", "(2, 1, 3)", "(2, 2)", "do not broadcast")
wrong(ShapeError, lambda m: m.ones(0) / m.ones(2), "div:", "(0,)", "(2,)", "do not broadcast")
wrong(ShapeError, lambda m: m.maximum(m.ones(2), m.ones(3)), "maximum:", "(2,)", "(3,)")
wrong(ShapeError, lambda m: m.eq(m.ones(2), m.ones(3)), "eq:", "(2,)", "(3,)")
wrong(ArgumentTypeError, lambda m: m.add(m.ones(2), "3"), "add:", "a real number", "str: '3'")
wrong(ArgumentTypeError, lambda m: m.add(m.ones(2), None), "add:", "a real number", "NoneType")
wrong(ArgumentTypeError, lambda m: m.ones(2) - [1, 2], "sub:", "a real number", "list: [1, 2]")
wrong(ArgumentTypeError, lambda m: m.ones(2) < "a", "lt:", "a real number", "str: 'a'")
wrong(DtypeError, lambda m: m.ones(2).bool() - m.ones(2).bool(), "sub:", "booleans", "a ^ b")
wrong(DtypeError, lambda m: -m.ones(2).bool(), "neg:", "booleans", "~x")
wrong(ArgumentError, lambda m: m.arange(3) // 0, "floor_divide:", "integer division by zero")
wrong(ArgumentError, lambda m: m.arange(3) % 0, "remainder:", "integer division by zero")
wrong(DtypeError, lambda m: m.ones(2).bool() // m.ones(2).bool(), "floor_divide:", "booleans")
wrong(DtypeError, lambda m: m.arange(3) ** -1, "pow:", "negative power", "x.float()")
wrong(DtypeError, lambda m: m.arange(3) ** m.tensor([-1, 1, 1]), "pow:", "x.float()", torch_allows=True)
wrong(DtypeError, lambda m: m.ones(2) & m.ones(2), "bitwise_and:", "got float32", "booleans and integers")
wrong(DtypeError, lambda m: ~m.ones(2), "bitwise_not:", "got float32", "booleans and integers")
wrong(DtypeError, lambda m: m.where(m.ones(2), 1.0, 0.0), "where:", "boolean", "got float32")
wrong(ShapeError, lambda m: m.where(m.ones(2).bool(), m.ones(3), m.ones(3)), "where:", "(2,)", "(3,)", "broadcast")
wrong(DtypeError, lambda m: m.ones(2).masked_fill(m.ones(2), 0.0), "masked_fill:", "boolean", "got float32")
wrong(ShapeError, lambda m: m.ones(2).masked_fill(m.ones(3).bool(), 0.0), "masked_fill:", "(3,)", "(2,)")
wrong(ArgumentError, lambda m: m.clamp(m.ones(2)), "clamp:", "min, max or both", "got neither")
# Functions of one variable, dtypes.
wrong(ArgumentTypeError, lambda m: m.exp("x"), "exp:", "expected a Tensor", "str: 'x'")
wrong(DtypeError, lambda m: m.ones(2).bool().relu(), "relu:", "bool", "x.float()")
wrong(DtypeError, lambda m: m.ones(2).bool().abs(), "abs:", "bool", "x.float()")
wrong(DtypeError, lambda m: m.ones(2).to("complex7"), "dtype:", "'complex7'", "write for example minigrad.float32")
# Shapes.
wrong(ShapeError, lambda m: m.ones(2, 3).reshape(4, 2), "reshape:", "6 elements", "(2, 3)", "(4, 2)")
wrong(ShapeError, lambda m: m.ones(2, 3).reshape(-1, 4), "reshape:", "(2, 3)", "(-1, 4)")
wrong(ShapeError, lambda m: m.ones(2, 3).reshape(-1, -1), "reshape:", "at most one -1", "(-1, -1)")
wrong(ShapeError, lambda m: m.ones(2, 3).reshape(-2, 3), "reshape:", ">= 0", "(-2, 3)")
wrong(ShapeError, lambda m: m.ones(0).reshape(-1, 0), "reshape:", "(0,)", "(-1, 0)")
wrong(ArgumentTypeError, lambda m: m.ones(2, 3).reshape(1.5, 4), "reshape:", "integers", "(1.5, 4)")
wrong(ShapeError, lambda m: m.ones(2, 3).t().view(6), "view:", "(3, 2)", "write reshape")
wrong(DimError, lambda m: m.ones(2, 3).flatten(1, 0), "flatten:", "start_dim 1", "end_dim 0")
wrong(DimError, lambda m: m.ones(2, 3).flatten(2), "flatten:", "dim 2", "-2 to 1")
wrong(DimError, lambda m: m.ones(2, 3).permute(0, 0), "permute:", "(0, 0)", "(2, 3)", "once")
wrong(DimError, lambda m: m.ones(2, 3).permute(0), "permute:", "(0,)", "(2, 3)")
wrong(DimError, lambda m: m.ones(2, 3).transpose(0, 2), "transpose:", "dim 2", "-2 to 1")
wrong(ShapeError, lambda m: m.ones(2, 3, 4).t(), "t:", "at most 2", "(2, 3, 4)", "x.transpose")
wrong(DimError, lambda m: m.ones(2).mT, "transpose:", "dim -2", "1 dimensions")
wrong(DimError, lambda m: m.ones(2, 1).squeeze(2), "squeeze:", "dim 2", "-2 to 1")
wrong(DimError, lambda m: m.ones(2).unsqueeze(3), "unsqueeze:", "dim 3", "1 dimensions", "-2 to 1")
wrong(ShapeError, lambda m: m.ones(2, 3).expand(2, 4), "expand:", "(2, 3)", "(2, 4)", "sizes of 1")
wrong(ShapeError, lambda m: m.ones(2, 3).expand(3), "expand:", "(3,)", "(2, 3)")
wrong(ShapeError, lambda m: m.ones(3).expand(-1, 3), "expand:", "(-1, 3)")
wrong(ShapeError, lambda m: m.broadcast_to(m.ones(2), (3,)), "broadcast_to:", "(2,)", "(3,)")
wrong(ArgumentError, lambda m: m.cat([]), "cat:", "empty list")
wrong(ShapeError, lambda m: m.cat([m.ones(2, 3), m.ones(2, 4)]), "cat:", "(2, 3)", "(2, 4)", "dim 0")
wrong(ShapeError, lambda m: m.cat([m.ones(2), m.ones(2, 1)]), "cat:", "(2,)", "(2, 1)")
wrong(DimError, lambda m: m.cat([m.ones(2), m.ones(2)], 1), "cat:", "dim 1", "-1 to 0")
wrong(ShapeError, lambda m: m.cat([m.ones(()), m.ones(())]), "cat:", "0-dim", "write stack")
wrong(ArgumentError, lambda m: m.stack([]), "stack:", "empty list")
wrong(ShapeError, lambda m: m.stack([m.ones(2), m.ones(3)]), "stack:", "(2,)", "(3,)")
wrong(DimError, lambda m: m.stack([m.ones(2)], 2), "stack:", "dim 2", "1 dimensions")
# Indexing.
wrong(DimError, lambda m: m.ones(2)[2], "indexing:", "index 2", "size 2")
wrong(DimError, lambda m: m.ones(2)[0, 0], "indexing:", "too many indices", "(2,)")
wrong(DimError, lambda m: m.ones(())[0], "indexing:", "too many indices", "()")
wrong(DimError, lambda m: m.ones(2)[[0, 2]], "indexing:", "index 2", "size 2")
wrong(DimError, lambda m: m.ones(2, 2)[[0, 1], [0, 1, 1]], "indexing:", "(2,)", "(3,)")
wrong(ShapeError, lambda m: m.ones(2)[m.ones(3).bool()], "indexing:", "boolean", "is 2", "is 3")
wrong(DtypeError, lambda m: m.ones(2)[m.ones(2)], "indexing:", "integers or booleans", "float32")
wrong(DtypeError, lambda m: m.ones(2)[m.tensor([1, 0], dtype=m.uint8)], "indexing:", "uint8", torch_allows=True)
wrong(ArgumentTypeError, lambda m: m.ones(2)["a"], "indexing:", "expected integers", "str: 'a'")
wrong(ArgumentTypeError, lambda m: m.ones(2)[0.5], "indexing:", "expected integers", "float: 0.5")
wrong(
    ItemAssignmentError, lambda m: m.ones(2).__setitem__(0, 1), "x[...] = value:", "(2,)", "minigrad.where",
    torch_allows=True,
)  # fmt: skip
wrong(DimError, lambda m: m.ones(2, 2).gather(0, m.tensor([[2, 0]])), "gather:", "0 to 1", "got 0 to 2")
wrong(ShapeError, lambda m: m.ones(2, 2).gather(0, m.tensor([0])), "gather:", "(1,)", "(2, 2)")
wrong(ShapeError, lambda m: m.ones(2, 2).gather(0, m.tensor([[0, 0, 0]])), "gather:", "(1, 3)", "(2, 2)", "dim 0")
wrong(DtypeError, lambda m: m.ones(2, 2).gather(0, m.tensor([[0.0]])), "gather:", "integers", "float32")
wrong(DimError, lambda m: m.ones(2, 2).gather(2, m.tensor([[0]])), "gather:", "dim 2", "-2 to 1")
wrong(
    DimError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([[5, 0]]), 0), "take_along_dim:", "0 to 1", "0 to 5",
    torch_allows=True,  # it reads outside the tensor where its index is checked only in debug builds
)  # fmt: skip
wrong(ShapeError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([0]), 0), "take_along_dim:", "(1,)", "2 dimensions")
wrong(
    ShapeError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([[0, 0, 0]]), 0), "take_along_dim:", "(1, 3)", "dim 0"
)
wrong(DtypeError, lambda m: m.nn.functional.one_hot(m.tensor([0.5])), "one_hot:", "integers", "float32")
wrong(DimError, lambda m: m.nn.functional.one_hot(m.tensor([3]), 2), "one_hot:", "0 to 1", "got 3")
wrong(DimError, lambda m: m.nn.functional.one_hot(m.tensor([-1])), "one_hot:", "got -1")
wrong(ArgumentError, lambda m: m.nn.functional.one_hot(m.zeros(0).long()), "one_hot:", "give num_classes")
# Products of matrices.
wrong(ShapeError, lambda m: m.ones(2, 3) @ m.ones(2, 3), "matmul:", "(2, 3) @ (2, 3)", "3 == 2")
wrong(ShapeError, lambda m: m.ones(3) @ m.ones(2), "matmul:", "(3,) @ (2,)")
wrong(ShapeError, lambda m: m.ones(()) @ m.ones(2), "matmul:", "at least 1 dimension", "()", "write x * y")
wrong(ShapeError, lambda m: m.ones(2, 2, 3) @ m.ones(3, 3, 2), "matmul:", "(2, 2, 3)", "(3, 3, 2)", "broadcast")
wrong(DtypeError, lambda m: m.ones(2, 2) @ m.ones(2, 2).double(), "matmul:", "float32 and float64", ".to(dtype)")
wrong(ShapeError, lambda m: m.mm(m.ones(2), m.ones(2, 2)), "mm:", "two matrices", "(2,)", "write matmul")
wrong(ShapeError, lambda m: m.dot(m.ones(2, 2), m.ones(2)), "dot:", "two vectors", "(2, 2)", "write matmul")
wrong(ShapeError, lambda m: m.dot(m.ones(2), m.ones(3)), "dot:", "2 and 3")
wrong(ShapeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 2)), "linear:", "(2, 3)", "(4, 2)")
wrong(ShapeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 3), m.ones(3)), "linear:", "(3,)", "(4,)")
wrong(DtypeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 3).double()), "linear:", "float32, float64")
# Reductions.
wrong(DimError, lambda m: m.ones(2, 3).sum(2), "sum:", "dim 2", "2 dimensions", "-2 to 1")
wrong(DimError, lambda m: m.ones(2, 3).mean(-3), "mean:", "dim -3", "-2 to 1")
wrong(DimError, lambda m: m.ones(()).sum(1), "sum:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2, 3).sum((0, 0)), "sum:", "twice", "(0, 0)")
wrong(DimError, lambda m: m.ones(2, 3).amax((0, -2)), "amax:", "twice", "(0, -2)")
wrong(ArgumentTypeError, lambda m: m.ones(2, 3).sum("a"), "sum:", "integer", "str: 'a'")
wrong(DtypeError, lambda m: m.tensor([1, 2]).mean(), "mean:", "int64", "x.float().mean()")
wrong(DtypeError, lambda m: m.tensor([1, 2]).var(), "var:", "int64", "x.float().var()")
wrong(DtypeError, lambda m: m.tensor([1, 2]).std(), "std:", "int64", "x.float().std()")
wrong(DimError, lambda m: m.ones(2).std(1), "std:", "dim 1", "-1 to 0")
wrong(ArgumentError, lambda m: m.ones(2).var(0, True, correction=1), "var:", "not both")
wrong(DimError, lambda m: m.ones(2, 0).amax(1), "amax:", "no elements", "(2, 0)")
wrong(DimError, lambda m: m.ones(0).max(), "max:", "no elements", "(0,)")
wrong(DimError, lambda m: m.ones(2, 0).max(1), "max:", "no elements", "(2, 0)")
wrong(DimError, lambda m: m.ones(2).min(-2), "min:", "dim -2", "-1 to 0")
wrong(DimError, lambda m: m.ones(0).argmax(), "argmax:", "no elements", "(0,)")
wrong(DimError, lambda m: m.ones(2).argmin(1), "argmin:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).bool().all(1), "all:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).bool().any(1), "any:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).logsumexp(1), "logsumexp:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).softmax(1), "softmax:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).log_softmax(1), "log_softmax:", "dim 1", "-1 to 0")
# Losses and layers.
wrong(ShapeError, lambda m: m.nn.functional.mse_loss(m.ones(2), m.ones(3)), "mse_loss:", "(2,)", "(3,)", "reshape")
wrong(ShapeError, lambda m: m.nn.functional.l1_loss(m.ones(2), m.ones(3)), "l1_loss:", "(2,)", "(3,)", "reshape")
wrong(
    ArgumentError, lambda m: m.nn.functional.mse_loss(m.ones(2), m.ones(2), reduction="avg"), "mse_loss:", "'avg'",
    "'mean', 'sum' or 'none'",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.binary_cross_entropy_with_logits(m.ones(2), m.ones(2, 1)),
    "binary_cross_entropy_with_logits:", "(2,)", "(2, 1)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.nll_loss(m.ones(2, 3), m.tensor([0, 3])), "nll_loss:", "0 to 2", "0 to 3"
)
wrong(ShapeError, lambda m: m.nn.functional.nll_loss(m.ones(2, 3), m.tensor([0, 1, 2])), "nll_loss:", "(2,)", "(3,)")
wrong(
    DtypeError, lambda m: m.nn.functional.nll_loss(m.ones(2, 3), m.tensor([0.0, 1.0])), "nll_loss:", "float32",
    "target.long()",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.nll_loss(m.ones(2, 3), m.tensor([0, 1]), m.ones(2)), "nll_loss: weight",
    "(3,)", "(2,)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.tensor([0, -1])), "cross_entropy:", "0 to 2",
    "-1 to 0",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.ones(2, 4)), "cross_entropy:", "(2, 3)",
    "(2, 4)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.tensor([0, 1]), label_smoothing=1.5),
    "cross_entropy:", "[0, 1]", "1.5",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.tensor([0, 1]), reduction="max"),
    "cross_entropy:", "'max'", "'mean', 'sum' or 'none'",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.tensor([0, 1]), m.ones(4)),
    "cross_entropy: weight", "(3,)", "(4,)",
)  # fmt: skip
wrong(ShapeError, lambda m: m.nn.functional.cross_entropy(m.ones(()), m.tensor(0)), "cross_entropy:", "0-dim", "(N, C)")
wrong(
    ShapeError, lambda m: m.nn.functional.batch_norm(m.ones(1, 3), None, None, training=True), "batch_norm:", "(1, 3)",
    "more than 1 value", "eval()",
)  # fmt: skip
wrong(ShapeError, lambda m: m.nn.functional.batch_norm(m.ones(3), None, None), "batch_norm:", "(3,)", "(N, C)")
wrong(
    ArgumentError, lambda m: m.nn.functional.batch_norm(m.ones(2, 3), None, None), "batch_norm:", "running_mean",
    "training=False",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.batch_norm(m.ones(2, 3), m.ones(2), m.ones(2)), "batch_norm: running_mean",
    "(3,)", "(2,)",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.batch_norm(m.ones(2, 3), None, None, m.ones(2), training=True),
    "batch_norm: weight", "(3,)", "(2,)",
)  # fmt: skip
wrong(
    DtypeError, lambda m: m.nn.functional.batch_norm(m.ones(2, 3).long(), None, None, training=True), "batch_norm:",
    "int64", "x.float()",
)  # fmt: skip
wrong(ArgumentError, lambda m: m.nn.functional.dropout(m.ones(2), 1.5), "dropout:", "[0, 1]", "1.5")
# Making tensors.
wrong(ShapeError, lambda m: m.zeros(-1), "zeros:", ">= 0", "(-1,)")
wrong(ArgumentTypeError, lambda m: m.ones("a"), "ones:", "integers", "('a',)")
wrong(ArgumentTypeError, lambda m: m.full((2,), "a"), "full:", "a real number", "str: 'a'")
wrong(ArgumentError, lambda m: m.arange(0, 3, -1), "arange:", "step -1", "0 to 3")
wrong(ArgumentError, lambda m: m.arange(0, 3, 0), "arange:", "step 0", "0 to 3")
wrong(ShapeError, lambda m: m.eye(-1), "eye:", ">= 0", "(-1, -1)")
wrong(ShapeError, lambda m: m.linspace(0, 1, -1), "linspace:", ">= 0", "(-1,)")
wrong(ArgumentError, lambda m: m.randint(3, 3, (2,)), "randint:", "less than high", "3 and 3")
wrong(ShapeError, lambda m: m.randperm(-1), "randperm:", ">= 0", "(-1,)")
wrong(ArgumentError, lambda m: m.manual_seed("a"), "manual_seed:", "an integer", "'a'")
wrong(ShapeError, lambda m: m.tensor([[1], [2, 3]]), "tensor:", "rows of different lengths")
wrong(DtypeError, lambda m: m.tensor(["a"]), "tensor:", "expected numbers", "'a'")
wrong(DtypeError, lambda m: m.tensor([1], dtype=m.int64, requires_grad=True), "requires_grad:", "int64", "x.float()")
wrong(ArgumentTypeError, lambda m: m.from_numpy([1]), "from_numpy:", "a NumPy array", "list")
wrong(ShapeError, lambda m: m.ones(2).item(), "item():", "one element", "(2,)")
wrong(ShapeError, lambda m: bool(m.ones(2)), "bool():", "(2,)", ".any()")
wrong(ArgumentTypeError, lambda m: len(m.ones(())), "len():", "0-dim")
wrong(ArgumentTypeError, lambda m: list(m.ones(())), "iteration", "0-dim", "x.item()")
wrong(InPlaceError, lambda m: m.ones(2, requires_grad=True).numpy(), "numpy():", "(2,)", "x.detach().numpy()")
