"""Recurrent networks. One direction of one layer is one op, over a whole sequence or, in a cell, over one step.

Each of the three ops (`_rnn`, `_lstm`, `_gru`) has a fused forward and a fused backward in NumPy, and a formula in
differentiable ops that states what both compute and gives the gradients of higher orders. Inputs are sequences (T, B,
I) or single steps (B, I); what belongs to the gates lies in memory as (T, gates, B, H), each gate contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...creation import zeros
from ...dtypes import Array
from ...ops import linear, relu, stack, tanh
from ...primitive import op
from ...tape import vjp_of
from ...tensor import Tensor

__all__ = ["gru", "lstm", "rnn"]


# --- shared by the three ------------------------------------------------------------------------------------------


def _backward_formula(formula: Callable[..., Any], outputs: int) -> Callable[..., Any]:
    """The backward pass of `formula` as a formula itself: (cotangents, inputs) -> the gradients of all inputs.

    It says in differentiable ops what a fused backward computes, so that this one can be differentiated as well.
    """
    pull_back = vjp_of(formula)

    def gradients(*args: Tensor, **attrs: Any) -> Any:
        cotangents: Any = args[:outputs] if outputs > 1 else args[0]
        inputs = [x if x.requires_grad else x.detach().requires_grad_() for x in args[outputs:]]
        return pull_back(cotangents, None, *inputs, **attrs)

    return gradients


def _joined(like: Any, steps: list[Any]) -> Any:
    """The results of all steps: (T, B, H), or (B, H) if the input was a single step."""
    return stack(steps) if like.ndim == 3 else steps[0]


def _each_step(x: Any) -> Any:
    return x if x.ndim == 3 else [x]


def _steps(x: Array) -> Array:
    """A single step as a sequence of one."""
    return x if x.ndim == 3 else x[None]


def _rows(x: Array) -> Array:
    """Steps and batch merged into one dimension."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _before(start: Array, states: Array) -> Array:
    """The state from which each step started."""
    return np.concatenate([start[None], states[:-1]])


