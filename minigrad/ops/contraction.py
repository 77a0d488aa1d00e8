"""Sums of products over named or chosen dimensions: einsum, tensordot and their like."""

from __future__ import annotations

__all__: list[str] = []
