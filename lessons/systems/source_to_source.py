# %% [markdown]
# # A program that writes the gradient program
#
# **The question.** An autograd engine records what a program does while it runs, and goes back along the record. Can
# one instead read the program's *text*, and write the text of another program that computes the gradient? And what is
# gained?
#
# This lesson rebuilds [Differentiable Programming: Computing source-code derivatives][post] by Ayan Das (2020), which
# explains the idea with a hypothetical function `diff_prog`. Here `diff_prog` exists: a transformer for a useful part
# of Python, with branches, loops, calls, tuples and recursion, in the folder `_source_to_source` beside this file. Two
# papers to read next are [Don't Unroll Adjoint: Differentiating SSA-Form Programs][innes] by Michael Innes (2018), on
# which the post rests, and [Tangent: Automatic differentiation using source-code transformation for dynamically typed
# array programming][tangent] by Bart van Merriënboer, Dan Moldovan and Alexander Wiltschko (2018), who did it in
# Python.
#
# [post]: https://ayandas.me/blog-tut/2020/09/08/differentiable-programming
# [innes]: https://arxiv.org/abs/1810.07951
# [tangent]: https://arxiv.org/abs/1809.09569

# %%
from __future__ import annotations

import importlib
import math
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lessons.anatomy import Lesson, Run, Term, Verdict
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.sources import DIFFERENTIABLE_PROGRAMMING
from lessons.lab.threads import one_thread
from lessons.systems._source_to_source import UnsupportedSyntax, diff_prog, differentiate, gradient, simplified
from lessons.systems._source_to_source.ir import assigned_twice
from lessons.systems._source_to_source.judges import difference_gradient, on_the_tape, tape_gradient, value
from lessons.systems._source_to_source.optimise import operations
from lessons.systems._source_to_source.program import run as executed
from lessons.systems._source_to_source.random_programs import random_program

lesson = Lesson(
    name="source_to_source",
    title="A program that writes the gradient program",
    subject="systems",
    source=DIFFERENTIABLE_PROGRAMMING,
    headline="Source code in, source code of the gradient out: equal to the tape on random programs, and compiled.",
    needs=("backward_passes",),
    minutes=1,
    exercises=5,
)


def listing(run: Run, title: str, text: str) -> None:
    """Show source text to the reader as it is, less the import and double empty lines."""
    text = re.sub(r"\n{2,}", "\n\n", text.removeprefix("import math").strip())
    run.note(f"{title}\n\n" + textwrap.indent(text, "    "))


# %% [markdown]
# ## Pullbacks
#
# Follow the post's example through its three operations:
#
# $$
# F(a, b) = \frac{a}{1 + b^2}:
# \qquad y_1 = b^2, \qquad y_2 = 1 + y_1, \qquad y_3 = a / y_2
# $$
#
# Write $\bar{x}$ for $\partial F / \partial x$. Each operation hands back its value and a *pullback*, a function from
# the adjoint of its result to the adjoints of its arguments. On the way back the pullbacks run in reverse:
#
# $$
# \begin{align*}
# \bar{a} &= \bar{y}_3 / y_2 & \bar{y}_2 &= -\bar{y}_3 \, a / y_2^2 \\
# \bar{y}_1 &= \bar{y}_2 \\
# \bar{b} &= 2 b \, \bar{y}_1
# \end{align*}
# $$


# %%
def square(x):
    return x * x, lambda bar: (bar * 2 * x,)


def add(x, y):
    return x + y, lambda bar: (bar, bar)


def divide(x, y):
    return x / y, lambda bar: (bar / y, -bar * x / y**2)


@lesson.step("Pullbacks, run by hand")
def pullbacks_by_hand(run: Run) -> None:
    a, b = 1.0, 2.0
    y1, back1 = square(b)
    y2, back2 = add(1.0, y1)
    y3, back3 = divide(a, y2)
    a_bar, y2_bar = back3(1.0)
    _, y1_bar = back2(y2_bar)
    (b_bar,) = back1(y1_bar)
    run.claim("F(1, 2)", y3, equals=0.2)
    run.claim("its gradient", (a_bar, b_bar), equals=(0.2, -0.16))


# %% [markdown]
# **Exercise: `pullback`.** A variable that is used twice receives two shares. Multiply $F$ by $b$, so that $b$ acts
# **direct**ly, as a factor, and through the **square**:
#
# $$
# f(a, b) = b \cdot \frac{a}{1 + b^2},
# \qquad \bar{b} = \underbrace{\bar{f} \, \frac{a}{1 + b^2}}_{\text{direct}}
# \; \underbrace{- \, \bar{f} \, \frac{2 a b^2}{(1 + b^2)^2}}_{\text{square}}
# $$


# %%
@lesson.exercise(hint="b is used twice: as a factor, and in the denominator. Each use has its own share; add them.")
def pullback(dy, a, b):
    """Go back through y = b * a / (1 + b**2), element by element.

    Args:
        dy: the adjoint of y, shape (N,).
        a: shape (N,).
        b: shape (N,).

    Returns:
        The tuple (da, db), each of shape (N,).
    """
    y2 = 1 + b**2
    direct = dy * a / y2
    square = -dy * b * a / y2**2 * 2 * b
    return dy * b / y2, direct + square


def draw_vectors(rng: np.random.Generator, N: int) -> dict[str, Any]:
    return {"a": rng.uniform(0.5, 2.0, N) * rng.choice([-1, 1], N), "b": rng.uniform(0.4, 2.0, N)}


@lesson.question(
    "pullback",
    inputs=draw_vectors,
    sizes={"N": (5, 7)},
    terms={
        "da": (Term("a", "dy * b / (1 + b**2)", question="By which factor does a reach y?"),),
        "db": (
            Term("direct", "dy * a / (1 + b**2)", question="If the denominator stood still, what would b do?"),
            Term(
                "square",
                "-dy * b * a / (1 + b**2)**2 * 2*b",
                through=("y1",),
                question="Which derivative has 1 / y2, and what does the square hand on?",
            ),
        ),
    },
)
def quotient_on_the_tape(named, a, b):
    y1 = named("y1", b * b)
    y2 = named("y2", 1 + y1)
    return b * (a / y2)


@lesson.step("Two shares for b", terms=("a", "direct", "square"))
def two_shares(run: Run) -> None:
    source = "def f(a, b):\n    return b * a / (1 + b ** 2)\n"
    a, b = (draw_vectors(run.rng, 5)[name] for name in ("a", "b"))
    da, db = pullback(np.ones(5), a, b)
    worst = max(np.abs(np.array(differentiate(source)(1.0, a[k], b[k])) - (da[k], db[k])).max() for k in range(5))
    run.claim("pullback(...) against the transformed program, at five points", worst, below=1e-13)


# %% [markdown]
# ## A tape, and a text
#
# A tape finds the order of the operations by running them: PyTorch's graph, minigrad's records. It knows one run, and
# never the program. A source transformation finds it by *reading*; what comes out is again a program, which can be
# read by us, improved by an optimiser that sees all of it, and compiled. It runs as often as one likes, for other
# inputs, branches and numbers of iterations.
#
# Our transformer does it in four passes, one file each:
#
# 1. `jumps`: an early `return`, a `break` or a `continue` becomes plain `if` and `else`;
# 2. `ssa`: each name is assigned once;
# 3. `adjoint`: the pullback of each statement, last to first;
# 4. `optimise`: constants folded, copies followed, dead code removed.
#
# ### Each name once
#
# In *static single assignment* form every name has one assignment. `y1 = b**2; y1 = 1 + y1` becomes `y1 = b**2;
# y1_2 = 1 + y1`. For going back this is what one needs: a pullback asks for the value that a name had *then*, and in
# this form a name has only one. It also makes the adjoints simple. All uses of a name come after its assignment, so,
# going back, all its shares are known when its assignment is reached.
#
# Where two branches meet and where a loop comes round, two versions of a name meet. That is written as a $\varphi$:
# `s = phi(0.0 at first, s_2)`.