def _gates_first(x: Array, gates: int) -> Array:
    """(T, B, gates * H) as a view (T, gates, B, H)."""
    steps, batch, wide = x.shape
    return x.reshape(steps, batch, gates, wide // gates).transpose(0, 2, 1, 3)


def _matrices(weight: Array, gates: int) -> Array:
    """A weight (gates * H, size) as a view (gates, size, H): one matrix for each gate, to multiply from the right."""
    wide, size = weight.shape
    return weight.reshape(gates, wide // gates, size).transpose(0, 2, 1)


def _projected(x: Array, weight: Array, bias: Array, gates: int) -> Array:
    """x W^T + b for all steps at once, as a new array (T, gates, B, H)."""
    if len(x) == 1:
        sums = np.matmul(x, _matrices(weight, gates))[None]
    else:  # one large product is faster than many small ones
        sums = np.matmul(_rows(x), weight.T).reshape(*x.shape[:-1], weight.shape[0])
        sums = _gates_first(sums, gates).copy()
    sums += bias.reshape(gates, 1, -1)
    return sums


def _recurrent(weight: Array, gates: int, steps: int) -> Array:
    """The matrices of W_hh, copied if they are used more than once, which makes the products faster."""
    matrices = _matrices(weight, gates)
    return matrices if steps == 1 else matrices.copy()


def _sigmoid_in_place(x: Array) -> None:
    """1 / (1 + exp(-x)); where exp overflows to inf, its reciprocal is the limit 0."""
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1
    np.reciprocal(x, out=x)


def _parameter_gradients(
    d_inputs: Array, d_hidden: Array, x: Array, before: Array, w_ih: Array, with_x: bool
) -> tuple[Array, Array, Array, Array, Array]:
    """The gradients of x, W_ih, W_hh, b_ih and b_hh from those of the sums W_ih x + b_ih and W_hh h + b_hh.

    That of x is left at zeros unless `with_x`: data need no gradient, and it is a fourth of the products.
    """
    by_input, by_state = _rows(d_inputs), _rows(d_hidden)
    d_x = np.matmul(by_input, w_ih).reshape(x.shape) if with_x else np.zeros_like(x)
    d_w_ih, d_w_hh = np.matmul(by_input.T, _rows(x)), np.matmul(by_state.T, _rows(before))
    d_b_ih = np.add.reduce(by_input, axis=0)
    d_b_hh = d_b_ih.copy() if d_hidden is d_inputs else np.add.reduce(by_state, axis=0)
    return d_x, d_w_ih, d_w_hh, d_b_ih, d_b_hh


# --- RNN ----------------------------------------------------------------------------------------------------------


def _rnn_formula(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, nonlinearity: str, **saved: Any) -> Any:
    outputs = []
    for step in _each_step(x):
        h = linear(step, w_ih, b_ih) + linear(h, w_hh, b_hh)
        h = tanh(h) if nonlinearity == "tanh" else relu(h)
        outputs.append(h)
    return _joined(x, outputs)


@op
def _rnn(x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, *, nonlinearity: str) -> Array:
    outputs = _projected(_steps(x), w_ih, b_ih + b_hh, 1)[:, 0]
    (recurrent,) = _recurrent(w_hh, 1, len(outputs))
    for step in outputs:
        step += np.matmul(h, recurrent)
        if nonlinearity == "tanh":
            np.tanh(step, out=step)
        else:
            np.maximum(step, 0, out=step)
        h = step
    return outputs.reshape(*x.shape[:-1], h.shape[-1])


@op
def _rnn_backward(
    d_outputs: Array, x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array,
    *, nonlinearity: str, outputs: Array, with_x: bool,
) -> tuple[Array, ...]:  # fmt: skip
    d_outputs, outputs = _steps(d_outputs), _steps(outputs)
    d_sums = np.empty_like(outputs)
    d_h = np.zeros_like(h)
    for t in reversed(range(len(outputs))):
        d_h = d_h + d_outputs[t]
        if nonlinearity == "tanh":
            d_sums[t] = d_h * (1 - outputs[t] * outputs[t])
        else:
            d_sums[t] = np.where(outputs[t] <= 0, 0, d_h)
        d_h = np.matmul(d_sums[t], w_hh)
    d_x, *d_parameters = _parameter_gradients(d_sums, d_sums, x, _before(h, outputs), w_ih, with_x)
    return d_x, d_h, *d_parameters


def _rnn_vjp(g: Any, out: Any, *inputs: Any, nonlinearity: str) -> Any:
    saved = {"nonlinearity": nonlinearity, "outputs": out._array}
    return _rnn_backward(g, *inputs, **saved, with_x=inputs[0].requires_grad)


_rnn.defvjp(joint=_rnn_vjp)
_rnn_backward.defvjp(joint=vjp_of(_backward_formula(_rnn_formula, outputs=1)))


def rnn(
    nonlinearity: str, x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any
) -> tuple[Any, tuple[Any, ...]]:
    """The outputs and the last state (h,); without biases these are None."""
    outputs = _rnn(x, h, w_ih, w_hh, *_biases(w_hh, b_ih, b_hh), nonlinearity=nonlinearity)
    return outputs, (_last(outputs),)


def _biases(weight: Tensor, *biases: Tensor | None) -> list[Tensor]:
    return [zeros(weight.shape[0], dtype=weight.dtype) if b is None else b for b in biases]


def _last(states: Any) -> Any:
    return states[-1] if states.ndim == 3 else states


# --- LSTM ---------------------------------------------------------------------------------------------------------


def _lstm_formula(
    x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any = None, **saved: Any
) -> tuple[Any, Any]:
    outputs, cells = [], []
    for step in _each_step(x):
        i, f, g, o = (linear(step, w_ih, b_ih) + linear(h, w_hh, b_hh)).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        if w_hr is not None:
            h = linear(h, w_hr)
        outputs.append(h)
        cells.append(c)
    return _joined(x, outputs), _joined(x, cells)


@op
def _lstm(
    x: Array, h: Array, c: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array, Array]:
    """Outputs and cell states (T, B, H), and the gates (T, 4, B, H), which the backward pass needs again."""
    gates = _projected(_steps(x), w_ih, b_ih + b_hh, 4)
    outputs, cells = (np.empty((*x.shape[:-1], h.shape[-1]), gates.dtype) for _ in range(2))
    all_h, all_c = _steps(outputs), _steps(cells)
    recurrent = _recurrent(w_hh, 4, len(gates))
    for t, (i, f, g, o) in enumerate(gates):
        gates[t] += np.matmul(h, recurrent)
        _sigmoid_in_place(gates[t, :2])
        np.tanh(g, out=g)
        _sigmoid_in_place(o)
        all_c[t] = c = f * c + i * g
        all_h[t] = h = o * np.tanh(c)
    return outputs, cells, gates


@op
def _lstm_backward(
    d_outputs: Array, d_cells: Array,
    x: Array, h: Array, c: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array,
    *, outputs: Array, cells: Array, gates: Array, with_x: bool,
) -> tuple[Array, ...]:  # fmt: skip
    d_outputs, d_cells, outputs, cells = _steps(d_outputs), _steps(d_cells), _steps(outputs), _steps(cells)
    i, f, g, o = gates.swapaxes(0, 1)
    tanh_c = np.tanh(cells)
    cell_by_output = o * (1 - tanh_c * tanh_c)
    d_sums = np.empty((*cells.shape[:2], w_hh.shape[0]), cells.dtype)
    d_gates = _gates_first(d_sums, 4)
    # First how much the cell changes with the sums inside i, f and g, and the output with that inside o.
    d_gates[:, 0] = g * i * (1 - i)
    d_gates[:, 1] = _before(c, cells) * f * (1 - f)
    d_gates[:, 2] = i * (1 - g * g)
    d_gates[:, 3] = tanh_c * o * (1 - o)
    d_h, d_c = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(len(cells))):
        d_h = d_h + d_outputs[t]
        d_c = d_c + d_cells[t] + d_h * cell_by_output[t]
        d_gates[t, :3] *= d_c
        d_gates[t, 3] *= d_h
        d_h = np.matmul(d_sums[t], w_hh)
        d_c = d_c * f[t]
    d_x, *d_parameters = _parameter_gradients(d_sums, d_sums, x, _before(h, outputs), w_ih, with_x)
    return d_x, d_h, d_c, *d_parameters


def _lstm_vjp(g: Any, out: Any, *inputs: Any) -> Any:
    outputs, cells, gates = (o._array for o in out)
    saved = {"outputs": outputs, "cells": cells, "gates": gates}
    return _lstm_backward(g[0], g[1], *inputs, **saved, with_x=inputs[0].requires_grad)


_lstm.defvjp(joint=_lstm_vjp)
_lstm_backward.defvjp(joint=vjp_of(_backward_formula(_lstm_formula, outputs=2)))


def lstm(
    x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any, w_hr: Tensor | None = None
) -> tuple[Any, tuple[Any, ...]]:
    """The outputs and the last states (h, c); with `w_hr` (P, H), outputs and h are projected to size P."""
    b_ih, b_hh = _biases(w_hh, b_ih, b_hh)
    if w_hr is None:
        outputs, cells, _ = _lstm(x, h, c, w_ih, w_hh, b_ih, b_hh)
    else:
        outputs, cells = _lstm_formula(x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr)
    return outputs, (_last(outputs), _last(cells))


# --- GRU ----------------------------------------------------------------------------------------------------------


def _gru_formula(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, **saved: Any) -> Any:
    outputs = []
    for step in _each_step(x):
        x_r, x_z, x_n = linear(step, w_ih, b_ih).chunk(3, -1)
        h_r, h_z, h_n = linear(h, w_hh, b_hh).chunk(3, -1)
        r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        n = (x_n + r * h_n).tanh()
        h = (1 - z) * n + z * h
        outputs.append(h)
    return _joined(x, outputs)


@op
def _gru(x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> tuple[Array, Array, Array]:
    """Outputs (T, B, H); for the backward pass also the gates (T, 3, B, H) and what r multiplies (T, B, H)."""
    gates = _projected(_steps(x), w_ih, b_ih, 3)
    outputs, h_n = np.empty_like(gates[:, 0]), np.empty_like(gates[:, 0])
    recurrent, bias = _recurrent(w_hh, 3, len(gates)), b_hh.reshape(3, 1, h.shape[-1])
    for t, (_, z, n) in enumerate(gates):
        hidden = np.matmul(h, recurrent) + bias
        gates[t, :2] += hidden[:2]
        _sigmoid_in_place(gates[t, :2])
        h_n[t] = hidden[2]
        n += gates[t, 0] * h_n[t]
        np.tanh(n, out=n)
        outputs[t] = h = (1 - z) * n + z * h
    return outputs.reshape(*x.shape[:-1], h.shape[-1]), gates, h_n


@op
def _gru_backward(
    d_outputs: Array, x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array,
    *, outputs: Array, gates: Array, h_n: Array, with_x: bool,
) -> tuple[Array, ...]:  # fmt: skip
    d_outputs, outputs = _steps(d_outputs), _steps(outputs)
    r, z, n = gates.swapaxes(0, 1)
    before = _before(h, outputs)
    d_hidden = np.empty((*outputs.shape[:2], w_hh.shape[0]), outputs.dtype)
    d_gates = _gates_first(d_hidden, 3)
    # First how much the output changes with the sums W_hh h + b_hh; r acts on it through n.
    by_n = (1 - z) * (1 - n * n)
    d_gates[:, 0] = by_n * h_n * r * (1 - r)
    d_gates[:, 1] = (before - n) * z * (1 - z)
    d_gates[:, 2] = by_n * r
    totals = np.empty_like(outputs)
    d_h = np.zeros_like(h)
    for t in reversed(range(len(outputs))):
        totals[t] = d_h = d_h + d_outputs[t]
        d_gates[t] *= d_h
        d_h = np.matmul(d_hidden[t], w_hh) + d_h * z[t]
    d_inputs = d_hidden.copy()
    _gates_first(d_inputs, 3)[:, 2] = totals * by_n
    d_x, *d_parameters = _parameter_gradients(d_inputs, d_hidden, x, before, w_ih, with_x)
    return d_x, d_h, *d_parameters


def _gru_vjp(g: Any, out: Any, *inputs: Any) -> Any:
    outputs, gates, h_n = (o._array for o in out)
    saved = {"outputs": outputs, "gates": gates, "h_n": h_n}
    return _gru_backward(g[0], *inputs, **saved, with_x=inputs[0].requires_grad)


_gru.defvjp(joint=_gru_vjp)
_gru_backward.defvjp(joint=vjp_of(_backward_formula(_gru_formula, outputs=1)))


def gru(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any) -> tuple[Any, tuple[Any, ...]]:
    """The outputs and the last state (h,)."""
    outputs, _, _ = _gru(x, h, w_ih, w_hh, *_biases(w_hh, b_ih, b_hh))
    return outputs, (_last(outputs),)
