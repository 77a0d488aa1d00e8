"""One class for each thing a user can do wrong.

Every error of ours says what was wrong, what we got, and what to write instead. Each class also derives
from the built-in exceptions that PyTorch raises for the same mistakes, so `except RuntimeError` and
`except IndexError` written for PyTorch keep working.
"""

from __future__ import annotations


class MinigradError(Exception):
    """Base class of all errors that minigrad raises on purpose."""


class ShapeError(MinigradError, RuntimeError, ValueError):
    """Shapes that do not fit together, or a shape that cannot be produced."""


class DtypeError(MinigradError, RuntimeError, TypeError):
    """A dtype that the operation, or gradient recording, cannot work with."""


class DimError(MinigradError, IndexError):
    """A dimension that the tensor does not have, or one that is named twice."""


class ArgumentError(MinigradError, ValueError):
    """A value outside what an argument allows."""


class LinAlgError(ArgumentError, RuntimeError):
    """A matrix that has no such result (it is singular, not positive definite), or LAPACK found none."""


class UnknownNameError(ArgumentError, AttributeError, KeyError):
    """A parameter, buffer or module that does not exist."""

    __str__ = Exception.__str__  # that of KeyError would quote the message


class ArgumentTypeError(MinigradError, TypeError):
    """An argument of the wrong Python type."""


class NumpyFunctionError(MinigradError, TypeError):
    """A NumPy function was called on a Tensor: the tape would not have seen it."""


class ItemAssignmentError(MinigradError, TypeError):
    """`x[i] = v` or `del x[i]`: the tape records values, so they are not assigned into."""


class InPlaceError(MinigradError, RuntimeError):
    """A tensor was changed in place where the tape would lose track of it."""


class DeviceError(MinigradError, RuntimeError, TypeError):
    """An op without a CUDA kernel, tensors on two devices, or no GPU."""


class MutationError(MinigradError, RuntimeError):
    """A value that a recorded op still needs was changed between the forward and the backward pass."""


class FreedGraphError(MinigradError, RuntimeError):
    """Backward through a graph whose records were already given back."""


class NoGraphError(MinigradError, RuntimeError):
    """A gradient of something that was not recorded, or with respect to something it does not depend on."""


class NotDifferentiableError(MinigradError, RuntimeError):
    """A gradient through an op that has none."""


class VjpError(MinigradError, RuntimeError):
    """A vjp returned something that cannot be the gradient of its input: a wrong shape, type or number of them."""


class GradcheckError(MinigradError, AssertionError):
    """A gradient check failed, or was refused."""


class VacuousCheckError(GradcheckError):
    """A gradient check was refused because it could not have failed: nothing was compared, or zero with zero."""
