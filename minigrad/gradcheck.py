"""Numerical gradients, and checks of analytic ones that can fail.

The truth is computed in float64 from function values alone, one element at a time, two ways. The complex step,
Im f(x + ih) / h, has no cancellation and is exact to rounding where f is analytic. Central differences at shrinking
steps, extrapolated to step zero (Richardson; Ridders' table keeps the entry with the smallest error estimate), need
only that f is smooth. The complex step is believed only where a central difference confirms it, because functions
such as abs quietly drop the imaginary part.

Sources: W. Squire and G. Trapp, "Using Complex Variables to Estimate Derivatives of Real Functions" (1998),
https://doi.org/10.1137/S003614459631241X; C. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)" (1982),
https://doi.org/10.1016/S0141-1195(82)80057-0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dtypes import Array
from .errors import GradcheckError, VacuousCheckError
from .recording import enable_grad, no_grad
from .tape import grad
from .tensor import Tensor, from_array

# Steps relative to max(1, |x|): powers of two, so that x + h is exact for moderate x.
_STEPS = tuple(2.0**-k for k in range(6, 26, 2))
_SMALL_STEPS = tuple(2.0**-k for k in (16, 20, 24, 28))  # where x is small, or the function steep, only these are small
_COMPLEX_STEP = 1e-30
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Kink:
    """A place where the slopes from the left and from the right differ: there is no derivative to compare with."""

    index: tuple[int, ...]
    left: float
    right: float


@dataclass(frozen=True)
class NumericalGradient:
    """The gradient of sum(upstream * func(x)): values and error estimates, of the shape of x, and kinks met."""

    values: Array
    errors: Array
    kinks: tuple[Kink, ...]


def numerical_gradient(func: Callable[[Array], Any], x: Array, upstream: Any = None) -> NumericalGradient:
    """The gradient of `sum(upstream * func(x))` with respect to x, from values of `func` alone.

    Args:
        func: from an array of the shape of x (float64, or complex128 for the complex step) to an array. It may refuse
            complex input with any exception.
        x: where to differentiate, of any shape; copied to float64.
        upstream: weights of the shape of the output; only a scalar output may leave it out. Random weights are the
            right choice: with ones, the gradient of a normalised output is zero whatever the mistake.

    Raises:
        GradcheckError: if the output has several elements and there is no `upstream`.
    """
    point = np.array(x, np.float64)
    value = np.asarray(func(point.copy()))
    if upstream is None:
        if value.size != 1:
            raise GradcheckError(
                f"numerical_gradient: the output has shape {value.shape}; give upstream=, random weights of that shape"
            )
        upstream = np.ones(value.shape)
    weights = np.asarray(upstream, np.float64)

    def scalar(at: Array) -> tuple[Any, float]:
        """The weighted sum at another point minus that at x, and the rounding noise in it."""
        with np.errstate(all="ignore"):
            # Differences to the value at x: elements that do not change add nothing, and no noise.
            changes = (np.asarray(func(at)) - value) * weights
            return changes.sum(), _EPS * float(np.abs(value * weights)[changes != 0].sum())

    values, errors, kinks = np.zeros(point.shape), np.zeros(point.shape), []
    for index in np.ndindex(point.shape):
        values[index], errors[index], kink = _derivative(scalar, point, index)
        if kink is not None:
            kinks.append(kink)
    return NumericalGradient(values, errors, tuple(kinks))


def _derivative(
    scalar: Callable[[Array], tuple[Any, float]], point: Array, index: tuple[int, ...]
) -> tuple[float, float, Kink | None]:
    """One partial derivative, its error estimate, and a kink if there is one at the point."""
    scale, noise = max(1.0, abs(float(point[index]))), 0.0

    def at(offset: float) -> float:
        nonlocal noise
        moved = point.copy()
        moved[index] += offset
        change, noise_here = scalar(moved)
        noise = max(noise, noise_here)
        return float(change)

    h = _SMALL_STEPS[0] * scale
    slopes = [(-at(-s) / s, at(s) / s) for s in (h, h / 2, h / 64)]  # from the left, from the right
    jumps = [abs(right - left) for left, right in slopes]
    size = max(map(abs, slopes[1]))
    # Curvature shrinks with the step, a kink does not; rounding noise grows.
    if jumps[1] > 1e-6 * size + 1e-9 + 64 * noise / h and jumps[2] > 0.75 * jumps[1] > 0.75 * 0.75 * jumps[0]:
        return sum(slopes[2]) / 2, jumps[2], Kink(index, *slopes[2])
    step = _complex_step(scalar, point, index)
    if step is not None:
        for small in _SMALL_STEPS:
            left, right = -at(-small * scale) / (small * scale), at(small * scale) / (small * scale)
            if abs(step - (left + right) / 2) <= 1e-6 * max(abs(left), abs(right), abs(step)) + 1e-9:
                return step, 4 * _EPS * abs(step), None
    return (*_extrapolated(at, scale, noise), None)


def _complex_step(scalar: Callable[[Array], tuple[Any, float]], point: Array, index: tuple[int, ...]) -> float | None:
    moved = point.astype(np.complex128)
    moved[index] += 1j * _COMPLEX_STEP
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)  # a discarded imaginary part is a refusal too
        try:
            value = complex(scalar(moved)[0]).imag / _COMPLEX_STEP
        except Exception:
            return None  # not a function of complex numbers; the differences below decide
    return value if np.isfinite(value) else None


def _extrapolated(at: Callable[[float], float], scale: float, noise: float) -> tuple[float, float]:
    """Central differences extrapolated to step zero, and the error estimate of the best entry of Ridders' table."""
    best, error = np.nan, np.inf
    previous: list[float] = []
    for step in _STEPS:
        h = step * scale
        row = [(at(h) - at(-h)) / (2 * h)]
        for j, above in enumerate(previous):
            factor = 16.0 ** (j + 1)  # steps shrink by 4, and the error series has even powers only
            row.append((factor * row[j] - above) / (factor - 1))
            estimate = max(abs(row[j + 1] - row[j]), abs(row[j + 1] - above), noise / h)
            if estimate < error:
                best, error = row[j + 1], estimate
        previous = row
    # Steps that are all too long, across a singularity, can agree on a wrong value; the shortest one tells.
    finest = previous[0]
    if abs(best - finest) > 1e-4 * abs(finest) + 64 * noise / h:
        return finest, abs(best - finest)
    return best, error


