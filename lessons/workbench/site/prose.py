"""Markdown to HTML: a lesson's prose, its formulas as MathML, its terms and names as things to follow."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

from lessons.workbench.site.anchors import slug, unique
from lessons.workbench.site.cells import Cell
from lessons.workbench.site.markup import EMPTY, Html, element, text
from lessons.workbench.site.maths import MathsError, to_mathml


@dataclass(frozen=True)
class Heading:
    """A heading of a page: 2 or 3, its anchor, and what it says in plain text."""

    level: int
    anchor: str
    title: str


@dataclass
class Prose:
    """Renders the prose of one lesson, cell by cell, and collects its headings and problems.

    Args:
        path: of the lesson's file, as problems name it.
        terms: the names of the lesson's terms; where one stands in **bold** or in `code`, it can be lit.
        links: where a name in `code` leads: exercises, other lessons, public functions.
        taken: the anchors of the page; headings add theirs.
        references: link definitions of any of the cells, which all of them may use; see `learn`.
        problems: one line for each formula that cannot be shown, with file and line.
    """

    path: str
    terms: Sequence[str] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    headings: list[Heading] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    formulas: int = 0
    words: int = 0
    references: dict[str, Any] = field(default_factory=dict)

    def learn(self, cells: Sequence[Cell]) -> None:
        """Read the link definitions, ``[post]: https://...``, of all cells."""
        for cell in cells:
            _MARKDOWN.parse(cell.text, {"references": self.references})

    def render(self, cell: Cell, without_title: bool = False) -> Html:
        """The HTML of one cell, if asked for without its first heading of level 1."""
        tokens = _MARKDOWN.parse(cell.text, {"references": self.references})
        if without_title and tokens and tokens[0].tag == "h1":
            tokens = tokens[3:]
        _number_lines(tokens, cell)
        self._name_headings(tokens)
        self.words += sum(len(token.content.split()) for token in tokens if token.type == "inline")
        return Html(_held_together(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {"prose": self})))

    def line(self, markdown: str, line: int = 1) -> Html:
        """A single line of Markdown, such as a note of a run, without a paragraph around it."""
        tokens = _MARKDOWN.parseInline(markdown, {"references": {}})
        _number_lines(tokens, Cell("markdown", markdown, line))
        return Html(_held_together(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {"prose": self})))

    # ---- what the render rules ask for

    def formula(self, latex: str, display: bool, line: int) -> Html:
        """A formula as MathML; one that cannot be shown becomes a problem, and nothing."""
        self.formulas += 1
        try:
            return Html(to_mathml(latex, display, self.terms))
        except MathsError as error:
            self.problems.append(f"{self.path}:{line}: {error}")
            return EMPTY

    def name(self, name: str) -> Html:
        """A name in `code`: a term, something to follow, or only code."""
        if name in self.terms:
            return element("code", name, class_="term", data_term=name)
        if name in self.links:
            return element("a", element("code", name), href=self.links[name])
        return element("code", name)

    def _name_headings(self, tokens: Sequence[Token]) -> None:
        for opening, inline in itertools.pairwise(tokens):
            if opening.type == "heading_open":
                title = plain(inline)
                opening.meta["anchor"] = unique(slug(title), self.taken)
                self.headings.append(Heading(int(opening.tag[1:]), opening.meta["anchor"], title))


def plain(inline: Token) -> str:
    """What a line of Markdown says, without marks; formulas as well as letters can."""
    children = inline.children or []
    return "".join(
        plain_formula(t.content) if t.type == "math_inline" else t.content or " " * (t.type == "softbreak")
        for t in children
    )


_ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "dot": "\u0307", "vec": "\u20d7"}
_SUPERSCRIPTS = str.maketrans("0123456789-+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺")


