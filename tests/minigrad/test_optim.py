"""Optimisers: whole trajectories against the formulas in NumPy, and against PyTorch step for step."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.optim import SGD, Adam

H = np.array([[2.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 0.5]])  # loss: x^T H x / 2, gradient: H x
START = np.array([1.0, -2.0, 3.0])

SGD_OPTIONS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.8, "nesterov": True},
    {"weight_decay": 0.1},
    {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    {"maximize": True},
    {"momentum": 0.5, "maximize": True, "weight_decay": 0.2},
]
ADAM_OPTIONS: list[dict[str, Any]] = [
    {},
    {"betas": (0.5, 0.6)},
    {"betas": (0.0, 0.0)},
    {"eps": 0.1},
    {"weight_decay": 0.1},
    {"amsgrad": True, "betas": (0.9, 0.5)},
    {"maximize": True},
    {"amsgrad": True, "maximize": True, "weight_decay": 0.1, "betas": (0.3, 0.4)},
]
WITH_FORMULA = [(SGD, o) for o in SGD_OPTIONS] + [(Adam, o) for o in ADAM_OPTIONS]
OTHERS: dict[str, list[dict[str, Any]]] = {
    "AdamW": [{}, {"weight_decay": 0.3}, {"amsgrad": True, "betas": (0.5, 0.6)}, {"maximize": True, "eps": 0.1}],
    "Adam": [{"decoupled_weight_decay": True, "weight_decay": 0.2}],
    "Adagrad": [
        {}, {"lr_decay": 0.1}, {"weight_decay": 0.1}, {"initial_accumulator_value": 0.5}, {"eps": 0.1},
        {"maximize": True},
    ],
    "RMSprop": [
        {}, {"alpha": 0.5}, {"eps": 0.1}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"centered": True},
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "alpha": 0.9}, {"maximize": True},
    ],
    "Adadelta": [{}, {"rho": 0.5}, {"eps": 0.1}, {"weight_decay": 0.1}, {"maximize": True}],
    "Adamax": [{}, {"betas": (0.5, 0.6)}, {"eps": 0.1}, {"weight_decay": 0.1}, {"maximize": True}],
    "NAdam": [
        {}, {"betas": (0.5, 0.6)}, {"momentum_decay": 0.1}, {"weight_decay": 0.1}, {"eps": 0.1},
        {"weight_decay": 0.1, "decoupled_weight_decay": True}, {"maximize": True},
    ],
    "RAdam": [
        {}, {"betas": (0.5, 0.6)}, {"betas": (0.9, 0.95)}, {"weight_decay": 0.1}, {"eps": 0.1},
        {"weight_decay": 0.1, "decoupled_weight_decay": True}, {"maximize": True},
    ],
    "Rprop": [{}, {"etas": (0.3, 1.5)}, {"step_sizes": (0.02, 0.1)}, {"maximize": True}],
}  # fmt: skip
ALL = WITH_FORMULA + [(getattr(mg.optim, name), o) for name, options in OTHERS.items() for o in options]
NAMES = [f"{kind.__name__} {options}" for kind, options in ALL]
KINDS = sorted({kind.__name__ for kind, _ in ALL})

RECORD = Path(__file__).resolve().parents[1] / "reference" / "optim.npz"
RECORDED = slice(0, None, 3)  # of the 40 steps


def by_formula_sgd(steps: int, lr: float, **o: Any) -> np.ndarray:
    """Sutskever's momentum in PyTorch's form: the first velocity is the gradient itself, without dampening."""
    x, v, path = START.copy(), None, []
    for _ in range(steps):
        g = H @ x * (-1 if o.get("maximize") else 1) + o.get("weight_decay", 0) * x
        mu = o.get("momentum", 0)
        v = g if v is None else mu * v + (1 - o.get("dampening", 0)) * g
        x = x - lr * ((g + mu * v if o.get("nesterov") else v) if mu else g)
        path.append(x)
    return np.array(path)


def by_formula_adam(steps: int, lr: float, **o: Any) -> np.ndarray:
    """Algorithm 1 of Kingma and Ba, with AMSGrad's maximum as PyTorch takes it: of the uncorrected second moment."""
    (b1, b2), eps = o.get("betas", (0.9, 0.999)), o.get("eps", 1e-8)
    x, m, v, top, path = START.copy(), 0.0, 0.0, np.zeros(3), []
    for t in range(1, steps + 1):
        g = H @ x * (-1 if o.get("maximize") else 1) + o.get("weight_decay", 0) * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        top = np.maximum(top, v)
        second = (top if o.get("amsgrad") else v) / (1 - b2**t)
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(second) + eps)
        path.append(x)
    return np.array(path)


