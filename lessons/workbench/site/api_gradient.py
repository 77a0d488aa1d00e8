"""The gradients of ops on a page: each as a formula with its legend, and as the code from which the formula is made."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lessons.workbench.site.api_calls import Primitive, gradient_source, primitive_of, public_twin
from lessons.workbench.site.api_catalogue import Public, by_identity, is_op, plain
from lessons.workbench.site.api_code import Source, definition
from lessons.workbench.site.formula import expression_of, formula_of
from lessons.workbench.site.formula_latex import Written, barred, expression, plain_name, written
from lessons.workbench.site.formula_scope import NoFormula
from lessons.workbench.site.formula_tree import Apply
from lessons.workbench.site.markup import EMPTY, Html, element, joined
from lessons.workbench.site.remembered import Remembered


class Pieces:
    """Coloured code and formulas, remembered from build to build."""

    def __init__(self, report_problem: Callable[[str], None]) -> None:
        here = Path(__file__).parent
        makers = [here / f"{name}.py" for name in ("code", "markup", "api_catalogue", "api_uses")]
        makers += (here / "maths").glob("*.py")
        self.remembered = Remembered("api", makers, ["pygments", "latex2mathml"])
        self.report_problem = report_problem

    def snippet(self, code: str) -> Html:
        """Python, coloured."""
        from lessons.workbench.site.code import snippet

        return Html(self.remembered.piece("code", code, lambda: snippet(code)))

    def formula(self, latex: str, display: bool, where: str) -> Html:
        """A formula as MathML; one that cannot be shown becomes a problem that begins with `where`, and nothing."""
        from lessons.workbench.site.maths import MathsError, to_mathml

        try:
            kind = "display" if display else "inline"
            return Html(self.remembered.piece(kind, latex, lambda: to_mathml(latex, display)))
        except MathsError as error:
            self.report_problem(f"{where}: {error}")
            return EMPTY


WIDE = 42  # letters in a line of a formula, beyond which it does not fit beside its code


def row(notes: Sequence[Html], work: Sequence[Html], stacked: bool = False) -> Html:
    """What is said, and beside it, where there is room, the code; `stacked` puts the code below in any case."""
    parts = [element("div", *notes, class_="prose"), *([element("div", *work, class_="work")] if work else [])]
    return element("div", *parts, class_="row stacked" if stacked else "row")


def breakable(name: str) -> Html:
    """A long name that may go on in the next line, after a dot or an underscore."""
    return joined(re.split(r"(?<=[._])(?=[A-Za-z])", name), Html("<wbr>"))


def _width(latex: str) -> int:
    """About how many letters the longest line of a formula has; a fraction has one line above the other."""
    lines = re.split(
        r"\\\\", re.sub(r"\\(?:begin|end)\{[a-z*]+\}|\\(?:bar|overline|frac|operatorname|text)\b", "", latex)
    )
    return max(len(re.sub(r"\\[A-Za-z]+|[\\{}\s^_&]", "", line)) for line in lines)


@dataclass
class Gradients:
    """What one page says about the gradients of its ops; a function that several of them share is shown once."""

    public: Public
    pieces: Pieces
    shown: set[Source] = field(default_factory=set)
    explained: set[str] = field(default_factory=set)
    widest: int = 0  # letters in the longest line of the formulas of one op

    def of(self, primitives: Sequence[Primitive], head: Sequence[Html]) -> Html:
        """The gradients of these ops, one after the other; `head` stands above the first."""
        return joined(self.one(p, [] if i else head) for i, p in enumerate(primitives))

    def one(self, primitive: Primitive, head: Sequence[Html]) -> Html:
        """Heading, formula and legend of one op, beside its code."""
        assert primitive.derivative is not None
        notes = list(head)
        if not self.public.is_op:
            notes.append(element("h3", "The op ", element("code", primitive.written)))
        self.widest = 0
        try:
            formula = written(formula_of(primitive.op, primitive.home, primitive.derivative))
        except NoFormula as reason:
            notes += self.without_formula(primitive, str(reason))
        else:
            notes.append(self.equation(formula.latex, primitive))
            notes.append(element("p", *self.legend(formula, primitive), class_="legend"))
            notes += self.operators(formula, primitive)
        new = [source for source in gradient_source(primitive) if source not in self.shown]
        self.shown.update(new)
        code = self.pieces.snippet("\n\n\n".join(source.text for source in new))
        return row(notes, [code], stacked=self.widest > WIDE)

    def without_formula(self, primitive: Primitive, reason: str) -> Iterator[Html]:
        """Why there is none; and where the tape differentiates a formula, that one."""
        traced = list(self.traced(primitive))
        said = "The tape differentiates this formula:" if traced else f"There is no single formula: {reason}."
        yield element("p", said, class_="no-formula")
        yield from traced

    def traced(self, primitive: Primitive) -> Iterator[Html]:
        """The formula that the tape differentiates in place of a kernel (`vjp_of`), if it is one."""
        derivative = primitive.derivative
        if derivative is None or not isinstance(derivative.joint, ast.Call):
            return
        try:
            _, value = expression_of(primitive.home, derivative.joint.args[0])
        except NoFormula:
            return
        yield self.equation(expression(value, primitive.written.strip("_")), primitive)

    def equation(self, latex: str, primitive: Primitive) -> Html:
        """A formula on lines of its own."""
        self.widest = max(self.widest, _width(latex))
        return element("div", self.mathml(latex, primitive, display=True), class_="equation scrolls")

    def mathml(self, latex: str, primitive: Primitive, display: bool = False) -> Html:
        assert primitive.derivative is not None
        path = primitive.home.__name__.replace(".", "/")
        return self.pieces.formula(latex, display, f"{path}.py:{primitive.derivative.statement.lineno}")

    def legend(self, formula: Written, primitive: Primitive) -> Iterator[str]:
        """Sentences about the symbols of a formula."""

        def symbol(latex: str) -> Html:
            return self.mathml(latex, primitive)

        first, *others = formula.outputs
        if others:
            yield joined([joined([symbol(o) for o in formula.outputs], ", "), " are the outputs"])
            yield ", under a bar the gradients that arrive at them"
        else:
            yield joined([symbol(first), " is the output, ", symbol(barred(first)), " the gradient that arrives at it"])
        callers = primitive.op.required if self.public.is_op else ()
        for (latex, code), parameter in zip(formula.symbols, callers, strict=False):
            if code != parameter:
                yield joined(["; ", symbol(latex), " is ", element("code", parameter)])
        yield "."
        if formula.first_of_several:
            bar = barred(f"{first}")
            yield joined([" There are several outputs; ", symbol(bar + "_{1}"), " belongs to the first."])
        if formula.matrices:
            yield joined(
                [" ", symbol(r"\odot"), " multiplies element by element; side by side, matrices are multiplied."]
            )
        if formula.indicators:
            yield joined([" ", symbol(r"[c]"), " is 1 where ", symbol("c"), " holds, else 0."])

    def operators(self, formula: Written, primitive: Primitive) -> Iterator[Html]:
        """What the named functions in a formula are: a link where they are public, else what they compute."""
        rows: list[Html] = []
        behind: list[Html] = []
        for operator in formula.operators:
            if operator.name in self.explained:
                continue
            self.explained.add(operator.name)
            meaning = self.meaning(operator)
            if meaning is not None:
                rows += [element("dt", element("code", breakable(plain_name(operator)))), element("dd", meaning)]
            own = primitive_of(operator.function) if is_op(operator.function) else None
            if own is not None and own.op is not primitive.op:
                behind += self.traced(own)
        yield element("dl", *rows, class_="entries operators") if rows else EMPTY
        yield from behind

    def meaning(self, operator: Apply) -> Html | None:
        """What a named function is."""
        public = by_identity().get(id(plain(operator.function)))
        own = primitive_of(operator.function) if is_op(operator.function) else None
        if public is None and own is not None:
            public = public_twin(own)
        if public is not None:
            same = public is self.public
            return None if same else element("a", element("code", public.name), href=f"{public.name}.html")
        return self.definition(operator)

    def definition(self, operator: Apply) -> Html | None:
        """The first sentence of a private function's docstring, or what it returns."""
        function = plain(operator.function)
        about = (function.__doc__ or "").strip().split("\n\n")[0]
        if about:
            return joined([" ".join(about.split()).replace("`", "")])
        home = inspect.getmodule(function)
        tree = None if home is None else definition(home, function.__name__)
        if home is None or not isinstance(tree, ast.FunctionDef):
            return None
        if len(tree.body) == 1 and isinstance(tree.body[0], ast.Return) and tree.body[0].value is not None:
            return element("code", ast.unparse(tree.body[0].value))
        parameters = ", ".join(a.arg for a in (*tree.args.args, *tree.args.kwonlyargs))
        place = f"{home.__name__.replace('.', '/')}.py:{tree.lineno}"
        return joined([element("code", f"{function.__name__}({parameters})"), " in ", element("code", place)])
