"""Recurrent layers: what the op tables cannot say. Values and gradients are compared in op_tables/recurrent.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad as m
from minigrad import nn
from minigrad.nn.functional import _recurrence, recurrent

LAYERS = ("RNN", "GRU", "LSTM")


def arrays(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def outputs(result: Any) -> list[Any]:
    """The output and the last states."""
    output, states = result
    return [output, *(states if isinstance(states, tuple) else [states])]


# --- fused against the formula ------------------------------------------------------------------------------------


def operands(kind: str, steps: int) -> list[m.Tensor]:
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[kind]
    states = [(2, 3)] * (2 if kind == "lstm" else 1)
    shapes = [(steps, 2, 2), *states, (gates * 3, 2), (gates * 3, 3), (gates * 3,), (gates * 3,)]
    return [m.tensor(a, requires_grad=True) for a in arrays(steps, *shapes)]


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_third_gradients_of_the_fused_op_are_those_of_the_formula(kind: str) -> None:
    """First and second gradients are compared with PyTorch; the third only follow if the backward is differentiable."""
    inputs = operands(kind, 2)
    options = {"nonlinearity": "tanh"} if kind == "rnn" else {}
    found = []
    for function in (getattr(_recurrence, f"_{kind}"), getattr(_recurrence, f"_{kind}_formula")):
        result = function(*inputs, **options)
        value = result[0] if isinstance(result, tuple) else result
        for _ in range(3):
            value = (value * value).sum()
            (value,) = m.grad(value, [inputs[1]], create_graph=True)
        found.append(value)
    np.testing.assert_allclose(found[0].detach().numpy(), found[1].detach().numpy(), rtol=1e-9)
    assert np.abs(found[0].detach().numpy()).max() > 1e-6


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_one_step_is_a_sequence_of_one(kind: str) -> None:
    x, *others = operands(kind, 1)
    sequence = ("tanh", x) if kind == "rnn" else (x,)
    step = ("tanh", x[0]) if kind == "rnn" else (x[0],)
    function = getattr(_recurrence, kind)
    long, last = function(*sequence, *others)
    short, state = function(*step, *others)
    np.testing.assert_array_equal(long[0].detach().numpy(), short.detach().numpy())
    for a, b in zip(last, state, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_its_cell_step_by_step(name: str) -> None:
    layer, cell = getattr(nn, name)(2, 3), getattr(nn, name + "Cell")(2, 3)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    (x,) = (m.tensor(a.astype(np.float32)) for a in arrays(0, (4, 2, 2)))
    state, stepped = None, []
    for step in x:
        state = cell(step, state)
        stepped.append(state[0] if name == "LSTM" else state)
    output, *last = outputs(layer(x))
    np.testing.assert_allclose(output.detach().numpy(), m.stack(stepped).detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(last[0][0].detach().numpy(), stepped[-1].detach().numpy(), atol=1e-6)


def test_a_large_gate_neither_overflows_nor_warns() -> None:
    gates = np.array([-1e4, -90.0, -5.0, 0.0, 5.0, 90.0, 1e4, np.inf, -np.inf, np.nan], np.float32)
    expected = m.sigmoid(m.tensor(gates)).numpy()
    _recurrence._sigmoid_in_place(gates)
    np.testing.assert_allclose(gates, expected, rtol=1e-5, atol=1e-38)


# --- PyTorch's state --------------------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:LSTM with projections")  # PyTorch says which of its libraries computes it
@pytest.mark.parametrize(("name", "more"), [*((name, {}) for name in LAYERS), ("LSTM", {"proj_size": 2})])
def test_weights_of_torch_give_the_outputs_of_torch(name: str, more: dict[str, int]) -> None:
    torch = pytest.importorskip("torch", reason="the weights of PyTorch can only be had where it is installed")
    options: dict[str, Any] = {"num_layers": 3, "bidirectional": True, "batch_first": True, **more}
    theirs, ours = getattr(torch.nn, name)(4, 3, **options), getattr(nn, name)(4, 3, **options)
    ours.load_state_dict({key: m.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    (x,) = arrays(0, (2, 5, 4))
    want = outputs(theirs(torch.tensor(x.astype(np.float32))))
    got = outputs(ours(m.tensor(x.astype(np.float32))))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-6)


# --- starting values, dropout, options --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*LAYERS, "RNNCell", "GRUCell", "LSTMCell"])
def test_parameters_start_uniform(name: str) -> None:
    layer = getattr(nn, name)(30, 25, generator=m.Generator(1))
    again = getattr(nn, name)(30, 25, generator=m.Generator(1))
    values = np.concatenate([p.detach().numpy().ravel() for p in layer.parameters()])
    assert np.abs(values).max() <= 1 / math.sqrt(25)
    assert np.abs(values).max() > 0.95 / math.sqrt(25)
    assert abs(values.mean()) < 0.01
    assert values.std() == pytest.approx(0.2 / math.sqrt(3), rel=0.05)
    for a, b in zip(layer.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@pytest.mark.parametrize("name", LAYERS)
def test_dropout_acts_between_layers_only(name: str) -> None:
    """With probability 1 the second layer sees zeros, and its own output is not dropped."""
    layer = getattr(nn, name)(2, 3, num_layers=2, dropout=1.0)
    one, two = (m.tensor(a.astype(np.float32)) for a in arrays(0, (4, 2, 2), (4, 2, 2)))
    first, second = (outputs(layer(x))[0].detach().numpy() for x in (one, two))
    np.testing.assert_array_equal(first, second)
    assert first.any()
    layer.eval()
    first, second = (outputs(layer(x))[0].detach().numpy() for x in (one, two))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", LAYERS)
def test_dropout_is_that_of_its_generator(name: str) -> None:
    x = m.ones(3, 4, 2)
    made = []
    for seed in (1, 1, 2):
        layer = getattr(nn, name)(2, 8, num_layers=2, dropout=0.5, generator=m.Generator(seed))
        for p in layer.parameters():
            nn.init.constant_(p, 0.1)
        made.append(outputs(layer(x))[0].detach().numpy())
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


@pytest.mark.parametrize("name", LAYERS)
def test_dropout_after_the_only_layer_is_warned_about(name: str) -> None:
    with pytest.warns(UserWarning, match=rf"{name}: dropout=0.5 has no effect with num_layers=1"):
        getattr(nn, name)(2, 3, dropout=0.5)


def test_flatten_parameters_exists() -> None:
    assert nn.LSTM(2, 3).flatten_parameters() is None


def test_negative_projections_are_refused() -> None:
    with pytest.raises(m.errors.ArgumentError, match="proj_size"):
        nn.LSTM(2, 3, proj_size=-1)


# --- misuse -----------------------------------------------------------------------------------------------------------


def test_read_only_and_shared_arrays_are_not_changed() -> None:
    (x,) = arrays(0, (3, 2, 2))
    x.setflags(write=False)
    layer = nn.LSTM(2, 3, dtype=m.float64)
    before = x.copy()
    output, _ = layer(m.from_numpy(x))
    output.sum().backward()
    np.testing.assert_array_equal(x, before)


def test_a_changed_output_is_noticed() -> None:
    """The backward pass reads the outputs that the forward pass has returned."""
    cell = nn.LSTMCell(2, 3)
    h, c = cell(m.ones(1, 2))
    with m.no_grad():
        h.zero_()
    with pytest.raises(m.errors.MutationError):
        c.sum().backward()


def test_weights_changed_before_backward_are_noticed() -> None:
    layer = nn.GRU(2, 3)
    output, _ = layer(m.ones(2, 1, 2))
    with m.no_grad():
        layer.weight_hh_l0.zero_()
    with pytest.raises(m.errors.MutationError):
        output.sum().backward()


def test_states_carry_gradients_through_many_steps() -> None:
    cell = nn.GRUCell(1, 2, dtype=m.float64)
    h = start = m.zeros(1, 2, dtype=m.float64, requires_grad=True)
    for _ in range(50):
        h = cell(m.ones(1, 1, dtype=m.float64), h)
    h.sum().backward()
    assert start.grad is not None
    assert np.isfinite(start.grad.numpy()).all()
    assert start.grad.numpy().any()


@pytest.mark.parametrize("wrong", [None, "text", [1.0], np.ones((2, 2, 2), np.float32)])
def test_no_foreign_error_reaches_the_user(wrong: Any) -> None:
    for name in LAYERS:
        with pytest.raises(m.MinigradError, match=f"^{name}: input must be a Tensor"):
            getattr(nn, name)(2, 3)(wrong)
    with pytest.raises(m.MinigradError, match=r"^lstm_cell: "):
        recurrent.lstm_cell(wrong, (wrong, wrong), wrong, wrong)
