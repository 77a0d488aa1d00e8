"""One run of a lesson: its size and seed, where figures go, and all that was claimed and measured."""

from __future__ import annotations

import importlib
import io
import itertools
import math
import sys
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lessons.anatomy.files import write_atomically
from lessons.anatomy.text import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from lessons.anatomy.lesson import Part

T = TypeVar("T")
ShowProgress = Callable[[Iterable[Any], str, "int | None"], Iterable[Any]]

SIZES = ("quick", "default", "full")
LAST_FRAME = 2000  # milliseconds for which an animation shows its last frame at least
LINES_DPI, PHOTOGRAPH_DPI = 120, 100  # of the frames of a slider, of which there are many
LINES_COLOURS = 64


@dataclass(frozen=True)
class Claim:
    """One row of the account: what was claimed, what was measured, what was required, and whether it held."""

    text: str
    measured: Any
    requirement: str
    passed: bool
    kind: str = "claim"  # claim | refuted | recorded | live | error
    problem: str = ""


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class Table:
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A figure that was drawn; ``files`` is empty when the run has no output folder."""

    name: str
    alt: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Axis:
    """What one slider of a figure sets: ``label`` may end with a unit in parentheses, as in "angle (degrees)"."""

    label: str
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        return self._parts[0]

    @property
    def unit(self) -> str:
        return self._parts[1]

    @property
    def shown(self) -> tuple[str, ...]:
        """The values as they are read aloud, with their unit."""
        return tuple(f"{value:.4g} {self.unit}".rstrip() for value in self.values)

    @property
    def _parts(self) -> tuple[str, str]:
        name, _, unit = self.label.removesuffix(")").rpartition(" (") if self.label.endswith(")") else ("", "", "")
        return (name, unit) if name else (self.label, "")


@dataclass(frozen=True)
class Slider(Figure):
    """A figure for each position of one or two sliders.

    ``frames`` are the pictures, the last axis running fastest; ``start`` is the position of the still, the first of
    ``files``.  Without an output folder there are neither.
    """

    axes: tuple[Axis, ...]
    start: tuple[int, ...]
    frames: tuple[Path, ...]


@dataclass
class Section:
    """What one part of the lesson said during the run, in order."""

    part: Part | None = None
    items: list[Claim | Note | Table | Figure] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def claims(self) -> list[Claim]:
        return [item for item in self.items if isinstance(item, Claim)]

    @property
    def passed(self) -> bool:
        return all(claim.passed for claim in self.claims)


class Run:
    """What a lesson's parts are given.

    ``size`` is "quick", "default" or "full"; ``seed`` a non-negative integer; ``out`` the folder for figures,
    or None to save none; ``show_progress(iterable, description, total)`` wraps the iterables of `progress`.
    ``results`` is a dict for numbers that later parts and tests look at.
    """

    def __init__(
        self,
        size: str = "default",
        seed: int = 0,
        out: Path | str | None = None,
        show_progress: ShowProgress | None = None,
    ) -> None:
        if size not in SIZES:
            raise ValueError(f"Run: size must be one of {', '.join(SIZES)}, got {size!r}")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"Run: seed must be a non-negative integer, got {seed!r}")
        self.size = size
        self.seed = seed
        self.out = None if out is None else Path(out)
        self.results: dict[str, Any] = {}
        self.sections: list[Section] = []
        self.rng = np.random.default_rng(seed)
        self._show_progress = show_progress
        self._figure_names: set[str] = set()

    # ---- what the run is about

    def pick(self, *, quick: T, default: T, full: T) -> T:
        """The one of three values that belongs to this run's size."""
        return {"quick": quick, "default": default, "full": full}[self.size]

    def progress(self, iterable: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Iterate over ``iterable``, with a progress bar where somebody is watching."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        shown = iterable if self._show_progress is None else self._show_progress(iterable, description, total)
        return iter(shown)

    # ---- what the parts say

    def claim(
        self,
        text: str,
        measured: Any,
        *,
        below: float | None = None,
        above: float | None = None,
        equals: Any = None,
        within: float | tuple[float, float] | None = None,
    ) -> bool:
        """Record a claim with its measured number; returns whether it held, and never raises.

        ``below`` and ``above`` are strict bounds and may be combined.  ``equals`` asks for exactly that
        value, or with ``within`` for at most that distance from it; ``within=(low, high)`` alone is a closed
        interval.  NaN, infinity, None and arrays with more than one element fail any bound, and a claim that
        requires nothing fails, because it could not have done so otherwise.
        """
        requirement = _requirement(below, above, equals, within)
        measured, problem = _judge(measured, below, above, equals, within)
        return self._record(Claim(text, measured, requirement, not problem, problem=problem))

    def refuted(self, text: str, measured: Any, *, above: float) -> bool:
        """Record how wrong an erratum's printed form is; passes when that is finite and above ``above``."""
        requirement = _requirement(None, above, None, None)
        measured, problem = _judge(measured, None, above, None, None)
        return self._record(Claim(text, measured, requirement, not problem, "refuted", problem))

    def compare(
        self,
        text: str,
        ours: Any,
        *,
        recorded: Any,
        live: Callable[[Any], Any] | None = None,
        below: float = 1e-12,
    ) -> bool:
        """Compare our array with values recorded from PyTorch and, if it is installed, ``live(torch)``.

        The measured number is ``max|ours - theirs| / max(1, max|theirs|)``.  Shapes must be equal.
        """
        passed = self._compare_one(f"{text}: recorded", "recorded", ours, lambda: recorded, below)
        if live is None:
            return passed
        try:
            torch = importlib.import_module("torch")
        except ImportError:
            self.note(f"{text}: PyTorch is not installed, so only the recorded values were compared.")
            return passed
        return self._compare_one(f"{text}: live torch", "live", ours, lambda: live(torch), below) and passed

    def note(self, text: str) -> None:
        """Record a remark for the reader."""
        self._section.items.append(Note(text))

    def table(self, title: str, headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Record a table; every row must be as long as ``headers`` (``ValueError`` otherwise)."""
        table = Table(title, tuple(headers), tuple(tuple(row) for row in rows))
        for row in table.rows:
            if len(row) != len(table.headers):
                raise ValueError(f"table {title!r}: {len(table.headers)} headers, but a row has {len(row)} cells")
        self._section.items.append(table)

    def figure(self, name: str, fig: MatplotlibFigure, alt: str, data: Mapping[str, Any] | None = None) -> None:
        """Save ``fig`` as NAME.svg and NAME.png and the arrays it shows as NAME.npz in ``out``; close it.

        ``alt`` says in words what the figure shows.  Without an output folder nothing is written, but inside
        Jupyter the figure is displayed.  Raises ``ValueError`` for a name that is no plain file name or was
        used before in this run's folder, and for an empty ``alt``.
        """
        self._require_figure_name(name, alt)
        files: tuple[Path, ...] = ()
        if self.out is not None:
            files = self._write_all(name, _figure_files(name, fig, alt, data or {}))
        elif "IPython" in sys.modules:
            _show_in_notebook(_png(fig, 100))
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close(fig)
        self._section.items.append(Figure(name, alt, files))

    def animation(
        self,
        name: str,
        frames: Iterable[MatplotlibFigure],
        alt: str,
        data: Mapping[str, Any] | None = None,
        milliseconds: int = 150,
    ) -> None:
        """Save figures as the moving picture NAME.gif, the last one as NAME.png, and their arrays as NAME.npz.

        Each of ``frames`` is drawn before the next one is asked for, so a generator may change one figure and yield it
        again.  Each is shown for ``milliseconds``, the last one for `LAST_FRAME` at least; then it begins again.
        For the rest see `figure`.  Raises ``ValueError`` also when there are no frames, or of unequal sizes.
        """
        self._require_figure_name(name, alt)
        files: tuple[Path, ...] = ()
        if self.out is not None:
            files = self._write_all(name, _animation_files(name, frames, alt, data or {}, milliseconds))
        elif "IPython" in sys.modules:
            _show_in_notebook(dict(_animation_files(name, frames, alt, {}, milliseconds))[".gif"])
        self._section.items.append(Figure(name, alt, files))

    def slider(
        self,
        name: str,
        axes: Mapping[str, Sequence[float]],
        draw: Callable[..., MatplotlibFigure],
        alt: str,
        start: Sequence[int],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Save a figure for every combination of the axes' values, for the reader to slide through.

        ``axes`` has one or two labels, each with its values; a label may end with a unit in parentheses.  ``draw`` is
        called with a value of each axis, the last running fastest, and may return one figure that it changes from call
        to call.  ``start`` says by index which combination is shown first: saved as NAME.png, it is what a reader has
        where nothing slides.  The frames are NAME-00-03.webp, and ``data`` is saved as NAME.npz.

        For the rest see `figure`.  Raises ``ValueError`` also for no axis or three, an axis with one value or an empty
        label, a start outside, and frames of unequal sizes.
        """
        self._require_figure_name(name, alt)
        along = tuple(Axis(label, tuple(float(value) for value in values)) for label, values in axes.items())
        _require_axes(name, along, start)
        files: tuple[Path, ...] = ()
        frames: tuple[Path, ...] = ()
        if self.out is not None:
            files = self._write_all(name, _slider_files(name, along, draw, alt, tuple(start), data or {}))
            frames = tuple(file for file in files if file.suffix == ".webp")
        elif "IPython" in sys.modules:
            values = [axis.values[k] for axis, k in zip(along, start, strict=True)]
            _show_in_notebook(_png(draw(*values), 100))
        self._section.items.append(Slider(name, alt, files, along, tuple(start), frames))

    # ---- what came of it

    @property
    def claims(self) -> list[Claim]:
        return [claim for section in self.sections for claim in section.claims]

    @property
    def passed(self) -> bool:
        """True when at least one claim was made and every claim held."""
        return bool(self.claims) and all(claim.passed for claim in self.claims)

    def begin(self, part: Part) -> Section:
        """Start the section of ``part``, with random numbers that depend on the seed and the part alone.

        Running one part by itself, or adding one before it, therefore gives the same numbers.
        """
        self.rng = np.random.default_rng([self.seed, zlib.crc32(part.name.encode())])
        self.sections.append(Section(part))
        return self.sections[-1]

    def record_error(self, text: str, error: BaseException) -> None:
        """Record that a part broke off: a failed claim with the error."""
        problem = f"{type(error).__name__}: {error}"
        frames = traceback.extract_tb(error.__traceback__)
        if len(frames) > 1:  # the first frame is the runner's own call of the part
            own = [frame for frame in frames if frame.filename == frames[1].filename][-1]
            problem += f"\n{Path(own.filename).name}, line {own.lineno}, in {own.name}:  {own.line}"
        self._record(Claim(text, None, "runs to its end", False, "error", problem))

    # ---- inside

    def _require_figure_name(self, name: str, alt: str) -> None:
        if not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"figure: the name must be letters, digits, - and _, got {name!r}")
        if self.out is not None and name in self._figure_names:
            raise ValueError(f"figure: this run has already drawn a figure called {name!r}")
        if not alt.strip():
            raise ValueError(f"figure {name!r}: alt must say in words what the figure shows")
        self._figure_names.add(name)

    def _write_all(self, name: str, contents: Iterable[tuple[str, bytes]]) -> tuple[Path, ...]:
        assert self.out is not None
        files: list[Path] = []
        for suffix, content in contents:
            files.append(self.out / f"{name}{suffix}")
            write_atomically(files[-1], content)
        return tuple(files)

    @property
    def _section(self) -> Section:
        if not self.sections:
            self.sections.append(Section())
        return self.sections[-1]

    def _record(self, claim: Claim) -> bool:
        self._section.items.append(claim)
        return claim.passed

    def _compare_one(self, text: str, kind: str, ours: Any, theirs: Callable[[], Any], below: float) -> bool:
        requirement = _requirement(below, None, None, None)
        try:
            measured, problem = _judge(_relative_distance(ours, theirs()), below, None, None, None)
        except Exception as error:
            measured, problem = None, f"{type(error).__name__}: {error}"
        return self._record(Claim(text, measured, requirement, not problem, kind, problem))


def _requirement(below: Any, above: Any, equals: Any, within: Any) -> str:
    parts: list[str] = []
    if above is not None:
        parts.append(f"> {number(above)}")
    if below is not None:
        parts.append(f"< {number(below)}")
    if equals is not None:
        parts.append(f"= {number(equals)}" if within is None else f"= {number(equals)} +- {number(within)}")
    elif within is not None:
        parts.append(f"within {within}")
    return " and ".join(parts) or "(none stated)"


def _judge(measured: Any, below: Any, above: Any, equals: Any, within: Any) -> tuple[Any, str]:
    """The measured value as a plain Python value, and what is wrong with it ("" when the claim holds)."""
    try:
        return _judge_or_raise(measured, below, above, equals, within)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _judge_or_raise(measured: Any, below: Any, above: Any, equals: Any, within: Any) -> tuple[Any, str]:
    if below is None and above is None and equals is None and within is None:
        return measured, "the claim requires nothing: give below, above, equals or within"
    if equals is not None and within is None:
        right = bool(np.array_equal(measured, equals))
        measured = measured.item() if isinstance(measured, np.generic) else measured
        if not right:
            return measured, "differs"
        if below is None and above is None:
            return measured, ""
    value = np.asarray(measured.detach().numpy() if type(measured).__name__ == "Tensor" else measured)
    if value.size != 1 or value.dtype.kind not in "biuf":
        return measured, f"not one real number but {type(measured).__name__} of shape {value.shape}"
    measured = value.reshape(()).item()
    if not math.isfinite(measured):
        return measured, "not finite"
    if below is not None and not measured < below:
        return measured, "not below the bound"
    if above is not None and not measured > above:
        return measured, "not above the bound"
    if equals is not None and within is not None and not abs(measured - equals) <= within:
        return measured, "too far away"
    if equals is None and within is not None:
        if not isinstance(within, tuple):
            return measured, "within alone must be a pair (low, high); a distance needs equals too"
        if not within[0] <= measured <= within[1]:
            return measured, "outside the interval"
    return measured, ""


def _relative_distance(ours: Any, theirs: Any) -> float:
    ours, theirs = (
        np.asarray(value.detach().numpy() if hasattr(value, "detach") else value, dtype=np.float64)
        for value in (ours, theirs)
    )
    if ours.shape != theirs.shape:
        raise ValueError(f"ours has shape {ours.shape}, PyTorch's {theirs.shape}")
    if ours.size == 0:
        raise ValueError("nothing to compare: the arrays are empty")
    return float(np.max(np.abs(ours - theirs)) / max(1.0, float(np.max(np.abs(theirs)))))


def _figure_files(name: str, fig: MatplotlibFigure, alt: str, data: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The figure's files as (suffix, content); the same figure gives the same bytes on every run."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        svg = io.BytesIO()
        fig.savefig(svg, format="svg", metadata={"Date": None, "Title": alt})
    yield ".svg", svg.getvalue()
    yield ".png", _png(fig, 150, alt)
    yield from _data_file(data)


def _animation_files(
    name: str, frames: Iterable[MatplotlibFigure], alt: str, data: Mapping[str, Any], milliseconds: int
) -> Iterator[tuple[str, bytes]]:
    """The animation's files as (suffix, content); the same frames give the same bytes on every run."""
    from PIL import Image  # Matplotlib needs Pillow, so it is there

    pictures: list[Image.Image] = []
    for fig in frames:
        with Image.open(io.BytesIO(_png(fig, 80))) as drawn:
            pictures.append(drawn.convert("RGB"))
    if not pictures:
        raise ValueError(f"animation {name!r}: there are no frames")
    if len({picture.size for picture in pictures}) > 1:
        raise ValueError(f"animation {name!r}: the frames must all have the size of the first")
    # One palette for all frames, from a few of them: with a palette each, what stands still would flicker.
    width, height = pictures[0].size
    chosen = [pictures[k * (len(pictures) - 1) // 3] for k in range(4)]
    sheet = Image.new("RGB", (width, 4 * height))
    for k, picture in enumerate(chosen):
        sheet.paste(picture, (0, k * height))
    palette = sheet.quantize(256)
    first, *rest = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    times = [milliseconds] * len(rest) + [max(milliseconds, LAST_FRAME)]
    gif = io.BytesIO()
    first.save(
        gif, "GIF", save_all=True, append_images=rest, duration=times, loop=0, comment=alt.encode(), optimize=False
    )
    yield ".gif", gif.getvalue()
    yield ".png", _png(fig, 150, alt)
    yield from _data_file(data)


def _require_axes(name: str, axes: Sequence[Axis], start: Sequence[int]) -> None:
    if len(axes) not in (1, 2):
        raise ValueError(f"slider {name!r}: give one axis or two, not {len(axes)}")
    for axis in axes:
        if not axis.label.strip() or len(axis.values) < 2:
            raise ValueError(f"slider {name!r}: the axis {axis.label!r} needs a label and at least two values")
    if len(start) != len(axes) or not all(0 <= k < len(axis.values) for axis, k in zip(axes, start, strict=True)):
        raise ValueError(f"slider {name!r}: start must have an index into the values of each axis, got {start!r}")


def _slider_files(
    name: str,
    axes: Sequence[Axis],
    draw: Callable[..., MatplotlibFigure],
    alt: str,
    start: tuple[int, ...],
    data: Mapping[str, Any],
) -> Iterator[tuple[str, bytes]]:
    """The slider's files as (suffix, content); the same frames give the same bytes on every run."""
    places = list(itertools.product(*(range(len(axis.values)) for axis in axes)))

    def figure(place: tuple[int, ...]) -> MatplotlibFigure:
        return draw(*(axis.values[k] for axis, k in zip(axes, place, strict=True)))

    still = _png(figure(start), 150, alt)
    first = _pixels(figure(places[0]), PHOTOGRAPH_DPI)
    lines = len(_as_lines(first)) < len(_as_photograph(first))
    as_webp, dpi = (_as_lines, LINES_DPI) if lines else (_as_photograph, PHOTOGRAPH_DPI)
    frames = []
    sizes = set()
    for place in places:
        pixels = _pixels(figure(place), dpi)
        frames.append(as_webp(pixels))
        sizes.add(pixels.shape)
    if len(sizes) > 1:
        raise ValueError(f"slider {name!r}: the frames must all have one size")
    yield ".png", still
    for place, frame in zip(places, frames, strict=True):
        yield "".join(f"-{k:02d}" for k in place) + ".webp", frame
    yield from _data_file(data)


def _pixels(fig: MatplotlibFigure, dpi: int) -> np.ndarray:
    """A figure as an array (H, W, 3) of bytes: without a PNG in between, which would take longer than to draw it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    fig.set_dpi(dpi)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _as_lines(pixels: np.ndarray) -> bytes:
    """A picture of lines and letters as WebP: few colours, no other loss."""
    from PIL import Image  # Matplotlib needs Pillow, so it is there

    webp = io.BytesIO()
    few = Image.fromarray(pixels).quantize(LINES_COLOURS, dither=Image.Dither.NONE)
    few.convert("RGB").save(webp, "WEBP", lossless=True, quality=20, method=2)
    return webp.getvalue()


def _as_photograph(pixels: np.ndarray) -> bytes:
    """A picture with many colours as WebP, with losses that one hardly sees."""
    from PIL import Image

    webp = io.BytesIO()
    Image.fromarray(pixels).save(webp, "WEBP", quality=60, method=2)
    return webp.getvalue()


def _png(fig: MatplotlibFigure, dpi: int, alt: str = "") -> bytes:
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=dpi, metadata={"Software": None, "Description": alt or None})
    return png.getvalue()


def _data_file(data: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    if data:
        arrays = io.BytesIO()
        contents: dict[str, Any] = {key: np.asarray(value) for key, value in data.items()}
        np.savez_compressed(arrays, **contents)
        yield ".npz", arrays.getvalue()


def _show_in_notebook(picture: bytes) -> None:
    display = importlib.import_module("IPython.display")
    display.display(display.Image(picture))