# --- checking minigrad functions --------------------------------------------------------------------------------


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    atol: float = 1e-7,
    rtol: float = 1e-5,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the tape's gradients of `func` agree with numerical ones (`torch.autograd.gradcheck`, but stricter).

    The inputs are copied to float64; the upstream gradient is random. Every element of every input that requires
    grad is checked: |analytic - numerical| <= atol + rtol * |numerical| + the error estimate of the numerical one.

    Args:
        func: from tensors to a tensor or a tuple of tensors; floating outputs are checked.
        inputs: the arguments; those with requires_grad=True are checked.
        raise_exception: raise on failure (the default), or return False.
        seed: of the random upstream gradient.

    Raises:
        GradcheckError: if they disagree, naming the worst element; at a kink, where there is no derivative.
        VacuousCheckError: if the check could not have failed: nothing requires grad, no elements, or both gradients
            are zero.
    """
    try:
        _gradcheck(func, inputs, atol, rtol, seed)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _gradcheck(func: Callable[..., Any], inputs: Tensor | Sequence[Any], atol: float, rtol: float, seed: int) -> None:
    given: tuple[Any, ...] = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise VacuousCheckError("gradcheck: refused, no input has requires_grad=True, so nothing would be checked")
    arrays = {i: given[i]._array.astype(np.float64) for i in checked}
    rng = np.random.default_rng(seed)
    leaves = {i: from_array(a.copy()).requires_grad_() for i, a in arrays.items()}
    with enable_grad():
        outputs = _floating(func(*[leaves.get(i, x) for i, x in enumerate(given)]))
    depends = any(o.requires_grad for o in outputs)
    upstreams = [rng.standard_normal(o.shape) for o in outputs]
    recorded = [
        (o, from_array(np.asarray(u, o.dtype))) for o, u in zip(outputs, upstreams, strict=True) if o.requires_grad
    ]
    analytic: tuple[Tensor | None, ...] = (None,) * len(checked)
    if depends:
        analytic = grad([o for o, _ in recorded], list(leaves.values()), [u for _, u in recorded], allow_unused=True)
    for i, g in zip(checked, analytic, strict=True):

        def flat(array: Array, i: int = i) -> Array:
            with no_grad():
                results = _floating(func(*[
                    from_array(array) if j == i else from_array(arrays[j].copy()) if j in arrays else x
                    for j, x in enumerate(given)
                ]))  # fmt: skip
            return np.concatenate([o._array.reshape(-1) for o in results])

        upstream = np.concatenate([u.reshape(-1) for u in upstreams])
        numerical = numerical_gradient(flat, arrays[i], upstream)
        if not depends and np.abs(numerical.values).max(initial=0) <= atol:
            continue  # the tape saw no dependence, rightly; with a detach() somewhere, it would be wrong
        compare_gradients(
            f"input {i}",
            np.zeros(arrays[i].shape) if g is None else g.detach().numpy(),
            numerical,
            atol,
            rtol,
        )
    if not depends:
        raise VacuousCheckError("gradcheck: refused, no output depends on an input that requires grad")


def _floating(result: Any) -> list[Tensor]:
    results: Iterable[Any] = (result,) if isinstance(result, Tensor) else result
    outputs = [o for o in results if isinstance(o, Tensor) and o.dtype.kind in "fc"]
    if not outputs or not any(o.numel() for o in outputs):
        raise VacuousCheckError("gradcheck: refused, the function returned no floating elements to check")
    return outputs


def compare_gradients(
    name: str, analytic: Any, numerical: NumericalGradient, atol: float = 1e-7, rtol: float = 1e-5
) -> None:
    """Raise GradcheckError unless `analytic` equals the numerical gradient; the message names the worst element."""
    analytic = np.asarray(analytic)
    want = numerical.values
    if analytic.shape != want.shape:
        raise GradcheckError(f"gradcheck: the gradient of {name} has shape {analytic.shape}, expected {want.shape}")
    if not want.size:
        raise VacuousCheckError(f"gradcheck: refused, {name} has no elements, so nothing would be checked")
    if numerical.kinks:
        kink = numerical.kinks[0]
        raise GradcheckError(
            f"gradcheck: {name}{list(kink.index)} lies on a kink: slope {kink.left:.6g} from the left, "
            f"{kink.right:.6g} from the right; there is no derivative to compare with, so move the input"
        )
    if not np.isfinite(want).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(want))[0])
        raise GradcheckError(
            f"gradcheck: refused, the function is not finite around {name}{list(place)}; choose another input"
        )
    if max(np.abs(analytic).max(), np.abs(want).max()) <= atol:
        raise VacuousCheckError(
            f"gradcheck: refused, both gradients of {name} vanish (below {atol:g}), so a wrong one would pass; "
            "choose other inputs, or another output of the function"
        )
    uncertain = 10 * numerical.errors > atol + 0.01 * np.abs(want).max()
    if uncertain.any():
        place = tuple(int(i) for i in np.argwhere(uncertain)[0])
        raise GradcheckError(
            f"gradcheck: refused, the numerical gradient of {name}{list(place)} is only known to be {want[place]:.3g} "
            f"+- {numerical.errors[place]:.2g}, so a wrong one could pass; choose another input"
        )
    difference = np.abs(analytic - want)
    excess = difference - (atol + rtol * np.abs(want) + 10 * numerical.errors)
    wrong = ~(excess <= 0)  # nan is wrong too
    if wrong.any():
        worst = tuple(
            int(i)
            for i in np.unravel_index(
                np.argmax(np.where(np.isnan(difference), np.inf, np.where(wrong, difference, -1))), want.shape
            )
        )
        raise GradcheckError(
            f"gradcheck: {name}{list(worst) if worst else ''}  analytic {analytic[worst]:.9g}  "
            f"numerical {want[worst]:.9g}  ({int(wrong.sum())} of {want.size} differ)"
        )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    atol: float = 1e-7,
    rtol: float = 1e-5,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Whether second gradients agree with numerical ones: `gradcheck` of the gradient, by inputs and by upstream.

    Raises:
        GradcheckError: as `gradcheck`. Functions that are linear in all their inputs still pass or fail honestly,
            because the gradient depends on the random upstream, which is checked as an input too.
    """
    given: tuple[Any, ...] = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    try:
        if not checked:
            raise VacuousCheckError(
                "gradgradcheck: refused, no input has requires_grad=True, so nothing would be checked"
            )
        doubled = [
            from_array(x.detach().numpy().astype(np.float64)).requires_grad_() if i in checked else x
            for i, x in enumerate(given)
        ]
        with enable_grad():
            outputs = _floating(func(*doubled))
        rng = np.random.default_rng(seed + 1)
        vectors = [from_array(rng.standard_normal(o.shape)).requires_grad_() for o in outputs]
        _gradgradcheck(func, doubled, checked, vectors, atol, rtol, seed)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _gradgradcheck(
    func: Callable[..., Any],
    given: list[Any],
    checked: list[int],
    vectors: list[Tensor],
    atol: float,
    rtol: float,
    seed: int,
) -> None:
    count = len(given)

    def first_gradient(*arguments: Any) -> tuple[Any, ...]:
        xs, vs = list(arguments[:count]), list(arguments[count:])
        with enable_grad():
            for i in checked:
                if not xs[i].requires_grad:  # a numerical evaluation, which has no graph of its own
                    xs[i] = xs[i].detach().requires_grad_()
            outputs = _floating(func(*xs))
            pairs = [(o, v) for o, v in zip(outputs, vs, strict=True) if o.requires_grad]
            found = grad(
                [o for o, _ in pairs],
                [xs[i] for i in checked],
                [v for _, v in pairs],
                create_graph=True,
                allow_unused=True,
            )
        return tuple(g for g in found if g is not None)

    # The gradient is linear in the upstream, so at least that check is never vacuous; a zero second gradient by an
    # input alone (a function linear in it) is a fact and not a refusal.
    refused = []
    everything = [*given, *vectors]
    for i in [*checked, *range(count, len(everything))]:
        arguments = [
            x if j == i or not isinstance(x, Tensor) or not x.requires_grad else x.detach()
            for j, x in enumerate(everything)
        ]
        try:
            _gradcheck(first_gradient, arguments, atol, rtol, seed)
        except VacuousCheckError as error:
            refused.append(error)
    if len(refused) == len(checked) + len(vectors):
        raise refused[0]


__all__ = [
    "Kink",
    "NumericalGradient",
    "compare_gradients",
    "gradcheck",
    "gradgradcheck",
    "numerical_gradient",
]
