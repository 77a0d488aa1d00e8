"""Recurrent layers, and their cells."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from .. import ops
from ..creation import Generator, zeros
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..tensor import Tensor
from . import functional as F
from . import init
from .functional._recurrence import gru, lstm, rnn
from .functional.recurrent import check_state, check_tensors, state_pair
from .module import Module, Parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


def _uniform(shape: tuple[int, ...], hidden_size: int, dtype: Any, generator: Generator | None) -> Parameter:
    """A parameter that starts uniform in +-1/sqrt(hidden_size), as all parameters of a recurrent layer do."""
    bound = 1 / math.sqrt(hidden_size) if hidden_size else 0.0
    return Parameter(init.uniform_(zeros(shape, dtype=dtype), -bound, bound, generator))


def _check_sizes(name: str, least: int, **sizes: Any) -> None:
    for what, size in sizes.items():
        if not isinstance(size, int):
            raise ArgumentTypeError(f"{name}: {what} must be an int, got {type(size).__name__}: {size!r}")
        if size < least:
            raise ArgumentError(f"{name}: {what} must be >= {least}, got {what}={size}")


def _checked_nonlinearity(name: str, nonlinearity: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"{name}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return nonlinearity


# --- cells --------------------------------------------------------------------------------------------------------


class _Cell(Module):
    """One step of a recurrent layer, with the parameters weight_ih, weight_hh, bias_ih and bias_hh."""

    gates: int

    def __init__(self, input_size: int, hidden_size: int, bias: bool, dtype: Any, generator: Generator | None) -> None:
        super().__init__()
        _check_sizes(type(self).__name__, 0, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        wide = self.gates * hidden_size
        self.weight_ih = _uniform((wide, input_size), hidden_size, dtype, generator)
        self.weight_hh = _uniform((wide, hidden_size), hidden_size, dtype, generator)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, _uniform((wide,), hidden_size, dtype, generator) if bias else None)

    def _sequence(self, input: Tensor, states: Sequence[Tensor], *weights: Any) -> tuple[Any, tuple[Any, ...]]:
        """The outputs and the last states of a sequence."""
        raise NotImplementedError

    def _step(self, input: Tensor, given: dict[str, Any]) -> tuple[Any, ...]:
        """The next states. `given` names the states, None meaning zeros; all tensors may lack the batch dimension."""
        name = type(self).__name__
        states = {what: state for what, state in given.items() if state is not None}
        check_tensors(name, {"input": input, **states, "weight_ih": self.weight_ih}, like="weight_ih")
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input must be (batch, {self.input_size}) or ({self.input_size},), got shape {input.shape}"
            )
        shape = (*input.shape[:-1], self.hidden_size)
        for what, state in states.items():
            check_state(name, what, state, shape)
        start = [zeros(shape, dtype=input.dtype) if s is None else s for s in given.values()]
        batched = input.ndim == 2
        if not batched:
            input, start = input.unsqueeze(0), [s.unsqueeze(0) for s in start]
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        _, states_after = self._sequence(input, start, *weights)
        return states_after if batched else tuple(s.squeeze(0) for s in states_after)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias is True else f", bias={self.bias}")


class RNNCell(_Cell):
    """`functional.rnn_tanh_cell`, or with nonlinearity="relu" `functional.rnn_relu_cell`.

    Input (B, input_size) and state (B, hidden_size), both also without B; without a state it starts from zeros. All
    parameters start uniform in +-1/sqrt(hidden_size).

    Raises:
        ArgumentError: for negative sizes, or another nonlinearity.
        ArgumentTypeError, ShapeError, DtypeError: when called with tensors that do not fit.
    """

    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", dtype: Any = None,
        *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, dtype, generator)
        self.nonlinearity = _checked_nonlinearity("RNNCell", nonlinearity)

    def _sequence(self, input: Tensor, states: Sequence[Tensor], *weights: Any) -> tuple[Any, tuple[Any, ...]]:
        return rnn(self.nonlinearity, input, *states, *weights)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Any:
        (h,) = self._step(input, {"hx": hx})
        return h

    def extra_repr(self) -> str:
        shown = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + shown


class LSTMCell(_Cell):
    """`functional.lstm_cell`: from (h, c) to (h', c'); the rows of the weights are the gates i, f, g, o.

    Input (B, input_size) and states (B, hidden_size), all also without B; without states it starts from zeros. All
    parameters start uniform in +-1/sqrt(hidden_size).

    Raises:
        ArgumentError: for negative sizes.
        ArgumentTypeError, ShapeError, DtypeError: when called with tensors that do not fit.
    """

    gates = 4

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = None,
        *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, dtype, generator)

    def _sequence(self, input: Tensor, states: Sequence[Tensor], *weights: Any) -> tuple[Any, tuple[Any, ...]]:
        return lstm(input, *states, *weights)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> Any:
        h, c = (None, None) if hx is None else state_pair("LSTMCell", hx)
        return self._step(input, {"hx[0]": h, "hx[1]": c})


class GRUCell(_Cell):
    """`functional.gru_cell`; the rows of the weights are the gates r, z, n.

    Input (B, input_size) and state (B, hidden_size), both also without B; without a state it starts from zeros. All
    parameters start uniform in +-1/sqrt(hidden_size).

    Raises:
        ArgumentError: for negative sizes.
        ArgumentTypeError, ShapeError, DtypeError: when called with tensors that do not fit.
    """

    gates = 3

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = None,
        *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, dtype, generator)

    def _sequence(self, input: Tensor, states: Sequence[Tensor], *weights: Any) -> tuple[Any, tuple[Any, ...]]:
        return gru(input, *states, *weights)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Any:
        (h,) = self._step(input, {"hx": hx})
        return h


# --- layers -------------------------------------------------------------------------------------------------------


class _Layers(Module):
    """Recurrent layers on top of each other, each in one direction or in both."""

    gates: int

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool, dropout: float,
        bidirectional: bool, proj_size: int, dtype: Any, generator: Generator | None,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        _check_sizes(name, 1, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        _check_sizes(name, 0, proj_size=proj_size)
        if proj_size >= hidden_size:
            raise ArgumentError(f"{name}: proj_size must be less than hidden_size={hidden_size}, got {proj_size}")
        for what, switch in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(switch, bool):
                raise ArgumentTypeError(f"{name}: {what} must be a bool, got {type(switch).__name__}: {switch!r}")
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ArgumentError(f"{name}: dropout is a probability in [0, 1], got {dropout!r}")
        if dropout and num_layers == 1:
            warnings.warn(
                f"{type(self).__name__}: dropout={dropout} has no effect with num_layers=1: it acts between layers, "
                "not after the last one",
                stacklevel=3,
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size, self.generator = bidirectional, proj_size, generator
        wide, out_size = self.gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            in_size = input_size if layer == 0 else out_size * len(self._directions)
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (wide, in_size), "weight_hh": (wide, out_size)}
            if bias:
                shapes |= {"bias_ih": (wide,), "bias_hh": (wide,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for direction in self._directions:
                for name, shape in shapes.items():
                    parameter = _uniform(shape, hidden_size, dtype, generator)
                    self.register_parameter(f"{name}_l{layer}{direction}", parameter)

    @property
    def _directions(self) -> tuple[str, ...]:
        """The endings of the names of parameters, one for each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def _weights(self, layer: int, direction: str) -> list[Parameter | None]:
        names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] + ["weight_hr"] * bool(self.proj_size)
        return [self._parameters.get(f"{name}_l{layer}{direction}") for name in names]

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch moves weights on a GPU here; the name is kept so that programs that call it run."""

    def _sequence(self, input: Tensor, states: Sequence[Tensor], *weights: Any) -> tuple[Any, tuple[Any, ...]]:
        """The outputs and the last states of one layer in one direction."""
        raise NotImplementedError

    def _run(self, input: Tensor, given: dict[str, Any], sizes: tuple[int, ...]) -> tuple[Any, list[Any]]:
        """The outputs and the last states, stacked over layers and directions.

        `given` names the states at the start, None meaning zeros; `sizes` are the sizes of their last dimensions.
        """
        batched = self._check_input(input)
        x = input if batched else input.unsqueeze(0 if self.batch_first else 1)
        if self.batch_first:
            x = x.transpose(0, 1)
        states = self._starting_states(x, given, sizes, batched)
        last: list[tuple[Any, ...]] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in self._directions:
                start = [s[len(last)] for s in states]
                # The other direction reads the sequence from its end, and its outputs are put back in order.
                steps = x.flip(0) if direction else x
                out, after = self._sequence(steps, start, *self._weights(layer, direction))
                outputs.append(out.flip(0) if direction else out)
                last.append(after)
            x = ops.cat(outputs, -1) if self.bidirectional else outputs[0]
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training, generator=self.generator)
        if self.batch_first:
            x = x.transpose(0, 1)
        stacked = [ops.stack(parts) for parts in zip(*last, strict=True)]
        if batched:
            return x, stacked
        return x.squeeze(0 if self.batch_first else 1), [s.squeeze(1) for s in stacked]

    def _check_input(self, input: Tensor) -> bool:
        """Whether the input has a batch dimension."""
        name, weight = type(self).__name__, self.weight_ih_l0
        check_tensors(name, {"input": input, "weight_ih_l0": weight}, like="weight_ih_l0")
        batched = input.ndim == 3
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            order = "batch, steps" if self.batch_first else "steps, batch"
            raise ShapeError(
                f"{name}: input must be ({order}, {self.input_size}) or (steps, {self.input_size}), got shape "
                f"{input.shape}"
            )
        if input.shape[1 if batched and self.batch_first else 0] == 0:
            raise ShapeError(f"{name}: the sequence must have at least one step, got input shape {input.shape}")
        return batched

    def _starting_states(self, x: Tensor, given: dict[str, Any], sizes: tuple[int, ...], batched: bool) -> list[Any]:
        """The states (layers * directions, batch, size), for x (steps, batch, ...)."""
        name, count = type(self).__name__, self.num_layers * len(self._directions)
        states = []
        for (what, state), size in zip(given.items(), sizes, strict=True):
            shape = (count, x.shape[1], size) if batched else (count, size)
            if state is None:
                state = zeros(shape, dtype=x.dtype)
            check_tensors(name, {what: state, "weight_ih_l0": self.weight_ih_l0}, like="weight_ih_l0")
            check_state(name, what, state, shape)
            states.append(state if batched else state.unsqueeze(1))
        return states

    def extra_repr(self) -> str:
        words = [str(self.input_size), str(self.hidden_size)]
        options = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        options["bidirectional"] = False
        words += [f"{what}={getattr(self, what)}" for what, usual in options.items() if getattr(self, what) != usual]
        return ", ".join(words)


class RNN(_Layers):
    """Layers of h' = nonlinearity(W_ih x + b_ih + W_hh h + b_hh), run over a sequence.

    Input (T, B, input_size), or (B, T, input_size) with `batch_first`, or (T, input_size); h_0 and h_n are
    (num_layers * D, B, hidden_size), D = 2 if `bidirectional`, else 1; without h_0 it starts from zeros. The output is
    the state of the last layer after each step, (T, B, D * hidden_size), forward direction first; `dropout` acts on the
    outputs of all layers but the last. All parameters start uniform in +-1/sqrt(hidden_size). Packed sequences do not
    exist here.

    Source: J. L. Elman, "Finding Structure in Time" (1990), https://doi.org/10.1207/s15516709cog1402_1; bidirectional:
    M. Schuster and K. K. Paliwal, "Bidirectional Recurrent Neural Networks" (1997), https://doi.org/10.1109/78.650093

    Raises:
        ArgumentError, ArgumentTypeError: for sizes that are not positive integers, a dropout outside [0, 1], or another
            nonlinearity than "tanh" and "relu".
        ShapeError, DtypeError: when called with tensors that do not fit, or with an empty sequence.
    """

    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, dtype: Any = None,
        *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, dtype, generator
        )
        self.nonlinearity = _checked_nonlinearity("RNN", nonlinearity)

    def _sequence(self, input: Tensor, states: Sequence[Tensor], *weights: Any) -> tuple[Any, tuple[Any, ...]]:
        return rnn(self.nonlinearity, input, *states, *weights)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Any, Any]:
        output, (h,) = self._run(input, {"hx": hx}, (self.hidden_size,))
        return output, h


class LSTM(_Layers):
    """Layers of `functional.lstm_cell`, run over a sequence; shapes, options and start as in `RNN`.

    The state is the pair (h, c), and the rows of the weights are the gates i, f, g, o. With `proj_size` P > 0, outputs
    and h are projected to size P by a further matrix weight_hr, h' = W_hr (o tanh(c')).

    Source: S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory" (1997),
    https://doi.org/10.1162/neco.1997.9.8.1735; the projection: H. Sak, A. Senior and F. Beaufays, "Long Short-Term
    Memory Based Recurrent Neural Network Architectures for Large Vocabulary Speech Recognition" (2014),
    https://arxiv.org/abs/1402.1128

    Raises:
        ArgumentError, ArgumentTypeError: for arguments out of range, as in `RNN`, or a `proj_size` that is not smaller
            than `hidden_size`; for a state that is not a pair.
        ShapeError, DtypeError: when called with tensors that do not fit, or with an empty sequence.
    """

    gates = 4

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
        dtype: Any = None, *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, dtype, generator
        )

    def _sequence(self, input: Tensor, states: Sequence[Tensor], *weights: Any) -> tuple[Any, tuple[Any, ...]]:
        return lstm(input, *states, *weights)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Any, tuple[Any, Any]]:
        h, c = (None, None) if hx is None else state_pair("LSTM", hx)
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        output, (h, c) = self._run(input, {"hx[0]": h, "hx[1]": c}, sizes)
        return output, (h, c)


class GRU(_Layers):
    """Layers of `functional.gru_cell`, run over a sequence; shapes, options and start as in `RNN`.

    The rows of the weights are the gates r, z, n; the reset gate multiplies W_hn h + b_hn, after the product.

    Source: K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (2014),
    https://arxiv.org/abs/1406.1078

    Raises:
        ArgumentError, ArgumentTypeError: for arguments out of range, as in `RNN`.
        ShapeError, DtypeError: when called with tensors that do not fit, or with an empty sequence.
    """

    gates = 3

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, dtype: Any = None,
        *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, dtype, generator
        )

    def _sequence(self, input: Tensor, states: Sequence[Tensor], *weights: Any) -> tuple[Any, tuple[Any, ...]]:
        return gru(input, *states, *weights)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Any, Any]:
        output, (h,) = self._run(input, {"hx": hx}, (self.hidden_size,))
        return output, h
