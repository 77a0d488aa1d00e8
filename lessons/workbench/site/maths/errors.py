"""What is raised for a formula that cannot be shown as it is meant."""

from __future__ import annotations


class MathsError(ValueError):
    """A formula that would come out wrong; the message says what in it, and what to write instead where we know."""
