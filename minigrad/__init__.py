"""minigrad: PyTorch's names on a tape engine small enough to read.

import minigrad as mg
x = mg.tensor([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
x.grad                      # tensor([2., 4.])
"""

import builtins as _builtins

from .tensor import Tensor, as_tensor, from_numpy, tensor  # first: the engine and the ops hang on it

# isort: split
from . import autograd, data, dtypes, errors, linalg, nn, optim
from .creation import (
    Generator,
    arange,
    bernoulli,
    default_generator,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    logspace,
    manual_seed,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    scalar_tensor,
    tril_indices,
    triu_indices,
    zeros,
    zeros_like,
)
from .dtypes import (
    bool,
    double,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    set_default_dtype,
    uint8,
)
from .errors import MinigradError
from .gradcheck import gradcheck, gradgradcheck, numerical_gradient
from .nn.functional.recurrent import gru_cell, lstm_cell, rnn_relu_cell, rnn_tanh_cell
from .ops import *  # noqa: F403
from .ops import __all__ as _op_names
from .primitive import Op, op
from .recording import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .serialization import load, save
from .tape import backward, grad

__version__ = "0.1.0"

__all__ = [
    "Generator", "MinigradError", "Op", "Tensor", "arange", "as_tensor", "autograd", "backward", "bernoulli",
    "bool", "data", "default_generator", "double", "dtypes", "empty", "empty_like", "enable_grad", "errors", "eye",
    "float", "float16", "float32", "float64", "from_numpy", "full", "full_like", "get_default_dtype",
    "get_num_threads", "grad", "gradcheck", "gradgradcheck", "gru_cell", "int", "int16", "int32", "int64", "int8",
    "is_grad_enabled", "linalg", "linspace", "load", "logspace", "long", "lstm_cell", "manual_seed", "multinomial",
    "nn", "no_grad", "normal", "numerical_gradient", "ones", "ones_like", "op", "optim", "rand", "rand_like",
    "randint", "randint_like", "randn", "randn_like", "randperm", "rnn_relu_cell", "rnn_tanh_cell", "save",
    "scalar_tensor", "set_default_dtype", "set_grad_enabled", "set_num_threads", "tensor", "tril_indices",
    "triu_indices", "uint8", "warmup", "zeros", "zeros_like", *_op_names,
]  # fmt: skip


def get_num_threads() -> _builtins.int:
    """How many threads the compiled kernels may use."""
    import kernels

    return kernels.get_num_threads()


def set_num_threads(n: _builtins.int) -> None:
    """Limit the compiled kernels to n threads, and NumPy's matrix products too if threadpoolctl is installed.

    No result of a compiled kernel depends on it, bit for bit. Raises KernelError (a ValueError) if n is not a whole
    number from 1 to the number of threads that Numba started with.
    """
    import kernels

    kernels.set_num_threads(n)


def warmup() -> None:
    """Compile all kernels now, so that no later call pays for it."""
    import kernels

    kernels.warmup()
