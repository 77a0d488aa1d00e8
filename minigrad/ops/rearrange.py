"""Ops that repeat, cut, join and mirror: what `shape` does not do with views alone."""

from __future__ import annotations

__all__: list[str] = []
