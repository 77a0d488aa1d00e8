"""Terms in equations: the elements that light when a term's name is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from lessons.workbench.site.maths.tidy import is_accent

_WITH_SCRIPTS = frozenset({"msub", "msup", "msubsup"})


def mark_terms(math: Element, terms: Iterable[str]) -> None:
    """Give what belongs to a term ``class="term"`` and ``data-term="NAME"``.

    A term is written ``\\text{NAME}``.  What lights is the name with its scripts, or, where it labels a brace, the
    whole braced group.
    """
    parents = {child: parent for parent in math.iter() for child in parent}
    known = set(terms)
    for text in math.iter("mtext"):
        name = (text.text or "").replace("\xa0", " ").strip()
        if name in known:
            element = _what_lights(text, parents)
            element.set("class", "term")
            element.set("data-term", name)


def _what_lights(text: Element, parents: dict[Element, Element]) -> Element:
    parent = parents[text]
    if parent.tag in _WITH_SCRIPTS and parent[0] is text:
        return parent
    if parent.tag in ("munder", "mover") and parent[1] is text and is_accent(parent[0]):
        return parent
    return text
