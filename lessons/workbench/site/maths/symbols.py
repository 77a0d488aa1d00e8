"""The LaTeX that formulas may use, and what each command must look like: a list of what has been tried.

latex2mathml writes a command that it does not know as text, and some that it knows as another character; so nothing is
taken on trust.  A command that is missing here is refused, and one that is here is compared with what came out.
A new one is a line in one of these tables, and a look at how it comes out.
"""

from __future__ import annotations

import re
from enum import Enum


class Kind(Enum):
    """What TeX calls the class of an atom; the space between two atoms depends on their classes alone."""

    ORDINARY = "ordinary"
    OPERATOR = "operator"
    BINARY = "binary"
    RELATION = "relation"
    OPEN = "open"
    CLOSE = "close"
    PUNCTUATION = "punctuation"
    INNER = "inner"


def _table(rows: str) -> dict[str, str]:
    """Pairs of a command and its character, from words that stand in turn."""
    words = rows.split()
    return dict(zip(words[::2], words[1::2], strict=True))


LOWER_GREEK = _table(
    r"""
    \alpha α  \beta β  \gamma γ  \delta δ  \epsilon ϵ  \varepsilon ε  \zeta ζ  \eta η  \theta θ  \vartheta ϑ  \iota ι
    \kappa κ  \lambda λ  \mu μ  \nu ν  \xi ξ  \pi π  \rho ρ  \sigma σ  \tau τ  \upsilon υ  \phi ϕ  \varphi φ  \chi χ
    \psi ψ  \omega ω
    """
)
UPPER_GREEK = _table(
    r"\Gamma Γ  \Delta Δ  \Theta Θ  \Lambda Λ  \Xi Ξ  \Pi Π  \Sigma Σ  \Upsilon Υ  \Phi Φ  \Psi Ψ  \Omega Ω"
)

ORDINARY = _table(
    r"""
    \infty ∞  \nabla ∇  \partial ∂  \ell ℓ  \hbar ℏ  \top ⊤  \bot ⊥  \emptyset ∅  \forall ∀  \exists ∃  \neg ¬
    \prime ′  \vert |  \Vert ‖  \| ‖
    """
)
BINARY = _table(
    r"""
    \cdot ·  \times ×  \div ÷  \pm ±  \mp ∓  \ast ∗  \star ⋆  \circ ∘  \oplus ⊕  \ominus ⊖  \otimes ⊗
    \odot ⊙  \cup ∪  \cap ∩  \wedge ∧  \vee ∨
    """
)
RELATIONS = _table(
    r"""
    \le ≤  \leq ≤  \ge ≥  \geq ≥  \ne ≠  \neq ≠  \ll ≪  \gg ≫  \approx ≈  \sim ∼  \simeq ≃  \cong ≅  \equiv ≡
    \propto ∝  \in ∈  \notin ∉  \ni ∋  \subset ⊂  \subseteq ⊆  \supset ⊃  \supseteq ⊇  \mid ∣  \parallel ∥  \perp ⟂
    \to →  \rightarrow →  \leftarrow ←  \gets ←  \leftrightarrow ↔  \Rightarrow ⇒  \Leftarrow ⇐  \Leftrightarrow ⇔
    \mapsto ↦  \longrightarrow ⟶  \longleftarrow ⟵  \Longrightarrow ⟹  \Longleftarrow ⟸  \Longleftrightarrow ⟺
    \longmapsto ⟼
    """
)
OPENING = _table(r"\{ {  \lbrace {  \langle ⟨  \lfloor ⌊  \lceil ⌈  \lvert |  \lVert ‖")
CLOSING = _table(r"\} }  \rbrace }  \rangle ⟩  \rfloor ⌋  \rceil ⌉  \rvert |  \rVert ‖")
DOTS = _table(r"\dots …  \ldots …  \cdots ⋯  \vdots ⋮  \ddots ⋱")
# Their subscripts stand below them in displayed formulas, except those of integrals.
LARGE = _table(r"\sum ∑  \prod ∏  \bigcup ⋃  \bigcap ⋂  \bigoplus ⨁  \bigotimes ⨂")
INTEGRALS = _table(r"\int ∫  \iint ∬  \oint ∮")
# Signs that mean themselves.
ESCAPED = _table(r"\% %  \# #")

# Characters that stand for themselves: letters and digits do too.
TYPED = {
    "+": ("+", Kind.BINARY),
    "-": ("−", Kind.BINARY),
    "*": ("∗", Kind.BINARY),
    "/": ("/", Kind.ORDINARY),
    "|": ("|", Kind.ORDINARY),
    ".": (".", Kind.ORDINARY),
    "=": ("=", Kind.RELATION),
    "<": ("<", Kind.RELATION),
    ">": (">", Kind.RELATION),
    ":": (":", Kind.RELATION),
    ",": (",", Kind.PUNCTUATION),
    ";": (";", Kind.PUNCTUATION),
    "(": ("(", Kind.OPEN),
    "[": ("[", Kind.OPEN),
    ")": (")", Kind.CLOSE),
    "]": ("]", Kind.CLOSE),
    "!": ("!", Kind.CLOSE),
    "?": ("?", Kind.CLOSE),
}

