"""Modules: registration, state, modes, printing, layers' conventions."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
        self.head = nn.Linear(4, 2, bias=False)
        self.scale = nn.Parameter(mg.tensor(2.0))
        self.note = "plain attribute"

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x)) * self.scale


NAMES = [
    "scale", "features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias", "features.1.running_mean",
    "features.1.running_var", "features.1.num_batches_tracked", "head.weight",
]  # fmt: skip


def batch(seed: int = 0, *shape: int) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).normal(size=shape or (5, 3)), dtype=mg.float32)


# --- registration -------------------------------------------------------------------------------------------------


def test_attributes_are_registered_by_their_kind() -> None:
    net = Net()
    buffers = [n for n in NAMES if "running" in n or "num_batches" in n]
    assert [n for n, _ in net.named_parameters()] == [n for n in NAMES if n not in buffers]
    assert [n for n, _ in net.named_buffers()] == buffers
    assert [n for n, _ in net.named_modules()] == ["", "features", "features.0", "features.1", "features.2", "head"]
    assert list(net.children()) == [net.features, net.head]
    assert all(p.requires_grad for p in net.parameters())
    assert not any(b.requires_grad for b in net.buffers())
    assert {"scale", "features", "head"} <= set(dir(net))


def test_the_state_dict_has_every_name_and_shares_memory() -> None:
    net = Net()
    state = net.state_dict()
    assert list(state) == NAMES
    assert not any(v.requires_grad for v in state.values())
    state["head.weight"].zero_()
    assert float(net.head.weight.abs().sum()) == 0.0


@pytest.mark.torch
def test_names_and_shapes_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="live comparison")

    def make(n: Any) -> Any:
        return n.Sequential(n.Linear(3, 4), n.BatchNorm1d(4), n.Sequential(n.ReLU(), n.Linear(4, 2)), n.BatchNorm2d(2))

    ours, theirs = make(nn).state_dict(), make(torch.nn).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: tuple(v.shape) for k, v in theirs.items()}
    assert {k: str(v.dtype) for k, v in ours.items()} == {k: str(v.dtype)[6:] for k, v in theirs.items()}


def test_attributes_can_be_replaced_and_deleted() -> None:
    net = Net()
    net.head = nn.Identity()
    assert "head.weight" not in net.state_dict()
    net.scale = None
    assert "scale" not in net.state_dict()
    net.scale = nn.Parameter(mg.ones(1))
    assert "scale" in net.state_dict()
    del net.scale
    with pytest.raises(AttributeError, match="Net has no attribute 'scale'"):
        net.scale  # noqa: B018
    net.features[1].running_mean = mg.zeros(4)
    assert "features.1.running_mean" in net.state_dict()


def test_shared_parameters_are_counted_once_and_trained_once() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert {"0.weight", "2.weight"} <= set(net.state_dict())
    optimizer = mg.optim.SGD(net.parameters(), lr=1.0)
    before = net[0].weight.detach().clone()
    net(batch()).sum().backward()
    gradient = net[0].weight.grad.clone()
    optimizer.step()
    assert np.allclose(net[2].weight.detach().numpy(), (before - gradient).numpy())
    twice = nn.Sequential(layer := nn.Linear(3, 3), layer)
    assert len(list(twice.parameters())) == 2
    assert len(list(twice.modules())) == 2


@pytest.mark.parametrize(
    ("assign", "kind", "message"),
    [
        (lambda n: setattr(n, "scale", mg.ones(1)), errors.ArgumentTypeError, "scale is a parameter: assign a Param"),
        (lambda n: setattr(n.features[1], "running_mean", 3), errors.ArgumentTypeError, "running_mean is a buffer"),
        (lambda n: n.register_parameter("w", mg.ones(1)), errors.ArgumentTypeError, "w must be a Parameter or None"),
        (lambda n: n.register_buffer("b", np.ones(1)), errors.ArgumentTypeError, "b must be a Tensor or None"),
        (lambda n: nn.Module()(1), NotImplementedError, r"Module has no forward\(\)"),
        (lambda n: nn.Sequential(lambda x: x), errors.ArgumentTypeError, "Sequential: expected a Module, got function"),
        (lambda n: n.features[7], errors.DimError, "index 7 is out of range for 3 modules"),
        (lambda n: nn.Parameter([1, 2]), errors.DtypeError, "only floating tensors have gradients"),
    ],
)
def test_mistakes_are_named(assign: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        assign(Net())


def test_forgetting_super_init_is_named() -> None:
    class Forgot(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(errors.ArgumentError, match=r"Forgot: call super\(\).__init__\(\) before .* 'layer'"):
        Forgot()


def test_parameters_share_tensors_and_copy_arrays() -> None:
    t, a = mg.ones(2), np.ones(2)
    p, q = nn.Parameter(t), nn.Parameter(a)
    with mg.no_grad():
        p.mul_(3)
        q.mul_(3)
    assert t.tolist() == [3.0, 3.0]
    assert a.tolist() == [1.0, 1.0]
    assert isinstance(p, mg.Tensor)
    assert p.is_leaf
    assert not nn.Parameter(t, requires_grad=False).requires_grad


# --- state --------------------------------------------------------------------------------------------------------


def trained() -> Net:
    net = Net()
    optimizer = mg.optim.Adam(net.parameters(), lr=0.1)
    for seed in range(3):
        optimizer.zero_grad()
        net(batch(seed)).square().sum().backward()
        optimizer.step()
    return net


def test_the_state_survives_a_file(tmp_path: Path) -> None:
    net, other = trained(), Net()
    mg.save(net.state_dict(), tmp_path / "net.npz")
    assert other.load_state_dict(mg.load(tmp_path / "net.npz")) == ([], [])
    for (name, a), b in zip(net.state_dict().items(), other.state_dict().values(), strict=True):
        assert mg.equal(a, b), name
    x = batch(9)
    assert mg.equal(net.eval()(x), other.eval()(x))
    assert other.head.weight.requires_grad


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    net = trained()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    good = Net().state_dict()
    cases: list[tuple[Any, type[Exception], str]] = [
        ({k: v for k, v in good.items() if k != "scale"}, errors.ArgumentError, r"missing \['scale'\], unex"),
        ({**good, "extra": mg.ones(1)}, errors.ArgumentError, r"unexpected \['extra'\].*strict=False"),
        ({**good, "head.weight": mg.ones(2, 3)}, errors.ShapeError, r"head\.weight has shape \(2, 4\), .*\(2, 3\)"),
        (
            {**good, "features.1.num_batches_tracked": mg.tensor(1.5)},
            errors.ArgumentTypeError, "num_batches_tracked holds int64, but the state dict holds float32",
        ),
        (list(good), errors.ArgumentTypeError, "load_state_dict: expected a mapping from names to Tensors, got list"),
    ]  # fmt: skip
    for state, kind, message in cases:
        with pytest.raises(kind, match=message):
            net.load_state_dict(state)
        for name, value in net.state_dict().items():
            assert mg.equal(value, before[name]), name


def test_what_matches_can_be_loaded_alone() -> None:
    net = Net()
    result = net.load_state_dict({"scale": mg.tensor(5.0), "other": mg.ones(1)}, strict=False)
    assert result.unexpected_keys == ["other"]
    assert result.missing_keys == NAMES[1:]
    assert net.scale.item() == 5.0


def test_loading_keeps_the_dtype_of_the_module_and_accepts_arrays() -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": mg.tensor([3.0], dtype=mg.float64)})
    assert layer.weight.dtype == mg.float32
    assert layer(mg.tensor([1.0, 1.0])).item() == 6.0


def test_loading_between_forward_and_backward_is_noticed() -> None:
    layer = nn.Linear(3, 1)
    x = batch().requires_grad_()
    loss = layer(x).sum()
    layer.load_state_dict(nn.Linear(3, 1).state_dict())
    with pytest.raises(errors.MutationError, match="linear"):
        loss.backward()


def test_a_deep_copy_is_independent_and_keeps_sharing_inside() -> None:
    net = trained()
    net.features[0].bias = None
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    twin, tied_twin = copy.deepcopy(net), copy.deepcopy(tied)
    assert mg.equal(net.eval()(batch()), twin.eval()(batch()))
    with mg.no_grad():
        twin.scale.fill_(0.0)
    assert net.scale.item() != 0.0
    assert tied_twin[0].weight is tied_twin[1].weight
    assert tied_twin[0].weight is not tied[0].weight
    assert isinstance(tied_twin[0].weight, nn.Parameter)


def test_modes_freezing_zeroing_and_conversion() -> None:
    net = Net()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert net.train() is net
    assert all(m.training for m in net.modules())
    net(batch()).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(float(p.grad.abs().sum()) == 0.0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.features.requires_grad_(False)
    net(batch()).sum().backward()
    assert net.features[0].weight.grad is None
    assert net.head.weight.grad is not None
    same = net.scale
    assert net.double() is net
    assert net.scale is same  # optimisers keep their parameters
    assert {str(v.dtype) for v in net.state_dict().values()} == {"float64", "int64"}
    assert net(batch().double()).dtype == mg.float64
    assert net.float().scale.dtype == mg.float32


def test_apply_reaches_every_module_children_first() -> None:
    seen: list[str] = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert sorted(seen) == ["BatchNorm1d", "Linear", "Linear", "Net", "ReLU", "Sequential"]
    assert seen[-1] == "Net"


# --- containers and printing --------------------------------------------------------------------------------------


def test_sequential_is_a_list() -> None:
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b)
    assert net.append(c) is net
    assert len(net) == 3
    assert list(net) == [a, b, c]
    assert net[-1] is c
    part = net[1:]
    assert isinstance(part, nn.Sequential)
    assert list(part) == [b, c]
    assert list(part.state_dict()) == ["1.weight", "1.bias"]
    assert list(net) == [a, b, c]
    assert mg.equal(net(batch(0, 4, 2)), part(a(batch(0, 4, 2))))
    x = batch()
    assert nn.Sequential()(x) is x


def test_module_list_registers_without_a_forward() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    assert len(list(layers.parameters())) == 4
    assert [type(m).__name__ for m in layers[:1]] == ["Linear"]
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        layers(1)


def test_repr_shows_the_tree() -> None:
    assert repr(Net()) == (
        "Net(\n"
        "  (features): Sequential(\n"
        "    (0): Linear(in_features=3, out_features=4, bias=True)\n"
        "    (1): BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)\n"
        "    (2): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=4, out_features=2, bias=False)\n"
        ")"
    )


@pytest.mark.torch
def test_repr_is_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="live comparison")

    def make(n: Any) -> Any:
        return n.Sequential(
            n.Flatten(), n.Linear(6, 4, bias=False), n.Softmax(dim=1),
            n.Sequential(n.Tanh(), n.Sigmoid(), n.Identity()),
        )  # fmt: skip

    assert repr(make(nn)) == repr(make(torch.nn))


# --- layers -------------------------------------------------------------------------------------------------------


def test_linear_starts_uniform_within_its_bound() -> None:
    g = mg.Generator(0)
    for n in (1, 4, 100):
        layer = nn.Linear(n, 300, generator=g)
        bound = 1 / math.sqrt(n)
        for p in layer.parameters():
            assert 0.9 * bound < float(p.detach().abs().max()) <= bound
            assert abs(float(p.detach().mean())) < 6 * bound / math.sqrt(3 * p.numel())
    assert nn.Linear(0, 3)(mg.zeros(2, 0)).shape == (2, 3)
    assert nn.Linear(2, 3, bias=False).bias is None
    assert nn.Linear(2, 3, dtype=mg.float64).weight.dtype == mg.float64
    with pytest.raises(errors.ArgumentError, match="Linear: sizes must be >= 0"):
        nn.Linear(-1, 2)


def test_flatten_keeps_the_batch() -> None:
    assert nn.Flatten()(mg.zeros(2, 3, 4)).shape == (2, 12)
    assert nn.Flatten(0, 1)(mg.zeros(2, 3, 4)).shape == (6, 4)
    assert nn.Identity("anything", n=3)(x := mg.ones(1)) is x


def test_losses_as_modules_are_the_functions() -> None:
    F = nn.functional
    x, y, classes = batch(1, 4, 3), batch(2, 4, 3), mg.tensor([0, 2, 1, 1])
    weight = mg.tensor([1.0, 2.0, 3.0])
    assert mg.equal(nn.MSELoss()(x, y), F.mse_loss(x, y))
    assert mg.equal(nn.MSELoss("sum")(x, y), F.mse_loss(x, y, reduction="sum"))
    assert mg.equal(nn.NLLLoss(weight)(x, classes), F.nll_loss(x, classes, weight))
    loss = nn.CrossEntropyLoss(weight, ignore_index=1, label_smoothing=0.2, reduction="sum")
    assert mg.equal(loss(x, classes), F.cross_entropy(x, classes, weight, ignore_index=1, label_smoothing=0.2,
                                                      reduction="sum"))  # fmt: skip
    t = y.sigmoid()
    assert mg.equal(nn.BCEWithLogitsLoss()(x, t), F.binary_cross_entropy_with_logits(x, t))
    assert list(loss.state_dict()) == ["weight"]


def running(momentum: float | None, batches: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Running statistics by their definition."""
    mean, var = np.zeros(3), np.ones(3)
    for k, x in enumerate(batches, 1):
        axes = (0, *range(2, x.ndim))
        rate = 1 / k if momentum is None else momentum
        mean = (1 - rate) * mean + rate * x.mean(axes)
        var = (1 - rate) * var + rate * x.var(axes, ddof=1)
    return mean, var


