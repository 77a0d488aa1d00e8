"""Tests of the tester: what gradcheck must catch, must not be fooled by, and must refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import GradcheckError, VacuousCheckError
from minigrad.gradcheck import NumericalGradient, compare_gradients, numerical_gradient

RNG_SEED = 20_260_101


def values(*shape: int, seed: int = RNG_SEED) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def double(*shape: int, seed: int = RNG_SEED) -> mg.Tensor:
    return mg.tensor(values(*shape, seed=seed), requires_grad=True)


# --- the numerical gradient against closed forms ------------------------------------------------------------------

SMOOTH: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "exp(x/100)": (lambda x: np.exp(x / 100), lambda x: np.exp(x / 100) / 100),
    "log": (np.log, lambda x: 1 / x),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "1/x^2": (lambda x: x**-2.0, lambda x: -2 * x**-3.0),
    "x^3": (lambda x: x**3, lambda x: 3 * x**2),
    "sin": (np.sin, np.cos),
    "sin(200x)": (lambda x: np.sin(200 * x), lambda x: 200 * np.cos(200 * x)),
    "arctan(1e4 x)": (lambda x: np.arctan(1e4 * x), lambda x: 1e4 / (1 + (1e4 * x) ** 2)),
    "1e6 + x^2": (lambda x: 1e6 + x**2, lambda x: 2 * x),
    "1e-6 x^2": (lambda x: 1e-6 * x**2, lambda x: 2e-6 * x),
}
POINTS = [1e-3, 2.7e-3, 0.04, 0.3, 1.0, 7.7, 31.0, 1e3]


def real_only(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same function for code that knows no complex numbers, as compiled kernels do."""

    def function(x: np.ndarray) -> Any:
        if np.iscomplexobj(x):
            raise TypeError("no complex numbers here")
        return f(x)

    return function


