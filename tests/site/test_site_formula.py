"""The formula of a gradient says what is so: computed from its tree, and read from its LaTeX, it is the gradient.

Three roads to one number: the formula, the vjp's own code on the tape, and differences of the forward alone.
"""

from __future__ import annotations

import ast
from dataclasses import replace

import formula_harness as harness
import numpy as np
import pytest
from formula_harness import Call, Unreadable, WithGradient
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from lessons.workbench.site import engine_code
from lessons.workbench.site.formula import Formula, Result, Signature, formula_of
from lessons.workbench.site.formula_latex import output_name, written
from lessons.workbench.site.formula_scope import Scope
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
    Number,
    Output,
    Reduction,
    Reshaped,
    Spread,
    Symbol,
    Transposed,
    value,
)

OPS = {key: op for key, op in harness.ops_with_gradients().items() if harness.has_formula(op)}

# Ops whose gradient is no single formula.  This list should get shorter.
WITHOUT = {
    "minigrad.nn.functional._recurrence._gru_backward": "the tape differentiates",
    "minigrad.nn.functional._recurrence._lstm_backward": "the tape differentiates",
    "minigrad.nn.functional._recurrence._rnn_backward": "the tape differentiates",
    "minigrad.nn.functional.ctc._ctc_loss_backward": "the tape differentiates",
    "minigrad.nn.functional.normalization._batch_norm_backward": "the tape differentiates",
    "minigrad.nn.functional.normalization._batch_norm_eval": "the tape differentiates",
    "minigrad.nn.functional.sampling._bilinear_backward": "the tape differentiates",
    "minigrad.nn.functional.standardization._standardise_backward": "the tape differentiates",
    "minigrad.ops.decompositions._r_alone": "there is no gradient",
    "minigrad.ops.joining._block_diag": "does more than compute",  # one part for each of any number of inputs
    "minigrad.ops.joining._cat": "does more than compute",
    "minigrad.ops.reduction._prod": "the tape differentiates",
    "minigrad.ops.scan._cumprod": "the tape differentiates",
    "minigrad.ops.scan._logcumsumexp": "the tape differentiates",
    "minigrad.ops.scattering._scatter_extreme": "changes an array in place",
    "minigrad.ops.scattering._scatter_prod": "does more than compute",
}

# Why differences of the forward say nothing about a gradient.  The tape is asked all the same.
NO_DIFFERENCES = {
    "minigrad.nn.functional._pooling._known_maxima": "the forward returns values that it was given",
    "minigrad.nn.functional.classification._mean_cross_entropy_backward": "the forward uses a softmax that was saved",
    "minigrad.ops.convert.to_dtype": "the forward rounds",
}
NO_CALLS = {"minigrad.ops.convert._to_cuda": "needs a GPU", "minigrad.ops.convert._to_cpu": "needs a GPU"}


def calls_of(key: str) -> list[Call]:
    """The calls at which an op has the gradient that its formula says."""
    calls = harness.recorded_calls().get(id(OPS[key].op), [])
    if key.endswith("._qr"):  # a guard refuses the others
        calls = [
            c for c in calls if c.attributes["mode"] != "complete" or c.arrays[0].shape[-2] <= c.arrays[0].shape[-1]
        ]
    if key.endswith("._svd"):  # `det` asks for the singular vectors of singular matrices, which may turn over
        calls = [c for c in calls if c.attributes["name"] != "det"]
    assert calls or key in NO_CALLS, f"{key} is called by no case of the op tables"
    return calls


def test_only_known_ops_have_no_formula():
    reasons = {key: harness.why_none(op) for key, op in harness.ops_with_gradients().items()}
    found = {key: reason for key, reason in reasons.items() if reason}
    assert set(found) == set(WITHOUT)
    assert all(WITHOUT[key] in reason for key, reason in found.items())


@pytest.mark.parametrize("key", sorted(OPS))
def test_a_formula_is_what_the_tape_computes(key):
    if key in NO_CALLS:
        pytest.skip(NO_CALLS[key])
    op, formula, compared = OPS[key], OPS[key].formula(), 0
    for call in calls_of(key):
        g = harness.cotangents(op, call, np.random.default_rng(5))
        engine = harness.from_engine(op, call, g)
        for place, got in harness.from_formula(op, call, formula, g).items():
            if place in engine:
                np.testing.assert_allclose(got, engine[place], rtol=1e-9, atol=1e-11)
                compared += got.size
    assert compared


