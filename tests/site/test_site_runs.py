"""Executed lessons on disk: fresh or out of date, and never wrong, whatever happened to what is stored."""

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import kernels
from lessons.anatomy import Lesson
from lessons.workbench import catalogue, report
from lessons.workbench.errors import UsageError
from lessons.workbench.site import execute, fingerprint, runs
from lessons.workbench.site.runs import StoredRun, stored

TOY = Path(__file__).resolve().parents[1] / "lessons" / "toy.py"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("MINIGRAD_DATA", str(folder))
    monkeypatch.chdir(tmp_path)  # where no `lessons` can be imported from
    return folder


@pytest.fixture
def toy(tmp_path) -> Path:
    """A copy of the toy lesson that a test may edit."""
    return Path(shutil.copy(TOY, tmp_path / "toy.py"))


@pytest.fixture
def quickly(monkeypatch):
    """Lessons run in this process, for tests of what is around a run."""

    def run_here(lesson: Lesson, size: str, folder: Path) -> None:
        execute.execute(lesson, size, folder)

    monkeypatch.setattr(runs, "_execute", run_here)


def again(path: Path, **options) -> StoredRun:
    return stored(catalogue.find(str(path)), **options)


def edit(path: Path, old: str, new: str) -> None:
    source = path.read_text(encoding="utf-8")
    assert old in source
    path.write_text(source.replace(old, new), encoding="utf-8")


# ---- what is stored


def test_a_run_in_a_process_of_its_own_is_kept_and_found_again(toy, cache):
    heard = []
    first = again(toy, before=lambda lesson, reason: heard.append((lesson.name, reason)))
    assert (first.was_stale, first.reason, first.kept) == (True, "new", True)
    assert heard == [("toy", "new")]
    assert first.folder.parent == cache / "runs" / "toy-quick"
    assert first.report["passed"]
    assert [section["name"] for section in first.report["sections"]] == [
        "the_sum", "sign_slip", "wording", "many", "recorded"
    ]  # fmt: skip
    figures = [item for section in first.report["sections"] for item in section["items"] if item["type"] == "figure"]
    assert figures
    assert all((first.folder / file).stat().st_size for figure in figures for file in figure["files"])

    second = again(toy, before=lambda lesson, reason: pytest.fail("it must not run again"))
    assert (second.was_stale, second.reason) == (False, "")
    assert (second.report, second.folder, second.seconds) == (first.report, first.folder, first.seconds)


def test_sizes_are_kept_apart_and_fresh_runs_again(toy, quickly):
    first = again(toy)
    other = again(toy, size="default")
    assert other.was_stale
    assert other.report["size"] == "default"
    assert not again(toy).was_stale
    anew = again(toy, fresh=True)
    assert (anew.was_stale, anew.reason) == (True, "asked for")
    assert anew.folder != first.folder
    assert first.folder.is_dir(), "another build may be reading it"
    assert again(toy).folder == anew.folder


def test_exercises_have_hints_and_what_the_terminal_says_to_a_mistake():
    lesson = catalogue.find("batchnorm")
    said = {exercise.name: execute.about(exercise) for exercise in lesson.exercise_list}
    closed = said["closed_form_dx"]
    assert [hint["kind"] for hint in closed["hints"]] == ["question", "term", "equation", "skeleton", "solution"]
    assert closed["failure"]["mistake"] in lesson.exercise_named("closed_form_dx").mistakes
    assert len(closed["failure"]["terms"]) == 1
    assert set(closed["failure"]["terms"]) < {"direct", "mean", "var"}
    text = "\n".join(closed["failure"]["lines"])
    assert text.startswith("closed_form_dx: FAIL\n")
    assert "WRONG" in text
    assert f"`{closed['failure']['terms'][0]}`" in text
    json.dumps(said, allow_nan=False)


def test_an_exercise_without_terms_still_shows_a_mistake():
    toy = catalogue.find(str(TOY))
    said = [execute.about(exercise) for exercise in toy.exercise_list]
    assert [one["failure"]["terms"] for one in said] == [[], []]
    assert [hint["kind"] for hint in said[0]["hints"]] == ["question", "solution"]
    toy.exercise_list[0].mistakes.clear()
    assert execute.about(toy.exercise_list[0])["failure"] is None