def drops_imaginary_part(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(np.real(x))


@pytest.mark.parametrize("name", SMOOTH)
def test_the_complex_step_is_exact_at_any_scale(name: str) -> None:
    f, slope = SMOOTH[name]
    found = numerical_gradient(f, np.array(POINTS), upstream=np.ones(len(POINTS)))
    assert not found.kinks
    # Where rounding hides the slope from differences, they cannot confirm the step, and their own value is returned.
    assert np.allclose(found.values, slope(np.array(POINTS)), rtol=1e-5 if name == "1e6 + x^2" else 1e-13, atol=0)


@pytest.mark.parametrize("name", [n for n in SMOOTH if n not in ("1e6 + x^2", "1e-6 x^2", "arctan(1e4 x)")])
@pytest.mark.parametrize("spoil", [real_only, drops_imaginary_part])
def test_without_complex_numbers_differences_reach_1e_9(name: str, spoil: Callable[..., Any]) -> None:
    f, slope = SMOOTH[name]
    want = slope(np.array(POINTS))
    found = numerical_gradient(spoil(f), np.array(POINTS), upstream=np.ones(len(POINTS)))
    assert not found.kinks
    assert np.allclose(found.values, want, rtol=1e-9, atol=0)


@given(
    coefficients=st.lists(st.floats(-3, 3), min_size=1, max_size=6),
    at=st.floats(-5, 5),
    spoil=st.sampled_from([lambda f: f, real_only]),
)
def test_polynomials(coefficients: list[float], at: float, spoil: Callable[..., Any]) -> None:
    found = numerical_gradient(spoil(lambda x: np.polyval(coefficients, x)), np.array(at))
    want = np.polyval(np.polyder(coefficients), at)
    size = np.polyval(np.abs(coefficients), max(abs(at), 1))
    assert abs(found.values - want) <= 1e-9 * size
    assert not found.kinks


def test_the_error_estimate_covers_the_error() -> None:
    for name, (f, slope) in SMOOTH.items():
        found = numerical_gradient(real_only(f), np.array(POINTS), upstream=np.ones(len(POINTS)))
        error = np.abs(found.values - slope(np.array(POINTS)))
        assert (error <= 10 * found.errors + 1e-10 * np.abs(found.values) + 1e-12).all(), name


def test_matrices_and_upstream_weights() -> None:
    x, u, a = values(3, 2), values(3, 4, seed=1), values(2, 4, seed=2)
    found = numerical_gradient(lambda x: x @ a, x, upstream=u)
    assert np.allclose(found.values, u @ a.T, rtol=1e-13)


def test_an_upstream_is_needed_for_several_outputs() -> None:
    with pytest.raises(GradcheckError, match=r"the output has shape \(3,\); give upstream=, random weights"):
        numerical_gradient(np.exp, np.zeros(3))


def test_the_point_is_not_changed_by_a_function_that_writes_into_it() -> None:
    x = np.array([1.0, 2.0])

    def f(x: np.ndarray) -> Any:
        x *= x
        return x.sum()

    assert np.allclose(numerical_gradient(f, x).values, [2.0, 4.0])
    assert x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("spoil", [lambda f: f, real_only])
@pytest.mark.parametrize(
    ("f", "at", "left", "right"),
    [
        (lambda x: np.maximum(x.real, 0), 0.0, 0.0, 1.0),
        (lambda x: np.abs(x), 0.0, -1.0, 1.0),
        (lambda x: np.abs(x - 3) * 5 + x, 3.0, -4.0, 6.0),
        (lambda x: np.maximum(1e-3 * x.real, 2e-3 * x.real), 0.0, 1e-3, 2e-3),
        (lambda x: np.maximum(x.real, 100.0) ** 2, 100.0, 0.0, 200.0),
    ],
)
def test_a_kink_is_called_a_kink(spoil: Any, f: Any, at: float, left: float, right: float) -> None:
    found = numerical_gradient(spoil(f), np.array(at))
    assert len(found.kinks) == 1
    assert np.isclose(found.kinks[0].left, left, rtol=1e-3, atol=1e-6)
    assert np.isclose(found.kinks[0].right, right, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("at", [1e-5, -1e-5, 1e-3, 1.0])
def test_near_a_kink_the_slope_of_the_right_side_counts(at: float) -> None:
    found = numerical_gradient(lambda x: np.where(x.real > 0, 3 * x, 0.5 * x), np.array(at))
    assert not found.kinks
    assert np.isclose(found.values, 3.0 if at > 0 else 0.5, rtol=1e-12)


def test_a_wrong_value_from_the_complex_step_is_not_believed() -> None:
    for f in (
        lambda x: np.abs(x),  # drops the imaginary part of a real point
        lambda x: (x * np.conj(x)).real,
        lambda x: np.conj(x) ** 2,
        lambda x: x * np.real(x),  # drops half of it
        lambda x: np.array(complex(x).real) ** 2,
    ):
        x = np.array(1.7)
        want = (f(x + 1e-6) - f(x - 1e-6)) / 2e-6
        assert np.isclose(numerical_gradient(f, x).values, np.real(want), rtol=1e-7)


# --- wrong gradients must be caught ---------------------------------------------------------------------------------


def op_with(vjp: Callable[..., Any]) -> mg.Op:
    @mg.op
    def planted(x: np.ndarray) -> np.ndarray:
        return x**3 + np.sin(x)

    planted.defvjp(vjp)
    return planted


def right(g: Any, out: Any, x: Any) -> Any:
    return g * (3 * x**2 + x.cos())


def one_element(size: float) -> Callable[..., Any]:
    def vjp(g: Any, out: Any, x: Any) -> Any:
        scale = np.ones(x.shape)
        scale[1, 2] += size
        return right(g, out, x) * mg.tensor(scale)

    return vjp


FIRST_ORDER = {
    "zero": lambda g, out, x: g * 0,
    "negative": lambda g, out, x: -right(g, out, x),
    "double": lambda g, out, x: 2 * right(g, out, x),
    "a term dropped": lambda g, out, x: g * 3 * x**2,
    "upstream forgotten": lambda g, out, x: 3 * x**2 + x.cos(),
    "upstream squared": lambda g, out, x: g * right(g, out, x),
    "transposed": lambda g, out, x: right(g.t(), out, x.t()).reshape(x.shape),
    "one element, 1e-3": one_element(1e-3),
    "one element, 1e-4": one_element(1e-4),
    "one element, -1e-3": one_element(-1e-3),
    "nan in one element": one_element(np.nan),
    "inf in one element": one_element(np.inf),
    "1e-4 everywhere": lambda g, out, x: right(g, out, x) * (1 + 1e-4),
    "a constant added": lambda g, out, x: right(g, out, x) + 1e-4,
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_wrong_vjp_is_caught(name: str) -> None:
    x = double(3, 4)
    assert mg.gradcheck(op_with(right), x)
    with pytest.raises(GradcheckError, match=r"gradcheck: input 0\[.*analytic .* numerical"):
        mg.gradcheck(op_with(FIRST_ORDER[name]), x)
    assert mg.gradcheck(op_with(FIRST_ORDER[name]), x, raise_exception=False) is False


def test_the_worst_element_is_named_with_both_values() -> None:
    x = double(3, 4)
    with pytest.raises(GradcheckError) as caught:
        mg.gradcheck(op_with(one_element(0.5)), x)
    text = str(caught.value)
    assert "input 0[1, 2]" in text
    assert "(1 of 12 differ)" in text


@pytest.mark.parametrize(
    "second",
    [
        lambda g, x: (g * (3 * x**2 + x.cos())).detach() + 0 * g,  # cuts the graph
        lambda g, x: g * (3 * x**2 + x.cos()).detach(),  # by the input only
        lambda g, x: g.detach() * (3 * x**2 + x.cos()),  # by the upstream only
    ],
)
def test_a_vjp_that_is_right_but_not_differentiable_is_caught_at_second_order(second: Callable[..., Any]) -> None:
    x = double(2, 3)
    planted = op_with(lambda g, out, x: second(g, x))
    assert mg.gradcheck(planted, x)
    with pytest.raises(GradcheckError):
        mg.gradgradcheck(planted, x)
    assert mg.gradgradcheck(planted, x, raise_exception=False) is False
    assert mg.gradgradcheck(op_with(right), x)


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0, 1 + 1e-3])
def test_a_wrong_second_derivative_is_caught(factor: float) -> None:
    @mg.op
    def slope(x: np.ndarray) -> np.ndarray:
        return 3 * x**2 + np.cos(x)

    slope.defvjp(lambda g, out, x: g * (6 * x - x.sin()) * factor)
    planted = op_with(lambda g, out, x: g * slope(x))
    x = double(2, 3)
    assert mg.gradcheck(planted, x)
    with pytest.raises(GradcheckError):
        mg.gradgradcheck(planted, x)


# --- batch norm, the classic ----------------------------------------------------------------------------------------


def forward(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=0)
    return gamma * centred / np.sqrt((centred * centred).mean(axis=0) + 1e-5) + beta


def batch_norm(backward: Callable[..., Any]) -> mg.Op:
    planted = mg.op(forward)
    planted.defvjp(joint=backward)
    return planted


def terms(g: Any, x: Any, gamma: Any, freedom: int) -> tuple[Any, Any, Any, Any]:
    """The direct term, the term through the mean, the term through the variance, and x_hat."""
    n = x.shape[0]
    centred = x - x.mean(0)
    inv_std = 1 / ((centred * centred).mean(0) + 1e-5).sqrt()
    x_hat = centred * inv_std
    scaled = g * gamma * inv_std
    return scaled, -scaled.sum(0) / n, -x_hat * (scaled * x_hat).sum(0) / (n - freedom), x_hat


def backward(direct: float = 1, mean: float = 1, var: float = 1, freedom: int = 0, ones: bool = False) -> Any:
    def joint(g: Any, out: Any, x: Any, gamma: Any, beta: Any) -> tuple[Any, Any, Any]:
        if ones:
            g = mg.ones_like(g)
        a, b, c, x_hat = terms(g, x, gamma, freedom)
        return direct * a + mean * b + var * c, (g * x_hat).sum(0), g.sum(0)

    return joint


MISTAKES = {
    "zeros": {"direct": 0, "mean": 0, "var": 0},
    "no direct term": {"direct": 0},
    "no mean term": {"mean": 0},
    "no variance term": {"var": 0},
    "sign of the direct term": {"direct": -1},
    "sign of the mean term": {"mean": -1},
    "sign of the variance term": {"var": -1},
    "all signs": {"direct": -1, "mean": -1, "var": -1},
    "variance by N-1": {"freedom": 1},
    "mean term doubled": {"mean": 2},
    "variance term halved": {"var": 0.5},
    "upstream of ones": {"ones": True},
}


def norm_inputs() -> list[mg.Tensor]:
    return [double(7, 3), double(3, seed=1), double(3, seed=2)]


def test_the_right_batch_norm_passes() -> None:
    assert mg.gradcheck(batch_norm(backward()), norm_inputs())
    assert mg.gradgradcheck(batch_norm(backward()), norm_inputs())


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("which", ["all inputs", "x only"])
def test_a_wrong_batch_norm_is_caught(name: str, which: str) -> None:
    inputs = norm_inputs()
    if which == "x only":
        inputs = [inputs[0], inputs[1].detach(), inputs[2].detach()]
    with pytest.raises(GradcheckError, match=r"input 0\["):
        mg.gradcheck(batch_norm(backward(**MISTAKES[name])), inputs)


@pytest.mark.parametrize("name", ["zeros", "no mean term", "no variance term", "variance by N-1"])
def test_a_batch_norm_hidden_in_a_sum_of_squares_is_caught(name: str) -> None:
    planted = batch_norm(backward(**MISTAKES[name]))
    with pytest.raises(GradcheckError):
        mg.gradcheck(lambda *a: (planted(*a) ** 3).sum(), norm_inputs())


@pytest.mark.parametrize("name", ["zeros", "no mean term", "upstream of ones", "sign of the variance term"])
def test_where_a_sum_of_outputs_would_be_blind_the_check_is_refused_not_passed(name: str) -> None:
    # The sum of normalised outputs is constant: with an upstream of ones every one of these mistakes looks right.
    planted = batch_norm(backward(**MISTAKES[name]))
    x, gamma, beta = norm_inputs()
    with pytest.raises(GradcheckError):
        mg.gradcheck(lambda x: planted(x, gamma.detach(), beta.detach()).sum(), x)


def test_wrong_statistics_in_the_double_backward_are_caught() -> None:
    def joint(g: Any, out: Any, x: Any, gamma: Any, beta: Any) -> tuple[Any, Any, Any]:
        a, b, c, x_hat = terms(g, x.detach(), gamma, 0)  # right in value, but x is a constant to the second derivative
        return a + b + c, (g * x_hat).sum(0), g.sum(0)

    assert mg.gradcheck(batch_norm(joint), norm_inputs())
    with pytest.raises(GradcheckError):
        mg.gradgradcheck(batch_norm(joint), norm_inputs())


# --- vacuous checks are refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "inputs", "message"),
    [
        (lambda x: x * 2, lambda: mg.ones(2), "refused, no input has requires_grad=True"),
        (lambda x: x * 2, list, "refused, no input has requires_grad=True"),
        (lambda x: x.detach() * 0, lambda: double(2), "refused, no output depends|no floating elements"),
        (lambda x: x.sum() * 0 + 1, lambda: double(2), "refused, both gradients of input 0 vanish"),
        (lambda x: x.softmax(0).sum(), lambda: double(4), "refused, both gradients of input 0 vanish"),
        (lambda x: x * 2, lambda: mg.ones(0, 3, requires_grad=True), "refused, .*no floating elements"),
        (lambda x: x.sum(), lambda: mg.ones(0, 3, requires_grad=True), "refused, .*no (floating )?elements"),
        (lambda x: x > 0, lambda: double(2), "refused, .*no floating elements"),
        (lambda x: (), lambda: double(2), "refused, .*no floating elements"),
        (lambda x, y: x * 2, lambda: [double(2), double(3)], "refused, both gradients of input 1 vanish"),
    ],
)
@pytest.mark.parametrize("check", [mg.gradcheck, mg.gradgradcheck])
def test_a_check_that_could_not_fail_is_refused(check: Any, function: Any, inputs: Any, message: str) -> None:
    if check is mg.gradgradcheck and "vanish" in message:
        return  # a first gradient that does not depend on an input is a fact; see the next test
    with pytest.raises(VacuousCheckError, match=message):
        check(function, inputs())