# %%
POST = """
def F(a, b):
    y1 = b ** 2
    y1 = 1 + y1
    return a / y1
"""


def smooth_steps(x, n):
    total = 0.0
    for i in range(n):
        if i % 2 == 0:  # noqa: SIM108
            total = total + math.sin(x * i)
        else:
            total = total * x
    return total


@lesson.step("Each name once")
def each_name_once(run: Run) -> None:
    derivative = differentiate(POST)
    listing(run, "The post's program in SSA form:", derivative.ssa)
    loop = differentiate(smooth_steps)
    listing(run, "With a branch in a loop; the names of both versions meet in phi:", loop.ssa)
    programs = [derivative, loop, *(differentiate(random_program(run.rng)) for _ in range(3))]
    functions = [function for program in programs for function in program.forward.values()]
    twice = [name for function in functions for name in assigned_twice(function)]
    run.claim(f"names assigned more than once, in {len(functions)} functions", len(twice), equals=0)
    run.claim("the SSA form computes the same", loop.primal(0.7, 5), equals=smooth_steps(0.7, 5))


# %% [markdown]
# **Exercise: `rename`.** For straight-line programs this takes a few lines. A program is a list of statements
# `(target, operation, arguments)`; an argument is a name or a number.


# %%
OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "sin": np.sin,
    "exp": np.exp,
}

Program = list[tuple[str, str, tuple[Any, ...]]]


def evaluate(program: Program, inputs: dict[str, Any]) -> dict[str, Any]:
    """Run a straight-line program; return the values of all its names."""
    values = dict(inputs)
    for target, operation, arguments in program:
        values[target] = OPERATIONS[operation](*(values[x] if isinstance(x, str) else x for x in arguments))
    return values


def written(program: Program) -> str:
    """A program as one line: y = mul(a, a); z = add(y, 2.0)."""
    return "; ".join(f"{target} = {name}({', '.join(map(_short, xs))})" for target, name, xs in program)


def as_program(statements: Any) -> Program | None:
    """What a candidate returned as a program, or None if it is none."""
    if not isinstance(statements, (list, tuple)):
        return None
    program = [tuple(one) if isinstance(one, (list, tuple)) else () for one in statements]
    for one in program:
        if len(one) != 3 or not isinstance(one[0], str) or one[1] not in list(OPERATIONS):
            return None
        if not isinstance(one[2], (list, tuple)) or not all(isinstance(x, (str, int, float)) for x in one[2]):
            return None
    return [(target, operation, tuple(arguments)) for target, operation, arguments in program]


def _short(argument: Any) -> str:
    return argument if isinstance(argument, str) else f"{argument:.3g}"


@lesson.exercise(hint="Keep a dictionary from each name to its newest version. Look up the arguments, then rename.")
def rename(program, inputs):
    """Rewrite a straight-line program so that no name is assigned twice.

    Args:
        program: list of statements (target, operation, arguments), such as ("y", "add", ("y", 1.0)).
        inputs: the names that have a value beforehand; they must not be assigned to either.

    Returns:
        The tuple (program, result): the new list of statements, with new names of your choice, and the name that has
        the value of the last statement.
    """
    newest = {name: name for name in inputs}
    renamed = []
    for number, (target, operation, arguments) in enumerate(program):
        arguments = tuple(newest[x] if isinstance(x, str) else x for x in arguments)
        newest[target] = f"{target}_{number}"
        renamed.append((newest[target], operation, arguments))
    return renamed, renamed[-1][0]


def draw_straight_line(rng: np.random.Generator, reuse: bool, length: int = 9) -> tuple[Program, dict[str, float]]:
    """Draw a program on the inputs a and b; with `reuse`, names are assigned again and again, the inputs too."""
    inputs = dict(zip("ab", rng.uniform(0.5, 1.5, 2), strict=True))
    known = list(inputs)
    program: Program = []
    for number in range(length):
        operation = list(OPERATIONS)[rng.integers(len(OPERATIONS))]
        # Mostly what is new, so that little is dead; the same name twice now and then: x * x has two shares.
        choice = [known[-1], known[rng.integers(len(known))]]
        if operation in ("sub", "div"):
            if choice[0] == choice[1]:  # exactly 0 or 1, and sooner or later a division by zero
                choice[1] = 0.37
        elif rng.random() < 0.25:
            choice[1] = choice[0]
        if operation in ("exp", "sin"):
            choice = choice[:1]
        elif rng.random() < 0.2:
            choice[rng.integers(2)] = float(rng.uniform(0.5, 1.5))
        if operation == "exp":  # bounded, so that chains of it stay moderate
            program.append((f"t{number}", "sin", tuple(choice)))
            choice = [f"t{number}"]
        target = known[rng.integers(len(known))] if reuse and rng.random() < 0.6 else f"v{number}"
        program.append((target, operation, tuple(choice)))
        known = [name for name in known if name != target] + [target]
    return program, inputs


@lesson.check("rename")
def check_rename(candidate) -> Verdict:
    rng = np.random.default_rng(1)
    for _ in range(12):
        program, inputs = draw_straight_line(rng, reuse=True)
        returned = candidate(program, tuple(inputs))
        pair = returned if isinstance(returned, tuple) and len(returned) == 2 else (None, None)
        renamed, result = as_program(pair[0]), pair[1]
        if renamed is None or not isinstance(result, str):
            return Verdict(False, ("want the tuple (list of statements, name of the result)",))
        targets = [statement[0] for statement in renamed]
        again = [name for k, name in enumerate(targets) if name in targets[:k] or name in inputs]
        if again:
            return Verdict(False, (f"{again[0]!r} is assigned twice, or is an input, in: {written(renamed)}",))
        want = evaluate(program, inputs)[program[-1][0]]
        try:
            got = evaluate(renamed, inputs)[result]
        except KeyError as error:
            return Verdict(False, (f"{error} is used before it has a value, in: {written(renamed)}",))
        except (TypeError, ArithmeticError) as error:
            return Verdict(False, (f"{error}, in: {written(renamed)}",))
        verdict = Verdict.from_arrays("the result", float(got), float(want), 1e-12)
        if not verdict.passed:
            return Verdict(False, (*verdict.lines, f"for: {written(program)}"))
    return Verdict(True)


# %% [markdown]
# ### Backwards
#
# **Exercise: `reverse_sweep`.** Now the way back, on a list in SSA form. The classic mistake is to *store* a share
# where it should be *added*: `x * x` uses x twice.


# %%
@lesson.exercise(hint="Start with 1 for the result and 0 for all else. Each statement, last to first, adds its shares.")
def reverse_sweep(program, values, inputs, result):
    """Go back through a straight-line program in which no name is assigned twice.

    Args:
        program: list of statements (target, operation, arguments); the operations are add, sub, mul, div, sin, exp, and
            an argument is a name or a number.
        values: dictionary from each name to its value.
        inputs: the names to differentiate with respect to.
        result: the name whose derivatives are wanted.

    Returns:
        The derivatives of the result with respect to the inputs, an array of shape (len(inputs),).
    """
    bars = dict.fromkeys(values, 0.0)
    bars[result] = 1.0
    for target, operation, arguments in reversed(program):
        bar = bars[target]
        x, y = ([values[z] if isinstance(z, str) else z for z in arguments] + [0.0])[:2]
        if operation == "add":
            shares = bar, bar
        elif operation == "sub":
            shares = bar, -bar
        elif operation == "mul":
            shares = bar * y, bar * x
        elif operation == "div":
            shares = bar / y, -bar * x / y**2
        elif operation == "sin":
            shares = (bar * np.cos(x),)
        else:
            shares = (bar * np.exp(x),)
        for argument, share in zip(arguments, shares, strict=True):
            if isinstance(argument, str):
                bars[argument] = bars[argument] + share
    return np.array([bars[name] for name in inputs])


