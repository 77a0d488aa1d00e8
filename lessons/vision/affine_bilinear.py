# %% [markdown]
# # Affine maps and the bilinear sampler
#
# **The question.** A picture is a table of numbers at whole-numbered places, and a rotation asks for its values at
# places such as (6.7, 3.2), where the table has no entry. Which number belongs there, and how must one count the
# pixels so that the map that changes nothing gives the picture back unchanged?
#
# This lesson rebuilds [Deep Learning Paper Implementations: Spatial Transformer Networks - Part I][post] by Kevin Zakka
# (2017). Its subject is the machinery below a [spatial transformer][paper] (Max Jaderberg, Karen Simonyan, Andrew
# Zisserman, Koray Kavukcuoglu, 2015): matrices that move points, a grid of places to read, and a sampler that reads
# between the pixels. The pictures of the post come out well. Measured on a picture of noise, its identity map has a
# mean error of 57 of 255 and 799 black pixels, and we will see which lines of code are to blame.
#
# [post]: http://kevinzakka.github.io/2017/01/10/stn-part1/
# [paper]: https://arxiv.org/abs/1506.02025

# %%
from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

from lessons.anatomy import Lesson, Run, Source, Term
from lessons.data.digits import load_digits
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.statistics import mean_and_margin, with_margin
from lessons.lab.threads import one_thread
from lessons.vision import _affine_bilinear_figures as figures

lesson = Lesson(
    name="affine_bilinear",
    title="Affine maps and the bilinear sampler",
    subject="vision",
    source=Source(
        title="Deep Learning Paper Implementations: Spatial Transformer Networks - Part I",
        author="Kevin Zakka",
        year=2017,
        link="http://kevinzakka.github.io/2017/01/10/stn-part1/",
    ),
    headline="Two lines decide whether the identity map is one: repaired, its error on noise falls from 57 of 255 to "
    "1e-11.",
    minutes=0.5,
    exercises=5,
)

# %% [markdown]
# The post plays with a picture of a cat, 400 x 400 pixels. Ours ships with Matplotlib: Commodore Grace Hopper, who
# wrote one of the first compilers (James S. Davis for the United States Navy, 1984, public domain). We cut out 400 x
# 400 pixels around her face.


# %%
@functools.cache
def photograph() -> np.ndarray:
    """Return the photograph, shape (400, 400, 3), values from 0 to 255 as float64; read-only."""
    from matplotlib import cbook, image

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        pixels = image.imread(file, format="jpg")
    photo = pixels[20:420, 65:465].astype(np.float64)
    photo.flags.writeable = False
    return photo


def halved(image: np.ndarray) -> np.ndarray:
    """Return the means of 2 x 2 pixels, shape (H / 2, W / 2, C)."""
    height, width, channels = image.shape
    return image.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))


# %% [markdown]
# ## Step 1: matrices that move points
#
# A point is a column $(x, y)$, and a $2 \times 2$ matrix moves it. Three kinds have names:
#
# $$
# \text{scale} = \begin{pmatrix} p & 0 \\ 0 & q \end{pmatrix}, \qquad
# \text{rotation} = \begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix}, \qquad
# \text{shear} = \begin{pmatrix} 1 & m \\ n & 1 \end{pmatrix}
# $$
#
# The columns of a matrix are where the unit vectors go, which is the quickest way to read one. The determinant is the
# area of the parallelogram between them: $pq$ for the scale, 1 for the rotation, $1 - mn$ for the shear. A rotation
# changes no length and no angle, in one equation $R^\top R = 1$.


# %%
def scale(p, q):
    return np.array([[p, 0.0], [0.0, q]])


