"""What holds for every lesson: its claims, its exercises' checks, its figures, and its recorded values.

A lesson's own file tests/lessons/test_NAME.py has what is its own: headline numbers, known answers, figures' data.
"""

from __future__ import annotations

import ast
import dis
import importlib
import importlib.util
import inspect
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from lessons.anatomy import Figure, Slider, check_file, stub_file
from lessons.lab.recorded import recorded_by_torch
from lessons.workbench import catalogue, devcheck, errata

ROOT = Path(__file__).resolve().parents[2]
LESSONS = catalogue.all_lessons()
HEAVY = ("numba", "torch", "matplotlib")

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=[lesson.name for lesson in LESSONS])


@every_lesson
def test_every_claim_of_a_quick_run_holds(lesson, quick_run):
    run = quick_run(lesson.name)
    failed = [f"{c.text}: {c.measured} {c.requirement} {c.problem}" for c in run.claims if not c.passed]
    assert failed == []
    assert len(run.claims) >= 15
    assert [section.part.name for section in run.sections if not section.items] == [], "parts that say nothing"


@every_lesson
def test_its_errata_hold_by_themselves(lesson):
    """`minigrad errata` runs them without the parts before them."""
    failed = [
        f"{row.erratum.title}: {claim.text} {claim.problem}"
        for row in errata.collect([lesson])
        for claim in row.evidence
        if not claim.passed
    ]
    assert failed == []


@every_lesson
def test_its_checks_can_fail(lesson):
    assert devcheck.problems(lesson) == []


@every_lesson
def test_its_stubs_are_not_started(lesson, tmp_path):
    homework = tmp_path / f"{lesson.name}.py"
    homework.write_text(stub_file(lesson), encoding="utf-8")
    assert {one.status for one in check_file(lesson, homework)} == {"not started"}


@every_lesson
def test_it_has_exercises_with_terms_mistakes_and_other_right_solutions(lesson):
    assert len(lesson.exercise_list) >= 2
    declared = {name for part in lesson.parts for name in part.terms}
    for exercise in lesson.exercise_list:
        assert len(exercise.mistakes) >= 3, exercise.name
        assert exercise.variants, exercise.name
        if exercise.question is not None:
            assert all(term.equation for term in exercise.question.all_terms()), exercise.name
            gradients = (terms for name, terms in exercise.question.terms.items() if name.startswith("d"))
            # Who reads a term's name in the terminal finds it in a step of the derivation.
            assert {term.name for terms in gradients for term in terms} <= declared, exercise.name


@every_lesson
def test_its_figures_are_complete(lesson, quick_run):
    run = quick_run(lesson.name)
    drawn = [item for section in run.sections for item in section.items if isinstance(item, Figure)]
    for figure in drawn:
        kinds = {path.suffix for path in figure.files}
        if isinstance(figure, Slider):
            assert {".png", ".webp", ".npz"} == kinds, figure.name
            assert sum(path.stat().st_size for path in figure.frames) < 350_000, figure.name
        else:
            assert ({".svg", ".png"} <= kinds) != ({".gif", ".png"} <= kinds), figure.name  # a figure, or an animation
        assert all(path.stat().st_size > 0 for path in figure.files), figure.name
        assert len(figure.alt) > 30, figure.name
    assert {path.name for path in run.out.iterdir()} == {path.name for figure in drawn for path in figure.files}


@every_lesson
def test_its_source_and_its_needs_exist(lesson):
    assert lesson.source.link.startswith("http")
    assert 1950 < lesson.source.year < 2030
    assert set(lesson.needs) <= {other.name for other in LESSONS} - {lesson.name}
    assert 0 < lesson.minutes <= 5


def globals_of(function: types.FunctionType, module: types.ModuleType) -> set[str]:
    """The module's names that a function reads when it runs, also through the module's functions that it calls."""
    found: set[str] = set()
    waiting = [inspect.unwrap(function).__code__]
    while waiting:
        code = waiting.pop()
        waiting += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        for name in {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"} - found:
            found.add(name)
            value = getattr(module, name, None)
            if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
                waiting.append(inspect.unwrap(value).__code__)
    return found


@every_lesson
def test_no_cell_uses_what_a_later_one_defines(lesson):
    """In VS Code and Jupyter a part runs as soon as its cell is reached."""
    module = importlib.import_module(f"lessons.{lesson.subject}.{lesson.name}")
    tree = ast.parse(inspect.getsource(module))
    line_of: dict[str, int] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        names = [getattr(node, "name", "")] + [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)):
            for name in names if isinstance(node, (ast.Assign, ast.AnnAssign)) else names[:1]:
                line_of.setdefault(name, node.end_lineno)
    for part in lesson.parts:
        if part.body.__name__ in line_of:
            own = line_of[part.body.__name__]
            late = {name for name in globals_of(part.body, module) if line_of.get(name, 0) > own}
            assert not late, f"{part.name} uses what is defined below it"


@every_lesson
def test_importing_it_is_light(lesson):
    code = f"import sys, lessons.{lesson.subject}.{lesson.name}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


RECORDED = [lesson for lesson in LESSONS if (ROOT / f"lessons/{lesson.subject}/{lesson.name}_torch.npz").exists()]


@pytest.mark.parametrize("lesson", RECORDED, ids=[lesson.name for lesson in RECORDED])
def test_recorded_values_are_compared_and_small(lesson, quick_run):
    assert any(claim.kind == "recorded" for claim in quick_run(lesson.name).claims)
    assert (ROOT / f"lessons/{lesson.subject}/{lesson.name}_torch.npz").stat().st_size < 50_000
    assert recorded_by_torch(lesson)["torch_version"].shape == ()


@pytest.mark.torch
@pytest.mark.parametrize("lesson", RECORDED, ids=[lesson.name for lesson in RECORDED])
def test_the_recorder_still_gives_the_recorded_values(lesson):
    pytest.importorskip("torch", reason="the recorders run PyTorch")
    path = ROOT / "tests" / "reference" / f"record_{lesson.name}_lesson.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    recorder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorder)
    now, then = recorder.record(), recorded_by_torch(lesson)
    assert now.keys() == then.keys()
    for name in now.keys() - {"torch_version"}:
        np.testing.assert_allclose(now[name], then[name], rtol=1e-12, atol=1e-13, err_msg=name)


def test_no_two_lessons_share_a_name():
    names = [lesson.name for lesson in LESSONS]
    assert len(set(names)) == len(names)
    assert [(entry.name, entry.subject) for entry in catalogue.entries()] == [
        (one.name, one.subject) for one in LESSONS
    ]
