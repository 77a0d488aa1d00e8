"""The only arrows are lessons -> minigrad -> kernels, and importing a package imports nothing heavy."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("kernels", "minigrad", "lessons")
ALLOWED = {"kernels": {"kernels"}, "minigrad": {"minigrad", "kernels"}, "lessons": set(PACKAGES)}
HEAVY = ("numba", "llvmlite", "matplotlib", "torch", "scipy", "pytest", "hypothesis")


def imported_packages(source: str, package: str, where: str) -> set[str]:
    """The top-level names that a module imports anywhere, also inside functions and by importlib."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source, where)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(package if node.level else (node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                found.add(node.args[0].value.split(".")[0] or package)
    return found


def test_the_reader_of_imports_sees_every_form() -> None:
    source = (
        "import a.b, c as d\nfrom e.f import g\nfrom . import h\ndef f():\n    import i\n"
        "    importlib.import_module('j.k')\n    __import__('l')\nif TYPE_CHECKING:\n    from m import n\n"
    )
    assert imported_packages(source, "own", "test") == {"a", "c", "e", "own", "i", "j", "l", "m"}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_arrows_point_one_way(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    for module in modules:
        ours = imported_packages(module.read_text(encoding="utf-8"), package, str(module)) & {*PACKAGES, "tests"}
        assert ours <= ALLOWED[package], f"{module.relative_to(ROOT)} imports {sorted(ours - ALLOWED[package])}"


@pytest.mark.parametrize("package", PACKAGES)
def test_relative_imports_stay_inside_their_package(package: str) -> None:
    for module in (ROOT / package).rglob("*.py"):
        depth = len(module.relative_to(ROOT).parts) - 1
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= depth, f"{module.relative_to(ROOT)}:{node.lineno} leaves {package}"


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after a statement."""
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_nothing_heavy(package: str) -> None:
    modules = {name.split(".")[0] for name in modules_after(f"import {package}")}
    assert package in modules
    assert not modules & set(HEAVY)
    assert not modules & (set(PACKAGES) - ALLOWED[package])


def test_minigrad_adds_almost_nothing_to_numpy() -> None:
    added = modules_after("import minigrad") - modules_after("import numpy")
    foreign = {name for name in added if name.split(".")[0] not in ("minigrad", "kernels")}
    # Import time without a clock: packages from outside, and NumPy's parts that load slowly, are what would cost it.
    assert not {name for name in foreign if name.split(".")[0] not in sys.stdlib_module_names | {"numpy"}}
    typing = {"numpy.typing", "numpy._typing._add_docstring"}
    assert not {name for name in foreign - typing if name.startswith("numpy.")}  # numpy.random takes a while
    assert len(foreign) <= 16, sorted(foreign)  # more in Python 3.10 than later


def test_only_optional_parts_of_numpy_and_the_standard_library_are_missing_in_the_core() -> None:
    """minigrad itself depends on NumPy and kernels alone, wherever the import stands."""
    for module in (ROOT / "minigrad").rglob("*.py"):
        found = imported_packages(module.read_text(encoding="utf-8"), "minigrad", str(module))
        assert found <= {"minigrad", "kernels", "numpy"} | sys.stdlib_module_names, module
