"""Many small images as one, for figures that show digits and reconstructions."""

from __future__ import annotations

import numpy as np


def mosaic(images: np.ndarray, columns: int, gap: int = 2, background: float = 1.0) -> np.ndarray:
    """Lay images out in rows of `columns`, left to right and top to bottom, with a gap between them.

    Args:
        images: shape (N, H, W) or (N, H, W, 3).
        columns: images in a row; the last row may stay incomplete.
        gap: pixels between neighbours.
        background: the value of the gaps.

    Returns:
        One image, of shape (rows * (H + gap) - gap, columns * (W + gap) - gap) and, with colours, 3.
    """
    n, height, width, *colours = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap), columns * (width + gap), *colours), background, dtype=images.dtype)
    for k, image in enumerate(images):
        top, left = (k // columns) * (height + gap), (k % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet[: rows * (height + gap) - gap, : columns * (width + gap) - gap]
