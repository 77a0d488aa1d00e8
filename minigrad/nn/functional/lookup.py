"""Rows of a table, by their numbers."""

from __future__ import annotations

from ...ops import one_hot

__all__ = ["one_hot"]
