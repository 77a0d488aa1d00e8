"""Random programs in the subset, as source text: branches, loops, nested calls, tuples, early exits.

Values stay moderate: divisors, roots and logarithms get positive arguments, exponentials get bounded ones, and a value
that a loop carries goes through a function with bounded values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

UNARY = (
    "math.sin({a})", "math.cos({a})", "math.tanh({a})", "math.exp(math.tanh({a}))", "math.sqrt(1.5 + {a} * {a})",
    "math.log(1.2 + {a} ** 2)", "math.atan({a})", "-{a}", "{a} ** 2", "math.tanh({a}) ** 3", "1 / (2 + math.cos({a}))",
)  # fmt: skip
BINARY = (
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / (1.3 + {b} * {b})", "math.tanh({a}) * {b}", "max({a}, {b} - 0.1)",
    "min({a}, 2 * {b})", "abs({a}) + {b}", "(1.1 + {a} ** 2) ** math.sin({b})", "math.atan2({a}, 1.4 + {b} * {b})",
)  # fmt: skip


@dataclass
class _Writer:
    rng: np.random.Generator
    helpers: list[tuple[str, int, bool]]  # name, number of parameters, whether it returns a pair
    lines: list[str] = field(default_factory=list)
    loops: int = 0

    def pick(self, options: Sequence) -> Any:
        return options[self.rng.integers(len(options))]

    def expression(self, names: list[str], depth: int = 2) -> str:
        if depth == 0 or self.rng.random() < 0.2:
            return self.pick(names) if self.rng.random() < 0.8 else f"{self.rng.uniform(0.2, 1.5):.2f}"
        singles = [helper for helper in self.helpers if not helper[2]]
        if singles and self.rng.random() < 0.15:
            called, count, _ = self.pick(singles)
            return f"{called}({', '.join(self.expression(names, 0) for _ in range(count))})"
        if self.rng.random() < 0.5:
            return f"({self.pick(UNARY).format(a=self.expression(names, depth - 1))})"
        pair = {"a": self.expression(names, depth - 1), "b": self.expression(names, depth - 1)}
        return f"({self.pick(BINARY).format(**pair)})"

    def condition(self, names: list[str]) -> str:
        side = f"{self.pick(names)} {self.pick(('<', '>'))} {self.rng.uniform(-0.8, 0.8):.2f}"
        if self.rng.random() < 0.25:
            side += f" {self.pick(('and', 'or'))} {self.pick(names)} > {self.rng.uniform(-0.8, 0.8):.2f}"
        return side

    def statements(self, names: list[str], pad: str, depth: int, count: int, in_loop: bool = False) -> list[str]:
        """Write statements; return the names that have a value after them."""
        for _ in range(count):
            kinds = ["assign", "assign", "update", "pair", "call"]
            if depth:
                kinds += ["if", "if", "for", "while"]
            if in_loop:
                kinds += ["leave"]
            names = getattr(self, f"_{self.pick(kinds)}")(names, pad, depth)
        return names

    def new(self, names: list[str]) -> str:
        """A name to assign to: a new one, or one that is there already."""
        if len(names) > 2 and self.rng.random() < 0.6:
            return self.pick(names)
        return f"v{len(names)}"

    def _assign(self, names: list[str], pad: str, depth: int) -> list[str]:
        target = self.new(names)
        self.lines.append(f"{pad}{target} = math.tanh({self.expression(names)}) + {self.pick(names)} * 0.3")
        return [*dict.fromkeys([*names, target])]

    def _update(self, names: list[str], pad: str, depth: int) -> list[str]:
        self.lines.append(f"{pad}{self.pick(names)} {self.pick(('+=', '-=', '*='))} math.sin({self.expression(names)})")
        return names

    def _pair(self, names: list[str], pad: str, depth: int) -> list[str]:
        first, second = self.pick(names), self.pick(names)
        if first != second:
            self.lines.append(f"{pad}{first}, {second} = {second}, math.cos({first}) + {self.expression(names, 1)}")
        return names

    def _call(self, names: list[str], pad: str, depth: int) -> list[str]:
        pairs = [helper for helper in self.helpers if helper[2]]
        if not pairs:
            return self._assign(names, pad, depth)
        called, count, _ = self.pick(pairs)
        target = self.new(names)
        arguments = ", ".join(self.expression(names, 1) for _ in range(count))
        self.lines.append(f"{pad}two = {called}({arguments})")
        self.lines.append(f"{pad}{target} = two[0] * 0.5 + math.sin(two[1])")
        return [*dict.fromkeys([*names, target])]

    def _if(self, names: list[str], pad: str, depth: int) -> list[str]:
        self.lines.append(f"{pad}if {self.condition(names)}:")
        self.statements(names, pad + "    ", depth - 1, 1 + self.rng.integers(2))
        if self.rng.random() < 0.6:
            self.lines.append(f"{pad}else:")
            self.statements(names, pad + "    ", depth - 1, 1 + self.rng.integers(2))
        return names

    def _for(self, names: list[str], pad: str, depth: int) -> list[str]:
        self.loops += 1
        index = f"i{self.loops}"
        bounds = self.pick(("3", "4", "1, 4", "6, 0, -2"))
        self.lines.append(f"{pad}for {index} in range({bounds}):")
        carried = self.pick(names)
        self.statements(names, pad + "    ", depth - 1, 1 + self.rng.integers(2), in_loop=True)
        self.lines.append(f"{pad}    {carried} = math.sin({carried} * {index} * 0.4) + 0.5 * {self.pick(names)}")
        return names

    def _while(self, names: list[str], pad: str, depth: int) -> list[str]:
        self.loops += 1
        counter, carried = f"k{self.loops}", self.pick(names)
        self.lines.append(f"{pad}{counter} = 0")
        self.lines.append(f"{pad}while {counter} < {1 + self.rng.integers(4)} and {self.pick(names)} < 0.9:")
        self.lines.append(f"{pad}    {counter} += 1")
        self.statements(names, pad + "    ", depth - 1, 1, in_loop=True)
        self.lines.append(f"{pad}    {carried} = math.cos({carried}) * 0.9 + 0.1 * {counter}")
        return names

    def _leave(self, names: list[str], pad: str, depth: int) -> list[str]:
        self.lines.append(f"{pad}if {self.condition(names)}:")
        self.lines.append(f"{pad}    {self.pick(('break', 'continue', 'return ' + self.expression(names, 1)))}")
        return names


def random_program(rng: np.random.Generator, statements: int = 6) -> str:
    """Source text that ends with a function f of three numbers, with up to three helpers before it."""
    parts: list[str] = []
    helpers: list[tuple[str, int, bool]] = []
    for number in range(rng.integers(0, 4)):
        count, pair = int(rng.integers(1, 3)), bool(rng.random() < 0.5)
        writer = _Writer(rng, list(helpers))
        names = [f"x{k}" for k in range(count)]
        after = writer.statements(list(names), "    ", 1, int(rng.integers(1, 3)))
        # An early return would need a pair as well, so helpers that return pairs have none.
        lines = [line for line in writer.lines if not (pair and "return" in line)] if pair else writer.lines
        result = f"math.sin({writer.expression(after)})"
        result = f"({result}, {writer.expression(after, 1)})" if pair else result
        body = "\n".join(_without_empty_branches(lines))
        parts.append(f"def g{number}({', '.join(names)}):\n{body}\n    return {result}\n")
        helpers.append((f"g{number}", count, pair))
    writer = _Writer(rng, helpers)
    names = [f"x{k}" for k in range(3)]
    after = writer.statements(list(names), "    ", 2, statements)
    everything = " + ".join(f"{0.5 + 0.25 * place} * {each}" for place, each in enumerate(after))
    body = "\n".join(_without_empty_branches(writer.lines))
    parts.append(f"def f({', '.join(names)}):\n{body}\n    return {everything}\n")
    return "\n\n".join(parts)


def _without_empty_branches(lines: list[str]) -> list[str]:
    """Put `pass` under an if or else that nothing was written for."""
    filled = []
    for place, line in enumerate(lines):
        filled.append(line)
        following = lines[place + 1] if place + 1 < len(lines) else ""
        indent = len(line) - len(line.lstrip())
        if line.rstrip().endswith(":") and len(following) - len(following.lstrip()) <= indent:
            filled.append(" " * (indent + 4) + "pass")
    return filled
