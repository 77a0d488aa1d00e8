"""Which file of a figure a page shows, how large, and the figure as HTML."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lessons.workbench.site.markup import EMPTY, Html, element
from lessons.workbench.site.remembered import Remembered

LIGHT = 90_000  # bytes up to which a drawing is shown as SVG: sharp at any size, and light enough
LIGHT_WITH_PIXELS = 30_000  # the same for a drawing with a photograph in it, which is not sharp in any case
HEAVY = 50_000  # bytes from which a picture is compressed once more, harder
DOTS_PER_PIXEL = 150 / 96  # figures are saved with 150 dots per inch, and a page has 96 pixels per inch
QUALITY, LOWER_QUALITY = 74, 46  # of WebP


@dataclass
class Pictures:
    """The figures of one lesson's page.

    ``folder`` holds the files of the run.  ``files`` collects what the page needs, by its URL from the first page on;
    ``sliders`` says whether one of the figures is to be moved.
    """

    lesson: str
    folder: Path
    files: dict[str, bytes] = field(default_factory=dict)
    sliders: bool = False

    def __post_init__(self) -> None:
        self.compressed = Remembered(f"webp-{self.lesson}", [Path(__file__)], ["pillow"])

    def save(self) -> None:
        """Keep what was compressed for the next build: it is the slowest part of a page."""
        self.compressed.save()

    def figure(self, item: dict[str, Any]) -> Html:
        """A figure, moving picture or slider of a report as HTML.

        What it shows is its alternative text and, for all who read, its caption; the caption is not read out again.
        """
        if item["type"] == "slider":
            return self._slider(item)
        found = self._still(item["files"])
        if found is None:
            return element("p", f"Figure {item['name']} was not drawn: {item['alt']}", class_="note")
        url, width, height = found
        picture = element("img", src=url, alt=item["alt"], width=width, height=height, loading="lazy", decoding="async")
        moving = next((file for file in item["files"] if file.endswith(".gif")), None)
        if moving is not None:
            picture = self._moving(moving, url, picture)
        shown = element("a", picture, href=url, class_="enlarge")
        return element("figure", shown, _caption(item["alt"]), id=_anchor(item["name"]))

    def preview(self, item: dict[str, Any]) -> Html:
        """A figure that is shown before its time, as a link to its place."""
        found = self._still(item["files"])
        if found is None:
            return EMPTY
        url, width, height = found
        picture = element("img", src=url, alt=item["alt"], width=width, height=height)
        caption = element("figcaption", "What this lesson leads to")
        return element("figure", element("a", picture, href=f"#{_anchor(item['name'])}"), caption, class_="preview")

    def _moving(self, moving: str, still: str, picture: Html) -> Html:
        """A moving picture; who asked their system for less motion sees its last frame."""
        calm = element("source", media="(prefers-reduced-motion: reduce)", srcset=still)
        url = self._add(moving, (self.folder / moving).read_bytes())
        return element("picture", calm, Html(picture.replace(f'src="{still}"', f'src="{url}"')))

    def _slider(self, item: dict[str, Any]) -> Html:
        self.sliders = True
        frames = [self._add(file, (self.folder / file).read_bytes()) for file in item["frames"]]
        found = self._still([item["still"]])
        assert found is not None
        url, width, height = found
        controls = []
        for k, (axis, start) in enumerate(zip(item["axes"], item["start"], strict=True)):
            name = f"slider-{item['name']}-{k}"
            values = axis["shown"]
            controls += [
                element("label", axis["label"], for_=name),
                element(
                    "input",
                    type="range",
                    id=name,
                    min=0,
                    max=len(values) - 1,
                    step=1,
                    value=start,
                    autocomplete="off",
                    data_values=json.dumps(values),
                ),
                element("output", values[start], for_=name),
            ]
        return element(
            "figure",
            element("img", src=url, alt=item["alt"], width=width, height=height, decoding="async"),
            element("div", *controls, class_="slider-controls", hidden=True),
            _caption(item["alt"]),
            id=_anchor(item["name"]),
            class_="slider",
            data_frames=" ".join(frames),
            data_shape=" ".join(str(len(axis["values"])) for axis in item["axes"]),
        )

    def _still(self, names: list[str]) -> tuple[str, int, int] | None:
        """URL, width and height of the picture: the drawing where it is light, else its pixels."""
        by_suffix = {Path(name).suffix: name for name in names}
        if ".svg" in by_suffix:
            drawing = slimmer((self.folder / by_suffix[".svg"]).read_bytes())
            limit = LIGHT_WITH_PIXELS if b"<image" in drawing else LIGHT
            if len(drawing) <= limit or ".png" not in by_suffix:
                return (self._add(by_suffix[".svg"], drawing), *size_of_svg(drawing))
        if ".webp" in by_suffix:
            pixels = (self.folder / by_suffix[".webp"]).read_bytes()
            return (self._add(by_suffix[".webp"], pixels), *_size_of_webp(pixels))
        if ".png" not in by_suffix:
            return None
        pixels = (self.folder / by_suffix[".png"]).read_bytes()
        width, height = struct.unpack(">II", pixels[16:24])
        size = round(width / DOTS_PER_PIXEL), round(height / DOTS_PER_PIXEL)
        smaller = self._as_webp(pixels)
        if len(smaller) < len(pixels):
            return (self._add(Path(by_suffix[".png"]).with_suffix(".webp").name, smaller), *size)
        return (self._add(by_suffix[".png"], pixels), *size)

    def _as_webp(self, png: bytes) -> bytes:
        def compress() -> str:
            return base64.b64encode(as_webp(png)).decode()

        return base64.b64decode(self.compressed.piece("webp", hashlib.sha256(png).hexdigest(), compress))

    def _add(self, name: str, content: bytes) -> str:
        url = f"figures/{self.lesson}/{name}"
        self.files[url] = content
        return url


def _caption(alt: str) -> Html:
    return element("figcaption", alt, aria_hidden="true")


def _anchor(name: str) -> str:
    return f"figure-{name}"


def size_of_svg(drawing: bytes) -> tuple[int, int]:
    """Width and height in pixels of a drawing of Matplotlib's, which gives them in points."""
    start = drawing[:2000].decode("utf-8", "replace")
    found = [re.search(rf'\b{side}="([\d.]+)pt"', start) for side in ("width", "height")]
    width, height = (round(float(match[1]) * 96 / 72) if match else 0 for match in found)
    return width, height


