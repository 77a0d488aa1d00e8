"""Writing into chosen places: scatter, index_add and their like."""

from __future__ import annotations

__all__: list[str] = []
