"""The diagnosis names the wrong term of a batch norm backward, in every form in which people get it wrong, or refuses.

The wrong gradients are written here as a learner would write them, and no mistake is declared: what is named below, the
terms alone have told.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.diagnose import DiagnoseError, KnownMistake, Problem, Term, diagnose, diagnose_problem
from minigrad.diagnose.factors import KnownFactors

DX = (
    Term("direct", "gamma/s * dy"),
    Term("mean", "-gamma/(N s) * sum(dy)", through=("mu",)),
    Term("var", "-gamma/(N s) * xh * sum(dy*xh)", through=("var",)),
)
SIZES = {"N": (4, 7), "D": (3, 2)}
FACTORS = {"(var + eps)/var": lambda values: (values["var"] + values["eps"]) / values["var"]}


def layer(named, x, gamma, beta, eps):
    mu = named("mu", x.mean(0))
    centred = named("centred", x - mu)
    var = named("var", (centred**2).mean(0))
    inv_std = named("inv_std", (var + eps) ** -0.5)
    return gamma * named("x_hat", centred * inv_std) + beta


def draw(rng, N, D):
    return {
        "x": rng.normal(size=(N, D)) * rng.uniform(0.5, 2, D) + rng.normal(size=D),
        "gamma": rng.uniform(0.5, 2, D) * rng.choice([-1.0, 1.0], D),
        "beta": rng.normal(size=D),
        "eps": 0.1,
    }


PROBLEM = Problem(layer, draw, {"dx": DX}, sizes=SIZES, factors=FACTORS)


def told(candidate, **more):
    return diagnose_problem(PROBLEM, candidate, **more)


# ---- right answers, written in different ways


def closed_form(dy, x_hat, gamma, inv_std):
    n, g = len(dy), gamma * dy
    return inv_std / n * (n * g - g.sum(0) - x_hat * (g * x_hat).sum(0))


def from_the_input(x, gamma, eps, dy):
    n = len(x)
    mu, var = x.mean(0), x.var(0)
    dx_hat = dy * gamma
    dvar = (dx_hat * (x - mu) * -0.5 * (var + eps) ** -1.5).sum(0)
    dmu = (-dx_hat / np.sqrt(var + eps)).sum(0) + dvar * (-2 * (x - mu)).sum(0) / n
    return dx_hat / np.sqrt(var + eps) + dvar * 2 * (x - mu) / n + dmu / n


def column_by_column(dy, x_hat, gamma, inv_std):
    out = np.zeros_like(dy)
    for d in range(dy.shape[1]):
        for i in range(len(dy)):
            for j in range(len(dy)):
                own = (i == j) - 1 / len(dy) - x_hat[i, d] * x_hat[j, d] / len(dy)
                out[i, d] += gamma[d] * inv_std[d] * own * dy[j, d]
    return out


@pytest.mark.parametrize("right", [closed_form, from_the_input, column_by_column])
def test_right_answers_are_right(right):
    found = told(right)
    assert (found.status, found.terms, found.lines) == ("right", (), ())


# ---- the fifteen mistakes of batch norm, and more


def with_sums(dy, x_hat, gamma, inv_std, direct=1.0, mean=1.0, var=1.0):
    g = gamma * dy
    return inv_std * (direct * g - mean * g.mean(0) - var * x_hat * (g * x_hat).mean(0))


def sums(**factors):
    """A candidate with a wrong factor on one of its sums: a number, or a function of N and D."""

    def candidate(dy, x_hat, gamma, inv_std):
        values = {name: factor(*dy.shape) if callable(factor) else factor for name, factor in factors.items()}
        return with_sums(dy, x_hat, gamma, inv_std, **values)

    return candidate


def scaled(factor=1.0, **replaced):
    """A candidate that is right but for a factor, or for an argument that is replaced."""

    def candidate(dy, x_hat, gamma, inv_std):
        given = {"dy": dy, "x_hat": x_hat, "gamma": gamma, "inv_std": inv_std, **replaced}
        return closed_form(**given) * (gamma if factor == "gamma" else factor)

    return candidate


def n_minus_one_in_the_variance(x, gamma, eps, dy):
    """The learner's own statistics divide by N - 1, and the rest is derived without a mistake."""
    n, c = len(x), x - x.mean(0)
    inv = (c.T**2).sum(1) / (n - 1) + eps
    inv = inv**-0.5
    x_hat, g = c * inv, dy * gamma
    return inv * (g - g.mean(0) - x_hat * (g * x_hat).sum(0) / (n - 1))


