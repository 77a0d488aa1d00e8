"""Inverses, decompositions and what follows from them."""

from __future__ import annotations

__all__: list[str] = []
