r"""A formula's tree as LaTeX that `maths.to_mathml` takes.

How it is written: the gradient of the output y is \bar{y}, that of an input x is \bar{x}.  Products are elementwise and
written side by side, or with \odot where the formula has matrix products too.  [c] is 1 where c holds, else 0.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from dataclasses import dataclass, field

from lessons.workbench.site.formula import Formula
from lessons.workbench.site.formula_tree import (
    Apply,
    Binary,
    Blocks,
    Cases,
    Code,
    Compared,
    Function,
    Indicator,
    Inverse,
    Item,
    Joined,
    Local,
    Negative,
    Node,
    Not,
    Number,
    Output,
    Reduction,
    Reshaped,
    Several,
    Spread,
    Symbol,
    Transposed,
    Word,
    is_condition,
    words,
)

SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4  # how tightly a printed part holds together

_GREEK = {
    "alpha": r"\alpha", "beta": r"\beta", "gamma": r"\gamma", "delta": r"\delta", "eps": r"\varepsilon",
    "lambd": r"\lambda", "mu": r"\mu", "sigma": r"\sigma",
}  # fmt: skip
_SIGNS = {"==": "=", "!=": r"\ne", "<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "is": "=", "is not": r"\ne"}
_NAMED = {
    "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "sinh": r"\sinh", "cosh": r"\cosh", "tanh": r"\tanh", "log": r"\ln",
    "log2": r"\log_{2}", "log10": r"\log_{10}", "sigmoid": r"\sigma", "digamma": r"\psi",
}  # fmt: skip
_MATRICES = {"np.eye(": "I", "np.zeros(": "0"}
_TRUTH = {"isnan": r"\text{ is nan}", "isfinite": r"\text{ is finite}", "isinf": r"\text{ is infinite}"}


@dataclass(frozen=True)
class Printed:
    """LaTeX, and how tightly it holds together."""

    latex: str
    tight: int


@dataclass
class Printer:
    """Writes the right sides of one formula; what the code named and uses more than once becomes a line of its own."""

    uses: Counter[Node] = field(default_factory=Counter)
    matrices: bool = False
    names: dict[Local, str] = field(default_factory=dict)  # the locals with lines of their own, and their symbols
    order: list[Local] = field(default_factory=list)
    output: str = "y"
    outputs: dict[int, str] = field(default_factory=dict)  # the names of several outputs, where all have one

    # --- parts ---

    def inside(self, node: Node, least: int) -> str:
        """The part, in parentheses if it holds together less than `least`."""
        printed = self.show(node)
        return printed.latex if printed.tight >= least else parenthesised(printed.latex)

    def show(self, node: Node) -> Printed:
        """One part of the formula."""
        match node:
            case Number():
                return _number(node)
            case Symbol():
                return Printed(self.symbol(node), ATOM)
            case Word(word):
                return Printed(words(str(word)), ATOM)
            case Local():
                return self.local(node)
            case Binary("+" | "-"):
                return Printed(self.sum(node), SUM)
            case Binary("*" | "/") | Negative() | Function("rsqrt" | "reciprocal" | "square"):
                return self.product(node)
            case Binary("**", base, exponent):
                return Printed(f"{self.inside(base, ATOM)}^{{{self.show(exponent).latex}}}", POWER)
            case Binary("@", left, right):
                return Printed(f"{self.factor(left)}\\,{self.factor(right)}", PRODUCT)
            case Function():
                return self.function(node)
            case Reduction():
                return self.reduction(node)
            case Transposed(inner) if isinstance(self.bare(inner), Transposed):
                return self.show(self.bare(inner).operand)  # type: ignore[attr-defined]
            case Transposed(Inverse(operand)):
                return Printed(f"{self.inside(operand, ATOM)}^{{-\\top}}", POWER)
            case Transposed(operand):
                return Printed(f"{self.inside(operand, ATOM)}^{{\\top}}", POWER)
            case Inverse(operand):
                return Printed(f"{self.inside(operand, ATOM)}^{{-1}}", POWER)
            case Compared() | Joined() | Not():
                return Printed(self.condition(node), SUM)
            case Indicator(condition):
                return Printed(f"\\left[{self.condition(condition)}\\right]", ATOM)
            case Cases():
                return Printed(self.cases(node), PRODUCT)
            case Reshaped():
                return self.reshaped(node)
            case Item(operand, index):
                return self.item(operand, index)
            case Output(code, whole, _):
                return Printed(output_symbol(code, whole), ATOM)
            case Apply():
                return Printed(self.apply(node), ATOM)
            case Spread(operand):
                return self.show(operand)
            case Several(parts):
                return Printed(parenthesised(", ".join(self.show(p).latex for p in parts)), ATOM)
            case Blocks(rows):
                body = r" \\ ".join(" & ".join(self.show(block).latex for block in row) for row in rows)
                return Printed(rf"\begin{{pmatrix}}{body}\end{{pmatrix}}", ATOM)
            case Code(text):
                known = next((sign for call, sign in _MATRICES.items() if text.startswith(call)), None)
                return Printed(words(text) if known is None else known, ATOM)
        raise AssertionError(f"a node that is not printed: {node}")

    def symbol(self, symbol: Symbol) -> str:
        if symbol.role == "cotangent":
            return barred(self.output)
        return self.output if symbol.role == "output" else name(symbol.name)

    def local(self, node: Local) -> Printed:
        if node in self.names:
            return Printed(self.names[node], ATOM)
        return self.show(node.meaning)

    def factor(self, node: Node) -> str:
        """A factor of a matrix product; an elementwise one in parentheses."""
        return self.inside(node, POWER) if not _is_product_of_matrices(node, self) else self.show(node).latex

    # --- sums and products ---

    def sum(self, node: Node) -> str:
        written = ""
        for positive, term in self.terms(node, True):
            shown = self.show(term)
            latex = shown.latex
            if latex.startswith("-"):
                positive, latex = not positive, latex[1:].lstrip()
            if shown.tight < PRODUCT or (isinstance(self.bare(term), Cases) and written):
                latex = parenthesised(latex)
            sign = ("+" if written else "") if positive else "-"
            written += f" {sign} {latex}" if written else f"{sign}{latex}"
        return written

    def terms(self, node: Node, positive: bool) -> list[tuple[bool, Node]]:
        """The terms of a sum, each with whether it is added; a sum that only the code names is part of it."""
        match self.bare(node):
            case Binary("+", left, right):
                return [*self.terms(left, positive), *self.terms(right, positive)]
            case Binary("-", left, right):
                return [*self.terms(left, positive), *self.terms(right, not positive)]
        return [(positive, node)]

    def bare(self, node: Node) -> Node:
        """What a name stands for, if it is not shown as a name; and so without what does not show."""
        while True:
            if isinstance(node, Local) and node not in self.names:
                node = node.meaning
            elif isinstance(node, Reshaped) and not node.shown and node.how not in ("zeros", "ones"):
                node = node.operand
            else:
                return node

    def product(self, node: Node) -> Printed:
        """A product as a sign, its numbers, and a fraction if anything is divided by."""
        factors = _Factors(self)
        factors.add(node, above=True)
        above, below = factors.above, factors.below
        sign = "-" if factors.negative else ""
        numerator = self.chain(above, alone=bool(below) or not sign)
        if not below:
            return Printed(sign + numerator, PRODUCT if sign or len(above) > 1 else self._tightness(above))
        return Printed(f"{sign}\\frac{{{numerator}}}{{{self.chain(below, alone=True)}}}", PRODUCT)

    def _tightness(self, factors: list[tuple[Node, int]]) -> int:
        if not factors:
            return ATOM
        node, power = factors[0]
        return self.show(node).tight if power == 1 else POWER

    def chain(self, factors: list[tuple[Node, int]], alone: bool) -> str:
        """Factors side by side: numbers first, what has several lines last; a single sum needs parentheses or not."""
        if not factors:
            return "1"
        if len(factors) == 1 and factors[0][1] == 1:
            return self.show(factors[0][0]).latex if alone else self.inside(factors[0][0], PRODUCT)
        last = [f for f in factors if isinstance(self.bare(f[0]), Cases)]
        numbers = [f for f in factors if isinstance(self.bare(f[0]), Number)]
        others = [f for f in factors if f not in last and f not in numbers]
        ordered = [*numbers, *others, *last]
        written = ""
        for i, (factor, power) in enumerate(ordered):
            latex = self.one_factor(factor, power, final=i == len(ordered) - 1)
            glue = ""
            if written:
                glue = r" \odot " if self.matrices and not isinstance(ordered[i - 1][0], Number) else r"\,"
                if latex[0].isdigit():
                    glue = r" \cdot "
            written += glue + latex
        return written

    def one_factor(self, node: Node, power: int, final: bool) -> str:
        if power > 1:
            return f"{self.inside(node, ATOM)}^{{{power}}}"
        bare = self.bare(node)
        if isinstance(bare, Cases):
            shown = self.show(node).latex
            return shown if final else parenthesised(shown)
        if isinstance(bare, Binary) and bare.sign == "@":
            return parenthesised(self.show(node).latex)
        if isinstance(bare, Reduction) and bare.name == "sum" and not final:
            return parenthesised(self.show(node).latex)
        return self.inside(node, PRODUCT)

    # --- the rest ---

    def function(self, node: Function) -> Printed:
        arguments = [self.show(a).latex for a in node.arguments]
        first = arguments[0]
        match node.name:
            case "exp":
                return Printed(f"e^{{{first}}}", POWER)
            case "exp2":
                return Printed(f"2^{{{first}}}", POWER)
            case "expm1":
                return Printed(f"e^{{{first}}} - 1", SUM)
            case "sqrt":
                return Printed(f"\\sqrt{{{first}}}", ATOM)
            case "abs":
                return Printed(f"\\left|{first}\\right|", ATOM)
            case "floor_divide":
                return Printed(f"\\left\\lfloor\\frac{{{first}}}{{{arguments[1]}}}\\right\\rfloor", ATOM)
            case "truncated_divide":
                return Printed(rf"\operatorname{{trunc}}\left(\frac{{{first}}}{{{arguments[1]}}}\right)", ATOM)
            case "xlogy":
                left, right = (self.inside(a, PRODUCT) for a in node.arguments)
                return Printed(rf"{left}\,\ln{parenthesised(right)}", PRODUCT)
            case "at_least":
                return Printed(rf"\max{parenthesised(', '.join(arguments))}", ATOM)
            case "isnan" | "isfinite" | "isinf":
                return Printed(first + _TRUTH[node.name], SUM)
            case "any":
                return Printed(rf"\text{{anywhere }}{first}", SUM)
        return Printed(called(node.name, arguments), ATOM)

    def reduction(self, node: Reduction) -> Printed:
        over = "" if node.dims is None else f"_{{{words(_plain(node.dims.text))}}}"
        if node.name == "mean":
            return Printed(rf"\operatorname{{mean}}{over}{parenthesised(self.show(node.operand).latex)}", ATOM)
        sign = r"\sum" if node.name == "sum" else r"\prod"
        return Printed(f"{sign}{over} {self.inside(node.operand, PRODUCT)}", PRODUCT)

    def condition(self, node: Node) -> str:
        """Where something holds, with words between."""
        node = self.bare(node)
        match node:
            case Compared(sign, left, right):
                return f"{self.show(left).latex} {_SIGNS[sign]} {self.show(right).latex}"
            case Joined(word, left, right):
                parts = [self.joined_part(p, word) for p in (left, right)]
                return rf"{parts[0]} \text{{ {word} }} {parts[1]}"
            case Not(operand):
                return _negated(self.bare(operand), self)
            case Symbol(_, "attribute") | Number():
                return self.show(node).latex
        shown = self.show(node).latex
        return shown if is_condition(node) or isinstance(node, (Code, Apply)) else rf"{shown} \ne 0"

    def joined_part(self, node: Node, word: str) -> str:
        bare = self.bare(node)
        shown = self.condition(bare)
        return parenthesised(shown) if isinstance(bare, Joined) and bare.word != word else shown

    def cases(self, node: Cases) -> str:
        branches, last = list(node.branches), self.bare(node.otherwise)
        while isinstance(last, Cases):
            branches += last.branches
            last = self.bare(last.otherwise)
        rows = [
            rf"{self.show(value).latex} & \text{{if }} {self.condition(condition)}" for condition, value in branches
        ]
        rows.append(rf"{self.show(last).latex} & \text{{otherwise}}")
        return r"\begin{cases}" + r" \\ ".join(rows) + r"\end{cases}"

    def reshaped(self, node: Reshaped) -> Printed:
        if node.how in ("zeros", "ones"):
            return Printed("0" if node.how == "zeros" else "1", ATOM)
        if not node.shown:
            return self.show(node.operand)
        if node.how == "unsqueeze":
            line = {"-1": "column", "-2": "row"}.get(node.details[0].text, "unsqueeze")
            return Printed(called(line, [self.show(node.operand).latex]), ATOM)
        return Printed(called(node.how, [self.show(node.operand).latex]), ATOM)

    def item(self, operand: Node, index: Code) -> Printed:
        shown = self.inside(operand, ATOM)
        if index.text.isdigit():
            if isinstance(operand, Symbol) and operand.role == "cotangent" and int(index.text) in self.outputs:
                return Printed(barred(self.outputs[int(index.text)]), ATOM)
            return Printed(f"{shown}_{{{int(index.text) + 1}}}", ATOM)
        return Printed(f"{shown}_{{{words('[' + _plain(index.text) + ']')}}}", ATOM)

    def apply(self, node: Apply) -> str:
        arguments = [self.show(a).latex for a in node.arguments]
        if node.name == "_polygamma":
            order = dict(node.options)["n"]
            return rf"\psi^{{({self.show(order).latex})}}{parenthesised(arguments[0])}"
        for key, option in node.options:
            if not _passed_on(key, option):
                arguments.append(f"{words(key)} = {self.option(option)}")
        return called(plain_name(node), arguments)

    def option(self, option: Node) -> str:
        if isinstance(option, Code) and option.text.startswith("not "):
            return words(option.text)
        return self.show(option).latex


# --- factors ----------------------------------------------------------------------------------------------------------


@dataclass
class _Factors:
    """The factors of a product, above and below the line, with how often each occurs."""

    printer: Printer
    above: list[tuple[Node, int]] = field(default_factory=list)
    below: list[tuple[Node, int]] = field(default_factory=list)
    negative: bool = False

    def add(self, node: Node, above: bool) -> None:
        node = self.printer.bare(node)
        match node:
            case Binary("*", left, right):
                self.add(left, above)
                self.add(right, above)
            case Binary("/", left, right):
                self.add(left, above)
                self.add(right, not above)
            case Negative(operand):
                self.negative = not self.negative
                self.add(operand, above)
            case Function("rsqrt", (operand,)):
                self.add(Function("sqrt", (operand,)), not above)
            case Function("reciprocal", (operand,)):
                self.add(operand, not above)
            case Function("square", (operand,)):
                self.add(operand, above)
                self.add(operand, above)
            case Number(number, "") if number < 0:
                self.negative = not self.negative
                self.add(Number(-number), above)
            case Number(0.5, ""):
                self.put(Number(2), not above)
            case Number(1, ""):
                pass
            case _:
                self.put(node, above)

    def put(self, node: Node, above: bool) -> None:
        factors = self.above if above else self.below
        for i, (factor, power) in enumerate(factors):
            if factor == node and not isinstance(node, (Number, Cases)):
                factors[i] = (factor, power + 1)
                return
        factors.append((node, 1))


def _is_product_of_matrices(node: Node, printer: Printer) -> bool:
    bare = printer.bare(node)
    return isinstance(bare, Binary) and bare.sign == "@"


def _negated(node: Node, printer: Printer) -> str:
    opposite = {"==": r"\ne", "!=": "=", "is": r"\ne", "is not": "="}
    match node:
        case Compared(sign, left, right) if sign in opposite:
            return f"{printer.show(left).latex} {opposite[sign]} {printer.show(right).latex}"
        case Function("isnan", (operand,)):
            return rf"{printer.show(operand).latex}\text{{ is not nan}}"
        case Symbol():
            return rf"\text{{not }}{printer.show(node).latex}"
        case Function("any"):
            return rf"\text{{nowhere }}{printer.condition(node.arguments[0])}"
    return rf"\text{{not }}{parenthesised(printer.condition(node))}"


# --- words and numbers ------------------------------------------------------------------------------------------------


def name(code: str) -> str:
    """A name of the code: a letter, a Greek letter, or the word itself."""
    if len(code) == 1:
        return code
    if code in _GREEK:
        return _GREEK[code]
    return words(code)


def barred(latex: str) -> str:
    """The gradient of what `latex` names: a bar over it, as long as the name."""
    return rf"\overline{{{latex}}}" if latex.startswith(r"\text") else rf"\bar{{{latex}}}"


def called(function: str, arguments: list[str]) -> str:
    """A function's name with its arguments."""
    known = _NAMED.get(function)
    if known is None:
        known = rf"\operatorname{{{function}}}" if function.isalpha() else words(function)
    return known + parenthesised(", ".join(arguments))