def n_minus_one_in_the_variance_alone(x, gamma, eps, dy):
    """The same, but the closed form is the one for N."""
    inv = (x.var(0, ddof=1) + eps) ** -0.5
    return closed_form(dy, (x - x.mean(0)) * inv, gamma, inv)


def without_eps(x, gamma, dy):
    return closed_form(dy, (x - x.mean(0)) / x.std(0), gamma, 1 / x.std(0))


def not_centred(x, gamma, eps, dy):
    """The right gradient of a root-mean-square norm: no mean is subtracted anywhere."""
    inv = ((x**2).mean(0) + eps) ** -0.5
    g, x_hat = dy * gamma, x * inv
    return inv * (g - x_hat * (g * x_hat).mean(0))


CLOSED = ("dy", "x_hat", "gamma", "inv_std")
EVERY = ("direct", "mean", "var")
FIFTEEN = {
    "returns zeros": (lambda dy: np.zeros_like(dy), EVERY, "dx is zero"),
    "forgets gamma": (scaled(gamma=1.0), EVERY, "every term of dx is 1/gamma: a factor gamma is missing"),
    "drops the mean term": (sums(mean=0), ("mean",), "`mean` is 0: it is missing"),
    "drops the variance term": (sums(var=0), ("var",), "`var` is 0: it is missing"),
    "flips the sign of the mean term": (sums(mean=-1), ("mean",), "`mean` is -1: it has the wrong sign"),
    "flips the sign of the variance term": (sums(var=-1), ("var",), "`var` is -1: it has the wrong sign"),
    "N-1 for N in the variance term": (
        sums(var=lambda n, d: n / (n - 1)),
        ("var",),
        "The factor on `var` is N/(N-1): it was divided by N-1, the forward divides by N.",
    ),
    "N-1 for N in the variance": (
        n_minus_one_in_the_variance,
        ("var",),
        "right for another forward pass: one in which `var` is N/(N-1) times what it should be",
    ),
    "N-1 for N in the variance, N in the sums": (
        n_minus_one_in_the_variance_alone,
        ("var",),
        "`var` is N/(N-1) times what it should be: it was divided by N-1, the forward divides by N; and besides",
    ),
    "misses 1/N in the sum of dy": (sums(mean=lambda n, d: n), ("mean",), "`mean` is N: it lacks a factor 1/N"),
    "misses 1/N in the sum of dy * x_hat": (sums(var=lambda n, d: n), ("var",), "`var` is N: it lacks a factor 1/N"),
    "sigma for sigma squared": (
        lambda dy, x_hat, gamma, inv_std: with_sums(dy, x_hat, gamma, inv_std, var=1 / inv_std),
        ("var",),
        "`var` is 1/inv_std: a factor inv_std is missing",
    ),
    "forgets eps in the sum": (
        lambda dy, x_hat, gamma, inv_std: with_sums(dy, x_hat, gamma, inv_std, var=len(dy) / (x_hat**2).sum(0)),
        ("var",),
        "`var` is (var + eps)/var: there is a factor",
    ),
    "forgets eps everywhere": (without_eps, EVERY, "`eps` is left out"),
    "the gradient with respect to x_hat": (
        lambda dy, gamma: dy * gamma,
        EVERY,
        "The factor on `direct` is 1/inv_std. The factor on `mean` is 0.",
    ),
    "takes dy for ones, of which nothing is left": (
        lambda dy, x_hat, gamma, inv_std: closed_form(np.ones_like(dy), x_hat, gamma, inv_std) + 0 * dy,
        EVERY,
        "dx is zero",
    ),
    "forgets to centre x for the variance": (
        lambda dy, x, gamma, eps: not_centred(x, gamma, eps, dy),
        ("mean",),
        "`mu` is 0 times what it should be: it is missing",
    ),
    "doubles everything": (scaled(2.0), EVERY, "every term of dx is 2"),
    "transposes": (lambda *given: closed_form(*given).T, (), "dx is the transpose"),
    "a number for N": (sums(mean=lambda n, d: n / 4), ("mean",), "the number 4 where N belongs"),
    "half, and the wrong sign": (sums(var=-0.5), ("var",), "`var` is -1/2"),
    "divides by N twice": (sums(mean=lambda n, d: 1 / n), ("mean",), "1/N too many"),
    "sqrt(N) for N": (sums(mean=lambda n, d: n**0.5), ("mean",), "`mean` is sqrt(N)"),
    "D for N": (sums(mean=lambda n, d: n / d), ("mean",), "`mean` is N/D: it was divided by D where N belongs"),
    "D for N in both sums": (
        sums(mean=lambda n, d: n / d, var=lambda n, d: n / d),
        ("mean", "var"),
        "The factor on `mean` and `var` is N/D: they were divided by D where N belongs.",
    ),
    "two mistakes at once": (
        sums(mean=-1, var=lambda n, d: n),
        ("mean", "var"),
        "`mean` is -1: it has the wrong sign. The factor on `var` is N:",
    ),
    "forgets gamma, and divides by N-1": (
        lambda dy, x_hat, inv_std: with_sums(dy, x_hat, 1.0, inv_std, var=len(dy) / (len(dy) - 1)),
        EVERY,
        "`var` is N/(N-1) * 1/gamma",
    ),
    "gamma twice": (scaled("gamma"), EVERY, "is gamma: there is a factor gamma too many"),
    "a factor that nobody knows": (sums(var=1.2345), ("var",), "it is 1.2345, which is no constant that is known here"),
}


