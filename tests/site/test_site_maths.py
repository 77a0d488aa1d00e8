"""LaTeX to MathML: what is mangled is refused, what is converted says the same and is set as TeX would set it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("latex2mathml", reason="latex2mathml is not installed (extra: site)")

from latex2mathml.converter import Converter

from lessons.workbench.site import maths
from lessons.workbench.site.maths import MACROS, MathsError, symbols, to_mathml
from lessons.workbench.site.maths.reading import read
from lessons.workbench.site.maths.tidy import ems, tidied, units
from lessons.workbench.site.maths.transcript import transcript


def elements(latex: str, display: bool = True, terms: tuple[str, ...] = ()) -> Element:
    return fromstring(to_mathml(latex, display, terms))


def tags(latex: str, display: bool = True) -> list[str]:
    return [element.tag for element in elements(latex, display).iter()][1:]


# ---- what comes out wrong, and what is wrong

MANGLED = {
    # latex2mathml makes one of it without a word
    r"\begin{aligned} a &= b \\ c &= d \end{aligned}": "write align*",
    r"\begin{gather*} a \\ b \end{gather*}": "write align*",
    r"\begin{split} a &= b \end{split}": "write align*",
    r"\begin{align} a &= b \end{align}": "no numbers",
    r"\begin{array}{lc} a & b \end{array}": "matrix",
    r"\begin{foo} a \end{foo}": r"\begin{foo}",
    r"\operatorname*{argmax}_x f": "without the star",
    r"\operatorname{soft max} x": "soft max",
    r"\operatorname{x2}": "x2",
    r"\text{$x$ if}": "`$`",
    r"\text{a_b}": "`_`",
    r"\text{a {b} c}": "`{`",
    r"\text{50% of}": "`%`",
    r"\text{a\alpha}": r"`\`",
    r"\text{ }": "empty",
    r"\arg\max_x f": r"\operatorname{arg}",
    r"\foo x": r"`\foo`",
    r"\mathrm{d}x": "`d 𝑥`",
    r"\mathbf{\alpha}": "letters and digits",
    r"a & b": "`&`",
    r"{a & b}": "`&`",
    r"\begin{align*} a_{&} \end{align*}": "needs `}`",
    r"a \\ b": r"`\\`",
    r"a \tag{1}": "number",
    r"a \label{eq}": "number",
    r"\stackrel{a}{=}": r"\overset",
    r"\vec x": r"\mathbf",
    r"\not= b": r"\ne",
    r"\sum\limits_i a": "leave it out",
    r"\left( a \middle| b \right)": r"\big",
    r"\xrightarrow{a}": "xrightarrow",
    r"\binom{n}{k}": "binom",
    r"\color{red} x": "color",
    r"\displaystyle x": "displaystyle",
    r"a % comment": r"write \%",
    r"a $ b": "`$`",
    r"a \$ b": r"`\$`",
    r"a # b": "`#`",
    'a " b': "meaning",
    "α": "LaTeX command",
    r"\begin{align*} a &= b \\[2pt] &= d \end{align*}": "`[`",
    r"\begin{pmatrix} a & b \\ c \end{pmatrix}": "1 and 2 cells",
    r"\begin{align*} a & b & c \end{align*}": "pairs",
    r"\begin{align*} \end{align*}": "empty",
    r"\begin{pmatrix} a \end{bmatrix}": r"\end{bmatrix}",
    r"\begin{pmatrix} a": "needs",
    r"\bigl x": "no delimiter",
    r"\big. x": "no delimiter",
    r"2 in": "`2 i n`",
    # and what LaTeX itself refuses
    "{a b": "needs `}`",
    "a } b": "`}`",
    r"\left( a": r"\right",
    r"a \right)": r"\right",
    r"\left( {a \right)}": "needs `}`",
    "a^b^c": "two `^`",
    "a_b_c": "two `_`",
    "a^b'": "prime after",
    "x_": "nothing after it",
    "x_{}": "nothing after it",
    "x^_2": "nothing after it",
    r"\frac{a}": "nothing after it",
    r"\frac{}{b}": "empty",
    r"\sqrt{}": "empty",
    r"\sqrt[]{x}": "empty",
    r"\hat{}": "empty",
    r"\mathbf{}": "empty",
    "": "empty",
    r"\quad": "empty",
    r"{}": "empty",
}


@pytest.mark.parametrize("latex", MANGLED, ids=[latex or "nothing" for latex in MANGLED])
def test_what_comes_out_wrong_is_refused_in_plain_words(latex):
    with pytest.raises(MathsError) as refused:
        to_mathml(latex, True)
    assert MANGLED[latex] in str(refused.value), str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_error_of_latex2mathml_is_ours(monkeypatch):
    def broken(self: Converter, latex: str, parent: object = None) -> str:
        raise KeyError("mtable")

    monkeypatch.setattr(Converter, "convert", broken)
    with pytest.raises(MathsError, match="latex2mathml refuses it: KeyError 'mtable'"):
        to_mathml("a", True)


# ---- a converter that loses, adds or moves anything is found out

RICH = (
    r"\frac{\partial L}{\partial \hat{x}_i^2} = -\sqrt{\sigma^2 + \epsilon} \, \sum_{j=1}^{N} \left( f'(x_j) - "
    r"\bar{y}_j \right)^{-3/2} \quad \begin{pmatrix} a & 0.5 \\ \mathbf{b} & \log d \end{pmatrix}^\top "
    r"+ \underbrace{\operatorname{KL}(q \| p)}_{\text{the term}} \mid \bigl| x \bigr| \le \max_k \mathcal{N}_k"
)


def accepted(broken: Element) -> bool:
    """Whether elements pass as what RICH says."""
    try:
        return transcript(tidied(broken)) == read(RICH)
    except MathsError:
        return False


def rich() -> Element:
    return fromstring(Converter(xmlns="", display="block").convert(RICH))


def test_the_rich_formula_is_right_to_begin_with():
    assert accepted(rich())
    to_mathml(RICH, True)


@pytest.mark.parametrize("number", range(1, len(list(rich().iter()))))
def test_each_element_counts(number):
    """Without any one of latex2mathml's elements, and with any one of them twice, the formula is refused."""
    without, twice = rich(), rich()
    for math in (without, twice):
        parents = {child: parent for parent in math.iter() for child in parent}
        element = list(math.iter())[number]
        parent = parents[element]
        if math is without:
            parent.remove(element)
        else:
            parent.insert(list(parent).index(element), element)
    assert not accepted(without)
    assert not accepted(twice)