def parenthesised(latex: str) -> str:
    """In parentheses as tall as what they hold."""
    tall = any(sign in latex for sign in (r"\frac", r"\sum", r"\begin", r"\sqrt", "^", r"\prod"))
    return rf"\left({latex}\right)" if tall else f"({latex})"


def _number(node: Number) -> Printed:
    if node.latex:
        return Printed(node.latex, ATOM)
    number = node.number
    if math.isnan(number) or math.isinf(number):
        return Printed(r"\text{nan}" if math.isnan(number) else (r"\infty" if number > 0 else r"-\infty"), ATOM)
    if number == int(number) and abs(number) < 1e9:
        return Printed(str(int(number)), ATOM if number >= 0 else PRODUCT)
    if number in (0.5, -0.5):
        return Printed(r"\frac{1}{2}" if number > 0 else r"-\frac{1}{2}", PRODUCT)
    digits, _, exponent = repr(number).partition("e")
    if exponent:
        digits = f"10^{{{int(exponent)}}}" if digits == "1" else rf"{digits} \cdot 10^{{{int(exponent)}}}"
        return Printed(digits, PRODUCT)
    return Printed(digits, ATOM if number >= 0 else PRODUCT)


def _plain(code: str) -> str:
    """An index or dims as one would say it: without the parentheses of a tuple, and ... for Ellipsis."""
    tree = ast.parse(f"x[{code}]", mode="eval").body
    assert isinstance(tree, ast.Subscript)
    if isinstance(tree.slice, ast.Tuple):
        return ", ".join(ast.unparse(e) for e in tree.slice.elts)
    return code


