"""Pictures for the lesson on spatial transformers: digits and drawn signs, put on a canvas in random poses.

A *pose* is the theta by which an object was drawn: it takes a point of the canvas to the point of the object that is
shown there, both from -1 to 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F

SYMBOLS = ("right", "left", "bars", "bar")
SHAPES = ("ring", "triangle", "disc")
SIGN_NAMES = tuple(f"{shape}, {symbol}" for shape in SHAPES for symbol in SYMBOLS)
SIGN_SIZE = 32  # pixels of a template


class Pictures(NamedTuple):
    """Images (N, C, H, W), float32 from 0 to 1, their labels (N,), and the poses (N, 2, 3) of what they show."""

    images: np.ndarray
    labels: np.ndarray
    poses: np.ndarray


class Spread(NamedTuple):
    """How far poses are spread: an angle in degrees, a range of sizes, and a shift, as a share of half the canvas."""

    angle: float
    sizes: tuple[float, float]
    shift: float


def random_poses(rng: np.random.Generator, n: int, spread: Spread) -> np.ndarray:
    """Draw n poses (n, 2, 3): the object is turned, scaled to a share of the canvas, and shifted."""
    angle = np.deg2rad(rng.uniform(-spread.angle, spread.angle, n))
    size = rng.uniform(*spread.sizes, n)
    shift = rng.uniform(-spread.shift, spread.shift, (n, 2))
    cos, sin = np.cos(angle), np.sin(angle)
    turn_back = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
    linear = turn_back / size[:, None, None]
    return np.concatenate([linear, -linear @ shift[:, :, None]], axis=2)


def show(images: np.ndarray, theta: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sample images (N, C, H, W) through affine maps theta (N, 2, 3), by minigrad's kernels, in float32."""
    size = (len(images), images.shape[1], height, width)
    grid = F.affine_grid(mg.tensor(theta.astype(np.float32)), size, align_corners=True)
    shown: np.ndarray = F.grid_sample(mg.tensor(images.astype(np.float32)), grid, align_corners=True).numpy()
    return shown


def placed_digits(
    rng: np.random.Generator, images: np.ndarray, labels: np.ndarray, canvas: int, spread: Spread, pieces: int = 0
) -> Pictures:
    """Put each digit (N, 1, 28, 28) on a canvas of its own, in a random pose, among pieces of other digits."""
    poses = random_poses(rng, len(images), spread)
    placed = show(images, poses, canvas, canvas).copy()
    side = np.arange(6)
    number = np.arange(len(images))[:, None, None]
    for _ in range(pieces):
        other = rng.integers(0, len(images), len(images))[:, None, None]
        top, left = rng.integers(6, 16, (2, len(images), 1, 1))
        piece = images[other, 0, top + side[:, None], left + side]
        top, left = rng.integers(0, canvas - 6, (2, len(images), 1, 1))
        place = (number, 0, top + side[:, None], left + side)
        placed[place] = np.maximum(placed[place], piece)
    return Pictures(placed, labels, poses)


def sign_templates() -> np.ndarray:
    """Draw the twelve signs, shape (12, 4, 32, 32): red, green and blue, each times the fourth, the opacity."""
    fine = 4  # drawn four times as fine and averaged, for smooth edges
    steps = (np.arange(SIGN_SIZE * fine) + 0.5) / (SIGN_SIZE * fine) * 2 - 1
    y, x = np.meshgrid(steps, steps, indexing="ij")
    radius = np.hypot(x, y)
    frames = {  # the whole sign, and what is inside its border
        "ring": (radius < 0.95, radius < 0.68, 0.0),
        "triangle": ((y < 0.8) & (y > 1.75 * np.abs(x) - 0.95), (y < 0.62) & (y > 1.75 * np.abs(x) - 0.58), 0.18),
        "disc": (radius < 0.95, radius < 0.95, 0.0),
    }
    drawn = []
    for shape, (whole, inside, lower) in frames.items():
        v = y - lower  # a triangle's middle is low
        symbols = {
            "right": (np.abs(x) < 0.4) & (np.abs(v) < (0.4 - x) * 0.5),
            "left": (np.abs(x) < 0.4) & (np.abs(v) < (0.4 + x) * 0.5),
            "bars": (np.abs(np.abs(x) - 0.25) < 0.12) & (np.abs(v) < 0.38),
            "bar": (np.abs(x) < 0.4) & (np.abs(v) < 0.13),
        }
        for symbol in SYMBOLS:
            colours = np.zeros((*x.shape, 3))
            colours[whole] = (0.1, 0.25, 0.75) if shape == "disc" else (0.8, 0.1, 0.1)
            if shape != "disc":
                colours[inside] = 0.95
            colours[symbols[symbol] & inside] = 0.95 if shape == "disc" else 0.05
            drawn.append(np.concatenate([colours.transpose(2, 0, 1), whole[None].astype(float)]))
    pixels = np.array(drawn).reshape(len(drawn), 4, SIGN_SIZE, fine, SIGN_SIZE, fine)
    return pixels.mean(axis=(3, 5)).astype(np.float32)


def placed_signs(rng: np.random.Generator, n: int, canvas: int, spread: Spread) -> Pictures:
    """Draw n signs in random poses before a background of colours and boxes, in changing light, with noise."""
    templates = sign_templates()
    labels = rng.integers(0, len(templates), n)
    poses = random_poses(rng, n, spread)
    sign = show(templates[labels], poses, canvas, canvas)
    whole = np.broadcast_to(np.eye(2, 3), (n, 2, 3))
    pictures = show(rng.random((n, 3, 5, 5), dtype=np.float32), whole, canvas, canvas).copy()
    steps = np.arange(canvas)
    for _ in range(3):
        corner, side = rng.uniform(-4, canvas, (2, n, 1)), rng.uniform(3, 12, (2, n, 1))
        down, across = (steps >= corner) & (steps < corner + side)
        number, row, column = np.nonzero(down[:, :, None] & across[:, None])
        pictures[number, :, row, column] = rng.random((n, 3), dtype=np.float32)[number]
    pictures *= 1 - sign[:, 3:]
    pictures += sign[:, :3]
    pictures *= rng.uniform(0.5, 1.1, (n, 1, 1, 1)).astype(np.float32)
    pictures += 0.06 * rng.standard_normal(pictures.shape, dtype=np.float32)
    return Pictures(pictures.clip(0, 1), labels, poses)
