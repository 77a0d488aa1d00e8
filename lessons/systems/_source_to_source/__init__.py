"""A source transformer for reverse-mode differentiation: Python in, the Python of its gradient out.

In reading order: `reading` (what is accepted), `jumps` (one return), `ssa` (each name once; `ir` says what that looks
like), `pullbacks` (the table), `adjoint` (the way back), `optimise`, `rational` (algebra), `emit` (source text again),
`program` (all of it in a row, and Numba). `random_programs` writes programs to test it with.
"""

from lessons.systems._source_to_source.errors import SourceNotFound, UnsupportedSyntax
from lessons.systems._source_to_source.program import Derivative, diff_prog, differentiate, gradient
from lessons.systems._source_to_source.rational import simplified

__all__ = [
    "Derivative",
    "SourceNotFound",
    "UnsupportedSyntax",
    "diff_prog",
    "differentiate",
    "gradient",
    "simplified",
]