def output_symbol(code: str, whole: Symbol) -> str:
    """`gQ` is the gradient of the output Q."""
    if whole.role == "cotangent":
        return barred(name(code[1:] if code.startswith("g") and len(code) > 1 else code))
    return name(code)


def plain_name(node: Apply) -> str:
    """The name of a private op without its underscore, unless a public function of another family has that name."""
    import minigrad

    short = node.name.strip("_")
    public = getattr(minigrad, short, None)
    here = getattr(node.function, "__module__", None)
    return node.name if public is not None and getattr(public, "__module__", None) != here else short


def _passed_on(key: str, option: Node) -> bool:
    """Whether an option is the same in the op and in the call, or a shape: not worth a word."""
    if key == "**" or (isinstance(option, (Symbol, Output)) and option.name == key):
        return True
    code = option.text if isinstance(option, Code) else ""
    return "shape" in key or "size" in key or ".shape" in code or ".requires_grad" in code


# --- whole formulas ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """A formula as LaTeX, and what its symbols stand for: (LaTeX, name in the code) of every symbol worth a word."""

    latex: str
    outputs: tuple[str, ...]  # LaTeX of the output, or of several
    symbols: tuple[tuple[str, str], ...]
    matrices: bool
    indicators: bool
    operators: tuple[Apply, ...]  # the functions of the engine that it names
    first_of_several: bool  # it uses the gradient of the first of several outputs that have no names


