"""Padding in all modes."""

from __future__ import annotations

__all__: list[str] = []