def complex_step(program: Program, inputs: dict[str, float], result: str) -> np.ndarray:
    """Differentiate by moving each input by a tiny imaginary number."""
    moved = [{**inputs, name: inputs[name] + 1e-30j} for name in inputs]
    return np.array([np.imag(evaluate(program, each)[result]) / 1e-30 for each in moved])


def reaches_both(rng: np.random.Generator, reuse: bool = False) -> tuple[Program, dict[str, float]]:
    """Draw programs until one depends on both inputs."""
    while True:
        program, inputs = draw_straight_line(rng, reuse)
        slopes = complex_step(program, inputs, program[-1][0])
        if np.abs(slopes).min() > 0.05 and np.abs(slopes).max() < 50:
            return program, inputs


SMALL: list[Program] = [
    *([("y", operation, ("a", "b"))] for operation in ("add", "sub", "mul", "div")),
    *([("t", operation, ("a",)), ("y", "mul", ("t", "b"))] for operation in ("sin", "exp")),
    [("y", "sub", (2.0, "a")), ("z", "mul", ("y", "b"))],
    [("y", "mul", ("a", "a")), ("z", "add", ("y", "b"))],
]


@lesson.check("reverse_sweep")
def check_reverse_sweep(candidate) -> Verdict:
    rng = np.random.default_rng(2)
    small = [(program, {"a": 0.7, "b": 1.9}) for program in SMALL]
    for program, inputs in [*small, *(reaches_both(rng) for _ in range(15))]:
        result = program[-1][0]
        got = candidate(program, evaluate(program, inputs), tuple(inputs), result)
        verdict = Verdict.from_arrays("derivatives", got, complex_step(program, inputs, result), 1e-10)
        if not verdict.passed:
            return Verdict(False, (*verdict.lines, f"for: {written(program)}"))
    return Verdict(True)


@lesson.step("Backwards through straight lines")
def backwards(run: Run) -> None:
    worst_value, worst_slope = 0.0, 0.0
    for _ in range(20):
        program, inputs = reaches_both(run.rng, reuse=True)
        renamed, result = rename(program, tuple(inputs))
        values = evaluate(renamed, inputs)
        worst_value = max(worst_value, abs(values[result] - evaluate(program, inputs)[program[-1][0]]))
        want = complex_step(renamed, inputs, result)
        got = reverse_sweep(renamed, values, tuple(inputs), result)
        worst_slope = max(worst_slope, float(np.abs(got - want).max() / np.abs(want).max()))
    run.claim("rename: 20 random programs, largest change of the result", worst_value, equals=0.0)
    run.claim("reverse_sweep on them, against complex steps", worst_slope, below=1e-12)


# %% [markdown]
# ## The adjoint program
#
# `reverse_sweep` *runs* the way back. The transformer *writes* it. For straight lines the two are the same thing, with
# text in place of numbers. Control flow is the interesting part. Zygote, the system in the post, differentiates a
# graph of basic blocks. We keep the structure that Python's text has, because then the adjoint can be read:
#
# - **A branch** goes back through the side that was taken: the condition is kept, and asked again.
# - **A loop** runs its body backwards as often as it ran forwards. What the body needs of its own iteration is pushed
#   on a *tape* on the way forward and popped on the way back. So source transformation does not do away with tapes: it
#   keeps them for loops, and puts numbers there, not operations.
# - **A call** goes back through the adjoint of what it calls, a function of its own, which computes the callee's values
#   once more. Recursion then needs nothing special.
# - **A tuple** is gone after `ssa`: each element is a name.
#
# `dF` takes the adjoint of the result first, then F's own arguments, and returns a tuple of adjoints.


# %%
def power_or_rest(x, y):
    if x > y:
        return x**3
    return power_or_rest(x + y, y) * 0.5


@lesson.step("The adjoint program")
def the_adjoint_program(run: Run) -> None:
    listing(run, "The adjoint of the post's program, as the pullbacks give it:", differentiate(POST).source_as_derived)
    listing(run, "The adjoint of the loop above, optimised:", differentiate(smooth_steps).source)
    listing(run, "The adjoint of a function that calls itself:", differentiate(power_or_rest).source)
    x = 0.7
    slope, of_n = differentiate(smooth_steps)(1.0, x, 6)
    numeric = (smooth_steps(x + 1e-6, 6) - smooth_steps(x - 1e-6, 6)) / 2e-6
    run.claim("loop: d/dx, against differences", slope, equals=numeric, within=1e-8)
    run.claim("loop: the number of iterations has no derivative", of_n, equals=0.0)
    # 0.3 + 4 * 0.25 > 0.25 takes no call; from -0.6 it takes four: 0.0625 (x + 4 y)^3.
    got = differentiate(power_or_rest)(1.0, -0.6, 0.25)
    want = 0.0625 * 3 * (-0.6 + 4 * 0.25) ** 2 * np.array([1, 4])
    run.claim("recursion, four calls deep: against the formula", np.abs(got - want).max(), below=1e-12)


# %% [markdown]
# ## What seeing the whole program is good for
#
# The post's second argument against tapes is that they cannot look ahead. The optimiser can: it folds constants, drops
# what nobody uses (the value of $F$ itself, for one, when only the gradient is wanted), follows copies, and puts small
# expressions where they are needed. All rules keep the bits of finite results, but for the sign of a zero.
#
# **Exercise: `live_statements`.** Dead-code elimination on a straight line.


# %%
@lesson.exercise(hint="Go backwards. Start with the result as the only needed name; what is kept needs its arguments.")
def live_statements(program, result):
    """Keep the statements that the result needs, directly or through others, in their order.

    Args:
        program: list of statements (target, operation, arguments), in which no name is assigned twice.
        result: the name whose value is wanted.

    Returns:
        A tuple of statements.
    """
    needed = {result}
    kept = []
    for statement in reversed(program):
        target, _, arguments = statement
        if target in needed:
            needed.update(x for x in arguments if isinstance(x, str))
            kept.append(statement)
    return tuple(reversed(kept))


def _needed_by_trial(program: Program, inputs: dict[str, float], result: str) -> Program:
    """The same by trial: a statement is dead if the program without it still has the result."""
    kept = list(program)
    for statement in reversed(program):
        without = [other for other in kept if other is not statement]
        try:
            evaluate(without, inputs)[result]
        except KeyError:
            continue
        kept = without
    return kept


@lesson.check("live_statements")
def check_live_statements(candidate) -> Verdict:
    rng = np.random.default_rng(3)
    for _ in range(20):
        program, inputs = draw_straight_line(rng, reuse=False, length=12)
        result = program[-1 - rng.integers(4)][0]
        kept = as_program(candidate(program, result))
        if kept is None:
            return Verdict(False, ("want a tuple of statements",))
        want = _needed_by_trial(program, inputs, result)
        missing = [statement for statement in want if statement not in kept]
        dead = [statement for statement in kept if statement not in want]
        if missing:
            return Verdict(False, (f"{written(missing[:1])} is missing: {result} needs it, in: {written(program)}",))
        if dead:
            return Verdict(False, (f"{written(dead[:1])} is dead: {result} does not need it, in: {written(program)}",))
        if kept != want:
            return Verdict(False, ("the statements are not in their order",))
    return Verdict(True)


