"""Modules: registration, state, modes, printing, layers' conventions."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
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
    assert list(part.state_dict()) == ["2.weight", "2.bias"]  # a part keeps its names, as in PyTorch
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
        "    (1): BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n"
        "    (2): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=4, out_features=2, bias=False)\n"
        ")"
    )


def ordered(n: Any) -> Any:
    return n.Sequential(OrderedDict([("first", n.Linear(2, 3)), ("act", n.ReLU()), ("last", n.Linear(3, 1))]))


def layers(n: Any) -> Any:
    return n.ModuleList([n.Linear(1, 1), n.Linear(1, 1), n.Tanh()])


def named(n: Any) -> Any:
    return n.ModuleDict({"b": n.Linear(1, 2), "a": n.Tanh()})


def weights(n: Any) -> Any:
    """A list with one parameter and one tensor, of whichever library."""
    return n.ParameterList([n.Linear(2, 3).weight, n.Linear(1, 2).bias.detach()])


def vectors(n: Any) -> Any:
    return n.ParameterDict({"b": n.Linear(2, 3).weight, "a": n.Linear(1, 2).bias.detach()})


def changed(container: Any, *changes: Any) -> Any:
    for change in changes:
        change(container)
    return container


CONTAINERS: dict[str, Any] = {
    "names": ordered,
    "slice": lambda n: ordered(n)[1:],
    "del": lambda n: changed(ordered(n), lambda c: c.__delitem__(0)),
    "del slice": lambda n: changed(layers(n).extend(layers(n)), lambda c: c.__delitem__(slice(0, 4, 2))),
    "set": lambda n: changed(ordered(n), lambda c: c.__setitem__(-1, n.Tanh())),
    "insert": lambda n: changed(n.Sequential(n.ReLU(), n.Tanh()), lambda c: c.insert(1, n.Linear(1, 1))),
    "insert at the ends": lambda n: n.Sequential(n.ReLU()).insert(0, n.Tanh()).insert(2, n.ELU()).insert(-1, n.SELU()),
    "extend": lambda n: n.Sequential(n.ReLU()).extend([n.Tanh(), n.Linear(1, 1)]),
    "pop": lambda n: n.Sequential(ordered(n).pop(0), changed(layers(n), lambda c: c.pop(-1))),
    "+": lambda n: n.Sequential(n.ReLU()) + ordered(n),
    "+=": lambda n: changed(n.Sequential(n.ReLU()), lambda c: c.__iadd__(n.Sequential(n.Tanh(), n.ReLU()))),
    "*": lambda n: n.Sequential(n.Linear(1, 1), n.ReLU()) * 2,
    "reflected *": lambda n: 3 * n.Sequential(n.ReLU()),
    "*=": lambda n: changed(n.Sequential(n.ReLU(), n.Tanh()), lambda c: c.__imul__(3)),
    "list": layers,
    "empty list": lambda n: n.ModuleList(),
    "list slice": lambda n: layers(n)[1:],
    "list of lists": lambda n: n.ModuleList([layers(n), layers(n)]),
    "list +": lambda n: layers(n) + [n.Tanh()],  # noqa: RUF005
    "list +=": lambda n: changed(layers(n), lambda c: c.__iadd__([n.Tanh()])),
    "list insert": lambda n: changed(layers(n), lambda c: c.insert(1, n.Linear(2, 1))),
    "list del": lambda n: changed(layers(n), lambda c: c.__delitem__(0)),
    "list append": lambda n: layers(n).append(n.ReLU()).extend(iter([n.ReLU()])),
    "dict": named,
    "dict update": lambda n: changed(named(n), lambda c: c.update([("c", n.ReLU()), ("b", n.Tanh())])),
    "dict del": lambda n: changed(named(n), lambda c: c.__delitem__("b")),
    "dict pop": lambda n: n.Sequential(changed(named(n), lambda c: c.pop("a")), named(n).pop("b")),
    "dict clear": lambda n: changed(named(n), lambda c: c.clear()),
    "parameters": weights,
    "parameters append": lambda n: weights(n).append(n.Linear(1, 1).bias),
    "parameters +=": lambda n: changed(weights(n), lambda c: c.__iadd__([n.Linear(1, 1).bias, 2.0])),
    "parameters slice": lambda n: weights(n)[::-1],
    "parameters set": lambda n: changed(weights(n), lambda c: c.__setitem__(-1, n.Linear(1, 4).weight.detach())),
    "parameter names": vectors,  # sorted, if given as a plain dict
    "parameter pairs": lambda n: n.ParameterDict([("b", n.Linear(1, 1).bias), ("a", n.Linear(1, 2).bias)]),
    "parameter |": lambda n: vectors(n) | n.ParameterDict({"c": n.Linear(1, 1).bias}),
    "parameter |=": lambda n: changed(vectors(n), lambda c: c.__ior__({"b": n.Linear(1, 1).bias})),
    "parameter pop": lambda n: changed(vectors(n), lambda c: c.pop("a")),
    "parameter setdefault": lambda n: changed(vectors(n), lambda c: c.setdefault("d", n.Linear(1, 1).bias)),
    "parameter popitem": lambda n: changed(vectors(n), lambda c: c.popitem()),
    "parameter copy": lambda n: vectors(n).copy(),
    "parameter fromkeys": lambda n: vectors(n).fromkeys(["x", "y"]),
}  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_are_pytorchs(name: str) -> None:
    """The same names in the same order, and the same printed form up to how a dtype is called."""
    torch = pytest.importorskip("torch", reason="live comparison")
    ours, theirs = CONTAINERS[name](nn), CONTAINERS[name](torch.nn)
    assert len(ours) == len(theirs)
    assert [type(v).__name__ for v in ours] == [type(v).__name__ for v in theirs]
    shapes = [{k: tuple(v.shape) for k, v in c.state_dict().items()} for c in (ours, theirs)]
    assert list(shapes[0].items()) == list(shapes[1].items())
    assert [k for k, _ in ours.named_parameters()] == [k for k, _ in theirs.named_parameters()]
    assert repr(ours) == repr(theirs).replace("torch.float32", "float32").replace("torch.FloatTensor", "float32")


def test_containers_hold_the_modules_themselves() -> None:
    a, b = nn.Linear(2, 2), nn.ReLU()
    assert named_of(nn.ModuleDict({"a": a, "b": b})) == {"a": a, "b": b}
    assert nn.ModuleDict({"a": a})["a"] is a
    assert nn.ModuleDict([("a", a)]).pop("a") is a
    assert "a" in nn.ModuleDict({"a": a})
    assert nn.ModuleList([a, b]).pop(-1) is b
    assert list(nn.ModuleList([a, b]).insert(-1, c := nn.Tanh())) == [a, c, b]
    part = nn.Sequential(a, b).pop(slice(0, 1))
    assert list(part) == [a]
    assert nn.Sequential(OrderedDict([("act", b)])).act is b


def named_of(container: Any) -> dict[str, Any]:
    assert list(container) == list(container.keys())
    assert list(container.values()) == [v for _, v in container.items()]
    return dict(container.items())


def test_parameter_containers_hold_the_parameters_themselves() -> None:
    p, t = nn.Parameter(mg.ones(2)), mg.zeros(3)
    listed, by_name = nn.ParameterList([p, t]), nn.ParameterDict({"p": p, "t": t})
    assert listed[0] is p
    assert by_name["p"] is p
    assert isinstance(listed[1], nn.Parameter)
    assert isinstance(by_name["t"], nn.Parameter)
    assert [q is p for q in listed] == [True, False]
    assert by_name.get("p") is p
    assert by_name.get("q", 5) == 5
    assert by_name.setdefault("p", None) is p
    assert list(reversed(by_name)) == ["t", "p"]
    assert [k for k, _ in by_name.items()] == list(by_name.keys()) == ["p", "t"]
    assert [v is p for v in by_name.values()] == [True, False]
    assert (by_name.popitem()[0], list(by_name)) == ("t", ["p"])
    by_name.clear()
    assert (len(by_name), list(by_name.parameters())) == (0, [])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.Sequential(nn.ReLU()).insert(3, nn.ReLU()), errors.DimError, "Sequential: index 3 is out of range"),
        (lambda: nn.Sequential().pop(0), errors.DimError, "index 0 is out of range for 0 modules"),
        (
            lambda: nn.Sequential(nn.ReLU())["0"],
            errors.ArgumentTypeError,
            "index must be an integer or a slice, got str",
        ),
        (lambda: nn.Sequential({"a": nn.ReLU()}), errors.ArgumentTypeError, "Sequential: expected a Module, got dict"),
        (
            lambda: nn.Sequential().insert(0, 1),
            errors.ArgumentTypeError,
            r"Sequential: expected Modules, got \['int'\]",
        ),
        (lambda: nn.Sequential() + (nn.ReLU,), errors.ArgumentTypeError, r"\+ takes another Sequential, got tuple"),  # noqa: RUF005
        (lambda: nn.Sequential() * 0, errors.ArgumentError, r"\* takes a positive integer, got 0"),
        (lambda: nn.Sequential() * 1.5, errors.ArgumentTypeError, r"\* takes an integer, got float"),
        (lambda: nn.ModuleList(3), errors.ArgumentTypeError, r"ModuleList: extend\(\) takes an iterable of Mod.*int"),
        (lambda: nn.ModuleDict(3), errors.ArgumentTypeError, "ModuleDict: expected a mapping or pairs .* got int"),
        (lambda: nn.ModuleDict([1]), errors.ArgumentTypeError, "ModuleDict: expected a mapping or pairs .* got list"),
        (lambda: nn.ModuleDict()["x"], KeyError, r"ModuleDict: 'x': ModuleDict has no module 'x', only \[\]"),
        (lambda: nn.ModuleDict().pop("x"), KeyError, "has no module 'x'"),
        (lambda: nn.ModuleDict({"a": 1}), errors.ArgumentTypeError, "expected a Module as 'a', got int"),
        (lambda: nn.ModuleDict({"keys": nn.ReLU()}), errors.ArgumentError, "already has an attribute 'keys'"),
        (lambda: nn.ModuleDict({3: nn.ReLU()}), errors.ArgumentTypeError, "must be a string, got int: 3"),
        (lambda: nn.ParameterList(mg.ones(2)), errors.ArgumentTypeError, "ParameterList: expected an iterable"),
        (lambda: nn.ParameterList([])[0], errors.DimError, "ParameterList: index 0 is out of range for 0 parameters"),
        (lambda: nn.ParameterDict()["x"], KeyError, "ParameterDict: it has no parameter 'x'"),
        (lambda: nn.ParameterDict().popitem(), KeyError, "it is empty"),
        (lambda: nn.ParameterDict({"a.b": mg.ones(1)}), errors.ArgumentError, "must not be empty or contain a dot"),
        (lambda: nn.ParameterDict({"pop": mg.ones(1)}), errors.ArgumentError, "already has an attribute 'pop'"),
        (lambda: nn.ParameterList([])(1), NotImplementedError, "ParameterList has no forward"),
    ],
)
def test_mistakes_with_containers_are_named(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


# --- names, hooks and conversion ----------------------------------------------------------------------------------


def test_parts_are_found_by_their_dotted_names() -> None:
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("features.1") is net.features[1]
    assert net.get_parameter("features.0.bias") is net.features[0].bias
    assert net.get_parameter("scale") is net.scale
    assert net.get_buffer("features.1.running_mean") is net.features[1].running_mean
    assert [n for n, _ in net.named_children()] == ["features", "head"]
    assert [n for n, _ in net.named_parameters(prefix="net", recurse=False)] == ["net.scale"]
    assert [p is net.scale for p in net.parameters(recurse=False)] == [True]
    assert list(net.buffers(recurse=False)) == []
    assert list(net.state_dict(prefix="net.")) == ["net." + name for name in NAMES]
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert {"scale", "features", "head", "forward"} <= set(dir(net))
    assert "0" not in dir(net.features)


@pytest.mark.parametrize(
    ("get", "message"),
    [
        (lambda n: n.get_submodule("features.9"), r"get_submodule: 'features.9': Sequential has no module '9', only"),
        (lambda n: n.get_submodule("scale"), "Net has no module 'scale', only .*'features', 'head'"),
        (lambda n: n.get_parameter("head.bias"), r"get_parameter: 'head.bias': Linear has no parameter 'bias', only"),
        (lambda n: n.get_parameter("features.1.running_mean"), "has no parameter 'running_mean'"),
        (lambda n: n.get_buffer("head.weight"), r"Linear has no buffer 'weight', only \[\]"),
    ],
)
def test_parts_that_do_not_exist_are_named(get: Any, message: str) -> None:
    for kind in (errors.ArgumentError, AttributeError, KeyError):
        with pytest.raises(kind, match=message):
            get(Net())


def test_what_is_shared_under_two_names_is_in_the_state_twice() -> None:
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    names = ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert list(net.state_dict()) == names
    assert [n for n, _ in net.named_parameters()] == names[:2]
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)] == names
    assert [n for n, _ in net.named_modules(remove_duplicate=False)] == ["", "0", "1"]
    assert [n for n, _ in net.named_children()] == ["0"]
    with pytest.raises(errors.ArgumentError, match=r"missing \['1.weight', '1.bias'\]"):
        net.load_state_dict(layer.state_dict(prefix="0."))
    net.load_state_dict(nn.Sequential(nn.Linear(2, 2), last := nn.Linear(2, 2)).state_dict())
    assert mg.equal(layer.weight, last.weight)


def test_buffers_may_be_left_out_of_the_state() -> None:
    module = nn.Module()
    module.register_buffer("kept", mg.ones(1))
    module.register_buffer("cache", mg.ones(1), persistent=False)
    assert [n for n, _ in module.named_buffers()] == ["kept", "cache"]
    assert list(module.state_dict()) == ["kept"]
    assert module.load_state_dict({"kept": mg.zeros(1)}) == ([], [])
    assert list(copy.deepcopy(module).state_dict()) == ["kept"]
    module.register_buffer("cache", mg.ones(1))
    assert list(module.state_dict()) == ["kept", "cache"]


def test_hooks_see_and_change_what_goes_in_and_out() -> None:
    layer, seen = nn.Linear(1, 1, bias=False), []
    layer.weight.data = mg.tensor([[2.0]])
    one = mg.ones(1, 1)
    watching = layer.register_forward_hook(lambda m, args, out: seen.append((m, args, out.item())))
    assert layer(one).item() == 2.0
    assert seen == [(layer, (one,), 2.0)]
    with (
        layer.register_forward_pre_hook(lambda m, args: args[0] * 3),
        layer.register_forward_hook(lambda m, a, out: out + 1),
    ):
        assert layer(one).item() == 7.0
        first = layer.register_forward_hook(lambda m, a, out: out * 10, prepend=True)
        assert layer(one).item() == 61.0
        first.remove()
        first.remove()
    assert layer(one).item() == 2.0
    assert [out for _, _, out in seen] == [2.0, 6.0, 60.0, 2.0]
    watching.remove()
    layer.register_forward_pre_hook(lambda m, args, kwargs: ((), {"input": kwargs["input"] * 5}), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, kwargs, out: out + kwargs["input"], with_kwargs=True)
    assert layer(input=one).item() == 15.0
    out = layer(input=one.requires_grad_())
    out.backward()
    assert one.grad.item() == 15.0
    assert len(seen) == 4


def test_a_hook_may_remove_itself() -> None:
    layer, calls = nn.ReLU(), []
    handle = layer.register_forward_hook(lambda m, a, out: (calls.append(1), handle.remove())[1])
    layer.register_forward_hook(lambda m, a, out: calls.append(2))
    layer(mg.ones(1))
    layer(mg.ones(1))
    assert calls == [1, 2, 2]


def test_conversion_to_other_dtypes() -> None:
    net = Net()
    assert net.half().scale.dtype == mg.float16
    assert net.features[1].num_batches_tracked.dtype == mg.int64
    assert net.to(mg.ones(1, dtype=mg.float64)).scale.dtype == mg.float64
    assert net.to(dtype=mg.float32).scale.dtype == mg.float32
    assert net.to("cpu").to().scale.dtype == mg.float32
    assert net.type(mg.float64) is net
    assert {str(v.dtype) for v in net.state_dict().values()} == {"float64"}


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda n: n.to(mg.int64), errors.DtypeError, "to: modules are converted to floating dtypes only, got int64"),
        (lambda n: n.to("mps"), errors.DeviceError, "mps"),
        (lambda n: n.train("yes"), errors.ArgumentTypeError, "train: mode must be True or False, got str"),
        (
            lambda n: n.register_parameter("a.b", None),
            errors.ArgumentError,
            "must not be empty or contain a dot, got 'a.b'",
        ),
        (lambda n: n.register_buffer("", None), errors.ArgumentError, "register_buffer: the name must not be empty"),
        (lambda n: n.register_buffer("forward", None), errors.ArgumentError, "Net already has an attribute 'forward'"),
        (lambda n: n.register_parameter("head", None), errors.ArgumentError, "Net already has an attribute 'head'"),
        (lambda n: n.add_module("x", 3), errors.ArgumentTypeError, "expected a Module as 'x', got int"),
        (lambda n: n.register_module(3, nn.ReLU()), errors.ArgumentTypeError, "must be a string, got int: 3"),
        (
            lambda n: setattr(n, "head", 3),
            errors.ArgumentTypeError,
            "head is a module: assign a Module or None, got int",
        ),
        (lambda n: n.get_submodule(3), errors.ArgumentTypeError, "get_submodule: the name must be a string, got int"),
        (
            lambda n: n.register_forward_hook(3),
            errors.ArgumentTypeError,
            "register_forward_hook: the hook must be a fun",
        ),
        (
            lambda n: n.register_forward_hook(print, always_call=True),
            NotImplementedError,
            "always_call=True is not supp",
        ),
        (lambda n: n.load_state_dict({}, assign=True), NotImplementedError, "assign=True is not supported"),
        (lambda n: n.nothing, AttributeError, "Net has no attribute 'nothing'"),
    ],
)
def test_mistakes_with_modules_are_named(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(Net())


def test_reading_before_super_init_is_named() -> None:
    class Forgot(nn.Module):
        def __init__(self) -> None:
            pass

    with pytest.raises(AttributeError, match=r"Forgot has no attribute .* super\(\).__init__\(\) was not called"):
        Forgot()(1)


def test_the_nearest_element_is_found_in_the_dtype_of_the_input() -> None:
    """As in PyTorch: the centre of the middle one of 11 elements lies on an edge of 26, up to rounding."""
    found = [
        nn.Upsample(11, mode="nearest-exact")(mg.arange(26, dtype=dtype).reshape(1, 1, 26))[0, 0, 5].item()
        for dtype in (mg.float32, mg.float64)
    ]
    assert found == [12.0, 13.0]


def test_empty_images_are_unshuffled_to_the_right_shape() -> None:
    """PyTorch returns them in the shape of the input."""
    assert nn.PixelUnshuffle(2)(mg.ones(0, 1, 2, 4)).shape == (0, 4, 1, 2)
    assert nn.PixelUnshuffle(2)(mg.ones(1, 2, 0, 2)).shape == (1, 8, 0, 1)


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