SYMBOLS: dict[str, str] = {
    **LOWER_GREEK,
    **UPPER_GREEK,
    **ORDINARY,
    **BINARY,
    **RELATIONS,
    **OPENING,
    **CLOSING,
    **DOTS,
    **LARGE,
    **INTEGRALS,
    **ESCAPED,
}

# Words set upright, as operators, which take their argument after a thin space.
FUNCTIONS = frozenset(
    rf"\{word}" for word in re.findall(r"\w+", "log ln exp sin cos tan cot sinh cosh tanh arcsin arccos arctan dim ker")
)
# And those which have their subscript below them in displayed formulas.
LIMITS = frozenset(rf"\{word}" for word in re.findall(r"\w+", "max min sup inf lim det gcd"))

# In math units, of which an em has 18.
SPACES = {r"\,": 3, r"\:": 4, r"\;": 5, r"\!": -3, r"\ ": 6, "~": 6, r"\enspace": 9, r"\quad": 18, r"\qquad": 36}

# What stands over or under a group: the sign that our font draws best, and whether it grows with the group.
ABOVE = {
    r"\hat": ("ˆ", False),
    r"\check": ("ˇ", False),
    r"\tilde": ("˜", False),
    r"\widetilde": ("˜", False),
    r"\bar": ("¯", False),
    r"\dot": ("˙", False),
    r"\ddot": ("¨", False),
    r"\widehat": ("\u0302", True),
    r"\overline": ("‾", True),
    r"\overbrace": ("⏞", True),
}
BELOW = {r"\underline": ("_", True), r"\underbrace": ("⏟", True)}

# Fonts, as offsets into Unicode's mathematical letters; None is upright.
FONTS = {
    r"\mathrm": None,
    r"\mathbf": "bold",
    r"\boldsymbol": "bold-italic",
    r"\mathbb": "double-struck",
    r"\mathcal": "script",
    r"\mathfrak": "fraktur",
    r"\mathtt": "monospace",
}

# Environments, with the signs around them; each line holds cells between "&", and ends with "\\".
ENVIRONMENTS = {
    "align*": ("", ""),
    "matrix": ("", ""),
    "pmatrix": ("(", ")"),
    "bmatrix": ("[", "]"),
    "Bmatrix": ("{", "}"),
    "vmatrix": ("|", "|"),
    "Vmatrix": ("‖", "‖"),
    "cases": ("{", ""),
}

# What may follow \left, \right, \big and the like.
DELIMITERS = {**{sign: sign for sign in "()[]|/."}, **OPENING, **CLOSING, **_table(r"\| ‖  \vert |  \Vert ‖")}
BIG = {rf"\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")}

# Constructs that come out wrong without a word, and what to write instead.
INSTEAD = {
    r"\arg": r"write \operatorname{arg}",
    r"\operatorname*": r"write \operatorname, without the star",
    r"\tag": "number no equations; name them in the text",
    r"\label": "number no equations; name them in the text",
    r"\mbox": r"write \text",
    r"\textrm": r"write \text",
    r"\middle": r"write \big and its kin",
    r"\not": r"write \ne, \notin",
    r"\limits": r"leave it out: \sum and \max have their limits below in displayed formulas",
    r"\def": "declare macros in lessons.workbench.site.maths.MACROS",
    r"\newcommand": "declare macros in lessons.workbench.site.maths.MACROS",
    r"\stackrel": r"write \overset",
    r"\vec": r"write \mathbf or \boldsymbol",
    r"\mathsf": r"write \mathrm or \mathtt",
    r"\colon": r"write :",
    "aligned": "write align*",
    "align": "write align*: equations have no numbers",
    "split": "write align*",
    "gather": "write align*",
    "gather*": "write align*",
    "equation": "write $$ without it",
    "equation*": "write $$ without it",
    "array": "write a matrix, cases, or align*",
}


def kind_of(char: str) -> Kind:
    """The class of a character; letters, digits and all that is in no table are ordinary."""
    return _KINDS.get(char, Kind.ORDINARY)


_KINDS: dict[str, Kind] = {
    **dict.fromkeys(BINARY.values(), Kind.BINARY),
    **dict.fromkeys(RELATIONS.values(), Kind.RELATION),
    **dict.fromkeys(DOTS.values(), Kind.INNER),
    **dict.fromkeys([*LARGE.values(), *INTEGRALS.values()], Kind.OPERATOR),
    **dict.fromkeys(OPENING.values(), Kind.OPEN),
    **dict.fromkeys(CLOSING.values(), Kind.CLOSE),
    "‖": Kind.ORDINARY,  # like "|": the same on both sides
    **dict(TYPED.values()),
}