def plain_formula(latex: str) -> str:
    r"""A small formula in letters, for lists of headings: ``\hat{x}`` as x̂, ``\sigma^2`` as σ²."""
    said = re.sub(r"\\(\w+)\{(\w)\}", lambda m: m[2] + _ACCENTS[m[1]] if m[1] in _ACCENTS else m[0], latex)
    said = re.sub(r"\^\{?([-+\d]+)\}?", lambda m: m[1].translate(_SUPERSCRIPTS), said)
    said = re.sub(r"\\([A-Za-z]+) ?", lambda m: _letter(m[1]), said)
    return re.sub(r"[{}\\$]", "", said).strip()


def _letter(command: str) -> str:
    case = "CAPITAL" if command[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {command.upper()}")
    except KeyError:
        return "" if command in ("text", "operatorname", "mathbf", "mathrm", "left", "right") else command


# ---- Markdown


def _number_lines(tokens: Sequence[Token], cell: Cell) -> None:
    """Write into each formula's ``meta`` the line of the file in which it begins."""
    lines = cell.text.split("\n")
    for token in tokens:
        start = token.map[0] if token.map else 0
        if token.type in ("math_block", "math_block_label"):
            alone = lines[start].strip() == "$$"
            token.meta["line"] = cell.line + start + alone
        at = start
        for child in token.children or ():
            if child.type.startswith("math_inline"):
                begins = child.content.split("\n")[0]
                at = next((k for k in range(at, len(lines)) if begins in lines[k]), at)
                child.meta["line"] = cell.line + at


def _held_together(html: str) -> str:
    """What follows a formula without a space, a comma or "'s", stays on its line."""
    return re.sub(
        r"<math\b(?:(?!</math>).)*</math>[^\s<]+", lambda m: f'<span class="nw">{m[0]}</span>', html, flags=re.S
    )


Rule = Any  # markdown-it's render rules are methods: (renderer, tokens, index, options, env) -> str


def _inline_formula(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    return env["prose"].formula(tokens[k].content, False, tokens[k].meta["line"])


def _display(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    formula = env["prose"].formula(tokens[k].content.strip("\n"), True, tokens[k].meta.get("line", 1))
    return element("div", formula, class_="equation scrolls", data_label="Equation") + "\n"


def _display_in_text(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    formula = env["prose"].formula(tokens[k].content, True, tokens[k].meta["line"])
    return element("span", formula, class_="equation scrolls", data_label="Equation")


def _code(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    return env["prose"].name(tokens[k].content)


def _bold(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    alone = k + 2 < len(tokens) and tokens[k + 2].type == "strong_close"
    if alone and tokens[k + 1].content in env["prose"].terms:
        return f'<strong class="term" data-term="{text(tokens[k + 1].content)}">'
    return "<strong>"


def _heading(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    return f'<{tokens[k].tag} id="{text(tokens[k].meta["anchor"])}">'


def _link(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    address = str(tokens[k].attrGet("href"))
    return (
        f'<a href="{text(address)}" rel="external noreferrer">' if "://" in address else f'<a href="{text(address)}">'
    )


def _table(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    return '<div class="scrolls" data-label="Table"><table>\n'


def _end_of_table(self: RendererHTML, tokens: Sequence[Token], k: int, options: Any, env: dict[str, Any]) -> str:
    return "</table></div>\n"


def _markdown() -> MarkdownIt:
    """Commonmark with tables, formulas between dollars, and quotation marks as in books; raw HTML is plain text."""
    markdown = MarkdownIt("commonmark", {"html": False, "typographer": True}).enable(["table", "smartquotes"])
    dollarmath_plugin(markdown, allow_blank_lines=False)
    rules: dict[str, Rule] = {
        "math_inline": _inline_formula,
        "math_inline_double": _display_in_text,
        "math_block": _display,
        "code_inline": _code,
        "strong_open": _bold,
        "heading_open": _heading,
        "link_open": _link,
        "table_open": _table,
        "table_close": _end_of_table,
    }
    for name, rule in rules.items():
        markdown.add_render_rule(name, rule)
    return markdown


_MARKDOWN = _markdown()