def trajectory(m: Any, kind: str, steps: int, **options: Any) -> np.ndarray:
    """The same loop in either library."""
    optim = m.optim
    x = m.tensor(START, dtype=m.float64, requires_grad=True)
    h = m.tensor(H, dtype=m.float64)
    optimizer = getattr(optim, kind)([x], **options)
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        ((x @ h @ x) / 2).backward()
        optimizer.step()
        path.append(x.detach().numpy().copy())
    return np.array(path)


@pytest.mark.parametrize(("kind", "options"), WITH_FORMULA, ids=NAMES[: len(WITH_FORMULA)])
def test_the_whole_trajectory_follows_the_formula(kind: type[Any], options: dict[str, Any]) -> None:
    formula = by_formula_sgd if kind is SGD else by_formula_adam
    ours = trajectory(mg, kind.__name__, 40, lr=0.05, **options)
    assert np.allclose(ours, formula(40, 0.05, **options), rtol=1e-11, atol=1e-13)


@pytest.mark.torch
@pytest.mark.parametrize(("kind", "options"), ALL, ids=NAMES)
def test_the_whole_trajectory_is_pytorchs(kind: type[Any], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    ours = trajectory(mg, kind.__name__, 40, lr=0.05, **options)
    theirs = trajectory(torch, kind.__name__, 40, lr=0.05, **options)
    assert np.allclose(ours, theirs, rtol=tolerance(kind), atol=1e-13)


@pytest.mark.parametrize(("kind", "options", "name"), [(*pair, name) for pair, name in zip(ALL, NAMES, strict=True)])
def test_the_trajectory_is_the_one_recorded_from_pytorch(kind: type[Any], options: dict[str, Any], name: str) -> None:
    ours = trajectory(mg, kind.__name__, 40, lr=0.05, **options)[RECORDED]
    with np.load(RECORD, allow_pickle=False) as record:
        assert np.allclose(ours, record[name], rtol=tolerance(kind), atol=1e-13)


def test_nothing_else_was_recorded() -> None:
    with np.load(RECORD, allow_pickle=False) as record:
        assert set(record.files) == {*NAMES, "torch"}


def tolerance(kind: type[Any]) -> float:
    return 1e-6 if kind.__name__ == "NAdam" else 1e-11  # PyTorch keeps the product of NAdam's momenta in float32


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}), ("Adam", {"lr": 0.01})],
)
def test_an_mlp_trains_as_in_pytorch_step_for_step(kind: str, options: dict[str, Any], dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    rng = np.random.default_rng(5)
    x = rng.normal(size=(64, 6))
    y = (x @ rng.normal(size=(6, 3))).argmax(1)
    torch.manual_seed(0)

    def network(m: Any) -> Any:
        nn = m.nn
        return nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)
        )

    theirs = network(torch).to(getattr(torch, dtype))
    ours = network(mg).to(getattr(mg, dtype))
    ours.load_state_dict({k: v.numpy().copy() for k, v in theirs.state_dict().items()})

    def losses(m: Any, model: Any) -> list[float]:
        optimizer = getattr(m.optim, kind)(model.parameters(), **options)
        criterion = m.nn.CrossEntropyLoss(label_smoothing=0.1)
        found = []
        for step in range(30):
            rows = slice(step % 4 * 16, step % 4 * 16 + 16)
            optimizer.zero_grad()
            loss = criterion(model(m.tensor(x[rows], dtype=getattr(m, dtype))), m.tensor(y[rows]))
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    tolerance = 1e-9 if dtype == "float64" else 2e-3  # float32: rounding grows along the trajectory
    have, want = losses(mg, ours), losses(torch, theirs)
    assert want[-1] < 0.8 * want[0]
    assert np.allclose(have, want, rtol=tolerance)
    for name, value in theirs.state_dict().items():
        # Biases before batch norm have zero gradients, which Adam turns into steps of rounding noise: not compared.
        if not (name == "0.bias" or (dtype == "float32" and kind == "Adam")):
            assert np.allclose(ours.state_dict()[name].numpy(), value.numpy(), rtol=tolerance, atol=tolerance), name


