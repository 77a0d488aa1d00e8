"""Everything about images under one roof: their size, the points where they are read, and their channels."""

from __future__ import annotations

from .resizing import interpolate, upsample
from .sampling import affine_grid, grid_sample
from .shuffling import channel_shuffle, pixel_shuffle, pixel_unshuffle

__all__ = [
    "affine_grid", "channel_shuffle", "grid_sample", "interpolate", "pixel_shuffle", "pixel_unshuffle", "upsample",
]  # fmt: skip