def written(formula: Formula) -> Written:
    """The whole formula: a line for each name that the code uses more than once, then one for each input."""
    nodes = formula.nodes()
    printer = Printer(output=output_name(formula))
    printer.matrices = any(isinstance(n, Binary) and n.sign == "@" for node in nodes for n in node.walk())
    printer.outputs = dict(enumerate(_outputs(nodes)))
    _name_locals(printer, nodes, formula.signature.inputs)
    lines = [(printer.names[node], printer.show(node.meaning).latex) for node in printer.order]
    lines += _results(formula, printer)
    body = r" \\ ".join(f"{left} &= {right}" for left, right in lines)
    latex = rf"\begin{{align*}}{body}\end{{align*}}" if len(lines) > 1 else body.replace(" &= ", " = ", 1)
    return Written(
        latex,
        _outputs(nodes) or (printer.output,),
        tuple((name(n), n) for n in (*formula.signature.inputs,)),
        printer.matrices,
        any(isinstance(n, Indicator) for node in nodes for n in node.walk()),
        tuple({plain_name(n): n for node in nodes for n in node.walk() if isinstance(n, Apply)}.values()),
        not printer.outputs
        and any(
            isinstance(n, Item) and isinstance(n.operand, Symbol) and n.operand.role == "cotangent"
            for node in nodes
            for n in node.walk()
        ),
    )