@pytest.mark.parametrize("name", FIFTEEN)
def test_the_wrong_term_is_named(name):
    candidate, terms, cause = FIFTEEN[name]
    found = told(candidate, arguments=CLOSED if name == "transposes" else None)
    assert cause in found.cause
    assert set(found.terms) == set(terms)
    assert found.status != "cannot tell"
    assert found.results == ("dx",)


KNOWN = KnownFactors(PROBLEM.settings)
TEXTS = [factor.text for factor in KNOWN.factors]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(TEXTS), min_size=3, max_size=3))
def test_any_known_factors_on_any_terms_are_named(texts):
    chosen = dict(zip(EVERY, texts, strict=True))

    def candidate(dy, x_hat, gamma, inv_std):
        sizes = dict(zip("ND", dy.shape, strict=True))
        values = {name: KNOWN.factors[TEXTS.index(text)].value(sizes) for name, text in chosen.items()}
        return with_sums(dy, x_hat, gamma, inv_std, **values)

    found = told(candidate)
    wrong = {name: text for name, text in chosen.items() if text != "1"}
    assert dict(found.factors) == wrong
    assert found.status == ("wrong term" if wrong else "right")


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1e-3, 1.0]))
def test_no_noise_is_explained(seed, size):
    rng = np.random.default_rng(seed)
    found = told(lambda *arrays: closed_form(*arrays) + size * rng.normal(size=arrays[0].shape), arguments=CLOSED)
    assert (found.status, found.terms) == ("cannot tell", ())


def test_a_forgotten_upstream_is_recognised():
    terms = {"dx": [Term("dx", "dy @ w.T")]}
    sizes = {"N": (4, 7), "D": (3, 2), "M": (5, 3)}

    def matrices(rng, N, D, M):
        return {"x": rng.normal(size=(N, D)), "w": rng.normal(size=(D, M))}

    found = diagnose(lambda dy, w: np.ones_like(dy) @ w.T, lambda named, x, w: x @ w, matrices, terms, sizes=sizes)
    assert (found.status, found.terms) == ("wrong forward", ("dx",))
    assert found.cause == "dx is right for another forward pass: one in which `dy` is 1 everywhere."


