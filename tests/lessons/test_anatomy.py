"""What a lesson is made of: claims, errata, figures, parts, stubs and checks, each with its way to fail."""

from __future__ import annotations

import importlib.util
import inspect
import io
import math
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from lessons.anatomy import (
    Axis,
    Lesson,
    LessonError,
    Run,
    Source,
    Verdict,
    check_file,
    check_functions,
    stub,
    stub_file,
)
from lessons.anatomy.account import account, body, outcome_lines
from lessons.anatomy.files import write_atomically
from lessons.anatomy.homework import HomeworkError
from lessons.anatomy.text import Style, counted, number, table_lines, width_of, wrapped

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture
def toy() -> Lesson:
    """A fresh copy of the toy lesson for each test, which may then spoil it."""
    spec = importlib.util.spec_from_file_location("toy_of_a_test", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lesson


def empty_lesson(**metadata) -> Lesson:
    return Lesson("bare", "Bare", "none", Source("T", "A", 2000, "https://example.org"), "none", **metadata)


def test_counted():
    assert [counted(n, "erratum", "errata") for n in (0, 1, 2)] == ["0 errata", "1 erratum", "2 errata"]


# ---- errata and their sources

OTHER = Source("Another post", "B", 2001, "https://example.org/2")


def test_smaller_slips_are_a_step_and_are_listed():
    lesson = empty_lesson()
    lesson.smaller_slips([("N", "teh", "the"), ("W", "large", "small")])
    lesson.smaller_slips([("N", "y = x", "x = y")], source=OTHER)
    assert [(slip.printed, slip.source.title) for slip in lesson.slips] == [
        ("teh", "T"),
        ("large", "T"),
        ("y = x", OTHER.title),
    ]
    run = lesson.run("quick")
    assert run.sections[0].items[0].rows == (("N", "teh", "the"), ("W", "large", "small"))
    assert run.sections[1].items[0].rows == (("N", "y = x", "x = y"),)
    assert lesson.errata == []


def test_a_slip_of_substance_is_refused():
    with pytest.raises(LessonError, match="need evidence"):
        empty_lesson().smaller_slips([("M", "1 = 2", "1 = 1")])


def test_an_erratum_may_be_of_another_source():
    lesson = empty_lesson()
    lesson.erratum("N", "t", printed="p", right="r")(lambda run: None)
    assert lesson.errata[0].erratum.source == lesson.source
    lesson.erratum("N", "t", printed="p", right="r", source=OTHER)(test_an_erratum_may_be_of_another_source)
    assert lesson.errata[1].erratum.source == OTHER


# ---- claims


@pytest.mark.parametrize(
    ("measured", "requirement"),
    [
        (0.5, {"below": 1.0}),
        (np.float32(0.5), {"below": 1.0}),
        (np.array([0.5]), {"below": 1.0}),
        (2, {"above": 1}),
        (0.5, {"above": 0.0, "below": 1.0}),
        (3, {"equals": 3}),
        ("relu", {"equals": "relu"}),
        (np.arange(3), {"equals": [0, 1, 2]}),
        (True, {"equals": True}),
        (3.05, {"equals": 3.0, "within": 0.1}),
        (0.5, {"within": (0.5, 1.0)}),
    ],
)
def test_claims_that_hold(measured, requirement):
    run = Run()
    assert run.claim("it holds", measured, **requirement) is True
    assert run.passed


@pytest.mark.parametrize(
    ("measured", "requirement", "problem"),
    [
        (1.0, {"below": 1.0}, "not below"),
        (1.0, {"above": 1.0}, "not above"),
        (2.0, {"above": 0.0, "below": 1.0}, "not below"),
        (math.nan, {"below": 1.0}, "not finite"),
        (math.inf, {"above": 1.0}, "not finite"),
        (-math.inf, {"below": 1.0}, "not finite"),
        (math.nan, {"equals": math.nan}, "differs"),
        (math.nan, {"equals": 1.0, "within": 9.0}, "not finite"),
        (None, {"below": 1.0}, "not one real number"),
        ("0.5", {"below": 1.0}, "not one real number"),
        (1j, {"below": 1.0}, "not one real number"),
        (np.zeros(2), {"below": 1.0}, "shape (2,)"),
        (np.zeros(0), {"below": 1.0}, "shape (0,)"),
        (4, {"equals": 3}, "differs"),
        (3.2, {"equals": 3.0, "within": 0.1}, "too far"),
        (0.4, {"within": (0.5, 1.0)}, "outside"),
        (0.4, {"within": 0.1}, "needs equals"),
        (0.4, {}, "requires nothing"),
        (0.4, {"below": "one"}, "TypeError"),
    ],
)
def test_claims_that_fail_are_recorded_and_never_raise(measured, requirement, problem):
    run = Run()
    assert run.claim("it fails", measured, **requirement) is False
    assert problem in run.claims[0].problem
    assert not run.passed


def test_a_run_without_claims_has_shown_nothing():
    assert not Run().passed


@pytest.mark.parametrize(("error", "passes"), [(0.63, True), (0.05, False), (math.nan, False), (math.inf, False)])
def test_a_printed_form_is_refuted_only_by_a_finite_error_above_the_bound(error, passes):
    assert Run().refuted("printed", error, above=0.1) is passes


def test_compare_measures_the_largest_distance_against_the_recorded_scale():
    run = Run()
    assert run.compare("same", [1.0, 2.0], recorded=np.array([1.0, 2.0]))
    assert not run.compare("scaled", [0.0, 101.0], recorded=[0.0, 100.0], below=1e-3)
    assert run.claims[1].measured == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("ours", "recorded"),
    [
        ([1.0], [1.0, 1.0]),
        ([[1.0]], [1.0]),
        ([], []),
        ([math.nan], [math.nan]),
        (None, [1.0]),
        (["a"], [1.0]),
    ],
)
def test_compare_fails_on_what_cannot_be_compared(ours, recorded):
    run = Run()
    assert not run.compare("bad", ours, recorded=recorded)
    assert run.claims[0].problem