@pytest.mark.parametrize("check", [mg.gradcheck, mg.gradgradcheck])
def test_a_forgotten_dependence_is_caught(check: Any) -> None:
    with pytest.raises(GradcheckError, match=r"analytic 0  numerical|refused"):
        check(lambda x: x.detach() * 2, double(2))
    with pytest.raises(GradcheckError, match=r"analytic"):
        check(lambda x: x * x.detach(), double(2))


def test_gradgradcheck_accepts_linear_functions_because_the_upstream_is_checked() -> None:
    assert mg.gradgradcheck(lambda x: x * 2, double(3))
    wrong = mg.op(lambda x: x * 2)
    wrong.defvjp(lambda g, out, x: g.detach() * 2)
    assert mg.gradcheck(wrong, double(3))
    with pytest.raises(GradcheckError):
        mg.gradgradcheck(wrong, double(3))


def test_points_outside_the_domain_are_refused() -> None:
    for function in (lambda x: x.log(), lambda x: x.sqrt(), lambda x: 1 / (x + 1)):
        with pytest.raises(GradcheckError, match=r"refused, the function is not finite around input 0\["):
            mg.gradcheck(function, mg.tensor([1.0, -1.0], requires_grad=True))


def test_kinks_are_refused_by_name() -> None:
    for function in (mg.relu, mg.abs, lambda x: mg.maximum(x, 0.0), lambda x: x.clamp(0.0, 5.0)):
        with pytest.raises(GradcheckError, match=r"input 0\[1\] lies on a kink: slope .* from the left, .* from the"):
            mg.gradcheck(function, mg.tensor([1.0, 0.0, 2.0], requires_grad=True))
        assert mg.gradcheck(function, mg.tensor([1.0, 0.01, 2.0], requires_grad=True))