@lesson.step("Dead code, constants, copies")
def dead_code(run: Run) -> None:
    program, inputs = draw_straight_line(run.rng, reuse=False, length=14)
    result = program[8][0]
    kept = live_statements(program, result)
    same = evaluate(list(kept), inputs)[result] == evaluate(program, inputs)[result]
    run.claim(f"{len(program)} statements, {len(kept)} kept: same result", bool(same), equals=True)

    derivative = differentiate(POST)
    listing(run, "The adjoint of the post's program, optimised:", derivative.source)
    before, after = operations(derivative.derived["dF"]), operations(derivative.optimised["dF"])
    run.claim(f"its operations: {before} before; after", after, below=before)
    rows = []
    for name, source in (("the post's F", POST), ("the loop", smooth_steps), ("the recursion", power_or_rest)):
        each = differentiate(source)
        key = f"d{each.name}"
        rows.append((name, operations(each.derived[key]), operations(each.optimised[key])))
    run.table("Operations written in the adjoint program", ("program", "as derived", "optimised"), rows)


# %% [markdown]
# ### A little algebra
#
# The post's example for looking ahead is $(a + ab)/(1 + b)$, which is $a$. Folding does not see that. It takes
# algebra: write the expression as one fraction of polynomials, and try whether the denominator divides the numerator.
# `simplified` does this and no more. It can also find that $\bar{b}$ is zero. It cannot cancel a factor that is only a
# part of the denominator, and it knows no trigonometry. And it is *not* exact: it rounds in other places, and at $b =
# -1$ it answers where the original has no value. A compiler must ask before it does this to floating-point numbers,
# which is what flags like `-ffast-math` are.


# %%
FRACTION = "(a + a*b) / (1 + b)"


def _tidied(expression: str) -> str:
    import ast

    return ast.unparse(ast.parse(expression))


@lesson.step("A little algebra")
def a_little_algebra(run: Run) -> None:
    run.claim(f"{FRACTION} simplifies to", simplified(FRACTION), equals="a")
    run.claim("its adjoint of a: bar/(1+b) + bar*b/(1+b)", simplified("bar/(1 + b) + bar*b/(1 + b)"), equals="bar")
    b_bar = "bar*a/(1 + b) - bar*(a + a*b)/(1 + b)**2"
    run.claim(f"its adjoint of b: {b_bar}", simplified(b_bar), equals="0.0")
    run.claim("(x**3 - 1) / (x - 1)", simplified("(x**3 - 1) / (x - 1)"), equals="x ** 2 + x + 1")
    shares = "(x**2 - 1) / (x**2 + 2*x + 1)"
    run.claim("(x**2 - 1) / (x + 1)**2 stays: x + 1 is only a part", simplified(shares), equals=_tidied(shares))
    waves = "math.sin(x)**2 + math.cos(x)**2"
    run.claim("sin**2 + cos**2 stays", simplified(waves), equals=_tidied(waves))
    a, b = 0.1 + 1e-3 * np.arange(2000), 0.7
    changed = float(np.mean((a + a * b) / (1 + b) != a))
    run.claim("share of 2000 numbers a where the original rounds to something else than a", changed, above=0.05)


# %% [markdown]
# ## `diff_prog`, as printed
#
# With all passes in a row the post's session runs as it stands there. One thing had to be decided. The post calls
# `dF(1.)`, with the seed alone, and elsewhere writes `dF(%1, %2)`, with the inputs. Ours has both: the seed is the
# first parameter, and the inputs have the values of the call as defaults.


# %%
INPUT_PROG = """
def F(a, b):
    y1 = b ** 2
    y2 = 1 + y1
    return a / y2
"""


@lesson.step("diff_prog, as printed")
def as_printed(run: Run) -> None:
    y, B = diff_prog(INPUT_PROG, a=1.0, b=2.0)
    listing(run, "B:", B)
    dF = executed(B)["dF"]
    run.claim("y", y, equals=0.2)
    run.claim("dF(1.)", dF(1.0), equals=(0.2, -0.16))
    run.claim("dF(1., 3., 1.), at other inputs", dF(1.0, 3.0, 1.0), equals=(0.5, -1.5))
    quadratic = "def F(x):\n    return 3*x**2 + 2*x + 1\n"
    run.claim("Zygote's gradient(F, 5) for 3x^2 + 2x + 1", gradient(quadratic, 5), equals=(32,))
    # What comes out is a program of the subset, so it can go in again.
    again = differentiate(differentiate(quadratic).source + "\n\ndef slope(x):\n    s = dF(1.0, x)\n    return s[0]\n")
    run.claim("the gradient program, differentiated again: F'' = 6", again(1.0, 5.0), equals=(6.0,))


# %% [markdown]
# ## Random programs
#
# A few examples prove little about a compiler. So we let a generator write programs: nested branches and loops, `while`
# with `and` and `or`, early exits, tuples, helpers that call helpers. Each is differentiated three ways: by the
# transformed source, by minigrad's tape (the same source, run on tensors), and by differences of values, unless a
# neighbouring point takes another way through the branches, where differences mean nothing.


