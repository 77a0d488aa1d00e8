"""The source text of a function of a lesson."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def source_of(function: Callable[..., Any]) -> str:
    """The text of a function, decorators included, moved to the left margin."""
    return textwrap.dedent(inspect.getsource(function))


def without_decorators(function: Callable[..., Any]) -> str:
    """The text of a function from its `def` on."""
    source = source_of(function)
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    return "\n".join(source.splitlines()[definition.lineno - 1 : definition.end_lineno])