class _FakeTensor:
    def __init__(self, values):
        self.values = np.array(values)

    def detach(self):
        return self

    def numpy(self):
        return self.values


def test_compare_asks_an_installed_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", "the torch module")
    run = Run()
    live = {"the torch module": _FakeTensor([1.0])}.__getitem__
    assert run.compare("live", [1.0], recorded=[1.0], live=live)
    assert not run.compare("live is off", [1.0], recorded=[1.0], live=lambda torch: _FakeTensor([1.1]))
    assert not run.compare("live breaks", [1.0], recorded=[1.0], live=lambda torch: 1 / 0)
    assert [claim.kind for claim in run.claims] == ["recorded", "live"] * 3
    assert "ZeroDivisionError" in run.claims[-1].problem
    assert not run.compare("only live agrees", [1.0], recorded=[1.1], live=live)


def test_compare_says_so_when_torch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # makes `import torch` raise ImportError
    run = Run()
    assert run.compare("live", [1.0], recorded=[1.0], live=lambda torch: 1 / 0)
    assert "not installed" in run.sections[0].items[-1].text


# ---- the run


@pytest.mark.parametrize("arguments", [{"size": "huge"}, {"seed": -1}, {"seed": 1.5}, {"seed": True}])
def test_run_refuses_bad_arguments_by_name(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Run(**arguments)


def test_pick_follows_the_size():
    assert [Run(size).pick(quick=1, default=2, full=3) for size in ("quick", "default", "full")] == [1, 2, 3]


def test_progress_passes_the_items_on_and_tells_the_length():
    seen = []

    def show(iterable, description, total):
        seen.append((description, total))
        return iterable

    run = Run(show_progress=show)
    assert list(run.progress([1, 2], "listed")) == [1, 2]
    assert list(run.progress((i for i in (1, 2)), "counted", total=2)) == [1, 2]
    assert list(run.progress((i for i in (1, 2)), "unknown")) == [1, 2]
    assert seen == [("listed", 2), ("counted", 2), ("unknown", None)]
    assert list(Run().progress(range(2), "unwatched")) == [0, 1]


def test_a_table_with_a_ragged_row_is_refused():
    with pytest.raises(ValueError, match="2 headers, but a row has 1"):
        Run().table("ragged", ("a", "b"), [(1,)])


def draw():
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    return figure


def test_a_figure_is_saved_three_ways_and_the_same_each_time(tmp_path):
    contents = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        run = Run(out=folder)
        run.figure("curve", draw(), alt="a rising line", data={"y": [1.0, 2.0]})
        assert sorted(path.name for path in folder.iterdir()) == ["curve.npz", "curve.png", "curve.svg"]
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert b"a rising line" in contents[0]["curve.svg"]
    with np.load(tmp_path / "first" / "curve.npz") as data:
        assert data["y"].tolist() == [1.0, 2.0]


def test_a_figure_without_a_folder_is_only_mentioned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run()
    run.figure("curve", draw(), alt="a line")
    assert run.sections[0].items[0].files == ()
    assert list(tmp_path.iterdir()) == []


def test_a_figure_without_a_folder_is_displayed_in_a_notebook(monkeypatch):
    shown = []
    display = types.SimpleNamespace(Image=lambda png: png, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    Run().figure("curve", draw(), alt="a line")
    assert [png[:4] for png in shown] == [b"\x89PNG"]


@pytest.mark.parametrize(("name", "alt"), [("a/b", "x"), ("..", "x"), ("", "x"), ("curve", " ")])
def test_a_figure_with_a_bad_name_or_no_words_is_refused(tmp_path, name, alt):
    with pytest.raises(ValueError, match="figure"):
        Run(out=tmp_path).figure(name, draw(), alt=alt)
    assert list(tmp_path.iterdir()) == []


def test_two_figures_of_one_name_are_refused(tmp_path):
    run = Run(out=tmp_path)
    run.figure("curve", draw(), alt="a line")
    with pytest.raises(ValueError, match="already"):
        run.figure("curve", draw(), alt="a line")


def growing_line(count=3):
    figure = draw()
    for k in range(count):
        figure.axes[0].plot([k, k], [1, 2])
        yield figure


def test_an_animation_is_a_gif_with_its_last_frame_and_the_same_each_time(tmp_path):
    from PIL import Image

    contents = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        run = Run(out=folder)
        run.animation("lines", growing_line(), alt="a line after a line", data={"y": [1.0]}, milliseconds=70)
        assert sorted(path.name for path in folder.iterdir()) == ["lines.gif", "lines.npz", "lines.png"]
        assert [path.suffix for path in run.sections[0].items[0].files] == [".gif", ".png", ".npz"]
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]

    def on_white(frame):  # the share of the picture that is not white
        return float((np.asarray(frame.convert("L")) < 200).mean())

    with Image.open(tmp_path / "first" / "lines.gif") as gif, Image.open(tmp_path / "first" / "lines.png") as last:
        assert (gif.n_frames, gif.info["loop"], gif.info["comment"]) == (3, 0, b"a line after a line")
        times, shares = [], []
        for k in range(3):
            gif.seek(k)
            times.append(gif.info["duration"])
            shares.append(on_white(gif))
        assert times == [70, 70, 2000]
        assert shares == sorted(shares)
        assert len(set(shares)) == 3, "each frame is drawn as it was when it was yielded"
        assert on_white(last) == pytest.approx(shares[-1], rel=0.2)


def test_an_animation_without_a_folder_draws_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run()
    run.animation("lines", (pytest.fail("a frame was drawn") for _ in range(2)), alt="a line")
    assert run.sections[0].items[0].files == ()
    assert list(tmp_path.iterdir()) == []


def test_an_animation_without_a_folder_is_displayed_in_a_notebook(monkeypatch):
    shown = []
    display = types.SimpleNamespace(Image=lambda gif: gif, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    Run().animation("lines", growing_line(), alt="a line")
    assert [gif[:4] for gif in shown] == [b"GIF8"]


def test_an_animation_that_cannot_be_one_is_refused(tmp_path):
    run = Run(out=tmp_path)
    with pytest.raises(ValueError, match="no frames"):
        run.animation("none", [], alt="nothing")
    other = draw()
    other.set_size_inches(3, 3)
    with pytest.raises(ValueError, match="the size of the first"):
        run.animation("sizes", [draw(), other], alt="two sizes")
    with pytest.raises(ValueError, match="alt"):
        run.animation("words", growing_line(), alt="")
    run.animation("lines", growing_line(), alt="a line")
    with pytest.raises(ValueError, match="already"):
        run.figure("lines", draw(), alt="a line")
    assert {path.stem for path in tmp_path.iterdir()} == {"lines"}


AXES = {"angle (degrees)": [-30, 0, 30], "scale": [0.5, 1]}


def leaning_line(angle, scale):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot([0, scale], [0, angle], linewidth=8)
    axes.set(xlim=(0, 1), ylim=(-30, 30))
    return figure


def test_a_slider_has_a_frame_for_every_combination_and_a_still(tmp_path):
    from PIL import Image

    contents = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        run = Run(out=folder)
        run.slider("lean", AXES, leaning_line, alt="a line that leans", start=(2, 1), data={"angles": [-30, 0, 30]})
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    [slider] = run.sections[0].items
    frames = [f"lean-{row:02d}-{column:02d}.webp" for row in range(3) for column in range(2)]
    assert [path.name for path in slider.frames] == frames
    assert [path.name for path in slider.files] == ["lean.png", *frames, "lean.npz"]
    assert sorted(contents[0]) == sorted(path.name for path in slider.files)
    assert len({contents[0][frame] for frame in frames}) == 6

    def blue(name):  # where the line is, as shares of the picture
        with Image.open(tmp_path / "first" / name) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((120, 90))).astype(int)
        return pixels[..., 2] - pixels[..., 0] > 60

    assert np.mean(blue("lean.png") != blue("lean-02-01.webp")) < 0.02, "the still is the frame at the start"
    assert np.mean(blue("lean.png") != blue("lean-00-01.webp")) > 0.02


def test_a_slider_says_what_it_slides_along():
    axes = [Axis("angle (degrees)", (-30.0, 0.125)), Axis("step (size) of it", (1e-3, 1e5)), Axis("T", (1.0,))]
    assert [(axis.name, axis.unit) for axis in axes] == [("angle", "degrees"), ("step (size) of it", ""), ("T", "")]
    assert [axis.shown for axis in axes] == [("-30 degrees", "0.125 degrees"), ("0.001", "1e+05"), ("1",)]


def test_a_slider_is_in_the_account_and_the_report(tmp_path):
    from lessons.workbench.report import _item

    run = Run(out=tmp_path)
    run.slider("lean", AXES, leaning_line, alt="a line that leans", start=(1, 0))
    assert body(run.sections[0])[0] == f"  figure  {tmp_path / 'lean'}  (.png; 6 frames by angle and scale)"
    said = _item(run.sections[0].items[0])
    assert (said["type"], said["name"], said["alt"]) == ("slider", "lean", "a line that leans")
    assert (said["start"], said["still"], len(said["frames"])) == ([1, 0], "lean.png", 6)
    angle = {"label": "angle", "unit": "degrees", "values": [-30.0, 0.0, 30.0]}
    assert said["axes"][0] == angle | {"shown": ["-30 degrees", "0 degrees", "30 degrees"]}


def test_a_slider_without_a_folder_draws_nothing_but_its_still_in_a_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, drawn = Run(), []

    def draw_once(*values):
        drawn.append(values)
        return leaning_line(*values)

    run.slider("lean", AXES, draw_once, alt="a line", start=(0, 1))
    [slider] = run.sections[0].items
    assert (slider.files, slider.frames, drawn, list(tmp_path.iterdir())) == ((), (), [], [])

    shown = []
    display = types.SimpleNamespace(Image=lambda png: png, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    Run().slider("lean", AXES, draw_once, alt="a line", start=(0, 1))
    assert [png[:4] for png in shown] == [b"\x89PNG"]
    assert drawn == [(-30.0, 1.0)]


@pytest.mark.parametrize(
    ("axes", "start", "message"),
    [
        ({}, (), "one axis or two, not 0"),
        ({"a": [1, 2], "b": [1, 2], "c": [1, 2]}, (0, 0, 0), "one axis or two, not 3"),
        ({"a": [1]}, (0,), "'a' needs a label and at least two"),
        ({" ": [1, 2]}, (0,), "needs a label"),
        ({"a": [1, 2]}, (2,), r"index into the values of each axis, got \(2,\)"),
        ({"a": [1, 2]}, (-1,), "index into the values"),
        ({"a": [1, 2]}, (0, 0), "index into the values"),
    ],
)
def test_a_slider_that_cannot_be_one_is_refused(tmp_path, axes, start, message):
    with pytest.raises(ValueError, match=message):
        Run(out=tmp_path).slider("none", axes, leaning_line, alt="a line", start=start)
    assert list(tmp_path.iterdir()) == []


def test_frames_of_unequal_sizes_are_refused_and_leave_no_file(tmp_path):
    def growing(angle, scale):
        figure = leaning_line(angle, scale)
        figure.set_size_inches(3 + scale, 3)
        return figure

    with pytest.raises(ValueError, match="all have one size"):
        Run(out=tmp_path).slider("lean", AXES, growing, alt="a line", start=(0, 0))
    assert list(tmp_path.iterdir()) == []


def test_frames_are_stored_in_the_way_that_makes_them_smaller(tmp_path):
    from PIL import Image

    y, x = np.mgrid[:300, :400]
    waves = np.stack([np.sin(x / 17 + y / 23), np.sin(x / 31 - y / 19), np.cos(y / 11)], axis=-1)

    def photograph(angle, scale):
        figure = leaning_line(angle, scale)
        figure.axes[0].set_position((0, 0, 1, 1))
        figure.axes[0].imshow((waves + 1) / 2, extent=(0, 1, -30, 30), aspect="auto")
        return figure

    run = Run(out=tmp_path)
    run.slider("photograph", AXES, photograph, alt="waves", start=(0, 0))
    run.slider("lines", AXES, leaning_line, alt="a line that leans", start=(0, 0))
    kinds = [{frame.read_bytes()[12:16] for frame in slider.frames} for slider in run.sections[0].items]
    assert kinds == [{b"VP8 "}, {b"VP8L"}]  # with losses, without
    for name, frame, dpi in (("photograph-00-01.webp", photograph, 100), ("lines-00-01.webp", leaning_line, 120)):
        drawn = io.BytesIO()
        frame(-30, 1).savefig(drawn, format="png", dpi=dpi)
        with Image.open(drawn) as want, Image.open(tmp_path / name) as read:
            both = [np.asarray(picture.convert("RGB")).astype(int) for picture in (want, read)]
        assert np.abs(both[0] - both[1]).mean() < 4


@pytest.mark.parametrize("interrupted", ["os.replace", "os.getpid"])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, interrupted):
    path = tmp_path / "report.json"
    write_atomically(path, b"old")

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupted, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert path.read_bytes() == b"old"


# ---- parts


def test_parts_run_in_file_order_and_the_toy_passes(toy, tmp_path):
    order = []
    run = toy.run("quick", out=tmp_path, after_part=lambda section: order.append(section.part.name))
    assert order == ["the_sum", "sign_slip", "wording", "many", "recorded"]
    assert run.passed
    assert len(run.results["x"]) == 3


def test_a_part_draws_the_same_numbers_alone_and_in_company(toy):
    @toy.step("draws too")
    def draws(run):
        run.results["drawn"] = run.rng.normal(size=3)

    whole = toy.run("quick", seed=5).results
    alone = Run("quick", seed=5)
    toy.parts[-1].run(alone)
    assert np.array_equal(whole["drawn"], alone.results["drawn"])
    assert not np.array_equal(whole["drawn"], whole["x"])
    assert not np.array_equal(whole["drawn"], toy.run("quick", seed=6).results["drawn"])


def test_a_part_that_breaks_off_is_a_failed_claim_and_the_rest_runs(toy):
    @toy.step("breaks")
    def breaks(run):
        run.claim("so far so good", 0.0, below=1.0)
        raise ValueError("no such axis")

    @toy.step("goes on")
    def goes_on(run):
        run.results["went on"] = True

    run = toy.run("quick")
    assert not run.passed
    failed = [claim for claim in run.claims if not claim.passed]
    assert len(failed) == 1
    assert "ValueError: no such axis" in failed[0].problem
    assert "test_anatomy.py, line" in failed[0].problem
    assert 'raise ValueError("no such axis")' in failed[0].problem
    assert run.results["went on"]


def test_ctrl_c_passes_through_a_part(toy):
    @toy.step("interrupted")
    def interrupted(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy.run("quick")


@pytest.mark.parametrize("said", ["refuted", "claim"])
def test_an_erratum_must_show_both_sides(said):
    lesson = empty_lesson()

    @lesson.erratum("M", "half a proof", printed="a", right="b")
    def half(run):
        if said == "refuted":
            run.refuted("printed", 1.0, above=0.1)
        else:
            run.claim("right", 0.0, below=0.1)

    run = lesson.run()
    assert not run.passed
    assert f"never calls run.{'claim' if said == 'refuted' else 'refuted'}" in run.claims[-1].problem


def test_metadata_and_registration_mistakes_are_named(toy):
    with pytest.raises(LessonError, match="kind must be one of M, C, N, W"):
        toy.erratum("X", "t", printed="p", right="r")
    with pytest.raises(LessonError, match="no exercise called 'treble'"):
        toy.check("treble")(lambda candidate: None)
    with pytest.raises(LessonError, match="no exercise called 'treble'"):
        toy.mistake("treble", "m")(lambda x: x)
    with pytest.raises(LessonError, match="two checks"):
        toy.check("double")(lambda candidate: None)
    with pytest.raises(LessonError, match="declared twice"):
        toy.mistake("double", "squares instead")(lambda x: x)

    def double(x):
        """Twice."""

    with pytest.raises(LessonError, match="registered twice"):
        toy.exercise(hint="h")(double)

    def bare(x):
        return x

    with pytest.raises(LessonError, match="docstring"):
        toy.exercise(hint="h")(bare)

    def many(run):
        """A name that a part of the toy has."""

    with pytest.raises(LessonError, match="two parts are called many"):
        toy.step("t")(many)


def test_decorators_return_the_function_unchanged():
    lesson = empty_lesson()

    def body(x):
        """Doc."""

    assert lesson.exercise(hint="h")(body) is body
    assert lesson.check("body")(body) is body
    assert lesson.mistake("body", "m")(body) is body
    assert lesson.step("s")(body) is body


# ---- verdicts

WANT = np.arange(6.0).reshape(2, 3)


def test_a_right_array_passes():
    assert Verdict.from_arrays("dx", WANT + 1e-12, WANT, 1e-9).passed
    assert Verdict.from_arrays("loss", 2.0, 2.0, 1e-9).passed
    assert Verdict.from_arrays("loss", np.float64(2.0), np.array(2.0), 1e-9).passed


def test_the_worst_element_is_named():
    yours = WANT.copy()
    yours[0, 1] += 0.1
    yours[1, 2] = -0.0258
    verdict = Verdict.from_arrays("dx", yours, WANT, 1e-9)
    assert verdict.lines == ("dx[1,2]  yours -0.0258  want 5  (2 of 6 differ)",)


@pytest.mark.parametrize(
    ("yours", "message"),
    [
        (None, "dx is None: does the function return its result?"),
        (WANT.T, "dx has shape (3, 2), want (2, 3)"),
        (WANT[0], "dx has shape (3,), want (2, 3)"),
        (5.0, "dx is a float: return a NumPy array of shape (2, 3)"),
        (WANT.tolist(), "dx is a list: return a NumPy array of shape (2, 3)"),
        ((WANT, WANT), "dx is a tuple: return a NumPy array of shape (2, 3)"),
        (WANT.astype(int), "dx has dtype int64, want float64"),
        (WANT.astype(complex), "dx has dtype complex128, want float64"),
        (WANT.astype(object), "dx has dtype object, want float64"),
        (WANT * math.nan, "dx[0,0]  yours nan  want 0  (6 of 6 differ)"),
        (np.where(WANT == 4, math.inf, WANT), "dx[1,1]  yours inf  want 4  (1 of 6 differ)"),
        (np.where(WANT == 4, math.nan, WANT), "dx[1,1]  yours nan  want 4  (1 of 6 differ)"),
        (-WANT, "dx[1,2]  yours -5  want 5  (5 of 6 differ)"),
    ],
)
def test_wrong_arrays_fail_with_a_reason(yours, message):
    verdict = Verdict.from_arrays("dx", yours, WANT, 1e-9)
    assert not verdict.passed
    assert verdict.lines[0] == message


def test_a_lost_precision_is_mentioned():
    verdict = Verdict.from_arrays("dx", (WANT / 3).astype(np.float32), WANT / 3, 1e-12)
    assert verdict.lines[1] == "dx has dtype float32, want float64"


def test_the_tolerance_follows_the_scale_and_has_a_floor():
    assert not Verdict.from_arrays("small", np.array([2e-9]), np.array([1e-9]), 1e-6).passed
    assert Verdict.from_arrays("zero", np.array([1e-16]), np.array([0.0]), 1e-12).passed
    assert not Verdict.from_arrays("zero", np.array([1e-6]), np.array([0.0]), 1e-12).passed


@pytest.mark.parametrize(
    ("want", "tolerance"),
    [(np.zeros(0), 1e-9), (np.array([math.nan]), 1e-9), (WANT, 0), (WANT, math.nan), (WANT, math.inf)],
)
def test_a_check_that_could_not_judge_is_refused(want, tolerance):
    with pytest.raises(ValueError, match="from_arrays"):
        Verdict.from_arrays("dx", want, want, tolerance)


def test_tuples_are_judged_one_by_one():
    names, want = ("dgamma", "dbeta"), (WANT, WANT + 1)
    assert Verdict.from_tuples(names, want, want, 1e-9).passed
    assert Verdict.from_tuples(names, (WANT, WANT), want, 1e-9).lines[0].startswith("dbeta[")
    assert "want a tuple (dgamma, dbeta), yours is one array" in Verdict.from_tuples(names, WANT, want, 1e-9).lines[0]
    assert "yours has 1" in Verdict.from_tuples(names, (WANT,), want, 1e-9).lines[0]
    assert "None" in Verdict.from_tuples(names, None, want, 1e-9).lines[0]
    with pytest.raises(ValueError, match="2 names for 1"):
        Verdict.from_tuples(names, want, want[:1], 1e-9)


def test_several_verdicts_fail_with_the_lines_of_those_that_failed_each_once():
    fine, bad, worse = Verdict(True, ("fine",)), Verdict(False, ("bad",)), Verdict(False, ("bad", "worse"))
    assert Verdict.all(fine, fine) == Verdict(True, ("fine",))
    assert Verdict.all(fine, bad, worse) == Verdict(False, ("bad", "worse"))


def test_verdicts_are_strict_about_themselves():
    with pytest.raises(TypeError, match="True or False"):
        Verdict(WANT == WANT)
    with pytest.raises(TypeError, match="tuple of strings"):
        Verdict(False, "a line")
    with pytest.raises(ValueError, match="at least one"):
        Verdict.all()


# ---- stubs and homework


def test_the_stub_keeps_signature_comments_and_docstring(toy):
    exercise = toy.exercise_named("double")
    namespace = {"np": np}
    text = stub(exercise)
    exec(text, namespace)
    assert "# any shape" in text
    assert "x + x" not in text
    assert inspect.getdoc(namespace["double"]) == inspect.getdoc(exercise.solution)
    assert list(inspect.signature(namespace["double"]).parameters) == ["x", "times"]
    with pytest.raises(NotImplementedError, match="not started: double"):
        namespace["double"](WANT)


def test_a_fresh_stub_file_is_not_started(toy, tmp_path):
    path = tmp_path / "hw.py"
    path.write_text(stub_file(toy), encoding="utf-8")
    assert [outcome.status for outcome in check_file(toy, path)] == ["not started", "not started"]


def write(path: Path, text: str) -> Path:
    path.write_text("import numpy as np\n\n" + text, encoding="utf-8")
    return path


def attempt(toy: Lesson, tmp_path: Path, body: str):
    """The outcome of `double` with this body."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    path = write(tmp_path / "hw.py", f"def double(x, times=1):\n{lines}\n")
    outcome, missing = check_file(toy, path)
    assert missing.status == "missing"
    return outcome


def test_a_right_answer_passes(toy, tmp_path):
    assert attempt(toy, tmp_path, "return x * 2 ** times").passed


def test_a_wrong_answer_names_the_element_and_gives_the_hint(toy, tmp_path):
    outcome = attempt(toy, tmp_path, "return x")
    assert outcome.status == "failed"
    assert "of 6 differ" in outcome.lines[0]
    assert "hint: Add x to itself." in "\n".join(outcome_lines(outcome))


def test_an_exception_shows_the_learners_own_innermost_line(toy, tmp_path):
    outcome = attempt(toy, tmp_path, "def inner(y):\n    return np.linalg.inv(y)  # mine\nreturn inner(x)")
    assert outcome.status == "error"
    assert outcome.lines[0].startswith("LinAlgError: ")
    assert outcome.lines[1] == "hw.py, line 5, in inner:  return np.linalg.inv(y)  # mine"


# All arguments are passed on: Python 3.13.0 forgets its recursion limit in calls that rely on defaults, and crashes.
@pytest.mark.parametrize(
    "body", ["raise SystemExit", "import sys\nsys.exit(0)", "return double(x, times)", "assert False"]
)
def test_whatever_the_learner_raises_is_an_outcome(toy, tmp_path, body):
    outcome = attempt(toy, tmp_path, body)
    assert outcome.status == "error"
    assert "hw.py, line" in outcome.lines[1]


def test_ctrl_c_passes_through_a_check(toy):
    def double(x, times=1):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_functions(toy, {"double": double})


def test_the_learners_own_not_implemented_error_is_an_error(toy, tmp_path):
    assert attempt(toy, tmp_path, 'raise NotImplementedError("later")').status == "error"


def test_calling_an_exercise_that_is_not_started_says_which(toy, tmp_path):
    outcome = attempt(toy, tmp_path, 'raise NotImplementedError("not started: halves")')
    assert (outcome.status, outcome.lines) == ("not started", ("it calls halves, which is not started",))


def test_inputs_written_to_do_not_spoil_the_check(toy, tmp_path):
    assert attempt(toy, tmp_path, "x *= 2 ** times\nreturn x").passed


def test_a_warning_is_shown_beside_a_failure_and_is_no_error(toy, tmp_path):
    outcome = attempt(toy, tmp_path, "return np.log(-abs(x))")
    assert outcome.status == "failed"
    assert "invalid value encountered in log" in outcome.lines[-1]


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("def double(y, times=1): return 2 * y", "yours double(y, times), want double(x, times)"),
        ("def double(x): return 2 * x", "yours double(x), want double(x, times)"),
        ("def double(x, times, more): return x", "yours double(x, times, more)"),
        ("double = 3", "double is not a function but 3"),
    ],
)
def test_a_changed_signature_is_named(toy, tmp_path, definition, message):
    outcome = check_file(toy, write(tmp_path / "hw.py", definition))[0]
    assert outcome.status == "failed"
    assert message in outcome.lines[0]


def test_an_optional_argument_of_the_learners_own_is_fine(toy, tmp_path):
    path = write(tmp_path / "hw.py", "def double(x, times=1, verbose=False): return x * 2 ** times")
    assert check_file(toy, path)[0].passed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def double(x:\n", "not valid Python"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("import no_such_module\n", "No module named"),
        ("x = 1\n", "defines none of the exercises of toy: double, halves"),
    ],
)
def test_a_file_that_does_not_load_says_why(toy, tmp_path, text, message):
    path = write(tmp_path / "hw.py", text)
    modules = set(sys.modules)
    with pytest.raises(HomeworkError, match=message):
        check_file(toy, path)
    assert "homework_hw" not in set(sys.modules) - modules
    assert str(tmp_path) not in sys.path


def test_a_file_that_does_not_load_shows_the_line(toy, tmp_path):
    with pytest.raises(HomeworkError, match=r"line 3, in <module>:  1 / 0"):
        check_file(toy, write(tmp_path / "hw.py", "1 / 0\n"))


def test_a_sibling_file_can_be_imported(toy, tmp_path):
    write(tmp_path / "my_helper_of_a_test.py", "TWO = 2")
    text = "from my_helper_of_a_test import TWO\ndef double(x, times=1): return x * TWO ** times"
    try:
        assert check_file(toy, write(tmp_path / "hw.py", text))[0].passed
    finally:
        sys.modules.pop("my_helper_of_a_test", None)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda candidate: candidate(WANT) is not None, "returned bool, not a Verdict"),
        (lambda candidate: Verdict(True), "never called the function"),
        (lambda candidate: [candidate(WANT), 1 / 0], "check raised ZeroDivisionError"),
        (None, "has no check"),
    ],
)
def test_a_broken_check_is_not_blamed_on_the_learner(toy, check, message):
    toy.exercise_named("double").check = check
    outcome = check_functions(toy, {"double": toy.exercise_named("double").solution})[0]
    assert outcome.status == "broken check"
    assert message in outcome.lines[0]


# ---- the account


def test_the_account_shows_headings_numbers_and_requirements(toy):
    run = toy.run("quick")
    text = "\n".join(line for section in run.sections for line in account(section))
    for expected in (
        "Step 1: the γ of the sum",
        "A sum of two equal numbers",
        "Erratum [M] wrong mathematics: the sign of the second x",
        "printed 2x = x - x",
        "right   2x = x + x",
        "ok    printed form  2  > 0.1, so refuted",
        "ok    right form    0  < 1e-15",
        "ok    ten doublings after the first  512  = 512",
        "n  value",
    ):
        assert expected in text


def test_a_failed_claim_is_marked_with_what_is_wrong():
    run = Run()
    run.claim("too large", 2.0, below=1.0)
    lines = account(run.sections[0])
    assert lines[:2] == ["  FAIL  too large  2  < 1", "        not below the bound"]


def test_long_claims_are_wrapped_and_lines_stay_narrow():
    run = Run()
    run.claim("a long claim " * 30, 1.23456e-7, below=1.0)
    lines = account(run.sections[0], width=70)
    assert len(lines) > 5
    assert max(width_of(line) for line in lines) <= 70


def test_text_helpers():
    assert width_of("x̂ = γ") == 5
    assert width_of("漢") == 2
    assert [number(v) for v in (1.23456e-7, 3, True, None, math.nan, "a")] == [
        "1.23e-07",
        "3",
        "yes",
        "-",
        "nan",
        "a",
    ]
    assert table_lines(("n", "name"), [(1, "x̂"), (20, "yy")]) == [
        "   n  name",
        "  --  ----",
        "   1  x̂",
        "  20  yy",
    ]
    assert table_lines(("empty",), []) == ["  empty", "  -----"]
    assert table_lines(("speed",), [("1.5x",), ("-",)]) == ["  speed", "  -----", "   1.5x", "      -"]
    wide = table_lines(("kind", "text"), [("N", "word " * 20), ("W", "short")], width=40)
    assert len(wide) == 7
    assert max(map(width_of, wide)) <= 40
    assert wide[-1] == "  W     short"
    assert wrapped("one\ntwo\n\n    code\n\nthree", 80) == ["  one two", "", "      code", "", "  three"]
    assert Style(colour=True).bad("x") == "\x1b[1;31mx\x1b[0m"
    assert Style().bad("x") == "x"


# ---- importing and executing


def test_an_exercise_cell_that_is_run_again_is_checked_again(toy, capsys):
    def double(x, times=1):
        """Twice x, wrongly."""
        return x

    double.__module__ = "__main__"
    toy.exercise(hint="h")(double)
    assert "double: FAIL" in capsys.readouterr().out
    toy.exercise_named("double").check = None
    toy.exercise(hint="h")(double)
    assert capsys.readouterr().out == ""


def test_importing_a_lesson_prints_nothing_and_executing_it_runs_each_part_at_once():
    done = subprocess.run(
        [sys.executable, str(TOY)], capture_output=True, text=True, encoding="utf-8", check=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert "double: ok" in done.stdout
    assert "halves: ok" in done.stdout
    assert "ok    ten doublings" in done.stdout
    assert "Erratum [M]" in done.stdout


def test_a_cell_that_is_run_again_replaces_what_it_registered(capsys):
    lesson = empty_lesson()
    for attempt_number in (1, 2):

        def part(run, measured=attempt_number):
            run.claim("the measured number", measured, equals=2)

        part.__module__ = "__main__"
        lesson.step("a cell")(part)
    assert len(lesson.parts) == 1
    output = capsys.readouterr().out
    assert output.index("FAIL") < output.index("ok")


def test_importing_the_lessons_imports_nothing_heavy():
    code = (
        "import sys, lessons, lessons.anatomy, lessons.anatomy.account, lessons.workbench.cli;"
        "print([m for m in ('numba', 'matplotlib', 'torch', 'minigrad', 'kernels') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
