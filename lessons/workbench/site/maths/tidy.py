"""latex2mathml's elements, repaired: what is right in MathML Core and what looks as TeX would set it.

latex2mathml writes MathML 3, of which browsers draw the smaller MathML Core: no fonts in attributes, no alignment of
columns in attributes, no named spaces.  Some of its characters are another's, some operators are identifiers, and
limits inside a group lose their place.  Each function here repairs one of these, in place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from lessons.workbench.site.maths import symbols
from lessons.workbench.site.maths.letters import styled
from lessons.workbench.site.maths.symbols import Kind, kind_of

_ACCENTS = {
    "~": symbols.ABOVE[r"\tilde"],
    **{char: (char, grows) for char, grows in [*symbols.ABOVE.values(), *symbols.BELOW.values()]},
}
# Signs that sit close on their letter; braces and lines keep a distance.
_TOUCHING = frozenset(char for char, grows in symbols.ABOVE.values() if not grows) | {symbols.ABOVE[r"\widehat"][0]}
_LARGE = frozenset(symbols.LARGE.values())
_LIMIT_WORDS = frozenset(command[1:] for command in symbols.LIMITS)
_WORDS = frozenset(command[1:] for command in symbols.FUNCTIONS)
_UPRIGHT = frozenset([*symbols.UPPER_GREEK.values(), "∇"])
_WITH_BASE = frozenset({"msub", "msup", "msubsup", "munder", "mover", "munderover"})
_UNDER_AND_OVER = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
# What latex2mathml writes, and what is meant: \sim comes out as a tilde, and delimiters after \big as they are typed.
_MEANT = {"~": "∼", "*": "∗", **{token: char for token, char in symbols.DELIMITERS.items() if token.startswith("\\")}}
# Spaces that MathML 3 has names for, in math units.
_NAMED = {
    "negativethinmathspace": -3,
    "negativemediummathspace": -4,
    "negativethickmathspace": -5,
    "thinmathspace": 3,
    "mediummathspace": 4,
    "thickmathspace": 5,
}


def tidied(math: Element) -> Element:
    """The formula repaired, in place; the spaces between its atoms are `spacing`'s."""
    for repair in (_fonts, _characters, _texts, _spaces, _tables, _over_and_under, _limits, _fences, _single_rows):
        for parent in list(math.iter()):
            repair(parent)
    _drop_outer_row(math)
    for parent in list(math.iter()):
        _row_of_its_own(parent)
    return math


def core(element: Element) -> Element:
    """The element at the base of scripts and of what stands over and under."""
    while element.tag in _WITH_BASE or (element.tag == "mrow" and len(element) == 1):
        element = element[0]
    return element


def is_accent(element: Element) -> bool:
    """Whether an ``<mover>`` or ``<munder>`` carries an accent or a brace, and no label."""
    return element.tag in ("mover", "munder") and len(element) == 2 and element[1].get("class") in ("accent", "line")


def units(width: str) -> int | None:
    """A width in math units; None when it is no number of ems."""
    if width in _NAMED:
        return _NAMED[width]
    number = re.fullmatch(r"(-?\d*\.?\d+)em", width)
    return round(float(number[1]) * 18) if number else None


def _fonts(parent: Element) -> None:
    """`mathvariant` becomes characters; letters of one upright word become one identifier."""
    for child in parent:
        variant = child.attrib.get("mathvariant")
        if variant is None or child.tag not in ("mi", "mn", "mo"):
            continue
        if variant != "normal":
            del child.attrib["mathvariant"]
            child.text = "".join(styled(char, variant) for char in child.text or "")
    _join_words(parent)


def _join_words(parent: Element) -> None:
    if parent.tag != "mrow" or len(parent) < 2:
        return
    if all(child.tag == "mi" and child.get("mathvariant") == "normal" for child in parent):
        parent[0].text = "".join(child.text or "" for child in parent)
        del parent[0].attrib["mathvariant"]
        del parent[1:]


def _characters(parent: Element) -> None:
    """Each character in the element that it belongs to, and as the character that the command means."""
    for place, child in enumerate(parent):
        if child.tag not in ("mi", "mo", "mn"):
            continue
        if child.tag == "mo" and place == 1 and parent.tag in ("mover", "munder"):
            continue  # an accent
        text = _MEANT.get(child.text or "", child.text or "")
        child.text = text
        if re.fullmatch(r"[\d.]*\d[\d.]*", text):
            child.tag = "mn"
        elif text in _LIMIT_WORDS:
            child.tag = "mo"
            child.set("movablelimits", "true")
        elif len(text) > 1 and text.isalpha():
            child.tag = "mi"
            child.attrib.pop("movablelimits", None)
        elif child.tag == "mo" and len(text) == 1 and text.isascii() and text.isalpha():
            child.tag = "mi"  # \operatorname{E}
            child.set("mathvariant", "normal")
        elif len(text) == 1:
            _one_character(child, text)


def _one_character(element: Element, text: str) -> None:
    if kind_of(text) is not Kind.ORDINARY or text in "/|‖.":
        element.tag = "mo"
    elif not text.isdigit():
        element.tag = "mi"
        if text in _UPRIGHT:
            element.set("mathvariant", "normal")