@pytest.mark.parametrize("momentum", [0.1, 0.9, 1.0, 0.0, None])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)])
def test_running_statistics_follow_their_definition(momentum: float | None, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    batches = [rng.normal(2, 3, size=shape) for _ in range(4)]
    layer = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(3, momentum=momentum, dtype=mg.float64)
    for x in batches:
        layer(mg.tensor(x))
    mean, var = running(momentum, batches)
    assert np.allclose(layer.running_mean.numpy(), mean, rtol=1e-10)
    assert np.allclose(layer.running_var.numpy(), var, rtol=1e-10)
    assert layer.num_batches_tracked.item() == 4
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    out = layer.eval()(mg.tensor(batches[0])).detach().numpy()
    channel = (1, 3) + (1,) * (len(shape) - 2)
    assert np.allclose(out, (batches[0] - mean.reshape(channel)) / np.sqrt(var.reshape(channel) + 1e-5))
    assert all(mg.equal(v, before[k]) for k, v in layer.state_dict().items())  # evaluation changes nothing


@pytest.mark.torch
@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}, {"eps": 0.1}]
)
def test_batch_norm_is_pytorchs(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="live comparison")
    ours, theirs = (
        nn.BatchNorm1d(3, dtype=mg.float64, **options),
        torch.nn.BatchNorm1d(3, dtype=torch.float64, **options),
    )
    rng = np.random.default_rng(4)
    for training in (True, True, False):
        x = rng.normal(2, 3, size=(5, 3))
        a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        have, want = ours.train(training)(a), theirs.train(training)(b)
        (have**3).sum().backward()
        (want**3).sum().backward()
        assert np.allclose(have.detach().numpy(), want.detach().numpy(), rtol=1e-10)
        assert np.allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8, atol=1e-10)
    for name, value in theirs.state_dict().items():
        assert np.allclose(ours.state_dict()[name].numpy(), value.numpy(), rtol=1e-10), name
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert np.allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm1d, (3,), r"BatchNorm1d: input must be \(N, C\) or \(N, C, L\), got shape \(3,\)"),
        (nn.BatchNorm1d, (2, 3, 4, 5), r"BatchNorm1d: input must be"),
        (nn.BatchNorm2d, (2, 3), r"BatchNorm2d: input must be \(N, C, H, W\)"),
        (nn.BatchNorm1d, (4, 2), r"made for 3 channels, got 2 in input shape \(4, 2\)"),
        (nn.BatchNorm1d, (1, 3), r"each channel needs more than 1 value.*\(1, 3\).*eval\(\)"),
    ],
)
def test_batch_norm_names_what_does_not_fit(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(errors.ShapeError, match=message):
        layer(3)(mg.zeros(*shape))


def test_batch_norm_gradients_and_second_gradients() -> None:
    layer = nn.BatchNorm1d(3, dtype=mg.float64)
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(5, 3)), requires_grad=True)
    w, b = (mg.tensor(rng.normal(size=3), requires_grad=True) for _ in range(2))

    def f(x: Any, w: Any, b: Any) -> Any:
        return nn.functional.batch_norm(x, None, None, w, b, training=True)

    assert mg.gradcheck(f, [x, w, b])
    assert mg.gradgradcheck(f, [x, w, b])
    assert mg.gradcheck(layer.eval(), x)
