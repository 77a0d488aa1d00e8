"""The mechanism of the tape: depth, memory, graphs of every form, recording modes, custom ops."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.tape import vjp_of

DEPTH = 100_000


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


def scalar(value: float) -> mg.Tensor:
    return mg.tensor(value, dtype=mg.float64, requires_grad=True)


def close(tensor: mg.Tensor | None, values: object, tolerance: float = 1e-12) -> bool:
    assert tensor is not None
    return bool(np.allclose(tensor.detach().numpy(), values, rtol=tolerance, atol=tolerance))


# --- depth ----------------------------------------------------------------------------------------------------


def test_a_chain_of_100_000_ops_goes_forward_backward_and_away() -> None:
    x = scalar(0.5)
    y = x
    for _ in range(DEPTH):
        y = y + 1e-5
    y.backward()
    assert close(x.grad, 1.0)
    del y  # a recursive deallocation would overflow the C stack here


def test_a_deep_chain_is_deallocated_without_backward() -> None:
    x = scalar(0.5)
    y = x
    for _ in range(DEPTH):
        y = -y
    record = weakref.ref(y)
    del y
    assert record() is None


def test_a_deep_chain_can_be_differentiated_twice() -> None:
    x = scalar(1.0)
    y = x
    for _ in range(5_000):
        y = y * x
    (first,) = mg.grad(y, x, create_graph=True)
    (second,) = mg.grad(first, x)
    assert close(first, 5_001.0, 1e-9)
    assert close(second, 5_001.0 * 5_000.0, 1e-9)


def test_a_deep_chain_of_views_and_of_multiple_outputs_does_not_recurse() -> None:
    @mg.op
    def swap(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return y + 0, x + 0

    swap.defvjp(joint=lambda g, out, x, y: (g[1], g[0]))
    x, y = scalar(2.0), scalar(3.0)
    a, b = x, y
    for _ in range(20_001):
        a, b = swap(a, b)
        a = a.reshape(())
    (a * 5 + b).backward()
    assert close(x.grad, 1.0)
    assert close(y.grad, 5.0)
    del a, b


# --- memory, with the garbage collector off -------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def watched_graph(x: mg.Tensor) -> tuple[mg.Tensor, list[weakref.ref[object]]]:
    """A loss, and weak references to all intermediate tensors, their arrays and their nodes."""
    tensors = [x.exp()]
    tensors.append(tensors[0] * x)
    tensors.append(tensors[1].reshape(1, -1))
    tensors.append(tensors[2].sum(1))
    loss = (tensors[3] + x.mean()).sum()
    refs: list[weakref.ref[object]] = []
    for t in tensors:
        refs += [weakref.ref(t), weakref.ref(t._array)]
    return loss, refs


def alive(refs: list[weakref.ref[object]]) -> int:
    return sum(r() is not None for r in refs)


@pytest.mark.usefixtures("no_collector")
class TestMemory:
    def test_is_freed_when_nothing_was_differentiated(self) -> None:
        loss, refs = watched_graph(leaf(1.0, 2.0))
        assert alive(refs) == len(refs)
        del loss
        assert alive(refs) == 0

    def test_of_intermediates_goes_away_in_backward_while_the_loss_lives(self) -> None:
        x = leaf(1.0, 2.0)
        loss, refs = watched_graph(x)
        loss.backward()
        assert alive(refs) == 0
        assert loss.item() > 0

    def test_is_kept_by_retain_graph_and_freed_with_the_loss(self) -> None:
        loss, refs = watched_graph(leaf(1.0, 2.0))
        loss.backward(retain_graph=True)
        assert alive(refs) == len(refs)
        del loss
        assert alive(refs) == 0

    def test_is_freed_after_create_graph(self) -> None:
        x = leaf(1.0, 2.0)
        loss, refs = watched_graph(x)
        (first,) = mg.grad(loss, x, create_graph=True)
        refs.append(weakref.ref(first))
        (second,) = mg.grad(first.sum(), x)
        assert second.shape == (2,)
        del loss, first
        assert alive(refs) == 0

    def test_of_double_backward_through_multiple_outputs_is_freed(self) -> None:
        sincos = make_sincos()
        x = leaf(0.3, 0.4)
        s, c = sincos(x)
        (g,) = mg.grad((s * c).sum(), x, create_graph=True)
        refs: list[weakref.ref[object]] = [weakref.ref(t) for t in (s, c, g)]
        refs += [weakref.ref(t._array) for t in (s, c, g)]
        g.sum().backward()
        del s, c, g
        assert alive(refs) == 0

    def test_is_freed_after_an_exception_in_the_forward_pass(self) -> None:
        refs: list[weakref.ref[object]] = []

        def forward() -> None:
            loss, found = watched_graph(leaf(1.0, 2.0))
            refs.extend(found)
            (loss + mg.ones(3, 2)) @ mg.ones(5)

        with pytest.raises(errors.ShapeError):
            forward()
        assert alive(refs) == 0

    def test_is_freed_after_an_exception_in_a_vjp(self) -> None:
        @mg.op
        def fails_backward(x: np.ndarray) -> np.ndarray:
            return x * 1

        def vjp(g: object, out: object, x: object) -> None:
            raise RuntimeError("planted")

        fails_backward.defvjp(vjp)

        def run() -> list[weakref.ref[object]]:
            loss, refs = watched_graph(fails_backward(leaf(1.0, 2.0)))
            with pytest.raises(RuntimeError, match="planted"):
                loss.backward()
            return refs

        assert alive(run()) == 0

    def test_of_a_long_chain_falls_during_the_walk_and_not_only_after_it(self) -> None:
        living: list[int] = []
        refs: list[weakref.ref[object]] = []

        @mg.op
        def probe(x: np.ndarray) -> np.ndarray:
            return x * 1

        def count(g: mg.Tensor, out: object, x: object) -> mg.Tensor:
            living.append(alive(refs))
            return g

        probe.defvjp(count)
        y = probe(leaf(1.0, 2.0))
        for _ in range(50):
            y = y.exp() * 0.1
            refs.append(weakref.ref(y))
        loss = y.sum()
        del y
        loss.backward()
        assert living == [0]

    def test_parameters_do_not_keep_graphs_of_past_iterations(self) -> None:
        w = leaf(0.1, 0.2)
        optimizer = mg.optim.SGD([w], lr=0.1, momentum=0.9)
        refs: list[weakref.ref[object]] = []
        for _ in range(3):
            optimizer.zero_grad()
            loss, found = watched_graph(w)
            loss.backward()
            optimizer.step()
            refs += found
        del loss
        assert alive(refs) == 0


# --- graphs ---------------------------------------------------------------------------------------------------


def test_third_order_derivatives() -> None:
    x = scalar(1.3)
    y = x**4 * x.sin()
    derivatives = []
    for _ in range(3):
        (y,) = mg.grad(y, x, create_graph=True)
        derivatives.append(y.item())
    s, c, v = np.sin(1.3), np.cos(1.3), 1.3
    expected = [
        4 * v**3 * s + v**4 * c,
        12 * v**2 * s + 8 * v**3 * c - v**4 * s,
        24 * v * s + 36 * v**2 * c - 12 * v**3 * s - v**4 * c,
    ]
    assert np.allclose(derivatives, expected, rtol=1e-12)


def test_a_diamond_adds_both_paths_and_each_op_is_passed_once() -> None:
    calls: list[int] = []

    @mg.op
    def trunk(x: np.ndarray) -> np.ndarray:
        return x * 2

    def vjp(g: mg.Tensor, out: object, x: object) -> mg.Tensor:
        calls.append(1)
        return g * 2

    trunk.defvjp(vjp)
    x = scalar(3.0)
    y = trunk(x)
    for _ in range(60):  # 2^60 paths: exponential unless each op is visited once
        y = y + y
    y.backward()
    assert close(x.grad, 2.0 * 2.0**60)
    assert len(calls) == 1


def test_one_tensor_used_as_both_arguments_and_many_times() -> None:
    x = leaf(2.0, -3.0)
    (x * x * x).sum().backward()
    assert close(x.grad, [12.0, 27.0])
    x.grad = None
    mg.stack([x, x, x]).sum().backward()
    assert close(x.grad, [3.0, 3.0])


def test_intermediate_tensors_and_the_output_itself_can_be_differentiated_by() -> None:
    x = leaf(2.0, 3.0)
    h = x * x
    y = (h * h).sum()
    gy, gh, gx, gh_again = mg.grad(y, [y, h, x, h])
    assert close(gy, 1.0)
    assert close(gh, [8.0, 18.0])
    assert close(gx, [32.0, 108.0])
    assert gh_again is gh
    assert x.grad is None
    assert h.grad is None


def test_an_input_upstream_of_another_input_receives_what_flows_through_it() -> None:
    x = scalar(2.0)
    h = x * 3
    (gx,) = mg.grad(h * h, [x])
    gh, gx_both = mg.grad((x * 3) * 0 + (h2 := x * 3) * h2, [h2, x])
    assert close(gx, 36.0)
    assert close(gh, 12.0)
    assert close(gx_both, 36.0)


def test_several_outputs_with_and_without_vectors() -> None:
    x = leaf(1.0, 2.0)
    y, z = x * x, (x * 3).sum()
    (g,) = mg.grad([y, z], x, [mg.tensor([1.0, 10.0], dtype=mg.float64), None])
    assert close(g, [5.0, 43.0])
    a, b = (x * 2).sum(), (x * 5).sum()
    mg.backward([a, b])
    assert close(x.grad, [7.0, 7.0])
    (g,) = mg.grad([c := (x * 2).sum(), c], x)  # one output twice counts twice
    assert close(g, [4.0, 4.0])


def test_an_output_that_feeds_another_output() -> None:
    x = scalar(2.0)
    y = x * x
    z = y * 3
    (g,) = mg.grad([y, z], x)
    assert close(g, 4.0 + 12.0)


def test_the_number_of_vectors_must_match_the_outputs() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(errors.ShapeError, match=r"grad: 1 outputs but 2 grad_outputs"):
        mg.grad((x * x).sum(), x, [None, None])
    with pytest.raises(errors.ShapeError, match=r"backward: 2 outputs but 1 gradients"):
        mg.backward([(x * x).sum(), x.sum()], [None])


def test_allow_unused_gives_none_and_without_it_names_the_input() -> None:
    x, unused = leaf(1.0), leaf(1.0, 2.0, 3.0)
    gx, gu = mg.grad((x * x).sum(), [x, unused], allow_unused=True)
    assert close(gx, [2.0])
    assert gu is None
    with pytest.raises(errors.NoGraphError, match=r"do not depend on input 1 \(shape \(3,\), float64\).*allow_unused"):
        mg.grad((x * x).sum(), [x, unused])


def test_a_later_tensor_is_unused_by_an_earlier_output() -> None:
    x = scalar(2.0)
    y = x * x
    later = y * 5
    assert mg.grad(y, [later], allow_unused=True) == (None,)


# --- freeing ----------------------------------------------------------------------------------------------------


def test_a_second_backward_needs_retain_graph() -> None:
    x = leaf(1.0, 2.0)
    loss = (x.exp()).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert close(x.grad, 2 * np.exp([1.0, 2.0]))
    with pytest.raises(errors.FreedGraphError, match=r"sum: .*shape \(\).*retain_graph=True"):
        loss.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):  # the class that PyTorch raises
        mg.grad(loss, x)


def test_two_losses_on_one_trunk() -> None:
    x = leaf(1.0, 2.0)
    trunk = x.exp()
    first, second = (trunk * 2).sum(), (trunk * 3).sum()
    first.backward(retain_graph=True)
    second.backward()
    assert close(x.grad, 5 * np.exp([1.0, 2.0]))
    third, fourth = (trunk2 := x.exp()).sum(), (trunk2 * 3).sum()
    third.backward()
    with pytest.raises(errors.FreedGraphError, match="exp"):
        fourth.backward()


def test_a_gradient_of_the_head_does_not_free_the_trunk() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    trunk = x.exp()
    other = (trunk * 7).sum()
    (gw,) = mg.grad((trunk * w).sum(), w)  # needs only the head
    assert close(gw, np.exp([1.0, 2.0]))
    other.backward()
    assert close(x.grad, 7 * np.exp([1.0, 2.0]))


def test_a_gradient_by_an_intermediate_tensor_does_not_free_what_lies_before_it() -> None:
    x = leaf(1.0, 2.0)
    h = x.exp()
    (gh,) = mg.grad((h * h).sum(), h)
    (gx,) = mg.grad(h, x, gh)
    assert close(gx, 2 * np.exp([2.0, 4.0]))


def test_create_graph_retains_by_default_and_can_be_told_not_to() -> None:
    x = scalar(2.0)
    y = x * x * x
    mg.grad(y, x, create_graph=True)
    mg.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(errors.FreedGraphError):
        mg.grad(y, x)


# --- .grad ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_of_leaves_alias_neither_each_other_nor_the_seed(create_graph: bool) -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mg.tensor([1.0, 1.0], dtype=mg.float64)
    (a + b).backward(seed, create_graph=create_graph)
    assert a.grad is not None
    a.grad.zero_()
    assert close(b.grad, [1.0, 1.0])
    assert close(seed, [1.0, 1.0])
    seed.fill_(9.0)
    assert close(b.grad, [1.0, 1.0])


def test_gradients_do_not_alias_through_views() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a.reshape(2, 1) + b.reshape(2, 1)).backward(seed := mg.ones(2, 1, dtype=mg.float64))
    x = leaf(1.0, 2.0, 3.0)
    x.sum().backward()  # an expanded view of one number
    assert x.grad is not None
    x.grad.mul_(2)
    assert a.grad is not None
    a.grad.zero_()
    assert close(x.grad, [2.0, 2.0, 2.0])
    assert close(b.grad, [1.0, 1.0])
    assert close(seed, [[1.0], [1.0]])


def test_backward_accumulates_in_place_and_grad_does_not_touch_it() -> None:
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first  # as in PyTorch
    assert close(x.grad, [5.0, 5.0])
    mg.grad((x * 100).sum(), x)
    assert close(x.grad, [5.0, 5.0])


def test_backward_with_create_graph_accumulates_differentiable_gradients() -> None:
    x = scalar(2.0)
    (x**3).backward(create_graph=True)
    (x**2).backward(create_graph=True)
    first = x.grad
    assert first is not None
    assert close(first, 12.0 + 4.0)
    (second,) = mg.grad(first, x)
    assert close(second, 12.0 + 2.0)


def test_backward_with_create_graph_records_under_no_grad_too() -> None:
    x = scalar(2.0)
    y, z = x**3, x**2
    with mg.no_grad():
        y.backward(create_graph=True)
        z.backward(create_graph=True)
    assert x.grad is not None
    (second,) = mg.grad(x.grad, x)
    assert close(second, 14.0)


def test_backward_inputs_restricts_what_receives_a_gradient() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * w
    h.sum().backward(inputs=[w, h])
    assert x.grad is None
    assert close(w.grad, [1.0, 2.0])
    assert close(h.grad, [1.0, 1.0])


def test_backward_of_a_leaf() -> None:
    x = scalar(2.0)
    x.backward()
    assert close(x.grad, 1.0)


def test_gradients_have_the_dtype_and_shape_of_their_tensor() -> None:
    x = mg.tensor([[1.0], [2.0]], requires_grad=True)  # float32
    y = mg.tensor([3.0, 4.0, 5.0], dtype=mg.float64, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.shape, x.grad.dtype) == ((2, 1), mg.float32)
    assert (y.grad.shape, y.grad.dtype) == ((3,), mg.float64)


def test_parameters_are_inputs_like_others() -> None:
    p = mg.nn.Parameter(mg.tensor([1.0, 2.0]))
    (p * p).sum().backward()
    assert close(p.grad, [2.0, 4.0])
    assert type(p * 1) is mg.Tensor
    assert type(p.grad) is mg.Tensor


# --- recording --------------------------------------------------------------------------------------------------


def recorded() -> bool:
    return (scalar(1.0) * 2).requires_grad


def test_modes_nest_and_end() -> None:
    assert recorded()
    with mg.no_grad():
        assert not recorded()
        with mg.enable_grad():
            assert recorded()
            with mg.set_grad_enabled(False):
                assert not recorded()
            assert recorded()
        assert not recorded()
    assert recorded()


def test_modes_end_with_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), mg.no_grad(), mg.enable_grad(), mg.no_grad():
        1 / 0  # noqa: B018
    assert recorded()


def test_one_mode_object_can_be_entered_again_inside_itself() -> None:
    mode, inverse = mg.no_grad(), mg.enable_grad()
    with mode, inverse:
        with mode:
            assert not recorded()
            with mode:
                assert not recorded()
            assert not recorded()
        assert recorded()
    assert recorded()


def test_modes_decorate() -> None:
    @mg.no_grad()
    def off(again: bool = True) -> list[bool]:
        """Kept."""
        return [recorded(), *(on() if again else [])]

    @mg.enable_grad()
    def on() -> list[bool]:
        return [recorded(), *off(again=False), recorded()]

    @mg.set_grad_enabled(False)
    def also_off() -> bool:
        return recorded()

    assert recorded()  # the decorators themselves changed nothing
    assert off() == [False, True, False, True]
    assert not also_off()
    assert recorded()
    assert (off.__name__, off.__doc__) == ("off", "Kept.")

    @mg.no_grad()
    def fails() -> None:
        raise KeyError("planted")

    with pytest.raises(KeyError):
        fails()
    assert recorded()


def test_functions_whose_body_runs_later_cannot_be_decorated() -> None:
    def generator() -> Iterator[bool]:
        yield recorded()

    async def coroutine() -> bool:
        return recorded()

    for function in (generator, coroutine):
        with pytest.raises(NotImplementedError, match=r"no_grad: cannot decorate .*`with`"):
            mg.no_grad()(function)


def test_set_grad_enabled_is_also_a_plain_call() -> None:
    try:
        mg.set_grad_enabled(False)
        assert not recorded()
    finally:
        mg.set_grad_enabled(True)
    assert recorded()
    with mg.set_grad_enabled(False):
        assert not mg.is_grad_enabled()
    assert recorded()


def test_modes_belong_to_their_thread() -> None:
    mode = mg.no_grad()
    inside, leave = threading.Event(), threading.Event()
    seen: list[bool] = []

    def worker() -> None:
        seen.append(recorded())  # a new thread records
        with mode:
            inside.set()
            assert leave.wait(30)
            seen.append(recorded())
        seen.append(recorded())

    thread = threading.Thread(target=worker)
    with mode:
        thread.start()
        assert inside.wait(30)
        assert not recorded()
    assert recorded()  # the worker is still inside the same object
    with mg.no_grad(), mode:
        leave.set()
        thread.join(30)
        assert not recorded()
    assert seen == [True, False, True]
    assert recorded()


def test_modes_belong_to_their_task() -> None:
    mode = mg.no_grad()

    async def off() -> list[bool]:
        with mode:
            before = recorded()
            await asyncio.sleep(0.01)
            return [before, recorded()]

    async def on() -> list[bool]:
        await asyncio.sleep(0.005)
        return [recorded()]

    async def both() -> list[list[bool]]:
        return list(await asyncio.gather(off(), on(), off()))

    assert asyncio.run(both()) == [[False, False], [True], [False, False]]
    assert recorded()


def test_threads_build_and_differentiate_their_own_graphs() -> None:
    x = leaf(*np.linspace(0.1, 1.0, 50))
    results: dict[int, np.ndarray] = {}

    def work(k: int) -> None:
        for _ in range(20):
            (g,) = mg.grad((x * k).sin().sum(), x)
        assert g is not None
        results[k] = g.detach().numpy()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 7)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(1, 7):
        assert np.allclose(results[k], k * np.cos(k * np.linspace(0.1, 1.0, 50)))


def test_nothing_is_recorded_without_need() -> None:
    x = mg.tensor([1.0])
    assert (x * 2).grad_fn is None
    with mg.no_grad():
        assert (leaf(1.0) * 2).is_leaf
    assert not (leaf(1.0, 2.0) > 0).requires_grad
    assert not leaf(1.0).detach().requires_grad


# --- custom ops -------------------------------------------------------------------------------------------------


def make_sincos() -> mg.Op:
    @mg.op
    def sincos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(x), np.cos(x)

    sincos.defvjp(lambda g, out, x: g[0] * out[1] - g[1] * out[0])
    return sincos


def test_an_op_in_three_lines() -> None:
    @mg.op
    def cube(x: np.ndarray) -> np.ndarray:
        return x**3

    cube.defvjp(lambda g, out, x: g * 3 * x**2)
    x = leaf(1.0, -2.0)
    (first,) = mg.grad(cube(x).sum(), x, create_graph=True)
    (second,) = mg.grad(first.sum(), x)
    assert close(first, [3.0, 12.0])
    assert close(second, [6.0, -12.0])
    assert mg.gradcheck(cube, x)
    assert mg.gradgradcheck(cube, x)
    assert repr(cube) == "<op cube>"


@pytest.mark.parametrize("used", ["first", "second", "both"])
def test_an_op_with_several_outputs(used: str) -> None:
    sincos = make_sincos()
    x = leaf(0.3, 1.1)

    def f(x: mg.Tensor) -> mg.Tensor:
        s, c = sincos(x)
        return {"first": s * 2, "second": c * 3, "both": s * c}[used].sum()

    v = np.array([0.3, 1.1])
    expected = {"first": 2 * np.cos(v), "second": -3 * np.sin(v), "both": np.cos(2 * v)}[used]
    assert close(mg.grad(f(x), x)[0], expected)
    assert mg.gradcheck(f, x)
    assert mg.gradgradcheck(f, x)


def test_several_outputs_as_the_outputs_of_grad() -> None:
    s, c = make_sincos()(x := leaf(0.3))
    one = mg.ones(1, dtype=mg.float64)
    gs, gx = mg.grad([s, c], [s, x], [one, one * 10])
    assert close(gs, [1.0])
    assert close(gx, [np.cos(0.3) - 10 * np.sin(0.3)])


def test_integer_outputs_carry_no_gradient() -> None:
    @mg.op
    def split_sign(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.abs(x), np.sign(x).astype(np.int64)

    split_sign.defvjp(lambda g, out, x: g[0] * out[1].to(mg.float64))
    size, sign = split_sign(x := leaf(-2.0, 3.0))
    assert not sign.requires_grad
    assert close(mg.grad(size.sum(), x)[0], [-1.0, 1.0])


def test_a_joint_vjp() -> None:
    calls: list[int] = []

    @mg.op
    def hypot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.hypot(x, y)

    def joint(g: mg.Tensor, out: mg.Tensor, x: mg.Tensor, y: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        calls.append(1)
        return g * x / out, g * y / out

    hypot.defvjp(joint=joint)
    x, y = leaf(3.0), leaf(4.0)
    gx, gy = mg.grad(hypot(x, y).sum(), [x, y])
    assert close(gx, [0.6])
    assert close(gy, [0.8])
    assert len(calls) == 1
    real = lambda x, y: hypot(x, y)  # noqa: E731
    assert mg.gradgradcheck(real, [x, y])


def test_only_the_wanted_vjps_are_called() -> None:
    @mg.op(broadcasts=True)
    def scale(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x * y

    def never(g: object, out: object, x: object, y: object) -> None:
        raise AssertionError("not needed")

    scale.defvjp(lambda g, out, x, y: g * y, never)
    x, y = leaf(1.0, 2.0), mg.tensor(3.0, dtype=mg.float64)
    assert close(mg.grad(scale(x, y).sum(), x)[0], [3.0, 3.0])
    w = scalar(3.0)
    assert close(mg.grad(scale(x, w).sum(), x)[0], [3.0, 3.0])  # y needs one, but not in this call


def test_attributes_reach_the_vjp() -> None:
    @mg.op
    def power(x: np.ndarray, *, n: int) -> np.ndarray:
        return x**n

    power.defvjp(lambda g, out, x, n: g * n * x ** (n - 1))
    assert close(mg.grad(power(x := leaf(2.0), n=3).sum(), x)[0], [12.0])


def test_inputs_by_name() -> None:
    @mg.op(broadcasts=True)
    def minus(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x - y

    minus.defvjp(lambda g, out, x, y: g, lambda g, out, x, y: -g)
    x = leaf(5.0)
    assert close(minus(y=x, x=1.0), [-4.0])
    assert close(mg.grad(minus(1.0, y=x).sum(), x)[0], [-1.0])
    assert close(mg.sub(input=x, other=2.0), [3.0])
    with pytest.raises(errors.ArgumentTypeError, match=r"minus: missing y; write minus\(x, y\)"):
        minus(x)


def test_broadcasting_is_undone_for_custom_ops() -> None:
    @mg.op(broadcasts=True)
    def times(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x * y

    times.defvjp(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
    x, y = leaf(2.0), mg.ones(3, 4, dtype=mg.float64, requires_grad=True)
    gx, gy = mg.grad(times(x, y).sum(), [x, y])
    assert close(gx, [12.0])
    assert gy is not None
    assert gy.shape == (3, 4)


def broken(**vjps: object) -> mg.Op:
    @mg.op
    def broken_op(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x + y

    if vjps:
        broken_op.defvjp(*vjps.get("each", ()), joint=vjps.get("joint"))  # type: ignore[misc]
    return broken_op


@pytest.mark.parametrize(
    ("vjps", "kind", "message"),
    [
        ({}, errors.NotDifferentiableError, r"broken_op: has no vjp.*broken_op\.defvjp.*detach"),
        (
            {"each": [lambda g, out, x, y: g.sum(), lambda g, out, x, y: g]},
            errors.VjpError,
            r"broken_op: the vjp of input 0 returned shape \(\), but the input has shape \(2,\)",
        ),
        (
            {"each": [lambda g, out, x, y: g, lambda g, out, x, y: g.detach().numpy()]},
            errors.VjpError,
            r"broken_op: the vjp of input 1 returned ndarray, expected a Tensor; .*not with NumPy",
        ),
        ({"each": [lambda g, out, x, y: 1.0, None]}, errors.VjpError, r"input 0 returned float"),
        ({"each": [lambda g, out, x, y: (g, g)]}, errors.VjpError, r"broken_op: 1 vjps for 2 inputs"),
        ({"joint": lambda g, out, x, y: (g,)}, errors.VjpError, r"broken_op: .*tuple of 2 gradients"),
        ({"joint": lambda g, out, x, y: (g, g, g)}, errors.VjpError, r"broken_op: .*tuple of 2 gradients"),
        ({"joint": lambda g, out, x, y: g}, errors.VjpError, r"broken_op: .*tuple of 2 gradients"),
        ({"joint": lambda g, out, x, y: [g, g]}, errors.VjpError, r"broken_op: .*tuple of 2 gradients"),
        ({"joint": lambda g, out, x, y: (g, g.sum())}, errors.VjpError, r"the vjp of input 1 returned shape \(\)"),
    ],
)
def test_wrong_vjps_are_named(vjps: dict[str, object], kind: type[Exception], message: str) -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with pytest.raises(kind, match=message):
        broken(**vjps)(x, y).sum().backward()


def test_an_error_inside_a_vjp_is_not_hidden_and_leaves_the_mode_alone() -> None:
    def vjp(g: object, out: object, x: object, y: object) -> None:
        raise LookupError("planted")

    with pytest.raises(LookupError, match="planted"):
        broken(each=[vjp, vjp])(leaf(1.0), leaf(2.0)).sum().backward()
    assert recorded()


def test_a_vjp_that_gives_none_says_that_there_is_no_gradient() -> None:
    x, y = leaf(1.0), leaf(2.0)
    out = broken(each=[lambda g, out, x, y: g, None])(x, y).sum()
    gx, gy = mg.grad(out, [x, y], allow_unused=True)
    assert close(gx, [1.0])
    assert gy is None


def test_an_op_that_is_declared_not_differentiable_stops_the_tape() -> None:
    @mg.op(differentiable=False)
    def steps(x: np.ndarray) -> np.ndarray:
        return np.floor(x)

    y = steps(leaf(1.5))
    assert not y.requires_grad
    with pytest.raises(errors.NoGraphError, match="not recorded"):
        y.sum().backward()


def test_a_forward_that_fails_names_the_op_and_the_shapes() -> None:
    @mg.op
    def picky(x: np.ndarray) -> np.ndarray:
        return x.reshape(7)

    with pytest.raises(errors.ShapeError, match=r"picky: cannot be applied to \(2,\) float64"):
        picky(leaf(1.0, 2.0))


def test_an_undeclared_view_is_copied_so_that_changes_stay_visible() -> None:
    @mg.op
    def same(x: np.ndarray) -> np.ndarray:
        return x

    @mg.op
    def head(x: np.ndarray) -> np.ndarray:
        return x[:1]

    @mg.op
    def halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x[:1], x[1:]

    x = leaf(1.0, 2.0)
    outputs = [same(x), head(x), *halves(x)]
    with mg.no_grad():
        for out in outputs:
            out.fill_(100.0)
    assert close(x, [1.0, 2.0])


def test_vjp_of_a_formula_gives_every_order() -> None:
    @mg.op
    def fused(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.tanh(x * w)

    fused.defvjp(joint=vjp_of(lambda x, w: (x * w).tanh()))
    x, w = leaf(0.3, -0.7), leaf(1.1, 0.4)
    assert mg.gradcheck(fused, [x, w])
    assert mg.gradgradcheck(fused, [x, w])
    (third,) = mg.grad(fused(x, w).sum(), x, create_graph=True)
    for _ in range(2):
        (third,) = mg.grad(third.sum(), x, create_graph=True)
    t = np.tanh(np.array([0.3, -0.7]) * [1.1, 0.4])
    assert close(third, np.array([1.1, 0.4]) ** 3 * (-2 * (1 - t**2) * (1 - 3 * t**2)), 1e-10)


def test_vjp_of_several_outputs_one_of_which_does_not_depend() -> None:
    @mg.op
    def fused(x: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x * x, b * 2

    fused.defvjp(joint=vjp_of(lambda x, b: (x * x, b * 2)))
    x = leaf(3.0)
    a, _ = fused(x, mg.tensor([1.0], dtype=mg.float64))
    assert close(mg.grad(a.sum(), x)[0], [6.0])
    b = leaf(1.0)
    _, second = fused(x, b)
    gx, gb = mg.grad(second.sum(), [x, b], allow_unused=True)
    assert close(gb, [2.0])
    assert gx is None or close(gx, [0.0])
