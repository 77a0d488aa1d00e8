"""Pooling, and its inverse for maxima."""

from __future__ import annotations

__all__: list[str] = []
