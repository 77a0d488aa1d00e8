"""The ops, one file for each family; every one is a forward with its vjps next to it."""

import warnings

from .arithmetic import (
    add,
    clamp,
    div,
    floor_divide,
    masked_fill,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    remainder,
    sub,
    where,
)
from .compare import (
    allclose,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    equal,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    lt,
    ne,
)
from .convert import clone, to
from .elementwise import (
    abs,
    cos,
    exp,
    expm1,
    log,
    log1p,
    reciprocal,
    relu,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    tanh,
)
from .indexing import gather, getitem, one_hot, take_along_dim
from .linear_algebra import dot, linear, matmul, mm
from .reduction import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    softmax,
    std,
    sum,
    var,
)
from .shape import (
    broadcast_to,
    cat,
    expand,
    flatten,
    permute,
    reshape,
    squeeze,
    stack,
    t,
    transpose,
    unsqueeze,
    view,
)

# PyTorch computes inf and nan silently where NumPy warns too. `np.errstate` around every op would cost more than a
# small op itself, so the warnings are ignored by where they come from: from the ops, and from nowhere else.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"minigrad\.ops\.")

__all__ = [
    "abs", "add", "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "broadcast_to", "cat", "clamp", "clone", "cos", "div", "dot", "eq", "equal", "exp",
    "expand", "expm1", "flatten", "floor_divide", "gather", "ge", "getitem", "gt", "isfinite", "isinf", "isnan",
    "le", "linear", "log", "log1p", "log_softmax", "logical_and", "logical_not", "logical_or", "logsumexp", "lt",
    "masked_fill", "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "mul", "ne", "neg", "one_hot",
    "permute", "pow", "reciprocal", "relu", "remainder", "reshape", "rsqrt", "sigmoid", "sign", "sin", "softmax",
    "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "t", "take_along_dim", "tanh", "to", "transpose",
    "unsqueeze", "var", "view", "where",
]  # fmt: skip