# ---- fresh or out of date


def test_prose_costs_no_run_and_code_does(toy, quickly):
    again(toy)
    edit(toy, "\n\n@lesson.check", "\n\n# %% [markdown]\n# Is it **right**?\n\n# %%\n@lesson.check")
    assert not again(toy).was_stale
    edit(toy, 'Many doublings"', 'Very many doublings"')
    changed = again(toy)
    assert (changed.was_stale, changed.reason) == (True, "lesson changed")
    edit(toy, "    x = run.rng", "    # of any size\n    x = run.rng")  # shown with the code of the exercise
    assert again(toy).reason == "lesson changed"
    edit(toy, "    # of any size\n", "")
    assert again(toy).folder == changed.folder, "the older run fits again"


def test_a_hash_sign_inside_a_string_is_code():
    source = b'text = """\n# 1\n"""\n# prose\n'
    assert fingerprint._code_digest(source) == fingerprint._code_digest(source.replace(b"prose", b"other prose"))
    assert fingerprint._code_digest(source) != fingerprint._code_digest(source.replace(b"1", b"2"))
    assert fingerprint._code_digest(b"x = (\n") != fingerprint._code_digest(b"x = (\n1")  # no Python at all


def test_versions_and_packages_count(toy, quickly, tmp_path, monkeypatch):
    again(toy)
    with monkeypatch.context() as patched:
        patched.setattr(fingerprint.platform, "python_version", lambda: "3.99.0")
        assert again(toy).reason.startswith("Python 3.99.0 instead of 3.")
    other = tmp_path / "kernels"
    shutil.copytree(kernels.__path__[0], other, ignore=shutil.ignore_patterns("__pycache__"))
    with monkeypatch.context() as patched:
        patched.setattr(kernels, "__path__", [str(other)])
        assert not again(toy).was_stale, "another folder with the same contents"
        with open(other / "cpu" / "parallel.py", "a") as file:
            file.write("# a comment\n")
        assert again(toy).reason == "kernels changed"