@pytest.mark.parametrize("number", [k for k, e in enumerate(rich().iter()) if (e.text or "").strip()])
def test_each_character_counts(number):
    math = rich()
    list(math.iter())[number].text = "Q"
    assert not accepted(math)


@pytest.mark.parametrize(
    "number", [k for k, e in enumerate(rich().iter()) if e.tag in ("mfrac", "msubsup", "mtr", "msup")]
)
def test_the_order_of_parts_counts(number):
    math = rich()
    element = list(math.iter())[number]
    element[:] = reversed(list(element))
    assert not accepted(math)


def test_a_lost_column_is_found():
    math = rich()
    for row in math.iter("mtr"):
        row[0].extend(list(row[1]))
        row.remove(row[1])
    assert not accepted(math)


@pytest.mark.parametrize("tag", ["merror", "mfenced", "menclose", "mpadded", "semantics"])
def test_elements_that_formulas_do_not_have_are_refused(tag):
    math = rich()
    math[0].append(Element(tag))
    assert not accepted(math)


# ---- everything in the tables converts, as the character that stands there


@pytest.mark.parametrize("command", symbols.SYMBOLS)
def test_each_symbol_comes_out_as_its_character(command):
    (leaf,) = elements(rf"{command}")
    assert leaf.text == symbols.SYMBOLS[command]


@pytest.mark.parametrize("command", sorted(symbols.FUNCTIONS | symbols.LIMITS))
def test_each_function_is_one_upright_word(command):
    assert elements(rf"{command} x")[0].text == command[1:]


@pytest.mark.parametrize("command", [*symbols.ABOVE, *symbols.BELOW])
def test_each_accent_stands_over_or_under(command):
    (stack,) = elements(rf"{command}{{x}}")
    assert stack.tag == ("mover" if command in symbols.ABOVE else "munder")
    assert (stack[0].text, stack[1].text) == ("x", {**symbols.ABOVE, **symbols.BELOW}[command][0])


@pytest.mark.parametrize("space", symbols.SPACES)
def test_each_space_is_as_wide_as_in_tex(space):
    assert elements(f"a{space} b")[1].attrib == {"width": ems(symbols.SPACES[space])}