def test_a_numerical_gradient_that_is_not_known_well_enough_is_refused() -> None:
    vague = NumericalGradient(np.array([1.0, 2.0]), np.array([0.0, 0.5]), ())
    with pytest.raises(GradcheckError, match=r"refused, .*x\[1\] is only known to be 2 \+- 0.5"):
        compare_gradients("x", np.array([1.0, 4.0]), vague)


def test_noise_is_not_taken_for_a_gradient() -> None:
    rng = np.random.default_rng(RNG_SEED)

    def noisy(x: mg.Tensor) -> mg.Tensor:
        return x * mg.tensor(1 + 1e-3 * rng.standard_normal(x.shape))

    with pytest.raises(GradcheckError):
        mg.gradcheck(noisy, double(3))


# --- traps of the complex step, through tensors -----------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.abs() ** 3,
        lambda x: mg.maximum(x, x * 2) * x,
        lambda x: x.relu() ** 2,
        lambda x: x.max(0).values,
        lambda x: x.logsumexp(0),
        lambda x: x.softmax(0) ** 2,
        lambda x: (x * x.sign()).sqrt(),
        lambda x: x.clamp(-0.5, 0.5) * x,
        lambda x: x.var(0),
        lambda x: mg.where(x > 0, x**2, -x),
        lambda x: x.sigmoid(),
    ],
)
def test_functions_whose_complex_continuation_differs_pass_and_their_mistakes_do_not(function: Any) -> None:
    x = double(5)
    assert mg.gradcheck(function, x)
    doubled = mg.op(lambda x: x)
    doubled.defvjp(lambda g, out, x: 1.001 * g)
    with pytest.raises(GradcheckError):
        mg.gradcheck(lambda x: function(doubled(x)), x)


