"""One step of a recurrent network, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentTypeError, DtypeError, ShapeError
from ...tensor import Tensor
from ._recurrence import gru, lstm, rnn
from .arguments import need_tensors

__all__ = ["gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"]


def _check_cell(
    name: str, gates: int, input: Any, states: dict[str, Any], w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any
) -> None:
    """Refuse arguments that are no tensors, or whose dtypes or shapes do not fit together."""
    given = {"input": input, **states, "w_ih": w_ih, "w_hh": w_hh}
    given |= {what: bias for what, bias in (("b_ih", b_ih), ("b_hh", b_hh)) if bias is not None}
    check_tensors(name, given, like="w_ih")
    if input.ndim != 2:
        raise ShapeError(f"{name}: input must be (batch, input_size), got shape {input.shape}")
    batch, size = input.shape
    hidden = w_hh.shape[-1] if w_hh.ndim else 0
    wide = gates * hidden
    expected = {"w_ih": (wide, size), "w_hh": (wide, hidden), "b_ih": (wide,), "b_hh": (wide,)}
    for what, value in given.items():
        shape = expected.get(what, (batch, hidden))  # what is not listed is a state
        if what != "input" and value.shape != shape:
            raise ShapeError(
                f"{name}: {what} must have shape {shape}, for input {input.shape} and w_hh {w_hh.shape}, got "
                f"{value.shape}"
            )


def check_tensors(name: str, given: dict[str, Any], like: str) -> None:
    """Refuse what is no tensor, or has not the floating dtype of the tensor named `like`.

    Raises:
        ArgumentTypeError, DtypeError.
    """
    need_tensors(name, **given)
    dtype = given[like].dtype
    for what, value in given.items():
        if value.dtype != dtype or dtype.kind not in "fc":
            raise DtypeError(
                f"{name}: all tensors must have one floating dtype, got {what} of {value.dtype} and {like} of {dtype}; "
                "convert one with .to(dtype)"
            )


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    """One step of an RNN: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Shapes: input (B, I), hx (B, H), w_ih (H, I), w_hh (H, H), biases (H,).

    Source: J. L. Elman, "Finding Structure in Time" (1990), https://doi.org/10.1207/s15516709cog1402_1

    Raises:
        ArgumentTypeError, ShapeError, DtypeError: for tensors that are none, or do not fit together.
    """
    return _rnn_cell("tanh", input, hx, w_ih, w_hh, b_ih, b_hh)


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    """One step of an RNN: h' = relu(W_ih x + b_ih + W_hh h + b_hh); shapes as `rnn_tanh_cell`.

    Raises:
        ArgumentTypeError, ShapeError, DtypeError: for tensors that are none, or do not fit together.
    """
    return _rnn_cell("relu", input, hx, w_ih, w_hh, b_ih, b_hh)


def _rnn_cell(nonlinearity: str, input: Tensor, hx: Tensor, *weights: Any) -> Any:
    _check_cell(f"rnn_{nonlinearity}_cell", 1, input, {"hx": hx}, *weights)
    _, (h,) = rnn(nonlinearity, input, hx, *weights)
    return h


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Any, Any]:
    """One step of an LSTM: from the state hx = (h, c) to (h', c').

    The sums W_ih x + b_ih + W_hh h + b_hh have four parts, in this order: input gate i = sigmoid, forget gate
    f = sigmoid, candidate g = tanh, output gate o = sigmoid. Then c' = f c + i g and h' = o tanh(c').
    Shapes: input (B, I), h and c (B, H), w_ih (4H, I), w_hh (4H, H), biases (4H,).

    Sources: S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory" (1997),
    https://doi.org/10.1162/neco.1997.9.8.1735; the forget gate: F. A. Gers, J. Schmidhuber and F. Cummins, "Learning to
    Forget" (2000), https://doi.org/10.1162/089976600300015015

    Raises:
        ArgumentTypeError, ShapeError, DtypeError: for tensors that are none, or do not fit together.
    """
    h, c = state_pair("lstm_cell", hx)
    _check_cell("lstm_cell", 4, input, {"hx[0]": h, "hx[1]": c}, w_ih, w_hh, b_ih, b_hh)
    _, state = lstm(input, h, c, w_ih, w_hh, b_ih, b_hh)
    return state


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    """One step of a GRU: h' = (1 - z) n + z h.

    The sums W_ih x + b_ih and W_hh h + b_hh have three parts, in this order: reset gate r = sigmoid, update gate
    z = sigmoid, candidate n = tanh. The reset gate multiplies the product with the state, after its bias:
    n = tanh(W_in x + b_in + r (W_hn h + b_hn)); the paper multiplies the state itself, before the product.
    Shapes: input (B, I), hx (B, H), w_ih (3H, I), w_hh (3H, H), biases (3H,).

    Source: K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (2014),
    https://arxiv.org/abs/1406.1078

    Raises:
        ArgumentTypeError, ShapeError, DtypeError: for tensors that are none, or do not fit together.
    """
    _check_cell("gru_cell", 3, input, {"hx": hx}, w_ih, w_hh, b_ih, b_hh)
    _, (h,) = gru(input, hx, w_ih, w_hh, b_ih, b_hh)
    return h


def state_pair(name: str, hx: Any) -> tuple[Any, Any]:
    """The state of an LSTM, which is a pair of tensors (h, c).

    Raises:
        ArgumentTypeError: if it is something else.
    """
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        got = f"{len(hx)} of them" if isinstance(hx, (tuple, list)) else type(hx).__name__
        raise ArgumentTypeError(f"{name}: hx must be the two tensors (h, c), got {got}")
    return hx[0], hx[1]


def check_state(name: str, what: str, state: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a state of another shape.

    Raises:
        ShapeError.
    """
    if state.shape != shape:
        raise ShapeError(f"{name}: {what} must have shape {shape} for this input, got {state.shape}")
