"""What a diagnosis is asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import MinigradError


class DiagnoseError(MinigradError, ValueError):
    """The question is put wrongly (by the author of an exercise, not by the learner)."""


@dataclass(frozen=True)
class Term:
    """One summand of a result, by the name that the equation, the code and the messages use for it.

    Args:
        name: such as "var"; unique among the terms of a problem.
        equation: one line of plain text, such as "-gamma/(N s) * xh * sum(dy*xh)".
        through: the named intermediates that this part of the gradient flows through. A path belongs to the term with
            the most of its intermediates; () is everything that no other term claims.
        value: for a result that is not a gradient: from the dictionary of values to the term's array.
    """

    name: str
    equation: str = ""
    through: tuple[str, ...] = ()
    value: Callable[[dict[str, Any]], Any] | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a result.

    `status` is one of

    - "right": every result is what the tape computes;
    - "wrong term": terms carry a wrong factor, and `factors` says which;
    - "declared mistake": it is a mistake that the author has seen before, `mistake` by name;
    - "wrong forward": it is the exact gradient of another forward pass, in which a named value is scaled or an input is
      left out;
    - "wrong form": the numbers are right, but transposed, reversed, swapped or not summed up;
    - "cannot tell": none of these. `terms` is then empty, and `cause` says what was excluded.

    `terms` are the names of the wrong terms, `cause` is one sentence, `lines` the whole explanation as a text, and
    `results` the names of the wrong results.
    """

    status: str
    terms: tuple[str, ...] = ()
    cause: str = ""
    lines: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    factors: tuple[tuple[str, str], ...] = ()
    mistake: str | None = None
