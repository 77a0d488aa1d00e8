"""Terms in equations: the elements that light when a term's name is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from lessons.workbench.site.maths import symbols
from lessons.workbench.site.maths.letters import styled
from lessons.workbench.site.maths.tidy import is_accent
from lessons.workbench.site.maths.transcript import transcript

_WITH_SCRIPTS = frozenset({"msub", "msup", "msubsup"})
_SYMBOLS = frozenset({"mi", "mover", "mfrac"}) | _WITH_SCRIPTS
_ACCENTS = ("hat", "tilde", "bar")


def mark_terms(math: Element, terms: Iterable[str]) -> None:
    """Give what belongs to a term ``data-term="NAME"`` and ``class="term"``.

    A term is written ``\\text{NAME}``.  What lights is the name with its scripts, or, where it labels a brace, the
    whole braced group.  Outside of those, a name that spells a symbol is that symbol too, with class "term symbol":
    mu is \\mu, x_hat is \\hat{x}, and dmu is the gradient \\partial L / \\partial\\mu or \\bar{\\mu}.
    """
    known = set(terms)
    _mark_names(math, known)
    spelt = {tuple(marks): name for name in sorted(known) for marks in meanings(name)}
    if spelt:
        _mark_symbols(math, spelt)


def _mark(element: Element, name: str, classes: str) -> None:
    element.set("class", classes)
    element.set("data-term", name)


# ---- names


def _mark_names(math: Element, known: set[str]) -> None:
    parents = {child: parent for parent in math.iter() for child in parent}
    for text in math.iter("mtext"):
        name = (text.text or "").replace("\xa0", " ").strip()
        if name in known:
            _mark(_what_lights(text, parents), name, "term")


def _what_lights(text: Element, parents: dict[Element, Element]) -> Element:
    parent = parents[text]
    if parent.tag in _WITH_SCRIPTS and parent[0] is text:
        return parent
    if parent.tag in ("munder", "mover") and parent[1] is text and is_accent(parent[0]):
        return parent
    return text


# ---- symbols


def meanings(name: str) -> list[list[str]]:
    """The symbols that a name spells, as marks.

    Small letters alone spell none: as the name of a term, x is "along x", and not each x of a page.
    """
    found = []
    symbol = _symbol(name)
    if symbol and (len(name) > 1 or name.isupper()):
        found.append(symbol)
    of = _symbol(name[1:]) if name.startswith("d") else []
    if of:
        derivative = [styled("∂", "italic")]
        found.append(["over(", *of, ")with", symbols.ABOVE[r"\bar"][0]])
        found.append(["frac(", *derivative, styled("L", "italic"), ")(", *derivative, *of, ")"])
    return found


def _symbol(name: str) -> list[str]:
    """The marks of a letter, a Greek letter, or one of them with an accent; none where a name is another word."""
    base, _, accent = name.rpartition("_")
    if base and accent in _ACCENTS:
        inside = _symbol(base)
        return ["over(", *inside, ")with", symbols.ABOVE[rf"\{accent}"][0]] if inside else []
    if len(name) == 1 and name.isascii() and name.isalpha():
        return [styled(name, "italic")]
    letter = symbols.LOWER_GREEK.get(rf"\{name}")
    return [styled(letter, "italic")] if letter else []


def _mark_symbols(parent: Element, spelt: dict[tuple[str, ...], str]) -> None:
    """Mark the outermost symbols, outside of what is marked already."""
    for child in parent:
        if child.get("data-term") is not None:
            continue
        name = spelt.get(tuple(_without_scripts(child))) if child.tag in _SYMBOLS else None
        if name is not None:
            _mark(child, name, "term symbol")
        else:
            _mark_symbols(child, spelt)


def _without_scripts(element: Element) -> list[str]:
    """What an element says: of a symbol with scripts, the symbol; of a gradient, that by the symbol without scripts."""
    if element.tag in _WITH_SCRIPTS:
        return _without_scripts(element[0])
    if element.tag == "mfrac":
        above, below = transcript(element[0]), [m for part in _parts(element[1]) for m in _without_scripts(part)]
        return ["frac(", *above, ")(", *below, ")"]
    return transcript(element)


def _parts(element: Element) -> list[Element]:
    return list(element) if element.tag == "mrow" else [element]
