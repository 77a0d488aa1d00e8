"""Makes the font of the formulas, assets/minigrad-math.woff2, from STIX Two Math.

    pip install fonttools brotli
    python make_font.py STIXTwoMath-Regular.otf minigrad-math.woff2

The source is fonts/static_otf/STIXTwoMath-Regular.otf of https://github.com/stipub/stixfonts at the tag v2.13b171.
It is cut down to the characters that formulas may have, with their larger forms and parts, and changed in three places
where browsers do less than TeX:

* The primes are those for scripts, because browsers do not choose script forms, and the others come out tiny.
* All radicals are as wide as the smallest, as in TeX's own fonts, because Chromium leaves room for the widest.
* Scripts of tall and deep letters stand where those of other letters do.  TeX lets the height of a base move its
  scripts only where the base is no single letter; browsers make no difference.
"""

from __future__ import annotations

import sys

from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.subset import Options, Subsetter, parse_unicodes
from fontTools.ttLib import TTFont

NAME = "Minigrad Math"
CHARACTERS = (
    "20-7E,A0,A8,AC,AF,B0,B1,B7,D7,F7,"  # ASCII and signs
    "2C6,2C7,2D8-2DC,300-305,307,308,30C,332,338,203E,23DC-23DF,"  # accents, lines, braces
    "391-3A9,3B1-3C9,3D1,3D5,3D6,3F1,3F5,2102-2138,1D400-1D4CF,1D504-1D56B,1D670-1D755,1D7CE-1D7D7,1D7F6-1D7FF,"
    "2016,2026,2032-2034,2057,2061-2064,2190-21FF,2200-22FF,2308-230B,239B-23AE,23B7,27E6-27EB,27F5-27FF,2A00-2A06,"
    "2A7D,2A7E"
)
PRIMES = (0x2032, 0x2033, 0x2034, 0x2057)
RADICALS = ("uni221A.s1", "uni221A.s2", "uni221A.s3", "uni221A.s4", "uni221A.x", "uni221A.t")


def main(source: str, target: str) -> None:
    font = TTFont(source, recalcTimestamp=False)  # the same file from the same source
    _cut(font)
    _primes_for_scripts(font)
    _radicals_of_one_width(font)
    _scripts_on_one_line(font)
    _rename(font)
    font.flavor = "woff2"
    font.save(target)


def _cut(font: TTFont) -> None:
    options = Options(
        layout_features=["ssty", "dtls", "flac", "ccmp"], hinting=False, desubroutinize=True, notdef_outline=True,
        name_IDs=[0, 1, 2, 3, 4, 5, 6, 7, 13, 14], glyph_names=True, drop_tables=["DSIG"],
    )  # fmt: skip
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=parse_unicodes(CHARACTERS))
    subsetter.subset(font)


def _primes_for_scripts(font: TTFont) -> None:
    for table in font["cmap"].tables:
        for code in PRIMES:
            if code in table.cmap:
                table.cmap[code] += ".ssty"


def _radicals_of_one_width(font: TTFont) -> None:
    glyphs, metrics = font.getGlyphSet(), font["hmtx"]
    outlines = font["CFF "].cff.topDictIndex[0].CharStrings
    width = metrics["uni221A"][0]
    for name in RADICALS:
        old_width, bearing = metrics[name]
        scale = width / old_width
        pen = T2CharStringPen(width, glyphs)
        glyphs[name].draw(TransformPen(pen, (scale, 0, 0, 1, 0, 0)))
        outlines[name] = pen.getCharString(private=outlines[name].private, globalSubrs=outlines[name].globalSubrs)
        metrics[name] = (width, round(bearing * scale))


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
