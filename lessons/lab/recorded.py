"""What PyTorch said about a lesson's fixed data, recorded for machines without PyTorch."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lessons.anatomy import Lesson


def recorded_by_torch(lesson: Lesson) -> dict[str, np.ndarray]:
    """Load lessons/SUBJECT/NAME_torch.npz, which tests/reference/record_NAME_lesson.py has written."""
    path = resources.files(f"lessons.{lesson.subject}") / f"{lesson.name}_torch.npz"
    with path.open("rb") as file:
        return dict(np.load(file, allow_pickle=False))