def slimmer(drawing: bytes) -> bytes:
    """The same drawing of Matplotlib's, without comments and metadata, and without decimals that nobody can see.

    Coordinates keep two decimals; in the outlines of letters these are of a 2048th of the letter's size.
    """
    drawing = re.sub(rb"<!--.*?-->|<metadata>.*?</metadata>", b"", drawing, flags=re.DOTALL)
    drawing = re.sub(rb'\b(?:d|x|y|points)="[^"]*"', lambda found: _DECIMALS.sub(rb"\1", found[0]), drawing)
    return re.sub(rb"\s*\n\s*", b"\n", drawing)


_DECIMALS = re.compile(rb"(\d\.\d\d)\d+")


def as_webp(png: bytes) -> bytes:
    """The same pixels as WebP, of less quality where they would be heavy."""
    from PIL import Image  # Matplotlib needs Pillow, so it is there

    content = b""
    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    for quality in (QUALITY, LOWER_QUALITY):
        webp = io.BytesIO()
        picture.save(webp, "WEBP", quality=quality, method=6)
        content = webp.getvalue()
        if len(content) <= HEAVY:
            break
    return content


def _size_of_webp(pixels: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(pixels)) as picture:
        return round(picture.width / DOTS_PER_PIXEL), round(picture.height / DOTS_PER_PIXEL)


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a lesson."""

    url: str
    content: bytes
    width: int
    height: int


def thumbnail(lesson: str, folder: Path, sections: Sequence[dict[str, Any]]) -> Thumbnail | None:
    """A small picture for the first page, of the lesson's main figure."""
    item = main_figure(sections)
    if item is None:
        return None
    png = (folder / next(file for file in item["files"] if file.endswith(".png"))).read_bytes()
    content, width, height = _small(png)
    return Thumbnail(f"figures/{lesson}/card.webp", content, width, height)


def main_figure(sections: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The last figure of the last experiment, where lessons show what comes out; else the last figure, or None."""
    figures = [
        (section.get("kind") == "experiment", k, item)
        for k, section in enumerate(sections)
        for item in section["items"]
        if item["type"] == "figure" and any(file.endswith(".png") for file in item["files"])
    ]
    return max(figures, key=lambda found: found[:2])[2] if figures else None


THUMBNAIL = 680, 400  # pixels at most: cards are half as wide


def _small(png: bytes) -> tuple[bytes, int, int]:
    from PIL import Image

    webp = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        small = picture.convert("RGB")
        small.thumbnail(THUMBNAIL)
        small.save(webp, "WEBP", quality=80, method=4)
        return webp.getvalue(), small.width, small.height
