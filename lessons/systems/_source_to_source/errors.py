"""What is said when a program is outside the subset."""

from __future__ import annotations


class UnsupportedSyntax(Exception):
    """The program cannot be transformed: where, what was found there, and what to write instead."""

    def __init__(self, line: int, found: str, instead: str, code: str = "") -> None:
        shown = f":  {code.strip()}" if code.strip() else ""
        super().__init__(f"line {line}{shown}\n  found {found}\n  {instead}")
        self.line = line
        self.found = found
        self.instead = instead


class SourceNotFound(Exception):
    """The text of a function cannot be read, because Python did not keep it."""