def over_the_wrong_axis(dy, x_hat, gamma, inv_std):
    g = gamma * dy
    return inv_std * (g - g.mean(1, keepdims=True) - x_hat * (g * x_hat).mean(1, keepdims=True))


def test_a_sum_over_the_wrong_axis_is_only_known_once_it_is_declared():
    found = told(over_the_wrong_axis)
    assert (found.status, found.terms) == ("cannot tell", ())
    mistakes = {"sums over the features": KnownMistake(over_the_wrong_axis, ("mean", "var"))}
    found = told(over_the_wrong_axis, mistakes=mistakes)
    assert (found.status, found.terms, found.mistake) == (
        "declared mistake",
        ("mean", "var"),
        "sums over the features",
    )
    assert found.cause == "dx is what comes out if one sums over the features."


def test_the_text_of_a_failure():
    found = told(FIFTEEN["N-1 for N in the variance term"][0])
    table = [
        "Your result as a sum of the derivation's terms:",
        "                                                      N=4       N=7    want",
        "  direct       gamma/s * dy                      1.000000  1.000000       1   ok",
        "  mean         -gamma/(N s) * sum(dy)            1.000000  1.000000       1   ok",
        "  var          -gamma/(N s) * xh * sum(dy*xh)    1.333333  1.166667       1   WRONG",
        "",
        "The factor on `var` is N/(N-1): it was divided by N-1, the forward divides by N.",
    ]
    unexplained = [line for line in found.lines if "unexplained" in line]
    assert [line for line in found.lines if "unexplained" not in line] == table
    assert unexplained[0].endswith("0   ok")
    assert found.factors == (("var", "N/(N-1)"),)


# ---- it refuses to guess