def _outputs(nodes: list[Node]) -> tuple[str, ...]:
    """The outputs that the code gives names of their own, in their order."""
    found = {n.index: n for node in nodes for n in node.walk() if isinstance(n, Output) and n.whole.role == "output"}
    return tuple(name(found[i].name) for i in sorted(found)) if set(found) == set(range(len(found))) else ()


def expression(node: Node, output: str) -> str:
    """A formula that is no gradient: what an op computes; `output` stands on the left."""
    printer = Printer()
    printer.matrices = any(isinstance(n, Binary) and n.sign == "@" for n in node.walk())
    _name_locals(printer, [node], ())
    lines = [(printer.names[local], printer.show(local.meaning).latex) for local in printer.order]
    if isinstance(node, Several):
        lines += [(f"{words(output)}_{{{i}}}", printer.show(p).latex) for i, p in enumerate(node.parts, 1)]
    else:
        lines.append((words(output), printer.show(node).latex))
    body = r" \\ ".join(f"{left} &= {right}" for left, right in lines)
    return rf"\begin{{align*}}{body}\end{{align*}}" if len(lines) > 1 else body.replace(" &= ", " = ", 1)


def output_name(formula: Formula) -> str:
    """A letter for the output: the one that the code uses, or the first of y, z, w, u that is no input."""
    taken = {*formula.signature.inputs, *formula.signature.attributes}
    own = formula.signature.output
    if len(own) == 1 and own not in taken:
        return own
    return next(letter for letter in ("y", "z", "w", "u") if letter not in taken)


