"""Recurrent layers and their cells, as functions and as modules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import SIZES, tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("recurrent")
case, layer, wrong, drawn = table.case, table.layer, table.wrong, table.drawn

NAN = float("nan")
# Second derivatives exist, but checking them numerically would take too long; rounding in float32 adds up over layers.
LARGE: dict[str, Any] = {"smooth": False, "loose": 10.0}

# The gates of each cell; LSTM takes a pair of states.
GATES = {"rnn_tanh_cell": 1, "rnn_relu_cell": 1, "gru_cell": 3, "lstm_cell": 4}


def function(name: str) -> Any:
    """The function of that name: `torch.name`, or ours in nn.functional."""

    def call(m: Any, *args: Any, **options: Any) -> Any:
        return getattr(m if m.__name__ == "torch" else m.nn.functional.recurrent, name)(*args, **options)

    return call


def arguments(name: str, batch: int = 2, size: int = 3, hidden: int = 2) -> list[Any]:
    """Input, state, weights and biases of a cell."""
    wide = GATES[name] * hidden
    h = x(batch, hidden)
    state = (h, x(batch, hidden)) if name == "lstm_cell" else h
    return [x(batch, size), state, x(wide, size), x(wide, hidden), x(wide), x(wide)]


# --- functions --------------------------------------------------------------------------------------------------------

for cell in GATES:
    call = function(cell)
    for sizes in ((2, 3, 2), (1, 1, 1), (0, 3, 2), (3, 2, 1)):
        case(cell, *arguments(cell, *sizes), call=call)
    case(cell, *arguments(cell, 2, 3, 4), call=call, **LARGE)
    case(cell, *arguments(cell)[:4], call=call)
    first, state, w_ih, w_hh, b_ih, b_hh = arguments(cell)
    case(cell, first.strided, state, w_ih.transposed, w_hh.strided, b_ih=b_ih, b_hh=b_hh, call=call, **LARGE)
    case(cell, first.transposed, state, w_ih.fixed, w_hh.fixed, b_ih.fixed, b_hh.fixed, call=call)
    case(cell, first.fixed, state, w_ih, w_hh, b_ih, b_hh, call=call)
    zero = given([[0.0, 0.0], [0.0, 0.0]])
    pair = (zero, zero) if cell == "lstm_cell" else zero
    wide = GATES[cell] * 2
    far = given([[1000.0, -1000.0], [NAN, 0.5]])
    weights = (x(wide, 2), x(wide, 2), x(wide), x(wide))
    # In second gradients through relu, PyTorch multiplies the nan of one example by the zeros of the other.
    twice = cell != "rnn_relu_cell"
    case(cell, far, pair, *weights, call=call, note="far out and nan", smooth=False, twice=twice)
zero = given([[0.0, 0.0]])
case(
    "rnn_relu_cell", zero, zero, x(2, 2), x(2, 2), call=function("rnn_relu_cell"), note="at the kink", smooth=False
)  # fmt: skip


@st.composite
def cells(draw: st.DrawFn, name: str) -> Any:
    """Sizes that fit, now and then one that does not, and any layout."""
    batch, size, hidden = draw(SIZES), draw(SIZES), draw(st.sampled_from([1, 2, 3]))
    other = hidden + (draw(st.integers(0, 9)) == 0)
    wide = GATES[name] * hidden

    def made(*shape: int) -> Any:
        return draw(tensors(st.just(shape)))

    state = (made(batch, other), made(batch, hidden)) if name == "lstm_cell" else made(batch, other)
    biases = draw(st.booleans())
    return (made(batch, size), state, made(wide, size), made(wide, hidden)), (
        {"b_ih": made(wide), "b_hh": made(wide)} if biases else {}
    )


for cell in GATES:
    drawn(cell, cells(cell), call=function(cell))

# --- cells as modules -------------------------------------------------------------------------------------------------

for name in ("RNNCell", "GRUCell", "LSTMCell"):
    states = (x(2, 2), x(2, 2)) if name == "LSTMCell" else x(2, 2)
    unbatched = (x(2), x(2)) if name == "LSTMCell" else x(2)
    layer(name, x(2, 3), build=(3, 4), **LARGE)
    layer(name, x(2, 3), states, build=(3, 2))
    layer(name, x(2, 3), states, build=(3, 2, False))
    layer(name, x(3), build=(3, 1))
    layer(name, x(3), unbatched, build=(3, 2), **LARGE)
    layer(name, x(1, 1), build=(1, 1))
    layer(name, x(0, 3), build=(3, 2))
    layer(name, x(2, 3).strided, states, build=(3, 2), bias=True, **LARGE)
layer("RNNCell", x(2, 3), x(2, 4), build=(3, 4), nonlinearity="relu")
layer("RNNCell", x(2, 3), x(2, 4), build=(3, 4, False, "relu"))

# --- layers -----------------------------------------------------------------------------------------------------------


def flat(module: Any, *inputs: Any) -> list[Any]:
    """The output and the last states, which for an LSTM are a tuple inside a tuple."""
    output, states = module(*inputs)
    return [output, *(states if isinstance(states, tuple) else [states])]


def states_of(name: str, count: int, batch: tuple[int, ...], hidden: int, first: int | None = None) -> Any:
    h, c = x(count, *batch, first or hidden), x(count, *batch, hidden)
    return (h, c) if name == "LSTM" else h


for name in ("RNN", "GRU", "LSTM"):
    layer(name, x(3, 2, 2), build=(2, 3), call=flat, **LARGE)
    layer(name, x(2, 2, 1), states_of(name, 1, (2,), 2), build=(1, 2), call=flat)
    layer(name, x(3, 2), build=(2, 1), call=flat)
    layer(name, x(2, 1), states_of(name, 2, (), 1), build=(1, 1), bidirectional=True, call=flat)
    layer(name, x(1, 1, 1), build=(1, 1), call=flat)
    layer(name, x(2, 0, 2), build=(2, 2), call=flat, smooth=False)
    layer(name, x(2, 3, 2), build=(2, 1), batch_first=True, call=flat)
    layer(name, x(3, 2), build=(2, 1), batch_first=True, call=flat)
    layer(name, x(2, 2, 2).transposed, states_of(name, 1, (2,), 1), build=(2, 1), batch_first=True, call=flat)
    layer(name, x(2, 2, 2), build=(2, 1), bias=False, call=flat)
    layer(name, x(2, 1, 1), build=(1, 1), num_layers=2, call=flat)
    layer(name, x(2, 2, 2), build=(2, 2, 2), dropout=0.5, training=False, call=flat, **LARGE)
    layer(name, x(3, 2, 2), states_of(name, 2, (2,), 2), build=(2, 2), bidirectional=True, call=flat, **LARGE)
    stacked = {"num_layers": 2, "bidirectional": True, "batch_first": True, **LARGE}
    layer(name, x(2, 3, 2), states_of(name, 4, (2,), 2), build=(2, 2), call=flat, **stacked)
    layer(name, x(2, 3, 2), states_of(name, 4, (2,), 2), build=(2, 2), call=flat, bias=False, **stacked)
layer("RNN", x(3, 2, 2), x(1, 2, 3), build=(2, 3), nonlinearity="relu", call=flat)
layer("RNN", x(3, 2, 2), x(4, 2, 2), build=(2, 2, 2, "relu"), bidirectional=True, call=flat, **LARGE)
layer("LSTM", x(2, 2, 2), build=(2, 3), proj_size=2, call=flat, **LARGE)
layer("LSTM", x(2, 2), states_of("LSTM", 1, (), 2, 1), build=(2, 2), proj_size=1, call=flat)
projected = {"num_layers": 2, "bidirectional": True, "bias": False, "proj_size": 2, **LARGE}
layer("LSTM", x(2, 2, 2), states_of("LSTM", 4, (2,), 3, 2), build=(2, 3), call=flat, **projected)

# --- wrong calls ------------------------------------------------------------------------------------------------------


def zeros_of(m: Any, name: str, **changed: Any) -> Any:
    """Call a cell with arguments that fit, but for those given."""
    wide = GATES[name] * 4
    hx = [m.zeros(2, 4), m.zeros(2, 4)] if name == "lstm_cell" else m.zeros(2, 4)
    fitting = {
        "input": m.zeros(2, 3), "hx": hx, "w_ih": m.zeros(wide, 3), "w_hh": m.zeros(wide, 4), "b_ih": m.zeros(wide),
        "b_hh": m.zeros(wide),
    }  # fmt: skip
    return function(name)(m, *{**fitting, **changed}.values())


for cell, gates in GATES.items():
    start = cell + ":"
    wrong(ShapeError, lambda m, c=cell: zeros_of(m, c, input=m.zeros(3)), start, "(batch, input_size)", "(3,)")
    wrong(ShapeError, lambda m, c=cell: zeros_of(m, c, input=m.zeros(2, 5)), start, "w_ih", f"({gates * 4}, 5)")
    wrong(
        ShapeError, lambda m, c=cell: zeros_of(m, c, input=m.zeros(3, 3)), start, "hx", "shape (3, 4)", "got (2, 4)"
    )  # fmt: skip
    wrong(
        ShapeError, lambda m, c=cell: zeros_of(m, c, b_hh=m.zeros(5)), start, "b_hh", f"({gates * 4},)", "(5,)"
    )  # fmt: skip
    wrong(
        DtypeError, lambda m, c=cell: zeros_of(m, c, w_hh=m.zeros(GATES[c] * 4, 4).double()), start, "w_hh", "float64",
        "float32", ".to(dtype)",
    )  # fmt: skip
    wrong(ArgumentTypeError, lambda m, c=cell: zeros_of(m, c, input=3.0), start, "input", "float")
wrong(
    ArgumentTypeError, lambda m: zeros_of(m, "lstm_cell", hx=[m.zeros(2, 4)]), "lstm_cell:", "hx", "(h, c)", "1 of them"
)
wrong(
    DtypeError, lambda m: zeros_of(m, "gru_cell", w_ih=m.zeros(12, 3).long()), "gru_cell:", "int64", "floating dtype"
)  # fmt: skip

for name in ("RNNCell", "GRUCell", "LSTMCell"):
    start = name + ":"
    wrong(ArgumentError, lambda m, n=name: getattr(m.nn, n)(-1, 4), start, "input_size=-1")
    wrong(
        ShapeError, lambda m, n=name: getattr(m.nn, n)(3, 4)(m.zeros(2, 2)), start, "(batch, 3)", "(2, 2)"
    )  # fmt: skip
    wrong(ShapeError, lambda m, n=name: getattr(m.nn, n)(3, 4)(m.zeros(2, 2, 3)), start, "(2, 2, 3)")
    wrong(DtypeError, lambda m, n=name: getattr(m.nn, n)(3, 4)(m.zeros(2, 3).double()), start, "float64", "float32")
    wrong(
        ArgumentTypeError, lambda m, n=name: getattr(m.nn, n)(3, 4)([[1.0, 2.0, 3.0]]), start, "input", "list"
    )  # fmt: skip
wrong(ShapeError, lambda m: m.nn.GRUCell(3, 4)(m.zeros(2, 3), m.zeros(2, 5)), "GRUCell:", "hx", "(2, 4)", "(2, 5)")
wrong(ShapeError, lambda m: m.nn.RNNCell(3, 4)(m.zeros(3), m.zeros(1, 4)), "RNNCell:", "hx", "(4,)", "(1, 4)")
wrong(
    ShapeError, lambda m: m.nn.LSTMCell(3, 4)(m.zeros(2, 3), (m.zeros(2, 4), m.zeros(3, 4))), "LSTMCell:", "hx[1]",
    "(2, 4)", "(3, 4)",
)  # fmt: skip
wrong(
    ArgumentTypeError, lambda m: m.nn.LSTMCell(3, 4)(m.zeros(2, 3), (m.zeros(2, 4),)), "LSTMCell:", "(h, c)", "1 of"
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.RNNCell(3, 4, nonlinearity="elu")(m.zeros(2, 3)), "RNNCell:", "'elu'",
    "'tanh' or 'relu'",
)  # fmt: skip

for name in ("RNN", "GRU", "LSTM"):
    start = name + ":"
    wrong(ArgumentError, lambda m, n=name: getattr(m.nn, n)(0, 4), start, "input_size", "0")
    wrong(ArgumentError, lambda m, n=name: getattr(m.nn, n)(3, 4, num_layers=0), start, "num_layers", "0")
    wrong(ArgumentTypeError, lambda m, n=name: getattr(m.nn, n)(3.0, 4), start, "input_size", "float")
    wrong(ArgumentTypeError, lambda m, n=name: getattr(m.nn, n)(3, 4, bias=1), start, "bias", "bool", "int")
    wrong(ArgumentError, lambda m, n=name: getattr(m.nn, n)(3, 4, dropout=1.5), start, "dropout", "1.5")
    wrong(ShapeError, lambda m, n=name: getattr(m.nn, n)(3, 4)(m.zeros(2, 2, 2)), start, "(2, 2, 2)", "batch, 3")
    wrong(ShapeError, lambda m, n=name: getattr(m.nn, n)(3, 4)(m.zeros(3)), start, "(3,)")
    wrong(ShapeError, lambda m, n=name: getattr(m.nn, n)(3, 4)(m.zeros(0, 2, 3)), start, "at least one", "(0, 2, 3)")
    wrong(DtypeError, lambda m, n=name: getattr(m.nn, n)(3, 4)(m.zeros(2, 2, 3).double()), start, "float64")
    wrong(ArgumentTypeError, lambda m, n=name: getattr(m.nn, n)(3, 4)([1.0]), start, "input", "list")
wrong(
    ShapeError, lambda m: m.nn.GRU(3, 4)(m.zeros(2, 2, 3), m.zeros(1, 3, 4)), "GRU:", "hx", "(1, 2, 4)", "(1, 3, 4)"
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.GRU(3, 4, 2)(m.zeros(2, 3), m.zeros(2, 1, 4)), "GRU:", "hx", "(2, 4)", "(2, 1, 4)"
)  # fmt: skip
wrong(
    DtypeError, lambda m: m.nn.RNN(3, 4)(m.zeros(2, 2, 3), m.zeros(1, 2, 4).double()), "RNN:", "hx", "float64"
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.LSTM(3, 4)(m.zeros(2, 2, 3), (m.zeros(1, 2, 4), m.zeros(1, 2, 5))), "LSTM:", "hx[1]",
    "(1, 2, 4)", "(1, 2, 5)",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.nn.LSTM(3, 4)(m.zeros(2, 2, 3), m.zeros(1, 2, 4)), "LSTM:", "(h, c)", "Tensor")
wrong(ArgumentError, lambda m: m.nn.LSTM(3, 4, proj_size=4), "LSTM:", "proj_size", "less than hidden_size=4", "got 4")
wrong(ArgumentError, lambda m: m.nn.RNN(3, 4, nonlinearity="elu"), "RNN:", "'elu'", "'tanh' or 'relu'")