def rotation(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def shear(m, n):
    return np.array([[1.0, m], [n, 1.0]])


def sine_twice(angle):
    """Not a rotation, but what a sentence of the post makes of it; see the errata."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [s, c]])


def largest(array: np.ndarray) -> float:
    """Return the largest absolute value."""
    return float(np.abs(array).max())


@lesson.step("Step 1: scale, rotation, shear")
def scale_rotation_shear(run: Run) -> None:
    p, q = run.rng.uniform(0.5, 2.0, 2)
    angle = run.rng.uniform(0.0, 2 * np.pi)
    run.claim("area of a scaled unit square, minus p q", abs(np.linalg.det(scale(p, q)) - p * q), below=1e-14)
    run.claim("a rotation: R^T R minus 1", largest(rotation(angle).T @ rotation(angle) - np.eye(2)), below=1e-14)
    run.claim("a rotation: its determinant, minus 1", abs(np.linalg.det(rotation(angle)) - 1), below=1e-14)
    run.claim("shear 0.3, 0.4: area of the unit square", np.linalg.det(shear(0.3, 0.4)), equals=0.88, within=1e-14)
    panels = {
        "scale 1.5, 0.6": scale(1.5, 0.6),
        "rotation by 30°": rotation(np.pi / 6),
        "shear 0.3, 0.4": shear(0.3, 0.4),
        "b = c = sin 30°": sine_twice(np.pi / 6),
        "b = c = sin 45°": sine_twice(np.pi / 4),
        "translation 0.4, 0.3": np.array([[1.0, 0.0, 0.4], [0.0, 1.0, 0.3]]),
    }
    run.figure(
        "affine_bilinear-maps",
        figures.draw_maps(panels),
        alt="A letter F in the unit square under a scale, a rotation, a shear and a translation, and under the two "
        "matrices with b = c = sin: at 30 degrees it is squeezed, at 45 degrees nothing but a line is left.",
        data={"matrices": [np.pad(m, ((0, 0), (0, 3 - m.shape[1]))) for m in panels.values()]},
    )


# %% [markdown]
# Points that go through a shear $H$, then a scale $S$, then a rotation $R$ end at $R(S(Hx))$, and since products of
# matrices may be grouped at will, at $(RSH)x$: one product, computed once, moves all points. The *first* map stands
# at the *right*. Grouping is free, order is not.
#
# A pretty example is worth keeping: three shears, one after the other, make a rotation.
#
# $$
# \begin{pmatrix} 1 & -\tan\frac{\theta}{2} \\ 0 & 1 \end{pmatrix}
# \begin{pmatrix} 1 & 0 \\ \sin\theta & 1 \end{pmatrix}
# \begin{pmatrix} 1 & -\tan\frac{\theta}{2} \\ 0 & 1 \end{pmatrix}
# = \begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix}
# $$


# %%
def three_shears(angle):
    """Return the three factors of a rotation; the middle one shears along y, the others along x."""
    along_x = shear(-np.tan(angle / 2), 0.0)
    return along_x, shear(0.0, np.sin(angle)), along_x


@lesson.step("Step 2: one after the other")
def one_after_the_other(run: Run) -> None:
    r, s, h = rotation(0.7), scale(1.5, 0.6), shear(0.3, 0.4)
    points = run.rng.normal(size=(2, 50))
    run.claim("R(S(H x)) minus (R S H) x", largest(r @ (s @ (h @ points)) - r @ s @ h @ points), below=1e-14)
    run.claim("in the other order: R S H minus H S R", largest(r @ s @ h - h @ s @ r), above=0.5)
    run.claim("three shears, minus the rotation", largest(np.linalg.multi_dot(three_shears(0.7)) - r), below=1e-14)


# %% [markdown]
# ## Step 3: homogeneous coordinates
#
# No $2 \times 2$ matrix moves the origin, so none can translate. The way out is to give every point a third coordinate
# that is always 1; then the third column of a matrix is a translation:
#
# $$
# \begin{pmatrix} a & b & t_x \\ c & d & t_y \\ 0 & 0 & 1 \end{pmatrix}
# \begin{pmatrix} x \\ y \\ 1 \end{pmatrix}
# = \begin{pmatrix} ax + by + t_x \\ cx + dy + t_y \\ 1 \end{pmatrix}
# $$
#
# The last row never changes, so we store the six numbers above it, $\theta = (A \mid t)$ of shape $2 \times 3$. These
# are the **affine** maps. Two of them, one after the other, are one again, and so is the inverse:
#
# $$
# A_2 (A_1 x + t_1) + t_2
# = \underbrace{A_2 A_1}_{\text{linear}} x + \underbrace{A_2 t_1}_{\text{moved}} + \underbrace{t_2}_{\text{shift}},
# \qquad
# x = A^{-1} (x' - t) = \underbrace{A^{-1}}_{\text{linear}} x' - \underbrace{A^{-1} t}_{\text{shift}}
# $$
#
# **Exercises: `compose` and `invert`.** These two lines.


# %%
@lesson.exercise(hint="Write down where the origin goes: first to t1, and from there?")
def compose(second, first):
    """Return the one affine map that does what `first` does, and then what `second` does.

    An affine map (A | t) takes a point x to A x + t.

    Args:
        second: shape (2, 3).
        first: shape (2, 3).

    Returns:
        The map x -> second(first(x)), shape (2, 3).
    """
    linear = second[:, :2] @ first[:, :2]
    shift = second[:, :2] @ first[:, 2] + second[:, 2]
    return np.column_stack([linear, shift])


@lesson.exercise(
    hint="Solve x' = A x + t for x. The translation is undone first, so it passes through the inverse of A."
)
def invert(theta):
    """Return the affine map that undoes `theta`.

    An affine map (A | t) takes a point x to A x + t.

    Args:
        theta: shape (2, 3); the determinant of its first two columns is not 0.

    Returns:
        The inverse map, shape (2, 3).
    """
    (a, b), (c, d) = theta[:, :2]
    inverse = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
    return np.column_stack([inverse, -inverse @ theta[:, 2]])


IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def affine(linear, tx=0.0, ty=0.0):
    """Return (A | t), shape (2, 3)."""
    return np.column_stack([linear, [tx, ty]])


def square(theta: np.ndarray) -> np.ndarray:
    """Return the 3 x 3 matrix of an affine map."""
    return np.vstack([theta, [0.0, 0.0, 1.0]])


def draw_theta(rng: np.random.Generator) -> np.ndarray:
    """Draw an affine map that is far from a rotation, and whose determinant is not close to 0 or 1."""
    return affine(
        rotation(rng.uniform(0.3, 1.2)) @ scale(*rng.uniform(0.5, 0.8, 2)) @ shear(0.4, 0.3), *rng.uniform(0.2, 0.6, 2)
    )


@lesson.step("Step 3: homogeneous coordinates", terms=("linear", "moved", "shift"))
def homogeneous_coordinates(run: Run) -> None:
    first, second = draw_theta(run.rng), draw_theta(run.rng)
    both = compose(second, first)
    run.claim("compose, against 3 x 3 matrices", largest(square(both) - square(second) @ square(first)), below=1e-14)
    run.claim("compose, in the other order", largest(both - compose(first, second)), above=0.01)
    run.claim("invert, against 3 x 3", largest(square(invert(first)) - np.linalg.inv(square(first))), below=1e-14)
    run.claim("there and back, minus the identity", largest(compose(invert(first), first) - IDENTITY), below=1e-14)


# %% [markdown]
# ## Step 4: read backwards, or there will be holes
#
# To turn a picture, one could send each pixel to where the map takes it and round to the nearest place. Some places
# then receive two pixels, and others none. How many are left empty? The pixels land on a turned lattice. A place
# stays empty if its centre lies in none of the unit squares around the landing points. Four neighbours on the lattice
# lie at $(0, 0)$, $(\cos\theta, \sin\theta)$, $(-\sin\theta, \cos\theta)$ and the sum of the two; from the leftmost
# to the rightmost it is $\cos\theta + \sin\theta$, and so it is from the lowest to the highest. Their four unit
# squares leave a square gap in the middle, and its side is this distance minus 1. The centres of the output's pixels
# fall on this pattern evenly, so the share of holes is the area of the gap:
#
# $$
# \text{share of holes} = (\cos\theta + \sin\theta - 1)^2, \qquad 0 \le \theta \le 90^\circ
# $$
#
# At 45 degrees 17 % of the picture is missing. So it is done the other way round. For each *output* place, ask the
# inverse map where it comes from, and read the picture there. Nothing can be missing. We round here, too, for a fair
# comparison. But the place to read lies between pixels, and which value it should have is the subject of steps 5 to 8.
#
# In the spatial transformer $\theta$ is this inverse map: it takes places of the output to places of the input. That is
# why a *small* scale zooms in, and a *positive* translation moves the picture to the left.


# %%
def rounded_places(n: int, angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotate the pixels of an n x n image around its middle; return rows and columns, rounded, and which are inside."""
    middle = (n - 1) / 2
    row, column = np.mgrid[:n, :n]
    places = np.stack([column - middle, row - middle], axis=-1) @ rotation(angle).T + middle
    columns, rows = np.moveaxis(np.rint(places).astype(int), -1, 0)
    return rows, columns, (rows >= 0) & (rows < n) & (columns >= 0) & (columns < n)


def forward_turn(image: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Send each pixel of a square image (n, n, C) to where a rotation takes it.

    Returns the result, and which of its pixels have received something, shape (n, n).
    """
    rows, columns, inside = rounded_places(len(image), angle)
    result, hit = np.zeros_like(image), np.zeros(image.shape[:2], dtype=bool)
    result[rows[inside], columns[inside]] = image[inside]
    hit[rows[inside], columns[inside]] = True
    return result, hit


def backward_turn(image: np.ndarray, angle: float) -> np.ndarray:
    """Fetch each pixel of the result from where the inverse rotation takes it."""
    rows, columns, inside = rounded_places(len(image), -angle)
    result = np.zeros_like(image)
    result[inside] = image[rows[inside], columns[inside]]
    return result


def disc(n: int, share: float = 0.95) -> np.ndarray:
    """Return which pixels of an n x n image lie in the disc around its middle, of this share of the largest radius."""
    along = np.arange(n) - (n - 1) / 2
    return along**2 + along[:, None] ** 2 <= (share * n / 2) ** 2


def holes(n: int, angle: float) -> float:
    """Return the share of empty places after `forward_turn`, where the turned picture covers all."""
    _, hit = forward_turn(np.zeros((n, n, 1)), angle)
    return float(1 - hit[disc(n)].mean())


def expected_holes(angle):
    return (np.cos(angle) + np.sin(angle) - 1) ** 2


@lesson.step("Step 4: forwards there are holes")
def forwards_there_are_holes(run: Run) -> None:
    degrees = np.array(run.pick(quick=(10, 30, 45, 70), default=range(5, 90, 5), full=range(5, 90, 5)))
    measured = np.array([holes(400, np.deg2rad(degree)) for degree in degrees])
    expected = expected_holes(np.deg2rad(degrees))
    run.claim("share of holes at 45 degrees", measured[degrees == 45][0], equals=0.1716, within=0.002)
    run.claim("at all angles: measured share minus (cos + sin - 1)**2", largest(measured - expected), below=0.004)
    fetched = backward_turn(np.ones((400, 400, 1)), np.pi / 4)
    run.claim("backwards: share of holes at 45 degrees", 1 - fetched[disc(400)].mean(), equals=0.0)
    missing, hit = forward_turn(photograph(), np.pi / 6)
    whole = backward_turn(photograph(), np.pi / 6)
    patch = np.s_[130:190, 140:200]
    run.figure(
        "affine_bilinear-holes",
        figures.draw_holes(missing[patch], hit[patch], whole[patch], degrees, measured, expected_holes),
        alt="A patch of the photograph turned by 30 degrees: forwards with holes in a regular pattern, backwards "
        "without. Beside it the share of holes over the angle: the measured dots lie on (cos + sin - 1) squared.",
        data={"degrees": degrees, "measured": measured, "expected": expected, "hit": hit[patch]},
    )


# %% [markdown]
# ## Step 5: a grid of places
#
# Now the pipeline itself: a **grid** of output places, the map, the **rescaling** to pixels, the **sampler**. The
# grid uses normalised coordinates. $x$ counts columns and $y$ counts rows, both from $-1$ to $1$, with $y$ *downwards*,
# as rows are counted. At each of the $H \times W$ places, the map gives the place $(x^s, y^s)$ to read, as a sum
# of three terms, **across**, **down** and **shift**:
#
# $$
# \begin{pmatrix} x^s \\ y^s \end{pmatrix}
# = \underbrace{\begin{pmatrix} a \\ c \end{pmatrix} x^t}_{\text{across}}
# + \underbrace{\begin{pmatrix} b \\ d \end{pmatrix} y^t}_{\text{down}}
# + \underbrace{\begin{pmatrix} t_x \\ t_y \end{pmatrix}}_{\text{shift}}
# $$
#
# **Exercise: `affine_grid`.**


# %%
@lesson.exercise(hint="W values of x from -1 to 1, H values of y. Which of the two varies along a row of the picture?")
def affine_grid(theta, H, W):
    """Return the places to read for each pixel of an output with H rows and W columns.

    The output's pixels have coordinates (x, y): x from -1 in the first column to 1 in the last one, y from -1 in the
    first row to 1 in the last one. The map theta = (A | t) takes (x, y) to A (x, y) + t.

    Args:
        theta: shape (2, 3).
        H: number of rows, at least 2.
        W: number of columns, at least 2.

    Returns:
        The mapped places, shape (H, W, 2), x first.
    """
    x, y = np.meshgrid(np.linspace(-1, 1, W), np.linspace(-1, 1, H))
    return np.stack([x, y, np.ones_like(x)], axis=-1) @ theta.T


@lesson.step("Step 5: a grid of places", terms=("across", "down", "shift"))
def a_grid_of_places(run: Run) -> None:
    theta = draw_theta(run.rng)
    grid = affine_grid(theta, 4, 7)
    run.claim("the first corner reads at A (-1, -1) + t", largest(grid[0, 0] - theta @ [-1, -1, 1]), below=1e-14)
    run.claim("row 0, column 6 reads at A (1, -1) + t", largest(grid[0, 6] - theta @ [1, -1, 1]), below=1e-14)
    run.claim("the middle of the grid reads at t", largest(grid.mean(axis=(0, 1)) - theta[:, 2]), below=1e-14)


# %% [markdown]
# ## Step 6: from -1 ... 1 to pixels
#
# $W$ pixels have the indices 0 to $W - 1$. What are $-1$ and $1$? There are two honest answers:
#
# - the **centres** of the first and the last pixel, which PyTorch calls `align_corners=True`;
# - the outer **edges** of these pixels, half a pixel further out, which is `align_corners=False` and the default.
#
# $$
# \begin{align*}
# x_{\text{centres}} &= \frac{(x^s + 1)(W - 1)}{2} = \underbrace{\frac{W - 1}{2} x^s}_{\text{slope\_centres}}
# + \underbrace{\frac{W - 1}{2}}_{\text{middle\_centres}} \\
# x_{\text{edges}} &= \frac{(x^s + 1) W - 1}{2} = \underbrace{\frac{W}{2} x^s}_{\text{slope\_edges}}
# + \underbrace{\frac{W - 1}{2}}_{\text{middle\_edges}}
# \end{align*}
# $$
#
# In both, 0 is the middle of the picture, at pixel $(W - 1)/2$; they differ in the slope. The post's grid (and our
# exercise) puts $-1$ and $1$ into pixel centres, so the first line belongs to it. The post multiplies by $W$ instead:
# it takes the slope of the second line, and a middle, $W/2$, that belongs to neither.
#
# **Exercise: `to_pixels`.** Both lines.


# %%
@lesson.exercise(hint="Put in s = -1 and s = 1, and ask at which pixel index you want to arrive.")
def to_pixels(s, n):
    """Turn normalised coordinates along an axis of n pixels into pixel coordinates; pixel 0 has its centre at 0.

    Args:
        s: coordinates, -1 to 1 inside the picture, any shape.
        n: number of pixels.

    Returns:
        The tuple (centres, edges), each of the shape of s: the pixel coordinates if -1 and 1 are the centres of the
        first and the last pixel, and if they are the outer edges of these two.
    """
    return (s + 1) * (n - 1) / 2, ((s + 1) * n - 1) / 2


@lesson.step("Step 6: to pixels", terms=("slope_centres", "middle_centres", "slope_edges", "middle_edges"))
def step_to_pixels(run: Run) -> None:
    centres, edges = to_pixels(np.array([-1.0, 0.0, 1.0]), 400)
    run.claim("centres: -1, 0 and 1 lie at", centres.tolist(), equals=[0.0, 199.5, 399.0])
    run.claim("edges: -1, 0 and 1 lie at", edges.tolist(), equals=[-0.5, 199.5, 399.5])
    # The four pixels' own coordinates, in both conventions, must come out as 0, 1, 2, 3.
    pixels = np.arange(4.0)
    run.claim("centres: four pixels, -1 to 1", largest(to_pixels(np.linspace(-1, 1, 4), 4)[0] - pixels), below=1e-14)
    run.claim("edges: four, -3/4 to 3/4", largest(to_pixels(np.linspace(-0.75, 0.75, 4), 4)[1] - pixels), below=1e-14)


# %% [markdown]
# ## Step 7: between four pixels
#
# The place (6.7, 3.2) lies between the columns 6 and 7 and the rows 3 and 4. Call the four pixels
# $Q_{11}, Q_{21}, Q_{12}, Q_{22}$, first index along $x$, and the fractions $f_x = 0.7$, $f_y = 0.2$. Go along $x$
# twice, then along $y$ once:
#
# $$
# R_1 = (1 - f_x) Q_{11} + f_x Q_{21}, \qquad R_2 = (1 - f_x) Q_{12} + f_x Q_{22}, \qquad P = (1 - f_y) R_1 + f_y R_2
# $$
#
# Multiplied out, each pixel has a weight, the area of the rectangle between the place and the *opposite* pixel, and
# these are the four terms **q11**, **q21**, **q12** and **q22**:
#
# $$
# P = \underbrace{(1 - f_x)(1 - f_y)\, Q_{11}}_{\text{q11}} + \underbrace{f_x (1 - f_y)\, Q_{21}}_{\text{q21}}
# + \underbrace{(1 - f_x) f_y\, Q_{12}}_{\text{q12}} + \underbrace{f_x f_y\, Q_{22}}_{\text{q22}}
# $$
#
# The formula does not change when $x$ and $y$ change places, so the order does not matter, and the four areas fill the
# unit square, so the weights add up to 1. The name is a trap, though: along rows and columns the surface is a straight
# line, along a diagonal it is a parabola.
#
# What about a corner that is not in the picture? With *zeros padding* it counts as black. With *border padding* it
# takes the value of the nearest pixel inside. In both cases **the weights come from the true corners**,
# $\lfloor x \rfloor$ and $\lfloor x \rfloor + 1$; only the look-up is kept inside the table. That order of the two
# lines will matter.
#
# **Exercise: `sample`.** Zeros padding.


# %%
@lesson.exercise(
    hint="Which four corners does a place a quarter of a pixel outside the picture have, and which of them count?"
)
def sample(image, x, y):
    """Read an image at any places, bilinear between the four pixels around each; pixels outside count as 0.

    Args:
        image: shape (H, W, C).
        x: column coordinates in pixels, any shape; pixel 0 has its centre at 0, and any real number is allowed.
        y: row coordinates in pixels, the shape of x.

    Returns:
        The values, shape (*x.shape, C).
    """
    height, width = image.shape[:2]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_weight, lower_weight = x - left, y - top
    total = 0.0
    for column, along_x in ((left, 1 - right_weight), (left + 1, right_weight)):
        for row, along_y in ((top, 1 - lower_weight), (top + 1, lower_weight)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            pixel = image[row.clip(0, height - 1), column.clip(0, width - 1)]
            total = total + (inside * along_x * along_y)[..., None] * pixel
    return total


def corner_weights(fx, fy):
    """Return the weights of q11, q21, q12 and q22, stacked along the first axis."""
    return np.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy])


EXAMPLE = np.array([[10.0, 20.0], [30.0, 60.0]])  # Q11, Q21 and below them Q12, Q22


@lesson.step("Step 7: between four pixels", terms=("q11", "q21", "q12", "q22"))
def between_four_pixels(run: Run) -> None:
    image = np.zeros((6, 9, 1))
    image[3:5, 6:8, 0] = EXAMPLE
    value = sample(image, np.array([6.7]), np.array([3.2]))[0, 0]
    # R1 = 17 and R2 = 51 by hand.
    run.claim("the post's place (6.7, 3.2) between 10, 20, 30 and 60", value, equals=23.8, within=1e-12)
    weights = corner_weights(0.7, 0.2)
    run.claim("its weights, against 0.24, 0.56, 0.06, 0.14", largest(weights - [0.24, 0.56, 0.06, 0.14]), below=1e-14)

    fx, fy = run.rng.uniform(size=(2, 1000))
    (q11, q21), (q12, q22) = run.rng.uniform(0, 255, (2, 2))
    x_first = (1 - fy) * ((1 - fx) * q11 + fx * q21) + fy * ((1 - fx) * q12 + fx * q22)
    y_first = (1 - fx) * ((1 - fy) * q11 + fy * q12) + fx * ((1 - fy) * q21 + fy * q22)
    run.claim("1000 places: first x then y, minus first y then x", largest(x_first - y_first), below=1e-12)
    run.claim("1000 places: sum of the weights, minus 1", largest(corner_weights(fx, fy).sum(axis=0) - 1), below=1e-14)

    def at(fx, fy):
        return float(np.dot(corner_weights(fx, fy), EXAMPLE.ravel()))

    run.claim("along a row, bend at the middle", at(0, 0.2) + at(1, 0.2) - 2 * at(0.5, 0.2), equals=0, within=1e-12)
    run.claim("along the diagonal, bend at the middle", at(0, 0) + at(1, 1) - 2 * at(0.5, 0.5), above=9.9, below=10.1)
    run.figure(
        "affine_bilinear-corners",
        figures.draw_corners(EXAMPLE, (6.7, 3.2)),
        alt="Left: the place (6.7, 3.2) between four pixels, with the rectangles whose areas are the weights. Right: "
        "the interpolated surface with curved contour lines, and its profile along the diagonal, a parabola.",
        data={"weights": weights, "value": value, "pixels": EXAMPLE},
    )


# %% [markdown]
# The three steps together are `warp`. For the edges convention no new grid is needed: the output's pixel centres then
# lie at $-(W-1)/W$ to $(W-1)/W$, so the grid is scaled by that before the map, which is a case for `compose`.
#
# Reading twice in a row also composes, in an order that surprises at first. Read a picture through $M_1$ and the result
# through $M_2$: the place $x$ of the last picture asks for the place $M_2 x$ of the one in between, which asks for
# $M_1 M_2 x$ of the original. The map that was used *last* stands at the *right*, because it is the first to meet the
# point.


# %%
def warp(image, theta, size=None, align_corners=True, padding="zeros"):
    """Read an image (H, W, C) through an affine map.

    Args:
        theta: the map from places of the output to places of the input, shape (2, 3).
        size: rows and columns of the output; those of the image by default.
        align_corners: whether -1 and 1 are centres of pixels (else: outer edges).
        padding: "zeros" or "border".
    """
    height, width = image.shape[:2]
    rows, columns = size or (height, width)
    if not align_corners:
        theta = compose(theta, affine(scale((columns - 1) / columns, (rows - 1) / rows)))
    grid = affine_grid(theta, rows, columns)
    which = 0 if align_corners else 1
    x, y = to_pixels(grid[..., 0], width)[which], to_pixels(grid[..., 1], height)[which]
    if padding == "border":
        x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    return sample(image, x, y)


def impulse(size: int, row: int, column: int) -> np.ndarray:
    """Return a black image with one white pixel, shape (size, size, 1)."""
    image = np.zeros((size, size, 1))
    image[row, column] = 1
    return image


def where_bright(image: np.ndarray) -> tuple[int, int]:
    """Return row and column of the brightest pixel."""
    row, column = np.unravel_index(int(image[..., 0].argmax()), image.shape[:2])
    return int(row), int(column)


@lesson.step("Step 8: the whole pipeline")
def the_whole_pipeline(run: Run) -> None:
    photo = photograph()
    for align_corners in (True, False):
        error = largest(warp(photo, IDENTITY, align_corners=align_corners) - photo)
        run.claim(f"identity map, align_corners={align_corners}: largest error of 255", error, below=1e-9)
    ramp = np.broadcast_to(np.arange(400.0)[:, None], (400, 400, 1))
    moved = warp(ramp, affine(np.eye(2), tx=0.5))
    run.claim(
        "translation 0.5: column 100 shows what was right of it by",
        float(moved[0, 100, 0] - 100),
        equals=99.75,
        within=1e-9,
    )
    dot = impulse(41, row=20, column=30)
    for name, linear, tx, lands in (
        ("translation 0.5", np.eye(2), 0.5, (20, 20)),
        ("rotation by +90 degrees", rotation(np.pi / 2), 0.0, (10, 20)),
        ("scale 0.5, so zoomed in", scale(0.5, 0.5), 0.0, (20, 40)),
    ):
        found = where_bright(warp(dot, affine(linear, tx)))
        run.claim(f"41 x 41 pixels, a dot at row 20, column 30; {name}: it goes to", found, equals=lands)
    m1, m2 = affine(rotation(0.4) @ scale(0.5, 0.5)), affine(scale(0.6, 0.6) @ shear(0.2, 0.0), 0.1, -0.1)
    twice = warp(warp(ramp, m1), m2)  # on a ramp, and inside it, reading is exact
    in_order, reversed_order = warp(ramp, compose(m1, m2)), warp(ramp, compose(m2, m1))
    run.claim("read through M1, then M2, minus once through M1 M2", largest(twice - in_order), below=1e-9)
    run.claim("... minus once through M2 M1", largest(twice - reversed_order), above=1)
    small = halved(photo)
    views = {
        "as it is": small,
        "translation 0.5:\nto the left": warp(small, affine(np.eye(2), tx=0.5)),
        "rotation by +45°:\ncounter-clockwise": warp(small, affine(rotation(np.pi / 4))),
        "scale 0.5: zoomed in": warp(small, affine(scale(0.5, 0.5))),
        "shear 0.3, 0": warp(small, affine(shear(0.3, 0.0))),
    }
    run.figure(
        "affine_bilinear-warps",
        figures.draw_photos(views),
        alt="The photograph as it is, moved to the left, turned counter-clockwise, zoomed in, and sheared.",
        data={str(k): view.astype(np.float32).mean(axis=2) for k, view in enumerate(views.values())},
    )


# %% [markdown]
# The dot deserves a second look. The matrix rotates by +90 degrees, and in a textbook, where $y$ points up, that is
# counter-clockwise. Here $y$ points down, which reverses the sense; and the map is read backwards, from the output to
# the input, which reverses it again. Two reversals cancel: on the screen the picture turns counter-clockwise after
# all.
#
# All these pictures are easier to predict from where they are *read*. Turn and scale the frame below. The matrix says
# where the frame lies on the photograph, its marked corner being the upper left one, and what is inside the frame
# fills the output. So a frame of half the size shows everything twice as large, a frame that is turned clockwise shows
# a picture that is turned counter-clockwise, and where the frame holds nothing the output is black.


# %%
ANGLES, SCALES = (-60, -30, 0, 30, 60, 90), (0.5, 0.75, 1, 1.5)


def turned_frame(degrees: float, size: float) -> np.ndarray:
    """The 2 x 3 matrix that reads from a frame of this size, turned by this angle."""
    return affine(rotation(np.deg2rad(degrees)) @ scale(size, size))


@lesson.step("The frame that is read")
def the_frame_that_is_read(run: Run) -> None:
    small = halved(photograph())
    thetas = {(degrees, size): turned_frame(degrees, size) for degrees in ANGLES for size in SCALES}
    quarter = warp(small, thetas[90, 1])
    run.claim("angle 90, scale 1: the output, minus numpy's rot90", largest(quarter - np.rot90(small)), below=1e-9)
    zoomed = warp(small, thetas[0, 0.5], size=(100, 100), align_corners=False)
    run.claim(
        "angle 0, scale 0.5: 100 x 100 pixels, minus the middle", largest(zoomed - small[50:150, 50:150]), below=1e-9
    )
    areas = np.array([abs(np.linalg.det(theta[:, :2])) for theta in thetas.values()])
    run.claim("area of each frame, minus scale^2", largest(areas - [size**2 for _, size in thetas]), below=1e-12)
    inside = warp(np.ones((200, 200, 1)), thetas[0, 1.5]).mean()
    run.claim("angle 0, scale 1.5: share of the output that is not black", inside, equals=1 / 1.5**2, within=0.01)
    frame = figures.ReadingFrame(small)
    run.slider(
        "affine_bilinear-frame",
        {"angle (degrees)": ANGLES, "scale": SCALES},
        lambda degrees, size: frame.draw(thetas[degrees, size], warp(small, thetas[degrees, size], size=(144, 144))),
        alt="The photograph with a frame, turned and scaled by the matrix, and what the output shows: the content of "
        "the frame, turned the other way and scaled by the inverse.",
        start=(3, 1),
        data={"angles": ANGLES, "scales": SCALES, "thetas": list(thetas.values())},
    )


# %% [markdown]
# ## Errata: what the post prints
#
# **One sine too many.** In the text, a rotation sets $a = d = \cos\theta$ and $b = c = \sin\theta$. The matrix printed
# below it has the missing minus and is right. The difference is not cosmetic: with $b = c$ the determinant is
# $\cos^2\theta - \sin^2\theta = \cos 2\theta$. The unit square shrinks to half its area at 30 degrees, and at
# 45 degrees, the very angle of the post's demo, to nothing: all points fall on one line.


# %%
@lesson.erratum(
    "M",
    "the rotation with b = c = sin(theta)",
    printed="we set a = d = cos(theta) and b = c = sin(theta)",
    right="a = d = cos(theta), b = -sin(theta), c = sin(theta)",
)
def sine_slip(run: Run) -> None:
    angles = np.deg2rad(np.linspace(0, 90, 91))
    areas = np.array([np.linalg.det(sine_twice(angle)) for angle in angles])
    run.results["sine slip"] = (areas[30], areas[45])
    run.claim("b = c: determinant minus cos(2 theta), 0 to 90°", largest(areas - np.cos(2 * angles)), below=1e-14)
    run.refuted("b = c at 30 degrees: share of the area that is lost", 1 - areas[30], above=0.49)
    run.refuted("b = c at 45 degrees: share of the area that is lost", 1 - areas[45], above=0.999)
    kept = np.array([np.linalg.det(rotation(angle)) for angle in angles])
    run.claim("b = -c: determinant minus 1, 0 to 90 degrees", largest(kept - 1), below=1e-14)
    small = halved(photograph())
    views = {
        "b = \N{MINUS SIGN}c, 45°: a rotation": warp(small, affine(rotation(np.pi / 4))),
        "b = c, 30°: half the area": warp(small, affine(sine_twice(np.pi / 6))),
        "b = c, 45°: a line is read": warp(small, affine(sine_twice(np.pi / 4))),
    }
    run.figure(
        "affine_bilinear-slip",
        figures.draw_slip(views, np.rad2deg(angles), areas),
        alt="The photograph turned by 45 degrees; with b = c at 30 degrees distorted; with b = c at 45 degrees only "
        "stripes, since all places to read lie on one diagonal. Beside them the determinant cos(2 theta), which is 0 "
        "at 45 degrees.",
        data={"degrees": np.rad2deg(angles), "areas": areas},
    )


# %% [markdown]
# **The sampler.** Below is the post's sampler in our words, with one switch for each of its slips. A batch of
# pictures goes in, and a grid for each of them, as `affine_grid` makes it.


# %%
def sampler_of_the_post(
    images: np.ndarray, grids: np.ndarray, *, right_scale=False, right_weights=False, right_axes=False, ceiling=False
) -> np.ndarray:
    """Read images (N, H, W, C) at grids (N, H, W, 2), as printed; each switch repairs one line.

    Args:
        right_scale: multiply by W - 1, not by W.
        right_weights: compute the weights before the corners are clipped, not after.
        right_axes: take coordinates out by an index, not by `squeeze`.
        ceiling: the second corner is the ceiling, which the post says would do just as well as floor + 1.
    """
    n, height, width, _ = images.shape
    xs, ys = (grids[..., 0], grids[..., 1]) if right_axes else (grids[..., :1].squeeze(), grids[..., 1:].squeeze())
    last = 1 if right_scale else 0
    x, y = (xs + 1) * (width - last) / 2, (ys + 1) * (height - last) / 2
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = (np.ceil(x).astype(int), np.ceil(y).astype(int)) if ceiling else (x0 + 1, y0 + 1)
    looked_up = x0.clip(0, width - 1), x1.clip(0, width - 1), y0.clip(0, height - 1), y1.clip(0, height - 1)
    weighed = (x0, x1, y0, y1) if right_weights else looked_up
    wx = {0: weighed[1] - x, 1: x - weighed[0]}
    wy = {0: weighed[3] - y, 1: y - weighed[2]}
    batch = np.arange(n)[:, None, None]
    return sum(
        np.expand_dims(wx[right] * wy[down], 3) * images[batch, looked_up[2 + down], looked_up[right]]
        for right in (0, 1)
        for down in (0, 1)
    )


@functools.cache
def random_images() -> np.ndarray:
    """Return one picture of noise with no black in it, shape (1, 400, 400, 3), values from 1 to 255; read-only."""
    images = np.random.default_rng(2017).uniform(1, 255, (1, 400, 400, 3))
    images.flags.writeable = False
    return images


def identity_error(images: np.ndarray, **switches: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the post's output for the identity map, the absolute errors, and how many pixels became black."""
    grid = affine_grid(IDENTITY, *images.shape[1:3])
    got = sampler_of_the_post(images, grid[None], right_axes=True, **switches)
    black = (np.abs(got) < 1e-9).all(axis=-1) & (images > 0).any(axis=-1)
    return got, np.abs(got - images), int(black.sum())


# %% [markdown]
# **The scale.** The grid runs from $-1$ to $1$ in pixel centres, so the factor is $(W - 1)/2$. The post multiplies by
# $W/2$, and pixel $k$ is read at $k W / (W - 1)$: right at the left edge, off by a whole pixel at the right edge. On
# noise, where neighbours have nothing in common, the identity map is wrong by 57 of 255 on average. On a ramp, whose
# value *is* the column, the error can be read off in pixels.


# %%
@lesson.erratum(
    "C",
    "coordinates are scaled by W and H",
    printed="x = ((x_s + 1.) * W) * 0.5",
    right="x = ((x_s + 1.) * (W - 1)) * 0.5, or ((x_s + 1.) * W - 1) * 0.5 if -1 and 1 are to be edges",
)
def wrong_scale(run: Run) -> None:
    _, printed, _ = identity_error(random_images())
    run.results["printed error"] = float(printed.mean())
    run.refuted("identity map of noise, as printed: mean error of 255", printed.mean(), above=50)
    run.refuted("identity map of noise, as printed: largest error", printed.max(), above=250)
    ramp = np.broadcast_to(np.arange(400.0)[:, None], (1, 400, 400, 1))
    _, off, _ = identity_error(ramp)
    run.results["ramp"] = float(off[:, :-1, :-1].max())
    run.claim("a ramp, all but its last row and column: off by", off[:, :-1, :-1].max(), equals=398 / 399, within=1e-9)
    moved = sampler_of_the_post(ramp, affine_grid(affine(np.eye(2), tx=0.5), 400, 400)[None], right_axes=True)
    run.claim("a ramp moved by 0.5: the first column shows column", moved[0, 0, 0, 0], equals=100, within=1e-9)
    moved = warp(ramp[0], affine(np.eye(2), tx=0.5))
    run.claim("the same with W - 1: the first column shows column", moved[0, 0, 0], equals=99.75, within=1e-9)
    _, repaired, _ = identity_error(random_images(), right_scale=True, right_weights=True)
    run.claim("both lines repaired: largest error of 255", repaired.max(), below=1e-9)


# %% [markdown]
# **The weights.** The post clips the corners into the picture first and computes the weights from the clipped ones.
# Where $x \ge W - 1$, both corners become the last column. Then $(x_1 - x) + (x - x_0) = 0$: the two weights cancel,
# and the pixel is black. So the last row and the last column of *every* picture are black, $W + H - 1 = 799$ pixels,
# even for the identity map; and they stay black when only the scale is repaired. With the weights repaired too, what is
# outside reads as the nearest pixel inside: border padding.


# %%
@lesson.erratum(
    "C",
    "the corners are clipped before the weights are computed",
    printed="x1 = np.clip(x1, 0, W-1); ...; wa = (x1-x) * (y1-y)",
    right="weights from the corners as they are, x0 = floor(x) and x1 = x0 + 1; clip for the look-up only",
)
def weights_after_clipping(run: Run) -> None:
    _, _, as_printed = identity_error(random_images())
    _, half, still = identity_error(random_images(), right_scale=True)
    _, both, none = identity_error(random_images(), right_scale=True, right_weights=True)
    run.results["black"] = (as_printed, still, none)
    run.results["half fixed error"] = float(half.mean())
    run.refuted("as printed: black pixels", as_printed, above=798)
    run.refuted("only the scale repaired: black pixels", still, above=798)
    run.refuted("only the scale repaired: mean error of 255", half.mean(), above=0.6)
    run.claim("only the scale repaired: largest error elsewhere, of 255", half[:, :-1, :-1].max(), below=1e-9)
    run.claim("weights repaired too: black pixels", none, equals=0)
    run.claim("weights repaired too: largest error of 255", both.max(), below=1e-9)


# %% [markdown]
# **The ceiling.** In passing, the post notes that the ceiling would do just as well for the second corner. Between
# pixels that is true. *On* a pixel, floor and ceiling are the same number, both weights are 0, and the pixel is black.
# The identity map reads nowhere but on pixels. (The few that survive owe it to a rounding error in the grid.)


# %%
@lesson.erratum(
    "C",
    "the ceiling for the second corner",
    printed="we could just as well use the ceiling function rather than the increment by 1",
    right="x1 = x0 + 1: on a pixel, the ceiling is the floor, and both weights vanish",
)
def ceiling_for_the_second_corner(run: Run) -> None:
    _, _, black = identity_error(random_images(), right_scale=True, right_weights=True, ceiling=True)
    run.results["ceiling"] = black / 400**2
    run.refuted("identity map with the ceiling: share of black pixels", black / 400**2, above=0.9)
    _, _, black = identity_error(random_images(), right_scale=True, right_weights=True)
    run.claim("with floor + 1: share of black pixels", black / 400**2, equals=0.0)


# %% [markdown]
# **One picture at a time.** `squeeze()` drops *every* axis of length 1. The post means the last one; a batch of one
# picture loses its first one too, and the code stops with an error. The same happens to pictures one pixel high or
# wide.


# %%
def shapes_that_fail(**switches: bool) -> list[tuple[int, ...]]:
    """Return the shapes, of four, for which the post's sampler raises an error or returns another shape."""
    failing = []
    for shape in ((2, 5, 7, 3), (1, 5, 7, 3), (2, 1, 7, 3), (2, 5, 1, 3)):
        grids = np.stack([affine_grid(IDENTITY, *shape[1:3])] * shape[0])
        try:
            got = sampler_of_the_post(np.ones(shape), grids, right_scale=True, right_weights=True, **switches)
        except (IndexError, ValueError):  # NumPy's AxisError is both
            failing.append(shape)
        else:
            failing += [shape] * (got.shape != shape)
    return failing


@lesson.erratum(
    "C",
    "squeeze() drops the batch axis of a single picture",
    printed="x_s = batch_grids[:, :, :, 0:1].squeeze()",
    right="x_s = batch_grids[:, :, :, 0]",
)
def squeeze_drops_axes(run: Run) -> None:
    failing = shapes_that_fail()
    run.results["squeeze"] = failing
    run.refuted("N = 1, H = 1, W = 1: how many of the three fail", len(failing), above=2)
    run.claim("N = 2 and larger pictures are fine", (2, 5, 7, 3) in failing, equals=False)
    run.claim("with an index instead of squeeze: how many fail", len(shapes_that_fail(right_axes=True)), equals=0)


# %% [markdown]
# **The identity map, in one picture.** The photograph is smoother than noise, so its mean error is smaller, and the eye
# forgives it: on the screen the left picture looks right. The error map does not forgive.


# %%
@lesson.step("The identity map of a photograph")
def the_identity_map(run: Run) -> None:
    photo = photograph()[None]
    versions = {
        "as printed": identity_error(photo),
        "only the scale repaired": identity_error(photo, right_scale=True),
        "both lines repaired": identity_error(photo, right_scale=True, right_weights=True),
    }
    run.results["photograph"] = {
        name: (error.mean(), error.max(), black) for name, (_, error, black) in versions.items()
    }
    run.table(
        "The identity map of the photograph: errors, of 255",
        ("the code", "mean error", "largest", "black pixels"),
        [(name, f"{error.mean():.3g}", f"{error.max():.3g}", black) for name, (_, error, black) in versions.items()],
    )
    _, repaired, _ = versions["both lines repaired"]
    run.claim("both lines repaired: largest error of 255", repaired.max(), below=1e-9)
    run.figure(
        "affine_bilinear-identity",
        figures.draw_identity(
            {name: (got[0], error[0].mean(axis=2), black) for name, (got, error, black) in versions.items()}
        ),
        alt="The identity map of the photograph by the printed code, with only the scale repaired, and with both "
        "lines repaired. Above the outputs, below the error maps, the upper right corner enlarged: all edges of the "
        "face, then only the black last row and column, then nothing.",
        data={
            name.replace(" ", "_"): error[0].mean(axis=2).astype(np.float32) for name, (_, error, _) in versions.items()
        },
    )


# %% [markdown]
# The rest is notation and wording; two of the remarks can be measured. `0.707` for $\cos 45^\circ$ is a rotation with a
# shrink: its determinant is $2 \cdot 0.707^2$. And places outside the picture come out black in the printed code
# because clipped corners make weights that cancel, so its padding is black with a hard edge. True zeros padding fades
# out over one pixel.


# %%
lesson.smaller_slips(
    [
        (
            "N",
            "shear offsets 'the x by a number proportional to y and x by a number proportional to x'",
            "... and y by a number proportional to x",
        ),
        ("N", "the grid spans [0, W] and [0, H]", "pixel indices span [0, W - 1] and [0, H - 1]"),
        ("N", "the translation is (e, f), then (c, f)", "one letter, one meaning: (A | t)"),
        ("W", "0.707 for the cosine of 45 degrees", "np.cos(np.pi / 4); the determinant of the demo is 0.999698"),
        (
            "W",
            "clipping keeps corners inside the picture",
            "it also makes a zeros padding with a hard edge, by cancellation",
        ),
    ]
)


@lesson.step("Slips that can be measured")
def measured_slips(run: Run) -> None:
    demo = np.array([[0.707, -0.707], [0.707, 0.707]])
    run.claim("determinant of the 45-degree demo", np.linalg.det(demo), equals=0.999698, within=1e-12)

    white = np.ones((1, 8, 8, 1))
    x = np.linspace(-2.5, 9.5, 121)
    grids = np.stack([x * 2 / 7 - 1, np.zeros_like(x)], axis=-1)[None, None]
    profiles = {
        "zeros padding": sample(white[0], x, np.full_like(x, 3.5))[:, 0],
        "border padding": sample(white[0], x.clip(0, 7), np.full_like(x, 3.5))[:, 0],
        "as printed (scale repaired)": sampler_of_the_post(white, grids, right_scale=True, right_axes=True)[0, 0, :, 0],
    }
    printed = profiles["as printed (scale repaired)"]
    run.claim("as printed: largest value read outside the picture", largest(printed[(x < 0) | (x > 7)]), below=1e-9)
    faded = sample(white[0], np.array([-0.25]), np.array([3.5]))
    run.claim("zeros padding, a quarter of a pixel outside", faded[0, 0], equals=0.75)
    run.figure(
        "affine_bilinear-edges",
        figures.draw_edges(to_pixels, x, profiles),
        alt="Left: four pixels with three rulers from -1 to 1; through the centres, along the edges, and the printed "
        "one, which begins at the first centre and ends one pixel behind the last. Right: a white picture read across "
        "its edges; zeros padding fades out over a pixel, border padding stays white, the printed code is cut off.",
        data={"x": x} | {name.split(" (")[0].replace(" ", "_"): values for name, values in profiles.items()},
    )


# %% [markdown]
# ## The nearest pixel, or a mixture of four?
#
# Reading the nearest pixel would be simpler. Compare the two on noise, whose pixels have nothing to do with each
# other. A mixture of two pixels with the weights $1 - f$ and $f$ has $(1 - f)^2 + f^2$ times the variance of one.
# Over all fractions from 0 to 1 that averages to $2/3$, and in two dimensions to $4/9$: **one bilinear reading keeps
# two thirds of the contrast of noise**. The nearest pixel keeps all of it, but puts it up to half a pixel
# off along each axis, $\sqrt{1/12}$ in the root mean square, so $\sqrt{1/6} = 0.41$ pixels in the plane. Bilinear
# reading is never off: on a ramp it is exact.


# %%
def turned(channels: np.ndarray, angle: float, mode: str) -> np.ndarray:
    """Turn square images (C, n, n) by reading them with minigrad's sampler, in mode "nearest" or "bilinear"."""
    import minigrad as mg
    import minigrad.nn.functional as F

    n = channels.shape[-1]
    grid = affine_grid(affine(rotation(angle)), n, n)
    read = F.grid_sample(mg.tensor(channels[None]), mg.tensor(grid[None]), mode, "border", align_corners=True)
    return read.numpy()[0]


def places_of(n: int) -> np.ndarray:
    """Return an image whose two channels are the column and the row of each pixel from the middle, shape (2, n, n)."""
    return np.stack(np.meshgrid(np.arange(n), np.arange(n))) - (n - 1) / 2


@lesson.step("Nearest and bilinear: contrast against place")
def contrast_against_place(run: Run) -> None:
    n, angle = 200, run.rng.uniform(0.2, 1.3)
    noise, places, inside = run.rng.normal(size=(1, n, n)), places_of(n), disc(n)
    by_hand = warp(noise[0][..., None], affine(rotation(angle)))[..., 0]
    difference = (by_hand - turned(noise, angle, "bilinear")[0])[inside]
    run.claim("our sampler against minigrad's, in the disc", largest(difference), below=1e-9)
    true = np.tensordot(rotation(angle), places, 1)
    for mode, contrast, off in (("bilinear", 2 / 3, 0.0), ("nearest", 1.0, np.sqrt(1 / 6))):
        kept = turned(noise, angle, mode)[:, inside].std() / noise[:, inside].std()
        run.claim(f"{mode}: share of the contrast of noise that is kept", kept, equals=contrast, within=0.02)
        distance = np.sqrt(((turned(places, angle, mode) - true)[:, inside] ** 2).sum(axis=0).mean())
        run.claim(f"{mode}: distance from the right place in pixels", distance, equals=off, within=0.02)


# %% [markdown]
# ## The experiment: turn a photograph all the way round
#
# Turn the photograph by 10 degrees, turn the result by 10 degrees, and so on: after 36 turns it is upright again, and
# can be compared with the original. Both errors add up. The nearest pixel lets every detail wander at random by 0.41
# pixels a turn, so by $\sqrt{36/6} \approx 2.4$ after 36 independent turns. The mixture of four blurs, every time.
#
# And there is a third way, the lesson of steps 3 and 8: compose the 36 matrices and read *once*.
#
# Equal angles might be special, so each run draws its own, which add up to 360 degrees; the intervals are over these
# angles, the photograph is one and the same. We compare in the disc around the middle. PSNR, the peak signal-to-noise
# ratio, is $10 \log_{10}(255^2 / \text{mean squared error})$: 20 dB is a typical error of 25 of 255, 40 dB one of
# 2.5. *Fine detail* is the energy of the differences between neighbours, as a share of the original's: above 1 means
# jagged, below 1 means blurred.


# %%
MODES = ("nearest", "bilinear")
ONCE = "composed, read once"


def psnr(got: np.ndarray, want: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB, for values from 0 to 255."""
    return float(10 * np.log10(255**2 / ((got - want) ** 2).mean()))


def draw_angles(rng: np.random.Generator, turns: int) -> np.ndarray:
    """Draw angles that differ by up to a factor of three and add up to a full turn."""
    angles = rng.uniform(0.5, 1.5, turns)
    return 2 * np.pi * angles / angles.sum()


def read_many_times(channels: np.ndarray, angles: np.ndarray, mode: str) -> np.ndarray:
    for angle in angles:
        channels = turned(channels, angle, mode)
    return channels


def detail(channels: np.ndarray, inside: np.ndarray) -> float:
    """Return the mean squared difference between neighbours in a row, where both are inside."""
    both = inside[:, 1:] & inside[:, :-1]
    return float((np.diff(channels, axis=2)[:, both] ** 2).mean())


def full_turn(photo: np.ndarray, angles: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Turn a photograph (3, n, n) all the way round; return PSNR, pixels displaced and fine detail of each way."""
    n = photo.shape[-1]
    inside, places = disc(n, 0.8), places_of(n)
    results = {}
    composed = functools.reduce(compose, [affine(rotation(angle)) for angle in angles])
    by_way = {mode: read_many_times(np.concatenate([photo, places]), angles, mode) for mode in MODES}
    by_way[ONCE] = np.moveaxis(warp(np.moveaxis(np.concatenate([photo, places]), 0, -1), composed), -1, 0)
    for way, channels in by_way.items():
        picture, moved = channels[:3], (channels[3:] - places)[:, inside]
        distance = float(np.sqrt((moved**2).sum(axis=0).mean()))
        results[way] = (
            psnr(picture[:, inside], photo[:, inside]),
            distance,
            detail(picture, inside) / detail(photo, inside),
        )
    return results


@lesson.experiment("A photograph, turned all the way round")
@one_thread()
def turned_all_the_way_round(run: Run) -> None:
    n = run.pick(quick=128, default=400, full=400)
    counts = run.pick(quick=(6, 36), default=(4, 9, 18, 36, 72), full=(4, 9, 18, 36, 72, 144))
    repeats = run.pick(quick=3, default=10, full=20)
    start = (400 - n) // 2
    photo = np.ascontiguousarray(np.moveaxis(photograph()[start : start + n, start : start + n], -1, 0))
    jobs = [(count, draw_angles(run.rng, count)) for count in counts for _ in range(repeats)]
    measured: dict[str, list[tuple[float, float, float]]] = {way: [] for way in (*MODES, ONCE)}
    for _, angles in run.progress(jobs, "turning"):
        for way, numbers in full_turn(photo, angles).items():
            measured[way].append(numbers)
    # Indices: the count of turns, the run, and one of PSNR, displacement, detail.
    scores = {way: np.array(numbers).reshape(len(counts), repeats, 3) for way, numbers in measured.items()}
    run.results["turns"], run.results["scores"] = counts, scores
    run.table(
        f"After a full turn in many steps: means of {repeats} runs with 95 % intervals, {n} x {n} pixels",
        ("steps", "way", "PSNR, dB", "displaced, pixels", "fine detail"),
        [
            (count, way, *(with_margin(scores[way][k, :, m], digits) for m, digits in enumerate((2, 2, 2))))
            for k, count in enumerate(counts)
            for way in MODES
        ],
    )
    at = counts.index(36)
    gains, drift = scores["bilinear"][at, :, 0] - scores["nearest"][at, :, 0], scores["nearest"][at, :, 1].mean()
    gain, margin = mean_and_margin(gains)
    left = scores["bilinear"][at, :, 2].mean()
    run.note(
        f"After 36 turns bilinear is ahead of nearest by {gain:.1f} +- {margin:.1f} dB, and has {left:.0%} of the fine "
        f"detail left. Composed first and read once, the PSNR is {scores[ONCE][at, :, 0].min():.0f} dB or more."
    )
    run.claim("36 turns: bilinear minus nearest, PSNR in dB, the worst run", gains.min(), above=1)
    run.claim("36 turns, nearest: displacement / sqrt(36/6)", drift / np.sqrt(6), within=(0.9, 1.1))
    run.claim("36 turns, bilinear: displacement in pixels", scores["bilinear"][at, :, 1].max(), below=0.1)
    run.claim("36 turns, bilinear: fine detail that is left", scores["bilinear"][at, :, 2].max(), below=0.3)
    run.claim("36 turns, nearest: fine detail, jagged edges included", scores["nearest"][at, :, 2].min(), above=1.2)
    run.claim("composed and read once: worst PSNR of all", scores[ONCE][:, :, 0].min(), above=200)

    inside = disc(n, 0.8)
    views = {f"36 turns, {mode}": read_many_times(photo, np.full(36, np.pi / 18), mode) for mode in MODES}
    by_psnr = {f"{name}: {psnr(view[:, inside], photo[:, inside]):.1f} dB": view for name, view in views.items()}
    run.figure(
        "affine_bilinear-turns",
        figures.draw_turns(
            {title: np.moveaxis(view, 0, -1) for title, view in ({"the original": photo} | by_psnr).items()},
            inside,
            counts,
            scores,
        ),
        alt="The photograph, and what is left of it after 36 turns of 10 degrees: jagged and distorted with the "
        "nearest pixel, blurred with bilinear reading. Below, over the number of turns: PSNR, displacement, detail.",
        data={"turns": counts} | {way.split(",")[0]: values for way, values in scores.items()},
    )


# %% [markdown]
# ## How fast is it?
#
# The sampler above makes some sixty passes over arrays of the output's size, and gathers from four places. A compiled
# loop makes one pass and needs no intermediate array. So how much is there to gain? Three ways take turns on one
# thread: the exercise, minigrad's kernel, and PyTorch where it is installed; all in float64, with the same grid.


# %%
@lesson.experiment("How fast is the sampler?")
def how_fast(run: Run) -> None:
    import kernels.bilinear
    from kernels.benchmark import interleaved

    n = run.pick(quick=100, default=400, full=400)
    picture = run.rng.uniform(size=(n, n, 3))
    grid = affine_grid(affine(rotation(0.5)), n, n)
    x, y = to_pixels(grid[..., 0], n)[0], to_pixels(grid[..., 1], n)[0]
    batch, grids = np.ascontiguousarray(picture.transpose(2, 0, 1)[None]), grid[None]
    candidates = {
        "NumPy, the exercise": lambda: sample(picture, x, y),
        "minigrad's kernel": lambda: kernels.bilinear.grid_sample_forward(batch, grids, "zeros", True),
    }
    if importlib.util.find_spec("torch") is not None:
        import torch

        images, points = torch.from_numpy(batch), torch.from_numpy(grids)
        candidates["PyTorch"] = lambda: torch.nn.functional.grid_sample(images, points, align_corners=True)
    worst = largest(candidates["minigrad's kernel"]()[0].transpose(1, 2, 0) - candidates["NumPy, the exercise"]())
    run.claim("exercise and kernel agree: largest difference", worst, below=1e-9)
    with one_thread():
        timings = interleaved(candidates, rounds=run.pick(quick=5, default=15, full=31), min_time=0.01)
    base = timings["NumPy, the exercise"]
    run.results["speed"] = {name: 1 / timing.ratio(base) for name, timing in timings.items()}
    run.table(
        f"Reading {n} x {n} pixels of 3 channels, one thread (medians)",
        ("way", "ms", "times as fast"),
        [(name, f"{1e3 * timing.median:.2f}", f"{run.results['speed'][name]:.1f}") for name, timing in timings.items()],
    )


# %% [markdown]
# ## The same in PyTorch and in minigrad
#
# `torch.nn.functional.affine_grid` and `grid_sample` are the two halves of `warp`. Pictures have the axes (N, C, H, W)
# there. We compare both conventions and both paddings on small pictures that are not square, with maps that look beyond
# the edges.


# %%
def as_batch(images: np.ndarray, thetas: np.ndarray, size: tuple[int, int], **options: Any) -> np.ndarray:
    """Return `warp` of each image (N, C, H, W) by its map, shape (N, C, *size)."""
    warped = [
        warp(image.transpose(1, 2, 0), theta, size, **options) for image, theta in zip(images, thetas, strict=True)
    ]
    return np.stack(warped).transpose(0, 3, 1, 2)


@lesson.compare("PyTorch")
def pytorch(run: Run) -> None:
    import minigrad as mg
    import minigrad.nn.functional as F

    recorded = recorded_by_torch(lesson)
    images, thetas = recorded["images"], recorded["thetas"]
    rows, columns = recorded["aligned_grid"].shape[1:3]
    size = (len(images), images.shape[1], rows, columns)
    for aligned, name in ((True, "aligned"), (False, "edges")):

        def torch_grid(torch: Any, aligned: bool = aligned) -> Any:
            return torch.nn.functional.affine_grid(torch.tensor(thetas), size, align_corners=aligned)

        ends = scale(1, 1) if aligned else scale((columns - 1) / columns, (rows - 1) / rows)
        grids = np.stack([affine_grid(compose(theta, affine(ends)), rows, columns) for theta in thetas])
        run.compare(f"affine_grid, align_corners={aligned}", grids, recorded=recorded[f"{name}_grid"], live=torch_grid)
        of_minigrad = F.affine_grid(mg.tensor(thetas), size, align_corners=aligned)
        run.claim(f"affine_grid, aligned={aligned}: minigrad's", largest(grids - of_minigrad.numpy()), below=1e-14)
        for padding in ("zeros", "border"):

            def torch_sample(torch: Any, aligned: bool = aligned, padding: str = padding) -> Any:
                points = torch_grid(torch, aligned)
                return torch.nn.functional.grid_sample(torch.tensor(images), points, "bilinear", padding, aligned)

            text = f"grid_sample, {padding}, align_corners={aligned}"
            ours = as_batch(images, thetas, (rows, columns), align_corners=aligned, padding=padding)
            run.compare(text, ours, recorded=recorded[f"{name}_{padding}"], live=torch_sample)
            theirs = F.grid_sample(mg.tensor(images), of_minigrad, "bilinear", padding, aligned).numpy()
            run.claim(f"{text}: minigrad's", largest(ours - theirs), below=1e-12)


@lesson.step("The printed sampler against minigrad's")
def printed_against_minigrad(run: Run) -> None:
    import minigrad as mg
    import minigrad.nn.functional as F

    images = random_images()
    theta = affine(rotation(0.4) @ scale(0.9, 1.1), 0.1, -0.2)
    grid = affine_grid(theta, 400, 400)[None]
    want = F.grid_sample(mg.tensor(images.transpose(0, 3, 1, 2).copy()), mg.tensor(grid), align_corners=True)
    want = want.numpy().transpose(0, 2, 3, 1)
    printed = sampler_of_the_post(images, grid, right_axes=True)
    run.claim("a general map of noise, as printed: mean difference of 255", np.abs(printed - want).mean(), above=20)
    run.claim("a general map of noise, ours: largest difference", largest(warp(images[0], theta) - want[0]), below=1e-9)


# %% [markdown]
# ## Where this breaks
#
# **Shrinking.** The sampler looks at four pixels, however far apart the places are. Shrink a picture eightfold and it
# reads four pixels of every 64; what lies between is never seen, and fine patterns return as coarse ones that are not
# in the picture: *aliasing*. The remedy is to average before reading. A pyramid of halved pictures, made once, has
# about the right amount of averaging for any map that shrinks alike in all directions ([Pyramidal Parametrics][mip],
# Lance Williams, 1983, known as mipmaps); `antialias=True` of `torch.nn.functional.interpolate` widens the mixture
# instead.
#
# Below, rings that grow finer outwards are shrunk eightfold. Beyond some radius a small picture can only show grey.
# Bilinear reading invents rings there. On noise the numbers are known: reading keeps two thirds of the contrast, as
# above, where the average of 64 pixels keeps an eighth.
#
# [mip]: https://doi.org/10.1145/964967.801126


# %%
def rings(n: int) -> np.ndarray:
    """Return rings from 0 to 1 that grow finer outwards, to four pixels a ring at the right edge; shape (n, n, 1)."""
    x, y = places_of(n)
    return (0.5 + 0.5 * np.cos(np.pi * (x**2 + y**2) / (2 * n)))[..., None]


@lesson.step("Where this breaks: shrinking")
def shrinking(run: Run) -> None:
    n, small = 512, 64
    shrink = {
        "four pixels of every 64": lambda image: warp(
            image, IDENTITY, (small, small), align_corners=False, padding="border"
        ),
        "halved three times": lambda image: halved(halved(halved(image))),
    }
    noise = run.rng.normal(size=(n, n, 1))
    # Scaled a little besides, so that the places to read have all kinds of fractions, as they have under most maps.
    read = warp(noise, affine(scale(0.97, 0.93)), (small, small))
    run.claim("noise, bilinear: contrast that is kept", read.std() / noise.std(), equals=2 / 3, within=0.05)
    run.claim("noise, averaged: contrast", shrink["halved three times"](noise).std(), equals=1 / 8, within=0.01)
    picture = rings(n)
    seen = {how: function(picture) for how, function in shrink.items()}
    # A ring at radius r is 2 n / r pixels wide; where that is less than 16, a picture 8 times smaller cannot show it.
    limit = n / 8
    radius = np.hypot(*places_of(small)) * n / small
    beyond = (radius > limit) & (radius < n / 2)
    contrast = {how: float(view[beyond].std() / picture.std()) for how, view in seen.items()}
    run.results["rings"] = contrast
    run.claim("rings too fine to show, bilinear: contrast", contrast["four pixels of every 64"], above=0.4)
    run.claim("rings too fine to show, averaged: contrast", contrast["halved three times"], below=0.25)
    run.figure(
        "affine_bilinear-shrinking",
        figures.draw_shrinking(picture, seen, limit),
        alt="Rings that grow finer outwards. Shrunk eightfold by bilinear reading, new sets of rings appear all over "
        "the picture; averaged first, only the inner rings are left in grey.",
        data={"picture": picture[::2, ::2, 0].astype(np.float32)}
        | {how.replace(" ", "_"): v[..., 0] for how, v in seen.items()},
    )


# %% [markdown]
# **Pictures that are not square.** Normalised coordinates make every picture a square of side 2, and what is a
# rotation there is none in pixels. If the picture is twice as wide as high, a "rotation" by 30 degrees leaves two
# perpendicular lines at an angle of 57 degrees. Go to pixels, rotate, and go back: the right map is $D^{-1} R D$ with
# $D$ the half sizes.


# %%
def rotation_of_picture(angle, H, W):
    """Return the 2 x 2 matrix in normalised coordinates that is a rotation in pixels (align_corners=True)."""
    half_sizes = scale((W - 1) / 2, (H - 1) / 2)
    return np.linalg.inv(half_sizes) @ rotation(angle) @ half_sizes


def right_angle_afterwards(linear: np.ndarray, H: int, W: int) -> float:
    """Return the angle in degrees, in pixels, at which the images of a row and of a column cross: at most 90."""
    half_sizes = scale((W - 1) / 2, (H - 1) / 2)
    u, v = (half_sizes @ linear @ np.linalg.inv(half_sizes)).T
    return float(np.rad2deg(np.arccos(abs(u @ v) / np.linalg.norm(u) / np.linalg.norm(v))))


@lesson.step("Where this breaks: pictures that are not square")
def not_square(run: Run) -> None:
    plain = right_angle_afterwards(rotation(np.pi / 6), 201, 401)
    run.results["angle"] = plain
    run.claim("rotation by 30 degrees, 201 x 401 pixels: what a right angle becomes", plain, equals=57.0, within=0.02)
    right = right_angle_afterwards(rotation_of_picture(np.pi / 6, 201, 401), 201, 401)
    run.claim("the same through pixels: what a right angle becomes", right, equals=90, within=1e-9)


# %% [markdown]
# **Reading again and again.** The experiment shows it: compose maps, not pictures. And a rotation can even lose nothing
# at all. The three shears of step 2 move whole rows and whole columns; if each of them moves by a whole number of
# pixels, every pixel arrives somewhere, alone, and can be sent back. The three shears are due to [Alan Paeth][paeth] (A
# Fast Algorithm for General Raster Rotation, 1986). Rows moved by fractions, with wider mixtures than two pixels, make
# them a method of high quality ([Convolution-Based Interpolation for Fast, High-Quality Rotation of Images][unser],
# Michael Unser, Philippe Thévenaz and Leonid Yaroslavsky, 1995).
#
# [unser]: https://doi.org/10.1109/83.465102
# [paeth]: https://docslib.org/doc/2182789/a-fast-algorithm-for-general-raster-rotation


# %%
def roll_rows(image: np.ndarray, slope: float) -> np.ndarray:
    """Shift each row around by a whole number of pixels, in proportion to its distance from the middle."""
    n, width = image.shape[:2]
    by = np.rint(slope * (np.arange(n) - (n - 1) / 2)).astype(int)
    return image[np.arange(n)[:, None], (np.arange(width) - by[:, None]) % width]


def roll_columns(image: np.ndarray, slope: float) -> np.ndarray:
    return roll_rows(image.swapaxes(0, 1), slope).swapaxes(0, 1)


def rotate_without_loss(image: np.ndarray, angle: float) -> np.ndarray:
    """Turn a square image by three shears of whole rows and columns; what leaves at one side returns at the other."""
    x, y = -np.tan(angle / 2), np.sin(angle)
    return roll_rows(roll_columns(roll_rows(image, x), y), x)


@lesson.step("Where this breaks: a rotation that loses nothing")
def rotation_without_loss(run: Run) -> None:
    photo = photograph()
    there = rotate_without_loss(photo, np.pi / 6)
    back = rotate_without_loss(there, -np.pi / 6)
    run.claim("30 degrees there and back by three shears: largest error", largest(back - photo), equals=0.0)
    inside = disc(400, 0.7)
    smooth = warp(photo, affine(rotation(-np.pi / 6)))
    run.claim("it is the rotation: PSNR in dB against bilinear", psnr(there[inside], smooth[inside]), above=20)
    there_and_back = warp(smooth, affine(rotation(np.pi / 6)))
    run.claim("bilinear there and back: PSNR in dB", psnr(there_and_back[inside], photo[inside]), below=45)


# %% [markdown]
# **Six numbers are not enough** for perspective: affine maps keep parallel lines parallel. A homography has eight.
#
# **Learning the map.** The sampler is piecewise smooth in the place that is read, so a gradient can flow into
# $\theta$, and that is what the lesson `spatial_transformer` does. But the slope at a place comes from its four
# pixels only: a pixel further away cannot pull.
#
# ## How your answers are judged
#
# The inputs are random, and the pictures are never square, so that rows taken for columns show. Each right result is
# a sum of named terms. For `sample` these are the contributions of the four corners, for `affine_grid` those of the
# three columns of $\theta$; what these two are compared with comes from minigrad's `grid_sample` and `affine_grid`,
# which have been written independently of the solutions here. Many of the places lie outside the picture, or exactly
# on a pixel.


# %%
def draw_maps(rng: np.random.Generator) -> dict[str, Any]:
    return {"second": draw_theta(rng), "first": draw_theta(rng)}


@lesson.question(
    "compose",
    inputs=draw_maps,
    sizes={},
    terms={
        "both": (
            Term(
                "linear",
                "(A2 A1 | 0)",
                value=lambda v: affine(v["second"][:, :2] @ v["first"][:, :2]),
                question="Which of the two matrices meets the point first, so stands next to it?",
            ),
            Term(
                "moved",
                "(0 | A2 t1)",
                value=lambda v: affine(np.zeros((2, 2)), *(v["second"][:, :2] @ v["first"][:, 2])),
                question="The first translation goes through the second map. What does that do to it?",
            ),
            Term(
                "shift",
                "(0 | t2)",
                value=lambda v: affine(np.zeros((2, 2)), *v["second"][:, 2]),
                question="Where does the second map send the origin?",
            ),
        )
    },
)
def composed_on_the_tape(named, second, first):
    import minigrad as mg

    last_row = mg.tensor(np.array([[0.0, 0.0, 1.0]]))
    return named("both", second @ mg.cat([first, last_row], 0))


@lesson.question(
    "invert",
    inputs=lambda rng: {"theta": draw_theta(rng)},
    sizes={},
    terms={
        "back": (
            Term(
                "linear",
                "(A^-1 | 0)",
                value=lambda v: affine(np.linalg.inv(v["theta"][:, :2])),
                question="What times A is the identity? Multiply your result by A and look.",
            ),
            Term(
                "shift",
                "(0 | -A^-1 t)",
                value=lambda v: affine(np.zeros((2, 2)), *-np.linalg.solve(v["theta"][:, :2], v["theta"][:, 2])),
                question="The inverse must send t back to the origin. Where does yours send it?",
            ),
        )
    },
    factors={
        "det A": lambda v: np.linalg.det(v["theta"][:, :2]),
        "1/det A": lambda v: 1 / np.linalg.det(v["theta"][:, :2]),
    },
)
def inverted_on_the_tape(named, theta):
    import minigrad as mg

    last_row = mg.tensor(np.array([[0.0, 0.0, 1.0]]))
    return named("back", mg.linalg.inv(mg.cat([theta, last_row], 0))[:2])


def _column_term(k: int, places: Any) -> Any:
    """The contribution of one column of theta to the grid."""
    return lambda v: places(v["H"], v["W"])[..., None] * v["theta"][:, k]


@lesson.question(
    "affine_grid",
    inputs=lambda rng, H, W: {"theta": draw_theta(rng), "H": H, "W": W},
    sizes={"H": (4, 6), "W": (7, 5)},
    terms={
        "grid": (
            Term(
                "across",
                "(a, c) * x",
                value=_column_term(0, lambda H, W: np.tile(np.linspace(-1, 1, W), (H, 1))),
                question="Walk along a row of the output. Which coordinate changes, and from where to where?",
            ),
            Term(
                "down",
                "(b, d) * y",
                value=_column_term(1, lambda H, W: np.tile(np.linspace(-1, 1, H)[:, None], (1, W))),
                question="Walk down a column of the output. Which coordinate changes, and is its first value -1?",
            ),
            Term(
                "shift",
                "(tx, ty)",
                value=_column_term(2, lambda H, W: np.ones((H, W))),
                question="What is read at the middle of the output?",
            ),
        )
    },
)
def grid_on_the_tape(named, theta, H, W):
    import minigrad.nn.functional as F

    return named("grid", F.affine_grid(theta[None], (1, 1, H, W), align_corners=True)[0])


_PIXELS = "At s = 0 you are in the middle of the picture. Of the pixels 0 to n - 1, which index is the middle?"


@lesson.question(
    "to_pixels",
    inputs=lambda rng, n, P: {"s": rng.uniform(-1.3, 1.3, P), "n": n},
    sizes={"n": (5, 8), "P": (6, 9)},
    terms={
        "centres": (
            Term(
                "slope_centres",
                "(n-1)/2 * s",
                value=lambda v: (v["n"] - 1) / 2 * v["s"],
                question="From the first pixel centre to the last one, how many pixels is it? And how far in s?",
            ),
            Term("middle_centres", "(n-1)/2", value=lambda v: (v["n"] - 1) / 2, question=_PIXELS),
        ),
        "edges": (
            Term(
                "slope_edges",
                "n/2 * s",
                value=lambda v: v["n"] / 2 * v["s"],
                question="From the first outer edge to the last one, how many pixels is it? And how far in s?",
            ),
            Term("middle_edges", "(n-1)/2", value=lambda v: (v["n"] - 1) / 2, question=_PIXELS),
        ),
    },
    meanings={
        "n/(n-1)": "has n where n - 1 belongs",
        "(n-1)/n": "has n - 1 where n belongs",
    },
)
def pixels_on_the_tape(named, s, n):
    middle = (n - 1) / 2
    return named("centres", s * middle + middle), named("edges", s * (n / 2) + middle)


def draw_reading(rng: np.random.Generator, H: int, W: int, P: int) -> dict[str, Any]:
    """An image and places: a third anywhere, up to two pixels outside, a third on pixels, the rest at the edges."""
    x, y = rng.uniform(-2, W + 1, P), rng.uniform(-2, H + 1, P)
    kind = np.arange(P) % 3
    x, y = np.where(kind == 1, rng.integers(0, W, P), x), np.where(kind == 1, rng.integers(0, H, P), y)
    x = np.where(kind == 2, rng.choice([-0.4, W - 0.7], P), x)
    y = np.where(kind == 2, rng.uniform(0, H - 1, P), y)
    return {"image": rng.normal(size=(H, W, 2)) + 1, "x": x, "y": y}


def _corner_term(right: int, down: int) -> Any:
    """The contribution of one corner to the samples, the picture being surrounded by zeros."""

    def value(v: dict[str, Any]) -> np.ndarray:
        padded = np.pad(v["image"], ((4, 4), (4, 4), (0, 0)))
        left, top = np.floor(v["x"]), np.floor(v["y"])
        weight = np.abs(1 - right - v["x"] + left) * np.abs(1 - down - v["y"] + top)
        return weight[:, None] * padded[top.astype(int) + down + 4, left.astype(int) + right + 4]

    return value


_CORNER = (
    "Print the weight and the value of the {} for three places: on a pixel, between four, and a quarter of a pixel "
    "outside the picture. For which of them do they differ from the formula?"
)


@lesson.question(
    "sample",
    inputs=draw_reading,
    sizes={"H": (4, 6), "W": (7, 5), "P": (60, 75)},
    terms={
        "samples": (
            Term("q11", "(1-fx) (1-fy) Q11", value=_corner_term(0, 0), question=_CORNER.format("upper left corner")),
            Term("q21", "fx (1-fy) Q21", value=_corner_term(1, 0), question=_CORNER.format("upper right corner")),
            Term("q12", "(1-fx) fy Q12", value=_corner_term(0, 1), question=_CORNER.format("lower left corner")),
            Term("q22", "fx fy Q22", value=_corner_term(1, 1), question=_CORNER.format("lower right corner")),
        )
    },
)
def sampled_on_the_tape(named, image, x, y):
    import minigrad as mg
    import minigrad.nn.functional as F

    height, width, _ = image.shape
    grid = mg.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], -1)[None, None]
    read = F.grid_sample(image.permute(2, 0, 1)[None], grid, align_corners=True)
    return named("samples", read[0, :, 0].T)


# %% [markdown]
# These must not pass; if yours is in the list, its name is your hint.


# %%
def _wrong(exercise, name, wrong, terms="", cause=None):
    """Declare a mistake: its wrong terms, and what the diagnosis says; without a cause, it is known by its name."""
    lesson.mistake(exercise, name, terms=terms.split(), cause=cause)(wrong)


_wrong("compose", "returns zeros", lambda second, first: 0 * first, "linear moved shift", "both is zero")
_wrong("compose", "multiplies in the other order", lambda second, first: compose(first, second), "linear moved shift")
_wrong(
    "compose",
    "forgets the second translation",
    lambda second, first: affine(second[:, :2] @ first[:, :2], *(second[:, :2] @ first[:, 2])),
    "shift",
    "`shift` is 0",
)
_wrong(
    "compose",
    "forgets the first translation",
    lambda second, first: affine(second[:, :2] @ first[:, :2], *second[:, 2]),
    "moved",
    "`moved` is 0",
)
_wrong(
    "compose",
    "adds the translations, as if the second map did not move the first one",
    lambda second, first: affine(second[:, :2] @ first[:, :2], *(first[:, 2] + second[:, 2])),
    "moved",
)
_wrong(
    "compose",
    "applies the first matrix to the second translation",
    lambda second, first: affine(second[:, :2] @ first[:, :2], *(first[:, :2] @ second[:, 2] + first[:, 2])),
    "moved shift",
)
_wrong("compose", "multiplies entry by entry", lambda second, first: second * first, "linear moved shift")
_wrong("compose", "adds the matrices", lambda second, first: second + first, "linear moved shift")


def _inverse_with(theta, inverse, sign=-1):
    return np.column_stack([inverse, sign * inverse @ theta[:, 2]])


def _adjugate(theta, sign=-1):
    (a, b), (c, d) = theta[:, :2]
    return np.array([[d, sign * b], [sign * c, a]])


_wrong("invert", "returns the map itself: reads forwards", lambda theta: theta, "linear shift")
_wrong(
    "invert",
    "transposes, which inverts rotations only",
    lambda theta: _inverse_with(theta, theta[:, :2].T),
    "linear shift",
)
_wrong(
    "invert",
    "keeps the sign of the translation",
    lambda theta: _inverse_with(theta, np.linalg.inv(theta[:, :2]), sign=1),
    "shift",
    "`shift` is -1",
)
_wrong(
    "invert",
    "forgets the translation",
    lambda theta: _inverse_with(theta, np.linalg.inv(theta[:, :2]), sign=0),
    "shift",
    "`shift` is 0",
)
_wrong(
    "invert", "only negates the translation", lambda theta: affine(np.linalg.inv(theta[:, :2]), *-theta[:, 2]), "shift"
)
_wrong(
    "invert",
    "forgets the determinant",
    lambda theta: _inverse_with(theta, _adjugate(theta)),
    "linear shift",
    "every term of back is det A",
)
_wrong(
    "invert",
    "keeps the signs of b and c",
    lambda theta: _inverse_with(theta, _adjugate(theta, sign=1) / np.linalg.det(theta[:, :2])),
    "linear shift",
)
_wrong("invert", "inverts each entry", lambda theta: 1 / theta, "linear shift")


def _grid_of(theta, x, y):
    x, y = np.meshgrid(x, y)
    return np.stack([x, y, np.ones_like(x)], axis=-1) @ theta.T


def _ends(n):
    return np.linspace(-1, 1, n)


_wrong(
    "affine_grid",
    "returns y before x",
    lambda theta, H, W: affine_grid(theta, H, W)[..., ::-1],
    "",
    "grid is reversed along axis 2",
)
_wrong(
    "affine_grid",
    "swaps rows and columns (indexing='ij')",
    lambda theta, H, W: affine_grid(theta, H, W).transpose(1, 0, 2),
    "",
    "with its axes in another order",
)
_wrong(
    "affine_grid",
    "takes x for y: x varies down the columns",
    lambda theta, H, W: affine_grid(theta[:, [1, 0, 2]], H, W),
    "across down",
)
_wrong(
    "affine_grid",
    "forgets the translation",
    lambda theta, H, W: affine_grid(affine(theta[:, :2]), H, W),
    "shift",
    "`shift` is 0",
)
_wrong(
    "affine_grid",
    "starts at the bottom, with y upwards",
    lambda theta, H, W: _grid_of(theta, _ends(W), -_ends(H)),
    "down",
    "`down` is -1",
)
_wrong(
    "affine_grid",
    "uses the transpose of the matrix",
    lambda theta, H, W: affine_grid(affine(theta[:, :2].T, *theta[:, 2]), H, W),
    "across down",
)
_wrong("affine_grid", "uses the inverse map", lambda theta, H, W: affine_grid(invert(theta), H, W), "across down shift")
_wrong(
    "affine_grid",
    "runs from 0 to 1",
    lambda theta, H, W: _grid_of(theta, (_ends(W) + 1) / 2, (_ends(H) + 1) / 2),
    "across down",
)
_wrong(
    "affine_grid",
    "counts pixels instead of -1 to 1",
    lambda theta, H, W: _grid_of(theta, np.arange(W), np.arange(H)),
    "across down",
)
_wrong(
    "affine_grid",
    "leaves out the end: the last column is not at 1",
    lambda theta, H, W: _grid_of(theta, 2 * np.arange(W) / W - 1, 2 * np.arange(H) / H - 1),
    "across down",
)
_wrong(
    "affine_grid",
    "puts -1 and 1 at the outer edges",
    lambda theta, H, W: _grid_of(theta, _ends(W) * (W - 1) / W, _ends(H) * (H - 1) / H),
    "across down",
    "`across` is (W-1)/W",
)

_wrong(
    "to_pixels",
    "multiplies by n/2 in both, as the post prints",
    lambda s, n: ((s + 1) * n / 2, (s + 1) * n / 2),
    "slope_centres middle_centres middle_edges",
    "has n where n - 1 belongs",
)
_wrong(
    "to_pixels",
    "swaps the two",
    lambda s, n: to_pixels(s, n)[::-1],
    "slope_centres slope_edges",
    "`slope_edges` is (n-1)/n: it has n - 1 where n belongs",
)
_wrong(
    "to_pixels",
    "forgets the half pixel",
    lambda s, n: (to_pixels(s, n)[0], (s + 1) * n / 2),
    "middle_edges",
    "`middle_edges` is n/(n-1)",
)
_wrong("to_pixels", "adds the half pixel", lambda s, n: (to_pixels(s, n)[0], ((s + 1) * n + 1) / 2), "middle_edges")
_wrong(
    "to_pixels",
    "takes 0 for the left end",
    lambda s, n: (s * (n - 1) / 2, s * n / 2),
    "middle_centres middle_edges",
    "`middle_centres` is 0",
)
_wrong(
    "to_pixels",
    "forgets the half",
    lambda s, n: ((s + 1) * (n - 1), (s + 1) * n - 1),
    "slope_centres middle_centres slope_edges middle_edges",
    "and `middle_edges` is 2",
)
_wrong(
    "to_pixels",
    "multiplies by (n+1)/2",
    lambda s, n: ((s + 1) * (n + 1) / 2, to_pixels(s, n)[1]),
    "slope_centres middle_centres",
)
_wrong(
    "to_pixels",
    "rounds down to whole pixels",
    lambda s, n: tuple(map(np.floor, to_pixels(s, n))),
    "slope_centres middle_centres slope_edges middle_edges",
)


def _read(image, columns, rows, weights, pad=None):
    """Sum weight * pixel over corners; pad says what a corner outside is: zeros by default, or another look-up."""
    height, width = image.shape[:2]
    total = 0.0
    for column, row, weight in zip(columns, rows, weights, strict=True):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = image[row.clip(0, height - 1), column.clip(0, width - 1)] if pad is None else pad(image, column, row)
        total = total + ((inside if pad is None else 1) * weight)[..., None] * pixel
    return total


def _read_between(image, x, y, x0, x1, y0, y1, pad=None):
    """Read with these corners and the weights that follow from them."""
    weights = (x1 - x) * (y1 - y), (x - x0) * (y1 - y), (x1 - x) * (y - y0), (x - x0) * (y - y0)
    return _read(image, (x0, x1, x0, x1), (y0, y0, y1, y1), weights, pad)


def _floors(x):
    return np.floor(x).astype(int)


def _read_with_weights(image, x, y, *order):
    """Read with the four weights in another order, or None for 0."""
    x0, y0 = _floors(x), _floors(y)
    weights = corner_weights(x - x0, y - y0)
    mixed = [0 * x if k is None else weights[k] for k in order]
    return _read(image, (x0, x0 + 1, x0, x0 + 1), (y0, y0, y0 + 1, y0 + 1), mixed)


def _corners_by(corner):
    """A sampler whose first corner is found by another function than the floor."""

    def wrong(image, x, y):
        x0, y0 = corner(x).astype(int), corner(y).astype(int)
        return _read_between(image, x, y, x0, x0 + 1, y0, y0 + 1)

    return wrong


def _padded_by(pad):
    def wrong(image, x, y):
        x0, y0 = _floors(x), _floors(y)
        return _read_between(image, x, y, x0, x0 + 1, y0, y0 + 1, pad)

    return wrong


def _clipped_first(image, x, y):
    height, width = image.shape[:2]
    x0, y0 = _floors(x), _floors(y)
    columns = x0.clip(0, width - 1), (x0 + 1).clip(0, width - 1)
    return _read_between(image, x, y, *columns, y0.clip(0, height - 1), (y0 + 1).clip(0, height - 1))


def _second_from_the_clipped_first(image, x, y):
    height, width = image.shape[:2]
    x0, y0 = _floors(x).clip(0, width - 1), _floors(y).clip(0, height - 1)
    return _read_between(image, x, y, x0, (x0 + 1).clip(0, width - 1), y0, (y0 + 1).clip(0, height - 1))


def _hard_edge(image, x, y):
    height, width = image.shape[:2]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside[..., None] * sample(image, x, y)


_wrong("sample", "swaps x and y", lambda image, x, y: sample(image, y, x), "q11 q21 q12 q22")
_wrong("sample", "computes the weights from clipped corners", _clipped_first, "q11 q21 q12 q22")
_wrong(
    "sample", "takes the second corner from the clipped first one", _second_from_the_clipped_first, "q11 q21 q12 q22"
)
_wrong("sample", "rounds where it should floor", _corners_by(np.rint), "q11 q21 q12 q22")
_wrong("sample", "truncates towards 0 where it should floor", _corners_by(np.trunc), "q11 q21 q12 q22")
_wrong(
    "sample",
    "takes the ceiling for the second corner",
    lambda image, x, y: _read_between(
        image, x, y, _floors(x), np.ceil(x).astype(int), _floors(y), np.ceil(y).astype(int)
    ),
    "q11 q21 q12 q22",
)
_wrong(
    "sample",
    "gives each corner the weight of the opposite one",
    lambda image, x, y: _read_with_weights(image, x, y, 3, 2, 1, 0),
    "q11 q21 q12 q22",
)
_wrong(
    "sample",
    "swaps the weights of left and right",
    lambda image, x, y: _read_with_weights(image, x, y, 1, 0, 3, 2),
    "q11 q21 q12 q22",
)
_wrong(
    "sample",
    "swaps the weights of the upper right and the lower left pixel",
    lambda image, x, y: _read_with_weights(image, x, y, 0, 2, 1, 3),
    "q21 q12",
)
_wrong(
    "sample",
    "forgets the lower right pixel",
    lambda image, x, y: _read_with_weights(image, x, y, 0, 1, 2, None),
    "q22",
    "`q22` is 0",
)
_wrong(
    "sample",
    "takes the mean of the four pixels",
    lambda image, x, y: _corners_by(np.floor)(image, np.floor(x) + 0.5, np.floor(y) + 0.5),
    "q11 q21 q12 q22",
)
_wrong(
    "sample", "reads the nearest pixel", lambda image, x, y: sample(image, np.rint(x), np.rint(y)), "q11 q21 q12 q22"
)
_wrong(
    "sample",
    "pads with the border",
    _padded_by(lambda image, c, r: image[r.clip(0, image.shape[0] - 1), c.clip(0, image.shape[1] - 1)]),
    "q11 q21 q12 q22",
)
_wrong(
    "sample",
    "wraps around: index -1 is the last pixel",
    _padded_by(lambda image, c, r: image[r % image.shape[0], c % image.shape[1]]),
    "q11 q21 q12 q22",
)
_wrong("sample", "cuts off at the outer pixels instead of fading out", _hard_edge, "q11 q21 q12 q22")


# %% [markdown]
# And these are right answers in other forms:

# %%
lesson.variant("compose", "multiplies 3 x 3 matrices")(lambda second, first: (square(second) @ square(first))[:2])
lesson.variant("invert", "inverts the 3 x 3 matrix")(lambda theta: np.linalg.inv(square(theta))[:2])
lesson.variant("to_pixels", "slope times s, and the middle")(
    lambda s, n: (s * (n - 1) / 2 + (n - 1) / 2, s * n / 2 + (n - 1) / 2)
)


@lesson.variant("affine_grid", "all places as the columns of one matrix, as in the post")
def _(theta, H, W):
    x, y = np.meshgrid(np.linspace(-1, 1, W), np.linspace(-1, 1, H))
    places = np.vstack([x.ravel(), y.ravel(), np.ones(H * W)])
    return np.moveaxis((theta @ places).reshape(2, H, W), 0, -1)


@lesson.variant("sample", "hats over the whole picture")
def _(image, x, y):
    def hat(size, place):
        return np.maximum(0, 1 - np.abs(np.arange(size) - place[..., None]))

    return np.einsum("...h,...w,hwc->...c", hat(image.shape[0], y), hat(image.shape[1], x), image)


@lesson.variant("sample", "pads the picture with zeros")
def _(image, x, y):
    height, width = image.shape[:2]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    x, y = np.clip(x + 1, 0, width + 1), np.clip(y + 1, 0, height + 1)
    left, top = np.minimum(_floors(x), width), np.minimum(_floors(y), height)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    above = (1 - fx) * padded[top, left] + fx * padded[top, left + 1]
    below = (1 - fx) * padded[top + 1, left] + fx * padded[top + 1, left + 1]
    return (1 - fy) * above + fy * below


# %% [markdown]
# ## What would a wrong sampler do?
#
# Press `w` in the loop (`minigrad`): a digit has been turned, scaled and moved, and gradient descent looks for the
# six numbers that do the same, reading with *your* function. The slopes are differences of two losses. A sampler that
# blackens the edge of a picture changes nothing here, for the edge of a digit is black already; only a check of the
# numbers finds it.


# %%
def aligned_losses(read, rng: np.random.Generator) -> Iterator[float]:
    """Fit an affine map to a warped digit; `read` is called as `sample` is."""
    digit = load_digits(flat=False).images[int(rng.integers(100)), 0].astype(np.float64)[..., None]
    n = len(digit)
    target = warp(digit, affine(rotation(0.5) @ scale(0.9, 1.1), 0.1, -0.1))

    def loss_at(theta: np.ndarray) -> float:
        places = (affine_grid(theta, n, n) + 1) * ((n - 1) / 2)
        return float(((read(digit, places[..., 0], places[..., 1]) - target) ** 2).mean())

    theta, step = IDENTITY.copy(), 1e-3
    while True:
        yield loss_at(theta)
        slopes = np.zeros_like(theta)
        for k in np.ndindex(theta.shape):
            moved = np.zeros_like(theta)
            moved[k] = step
            slopes[k] = (loss_at(theta + moved) - loss_at(theta - moved)) / (2 * step)
        theta = theta - 0.5 * slopes


@lesson.consequence("sample", title="a turned digit is to be matched by gradient descent on six numbers")
def with_your_sampler(candidate, rng):
    return aligned_losses(candidate, rng)
