"""Terms from the tape: what flows through a set of intermediates, against formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.diagnose import DiagnoseError, gradients, paths
from minigrad.diagnose.factors import KnownFactors
from minigrad.diagnose.regression import fit


def diamond(named, x):
    """x reaches y directly, through a, through b, and through a and then b."""
    a = named("a", x * 2.0)
    b = named("b", x * 3.0 + a * 5.0)
    return x * 7.0 + a * 11.0 + b * 13.0


def test_every_path_is_counted_once():
    parts = paths(diamond, {"x": np.ones(2)}, [np.array([1.0, 2.0])], "x", ["a", "b"])
    weights = {frozenset(): 7, frozenset("a"): 2 * 11, frozenset("b"): 3 * 13, frozenset("ab"): 2 * 5 * 13}
    assert parts.keys() == weights.keys()
    for through, weight in weights.items():
        np.testing.assert_allclose(parts[through], [weight, 2 * weight])


def test_a_given_gradient_stands_in_for_what_comes_after_it():
    upstream, given_b = [np.array([1.0, 2.0])], np.array([100.0, 1000.0])
    parts = paths(diamond, {"x": np.ones(2)}, upstream, "x", ["a"], {"b": given_b})
    np.testing.assert_allclose(parts[frozenset()], 7 * upstream[0] + 3 * given_b)
    np.testing.assert_allclose(parts[frozenset("a")], 2 * (11 * upstream[0] + 5 * given_b))


def test_a_cut_value_passes_no_given_gradient_on():
    parts = paths(diamond, {"x": np.ones(1)}, [np.ones(1)], "x", ["b"], {"b": np.array([100.0])})
    assert {tuple(through): float(part[0]) for through, part in parts.items()} == {(): 7 + 22, ("b",): 100 * (3 + 10)}


def test_gradients_of_named_values():
    found = gradients(diamond, {"x": np.ones(1)}, [np.ones(1)], ["x", "a", "b"])
    assert {name: float(g[0]) for name, g in found.items()} == {"x": 7 + 22 + 39 + 130, "a": 11 + 65, "b": 13}


def test_a_changed_forward_pass():
    found = gradients(diamond, {"x": np.ones(1)}, [np.ones(1)], ["x"], {"a": lambda a: a * 0.5})
    assert float(found["x"][0]) == 7 + 11 + 39 + 65


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_parts_of_a_random_graph_add_up(seed, count):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(count + 1, count + 2))
    keep = rng.random(weights.shape) < 0.7

    def forward(named, x):
        values = [x]
        for i in range(count):
            value = x * 0.0 + 1.0
            for j, before in enumerate(values):
                if keep[i, j]:
                    value = value + before.sin() * float(weights[i, j])
            values.append(named(f"v{i}", value))
        out = values[0] * 0.3
        for j, before in enumerate(values):
            if keep[count, j]:
                out = out + before**2 * float(weights[count, j])
        return out

    x, dy = rng.normal(size=(2, 3))
    parts = paths(forward, {"x": x}, [dy], "x", [f"v{i}" for i in range(count)])
    assert len(parts) == 2**count
    whole = gradients(forward, {"x": x}, [dy], ["x"])["x"]
    np.testing.assert_allclose(sum(parts.values()), whole, rtol=1e-9, atol=1e-9 * (1 + np.abs(whole).max()))


def test_too_many_intermediates_are_refused():
    with pytest.raises(DiagnoseError, match=r"2\^6 backward passes; 5 are the most"):
        paths(diamond, {"x": np.ones(1)}, [np.ones(1)], "x", list("abcdef"))


# ---- constants and regression

SIZES = [{"N": 4, "D": 3}, {"N": 7, "D": 3}, {"N": 4, "D": 2}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda N, D: 1, "1"),
        (lambda N, D: 0, "0"),
        (lambda N, D: -1, "-1"),
        (lambda N, D: 2, "2"),
        (lambda N, D: 0.5, "1/2"),
        (lambda N, D: N, "N"),
        (lambda N, D: -1 / N, "-1/N"),
        (lambda N, D: N / (N - 1), "N/(N-1)"),
        (lambda N, D: (N - 1) / N, "(N-1)/N"),
        (lambda N, D: D**0.5, "sqrt(D)"),
        (lambda N, D: D**-0.5, "1/sqrt(D)"),
        (lambda N, D: (D - 1) / 2, "(D-1)/2"),
        (lambda N, D: N / D, "N/D"),
        (lambda N, D: 1 / (N * D), "1/(N*D)"),
        (lambda N, D: N / 4, "N/4"),
        (lambda N, D: 4, "4"),
        (lambda N, D: 3, "3"),
        (lambda N, D: 1.2345, None),
        (lambda N, D: N + 1e-4, None),
        (lambda N, D: np.nan, None),
    ],
)
def test_constants_are_recognised_at_several_sizes(value, text):
    factor = KnownFactors(SIZES).recognise(np.array([value(**sizes) for sizes in SIZES], float))
    assert (factor and factor.text) == text


def test_a_dimension_of_one_size_gives_no_names():
    known = KnownFactors([{"N": 4, "D": 3}, {"N": 4, "D": 2}])
    assert not any("N" in factor.text for factor in known.factors)
    assert known.recognise(np.array([5.0, 5.0])) is None


def test_no_two_constants_have_one_value_at_the_sizes_of_a_lesson():
    """Otherwise the first of them would be named where the second was meant."""
    known = KnownFactors(SIZES)
    assert len(np.unique(known.values.round(9), axis=0)) == len(known.factors)


def test_collinear_terms_have_no_condition_number():
    column = np.arange(1.0, 5.0)
    found = fit([np.stack([column, 2 * column], axis=1)], [3 * column])
    assert found.condition > 1e7
    assert not found.explains


def test_a_residual_is_no_explanation():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(8, 2))
    assert fit([columns], [columns @ [1.0, 2.0]]).explains
    assert not fit([columns], [columns @ [1.0, 2.0] + 1e-6 * rng.normal(size=8)]).explains
