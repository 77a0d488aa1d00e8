"""The README is true: its Python runs, and gives PyTorch's numbers; the paths and commands that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def run(code: str) -> dict:
    namespace: dict = {}
    exec(compile(code, "README.md", "exec"), namespace)
    return namespace


def test_the_tour_runs_and_says_what_it_computes():
    names = run("".join(blocks("python")))
    softmax = np.exp([[1, 2], [3, 4]]) / np.exp([[1, 2], [3, 4]]).sum(1, keepdims=True)
    np.testing.assert_allclose(names["x"].grad.numpy(), (softmax - [[1, 0], [1, 0]]) / 2, rtol=1e-6)
    np.testing.assert_allclose(names["h"].numpy(), [[6, 12], [18, 24]])


@pytest.mark.torch
def test_the_tour_with_torch_in_place_of_minigrad_gives_the_same_numbers():
    pytest.importorskip("torch", reason="PyTorch is not installed: the twin of the README's tour was not run")
    tour = blocks("python")[0]
    ours, theirs = run(tour), run(tour.replace("import minigrad as mg", "import torch as mg"))
    for name in ("loss", "g", "h"):
        np.testing.assert_allclose(ours[name].detach().numpy(), theirs[name].detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(ours["x"].grad.numpy(), theirs["x"].grad.numpy(), rtol=1e-6)
    assert [p.shape for p in ours["model"].parameters()] == [tuple(p.shape) for p in theirs["model"].parameters()]


def test_there_are_two_commands_one_line_each():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 2
    assert "minigrad run batchnorm" in lines[0]
    assert "pytest" in lines[1]


def test_the_paths_of_the_map_and_the_picture_exist():
    section = README.split("## The map")[1].split("\n\n")[1]
    folder, missing = "", []
    for line in section.splitlines():
        indent = len(line) - len(line.lstrip())
        for name in re.findall(r"[\w/]+(?:\.py|/)(?=\s)", line):
            if indent == 4:
                folder = name
            path = name if indent == 4 else folder + name
            if not (ROOT / path).exists():
                missing.append(path)
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    assert not missing + [p for p in pictures if not (ROOT / p).exists()]


def test_every_command_of_the_list_is_known_to_the_command_line(capsys):
    from lessons.workbench.cli import main

    commands = re.findall(r"^    minigrad (\w+)", README, re.M)
    assert len(commands) > 5
    for command in commands:
        assert main([command, "--help"]) == 0, command
        assert f"minigrad {command}" in capsys.readouterr().out
    assert main(["nonsense"]) != 0
