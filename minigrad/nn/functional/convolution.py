"""Convolutions and their adjoints."""

from __future__ import annotations

__all__: list[str] = []