def test_functions_that_pass_through_numpy_fall_back_to_differences() -> None:
    @mg.op
    def forced(x: np.ndarray) -> np.ndarray:
        return np.tanh(np.asarray(x, np.float64))

    forced.defvjp(lambda g, out, x: g * (1 - out * out))
    assert mg.gradcheck(forced, double(4))
    wrong = mg.op(forced.forward)
    wrong.defvjp(lambda g, out, x: g * (1 - out))
    with pytest.raises(GradcheckError):
        mg.gradcheck(wrong, double(4))


# --- manners ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [mg.gradcheck, mg.gradgradcheck])
def test_the_users_tensors_are_left_alone(check: Any) -> None:
    x, y = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor([3.0, 4.0])
    x.grad = mg.tensor([9.0, 9.0])
    assert check(lambda x, y: x * x * y, [x, y])
    assert (x.tolist(), y.tolist(), x.grad.tolist()) == ([1.0, 2.0], [3.0, 4.0], [9.0, 9.0])
    assert (x.dtype, x.requires_grad, y.requires_grad) == (mg.float32, True, False)


def test_float32_inputs_are_checked_in_float64() -> None:
    seen: set[Any] = set()

    def function(x: mg.Tensor) -> mg.Tensor:
        seen.add(x.dtype)
        return x.exp()

    assert mg.gradcheck(function, mg.tensor([0.3, 0.7], requires_grad=True))
    assert mg.float32 not in seen


def test_arguments_that_are_not_tensors_are_passed_on() -> None:
    assert mg.gradcheck(lambda x, n: x**n, [double(3), 3])


def test_tuples_of_outputs_and_integer_outputs() -> None:
    assert mg.gradcheck(lambda x: (x.exp(), x.argmax(), x * 2), double(3))
    assert mg.gradcheck(lambda x: x.max(0), double(3))
    wrong = mg.op(lambda x: x * 1)
    wrong.defvjp(lambda g, out, x: g * 1.5)
    with pytest.raises(GradcheckError):
        mg.gradcheck(lambda x: (x.exp(), wrong(x)), double(3))


def test_gradcheck_works_under_no_grad_and_is_an_assertion() -> None:
    with mg.no_grad():
        assert mg.gradcheck(lambda x: x.exp(), double(2))
        assert mg.gradgradcheck(lambda x: x.exp(), double(2))
    assert issubclass(GradcheckError, AssertionError)


def test_both_checks_are_repeatable() -> None:
    def message(seed: int) -> str:
        with pytest.raises(GradcheckError) as caught:
            mg.gradcheck(op_with(FIRST_ORDER["double"]), double(3, 4), seed=seed)
        return str(caught.value)

    assert message(0) == message(0)
    assert message(0) != message(1)