def _texts(parent: Element) -> None:
    if parent.tag == "mtext":
        parent.text = (parent.text or "").replace(r"\_", "_").replace(r"\%", "%")


def _spaces(parent: Element) -> None:
    """All spaces as ``<mspace>`` of a number of ems."""
    if parent.tag == "mtext" and parent.text == "\xa0":
        parent.tag, parent.text = "mspace", None
        parent.set("width", f"{6 / 18}em")
    if parent.tag == "mspace":
        width = units(parent.get("width", ""))
        if width is not None:
            parent.set("width", ems(width))


def ems(width: int) -> str:
    """Math units as ems, of which one has 18."""
    return f"{width / 18:.4f}".rstrip("0").rstrip(".") + "em"


def _tables(parent: Element) -> None:
    """Classes in the place of attributes; nothing in the place of latex2mathml's empty identifiers."""
    if parent.tag != "mtable":
        return
    for attribute in ("rowspacing", "columnspacing"):
        parent.attrib.pop(attribute, None)
    parent.set("class", "aligned" if parent.get("displaystyle") else "matrix")
    for row in parent:
        for cell in row:
            side = cell.attrib.pop("columnalign", None)
            if side is not None:
                cell.set("class", side)
            for child in list(cell):
                if child.tag == "mi" and not child.text:
                    cell.remove(child)


def _over_and_under(parent: Element) -> None:
    """Accents, braces and lines: as characters that the font has at the right height, or in all widths."""
    if parent.tag not in ("mover", "munder") or len(parent) != 2 or parent[1].tag != "mo":
        return
    mark = parent[1]
    sign = _accent(parent, mark)
    if sign is None:
        return
    char, grows = sign
    mark.attrib.clear()
    parent.attrib.clear()
    mark.text = char
    mark.set("class", "accent" if char in _TOUCHING else "line")
    mark.set("stretchy", "true" if grows else "false")
    if char in _TOUCHING:
        parent.set("accent", "true")
    else:
        mark.set("scriptlevel", "0")  # else it is drawn as thin as a script


def _accent(parent: Element, mark: Element) -> tuple[str, bool] | None:
    """The sign for one of latex2mathml's, which writes \\hat and \\widehat with the same character."""
    text = mark.text or ""
    if text == "―":
        return symbols.ABOVE[r"\overline"] if parent.tag == "mover" else symbols.BELOW[r"\underline"]
    if text == "^":
        return symbols.ABOVE[r"\hat" if parent.get("accent") == "true" else r"\widehat"]
    return _ACCENTS.get(text)


def _limits(parent: Element) -> None:
    """What belongs below and above a sum stands there, however deep in groups the sum is."""
    if parent.tag in _UNDER_AND_OVER and len(parent):
        base = parent[0]
        if base.tag == "mo" and (base.text in _LARGE or base.text in _LIMIT_WORDS):
            parent.tag = _UNDER_AND_OVER[parent.tag]


def _fences(parent: Element) -> None:
    """A matrix and the signs around it are one group."""
    if parent.tag == "mtable" or not any(child.tag == "mtable" for child in parent):
        return
    children = list(parent)
    for place, child in enumerate(children):
        if child.tag != "mtable":
            continue
        left, right = _bare_operator(children, place - 1), _bare_operator(children, place + 1)
        if left is not None and right is not None:
            group = Element("mrow")
            parent.insert(list(parent).index(left), group)
            for member in (left, child, right):
                parent.remove(member)
                group.append(member)
            for sign in (left, right):
                sign.set("stretchy", "true")
        elif parent.tag == "mrow" and place == 1 and len(children) == 2 and children[0].get("form") == "prefix":
            del children[0].attrib["form"]  # cases


def _bare_operator(children: list[Element], place: int) -> Element | None:
    """The sign that latex2mathml puts beside a matrix: an operator without attributes, and not one of ours."""
    if 0 <= place < len(children):
        element = children[place]
        if element.tag == "mo" and not element.attrib and (element.text or "") in "()[]{}|‖":
            return element
    return None


def _single_rows(parent: Element) -> None:
    """A row of one is that one."""
    for place, child in enumerate(list(parent)):
        while child.tag == "mrow" and len(child) == 1:
            child = child[0]
        parent[place] = child


def _row_of_its_own(parent: Element) -> None:
    """A large bracket with scripts: Chromium draws it small, unless the bracket has a row of its own."""
    if parent.tag in ("msub", "msup", "msubsup") and "minsize" in parent[0].attrib:
        row = Element("mrow")
        row.append(parent[0])
        parent[0] = row


def _drop_outer_row(math: Element) -> None:
    """``<math>`` is a row itself."""
    if len(math) == 1 and math[0].tag == "mrow" and not is_fenced(math[0]):
        row = math[0]
        math.remove(row)
        math.extend(list(row))


def is_fenced(row: Element) -> bool:
    """Whether a row is what stands between \\left and \\right, or a matrix with its signs."""
    return (
        row.tag == "mrow"
        and len(row) > 0
        and row[0].tag == "mo"
        and row[0].get("stretchy") == "true"
        and (row[0].get("minsize") is None)
    )


def rows(math: Element) -> Iterator[Element]:
    """Every element whose children stand one after the other."""
    for element in math.iter():
        if element.tag in ("math", "mrow", "mtd", "msqrt", "mstyle"):
            yield element