@pytest.mark.parametrize(
    ("command", "shown"), {r"\mathbb": "ℝ", r"\mathcal": "ℛ", r"\mathbf": "𝐑", r"\boldsymbol": "𝑹"}.items()
)
def test_fonts_are_characters(command, shown):
    assert elements(rf"{command}{{R}}")[0].text == shown
    assert elements(rf"{command} R")[0].text == shown


def test_letters_of_one_word_are_one_identifier():
    (word,) = elements(r"\mathrm{softmax}")
    assert (word.tag, word.text) == ("mi", "softmax")


@pytest.mark.parametrize("size", sorted(symbols.BIG))
def test_each_size_of_bracket(size):
    (bracket,) = elements(rf"{size}\|")
    assert (bracket.text, bracket.get("stretchy"), bracket.get("minsize")) == ("‖", "true", bracket.get("maxsize"))


@pytest.mark.parametrize("sign", [sign for sign in symbols.DELIMITERS if sign != "."])
def test_each_delimiter_stretches(sign):
    row = elements(rf"\left{sign} x \right{sign}")[0]
    assert [(mo.text, mo.get("stretchy")) for mo in row.iter("mo")] == [(symbols.DELIMITERS[sign], "true")] * 2


@pytest.mark.parametrize("name", symbols.ENVIRONMENTS)
def test_each_environment_keeps_its_cells(name):
    math = elements(rf"\begin{{{name}}} a & b \\ c & d \end{{{name}}}")
    assert [[cell[0].text for cell in row] for row in math.iter("mtr")] == [["a", "b"], ["c", "d"]]
    signs = "".join(mo.text or "" for mo in math.iter("mo"))
    assert signs == "".join(symbols.ENVIRONMENTS[name])


# ---- generated formulas


@st.composite
def formulas(draw: st.DrawFn, depth: int = 3) -> tuple[str, str]:
    """A formula's LaTeX, and the characters that it must show, in the order in which LaTeX writes them."""
    parts = draw(st.lists(atoms(depth), min_size=1, max_size=4))
    return " ".join(latex for latex, _ in parts), "".join(shown for _, shown in parts)


LEAVES = st.one_of(
    st.sampled_from("abcdwxyzABCWXYZ").map(lambda c: (c, c)),
    st.integers(0, 9).map(lambda n: (f"{{{n}}}", str(n))),
    st.sampled_from(sorted({**symbols.LOWER_GREEK, **symbols.UPPER_GREEK}.items())),
    st.sampled_from(sorted({**symbols.BINARY, **symbols.RELATIONS, **symbols.DOTS}.items())),
    st.sampled_from("+-=<>,/|!").map(lambda c: (c, symbols.TYPED[c][0])),
    st.sampled_from(sorted(symbols.FUNCTIONS)).map(lambda c: (c, c[1:])),
    st.sampled_from(["softmax", "KL", "E"]).map(lambda word: (rf"\operatorname{{{word}}}", word)),
    st.sampled_from(["var", "the term", r"dx\_hat"]).map(lambda word: (rf"\text{{{word}}}", word.replace("\\", ""))),
)


def atoms(depth: int) -> st.SearchStrategy[tuple[str, str]]:
    if depth == 0:
        return LEAVES
    inner = formulas(depth - 1)

    def build(pattern: str, *order: str) -> st.SearchStrategy[tuple[str, str]]:
        """`pattern` with A and B for formulas; ``order`` says which characters it shows, and in which order."""
        return st.tuples(inner, inner).map(
            lambda fs: (
                pattern.replace("A", "\0").replace("B", fs[1][0]).replace("\0", fs[0][0]),
                "".join({"A": fs[0][1], "B": fs[1][1]}.get(part, part) for part in order),
            )
        )

    return st.one_of(
        LEAVES,
        build(r"\frac{A}{B}", "A", "B"),
        build(r"\sqrt{A}", "A"),
        build(r"\sqrt[A]{B}", "B", "A"),
        build(r"x_{A}", "x", "A"),
        build(r"x^{A}", "x", "A"),
        build(r"x^{A}_{B}", "x", "B", "A"),
        build(r"\sum_{A}^{B} x", "∑", "A", "B", "x"),
        build(r"\left( A \right]", "(", "A", "]"),
        build(r"\hat{A}", "A", "ˆ"),
        build(r"\overline{A}", "A", "‾"),
        build(r"\underbrace{A}_{B}", "A", "⏟", "B"),
        build(r"\overset{A}{B}", "B", "A"),
        build(r"\begin{pmatrix} A & B \\ x & y \end{pmatrix}", "(", "A", "B", "x", "y", ")"),
        build(r"\begin{cases} A & B \end{cases}", "{", "A", "B"),
    )