def test_an_mlp_learns() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(128, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)  # not linearly separable
    g = mg.Generator(3)
    model = mg.nn.Sequential(mg.nn.Linear(2, 32, generator=g), mg.nn.ReLU(), mg.nn.Linear(32, 2, generator=g))
    optimizer = Adam(model.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        loss = mg.nn.functional.cross_entropy(model(mg.tensor(x)), mg.tensor(y))
        loss.backward()
        optimizer.step()
    accuracy = (model(mg.tensor(x)).argmax(1) == mg.tensor(y)).float().mean().item()
    assert accuracy > 0.95


# --- groups, state, closures --------------------------------------------------------------------------------------


def leaves(*sizes: int, seed: int = 0) -> list[mg.Tensor]:
    rng = np.random.default_rng(seed)
    return [mg.tensor(rng.normal(size=n), requires_grad=True) for n in sizes]


def advance(optimizer: Any, params: list[mg.Tensor], steps: int, seed: int = 9) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for p in params:
            p.grad = mg.tensor(rng.normal(size=p.shape))
        optimizer.step()


def test_groups_have_options_of_their_own() -> None:
    a, b, c = leaves(2, 3, 4)
    optimizer = SGD([{"params": [a]}, {"params": b, "lr": 10.0}], lr=0.5, momentum=0.0)
    optimizer.add_param_group({"params": [c], "lr": 0.0})
    before = [p.detach().clone() for p in (a, b, c)]
    for p in (a, b, c):
        p.grad = mg.ones_like(p)
    optimizer.step()
    assert np.allclose((before[0] - a.detach()).numpy(), 0.5)
    assert np.allclose((before[1] - b.detach()).numpy(), 10.0)
    assert mg.equal(before[2], c.detach())
    optimizer.param_groups[0]["lr"] = 1.0  # what a schedule does
    optimizer.step()
    assert np.allclose((before[0] - a.detach()).numpy(), 1.5)


def test_parameters_without_gradient_are_left_alone() -> None:
    a, b = leaves(2, 2)
    optimizer = Adam([a, b], weight_decay=1.0)
    a.grad = mg.ones_like(a)
    before = b.tolist()
    optimizer.step()
    assert b.tolist() == before
    assert b not in optimizer.state
    assert optimizer.state[a]["step"] == 1


def test_zero_grad() -> None:
    (a,) = leaves(2)
    optimizer = SGD([a])
    a.grad = mg.ones_like(a)
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert a.grad is None


def test_a_closure_is_recorded_and_its_loss_returned() -> None:
    (a,) = leaves(2)
    optimizer = SGD([a], lr=0.1)

    def closure() -> mg.Tensor:
        optimizer.zero_grad()
        loss = (a * a).sum()
        loss.backward()
        return loss

    with mg.no_grad():
        first = optimizer.step(closure)
    assert optimizer.step(closure).item() < first.item()
    assert optimizer.step() is None


def test_a_step_neither_changes_gradients_nor_is_recorded() -> None:
    for kind, options in ALL:
        (a,) = leaves(3)
        a.grad = mg.ones_like(a)
        optimizer = kind([a], lr=0.1, **options)
        for _ in range(3):
            optimizer.step()
        assert a.grad.tolist() == [1.0, 1.0, 1.0]  # also not through momentum buffers that share its memory
        assert a.is_leaf
        assert a.requires_grad


@pytest.mark.parametrize(("kind", "options"), ALL, ids=NAMES)
def test_a_saved_state_continues_exactly(kind: type[Any], options: dict[str, Any]) -> None:
    params = leaves(2, 3)
    optimizer = kind([{"params": params[:1]}, {"params": params[1:], "lr": 0.2}], lr=0.1, **options)
    advance(optimizer, params, 3)
    saved, values = optimizer.state_dict(), [p.detach().clone() for p in params]
    advance(optimizer, params, 3, seed=4)  # must not change what was saved
    resumed = [v.detach().clone().requires_grad_() for v in values]
    again = kind([{"params": resumed[:1]}, {"params": resumed[1:]}], lr=99.0)
    again.load_state_dict(saved)
    assert [g["lr"] for g in again.param_groups] == [0.1, 0.2]
    advance(again, resumed, 3, seed=4)
    for p, q in zip(params, resumed, strict=True):
        assert mg.equal(p.detach(), q.detach())
    once_more = [v.detach().clone().requires_grad_() for v in values]  # the saved state serves twice
    third = kind([{"params": once_more[:1]}, {"params": once_more[1:]}], lr=99.0)
    third.load_state_dict(saved)
    advance(third, once_more, 3, seed=4)
    assert mg.equal(once_more[0].detach(), params[0].detach())


def test_a_deep_copy_of_model_and_optimizer_continues_on_its_own() -> None:
    params = leaves(2, 3)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    advance(optimizer, params, 2)
    twins, twin = copy.deepcopy((params, optimizer))
    advance(optimizer, params, 2, seed=4)
    advance(twin, twins, 2, seed=4)
    for p, q in zip(params, twins, strict=True):
        assert p is not q
        assert mg.equal(p.detach(), q.detach())


@pytest.mark.torch
@pytest.mark.parametrize(("kind", "options"), ALL, ids=NAMES)
def test_the_state_has_pytorchs_names(kind: type[Any], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    states = []
    for m in (mg, torch):
        p = m.ones(2, requires_grad=True)
        p.sum().backward()
        optimizer = getattr(m.optim, kind.__name__)([p], lr=0.1, **options)
        optimizer.step()
        states.append(optimizer.state_dict())
    ours, theirs = states
    assert set(ours) == set(theirs)
    assert {name for name, value in ours["state"].get(0, {}).items() if value is not None} == {
        name for name, value in theirs["state"].get(0, {}).items() if value is not None
    }
    assert set(ours["param_groups"][0]) <= set(theirs["param_groups"][0])
    assert ours["param_groups"][0]["params"] == theirs["param_groups"][0]["params"] == [0]


@pytest.mark.torch
@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_are_pytorchs(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    ours = getattr(mg.optim, kind)([mg.ones(1, requires_grad=True)]).defaults
    theirs = getattr(torch.optim, kind)([torch.ones(1, requires_grad=True)]).defaults
    assert ours == {k: theirs[k] for k in ours}


@pytest.mark.torch
@pytest.mark.parametrize("kind", [*KINDS, "Optimizer"])
def test_the_parameters_are_pytorchs(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    ours, theirs = (inspect.signature(getattr(m.optim, kind)).parameters.values() for m in (mg, torch))
    assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs]


def test_entries_of_schedules_are_kept_in_the_state() -> None:
    params = leaves(2, 3)
    optimizer = SGD([{"params": params, "initial_lr": 0.3}], lr=0.1)
    other = SGD(leaves(2, 3), lr=0.7)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["initial_lr"] == 0.3
    optimizer.load_state_dict(SGD(leaves(2, 3), lr=0.7).state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.7


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda p: SGD([]), errors.ArgumentError, r"empty parameter list; was the iterator .* used up"),
        (lambda p: SGD(iter(())), errors.ArgumentError, "empty parameter list"),
        (lambda p: SGD(p), errors.ArgumentTypeError, r"SGD: params must be a list of Tensors.*write \[x\]"),
        (lambda p: Adam(None), errors.ArgumentTypeError, "Adam: params must be a list of Tensors, got .*NoneType"),
        (lambda p: SGD([p, 3.0]), errors.ArgumentTypeError, "SGD: can only optimise Tensors, got float"),
        (lambda p: SGD([p, p]), errors.ArgumentError, r"SGD: a parameter of shape \(2,\) appears twice"),
        (lambda p: SGD([{"params": [p]}, {"params": [p]}]), errors.ArgumentError, "appears twice"),
        (lambda p: SGD([p * 2]), errors.ArgumentError, "can only optimise leaves, got the output of 'mul'"),
        (lambda p: SGD([{"params": [p], "rl": 1}]), errors.ArgumentError, r"unknown options \['rl'\]; the options are"),
        (lambda p: SGD([{"lr": 1}]), errors.ArgumentError, "a parameter group needs 'params'"),
        (lambda p: SGD([p], lr=-1), errors.ArgumentError, "SGD: lr must be a number >= 0, got -1"),
        (lambda p: SGD([p], lr="0.1"), errors.ArgumentError, "SGD: lr must be a number >= 0, got '0.1'"),
        (lambda p: SGD([p], lr=float("nan")), errors.ArgumentError, "SGD: lr must be a number >= 0, got nan"),
        (lambda p: SGD([p], momentum=-0.1), errors.ArgumentError, "momentum"),
        (lambda p: SGD([p], nesterov=True), errors.ArgumentError, "nesterov needs momentum > 0 and dampening = 0"),
        (lambda p: Adam([p], betas=(0.9, 1.0)), errors.ArgumentError, r"Adam: betas must lie in \[0, 1\)"),
        (lambda p: Adam([p], eps=-1), errors.ArgumentError, "eps"),
    ],
)
def test_mistakes_are_named(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make(mg.ones(2, requires_grad=True))


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    params = leaves(2, 3)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    advance(optimizer, params, 2)
    before = optimizer.state_dict()
    others = leaves(3, 2)
    other = SGD(others, lr=0.7, momentum=0.5)
    advance(other, others, 1)
    adam = Adam(leaves(2, 3))
    for wrong, message in [
        (other.state_dict(), r"momentum_buffer of parameter 0 has shape \(3,\)"),
        (SGD(leaves(2), lr=0.7).state_dict(), r"groups of \[1\] parameters do not match .* groups of \[2\]"),
        (SGD([{"params": leaves(2)}, {"params": leaves(3)}]).state_dict(), r"groups of \[1, 1\]"),
        (adam.state_dict(), r"options \[.*'amsgrad'.*\] are not those of SGD"),
    ]:
        with pytest.raises(errors.ArgumentError, match=message):
            optimizer.load_state_dict(wrong)
        assert optimizer.param_groups[0]["lr"] == 0.1
        assert np.array_equal(
            optimizer.state_dict()["state"][0]["momentum_buffer"], before["state"][0]["momentum_buffer"]
        )


def test_a_subclass_must_define_its_update() -> None:
    (a,) = leaves(2)
    a.grad = mg.ones_like(a)
    with pytest.raises(NotImplementedError, match=r"Mine does not define update\(\)"):
        type("Mine", (mg.optim.Optimizer,), {})([a], {}).step()