# %%
@lesson.experiment("Random programs, three ways")
@one_thread()
def random_programs(run: Run) -> None:
    count = run.pick(quick=8, default=150, full=1500)
    tape_errors, difference_errors, values, bits = [], [], [], []
    for _ in run.progress(range(count), "random programs"):
        source = random_program(run.rng)
        at = tuple(map(float, run.rng.uniform(-1.2, 1.2, 3)))
        derivative = differentiate(source)
        gradients = derivative(1.0, *at)
        bits.append(gradients == executed(derivative.source_as_derived)["df"](1.0, *at))
        ours = np.array(gradients)
        tape = tape_gradient(source, *at)
        scale = max(1.0, float(np.abs(tape).max()))
        tape_errors.append(np.abs(ours - tape).max() / scale)
        values.append(derivative.primal(*at) == value(source, *at))
        differences = difference_gradient(source, *at)
        if differences is not None:
            difference_errors.append(np.abs(ours - differences).max() / scale)
    run.results["programs"] = (count, max(tape_errors), max(difference_errors), len(difference_errors))
    run.claim(f"{count} programs: those whose SSA form computes other bits", count - sum(values), equals=0)
    run.claim("those whose gradient the optimiser changes, by a single bit", count - sum(bits), equals=0)
    run.claim("gradient against the tape: largest error", max(tape_errors), below=1e-10)
    checked = f"gradient against differences, {len(difference_errors)} of {count} programs: median error"
    run.claim(checked, float(np.median(difference_errors)), below=1e-8)
    run.claim("largest error against differences", max(difference_errors), below=1e-3)
    run.claim("programs that differences can judge", len(difference_errors), above=count // 2)


# %% [markdown]
# ## The post's last program, to the last bit
#
# Points $p_1 = (2, 3)$, $p_2 = (-2, 0)$ and $p = (-1/3, 1)$; wanted are $K_1, K_2$ with $K_1 p_1 + K_2 p_2 = p$. The
# post takes 1000 steps of gradient descent on the *distance* $|K_1 p_1 + K_2 p_2 - p|$, step size $10^{-3}$, and prints
# `(0.33427804653861276, 0.4996408206795386)`. Our transformed Python prints the same, to the last digit.
#
# But the answer is $(1/3, 1/2)$, and more steps will not come closer. The gradient of a distance is never small: it is
# $A^\top r / |r|$, and $r / |r|$ has length one however close the goal is. A step changes the residual by $-\eta A
# A^\top r / |r|$. Along the eigenvector of $A A^\top$ with the largest eigenvalue $\lambda$ the step has length $\eta
# \lambda$, always. So the residual jumps to and fro across zero, and the two distances add up to $\eta \lambda$. The
# numbers settle on an exact cycle of two points. The square of the distance has a gradient that shrinks, and converges.


# %%
def minus(px, py, qx, qy):
    return px - qx, py - qy


def squared_distance(k1, k2):
    dx, dy = minus(2.0 * k1 - 2.0 * k2, 3.0 * k1, -1 / 3, 1.0)
    return dx * dx + dy * dy


def distance(k1, k2):
    return math.sqrt(squared_distance(k1, k2))


PRINTED = (0.33427804653861276, 0.4996408206795386)
A = np.array([[2.0, -2.0], [3.0, 0.0]])


def descend(slope: Callable[..., tuple[float, ...]], steps: int, rate: float = 1e-3) -> np.ndarray:
    """Plain gradient descent from (0.1, 0.1); return all points, shape (steps + 1, 2)."""
    k1 = k2 = 0.1
    path = [(k1, k2)]
    for _ in range(steps):
        d1, d2 = slope(1.0, k1, k2)
        k1, k2 = k1 - rate * d1, k2 - rate * d2
        path.append((k1, k2))
    return np.array(path)


# %% [markdown]
# **Exercise: `distance_backward`.** Before the transformer does it, you do. With the matrix $A$ whose columns are the
# points, the residual is $r = A k - p$, and the distance $d = |r|$. Its gradient has a share from each coordinate of
# the residual, **across** and **up**.


# %%
@lesson.exercise(hint="The root brings back half of 1/d, the square twice the residual. What stands beside k in r?")
def distance_backward(dy, k, A, p):
    """Return the gradient of d = sqrt(r[0]**2 + r[1]**2), r = A k - p, with respect to k, for N problems at once.

    Args:
        dy: gradient with respect to d, shape (N,).
        k: shape (2, N).
        A: shape (2, 2, N); r[i] = A[i, 0] * k[0] + A[i, 1] * k[1] - p[i].
        p: shape (2, N).

    Returns:
        dk, shape (2, N).
    """
    r = (A * k).sum(axis=1) - p
    d = np.sqrt((r**2).sum(axis=0))
    return dy * (A[0] * r[0] + A[1] * r[1]) / d


@lesson.step("The gradient of a distance, by hand", terms=("across", "up"))
def distance_by_hand(run: Run) -> None:
    k1, k2 = run.rng.normal(size=(2, 5))
    points = np.repeat(A[:, :, None], 5, axis=2), np.array([[-1 / 3], [1.0]]) * np.ones(5)
    ours = distance_backward(np.ones(5), np.array([k1, k2]), *points)
    slope = differentiate(distance)
    theirs = np.array([slope(1.0, one, other) for one, other in zip(k1.tolist(), k2.tolist(), strict=True)]).T
    run.claim("distance_backward against the transformed program", np.abs(ours - theirs).max(), below=1e-12)


@lesson.experiment("The post's last program, to the last bit")
def to_the_last_bit(run: Run) -> None:
    from lessons.systems._source_to_source_figures import draw_cycle

    slope = differentiate(distance)
    listing(run, "The gradient program of the distance:", slope.source)
    path = descend(slope, 5000)
    run.claim("K1, K2 after 1000 steps", tuple(map(float, path[1000])), equals=PRINTED)
    run.claim("after 5000 steps", tuple(map(float, path[5000])), equals=PRINTED)
    repeats = np.flatnonzero((path[2:] == path[:-2]).all(axis=1))
    entered = int(repeats[0])
    run.claim("the first step of the cycle", entered, within=(300, 400))
    run.claim("from there on every point is that of two steps before", len(repeats), equals=5000 - 1 - entered)
    distances = np.array([distance(*point) for point in path])
    run.claim("distance at the printed point", distances[1000], equals=0.00385, within=5e-6)
    run.claim("distance at the other point of the cycle", distances[1001], equals=0.01067, within=5e-6)
    largest = float(np.linalg.eigvalsh(A @ A.T)[-1])
    total = distances[1000] + distances[1001]
    run.claim("their sum, against 0.001 times the largest eigenvalue", abs(total - 1e-3 * largest), below=1e-12)
    run.claim("the printed point, away from (1/3, 1/2)", float(np.hypot(*(path[1000] - (1 / 3, 1 / 2)))), above=1e-3)

    squared = descend(differentiate(squared_distance), 5000)
    run.claim("squared distance: K1 after 1000 steps", squared[1000, 0], equals=0.3322, within=5e-5)
    away = float(np.hypot(*(squared[5000] - (1 / 3, 1 / 2))))
    run.claim("squared distance: away from the answer after 5000 steps", away, below=1e-10)
    run.results["cycle"] = (entered, distances[1000], distances[1001])
    squared_distances = np.array([distance(*point) for point in squared])
    run.figure(
        "source_to_source-cycle",
        draw_cycle(path, squared, distances, squared_distances),
        alt="Left: the last points of both descents around (1/3, 1/2); the distance's jumps between two points, its "
        "square's arrives. Right: the distance over the steps; one curve alternates between 0.0039 and 0.0107, the "
        "other falls to rounding error.",
        data={"path": path, "squared": squared, "distances": distances, "squared distances": squared_distances},
    )


# %% [markdown]
# ## The price of the first call
#
# In the post the first gradient takes 11.76 seconds and later ones 5 microseconds: Julia compiles when a function is
# first called. Numba is to Python what that compiler is to Julia, so the same happens here. The table has two programs,
# the distance above and a damped pendulum of 200 time steps, whose last angle is differentiated with respect to its
# first angle, its length and its damping. The transformation itself takes milliseconds. The first function that a
# process compiles also waits for the compiler to be loaded.


# %%
PENDULUM = """
def f(angle, length, damping):
    speed = 0.0
    for step in range(200):
        speed = speed - 0.01 * (9.81 / length * math.sin(angle) + damping * speed)
        angle = angle + 0.01 * speed
    return angle
"""
DISTANCE = """
def f(k1, k2):
    dx = 2.0 * k1 - 2.0 * k2 + 1 / 3
    dy = 3.0 * k1 - 1.0
    return math.sqrt(dx * dx + dy * dy)
"""
TIMED = {"distance": (DISTANCE, (0.1, 0.1)), "pendulum, 200 steps": (PENDULUM, (1.0, 0.5, 0.3))}
WAYS = ("transform", "first call, Numba", "minigrad's tape", "adjoint in Python", "later calls, Numba")


def timed(source: str, at: tuple[float, ...], rounds: int) -> dict[str, float]:
    """Seconds for each of WAYS; raises ValueError where they disagree."""
    import numba  # noqa: F401  # importing it is not compiling

    from kernels.benchmark import interleaved

    start = time.perf_counter()
    derivative = differentiate(source)
    python = derivative.python
    transform = time.perf_counter() - start
    start = time.perf_counter()
    compiled = derivative.compiled()
    compiled(1.0, *at)
    first = time.perf_counter() - start
    tape = on_the_tape(source)
    candidates = {
        "minigrad's tape": lambda: tape(*at),
        "adjoint in Python": lambda: python(1.0, *at),
        "later calls, Numba": lambda: compiled(1.0, *at),
    }
    for name, candidate in candidates.items():
        if not np.allclose(candidate(), python(1.0, *at), rtol=1e-11, atol=1e-13):
            raise ValueError(f"{name} computes something else")
    timings = interleaved(candidates, rounds=rounds, min_time=0.01)
    return {"transform": transform, "first call, Numba": first} | {name: min(t.seconds) for name, t in timings.items()}


def shown_time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _ratio(times: dict[str, float], way: str) -> float:
    return times[way] / times["later calls, Numba"]


@lesson.experiment("The price of the first call")
@one_thread()
def first_call(run: Run) -> None:
    from lessons.systems._source_to_source_figures import draw_times

    rounds = run.pick(quick=5, default=11, full=21)
    shown = {name: timed(source, at, rounds) for name, (source, at) in TIMED.items()}
    run.table(
        "One gradient takes (the best of several rounds; others may be using this machine)",
        ("program", *WAYS),
        [(name, *(shown_time(times[way]) for way in WAYS)) for name, times in shown.items()],
    )
    loop = shown["pendulum, 200 steps"]
    speed_up = loop["minigrad's tape"] / loop["later calls, Numba"]
    run.claim("first call over later calls, distance", _ratio(shown["distance"], "first call, Numba"), above=1000)
    run.claim("Python over Numba, pendulum", _ratio(loop, "adjoint in Python"), above=1)
    run.claim("tape over the adjoint in Python, pendulum", loop["minigrad's tape"] / loop["adjoint in Python"], above=2)
    run.results["times"] = shown
    repay = loop["first call, Numba"] / (loop["adjoint in Python"] - loop["later calls, Numba"])
    run.note(
        f"On the pendulum a compiled gradient is {speed_up:.0f} times as fast as the tape, and compiling has paid for "
        f"itself against plain Python after {repay:.0f} calls."
    )
    run.figure(
        "source_to_source-times",
        draw_times(shown, WAYS),
        alt="Bars on a logarithmic scale: the time of one gradient by each way, for a distance and for a pendulum.",
        data={name: np.array([times[way] for way in WAYS]) for name, times in shown.items()},
    )


# %% [markdown]
# Both pipelines as pictures: what happens once, what happens in every call, and where the program's text gets lost.


# %%
@lesson.step("Two pipelines, two listings")
def pictures(run: Run) -> None:
    from lessons.systems._source_to_source_figures import draw_listings, draw_pipelines

    run.figure(
        "source_to_source-pipelines",
        draw_pipelines(),
        alt="Above: the tape records operations in every call and walks back along them. Below: source transformation "
        "reads the text once, writes a gradient program, optimises and compiles it; every call just runs it.",
    )
    ssa, adjoint = differentiate(POST).ssa, differentiate(POST).source_as_derived
    run.figure(
        "source_to_source-listings",
        draw_listings(ssa, adjoint),
        alt="The SSA form of F beside its adjoint program; each forward statement has the colour of the adjoint "
        "statements that its pullback gives.",
        data={"ssa": ssa.splitlines(), "adjoint": adjoint.splitlines()},
    )
    statements = [line for line in ssa.splitlines() if " = " in line]
    run.claim("the SSA listing has one statement for each operation", len(statements), equals=3)


# %% [markdown]
# ## Errata
#
# **A call that PyTorch refuses.** The tape example adds one with `torch.sum(1, y1)`, and its trace has $\mathcal{J}$ of
# `torch.sum`. That function reduces *one* tensor; the sum of two things is `torch.add`. PyTorch 2.13 answers: "sum()
# received an invalid combination of arguments - got (int, Tensor)".


# %%
@lesson.erratum(
    "C",
    "torch.sum for torch.add",
    printed="y2 = torch.sum(1, y1)",
    right="y2 = torch.add(1, y1)",
)
def sum_for_add(run: Run) -> None:
    recorded = recorded_by_torch(lesson)
    run.refuted("torch.sum(1, y1) raises TypeError, as recorded: 1 is yes", recorded["sum_refused"], above=0.5)
    run.note(f"Recorded with PyTorch {recorded['torch_version']}.")
    run.claim("torch.add(1, y1) for y1 = 4, as recorded", float(recorded["add"]), equals=5.0)
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        run.note("PyTorch is not installed, so only the recorded values were looked at.")
        return
    y1 = torch.tensor(4.0)
    try:
        torch.sum(1, y1)
        said = ""
    except TypeError as error:
        said = str(error)
    run.refuted("torch.sum(1, y1) raises TypeError, live: 1 is yes", float(bool(said)), above=0.5)
    run.claim("and says so in these words", "invalid combination of arguments" in said, equals=True)
    run.claim("torch.add(1, y1), live", float(torch.add(1, y1)), equals=5.0)


# %% [markdown]
# **Not converged.** The post shows its last output as the solution of the problem. As seen above, it is one of two
# points between which the descent jumps for ever.


# %%
@lesson.erratum(
    "W",
    "the printed K1, K2 are not the solution",
    printed="the program solves argmin |p_hat(K1, K2) - p|: (0.33427804653861276, 0.4996408206795386)",
    right="the solution is (1/3, 1/2); the printed point belongs to a cycle of two and stays 1.0e-3 away",
)
def not_converged(run: Run) -> None:
    solution = np.linalg.solve(A, [-1 / 3, 1.0])
    run.claim("the exact solution", np.abs(solution - (1 / 3, 1 / 2)).max(), below=1e-15)
    run.refuted("the printed point: distance to the solution", float(np.hypot(*(PRINTED - solution))), above=1e-3)
    slope = differentiate(distance)
    twice = [PRINTED]
    for _ in range(2):
        d1, d2 = slope(1.0, *twice[-1])
        twice.append((twice[-1][0] - 1e-3 * d1, twice[-1][1] - 1e-3 * d2))
    run.claim("two more steps lead back to the printed point", twice[2], equals=PRINTED)


lesson.smaller_slips(
    [
        ("N", "'df()' in a comment, dF in the call", "dF"),
        ("N", "dF(1.) takes the seed, dF(%1, %2) takes the inputs", "dF(seed, a, b)"),
        ("N", "self.b0 = ...; a0.grad is read", "b0 must be a Parameter, a0 a leaf that requires grad"),
        ("N", "the Julia listing calls norm", "it needs using LinearAlgebra"),
        ("N", "the functions of the IR sketches have no end", "end"),
    ]
)


# %% [markdown]
# ## What is refused
#
# "Arbitrary code without following any guidelines", says the post. No system keeps that promise, and ours is small.
# What it does not know, it refuses, with the line, what was found there, and what to write instead; it never guesses.


# %%
REFUSED = (
    "xs = [x, 1.0]", "y = {'a': x}", "y = (lambda z: z)(x)", "with x: pass", "x.data = 1.0", "global G", "y = f'{x}'",
    "y = max(x, key=1)", "y = x if x else 1.0", "y = open(x)", "for v in x: pass", "y = unknown + x",
)  # fmt: skip


def refusal(source: str) -> UnsupportedSyntax | None:
    """The error that a program gets."""
    try:
        differentiate(source)
    except UnsupportedSyntax as error:
        return error
    return None


@lesson.step("What is refused")
def what_is_refused(run: Run) -> None:
    rows, wrong_line = [], 0
    for statement in REFUSED:
        error = refusal(f"def f(x):\n    {statement}\n    return x\n")
        rows.append((statement, error.found, error.instead) if error else (statement, "ACCEPTED", ""))
        wrong_line += error is not None and error.line != 2
    run.table("A statement in line 2, and what the error says", ("statement", "found", "instead"), rows)
    run.claim("statements accepted by mistake", sum(found == "ACCEPTED" for _, found, _ in rows), equals=0)
    run.claim("errors with the wrong line", wrong_line, equals=0)


# %% [markdown]
# ## Compare with PyTorch


# %%
PROGRAMS = (INPUT_PROG.replace("def F", "def f"), DISTANCE, PENDULUM)


@lesson.compare("PyTorch")
def pytorch(run: Run) -> None:
    recorded = recorded_by_torch(lesson)
    same = recorded["programs"].tobytes().decode() == "\n\n".join(PROGRAMS)
    run.claim("the programs are those that were recorded", same, equals=True)

    def live(torch: Any, source: str, at: np.ndarray) -> np.ndarray:
        leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in at]
        function = executed(source.replace("math.", "torch."), torch=torch)["f"]
        return torch.stack(torch.autograd.grad(function(*leaves), leaves)).numpy()

    for number, source in enumerate(PROGRAMS):
        at = recorded[f"at{number}"]
        ours = np.array(differentiate(source)(1.0, *at))
        name = f"gradient of program {number + 1}"
        run.compare(name, ours, recorded=recorded[f"gradient{number}"],
                    live=lambda torch, source=source, at=at: live(torch, source, at))  # fmt: skip
        run.claim(f"{name}: minigrad's tape", np.abs(tape_gradient(source, *at) - ours).max(), below=1e-12)


