"""The spaces between the atoms of a formula, by TeX's rules, written as attributes of its operators.

MathML Core has a dictionary of spaces for operators, which knows neither what stands beside them nor that scripts are
set tight.  TeX looks at the classes of two neighbours (The TeXbook, p. 170), and so do we.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from lessons.workbench.site.maths.symbols import FUNCTIONS, LIMITS, Kind, kind_of
from lessons.workbench.site.maths.tidy import core, ems, is_accent, is_fenced

_ORDER = tuple(Kind)
# Rows: the left neighbour; columns: the right one; both in the order of `Kind`. 1, 2 and 3 are thin, medium and thick
# spaces, negative where scripts have none; * cannot happen.
_TABLE = """
     0   1  -2  -3   0   0   0  -1
     1   1   *  -3   0   0   0  -1
    -2  -2   *   *  -2   *   *  -2
    -3  -3   *   0  -3   0   0  -3
     0   0   *   0   0   0   0   0
     0   1  -2  -3   0   0   0  -1
    -1  -1   *  -1  -1  -1  -1  -1
    -1   1  -2  -3  -1   0  -1  -1
"""
_UNITS = {0: 0, 1: 3, 2: 4, 3: 5}
_SPACES = {
    (left, right): int(cell)
    for left, line in zip(_ORDER, _TABLE.strip().splitlines(), strict=False)
    for right, cell in zip(_ORDER, line.split(), strict=True)
    if cell != "*"
}
_WORDS = frozenset(command[1:] for command in FUNCTIONS | LIMITS)
# After these a plus or minus has no left operand.
_UNARY_AFTER = (Kind.OPERATOR, Kind.BINARY, Kind.RELATION, Kind.OPEN, Kind.PUNCTUATION)
_SCRIPT = 2  # styles: 0 displayed, 1 in a line, 2 scripts


def space(math: Element, display: bool) -> None:
    """Give every operator of a formula the space that TeX would leave beside it."""
    for operator in math.iter("mo"):
        if operator.get("class") is None:
            operator.set("lspace", "0em")
            operator.set("rspace", "0em")
            if operator.get("stretchy") != "true":
                operator.set("stretchy", "true" if "minsize" in operator.attrib else "false")
    _space(math, 0 if display else 1)


def _space(element: Element, style: int) -> None:
    for place, child in enumerate(element):
        _space(child, _style_of(element, place, style))
    if element.tag in ("math", "mrow", "mtd", "msqrt", "mstyle"):
        _space_row(element, style)


def _style_of(element: Element, place: int, style: int) -> int:
    """The style in which a child is set."""
    if element.get("displaystyle") is not None:
        style = 0 if element.get("displaystyle") == "true" else 1
    if element.tag == "mfrac":
        return min(style + 1, _SCRIPT)
    if element.tag in ("msub", "msup", "msubsup", "munder", "mover", "munderover", "mroot") and place:
        return _SCRIPT
    if element.tag == "mtable" and element.get("displaystyle") is None:
        return max(style, 1)
    return style


def _space_row(row: Element, style: int) -> None:
    atoms = [child for child in row if child.tag != "mspace" and not _is_empty(child)]
    if row.get("class") == "left":  # the right half of a pair in align*: its first sign relates it to the left half
        atoms.insert(0, Element("mrow"))
    kinds = _kinds(atoms)
    for left, right, before, after in zip(atoms, atoms[1:], kinds, kinds[1:], strict=False):
        size = _SPACES[before, after]
        if size < 0 and style >= _SCRIPT:
            size = 0
        if size:
            _put(row, left, right, _UNITS[abs(size)])


def _is_empty(element: Element) -> bool:
    return element.tag == "mrow" and len(element) == 0


def _put(row: Element, left: Element, right: Element, size: int) -> None:
    """Leave a space between two neighbours: as an operator's own where there is one, else as an element.

    Text counts as space in MathML, and an operator with nothing but spaces beside it loses its own.
    """
    alone = sum(child.tag not in ("mspace", "mtext") for child in row) == 1
    for atom, side in ((right, "lspace"), (left, "rspace")):
        operator = _operator_of(atom)
        if operator is not None and not alone:
            operator.set(side, ems(size))
            return
    row.insert(list(row).index(right), Element("mspace", width=ems(size)))


def _operator_of(atom: Element) -> Element | None:
    """The operator whose spaces are those of the whole atom."""
    if is_accent(atom):
        return None
    operator = core(atom)
    return operator if operator.tag == "mo" else None


def _kinds(atoms: list[Element]) -> list[Kind]:
    """The classes of a row's atoms; signs without a left or a right operand are no binary operators.

    TeX takes the minus in |-x| for a binary operator, because it cannot tell opening bars from closing ones.  We can.
    """
    kinds: list[Kind] = []
    unary = True
    for atom in atoms:
        kind = _kind(atom)
        if kind is Kind.BINARY and unary:
            kind = Kind.ORDINARY
        elif kind in (Kind.RELATION, Kind.CLOSE, Kind.PUNCTUATION) and kinds and kinds[-1] is Kind.BINARY:
            kinds[-1] = Kind.ORDINARY
        kinds.append(kind)
        unary = kind in _UNARY_AFTER or (unary and (_is(atom, "|‖") or _is(atom, "−+±")))
    if kinds and kinds[-1] is Kind.BINARY:
        kinds[-1] = Kind.ORDINARY
    return kinds


def _is(atom: Element, signs: str) -> bool:
    """Whether an atom is one of these signs, without scripts."""
    return atom.tag == "mo" and atom.text is not None and atom.text in signs


def _kind(atom: Element) -> Kind:
    if is_accent(atom):
        return Kind.ORDINARY
    base = core(atom)
    if base.tag == "mo":
        if base.get("form") == "prefix":
            return Kind.OPEN
        if base.get("form") == "postfix":
            return Kind.CLOSE
        return Kind.OPERATOR if base.text in _WORDS else kind_of(base.text or "")
    if base.tag == "mi" and (base.text or "").isascii() and (len(base.text or "") > 1 or base.get("mathvariant")):
        return Kind.OPERATOR  # a word, or \operatorname of one letter
    return Kind.INNER if is_fenced(base) else Kind.ORDINARY
