"""What a formula says: LaTeX, read strictly, as a flat list of marks.

This is the second opinion on latex2mathml.  It makes no MathML; it only spells out the formula, and `transcript`
spells out the MathML in the same way, so that the two can be compared.  `\\frac{a}{b_i}` is

    frac( 𝑎 )( script( 𝑏 )sub( 𝑖 ) )

Whatever is not in `symbols` is refused here, and so is what LaTeX itself would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator

from lessons.workbench.site.maths import symbols
from lessons.workbench.site.maths.errors import MathsError
from lessons.workbench.site.maths.letters import styled

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_END = ""
_FRACTIONS = {r"\frac", r"\tfrac", r"\dfrac"}
_STACKS = {r"\overset": "overset", r"\underset": "underset"}


def read(latex: str) -> list[str]:
    """The marks of a formula.

    Raises `MathsError` for commands that are not in `symbols`, groups that are not closed, ``&`` outside a table, and
    whatever else would not compile or is known to come out wrong.
    """
    reader = _Reader(latex)
    marks = reader.row()
    if reader.next != _END:
        raise MathsError(f"there is {_shown(reader.next)} where nothing was opened")
    if not _says_something(marks):
        raise MathsError("the formula is empty")
    return marks


def script(base: list[str], below: list[str], above: list[str]) -> list[str]:
    """A base with what stands low and high at its right (or under and over it); at least one of the two is there."""
    marks = ["script(", *base]
    marks += [")sub(", *below] if below else []
    marks += [")sup(", *above] if above else []
    return [*marks, ")"]


def _says_something(marks: list[str]) -> bool:
    return any(not mark.startswith("space") for mark in marks)


def _shown(token: str) -> str:
    return f"`{token}`" if token != _END else "the end"


def tokens(latex: str) -> list[str]:
    """Commands with their backslash, single characters, and white space as one blank."""
    return [" " if token.isspace() else token for token in _TOKEN.findall(latex)]


class _Reader:
    """A reader by recursive descent, with one token of foresight."""

    def __init__(self, latex: str) -> None:
        self._tokens: Iterator[str] = iter(tokens(latex))
        self.next = _END
        self._advance()

    # ---- tokens

    def _advance(self) -> str:
        """Give out the next token, and look at the one after it."""
        token, self.next = self.next, next(self._tokens, _END)
        return token

    def _skip_blanks(self) -> None:
        while self.next == " ":
            self._advance()

    def _expect(self, token: str, what: str) -> None:
        self._skip_blanks()
        if self.next != token:
            raise MathsError(f"{what} needs `{token}`, and there is {_shown(self.next)}")
        self._advance()

    def _raw_group(self, what: str) -> str:
        """The text between braces, as it is typed."""
        self._expect("{", what)
        content = ""
        while self.next not in ("}", _END):
            content += self._advance()
        self._expect("}", what)
        return content

    # ---- rows, atoms, scripts

    def row(self, *ends: str) -> list[str]:
        """Atoms up to one of ``ends``, a closing brace, or the end."""
        marks: list[str] = []
        while True:
            self._skip_blanks()
            if self.next in (_END, "}", "&", r"\\", r"\right", r"\end", *ends):
                return marks
            marks += self._scripted()

    def _scripted(self) -> list[str]:
        """One atom and its scripts."""
        base = [] if self.next in ("_", "^", "'") else self._atom()
        below: list[str] | None = None
        above: list[str] | None = None
        self._skip_blanks()
        while self.next in ("_", "^", "'"):
            if self.next == "_":
                below = self._one_script(below)
            elif self.next == "^":
                above = self._one_script(above)
            else:
                above = self._primes(above)
            self._skip_blanks()
        if below is None and above is None:
            return base
        return script(base, below or [], above or [])

    def _one_script(self, before: list[str] | None) -> list[str]:
        sign = self._advance()
        if before is not None:
            raise MathsError(f"there are two `{sign}` on one base")
        marks = self._argument(f"`{sign}`")
        if not _says_something(marks):
            raise MathsError(f"`{sign}` has nothing after it")
        return marks

    def _primes(self, before: list[str] | None) -> list[str]:
        if before is not None:
            raise MathsError("there is a prime after a superscript")
        count = 0
        while self.next == "'":
            self._advance()
            count += 1
        primes = ["′"] * count
        self._skip_blanks()
        if self.next == "^":
            self._advance()
            primes += self._argument("`^`")
        return primes

    def _argument(self, command: str) -> list[str]:
        """What a command takes: a group, or one single atom."""
        self._skip_blanks()
        if self.next in (_END, "}", "&", r"\\", "_", "^", "'", r"\right", r"\end"):
            raise MathsError(f"{command} has nothing after it")
        return [self._advance()] if self.next.isdigit() else self._atom()

    def _filled(self, command: str) -> list[str]:
        """An argument that must say something."""
        marks = self._argument(command)
        if not _says_something(marks):
            raise MathsError(f"{command} has an empty argument")
        return marks

    def _atom(self) -> list[str]:
        token = self._advance()
        if token == "{":
            marks = self.row()
            self._expect("}", "a group")
            return marks
        if token in symbols.SPACES:
            return [f"space{symbols.SPACES[token]}"]
        if token.startswith("\\"):
            return self._command(token)
        if token.isdigit():
            return [token, *self._rest_of_number()]
        return [_typed(token)]

    def _rest_of_number(self) -> list[str]:
        """The digits that follow a digit, and one decimal point between them: scripts belong to the whole number."""
        marks: list[str] = []
        while self.next.isdigit() or (self.next == "." and "." not in marks):
            marks.append(self._advance())
        return marks

    # ---- commands

    def _command(self, token: str) -> list[str]:
        if token in symbols.LOWER_GREEK or token == r"\partial":
            return [styled(symbols.SYMBOLS[token], "italic")]
        if token in symbols.SYMBOLS:
            return [symbols.SYMBOLS[token]]
        if token in symbols.FUNCTIONS or token in symbols.LIMITS:
            return list(token[1:])
        if token in symbols.FONTS:
            return self._letters(token)
        if token in symbols.BIG:
            return ["big", self._delimiter(token)]
        for table, method in self._kinds_of_command():
            if token in table:
                return method(token)
        raise MathsError(_refusal(token, self.next))

    def _kinds_of_command(self) -> Iterator[tuple[Container[str], Callable[[str], list[str]]]]:
        yield {r"\text"}, self._text
        yield {r"\operatorname"}, self._operator_name
        yield _FRACTIONS, self._fraction
        yield {r"\sqrt"}, self._root
        yield symbols.ABOVE, self._accented
        yield symbols.BELOW, self._accented
        yield _STACKS, self._stacked
        yield {r"\left"}, self._fenced
        yield {r"\begin"}, self._environment

    def _letters(self, font: str) -> list[str]:
        """Letters, digits and (where it is bold) Greek in another font."""
        self._skip_blanks()
        grouped = self.next == "{"
        content = tokens(self._raw_group(f"`{font}`")) if grouped else [self._advance()]
        allowed = set(symbols.LOWER_GREEK) if font == r"\boldsymbol" else set()
        for token in content:
            if not (token.isascii() and token.isalnum()) and token not in allowed:
                raise MathsError(f"`{font}` holds {_shown(token)}; it takes letters and digits")
        if not content:
            raise MathsError(f"`{font}` is empty")
        if font == r"\boldsymbol":
            return [styled(symbols.SYMBOLS.get(token, token), _bold(token)) for token in content]
        return [styled(token, symbols.FONTS[font]) for token in content]

    def _text(self, command: str) -> list[str]:
        content = self._raw_group(f"`{command}`")
        plain = content.replace(r"\_", "_").replace(r"\%", "%")
        wrong = re.search(r"[\\{}$&#^~]|(?<!\\)[_%]", content.replace(r"\_", "").replace(r"\%", ""))
        if wrong:
            raise MathsError(f"`\\text{{{content}}}` holds `{wrong[0]}`, which would be shown as it is typed")
        if not content.strip():
            raise MathsError("`\\text` is empty; write \\quad, or another space")
        return ["text(", *plain.replace("\n", " "), ")"]

    def _operator_name(self, command: str) -> list[str]:
        if self.next == "*":
            raise MathsError(_refusal(command + "*", ""))
        name = self._raw_group(f"`{command}`")
        if not (name.isascii() and name.isalpha()):
            raise MathsError(f"`\\operatorname{{{name}}}` is not made of letters alone, and others get lost")
        return list(name)

    def _fraction(self, command: str) -> list[str]:
        return [f"{command[1:]}(", *self._filled(f"`{command}`"), ")(", *self._filled(f"`{command}`"), ")"]

    def _root(self, command: str) -> list[str]:
        self._skip_blanks()
        if self.next != "[":
            return ["sqrt(", *self._filled(f"`{command}`"), ")"]
        self._advance()
        index = self.row("]")
        self._expect("]", "the index of a root")
        if not _says_something(index):
            raise MathsError("the index of a root is empty")
        return ["root(", *self._filled(f"`{command}`"), ")(", *index, ")"]

    def _accented(self, command: str) -> list[str]:
        char, _ = {**symbols.ABOVE, **symbols.BELOW}[command]
        where = "over" if command in symbols.ABOVE else "under"
        return [f"{where}(", *self._filled(f"`{command}`"), ")with", char]

    def _stacked(self, command: str) -> list[str]:
        label = self._filled(f"`{command}`")
        return [f"{_STACKS[command]}(", *self._filled(f"`{command}`"), ")(", *label, ")"]

    def _delimiter(self, command: str) -> str:
        self._skip_blanks()
        token = self._advance()
        if token not in symbols.DELIMITERS or (token == "." and command not in (r"\left", r"\right")):
            raise MathsError(f"`{command}` is followed by {_shown(token)}, which is no delimiter")
        return symbols.DELIMITERS[token]

    def _fenced(self, command: str) -> list[str]:
        marks = ["left", self._delimiter(command), *self.row()]
        if self.next != r"\right":
            raise MathsError(f"`\\left` is not closed: there is {_shown(self.next)} before its `\\right`")
        return [*marks, self._advance()[1:], self._delimiter(r"\right")]

    # ---- tables

    def _environment(self, _: str) -> list[str]:
        name = self._raw_group(r"`\begin`")
        if name not in symbols.ENVIRONMENTS:
            raise MathsError(_refusal(name, ""))
        rows = self._rows()
        self._expect(r"\end", f"`\\begin{{{name}}}`")
        end = self._raw_group(r"`\end`")
        if end != name:
            raise MathsError(f"`\\begin{{{name}}}` is closed by `\\end{{{end}}}`")
        _check_table(name, rows)
        opening, closing = (["fence", sign] if sign else [] for sign in symbols.ENVIRONMENTS[name])
        cells = [mark for row in rows for mark in ["row(", *_between(row, "&"), ")"]]
        return [*opening, "table(", *cells, ")", *closing]

    def _rows(self) -> list[list[list[str]]]:
        """The cells of a table, line by line; an empty last line, after a last ``\\\\``, is none."""
        rows: list[list[list[str]]] = [[self._cell()]]
        while self.next in ("&", r"\\"):
            if self._advance() == "&":
                rows[-1].append(self._cell())
            else:
                rows.append([self._cell()])
        if rows[-1] == [[]]:
            rows.pop()
        return rows

    def _cell(self) -> list[str]:
        self._skip_blanks()
        if self.next == "[":
            raise MathsError("a cell begins with `[`, which LaTeX and latex2mathml do not read alike; put {} before it")
        return self.row()


def _between(cells: list[list[str]], sign: str) -> list[str]:
    marks: list[str] = []
    for number, cell in enumerate(cells):
        marks += [sign, *cell] if number else cell
    return marks


def _check_table(name: str, rows: list[list[list[str]]]) -> None:
    if not any(_says_something(cell) for row in rows for cell in row):
        raise MathsError(f"`{name}` is empty")
    widths = {len(row) for row in rows}
    if name == "align*":
        if any(width > 1 and width % 2 for width in widths):
            raise MathsError("`align*` has an odd number of cells in a line; its columns come in pairs, right and left")
    elif len(widths) > 1:
        raise MathsError(f"the lines of `{name}` have {' and '.join(map(str, sorted(widths)))} cells; give all as many")


def _bold(token: str) -> str:
    return "bold" if token.isdigit() else "bold-italic"


def _typed(token: str) -> str:
    """The mark of a character that was typed as it is."""
    if token in symbols.TYPED:
        return symbols.TYPED[token][0]
    if token.isascii() and token.isdigit():
        return token
    if token.isascii() and token.isalpha():
        return styled(token, "italic")
    raise MathsError(f"there is {_shown(token)}, which has no meaning in a formula; {_advice(token)}")


def _advice(token: str) -> str:
    if token == "%":
        return r"write \%, and comments outside formulas"
    return "write its LaTeX command" if not token.isascii() else "take it away"


def _refusal(name: str, after: str) -> str:
    """The message for a command or an environment that is not in the tables."""
    starred = name + "*" if after == "*" else name
    known = symbols.INSTEAD.get(starred) or symbols.INSTEAD.get(name)
    what = f"`{name}`" if name.startswith("\\") else f"`\\begin{{{name}}}`"
    if known:
        return f"{what} comes out wrong; {known}"
    return f"{what} is not among the commands that we have tried (lessons.workbench.site.maths.symbols)"