@pytest.mark.parametrize("key", sorted(set(OPS) - set(NO_DIFFERENCES)))
def test_a_formula_is_the_numerical_gradient(key):
    if key in NO_CALLS:
        pytest.skip(NO_CALLS[key])
    op, formula, compared = OPS[key], OPS[key].formula(), 0
    for call in calls_of(key):
        said, elements = harness.differences(op, call, formula)
        assert not said, f"{key}: {said}"
        compared += elements
    assert compared


# --- the LaTeX --------------------------------------------------------------------------------------------------------

# What the reader of LaTeX in formula_harness does not know: more than one element at a time, and the engine's names.
MORE_THAN_ELEMENTS = (Apply, Blocks, Code, Inverse, Item, Output, Reduction, Spread, Transposed)
SPECIAL = ("digamma",)


def elementwise(formula: Formula) -> bool:
    """Whether every element of the gradient depends on one element of each input alone."""
    return not any(
        isinstance(n, MORE_THAN_ELEMENTS)
        or (isinstance(n, Binary) and n.sign == "@")
        or (isinstance(n, Reshaped) and (n.shown or n.how == "kept"))
        or getattr(n, "name", "") in SPECIAL
        for node in formula.nodes()
        for n in node.walk()
    )


ELEMENTWISE = sorted(key for key, op in OPS.items() if elementwise(op.formula()))


def printed_values(op: WithGradient, call: Call, formula: Formula, latex: str, g: list[np.ndarray]):
    """What a person would compute from the printed lines, by name."""
    names = harness.names_of(op, call, formula, g)
    signature, letter = formula.signature, output_name(formula)
    known = {k: v for k, v in names.items() if k not in (signature.cotangent, signature.output)}
    known |= {letter: names[signature.output], f"bar {letter}": names[signature.cotangent]}
    with np.errstate(all="ignore"):
        return dict(harness.read_lines(latex, known))


def misprint(op: WithGradient, formula: Formula, latex: str, call: Call) -> str:
    """Where the printed formula and its tree are not the same, in words; or ""."""
    g = harness.cotangents(op, call, np.random.default_rng(11))
    try:
        read = printed_values(op, call, formula, latex, g)
    except Unreadable as error:
        return str(error)
    for place, want in harness.from_formula(op, call, formula, g).items():
        name = formula.signature.inputs[place]
        got = harness._like(np.asarray(read[f"bar {name}"], float), call.arrays[place])
        if not np.allclose(got, want, rtol=1e-9, atol=1e-12, equal_nan=True):
            return f"{name}: {np.abs(got - want).max()}"
    return ""


def test_most_formulas_of_elements_are_read():
    assert len(ELEMENTWISE) >= 78


@pytest.mark.parametrize("key", ELEMENTWISE)
def test_the_printed_formula_says_what_its_tree_says(key):
    op, formula = OPS[key], OPS[key].formula()
    for call in calls_of(key):
        assert not misprint(op, formula, written(formula).latex, call)


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("elementwise.tanh", r"\left(1 - y^{2}\right)", "1 - y^{2}"),
        ("elementwise.sigmoid", "(1 - y)", "(y - 1)"),
        ("elementwise.atan", "x^{2} + 1", "x^{2}"),
        ("elementwise.acos", r"-\frac", r"\frac"),
        ("special.erf", "-x^{2}", "x^{2}"),
        ("arithmetic.lerp", "y - x", "x - y"),
        ("rectifiers._hardtanh", r"\text{ or }", r"\text{ and }"),
        ("arithmetic.addcdiv", "z^{2}", "z"),
    ],
)
def test_a_misprint_is_found(key, right, wrong):
    op = next(OPS[k] for k in OPS if k.endswith(f".{key}"))
    formula = op.formula()
    latex = written(formula).latex
    assert right in latex
    call = harness.recorded_calls()[id(op.op)][0]
    assert not misprint(op, formula, latex, call)
    assert misprint(op, formula, latex.replace(right, wrong, 1), call)


