"""The names of `torch.autograd`: grad, backward, recording switches, gradient checks; and `functional`."""

from ..gradcheck import gradcheck, gradgradcheck
from ..recording import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from ..tape import backward, grad
from . import functional

__all__ = [
    "backward", "enable_grad", "functional", "grad", "gradcheck", "gradgradcheck", "is_grad_enabled", "no_grad",
    "set_grad_enabled",
]  # fmt: skip