@given(formulas(), st.booleans())
def test_generated_formulas_show_each_character_in_its_place(formula, display):
    latex, shown = formula
    math = elements(latex, display)
    said = "".join(math.itertext()).replace("\xa0", " ")
    assert said == shown


# ---- how it is set


def spaces(latex: str, sign: str) -> tuple[int, int]:
    """The math units between a sign and its neighbours: its own, the neighbours', and those of spaces in between."""
    leaves = [leaf for leaf in elements(latex).iter() if len(leaf) == 0]
    place = next(k for k, leaf in enumerate(leaves) if leaf.text == sign)

    def between(neighbours: list[Element], own: str, other: str) -> int:
        total = units(leaves[place].get(own, "0em")) or 0
        for leaf in neighbours:
            total += units(leaf.get("width") or leaf.get(other) or "0em") or 0
            if leaf.tag != "mspace":
                break
        return total

    return between(leaves[:place][::-1], "lspace", "rspace"), between(leaves[place + 1 :], "rspace", "lspace")


THIN, MEDIUM, THICK, NONE = 3, 4, 5, 0


@pytest.mark.parametrize(
    ("latex", "sign", "left", "right"),
    [
        ("a - b", "−", MEDIUM, MEDIUM),
        ("-b", "−", NONE, NONE),
        ("a = -b", "−", THICK, NONE),
        ("(-b)", "−", NONE, NONE),
        ("|-b|", "−", NONE, NONE),
        ("a - |b|", "−", MEDIUM, MEDIUM),
        ("|a| - b", "−", MEDIUM, MEDIUM),
        (r"\log -b", "−", THIN, NONE),
        ("a = b", "=", THICK, THICK),
        ("x_{a = b}", "=", NONE, NONE),
        ("x^{a - b}", "−", NONE, NONE),
        (r"\frac{a - b}{c}", "−", MEDIUM, MEDIUM),
        (r"\frac{1}{\frac{a - b}{c}}", "−", NONE, NONE),
        (r"p(x \mid y)", "∣", THICK, THICK),
        ("a, b", ",", NONE, THIN),
        ("f(x)", "(", NONE, NONE),
        ("n!", "!", NONE, NONE),
        ("a / b", "/", NONE, NONE),
        (r"a \cdot b", "·", MEDIUM, MEDIUM),
        (r"p(\,\cdot \mid x)", "·", THIN, THICK),
        (r"x \sum_i y", "∑", THIN, THIN),
        (r"\max_i x", "max", NONE, THIN),
        (r"\begin{align*} a &= b \end{align*}", "=", THICK, THICK),
        (r"\begin{align*} &- b \end{align*}", "−", MEDIUM, MEDIUM),
        (r"\lVert a \rVert", "‖", NONE, NONE),
        (r"a = \lVert b \rVert", "‖", THICK, NONE),
        (r"\lVert b \rVert = a", "=", THICK, THICK),
    ],
)
def test_operators_have_the_spaces_of_tex(latex, sign, left, right):
    assert spaces(latex, sign) == (left, right)


@pytest.mark.parametrize("latex", [r"2 \log x", r"2 \operatorname{KL} x", r"2 \operatorname{E} x"])
def test_a_function_stands_apart_from_its_neighbours(latex):
    assert tags(latex) == ["mn", "mspace", "mi", "mspace", "mi"]


def test_a_function_touches_its_parenthesis():
    assert tags(r"\log(x)") == ["mi", "mo", "mi", "mo"]


@pytest.mark.parametrize("display", [True, False])
@pytest.mark.parametrize("latex", [r"\sum_i^n x", r"\left( \sum_i^n x \right)", r"\frac{\sum_i^n x}{2}"])
def test_limits_of_sums_are_limits_however_deep(latex, display):
    assert "munderover" in tags(latex, display)  # inline, browsers set them as scripts: movable limits


