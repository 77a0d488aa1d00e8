"""`minigrad dev new` begins a lesson that runs, passes its own tests and dev check, and never overwrites anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import lessons
from lessons.workbench import scaffold
from lessons.workbench.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_a_new_lesson_runs_is_tested_and_passes_dev_check(tmp_path, capsys):
    assert main(["dev", "new", "scaled_mean", "--out", str(tmp_path)]) == 0
    assert "Next:" in capsys.readouterr().out
    lesson, test = tmp_path / "scaled_mean.py", tmp_path / "test_scaled_mean.py"
    assert main(["run", str(lesson), "--quick", "--out", str(tmp_path / "out")]) == 0
    assert "Held: 1 claim, all of them." in capsys.readouterr().out
    assert main(["dev", "check", str(lesson)]) == 0
    assert "2 terms: each is found" in capsys.readouterr().out
    for command in (
        ["pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "setup.cfg"), str(test)],
        ["ruff", "check"],
    ):
        given = [sys.executable, "-m", *command]
        if command[0] == "ruff":
            given += ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tmp_path)]
        done = subprocess.run(given, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr


def test_in_a_checkout_the_lesson_is_found_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "tests" / "lessons").mkdir(parents=True)
    (tmp_path / "lessons").mkdir()
    monkeypatch.setattr(lessons, "__path__", [str(tmp_path / "lessons")])
    monkeypatch.setattr(scaffold.lessons, "__path__", [str(tmp_path / "lessons")])
    written = scaffold.new_lesson("scaled_mean", "sequences")
    assert written == [
        tmp_path / "lessons" / "sequences" / "scaled_mean.py",
        tmp_path / "tests" / "lessons" / "test_scaled_mean.py",
    ]
    assert (tmp_path / "lessons" / "sequences" / "__init__.py").exists()
    assert 'catalogue.find("scaled_mean")' in written[1].read_text(encoding="utf-8")
    assert 'subject="sequences"' in written[0].read_text(encoding="utf-8")
    assert not any(re.search(r"@[A-Z_]+@", path.read_text(encoding="utf-8")) for path in written)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Layer"], "must be a Python name in lower case"),
        (["layer-norm"], "must be a Python name in lower case"),
        (["class"], "must be a Python name in lower case"),
        (["../evil"], "must be a Python name in lower case"),
        (["fine", "--subject", "../up"], "--subject becomes a module"),
        (["fine", "--subject", "workbench"], "holds no lessons"),
        (["batchnorm"], "a lesson called batchnorm exists"),
    ],
)
def test_bad_names_are_refused(tmp_path, capsys, arguments, message):
    assert main(["dev", "new", *arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("existing", ["mine.py", "test_mine.py"])
def test_nothing_is_overwritten(tmp_path, capsys, existing):
    (tmp_path / existing).write_text("my work", encoding="utf-8")
    assert main(["dev", "new", "mine", "--out", str(tmp_path)]) == 2
    assert "may hold your work" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text(encoding="utf-8") == "my work"


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["dev", "new", "mine", "--out", str(tmp_path / "file" / "below")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_without_a_checkout_it_asks_for_a_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / "lessons").mkdir()
    monkeypatch.setattr(scaffold.lessons, "__path__", [str(tmp_path / "lessons")])
    assert main(["dev", "new", "mine"]) == 2
    assert "give --out DIR" in capsys.readouterr().err
