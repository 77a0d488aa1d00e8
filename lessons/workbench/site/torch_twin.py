"""PyTorch's function of the same name, and the address of its documentation."""

from __future__ import annotations

from dataclasses import dataclass

DOCUMENTATION = "https://docs.pytorch.org/docs/stable/"

# What PyTorch does not have at all.
OURS = frozenset({"nn.functional.binary_conv2d", "numerical_gradient", "op", "warmup"})

# What PyTorch has in another place than we do.
ELSEWHERE = {
    "backward": "torch.autograd.backward",
    "grad": "torch.autograd.grad",
    "gradcheck": "torch.autograd.gradcheck",
    "gradgradcheck": "torch.autograd.gradgradcheck",
}

# What PyTorch has and does not document.
WITHOUT_PAGE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Twin:
    """A function of PyTorch: its name, and where it is documented, or ""."""

    name: str
    url: str


def twin(name: str) -> Twin | None:
    """PyTorch's function for one of ours; None where there is none.  A link is no request: nothing is fetched."""
    if name in OURS:
        return None
    theirs = ELSEWHERE.get(name, f"torch.{name}")
    return Twin(theirs, "" if theirs in WITHOUT_PAGE else _address(theirs))


def _address(theirs: str) -> str:
    if theirs.startswith("torch.nn.init."):
        return f"{DOCUMENTATION}nn.init.html#{theirs}"
    if theirs.startswith(("torch.autograd.gradcheck", "torch.autograd.gradgradcheck")):
        module = "gradcheck"
        return f"{DOCUMENTATION}generated/torch.autograd.{module}.{theirs.rpartition('.')[2]}.html"
    return f"{DOCUMENTATION}generated/{theirs}.html"
