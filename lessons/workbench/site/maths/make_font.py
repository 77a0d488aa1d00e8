"""Makes the font of the formulas, assets/minigrad-math.woff2, from STIX Two Math.

    pip install fonttools brotli
    python make_font.py STIXTwoMath-Regular.otf minigrad-math.woff2

The source is fonts/static_otf/STIXTwoMath-Regular.otf of https://github.com/stipub/stixfonts at the tag v2.13b171.
It is cut down to the characters that formulas may have, with their larger forms and parts, and changed where browsers
do less than TeX:

* Radicals of all heights are as wide as the smallest, as in TeX's own fonts, and tall brackets hardly wider than low
  ones: whatever the height, Chromium leaves room for the widest.
* The primes are those for scripts, because browsers do not choose script forms, and the others come out tiny.
* Scripts of tall and deep letters stand where those of other letters do.  TeX lets the height of a base move its
  scripts only where the base is no single letter; browsers make no difference.
"""

from __future__ import annotations

import sys
from typing import Any

from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.subset import Options, Subsetter, parse_unicodes
from fontTools.ttLib import TTFont

NAME = "Minigrad Math"
CHARACTERS = (
    "20-7E,A0,A8,AC,AF,B0,B1,B7,D7,F7,"  # ASCII and signs
    "2C6,2C7,2D8-2DC,300-305,307,308,30C,332,338,203E,23DC-23DF,"  # accents, lines, braces
    "391-3A9,3B1-3C9,3D1,3D5,3D6,3F1,3F5,2102-2138,1D400-1D4CF,1D504-1D56B,1D670-1D755,1D7CE-1D7E1,1D7F6-1D7FF,"
    "2016,2026,2032-2034,2057,2061-2064,2190-21FF,2200-22FF,2308-230B,239B-23AE,23B7,27C2,27E6-27EB,27F5-27FF,2A00-2A06,"
    "2A7D,2A7E"
)
PRIMES = (0x2032, 0x2033, 0x2034, 0x2057)
RADICAL = "√"
BRACKETS = "()[]{}⌈⌉⌊⌋⟨⟩"
TALLEST = 3200  # of the single forms of a bracket, in thousandths of an em; above, it is put together from parts
THIRD = 2  # the form of a bracket that is as wide as all taller ones become


def main(source: str, target: str) -> None:
    font = TTFont(source, recalcTimestamp=False)  # the same file from the same source
    for bracket in BRACKETS:
        _drop_tall_forms(font, bracket)
    _cut(font)
    _one_width(font, RADICAL, 0)
    for bracket in BRACKETS:
        _one_width(font, bracket, THIRD)
    _primes_for_scripts(font)
    _scripts_on_one_line(font)
    _rename(font)
    font.flavor = "woff2"
    font.save(target)


def _forms(font: TTFont, char: str) -> Any:
    """What the MATH table says of a character's larger forms."""
    variants = font["MATH"].table.MathVariants
    return variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(font.getBestCmap()[ord(char)])]


def _drop_tall_forms(font: TTFont, char: str) -> None:
    forms = _forms(font, char)
    if forms.GlyphAssembly is not None:
        kept = [form for form in forms.MathGlyphVariantRecord if form.AdvanceMeasurement <= TALLEST]
        forms.MathGlyphVariantRecord, forms.VariantCount = kept, len(kept)


def _cut(font: TTFont) -> None:
    options = Options(
        layout_features=["ssty", "dtls", "flac", "ccmp"], hinting=False, desubroutinize=True, notdef_outline=True,
        name_IDs=[0, 1, 2, 3, 4, 5, 6, 7, 13, 14], glyph_names=True, drop_tables=["DSIG"],
    )  # fmt: skip
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=parse_unicodes(CHARACTERS))
    subsetter.subset(font)


def _one_width(font: TTFont, char: str, number: int) -> None:
    """Make the forms and parts of a character that are wider than its form ``number`` as wide as that."""
    forms = _forms(font, char)
    singles = [form.VariantGlyph for form in forms.MathGlyphVariantRecord]
    parts = [part.glyph for part in forms.GlyphAssembly.PartRecords] if forms.GlyphAssembly else []
    width = font["hmtx"][singles[number]][0]
    for name in {*singles, *parts}:
        if font["hmtx"][name][0] > width:
            _squeeze(font, name, width)


def _squeeze(font: TTFont, name: str, width: int) -> None:
    glyphs, outlines = font.getGlyphSet(), font["CFF "].cff.topDictIndex[0].CharStrings
    old_width, bearing = font["hmtx"][name]
    pen = T2CharStringPen(width, glyphs)
    glyphs[name].draw(TransformPen(pen, (width / old_width, 0, 0, 1, 0, 0)))
    outlines[name] = pen.getCharString(private=outlines[name].private, globalSubrs=outlines[name].globalSubrs)
    font["hmtx"][name] = (width, round(bearing * width / old_width))


def _primes_for_scripts(font: TTFont) -> None:
    for table in font["cmap"].tables:
        for code in PRIMES:
            if code in table.cmap:
                table.cmap[code] += ".ssty"


def _scripts_on_one_line(font: TTFont) -> None:
    constants = font["MATH"].table.MathConstants
    constants.SuperscriptBaselineDropMax.Value = 360
    constants.SubscriptBaselineDropMin.Value = -30


def _rename(font: TTFont) -> None:
    """A changed font has a name of its own."""
    names = {1: NAME, 3: f"{NAME}, from STIX Two Math 2.13 b171", 4: NAME, 6: NAME.replace(" ", "") + "-Regular"}
    for record in font["name"].names:
        record.string = names.get(record.nameID, record.string)
    cff = font["CFF "].cff
    cff.fontNames = [names[6]]
    cff.topDictIndex[0].FullName = cff.topDictIndex[0].FamilyName = NAME


if __name__ == "__main__":
    main(*sys.argv[1:])
