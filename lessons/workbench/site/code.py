"""Python to HTML: colours, lines to link to, terms to light, and names that lead to where they are explained."""

from __future__ import annotations

import ast
import functools
import html
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token, _TokenType

from lessons.workbench.site.markup import Html, element, joined

# What is coloured, from the most particular kind on: the classes of assets/site.css.
_CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (String.Doc, "sd"),
    (String.Interpol, "si"),
    (String, "s"),
    (Comment, "c"),
    (Keyword.Constant, "m"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Decorator, "d"),
    (Name.Builtin, "b"),
    (Name.Exception, "b"),
    (Number, "m"),
)


@dataclass(frozen=True)
class Place:
    """What one name in the code is: a term (``defines`` where it gets its value), or a link."""

    term: str = ""
    defines: bool = False
    url: str = ""


@dataclass
class Code:
    """Renders pieces of one module.

    Args:
        source: the whole module.
        terms: names of the lesson's terms; a variable that is called so can be lit.
        links: where a dotted name leads, by what it is imported as: "minigrad.nn.functional.conv2d".
    """

    source: str
    terms: Collection[str] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    places: dict[tuple[int, int], Place] = field(init=False)

    def __post_init__(self) -> None:
        tree = ast.parse(self.source)
        lines = self.source.splitlines()
        self.places = dict(_places(tree, lines, self.terms, self.links, imported_names(tree)))

    def render(self, first: int, last: int) -> Html:
        """The lines from ``first`` to ``last`` of the module, each with its number as an anchor: ``#L12``."""
        shown = self.source.splitlines()[first - 1 : last]
        return block(_lines("\n".join(shown), first, self.places), numbered=first)


def snippet(source: str) -> Html:
    """Python that stands in no file of the page: coloured, without lines to link to."""
    return block(_lines(source.rstrip("\n"), 1, {}))


def block(lines: Iterator[Html], numbered: int | None = None) -> Html:
    """Lines of code as a box that scrolls by itself.  Of two empty lines after each other only one is shown."""
    spans = []
    above: Html | None = None
    for number, line in enumerate(lines, numbered or 0):
        if not line and above == "":
            continue
        above = line
        place = "" if numbered is None else f' id="L{number}" data-n="{number}"'
        spans.append(f'<span class="l"{place}>{line}\n</span>')
    inside = Html("".join(spans))
    return element("div", element("pre", element("code", inside)), class_="code scrolls", data_label="Code")


# ---- where things stand


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What each imported name of a module means: {"mg": "minigrad", "F": "minigrad.nn.functional"}."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.AST, names: Mapping[str, str]) -> str:
    """The full name of ``nn.functional.relu``, or "" when it does not begin with something imported."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return ""


def _places(
    tree: ast.AST, lines: list[str], terms: Collection[str], links: Mapping[str, str], names: Mapping[str, str]
) -> Iterator[tuple[tuple[int, int], Place]]:
    """(line, column) of each name that is a term or leads somewhere."""

    def column(line: int, offset: int) -> int:  # the parser counts bytes
        return len(lines[line - 1].encode()[:offset].decode())

    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and (url := links.get(dotted(node, names), "")):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            last = node.id if isinstance(node, ast.Name) else node.attr
            end = column(node.end_lineno, node.end_col_offset)
            yield (node.end_lineno, end - len(last)), Place(url=url)
        elif isinstance(node, ast.Name) and node.id in terms:
            yield (
                (node.lineno, column(node.lineno, node.col_offset)),
                Place(node.id, defines=isinstance(node.ctx, ast.Store)),
            )
        elif isinstance(node, ast.arg) and node.arg in terms:
            yield (node.lineno, column(node.lineno, node.col_offset)), Place(node.arg)


# ---- colours


def _lines(source: str, first: int, places: Mapping[tuple[int, int], Place]) -> Iterator[Html]:
    """The lines of ``source`` as HTML; ``first`` is the line of the file in which it begins."""
    parts: list[str] = []
    line, column = first, 0
    for _, kind, value in PythonLexer(stripnl=False, ensurenl=False).get_tokens_unprocessed(source):
        for k, piece in enumerate(value.split("\n")):
            if k:
                yield Html("".join(parts))
                parts, line, column = [], line + 1, 0
            if piece:
                parts.append(_word(piece, kind, places.get((line, column))))
                column += len(piece)
    yield Html("".join(parts))


def _word(word: str, kind: _TokenType, place: Place | None) -> str:
    """One token as HTML.  There are some hundred thousand of them in a site, hence no `element` for the usual ones."""
    name = _class_of(kind)
    if place is not None and place.term == word:
        return element("span", word, class_="term def" if place.defines else "term", data_term=place.term)
    if place is not None and place.url:
        return element("a", word, href=place.url)
    if not name or word.isspace():
        return html.escape(word)
    shown = _addresses(word) if name in ("c", "sd") and "://" in word else html.escape(word)
    return f'<span class="{name}">{shown}</span>'


def _addresses(words: str) -> Html:
    """Addresses in a comment as links."""
    parts = re.split(r"(https?://[^\s)>,]+[^\s)>,.;])", words)
    return joined(
        element("a", part, href=part, rel="external noreferrer") if k % 2 else part for k, part in enumerate(parts)
    )


@functools.cache
def _class_of(kind: _TokenType) -> str:
    return next((name for known, name in _CLASSES if kind in known), "") if kind is not Token.Text else ""