REFUSED = {
    "noise": lambda dy: np.random.default_rng(1).normal(size=dy.shape),
    "another function": lambda x: np.sin(x),
    "nearly right": lambda dy, x_hat, gamma, inv_std: closed_form(dy, x_hat, gamma, inv_std) + 1e-6 * dy**2,
    "a term too many": lambda dy, x_hat, gamma, inv_std: closed_form(dy, x_hat, gamma, inv_std) + x_hat**3,
    "one wrong element": lambda dy, x_hat, gamma, inv_std: (
        closed_form(dy, x_hat, gamma, inv_std) + np.eye(*dy.shape) * np.eye(1, dy.shape[0]).T
    ),
    "nan": lambda dy: dy * np.nan,
    "no array": lambda dy: None,
    "a string": lambda dy: "dx",
    "two arrays": lambda dy: (dy, dy),
    "a scalar": lambda dy: 3.0,
    "a wrong shape": lambda dy: dy[:-1],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_term_explains_is_not_explained(name):
    found = told(REFUSED[name], mistakes={"sums over the features": KnownMistake(over_the_wrong_axis)})
    assert (found.status, found.terms, found.mistake) == ("cannot tell", (), None)
    assert found.cause
    assert found.lines


def test_a_refusal_says_what_it_is_not():
    found = told(REFUSED["another function"], mistakes={"sums over the features": KnownMistake(over_the_wrong_axis)})
    assert found.cause == (
        "Cannot tell what is wrong with dx, but not this: it is no sum of `direct`, `mean` and `var` with other "
        "factors, and none of the 1 mistakes known here."
    )
    assert not any(line.endswith("ok") for line in found.lines if "unexplained" not in line)


def test_terms_that_look_alike_are_not_told_apart():
    def twice(named, x):
        return named("a", 2 * x) + named("b", 3 * x)

    terms = {"dx": (Term("a", through=("a",)), Term("b", through=("b",)))}
    found = diagnose(lambda dy: 7 * dy, twice, lambda rng, N: {"x": rng.normal(size=N)}, terms, sizes={"N": (4, 6)})
    assert found.status == "cannot tell"
    assert "look alike" in found.cause


def test_a_fixed_problem_does_not_tell_a_number_from_a_size():
    """With N = 4 everywhere, 4 could be N or 4: no name for it, but a factor."""
    inputs = draw(np.random.default_rng(0), 4, 3)
    found = diagnose(FIFTEEN["misses 1/N in the sum of dy"][0], layer, inputs, {"dx": DX})
    assert found.terms == ("mean",)
    assert "`mean` is 4" in found.cause
    assert "N" not in found.cause.replace("The", "")


def test_what_a_candidate_raises_passes_through():
    def broken(dy):
        raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        told(broken)


def test_a_candidate_cannot_spoil_the_question():
    def spoils(dy, x_hat, gamma, inv_std):
        result = closed_form(dy, x_hat, gamma, inv_std)
        dy[:], x_hat[:] = 0, 1
        return result

    assert told(spoils).status == "right"
    assert told(closed_form).status == "right"


def test_a_candidate_receives_only_arrays_and_numbers():
    seen = []

    def watching(x, gamma, eps, dy, N):
        seen.extend([x, gamma, eps, dy, N])
        return dy

    told(watching)
    assert {type(value) for value in seen} == {np.ndarray, float, int}


# ---- several results, and steps that follow from each other


def attention(named, q, k, v):
    s = named("s", q @ k.t() / q.shape[1] ** 0.5)
    powers = s.exp()
    return named("p", powers / named("z", powers.sum(1, keepdim=True))) @ v


ATTENTION = Problem(
    attention,
    lambda rng, T, d, E: {name: rng.normal(size=(T, E if name == "v" else d)) for name in "qkv"},
    {
        "dp": [Term("dp")],
        "ds": [Term("own"), Term("norm", through=("z",))],
        "dq": [Term("dq")],
        "dk": [Term("dk")],
    },
    sizes={"T": (4, 6), "d": (3, 5), "E": (2, 4)},
)


def attention_backward(dy, q, k, v, p, dp_factor=1.0, norm=1.0, scale=None):
    dp = dp_factor * dy @ v.T
    ds = p * (dp - norm * (p * dp).sum(1, keepdims=True))
    scale = 1 / np.sqrt(q.shape[1]) if scale is None else scale
    return dp, ds, ds @ k * scale, ds.T @ q * scale


@pytest.mark.parametrize(
    ("wrong", "results", "terms"),
    [
        ({"dp_factor": 2.0}, ("dp",), ("dp",)),
        ({"norm": 0.0}, ("ds",), ("norm",)),
        ({"norm": -1.0}, ("ds",), ("norm",)),
        ({"scale": 1.0}, ("dq", "dk"), ("dq", "dk")),
        ({"norm": 0.0, "scale": 1.0}, ("ds", "dq", "dk"), ("norm", "dq", "dk")),
    ],
)
def test_each_step_is_judged_from_the_steps_before_it(wrong, results, terms):
    names = ("dy", "q", "k", "v", "p")
    assert diagnose_problem(ATTENTION, attention_backward, names).status == "right"
    found = diagnose_problem(ATTENTION, lambda *arrays: attention_backward(*arrays, **wrong), names)
    assert (found.results, found.terms) == (results, terms)
    right = [name for name in ("dp", "ds", "dq", "dk") if name not in results]
    assert f"{', '.join(right)}: right, given your own results" in found.lines[-1] or not right


def test_a_right_step_after_a_wrong_one_is_not_called_wrong():
    """dq computed from the true ds although ds was returned wrong: right as it stands."""

    def wrong_only_in_ds(dy, q, k, v, p):
        dp, ds, dq, dk = attention_backward(dy, q, k, v, p)
        return dp, 2 * ds, dq, dk

    assert diagnose_problem(ATTENTION, wrong_only_in_ds).results == ("ds",)


TWO = Problem(
    layer,
    draw,
    {"dx": DX, "dgamma": [Term("dgamma")], "dbeta": [Term("dbeta")]},
    sizes={"N": (4, 7), "D": (3, 2)},
)


@pytest.mark.parametrize(
    ("results", "status", "cause"),
    [
        (lambda dx, dgamma, dbeta, dy: (dx, dbeta, dgamma), "wrong form", "in the place of dgamma is dbeta"),
        (lambda dx, dgamma, dbeta, dy: (dx, dgamma, dy), "wrong form", "dbeta was not summed over axis 0"),
        (lambda dx, dgamma, dbeta, dy: (dx[::-1], dgamma, dbeta), "wrong form", "dx is reversed along axis 0"),
        (lambda dx, dgamma, dbeta, dy: (dx, dgamma, dbeta / len(dx)), "wrong term", "`dbeta` is 1/N"),
        (lambda dx, dgamma, dbeta, dy: dx, "cannot tell", "want a tuple (dx, dgamma, dbeta)"),
        (lambda dx, dgamma, dbeta, dy: (dx, dgamma), "cannot tell", "2 results; want 3"),
        (lambda dx, dgamma, dbeta, dy: (dx, np.sin(dgamma), 2 * dbeta), "wrong term", "`dbeta` is 2"),
    ],
)
def test_several_results(results, status, cause):
    def candidate(dy, x_hat, gamma, inv_std):
        return results(closed_form(dy, x_hat, gamma, inv_std), (dy * x_hat).sum(0), dy.sum(0), dy)

    found = diagnose_problem(TWO, candidate)
    assert found.status == status
    assert cause in " ".join(found.lines)


# ---- questions put wrongly


@pytest.mark.parametrize(
    ("terms", "more", "message"),
    [
        ({}, {}, "terms is empty"),
        ({"dx": [Term("a"), Term("a")]}, {}, "two terms are called 'a'"),
        ({"dx": [Term("a"), Term("b")]}, {}, "belongs to the terms a and b alike"),
        ({"dx": [Term("mean", through=("mu",))]}, {}, "belongs to no term"),
        ({"dx": [Term("all"), Term("none", through=("mu", "var"))]}, {}, "the term 'none' of dx vanishes"),
        ({"dx": [Term("all"), *(Term(c, through=(c,)) for c in "abcdef")]}, {}, "5 are the most"),
        ({"dq": [Term("all")]}, {}, "no input or named value is called 'q'"),
        ({"y": [Term("all")]}, {}, "is called 'd' and what it is the gradient of"),
        ({"mu": [Term("half", value=lambda values: values["mu"] / 2)]}, {}, "do not add up"),
        ({"dx": [Term("all")]}, {"sizes": {"N": (4, 4), "D": (3, 2)}}, "two different sizes"),
        ({"dx": [Term("all")]}, {"upstream": ("dy", "dz")}, "returns 1 outputs"),
        ({"dx": [Term("all")]}, {"upstream": ("x",)}, "'x' is the name of two values"),
    ],
)
def test_questions_put_wrongly_are_refused(terms, more, message):
    with pytest.raises(DiagnoseError) as caught:
        diagnose(lambda dy: dy, layer, draw, terms, **{"sizes": {"N": (4, 7), "D": (3, 2)}, **more})
    assert message in str(caught.value)


def test_a_parameter_that_is_nothing_is_named():
    with pytest.raises(DiagnoseError, match="wants 'dout'; there are"):
        told(lambda dout: dout)


def test_names_are_given_once_and_to_tensors():
    def one(named, x):
        return named("a", named("a", x))

    def two(named, x):
        return named("a", 3.0) * x

    for forward, message in ((one, "names two values 'a'"), (two, "which is float")):
        with pytest.raises(DiagnoseError, match=message):
            diagnose(lambda dy: dy, forward, {"x": np.ones(3)}, {"dx": [Term("all")]})


def test_the_forward_is_run_once_for_many_diagnoses():
    calls = []

    def counting(named, x):
        calls.append(1)
        return x**2

    problem = Problem(counting, lambda rng, N: {"x": rng.normal(size=N)}, {"dx": [Term("all")]}, sizes={"N": (3, 4)})
    diagnose_problem(problem, lambda dy, x: 2 * x * dy)
    before = len(calls)
    for _ in range(3):
        diagnose_problem(problem, lambda dy, x: 2 * x * dy)
        diagnose_problem(problem, lambda dy, x: 4 * x * dy)
    assert len(calls) == before
