"""The lesson on the tape: the same bits as minigrad, gradients by hand, and what goes wrong without each part."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from lessons.anatomy import Run
from lessons.systems import tape


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("tape")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- headline


def test_headline_the_same_bits_as_minigrad(run):
    assert run.results["weights that differ"] == 0
    shown = data(run, "tape-training")
    assert np.array_equal(shown["losses"], shown["theirs"])
    assert np.isfinite(shown["losses"]).all()
    assert run.results["right"] > 0.9


def test_the_comparison_of_bits_sees_another_order_of_the_points(run):
    assert 0 < run.results["apart"].max() < 1e-6


def test_the_engine_is_about_sixty_lines():
    source = inspect.getsource(tape)
    engine = source[source.index("class Value:") : source.index("# One function is missing")]
    lines = [line.strip() for line in engine.splitlines()]
    code = [line for line in lines if line and not line.startswith(("#", '"""'))]
    assert 50 <= len(code) <= 65


# ---- the engine


def test_gradients_by_hand():
    x, y = tape.values([[1.0, 2.0]], [[3.0], [4.0]])
    product = x @ y
    dx, dy = tape.gradients(product, [x, y])
    assert np.array_equal(dx.array, [[3, 4]])
    assert np.array_equal(dy.array, [[1], [2]])
    (bias,) = tape.values([0.0, 0.0])
    rows = tape.Value(np.ones((3, 2)))
    assert np.array_equal(tape.gradients(tape.total(rows * (rows + bias)), [bias])[0].array, [3, 3])


def test_numbers_on_the_left_and_a_value_that_is_not_used():
    x, unused = tape.values(5.0, [1.0, 2.0])
    dx, nothing = tape.gradients(1 - 2 * x * x, [x, unused])
    assert float(dx.array) == -20
    assert np.array_equal(nothing.array, [0, 0])


def test_derivatives_of_every_op_up_to_the_third():
    at = 0.3
    for function, wanted in (
        (tape.tanh, lambda t: (1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2))),
        (tape.reciprocal, lambda r: (-(r**2), 2 * r**3, -6 * r**4)),
    ):
        (x,) = tape.values(at)
        out = function(x)
        for want in wanted(float(out.array)):
            (out,) = tape.gradients(out, [x])
            assert float(out.array) == pytest.approx(want, rel=1e-13)


def test_gradients_with_respect_to_the_middle_of_a_graph():
    (x,) = tape.values(2.0)
    middle = x * x
    assert float(tape.gradients(middle * middle, [middle])[0].array) == 8


def test_double_backward_through_a_bias_that_was_broadcast():
    rng = np.random.default_rng(0)
    x, bias = tape.values(rng.normal(size=(4, 3)), rng.normal(size=3))
    (first,) = tape.gradients(tape.total(tape.tanh(x + bias)), [bias])
    (second,) = tape.gradients(tape.total(first * first), [bias])
    t = np.tanh(x.array + bias.array)
    assert second.array == pytest.approx(2 * first.array * (-2 * t * (1 - t**2)).sum(axis=0), rel=1e-12)


def test_one_training_step_equals_minigrads_bits_at_other_seeds():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        points, start = tape.moons(rng, 37), tape.starting_weights(rng, 7)
        ours, theirs = (step(start, *points, 0.1) for step in (tape.step_on_tape, tape.step_in_minigrad))
        assert ours[0] == theirs[0]
        assert all(np.array_equal(mine, other) for mine, other in zip(ours[1], theirs[1], strict=True))


# ---- the first ideas


def test_the_first_ideas_on_a_diamond():
    # w = x * y with x = 2 a and y = 3 a, at slopes 5 and 7
    diamond = [tape.Wire(0, 1, 2.0), tape.Wire(0, 2, 3.0), tape.Wire(1, 3, 5.0), tape.Wire(2, 3, 7.0)]
    assert tape.newest_first(diamond, 3)[0][0] == 31
    assert tape.handing_on(diamond, 3) == ({3: 1.0, 1: 5.0, 2: 7.0, 0: 31.0}, 5)
    assert tape.overwriting(diamond, 3)[0] in (10.0, 21.0)


def test_a_graph_problem_needs_an_order_and_has_doubled_wires():
    rng = np.random.default_rng(0)
    n, parent, child, _, output = tape.draw_graph_problem(rng, 8)
    pairs = list(zip(parent, child, strict=True))
    assert len(set(pairs)) < len(pairs)
    assert (parent > child).any()
    assert 0 <= output < n


def test_a_closure_that_knows_its_node_keeps_the_graph_alive():
    assert tape.survives(lambda: tape.ClosureValue(1.0))
    assert not tape.survives(lambda: tape.Value(1.0))
    assert tape.freed_after_gradients()


# ---- figures


def test_figures_show_the_numbers(run):
    assert {path.stem for path in run.out.iterdir()} == {"tape-graph", "tape-visits", "tape-training"}
    assert list(data(run, "tape-graph")["gradients"]) == [4, 2, 1]
    shown = data(run, "tape-visits")
    assert np.array_equal(shown["naive"], 2 ** (shown["doublings"] + 1) - 1)
    assert np.array_equal(shown["tape"], shown["doublings"] + 1)
