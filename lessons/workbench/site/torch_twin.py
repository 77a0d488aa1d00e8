"""PyTorch's function of the same name, and the address of its documentation.

The lists were read from PyTorch's docs/source/*.md; a test compares the names with an installed PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass

DOCUMENTATION = "https://docs.pytorch.org/docs/stable/"

# What PyTorch does not have; of `x[index]` there is no function.
OURS = frozenset({"nn.BinaryConv2d", "nn.functional.binary_conv2d", "numerical_gradient", "op", "warmup", "getitem"})

# What PyTorch has in another place than we do.
ELSEWHERE = {
    "backward": "autograd.backward",
    "grad": "autograd.grad",
    "gradcheck": "autograd.gradcheck",
    "gradgradcheck": "autograd.gradgradcheck",
    "linear": "nn.functional.linear",
    "one_hot": "nn.functional.one_hot",
    **{name: f"Tensor.{name}" for name in ("expand", "expand_as", "repeat", "reshape_as", "to", "view", "view_as")},
}

# What PyTorch documents under another of its names.
DOCUMENTED_AS = {
    "nn.Parameter": "nn.parameter.Parameter",
    "set_grad_enabled": "autograd.grad_mode.set_grad_enabled",
    "autograd.gradcheck": "autograd.gradcheck.gradcheck",
    "autograd.gradgradcheck": "autograd.gradcheck.gradgradcheck",
    "log_softmax": "nn.functional.log_softmax",
    "pdist": "nn.functional.pdist",
    "relu": "nn.functional.relu",
    **{name: f"Tensor.{name}" for name in ("index_fill", "index_put", "masked_fill", "masked_scatter")},
}

# What PyTorch has and does not document.
WITHOUT_PAGE = frozenset({
    "clamp_max", "clamp_min", "gru_cell", "lstm_cell", "put", "rnn_relu_cell", "rnn_tanh_cell", "rsub", "scalar_tensor",
    "Tensor.data", "Tensor.grad_fn", "nn.functional.channel_shuffle", "nn.functional.multi_head_attention_forward",
})  # fmt: skip

# What PyTorch documents on a page with others.
ON_A_LONG_PAGE = {"Tensor.T": "tensors.html", "Tensor.mT": "tensors.html", "optim.Optimizer": "optim.html"}


@dataclass(frozen=True)
class Twin:
    """A function of PyTorch: its name, and where it is documented, or ""."""

    name: str
    url: str


def twin(name: str) -> Twin | None:
    """PyTorch's function for one of ours; None where there is none.  A link is no request: nothing is fetched."""
    if name in OURS:
        return None
    theirs = ELSEWHERE.get(name, f"utils.{name}" if name.startswith("data.") else name)
    return Twin(f"torch.{theirs}", "" if theirs in WITHOUT_PAGE else _address(DOCUMENTED_AS.get(theirs, theirs)))


def _address(theirs: str) -> str:
    if theirs.startswith("nn.init."):
        return f"{DOCUMENTATION}nn.init.html#torch.{theirs}"
    if theirs.startswith("utils.data."):
        return f"{DOCUMENTATION}data.html#torch.{theirs}"
    if theirs in ON_A_LONG_PAGE:
        return f"{DOCUMENTATION}{ON_A_LONG_PAGE[theirs]}#torch.{theirs}"
    return f"{DOCUMENTATION}generated/torch.{theirs}.html"
