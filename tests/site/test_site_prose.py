"""Prose as HTML: formulas with their lines, terms, names, headings; nothing of it is markup by accident."""

from __future__ import annotations

import pytest

pytest.importorskip("latex2mathml", reason="pages need the extra: pip install 'minigrad[site]'")
pytest.importorskip("mdit_py_plugins", reason="pages need the extra: pip install 'minigrad[site]'")

from lessons.workbench.site.cells import Cell
from lessons.workbench.site.markup import Html, element, joined
from lessons.workbench.site.prose import Prose, plain_formula


def rendered(markdown: str, line: int = 10, **options: object) -> tuple[str, Prose]:
    prose = Prose("lessons/toy.py", **options)  # type: ignore[arg-type]
    return prose.render(Cell("markdown", markdown, line)), prose


def test_a_bad_formula_is_a_problem_with_file_and_line() -> None:
    text = "Fine: $x$.\n\nTwo lines\nwith $\\nonsense{x}$ here.\n\n$$\n\\arg x\n$$\n\n$$\ny & z\n$$"
    _, prose = rendered(text)
    assert [problem.split(": ")[0] for problem in prose.problems] == [
        "lessons/toy.py:13",
        "lessons/toy.py:16",
        "lessons/toy.py:20",
    ]
    assert prose.formulas == 4


def test_formulas_become_mathml_and_dollars_do_not_remain() -> None:
    html, prose = rendered("Inline $x^2$ and\n\n$$\n\\frac{1}{2}\n$$")
    assert html.count("<math") == 2
    assert 'display="block"' in html
    assert "$" not in html.replace('alttext="', "")
    assert not prose.problems


def test_terms_light_in_code_and_bold_and_nowhere_else() -> None:
    html, _ = rendered("**var** and `var`, but not var, **variance** or `var_`.", terms=("var",))
    assert html.count('data-term="var"') == 2
    assert '<strong class="term" data-term="var">var</strong>' in html


def test_names_in_code_are_links() -> None:
    html, _ = rendered("See `forward` and `backward`.", links={"forward": "#exercise-forward"})
    assert '<a href="#exercise-forward"><code>forward</code></a>' in html
    assert "<code>backward</code>" in html


def test_headings_have_anchors_of_their_own() -> None:
    _, prose = rendered("# T\n\n## Why?\n\n## Why?\n\n### To $\\hat{x}$", taken={"to-x"})
    assert [(h.level, h.anchor) for h in prose.headings][:3] == [(1, "t"), (2, "why"), (2, "why-2")]
    assert prose.headings[3].title == "To x̂"
    assert len({h.anchor for h in prose.headings} | {"to-x"}) == 5


def test_html_in_prose_is_text() -> None:
    html, _ = rendered("<script>alert(1)</script> & <b>x</b> [l](javascript:alert)")
    assert "<script" not in html
    assert "<b>" not in html
    assert 'href="javascript' not in html


def test_links_may_be_defined_in_another_cell() -> None:
    prose = Prose("toy.py")
    cells = [Cell("markdown", "See [the post][post].", 1), Cell("markdown", "[post]: https://example.org/a", 5)]
    prose.learn(cells)
    assert 'href="https://example.org/a"' in prose.render(cells[0])


@pytest.mark.parametrize(
    ("latex", "said"), [(r"\hat{x}", "x̂"), (r"\sigma^2", "σ²"), (r"\gamma", "γ"), (r"\Delta", "Δ"), ("x_{1}", "x_1")]
)
def test_small_formulas_in_letters(latex: str, said: str) -> None:
    assert plain_formula(latex) == said


def test_everything_but_html_is_escaped() -> None:
    built = element("a", "<&>", Html("<b>y</b>"), href='"><script>', class_="x", hidden=True, title=None)
    assert built == '<a href="&quot;&gt;&lt;script&gt;" class="x" hidden>&lt;&amp;&gt;<b>y</b></a>'
    assert joined(["<", Html("<br>")], "&") == "&lt;&amp;<br>"