def test_limits_of_functions_and_integrals():
    assert [tags(latex)[0] for latex in (r"\max_i x", r"\log_i x", r"\int_i x")] == ["munder", "msub", "msub"]


def test_a_matrix_and_its_brackets_are_one_base():
    power = elements(r"A \begin{pmatrix} a \\ b \end{pmatrix}^\top")[-1]
    assert (power.tag, [child.tag for child in power]) == ("msup", ["mrow", "mi"])


def test_columns_are_aligned_by_classes():
    math = elements(r"\begin{align*} a &= b & c &= d \\ e &= f \end{align*}")
    assert [[cell.get("class") for cell in row] for row in math.iter("mtr")] == [
        ["right", "left"] * 2,
        ["right", "left"],
    ]
    assert [table.get("class") for table in math.iter("mtable")] == ["aligned"]


def test_capital_greek_stands_upright_and_small_greek_leans():
    assert [leaf.get("mathvariant") for leaf in elements(r"\Gamma \gamma")] == ["normal", None]


def test_the_formula_says_what_it_is():
    math = elements("a\n  < b", display=False)
    assert math.attrib == {"display": "inline", "alttext": "a < b"}


def test_nothing_that_the_pages_forbid_comes_out():
    """The pages allow no styles in elements, and need no name space."""
    html = to_mathml(RICH, True, ["the term"])
    assert not re.search(r"style=|xmlns|<script|columnalign|mathsize|mathcolor", html)


# ---- terms


@pytest.mark.parametrize(
    ("latex", "tag", "text"),
    [
        (r"\text{var} = 1", "mtext", "var"),
        (r"\text{var}_i = 1", "msub", "vari"),
        (r"\underbrace{a + b}_{\text{var}} + c", "munder", "a+b⏟var"),
        (r"\overbrace{a + b}^{\text{var}} + c", "mover", "a+b⏞var"),
        (r"\underbrace{a + \text{var}}_{\text{other}}", "mtext", "var"),
        (r"x_{\text{var}}", "mtext", "var"),
    ],
)
def test_what_lights_is_the_smallest_sensible_element(latex, tag, text):
    lit = [element for element in elements(latex, terms=("var",)).iter() if element.get("data-term")]
    assert [(e.tag, "".join(e.itertext()), e.get("class"), e.get("data-term")) for e in lit] == [
        (tag, text, "term", "var")
    ]


def test_only_terms_light():
    assert "data-term" not in to_mathml(r"\text{var} \text{the var} var", True, ["mean", "va"])
    assert 'data-term="dx_hat"' in to_mathml(r"\text{dx\_hat}", True, ["dx_hat"])


# ---- macros


def test_each_macro_converts():
    for macro, body in MACROS.items():
        argument = "{x}" if "#1" in body else ""
        assert to_mathml(f"{macro}{argument} y", True).count("<mi") >= 2


def test_macros_take_arguments_and_may_use_each_other():
    macros = {r"\norm": r"\lVert #1 \rVert", r"\sq": r"\norm{#1}^2"}
    assert maths.expand(r"\sq{x_{i}} \norma", macros) == r"{{\lVert x_{i} \rVert}^2} \norma"


@pytest.mark.parametrize(
    ("latex", "words"),
    [(r"\norm x", "needs an argument"), (r"\norm{x", "not closed"), (r"\loop", "without end")],
)
def test_what_is_wrong_with_a_macro_is_said(latex, words):
    with pytest.raises(MathsError, match=words):
        maths.expand(latex, {r"\norm": "|#1|", r"\loop": r"\loop"})


@pytest.mark.parametrize(
    ("latex", "lit"),
    [
        (r"\mu + \hat{x}_i", ["mu: μ", "x_hat: xˆi"]),
        (r"\frac{\partial L}{\partial \mu} = \bar{\mu}", ["dmu: ∂L∂μ", "dmu: μ¯"]),
        (r"\frac{\partial L}{\partial \hat{x}_i}", ["dx_hat: ∂L∂xˆi"]),
        (r"\frac{\partial L}{\partial \mu \partial x}", ["mu: μ"]),
        (r"\alpha^* A_{jk} y", ["alpha: α∗", "A: Ajk"]),
        (r"\underbrace{\mu}_{\text{mean}} + \mu", ["mean: μ⏟mean", "mu: μ"]),
        (r"\text{mu}", ["mu: mu"]),
        (r"\begin{align*} y &= \mu \end{align*}", ["mu: μ"]),
        (r"y - \log \operatorname{mu}", []),
    ],
)
def test_names_that_spell_symbols_light_them(latex, lit):
    names = ("mu", "x_hat", "dmu", "dx_hat", "alpha", "A", "y", "log", "mean")
    found = [e for e in elements(latex, terms=names).iter() if e.get("data-term")]
    assert [f"{e.get('data-term')}: {''.join(e.itertext())}" for e in found] == lit


