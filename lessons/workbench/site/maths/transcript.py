"""What the MathML says: its elements spelled out as a flat list of marks, as `reading` spells out the LaTeX."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from lessons.workbench.site.maths.errors import MathsError
from lessons.workbench.site.maths.letters import styled
from lessons.workbench.site.maths.reading import script
from lessons.workbench.site.maths.tidy import core, is_accent, units

_SIZES = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}
_PRIMES = {"′": 1, "″": 2, "‴": 3, "⁗": 4}
_ROWS = frozenset({"math", "mrow", "mtd"})


def transcript(element: Element) -> list[str]:
    """The marks of a formula's elements; raises `MathsError` for elements that no formula of ours has."""
    if element.tag in _SIZES and len(element) != _SIZES[element.tag]:
        raise MathsError(f"latex2mathml gives <{element.tag}> {len(element)} parts; it has {_SIZES[element.tag]}")
    if element.tag in _ROWS:
        return _inside(element)
    if element.tag in ("mi", "mn", "mo", "mtext", "mspace"):
        return _leaf(element)
    if element.tag in ("mover", "munder", "munderover"):
        return _over_and_under(element)
    if element.tag in ("msub", "msup", "msubsup"):
        return _scripts(element)
    if element.tag == "mstyle":
        return _style(element)
    if element.tag == "mfrac":
        return ["frac(", *transcript(element[0]), ")(", *transcript(element[1]), ")"]
    if element.tag == "msqrt":
        return ["sqrt(", *_inside(element), ")"]
    if element.tag == "mroot":
        return ["root(", *transcript(element[0]), ")(", *transcript(element[1]), ")"]
    if element.tag == "mtable":
        return _table(element)
    raise MathsError(f"latex2mathml makes <{element.tag}>, which browsers do not show as LaTeX would")


def _inside(element: Element) -> list[str]:
    return [mark for child in element for mark in transcript(child)]


def _leaf(element: Element) -> list[str]:
    text = element.text or ""
    if element.tag == "mspace":
        return [f"space{units(element.get('width', ''))}"]
    if element.tag == "mtext":
        return ["text(", *text.replace("\xa0", " "), ")"]
    if element.tag == "mo" and element.get("stretchy") == "true":
        return [_role_of_fence(element), text or "."]
    if element.tag == "mo" and "minsize" in element.attrib:
        return ["big", text]
    if text in _PRIMES:
        return ["′"] * _PRIMES[text]
    if element.tag == "mi" and len(text) == 1 and element.get("mathvariant") != "normal":
        return [styled(text, "italic")]
    return list(text)


def _role_of_fence(element: Element) -> str:
    if "minsize" in element.attrib:
        return "big"
    return {"prefix": "left", "postfix": "right"}.get(element.get("form", ""), "fence")


def _scripts(element: Element) -> list[str]:
    base, *scripts = (transcript(child) for child in element)
    if element.tag == "msup":
        return script(base, [], scripts[0])
    return script(base, *scripts) if element.tag == "msubsup" else script(base, scripts[0], [])


def _over_and_under(element: Element) -> list[str]:
    if is_accent(element):
        where = "over" if element.tag == "mover" else "under"
        return [f"{where}(", *transcript(element[0]), ")with", element[1].text or ""]
    base, *labels = (transcript(child) for child in element)
    if not _takes_limits(element[0]):
        if element.tag == "munderover":
            raise MathsError("latex2mathml puts limits where LaTeX has none")
        return [f"{'overset' if element.tag == 'mover' else 'underset'}(", *base, ")(", *labels[0], ")"]
    if element.tag == "mover":
        return script(base, [], labels[0])
    return script(base, *labels) if element.tag == "munderover" else script(base, labels[0], [])


def _takes_limits(base: Element) -> bool:
    """Whether a base is a sum, a word like "max", or a group with its brace: their labels are written as scripts."""
    if is_accent(base):
        return base[1].text in ("⏞", "⏟")
    operator = core(base)
    return operator.tag == "mo" and (operator.get("movablelimits") == "true" or (operator.text or "") in "∑∏⋃⋂⨁⨂")


def _style(element: Element) -> list[str]:
    marks = _inside(element)
    if len(element) != 1 or marks[:1] != ["frac("]:
        raise MathsError("latex2mathml changes the style of more than a fraction")
    return [f"{'d' if element.get('displaystyle') == 'true' else 't'}{marks[0]}", *marks[1:]]


def _table(element: Element) -> list[str]:
    marks = ["table("]
    for row in element:
        marks.append("row(")
        for number, cell in enumerate(row):
            marks += ["&", *transcript(cell)] if number else transcript(cell)
        marks.append(")")
    return [*marks, ")"]
