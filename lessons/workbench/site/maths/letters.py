"""Unicode's mathematical letters: where MathML Core has no fonts, it has a character for each style of a letter."""

from __future__ import annotations

import unicodedata

# The names that Unicode gives the styles of Latin and Greek letters and of digits.
_NAMES = {
    "italic": "ITALIC",
    "bold": "BOLD",
    "bold-italic": "BOLD ITALIC",
    "double-struck": "DOUBLE-STRUCK",
    "script": "SCRIPT",
    "fraktur": "FRAKTUR",
    "sans-serif": "SANS-SERIF",
    "monospace": "MONOSPACE",
}

# Letters that had a place in Unicode before the others of their style, and signs that lean with the letters.
_ELSEWHERE = {
    "italic": {"h": "ℎ", "∂": "𝜕", "ϵ": "𝜖", "ϑ": "𝜗", "ϕ": "𝜙", "ϱ": "𝜚", "ϖ": "𝜛", "ı": "𝚤"},
    "bold-italic": {"∂": "𝝏", "ϵ": "𝝐", "ϑ": "𝝑", "ϕ": "𝝓"},
    "double-struck": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
    "script": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    "fraktur": dict(zip("CHIRZ", "ℭℌℑℜℨ", strict=True)),
}


def styled(char: str, style: str | None) -> str:
    """``char`` in a style such as "bold"; as it is where ``style`` is None or Unicode has no such character."""
    if style is None:
        return char
    elsewhere = _ELSEWHERE.get(style, {}).get(char)
    if elsewhere is not None:
        return elsewhere
    try:
        return unicodedata.lookup(f"MATHEMATICAL {_NAMES[style]} {_plain_name(char)}")
    except (KeyError, ValueError):
        return char


def _plain_name(char: str) -> str:
    """The last part of the styled letter's name: "CAPITAL A", "SMALL ALPHA", "DIGIT ONE"."""
    name = unicodedata.name(char)
    for script in ("LATIN ", "GREEK "):
        name = name.removeprefix(script)
    return name.replace("LETTER ", "")