def test_helpers_are_what_a_lesson_imports_and_what_that_imports(tmp_path, monkeypatch):
    sources = {
        "lessons/__init__.py": "",
        "lessons/vision/__init__.py": "",
        "lessons/vision/warp.py": "from lessons.vision import _warp_figures as figures\nimport numpy\n",
        "lessons/vision/_warp_figures.py": "def draw():\n    from ..lab import colours\n",
        "lessons/vision/warp_torch.npz": "",
        "lessons/vision/other.py": "",
        "lessons/vision/other_torch.npz": "",
        "lessons/lab/__init__.py": "",
        "lessons/lab/colours.py": "import lessons.lab.numbers\n",
        "lessons/lab/numbers.py": "from . import colours\n",
        "lessons/lab/threads.py": "",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    found = fingerprint._helpers(tmp_path / "lessons/vision/warp.py")
    never = {"lessons/vision/other.py", "lessons/vision/other_torch.npz", "lessons/lab/threads.py"}
    assert {path.relative_to(tmp_path).as_posix() for path in found} == set(sources) - never


def test_imports_are_found_wherever_they_stand():
    places = {
        "if x:\n    import lessons.a\nelif y:\n    import lessons.b\nelse:\n    import lessons.c\n": "abc",
        "try:\n    import lessons.a\nexcept E:\n    import lessons.b\nelse:\n    import lessons.c\n": "abc",
        "try:\n    pass\nfinally:\n    import lessons.a\n": "a",
        "class C:\n    def f(self):\n        with x:\n            import lessons.a\n": "a",
        "for x in y:\n    while x:\n        import lessons.a\n    else:\n        import lessons.b\n": "ab",
        "match x:\n    case 1:\n        import lessons.a\n": "a",
        "async def f():\n    async for x in y:\n        from lessons import a as b\n": "a",
        "from . import a\nfrom .b import c\n": "ab",
        "import numpy\n": "",
    }
    for source, names in places.items():
        found = fingerprint._imported(source.encode(), "lessons") - {"lessons", "lessons.b.c"}
        assert found == {f"lessons.{name}" for name in names}, source


def test_real_lessons_lead_to_their_helpers_and_data():
    found = fingerprint.fingerprint(catalogue.find("vae"))
    for name in (
        "lessons/generative/_vae_figures.py",
        "lessons/generative/vae_torch.npz",
        "lessons/data/mnist_subset.npz",
        "lessons/anatomy/run.py",
        "lessons/workbench/report.py",
        "minigrad",
        "kernels",
        "numpy",
    ):
        assert found[name], name
    assert "lessons/generative/autoencoders.py" not in found


def test_the_reason_names_the_first_difference():
    old = {"lesson": "1", "lessons/lab/numbers.py": "2", "minigrad": "3", "numpy": "2.0", "torch": ""}
    assert fingerprint.difference(old, old) == ""
    assert fingerprint.difference(old, old | {"minigrad": "4"}) == "minigrad changed"
    assert fingerprint.difference(old, old | {"numpy": "2.1"}) == "numpy 2.1 instead of 2.0"
    assert fingerprint.difference(old, old | {"torch": "2.9"}) == "torch 2.9 instead of none"
    assert fingerprint.difference(old | {"torch": "2.9"}, old) == "torch not installed instead of 2.9"
    assert fingerprint.difference(old, old | {"lesson": "2", "minigrad": "4"}) == "lesson changed, and 1 more"
    gone = {name: old[name] for name in old if "numbers" not in name}
    assert fingerprint.difference(old, gone) == "lessons/lab/numbers.py changed"


# ---- damage


def damage_report(folder: Path) -> None:
    (folder / report.NAME).write_bytes((folder / report.NAME).read_bytes()[:100])


def damage_figure(folder: Path) -> None:
    (folder / "doublings.svg").unlink()


def damage_number(folder: Path) -> None:
    edit(folder / report.NAME, "512.0", "513.0")


def damage_stamp(folder: Path) -> None:
    (folder / runs.STAMP).write_text('{"fingerprint": [1, 2')


def damage_stamp_quietly(folder: Path) -> None:
    edit(folder / runs.STAMP, '"numpy": "', '"numpy": "9')


@pytest.mark.parametrize(
    "damage",
    [damage_report, damage_figure, damage_number, damage_stamp, damage_stamp_quietly],
    ids=lambda f: f.__name__,
)
def test_a_damaged_run_is_run_again(toy, quickly, damage):
    first = again(toy)
    damage(first.folder)
    second = again(toy)
    assert (second.was_stale, second.reason) == (True, "its stored run is damaged")
    assert second.report == first.report | {"sections": second.report["sections"]}
    assert not again(toy).was_stale


def test_an_interrupted_run_leaves_nothing(toy, cache, monkeypatch):
    def interrupt(lesson: Lesson, size: str, folder: Path) -> None:
        (folder / report.NAME).write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(runs, "_execute", interrupt)
        with pytest.raises(KeyboardInterrupt):
            again(toy)
    assert list((cache / "runs" / "toy-quick").iterdir()) == []
    assert again(toy).reason == "new"


def test_what_a_killed_build_left_is_not_taken_and_later_removed(toy, cache, quickly):
    left = cache / "runs" / "toy-quick" / f"{runs.WORKING}abc"
    left.mkdir(parents=True)
    (left / report.NAME).write_text("{}")
    assert again(toy).reason == "new"
    assert left.is_dir(), "its build may still be at work"
    os.utime(left, (0, 0))
    again(toy, fresh=True)
    assert not left.exists()


def test_old_runs_are_removed_when_nobody_can_be_reading_them(toy, quickly):
    folders = [again(toy, fresh=True).folder for _ in range(runs.KEPT + 2)]
    assert all(folder.is_dir() for folder in folders)
    long_ago = time.time() - 2 * runs.SPARED
    for k, folder in enumerate(folders):
        os.utime(folder, (long_ago + k, long_ago + k))
    newest = again(toy, fresh=True).folder
    assert [folder for folder in folders if folder.is_dir()] == folders[-(runs.KEPT - 1) :]
    assert newest.is_dir()


def test_a_long_run_that_is_still_at_work_is_left_alone(toy, cache, quickly):
    at_work = cache / "runs" / "toy-quick" / f"{runs.WORKING}abc"
    at_work.mkdir(parents=True)
    for _ in range(runs.KEPT + 1):
        long_ago = time.time() - 2 * runs.SPARED
        os.utime(again(toy, fresh=True).folder, (long_ago, long_ago))
        os.utime(at_work, (long_ago - 1, long_ago - 1))
    again(toy, fresh=True)
    assert at_work.is_dir()


def test_two_builds_at_once_both_get_a_whole_run(toy):
    lesson = catalogue.find(str(toy))
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda _: stored(lesson), range(2)))
    for one in found:
        assert one.kept
        assert one.report["passed"]
        assert (one.folder / "doublings.svg").is_file()
    assert not again(toy).was_stale