# %% [markdown]
# ## Where this breaks
#
# **Calls are computed twice, and so are the calls in them.** The adjoint of a call starts by computing the callee's
# values again. A chain of calls $d$ deep computes its innermost function $d$ times, a recursion in all about $d^2 / 2$
# times. Zygote keeps the values in closures instead; Numba has no such closures, and the text would be harder to
# read. The middle way is called checkpointing: [Algorithm 799: revolve][revolve] by Andreas Griewank and Andrea Walther
# (2000) says where to keep and where to compute again.
#
# **Tapes grow with the iterations.** A loop saves a few numbers for each iteration, as a tape would.
#
# **A program is more than its function.** `if x == 0: return 0` and otherwise `return x` computes the identity. Its
# adjoint at 0 is 0, because that is what the branch says. No method that follows the program can see more, tapes
# included.
#
# **Numbers only.** Arrays need shapes, broadcasting and views; [Tangent][tangent] and [JAX][jax] go there.
#
# [revolve]: https://dl.acm.org/doi/10.1145/347837.347846
# [tangent]: https://arxiv.org/abs/1809.09569
# [jax]: https://github.com/jax-ml/jax


# %%
def chain(x, n):
    if n < 1:
        return math.sin(x)
    return math.sin(chain(x, n - 1))


