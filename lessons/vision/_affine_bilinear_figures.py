"""The figures of the lesson on affine maps and the bilinear sampler: from arrays to `Figure`s."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.lab.colours import BLUE, GREEN, ORANGE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTER = np.array(
    [[0.2, 0.1], [0.2, 0.9], [0.8, 0.9], [0.8, 0.74], [0.38, 0.74], [0.38, 0.58], [0.65, 0.58], [0.65, 0.42],
     [0.38, 0.42], [0.38, 0.1]]
)  # fmt: skip
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def show(axes: Axes, photo: np.ndarray, title: str = "") -> None:
    """Show a picture with values from 0 to 255, without ticks."""
    axes.imshow(photo.clip(0, 255).astype(np.uint8), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)


def draw_maps(panels: Mapping[str, np.ndarray]) -> Figure:
    """Draw a letter in the unit square, and where each matrix, 2 x 2 or 2 x 3, takes it."""
    figure = new_figure(9, 5.4)
    for axes, (title, matrix) in zip(figure.subplots(2, 3).flat, panels.items(), strict=True):
        shift = matrix[:, 2] if matrix.shape[1] == 3 else np.zeros(2)
        for points, before, after in ((SQUARE, "0.93", "#D6E6F2"), (LETTER, "0.8", BLUE)):
            moved = points @ matrix[:, :2].T + shift
            axes.fill(*points.T, facecolor=before, edgecolor="0.6")
            axes.fill(*moved.T, facecolor=after, edgecolor=BLUE, alpha=0.85, linewidth=1.5)
        for vector, color in zip(matrix[:, :2].T, (VERMILLION, GREEN), strict=True):
            arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", shift + vector, shift, arrowprops=arrow)
        area = abs(np.linalg.det(matrix[:, :2]))
        axes.set(xlim=(-0.75, 1.75), ylim=(-0.15, 1.65), aspect="equal", xticks=[0, 1], yticks=[0, 1])
        axes.set_title(f"{title}: area {round(area, 3):g}", fontsize=10, color=VERMILLION if area < 0.6 else "black")
    figure.suptitle("Where the unit square goes: the columns of the matrix (arrows) are the images of its sides")
    return figure


def draw_holes(
    missing: np.ndarray,
    hit: np.ndarray,
    whole: np.ndarray,
    degrees: np.ndarray,
    measured: np.ndarray,
    expected: Callable[[np.ndarray], np.ndarray],
) -> Figure:
    """Draw a patch turned forwards and backwards, and the share of holes over the angle."""
    from matplotlib.colors import to_rgb

    figure = new_figure(10, 3.4)
    forwards, backwards, axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.3))
    painted = missing.copy()
    painted[~hit] = 255 * np.array(to_rgb(VERMILLION))
    show(forwards, painted, f"Forwards: {1 - hit.mean():.1%} holes")
    show(backwards, whole, "Backwards: none")
    angles = np.linspace(0, 90, 181)
    axes.plot(angles, 100 * expected(np.deg2rad(angles)), color=BLUE, label=r"$(\cos\theta + \sin\theta - 1)^2$")
    axes.plot(degrees, 100 * measured, "o", color=VERMILLION, markersize=4, label="counted, 400 x 400 pixels")
    axes.set(xlabel="angle in degrees", ylabel="holes in percent", title="Holes of a forward rotation", ylim=(0, 22))
    axes.set_xticks(range(0, 91, 15))
    axes.legend(fontsize=8, loc="upper left")
    return figure


def draw_corners(pixels: np.ndarray, place: tuple[float, float]) -> Figure:
    """Draw a place between four pixels with its weights as areas, the surface, and its profile along the diagonal."""
    figure = new_figure(11, 3.9)
    areas, surface, profile = figure.subplots(1, 3, width_ratios=(1.15, 1.2, 1))
    x0, y0 = np.floor(place)
    fx, fy = place[0] - x0, place[1] - y0
    colours = {"11": BLUE, "21": VERMILLION, "12": GREEN, "22": ORANGE}
    # The weight of a pixel is the rectangle at the opposite corner.
    rectangles = {
        "11": (fx, fy, 1 - fx, 1 - fy),
        "21": (0, fy, fx, 1 - fy),
        "12": (fx, 0, 1 - fx, fy),
        "22": (0, 0, fx, fy),
    }
    for (name, colour), value in zip(colours.items(), pixels.ravel(), strict=True):
        left, top, width, height = rectangles[name]
        areas.fill_between(
            [x0 + left, x0 + left + width], y0 + top, y0 + top + height, color=colour, alpha=0.3, linewidth=0
        )
        areas.text(
            x0 + left + width / 2,
            y0 + top + height / 2,
            f"{width * height:.2f}",
            color=colour,
            ha="center",
            va="center",
            fontweight="bold",
        )
        corner = (x0 + int(name[0]) - 1, y0 + int(name[1]) - 1)
        areas.plot(*corner, "o", color=colour, markersize=11, clip_on=False)
        below = name[1] == "2"
        areas.annotate(
            f"$Q_{{{name}}}$ = {value:g}",
            corner,
            (0, -22 if below else 12),
            textcoords="offset points",
            ha="center",
            fontsize=10,
        )
    areas.axvline(place[0], color="0.4", linewidth=0.8)
    areas.axhline(place[1], color="0.4", linewidth=0.8)
    areas.plot(*place, "k+", markersize=12, markeredgewidth=2)
    areas.set(
        xlim=(x0 - 0.25, x0 + 1.25),
        ylim=(y0 + 1.3, y0 - 0.3),
        xticks=[x0, place[0], x0 + 1],
        yticks=[y0, place[1], y0 + 1],
    )
    areas.set(aspect="equal", xlabel="x (column)", ylabel="y (row)")
    areas.set_title("Weights: the opposite rectangles", fontsize=10)

    t = np.linspace(0, 1, 101)
    u, v = np.meshgrid(t, t)
    values = (
        (1 - u) * (1 - v) * pixels[0, 0]
        + u * (1 - v) * pixels[0, 1]
        + (1 - u) * v * pixels[1, 0]
        + u * v * pixels[1, 1]
    )
    shown = surface.imshow(values, extent=(x0, x0 + 1, y0 + 1, y0), cmap="cividis")
    lines = surface.contour(x0 + t, y0 + t, values, levels=np.arange(20, 60, 10), colors="white", linewidths=0.8)
    surface.clabel(lines, fontsize=7)
    surface.plot([x0, x0 + 1], [y0, y0 + 1], ":", color="white", linewidth=1.5)
    surface.plot(*place, "w+", markersize=12, markeredgewidth=2)
    surface.set(xlabel="x (column)", xticks=[x0, place[0], x0 + 1], yticks=[y0, place[1], y0 + 1])
    surface.set_title("The surface: level lines are curved", fontsize=10)
    figure.colorbar(shown, ax=surface, shrink=0.8)

    profile.plot(t, values[np.arange(101), np.arange(101)], color=BLUE, label="along the dotted diagonal")
    profile.plot(t, values[20], color=GREEN, linestyle="--", label=f"along the row y = {place[1]:g}")
    profile.set(xlabel="share of the way", ylabel="value")
    profile.set_title("A straight line, and a parabola", fontsize=10)
    profile.legend(fontsize=8)
    return figure


def draw_photos(photos: Mapping[str, np.ndarray]) -> Figure:
    """Draw photographs in a row."""
    figure = new_figure(11, 2.7)
    for axes, (title, photo) in zip(figure.subplots(1, len(photos)), photos.items(), strict=True):
        show(axes, photo, title)
    return figure


class ReadingFrame:
    """The photograph with the frame that a matrix reads from it, beside what is read; drawn anew for each matrix."""

    def __init__(self, photo: np.ndarray) -> None:
        from matplotlib.figure import Figure
        from matplotlib.patches import Polygon

        self.figure = Figure(figsize=(5.6, 3.3))
        self.figure.subplots_adjust(left=0.01, right=0.99, top=0.9, bottom=0.16, wspace=0.02)
        left, right = self.figure.subplots(1, 2)
        left.imshow(photo.clip(0, 255).astype(np.uint8), extent=(-1, 1, 1, -1))
        self.frame = left.add_patch(Polygon(SQUARE, fill=False, edgecolor=ORANGE, linewidth=3))
        self.corner = left.plot(0, 0, "o", color=ORANGE, markersize=9)[0]
        left.set(xlim=(-2.15, 2.15), ylim=(2.15, -2.15), xticks=[], yticks=[], facecolor="0.85")
        left.set_title("what is read: the frame", fontsize=11)
        self.read = right.imshow(np.zeros((2, 2, 3), np.uint8), extent=(-1, 1, 1, -1))
        right.plot(-1, -1, "o", color=ORANGE, markersize=9, clip_on=False)
        right.set(xticks=[], yticks=[])
        right.set_title("what comes out", fontsize=11)
        self.matrix = self.figure.text(0.25, 0.075, "", family="monospace", fontsize=12, ha="center", va="center")
        self.area = self.figure.text(0.75, 0.075, "", fontsize=11, ha="center", va="center")

    def draw(self, theta: np.ndarray, read: np.ndarray) -> Figure:
        """Show the 2 x 3 matrix ``theta`` and the picture that was read through it; returns the one figure."""
        corners = (2 * SQUARE - 1) @ theta[:, :2].T + theta[:, 2]
        self.frame.set_xy(corners)
        self.corner.set_data(*corners[:1].T)
        self.read.set_data(read.clip(0, 255).astype(np.uint8))
        self.matrix.set_text("\n".join(f"[{a:5.2f} {b:5.2f} {c:4.1f} ]" for a, b, c in theta + 0.0))
        area = abs(np.linalg.det(theta[:, :2]))
        self.area.set_text(f"area of the frame: {area:.2f}")
        return self.figure


def draw_slip(photos: Mapping[str, np.ndarray], degrees: np.ndarray, areas: np.ndarray) -> Figure:
    """Draw photographs under the right and the wrong matrix, and the determinant of the wrong one."""
    figure = new_figure(11, 3.1)
    *panels, axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.25))
    for panel, (title, photo) in zip(panels, photos.items(), strict=True):
        show(panel, photo, title)
    axes.plot(degrees, areas, color=VERMILLION, label=r"$b = c$: $\cos 2\theta$")
    axes.axhline(1, color=BLUE, label=r"$b = -c$: 1")
    axes.axhline(0, color="0.4", linewidth=0.8)
    for at in (30, 45):
        axes.plot(at, areas[at], "o", color=VERMILLION)
        axes.annotate(
            f"{areas[at]:.2g}" if at == 30 else "0", (at, areas[at]), (6, 4), textcoords="offset points", fontsize=9
        )
    axes.set(xlabel="angle in degrees", ylabel="determinant")
    axes.set_title("The area of the unit square", fontsize=10)
    axes.set_xticks(range(0, 91, 15))
    axes.legend(fontsize=8, loc="lower left")
    return figure


def largest_of_blocks(error: np.ndarray) -> np.ndarray:
    """Return the largest of each 2 x 2 pixels, so that a line one pixel wide survives being printed small."""
    height, width = error.shape
    return error[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))


def draw_identity(versions: Mapping[str, tuple[np.ndarray, np.ndarray, int]]) -> Figure:
    """Draw the outputs of the identity map and their error maps, with the upper right corner enlarged.

    Each version has its output (H, W, 3), the absolute error averaged over the channels (H, W), and the number of black
    pixels.
    """
    figure = new_figure(9.5, 7.3)
    panels = figure.subplots(2, len(versions))
    zoom, top = 10, 60
    look: dict[str, Any] = {"cmap": "inferno", "vmin": 0, "vmax": top, "interpolation": "nearest"}
    for (above, below), (name, (output, error, black)) in zip(panels.T, versions.items(), strict=True):
        show(above, output, name)
        shown = below.imshow(largest_of_blocks(error), **look)
        mean = f"{error.mean():.2f}" if error.mean() > 1e-3 else f"{error.mean():.0e}"
        below.set_title(f"mean error {mean} of 255\n{black} black pixels", fontsize=10)
        height, width = shown.get_array().shape
        below.set(xlim=(-3, width + 2), ylim=(height + 2, -3), xticks=[], yticks=[], facecolor="0.85")
        for axes, corner in ((above, output), (below, error)):
            inset = axes.inset_axes((0.7, 0.7, 0.27, 0.27))
            if axes is above:
                show(inset, corner[:zoom, -zoom:])
            else:
                inset.imshow(corner[:zoom, -zoom:], **look)
            inset.set(xticks=[], yticks=[])
            for spine in inset.spines.values():
                spine.set(color="white", linewidth=2)
    bar = figure.colorbar(shown, ax=panels[1, :], location="bottom", aspect=60, extend="max", pad=0.03)
    bar.set_label("absolute error, of 255 (the largest of 2 x 2 pixels)")
    figure.suptitle("The identity map of a photograph, and where it is wrong (insets: the upper right 10 x 10 pixels)")
    return figure


def draw_edges(
    to_pixels: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]],
    x: np.ndarray,
    profiles: Mapping[str, np.ndarray],
) -> Figure:
    """Draw what -1 and 1 mean for four pixels, and how a white picture of 8 pixels fades at its edges."""
    figure = new_figure(10.5, 3.4)
    rulers, axes = figure.subplots(1, 2, width_ratios=(1, 1.1))
    n = 4
    for k in range(n):
        rulers.fill_between([k - 0.47, k + 0.47], 2.6, 3.5, color="0.88", linewidth=0)
        rulers.plot(k, 3.05, "o", color="0.3", markersize=4)
        rulers.text(k, 3.62, f"pixel {k}", ha="center", fontsize=9)
    marks = np.array([-1.0, 0.0, 1.0])
    centres, edges = to_pixels(marks, n)
    lines = (
        (r"centres: $(s+1)(W-1)/2$", centres, BLUE),
        (r"edges: $((s+1)W-1)/2$", edges, GREEN),
        (r"printed: $(s+1)W/2$", (marks + 1) * n / 2, VERMILLION),
    )
    for level, (label, places, color) in zip((2.0, 1.15, 0.3), lines, strict=True):
        rulers.plot(places, np.full(3, level), "|-", color=color, markersize=12, markeredgewidth=2)
        for mark, place in zip(("-1", "0", "1"), places, strict=True):
            rulers.text(place, level + 0.2, mark, ha="center", color=color, fontsize=9)
        rulers.text(n + 0.35, level, label, va="center", color=color, fontsize=9)
    rulers.axvline((n - 1) / 2, ymax=0.93, color="0.6", linewidth=0.8, linestyle=":")
    rulers.set(xlim=(-0.8, n + 2.6), ylim=(-0.1, 4.0))
    rulers.set_axis_off()
    rulers.set_title("Four pixels, three rulers: the printed one has another middle", fontsize=10)

    looks = zip(profiles.items(), (BLUE, GREEN, VERMILLION), ("-", "--", "-"), (3.5, 1.8, 1.5), strict=True)
    for (name, values), color, style, thick in looks:
        axes.plot(x, values, style, color=color, linewidth=thick, label=name)
    axes.axvspan(0, 7, color="0.93", zorder=0)
    axes.text(3.5, 0.5, "pixel centres\n0 to 7", ha="center", va="center", color="0.4", fontsize=9)
    axes.set(xlabel="place that is read (in pixels)", ylabel="value", ylim=(-0.1, 1.45))
    axes.set_title("A white row of 8 pixels, read across its edges", fontsize=10)
    axes.legend(fontsize=8, loc="upper center", ncols=3)
    return figure


def draw_turns(
    views: Mapping[str, np.ndarray], inside: np.ndarray, counts: Sequence[int], scores: Mapping[str, np.ndarray]
) -> Figure:
    """Draw what 36 turns leave of a photograph, and PSNR, displacement and detail over the number of turns.

    `scores` has, for each way, an array (counts, runs, 3).
    """
    figure = new_figure(10, 6.4)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    n = len(inside)
    for axes, (title, view) in zip(top.subplots(1, len(views)), views.items(), strict=True):
        show(axes, np.where(inside[..., None], view, 255)[n // 10 : -n // 10, n // 10 : -n // 10], title)
        axes.set_axis_off()
    looks: dict[str, dict[str, Any]] = {
        "nearest": {"color": VERMILLION, "marker": "s"},
        "bilinear": {"color": BLUE, "marker": "o"},
    }
    titles = ("PSNR in dB", "displaced by (pixels)", "fine detail, original = 1")
    for m, (axes, title) in enumerate(zip(bottom.subplots(1, 3), titles, strict=True)):
        for way, look in looks.items():
            values = scores[way][:, :, m]
            axes.fill_between(
                counts, values.min(axis=1), values.max(axis=1), color=look["color"], alpha=0.2, linewidth=0
            )
            axes.plot(counts, values.mean(axis=1), label=way, **look)
        axes.set(xscale="log", xlabel="turns to go all the way round")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set_title(title, fontsize=10)
    psnr, displaced, fine = bottom.axes
    steps = np.linspace(min(counts), max(counts), 100)
    displaced.plot(steps, np.sqrt(steps / 6), ":", color="0.3", label=r"$\sqrt{\mathrm{turns}/6}$")
    fine.axhline(1, color="0.3", linewidth=0.8, linestyle=":")
    psnr.legend(fontsize=8)
    displaced.legend(fontsize=8)
    figure.suptitle("Nearest loses the place, bilinear the contrast (bands: all runs)")
    return figure


def draw_shrinking(picture: np.ndarray, seen: Mapping[str, np.ndarray], limit: float) -> Figure:
    """Draw a picture of rings, with a circle where they become too fine, and its shrunk versions."""
    from matplotlib.patches import Circle

    figure = new_figure(10, 3.7)
    n = len(picture)
    for axes, (title, view) in zip(
        figure.subplots(1, 3), ({f"{n} x {n}: the picture": picture} | dict(seen)).items(), strict=True
    ):
        size = len(view)
        axes.imshow(view[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        middle = (size - 1) / 2
        axes.add_patch(Circle((middle, middle), limit * size / n, fill=False, color=ORANGE, linewidth=1.5))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(title if size == n else f"{size} x {size}: {title}", fontsize=10)
    figure.suptitle(
        "Outside the orange circle the rings are too fine for 64 x 64 pixels; what is seen there is not there"
    )
    return figure