# --- planted mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("elementwise.exp", "g * out", "g * x"),
        ("elementwise.tanh", "1 - out * out", "1 + out * out"),
        ("elementwise.log2", "math.log(2)", "math.log(10)"),
        ("elementwise.asin", "1 - x * x", "1 - x"),
        ("arithmetic.sub", "-g if alpha == 1 else g * -alpha", "g"),
        ("arithmetic.div", "-g * out / y", "-g / y"),
        ("arithmetic.maximum", "_share(x, y)", "_share(y, x)"),
        ("linear_algebra._matmul", "_matmul(g, y.mT)", "_matmul(g, y.mT) * 2"),
        ("solving._inverse", "-_matmul(out.mT, _matmul(g, out.mT))", "_matmul(out.mT, _matmul(g, out.mT))"),
        ("probabilities._softmax", "(g * out).sum(dim, keepdim=True)", "g.sum(dim, keepdim=True)"),
        ("convolution._convolution", "_by_input(g, weight, x, **options)", "_by_input(g, weight * 2, x, **options)"),
        ("scan._cumsum", "backwards=not backwards", "backwards=backwards"),
    ],
)
def test_a_wrong_vjp_is_found(key, right, wrong, monkeypatch):
    """The code with a mistake in it: its formula has the mistake too, and differs from the numerical gradient."""
    key = next(k for k in OPS if k.endswith(f".{key}"))
    op = OPS[key]
    statement = ast.unparse(op.derivative.statement)
    functions = {n: ast.unparse(t) for n, t in engine_code._functions(op.module).items() if n in statement}
    changed = statement.replace(right, wrong, 1)
    if changed == statement:  # it stands in a function that the statement names
        name = next(n for n, text in functions.items() if right in text)
        tree = ast.parse(functions[name].replace(right, wrong, 1)).body[0]
        monkeypatch.setitem(engine_code._functions(op.module), name, tree)
    call = ast.parse(changed).body[0].value
    joint = next((k.value for k in call.keywords if k.arg == "joint"), None)
    mistaken = replace(op.derivative, vjps=tuple(call.args), joint=joint)
    formula = formula_of(op.op, op.module, mistaken)
    found = [harness.differences(op, c, formula)[0] for c in calls_of(key)]
    assert any(found)


def _with_number(node: Node, old: float, new: float) -> Node:
    """The tree with another constant in it."""
    if isinstance(node, Number) and node.number == old:
        return Number(new)
    changes = {}
    for field, part in vars(node).items():
        if isinstance(part, Node):
            changes[field] = _with_number(part, old, new)
        elif isinstance(part, tuple):
            changes[field] = tuple(_with_number(p, old, new) if isinstance(p, Node) else p for p in part)
    return replace(node, **changes) if changes else node


def test_a_wrong_constant_is_found():
    op = OPS["minigrad.nn.functional.activation._gelu_tanh"]
    formula = op.formula()
    wrong = tuple(replace(r, meaning=_with_number(r.meaning, 0.044715, 0.0447)) for r in formula.results)
    call = calls_of("minigrad.nn.functional.activation._gelu_tanh")[0]
    assert not harness.differences(op, call, formula)[0]
    assert harness.differences(op, call, replace(formula, results=wrong))[0]


# --- how it is written ------------------------------------------------------------------------------------------------


def latex_of(key: str) -> str:
    return written(next(OPS[k] for k in OPS if k.endswith(f".{key}")).formula()).latex


@pytest.mark.parametrize(
    ("key", "latex"),
    [
        ("elementwise.exp", r"\bar{x} = \bar{y}\,y"),
        ("elementwise.sqrt", r"\bar{x} = \frac{\bar{y}}{2\,y}"),
        ("elementwise.asin", r"\bar{x} = \frac{\bar{y}}{\sqrt{1 - x^{2}}}"),
        ("elementwise.reciprocal", r"\bar{x} = -\bar{y}\,y^{2}"),
        ("arithmetic.mul", r"\begin{align*}\bar{x} &= \bar{z}\,y \\ \bar{y} &= \bar{z}\,x\end{align*}"),
        ("arithmetic.add", r"\begin{align*}\bar{x} &= \bar{z} \\ \bar{y} &= \bar{z}\,\alpha\end{align*}"),
        ("solving._inverse", r"\bar{A} = -y^{\top}\,\bar{y}\,y^{\top}"),
        ("matrix_functions._slogdet", r"\bar{A} = \bar{y}_{2}\,A^{-\top}"),
        ("probabilities._softmax", r"\bar{x} = \left(\bar{y} - \sum_{\text{dim}} \bar{y}\,y\right)\,y"),
        ("elementwise.relu", r"\bar{x} = \begin{cases}0 & \text{if } x \le 0 \\ \bar{y} & \text{otherwise}\end{cases}"),
    ],
)
def test_formulas_are_written_as_one_would(key, latex):
    assert latex_of(key) == latex


def test_a_column_is_told_from_a_row():
    """`w.unsqueeze(-2) - w.unsqueeze(-1)` would be w - w, if the shapes were not shown."""
    assert r"\operatorname{row}(w) - \operatorname{column}(w)" in latex_of("decompositions._eigh")


