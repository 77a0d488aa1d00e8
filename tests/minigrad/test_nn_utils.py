"""`nn.utils` against PyTorch: limits on gradients, parameters as a vector, padded sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.utils as utils
from minigrad.errors import ArgumentError, ArgumentTypeError, MinigradError, ShapeError
from minigrad.nn.utils import rnn

SHAPES = [(2, 3), (4,), ()]


def with_gradients(library: Any, *, scale: float = 1.0, dtype: str = "float64") -> list[Any]:
    """Parameters with gradients drawn from a seed, and one without any."""
    rng = np.random.default_rng(0)
    parameters = []
    for shape in SHAPES:
        p = library.tensor(rng.standard_normal(shape).astype(dtype)).requires_grad_()
        p.grad = library.tensor(np.asarray(rng.standard_normal(shape) * scale, dtype))
        parameters.append(p)
    return [*parameters, library.ones(2).requires_grad_()]


def gradients(parameters: list[Any]) -> list[Any]:
    return [None if p.grad is None else p.grad.numpy().copy() for p in parameters]


def assert_equal(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-6 if a.dtype == np.float32 else 1e-12)


# --- limits on gradients --------------------------------------------------------------------------------------------

NORMS = [2.0, 1.0, 3, math.inf, 0.5]


@pytest.mark.torch
@pytest.mark.parametrize("norm_type", NORMS)
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_grad_norm_is_that_of_torch(norm_type: float, scale: float, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (with_gradients(library, scale=scale, dtype=dtype) for library in (mg, torch))
    before = utils.get_total_norm([p.grad for p in ours[:-1]], norm_type)
    total = utils.clip_grad_norm_(ours, 0.7, norm_type)
    wanted = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type)
    assert_equal([total.numpy(), before.numpy()], [wanted.numpy()] * 2)
    assert_equal(gradients(ours), gradients(theirs))


def test_the_norm_is_at_most_the_limit_and_the_direction_stays() -> None:
    parameters = with_gradients(mg, scale=10.0)
    before = np.concatenate([g.reshape(-1) for g in gradients(parameters) if g is not None])
    norm = utils.clip_grad_norm_(iter(parameters), 0.5).item()
    after = np.concatenate([g.reshape(-1) for g in gradients(parameters) if g is not None])
    assert norm == pytest.approx(np.linalg.norm(before))
    assert np.linalg.norm(after) == pytest.approx(0.5, rel=1e-5)
    assert np.allclose(after / np.linalg.norm(after), before / norm)


def test_small_gradients_stay_as_they_are() -> None:
    parameters = with_gradients(mg, scale=0.01)
    before = gradients(parameters)
    utils.clip_grad_norm_(parameters, 1.0)
    assert_equal(gradients(parameters), before)


def test_one_tensor_and_none() -> None:
    (p, *_) = with_gradients(mg)
    assert utils.clip_grad_norm_(p, 0.1).item() > 0.1
    assert np.linalg.norm(p.grad.numpy()) == pytest.approx(0.1, rel=1e-4)
    for nothing in ([], [mg.ones(2, requires_grad=True)]):
        assert utils.clip_grad_norm_(nothing, 1.0).item() == 0.0


def test_a_gradient_that_is_not_finite() -> None:
    for bad in (math.inf, math.nan):
        p, q = mg.ones(2, requires_grad=True), mg.ones(1, requires_grad=True)
        p.grad, q.grad = mg.tensor([bad, 1.0]), mg.tensor([2.0])
        with pytest.raises(ArgumentError, match=r"clip_grad_norm_: the norm of the gradients is (inf|nan)"):
            utils.clip_grad_norm_([p, q], 1.0, error_if_nonfinite=True)
        assert q.grad.tolist() == [2.0]
        with pytest.raises(ArgumentError, match="get_total_norm: the norm"):
            utils.get_total_norm([p.grad, q.grad], error_if_nonfinite=True)
        assert not math.isfinite(utils.clip_grad_norm_([p, q], 1.0).item())
        assert math.isnan(p.grad[0].item())
        assert q.grad.item() == (0.0 if bad == math.inf else pytest.approx(math.nan, nan_ok=True))


@pytest.mark.torch
def test_clip_grads_with_norm_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = with_gradients(mg), with_gradients(torch)
    utils.clip_grads_with_norm_(ours, 0.5, mg.tensor(3.0))
    torch.nn.utils.clip_grads_with_norm_(theirs, 0.5, torch.tensor(3.0))
    assert_equal(gradients(ours), gradients(theirs))


@pytest.mark.torch
@pytest.mark.parametrize("limit", [0.3, 5, 0])
def test_clip_grad_value_is_that_of_torch(limit: float) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = with_gradients(mg), with_gradients(torch)
    utils.clip_grad_value_(iter(ours), limit)
    torch.nn.utils.clip_grad_value_(theirs, limit)
    assert_equal(gradients(ours), gradients(theirs))


def test_clipping_in_a_training_step() -> None:
    model = mg.nn.Linear(3, 2)
    x = mg.ones(4, 3)
    (model(x) * 100).sum().backward()
    kept = model.weight.grad
    utils.clip_grad_norm_(model.parameters(), 1.0)
    assert model.weight.grad is kept  # in place: an optimizer that looks at it sees the change
    assert not model.weight.grad.requires_grad
    assert utils.get_total_norm([p.grad for p in model.parameters()]).item() == pytest.approx(1.0, rel=1e-5)


# --- parameters as a vector -----------------------------------------------------------------------------------------


def test_parameters_to_vector_and_back() -> None:
    model = mg.nn.Sequential(mg.nn.Linear(3, 2), mg.nn.Linear(2, 1))
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.shape == (11,)
    assert np.array_equal(vector.detach().numpy()[:6], model[0].weight.detach().numpy().reshape(-1))
    utils.vector_to_parameters(vector.detach() * 2, model.parameters())
    assert mg.equal(utils.parameters_to_vector(model.parameters()).detach(), vector.detach() * 2)
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())


def test_gradients_flow_through_the_vector() -> None:
    parameters = with_gradients(mg)[:-1]
    coefficients = mg.arange(11, dtype=mg.float64)
    (utils.parameters_to_vector(parameters) * coefficients).sum().backward()
    fresh = with_gradients(mg)[:-1]
    found = [p.grad - f.grad for p, f in zip(parameters, fresh, strict=True)]
    assert np.allclose(utils.parameters_to_vector(found).numpy(), np.arange(11))


@pytest.mark.torch
def test_the_vector_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = with_gradients(mg)[:-1], with_gradients(torch)[:-1]
    vector, wanted = utils.parameters_to_vector(ours), torch.nn.utils.parameters_to_vector(theirs)
    assert_equal([vector.detach().numpy()], [wanted.detach().numpy()])


def test_the_tape_notices_new_parameters() -> None:
    x = mg.ones(3, requires_grad=True)
    y = (x * x).sum()
    utils.vector_to_parameters(mg.zeros(3), [x])
    with pytest.raises(mg.errors.MutationError):
        y.backward()


def test_a_vector_of_another_length_changes_nothing() -> None:
    p, q = mg.ones(2), mg.ones(2)
    for length in (3, 5):
        with pytest.raises(ShapeError, match=rf"a vector of 4 values, got \({length},\)"):
            utils.vector_to_parameters(mg.zeros(length), [p, q])
    assert p.tolist() == q.tolist() == [1.0, 1.0]


# --- padded sequences -----------------------------------------------------------------------------------------------


def sequences(library: Any, *trailing: int) -> list[Any]:
    rng = np.random.default_rng(1)
    return [library.tensor(rng.standard_normal((n, *trailing))).requires_grad_() for n in (3, 1, 4)]


@pytest.mark.torch
@pytest.mark.parametrize("trailing", [(), (2,), (2, 3)])
@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"padding_value": 2.5}, {"padding_side": "left", "batch_first": True}]
)
def test_pad_sequence_is_that_of_torch(trailing: tuple[int, ...], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = sequences(mg, *trailing), sequences(torch, *trailing)
    padded, wanted = rnn.pad_sequence(ours, **options), torch.nn.utils.rnn.pad_sequence(theirs, **options)
    assert_equal([padded.detach().numpy()], [wanted.detach().numpy()])
    for result in (padded, wanted):
        (result * result).sum().backward()
    assert_equal(gradients(ours), gradients(theirs))
    if "padding_side" not in options:
        lengths = [3, 1, 4]
        batch_first = options.get("batch_first", False)
        back = rnn.unpad_sequence(padded, lengths, batch_first)
        theirs_back = torch.nn.utils.rnn.unpad_sequence(wanted.detach(), torch.tensor(lengths), batch_first)
        assert_equal([b.detach().numpy() for b in back], [b.numpy() for b in theirs_back])
        assert_equal([b.detach().numpy() for b in back], [s.detach().numpy() for s in ours])


def test_padding_of_integers_and_of_nothing() -> None:
    padded = rnn.pad_sequence([mg.tensor([1, 2]), mg.tensor([3])], True, -1)
    assert padded.tolist() == [[1, 2], [3, -1]]
    assert padded.dtype == np.int64
    assert rnn.pad_sequence([mg.zeros(0, 2), mg.zeros(0, 2)]).shape == (0, 2, 2)
    assert [s.shape for s in rnn.unpad_sequence(mg.zeros(3, 2, 4), mg.tensor([0, 2]))] == [(0, 4), (2, 4)]


# --- wrong calls ----------------------------------------------------------------------------------------------------

WRONG: list[tuple[type[MinigradError], Callable[[Any, Any], Any], str]] = [
    (ArgumentTypeError, lambda m, u: u.clip_grad_norm_([1.0], 1.0), "clip_grad_norm_: expected a Tensor .* float"),
    (ArgumentTypeError, lambda m, u: u.clip_grad_norm_(1.0, 1.0), "clip_grad_norm_: expected a Tensor .* float"),
    (ArgumentTypeError, lambda m, u: u.clip_grad_value_([1.0], 1.0), "clip_grad_value_: expected a Tensor"),
    (ArgumentTypeError, lambda m, u: u.get_total_norm([m.ones(2)], "x"), "get_total_norm: norm_type .* 'x'"),
    (ArgumentTypeError, lambda m, u: u.parameters_to_vector([]), "parameters_to_vector: got no parameters"),
    (
        ArgumentTypeError,
        lambda m, u: u.parameters_to_vector([1.0]),
        "parameters_to_vector: expected Tensors, got float",
    ),
    (ArgumentTypeError, lambda m, u: u.vector_to_parameters([1.0], [m.ones(1)]), "vec must be a Tensor, got list"),
    (ArgumentError, lambda m, u: u.rnn.pad_sequence([]), "pad_sequence: expected at least one sequence"),
    (ArgumentError, lambda m, u: u.rnn.pad_sequence([m.ones(1)], padding_side="top"), "pad_sequence: .* 'top'"),
    (ArgumentTypeError, lambda m, u: u.rnn.pad_sequence(3), "pad_sequence: sequences must be a list .* int"),
    (ArgumentTypeError, lambda m, u: u.rnn.pad_sequence([[1.0]]), "pad_sequence: every sequence .* list"),
    (ShapeError, lambda m, u: u.rnn.pad_sequence([m.ones(2, 3), m.ones(2, 4)]), r"pad_sequence: .*\(2, 3\), \(2, 4\)"),
    (ShapeError, lambda m, u: u.rnn.unpad_sequence(m.ones(2, 3), m.tensor([1])), "unpad_sequence: 3 sequences"),
    (ShapeError, lambda m, u: u.rnn.unpad_sequence(m.ones(2), m.tensor([1, 1])), "unpad_sequence: expected"),
    (ArgumentTypeError, lambda m, u: u.rnn.unpad_sequence([1.0], m.tensor([1])), "unpad_sequence: padded_sequences"),
]


@pytest.mark.parametrize(("error", "call", "message"), WRONG, ids=[m for *_, m in WRONG])
def test_wrong_calls(error: type[MinigradError], call: Callable[[Any, Any], Any], message: str) -> None:
    with pytest.raises(error, match=message):
        call(mg, utils)


@pytest.mark.torch
@pytest.mark.parametrize("call", [call for _, call, _ in WRONG], ids=[m for *_, m in WRONG])
def test_torch_refuses_the_same(call: Callable[[Any, Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises((AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)):
        call(torch, torch.nn.utils)
