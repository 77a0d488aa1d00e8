"""Linear and bilinear maps."""

from __future__ import annotations

from ...ops import linear

__all__ = ["linear"]
