"""Special functions: error function, gamma functions, x log y and their like."""

from __future__ import annotations

__all__: list[str] = []