SPECIAL = "def f(x):\n    if x == 0:\n        return 0.0\n    return x\n"


def calls_counted(depth: int) -> int:
    """How often the gradient program of `chain` calls `chain`."""
    namespace = executed(differentiate(chain).source)
    plain, count = namespace["chain"], [0]

    def counting(*arguments: float) -> float:
        count[0] += 1
        return plain(*arguments)

    namespace["chain"] = counting
    namespace["dchain"](1.0, 0.5, depth)
    return count[0]


@lesson.step("Where this breaks")
def where_this_breaks(run: Run) -> None:
    counts = {depth: calls_counted(depth) for depth in (1, 2, 4, 8, 16)}
    run.table("A recursion d calls deep", ("d", "calls of the function itself, in one gradient"), counts.items())
    run.results["calls"] = counts
    for depth in (8, 16):
        run.claim(f"d = {depth}: d (d + 1) / 2", counts[depth], equals=depth * (depth + 1) // 2)
    run.claim(
        "identity with a special case at 0: the program's derivative there", gradient(SPECIAL, 0.0), equals=(0.0,)
    )
    run.claim("on the tape it is the same", float(tape_gradient(SPECIAL, 0.0)[0]), equals=0.0)
    run.claim("and next to it", gradient(SPECIAL, 1e-9), equals=(1.0,))
    again = refusal(differentiate(smooth_steps).source)
    run.claim("the gradient of a loop cannot go in again: it has", again and again.found, equals="a list")


# %% [markdown]
# ## What would a wrong one do?
#
# Key `w` in the loop trains with your function: `pullback` fits a curve with one peak, $a \, kt / (1 + (kt)^2)$,
# to points by moving $a$ and $k$; `reverse_sweep` solves the post's problem for $K_1$ and $K_2$, on the squared
# distance.


# %%
@lesson.consequence("pullback", title="fitting a and k in y = a * kt / (1 + (kt)**2) to 40 points, learning rate 0.5")
def with_your_pullback(candidate, rng) -> Iterator[float]:
    t = rng.uniform(0.1, 5.0, 40)
    target = 1.5 * 1.4 * t / (1 + (1.4 * t) ** 2) + 0.03 * rng.normal(size=40)
    a, k = 0.5, 0.4
    while True:
        left = a * k * t / (1 + (k * t) ** 2) - target
        yield float((left**2).mean())
        da, db = candidate(2 * left / len(t), np.full(40, a), k * t)
        a, k = a - 0.5 * da.sum(), k - 0.5 * (db * t).sum()


DISTANCE_STATEMENTS: Program = [
    ("t1", "mul", (2.0, "k1")),
    ("t2", "mul", (2.0, "k2")),
    ("t3", "sub", ("t1", "t2")),
    ("dx", "add", ("t3", 1 / 3)),
    ("t4", "mul", (3.0, "k1")),
    ("dy", "sub", ("t4", 1.0)),
    ("t5", "mul", ("dx", "dx")),
    ("t6", "mul", ("dy", "dy")),
    ("d2", "add", ("t5", "t6")),
]


@lesson.consequence("reverse_sweep", title="the post's K1 and K2 on the squared distance, learning rate 0.03")
def with_your_reverse_sweep(candidate, rng) -> Iterator[float]:
    k = rng.uniform(0.0, 0.2, 2)
    while True:
        values = evaluate(DISTANCE_STATEMENTS, {"k1": k[0], "k2": k[1]})
        yield float(values["d2"]) + 1e-9
        k = k - 0.03 * candidate(DISTANCE_STATEMENTS, values, ("k1", "k2"), "d2")


# %% [markdown]
# ## Mistakes that must not pass
#
# If yours is in the list, its name is your hint.


# %%
def _quotient(a, b):
    return b / (1 + b**2), a / (1 + b**2), -b * a / (1 + b**2) ** 2 * 2 * b


# Wrong pullbacks, by factors on the terms a, direct and square; the wrong terms; what must be said.
WRONG_PULLBACKS: dict[str, tuple[tuple[float, float, float], tuple[str, ...], str]] = {
    "returns zeros": ((0, 0, 0), ("a", "direct", "square"), "da is zero"),
    "forgets that b is a factor": ((1, 0, 1), ("direct",), "`direct` is 0"),
    "forgets that b is in the denominator": ((1, 1, 0), ("square",), "`square` is 0"),
    "misses the minus of 1/y": ((1, 1, -1), ("square",), "`square` is -1"),
    "misses the 2 of the square": ((1, 1, 0.5), ("square",), "`square` is 1/2"),
}
for _name, (_factors, _terms, _cause) in WRONG_PULLBACKS.items():
    lesson.mistake("pullback", _name, terms=_terms, cause=_cause)(
        lambda dy, a, b, factors=_factors: (
            dy * factors[0] * _quotient(a, b)[0],
            dy * (factors[1] * _quotient(a, b)[1] + factors[2] * _quotient(a, b)[2]),
        )
    )


def draw_problems(rng: np.random.Generator, N: int) -> dict[str, Any]:
    return {"k": rng.normal(size=(2, N)), "A": rng.normal(size=(2, 2, N)), "p": rng.normal(size=(2, N))}


@lesson.question(
    "distance_backward",
    inputs=draw_problems,
    sizes={"N": (5, 7)},
    terms={
        "dk": (
            Term("across", "dy * A[0] * r[0] / d", through=("r0",), question="What does k do to the first residual?"),
            Term("up", "dy * A[1] * r[1] / d", through=("r1",), question="What does k do to the second residual?"),
        )
    },
    factors={"d": lambda values: values["d"]},
)
def distance_on_the_tape(named, k, A, p):
    r0 = named("r0", (A[0] * k).sum(0) - p[0])
    r1 = named("r1", (A[1] * k).sum(0) - p[1])
    return named("d", (r0 * r0 + r1 * r1).sqrt())


def _residual(k, A, p):
    r = (A * k).sum(axis=1) - p
    return r, np.sqrt((r**2).sum(axis=0))


WRONG_DISTANCES: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "returns zeros": (lambda dy, k, A, p: 0 * k, ("across", "up"), "dk is zero"),
    "differentiates the square of the distance": (
        lambda dy, k, A, p: 2 * distance_backward(dy, k, A, p) * _residual(k, A, p)[1],
        ("across", "up"),
        None,
    ),
    "forgets to divide by the distance": (
        lambda dy, k, A, p: distance_backward(dy, k, A, p) * _residual(k, A, p)[1],
        ("across", "up"),
        "every term of dk is d",
    ),
    "misses the half of the root": (
        lambda dy, k, A, p: 2 * distance_backward(dy, k, A, p),
        ("across", "up"),
        "every term of dk is 2",
    ),
    "leaves out the second coordinate": (
        lambda dy, k, A, p: dy * A[0] * _residual(k, A, p)[0][0] / _residual(k, A, p)[1],
        ("up",),
        "`up` is 0",
    ),
    "flips the sign": (lambda dy, k, A, p: -distance_backward(dy, k, A, p), ("across", "up"), "every term of dk is -1"),
    "takes the rows of A for its columns": (
        lambda dy, k, A, p: dy * (A * _residual(k, A, p)[0]).sum(axis=1) / _residual(k, A, p)[1],
        ("across", "up"),
        None,
    ),
}
for _name, (_wrong, _terms, _cause) in WRONG_DISTANCES.items():
    lesson.mistake("distance_backward", _name, terms=_terms, cause=_cause)(_wrong)