def test_a_lesson_that_is_edited_while_it_runs_is_not_kept(toy, monkeypatch):
    def edited_meanwhile(lesson: Lesson, size: str, folder: Path) -> None:
        execute.execute(lesson, size, folder)
        edit(toy, 'Many doublings"', 'More doublings"')

    with monkeypatch.context() as patched:
        patched.setattr(runs, "_execute", edited_meanwhile)
        assert not again(toy).kept
    assert again(toy).reason == "new"


# ---- where nothing can be kept


@pytest.mark.parametrize("blocked", [".", "runs", "runs/toy-quick"])
def test_without_a_cache_folder_a_temporary_one_serves(toy, cache, quickly, blocked):
    (cache / blocked).parent.mkdir(parents=True, exist_ok=True)
    (cache / blocked).write_text("a file, so no folder can be made here")
    run = again(toy)
    assert (run.was_stale, run.kept) == (True, False)
    assert run.report["passed"]
    assert (run.folder / "doublings.svg").is_file()
    assert again(toy).reason == "new"


def test_a_cache_that_cannot_be_written_is_still_read(toy, quickly, monkeypatch):
    first = again(toy)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    assert again(toy).folder == first.folder
    monkeypatch.setattr(Path, "rename", refuse)
    assert not again(toy, fresh=True).kept


def test_without_a_home_folder_a_temporary_one_serves(toy, quickly, monkeypatch):
    def unknown():
        raise runs.DataError("no home folder is known")

    monkeypatch.setattr(runs, "data_folder", unknown)
    assert not again(toy).kept


# ---- lessons at fault


def test_a_failed_claim_is_in_the_report_and_tried_again(toy, quickly):
    edit(toy, "equals=512.0", "equals=513.0")
    first = again(toy)
    assert not first.report["passed"]
    assert first.report["claims_failed"] == 1
    second = again(toy)
    assert (second.was_stale, second.reason) == (True, "a claim failed last time")
    assert not second.report["passed"]


def test_a_part_that_breaks_off_is_in_the_report(toy):
    edit(toy, '    run.note("Nothing to measure.")', "    raise RuntimeError('no')")
    said = again(toy).report
    [broken] = [item for section in said["sections"] for item in section["items"] if item["type"] == "error"]
    assert "RuntimeError: no" in broken["problem"]


def test_a_lesson_that_does_not_run_is_our_error(toy, cache):
    lesson = catalogue.find(str(toy))
    toy.write_text(toy.read_text(encoding="utf-8") + "\nraise SystemExit('stopped here')\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"(?s)lesson toy does not run:.*stopped here"):
        stored(lesson)
    assert list((cache / "runs" / "toy-quick").iterdir()) == []


def test_a_lesson_without_anything_to_run_is_refused():
    toy = catalogue.find(str(TOY))
    empty = Lesson("empty", "Empty", "none", toy.source, "nothing")
    empty.smaller_slips([("N", "a", "b")])
    with pytest.raises(UsageError, match="no part and no exercise"):
        stored(empty)


def test_what_an_older_import_says_does_not_matter(toy):
    """The files are what is run, also when the builder has imported an older version of them."""
    lesson = catalogue.find(str(toy))
    edit(toy, 'Many doublings"', 'More doublings"')
    titles = [section["title"] for section in stored(lesson).report["sections"]]
    assert "More doublings" in titles