@pytest.mark.parametrize("latex", [r"\begin{align*} a &= \text{b}\,\text{c} \end{align*}", r"\text{a} = \text{b}"])
def test_a_sign_among_texts_keeps_its_spaces(latex):
    """MathML takes text for space, and a row of one operator and spaces for an operator, whose spaces are outside."""
    assert spaces(latex, "=") == (THICK, THICK)
    (sign,) = elements(latex).iter("mo")
    assert (sign.get("lspace"), sign.get("rspace")) == ("0em", "0em")


# ---- in a browser

PAGE = """<!doctype html><meta charset="utf-8"><style>{css} body {{ font-size: 20px }}</style>{formulas}"""


@pytest.fixture
def drawn(browser, tmp_path):
    """A function from formulas to the page of a browser that shows them, with the site's style and font."""
    assets = Path(maths.__file__).parents[1] / "assets"
    page = browser.new_page()

    def draw(*formulas: str):
        css = (assets / "maths.css").read_text(encoding="utf-8").replace('url("', f'url("{assets.as_uri()}/')
        shown = "".join(f"<p>{to_mathml(latex, True)}" for latex in formulas)
        (tmp_path / "page.html").write_text(PAGE.format(css=css, formulas=shown), encoding="utf-8")
        page.goto((tmp_path / "page.html").as_uri())
        page.evaluate("document.fonts.ready")
        assert page.evaluate("[...document.fonts].map(font => font.status)") == ["loaded"]
        return page

    yield draw
    page.close()


def boxes(page, selector: str) -> list[dict[str, float]]:
    return page.eval_on_selector_all(selector, "all => all.map(it => it.getBoundingClientRect().toJSON())")


def test_the_columns_of_align_meet(drawn):
    page = drawn(r"\begin{align*} a + b + c + d &= e \\ f &= g + h + i + j \end{align*}")
    signs = [box["left"] for box in boxes(page, "mtd.left > mo:first-child")]
    ends = [box["right"] for box in boxes(page, "mtd.right > :last-child")]
    assert signs[0] == pytest.approx(signs[1], abs=0.1)
    assert ends[0] == pytest.approx(ends[1], abs=0.1)


def test_limits_stand_below_in_displayed_formulas(drawn):
    page = drawn(r"\sum_i x", r"\left( \sum_i x \right)", r"\max_i x")
    for sign, limit in zip(boxes(page, "munder > mo"), boxes(page, "munder > mi"), strict=True):
        assert limit["top"] > sign["top"] + 0.7 * sign["height"]
        assert abs(limit["left"] + limit["width"] / 2 - sign["left"] - sign["width"] / 2) < 5


def test_brackets_and_radicals_are_no_wider_than_their_height_asks(drawn):
    """Chromium leaves room for the widest form of a sign; with the font as it was, that was half an em too much."""
    page = drawn(r"\left( x \right)", r"\sqrt{x}")
    assert all(box["width"] < 0.45 * 21 for box in boxes(page, "mo"))
    (root,), (radicand,) = boxes(page, "msqrt"), boxes(page, "msqrt > mi")
    assert root["right"] - radicand["right"] < 2


@pytest.mark.parametrize("latex", [r"\bar{K}", r"\bar{x}", r"\tilde{W}"])
def test_accents_keep_a_distance(drawn, latex):
    """Between the ink of an accent and that of its letter there is paper."""
    page = drawn(latex)
    page.eval_on_selector("body", "it => { it.style.fontSize = '100px' }")
    with Image.open(io.BytesIO(page.locator("mover").screenshot())) as picture:
        grey = picture.convert("L")
        ink = "".join(
            "x" if grey.crop((0, y, grey.width, y + 1)).getextrema()[0] < 128 else " " for y in range(grey.height)
        )
    accent, letter = ink.split()
    assert len(accent) < len(letter)
    assert len(ink.strip()) - len(accent) - len(letter) >= 3