def _results(formula: Formula, printer: Printer) -> list[tuple[str, str]]:
    if formula.joint is not None:
        names = formula.signature.inputs or (formula.signature.many or "inputs",)
        left = ", ".join(barred(name(n)) for n in names)
        return [(parenthesised(left) if len(names) > 1 else left, printer.show(formula.joint).latex)]
    lines = [(barred(name(r.symbol.name)), printer.show(r.meaning).latex) for r in formula.results]
    return [(left, right) for left, right in lines if left != right]


def _line_name(code: str, every: list[Node], inputs: tuple[str, ...]) -> str:
    """The symbol of a line of its own; `gB` is the gradient of B, if that is an input or output."""
    outputs = {n.name for n in every if isinstance(n, Output)}
    if code.startswith("g") and code[1:] in {*inputs, *outputs}:
        return barred(name(code[1:]))
    return name(code)


def _name_locals(printer: Printer, nodes: list[Node], inputs: tuple[str, ...]) -> None:
    """Decide which named parts get a line of their own: those used more than once that are more than a symbol."""
    count: Counter[Local] = Counter()
    every = [n for node in nodes for n in node.walk()]
    for node in nodes:
        _count(node, count)
    last = {n.otherwise for n in every if isinstance(n, Cases)}
    taken: Counter[str] = Counter({name(n.name): 1 for n in every if isinstance(n, Symbol)})
    taken.update({output_symbol(n.name, n.whole) for n in every if isinstance(n, Output)})
    taken[printer.output] = 1

    def visit(node: Node) -> None:
        if isinstance(node, Local) and node in printer.names:
            return
        for child in node.children():
            visit(child)
        if isinstance(node, Local) and _deserves_a_line(node, count[node], node in last):
            symbol = _line_name(node.name, every, inputs)
            printer.names[node] = symbol + "'" * taken[symbol]
            taken[symbol] += 1
            printer.order.append(node)

    for node in nodes:
        visit(node)


def _count(node: Node, count: Counter[Local]) -> None:
    """How often each local is used; what lies inside one is counted once, as it is written once."""
    if isinstance(node, Local):
        count[node] += 1
        if count[node] > 1:
            return
    for child in node.children():
        _count(child, count)


def _deserves_a_line(node: Local, uses: int, is_last: bool) -> bool:
    meaning: Node = node.meaning
    while isinstance(meaning, (Reshaped, Transposed, Local)) and not getattr(meaning, "shown", False):
        meaning = meaning.meaning if isinstance(meaning, Local) else meaning.operand
    if isinstance(meaning, Cases):
        return uses > 1 or not is_last
    if isinstance(meaning, Item) and isinstance(meaning.operand, Apply):
        return True
    if uses == 1 or is_condition(node) or isinstance(meaning, (Symbol, Number, Output)):
        return False
    return not (isinstance(meaning, Item) and meaning.index.text.isdigit())
