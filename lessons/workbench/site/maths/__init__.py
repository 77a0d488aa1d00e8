"""Formulas: LaTeX to MathML that browsers draw without a script, or an error that says what would come out wrong.

latex2mathml does the conversion.  It never complains: an unknown command comes out as text, ``aligned`` loses its
columns, ``\\text{$x$}`` shows its dollars.  So the formula is read twice, by latex2mathml and, strictly, by `reading`,
and the two must agree mark by mark:

    symbols     the commands that we have tried: their characters, classes, widths
    reading     the LaTeX, strictly, as a list of marks
    tidy        latex2mathml's elements made right for MathML Core
    transcript  the elements as a list of marks, to be compared with the first
    spacing     the spaces between atoms, by TeX's rules
    terms       the elements that light when a term is chosen
    letters     Unicode's bold, script, ... letters
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, ParseError, fromstring, tostring

from lessons.workbench.errors import UsageError
from lessons.workbench.site.maths.errors import MathsError
from lessons.workbench.site.maths.reading import read
from lessons.workbench.site.maths.spacing import space
from lessons.workbench.site.maths.terms import mark_terms
from lessons.workbench.site.maths.tidy import tidied
from lessons.workbench.site.maths.transcript import transcript

__all__ = ["MACROS", "MathsError", "to_mathml"]

# Abbreviations for lessons and API pages, each with what it stands for; #1 is the argument of one that takes one.
MACROS: dict[str, str] = {
    r"\E": r"\mathbb{E}",
    r"\R": r"\mathbb{R}",
}

# All that may come out: elements of MathML Core, with the attributes that it knows.  (`alttext` is older; class and
# data-term are the page's own.)
_ALLOWED: dict[str, frozenset[str]] = {
    "math": frozenset({"display", "alttext"}),
    "mi": frozenset({"mathvariant"}),
    "mn": frozenset(),
    "mo": frozenset(
        {"lspace", "rspace", "stretchy", "fence", "form", "minsize", "maxsize", "movablelimits", "scriptlevel"}
    ),
    "mtext": frozenset(),
    "mspace": frozenset({"width"}),
    "mrow": frozenset(),
    "mstyle": frozenset({"displaystyle", "scriptlevel"}),
    "mtable": frozenset({"displaystyle"}),
    "mover": frozenset({"accent"}),
    **dict.fromkeys(("mtr", "mtd", "mfrac", "msqrt", "mroot"), frozenset()),
    **dict.fromkeys(("msub", "msup", "msubsup", "munder", "munderover"), frozenset()),
}
_EVERYWHERE = frozenset({"class", "data-term"})
_MACRO = re.compile(r"\\[A-Za-z]+")


def to_mathml(latex: str, display: bool, terms: Sequence[str] = ()) -> str:
    """The ``<math>`` element of a formula, as HTML.

    Args:
        latex: what stands between the dollars.
        display: whether it stands on lines of its own.
        terms: names that light; ``\\text{NAME}``, or the group of which that is the brace's label, is marked with
            ``class="term" data-term="NAME"``.

    Raises `MathsError` when the formula is wrong, when it uses what has not been tried, or when latex2mathml makes of
    it something else than it says; `UsageError` when latex2mathml is not installed.
    """
    expanded = expand(latex)
    want = read(expanded)
    math = tidied(_converted(expanded, display))
    _compare(want, transcript(math))
    space(math, display)
    mark_terms(math, terms)
    _check_allowed(math)
    math.attrib.clear()
    math.set("display", "block" if display else "inline")
    math.set("alttext", " ".join(latex.split()))
    return tostring(math, encoding="unicode")


def expand(latex: str, macros: dict[str, str] = MACROS) -> str:
    """The formula with its macros written out; raises `MathsError` when an argument is missing."""
    for _ in range(10):
        found = next((match for match in _MACRO.finditer(latex) if match[0] in macros), None)
        if found is None:
            return latex
        body, rest = macros[found[0]], latex[found.end() :]
        if "#1" in body:
            argument, rest = _argument_of(found[0], rest)
            body = body.replace("#1", argument)
        latex = f"{latex[: found.start()]}{{{body}}}{rest}"
    raise MathsError(f"`{found[0] if found else latex}`: macros expand without end")


def _argument_of(macro: str, rest: str) -> tuple[str, str]:
    """The group at the start of ``rest``, and what follows it."""
    rest = rest.lstrip()
    if not rest.startswith("{"):
        raise MathsError(f"`{macro}` needs an argument in braces")
    depth = 0
    for place, char in enumerate(rest):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return rest[1:place], rest[place + 1 :]
    raise MathsError(f"the argument of `{macro}` is not closed")


def _converted(latex: str, display: bool) -> Element:
    """latex2mathml's elements."""
    try:
        from latex2mathml.converter import Converter
    except ImportError as error:
        raise UsageError('the site needs latex2mathml; install it with: pip install "minigrad[site]"') from error
    try:
        markup = Converter(xmlns="", display="block" if display else "inline").convert(latex)
        return fromstring(markup)
    except ParseError as error:
        raise MathsError("latex2mathml makes of it what is not even XML") from error
    except Exception as error:  # its own exceptions have no common class, and some are Python's
        raise MathsError(f"latex2mathml refuses it: {type(error).__name__} {error}".rstrip()) from error


def _compare(want: list[str], got: list[str]) -> None:
    """Whether both readings agree; the error shows both from a little before the first difference."""
    if want == got:
        return
    place = next((k for k, (a, b) in enumerate(zip(want, got, strict=False)) if a != b), min(len(want), len(got)))
    here = slice(max(place - 3, 0), place + 6)
    raise MathsError(f"it says `{' '.join(want[here])}`, and latex2mathml makes `{' '.join(got[here])}` of it")


def _check_allowed(math: Element) -> None:
    for element in math.iter():
        known = _ALLOWED.get(element.tag)
        if known is None:
            raise MathsError(f"latex2mathml makes <{element.tag}>, which is not in MathML Core")
        wrong = element.attrib.keys() - known - _EVERYWHERE - ({"xmlns"} if element is math else set())
        if wrong:
            raise MathsError(
                f"latex2mathml gives <{element.tag}> the attribute {min(wrong)}, which is not in MathML Core"
            )