def test_elementwise_products_are_told_from_products_of_matrices():
    assert r"\odot" in latex_of("distances._euclidean")
    assert r"\odot" not in latex_of("elementwise.tanh")


@pytest.mark.parametrize("key", sorted(OPS))
def test_every_formula_can_be_shown(key):
    pytest.importorskip("latex2mathml", reason="the site's formulas need latex2mathml")
    from lessons.workbench.site.maths import to_mathml

    assert to_mathml(written(OPS[key].formula()).latex, True).startswith("<math")


# --- any formula ------------------------------------------------------------------------------------------------------

SYMBOLS = {"x": "input", "y": "input", "g": "cotangent", "out": "output", "lambd": "attribute", "beta_1": "attribute"}


def trees() -> st.SearchStrategy[Node]:
    """Formulas of elements: everything that the printer writes and the reader knows."""
    leaves = st.one_of(
        st.sampled_from([Symbol(name, role) for name, role in SYMBOLS.items()]),
        st.sampled_from([Number(n) for n in (0, 1, 2, 3.5, -1, 0.5, -0.5, 0.044715, 1e-3)]),
    )

    def larger(parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        conditions = st.builds(Compared, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), parts, parts)
        conditions |= st.builds(Joined, st.sampled_from(["and", "or"]), conditions, conditions)
        return st.one_of(
            st.builds(Binary, st.sampled_from(["+", "-", "*", "/"]), parts, parts),
            st.builds(Binary, st.just("**"), parts, st.sampled_from([Number(2), Number(3), Number(-1)])),
            st.builds(Negative, parts),
            st.builds(
                lambda name, part: Function(name, (part,)),
                st.sampled_from(["exp", "sin", "tanh", "sqrt", "rsqrt", "reciprocal", "square", "abs", "sign", "log"]),
                parts,
            ),
            st.builds(Indicator, conditions),
            st.builds(lambda c, a, b: Cases(((c, a),), b), conditions, parts, parts),
            st.builds(Local, st.sampled_from(["gate", "slope"]), parts),
        )

    return st.recursive(leaves, larger, max_leaves=12)


@settings(max_examples=400, deadline=None)
@given(trees(), st.integers(0, 2**31))
def test_any_formula_is_printed_as_it_is_meant(tree, seed):
    rng = np.random.default_rng(seed)
    names = {name: rng.uniform(-2, 2, 5) for name in SYMBOLS}
    signature = Signature("g", "out", ("x", "y"), ("lambd", "beta_1"))
    formula = Formula(signature, (Result(Symbol("x", "input"), tree),))
    with np.errstate(all="ignore"):
        try:
            want = np.broadcast_to(np.asarray(value(tree, names), float), 5)
        except (ZeroDivisionError, OverflowError):  # Python's own numbers
            reject()
        known = {**names, "z": names["out"], "bar z": names["g"]}
        printed = dict(harness.read_lines(written(formula).latex, known))["bar x"]
    # Where a number is too large or on a jump, the order of the factors decides.
    sane = np.isfinite(want) & (np.abs(want) < 1e6)
    np.testing.assert_allclose(np.broadcast_to(printed, 5)[sane], want[sane], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "code",
    [
        "where(x > 0, where(x > 0, x, y), x * y)",
        "where(x > 0, x, where(x > 0, y, x * y))",
        "where(x > 0, x, where(x > 0, y, where(y > 0, x * x, y - 1)))",
        "where(~(x > 0), x, y)",
        "where((x > 0) & (y > 0), x, y)",
        "where((x > 0) | (y > 0), x, y)",
        "(x * where(x > 0, x, y)) ** 2 - (x - y)",
        "-x * x.exp() / (1 + y * y)",
        "x if 1 < 2 < 3 else y",
        "neg(x) + x.abs().sqrt() - x.detach()._array",
    ],
)
def test_code_is_translated_as_python_means_it(code):
    import minigrad
    from minigrad.ops import arithmetic

    scope = Scope(arithmetic, {"x": Symbol("x", "input"), "y": Symbol("y", "input")})
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 7))
    got = value(scope.expression(ast.parse(code, mode="eval").body), {"x": x, "y": y})
    names = {"x": minigrad.tensor(x), "y": minigrad.tensor(y), "where": minigrad.where, "neg": minigrad.neg}
    np.testing.assert_allclose(got, eval(code.replace("._array", ""), names).numpy(), rtol=1e-12)