lesson.variant("distance_backward", "einsum")(
    lambda dy, k, A, p: np.einsum("n,ijn,in->jn", dy / _residual(k, A, p)[1], A, np.einsum("ijn,jn->in", A, k) - p)
)


@lesson.mistake("pullback", "swaps da and db", cause="in the place of da is db")
def _(dy, a, b):
    return pullback(dy, a, b)[::-1]


@lesson.mistake("pullback", "takes 1/y for the derivative of 1/y, instead of 1/y**2", terms=("square",))
def _(dy, a, b):
    da, direct, square = _quotient(a, b)
    return dy * da, dy * (direct + square * (1 + b**2))


@lesson.variant("pullback", "one fraction")
def _(dy, a, b):
    return dy * b / (1 + b * b), dy * a * (1 - b * b) / (1 + b * b) ** 2


# %%
@lesson.mistake("rename", "leaves the names as they are")
def _(program, inputs):
    return list(program), program[-1][0]


@lesson.mistake("rename", "renames the target before it looks up the arguments: y = y + 1 uses itself")
def _(program, inputs):
    newest = {name: name for name in inputs}
    renamed = []
    for number, (target, operation, arguments) in enumerate(program):
        newest[target] = f"{target}_{number}"
        renamed.append((newest[target], operation, tuple(newest.get(x, x) for x in arguments)))
    return renamed, renamed[-1][0]


@lesson.mistake("rename", "renames targets only, so that uses go to the first version")
def _(program, inputs):
    seen, renamed = set(inputs), []
    for number, (target, operation, arguments) in enumerate(program):
        new = f"{target}_{number}" if target in seen else target
        seen.add(target)
        renamed.append((new, operation, arguments))
    return renamed, renamed[-1][0]


@lesson.mistake("rename", "assigns to an input")
def _(program, inputs):
    renamed, result = rename(program, inputs)
    place = next((k for k, statement in enumerate(program) if statement[0] in inputs), None)
    if place is None:
        return renamed, result
    old, new = renamed[place][0], program[place][0]
    swap = [(new if t == old else t, o, tuple(new if x == old else x for x in xs)) for t, o, xs in renamed]
    return swap, swap[-1][0]


@lesson.mistake("rename", "returns the result under its old name")
def _(program, inputs):
    return rename(program, inputs)[0], program[-1][0]


@lesson.variant("rename", "counts versions")
def _(program, inputs):
    versions, renamed = dict.fromkeys(inputs, 0), []

    def current(name):
        return name if versions[name] == 0 and name in inputs else f"{name}.{versions[name]}"

    for target, operation, arguments in program:
        arguments = tuple(current(x) if isinstance(x, str) else x for x in arguments)
        versions[target] = versions.get(target, 0) + 1
        renamed.append((f"{target}.{versions[target]}", operation, arguments))
    return renamed, renamed[-1][0]


# %%
def _sweep(program, values, inputs, result, *, accumulate=True, backwards=True, shares_of=None, seed=1.0):
    """The solution with switches for its mistakes."""
    bars = dict.fromkeys(values, 0.0)
    bars[result] = seed
    for target, operation, arguments in reversed(program) if backwards else program:
        x, y = ([values[z] if isinstance(z, str) else z for z in arguments] + [0.0])[:2]
        local = {
            "add": (1.0, 1.0),
            "sub": (1.0, -1.0),
            "mul": (y, x),
            "div": (1 / y, -x / y**2) if operation == "div" else (),
            "sin": (np.cos(x),),
            "exp": (values[target],),
            **({} if shares_of is None else shares_of(operation, x, y)),
        }[operation]
        for argument, slope in zip(arguments, local, strict=True):
            if isinstance(argument, str):
                share = bars[target] * slope
                bars[argument] = bars[argument] + share if accumulate else share
    return np.array([bars[name] for name in inputs])


WRONG_SWEEPS: dict[str, dict[str, Any]] = {
    "overwrites instead of adding, where a name is used twice": {"accumulate": False},
    "goes forward": {"backwards": False},
    "starts with 0": {"seed": 0.0},
    "misses the minus of sub": {"shares_of": lambda operation, x, y: {"sub": (1.0, 1.0)}},
    "misses the minus of div": {"shares_of": lambda operation, x, y: {"div": (1 / y, x / (y * y)) if y else ()}},
    "takes x for y in mul": {"shares_of": lambda operation, x, y: {"mul": (x, y)}},
    "takes the derivative of sin for -cos": {"shares_of": lambda operation, x, y: {"sin": (-np.cos(x),)}},
    "forgets the second argument": {"shares_of": lambda operation, x, y: {"mul": (y, 0.0), "add": (1.0, 0.0)}},
}
for _name, _switches in WRONG_SWEEPS.items():
    lesson.mistake("reverse_sweep", _name)(
        lambda program, values, inputs, result, switches=_switches: _sweep(program, values, inputs, result, **switches)
    )


@lesson.variant("reverse_sweep", "collects the shares and adds them when a name is reached")
def _(program, values, inputs, result):
    shares: dict[str, list[float]] = {result: [1.0]}
    for statement in reversed(program):
        bar = sum(shares.get(statement[0], []))
        names = [x for x in dict.fromkeys(statement[2]) if isinstance(x, str)]
        for name, share in zip(names, _sweep([statement], values, names, statement[0], seed=bar), strict=True):
            shares.setdefault(name, []).append(share)
    return np.array([float(sum(shares.get(name, []))) for name in inputs])


@lesson.variant("reverse_sweep", "keeps the local slopes in a table")
def _(program, values, inputs, result):
    return _sweep(program, values, inputs, result)


# %%
@lesson.mistake("live_statements", "keeps everything")
def _(program, result):
    return tuple(program)


@lesson.mistake("live_statements", "removes only what nobody uses, not what only dead statements use")
def _(program, result):
    used = {result} | {x for _, _, arguments in program for x in arguments if isinstance(x, str)}
    return tuple(statement for statement in program if statement[0] in used)


@lesson.mistake("live_statements", "keeps only what the result uses directly")
def _(program, result):
    last = next(statement for statement in program if statement[0] == result)
    return tuple(statement for statement in program if statement[0] == result or statement[0] in last[2])


@lesson.mistake("live_statements", "returns them last to first")
def _(program, result):
    return live_statements(program, result)[::-1]


@lesson.mistake("live_statements", "goes forward, and so never learns what is needed")
def _(program, result):
    needed, kept = {result}, []
    for statement in program:
        if statement[0] in needed:
            needed.update(x for x in statement[2] if isinstance(x, str))
            kept.append(statement)
    return tuple(kept)


@lesson.variant("live_statements", "marks, then sweeps")
def _(program, result):
    arguments_of = {target: arguments for target, _, arguments in program}
    live, waiting = set(), [result]
    while waiting:
        name = waiting.pop()
        if name in arguments_of and name not in live:
            live.add(name)
            waiting += [x for x in arguments_of[name] if isinstance(x, str)]
    return tuple(statement for statement in program if statement[0] in live)
